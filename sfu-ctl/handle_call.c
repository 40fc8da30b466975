// SPDX-License-Identifier: BSD-3-Clause
/*
 * call.invite, call.accept, call.decline, call.cancel, call.hangup, call.rekey (protocol.md B10): from
 * one user to another's devices, for clients that have no other way to ring.
 */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/named.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/users.h"

#include <stdio.h>
#include <string.h>

/* An id that must be there. False: the request has been ended. */
static bool required_id(struct request *r, const char *field, const char **out)
{
	if (!named_id(r, field, out))
		return false;
	if (*out == NULL)
		request_fail_field(r, field);
	return *out != NULL;
}

void handle_call(struct request *r)
{
	struct session *s = r->session, *other;
	const char *to, *call_id, *to_device;
	struct json_object *payload;
	struct user *user;
	char message[64];

	if (!s->core->config->call_relay) {
		snprintf(message, sizeof(message), "Unsupported type: %s", r->type->name);
		request_fail_with(r, FAULT_UNSUPPORTED_TYPE, message, NULL);
		return;
	}
	if (!required_id(r, "to", &to) || !required_id(r, "callId", &call_id)
		|| !named_id(r, "to_device", &to_device))
		return;
	// Who calls is what the connection proved, whatever the message says.
	payload = field_object(r->frame, "payload");
	put_string(payload, "from", s->user_id);
	put_string(payload, "from_device", s->device_id);
	user = users_find(s->core, to);
	if (user != NULL) {
		TAILQ_FOREACH (other, &user->sessions, user_link) {
			if (other != s && !other->parked
				&& (to_device == NULL || strcmp(other->device_id, to_device) == 0))
				outbox_pass_on(r, other);
		}
	}
	request_ok(r); // also when nobody is there: who is online is not told
}
