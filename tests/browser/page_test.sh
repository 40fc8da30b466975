#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The page without a server: frame formats against RFC 9605, epochs and key packages against a room
# of twenty lines, the frame worker between two connections of one Chromium page.
. "$(dirname "$0")/../../deploy/lib.sh"
set -eu

cd "$root/deploy/demo"
npm test --silent
node "$root/tests/browser/frames_test.mjs"
