// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/config.h"

#include "sfu-ctl/auth.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/proxy.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/socket_name.h"
#include "sfu-ctl/turn.h"

#include "sfu-ctl/jointoken.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ALIASES 3u
#define MAX_VALUE_BYTES 4096u
/** Of HMAC with SHA-256 (RFC 7518, 3.2). */
#define MIN_SECRET_BYTES 32u

enum setting_type {
	SET_STRING,
	SET_NUMBER, /* decimal, min..max */
	SET_BOOL, /* 1/true/on/yes, 0/false/off/no, any case; anything else is an error */
	/* The reference's booleans (protocol.md A11): never an error, with a warning. */
	SET_ON_UNLESS_0, /* off for 0/false/off, else on */
	SET_OFF_UNLESS_1, /* on for 1/true/on, else off */
	SET_ONLY_1, /* on for exactly 1: switches a protection off, so no other spelling */
	SET_CHOICE, /* one of choices, stored as its index */
	SET_IP, /* IPv4 or IPv6 address */
	SET_IPS, /* several, with commas */
	SET_SOCKET, /* address:port, an IPv6 address in brackets */
	SET_CODECS,
	SET_REGIONS,
	SET_TURN_URLS,
	SET_LOG_MODULES,
	SET_URL, /* http or https, trailing slash removed */
};

enum setting_group { GROUP_MUST, GROUP_MAY, GROUP_LEAVE, GROUP_COUNT };

static const char *const group_titles[GROUP_COUNT] = {
	"Set these",
	"May be tuned",
	"Leave alone, unless you know why",
};

struct setting {
	const char *name;
	const char *alias[MAX_ALIASES];
	enum setting_type type;
	size_t offset; /* in struct config */
	const char *initial;
	uint32_t min, max; /* SET_NUMBER */
	bool clamp_min; /* smaller numbers become min */
	bool empty_counts; /* a name that is set but empty hides its aliases */
	bool secret; /* not shown; may be given as NAME_FILE */
	bool live; /* config_reload() takes it over; whoever uses it reads it each time */
	const char *const *choices; /* SET_CHOICE, NULL terminated */
	enum setting_group group;
	size_t given_offset; /* of a bool that says whether it was set; 0 = none */
	const char *help;
};

static const char *const log_levels[] = {"none", "error", "warn", "info", "debug", NULL};
/* enum numbering_mode */
static const char *const numberings[] = {"fresh", "clock", NULL};
static const char *const sframe_policies[] = {"observe", "drop", NULL};
static const char *const relay_seqs[] = {"none", "sender", NULL};
/* enum auth_mode */
static const char *const auth_modes[] = {"lookup", "jwks", "both", NULL};
/* enum join_token_mode */
static const char *const join_tokens[] = {"off", "issue", "require", NULL};
/* enum rekey_policy */
static const char *const rekey_policies[] = {"relay", "leader", "quorum", NULL};

#define FIELD(name) offsetof(struct config, name)

