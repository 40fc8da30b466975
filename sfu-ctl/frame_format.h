// SPDX-License-Identifier: BSD-3-Clause
/**
 * How a device's encrypted frames begin, as E2EE_CAPS says: "frameFormat" is "rfc9605", "reference-v1"
 * or anything else, which nobody looks at. Of an SFrame KID "kidEpochShift" (16) and "kidEpochBits"
 * (all above) say where the epoch is in it. A device that names no format and has SFrame is one of the
 * existing web clients: reference-v1 (protocol.md B13).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json_object;

struct frame_format {
	uint8_t format; /* enum sfu_frame_format */
	uint8_t epoch_shift, epoch_bits; /* of SFU_FRAME_RFC9605, else 0 */
};

/** False: a number is impossible. */
bool frame_format_read(const struct json_object *caps, struct frame_format *out);
