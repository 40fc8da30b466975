#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The suite where media has nothing but IPv6: the page comes over the loopback, as it must to be a
# secure context, its candidates lead to one IPv6 address.
workers=1
only_ipv6=1
# The others never get to see an address.
short_parts=wholeCall,iceRestart,blackout
. "$(dirname "$0")/_call.sh" "$@"
