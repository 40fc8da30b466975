# SPDX-License-Identifier: BSD-3-Clause
# Sourced first by every tests/e2e/*_test.sh. Re-executes the test in network, mount and process
# namespaces of its own, so that tests leave nothing and do not meet each other; then gives it
# start, stop and assertions. Topology and daemons: deploy/lib.sh.
#
#   start [--set KEY=VALUE…]   port, sfu-dp and sfu-ctl, waits until media is ready; dp settings
#   ctl_settings=(--set …)     settings for sfu-ctl, before start
#   impair=(--down SPEC…)      before start: a bad network (sfu-impair --help) on the way to sfu-dp;
#                              the fates of its packets are in $run_dir/fates, one JSON a line
#   impair_tell COMMAND…       another weather: up SPEC, down SPEC, rebind [ADDRESS], summary
#   memif=N                    before start: sfu-dp's port is a memif, its other end a virtual switch
#                              (sfu-memif-bridge) with N rings from sfu-dp, on the veth pair
#   bridge_end                 that ends; its last line in $run_dir/bridge
#   stop                       everything down again
#   peer OPTION…               headless peers (sfu-peer --help)
#   peers_begin FILE OPTION…   the same in the background, whatever the machine takes for what happens
#                              meanwhile; what they say in FILE and FILE.err
#   peers_end [SECONDS]        they go on for so long, then hang up; their exit status
#   check "what" COMMAND…      one assertion: prints ok or not ok, counts
#   finish                     last line of a test: exit status by the assertions

set -uo pipefail
if [ -z "${SFU_TEST_INSIDE:-}" ]; then
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	SFU_TEST_INSIDE=1 exec unshare "${user[@]}" --net --mount --pid --fork --kill-child \
		--mount-proc "$(readlink -f "$0")" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/lib.sh"

ctl_settings=()
impair=()
impair_pid=
memif=
bridge_pid=
sent_before=0 # frames on the clients' side, before the network was there
checks=0
failures=0
if setpriv --reuid=nobody --regid=nogroup --clear-groups true 2>/dev/null; then
	ctl_user=nobody
	ctl_group=nogroup
fi

start() {
	[ -n "$run_dir" ] || run_dir_make
	net_up
	[ ${#impair[@]} = 0 ] || impair_start
	[ -z "$memif" ] || bridge_start
	dp_start "$@"
	ctl_start "${ctl_settings[@]}"
	ctl_wait
}

stop() {
	pid_stop "$impair_pid"
	[ -z "$impair_pid" ] || ip link del sfu-imp1
	impair_pid=
	bridge_end
	system_stop
}
trap stop EXIT

# Of this build, also where a test lets the daemons of another one run.
programs=$build/tests
peer_command=("$programs/support/sfu-peer" --url "ws://127.0.0.1:$http_port/ws")

peer() {
	"${peer_command[@]}" "$@"
}

peers_begin() {
	local out=$1
	shift
	# Not by way of peer: a function in the background is a shell, and that would get the signal.
	"${peer_command[@]}" --seconds 3600 "$@" >"$out" 2>"$out.err" &
	peers_pid=$!
}

peers_end() {
	sleep "${1:-0}"
	kill -TERM "$peers_pid" 2>/dev/null
	wait "$peers_pid"
}

# standstill_begin [SLEEP_US LATE_US]: from here on it is noted in $run_dir/stood when the machine itself
# stands still.
standstill_begin() {
	"$programs/chaos/standstill" "$@" >"$run_dir/stood" 2>"$run_dir/stood.err" &
	standstill=$!
	wait_until 20 test -s "$run_dir/stood" || cat "$run_dir/stood.err"
	stood_since=$(date +%s%6N)
}

standstill_end() {
	kill -TERM "$standstill" 2>/dev/null
	wait "$standstill" 2>/dev/null
}

# sfu-impair between the pair that net_up made and one more:
#
#   sfu0 ══ veth ══ sfu-imp0, sfu-impair, sfu-imp1 ══ veth ══ sfu-dp0
impair_start() {
	local i
	case $dp_device in
	*af_packet*) ;;
	*) die "the bad network needs veth" ;;
	esac
	ip link set "$dp_if" down
	ip link set "$dp_if" name sfu-imp0
	ip link add sfu-imp1 type veth peer name "$dp_if"
	for i in sfu-imp0 sfu-imp1 "$dp_if"; do
		sysctl -qw "net.ipv6.conf.$i.disable_ipv6=1"
	done
	for i in sfu-imp1 "$dp_if"; do
		ip link set "$i" up txqueuelen 10000
	done
	# Whole packets with whole checksums, as a wire has them.
	for i in "$host_if" sfu-imp0 sfu-imp1 "$dp_if"; do
		ethtool -K "$i" tx off gso off gro off >/dev/null
	done
	"$build/tests/support/sfu-impair" --clients sfu-imp0 --server sfu-imp1 \
		--log "$run_dir/fates" --control "$run_dir/impair.sock" "${impair[@]}" >"$run_dir/impair.out" &
	impair_pid=$!
	wait_until 50 test -S "$run_dir/impair.sock" || die "sfu-impair did not start"
	# Clients' frames are counted as sent only once their end is up: not one between this and that.
	sent_before=$(awk -v dev="$host_if:" '$1 == dev { print $11 }' /proc/net/dev)
	ip link set sfu-imp0 up txqueuelen 10000
}

