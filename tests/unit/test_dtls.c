// SPDX-License-Identifier: BSD-3-Clause
// DTLS handshakes against an OpenSSL client in the same process. The network between the two is a
// pair of queues, and OpenSSL's clock is ours: gettimeofday() below stands in for libc's, so loss
// is tested without waiting for a timer.
#include "sfu-ctl/dtls.h"

#include "shared/command.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE 256
#define EXPORTER_LABEL "EXTRACTOR-dtls_srtp"

static uint64_t now_us = 1000000;

/* Overrides libc's for libssl as well: the program's symbols come first. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz);

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = (time_t)(now_us / 1000000);
	tv->tv_usec = (suseconds_t)(now_us % 1000000);
	return 0;
}

/* --- the network ------------------------------------------------------------------------- */

struct datagram {
	size_t len;
	uint8_t octets[2048];
};

struct queue {
	size_t head, tail; /* head == tail: empty */
	struct datagram item[QUEUE];
};

static void push(struct queue *q, const uint8_t *octets, size_t len)
{
	struct datagram *d = &q->item[q->tail++ % QUEUE];

	assert_true(q->tail - q->head <= QUEUE);
	assert_true(len <= sizeof(d->octets));
	memcpy(d->octets, octets, len);
	d->len = len;
}

static struct datagram *pop(struct queue *q)
{
	return q->head == q->tail ? NULL : &q->item[q->head++ % QUEUE];
}

static size_t waiting(const struct queue *q)
{
	return q->tail - q->head;
}

/* A xorshift, so that every run is the same. */
static uint32_t random32(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 16);
}

/* --- the client -------------------------------------------------------------------------- */

struct client_options {
	const char *profiles; /* NULL = all three, in a browser's order */
	bool no_srtp;
	bool no_certificate;
	bool no_ems;
	bool long_hello; /* two datagrams, as a browser's with a post-quantum share */
	EVP_PKEY *key; /* NULL = the shared P-256 one */
};

struct pair {
	struct dtls_session *server;
	SSL *client;
	struct queue to_server, to_client;
	struct datagram *arrived; /* at the client */
	size_t sent_by_server; /* datagrams */
	bool client_done;
	bool client_failed;
	bool client_closed;
	char fingerprint[DTLS_FINGERPRINT_TEXT_BYTES];
};

static struct dtls_context *context;
static EVP_PKEY *client_key;
static BIO_METHOD *client_bio_method;

static int client_write(BIO *bio, const char *data, int len)
{
	struct pair *p = BIO_get_data(bio);

	push(&p->to_server, (const uint8_t *)data, (size_t)len);
	return len;
}

static int client_read(BIO *bio, char *data, int size)
{
	struct pair *p = BIO_get_data(bio);
	int len;

	BIO_clear_retry_flags(bio);
	if (p->arrived == NULL) {
		BIO_set_retry_read(bio);
		return -1;
	}
	len = (int)p->arrived->len;
	assert_true(len <= size);
	memcpy(data, p->arrived->octets, (size_t)len);
	p->arrived = NULL;
	return len;
}

static long client_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int client_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static unsigned int client_timer(SSL *ssl, unsigned int timer_us)
{
	(void)ssl;
	return timer_us == 0 ? 120000 : timer_us < 400000 ? timer_us * 2 : timer_us;
}

