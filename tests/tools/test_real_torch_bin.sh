#!/bin/bash
# What `inspect --tensors` says of files made by the real torch.save: names, shapes and dtypes equal to what torch.load gives;
# and of pickles that would run something: an error, and nothing was run. TAP.
#
# usage: test_real_torch_bin.sh [PROGRAM]    (default: $OUT/vramscope)
# VS_PYTHON is a Python with torch; without one the test is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=$(realpath "${1:-${OUT:-build}/vramscope}")
python=${VS_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "skipped: no torch for $python (VS_PYTHON names another one)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work
unset XDG_CONFIG_HOME
"$python" tests/tools/real_torch_bin.py "$program" "$work"
