// SPDX-License-Identifier: BSD-3-Clause
/** Which sanitizer a test is built with: gcc says it with a macro, clang with a feature. */
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
