// SPDX-License-Identifier: BSD-3-Clause
/**
 * The other nodes: which there are (SFU_REGIONS), which of them are well, and in what order clients are
 * sent to them. Pure: answers to our questions and the clock come in (region_watch.c asks), an order goes
 * out.
 *
 * Order: healthy before not yet known before not healthy, then the preferred region, then load, then as
 * listed. It is shown to clients, who must agree on it to meet again, so it changes seldom:
 *
 *   - a node that does not answer is asked again soon, and is down after REGION_MISSES of those; one that
 *     says it is not well is down at once;
 *   - it is up again after so many good answers as `needed` says, which doubles with each fall, and falls
 *     back to one after a quiet minute;
 *   - loads count as changed when they have moved by REGION_LOAD_STEP.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGIONS_MAX 16u
#define REGION_NAME_BYTES 32u
#define REGION_URL_BYTES 255u
#define REGION_NODE_BYTES 128u
#define REGION_INSTANCE_BYTES 16u

/** Questions in a row without an answer that make a node count as down. */
#define REGION_MISSES 2u
/** After the first of those the next one follows soon. */
#define REGION_RETRY_US UINT64_C(250000)
/** Most good answers that a node needs that keeps falling. */
#define REGION_NEEDED_MAX 32u
/** Up for so long: earlier falls are forgotten. */
#define REGION_CALM_US UINT64_C(60000000)
/** Less is no change of load, in its unit. */
#define REGION_LOAD_STEP 15u

struct region_entry {
	char name[REGION_NAME_BYTES + 1]; /* of the region; several nodes may have the same */
	char url[REGION_URL_BYTES + 1]; /* for clients: ws:// or wss:// */
};

struct region_list {
	struct region_entry entry[REGIONS_MAX];
	size_t count;
};

#define REGIONS_STATUS_LIST(X)                                                                     \
	X(OK, "")                                                                                  \
	X(NO_PAIR, "is not of the form region=url")                                                \
	X(BAD_NAME, "has a region that is not 1 to 32 of A-Z a-z 0-9 . _ -")                       \
	X(BAD_URL, "has a URL that is not ws://host[:port][/path] or wss://…")                     \
	X(LONG_URL, "has a URL of more than 255 octets")                                           \
	X(TWICE, "has a URL that was there before")                                                \
	X(TOO_MANY, "is more than the 16 that are allowed")

enum regions_status {
#define X(name, text) REGIONS_##name,
	REGIONS_STATUS_LIST(X)
#undef X
};

/**
 * Read "tr=wss://a/ws,ru=wss://b/ws"; blanks around an entry are skipped, "" is an empty list.
 * @param number  receives which entry is meant, from 1, when the status is not REGIONS_OK; may be NULL
 */
enum regions_status regions_parse(const char *text, struct region_list *out, size_t *number);
/** What is wrong, to follow "entry 2 "; static storage. */
const char *regions_status_text(enum regions_status status);

/** The URL that is asked about the health of the node at a URL of a list. False: it does not fit. */
bool regions_health_url(const char *url, char *out, size_t size);

/** What a node says of itself (region_report.h reads it). */
struct region_report {
	bool healthy; /* takes rooms */
	char node_id[REGION_NODE_BYTES + 1]; /* "" = not said */
	char instance[REGION_INSTANCE_BYTES + 1]; /* of the process; "" = not said */
	uint32_t load; /* percent of what it can take; may be above 100 */
	uint64_t clock_us; /* numbering.h; 0 = not said */
};

enum region_state { REGION_UP, REGION_UNKNOWN, REGION_DOWN }; /* in their order */

struct region {
	struct region_entry where;
	enum region_state state;
	bool self; /* it is this process that answers */
	bool asking; /* a question is under way */
	char node_id[REGION_NODE_BYTES + 1]; /* as last said; "" = never */
	uint32_t load; /* as last said */
	uint32_t ranked_load; /* as it counts in the order */
	uint32_t misses; /* questions without an answer in a row, while up */
	uint32_t good; /* good answers in a row, while down */
	uint32_t needed; /* of those */
	uint64_t up_us; /* since when */
	uint64_t due_us; /* next question */
};

struct regions {
	struct region region[REGIONS_MAX];
	size_t count;
	uint32_t version; /* another one: regions_order() may say something else */
	uint64_t interval_us; /* between questions to a node */
	char instance[REGION_INSTANCE_BYTES + 1]; /* our own */
};

/** @param instance  of this process: whoever says the same is us; at most REGION_INSTANCE_BYTES */
void regions_init(struct regions *r, const char *instance);

/** Take another list; what is known of nodes in both is kept. Questions under way were given up. */
void regions_configure(
	struct regions *r, const struct region_list *list, uint64_t interval_us, uint64_t now_us);

/** When the next question is due; UINT64_MAX: none. Those under way do not count. */
uint64_t regions_due_us(const struct regions *r);
/** A node to be asked now, marked as being asked; REGIONS_MAX: none. */
size_t regions_ask(struct regions *r, uint64_t now_us);

/** An answer, or none: NULL. True: the order may have changed. */
bool regions_heard(
	struct regions *r, size_t i, const struct region_report *report, uint64_t now_us);

/**
 * The others in order, without us.
 * @param preferred  region that goes first among the healthy ones
 * @return how many indices were written
 */
size_t regions_order(const struct regions *r, const char *preferred, uint8_t out[REGIONS_MAX]);

/** The first of that order if it is up, else NULL. */
const struct region *regions_best(const struct regions *r, const char *preferred);

/**
 * The beginning of that order whose nodes are up and as good as the first: only the list puts one before
 * the other. Returns how many; 0: nobody is up.
 */
size_t regions_equals(const struct regions *r, const char *preferred, uint8_t out[REGIONS_MAX]);

/** Another node that is up and has this URL, or NULL. */
const struct region *regions_find_up(const struct regions *r, const char *url);
