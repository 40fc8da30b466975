// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-peer: headless participants for tests, and the load tool. One thread: GLib's loop for
 * libnice, a tick of one millisecond for pacing, every tenth also for signalling and timers.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/peer.h"
#include "tests/support/peer_first_check.h"
#include "tests/support/peer_options.h"
#include "tests/support/peer_report.h"

#define TICK_MS 1
#define SLOW_TICKS 10
#define SETUP_US 20000000
/** After the last CONSUMER_RESUME was accepted, before --packets begins. */
#define SETTLE_US 300000
#define DRAIN_US 500000
#define LEAVE_US 200000
/** Joins are this far apart: a room of many would otherwise measure the order of its joins. */
#define JOIN_US 20000

enum phase { SETTING_UP, SETTLING, RUNNING, DRAINING, LEAVING };

struct run {
	struct peer_options options;
	struct peer_env env;
	struct peer **peers;
	unsigned started; // peers that have begun to join
	GMainLoop *loop;
	enum phase phase;
	uint64_t start_us;
	uint64_t phase_us; // when the phase began
	uint64_t media_us; // when RUNNING began
	uint64_t rekey_us; // next one
	uint64_t moves; // of all ports so far
	uint64_t socket_drops; // before us
	unsigned ticks;
	char *failure;
	struct peer_run_report report;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/** RcvbufErrors of UDP: datagrams that came, and for which our sockets had no room. */
static uint64_t socket_drops(void)
{
	guint64 drops = 0;
	char *text = NULL, **lines, **fields;

	if (!g_file_get_contents("/proc/self/net/snmp", &text, NULL, NULL))
		return 0;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0, udp = 0; lines[i]; i++) {
		if (!g_str_has_prefix(lines[i], "Udp: ") || udp++ == 0)
			continue;
		fields = g_strsplit(lines[i], " ", -1);
		if (g_strv_length(fields) > 5)
			drops = g_ascii_strtoull(fields[5], NULL, 10);
		g_strfreev(fields);
	}
	g_strfreev(lines);
	g_free(text);
	return drops;
}

static void enter(struct run *run, enum phase phase, uint64_t now_us)
{
	run->phase = phase;
	run->phase_us = now_us;
}

/** Whether this peer can be consumed from: not one that stays unready. */
static bool publishes(const struct run *run, unsigned i)
{
	return run->options.unready != i || peer_opened_us(run->peers[i]);
}

/** How many consumers a peer will have, by the peers of this process. */
static unsigned expected_consumers(const struct run *run, unsigned index)
{
	unsigned tracks = (run->options.audio_pps > 0) + (run->options.video_pps > 0);
	unsigned others = 0;

	for (unsigned i = index % run->options.rooms; i < run->options.peers;
		i += run->options.rooms)
		others += i != index && publishes(run, i);
	return others * tracks;
}

static const struct peer *not_set_up(const struct run *run)
{
	for (unsigned i = 0; i < run->options.peers; i++) {
		if (!peer_is_set_up(run->peers[i], expected_consumers(run, i)))
			return run->peers[i];
	}
	return NULL;
}

static bool all_done(const struct run *run)
{
	for (unsigned i = 0; i < run->options.peers; i++) {
		if (!peer_is_done(run->peers[i]))
			return false;
	}
	return true;
}

static void each(struct run *run, void (*call)(struct peer *))
{
	for (unsigned i = 0; i < run->options.peers; i++)
		call(run->peers[i]);
}

static void stop_media(struct run *run, uint64_t now_us)
{
	each(run, peer_stop_media);
	run->report.stopped_us = now_us;
	run->report.seconds = run->media_us ? (double)(now_us - run->media_us) / 1e6 : 0;
	enter(run, DRAINING, now_us);
}

static void set_up(struct run *run, uint64_t now_us)
{
	const struct peer *missing;

	while (run->started < run->options.peers
		&& now_us >= run->start_us + (uint64_t)run->started * JOIN_US)
		peer_start(run->peers[run->started++]);
	missing = not_set_up(run);
	if (!missing) {
		if (!run->options.json && !run->options.check)
			g_print("%u peers set up after %.0f ms\n", run->options.peers,
				(double)(now_us - run->start_us) / 1000);
		enter(run, run->options.packets ? SETTLING : RUNNING, now_us);
		run->media_us = now_us;
		run->rekey_us = now_us + run->options.rekey_seconds * 1000000ull;
	} else if (run->started == run->options.peers
		   && now_us > run->start_us + run->options.peers * (uint64_t)JOIN_US + SETUP_US) {
		run->failure = g_strdup_printf("peer %u is not set up after %u s: %s",
			peer_index(missing), SETUP_US / 1000000, peer_state(missing));
		stop_media(run, now_us);
	}
}

static void rekey(struct run *run, uint64_t now_us)
{
	if (!run->options.rekey_seconds || now_us < run->rekey_us)
		return;
	run->rekey_us = now_us + run->options.rekey_seconds * 1000000ull;
	for (unsigned i = 0; i < run->options.rooms; i++)
		peer_rekey(run->peers[i]);
}

/** Every so many seconds of media all peers change their ports. */
static void move(struct run *run, uint64_t now_us)
{
	uint32_t seconds = run->options.ice_restart_seconds ? run->options.ice_restart_seconds
							    : run->options.rebind_seconds;

	if (!seconds || now_us < run->media_us + (run->moves + 1) * seconds * 1000000ull)
		return;
	run->moves++;
	for (unsigned i = 0; i < run->options.peers; i++)
		peer_move(run->peers[i], run->options.ice_restart_seconds);
}

