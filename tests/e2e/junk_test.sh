#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A million hostile datagrams at the media port during a call: nobody unauthenticated gets an
# answer, the call is not disturbed, every datagram is in the books.
#
#   sfu-peer (two peers, a call) ──┐
#   sfu-junk (64 ports, and one ───┼── sfu0 ══ sfu-dp0 ── sfu-dp
#   datagram in eight with a       │
#   peer's address and port)    ───┘
. "$(dirname "$0")/_init.sh"

count=1000000
pps=40000
seconds=$((count / pps + 6))

start

# Frames that the kernel handed to sfu-dp's end of the pair.
port_received() {
	awk -v dev="$dp_if:" '$1 == dev { print $3 }' /proc/net/dev
}

# Words of the command line of sfu-junk from what an observer of the call could know, and more.
known_of_call() {
	dp_cli --json show transports | python3 -c "
import json,sys
for t in json.load(sys.stdin):
    print('--ufrag', t['ufrag'], end=' ')
    if t['remote']: print('--spoof', t['remote'], end=' ')
    for s in t['streams']: print('--ssrc', s['ssrc'], end=' ')"
}

call_is_up() {
	dp_holds transports "len(d) == 4 and all(t['state'] == 'connected' for t in d) and sum(len(t['streams']) for t in d) >= 4"
}

# What came before sfu-dp listened is not its own.
before_us=$(($(port_received) - $(dp_value drops "['ledger']['in']")))
in_the_books() {
	test $(($(port_received) - $(dp_value drops "['ledger']['in']"))) = "$before_us"
}

peer --peers 2 --seconds "$seconds" --check >"$run_dir/call" 2>&1 &
call=$!
check "the call is up" wait_until 100 call_is_up
drops_before=$(dp_value drops "['ledger']['dropped']")
# shellcheck disable=SC2046
junk=$("$build/tests/support/sfu-junk" --to "$dp_ip:40000" --count "$count" --pps "$pps" $(known_of_call))
junk_status=$?
echo "$junk"
drops_after=$(dp_value drops "['ledger']['dropped']")
check "no answer to anybody who is not authenticated" test "$junk_status" = 0
check "all of it was sent" python3 -c "import json,sys; sys.exit(json.loads(sys.argv[1])['sent'] != $count)" "$junk"
wait "$call"
call_status=$?
cat "$run_dir/call"
check "the call was not disturbed" test "$call_status" = 0
# A few junk records reach DTLS of a peer whose address they carry; they are punted, not dropped.
punted=$(dp_value drops "['ledger']['punted']")
echo "dropped meanwhile: $((drops_after - drops_before)), punted in all: $punted"
check "hostile datagrams end in named drop reasons" test $((drops_after - drops_before + punted)) -ge "$count"
answered=$(dp_value drops "['ledger']['answered']")
echo "answered in all: $answered"
check "only the call's own checks were answered" test "$answered" -lt 2000
check "books balance" books_balance
check "every frame at the port is in the books" wait_until 30 in_the_books
finish
