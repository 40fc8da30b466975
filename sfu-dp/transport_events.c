// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/transport_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct transport_due {
	uint64_t transport; /* handle */
	uint32_t states; /* bit per enum sfu_transport_state; 0 = nothing waits */
	uint32_t worker;
};

int transport_events_create(struct transport_events *e, struct objects *objects)
{
	memset(e, 0, sizeof(*e));
	e->objects = objects;
	e->due = calloc(objects->limits.transports, sizeof(*e->due));
	return e->due ? 0 : -ENOMEM;
}

void transport_events_destroy(struct transport_events *e)
{
	free(e->due);
	e->due = NULL;
}

void transport_events_note(
	struct transport_events *e, uint64_t transport, uint32_t state, uint32_t worker)
{
	uint32_t index = sfu_handle_index(transport);
	struct transport_due *due;

	if (index >= e->objects->limits.transports)
		return;
	due = &e->due[index];
	if (due->transport != transport) {
		// What waits of the slot's earlier transport is of no interest any more.
		e->waiting -= due->states != 0;
		due->transport = transport;
		due->states = 0;
	}
	e->waiting += !due->states;
	due->states |= 1u << state;
	due->worker = worker;
}

void transport_events_note_all(struct transport_events *e)
{
	for (uint32_t i = 0; i < e->objects->limits.transports; i++) {
		const struct transport *t = &e->objects->transports[i];
		uint64_t handle = atomic_load_explicit(&t->handle, memory_order_acquire);
		uint8_t owner = atomic_load_explicit(&t->owner, memory_order_relaxed);

		if (!handle || owner == DP_NO_WORKER)
			continue;
		if (t->validated)
			transport_events_note(e, handle, SFU_TRANSPORT_VALIDATED, owner);
		if (t->nominated)
			transport_events_note(e, handle, SFU_TRANSPORT_NOMINATED, owner);
		if (t->closed)
			transport_events_note(e, handle, SFU_TRANSPORT_CONSENT_LOST, owner);
	}
}

bool transport_events_next(struct transport_events *e, struct sfu_event *out)
{
	for (uint32_t n = 0; e->waiting && n < e->objects->limits.transports; n++) {
		struct transport_due *due = &e->due[e->cursor];
		uint32_t state = SFU_TRANSPORT_VALIDATED;

		if (!due->states || !transport_find(e->objects, due->transport)) {
			e->waiting -= due->states != 0;
			due->states = 0;
			e->cursor = (e->cursor + 1) % e->objects->limits.transports;
			continue;
		}
		while (!(due->states & 1u << state))
			state++;
		due->states &= ~(1u << state);
		e->waiting -= !due->states;
		memset(out, 0, sizeof(*out));
		out->type = SFU_EVENT_TRANSPORT;
		out->handle = due->transport;
		out->u.transport.state = state;
		out->u.transport.worker = due->worker;
		return true;
	}
	return false;
}
