// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-ctl/media.h in memory, for tests of what stands above it: records every call, answers when it
 * is told to, and stops the test on a call that the real one would not survive (a dead handle, a
 * child without its parent).
 */
#pragma once

#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"

struct media *fake_media_create(void);
void fake_media_destroy(struct media *m);

/** The data plane comes or goes; the notices are given. Objects stay. */
void fake_media_attach(struct media *m, bool attached);
/** When it comes next it has no transports, and nothing that hung on them. */
void fake_media_lose(struct media *m);

/** While it is away: it is there, of another version, or it is not. */
void fake_media_set_foreign(struct media *m, bool foreign);

/** What is above it dies: nothing more reaches the data plane until it is attached again. */
void fake_media_kill(struct media *m);

/** While held, asynchronous requests wait. */
void fake_media_hold(struct media *m, bool held);
/** Result of all later requests. */
void fake_media_answer(struct media *m, enum media_result result);
/** Error that the next *_create() returns at once; 0 for none. */
void fake_media_refuse(struct media *m, int error);
/** Answer what waits, unless held. How many were answered. */
unsigned fake_media_settle(struct media *m);

/** A transport ends by itself. label: its id on the wire. */
void fake_media_end(struct media *m, const char *label, enum media_transport_end why);

/** The producer that was made first on a transport speaks now. label: the transport's id. */
void fake_media_speak(struct media *m, const char *label);

/** Calls since the last clear, one line each. */
const char *fake_media_log(const struct media *m);
void fake_media_log_clear(struct media *m);

/** Objects that exist. */
unsigned fake_media_objects(const struct media *m);

/** The address that is announced. */
#define FAKE_MEDIA_IP "192.0.2.10"
#define FAKE_MEDIA_PORT 40000
#define FAKE_MEDIA_FINGERPRINT "AA:BB:CC"
