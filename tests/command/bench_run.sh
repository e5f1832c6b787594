#!/bin/bash
# bench/run, as docs/performance.md calls it: every case runs at a sound rate, and has the share asked of it.
set -euo pipefail

[ "${ATTN_SANITIZE:-0}" = 0 ] || exit 77 # times mean nothing there
run=$ATTN_BUILD/bench/run result=$ATTN_BUILD/bench-run.json
for wrong in "--cpu" "--case nothing" "a.json b.json" "--verbose"; do
    code=0
    $run $wrong 2>"$result.error" || code=$?
    [ $code = 2 ] && grep -q usage "$result.error"
done

check() {
    "$PYTHON" - "$result" "$@" <<'PYTHON'
import json, math, os, sys
bench = json.load(open(sys.argv[1]))
for figure in ("peak_gflops", "read_gbytes"):
    one, two = bench[figure], bench[figure + "_two_threads"]
    assert 0 < one < 3 * two and two < 3 * one, (figure, one, two)
asked = set(sys.argv[2:]) or {f[:-5] for f in os.listdir(os.environ["ATTN_SOURCE"] + "/bench/cases")}
cases = {case["name"]: case for case in bench["cases"]}
assert asked <= set(cases), asked - set(cases)
for name, case in cases.items():
    peak = bench["peak_gflops" if case["threads"] == 1 else "peak_gflops_two_threads"]
    assert case["visible_pairs"] > 0 and 0 < case["best_seconds"] <= case["seconds"], case
    assert 0 < case["gflops"] < 1.5 * peak and case["workspace_bytes"] >= 0, case
    assert math.isclose(case["gflops"], case["flops"] / case["seconds"] / 1e9, rel_tol=1e-3), case
    assert math.isclose(case["of_peak"], case["gflops"] / peak, rel_tol=0.01, abs_tol=0.001), case
    assert not case["floor"] or case["share"] > 0 and case["of"], case
    if case["of"] in cases:
        rates = case["gflops"] / cases[case["of"]]["gflops"]
        assert math.isclose(case["share"], rates, rel_tol=0.02, abs_tol=0.001), case
PYTHON
}

"$run" --quick --case causal --cpu x86-64-v3 "$result"
check dense causal
"$run" --quick "$result"
check
"$PYTHON" - "$result" <<'PYTHON'
import json, sys
bench = json.load(open(sys.argv[1]))
assert 0 < bench["predicted_median_error"] < 0.5, bench["predicted_median_error"]
cases = {case["name"]: case for case in bench["cases"]}
long, short = cases["window256_long"], cases["window256_one_head"]
assert long["visible_pairs"] > 256 * short["visible_pairs"]
assert long["workspace_bytes"] <= 2 * short["workspace_bytes"], (long, short)
assert 8 * 128 * 129 / 2 * 4 < cases["documents"]["visible_pairs"] < cases["causal"]["visible_pairs"]
assert 0.07 < cases["block_sparse"]["visible_pairs"] / cases["dense"]["visible_pairs"] < 0.13
PYTHON
