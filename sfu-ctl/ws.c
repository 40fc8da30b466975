// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/ws.h"

#include "sfu-ctl/certificate.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/http.h"
#include "sfu-ctl/listener.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/proxy.h"
#include "sfu-ctl/send_queue.h"
#include "sfu-ctl/service.h"
#include "sfu-ctl/socket_name.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/** From accepting a connection to the end of its request header, TLS handshake included. */
#define HEADER_TIMEOUT_SEC 5
#define KEEPALIVE_SEC 15
/** From the wish to close a connection to cutting it. */
#define CLOSE_DEADLINE_US 5000000u
#define HEADER_BYTES 4096
/** What libwebsockets keeps for each connection: most requests fit, the others come in pieces. */
#define RX_BUFFER_BYTES 1024
/** What one write takes at most, several messages together. */
#define WRITE_BYTES 16384u
/** Answers of one turn that need no queue. */
#define ANSWERS_BYTES 32768u
/** Connections that are written to before the turn of the loop is over. */
#define UNWRITTEN_MAX 32u
/** Who has so much to read is not read from any more, until half of it has gone. */
#define PAUSE_BYTES 32768u
/** A queue that does not move at all for so long belongs to a peer that does not read. */
#define STALL_US 8000000u
/** A request's body is read and forgotten up to here; none of our answers needs one. */
#define BODY_MAX_BYTES 65536u
#define FILE_CHUNK_BYTES 16384u
/** An answer goes on while its reader takes so much in so long, 3 kB/s; who does not is closed. */
#define PROGRESS_BYTES 32768u
#define PROGRESS_SEC 10
#define PATH_BYTES 1024u
#define ACCEPT_BYTES 512u
#define FORWARDED_BYTES 512u
#define AUTHORIZATION_BYTES 1024u
/** A timer so late is none that a busy machine explains. */
#define STOOD_STILL_US 1000000u
/** Descriptors that are neither connections nor files being sent: log, link, curl, TLS files, journal. */
#define RESERVED_FDS 64u
#define MAX_FDS 65536u
/** A hard limit that leaves so few is more likely an oversight than a wish. */
#define FEW_CONNECTIONS 1000u
/** Longest subprotocol and list of subprotocols that libwebsockets handles, with NUL. */
#define SUBPROTOCOL_BYTES 64u
#define SUBPROTOCOLS_BYTES 127u

/** A ping that carries one octet: libwebsockets keeps the answer to an empty one to itself. */
static const unsigned char ping_frame[] = {0x89, 0x01, 'h'};

/** The kind of a close frame for lws_write(); private to libwebsockets, 4 in all its versions. */
#define WRITE_CLOSE ((enum lws_write_protocol)4)

enum { CLOSE_GOING_AWAY = 1001, CLOSE_TOO_BIG = 1009, CLOSE_TRY_LATER = 1013 };

/** An HTTP answer under way. */
struct transfer {
	struct http_answer answer;
	size_t sent;
	size_t timed_at; /* sent, when the time for progress began */
	bool head; /* HEAD: header only */
	bool last; /* close the connection afterwards */
	bool deferred; /* the request's body comes first */
};

/** One TCP connection; lives in libwebsockets' per-session memory, zeroed by it. */
struct conn {
	struct ws *ws;
	struct lws *wsi;
	struct transfer *transfer; /* HTTP only */

	/* WebSocket only */
	struct session *session; /* NULL before and after its life */
	TAILQ_ENTRY(conn) by_silence; /* longest silent first; all open ones */
	TAILQ_ENTRY(conn) by_ping; /* next ping first; all open ones */
	TAILQ_ENTRY(conn) by_deadline; /* earliest first; those with a deadline */
	TAILQ_ENTRY(conn) by_stall; /* earliest first; those whose socket takes no more */
	TAILQ_ENTRY(conn) by_need; /* those to write to before the loop waits */
	uint64_t heard_us;
	uint64_t ping_us;
	uint64_t deadline_us; /* cut then; 0 = none */
	uint64_t moved_us; /* when something was written last; 0 = not in by_stall */
	struct send_queue queue; /* to be written after the answers */
	uint32_t answers_at, answers_len; /* in ws->answers; 0 octets = none */
	char *assembly; /* fragments of a message so far */
	size_t assembly_len, assembly_size;
	uint16_t close_code; /* not 0: close with this once the queue is empty */
	char close_reason[64];
	bool watched; /* in the lists by_silence and by_ping */
	bool unwritten; /* in the list by_need */
	bool paused; /* not read from */
	bool ping_due;
	bool close_sent;
	bool clean; /* the peer sent a close frame */
};

TAILQ_HEAD(conn_list, conn);

struct ws {
	uv_loop_t *loop;
	const struct config *config;
	struct core *core;
	const struct http_site *site;
	struct listener *listener;
	struct listener *metrics_listener; /* SFU_METRICS_LISTEN; NULL without */
	struct lws_context *context;
	struct lws_vhost *vhost;
	SSL_CTX *tls; /* the vhost's; NULL without TLS */
	uv_timer_t timer; /* pings, silence, deadlines, stalls */
	uv_prepare_t prepare; /* writes what the turn of the loop has queued */
	uint64_t heartbeat_us, silence_us;
	uint64_t timer_us; /* when the timer is due */
	uint32_t open; /* connections */
	uint32_t files; /* of answers under way */
	uint32_t max_open; /* both together */
	uint64_t files_refused;
	bool stopping;
	bool accepted; /* in this turn of the loop */
	struct conn_list by_silence, by_ping, by_deadline, by_stall, by_need;
	uint32_t unwritten; /* in by_need */
	unsigned char write[LWS_PRE + WRITE_BYTES];
	/*
	 * What was sent to connections while they were read from, as it will be written: nearly all answers
	 * are that, and need no copy for a queue. Empty again when all has been written.
	 */
	struct conn *reading;
	size_t answers_len;
	unsigned char answers[ANSWERS_BYTES];
	struct log_limit full_limit, files_limit, close_limit;
	lws_retry_bo_t no_validity; /* all zero: libwebsockets' own pings are off */
	/*
	 * libwebsockets binds a connection to the protocol whose name was offered, and echoes that
	 * name. Ours has whatever name the connection that is being upgraded offers first.
	 */
	char subprotocol[SUBPROTOCOL_BYTES];
	struct lws_protocols protocols[2];
};

