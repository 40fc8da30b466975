// SPDX-License-Identifier: BSD-3-Clause
/* The socket of dp-cli against clients of every kind. show() is the test's own; the clock is set. */
#include "sfu-dp/house.h"
#include "sfu-dp/inspect.h"

#include "tests/support/open_fds.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIFETIME_US 5000000u
#define BIG 2000000u

static struct {
	char folder[32];
	char path[64];
	struct house house;
	struct inspect *in;
	unsigned asked;
	int descriptors;
} world;

struct json_object *show(struct house *h, const char *noun)
{
	struct json_object *o;
	char *text;

	assert_ptr_equal(h, &world.house);
	world.asked++;
	if (!strcmp(noun, "small"))
		return json_object_new_string("hello");
	if (strcmp(noun, "big"))
		return NULL;
	text = malloc(BIG + 1);
	memset(text, 'b', BIG);
	text[BIG] = 0;
	o = json_object_new_string(text);
	free(text);
	return o;
}

static int client_try(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", world.path);
	if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return fd;
	close(fd);
	return -1;
}

static int client(void)
{
	int fd = client_try();

	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/** Let the server work until it has nothing to do. */
static unsigned work(void)
{
	unsigned total = 0, did;

	for (unsigned turn = 0; turn < 1000; turn++) {
		did = inspect_poll(world.in);
		if (!did)
			return total;
		total += did;
	}
	fail_msg("it never comes to rest");
	return total;
}

static bool awake(void)
{
	struct pollfd p = {.fd = inspect_fd(world.in), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/** True when the server has closed this connection. Reads away what it had sent. */
static bool is_closed(int fd)
{
	char text[4096];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text), 0)) > 0) {
	}
	return n == 0 || errno != EAGAIN;
}

/** Everything until the end of the connection; the server works meanwhile. */
static size_t answer(int fd, char *text, size_t cap)
{
	size_t len = 0;

	for (unsigned turn = 0; turn < 10000; turn++) {
		ssize_t n;

		inspect_poll(world.in);
		n = recv(fd, text + len, cap - 1 - len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			text[len] = 0;
			return len;
		}
		len += n > 0 ? (size_t)n : 0;
		assert_true(len < cap - 1);
	}
	fail_msg("the answer does not end");
	return 0;
}

static void assert_answer(int fd, const char *want)
{
	char text[1024];

	answer(fd, text, sizeof(text));
	assert_string_equal(text, want);
	close(fd);
}

/* --- what it is for --- */

static void a_request_gets_one_document_and_the_end(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "show small\n");
	assert_answer(fd, "\"hello\"\n");
	assert_int_equal(world.asked, 1);
	assert_int_equal(work(), 0);
}

static void a_request_may_come_in_pieces(void **state)
{
	static const char *const pieces[] = {"s", "how", " ", "smal", "l", "\n"};
	int fd = client();

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(world.asked, 0);
		say(fd, pieces[i]);
		work();
	}
	assert_answer(fd, "\"hello\"\n");
}

static void a_long_answer_arrives_whole(void **state)
{
	char *text = malloc(BIG + 100);
	int fd = client();

	(void)state;
	say(fd, "show big\n");
	assert_int_equal(answer(fd, text, BIG + 100), BIG + 3);
	assert_int_equal(text[0], '"');
	assert_int_equal(text[BIG], 'b');
	assert_string_equal(text + BIG + 1, "\"\n");
	free(text);
	close(fd);
}

static void what_is_no_request_is_told_what_is(void **state)
{
	static const char *const requests[]
		= {"show nothing\n", "show\n", "show \n", "\n", "SHOW small\n", "show small \n",
			" show small\n", "GET / HTTP/1.1\r\n", "\xff\xfe\xfd\n", "show \"}{\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct json_object *o, *error;
		char text[1024];
		int fd = client();

		say(fd, requests[i]);
		answer(fd, text, sizeof(text));
		o = json_tokener_parse(text);
		assert_true(json_object_object_get_ex(o, "error", &error));
		assert_non_null(strstr(json_object_get_string(error), "drops"));
		json_object_put(o);
		close(fd);
	}
}

