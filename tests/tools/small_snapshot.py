#!/usr/bin/env python3
"""Writes a PyTorch memory snapshot of a dozen events, made up for tests.

usage: small_snapshot.py KIND FILE

whole    three tensors in a 20 MiB segment, two of them freed; comes out identical
late     the same without its first three events
moved    the second tensor stands 512 bytes further than any allocator would put it
larger   the list at the end says a block is 512 bytes longer
stray    an address is freed that nobody allocated
bare     no history at all
two      the whole one on device 0, the bare one on device 1
"""
import pickle
import sys

MIB = 1 << 20
SEGMENT = 0x7F0000000000


def event(action, offset, size, time_us):
    return {"action": action, "addr": SEGMENT + offset, "size": size, "stream": 0, "time_us": time_us}


def history():
    sizes = [3 * MIB + 100, 5 * MIB, 2 * MIB]
    places = [0, 3 * MIB + 512, 8 * MIB + 512]
    events = [event("segment_alloc", 0, 20 * MIB, 1000)]
    events += [event("alloc", places[i], sizes[i], 1010 + i) for i in range(3)]
    for i in (0, 2):
        events += [event(a, places[i], sizes[i], 1020 + i) for a in ("free_requested", "free_completed")]
    return events


def blocks():
    def block(offset, size, state, requested):
        return {"address": SEGMENT + offset, "size": size, "requested_size": requested, "state": state}

    return [
        block(0, 3 * MIB + 512, "inactive", 0),
        block(3 * MIB + 512, 5 * MIB, "active_allocated", 5 * MIB),
        block(8 * MIB + 512, 12 * MIB - 512, "inactive", 0),
    ]


def segment(device):
    return {
        "device": device, "address": SEGMENT, "total_size": 20 * MIB, "allocated_size": 5 * MIB,
        "active_size": 5 * MIB, "requested_size": 5 * MIB, "stream": 0, "segment_type": "large",
        "segment_pool_id": (0, 0), "is_expandable": False, "blocks": blocks(),
    }


def make(kind):
    traces = [history()]
    segments = [segment(0)]
    if kind == "late":
        traces[0] = traces[0][3:]
    elif kind == "moved":
        for entry in traces[0]:
            if entry["addr"] == SEGMENT + 3 * MIB + 512:
                entry["addr"] += 512
    elif kind == "larger":
        segments[0]["blocks"][1]["size"] += 512
        segments[0]["blocks"][2]["address"] += 512
        segments[0]["blocks"][2]["size"] -= 512
    elif kind == "stray":
        traces[0].insert(4, event("free_completed", 16 * MIB, 512, 1015))
        traces[0].insert(4, event("free_requested", 16 * MIB, 512, 1015))
    elif kind == "bare":
        traces[0] = []
    elif kind == "two":
        traces.append([])
        segments.append(segment(1))
    elif kind != "whole":
        sys.exit(__doc__)
    return {"segments": segments, "device_traces": traces}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], "wb") as out:
        pickle.dump(make(sys.argv[1]), out, protocol=4)
