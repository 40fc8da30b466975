#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What hits both planes: killed at once, without their keeper, all of it; the machine stands still, its
# wall clock jumps, its disk is full. Both run under a service manager (tests/e2e/service_manager.py),
# which holds the listening socket and the stream state and starts again what ends.
#
#   both_test.sh [--seed N] [--long]     --long: 50 deaths instead of 3, stops of 60 s and more
. "$(dirname "$0")/_chaos.sh"

deaths=3
stop_s=3
pause_s=3
if [ -n "$is_long" ]; then
	deaths=50
	stop_s=60
	pause_s=10
fi
echo "seed $seed, $deaths deaths, $stop_s s stopped, $pause_s s of pause"

manager="$root/tests/e2e/service_manager.py"

# The program under a manager: with wall-clock.so it is not the manager's, but its child.
child_of() {
	ps -o pid= --ppid "$1" | awk 'NR == 1 { print $1 }'
}

wall_clock() {
	python3 -c 'import struct,sys; open(sys.argv[1], "r+b").write(struct.pack("q", int(sys.argv[2])))' \
		"$run_dir/clock" "$1"
}

# kill_all SIGNAL PROCESS…: as nearly at once as one command can.
kill_all() {
	kill "-$1" "${@:2}"
}

# resumed N: each of the call came back so often, within three seconds each time, without joining.
resumed() {
	call_holds "[r['stats']['resumes'] for r in rows] == [$1] * 3 and max(r['stats']['resumed_after_ms'] for r in rows) <= 3000"
}

run_dir_make
# Of what sfu-ctl writes this is all that there is room for.
mount -t tmpfs -o size=1m,mode=700 tmpfs "$run_dir/state"
trap 'umount -l "$run_dir/state"; stop' EXIT
install -m 644 "$build/tests/chaos/wall-clock.so" "$run_dir/wall-clock.so"
head -c 8 /dev/zero >"$run_dir/clock"
chmod 644 "$run_dir/clock"
clock=(env "LD_PRELOAD=$run_dir/wall-clock.so" "WALL_CLOCK=$run_dir/clock")
dp_under=(python3 "$manager" --watchdog 20 --heard "$run_dir/dp.heard" -- "${clock[@]}")
ctl_under=(python3 "$manager" --listen "http=127.0.0.1:$http_port" --watchdog 20 --heard "$run_dir/ctl.heard" -- "${clock[@]}")
ctl_settings=(--set SFU_LOG_LEVEL=info)
start --set SFU_DP_WORKERS=2

echo "# $deaths times both at once"
watch_begin --tag 10
call --resume --profile cm80
settle
late=0
for ((i = 1; i <= deaths; i++)); do
	random_ms 100 900
	victim=$(process)
	kill_all KILL "$victim" "$(child_of "$ctl_pid")"
	wait_until 20 other_forwards "$victim" || late=$((late + 1))
	wait_until 20 rooms_are 1 || late=$((late + 1))
done
check "each time both are back within two seconds" test "$late" = 0

echo "# the keeper and its process at once: the service manager has the state"
victim=$(process)
kill_all KILL "$(child_of "$dp_pid")" "$victim"
check "another process forwards" wait_until 30 other_forwards "$victim"

echo "# the keeper, while its process stands still"
victim=$(process)
adopted=$(grep -c 'goes on where' "$run_dir/sfu-dp.log")
kill -STOP "$victim"
kill -KILL "$(child_of "$dp_pid")"
check "who comes then is told that there is one" wait_until 30 grep -q 'dp.sock: another process listens' "$run_dir/sfu-dp.log"
check "and leaves its state alone" test "$(grep -c 'goes on where' "$run_dir/sfu-dp.log")" = "$adopted"
kill -CONT "$victim"
check "its next keeper takes over" wait_until 50 grep -q "took over process $victim" "$run_dir/sfu-dp.out"
kill -KILL "$victim"
check "and starts another process with the state that it was given" wait_until 30 other_forwards "$victim"
victim=$(process)

