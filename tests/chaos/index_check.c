// SPDX-License-Identifier: BSD-3-Clause
/**
 * index-check: watches an interface from outside and proves that no (transport, SSRC, index) is sent
 * twice, whatever dies meanwhile. Shares no code with what it watches.
 *
 *   index-check [--tag OCTETS] INTERFACE PORT
 *
 * PORT is the media port of the data plane; OCTETS is the length of the tag behind the index of SRTCP:
 * 0 of the AEAD profiles (the default), 10 of AES128_CM_SHA1_80.
 *
 * What comes from PORT, over IPv4 or IPv6, is checked: RTP by sequence numbers, extended to indices
 * from the first one on, SRTCP by the index that it carries. A transport is told by the address it is
 * sent to. Also noted: how long each stream was silent.
 *
 * The rollover counter is on no wire, so this alone does not see an index that went back by exactly
 * one turn of the sequence. Such a packet no receiver can open: the peers of the same test count it
 * (undecryptable), and both together are the proof.
 *
 * What goes to PORT is remembered for a while; SIGUSR2 says that nobody is there to take it for the
 * next moments, so that it is not. SIGUSR1: what is older than three seconds of it is sent again, as
 * an attacker would: media as it was, ICE checks from another port, whence they would move the path to
 * him. SIGHUP: prints the longest time since the last such signal for which RTP went to PORT and none at all
 * came from there, by the kernel's clock; each of more than 15 ms is told as "silent FROM TO" before. SIGTERM: one line of JSON, and the end; status 1 when an index came twice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 2048
#define BUFFER_BYTES (64 << 20)
/** Numbers per page of a stream's bitmap, and pages: a quarter of a million million indices. */
#define PAGE_INDICES 65536u
#define PAGES 65536u
#define STREAMS 4096u
/** Several seconds of all that is sent to the data plane. */
#define KEPT 65536u
/** Of media so many are sent again at most: more at once its port has no room for. */
#define AGAIN_MAX 4096u
#define KEPT_AGE_US 3000000u
/** After SIGUSR2. */
#define NOBODY_US 2000000u
/** A silence worth noting, and how many of them. */
#define SILENCE_US 100000u
#define SILENCES 65536u

/** A silence of all streams at once that is told with its beginning and end. */
#define GAP_US 15000u

/** Whom a packet is sent to; IPv4 in the first four octets. */
struct place {
	uint8_t address[16];
	uint16_t port;
};

/** One SSRC of RTP, or one sender of RTCP, toward one place. */
struct stream {
	struct place to;
	bool is_rtcp;
	uint32_t ssrc;
	uint64_t highest;
	uint64_t count;
	uint64_t last_us;
	uint64_t *page[PAGES];
};

struct kept {
	uint64_t at_us;
	uint16_t len;
	uint16_t port_at; /* of a check: where its source port is; 0 = media */
	uint8_t frame[FRAME_MAX];
};

static struct {
	uint16_t media_port;
	size_t tag_len; /* behind the index of SRTCP */
	int fd;
	struct stream *stream[STREAMS];
	unsigned stream_count;
	struct kept *kept;
	unsigned kept_next;
	uint64_t nobody_us; /* last SIGUSR2 */
	uint64_t stamp_us; /* of the frame at hand, by the kernel's clock, as the next three */
	uint64_t asked_us; /* RTP went to PORT and none has come since; 0 = not so */
	uint64_t gap_us; /* the longest time that was so */
	uint64_t rtp, rtcp, repeated, malformed, replayed;
	uint32_t silence_ms[SILENCES];
	unsigned silence_count;
} check;

static volatile sig_atomic_t stop, replay, nobody, gap;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		replay = 1;
	else if (number == SIGUSR2)
		nobody = 1;
	else if (number == SIGHUP)
		gap = 1;
	else
		stop = 1;
}

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static struct stream *stream_of(const struct place *to, bool is_rtcp, uint32_t ssrc)
{
	struct stream *s;

	for (unsigned i = 0; i < check.stream_count; i++) {
		s = check.stream[i];
		if (s->ssrc == ssrc && s->is_rtcp == is_rtcp && !memcmp(&s->to, to, sizeof(*to)))
			return s;
	}
	s = check.stream_count < STREAMS ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		fprintf(stderr, "index-check: more streams than there is room for\n");
		exit(2);
	}
	s->to = *to;
	s->is_rtcp = is_rtcp;
	s->ssrc = ssrc;
	check.stream[check.stream_count++] = s;
	return s;
}

