#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The page without a server: frame formats against RFC 9605, epochs and key packages against a room
# of twenty lines, the frame worker between two connections of one Chromium page. And when the suite
# holds the machine to be at fault.
. "$(dirname "$0")/../../deploy/lib.sh"
set -eu

cd "$root/deploy/demo"
npm test --silent
node --test "$root/tests/browser/limits.test.mjs"
node "$root/tests/browser/frames_test.mjs"
