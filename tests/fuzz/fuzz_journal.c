// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a predecessor may have left: a journal of any text, and texts of any kind under a right
 * checksum. The scan stays inside and tells only what has a right checksum; core_restore() takes what
 * makes sense, the core that comes of it works, and what it remembers of itself is restored again
 * without a word refused.
 *
 * First octet even: the rest is the file as it is. Odd: lines of kind TAB id TAB text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_memory.h"
#include "sfu-ctl/proto/journal_line.h"
#include "sfu-ctl/restore.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct config config;
static uint64_t clock_us = 1000000;

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	(void)ctx;
	(void)text;
	(void)len;
	CHECK(conn != NULL); // nobody is connected
}

static void io_send_all(
	void *ctx, void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	(void)ctx;
	(void)latest;
	(void)conns;
	(void)text;
	(void)len;
	CHECK(count == 0);
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	(void)conn;
	(void)code;
	(void)reason;
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	(void)ctx;
	(void)session_id;
	(void)request_id;
	(void)token;
	(void)len;
	return 0;
}

static void io_random(void *ctx, void *out, size_t len)
{
	static uint8_t next;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = next++;
}

static uint64_t io_wall_ms(void *ctx)
{
	(void)ctx;
	return UINT64_C(1790000000000);
}

static uint64_t io_now_us(void *ctx)
{
	(void)ctx;
	return clock_us;
}

static void io_wake_at(void *ctx, uint64_t at_us)
{
	(void)ctx;
	(void)at_us;
}

static void io_remember(void *ctx, const char *kind, const char *id, const char *text)
{
	struct memory **memory = ctx;
	char line[JOURNAL_LINE_MAX];

	// What the core says of itself must fit the file.
	CHECK(journal_line(line, sizeof(line), kind, id, text) > 0);
	if (*memory != NULL)
		CHECK(memory_put(*memory, kind, id, text) == 0);
}

static int on_line(void *ctx, const char *kind, const char *id, const char *text)
{
	CHECK(*kind != '\0' && *id != '\0');
	return memory_put(ctx, kind, id, text);
}

static void read_lines(struct memory *memory, char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL) {
		char *kind = strsep(&line, "\t");
		char *id = strsep(&line, "\t");

		if (id != NULL && *kind != '\0' && *id != '\0'
			&& (line == NULL || strchr(line, '\t') == NULL))
			CHECK(memory_put(memory, kind, id, line) == 0);
	}
}

static void read_object(void *ctx, const char *id, const char *text)
{
	struct sfu_command put, again;
	char id2[MEDIA_MEMORY_ID_BYTES], text2[MEDIA_MEMORY_TEXT_BYTES];

	(void)ctx;
	if (!media_memory_read_object(id, text, &put))
		return;
	media_memory_object_id(id2, programme_kind(put.type), put.handle);
	media_memory_object(text2, &put);
	CHECK(media_memory_read_object(id2, text2, &again));
	CHECK(again.version == put.version && again.handle == put.handle);
}

/* One life: restored from memory, a while of time. Returns what it leaves. */
static struct memory *live(const struct memory *memory, struct restored *restored)
{
	struct memory *left = NULL;
	const struct core_io io = {
		.ctx = &left,
		.send = io_send,
		.send_all = io_send_all,
		.close = io_close,
		.auth = io_auth,
		.random = io_random,
		.wall_ms = io_wall_ms,
		.now_us = io_now_us,
		.wake_at = io_wake_at,
		.remember = {&left, io_remember},
	};
	struct core *core = core_create(&config, &io, NULL);

	CHECK(core != NULL);
	core_restore(core, memory, restored);
	left = memory_create();
	core_remember_all(core);
	core_tick(core);
	core_hand_over(core);
	core_destroy(core);
	return left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct memory *memory = memory_create(), *left, *last;
	struct restored first, second;
	char *text = malloc(size + 1);

	if (!ready) {
		CHECK(config_init(&config) == 0);
		log_set_level(LOG_LEVEL_ERROR);
		ready = true;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	if (size > 0 && data[0] % 2 == 0)
		journal_scan(text + 1, size - 1, on_line, memory);
	else if (size > 0)
		read_lines(memory, text + 1);
	memory_each(memory, "object", read_object, NULL);
	left = live(memory, &first);
	last = live(left, &second);
	CHECK(second.refused == 0);
	CHECK(second.peers == first.peers && second.sessions <= first.sessions);
	memory_destroy(last);
	memory_destroy(left);
	memory_destroy(memory);
	free(text);
	return 0;
}
