#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# One client sends 10,000 NACKs, then PLIs, a second: it gets hardly more than its media, producers
# are not bothered, the others lose nothing. With one worker and with two.
. "$(dirname "$0")/_impaired.sh"

seconds=6
# Of 10,000 a second: what the peer comes to on a busy machine.
least=$((seconds * 5000))
# A share of the media is sent again to whoever asks; less would mean that nothing of it was tested.
declare -A again=([nack]=0.05 [pli]=0)

for count in 1 2; do
	start --set "SFU_DP_WORKERS=$count"
	for what in nack pli; do
		check "$count workers, $what: the call goes on" impaired_call --peers 3 --seconds "$seconds" --flood "$what"
		check "$count workers, $what: no more than 1.25 times the media, few key frame requests" judge flooded "$least" "${again[$what]}"
	done
	check "$count workers: books balance" books_balance
	check "$count workers: the network's books balance with the ports'" stage_balances
	[ "$count" = 2 ] || stop
done
finish