static const struct setting settings[] = {
	{.name = "SFU_PORT",
		.type = SET_NUMBER,
		.offset = FIELD(port),
		.initial = "8888",
		.min = 1,
		.max = 65535,
		.group = GROUP_MUST,
		.help = "TCP port of HTTP and WebSocket"},
	{.name = "SFU_REGION",
		.type = SET_STRING,
		.offset = FIELD(region),
		.initial = "tr",
		.group = GROUP_MUST,
		.help = "region of this node"},
	{.name = "SFU_NODE_ID",
		.type = SET_STRING,
		.offset = FIELD(node_id),
		.initial = "local-sfu-1",
		.group = GROUP_MUST,
		.help = "name of this node"},
	{.name = "SFU_REGIONS",
		.type = SET_REGIONS,
		.offset = FIELD(regions),
		.initial = "",
		.group = GROUP_MAY,
		.live = true,
		.help
		= "the other nodes, this one may be among them: clients are told where to go"},
	{.name = "SFU_REGION_CHECK_MS",
		.type = SET_NUMBER,
		.offset = FIELD(region_check_ms),
		.initial = "1000",
		.min = 100,
		.max = 60000,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "each of them is asked so often for its health"},
	{.name = "SFU_NUMBERING",
		.type = SET_CHOICE,
		.offset = FIELD(numbering),
		.initial = "fresh",
		.choices = numberings,
		.given_offset = FIELD(numbering_given),
		.group = GROUP_LEAVE,
		.live = true,
		.help = "where epochs of rooms and seq of connections begin: at 0 and 1, or at the "
			"clock, so that they do not go back over a restart or on another node; "
			"unset: clock with SFU_REGIONS"},
	{.name = "SFU_DRAIN_DEADLINE_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(drain_deadline_sec),
		.initial = "300",
		.min = 1,
		.max = 86400,
		.group = GROUP_MAY,
		.live = true,
		.help = "after SIGUSR1 or \"sfu-ctl drain\": ends when the last member is gone, or "
			"after this"},
	{.name = "SFU_CONTROL",
		.type = SET_STRING,
		.offset = FIELD(control),
		.initial = "",
		.group = GROUP_MAY,
		.help
		= "Unix socket for the commands drain, reload and status, of root and our own "
		  "user; unset: none"},
	{.name = "SFU_MAX_PEERS",
		.type = SET_NUMBER,
		.offset = FIELD(max_peers),
		.initial = "0",
		.min = 0,
		.max = 1000000,
		.group = GROUP_MAY,
		.live = true,
		.help = "devices in all rooms together: no new rooms beyond, and some are asked to "
			"move; 0: any number"},
	{.name = "NODE_ENV",
		.type = SET_STRING,
		.offset = FIELD(node_env),
		.initial = "",
		.group = GROUP_MUST,
		.help = "\"production\" switches the rules of production on"},
	{.name = "ENV",
		.type = SET_STRING,
		.offset = FIELD(env),
		.initial = "",
		.group = GROUP_LEAVE,
		.help = "\"prod\" or \"production\": as NODE_ENV=production"},
	{.name = "SUPABASE_URL",
		.alias = {"VITE_SUPABASE_URL"},
		.type = SET_URL,
		.offset = FIELD(supabase_url),
		.initial = "",
		.group = GROUP_MUST,
		.help = "auth server; needed in production"},
	{.name = "SUPABASE_PUBLISHABLE_KEY",
		.alias
		= {"SUPABASE_ANON_KEY", "VITE_SUPABASE_PUBLISHABLE_KEY", "VITE_SUPABASE_ANON_KEY"},
		.type = SET_STRING,
		.offset = FIELD(supabase_key),
		.initial = "",
		.empty_counts = true,
		.secret = true,
		.group = GROUP_MUST,
		.help = "its API key; needed in production"},
	{.name = "SFU_JOIN_TOKEN",
		.type = SET_CHOICE,
		.offset = FIELD(join_token),
		.initial = "off",
		.choices = join_tokens,
		.given_offset = FIELD(join_token_given),
		.group = GROUP_MAY,
		.help = "tokens that open a room; unset: require in production with a secret"},
	{.name = "CALLS_JOIN_TOKEN_SECRET",
		.alias = {"SUPABASE_JWT_SECRET"},
		.type = SET_STRING,
		.offset = FIELD(join_token_secret),
		.initial = "",
		.secret = true,
		.group = GROUP_MAY,
		.help = "signs join tokens, at least 32 octets; a fixed one outside production"},
	{.name = "CALLS_JOIN_TOKEN_TTL_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(join_token_ttl_sec),
		.initial = "600",
		.min = 30,
		.max = 86400,
		.group = GROUP_MAY,
		.help = "life of a join token"},
	{.name = "CALLS_JOIN_TOKEN_SKIP",
		.type = SET_ONLY_1,
		.offset = FIELD(join_token_skip),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help = "any join token is good, for development; never in production"},
	{.name = "SFU_AUTH",
		.type = SET_CHOICE,
		.offset = FIELD(auth_mode),
		.initial = "lookup",
		.choices = auth_modes,
		.group = GROUP_MUST,
		.help
		= "ask the auth server about each token, verify tokens here with its keys, or "
		  "here first"},
	{.name = "SFU_TLS_CERT",
		.type = SET_STRING,
		.offset = FIELD(tls_cert),
		.initial = "",
		.group = GROUP_MUST,
		.live = true,
		.help = "PEM file with the certificate chain; unset: no TLS"},
	{.name = "SFU_TLS_KEY",
		.type = SET_STRING,
		.offset = FIELD(tls_key),
		.initial = "",
		.group = GROUP_MUST,
		.live = true,
		.help = "PEM file with its private key"},
	{.name = "SFU_ENABLE_DP",
		.alias = {"SFU_ENABLE_MEDIASOUP"},
		.type = SET_OFF_UNLESS_1,
		.offset = FIELD(enable_dp),
		.initial = "0",
		.group = GROUP_MUST,
		.help = "attach the data plane; else fallback mode, without media"},

	{.name = "SFU_REQUIRE_DP",
		.alias = {"SFU_REQUIRE_MEDIASOUP"},
		.type = SET_ON_UNLESS_0,
		.offset = FIELD(require_dp_given),
		.initial = "1",
		.group = GROUP_MAY,
		.help = "in production: do not start without a data plane"},
	{.name = "SFU_LINK",
		.type = SET_STRING,
		.offset = FIELD(link_path),
		.initial = "/run/sfu/link.sock",
		.group = GROUP_MAY,
		.help = "socket of the data plane"},
	{.name = "SFU_LISTEN",
		.type = SET_IP,
		.offset = FIELD(listen_address),
		.initial = "",
		.group = GROUP_MAY,
		.help = "address to listen on; unset: all"},
	{.name = "SFU_WEB_ROOT",
		.type = SET_STRING,
		.offset = FIELD(web_root),
		.initial = "",
		.group = GROUP_MAY,
		.help = "folder with the page to serve; unset: none"},
	{.name = "SFU_STATE_DIR",
		.type = SET_STRING,
		.offset = FIELD(state_dir),
		.initial = "",
		.group = GROUP_MAY,
		.help = "folder that keeps the DTLS certificate; unset: a new one at each start"},
	{.name = "SFU_CODECS",
		.type = SET_CODECS,
		.offset = FIELD(codecs),
		.initial = "opus,VP9,VP8",
		.group = GROUP_MAY,
		.help = "codecs in order of preference, of opus VP8 VP9 H264 AV1"},
	{.name = "SFU_E2EE_REQUIRED",
		.alias = {"E2EE_REQUIRED_DEFAULT"},
		.type = SET_ON_UNLESS_0,
		.offset = FIELD(e2ee_required),
		.initial = "1",
		.group = GROUP_MAY,
		.help = "media only for devices that are ready for end-to-end encryption"},
	{.name = "SFU_REQUIRE_SFRAME",
		.type = SET_OFF_UNLESS_1,
		.offset = FIELD(require_sframe),
		.initial = "0",
		.group = GROUP_MAY,
		.help = "devices must announce SFrame"},
	{.name = "SFU_SFRAME_POLICY",
		.type = SET_CHOICE,
		.offset = FIELD(sframe_drop),
		.initial = "observe",
		.choices = sframe_policies,
		.group = GROUP_MAY,
		.help
		= "frames sealed with the key of an epoch that is over: count them, or drop them "
		  "too; a room may ask for its own"},
	{.name = "SFU_CALL_RELAY",
		.type = SET_BOOL,
		.offset = FIELD(call_relay),
		.initial = "1",
		.group = GROUP_MAY,
		.live = true,
		.help = "users may ring each other: call.invite and the like are passed on"},
	{.name = "TURN_URLS",
		.type = SET_TURN_URLS,
		.offset = FIELD(turn_urls),
		.initial = "",
		.group = GROUP_MAY,
		.live = true,
		.help = "TURN servers that clients are told of; unset: none"},
	{.name = "TURN_SECRET",
		.type = SET_STRING,
		.offset = FIELD(turn_secret),
		.initial = "",
		.secret = true,
		.group = GROUP_MAY,
		.live = true,
		.help
		= "shared with the TURN servers: clients get credentials for a time; unset: they "
		  "have their own"},
	{.name = "TURN_TTL_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(turn_ttl_sec),
		.initial = "3600",
		.min = 60,
		.max = 604800,
		.group = GROUP_MAY,
		.live = true,
		.help = "life of those credentials"},
	{.name = "SFU_JWKS_URL",
		.type = SET_URL,
		.offset = FIELD(jwks_url),
		.initial = "",
		.group = GROUP_MAY,
		.help
		= "keys of the auth server; unset: SUPABASE_URL/auth/v1/.well-known/jwks.json"},
	{.name = "SFU_JWT_AUDIENCE",
		.type = SET_STRING,
		.offset = FIELD(jwt_audience),
		.initial = "authenticated",
		.group = GROUP_MAY,
		.help = "\"aud\" of tokens verified here"},
	{.name = "SFU_JWT_ISSUER",
		.type = SET_STRING,
		.offset = FIELD(jwt_issuer),
		.initial = "",
		.group = GROUP_MAY,
		.help = "\"iss\" of tokens verified here; unset: SUPABASE_URL/auth/v1"},
	{.name = "SFU_JWT_SECRET",
		.type = SET_STRING,
		.offset = FIELD(jwt_secret),
		.initial = "",
		.secret = true,
		.group = GROUP_MAY,
		.help
		= "of tokens with HS256, 32 characters or more; unset: they are not verified here"},
	{.name = "CALLS_DEV_INSECURE_AUTH",
		.type = SET_ONLY_1,
		.offset = FIELD(dev_auth_given),
		.initial = "0",
		.group = GROUP_MAY,
		.help = "accept every token, for development; never in production"},
	{.name = "CALLS_MAX_PARTICIPANTS_PER_ROOM",
		.type = SET_NUMBER,
		.offset = FIELD(max_participants),
		.initial = "50",
		.min = 2,
		.max = 10000,
		.group = GROUP_MAY,
		.live = true,
		.help = "devices in one room"},
	{.name = "SFU_MAX_ROOMS",
		.type = SET_NUMBER,
		.offset = FIELD(max_rooms),
		.initial = "10000",
		.min = 1,
		.max = 1000000,
		.group = GROUP_MAY,
		.help = "rooms at a time"},
	{.name = "SFU_LOG_LEVEL",
		.alias = {"SFU_MEDIASOUP_LOG_LEVEL"},
		.type = SET_CHOICE,
		.offset = FIELD(log_level),
		.initial = "warn",
		.choices = log_levels,
		.group = GROUP_MAY,
		.live = true,
		.help = "what goes to the log"},
	{.name = "SFU_LOG_MODULES",
		.type = SET_LOG_MODULES,
		.offset = FIELD(log_modules),
		.initial = "",
		.group = GROUP_MAY,
		.live = true,
		.help = "levels of single modules, as a line names them: session=debug,ws=info"},
	{.name = "SFU_ANNOUNCED_IP",
		.type = SET_IP,
		.offset = FIELD(announced_ip),
		.initial = "",
		.group = GROUP_MAY,
		.help = "must be an address that the data plane announces; unset: not checked"},
	{.name = "SFU_RTC_MIN_PORT",
		.type = SET_NUMBER,
		.offset = FIELD(rtc_min_port),
		.initial = "40000",
		.min = 1,
		.max = 65535,
		.given_offset = FIELD(rtc_min_port_set),
		.group = GROUP_MAY,
		.help = "when set, checked against the data plane's port"},
	{.name = "SFU_RTC_MAX_PORT",
		.type = SET_NUMBER,
		.offset = FIELD(rtc_max_port),
		.initial = "49999",
		.min = 1,
		.max = 65535,
		.given_offset = FIELD(rtc_max_port_set),
		.group = GROUP_MAY,
		.help = "when set, checked against the data plane's port"},

	{.name = "SFU_METRICS_TOKEN",
		.type = SET_STRING,
		.offset = FIELD(metrics_token),
		.initial = "",
		.secret = true,
		.group = GROUP_MAY,
		.live = true,
		.help = "/metrics only with this as bearer token; unset: for everybody"},
	{.name = "SFU_METRICS_LISTEN",
		.type = SET_SOCKET,
		.offset = FIELD(metrics_listen),
		.initial = "",
		.group = GROUP_MAY,
		.help
		= "/metrics only there, without TLS, and not at SFU_PORT; unset: at SFU_PORT"},

	{.name = "SFU_HEARTBEAT_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(heartbeat_sec),
		.initial = "10",
		.min = 5,
		.max = 3600,
		.clamp_min = true,
		.group = GROUP_LEAVE,
		.help = "WebSocket ping; silent for 2.5 times as long: dropped"},
	{.name = "SFU_AUTH_DEADLINE_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(auth_deadline_sec),
		.initial = "30",
		.min = 1,
		.max = 3600,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "a connection without AUTH is closed after this"},
	{.name = "SFU_AUTH_RECHECK_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(auth_recheck_sec),
		.initial = "0",
		.min = 0,
		.max = 3600,
		.group = GROUP_LEAVE,
		.live = true,
		.help
		= "look so often for expired tokens and close their sessions with 4001; 0 = never"},
	{.name = "SFU_EMPTY_ROOM_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(empty_room_sec),
		.initial = "60",
		.min = 0,
		.max = 86400,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "life of a room that nobody joins; 0: for ever"},
	{.name = "SFU_MAX_FRAME_BYTES",
		.type = SET_NUMBER,
		.offset = FIELD(max_frame_bytes),
		.initial = "262144",
		.min = 1024,
		.max = 16777216,
		.group = GROUP_LEAVE,
		.help = "longest message; a longer one closes the connection (1009)"},
	{.name = "SFU_SEND_QUEUE_BYTES",
		.type = SET_NUMBER,
		.offset = FIELD(send_queue_bytes),
		.initial = "4194304",
		.min = 65536,
		.max = 67108864,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "what may wait for one reader; more closes its connection (1013)"},
	{.name = "SFU_E2EE_GRACE_MS",
		.type = SET_NUMBER,
		.offset = FIELD(e2ee_grace_ms),
		.initial = "20000",
		.min = 0,
		.max = 600000,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "media of devices not yet ready for a new epoch flows so long"},
	{.name = "SFU_COMMITTER_READY",
		.type = SET_BOOL,
		.offset = FIELD(committer_ready),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help = "who commits an epoch is ready for it in signalling too"},
	{.name = "SFU_RELAY_ECHO",
		.type = SET_BOOL,
		.offset = FIELD(relay_echo),
		.initial = "1",
		.group = GROUP_LEAVE,
		.help = "senders of rekey messages get their own copy"},
	{.name = "SFU_RELAY_SEQ",
		.type = SET_CHOICE,
		.offset = FIELD(relay_seq_sender),
		.initial = "none",
		.choices = relay_seqs,
		.group = GROUP_LEAVE,
		.help = "seq on relayed frames"},
	{.name = "SFU_REQUIRE_DOUBLE_RATCHET",
		.type = SET_OFF_UNLESS_1,
		.offset = FIELD(require_double_ratchet),
		.initial = "0",
		.group = GROUP_MAY,
		.help = "devices must announce Double Ratchet"},
	{.name = "SFU_REKEY_POLICY",
		.type = SET_CHOICE,
		.offset = FIELD(rekey_policy),
		.initial = "relay",
		.choices = rekey_policies,
		.group = GROUP_MAY,
		.help = "who may change the key epoch: anybody, the leader, or who has all acks"},
	{.name = "SFU_REKEY_TIMEOUT_MS",
		.type = SET_NUMBER,
		.offset = FIELD(rekey_timeout_ms),
		.initial = "15000",
		.min = 1000,
		.max = 30000,
		.group = GROUP_LEAVE,
		.help = "a rekey that takes longer is aborted; policies leader and quorum"},
	{.name = "SFU_KEY_STRICT",
		.type = SET_BOOL,
		.offset = FIELD(key_strict),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help = "check the fields of KEY_PACKAGE and KEY_ACK; else they are opaque"},
	{.name = "SFU_KEY_PACKAGE_RATE",
		.type = SET_NUMBER,
		.offset = FIELD(key_package_rate),
		.initial = "200",
		.min = 0,
		.max = 1000000,
		.given_offset = FIELD(key_package_rate_given),
		.group = GROUP_LEAVE,
		.live = true,
		.help = "KEY_PACKAGEs of a device in 60 s; unset: 4 times the limit of devices in "
			"a room; 0: any number"},
	{.name = "SFU_REKEY_BEGIN_RATE",
		.type = SET_NUMBER,
		.offset = FIELD(rekey_begin_rate),
		.initial = "60",
		.min = 0,
		.max = 1000000,
		.group = GROUP_LEAVE,
		.live = true,
		.help = "REKEY_BEGINs of a device in 60 s; 0: any number"},
	{.name = "SFU_REPLAY_PRODUCERS",
		.type = SET_BOOL,
		.offset = FIELD(replay_producers),
		.initial = "1",
		.group = GROUP_LEAVE,
		.live = true,
		.help = "tell late joiners of the producers that are there"},
	{.name = "SFU_FALLBACK_CODECS",
		.type = SET_BOOL,
		.offset = FIELD(fallback_codecs),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help = "fallback mode names codecs although no media flows"},
	{.name = "SFU_RATE_FACTOR",
		.type = SET_NUMBER,
		.offset = FIELD(rate_factor),
		.initial = "0",
		.min = 0,
		.max = 1000,
		.given_offset = FIELD(rate_factor_given),
		.group = GROUP_MAY,
		.live = true,
		.help = "requests of a connection: this many times 60 in 10 s, and limits for each "
			"kind; 0: any number; unset: 10 in production"},
	{.name = "SFU_MAX_CONN_PER_ADDRESS",
		.type = SET_NUMBER,
		.offset = FIELD(max_conn_per_address),
		.initial = "0",
		.min = 0,
		.max = 1000000,
		.group = GROUP_MAY,
		.live = true,
		.help = "connections from one address; 0: any number"},
	{.name = "SFU_REQUIRE_SECURE_WS",
		.type = SET_ON_UNLESS_0,
		.offset = FIELD(require_secure_ws_given),
		.initial = "1",
		.group = GROUP_MAY,
		.help = "in production: close connections without TLS (4003)"},
	{.name = "SFU_TRUSTED_PROXIES",
		.type = SET_IPS,
		.offset = FIELD(trusted_proxies),
		.initial = "",
		.group = GROUP_MAY,
		.live = true,
		.help
		= "proxies whose X-Forwarded-For and X-Forwarded-Proto count; unset: only the "
		  "latter, from anybody"},
	{.name = "SFU_RESUME_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(resume_sec),
		.initial = "30",
		.min = 0,
		.max = 600,
		.group = GROUP_MAY,
		.help = "a member that lost its connection stays so long, when it asked for it; 0: "
			"it leaves at once"},
	{.name = "SFU_JOURNAL",
		.type = SET_BOOL,
		.offset = FIELD(journal),
		.initial = "1",
		.group = GROUP_MAY,
		.help = "remember calls in SFU_STATE_DIR, so that they outlive a restart"},
	{.name = "SFU_PLANE_GRACE_SEC",
		.type = SET_NUMBER,
		.offset = FIELD(plane_grace_sec),
		.initial = "5",
		.min = 0,
		.max = 600,
		.group = GROUP_MAY,
		.live = true,
		.help = "calls wait so long for a data plane that went away; 0: they end at once"},
	{.name = "SFU_STRICT",
		.type = SET_BOOL,
		.offset = FIELD(strict),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help = "refuse what the reference service let pass"},
	{.name = "SFU_STRICT_PROD",
		.type = SET_BOOL,
		.offset = FIELD(strict_prod),
		.initial = "0",
		.group = GROUP_LEAVE,
		.help
		= "in production: SFrame and Double Ratchet required, insecure authentication "
		  "an error"},
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))
#define NAME_COUNT (1 + MAX_ALIASES)

