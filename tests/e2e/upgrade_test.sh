#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Programs of another ABI version, one at a time, as an upgrade puts them there in the middle of a
# call: each is refused with a clear message by what is there, and the call goes on, until the other
# one is upgraded as well. sfu-ctl-next and sfu-dp-next are these, with the next version's number.
. "$(dirname "$0")/_init.sh"

grace_s=2

# The programs as installed, so that an upgrade can replace them.
installed=$(mktemp -d)
chmod 755 "$installed"
mkdir -p "$installed/sfu-ctl" "$installed/sfu-dp" "$installed/tests"
cp "$build/sfu-ctl/sfu-ctl" "$installed/sfu-ctl/"
cp "$build/sfu-dp/sfu-dp" "$build/sfu-dp/dp-cli" "$installed/sfu-dp/"
ln -s "$build/tests/support" "$installed/tests/support"
made=$build
build=$installed
trap 'stop; rm -rf "$installed"' EXIT

# upgrade PROGRAM: as a package does it, the name goes to another file.
upgrade() {
	cp "$made/tests/support/$1-next" "$installed/$1/new"
	mv "$installed/$1/new" "$installed/$1/$1"
}

# As systemctl restart does it.
ctl_restart() {
	pid_stop "$ctl_pid"
	ctl_start "${ctl_settings[@]}"
}

attached() {
	dp_holds link "d['attached'] == True"
}

newcomer() {
	timeout 3 python3 "$root/tests/chaos/refused.py" "$http_port"
}

# Longer than calls wait for a data plane that is gone.
wait_long() {
	sleep $((grace_s + 1))
}

ctl_settings=(--set "SFU_PLANE_GRACE_SEC=$grace_s")
start --set SFU_DP_WORKERS=2
peers_begin "$run_dir/call" --peers 3 --patient --resume --json
wait_until 100 dp_holds consumers "len(d) == 12 and all(c['packets'] > 0 for c in d)"

echo "# a new sfu-ctl, the old sfu-dp"
cp "$installed/sfu-ctl/sfu-ctl" "$installed/old-ctl"
upgrade sfu-ctl
ctl_restart
check "sfu-ctl says what is wrong" wait_until 30 grep -q 'it speaks ABI version 2, we speak 3' "$run_dir/sfu-ctl.log"
check "sfu-dp says so, too" wait_until 10 grep -q 'it speaks version 3, we speak 2' "$run_dir/sfu-dp.log"
wait_long
newcomer >"$run_dir/newcomer"
check "who comes now is refused with a reason" grep -q 'SFU_NODE_UNAVAILABLE True' "$run_dir/newcomer"
check "the call is there" dp_holds consumers "len(d) == 12"

echo "# back again"
mv "$installed/old-ctl" "$installed/sfu-ctl/sfu-ctl"
ctl_restart
check "the old sfu-ctl attaches" wait_until 30 attached
check "who comes now is welcome" grep -q OK <(newcomer)

echo "# a new sfu-dp, the old sfu-ctl"
: >"$run_dir/sfu-dp.log"
upgrade sfu-dp
check "handed over" dp_cli handover
check "sfu-dp says what is wrong" wait_until 30 grep -q 'it speaks version 2, we speak 3' "$run_dir/sfu-dp.log"
check "sfu-ctl says so, too" wait_until 20 grep -q 'it speaks ABI version 3, we speak 2' "$run_dir/sfu-ctl.log"
wait_long
check "the call is there" dp_holds consumers "len(d) == 12"

echo "# and the new sfu-ctl"
upgrade sfu-ctl
ctl_restart
check "the new sfu-ctl attaches" wait_until 30 attached
check "who comes now is welcome" grep -q OK <(newcomer)
peers_end 4
cat "$run_dir/call.err"
check "the call noticed nothing, nor lost a packet" python3 - "$run_dir/call" <<'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith('{')]
t = rows.pop()
print("#", {k: t[k] for k in ("received", "expected", "lost", "rtp_missing", "duplicated", "undecryptable")},
      "resumes", [r["stats"]["resumes"] for r in rows])
sys.exit(not (t["received"] == t["expected"] > 0
              and t["lost"] == t["rtp_missing"] == t["duplicated"] == t["undecryptable"] == t["mismatched"] == 0
              and all(r["failure"] is None and r["stats"]["rejoins"] == 0 and r["stats"]["resumes"] == 3 for r in rows)))
P
check "books balance" books_balance
finish
