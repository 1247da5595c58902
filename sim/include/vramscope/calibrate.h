/* vramscope/calibrate.h - what recordings tell about a machine: link, disk and other rates for a HOST.json.
 *
 * Takes recordings of any kind that vs_recording_read knows and, from the capture kit, results.json and the loader.csv
 * of a take (gzip'ed or not). Every figure comes with how it was found, from how many observations, and how far off it may
 * be; what the recordings do not say is listed with the recording that would.
 *
 * Rates are fitted: time = latency + bytes / rate, over copies of 1 MiB and more, relative errors, outliers weighed down (an
 * M-estimator with Tukey's biweight). Doubles throughout: these are measurements. Everything lives in the arena `keep`. */
#ifndef VS_CALIBRATE_H
#define VS_CALIBRATE_H

#include "vramscope/trace.h"

/* clang-format off */
/* X(id, key in HOST.json, unit, what a recording needs to tell it) */
#define VS_CAL_PARAMETERS(X)                                                                                              \
    X(VS_CAL_RAM, "ram_bytes", VS_CAL_BYTES, "results.json of the capture kit (env/facts)")                              \
    X(VS_CAL_CORES, "cores", VS_CAL_NUMBER, "results.json of the capture kit (env/facts)")                               \
    X(VS_CAL_DISK, "disk_read_bytes_per_s", VS_CAL_RATE,                                                                 \
      "results.json of the capture kit (rates/file), or a recorder file of reads whose pages were not cached")           \
    X(VS_CAL_DISK_MMAP, "disk_mmap_read_bytes_per_s", VS_CAL_RATE, "results.json of the capture kit (rates/file)")       \
    X(VS_CAL_H2D_PINNED, "h2d_pinned_bytes_per_s", VS_CAL_RATE,                                                          \
      "copies of 1 MiB or more from pinned memory: nsys profile --trace=cuda, or results.json (rates/h2d)")              \
    X(VS_CAL_H2D_PAGEABLE, "h2d_pageable_bytes_per_s", VS_CAL_RATE,                                                      \
      "copies of 1 MiB or more from pageable memory: nsys profile --trace=cuda, or results.json (rates/h2d)")            \
    X(VS_CAL_D2H, "d2h_bytes_per_s", VS_CAL_RATE,                                                                        \
      "copies of 1 MiB or more back to the host: nsys profile --trace=cuda, or results.json (rates/h2d)")                \
    X(VS_CAL_LATENCY, "copy_latency_ns", VS_CAL_TIME,                                                                    \
      "copies of several sizes timed on the host: results.json of the capture kit (rates/h2d)")                          \
    X(VS_CAL_MEMCPY, "memcpy_bytes_per_s", VS_CAL_RATE, "results.json of the capture kit (rates/cast)")                  \
    X(VS_CAL_CAST, "cast_bytes_per_s", VS_CAL_RATE, "results.json of the capture kit (rates/cast)")                      \
    X(VS_CAL_GPU_CAPACITY, "gpu.capacity_bytes", VS_CAL_BYTES,                                                           \
      "a recorder file, an Nsight Systems export, or results.json (env/context)")                                        \
    X(VS_CAL_GPU_CONTEXT, "gpu.context_bytes", VS_CAL_BYTES,                                                             \
      "a recorder file with counters, results.json (env/context), or an out-of-memory event and the card's capacity")    \
    X(VS_CAL_GPU_QUANTISE, "gpu.quantise_bytes_per_s", VS_CAL_RATE,                                                      \
      "results.json (rates/gpu_ops) or the loader.csv of a take that quantises")                                         \
    X(VS_CAL_GPU_MALLOC, "gpu.malloc_ns", VS_CAL_TIME,                                                                   \
      "calls of cudaMalloc: nsys profile --trace=cuda, a recorder file, or results.json (rates/malloc)")                 \
    X(VS_CAL_GPU_FREE, "gpu.free_ns", VS_CAL_TIME,                                                                       \
      "calls of cudaFree: nsys profile --trace=cuda, a recorder file, or results.json (rates/malloc)")                   \
    X(VS_CAL_GPU_LAUNCH, "gpu.launch_ns", VS_CAL_TIME,                                                                   \
      "calls of cudaLaunchKernel: nsys profile --trace=cuda, or results.json (rates/gpu_ops)")                           \
    X(VS_CAL_GPU_BANDWIDTH, "gpu.mem_bandwidth_bytes_per_s", VS_CAL_RATE,                                                \
      "none: the program wants the card's own figure and takes a share of it; the catalogue has it")                     \
    X(VS_CAL_GPU_FP16, "gpu.fp16_flops", VS_CAL_NUMBER, "none: the card's own figure, in the catalogue")                 \
    X(VS_CAL_GPU_BF16, "gpu.bf16_flops", VS_CAL_NUMBER, "none: the card's own figure, in the catalogue")                 \
    X(VS_CAL_GPU_FP32, "gpu.fp32_flops", VS_CAL_NUMBER, "none: the card's own figure, in the catalogue")                 \
    X(VS_CAL_PAGE_CACHE, "page_cache_read_bytes_per_s", VS_CAL_RATE, "results.json of the capture kit (rates/file)")     \
    X(VS_CAL_D2D, "gpu.copy_bytes_per_s", VS_CAL_RATE, "copies within the card: nsys profile --trace=cuda")