static int trust_anyone(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static X509 *self_signed(EVP_PKEY *key, long from_s, long to_s)
{
	X509 *x = X509_new();

	assert_non_null(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

static void fingerprint_of(X509 *x, const EVP_MD *md, char *text)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	assert_int_equal(X509_digest(x, md, digest, &len), 1);
	for (unsigned int i = 0; i < len; i++)
		sprintf(text + 3 * i, "%02X%s", digest[i], i + 1 < len ? ":" : "");
}

static SSL *client_ssl(struct pair *p, const struct client_options *o)
{
	/* A browser has some 1,400 octets of hello; four names of 250 do the same. */
	static uint8_t names[4 * 251];
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
	EVP_PKEY *key = o->key != NULL ? o->key : client_key;
	X509 *x = self_signed(key, -86400, 86400);
	BIO *bio = BIO_new(client_bio_method);
	SSL *ssl;

	assert_non_null(ctx);
	fingerprint_of(x, EVP_sha256(), p->fingerprint);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
	if (o->no_ems)
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, trust_anyone, NULL);
	if (!o->no_certificate) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	}
	if (!o->no_srtp) {
		const char *profiles = o->profiles != NULL ? o->profiles
							   : "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_"
							     "256_GCM:SRTP_AEAD_AES_128_GCM";

		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(ctx, profiles), 0);
	}
	ssl = SSL_new(ctx);
	assert_non_null(ssl);
	BIO_set_data(bio, p);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_mtu(ssl, 1200);
	DTLS_set_timer_cb(ssl, client_timer);
	SSL_set_connect_state(ssl);
	if (o->long_hello) {
		for (int i = 0; i < 4; i++) {
			memset(names + i * 251, 'a' + i, 251);
			names[i * 251] = 250;
		}
		assert_int_equal(SSL_set_alpn_protos(ssl, names, sizeof(names)), 0);
	}
	X509_free(x);
	SSL_CTX_free(ctx); /* the SSL holds it */
	return ssl;
}

static void client_run(struct pair *p)
{
	uint8_t discard[64];
	int result, error;

	ERR_clear_error();
	result = p->client_done ? SSL_read(p->client, discard, sizeof(discard))
				: SSL_do_handshake(p->client);
	error = SSL_get_error(p->client, result);
	if (result == 1 && !p->client_done)
		p->client_done = true;
	else if (error == SSL_ERROR_ZERO_RETURN)
		p->client_closed = true;
	else if (error != SSL_ERROR_WANT_READ)
		p->client_failed = true;
}

static void server_send(void *arg, const uint8_t *datagram, size_t len)
{
	struct pair *p = arg;

	assert_in_range(len, 13, DTLS_MTU_BYTES);
	p->sent_by_server++;
	push(&p->to_client, datagram, len);
}

static struct pair *pair_create(const struct client_options *o)
{
	static const struct client_options none;
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->client = client_ssl(p, o != NULL ? o : &none);
	p->server = dtls_session_create(context, server_send, p);
	assert_non_null(p->server);
	client_run(p); /* the ClientHello */
	return p;
}

static void pair_destroy(struct pair *p)
{
	dtls_session_destroy(p->server);
	SSL_free(p->client);
	free(p);
}

static int set_fingerprint(struct pair *p, const char *value)
{
	struct dtls_fingerprint f = {"sha-256", value};

	return dtls_session_set_remote(p->server, "client", &f, 1);
}

static void to_server(struct pair *p, const struct datagram *d)
{
	dtls_session_feed(p->server, d->octets, d->len, now_us);
}

static void to_client(struct pair *p, struct datagram *d)
{
	p->arrived = d;
	client_run(p);
	p->arrived = NULL;
}

/* Deliver all there is. */
static void settle(struct pair *p)
{
	while (waiting(&p->to_server) + waiting(&p->to_client) > 0) {
		while (waiting(&p->to_server) > 0)
			to_server(p, pop(&p->to_server));
		while (waiting(&p->to_client) > 0)
			to_client(p, pop(&p->to_client));
	}
}

/* Let 10 ms pass for both ends. */
static void tick(struct pair *p)
{
	now_us += 10000;
	if (dtls_session_next_timeout_us(p->server, now_us) <= now_us)
		dtls_session_on_timeout(p->server, now_us);
	if (!p->client_failed && DTLSv1_handle_timeout(p->client) < 0)
		p->client_failed = true;
}

