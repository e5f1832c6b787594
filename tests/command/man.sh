#!/bin/bash
# Manual pages: one a command, made of the texts of --help, without warnings of mandoc or man.
set -euo pipefail

pages=$ATTN_BUILD/share/man/man1
failed=0
fail() { echo "FAIL: $*"; failed=1; }

lint() {
    if command -v mandoc >/dev/null; then mandoc -T lint -W warning "$1"; return; fi
    [ -z "$(man --warnings -E UTF-8 -l "$1" 2>&1 >/dev/null || true)" ]
}

# Words alone: without roff, as one line.
words() { sed 's/\\f[BIR]//g; s/\\-/-/g; s/\\&//g; s/\\e/\\/g; /^\.[A-Z][A-Z]* *$/d; s/^\.[A-Z][A-Z]* //' | tr -s ' \n`' ' '; }

commands=$("$ATTNC" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -v attnc | sort -u)
for command in $commands; do
    page=$pages/attnc-$command.1
    lint "$page" || fail "$page"
    cmp <("$ATTNC" help --man "$command") "$page" || fail "$page is not what attnc prints"
    cmp <("$ATTNC" help "$command") <("$ATTNC" "$command" --help) || fail "help $command"
    text=$(words <"$page")
    "$ATTNC" help "$command" | sed -n '/^options:/,/^examples:/p' | grep -oE '^  (-[a-zA-Z], )?--?[a-zA-Z-]+' |
        while read -r option; do
            [[ $text == *"$option"* ]] || fail "attnc-$command.1 lacks $option"
        done
    grep -q "attnc\\\\-$command" "$pages/attnc.1" || fail "attnc.1 lacks $command"
done
lint "$pages/attnc.1" || fail attnc.1
lint "$pages/../man5/attn.5" || fail attn.5
grep -q softmax "$pages/../man5/attn.5" || fail "attn.5 lacks functions"
[ "$(ls "$pages" | wc -l)" = $(($(wc -w <<<"$commands") + 1)) ] || fail "pages of commands that are none"
exit $failed
