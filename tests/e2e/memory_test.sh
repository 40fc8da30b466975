#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Where hop keys are, and are not: sfu-ctl has forgotten them, and what they were made from, once sfu-dp has
# them; sfu-dp and its keeper have none when the call is over; no file and no core dump ever has.
. "$(dirname "$0")/_init.sh"

here=$root/tests/e2e

# Of the process, by its number.
holds_no() {
	local pid=$1
	shift
	python3 "$here/memory_search.py" "$run_dir/hop" "$pid" "$@"
}
# The search has teeth.
holds_all() {
	local found
	found=$(python3 "$here/memory_search.py" "$run_dir/hop" "$1" hop-key)
	echo "${found##*$'\n'}"
	[ "$(grep -c '^hop-key' <<<"$found")" = "$(grep -c '^hop-key' "$run_dir/hop")" ]
}
call_runs() {
	dp_holds transports "len(d) == 4 and all(t['state'] == 'connected' for t in d)" \
		&& dp_holds consumers "len(d) == 4 and all(c['packets'] > 0 for c in d)"
}
nothing_left() {
	dp_holds transports "not d" && dp_holds rooms "not d"
}
# No mapping of what both processes share, or the keeper holds, goes into a core dump; there is none anyway.
is_not_dumped() {
	local pid=$1 mapping=$2
	awk -v name="$mapping" '/^[0-9a-f]+-/ { mine = index($0, name) } /^VmFlags:/ && mine { n++; if (!/ dd/) bad++ }
		END { exit !(n > 0 && !bad) }' "/proc/$pid/smaps"
}
dumps_nothing() {
	grep -q '^Max core file size  *0  *0 ' "/proc/$1/limits" && [ "$(stat -c %u "/proc/$1/mem")" = 0 ]
}
in_no_file() {
	python3 "$here/secrets_search.py" "$run_dir/keys" "$run_dir"/state/* "$run_dir"/sfu-*.log "$run_dir"/sfu-*.out
}

start
peers_begin "$run_dir/call" --peers 2 --check --secrets "$run_dir/hop"
check "a call runs" wait_until 80 call_runs
dp=$(dp_process)
check "sfu-dp has its hop keys" holds_all "$dp"
check "sfu-ctl has forgotten them" holds_no "$ctl_pid" hop-key hop-salt
check "nor can it make them again" holds_no "$ctl_pid" dtls-master
check "the link is in no core dump of sfu-ctl" is_not_dumped "$ctl_pid" sfu-link
check "nor in one of sfu-dp" is_not_dumped "$dp" sfu-link
check "nor is the stream state" is_not_dumped "$dp" sfu-state
for pid in "$ctl_pid" "$dp" "$dp_pid"; do
	check "$(cat "/proc/$pid/comm") dumps no core" dumps_nothing "$pid"
done
peers_end
status=$?
cat "$run_dir/call" "$run_dir/call.err"
check "the call was as it should be" test "$status" = 0
check "nothing is left of it" wait_until 50 nothing_left
check "no key is left in sfu-dp" wait_until 30 holds_no "$dp" hop-key hop-salt dtls-master
check "nor in its keeper" holds_no "$dp_pid" hop-key hop-salt dtls-master
check "nor in sfu-ctl" holds_no "$ctl_pid" hop-key hop-salt dtls-master
grep -E '^(hop|dtls)-' "$run_dir/hop" >"$run_dir/keys"
check "nor in journal or log" in_no_file
finish
