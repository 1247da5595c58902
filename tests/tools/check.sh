#!/bin/bash
# Everything a machine can hold against the code. `make check` runs it.
#
# One line a step, the whole output of what fails, `N passed, N failed` at the end: each step is one,
# and the suite under the sanitizers counts its own tests. Steps do not stop each other.
set -u
export LC_ALL=C
build=${BUILD:-build}
make=("${MAKE:-make}" --no-print-directory)
parallel=("${make[@]}" "-j${JOBS:-2}")
log=$build/check.log
# The build of gcc with -Werror is the one that is there when that has these flags already (.ci/run).
gcc_build=$build/gcc
[ "${CC-}" = gcc ] && [ "${WERROR-}" = -Werror ] && gcc_build=$build
mkdir -p "$build"
passed=0 failed=0 skipped=0

step() { # name, command...
    local name=$1 start=$SECONDS status=0
    shift
    "$@" >"$log" 2>&1 </dev/null || status=$?
    local took="$((SECONDS - start)) s"
    if [ $status -eq 0 ]; then
        passed=$((passed + 1))
        printf '  ok    %-34s %8s\n' "$name" "$took"
    else
        failed=$((failed + 1))
        printf '  FAIL  %-34s %8s\n' "$name" "$took"
        grep -vE '^  (CC|AR|LD) ' "$log" | sed 's/^/        | /'
    fi
}

suite() { # name, command...: a test run, whose own counts are added
    local name=$1 start=$SECONDS status=0 line p f s
    shift
    "$@" >"$log" 2>&1 </dev/null || status=$?
    local took="$((SECONDS - start)) s"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
    read -r p _ f _ s _ <<<"$line"
    p=${p:-0} f=${f:-0} s=${s:-0}
    [ "$status" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" -eq 0 ]; then
        printf '  ok    %-34s %8s   %s\n' "$name" "$took" "$line"
    else
        printf '  FAIL  %-34s %8s   %s\n' "$name" "$took" "$line"
        grep -vE '^  (ok|CC|AR|LD) ' "$log" | sed 's/^/        | /'
    fi
}

step format "${make[@]}" check-format
step layers "${make[@]}" check-layers
step words "${make[@]}" check-words
step "headers, gcc" "${make[@]}" check-headers CC=gcc
step "headers, clang" "${make[@]}" check-headers CC=clang
step "everything, gcc -Werror" "${parallel[@]}" -k everything BUILD="$gcc_build" CC=gcc WERROR=-Werror
step "everything, clang -Werror" "${parallel[@]}" -k everything BUILD="$build/clang" CC=clang WERROR=-Werror
step symbols "${make[@]}" check-symbols BUILD="$gcc_build" CC=gcc WERROR=-Werror
suite "determinism, 4 builds" env BUILD="$build" GCC_BUILD="$gcc_build" OUT="$gcc_build" tests/tools/run-tests.sh tests/tools/determinism.sh
suite "tests, address and undefined" "${make[@]}" test SAN=1 BUILD="$build" CC="${CC:-cc}"
if grep -rqs 'pthread_create' sim viz traces --include='*.c'; then
    suite "tests, threads" "${make[@]}" test SAN=thread BUILD="$build" CC="${CC:-cc}"
fi
step "clang-tidy" "${make[@]}" tidy BUILD="$build"

line="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && line+=", $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
