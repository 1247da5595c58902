#!/bin/bash
# `make install` puts everything in its place, a program built with pkg-config from what was installed
# links and runs, and `make uninstall` leaves nothing behind.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "${VARIANT:-release}" != release ]; then
    echo "skipped: the installed library is the release build's"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

check() { # sentence, command...
    local sentence=$1 said
    shift
    number=$((number + 1))
    if said=$("$@" 2>&1); then
        echo "ok $number - $sentence"
    else
        echo "not ok $number - $sentence"
        printf '%s\n' "$said" | sed 's/^/# /'
        failed=1
    fi
}

# shellcheck disable=SC2317 # the functions below are called by check
make_with() {
    # -j1: without it the outer make's job server would be asked for, which is closed to scripts.
    "${MAKE:-make}" --no-print-directory -j1 BUILD="${BUILD:-build}" CC="${CC:-cc}" "$@"
}

has_files() {
    local file
    for file in "$@"; do
        [ -s "$file" ] || { echo "$file is not there"; return 1; }
    done
}

version_agrees() {
    [ "$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion vramscope)" = \
        "$("$prefix/bin/vramscope" --version | sed 's/^vramscope //')" ]
}

program_builds() {
    # shellcheck disable=SC2046 # words on purpose
    "${CC:-cc}" -std=c17 -Wall -Wextra -Werror tests/tools/installed_program.c -o "$work/program" \
        $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs vramscope)
}

is_empty_of_files() {
    local left
    left=$(find "$1" -type f)
    [ -z "$left" ] || { echo "$left"; return 1; }
}

staged=$work/staged/opt/vramscope
check "installs into a DESTDIR" make_with install DESTDIR="$work/staged" PREFIX=/opt/vramscope
check "headers, library, program and vramscope.pc are there" has_files \
    "$staged"/include/vramscope/{vramscope,base,tape,run}.h "$staged"/lib/libvramscope.a \
    "$staged"/lib/pkgconfig/vramscope.pc "$staged"/bin/vramscope
check "the man page is made from the options" grep -q "quant-experts" "$staged/share/man/man1/vramscope.1"
check "vramscope.pc names the prefix without the DESTDIR" \
    grep -qx 'prefix=/opt/vramscope' "$staged/lib/pkgconfig/vramscope.pc"
check "uninstalls from a DESTDIR" make_with uninstall DESTDIR="$work/staged" PREFIX=/opt/vramscope
check "nothing is left there" is_empty_of_files "$work/staged"

prefix=$work/prefix
check "installs into a PREFIX" make_with install PREFIX="$prefix"
check "the program and vramscope.pc name one version" version_agrees
check "a program builds from the installed files" program_builds
check "and runs" "$work/program"
check "uninstalls from a PREFIX" make_with uninstall PREFIX="$prefix"
check "nothing is left of it" is_empty_of_files "$prefix"
echo "1..$number"
exit $failed
