// SPDX-License-Identifier: BSD-3-Clause
/**
 * ice: is this check signed by a peer we know (RFC 8445, lite agent)? A check that is not leaves no
 * trace but its drop reason. An authentic one teaches the address it came from, gives the transport
 * its owner if it has none, and is answered to where it came from. Leaves to: tx, the owner, drop.
 */
// OpenSSL 3 deprecates SHA1_Init() and friends in favour of a call that fetches and allocates; on
// the packet path neither is wanted.
#define OPENSSL_API_COMPAT 0x10100000L

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "sfu-dp/path/ice_memory.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/stun.h"
#include "sfu-dp/state/restore.h"
#include "sfu-dp/table/credentials.h"
#include "sfu-dp/table/ufrag.h"
#include "sfu-dp/worker.h"

/**
 * A check from elsewhere moves the path, nominating or not, when the address in use was not checked
 * for so long: a NAT has given the client another one. Clients check at least every 2.5 s.
 */
#define PATH_QUIET_US 5000000u
/**
 * RTCP from elsewhere moves it when nothing came from the address in use for so long: longer than
 * packets were on their way when the path moved last.
 */
#define PATH_HEARD_US 500000u
#define SHA1_BLOCK 64u

static void hmac_sha1(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t pad[SHA1_BLOCK];
	SHA_CTX sha;

	(void)ctx;
	// Passwords are at most SFU_PWD_BYTES = one block: never hashed first (RFC 2104, 2).
	RTE_VERIFY(key_len <= SHA1_BLOCK);
	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < key_len; i++)
		pad[i] ^= key[i];
	SHA1_Init(&sha);
	SHA1_Update(&sha, pad, sizeof(pad));
	for (size_t i = 0; i < part_count; i++)
		SHA1_Update(&sha, parts[i].ptr, parts[i].len);
	SHA1_Final(out, &sha);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	SHA1_Init(&sha);
	SHA1_Update(&sha, pad, sizeof(pad));
	SHA1_Update(&sha, out, 20);
	SHA1_Final(out, &sha);
	OPENSSL_cleanse(pad, sizeof(pad));
	OPENSSL_cleanse(&sha, sizeof(sha));
}

static const struct stun_crypto crypto = {.hmac_sha1 = hmac_sha1};

_Static_assert(SFU_PWD_BYTES <= SHA1_BLOCK, "hmac_sha1() hashes no long keys");

static const struct ice_credentials *credentials_of(
	const struct transport *t, const uint8_t *buf, const struct stun_view *view)
{
	return credentials_find(t, buf + view->local_ufrag.off, view->local_ufrag.len);
}

/** The transport that a check is for, when the check is authentic; else NULL and the reason. */
static struct transport *check(const struct worker *w, const uint8_t *buf, size_t len,
	struct stun_view *view, enum drop_reason *why)
{
	const struct ice_credentials *pair;
	struct transport *t;

	*why = DROP_stun_malformed;
	if (stun_parse(buf, len, view) != STUN_OK)
		return NULL;
	*why = DROP_stun_not_request;
	if (view->class != STUN_REQUEST || view->method != STUN_METHOD_BINDING)
		return NULL;
	*why = DROP_stun_fingerprint;
	if (!view->fingerprint_off)
		return NULL;
	*why = DROP_stun_ufrag;
	if (!view->local_ufrag.off)
		return NULL;
	t = transport_find(w->objects,
		ufrag_find(w->ufrags, buf + view->local_ufrag.off, view->local_ufrag.len));
	pair = t ? credentials_of(t, buf, view) : NULL;
	if (!pair)
		return NULL;
	switch (stun_verify(buf, view, pair->pwd, pair->pwd_len, &crypto)) {
	case STUN_OK:
		return t;
	case STUN_BAD_FINGERPRINT:
		*why = DROP_stun_fingerprint;
		return NULL;
	default:
		*why = DROP_stun_integrity;
		return NULL;
	}
}

/**
 * Who shall own the next transport of a direction: the worker that has the fewest. Where the port
 * spreads flows that is this worker, which then gets the packets without a hand-off, unless chance
 * has given it many more than another (four receivers on one of two queues: one call in eight).
 */
