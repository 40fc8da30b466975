// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/impair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000u
#define QUEUE_DEFAULT_US 200000u
#define HOUR_US 3600000000.0
/** A duplicate follows its original so closely. */
#define DUPLICATE_US 1000u
#define WORD_MAX 63

const char *const impair_fate_names[IMPAIR_FATES] = {
	[IMPAIR_PASSED] = "passed",
	[IMPAIR_LOST] = "lost",
	[IMPAIR_BLACKOUT] = "blackout",
	[IMPAIR_TOO_LARGE] = "too_large",
	[IMPAIR_QUEUE_FULL] = "queue_full",
	[IMPAIR_NO_MAPPING] = "no_mapping",
};

/** What a random number is for: each decision has its own, so that one does not shift another. */
enum purpose { FOR_LOSS, FOR_BURST, FOR_JITTER, FOR_REORDER, FOR_DUPLICATE, FOR_FLIP, FOR_BIT };

/** SplitMix64 over seed, packet and purpose: random numbers that need no state. */
static uint64_t draw(const struct impair *i, enum purpose purpose)
{
	uint64_t x = i->seed + (i->count * 8 + purpose + 1) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool chance(const struct impair *i, enum purpose purpose, uint32_t ppm)
{
	return draw(i, purpose) % MILLION < ppm;
}

void impair_init(struct impair *i, uint64_t seed)
{
	memset(i, 0, sizeof(*i));
	// Neighbouring seeds must not give neighbouring sequences.
	i->seed = seed;
	i->seed = draw(i, FOR_LOSS);
}

void impair_set(struct impair *i, const struct impair_settings *settings)
{
	i->settings = *settings;
	i->is_bad = false;
}

static bool is_lost(struct impair *i)
{
	const struct impair_settings *s = &i->settings;

	if (!s->burst_in_ppm)
		return chance(i, FOR_LOSS, s->loss_ppm);
	if (chance(i, FOR_BURST, i->is_bad ? s->burst_out_ppm : s->burst_in_ppm))
		i->is_bad = !i->is_bad;
	return chance(i, FOR_LOSS, i->is_bad ? s->burst_loss_ppm : s->loss_ppm);
}

/** The line takes the packet, or its queue is too long. */
static bool pass_line(struct impair *i, size_t len, uint64_t now_us, uint64_t *at_us)
{
	const struct impair_settings *s = &i->settings;

	*at_us = now_us;
	if (!s->rate_bps)
		return true;
	if (i->busy_until_us > now_us) {
		if (i->busy_until_us - now_us > s->queue_us)
			return false;
		*at_us = i->busy_until_us;
	}
	*at_us += (len * 8u * MILLION + s->rate_bps - 1) / s->rate_bps;
	i->busy_until_us = *at_us;
	return true;
}

static enum impair_fate decide(struct impair *i, size_t len, uint64_t now_us, uint64_t *at_us)
{
	if (i->settings.blackout)
		return IMPAIR_BLACKOUT;
	if (i->settings.mtu && len > i->settings.mtu)
		return IMPAIR_TOO_LARGE;
	if (is_lost(i))
		return IMPAIR_LOST;
	return pass_line(i, len, now_us, at_us) ? IMPAIR_PASSED : IMPAIR_QUEUE_FULL;
}

void impair_packet(struct impair *i, size_t len, uint64_t now_us, struct impair_verdict *out)
{
	const struct impair_settings *s = &i->settings;
	uint64_t at_us;

	memset(out, 0, sizeof(*out));
	out->fate = decide(i, len, now_us, &at_us);
	if (out->fate == IMPAIR_PASSED) {
		at_us += s->delay_us;
		if (s->jitter_us)
			at_us += draw(i, FOR_JITTER) % (s->jitter_us + 1ull);
		out->is_late = chance(i, FOR_REORDER, s->reorder_ppm);
		if (out->is_late) {
			at_us += s->reorder_us;
		} else {
			at_us = at_us > i->last_at_us ? at_us : i->last_at_us;
			i->last_at_us = at_us;
		}
		out->copies = chance(i, FOR_DUPLICATE, s->duplicate_ppm) ? 2 : 1;
		out->at_us[0] = at_us;
		out->at_us[1] = at_us + DUPLICATE_US;
		out->is_flipped = chance(i, FOR_FLIP, s->flip_ppm);
		out->flip_random = (uint32_t)draw(i, FOR_BIT);
	}
	i->count++;
}

/* Settings as text. */

/** A number and what stands behind it. */
static bool number(const char *text, double *value, const char **unit)
{
	char *end;

	// No signs, no "inf", no hexadecimal.
	if (*text < '0' || *text > '9' || text[strspn(text, "0123456789.")] == 'x')
		return false;
	*value = strtod(text, &end);
	*unit = end;
	return true;
}

static bool read_share(const char *text, uint32_t *out_ppm)
{
	const char *unit;
	double value;

	if (!number(text, &value, &unit) || strcmp(unit, "%") != 0 || value > 100)
		return false;
	*out_ppm = (uint32_t)lround(value * (MILLION / 100.0));
	return true;
}

bool impair_parse_time(const char *text, uint32_t *out_us)
{
	const char *unit;
	double value;

	if (!number(text, &value, &unit))
		return false;
	if (!strcmp(unit, "s"))
		value *= 1e6;
	else if (!strcmp(unit, "ms"))
		value *= 1e3;
	else if (strcmp(unit, "us") != 0)
		return false;
	if (value > HOUR_US)
		return false;
	*out_us = (uint32_t)lround(value);
	return true;
}

static bool read_rate(const char *text, uint64_t *out_bps)
{
	const char *unit;
	double value;

	if (!number(text, &value, &unit))
		return false;
	if (!strcmp(unit, "k"))
		value *= 1e3;
	else if (!strcmp(unit, "M"))
		value *= 1e6;
	else if (*unit)
		return false;
	*out_bps = (uint64_t)value;
	return value >= 1 && value <= 1e12;
}

static bool read_mtu(const char *text, uint32_t *out)
{
	const char *unit;
	double value;

	if (!number(text, &value, &unit) || *unit || value < 68 || value > 65535)
		return false;
	*out = (uint32_t)value;
	return true;
}

/** "a/b": cut at the slash; the part behind it, NULL without. */
static char *cut(char *text)
{
	char *slash = strchr(text, '/');

	if (slash)
		*slash++ = 0;
	return slash;
}

static bool read_burst(char *in, struct impair_settings *s)
{
	char *out = cut(in), *loss = out ? cut(out) : NULL;

	s->burst_loss_ppm = MILLION;
	return out && read_share(in, &s->burst_in_ppm) && read_share(out, &s->burst_out_ppm)
	       && (!loss || read_share(loss, &s->burst_loss_ppm));
}

static bool read_reorder(char *share, struct impair_settings *s)
{
	char *time = cut(share);

	return time && read_share(share, &s->reorder_ppm)
	       && impair_parse_time(time, &s->reorder_us);
}

static bool read_word(char *name, struct impair_settings *s)
{
	char *value = strchr(name, '=');

	if (!value) {
		s->blackout |= !strcmp(name, "blackout");
		return !strcmp(name, "blackout") || !strcmp(name, "none");
	}
	*value++ = 0;
	if (!strcmp(name, "loss"))
		return read_share(value, &s->loss_ppm);
	if (!strcmp(name, "burst"))
		return read_burst(value, s);
	if (!strcmp(name, "delay"))
		return impair_parse_time(value, &s->delay_us);
	if (!strcmp(name, "jitter"))
		return impair_parse_time(value, &s->jitter_us);
	if (!strcmp(name, "reorder"))
		return read_reorder(value, s);
	if (!strcmp(name, "dup"))
		return read_share(value, &s->duplicate_ppm);
	if (!strcmp(name, "flip"))
		return read_share(value, &s->flip_ppm);
	if (!strcmp(name, "rate"))
		return read_rate(value, &s->rate_bps);
	if (!strcmp(name, "queue"))
		return impair_parse_time(value, &s->queue_us);
	if (!strcmp(name, "mtu"))
		return read_mtu(value, &s->mtu);
	return false;
}

const char *impair_parse(const char *text, struct impair_settings *out)
{
	struct impair_settings s = {.queue_us = QUEUE_DEFAULT_US};
	char word[WORD_MAX + 1];

	for (const char *at = text, *next; at; at = next) {
		size_t len = strcspn(at, ",");

		next = at[len] ? at + len + 1 : NULL;
		if (len > WORD_MAX)
			return at;
		memcpy(word, at, len);
		word[len] = 0;
		if (!read_word(word, &s))
			return at;
	}
	*out = s;
	return NULL;
}
