# SPDX-License-Identifier: BSD-3-Clause
"""What a call over a bad network must have been.

impaired.py RUN_DIR JUDGEMENT [ARGUMENTS], of what lies in RUN_DIR: peers (sfu-peer --json), fates
(sfu-impair --log), reports (dp-cli show consumers, again and again). Exit status 0 if it holds.
"""

import functools
import json
import statistics
import sys

RUN_DIR = sys.argv[1]


def lines(name):
    with open(f'{RUN_DIR}/{name}', encoding='utf-8') as file:
        for line in file:
            # The last line may be half written.
            if line.startswith('{') and line.endswith('}\n'):
                yield json.loads(line)


def peers():
    return [row for row in lines('peers') if 'consumers' in row and 'stats' in row]


def consumers(kind=None):
    return [c for p in peers() for c in p['consumers'] if kind in (None, c['kind'])]


def sources():
    return [s for p in peers() for s in p['sources']]


@functools.lru_cache
def fates():
    """What the bad network did during the last call, in the order in which packets came to it."""
    with open(f'{RUN_DIR}/begin', encoding='utf-8') as file:
        begin = int(file.read())
    with open(f'{RUN_DIR}/fates', encoding='utf-8') as file:
        # "{"t":123456,...": the time is read without the rest, for the log has all calls in it.
        return [json.loads(line) for line in file
                if line.endswith('}\n') and int(line[5:line.index(',')]) >= begin]


def fates_of(direction, ssrcs):
    """The packets of these SSRCs."""
    return [f for f in fates() if f['dir'] == direction and f.get('ssrc') in ssrcs]


def octets(direction, ssrcs):
    return sum(f['len'] for f in fates_of(direction, ssrcs))


def arrived(share):
    """At least so many per cent of the video packets came within 400 ms of being sent."""
    video = consumers('video')
    expected = sum(c['expected'] for c in video)
    in_time = sum(c['in_time'] for c in video)
    print(f'{in_time} of {expected} video packets in time ({100 * in_time / expected:.3f} %), '
          f'{sum(c["recovered"] for c in video)} recovered, longest '
          f'{max(c["latency_max_ms"] for c in video):.0f} ms, asked {sum(c["asked"] for c in video)}, '
          f'sent again {sum(s["resent"] for s in sources())}')
    return expected > 0 and in_time >= expected * float(share) / 100


def retransmissions(direction, streams):
    media = octets(direction, {s['ssrc'] for s in streams})
    again = octets(direction, {s['rtx_ssrc'] for s in streams if s['rtx_ssrc']})
    return again / media if media else 1


def once():
    """Every packet delivered once, no damaged one, no storm."""
    video = consumers('video')
    missing = sum(c['lost'] for c in video)
    up, down = retransmissions('up', sources()), retransmissions('down', consumers())
    wrong = sum(c['duplicated'] + c['mismatched'] + c['undecryptable'] + c['header_wrong']
                for c in consumers())
    stage = [f for f in fates() if f['kind'] == 'rtp']
    flipped = sum('flipped' in f for f in stage)
    refused = sum(p['stats']['not_opened'] for p in peers())
    repeated = sum(f.get('copies', 0) == 2 for f in stage)
    late = sum('late' in f for f in stage)
    print(f'missing {missing}, wrong {wrong}, flipped {flipped} (refused by peers {refused}), '
          f'repeated {repeated}, late {late}, sent again up {100 * up:.1f} % down {100 * down:.1f} %')
    return (missing == 0 and wrong == 0 and flipped > 0 and repeated > 0 and late > 0
            and up < 0.25 and down < 0.25 and sum(c['expected'] for c in video) > 0)


def extended(packets):
    """Their sequence numbers, with the wraps."""
    highest = None
    for packet in packets:
        seq = packet['seq']
        if highest is not None:
            seq = highest + (seq - highest + 0x8000) % 0x10000 - 0x8000
        highest = seq if highest is None else max(highest, seq)
        yield seq


def share_lost(packets, last=None):
    """
    The share of numbers, from the first that passed to the last, that did not come through: lost in
    the bad network, or before it, as what was never made good upstream.
    """
    passed = {seq for seq, p in zip(extended(packets), packets) if p['fate'] == 'passed'}
    known = [seq for seq in extended(packets) if last in (None, seq % 0x10000)]
    if not passed or not known:
        return 0, 0
    first, end = min(passed), max(known)
    count = end - first + 1
    return 1 - sum(first <= seq <= end for seq in passed) / count, count


def producers_told():
    """What the server reports to producers is what the bad network did to them, within 0.5 %."""
    holds = True
    for source in sources():
        seen, count = share_lost(fates_of('up', {source['ssrc']}), source['reported_highest'] % 0x10000)
        told = source['reported_lost'] / count if count else 1
        holds = holds and count > 100 and abs(seen - told) <= 0.005
        print(f'{source["kind"]} up: lost {100 * seen:.2f} % of {count}, reported {100 * told:.2f} %')
    return holds and bool(sources())


