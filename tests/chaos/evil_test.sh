#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Hostile ends of the link against the real other one, under the address and undefined sanitizers and
# as it is installed. evil-ctl attaches in the place of a control plane that was killed in the middle of a call: the
# call goes on, nothing of it is lost, and the next control plane finds its rooms and clears away the rest.
# evil-dp has clients that go on being served.
#
#   evil_test.sh [--seed N] [--long]      --long: until 100 million messages were taken
. "$(dirname "$0")/../e2e/_init.sh"

seed=${SFU_CHAOS_SEED:-$RANDOM}
seconds=4
rounds=1
while [ $# -gt 0 ]; do
	case $1 in
	--seed) seed=$2; shift ;;
	--long) seconds=14 rounds=1000 ;;
	esac
	shift
done
goal=100000000
taken=0
echo "# seed $seed"
plain=$build
asan=$build-asan
[ -x "$asan/sfu-dp/sfu-dp" ] && [ -x "$asan/sfu-ctl/sfu-ctl" ] || die "no $asan: run it by tests/run"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# A figure of a JSON line: value NAME FILE.
value() {
	python3 -c "import json,sys; print(json.loads(open(sys.argv[2]).read())[sys.argv[1]])" "$1" "$2"
}

nothing_found() {
	! grep -aE 'runtime error|Sanitizer|signal=|the process ended|hangs' "$run_dir"/sfu-dp.log "$run_dir"/sfu-ctl.log
}

# Turns of more than a millisecond of processor time, over housekeeping and workers.
long_turns() {
	local link workers
	link=$(dp_value link "['turns_over_1ms']")
	workers=$(dp_cli --json show workers | python3 -c "import json,sys; print(sum(w['turns_over_1ms'] for w in json.load(sys.stdin)))")
	echo $((link + workers))
}

# How often a processor stood still for most of a millisecond, which counts as the time of the thread that it
# had: each time may have made one turn long.
standstills() {
	grep -vc watching "$run_dir/stood"
}

# Rooms as they are, less who speaks.
rooms() {
	dp_cli --json show rooms | python3 -c "
import json,sys
for r in json.load(sys.stdin):
	r.pop('speaker')
	print(r)"
}

# evil_ctl NUMBER: a call, its control plane killed, an evil one for $seconds, another good one.
evil_ctl() {
	local before process turns stood
	start --set SFU_DP_WORKERS=2 --set SFU_DP_TURN_CLOCK=processor
	check "the tables are in memory" wait_until 100 grep -q 'the tables are in memory' "$run_dir/sfu-dp.log"
	peers_begin "$run_dir/peers.json" --peers 3 --resume --check --json
	check "a call is up" wait_until 100 dp_holds consumers "len(d) == 12"
	sleep 1
	process=$(dp_value link "['process']")
	before=$(rooms)
	kill -KILL "$ctl_pid"
	wait "$ctl_pid" 2>/dev/null
	turns=$(long_turns)
	standstill_begin 300 400
	"$plain/tests/chaos/evil-ctl" "$run_dir/link/dp.sock" "$seconds" "$1" >"$run_dir/evil" || echo "not ok - evil-ctl ends"
	turns=$(($(long_turns) - turns))
	standstill_end
	stood=$(standstills)
	cat "$run_dir/evil"
	echo "# commands $(dp_value link "['commands']"), DTLS records $(dp_value link "['dtls_to_dp']")," \
		"longest turn of housekeeping $(dp_value link "['turn_longest_us']") us, of workers" \
		"$(dp_cli --json show workers | python3 -c "import json,sys; print([w['turn_longest_us'] for w in json.load(sys.stdin)])") us," \
		"$turns turns over 1 ms meanwhile, a processor stood still $stood times"
	taken=$((taken + $(dp_value link "['commands']") + $(dp_value link "['dtls_to_dp']")))
	if [ "$build" = "$plain" ]; then
		check "no turn took more than a millisecond" test "$turns" -le "$stood"
	fi
	check "evil-ctl was heard" test "$(value accepted "$run_dir/evil")" -gt 1000
	ctl_start "${ctl_settings[@]}"
	check "another control plane takes over" wait_until 50 dp_holds link "d['name'] == 'local-sfu-1' and d['attached']"
	check "it clears away what is not its own" wait_until 50 dp_holds transports "len(d) == 6"
	check "and has its room as it was" [ "$before" = "$(rooms)" ]
	check "the call lost nothing" peers_end 4
	check "the same process forwards" test "$(dp_value link "['process']")" = "$process"
	check "nothing was found" nothing_found
	check "books balance" books_balance
	stop
}

# evil_dp NUMBER: clients of an sfu-ctl that has an evil data plane.
evil_dp() {
	run_dir_make
	ip link set lo up
	"$plain/tests/chaos/evil-dp" "$run_dir/link/dp.sock" $((seconds + 4)) "$1" >"$run_dir/evil" &
	dp_pid=$!
	: >"$run_dir/sfu-dp.log"
	ctl_start "${ctl_settings[@]}"
	ctl_wait
	python3 "$(dirname "$0")/evil_clients.py" "$http_port" $((seconds + 2)) >"$run_dir/clients"
	wait "$dp_pid"
	cat "$run_dir/evil" "$run_dir/clients"
	taken=$((taken + $(value taken "$run_dir/evil")))
	check "sfu-ctl runs" kill -0 "$ctl_pid"
	check "every request was answered" test "$(value errors "$run_dir/clients")" = "[]"
	check "transports were made amid the flood" test "$(value made "$run_dir/clients")" -gt 5
	check "nobody waited long" python3 -c "
import json,sys
d=json.load(open(sys.argv[1]))
sys.exit(max(d['http']['p99_ms'], d['talk']['p99_ms']) > 250)" "$run_dir/clients"
	check "no key was given away" test "$(value keys "$run_dir/evil")" = 0
	check "the log is no flood" test "$(wc -l <"$run_dir/sfu-ctl.log")" -lt $((seconds * 200))
	cut -d' ' -f4- "$run_dir/sfu-ctl.log" | cut -c1-40 | sort | uniq -c | sort -rn | head -n 3
	check "nothing was found" nothing_found
	stop
}

for ((round = 0; round < rounds && taken < goal; round++)); do
	for build in "$plain" "$asan"; do
		echo "# evil-ctl and $build"
		evil_ctl $((seed + round))
	done
	build=$asan
	echo "# evil-dp and $build"
	evil_dp $((seed + round))
	echo "# $taken messages were taken"
done
[ "$rounds" = 1 ] || check "$goal messages" test "$taken" -ge "$goal"
finish