static uint8_t owner_wanted(const struct worker *w, unsigned direction)
{
	const struct owner_share *shares = w->objects->shares;
	uint32_t least = UINT32_MAX, mine;
	uint8_t wanted = w->id;

	for (uint8_t v = 0; v < w->workers; v++) {
		uint32_t n = atomic_load_explicit(
			&shares[v].transports[direction], memory_order_relaxed);

		if (n < least) {
			least = n;
			wanted = v;
		}
	}
	mine = atomic_load_explicit(&shares[w->id].transports[direction], memory_order_relaxed);
	return w->spread && mine <= least + 1 + least / 4 ? w->id : wanted;
}

/** The transport's owner, chosen now if this is its first authentic check. */
static uint8_t owner_claim(struct worker *w, struct transport *t)
{
	uint8_t owner = atomic_load_explicit(&t->owner, memory_order_acquire);
	uint8_t wanted;

	if (owner != DP_NO_WORKER)
		return owner;
	wanted = owner_wanted(w, t->direction);
	if (!atomic_compare_exchange_strong_explicit(
		    &t->owner, &owner, wanted, memory_order_acq_rel, memory_order_acquire))
		return owner;
	save_owner(t, wanted);
	atomic_fetch_add_explicit(
		&w->objects->shares[wanted].transports[t->direction], 1, memory_order_relaxed);
	return wanted;
}

/** The transport's first check with its owner: from now on its timers run. */
static void adopt(struct worker *w, struct transport *t)
{
	if (t->adopted)
		return;
	if (w->owned_count == w->objects->limits.transports) {
		// Only handles of removed transports can be in excess.
		uint32_t kept = 0;

		for (uint32_t i = 0; i < w->owned_count; i++) {
			if (transport_find(w->objects, w->owned[i]))
				w->owned[kept++] = w->owned[i];
		}
		w->owned_count = kept;
	}
	RTE_VERIFY(w->owned_count < w->objects->limits.transports);
	w->owned[w->owned_count++] = atomic_load_explicit(&t->handle, memory_order_relaxed);
	t->adopted = 1;
	// Requests from before had nobody to go to.
	atomic_store_explicit(&w->objects->key_frames[w->id].raised, 1, memory_order_relaxed);
	transport_notice(w, t, NOTICE_CLAIMED);
}

/** A place for a new tuple: a free one, or the one unchecked for longest. NULL when all are in use. */
static struct transport_tuple *place_for(struct worker *w, struct transport *t)
{
	struct transport_tuple *oldest = NULL;

	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		struct transport_tuple *entry = &t->tuples[i];

		if (!entry->last_check_us) {
			t->tuple_count++;
			return entry;
		}
		if (i != t->active && (!oldest || entry->last_check_us < oldest->last_check_us))
			oldest = entry;
	}
	if (w->now_us - oldest->last_check_us < TUPLE_STALE_US)
		return NULL;
	tuple_table_remove(
		w->tuples, &oldest->tuple, atomic_load_explicit(&t->handle, memory_order_relaxed));
	return oldest;
}

/** The place for the address of an authentic check, that address in it; NULL when there is none. */
static struct transport_tuple *tuple_place(
	struct worker *w, struct transport *t, const struct pkt *pkt)
{
	struct transport_tuple *entry = transport_tuple_find(t, &pkt->tuple);

	if (!entry) {
		entry = place_for(w, t);
		if (!entry)
			return NULL;
		memset(entry, 0, sizeof(*entry));
		entry->tuple = pkt->tuple;
		entry->id = t->next_tuple_id++;
	}
	entry->l2 = pkt->l2;
	entry->last_check_us = w->now_us;
	return entry;
}

static void path_move(struct worker *w, struct transport *t, const struct transport_tuple *entry)
{
	uint32_t place = (uint32_t)(entry - t->tuples);

	if (t->nominated && t->active == place)
		return;
	t->nominated = 1;
	t->active = place;
	t->heard_us = w->now_us;
	transport_notice(w, t, NOTICE_NOMINATED);
}

/**
 * The client wants this address from now on. Once it has said so with new credentials, a late check
 * with those before counts no more.
 */
