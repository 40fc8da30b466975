// SPDX-License-Identifier: BSD-3-Clause
/** Start and stop order of sfu-ctl; everything it is made of is created, wired and freed here. */
#include "sfu-ctl/auth.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/control.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/drain.h"
#include "sfu-ctl/entropy.h"
#include "sfu-ctl/http.h"
#include "sfu-ctl/journal.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/region_watch.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/restore.h"
#include "sfu-ctl/service.h"
#include "sfu-ctl/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>

#define VERSION "0.1.0"

/** How long a start waits for the data plane. */
#define ATTACH_WAIT_MS 2000u
/** How long a stop waits for the close frames to leave. */
#define STOP_WAIT_MS 300u
#define JOURNAL_TICK_MS 1000u
#define STOP_CHECK_MS 10u
#define CLOSE_HANDLES_MS 300u

enum { EXIT_CONFIG = 2 };

struct app {
	struct config config;
	struct loop loop;
	struct service service;
	struct media *media; /* NULL: fallback mode */
	struct core *core;
	struct auth *auth;
	struct journal *journal; /* NULL: a restart ends the calls */
	struct memory *left; /* by a predecessor, until it is restored */
	struct http_site site;
	struct ws *ws;
	struct regions regions;
	struct region_watch *watch;
	struct log_limit clock_limit;
	struct drain drain;
	bool can_drain; /* drain is initialised */
	struct control *control; /* NULL: no commands */
	uv_timer_t timer; /* of start, then of stop */
	uv_timer_t journal_timer;
	uint64_t timer_end_us;
	int exit_code;
	uv_signal_t hangup; /* SIGHUP: read settings and certificate anew */
	int argc;
	char **argv;
};

extern char **environ;

/* --- struct core_io --- */

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	(void)ctx;
	ws_send(conn, text, len);
}

static void io_send_all(
	void *ctx, void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	(void)ctx;
	ws_send_all(conns, count, text, len, latest);
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	ws_close(conn, code, reason);
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct app *app = ctx;

	return auth_check(app->auth, session_id, request_id, token, len);
}

static void on_auth_done(void *ctx, uint64_t session_id, uint64_t request_id,
	enum auth_verdict verdict, const char *user, int64_t expires_sec)
{
	struct app *app = ctx;

	core_auth_result(app->core, session_id, request_id, verdict, user);
	if (verdict == AUTH_ACCEPTED && expires_sec > 0)
		core_auth_expires(app->core, session_id, request_id, expires_sec);
}

static void io_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	entropy_fill(out, len);
}

