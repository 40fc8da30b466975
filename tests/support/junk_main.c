// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-junk: hostile datagrams at the media port, paced, from many ports of this host and, with
 * --spoof, with the source of somebody else. Nothing of it deserves an answer: it counts those that
 * come. Prints one JSON line; exit 1 if there was an answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/stun.h"

#define SOCKETS 64
#define NAMES_MAX 64
#define BATCH 32
#define DATAGRAM_MAX 1400
#define HELLO_MAX 2048
/** Every so many batches are sent with somebody else's source. */
#define SPOOF_EVERY 8
/** Answers may take this long. */
#define LISTEN_MS 500

#define KINDS(X)                                                                                   \
	X(random)                                                                                  \
	X(short)                                                                                   \
	X(stun_random)                                                                             \
	X(stun_guessed)                                                                            \
	X(stun_forged)                                                                             \
	X(stun_flipped)                                                                            \
	X(stun_cut)                                                                                \
	X(stun_unsigned)                                                                           \
	X(stun_response)                                                                           \
	X(dtls_hello)                                                                              \
	X(dtls_fragment)                                                                           \
	X(dtls_alert)                                                                              \
	X(dtls_random)                                                                             \
	X(rtp)                                                                                     \
	X(rtcp)

enum kind {
#define X(name) KIND_##name,
	KINDS(X)
#undef X
		KIND_COUNT
};

static const char *const kind_names[] = {
#define X(name) #name,
	KINDS(X)
#undef X
};

struct junk {
	struct sockaddr_in to;
	struct sockaddr_in spoofed[NAMES_MAX];
	const char *ufrags[NAMES_MAX];
	uint32_t ssrcs[NAMES_MAX];
	unsigned spoofed_count, ufrag_count, ssrc_count;
	uint64_t count; // to send
	uint64_t pps;
	uint64_t random; // state
	int sockets[SOCKETS];
	int raw; // -1 without --spoof
	uint8_t hello[HELLO_MAX]; // a ClientHello
	size_t hello_len;
	uint64_t sent[KIND_COUNT];
	uint64_t spoofed_sent, total, answers;
};

