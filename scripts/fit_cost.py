#!/usr/bin/env python3
"""Fits the prices of compiler/cost.h to measured times: fit_cost.py ATTNC [--check [--quick]]

Runs `attnc bench` and `attnc explain` on every case below, one thread each, and prints new prices: least
squares of relative errors, drawn to the old prices, none below 0. With --check it only prints the errors of
the model as it stands, and ends with 1 if their median is above 0.25; --quick: smaller sizes, and 0.4.
"""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE = "b=1 h=8 i=4096 j=4096 d=64 e=64"
PLANE = "b=1 h=8 y=64 x=64 ky=64 kx=64 d=64 e=64"
CASES = [
    *((name, LINE) for name in "dense causal window256 window1024 dilated prefix global alibi soft_cap "
      "sigmoid differential dense_bf16_to_f32 dense_f16_to_f32".split()),
    ("documents", LINE.replace(" j=4096", "")),
    ("block_sparse", LINE + " a=64 c=64"),
    ("block_list", LINE + " a=64 r=16"),
    ("relative", LINE + " m=8191"),
    ("dense", LINE.replace("64", "128")),
    ("dense", LINE.replace("64", "32")),
    ("causal", LINE.replace("4096", "512")),
    ("neighborhood2d", PLANE), ("neighborhood2d_dilated", PLANE), ("swin", PLANE),
    ("neighborhood3d", "b=1 h=8 z=16 y=16 x=16 kz=16 ky=16 kx=16 d=64 e=64"),
    ("dense", "b=1 h=32 i=1 j=32768 d=128 e=128"),
]
WEIGHT = 0.02  # of staying with the old prices


def run(attnc, command, name, sizes):
    path = os.path.join(ROOT, "bench", "cases", name + ".attn")
    indices = subprocess.run([attnc, "list", path], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"\w+", indices))
    options = [o for s in sizes.split() if s.split("=")[0] in known for o in ("--size", s)]
    out = subprocess.run([attnc, command, path, "--json", *options], capture_output=True, text=True)
    if out.returncode:
        print(f"{name} {sizes}: {out.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(out.stdout)


def measure(attnc, cases):
    rows = []
    for name, sizes in cases:
        bench, explained = run(attnc, "bench", name, sizes), run(attnc, "explain", name, sizes)
        if not bench or not explained:
            continue
        work = {}
        for stage in explained["stages"]:
            for term, count in stage["work"].items():
                work[term] = work.get(term, 0) + (count or 0)
        peak = explained["machine"]["peak_gflops"] * 1e9
        rows.append((f"{name} {sizes}", bench["seconds"], bench["predicted_seconds"], peak, work))
    return rows


def old_prices():
    text = open(os.path.join(ROOT, "compiler", "cost.h")).read()
    return {name: float(price) for name, price in re.findall(r"X\((\w+), ([\d.e+-]+)\)", text)}


def fit(rows, old):
    """Coordinate descent on the sum of (predicted / measured - 1)^2 + WEIGHT * sum of (price / old - 1)^2."""
    prices = dict(old)
    for _ in range(3000):
        for term in prices:
            above = below = 0.0
            for _, seconds, _, peak, work in rows:
                slope = work[term] / peak / seconds
                rest = sum(prices[t] * work[t] for t in prices if t != term) / peak / seconds - 1
                above -= slope * rest
                below += slope * slope
            scale = max(old[term], 1e-3)
            above += WEIGHT / scale
            below += WEIGHT / scale / scale
            prices[term] = max(0.0, above / below)
    return prices


def errors(rows, predict):
    found = sorted(abs(predict(row) / row[1] - 1) for row in rows)
    for row in rows:
        ms, predicted = 1e3 * row[1], 1e3 * predict(row)
        print(f"{ms:9.3f} ms  {predicted:9.3f} predicted  {predicted / ms:5.2f}  {row[0]}")
    print(f"median error {found[len(found) // 2]:.3f}, largest {found[-1]:.3f}")
    return found[len(found) // 2]


def quick(cases):
    line = LINE.replace("4096", "1024").replace("h=8", "h=2")
    plane = PLANE.replace("h=8", "h=2")
    return [(name, line) for name, sizes in cases if sizes == LINE] + [("neighborhood2d", plane), ("swin", plane)]


def main():
    attnc = sys.argv[1]
    rows = measure(attnc, quick(CASES) if "--quick" in sys.argv else CASES)
    median = errors(rows, lambda row: row[2])
    if "--check" in sys.argv:
        sys.exit(median > (0.4 if "--quick" in sys.argv else 0.25))
    prices = fit(rows, old_prices())
    print()
    errors(rows, lambda row: sum(prices[t] * row[4][t] for t in prices) / row[3])
    for term, price in prices.items():
        print(f"    X({term}, {price:.4g}) \\")


main()
