// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/** Of a configuration file, with its end and NUL. */
#define LINE_BYTES 1024u

enum setting_type {
	SETTING_TEXT, /* min 1: must not be empty */
	SETTING_NUMBER, /* decimal, min to max */
	SETTING_CHOICE, /* allowed holds the words, separated by | */
};

struct setting {
	const char *key;
	const char *group;
	enum setting_type type;
	size_t offset;
	const char *fallback;
	uint32_t min, max;
	const char *allowed;
	const char *help;
};

#define FIELD(name) offsetof(struct config, name)

static const struct setting settings[] = {
	{"SFU_DP_DEVICE", "must set", SETTING_TEXT, FIELD(device), "net_af_packet0,iface=sfu-dp0",
		1, 0, "memif… or a DPDK vdev with its arguments, or a PCI address",
		"the port: net_af_packet0,iface=NAME, net_tap0,iface=NAME, memif0,socket=PATH, "
		"0000:01:00.0, …"},
	{"SFU_DP_ADDRESS", "must set", SETTING_TEXT, FIELD(address), "198.18.99.2", 1, 0,
		"up to 4 IPv4 and IPv6 addresses, comma separated",
		"the addresses that sfu-dp answers for on this port"},
	{"SFU_ANNOUNCED_IP", "must set", SETTING_TEXT, FIELD(announced), "", 0, 0,
		"up to 4 addresses, best first, comma separated; empty = SFU_DP_ADDRESS",
		"the addresses that clients are told, when a NAT stands in front"},
	{"SFU_RTC_MIN_PORT", "may tune", SETTING_NUMBER, FIELD(media_port), "40000", 1, 65535, NULL,
		"the UDP port of all transports"},
	{"SFU_LINK", "may tune", SETTING_TEXT, FIELD(link), "/run/sfu/link.sock", 1, 0, "a path",
		"Unix socket on which sfu-ctl attaches"},
	{"SFU_LINK_GROUP", "may tune", SETTING_TEXT, FIELD(link_group), "", 0, 0, "a group name",
		"group that may attach besides our own user; empty = none"},
	{"SFU_DP_CLI", "may tune", SETTING_TEXT, FIELD(cli), "/run/sfu/dp-cli.sock", 1, 0, "a path",
		"Unix socket on which dp-cli asks"},
	{"SFU_DP_WORKERS", "may tune", SETTING_NUMBER, FIELD(workers), "1", 1, 15, NULL,
		"packet workers, one thread each"},
	{"SFU_DP_POLLING", "may tune", SETTING_CHOICE, FIELD(polling), "adaptive", 0, 0,
		"adaptive|busy", "adaptive sleeps when idle; busy never does (appliance)"},
	{"SFU_DP_TURN_CLOCK", "leave alone", SETTING_CHOICE, FIELD(turn_clock), "cycles", 0, 0,
		"cycles|processor",
		"what the longest turn of a worker is measured by; processor time costs a system "
		"call per turn"},
	{"SFU_DP_HUGEPAGES", "may tune", SETTING_CHOICE, FIELD(hugepages), "auto", 0, 0,
		"auto|on|off", "auto uses hugepages when enough are free"},
	{"SFU_DP_MEMORY_MB", "may tune", SETTING_NUMBER, FIELD(memory_mb), "256", 128, 1048576,
		NULL, "memory for packet buffers and DPDK tables"},
	{"SFU_DP_ENGINE", "may tune", SETTING_TEXT, FIELD(engine), "auto", 1, 0,
		"auto or the name of an SRTP engine of this build", "SRTP cipher engine"},
	{"SFU_DP_LCORES", "may tune", SETTING_TEXT, FIELD(lcores), "", 0, 0,
		"an EAL --lcores map with lcore 0 (housekeeping) and one per worker",
		"which processors; empty = all threads float over all of them"},
	{"SFU_DP_LOG_LEVEL", "may tune", SETTING_CHOICE, FIELD(log_level), "info", 0, 0,
		"error|warn|info|debug", "least severe level that is logged"},
	{"SFU_DP_CONSENT_SEC", "may tune", SETTING_NUMBER, FIELD(consent_sec), "30", 2, 120, NULL,
		"so long without an authenticated ICE check, and a transport is closed"},
	{"SFU_DP_STANDBY", "may tune", SETTING_CHOICE, FIELD(standby), "off", 0, 0, "on|off",
		"on: a second process waits, ready but for the port; twice the memory"},
	{"SFU_DP_MBUFS", "leave alone", SETTING_NUMBER, FIELD(mbufs), "16383", 2047, 16777215, NULL,
		"packet buffers in the pool (best: a power of two less one)"},
	{"SFU_DP_HISTORY_PACKETS", "leave alone", SETTING_NUMBER, FIELD(history_packets), "0", 0,
		16777215, NULL,
		"packets kept for retransmission, all workers together; 0 = half of SFU_DP_MBUFS"},
	{"SFU_DP_HISTORY_MS", "leave alone", SETTING_NUMBER, FIELD(history_ms), "1000", 100, 5000,
		NULL, "how long they are kept"},
	{"SFU_DP_MAX_ROOMS", "leave alone", SETTING_NUMBER, FIELD(max_rooms), "4096", 1, 1048576,
		NULL, "rooms, sized at start"},
	{"SFU_DP_MAX_PEERS", "leave alone", SETTING_NUMBER, FIELD(max_peers), "16384", 1, 1048576,
		NULL, "peers, sized at start"},
	{"SFU_DP_MAX_TRANSPORTS", "leave alone", SETTING_NUMBER, FIELD(max_transports), "4096", 1,
		1048576, NULL, "transports, sized at start"},
	{"SFU_DP_MAX_PRODUCERS", "leave alone", SETTING_NUMBER, FIELD(max_producers), "4096", 1,
		1048576, NULL, "producers, sized at start"},
	{"SFU_DP_MAX_CONSUMERS", "leave alone", SETTING_NUMBER, FIELD(max_consumers), "32768", 1,
		1048576, NULL, "consumers, sized at start"},
	{"SFU_DP_EAL", "leave alone", SETTING_TEXT, FIELD(eal), "", 0, 0,
		"EAL arguments, separated by blanks", "appended to the EAL's command line"},
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

static const struct setting *setting_find(const char *key, size_t len)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (strlen(settings[i].key) == len && !strncmp(settings[i].key, key, len))
			return &settings[i];
	}
	return NULL;
}

