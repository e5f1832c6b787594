#!/bin/bash
# Completions: bash's are asked, as bash does on Tab; zsh's and fish's are read by these shells, where there are any.
set -euo pipefail

work=$ATTN_BUILD/command-completion
rm -rf "$work"
mkdir -p "$work/folder"
cd "$work"
cp "$ATTN_SOURCE"/patterns/cache/duo.attn "$ATTN_SOURCE"/patterns/window/sliding_window.attn .
touch notes.txt data.npy "with space.attn"
for shell in bash zsh fish; do
    "$ATTNC" help --completion $shell >"attnc.$shell"
    cmp "attnc.$shell" "$ATTN_BUILD/share/completions/attnc.$shell"
    if command -v $shell >/dev/null; then $shell -n "attnc.$shell"; fi
done
source ./attnc.bash
failed=0

# answers WORD...: what bash is told for the last word, sorted; `=` is a word of its own, as Readline has it.
answers() {
    COMP_WORDS=("$ATTNC" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _attnc || true
    printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' '
}

# expect EXPECTED WORD...: these answers exactly.
expect() {
    local expected=$1 got
    shift
    got=$(answers "$@")
    if [ "$got" != "$expected " ] && [ "$got" != "$expected" ]; then
        echo "FAIL: attnc $*: '$got' instead of '$expected'"
        failed=1
    fi
}

expect "check compile" c
expect "--help --version bench check compile explain fmt help list lsp run show" ""
expect "--version" --v
expect "--debug --define --diagnostics --dtype --dump-after" compile --d
expect "duo duo_identify" run duo.attn -p ""
expect "duo_identify" run duo.attn --pattern duo_
expect "duo_identify" run duo.attn --pattern = duo_
expect "recent= sinks=" show duo.attn -D ""
expect "window=" explain sliding_window.attn -D ""
expect "b= d= e= h= i= j=" run sliding_window.attn --size ""
expect "k= q= v=" run sliding_window.attn -i ""
expect "o=" run sliding_window.attn -o ""
expect "data.npy" run sliding_window.attn -i q = da
expect "cpu cuda" run sliding_window.attn --target ""
expect "cuda" compile sliding_window.attn --target = cu
expect "bf16 f16 f32 f64 tf32" compile sliding_window.attn --dtype ""
expect "carets json lines" check --diagnostics ""
expect "indices inputs outputs parameters patterns" list duo.attn --names ""
expect "bash fish zsh" help --completion ""
expect "explain" help e
expect "folder" check -I f
expect "duo.attn folder sliding_window.attn with space.attn" check ""
expect "sliding_window.attn" check s
expect "compile" bench c
expect "" lsp ""
expect "" run sliding_window.attn --threads ""
expect "" run absent.attn -p ""
expect "--check --diagnostics --help --in-place -h -i" fmt -
expect "--check" fmt --c

# What the program knows and nothing else: every option of every help text, in all three.
for command in $("$ATTNC" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | sort -u | grep -v attnc); do
    for option in $("$ATTNC" help $command | grep -oE '^  (-[a-zA-Z], )?--?[a-zA-Z-]+' | tr ',' ' '); do
        [[ " $(answers $command "$option") " == *" $option "* ]] || { echo "FAIL: $command $option in bash"; failed=1; }
        grep -qF -- "'*$option[" attnc.zsh || { echo "FAIL: $command $option in zsh"; failed=1; }
        case $option in
            --*) fish="-l ${option#--}" ;;
            -?) fish="-s ${option#-}" ;;
            *) fish="-o ${option#-}" ;;
        esac
        grep -qE -- "from $command'.* $fish " attnc.fish || { echo "FAIL: $command $option in fish"; failed=1; }
    done
done
if command -v fish >/dev/null; then
    PATH=$(dirname "$ATTNC"):$PATH fish -c 'source attnc.fish; complete -C "attnc run sliding_window.attn -D "' >out
    grep -q "^window=" out || { echo "FAIL: fish does not know parameters"; failed=1; }
fi
exit $failed
