#!/bin/bash
# `mkmodel` on a disk with room for some of the files only: an error that says so, and the disk is as empty as before. In a
# file system of 64 KiB of our own, which needs a user namespace. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC
OUT=$(cd "${OUT:-build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OUT work
mkdir "$work/small"
in_small_disk() {
    unshare -rm bash -c "mount -t tmpfs -o size=64k none '$work/small' && $1" 2>&1
}
if ! in_small_disk true >/dev/null 2>&1; then
    echo "skipped: this system lets us mount no file system of our own (unshare -rm)"
    exit 77
fi

said=$(in_small_disk '"$OUT/vramscope" mkmodel mixtral-8x7b -o "$work/small/a/d"; echo "status $?"; ls -A "$work/small"')
wanted="vramscope: $work/small/a/d/model-000NN-of-00019.safetensors: cannot write: No space left on device: free some space or write somewhere else
status 1"
said=$(printf '%s\n' "$said" | sed -E 's/model-[0-9]{5}-of/model-000NN-of/')
if [ "$said" = "$wanted" ]; then
    echo "ok 1 - a full disk is an error, and nothing is left on it"
else
    echo "not ok 1 - a full disk is an error, and nothing is left on it"
    printf '%s\n' "$said" | sed 's/^/# /'
fi
echo "1..1"
[ "$said" = "$wanted" ]
