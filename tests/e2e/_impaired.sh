# SPDX-License-Identifier: BSD-3-Clause
# Sourced by tests of calls over a bad network, instead of _init.sh.
#
#   weather UP DOWN            what happens to packets from clients, and to them (sfu-impair --help)
#   impaired_call OPTIONS…     a call of headless peers; what they counted goes to $run_dir/peers
#   judge WHAT ARGUMENTS…      one of the judgements of impaired.py on the last call
. "$(dirname "${BASH_SOURCE[0]}")/_init.sh"

impair=(--up none --down none)

weather() {
	impair_tell up "$1" >/dev/null && impair_tell down "$2" >/dev/null
}

# The clock of the log.
now_us() {
	impair_tell summary | sed 's/^{"t":\([0-9]*\).*/\1/'
}

# What sfu-dp shows of reports while a call runs: one line of JSON each time.
watch_reports() {
	local consumers
	while consumers=$(dp_cli --json show consumers); do
		printf '{"at": %s, "consumers": %s}\n' "$(now_us)" "$(tr -d '\n' <<<"$consumers")"
		sleep 0.1
	done
}

impaired_call() {
	local watch status
	now_us >"$run_dir/begin"
	watch_reports >"$run_dir/reports" &
	watch=$!
	peer --check --impaired --json "$@" >"$run_dir/peers"
	status=$?
	kill "$watch"
	wait "$watch" 2>/dev/null
	# The stage writes out its log when it is asked something.
	impair_tell summary >"$run_dir/summary"
	return "$status"
}

judge() {
	python3 "$root/tests/e2e/impaired.py" "$run_dir" "$@"
}

# Interface counters: sent and received packets.
sent_by() {
	awk -v dev="$1:" '$1 == dev { print $11 }' /proc/net/dev
}

received_by() {
	awk -v dev="$1:" '$1 == dev { print $3 }' /proc/net/dev
}

# The books of the bad network itself, between those of the kernel on both sides, when nothing moves
# any more. Prints them; frames from before it ran are $sent_before.
stage_books() {
	impair_tell summary | python3 -c "
import json, sys
s = json.load(sys.stdin)
up, down = s['up'], s['down']
fates = ('lost', 'blackout', 'too_large', 'queue_full', 'no_mapping')
rows = [('overflows', s['overflows'], 0)]
for name, d in (('up', up), ('down', down)):
    dropped = sum(d[f] for f in fates)
    print(name, 'in', d['in'], 'out', d['out'], 'dropped', dropped, 'duplicated', d['duplicated'], 'not UDP', d['other'])
    rows += [(name + ': came and was repeated = left, was dropped or lies here', d['in'] + d['duplicated'],
              d['out'] + dropped + d['held'] + d['not_sent']),
             (name + ': held', d['held'], 0), (name + ': not sent', d['not_sent'], 0)]
rows += [('from clients: came here = sent there', up['in'] + up['other'], $(sent_by "$host_if") - $sent_before),
         ('to the server: left here = received there', up['out'] + up['other'], $(received_by "$dp_if")),
         ('from the server: came here = sent there', down['in'] + down['other'], $(sent_by "$dp_if")),
         ('to clients: left here = received there', down['out'] + down['other'], $(received_by "$host_if"))]
wrong = [row for row in rows if row[1] != row[2]]
for what, here, there in wrong:
    print('does not balance:', what + ':', here, 'and', there)
sys.exit(1 if wrong else 0)"
}

# They come to rest within ten seconds; what was judged last is printed.
stage_balances() {
	local books status=1 n
	for ((n = 0; n < 100; n++)); do
		books=$(stage_books)
		status=$?
		[ "$status" != 0 ] || break
		sleep 0.1
	done
	printf '%s\n' "$books"
	return "$status"
}