enum source { FROM_LINE, FROM_ENV, FROM_FILE, SOURCE_COUNT };

static const char *const source_names[SOURCE_COUNT]
	= {"command line", "environment", "configuration file"};

/** What was read, before it is parsed: per source, setting and name. Owned; wiped when freed. */
struct raw {
	char *value[SOURCE_COUNT][SETTING_COUNT][NAME_COUNT];
	char *file_name[SOURCE_COUNT][SETTING_COUNT][NAME_COUNT]; /* given as NAME_FILE */
	bool again; /* while we run: nothing may wait */
};

static char **string_at(const struct config *cfg, const struct setting *s)
{
	return (char **)(void *)((char *)(uintptr_t)cfg + s->offset);
}

static uint32_t *number_at(const struct config *cfg, const struct setting *s)
{
	return (uint32_t *)(void *)((char *)(uintptr_t)cfg + s->offset);
}

static bool *bool_at(const struct config *cfg, size_t offset)
{
	return (bool *)(void *)((char *)(uintptr_t)cfg + offset);
}

static bool is_string(const struct setting *s)
{
	return s->type == SET_STRING || s->type == SET_IP || s->type == SET_IPS
	       || s->type == SET_CODECS || s->type == SET_URL || s->type == SET_REGIONS
	       || s->type == SET_TURN_URLS || s->type == SET_LOG_MODULES || s->type == SET_SOCKET;
}