static bool a_peer_failed(struct run *run)
{
	if (run->options.kill_safe)
		return false;
	for (unsigned i = 0; i < run->started; i++) {
		if (peer_failure(run->peers[i])) {
			if (!run->failure)
				run->failure = g_strdup_printf(
					"peer %u: %s", i, peer_failure(run->peers[i]));
			return true;
		}
	}
	return false;
}

static void step(struct run *run, uint64_t now_us)
{
	uint64_t elapsed_us = now_us - run->phase_us;

	if (run->phase < DRAINING && (interrupted || a_peer_failed(run))) {
		stop_media(run, now_us);
		return;
	}
	switch (run->phase) {
	case SETTING_UP:
		set_up(run, now_us);
		break;
	case SETTLING:
		if (elapsed_us >= SETTLE_US) {
			each(run, peer_begin);
			run->media_us = now_us;
			enter(run, RUNNING, now_us);
		}
		break;
	case RUNNING:
		rekey(run, now_us);
		move(run, now_us);
		if (run->options.packets ? all_done(run)
					 : elapsed_us >= run->options.seconds * 1000000ull)
			stop_media(run, now_us);
		break;
	case DRAINING:
		if (elapsed_us >= DRAIN_US) {
			each(run, peer_leave);
			enter(run, LEAVING, now_us);
		}
		break;
	case LEAVING:
		if (elapsed_us >= LEAVE_US)
			g_main_loop_quit(run->loop);
		break;
	}
}

static gboolean on_tick(gpointer data)
{
	struct run *run = data;
	uint64_t now_us = (uint64_t)g_get_monotonic_time();

	for (unsigned i = 0; i < run->started; i++)
		peer_tick_media(run->peers[i], now_us);
	if (run->ticks++ % SLOW_TICKS)
		return G_SOURCE_CONTINUE;
	ws_service(run->env.ws);
	for (unsigned i = 0; i < run->started; i++)
		peer_tick(run->peers[i], now_us);
	step(run, now_us);
	return G_SOURCE_CONTINUE;
}

static const char *room_name(const struct run *run, unsigned index, char *out, size_t cap)
{
	const char *base = run->options.room;

	if (base && run->options.rooms == 1)
		g_strlcpy(out, base, cap);
	else
		g_snprintf(out, cap, "%s-%d-%u", base ? base : "check", (int)getpid(),
			index % run->options.rooms);
	return out;
}

static int report(struct run *run)
{
	char *problem;
	int status = 0;

	run->report.options = &run->options;
	run->report.peers = run->peers;
	run->report.peer_count = run->options.peers;
	run->report.socket_drops = socket_drops() - run->socket_drops;
	run->report.failure = run->failure;
	if (run->options.json)
		peer_report_json(&run->report);
	else
		peer_report_text(&run->report);
	problem = peer_report_verdict(&run->report);
	if (run->options.check) {
		status = problem ? 1 : 0;
		// With --json standard output is for machines.
		fprintf(run->options.json ? stderr : stdout,
			problem ? "check failed: %s\n" : "check passed\n", problem);
	} else if (run->failure) {
		fprintf(stderr, "sfu-peer: %s\n", run->failure);
		status = 1;
	}
	g_free(problem);
	return status;
}

static int run_peers(struct run *run)
{
	char room[64];
	guint tick;
	int status;

	run->peers = g_new0(struct peer *, run->options.peers);
	for (unsigned i = 0; i < run->options.peers; i++)
		run->peers[i] = peer_create(&run->env, i, room_name(run, i, room, sizeof(room)));
	run->loop = g_main_loop_new(NULL, FALSE);
	run->start_us = (uint64_t)g_get_monotonic_time();
	run->socket_drops = socket_drops();
	enter(run, SETTING_UP, run->start_us);
	tick = g_timeout_add_full(G_PRIORITY_HIGH, TICK_MS, on_tick, run, NULL);
	g_main_loop_run(run->loop);
	g_source_remove(tick);
	status = report(run);
	for (unsigned i = 0; i < run->options.peers; i++)
		peer_destroy(run->peers[i]);
	// Let libnice close its agents.
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_main_loop_unref(run->loop);
	g_free(run->peers);
	g_free(run->failure);
	return status;
}

int main(int argc, char **argv)
{
	struct run run = {.phase = SETTING_UP};
	char room[64];
	FILE *secrets = NULL;
	int status = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	peer_options_read(&run.options, argc, argv);
	run.env.options = &run.options;
	run.env.by_tag = g_hash_table_new(NULL, NULL);
	run.env.ws = ws_context_create();
	run.env.identity = media_identity_create(run.options.profiles);
	if (run.env.identity && run.options.secrets) {
		secrets = fopen(run.options.secrets, "w");
		media_identity_tell_secrets(run.env.identity, secrets);
	}
	if (!run.env.ws || !run.env.identity || (run.options.secrets && !secrets))
		fprintf(stderr, "sfu-peer: cannot start libwebsockets, OpenSSL or libsrtp2\n");
	else if (run.options.first_check)
		status = peer_first_check(&run.env, room_name(&run, 0, room, sizeof(room)));
	else
		status = run_peers(&run);
	ws_context_destroy(run.env.ws);
	media_identity_destroy(run.env.identity);
	if (secrets)
		fclose(secrets);
	g_hash_table_destroy(run.env.by_tag);
	return status;
}
