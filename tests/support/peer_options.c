// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[]
	= "usage: sfu-peer [options]\n"
	  "Headless participants of a call: they publish numbered, checksummed, SFrame sealed "
	  "packets\n"
	  "and check what they receive of each other.\n"
	  "  --url URL            ws://127.0.0.1:8888/ws\n"
	  "  --peers N            participants (2)\n"
	  "  --rooms M            shared out over so many rooms (1)\n"
	  "  --room NAME          room to join; unset: one of this process\n"
	  "  --seconds S          how long, from when everybody is connected (10)\n"
	  "  --packets N          instead: until each producer has sent N and all have arrived\n"
	  "  --audio-pps N        packets per second (50); 0: no audio\n"
	  "  --video-pps N        packets per second (100); 0: no video\n"
	  "  --audio-bytes N      RTP payload (120)\n"
	  "  --video-bytes N      RTP payload (1000)\n"
	  "  --codec VP8|VP9      video codec; unset: the first that the server offers\n"
	  "  --profile P          gcm128, gcm256 or cm80: offer only this SRTP profile\n"
	  "  --e2ee-key HEX       SFrame base key, 32 hex digits\n"
	  "  --rekey S            the first peer of each room commits a new epoch every S seconds\n"
	  "  --laggard K          peer K does not answer the first rekey with E2EE_READY\n"
	  "  --old-key K          peer K says that it is ready, and goes on with its first key\n"
	  "  --no-e2ee-ready      the last peer does not become ready when it has joined\n"
	  "  --ready-after MS     when the laggard or the unready peer becomes ready; unset: "
	  "never\n"
	  "  --grace-ms MS        the server's SFU_E2EE_GRACE_MS (20000)\n"
	  "  --pli S              each video consumer asks for a key frame every S seconds\n"
	  "  --ipv6               the server's IPv6 candidate, not IPv4\n"
	  "  --ice-restart S      new ICE credentials and ports every S seconds\n"
	  "  --rebind S           new ports every S seconds, as behind a NAT\n"
	  "  --flood nack|pli     the last peer sends as many of these as it can\n"
	  "  --flood-pps N        packets of that per second (10000)\n"
	  "  --impaired           the network is bad: what is lost or damaged is counted, not "
	  "judged\n"
	  "  --patient            no consent checks of its own: libnice gives up after two; and "
	  "long\n"
	  "                       without a server\n"
	  "  --kill-safe          come back when socket or media is lost\n"
	  "  --resume             connect again when the socket is lost, media goes on\n"
	  "  --first-check        time the first ICE check of a transport after --seconds of "
	  "silence\n"
	  "  --check              say what was received, exit 0 only if all of it was right\n"
	  "  --secrets FILE       write hop keys and ICE passwords there: what no log may have\n"
	  "  --json               one object per peer and totals, on standard output\n";