/* clang-format on */

typedef enum { VS_CAL_BYTES, VS_CAL_RATE, VS_CAL_TIME, VS_CAL_NUMBER } vs_cal_unit;

typedef enum {

#define VS_X(id, key, unit, needs) id,
    VS_CAL_PARAMETERS(VS_X)
#undef VS_X
        VS_CAL_COUNT
} vs_cal_parameter;

const char *vs_cal_key(vs_cal_parameter parameter);
vs_cal_unit vs_cal_unit_of(vs_cal_parameter parameter);
/* The recording that would tell it. */
const char *vs_cal_needs(vs_cal_parameter parameter);
/* False for what is reported only: HOST.json has no place for it. */
bool vs_cal_is_in_host(vs_cal_parameter parameter);

typedef enum {
    VS_CAL_STATED, /* a figure the file gives; no error */
    VS_CAL_MEDIAN, /* of the observations; half of the interval that holds the median in 95 % of cases (order statistics) */
    VS_CAL_FIT,    /* slope of time over bytes; half of its 95 % interval (Student's t) */
    VS_CAL_RANGE   /* too few for an interval: half the distance of the extremes */
} vs_cal_method;

const char *vs_cal_method_words(vs_cal_method method); /* "95 % of the fit" */

typedef struct {
    bool is_known;
    bool has_uncertainty; /* a single observation has none */
    vs_cal_method method;
    uint64_t value;
    double uncertainty; /* relative */
    uint32_t observations;
    vs_bytes smallest_bytes, largest_bytes; /* of what was fitted; 0: sizes play no role */
    const char *source;                     /* a sentence: how, and from which files */
    const char *reason; /* unknown although there were observations: why; else NULL */
} vs_cal_figure;

typedef struct {
    const char *path;
    const char *kind;      /* "PyTorch memory snapshot" */
    uint32_t observations; /* that it gave */
} vs_cal_file;

typedef struct {
    vs_cal_figure figures[VS_CAL_COUNT];
    const char *gpu_name; /* "" when no file tells */
    const vs_cal_file *files;
    uint32_t file_count;
    const char *const *notes;
    uint32_t note_count;
} vs_calibration;

#define VS_CAL_FILES_MAX 256

typedef struct {
    vs_arena *keep;           /* the result */
    vs_arena *scratch;        /* a recording at a time */
    vs_bytes gpu_total_bytes; /* of the card, where the caller knows it; 0: as the files say */
} vs_cal_desc;

/* Reads all files, then fits. One bad file is an error for all: what it would have told is not guessed. */
VS_MUST_CHECK bool vs_calibrate(vs_calibration *out, const char *const *paths, uint32_t count,
                                const vs_cal_desc *desc, vs_err *err);
/* HOST.json, all or nothing; only what is known. gpu_name: written as the card's name, NULL: as recorded. */
VS_MUST_CHECK bool vs_calibration_write_host(const vs_calibration *calibration,
                                             const char *path, const char *gpu_name,
                                             vs_err *err);

/* ---- the statistics, for tests ------------------------------------------------------------------ */

typedef struct {
    double bytes;
    double ns;
} vs_cal_point;

typedef struct {
    double ns_per_byte;
    double latency_ns;        /* not negative */
    double ns_per_byte_error; /* half of the 95 % interval */
    double latency_error;     /* the same; infinite when the sizes cannot tell */
    uint32_t degrees_of_freedom;
    bool has_latency; /* the sizes differ enough to tell the latency from the rate */
} vs_cal_line;

/* count >= 3 points with positive bytes and times. False: scratch is exhausted. */
VS_MUST_CHECK bool vs_cal_fit_line(const vs_cal_point *points, uint32_t count,
                                   vs_arena *scratch, vs_cal_line *out);
/* The median, sorting values, and half of its 95 % interval (count >= 6), else half the range. */
double vs_cal_median(double *values, uint32_t count, double *out_error, bool *out_is_interval);

#endif /* VS_CALIBRATE_H */
