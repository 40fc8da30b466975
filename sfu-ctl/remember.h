// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a successor needs to know of the core's objects, told to core_io.remember as they change
 * and before anybody else hears of it. Objects under way (not live) are not remembered: who asked
 * for them has no answer yet, and asks again. Nothing happens while nobody listens.
 *
 *   kind "core"       id "mode": "media" once a data plane has been seen
 *   kind "room"       id roomId
 *   kind "session"    id its number: those that can be resumed, or are in a room
 *   kind "peer"       id NUMBER, what rooms call the device's life
 *   kind "transport", "producer", "consumer"   id as on the wire
 *
 * Texts are JSON objects; restore.c reads them. A resume token is held as its hash.
 */
#pragma once

struct consumer;
struct core;
struct peer;
struct producer;
struct room;
struct session;
struct transport;

void remember_mode(const struct core *c);
void remember_room(const struct room *room);
void remember_session(const struct session *s);
/** One that was claimed and can be by this token (its hash) from now on. */
void remember_claimed(const struct session *s, const char *token_hash);
void remember_peer(const struct peer *p);
void remember_transport(const struct transport *t);
void remember_producer(const struct producer *p);
void remember_consumer(const struct consumer *consumer);

void forget_room(const struct room *room);
void forget_session(const struct session *s);
void forget_peer(const struct peer *p);
void forget_transport(const struct transport *t);
void forget_producer(const struct producer *p);
void forget_consumer(const struct consumer *consumer);
