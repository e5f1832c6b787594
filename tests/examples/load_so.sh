#!/bin/bash
# A compiled pattern on the tensors of a real model equals what the model computed.
set -eu
folder=$(mktemp -d "$ATTN_BUILD/example-XXXXXX")
trap 'rm -rf "$folder"' EXIT
data=$ATTN_SOURCE/examples/data/minilm

"$ATTNC" compile "$ATTN_SOURCE/patterns/score/full.attn" -o "$folder/full.so"
"$ATTN_BUILD/examples/load_so" "$folder/full.so" q="$data/q.npy" k="$data/k.npy" v="$data/v.npy" o="$data/o.npy"

# Wrong arguments are refused, with the tensor's name.
if text=$("$ATTN_BUILD/examples/load_so" "$folder/full.so" q="$data/q.npy" k="$data/k.npy" 2>&1); then exit 1; fi
case $text in *"v: no file given"*) ;; *) echo "$text"; exit 1 ;; esac
