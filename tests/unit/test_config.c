// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/config.h"
#include "sfu-ctl/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_STRINGS 8

static struct config config;
static struct config_report report;

/** Load from a NULL-terminated environment and command line (without argv[0]). */
static enum config_status load(const char *const *env, const char *const *line)
{
	const char *argv[MAX_STRINGS + 1] = {"sfu-ctl"};
	int argc = 1;

	config_fini(&config);
	assert_int_equal(config_init(&config), 0);
	for (; line != NULL && *line != NULL; line++)
		argv[argc++] = *line;
	return config_load(&config, argc, (char *const *)(uintptr_t)argv,
		(char *const *)(uintptr_t)env, &report);
}

#define STRINGS(...) ((const char *[MAX_STRINGS]){__VA_ARGS__})
#define ENV(...) load(STRINGS(__VA_ARGS__), NULL)
#define LINE(...) load(NULL, STRINGS(__VA_ARGS__))

/** A file with this text; the name is valid until the next call. */
static char *file_with(const char *text)
{
	static char name[64];
	size_t len = strlen(text);
	int fd;

	strcpy(name, "/tmp/sfu-test-config-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	return name;
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_int_equal(config.port, 8888);
	assert_string_equal(config.region, "tr");
	assert_string_equal(config.node_id, "local-sfu-1");
	assert_true(config.e2ee_required);
	assert_false(config.require_sframe);
	assert_int_equal(config.heartbeat_sec, 10);
	assert_false(config.enable_dp);
	assert_false(config.require_dp);
	assert_false(config.dev_auth);
	assert_false(config.production);
	assert_int_equal(config.rtc_min_port, 40000);
	assert_int_equal(config.rtc_max_port, 49999);
	assert_false(config.rtc_min_port_set);
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	assert_string_equal(config.supabase_url, "");
	assert_string_equal(config.codecs, "opus,VP9,VP8");
	assert_int_equal(config.e2ee_grace_ms, 20000);
	assert_int_equal(config.max_frame_bytes, 256 * 1024);
	assert_int_equal(config.max_participants, 50);
	assert_int_equal(config.auth_deadline_sec, 30);
	assert_true(config.relay_echo);
	assert_true(config.replay_producers);
	assert_false(config.relay_seq_sender);
	assert_false(config.committer_ready);
	assert_int_equal(report.warnings, 0);
}

/** protocol.md A11: which texts switch what. */
static void test_reference_booleans(void **state)
{
	static const struct {
		const char *setting;
		size_t offset;
		bool expected;
		unsigned warnings;
	} rows[] = {
		{"SFU_E2EE_REQUIRED=0", offsetof(struct config, e2ee_required), false, 0},
		{"SFU_E2EE_REQUIRED=false", offsetof(struct config, e2ee_required), false, 0},
		{"SFU_E2EE_REQUIRED=OFF", offsetof(struct config, e2ee_required), false, 0},
		{"SFU_E2EE_REQUIRED=1", offsetof(struct config, e2ee_required), true, 0},
		{"SFU_E2EE_REQUIRED=", offsetof(struct config, e2ee_required), true, 0},
		{"SFU_E2EE_REQUIRED=00", offsetof(struct config, e2ee_required), true, 1},
		{"SFU_E2EE_REQUIRED= 0", offsetof(struct config, e2ee_required), true, 1},
		{"SFU_E2EE_REQUIRED=no", offsetof(struct config, e2ee_required), true, 1},
		{"E2EE_REQUIRED_DEFAULT=0", offsetof(struct config, e2ee_required), false, 0},
		{"SFU_REQUIRE_SFRAME=1", offsetof(struct config, require_sframe), true, 0},
		{"SFU_REQUIRE_SFRAME=On", offsetof(struct config, require_sframe), true, 0},
		{"SFU_REQUIRE_SFRAME=2", offsetof(struct config, require_sframe), false, 1},
		{"SFU_ENABLE_DP=1", offsetof(struct config, enable_dp), true, 0},
		{"SFU_ENABLE_MEDIASOUP=1", offsetof(struct config, enable_dp), true, 0},
		{"SFU_ENABLE_MEDIASOUP=yes", offsetof(struct config, enable_dp), false, 1},
		{"CALLS_DEV_INSECURE_AUTH=1", offsetof(struct config, dev_auth), true, 0},
		{"CALLS_DEV_INSECURE_AUTH=true", offsetof(struct config, dev_auth), false, 1},
		{"SFU_REQUIRE_DP=1", offsetof(struct config, require_dp), false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool value;

		print_message("%s\n", rows[i].setting);
		assert_int_equal(ENV(rows[i].setting), CONFIG_OK);
		memcpy(&value, (const char *)&config + rows[i].offset, sizeof(value));
		assert_int_equal(value, rows[i].expected);
		assert_int_equal(report.warnings, rows[i].warnings);
	}
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(ENV("SFU_HEARTBEAT_SEC=1", "SFU_PORT=65535"), CONFIG_OK);
	assert_int_equal(config.heartbeat_sec, 5);
	assert_int_equal(config.port, 65535);
	assert_int_equal(ENV("SFU_RTC_MIN_PORT=40000"), CONFIG_OK);
	assert_true(config.rtc_min_port_set);
	assert_int_equal(ENV("SFU_PORT="), CONFIG_OK);
	assert_int_equal(config.port, 8888);
}

/** Every refusal names the key, the value and what is allowed. */
static void test_bad_values(void **state)
{
	static const struct {
		const char *setting, *key, *value, *allowed;
	} rows[] = {
		{"SFU_PORT=0", "SFU_PORT", "\"0\"", "1 to 65535"},
		{"SFU_PORT=65536", "SFU_PORT", "\"65536\"", "1 to 65535"},
		{"SFU_PORT=80a", "SFU_PORT", "\"80a\"", "1 to 65535"},
		{"SFU_PORT=-1", "SFU_PORT", "\"-1\"", "1 to 65535"},
		{"SFU_PORT= 80", "SFU_PORT", "\" 80\"", "1 to 65535"},
		{"SFU_PORT=99999999999999999999", "SFU_PORT", "9999", "1 to 65535"},
		{"SFU_LISTEN=localhost", "SFU_LISTEN", "\"localhost\"", "address"},
		{"SFU_ANNOUNCED_IP=1.2.3", "SFU_ANNOUNCED_IP", "\"1.2.3\"", "address"},
		{"SFU_CODECS=opus,VP7", "SFU_CODECS", "\"opus,VP7\"", "AV1"},
		{"SFU_CODECS=opus,opus", "SFU_CODECS", "\"opus,opus\"", "once"},
		{"SFU_CODECS=opus,", "SFU_CODECS", "\"opus,\"", "AV1"},
		{"SFU_RELAY_ECHO=maybe", "SFU_RELAY_ECHO", "\"maybe\"", "1, true"},
		{"SFU_RELAY_SEQ=on", "SFU_RELAY_SEQ", "\"on\"", "none, sender"},
		{"SFU_LOG_LEVEL=loud", "SFU_LOG_LEVEL", "\"loud\"", "warn"},
		{"SUPABASE_URL=ftp://x", "SUPABASE_URL", "\"ftp://x\"", "https://"},
		{"SUPABASE_URL=http://", "SUPABASE_URL", "\"http://\"", "https://"},
		{"SFU_TLS_CERT=/x", "SFU_TLS_KEY", "/x", "PEM"},
		{"SFU_NODE_ID=a\nb", "SFU_NODE_ID", "control character", "allowed"},
		{"SFU_RTC_MIN_PORT=50000", "SFU_RTC_MIN_PORT", "50000", "49999"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].setting);
		assert_int_equal(ENV(rows[i].setting), CONFIG_INVALID);
		assert_non_null(strstr(report.error, rows[i].key));
		assert_non_null(strstr(report.error, rows[i].value));
		assert_non_null(strstr(report.error, rows[i].allowed));
		assert_null(strchr(report.error, '\n'));
	}
}

static void test_aliases(void **state)
{
	(void)state;
	assert_int_equal(ENV("VITE_SUPABASE_URL=http://b", "SUPABASE_URL=http://a/"), CONFIG_OK);
	assert_string_equal(config.supabase_url, "http://a");
	assert_int_equal(ENV("VITE_SUPABASE_URL=http://b"), CONFIG_OK);
	assert_string_equal(config.supabase_url, "http://b");
	assert_int_equal(ENV("VITE_SUPABASE_ANON_KEY=d", "SUPABASE_ANON_KEY=b"), CONFIG_OK);
	assert_string_equal(config.supabase_key, "b");
	// The first that is set wins, even if it is empty.
	assert_int_equal(ENV("SUPABASE_ANON_KEY=b", "SUPABASE_PUBLISHABLE_KEY="), CONFIG_OK);
	assert_string_equal(config.supabase_key, "");
	assert_int_equal(ENV("SFU_MEDIASOUP_LOG_LEVEL=debug"), CONFIG_OK);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
}

static void test_precedence(void **state)
{
	char *name = file_with("# a comment\n\nSFU_REGION = file\n SFU_NODE_ID=\"file node\" \n"
			       "SFU_PORT = 1000\n");

	(void)state;
	assert_int_equal(load(STRINGS("SFU_REGION=env", "SFU_PORT=2000", "HOME=/x"),
				 STRINGS("--config", name, "--set", "SFU_PORT=3000")),
		CONFIG_OK);
	assert_string_equal(config.node_id, "file node");
	assert_string_equal(config.region, "env");
	assert_int_equal(config.port, 3000);
	assert_int_equal(load(STRINGS("SFU_PORT=2000"), STRINGS("--sfu-port=4000")), CONFIG_OK);
	assert_int_equal(config.port, 4000);
	// An alias on the command line is above the name in the environment.
	assert_int_equal(
		load(STRINGS("SFU_ENABLE_DP=0"), STRINGS("--sfu-enable-mediasoup=1")), CONFIG_OK);
	assert_true(config.enable_dp);
	unlink(name);
}

static void test_turn(void **state)
{
	static const char *const bad[] = {"TURN_URLS=http://turn.example",
		"TURN_URLS=turn:", "TURN_URLS=turn://turn.example", "TURN_URLS=turn:a,",
		"TURN_URLS=turn:a b", "TURN_TTL_SEC=59"};

	(void)state;
	assert_int_equal(ENV("TURN_URLS=turn:a.example:3478?transport=udp,turns:b.example,stun:c"),
		CONFIG_OK);
	assert_string_equal(
		config.turn_urls, "turn:a.example:3478?transport=udp,turns:b.example,stun:c");
	assert_int_equal(config.turn_ttl_sec, 3600);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ENV(bad[i]), CONFIG_INVALID);
}