def consumers_shown(round_trip_ms):
    """What sfu-dp knows from consumers' reports: loss within 0.5 %, round trip within 5 ms."""
    samples = list(lines('reports'))
    holds = bool(consumers())
    for consumer in consumers():
        history = [c for s in samples for c in s['consumers']
                   if c['ssrc'] == consumer['ssrc'] and c['report_rtt_us']]
        if not history:
            print(f'{consumer["kind"]} down: no report')
            return False
        rtt_ms = statistics.median(c['report_rtt_us'] for c in history) / 1000
        shown = history[-1]
        seen, count = share_lost(fates_of('down', {consumer['ssrc']}), shown['report_highest'] % 0x10000)
        told = shown['report_lost'] / count if count else 1
        print(f'{consumer["kind"]} down: lost {100 * seen:.2f} % of {count}, reported '
              f'{100 * told:.2f} %, round trip {rtt_ms:.1f} ms')
        holds = holds and count > 100 and abs(seen - told) <= 0.005 and abs(rtt_ms - round_trip_ms) <= 5
    return holds


def flooded(least, least_again):
    """One peer floods: it gets so much again, but at most 1.25 times its media, others lose nothing."""
    everybody = peers()
    flooder, others = everybody[-1], everybody[:-1]
    video = [c for c in flooder['consumers'] if c['kind'] == 'video']
    media = octets('down', {c['ssrc'] for c in flooder['consumers']})
    again = octets('down', {c['rtx_ssrc'] for c in video})
    total = sum(f['len'] for f in fates() if f['dir'] == 'down')
    everything = octets('down', {c['ssrc'] for c in consumers()})
    seconds = next(row for row in lines('peers') if 'totals' in row)['media_ms'] / 1000
    requests = max(p['stats']['key_frame_requests_video'] for p in everybody)
    harmed = sum(c['lost'] for p in others for c in p['consumers'])
    print(f'{flooder["stats"]["flooded"]} sent; to the flooder {media} octets of media and {again} '
          f'again ({1 + again / media:.2f} times); to everybody {total / everything:.2f} times the media; '
          f'{requests / seconds:.2f} key frame requests a second; others lost {harmed}')
    return (flooder['stats']['flooded'] >= int(least) and media > 0
            and again >= float(least_again) * media and media + again <= 1.25 * media and total <= 1.25 * everything
            # A second more: they consume each other before the time is counted.
            and requests <= 2 * (seconds + 1) and harmed == 0)


def events():
    """Times of the commands that the test gave, by name: lines of NAME MICROSECONDS."""
    with open(f'{RUN_DIR}/events', encoding='utf-8') as file:
        return {name: int(at) for name, at in (line.split() for line in file)}


def resumed(name, within_ms):
    """After an event every consumer got packets again so soon, by the bad network's log."""
    begin = events()[name]
    holds = bool(consumers())
    for consumer in consumers():
        after = [f['t'] for f in fates_of('down', {consumer['ssrc'], consumer['rtx_ssrc']})
                 if f['t'] >= begin and f['fate'] == 'passed']
        gap_ms = (after[0] - begin) / 1000 if after else float('inf')
        print(f'{consumer["kind"]}: {gap_ms:.0f} ms after {name}, {len(after)} packets')
        holds = holds and gap_ms <= float(within_ms) and len(after) > 50
    return holds


def moved(name, within_ms):
    """After an address change each client's packets flow so soon after the first checks: its own, and
    those of whoever sends. A transport is known by the client's own port, which the change leaves."""
    at = events()[name]
    media = [f for f in fates() if f['kind'] == 'rtp' and f['fate'] == 'passed']
    lately = [f for f in media if at - 500000 < f['t'] < at]
    senders = {f['port'] for f in lately if f['dir'] == 'up'}
    receivers = {f['port'] for f in lately if f['dir'] == 'down'}
    first_check = {}
    for f in fates():
        if f['dir'] == 'up' and f['kind'] == 'stun' and f['fate'] == 'passed' and f['t'] >= at:
            first_check.setdefault(f['port'], f['t'])
    holds = bool(receivers) and senders | receivers <= set(first_check)
    if not holds:
        print(f'senders {senders}, receivers {receivers}, checks came from {set(first_check)}')
        return False
    for port in receivers:
        since = max(first_check[p] for p in senders | {port})
        after = [f['t'] for f in media if f['dir'] == 'down' and f['port'] == port and f['t'] >= since]
        gap_ms = (after[0] - since) / 1000 if after else float('inf')
        whole_ms = (after[0] - at) / 1000 if after else float('inf')
        print(f'port {port}: packets {gap_ms:.0f} ms after the checks, {whole_ms:.0f} ms after {name}, '
              f'{len(after)} packets')
        holds = holds and gap_ms <= float(within_ms) and len(after) > 50
    return holds


JUDGEMENTS = {f.__name__: f for f in (arrived, once, producers_told, consumers_shown, flooded, resumed, moved)}

if __name__ == '__main__':
    arguments = [int(a) if a.isdigit() else a for a in sys.argv[3:]]
    sys.exit(0 if JUDGEMENTS[sys.argv[2]](*arguments) else 1)
