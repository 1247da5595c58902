#!/usr/bin/env python3
"""What Python's own unpickler reads from a PyTorch memory snapshot, in the lines of tests/support/dump_recording.c.

usage: snapshot_oracle.py dump FILE              the lines
       snapshot_oracle.py repickle FILE FOLDER   the same objects again, as p2 p3 p4 p5.pickle, p0 and p1 too, and variants of
                                                 the C++ writer's ways (one APPENDS, memo only where shared) and of slow ones
                                                 (SETITEM and APPEND one at a time)

Independent of the C reader: it follows specs/torch-caching-allocator.md [15] and nothing else. Files are gzip'ed or not.
"""
import gzip
import io
import pickle
import struct
import sys

MASK = (1 << 64) - 1
PRIME = 0x100000001B3
BASIS = 0xCBF29CE484222325
ACTIONS = ("alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "segment_map",
           "segment_unmap", "snapshot", "oom")
STATES = {"active_allocated": 0, "active_pending_free": 1, "active_awaiting_free": 1, "inactive": 2}
NOT_TOLD = MASK


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    return pickle.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)


# ---- dump -------------------------------------------------------------------------------------------

def fnv(value, data):
    for byte in data:
        value = ((value ^ byte) * PRIME) & MASK
    return value


def raw(text):
    return text.encode("utf-8", "surrogatepass")


class Stacks:
    """Hashes of stacks; the same frame and list objects turn up again and again, so both are remembered."""

    def __init__(self):
        self.frames = {}
        self.lists = {}
        self.kept = []  # so that ids stay taken

    def frame(self, frame):
        key = (frame["filename"], frame.get("name", ""), frame["line"])
        found = self.frames.get(key)
        if found is None:
            line = b"%d" % (0 if key[2] == -1 else key[2])
            found = fnv(fnv(fnv(BASIS, raw(key[0]) + b"\0"), raw(key[1]) + b"\0"), line)
            self.frames[key] = found
        return found

    def of(self, frames):
        if not frames:
            return 0
        found = self.lists.get(id(frames))
        if found is None:
            found = 0
            for frame in frames:
                found = ((found ^ self.frame(frame)) * PRIME + 1) & MASK
            self.lists[id(frames)] = found
            self.kept.append(frames)
        return found


def quoted(text):
    return '"' + "".join(chr(c) if 0x20 < c < 0x7F and c not in (0x22, 0x25) else "%%%02x" % c for c in raw(text)) + '"'


def pool(value):
    return "%d.%d" % ((value[0] & MASK, value[1] & MASK) if value else (0, 0))


def event_lines(trace, stacks):
    lines = []
    for origin, e in enumerate(trace):
        if e["action"] not in ACTIONS:
            continue
        addr = e["device_free"] if "device_free" in e else e.get("addr", 0)
        lines.append("E %d %s %d %d %d %d %s %016x %s" % (
            origin, e["action"], addr, e.get("size", 0), e.get("time_us", 0) * 1000, e.get("stream", 0) & MASK,
            pool(e.get("pool_id")), stacks.of(e.get("frames")), quoted(e.get("user_metadata") or "")))
    return lines


def block_lines(segment, stacks):
    lines = []
    address = segment["address"]
    for b in segment["blocks"]:
        use = (b.get("history") or [{}])[0]
        address = b.get("address", address)
        lines.append("B %d %d %d %d %016x" % (
            address, b["size"], b.get("requested_size", use.get("real_size", 0)), STATES[b["state"]],
            stacks.of(b.get("frames") or use.get("frames"))))
        address += b["size"]
    return lines


def segment_lines(segments, stacks):
    lines = []
    for s in sorted(segments, key=lambda s: s["address"]):
        lines.append("G %d %d %d %d %d %d %s %s %s %d" % (
            s["address"], s["total_size"], s.get("allocated_size", NOT_TOLD), s.get("active_size", NOT_TOLD),
            s.get("requested_size", NOT_TOLD), s.get("stream", 0) & MASK, pool(s.get("segment_pool_id")),
            s.get("segment_type", "large"), "expandable" if s.get("is_expandable") else "fixed", len(s["blocks"])))
        lines += block_lines(s, stacks)
    return lines


