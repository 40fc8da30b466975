#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# No token, key or password is ever in a log: marked ones are handed over in every way there is, both
# planes log all they can, and all that they wrote is searched.
. "$(dirname "$0")/_init.sh"

here=$root/tests/e2e
jwt_secret=Planted-signing-key-of-the-auth-server-0123456789
join_secret=Planted-join-token-key-0123456789-abcdefghi
turn_secret=Planted-turn-secret-0123
metrics_token=Planted-metrics-token-0123
supabase_key=Planted-supabase-key-0123

ctl_settings=(--set SFU_LOG_LEVEL=debug --set CALLS_DEV_INSECURE_AUTH=0 --set SFU_AUTH=both
	--set "SUPABASE_URL=http://127.0.0.1:9" --set SFU_JWT_AUDIENCE=authenticated --set SFU_JOIN_TOKEN=require
	--set SFU_KEY_STRICT=1 --set TURN_URLS=turn:turn.example)
secrets_of_settings() {
	printf '%s\n' "jwt-secret $jwt_secret" "join-secret $join_secret" "turn-secret $turn_secret" \
		"metrics-token $metrics_token" "supabase-key $supabase_key"
}
export SFU_JWT_SECRET=$jwt_secret CALLS_JOIN_TOKEN_SECRET=$join_secret TURN_SECRET=$turn_secret \
	SFU_METRICS_TOKEN=$metrics_token SUPABASE_PUBLISHABLE_KEY=$supabase_key

# The tests' own way to see whether sfu-ctl has its data plane asks /metrics without a token.
ctl_media_ready() {
	in_ns python3 - "$http_port" "$metrics_token" <<'PY' 2>/dev/null
import json, sys, urllib.request
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/metrics", headers={"Authorization": f"Bearer {sys.argv[2]}"})
sys.exit(json.load(urllib.request.urlopen(request, timeout=2))["mediaPlane"]["mode"] != "mediasoup")
PY
}

plant() {
	secrets_of_settings >"$run_dir/planted" && python3 "$here/secret_clients.py" "$http_port" "$jwt_secret" >>"$run_dir/planted"
}
search() {
	python3 "$here/secrets_search.py" "$@" "$run_dir"/sfu-*.log "$run_dir"/sfu-*.out
}
# The search has teeth, and there was something to search.
everything_was_logged() {
	echo "device secrets-device" >"$run_dir/no-secret"
	if search "$run_dir/no-secret"; then
		return 1
	fi
	for type in AUTH ROOM_JOIN KEY_PACKAGE TRANSPORT_CONNECT; do
		grep -q "level=debug module=request msg=\"$type\" .*conn=[1-9][0-9]* peer=\"127.0.0.1\" device=" "$run_dir/sfu-ctl.log" || return
	done
	! grep -vE '^ts=[-0-9T:.]+Z level=[a-z]+ module=[a-z_]+ msg="' "$run_dir/sfu-ctl.log"
}
# What an operator may get wrong is answered without the value.
settings_are_not_shown() {
	"$build/sfu-ctl/sfu-ctl" --set SFU_JWT_SECRET=Planted-short --set SFU_PORT=Planted 2>>"$run_dir/sfu-settings.log"
	"$build/sfu-ctl/sfu-ctl" --set "SUPABASE_ANNON_KEY=Planted-supabase-key-0123" 2>>"$run_dir/sfu-settings.log"
	"$build/sfu-ctl/sfu-ctl" --print-config >>"$run_dir/sfu-settings.out" 2>>"$run_dir/sfu-settings.log"
	{ secrets_of_settings; echo "short-secret Planted-short"; } >"$run_dir/of-settings"
	search "$run_dir/of-settings"
}

start --set SFU_DP_LOG_LEVEL=debug
check "clients hand over their secrets" plant
kill -HUP "$ctl_pid"
check "none of them is in a log" search "$run_dir/planted"
check "each request left a line of the right form" everything_was_logged
check "settings are refused and printed without secrets" settings_are_not_shown

pid_stop "$ctl_pid"
ctl_start --set SFU_LOG_LEVEL=debug
ctl_wait
check "a call whose keys are known" peer --peers 3 --seconds 3 --rekey 1 --check --secrets "$run_dir/hop"
check "neither hop keys nor ICE passwords are in a log" search "$run_dir/hop"
finish
