#!/bin/bash
# Runs every example of the help texts, of docs/command.md and of README.md: lines of four (help: two) spaces
# and `attnc`. In one folder, in their order, so that one may use what another made.
set -euo pipefail

work=$ATTN_BUILD/command-examples
rm -rf "$work"
mkdir -p "$work"
cp "$ATTN_SOURCE"/patterns/score/full.attn "$ATTN_SOURCE"/patterns/window/sliding_window.attn "$work"
cd "$work"

attnc() { "$ATTNC" "$@"; }

# run_examples PREFIX: the lines on stdin that begin with PREFIX and `attnc`.
run_examples() {
    local line count=0
    while IFS= read -r line; do
        [[ $line == "$1attnc "* ]] || continue
        count=$((count + 1))
        eval "$line" >out 2>err </dev/null || { echo "FAIL: $line"; cat err; exit 1; }
    done
    [ "$count" -gt 0 ] || { echo "no examples found"; exit 1; }
}

for command in "" check compile run list bench explain show fmt lsp help; do
    attnc $command --help >help.txt
    run_examples "  " <help.txt
done
for text in docs/command.md README.md; do
    run_examples "    " <"$ATTN_SOURCE/$text"
done
