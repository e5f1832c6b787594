#!/bin/bash
# The CUDA C of some patterns, as it should read: sources/PATTERN.cu. After a change that is meant:
#     ATTN_UPDATE=1 ctest -R gpu/sources.sh
set -euo pipefail
cd "$ATTN_SOURCE"
failed=0

# reads FILE PATTERN
reads() {
    local golden=tests/gpu/sources/$2.cu
    [ -z "${ATTN_UPDATE:-}" ] || "$ATTNC" compile "patterns/$1.attn" -p "$2" --emit=cuda >"$golden"
    "$ATTNC" compile "patterns/$1.attn" -p "$2" --emit=cuda | diff -u "$golden" - || failed=1
}

reads mask/causal causal_attention
reads recurrence/gated_delta gated_delta
reads cache/paged paged

# As docs/gpu.md has it.
"$ATTNC" compile patterns/mask/causal.attn --emit=loops --target cuda | grep -q 'phase 0: pairwise o, tasks \[b, h, i\]'
exit "$failed"
