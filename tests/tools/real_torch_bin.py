"""Files of torch.save for test_real_torch_bin.sh.

usage: real_torch_bin.py PROGRAM FOLDER
Saves one file a case, asks PROGRAM for its tensors and compares them with the state dict that was saved.
"""
import collections
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
import zipfile

import torch

warnings.filterwarnings("ignore")
PROGRAM, FOLDER = sys.argv[1], sys.argv[2]
NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "float4_e2m1fn_x2": "F4", "int64": "I64", "uint64": "U64",
    "int32": "I32", "uint32": "U32", "int16": "I16", "uint16": "U16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}
cases, failed = 0, False


def say(name, problem):
    global cases, failed
    cases += 1
    failed = failed or problem is not None
    print(f"{'ok' if problem is None else 'not ok'} {cases} - {name}", flush=True)
    if problem is not None:
        print("# " + str(problem)[:2000].replace("\n", "\n# "), flush=True)


def run(path):
    return subprocess.run([PROGRAM, "inspect", path, "--tensors", "--json", "-"], capture_output=True, text=True)


def expected(tensors):
    out = {}
    for name, t in tensors.items():
        shape = list(t.shape)
        dtype = NAMES[str(t.dtype).removeprefix("torch.")]
        if dtype == "F4" and shape:
            shape[-1] *= 2  # torch counts pairs
        out[name] = (shape, dtype)
    return out


def check(name, path, tensors, notes=()):
    """The program's list of tensors of path against the real ones."""
    result = run(path)
    if result.returncode != 0:
        return say(name, result.stderr)
    found = json.loads(result.stdout)
    ours = {entry[0]: (entry[1], entry[2]) for entry in found["checkpoint"]}
    wanted = expected(tensors)
    difference = [f"{k}: {ours.get(k)} instead of {wanted.get(k)}" for k in sorted({**ours, **wanted})
                  if ours.get(k) != wanted.get(k)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values() if t.numel()}
    if found["checkpoint_bytes"] != sum(storages.values()):
        difference.append(f"checkpoint_bytes {found['checkpoint_bytes']}, storages {sum(storages.values())}")
    difference += [f"no note with {note!r} in {found['notes']}" for note in notes
                   if not any(note in line for line in found["notes"])]
    say(name, "\n".join(difference) or None)


def path_of(name):
    return os.path.join(FOLDER, name)


def save(name, what, **options):
    torch.save(what, path_of(name), **options)
    return path_of(name)


def refused(name, path, *words):
    result = run(path)
    problem = None
    if result.returncode != 1 or result.stdout or len(result.stderr.splitlines()) != 1:
        problem = f"exit {result.returncode}, {result.stdout[:200]} {result.stderr}"
    elif not all(word in result.stderr for word in words):
        problem = f"{result.stderr.strip()} does not say {words}"
    elif os.path.exists(path_of("it-ran")):
        problem = "IT WAS RUN"
    say(name, problem)


def all_dtypes():
    out = collections.OrderedDict()
    for name in NAMES:
        dtype = getattr(torch, name, None)
        if dtype is None:
            continue  # an older torch
        if name == "float4_e2m1fn_x2":
            out["t." + name] = torch.zeros(3, 4, dtype=torch.uint8).view(dtype)
        else:
            out["t." + name] = torch.zeros(2, 5, dtype=torch.uint8).to(dtype)
            out["scalar." + name] = torch.zeros((), dtype=torch.uint8).to(dtype)
    out["empty"] = torch.zeros(0, 3)
    out["eight.dims"] = torch.zeros(1, 2, 1, 2, 1, 2, 1, 2)
    out["n\u00e4me \u2603"] = torch.zeros(1)
    return out


def views():
    base = torch.zeros(10, 8)
    return {"base": base, "tied": base, "rows": base[2:5], "turned": base.t(), "wide": torch.zeros(1, 4).expand(6, 4),
            "half.a": (half := torch.zeros(16))[:8], "half.b": half[8:]}


