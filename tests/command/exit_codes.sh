#!/bin/bash
# Exit codes: 0 fine, 1 the input is wrong, 2 usage; and what is said then.
set -euo pipefail

work=$ATTN_BUILD/command-exit
rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp "$ATTN_SOURCE"/patterns/window/sliding_window.attn window.attn
printf 'pattern p()\n    x[i] -> y[i]\n{\n    y = x + z\n}\n' >wrong.attn
for name in a b; do printf "pattern $name()\n    x[i] -> y[i]\n{\n    y = x\n}\n"; done >two.attn
printf 'mask causal(i, j) = j <= i\n' >masks.attn
head -c 3000 /dev/urandom >noise.attn
head -c 3000 /dev/urandom >noise.so
failed=0

# expect CODE TEXT ARGUMENTS...: TEXT must stand in what is printed (either stream).
expect() {
    local code=$1 text=$2 got=0
    shift 2
    "$ATTNC" "$@" >out 2>&1 </dev/null || got=$?
    if [ "$got" != "$code" ] || [[ $(tr -d '\0' <out) != *"$text"* ]]; then
        echo "FAIL: attnc $*: exit code $got instead of $code, or no '$text' in:"
        head -5 out
        failed=1
    fi
}

expect 2 "which command" # nothing
expect 2 "unknown command 'frobnicate'" frobnicate
expect 0 "usage: attnc COMMAND" --help
expect 0 "attnc 0" --version
expect 2 "check needs a file" check
expect 2 "unknown option --frob" check --frob window.attn
expect 2 "check has no option --output" check window.attn -o x
expect 2 "needs a value" check window.attn -p
expect 2 "takes no value" run window.attn --check=yes
expect 2 "takes one file" run window.attn two.attn
expect 2 "expected one of f32 f64 f16 bf16" run window.attn --dtype f17
expect 2 "--dtype f16 is for --target cuda" run window.attn --dtype f16
expect 2 "expected one of cpu cuda" run window.attn --target gpu
expect 2 "--arch is for --target cuda" run window.attn --arch sm_80
expect 2 "--cpu is for --target cpu" run window.attn --target cuda --cpu x86-64
expect 2 "--backend cpu is for --target cpu" run window.attn --target cuda --backend cpu
expect 2 "expected a number from 1" run window.attn --threads 0
expect 2 "say where to write" compile window.attn
expect 2 "--emit=obj needs -o" compile window.attn --emit=obj
expect 2 "suffix" compile window.attn -o window.xyz
expect 2 "-o once" compile window.attn -o a.so -o b.so
expect 2 "attnc bench FILE, or bench compile" bench
expect 2 "explain needs a file" explain
expect 2 "fmt needs a file" fmt
expect 2 "fmt has no option --input" fmt --input x=y window.attn
expect 2 "run has no option --in-place" run --in-place window.attn
expect 2 "lsp takes no files" lsp window.attn
expect 2 "takes one file" explain window.attn two.attn
expect 2 "explain has no option --output" explain window.attn -o x
expect 2 "expected a number from 1" bench window.attn --threads 0
expect 2 "show needs a file" show
expect 2 "takes one file" show window.attn two.attn
expect 2 "show has no option --threads" show window.attn --threads 2
expect 2 "the suffix must be .png or .svg" show window.attn -o x.jpg
expect 2 "one of -o, --html and --json" show window.attn -o x.png --json
expect 1 "choose one by -p" explain two.attn
expect 1 "choose one by -p" bench two.attn
expect 1 "no tensor with an index 'z'" explain window.attn --size z=4
expect 1 "no tensor with an index 'z'" bench window.attn --size z=4
expect 1 "cannot read" explain absent.attn
expect 1 "error[" explain wrong.attn
expect 1 "error[" bench wrong.attn
expect 1 "choose one by -p" show two.attn
expect 1 "no tensor with an index 'z'" show window.attn --size z=4
expect 1 "cannot read" show absent.attn
expect 1 "error[" show wrong.attn
expect 1 "cannot read x.npy" show window.attn -i q=x.npy
expect 1 "the sums over keys are o" show window.attn --stage z
expect 1 "h = 2 is not in 0..2" show window.attn --head 2
expect 1 "--head x: expected a number" show window.attn --head x
expect 1 "no such ambient index" show window.attn --at i=1
expect 1 "expected INDEX=N" show window.attn --at b
expect 1 "expected 1 number with" show window.attn --query 1,2
expect 1 "i = 64 is not in 0..64" show window.attn --query 64
expect 1 "cannot write" show window.attn -o /nonexistent/x.png
expect 1 "cannot write" show window.attn --html /nonexistent/x.html
expect 1 "no parameter 'z'" show window.attn --html x.html -D z=1
expect 1 "does not hold" show "$ATTN_SOURCE/patterns/cache/paged.attn" --size slot=9
expect 1 "smaller sizes" show window.attn --size i=100000000 --size j=100000000
expect 0 "has no sum over keys, so no mask" show two.attn -p a
expect 1 "has no sum over keys, so no mask" show two.attn -p a -o x.png
expect 0 "no mask: every query sees every key" show "$ATTN_SOURCE/patterns/score/full.attn"
expect 0 "0 x 64, 0 visible" show window.attn --size i=0
expect 0 "all: pairs visible 40 of 64" show window.attn --size i=4 --size j=4
expect 0 "pairs visible 10  visited" explain window.attn --size i=4 --size j=4 --size h=1 --size b=1
expect 0 "" check window.attn
expect 0 "" check window.attn two.attn masks.attn
expect 0 "" check -- window.attn
expect 1 "error[" check wrong.attn
expect 1 "wrong.attn:4:" check --diagnostics=lines wrong.attn
expect 1 "wrong.attn:4:" check --diagnostics lines window.attn wrong.attn two.attn
expect 1 "error[" check noise.attn
expect 1 "cannot read" check absent.attn
expect 1 "cannot read" check .
expect 1 "no pattern 'none'; it has a, b" check two.attn -p none
expect 1 "no pattern has such a parameter" check window.attn -D frob=1
expect 1 "expected NAME=VALUE" check window.attn -D window
expect 1 "" check window.attn -D window=much
expect 1 "has no pattern to compile" compile masks.attn -o masks.so
expect 1 "cannot write" compile window.attn --emit=ast -o /nonexistent/x
expect 1 "unknown CPU" compile window.attn --cpu pdp11 -o x.so
expect 1 "no tensor has an index" compile window.attn --size z=4 -o x.so
expect 1 "expected INDEX=N" compile window.attn --size d=x -o x.so
expect 1 "more than" compile window.attn --size "d=$(seq -s, 1 300)" -o x.so
expect 1 "" compile window.attn -o /nonexistent/x.so
expect 1 "choose one by -p" run two.attn
expect 1 "no tensor with an index 'z'" run window.attn --size z=4
expect 1 "is negative" run window.attn --size i=-4
expect 1 "no input 'z'" run window.attn -i z=x.npy
expect 1 "cannot read x.npy" run window.attn -i q=x.npy
expect 1 "no output 'z'" run window.attn -o z=x.npy
expect 1 "it is no .npy file" run window.attn -i q=noise.so
expect 1 "does not hold" run "$ATTN_SOURCE/patterns/cache/paged.attn" --size slot=9
expect 0 "relative RMS" run window.attn --size i=4 --size j=9 --check
expect 1 "noise.so" list noise.so
expect 1 "absent.so: No such file" list absent.so
expect 0 "sliding_window(window: int = 256)" list window.attn
expect 0 "window: int is 7" list window.attn -D window=7
rm -f out
if "$ATTNC" list window.attn >/dev/full 2>/dev/null; then
    echo "FAIL: a full disk goes unnoticed"
    failed=1
fi
exit $failed
