// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/media_transport.h"
#include "tests/support/rtp_repair.h"
#include "tests/support/rtp_sink.h"
#include "tests/support/rtp_source.h"

/**
 * @file
 * For tests: parameters of the signalling, as mediasoup-client writes and reads them. Payload types
 * and extension ids that we send are those of Chromium, not the server's.
 */

/**
 * TRANSPORT_CREATED: where to connect to, at the first candidate of a family (AF_INET, AF_INET6).
 * False if something is missing.
 */
bool params_remote(json_object *created, int family, struct media_remote *out);

/** ICE_RESTART_OK: the credentials and nothing else. False if they are missing. */
bool params_ice(json_object *restarted, struct media_remote *out);

/** What a source sends by the router's capabilities; codec NULL: the first video codec. */
bool params_source(
	json_object *router_caps, bool is_video, const char *codec, struct rtp_source_config *out);

/** rtpParameters of PRODUCE for such a source. */
json_object *params_produce(
	json_object *router_caps, const struct rtp_source_config *source, const char *cname);

/**
 * CONSUMER_ADDED's rtpParameters: what to expect. Texts point into parameters.
 * @param repair   of retransmissions; its rtx_ssrc is 0 without
 * @param twcc_id  header extension id of the transport-wide sequence number; left if there is none
 * @return NULL, or what is wrong with them
 */
const char *params_sink(json_object *parameters, struct rtp_sink_config *out,
	struct rtp_repair_config *repair, uint8_t *twcc_id);

/** String, or "" . */
const char *params_text(json_object *object, const char *key);
