// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: command line of sfu-peer.
 */

#define PEER_KEY_LEN 16
#define PEER_NONE UINT32_MAX

struct peer_options {
	const char *url;
	const char *room; // name, or its beginning with several rooms; NULL = one of this process
	const char *profiles; // SRTP profiles offered, OpenSSL's names
	const char *codec; // "VP8" or "VP9"; NULL = the server's first
	uint64_t packets; // per producer; 0 = until the end
	uint32_t peers, rooms;
	uint32_t seconds;
	uint32_t audio_pps, video_pps; // 0 = no such track
	uint32_t audio_bytes, video_bytes; // RTP payload
	uint32_t rekey_seconds; // 0 = never
	uint32_t pli_seconds; // consumers ask for key frames; 0 = never
	uint32_t grace_ms; // the server's; for what must not come through a shut gate
	uint32_t laggard; // index of a peer that does not become ready after a rekey; PEER_NONE
	uint32_t old_key; // index of a peer that never changes its key; PEER_NONE
	uint32_t unready; // index of a peer that is not ready after joining; PEER_NONE
	uint32_t ready_after_ms; // when either becomes ready after all; 0 = never
	uint32_t ice_restart_seconds; // all transports get new credentials and ports; 0 = never
	uint32_t rebind_seconds; // all ports change as behind a NAT; 0 = never
	bool ipv6; // the server's IPv6 candidate
	const char *flood; // "nack" or "pli": what the last peer floods the server with; NULL = not
	uint32_t flood_pps;
	bool impaired; // the network loses and damages: that is counted, and no mistake
	const char *secrets; // file that is told keys and passwords; NULL = none
	bool patient; // keeps a transport whose consent checks go unanswered
	bool check, json, kill_safe, first_check;
	bool resume; // a lost WebSocket is connected again, media goes on
	uint8_t key[PEER_KEY_LEN]; // SFrame base key
};

/** Read the command line; on a mistake says what is allowed and ends the process with 2. */
void peer_options_read(struct peer_options *options, int argc, char **argv);
