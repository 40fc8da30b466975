// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/programme.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

// A freed index rests until this many others were freed after it (or half of the table is
// resting): the data plane frees a slot only when its workers have passed on.
#define RESTING 64u

// An object hangs on its parent by link[0]; a consumer also on its producer by link[1]. So the
// children of a producer are chained by link[1], those of everything else by link[0].
struct object {
	struct sfu_command put;
	uint32_t generation; /* of the present object or the last one */
	uint32_t next_free; /* while resting: index of the next in the queue */
	bool used;
	bool seen; /* in the digest, with our version; after a restore: claimed */
	LIST_ENTRY(object) link[2];
	LIST_HEAD(children, object) children;
};

struct table {
	struct object *objects;
	uint32_t capacity;
	uint32_t fresh; /* indices from here on were never used */
	uint32_t used;
	/* Queue of freed indices, oldest first. */
	uint32_t resting, first_free, last_free;
};

struct programme {
	struct table table[PROGRAMME_KINDS];
	uint32_t generation; /* no handle gets a lower one */
	uint32_t highest; /* given out so far */
};

static const struct {
	enum sfu_command_type put, delete;
} types[PROGRAMME_KINDS] = {
	[SFU_KIND_ROOM] = {SFU_CMD_PUT_ROOM, SFU_CMD_DELETE_ROOM},
	[SFU_KIND_PEER] = {SFU_CMD_PUT_PEER, SFU_CMD_DELETE_PEER},
	[SFU_KIND_TRANSPORT] = {SFU_CMD_PUT_TRANSPORT, SFU_CMD_DELETE_TRANSPORT},
	[SFU_KIND_PRODUCER] = {SFU_CMD_PUT_PRODUCER, SFU_CMD_DELETE_PRODUCER},
	[SFU_KIND_CONSUMER] = {SFU_CMD_PUT_CONSUMER, SFU_CMD_DELETE_CONSUMER},
};

static enum sfu_object_kind kind_of(uint32_t put_type)
{
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++)
		if (types[kind].put == put_type)
			return (enum sfu_object_kind)kind;
	return SFU_KIND_NONE;
}

static struct object *find(const struct programme *p, enum sfu_object_kind kind, uint64_t handle)
{
	const struct table *t;
	uint32_t index = sfu_handle_index(handle);

	if (kind <= SFU_KIND_NONE || kind >= PROGRAMME_KINDS)
		return NULL;
	t = &p->table[kind];
	if (index >= t->fresh || !t->objects[index].used
		|| t->objects[index].generation != sfu_handle_generation(handle))
		return NULL;
	return &t->objects[index];
}

// --- parents -----------------------------------------------------------------------------------

// The handle of parent number n of an object described by this PUT; 0 when it has none.
static uint64_t parent_handle(const struct sfu_command *put, int n, enum sfu_object_kind *kind)
{
	switch (put->type) {
	case SFU_CMD_PUT_PEER:
		*kind = SFU_KIND_ROOM;
		return n == 0 ? put->u.peer.room : 0;
	case SFU_CMD_PUT_TRANSPORT:
		*kind = SFU_KIND_PEER;
		return n == 0 ? put->u.transport.peer : 0;
	case SFU_CMD_PUT_PRODUCER:
		*kind = SFU_KIND_TRANSPORT;
		return n == 0 ? put->u.producer.transport : 0;
	case SFU_CMD_PUT_CONSUMER:
		*kind = n == 0 ? SFU_KIND_TRANSPORT : SFU_KIND_PRODUCER;
		return n == 0 ? put->u.consumer.transport : put->u.consumer.producer;
	default:
		*kind = SFU_KIND_NONE;
		return 0;
	}
}

static int parent_count(uint32_t put_type)
{
	return put_type == SFU_CMD_PUT_ROOM ? 0 : put_type == SFU_CMD_PUT_CONSUMER ? 2 : 1;
}

static bool parents_live(const struct programme *p, const struct sfu_command *put)
{
	for (int n = 0; n < parent_count(put->type); n++) {
		enum sfu_object_kind kind;
		uint64_t handle = parent_handle(put, n, &kind);

		if (find(p, kind, handle) == NULL)
			return false;
	}
	return true;
}

