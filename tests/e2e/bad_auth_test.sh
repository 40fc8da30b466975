#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The auth server turns bad in every way, one after the other. A call that runs notices nothing: no packet
# is lost; who asks meanwhile is refused with the right code, and other connections are served.
. "$(dirname "$0")/_init.sh"

seconds=20
ctl_settings=(--set CALLS_DEV_INSECURE_AUTH=0 --set SFU_AUTH=lookup --set SUPABASE_URL=http://127.0.0.1:9998
	--set SUPABASE_PUBLISHABLE_KEY=key-of-the-auth-server)

# The peers come while the server is right, and stay until it is dead.
call_through_it() {
	python3 "$root/tests/e2e/bad_auth.py" "$http_port" "$seconds" >"$run_dir/bad_auth.out" &
	auth_pid=$!
	sleep 0.5
	peer --peers 3 --seconds $((seconds + 1)) --check
}
bad_ways() {
	wait "$auth_pid"
	local status=$?
	cat "$run_dir/bad_auth.out"
	return "$status"
}

start
check "a call while the auth server turns bad: no packet lost" call_through_it
check "who asks meanwhile is told the truth, and PINGs are answered" bad_ways
check "books balance" books_balance
finish
