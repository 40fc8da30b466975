// SPDX-License-Identifier: BSD-3-Clause
/**
 * The bench: rows, turns of the contenders, figures. "bench_path --help" says how to ask for a row.
 */
#include <getopt.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_memif.h"
#include "tests/bench/bench_stages.h"

#define REPETITIONS 5u
#define ROUNDS_MAX 400u
#define CONTENDERS 6u
/** Copies of a round: a few milliseconds. */
#define ROUND_COPIES 16384u
/** Tables beyond this are not driven with libsrtp2: rounds of seconds tell nothing new. */
#define LIBSRTP2_STREAMS 20000u
#define LATENCY_LOAD 0.7
#define LATENCY_SAMPLES 20000u

#ifdef BENCH_COLD
#define PREFETCH "false"
#else
#define PREFETCH "true"
#endif

struct row {
	const char *profile;
	unsigned payload, rooms, producers, consumers, workers;
	bool quick; /* part of --quick */
	bool mixed;
	unsigned nack, loss; /* percent */
};

#define ROW(PROFILE, PAYLOAD, ROOMS, PRODUCERS, CONSUMERS, WORKERS, ...)                           \
	{                                                                                          \
		.profile = PROFILE, .payload = PAYLOAD, .rooms = ROOMS, .producers = PRODUCERS,    \
		.consumers = CONSUMERS, .workers = WORKERS, __VA_ARGS__                            \
	}

static const struct row rows[] = {
	ROW("gcm128", 1200, 1, 1, 1, 1, .quick = true),
	ROW("gcm128", 1200, 1, 1, 8, 1, .quick = false),
	ROW("gcm128", 1200, 1, 1, 32, 1, .quick = true),
	ROW("gcm128", 1200, 1, 1, 100, 1, .quick = true),
	ROW("gcm128", 1200, 1, 1, 256, 1, .quick = true),
	ROW("gcm128", 1200, 1, 1, 1000, 1, .quick = false),
	ROW("gcm128", 1200, 1, 1, 5000, 1, .quick = false),
	ROW("gcm128", 200, 1, 1, 1, 1, .quick = false),
	ROW("gcm128", 200, 1, 1, 32, 1, .quick = true),
	ROW("gcm128", 200, 1, 1, 100, 1, .quick = false),
	ROW("gcm128", 200, 1, 1, 256, 1, .quick = false),
	ROW("gcm256", 1200, 1, 1, 100, 1, .quick = false),
	ROW("cm", 1200, 1, 1, 1, 1, .quick = true),
	ROW("cm", 1200, 1, 1, 8, 1, .quick = false),
	ROW("cm", 1200, 1, 1, 32, 1, .quick = true),
	ROW("cm", 1200, 1, 1, 100, 1, .quick = true),
	ROW("cm", 1200, 1, 1, 256, 1, .quick = false),
	ROW("cm", 200, 1, 1, 32, 1, .quick = false),
	/* table size: rooms in which everyone consumes everyone; then a key for each stream */
	ROW("gcm128", 1200, 1, 2, 50, 1, .quick = true),
	ROW("gcm128", 1200, 4, 50, 50, 1, .quick = false),
	ROW("gcm128", 1200, 40, 50, 50, 1, .quick = false),
	ROW("gcm128", 200, 40, 50, 50, 1, .quick = false),
	ROW("gcm128", 1200, 2000, 1, 50, 1, .quick = false),
	/* rooms of 50, cameras and microphones */
	ROW("gcm128", 1200, 8, 100, 50, 1, .quick = false, .mixed = true),
	/* what is lost on the way to consumers, and on the way to us */
	ROW("gcm128", 1200, 4, 50, 50, 1, .quick = false, .nack = 5),
	ROW("gcm128", 1200, 1, 1, 1000, 1, .quick = false, .nack = 5),
	ROW("gcm128", 1200, 4, 50, 50, 1, .quick = false, .loss = 5),
	/* two workers */
	ROW("gcm128", 1200, 1, 1, 1000, 2, .quick = false),
	ROW("gcm128", 1200, 100, 10, 10, 2, .quick = false),
};

static const struct {
	const char *name;
	unsigned id;
} profiles[] = {
	{"gcm128", SRTP_AEAD_AES_128_GCM},
	{"gcm256", SRTP_AEAD_AES_256_GCM},
	{"cm", SRTP_AES128_CM_SHA1_80},
};

