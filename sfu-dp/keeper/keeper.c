// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/keeper/pace.h"
#include "sfu-dp/keeper/runtime.h"
#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/log.h"
#include "sfu-dp/state/memory.h"
#include "sfu-dp/state/restore.h"
#include "shared/service/notify.h"

#define STATE_NAME "sfu-state"
/** A process that gives no sign for so long is reported, and then ended. A pause of a debugger is
 * shorter; in one of the machine we stand still ourselves. */
#define QUIET_US 1000000u
#define HUNG_US 10000000u
/** After SIGTERM, before SIGKILL. */
#define STOP_US 4000000u
/** What a process may take to let go of its port; then it is killed, its state is whole anyway. */
#define RELEASE_US 1000000u
#define PREPARE_US 20000000u
#define BACKOFF_FIRST_US 50000u
#define BACKOFF_MAX_US 5000000u
/** Deaths in a row before any packet could be forwarded: after these the state is given up, */
#define STATE_TRIES 3u
/** and after these we are. */
#define TRIES 10u

enum child_phase {
	CHILD_NONE,
	CHILD_STARTING,
	CHILD_STANDING_BY,
	CHILD_PREPARING,
	CHILD_GOING, /* told to go */
	CHILD_READY,
	CHILD_RELEASING,
};

struct child {
	pid_t pid;
	int fd; /* tie */
	enum child_phase phase;
	uint64_t phase_us; /* since when */
	uint64_t beat_us; /* last sign of life */
	bool is_quiet; /* reported */
	bool is_ours; /* our child, and not taken over */
};

struct keeper {
	const struct config *config;
	char **argv;
	char path[112];
	char program[256]; /* ourselves */
	size_t state_bytes;
	int state_fd;
	int signals;
	struct child active, next;
	struct tie_held port; /* of the active one, for who follows */
	bool handing_over;
	uint64_t asked_us; /* hand-over */
	bool was_ready; /* at some time, some process */
	unsigned failures; /* ends in a row without having been ready */
	uint64_t start_us; /* when to start again; 0 = not due */
	bool stopping;
	uint64_t stop_us;
	int status;
	uint64_t watchdog_us, watched_us;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void phase_set(struct child *c, enum child_phase phase, uint64_t now_us)
{
	c->phase = phase;
	c->phase_us = c->beat_us = now_us;
	c->is_quiet = false;
}

static void child_forget(struct child *c)
{
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct child){.fd = -1};
}

/* Starting. In the child only what is safe after fork(). */

static void become(struct keeper *k, int tie, bool waits)
{
	char value[64];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	// A terminal's signals go to the whole group: the keeper passes on what is meant for us.
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	fcntl(tie, F_SETFD, 0);
	fcntl(k->state_fd, F_SETFD, 0);
	snprintf(value, sizeof(value), "%d,%d,%s", tie, k->state_fd, waits ? "wait" : "go");
	setenv("SFU_DP_KEEPER", value, 1);
	// By name: an upgrade has put another program there.
	execv(k->program, k->argv);
	execv("/proc/self/exe", k->argv);
	fprintf(stderr, "sfu-dp: cannot start itself again: %s\n", strerror(errno));
	_exit(1);
}

static bool child_start(struct keeper *k, struct child *c, bool waits, uint64_t now_us)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return false;
	if (!waits && k->port.value)
		tie_send_port(pair[0], &k->port);
	pid = fork();
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return false;
	}
	if (!pid)
		become(k, pair[1], waits);
	close(pair[1]);
	*c = (struct child){.pid = pid, .fd = pair[0], .is_ours = true};
	phase_set(c, waits ? CHILD_STARTING : CHILD_GOING, now_us);
	return true;
}

static void start_later(struct keeper *k, uint64_t now_us)
{
	unsigned doublings = k->failures > 8 ? 8 : k->failures;
	uint64_t pause_us = k->failures ? (uint64_t)BACKOFF_FIRST_US << doublings : 0;

	k->start_us = now_us + (pause_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : pause_us);
}

static void start_now(struct keeper *k, uint64_t now_us)
{
	k->start_us = 0;
	if (child_start(k, &k->active, false, now_us))
		return;
	log_line(LOG_ERR, "keeper", "cannot start a process", "error=%s", strerror(errno));
	k->failures++;
	start_later(k, now_us);
}