static bool choice_allowed(const char *allowed, const char *value)
{
	size_t len = strlen(value);

	while (*allowed) {
		size_t word = strcspn(allowed, "|");

		if (word == len && !strncmp(allowed, value, len))
			return true;
		allowed += word;
		allowed += *allowed == '|';
	}
	return false;
}

/** One line of what is wrong; values come from outside and end on a terminal. Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) static int refuse(FILE *err, const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	for (char *p = line; *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = '?';
	}
	fprintf(err, "sfu-dp: %s\n", line);
	return -EINVAL;
}

static int setting_set(
	struct config *c, const struct setting *s, const char *value, const char *where, FILE *err)
{
	void *field = (char *)c + s->offset;
	unsigned long number;
	char *end;

	switch (s->type) {
	case SETTING_NUMBER:
		errno = 0;
		number = strtoul(value, &end, 10);
		if (errno || *end || !isdigit((unsigned char)*value) || number < s->min
			|| number > s->max)
			return refuse(err, "%s: %s = \"%.200s\": a number from %u to %u is allowed",
				where, s->key, value, s->min, s->max);
		*(uint32_t *)field = (uint32_t)number;
		return 0;
	case SETTING_CHOICE:
		if (!choice_allowed(s->allowed, value))
			return refuse(err, "%s: %s = \"%.200s\": one of %s is allowed", where,
				s->key, value, s->allowed);
		break;
	case SETTING_TEXT:
		break;
	}
	if (strlen(value) < s->min)
		return refuse(
			err, "%s: %s must not be empty: %s is allowed", where, s->key, s->allowed);
	if (strlen(value) >= CONFIG_TEXT_BYTES)
		return refuse(err, "%s: %s: at most %u characters are allowed", where, s->key,
			CONFIG_TEXT_BYTES - 1);
	strcpy(field, value);
	return 0;
}

/** Cut blanks at both ends of a text, in place. */
static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	return text;
}

static int line_load(struct config *c, char *line, const char *where, FILE *err)
{
	const struct setting *s;
	char *key = trim(line), *value;

	if (!*key || *key == '#')
		return 0;
	value = strchr(key, '=');
	if (!value)
		return refuse(err, "%s: a line is \"KEY = value\" or begins with #", where);
	*value++ = 0;
	key = trim(key);
	s = setting_find(key, strlen(key));
	if (!s)
		return refuse(err, "%s: %.200s is no setting; see sfu-dp --help", where, key);
	return setting_set(c, s, trim(value), where, err);
}

