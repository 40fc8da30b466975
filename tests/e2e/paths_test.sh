#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Where a client is reached: IPv6 alone, new ICE credentials and ports during a call without a packet
# lost, ports that a NAT takes away, a link that is down for two seconds.
#
#   sfu-peer (two or three peers) ── sfu0 ══ sfu-dp0 ── sfu-dp
. "$(dirname "$0")/_init.sh"

# Over all peers of a run's JSON: a Python expression over peers (list) and sinks (all consumers).
run_holds() {
	python3 - "$1" "$2" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith('{')]
peers = [r for r in rows if isinstance(r.get('consumers'), list)]
sinks = [c for p in peers for c in p['consumers']]
print('moves', [p['stats']['moves'] for p in peers], 'lost', [c['lost'] for c in sinks],
      'longest gap ms', [round(c['longest_gap_ms']) for c in sinks])
sys.exit(0 if peers and sinks and eval(sys.argv[2]) else 1)
PYTHON
}

neighbours() {
	ping -6 -c 3 -i 0.2 -W 1 "$dp_ip6" && ip -6 neigh show dev "$host_if" | grep "^$dp_ip6 .*\(REACHABLE\|DELAY\|STALE\)"
}

restart() {
	peer --peers 2 --seconds 7 --ice-restart 2 --json --check "$@" >"$run_dir/restart"
}

rebind() {
	peer --peers 2 --seconds 7 --rebind 3 --json "$@" >"$run_dir/rebind"
}

paths_move() {
	check "$1: ICE restarts, every packet arrives" restart "${@:2}"
	# Three restarts, two transports.
	check "$1: every restart came to its end" run_holds "$run_dir/restart" \
		"all(p['stats']['moves'] == 6 for p in peers)"
	check "$1: ports change as behind a NAT" rebind "${@:2}"
	check "$1: media goes on within a second of the change" run_holds "$run_dir/rebind" \
		"all(p['stats']['moves'] == 4 for p in peers) and all(c['longest_gap_ms'] < 1000 for c in sinks)"
}

link_down_for_two_seconds() {
	peer --peers 2 --seconds 6 --json >"$run_dir/down" &
	local call=$!
	sleep 3
	ip link set "$host_if" down
	sleep 2
	ip link set "$host_if" up
	wait "$call"
}

start --set SFU_DP_WORKERS=1
check "a neighbour is answered, and so is ICMPv6 echo" neighbours
check "a call over IPv6" peer --peers 3 --seconds 4 --ipv6 --check
check "books balance" books_balance
paths_move "one worker"
check "a link that is down for two seconds" link_down_for_two_seconds
check "media goes on within 500 ms after it" run_holds "$run_dir/down" \
	"all(1900 < c['longest_gap_ms'] < 2500 for c in sinks)"
check "books balance" books_balance
stop

start --set SFU_DP_WORKERS=2 --set "SFU_DP_ADDRESS=$dp_ip6"
check "a call where there is only IPv6, two workers" peer --peers 2 --seconds 4 --ipv6 --check
paths_move "IPv6, two workers" --ipv6
check "books balance" books_balance
finish
