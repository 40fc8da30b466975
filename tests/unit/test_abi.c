// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every size and offset that crosses between the processes. A row that has to change means a new
 * SFU_ABI_VERSION.
 */
#include "shared/abi.h"
#include "shared/command.h"
#include "shared/event.h"
#include "shared/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *what;
	size_t is, should;
};

#define SIZE(type, n)                                                                              \
	{                                                                                          \
		"sizeof " #type, sizeof(struct type), n                                            \
	}
#define AT(type, field, n)                                                                         \
	{                                                                                          \
#type "." #field, offsetof(struct type, field), n                                  \
	}

static const struct row rows[] = {
	SIZE(sfu_hello, 32),
	AT(sfu_hello, magic, 0),
	AT(sfu_hello, abi_version, 8),
	AT(sfu_hello, reserved, 12),
	AT(sfu_hello, name, 16),

	SIZE(sfu_welcome, 32),
	AT(sfu_welcome, magic, 0),
	AT(sfu_welcome, abi_version, 8),
	AT(sfu_welcome, status, 12),
	AT(sfu_welcome, region_bytes, 16),
	AT(sfu_welcome, generation, 24),

	SIZE(sfu_ring_place, 16),
	AT(sfu_ring_place, offset_bytes, 0),
	AT(sfu_ring_place, slots, 8),
	AT(sfu_ring_place, slot_bytes, 12),

	SIZE(sfu_address, 24),
	AT(sfu_address, family, 0),
	AT(sfu_address, port, 4),
	AT(sfu_address, reserved2, 6),
	AT(sfu_address, addr, 8),

	SIZE(sfu_region_header, 4096),
	AT(sfu_region_header, magic, 0),
	AT(sfu_region_header, abi_version, 8),
	AT(sfu_region_header, header_bytes, 12),
	AT(sfu_region_header, region_bytes, 16),
	AT(sfu_region_header, generation, 24),
	AT(sfu_region_header, ring, 32),
	AT(sfu_region_header, stats_offset_bytes, 96),
	AT(sfu_region_header, stats_bytes, 104),
	AT(sfu_region_header, workers, 108),
	AT(sfu_region_header, max_rooms, 112),
	AT(sfu_region_header, max_peers, 116),
	AT(sfu_region_header, max_transports, 120),
	AT(sfu_region_header, max_producers, 124),
	AT(sfu_region_header, max_consumers, 128),
	AT(sfu_region_header, address_count, 132),
	AT(sfu_region_header, address, 136),
	AT(sfu_region_header, dp_instance, 232),
	AT(sfu_region_header, reserved, 240),

	SIZE(sfu_stats_page, 1024),
	AT(sfu_stats_page, updated_us, 0),
	AT(sfu_stats_page, value, 8),
	AT(sfu_stats_page, ctl_alive_us, 520),
	AT(sfu_stats_page, reserved, 528),

	SIZE(sfu_ring, 192),
	AT(sfu_ring, head, 0),
	AT(sfu_ring, tail, 64),
	AT(sfu_ring, sleeping, 128),
	AT(sfu_ring, slots, 192),

	SIZE(sfu_command, 256),
	AT(sfu_command, type, 0),
	AT(sfu_command, version, 4),
	AT(sfu_command, id, 8),
	AT(sfu_command, handle, 16),
	AT(sfu_command, u, 24),

	SIZE(sfu_put_room, 24),
	AT(sfu_put_room, epoch, 0),
	AT(sfu_put_room, older_until_us, 8),
	AT(sfu_put_room, required, 16),
	AT(sfu_put_room, stale, 17),

	SIZE(sfu_put_peer, 16),
	AT(sfu_put_peer, room, 0),
	AT(sfu_put_peer, open_until_us, 8),

	SIZE(sfu_put_transport, 152),
	AT(sfu_put_transport, peer, 0),
	AT(sfu_put_transport, direction, 8),
	AT(sfu_put_transport, ufrag_len, 9),
	AT(sfu_put_transport, pwd_len, 10),
	AT(sfu_put_transport, ufrag, 16),
	AT(sfu_put_transport, pwd, 48),
	AT(sfu_put_transport, label, 112),

	SIZE(sfu_put_keys, 104),
	AT(sfu_put_keys, profile, 0),
	AT(sfu_put_keys, rx_key, 8),
	AT(sfu_put_keys, rx_salt, 40),
	AT(sfu_put_keys, tx_key, 56),
	AT(sfu_put_keys, tx_salt, 88),

	SIZE(sfu_producer_codec, 8),
	AT(sfu_producer_codec, payload_type, 0),
	AT(sfu_producer_codec, mapped_payload_type, 1),
	AT(sfu_producer_codec, codec, 2),
	AT(sfu_producer_codec, apt, 3),
	AT(sfu_producer_codec, clock_rate_hz, 4),

	SIZE(sfu_producer_encoding, 24),
	AT(sfu_producer_encoding, ssrc, 0),
	AT(sfu_producer_encoding, rtx_ssrc, 4),
	AT(sfu_producer_encoding, rid_len, 8),
	AT(sfu_producer_encoding, rid, 9),

	SIZE(sfu_ext_id, 2),
	AT(sfu_ext_id, id, 0),
	AT(sfu_ext_id, ext, 1),

	SIZE(sfu_put_producer, 216),
	AT(sfu_put_producer, transport, 0),
	AT(sfu_put_producer, flags, 8),
	AT(sfu_put_producer, kind, 12),
	AT(sfu_put_producer, codec_count, 13),
	AT(sfu_put_producer, encoding_count, 14),
	AT(sfu_put_producer, ext_count, 15),
	AT(sfu_put_producer, codec, 16),
	AT(sfu_put_producer, encoding, 64),
	AT(sfu_put_producer, ext, 136),
	AT(sfu_put_producer, mid_len, 160),
	AT(sfu_put_producer, mid, 161),
	AT(sfu_put_producer, cname_len, 176),
	AT(sfu_put_producer, cname, 177),
	AT(sfu_put_producer, frame_format, 208),
	AT(sfu_put_producer, kid_epoch_shift, 209),
	AT(sfu_put_producer, kid_epoch_bits, 210),

	SIZE(sfu_put_consumer, 128),
	AT(sfu_put_consumer, transport, 0),
	AT(sfu_put_consumer, producer, 8),
	AT(sfu_put_consumer, flags, 16),
	AT(sfu_put_consumer, ssrc, 20),
	AT(sfu_put_consumer, rtx_ssrc, 24),
	AT(sfu_put_consumer, encoding, 28),
	AT(sfu_put_consumer, payload_type_count, 29),
	AT(sfu_put_consumer, ext_count, 30),
	AT(sfu_put_consumer, payload_type, 32),
	AT(sfu_put_consumer, mid_len, 38),
	AT(sfu_put_consumer, ext, 40),
	AT(sfu_put_consumer, mid, 64),
	AT(sfu_put_consumer, label, 80),
	AT(sfu_put_consumer, rtx_payload_type, 120),

	SIZE(sfu_event, 256),
	AT(sfu_event, type, 0),
	AT(sfu_event, handle, 8),
	AT(sfu_event, u, 16),

	SIZE(sfu_ack, 16),
	AT(sfu_ack, command_id, 0),
	AT(sfu_ack, command_type, 8),
	AT(sfu_ack, status, 12),

	SIZE(sfu_digest_item, 16),
	AT(sfu_digest_item, handle, 0),
	AT(sfu_digest_item, kind, 8),
	AT(sfu_digest_item, version, 12),

	SIZE(sfu_digest, 232),
	AT(sfu_digest, count, 0),
	AT(sfu_digest, item, 8),
	SIZE(sfu_digest_end, 8),
	AT(sfu_digest_end, items, 0),

	SIZE(sfu_speaker_event, 24),
	AT(sfu_speaker_event, producer, 0),
	AT(sfu_speaker_event, transport, 8),
	AT(sfu_speaker_event, loudness, 16),
	SIZE(sfu_transport_event, 8),
	AT(sfu_transport_event, state, 0),
	AT(sfu_transport_event, worker, 4),

	SIZE(sfu_dtls_record, 2048),
	AT(sfu_dtls_record, transport, 0),
	AT(sfu_dtls_record, tuple, 8),
	AT(sfu_dtls_record, len, 12),
	AT(sfu_dtls_record, reserved, 16),
	AT(sfu_dtls_record, bytes, 64),
};

