#!/bin/bash
# The checkers find what they are there to find, and leave good files alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
tools=$PWD/tests/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

# A small tree in which everything is as it should be.
good_tree() {
    rm -rf "$work/tree"
    mkdir -p "$work"/tree/sim/{include/vramscope,base,tape,load,run} "$work"/tree/{traces,tests} "$work"/tree/viz/{draw,app}
    cd "$work/tree" || exit 1
    touch sim/include/vramscope/{base,tape,engine,run}.h sim/tape/internal.h sim/load/load.h viz/draw/list.h
    printf '#include "internal.h"\n#include "vramscope/base.h"\n' >sim/tape/tape.c
    printf '#include "sim/load/load.h"\n/* printf( in a comment */\nconst char *s = "atoi(";\n' >sim/run/run.c
    printf '#include <SDL.h>\n#include "viz/draw/list.h"\n#include "vramscope/run.h"\n' >viz/app/main.c
}

check() { # sentence, what the output must have ("": nothing), checker, its argument
    local sentence=$1 wanted=$2 said status
    number=$((number + 1))
    said=$("$tools/$3" "${4:-$work/tree}" 2>&1)
    status=$?
    if [ -z "$wanted" ] && [ $status -eq 0 ] && [ -z "$said" ]; then
        echo "ok $number - $sentence"
    elif [ -n "$wanted" ] && [ $status -ne 0 ] && grep -qF -- "$wanted" <<<"$said"; then
        echo "ok $number - $sentence"
    else
        echo "not ok $number - $sentence"
        printf 'exit status %s, said:\n%s\n' "$status" "$said" | sed 's/^/# /'
        failed=1
    fi
}

breach() { # sentence, what the output must have, checker, file, line to add
    good_tree
    printf '%s\n' "$5" >>"$4"
    check "$1" "$2" "$3"
}

good_tree
check "layers: a good tree passes" "" check-layers
check "words: a good tree passes" "" check-words
breach "layers: upwards is refused" "tape may not include run" check-layers sim/tape/tape.c '#include "vramscope/run.h"'
breach "layers: sideways is refused" "tape may not include engine" check-layers sim/tape/tape.c '#  include "vramscope/engine.h"'
breach "layers: another module's inside is refused" "internal to tape" check-layers sim/run/run.c '#include "sim/tape/internal.h"'
breach "layers: SDL is for viz/app" "SDL.h is for viz/app/ only" check-layers viz/draw/list.h '#include <SDL.h>'
breach "layers: a header that is not there is named" "no.h is not a file of ours" check-layers sim/tape/tape.c '#include "vramscope/no.h"'
breach "words: a banned function is found" "banned function" check-words sim/run/run.c 'int a = atoi (s);'
breach "words: printing from the library is found" "never prints" check-words sim/run/run.c 'void f(void) { printf("x"); }'
breach "words: a machine's path is found" "a path of one machine" check-words sim/run/run.c "/* see /roo""t/notes */"
breach "words: work left open is found" "name its issue" check-words sim/run/run.c "/* TO""DO: later */"
breach "words: work left open with an issue passes" "" check-words sim/run/run.c "/* TO""DO(#7): later */"

symbols() { # sentence, what the output must have, C text
    good_tree
    printf '%s\n' "$3" >one.c
    "${CC:-cc}" -c one.c -o one.o && ar rcs tree.a one.o
    check "$1" "$2" check-symbols tree.a
}
symbols "symbols: tables of constants pass" "" 'static const char *const t[] = {"a"}; const char *vs_t(int i); const char *vs_t(int i) { return t[i]; }'
symbols "symbols: writable data is found" "writable data" 'int vs_next(void); int vs_next(void) { static int n; return n++; }'
symbols "symbols: a name without the prefix is found" "without the prefix" 'int next(void); int next(void) { return 1; }'

golden() { # sentence, what the output must have, file of the case, what it holds now
    good_tree
    mkdir -p tests/tools tests/golden build
    cp "$tools/golden.sh" tests/tools/
    printf 'echo out; echo err >&2\n' >tests/golden/a.cmd
    printf 'out\n' >tests/golden/a.out
    printf 'err\n' >tests/golden/a.err
    printf '%s\n' "$4" >"tests/golden/$3"
    number=$((number + 1))
    local said status=0
    said=$(OUT=build bash tests/tools/golden.sh) || status=1
    if [ "$2" = "$status" ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '%s\n' "$said" | sed 's/^/# /'
        failed=1
    fi
}
golden "golden: the same output passes" 0 a.out out
golden "golden: another output fails" 1 a.out other
golden "golden: another message fails" 1 a.err other
golden "golden: another exit status fails" 1 a.exit 1

echo "1..$number"
exit $failed
