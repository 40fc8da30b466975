// SPDX-License-Identifier: BSD-3-Clause
/*
 * Anything from the network through the whole data plane: real stages, tables and programme. Before
 * each input a call is set up anew (Alice sends, Bob and Carol receive, two workers); afterwards
 * the books must balance and no buffer be missing. An input is a list of records:
 *
 *	8 bits what | 8 bits who | 16 bits length | octets
 */
#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/rtcp.h"
#include "tests/support/dp_world.h"
#include "tests/support/srtp_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SSRC 0x11111111u
#define PT 96
#define RTX_PT 97
#define MAPPED_PT 101

enum what {
	FRAME, /* octets as a frame */
	DATAGRAM, /* octets as a UDP payload of a client */
	RTP, /* plain RTP, sealed as the client would */
	RTCP,
	CHECK, /* an authentic check; the octets say how */
	PASS, /* time */
	COMMAND, /* from the control plane */
	NACK, /* of a receiver; an octet for each packet: how far behind the newest */
	WHAT_COUNT
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world *w;
static struct world_client clients[3];
static srtp_t never_used;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void call_programme(void)
{
	uint64_t send = clients[0].handle;
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(0, w->generation),
		.u.producer = {
			.transport = send,
			.flags = SFU_PRODUCER_NACK,
			.kind = SFU_VIDEO,
			.codec_count = 4,
			.encoding_count = 2,
			.ext_count = 5,
			.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, 90000},
				{PT + 2, MAPPED_PT + 2, SFU_CODEC_VP9, 0, 90000},
				{PT + 3, MAPPED_PT + 3, SFU_CODEC_H264, 0, 90000},
				{RTX_PT, MAPPED_PT + 1, SFU_CODEC_RTX, PT, 90000}},
			.encoding = {{.ssrc = SSRC, .rtx_ssrc = SSRC + 1}, {.rid_len = 1, .rid = "h"}},
			.ext = {{1, SFU_EXT_AUDIO_LEVEL}, {4, SFU_EXT_MID}, {10, SFU_EXT_RID},
				{11, SFU_EXT_REPAIRED_RID}, {13, SFU_EXT_DEPENDENCY_DESCRIPTOR}},
			.mid_len = 1,
			.mid = "0",
			.cname_len = 1,
			.cname = "a",
		},
	};

	must(world_apply(w, &cmd) == SFU_STATUS_OK);
	for (uint32_t i = 0; i < 2; i++) {
		cmd = (struct sfu_command){
			.type = SFU_CMD_PUT_CONSUMER,
			.version = 1,
			.handle = sfu_handle_make(i, w->generation),
			.u.consumer = {
				.transport = clients[1 + i].handle,
				.producer = sfu_handle_make(0, w->generation),
				.ssrc = 0x0b0b0b0b + i,
				.rtx_ssrc = 0x1b0b0b0b + i,
				.encoding = 255,
				.payload_type_count = 3,
				.payload_type = {MAPPED_PT, MAPPED_PT + 2, MAPPED_PT + 3},
				.rtx_payload_type = {MAPPED_PT + 1},
				.ext_count = 4,
				.ext = {{1, SFU_EXT_MID}, {2, SFU_EXT_ABS_SEND_TIME},
					{7, SFU_EXT_AUDIO_LEVEL},
					{8, SFU_EXT_DEPENDENCY_DESCRIPTOR}},
				.mid_len = 2,
				.mid = "77",
			},
		};
		must(world_apply(w, &cmd) == SFU_STATUS_OK);
	}
}

static void call_make(void)
{
	static const uint8_t ip6[16] = {0xfd, 0x99, [15] = 0x01};

	must(world_put_room(w, 0, 1, true) == SFU_STATUS_OK);
	for (uint32_t i = 0; i < 3; i++) {
		must(world_put_peer(w, i, 1, 0, UINT64_MAX) == SFU_STATUS_OK);
		must(world_put_client(w, &clients[i], i, i, i ? 2 : 1, (uint16_t)(50000 + i))
			== SFU_STATUS_OK);
		// Carol has only IPv6.
		if (i == 2) {
			memcpy(clients[i].at.ip, ip6, sizeof(ip6));
			clients[i].at.is_ip6 = true;
		}
		world_check(w, i % 2, &clients[i], true);
		must(world_put_keys(w, &clients[i],
			     i ? SFU_SRTP_AEAD_AES_128_GCM : SFU_SRTP_AES128_CM_SHA1_80)
			== SFU_STATUS_OK);
	}
	call_programme();
	world_turn(w);
	world_forget(w);
}

