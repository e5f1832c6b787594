#!/bin/bash
# bench/run, as docs/performance.md calls it: every case runs and has a sound rate.
set -euo pipefail

[ "${ATTN_SANITIZE:-0}" = 0 ] || exit 77 # times mean nothing there
"$ATTN_BUILD/bench/run" --quick "$ATTN_BUILD/bench-run.json"
"$PYTHON" - "$ATTN_BUILD/bench-run.json" <<'PYTHON'
import json, sys
bench = json.load(open(sys.argv[1]))
assert bench["peak_flops"] > 0 and bench["read_bytes"] > 0
for name, case in bench["cases"].items():
    assert case["visible_pairs"] > 0 and 0 < case["flops"] < 1.5 * bench["peak_flops"], (name, case)
PYTHON