static const char module[] = "ws";

/* --- timers of open connections --- */

static void on_timer(uv_timer_t *handle);
static void write_later(struct conn *conn);
static void close_slow(struct conn *conn);

static uint64_t earliest_us(const struct ws *ws)
{
	const struct conn *silent = TAILQ_FIRST(&ws->by_silence);
	const struct conn *ping = TAILQ_FIRST(&ws->by_ping);
	const struct conn *deadline = TAILQ_FIRST(&ws->by_deadline);
	const struct conn *stalled = TAILQ_FIRST(&ws->by_stall);
	uint64_t at = UINT64_MAX;

	if (silent != NULL)
		at = silent->heard_us + ws->silence_us;
	if (ping != NULL && ping->ping_us < at)
		at = ping->ping_us;
	if (deadline != NULL && deadline->deadline_us < at)
		at = deadline->deadline_us;
	if (stalled != NULL && stalled->moved_us + STALL_US < at)
		at = stalled->moved_us + STALL_US;
	return at;
}

static void arm_timer(struct ws *ws)
{
	uint64_t at = earliest_us(ws);
	uint64_t now = loop_now_us();

	if (at == UINT64_MAX) {
		uv_timer_stop(&ws->timer);
		return;
	}
	ws->timer_us = at > now ? at : now;
	uv_update_time(ws->loop);
	uv_timer_start(&ws->timer, on_timer, at > now ? (at - now + 999) / 1000 : 0, 0);
}

/**
 * We stood still (stopped, or the machine was). What peers said meanwhile waits in their sockets: the
 * silence was ours. Everybody's times move by as much, so the lists stay in order.
 */
static void stood_still(struct ws *ws, uint64_t for_us)
{
	struct conn *conn;

	log_warn(module, "stood still", log_num("ms", (int64_t)(for_us / 1000)));
	TAILQ_FOREACH (conn, &ws->by_silence, by_silence) {
		conn->heard_us += for_us;
		conn->ping_us += for_us;
		conn->deadline_us += conn->deadline_us != 0 ? for_us : 0;
		conn->moved_us += conn->moved_us != 0 ? for_us : 0;
	}
}

static void unwatch(struct conn *conn)
{
	struct ws *ws = conn->ws;

	if (conn->watched) {
		TAILQ_REMOVE(&ws->by_silence, conn, by_silence);
		TAILQ_REMOVE(&ws->by_ping, conn, by_ping);
		conn->watched = false;
	}
	if (conn->deadline_us != 0) {
		TAILQ_REMOVE(&ws->by_deadline, conn, by_deadline);
		conn->deadline_us = 0;
	}
	if (conn->moved_us != 0) {
		TAILQ_REMOVE(&ws->by_stall, conn, by_stall);
		conn->moved_us = 0;
	}
	if (conn->unwritten) {
		TAILQ_REMOVE(&ws->by_need, conn, by_need);
		conn->unwritten = false;
		ws->unwritten--;
	}
	conn->answers_len = 0;
}

/** Which connection a line is about: the core's number, 0 before and after its session's life. */
static struct log_field log_conn(const struct conn *conn)
{
	return log_num(
		"conn", conn->session == NULL ? 0 : (int64_t)core_session_number(conn->session));
}

