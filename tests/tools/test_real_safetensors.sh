#!/bin/bash
# What `mkmodel` writes, opened by the real safetensors library: every file, the same names, dtypes and shapes; and where
# torch is there, saving a small one again gives the same bytes. Python: $VS_PYTHON, else python3. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC
python=${VS_PYTHON:-python3}
if ! "$python" -c 'import safetensors' 2>/dev/null; then
    echo "skipped: $python has no package safetensors (VS_PYTHON names another one)"
    exit 77
fi
PATH=$(cd "${OUT:-build}" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

cat >"$work/compare.py" <<'END'
"""compare.py FOLDER...: the files of each folder as safetensors reads them, against FOLDER/list.json (inspect --tensors)."""
import glob, json, os, sys
from safetensors import safe_open


def difference(folder):
    listing = json.load(open(os.path.join(folder, "list.json")))
    wanted = {name: (dtype, shape) for name, shape, dtype in listing["checkpoint"]}
    index = os.path.join(folder, "model.safetensors.index.json")
    where = json.load(open(index))["weight_map"] if os.path.exists(index) else None
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with safe_open(path, framework="numpy") as file:
            if file.metadata() != {"format": "pt"}:
                return f"{path}: metadata {file.metadata()}"
            for name in file.keys():
                part = file.get_slice(name)
                found[name] = (part.get_dtype(), part.get_shape())
                if where is not None and where[name] != os.path.basename(path):
                    return f"{name}: in {path}, the index says {where[name]}"
    if found != wanted:
        names = sorted(set(found) ^ set(wanted)) or [n for n in wanted if found[n] != wanted[n]]
        return f"{len(found)} tensors, {len(wanted)} expected; the first that differs: {names[0]}"
    return ""


failed = 0
for number, folder in enumerate(sys.argv[1:], 1):
    said = difference(folder)
    failed += said != ""
    print("not ok" if said else "ok", number, "-", os.path.basename(folder), said or "is what it should be")
sys.exit(failed > 0)
END
cat >"$work/again.py" <<'END'
"""again.py FILE: is the header what safetensors writes for these tensors?"""
import sys

try:
    from safetensors.torch import load_file, save
except ImportError:
    sys.exit(77)
again = save(load_file(sys.argv[1]), metadata={"format": "pt"})
size = 8 + int.from_bytes(again[:8], "little")
with open(sys.argv[1], "rb") as file:
    sys.exit(file.read(size) != again[:size])
END

failed=0
folders=()
for entry in sim/catalogue/models/*.json; do
    model=$(basename "$entry" .json)
    folder=$work/$model
    vramscope mkmodel "$model" -o "$folder" >/dev/null || failed=1
    vramscope inspect "$model" --tensors --json "$folder/list.json" >/dev/null || failed=1
    folders+=("$folder")
done
"$python" "$work/compare.py" "${folders[@]}" || failed=1

last=$((${#folders[@]} + 1))
vramscope mkmodel qwen2.5-0.5b --layers 2 -o "$work/small" >/dev/null || failed=1
"$python" "$work/again.py" "$work/small/model.safetensors"
case $? in
0) echo "ok $last - saved again it has the same header" ;;
77) echo "ok $last - saved again it has the same header # SKIP $python has no package torch" ;;
*) echo "not ok $last - saved again it has another header" && failed=1 ;;
esac
echo "1..$last"
exit "$failed"
