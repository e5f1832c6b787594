#!/bin/bash
# Warnings: the library and the examples have none; -Werror makes errors of them, -w silences them, and only the
# commands that look at a source alone tell them.
set -euo pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
fail() { echo "warnings.sh: $1" >&2; exit 1; }

mapfile -t files < <(find "$ATTN_SOURCE/patterns" "$ATTN_SOURCE/examples" -name '*.attn')
[ "${#files[@]}" -gt 60 ] || fail "where is the library?"
"$ATTNC" check -Werror "${files[@]}" 2>out || { cat out; fail "the library has warnings"; }
[ ! -s out ] || { cat out; fail "the library is not silent"; }

cat >a.attn <<'TEXT'
pattern a(_old: int = 1, unused: int = 2)
    over b: x[t] -> y[t]
    example t = 4
{
    y = if t >= 0 then x else 0
}
TEXT
"$ATTNC" check --diagnostics=lines a.attn 2>out || fail "a warning is an error"
[ "$(grep -c 'warning\[W' out)" = 2 ] || { cat out; fail "two warnings"; }
grep -q '^a.attn:1:26: warning\[W002\]: parameter `unused` has no effect$' out || fail "W002"
grep -q '^a.attn:5:12: warning\[W005\]: the condition `t >= 0` always holds$' out || fail "W005"
"$ATTNC" compile a.attn -o a.so 2>out || fail "compile"
grep -q 'warning\[W002\]' out || fail "compile does not warn"
for option in -Werror --warnings-as-errors; do
    if "$ATTNC" check $option --diagnostics=lines a.attn 2>out; then fail "$option is no error"; fi
    grep -q 'error\[W002\]' out || fail "$option"
done
if "$ATTNC" compile -Werror a.attn -o b.so 2>out; then fail "compile -Werror"; fi
[ ! -e b.so ] || fail "compile -Werror left a file"
"$ATTNC" check -w a.attn 2>out && [ ! -s out ] || fail "-w"
"$ATTNC" list a.attn 2>out >/dev/null && [ ! -s out ] || fail "list warns"
"$ATTNC" check -D unused=3 --diagnostics=lines a.attn 2>out
! grep -q W005 out || fail "with -D a condition is not asked"
