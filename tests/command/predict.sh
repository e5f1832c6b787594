#!/bin/bash
# Predicted times against measured ones. No other test runs beside it; as other work on the machine may slow it
# down, there are three attempts.
set -euo pipefail

[ "${ATTN_SANITIZE:-0}" = 0 ] || exit 77 # times mean nothing there
attempt() { "$PYTHON" "$ATTN_SOURCE/scripts/fit_cost.py" "$ATTNC" --check --quick; }
attempt || attempt || attempt
