#!/bin/bash
# Every snapshot of ../shared/traces, read by us and by Python's own unpickler: the same entries, segments, blocks, frames and
# settings. The small ones also pickled again by Python (protocols 0 to 5) and as the C++ writer does it, all of them with VS_ALL=1
# (a minute): the same recording each time. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC
python=${VS_PYTHON:-python3}
reader=$(cd "${OUT:-build}" && pwd)/tests/unit/test_snapshot
oracle=tests/tools/snapshot_oracle.py
files=$(compgen -G '../shared/traces/*.pickle.gz'; compgen -G '../shared/traces/*.pkl.gz')
if [ -z "$files" ]; then
    echo "skipped: no snapshots in ../shared/traces"
    exit 77
fi
if [ ! -x "$reader" ] || ! command -v "$python" >/dev/null; then
    echo "skipped: needs $python and the test program test_snapshot (make T=snapshot test)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check_file() {
    local copy differing=0
    ways=1
    "$python" "$oracle" dump "$1" >"$work/expected" || return 1
    "$reader" --dump "$1" >"$work/found" || return 1
    cmp "$work/expected" "$work/found" || return 1
    [ "${VS_ALL:-0}" = 1 ] || [ "$(stat -c %s "$1")" -lt 10000 ] || return 0
    ways=11
    rm -rf "$work/copies" && mkdir "$work/copies" || return 1
    "$python" "$oracle" repickle "$1" "$work/copies" || return 1
    for copy in "$work"/copies/*; do
        "$reader" --dump "$copy" >"$work/found" && cmp "$work/expected" "$work/found" || {
            echo "# $(basename "$copy") differs"
            differing=1
        }
    done
    return $differing
}

number=0
failed=0
while read -r file; do
    number=$((number + 1))
    name=$(basename "$file")
    if check_file "$file"; then
        echo "ok $number - ${name:0:40} $(wc -l <"$work/expected") lines, $ways ways"
    else
        echo "not ok $number - $name"
        failed=1
    fi
done <<<"$files"
echo "1..$number"
exit $failed
