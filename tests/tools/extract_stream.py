#!/usr/bin/env python3
"""Turns one recorded PyTorch memory snapshot (pickle, may be gzipped) into a plain text stream.

usage: extract_stream.py SNAPSHOT > STREAM

Only for recordings that began with an empty allocator, on one device, without deferred frees: the
others are refused with a reason. The unpickler refuses every global, so a snapshot cannot run code.

Lines, in the order of the recording:
  S ADDR BYTES             the driver gave a segment
  F ADDR BYTES             a segment goes back
  A ID BYTES STREAM ADDR   allocation: BYTES asked, ADDR of the block
  R ID                     free, requested and completed
  O BYTES FREE             out of memory: BYTES rounded, FREE on the device
and the end state:
  L ADDR BYTES POOL STREAM a segment (POOL: small or large)
  B ADDR BYTES STATE       its blocks (STATE: allocated or free)
  T RESERVED ALLOCATED     the recording's own totals
"""
import gzip
import pickle
import sys


class PlainUnpickler(pickle.Unpickler):
    """Dicts, lists, tuples, strings and numbers only."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"refused: the file names {module}.{name}")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("refused: persistent id")


def refuse(reason):
    sys.exit(f"extract_stream.py: {reason}")


def load(path):
    with open(path, "rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    with (gzip.open if is_gzip else open)(path, "rb") as stream:
        return PlainUnpickler(stream).load()


def the_trace(snapshot):
    used = [(i, t) for i, t in enumerate(snapshot["device_traces"]) if t]
    if len(used) != 1:
        refuse(f"{len(used)} devices have events, expected 1")
    return used[0]


def events(trace, out):
    live = {}
    next_id = 0
    i = 0
    while i < len(trace):
        event = trace[i]
        action = event["action"]
        if action == "segment_alloc":
            out.append(f"S {event['addr']} {event['size']}")
        elif action == "segment_free":
            out.append(f"F {event['addr']} {event['size']}")
        elif action == "alloc":
            live[event["addr"]] = next_id
            out.append(f"A {next_id} {event['size']} {event['stream']} {event['addr']}")
            next_id += 1
        elif action == "free_requested":
            done = trace[i + 1] if i + 1 < len(trace) else {}
            if done.get("action") != "free_completed" or done["addr"] != event["addr"]:
                refuse(f"event {i}: a deferred free")
            if event["addr"] not in live:
                refuse(f"event {i}: frees a block from before the recording")
            out.append(f"R {live.pop(event['addr'])}")
            i += 1
        elif action == "oom":
            free = event.get("device_free", event.get("addr"))
            out.append(f"O {event['size']} {free}")
        elif action != "snapshot":
            refuse(f"event {i}: action {action}")
        i += 1


def end_state(snapshot, device, out):
    reserved = 0
    allocated = 0
    for segment in sorted(snapshot["segments"], key=lambda s: s["address"]):
        if segment["device"] != device:
            continue
        reserved += segment["total_size"]
        allocated += segment["allocated_size"]
        out.append(f"L {segment['address']} {segment['total_size']} "
                   f"{segment['segment_type']} {segment['stream']}")
        addr = segment["address"]
        for block in segment["blocks"]:
            if block["state"] not in ("active_allocated", "inactive"):
                refuse(f"a block is {block['state']}")
            state = "allocated" if block["state"] == "active_allocated" else "free"
            out.append(f"B {block.get('address', addr)} {block['size']} {state}")
            addr += block["size"]
    out.append(f"T {reserved} {allocated}")
    return reserved


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    snapshot = load(sys.argv[1])
    if not isinstance(snapshot, dict):
        refuse("a snapshot from before 2.0: it has no events")
    device, trace = the_trace(snapshot)
    grown = 0
    for event in trace:
        if event["action"] in ("segment_alloc", "segment_free"):
            grown += event["size"] if event["action"] == "segment_alloc" else -event["size"]
    out = []
    events(trace, out)
    reserved = end_state(snapshot, device, out)
    if grown != reserved:
        refuse(f"not whole: {reserved} bytes reserved at the end, {grown} recorded")
    print("\n".join(out))


if __name__ == "__main__":
    main()
