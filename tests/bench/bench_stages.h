// SPDX-License-Identifier: BSD-3-Clause
/**
 * Where the time of a turn goes. The linker puts bench_stages.c between the stages (--wrap), so the
 * product knows nothing of it; a stage's figure is its own, without the stages that it calls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/crypto/engine.h"

#define STAGE_LIST(X)                                                                              \
	X(poll, "port, clock, end of turn")                                                        \
	X(rx, "Ethernet to UDP")                                                                   \
	X(classify, "whose, by bulk look-up")                                                      \
	X(open, "parse, replay window, state, feedback")                                           \
	X(cipher_open, "cipher of the received packet")                                            \
	X(fanout, "verdicts, places, headers, transmit buffers, history")                          \
	X(cipher_seal, "cipher of the copies")                                                     \
	X(timers, "what is due by the clock")                                                      \
	X(transmit, "to the port, which frees")

enum stage {
#define X(name, text) STAGE_##name,
	STAGE_LIST(X)
#undef X
		STAGE_COUNT
};

extern const char *const stage_names[STAGE_COUNT];

/** Cycles by stage between stages_begin() and stages_end() while they are on; one thread. */
struct stages {
	uint64_t cycles[STAGE_COUNT];
};

extern struct stages stages;

/** On or off, with the port on which copies are sent. */
void stages_turn(bool on, uint16_t port);

/** Around the work that is measured. */
void stages_begin(void);
void stages_end(void);

/** The same engine with its ciphers counted as stages; valid for the life of the process. */
const struct srtp_engine *stages_engine(const struct srtp_engine *engine);
