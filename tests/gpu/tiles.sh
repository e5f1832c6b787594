#!/bin/bash
# Kernels with tiles, on tensor cores and of f32: results at sizes around those of tiles, features of all kinds, values that are not finite and
# hidden, log-sum-exps; counts of bench/gpu_counters within their bounds. Skipped where there is no NVRTC.
set -euo pipefail
work=$ATTN_BUILD/gpu-tiles
rm -rf "$work"
mkdir -p "$work"
cd "$work"
patterns=$ATTN_SOURCE/patterns

if ! "$ATTNC" compile "$patterns/score/full.attn" --emit=ptx >full.ptx 2>out; then
    cat out
    grep -q NVRTC out && exit 77
    exit 1
fi

# same FILE OPTIONS...: the device's result is that of the interpreter.
same() {
    local file=$patterns/$1.attn
    [ -f "$file" ] || file=$1.attn
    shift
    if ! "$ATTN_SOURCE/tests/gpu/on_device" "$ATTNC" run "$file" --target cuda --check \
            --size b=1 --size h=2 "$@" >out 2>&1; then
        echo "FAIL: attnc run $file $*:"
        cat out
        exit 1
    fi
}

# has TEXT FILE OPTIONS...: there is a kernel that says so.
has() {
    local text=$1 file=$2
    shift 2
    "$ATTNC" compile "$patterns/$file.attn" --emit=cuda --target cuda "$@" >out
    grep -q "$text" out && return
    echo "FAIL: no '$text' in $file $*"
    exit 1
}
on_tensor_cores() { has 'on tensor cores' "$@"; }
in_tiles() { has 'keys at a time; a block' "$@" --dtype f32; }

on_tensor_cores mask/causal --dtype f16 --size d=64 --size e=64
on_tensor_cores score/with_lse --dtype bf16 --size d=20 --size e=13

in_tiles mask/causal --size d=64 --size e=64
in_tiles normaliser/sigmoid --size d=5 --size e=200
# Sums of weights, and what is made of a row's greatest score, have no values.
has 'pairwise received: 64 queries' cache/h2o --dtype f32 --size d=64 --size e=64
has 'pairwise o.part1.top1: 64 queries' normaliser/slots --dtype f16 --size d=64 --size e=64

for shape in "f16 16 16 1 1" "f32 5 3 1 1" "f32 64 64 63 65" "f32 48 20 64 64" "f32 128 128 65 130" "f32 96 200 66 100" \
             "f32 256 256 66 70" "bf16 64 64 63 65" "f16 80 32 64 64" "bf16 128 128 65 130" "f16 20 13 70 129" \
             "f16 192 256 66 100" "tf32 64 64 63 65" "tf32 20 13 70 129" "tf32 128 96 65 100" "tf32 5 200 1 1"; do
    read -r dtype d e i j <<<"$shape"
    same mask/causal --dtype "$dtype" --size d="$d" --size e="$e" --size i="$i" --size j="$j"
done
for file in score/full score/alibi score/soft_cap score/sink score/with_lse window/sliding_window; do
    same $file --dtype f16 --size d=32 --size e=32 --size i=70 --size j=150
    same $file --dtype f32 --size d=32 --size e=32 --size i=70 --size j=150
done

grid=(--size y=13 --size x=19 --size ky=13 --size kx=19 --size d=16 --size e=16)
on_tensor_cores window/neighborhood2d --dtype f16 --size d=16 --size e=16
same window/neighborhood2d --dtype f16 "${grid[@]}"
same window/neighborhood2d --dtype f32 "${grid[@]}"
same window/neighborhood2d --dtype tf32 "${grid[@]}"
same window/neighborhood3d --dtype bf16

# Few queries: keys in chunks.
has 'pairwise o.chunk: 64 queries' mask/causal --dtype f16 --size d=64 --size e=64
for dtype in f16 f32 tf32; do
    for file in mask/causal score/sink window/sliding_window; do
        same $file --dtype $dtype --size d=32 --size e=32 --size i=3 --size j=1100
    done
done
same mask/causal --dtype f16 --size d=32 --size e=32 --size i=65 --size j=1024

# Several maps of scores; weights with a factor of their own.
has 'r.map2: 64 queries' normaliser/differential --dtype f16 --size d=64 --size e=64
for dtype in f16 f32; do
    same normaliser/differential --dtype $dtype --size d=32 --size e=32 --size i=70 --size j=90
    same score/illama --dtype $dtype --size d=32 --size e=32 --size i=70 --size j=90
done

# Weights without a softmax; those that f16 has no room for.
on_tensor_cores normaliser/sigmoid --dtype f16 --size d=64 --size e=64
has 'tf32.tf32' mask/causal --dtype tf32 --size d=64 --size e=64
on_tensor_cores mask/causal --dtype tf32 --size d=64 --size e=64
for dtype in f16 bf16 f32 tf32; do
    same normaliser/sigmoid --dtype $dtype --size d=32 --size e=20 --size i=70 --size j=150
done

# What is hidden may be NaN or infinite; what is seen may, too.
"$PYTHON" - <<'PY'
import random, struct
n, d = 150, 32
def save(name, special, n=n, d=d, shape=(1, 2, n, d), factor=1):
    x = [factor * random.uniform(-1, 1) for _ in range(2 * n * d)]
    for (head, row, column), value in special.items():
        x[(head * n + row) * d + column] = value
    header = ("{'descr': '<f8', 'fortran_order': False, 'shape': %r, }" % (shape,)).ljust(117) + "\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        f.write(struct.pack("<%dd" % len(x), *x))
inf, nan = float("inf"), float("nan")
save("v.npy", {(0, 100, 3): nan, (1, 70, 5): inf, (1, 130, 0): -inf, (1, 140, 0): inf})
save("k.npy", {(0, 40, 1): inf})
save("q.npy", {(1, 10, 1): nan})
save("large.npy", {}, factor=400)
save("small.npy", {}, factor=1e-3)
save("grid.npy", {(0, 3 * 19 + 5, 0): nan, (1, 12 * 19 + 18, 15): inf}, 13 * 19, 16, (1, 2, 13, 19, 16))
PY
for file in mask/causal window/sliding_window score/full normaliser/sigmoid; do
    size=(--size d=32 --size e=32 --size i=150 --size j=150)
    same $file --dtype f16 "${size[@]}" -i v=v.npy
    same $file --dtype bf16 "${size[@]}" -i v=v.npy -i k=k.npy -i q=q.npy
    same $file --dtype f32 "${size[@]}" -i v=v.npy -i k=k.npy -i q=q.npy
    same $file --dtype tf32 "${size[@]}" -i v=v.npy -i k=k.npy -i q=q.npy
done
same window/neighborhood2d --dtype f16 "${grid[@]}" -i v=grid.npy
cat >linear.attn <<'END'
pattern linear()
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]
{
    o = sum[j](sum[d](q * k) / sqrt(size(d)) * v where j <= i)
}
END
same linear --dtype f16 --size d=32 --size e=32 --size i=150 --size j=150 -i q=large.npy -i k=large.npy -i v=small.npy

"$ATTN_BUILD/bench/gpu_counters" --check