static bool is_bool(const struct setting *s)
{
	return s->type == SET_BOOL || s->type == SET_ON_UNLESS_0 || s->type == SET_OFF_UNLESS_1
	       || s->type == SET_ONLY_1 || s->choices == relay_seqs
	       || s->choices == sframe_policies;
}

/** Lines of a report come from outside and end on a terminal. */
static void printable(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

__attribute__((format(printf, 2, 3))) static enum config_status invalid(
	struct config_report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(report->error, sizeof(report->error), format, args);
	va_end(args);
	printable(report->error);
	return CONFIG_INVALID;
}

__attribute__((format(printf, 2, 3))) static void warning(
	struct config_report *report, const char *format, ...)
{
	va_list args;

	if (report->warnings == CONFIG_MAX_WARNINGS)
		return;
	va_start(args, format);
	vsnprintf(report->warning[report->warnings], sizeof(report->warning[0]), format, args);
	va_end(args);
	printable(report->warning[report->warnings++]);
}

static const char *name_of(const struct setting *s, unsigned i)
{
	return i == 0 ? s->name : s->alias[i - 1];
}

/** Find "NAME" or, for secrets, "NAME_FILE". */
static bool find_name(const char *name, size_t len, size_t *setting, unsigned *which, bool *as_file)
{
	static const char suffix[] = "_FILE";
	const size_t suffix_len = sizeof(suffix) - 1;

	for (size_t i = 0; i < SETTING_COUNT; i++) {
		for (unsigned k = 0; k < NAME_COUNT; k++) {
			const char *known = name_of(&settings[i], k);
			size_t known_len;

			if (known == NULL)
				break;
			known_len = strlen(known);
			*setting = i;
			*which = k;
			*as_file = false;
			if (len == known_len && memcmp(name, known, len) == 0)
				return true;
			*as_file = true;
			if (settings[i].secret && len == known_len + suffix_len
				&& memcmp(name, known, known_len) == 0
				&& memcmp(name + known_len, suffix, suffix_len) == 0)
				return true;
		}
	}
	return false;
}

static void wipe_free(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}

static void raw_free(struct raw *raw)
{
	if (raw == NULL)
		return;
	for (unsigned from = 0; from < SOURCE_COUNT; from++) {
		for (size_t i = 0; i < SETTING_COUNT; i++) {
			for (unsigned k = 0; k < NAME_COUNT; k++) {
				wipe_free(raw->value[from][i][k]);
				free(raw->file_name[from][i][k]);
			}
		}
	}
	free(raw);
}

/** Remember name=value of a source. Unknown names: false. The last of equal names counts. */
static bool raw_put(struct raw *raw, enum source from, const char *name, size_t name_len,
	const char *value, size_t value_len, bool *no_memory)
{
	char **slot;
	size_t i;
	unsigned k;
	bool as_file;

	if (!find_name(name, name_len, &i, &k, &as_file))
		return false;
	slot = as_file ? &raw->file_name[from][i][k] : &raw->value[from][i][k];
	wipe_free(*slot);
	*slot = strndup(value, value_len);
	if (*slot == NULL)
		*no_memory = true;
	return true;
}

/* --- values --- */

static bool spelled(const char *value, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcasecmp(value, *words) == 0)
			return true;
	}
	return false;
}

