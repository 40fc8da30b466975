// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/fault.h"

static const struct {
	const char *code;
	const char *message;
	bool retryable;
} faults[FAULT_COUNT] = {[FAULT_NONE] = {"", "", false},
#define X(name, code_, retryable_, message_) [FAULT_##name] = {code_, message_, retryable_},
	FAULT_LIST(X)
#undef X
};

const char *fault_code(enum fault f)
{
	return faults[f].code;
}

const char *fault_message(enum fault f)
{
	return faults[f].message;
}

bool fault_retryable(enum fault f)
{
	return faults[f].retryable;
}
