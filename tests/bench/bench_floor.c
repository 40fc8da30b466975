// SPDX-License-Identifier: BSD-3-Clause
/**
 * The floor: what any SFU has to do for a copy, and nothing else. Same packets, keys and engine as
 * the path; no receive, look-up, replay window, state, reports or books.
 */
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sfu-dp/proto/rtp_ext.h"
#include "tests/bench/bench_contender.h"
#include "tests/support/pktbuild.h"

#define BURST 32u

/** One egress stream: a cache line. */
struct floor_stream {
	_Alignas(64) struct srtp_ctx *ctx;
	uint32_t ssrc;
	uint8_t frame[BENCH_FRAME_HEADER];
};

struct floor_input {
	struct rte_mbuf *m;
	unsigned producer;
	uint64_t index;
};

/** What one thread does. With one producer the threads share its streams, else the producers. */
struct floor_part {
	_Alignas(64) struct floor_input input[BENCH_INPUTS];
	unsigned inputs;
	unsigned first, streams; /* of each room's streams */
	uint64_t sealed;
};

struct floor_loop {
	struct contender c;
	const struct srtp_engine *engine;
	struct srtp_ctx **rx, **tx;
	struct floor_stream *streams; /* by receiver */
	uint8_t hdr[BENCH_COPY_HEADER];
	uint64_t *index; /* by producer, of its next input */
	uint64_t before; /* buffers in the pool when the round began */
	struct floor_part part[BENCH_WORKERS];
};

