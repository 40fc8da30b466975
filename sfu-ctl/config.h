// SPDX-License-Identifier: BSD-3-Clause
/**
 * The settings of sfu-ctl: one table (config.c), from which the parsers of command line, environment
 * and file, --help and --print-config all come.
 *
 * Order of precedence: command line (--set NAME=value, --name-with-dashes=value), environment, file
 * (--config FILE, lines "NAME = value"). Within one source a setting's own name goes before its
 * aliases. A secret may be given as NAME_FILE, the name of a file whose first line is the value.
 *
 * Nobody writes a struct config after config_load() but config_reload(): others hold const pointers to
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum join_token_mode {
	JOIN_TOKEN_OFF, /* not issued, not looked at */
	JOIN_TOKEN_ISSUE, /* issued, verified when presented */
	JOIN_TOKEN_REQUIRE,
};

enum numbering_mode {
	NUMBERING_FRESH, /* epochs from 0, seq from 1 */
	NUMBERING_CLOCK,
};

/** Strings are never NULL; "" is unset. Owned by the struct. */
struct config {
	/* who and where */
	char *listen_address; /* SFU_LISTEN: IPv4 or IPv6 address; "" = all */
	uint32_t port; /* SFU_PORT: HTTP and WebSocket */
	char *region; /* SFU_REGION */
	char *node_id; /* SFU_NODE_ID */
	char *tls_cert; /* SFU_TLS_CERT: PEM chain; "" = no TLS */
	char *tls_key; /* SFU_TLS_KEY */
	char *regions; /* SFU_REGIONS: as regions.h says; "" = no other nodes */
	uint32_t region_check_ms; /* SFU_REGION_CHECK_MS: between questions to each of them */
	uint32_t numbering; /* SFU_NUMBERING: enum numbering_mode */
	char *control; /* SFU_CONTROL: socket for commands (control.h); "" = none */
	uint32_t drain_deadline_sec; /* SFU_DRAIN_DEADLINE_SEC: from SIGUSR1 to the end */
	char *web_root; /* SFU_WEB_ROOT: folder of the page; "" = none */
	char *state_dir; /* SFU_STATE_DIR: DTLS certificate; "" = memory only */
	bool production; /* NODE_ENV, ENV: derived */
	bool strict_prod; /* SFU_STRICT_PROD */

	/* who may come in */
	char *supabase_url; /* without a trailing slash */
	char *supabase_key; /* secret */
	uint32_t auth_mode; /* SFU_AUTH: enum auth_mode */
	char *jwks_url; /* SFU_JWKS_URL; "" = that of supabase_url */
	char *jwt_audience, *jwt_issuer; /* SFU_JWT_…; issuer "" = that of supabase_url */
	char *jwt_secret; /* SFU_JWT_SECRET: HS256; "" = refused */
	char *metrics_token; /* SFU_METRICS_TOKEN; "" = /metrics is for everybody */
	char *metrics_listen; /* SFU_METRICS_LISTEN: as socket_name.h says; "" = at port */
	bool dev_auth; /* CALLS_DEV_INSECURE_AUTH; always false in production */
	uint32_t auth_deadline_sec;
	uint32_t auth_recheck_sec; /* 0 = an expired token keeps its session (C21) */
	uint32_t join_token; /* SFU_JOIN_TOKEN: enum join_token_mode */
	char *join_token_secret; /* CALLS_JOIN_TOKEN_SECRET: secret; never "" unless mode is off */
	uint32_t join_token_ttl_sec; /* CALLS_JOIN_TOKEN_TTL_SEC */
	bool join_token_skip; /* CALLS_JOIN_TOKEN_SKIP: any token is good; never in production */

	/* media */
	bool enable_dp; /* SFU_ENABLE_DP: attach the data plane */
	bool require_dp; /* SFU_REQUIRE_DP: no start without it; only in production */
	char *link_path; /* SFU_LINK: socket of the data plane */
	char *codecs; /* SFU_CODECS: names separated by commas, in order of preference */
	char *announced_ip; /* SFU_ANNOUNCED_IP: must be what the data plane announces; "" = any */
	uint32_t rtc_min_port, rtc_max_port; /* the data plane's port must lie within, when set */
	bool rtc_min_port_set, rtc_max_port_set;
	bool fallback_codecs; /* SFU_FALLBACK_CODECS: later codec list without a data plane */

	/* what clients are told besides */
	char *turn_urls; /* TURN_URLS, with commas; "" = none */
	char *turn_secret; /* TURN_SECRET: secret; "" = no credentials */
	uint32_t turn_ttl_sec; /* TURN_TTL_SEC */

	bool call_relay; /* SFU_CALL_RELAY: call.* from user to user */

