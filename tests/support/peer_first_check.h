// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "tests/support/peer.h"

/**
 * For tests: make a receive transport, be silent for --seconds, then time one ICE check. Prints
 * "first_check_ms=…".
 * @return exit status: 0 if an authentic answer came
 */
int peer_first_check(const struct peer_env *env, const char *room);
