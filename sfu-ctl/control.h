// SPDX-License-Identifier: BSD-3-Clause
/**
 * Commands of the operator to a running sfu-ctl, over a Unix socket (SFU_CONTROL): "sfu-ctl drain". One
 * packet with the name of a command, one with a line that begins with "ok" or "error", the end. Only
 * root and the user that sfu-ctl runs as are heard. Event loop's thread only, but control_ask().
 */
#pragma once

#include <stddef.h>
#include <uv.h>

/** Where sfu-ctl listens as deploy/systemd has it. */
#define CONTROL_UNIT_PATH "/run/sfu-ctl/control.sock"

/** Octets of an answer with its NUL. */
#define CONTROL_ANSWER_BYTES 512u

struct control_command {
	const char *name; /* NULL ends the list */
	void (*run)(void *ctx, char answer[CONTROL_ANSWER_BYTES]);
};

struct control;

/**
 * Listen. A socket that a dead process left is replaced.
 * @param path      "": nothing is listened on
 * @param commands  valid as long as this
 * @param err       receives one line that says what to do
 * @return NULL on failure
 */
struct control *control_create(uv_loop_t *loop, const char *path,
	const struct control_command *commands, void *ctx, char *err, size_t err_size);

/** Close, and remove the socket unless it is another's by now. Run the loop afterwards. NULL is fine. */
void control_destroy(struct control *control);

/**
 * The other end: send a command and wait for the answer, 5 seconds at most.
 * @param path    "": at CONTROL_UNIT_PATH
 * @param answer  the line, or why there is none
 * @return 0 when the answer is "ok…", else -1
 */
int control_ask(const char *path, const char *command, char answer[CONTROL_ANSWER_BYTES]);
