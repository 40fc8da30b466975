#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The data plane dies at random moments of a call, is handed over, loses its keeper and is stopped,
# while headless peers send numbered, checksummed packets and an independent program watches all that
# leaves it. Nobody may notice more than a short silence: no ICE, no DTLS, no signalling, no index
# twice, no replay accepted.
#
#   dataplane_test.sh [--seed N] [--long]      --long: 200 deaths instead of 12, and more packets
. "$(dirname "$0")/_chaos.sh"

deaths=12
rate=()
if [ -n "$is_long" ]; then
	deaths=200
	rate=(--video-pps 4200 --video-bytes 200)
fi
echo "seed $seed, $deaths deaths"

# Peers that come and go, so that deaths meet commands on their way.
churn_begin() {
	while :; do
		peer --peers 2 --seconds 0 --kill-safe --room "churn-$BASHPID-$RANDOM" >/dev/null 2>&1
	done &
	churn=$!
}

churn_end() {
	kill "$churn"
	wait "$churn" 2>/dev/null
}

start --set SFU_DP_WORKERS=2

echo "# $deaths times kill -9"
watch_begin
call "${rate[@]}"
settle
churn_begin
survived=0
for ((i = 1; i <= deaths; i++)); do
	victim=$(process)
	random_ms 200 1200
	[ -n "$victim" ] || continue
	kill -USR2 "$watch"
	sleep 0.05
	kill -KILL "$victim"
	wait_until 50 other_forwards "$victim" && survived=$((survived + 1))
done
churn_end
check "after each of $deaths deaths another process forwards" test "$survived" = "$deaths"
# What an attacker recorded before: nothing of it passes.
sleep 3.5
before=$(drops)
checks_before=$(drops stun_replay)
kill -USR1 "$watch"
wait_until 30 grep -q '^replayed' "$run_dir/watch"
read -r again checks < <(sed -n 's/^replayed //p' "$run_dir/watch")
sleep 0.5
refused=$(($(drops) - before))
checks_refused=$(($(drops stun_replay) - checks_before))
check "a capture sent again: $again packets and $checks checks, $refused refused" \
	test "$again" -gt 100 -a "$checks" -gt 0 -a "$refused" -ge $((again + checks))
# Those of whom is gone by now are nobody's.
check "$checks_refused of the checks as such" test "$checks_refused" -gt 0
call_end
check "the call noticed nothing but silence" call_holds "$nobody_noticed"
watch_end
check "nor one of SRTCP" watch_holds "d['srtcp'] > 10"
# 500 ms on a machine that is not busy: a figure, no threshold for a test.
check "half of the silences are below a second" watch_holds "0 < d['silence_median_ms'] <= 1000"
check "books balance" books_balance
check "nothing is left in the data plane" wait_until 100 dp_holds transports "d == []"

echo "# handed over"
watch_begin
call
settle
for ((i = 1; i <= 4; i++)); do
	check "hand-over $i" dp_cli handover
	wait_until 30 attached
	random_ms 100 400
done
call_end
check "the call noticed nothing" call_holds "$nobody_noticed"
check "no packet was lost" call_holds "$nothing_lost"
watch_end

echo "# the keeper dies"
call
settle
before=$(process)
for ((i = 1; i <= 3; i++)); do
	kill -KILL "$dp_pid"
	wait "$dp_pid" 2>/dev/null
	killed=$(now_ms)
	dp_start --set SFU_DP_WORKERS=2
	took=$(($(now_ms) - killed))
	check "a new keeper has the state after $took ms" grep -q "took over process $before" "$run_dir/sfu-dp.out"
	check "that is within a second" test "$took" -le 1000
	random_ms 100 300
done
check "the process is the same" test "$(process)" = "$before"
call_end
check "no packet was lost" call_holds "$nobody_noticed and t['lost'] == 0"

echo "# stopped for five seconds"
call
settle
victim=$(process)
kill -STOP "$victim"
stopped=$SECONDS
check "sfu-ctl notices within a second or so" wait_until 13 grep -q 'gives no sign of life' "$run_dir/sfu-ctl.log"
check "and its keeper" wait_until 13 grep -q 'gives no sign of life' "$run_dir/sfu-dp.log"
timeout 3 python3 "$(dirname "$0")/refused.py" "$http_port" >"$run_dir/refused" 2>&1
cat "$run_dir/refused"
check "who comes now is refused with a reason" grep -q 'SFU_NODE_UNAVAILABLE True' "$run_dir/refused"
while [ $((SECONDS - stopped)) -lt 5 ]; do sleep 0.1; done
kill -CONT "$victim"
sleep 2
check "what waited is dropped" test "$(drops stalled)" -gt 0
call_end
check "the same process goes on" test "$(process)" = "$victim"
check "the call noticed nothing but silence" call_holds "$nobody_noticed"
# What a worker had in its hands may go out; what waited may not.
check "no burst of old packets" call_holds "t['latency_p99_ms'] < 1000"
check "books balance" books_balance
finish
