#!/bin/bash
# Snapshots and Chrome traces as Python reads them: see written_traces.py. TAP.
#
# usage: test_written_traces.sh [PROGRAM]    (default: $OUT/vramscope)
# VS_PYTHON is a Python; with torch its viewers are asked too.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=$(realpath "${1:-${OUT:-build}/vramscope}")
python=${VS_PYTHON:-python3}
if ! "$python" -c 'import pickle' 2>/dev/null; then
    echo "skipped: no $python (VS_PYTHON names another one)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work
unset XDG_CONFIG_HOME
"$python" tests/tools/written_traces.py "$program" "$work"
