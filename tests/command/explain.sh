#!/bin/bash
# attnc explain and attnc bench FILE: pairs against closed forms, the JSON, performance diagnostics and
# --require-fast.
set -euo pipefail

work=$ATTN_BUILD/command-explain
rm -rf "$work"
mkdir -p "$work"
cd "$work"
export XDG_CACHE_HOME=$work/cache
patterns=$ATTN_SOURCE/patterns
cases=$ATTN_SOURCE/bench/cases

fail() { echo "FAIL: $*"; exit 1; }

# pairs FILE EXPRESSION OPTIONS...: visible pairs of the whole pattern.
pairs() {
    local file=$1 expected=$2
    shift 2
    "$ATTNC" explain "$file" "$@" --json >out.json
    "$PYTHON" - "$expected" "$file" <<'PYTHON' || fail "explain $file $*"
import json, sys
x = json.load(open("out.json"))
expected = eval(sys.argv[1], {}, {**x["sizes"], **x["parameters"]})
assert x["visible_pairs"] == expected, (x["visible_pairs"], expected)
for s in x["stages"]:
    if "dense" in sys.argv[2]: # lanes without a query do not count
        assert s["visited_pairs"] == s["visible_pairs"], s
    if s["lanes"]: # a strip sees every pair that is visible, and no box is neither full nor partial
        assert s["visited_pairs"] >= s["visible_pairs"], s
    if "clusters" in sys.argv[2]: # of 100 positions each, in turn
        assert s["visited_pairs"] < 2 * s["visible_pairs"], s
    if "window256" in sys.argv[2] or "global" in sys.argv[2]: # the ends of a strip's keys for half of its queries
        assert s["visited_pairs"] < 1.07 * s["visible_pairs"], s
    if "neighborhood2d" in sys.argv[2] and x["sizes"]["y"] == 64:
        assert s["visited_pairs"] < 1.45 * s["visible_pairs"], s
    if s["boxes"]:
        assert s["boxes"]["visited"] == s["boxes"]["full"] + s["boxes"]["partial"] > 0, s
assert any(s["lanes"] for s in x["stages"]), "nothing runs in lanes"
assert x["predicted_seconds"] > 0 and x["flops"] > 0 and x["bytes_read"] > 0 and x["workspace"] > 0
assert x["machine"]["peak_gflops"] > 0 and x["machine"]["read_gbytes_per_second"] > 0 and x["machine"]["cpu"]
PYTHON
}

line() { for i in h=8 b=2 "i=$1" "j=$2" d=16 e=16; do echo --size $i; done; }
plane() { for i in h=2 b=1 "y=$1" "x=$2" "ky=$1" "kx=$2" d=16 e=16; do echo --size $i; done; }

pairs "$cases/dense.attn" "b * h * i * j" $(line 300 77)
pairs "$cases/dense.attn" "b * h * j" $(line 1 4096) # few queries
pairs "$cases/causal.attn" "b * h * i * (i + 1) // 2" $(line 512 512)
pairs "$cases/causal.attn" "b * h * i * (i + 1) // 2" $(line 67 67)
pairs "$cases/causal.attn" "b * h * i * (i + 1) // 2" $(line 4096 4096)
pairs "$cases/window256.attn" "b * h * (256 * i - 256 * 255 // 2)" $(line 4096 4096)
pairs "$cases/window256.attn" "b * h * (256 * i - 256 * 255 // 2)" $(line 100000 100000)
pairs "$cases/global.attn" \
    "b * h * (4 * j + sum(min(q + 257, 4096) - max(q - 256, 0) + min(max(q - 256, 0), 4) for q in range(4, i)))" \
    $(line 4096 4096)
pairs "$cases/dilated.attn" "b * h * sum(min(q // 4 + 1, 256) for q in range(i))" $(line 2000 2000)
pairs "$cases/prefix.attn" "b * h * sum(max(512, q + 1) for q in range(i))" $(line 1000 1000)
pairs "$cases/neighborhood2d.attn" "b * h * y * x * 169" $(plane 64 64)
pairs "$cases/neighborhood2d.attn" "b * h * y * x * 13 * 13" $(plane 19 40)
pairs "$cases/swin.attn" "b * h * y * x * 64" $(plane 64 64)
pairs "$patterns/window/sliding_window.attn" "b * h * (window * i - window * (window - 1) // 2)" \
    -D window=100 $(line 1000 1000)

