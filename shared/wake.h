// SPDX-License-Identifier: BSD-3-Clause
/**
 * The eventfds of the link, by which a sleeping side is woken. Both sides hold the same open file
 * description and either may change its flags, so neither relies on O_NONBLOCK.
 */
#pragma once

/**
 * Take what was announced, which lets go who waits for room in the counter; never blocks. The sleeper's
 * thread, or one that frees another from a sleeper that means harm.
 */
void sfu_wake_drain(int fd);

/**
 * Wake the other side: once per transition, when sfu_ring_push() says so. A peer that clears
 * O_NONBLOCK and fills the counter to its limit between our two system calls holds the caller until
 * it reads: it can hurt the one thread that speaks with it, no worker and no other peer.
 */
void sfu_wake(int fd);
