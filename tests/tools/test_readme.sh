#!/bin/bash
# Runs every command of README.md's console blocks and holds its output against the text printed there. A line
# that is only `...` stands for any number of lines. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C.UTF-8 TZ=UTC COLUMNS=100
unset DISPLAY WAYLAND_DISPLAY XDG_CONFIG_HOME
PATH=$(cd "${OUT:-build}" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

# Splits the blocks into $work/N.cmd and $work/N.expected.
split_blocks() {
    awk -v dir="$work" '
        /^```console$/ { in_block = 1; next }
        /^```$/ { in_block = 0; next }
        in_block && /^\$ / { n++; print substr($0, 3) > (dir "/" n ".cmd"); printf "" > (dir "/" n ".expected"); next }
        in_block && n { print > (dir "/" n ".expected") }
        END { print n + 0 }' README.md
}

# 0 when $2 is $1 with `...` lines filled in.
matches() {
    awk 'NR == FNR { want[++w] = $0; next } { got[++g] = $0 }
        END {
            i = 1; j = 1; gap = 0
            while (i <= w) {
                if (want[i] == "...") { gap = 1; i++; continue }
                while (gap && j <= g && got[j] != want[i]) j++
                if (j > g || got[j] != want[i]) { printf "expected: %s\nfound:    %s\n", want[i], got[j]; exit 1 }
                i++; j++; gap = 0
            }
            if (!gap && j <= g) { printf "expected the end, found: %s\n", got[j]; exit 1 }
        }' "$1" "$2"
}

count=$(split_blocks)
if [ "$count" -eq 0 ]; then
    echo "not ok 1 - README.md has console blocks"
    exit 1
fi
failed=0
for n in $(seq "$count"); do
    (cd "$work" && bash "$n.cmd" >"$n.out" 2>&1 </dev/null)
    # Blank lines at the end of a block separate it from the next command.
    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$work/$n.expected" >"$work/$n.want"
    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$work/$n.out" >"$work/$n.got"
    if why=$(matches "$work/$n.want" "$work/$n.got"); then
        echo "ok $n - $(cat "$work/$n.cmd")"
    else
        echo "not ok $n - $(cat "$work/$n.cmd")"
        printf '%s\n' "$why" | sed 's/^/# /'
        failed=1
    fi
done
echo "1..$count"
exit "$failed"
