// SPDX-License-Identifier: BSD-3-Clause
/**
 * Between the keeper and the poll-mode process: one SOCK_SEQPACKET socket, messages of eight octets.
 *
 *   keeper                         process
 *   (starts it with the socket and the state's memfd inherited, SFU_DP_KEEPER=socket,memfd,go|wait)
 *                                  go: starts at once        wait: EAL and tables, no port
 *          <--------------------- TIE_STANDING_BY (wait only)
 *   TIE_PREPARE ----------------->  opens the port where two may
 *          <--------------------- TIE_PREPARED
 *   TIE_GO ---------------------->  adopts the state, forwards
 *          <--------------------- TIE_READY
 *          <--------------------- TIE_BEAT  four times a second
 *          <--------------------- TIE_HAND_OVER  somebody asked dp-cli for it
 *   TIE_RELEASE ----------------->  stops between two bursts, closes its sockets
 *          <--------------------- TIE_RELEASED  and ends
 *          <--------------------- TIE_PORT  what of its port outlives it: descriptors, kept unseen
 *   TIE_PORT -------------------->  given to the next one: before it starts (go), and before
 *                                   TIE_PREPARE and TIE_GO
 *
 * A process whose keeper died goes on, and listens on a socket of its own for the next keeper of the
 * same user, which gets the memfd over it, and what the port has; that connection is the tie from
 * then on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum tie_type {
	TIE_NONE = 0,
	TIE_STANDING_BY,
	TIE_PREPARE,
	TIE_PREPARED,
	TIE_GO,
	TIE_READY,
	TIE_BEAT,
	TIE_HAND_OVER,
	TIE_RELEASE,
	TIE_RELEASED,
	TIE_PORT,
	TIE_LOST, /* not sent: the other side is gone */
};

#define TIE_BEAT_US 250000u

struct tie_message {
	uint32_t type; /* enum tie_type */
	uint32_t value; /* TIE_READY to a new keeper: the process id; TIE_PORT: tie_held.value */
};

/** A socket, memory, and an eventfd per ring of 15 workers and one: memif/memif.c. */
#define TIE_HELD_MAX 18u

/** Descriptors that a port has open and that pass from process to process. */
struct tie_held {
	uint32_t value; /* the port's own; 0 = there are none */
	unsigned count;
	int fd[TIE_HELD_MAX];
};

void tie_held_close(struct tie_held *held);

/** Never blocks; a message that does not go out is lost with its reader. */
void tie_send(int fd, enum tie_type type, uint32_t value);

/** TIE_PORT; the descriptors remain the caller's. */
void tie_send_port(int fd, const struct tie_held *held);

/**
 * The next message: its type, TIE_NONE when there is none, TIE_LOST at the end. Never blocks.
 * @param held  takes what comes with TIE_PORT; what it had before is closed. NULL: that is not wanted
 */
enum tie_type tie_receive(int fd, struct tie_held *held);

/* The process's end. One thread at a time. */

struct tie {
	int fd; /* -1: no keeper now */
	int state_fd; /* memfd of the state; -1: started without a keeper */
	bool waits; /* TIE_GO is to be waited for */
	int listen_fd; /* for the next keeper; -1 = none */
	uint64_t beat_us; /* last one sent */
	char path[112]; /* of that socket */
	struct tie_held given; /* by the keeper, for the port, which takes it */
	struct tie_held port; /* last told by the port, whose descriptors they are */
};

/** From what the keeper left in the environment, which is cleared. False: there is no keeper. */
bool tie_init(struct tie *t, const char *path);
void tie_fini(struct tie *t);

/** What the keeper says next; notices its death, waits for the next one. Every turn. */
enum tie_type tie_poll(struct tie *t, uint64_t now_us);

/** The keeper, and each one that follows it, shall hold this for a successor. */
void tie_hold(struct tie *t, const struct tie_held *held);

/* The keeper's side of taking over */

/**
 * Ask a process that has lost its keeper for its state.
 * @param pid  of that process
 * @param fd   receives the tie
 * @return the memfd, or -1: nobody listens there, or it is not of our user
 */
int tie_take_over(const char *path, pid_t *pid, int *fd);

/** The path of the socket for the next keeper, from that of dp-cli. False: too long. */
bool tie_path(char out[112], const char *cli);
