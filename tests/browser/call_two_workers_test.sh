#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Four people, a fifth, one leaves; one's own formats at epochs 1 and 2. Data plane: 2 workers.
workers=2
# What buttons do is no matter of workers; ICE restart and a dark path have two in tests/e2e/paths_test.sh.
short_parts=wholeCall,referenceFrames
. "$(dirname "$0")/_call.sh" "$@"
