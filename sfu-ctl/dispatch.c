// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/dispatch.h"

#include "sfu-ctl/bounds.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <stdio.h>
#include <string.h>

#define MEMBER (NEEDS_AUTH | NEEDS_MEMBER)
#define GATED (NEEDS_AUTH | NEEDS_MEMBER | NEEDS_GATE)

static const struct message_type types[] = {
	{"HELLO", handle_hello, 0, RATE_HELLO},
	{"AUTH", handle_auth, 0, RATE_AUTH},
	{"PING", handle_ping, 0, RATE_ALL},
	{"E2EE_CAPS", handle_e2ee_caps, NEEDS_AUTH, RATE_CAPS},
	{"ROOM_CREATE", handle_room_create, NEEDS_AUTH, RATE_ROOM_CREATE},
	{"ROOM_JOIN", handle_room_join, NEEDS_AUTH, RATE_ROOM_JOIN},
	{"ROOM_LEAVE", handle_room_leave, NEEDS_AUTH, RATE_ALL},
	{"GET_ROUTER_RTP_CAPABILITIES", handle_get_capabilities, NEEDS_AUTH, RATE_ALL},
	{"E2EE_READY", handle_e2ee_ready, MEMBER, RATE_ALL},
	{"REKEY_BEGIN", handle_rekey_begin, MEMBER, RATE_REKEY},
	{"REKEY_COMMIT", handle_rekey_commit, MEMBER, RATE_REKEY},
	{"KEY_PACKAGE", handle_key_package, MEMBER, RATE_KEY},
	{"KEY_ACK", handle_key_ack, MEMBER, RATE_KEY},
	{"TRANSPORT_CREATE", handle_transport_create, GATED, RATE_ALL},
	{"TRANSPORT_CONNECT", handle_transport_connect, GATED, RATE_ALL},
	{"TRANSPORT_CLOSE", handle_transport_close, MEMBER, RATE_ALL},
	{"ICE_RESTART", handle_ice_restart, NEEDS_AUTH, RATE_ALL},
	{"PRODUCE", handle_produce, GATED, RATE_ALL},
	{"PRODUCER_CLOSE", handle_producer_close, MEMBER, RATE_ALL},
	{"PRODUCER_PAUSE", handle_producer_pause, MEMBER, RATE_ALL},
	{"PRODUCER_RESUME", handle_producer_resume, MEMBER, RATE_ALL},
	{"CONSUME", handle_consume, GATED, RATE_ALL},
	{"CONSUMER_CLOSE", handle_consumer_close, MEMBER, RATE_ALL},
	{"CONSUMER_PAUSE", handle_consumer_pause, MEMBER, RATE_ALL},
	{"CONSUMER_RESUME", handle_consumer_resume, MEMBER, RATE_ALL},
	{"CONSUMER_SET_LAYERS", handle_consumer_set_layers, MEMBER, RATE_ALL},
	{"CONSUMER_REQUEST_KEY_FRAME", handle_consumer_key_frame, MEMBER, RATE_ALL},
};

static const struct message_type *find(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	}
	return NULL;
}

static void refuse_type(struct request *r, const char *type)
{
	char message[32 + LIMIT_ECHOED_TYPE_BYTES];
	size_t len = strlen(type);

	if (len > LIMIT_ECHOED_TYPE_BYTES) {
		len = LIMIT_ECHOED_TYPE_BYTES;
		while (len > 0 && ((unsigned char)type[len] & 0xc0) == 0x80)
			len--; // not in the middle of a UTF-8 sequence
	}
	snprintf(message, sizeof(message), "Unsupported type: %.*s", (int)len, type);
	request_fail_with(r, FAULT_UNSUPPORTED_TYPE, message, NULL);
}

/* roomId is optional; when given it must be the room this device is in. */
static bool find_membership(struct request *r)
{
	const char *room_id = NULL;
	struct peer *p = session_member(r->session);

	switch (field_id(r->payload, "roomId", &room_id)) {
	case FIELD_INVALID:
		request_fail_field(r, "roomId");
		return false;
	case FIELD_OK:
		if (p != NULL && strcmp(p->room->id, room_id) != 0)
			p = NULL;
		break;
	case FIELD_ABSENT:
		break;
	}
	if (p == NULL) {
		request_fail(r, FAULT_NOT_MEMBER);
		return false;
	}
	r->peer = p;
	return true;
}

void dispatch(struct request *r, const char *type)
{
	r->type = find(type);
	if (r->type == NULL) {
		refuse_type(r, type);
		return;
	}
	// RATE_ALL was counted when the frame came.
	if (r->type->rate != RATE_ALL && session_rate(r->session, r->type->rate) != RATE_FINE) {
		request_fail(r, FAULT_RATE);
		return;
	}
	if ((r->type->needs & NEEDS_AUTH) != 0 && r->session->user_id == NULL) {
		request_fail(r, FAULT_AUTH_REQUIRED);
		return;
	}
	if ((r->type->needs & NEEDS_MEMBER) != 0 && !find_membership(r))
		return;
	if ((r->type->needs & NEEDS_GATE) != 0
		&& !e2ee_gate_open(&r->peer->room->e2ee, &r->peer->e2ee)) {
		if (r->type->handle == handle_consume)
			r->peer->consume_refused = true;
		request_fail_not_ready(r, r->peer->room->e2ee.epoch);
		return;
	}
	r->type->handle(r);
}