static const char *const words_on[] = {"1", "true", "on", NULL};
static const char *const words_off[] = {"0", "false", "off", NULL};

static bool codecs_valid(const char *list)
{
	static const char *const names[] = {"opus", "VP8", "VP9", "H264", "AV1"};
	unsigned seen = 0;

	for (;;) {
		size_t len = strcspn(list, ",");
		unsigned bit = 0;

		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (strlen(names[i]) == len && strncasecmp(list, names[i], len) == 0)
				bit = 1u << i;
		}
		if (bit == 0 || (seen & bit) != 0)
			return false;
		seen |= bit;
		if (list[len] == '\0')
			return true;
		list += len + 1;
	}
}

static bool is_ip(const char *text)
{
	unsigned char addr[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

static bool is_url(const char *text)
{
	size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
			: strncasecmp(text, "https://", 8) == 0 ? 8
								: 0;

	if (scheme == 0 || text[scheme] == '\0' || text[scheme] == '/')
		return false;
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text <= 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

/** What is allowed, in words, for errors and --help. */
static void allowed(const struct setting *s, char *out, size_t size)
{
	size_t len;

	switch (s->type) {
	case SET_STRING:
		snprintf(out, size, "text");
		break;
	case SET_NUMBER:
		if (s->clamp_min)
			snprintf(out, size, "number, 0 to %u, less than %u counts as %u", s->max,
				s->min, s->min);
		else
			snprintf(out, size, "number, %u to %u", s->min, s->max);
		break;
	case SET_BOOL:
		snprintf(out, size, "1, true, on, yes or 0, false, off, no");
		break;
	case SET_ON_UNLESS_0:
		snprintf(out, size, "off with 0, false, off; else on");
		break;
	case SET_OFF_UNLESS_1:
		snprintf(out, size, "on with 1, true, on; else off");
		break;
	case SET_ONLY_1:
		snprintf(out, size, "on only with 1");
		break;
	case SET_CHOICE:
		len = 0;
		for (const char *const *c = s->choices; *c != NULL && len < size; c++)
			len += (size_t)snprintf(
				out + len, size - len, "%s%s", len > 0 ? ", " : "", *c);
		break;
	case SET_IP:
		snprintf(out, size, "IPv4 or IPv6 address");
		break;
	case SET_IPS:
		snprintf(out, size, "IPv4 or IPv6 addresses, maybe with /bits, with commas");
		break;
	case SET_SOCKET:
		snprintf(out, size, "IPv4:port or [IPv6]:port");
		break;
	case SET_CODECS:
		snprintf(out, size, "opus, VP8, VP9, H264, AV1, each at most once, with commas");
		break;
	case SET_REGIONS:
		snprintf(out, size, "region=ws:// or wss:// URL, at most %u, with commas",
			REGIONS_MAX);
		break;
	case SET_LOG_MODULES:
		snprintf(out, size, "module=level, at most %u, with commas", LOG_MODULES_MAX);
		break;
	case SET_TURN_URLS:
		snprintf(out, size, "turn:, turns: or stun: URLs, with commas");
		break;
	case SET_URL:
		snprintf(out, size, "http:// or https:// URL");
		break;
	}
}

static bool parse_number(const struct setting *s, const char *value, uint32_t *out)
{
	uint64_t number = 0;
	size_t len = strlen(value);

	if (len == 0 || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		number = number * 10 + (unsigned)(value[i] - '0');
	}
	if (number < s->min && s->clamp_min)
		number = s->min;
	if (number < s->min || number > s->max)
		return false;
	*out = (uint32_t)number;
	return true;
}

static int set_string(const struct config *cfg, const struct setting *s, const char *value)
{
	char *copy = strdup(value);
	size_t len;

	if (copy == NULL)
		return -ENOMEM;
	// All of them: what --print-config writes is read as the same.
	for (len = strlen(copy); s->type == SET_URL && len > 0 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	wipe_free(*string_at(cfg, s));
	*string_at(cfg, s) = copy;
	return 0;
}

/** A reference boolean with a spelling that it does not know: as the reference, but not silently. */
static void warn_spelling(
	const struct setting *s, const char *name, const char *value, struct config_report *report)
{
	char text[128];

	allowed(s, text, sizeof(text));
	warning(report, "%s=\"%s\" is taken as %s (%s)", name, value,
		s->type == SET_ON_UNLESS_0 ? "on" : "off", text);
}

/** A list is long: the error names the entry. */
static int set_regions(const struct config *cfg, const struct setting *s, const char *name,
	const char *value, struct config_report *report)
{
	struct region_list list;
	size_t number = 0;
	enum regions_status status = regions_parse(value, &list, &number);

	if (status == REGIONS_OK)
		return set_string(cfg, s, value);
	invalid(report, "%s: entry %zu %s", name, number, regions_status_text(status));
	return -EINVAL;
}

/** 0, -EINVAL or -ENOMEM. */
static int set_value(struct config *cfg, const struct setting *s, const char *name,
	const char *value, struct config_report *report)
{
	bool on = spelled(value, words_on);
	bool off = spelled(value, words_off);
	struct socket_name socket_name;

	switch (s->type) {
	case SET_STRING:
		return set_string(cfg, s, value);
	case SET_IP:
		return is_ip(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_IPS:
		return proxy_list_valid(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_SOCKET:
		return socket_name_parse(value, &socket_name) ? set_string(cfg, s, value) : -EINVAL;
	case SET_LOG_MODULES:
		return log_modules_valid(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_TURN_URLS:
		return turn_urls_valid(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_URL:
		return is_url(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_REGIONS:
		return set_regions(cfg, s, name, value, report);
	case SET_CODECS:
		return codecs_valid(value) ? set_string(cfg, s, value) : -EINVAL;
	case SET_NUMBER:
		return parse_number(s, value, number_at(cfg, s)) ? 0 : -EINVAL;
	case SET_BOOL:
		on = on || strcasecmp(value, "yes") == 0;
		off = off || strcasecmp(value, "no") == 0;
		if (!on && !off)
			return -EINVAL;
		*bool_at(cfg, s->offset) = on;
		return 0;
	case SET_ON_UNLESS_0:
		*bool_at(cfg, s->offset) = !off;
		break;
	case SET_OFF_UNLESS_1:
		*bool_at(cfg, s->offset) = on;
		break;
	case SET_ONLY_1:
		on = strcmp(value, "1") == 0;
		*bool_at(cfg, s->offset) = on;
		break;
	case SET_CHOICE:
		for (uint32_t i = 0; s->choices[i] != NULL; i++) {
			if (strcasecmp(value, s->choices[i]) != 0)
				continue;
			if (is_bool(s))
				*bool_at(cfg, s->offset) = i != 0;
			else
				*number_at(cfg, s) = i;
			return 0;
		}
		return -EINVAL;
	}
	if (!on && !off)
		warn_spelling(s, name, value, report);
	return 0;
}

/* --- sources --- */

/** The first line of a small file, for secrets. NULL with errno. */
/**
 * A pipe may be read at the start. Read again it would have nothing more to say, which must not be taken for
 * a file without settings, or keep the loop waiting for a writer.
 */
static FILE *open_text(const struct raw *raw, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (raw->again ? O_NONBLOCK : 0));
	FILE *file = NULL;
	struct stat info;

	if (fd < 0)
		return NULL;
	if (raw->again && (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)))
		errno = ESPIPE;
	else
		file = fdopen(fd, "r");
	if (file == NULL)
		close(fd);
	return file;
}

static const char *why_unread(int error)
{
	return error == ESPIPE ? "a pipe cannot be read anew, only a file" : strerror(error);
}

/** A line, or the first MAX_VALUE_BYTES - 1 octets of it, with its end. False: there is none, or errno. */
static bool read_line(FILE *file, char line[MAX_VALUE_BYTES], size_t *len)
{
	const char *end;

	// The NUL that fgets() puts behind it is the last one, also when the line has some.
	memset(line, '\n', MAX_VALUE_BYTES);
	if (fgets(line, MAX_VALUE_BYTES, file) == NULL)
		return false;
	end = memrchr(line, '\0', MAX_VALUE_BYTES);
	*len = (size_t)(end - line);
	return true;
}

static char *read_first_line(const struct raw *raw, const char *path)
{
	char line[MAX_VALUE_BYTES];
	FILE *file = open_text(raw, path);
	char *copy = NULL;
	size_t len = 0;

	if (file == NULL)
		return NULL;
	errno = 0;
	if (!read_line(file, line, &len))
		line[0] = '\0';
	if (errno == 0 && len == sizeof(line) - 1)
		errno = EFBIG;
	if (errno == 0 && strlen(line) != len)
		errno = EILSEQ;
	if (errno == 0) {
		line[strcspn(line, "\r\n")] = '\0';
		copy = strdup(line);
	}
	explicit_bzero(line, sizeof(line));
	fclose(file);
	return copy;
}

static enum config_status read_secret_files(
	struct raw *raw, enum source from, struct config_report *report)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		for (unsigned k = 0; k < NAME_COUNT; k++) {
			const char *path = raw->file_name[from][i][k];

			if (path == NULL || raw->value[from][i][k] != NULL)
				continue;
			raw->value[from][i][k] = read_first_line(raw, path);
			if (raw->value[from][i][k] == NULL)
				return invalid(report,
					"%s_FILE: cannot read \"%s\": %s; it must be a file whose "
					"first line is the value",
					name_of(&settings[i], k), path, why_unread(errno));
		}
	}
	return CONFIG_OK;
}

static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

/** "a value" -> a value */
static char *unquote(char *text)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text[len - 1] = '\0';
		return text + 1;
	}
	return text;
}

static enum config_status read_file_line(struct raw *raw, const char *path, unsigned number,
	char *line, struct config_report *report)
{
	char *text = trim(line);
	char *equals = strchr(text, '=');
	char *name, *value;
	bool no_memory = false;

	if (*text == '\0' || *text == '#')
		return CONFIG_OK;
	if (equals == NULL)
		return invalid(
			report, "%s:%u: the line is not of the form NAME = value", path, number);
	*equals = '\0';
	name = trim(text);
	value = unquote(trim(equals + 1));
	// Neither value nor line is shown: a mistyped name may be that of a secret.
	if (!raw_put(raw, FROM_FILE, name, strlen(name), value, strlen(value), &no_memory))
		return invalid(report,
			"%s:%u: unknown key \"%.80s\"; allowed are the names that --help lists",
			path, number, name);
	return no_memory ? CONFIG_NO_MEMORY : CONFIG_OK;
}

static enum config_status read_file(struct raw *raw, const char *path, struct config_report *report)
{
	enum config_status status = CONFIG_OK;
	char line[MAX_VALUE_BYTES];
	FILE *file = open_text(raw, path);
	size_t len = 0;

	if (file == NULL)
		return invalid(report, "--config: cannot read \"%s\": %s", path, why_unread(errno));
	for (unsigned number = 1; status == CONFIG_OK; number++) {
		errno = 0;
		if (!read_line(file, line, &len)) {
			if (ferror(file))
				status = invalid(report, "--config: cannot read \"%s\": %s", path,
					strerror(errno));
			break;
		}
		// Without its end it was cut; the last line of a file may lack it.
		if (strlen(line) != len
			|| (line[len - 1] != '\n' && (!feof(file) || len == sizeof(line) - 1)))
			status = invalid(report,
				"%s:%u: line too long, at most %u octets, or binary", path, number,
				MAX_VALUE_BYTES - 2);
		else
			status = read_file_line(raw, path, number, line, report);
	}
	explicit_bzero(line, sizeof(line));
	fclose(file);
	return status;
}

static enum config_status read_environment(struct raw *raw, char *const *envp)
{
	bool no_memory = false;

	for (; envp != NULL && *envp != NULL; envp++) {
		const char *equals = strchr(*envp, '=');

		// Names that are not ours are everyone else's.
		if (equals != NULL)
			raw_put(raw, FROM_ENV, *envp, (size_t)(equals - *envp), equals + 1,
				strlen(equals + 1), &no_memory);
	}
	return no_memory ? CONFIG_NO_MEMORY : CONFIG_OK;
}

/** "--sfu-port=1" -> SFU_PORT */
static bool dashes_to_name(const char *option, size_t len, char *name, size_t size)
{
	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = option[i] == '-' ? '_' : (char)toupper((unsigned char)option[i]);
	name[len] = '\0';
	return true;
}

static enum config_status read_assignment(struct raw *raw, const char *argument, const char *name,
	size_t name_len, const char *value, struct config_report *report)
{
	bool no_memory = false;

	if (!raw_put(raw, FROM_LINE, name, name_len, value, strlen(value), &no_memory))
		// Without the value: a mistyped name may be that of a secret.
		return invalid(report,
			"unknown setting \"%.*s\"; allowed are the names that --help lists",
			(int)strcspn(argument, "="), argument);
	return no_memory ? CONFIG_NO_MEMORY : CONFIG_OK;
}

static enum config_status read_command_line(struct raw *raw, int argc, char *const *argv,
	const char **file, bool *print, struct config_report *report)
{
	enum config_status status = CONFIG_OK;

	for (int i = 1; i < argc && status == CONFIG_OK; i++) {
		const char *arg = argv[i];
		const char *equals = strchr(arg, '=');
		bool has_next = i + 1 < argc;
		char name[64];

		if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
			return CONFIG_HELP;
		if (strcmp(arg, "--version") == 0)
			return CONFIG_VERSION;
		if (strcmp(arg, "--print-config") == 0) {
			*print = true;
		} else if (strcmp(arg, "--config") == 0 && has_next) {
			*file = argv[++i];
		} else if (strncmp(arg, "--config=", 9) == 0) {
			*file = arg + 9;
		} else if (strcmp(arg, "--set") == 0 && has_next) {
			arg = argv[++i];
			equals = strchr(arg, '=');
			if (equals == NULL)
				return invalid(report,
					"--set \"%.120s\" is not of the form NAME=value", arg);
			status = read_assignment(
				raw, arg, arg, (size_t)(equals - arg), equals + 1, report);
		} else if (strncmp(arg, "--", 2) == 0 && equals != NULL
			   && dashes_to_name(
				   arg + 2, (size_t)(equals - arg) - 2, name, sizeof(name))) {
			status = read_assignment(raw, arg, name, strlen(name), equals + 1, report);
		} else {
			return invalid(report,
				"unknown argument \"%.*s\"; allowed are --config FILE, --set "
				"NAME=value, --name=value, --print-config, --help, --version",
				(int)strcspn(arg, "="), arg);
		}
	}
	return status;
}

/* --- all together --- */

/** The value that counts: highest source first, own name before aliases. NULL: none was given. */
static const char *effective(
	const struct raw *raw, size_t i, const char **name, enum source *source)
{
	for (unsigned from = 0; from < SOURCE_COUNT; from++) {
		for (unsigned k = 0; k < NAME_COUNT; k++) {
			const char *value = raw->value[from][i][k];

			if (value == NULL || (*value == '\0' && !settings[i].empty_counts))
				continue;
			*name = name_of(&settings[i], k);
			*source = (enum source)from;
			return value;
		}
	}
	return NULL;
}

static enum config_status apply(
	struct config *cfg, const struct raw *raw, struct config_report *report)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];
		const char *name = s->name;
		enum source from = FROM_FILE;
		const char *value = effective(raw, i, &name, &from);
		char text[160];
		int result;

		if (value == NULL)
			continue;
		if (strlen(value) >= MAX_VALUE_BYTES)
			return invalid(report, "%s (%s): value too long, at most %u octets", name,
				source_names[from], MAX_VALUE_BYTES - 1);
		for (const char *c = value; *c != '\0'; c++) {
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				return invalid(report,
					"%s (%s): the value has a control character; allowed is "
					"text "
					"without",
					name, source_names[from]);
		}
		result = set_value(cfg, s, name, value, report);
		if (result == -ENOMEM)
			return CONFIG_NO_MEMORY;
		if (result < 0 && report->error[0] != '\0')
			return CONFIG_INVALID;
		if (result < 0) {
			allowed(s, text, sizeof(text));
			return invalid(report, "%s=\"%.120s\" (%s) is not allowed: %s", name,
				s->secret ? "…" : value, source_names[from], text);
		}
		if (s->given_offset != 0)
			*bool_at(cfg, s->given_offset) = true;
	}
	return CONFIG_OK;
}