/* Somebody of the group may look and may not order. */
static void strangers_order_no_hand_over(void **state)
{
	char text[1024];
	int pipe_fd[2], status;
	pid_t pid, ended;
	ssize_t n;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(world.folder, 0755) | chmod(world.path, 0666), 0);
	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		// Who asks is who connected.
		if (setgid(65534) || setuid(65534) || (fd = client_try()) < 0
			|| send(fd, "handover\n", 9, MSG_NOSIGNAL) != 9
			|| write(pipe_fd[1], "x", 1) != 1)
			_exit(1);
		alarm(10);
		while (recv(fd, text, sizeof(text), MSG_PEEK) < 0 && errno == EAGAIN)
			usleep(1000);
		n = recv(fd, text, sizeof(text), 0);
		_exit(n > 0 && memmem(text, (size_t)n, "\"error\"", 7) ? 0 : 2);
	}
	assert_int_equal(read(pipe_fd[0], text, 1), 1);
	do {
		inspect_poll(world.in);
		ended = waitpid(pid, &status, WNOHANG);
	} while (ended == 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	chmod(world.folder, 0700);
}

static void only_the_first_line_is_a_request(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "show small\nshow big\n");
	assert_answer(fd, "\"hello\"\n");
	assert_int_equal(world.asked, 1);
}

/* --- hostile clients --- */

/** A silent client costs no turn of the loop, and after five seconds it is gone. */
static void silence_is_cut_and_costs_nothing(void **state)
{
	int fd = client();

	(void)state;
	work();
	assert_int_equal(inspect_poll(world.in), 0);
	assert_false(awake());
	say(fd, "show sm");
	work();
	world.house.now_us += LIFETIME_US;
	work();
	assert_false(is_closed(fd));
	world.house.now_us++;
	assert_int_equal(inspect_poll(world.in), 1);
	assert_true(is_closed(fd));
	close(fd);
}

static void a_request_without_end_is_cut(void **state)
{
	char text[64];
	int fd = client();

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(send(fd, text, 62, 0), 62);
	work();
	assert_false(is_closed(fd));
	assert_int_equal(send(fd, text, 1, 0), 1);
	work();
	assert_true(is_closed(fd));
	assert_int_equal(world.asked, 0);
	close(fd);
}

static void a_client_that_floods_is_cut(void **state)
{
	static char text[100000];
	int fd = client();

	(void)state;
	memset(text, 'x', sizeof(text));
	send(fd, text, sizeof(text), MSG_NOSIGNAL);
	work();
	assert_true(is_closed(fd));
	close(fd);
}

static void half_a_connection_is_enough_for_an_answer(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "show small\n");
	shutdown(fd, SHUT_WR);
	assert_answer(fd, "\"hello\"\n");
	fd = client();
	say(fd, "show small");
	shutdown(fd, SHUT_WR);
	work();
	assert_true(is_closed(fd));
	close(fd);
}

/** Nobody reads the answer: it waits without turning the loop, and is given up in time. */
static void a_client_that_never_reads_is_given_up(void **state)
{
	int deaf = client(), other;

	(void)state;
	// What is behind the request stays unread: it must not keep the loop awake either.
	say(deaf, "show big\nand more");
	work();
	assert_int_equal(world.asked, 1);
	assert_int_equal(inspect_poll(world.in), 0);
	assert_false(awake());
	other = client();
	say(other, "show small\n");
	assert_answer(other, "\"hello\"\n");
	shutdown(deaf, SHUT_WR);
	work();
	assert_false(awake());
	world.house.now_us += LIFETIME_US + 1;
	assert_int_equal(work(), 1);
	assert_true(is_closed(deaf));
	close(deaf);
}

static void clients_that_go_at_any_moment_leave_nothing(void **state)
{
	int before = open_fds();

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		int fd = client();

		if (i % 3 == 0)
			inspect_poll(world.in);
		if (i % 2 == 0)
			say(fd, i % 4 ? "show big\n" : "show");
		if (i % 5 == 0)
			inspect_poll(world.in);
		close(fd);
		work();
	}
	assert_int_equal(open_fds(), before);
}

/** More clients than places: the ninth waits its turn, and nothing turns in circles meanwhile. */
static void the_ninth_client_waits_for_a_place(void **state)
{
	int fd[INSPECT_CLIENTS], ninth;
	char text[8];

	(void)state;
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		fd[i] = client();
		work();
	}
	ninth = client();
	say(ninth, "show small\n");
	work();
	assert_int_equal(world.asked, 0);
	assert_int_equal(recv(ninth, text, sizeof(text), 0), -1);
	assert_false(awake());
	say(fd[3], "show small\n");
	assert_answer(fd[3], "\"hello\"\n");
	assert_answer(ninth, "\"hello\"\n");
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		if (i != 3)
			close(fd[i]);
	}
	work();
	fd[0] = client();
	say(fd[0], "show small\n");
	assert_answer(fd[0], "\"hello\"\n");
}

