#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Four people, a fifth, one leaves; one's own formats at epochs 1 and 2. Data plane: 1 worker.
workers=1
export SHOT_PREFIX=workers1-
. "$(dirname "$0")/_call.sh"