static bool same_parents(const struct sfu_command *a, const struct sfu_command *b)
{
	for (int n = 0; n < parent_count(a->type); n++) {
		enum sfu_object_kind kind;

		if (parent_handle(a, n, &kind) != parent_handle(b, n, &kind))
			return false;
	}
	return true;
}

static void hang_on_parents(struct programme *p, struct object *o)
{
	enum sfu_object_kind kind;
	struct object *parent;
	uint64_t handle;

	LIST_INIT(&o->children);
	if (parent_count(o->put.type) > 0) {
		handle = parent_handle(&o->put, 0, &kind);
		parent = find(p, kind, handle);
		LIST_INSERT_HEAD(&parent->children, o, link[0]);
	}
	if (parent_count(o->put.type) > 1) {
		handle = parent_handle(&o->put, 1, &kind);
		parent = find(p, kind, handle);
		LIST_INSERT_HEAD(&parent->children, o, link[1]);
	}
}

static void leave_parents(struct object *o)
{
	if (parent_count(o->put.type) > 0)
		LIST_REMOVE(o, link[0]);
	if (parent_count(o->put.type) > 1)
		LIST_REMOVE(o, link[1]);
}

// --- slots -------------------------------------------------------------------------------------

static bool take_index(struct table *t, uint32_t *index)
{
	uint32_t rest = t->capacity / 2 < RESTING ? t->capacity / 2 : RESTING;

	if (t->resting > rest || (t->fresh == t->capacity && t->resting > 0)) {
		*index = t->first_free;
		t->first_free = t->objects[*index].next_free;
		t->resting--;
	} else if (t->fresh < t->capacity) {
		*index = t->fresh++;
	} else {
		return false;
	}
	return true;
}

static struct object *take_slot(struct programme *p, enum sfu_object_kind kind, uint32_t *index)
{
	struct table *t = &p->table[kind];

	while (take_index(t, index)) {
		struct object *o = &t->objects[*index];
		uint32_t next = o->generation < p->generation ? p->generation : o->generation + 1;

		// Its generations are used up, whoever says so: until the tables are new it does
		// not come back.
		if (next == 0)
			continue;
		o->generation = next;
		if (o->generation > p->highest)
			p->highest = o->generation;
		o->used = true;
		t->used++;
		return o;
	}
	return NULL;
}

static void rest_slot(struct table *t, uint32_t index)
{
	if (t->resting++ == 0)
		t->first_free = index;
	else
		t->objects[t->last_free].next_free = index;
	t->last_free = index;
}

static void free_slot(struct table *t, struct object *o)
{
	o->used = false;
	t->used--;
	rest_slot(t, (uint32_t)(o - t->objects));
}

// As deep as there are kinds, no deeper: a child is always of a later kind than its parent.
static void remove_object(
	struct programme *p, struct object *o, programme_removed_fn removed, void *ctx)
{
	enum sfu_object_kind kind = kind_of(o->put.type);

	while (!LIST_EMPTY(&o->children)) {
		struct object *child = LIST_FIRST(&o->children);

		remove_object(p, child, removed, ctx);
	}
	leave_parents(o);
	free_slot(&p->table[kind], o);
	if (removed != NULL)
		removed(ctx, kind, o->put.handle);
}

// --- calls -------------------------------------------------------------------------------------

struct programme *programme_create(void)
{
	struct programme *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->generation = 1;
	return p;
}

static void drop_tables(struct programme *p)
{
	for (int kind = 0; kind < PROGRAMME_KINDS; kind++)
		free(p->table[kind].objects);
	memset(p->table, 0, sizeof(p->table));
}

void programme_destroy(struct programme *p)
{
	if (p == NULL)
		return;
	drop_tables(p);
	free(p);
}

