#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Calls of two and of four, end to end, with one worker and with two: every packet that was sent
# arrives at everybody else, decrypts, and is octet for octet what it was.
. "$(dirname "$0")/_init.sh"

seconds=10

# Flows meet workers by the kernel's hash of their ports: now and then all consumers of a call are
# on one worker. Then the call is held again.
tries=6

peers_consume_on_both() {
	python3 - "$run_dir/workers.before" "$run_dir/workers.after" <<'PYTHON'
import json, sys
before, after = (json.load(open(name)) for name in sys.argv[1:])
sent = [a['egress_packets'] - b['egress_packets'] for a, b in zip(after, before)]
over = sum(a['handoff_out'] + a['fanout_out'] - b['handoff_out'] - b['fanout_out'] for a, b in zip(after, before))
print('egress packets by worker:', sent, 'handed over:', over)
sys.exit(0 if len(sent) == 2 and min(sent) >= 0.2 * sum(sent) and over > 0 else 1)
PYTHON
}

call() {
	dp_cli --json show workers >"$run_dir/workers.before"
	peer --peers "$1" --seconds "$seconds" --check "${@:2}"
	local status=$?
	dp_cli --json show workers >"$run_dir/workers.after"
	return "$status"
}

shows_everything() {
	dp_holds transports "len(d) == 4 and all(t['state'] == 'connected' for t in d)" \
		&& dp_holds producers "len(d) == 4 and all(p['packets'] > 0 for p in d)" \
		&& dp_holds consumers "len(d) == 4 and all(c['packets'] > 0 for c in d)" \
		&& dp_holds rooms "len(d) == 1 and d[0]['peer_count'] == 2 and all(p['gate'] == 'open' for p in d[0]['peers'])"
}

nothing_left() {
	dp_holds transports "not d" && dp_holds producers "not d" && dp_holds consumers "not d" && dp_holds rooms "not d"
}

start --set SFU_DP_WORKERS=1
peer --peers 2 --seconds "$seconds" --check >"$run_dir/call" 2>&1 &
two=$!
check "dp-cli shows every object of a running call" wait_until 80 shows_everything
wait "$two"
status=$?
cat "$run_dir/call"
check "one worker, two peers" test "$status" = 0
check "one worker, four peers" call 4
check "one worker, four peers in two rooms, VP8, three epochs" call 4 --rooms 2 --codec VP8 --rekey 3 --pli 2
check "one worker: books balance" books_balance
check "one worker: nothing is left in the data plane" wait_until 50 nothing_left
stop

start --set SFU_DP_WORKERS=2
check "two workers, two peers" call 2
for ((i = 1; i <= tries; i++)); do
	check "two workers, four peers" call 4
	if spread=$(peers_consume_on_both); then
		break
	fi
	echo "again: $spread"
done
echo "$spread"
check "two workers: each sends at least 20 % of the packets, and packets are handed over" peers_consume_on_both
check "two workers: books balance" books_balance
check "two workers: nothing is left in the data plane" wait_until 50 nothing_left
finish
