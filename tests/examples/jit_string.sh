#!/bin/bash
# Compiled as the program runs; the second time from the cache, where no compiler is needed in memory.
set -eu
folder=$(mktemp -d "$ATTN_BUILD/example-XXXXXX")
trap 'rm -rf "$folder"' EXIT
export XDG_CACHE_HOME=$folder

first=$("$ATTN_BUILD/examples/jit_string")
second=$(LD_DEBUG=libs LD_DEBUG_OUTPUT="$folder/libs" "$ATTN_BUILD/examples/jit_string")
echo "$first"
echo "$second"
case $first in compiled*) ;; *) exit 1 ;; esac
case $second in "from the cache"*) ;; *) exit 1 ;; esac
if cat "$folder"/libs.* | grep -q 'libLLVM\|libattn_jit'; then
    echo "the compiler was opened for a cached pattern"
    exit 1
fi