static void nominate(struct worker *w, struct transport *t, const struct transport_tuple *entry,
	const struct ice_credentials *pair)
{
	if (pair->round < t->nominated_round)
		return;
	t->nominated_round = pair->round;
	path_move(w, t, entry);
	if (pair->round > 1
		&& atomic_load_explicit(&t->credentials_before, memory_order_relaxed)
			   != CREDENTIALS_NONE)
		transport_notice(w, t, NOTICE_RESTARTED);
}

/** Whether the address in use has gone quiet while this one is checked. */
static bool active_is_quiet(
	const struct worker *w, const struct transport *t, const struct transport_tuple *entry)
{
	const struct transport_tuple *active = &t->tuples[t->active];

	return entry != active && w->now_us - active->last_check_us >= PATH_QUIET_US;
}

static struct stun_addr mapped_address(const struct tuple *tuple)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct stun_addr a = {.port = rte_be_to_cpu_16(tuple->remote_port_be16)};

	if (!memcmp(tuple->remote, v4_mapped, sizeof(v4_mapped))) {
		a.version = 4;
		memcpy(a.ip, tuple->remote + 12, 4);
	} else {
		a.version = 6;
		memcpy(a.ip, tuple->remote, 16);
	}
	return a;
}

/** Turn the request into its answer, in the same mbuf, back to where it came from. */
static void answer(
	struct worker *w, struct rte_mbuf *m, const struct ice_credentials *pair, unsigned error)
{
	uint8_t *buf = rte_pktmbuf_mtod(m, uint8_t *);
	struct tuple tuple = pkt_of(m)->tuple;
	struct l2_path l2 = pkt_of(m)->l2;
	struct stun_addr mapped = mapped_address(&tuple);
	uint8_t txid[STUN_TXID_LEN], out[STUN_RESPONSE_MAX];
	size_t len;

	memcpy(txid, buf + STUN_TXID_OFF, sizeof(txid));
	if (error)
		len = stun_encode_error(
			out, sizeof(out), txid, error, pair->pwd, pair->pwd_len, &crypto);
	else
		len = stun_encode_success(
			out, sizeof(out), txid, &mapped, pair->pwd, pair->pwd_len, &crypto);
	RTE_VERIFY(len);
	rte_pktmbuf_reset(m);
	buf = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	RTE_VERIFY(buf);
	memcpy(buf, out, len);
	tx_encapsulate(w, m, &tuple, &l2);
	w->count.answered++;
	tx_frame(w, m);
}

/** What a new check teaches: its address, and by nomination or silence elsewhere the path. */
static bool learn(struct worker *w, struct transport *t, struct rte_mbuf *m,
	const struct stun_view *view, const struct ice_credentials *pair)
{
	const uint8_t *txid = rte_pktmbuf_mtod_offset(m, const uint8_t *, STUN_TXID_OFF);
	const struct pkt *pkt = pkt_of(m);
	struct transport_tuple *entry = tuple_place(w, t, pkt);

	if (!entry)
		return false;
	// Before all that outlives the process: nobody shall be able to send it once more.
	ice_memory_add(t, txid, &pkt->tuple);
	save_tuple(t, entry);
	t->last_check_us = w->now_us;
	// Whatever is learnt below or was above: the next copy makes its header anew.
	t->tx_header.frame_len = 0;
	if (!t->validated) {
		t->validated = 1;
		t->active = (uint32_t)(entry - t->tuples);
		transport_notice(w, t, NOTICE_VALIDATED);
	}
	if (view->use_candidate || view->has_nomination)
		nominate(w, t, entry, pair);
	else if (active_is_quiet(w, t, entry))
		path_move(w, t, entry);
	if (entry == &t->tuples[t->active])
		t->heard_us = w->now_us;
	save_path(t);
	return true;
}

void ice_heard(struct worker *w, struct transport *t, const struct tuple *from)
{
	struct transport_tuple *entry;

	if (!t->validated)
		return;
	if (!memcmp(&t->tuples[t->active].tuple, from, sizeof(*from))) {
		t->heard_us = w->now_us;
		return;
	}
	// Clients send from where they are reached. One that nominates once and then checks every few
	// seconds is found here, before its old address went unchecked for long enough.
	if (w->now_us - t->heard_us < PATH_HEARD_US)
		return;
	entry = transport_tuple_find(t, from);
	if (!entry)
		return;
	path_move(w, t, entry);
	t->tx_header.frame_len = 0;
	save_path(t);
}

