// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/media_transport.h"

#include <errno.h>
#include <gio/gio.h>
#include <nice/agent.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <srtp2/srtp.h>
#include <string.h>
#include <sys/socket.h>

#define COMPONENT 1
#define DTLS_MTU 1200
#define DTLS_FIRST_US 100000
#define DTLS_LAST_US 1600000
#define CONNECT_US 15000000
/** libnice gives up after two lost checks; as long as we hear the server, RFC 7675 does not. */
#define QUIET_US 5000000
/** After a move the old port is listened on for so long. */
#define LINGER_US 1000000
#define SOCKET_BUFFER (8 * 1024 * 1024)
#define KEYS_MAX (2 * (32 + 14))

struct media_identity {
	SSL_CTX *ssl;
	BIO_METHOD *datagrams;
	char fingerprint[32 * 3];
	FILE *secrets; // media_identity_tell_secrets(), or NULL
};

enum state { GATHERING, CHECKING, HANDSHAKE, CONNECTED, FAILED };

/** One ICE agent: a port of ours, and what it found out. */
struct path {
	struct media_transport *transport;
	NiceAgent *agent;
	guint stream;
	int fd; // socket of the selected pair, owned by libnice; -1 before
	struct sockaddr_storage to;
	socklen_t to_len;
};

struct media_transport {
	const struct media_identity *identity;
	struct media_remote remote;
	const struct media_events *events;
	void *ctx;
	struct path *path; // in use
	struct path *next; // shall be; NULL = none
	struct path *last; // was in use, until last_until_us
	uint64_t last_until_us;
	unsigned moves;
	enum state state;
	SSL *ssl;
	const uint8_t *datagram; // what the BIO reads next; NULL = nothing
	size_t datagram_len;
	srtp_t out, in;
	const char *profile;
	uint64_t created_us;
	uint64_t heard_us; // last packet that opened
	bool is_given_up; // by libnice
	struct media_counts counts;
};

static uint64_t clock_us(void)
{
	return (uint64_t)g_get_monotonic_time();
}

static void fail(struct media_transport *t, const char *why)
{
	if (t->state == FAILED)
		return;
	t->state = FAILED;
	t->events->on_failed(t->ctx, why);
}

// The BIO of DTLS: one write is one datagram, one read takes one.

static int bio_write(BIO *bio, const char *buf, int len)
{
	struct media_transport *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	// A lost datagram is DTLS's daily bread: what cannot be sent now is sent again by its timer.
	nice_agent_send(t->path->agent, t->path->stream, COMPONENT, (guint)len, buf);
	return len;
}

static int bio_read(BIO *bio, char *out, int cap)
{
	struct media_transport *t = BIO_get_data(bio);
	size_t len = t->datagram_len < (size_t)cap ? t->datagram_len : (size_t)cap;

	BIO_clear_retry_flags(bio);
	if (!t->datagram) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, t->datagram, len);
	t->datagram = NULL;
	return (int)len;
}

static long bio_ctrl(BIO *bio, int command, long larg, void *parg)
{
	(void)bio;
	(void)larg;
	(void)parg;
	switch (command) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_MTU;
	default:
		return 0;
	}
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static int accept_any_certificate(int ok, X509_STORE_CTX *store)
{
	// What counts is the signalled fingerprint, compared when the handshake is done.
	(void)ok;
	(void)store;
	return 1;
}

static bool make_certificate(struct media_identity *identity)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name;
	unsigned char hash[32];
	unsigned hash_len = sizeof(hash);
	bool ok = false;

	if (!key || !certificate)
		goto out;
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), g_random_int_range(1, G_MAXINT32));
	X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * 86400);
	name = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"WebRTC", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	ok = X509_sign(certificate, key, EVP_sha256())
	     && X509_digest(certificate, EVP_sha256(), hash, &hash_len)
	     && SSL_CTX_use_certificate(identity->ssl, certificate) == 1
	     && SSL_CTX_use_PrivateKey(identity->ssl, key) == 1;
	for (unsigned i = 0; ok && i < hash_len; i++)
		g_snprintf(identity->fingerprint + 3 * i, 4, "%02X%s", hash[i],
			i + 1 < hash_len ? ":" : "");
out:
	X509_free(certificate);
	EVP_PKEY_free(key);
	return ok;
}

struct media_identity *media_identity_create(const char *profiles)
{
	struct media_identity *identity = g_new0(struct media_identity, 1);