static void test_log_modules(void **state)
{
	static const char seventeen[]
		= "SFU_LOG_MODULES=a=info,b=info,c=info,d=info,e=info,f=info,g=info,h=info,i=info,"
		  "j=info,k=info,l=info,m=info,n=info,o=info,p=info,q=info";
	const char *const bad[] = {"SFU_LOG_MODULES=session", "SFU_LOG_MODULES=session=loud",
		"SFU_LOG_MODULES==debug", "SFU_LOG_MODULES=a=info,,b=info",
		"SFU_LOG_MODULES=a_name_longer_than_any_of_ours=info", seventeen};

	(void)state;
	assert_int_equal(ENV("SFU_LOG_MODULES=session=debug,ws=none"), CONFIG_OK);
	assert_string_equal(config.log_modules, "session=debug,ws=none");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ENV(bad[i]), CONFIG_INVALID);

	log_set_level(LOG_LEVEL_WARN);
	assert_false(log_enabled(LOG_LEVEL_INFO));
	assert_true(log_set_modules("session=debug,ws=none"));
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	assert_false(log_set_modules("session"));
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	assert_true(log_set_modules(""));
	assert_false(log_enabled(LOG_LEVEL_INFO));
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text, *named;
	} rows[] = {
		{"SFU_PROT = 1\n", "SFU_PROT"},
		{"SFU_REGION = x\nnonsense\n", ":2:"},
		{"= 5\n", "unknown key"},
		{"SFU_PORT = x\n", "configuration file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *name = file_with(rows[i].text);

		assert_int_equal(LINE("--config", name), CONFIG_INVALID);
		print_message("%s\n", report.error);
		assert_non_null(strstr(report.error, rows[i].named));
		unlink(name);
	}
	{
		static const char binary[] = "SFU_REGION = x\0y\nSFU_PORT = 1\n";
		char *name = file_with("");
		FILE *file = fopen(name, "w");

		assert_non_null(file);
		fwrite(binary, 1, sizeof(binary) - 1, file);
		fclose(file);
		assert_int_equal(LINE("--config", name), CONFIG_INVALID);
		assert_non_null(strstr(report.error, ":1: line too long"));
		unlink(name);
	}
	assert_int_equal(LINE("--config", "/nonexistent"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "/nonexistent"));
}

