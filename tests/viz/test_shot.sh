#!/bin/bash
# Pictures from the command line: no display, same bytes twice, clear errors and exit codes.
# Skips (77) where the programs were not built.
set -u
out=${OUT:-build}
view=$out/vramscope-view
if [ ! -x "$view" ] || [ ! -x "$out/vramscope" ]; then
    echo "skip: vramscope and vramscope-view are not both built"
    exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/vramscope-shot-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
unset DISPLAY WAYLAND_DISPLAY
failed=0
count=0

ok() { # name, status of the check
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then echo "ok $count - $1"; else
        echo "not ok $count - $1"
        failed=1
    fi
}

# Runs the viewer; its exit status must be $1, its stderr one line that holds $2.
complains() {
    local want=$1 says=$2
    shift 2
    "$view" "$@" >"$dir/stdout" 2>"$dir/stderr" </dev/null
    local status=$?
    [ "$status" -eq "$want" ] && [ "$(wc -l <"$dir/stderr")" -eq 1 ] && grep -qF -- "$says" "$dir/stderr"
}

is_png() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; }

"$out/vramscope" sim llama-2-7b --dtype fp32 --gpu rtx-4090 --tape "$dir/oom.tape" >/dev/null || exit 1
"$out/vramscope" sim llama-2-7b --dtype bf16 --gpu rtx-4090 --tape "$dir/fits.tape" >/dev/null || exit 1
"$out/vramscope" sim llama-2-7b --dtype bf16 --gpu rtx-4090 --print-scenario >"$dir/scenario.json" || exit 1

"$view" --help | grep -q -- --shot; ok "help names the options" $?
"$view" --version | grep -q '^vramscope-view [0-9]'; ok "version" $?

"$view" --shot "$dir/a.png" "$dir/oom.tape" && is_png "$dir/a.png"; ok "a picture without a display" $?
"$view" --shot "$dir/b.png" "$dir/oom.tape" && cmp -s "$dir/a.png" "$dir/b.png"
ok "the same picture twice" $?
[ "$(od -An -j16 -N8 -tu4 --endian=big "$dir/a.png" | xargs)" = "1600 900" ]
ok "1600 by 900 unless told otherwise" $?
"$view" --shot "$dir/c.png" --size 800x500 --theme light --scale 1.5 --range 0.5s..2s "$dir/oom.tape" &&
    [ "$(od -An -j16 -N8 -tu4 --endian=big "$dir/c.png" | xargs)" = "800 500" ]
ok "size, theme, scale and range" $?
"$view" --shot - "$dir/fits.tape" >"$dir/d.png" && is_png "$dir/d.png"; ok "to standard output" $?
"$view" --shot "$dir/e.png" - <"$dir/oom.tape" && cmp -s "$dir/a.png" "$dir/e.png"
ok "a tape from standard input" $?
"$view" --shot "$dir/f.png" "$dir/oom.tape" "$dir/fits.tape" && ! cmp -s "$dir/a.png" "$dir/f.png"
ok "two tapes in one picture" $?
"$view" --shot "$dir/g.svg" "$dir/oom.tape" && grep -q 'OUT OF MEMORY</text>' "$dir/g.svg" &&
    tail -n 1 "$dir/g.svg" | grep -q '^</svg>$'
ok "SVG by its name" $?
"$view" --shot "$dir/h.png" --scenario "$dir/scenario.json" &&
    "$view" --shot "$dir/i.png" "$dir/fits.tape" && is_png "$dir/h.png"
ok "a scenario is simulated" $?
"$view" --shot "$dir/j.png" --title "My run" "$dir/fits.tape" && tr '\0' '|' <"$dir/j.png" | grep -qaE 'Title[|]+My run'
ok "a title of one's own, also inside the file" $?

"$out/vramscope" sim llama-2-7b --dtype fp32 --gpu rtx-4090 --snapshot "$dir/oom.pickle" >/dev/null &&
    "$view" --shot "$dir/k.png" "$dir/oom.pickle" && is_png "$dir/k.png"
ok "a recording is told by its content" $?
"$view" --compare --shot "$dir/l.svg" "$dir/oom.tape" "$dir/fits.tape" && grep -q 'VERDICTS DIFFER</text>' "$dir/l.svg" &&
    grep -q 'recorded minus predicted</text>' "$dir/l.svg"