	if (srtp_init() != srtp_err_status_ok)
		goto fail;
	identity->ssl = SSL_CTX_new(DTLS_client_method());
	identity->datagrams = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
	if (!identity->ssl || !identity->datagrams)
		goto fail;
	BIO_meth_set_create(identity->datagrams, bio_create);
	BIO_meth_set_write(identity->datagrams, bio_write);
	BIO_meth_set_read(identity->datagrams, bio_read);
	BIO_meth_set_ctrl(identity->datagrams, bio_ctrl);
	SSL_CTX_set_min_proto_version(identity->ssl, DTLS1_2_VERSION);
	SSL_CTX_set_verify(identity->ssl, SSL_VERIFY_PEER, accept_any_certificate);
	SSL_CTX_set_session_cache_mode(identity->ssl, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_tlsext_use_srtp(identity->ssl, profiles) || !make_certificate(identity))
		goto fail;
	return identity;
fail:
	media_identity_destroy(identity);
	return NULL;
}

void media_identity_destroy(struct media_identity *identity)
{
	if (!identity)
		return;
	SSL_CTX_free(identity->ssl);
	BIO_meth_free(identity->datagrams);
	g_free(identity);
	srtp_shutdown();
}

void media_identity_tell_secrets(struct media_identity *identity, FILE *out)
{
	identity->secrets = out;
}

static void tell_hex(FILE *out, const char *name, const uint8_t *octets, size_t len)
{
	fprintf(out, "%s ", name);
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", octets[i]);
	fprintf(out, "\n");
	fflush(out);
}

const char *media_identity_fingerprint(const struct media_identity *identity)
{
	return identity->fingerprint;
}

static bool certificate_matches(struct media_transport *t)
{
	X509 *certificate = SSL_get1_peer_certificate(t->ssl);
	unsigned char hash[32];
	unsigned len = sizeof(hash);
	bool same = certificate && X509_digest(certificate, EVP_sha256(), hash, &len)
		    && !memcmp(hash, t->remote.fingerprint, sizeof(hash));

	X509_free(certificate);
	return same;
}

/** Key and salt lengths and libsrtp2's policy of a profile (RFC 5764, RFC 7714). */
static bool profile_policy(unsigned long id, srtp_policy_t *policy, size_t *key, size_t *salt)
{
	*key = 16;
	*salt = 12;
	switch (id) {
	case SRTP_AEAD_AES_128_GCM:
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtcp);
		return true;
	case SRTP_AEAD_AES_256_GCM:
		*key = 32;
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtcp);
		return true;
	case SRTP_AES128_CM_SHA1_80:
		*salt = 14;
		srtp_crypto_policy_set_rtp_default(&policy->rtp);
		srtp_crypto_policy_set_rtcp_default(&policy->rtcp);
		return true;
	default:
		return false;
	}
}

/** Hop keys from the handshake (RFC 5764, 4.2). */
static bool start_srtp(struct media_transport *t)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	const SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(t->ssl);
	srtp_policy_t policy;
	uint8_t keys[KEYS_MAX], ours[KEYS_MAX / 2], theirs[KEYS_MAX / 2];
	uint8_t master[SSL_MAX_MASTER_KEY_LENGTH];
	size_t key, salt;
	bool ok;

	memset(&policy, 0, sizeof(policy));
	if (!profile || !profile_policy(profile->id, &policy, &key, &salt)
		|| SSL_export_keying_material(
			   t->ssl, keys, 2 * (key + salt), label, sizeof(label) - 1, NULL, 0, 0)
			   != 1)
		return false;
	t->profile = profile->name;
	if (t->identity->secrets) {
		tell_hex(t->identity->secrets, "hop-key", keys, key);
		tell_hex(t->identity->secrets, "hop-key", keys + key, key);
		tell_hex(t->identity->secrets, "hop-salt", keys + 2 * key, salt);
		tell_hex(t->identity->secrets, "hop-salt", keys + 2 * key + salt, salt);
		// Of which all of them are made.
		tell_hex(t->identity->secrets, "dtls-master", master,
			SSL_SESSION_get_master_key(
				SSL_get_session(t->ssl), master, sizeof(master)));
	}
	memcpy(ours, keys, key);
	memcpy(theirs, keys + key, key);
	memcpy(ours + key, keys + 2 * key, salt);
	memcpy(theirs + key, keys + 2 * key + salt, salt);
	policy.window_size = 1024;
	policy.ssrc.type = ssrc_any_outbound;
	policy.key = ours;
	ok = srtp_create(&t->out, &policy) == srtp_err_status_ok;
	policy.ssrc.type = ssrc_any_inbound;
	policy.key = theirs;
	return ok && srtp_create(&t->in, &policy) == srtp_err_status_ok;
}