/** Sets the bit of an index; whether it was set. */
static bool index_seen(struct stream *s, uint64_t index)
{
	uint64_t **page = &s->page[index / PAGE_INDICES % PAGES];
	uint64_t bit = UINT64_C(1) << index % 64;
	uint64_t *word;
	bool seen;

	if (!*page)
		*page = calloc(PAGE_INDICES / 64, sizeof(**page));
	if (!*page)
		exit(2);
	word = &(*page)[index % PAGE_INDICES / 64];
	seen = *word & bit;
	*word |= bit;
	return seen;
}

static void used(struct stream *s, uint64_t index, uint64_t now_us)
{
	if (index_seen(s, index)) {
		check.repeated++;
		fprintf(stderr, "index-check: %s ssrc %08x index %llu came twice\n",
			s->is_rtcp ? "SRTCP" : "SRTP", s->ssrc, (unsigned long long)index);
	}
	if (!s->count || index > s->highest)
		s->highest = index;
	if (!s->is_rtcp && s->last_us && now_us - s->last_us >= SILENCE_US
		&& check.silence_count < SILENCES)
		check.silence_ms[check.silence_count++] = (uint32_t)((now_us - s->last_us) / 1000);
	s->last_us = now_us;
	s->count++;
}

/** RTP has come, of any stream. */
static void heard(void)
{
	uint64_t us = check.asked_us && check.stamp_us > check.asked_us
			      ? check.stamp_us - check.asked_us
			      : 0;

	if (us > check.gap_us)
		check.gap_us = us;
	if (us > GAP_US)
		printf("silent %llu %llu\n", (unsigned long long)check.asked_us,
			(unsigned long long)check.stamp_us);
	check.asked_us = 0;
}

static void rtp(const uint8_t *p, size_t len, const struct place *to, uint64_t now_us)
{
	struct stream *s;
	uint64_t index;

	if (len < 12) {
		check.malformed++;
		return;
	}
	s = stream_of(to, false, be32(p + 8));
	// The one nearest to the highest so far; the first one is in the middle of nothing.
	index = s->count
			? s->highest
				  + (uint64_t)(int64_t)(int16_t)(be16(p + 2) - (uint16_t)s->highest)
			: UINT64_C(0x100000) + be16(p + 2);
	check.rtp++;
	heard();
	used(s, index, now_us);
}

static void rtcp(const uint8_t *p, size_t len, const struct place *to, uint64_t now_us)
{
	const uint8_t *index = p + len - check.tag_len - 4;

	if (len < 8 + 4 + 10 || len < 8 + 4 + check.tag_len) {
		check.malformed++;
		return;
	}
	check.rtcp++;
	used(stream_of(to, true, be32(p + 4)), be32(index) & 0x7fffffff, now_us);
}

static void keep(const uint8_t *frame, size_t len, size_t port_at, uint64_t now_us)
{
	struct kept *k = &check.kept[check.kept_next % KEPT];

	if (check.nobody_us && now_us - check.nobody_us < NOBODY_US)
		return;
	check.kept_next++;
	k->at_us = now_us;
	k->len = (uint16_t)len;
	k->port_at = (uint16_t)port_at;
	memcpy(k->frame, frame, len);
}

/** The UDP header of a frame, and whom it is for; NULL: there is none. */
static const uint8_t *udp_of(const uint8_t *f, size_t len, struct place *to)
{
	const uint8_t *ip = f + 14;
	size_t ip_len = 40;

	memset(to, 0, sizeof(*to));
	if (len >= 14 + 20 && be16(f + 12) == ETHERTYPE_IP && ip[9] == IPPROTO_UDP) {
		ip_len = (ip[0] & 15u) * 4u;
		memcpy(to->address, ip + 16, 4);
	} else if (len >= 14 + 40 && be16(f + 12) == ETHERTYPE_IPV6 && ip[6] == IPPROTO_UDP) {
		memcpy(to->address, ip + 24, 16);
	} else {
		return NULL;
	}
	if (ip_len < 20 || len < 14 + ip_len + 8)
		return NULL;
	to->port = be16(ip + ip_len + 2);
	return ip + ip_len;
}