def dump(snapshot):
    if isinstance(snapshot, list):
        snapshot = {"segments": snapshot}
    stacks = Stacks()
    traces = snapshot.get("device_traces") or []
    segments = snapshot.get("segments") or []
    lines = []
    for device in sorted({s["device"] for s in segments} | {i for i, t in enumerate(traces) if t}):
        events = event_lines(traces[device] if device < len(traces) else [], stacks)
        mine = [s for s in segments if s["device"] == device]
        if events or mine:
            lines.append("D %d %d %d" % (device, len(events), len(mine)))
            lines += events + segment_lines(mine, stacks)
    for a in snapshot.get("external_annotations") or []:
        lines.append("A %d %d %s%s" % (a["time_us"] * 1000, a["device"], quoted(a.get("name", "")),
                                       quoted(a.get("stage", ""))))
    settings = snapshot.get("allocator_settings")
    if settings is not None:
        divisions = settings.get("roundup_power2_divisions") or {}
        lines.append("S %s %d %.17g %s %s" % (
            quoted(settings.get("PYTORCH_CUDA_ALLOC_CONF", "")), settings.get("max_split_size", -1) & MASK,
            settings.get("garbage_collection_threshold", 0.0),
            "expandable" if settings.get("expandable_segments") else "fixed",
            " ".join(str(divisions.get(str(1 << i), 0)) for i in range(16))))
    return lines


# ---- the same again ---------------------------------------------------------------------------------

class Writer:
    """A pickler of plain data with other habits than Python's.

    cxx: as torch/csrc/jit/serialization/pickler.cpp does it: protocol 2, whole lists in one APPENDS, integers beyond 32
    bits as LONG1 of 8 bytes, texts remembered by value, containers only where they turn up again.
    slow: protocol 2, every item and every pair by itself, everything remembered by BINPUT or LONG_BINPUT.
    """

    def __init__(self, out, cxx):
        self.out = out
        self.cxx = cxx
        self.memo = {}
        self.uses = {}
        self.kept = []

    def count(self, value):
        todo = [value]
        while todo:
            value = todo.pop()
            if isinstance(value, (dict, list)):
                seen = self.uses.get(id(value), 0)
                self.uses[id(value)] = seen + 1
                if seen == 0:
                    todo += value.values() if isinstance(value, dict) else value

    def put(self, key):
        number = len(self.memo)
        self.memo[key] = number
        self.out.write(b"q%c" % number if number < 256 else b"r" + struct.pack("<I", number))

    def got(self, key):
        number = self.memo.get(key)
        if number is None:
            return False
        self.out.write(b"h%c" % number if number < 256 else b"j" + struct.pack("<I", number))
        return True

    def number(self, value):
        if 0 <= value < 256:
            self.out.write(b"K%c" % value)
        elif 0 <= value < 65536:
            self.out.write(b"M" + struct.pack("<H", value))
        elif -(1 << 31) <= value < 1 << 31:
            self.out.write(b"J" + struct.pack("<i", value))
        elif value < 1 << 63:
            self.out.write(b"\x8a\x08" + struct.pack("<q", value))
        else:
            self.out.write(b"\x8a\x09" + struct.pack("<Q", value) + b"\0")

    def plain(self, value):
        if value is None:
            self.out.write(b"N")
        elif isinstance(value, bool):
            self.out.write(b"\x88" if value else b"\x89")
        elif isinstance(value, int):
            self.number(value)
        elif isinstance(value, float):
            self.out.write(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            if not self.got(value):
                data = raw(value)
                self.out.write(b"X" + struct.pack("<I", len(data)) + data)
                self.put(value)
        else:
            return False
        return True

    def items(self, value, many, one):
        rows = list(value.items()) if isinstance(value, dict) else [(v,) for v in value]
        if self.cxx and rows:
            self.out.write(b"(")
        for row in rows:
            for item in row:
                self.value(item)
            if not self.cxx:
                self.out.write(one)
        if self.cxx and rows:
            self.out.write(many)

    def value(self, value):
        if self.plain(value):
            return
        if isinstance(value, tuple):
            for item in value:
                self.value(item)
            self.out.write((b")", b"\x85", b"\x86", b"\x87")[len(value)])
        elif not self.got(id(value)):
            is_dict = isinstance(value, dict)
            self.out.write(b"}" if is_dict else b"]")
            if not self.cxx or self.uses[id(value)] > 1:
                self.put(id(value))
                self.kept.append(value)
            self.items(value, b"u" if is_dict else b"e", b"s" if is_dict else b"a")

    def write(self, value):
        self.count(value)
        self.out.write(b"\x80\x02")
        self.value(value)
        self.out.write(b".")


def repickle(snapshot, folder):
    for protocol in range(6):
        with open("%s/p%d.pickle" % (folder, protocol), "wb") as file:
            pickle.dump(snapshot, file, protocol)
    for name in ("cxx", "slow"):
        out = io.BytesIO()
        Writer(out, name == "cxx").write(snapshot)
        if pickle.loads(out.getvalue()) != snapshot:
            sys.exit("the writer of this test is wrong")
        with open("%s/%s.pickle" % (folder, name), "wb") as file:
            file.write(out.getvalue())
    with gzip.open("%s/gz.pickle.gz" % folder, "wb", 1) as file:
        pickle.dump(snapshot, file, 4)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "dump":
        sys.stdout.write("".join(line + "\n" for line in dump(load(sys.argv[2]))))
    elif len(sys.argv) == 4 and sys.argv[1] == "repickle":
        repickle(load(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
