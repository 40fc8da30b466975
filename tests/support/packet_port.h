// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: an interface whose frames are all ours: what arrives is kept until it is taken, what is
 * sent leaves at once. What arrives waits in a ring that is mapped here, so that seconds of a flood
 * find room while this process does not run, whatever the limits on socket buffers are.
 */

/** Frames that can wait, some seconds at 10,000 a second. */
#define PACKET_PORT_FRAMES 32768
#define PACKET_PORT_FRAME_MAX 1920

/** One owner. */
struct packet_port {
	int fd; // readable when a frame waits
	void *ring;
	unsigned next; // slot of the ring
	uint64_t overflows; // frames for which there was no room
};

/**
 * Open an interface, which may be down until later.
 * @return NULL, or what could not be done, with errno set
 */
const char *packet_port_open(struct packet_port *port, const char *interface);

void packet_port_close(struct packet_port *port);

/**
 * The next frame that has arrived, without what the interface itself sends. It is ours to change until
 * packet_port_release(), to be called once for each.
 * @param out_len  octets; above PACKET_PORT_FRAME_MAX only so many of them are there
 * @return NULL if none waits
 */
uint8_t *packet_port_next(struct packet_port *port, size_t *out_len);
void packet_port_release(struct packet_port *port);

/** True if the kernel took it; waits some milliseconds for room. */
bool packet_port_send(struct packet_port *port, const uint8_t *octets, size_t len);

/** Frames so far for which there was no room. */
uint64_t packet_port_overflows(struct packet_port *port);