static void frame(const uint8_t *f, size_t len, uint64_t now_us)
{
	struct place to;
	const uint8_t *udp = udp_of(f, len, &to), *payload;
	size_t payload_len;
	bool is_rtcp;

	if (!udp || be16(udp + 4) < 8 + 2 || (size_t)(udp - f) + be16(udp + 4) > len)
		return;
	payload = udp + 8;
	payload_len = be16(udp + 4) - 8u;
	// A Binding request (RFC 8489, 5).
	if (to.port == check.media_port && payload_len >= 20 && be16(payload) == 0x0001)
		keep(f, len, (size_t)(udp - f), now_us);
	// RFC 7983: media only.
	if (payload[0] < 128 || payload[0] > 191)
		return;
	is_rtcp = payload[1] >= 192 && payload[1] <= 223;
	if (to.port == check.media_port) {
		if (!check.asked_us && !is_rtcp)
			check.asked_us = check.stamp_us;
		keep(f, len, 0, now_us);
	} else if (be16(udp) != check.media_port)
		return;
	else if (is_rtcp)
		rtcp(payload, payload_len, &to, now_us);
	else
		rtp(payload, payload_len, &to, now_us);
}

/** The youngest of those that are old enough, and all checks. */
static void send_again(uint64_t now_us)
{
	unsigned media = 0, checks = 0;

	for (unsigned i = 1; i <= KEPT; i++) {
		struct kept *k = &check.kept[(check.kept_next - i) % KEPT];
		unsigned *sent = k->port_at ? &checks : &media;

		if (!k->len || now_us - k->at_us < KEPT_AGE_US
			|| (!k->port_at && media == AGAIN_MAX))
			continue;
		if (k->port_at)
			k->frame[k->port_at] ^= 0x40;
		*sent += send(check.fd, k->frame, k->len, 0) == k->len;
		k->len = 0;
	}
	check.replayed += media + checks;
	printf("replayed %u %u\n", media, checks);
	fflush(stdout);
}

static void say_gap(void)
{
	printf("gap %llu us\n", (unsigned long long)check.gap_us);
	fflush(stdout);
	check.gap_us = check.asked_us = 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(void)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);
	unsigned n = check.silence_count;

	getsockopt(check.fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	qsort(check.silence_ms, n, sizeof(check.silence_ms[0]), by_value);
	printf("{\"rtp\": %llu, \"srtcp\": %llu, \"streams\": %u, \"repeated\": %llu, "
	       "\"malformed\": "
	       "%llu, \"not_seen\": %u, \"replayed\": %llu, \"silences\": %u, "
	       "\"silence_median_ms\": %u, "
	       "\"silence_max_ms\": %u}\n",
		(unsigned long long)check.rtp, (unsigned long long)check.rtcp, check.stream_count,
		(unsigned long long)check.repeated, (unsigned long long)check.malformed,
		stats.tp_drops, (unsigned long long)check.replayed, n,
		n ? check.silence_ms[n / 2] : 0, n ? check.silence_ms[n - 1] : 0);
}

static int open_interface(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int size = BUFFER_BYTES, on = 1;

	address.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !address.sll_ifindex
		|| bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	return fd;
}

/** The next frame, of FRAME_MAX octets at most; -1: none. */
static ssize_t take(uint8_t *f)
{
	struct iovec part = {.iov_base = f, .iov_len = FRAME_MAX};
	union {
		struct cmsghdr header;
		uint8_t octets[CMSG_SPACE(sizeof(struct timespec))];
	} control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.octets,
		.msg_controllen = sizeof(control.octets),
	};
	ssize_t n = recvmsg(check.fd, &message, MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
	struct timespec ts;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		check.stamp_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (argc == 5 && !strcmp(argv[1], "--tag")) {
		check.tag_len = strtoul(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	check.fd = argc == 3 ? open_interface(argv[1]) : -1;
	check.media_port = argc == 3 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0;
	check.kept = calloc(KEPT, sizeof(*check.kept));
	if (check.fd < 0 || !check.media_port || !check.kept) {
		fprintf(stderr, "usage: index-check [--tag OCTETS] INTERFACE PORT (%s)\n",
			strerror(errno));
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	printf("watching\n");
	fflush(stdout);
	while (!stop) {
		struct pollfd readable = {.fd = check.fd, .events = POLLIN};
		uint8_t f[FRAME_MAX];

		if (nobody) {
			nobody = 0;
			check.nobody_us = clock_us();
		}
		if (gap) {
			gap = 0;
			say_gap();
		}
		if (replay) {
			replay = 0;
			send_again(clock_us());
		}
		if (poll(&readable, 1, 200) <= 0)
			continue;
		for (;;) {
			ssize_t n = take(f);

			if (n <= 0)
				break;
			frame(f, (size_t)n, clock_us());
		}
	}
	report();
	return check.repeated ? 1 : 0;
}
