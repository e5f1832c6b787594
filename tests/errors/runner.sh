#!/bin/sh
# The runner of text-file tests itself: it sees what is wrong, mends it when told to, and misses no code.
set -eu
test=${ATTN_TEST:?}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "runner.sh: $1" >&2; exit 1; }

mkdir "$dir/errors"
file=$dir/errors/syntax-a.attn
printf 'fn f(x) = x +\n#! E001 1:13 another text\n' > "$file"
"$test" "$dir/errors" > "$dir/out" && fail "a wrong expectation passes"
grep -q '^  - #! E001 1:13 another text$' "$dir/out" || fail "the diff lacks the expected line"
grep -q '^  + #! E001 1:14 expected an expression' "$dir/out" || fail "the diff lacks the actual line"
grep -q "again: $test $file" "$dir/out" || fail "no command to run it again"
"$test" --update "$file" > /dev/null || fail "--update fails"
"$test" "$file" > /dev/null || fail "an updated file does not pass"

printf 'fn f(x) = x +\n' > "$file"
"$test" "$file" > /dev/null && fail "a missing expectation passes"
printf 'fn f(x) = x\n#! E001 1:1 gone\n' > "$file"
"$test" "$file" > /dev/null && fail "an error that is gone passes"
printf '#! mode tokens\n' > "$dir/b.attn"
"$test" --update "$dir/b.attn" > /dev/null
grep -q '^#! mode tokens$' "$dir/b.attn" || fail "--update loses directives"
"$test" --codes "$dir/errors" > "$dir/out" && fail "missing codes pass"
grep -q 'no test expects E004' "$dir/out" || fail "a code without test is not named"
code=0
"$test" > /dev/null 2>&1 || code=$?
[ $code = 2 ] || fail "usage exits with $code"
