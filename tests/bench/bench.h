// SPDX-License-Identifier: BSD-3-Clause
/**
 * The bench of the packet path: what its parts share.
 *
 * A row of the result is one shape, driven by several contenders that take turns in rounds of a
 * few milliseconds, so that a noisy machine is noisy for all of them alike: the path with the engine
 * asked for, the floor loop with that engine, the path with libsrtp2.
 */
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/crypto/engine.h"
#include "sfu-dp/worker.h"
#include "tests/bench/bench_watch.h"

#define BENCH_WORKERS 2u
#define BENCH_MBUFS 32767u
#define BENCH_MEDIA_PORT 40000u
/** Inputs of one round and worker: what the ring of net_ring holds, in whole bursts. */
#define BENCH_INPUTS 992u
/** Octets of Ethernet, IPv4 and UDP. */
#define BENCH_FRAME_HEADER 42u
/** Header of a copy: 12 fixed, then MID, abs-send-time and audio level in one block. */
#define BENCH_COPY_HEADER 28u

/** What is forwarded. Consumers are per producer; the ones of a room consume all its producers. */
struct shape {
	const struct srtp_profile *profile;
	unsigned payload; /* octets of RTP payload */
	unsigned rooms, producers, consumers; /* producers per room */
	unsigned workers; /* 1 .. BENCH_WORKERS */
	bool audio;
	/* every second producer is a microphone: packets at the rates of a call (shape_payload) */
	bool mixed;
	unsigned nack; /* of a hundred copies so many are asked for again, one by one */
	unsigned loss; /* of a hundred packets of a producer so many do not come */
};

/** Of a mixed shape: 1 Mbit/s of video in packets of the payload, 50 packets of audio a second. */
#define BENCH_AUDIO_PAYLOAD 120u
#define BENCH_AUDIO_PPS 50u
#define BENCH_VIDEO_PPS 104u

static inline bool shape_is_audio(const struct shape *s, unsigned producer)
{
	return s->mixed ? producer % 2 : s->audio;
}

static inline unsigned shape_payload(const struct shape *s, unsigned producer)
{
	return s->mixed && producer % 2 ? BENCH_AUDIO_PAYLOAD : s->payload;
}

static inline unsigned shape_producers(const struct shape *s)
{
	return s->rooms * s->producers;
}

static inline unsigned shape_receivers(const struct shape *s)
{
	return s->rooms * s->consumers;
}

static inline unsigned shape_transports(const struct shape *s)
{
	return shape_producers(s) + shape_receivers(s);
}

static inline unsigned shape_streams(const struct shape *s)
{
	return shape_producers(s) * s->consumers;
}

/** The process: EAL and ports, once. */
struct bench {
	struct rte_mempool *pool;
	uint16_t ring_port, null_port;
	double tsc_hz;
};

extern struct bench bench;

/** 0, or -1 with a line on stderr. */
int bench_start(const char *program);
void bench_stop(void);

/** Cycle count as nanoseconds. */
double bench_ns(uint64_t cycles);

/**
 * What the clients send: packets of all producers, sealed as they would seal them, with indices
 * that go on from packet to packet, so that the replay windows work as in a call.
 */
struct sources;

struct sources *sources_create(const struct shape *s);
void sources_destroy(struct sources *s);

/** One packet of a producer as a frame in a new mbuf; aborts when the pool is empty. */
struct rte_mbuf *sources_next(struct sources *s, unsigned producer);

/** SRTP index of a producer's last packet. */
uint64_t sources_index(const struct sources *s, unsigned producer);

/** Octets of an input's RTP header. */
size_t sources_header(const struct sources *s);

/** Master keys of a transport; client_sends selects the direction. 32 and 16 octets. */
void bench_keys(unsigned transport, bool client_sends, uint8_t key[32], uint8_t salt[16]);

/** Where a transport's client is. */
struct pkt_addr;
void bench_client(unsigned transport, struct pkt_addr *out);

/** Our end, as clients see it. */
void bench_server(struct pkt_addr *out);

/** One who forwards: makes a round's inputs, forwards them, says how long it took. */
struct contender;

/** The path with an engine; id < 4, different for each that lives at the same time. */
struct contender *path_create(const struct shape *s, const struct srtp_engine *engine, unsigned id);

/** The floor: open once, then per copy an mbuf, headers, seal, net_null. */
struct contender *floor_create(const struct shape *s, const struct srtp_engine *engine);

void contender_destroy(struct contender *c);

/**
 * One round: inputs packets are made ready, then forwarded.
 * @return nanoseconds of the thread per copy (of the slower one); negative when not all were forwarded
 */
double contender_round(struct contender *c, unsigned inputs);

/** What a round forwards. */
uint64_t contender_copies(const struct contender *c, unsigned inputs);

/** Time passes: consent is refreshed when it is due. Before a round. */
void contender_refresh(struct contender *c);

/** Octets of a copy's frame, on average. */
unsigned contender_frame_len(const struct contender *c);

/** What was counted during all timed rounds so far, of all workers. */
struct watch_counts contender_watched(const struct contender *c);

/* A path at a port that somebody else sends to: turns, and copies since path_use_port(). */

void path_use_port(struct contender *c, uint16_t port);
/** @return cycles of those turns that found something */
uint64_t path_turns(struct contender *c, unsigned n);
void path_sent(const struct contender *c, uint64_t *sent, uint64_t *refused);

/** Of a hundred copies of a path so many were asked for and sent again, so far. */
void path_asked_again(const struct contender *c, double *asked, double *sent);

/** "" when the books balance, else what does not. */
const char *contender_books(const struct contender *c);

/** Durations in nanoseconds, from a path's turns at a given load. */
struct latencies {
	uint64_t *ns;
	size_t count, room;
};

/**
 * Packets arrive at random (Poisson) every gap_ns on average.
 * @param through  from the receive burst to the end of the transmit burst
 * @param waited   from the arrival to the end of the transmit burst
 * One worker.
 */
void path_paced(struct contender *c, unsigned inputs, double gap_ns, struct latencies *through,
	struct latencies *waited);
