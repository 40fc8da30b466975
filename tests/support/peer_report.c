// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_report.h"

#include <json-c/json.h>
#include <string.h>

#include "sfu-dp/proto/rtcp.h"

/** Reports come about every second; whoever listened this long must have had one. */
#define REPORTS_US 4000000
/** Media flows at once when a gate opens: a packet interval and signalling. */
#define OPENING_US 1000000
/** More consumers than this are not told one by one on a line for people. */
#define LINE_CONSUMERS 8

static const char *const track_names[PEER_TRACKS] = {"audio", "video"};

/** Sums over the consumers of a peer, or of all. */
struct sums {
	unsigned consumers;
	uint64_t received, lost, duplicated, reordered, undecryptable, mismatched, header_wrong;
	uint64_t rtp_missing, timestamp_jumps, leaked, excused, sr_received, sr_wrong, sr_far;
	uint64_t recovered, in_time, expected;
	uint64_t asked, retransmissions, again; // repair
	uint64_t longest_gap_us, opened_after_us;
	struct latency latency;
};

static void add_consumer(struct sums *sums, const struct peer_consumer *c)
{
	const struct rtp_sink_stats *st;

	if (!c->sink)
		return;
	st = rtp_sink_stats(c->sink);
	sums->consumers++;
	sums->received += st->received;
	sums->recovered += st->recovered;
	sums->in_time += st->in_time;
	sums->expected += st->unique ? st->highest - st->first + 1 : 0;
	if (c->repair) {
		const struct rtp_repair_counts *repair = rtp_repair_counts(c->repair);

		sums->asked += repair->asked;
		sums->retransmissions += repair->retransmissions;
		sums->again += repair->again;
	}
	sums->lost += rtp_sink_lost(c->sink);
	sums->duplicated += st->duplicated;
	sums->reordered += st->reordered;
	sums->undecryptable += st->undecryptable;
	sums->mismatched += st->mismatched;
	sums->header_wrong += st->header_wrong;
	sums->rtp_missing += st->rtp_missing;
	sums->timestamp_jumps += st->timestamp_jumps;
	sums->leaked += st->leaked;
	sums->excused += st->excused;
	sums->sr_received += st->sr_received;
	sums->sr_wrong += st->sr_wrong;
	sums->sr_far += st->sr_far;
	sums->longest_gap_us = MAX(sums->longest_gap_us, st->longest_gap_us);
	sums->opened_after_us = MAX(sums->opened_after_us, c->opened_after_us);
	latency_merge(&sums->latency, &st->latency);
}

static void add_peer(struct sums *sums, const struct peer *p)
{
	for (unsigned i = 0; i < peer_consumer_count(p); i++)
		add_consumer(sums, peer_consumer(p, i));
}

static double ms(uint64_t us)
{
	return (double)us / 1000;
}

static void print_peer(const struct peer *p)
{
	struct sums sums = {0};
	struct peer_stats st;

	add_peer(&sums, p);
	peer_stats(p, &st);
	g_print("peer %u: sent %" G_GUINT64_FORMAT " audio %" G_GUINT64_FORMAT
		" video; received %" G_GUINT64_FORMAT,
		peer_index(p), st.sent[PEER_AUDIO], st.sent[PEER_VIDEO], sums.received);
	if (sums.consumers && sums.consumers <= LINE_CONSUMERS) {
		const char *separator = " (";

		for (unsigned i = 0; i < peer_consumer_count(p); i++) {
			const struct peer_consumer *c = peer_consumer(p, i);

			if (!c->sink)
				continue;
			g_print("%s%s %s %" G_GUINT64_FORMAT, separator, c->device,
				track_names[c->track], rtp_sink_stats(c->sink)->received);
			separator = ", ";
		}
		g_print(")");
	} else {
		g_print(" (%u consumers)", sums.consumers);
	}
	g_print(", %" G_GUINT64_FORMAT " lost, %" G_GUINT64_FORMAT " duplicated, %" G_GUINT64_FORMAT
		" undecryptable, %" G_GUINT64_FORMAT
		" mismatched; latency p50 %.2f ms p99 %.2f ms; %s\n",
		sums.lost, sums.duplicated, sums.undecryptable, sums.mismatched,
		ms(latency_quantile(&sums.latency, 500)), ms(latency_quantile(&sums.latency, 990)),
		st.profile ? st.profile : peer_state(p));
}