static void sizes_and_offsets(void **state)
{
	(void)state;
	assert_int_equal(SFU_ABI_VERSION, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].is != rows[i].should)
			fail_msg("%s is %zu, not %zu", rows[i].what, rows[i].is, rows[i].should);
	}
}

// Numbers that travel: adding at the end is fine, renumbering is a new version.
static void numbers(void **state)
{
	(void)state;
	assert_int_equal(SFU_ABI_MAGIC, 0x314b4e494c554653ull);
	assert_memory_equal(&(uint64_t){SFU_ABI_MAGIC}, "SFULINK1", 8);
	assert_int_equal(SFU_RING_COUNT, 4);
	assert_int_equal(SFU_CMD_TYPE_COUNT, 14);
	assert_int_equal(SFU_EVENT_TYPE_COUNT, 6);
	assert_int_equal(SFU_EXT_COUNT, 12);
	assert_int_equal(SFU_STATUS_UNSUPPORTED, 8);
	assert_int_equal(SFU_KIND_CONSUMER, 5);
	assert_int_equal(SFU_CODEC_RTX, 6);
	assert_int_equal(SFU_STAT_link_events_lost, 21);
	assert_int_equal(SFU_STAT_COUNT, 22);
}

static void handles(void **state)
{
	(void)state;
	uint64_t handle = sfu_handle_make(0xfffffffe, 0x80000001);

	assert_int_equal(handle, 0x80000001fffffffeull);
	assert_int_equal(sfu_handle_index(handle), 0xfffffffe);
	assert_int_equal(sfu_handle_generation(handle), 0x80000001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_offsets),
		cmocka_unit_test(numbers),
		cmocka_unit_test(handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