/** Only from our own timer: never from inside libwebsockets or the core. */
static void cut(struct conn *conn)
{
	// libwebsockets may first want to flush: it is not looked at again here meanwhile.
	unwatch(conn);
	if (conn->close_code == 0)
		conn->close_code = CLOSE_GOING_AWAY;
	// What its peer does not take libwebsockets would hold for five seconds more.
	if (lws_partial_buffered(conn->wsi))
		shutdown(lws_get_socket_fd(conn->wsi), SHUT_RDWR);
	lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static void on_timer(uv_timer_t *handle)
{
	struct ws *ws = handle->data;
	uint64_t now = loop_now_us();
	struct conn *conn;

	if (now > ws->timer_us + STOOD_STILL_US)
		stood_still(ws, now - ws->timer_us);
	// Each list has one constant delay, so appending keeps it sorted: only what is due is touched.
	while ((conn = TAILQ_FIRST(&ws->by_silence)) != NULL
		&& conn->heard_us + ws->silence_us <= now) {
		log_info(module, "silent peer dropped", log_conn(conn));
		cut(conn);
	}
	while ((conn = TAILQ_FIRST(&ws->by_deadline)) != NULL && conn->deadline_us <= now)
		cut(conn);
	while ((conn = TAILQ_FIRST(&ws->by_ping)) != NULL && conn->ping_us <= now) {
		TAILQ_REMOVE(&ws->by_ping, conn, by_ping);
		conn->ping_us = now + ws->heartbeat_us;
		TAILQ_INSERT_TAIL(&ws->by_ping, conn, by_ping);
		conn->ping_due = true;
		write_later(conn);
	}
	while ((conn = TAILQ_FIRST(&ws->by_stall)) != NULL && conn->moved_us + STALL_US <= now)
		close_slow(conn);
	arm_timer(ws);
}

static void heard(struct conn *conn)
{
	struct ws *ws = conn->ws;

	if (!conn->watched)
		return;
	conn->heard_us = uv_now(ws->loop) * 1000; // of the same clock, from the start of the turn
	TAILQ_REMOVE(&ws->by_silence, conn, by_silence);
	TAILQ_INSERT_TAIL(&ws->by_silence, conn, by_silence);
}

/* --- sending --- */

/** Written before the loop waits again, together with what else comes for it until then. */
static void write_later(struct conn *conn)
{
	struct ws *ws = conn->ws;

	if (conn->unwritten)
		return;
	TAILQ_INSERT_TAIL(&ws->by_need, conn, by_need);
	conn->unwritten = true;
	ws->unwritten++;
}

void ws_close(void *arg, uint16_t code, const char *reason)
{
	struct conn *conn = arg;

	if (conn->close_code != 0)
		return;
	conn->close_code = code;
	snprintf(
		conn->close_reason, sizeof(conn->close_reason), "%s", reason != NULL ? reason : "");
	conn->deadline_us = loop_now_us() + CLOSE_DEADLINE_US;
	TAILQ_INSERT_TAIL(&conn->ws->by_deadline, conn, by_deadline);
	arm_timer(conn->ws);
	write_later(conn);
}

/** It has had its chance: what it did not read it will not get. */
static void close_slow(struct conn *conn)
{
	uint32_t suppressed = 0;

	if (log_allowed(&conn->ws->close_limit, loop_now_us(), &suppressed))
		log_warn(module, "peer does not read, closed", log_conn(conn),
			log_num("queued_bytes", (int64_t)conn->queue.bytes),
			log_num("suppressed", suppressed));
	if (conn->moved_us != 0) {
		TAILQ_REMOVE(&conn->ws->by_stall, conn, by_stall);
		conn->moved_us = 0;
	}
	send_queue_clear(&conn->queue);
	ws_close(conn, CLOSE_TRY_LATER, "too slow");
}

/** @param text  NULL: there was no memory for it */
static void enqueue(struct conn *conn, struct send_text *text, bool latest)
{
	if (conn->close_code != 0)
		return;
	if (text != NULL && conn->queue.bytes + text->len > conn->ws->config->send_queue_bytes) {
		close_slow(conn);
		return;
	}
	if (text == NULL || send_queue_add(&conn->queue, text, latest) < 0) {
		// A gap in the order of messages is worse than a reconnect.
		ws_close(conn, CLOSE_TRY_LATER, "out of memory");
		return;
	}
	if (conn->queue.bytes > PAUSE_BYTES && !conn->paused) {
		conn->paused = true;
		lws_rx_flow_control(conn->wsi, 0);
	}
	write_later(conn);
}

/** An answer to what is being read. False: it takes the queue. */
static bool add_answer(struct conn *conn, const char *text, size_t len)
{
	struct ws *ws = conn->ws;
	size_t start = ws->answers_len;

	if (ws->reading != conn || conn->close_code != 0 || !send_queue_empty(&conn->queue)
		|| lws_partial_buffered(conn->wsi))
		return false;
	if (conn->answers_len == 0)
		start += LWS_PRE;
	else if (conn->answers_at + conn->answers_len != start)
		return false; // another one's follow its own
	if (start + SEND_HEADER_BYTES > ANSWERS_BYTES
		|| len > ANSWERS_BYTES - SEND_HEADER_BYTES - start)
		return false;
	if (conn->answers_len == 0)
		conn->answers_at = (uint32_t)start;
	ws->answers_len = start + send_text_frame(ws->answers + start, text, len);
	conn->answers_len = (uint32_t)ws->answers_len - conn->answers_at;
	write_later(conn);
	return true;
}

void ws_send(void *arg, const char *text, size_t len)
{
	if (!add_answer(arg, text, len))
		ws_send_all(&arg, 1, text, len, false);
}

void ws_send_all(void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	struct send_text *copy = send_text_create(text, len);

	for (size_t i = 0; i < count; i++)
		enqueue(conns[i], copy, latest);
	if (copy != NULL)
		send_text_release(copy);
}

/**
 * Write whole frames. What the socket does not take at once is libwebsockets' to keep and to send, and what
 * is to be encrypted goes through it anyway.
 */
static int write_frames(struct conn *conn, unsigned char *frames, size_t len)
{
	ssize_t sent = 0;

	if (conn->ws->tls == NULL && !lws_partial_buffered(conn->wsi)) {
		sent = send(lws_get_socket_fd(conn->wsi), frames, len, MSG_NOSIGNAL);
		if (sent == (ssize_t)len)
			return 0;
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (sent < 0)
			sent = 0;
	}
	return lws_write(conn->wsi, frames + sent, len - (size_t)sent, LWS_WRITE_RAW) < 0 ? -1 : 0;
}

/** A message of its own write: never in pieces, or the answer to a ping could get in between. */
static int write_long(struct conn *conn)
{
	unsigned char *room = malloc(LWS_PRE + send_queue_first_bytes(&conn->queue));
	int written;

	if (room == NULL)
		return -1;
	written = write_frames(conn, room + LWS_PRE, send_queue_take(&conn->queue, room + LWS_PRE));
	free(room);
	return written;
}

static int write_answers(struct conn *conn)
{
	size_t len = conn->answers_len;

	conn->answers_len = 0;
	return write_frames(conn, conn->ws->answers + conn->answers_at, len);
}

static int write_some(struct conn *conn)
{
	unsigned char *room = conn->ws->write + LWS_PRE;
	size_t len;

	if (send_queue_first_bytes(&conn->queue) > WRITE_BYTES - sizeof(ping_frame))
		return write_long(conn);
	len = send_queue_gather(&conn->queue, room, WRITE_BYTES - sizeof(ping_frame));
	if (conn->ping_due && conn->close_code == 0) {
		memcpy(room + len, ping_frame, sizeof(ping_frame));
		len += sizeof(ping_frame);
		conn->ping_due = false;
	}
	return write_frames(conn, room, len);
}

/** Remember since when the socket takes nothing, and go on reading when it takes enough. */
static void note_progress(struct conn *conn, bool moved)
{
	struct ws *ws = conn->ws;

	if (conn->paused && conn->queue.bytes < PAUSE_BYTES / 2) {
		conn->paused = false;
		lws_rx_flow_control(conn->wsi, 1);
	}
	if (conn->moved_us != 0 && (moved || send_queue_empty(&conn->queue))) {
		TAILQ_REMOVE(&ws->by_stall, conn, by_stall);
		conn->moved_us = 0;
	}
	if (send_queue_empty(&conn->queue) || conn->moved_us != 0 || conn->close_code != 0)
		return;
	conn->moved_us = loop_now_us();
	TAILQ_INSERT_TAIL(&ws->by_stall, conn, by_stall);
	arm_timer(ws);
}

/**
 * Send the close frame; the peer's answer or the deadline ends the connection. Not by
 * lws_close_reason() and a return of -1: built with _DEBUG, as Debian does, libwebsockets then closes
 * twice on libuv, and the frame never leaves.
 */
static int send_close(struct conn *conn)
{
	unsigned char frame[LWS_PRE + 2 + sizeof(conn->close_reason)];
	size_t len = strlen(conn->close_reason);

	frame[LWS_PRE] = (unsigned char)(conn->close_code >> 8);
	frame[LWS_PRE + 1] = (unsigned char)conn->close_code;
	memcpy(frame + LWS_PRE + 2, conn->close_reason, len);
	conn->close_sent = true;
	return lws_write(conn->wsi, frame + LWS_PRE, 2 + len, WRITE_CLOSE) < 0 ? -1 : 0;
}

/**
 * Write what is queued, as long as the socket takes it: what did not fit is libwebsockets' to send
 * first. It passes on frames that are frames already (LWS_WRITE_RAW), so that a result and its ACK, or the
 * answers to several requests, are one system call. 0 to go on, -1 to close.
 */
static int write_queue(struct conn *conn)
{
	bool moved = conn->answers_len > 0;

	if (moved && write_answers(conn) < 0)
		return -1;
	while ((!send_queue_empty(&conn->queue) || conn->ping_due)
		&& !lws_partial_buffered(conn->wsi)) {
		if (conn->close_code != 0 && send_queue_empty(&conn->queue))
			break;
		if (write_some(conn) < 0)
			return -1;
		moved = true;
	}
	note_progress(conn, moved);
	if (lws_partial_buffered(conn->wsi)) {
		lws_callback_on_writable(conn->wsi);
		return 0;
	}
	return conn->close_code != 0 && !conn->close_sent ? send_close(conn) : 0;
}

static void write_all(struct ws *ws)
{
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&ws->by_need)) != NULL) {
		TAILQ_REMOVE(&ws->by_need, conn, by_need);
		conn->unwritten = false;
		ws->unwritten--;
		if (write_queue(conn) < 0)
			lws_set_timeout(
				conn->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
	}
	ws->answers_len = 0;
}

