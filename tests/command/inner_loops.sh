#!/bin/bash
# The matrix loops of strips (a key or value times all queries) keep everything in registers: no access to the stack between
# multiply-adds, but for a bound of the loop where there is a condition beside.
set -euo pipefail

[ "$(uname -m)" = x86_64 ] || exit 77
for cpu in x86-64-v3 x86-64-v4; do
    for case in dense causal; do
        "$ATTNC" compile "$ATTN_SOURCE/bench/cases/$case.attn" --cpu $cpu --size d=64 --size e=64 --emit=asm |
            "$PYTHON" -c '
import re, sys

lines, labels, loops, name = sys.stdin.read().split("\n"), {}, [], ""
for number, line in enumerate(lines):
    if "@function" in line:
        name = line
    if label := re.match(r"(\.L\w+):", line):
        labels[label[1]] = number
    jump = re.match(r"\s+j\w+\s+(\.L\w+)", line)
    if jump and "queries in lanes" in name and jump[1] in labels:
        loops.append((labels[jump[1]], number))
inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
hot = [lines[a : b + 1] for a, b in inner]
broadcast = re.compile(r"vbroadcastss\t\S*\(%r(?!ip)")
hot = [body for body in hot if sum("vfmadd" in line for line in body) >= 8 and any(map(broadcast.search, body))]
assert len(hot) >= 2, "scores and weights have no inner loops"
for body in hot:
    spilled = [line for line in body if "(%rsp" in line and (sys.argv[2] == "dense" or "mm" in line)]
    assert not spilled, (sys.argv[1:], spilled, "\n".join(body))
' "$cpu" "$case"
    done
done