enum option_id {
	OPT_URL = 256,
	OPT_PEERS,
	OPT_ROOMS,
	OPT_ROOM,
	OPT_SECONDS,
	OPT_PACKETS,
	OPT_AUDIO_PPS,
	OPT_VIDEO_PPS,
	OPT_AUDIO_BYTES,
	OPT_VIDEO_BYTES,
	OPT_CODEC,
	OPT_PROFILE,
	OPT_KEY,
	OPT_REKEY,
	OPT_LAGGARD,
	OPT_OLD_KEY,
	OPT_UNREADY,
	OPT_READY_AFTER,
	OPT_GRACE,
	OPT_PLI,
	OPT_IPV6,
	OPT_ICE_RESTART,
	OPT_REBIND,
	OPT_FLOOD,
	OPT_FLOOD_PPS,
	OPT_IMPAIRED,
	OPT_PATIENT,
	OPT_KILL_SAFE,
	OPT_RESUME,
	OPT_FIRST_CHECK,
	OPT_CHECK,
	OPT_JSON,
	OPT_SECRETS,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"url", required_argument, NULL, OPT_URL},
	{"peers", required_argument, NULL, OPT_PEERS},
	{"rooms", required_argument, NULL, OPT_ROOMS},
	{"room", required_argument, NULL, OPT_ROOM},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"packets", required_argument, NULL, OPT_PACKETS},
	{"audio-pps", required_argument, NULL, OPT_AUDIO_PPS},
	{"video-pps", required_argument, NULL, OPT_VIDEO_PPS},
	{"audio-bytes", required_argument, NULL, OPT_AUDIO_BYTES},
	{"video-bytes", required_argument, NULL, OPT_VIDEO_BYTES},
	{"codec", required_argument, NULL, OPT_CODEC},
	{"profile", required_argument, NULL, OPT_PROFILE},
	{"e2ee-key", required_argument, NULL, OPT_KEY},
	{"rekey", required_argument, NULL, OPT_REKEY},
	{"laggard", required_argument, NULL, OPT_LAGGARD},
	{"old-key", required_argument, NULL, OPT_OLD_KEY},
	{"no-e2ee-ready", no_argument, NULL, OPT_UNREADY},
	{"ready-after", required_argument, NULL, OPT_READY_AFTER},
	{"grace-ms", required_argument, NULL, OPT_GRACE},
	{"pli", required_argument, NULL, OPT_PLI},
	{"ipv6", no_argument, NULL, OPT_IPV6},
	{"ice-restart", required_argument, NULL, OPT_ICE_RESTART},
	{"rebind", required_argument, NULL, OPT_REBIND},
	{"flood", required_argument, NULL, OPT_FLOOD},
	{"flood-pps", required_argument, NULL, OPT_FLOOD_PPS},
	{"impaired", no_argument, NULL, OPT_IMPAIRED},
	{"patient", no_argument, NULL, OPT_PATIENT},
	{"kill-safe", no_argument, NULL, OPT_KILL_SAFE},
	{"resume", no_argument, NULL, OPT_RESUME},
	{"first-check", no_argument, NULL, OPT_FIRST_CHECK},
	{"check", no_argument, NULL, OPT_CHECK},
	{"json", no_argument, NULL, OPT_JSON},
	{"secrets", required_argument, NULL, OPT_SECRETS},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static void refuse(const char *name, const char *value, const char *allowed)
{
	fprintf(stderr, "sfu-peer: --%s %s: %s\n", name, value, allowed);
	exit(2);
}

static uint32_t number(const char *name, const char *text, uint32_t min, uint32_t max)
{
	char allowed[64], *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		snprintf(allowed, sizeof(allowed), "a number from %u to %u", min, max);
		refuse(name, text, allowed);
	}
	return (uint32_t)value;
}

static const char *profile(const char *text)
{
	if (!strcmp(text, "gcm128"))
		return "SRTP_AEAD_AES_128_GCM";
	if (!strcmp(text, "gcm256"))
		return "SRTP_AEAD_AES_256_GCM";
	if (!strcmp(text, "cm80"))
		return "SRTP_AES128_CM_SHA1_80";
	refuse("profile", text, "gcm128, gcm256 or cm80");
	return NULL;
}

