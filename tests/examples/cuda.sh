#!/bin/bash
# Tensors on a device, with a stream and a workspace of the caller's. Skipped where there is no driver or no NVRTC.
set -eu
out=$("$ATTN_SOURCE/tests/gpu/on_device" "$ATTN_BUILD/examples/cuda" 2>&1) && { echo "$out"; exit 0; }
echo "$out"
case $out in "no CUDA driver: "* | *"NVRTC"*) exit 77 ;; esac
exit 1