static void test_secret_file(void **state)
{
	char setting[128];
	char *name = file_with("s3cret\nsecond line\n");

	(void)state;
	snprintf(setting, sizeof(setting), "SUPABASE_ANON_KEY_FILE=%s", name);
	assert_int_equal(ENV(setting), CONFIG_OK);
	assert_string_equal(config.supabase_key, "s3cret");
	unlink(name);
	assert_int_equal(ENV(setting), CONFIG_INVALID);
	assert_non_null(strstr(report.error, name));
	// Only secrets can be given so.
	assert_int_equal(LINE("--set", "SFU_REGION_FILE=/etc/hostname"), CONFIG_INVALID);
}

static void test_production(void **state)
{
#define SERVER "SUPABASE_URL=http://a", "SUPABASE_ANON_KEY=k"
	(void)state;
	assert_int_equal(ENV("NODE_ENV=production"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SUPABASE_URL"));
	assert_int_equal(ENV("NODE_ENV=production", "SUPABASE_URL=http://a"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SUPABASE_PUBLISHABLE_KEY"));
	assert_int_equal(ENV("NODE_ENV=production", SERVER), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SFU_ENABLE_DP"));

	assert_int_equal(ENV("NODE_ENV=production", SERVER, "SFU_ENABLE_DP=1"), CONFIG_OK);
	assert_true(config.require_dp);
	assert_int_equal(ENV("NODE_ENV=production", SERVER, "SFU_REQUIRE_MEDIASOUP=0",
				 "CALLS_DEV_INSECURE_AUTH=1"),
		CONFIG_OK);
	assert_false(config.require_dp);
	assert_false(config.dev_auth);
	assert_int_equal(report.warnings, 1);

	assert_int_equal(ENV("ENV=prod", SERVER, "SFU_REQUIRE_DP=0", "CALLS_DEV_INSECURE_AUTH=1"),
		CONFIG_INVALID);
	assert_int_equal(ENV("NODE_ENV=Production"), CONFIG_OK);
	assert_false(config.production);
	assert_int_equal(
		ENV("ENV=Production", SERVER, "SFU_REQUIRE_DP=0", "SFU_STRICT_PROD=1"), CONFIG_OK);
	assert_true(config.production);
	assert_true(config.require_sframe);
#undef SERVER
}

static void test_command_line(void **state)
{
	(void)state;
	assert_int_equal(LINE("--help"), CONFIG_HELP);
	assert_int_equal(LINE("--version"), CONFIG_VERSION);
	assert_int_equal(LINE("--print-config"), CONFIG_PRINT);
	assert_int_equal(LINE("--nonsense"), CONFIG_INVALID);
	assert_int_equal(LINE("--non-sense=1"), CONFIG_INVALID);
	assert_int_equal(LINE("--set"), CONFIG_INVALID);
	assert_int_equal(LINE("--set", "SFU_PORT"), CONFIG_INVALID);
	assert_int_equal(LINE("--set", "NONSENSE=1"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "NONSENSE"));
}

/** What --print-config says is a file that gives the same configuration, without secrets. */
static void test_print(void **state)
{
	char *first = NULL, *second = NULL, *name;
	size_t len;
	FILE *out;

	(void)state;
	assert_int_equal(ENV("SFU_PORT=9", "SFU_RELAY_SEQ=sender", "SUPABASE_ANON_KEY=s3cret",
				 "SFU_LOG_LEVEL=info", "SFU_E2EE_REQUIRED=0",
				 "SFU_NODE_ID= blanks count ", "SFU_REGION=\"quoted\""),
		CONFIG_OK);
	out = open_memstream(&first, &len);
	config_print(&config, out);
	fclose(out);
	assert_null(strstr(first, "s3cret"));
	assert_non_null(strstr(first, "SFU_RELAY_SEQ = sender\n"));
	name = file_with(first);
	assert_int_equal(
		load(STRINGS("SUPABASE_ANON_KEY=s3cret"), STRINGS("--config", name)), CONFIG_OK);
	out = open_memstream(&second, &len);
	config_print(&config, out);
	fclose(out);
	assert_string_equal(first, second);
	unlink(name);
	free(first);
	free(second);
}

static enum config_status reload(char *name)
{
	char *argv[] = {(char *)(uintptr_t) "sfu-ctl", (char *)(uintptr_t) "--config", name, NULL};
	char *envp[] = {NULL};

	return config_reload(&config, 3, argv, envp, &report);
}

static void rewrite(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/** Of a new file, what may change does; of a bad one nothing. */
static void test_reload(void **state)
{
	char *name = file_with("SFU_METRICS_TOKEN = one\nSFU_REGION = tr\nSFU_LOG_LEVEL = warn\n");
	const char *region;

	(void)state;
	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_OK);
	region = config.region;
	rewrite(name, "SFU_METRICS_TOKEN = two\nSFU_REGION = ru\nSFU_LOG_LEVEL = debug\n"
		      "CALLS_MAX_PARTICIPANTS_PER_ROOM = 7\n");
	assert_int_equal(reload(name), CONFIG_OK);
	assert_string_equal(config.metrics_token, "two");
	assert_int_equal(config.log_level, 4);
	assert_int_equal(config.max_participants, 7);
	assert_int_equal(config.key_package_rate, 28);
	// Others hold a pointer to this one.
	assert_ptr_equal(config.region, region);
	assert_string_equal(config.region, "tr");
	assert_int_equal(report.warnings, 1);
	assert_non_null(strstr(report.warning[0], "SFU_REGION"));

	rewrite(name, "SFU_METRICS_TOKEN = three\nSFU_PORT = many\n");
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SFU_PORT"));
	assert_string_equal(config.metrics_token, "two");
	rewrite(name, "SFU_METRICS_TOKEN\n");
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_string_equal(config.metrics_token, "two");
	unlink(name);
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_string_equal(config.metrics_token, "two");
}

/** Found by fuzz_settings: what was printed of a URL was read as another; a NUL ended the last line. */
static void test_odd_files(void **state)
{
	char *name = file_with("SUPABASE_URL = https://auth.example//\n");
	FILE *file;

	(void)state;
	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_OK);
	assert_string_equal(config.supabase_url, "https://auth.example");
	file = fopen(name, "w");
	assert_non_null(file);
	fwrite("SFU_REGION = ru\0x", 1, 17, file);
	fclose(file);
	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_INVALID);
	assert_non_null(strstr(report.error, ":1: line too long"));
	rewrite(name, "SFU_REGION = ru");
	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_OK);
	assert_string_equal(config.region, "ru");
	unlink(name);
}

/** A pipe is good for one reading: the next neither waits for a writer nor finds no settings. */
static void test_reload_of_pipes(void **state)
{
	char name[64], *secret, text[128];

	(void)state;
	strcpy(name, file_with("SFU_METRICS_TOKEN = one\n"));
	secret = file_with("two\n");
	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_OK);
	unlink(name);
	assert_int_equal(mkfifo(name, 0600), 0);
	alarm(5);
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "a pipe cannot be read anew"));
	assert_string_equal(config.metrics_token, "one");

	unlink(name);
	snprintf(text, sizeof(text), "SFU_METRICS_TOKEN_FILE = %s\n", secret);
	rewrite(name, text);
	assert_int_equal(reload(name), CONFIG_OK);
	assert_string_equal(config.metrics_token, "two");
	unlink(secret);
	assert_int_equal(mkfifo(secret, 0600), 0);
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SFU_METRICS_TOKEN_FILE: cannot read"));
	assert_string_equal(config.metrics_token, "two");
	alarm(0);
	unlink(secret);
	unlink(name);
}

