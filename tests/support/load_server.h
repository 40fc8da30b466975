// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>
#include <sys/types.h>

/**
 * @file
 * For tests: what a server process uses, seen from outside, whoever's it is.
 */

/** VmRSS in octets, 0 when there is no such process. */
uint64_t server_resident_bytes(pid_t pid);

/** Processor time of all its threads so far, user and system, in nanoseconds. */
uint64_t server_cpu_ns(pid_t pid);
