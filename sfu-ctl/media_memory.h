// SPDX-License-Identifier: BSD-3-Clause
/**
 * The media programme as texts of a memory (memory.h), and back. Pure. Nothing secret is in them:
 * a transport's ICE credentials stay out, keys are no part of the programme.
 *
 *   kind "object"  id KIND:HANDLE  "VERSION OCTETS"       enum sfu_object_kind; the PUT's u in hex
 *   kind "dtls"    id HANDLE       "keys"                 the data plane was sent them
 *                                  "remote ALG VALUE …"   TRANSPORT_CONNECT was here
 *   kind "plane"   id "tables"     five numbers           capacities, rooms to consumers
 *                  id "ssrc"       "BASE NEXT"            those below NEXT have been given out
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/media.h"
#include "sfu-ctl/programme.h"

#define MEDIA_MEMORY_ID_BYTES 32u
/** Text of the longest record: a version and every octet of a PUT. */
#define MEDIA_MEMORY_TEXT_BYTES 1024u

void media_memory_object_id(
	char id[MEDIA_MEMORY_ID_BYTES], enum sfu_object_kind kind, uint64_t handle);
void media_memory_object(char text[MEDIA_MEMORY_TEXT_BYTES], const struct sfu_command *put);
/** False: not one of ours. */
bool media_memory_read_object(const char *id, const char *text, struct sfu_command *put);

void media_memory_handle_id(char id[MEDIA_MEMORY_ID_BYTES], uint64_t handle);
bool media_memory_read_handle(const char *id, uint64_t *handle);

void media_memory_remote(char text[MEDIA_MEMORY_TEXT_BYTES],
	const struct media_fingerprint *fingerprints, size_t count);
/** How many of at most max; 0 when it is not such a text. */
size_t media_memory_read_remote(
	const char *text, struct media_fingerprint *fingerprints, size_t max);

void media_memory_tables(
	char text[MEDIA_MEMORY_TEXT_BYTES], const uint32_t capacity[PROGRAMME_KINDS]);
bool media_memory_read_tables(const char *text, uint32_t capacity[PROGRAMME_KINDS]);