static void on_prepare(uv_prepare_t *handle)
{
	struct ws *ws = handle->data;

	write_all(ws);
	// Its timers are looked at only in its own events: without one the header deadline would wait.
	if (ws->accepted)
		lws_cancel_service(ws->context);
	ws->accepted = false;
}

/* --- receiving --- */

static void assembly_clear(struct conn *conn)
{
	free(conn->assembly);
	conn->assembly = NULL;
	conn->assembly_len = conn->assembly_size = 0;
}

/** False: no memory. The size was checked. */
static bool assembly_add(struct conn *conn, const char *data, size_t len)
{
	size_t need = conn->assembly_len + len;

	if (need > conn->assembly_size) {
		size_t size = conn->assembly_size != 0 ? conn->assembly_size : 4096;
		char *bigger;

		while (size < need)
			size *= 2;
		bigger = realloc(conn->assembly, size);
		if (bigger == NULL)
			return false;
		conn->assembly = bigger;
		conn->assembly_size = size;
	}
	memcpy(conn->assembly + conn->assembly_len, data, len);
	conn->assembly_len = need;
	return true;
}

static void on_message(struct conn *conn, const char *text, size_t len)
{
	conn->ws->reading = conn;
	core_session_message(conn->session, text, len);
	conn->ws->reading = NULL;
}

/** One piece of a frame of a message. */
static void on_receive(struct conn *conn, const char *data, size_t len)
{
	size_t to_come = lws_remaining_packet_payload(conn->wsi);
	bool whole = lws_is_final_fragment(conn->wsi) && to_come == 0;
	size_t space = conn->ws->config->max_frame_bytes - conn->assembly_len;

	if (conn->ws->unwritten >= UNWRITTEN_MAX)
		write_all(conn->ws);
	heard(conn);
	if (conn->close_code != 0)
		return;
	// A length that cannot fit is refused when it is announced: nothing is kept for it.
	if (len > space || to_come > space - len) {
		assembly_clear(conn);
		ws_close(conn, CLOSE_TOO_BIG, "message too big");
		return;
	}
	if (whole && conn->assembly_len == 0) {
		on_message(conn, len > 0 ? data : "", len);
		return;
	}
	if (len > 0 && !assembly_add(conn, data, len)) {
		ws_close(conn, CLOSE_TRY_LATER, "out of memory");
		return;
	}
	if (whole) {
		on_message(conn, conn->assembly, conn->assembly_len);
		assembly_clear(conn);
	}
}

/* --- birth and death of a WebSocket --- */

