// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/packet_port.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#define SLOT 2048
#define BLOCK (256 * 1024)
#define RING_BYTES ((size_t)SLOT * PACKET_PORT_FRAMES)
#define SEND_BUFFER (16 * 1024 * 1024)
#define SEND_TRIES 3
#define SEND_WAIT_MS 5

// The kernel lays the frame behind its header and an Ethernet header's room, so that IP is aligned.
_Static_assert(PACKET_PORT_FRAME_MAX + TPACKET_ALIGN(TPACKET2_HDRLEN + 16) <= SLOT,
	"room for a frame in a slot");

static struct tpacket2_hdr *slot(const struct packet_port *port)
{
	return (void *)((uint8_t *)port->ring + (size_t)port->next * SLOT);
}

static bool ring_open(struct packet_port *port)
{
	const int version = TPACKET_V2;
	const struct tpacket_req request = {.tp_block_size = BLOCK,
		.tp_block_nr = RING_BYTES / BLOCK,
		.tp_frame_size = SLOT,
		.tp_frame_nr = PACKET_PORT_FRAMES};
	void *ring;

	if (setsockopt(port->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version))
		|| setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)))
		return false;
	ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
	if (ring == MAP_FAILED)
		return false;
	port->ring = ring;
	return true;
}

const char *packet_port_open(struct packet_port *port, const char *interface)
{
	const struct packet_mreq everything
		= {.mr_ifindex = (int)if_nametoindex(interface), .mr_type = PACKET_MR_PROMISC};
	const struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface)};
	const int size = SEND_BUFFER, yes = 1;
	socklen_t len = sizeof(int);
	int down;

	*port = (struct packet_port){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
	if (port->fd < 0)
		return "no packet socket";
	// Protocol 0 until bound: nothing comes before the ring is there and our own frames are left out.
	if (!ring_open(port))
		return "no ring";
	if (setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes))
		|| bind(port->fd, (const struct sockaddr *)&at, sizeof(at))
		|| setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything,
			sizeof(everything)))
		return interface;
	// That it is down is told once, as an error of whatever is done next: here.
	getsockopt(port->fd, SOL_SOCKET, SO_ERROR, &down, &len);
	if (setsockopt(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(port->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return NULL;
}

void packet_port_close(struct packet_port *port)
{
	if (port->ring)
		munmap(port->ring, RING_BYTES);
	close(port->fd);
}

uint8_t *packet_port_next(struct packet_port *port, size_t *out_len)
{
	struct tpacket2_hdr *at = slot(port);

	if (!(__atomic_load_n(&at->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return NULL;
	*out_len = at->tp_len;
	return (uint8_t *)at + at->tp_mac;
}

void packet_port_release(struct packet_port *port)
{
	__atomic_store_n(&slot(port)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	port->next = (port->next + 1) % PACKET_PORT_FRAMES;
}

bool packet_port_send(struct packet_port *port, const uint8_t *octets, size_t len)
{
	struct pollfd room = {.fd = port->fd, .events = POLLOUT};

	for (unsigned tries = 0; tries < SEND_TRIES; tries++) {
		if (send(port->fd, octets, len, MSG_DONTWAIT) >= 0)
			return true;
		if (errno != EAGAIN && errno != ENOBUFS)
			return false;
		poll(&room, 1, SEND_WAIT_MS);
	}
	return false;
}

uint64_t packet_port_overflows(struct packet_port *port)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	// Reading sets the kernel's counter to zero.
	if (!getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		port->overflows += stats.tp_drops;
	return port->overflows;
}
