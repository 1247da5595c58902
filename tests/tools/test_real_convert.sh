#!/bin/bash
# Real recordings converted: a tape through a snapshot comes back byte for byte, and a snapshot written from a recorded one
# replays as the recorded one does. TAP. Skips where the recordings are not there (../shared/traces).
#
# usage: test_real_convert.sh [PROGRAM]    (default: $OUT/vramscope)
set -u
cd "$(dirname "$0")/../.." || exit 1
program=$(realpath "${1:-${OUT:-build}/vramscope}")
traces=../shared/traces
if [ ! -d "$traces" ]; then
    echo "skipped: no recordings in $traces"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work
unset XDG_CONFIG_HOME
count=0
failed=0

ok() { # name, status of the check
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then echo "ok $count - $1"; else
        echo "not ok $count - $1"
        failed=1
    fi
}

# What a replay found, without the file's name, what only the recording itself can tell, and times: time 0 is that of the
# first thing in a file, which may be an annotation.
replayed() {
    "$program" replay "$1" --no-ranking --json - 2>/dev/null | grep -vE '"(trace|made_by|corrections|source|time_ns)"'
}

for trace in "$traces"/*.gz; do
    name=$(basename "$trace")
    case $name in *.yaml.gz | *.log.gz) continue ;; esac # no recordings
    "$program" convert "$trace" -o "$work/a.tape" >/dev/null 2>&1
    ok "$name: becomes a tape" $?
    "$program" convert "$work/a.tape" -o "$work/a.pickle" >/dev/null 2>&1 &&
        "$program" convert "$work/a.pickle" -o "$work/b.tape" >/dev/null 2>&1 && cmp -s "$work/a.tape" "$work/b.tape"
    ok "$name: the tape comes back from a snapshot" $?
    case $name in *.pickle.gz) ;; *) continue ;; esac
    replayed "$trace" >"$work/recorded.json"
    grep -q not_comparable "$work/recorded.json" && continue
    replayed "$work/a.pickle" >"$work/written.json"
    diff "$work/recorded.json" "$work/written.json" >"$work/diff"
    ok "$name: the snapshot we write replays as the recorded one" $?
    sed 's/^/# /' "$work/diff" | head -n 8
done
echo "1..$count"
exit $failed
