#!/usr/bin/env python3
"""What `vramscope sim` and `convert` write, read by Python: snapshots by pickle (and by torch.cuda._memory_viz where there
is a torch), Chrome traces by json, held against the CSV of the same run. TAP.

usage: written_traces.py VRAMSCOPE WORK_FOLDER
"""
import contextlib
import csv
import decimal
import io
import json
import pickle
import pickletools
import subprocess
import sys

PROGRAM, WORK = sys.argv[1:3]
RUNS = [
    ("fits", ["llama-2-7b", "--gpu", "rtx-4090", "--dtype", "bf16"]),
    ("oom", ["mixtral-8x7b", "--gpu", "h100-sxm"]),
    ("expandable", ["qwen2.5-7b", "--gpu", "24GiB", "--alloc-conf", "expandable_segments:True"]),
    ("quantised", ["llama-2-7b", "--gpu", "rtx-4090", "--quant", "bnb-nf4-dq"]),
    ("options", ["qwen3-0.6b", "--gpu", "8GiB", "--alloc-conf",
                 "max_split_size_mb:64,garbage_collection_threshold:0.75,roundup_power2_divisions:8"]),
]
# Opcodes that the reader in pytorch/pytorch torch/utils/viz/MemoryViz.js knows and that we use.
OPCODES = set("PROTO FRAME MEMOIZE EMPTY_DICT EMPTY_LIST MARK SHORT_BINUNICODE BINUNICODE BININT BININT1 BININT2 LONG1 "
              "BINFLOAT NEWTRUE NEWFALSE NONE TUPLE2 SETITEMS APPENDS BINGET LONG_BINGET STOP".split())
ENTRY_KEYS = {"action", "size", "stream", "time_us", "compile_context", "user_metadata", "frames"}
SEGMENT_KEYS = {"device", "address", "total_size", "allocated_size", "active_size", "requested_size", "stream",
                "segment_type", "segment_pool_id", "is_expandable", "frames", "blocks"}
STATES = {"active_allocated", "active_pending_free", "inactive"}
count = 0
failed = 0


def ok(name, is_good, why=""):
    global count, failed
    count += 1
    failed += not is_good
    print(f"{'ok' if is_good else 'not ok'} {count} - {name}" + (f": {why}" if why and not is_good else ""))


def run(*words, expect=0):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise SystemExit(f"{' '.join(words)}: exit status {done.returncode}: {done.stderr}")
    return done


def path(name):
    return f"{WORK}/{name}"


def same(a, b):
    with open(path(a), "rb") as one, open(path(b), "rb") as other:
        return one.read() == other.read()


def check_shape(snap):
    """The schema of specs/torch-caching-allocator.md [15]."""
    assert {"segments", "device_traces", "allocator_settings", "external_annotations"} <= set(snap)
    for segment in snap["segments"]:
        assert set(segment) == SEGMENT_KEYS, set(segment)
        assert segment["segment_type"] in ("small", "large")
        at = segment["address"]
        sums = {"active_allocated": 0, "active_pending_free": 0, "inactive": 0}
        requested = 0
        for block in segment["blocks"]:
            assert block["address"] == at and block["size"] > 0 and block["state"] in STATES
            at += block["size"]
            sums[block["state"]] += block["size"]
            requested += block["requested_size"] if block["state"] != "inactive" else 0
            check_frames(block["frames"])
        assert at == segment["address"] + segment["total_size"]
        assert segment["allocated_size"] == sums["active_allocated"]
        assert segment["active_size"] == sums["active_allocated"] + sums["active_pending_free"]
        assert segment["requested_size"] == requested
    keys = [(s["device"], s["address"]) for s in snap["segments"]]
    assert keys == sorted(keys)
    for trace in snap["device_traces"]:
        last = 0
        for entry in trace:
            assert ENTRY_KEYS <= set(entry), set(entry)
            assert ("device_free" if entry["action"] == "oom" else "addr") in entry
            assert entry["time_us"] >= last
            last = entry["time_us"]
            check_frames(entry["frames"])
    # MemoryViz.js fails when there are categories and none is "unknown"
    categories = {e["category"] for t in snap["device_traces"] for e in t if "category" in e}
    assert not categories or "unknown" in categories


