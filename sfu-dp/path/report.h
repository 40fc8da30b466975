// SPDX-License-Identifier: BSD-3-Clause
/**
 * Reports, both ways (RFC 3550, 6; RFC 3611, 4.4 and 4.5): what we say about streams, and what clients
 * say about those we send. The transport's owner only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/table/objects.h"

/** Send what is due once a second: receiver reports, a sender report per consumer, DLRR. */
void reports_send(struct worker *w, struct transport *t);

/** An SR or RR of a client. */
void report_received(struct worker *w, struct transport *t, const struct rtcp_packet *packet);

/** An XR of a client: its reference time is answered with the next report. */
void report_extended(struct worker *w, struct transport *t, const struct rtcp_packet *packet);

/** A stream toward a client has ended: say so (RFC 3550, 6.6). */
void report_bye(struct worker *w, struct transport *t, uint32_t ssrc);

/**
 * What a compound begins with when it is about no stream: an empty RR and our CNAME.
 * @return octets
 */
size_t report_begin(struct transport *t, uint8_t *out, size_t cap);
