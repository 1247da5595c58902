#!/bin/bash
# The test driver: runs every test it is given and counts.
#
# usage: run-tests.sh TEST...     (make test hands it the list)
# TEST is a cmocka binary, a corpus replay (its name starts with replay_), tests/tools/golden.sh or
# a shell test. All speak TAP or, a shell test that prints none, its exit status (0 passed, 77
# skipped). One line a test, the whole output of what fails, and `N passed, N failed` at the end.
# A test that crashes, was not built, runs into the time limit or runs nothing has failed.
#
# OUT is where the programs are, VARIANT the kind of build, JOBS how many run at a time (2).
# TEST_LIMIT_S bounds one test.
set -u
export LC_ALL=C TZ=UTC
export OUT=${OUT:-build} VARIANT=${VARIANT:-release}
export CMOCKA_MESSAGE_OUTPUT=TAP
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
limit_s=${TEST_LIMIT_S:-300}
logs=$OUT/test-logs

# Runs one test into its log; the exit status is the test's.
run_one() {
    local test=$1
    local inputs=()
    case "$test" in
    */replay_*)
        local corpus=tests/fuzz/corpus/${test##*/replay_}
        [ -d "$corpus" ] && mapfile -t inputs < <(find "$corpus" -type f | sort)
        timeout "$limit_s" "$test" "${inputs[@]}"
        ;;
    # libdbus and the display's drivers leak when the window closes; our drawing is held to it elsewhere.
    */window_test.sh) ASAN_OPTIONS=detect_leaks=0 timeout "$limit_s" bash "$test" ;;
    *.sh) timeout "$limit_s" bash "$test" ;;
    *) timeout "$limit_s" "$test" ;;
    esac
}

# Counts a log: "passed failed skipped", from TAP lines or from the exit status.
count_log() {
    awk -v status="$2" -v is_script="$3" '
        /^1\.\.[0-9]+/ { planned += substr($0, 4) }
        /^not ok [0-9]+ # SKIP/ || /^ok [0-9]+.*# SKIP/ { skipped++; next }  # cmocka 1.1.5 writes the first
        /^ok [0-9]/ { passed++ }
        /^not ok / { failed++ }
        END {
            seen = passed + failed + skipped
            if (seen == 0 && is_script && status == 0) passed = 1
            else if (seen == 0 && is_script && status == 77) skipped = 1
            else if (seen == 0 || seen < planned || (status != 0 && failed == 0)) failed++
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

report() {
    local name=$1 log=$2 status=$3 seconds=$4 passed=$5 failed=$6 skipped=$7
    local counts="$passed passed"
    [ "$failed" -gt 0 ] && counts+=", $failed failed"
    [ "$skipped" -gt 0 ] && counts+=", $skipped skipped"
    if [ "$failed" -eq 0 ]; then
        printf '  ok    %-34s %8s s   %s\n' "$name" "$seconds" "$counts"
        # Why something was skipped is worth a line.
        [ "$skipped" -gt 0 ] && grep -i skip "$log" | grep -v '^not ok' | head -n 3 | sed 's/^/          /'
        return 0
    fi
    [ "$status" -eq 124 ] && counts+=", stopped after $limit_s s"
    printf '  FAIL  %-34s %8s s   %s, exit status %s\n' "$name" "$seconds" "$counts" "$status"
    sed 's/^/        | /' "$log"
}

one() {
    local test=$1
    local name=${test#"$OUT"/tests/}
    name=${name#tests/}
    local log=$logs/${name//\//.}.log
    local is_script=0
    [[ $test == *.sh ]] && is_script=1
    local start=$EPOCHREALTIME
    local status=127
    if [ -e "$test" ]; then
        run_one "$test" >"$log" 2>&1 </dev/null
        status=$?
    else
        echo "not built" >"$log"
    fi
    local end=$EPOCHREALTIME
    local ms=$(((${end/./} - ${start/./}) / 1000))
    local seconds
    printf -v seconds '%d.%02d' $((ms / 1000)) $((ms % 1000 / 10))
    local passed failed skipped
    read -r passed failed skipped < <(count_log "$log" "$status" "$is_script")
    echo "$passed $failed $skipped" >"$log.count"
    { flock 9 && report "$name" "$log" "$status" "$seconds" "$passed" "$failed" "$skipped"; } 9>"$logs/lock"
}

if [ "${1:-}" = --one ]; then
    one "$2"
    exit 0
fi

rm -rf "$logs"
mkdir -p "$logs"
if [ $# -gt 0 ]; then
    printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-2}" "$0" --one
fi
passed=0 failed=0 skipped=0
while read -r p f s; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done < <(find "$logs" -name '*.count' -exec cat {} +)
if [ -e "$OUT/build-failed" ]; then
    echo "  FAIL  the build: see the compiler's messages above"
    failed=$((failed + 1))
fi
if [ $((passed + failed)) -eq 0 ]; then
    echo "  FAIL  no test was run"
    failed=1
fi
line="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && line+=", $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