/** A datagram with room for IP and UDP headers in front. */
struct datagram {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t bytes[DATAGRAM_MAX];
	size_t len;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t next_random(struct junk *j)
{
	j->random ^= j->random << 13;
	j->random ^= j->random >> 7;
	j->random ^= j->random << 17;
	return j->random;
}

/** From 0 to bound - 1. */
static unsigned below(struct junk *j, unsigned bound)
{
	return (unsigned)((next_random(j) >> 32) % bound);
}

static void fill(struct junk *j, uint8_t *out, size_t len)
{
	for (; len >= 8; len -= 8, out += 8) {
		uint64_t word = next_random(j);

		memcpy(out, &word, 8);
	}
	while (len--)
		*out++ = (uint8_t)next_random(j);
}

static void hmac_sha1(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t message[DATAGRAM_MAX];
	size_t len = 0;

	(void)ctx;
	for (size_t i = 0; i < part_count && len + parts[i].len <= sizeof(message); i++) {
		memcpy(message + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	HMAC(EVP_sha1(), key, (int)key_len, message, len, out, NULL);
}

static const struct stun_crypto crypto = {.hmac_sha1 = hmac_sha1};

/** A well-formed check with a password of our invention. */
static size_t stun_check(struct junk *j, const char *ufrag, uint8_t *out)
{
	uint8_t txid[STUN_TXID_LEN], password[24];
	char username[300];
	const struct stun_request request = {.txid = txid,
		.username = (const uint8_t *)username,
		.username_len = (size_t)snprintf(username, sizeof(username), "%s:junk", ufrag),
		.tie_breaker = next_random(j),
		.priority = 1853824767,
		.role = STUN_ROLE_CONTROLLING,
		.use_candidate = next_random(j) & 1};

	fill(j, txid, sizeof(txid));
	fill(j, password, sizeof(password));
	return stun_encode_request(
		out, DATAGRAM_MAX, &request, password, sizeof(password), &crypto);
}

static const char *known_ufrag(struct junk *j)
{
	return j->ufrag_count ? j->ufrags[below(j, j->ufrag_count)] : "abcdefgh";
}

static uint32_t known_ssrc(struct junk *j)
{
	return j->ssrc_count ? j->ssrcs[below(j, j->ssrc_count)] : (uint32_t)next_random(j);
}

static size_t stun_guessed(struct junk *j, uint8_t *out)
{
	char ufrag[9];

	for (unsigned i = 0; i < 8; i++)
		ufrag[i] = (char)('a' + below(j, 26));
	ufrag[8] = 0;
	return stun_check(j, ufrag, out);
}

/** Header in order, attributes at random. */
static size_t stun_random(struct junk *j, uint8_t *out)
{
	static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};
	size_t body = 4 * below(j, 100);

	fill(j, out, STUN_HEADER_LEN + body);
	out[0] = 0;
	out[1] = 1;
	out[2] = (uint8_t)(body >> 8);
	out[3] = (uint8_t)body;
	memcpy(out + 4, cookie, sizeof(cookie));
	return STUN_HEADER_LEN + body;
}

/** Ends where MESSAGE-INTEGRITY would begin. */
static size_t stun_unsigned(struct junk *j, uint8_t *out)
{
	size_t len = stun_check(j, known_ufrag(j), out);
	struct stun_view view;

	if (stun_parse(out, len, &view) != STUN_OK || !view.integrity_off)
		return len;
	out[2] = (uint8_t)((view.integrity_off - STUN_HEADER_LEN) >> 8);
	out[3] = (uint8_t)(view.integrity_off - STUN_HEADER_LEN);
	return view.integrity_off;
}

static size_t stun_response(struct junk *j, uint8_t *out)
{
	const struct stun_addr mapped = {.ip = {192, 0, 2, 1}, .port = 9, .version = 4};
	uint8_t txid[STUN_TXID_LEN], password[24];

	fill(j, txid, sizeof(txid));
	fill(j, password, sizeof(password));
	if (next_random(j) & 1)
		return stun_encode_error(out, DATAGRAM_MAX, txid, STUN_ERROR_ROLE_CONFLICT,
			password, sizeof(password), &crypto);
	return stun_encode_success(
		out, DATAGRAM_MAX, txid, &mapped, password, sizeof(password), &crypto);
}

static size_t dtls_hello(struct junk *j, uint8_t *out)
{
	size_t len = j->hello_len < DATAGRAM_MAX ? j->hello_len : DATAGRAM_MAX;

	memcpy(out, j->hello, len);
	fill(j, out + 29, 28); // another client random
	return len;
}

/** A piece of a ClientHello, with lengths that may or may not fit. */
static size_t dtls_fragment(struct junk *j, uint8_t *out)
{
	size_t len = dtls_hello(j, out), cut = 14 + below(j, (unsigned)len - 14);

	if (next_random(j) & 1) {
		out[11] = (uint8_t)((cut - 13) >> 8); // record
		out[12] = (uint8_t)(cut - 13);
	}
	if (next_random(j) & 1)
		fill(j, out + 17, 8); // message sequence, fragment offset and length
	return cut;
}

static size_t dtls_alert(struct junk *j, uint8_t *out)
{
	static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0};

	memcpy(out, alert, sizeof(alert));
	out[4] = (uint8_t)below(j, 3); // epoch
	out[13] = (uint8_t)(1 + below(j, 2));
	out[14] = (uint8_t)below(j, 120);
	return sizeof(alert);
}

static size_t rtp(struct junk *j, uint8_t *out)
{
	const struct rtp_header header = {.timestamp = (uint32_t)next_random(j),
		.ssrc = known_ssrc(j),
		.seq = (uint16_t)next_random(j),
		.payload_type = (uint8_t)(next_random(j) & 1 ? 98 : 111),
		.marker = next_random(j) & 1};
	size_t len = rtp_encode(out, DATAGRAM_MAX, &header), payload = below(j, 1200);

	fill(j, out + len, payload);
	return len + payload;
}

static size_t rtcp(struct junk *j, uint8_t *out)
{
	const struct rtcp_sender_info info = {.ssrc = known_ssrc(j), .ntp = next_random(j)};
	size_t len;

	switch (below(j, 3)) {
	case 0:
		len = rtcp_encode_sr(out, DATAGRAM_MAX, &info, NULL, 0);
		break;
	case 1:
		len = rtcp_encode_bye(out, DATAGRAM_MAX, &info.ssrc, 1);
		break;
	default:
		len = rtcp_encode_pli(out, DATAGRAM_MAX, 1, info.ssrc);
		break;
	}
	fill(j, out + len, 30); // index and tag
	return len + 30;
}

static size_t make(struct junk *j, enum kind kind, uint8_t *out)
{
	size_t len;

	switch (kind) {
	case KIND_random:
		len = 1 + below(j, DATAGRAM_MAX - 1);
		fill(j, out, len);
		return len;
	case KIND_short:
		len = below(j, 13);
		fill(j, out, len);
		return len;
	case KIND_stun_random:
		return stun_random(j, out);
	case KIND_stun_guessed:
		return stun_guessed(j, out);
	case KIND_stun_forged:
		return stun_check(j, known_ufrag(j), out);
	case KIND_stun_flipped:
		len = stun_check(j, known_ufrag(j), out);
		out[below(j, (unsigned)len)] ^= (uint8_t)(1u << below(j, 8));
		return len;
	case KIND_stun_cut:
		return below(j, (unsigned)stun_check(j, known_ufrag(j), out));
	case KIND_stun_unsigned:
		return stun_unsigned(j, out);
	case KIND_stun_response:
		return stun_response(j, out);
	case KIND_dtls_hello:
		return dtls_hello(j, out);
	case KIND_dtls_fragment:
		return dtls_fragment(j, out);
	case KIND_dtls_alert:
		return dtls_alert(j, out);
	case KIND_dtls_random:
		len = 13 + below(j, 500);
		fill(j, out, len);
		out[0] = (uint8_t)(20 + below(j, 44));
		return len;
	case KIND_rtp:
		return rtp(j, out);
	case KIND_rtcp:
		return rtcp(j, out);
	case KIND_COUNT:
		break;
	}
	return 0;
}

/** What OpenSSL's client says first. */
static bool make_hello(struct junk *j)
{
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int len = 0;

	if (ssl && in && out) {
		SSL_set_bio(ssl, in, out);
		SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
		SSL_set_mtu(ssl, 1200);
		SSL_set_tlsext_use_srtp(ssl, "SRTP_AEAD_AES_128_GCM");
		SSL_set_connect_state(ssl);
		SSL_do_handshake(ssl);
		len = BIO_read(out, j->hello, sizeof(j->hello));
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	j->hello_len = len > 0 ? (size_t)len : 0;
	return len > 100;
}

/** IP and UDP headers in front of a datagram, from somebody else. */
static void spoof(struct junk *j, struct datagram *d)
{
	const struct sockaddr_in *from = &j->spoofed[below(j, j->spoofed_count)];

	memset(&d->ip, 0, sizeof(d->ip));
	d->ip.version = 4;
	d->ip.ihl = 5;
	d->ip.ttl = 64;
	d->ip.protocol = IPPROTO_UDP;
	d->ip.saddr = from->sin_addr.s_addr;
	d->ip.daddr = j->to.sin_addr.s_addr;
	d->ip.tot_len = htons((uint16_t)(sizeof(d->ip) + sizeof(d->udp) + d->len));
	d->udp.source = from->sin_port;
	d->udp.dest = j->to.sin_port;
	d->udp.len = htons((uint16_t)(sizeof(d->udp) + d->len));
	d->udp.check = 0;
}

/** Send n datagrams; all of one batch have one source socket. */
static void send_batch(struct junk *j, struct datagram *batch, unsigned n, bool spoofed)
{
	const size_t headers = sizeof(struct iphdr) + sizeof(struct udphdr);
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	int fd = spoofed ? j->raw : j->sockets[below(j, SOCKETS)];
	unsigned done = 0;

	memset(messages, 0, sizeof(messages));
	for (unsigned i = 0; i < n; i++) {
		if (spoofed)
			spoof(j, &batch[i]);
		iov[i].iov_base = spoofed ? (void *)&batch[i].ip : batch[i].bytes;
		iov[i].iov_len = batch[i].len + (spoofed ? headers : 0);
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = &j->to;
		messages[i].msg_hdr.msg_namelen = sizeof(j->to);
	}
	while (done < n) {
		int sent = sendmmsg(fd, messages + done, n - done, 0);

		if (sent <= 0) {
			perror("sfu-junk: sendmmsg");
			exit(2);
		}
		done += (unsigned)sent;
	}
	j->total += n;
	j->spoofed_sent += spoofed ? n : 0;
}

static void listen_for_answers(struct junk *j)
{
	uint8_t buf[2048];

	for (unsigned i = 0; i < SOCKETS; i++) {
		while (recv(j->sockets[i], buf, sizeof(buf), MSG_DONTWAIT) >= 0)
			j->answers++;
	}
}

static void send_all(struct junk *j)
{
	static struct datagram batch[BATCH];
	uint64_t start_us = clock_us();

	for (uint64_t round = 0; j->total < j->count; round++) {
		uint64_t due = (clock_us() - start_us) * j->pps / 1000000;
		unsigned n = j->count - j->total < BATCH ? (unsigned)(j->count - j->total) : BATCH;

		if (due < j->total + n) {
			usleep(500);
			continue;
		}
		for (unsigned i = 0; i < n; i++) {
			enum kind kind = (enum kind)below(j, KIND_COUNT);

			batch[i].len = make(j, kind, batch[i].bytes);
			j->sent[kind]++;
		}
		send_batch(j, batch, n, j->raw >= 0 && round % SPOOF_EVERY == 0);
		if (round % 256 == 0)
			listen_for_answers(j);
	}
	usleep(LISTEN_MS * 1000);
	listen_for_answers(j);
}

static void usage(void)
{
	fputs("usage: sfu-junk --to IP:PORT [--count N] [--pps N] [--seed N] [--ufrag U]...\n"
	      "                [--ssrc S]... [--spoof IP:PORT]...\n",
		stderr);
	exit(2);
}

static struct sockaddr_in read_address(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char ip[64];
	unsigned port;

	if (sscanf(text, "%63[0-9.]:%u", ip, &port) != 2 || port > 65535
		|| inet_pton(AF_INET, ip, &address.sin_addr) != 1)
		usage();
	address.sin_port = htons((uint16_t)port);
	return address;
}

static void read_options(struct junk *j, int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'c'},
		{"pps", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 's'},
		{"ufrag", required_argument, NULL, 'u'},
		{"ssrc", required_argument, NULL, 'r'},
		{"spoof", required_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == 't')
			j->to = read_address(optarg);
		else if (id == 'c')
			j->count = strtoull(optarg, NULL, 10);
		else if (id == 'p')
			j->pps = strtoull(optarg, NULL, 10);
		else if (id == 's')
			j->random = strtoull(optarg, NULL, 10) * 2 + 1;
		else if (id == 'u' && j->ufrag_count < NAMES_MAX)
			j->ufrags[j->ufrag_count++] = optarg;
		else if (id == 'r' && j->ssrc_count < NAMES_MAX)
			j->ssrcs[j->ssrc_count++] = (uint32_t)strtoul(optarg, NULL, 10);
		else if (id == 'x' && j->spoofed_count < NAMES_MAX)
			j->spoofed[j->spoofed_count++] = read_address(optarg);
		else
			usage();
	}
	if (!j->to.sin_port || !j->pps || optind < argc)
		usage();
}

