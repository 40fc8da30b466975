// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages with descriptors: what was sent arrives, whatever else the other end sends stays outside, and
 * nothing stays open.
 */
#include "shared/service/descriptors.h"
#include "tests/support/open_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/** More than this the kernel sends in no message (SCM_MAX_FD). */
#define KERNEL_MAX 253u

struct pair {
	int from, to;
	int open; /* descriptors, with both */
};

static int setup(void **state)
{
	static struct pair p;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return -1;
	p.from = fd[0];
	p.to = fd[1];
	p.open = open_fds();
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	close(p->from);
	close(p->to);
	return 0;
}

/* As anybody may send, with as many as the kernel takes. */
static void send_any(int socket, unsigned count)
{
	union {
		struct cmsghdr header;
		char octets[CMSG_SPACE(KERNEL_MAX * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (char[]){"any"}, .iov_len = 3};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[KERNEL_MAX];

	for (unsigned i = 0; i < KERNEL_MAX; i++)
		fds[i] = socket;
	if (count) {
		message.msg_control = control.octets;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(socket, &message, 0), 3);
}

static void each_arrives_in_its_place(void **state)
{
	struct pair *p = *state;
	int fds[DESCRIPTORS_MAX], came[DESCRIPTORS_MAX];

	for (unsigned i = 0; i < DESCRIPTORS_MAX; i++)
		fds[i] = memfd_create("each", 0);
	for (unsigned n = 0; n <= DESCRIPTORS_MAX; n++) {
		char text[8];
		unsigned count = 99;

		assert_int_equal(descriptors_send(p->from, "words", 6, fds, n), 6);
		assert_int_equal(descriptors_receive(p->to, text, sizeof(text), came,
					 DESCRIPTORS_MAX, &count, 0),
			6);
		assert_string_equal(text, "words");
		assert_int_equal(count, n);
		for (unsigned i = 0; i < n; i++) {
			struct stat ours, theirs;

			assert_int_equal(fcntl(came[i], F_GETFD), FD_CLOEXEC);
			assert_int_equal(fstat(fds[i], &ours) | fstat(came[i], &theirs), 0);
			assert_true(ours.st_ino == theirs.st_ino && came[i] != fds[i]);
			close(came[i]);
		}
	}
	for (unsigned i = 0; i < DESCRIPTORS_MAX; i++)
		close(fds[i]);
	assert_int_equal(open_fds(), p->open);
}

static void what_has_no_room_is_refused_and_closed(void **state)
{
	struct pair *p = *state;

	for (unsigned room = 0; room <= DESCRIPTORS_MAX; room++)
		for (unsigned sent = 0; sent <= KERNEL_MAX; sent++) {
			struct {
				int came[DESCRIPTORS_MAX], behind[4];
			} to;
			char text[4];
			unsigned count = 99;
			ssize_t n;

			memset(&to, 0x5a, sizeof(to));
			send_any(p->from, sent);
			errno = 0;
			n = descriptors_receive(
				p->to, text, sizeof(text), to.came, room, &count, 0);
			if (sent <= room) {
				assert_int_equal(n, 3);
				assert_int_equal(count, sent);
			} else {
				assert_int_equal(n, -1);
				assert_int_equal(errno, EMSGSIZE);
				assert_int_equal(count, 0);
			}
			for (unsigned i = room; i < DESCRIPTORS_MAX; i++)
				assert_int_equal(to.came[i], 0x5a5a5a5a);
			for (unsigned i = 0; i < count; i++)
				close(to.came[i]);
			assert_int_equal(open_fds(), p->open);
		}
}

static void a_message_that_is_cut_brings_nothing(void **state)
{
	struct pair *p = *state;
	char text[2];
	unsigned count = 99;
	int came[4];

	send_any(p->from, 2);
	assert_int_equal(descriptors_receive(p->to, text, sizeof(text), came, 4, &count, 0), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(count, 0);
	assert_int_equal(open_fds(), p->open);
}

static void nothing_there_and_nobody_there(void **state)
{
	struct pair *p = *state;
	char text[4];
	unsigned count = 99;
	int came[4];

	assert_int_equal(
		descriptors_receive(p->to, text, sizeof(text), came, 4, &count, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(count, 0);
	shutdown(p->from, SHUT_RDWR);
	assert_int_equal(
		descriptors_receive(p->to, text, sizeof(text), came, 4, &count, MSG_DONTWAIT), 0);
	assert_int_equal(count, 0);
	// No signal ends us.
	assert_int_equal(descriptors_send(p->from, "x", 1, NULL, 0), -1);
	assert_int_equal(errno, EPIPE);
}

static void more_than_we_ever_send_is_our_own_mistake(void **state)
{
	struct pair *p = *state;
	int fds[DESCRIPTORS_MAX + 1] = {0};
	char text[4];
	unsigned count = 99;

	assert_int_equal(descriptors_send(p->from, "x", 1, fds, DESCRIPTORS_MAX + 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(descriptors_receive(p->to, text, sizeof(text), fds, DESCRIPTORS_MAX + 1,
				 &count, MSG_DONTWAIT),
		-1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_arrives_in_its_place),
		TEST(what_has_no_room_is_refused_and_closed),
		TEST(a_message_that_is_cut_brings_nothing),
		TEST(nothing_there_and_nobody_there),
		TEST(more_than_we_ever_send_is_our_own_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
