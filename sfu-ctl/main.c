// SPDX-License-Identifier: BSD-3-Clause
/** Start and stop order of sfu-ctl; everything it is made of is created, wired and freed here. */
#include "sfu-ctl/auth.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/http.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>

#define VERSION "0.1.0"

/** How long a start waits for the data plane. */
#define ATTACH_WAIT_MS 2000u
/** How long a stop waits for the close frames to leave. */
#define STOP_WAIT_MS 300u
#define STOP_CHECK_MS 10u
#define CLOSE_HANDLES_MS 300u

enum { EXIT_CONFIG = 2 };

struct app {
	struct config config;
	struct loop loop;
	struct media *media; /* NULL: fallback mode */
	struct core *core;
	struct auth *auth;
	struct http_site site;
	struct ws *ws;
	uv_timer_t timer; /* of start, then of stop */
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

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	ws_close(conn, code, reason);
}

static void io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct app *app = ctx;

	auth_check(app->auth, session_id, request_id, token, len);
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
	unsigned char *bytes = out;

	(void)ctx;
	while (len > 0) {
		ssize_t got = getrandom(bytes, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); // ids that can be guessed are worse than no service
		bytes += got;
		len -= (size_t)got;
	}
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

/* --- reload --- */

/** What cannot be read anew stays as it was, and the log says why. */
static void on_hangup(uv_signal_t *handle, int signal)
{
	static struct config_report report;
	struct app *app = handle->data;
	enum config_status status
		= config_reload(&app->config, app->argc, app->argv, environ, &report);
	char err[512] = "";

	(void)signal;
	if (status == CONFIG_OK)
		log_set_level((enum log_level)app->config.log_level);
	else
		log_error("config", "settings not read anew, the old ones stay",
			log_str("reason",
				status == CONFIG_INVALID ? report.error : "out of memory"));
	for (unsigned i = 0; i < report.warnings; i++)
		log_warn("config", report.warning[i]);
	if (app->ws == NULL)
		return;
	if (ws_reload_certificate(app->ws, err, sizeof(err)) < 0)
		log_error("main", "certificate not read anew, the old one stays",
			log_str("reason", err));
	log_info("main", "reloaded", log_str("settings", status == CONFIG_OK ? "new" : "old"),
		log_str("certificate", err[0] == '\0' ? "new" : "old"));
}

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
	app->site.draining = true;
	if (app->ws == NULL) {
		uv_stop(&app->loop.uv);
		return;
	}
	ws_stop(app->ws);
	app->timer_end_us = loop_now_us() + STOP_WAIT_MS * 1000u;
	uv_timer_start(&app->timer, on_stop_check, 0, STOP_CHECK_MS);
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

static int start_media(struct app *app)
{
	const struct media_options options = {
		.link_path = app->config.link_path,
		.state_dir = app->config.state_dir[0] != '\0' ? app->config.state_dir : NULL,
		.node_id = app->config.node_id,
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
		.close = io_close,
		.auth = io_auth,
		.random = io_random,
		.wall_ms = io_wall_ms,
		.now_us = io_now_us,
		.wake_at = io_wake_at,
	};

	app->auth = auth_create(&app->loop.uv, &app->config, on_auth_done, app);
	if (app->auth != NULL)
		app->core = core_create(&app->config, &io, app->media);
	if (app->core == NULL)
		complain("out of memory: give it more, or set SFU_MAX_ROOMS lower");
	return app->core != NULL ? 0 : -1;
}

static int start_site(struct app *app)
{
	int result;

	app->site = (struct http_site){
		.config = &app->config,
		.core = app->core,
		.media = app->media,
		.auth = app->auth,
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

/** Listen and say so. */
static int start_serving(struct app *app)
{
	char err[256] = "";

	app->ws = ws_create(&app->loop.uv, &app->config, app->core, &app->site, err, sizeof(err));
	if (app->ws == NULL) {
		complain(err);
		return -1;
	}
	app->site.ws = app->ws;
	printf("sfu-ctl ready: port %u region %s node %s mode %s%s\n", app->config.port,
		app->config.region, app->config.node_id,
		app->media != NULL && media_attached(app->media) ? "media" : "fallback",
		app->config.tls_cert[0] != '\0' ? " tls" : "");
	fflush(stdout);
	return 0;
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
	if (start_serving(app) == 0)
		return;

give_up:
	app->exit_code = EXIT_FAILURE;
	uv_stop(&app->loop.uv);
}

static int start(struct app *app)
{
	if (start_media(app) < 0 || start_core(app) < 0 || start_site(app) < 0)
		return -1;
	if (app->config.dev_auth)
		log_warn("main",
			"CALLS_DEV_INSECURE_AUTH=1: every token is accepted, and all users "
			"whose tokens begin alike are one");
	if (app->media == NULL)
		return start_serving(app);
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
	uv_signal_init(&app->loop.uv, &app->hangup);
	app->timer.data = app->hangup.data = app;
	uv_signal_start(&app->hangup, on_hangup, SIGHUP);
	app->site.root_fd = -1;

	if (start(app) == 0)
		uv_run(&app->loop.uv, UV_RUN_DEFAULT);
	else
		app->exit_code = EXIT_FAILURE;

	// Connections say goodbye to the core, the core lets go of the media, in this order.
	ws_destroy(app->ws);
	auth_destroy(app->auth);
	if (app->core != NULL)
		core_destroy(app->core);
	media_destroy(app->media);
	http_site_close(&app->site);
	uv_close((uv_handle_t *)&app->timer, NULL);
	uv_close((uv_handle_t *)&app->hangup, NULL);
	if (loop_fini(&app->loop, CLOSE_HANDLES_MS) < 0)
		log_warn("main", "handles were left open at the end");
	return app->exit_code;
}

int main(int argc, char **argv)
{
	static struct app app;
	static struct config_report report;
	enum config_status status;
	int code;

	protect_memory();
	app.argc = argc;
	app.argv = argv;
	if (config_init(&app.config) < 0) {
		complain("out of memory");
		return EXIT_FAILURE;
	}
	status = config_load(&app.config, argc, argv, environ, &report);
	log_set_level((enum log_level)app.config.log_level);
	for (unsigned i = 0; i < report.warnings; i++)
		log_warn("config", report.warning[i]);

	switch (status) {
	case CONFIG_OK:
		code = run(&app);
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