/** Refuse an upgrade: 400 and close (protocol.md A1), or another status. */
static int refuse_upgrade(struct lws *wsi, const char *status)
{
	char text[128];
	unsigned char out[LWS_PRE + sizeof(text)];
	int len = snprintf(text, sizeof(text),
		"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status);

	memcpy(out + LWS_PRE, text, (size_t)len);
	lws_write(wsi, out + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_HEADERS);
	return -1;
}

/** Name our protocol after the first one that the client offers. False: what it offers is no list. */
static bool take_subprotocol(struct ws *ws, struct lws *wsi)
{
	char offered[SUBPROTOCOLS_BYTES];
	const char *start = offered;
	size_t len;

	ws->subprotocol[0] = '\0';
	if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) <= 0)
		return true;
	// Longer lists and names libwebsockets drops without an answer.
	if (lws_hdr_copy(wsi, offered, sizeof(offered), WSI_TOKEN_PROTOCOL) <= 0)
		return false;
	start += strspn(start, ", \t");
	len = strcspn(start, ", \t");
	if (len == 0 || len >= sizeof(ws->subprotocol)
		|| strcspn(start, "\"()/:;<=>?@[\\]{}") < len)
		return false;
	memcpy(ws->subprotocol, start, len);
	ws->subprotocol[len] = '\0';
	return true;
}

/** Did it come to SFU_METRICS_LISTEN? on_accept_metrics() marks those. */
static bool at_metrics(const struct lws *wsi)
{
	return lws_get_opaque_user_data(wsi) != NULL;
}

/**
 * A request wants to be upgraded. The argument of the callback must not be read: libwebsockets 4.1
 * passes freed memory when it does not know the protocol (CVE-2025-11677); its headers are gone
 * then, and so is the one we look for.
 */
static int on_upgrade(struct ws *ws, struct lws *wsi)
{
	char upgrade[16], path[8];

	if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0)
		return -1;
	if (ws->stopping || at_metrics(wsi)
		|| lws_hdr_copy(wsi, upgrade, sizeof(upgrade), WSI_TOKEN_UPGRADE) < 0
		|| strcasecmp(upgrade, "websocket") != 0
		|| lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI) < 0
		|| strcmp(path, "/ws") != 0)
		return refuse_upgrade(wsi, "400 Bad Request");
	if (ws->site->starting)
		return refuse_upgrade(wsi, "503 Service Unavailable");
	return take_subprotocol(ws, wsi) ? 0 : refuse_upgrade(wsi, "400 Bad Request");
}

/** Who it is, by our TLS and address, or as a proxy says that may say so (protocol.md B10). */
static void resolve_client(const struct ws *ws, struct lws *wsi, struct proxy_client *out)
{
	static const char name[] = "x-forwarded-proto:";
	char peer[PROXY_ADDRESS_BYTES] = "", forwarded[FORWARDED_BYTES] = "", proto[32] = "";

	lws_get_peer_simple(wsi, peer, sizeof(peer));
	if (lws_hdr_copy(wsi, forwarded, sizeof(forwarded), WSI_TOKEN_X_FORWARDED_FOR) < 0)
		forwarded[0] = '\0';
	if (lws_hdr_custom_copy(wsi, proto, sizeof(proto), name, (int)strlen(name)) <= 0)
		proto[0] = '\0';
	proxy_resolve(peer, ws->tls != NULL, forwarded, proto, ws->config->trusted_proxies, out);
}

static int on_established(struct ws *ws, struct conn *conn, struct lws *wsi)
{
	uint64_t now = loop_now_us();
	struct proxy_client client;

	conn->ws = ws;
	conn->wsi = wsi;
	send_queue_init(&conn->queue);
	resolve_client(ws, wsi, &client);
	conn->session = core_session_open(ws->core, conn, client.address);
	if (conn->session == NULL)
		return -1;
	if (!client.secure)
		core_session_insecure(conn->session);
	conn->heard_us = now;
	conn->ping_us = now + ws->heartbeat_us;
	TAILQ_INSERT_TAIL(&ws->by_silence, conn, by_silence);
	TAILQ_INSERT_TAIL(&ws->by_ping, conn, by_ping);
	conn->watched = true;
	if (!uv_is_active((uv_handle_t *)&ws->timer))
		arm_timer(ws);
	return 0;
}

static void on_closed(struct conn *conn)
{
	if (conn == NULL || conn->session == NULL)
		return;
	unwatch(conn);
	// From here on the core may still name the connection in its own close: nothing goes out.
	conn->close_code = CLOSE_GOING_AWAY;
	core_session_close(conn->session, conn->clean);
	conn->session = NULL;
	send_queue_clear(&conn->queue);
	assembly_clear(conn);
}

/* --- HTTP --- */

static void transfer_free(struct conn *conn)
{
	if (conn == NULL || conn->transfer == NULL)
		return;
	if (conn->transfer->answer.fd >= 0)
		conn->ws->files--;
	http_answer_free(&conn->transfer->answer);
	free(conn->transfer);
	conn->transfer = NULL;
}

static int add_header(
	struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
	return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
		(const unsigned char *)value, (int)strlen(value), p, end);
}

static int add_page_headers(
	struct lws *wsi, const struct http_answer *answer, unsigned char **p, unsigned char *end)
{
	if (add_header(wsi, "etag:", answer->etag, p, end)
		|| add_header(wsi, "cache-control:", "no-cache", p, end))
		return -1;
	for (const struct http_header *h = http_page_headers; h->name != NULL; h++) {
		if (add_header(wsi, h->name, h->value, p, end))
			return -1;
	}
	return 0;
}

static int add_retry_after(
	struct lws *wsi, const struct http_answer *answer, unsigned char **p, unsigned char *end)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", answer->retry_after_sec);
	return add_header(wsi, "retry-after:", text, p, end);
}

/** From here on the reader has PROGRESS_SEC for PROGRESS_BYTES: libwebsockets has one time for it all. */
static void time_progress(struct transfer *t, struct lws *wsi)
{
	t->timed_at = t->sent;
	lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, PROGRESS_SEC);
}