/* Both ends connected, with equal keys of the profile. */
static void assert_keys_equal(struct pair *p, uint16_t profile)
{
	struct dtls_srtp_keys keys;
	uint8_t m[92];
	size_t k, s;

	assert_int_equal(dtls_session_state(p->server), DTLS_CONNECTED);
	assert_string_equal(dtls_session_reason(p->server), "");
	assert_true(p->client_done);
	assert_int_equal(dtls_session_export(p->server, &keys), 0);
	assert_int_equal(keys.profile, profile);
	assert_int_equal(SSL_get_selected_srtp_profile(p->client)->id, profile);
	k = keys.key_bytes;
	s = keys.salt_bytes;
	assert_int_equal(k, profile == SFU_SRTP_AEAD_AES_256_GCM ? 32 : 16);
	assert_int_equal(s, profile == SFU_SRTP_AES128_CM_SHA1_80 ? 14 : 12);
	assert_int_equal(SSL_export_keying_material(p->client, m, 2 * (k + s), EXPORTER_LABEL,
				 strlen(EXPORTER_LABEL), NULL, 0, 0),
		1);
	assert_memory_equal(keys.client_key, m, k);
	assert_memory_equal(keys.server_key, m + k, k);
	assert_memory_equal(keys.client_salt, m + 2 * k, s);
	assert_memory_equal(keys.server_salt, m + 2 * k + s, s);
	dtls_keys_wipe(&keys);
	assert_int_equal(keys.profile, 0);
	// Once, and they are not made again.
	assert_int_equal(dtls_session_export(p->server, &keys), -EALREADY);
	assert_int_equal(keys.key_bytes, 0);
}

static void assert_no_keys(struct pair *p)
{
	static const struct dtls_srtp_keys zero;
	struct dtls_srtp_keys keys;

	memset(&keys, 0xff, sizeof(keys));
	assert_int_equal(dtls_session_export(p->server, &keys), -EAGAIN);
	assert_memory_equal(&keys, &zero, sizeof(keys));
}

/* --- handshakes ---------------------------------------------------------------------------- */

static void test_profiles(void **state)
{
	static const struct {
		const char *offered;
		uint16_t chosen;
	} rows[] = {
		{NULL, SFU_SRTP_AEAD_AES_128_GCM}, /* our order decides, not the browser's */
		{"SRTP_AES128_CM_SHA1_80", SFU_SRTP_AES128_CM_SHA1_80},
		{"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM", SFU_SRTP_AEAD_AES_256_GCM},
		{"SRTP_AEAD_AES_128_GCM", SFU_SRTP_AEAD_AES_128_GCM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_options o = {.profiles = rows[i].offered};
		struct pair *p = pair_create(&o);

		assert_int_equal(set_fingerprint(p, p->fingerprint), 0);
		assert_int_equal(waiting(&p->to_server), 1);
		to_server(p, pop(&p->to_server));
		assert_int_equal(waiting(&p->to_client), 1); /* a flight is one datagram */
		settle(p);
		assert_int_equal(p->sent_by_server, 2);
		assert_keys_equal(p, rows[i].chosen);
		assert_true(dtls_session_next_timeout_us(p->server, now_us) == UINT64_MAX);
		pair_destroy(p);
	}
}

static void test_only_profiles_we_seal_with(void **state)
{
	struct client_options o = {.profiles = "SRTP_AES128_CM_SHA1_32"};
	struct pair *p = pair_create(&o);

	(void)state;
	set_fingerprint(p, p->fingerprint);
	settle(p);
	assert_int_equal(dtls_session_state(p->server), DTLS_FAILED);
	assert_no_keys(p);
	pair_destroy(p);
}

static void test_long_hello(void **state)
{
	(void)state;
	for (int swapped = 0; swapped < 2; swapped++) {
		struct client_options o = {.long_hello = true};
		struct pair *p = pair_create(&o);
		struct datagram *first, *second;

		set_fingerprint(p, p->fingerprint);
		assert_int_equal(waiting(&p->to_server), 2);
		first = pop(&p->to_server);
		second = pop(&p->to_server);
		to_server(p, swapped ? second : first);
		assert_int_equal(p->sent_by_server, 0);
		to_server(p, swapped ? first : second);
		assert_int_equal(p->sent_by_server, 1);
		settle(p);
		assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
		pair_destroy(p);
	}
}

/* A network that loses the datagram number `lost` of all that are sent. @return how many were */
static size_t run_losing(struct pair *p, size_t lost)
{
	size_t number = 0;

	for (int turn = 0; turn < 200; turn++) {
		while (waiting(&p->to_server) + waiting(&p->to_client) > 0) {
			while (waiting(&p->to_server) > 0) {
				struct datagram *d = pop(&p->to_server);

				if (number++ != lost)
					to_server(p, d);
			}
			while (waiting(&p->to_client) > 0) {
				struct datagram *d = pop(&p->to_client);

				if (number++ != lost)
					to_client(p, d);
			}
		}
		if (p->client_done && dtls_session_state(p->server) == DTLS_CONNECTED)
			break;
		tick(p);
	}
	return number;
}

static void test_each_datagram_lost_once(void **state)
{
	size_t total = 0;

	(void)state;
	for (size_t lost = SIZE_MAX; lost == SIZE_MAX || lost < total; lost++) {
		struct client_options o = {.long_hello = true};
		struct pair *p = pair_create(&o);
		uint64_t start_us = now_us;

		set_fingerprint(p, p->fingerprint);
		if (lost == SIZE_MAX)
			total = run_losing(p, lost);
		else
			run_losing(p, lost);
		assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
		assert_true(now_us - start_us <= 130000); /* the first timer, not OpenSSL's 1 s */
		pair_destroy(p);
	}
	print_message("%zu datagrams, each lost once\n", total);
	assert_in_range(total, 5, 8);
}

/* Loss, repetition and disorder by seed: always the same end. */
static void test_bad_network(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct client_options o = {.long_hello = seed % 2 == 0};
		struct pair *p = pair_create(&o);
		uint64_t r = seed * UINT64_C(0x9e3779b97f4a7c15);

		set_fingerprint(p, p->fingerprint);
		for (int turn = 0; turn < 900; turn++) {
			for (int k = 0; k < 4; k++) {
				bool up = random32(&r) % 2 != 0;
				struct queue *q = up ? &p->to_server : &p->to_client;
				struct datagram d;

				if (waiting(q) == 0)
					continue;
				d = *pop(q);
				if (random32(&r) % 4 == 0)
					continue; /* lost */
				if (random32(&r) % 4 == 0) {
					push(q, d.octets, d.len); /* later, or once more */
					if (random32(&r) % 2 == 0)
						continue;
				}
				if (up)
					to_server(p, &d);
				else
					to_client(p, &d);
			}
			if (dtls_session_state(p->server) != DTLS_CONNECTED)
				assert_no_keys(p);
			if (p->client_done && dtls_session_state(p->server) == DTLS_CONNECTED)
				break;
			tick(p);
		}
		assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
		pair_destroy(p);
	}
}

