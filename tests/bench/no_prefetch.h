// SPDX-License-Identifier: BSD-3-Clause
/** Put in front of every file of the data plane: what fetching ahead is worth (bench_path_cold). */
#pragma once

#include <rte_prefetch.h>

#define rte_prefetch0(address) ((void)(address))
