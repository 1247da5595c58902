/* vramscope/hardware.h - the cards, hosts and disks a load runs on.
 *
 * Catalogue entries carry a source per figure. What a run uses is a vs_machine: every figure
 * resolved, and the list of those that nobody measured on this machine ("assumed"), which the
 * output prints. Integers only: bytes, bytes per second, nanoseconds, FLOP per second.
 *
 * Plain data; lives in the arena given to the reader; immutable afterwards.
 * Sources: facts/hardware.json (catalogue/gpus.json, hosts.json, disks.json name them per figure). */
#ifndef VS_HARDWARE_H
#define VS_HARDWARE_H

#include "vramscope/base.h"

/* A figure that was not measured on the user's machine. */
typedef struct {
    const char *key; /* "disk.read_bytes_per_s" */
    uint64_t value;
    const char *source; /* where the figure is from */
} vs_assumed;

/* 16 different cards of 13 figures, host, disk, and the loader's own */
#define VS_ASSUMED_MAX 256

typedef struct {
    const char *id;   /* "rtx-4090"; "generic" for a bare size */
    const char *name; /* "GeForce RTX 4090" */
    const char *
        compute_capability; /* "8.9", "gfx942", "mps": torch's device is not cuda; "" unknown */
    vs_bytes total_bytes;   /* cudaMemGetInfo total */
    vs_bytes smi_total_bytes; /* nvidia-smi total, 0 unknown */
    vs_bytes context_bytes;   /* CUDA context and modules, outside the allocator */
    uint64_t mem_bandwidth_bps;
    uint32_t pcie_gen, pcie_lanes; /* 0: not PCIe */
    bool is_sxm;                   /* module: measured rates differ from cards */
    bool is_unified;               /* shares memory with the host (Jetson, GB10, Apple) */
    uint64_t fp32_flops, fp16_flops, bf16_flops; /* dense, per second; 0 unknown */
    /* source bytes per second a quantiser takes in; 0: the ratio rule */
    uint64_t quantise_bps;
    vs_ns malloc_ns; /* one cudaMalloc */
    vs_ns free_ns;
    vs_ns launch_ns; /* one kernel launch */
    /* how it hangs on the host: "pcie4-x16", "sxm-pcie5", "unified" */
    const char *link;
    /* this card in this host; vs_host has card 0's */
    uint64_t h2d_pinned_bps, h2d_pageable_bps, d2h_bps;
} vs_gpu;

typedef struct {
    const char *name;
    vs_bytes ram_bytes;
    vs_bytes base_rss_bytes; /* host memory of a process with torch and a CUDA context */
    uint32_t cores;
    uint32_t pcie_gen;                                  /* of the board's slot */
    uint64_t memcpy_bps;                                /* one thread */
    uint64_t cast_bps;                                  /* one thread, source bytes */
    uint64_t h2d_pinned_bps, h2d_pageable_bps, d2h_bps; /* 0: from the PCIe table */
    vs_ns copy_latency_ns;                              /* fixed cost of one cudaMemcpy */
    const char *title; /* what it is, in words; name is what --host takes */
} vs_host;

typedef struct {
    const char *name;
    uint64_t read_bps; /* whole device, large reads */
    /* one thread faulting pages of a file mapping in; 0: read_bps */
    uint64_t mmap_read_bps;
    vs_bytes capacity_bytes; /* 0: not limited */
    const char *title;       /* what it is, in words; name is what --disk takes */
} vs_disk;

#define VS_GPUS_MAX 16

typedef struct {
    vs_gpu gpus[VS_GPUS_MAX];
    uint32_t gpu_count;
    vs_host host;
    vs_disk disk;
    vs_assumed assumed[VS_ASSUMED_MAX];
    uint32_t assumed_count;
} vs_machine;

/* What the user said, still as text; zero fields mean the default. */
typedef struct {
    vs_str gpus[VS_GPUS_MAX]; /* "rtx-4090", "24GiB", "t4:14909MiB" */
    uint32_t gpu_count;       /* 0: one rtx-4090 */
    vs_str host;              /* catalogue name or path of a HOST.json; empty: "desktop" */
    vs_str disk;              /* catalogue name or a HOST.json; empty: "nvme-pcie4" */
    vs_bytes ram_bytes;       /* 0: the host's */
    vs_str stated;            /* text of a HOST.json laid over the host; empty: none */
} vs_machine_spec;

/* Resolves the spec against catalogue, user overlays (directories in overlay_dir: gpus.json hosts.json
 * disks.json of the same form as the built-in ones; NULL: none) and HOST.json files. Unknown names
 * suggest the nearest. Fills every figure; those not measured on this machine are listed in assumed. */
VS_MUST_CHECK bool vs_machine_resolve(vs_machine *machine, vs_arena *arena,
                                      const vs_machine_spec *spec, const char *overlay_dir,
                                      vs_err *err);
/* Adds to the list; a full list is an internal error (asserted). */
void vs_machine_assume(vs_machine *machine, const char *key, uint64_t value,
                       const char *source);

/* For `list`: everything known, built in and overlay. */
typedef struct {
    const vs_gpu *gpus;
    uint32_t gpu_count;
    const vs_host *hosts;
    uint32_t host_count;
    const vs_disk *disks;
    uint32_t disk_count;
} vs_hardware_catalogue;

VS_MUST_CHECK bool vs_hardware_load(vs_hardware_catalogue *out, vs_arena *arena,
                                    const char *overlay_dir, vs_err *err);

#endif /* VS_HARDWARE_H */