ok "two runs in one frame" $?
"$view" --compare --scenario "$dir/scenario.json" --axis share --metric allocated --shot "$dir/m.svg" "$dir/fits.tape" &&
    grep -q 'to the byte</text>' "$dir/m.svg" && grep -q 'share of the bytes loaded' "$dir/m.svg"
ok "a scenario is the predicted run" $?
"$out/vramscope" check "$dir/oom.pickle" --against "$dir/scenario.json" --png "$dir/n.png" --svg "$dir/n.svg" >/dev/null &&
    is_png "$dir/n.png" && grep -q 'VERDICTS DIFFER</text>' "$dir/n.svg" &&
    tr '\0' '|' <"$dir/n.png" | grep -qaE 'Description[|]+predicted: fits, recorded: out of memory'
ok "check draws both" $?

complains 2 "takes two runs" --compare --shot x.png "$dir/oom.tape"; ok "one run cannot be compared" $?
complains 2 "--shot FILE.png" --compare "$dir/oom.tape" "$dir/fits.tape"; ok "a comparison is a picture" $?
complains 2 "--axis" --compare --axis bytes --shot x.png "$dir/oom.tape" "$dir/fits.tape"; ok "bad axis" $?
complains 1 "not both ran out of memory" --compare --align oom --axis time --shot "$dir/x.png" "$dir/oom.tape" "$dir/fits.tape"
ok "an axis that is not there" $?
complains 2 "go with --compare" --axis time --shot "$dir/x.png" "$dir/fits.tape"; ok "an axis without a comparison" $?
complains 1 "no such GPU" --compare --gpu-index 3 --shot "$dir/x.png" "$dir/oom.tape" "$dir/fits.tape"; ok "a GPU that is not there" $?
complains 2 "nothing to show"; ok "no tape is a usage error" $?
complains 2 "did you mean --shot" --shott x; ok "unknown options suggest the nearest" $?
complains 2 "--size" --shot x.png --size 10x "$dir/oom.tape"; ok "bad size" $?
complains 2 "--theme" --shot x.png --theme pink "$dir/oom.tape"; ok "bad theme" $?
complains 2 "--range" --shot x.png --range 2s..1s "$dir/oom.tape"; ok "bad range" $?
complains 2 "needs a value" --shot; ok "missing value" $?
complains 1 "none.tape" --shot x.png "$dir/none.tape"; ok "missing tape" $?
head -c 1000 "$dir/oom.tape" >"$dir/cut.tape"
complains 1 "cut.tape" --shot "$dir/x.png" "$dir/cut.tape" && [ ! -e "$dir/x.png" ]
ok "a truncated tape leaves no picture" $?
complains 1 "none/x.png" --shot "$dir/none/x.png" "$dir/oom.tape"; ok "a folder that is not there" $?
complains 1 "--font" --shot "$dir/x.png" --font "$dir/oom.tape" "$dir/oom.tape"; ok "a file that is no font" $?
"$out/vramscope" sim qwen3-0.6b --gpu 8GiB --svg "$dir/s.svg" --png "$dir/s.png" >/dev/null &&
    [ "$(head -c 4 "$dir/s.svg")" = "<svg" ] && is_png "$dir/s.png"
ok "sim draws SVG and PNG" $?
complains 1 "after the end" --shot "$dir/x.png" --range 100s..200s "$dir/oom.tape"; ok "a range after the end" $?
SDL_VIDEODRIVER=none complains 1 "--shot" "$dir/oom.tape"; ok "no such display driver says what to do instead" $?
# SDL itself would fall back to a driver that shows nothing and wait for ever.
view_plain=$view
view=timeout_view
timeout_view() { env -u SDL_VIDEODRIVER "$@" timeout 10 "$view_plain" "$dir/oom.tape"; }
complains 1 "--shot" -u XDG_RUNTIME_DIR; ok "no display ends at once, with one line" $?
complains 1 "--shot" XDG_RUNTIME_DIR="$dir"; ok "so does one with a runtime folder" $?
# libdbus, which the X11 driver loads, leaks when no display answers: not ours to report
complains 1 "--shot" -u XDG_RUNTIME_DIR DISPLAY=:4242 ASAN_OPTIONS=detect_leaks=0; ok "and a display that is not there" $?
view=$view_plain
[ -z "$(find "$dir" -name '*tmp*')" ]; ok "no temporary file is left" $?
echo "1..$count"
exit $failed
