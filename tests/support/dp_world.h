// SPDX-License-Identifier: BSD-3-Clause
/**
 * A data plane in one thread, for tests: real stages, tables and programme, workers driven by hand,
 * time set by the test, a loop-back port (net_ring) that gives back what was sent. Clients are the
 * other end of a transport, with libsrtp2 as their SRTP.
 */
#pragma once

#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/port.h"
#include "sfu-dp/programme/programme.h"
#include "sfu-dp/state/region.h"
#include "sfu-dp/worker.h"
#include "tests/support/pktbuild.h"

#define WORLD_SENT 2048u
#define WORLD_NOTICES 256u
#define WORLD_PAYLOAD 1600u

/** A UDP datagram that the data plane sent. */
struct world_sent {
	struct pkt_addr from, to;
	size_t len;
	unsigned worker;
	uint8_t octets[WORLD_PAYLOAD];
};

struct world {
	struct rte_mempool *pool;
	unsigned pool_full; /* buffers available at rest */
	struct port port;
	struct objects objects;
	struct rte_rcu_qsbr *qsbr;
	struct rte_hash *ufrags;
	struct programme *programme;
	struct state state; /* stream state */
	bool spread;
	bool runs_itself; /* world_run(): nothing is driven by hand */
	struct worker *workers;
	unsigned worker_count;
	uint64_t now_us;
	uint32_t checks; /* counts transaction ids */
	uint32_t generation; /* of the handles that the world_put_ functions make */
	/* since world_forget() */
	struct world_sent sent[WORLD_SENT];
	unsigned sent_count;
	struct worker_notice notices[WORLD_NOTICES];
	uint8_t notice_worker[WORLD_NOTICES];
	unsigned notice_count;
};

/** One transport from the client's side. */
struct world_client {
	struct pkt_addr at;
	uint64_t handle;
	char ufrag[16], pwd[32];
	const struct srtp_profile *profile;
	srtp_t out, in; /* NULL without keys */
};

/**
 * Start the EAL and make the port, once per program. 0, or -1 when it cannot.
 * @param lcores  the EAL's --lcores
 */
int world_start_on(const char *program, unsigned queues, const char *lcores);
int world_start(const char *program, unsigned queues);
void world_stop(void);

/** A fresh data plane on the port that world_start() made; NULL is a failure. */
struct world *world_open(unsigned workers, bool spread, const struct objects_limits *limits);
void world_close(struct world *w);

/** The process dies; another one with as many workers goes on with its state, at the same time. */
struct world *world_die(struct world *w, unsigned workers);

/** A process that has mapped a copy of this state, of these limits: before programme_adopt(). */
struct world *world_on(const void *state, unsigned workers, const struct objects_limits *limits);

/** Instead of all that: worker_run() on lcores 1 and up, over a port of the test's own, in real time. */
void world_run(struct world *w, uint16_t port);

/** They end as in sfu-dp; what is at the port stays there, also for the world that goes on with it. */
void world_halt(struct world *w);

/** Back to world_start()'s port and to hands. */
void world_walk(struct world *w);

/** Apply a command; what the programme said. */
uint32_t world_apply(struct world *w, struct sfu_command *cmd);

/** Commands with the common values; handles are index and w->generation (1 at first). */
uint32_t world_put_room(struct world *w, uint32_t index, uint32_t version, bool required);
uint32_t world_put_peer(
	struct world *w, uint32_t index, uint32_t version, uint32_t room, uint64_t open_until_us);

/** PUT_TRANSPORT, and the client that goes with it; port makes its address. */
uint32_t world_put_client(struct world *w, struct world_client *c, uint32_t index, uint32_t peer,
	uint8_t direction, uint16_t port);

/** PUT_KEYS with keys of the client's own, and its libsrtp2 sessions. */
uint32_t world_put_keys(struct world *w, struct world_client *c, unsigned profile);
void world_client_end(struct world_client *c);

/**
 * All of a member of room 0 with one transport: peer, client, check and keys. The first one sends, the
 * others receive; their ports are 50000 and up.
 * @param profile  of SRTP; 0: without keys
 * @return the status of the first command that was refused, or SFU_STATUS_OK
 */
uint32_t world_put_member(struct world *w, struct world_client *c, uint32_t index, unsigned worker,
	uint64_t open_until_us, unsigned profile);

/** Where the data plane is reached. */
struct pkt_addr world_address(const struct world *w, bool is_ip6);

/** Hand a datagram of a client to a worker's receive side. */
void world_receive(struct world *w, unsigned worker, const struct pkt_addr *from,
	const uint8_t *payload, size_t len);

/** As it is, a frame. */
void world_receive_frame(struct world *w, unsigned worker, const uint8_t *frame, size_t len);

/** A check of the client, at this worker, then turns. */
void world_check(struct world *w, unsigned worker, struct world_client *c, bool use_candidate);

/** Protect and send as the client; aborts when libsrtp2 refuses. */
void world_rtp(struct world *w, unsigned worker, struct world_client *c, const struct pkt_rtp *rtp);
void world_rtcp(
	struct world *w, unsigned worker, struct world_client *c, const uint8_t *rtcp, size_t len);

/** Every worker takes its turns until nothing is on its way; what was sent is collected. */
void world_turn(struct world *w);

/** Time passes in steps of step_us, with a turn after each. */
void world_pass(struct world *w, uint64_t us, uint64_t step_us);

/** Empty the lists of what was sent and noticed. */
void world_forget(struct world *w);

/** Sum of a drop or edge reason over the workers. */
uint64_t world_drops(const struct world *w, enum drop_reason reason);
uint64_t world_edges(const struct world *w, enum edge_reason reason);

/** "" when both ledgers balance and no buffer is missing, else what is wrong. Empties histories. */
const char *world_books(struct world *w);