static int file_load(struct config *c, const char *path, FILE *err)
{
	char line[LINE_BYTES], where[CONFIG_TEXT_BYTES + 32];
	unsigned number = 0;
	int rc = 0;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return refuse(err, "cannot read %.200s: %s", path, strerror(errno));
	while (!rc && fgets(line, sizeof(line), f)) {
		snprintf(where, sizeof(where), "%.200s:%u", path, ++number);
		// Without its end it was cut, or holds a NUL; the last line of a file may lack it.
		if (!strchr(line, '\n') && !feof(f))
			rc = refuse(err, "%s: the line is longer than %u octets, or binary", where,
				LINE_BYTES - 2);
		else
			rc = line_load(c, line, where, err);
	}
	// A directory opens, but does not read.
	if (!rc && ferror(f))
		rc = refuse(err, "cannot read %.200s: %s", path, strerror(errno));
	fclose(f);
	return rc;
}

static void help_print(FILE *out)
{
	const char *group = "";

	fprintf(out,
		"usage: sfu-dp [--config FILE] [--set KEY=VALUE]… [--help]\n\n"
		"The data plane: moves the packets. Settings come from the command line, then the\n"
		"environment, then the file (lines \"KEY = value\"), then the default.\n");
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(group, s->group)) {
			group = s->group;
			fprintf(out, "\n%s\n", group);
		}
		fprintf(out, "  %-22s %s\n", s->key, s->help);
		if (s->type == SETTING_NUMBER)
			fprintf(out, "  %-22s %u to %u, default %s\n", "", s->min, s->max,
				s->fallback);
		else
			fprintf(out, "  %-22s %s, default %s\n", "", s->allowed,
				*s->fallback ? s->fallback : "empty");
	}
}

static int defaults_load(struct config *c, FILE *err)
{
	int rc = 0;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; !rc && i < SETTING_COUNT; i++)
		rc = setting_set(c, &settings[i], settings[i].fallback, "default", err);
	return rc;
}

static int environment_load(struct config *c, FILE *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < SETTING_COUNT; i++) {
		const char *value = getenv(settings[i].key);

		if (value)
			rc = setting_set(c, &settings[i], value, "environment", err);
	}
	return rc;
}

/** The argument of --set. */
static int argument_load(struct config *c, const char *text, FILE *err)
{
	const char *value = strchr(text, '=');
	const struct setting *s = value ? setting_find(text, (size_t)(value - text)) : NULL;

	if (!s)
		return refuse(
			err, "--set %.200s: no KEY=VALUE of a setting; see sfu-dp --help", text);
	return setting_set(c, s, value + 1, "command line", err);
}

/** Every argument is known and has its value; finds --config and --help. */
static int arguments_check(int argc, char **argv, const char **file, bool *help, FILE *err)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			*help = true;
			return 0;
		}
		if ((!strcmp(argv[i], "--config") || !strcmp(argv[i], "--set")) && i + 1 < argc) {
			if (!strcmp(argv[i++], "--config"))
				*file = argv[i];
		}
	}
	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--config") && strcmp(argv[i], "--set"))
			return refuse(
				err, "\"%.200s\": unknown argument; see sfu-dp --help", argv[i]);
		if (i + 1 == argc)
			return refuse(err, "%s needs a value; see sfu-dp --help", argv[i]);
	}
	return 0;
}

int config_load(struct config *c, int argc, char **argv, FILE *out, FILE *err)
{
	const char *file = getenv("SFU_DP_CONFIG");
	bool help = false;
	int rc;

	rc = defaults_load(c, err);
	if (!rc)
		rc = arguments_check(argc, argv, &file, &help, err);
	if (!rc && help) {
		help_print(out);
		return 1;
	}
	if (!rc && file)
		rc = file_load(c, file, err);
	if (!rc)
		rc = environment_load(c, err);
	for (int i = 1; !rc && i < argc; i += 2) {
		if (!strcmp(argv[i], "--set"))
			rc = argument_load(c, argv[i + 1], err);
	}
	return rc;
}

void config_each(const struct config *c,
	void (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
	char number[16];

	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];
		const void *field = (const char *)c + s->offset;

		if (s->type == SETTING_NUMBER) {
			snprintf(number, sizeof(number), "%u", *(const uint32_t *)field);
			each(ctx, s->key, number);
		} else {
			each(ctx, s->key, field);
		}
	}
}
