// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-impair: a bad network between two interfaces, one toward clients and one toward the server.
 * What arrives at one leaves at the other, as impair.h decides if it is UDP, at once if it is not.
 * Every UDP packet's fate can be logged, one JSON object a line; the summary at the end, or asked
 * for, balances: in + duplicated = out + dropped by fate + held.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "sfu-dp/proto/demux.h"
#include "sfu-dp/proto/rtp.h"
#include "tests/support/frame.h"
#include "tests/support/impair.h"
#include "tests/support/nat.h"
#include "tests/support/packet_port.h"

#define HELD_MAX 65536
#define STEPS_MAX 32
#define BATCH 64
#define REPLY_MAX 2048
#define REPLY_MS 2000

enum direction { UP, DOWN, DIRECTIONS };

static const char *const direction_names[DIRECTIONS] = {"up", "down"};

/** A frame that waits for its time. */
struct held {
	uint64_t at_us;
	uint64_t order; // of arrival; first come, first served among equals
	enum direction direction;
	bool is_udp;
	uint16_t len;
	uint8_t *octets; // owned
};

struct counts {
	uint64_t in, in_octets; // UDP packets; octets from the IP header on
	uint64_t fates[IMPAIR_FATES];
	uint64_t duplicated, flipped, late;
	uint64_t held; // copies that wait
	uint64_t out, out_octets; // copies that left
	uint64_t not_sent; // the kernel did not take them, or there was no room to hold them
	uint64_t other; // not UDP: passed as it came
};

/** A command for later. */
struct step {
	uint64_t at_us; // after the start
	char command[128];
};