static void open_sockets(struct junk *j)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		j->sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (j->sockets[i] < 0) {
			perror("sfu-junk: socket");
			exit(2);
		}
	}
	j->raw = -1;
	if (!j->spoofed_count)
		return;
	j->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (j->raw < 0) {
		perror("sfu-junk: raw socket for --spoof");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct junk j = {.count = 1000000, .pps = 50000, .random = 88172645463325252u};
	uint64_t start_us;

	read_options(&j, argc, argv);
	open_sockets(&j);
	if (!make_hello(&j)) {
		fputs("sfu-junk: OpenSSL makes no ClientHello\n", stderr);
		return 2;
	}
	start_us = clock_us();
	send_all(&j);
	printf("{\"sent\":%llu,\"spoofed\":%llu,\"answers\":%llu,\"ms\":%llu",
		(unsigned long long)j.total, (unsigned long long)j.spoofed_sent,
		(unsigned long long)j.answers,
		(unsigned long long)((clock_us() - start_us) / 1000));
	for (unsigned i = 0; i < KIND_COUNT; i++)
		printf(",\"%s\":%llu", kind_names[i], (unsigned long long)j.sent[i]);
	printf("}\n");
	for (unsigned i = 0; i < SOCKETS; i++)
		close(j.sockets[i]);
	if (j.raw >= 0)
		close(j.raw);
	return j.answers ? 1 : 0;
}
