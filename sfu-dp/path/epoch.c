// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/epoch.h"

#include "sfu-dp/proto/sframe.h"
#include "sfu-dp/worker.h"

/** Low bits of the epoch in a frame of the reference client. */
#define REFERENCE_BITS 7u

bool epoch_is_older(uint64_t frame, unsigned bits, uint64_t room)
{
	uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
	uint64_t behind = (room - frame) & mask;

	return behind && behind <= mask / 2;
}

/** The epoch in a frame's header and how many bits of it are known; false = there is no such header. */
static bool header_read(const struct producer *p, struct frame_watch *f, const uint8_t *frame,
	size_t len, uint64_t *epoch, unsigned *bits)
{
	struct sframe_header h;
	uint8_t octet;

	if (p->put.frame_format == SFU_FRAME_REFERENCE) {
		if (sframe_reference_parse(frame, len, &octet) != SFRAME_OK)
			return false;
		f->kid = octet;
		*epoch = octet;
		*bits = REFERENCE_BITS;
		return true;
	}
	if (sframe_parse(frame, len, &h) != SFRAME_OK)
		return false;
	f->kid = h.kid;
	f->ctr = h.ctr;
	*epoch = h.kid >> p->put.kid_epoch_shift;
	*bits = p->put.kid_epoch_bits;
	return true;
}

static enum epoch_verdict judge(struct worker *w, struct producer *p, struct frame_watch *f,
	const uint8_t *frame, size_t len)
{
	uint64_t room = atomic_load_explicit(&p->peer->epoch, memory_order_acquire), epoch;
	unsigned bits;

	if (!header_read(p, f, frame, len, &epoch, &bits)) {
		p->frames_unreadable++;
		w->count.frames_unreadable++;
		return EPOCH_UNREADABLE;
	}
	if (!epoch_is_older(epoch, bits, room)
		|| w->now_us < atomic_load_explicit(&p->peer->older_until_us, memory_order_relaxed))
		return EPOCH_FINE;
	p->frames_stale++;
	w->count.frames_stale++;
	return EPOCH_STALE;
}

unsigned epoch_verdict(
	struct worker *w, struct producer *p, const struct pkt *pkt, const uint8_t *payload)
{
	struct frame_watch *f = &p->frame[pkt->encoding];
	enum epoch_verdict verdict = EPOCH_FINE;

	if (pkt->frame_at != PKT_NO_FRAME && pkt->frame_at < pkt->rtp.payload_len) {
		p->frames++;
		verdict = judge(
			w, p, f, payload + pkt->frame_at, pkt->rtp.payload_len - pkt->frame_at);
		f->timestamp = pkt->rtp.timestamp;
		f->verdict = (uint8_t)verdict;
	} else if (f->timestamp == pkt->rtp.timestamp) {
		// A packet that overtakes the first of its frame passes: nobody can open it alone.
		verdict = (enum epoch_verdict)f->verdict;
	}
	if (verdict == EPOCH_FINE
		|| atomic_load_explicit(&p->peer->stale, memory_order_relaxed) != SFU_STALE_DROP)
		return DROP_COUNT;
	return verdict == EPOCH_STALE ? DROP_frame_stale : DROP_frame_header;
}
