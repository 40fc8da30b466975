// SPDX-License-Identifier: BSD-3-Clause
/** How many descriptors this process has open: what a test compares before and after. */
#pragma once

#include <dirent.h>

/** @return the same number as long as nothing was opened or closed; -1 where there is no /proc */
static inline int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
