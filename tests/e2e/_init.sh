# SPDX-License-Identifier: BSD-3-Clause
# Sourced first by every tests/e2e/*_test.sh. Re-executes the test in network, mount and process
# namespaces of its own, so that tests leave nothing and do not meet each other; then gives it
# start, stop and assertions. Topology and daemons: deploy/lib.sh.
#
#   start [--set KEY=VALUE…]   port, sfu-dp and sfu-ctl, waits until media is ready; dp settings
#   ctl_settings=(--set …)     settings for sfu-ctl, before start
#   stop                       everything down again
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
checks=0
failures=0
if setpriv --reuid=nobody --regid=nogroup --clear-groups true 2>/dev/null; then
	ctl_user=nobody
	ctl_group=nogroup
fi

start() {
	[ -n "$run_dir" ] || run_dir_make
	net_up
	dp_start "$@"
	ctl_start "${ctl_settings[@]}"
	ctl_wait
}

stop() {
	system_stop
}
trap stop EXIT

peer() {
	"$build/tests/support/sfu-peer" --url "ws://127.0.0.1:$http_port/ws" "$@"
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
