// SPDX-License-Identifier: BSD-3-Clause
/** H.264 profile-level-id (RFC 6184, 8.1), as far as two ends must agree on it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h264_profile_kind {
	H264_CONSTRAINED_BASELINE = 1,
	H264_BASELINE,
	H264_MAIN,
	H264_CONSTRAINED_HIGH,
	H264_HIGH,
	H264_PREDICTIVE_HIGH_444,
};

struct h264_profile {
	enum h264_profile_kind profile;
	uint8_t level_idc; /* 10 times the level; 11 with level_1b is level 1b */
	bool level_1b;
};

/** What a missing profile-level-id means to WebRTC: constrained baseline, level 3.1. */
#define H264_PROFILE_DEFAULT "42e01f"
/** Octets of the text with its NUL. */
#define H264_PROFILE_TEXT_BYTES 7u

/**
 * Read six hexadecimal digits.
 * @param text  need not end in NUL
 * @return false when they name no profile and level that RFC 6184 knows
 */
bool h264_profile_parse(const char *text, size_t len, struct h264_profile *out);

/**
 * The profile and level of an answer: the local profile, and the local level if both ends allow
 * level asymmetry, else the lower one.
 * @return false when the profiles differ; then text is not written
 */
bool h264_profile_answer(const struct h264_profile *local, const struct h264_profile *remote,
	bool asymmetry, char text[H264_PROFILE_TEXT_BYTES]);
