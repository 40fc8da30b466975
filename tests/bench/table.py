#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bench's JSON lines as the tables of docs/performance.md: table.py FILE.json…"""
import json
import sys


def us(row):
	if row["p99_us"] is None:
		return "–"
	return " / ".join(f"{row[k]:.0f}" for k in ("p50_us", "p99_us", "p999_us", "max_us"))


def number(value, digits):
	return "–" if value is None else f"{value:.{digits}f}"


def title(row):
	marks = []
	if row.get("mixed"):
		marks.append("cameras and microphones")
	if row.get("nack"):
		marks.append(f"{row['nack']} % asked for again")
	if row.get("loss"):
		marks.append(f"{row['loss']} % lost on the way to us")
	if row["workers"] > 1:
		marks.append(f"{row['workers']} workers")
	if not row.get("prefetch", True):
		marks.append("no prefetch")
	text = f"{row['rooms']} × {row['producers']} × {row['consumers']}"
	return text + (": " + ", ".join(marks) if marks else "")


def main():
	rows = []
	for path in sys.argv[1:]:
		with open(path, encoding="utf-8") as f:
			rows += [r for r in map(json.loads, f) if "profile" in r]
	print("| profile | payload | rooms × producers × consumers | streams | ns | floor | libsrtp2 | to floor "
		"| to libsrtp2 | Mpps | Gbit/s | p50 / p99 / p99.9 / most, us |")
	print("| " + " | ".join(["---"] * 12) + " |")
	for r in rows:
		print(f"| {r['profile']} | {r['payload']} | {title(r)} | {r['streams']:,} | {number(r['ns_per_packet'], 0)} | "
			f"{number(r['floor_ns'], 0)} | {number(r['libsrtp2_ns'], 0)} | {number(r['to_floor'], 2)} | "
			f"{number(r['to_libsrtp2'], 1)} | {number(r['mpps'], 2)} | {number(r['gbps'], 1)} | {us(r)} |")
	print()
	names = [n for r in rows for n in r.get("stages_ns", {})]
	names = list(dict.fromkeys(names))
	print("| ns per copy | " + " | ".join(names) + " |")
	print("| " + " | ".join(["---"] * (1 + len(names))) + " |")
	for r in rows:
		if "stages_ns" in r:
			print(f"| {r['profile']} {r['payload']}, {title(r)} | "
				+ " | ".join(number(r["stages_ns"].get(n), 1) for n in names) + " |")


main()
