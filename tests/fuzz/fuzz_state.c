// SPDX-License-Identifier: BSD-3-Clause
/**
 * A stream state that another process left: octets over a region that was whole. Whatever is found
 * fit for adoption must be so to the last record: recovering and reading it leaves the region whole.
 */
#include "sfu-dp/state/hot.h"
#include "sfu-dp/state/region.h"

#include <stdlib.h>
#include <string.h>

static const struct state_limits limits = {.count = {0, 1, 2, 2, 1, 2, 2}};

static void put(struct state *s, uint32_t type, uint32_t index)
{
	struct sfu_command cmd = {.type = type, .version = 1, .handle = sfu_handle_make(index, 1)};

	state_begin(s, &cmd);
	state_put(s, &cmd);
	state_end(s);
}

/** One object of each kind, with everything that belongs to it. */
static void *whole(size_t bytes)
{
	void *memory = aligned_alloc(4096, bytes);
	struct state s;

	if (!memory)
		abort();
	memset(memory, 0, bytes);
	state_format(memory, &limits, 1);
	state_open(&s, memory);
	for (uint64_t *word = &s.egress[0].generation; word < &s.egress[0].about; word++)
		*word = state_guard(0);
	s.egress[0].generation = state_guard(1);
	for (uint64_t *word = &s.transports[0].generation;
		word < (uint64_t *)(void *)&s.transports[0].tuple; word++)
		*word = state_guard(0);
	s.transports[0].generation = state_guard(1);
	put(&s, SFU_CMD_PUT_ROOM, 0);
	put(&s, SFU_CMD_PUT_PEER, 0);
	put(&s, SFU_CMD_PUT_TRANSPORT, 0);
	put(&s, SFU_CMD_PUT_KEYS, 0);
	put(&s, SFU_CMD_PUT_PRODUCER, 0);
	put(&s, SFU_CMD_PUT_CONSUMER, 0);
	state_egress_index(&s.egress[0], 1000, 1, 1);
	state_rx_begin(&s.transports[0].rx[0], 5);
	state_rtcp_begin(&s.transports[0].rtcp[0], 5, 0);
	state_ssrc_over(&s.transports[0], 7);
	state_heeded(&s.transports[0], 9);
	if (state_check(memory, bytes, &limits) != STATE_OK)
		abort();
	return memory;
}

static void adopt(void *memory, size_t bytes)
{
	const struct sfu_command *redo;
	struct state s;

	state_open(&s, memory);
	redo = state_recover(&s);
	if (redo)
		state_end(&s);
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		for (uint32_t i = 0; i < limits.count[kind]; i++) {
			const struct sfu_command *cmd = state_find(&s, kind, i);

			if (cmd && state_kind_of_put(cmd->type) != kind)
				abort();
			if (cmd && sfu_handle_index(cmd->handle) != i)
				abort();
		}
	}
	if (state_check(memory, bytes, &limits) != STATE_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void *model;
	static uint8_t *memory;
	size_t bytes = state_bytes(&limits);
	uint16_t at;

	if (!model) {
		model = whole(bytes);
		memory = aligned_alloc(4096, bytes);
		if (!memory)
			abort();
	}
	memcpy(memory, model, bytes);
	// Places and what is put there: offset, length, octets.
	while (len > 3) {
		size_t count = data[2] % 64u + 1;

		memcpy(&at, data, sizeof(at));
		data += 3;
		len -= 3;
		if (count > len)
			count = len;
		for (size_t i = 0; i < count; i++)
			memory[(at + i) % bytes] ^= data[i];
		data += count;
		len -= count;
	}
	if (state_check(memory, bytes, &limits) == STATE_OK)
		adopt(memory, bytes);
	return 0;
}
