#!/bin/bash
# Installs what `make WHAT` needs and is not there.
#
# usage: ensure-packages.sh demo|test|check|fuzz
# Looks for the thing itself (a command, a pkg-config module, a file), not for a Debian package, so
# libraries built by hand count too, and nothing is asked of the network when all is there. Without
# leave to install it prints the one line to run and exits 1.
set -u
cd "$(dirname "$0")/../.." || exit 1

# What may be missing: how to look, and the Debian 12 package that has it.
build_needs="
cmd:cc gcc
cmd:make make
file:/usr/include/stdio.h libc6-dev
cmd:pkg-config pkg-config
pkg:libcjson libcjson-dev
pkg:zlib zlib1g-dev
pkg:sqlite3 libsqlite3-dev
pkg:sdl2 libsdl2-dev
pkg:freetype2 libfreetype-dev
pkg:libpng libpng-dev
font:DejaVuSans.ttf fonts-dejavu-core"
test_needs="
pkg:cmocka libcmocka-dev"
clang_needs="
cmd:clang clang
fuzzer:x libclang-rt-14-dev"
# Xvfb and xdotool are for the window test, which skips where they cannot be had.
check_needs="
cmd:clang-format clang-format
cmd:clang-tidy clang-tidy
wish:Xvfb xvfb
wish:xdotool xdotool"

case "${1:-}" in
demo) needs=$build_needs ;;
test) needs=$build_needs$test_needs ;;
check) needs=$build_needs$test_needs$clang_needs$check_needs ;;
fuzz) needs=$build_needs$clang_needs ;;
*)
    echo "usage: ensure-packages.sh demo|test|check|fuzz" >&2
    exit 2
    ;;
esac

is_there() {
    local kind=${1%%:*} name=${1#*:}
    case "$kind" in
    cmd | wish) command -v "$name" >/dev/null ;;
    file) [ -e "$name" ] ;;
    pkg) pkg-config --exists "$name" 2>/dev/null ;;
    font) find /usr/share/fonts /usr/local/share/fonts -name "$name" 2>/dev/null | grep -q . ;;
    fuzzer) find "$(clang -print-resource-dir 2>/dev/null)/lib" -name 'libclang_rt.fuzzer*.a' 2>/dev/null | grep -q . ;;
    esac
}

# Packages that are missing; a wish counts only when $1 is "wishes".
missing_packages() {
    local look package
    while read -r look package; do
        if [ -z "$look" ] || is_there "$look"; then
            continue
        fi
        if [ "${look%%:*}" != wish ] || [ "${1:-}" = wishes ]; then
            printf '%s ' "$package"
        fi
    done <<<"$needs"
}

missing=$(missing_packages wishes)
missing=${missing% }
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing, by their Debian names: $missing" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
elif [ -z "$(missing_packages)" ]; then
    exit 0
else
    sudo=$(command -v sudo >/dev/null && echo "sudo ")
    echo "missing packages; run this line as root, then again what you ran:" >&2
    echo "    ${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends $missing" >&2
    exit 1
fi

echo "installing: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >>"$log" 2>&1 </dev/null
}
apt update
# shellcheck disable=SC2086 # a list of words on purpose
if ! apt install --no-install-recommends $missing && [ -n "$(missing_packages)" ]; then
    cat "$log" >&2
    echo "apt-get could not install them; run this line, then again what you ran:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends $missing" >&2
    exit 1
fi
still=$(missing_packages)
if [ -n "$still" ]; then
    echo "installed, yet not found: $still" >&2
    exit 1
fi