/* For development only: everybody knows it. */
#define DEVELOPMENT_SECRET "sfu-ctl development secret of join tokens"

static enum config_status derive_join_token(struct config *cfg, struct config_report *report)
{
	size_t secret_len = strlen(cfg->join_token_secret);

	if (cfg->production && secret_len > 0 && !cfg->join_token_given)
		cfg->join_token = JOIN_TOKEN_REQUIRE;
	if (cfg->join_token == JOIN_TOKEN_OFF)
		return CONFIG_OK;
	if (cfg->production && cfg->join_token_skip)
		return invalid(
			report, "CALLS_JOIN_TOKEN_SKIP=1 is not allowed in production: unset it");
	if (secret_len == 0 && !cfg->production) {
		free(cfg->join_token_secret);
		cfg->join_token_secret = strdup(DEVELOPMENT_SECRET);
		return cfg->join_token_secret == NULL ? CONFIG_NO_MEMORY : CONFIG_OK;
	}
	if (secret_len < JOINTOKEN_SECRET_BYTES)
		return invalid(report,
			"CALLS_JOIN_TOKEN_SECRET is not allowed with %zu octets: at least %u",
			secret_len, JOINTOKEN_SECRET_BYTES);
	return CONFIG_OK;
}

static enum config_status derive_media(const struct config *cfg, struct config_report *report)
{
	if (cfg->require_dp && !cfg->enable_dp)
		return invalid(report, "SFU_ENABLE_DP=0 is not allowed in production: 1, or "
				       "SFU_REQUIRE_DP=0 to run without media");
	return CONFIG_OK;
}