/** Other nodes: the list is looked at, the error names the entry, and numbers follow from it. */
static void test_regions(void **state)
{
	char *name = file_with("SFU_REGIONS = tr=wss://a/ws\nSFU_REGION_CHECK_MS = 500\n");

	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_string_equal(config.regions, "");
	assert_int_equal(config.numbering, NUMBERING_FRESH);
	assert_int_equal(ENV("SFU_REGIONS=tr=wss://a/ws,ru=wss://b/ws"), CONFIG_OK);
	assert_string_equal(config.regions, "tr=wss://a/ws,ru=wss://b/ws");
	assert_int_equal(config.numbering, NUMBERING_CLOCK);
	assert_int_equal(ENV("SFU_REGIONS=tr=wss://a/ws", "SFU_NUMBERING=fresh"), CONFIG_OK);
	assert_int_equal(config.numbering, NUMBERING_FRESH);
	assert_int_equal(ENV("SFU_NUMBERING=clock"), CONFIG_OK);
	assert_int_equal(config.numbering, NUMBERING_CLOCK);
	assert_int_equal(ENV("SFU_REGIONS=tr=wss://a/ws,ru=https://b/ws"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SFU_REGIONS: entry 2 has a URL that is not ws://"));
	assert_int_equal(ENV("SFU_REGION_CHECK_MS=99"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_DRAIN_DEADLINE_SEC=0"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_DRAIN_DEADLINE_SEC=86401"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_MAX_PEERS=1000001"), CONFIG_INVALID);

	assert_int_equal(load(STRINGS(NULL), STRINGS("--config", name)), CONFIG_OK);
	rewrite(name,
		"SFU_REGIONS = ru=wss://b/ws\nSFU_MAX_PEERS = 7\nSFU_DRAIN_DEADLINE_SEC = 9\n");
	assert_int_equal(reload(name), CONFIG_OK);
	assert_int_equal(report.warnings, 0);
	assert_string_equal(config.regions, "ru=wss://b/ws");
	assert_int_equal(config.region_check_ms, 1000);
	assert_int_equal(config.max_peers, 7);
	assert_int_equal(config.drain_deadline_sec, 9);
	rewrite(name, "SFU_REGIONS = ru\n");
	assert_int_equal(reload(name), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "entry 1 is not of the form region=url"));
	assert_string_equal(config.regions, "ru=wss://b/ws");
	unlink(name);
}

/** How tokens are checked, and what production needs for it. */
static void test_auth(void **state)
{
	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_int_equal(config.auth_mode, 0);
	assert_string_equal(config.jwt_audience, "authenticated");
	assert_int_equal(ENV("SFU_AUTH=both"), CONFIG_OK);
	assert_int_equal(config.auth_mode, 2);
	assert_int_equal(ENV("SFU_AUTH=none"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "lookup, jwks, both"));
	assert_int_equal(ENV("SFU_JWT_SECRET=s3cret"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "SFU_JWT_SECRET"));
	assert_null(strstr(report.error, "s3cret"));
	assert_int_equal(
		ENV("NODE_ENV=production", "SFU_REQUIRE_DP=0", "SFU_AUTH=jwks"), CONFIG_INVALID);
	assert_int_equal(ENV("NODE_ENV=production", "SFU_REQUIRE_DP=0", "SFU_AUTH=jwks",
				 "SFU_JWKS_URL=https://x/keys"),
		CONFIG_OK);
	assert_int_equal(ENV("NODE_ENV=production", "SFU_REQUIRE_DP=0", "SFU_AUTH=jwks",
				 "SUPABASE_URL=https://x"),
		CONFIG_OK);
	assert_int_equal(ENV("NODE_ENV=production", "SFU_REQUIRE_DP=0", "SFU_AUTH=both",
				 "SUPABASE_URL=https://x"),
		CONFIG_INVALID);
}

/** protocol.md B12. */
static void test_metrics_listen(void **state)
{
	static const char *const bad[] = {"9100", ":9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1:655350", "127.0.0.1:+1", "::1:9100", "[::1]",
		"[::1]9100", "[]:9100", "[127.0.0.1]:9100", "[::1:9100", "::1]:9100",
		"localhost:9100", "[", "[:1"};
	char line[128];

	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_string_equal(config.metrics_listen, "");
	assert_int_equal(ENV("SFU_METRICS_LISTEN=127.0.0.1:9100"), CONFIG_OK);
	assert_string_equal(config.metrics_listen, "127.0.0.1:9100");
	assert_int_equal(ENV("SFU_METRICS_LISTEN=[2001:db8::1]:65535"), CONFIG_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "SFU_METRICS_LISTEN=%s", bad[i]);
		assert_int_equal(ENV(line), CONFIG_INVALID);
		assert_non_null(strstr(report.error, "SFU_METRICS_LISTEN"));
		assert_non_null(strstr(report.error, "[IPv6]:port"));
	}
}

static int teardown(void **state)
{
	(void)state;
	config_fini(&config);
	return 0;
}

#define SECRET_32 "0123456789abcdef0123456789abcdef"
#define PRODUCTION                                                                                 \
	"NODE_ENV=production", "SUPABASE_URL=https://x", "SUPABASE_ANON_KEY=k", "SFU_REQUIRE_DP=0"

/** protocol.md B4. */
static void test_join_token(void **state)
{
	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_OFF);
	assert_int_equal(ENV("SFU_JOIN_TOKEN=issue"), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_ISSUE);
	assert_true(strlen(config.join_token_secret) >= 32);
	assert_int_equal(
		ENV("SFU_JOIN_TOKEN=issue", "CALLS_JOIN_TOKEN_SECRET=short"), CONFIG_INVALID);
	assert_non_null(strstr(report.error, "CALLS_JOIN_TOKEN_SECRET"));
	assert_null(strstr(report.error, "short"));
	assert_int_equal(ENV("CALLS_JOIN_TOKEN_SECRET=" SECRET_32), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_OFF);
	assert_int_equal(ENV(PRODUCTION), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_OFF);
	assert_int_equal(ENV(PRODUCTION, "SUPABASE_JWT_SECRET=" SECRET_32), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_REQUIRE);
	assert_string_equal(config.join_token_secret, SECRET_32);
	assert_int_equal(
		ENV(PRODUCTION, "SUPABASE_JWT_SECRET=" SECRET_32, "SFU_JOIN_TOKEN=off"), CONFIG_OK);
	assert_int_equal(config.join_token, JOIN_TOKEN_OFF);
	assert_int_equal(ENV(PRODUCTION, "SFU_JOIN_TOKEN=require"), CONFIG_INVALID);
	assert_int_equal(
		ENV(PRODUCTION, "CALLS_JOIN_TOKEN_SECRET=" SECRET_32, "CALLS_JOIN_TOKEN_SKIP=1"),
		CONFIG_INVALID);
	assert_non_null(strstr(report.error, "CALLS_JOIN_TOKEN_SKIP"));
}

/** protocol.md B5, B9, B10, B11. */
static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(ENV(NULL), CONFIG_OK);
	assert_int_equal(config.rekey_policy, 0);
	assert_int_equal(config.key_package_rate, 200);
	assert_int_equal(config.rate_factor, 0);
	assert_int_equal(config.max_conn_per_address, 0);
	assert_int_equal(config.resume_sec, 30);
	assert_false(config.require_secure_ws);
	assert_false(config.require_double_ratchet);
	assert_int_equal(ENV("CALLS_MAX_PARTICIPANTS_PER_ROOM=7"), CONFIG_OK);
	assert_int_equal(config.key_package_rate, 28);
	assert_int_equal(
		ENV("CALLS_MAX_PARTICIPANTS_PER_ROOM=7", "SFU_KEY_PACKAGE_RATE=5"), CONFIG_OK);
	assert_int_equal(config.key_package_rate, 5);
	assert_int_equal(
		ENV("SFU_REKEY_POLICY=quorum", "SFU_REKEY_TIMEOUT_MS=999"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_REKEY_POLICY=quorum"), CONFIG_OK);
	assert_int_equal(config.rekey_policy, 2);
	assert_int_equal(ENV("SFU_REKEY_POLICY=everybody"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_RESUME_SEC=601"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_TRUSTED_PROXIES=10.0.0.1,::1"), CONFIG_OK);
	assert_int_equal(ENV("SFU_TRUSTED_PROXIES=10.0.0.1,"), CONFIG_INVALID);
	assert_int_equal(ENV("SFU_TRUSTED_PROXIES=proxy"), CONFIG_INVALID);
	assert_int_equal(ENV(PRODUCTION), CONFIG_OK);
	assert_int_equal(config.rate_factor, 10);
	assert_true(config.require_secure_ws);
	assert_int_equal(
		ENV(PRODUCTION, "SFU_RATE_FACTOR=0", "SFU_REQUIRE_SECURE_WS=0"), CONFIG_OK);
	assert_int_equal(config.rate_factor, 0);
	assert_false(config.require_secure_ws);
	assert_int_equal(ENV(PRODUCTION, "SFU_STRICT_PROD=1"), CONFIG_OK);
	assert_true(config.require_double_ratchet);
	assert_true(config.require_sframe);
	assert_int_equal(ENV("SFU_STRICT_PROD=1"), CONFIG_OK);
	assert_false(config.require_sframe);
	assert_false(config.require_double_ratchet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_reference_booleans),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_secret_file),
		cmocka_unit_test(test_production),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_log_modules),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_join_token),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_of_pipes),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_metrics_listen),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
