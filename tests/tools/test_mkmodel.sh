#!/bin/bash
# `mkmodel NAME -o d` makes a folder that is the model: `sim d` and `inspect d --tensors` give what they give for NAME, in
# every figure, for every model of the catalogue; and with --layers 2 it is what its own config says. TAP; one line a
# model, with what the folder occupies.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC
unset XDG_CONFIG_HOME
PATH=$(cd "${OUT:-build}" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

# A report with what may differ taken out: the name of the model, where it was read from, and notes about that.
other_than() {
    sed -E '/^ *"(model|name)": "/d; /^ *"source": "(catalogue|safetensors)"/d; /^ *"notes": \[\]/d; /^ *"notes": \[$/,/^ *\]/d'
}

figures() { # model spec
    vramscope sim "$1" --gpu rtx-4090 --json - | other_than
    vramscope sim "$1" --gpu 4TiB --ram 4TiB --dtype bf16 --json - | other_than
}

tensors() { # model spec
    vramscope inspect "$1" --tensors --json - | other_than
}

same() { # what, command, model, folder
    "$2" "$3" >"$work/ours" 2>&1
    "$2" "$4" >"$work/theirs" 2>&1
    [ -s "$work/ours" ] || { echo "nothing from $2 $3"; return 1; }
    cmp -s "$work/ours" "$work/theirs" && return 0
    echo "$1 differs:"
    diff -u "$work/ours" "$work/theirs" | head -n 20
    return 1
}

modules() { # model spec
    vramscope inspect "$1" --tensors --json - | sed -n '/^ *"modules": \[/,$p'
}

holds() { # model
    rm -rf "$work/d" "$work/two"
    vramscope mkmodel "$1" -o "$work/d" >/dev/null &&
        same inspect tensors "$1" "$work/d" &&
        same sim figures "$1" "$work/d" &&
        vramscope mkmodel "$1" --layers 2 -o "$work/two" >/dev/null &&
        same modules modules "$work/two/config.json" "$work/two"
}

number=0 failed=0
for entry in sim/catalogue/models/*.json; do
    model=$(basename "$entry" .json)
    number=$((number + 1))
    if said=$(holds "$model" 2>&1); then
        echo "ok $number - $model, $(du -sk "$work/d" | cut -f1) KiB on disk"
    else
        echo "not ok $number - $model"
        printf '%s\n' "$said" | sed 's/^/# /'
        failed=1
    fi
done
echo "1..$number"
exit "$failed"
