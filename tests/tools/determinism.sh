#!/bin/bash
# The same inputs give the same bytes: every scenario, twice, by gcc and clang at -O0 and -O2.
#
# usage: determinism.sh     BUILD is the build folder, GCC_BUILD that of gcc with -Werror, MAKE the make to use
# Compares whole tapes with the first one made. Prints TAP, a line for each scenario.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C
build=${BUILD:-build}
gcc_build=${GCC_BUILD:-$build/gcc}
make=${MAKE:-make}
work=$build/determinism
rm -rf "$work"
mkdir -p "$work"

scenarios=(
    "llama-2-7b --dtype bf16 --gpu rtx-4090"
    "llama-2-7b --dtype fp32 --gpu rtx-4090"
    "llama-2-7b --dtype fp32 --gpu a100-40gb-sxm"
    "llama-2-7b --quant bnb-nf4 --no-async --gpu rtx-4090"
    "llama-2-7b --quant bnb-nf4-dq --async --gpu rtx-4090 --cache warm"
    "llama-2-7b --gpu rtx-4090 --alloc-conf expandable_segments:True"
    "mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup --gpu 48GiB --async"
    "mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup --gpu 48GiB --no-async"
    "mixtral-8x7b --quant bnb-nf4-dq --quant-experts none --gpu a100-80gb-sxm"
)

# The two -O2 folders are those of the -Werror builds of check.sh, which have the same code already.
programs=()
build_one() { # folder, arguments of make
    local folder=$build/$1
    shift
    "$make" --no-print-directory -j"${JOBS:-2}" sim BUILD="$folder" "$@" >"$work/build.log" 2>&1 || {
        echo "not ok 1 - build $*"
        sed 's/^/# /' "$work/build.log"
        echo "1..1"
        exit 1
    }
    programs+=("$folder/vramscope")
}
build_one "${gcc_build#"$build"}" CC=gcc WERROR=-Werror
build_one clang CC=clang WERROR=-Werror
build_one gcc-O0 CC=gcc CFLAGS=-O0 CPPFLAGS=-U_FORTIFY_SOURCE
build_one clang-O0 CC=clang CFLAGS=-O0 CPPFLAGS=-U_FORTIFY_SOURCE

# Every tape of one scenario; prints what differs.
differs() {
    local first="" program tape round log
    for program in "${programs[@]}"; do
        for round in 1 2; do
            tape=$work/$(basename "$(dirname "$program")")-$round.tape
            # shellcheck disable=SC2086 # words on purpose
            if ! log=$("$program" sim $1 --tape "$tape" 2>&1 </dev/null); then
                printf '%s failed:\n%s\n' "$program" "$log"
            elif [ -z "$first" ]; then
                first=$tape
            else
                cmp "$first" "$tape"
            fi
        done
    done 2>&1
}

number=0 failed=0
for scenario in "${scenarios[@]}"; do
    number=$((number + 1))
    said=$(differs "$scenario")
    if [ -z "$said" ]; then
        echo "ok $number - sim $scenario"
    else
        echo "not ok $number - sim $scenario"
        printf '%s\n' "$said" | sed 's/^/# /'
        failed=1
    fi
done
echo "1..$number"
exit $failed
