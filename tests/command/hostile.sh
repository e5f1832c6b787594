#!/bin/bash
# Hostile input ends in a clear error, or is dealt with, in 2 s of processor time and 1 GB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

complain() {
    echo "FAIL: $*"
    head -c 300 out
    failed=1
}

# limited COMMAND...: its exit code; one of three attempts has to end in time, for the pages of a busy machine cost more.
# Sanitizers take more of everything.
limited() {
    local code attempt
    for attempt in 1 2 3; do
        code=0
        (
            if [ -z "${ATTN_SANITIZE:-}" ]; then ulimit -t 2 -v 1048576; fi
            exec timeout 60 "$ATTNC" "$@"
        ) >out 2>&1 </dev/null || code=$?
        [ $code = 137 ] || break
    done
    return $code
}

# expect TEXT COMMAND...: exit code 1, and TEXT in the first line.
expect() {
    local text=$1 code=0
    shift
    limited "$@" || code=$?
    if [ $code != 1 ] || [[ $(head -n 1 out | tr -d '\0') != *"$text"* ]]; then
        complain "attnc $*: exit code $code, expected '$text'"
    fi
}

"$PYTHON" "$ATTN_SOURCE/tests/command/hostile_texts.py" . >list
[ "$(wc -l <list)" -gt 50 ] || complain "only $(wc -l <list) texts"
while read -r file text; do
    if [ -n "$text" ]; then
        expect "$text" check -w "$file"
    else
        limited check -w "$file" || complain "attnc check $file: exit code $?"
    fi
done <list
for file in large_comments dense_names many_patterns; do
    limited fmt --check $file.attn || [ $? = 1 ] || complain "fmt $file"
    if [ "$(wc -l <out)" -gt 1 ]; then complain "fmt $file"; fi
done
expect "the layout of this file takes more than 16 MiB" fmt dense_layout.attn
limited check -w many_same.attn || true
grep -q "E010.*more than 1000 messages; the others are left out" out || complain "many messages"
for emit in tokens ast; do
    limited compile -w --emit=$emit many_equations.attn || complain "--emit=$emit"
done
for file in loop /dev/full /dev/zero; do expect " " check $file; done

# Sizes.
window=$ATTN_SOURCE/patterns/window/sliding_window.attn
huge=4611686018427387904
for sizes in "--size i=$huge --size j=$huge" "--size b=$huge --size d=$huge" "--size i=9223372036854775807" \
    "--size i=2147483648"; do
    for command in run "run --backend loops" "run --backend interpreter" explain bench show "show --html x.html"; do
        expect "too large" $command $sizes "$window"
    done
done
expect "expected INDEX=N" run --size i=9223372036854775808 "$window"
expect "is negative" run --size i=-1 "$window"
limited run -D window=9223372036854775807 "$window" || complain "the largest window"
limited run -D window=-9223372036854775808 "$window" || complain "the smallest window"
expect "E508" run -D window=9223372036854775808 "$window"
limited compile --size i=$huge --size j=$huge -o x.so "$window" || complain "code for huge extents"
for value in $huge 9223372036854775807 -1; do
    printf 'pattern p()\n    q[i] -> o[i]\n    example i = %s\n{\n    o = q\n}\n' "$value" >sizes.attn
    expect "the example's size of 'i' cannot be used" run sizes.attn
done
printf 'pattern p()\n    q[i] -> o[i]\n    example i = 2\n{\n    index z: size(i) * %s\n    o = q + sum[z](1)\n}\n' $huge >sizes.attn
for backend in cpu loops interpreter; do expect "does not hold" run --backend $backend sizes.attn; done
for pattern in window/sliding_window score/full; do
    limited explain --size i=2147483647 --size j=2147483647 "$ATTN_SOURCE/patterns/$pattern.attn" ||
        complain "explain of 2**31 x 2**31 ($pattern)"
done
printf 'pattern p(n: int)\n    q[i] -> o[i]\n    example i = 2, n = 2\n{\n    index z: n * n * n\n    o = q + sum[z](1)\n}\n' >cube.attn
expect "E122" check -D n=3000000 cube.attn
expect "E122" run -D n=3000000 cube.attn
exit $failed
