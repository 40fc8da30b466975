#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The suite where media has nothing but IPv6: the page comes over the loopback, as it must to be a
# secure context, its candidates lead to one IPv6 address.
workers=1
WATCH_MS=${WATCH_MS:-6000}
only_ipv6=1
export WATCH_MS
. "$(dirname "$0")/_call.sh"
