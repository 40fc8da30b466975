// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/media_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(2 * sizeof(((struct sfu_command *)0)->u) + 16 < MEDIA_MEMORY_TEXT_BYTES, "text");

void media_memory_object_id(
	char id[MEDIA_MEMORY_ID_BYTES], enum sfu_object_kind kind, uint64_t handle)
{
	snprintf(id, MEDIA_MEMORY_ID_BYTES, "%d:%016" PRIx64, (int)kind, handle);
}

void media_memory_object(char text[MEDIA_MEMORY_TEXT_BYTES], const struct sfu_command *put)
{
	static const char hex[] = "0123456789abcdef";
	struct sfu_command copy = *put;
	size_t len = sizeof(copy.u), at;

	if (copy.type == SFU_CMD_PUT_TRANSPORT) {
		copy.u.transport.ufrag_len = copy.u.transport.pwd_len = 0;
		memset(copy.u.transport.ufrag, 0, sizeof(copy.u.transport.ufrag));
		memset(copy.u.transport.pwd, 0, sizeof(copy.u.transport.pwd));
	}
	while (len > 0 && copy.u.bytes[len - 1] == 0)
		len--;
	at = (size_t)snprintf(text, MEDIA_MEMORY_TEXT_BYTES, "%" PRIu32 " ", copy.version);
	for (size_t i = 0; i < len; i++) {
		text[at++] = hex[copy.u.bytes[i] >> 4];
		text[at++] = hex[copy.u.bytes[i] & 15];
	}
	text[at] = '\0';
}

static bool read_octets(const char *text, uint8_t *out, size_t size)
{
	size_t len = strlen(text);

	if (len % 2 != 0 || len / 2 > size)
		return false;
	for (size_t i = 0; i < len / 2; i++) {
		unsigned value;

		if (strspn(text + 2 * i, "0123456789abcdef") < 2
			|| sscanf(text + 2 * i, "%2x", &value) != 1)
			return false;
		out[i] = (uint8_t)value;
	}
	return true;
}

bool media_memory_read_object(const char *id, const char *text, struct sfu_command *put)
{
	unsigned kind;
	int end = 0;

	memset(put, 0, sizeof(*put));
	if (sscanf(id, "%1u:%16" SCNx64 "%n", &kind, &put->handle, &end) != 2 || id[end] != '\0'
		|| kind <= SFU_KIND_NONE || kind >= PROGRAMME_KINDS)
		return false;
	end = 0;
	if (sscanf(text, "%" SCNu32 " %n", &put->version, &end) != 1 || end == 0)
		return false;
	put->type = programme_put_type((enum sfu_object_kind)kind);
	return read_octets(text + end, put->u.bytes, sizeof(put->u));
}

void media_memory_handle_id(char id[MEDIA_MEMORY_ID_BYTES], uint64_t handle)
{
	snprintf(id, MEDIA_MEMORY_ID_BYTES, "%016" PRIx64, handle);
}

bool media_memory_read_handle(const char *id, uint64_t *handle)
{
	int end = 0;

	return sscanf(id, "%16" SCNx64 "%n", handle, &end) == 1 && id[end] == '\0';
}

void media_memory_remote(char text[MEDIA_MEMORY_TEXT_BYTES],
	const struct media_fingerprint *fingerprints, size_t count)
{
	size_t at = (size_t)snprintf(text, MEDIA_MEMORY_TEXT_BYTES, "remote");

	for (size_t i = 0; i < count && at < MEDIA_MEMORY_TEXT_BYTES; i++) {
		size_t need = strlen(fingerprints[i].algorithm) + strlen(fingerprints[i].value) + 3;

		// Those that are left out are not checked after a restart: fewer match, never more.
		if (at + need > MEDIA_MEMORY_TEXT_BYTES)
			break;
		at += (size_t)snprintf(text + at, MEDIA_MEMORY_TEXT_BYTES - at, " %s %s",
			fingerprints[i].algorithm, fingerprints[i].value);
	}
}

size_t media_memory_read_remote(
	const char *text, struct media_fingerprint *fingerprints, size_t max)
{
	size_t count = 0;
	int end = 0;

	if (strncmp(text, "remote", 6) != 0)
		return 0;
	text += 6;
	while (count < max
		&& sscanf(text, " %15s %191s%n", fingerprints[count].algorithm,
			   fingerprints[count].value, &end)
			   == 2) {
		text += end;
		count++;
	}
	return count;
}

void media_memory_tables(
	char text[MEDIA_MEMORY_TEXT_BYTES], const uint32_t capacity[PROGRAMME_KINDS])
{
	snprintf(text, MEDIA_MEMORY_TEXT_BYTES,
		"%" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32, capacity[SFU_KIND_ROOM],
		capacity[SFU_KIND_PEER], capacity[SFU_KIND_TRANSPORT], capacity[SFU_KIND_PRODUCER],
		capacity[SFU_KIND_CONSUMER]);
}

bool media_memory_read_tables(const char *text, uint32_t capacity[PROGRAMME_KINDS])
{
	memset(capacity, 0, PROGRAMME_KINDS * sizeof(*capacity));
	return sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
		       &capacity[SFU_KIND_ROOM], &capacity[SFU_KIND_PEER],
		       &capacity[SFU_KIND_TRANSPORT], &capacity[SFU_KIND_PRODUCER],
		       &capacity[SFU_KIND_CONSUMER])
	       == 5;
}