static void call_end(void)
{
	for (uint32_t i = 0; i < w->objects.limits.rooms; i++) {
		struct sfu_command cmd
			= {.type = SFU_CMD_DELETE_ROOM, .handle = w->objects.rooms[i].handle};

		world_apply(w, &cmd);
	}
	for (unsigned i = 0; i < 3; i++)
		world_client_end(&clients[i]);
	world_turn(w);
	if (*world_books(w)) {
		fprintf(stderr, "%s\n", world_books(w));
		abort();
	}
	w->generation++;
}

static void sealed(
	struct world_client *c, unsigned worker, const uint8_t *plain, size_t plain_len, bool rtcp)
{
	uint8_t buf[WORLD_PAYLOAD];
	int len = (int)plain_len;

	if (!c->out || plain_len > sizeof(buf) - SRTP_MAX_TRAILER_LEN - 4)
		return;
	memcpy(buf, plain, plain_len);
	if ((rtcp ? srtp_protect_rtcp(c->out, buf, &len) : srtp_protect(c->out, buf, &len))
		== srtp_err_status_ok)
		world_receive(w, worker, &c->at, buf, (size_t)len);
}

static void check(struct world_client *c, unsigned worker, const uint8_t *how, size_t len)
{
	struct world_client from = *c;
	uint8_t buf[256];

	from.at.port = (uint16_t)(from.at.port + (len > 1 ? how[1] % 16 : 0));
	world_receive(w, worker, &from.at, buf,
		pkt_check(buf, sizeof(buf), c->ufrag, c->pwd, len ? how[0] % 3 : 1,
			len && how[0] & 4, &w->checks));
}

static void command(const uint8_t *octets, size_t len)
{
	struct sfu_command cmd;

	memset(&cmd, 0, sizeof(cmd));
	memcpy(&cmd, octets, len < sizeof(cmd) ? len : sizeof(cmd));
	// Mostly a generation that is there.
	if (cmd.handle >> 63)
		cmd.handle = sfu_handle_make(sfu_handle_index(cmd.handle), w->generation);
	else
		cmd.handle = sfu_handle_make(sfu_handle_index(cmd.handle), w->generation - 1);
	world_apply(w, &cmd);
}

static void nack(unsigned receiver, unsigned worker, const uint8_t *octets, size_t len)
{
	const struct consumer *c
		= consumer_find(&w->objects, sfu_handle_make(receiver, w->generation));
	uint8_t rtcp[1200];
	uint16_t seqs[256];

	if (!c || !len)
		return;
	if (len > sizeof(seqs) / sizeof(seqs[0]))
		len = sizeof(seqs) / sizeof(seqs[0]);
	for (size_t i = 0; i < len; i++)
		seqs[i] = (uint16_t)(c->highest_out_index - octets[i]);
	sealed(&clients[1 + receiver], worker, rtcp,
		rtcp_encode_nack(rtcp, sizeof(rtcp), 1, c->ssrc, seqs, (unsigned)len), true);
}

static void record(uint8_t what, uint8_t who, const uint8_t *octets, size_t len)
{
	struct world_client *c = &clients[who % 3];
	unsigned worker = who / 3 % 2;

	switch (what % WHAT_COUNT) {
	case FRAME:
		world_receive_frame(w, worker, octets, len);
		break;
	case DATAGRAM:
		world_receive(w, worker, &c->at, octets, len);
		break;
	case RTP:
		sealed(c, worker, octets, len, false);
		break;
	case RTCP:
		sealed(c, worker, octets, len, true);
		break;
	case CHECK:
		check(c, worker, octets, len);
		break;
	case PASS:
		world_pass(w, (uint64_t)(who + 1) * 100000, (uint64_t)(who + 1) * 25000);
		break;
	case NACK:
		nack(who % 2, worker, octets, len);
		break;
	default:
		command(octets, len);
		break;
	}
	world_turn(w);
	world_forget(w);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t key[SRTP_KEY_MAX] = {1};

	(void)argc;
	(void)argv;
	must(world_start("fuzz_frame", 2) == 0);
	// Worker 0 reads, both own: every hand-over is used.
	w = world_open(2, false, NULL);
	must(w != NULL);
	// NSS below libsrtp2 unloads itself when its last key goes, and loading takes milliseconds.
	never_used = srtp_oracle_create(srtp_profile_at(0), key, key, true);
	must(never_used != NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rcursor c = rcursor_init(data, size);

	call_make();
	while (rcursor_left(&c) >= 4) {
		uint8_t what = rcursor_u8(&c), who = rcursor_u8(&c);
		size_t len = rcursor_be16(&c);
		const uint8_t *octets;

		if (len > rcursor_left(&c))
			len = rcursor_left(&c);
		if (len > WORLD_PAYLOAD)
			len = WORLD_PAYLOAD;
		octets = rcursor_take(&c, len);
		record(what, who, octets, len);
	}
	call_end();
	return 0;
}