/** Those that take turns in a row. */
enum role {
	ROLE_FLOOR,
	ROLE_PATH,
	ROLE_LIBSRTP2,
	ROLE_FLOOR_ONE, /* on one worker, in rows with two */
	ROLE_PATH_ONE,
	ROLE_PLAIN, /* the path without loss, in rows with some */
};

struct entrant {
	struct contender *contender; /* NULL = not in this row */
	unsigned inputs; /* of a round */
	unsigned rounds; /* of a repetition */
	double round_ns[ROUNDS_MAX];
	double ns[REPETITIONS]; /* medians of the repetitions */
	double median, least, most;
	uint64_t resident; /* octets that the process has more since it was made */
};

struct options {
	const char *engine, *json;
	bool quick;
	bool memif; /* the path and its clients in two processes instead */
	bool alone; /* the path without those that it is compared with */
	double repetition_ns; /* how long an entrant is driven in a repetition */
	struct row row; /* profile NULL: all */
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static unsigned clamp(double v, unsigned low, unsigned high)
{
	return v < low ? low : v > high ? high : (unsigned)v;
}

/** A first round that also tells how many a repetition has. */
static bool entrant_try(struct entrant *e, const struct shape *s, const struct options *o)
{
	double ns;

	// What is asked for again goes through the same ring as what is forwarded.
	e->inputs = clamp((double)ROUND_COPIES / s->consumers, 4,
		BENCH_INPUTS / (1 + 2 * s->nack * s->consumers / 100));
	if (contender_round(e->contender, e->inputs) < 0)
		return false;
	ns = contender_round(e->contender, e->inputs)
	     * (double)contender_copies(e->contender, e->inputs);
	if (ns < 0)
		return false;
	// A slow engine need not be driven for long to be known as slow.
	e->rounds = clamp(o->repetition_ns / ns, 3, ROUNDS_MAX);
	return true;
}

static bool repetition(struct entrant *all, unsigned number)
{
	unsigned most = 0, done[CONTENDERS] = {0};

	for (unsigned r = 0; r < CONTENDERS; r++) {
		if (all[r].contender && all[r].rounds > most)
			most = all[r].rounds;
	}
	for (unsigned i = 0; i < most; i++) {
		for (unsigned r = 0; r < CONTENDERS; r++) {
			struct entrant *e = &all[r];

			// Spread over the repetition, whoever has fewer rounds.
			if (!e->contender || done[r] * most > i * e->rounds || done[r] == e->rounds)
				continue;
			contender_refresh(e->contender);
			e->round_ns[done[r]] = contender_round(e->contender, e->inputs);
			if (e->round_ns[done[r]++] < 0)
				return false;
		}
	}
	for (unsigned r = 0; r < CONTENDERS; r++) {
		if (all[r].contender)
			all[r].ns[number] = median(all[r].round_ns, done[r]);
	}
	return true;
}

static int by_count(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double quantile_us(struct latencies *l, double share)
{
	size_t at = (size_t)(share * (double)l->count);

	if (!l->count)
		return 0;
	return (double)l->ns[at < l->count ? at : l->count - 1] / 1000;
}

static bool latencies_take(struct entrant *e, const struct shape *s, const struct options *o,
	struct latencies *through, struct latencies *waited)
{
	double gap_ns = e->median * s->consumers / LATENCY_LOAD;
	unsigned samples = clamp(o->repetition_ns * 20 / gap_ns, 200, LATENCY_SAMPLES);

	while (through->count < samples) {
		contender_refresh(e->contender);
		path_paced(e->contender, clamp(samples - through->count, 1, BENCH_INPUTS), gap_ns,
			through, waited);
		if (*contender_books(e->contender))
			return false;
	}
	qsort(through->ns, through->count, sizeof(*through->ns), by_count);
	qsort(waited->ns, waited->count, sizeof(*waited->ns), by_count);
	return true;
}

static void figure(FILE *f, const char *name, double v, int digits)
{
	fprintf(f, ", \"%s\": ", name);
	if (v > 0)
		fprintf(f, "%.*f", digits, v);
	else
		fprintf(f, "null");
}

/** Everyone of a room sends to all others, at the rates of shape_payload(). */
static double rooms_per_core(const struct shape *s, double ns)
{
	unsigned people = s->producers / 2;
	double copies = (double)people * (people - 1) * (BENCH_VIDEO_PPS + BENCH_AUDIO_PPS);

	return 1e9 / (ns * copies);
}

static void json_watched(FILE *f, const struct shape *s, const struct entrant *path)
{
	struct watch_counts n = contender_watched(path->contender);

	fprintf(f, ", \"resident_mb\": %.1f, \"resident_per_stream\": %.0f",
		(double)path->resident / 1e6, (double)path->resident / shape_streams(s));
	fprintf(f, ", \"allocations\": %lu, \"locks\": %lu, \"system_calls\": ", n.allocations,
		n.locks);
	if (watch_sees_system_calls())
		fprintf(f, "%lu", n.system_calls);
	else
		fprintf(f, "null");
}

/** Nanoseconds per copy, by stage. */
static void json_stages(FILE *f, const struct entrant *path)
{
	double copies = (double)contender_copies(path->contender, path->inputs) * path->rounds;

	for (unsigned i = 0; i < STAGE_COUNT; i++)
		fprintf(f, "%s\"%s\": %.1f", i ? ", " : ", \"stages_ns\": {", stage_names[i],
			bench_ns(stages.cycles[i]) / copies);
	fprintf(f, "}");
}

static void json_row(FILE *f, const struct row *row, const struct shape *s, const char *engine,
	const struct entrant *all, struct latencies *through, struct latencies *waited)
{
	const struct entrant *path = &all[ROLE_PATH], *floor = &all[ROLE_FLOOR];
	const struct entrant *slow = &all[ROLE_LIBSRTP2];
	unsigned frame = contender_frame_len(path->contender);

	fprintf(f,
		"{\"profile\": \"%s\", \"payload\": %u, \"consumers\": %u, \"producers\": %u, "
		"\"rooms\": %u, \"workers\": %u, \"engine\": \"%s\", \"streams\": %u, "
		"\"transports\": %u, \"frame\": %u, \"mixed\": %s, \"nack\": %u, \"loss\": %u, "
		"\"prefetch\": %s",
		row->profile, s->payload, s->consumers, s->producers, s->rooms, s->workers, engine,
		shape_streams(s), shape_transports(s), frame, s->mixed ? "true" : "false", s->nack,
		s->loss, PREFETCH);
	figure(f, "ns_per_packet", path->median, 1);
	figure(f, "ns_least", path->least, 1);
	figure(f, "ns_most", path->most, 1);
	figure(f, "cycles_per_packet", path->median * bench.tsc_hz / 1e9, 0);
	figure(f, "floor_ns", floor->median, 1);
	figure(f, "libsrtp2_ns", slow->median, 1);
	figure(f, "to_floor", path->median / floor->median, 3);
	figure(f, "to_libsrtp2", slow->median / path->median, 2);
	figure(f, "mpps", 1000 / path->median, 3);
	figure(f, "gbps", 8.0 * frame / path->median, 2);
	figure(f, "p50_us", quantile_us(through, 0.5), 1);
	figure(f, "p99_us", quantile_us(through, 0.99), 1);
	figure(f, "p999_us", quantile_us(through, 0.999), 1);
	figure(f, "max_us", quantile_us(through, 1), 1);
	figure(f, "waited_p50_us", quantile_us(waited, 0.5), 1);
	figure(f, "waited_p99_us", quantile_us(waited, 0.99), 1);
	figure(f, "waited_p999_us", quantile_us(waited, 0.999), 1);
	if (s->workers > 1) {
		figure(f, "path_one_ns", all[ROLE_PATH_ONE].median, 1);
		figure(f, "floor_one_ns", all[ROLE_FLOOR_ONE].median, 1);
		figure(f, "scaling", all[ROLE_PATH_ONE].median / path->median, 3);
		figure(f, "floor_scaling", all[ROLE_FLOOR_ONE].median / floor->median, 3);
	}
	if (all[ROLE_PLAIN].contender) {
		double asked, sent;

		path_asked_again(path->contender, &asked, &sent);
		figure(f, "plain_ns", all[ROLE_PLAIN].median, 1);
		figure(f, "to_plain", path->median / all[ROLE_PLAIN].median, 3);
		figure(f, "asked_again_percent", asked, 2);
		figure(f, "sent_again_percent", sent, 2);
	}
	if (s->mixed)
		figure(f, "rooms_per_core", rooms_per_core(s, path->median), 1);
	json_watched(f, s, path);
	if (s->workers == 1)
		json_stages(f, path);
	fprintf(f, "}\n");
	fflush(f);
}

static void table_head(void)
{
	printf("%-7s %5s %5s %5s %5s %2s %7s %7s %7s %8s %6s %6s %6s %6s %6s %6s %7s\n", "profile",
		"bytes", "rooms", "prod", "cons", "w", "streams", "ns", "floor", "libsrtp2",
		"/floor", "x lib", "Mpps", "Gbit/s", "p50us", "p99us", "p99.9us");
}

static void table_lossy(
	const struct shape *s, const struct entrant *path, const struct entrant *plain)
{
	double asked, sent;

	path_asked_again(path->contender, &asked, &sent);
	printf("        %u %% asked for again, %u %% lost on the way to us: %.2f times the path "
	       "without, %.1f ns\n",
		s->nack, s->loss, path->median / plain->median, plain->median);
	if (s->nack)
		printf("        asked for %.2f %%, sent again %.2f %%: a request costs %.0f ns\n",
			asked, sent, 100 * (path->median - plain->median) / asked);
}

static void table_row(const struct row *row, const struct shape *s, const struct entrant *all,
	struct latencies *through)
{
	const struct entrant *path = &all[ROLE_PATH], *floor = &all[ROLE_FLOOR];
	const struct entrant *slow = &all[ROLE_LIBSRTP2];

	printf("%-7s %5u %5u %5u %5u %2u %7u %7.1f %7.1f %8.1f %6.2f %6.2f %6.2f %6.1f %6.1f %6.1f "
	       "%7.1f\n",
		row->profile, s->payload, s->rooms, s->producers, s->consumers, s->workers,
		shape_streams(s), path->median, floor->median, slow->median,
		path->median / floor->median, slow->median / path->median, 1000 / path->median,
		8.0 * contender_frame_len(path->contender) / path->median,
		quantile_us(through, 0.5), quantile_us(through, 0.99), quantile_us(through, 0.999));
	if (s->workers > 1) {
		struct watch_counts n = contender_watched(path->contender);

		printf("        two workers: %lu allocations, %lu locks, %lu system calls\n",
			n.allocations, n.locks, n.system_calls);
		printf("        two workers: path %.2f, floor %.2f times one\n",
			all[ROLE_PATH_ONE].median / path->median,
			all[ROLE_FLOOR_ONE].median / floor->median);
	}
	if (all[ROLE_PLAIN].contender)
		table_lossy(s, path, &all[ROLE_PLAIN]);
	if (s->mixed)
		printf("        cameras and microphones: %.1f rooms of %u per core\n",
			rooms_per_core(s, path->median), s->producers / 2);
	fflush(stdout);
}

/** Octets of memory that the process has touched. */
static uint64_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool entrants_create(struct entrant *all, const struct shape *s, const struct options *o)
{
	const struct srtp_engine *engine = srtp_engine_find(o->engine);
	const struct srtp_engine *slow = &srtp_engine_libsrtp2;
	struct shape one = *s;

	one.workers = 1;
	all[ROLE_PATH].resident = resident();
	all[ROLE_PATH].contender = path_create(s, stages_engine(engine), 0);
	all[ROLE_PATH].resident = resident() - all[ROLE_PATH].resident;
	if (o->alone || !all[ROLE_PATH].contender)
		return all[ROLE_PATH].contender;
	all[ROLE_FLOOR].contender = floor_create(s, engine);
	if (!all[ROLE_FLOOR].contender)
		return false;
	if (s->nack || s->loss) {
		one.nack = one.loss = 0;
		all[ROLE_PLAIN].contender = path_create(&one, engine, 1);
		return all[ROLE_PLAIN].contender;
	}
	if (s->workers > 1) {
		all[ROLE_FLOOR_ONE].contender = floor_create(&one, engine);
		all[ROLE_PATH_ONE].contender = path_create(&one, engine, 1);
		return all[ROLE_FLOOR_ONE].contender && all[ROLE_PATH_ONE].contender;
	}
	if (engine != slow && shape_streams(s) <= LIBSRTP2_STREAMS) {
		all[ROLE_LIBSRTP2].contender = path_create(s, slow, 1);
		return all[ROLE_LIBSRTP2].contender;
	}
	return true;
}

static bool row_measure(struct entrant *all, const struct shape *s, const struct options *o)
{
	for (unsigned r = 0; r < CONTENDERS; r++) {
		if (all[r].contender && !entrant_try(&all[r], s, o))
			return false;
	}
	for (unsigned i = 0; i < REPETITIONS; i++) {
		fprintf(stderr, " %u", i + 1);
		if (!repetition(all, i))
			return false;
	}
	for (unsigned r = 0; r < CONTENDERS; r++) {
		all[r].median = median(all[r].ns, REPETITIONS);
		all[r].least = all[r].ns[0];
		all[r].most = all[r].ns[REPETITIONS - 1];
	}
	return true;
}

/** Rounds that say which stage takes how much; the clock is read at each change, so apart. */
static bool stages_take(struct entrant *e)
{
	stages_turn(true, bench.null_port);
	for (unsigned i = 0; i < e->rounds; i++) {
		contender_refresh(e->contender);
		if (contender_round(e->contender, e->inputs) < 0)
			break;
	}
	stages_turn(false, bench.null_port);
	return !*contender_books(e->contender);
}

static const struct srtp_profile *profile_of(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (!strcmp(profiles[i].name, name))
			return srtp_profile_find(profiles[i].id);
	}
	return NULL;
}

static struct shape shape_of(const struct row *row)
{
	return (struct shape){
		.profile = profile_of(row->profile),
		.payload = row->payload,
		.rooms = row->rooms,
		.producers = row->producers,
		.consumers = row->consumers,
		.workers = row->workers,
		.audio = row->payload < 400,
		.mixed = row->mixed,
		.nack = row->nack,
		.loss = row->loss,
	};
}

static bool row_run(const struct row *row, const struct options *o, FILE *json)
{
	const struct srtp_engine *engine = srtp_engine_find(o->engine);
	static uint64_t through_ns[LATENCY_SAMPLES + BENCH_INPUTS];
	static uint64_t waited_ns[LATENCY_SAMPLES + BENCH_INPUTS];
	struct latencies through = {through_ns, 0, LATENCY_SAMPLES};
	struct latencies waited = {waited_ns, 0, LATENCY_SAMPLES};
	static struct entrant all[CONTENDERS];
	struct shape s = shape_of(row);
	bool ok;

	memset(all, 0, sizeof(all));
	memset(&stages, 0, sizeof(stages));
	fprintf(stderr, "%s %u bytes, %u x %u x %u, %u worker%s:", row->profile, s.payload, s.rooms,
		s.producers, s.consumers, s.workers, s.workers > 1 ? "s" : "");
	ok = entrants_create(all, &s, o) && row_measure(all, &s, o);
	if (ok && s.workers == 1)
		ok = stages_take(&all[ROLE_PATH]);
	// With requests among them, packets are not told apart by their place.
	if (ok && s.workers == 1 && !s.nack)
		ok = latencies_take(&all[ROLE_PATH], &s, o, &through, &waited);
	fprintf(stderr, "\n");
	if (ok) {
		json_row(json, row, &s, engine->name, all, &through, &waited);
		table_row(row, &s, all, &through);
	}
	for (unsigned r = 0; r < CONTENDERS; r++) {
		if (all[r].contender && *contender_books(all[r].contender))
			fprintf(stderr, "bench: %s\n", contender_books(all[r].contender));
		contender_destroy(all[r].contender);
	}
	return ok;
}

static void cpu_name(char *out, size_t cap)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	snprintf(out, cap, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		snprintf(out, cap, "%s", colon + 2);
		out[strcspn(out, "\"\n")] = 0;
		break;
	}
	if (f)
		fclose(f);
}