/** The part that only the owner does. */
static void checked(
	struct worker *w, struct transport *t, struct rte_mbuf *m, const struct stun_view *view)
{
	const uint8_t *buf = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct ice_credentials *pair = credentials_of(t, buf, view);
	const struct pkt *pkt = pkt_of(m);

	if (t->closed || !pair) {
		path_drop(w, m, t->closed ? DROP_transport_closed : DROP_stun_ufrag);
		return;
	}
	adopt(w, t);
	// RFC 8445, 7.3.1.1: we are controlled, always. Nothing is learnt from such a check.
	if (view->role == STUN_ROLE_CONTROLLED) {
		answer(w, m, pair, STUN_ERROR_ROLE_CONFLICT);
		return;
	}
	if (view->unknown_required) {
		answer(w, m, pair, STUN_ERROR_UNKNOWN_ATTRIBUTE);
		return;
	}
	switch (ice_memory_find(t, buf + STUN_TXID_OFF, &pkt->tuple)) {
	case ICE_CHECK_REPLAYED:
		path_drop(w, m, DROP_stun_replay);
		return;
	case ICE_CHECK_AGAIN:
		// Neither a nomination nor a sign of life: anybody could have sent it.
		answer(w, m, pair, 0);
		return;
	case ICE_CHECK_NEW:
		break;
	}
	if (!learn(w, t, m, view, pair)) {
		path_drop(w, m, DROP_stun_tuples);
		return;
	}
	answer(w, m, pair, 0);
}

/**
 * Whether the address is one at which another transport is reached. A member whose network lets it
 * forge addresses could take packets away from another one with a check of its own.
 */
static bool is_taken(const struct worker *w, const struct pkt *pkt)
{
	uint64_t holder = tuple_table_holder(w->tuples, &pkt->tuple, w->now_us);

	return holder != pkt->transport && transport_find(w->objects, holder);
}

void ice_packet(struct worker *w, struct rte_mbuf *m)
{
	const uint8_t *buf = rte_pktmbuf_mtod(m, const uint8_t *);
	struct pkt *pkt = pkt_of(m);
	struct stun_view view;
	enum drop_reason why;
	struct transport *t = check(w, buf, rte_pktmbuf_data_len(m), &view, &why);
	enum ice_memory memory;
	uint8_t owner;

	if (!t) {
		path_drop(w, m, why);
		return;
	}
	// Here and not only with the owner: the flow must not get into our table.
	memory = ice_memory_find(t, buf + STUN_TXID_OFF, &pkt->tuple);
	if (memory == ICE_CHECK_REPLAYED) {
		path_drop(w, m, DROP_stun_replay);
		return;
	}
	pkt->transport = atomic_load_explicit(&t->handle, memory_order_relaxed);
	// Removed since check() found it: a flow of nobody would stay in the table.
	if (!pkt->transport) {
		path_drop(w, m, DROP_stale_handle);
		return;
	}
	if (is_taken(w, pkt)) {
		path_drop(w, m, DROP_stun_taken);
		return;
	}
	owner = owner_claim(w, t);
	if (memory == ICE_CHECK_NEW
		&& !tuple_table_add(w->tuples, &pkt->tuple, pkt->transport, w->now_us)) {
		path_drop(w, m, DROP_stun_tuples);
		return;
	}
	if (owner == w->id)
		checked(w, t, m, &view);
	else
		classify_hand_over(w, owner, m);
}

void ice_handed(struct worker *w, struct rte_mbuf *m)
{
	struct transport *t = transport_find(w->objects, pkt_of(m)->transport);
	struct stun_view view;

	// The other worker read the same octets and found them authentic.
	if (!t
		|| stun_parse(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &view)
			   != STUN_OK) {
		path_drop(w, m, DROP_stale_handle);
		return;
	}
	checked(w, t, m, &view);
}
