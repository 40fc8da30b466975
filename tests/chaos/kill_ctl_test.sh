#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# kill -9 of the control plane at random moments of a call, again and again: media loses nothing, the
# new process has the same rooms within a second, and everybody resumes within three.
#
#   kill_ctl_test.sh [--seed N] [--long]     --long: 200 deaths instead of 12, and more packets
. "$(dirname "$0")/_chaos.sh"

kills=12
rate=()
if [ -n "$is_long" ]; then
	kills=200
	rate=(--video-pps 1500 --video-bytes 200)
fi
peers=4
echo "# seed $seed, $kills kills"

# What the data plane has, without what moves: objects, gates and keys of every transport.
programme() {
	dp_cli --json show rooms | python3 -c "
import json,sys
for r in json.load(sys.stdin):
	r.pop('speaker') # moves as people talk
	print(r)"
	dp_cli --json show consumers | python3 -c "
import json,sys
for c in sorted(json.load(sys.stdin), key=lambda c: c['ssrc']):
	print(c['id'], c['ssrc'], c.get('gate'), c.get('paused'))"
}

start --set SFU_DP_WORKERS=2
watch_begin
peers_begin "$run_dir/peers.json" --peers $peers "${rate[@]}" --resume --check --json
check "a call is up" wait_until 100 dp_holds consumers "len(d) == $peers * ($peers - 1) * 2"
sleep 2
before=$(programme)

worst=0
late=0
for ((kill = 1; kill <= kills; kill++)); do
	sleep "0.$((RANDOM % 900 + 100))"
	kill -KILL "$ctl_pid"
	wait "$ctl_pid" 2>/dev/null
	t=$(now_ms)
	ctl_start "${ctl_settings[@]}"
	wait_until 50 rooms_are 1 || late=$((late + 1))
	took=$(($(now_ms) - t))
	[ "$took" -le "$worst" ] || worst=$took
	[ "$took" -le 1000 ] || late=$((late + 1))
	sleep 0.6
done
echo "# worst time until the rooms were back: $worst ms"
check "the same rooms within 1 s, each time" [ "$late" = 0 ]
sleep 1
check "the data plane has the same objects, gates and SSRCs" [ "$(programme)" = "$before" ]
peers_end 4
status=$?
check "no packet was lost, repeated or changed" [ "$status" = 0 ]
check "everybody resumed each time, within 3 s, and nobody joined anew" python3 - "$run_dir/peers.json" <<END
import json
import sys
peers = [p["stats"] for p in (json.loads(l) for l in open(sys.argv[1]) if l[0] == "{") if "stats" in p]
resumes = [p["resumes"] for p in peers]
worst = max(p["resumed_after_ms"] for p in peers)
rejoins = sum(p["rejoins"] for p in peers)
print(f"# resumes {resumes}, the longest took {worst} ms")
sys.exit(not (len(peers) == $peers and min(resumes) == $kills and worst <= 3000 and rejoins == 0))
END
[ "$status" = 0 ] || cat "$run_dir/peers.json.err" "$run_dir/peers.json" | tail -c 3000
watch_end
check "books balance" books_balance
finish
