#!/bin/bash
# Golden tests: a command line in, everything it prints out, byte for byte.
#
# usage: golden.sh              compares, prints TAP
#        golden.sh --update [T] shows how outputs differ, then writes them (cases whose name has T)
#
# tests/golden/NAME.cmd holds one command line, run by bash from the project's root with the built
# vramscope first on PATH and an empty folder of its own in $TMP. NAME.out is what it must print;
# NAME.err what it must say on stderr (no file: nothing); NAME.exit its exit status (no file: 0).
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC COLUMNS=100
unset LINES DISPLAY WAYLAND_DISPLAY XDG_CONFIG_HOME
PATH=$(cd "${OUT:-build}" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home # no overlays of whoever runs this
mkdir "$HOME"

# Runs a case into $work/NAME.{out,err,exit}.
run_case() {
    local name=$1
    mkdir "$work/$name.tmp"
    local status=0
    TMP=$work/$name.tmp bash tests/golden/"$name".cmd >"$work/$name.out" 2>"$work/$name.err" </dev/null || status=$?
    echo "$status" >"$work/$name.exit"
}

# What the case should give, as a file that exists.
expected() {
    local file=tests/golden/$1.$2
    if [ ! -e "$file" ]; then
        file=$work/expected.$2
        if [ "$2" = exit ]; then echo 0 >"$file"; else : >"$file"; fi
    fi
    echo "$file"
}

differences() {
    local part status=0
    for part in out err exit; do
        diff -u --label "$1.$part expected" --label "$1.$part now" "$(expected "$1" $part)" "$work/$1.$part" || status=1
    done
    return $status
}

compare_all() {
    local number=0 failed=0 cmd name diff
    for cmd in tests/golden/*.cmd; do
        name=$(basename "$cmd" .cmd)
        number=$((number + 1))
        run_case "$name"
        if [ ! -e "tests/golden/$name.out" ]; then
            echo "not ok $number - $name: no expected output; make golden-update T=$name writes it"
            failed=1
        elif diff=$(differences "$name"); then
            echo "ok $number - $name"
        else
            echo "not ok $number - $name: $(cat "$cmd")"
            printf '%s\n' "$diff" | sed 's/^/# /'
            failed=1
        fi
    done
    echo "1..$number"
    return $failed
}

# Keeps a file only when it says more than its absence does.
write_case() {
    local name=$1
    cp "$work/$name.out" "tests/golden/$name.out"
    if [ -s "$work/$name.err" ]; then cp "$work/$name.err" tests/golden/; else rm -f "tests/golden/$name.err"; fi
    if [ "$(cat "$work/$name.exit")" != 0 ]; then
        cp "$work/$name.exit" tests/golden/
    else
        rm -f "tests/golden/$name.exit"
    fi
}

update() {
    local cmd name changed=0
    for cmd in tests/golden/*"${1:-}"*.cmd; do
        [ -e "$cmd" ] || continue
        name=$(basename "$cmd" .cmd)
        run_case "$name"
        if ! differences "$name" || [ ! -e "tests/golden/$name.out" ]; then
            write_case "$name"
            changed=$((changed + 1))
        fi
    done
    echo "$changed golden cases written"
}

if [ "${1:-}" = --update ]; then
    update "${2:-}"
else
    compare_all
fi
