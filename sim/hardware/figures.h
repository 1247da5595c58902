/* hardware/figures.h - one card, host, link or disk while its figures are being gathered.
 *
 * A figure is a number with where it is from. What a run uses is put together from layers: the
 * catalogue, a user's overlay, a HOST.json, the command line. Every layer is read into a
 * vs_hw_entry and laid over the one below; only the finished entry becomes a vs_gpu, vs_host
 * or vs_disk, and whatever nobody measured or stated goes into the list of assumptions.
 *
 * Internal to hardware/. Entries and their texts live in the arena of the reader. */
#ifndef VS_HARDWARE_FIGURES_H
#define VS_HARDWARE_FIGURES_H

#include "vramscope/hardware.h"

/* X(enum, key in JSON, smallest value allowed, greatest) */
#define VS_HW_GPU_FIGURES(X)                                                                   \
    X(VS_HW_GPU_CAPACITY, "capacity_bytes", VS_MIB, BYTES_MAX)                                 \
    X(VS_HW_GPU_SMI_TOTAL, "smi_total_bytes", VS_MIB, BYTES_MAX)                               \
    X(VS_HW_GPU_CONTEXT, "context_bytes", 0, BYTES_MAX)                                        \
    X(VS_HW_GPU_BANDWIDTH, "mem_bandwidth_bytes_per_s", 1, RATE_MAX)                           \
    X(VS_HW_GPU_PCIE_GEN, "pcie_gen", 3, 5)                                                    \
    X(VS_HW_GPU_PCIE_LANES, "pcie_lanes", 4, 16)                                               \
    X(VS_HW_GPU_FP32, "fp32_flops", 1, FLOPS_MAX)                                              \
    X(VS_HW_GPU_FP16, "fp16_flops", 1, FLOPS_MAX)                                              \
    X(VS_HW_GPU_BF16, "bf16_flops", 1, FLOPS_MAX)                                              \
    X(VS_HW_GPU_QUANTISE, "quantise_bytes_per_s", 1, RATE_MAX)                                 \
    X(VS_HW_GPU_MALLOC, "malloc_ns", 0, DELAY_MAX_NS)                                          \
    X(VS_HW_GPU_FREE, "free_ns", 0, DELAY_MAX_NS)                                              \
    X(VS_HW_GPU_LAUNCH, "launch_ns", 0, DELAY_MAX_NS)

#define VS_HW_HOST_FIGURES(X)                                                                  \
    X(VS_HW_HOST_RAM, "ram_bytes", VS_MIB, BYTES_MAX)                                          \
    X(VS_HW_HOST_BASE_RSS, "base_rss_bytes", 0, BYTES_MAX)                                     \
    X(VS_HW_HOST_CORES, "cores", 1, 4096)                                                      \
    X(VS_HW_HOST_PCIE_GEN, "pcie_gen", 3, 5)                                                   \
    X(VS_HW_HOST_MEMCPY, "memcpy_bytes_per_s", 1, RATE_MAX)                                    \
    X(VS_HW_HOST_CAST, "cast_bytes_per_s", 1, RATE_MAX)                                        \
    X(VS_HW_HOST_LATENCY, "copy_latency_ns", 0, DELAY_MAX_NS)                                  \
    X(VS_HW_HOST_PINNED, "h2d_pinned_bytes_per_s", 1, RATE_MAX)                                \
    X(VS_HW_HOST_PAGEABLE, "h2d_pageable_bytes_per_s", 1, RATE_MAX)                            \
    X(VS_HW_HOST_D2H, "d2h_bytes_per_s", 1, RATE_MAX)

#define VS_HW_LINK_FIGURES(X)                                                                  \
    X(VS_HW_LINK_PINNED, "h2d_pinned_bytes_per_s", 1, RATE_MAX)                                \
    X(VS_HW_LINK_PAGEABLE, "h2d_pageable_bytes_per_s", 1, RATE_MAX)                            \
    X(VS_HW_LINK_D2H, "d2h_bytes_per_s", 1, RATE_MAX)

#define VS_HW_DISK_FIGURES(X)                                                                  \
    X(VS_HW_DISK_READ, "read_bytes_per_s", 1, RATE_MAX)                                        \
    X(VS_HW_DISK_MMAP_READ, "mmap_read_bytes_per_s", 1, RATE_MAX)                              \
    X(VS_HW_DISK_CAPACITY, "capacity_bytes", 0, BYTES_MAX)

#define VS_X(id, key, min, max) id,

enum { VS_HW_GPU_FIGURES(VS_X) VS_HW_GPU_COUNT };

enum { VS_HW_HOST_FIGURES(VS_X) VS_HW_HOST_COUNT };

enum { VS_HW_LINK_FIGURES(VS_X) VS_HW_LINK_COUNT };

enum { VS_HW_DISK_FIGURES(VS_X) VS_HW_DISK_COUNT };

#undef VS_X

#define VS_HW_FIGURES_MAX 16

typedef enum {
    VS_HW_UNKNOWN, /* nobody said */
    VS_HW_ASSUMED, /* from a catalogue: goes into vs_machine.assumed */
    VS_HW_STATED   /* measured on this machine, or the user's own word */
} vs_hw_origin;

typedef struct {
    uint64_t value;
    const char *source; /* may be "", never NULL once known */
    vs_hw_origin origin;
} vs_hw_figure;

typedef struct {
    const char *id;
    const char *name;
    const char *compute_capability; /* cards only, as are the next three */
    const char *link;
    bool is_sxm;
    bool is_unified;
    vs_hw_figure figures[VS_HW_FIGURES_MAX];
} vs_hw_entry;

