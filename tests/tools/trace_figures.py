#!/usr/bin/env python3
"""Figures of text recordings, worked out by Python's own json and csv: what tests/unit/test_real_texts.c expects.

usage: trace_figures.py FILE...      (Chrome traces, raw memory timelines, nvidia-smi "gpu, MiB" samples, gzip'ed)
"""

import collections
import gzip
import json
import sys


def replay(changes, start=0):
    """(peak, last) of a sum."""
    level = peak = start
    for change in changes:
        level += change
        peak = max(peak, level)
    return peak, level


def chrome(trace):
    devices = collections.defaultdict(list)
    cats = collections.Counter()
    for event in trace["traceEvents"]:
        if event.get("name") == "[memory]":
            args = event["args"]
            devices[args["Device Type"], args["Device Id"]].append((event["ts"], args))
        cats[event.get("cat")] += event.get("ph") == "X"
    for key, events in sorted(devices.items()):
        in_time = sorted(events, key=lambda e: e[0])
        wrong = {}
        for name, order in (("file", events), ("time", in_time)):
            wrong[name] = sum(
                a["Total Allocated"] + b["Bytes"] != b["Total Allocated"]
                for (_, a), (_, b) in zip(order, order[1:])
                if "Total Allocated" in a
            )
        first = in_time[0][1]
        start = first.get("Total Allocated", first["Bytes"]) - first["Bytes"]
        peak, last = replay((a["Bytes"] for _, a in in_time), start)
        print(f"  device {key}: {len(events)} events, {sum(a['Bytes'] > 0 for _, a in events)} allocations,"
              f" peak {peak}, last {last}, disagree {wrong}")
    print("  slices:", {k: v for k, v in cats.items() if v})


def timeline(rows):
    peak, last = replay(row[2] for row in rows)
    print(f"  {len(rows)} rows, {sum(row[2] > 0 for row in rows)} allocations, peak {peak}, last {last}")


def smi(lines):
    cards = collections.defaultdict(list)
    for line in lines:
        card, mib = line.split(",")
        cards[int(card)].append(int(mib))
    for card, samples in sorted(cards.items()):
        print(f"  card {card}: {len(samples)} samples, peak {max(samples)} MiB, last {samples[-1]} MiB")


for path in sys.argv[1:]:
    print(path.rsplit("/", 1)[-1])
    text = gzip.open(path, "rt").read()
    if ".csv" in path:
        smi(text.splitlines())
    else:
        data = json.loads(text)
        (chrome if isinstance(data, dict) else timeline)(data)