/** What waits in the kernel, megabytes if it may, is no progress: the socket says early that it is full. */
static void wait_for_reader(struct lws *wsi)
{
	const int unsent_bytes = (int)PROGRESS_BYTES;

	setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes,
		sizeof(unsent_bytes));
}

/** Send the header of an answer. 0 to go on, -1 to close. */
static int transfer_start(struct conn *conn, struct lws *wsi)
{
	struct transfer *t = conn->transfer;
	const struct http_answer *answer = &t->answer;
	unsigned char buf[LWS_PRE + HEADER_BYTES];
	unsigned char *start = buf + LWS_PRE, *p = start, *end = buf + sizeof(buf);
	char length[24];

	snprintf(length, sizeof(length), "%zu", answer->length);
	if (lws_add_http_header_status(wsi, answer->status, &p, end)
		|| add_header(wsi, "content-type:", answer->content_type, &p, end))
		return -1;
	if (answer->page ? add_page_headers(wsi, answer, &p, end)
			 : add_header(wsi, "cache-control:", "no-store", &p, end))
		return -1;
	if (t->last && add_header(wsi, "connection:", "close", &p, end))
		return -1;
	if (answer->retry_after_sec != 0 && add_retry_after(wsi, answer, &p, end))
		return -1;
	if (answer->status == 401 && add_header(wsi, "www-authenticate:", "Bearer", &p, end))
		return -1;
	// libwebsockets counts towards a length that it was told itself; there is no body with these.
	if (t->head || answer->status == 304) {
		t->sent = answer->length;
		if (answer->status != 304 && add_header(wsi, "content-length:", length, &p, end))
			return -1;
	} else if (lws_add_http_header_content_length(wsi, answer->length, &p, end)) {
		return -1;
	}
	if (lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;
	wait_for_reader(wsi);
	time_progress(t, wsi);
	lws_callback_on_writable(wsi);
	return 0;
}

/** 0 to go on, -1 to close. */
static int on_http_writeable(struct conn *conn, struct lws *wsi)
{
	struct transfer *t = conn->transfer;
	unsigned char buf[LWS_PRE + FILE_CHUNK_BYTES];
	bool last;

	if (t == NULL)
		return 0;
	if (t->sent < t->answer.length) {
		size_t len = t->answer.length - t->sent;

		if (len > FILE_CHUNK_BYTES)
			len = FILE_CHUNK_BYTES;
		if (t->answer.body != NULL)
			memcpy(buf + LWS_PRE, t->answer.body + t->sent, len);
		else if (pread(t->answer.fd, buf + LWS_PRE, len, (off_t)t->sent) != (ssize_t)len)
			return -1; // cut short meanwhile: only an early end tells the client
		t->sent += len;
		if (lws_write(wsi, buf + LWS_PRE, len,
			    t->sent < t->answer.length ? LWS_WRITE_HTTP : LWS_WRITE_HTTP_FINAL)
			< 0)
			return -1;
		// What was written before has gone: else libwebsockets would not ask for more.
		if (t->sent - t->timed_at >= PROGRESS_BYTES)
			time_progress(t, wsi);
		if (t->sent < t->answer.length) {
			lws_callback_on_writable(wsi);
			return 0;
		}
	}
	last = t->last;
	transfer_free(conn);
	if (last || lws_http_transaction_completed(wsi))
		return -1;
	return 0;
}

/** Is there a descriptor left that is not of the reserve? */
static bool has_descriptor(const struct ws *ws)
{
	return ws->open + ws->files < ws->max_open;
}

static void count_file(struct ws *ws, const struct http_answer *answer)
{
	uint32_t suppressed = 0;

	if (answer->fd >= 0)
		ws->files++;
	if (answer->retry_after_sec == 0)
		return;
	ws->files_refused++;
	if (log_allowed(&ws->files_limit, loop_now_us(), &suppressed))
		log_warn(module, "too many files under way: raise the limit of open files",
			log_num("limit", ws->max_open), log_num("suppressed", suppressed));
}

static bool is_get_or_head(struct lws *wsi, bool *head)
{
	*head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
	return *head || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
}

/** A request's header is complete. 0 to go on, -1 to close. */
static int on_http(struct ws *ws, struct conn *conn, struct lws *wsi, const char *uri, size_t len)
{
	char path[PATH_BYTES] = "", etag[HTTP_ETAG_BYTES] = "", length[16] = "";
	char accept[ACCEPT_BYTES] = "", authorization[AUTHORIZATION_BYTES] = "";
	struct http_request request = {.path = path,
		.if_none_match = etag,
		.accept = accept,
		.authorization = authorization};
	struct transfer *t;
	unsigned long body = 0;
	bool plain;

	conn->ws = ws;
	conn->wsi = wsi;
	transfer_free(conn);
	t = conn->transfer = calloc(1, sizeof(*t));
	if (t == NULL)
		return -1;
	t->answer.fd = -1;
	// A path that does not fit is no file and no name of ours: "" is not found.
	if (len < sizeof(path)) {
		memcpy(path, uri, len);
		path[len] = '\0';
		if (strlen(path) != len)
			path[0] = '\0';
	}
	request.at_metrics = at_metrics(wsi);
	request.has_query = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS) > 0;
	if (lws_hdr_copy(wsi, etag, sizeof(etag), WSI_TOKEN_HTTP_IF_NONE_MATCH) < 0)
		etag[0] = '\0';
	if (lws_hdr_copy(wsi, accept, sizeof(accept), WSI_TOKEN_HTTP_ACCEPT) < 0)
		accept[0] = '\0';
	if (lws_hdr_copy(wsi, authorization, sizeof(authorization), WSI_TOKEN_HTTP_AUTHORIZATION)
		< 0)
		authorization[0] = '\0';
	plain = is_get_or_head(wsi, &t->head);
	if (lws_hdr_copy(wsi, length, sizeof(length), WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0)
		body = strtoul(length, NULL, 10);
	else if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0)
		body = ULONG_MAX;
	request.no_files = !has_descriptor(ws);
	http_answer(ws->site, &request, &t->answer);
	count_file(ws, &t->answer);
	explicit_bzero(authorization, sizeof(authorization));

	// What follows the header could be taken for a request: read it first, or close afterwards.
	t->deferred = !plain && body > 0 && body <= BODY_MAX_BYTES;
	t->last = !t->deferred && (!plain || body > 0);
	return t->deferred ? 0 : transfer_start(conn, wsi);
}

