#!/bin/bash
# Sources of many definitions are checked in 2 s of processor time and 1 GB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$PYTHON" - <<'END'
n = 100_000
head, tail = "pattern many()\n    over b: q[i, d] -> o[i, d]\n{\n", "    o = x0\n}\n"
open("equations.attn", "w").write(head + "".join(f"    x{k} = q + {k}\n" for k in range(n)) + tail)
open("functions.attn", "w").write("".join(f"fn f{k}(x) = x + {k}\n" for k in range(n)) + head + "    x0 = f7(q)\n" + tail)
open("same.attn", "w").write(head + "    x0 = q\n" * 20_000 + tail)
END

# limited FILE: attnc check, without the warnings of what is not used.
limited() (
    if [ -z "${ATTN_SANITIZE:-}" ]; then
        ulimit -t 2 -v 1048576
    fi
    "$ATTNC" check -w "$1" >out 2>&1
)
limited equations.attn
limited functions.attn
! limited same.attn
grep -q '`x0` is defined twice' out
