// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/memif/session.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME "sfu-dp"
#define PAGE_BYTES 4096u

static size_t ring_bytes(const struct memif_layout *l)
{
	return sizeof(struct memif_ring) + (sizeof(struct memif_desc) << l->log2_slots);
}

size_t memif_ring_offset(const struct memif_layout *l, unsigned ring)
{
	return ring * ring_bytes(l);
}

size_t memif_buffer_offset(const struct memif_layout *l, unsigned ring, unsigned slot)
{
	size_t rings = (l->to_server + 1) * ring_bytes(l);

	rings = (rings + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	return rings + (((size_t)ring << l->log2_slots) + slot) * MEMIF_BUFFER_BYTES;
}

size_t memif_region_bytes(const struct memif_layout *l)
{
	return memif_buffer_offset(l, l->to_server + 1, 0);
}

static enum memif_step refuse(struct memif_message *out, const char *reason)
{
	out->type = MEMIF_DISCONNECT;
	snprintf((char *)out->u.disconnect.reason, sizeof(out->u.disconnect.reason), "%s", reason);
	return MEMIF_NOT_US;
}

static const char *wrong_with(const struct memif_session *s, const struct memif_hello *h)
{
	if (h->version_min > MEMIF_VERSION || h->version_max < MEMIF_VERSION)
		return "memif 2.0 is spoken here";
	if (h->to_server_max + 1u < s->layout.to_server)
		return "a ring per worker is needed: SFU_DP_WORKERS";
	if (h->log2_slots_max < s->layout.log2_slots)
		return "the rings are too long: rsize";
	return NULL;
}

static void init(const struct memif_session *s, struct memif_message *out)
{
	out->type = MEMIF_INIT;
	out->u.init.version = MEMIF_VERSION;
	out->u.init.id = s->id;
	out->u.init.mode = MEMIF_MODE_ETHERNET;
	memcpy(out->u.init.name, NAME, sizeof(NAME));
}

static void add_ring(const struct memif_session *s, unsigned ring, struct memif_message *out)
{
	bool from_server = ring == s->layout.to_server;

	out->type = MEMIF_ADD_RING;
	out->u.add_ring.flags = from_server ? 0 : MEMIF_TO_SERVER;
	out->u.add_ring.index = (uint16_t)(from_server ? 0 : ring);
	out->u.add_ring.offset = (uint32_t)memif_ring_offset(&s->layout, ring);
	out->u.add_ring.log2_slots = (uint8_t)s->layout.log2_slots;
}

/** INIT, the region, each ring, CONNECT. */
static void next(struct memif_session *s, struct memif_message *out, int *fd)
{
	unsigned step = s->sent++, rings = s->layout.to_server + 1;

	*fd = MEMIF_FD_NONE;
	if (step == 0) {
		init(s, out);
	} else if (step == 1) {
		out->type = MEMIF_ADD_REGION;
		out->u.add_region.bytes = memif_region_bytes(&s->layout);
		*fd = MEMIF_FD_REGION;
	} else if (step < 2 + rings) {
		add_ring(s, step - 2, out);
		*fd = (int)step - 2;
	} else {
		out->type = MEMIF_CONNECT;
		memcpy(out->u.name, NAME, sizeof(NAME));
	}
}

enum memif_step memif_session_on(
	struct memif_session *s, const struct memif_message *in, struct memif_message *out, int *fd)
{
	unsigned all = 2 + s->layout.to_server + 1 + 1;
	const char *wrong;

	memset(out, 0, sizeof(*out));
	if (in->type == MEMIF_DISCONNECT)
		return MEMIF_ENDED;
	if (in->type == MEMIF_CONNECTED && s->sent == all)
		return MEMIF_UP;
	if (in->type != (s->sent ? MEMIF_ACK : MEMIF_HELLO) || s->sent >= all)
		return refuse(out, "that is not the next message");
	wrong = s->sent ? NULL : wrong_with(s, &in->u.hello);
	if (wrong)
		return refuse(out, wrong);
	next(s, out, fd);
	return MEMIF_SEND;
}