/** Media goes past libnice: the socket and address of its selected pair. */
static bool find_pair(struct path *p)
{
	GSocket *socket = nice_agent_get_selected_socket(p->agent, p->stream, COMPONENT);
	NiceCandidate *local, *remote;

	if (!socket
		|| !nice_agent_get_selected_pair(p->agent, p->stream, COMPONENT, &local, &remote))
		return false;
	p->fd = g_socket_get_fd(socket);
	nice_address_copy_to_sockaddr(&remote->addr, (struct sockaddr *)&p->to);
	p->to_len = p->to.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						: sizeof(struct sockaddr_in);
	g_object_unref(socket);
	return true;
}

static void handshake(struct media_transport *t)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(t->ssl);
	if (result != 1) {
		int error = SSL_get_error(t->ssl, result);

		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			fail(t, "the DTLS handshake failed");
		return;
	}
	if (!certificate_matches(t)) {
		fail(t, "the DTLS certificate is not the signalled one");
		return;
	}
	if (!start_srtp(t) || !find_pair(t->path)) {
		fail(t, "no SRTP profile or keys after DTLS");
		return;
	}
	t->state = CONNECTED;
	t->events->on_connected(t->ctx);
}

static unsigned dtls_timeout(SSL *ssl, unsigned last_us)
{
	(void)ssl;
	if (!last_us)
		return DTLS_FIRST_US;
	return last_us * 2 < DTLS_LAST_US ? last_us * 2 : DTLS_LAST_US;
}

