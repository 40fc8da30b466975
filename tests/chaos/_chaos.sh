# SPDX-License-Identifier: BSD-3-Clause
# Sourced first by tests that let processes die in the middle of calls: seed and length from the
# command line or the environment, calls of headless peers, and the watcher on the wire.
#
#   --seed N (SFU_CHAOS_SEED)   the moments of all faults come from it; printed
#   --long                      is_long=1: as often as the promise says
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_init.sh"

seed=${SFU_CHAOS_SEED:-$RANDOM}
is_long=
while [ $# -gt 0 ]; do
	case $1 in
	--seed) seed=$2; shift ;;
	--long) is_long=1 ;;
	*) die "$1: unknown argument" ;;
	esac
	shift
done
RANDOM=$seed

index_check="$build/tests/chaos/index-check"

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# random_ms FROM TO: sleep so long.
random_ms() {
	sleep "$(printf '%d.%03d' $(((RANDOM % ($2 - $1) + $1) / 1000)) $(((RANDOM % ($2 - $1) + $1) % 1000)))"
}

# The process that forwards.
process() {
	dp_cli --json show link 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["process"])' 2>/dev/null
}

# Another process than $1 forwards, and has its control plane.
other_forwards() {
	local now
	now=$(process)
	[ -n "$now" ] && [ "$now" != "$1" ] && dp_holds link "d['attached'] == True"
}

# sfu-ctl answers, and has so many rooms.
rooms_are() {
	ctl_get /metrics | grep -q "\"rooms\": *$1\b"
}

attached() {
	dp_holds link "d['attached'] == True"
}

# watch_begin [OPTION…]: the watcher sees all that leaves the data plane.
watch_begin() {
	"$index_check" "$@" "$host_if" 40000 >"$run_dir/watch" 2>"$run_dir/watch.err" &
	watch=$!
	wait_until 50 grep -q watching "$run_dir/watch"
}

watch_end() {
	kill -TERM "$watch"
	wait "$watch"
	tail -n 1 "$run_dir/watch"
	head -n 5 "$run_dir/watch.err"
	check "no index twice" watch_holds "d['repeated'] == 0 and d['rtp'] > 1000"
	check "nothing escaped the watcher" watch_holds "d['not_seen'] == 0"
}

# watch_holds EXPRESSION over d, the watcher's last line.
watch_holds() {
	tail -n 1 "$run_dir/watch" | python3 -c "
import json,sys
d=json.load(sys.stdin)
sys.exit(0 if ($1) else 1)"
}

# short LIMIT_US FILE: none of the silences noted there since was longer, but for what the machine stood still.
short() {
	awk -v since="$stood_since" '/^silent / && $2 >= since' "$run_dir/$2" \
		| python3 "$(dirname "$0")/silences.py" "$1" "$run_dir/stood"
}

# call [OPTION…]: three peers in the background, until call_end.
call() {
	peers_begin "$run_dir/call" --patient --peers 3 --json "$@"
}

# libnice has chosen its pairs before anything happens.
settle() {
	sleep 6
}

# call_end [SECONDS]: after so many more, in which the last of what happened to it would show.
call_end() {
	peers_end "${1:-2}"
	cat "$run_dir/call.err"
	tail -n 1 "$run_dir/call" | cut -c 1-600
}

# call_holds EXPRESSION over t, the totals, and rows, the peers.
call_holds() {
	python3 - "$run_dir/call" "$1" <<'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith('{')]
t = rows.pop()
ok = len(rows) == 3 and eval(sys.argv[2])
if not ok:
    print([(r['failure'], r['stats']['rejoins'], r['stats']['resumes'],
            [(c['kind'], c['problem']) for c in r['consumers'] if c['problem']]) for r in rows])
sys.exit(0 if ok else 1)
P
}

# Whatever was lost, nothing came wrong, twice or by way of signalling.
nobody_noticed="all(r['failure'] is None and r['stats']['rejoins'] == 0 for r in rows) and t['duplicated'] == t['undecryptable'] == t['mismatched'] == t['header_wrong'] == t['timestamp_jumps'] == 0 and t['received'] > 0"
nothing_lost="t['lost'] == 0 and t['rtp_missing'] == 0"

# drops [REASON…]: packets dropped for these reasons, or for any but that nobody wanted them.
drops() {
	dp_cli --json show drops | python3 -c "
import json,sys
by={r['reason']: r['count'] for r in json.load(sys.stdin)['drops']}
print(sum(by.get(n, 0) for n in sys.argv[1:] or set(by) - {'no_consumer'}))" "$@"
}