def check_frames(frames):
    for frame in frames:
        assert set(frame) == {"name", "filename", "line"}


def walk(snap, device):
    """Forwards: entries say what the segments say at the end. Returns allocations and totals after every entry."""
    live, pending, pages, totals = {}, {}, {}, []
    allocated = reserved = 0
    for entry in snap["device_traces"][device]:
        action, addr, size = entry["action"], entry.get("addr"), entry["size"]
        if action == "alloc":
            assert addr not in live and addr not in pending
            live[addr] = size
        elif action == "free_requested":
            assert live[addr] == size
            pending[addr] = live.pop(addr)
        elif action == "free_completed":
            assert pending.pop(addr) == size
        elif action in ("segment_alloc", "segment_map"):
            pages[addr] = size
            reserved += size
        elif action in ("segment_free", "segment_unmap"):
            reserved -= size
        totals.append((entry["time_us"], action, reserved))
    blocks = {b["address"]: b for s in snap["segments"] if s["device"] == device for b in s["blocks"]}
    active = {a: b["requested_size"] for a, b in blocks.items() if b["state"] == "active_allocated"}
    assert active == live, (len(active), len(live))
    assert {a for a, b in blocks.items() if b["state"] == "active_pending_free"} == set(pending)
    assert sum(s["total_size"] for s in snap["segments"] if s["device"] == device) == reserved
    return totals


def check_history(snap, device):
    """Backwards, as "Allocator State History" goes: every block lies in a segment at every moment."""
    segments = sorted([s["address"], s["total_size"], s["stream"]] for s in snap["segments"] if s["device"] == device)
    blocks = {b["address"] for s in snap["segments"] if s["device"] == device for b in s["blocks"]
              if b["state"] != "inactive"}

    def check():
        for addr in blocks:
            assert any(s[0] <= addr < s[0] + s[1] for s in segments), addr

    steps = 0
    for entry in reversed(snap["device_traces"][device]):
        action, addr, size = entry["action"], entry.get("addr"), entry["size"]
        if action == "free_completed":
            blocks.add(addr)
        elif action == "alloc":
            blocks.remove(addr)
        elif action == "segment_free":
            segments.append([addr, size, 0])
        elif action == "segment_unmap":
            segments.append([addr, size, 0])
        elif action == "segment_alloc":
            segments.remove(next(s for s in segments if s[0] == addr))
        elif action == "segment_map":
            old = next(s for s in segments if s[0] <= addr and addr + size <= s[0] + s[1])
            segments.remove(old)
            for part in ([old[0], addr - old[0], 0], [addr + size, old[0] + old[1] - addr - size, 0]):
                if part[1] > 0:
                    segments.append(part)
        steps += 1
        if steps % 97 == 0:
            check()
    check()
    assert not blocks and not segments


def check_opcodes(name):
    with open(path(name), "rb") as file:
        data = file.read()
    names = {op.name for op, _, _ in pickletools.genops(data)}
    assert names <= OPCODES, names - OPCODES
    pickletools.dis(data, out=io.StringIO())  # the stack is right, and so are memo and frames


