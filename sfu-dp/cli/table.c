// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/cli/table.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 16u
#define CELL 64u

struct column {
	const char *title;
	const char *key;
};

struct noun {
	const char *name;
	const char *help;
	/** NULL = the answer itself is the array; an object is printed as key and value. */
	struct column columns[COLUMNS];
};

static const struct noun nouns[] = {
	{"transports", "ICE and DTLS associations: state, owner, addresses, streams",
		{{"HANDLE", "handle"}, {"ID", "id"}, {"DIR", "direction"}, {"STATE", "state"},
			{"WORKER", "worker"}, {"REMOTE", "remote"}, {"PROFILE", "profile"},
			{"RX", "rx_packets"}, {"TX", "tx_packets"}, {"RTT us", "feedback_rtt_us"},
			{"LOST", "feedback_lost"}, {"ARRIVES bps", "arrival_bps"},
			{"CHECK ms", "last_check_ms_ago"}}},
	{"producers", "what clients send",
		{{"HANDLE", "handle"}, {"TRANSPORT", "transport"}, {"PEER", "peer"},
			{"KIND", "kind"}, {"MID", "mid"}, {"PAUSED", "paused"}, {"E2EE", "e2ee"},
			{"CONSUMERS", "consumers"}, {"PACKETS", "packets"}, {"BYTES", "bytes"},
			{"KEY REQ", "key_frame_requests"}, {"NACKED", "nacked_packets"},
			{"RTX", "rtx_packets"}}},
	{"consumers", "egress streams toward clients",
		{{"HANDLE", "handle"}, {"ID", "id"}, {"TRANSPORT", "transport"},
			{"PRODUCER", "producer"}, {"KIND", "kind"}, {"WORKER", "worker"},
			{"SSRC", "ssrc"}, {"PAUSED", "paused"}, {"PACKETS", "packets"},
			{"BYTES", "bytes"}, {"LOST", "report_lost"},
			{"BEHIND US", "report_lost_downstream"}, {"RTT us", "report_rtt_us"},
			{"NACKED", "nacked_packets"}, {"RTX", "rtx_packets"}}},
	{"rooms", "rooms with their E2EE gate and peers",
		{{"HANDLE", "handle"}, {"E2EE", "e2ee_required"}, {"EPOCH", "epoch"},
			{"PEERS", "peer_count"}, {"SPEAKER", "speaker"}}},
	{"workers", "threads: load, packets, hand-offs",
		{{"WORKER", "worker"}, {"LCORE", "lcore"}, {"TRANSPORTS", "transports"},
			{"RX", "rx_packets"}, {"TX", "tx_packets"}, {"EGRESS", "egress_packets"},
			{"RTX", "rtx_sent"}, {"HISTORY", "history_packets"},
			{"HAND OUT", "handoff_out"}, {"HAND IN", "handoff_in"},
			{"FAN OUT", "fanout_out"}, {"FAN IN", "fanout_in"},
			{"BUSY o/oo", "busy_permille"}, {"CYC/PKT", "cycles_per_packet"}}},
	{"drops", "every packet that was not forwarded, by reason; the books",
		{{"REASON", "reason"}, {"COUNT", "count"}, {"MEANING", "text"}}},
	{"link", "the link to sfu-ctl", {{NULL, NULL}}},
	{"ports", "the network port",
		{{"NAME", "name"}, {"DRIVER", "driver"}, {"MAC", "mac"}, {"MTU", "mtu"},
			{"RXQ", "rx_queues"}, {"TXQ", "tx_queues"}, {"SPREADS", "spreads"},
			{"RSS", "rss"}, {"NUMA", "numa"}, {"USES", "uses"},
			{"MBUFS FREE", "mbufs_free"}}},
	{"config", "settings in force", {{NULL, NULL}}},
};

#define NOUNS (sizeof(nouns) / sizeof(nouns[0]))

static const struct noun *find(const char *name)
{
	for (size_t i = 0; i < NOUNS; i++) {
		if (!strcmp(nouns[i].name, name))
			return &nouns[i];
	}
	return NULL;
}

bool table_knows(const char *noun)
{
	return find(noun) != NULL;
}

void table_help(FILE *out)
{
	fprintf(out, "nouns:\n");
	for (size_t i = 0; i < NOUNS; i++)
		fprintf(out, "  %-12s %s\n", nouns[i].name, nouns[i].help);
}

static const char *cell(struct json_object *row, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(row, key, &v) || !v)
		return "-";
	if (json_object_is_type(v, json_type_boolean))
		return json_object_get_boolean(v) ? "yes" : "no";
	return json_object_get_string(v);
}

static bool is_number(struct json_object *rows, const char *key)
{
	struct json_object *v;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		if (json_object_object_get_ex(json_object_array_get_idx(rows, i), key, &v) && v)
			return json_object_is_type(v, json_type_int);
	}
	return false;
}

/** A cell; the last column gets no blanks behind it. */
static void cell_print(FILE *out, const char *text, int width, bool right, bool first, bool last)
{
	int pad = width - (int)strlen(text);

	fprintf(out, "%s%*s%s%*s", first ? "" : "  ", right ? pad : 0, "", text,
		right || last ? 0 : pad, "");
}