static void read_key(uint8_t key[PEER_KEY_LEN], const char *text)
{
	size_t len = strlen(text);

	if (len != 2 * PEER_KEY_LEN || strspn(text, "0123456789abcdefABCDEF") != len)
		refuse("e2ee-key", text, "32 hex digits");
	for (unsigned i = 0; i < PEER_KEY_LEN; i++) {
		const char digits[3] = {text[2 * i], text[2 * i + 1], 0};

		key[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

static void read_option(struct peer_options *o, int id, const char *name, const char *value)
{
	switch ((enum option_id)id) {
	case OPT_URL:
		o->url = value;
		break;
	case OPT_ROOM:
		o->room = value;
		break;
	case OPT_PEERS:
		o->peers = number(name, value, 1, 10000);
		break;
	case OPT_ROOMS:
		o->rooms = number(name, value, 1, 10000);
		break;
	case OPT_SECONDS:
		o->seconds = number(name, value, 0, 86400);
		break;
	case OPT_PACKETS:
		o->packets = number(name, value, 1, UINT32_MAX);
		break;
	case OPT_AUDIO_PPS:
		o->audio_pps = number(name, value, 0, 100000);
		break;
	case OPT_VIDEO_PPS:
		o->video_pps = number(name, value, 0, 100000);
		break;
	case OPT_AUDIO_BYTES:
		o->audio_bytes = number(name, value, 96, 1200);
		break;
	case OPT_VIDEO_BYTES:
		o->video_bytes = number(name, value, 96, 1200);
		break;
	case OPT_CODEC:
		if (strcmp(value, "VP8") != 0 && strcmp(value, "VP9") != 0)
			refuse(name, value, "VP8 or VP9");
		o->codec = value;
		break;
	case OPT_PROFILE:
		o->profiles = profile(value);
		break;
	case OPT_KEY:
		read_key(o->key, value);
		break;
	case OPT_REKEY:
		o->rekey_seconds = number(name, value, 1, 86400);
		break;
	case OPT_LAGGARD:
		o->laggard = number(name, value, 0, 9999);
		break;
	case OPT_OLD_KEY:
		o->old_key = number(name, value, 0, 9999);
		break;
	case OPT_READY_AFTER:
		o->ready_after_ms = number(name, value, 1, 3600000);
		break;
	case OPT_GRACE:
		o->grace_ms = number(name, value, 0, 600000);
		break;
	case OPT_PLI:
		o->pli_seconds = number(name, value, 1, 3600);
		break;
	case OPT_UNREADY:
		o->unready = 0; // set to the last peer when their number is known
		break;
	case OPT_IPV6:
		o->ipv6 = true;
		break;
	case OPT_ICE_RESTART:
		o->ice_restart_seconds = number(name, value, 1, 3600);
		break;
	case OPT_REBIND:
		o->rebind_seconds = number(name, value, 1, 3600);
		break;
	case OPT_FLOOD:
		if (strcmp(value, "nack") != 0 && strcmp(value, "pli") != 0)
			refuse(name, value, "nack or pli");
		o->flood = value;
		break;
	case OPT_FLOOD_PPS:
		o->flood_pps = number(name, value, 1, 100000);
		break;
	case OPT_IMPAIRED:
		o->impaired = true;
		break;
	case OPT_PATIENT:
		o->patient = true;
		break;
	case OPT_KILL_SAFE:
		o->kill_safe = true;
		break;
	case OPT_RESUME:
		o->resume = true;
		break;
	case OPT_FIRST_CHECK:
		o->first_check = true;
		break;
	case OPT_CHECK:
		o->check = true;
		break;
	case OPT_SECRETS:
		o->secrets = value;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_HELP:
		fputs(usage_text, stdout);
		exit(0);
	}
}

void peer_options_read(struct peer_options *options, int argc, char **argv)
{
	static const struct peer_options defaults = {
		.url = "ws://127.0.0.1:8888/ws",
		// The order of a browser (webrtc.md 8); the server's order decides.
		.profiles = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
		.peers = 2,
		.rooms = 1,
		.seconds = 10,
		.audio_pps = 50,
		.video_pps = 100,
		.audio_bytes = 120,
		.video_bytes = 1000,
		.grace_ms = 20000,
		.flood_pps = 10000,
		.laggard = PEER_NONE,
		.old_key = PEER_NONE,
		.unready = PEER_NONE,
		.key = "test key of sfu",
	};
	int id, index;

	*options = defaults;
	while ((id = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
		if (id == 'h')
			id = OPT_HELP;
		else if (id == '?')
			exit(2);
		read_option(
			options, id, id == OPT_HELP ? "help" : long_options[index].name, optarg);
	}
	if (optind < argc) {
		fprintf(stderr, "sfu-peer: %s: unknown argument (see --help)\n", argv[optind]);
		exit(2);
	}
	if (options->unready != PEER_NONE)
		options->unready = options->peers - 1;
	if (options->rooms > options->peers)
		options->rooms = options->peers;
}
