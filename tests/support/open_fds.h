// SPDX-License-Identifier: BSD-3-Clause
/** How many descriptors this process has open: what a test compares before and after. */
#pragma once

#include <dirent.h>

/** @return the same number as long as nothing was opened or closed; UINT_MAX where there is no /proc */
static inline unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!dir)
		return ~0u;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