/* The server is done, its last flight was lost: the client asks again and again. */
static void test_final_flight_repeated(void **state)
{
	struct pair *p = pair_create(NULL);
	struct dtls_srtp_keys keys;
	struct datagram last;
	uint8_t material[56];

	(void)state;
	set_fingerprint(p, p->fingerprint);
	to_server(p, pop(&p->to_server));
	to_client(p, pop(&p->to_client));
	assert_int_equal(waiting(&p->to_server), 1);
	last = *pop(&p->to_server);
	to_server(p, &last);
	assert_int_equal(dtls_session_state(p->server), DTLS_CONNECTED);
	// Also by a session that has forgotten what its keys were made from.
	assert_int_equal(dtls_session_export(p->server, &keys), 0);
	for (int i = 0; i < 5; i++) {
		while (pop(&p->to_client) != NULL)
			;
		now_us += 2000000;
		assert_true(DTLSv1_handle_timeout(p->client) >= 0);
		while (waiting(&p->to_server) > 0)
			to_server(p, pop(&p->to_server));
		assert_true(waiting(&p->to_client) > 0);
	}
	settle(p);
	assert_true(p->client_done);
	assert_int_equal(SSL_export_keying_material(p->client, material, sizeof(material),
				 EXPORTER_LABEL, strlen(EXPORTER_LABEL), NULL, 0, 0),
		1);
	assert_memory_equal(keys.client_key, material, 16);
	SSL_shutdown(p->client);
	settle(p);
	assert_int_equal(dtls_session_state(p->server), DTLS_CLOSED);
	pair_destroy(p);
}

/* --- fingerprints and certificates -------------------------------------------------------- */

