#!/bin/bash
# The command with code for CUDA: run, compile, list; data that is out of range; what it says where something is
# missing. Skipped where there is no NVRTC.
set -euo pipefail
work=$ATTN_BUILD/gpu-command
rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp "$ATTN_SOURCE"/patterns/score/full.attn .
attnc() { "$ATTN_SOURCE/tests/gpu/on_device" "$ATTNC" "$@"; }

# expect CODE TEXT ARGUMENTS...: of attnc; TEXT stands in what it prints.
expect() {
    local code=$1 text=$2 got=0
    shift 2
    attnc "$@" >out 2>&1 || got=$?
    if [ "$got" != "$code" ] || { [ -n "$text" ] && ! grep -qF -- "$text" out; }; then
        echo "FAIL: attnc $*: exit code $got instead of $code, or no '$text' in:"
        cat out
        exit 1
    fi
}

if ! attnc compile full.attn --emit=ptx >full.ptx 2>out; then
    cat out
    grep -q NVRTC out && exit 77
    exit 1
fi
grep -q '\.target sm_80' full.ptx

# Results, of every type; the second time from the cache.
for dtype in f32 f64 f16 bf16; do
    expect 0 "check o: relative RMS error" run full.attn --target cuda --check --dtype $dtype
    grep -q "^full, cuda, $dtype" out
done
expect 0 "check o:" run full.attn --target cuda --check --arch compute_80 --size i=33 --size j=1 -o o=o.npy --dtype f16
head -c 80 o.npy | grep -qa "'<f2'"
expect 0 "check o:" run full.attn --target cuda:sm_80 --check --backend loops

# A module with a cubin and PTX, and what it holds.
expect 0 "" compile full.attn --target cuda --arch sm_80 -o full.so
expect 0 "full()" list full.so
grep -q 'for CUDA devices' out
expect 0 "" compile full.attn -o full.cu
grep -q '__global__' full.cu
expect 0 "" compile full.attn -o full.ptx
expect 1 "for CUDA there are shared objects" compile full.attn --target cuda -o full.o
expect 1 "expected sm_80 or later" compile full.attn --target cuda --arch sm_75 -o full.so

expect 0 '"target": "cuda", "dtype": "bf16"' bench full.attn --target cuda --dtype bf16 --repeat 2 --json
"$PYTHON" -c 'import json; x = json.load(open("out")); assert x["seconds"] > 0 and x["flops"] > 0 and x["runs"] == 2'

# Data out of range, found by the device: the element is named.
cat >rows.attn <<'ATTN'
pattern rows()
    over b: x[i, d] -> o[i, d]
    with table: int[b, i] in 0..size(i)
    example i = 5, d = 3, table = integers(0, 5)
{
    o = x[table, d]
}
ATTN
"$PYTHON" - <<'PY'
import struct
shape, values = (2, 5), [0, 1, 3, 2, 0, 1, 5, 0, 0, 0]
header = ("{'descr': '<i8', 'fortran_order': False, 'shape': %r, }" % (shape,)).ljust(117) + "\n"
with open("table.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<10q", *values))
PY
expect 0 "check o:" run rows.attn --target cuda --check
expect 1 "rows: table[1, 1] = 5 is outside 0..size(i) = 0..5" run rows.attn --target cuda -i table=table.npy

# What is missing.
export ATTN_CUDA_DRIVER=/nowhere/libcuda.so
expect 1 "cannot open the CUDA driver" run full.attn --target cuda
grep -q /nowhere/libcuda.so out
expect 0 "check o:" run full.attn --check
export ATTN_NVRTC=/nowhere
expect 1 "NVRTC is not at \$ATTN_NVRTC, /nowhere" run full.attn --target cuda