int programme_reset(
	struct programme *p, const uint32_t capacity[PROGRAMME_KINDS], uint32_t generation)
{
	drop_tables(p);
	p->generation = generation > p->highest ? generation : p->highest + 1;
	if (p->generation == 0)
		p->generation = 1;
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++) {
		struct table *t = &p->table[kind];

		if (capacity[kind] == 0)
			continue;
		// Untouched pages cost nothing, so the table is as large as the data plane's at once.
		t->objects = calloc(capacity[kind], sizeof(*t->objects));
		if (t->objects == NULL) {
			drop_tables(p);
			return -ENOMEM;
		}
		t->capacity = capacity[kind];
	}
	return 0;
}

static int change(struct programme *p, enum sfu_object_kind kind, struct sfu_command *command)
{
	struct object *o = find(p, kind, command->handle);

	if (o == NULL)
		return -ENOENT;
	if (!same_parents(&o->put, command))
		return -EINVAL;
	command->version = o->put.version + 1;
	command->id = 0;
	o->put = *command;
	return 0;
}

int programme_put(struct programme *p, struct sfu_command *command)
{
	enum sfu_object_kind kind = kind_of(command->type);
	struct object *o;
	uint32_t index;

	if (kind == SFU_KIND_NONE)
		return -EINVAL;
	if (command->handle != 0)
		return change(p, kind, command);
	if (!parents_live(p, command))
		return -ENOENT;
	o = take_slot(p, kind, &index);
	if (o == NULL)
		return -ENOSPC;
	command->handle = sfu_handle_make(index, o->generation);
	command->version = 1;
	command->id = 0;
	o->put = *command;
	hang_on_parents(p, o);
	return 0;
}

static void delete_command(struct sfu_command *command, enum sfu_object_kind kind, uint64_t handle)
{
	memset(command, 0, sizeof(*command));
	command->type = types[kind].delete;
	command->handle = handle;
}

int programme_delete(struct programme *p, enum sfu_object_kind kind, uint64_t handle,
	struct sfu_command *command, programme_removed_fn removed, void *ctx)
{
	struct object *o = find(p, kind, handle);

	if (o == NULL)
		return -ENOENT;
	delete_command(command, kind, handle);
	command->version = o->put.version;
	remove_object(p, o, removed, ctx);
	return 0;
}

enum sfu_object_kind programme_kind(uint32_t put_type)
{
	return kind_of(put_type);
}

enum sfu_command_type programme_put_type(enum sfu_object_kind kind)
{
	return types[kind].put;
}

bool programme_has(const struct programme *p, enum sfu_object_kind kind, uint64_t handle)
{
	return find(p, kind, handle) != NULL;
}

const struct sfu_command *programme_find(
	const struct programme *p, enum sfu_object_kind kind, uint64_t handle)
{
	const struct object *o = find(p, kind, handle);

	return o == NULL ? NULL : &o->put;
}

uint32_t programme_count(const struct programme *p, enum sfu_object_kind kind)
{
	return p->table[kind].used;
}

// --- what a predecessor wanted -----------------------------------------------------------------

int programme_restore(struct programme *p, const struct sfu_command *put)
{
	enum sfu_object_kind kind = kind_of(put->type);
	uint32_t index = sfu_handle_index(put->handle);
	struct table *t = &p->table[kind];
	struct object *o;

	if (kind == SFU_KIND_NONE || sfu_handle_generation(put->handle) == 0 || index >= t->capacity
		|| t->objects[index].used)
		return -EINVAL;
	if (!parents_live(p, put))
		return -ENOENT;
	o = &t->objects[index];
	o->generation = sfu_handle_generation(put->handle);
	if (o->generation > p->highest)
		p->highest = o->generation;
	o->used = true;
	t->used++;
	if (index >= t->fresh)
		t->fresh = index + 1;
	o->put = *put;
	o->put.id = 0;
	hang_on_parents(p, o);
	return 0;
}

void programme_restored(struct programme *p)
{
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++) {
		struct table *t = &p->table[kind];

		for (uint32_t i = 0; i < t->fresh; i++)
			if (!t->objects[i].used)
				rest_slot(t, i);
	}
}

