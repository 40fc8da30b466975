# SPDX-License-Identifier: BSD-3-Clause
# Sourced by the browser tests with $workers set (and only_ipv6, short_parts): a system of its own with
# the page, and Chromium in the same namespace. What is checked stands in run.mjs; screenshots stay in
# tests/out/. --long: every part, watched long.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_init.sh"

run_dir_make
cp -r "$root/deploy/demo/dist" "$run_dir/web"
chmod -R a+rX "$run_dir/web"
ctl_settings=(--set "SFU_WEB_ROOT=$run_dir/web")
start --set "SFU_DP_WORKERS=$workers" ${only_ipv6:+--set "SFU_DP_ADDRESS=$dp_ip6"}

# The late joiner's two seconds are promised, and checked, with one worker. Three polling threads
# beside five software-decoding pages on two cores took 1.1 to 3.8 s over ten runs, with no packet
# lost on the way: with more workers the time is printed, and only a hang fails.
if [ "$workers" -gt 1 ]; then
	export LATE_JOIN_MS=8000
fi

# Without it a test that another one goes beyond checks what it alone is about.
if [ "${1:-}" != --long ] && [ -n "${short_parts:-}" ]; then
	export PARTS=${PARTS:-$short_parts} WATCH_MS=${WATCH_MS:-6000}
fi

call() {
	PATH_IFS="$host_if,$dp_if" SFU_URL="http://127.0.0.1:$http_port/" node "$root/tests/browser/run.mjs"
}

# Each worker sends at least a fifth, and packets were handed over: two workers work, not one.
both_work() {
	dp_holds workers "all(w['egress_packets'] * 5 >= sum(v['egress_packets'] for v in d) for w in d) and sum(w['handoff_out'] + w['fanout_out'] for w in d) > 0"
}

check "the call as people see it" call
if [ "$workers" -gt 1 ]; then
	dp_cli show workers
	check "each worker sent at least 20 % and hand-offs were counted" both_work
fi
check "books balance" books_balance
finish
