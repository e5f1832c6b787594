#!/bin/bash
# What cannot be written is not half written: a limit on the size of files, then a disk that is full. The file that was
# there stays, nothing else is left, and the error names the file and the reason.
set -euo pipefail
work=$(mktemp -d)
disk=$work/disk
export XDG_CACHE_HOME=$work/cache
trap 'umount "$disk" 2>/dev/null || true; rm -rf "$work"' EXIT
failed=0

complain() {
    echo "FAIL: $*"
    head -c 500 "$work/out"
    failed=1
}

# fill FOLDER: what was there before.
fill() {
    mkdir -p "$1"
    {
        cat "$ATTN_SOURCE/patterns/window/sliding_window.attn"
        for ((k = 0; k < 100; k++)); do echo "fn  unused$k( x )=x"; done
    } >"$1/window.attn"
    echo before >"$1/there"
}

# attempt NAME FOLDER COMMAND...: it fails, and tells why; FOLDER looks as it did.
attempt() {
    local name=$1 folder=$2 before code=0
    shift 2
    before=$(cd "$folder" && ls -A && md5sum -- *)
    (cd "$folder" && trap '' XFSZ && ulimit -f "$limit" && "$ATTNC" "$@") >"$work/out" 2>&1 || code=$?
    [ $code = 1 ] || complain "attnc $* ($kind): exit code $code"
    grep -q "$name" "$work/out" || complain "attnc $* ($kind): no word of $name"
    grep -q "$reason" "$work/out" || complain "attnc $* ($kind): no reason"
    [ "$before" = "$(cd "$folder" && ls -A && md5sum -- *)" ] || complain "attnc $* ($kind): $(ls -A "$folder")"
}

# attempts FOLDER: every command that writes.
attempts() {
    local suffix
    for suffix in so o a h ll s; do
        attempt "x.$suffix" "$1" compile -w window.attn -o x.$suffix
        ln "$1/there" "$1/x.$suffix"
        attempt "x.$suffix" "$1" compile -w window.attn -o x.$suffix
        rm "$1/x.$suffix"
    done
    attempt x.h "$1" compile -w window.attn --header x.h
    attempt there "$1" compile -w window.attn --emit=loops -o there
    attempt window.attn "$1" fmt -i window.attn
    attempt x.png "$1" show window.attn --size i=512 --size j=512 -o x.png
    attempt x.svg "$1" show window.attn -o x.svg
    attempt x.html "$1" show window.attn --html x.html
    attempt x.npy "$1" run window.attn --backend loops -o o=x.npy
}

kind="limited size" limit=1 reason="File too large"
fill "$work/folder"
attempts "$work/folder"
# The cache is a folder like others: the run fails, nothing is left, and then it works.
reason=""
attempt "" "$work/folder" run window.attn
[ -z "$(ls -A "$work/cache/attnc")" ] || complain "the cache: $(ls "$work/cache/attnc")"
(cd "$work/folder" && "$ATTNC" run window.attn) >"$work/out" 2>&1 || complain "run after a failure"

kind="full disk" limit=unlimited reason="No space left"
mkdir "$disk"
if mount -t tmpfs -o size=64k none "$disk" 2>/dev/null; then
    fill "$disk"
    head -c 1M /dev/zero >"$disk/filler" 2>/dev/null || true
    attempts "$disk"
    rm "$disk/filler"
    head -c 40k /dev/zero >"$disk/filler"
    export XDG_CACHE_HOME=$disk    # room for the beginning of a module
    (cd "$work/folder" && "$ATTNC" run window.attn) >"$work/out" 2>&1 || [ $? = 1 ] || complain "run with a full cache"
    [ -z "$(find "$disk/attnc" -name 'tmp-*')" ] || complain "the full cache: $(ls "$disk/attnc")"
else
    echo "no tmpfs: the disk is not filled"
fi
exit $failed
