// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/dispatch.h"

#include "sfu-ctl/bounds.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <stdio.h>
#include <string.h>

#define AUTH (NEEDS_AUTH | ONLY_PAYLOAD)
#define MEMBER (NEEDS_AUTH | NEEDS_MEMBER | ONLY_PAYLOAD)
#define RELAYED (NEEDS_AUTH | NEEDS_MEMBER)
#define GATED (NEEDS_AUTH | NEEDS_MEMBER | NEEDS_GATE | ONLY_PAYLOAD)

static const struct message_type types[] = {
	{"HELLO", handle_hello, ONLY_PAYLOAD, RATE_HELLO},
	{"AUTH", handle_auth, ONLY_PAYLOAD, RATE_AUTH},
	{"PING", handle_ping, ONLY_ENVELOPE, RATE_ALL},
	{"E2EE_CAPS", handle_e2ee_caps, AUTH, RATE_CAPS},
	{"ROOM_CREATE", handle_room_create, AUTH, RATE_ROOM_CREATE},
	{"ROOM_JOIN", handle_room_join, AUTH, RATE_ROOM_JOIN},
	{"ROOM_LEAVE", handle_room_leave, AUTH, RATE_ALL},
	{"GET_ROUTER_RTP_CAPABILITIES", handle_get_capabilities, AUTH, RATE_ALL},
	{"E2EE_READY", handle_e2ee_ready, MEMBER, RATE_ALL},
	{"REKEY_BEGIN", handle_rekey_begin, RELAYED, RATE_REKEY},
	{"REKEY_COMMIT", handle_rekey_commit, RELAYED, RATE_REKEY},
	{"KEY_PACKAGE", handle_key_package, RELAYED, RATE_KEY},
	{"KEY_ACK", handle_key_ack, RELAYED, RATE_KEY},
	{"TRANSPORT_CREATE", handle_transport_create, GATED, RATE_ALL},
	{"TRANSPORT_CONNECT", handle_transport_connect, GATED, RATE_ALL},
	{"TRANSPORT_CLOSE", handle_transport_close, MEMBER, RATE_ALL},
	{"ICE_RESTART", handle_ice_restart, AUTH, RATE_ALL},
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
	{"call.invite", handle_call, NEEDS_AUTH, RATE_CALL_INVITE},
	{"call.accept", handle_call, NEEDS_AUTH, RATE_CALL},
	{"call.decline", handle_call, NEEDS_AUTH, RATE_CALL},
	{"call.cancel", handle_call, NEEDS_AUTH, RATE_CALL},
	{"call.hangup", handle_call, NEEDS_AUTH, RATE_CALL},
	{"call.rekey", handle_call, NEEDS_AUTH, RATE_CALL},
};

const struct message_type *dispatch_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (len > 0 && types[i].name[0] == name[0] && strncmp(types[i].name, name, len) == 0
			&& types[i].name[len] == '\0')
			return &types[i];
	}
	return NULL;
}

static void refuse_type(struct request *r, const char *type, size_t len)
{
	char message[32 + LIMIT_ECHOED_TYPE_BYTES];

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

void dispatch(struct request *r, const char *type, size_t len)
{
	r->type = dispatch_find(type, len);
	if (r->type == NULL) {
		refuse_type(r, type, len);
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
