#!/bin/bash
# A pattern as a C function: the object file, the static and the shared library, each with its header, as C and as C++.
set -eu
folder=$(mktemp -d "$ATTN_BUILD/example-XXXXXX")
trap 'rm -rf "$folder"' EXIT
pattern=$ATTN_SOURCE/patterns/window/sliding_window.attn
program=$ATTN_SOURCE/examples/direct/direct_header.c
flags="-std=c11 -Wall -Wextra -Wconversion -Werror ${ATTN_CFLAGS:-} -I$folder"

for kind in o a so; do
    "$ATTNC" compile "$pattern" -o "$folder/sliding_window.$kind" --header "$folder/sliding_window.h"
    $CC $flags "$program" "$folder/sliding_window.$kind" -lm -o "$folder/direct_$kind"
    "$folder/direct_$kind"
done
if command -v c++ > /dev/null; then
    echo '#include "sliding_window.h"' > "$folder/header.cc"
    c++ -Wall -Wextra -Werror -fsyntax-only -I"$folder" "$folder/header.cc"
fi
