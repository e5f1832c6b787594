#!/bin/bash
# Every example of docs/language.md: checked, run by the interpreter, and as loops and machine code compared with it,
# in f32 and f64. An example that is no pattern (masks alone) is checked.
set -uo pipefail
source=${ATTN_SOURCE:-$(dirname "$0")/../..}
attnc=${ATTNC:?}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
awk -v to="$folder" '/^```attn$/ { n++; file = sprintf("%s/%02d.attn", to, n); next }
                     /^```/ { file = "" } file { print > file }' "$source/docs/language.md"
examples=0 failed=0

# try FILE ARGUMENTS...: a command that must succeed.
try() {
    if output=$("$attnc" "$@" 2>&1); then return 0; fi
    echo "attnc $*: $output"
    failed=$((failed + 1))
}

for file in "$folder"/*.attn; do
    examples=$((examples + 1))
    try check "$file"
    try fmt --check "$file"
    for pattern in $(sed -n 's/^pattern \([a-z0-9_]*\).*/\1/p' "$file"); do
        try run "$file" -p "$pattern" --backend interpreter
        for type in f32 f64; do
            try run "$file" -p "$pattern" --backend loops --dtype $type --check
            try run "$file" -p "$pattern" --backend cpu --dtype $type --check --threads 2
        done
    done
done
echo "$examples examples, $failed failures"
[ "$failed" = 0 ] && [ "$examples" -ge 17 ]
