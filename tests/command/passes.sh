#!/bin/bash
# --emit, --dump-after, --time-passes: there for every pass, the same each time; and LLVM stays closed where
# no machine code is wanted.
set -euo pipefail

work=$ATTN_BUILD/command-passes
rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp "$ATTN_SOURCE"/patterns/window/sliding_window.attn "$ATTN_SOURCE"/patterns/recurrence/gated_delta.attn .

fail() { echo "FAIL: $*"; exit 1; }

for pattern in sliding_window gated_delta; do
    for what in tokens ast program graph plan loops llvm asm; do
        "$ATTNC" compile $pattern.attn --emit=$what >first
        "$ATTNC" compile $pattern.attn --emit=$what -o second
        cmp first second || fail "--emit=$what changes from run to run"
        [ -s first ] || fail "--emit=$what is empty"
    done
    "$ATTNC" compile $pattern.attn -o first.so
    "$ATTNC" compile $pattern.attn -o second.so
    cmp first.so second.so || fail "a shared object changes from run to run"
done
for pass in check graph plan loops; do
    "$ATTNC" check --dump-after $pass sliding_window.attn 2>dump
    grep -q "^--- after $pass" dump || fail "no dump after $pass"
    "$ATTNC" compile sliding_window.attn --emit=$pass 2>/dev/null >text || continue
    tail -n +2 dump | cmp - text || fail "--dump-after $pass differs from --emit=$pass"
done
"$ATTNC" compile --time-passes sliding_window.attn -o x.so 2>times
for pass in check graph plan loops code; do grep -q "ms  $pass" times || fail "no time of $pass"; done

# No LLVM for what needs none.
quiet() {
    LD_DEBUG=files "$ATTNC" "$@" >out 2>&1
    if grep -q 'libLLVM\|libattn_jit' out; then fail "attnc $* opens LLVM"; fi
}
if [ -z "${ATTN_SANITIZE:-}" ]; then
    quiet --version
    quiet check sliding_window.attn
    quiet list sliding_window.attn
    quiet list first.so
    quiet run sliding_window.attn --backend interpreter
    quiet run sliding_window.attn --backend loops --check
    for what in tokens ast program graph plan loops; do quiet compile sliding_window.attn --emit=$what; done
fi
! ldd "$ATTNC" | grep -q LLVM || fail "attnc links LLVM"