static uint64_t io_wall_ms(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static uint64_t io_now_us(void *ctx)
{
	(void)ctx;
	return loop_now_us();
}

static void io_wake_at(void *ctx, uint64_t at_us)
{
	struct app *app = ctx;

	loop_wake_at(&app->loop, at_us);
}

static void on_wake(void *ctx)
{
	struct app *app = ctx;

	core_tick(app->core);
}

/* --- other nodes --- */

static void on_regions_changed(void *ctx)
{
	struct app *app = ctx;

	core_regions_changed(app->core);
}

static void on_region_clock(void *ctx, const char *url, uint64_t clock_us)
{
	struct app *app = ctx;

	if (!core_heard_clock(app->core, clock_us)
		&& log_allowed(&app->clock_limit, loop_now_us(), NULL))
		log_error("main",
			"another node's clock is more than an hour ahead: set one of them",
			log_str("url", url));
}

/* --- reload --- */

static void log_levels_apply(const struct config *config)
{
	log_set_level((enum log_level)config->log_level);
	log_set_modules(config->log_modules); // config.c has looked at the form
}

/** What cannot be read anew stays as it was, and log and answer say why. */
static void reload(struct app *app, char answer[CONTROL_ANSWER_BYTES])
{
	static struct config_report report;
	enum config_status status
		= config_reload(&app->config, app->argc, app->argv, environ, &report);
	const char *reason = status == CONFIG_INVALID ? report.error : "out of memory";
	char err[512] = "";

	if (status == CONFIG_OK) {
		log_levels_apply(&app->config);
		snprintf(answer, CONTROL_ANSWER_BYTES, "ok reloaded, %u settings need a restart",
			report.warnings);
	} else {
		log_error("config", "settings not read anew, the old ones stay",
			log_str("reason", reason));
		snprintf(answer, CONTROL_ANSWER_BYTES, "error settings stay: %.400s", reason);
	}
	for (unsigned i = 0; i < report.warnings; i++)
		log_warn("config", report.warning[i]);
	if (status == CONFIG_OK && app->watch != NULL)
		region_watch_configure(
			app->watch, app->config.regions, app->config.region_check_ms);
	if (app->ws == NULL)
		return;
	if (ws_reload_certificate(app->ws, err, sizeof(err)) < 0) {
		log_error("main", "certificate not read anew, the old one stays",
			log_str("reason", err));
		snprintf(answer, CONTROL_ANSWER_BYTES, "error certificate stays: %.400s", err);
	}
	log_info("main", "reloaded", log_str("settings", status == CONFIG_OK ? "new" : "old"),
		log_str("certificate", err[0] == '\0' ? "new" : "old"));
}

static void reload_and_say(struct app *app, char answer[CONTROL_ANSWER_BYTES])
{
	service_reloading();
	reload(app, answer);
	// Before the start is over it says so itself.
	if (!app->site.starting)
		service_ready();
}

static void on_hangup(uv_signal_t *handle, int signal)
{
	char answer[CONTROL_ANSWER_BYTES];

	(void)signal;
	reload_and_say(handle->data, answer);
}

/* --- commands --- */

static void command_drain(void *ctx, char answer[CONTROL_ANSWER_BYTES])
{
	struct app *app = ctx;
	bool begun = drain_begin(&app->drain);

	snprintf(answer, CONTROL_ANSWER_BYTES, "ok drains%s, %u members, %u seconds at most",
		begun ? "" : " already", core_members_here(app->core),
		app->config.drain_deadline_sec);
}

static void command_reload(void *ctx, char answer[CONTROL_ANSWER_BYTES])
{
	reload_and_say(ctx, answer);
}

static void command_status(void *ctx, char answer[CONTROL_ANSWER_BYTES])
{
	const struct app *app = ctx;
	struct core_figures figures;

	core_figures(app->core, &figures);
	snprintf(answer, CONTROL_ANSWER_BYTES,
		"ok %s, node %s, region %s, %u rooms, %u members here, data plane %s",
		app->site.draining   ? "drains"
		: app->site.starting ? "starts"
				     : "serves",
		app->config.node_id, app->config.region, figures.rooms,
		core_members_here(app->core),
		app->media == NULL           ? "not used"
		: media_attached(app->media) ? "attached"
					     : "away");
}

static const struct control_command commands[] = {
	{"drain", command_drain},
	{"reload", command_reload},
	{"status", command_status},
	{NULL, NULL},
};

/* --- stop --- */

static void on_stop_check(uv_timer_t *timer)
{
	struct app *app = timer->data;

	if (ws_connections(app->ws) > 0 && loop_now_us() < app->timer_end_us)
		return;
	uv_timer_stop(timer);
	uv_stop(&app->loop.uv);
}

static void on_stop(void *ctx, int signal)
{
	struct app *app = ctx;

	log_info("main", "stopping", log_num("signal", signal));
	service_stopping();
	app->site.draining = true;
	// Calls wait for the successor, unless they were sent away.
	if (app->journal != NULL && signal != SIGUSR1) {
		journal_freeze(app->journal);
		core_hand_over(app->core);
	} else {
		core_end_parked(app->core);
	}
	if (app->ws == NULL) {
		uv_stop(&app->loop.uv);
		return;
	}
	ws_stop(app->ws);
	app->timer_end_us = loop_now_us() + STOP_WAIT_MS * 1000u;
	uv_timer_start(&app->timer, on_stop_check, 0, STOP_CHECK_MS);
}

static void on_drained(void *ctx)
{
	on_stop(ctx, SIGUSR1);
}

/* --- start --- */

static void complain(const char *text)
{
	fprintf(stderr, "sfu-ctl: %s\n", text);
}

/** Keys and tokens are in this memory: it is not for debuggers and core files. */
static void protect_memory(void)
{
	const struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static void on_media_log(void *ctx, int priority, const char *line)
{
	enum log_level level = priority <= LOG_ERR       ? LOG_LEVEL_ERROR
			       : priority == LOG_WARNING ? LOG_LEVEL_WARN
			       : priority <= LOG_INFO    ? LOG_LEVEL_INFO
							 : LOG_LEVEL_DEBUG;

	(void)ctx;
	log_at(level, "media", line);
}

static int start_journal(struct app *app)
{
	char note[128], err[320] = "";

	if (app->config.state_dir[0] == '\0' || !app->config.journal)
		return 0;
	app->journal = journal_open(
		app->config.state_dir, &app->left, note, sizeof(note), err, sizeof(err));
	if (app->journal == NULL) {
		complain(err);
		return -1;
	}
	if (note[0] != '\0')
		log_info("journal", note);
	return 0;
}

static void tell_all(void *ctx)
{
	const struct app *app = ctx;

	if (app->media != NULL)
		media_remember_all(app->media);
	core_remember_all(app->core);
}

static void on_journal_timer(uv_timer_t *timer)
{
	const struct app *app = timer->data;

	journal_tick(app->journal, loop_now_us());
}

static struct remember remember_of(const struct app *app)
{
	return app->journal != NULL ? *journal_remember(app->journal) : (struct remember){0};
}

/** What was there before us is there again; from now on changes are written. */
static void start_from_journal(struct app *app)
{
	struct restored restored;

	if (app->journal == NULL)
		return;
	if (app->media != NULL)
		media_restore(app->media, app->left);
	core_restore(app->core, app->left, &restored);
	memory_destroy(app->left);
	app->left = NULL;
	journal_begin(app->journal, tell_all, app);
	uv_timer_start(&app->journal_timer, on_journal_timer, JOURNAL_TICK_MS, JOURNAL_TICK_MS);
}

static int start_media(struct app *app)
{
	const struct media_options options = {
		.link_path = app->config.link_path,
		.state_dir = app->config.state_dir[0] != '\0' ? app->config.state_dir : NULL,
		.node_id = app->config.node_id,
		.remember = remember_of(app),
		.log = on_media_log,
	};
	char err[256] = "";

	if (!app->config.enable_dp)
		return 0;
	app->media = media_create(&app->loop.uv, &options, err, sizeof(err));
	if (app->media == NULL)
		complain(err);
	return app->media != NULL ? 0 : -1;
}

static int start_core(struct app *app)
{
	const struct core_io io = {
		.ctx = app,
		.send = io_send,
		.send_all = io_send_all,
		.close = io_close,
		.auth = io_auth,
		.random = io_random,
		.wall_ms = io_wall_ms,
		.now_us = io_now_us,
		.wake_at = io_wake_at,
		.remember = remember_of(app),
	};

	app->auth = auth_create(&app->loop.uv, &app->config, on_auth_done, app);
	if (app->auth != NULL)
		app->core = core_create(&app->config, &io, app->media);
	if (app->core == NULL)
		complain("out of memory: give it more, or set SFU_MAX_ROOMS lower");
	return app->core != NULL ? 0 : -1;
}

/** Other nodes, and going to them. */
static int start_regions(struct app *app)
{
	const struct region_watch_notices notices = {
		.ctx = app,
		.on_changed = on_regions_changed,
		.on_clock = on_region_clock,
	};
	uint8_t id[REGION_INSTANCE_BYTES / 2];
	char instance[REGION_INSTANCE_BYTES + 1];

	io_random(app, id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(instance + 2 * i, 3, "%02x", id[i]);
	regions_init(&app->regions, instance);
	core_set_regions(app->core, &app->regions);
	app->watch = region_watch_create(&app->loop.uv, &app->regions, &notices);
	if (app->watch == NULL) {
		complain("out of memory");
		return -1;
	}
	region_watch_configure(app->watch, app->config.regions, app->config.region_check_ms);
	app->drain.config = &app->config;
	app->drain.core = app->core;
	app->drain.draining = &app->site.draining;
	app->drain.on_empty = on_drained;
	app->drain.ctx = app;
	app->can_drain = true;
	return drain_init(&app->drain, &app->loop.uv);
}

static int start_control(struct app *app)
{
	char err[512] = "";

	if (app->config.control[0] == '\0')
		return 0;
	app->control = control_create(
		&app->loop.uv, app->config.control, commands, app, err, sizeof(err));
	if (app->control == NULL)
		complain(err);
	return app->control != NULL ? 0 : -1;
}

static int start_site(struct app *app)
{
	int result;

	app->site = (struct http_site){
		.config = &app->config,
		.core = app->core,
		.media = app->media,
		.auth = app->auth,
		.regions = &app->regions,
		.starting = true,
		.started_us = loop_now_us(),
	};
	result = http_site_open(&app->site);
	if (result < 0)
		fprintf(stderr,
			"sfu-ctl: SFU_WEB_ROOT=\"%s\" cannot be opened: %s; it must be a folder\n",
			app->config.web_root, strerror(-result));
	return result;
}

/** Settings that the data plane owns must not contradict it (design.md 12). False: they do. */
static bool media_agrees(const struct app *app)
{
	const struct media_info *info = media_info(app->media);
	const struct config *config = &app->config;
	bool announced = config->announced_ip[0] == '\0';

	for (uint32_t i = 0; info != NULL && i < info->address_count; i++) {
		const struct sfu_address *a = &info->address[i];
		char text[INET6_ADDRSTRLEN] = "";

		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, text, sizeof(text));
		if (strcmp(text, config->announced_ip) == 0)
			announced = true;
		if ((config->rtc_min_port_set && a->port < config->rtc_min_port)
			|| (config->rtc_max_port_set && a->port > config->rtc_max_port)) {
			fprintf(stderr,
				"sfu-ctl: the data plane has port %u, outside SFU_RTC_MIN_PORT=%u "
				"to SFU_RTC_MAX_PORT=%u: change one of them, or unset these\n",
				a->port, config->rtc_min_port, config->rtc_max_port);
			return false;
		}
	}
	if (info != NULL && !announced)
		fprintf(stderr,
			"sfu-ctl: the data plane does not announce SFU_ANNOUNCED_IP=\"%s\": change "
			"its configuration, or unset this\n",
			config->announced_ip);
	return info == NULL || announced;
}

/** Listen: until start_serving() for plain HTTP only, where /ready says no. */
static int start_listening(struct app *app)
{
	char err[256] = "";

	app->ws = ws_create(&app->loop.uv, &app->config, app->core, &app->site, &app->service, err,
		sizeof(err));
	if (app->ws == NULL) {
		complain(err);
		return -1;
	}
	app->site.ws = app->ws;
	return 0;
}

/** Take clients, and say so. */
static void start_serving(struct app *app)
{
	app->site.starting = false;
	printf("sfu-ctl ready: port %u region %s node %s mode %s%s\n", app->config.port,
		app->config.region, app->config.node_id,
		app->media != NULL && media_attached(app->media) ? "media" : "fallback",
		app->config.tls_cert[0] != '\0' ? " tls" : "");
	fflush(stdout);
	service_ready();
}

/** Wait for the data plane, at most ATTACH_WAIT_MS; then serve, or give up if it is required. */
static void on_start_check(uv_timer_t *timer)
{
	struct app *app = timer->data;
	bool attached = media_attached(app->media);

	if (!attached && loop_now_us() < app->timer_end_us)
		return;
	uv_timer_stop(timer);
	if (attached && !media_agrees(app))
		goto give_up;
	if (!attached && app->config.require_dp) {
		fprintf(stderr,
			"sfu-ctl: no data plane at SFU_LINK=\"%s\": start sfu-dp, or set "
			"SFU_REQUIRE_DP=0 to run without media\n",
			app->config.link_path);
		goto give_up;
	}
	if (!attached)
		log_warn("main", "no data plane yet: fallback mode until it comes",
			log_str("link", app->config.link_path));
	start_serving(app);
	return;

give_up:
	app->exit_code = EXIT_FAILURE;
	uv_stop(&app->loop.uv);
}

static int start_service(struct app *app)
{
	char err[256] = "";
	int result = service_init(&app->service, &app->loop.uv, err, sizeof(err));

	if (result == 0 && app->service.metrics_fd >= 0 && app->config.metrics_listen[0] == '\0') {
		// Figures would still be at SFU_PORT, too.
		snprintf(err, sizeof(err),
			"the service manager handed over a socket \"metrics\": set "
			"SFU_METRICS_LISTEN to its address");
		result = -EINVAL;
	}
	if (result < 0)
		complain(err);
	return result;
}

static int start(struct app *app)
{
	if (start_service(app) < 0)
		return -1;
	if (start_journal(app) < 0 || start_media(app) < 0 || start_core(app) < 0)
		return -1;
	start_from_journal(app);
	if (start_site(app) < 0 || start_regions(app) < 0 || start_control(app) < 0
		|| start_listening(app) < 0)
		return -1;
	if (app->config.dev_auth)
		log_warn("main",
			"CALLS_DEV_INSECURE_AUTH=1: every token is accepted, and all users "
			"whose tokens begin alike are one");
	if (app->media == NULL) {
		start_serving(app);
		return 0;
	}
	app->timer_end_us = loop_now_us() + ATTACH_WAIT_MS * 1000u;
	uv_timer_start(&app->timer, on_start_check, 0, STOP_CHECK_MS);
	return 0;
}

static int run(struct app *app)
{
	app->loop.on_stop = on_stop;
	app->loop.on_wake = on_wake;
	app->loop.ctx = app;
	if (loop_init(&app->loop) < 0) {
		complain("no event loop: raise the limit of open files");
		return EXIT_FAILURE;
	}
	uv_timer_init(&app->loop.uv, &app->timer);
	uv_timer_init(&app->loop.uv, &app->journal_timer);
	uv_signal_init(&app->loop.uv, &app->hangup);
	app->timer.data = app->journal_timer.data = app->hangup.data = app;
	uv_signal_start(&app->hangup, on_hangup, SIGHUP);
	app->site.root_fd = -1;

	if (start(app) == 0)
		uv_run(&app->loop.uv, UV_RUN_DEFAULT);
	else
		app->exit_code = EXIT_FAILURE;

	// A start that failed must not undo what a predecessor left.
	if (app->exit_code != EXIT_SUCCESS && app->journal != NULL && app->core != NULL) {
		journal_freeze(app->journal);
		core_hand_over(app->core);
	}
	// Connections say goodbye to the core, the core lets go of the media, in this order.
	ws_destroy(app->ws);
	auth_destroy(app->auth);
	region_watch_destroy(app->watch);
	if (app->core != NULL)
		core_destroy(app->core);
	media_destroy(app->media);
	memory_destroy(app->left);
	journal_close(app->journal);
	http_site_close(&app->site);
	control_destroy(app->control);
	if (app->can_drain)
		drain_fini(&app->drain);
	uv_close((uv_handle_t *)&app->timer, NULL);
	uv_close((uv_handle_t *)&app->journal_timer, NULL);
	uv_close((uv_handle_t *)&app->hangup, NULL);
	service_fini(&app->service);
	if (loop_fini(&app->loop, CLOSE_HANDLES_MS) < 0)
		log_warn("main", "handles were left open at the end");
	return app->exit_code;
}

/** "sfu-ctl drain": a command to a running one, found by the settings that it has. */
static int tell(const struct app *app, const char *command)
{
	char answer[CONTROL_ANSWER_BYTES];
	int result = control_ask(app->config.control, command, answer);

	fprintf(result == 0 ? stdout : stderr, "%s\n", answer);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct app app;
	static struct config_report report;
	const char *command = NULL;
	enum config_status status;
	int code;

	protect_memory();
	if (argc > 1 && argv[1][0] != '-') {
		command = argv[1];
		argc--;
		argv++;
	}
	app.argc = argc;
	app.argv = argv;
	if (config_init(&app.config) < 0) {
		complain("out of memory");
		return EXIT_FAILURE;
	}
	status = config_load(&app.config, argc, argv, environ, &report);
	log_levels_apply(&app.config);
	for (unsigned i = 0; i < report.warnings; i++)
		log_warn("config", report.warning[i]);

	switch (status) {
	case CONFIG_OK:
		code = command != NULL ? tell(&app, command) : run(&app);
		break;
	case CONFIG_HELP:
		config_help(stdout);
		code = EXIT_SUCCESS;
		break;
	case CONFIG_PRINT:
		config_print(&app.config, stdout);
		code = EXIT_SUCCESS;
		break;
	case CONFIG_VERSION:
		printf("sfu-ctl %s\n", VERSION);
		code = EXIT_SUCCESS;
		break;
	case CONFIG_NO_MEMORY:
		complain("out of memory");
		code = EXIT_FAILURE;
		break;
	default:
		complain(report.error);
		code = EXIT_CONFIG;
		break;
	}
	config_fini(&app.config);
	return code;
}
