// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/ws_client.h"

#include <glib.h>
#include <libwebsockets.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 128
#define PATH_MAX_OCTETS 256

struct ws_context {
	struct lws_context *lws;
	GHashTable *clients; // set of struct ws_client that have not ended
};

struct ws_client {
	struct ws_context *context;
	struct lws *wsi; // NULL after the end
	const struct ws_events *events; // NULL once destroyed by its owner
	void *ctx;
	GQueue out; // GBytes with LWS_PRE octets in front
	GString *in; // message so far
	bool is_open; // after the handshake, before the end
	bool ended; // no wsi any more
	bool connecting; // inside ws_client_create()
};

static void client_free(struct ws_client *c)
{
	GBytes *message;

	while ((message = g_queue_pop_head(&c->out)))
		g_bytes_unref(message);
	g_string_free(c->in, TRUE);
	g_free(c);
}

static void client_end(struct ws_client *c, const char *why)
{
	if (c->ended)
		return;
	c->ended = true;
	c->is_open = false;
	c->wsi = NULL;
	g_hash_table_remove(c->context->clients, c);
	if (c->connecting)
		return;
	if (c->events)
		c->events->on_closed(c->ctx, why);
	else
		client_free(c);
}

/** -1 ends the connection. */
static int client_write(struct ws_client *c)
{
	GBytes *message = g_queue_pop_head(&c->out);
	gsize len;
	uint8_t *data;
	int written;

	if (!message)
		return c->events ? 0 : -1;
	data = g_bytes_unref_to_data(message, &len);
	written = lws_write(c->wsi, data + LWS_PRE, len - LWS_PRE, LWS_WRITE_TEXT);
	g_free(data);
	if (written < 0)
		return -1;
	if (!g_queue_is_empty(&c->out) || !c->events)
		lws_callback_on_writable(c->wsi);
	return 0;
}

static void client_receive(struct ws_client *c, struct lws *wsi, const char *text, size_t len)
{
	if (!c->events)
		return;
	g_string_append_len(c->in, text, (gssize)len);
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
		return;
	c->events->on_text(c->ctx, c->in->str, c->in->len);
	g_string_truncate(c->in, 0);
}

static int on_event(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct ws_context *context = lws_context_user(lws_get_context(wsi));
	struct ws_client *c = user;
	char why[128];

	// libwebsockets goes on telling after the end; by then the client may be gone.
	if (!context || !g_hash_table_contains(context->clients, c) || c->wsi != wsi)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		c->is_open = true;
		if (!c->events)
			return -1;
		c->events->on_open(c->ctx);
		if (!g_queue_is_empty(&c->out) || !c->events)
			lws_callback_on_writable(wsi);
		break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		client_receive(c, wsi, in, len);
		break;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return client_write(c);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		snprintf(why, sizeof(why), "cannot connect: %.*s", (int)(in ? len : 0),
			in ? (const char *)in : "");
		client_end(c, why);
		break;
	case LWS_CALLBACK_CLIENT_CLOSED:
		client_end(c, "the server closed the connection");
		break;
	case LWS_CALLBACK_WSI_DESTROY:
		// Also the end of one that never got as far as the two above.
		client_end(c, "the connection was lost");
		break;
	default:
		break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "sfu", .callback = on_event, .rx_buffer_size = 65536},
	{.name = NULL},
};

struct ws_context *ws_context_create(void)
{
	struct ws_context *context = g_new0(struct ws_context, 1);
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.user = context;
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	lws_set_log_level(0, NULL);
	context->clients = g_hash_table_new(NULL, NULL);
	context->lws = lws_create_context(&info);
	if (!context->lws) {
		g_hash_table_destroy(context->clients);
		g_free(context);
		return NULL;
	}
	return context;
}

void ws_context_destroy(struct ws_context *context)
{
	if (!context)
		return;
	lws_context_destroy(context->lws);
	g_hash_table_destroy(context->clients);
	g_free(context);
}

void ws_service(struct ws_context *context)
{
	lws_service(context->lws, -1);
}

struct ws_client *ws_client_create(
	struct ws_context *context, const char *url, const struct ws_events *events, void *ctx)
{
	struct lws_client_connect_info info;
	char host[HOST_MAX], path[PATH_MAX_OCTETS];
	struct ws_client *c;
	unsigned port;

	if (sscanf(url, "ws://%127[^:/]:%u/%254s", host, &port, path + 1) != 3 || port > 65535)
		return NULL;
	path[0] = '/';
	c = g_new0(struct ws_client, 1);
	c->context = context;
	c->events = events;
	c->ctx = ctx;
	c->in = g_string_new(NULL);
	g_queue_init(&c->out);
	memset(&info, 0, sizeof(info));
	info.context = context->lws;
	info.address = host;
	info.host = host;
	info.origin = host;
	info.port = (int)port;
	info.path = path;
	info.local_protocol_name = protocols[0].name;
	info.userdata = c;
	info.pwsi = &c->wsi;
	g_hash_table_add(context->clients, c);
	// A failure may be told from inside this call, before the owner knows the client.
	c->connecting = true;
	if (!lws_client_connect_via_info(&info) || c->ended) {
		g_hash_table_remove(context->clients, c);
		client_free(c);
		return NULL;
	}
	c->connecting = false;
	return c;
}

void ws_client_send(struct ws_client *c, const char *text, size_t len)
{
	uint8_t *data;

	if (c->ended)
		return;
	data = g_malloc(LWS_PRE + len);
	memcpy(data + LWS_PRE, text, len);
	g_queue_push_tail(&c->out, g_bytes_new_take(data, LWS_PRE + len));
	if (c->is_open)
		lws_callback_on_writable(c->wsi);
}

void ws_client_destroy(struct ws_client *c)
{
	if (!c)
		return;
	c->events = NULL;
	if (c->ended)
		client_free(c);
	else if (c->is_open)
		lws_callback_on_writable(c->wsi);
}
