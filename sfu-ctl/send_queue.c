// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct send_entry {
	STAILQ_ENTRY(send_entry) next;
	struct send_text *text;
	bool latest;
};

struct send_text *send_text_create(const char *octets, size_t len)
{
	struct send_text *text = malloc(sizeof(*text) + len);

	if (text == NULL)
		return NULL;
	*text = (struct send_text){.users = 1, .len = len};
	memcpy(text->octets, octets, len);
	return text;
}

void send_text_release(struct send_text *text)
{
	if (--text->users == 0)
		free(text);
}

void send_queue_init(struct send_queue *q)
{
	STAILQ_INIT(&q->entries);
	q->bytes = 0;
}

/* An entry that has been taken out of the list. */
static void drop(struct send_queue *q, struct send_entry *e)
{
	q->bytes -= e->text->len;
	send_text_release(e->text);
	free(e);
}

void send_queue_clear(struct send_queue *q)
{
	struct send_entry *e;

	while ((e = STAILQ_FIRST(&q->entries)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->entries, next);
		drop(q, e);
	}
}

/* There is one at most: it was dropped when the next came. */
static void drop_outdated(struct send_queue *q)
{
	struct send_entry *e;

	STAILQ_FOREACH (e, &q->entries, next) {
		if (!e->latest)
			continue;
		STAILQ_REMOVE(&q->entries, e, send_entry, next);
		drop(q, e);
		return;
	}
}

int send_queue_add(struct send_queue *q, struct send_text *text, bool latest)
{
	struct send_entry *e = malloc(sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	if (latest)
		drop_outdated(q);
	*e = (struct send_entry){.text = text, .latest = latest};
	text->users++;
	STAILQ_INSERT_TAIL(&q->entries, e, next);
	q->bytes += text->len;
	return 0;
}

/* The header of a whole text message. Returns its octets. */
static size_t put_header(unsigned char *out, size_t len)
{
	out[0] = 0x81;
	if (len < 126) {
		out[1] = (unsigned char)len;
		return 2;
	}
	if (len < 65536) {
		out[1] = 126;
		out[2] = (unsigned char)(len >> 8);
		out[3] = (unsigned char)len;
		return 4;
	}
	out[1] = 127;
	for (unsigned i = 0; i < 8; i++)
		out[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
	return SEND_HEADER_BYTES;
}

size_t send_text_frame(unsigned char *out, const char *octets, size_t len)
{
	size_t header = put_header(out, len);

	memcpy(out + header, octets, len);
	return header + len;
}

size_t send_queue_first_bytes(const struct send_queue *q)
{
	const struct send_entry *e = STAILQ_FIRST(&q->entries);

	return e == NULL ? 0 : e->text->len + SEND_HEADER_BYTES;
}

size_t send_queue_take(struct send_queue *q, unsigned char *out)
{
	struct send_entry *e = STAILQ_FIRST(&q->entries);
	size_t len = send_text_frame(out, e->text->octets, e->text->len);

	STAILQ_REMOVE_HEAD(&q->entries, next);
	drop(q, e);
	return len;
}

size_t send_queue_gather(struct send_queue *q, unsigned char *out, size_t size)
{
	size_t used = 0, next;

	while ((next = send_queue_first_bytes(q)) != 0 && next <= size - used)
		used += send_queue_take(q, out + used);
	return used;
}