static void machine(FILE *f)
{
	char cpu[128], day[32];
	struct utsname u;
	time_t now = time(NULL);

	uname(&u);
	cpu_name(cpu, sizeof(cpu));
	strftime(day, sizeof(day), "%Y-%m-%d", gmtime(&now));
	fprintf(f,
		"{\"machine\": \"%s\", \"cores\": %ld, \"tsc_ghz\": %.3f, \"kernel\": \"%s\", "
		"\"date\": \"%s\", \"bytes_consumer\": %zu, \"bytes_transport\": %zu, "
		"\"bytes_producer\": %zu}\n",
		cpu, sysconf(_SC_NPROCESSORS_ONLN), bench.tsc_hz / 1e9, u.release, day,
		sizeof(struct consumer), sizeof(struct transport), sizeof(struct producer));
	fprintf(stderr, "%s, %ld cores\n", cpu, sysconf(_SC_NPROCESSORS_ONLN));
}

static void usage(void)
{
	printf("bench_path [--quick] [--engine NAME] [--json FILE] [--ms N] [--alone]\n"
	       "           [--row PROFILE,BYTES,ROOMS,PRODUCERS,CONSUMERS,WORKERS]\n"
	       "           [--mixed] [--nack PERCENT] [--loss PERCENT]\n"
	       "  PROFILE is gcm128, gcm256 or cm; producers are per room, consumers per "
	       "producer.\n"
	       "  --mixed: every second producer is a microphone; --nack: so many copies are asked "
	       "for\n"
	       "  again; --loss: so many packets do not come to us.\n"
	       "  --memif: instead of all that, the path and its clients as two processes.\n"
	       "  --alone: only the path, for perf, strace and the like.\n"
	       "  --ms: how long each contender is driven in each of the five repetitions.\n"
	       "  Each row is the path against the floor loop and the libsrtp2 engine in turns.\n");
}

