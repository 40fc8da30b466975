#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The watcher sees what it is there to see: an index that comes twice, whatever it is of, and nothing
# else. Frames of known contents on a veth pair; no data plane.
. "$(dirname "$0")/_chaos.sh"

run_dir_make
net_up

# seen FIGURE VALUE KIND[:NUMBER]… — OPTION…: what the watcher says of these packets; see watcher.py.
seen() {
	local figure=$1 value=$2 packets=()
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		packets+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	watch_begin "$@"
	python3 "$(dirname "$0")/watcher.py" "$dp_if" "${packets[@]}"
	sleep 0.2
	kill -TERM "$watch"
	wait "$watch"
	watch_holds "d['$figure'] == $value" || {
		tail -n 1 "$run_dir/watch"
		return 1
	}
}

check "a stream that goes on, also over the turn of its numbers" seen repeated 0 rtp:65534+4 rtp:2+100
check "all of it is counted" seen rtp 104 rtp:65534+4 rtp:2+100
check "a number that comes twice" seen repeated 1 rtp:10+5 rtp:12
check "the same after the turn" seen repeated 1 rtp:65500+100 rtp:65535
check "out of order is not twice" seen repeated 0 rtp:10 rtp:12 rtp:11
check "another stream, another place" seen repeated 0 rtp:10 other:10 elsewhere:10 rtp6:10
check "over IPv6" seen repeated 1 rtp6:10 rtp6:10
check "an index of SRTCP that comes twice" seen repeated 1 rtcp:7 rtcp:8 rtcp:7
check "with a tag behind it" seen repeated 1 rtcp80:7 rtcp80:8 rtcp80:7 -- --tag 10
check "tags do not matter" seen repeated 0 rtcp80:7 rtcp80:8 rtcp80:9 -- --tag 10
check "what comes from elsewhere is none of ours" seen rtp 0 foreign:10 foreign:10

# judged STATUS SILENCES STOOD: what becomes of silences of 20 ms where the machine stood still meanwhile.
judged() {
	local status=0
	printf '%b' "$3" >"$run_dir/stood"
	printf '%b' "$2" | python3 "$(dirname "$0")/silences.py" 20000 "$run_dir/stood" >/dev/null || status=$?
	[ "$status" = "$1" ]
}

stood='watching 2\n0 101000 121000\n1 103000 122000\n'
check "short silences are none" judged 0 'silent 100000 120000\n' 'watching 2\n'
check "a long one is one" judged 1 'silent 100000 120001\n' 'watching 2\n'
check "also among short ones" judged 1 'silent 1 5\nsilent 100000 130000\nsilent 200000 200005\n' 'watching 2\n'
check "not while all processors stood still" judged 0 'silent 100000 138000\n' "$stood"
check "but for no longer than that" judged 1 'silent 100000 138001\n' "$stood"
check "and no other" judged 1 'silent 200000 220001\n' "$stood"
check "one of two that stands still is our own fault" judged 1 'silent 100000 125000\n' 'watching 2\n0 101000 121000\n'
check "where nobody could watch nothing is forgiven" judged 1 'silent 100000 125000\n' ''
finish
