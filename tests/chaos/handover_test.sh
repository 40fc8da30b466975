#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The data plane behind a virtual switch: its port is a memif, whose other end is DPDK's net_memif in a
# process that knows of no hand-over (sfu-memif-bridge). Handed over again and again, killed, its keeper
# killed, the switch started anew: the switch sees one connection all the time, and by planned hand-over
# nothing is lost and nobody is silent for longer than 20 ms.
#
#   sfu0 ══ veth ══ sfu-dp0, switch ══ memif ══ sfu-dp
#     │
#   headless peers, watcher
#
#   handover_test.sh [--seed N] [--long]      --long: 50 hand-overs instead of 5, and more packets
. "$(dirname "$0")/_chaos.sh"

times=5
rate=(--video-pps 500 --video-bytes 400)
if [ -n "$is_long" ]; then
	times=50
	rate=(--video-pps 2000 --video-bytes 200)
fi
settings=(--set SFU_DP_WORKERS=2)
memif=2
echo "seed $seed, $times hand-overs"

# bridge_holds EXPRESSION over first and d, the switch's first and last line.
bridge_holds() {
	grep '{' "$run_dir/bridge" | python3 -c "
import json,sys
all=[json.loads(line) for line in sys.stdin]
first,d=all[0],all[-1]
sys.exit(0 if ($1) else 1)"
}

# Microseconds of each hand-over, but for the time before the first.
silent_at_switch() {
	sed -n 's/.*"silent_us": \([0-9]*\)}/\1/p' "$run_dir/bridge" | tail -n +2 | xargs
}

silent_on_wire() {
	sed -n 's/^gap \([0-9]*\) us$/\1/p' "$run_dir/watch" | tail -n +2 | xargs
}

# heard "US…": what was measured, each time.
heard() {
	python3 -c "
import sys
us = sorted(int(n) for n in sys.argv[1].split())
print(f'  {len(us)} times, median {us[len(us) // 2]} us, longest', us[-5:])
sys.exit(0 if len(us) == int(sys.argv[2]) and us[0] > 0 else 1)" "$1" "$times"
}

# Switch and watcher begin their longest silences anew, and say what they were.
silences() {
	local switch watcher
	switch=$(told bridge)
	watcher=$(told watch)
	kill -USR1 "$bridge_pid"
	kill -HUP "$watch"
	wait_until 50 told_more bridge "$switch"
	wait_until 50 told_more watch "$watcher"
}

# The keeper and all threads of the process have the policy that everybody has, and are equally nice.
all_as_usual() {
	cat "/proc/$dp_pid/task"/*/stat "/proc/$(process)/task"/*/stat | sed 's/.*) //' \
		| awk 'NR == 1 { nice = $17 } $39 != 0 || $17 != nice { n++ } END { exit NR < 4 || n }'
}

told() {
	grep -c -e silent_us -e '^gap' "$run_dir/$1"
}

told_more() {
	[ "$(told "$1")" -gt "$2" ]
}

other_process() {
	local now
	now=$(process)
	[ -n "$now" ] && [ "$now" != "$1" ] && attached
}

start "${settings[@]}"

echo "# handed over"
watch_begin
call "${rate[@]}"
settle
standstill_begin
silences
for ((i = 1; i <= times; i++)); do
	# Returns when it is over. Nothing asks the data plane meanwhile: there are but so many processors.
	check "hand-over $i" dp_cli handover
	random_ms 150 400
	silences
done
standstill_end
tail -n 1 "$run_dir/bridge"
check "all threads have the usual policy and priority again" all_as_usual
check "the switch heard one connection" bridge_holds "d['connections'] == 1"
check "nothing that it had for the data plane found no room" bridge_holds "d['to_client_refused'] == first['to_client_refused']"
check "it waited for something each time" heard "$(silent_at_switch)"
check "never longer than 20 ms" short 20000 bridge
check "there was a call to be heard each time" heard "$(silent_on_wire)"
check "nobody on the wire heard nothing for longer than 20 ms" short 20000 watch
call_end
check "the call noticed nothing" call_holds "$nobody_noticed"
check "no packet was lost" call_holds "$nothing_lost"
watch_end
check "books balance" books_balance

echo "# killed, its keeper killed, handed over by the next one"
watch_begin
call "${rate[@]}"
settle
for ((i = 1; i <= 2; i++)); do
	victim=$(process)
	kill -KILL "$victim"
	check "another process forwards" wait_until 50 other_process "$victim"
	random_ms 200 600
done
kill -KILL "$dp_pid"
wait "$dp_pid" 2>/dev/null
dp_start "${settings[@]}"
check "the next keeper hands over, too" dp_cli handover
wait_until 30 attached
victim=$(process)
kill -KILL "$victim"
check "and starts again" wait_until 50 other_process "$victim"
silences
check "the switch heard one connection all the time" bridge_holds "d['connections'] == 1"

echo "# the switch is started anew"
kill -KILL "$bridge_pid"
wait "$bridge_pid" 2>/dev/null
check "its loss is seen" wait_until 20 dp_holds ports "not d[0]['connected']"
dp_cli handover >/dev/null
bridge_start
check "so is its return, by the next process" wait_until 30 dp_holds ports "d[0]['connected']"
call_end
check "the call noticed nothing but silence" call_holds "$nobody_noticed"
watch_end
check "books balance" books_balance
finish
