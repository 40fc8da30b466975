#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Four people, a fifth, one leaves; one's own formats at epochs 1 and 2. Data plane: 2 workers.
workers=2
# ICE restart and a dark path have two workers in tests/e2e/paths_test.sh.
export WATCH_MS=${WATCH_MS:-10000}
export PARTS=${PARTS:-wholeCall,referenceFrames,buttons,stranger}
. "$(dirname "$0")/_call.sh"
