#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Clients that vanish without a word: after the time of consent (here 3 s, not 30, unless CONSENT_SEC
# says so) the others are told, nothing is sent to them any more, and nothing of them is left in either
# process.
. "$(dirname "$0")/_init.sh"

here=$root/tests/e2e

nothing_left() {
	dp_holds transports "not d" && dp_holds producers "not d" && dp_holds consumers "not d" && dp_holds rooms "not d"
}

export CONSENT_SEC=${CONSENT_SEC:-3}
start --set SFU_DP_WORKERS=2 --set "SFU_DP_CONSENT_SEC=$CONSENT_SEC"
free_before=$(dp_value ports "[0]['mbufs_free']")
check "peers are told, and five hundred leave nothing" python3 "$here/vanish.py" "$http_port" "$ctl_pid" "$dp_pid"
check "nothing of theirs is left in the data plane" wait_until 50 nothing_left
check "no packet buffer is missing" wait_until 50 dp_holds ports "d[0]['mbufs_free'] >= $free_before - 64"
check "a call afterwards" peer --peers 2 --seconds 2 --check
check "books balance" books_balance
finish
