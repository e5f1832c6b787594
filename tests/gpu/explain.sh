#!/bin/bash
# attnc explain --target cuda: tiles and what limits them on several architectures; --tile; kernels without tiles.
set -euo pipefail
work=$ATTN_BUILD/gpu-explain
rm -rf "$work"
mkdir -p "$work"
cd "$work"
patterns=$ATTN_SOURCE/patterns

fail() { echo "FAIL: $*"; cat out; exit 1; }

# holds CONDITION OPTIONS...: of the JSON of causal attention in f16; k is its only kernel.
holds() {
    local condition=$1
    shift
    "$ATTNC" explain "$patterns/mask/causal.attn" --dtype f16 --size i=4096 --size j=4096 --size b=2 --size h=16 \
        --json "$@" >out || fail "explain $*"
    "$PYTHON" - "$condition" <<'PYTHON' || fail "$condition: explain $*"
import json, sys
x = json.load(open("out"))
k, = x["kernels"]
assert k["kind"] == "tile" and k["visible_pairs"] == 2 * 16 * 4096 * 4097 // 2
assert k["tensor_flops"] == 2 * k["visible_pairs"] * (x["sizes"]["d"] + x["sizes"]["e"])
assert k["tasks"] == 2 * 16 * 4096 / 64 and k["registers"] <= 255 and k["blocks_per_multiprocessor"] >= 1
assert k["global_traffic"] == 2 * 2 * 16 * 4096 * (x["sizes"]["d"] + x["sizes"]["e"]) * 2
assert k["predicted_seconds"] == x["predicted_seconds"] > 0
assert eval(sys.argv[1]), k
PYTHON
}

d() { echo --size d="$1" --size e="$1"; }
holds 'x["arch"] == "sm_80" and k["tile"] == [64, 64] and k["limit"] == "tensor"' --target cuda $(d 64)
holds 'x["device"] == "H100" and k["limit"] == "shared"' --target cuda:sm_90 $(d 64)
holds 'k["blocks_per_multiprocessor"] >= 2 and k["shared_bytes"] == 81920' --target cuda --arch sm_80 $(d 128)
holds 'k["tile"] == [64, 32] and k["blocks_per_multiprocessor"] == 2' --target cuda:sm_89 $(d 128) # less shared memory
holds 'k["tile"] == [64, 16]' --target cuda:sm_80 $(d 256) # shared memory of sm_89 runs its code, too
holds 'k["tile"] == [64, 32]' --target cuda $(d 64) --tile 64x32

# The same tile is compiled.
"$ATTNC" compile "$patterns/mask/causal.attn" --target cuda --dtype f16 $(d 64) --tile 64x32 --emit=cuda >out
grep -q 'KEYS = 32' out || fail "compile --tile"
"$ATTNC" compile "$patterns/mask/causal.attn" --target cuda --dtype f32 $(d 64) --tile 64x16 --emit=cuda >out
grep -q 'KEYS = 16' out || fail "compile --tile in f32"
"$ATTNC" explain "$patterns/mask/causal.attn" --target cuda --dtype f32 $(d 64) --tile 64x8 >out
grep -q '64 queries and 8 keys' out || fail "explain --tile in f32"
"$ATTNC" explain "$patterns/mask/causal.attn" --target cuda --dtype f16 --tile 64x8 >out 2>&1 && fail "--tile 64x8"
grep -q 'is for --dtype f32' out || fail "--tile 64x8"
"$ATTNC" explain "$patterns/mask/causal.attn" --dtype tf32 >out 2>&1 && fail "--dtype tf32 for CPUs"
grep -q 'is for --target cuda' out || fail "--dtype tf32 for CPUs"
"$ATTNC" explain "$patterns/mask/causal.attn" --target cuda --tile 63x32 >out 2>&1 && fail "--tile 63x32"
grep -q 'expected one of 128x128 128x64 64x128 64x64 64x32 64x16 64x8' out || fail "--tile 63x32"
"$ATTNC" explain "$patterns/mask/causal.attn" --tile 64x32 >out 2>&1 && fail "--tile for CPUs"
grep -q 'is for --target cuda' out || fail "--tile for CPUs"

# Sums of products: large tiles for large results.
cat >projection.attn <<'END'
pattern projection()
    over b: x[i, c], w[c, e] -> y[i, e]
{
    y = sum[c](x * w)
}
END
product() {
    "$ATTNC" explain projection.attn --json --target cuda "${@:2}" >out || fail "explain projection ${*:2}"
    "$PYTHON" -c 'import json, sys; x, = json.load(open("out"))["kernels"]; assert x["kind"] == "product" and eval(sys.argv[1]), x' \
        "$1" || fail "$1: explain projection ${*:2}"
}
size=(--size b=1 --size i=4096 --size c=1024 --size e=4096)
product 'x["tile"] == [128, 128, 64] and x["tensor_flops"] == 2 * 4096**2 * 1024 and x["tasks"] == 32**2' --dtype f16 "${size[@]}"
product 'x["tile"][:2] == [128, 64]' --dtype f16 "${size[@]}" --tile 128x64
product 'x["limit"] == "fma" and x["flops"] == 2 * 4096**2 * 1024 and x["tensor_flops"] == 0' --dtype f32 "${size[@]}"

# Text, and kernels without tiles: why, and what checks data.
"$ATTNC" explain "$patterns/mask/causal.attn" --target cuda --dtype f16 $(d 64) >out
grep -q 'pairwise o: tiles of 64 queries and 64 keys' out && grep -q 'limited by' out || fail text
"$ATTNC" explain "$patterns/gate/lama.attn" --target cuda >out
grep -q 'which checks data' out && grep -q 'at most 255 registers' out && grep -q 'no tiles:' out || fail lama
