#!/bin/bash
# Runs libFuzzer targets for a while each, JOBS at a time.
#
# usage: run-fuzz.sh SECONDS TARGET...     (make fuzz TIME=SECONDS)
# New inputs go to build/fuzz/inputs/NAME, crashes to build/fuzz/inputs/NAME-crash-*; one belongs into
# tests/fuzz/corpus/NAME once its cause is fixed.
set -u
export LC_ALL=C
work=${OUT:-build}/inputs

fuzz_one() {
    local seconds=$1 target=$2
    local name=${target##*/fuzz_}
    local log=$work/$name.log
    local corpora=("$work/$name")
    mkdir -p "$work/$name"
    [ -d "tests/fuzz/corpus/$name" ] && corpora+=("tests/fuzz/corpus/$name")
    local status=0
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/$name-crash-" "${corpora[@]}" >"$log" 2>&1 </dev/null || status=$?
    local runs
    runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
    if [ "$status" -eq 0 ]; then
        printf '  ok    fuzz/%-24s %s inputs\n' "$name" "${runs:-?}"
    else
        printf '  FAIL  fuzz/%-24s exit status %s\n%s\n' "$name" "$status" "$(tail -n 60 "$log" | sed 's/^/        | /')"
        return 1
    fi
}

if [ "$1" = --one ]; then
    fuzz_one "$2" "$3"
    exit
fi
seconds=$1
shift
mkdir -p "$work"
if [ $# -eq 0 ]; then
    echo "no fuzz target chosen"
    exit 1
fi
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-2}" "$0" --one "$seconds"