struct stage {
	struct packet_port ports[DIRECTIONS]; // where the direction's frames arrive
	int control; // -1 without
	FILE *log; // NULL without
	const char *log_path, *control_path;
	const char *interfaces[DIRECTIONS];
	struct impair impair[DIRECTIONS];
	struct counts counts[DIRECTIONS];
	struct nat nat;
	struct held *heap[HELD_MAX]; // earliest first
	unsigned held;
	uint64_t order;
	uint64_t start_us;
	uint64_t seed;
	struct step steps[STEPS_MAX]; // by time
	unsigned step_count, steps_done;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "sfu-impair: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* What waits: a binary heap. */

static bool is_before(const struct held *a, const struct held *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_push(struct stage *s, struct held *h)
{
	unsigned at = s->held++;

	while (at && is_before(h, s->heap[(at - 1) / 2])) {
		s->heap[at] = s->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->heap[at] = h;
}

static struct held *heap_pop(struct stage *s)
{
	struct held *top = s->heap[0], *last = s->heap[--s->held];
	unsigned at = 0, child;

	while ((child = 2 * at + 1) < s->held) {
		if (child + 1 < s->held && is_before(s->heap[child + 1], s->heap[child]))
			child++;
		if (!is_before(s->heap[child], last))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return top;
}

/* Sending. */

static void depart(struct stage *s, struct held *h)
{
	struct counts *c = &s->counts[h->direction];

	// A port sends where it listens: up leaves where down arrives.
	if (!packet_port_send(&s->ports[h->direction == UP ? DOWN : UP], h->octets, h->len)) {
		c->not_sent++;
	} else if (h->is_udp) {
		c->out++;
		c->out_octets += h->len - ETHER_HDR_LEN;
	}
	c->held -= h->is_udp;
	free(h->octets);
	free(h);
}

static void depart_due(struct stage *s, uint64_t now_us)
{
	while (s->held && s->heap[0]->at_us <= now_us)
		depart(s, heap_pop(s));
}

static void hold(struct stage *s, enum direction direction, const uint8_t *octets, size_t len,
	bool is_udp, uint64_t at_us)
{
	struct held *h = s->held < HELD_MAX ? calloc(1, sizeof(*h)) : NULL;

	if (h)
		h->octets = malloc(len);
	if (!h || !h->octets) {
		free(h);
		s->counts[direction].not_sent++;
		return;
	}
	memcpy(h->octets, octets, len);
	h->len = (uint16_t)len;
	h->direction = direction;
	h->is_udp = is_udp;
	h->at_us = at_us;
	h->order = s->order++;
	s->counts[direction].held += is_udp;
	heap_push(s, h);
}

/* Receiving. */

/** @param client  the client's end, as it knows it itself */
static void log_packet(struct stage *s, enum direction direction, uint64_t now_us,
	const struct frame_end *client, const uint8_t *payload, size_t len,
	const struct impair_verdict *v)
{
	static const char *const kinds[] = {"unknown", "rtp", "rtcp", "stun", "dtls"};
	enum demux_kind kind = demux_kind(payload, len);
	struct rtp_view view;

	if (!s->log)
		return;
	fprintf(s->log,
		"{\"t\":%" PRIu64
		",\"dir\":\"%s\",\"port\":%u,\"len\":%zu,\"fate\":\"%s\",\"kind\":\"%s\"",
		now_us, direction_names[direction], client->port, len, impair_fate_names[v->fate],
		kinds[kind]);
	if (kind == DEMUX_RTP && rtp_parse(payload, len, &view) == RTP_OK)
		fprintf(s->log, ",\"ssrc\":%u,\"seq\":%u,\"pt\":%u", view.ssrc, view.seq,
			view.payload_type);
	if (v->copies)
		fprintf(s->log, ",\"copies\":%u,\"wait\":%" PRIu64, v->copies,
			v->at_us[0] - now_us);
	if (v->is_late)
		fputs(",\"late\":1", s->log);
	if (v->is_flipped)
		fputs(",\"flipped\":1", s->log);
	fputs("}\n", s->log);
}

static void take_udp(struct stage *s, enum direction direction, uint8_t *octets, size_t len,
	const struct frame *frame, uint64_t now_us)
{
	struct counts *c = &s->counts[direction];
	struct impair_verdict v;
	struct frame_end client;

	c->in++;
	c->in_octets += len - ETHER_HDR_LEN;
	impair_packet(&s->impair[direction], frame->ip_len, now_us, &v);
	if (direction == DOWN && v.fate == IMPAIR_PASSED && !nat_down(&s->nat, octets, frame)) {
		v.fate = IMPAIR_NO_MAPPING;
		v.copies = 0;
	}
	// What is changed there fails at the end of the handshake, and nobody can mend it: only a checksum
	// over all could have told, and that one is made anew here.
	if (demux_kind(octets + frame->payload_off, frame->payload_len) == DEMUX_DTLS)
		v.is_flipped = false;
	if (direction == UP)
		frame_source(octets, frame, &client);
	else
		frame_target(octets, frame, &client);
	if (direction == UP)
		nat_up(&s->nat, octets, frame);
	log_packet(
		s, direction, now_us, &client, octets + frame->payload_off, frame->payload_len, &v);
	c->fates[v.fate]++;
	if (!v.copies)
		return;
	c->duplicated += v.copies - 1;
	c->late += v.is_late;
	c->flipped += v.is_flipped;
	if (v.is_flipped)
		frame_flip(octets, frame, v.flip_random);
	for (unsigned i = 0; i < v.copies; i++)
		hold(s, direction, octets, len, true, v.at_us[i]);
}

static void receive(struct stage *s, enum direction direction)
{
	struct packet_port *port = &s->ports[direction];
	struct frame frame;
	uint8_t *octets;
	size_t len;

	for (unsigned n = 0; n < BATCH && (octets = packet_port_next(port, &len)); n++) {
		uint64_t now_us = clock_us();

		if (len < ETHER_HDR_LEN || len > PACKET_PORT_FRAME_MAX) {
			s->counts[direction].not_sent++; // offloads must be off here
		} else if (frame_parse(octets, len, &frame)) {
			take_udp(s, direction, octets, len, &frame, now_us);
		} else {
			s->counts[direction].other++;
			hold(s, direction, octets, len, false, now_us);
		}
		packet_port_release(port);
	}
}

static void summary(struct stage *s, char *out, size_t cap)
{
	uint64_t overflows = 0;
	size_t n;

	for (unsigned i = 0; i < DIRECTIONS; i++)
		overflows += packet_port_overflows(&s->ports[i]);
	n = (size_t)snprintf(
		out, cap, "{\"t\":%" PRIu64 ",\"overflows\":%" PRIu64, clock_us(), overflows);

	for (unsigned i = 0; i < DIRECTIONS; i++) {
		const struct counts *c = &s->counts[i];

		n += (size_t)snprintf(out + n, cap - n,
			",\"%s\":{\"in\":%" PRIu64 ",\"in_octets\":%" PRIu64
			",\"duplicated\":%" PRIu64 ",\"flipped\":%" PRIu64 ",\"late\":%" PRIu64
			",\"out\":%" PRIu64 ",\"out_octets\":%" PRIu64 ",\"held\":%" PRIu64
			",\"not_sent\":%" PRIu64 ",\"other\":%" PRIu64,
			direction_names[i], c->in, c->in_octets, c->duplicated, c->flipped, c->late,
			c->out, c->out_octets, c->held, c->not_sent, c->other);
		for (unsigned k = 0; k < IMPAIR_FATES; k++)
			n += (size_t)snprintf(out + n, cap - n, ",\"%s\":%" PRIu64,
				impair_fate_names[k], c->fates[k]);
		n += (size_t)snprintf(out + n, cap - n, "}");
	}
	snprintf(out + n, cap - n, "}");
}

/* Commands. */

static bool rebind_command(struct stage *s, const char *address)
{
	struct frame_end end = {0};

	if (!*address) {
		nat_rebind(&s->nat, NULL);
		return true;
	}
	end.len = strchr(address, ':') ? 16 : 4;
	if (inet_pton(end.len == 16 ? AF_INET6 : AF_INET, address, end.address) != 1)
		return false;
	nat_rebind(&s->nat, &end);
	return true;
}

/** @param out  answer of REPLY_MAX octets */
static bool command(struct stage *s, const char *text, char *out)
{
	struct impair_settings settings;
	const char *space = strchr(text, ' '), *value = space ? space + 1 : "";
	size_t len = space ? (size_t)(space - text) : strlen(text);

	snprintf(out, REPLY_MAX, "ok");
	if (len == strlen("summary") && !strncmp(text, "summary", len)) {
		summary(s, out, REPLY_MAX);
		return true;
	}
	if (len == strlen("rebind") && !strncmp(text, "rebind", len))
		return rebind_command(s, value);
	for (unsigned i = 0; i < DIRECTIONS; i++) {
		if (len == strlen(direction_names[i]) && !strncmp(text, direction_names[i], len)
			&& !impair_parse(value, &settings)) {
			impair_set(&s->impair[i], &settings);
			return true;
		}
	}
	return false;
}

static void serve_control(struct stage *s)
{
	char text[256], reply[REPLY_MAX];
	struct sockaddr_un from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(s->control, text, sizeof(text) - 1, MSG_DONTWAIT,
		(struct sockaddr *)&from, &from_len);

	if (len < 0)
		return;
	text[len] = 0;
	if (!command(s, text, reply))
		snprintf(reply, sizeof(reply), "not understood: %s", text);
	if (s->log)
		fflush(s->log);
	sendto(s->control, reply, strlen(reply), MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
}

/** Send one command to a running stage and print its answer. */
static int tell(const char *path, char **words, int count)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX}, own = {.sun_family = AF_UNIX};
	struct pollfd answer;
	char text[256] = "", reply[REPLY_MAX + 1];
	ssize_t len;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < count; i++) {
		strncat(text, i ? " " : "", sizeof(text) - strlen(text) - 1);
		strncat(text, words[i], sizeof(text) - strlen(text) - 1);
	}
	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	// An abstract name of the kernel's choice, so that there is a way back.
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(sa_family_t))
		|| sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		die(path);
	answer.fd = fd;
	answer.events = POLLIN;
	if (poll(&answer, 1, REPLY_MS) != 1)
		die("no answer");
	len = recv(fd, reply, REPLY_MAX, 0);
	if (len < 0)
		die(path);
	reply[len] = 0;
	puts(reply);
	close(fd);
	return strncmp(reply, "not understood", 14) ? 0 : 1;
}

/* Start. */

static const char usage_text[]
	= "usage: sfu-impair --clients IFACE --server IFACE [options]\n"
	  "       sfu-impair --tell PATH COMMAND\n"
	  "A bad network between two interfaces, for UDP. Ends at SIGTERM, with a summary in "
	  "JSON.\n"
	  "  --seed N        of all that is random (1)\n"
	  "  --up SPEC       what happens to packets from clients\n"
	  "  --down SPEC     what happens to packets from the server\n"
	  "  --rebind ADDR   clients get new ports and this address, \"\" for their own\n"
	  "  --at TIME       options of the three kinds above that follow are for this time after "
	  "the start\n"
	  "  --log FILE      the fate of each packet\n"
	  "  --control PATH  socket for --tell; COMMAND: up SPEC, down SPEC, rebind [ADDR], "
	  "summary\n"
	  "SPEC, divided by commas: loss=5% burst=1%/20%[/100%] delay=25ms jitter=5ms "
	  "reorder=10%/50ms\n"
	  "  dup=5% flip=0.01% rate=500k queue=200ms mtu=1280 blackout none\n";

static void refuse(const char *what)
{
	fprintf(stderr, "sfu-impair: %s\n%s", what, usage_text);
	exit(2);
}

static void add_step(struct stage *s, uint64_t at_us, const char *verb, const char *value)
{
	struct step *step = &s->steps[s->step_count];
	char reply[REPLY_MAX];

	if (s->step_count == STEPS_MAX)
		refuse("too many steps");
	if (s->step_count && step[-1].at_us > at_us)
		refuse("--at must not go back");
	step->at_us = at_us;
	snprintf(step->command, sizeof(step->command), *value ? "%s %s" : "%s", verb, value);
	if (!at_us) {
		if (!command(s, step->command, reply))
			refuse(step->command);
		return;
	}
	s->step_count++;
}

static void read_options(struct stage *s, int argc, char **argv)
{
	enum {
		OPT_CLIENTS,
		OPT_SERVER,
		OPT_SEED,
		OPT_UP,
		OPT_DOWN,
		OPT_REBIND,
		OPT_AT,
		OPT_LOG,
		OPT_CONTROL,
		OPT_TELL,
		OPT_HELP
	};
	static const struct option options[] = {
		{"clients", required_argument, NULL, OPT_CLIENTS},
		{"server", required_argument, NULL, OPT_SERVER},
		{"seed", required_argument, NULL, OPT_SEED},
		{"up", required_argument, NULL, OPT_UP},
		{"down", required_argument, NULL, OPT_DOWN},
		{"rebind", required_argument, NULL, OPT_REBIND},
		{"at", required_argument, NULL, OPT_AT},
		{"log", required_argument, NULL, OPT_LOG},
		{"control", required_argument, NULL, OPT_CONTROL},
		{"tell", required_argument, NULL, OPT_TELL},
		{"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0},
	};
	uint32_t at_us = 0;
	int id;

	// "+": the words of a command are not options.
	while ((id = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (id) {
		case OPT_CLIENTS:
			s->interfaces[UP] = optarg;
			break;
		case OPT_SERVER:
			s->interfaces[DOWN] = optarg;
			break;
		case OPT_SEED:
			// Before --up and --down: each direction has a sequence of its own.
			s->seed = strtoull(optarg, NULL, 10);
			break;
		case OPT_UP:
			add_step(s, at_us, "up", optarg);
			break;
		case OPT_DOWN:
			add_step(s, at_us, "down", optarg);
			break;
		case OPT_REBIND:
			add_step(s, at_us, "rebind", optarg);
			break;
		case OPT_AT:
			if (!impair_parse_time(optarg, &at_us))
				refuse(optarg);
			break;
		case OPT_LOG:
			s->log_path = optarg;
			break;
		case OPT_CONTROL:
			s->control_path = optarg;
			break;
		case OPT_TELL:
			exit(tell(optarg, argv + optind, argc - optind));
		case OPT_HELP:
			fputs(usage_text, stdout);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc || !s->interfaces[UP] || !s->interfaces[DOWN])
		refuse("--clients and --server are needed");
}

static void open_control(struct stage *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	s->control = -1;
	if (!s->control_path)
		return;
	s->control = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(at.sun_path, s->control_path, sizeof(at.sun_path) - 1);
	if (s->control < 0 || bind(s->control, (struct sockaddr *)&at, sizeof(at)))
		die(s->control_path);
}

static void take_steps(struct stage *s, uint64_t now_us)
{
	char reply[REPLY_MAX];

	while (s->steps_done < s->step_count
		&& s->start_us + s->steps[s->steps_done].at_us <= now_us) {
		if (!command(s, s->steps[s->steps_done].command, reply))
			refuse(s->steps[s->steps_done].command);
		s->steps_done++;
	}
}

/** Until a frame comes, or one is due, or a step. */
static void wait_for_work(struct stage *s, struct pollfd *fds, unsigned count)
{
	uint64_t now_us = clock_us(), until_us = now_us + 1000000;
	struct timespec left;

	if (s->held && s->heap[0]->at_us < until_us)
		until_us = s->heap[0]->at_us;
	if (s->steps_done < s->step_count && s->start_us + s->steps[s->steps_done].at_us < until_us)
		until_us = s->start_us + s->steps[s->steps_done].at_us;
	until_us = until_us > now_us ? until_us - now_us : 0;
	left.tv_sec = (time_t)(until_us / 1000000);
	left.tv_nsec = (long)(until_us % 1000000) * 1000;
	ppoll(fds, count, &left, NULL);
}

static void run(struct stage *s)
{
	struct pollfd fds[3] = {
		{.fd = s->ports[UP].fd, .events = POLLIN},
		{.fd = s->ports[DOWN].fd, .events = POLLIN},
		{.fd = s->control, .events = POLLIN},
	};

	while (!interrupted) {
		wait_for_work(s, fds, 3);
		take_steps(s, clock_us());
		for (unsigned i = 0; i < DIRECTIONS; i++)
			receive(s, (enum direction)i);
		depart_due(s, clock_us());
		if (s->control >= 0)
			serve_control(s);
	}
}

int main(int argc, char **argv)
{
	static struct stage stage = {.seed = 1};
	const char *what;
	char text[REPLY_MAX];

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	read_options(&stage, argc, argv);
	for (unsigned i = 0; i < DIRECTIONS; i++) {
		struct impair_settings settings = stage.impair[i].settings;

		impair_init(&stage.impair[i], stage.seed * DIRECTIONS + i);
		impair_set(&stage.impair[i], &settings);
		what = packet_port_open(&stage.ports[i], stage.interfaces[i]);
		if (what)
			die(what);
	}
	if (stage.log_path) {
		stage.log = fopen(stage.log_path, "w");
		if (!stage.log)
			die(stage.log_path);
	}
	open_control(&stage);
	// A network does not wait for a busy machine. Where that is not allowed, it waits.
	sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
	stage.start_us = clock_us();
	run(&stage);
	summary(&stage, text, sizeof(text));
	puts(text);
	if (stage.log)
		fclose(stage.log);
	for (unsigned i = 0; i < DIRECTIONS; i++)
		packet_port_close(&stage.ports[i]);
	while (stage.held) {
		struct held *h = heap_pop(&stage);

		free(h->octets);
		free(h);
	}
	return 0;
}
