#!/bin/bash
# One cache: compiles that are killed at any moment leave it usable, and two at once give the same, 200 times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache OMP_NUM_THREADS=1
cd "$work"
times=200 kills=20
if [ -n "${ATTN_SANITIZE:-}" ]; then times=10 kills=5; fi
printf 'pattern scaled(n: int = 1)\n    x[i] -> y[i]\n    example i = 5\n{\n    y = x * n\n}\n' >scaled.attn

die() {
    echo "FAIL: $*"
    ls -la cache/attnc
    exit 1
}

# run N OUT: the pattern of its own for N.
run() { "$ATTNC" run scaled.attn -D "n=$1" -o "y=$2.npy" >"$2.out" 2>&1; }

start=$(date +%s%N)
run 0 first || die "a first run"
whole=$((($(date +%s%N) - start) / 1000000))
for ((k = 1; k <= kills; k++)); do
    "$ATTNC" run scaled.attn -D "n=$k" >/dev/null 2>&1 &
    sleep "$(printf '0.%03d' $((whole * k / kills % 1000)))"
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    run "$k" again || die "after a compile that was killed: $(cat again.out)"
    run "$k" once_more || die "from the cache: $(cat once_more.out)"
    cmp again.npy once_more.npy || die "$k: other numbers"
done
find cache/attnc -name 'tmp-*' -exec touch -d '2 hours ago' {} +
run $((kills + 1)) again || die "$(cat again.out)"
[ -z "$(find cache/attnc -name 'tmp-*' -mmin +60)" ] || die "old temporary files stay"

rm -rf cache
for ((k = 1; k <= times; k++)); do
    run "$k" one &
    run "$k" two || die "$k, two: $(cat two.out)"
    wait $! || die "$k, one: $(cat one.out)"
    cmp one.npy two.npy || die "$k: other numbers"
done
[ -z "$(find cache/attnc -name 'tmp-*')" ] || die "temporary files stay"
[ "$(find cache/attnc -name '*.key' | wc -l)" = "$times" ] || die "not $times entries"
echo "$kills killed, $times times two"
