// SPDX-License-Identifier: BSD-3-Clause
/* sfu-load: very many signalling clients, and what a server makes of them. */
#include "tests/support/load_scenario.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char usage_text[]
	= "usage: sfu-load SCENARIO --port PORT --pid PID [options]\n"
	  "Loads a signalling server on loopback, prints one JSON object.\n"
	  "  idle     authenticated clients that only are there: memory for each\n"
	  "  joins    full joins in a row\n"
	  "  pings    PING as fast as it is answered, or at --rate\n"
	  "  hostile  clients that do not read, and slow ones, beside --clients healthy ones\n"
	  "options:\n"
	  "  --clients N          (100)\n"
	  "  --seconds S          (5)\n"
	  "  --rate N             requests per second; 0: as fast as they are answered (0)\n"
	  "  --parallel N         connecting or joining at the same time (32)\n"
	  "  --room-size N        (4)\n"
	  "  --window N           pings: each client has so many out, at most 16 (1)\n"
	  "  --readers N          that never read (1000)\n"
	  "  --loris N            that are very slow (2000)\n"
	  "  --connected-first    joins: all connect before the first says anything\n"
	  "  --tokens FILE        access tokens, one a line, taken in turn\n";

enum option_id {
	OPT_PORT = 256,
	OPT_PID,
	OPT_CLIENTS,
	OPT_SECONDS,
	OPT_RATE,
	OPT_PARALLEL,
	OPT_ROOM_SIZE,
	OPT_WINDOW,
	OPT_READERS,
	OPT_LORIS,
	OPT_CONNECTED_FIRST,
	OPT_TOKENS,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"port", required_argument, NULL, OPT_PORT},
	{"pid", required_argument, NULL, OPT_PID},
	{"clients", required_argument, NULL, OPT_CLIENTS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"parallel", required_argument, NULL, OPT_PARALLEL},
	{"room-size", required_argument, NULL, OPT_ROOM_SIZE},
	{"window", required_argument, NULL, OPT_WINDOW},
	{"readers", required_argument, NULL, OPT_READERS},
	{"loris", required_argument, NULL, OPT_LORIS},
	{"connected-first", no_argument, NULL, OPT_CONNECTED_FIRST},
	{"tokens", required_argument, NULL, OPT_TOKENS},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const struct {
	const char *name;
	bool (*run)(const struct load_options *o);
} scenarios[] = {
	{"idle", load_idle},
	{"joins", load_joins},
	{"pings", load_pings},
	{"hostile", load_hostile},
};

static void refuse(const char *what, const char *value)
{
	fprintf(stderr, "sfu-load: %s: %s (see --help)\n", what, value);
	exit(2);
}

static uint32_t number(const char *name, const char *text, uint32_t min, uint32_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
		refuse(name, text);
	return (uint32_t)value;
}

static void read_tokens(struct load_options *o, const char *path)
{
	FILE *f = fopen(path, "re");
	char **tokens = NULL;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (f == NULL)
		refuse(path, strerror(errno));
	while ((len = getline(&line, &size, f)) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		tokens = realloc(tokens, (o->token_count + 1) * sizeof(*tokens));
		if (tokens == NULL)
			abort();
		tokens[o->token_count++] = strdup(line);
	}
	free(line);
	fclose(f);
	if (o->token_count == 0)
		refuse(path, "no tokens");
	o->tokens = (const char *const *)tokens;
}

static void read_option(struct load_options *o, int option, const char *value)
{
	switch ((enum option_id)option) {
	case OPT_PORT:
		o->port = (uint16_t)number("--port", value, 1, 65535);
		break;
	case OPT_PID:
		o->pid = (pid_t)number("--pid", value, 1, INT32_MAX);
		break;
	case OPT_CLIENTS:
		o->clients = number("--clients", value, 1, 1000000);
		break;
	case OPT_SECONDS:
		o->seconds = (double)number("--seconds", value, 1, 86400);
		break;
	case OPT_RATE:
		o->rate = number("--rate", value, 0, 10000000);
		break;
	case OPT_PARALLEL:
		o->parallel = number("--parallel", value, 1, 100000);
		break;
	case OPT_ROOM_SIZE:
		o->room_size = number("--room-size", value, 1, 10000);
		break;
	case OPT_WINDOW:
		o->window = number("--window", value, 1, LOAD_WINDOW);
		break;
	case OPT_READERS:
		o->readers = number("--readers", value, 0, 1000000);
		break;
	case OPT_LORIS:
		o->loris = number("--loris", value, 0, 1000000);
		break;
	case OPT_CONNECTED_FIRST:
		o->connected_first = true;
		break;
	case OPT_TOKENS:
		read_tokens(o, value);
		break;
	case OPT_HELP:
		fputs(usage_text, stdout);
		exit(0);
	default:
		exit(2); // getopt said why
	}
}

static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct load_options o = {.clients = 100,
		.parallel = 32,
		.room_size = 4,
		.window = 1,
		.readers = 1000,
		.loris = 2000,
		.seconds = 5};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		read_option(&o, option, optarg);
	if (o.port == 0 || o.pid == 0 || optind != argc - 1) {
		fputs(usage_text, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(scenarios[i].name, argv[optind]) == 0)
			return scenarios[i].run(&o) ? 0 : 1;
	}
	refuse("no such scenario", argv[optind]);
}
