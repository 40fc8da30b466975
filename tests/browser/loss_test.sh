#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two people whose network loses one packet in twenty in each direction, 50 ms of round trip: nobody
# sees the picture stand still. Then one that loses nothing, and gives them new addresses.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_impaired.sh"

run_dir_make
cp -r "$root/deploy/demo/dist" "$run_dir/web"
chmod -R a+rX "$run_dir/web"
ctl_settings=(--set "SFU_WEB_ROOT=$run_dir/web")
impair=(--up loss=5%,delay=25ms --down loss=5%,delay=25ms)
# One address, so that a transport has one path and its port names it.
start --set "SFU_DP_ADDRESS=$dp_ip"

lossy() {
	SFU_URL="http://127.0.0.1:$http_port/" PARTS=lossy node "$root/tests/browser/run.mjs"
}

lost_enough() {
	impair_holds "all(s[d]['lost'] * 100 >= 4 * s[d]['in'] > 4000 for d in ('up', 'down'))"
}

rebound() {
	now_us >"$run_dir/begin"
	IMPAIR=$build/tests/support/sfu-impair IMPAIR_SOCKET=$run_dir/impair.sock EVENTS=$run_dir/events \
		SFU_URL="http://127.0.0.1:$http_port/" PARTS=rebound node "$root/tests/browser/run.mjs"
	# The stage writes out its log when it is asked something.
	impair_tell summary
}

check "a call with loss as people see it" lossy
check "there was loss" lost_enough
impair_tell summary
weather delay=25ms delay=25ms
check "a call whose people get new addresses as they see it" rebound
check "packets again within a second of the first check" judge moved rebind 1000
check "books balance" books_balance
finish