def formats():
    dtypes = all_dtypes()
    for protocol in (2, 3, 4, 5):
        check(f"every dtype, protocol {protocol}", save(f"p{protocol}.bin", dtypes, pickle_protocol=protocol), dtypes)
    old = {k: v for k, v in dtypes.items()}
    for protocol in (2, 3, 4, 5):
        path = save(f"o{protocol}.bin", old, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        check(f"every dtype before PyTorch 1.6, protocol {protocol}", path, old, ["before PyTorch 1.6"])
    shared = views()
    check("views of one storage", save("views.pt", shared), shared, ["tied shares 320 bytes with base", "not contiguous"])
    check("views of one storage, old format", save("views.pth", shared, _use_new_zipfile_serialization=False), shared)
    buffer = io.BytesIO()
    torch.save(dtypes, buffer)
    with open(path_of("buffer.bin"), "wb") as out:
        out.write(buffer.getvalue())
    check("saved to a buffer", path_of("buffer.bin"), dtypes)
    with open(path_of("prefix.bin"), "wb") as out:
        out.write(b"#!/bin/sh\n" + buffer.getvalue())
    check("bytes before the archive", path_of("prefix.bin"), dtypes, ["10 bytes stand before"])
    with open(path_of("comment.bin"), "wb") as out:
        out.write(buffer.getvalue())
    with zipfile.ZipFile(path_of("comment.bin"), "a") as archive:
        archive.comment = b"a comment of some bytes, PK"
    check("an archive with a comment, rewritten by Python", path_of("comment.bin"), dtypes)
    with zipfile.ZipFile(path_of("comment.bin")) as archive, zipfile.ZipFile(path_of("again.bin"), "w") as copy:
        for entry in archive.infolist():
            copy.writestr(entry.filename, archive.read(entry))
    check("an archive without torch's alignment", path_of("again.bin"), dtypes)


def modules():
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32).to(torch.bfloat16)
    check("a module's state dict, with metadata", save("layer.bin", layer.state_dict()), layer.state_dict())
    parameters = dict(layer.named_parameters())
    check("parameters", save("parameters.bin", parameters), parameters)
    tagged = torch.nn.Parameter(torch.zeros(3))
    tagged.tag = "x"
    plain = torch.zeros(2)
    plain.tag = 5
    check("tensors with attributes", save("tagged.bin", {"p": tagged, "t": plain}), {"p": tagged, "t": plain})
    many = {f"model.layers.{i}.weight": torch.zeros(1) for i in range(5000)}
    check("five thousand tensors", save("many.bin", many), many)
    check("five thousand tensors, old format", save("many.pt", many, _use_new_zipfile_serialization=False), many)


def wrapped():
    layer = torch.nn.Linear(4, 4)
    adam = torch.optim.Adam(layer.parameters())
    layer(torch.zeros(1, 4)).sum().backward()
    adam.step()
    inner = layer.state_dict()
    size = torch.Size([1, 2])
    training = {"epoch": 3, "loss": 0.5, "state_dict": inner, "optimizer": adam.state_dict(), "args": {"lr": 1e-3},
                "done": False, "note": None, "shape": size, "where": torch.device("cpu"), "raw": b"\0\1",
                "big": 1 << 90, "count": collections.Counter("aab"), "list": [1, 2.5, "x"], "set": {1, 2}}
    check("a training checkpoint", save("training.pt", training), inner, ['the tensors are in "state_dict"'])
    twice = {"model": {"module": inner}, "step": 1}
    check("a dict in a dict", save("twice.pt", twice), inner)
    nested = {"model": {"language_model": {"embedding": {"weight": torch.zeros(8)}, "head": {"weight": torch.zeros(4)}}}}
    check("nested names", save("nested.pt", nested), {
        "language_model.embedding.weight": torch.zeros(8), "language_model.head.weight": torch.zeros(4)})
    flat = {**inner, "step": 7, "optimizer": adam.state_dict()}
    check("a state dict with other things in it", save("flat.pt", flat), inner,
          ["left out, since it belongs to training: optimizer", "1 value that is no tensor is left out: step"])


