#!/bin/bash
# Accuracy of f32 against the interpreter (docs/numerics.md): large logits, poison in hidden keys and values, rows that see
# nothing; and the same bits for any number of threads.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=$ATTN_SOURCE/bench/cases

inputs() { # of logits up to about +-$1; the last $2 keys and values are NaN and infinite
    "$PYTHON" - "$work" "$1" "$2" <<'PYTHON'
import sys, numpy as np
folder, logit, poison = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(1)
q, k, v = (rng.uniform(-1, 1, (1, 2, 300, 64)).astype("f4") for _ in range(3))
q *= logit / np.abs(np.einsum("bhid,bhjd->bhij", q, k) / 8).max()
if poison:
    k[:, :, -poison:], v[:, :, -poison:], v[:, :, -1] = np.nan, np.inf, np.nan
for name, x in (("q", q), ("k", k), ("v", v)):
    np.save(f"{folder}/{name}.npy", x)
PYTHON
}

run() { # CASE arguments: prints the relative RMS error
    local case=$1
    shift
    "$ATTNC" run "$cases/$case.attn" -i q="$work/q.npy" -i k="$work/k.npy" -i v="$work/v.npy" --check "$@" >"$work/out"
    sed -n 's/.*relative RMS error \([^,]*\),.*/\1/p' "$work/out"
}

at_most() { "$PYTHON" -c 'import sys; assert float(sys.argv[1]) <= float(sys.argv[2]), sys.argv' "$1" "$2"; }

for case in dense causal window256 sigmoid soft_cap; do
    inputs 20 0
    at_most "$(run $case)" 2e-6
    inputs 80 0
    at_most "$(run $case || true)" 5e-6
done

# Queries before the last keys: what these hold must not be seen. Causal over the first 290 queries.
inputs 20 10
"$PYTHON" - "$work" <<'PYTHON'
import sys, numpy as np
np.save(f"{sys.argv[1]}/q.npy", np.load(f"{sys.argv[1]}/q.npy")[:, :, :290])
PYTHON
for case in causal window256; do
    at_most "$(run $case -o o="$work/o.npy")" 2e-6
    "$PYTHON" -c 'import sys, numpy as np; assert np.isfinite(np.load(sys.argv[1])).all()' "$work/o.npy"
done

inputs 20 0
for case in dense causal window256; do
    "$ATTNC" run "$cases/$case.attn" --size i=700 --size j=700 --threads 1 -o o="$work/one.npy" >/dev/null
    "$ATTNC" run "$cases/$case.attn" --size i=700 --size j=700 --threads 2 -o o="$work/two.npy" >/dev/null
    cmp "$work/one.npy" "$work/two.npy"
    "$ATTNC" run "$cases/$case.attn" --size i=1 --size j=700 --threads 1 -o o="$work/one.npy" >/dev/null
    "$ATTNC" run "$cases/$case.attn" --size i=1 --size j=700 --threads 2 -o o="$work/two.npy" >/dev/null
    cmp "$work/one.npy" "$work/two.npy"
done
