#!/bin/bash
# The window under Xvfb, driven with xdotool: real keys, wheel, clicks, quit, and what is on the screen.
# The X server keeps its screen in a file (-fbdir), which is compared by checksum before and after.
# Skips (77) where Xvfb or xdotool are missing or the programs were not built.
set -u
out=${OUT:-build}
view=$out/vramscope-view
for tool in Xvfb xdotool; do
    if ! command -v "$tool" >/dev/null; then
        echo "skip: $tool is not installed"
        exit 77
    fi
done
if [ ! -x "$view" ] || [ ! -x "$out/vramscope" ]; then
    echo "skip: vramscope and vramscope-view are not both built"
    exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/vramscope-window-XXXXXX") || exit 1
server=
viewer=
cleanup() {
    [ -n "$viewer" ] && kill "$viewer" 2>/dev/null
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
"$out/vramscope" sim llama-2-7b --dtype fp32 --gpu rtx-4090 --tape "$dir/run.tape" >/dev/null || exit 1

exec 3>"$dir/number"
Xvfb -displayfd 3 -screen 0 1000x640x24 -nolisten tcp -fbdir "$dir" >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do
    [ -s "$dir/number" ] && break
    sleep 0.1
done
if [ ! -s "$dir/number" ]; then
    echo "skip: Xvfb does not start here"
    exit 77
fi
DISPLAY=:$(cat "$dir/number")
export DISPLAY SDL_VIDEODRIVER=x11
for _ in $(seq 100); do # it has a number; now it has to answer
    xdotool getdisplaygeometry >/dev/null 2>&1 && break
    sleep 0.1
done
failed=0
count=0

ok() { # name, status of the check
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then echo "ok $count - $1"; else
        echo "not ok $count - $1"
        failed=1
    fi
}

screen() { cksum <"$dir/Xvfb_screen0"; }

# Waits until the screen differs from $1 (changed) or, for 0.5 s, does not (same).
changed() {
    for _ in $(seq 60); do
        [ "$(screen)" != "$1" ] && sleep 0.1 && return 0
        sleep 0.05
    done
    return 1
}

start_once() {
    "$view" --size 1000x640 "$@" "$dir/run.tape" 2>"$dir/stderr" &
    viewer=$!
    window=
    for _ in $(seq 100); do
        window=$(xdotool search --pid "$viewer" --name vramscope 2>/dev/null | head -n 1)
        [ -n "$window" ] && break
        sleep 0.1
    done
    [ -n "$window" ] || return 1
    xdotool windowfocus "$window"
    sleep 0.5
}

# A server that has only just begun may refuse a client or forget its window: one more try, and the reason is printed.
start() {
    start_once "$@" && return 0
    echo "# no window at the first try: $(cat "$dir/stderr")"
    kill "$viewer" 2>/dev/null
    wait "$viewer" 2>/dev/null
    start_once "$@"
}

# The viewer ends within three seconds with status 0.
ended() {
    for _ in $(seq 60); do
        if ! kill -0 "$viewer" 2>/dev/null; then
            wait "$viewer"
            local status=$?
            viewer=
            return $status
        fi
        sleep 0.05
    done
    return 1
}

ticks() { cut -d' ' -f14,15 "/proc/$viewer/stat"; }

# What this action changes on the screen, and that it does.
changes() { # name, xdotool arguments
    local name=$1 before
    shift
    before=$(screen)
    xdotool "$@"
    changed "$before"
    ok "$name" $?
}

blank=$(screen)
start; ok "the window opens and carries the program's name" $?
[ "$(screen)" != "$blank" ]; ok "it draws something" $?
changes "the pointer has a hair line and a readout" mousemove --window "$window" 300 250
full=$(screen)
changes "the wheel zooms in" click 4
changes "D moves right" key d
changes "0 shows the whole run again" key 0
[ "$(screen)" = "$full" ]; ok "and the picture is the one from before" $?
changes "W zooms in" key w
changes "S zooms out" key s
xdotool key 0
sleep 0.3
xdotool click 1 mousemove --window "$window" 20 20
sleep 0.3
pinned=$(screen)
changes "Escape takes the cursor away that a click has pinned" key Escape
xdotool mousemove --window "$window" 300 250 click 1 mousemove --window "$window" 20 20
sleep 0.3
[ "$(screen)" = "$pinned" ]; ok "and another click pins it again" $?
changes "Right goes to the next event" key Right
changes "P goes to the peak" key p
changes "O goes to the failure" key o
help=$(screen)
changes "? opens the help" key question
changes "Escape closes it" key Escape
[ "$(screen)" = "$help" ]; ok "and the picture is the one from before it" $?
changes "F1 opens it too" key F1
changes "F1 closes it" key F1
changes "T changes the theme" key t
changes "Ctrl and + make the text larger" key ctrl+plus
changes "dragging with the right button pans" mousemove --window "$window" 400 250 mousedown 3 mousemove --window "$window" 300 250 mouseup 3
changes "a resized window is drawn anew" windowsize "$window" 900 600
sleep 0.5
before=$(ticks)
sleep 1.5
[ "$(ticks)" = "$before" ]; ok "nothing is computed while nothing changes" $?
xdotool key ctrl+q
ended; ok "Ctrl+Q ends it" $?

start --theme light && xdotool key Escape
ended; ok "Escape ends it when nothing is open" $?
start && kill -TERM "$viewer"
ended; ok "so does SIGTERM, cleanly" $?
[ ! -s "$dir/stderr" ]; ok "nothing was complained about" $?
echo "1..$count"
exit $failed
