#!/bin/bash
# clang-tidy over many files, JOBS at a time, remembering the files that were clean.
#
# usage: tidy.sh CACHE-DIR FILE.c... -- COMPILER-FLAGS...
# A result is kept under the hash of everything it depends on: the file, every header of ours it
# includes, .clang-tidy and the flags.
set -u
cd "$(dirname "$0")/../.." || exit 1

tidy_one() {
    local cache=$1 file=$2
    shift 2
    local headers key log
    headers=$(clang -MM "$@" "$file" 2>/dev/null | tr -d '\\\n' | cut -d: -f2-)
    # shellcheck disable=SC2086 # a list of words on purpose
    key=$({ echo "$*"; cat .clang-tidy tests/.clang-tidy $file $headers; } | sha256sum | cut -c1-40)
    [ -e "$cache/$key" ] && return 0
    if log=$(clang-tidy --quiet "$file" -- "$@" 2>&1); then
        touch "$cache/$key"
    else
        printf '%s\n' "$log" | grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter'
        return 1
    fi
}

if [ "$1" = --one ]; then
    shift
    tidy_one "$@"
    exit
fi

cache=$1
shift
mkdir -p "$cache"
files=()
while [ "$1" != -- ]; do
    files+=("$1")
    shift
done
shift
status=0
# The flags follow each file, hence a small shell in between.
printf '%s\0' "${files[@]}" | xargs -0 -P "${JOBS:-2}" -I FILE "$0" --one "$cache" FILE "$@" || status=1
exit $status
