#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Where no veth pair can be had, a tap device serves: the same call, with one worker and with two,
# of which one reads and hands on, since the kernel moves flows between a tap's queues.
. "$(dirname "$0")/_init.sh"

[ -c /dev/net/tun ] || {
	echo "skipped: no /dev/net/tun"
	exit 0
}

# A kernel without veth.
ip() {
	[ "$1 $2" != "link add" ] && command ip "$@"
}

for workers in 1 2; do
	start --set "SFU_DP_WORKERS=$workers"
	check "$workers: it is a tap" test "$dp_device" = "net_tap0,iface=$host_if"
	check "$workers: flows are not taken to stay on a queue" dp_holds ports "not d[0]['spreads']"
	check "$workers: what it could do and is not asked to is shown" \
		dp_holds ports "'tx UDP_CKSUM' in d[0]['offers'] and not d[0]['uses'] and not d[0]['rss']"
	check "$workers: three peers" peer --peers 3 --seconds 3 --check
	check "$workers: books balance" books_balance
	if [ "$workers" = 2 ]; then
		check "2: both send" dp_holds workers "all(w['egress_packets'] > 0 for w in d)"
	fi
	stop
	check "$workers: the interface is gone" test -z "$(ip -o link show | grep -F "$host_if")"
done
finish
