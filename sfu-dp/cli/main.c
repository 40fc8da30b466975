// SPDX-License-Identifier: BSD-3-Clause
/**
 * dp-cli: asks a running sfu-dp and prints tables or JSON. A client of the inspection socket that
 * anyone may write; knows nothing of sfu-dp but the JSON it gets.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/cli/table.h"

#define SOCKET_DEFAULT "/run/sfu/dp-cli.sock"
/** A new process has its EAL up and its tables made by then. */
#define HAND_OVER_MS 30000u

/** A process may end while we ask it: no error while another one is expected. */
static bool waiting;

static void usage(FILE *out)
{
	fprintf(out, "usage: dp-cli [--socket PATH] [--json] show NOUN\n"
		     "       dp-cli [--socket PATH] watch NOUN [SECONDS]\n"
		     "       dp-cli [--socket PATH] handover     a new process takes over\n\n"
		     "The socket is SFU_DP_CLI of the environment, else " SOCKET_DEFAULT ".\n\n");
	table_help(out);
}

/** The whole answer, NUL terminated; NULL with the reason on stderr. The caller frees it. */
static char *ask(const char *path, const char *verb, const char *noun)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 5};
	size_t len = 0, cap = 65536;
	char *answer = NULL, request[64];
	int fd, n;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "dp-cli: %s: too long for a socket\n", path);
		return NULL;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		fprintf(stderr,
			"dp-cli: cannot reach sfu-dp at %s: %s; is it running, and is this its "
			"SFU_DP_CLI?\n",
			path, strerror(errno));
		goto out;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = snprintf(request, sizeof(request), "%s%s%s\n", verb, *noun ? " " : "", noun);
	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
		fprintf(stderr, "dp-cli: %s\n", strerror(errno));
		goto out;
	}
	answer = malloc(cap);
	while (answer) {
		ssize_t got = recv(fd, answer + len, cap - len - 1, 0);

		if (got == 0)
			break;
		if (got < 0) {
			if (!waiting)
				fprintf(stderr, "dp-cli: no answer from %s: %s\n", path,
					strerror(errno));
			free(answer);
			answer = NULL;
			break;
		}
		len += (size_t)got;
		if (cap - len < 4096) {
			char *more = realloc(answer, cap *= 2);

			if (!more)
				free(answer);
			answer = more;
		}
	}
	if (answer)
		answer[len] = 0;
out:
	if (fd >= 0)
		close(fd);
	return answer;
}

static int show(const char *path, const char *noun, bool as_json)
{
	struct json_object *o;
	struct json_object *error;
	char *text = ask(path, "show", noun);
	int rc = 0;

	if (!text)
		return 1;
	o = json_tokener_parse(text);
	if (!o) {
		fprintf(stderr, "dp-cli: the answer is not JSON\n");
		free(text);
		return 1;
	}
	if (json_object_is_type(o, json_type_object)
		&& json_object_object_get_ex(o, "error", &error)) {
		if (as_json)
			fputs(text, stdout);
		else
			fprintf(stderr, "dp-cli: %s\n", json_object_get_string(error));
		rc = 1;
	} else if (as_json) {
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	} else {
		table_print(stdout, noun, o);
	}
	json_object_put(o);
	free(text);
	return rc;
}

static bool reachable(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is = false;

	if (fd >= 0 && strlen(path) < sizeof(sa.sun_path)) {
		strcpy(sa.sun_path, path);
		is = !connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	}
	if (fd >= 0)
		close(fd);
	return is;
}

/** Which process forwards; 0 = none answers. */
static int process_id(const char *path)
{
	char *text = ask(path, "show", "link");
	struct json_object *o = text ? json_tokener_parse(text) : NULL, *pid;
	int id = o && json_object_object_get_ex(o, "process", &pid) ? json_object_get_int(pid) : 0;

	json_object_put(o);
	free(text);
	return id;
}

/** Ask for it, and wait until another process forwards. */
static int hand_over(const char *path)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int before = process_id(path), now = before;
	char *text = before ? ask(path, "handover", "") : NULL;
	struct json_object *o = text ? json_tokener_parse(text) : NULL, *error;

	free(text);
	if (!o)
		return 1;
	if (json_object_object_get_ex(o, "error", &error)) {
		fprintf(stderr, "dp-cli: %s\n", json_object_get_string(error));
		json_object_put(o);
		return 1;
	}
	json_object_put(o);
	waiting = true;
	for (unsigned i = 0; i < HAND_OVER_MS / 20 && now == before; i++) {
		nanosleep(&pause, NULL);
		// For a moment nobody listens.
		now = reachable(path) ? process_id(path) : before;
		if (!now)
			now = before;
	}
	if (now == before) {
		fprintf(stderr, "dp-cli: the old process still forwards; sfu-dp's log says why\n");
		return 1;
	}
	printf("process %d took over from %d\n", now, before);
	return 0;
}

static int watch(const char *path, const char *noun, const char *seconds)
{
	char *end;
	double every = seconds ? strtod(seconds, &end) : 1;
	struct timespec pause;

	if ((seconds && *end) || !(every >= 0.1 && every <= 3600)) { // Not a number is neither.
		fprintf(stderr, "dp-cli: watch: seconds are a number from 0.1 to 3600\n");
		return 2;
	}
	pause.tv_sec = (time_t)every;
	pause.tv_nsec = (long)((every - (double)pause.tv_sec) * 1e9);
	for (;;) {
		int rc;

		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		rc = show(path, noun, false);
		if (rc || fflush(stdout))
			return rc;
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	const char *path = getenv("SFU_DP_CLI");
	bool as_json = false;
	const char *word[4] = {NULL};
	int words = 0;

	if (!path || !*path)
		path = SOCKET_DEFAULT;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			as_json = true;
		} else if (!strcmp(argv[i], "--socket") && i + 1 < argc) {
			path = argv[++i];
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			usage(stdout);
			return 0;
		} else if (words < 3 && argv[i][0] != '-') {
			word[words++] = argv[i];
		} else {
			usage(stderr);
			return 2;
		}
	}
	if (words >= 2 && !table_knows(word[1])) {
		fprintf(stderr, "dp-cli: %s: no such noun\n\n", word[1]);
		usage(stderr);
		return 2;
	}
	if (words == 1 && !strcmp(word[0], "handover") && !as_json)
		return hand_over(path);
	if (words == 2 && !strcmp(word[0], "show"))
		return show(path, word[1], as_json);
	if ((words == 2 || words == 3) && !strcmp(word[0], "watch") && !as_json)
		return watch(path, word[1], word[2]);
	usage(stderr);
	return 2;
}