# Documents of given lengths, causal within.
"$PYTHON" - <<'PYTHON'
import struct
lengths = [1, 200, 37, 512, 250]
documents = [k for k, n in enumerate(lengths) for _ in range(n)]
for name, data in ("doc", documents), ("cluster", [k % 10 for k in range(1000)]):
    head = "{'descr': '<i8', 'fortran_order': False, 'shape': (1, %d), }" % len(data)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(name + ".npy", "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        f.write(struct.pack("<%dq" % len(data), *data))
PYTHON
pairs "$cases/documents.attn" "h * sum(n * (n + 1) // 2 for n in (1, 200, 37, 512, 250))" --size h=3 \
    -i doc=doc.npy
pairs "$cases/clusters.attn" "h * 10 * 100 * 100" --size h=3 -i cluster=cluster.npy
pairs "$cases/clusters_causal.attn" "h * 10 * 100 * 101 // 2" --size h=3 -i cluster=cluster.npy

# The first needs a measured machine, later ones read it from the cache folder.
[ -s "$work/cache/attnc/machine.txt" ] || fail "no machine.txt"
cp "$work/cache/attnc/machine.txt" first.txt
"$ATTNC" explain "$cases/dense.attn" --size i=64 >out.txt
cmp first.txt "$work/cache/attnc/machine.txt" || fail "the machine is measured again"
grep -q "strips of .* queries in lanes" out.txt || fail "no strips in the text"
for at in $(seq 0 20 200); do # a damaged file is as none
    head -c "$at" first.txt >"$work/cache/attnc/machine.txt"
    "$ATTNC" explain "$cases/dense.attn" --size i=64 >/dev/null || fail "a damaged machine.txt"
    [ "$at" -lt 40 ] || break
done

# Without sizes: no figures, and nothing is measured.
rm "$work/cache/attnc/machine.txt"
"$ATTNC" explain "$cases/dense.attn" >out.txt
grep -q "GFLOP/s\|predicted" out.txt && fail "figures that nobody asked for"
[ ! -e "$work/cache/attnc/machine.txt" ] || fail "the machine is measured for no figures"
grep -q "strips of .* queries in lanes" out.txt || fail "no reasons"
"$ATTNC" explain "$cases/dense.attn" --size i=64 | grep -q "predicted ms" || fail "no figures"

# bench: one object with these numbers.
"$ATTNC" bench "$cases/causal.attn" $(line 256 256) --json --repeat 3 --no-cache >bench.json
"$ATTNC" bench "$cases/causal.attn" --dtype f64 --threads 2 --repeat 1 >bench.txt
grep -q "GFLOP/s" bench.txt || fail "no text of bench"
"$PYTHON" - <<'PYTHON'
import json
x = json.load(open("bench.json"))
for key in ("seconds", "best_seconds", "visible_pairs", "visited_pairs", "flops", "gflops", "peak_gflops",
            "predicted_seconds"):
    assert x[key] > 0, (key, x)
assert x["sgemm_gflops"] is None or x["sgemm_gflops"] > 0
assert x["visible_pairs"] == 2 * 8 * 256 * 257 // 2 and x["flops"] == 4 * 16 * x["visible_pairs"], x
assert abs(x["gflops"] - x["flops"] / x["seconds"] / 1e9) <= 1e-3 * x["gflops"], x
PYTHON

# Performance diagnostics: asked for, or as errors.
slow=$ATTN_SOURCE/tests/errors/performance-gather.attn
[ -z "$("$ATTNC" check "$slow" 2>&1)" ] || fail "check tells of performance unasked"
"$ATTNC" check "$slow" -p across --performance 2>err.txt
grep -q "performance\[P003\]" err.txt || fail "check --performance"
"$ATTNC" compile "$slow" -p across --performance -o slow.so 2>err.txt
grep -q "performance\[P003\]" err.txt || fail "compile --performance"
[ -s slow.so ] || fail "--performance is no error"
rm slow.so
"$ATTNC" explain "$slow" -p across 2>err.txt >out.txt
grep -q "performance\[P003\]" err.txt || fail "explain does not tell"
"$ATTNC" explain "$slow" -p across --json 2>/dev/null | "$PYTHON" -c '
import json, sys
assert json.load(sys.stdin)["diagnostics"][0]["code"] == "P003"'
for command in "compile -o slow.so" run "bench --repeat 1"; do
    code=0
    "$ATTNC" $command "$slow" -p across --require-fast >out.txt 2>err.txt || code=$?
    [ $code = 1 ] && grep -q "error\[P003\]" err.txt || fail "$command --require-fast ends with $code"
    "$ATTNC" $command "$slow" -p along --require-fast >out.txt 2>err.txt || fail "$command of what is fast"
done