/** Settings that depend on each other; the rules of production (protocol.md A11, B11). */
static enum config_status derive(struct config *cfg, struct config_report *report)
{
	bool env_prod
		= strcasecmp(cfg->env, "prod") == 0 || strcasecmp(cfg->env, "production") == 0;
	bool node_prod = strcmp(cfg->node_env, "production") == 0;

	cfg->production = env_prod || node_prod;
	cfg->require_dp = cfg->production && cfg->require_dp_given;
	cfg->dev_auth = cfg->dev_auth_given && !cfg->production;
	cfg->require_secure_ws = cfg->production && cfg->require_secure_ws_given;
	if (cfg->production && !cfg->rate_factor_given)
		cfg->rate_factor = 10;
	if (cfg->regions[0] != '\0' && !cfg->numbering_given)
		cfg->numbering = NUMBERING_CLOCK;
	if (!cfg->key_package_rate_given)
		cfg->key_package_rate = 4 * cfg->max_participants;

	if (cfg->tls_cert[0] != '\0' && cfg->tls_key[0] == '\0')
		return invalid(report,
			"SFU_TLS_KEY is not set although SFU_TLS_CERT is \"%s\"; allowed "
			"is the PEM file of its private key",
			cfg->tls_cert);
	if (cfg->tls_key[0] != '\0' && cfg->tls_cert[0] == '\0')
		return invalid(report,
			"SFU_TLS_CERT is not set although SFU_TLS_KEY is \"%s\"; allowed "
			"is the PEM file of the certificate",
			cfg->tls_key);
	if (derive_join_token(cfg, report) != CONFIG_OK)
		return report->error[0] == '\0' ? CONFIG_NO_MEMORY : CONFIG_INVALID;
	if (cfg->jwt_secret[0] != '\0' && strlen(cfg->jwt_secret) < MIN_SECRET_BYTES)
		return invalid(report,
			"SFU_JWT_SECRET is too short; allowed are %u characters or more",
			MIN_SECRET_BYTES);
	if (cfg->rtc_min_port > cfg->rtc_max_port)
		return invalid(report,
			"SFU_RTC_MIN_PORT=%u is not allowed: at most SFU_RTC_MAX_PORT, %u",
			cfg->rtc_min_port, cfg->rtc_max_port);
	if (!cfg->production)
		return CONFIG_OK;

