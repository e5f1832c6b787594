#!/bin/bash
# attnc bench compile: one JSON object, with the numbers of every pattern of the library within their limits. No other test
# runs beside it (tests/CMakeLists.txt); as other work on the machine may slow it down, one pattern in twenty may be above,
# by half as much again, and there are three attempts.
set -euo pipefail

patterns=$ATTN_SOURCE/patterns
[ "${ATTN_SANITIZE:-0}" = 0 ] || patterns=$patterns/score # times mean nothing there
result=$ATTN_BUILD/bench-compile.json

attempt() {
    "$ATTNC" bench compile "$patterns" --json --repeat 1 >"$result" &&
        "$PYTHON" - "$result" "${ATTN_SANITIZE:-0}" <<'PYTHON'
import json, sys
bench = json.load(open(sys.argv[1]))
names = [p["pattern"] for p in bench["patterns"]]
assert "soft_capped" in names and "full" in names, names
for pattern in bench["patterns"]:
    assert "error" not in pattern, pattern
    for metric, limit in bench["limits"].items():
        assert pattern[metric] > 0
        if sys.argv[2] == "0":
            assert pattern[metric] <= 1.5 * limit, (pattern["pattern"], metric, pattern[metric], limit)
for metric, limit in bench["limits"].items():
    above = [p["pattern"] for p in bench["patterns"] if p[metric] > limit]
    assert sys.argv[2] != "0" or len(above) <= len(names) / 20, (metric, limit, above)
PYTHON
}

attempt || attempt || attempt
