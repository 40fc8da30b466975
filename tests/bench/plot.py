#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ns per forwarded packet against consumers, from the bench's JSON lines: plot.py IN.json OUT.svg"""
import json
import math
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 64, 150, 28, 48
LINES = [("ns_per_packet", "path", "#1f5fa8", ""), ("floor_ns", "floor", "#2a8a3c", "5,3"),
	("libsrtp2_ns", "path, libsrtp2", "#b03a2e", "2,3")]


def rows(path):
	with open(path, encoding="utf-8") as f:
		for line in f:
			row = json.loads(line)
			if row.get("rooms") == 1 and row["producers"] == 1 and row.get("workers") == 1 and not row.get("nack"):
				yield row


def main():
	groups = {}
	for row in rows(sys.argv[1]):
		if row["payload"] == 1200 and row["profile"] in ("gcm128", "cm"):
			groups.setdefault(row["profile"], []).append(row)
	points = [r for g in groups.values() for r in g]
	if not points:
		return
	x_most = max(max(r["consumers"] for r in points), 10)
	values = [r[k] for r in points for k, *_ in LINES if r[k]]
	y_low, y_high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))

	def x(v):
		return LEFT + (WIDTH - LEFT - RIGHT) * math.log(v) / math.log(x_most)

	def y(v):
		share = math.log(v / y_low) / math.log(y_high / y_low)
		return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

	out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
		'font-family="sans-serif" font-size="12">',
		f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
		f'<text x="{LEFT}" y="16">ns per forwarded packet against consumers, 1200 octets, one core</text>']
	tick = y_low
	while tick <= y_high:
		for step in (1, 2, 5):
			if tick * step <= y_high:
				at = y(tick * step)
				out.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
					f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick * step:g}</text>')
		tick *= 10
	for v in sorted({r["consumers"] for r in points}):
		out.append(f'<path d="M{x(v):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>'
			f'<text x="{x(v):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{v}</text>')
	label = 0
	for profile, group in groups.items():
		group.sort(key=lambda r: r["consumers"])
		for key, name, colour, dash in LINES:
			line = [(x(r["consumers"]), y(r[key])) for r in group if r[key]]
			if not line:
				continue
			width = 2.2 if profile == "gcm128" else 1.1
			out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" '
				f'stroke-dasharray="{dash}" points="'
				+ " ".join(f"{a:.1f},{b:.1f}" for a, b in line) + '"/>')
			at = TOP + 14 + 18 * label
			label += 1
			out.append(f'<path d="M{WIDTH - RIGHT + 8} {at - 4}h20" stroke="{colour}" '
				f'stroke-width="{width}" stroke-dasharray="{dash}"/>'
				f'<text x="{WIDTH - RIGHT + 32}" y="{at}">{profile} {name}</text>')
	out.append("</svg>")
	with open(sys.argv[2], "w", encoding="utf-8") as f:
		f.write("\n".join(out) + "\n")


main()
