// SPDX-License-Identifier: BSD-3-Clause
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sfu-dp/buffers.h"
#include "tests/bench/bench.h"
#include "tests/bench/bench_watch.h"
#include "tests/support/pktbuild.h"

struct bench bench;

static char folder[32];

static int port_start(const char *name, uint16_t *id)
{
	struct rte_eth_conf conf = {0};

	if (rte_eth_dev_get_port_by_name(name, id)
		|| rte_eth_dev_configure(*id, BENCH_WORKERS, BENCH_WORKERS, &conf))
		return -1;
	for (uint16_t q = 0; q < BENCH_WORKERS; q++) {
		if (rte_eth_rx_queue_setup(*id, q, 1024, 0, NULL, bench.pool)
			|| rte_eth_tx_queue_setup(*id, q, 1024, 0, NULL))
			return -1;
	}
	return rte_eth_dev_start(*id);
}

int bench_start(const char *program)
{
	static char arguments[][20] = {"", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"-m", "1024", "--lcores=0@0,1@1", "--iova-mode=va", "--log-level=1", "--vdev",
		"net_ring0", "--vdev", "net_null0"};
	char *argv[sizeof(arguments) / sizeof(arguments[0])];
	int argc = sizeof(arguments) / sizeof(arguments[0]);

	snprintf(arguments[0], sizeof(arguments[0]), "%.19s", program);
	// One core: the second thread shares it, and rows with two workers are left out.
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		strcpy(arguments[7], "--lcores=0@0,1@0");
	strcpy(folder, "/tmp/sfu-bench-XXXXXX");
	if (!mkdtemp(folder) || setenv("RUNTIME_DIRECTORY", folder, 1))
		return -1;
	for (int i = 0; i < argc; i++)
		argv[i] = arguments[i];
	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "bench: the EAL does not start\n");
		return -1;
	}
	bench.tsc_hz = (double)rte_get_tsc_hz();
	watch_thread();
	bench.pool = buffers_create(BENCH_MBUFS, SOCKET_ID_ANY, BUFFERS_OWN, 0);
	if (!bench.pool || port_start("net_ring0", &bench.ring_port)
		|| port_start("net_null0", &bench.null_port)) {
		fprintf(stderr, "bench: no pool, or no net_ring or net_null port\n");
		return -1;
	}
	return 0;
}

void bench_stop(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", folder);
	rmdir(path);
	rmdir(folder);
}

double bench_ns(uint64_t cycles)
{
	return (double)cycles * 1e9 / bench.tsc_hz;
}

void bench_keys(unsigned transport, bool client_sends, uint8_t key[32], uint8_t salt[16])
{
	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)(i * 3 + client_sends * 100 + (transport >> (8 * (i & 3))));
	for (unsigned i = 0; i < 16; i++)
		salt[i] = (uint8_t)(i * 7 + client_sends * 50 + (transport >> (8 * (i & 3))));
}

void bench_client(unsigned transport, struct pkt_addr *out)
{
	*out = (struct pkt_addr){
		.mac = {2, 0, 0, (uint8_t)(transport >> 16), (uint8_t)(transport >> 8),
			(uint8_t)transport},
		.ip
		= {10, (uint8_t)(transport >> 16), (uint8_t)(transport >> 8), (uint8_t)transport},
		.port = 50000,
	};
}

void bench_server(struct pkt_addr *out)
{
	struct rte_ether_addr mac;

	*out = (struct pkt_addr){.ip = {198, 18, 99, 2}, .port = BENCH_MEDIA_PORT};
	if (rte_eth_macaddr_get(bench.ring_port, &mac))
		abort();
	memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
}

struct source {
	uint8_t frame[BENCH_FRAME_HEADER];
	uint8_t hdr[64];
	struct srtp_ctx *ctx;
	uint64_t index;
	uint32_t timestamp;
	unsigned payload;
	bool audio;
};

