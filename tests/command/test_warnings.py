#!/usr/bin/env python3
"""Warnings of decided conditions are never wrong: random conditions, and each that is said to hold always, or never, is
tried at all positions, for many sizes and parameters."""
import itertools
import json
import os
import pathlib
import random
import subprocess
import tempfile

ATTNC = os.environ["ATTNC"]
SIZES, PARAMS = (0, 1, 2, 5), (1, 2, 6)
random.seed(7)


def number(depth):
    """An int expression over i, j, their extents and w."""
    pick = random.random()
    if depth == 0 or pick < 0.3:
        return random.choice(["i", "j", "size(i)", "size(j)", "w", "last(j)", str(random.randint(0, 3))])
    a, b = number(depth - 1), number(depth - 1)
    if pick < 0.75:
        return f"({a} {random.choice('+--')} {b})"
    if pick < 0.9:
        return f"({a} {random.choice(['//', '%'])} {random.randint(1, 4)})"
    return f"{random.choice(['min', 'max'])}({a}, {b})"


def condition(depth):
    pick = random.random()
    if depth == 0 or pick < 0.5:
        return f"{number(2)} {random.choice(['<', '<=', '==', '!=', '>', '>='])} {number(1)}"
    if pick < 0.6:
        return f"not ({condition(depth - 1)})"
    return f"({condition(depth - 1)}) {random.choice(['and', 'or'])} ({condition(depth - 1)})"


def values(text, origin):
    """What it is at all positions that exist."""
    code = compile(text.replace("size(i)", "ni").replace("size(j)", "nj").replace("last(j)", "(nj - 1)"), text, "eval")
    for ni, nj, w in itertools.product(SIZES, SIZES, PARAMS):
        first = nj - ni if origin else 0
        for i, j in itertools.product(range(first, first + ni), range(nj)):
            yield bool(eval(code, {"i": i, "j": j, "ni": ni, "nj": nj, "w": w, "min": min, "max": max}))


def source(conditions, origin):
    lines = ["pattern p(w: int = 2)", "    over b: q[i], k[j] -> o[i]", "{", "    require w >= 1",
             "    index i from size(j) - size(i)" if origin else "    index m like j"]
    start = len(lines) + 1
    lines += [f"    s{n} = sum[j](q * k where {text})" for n, text in enumerate(conditions)]
    lines += ["    o = " + " + ".join(f"s{n}" for n in range(len(conditions))), "}"]
    return start, "\n".join(lines) + "\n"


def main():
    told = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "p.attn"
        for origin in (False, True):
            start, text = source([condition(2) for _ in range(200)], origin)
            path.write_text(text)
            done = subprocess.run([ATTNC, "check", "--diagnostics=json", path], stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr
            lines = text.split("\n")
            for item in map(json.loads, done.stderr.splitlines()):
                if item["code"] not in ("W005", "W006"):
                    continue
                part = lines[item["line"] - 1][item["column"] - 1:item["end_column"] - 1]
                assert set(values(part, origin)) <= {item["code"] == "W005"}, (item["code"], part, origin)
                told += 1
    assert told > 40, told


if __name__ == "__main__":
    main()