# sfu-dp as the client of a memif:
#
#   sfu0 ══ veth ══ sfu-dp0, sfu-memif-bridge ══ memif ══ sfu-dp
bridge_start() {
	rm -f "$run_dir/memif.sock"
	ip link show "$dp_if" >/dev/null || die "the virtual switch needs veth"
	RUNTIME_DIRECTORY="$run_dir/eal" "$build/tests/support/sfu-memif-bridge" "$run_dir/memif.sock" "$dp_if" "$memif" >"$run_dir/bridge" &
	bridge_pid=$!
	wait_until 100 grep -q ready "$run_dir/bridge" || die "sfu-memif-bridge did not start"
	dp_device="memif0,socket=$run_dir/memif.sock"
	dp_profile=memif
}

bridge_end() {
	pid_stop "$bridge_pid"
	bridge_pid=
}

impair_tell() {
	"$build/tests/support/sfu-impair" --tell "$run_dir/impair.sock" "$@"
}

# Nothing is lost in the bad network but what it was told to lose: a Python check of its summary s.
impair_holds() {
	impair_tell summary | python3 -c "
import json,sys
s=json.load(sys.stdin)
sys.exit(0 if ($1) else 1)"
}

# A value of dp-cli's JSON by jq-like path in Python: dp_value drops "['ledger']['in']".
dp_value() {
	dp_cli --json show "$1" | python3 -c "import json,sys; d=json.load(sys.stdin); print(d$2)"
}

# Any Python expression over d (the JSON of a noun) that must be true.
dp_holds() {
	dp_cli --json show "$1" | python3 -c "
import json,sys
d=json.load(sys.stdin)
sys.exit(0 if ($2) else 1)"
}

# The books balance to the packet. They are read while packets move, so they get a moment of rest.
books_balance() {
	wait_until 30 dp_holds drops "d['ledger']['difference'] == 0 and d['egress']['difference'] == 0 and d['ledger']['in_transit'] == 0"
}

check() {
	local what=$1
	shift
	checks=$((checks + 1))
	if "$@"; then
		echo "ok - $what"
	else
		failures=$((failures + 1))
		echo "not ok - $what"
	fi
}

finish() {
	if [ "$failures" != 0 ] && [ -n "$run_dir" ]; then
		echo "--- sfu-dp.log"; tail -n 30 "$run_dir/sfu-dp.log"
		echo "--- sfu-ctl.log"; tail -n 30 "$run_dir/sfu-ctl.log"
		echo "--- drops"; dp_cli show drops 2>/dev/null
	fi
	echo "$((checks - failures)) of $checks checks held"
	[ "$failures" = 0 ] && [ "$checks" -gt 0 ]
	exit
}