struct sources {
	struct shape shape;
	const struct srtp_engine *engine;
	uint8_t *payload;
	size_t hdr_len;
	struct source source[];
};

/** The one header of all inputs: what an SFU client sends with each packet. */
static size_t header_make(const struct shape *s, unsigned producer, uint8_t out[64])
{
	struct pkt_rtp rtp = {
		.ssrc = 0x10000000 + producer,
		.payload_type = 96,
		.mid_id = 4,
		.mid = "0",
		.level_id = 1,
		.level = 0x30,
		.marker = !shape_is_audio(s, producer),
	};

	return pkt_rtp(out, 64, &rtp);
}

static bool source_make(struct sources *all, unsigned producer)
{
	struct source *s = &all->source[producer];
	uint8_t key[32], salt[16], whole[PKT_FRAME_MAX], dull[PKT_FRAME_MAX] = {0};
	struct pkt_addr from, to;

	s->payload = shape_payload(&all->shape, producer);
	s->audio = shape_is_audio(&all->shape, producer);
	bench_keys(producer, true, key, salt);
	bench_client(producer, &from);
	bench_server(&to);
	all->hdr_len = header_make(&all->shape, producer, s->hdr);
	pkt_frame(whole, &from, &to, dull, all->hdr_len + s->payload + all->shape.profile->tag_len);
	memcpy(s->frame, whole, sizeof(s->frame));
	s->index = 1000;
	return all->engine->create(all->shape.profile, key, salt, &s->ctx) == SRTP_OK;
}

struct sources *sources_create(const struct shape *s)
{
	unsigned n = shape_producers(s);
	struct sources *all = calloc(1, sizeof(*all) + n * sizeof(all->source[0]));

	if (!all)
		return NULL;
	all->shape = *s;
	all->engine = srtp_engine_find(NULL);
	all->payload = malloc(s->payload);
	for (unsigned i = 0; all->payload && i < s->payload; i++)
		all->payload[i] = (uint8_t)(i * 31);
	for (unsigned i = 0; i < n; i++) {
		if (!all->payload || !source_make(all, i)) {
			sources_destroy(all);
			return NULL;
		}
	}
	// VP8 with the first packet of a frame, encrypted behind the descriptor (S = 1, PID = 0).
	if (s->payload && !s->audio)
		all->payload[0] = 0x10;
	return all;
}

void sources_destroy(struct sources *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < shape_producers(&s->shape); i++)
		s->engine->destroy(s->source[i].ctx);
	free(s->payload);
	free(s);
}

uint64_t sources_index(const struct sources *s, unsigned producer)
{
	return s->source[producer].index;
}

size_t sources_header(const struct sources *s)
{
	return s->hdr_len;
}

struct rte_mbuf *sources_next(struct sources *s, unsigned producer)
{
	struct source *from = &s->source[producer];
	struct rte_mbuf *m = rte_pktmbuf_alloc(bench.pool);
	struct srtp_seal_in in = {
		.hdr = from->hdr,
		.hdr_len = s->hdr_len,
		.payload = s->payload,
		.payload_len = from->payload,
		.index = ++from->index,
		.ssrc = 0x10000000 + producer,
	};
	uint8_t *p;
	int len;

	if (!m)
		abort();
	from->timestamp += from->audio ? 960 : 750;
	from->hdr[2] = (uint8_t)(from->index >> 8);
	from->hdr[3] = (uint8_t)from->index;
	for (unsigned i = 0; i < 4; i++)
		from->hdr[4 + i] = (uint8_t)(from->timestamp >> (24 - 8 * i));
	p = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(p, from->frame, BENCH_FRAME_HEADER);
	len = s->engine->rtp_seal(from->ctx, &in, p + BENCH_FRAME_HEADER,
		(size_t)rte_pktmbuf_tailroom(m) - BENCH_FRAME_HEADER);
	if (len < 0 || !rte_pktmbuf_append(m, (uint16_t)(BENCH_FRAME_HEADER + (unsigned)len)))
		abort();
	return m;
}