def rows_of(name):
    with open(path(name), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_against_csv(snap, name):
    """Recorded at the instant and with the bytes of the event."""
    base = min(e["time_us"] for t in snap["device_traces"] for e in t)
    cards = []
    for row in rows_of(name):
        if row["event"].startswith("segment") and row["device"] not in cards:
            cards.append(row["device"])
    for device, card in enumerate(cards):
        kinds = {"alloc": ["alloc"], "free": ["free_requested", "free_completed"], "oom": ["oom"],
                 "segment_alloc": ["segment_alloc"], "segment_free": ["segment_free"],
                 "segment_map": ["segment_map"], "segment_unmap": ["segment_unmap"]}
        wanted = [(action, int(row["time_ns"]) // 1000, int(row["addr"] or 0)) for row in rows_of(name)
                  if row["device"] == card for action in kinds.get(row["event"], [])]
        got = [(e["action"], e["time_us"] - base, e.get("addr", 0)) for e in snap["device_traces"][device]]
        first = wanted[0][1]
        assert [(a, t - first, x) for a, t, x in wanted] == got, card


def check_chrome(name, table):
    """Counters and slices are whole nanoseconds and exact bytes."""
    with open(path(name), encoding="utf-8") as file:
        events = json.load(file, parse_float=decimal.Decimal)["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    used, torch = {}, {}
    for row in rows_of(table):
        used.setdefault((row["device"], int(row["time_ns"])), []).append(row["used_bytes"])
        if row["allocated_bytes"]:
            torch.setdefault((row["device"], int(row["time_ns"])), []).append(
                (int(row["allocated_bytes"]), int(row["reserved_bytes"])))
    ns = lambda e: int(decimal.Decimal(e["ts"]) * 1000)
    counters = 0
    for e in events:
        if e["ph"] == "C" and e["name"] == "memory":
            assert str(sum(e["args"].values())) in used[names[e["pid"]], ns(e)]
            counters += 1
        elif e["ph"] == "C" and e["name"] == "torch":
            assert (e["args"]["allocated"], e["args"]["reserved"]) in torch[names[e["pid"]], ns(e)]
            counters += 1
        elif e["ph"] == "X":
            assert decimal.Decimal(e["dur"]) * 1000 % 1 == 0 and e["args"]["bytes"] >= 0
    instants = {e["args"]["kind"] for e in events if e["ph"] == "i"}
    marks = {row["event"] for row in rows_of(table)} & {"oom", "phase", "surface", "mark"}
    assert counters > 0 and instants == marks, (instants, marks)


def attempt(name, check, *args):
    try:
        check(*args)
        ok(name, True)
    except (AssertionError, KeyError, StopIteration, ValueError) as error:
        ok(name, False, f"{type(error).__name__}: {error}")


def check_run(name, words):
    run("sim", *words, "--snapshot", path("s.pickle"), "--tape", path("s.tape"), "--csv", path("s.csv"), "--trace",
        path("s.json"))
    with open(path("s.pickle"), "rb") as file:
        snap = pickle.load(file)
    attempt(f"{name}: opcodes, frames and memo are those of a plain pickle", check_opcodes, "s.pickle")
    attempt(f"{name}: the schema is that of PyTorch", check_shape, snap)
    attempt(f"{name}: forwards, the entries lead to the segments", walk, snap, 0)
    attempt(f"{name}: backwards, every block lies in a segment", check_history, snap, 0)
    attempt(f"{name}: entries are the events of the run", check_against_csv, snap, "s.csv")
    attempt(f"{name}: the Chrome trace is exact", check_chrome, "s.json", "s.csv")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        with open(path("again.pickle"), "wb") as file:
            pickle.dump(snap, file, protocol=protocol)
        run("convert", path("again.pickle"), "-o", path("again.tape"))
        ok(f"{name}: the tape comes back, pickled again with protocol {protocol}", same("s.tape", "again.tape"))
    done = run("replay", path("s.pickle"), "--strict", "--no-ranking")
    ok(f"{name}: our allocator, given the requests, does the same again", "identical:" in done.stdout, done.stdout)
    check_torch(name, snap)
    return snap


def check_torch(name, snap):
    try:
        from torch.cuda import _memory_viz as viz
    except ImportError:
        print(f"# {name}: no torch, so its viewers were not asked")
        return
    plain = lambda lines: lines
    try:
        reserved = sum(s["total_size"] for s in snap["segments"])
        ok(f"{name}: torch's stats add up", f"total_reserved: {viz.Bytes(reserved)}" in viz.segsum(snap))
        ok(f"{name}: torch's trace names every entry", f"{len(snap['device_traces'][0])} entries" in viz.trace(snap))
        for what in (viz.memory, viz.segments):
            lines = what(snap, format_flamegraph=plain).splitlines()
            ok(f"{name}: torch's flame graph of {what.__name__} has all bytes",
               sum(int(line.rsplit(" ", 1)[1]) for line in lines) == reserved)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints; its command line fails for every dict
            difference = viz.compare(snap["segments"], snap["segments"], format_flamegraph=plain)
        ok(f"{name}: torch compares it with itself", difference == "")
        for what in (viz.trace_plot, viz.segment_plot):
            ok(f"{name}: torch's {what.__name__} takes it", "snapshot.pickle" in what(snap))
    except Exception as error:  # any failure of the viewers is one of ours
        ok(f"{name}: torch's viewers", False, repr(error))


def check_changed(snap):
    snap["device_traces"][0].pop()
    with open(path("changed.pickle"), "wb") as file:
        pickle.dump(snap, file)
    done = run("convert", path("changed.pickle"), "-o", path("changed.tape"))
    ok("a snapshot that was changed is read for what it is", "changed since" in done.stderr, done.stderr)
    del snap["vramscope"]["strings"]
    snap["vramscope"]["entry_count"] -= 1
    with open(path("changed.pickle"), "wb") as file:
        pickle.dump(snap, file)
    done = run("convert", path("changed.pickle"), "-o", path("broken.tape"))
    ok("a record that is not whole is not used", "is not used" in done.stderr, done.stderr)
    ok("both give the same tape", same("changed.tape", "broken.tape"))


def check_hostile(snap):
    """Records that would take more than there is, or that are of another kind: never used, never slow."""
    long = "x" * 65536
    lies = {
        "events without columns": {"event_count": 1 << 62, "event_block": None},
        "events of another number": {"event_count": 3},
        "spans without lanes": {"span_count": 1 << 40, "span_lane": None},
        "blocks without events": {"block_count": 1 << 62},
        "one text many times": {"strings": [""] + [long] * 100000},
        "facts without end": {"metas": [0, 1] * 100000},
        "memories without end": {"device_count": 1 << 60, "device_kind": None, "device_name": None,
                                 "device_capacity_bytes": None},
        "lanes without end": {"lane_count": 1 << 60, "lane_name": None},
        "a negative time": {"event_time_ns": [-1] * len(snap["vramscope"]["event_block"])},
        "a time that is no number": {"event_time_ns": ["x"] * len(snap["vramscope"]["event_block"])},
        "kinds that nobody knows": {"event_kinds": ["other"] * 14},
        "no kinds": {"event_kinds": 7},
        "a column that is a text": {"event_addr": "x"},
        "another format": {"format": "other/1"},
        "a record that is a list": [1, 2, 3],
    }
    for name, lie in lies.items():
        own = dict(snap["vramscope"]) if isinstance(lie, dict) else lie
        for key, value in lie.items() if isinstance(lie, dict) else ():
            if value is None:
                own.pop(key, None)
            else:
                own[key] = value
        with open(path("lie.pickle"), "wb") as file:
            pickle.dump({**snap, "vramscope": own}, file)
        done = run("convert", path("lie.pickle"), "-o", path("lie.tape"))
        ok(f"not used: {name}", "is not used" in done.stderr, done.stderr)


def main():
    last = None
    for name, words in RUNS:
        snap = check_run(name, words)
        if name == "options":
            settings = snap["allocator_settings"]
            ok("options are those of the run", settings["max_split_size"] == 64 << 20 and
               settings["garbage_collection_threshold"] == 0.75 and
               set(settings["roundup_power2_divisions"].values()) == {8} and
               settings["PYTORCH_CUDA_ALLOC_CONF"] == RUNS[-1][1][-1])
        last = snap
    check_hostile(last)
    check_changed(last)
    print(f"1..{count}")
    sys.exit(1 if failed else 0)


main()
