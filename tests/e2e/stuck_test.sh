#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A control plane that fills the link and reads no answer costs the data plane no core, and when it
# is gone the next one has media.
. "$(dirname "$0")/_init.sh"

cpu_ticks() {
	awk '{ n += $14 + $15 } END { print n }' "/proc/$dp_pid/stat" "/proc/$(dp_process)/stat"
}

run_dir_make
net_up
dp_start
python3 "$root/tests/e2e/stuck_ctl.py" "$run_dir/link/dp.sock" >"$run_dir/stuck" 2>&1 &
stuck=$!
check "the command ring stays full" wait_until 100 grep -q '^stuck' "$run_dir/stuck"
check "commands wait, none is lost" dp_holds link "d['commands_waiting'] == 4096 and d['events_lost'] == 0"
before=$(cpu_ticks)
sleep 3
permille=$((($(cpu_ticks) - before) * 1000 / (3 * $(getconf CLK_TCK))))
check "below 10 % of a core meanwhile ($permille permille)" test "$permille" -lt 100
kill -KILL "$stuck"
wait "$stuck" 2>/dev/null
check "its death is seen" wait_until 20 dp_holds link "d['attached'] == False"
ctl_start
ctl_wait
check "a call works" peer --peers 2 --seconds 1 --check
check "books balance" books_balance
finish
