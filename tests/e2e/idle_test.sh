#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An idle data plane costs next to nothing and is awake in time: two workers, no transport, below
# 5 % of a core with all threads counted; the first ICE check after idling is answered in 10 ms.
. "$(dirname "$0")/_init.sh"

cpu_ticks() {
	awk '{ n += $14 + $15 } END { print n }' "/proc/$dp_pid/stat" "/proc/$(dp_process)/stat"
}

start --set SFU_DP_WORKERS=2
# Until then it is starting, not idle.
check "the tables are in memory" wait_until 100 grep -q 'the tables are in memory' "$run_dir/sfu-dp.log"

hz=$(getconf CLK_TCK)
before=$(cpu_ticks)
sleep 10
after=$(cpu_ticks)
permille=$(((after - before) * 1000 / (10 * hz)))
echo "idle: $permille permille of a core over 10 s"
check "idle below 5 % of a core" test "$permille" -lt 50

ping -c 3 -i 0.5 -W 1 "$dp_ip" >"$run_dir/ping" 2>&1
check "ICMP echo is answered" grep -q ' 0% packet loss' "$run_dir/ping"

# A transport that is made but idle: its first check comes after seconds of silence.
out=$(peer --first-check --seconds 3)
echo "$out"
check "first ICE check after idling answered within 10 ms" \
	python3 -c "import re,sys; ms=float(re.search(r'first_check_ms=([0-9.]+)', sys.argv[1]).group(1)); sys.exit(0 if ms <= 10 else 1)" "$out"
check "books balance" books_balance
finish
