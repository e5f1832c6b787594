#!/bin/bash
# Recurrences with their states in registers: rows that lanes share evenly or not, tasks that fill blocks or not, several
# states and rows, both directions, states that are carried; which recurrences run so, and why others do not.
set -euo pipefail
work=$ATTN_BUILD/gpu-scans
rm -rf "$work"
mkdir -p "$work"
cd "$work"
patterns=$ATTN_SOURCE/patterns

if ! "$ATTNC" compile "$patterns/recurrence/retention.attn" --emit=ptx >full.ptx 2>out; then
    cat out
    grep -q NVRTC out && exit 77
    exit 1
fi

fail() { echo "FAIL: $*"; cat out; exit 1; }

# same FILE PATTERN OPTIONS...: the device's result is that of the interpreter.
same() {
    local file=$patterns/$1.attn
    [ -f "$file" ] || file=$1.attn
    "$ATTN_SOURCE/tests/gpu/on_device" "$ATTNC" run "$file" -p "$2" --target cuda --check "${@:3}" >out 2>&1 ||
        fail "attnc run $*"
}

# runs TEXT FILE PATTERN OPTIONS...: what explain says of its kernels.
runs() {
    local text=$1 file=$patterns/$2.attn
    [ -f "$file" ] || file=$2.attn
    "$ATTNC" explain "$file" -p "$3" --target cuda "${@:4}" >out 2>&1 || fail "explain $*"
    grep -q "$text" out || fail "no '$text': explain ${*:2}"
}

runs '8 threads for the rows d, 64 columns, a block for each of 8' recurrence/gated_delta gated_delta \
    --size d=64 --size e=128 --size b=2 --size h=2
runs '2 threads for the rows n, 64 columns' state/selective_scan selective_scan --size c=128 --size n=16
runs '32 threads for the rows d, 1 columns' linear/linear_attention causal_linear_attention --size d=64 --size e=64
runs 'states in registers' recurrence/wkv4 wkv4
runs 'not read at fixed distances' recurrence/titans titans_memory

one=(--size b=1 --size h=1)
for shape in "f32 1 1 1" "f32 5 3 17" "f16 64 64 33" "bf16 100 67 18" "f32 128 40 5"; do
    read -r dtype d e t <<<"$shape"
    for pattern in recurrence/gated_delta:gated_delta linear/linear_attention:causal_linear_attention; do
        same "${pattern%%:*}" "${pattern##*:}" --dtype "$dtype" "${one[@]}" --size d="$d" --size e="$e" --size t="$t"
    done
done
same recurrence/gated_delta gated_delta "${one[@]}" --size t=0
same state/selective_scan selective_scan --dtype f16 --size b=1 --size t=35 --size c=70 --size n=16
same convolution/h3 h3_recurrent "${one[@]}" --size t=9
same convolution/h3 h3_recurrent "${one[@]}" --size t=9 --size d=1
same convolution/h3 h3_recurrent "${one[@]}" --size t=3 --size d=16 --size n=2

# Downwards; a state that is read two steps later, with a sum over two of its dims.
cat >down.attn <<'END'
pattern down()
    over b: k[t, d], v[t, e], g[t, d] -> o[t, e], first[d, e]
    example b = 2, t = 19, d = 12, e = 9, g = uniform(-0.2, 0)
{
    S[t]  = exp(g) * S[t+1] + k * v
    o     = sum[d](k * S) + v
    first = S[0]
}
END
cat >several.attn <<'END'
pattern several()
    over b: k[t, d], m[t, a], v[t, e] -> o[t, e]
    example b = 2, t = 19, d = 12, a = 3, e = 9, k = normal(0, 0.3), m = normal(0, 0.3)
{
    S[t] = 0.5 * S[t-1] - 0.2 * S[t-2] + k * m * v
    o    = sum[d, a](k * m * S) + sum[d](k * S[t = t - 1, a = 0])
}
END
for file in down several; do
    runs 'threads for the rows' $file $file
    for dtype in f32 f16; do same $file $file --dtype $dtype; done
done