bool programme_claim(struct programme *p, enum sfu_object_kind kind, uint64_t handle)
{
	struct object *o = find(p, kind, handle);

	if (o != NULL)
		o->seen = true;
	return o != NULL;
}

void programme_sweep(struct programme *p, programme_removed_fn removed, void *ctx)
{
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++) {
		struct table *t = &p->table[kind];

		for (uint32_t i = 0; i < t->fresh; i++)
			if (t->objects[i].used && !t->objects[i].seen)
				remove_object(p, &t->objects[i], removed, ctx);
	}
}

bool programme_behind(const struct programme *p, const struct sfu_digest_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct object *o
			= find(p, (enum sfu_object_kind)items[i].kind, items[i].handle);

		if (o != NULL && o->put.version < items[i].version
			&& o->put.type != SFU_CMD_PUT_TRANSPORT)
			return true;
	}
	return false;
}

void programme_each(const struct programme *p, programme_emit_fn emit, void *ctx)
{
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++)
		for (uint32_t i = 0; i < p->table[kind].fresh; i++)
			if (p->table[kind].objects[i].used)
				emit(ctx, &p->table[kind].objects[i].put);
}

// --- the difference ----------------------------------------------------------------------------

// Compare one item with what is wanted. Returns true when it is an orphan.
static bool look_at_item(struct programme *p, const struct sfu_digest_item *item)
{
	uint32_t index = sfu_handle_index(item->handle);
	uint32_t generation = sfu_handle_generation(item->handle);
	struct table *t = &p->table[item->kind];
	struct object *o = find(p, item->kind, item->handle);

	if (o != NULL) {
		// Restored without credentials there is nothing to send: what it has is right.
		if (o->put.type == SFU_CMD_PUT_TRANSPORT && o->put.u.transport.ufrag_len == 0)
			o->put.version = item->version;
		o->seen = o->put.version == item->version;
		// Ours must be newer to be taken.
		if (o->put.version < item->version)
			o->put.version = item->version + 1;
		return false;
	}
	// The next one in this slot must be above the one that is there.
	if (index < t->capacity && !t->objects[index].used
		&& t->objects[index].generation < generation)
		t->objects[index].generation = generation;
	return true;
}

void programme_lost_transports(struct programme *p, const struct sfu_digest_item *items,
	size_t count, programme_lost_fn lost, void *ctx)
{
	struct table *t = &p->table[SFU_KIND_TRANSPORT];

	for (uint32_t i = 0; i < t->fresh; i++)
		t->objects[i].seen = false;
	for (size_t i = 0; i < count; i++) {
		struct object *o = find(p, (enum sfu_object_kind)items[i].kind, items[i].handle);

		if (o != NULL && o->put.type == SFU_CMD_PUT_TRANSPORT)
			o->seen = true;
	}
	for (uint32_t i = 0; i < t->fresh; i++)
		if (t->objects[i].used && !t->objects[i].seen)
			lost(ctx, t->objects[i].put.handle);
}

size_t programme_difference(struct programme *p, const struct sfu_digest_item *items, size_t count,
	programme_emit_fn emit, void *ctx)
{
	size_t emitted = 0;

	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++)
		for (uint32_t i = 0; i < p->table[kind].fresh; i++)
			p->table[kind].objects[i].seen = false;
	for (int kind = SFU_KIND_CONSUMER; kind >= SFU_KIND_ROOM; kind--) {
		for (size_t i = 0; i < count; i++) {
			struct sfu_command command;

			if (items[i].kind != (uint32_t)kind
				|| sfu_handle_generation(items[i].handle) == 0
				|| !look_at_item(p, &items[i]))
				continue;
			delete_command(&command, (enum sfu_object_kind)kind, items[i].handle);
			command.version = items[i].version;
			emit(ctx, &command);
			emitted++;
		}
	}
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++) {
		for (uint32_t i = 0; i < p->table[kind].fresh; i++) {
			const struct object *o = &p->table[kind].objects[i];

			if (!o->used || o->seen)
				continue;
			emit(ctx, &o->put);
			emitted++;
		}
	}
	return emitted;
}