/** The header of a copy but for sequence, timestamp and SSRC. */
static void header_make(uint8_t hdr[BENCH_COPY_HEADER])
{
	static const uint8_t block[BENCH_COPY_HEADER - 12]
		= {0xbe, 0xde, 0, 3, 0x41, '7', '7', 0x22, 0, 0, 0, 0x10, 0x30};

	hdr[0] = 0x90;
	hdr[1] = 96;
	memcpy(hdr + 12, block, sizeof(block));
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/** Seal and send up to a burst of copies of one opened packet. */
static void burst_send(struct floor_loop *f, unsigned worker, const struct floor_stream *s,
	unsigned n, const uint8_t *payload, unsigned payload_len, uint64_t index)
{
	struct srtp_seal_job job[BURST];
	uint8_t hdr[BURST][BENCH_COPY_HEADER];
	struct rte_mbuf *m[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(bench.pool, m, n))
		abort();
	for (unsigned i = 0; i < n; i++) {
		uint8_t *out = rte_pktmbuf_mtod(m[i], uint8_t *);

		memcpy(hdr[i], f->hdr, sizeof(hdr[i]));
		hdr[i][2] = (uint8_t)(index >> 8);
		hdr[i][3] = (uint8_t)index;
		put32(hdr[i] + 4, (uint32_t)index * 750);
		put32(hdr[i] + 8, s[i].ssrc);
		// Into the headroom: the cipher works at an aligned address, as on the path.
		memcpy(out - BENCH_FRAME_HEADER, s[i].frame, BENCH_FRAME_HEADER);
		job[i] = (struct srtp_seal_job){
			.ctx = s[i].ctx,
			.in = {
				.hdr = hdr[i],
				.hdr_len = BENCH_COPY_HEADER,
				.payload = payload,
				.payload_len = payload_len,
				.index = index,
				.ssrc = s[i].ssrc,
			},
			.out = out,
			.cap = rte_pktmbuf_tailroom(m[i]),
		};
	}
	f->engine->rtp_seal_burst(job, n);
	for (unsigned i = 0; i < n; i++) {
		m[i]->data_off = (uint16_t)(m[i]->data_off - BENCH_FRAME_HEADER);
		m[i]->data_len = (uint16_t)(BENCH_FRAME_HEADER + (unsigned)job[i].result);
		m[i]->pkt_len = m[i]->data_len;
	}
	sent = rte_eth_tx_burst(bench.null_port, (uint16_t)worker, m, (uint16_t)n);
	f->part[worker].sealed += sent;
}

static void input_forward(struct floor_loop *f, unsigned worker, const struct floor_input *in)
{
	const struct shape *s = &f->c.shape;
	const struct floor_part *part = &f->part[worker];
	const struct floor_stream *to
		= &f->streams[in->producer / s->producers * s->consumers + part->first];
	uint8_t *packet = rte_pktmbuf_mtod_offset(in->m, uint8_t *, BENCH_FRAME_HEADER);
	size_t hdr_len = sources_header(f->c.sources);

	if (f->engine->rtp_open(f->rx[in->producer], packet,
		    rte_pktmbuf_data_len(in->m) - BENCH_FRAME_HEADER, hdr_len,
		    0x10000000 + in->producer, in->index)
		< 0)
		return;
	for (unsigned i = 0; i < part->streams; i += BURST)
		burst_send(f, worker, to + i, RTE_MIN(BURST, part->streams - i), packet + hdr_len,
			shape_payload(s, in->producer), in->index);
	rte_pktmbuf_free(in->m);
}

static double floor_work(struct contender *c, unsigned worker)
{
	struct floor_loop *f = (void *)c;

	for (unsigned i = 0; i < f->part[worker].inputs; i++)
		input_forward(f, worker, &f->part[worker].input[i]);
	return 0;
}

static void floor_prepare(struct contender *c, unsigned inputs)
{
	struct floor_loop *f = (void *)c;

	f->before = rte_mempool_avail_count(bench.pool);
	for (unsigned k = 0; k < c->shape.workers; k++) {
		struct floor_part *part = &f->part[k];

		part->inputs = inputs;
		part->sealed = 0;
		for (unsigned i = 0; i < inputs; i++) {
			unsigned p = contender_producer(c);

			part->input[i].producer = p;
			part->input[i].m = sources_next(c->sources, p);
			part->input[i].index = ++f->index[p];
		}
	}
}

static uint64_t floor_copies(const struct contender *c, unsigned inputs)
{
	const struct floor_loop *f = (const void *)c;
	uint64_t sum = 0;

	for (unsigned k = 0; k < c->shape.workers; k++)
		sum += (uint64_t)inputs * f->part[k].streams;
	return sum;
}

static void floor_check(struct contender *c, unsigned inputs)
{
	struct floor_loop *f = (void *)c;
	uint64_t sealed = 0;

	for (unsigned k = 0; k < c->shape.workers; k++)
		sealed += f->part[k].sealed;
	if (sealed != floor_copies(c, inputs))
		c->wrong = "floor: not every copy was sealed and taken";
	else if (rte_mempool_avail_count(bench.pool) != f->before)
		c->wrong = "floor: buffers are missing";
}

static void floor_destroy(struct contender *c)
{
	struct floor_loop *f = (void *)c;

	for (unsigned i = 0; f->rx && i < shape_producers(&c->shape); i++)
		f->engine->destroy(f->rx[i]);
	for (unsigned i = 0; f->tx && i < shape_receivers(&c->shape); i++)
		f->engine->destroy(f->tx[i]);
	sources_destroy(c->sources);
	free(f->rx);
	free(f->tx);
	free(f->index);
	free(f->streams);
	free(f);
}

static bool stream_make(struct floor_loop *f, unsigned receiver)
{
	const struct shape *s = &f->c.shape;
	struct floor_stream *stream = &f->streams[receiver];
	uint8_t key[32], salt[16], whole[PKT_FRAME_MAX], dull[PKT_FRAME_MAX] = {0};
	struct pkt_addr from, to;

	bench_server(&from);
	bench_client(shape_producers(s) + receiver, &to);
	bench_keys(shape_producers(s) + receiver, false, key, salt);
	if (f->engine->create(s->profile, key, salt, &f->tx[receiver]) != SRTP_OK)
		return false;
	f->c.frame_len = (unsigned)pkt_frame(
		whole, &from, &to, dull, BENCH_COPY_HEADER + s->payload + s->profile->tag_len);
	memcpy(stream->frame, whole, sizeof(stream->frame));
	stream->ctx = f->tx[receiver];
	stream->ssrc = 0x20000000 + 2 * receiver;
	return true;
}

static bool floor_fill(struct floor_loop *f)
{
	const struct shape *s = &f->c.shape;
	uint8_t key[32], salt[16];

	if (!f->c.sources || !f->rx || !f->tx || !f->index || !f->streams)
		return false;
	header_make(f->hdr);
	for (unsigned i = 0; i < shape_producers(s); i++) {
		bench_keys(i, true, key, salt);
		f->index[i] = 1000;
		if (f->engine->create(s->profile, key, salt, &f->rx[i]) != SRTP_OK)
			return false;
	}
	for (unsigned i = 0; i < shape_receivers(s); i++) {
		if (!stream_make(f, i))
			return false;
	}
	// Several producers are dealt out; the streams of a single one are.
	for (unsigned k = 0; k < s->workers; k++) {
		bool whole = s->workers == 1 || shape_producers(s) > 1;

		f->part[k].first = whole ? 0 : s->consumers * k / s->workers;
		f->part[k].streams = whole ? s->consumers
					   : s->consumers * (k + 1) / s->workers
						     - s->consumers * k / s->workers;
	}
	return true;
}

struct contender *floor_create(const struct shape *s, const struct srtp_engine *engine)
{
	struct floor_loop *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

	if (!f)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->c = (struct contender){
		.shape = *s,
		.sources = sources_create(s),
		.random = 0x9e3779b97f4a7c15u,
		.prepare = floor_prepare,
		.work = floor_work,
		.check = floor_check,
		.destroy = floor_destroy,
		.copies = floor_copies,
	};
	f->engine = engine;
	f->rx = calloc(shape_producers(s), sizeof(struct srtp_ctx *));
	f->tx = calloc(shape_receivers(s), sizeof(struct srtp_ctx *));
	f->index = calloc(shape_producers(s), sizeof(*f->index));
	f->streams = aligned_alloc(64, shape_receivers(s) * sizeof(*f->streams));
	if (!floor_fill(f)) {
		floor_destroy(&f->c);
		return NULL;
	}
	return &f->c;
}
