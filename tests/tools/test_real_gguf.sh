#!/bin/bash
# GGUF files between us and the gguf Python package: what `mkmodel` writes is read by its GGUFReader and has the names of
# its own tensor map, and what its GGUFWriter writes - every tensor type, every value type, another alignment - is read
# by `inspect`. Python: $VS_PYTHON, else python3. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C TZ=UTC
python=${VS_PYTHON:-python3}
if ! "$python" -c 'import gguf, numpy' 2>/dev/null; then
    echo "skipped: $python has no package gguf (VS_PYTHON names another one)"
    exit 77
fi
PATH=$(cd "${OUT:-build}" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

cat >"$work/compare.py" <<'END'
"""compare.py FOLDER...: the GGUF file of each folder as gguf reads it, against FOLDER/list.json (inspect --tensors)."""
import glob, json, os, sys
import gguf

WHOLE = {"self_attn.sinks": ".weight", "mlp.experts.": ".weight", "feed_forward.experts.": ".weight",
         "linear_attn.A_log": "", "linear_attn.dt_bias": ""}


def gguf_name(names, module):
    """Our name of a tensor as llama.cpp's converter would call it."""
    for tail in (".weight", ".bias"):
        if module.endswith(tail):
            stem = module[: -len(tail)]
            # BLOOM's checkpoint names, which are in the map, lack the prefix of its modules
            found = names.get_name(stem) or names.get_name(stem.removeprefix("transformer."))
            return None if found is None else found + tail
    if module.endswith("e_score_correction_bias"):
        return names.get_name(module[: -len("_bias")]) + ".bias"
    if module.endswith("linear_attn.dt_bias"):  # renamed before it is mapped: Qwen3NextModel
        return names.get_name(module.replace("dt_bias", "dt_proj")) + ".bias"
    if module.endswith("_proj_bias"):
        return names.get_name(module[: -len("_bias")]) + ".bias"
    found = names.get_name(module)
    for part, tail in WHOLE.items():
        if part in module and found is not None:
            return found + tail
    return found


def dims(shape):
    return sorted(d for d in shape if d != 1)


def difference(folder):
    (path,) = glob.glob(os.path.join(folder, "*.gguf"))
    reader = gguf.GGUFReader(path)
    arch_name = reader.get_field("general.architecture").contents()
    arch = next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch_name)
    layers = reader.get_field(arch_name + ".block_count").contents()
    names = gguf.get_tensor_name_map(arch, layers)
    found = {t.name: t for t in reader.tensors}
    listing = json.load(open(os.path.join(folder, "list.json")))["checkpoint"]
    for module, shape, dtype in listing:
        name = gguf_name(names, module)
        t = found.pop(name, None)
        if t is None:
            return f"{module}: {name} is not in the file"
        size, block = gguf.GGML_QUANT_SIZES[t.tensor_type]
        count = 1
        for d in shape:
            count *= d
        if t.tensor_type.name != dtype or dims(t.shape.tolist()) != dims(shape) or t.n_elements != count:
            return f"{name}: {t.tensor_type.name} {t.shape.tolist()}, we say {dtype} {shape}"
        if t.n_bytes != count // size * block or t.data_offset + t.n_bytes > os.path.getsize(path):
            return f"{name}: {t.n_bytes} bytes at {t.data_offset}"
    return f"we do not list {sorted(found)[0]}" if found else ""


failed = 0
for number, folder in enumerate(sys.argv[1:], 1):
    said = difference(folder)
    failed += said != ""
    print("not ok" if said else "ok", number, "-", os.path.basename(folder), said or "has the names, shapes and types of gguf")
sys.exit(failed > 0)
END

cat >"$work/foreign.py" <<'END'
"""foreign.py write FOLDER: files of gguf's own; foreign.py check FOLDER LISTING...: what we made of them."""
import json, os, sys
import gguf, numpy as np

# Q8_1 is no type of files, and gguf-py 0.19.0 gives it the size it had before 2024.
TYPES = [t for t in gguf.GGMLQuantizationType if t.name != "Q8_1" and t.value <= 41]
PLAIN = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64}


def write(path, alignment):
    w = gguf.GGUFWriter(path, "nobody-knows-it")
    if alignment:
        w.add_custom_alignment(alignment)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(w, "add_" + kind)("test." + kind, 7)
    w.add_float32("test.float32", 0.5)
    w.add_float64("test.float64", 0.5)
    w.add_bool("test.bool", True)
    w.add_string("test.string", "gr\u00fc\u00df dich")
    w.add_array("test.numbers", [1, 2, 3])
    w.add_token_list([f"token {i}" for i in range(1000)])
    for t in TYPES:
        block, size = gguf.GGML_QUANT_SIZES[t]
        if t.name in PLAIN:
            w.add_tensor(t.name + ".weight", np.zeros((3, 5, 256), PLAIN[t.name]))
        else:
            w.add_tensor(t.name + ".weight", np.zeros((3, 5, 256 // block * size), np.uint8), raw_dtype=t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def check(path):
    listing = json.load(open(path))
    found = {name: (shape, dtype) for name, shape, dtype in listing["checkpoint"]}
    wanted = {t.name + ".weight": ([3, 5, 256], t.name) for t in TYPES}
    if found != wanted:
        return f"differs in {sorted(n for n in set(found) | set(wanted) if found.get(n) != wanted.get(n))[:3]}"
    for t in TYPES:
        block, size = gguf.GGML_QUANT_SIZES[t]
        if listing["bytes_by_dtype"][t.name] != 3 * 5 * 256 // block * size:
            return f"{t.name}: {listing['bytes_by_dtype'][t.name]} bytes"
    return ""


folder = sys.argv[2]
if sys.argv[1] == "write":
    for alignment in (0, 64, 4096):
        write(os.path.join(folder, f"aligned-{alignment}.gguf"), alignment)
    sys.exit(0)
number, failed = int(sys.argv[3]), 0
for path in sys.argv[4:]:
    said = check(path)
    failed += said != ""
    print("not ok" if said else "ok", number, "-", os.path.basename(path), said or f"all {len(TYPES)} types of gguf are read")
    number += 1
sys.exit(failed > 0)
END

failed=0
folders=()
for entry in sim/catalogue/models/*.json; do
    model=$(basename "$entry" .json)
    case "$model" in opt-*) continue ;; esac # llama.cpp has no OPT
    folder=$work/$model
    vramscope mkmodel "$model" --format gguf -o "$folder" >/dev/null || failed=1
    vramscope inspect "$folder"/*.gguf --tensors --json "$folder/list.json" >/dev/null || failed=1
    folders+=("$folder")
done
"$python" "$work/compare.py" "${folders[@]}" || failed=1

mkdir "$work/foreign"
"$python" "$work/foreign.py" write "$work/foreign" || failed=1
listings=()
for file in "$work"/foreign/*.gguf; do
    vramscope inspect "$file" --tensors --json "$file.json" >/dev/null || failed=1
    listings+=("$file.json")
done
"$python" "$work/foreign.py" check "$work/foreign" $((${#folders[@]} + 1)) "${listings[@]}" || failed=1
echo "1..$((${#folders[@]} + ${#listings[@]}))"
exit "$failed"
