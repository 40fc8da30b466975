#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The network is gone for two seconds; then a NAT forgets its clients, which have a new port and a new
# address at once and do not know it. The call goes on, without an ICE restart. With one worker and
# with two.
. "$(dirname "$0")/_impaired.sh"

# meanwhile SECONDS NAME COMMAND…: early in a call of so many; the time at its end is noted.
meanwhile() {
	local seconds=$1 name=$2
	shift 2
	impaired_call --peers 2 --seconds "$seconds" &
	local call=$!
	sleep 2
	"$@"
	echo "$name $(now_us)" >"$run_dir/events"
	wait "$call"
}

blackout() {
	weather blackout blackout
	sleep 2
	weather delay=10ms delay=10ms
}

rebind() {
	impair_tell rebind "$@" >/dev/null
}

for count in 1 2; do
	start --set "SFU_DP_WORKERS=$count"
	weather delay=10ms delay=10ms
	check "$count workers: a call with two seconds of blackout" meanwhile 7 blackout blackout
	check "$count workers: packets again within 500 ms" judge resumed blackout 500
	# libnice checks every five seconds or so.
	check "$count workers: a call whose clients get a new address" meanwhile 10 rebind rebind 198.18.99.77
	check "$count workers: packets again within a second of the first check" judge moved rebind 1000
	weather none none
	check "$count workers: books balance" books_balance
	check "$count workers: the network's books balance with the ports'" stage_balances
	[ "$count" = 2 ] || stop
done
finish
