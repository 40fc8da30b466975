// SPDX-License-Identifier: BSD-3-Clause
/** How each noun of dp-cli looks as a table. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct json_object;

bool table_knows(const char *noun);

/** One line per noun. */
void table_help(FILE *out);

/** Print the answer of sfu-dp; numbers right-aligned, columns as wide as their content. */
void table_print(FILE *out, const char *noun, struct json_object *answer);
