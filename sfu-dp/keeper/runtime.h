// SPDX-License-Identifier: BSD-3-Clause
/**
 * The directory in which the EAL makes its own, empty ones: one given to us, or one of ours. Made
 * and removed by whoever outlives the EAL: the keeper, or a process without one.
 */
#pragma once

/** Sees to it that RUNTIME_DIRECTORY is set. Before any EAL starts. */
void runtime_make(void);

/** Remove what EALs left there, and the directory if it is ours. After all of them have ended. */
void runtime_remove(void);
