#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A call over a network that loses, reorders, repeats and damages packets, with one worker and with
# two: what was sent arrives soon, once and whole, and reports tell what the network did.
. "$(dirname "$0")/_impaired.sh"

seconds=6

# loss DIRECTION PERCENT SHARE: 50 ms round trip.
loss() {
	local direction=$1 percent=$2 share=$3
	if [ "$direction" = "toward us" ]; then
		weather "delay=25ms,loss=$percent%" delay=25ms
	else
		weather delay=25ms "delay=25ms,loss=$percent%"
	fi
	check "$workers, $percent % lost $direction: nothing arrives wrong" impaired_call --peers 2 --seconds "$seconds" --video-pps 200 --video-bytes 600
	check "$workers, $percent % lost $direction: at least $share % in time" judge arrived "$share"
	check "$workers, $percent % lost $direction: producers are told of it" judge producers_told
	check "$workers, $percent % lost $direction: consumers' reports are shown" judge consumers_shown 50
}

damage() {
	local spec="delay=25ms,reorder=10%/50ms,dup=5%,flip=0.1%"
	weather "$spec" "$spec"
	check "$workers, reordered, repeated, damaged: nothing arrives wrong" impaired_call --peers 2 --seconds "$seconds" --video-pps 200 --video-bytes 600
	check "$workers, reordered, repeated, damaged: each once, no storm" judge once
}

for count in 1 2; do
	workers="$count workers"
	start --set "SFU_DP_WORKERS=$count"
	for row in "1 99.9" "5 99.9" "10 99.5"; do
		read -r percent share <<<"$row"
		loss "toward us" "$percent" "$share"
		loss "toward consumers" "$percent" "$share"
	done
	damage
	weather none none
	check "$workers: books balance" books_balance
	check "$workers: the network's books balance with the ports'" stage_balances
	[ "$count" = 2 ] || stop
done
finish