/* The state */

static bool state_make(struct keeper *k)
{
	int fd = state_memory_create(k->state_bytes);

	if (fd < 0) {
		fprintf(stderr, "sfu-dp: stream state: no memory for %zu MB: %s\n",
			k->state_bytes >> 20, strerror(errno));
		return false;
	}
	if (k->state_fd >= 0)
		close(k->state_fd);
	k->state_fd = fd;
	notify_say("FDSTOREREMOVE=1\nFDNAME=" STATE_NAME);
	notify_keep(STATE_NAME, fd);
	return true;
}

/** What a service manager kept for us; -1 = nothing. */
static int state_kept(void)
{
	struct notify_given given[NOTIFY_GIVEN_MAX];
	unsigned n = notify_given(given);
	int found = -1;

	for (unsigned i = 0; i < n; i++) {
		if (found < 0 && !strcmp(given[i].name, STATE_NAME))
			found = given[i].fd;
		else
			close(given[i].fd);
	}
	return found;
}

/** What systemd kept for us or a process has that lost its keeper; or a new one. */
static bool state_find_or_make(struct keeper *k, uint64_t now_us)
{
	int kept = state_kept();

	k->state_fd = tie_take_over(k->path, &k->active.pid, &k->active.fd);
	if (k->state_fd >= 0) {
		log_line(LOG_NOTICE, "keeper", "took over a process that forwards", "pid=%d",
			(int)k->active.pid);
		phase_set(&k->active, CHILD_READY, now_us);
		k->was_ready = true;
		notify_keep(STATE_NAME, k->state_fd);
		notify_say("READY=1");
		// As that process did when it was ready itself.
		printf("sfu-dp ready: took over process %d\n", (int)k->active.pid);
		fflush(stdout);
		return true;
	}
	if (kept >= 0 && state_memory_size(kept) == k->state_bytes) {
		k->state_fd = kept;
		return true;
	}
	return state_make(k);
}

/* Deaths */

/** The active one is to go on. */
static void go(struct keeper *k, uint64_t now_us)
{
	if (k->port.value)
		tie_send_port(k->active.fd, &k->port);
	tie_send(k->active.fd, TIE_GO, 0);
	// It may be far from reading that.
	pace_as_ours(k->active.pid);
	phase_set(&k->active, CHILD_GOING, now_us);
}

/** A process did not get as far as forwarding. True: it is worth another try. */
static bool worth_another_try(struct keeper *k, int status)
{
	bool said_why = WIFEXITED(status);

	k->failures++;
	if (!k->was_ready && said_why)
		return false;
	if (k->failures == STATE_TRIES) {
		log_line(LOG_ERR, "keeper", "the stream state is given up: calls start anew", NULL);
		return state_make(k);
	}
	return k->failures < TRIES;
}

static void active_ended(struct keeper *k, int status, uint64_t now_us)
{
	bool was_ready = k->active.phase >= CHILD_READY;
	// It went because we told it to, also when who should have followed it died first.
	bool released = k->active.phase == CHILD_RELEASING;

	child_forget(&k->active);
	if (k->stopping)
		return;
	if (was_ready && !released && WIFEXITED(status) && !WEXITSTATUS(status)
		&& !k->handing_over) {
		// Somebody sent it the SIGTERM that was meant for us.
		k->stopping = true;
		k->stop_us = now_us;
		return;
	}
	if (!k->handing_over)
		log_line(LOG_ERR, "keeper", "the process ended", "%s=%d",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (was_ready)
		k->failures = 0;
	else if (!worth_another_try(k, status)) {
		k->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		k->stopping = true;
		k->stop_us = now_us;
		return;
	}
	// One that has its EAL up already is there sooner than a new one.
	if (k->next.phase == CHILD_STANDING_BY || k->next.phase == CHILD_PREPARING) {
		k->active = k->next;
		k->next = (struct child){.fd = -1};
		k->handing_over = false;
		go(k, now_us);
		return;
	}
	start_later(k, now_us);
}

static void next_ended(struct keeper *k)
{
	if (k->handing_over)
		log_line(LOG_ERR, "keeper", "hand-over: the new process ended, the old one goes on",
			NULL);
	child_forget(&k->next);
	k->handing_over = false;
}

static void reap(struct keeper *k, uint64_t now_us)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == k->active.pid)
			active_ended(k, status, now_us);
		else if (pid == k->next.pid)
			next_ended(k);
	}
}

