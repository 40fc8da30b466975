// SPDX-License-Identifier: BSD-3-Clause
/**
 * Whether what a PUT says can be at all, whatever else there is (shared/command.h has the rules). Pure.
 */
#pragma once

#include <stdbool.h>

#include "shared/command.h"

bool check_transport(const struct sfu_put_transport *put);
bool check_producer(const struct sfu_put_producer *put);
bool check_consumer(const struct sfu_put_consumer *put);