static int on_body_complete(struct conn *conn, struct lws *wsi)
{
	if (conn->transfer == NULL || !conn->transfer->deferred)
		return 0;
	conn->transfer->deferred = false;
	return transfer_start(conn, wsi);
}

/* --- libwebsockets --- */

static int on_event(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct ws *ws = lws_context_user(lws_get_context(wsi));
	struct conn *conn = user;

	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		ws->open++;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		ws->open--;
		return 0;

	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		ws->tls = user;
		return 0;

	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return on_upgrade(ws, wsi);
	case LWS_CALLBACK_ESTABLISHED:
		return on_established(ws, conn, wsi);
	case LWS_CALLBACK_RECEIVE:
		on_receive(conn, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		heard(conn);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return write_queue(conn);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		conn->clean = true;
		// An answer to our own close frame is not answered again.
		return conn->close_sent ? -1 : 0;
	case LWS_CALLBACK_CLOSED:
		on_closed(conn);
		return 0;

	case LWS_CALLBACK_HTTP:
		return on_http(ws, conn, wsi, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_body_complete(conn, wsi);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_http_writeable(conn, wsi);
	case LWS_CALLBACK_RAW_ADOPT:
	case LWS_CALLBACK_RAW_RX:
		// CONNECT: libwebsockets offers to forget HTTP. No.
		return -1;
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		transfer_free(conn);
		return 0;

	default:
		return 0;
	}
}

/** Is there room for a connection? Else fd is closed. */
static bool has_room(struct ws *ws, int fd)
{
	uint32_t suppressed = 0;

	if (has_descriptor(ws))
		return true;
	if (log_allowed(&ws->full_limit, loop_now_us(), &suppressed))
		log_warn(module, "too many connections: raise the limit of open files",
			log_num("limit", ws->max_open), log_num("suppressed", suppressed));
	close(fd);
	return false;
}

static void on_accept(void *arg, int fd)
{
	struct ws *ws = arg;

	if (!has_room(ws, fd))
		return;
	lws_adopt_socket_vhost(ws->vhost, fd);
	ws->accepted = true;
}

/**
 * The connection is marked, not of a virtual host of its own: among those libwebsockets chooses by the
 * Host header, which is the client's to write.
 */
static void on_accept_metrics(void *arg, int fd)
{
	struct ws *ws = arg;
	lws_sock_file_fd_type socket = {.sockfd = fd};
	struct lws *wsi;

	if (!has_room(ws, fd))
		return;
	// Without LWS_ADOPT_ALLOW_SSL: plain also where the virtual host has a certificate.
	wsi = lws_adopt_descriptor_vhost(
		ws->vhost, LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP, socket, NULL, NULL);
	if (wsi != NULL)
		lws_set_opaque_user_data(wsi, ws);
	ws->accepted = true;
}

/** What libwebsockets has to say: mostly about peers that misbehave. */
static void on_lws_log(int level, const char *line)
{
	static struct log_limit limit;
	size_t len = strcspn(line, "\n");

	if (!log_enabled(LOG_LEVEL_INFO) && level != LLL_ERR)
		return;
	if (log_allowed(&limit, loop_now_us(), NULL))
		log_write(level == LLL_ERR ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "lws",
			"from libwebsockets",
			(const struct log_field[]){log_mem("text", line, len), {0}});
}

/** How many descriptors this process may have; the soft limit is raised to it. */
static uint32_t raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < MAX_FDS && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < MAX_FDS ? limit.rlim_max : MAX_FDS;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur < MAX_FDS ? (uint32_t)limit.rlim_cur : MAX_FDS;
}

static bool readable(const char *path, const char *setting, char *err, size_t err_size)
{
	if (access(path, R_OK) == 0)
		return true;
	snprintf(err, err_size, "%s=\"%s\" cannot be read: %s; it must be a PEM file", setting,
		path, strerror(errno));
	return false;
}

static bool create_vhost(struct ws *ws, char *err, size_t err_size)
{
	const struct config *config = ws->config;
	struct lws_context_creation_info info = {
		// The listening socket is ours (listener.c).
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.vhost_name = "sfu-ctl",
		.protocols = ws->protocols,
		.retry_and_idle_policy = &ws->no_validity,
		.keepalive_timeout = KEEPALIVE_SEC,
		.timeout_secs = HEADER_TIMEOUT_SEC,
		.server_string = "sfu-ctl",
		.alpn = "http/1.1",
	};

	if (config->tls_cert[0] != '\0') {
		if (!readable(config->tls_cert, "SFU_TLS_CERT", err, err_size)
			|| !readable(config->tls_key, "SFU_TLS_KEY", err, err_size))
			return false;
		info.ssl_cert_filepath = config->tls_cert;
		info.ssl_private_key_filepath = config->tls_key;
		info.ssl_options_set = SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1
				       | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;
		// Of TLS 1.2; those of 1.3 are all of this kind.
		info.ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
	}
	ws->vhost = lws_create_vhost(ws->context, &info);
	if (ws->vhost == NULL)
		snprintf(err, err_size, "%s",
			config->tls_cert[0] != '\0'
				? "SFU_TLS_CERT and SFU_TLS_KEY are no PEM certificate and its key"
				: "libwebsockets made no server: out of memory?");
	return ws->vhost != NULL;
}

