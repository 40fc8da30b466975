#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Very many clients at once: 10,000 that idle and what each costs in memory, 2,000 that join in a
# row, then 1,000 that never read and 2,000 that send an octet now and then, beside some that do nothing
# wrong. Tokens are real ones, checked by their signature. What it costs in time: tests/bench/ctl.
. "$(dirname "$0")/_init.sh"

secret=0123456789abcdef0123456789abcdef
# A descriptor for each client, in both programs.
ulimit -Hn 65536 2>/dev/null
ulimit -n "$(ulimit -Hn)"

ctl_up() {
	ctl_start --set SFU_ENABLE_DP=0 --set CALLS_DEV_INSECURE_AUTH=0 --set SFU_AUTH=jwks --set "SFU_JWT_SECRET=$secret" \
		--set SFU_HEARTBEAT_SEC=5 --set SFU_MAX_ROOMS=10000
	wait_until 50 grep -q '^sfu-ctl ready' "$run_dir/sfu-ctl.out"
	[ "$(nproc)" = 1 ] || taskset -pc 0 "$ctl_pid" >/dev/null
}

make_tokens() {
	python3 - "$secret" 2000 >"$run_dir/tokens" <<'PY'
import base64, hashlib, hmac, json, sys, time

def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=")

head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
for n in range(int(sys.argv[2])):
    claims = {"sub": f"user-{n}", "aud": "authenticated", "exp": int(time.time()) + 3600}
    text = head + b"." + b64(json.dumps(claims).encode())
    print((text + b"." + b64(hmac.new(sys.argv[1].encode(), text, hashlib.sha256).digest())).decode())
PY
}

# load NAME SCENARIO…: sfu-load on the other core; its answer in $run_dir/NAME.json
load() {
	local name=$1 pin=()
	shift
	[ "$(nproc)" = 1 ] || pin=(taskset -c 1)
	"${pin[@]}" "$build/tests/support/sfu-load" "$@" --port "$http_port" --pid "$ctl_pid" --tokens "$run_dir/tokens" \
		>"$run_dir/$name.json"
}

# holds NAME EXPRESSION: over d, what load NAME printed
holds() {
	python3 -c "
import json,sys
d=json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)" "$run_dir/$1.json" "$2"
}

run_dir_make
ip link set lo up
make_tokens
ctl_up

check "10,000 clients authenticate and are served" load idle idle --clients 10000 --seconds 8 --parallel 64
cat "$run_dir/idle.json"
check "each of them holds 8 KiB at most" holds idle "d['bytes_per_client'] <= 8192"
check "each of them was pinged by the server" holds idle "d['websocket_pings'] >= d['clients']"

check "2,000 full joins in a row without an error" load joins joins --clients 2000
cat "$run_dir/joins.json"

check "nobody is disturbed by those who do not read and those who are slow" \
	load hostile hostile --clients 200 --readers 1000 --loris 2000 --seconds 24 --parallel 64
cat "$run_dir/hostile.json"
check "healthy clients wait below 50 ms (p99)" holds hostile "d['latency_us']['p99'] < 50000"
check "those who do not read are closed" holds hostile "d['readers_kept'] == 0"
check "slow requests are cut" holds hostile "d['loris_ended'] > 0"
check "memory is flat" holds hostile "d['resident_highest'] <= 1.1 * d['resident_settled']"
check "the log names them, not each of them" \
	test "$(grep -c 'does not read' "$run_dir/sfu-ctl.log")" -le 60 -a "$(grep -c 'does not read' "$run_dir/sfu-ctl.log")" -ge 1

check "joins go on afterwards" load again joins --clients 200
finish
