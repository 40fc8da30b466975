#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two people in Chromium; kill -9 of the control plane, then of the data plane's process. They stay in
# their call: the picture goes on, on the same paths, and signalling works afterwards.
. "$(dirname "$0")/../e2e/_init.sh"

run_dir_make
cp -r "$root/deploy/demo/dist" "$run_dir/web"
chmod -R a+rX "$run_dir/web"
ctl_settings=(--set "SFU_WEB_ROOT=$run_dir/web")
start

# The page's driver asks for a death by a file, and goes on when it is gone. What it starts belongs to
# this shell, so the loop is here and the driver beside it.
people() {
	local driver process
	mkdir "$run_dir/kill"
	KILL_DIR="$run_dir/kill" PARTS=deaths SHOT_PREFIX=deaths- \
		SFU_URL="http://127.0.0.1:$http_port/" node "$root/tests/browser/run.mjs" &
	driver=$!
	while kill -0 "$driver" 2>/dev/null; do
		if [ -e "$run_dir/kill/ctl" ]; then
			kill -KILL "$ctl_pid"
			wait "$ctl_pid" 2>/dev/null
			ctl_start "${ctl_settings[@]}"
			rm "$run_dir/kill/ctl"
		fi
		if [ -e "$run_dir/kill/dp" ]; then
			process=$(dp_cli --json show link | python3 -c 'import json,sys; print(json.load(sys.stdin)["process"])')
			kill -KILL "$process"
			rm "$run_dir/kill/dp"
		fi
		sleep 0.05
	done
	wait "$driver"
}

check "two people's call outlives both planes" people
check "books balance" books_balance
finish
