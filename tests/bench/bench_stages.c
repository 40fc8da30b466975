// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/bench_stages.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <string.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/worker.h"

const char *const stage_names[STAGE_COUNT] = {
#define X(name, text) #name,
	STAGE_LIST(X)
#undef X
};

struct stages stages;

static int on;
static int running;
static enum stage current;
static uint64_t since;

static enum stage enter(enum stage stage)
{
	enum stage caller = current;
	uint64_t now;

	if (!running)
		return caller;
	now = rte_rdtsc();
	stages.cycles[caller] += now - since;
	since = now;
	current = stage;
	return caller;
}

void stages_begin(void)
{
	running = on;
	current = STAGE_poll;
	since = rte_rdtsc();
}

void stages_end(void)
{
	enter(STAGE_poll);
	running = 0;
}

#define BURST(function, at)                                                                        \
	void __real_##function(struct worker *w, struct rte_mbuf **m, unsigned n);                 \
	void __wrap_##function(struct worker *w, struct rte_mbuf **m, unsigned n);                 \
	void __wrap_##function(struct worker *w, struct rte_mbuf **m, unsigned n)                  \
	{                                                                                          \
		enum stage caller = enter(at);                                                     \
                                                                                                   \
		__real_##function(w, m, n);                                                        \
		enter(caller);                                                                     \
	}

#define TURN(function, at)                                                                         \
	void __real_##function(struct worker *w);                                                  \
	void __wrap_##function(struct worker *w);                                                  \
	void __wrap_##function(struct worker *w)                                                   \
	{                                                                                          \
		enum stage caller = enter(at);                                                     \
                                                                                                   \
		__real_##function(w);                                                              \
		enter(caller);                                                                     \
	}

BURST(rx_burst, STAGE_rx)
BURST(classify_burst, STAGE_classify)
BURST(srtp_open_burst, STAGE_open)
BURST(fanout_burst, STAGE_fanout)
TURN(worker_timers, STAGE_timers)

/* The port: drivers are called through a table that is for all to see. */

static eth_tx_burst_t driver_send;

static uint16_t port_send(void *queue, struct rte_mbuf **m, uint16_t n)
{
	enum stage caller = enter(STAGE_transmit);
	uint16_t sent = driver_send(queue, m, n);

	enter(caller);
	return sent;
}

void stages_turn(bool to, uint16_t port)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[port];

	on = to;
	if (to) {
		driver_send = ops->tx_pkt_burst;
		ops->tx_pkt_burst = port_send;
	} else if (driver_send) {
		ops->tx_pkt_burst = driver_send;
	}
}

/* The engine */

static const struct srtp_engine *behind;

static int rtp_open(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len, uint32_t ssrc,
	uint64_t index)
{
	enum stage caller = enter(STAGE_cipher_open);
	int result = behind->rtp_open(ctx, buf, len, hdr_len, ssrc, index);

	enter(caller);
	return result;
}

static void rtp_seal_burst(struct srtp_seal_job *jobs, unsigned n)
{
	enum stage caller = enter(STAGE_cipher_seal);

	behind->rtp_seal_burst(jobs, n);
	enter(caller);
}

const struct srtp_engine *stages_engine(const struct srtp_engine *engine)
{
	static struct srtp_engine counted;

	behind = engine;
	counted = *engine;
	counted.rtp_open = rtp_open;
	counted.rtp_seal_burst = rtp_seal_burst;
	return &counted;
}