/* Hand-over */

static void next_prepare(struct keeper *k, uint64_t now_us)
{
	if (k->port.value)
		tie_send_port(k->next.fd, &k->port);
	tie_send(k->next.fd, TIE_PREPARE, 0);
	phase_set(&k->next, CHILD_PREPARING, now_us);
}

static void hand_over_begin(struct keeper *k, uint64_t now_us)
{
	if (k->handing_over || k->active.phase != CHILD_READY)
		return;
	k->handing_over = true;
	k->asked_us = now_us;
	log_line(LOG_NOTICE, "keeper", "hand-over begins", NULL);
	if (k->next.phase == CHILD_STANDING_BY) {
		next_prepare(k, now_us);
	} else if (k->next.phase == CHILD_NONE && !child_start(k, &k->next, true, now_us)) {
		k->handing_over = false;
	}
}

static void hand_over_go(struct keeper *k, uint64_t now_us)
{
	struct child old = k->active;

	k->active = k->next;
	k->next = (struct child){.fd = -1};
	k->handing_over = false;
	go(k, now_us);
	// Its end is nobody's business any more; reap() passes over it.
	child_forget(&old);
}

/* Messages */

static void active_says(struct keeper *k, enum tie_type type, uint64_t now_us)
{
	k->active.beat_us = now_us;
	if (k->active.is_quiet) {
		k->active.is_quiet = false;
		log_line(LOG_NOTICE, "keeper", "the process answers again", NULL);
	}
	switch (type) {
	case TIE_READY:
		phase_set(&k->active, CHILD_READY, now_us);
		k->was_ready = true;
		k->failures = 0;
		notify_say("READY=1");
		break;
	case TIE_HAND_OVER:
		hand_over_begin(k, now_us);
		break;
	case TIE_RELEASED:
		if (k->handing_over)
			hand_over_go(k, now_us);
		break;
	case TIE_LOST:
		close(k->active.fd);
		k->active.fd = -1;
		// Of one that is not our child nothing else tells its end.
		if (!k->active.is_ours)
			active_ended(k, SIGKILL, now_us);
		break;
	default:
		break;
	}
}

static void next_says(struct keeper *k, enum tie_type type, uint64_t now_us)
{
	switch (type) {
	case TIE_STANDING_BY:
		phase_set(&k->next, CHILD_STANDING_BY, now_us);
		if (k->handing_over)
			next_prepare(k, now_us);
		break;
	case TIE_PREPARED:
		if (k->handing_over) {
			tie_send(k->active.fd, TIE_RELEASE, 0);
			phase_set(&k->active, CHILD_RELEASING, now_us);
		}
		break;
	case TIE_LOST:
		close(k->next.fd);
		k->next.fd = -1;
		break;
	default:
		break;
	}
}

static void listen_to(struct keeper *k, struct child *c, struct tie_held *held,
	void (*says)(struct keeper *, enum tie_type, uint64_t), uint64_t now_us)
{
	enum tie_type type;
	int fd = c->fd;

	// A message may replace the child.
	while (c->fd == fd && (type = tie_receive(fd, held)) != TIE_NONE)
		says(k, type, now_us);
}

/* Time */