static bool create_context(struct ws *ws, char *err, size_t err_size)
{
	void *loops[] = {ws->loop};
	uint32_t fds = raise_fd_limit();
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS
			   | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.foreign_loops = loops,
		.user = ws,
		.fd_limit_per_thread = fds,
		.max_http_header_data = HEADER_BYTES,
		.max_http_header_pool2 = fds,
		.timeout_secs = HEADER_TIMEOUT_SEC,
		.timeout_secs_ah_idle = HEADER_TIMEOUT_SEC,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
	};

	ws->max_open = fds > 2 * RESERVED_FDS ? fds - RESERVED_FDS : fds / 2;
	if (ws->max_open < FEW_CONNECTIONS)
		log_warn(module, "few connections: raise the hard limit of open files",
			log_num("connections", ws->max_open));
	else
		log_info(module, "room for connections", log_num("connections", ws->max_open));
	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
	ws->context = lws_create_context(&info);
	if (ws->context == NULL)
		snprintf(err, err_size,
			"libwebsockets does not start: is libwebsockets-evlib-uv installed?");
	return ws->context != NULL;
}

static bool listen_all(struct ws *ws, const struct service *service, char *err, size_t err_size)
{
	const struct config *config = ws->config;
	const struct listener_place main_place = {
		.address = config->listen_address,
		.port = (uint16_t)config->port,
		.address_setting = "SFU_LISTEN",
		.port_setting = "SFU_PORT",
		.given_fd = service->main_fd,
	};
	struct listener_place metrics_place = {
		.address_setting = "SFU_METRICS_LISTEN",
		.port_setting = "SFU_METRICS_LISTEN",
		.given_fd = service->metrics_fd,
	};
	struct socket_name name;

	ws->listener = listener_create(ws->loop, &main_place, on_accept, ws, err, err_size);
	if (ws->listener == NULL || config->metrics_listen[0] == '\0')
		return ws->listener != NULL;
	socket_name_parse(config->metrics_listen, &name); // valid: config.c has checked it
	metrics_place.address = name.address;
	metrics_place.port = name.port;
	ws->metrics_listener
		= listener_create(ws->loop, &metrics_place, on_accept_metrics, ws, err, err_size);
	return ws->metrics_listener != NULL;
}

static void stop_listening(struct ws *ws)
{
	listener_destroy(ws->listener);
	listener_destroy(ws->metrics_listener);
	ws->listener = ws->metrics_listener = NULL;
}

struct ws *ws_create(uv_loop_t *loop, const struct config *config, struct core *core,
	const struct http_site *site, const struct service *service, char *err, size_t err_size)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	if (ws == NULL) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	ws->loop = loop;
	ws->config = config;
	ws->core = core;
	ws->site = site;
	ws->heartbeat_us = (uint64_t)config->heartbeat_sec * 1000000u;
	ws->silence_us = ws->heartbeat_us * 5 / 2;
	TAILQ_INIT(&ws->by_silence);
	TAILQ_INIT(&ws->by_ping);
	TAILQ_INIT(&ws->by_deadline);
	TAILQ_INIT(&ws->by_stall);
	TAILQ_INIT(&ws->by_need);
	ws->protocols[0] = (struct lws_protocols){
		.name = ws->subprotocol,
		.callback = on_event,
		.per_session_data_size = sizeof(struct conn),
		.rx_buffer_size = RX_BUFFER_BYTES,
		.tx_packet_size = WRITE_BYTES,
	};
	uv_timer_init(loop, &ws->timer);
	uv_prepare_init(loop, &ws->prepare);
	ws->timer.data = ws->prepare.data = ws;
	uv_prepare_start(&ws->prepare, on_prepare);
	// It keeps nothing alive.
	uv_unref((uv_handle_t *)&ws->prepare);

	if (!create_context(ws, err, err_size) || !create_vhost(ws, err, err_size)
		|| !listen_all(ws, service, err, err_size)) {
		ws_destroy(ws);
		return NULL;
	}
	return ws;
}

void ws_stop(struct ws *ws)
{
	struct conn *conn;

	ws->stopping = true;
	stop_listening(ws);
	TAILQ_FOREACH (conn, &ws->by_silence, by_silence)
		ws_close(conn, CLOSE_GOING_AWAY, "server stops");
}

int ws_reload_certificate(struct ws *ws, char *err, size_t err_size)
{
	if (ws->tls == NULL && ws->config->tls_cert[0] == '\0')
		return 0;
	if (ws->tls == NULL || ws->config->tls_cert[0] == '\0') {
		snprintf(err, err_size, "TLS is switched on and off by a restart");
		return -EINVAL;
	}
	return certificate_use(ws->tls, ws->config->tls_cert, ws->config->tls_key,
		(int64_t)time(NULL), err, err_size);
}

uint32_t ws_connections(const struct ws *ws)
{
	return ws->open;
}

uint64_t ws_files_refused(const struct ws *ws)
{
	return ws->files_refused;
}

void ws_destroy(struct ws *ws)
{
	/*
	 * libwebsockets 4.1 frees its own loop handles, and unmaps their close callbacks, before the loop
	 * could run them: on a loop that goes on, the second lws_context_destroy(), which would free
	 * the context, must not be called. The little that is left goes with the process.
	 */
	static struct ws *remains;

	if (ws == NULL)
		return;
	stop_listening(ws);
	remains = ws;
	if (remains->context != NULL)
		lws_context_destroy(remains->context);
	uv_close((uv_handle_t *)&ws->timer, NULL);
	uv_close((uv_handle_t *)&ws->prepare, NULL);
}
