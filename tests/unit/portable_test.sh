#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# portable_test.sh BINARY…: whether a binary that is built here runs on processors without wide vectors.
# Libraries choose when they are loaded (glibc, ipsec-mb); of our own code only functions whose names say
# so may use them, and those are called after a look at the processor.
for binary; do
	wide=$(objdump -d --no-show-raw-insn "$binary" | awk '
		/^[0-9a-f]+ </ { name = $2 }
		/%[yz]mm[0-9]/ && name !~ /_avx(2|512)>:$/ { print name }' | sort | uniq -c)
	[ -z "$wide" ] || { printf '%s:\n%s\n' "$binary" "$wide"; exit 1; }
done
