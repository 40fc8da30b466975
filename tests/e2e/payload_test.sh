#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Payload out equals payload in: 10^5 SFrame packets through the data plane for each SRTP profile.
# And through a shut E2EE gate comes nothing, in neither direction, until the peer is ready again.
. "$(dirname "$0")/_init.sh"

# Two peers with two tracks each: what one sends, one other receives.
per_producer=25000
grace_ms=500

received_all() {
	local out
	out=$(peer --peers 2 --profile "$1" --packets "$per_producer" --audio-pps 2500 --video-pps 2500 --check --json) || return
	printf '%s\n' "$out" | python3 -c "
import json, sys
rows = [json.loads(line) for line in sys.stdin]
totals = rows[-1]
profiles = {r['stats']['profile'] for r in rows[:-1]}
print('received', totals['received'], 'mismatched', totals['mismatched'], 'lost', totals['lost'], 'profile', profiles)
sys.exit(0 if totals['received'] == 4 * $per_producer and profiles == {'$2'} else 1)"
}

# gate OPTIONS…: what went through and how soon after the gate opened.
gate() {
	local out
	out=$(peer --peers 3 --seconds 9 --grace-ms "$grace_ms" --check --json "$@") || return
	printf '%s\n' "$out" | python3 -c "
import json, sys
rows = [json.loads(line) for line in sys.stdin]
totals = rows[-1]
print('leaked', totals['leaked'], 'held back', totals['excused'], 'opened after', totals['opened_after_ms'], 'ms',
      'refused', [r['stats']['refused_not_ready'] for r in rows[:-1]])
sys.exit(0 if totals['leaked'] == 0 and totals['received'] > 0 else 1)"
}

edge_drops() {
	dp_cli --json show drops | python3 -c "
import json, sys
d = json.load(sys.stdin)
by = {r['reason']: r['count'] for r in d['drops'] + d['not_sent']}
print('producer_gate', by['producer_gate'], 'gate', by['gate'])
sys.exit(0 if by['producer_gate'] > 0 and by['gate'] > 0 else 1)"
}

ctl_settings=(--set "SFU_E2EE_GRACE_MS=$grace_ms")
start
check "10^5 packets, AEAD_AES_128_GCM" received_all gcm128 SRTP_AEAD_AES_128_GCM
check "10^5 packets, AEAD_AES_256_GCM" received_all gcm256 SRTP_AEAD_AES_256_GCM
check "10^5 packets, AES128_CM_SHA1_80" received_all cm80 SRTP_AES128_CM_SHA1_80
check "books balance" books_balance

check "a laggard's gate shuts after the grace and opens at once" gate --rekey 2 --laggard 2 --ready-after 3000
check "the shut gate stopped packets of both directions" edge_drops
check "a laggard that never becomes ready stays shut, the others go on" gate --rekey 2 --laggard 1
check "who is not ready after joining gets and sends nothing" gate --no-e2ee-ready
check "who becomes ready late is let in at once" gate --no-e2ee-ready --ready-after 3000
check "books balance after that" books_balance

# keeps_key WHERE: the second of two never changes its key; what of it was seen, what dropped.
keeps_key() {
	local before after
	before=$(stale_frames) && peer --peers 2 --seconds 5 --rekey 1 --old-key 1 --json >"$run_dir/old-key.json" \
		&& after=$(stale_frames) || return
	echo "stale and dropped: $before, then $after"
	read -r seen_before dropped_before <<<"$before"
	read -r seen dropped <<<"$after"
	[ "$seen" -gt "$seen_before" ] || return
	case $1 in
	observe) [ "$dropped" = "$dropped_before" ] ;;
	drop) [ "$dropped" -gt "$dropped_before" ] ;;
	esac
}

stale_frames() {
	{ dp_cli --json show workers; dp_cli --json show drops; } | python3 -c "
import json, sys
text, read = sys.stdin.read(), json.JSONDecoder()
workers, end = read.raw_decode(text)
drops, _ = read.raw_decode(text[end:].lstrip())
print(sum(w['frames_stale'] for w in workers), sum(r['count'] for r in drops['drops'] if r['reason'] == 'frame_stale'))"
}

check "a sender that keeps its old key is seen" keeps_key observe
pid_stop "$ctl_pid"
ctl_start "${ctl_settings[@]}" --set SFU_SFRAME_POLICY=drop
ctl_wait
check "… and dropped where that is wished" keeps_key drop
check "books balance at the end" books_balance
finish
