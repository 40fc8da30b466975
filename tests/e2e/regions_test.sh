#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Three nodes that know each other, on loopback, without data planes: one is killed, one is drained, one
# is told of others by SIGHUP, one has a name server that never answers. Clients that keep their counters
# meet again, in their rooms, on another node.
. "$(dirname "$0")/_init.sh"

ip link set lo up
# A name server that is a hole: questions to it leave and nothing comes back.
ip link add hole type veth peer name bottom
ip addr add 192.0.2.1/24 dev hole
ip link set hole up
ip link set bottom up
ip neigh add 192.0.2.53 lladdr 02:00:00:00:00:53 dev hole
resolver=$(mktemp)
printf 'nameserver 192.0.2.53\noptions attempts:1\n' >"$resolver"
mount --bind "$resolver" /etc/resolv.conf
rm "$resolver"

check "clients of lost and drained nodes meet again" \
	python3 "$root/tests/e2e/regions.py" "$build/sfu-ctl/sfu-ctl" "$@"
finish
