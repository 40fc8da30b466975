// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/keeper/runtime.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "sfu-dp/log.h"

static char directory[160]; /* "" = the EAL's default */
static bool is_ours;

void runtime_make(void)
{
	const char *given = getenv("RUNTIME_DIRECTORY");

	if (given) {
		snprintf(directory, sizeof(directory), "%s", given);
		return;
	}
	strcpy(directory, "/tmp/sfu-dp-XXXXXX");
	is_ours = mkdtemp(directory);
	if (is_ours)
		setenv("RUNTIME_DIRECTORY", directory, 1);
	else
		directory[0] = 0;
}

void runtime_remove(void)
{
	char path[192];

	if (!*directory)
		return;
	snprintf(path, sizeof(path), "%s/dpdk/sfu-dp", directory);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", directory);
	rmdir(path);
	if (is_ours && rmdir(directory))
		log_line(LOG_WARNING, "main", "runtime directory stays", "path=%s", directory);
}