/** All places and the queue taken by silent ones: five seconds later all of them are gone. */
static void a_crowd_of_silent_clients_passes(void **state)
{
	enum { crowd = 64 };
	int fd[crowd], before = open_fds(), theirs = 0, mine;

	(void)state;
	for (unsigned i = 0; i < crowd; i++) {
		fd[i] = client_try();
		theirs += fd[i] >= 0;
		inspect_poll(world.in);
	}
	assert_int_equal(open_fds(), before + theirs + (int)INSPECT_CLIENTS);
	for (unsigned i = 0; i < 8; i++) {
		world.house.now_us += LIFETIME_US + 1;
		work();
	}
	mine = client();
	say(mine, "show small\n");
	assert_answer(mine, "\"hello\"\n");
	for (unsigned i = 0; i < crowd; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	work();
	assert_int_equal(open_fds(), before);
}

/* --- the socket file --- */

static void assert_refused(const char *path, const char *why)
{
	char err[256] = "";
	int before = open_fds();

	assert_null(inspect_create(path, &world.house, err, sizeof(err)));
	if (!strstr(err, why))
		fail_msg("\"%s\" is not in \"%s\"", why, err);
	assert_null(strchr(err, '\n'));
	assert_int_equal(open_fds(), before);
}

static void the_socket_file(void **state)
{
	char path[256], err[256];
	struct inspect *second;
	struct stat st;
	FILE *f;
	int fd;

	(void)state;
	assert_int_equal(stat(world.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);
	// Somebody listens.
	assert_refused(world.path, "in use");
	inspect_destroy(world.in);
	world.in = NULL;
	assert_int_equal(stat(world.path, &st), -1);
	// A dead process left it.
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un sa = {.sun_family = AF_UNIX};

		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", world.path);
		assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	close(fd);
	second = inspect_create(world.path, &world.house, err, sizeof(err));
	assert_non_null(second);
	inspect_destroy(second);
	// A file of another kind is somebody's data.
	f = fopen(world.path, "w");
	fputs("data", f);
	fclose(f);
	assert_refused(world.path, world.path);
	assert_int_equal(stat(world.path, &st), 0);
	assert_int_equal(st.st_size, 4);
	unlink(world.path);
	// Nowhere.
	snprintf(path, sizeof(path), "%s/no/cli", world.folder);
	assert_refused(path, "No such file or directory");
	memset(path, 'a', 200);
	path[200] = 0;
	assert_refused(path, "too long");
}

/** A data plane that hangs with a full queue is still one that runs: said at once, not waited for. */
static void a_full_queue_does_not_hold_us_up(void **state)
{
	int fd[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		fd[i] = client_try();
	assert_int_equal(fd[63], -1);
	alarm(5);
	assert_refused(world.path, "in use");
	alarm(0);
	for (unsigned i = 0; i < 64; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
}

/** Who took our name after us keeps it. */
static void a_successor_keeps_its_socket(void **state)
{
	struct inspect *successor;
	char err[256];

	(void)state;
	unlink(world.path);
	successor = inspect_create(world.path, &world.house, err, sizeof(err));
	assert_non_null(successor);
	inspect_destroy(world.in);
	world.in = successor;
	close(client());
}

static int server_make(void **state)
{
	char err[256];

	(void)state;
	world.asked = 0;
	world.house.now_us = 77000000;
	world.descriptors = open_fds();
	world.in = inspect_create(world.path, &world.house, err, sizeof(err));
	return world.in ? 0 : -1;
}

static int server_end(void **state)
{
	(void)state;
	inspect_destroy(world.in);
	world.in = NULL;
	unlink(world.path);
	return open_fds() == world.descriptors ? 0 : -1;
}

static int world_make(void **state)
{
	(void)state;
	strcpy(world.folder, "/tmp/sfu-test-XXXXXX");
	if (!mkdtemp(world.folder))
		return -1;
	snprintf(world.path, sizeof(world.path), "%s/cli", world.folder);
	return 0;
}

static int world_end(void **state)
{
	(void)state;
	return rmdir(world.folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_make, server_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_gets_one_document_and_the_end),
		TEST(a_request_may_come_in_pieces),
		TEST(a_long_answer_arrives_whole),
		TEST(what_is_no_request_is_told_what_is),
		TEST(strangers_order_no_hand_over),
		TEST(only_the_first_line_is_a_request),
		TEST(silence_is_cut_and_costs_nothing),
		TEST(a_request_without_end_is_cut),
		TEST(a_client_that_floods_is_cut),
		TEST(half_a_connection_is_enough_for_an_answer),
		TEST(a_client_that_never_reads_is_given_up),
		TEST(clients_that_go_at_any_moment_leave_nothing),
		TEST(the_ninth_client_waits_for_a_place),
		TEST(a_crowd_of_silent_clients_passes),
		TEST(the_socket_file),
		TEST(a_full_queue_does_not_hold_us_up),
		TEST(a_successor_keeps_its_socket),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
