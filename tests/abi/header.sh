#!/bin/sh
# attn.h stands alone, in C11 and in C++, and the shared library exports what it declares and nothing else.
set -eu
cd "$ATTN_BUILD"
echo '#include "attn.h"' | $CC -std=c11 -pedantic -Wall -Wextra -Werror -I"$ATTN_SOURCE/runtime" -fsyntax-only -x c -
if command -v c++ >/dev/null; then
    echo '#include "attn.h"' | c++ -std=c++11 -pedantic -Wall -Wextra -Werror -I"$ATTN_SOURCE/runtime" \
        -fsyntax-only -x c++ -
fi
declared=$(sed -n 's/^ATTN_API.*[ *]\(attn_[a-z_]*\)(.*/\1/p' "$ATTN_SOURCE/runtime/attn.h" | sort)
exported=$(nm -D --defined-only lib/libattn.so | awk '{ print $3 }' | sort)
[ "$declared" = "$exported" ] || { echo "declared:" $declared; echo "exported:" $exported; exit 1; }
