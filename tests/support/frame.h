// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: UDP in Ethernet frames, as the impairment stage needs it: find, turn a bit over, write
 * other addresses. Fragments and IPv6 extension headers are not looked into.
 */

#define FRAME_ADDRESS_LEN 16

/** One end of a flow. */
struct frame_end {
	uint8_t address[FRAME_ADDRESS_LEN]; // network order; IPv4 in the first four, the rest 0
	uint8_t len; // 4 or 16
	uint16_t port; // host order
};

/** Where things are, from the first octet of the frame. */
struct frame {
	uint16_t ip_off;
	uint16_t ip_len; // octets of the IP packet
	uint16_t udp_off;
	uint16_t payload_off;
	uint16_t payload_len;
	bool is_ipv6;
};

/** False if it is not UDP, or not whole. */
bool frame_parse(const uint8_t *buf, size_t len, struct frame *out);

/** Turn one bit of the payload over, and make the checksum right again: else nobody would see it. */
void frame_flip(uint8_t *buf, const struct frame *frame, uint32_t random);

void frame_source(const uint8_t *buf, const struct frame *frame, struct frame_end *out);
void frame_target(const uint8_t *buf, const struct frame *frame, struct frame_end *out);

/** Write another source or target of the same family; checksums are made right. */
void frame_set_source(uint8_t *buf, const struct frame *frame, const struct frame_end *end);
void frame_set_target(uint8_t *buf, const struct frame *frame, const struct frame_end *end);
