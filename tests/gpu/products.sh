#!/bin/bash
# Kernels for sums of products: which stages have them; results at sizes around those of tiles, sides in all layouts, computed,
# gathered, with conditions and several summed indices. Skipped where there is no NVRTC.
set -euo pipefail
work=$ATTN_BUILD/gpu-products
rm -rf "$work"
mkdir -p "$work"
cd "$work"

cat >layouts.attn <<'END'
# Rows (columns) with the summed index last, or first.
pattern layouts()
    over b: x[i, c], xt[c, i], w[c, e], wt[e, c] -> nn[i, e], nt[i, e], tn[i, e], tt[i, e]
    example i = 2048, c = 512, e = 512
{
    nn = sum[c](x * w)
    nt = sum[c](x * wt) * 0.5 + x[i, 0]
    tn = sum[c](xt * w)
    tt = sum[c](xt * wt)
}
END
cat >sides.attn <<'END'
# Sides that are computed, gathered or hidden, and several summed indices.
pattern sides()
    over b: x[i, c], w[c, e], v[i, e], s[c], z[i], u[h, i, c], t[h, c, e], pick: int[i] in 0..size(i),
        at: int[c] in 0..size(c)
        -> relu[i, e], scaled[i, e], rows[i, e], some[i, e], two[i, e], weights[i, e], gram[c, e]
    example i = 70, c = 90, e = 66, h = 3
{
    relu = sum[c](max(x, 0) * w)
    scaled = sum[c](x * s * w / (1 + z * z))
    rows = sum[c](x[pick[i], c] * w[at[c], e])
    some = sum[c](x * w where c % 3 != 1)
    two = sum[h, c](u * t)
    weights = sum[c](exp(x - 1) * w)
    gram = sum[i](x[i, c] * v[i, e])
}
END

if ! "$ATTNC" compile layouts.attn --target cuda --emit=ptx >full.ptx 2>out; then
    cat out
    grep -q NVRTC out && exit 77
    exit 1
fi

# counts NUMBER TEXT FILE OPTIONS...: so many kernels say so.
counts() {
    local number=$1 text=$2 file=$3
    shift 3
    "$ATTNC" compile "$file.attn" --emit=cuda --target cuda "$@" >out
    [ "$(grep -c "^// .*$text" out)" = "$number" ] && return
    echo "FAIL: not $number times '$text' in $file $*"
    grep '^// [a-z]* [a-z.0-9]*:' out
    exit 1
}
counts 4 'products at a time on tensor cores; a block' layouts --dtype f16
counts 4 '64 i x 128 e, 32 products at a time; a block' layouts --dtype f32 --tile 64x128
counts 4 '128 i x 64 e, 64 products at a time on tensor cores' layouts --dtype bf16 --tile 128x64
counts 4 '64 i x 64 e, 32 products at a time; a block' layouts --dtype f32 --tile 64x64
counts 7 'products at a time' sides --dtype f32
counts 5 'products at a time on tensor cores' sides --dtype f16

# same FILE OPTIONS...: the device's result is that of the interpreter.
same() {
    local file=$1
    shift
    if ! "$ATTN_SOURCE/tests/gpu/on_device" "$ATTNC" run "$file.attn" --target cuda --check "$@" >out 2>&1; then
        echo "FAIL: attnc run $file $*:"
        cat out
        exit 1
    fi
}
for shape in "f16 2 70 100 50" "f32 1 70 100 130" "f16 1 130 64 144" "f32 1 1 9 8" "bf16 1 65 72 40"; do
    read -r dtype b i c e <<<"$shape"
    same layouts --dtype "$dtype" --size b="$b" --size i="$i" --size c="$c" --size e="$e"
done
same sides --dtype f16
same sides --dtype f32