typedef struct {
    const char *key;
    uint64_t min;
    uint64_t max;
} vs_hw_key;

/* What distinguishes the four kinds of things: where they stand and which figures they have. */
typedef struct {
    const char *noun;   /* "GPU", for messages */
    const char *file;   /* "gpus.json" */
    const char *format; /* "vramscope.gpus/1" */
    /* "gpus": the array of entries in file, and the word `vramscope list` takes */
    const char *list;
    const vs_hw_key *keys;
    uint32_t count;
    bool is_gpu;
} vs_hw_kind;

extern const vs_hw_kind vs_hw_gpus;
extern const vs_hw_kind vs_hw_hosts;
extern const vs_hw_kind vs_hw_links;
extern const vs_hw_kind vs_hw_disks;

/* Where an object of figures comes from, for the reader. */
typedef struct {
    const vs_hw_kind *kind;
    const char *prefix;  /* its keys carry this prefix in JSON ("disk_"), "" for none */
    vs_hw_origin origin; /* of every figure read */
    const char *source;  /* of a figure for which the object names none */
} vs_hw_reading;

/* Reads one member of object: *is_mine tells whether its key is one of the kind's; if so its value is
 * checked against its limits and stored. null leaves the figure alone. */
VS_MUST_CHECK bool vs_hw_read_member(vs_hw_entry *entry, const vs_jnode *object,
                                     const vs_jnode *member, const vs_hw_reading *reading,
                                     bool *is_mine, vs_err *err);
/* One catalogue entry or the "gpu" of a HOST.json: figures, id, name, note, sources and, for cards, their
 * texts. Unknown keys are errors that name the nearest. */
VS_MUST_CHECK bool vs_hw_read_entry(vs_hw_entry *entry, vs_arena *arena, const vs_jnode *object,
                                    const vs_hw_reading *reading, vs_err *err);
/* Sources of figures: {key: text}. Keys with or without the reading's prefix; others are ignored here. */
VS_MUST_CHECK bool vs_hw_read_sources(vs_hw_entry *entry, vs_arena *arena,
                                      const vs_jnode *sources, const vs_hw_reading *reading,
                                      vs_err *err);
/* A member, or node NULL when it is absent or null. */
vs_jnode vs_hw_member(const vs_jnode *object, const char *key);
/* Fails with the nearest of the kind's keys and of extra (count entries). Always false. */
bool vs_hw_fail_unknown_key(const vs_jnode *member, const vs_hw_reading *reading,
                            const char *const *extra, size_t extra_count, vs_err *err);
/* Everything that over knows replaces what under knows. */
void vs_hw_overlay(vs_hw_entry *under, const vs_hw_entry *over, const vs_hw_kind *kind);

/* ---- the catalogue (catalogue.c) -------------------------------------------------------- */

/* The entry whose id or name is `id` (ASCII case ignored, a leading "NVIDIA " too), built in or in the overlay
 * directory, or NULL with an error that suggests the nearest. Scans the built-in text and parses
 * the one entry: a few tens of microseconds. */
VS_MUST_CHECK const vs_hw_entry *vs_hw_find(const vs_hw_kind *kind, vs_arena *arena, vs_str id,
                                            const char *overlay_dir, vs_err *err);
/* A named object of the built-in file: "generic", "common". */
VS_MUST_CHECK bool vs_hw_find_block(const vs_hw_kind *kind, vs_arena *arena, const char *name,
                                    vs_hw_entry *out, vs_err *err);
/* Everything known, overlay included, into the arena. */
VS_MUST_CHECK bool vs_hw_load_all(const vs_hw_kind *kind, vs_arena *arena,
                                  const char *overlay_dir, vs_hw_entry **out_entries,
                                  uint32_t *out_count, vs_err *err);

/* ---- HOST.json (host_json.c) ---------------------------------------------------------------- */

/* What a HOST.json states; figures that it leaves out are unknown. */
typedef struct {
    vs_hw_entry host;
    vs_hw_entry disk;
    vs_hw_entry gpu;
    bool has_disk; /* at least one disk figure */
    bool has_gpu;
} vs_hw_host_file;

VS_MUST_CHECK bool vs_hw_read_host_file(vs_hw_host_file *out, vs_arena *arena, const char *path,
                                        vs_err *err);
/* The same from bytes, for tests and the fuzzer; input_name is for messages. */
VS_MUST_CHECK bool vs_hw_parse_host_file(vs_hw_host_file *out, vs_arena *arena,
                                         const void *text, size_t text_bytes,
                                         const char *input_name, vs_err *err);

/* ---- links (topology.c) ------------------------------------------------------------------------- */

/* The link between a card and a host, with its three rates: figures of vs_hw_links, each from the host when
 * that states it (a catalogue host's rate never above what the link itself carries). */
VS_MUST_CHECK bool vs_hw_link_of(vs_hw_entry *out, vs_arena *arena, const vs_hw_entry *gpu,
                                 const vs_hw_entry *host, const char *overlay_dir, vs_err *err);

/* ---- finished structs (machine.c) --------------------------------------------------------------- */

vs_gpu vs_hw_to_gpu(const vs_hw_entry *entry);
vs_host vs_hw_to_host(const vs_hw_entry *entry);
vs_disk vs_hw_to_disk(const vs_hw_entry *entry);

#endif /* VS_HARDWARE_FIGURES_H */