static void rows_print(FILE *out, const struct noun *n, struct json_object *rows)
{
	int width[COLUMNS] = {0};
	bool right[COLUMNS] = {false};
	size_t count = json_object_array_length(rows), columns = 0;

	while (columns < COLUMNS && n->columns[columns].title)
		columns++;
	for (size_t c = 0; c < columns; c++) {
		width[c] = (int)strlen(n->columns[c].title);
		right[c] = is_number(rows, n->columns[c].key);
		for (size_t i = 0; i < count; i++) {
			int len = (int)strlen(
				cell(json_object_array_get_idx(rows, i), n->columns[c].key));

			if (len > width[c])
				width[c] = len;
		}
	}
	for (size_t c = 0; c < columns; c++)
		cell_print(out, n->columns[c].title, width[c], right[c], c == 0, c + 1 == columns);
	fputc('\n', out);
	for (size_t i = 0; i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		for (size_t c = 0; c < columns; c++)
			cell_print(out, cell(row, n->columns[c].key), width[c], right[c], c == 0,
				c + 1 == columns);
		fputc('\n', out);
	}
}

static void pairs_print(FILE *out, const char *title, struct json_object *o)
{
	if (title)
		fprintf(out, "%s\n", title);
	json_object_object_foreach(o, key, v)
	{
		(void)v;
		fprintf(out, "%s%-24s %s\n", title ? "  " : "", key, cell(o, key));
	}
}

/** Only reasons that occurred: thirty zeros hide the one that matters. */
static struct json_object *without_zeros(struct json_object *rows)
{
	struct json_object *kept = json_object_new_array(), *v;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (json_object_object_get_ex(row, "count", &v) && json_object_get_uint64(v))
			json_object_array_add(kept, json_object_get(row));
	}
	return kept;
}

static void drops_print(FILE *out, const struct noun *n, struct json_object *answer)
{
	struct json_object *part, *rows;

	if (json_object_object_get_ex(answer, "drops", &part)) {
		rows = without_zeros(part);
		rows_print(out, n, rows);
		json_object_put(rows);
	}
	if (json_object_object_get_ex(answer, "not_sent", &part)) {
		fprintf(out, "\ncopies for consumers that were not sent\n");
		rows = without_zeros(part);
		rows_print(out, n, rows);
		json_object_put(rows);
	}
	fputc('\n', out);
	if (json_object_object_get_ex(answer, "ledger", &part))
		pairs_print(out, "received packets", part);
	if (json_object_object_get_ex(answer, "egress", &part))
		pairs_print(out, "copies for consumers", part);
}

static void rooms_print(FILE *out, const struct noun *n, struct json_object *rows)
{
	static const struct noun peer = {"peers", "",
		{{"  PEER", "handle"}, {"GATE", "gate"}, {"GRACE ms", "grace_left_ms"},
			{"TRANSPORTS", "transports"}}};
	struct json_object *peers;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *one = json_object_new_array();
		struct json_object *room = json_object_array_get_idx(rows, i);

		json_object_array_add(one, json_object_get(room));
		rows_print(out, n, one);
		json_object_put(one);
		if (json_object_object_get_ex(room, "peers", &peers))
			rows_print(out, &peer, peers);
	}
	if (!json_object_array_length(rows))
		rows_print(out, n, rows);
}

/** All transports, then all validated addresses of those that have any. */
static void transports_print(FILE *out, const struct noun *n, struct json_object *rows)
{
	static const struct noun tuple = {"tuples", "",
		{{"TRANSPORT", "transport"}, {"REMOTE", "remote"}, {"LOCAL", "local"},
			{"IN USE", "active"}, {"MTU HINT", "mtu_hint"},
			{"CHECK ms", "last_check_ms_ago"}}};
	struct json_object *all = json_object_new_array(), *handle, *tuples;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!json_object_object_get_ex(row, "handle", &handle)
			|| !json_object_object_get_ex(row, "tuples", &tuples))
			continue;
		for (size_t k = 0; k < json_object_array_length(tuples); k++) {
			struct json_object *one = json_object_array_get_idx(tuples, k);

			json_object_object_add(one, "transport", json_object_get(handle));
			json_object_array_add(all, json_object_get(one));
		}
	}
	rows_print(out, n, rows);
	if (json_object_array_length(all)) {
		fputc('\n', out);
		rows_print(out, &tuple, all);
	}
	json_object_put(all);
}

void table_print(FILE *out, const char *noun, struct json_object *answer)
{
	const struct noun *n = find(noun);

	if (!n)
		return;
	if (!strcmp(noun, "drops"))
		drops_print(out, n, answer);
	else if (!strcmp(noun, "rooms"))
		rooms_print(out, n, answer);
	else if (!strcmp(noun, "transports"))
		transports_print(out, n, answer);
	else if (json_object_is_type(answer, json_type_array))
		rows_print(out, n, answer);
	else
		pairs_print(out, NULL, answer);
}
