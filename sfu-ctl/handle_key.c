// SPDX-License-Identifier: BSD-3-Clause
/* Key epochs and opaque key messages: E2EE_READY, REKEY_BEGIN, REKEY_COMMIT, KEY_PACKAGE, KEY_ACK. */
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <math.h>
#include <string.h>

/* C17: a number or a string of decimal digits; nothing else is coerced. */
static bool read_epoch(const struct json_object *payload, double *epoch)
{
	struct json_object *value = field_get(payload, "epoch");
	const char *digits;
	double number = 0;

	if (field_number(payload, "epoch", &number)) {
		*epoch = number;
		return isfinite(number) && number >= 0;
	}
	if (!json_object_is_type(value, json_type_string))
		return false;
	digits = json_object_get_string(value);
	if (digits[0] == '\0' || strlen(digits) > 16)
		return false;
	for (; *digits != '\0'; digits++) {
		if (*digits < '0' || *digits > '9')
			return false;
		number = number * 10 + (*digits - '0');
	}
	*epoch = number;
	return true;
}

static struct json_object *expected_epoch(uint64_t epoch)
{
	struct json_object *details = json_object_new_object();

	put_number(details, "expectedEpoch", epoch);
	return details;
}

void handle_e2ee_ready(struct request *r)
{
	struct peer *p = r->peer;
	struct room *room = p->room;
	double epoch;

	if (!read_epoch(r->payload, &epoch)) {
		request_fail(r, FAULT_INVALID_EPOCH);
		return;
	}
	if (!e2ee_member_ready(&room->e2ee, &p->e2ee, epoch)) {
		request_fail_with(r, FAULT_EPOCH_MISMATCH, NULL, expected_epoch(room->e2ee.epoch));
		return;
	}
	peer_program(p);
	r->replay_producers = p->consume_refused;
	p->consume_refused = false;
	request_ok(r);
}

void handle_rekey_begin(struct request *r)
{
	outbox_relay(r, r->peer, NULL);
	request_ok(r);
}

static void commit(struct peer *committer, double epoch, enum e2ee_verdict verdict)
{
	struct room *room = committer->room;
	const struct config *config = room->core->config;
	const struct e2ee_commit how = {
		.verdict = verdict,
		.committer_ready = config->committer_ready,
		.now_us = core_now(room->core),
		.grace_us = config->e2ee_grace_ms * UINT64_C(1000),
	};
	struct peer *p;

	if (verdict == E2EE_COMMIT_NEW) {
		e2ee_room_commit(&room->e2ee, epoch);
		room->version++;
		room_program(room);
	}
	TAILQ_FOREACH (p, &room->peers, link) {
		e2ee_member_commit(&room->e2ee, &p->e2ee, p == committer, &how);
		peer_program(p);
	}
}

void handle_rekey_commit(struct request *r)
{
	struct room *room = r->peer->room;
	enum e2ee_verdict verdict;
	double epoch;

	if (!field_number(r->payload, "epoch", &epoch)) {
		outbox_relay(r, r->peer, NULL); // no epoch or a string: as the seed, relay only
		request_ok(r);
		return;
	}
	verdict = e2ee_judge(&room->e2ee, epoch);
	if (verdict == E2EE_COMMIT_REFUSED) {
		request_fail_with(
			r, FAULT_COMMIT_MISMATCH, NULL, expected_epoch(room->e2ee.epoch + 1));
		return;
	}
	commit(r->peer, epoch, verdict);
	if (verdict == E2EE_COMMIT_NEW)
		outbox_relay(r, r->peer, NULL);
	request_ok(r);
}

/* B5: the later name, then the gateway's. */
static enum field_status read_target(const struct json_object *payload, const char **out)
{
	enum field_status status = field_id(payload, "targetDeviceId", out);

	return status == FIELD_ABSENT ? field_id(payload, "toDeviceId", out) : status;
}

void handle_key_package(struct request *r)
{
	struct json_object *ciphertext = field_get(r->payload, "ciphertext");
	const char *device_id;
	struct peer *target;

	if (json_object_is_type(ciphertext, json_type_string)
		&& json_object_get_string_len(ciphertext) > (int)LIMIT_CIPHERTEXT_BYTES) {
		request_fail(r, FAULT_KEY_PACKAGE_INVALID);
		return;
	}
	switch (read_target(r->payload, &device_id)) {
	case FIELD_INVALID:
		request_fail_field(r, "targetDeviceId");
		return;
	case FIELD_ABSENT:
		outbox_relay(r, r->peer, NULL);
		request_ok(r);
		return;
	case FIELD_OK:
		break;
	}
	target = room_peer(r->peer->room, device_id);
	if (target == NULL) {
		request_fail(r, FAULT_KEY_TARGET_NOT_FOUND);
	} else if (target->session->closing) {
		request_fail(r, FAULT_KEY_TARGET_OFFLINE);
	} else {
		outbox_relay(r, r->peer, target);
		request_ok(r);
	}
}

void handle_key_ack(struct request *r)
{
	struct json_object *from = field_get(r->payload, "fromDeviceId");

	if (json_object_is_type(from, json_type_string)
		&& strcmp(json_object_get_string(from), r->peer->device_id) != 0) {
		request_fail(r, FAULT_KEY_ACK_INVALID);
		return;
	}
	outbox_relay(r, r->peer, NULL);
	request_ok(r);
}
