#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Kill -9 and restart either process in either order, 20 times, each time in the middle of a call:
# the survivor goes on, a new call works within 2 s of the restart, and the survivor leaks neither
# memory nor descriptors nor shared memory.
. "$(dirname "$0")/_init.sh"

rounds=${SFU_RESTART_ROUNDS:-20}

descriptors() {
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

regions() {
	grep -c 'memfd:' "/proc/$1/maps"
}

rss_kb() {
	awk '/VmRSS/ { print $2 }' "/proc/$1/status"
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

kill_dp() {
	# With its keeper: nothing of it may be left.
	kill -KILL "$dp_pid" "$(dp_process)"
	wait "$dp_pid" 2>/dev/null
}

kill_ctl() {
	kill -KILL "$ctl_pid"
	wait "$ctl_pid" 2>/dev/null
}

# A call of one second between two peers; the time from $1 until it is over, media included.
call_since() {
	ctl_wait 50
	peer --peers 2 --seconds 1 --check >"$run_dir/call.out" 2>&1 || { cat "$run_dir/call.out"; return 1; }
	elapsed=$(($(now_ms) - $1))
}

worst=0
start --set SFU_DP_WORKERS=2

for ((round = 1; round <= rounds; round++)); do
	peer --peers 2 --seconds 30 >"$run_dir/victims.out" 2>&1 &
	victims=$!
	sleep 1
	case $((round % 4)) in
	0) # the data plane alone
		survivor=$ctl_pid
		kill_dp
		t=$(now_ms)
		dp_start --set SFU_DP_WORKERS=2
		;;
	1) # the control plane alone
		survivor=$(dp_process)
		kill_ctl
		check "round $round: sfu-dp goes on alone" dp_holds link "d['attached'] == False"
		t=$(now_ms)
		ctl_start "${ctl_settings[@]}"
		;;
	2) # both, the data plane first up
		survivor=
		kill_dp
		kill_ctl
		t=$(now_ms)
		dp_start --set SFU_DP_WORKERS=2
		ctl_start "${ctl_settings[@]}"
		;;
	3) # both, the control plane first up
		survivor=
		kill_ctl
		kill_dp
		t=$(now_ms)
		ctl_start "${ctl_settings[@]}"
		dp_start --set SFU_DP_WORKERS=2
		;;
	esac
	kill -KILL "$victims" 2>/dev/null
	wait "$victims" 2>/dev/null
	elapsed=99999
	check "round $round: a new call works" call_since "$t"
	# One second of the call is media, half a second its drain.
	net=$((elapsed - 1500))
	[ "$net" -le "$worst" ] || worst=$net
	check "round $round: within 2 s ($net ms)" test "$net" -le 2000
	if [ -n "$survivor" ]; then
		check "round $round: the survivor still runs" kill -0 "$survivor"
	fi
done
echo "worst time from restart to a finished call, media excluded: $worst ms"

# In one stretch with the same survivors, so that growth is seen.
for victim in dp ctl; do
	if [ "$victim" = dp ]; then survivor=$ctl_pid; else survivor=$(dp_process); fi
	rss_before=
	for ((k = 0; k < 6; k++)); do
		if [ "$victim" = dp ]; then
			kill_dp
			dp_start --set SFU_DP_WORKERS=2
		else
			kill_ctl
			ctl_start "${ctl_settings[@]}"
		fi
		ctl_wait 50
		peer --peers 2 --seconds 1 --check >/dev/null 2>&1
		sleep 0.5
		if [ "$k" = 1 ]; then
			rss_before=$(rss_kb "$survivor")
			fd_before=$(descriptors "$survivor")
			map_before=$(regions "$survivor")
		fi
	done
	echo "after $victim died 6 times the survivor has $(descriptors "$survivor") descriptors (was $fd_before), $(regions "$survivor") regions (was $map_before), $(rss_kb "$survivor") kB (was $rss_before)"
	check "no descriptor leaked when $victim dies" test "$(descriptors "$survivor")" -le "$fd_before"
	check "no region leaked when $victim dies" test "$(regions "$survivor")" -le "$map_before"
	check "no memory leaked when $victim dies (below 1 MiB over 4 deaths)" test "$(rss_kb "$survivor")" -le $((rss_before + 1024))
done
check "nothing in /dev/shm" test -z "$(find /dev/shm -name 'sfu*' -print -quit)"
check "books balance" books_balance
finish
