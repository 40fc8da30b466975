#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A Chromium producer follows the path: what is checked stands in bitrate.mjs. The path is narrowed on
# the browsers' end of the veth pair; signalling goes over the loopback and feels nothing of it.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_init.sh"

run_dir_make
cp -r "$root/deploy/demo/dist" "$run_dir/web"
chmod -R a+rX "$run_dir/web"
ctl_settings=(--set "SFU_WEB_ROOT=$run_dir/web")
start

follow() {
	SFU_URL="http://127.0.0.1:$http_port/" PATH_IF=$host_if node "$root/tests/browser/bitrate.mjs"
}

check "a producer's rate follows the path" follow
check "books balance" books_balance
finish
