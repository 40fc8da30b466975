#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Both reference web clients against sfu-ctl, with sfu-dp and without; then clients that mean ill.
. "$(dirname "$0")/_init.sh"

here=$root/tests/e2e
start
check "the web clients hold their calls in media mode" python3 "$here/web_clients.py" "$http_port" media
nothing_left() {
	dp_holds transports "not d" && dp_holds producers "not d" && dp_holds consumers "not d" && dp_holds rooms "not d"
}
check "nothing of theirs is left in the data plane" wait_until 50 nothing_left
check "clients that mean ill disturb nobody in media mode" python3 "$here/hostile_clients.py" "$http_port" "$ctl_pid" media \
	-k come_and_go -k random_frames -k readers
check "nothing of theirs is left in the data plane" wait_until 50 nothing_left
stop

run_dir_make
ip link set lo up
ctl_start --set SFU_ENABLE_DP=0
wait_until 50 grep -q '^sfu-ctl ready' "$run_dir/sfu-ctl.out"
check "the web clients do their part in fallback mode" python3 "$here/web_clients.py" "$http_port" fallback
check "clients that mean ill disturb nobody in fallback mode" python3 "$here/hostile_clients.py" "$http_port" "$ctl_pid" fallback
stop

# Wanted and missing: fallback mode, as if it were not wanted, until it comes (protocol.md A11).
run_dir_make
net_up
ctl_start
wait_until 50 grep -q '^sfu-ctl ready' "$run_dir/sfu-ctl.out"
check "fallback mode while sfu-dp is missing" python3 "$here/web_clients.py" "$http_port" fallback \
	-k early_and_later -k late_joiner
dp_start
ctl_wait
check "media mode once it has come" python3 "$here/web_clients.py" "$http_port" media -k early_and_later -k late_joiner
check "and a call" peer --peers 2 --seconds 2 --check
finish
