// SPDX-License-Identifier: BSD-3-Clause
/**
 * The object that a request names by its id (protocol.md A5, A6). Where NULL is returned the request
 * has been ended: with "Invalid <field>" for what is no id, else with the *_NOT_FOUND of its kind.
 */
#pragma once

#include <stdbool.h>

struct consumer;
struct producer;
struct request;
struct transport;

/** A live producer of the room: "producerId". */
struct producer *named_producer(struct request *r);

/** One of the device's own: "producerId", "consumerId", "transportId". */
struct producer *named_own_producer(struct request *r);
struct consumer *named_own_consumer(struct request *r);
struct transport *named_own_transport(struct request *r);

/**
 * An id where its absence is no fault.
 * @param out  NULL when it is absent; belongs to the request
 * @return false: it is no id, and the request has been ended
 */
bool named_id(struct request *r, const char *field, const char **out);