static void test_fingerprint_after_handshake(void **state)
{
	struct pair *p = pair_create(NULL);

	(void)state;
	settle(p);
	assert_true(p->client_done);
	assert_int_equal(dtls_session_state(p->server), DTLS_WAITING_FINGERPRINT);
	assert_no_keys(p);
	assert_int_equal(set_fingerprint(p, p->fingerprint), 0);
	assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
	assert_int_equal(set_fingerprint(p, p->fingerprint), -EALREADY);
	pair_destroy(p);
}

static void test_wrong_fingerprint(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct pair *p = pair_create(NULL);
		char wrong[DTLS_FINGERPRINT_TEXT_BYTES];

		memcpy(wrong, p->fingerprint, sizeof(wrong));
		wrong[94] = wrong[94] == '0' ? '1' : '0'; /* its last digit */
		if (!late)
			assert_int_equal(set_fingerprint(p, wrong), 0);
		settle(p);
		if (late)
			assert_int_equal(set_fingerprint(p, wrong), 0);
		assert_int_equal(dtls_session_state(p->server), DTLS_FAILED);
		assert_string_equal(dtls_session_reason(p->server), "fingerprint mismatch");
		assert_no_keys(p);
		settle(p);
		assert_true(p->client_failed || p->client_closed); /* it was told */
		pair_destroy(p);
	}
}

static void test_fingerprint_lists(void **state)
{
	struct pair *p = pair_create(NULL);
	X509 *x = SSL_get_certificate(p->client);
	char sha512[3 * 64], lower[DTLS_FINGERPRINT_TEXT_BYTES];
	struct dtls_fingerprint bad[] = {{"sha-1", "AA"}, {"md5", ""}};
	struct dtls_fingerprint cut[] = {{"sha-256", "AA:BB"}};
	struct dtls_fingerprint odd[] = {{"sha-256", lower}};
	struct dtls_fingerprint good[]
		= {{"sha-1", "AA:BB"}, {"SHA-256", lower}, {"sha-512", sha512}};

	(void)state;
	fingerprint_of(x, EVP_sha512(), sha512);
	memcpy(lower, p->fingerprint, sizeof(lower));
	assert_int_equal(dtls_session_set_remote(p->server, "client", NULL, 0), -ENOENT);
	assert_int_equal(dtls_session_set_remote(p->server, "client", bad, 2), -ENOENT);
	assert_int_equal(dtls_session_set_remote(p->server, "client", cut, 1), -EINVAL);
	assert_int_equal(dtls_session_set_remote(p->server, "server", good, 3), -EINVAL);
	lower[2] = '-';
	assert_int_equal(dtls_session_set_remote(p->server, "client", odd, 1), -EINVAL);
	lower[2] = ':';
	lower[0] = lower[0] == 'A' ? 'B' : 'A'; /* sha-256 is wrong now, sha-512 is right */
	assert_int_equal(dtls_session_set_remote(p->server, NULL, good, 3), 0);
	settle(p);
	assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
	pair_destroy(p);
}