def folders():
    a, b = {"a.weight": torch.zeros(3)}, {"b.weight": torch.zeros(5)}
    folder = path_of("sharded")
    os.mkdir(folder)
    torch.save(a, folder + "/pytorch_model-00001-of-00002.bin")
    torch.save(b, folder + "/pytorch_model-00002-of-00002.bin")
    check("shards by their names", folder, {**a, **b})
    index = {"metadata": {"total_size": 32}, "weight_map": {
        "a.weight": "pytorch_model-00001-of-00002.bin", "b.weight": "pytorch_model-00002-of-00002.bin"}}
    with open(folder + "/pytorch_model.bin.index.json", "w") as out:
        json.dump(index, out)
    torch.save({"x": 1}, folder + "/training_args.bin")
    torch.save({"x": 1}, folder + "/optimizer.pt")
    check("shards by the index", folder, {**a, **b})
    os.remove(folder + "/pytorch_model-00002-of-00002.bin")
    refused("a shard that is missing", folder, "pytorch_model-00002-of-00002.bin is missing", "incomplete")
    refused("training_args.bin asked for", folder + "/training_args.bin", "does not hold the weights")


class Runs:
    def __init__(self, function, *args):
        self.what = function, args

    def __reduce__(self):
        return self.what


def hostile():
    touch = f"touch {path_of('it-ran')}"
    for protocol in (2, 4):
        for legacy in (False, True):
            options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": not legacy}
            what = f"protocol {protocol}{', old format' if legacy else ''}"
            refused(f"os.system, {what}", save("evil.bin", {"w": torch.zeros(1), "x": Runs(os.system, touch)}, **options),
                    "posix.system", "nothing was run")
            refused(f"eval, {what}", save("evil.bin", {"x": Runs(eval, f"__import__('os').system('{touch}')")}, **options),
                    "eval", "nothing was run")
            refused(f"a pickle in a pickle, {what}",
                    save("evil.bin", {"x": Runs(torch.storage._load_from_bytes, b"")}, **options),
                    "_load_from_bytes", "nothing was run")
            refused(f"a whole model, {what}", save("evil.bin", torch.nn.Linear(2, 2), **options),
                    "torch.nn.modules.linear.Linear", "state_dict()")
    with open(path_of("plain.bin"), "wb") as out:
        pickle.dump(Runs(os.system, touch), out)
    refused("a plain pickle that runs something", path_of("plain.bin"), "posix.system", "nothing was run")
    with open(path_of("plain.bin"), "wb") as out:
        pickle.dump({"a": 1}, out)
    refused("a plain pickle", path_of("plain.bin"), "magic number")


def others():
    torch.jit.script(torch.nn.Linear(2, 2)).save(path_of("script.pt"))
    refused("TorchScript", path_of("script.pt"), "TorchScript")
    refused("complex numbers", save("complex.pt", {"c": torch.zeros(2, dtype=torch.complex64)}), "ComplexFloatStorage")
    refused("a sparse tensor", save("sparse.pt", {"s": torch.eye(3).to_sparse()}), "_rebuild_sparse_tensor")
    refused("a tensor alone", save("alone.pt", torch.zeros(3)), "the file holds a tensor")
    refused("a list", save("list.pt", [torch.zeros(3)]), "the file holds a list")
    refused("no tensors", save("none.pt", {"epoch": 3}), "no tensors in it, only epoch")
    with zipfile.ZipFile(path_of("packed.bin"), "w", zipfile.ZIP_DEFLATED) as copy, \
            zipfile.ZipFile(path_of("layer.bin")) as archive:
        for entry in archive.infolist():
            copy.writestr(entry.filename, archive.read(entry))
    refused("a compressed archive", path_of("packed.bin"), "compressed (deflate, 8)")
    with tarfile.open(path_of("old.tar"), "w") as out:
        out.add(path_of("many.bin"), "storages")
    os.rename(path_of("old.tar"), path_of("tar.pth"))
    refused("the tar format", path_of("tar.pth"), "tar format", "weights_only=False")
    with open(path_of("lfs.bin"), "w") as out:
        out.write("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused("a Git LFS pointer", path_of("lfs.bin"), "Git LFS pointer")
    with open(path_of("layer.bin"), "rb") as whole, open(path_of("cut.bin"), "wb") as part:
        part.write(whole.read()[:-1000])
    refused("half a download", path_of("cut.bin"), "is the download complete?")


print("# torch " + torch.__version__)
for group in (formats, modules, wrapped, folders, hostile, others):
    group()
print(f"1..{cases}")
sys.exit(1 if failed else 0)
