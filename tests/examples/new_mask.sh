#!/bin/bash
# The picture of the mask that the example defines.
set -eu
"$ATTN_BUILD/examples/new_mask" | tee /dev/stderr | awk '
    { for (j = 0; j < 32; j++) {
        i = NR - 1
        want = j <= i && (i - j < 2 || j % 8 == 0 || j < 2) ? "#" : "."
        if (substr($0, j + 1, 1) != want) { print "row " i ", column " j; bad = 1; exit 1 }
    } }
    END { exit bad || NR != 32 }'