static void start_dtls(struct media_transport *t)
{
	BIO *bio;

	if (t->ssl)
		return;
	t->ssl = SSL_new(t->identity->ssl);
	bio = BIO_new(t->identity->datagrams);
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_options(t->ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_mtu(t->ssl, DTLS_MTU);
	DTLS_set_link_mtu(t->ssl, DTLS_MTU);
	DTLS_set_timer_cb(t->ssl, dtls_timeout);
	SSL_set_connect_state(t->ssl);
	t->state = HANDSHAKE;
	handshake(t);
}

static void receive_dtls(struct media_transport *t, const uint8_t *buf, size_t len)
{
	char discard[512];
	int error;

	if (!t->ssl)
		return;
	t->datagram = buf;
	t->datagram_len = len;
	if (t->state == HANDSHAKE) {
		handshake(t);
	} else {
		ERR_clear_error();
		error = SSL_get_error(t->ssl, SSL_read(t->ssl, discard, sizeof(discard)));
		if (error == SSL_ERROR_ZERO_RETURN)
			fail(t, "the server closed DTLS");
	}
	t->datagram = NULL;
}

static void receive_media(struct media_transport *t, uint8_t *buf, int len)
{
	uint64_t now_us = clock_us();
	bool is_rtcp = buf[1] >= 192 && buf[1] <= 223;
	srtp_err_status_t status = is_rtcp ? srtp_unprotect_rtcp(t->in, buf, &len)
					   : srtp_unprotect(t->in, buf, &len);

	if (status == srtp_err_status_replay_fail || status == srtp_err_status_replay_old) {
		t->counts.replayed++;
		return;
	}
	if (status != srtp_err_status_ok) {
		t->counts.not_opened++;
		return;
	}
	t->heard_us = now_us;
	if (is_rtcp) {
		t->counts.received_rtcp++;
		t->events->on_rtcp(t->ctx, buf, (size_t)len, now_us);
	} else {
		t->counts.received++;
		t->events->on_rtp(t->ctx, buf, (size_t)len, now_us);
	}
}

/** RFC 7983: what libnice leaves over of the datagrams. */
static void on_datagram(
	NiceAgent *agent, guint stream, guint component, guint len, gchar *buf, gpointer data)
{
	struct media_transport *t = ((struct path *)data)->transport;
	uint8_t *octets = (uint8_t *)buf;

	(void)agent;
	(void)stream;
	(void)component;
	if (t->state == FAILED || !len)
		return;
	if (octets[0] >= 20 && octets[0] <= 63)
		receive_dtls(t, octets, len);
	else if (octets[0] >= 128 && octets[0] <= 191 && len >= 8 && t->state == CONNECTED)
		receive_media(t, octets, (int)len);
	else
		t->counts.unknown++;
}

static void on_agent_closed(GObject *agent, GAsyncResult *result, gpointer data)
{
	(void)result;
	(void)data;
	g_object_unref(agent);
}

static void path_destroy(struct path *p)
{
	if (!p)
		return;
	g_signal_handlers_disconnect_by_data(p->agent, p);
	nice_agent_attach_recv(
		p->agent, p->stream, COMPONENT, g_main_context_default(), NULL, NULL);
	nice_agent_close_async(p->agent, on_agent_closed, NULL);
	g_free(p);
}

/** The new port is nominated: send there, and hear what is still on its way to the old one. */
static void path_switch(struct media_transport *t)
{
	path_destroy(t->last);
	t->last = t->path;
	t->last_until_us = clock_us() + LINGER_US;
	t->path = t->next;
	t->next = NULL;
	t->moves++;
}

static void path_ready(struct path *p)
{
	struct media_transport *t = p->transport;

	if (t->state == CHECKING) {
		start_dtls(t);
	} else if (t->state == CONNECTED && p->fd < 0 && find_pair(p)) {
		if (p == t->next)
			path_switch(t);
		else
			t->moves++;
	}
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer data)
{
	struct path *p = data;
	struct media_transport *t = p->transport;

	(void)agent;
	(void)stream;
	(void)component;
	if (state == NICE_COMPONENT_STATE_READY)
		path_ready(p);
	else if (state == NICE_COMPONENT_STATE_FAILED && t->state == CONNECTED && p == t->path)
		t->is_given_up = true;
	else if (state == NICE_COMPONENT_STATE_FAILED && p != t->last)
		fail(t, t->state == CONNECTED ? "consent was lost" : "no ICE check was answered");
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer data)
{
	struct media_transport *t = ((struct path *)data)->transport;
	NiceCandidate *candidate;
	GSList *list;
	GPtrArray *sockets;
	const int size = SOCKET_BUFFER;

	sockets = nice_agent_get_sockets(agent, stream, COMPONENT);
	for (guint i = 0; sockets && i < sockets->len; i++) {
		int fd = g_socket_get_fd(sockets->pdata[i]);

		// As much as we are allowed: packets lost here would look like the server's.
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	if (sockets)
		g_ptr_array_unref(sockets);
	if (t->state == GATHERING)
		t->state = CHECKING;
	nice_agent_set_remote_credentials(agent, stream, t->remote.ufrag, t->remote.password);
	candidate = nice_candidate_new(NICE_CANDIDATE_TYPE_HOST);
	candidate->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	candidate->stream_id = stream;
	candidate->component_id = COMPONENT;
	candidate->priority = t->remote.priority;
	g_strlcpy(candidate->foundation, t->remote.foundation, sizeof(candidate->foundation));
	nice_address_set_from_sockaddr(
		&candidate->addr, (const struct sockaddr *)&t->remote.address);
	list = g_slist_append(NULL, candidate);
	if (nice_agent_set_remote_candidates(agent, stream, COMPONENT, list) != 1)
		fail(t, "libnice refuses the server's candidate");
	g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
}

static socklen_t address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/** Only the address from which the server is reached; gathering all of a host's takes long. */
static bool add_local_address(NiceAgent *agent, const struct sockaddr_storage *to)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	NiceAddress address;
	bool ok = false;
	int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !connect(fd, (const struct sockaddr *)to, address_len(to))
		&& !getsockname(fd, (struct sockaddr *)&from, &len)) {
		nice_address_init(&address);
		nice_address_set_from_sockaddr(&address, (const struct sockaddr *)&from);
		nice_address_set_port(&address, 0);
		ok = nice_agent_add_local_address(agent, &address);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

/** An agent on a port of its own, which begins to check with the present credentials. */
static struct path *path_create(struct media_transport *t)
{
	struct path *p = g_new0(struct path, 1);

	p->transport = t;
	p->fd = -1;
	p->agent = nice_agent_new_full(g_main_context_default(), NICE_COMPATIBILITY_RFC5245,
		t->remote.patient ? NICE_AGENT_OPTION_NONE : NICE_AGENT_OPTION_CONSENT_FRESHNESS);
	if (t->remote.patient)
		g_object_set(p->agent, "keepalive-conncheck", TRUE, NULL);
	g_object_set(p->agent, "controlling-mode", TRUE, "upnp", FALSE, "ice-tcp", FALSE, NULL);
	g_signal_connect(p->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), p);
	g_signal_connect(p->agent, "component-state-changed", G_CALLBACK(on_state), p);
	p->stream = nice_agent_add_stream(p->agent, 1);
	if (!p->stream || !add_local_address(p->agent, &t->remote.address)
		|| !nice_agent_attach_recv(
			p->agent, p->stream, COMPONENT, g_main_context_default(), on_datagram, p)
		|| !nice_agent_gather_candidates(p->agent, p->stream)) {
		path_destroy(p);
		return NULL;
	}
	return p;
}

struct media_transport *media_transport_create(const struct media_identity *identity,
	const struct media_remote *remote, const struct media_events *events, void *ctx)
{
	struct media_transport *t = g_new0(struct media_transport, 1);

	t->identity = identity;
	t->remote = *remote;
	t->events = events;
	t->ctx = ctx;
	t->profile = "";
	t->created_us = clock_us();
	if (identity->secrets)
		fprintf(identity->secrets, "ice-password %s\n", remote->password);
	t->path = path_create(t);
	if (!t->path) {
		media_transport_destroy(t);
		return NULL;
	}
	return t;
}

bool media_transport_move(struct media_transport *t, const struct media_remote *remote)
{
	if (t->state != CONNECTED || t->next || t->path->fd < 0)
		return false;
	if (!remote) {
		path_destroy(t->path);
		t->path = path_create(t);
		if (!t->path)
			g_error("no port to move to");
		return true;
	}
	g_strlcpy(t->remote.ufrag, remote->ufrag, sizeof(t->remote.ufrag));
	g_strlcpy(t->remote.password, remote->password, sizeof(t->remote.password));
	t->next = path_create(t);
	return t->next;
}

unsigned media_transport_moves(const struct media_transport *t)
{
	return t->moves;
}

void media_transport_destroy(struct media_transport *t)
{
	if (!t)
		return;
	if (t->ssl && t->state == CONNECTED)
		SSL_shutdown(t->ssl);
	path_destroy(t->path);
	path_destroy(t->next);
	path_destroy(t->last);
	SSL_free(t->ssl);
	if (t->out)
		srtp_dealloc(t->out);
	if (t->in)
		srtp_dealloc(t->in);
	g_free(t);
}

void media_transport_tick(struct media_transport *t)
{
	struct timeval left;

	if (t->last && clock_us() >= t->last_until_us) {
		path_destroy(t->last);
		t->last = NULL;
	}
	if (t->state == CONNECTED && t->is_given_up && clock_us() - t->heard_us > QUIET_US)
		fail(t, "consent was lost");
	if (t->state == FAILED || t->state == CONNECTED)
		return;
	if (clock_us() - t->created_us > CONNECT_US) {
		fail(t, t->state == HANDSHAKE ? "DTLS does not finish" : "ICE does not finish");
		return;
	}
	if (t->state == HANDSHAKE && DTLSv1_get_timeout(t->ssl, &left) && !left.tv_sec
		&& !left.tv_usec && DTLSv1_handle_timeout(t->ssl) < 0)
		fail(t, "DTLS gave up");
}

bool media_transport_is_connected(const struct media_transport *t)
{
	return t && t->state == CONNECTED;
}

static void send_datagram(struct media_transport *t, const uint8_t *buf, size_t len)
{
	const struct path *p = t->path;
	struct pollfd room = {.fd = p->fd, .events = POLLOUT};

	// Between two ports a packet is lost, as it would be on a network.
	for (unsigned tries = 0; p->fd >= 0 && tries < 3; tries++) {
		if (sendto(p->fd, buf, len, MSG_DONTWAIT, (const struct sockaddr *)&p->to,
			    p->to_len)
			>= 0) {
			return;
		}
		if (errno != EAGAIN && errno != ENOBUFS)
			break;
		poll(&room, 1, 10);
	}
	t->counts.send_failed++;
}

void media_transport_send_rtp(struct media_transport *t, uint8_t *packet, size_t len)
{
	int sealed = (int)len;

	if (t->state != CONNECTED || srtp_protect(t->out, packet, &sealed) != srtp_err_status_ok)
		return;
	t->counts.sent++;
	send_datagram(t, packet, (size_t)sealed);
}

void media_transport_send_rtcp(struct media_transport *t, uint8_t *packet, size_t len)
{
	int sealed = (int)len;

	if (t->state != CONNECTED
		|| srtp_protect_rtcp(t->out, packet, &sealed) != srtp_err_status_ok)
		return;
	t->counts.sent_rtcp++;
	send_datagram(t, packet, (size_t)sealed);
}

const struct media_counts *media_transport_counts(const struct media_transport *t)
{
	return &t->counts;
}

const char *media_transport_profile(const struct media_transport *t)
{
	return t->profile;
}

const char *media_transport_state(const struct media_transport *t)
{
	static const char *const names[]
		= {"gathering", "ICE checks", "DTLS handshake", "connected", "failed"};

	return names[t->state];
}
