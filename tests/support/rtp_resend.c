// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/rtp_resend.h"

#include "sfu-dp/proto/rtp.h"
#include "tests/support/rtp_source.h"

#include <stdlib.h>
#include <string.h>

#define OSN_LEN 2

struct kept {
	size_t len; // 0 = none
	uint8_t octets[RTP_SOURCE_PACKET_MAX];
};

struct rtp_resend {
	uint32_t ssrc;
	uint8_t payload_type;
	uint16_t next_seq;
	struct rtp_resend_counts counts;
	struct kept kept[RTP_RESEND_KEPT];
};

struct rtp_resend *rtp_resend_create(uint32_t ssrc, uint8_t payload_type, uint16_t first_seq)
{
	struct rtp_resend *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->ssrc = ssrc;
	r->payload_type = payload_type;
	r->next_seq = first_seq;
	return r;
}

void rtp_resend_destroy(struct rtp_resend *r)
{
	free(r);
}

static uint16_t seq_of(const uint8_t *packet)
{
	return (uint16_t)(packet[2] << 8 | packet[3]);
}

void rtp_resend_keep(struct rtp_resend *r, const uint8_t *packet, size_t len)
{
	struct kept *k = &r->kept[seq_of(packet) % RTP_RESEND_KEPT];

	if (len < RTP_HEADER_LEN || len > sizeof(k->octets))
		return;
	memcpy(k->octets, packet, len);
	k->len = len;
}

size_t rtp_resend_answer(struct rtp_resend *r, uint16_t seq, uint8_t *out, size_t cap)
{
	const struct kept *k = &r->kept[seq % RTP_RESEND_KEPT];
	struct rtp_view view;

	r->counts.asked++;
	if (!k->len || seq_of(k->octets) != seq || rtp_parse(k->octets, k->len, &view) != RTP_OK) {
		r->counts.gone++;
		return 0;
	}
	if (k->len + OSN_LEN > cap)
		return 0;
	// RFC 4588, 4: the original sequence number stands in front of the payload.
	memcpy(out, k->octets, view.payload_off);
	memcpy(out + view.payload_off, k->octets + 2, OSN_LEN);
	memcpy(out + view.payload_off + OSN_LEN, k->octets + view.payload_off, view.payload_len);
	rtp_rewrite(out, r->payload_type, view.marker, r->next_seq++, view.timestamp, r->ssrc);
	r->counts.sent++;
	return k->len + OSN_LEN;
}

const struct rtp_resend_counts *rtp_resend_counts(const struct rtp_resend *r)
{
	return &r->counts;
}