static void test_client_keys(void **state)
{
	const struct {
		EVP_PKEY *key;
		bool accepted;
	} rows[] = {
		{EVP_RSA_gen(2048), true},
		{EVP_RSA_gen(1024), false},
		{EVP_EC_gen("P-384"), false},
		{EVP_EC_gen("P-256"), true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_options o = {.key = rows[i].key};
		struct pair *p = pair_create(&o);

		set_fingerprint(p, p->fingerprint);
		settle(p);
		if (rows[i].accepted) {
			assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
		} else {
			assert_int_equal(dtls_session_state(p->server), DTLS_FAILED);
			assert_no_keys(p);
			assert_true(p->client_failed);
		}
		pair_destroy(p);
		EVP_PKEY_free(rows[i].key);
	}
}

static void test_refused_clients(void **state)
{
	static const struct {
		struct client_options options;
		const char *reason;
	} rows[] = {
		{{.no_certificate = true}, "peer did not return a certificate"},
		{{.no_srtp = true}, "client without use_srtp"},
		{{.no_ems = true}, "client without extended master secret"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair *p = pair_create(&rows[i].options);

		set_fingerprint(p, p->fingerprint);
		settle(p);
		assert_int_equal(dtls_session_state(p->server), DTLS_FAILED);
		assert_string_equal(dtls_session_reason(p->server), rows[i].reason);
		assert_true(p->client_failed);
		assert_no_keys(p);
		pair_destroy(p);
	}
}

/* --- the end of a session --------------------------------------------------------------------- */

static void test_close_notify(void **state)
{
	struct pair *p = pair_create(NULL);

	(void)state;
	set_fingerprint(p, p->fingerprint);
	settle(p);
	SSL_shutdown(p->client);
	settle(p);
	assert_int_equal(dtls_session_state(p->server), DTLS_CLOSED);
	assert_string_equal(dtls_session_reason(p->server), "close_notify received");
	assert_no_keys(p);
	assert_int_equal(p->sent_by_server, 3); /* answered */
	pair_destroy(p);

	p = pair_create(NULL);
	set_fingerprint(p, p->fingerprint);
	settle(p);
	dtls_session_close(p->server);
	assert_int_equal(dtls_session_state(p->server), DTLS_CLOSED);
	settle(p);
	assert_true(p->client_closed);
	pair_destroy(p);
}

static void test_lifetime(void **state)
{
	struct client_options o = {.long_hello = true};
	struct pair *p = pair_create(&o);
	struct pair *done;
	uint64_t start_us = now_us;

	(void)state;
	assert_true(dtls_session_next_timeout_us(p->server, now_us) == UINT64_MAX);
	to_server(p, pop(&p->to_server));
	assert_true(dtls_session_next_timeout_us(p->server, now_us)
		    <= start_us + DTLS_HANDSHAKE_MAX_US);
	now_us = start_us + DTLS_HANDSHAKE_MAX_US - 1;
	assert_int_equal(dtls_session_on_timeout(p->server, now_us), DTLS_HANDSHAKING);
	now_us++;
	assert_int_equal(dtls_session_on_timeout(p->server, now_us), DTLS_FAILED);
	assert_string_equal(dtls_session_reason(p->server), "handshake timed out");
	assert_int_equal(p->sent_by_server, 0);
	pair_destroy(p);

	/* Waiting for signalling is bounded as well, being connected is not. */
	p = pair_create(NULL);
	done = pair_create(NULL);
	set_fingerprint(done, done->fingerprint);
	settle(p);
	settle(done);
	now_us += DTLS_HANDSHAKE_MAX_US;
	assert_int_equal(dtls_session_on_timeout(p->server, now_us), DTLS_FAILED);
	assert_int_equal(dtls_session_on_timeout(done->server, now_us), DTLS_CONNECTED);
	pair_destroy(p);
	pair_destroy(done);
}

/* Retransmissions double from 100 ms and end with the session. */
static void test_retransmissions_bounded(void **state)
{
	struct pair *p = pair_create(NULL);
	uint64_t start_us = now_us, before_us = now_us, due_us;
	size_t flights = 1;

	(void)state;
	to_server(p, pop(&p->to_server));
	assert_int_equal(p->sent_by_server, 1);
	while (dtls_session_state(p->server) == DTLS_HANDSHAKING) {
		size_t sent = p->sent_by_server;

		due_us = dtls_session_next_timeout_us(p->server, now_us);
		assert_true(due_us > now_us);
		now_us = due_us;
		dtls_session_on_timeout(p->server, now_us);
		if (p->sent_by_server == sent)
			continue;
		if (flights == 1)
			assert_in_range(now_us - before_us, 100000, 101000);
		flights++;
		before_us = now_us;
	}
	assert_string_equal(dtls_session_reason(p->server), "handshake timed out");
	assert_int_equal(now_us - start_us, DTLS_HANDSHAKE_MAX_US);
	print_message("%zu flights in 10 s, %zu datagrams\n", flights, p->sent_by_server);
	assert_in_range(flights, 5, 12);
	assert_in_range(p->sent_by_server, flights, flights + 1);
	pair_destroy(p);
}

static void test_octets_bounded(void **state)
{
	struct client_options o = {.long_hello = true};
	struct pair *p = pair_create(&o);
	struct datagram *first = pop(&p->to_server);
	size_t fed = 0;

	(void)state;
	while (dtls_session_state(p->server) == DTLS_HANDSHAKING) {
		first->octets[10]++; /* a new record number, the same old piece */
		to_server(p, first);
		fed += first->len;
		assert_true(fed < 2 * DTLS_HANDSHAKE_MAX_BYTES);
	}
	assert_string_equal(dtls_session_reason(p->server), "handshake too long");
	assert_true(fed > DTLS_HANDSHAKE_MAX_BYTES);
	pair_destroy(p);
}

/* --- what is no DTLS ---------------------------------------------------------------------------- */

static void feed_garbage(struct pair *p, uint64_t *seed)
{
	enum dtls_state before = dtls_session_state(p->server);
	size_t sent = p->sent_by_server;
	struct datagram d;

	for (int i = 0; i < 300; i++) {
		d.len = random32(seed) % 1500;
		for (size_t k = 0; k < d.len; k++)
			d.octets[k] = (uint8_t)random32(seed);
		// Every other one looks like a record of the handshake from afar.
		if (i % 2 == 0 && d.len >= 25) {
			memcpy(d.octets, "\x16\xfe\xfd\0\0\0\0\0\0\0", 10);
			d.octets[11] = (uint8_t)((d.len - 13) >> 8);
			d.octets[12] = (uint8_t)(d.len - 13);
			d.octets[14] |= 0x80; /* a message of megabytes */
		}
		to_server(p, &d);
	}
	to_server(p, &(struct datagram){.len = 0});
	assert_int_equal(dtls_session_state(p->server), before);
	assert_int_equal(p->sent_by_server, sent);
}

static void test_garbage(void **state)
{
	/* Alert, fatal, handshake_failure; epoch 0: nobody has to know a key for it. */
	static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 2, 2, 40};
	struct client_options o = {.long_hello = true};
	struct pair *p = pair_create(&o);
	struct datagram d = {.len = sizeof(alert)};
	uint64_t seed = 4711;

	(void)state;
	set_fingerprint(p, p->fingerprint);
	feed_garbage(p, &seed);
	to_server(p, pop(&p->to_server));
	feed_garbage(p, &seed);
	to_server(p, pop(&p->to_server));
	feed_garbage(p, &seed);
	settle(p);
	assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
	feed_garbage(p, &seed);
	memcpy(d.octets, alert, sizeof(alert));
	to_server(p, &d);
	assert_int_equal(dtls_session_state(p->server), DTLS_CONNECTED);
	SSL_shutdown(p->client); /* and it still listens to the real one */
	settle(p);
	assert_int_equal(dtls_session_state(p->server), DTLS_CLOSED);
	pair_destroy(p);
}

/* One flipped octet anywhere in either client flight: never keys for the wrong handshake. */
static void test_flipped_octets(void **state)
{
	size_t connected = 0, failed = 0, stalled = 0;

	(void)state;
	for (size_t at = 0; at < 700; at += 7) {
		struct pair *p = pair_create(NULL);
		struct datagram hello = *pop(&p->to_server);
		bool in_hello = at < hello.len;

		set_fingerprint(p, p->fingerprint);
		if (in_hello)
			hello.octets[at] ^= 0x10;
		to_server(p, &hello);
		while (waiting(&p->to_client) > 0)
			to_client(p, pop(&p->to_client));
		while (waiting(&p->to_server) > 0) {
			struct datagram *d = pop(&p->to_server);

			if (!in_hello && at - hello.len < d->len)
				d->octets[at - hello.len] ^= 0x10;
			to_server(p, d);
		}
		if (dtls_session_state(p->server) == DTLS_CONNECTED) {
			settle(p);
			assert_keys_equal(p, SFU_SRTP_AEAD_AES_128_GCM);
			connected++;
		} else {
			assert_no_keys(p);
			if (dtls_session_state(p->server) == DTLS_FAILED)
				failed++;
			else
				stalled++;
		}
		pair_destroy(p);
	}
	print_message("%zu connected, %zu failed, %zu stalled\n", connected, failed, stalled);
	assert_true(failed + stalled > connected);
}

/* --- the certificate file ----------------------------------------------------------------------- */

static void write_pem(const char *path, EVP_PKEY *key, X509 *x, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	if (key != NULL) {
		assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
		assert_int_equal(PEM_write_X509(f, x), 1);
	} else {
		fputs("not a key\n", f);
	}
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void test_certificate_kept(void **state)
{
	char dir[] = "/tmp/test_dtls.XXXXXX", path[64], err[256],
	     first[DTLS_FINGERPRINT_TEXT_BYTES];
	struct dtls_context *ctx;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dtls.pem", dir);

	ctx = dtls_context_create(dir, err, sizeof(err));
	assert_non_null(ctx);
	assert_int_equal(strlen(dtls_context_fingerprint(ctx)), 95);
	memcpy(first, dtls_context_fingerprint(ctx), sizeof(first));
	dtls_context_destroy(ctx);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	ctx = dtls_context_create(dir, err, sizeof(err));
	assert_non_null(ctx);
	assert_string_equal(dtls_context_fingerprint(ctx), first);
	dtls_context_destroy(ctx);

	assert_int_equal(chmod(path, 0640), 0);
	assert_null(dtls_context_create(dir, err, sizeof(err)));
	assert_non_null(strstr(err, "others may read"));
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* no temporary file was left */
	assert_null(dtls_context_create(dir, err, sizeof(err)));
	assert_non_null(strstr(err, "No such file"));
	assert_non_null(strstr(err, path));
}

static void test_certificate_renewed(void **state)
{
	static const struct {
		long from_days, to_days;
		bool kept;
	} rows[] = {
		{-1, 20, true}, /* good */
		{-27, 2, false}, /* ends soon */
		{-40, -1, false}, /* ended */
		{-1, 60, false}, /* longer than we hand out */
		{2, 20, false}, /* not yet: the clock went back */
	};
	char dir[] = "/tmp/test_dtls.XXXXXX", path[64], err[256], kept[DTLS_FINGERPRINT_TEXT_BYTES];
	EVP_PKEY *p384 = EVP_EC_gen("P-384");
	X509 *x;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dtls_context *ctx;

		x = self_signed(client_key, rows[i].from_days * 86400, rows[i].to_days * 86400);
		fingerprint_of(x, EVP_sha256(), kept);
		write_pem(path, client_key, x, 0600);
		X509_free(x);
		ctx = dtls_context_create(dir, err, sizeof(err));
		assert_non_null(ctx);
		assert_int_equal(strcmp(dtls_context_fingerprint(ctx), kept) == 0, rows[i].kept);
		dtls_context_destroy(ctx);
	}

	write_pem(path, NULL, NULL, 0600);
	assert_null(dtls_context_create(dir, err, sizeof(err)));
	assert_non_null(strstr(err, "does not hold"));
	x = self_signed(p384, -86400, 20 * 86400L);
	write_pem(path, p384, x, 0600); /* a key that does not fit */
	X509_free(x);
	EVP_PKEY_free(p384);
	assert_null(dtls_context_create(dir, err, sizeof(err)));
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static int setup(void **state)
{
	char err[256];

	(void)state;
	client_bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "test client");
	BIO_meth_set_write(client_bio_method, client_write);
	BIO_meth_set_read(client_bio_method, client_read);
	BIO_meth_set_ctrl(client_bio_method, client_ctrl);
	BIO_meth_set_create(client_bio_method, client_create);
	client_key = EVP_EC_gen("P-256");
	context = dtls_context_create(NULL, err, sizeof(err));
	return context == NULL || client_key == NULL;
}

static int teardown(void **state)
{
	(void)state;
	dtls_context_destroy(context);
	EVP_PKEY_free(client_key);
	BIO_meth_free(client_bio_method);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_only_profiles_we_seal_with),
		cmocka_unit_test(test_long_hello),
		cmocka_unit_test(test_each_datagram_lost_once),
		cmocka_unit_test(test_bad_network),
		cmocka_unit_test(test_final_flight_repeated),
		cmocka_unit_test(test_fingerprint_after_handshake),
		cmocka_unit_test(test_wrong_fingerprint),
		cmocka_unit_test(test_fingerprint_lists),
		cmocka_unit_test(test_client_keys),
		cmocka_unit_test(test_refused_clients),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_retransmissions_bounded),
		cmocka_unit_test(test_octets_bounded),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_flipped_octets),
		cmocka_unit_test(test_certificate_kept),
		cmocka_unit_test(test_certificate_renewed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
