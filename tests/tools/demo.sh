#!/bin/bash
# The stories this program tells, with pictures under build/demo. `make demo` builds first.
#
# Opens a window at the end only for a person at a terminal with a display.
set -eu
cd "$(dirname "$0")/../.."
out=${OUT:-build}
pictures=$out/demo
mkdir -p "$pictures"

# Shows a command line and runs it, with a blank line around.
show() {
    printf '\n$ %s\n\n' "$*"
    "$out/$1" "${@:2}"
}

have_viewer=$([ -x "$out/vramscope-view" ] && echo yes || echo no)
[ "$have_viewer" = yes ] || echo "no viewer was built, so there will be no pictures (see the line above)"

# --png FILE where pictures can be drawn.
png() {
    [ "$have_viewer" = yes ] && printf '%s\n%s\n' --png "$pictures/$1"
    return 0
}

echo "Story 1. Llama-2-7B and a 24 GiB card: half precision fits, full precision does not."
mapfile -t to < <(png story1-llama-2-7b-bf16.png)
show vramscope sim llama-2-7b --dtype bf16 --gpu rtx-4090 "${to[@]}" --tape "$pictures/story1-llama-2-7b-bf16.tape"
mapfile -t to < <(png story1-llama-2-7b-fp32.png)
show vramscope sim llama-2-7b --dtype fp32 --gpu rtx-4090 "${to[@]}"
show vramscope compare llama-2-7b --gpu rtx-4090 --vary dtype=fp32,bf16 --vary quant=none,bnb-nf4

echo
echo "Story 2. Mixtral-8x7B quantised while it loads, on 48 GiB: the copies that run ahead fill the card."
mapfile -t to < <(png story2-mixtral-8x7b.png)
show vramscope compare mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup --gpu 48GiB \
    --vary async=on,off "${to[@]}"

echo
echo "Story 3. A recording (here of the sequential load, written as PyTorch writes them): would it have fitted on 24 GiB?"
echo "And how far is a prediction that takes the copies to run ahead from what was recorded?"
mixtral=(mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup --gpu 48GiB)
recording=$pictures/story3-sequential.pickle
"$out/vramscope" sim "${mixtral[@]}" --no-async --snapshot "$recording" >/dev/null 2>&1
"$out/vramscope" sim "${mixtral[@]}" --async --print-scenario >"$pictures/story3-prefetched.json"
show vramscope replay "$recording" --capacity 24GiB
mapfile -t to < <(png story3-check.png)
show vramscope check "$recording" --against "$pictures/story3-prefetched.json" "${to[@]}"

echo
if [ "$have_viewer" = yes ]; then
    echo "pictures:"
    for picture in "$pictures"/*.png; do
        echo "  $(realpath "$picture")"
    done
    echo "window:   $out/vramscope view $pictures/story1-llama-2-7b-bf16.tape"
    if [ -t 1 ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && [ -z "${CI:-}" ]; then
        # Its own session: the window outlives make and the terminal.
        setsid "$out/vramscope" view "$pictures/story1-llama-2-7b-bf16.tape" </dev/null >/dev/null 2>&1 &
    fi
fi