static bool row_parse(const char *text, struct row *row)
{
	static char profile[16];

	if (sscanf(text, "%15[^,],%u,%u,%u,%u,%u", profile, &row->payload, &row->rooms,
		    &row->producers, &row->consumers, &row->workers)
		!= 6)
		return false;
	row->profile = profile;
	return profile_of(profile) && row->payload >= 16 && row->payload <= 1300 && row->rooms
	       && row->producers && row->consumers && row->workers && row->workers <= BENCH_WORKERS
	       && (row->workers == 1 || row->consumers % 2 == 0);
}

static bool options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"quick", no_argument, NULL, 'q'},
		{"engine", required_argument, NULL, 'e'},
		{"alone", no_argument, NULL, 'a'},
		{"memif", no_argument, NULL, 'i'},
		{"mixed", no_argument, NULL, 'x'},
		{"nack", required_argument, NULL, 'n'},
		{"loss", required_argument, NULL, 'l'},
		{"json", required_argument, NULL, 'j'},
		{"row", required_argument, NULL, 'r'},
		{"ms", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	*o = (struct options){.repetition_ns = 60e6};
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == 'i') {
			o->memif = true;
		} else if (opt == 'q') {
			o->quick = true;
			o->repetition_ns = 15e6;
		} else if (opt == 'a') {
			o->alone = true;
		} else if (opt == 'x') {
			o->row.mixed = true;
		} else if (opt == 'n' || opt == 'l') {
			*(opt == 'n' ? &o->row.nack : &o->row.loss) = (unsigned)atoi(optarg);
		} else if (opt == 'e') {
			o->engine = optarg;
		} else if (opt == 'j') {
			o->json = optarg;
		} else if (opt == 'm') {
			o->repetition_ns = atof(optarg) * 1e6;
		} else if (opt != 'r' || !row_parse(optarg, &o->row)) {
			usage();
			return false;
		}
	}
	if (o->row.nack > 50 || o->row.loss > 50 || (o->row.mixed && o->row.producers % 2)
		|| (o->row.workers > 1 && (o->row.nack || o->row.loss || o->row.mixed)))
		return false;
	return o->repetition_ns > 0 && srtp_engine_find(o->engine);
}

int main(int argc, char **argv)
{
	bool two = sysconf(_SC_NPROCESSORS_ONLN) >= 2, ok = true;
	struct options o;
	struct shape shape;
	FILE *json;

	if (!options_parse(argc, argv, &o))
		return 2;
	if (o.memif) {
		if (!o.row.profile)
			o.row = (struct row)ROW("gcm128", 1200, 1, 1, 100, 1, .quick = false);
		shape = shape_of(&o.row);
		if (!two || shape.workers > 1 || !memif_fork(argv[0], &shape))
			return 2;
	}
	json = fopen(o.json ? o.json : "/dev/null", "w");
	if (!json || bench_start(argv[0]))
		return 1;
	machine(json);
	if (o.memif) {
		ok = memif_run(&shape, o.row.profile, srtp_engine_find(o.engine), json);
		fclose(json);
		bench_stop();
		return ok ? 0 : 1;
	}
	table_head();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (o.row.profile || (o.quick && !rows[i].quick) || (!two && rows[i].workers > 1))
			continue;
		ok &= row_run(&rows[i], &o, json);
	}
	if (o.row.profile)
		ok = row_run(&o.row, &o, json);
	fclose(json);
	bench_stop();
	return ok ? 0 : 1;
}
