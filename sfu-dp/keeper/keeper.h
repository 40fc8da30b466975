// SPDX-License-Identifier: BSD-3-Clause
/**
 * The keeper: the process that people start. It holds the memory of the stream state, starts the
 * poll-mode process (the same program with SFU_DP_KEEPER set, tie.h) and starts it again when it
 * dies. No EAL, no port, no link: little that could end it.
 *
 * What ends by itself before it ever forwarded ends the keeper with the same status: settings and
 * devices do not get better by trying. Later deaths are answered at once, repeated ones with pauses;
 * a state with which three processes died in a row is given up.
 *
 * Killed, it leaves the process running; the next keeper takes the state back from it.
 */
#pragma once

#include "sfu-dp/config.h"

/** Until told to stop (SIGTERM, SIGINT, SIGHUP); the exit status. argv starts the process. */
int keeper_run(const struct config *config, char **argv);
