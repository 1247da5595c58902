#!/bin/bash
# Runs the benchmarks: prints their `name value unit` lines and writes build/bench.json {"name": value}.
#
# usage: run-bench.sh BINARY...     (make bench)
# One at a time, since they measure. bench_pool wants a recorded stream, which extract_stream.py makes
# of a public recording if there is one beside the project.
set -u
export LC_ALL=C
out=${OUT:-build}
mkdir -p "$out/bench"
lines=$out/bench/lines.txt
: >"$lines"

# The longest recording that begins with an empty allocator on one device: 3853 allocations.
recording='../shared/traces/NiuHuangxiaozi__*_forward_and_backward_memory_snapshot_100.pickle.gz'
stream=$out/bench/stream.txt

make_stream() {
    local found
    found=$(compgen -G "$recording" | head -n 1)
    if [ -z "$found" ]; then
        echo "bench_pool left out: no recording in ../shared/traces"
        return 1
    fi
    if ! command -v python3 >/dev/null; then
        echo "bench_pool left out: extract_stream.py needs python3"
        return 1
    fi
    [ "$stream" -nt tests/tools/extract_stream.py ] ||
        { python3 tests/tools/extract_stream.py "$found" >"$stream.tmp" && mv "$stream.tmp" "$stream"; }
}

status=0
for binary in "$@"; do
    arguments=()
    case "$binary" in
    */bench_pool)
        make_stream || continue
        arguments=("$stream")
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