	if (cfg->strict_prod) {
		cfg->require_sframe = true;
		cfg->require_double_ratchet = true;
	}
	if (cfg->dev_auth_given && (env_prod || cfg->strict_prod))
		return invalid(
			report, "CALLS_DEV_INSECURE_AUTH=1 is not allowed in production: unset it");
	if (cfg->dev_auth_given)
		warning(report, "CALLS_DEV_INSECURE_AUTH=1 is ignored in production");
	if (cfg->auth_mode == AUTH_JWKS && (cfg->jwks_url[0] != '\0' || cfg->jwt_secret[0] != '\0'))
		return derive_media(cfg, report);
	if (cfg->supabase_url[0] == '\0')
		return invalid(report,
			"SUPABASE_URL=\"\" is not allowed in production: the http:// or "
			"https:// URL of the auth server");
	if (cfg->supabase_key[0] == '\0' && cfg->auth_mode != AUTH_JWKS)
		return invalid(report,
			"SUPABASE_PUBLISHABLE_KEY=\"\" is not allowed in production: the "
			"key of the auth server");
	return derive_media(cfg, report);
}

int config_init(struct config *cfg)
{
	struct config_report ignored = {.warnings = 0};

	memset(cfg, 0, sizeof(*cfg));
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];

		// An unset string is "" and need not be of its type.
		if (is_string(s) ? set_string(cfg, s, s->initial) != 0
				 : set_value(cfg, s, s->name, s->initial, &ignored) != 0) {
			config_fini(cfg);
			return -ENOMEM;
		}
	}
	return 0;
}

static enum config_status load(struct config *cfg, int argc, char *const *argv, char *const *envp,
	bool again, struct config_report *report)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	enum config_status status = CONFIG_NO_MEMORY;
	const char *file = NULL;
	bool print = false;

	memset(report, 0, sizeof(*report));
	if (raw == NULL)
		return CONFIG_NO_MEMORY;
	raw->again = again;
	status = read_command_line(raw, argc, argv, &file, &print, report);
	if (status == CONFIG_OK)
		status = read_environment(raw, envp);
	if (status == CONFIG_OK && file != NULL)
		status = read_file(raw, file, report);
	for (unsigned from = 0; from < SOURCE_COUNT && status == CONFIG_OK; from++)
		status = read_secret_files(raw, (enum source)from, report);
	if (status == CONFIG_OK)
		status = apply(cfg, raw, report);
	if (status == CONFIG_OK)
		status = derive(cfg, report);
	if (status == CONFIG_OK && print)
		status = CONFIG_PRINT;
	raw_free(raw);
	return status;
}

enum config_status config_load(struct config *cfg, int argc, char *const *argv, char *const *envp,
	struct config_report *report)
{
	return load(cfg, argc, argv, envp, false, report);
}

/** Do both have the same value? */
static bool same_value(const struct config *a, const struct config *b, const struct setting *s)
{
	if (is_string(s))
		return strcmp(*string_at(a, s), *string_at(b, s)) == 0;
	if (is_bool(s))
		return *bool_at(a, s->offset) == *bool_at(b, s->offset);
	return *number_at(a, s) == *number_at(b, s);
}

/** Swap a value: the old one is freed with the struct it goes to. */
static void swap_value(struct config *a, struct config *b, const struct setting *s)
{
	if (is_string(s)) {
		char *text = *string_at(a, s);

		*string_at(a, s) = *string_at(b, s);
		*string_at(b, s) = text;
	} else if (is_bool(s)) {
		*bool_at(a, s->offset) = *bool_at(b, s->offset);
	} else {
		*number_at(a, s) = *number_at(b, s);
	}
}

enum config_status config_reload(struct config *cfg, int argc, char *const *argv, char *const *envp,
	struct config_report *report)
{
	struct config fresh;
	enum config_status status;

	if (config_init(&fresh) < 0)
		return CONFIG_NO_MEMORY;
	status = load(&fresh, argc, argv, envp, true, report);
	for (size_t i = 0; i < SETTING_COUNT && status == CONFIG_OK; i++) {
		const struct setting *s = &settings[i];

		if (same_value(cfg, &fresh, s))
			continue;
		if (s->live)
			swap_value(cfg, &fresh, s);
		else
			warning(report, "%s has changed, which needs a restart: the old one stays",
				s->name);
	}
	config_fini(&fresh);
	return status;
}

void config_fini(struct config *cfg)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (is_string(&settings[i]))
			wipe_free(*string_at(cfg, &settings[i]));
	}
	memset(cfg, 0, sizeof(*cfg));
}

static void help_entry(const struct setting *s, FILE *out)
{
	char text[160];

	allowed(s, text, sizeof(text));
	fprintf(out, "  %s\n        %s.\n        %s", s->name, s->help, text);
	if (s->initial[0] != '\0')
		fprintf(out, "; default %s", s->initial);
	if (s->secret)
		fprintf(out, "; secret, also as %s_FILE", s->name);
	if (s->live)
		fprintf(out, "; read anew on SIGHUP");
	if (s->alias[0] != NULL) {
		fprintf(out, "\n        also:");
		for (unsigned k = 0; k < MAX_ALIASES && s->alias[k] != NULL; k++)
			fprintf(out, " %s", s->alias[k]);
	}
	fprintf(out, "\n");
}

void config_help(FILE *out)
{
	fprintf(out,
		"Usage: sfu-ctl [--config FILE] [--set NAME=value | --name-with-dashes=value]…\n"
		"       sfu-ctl --print-config | --help | --version\n"
		"       sfu-ctl drain | reload | status [--set SFU_CONTROL=PATH | --config FILE]: "
		"tell a running one\n\n"
		"Command line over environment over file; all with the same names.\n"
		"A configuration file has lines NAME = value; # starts a comment line.\n");
	for (unsigned group = 0; group < GROUP_COUNT; group++) {
		fprintf(out, "\n%s:\n", group_titles[group]);
		for (size_t i = 0; i < SETTING_COUNT; i++) {
			if (settings[i].group == group)
				help_entry(&settings[i], out);
		}
	}
}

/* As read_file_line() takes it back: what trim() and unquote() would change is in quotes. */
static void print_string(const char *name, const char *value, FILE *out)
{
	size_t len = strlen(value);
	bool quotes = len > 0
		      && (isspace((unsigned char)value[0]) || isspace((unsigned char)value[len - 1])
			      || value[0] == '"');

	fprintf(out, quotes ? "%s = \"%s\"\n" : "%s = %s\n", name, value);
}

void config_print(const struct config *cfg, FILE *out)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];

		if (s->secret)
			fprintf(out, "# %s is %s\n", s->name,
				(*string_at(cfg, s))[0] != '\0' ? "set, not shown" : "not set");
		else if (is_string(s))
			print_string(s->name, *string_at(cfg, s), out);
		else if (s->type == SET_CHOICE)
			fprintf(out, "%s = %s\n", s->name,
				s->choices[is_bool(s) ? *bool_at(cfg, s->offset)
						      : *number_at(cfg, s)]);
		else if (is_bool(s))
			fprintf(out, "%s = %d\n", s->name, *bool_at(cfg, s->offset));
		else
			fprintf(out, "%s = %u\n", s->name, *number_at(cfg, s));
	}
}