echo "# the machine stands still"
keeper=$(child_of "$dp_pid")
ctl=$(child_of "$ctl_pid")
kill_all STOP "$keeper" "$victim" "$ctl"
sleep "$pause_s"
# In the order in which the first could blame the second.
kill_all CONT "$keeper" "$ctl" "$victim"
sleep 1
check "the same processes go on" test "$(process) $(child_of "$ctl_pid") $(child_of "$dp_pid")" = "$victim $ctl $keeper"
call_end
check "the call noticed nothing but silence" call_holds "$nobody_noticed"
check "everybody resumed after each death of sfu-ctl, and after nothing else" resumed "$deaths"
check "no burst of old packets" call_holds "t['latency_p99_ms'] < 1000"
watch_end

echo "# sfu-ctl stands still, the disk is full, the clock jumps"
call --resume
wait_until 50 dp_holds consumers "len(d) == 12 and all(c['packets'] > 0 for c in d)"
dd if=/dev/zero of="$run_dir/state/filler" bs=4k 2>/dev/null
peer --peers 2 --seconds 0 >/dev/null
check "a full disk is said" wait_until 30 grep -q 'cannot be written, a restart would end' "$run_dir/sfu-ctl.log"
peer --peers 2 --seconds 0 >/dev/null
check "once" test "$(grep -c 'cannot be written, a restart would end' "$run_dir/sfu-ctl.log")" = 1
ctl=$(child_of "$ctl_pid")
kill -STOP "$ctl"
check "sfu-dp notices that sfu-ctl stands still" wait_until 20 dp_holds link "d['silent'] == True"
sleep "$stop_s"
kill -CONT "$ctl"
rm "$run_dir/state/filler"
for day in 86400 -86400; do
	wall_clock "$day"
	kill -HUP "$ctl" # it says when
	check "$day s: whoever comes now has a call" peer --peers 2 --seconds 1 --check
	date=$(date -u -d "@$(($(date +%s) + day))" +%Y-%m-%d)
	check "$day s: sfu-ctl lives in another day" grep -q "^ts=$date.*reloaded" "$run_dir/sfu-ctl.log"
done
check "the same process" test "$(child_of "$ctl_pid")" = "$ctl"
check "the journal is written again when there is room" wait_until 120 grep -q 'is written again' "$run_dir/sfu-ctl.log"
kill -KILL "$ctl"
check "a death after that is none of the call's" wait_until 30 rooms_are 1
# Resuming takes three seconds at most.
call_end 4
check "the call noticed nothing" call_holds "$nobody_noticed"
# Who lost patience with a server that stood still has resumed before.
check "everybody resumed" call_holds "all(1 <= r['stats']['resumes'] <= 2 for r in rows)"
check "no packet was lost" call_holds "$nothing_lost"
wall_clock 0

echo "# everything is killed"
peers_begin "$run_dir/call" --peers 2 --kill-safe --json
wait_until 50 dp_holds consumers "len(d) == 4 and all(c['packets'] > 0 for c in d)"
kill_all KILL "$dp_pid" "$ctl_pid" "$(child_of "$dp_pid")" "$(process)" "$(child_of "$ctl_pid")"
wait "$dp_pid" "$ctl_pid" 2>/dev/null
dp_start --set SFU_DP_WORKERS=2
ctl_start "${ctl_settings[@]}"
ctl_wait 50
check "a clean start" dp_holds link "d['attaches'] == 1"
check "clients rejoin by themselves" wait_until 50 dp_holds consumers "len(d) == 4 and all(c['packets'] > 0 for c in d)"
peers_end 1
check "and have their call" python3 - "$run_dir/call" <<'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith('{')]
t = rows.pop()
print("# rejoined", [r['stats']['rejoins'] for r in rows], "after ms", [r['stats']['back_after_ms'] for r in rows])
sys.exit(not (all(r['stats']['rejoins'] >= 1 and r['stats']['back_after_ms'] <= 5000 for r in rows)
              and t['mismatched'] == t['undecryptable'] == 0))
P
check "books balance" books_balance
finish
