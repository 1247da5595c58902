#!/bin/bash
# Runs the benchmarks: prints their `name value unit` lines and writes build/bench.json {"name": value}.
#
# usage: run-bench.sh BINARY...     (make bench)
# One at a time, since they measure. bench_pool wants a public recording beside the project.
set -u
export LC_ALL=C
out=${OUT:-build}
mkdir -p "$out/bench"
lines=$out/bench/lines.txt
: >"$lines"

# The longest recording that begins with an empty allocator on one device: 3853 allocations.
recording='../shared/traces/NiuHuangxiaozi__*_forward_and_backward_memory_snapshot_100.pickle.gz'

find_recording() {
    found=$(compgen -G "$recording" | head -n 1)
    [ -n "$found" ] || echo "bench_pool left out: no recording in ../shared/traces"
    [ -n "$found" ]
}

status=0
for binary in "$@"; do
    arguments=()
    case "$binary" in
    */bench_pool)
        find_recording || continue
        arguments=("$found")
        ;;
    esac
    "$binary" "${arguments[@]}" </dev/null | tee -a "$lines"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        echo "$binary failed" >&2
        status=1
    fi
done

awk '
    NF >= 2 && $1 ~ /^[a-z][a-z0-9_]*$/ && $2 ~ /^[0-9.+e-]+$/ {
        printf "%s\n  \"%s\": %s", seen++ ? "," : "{", $1, $2
    }
    END { print seen ? "\n}" : "{}" }' "$lines" >"$out/bench.json.tmp" && mv "$out/bench.json.tmp" "$out/bench.json"
exit $status