void peer_report_text(const struct peer_run_report *run)
{
	for (unsigned i = 0; i < run->peer_count; i++)
		print_peer(run->peers[i]);
}

static void put(json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void put_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

static void put_ms(json_object *o, const char *key, uint64_t us)
{
	char text[32];

	g_snprintf(text, sizeof(text), "%.3f", ms(us));
	json_object_object_add(o, key, json_object_new_double_s(ms(us), text));
}

static void put_sums(json_object *o, const struct sums *s)
{
	put(o, "received", s->received);
	put(o, "expected", s->expected);
	put(o, "in_time", s->in_time);
	put(o, "recovered", s->recovered);
	put(o, "asked", s->asked);
	put(o, "retransmissions", s->retransmissions);
	put(o, "again", s->again);
	put(o, "lost", s->lost);
	put(o, "duplicated", s->duplicated);
	put(o, "reordered", s->reordered);
	put(o, "undecryptable", s->undecryptable);
	put(o, "mismatched", s->mismatched);
	put(o, "header_wrong", s->header_wrong);
	put(o, "rtp_missing", s->rtp_missing);
	put(o, "timestamp_jumps", s->timestamp_jumps);
	put(o, "leaked", s->leaked);
	put(o, "excused", s->excused);
	put(o, "sr_received", s->sr_received);
	put(o, "sr_wrong", s->sr_wrong);
	put(o, "sr_far", s->sr_far);
	put_ms(o, "longest_gap_ms", s->longest_gap_us);
	put_ms(o, "opened_after_ms", s->opened_after_us);
	put_ms(o, "latency_p50_ms", latency_quantile(&s->latency, 500));
	put_ms(o, "latency_p99_ms", latency_quantile(&s->latency, 990));
	put_ms(o, "latency_max_ms", s->latency.max_us);
}

static json_object *consumer_json(const struct peer_consumer *c)
{
	const struct rtp_sink_stats *st = rtp_sink_stats(c->sink);
	json_object *o = json_object_new_object();
	struct sums sums = {0};

	add_consumer(&sums, c);
	put_text(o, "id", c->id);
	put_text(o, "producer_id", c->producer_id);
	put(o, "ssrc", c->ssrc);
	put(o, "rtx_ssrc", c->rtx_ssrc);
	put_text(o, "device", c->device);
	put_text(o, "kind", track_names[c->track]);
	json_object_object_add(o, "live", json_object_new_boolean(c->is_live));
	put(o, "first", st->first);
	put(o, "highest", st->highest);
	put(o, "epochs", st->epochs);
	put(o, "mids", st->mids);
	put_text(o, "problem", st->problem);
	put_sums(o, &sums);
	return o;
}

static json_object *stats_json(const struct peer_stats *st)
{
	json_object *o = json_object_new_object();

	put(o, "sent_audio", st->sent[PEER_AUDIO]);
	put(o, "sent_video", st->sent[PEER_VIDEO]);
	put(o, "key_frame_requests_audio", st->key_frame_requests[PEER_AUDIO]);
	put(o, "key_frame_requests_video", st->key_frame_requests[PEER_VIDEO]);
	put(o, "receiver_reports", st->receiver_reports);
	put(o, "report_loss", st->report_loss);
	put(o, "nacks", st->nacks);
	put(o, "not_opened", st->not_opened);
	put(o, "replayed", st->replayed);
	put(o, "twcc_received", st->twcc_received);
	put(o, "twcc_sent", st->twcc_sent);
	put(o, "remb_received", st->remb_received);
	put(o, "flooded", st->flooded);
	put_ms(o, "rtt_ms", st->rtt_us);
	put_ms(o, "rtt_dlrr_ms", st->rtt_dlrr_us);
	put(o, "send_failed", st->send_failed);
	put(o, "unknown_ssrc", st->unknown_ssrc);
	put(o, "rejoins", st->rejoins);
	put_ms(o, "back_after_ms", st->back_after_us);
	put(o, "resumes", st->resumes);
	put_ms(o, "resumed_after_ms", st->resumed_after_us);
	put(o, "refused_not_ready", st->refused);
	put(o, "pli_sent", st->pli_sent);
	put(o, "moves", st->moves);
	put(o, "epoch", st->epoch);
	put_text(o, "profile", st->profile);
	return o;
}

static json_object *sources_json(const struct peer *p)
{
	json_object *list = json_object_new_array();

	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		struct peer_source source;
		json_object *o;

		if (!peer_source(p, (enum peer_track)i, &source))
			continue;
		o = json_object_new_object();
		put_text(o, "kind", track_names[i]);
		put(o, "ssrc", source.ssrc);
		put(o, "rtx_ssrc", source.rtx_ssrc);
		put(o, "sent", source.sent);
		put(o, "asked", source.resend.asked);
		put(o, "resent", source.resend.sent);
		put(o, "gone", source.resend.gone);
		put(o, "reported_highest", source.last_report.highest_seq);
		put(o, "reported_lost", (uint64_t)MAX(source.last_report.cumulative_lost, 0));
		put(o, "reported_jitter", source.last_report.jitter);
		json_object_array_add(list, o);
	}
	return list;
}