	/* E2EE */
	bool e2ee_required; /* SFU_E2EE_REQUIRED */
	bool require_sframe; /* SFU_REQUIRE_SFRAME */
	bool sframe_drop; /* SFU_SFRAME_POLICY=drop: frames of an epoch that is over */
	uint32_t e2ee_grace_ms; /* SFU_E2EE_GRACE_MS: edges stay open so long after a commit */
	bool committer_ready; /* SFU_COMMITTER_READY */
	bool relay_echo; /* SFU_RELAY_ECHO: senders get their own copy */
	bool relay_seq_sender; /* SFU_RELAY_SEQ=sender: relayed frames keep the sender's seq */
	bool require_double_ratchet; /* SFU_REQUIRE_DOUBLE_RATCHET */
	bool key_strict; /* SFU_KEY_STRICT: fields of key messages are checked */
	uint32_t key_package_rate; /* SFU_KEY_PACKAGE_RATE: per device and 60 s; 0 = any */
	uint32_t rekey_begin_rate; /* SFU_REKEY_BEGIN_RATE: per device and 60 s; 0 = any */
	uint32_t rekey_policy; /* SFU_REKEY_POLICY: enum rekey_policy */
	uint32_t rekey_timeout_ms; /* SFU_REKEY_TIMEOUT_MS: from REKEY_BEGIN to REKEY_COMMIT */

	/* rooms and limits */
	bool replay_producers; /* SFU_REPLAY_PRODUCERS */
	uint32_t heartbeat_sec; /* SFU_HEARTBEAT_SEC, at least 5 */
	uint32_t max_participants; /* CALLS_MAX_PARTICIPANTS_PER_ROOM */
	uint32_t max_rooms; /* SFU_MAX_ROOMS */
	uint32_t max_peers; /* SFU_MAX_PEERS: members of all rooms; 0 = any */
	uint32_t empty_room_sec; /* SFU_EMPTY_ROOM_SEC: rooms never joined; 0 = keep */
	uint32_t max_frame_bytes; /* SFU_MAX_FRAME_BYTES */
	uint32_t send_queue_bytes; /* SFU_SEND_QUEUE_BYTES: per connection */
	uint32_t rate_factor; /* SFU_RATE_FACTOR: times the gateway's limits; 0 = none */
	uint32_t max_conn_per_address; /* SFU_MAX_CONN_PER_ADDRESS; 0 = any */
	uint32_t resume_sec; /* SFU_RESUME_SEC: a lost member stays so long; 0 = leaves at once */
	bool journal; /* SFU_JOURNAL: calls outlive a restart, with state_dir */
	uint32_t plane_grace_sec; /* SFU_PLANE_GRACE_SEC: calls wait so long for a data plane */
	char *trusted_proxies; /* SFU_TRUSTED_PROXIES: as proxy.h says */
	bool require_secure_ws; /* SFU_REQUIRE_SECURE_WS; only in production */
	bool strict; /* SFU_STRICT */

	uint32_t log_level; /* enum log_level */
	char *log_modules; /* SFU_LOG_MODULES: as log_set_modules() takes them */

	/* as given, before production and the like were derived from it */
	char *node_env, *env;
	bool dev_auth_given, require_dp_given, key_package_rate_given, join_token_given;
	bool rate_factor_given, require_secure_ws_given, numbering_given;
};

enum config_status {
	CONFIG_OK,
	CONFIG_INVALID, /* report.error says which key, which value, what is allowed */
	CONFIG_HELP, /* --help was asked for */
	CONFIG_PRINT, /* --print-config was asked for; the configuration is valid */
	CONFIG_VERSION, /* --version was asked for */
	CONFIG_NO_MEMORY,
};

#define CONFIG_MAX_WARNINGS 8u

/** What config_load() has to say: single lines without a newline, control characters escaped. */
struct config_report {
	char error[512];
	char warning[CONFIG_MAX_WARNINGS][256];
	unsigned warnings;
};

/** Set everything to its default. Must be called first. 0 or -ENOMEM. */
int config_init(struct config *cfg);

/**
 * Read command line, environment and file into an initialised struct.
 * @param argv  argv[0] is skipped
 * @param envp  NAME=value strings, NULL terminated
 * On any status but CONFIG_OK and CONFIG_PRINT the content is unspecified; config_fini() it.
 */
enum config_status config_load(struct config *cfg, int argc, char *const *argv, char *const *envp,
	struct config_report *report);

/**
 * Read everything anew and take over the settings that may change while running, with the same arguments
 * as config_load() at the start. What may not change and did is named in a warning and kept.
 * @return CONFIG_OK; else nothing was changed, and report.error says why
 * Strings of changed settings are freed: nobody keeps pointers to those (--help names them).
 */
enum config_status config_reload(struct config *cfg, int argc, char *const *argv, char *const *envp,
	struct config_report *report);

/** Free what the struct owns; secrets are wiped. */
void config_fini(struct config *cfg);

/** All settings with type, default and bounds. */
void config_help(FILE *out);

/** The effective settings in the form of a configuration file; secrets are not shown. */
void config_print(const struct config *cfg, FILE *out);