static void child_kill(struct child *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

/** We did not run, and neither did who shall give signs: he has that time again. */
static void stood_still(struct keeper *k, uint64_t now_us)
{
	k->active.beat_us = now_us;
	k->active.phase_us = now_us;
	k->asked_us = now_us;
	if (k->stop_us)
		k->stop_us = now_us;
}

static void watch(struct keeper *k, uint64_t now_us)
{
	struct child *a = &k->active;

	if (a->phase == CHILD_READY && now_us - a->beat_us >= QUIET_US && !a->is_quiet) {
		a->is_quiet = true;
		log_line(LOG_WARNING, "keeper", "the process gives no sign of life", "pid=%d",
			(int)a->pid);
	}
	if (a->phase >= CHILD_READY && now_us - a->beat_us >= HUNG_US) {
		log_line(LOG_ERR, "keeper", "the process hangs and is killed", "pid=%d",
			(int)a->pid);
		child_kill(a);
		a->beat_us = now_us;
	}
	if (a->phase == CHILD_RELEASING && now_us - a->phase_us >= RELEASE_US) {
		child_kill(a);
		a->phase_us = now_us;
	}
	if (k->handing_over && k->next.phase != CHILD_NONE && a->phase == CHILD_READY
		&& now_us - k->asked_us >= PREPARE_US) {
		log_line(LOG_ERR, "keeper", "hand-over: the new process does not get ready", NULL);
		child_kill(&k->next);
	}
	if (k->start_us && now_us >= k->start_us && !k->stopping)
		start_now(k, now_us);
	if (!strcmp(k->config->standby, "on") && a->phase == CHILD_READY
		&& k->next.phase == CHILD_NONE && !k->stopping)
		child_start(k, &k->next, true, now_us);
	// Not while the process hangs: systemd shall see it, too.
	if (k->watchdog_us && !a->is_quiet && now_us - k->watched_us >= k->watchdog_us) {
		k->watched_us = now_us;
		notify_say("WATCHDOG=1");
	}
}

static void stop_turn(struct keeper *k, uint64_t now_us)
{
	if (!k->stop_us) {
		k->stop_us = now_us;
		notify_say("STOPPING=1");
		if (k->active.pid > 0)
			kill(k->active.pid, SIGTERM);
	}
	child_kill(&k->next);
	if (now_us - k->stop_us >= STOP_US)
		child_kill(&k->active);
}

/** While nobody forwards each message passes by us. */
static void pace(const struct keeper *k)
{
	bool nobody = k->active.phase == CHILD_GOING || k->active.phase == CHILD_RELEASING;

	pace_set(nobody ? PACE_FIRST : PACE_USUAL);
}

static bool is_over(const struct keeper *k)
{
	return k->stopping && k->active.pid <= 0 && k->next.pid <= 0;
}

static void signals_take(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			k->stopping = true;
	}
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void loop(struct keeper *k)
{
	uint64_t last_us = clock_us();

	while (!is_over(k)) {
		struct pollfd fds[3] = {
			{.fd = k->signals, .events = POLLIN},
			{.fd = k->active.fd, .events = POLLIN},
			{.fd = k->next.fd, .events = POLLIN},
		};
		// Nothing below is due sooner but a start, and that shall not wait.
		int timeout_ms = k->start_us ? 5 : 100;
		uint64_t now_us;

		poll(fds, 3, timeout_ms);
		now_us = clock_us();
		if (now_us - last_us >= QUIET_US)
			stood_still(k, now_us);
		last_us = now_us;
		// Before deaths: a group's signal may end the process first.
		signals_take(k);
		listen_to(k, &k->active, &k->port, active_says, now_us);
		listen_to(k, &k->next, NULL, next_says, now_us);
		reap(k, now_us);
		// Before anything is started.
		pace(k);
		watch(k, now_us);
		if (k->stopping)
			stop_turn(k, now_us);
	}
}

int keeper_run(const struct config *config, char **argv)
{
	struct objects_limits objects = {config->max_rooms, config->max_peers,
		config->max_transports, config->max_producers, config->max_consumers};
	struct state_limits limits = state_limits_of(&objects);
	struct keeper k = {
		.config = config,
		.argv = argv,
		.state_bytes = state_bytes(&limits),
		.state_fd = -1,
		.active = {.fd = -1},
		.next = {.fd = -1},
		.watchdog_us = notify_watchdog_us(),
	};

	if (!tie_path(k.path, config->cli)) {
		fprintf(stderr, "sfu-dp: SFU_DP_CLI: the path is too long\n");
		return 2;
	}
	if (readlink("/proc/self/exe", k.program, sizeof(k.program) - 1) < 0)
		k.program[0] = 0;
	k.signals = signals_open();
	if (k.signals < 0 || !state_find_or_make(&k, clock_us()))
		return 1;
	runtime_make();
	if (k.active.phase == CHILD_NONE)
		start_now(&k, clock_us());
	loop(&k);
	tie_held_close(&k.port);
	runtime_remove();
	notify_say("FDSTOREREMOVE=1\nFDNAME=" STATE_NAME);
	return k.status;
}