static void print_json(json_object *o)
{
	g_print("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

void peer_report_json(const struct peer_run_report *run)
{
	json_object *totals = json_object_new_object();
	uint64_t sent = 0, socket_failures = 0;
	struct sums all = {0};

	for (unsigned i = 0; i < run->peer_count; i++) {
		const struct peer *p = run->peers[i];
		json_object *o = json_object_new_object(), *list = json_object_new_array();
		struct sums sums = {0};
		struct peer_stats st;

		peer_stats(p, &st);
		add_peer(&sums, p);
		add_peer(&all, p);
		sent += st.sent[PEER_AUDIO] + st.sent[PEER_VIDEO];
		socket_failures += st.send_failed;
		put(o, "peer", peer_index(p));
		put_text(o, "device", peer_device(p));
		put_text(o, "room", peer_room(p));
		put_text(o, "failure", peer_failure(p));
		json_object_object_add(o, "stats", stats_json(&st));
		put_sums(o, &sums);
		json_object_object_add(o, "sources", sources_json(p));
		for (unsigned k = 0; k < peer_consumer_count(p); k++) {
			if (peer_consumer(p, k)->sink)
				json_object_array_add(list, consumer_json(peer_consumer(p, k)));
		}
		json_object_object_add(o, "consumers", list);
		print_json(o);
	}
	json_object_object_add(totals, "totals", json_object_new_boolean(true));
	put(totals, "peers", run->peer_count);
	put(totals, "consumers", all.consumers);
	put(totals, "sent", sent);
	put(totals, "send_failed", socket_failures);
	put(totals, "socket_drops", run->socket_drops);
	put_ms(totals, "media_ms", (uint64_t)(run->seconds * 1e6));
	put_sums(totals, &all);
	print_json(totals);
}

/* The verdict: the first thing that is not as it must be. */

static char *consumer_problem(const struct peer_run_report *run, const struct peer_consumer *c)
{
	const struct rtp_sink_stats *st = rtp_sink_stats(c->sink);
	const struct peer_options *o = run->options;

	if (st->problem)
		return g_strdup(st->problem);
	if (c->repair && rtp_repair_counts(c->repair)->wrong)
		return g_strdup("a retransmission with another payload type, or without content");
	if (o->impaired)
		return c->is_live && !st->unique ? g_strdup("nothing was received") : NULL;
	if (rtp_sink_lost(c->sink))
		return g_strdup_printf("%" G_GUINT64_FORMAT " packets lost (our own sockets lost "
				       "%" G_GUINT64_FORMAT ")",
			rtp_sink_lost(c->sink), run->socket_drops);
	if (st->rtp_missing)
		return g_strdup("gap in the RTP sequence");
	if (!c->is_live)
		return NULL;
	if (!st->unique)
		return g_strdup("nothing was received");
	if (o->packets && (st->first || st->unique != o->packets))
		return g_strdup_printf("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
				       " packets arrived, from number %" G_GUINT64_FORMAT " on",
			st->unique, o->packets, st->first);
	if (!st->mids)
		return g_strdup("no packet had a MID");
	if (run->stopped_us - st->first_us > REPORTS_US && !st->sr_received)
		return g_strdup("no sender report");
	if (st->sr_received >= 4 && st->sr_far * 2 > st->sr_received)
		return g_strdup("sender reports are off the packets");
	return NULL;
}

/** An edge of somebody who was held back must be quiet meanwhile, and flow afterwards. */
static char *opening_problem(
	const struct peer_run_report *run, const struct peer_consumer *c, uint64_t opened_us)
{
	if (!opened_us || !c->is_live || opened_us + OPENING_US > run->stopped_us)
		return NULL;
	if (!c->opened_after_us)
		return g_strdup("nothing came after the gate opened");
	if (c->opened_after_us > OPENING_US)
		return g_strdup_printf(
			"first packet %.0f ms after the gate opened", ms(c->opened_after_us));
	return NULL;
}

static const struct peer *peer_with_device(const struct peer_run_report *run, const char *device)
{
	for (unsigned i = 0; i < run->peer_count; i++) {
		if (!strcmp(peer_device(run->peers[i]), device))
			return run->peers[i];
	}
	return NULL;
}

static char *edge_problem(
	const struct peer_run_report *run, const struct peer *p, const struct peer_consumer *c)
{
	const struct peer *sender = peer_with_device(run, c->device);
	bool is_shut = peer_is_shut(p) || (sender && peer_is_shut(sender));
	char *problem;

	if (!c->sink)
		return c->is_live ? g_strdup("CONSUME was not answered") : NULL;
	// Whose gate never opened again may have received nothing at all.
	if (is_shut && !rtp_sink_stats(c->sink)->received)
		return NULL;
	problem = consumer_problem(run, c);
	if (!problem)
		problem = opening_problem(run, c, peer_opened_us(p));
	if (!problem && sender)
		problem = opening_problem(run, c, peer_opened_us(sender));
	return problem;
}

/** Whether one of our peers consumes this one's video. */
static bool is_watched(const struct peer_run_report *run, const struct peer *p)
{
	for (unsigned i = 0; i < run->peer_count; i++) {
		for (unsigned k = 0; k < peer_consumer_count(run->peers[i]); k++) {
			const struct peer_consumer *c = peer_consumer(run->peers[i], k);

			if (c->is_resumed && c->track == PEER_VIDEO
				&& !strcmp(c->device, peer_device(p)))
				return true;
		}
	}
	return false;
}

static char *peer_problem(const struct peer_run_report *run, const struct peer *p)
{
	unsigned index = peer_index(p);
	struct peer_stats st;

	peer_stats(p, &st);
	if (peer_failure(p))
		return g_strdup_printf("peer %u: %s", index, peer_failure(p));
	if (run->options->unready == index && !st.refused)
		return g_strdup_printf("peer %u was not refused although not ready", index);
	if (run->options->unready == index && peer_is_shut(p))
		return peer_consumer_count(p) && peer_consumer(p, 0)->sink
			       ? g_strdup_printf("peer %u consumes although not ready", index)
			       : NULL;
	if (st.unknown_ssrc)
		return g_strdup_printf("peer %u got %" G_GUINT64_FORMAT
				       " packets with an SSRC that was not signalled",
			index, st.unknown_ssrc);
	if (st.replayed && !run->options->impaired)
		return g_strdup_printf(
			"peer %u got %" G_GUINT64_FORMAT " packets twice", index, st.replayed);
	if (st.not_opened && !run->options->impaired)
		return g_strdup_printf("peer %u could not open %" G_GUINT64_FORMAT " packets",
			index, st.not_opened);
	for (unsigned i = 0; i < peer_consumer_count(p); i++) {
		const struct peer_consumer *c = peer_consumer(p, i);
		char *what = edge_problem(run, p, c), *line;

		if (!what)
			continue;
		line = g_strdup_printf(
			"peer %u, %s of %s: %s", index, track_names[c->track], c->device, what);
		g_free(what);
		return line;
	}
	if (run->seconds * 1e6 > REPORTS_US && !run->options->kill_safe && !peer_is_shut(p)
		&& !st.receiver_reports)
		return g_strdup_printf("peer %u got no receiver report", index);
	if (!run->options->kill_safe && !run->options->impaired
		&& !st.key_frame_requests[PEER_VIDEO] && is_watched(run, p))
		return g_strdup_printf("peer %u was not asked for a key frame", index);
	return NULL;
}

char *peer_report_verdict(const struct peer_run_report *run)
{
	char *problem = NULL;

	if (run->failure)
		return g_strdup(run->failure);
	for (unsigned i = 0; i < run->peer_count && !problem; i++)
		problem = peer_problem(run, run->peers[i]);
	return problem;
}
