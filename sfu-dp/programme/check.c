// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/check.h"

/** Neither control characters nor the colon that ends a ufrag in USERNAME. */
static bool ice_text_ok(const uint8_t *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f || text[i] == ':')
			return false;
	}
	return true;
}

bool check_transport(const struct sfu_put_transport *put)
{
	return (put->direction == 1 || put->direction == 2) && put->ufrag_len >= 4
	       && put->ufrag_len <= SFU_UFRAG_BYTES && put->pwd_len >= 22
	       && put->pwd_len <= SFU_PWD_BYTES && ice_text_ok(put->ufrag, put->ufrag_len)
	       && ice_text_ok(put->pwd, put->pwd_len);
}

static bool exts_ok(const struct sfu_ext_id *ext, unsigned count)
{
	if (count > SFU_MAX_EXTS)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (!ext[i].id || ext[i].ext == SFU_EXT_NONE || ext[i].ext >= SFU_EXT_COUNT)
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (ext[k].id == ext[i].id || ext[k].ext == ext[i].ext)
				return false;
		}
	}
	return true;
}

static bool codecs_ok(const struct sfu_put_producer *put)
{
	if (!put->codec_count || put->codec_count > SFU_MAX_CODECS)
		return false;
	for (unsigned i = 0; i < put->codec_count; i++) {
		const struct sfu_producer_codec *c = &put->codec[i];

		if (c->payload_type > 127 || c->mapped_payload_type > 127 || !c->clock_rate_hz
			|| c->clock_rate_hz > 1000000 || c->codec > SFU_CODEC_RTX || c->apt > 127)
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (put->codec[k].payload_type == c->payload_type)
				return false;
		}
	}
	return true;
}

static bool encodings_ok(const struct sfu_put_producer *put)
{
	if (!put->encoding_count || put->encoding_count > SFU_MAX_ENCODINGS)
		return false;
	for (unsigned i = 0; i < put->encoding_count; i++) {
		const struct sfu_producer_encoding *e = &put->encoding[i];

		if (e->rid_len > SFU_RID_BYTES || (e->ssrc && e->ssrc == e->rtx_ssrc))
			return false;
	}
	return true;
}

static bool frame_format_ok(const struct sfu_put_producer *put)
{
	if (put->frame_format != SFU_FRAME_OPAQUE && !(put->flags & SFU_PRODUCER_E2EE))
		return false;
	if (put->frame_format != SFU_FRAME_RFC9605)
		return put->frame_format <= SFU_FRAME_REFERENCE;
	return put->kid_epoch_shift < 64 && put->kid_epoch_bits
	       && put->kid_epoch_bits <= 64 - put->kid_epoch_shift;
}

bool check_producer(const struct sfu_put_producer *put)
{
	return (put->kind == SFU_AUDIO || put->kind == SFU_VIDEO) && codecs_ok(put)
	       && encodings_ok(put) && exts_ok(put->ext, put->ext_count)
	       && put->mid_len <= SFU_MID_BYTES && put->cname_len <= SFU_CNAME_BYTES
	       && frame_format_ok(put) && !(put->flags & ~SFU_PRODUCER_FLAGS);
}

bool check_consumer(const struct sfu_put_consumer *put)
{
	if (!put->payload_type_count || put->payload_type_count > SFU_MAX_CODECS)
		return false;
	for (unsigned i = 0; i < put->payload_type_count; i++) {
		if (put->payload_type[i] > 127 || put->rtx_payload_type[i] > 127)
			return false;
	}
	return put->ssrc && put->ssrc != put->rtx_ssrc
	       && (put->encoding < SFU_MAX_ENCODINGS || put->encoding == 255)
	       && exts_ok(put->ext, put->ext_count) && put->mid_len <= SFU_MID_BYTES
	       && !(put->flags & ~SFU_CONSUMER_PAUSED);
}
