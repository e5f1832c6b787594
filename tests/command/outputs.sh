#!/bin/bash
# What compile writes: .so .o .a and headers; a C program that links an object and one that links an archive.
set -euo pipefail

work=$ATTN_BUILD/command-outputs
rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp "$ATTN_SOURCE"/patterns/score/full.attn "$ATTN_SOURCE"/patterns/window/sliding_window.attn .

cat >host.c <<'HOST'
#include "window.h"

#include <stdio.h>

int main(void)
{
    static char workspace[1 << 16];
    float q[12] = {1, 0, 0, 1, 1, 1, 0, 0, 2, 0, 0, 2}, o[6];
    struct sliding_window_args args = sliding_window_defaults();
    args.size_b = args.size_h = 1;
    args.size_i = args.size_j = 6;
    args.size_d = 2;
    args.size_e = 1;
    args.window = 1;
    args.q = args.k = q;
    args.v = q + 3;
    args.o = o;
    if (sliding_window_workspace(&args) > sizeof workspace - 64) return 3;
    args.workspace = workspace + (64 - (uintptr_t)workspace % 64) % 64;
    if (sliding_window(&args)) return 1;
    for (int i = 0; i < 6; i++)
        if (o[i] != q[3 + i]) return 2; /* a window of one key: its value */
    return 0;
}
HOST

"$ATTNC" compile sliding_window.attn -o window.o --header window.h
"$CC" ${ATTN_CFLAGS:-} -std=c99 -Wall -Wextra -Werror -pedantic host.c window.o -lm -o host_o
./host_o
rm window.h
"$ATTNC" compile sliding_window.attn -o window.a --header window.h
"$CC" ${ATTN_CFLAGS:-} host.c window.a -lm -o host_a
./host_a
"$ATTNC" compile sliding_window.attn -o libwindow.so --header window.h
"$CC" ${ATTN_CFLAGS:-} host.c -L. -lwindow -Wl,-rpath,"$PWD" -lm -o host_so
./host_so
"$ATTNC" list libwindow.so | grep 'sliding_window(window: int = 256)' >/dev/null

# A header by itself, and constants of -D.
"$ATTNC" compile sliding_window.attn -o only.h
cmp only.h window.h
"$ATTNC" compile sliding_window.attn -D window=3 -o three.h
if grep -q ' window;' three.h; then echo "FAIL: a constant parameter is still an argument"; exit 1; fi

# Several variants; nothing beyond libc and libm; line tables of the source; nothing left behind.
"$ATTNC" compile full.attn --size d=8,16 --size e=8 --cpu x86-64-v3,x86-64-v4,x86-64 -g -o full.so
"$ATTNC" list full.so | grep '9 variants' >/dev/null
if ldd full.so | grep -v 'libc\.\|libm\.\|ld-linux\|vdso\|statically\|not a dynamic'; then
    echo "FAIL: it needs more than libc and libm"
    exit 1
fi
readelf --debug-dump=decodedline full.so 2>/dev/null | grep full.attn >/dev/null
if ls | grep -q tmp; then echo "FAIL: temporary files are left"; exit 1; fi
