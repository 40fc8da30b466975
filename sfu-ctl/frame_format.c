// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/frame_format.h"

#include "sfu-ctl/payload.h"
#include "shared/command.h"

#include <math.h>
#include <string.h>

#define KID_BITS 64u
#define DEFAULT_SHIFT 16u

/* An integer from least to most where there is one. */
static bool read_bits(const struct json_object *caps, const char *name, uint8_t least, uint8_t most,
	uint8_t *value)
{
	double number;

	if (field_get(caps, name) == NULL)
		return true;
	if (!field_number(caps, name, &number) || !(number >= least) || number > most
		|| floor(number) < number)
		return false;
	*value = (uint8_t)number;
	return true;
}

bool frame_format_read(const struct json_object *caps, struct frame_format *out)
{
	struct json_object *name = field_get(caps, "frameFormat");
	const char *text
		= json_object_is_type(name, json_type_string) ? json_object_get_string(name) : "";

	*out = (struct frame_format){.format = SFU_FRAME_OPAQUE};
	if (name == NULL && field_is_true(caps, "sframe"))
		out->format = SFU_FRAME_REFERENCE;
	else if (strcmp(text, "reference-v1") == 0)
		out->format = SFU_FRAME_REFERENCE;
	else if (strcmp(text, "rfc9605") == 0)
		out->format = SFU_FRAME_RFC9605;
	if (out->format != SFU_FRAME_RFC9605)
		return true;
	out->epoch_shift = DEFAULT_SHIFT;
	if (!read_bits(caps, "kidEpochShift", 0, KID_BITS - 1, &out->epoch_shift))
		return false;
	out->epoch_bits = (uint8_t)(KID_BITS - out->epoch_shift);
	return read_bits(caps, "kidEpochBits", 1, out->epoch_bits, &out->epoch_bits);
}
