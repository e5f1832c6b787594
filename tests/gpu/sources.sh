#!/bin/bash
# The CUDA C of some patterns, as it should read: sources/PATTERN.cu. After a change that is meant:
#     ATTN_UPDATE=1 ctest -R gpu/sources.sh
set -euo pipefail
cd "$ATTN_SOURCE"
failed=0

# reads FILE PATTERN NAME OPTIONS...
reads() {
    local golden=tests/gpu/sources/$3.cu command=("$ATTNC" compile "patterns/$1.attn" -p "$2" --emit=cuda "${@:4}")
    [ -z "${ATTN_UPDATE:-}" ] || "${command[@]}" >"$golden"
    "${command[@]}" | diff -u "$golden" - || failed=1
}

reads mask/causal causal_attention causal_attention
reads mask/causal causal_attention causal_attention_tiles --target cuda --dtype f16 --size d=64 --size e=64
reads mask/causal causal_attention causal_attention_f32 --target cuda --dtype f32 --size d=64 --size e=64
reads recurrence/gated_delta gated_delta gated_delta
reads recurrence/gated_delta gated_delta gated_delta_rows --target cuda --size d=64 --size e=64
reads cache/paged paged paged

# As docs/gpu.md has it.
"$ATTNC" compile patterns/mask/causal.attn --emit=loops --target cuda | grep -q 'phase 0: pairwise o, tasks \[b, h, i\]'
exit "$failed"
