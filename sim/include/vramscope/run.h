/* vramscope/run.h - the composition root: inputs in, sealed tape and result out.
 *
 * vs_run replays one load: model, machine and scenario are read-only; everything the run makes lives in
 * the run arena, which the caller resets between runs. No allocation happens during the run apart from that
 * arena. The same inputs give the same bytes, on every compiler and machine. */
#ifndef VS_RUN_H
#define VS_RUN_H

#include "vramscope/base.h"
#include "vramscope/hardware.h"
#include "vramscope/model.h"
#include "vramscope/plan.h"
#include "vramscope/tape.h"

#define VS_VERDICTS(X)                                                                         \
    X(VS_VERDICT_FITS, "fits")                                                                 \
    X(VS_VERDICT_OOM, "oom")                                                                   \
    X(VS_VERDICT_HOST_OOM, "host_oom")                                                         \
    X(VS_VERDICT_DISK_FULL, "disk_full")                                                       \
    X(VS_VERDICT_FAILED, "failed")

typedef enum {

#define VS_X(id, name) id,
    VS_VERDICTS(VS_X)
#undef VS_X
        VS_VERDICT_COUNT
} vs_verdict;

const char *vs_verdict_name(vs_verdict verdict);

/* allocated_*: live tensor bytes, each request rounded to 512 B as the allocator rounds.
 * memory_allocated_*: what torch.cuda.memory_allocated() prints: the same plus unsplit slack and the
 *   model's rotary buffers. reserved_*: torch.cuda.memory_reserved(). used = reserved + context + others. */
typedef struct {
    vs_bytes capacity_bytes, used_by_others_bytes, context_bytes;
    vs_bytes warmup_bytes; /* segment asked for by caching_allocator_warmup, 0: none */
    vs_bytes peak_allocated_bytes, final_allocated_bytes;
    vs_bytes peak_memory_allocated_bytes, final_memory_allocated_bytes;
    vs_bytes peak_reserved_bytes, final_reserved_bytes;
    vs_bytes peak_used_bytes;
} vs_gpu_result;

typedef struct {
    uint32_t gpu;
    vs_ns time_ns;
    vs_bytes categories[VS_CAT_COUNT]; /* bytes at the moment of the greatest use */
} vs_peak;

typedef struct {
    uint32_t gpu;
    vs_ns time_ns;
    vs_bytes requested_bytes, attempted_bytes, free_bytes, allocated_bytes, reserved_bytes;
    const char *tensor; /* checkpoint tensor or target being made */
    /* "context", "warmup", "copy", "swizzle", "dequantise", "merge", "quantise", "finalise" */
    const char *stage;
    uint32_t consumed_ppm; /* share of the checkpoint bytes in final place, millionths */
    bool has_surfaced;
    vs_ns surface_time_ns; /* where the program would notice [2.5] */
    const char *surface_tensor;
    uint32_t surface_consumed_ppm;
    bool is_swallowed;      /* the loader catches it and goes on */
    uint32_t mappings_done; /* parameters finished at the first failure */
    uint32_t mappings;
    const char *message;    /* as PyTorch words it */
    vs_bytes staging_bytes; /* waiting on the card, not in final form, at that moment */
    uint32_t staging_count; /* tensors of it */
    bool
        is_reported; /* caught, and nothing worse came: raised after the load as a conversion error */
} vs_oom_result;

#define VS_RUN_NOTES_MAX 4

typedef struct {
    vs_verdict verdict;
    vs_gpu_result gpus[VS_GPUS_MAX];
    uint32_t gpu_count; /* this version loads onto one */
    vs_peak peak;
    bool has_oom; /* the verdict is oom */
    vs_oom_result oom;
    const char *headline; /* one line, the verdict first: "FITS: peak 12.90 GiB of 23.64 GiB" */
    const char *reason;   /* why it ran out or failed, one sentence; "" when it fits */
    vs_bytes host_capacity_bytes, host_peak_anon_bytes, host_peak_pinned_bytes,
        host_peak_file_bytes;
    vs_bytes disk_read_bytes, disk_written_bytes;
    vs_ns load_ns;
    const char *bottleneck_lane; /* the lane busy for the greatest share of the load */
    uint32_t bottleneck_ppm;
    vs_dtype load_dtype; /* as resolved from auto */
    bool is_async;       /* as resolved */
    bool has_warmup;
    uint32_t workers; /* 0 when sequential */
    vs_bytes
        needed_bytes; /* the finished model, CUDA context and other processes: no card below it will do */
    vs_bytes loaded_bytes; /* final parameter bytes on the device */
    uint64_t event_count;  /* engine events executed */
    /* How the checkpoint is stored and whether it is loaded so: "fp8, blocks of 128 x 128; loaded as stored (...)".
     * "" for plain tensors that are mapped. */
    const char *format;
    bool is_stored_quantised;            /* its tensors are packed or narrow */
    bool is_dequantised;                 /* ... and the card is too old for them */
    const char *notes[VS_RUN_NOTES_MAX]; /* what the user should know about this load */
    uint32_t note_count;
    vs_machine machine; /* as resolved, with `assumed` completed by the loader */
} vs_run_result;

typedef struct {
    const vs_model *model;
    const vs_machine *machine;
    const vs_scenario *scenario;
    bool (*should_stop)(void *ctx); /* NULL, or polled now and then; true abandons the run */
    void *stop_ctx;
    uint32_t
        shuffle_seed; /* tests: 0, or shuffles the insertion of independent inputs; the tape must not change */
} vs_run_input;

/* A change to the scenario and what it would do: simulated, not estimated. */
typedef struct {
    const char *change; /* "--no-async", "--quant bnb-nf4", "--gpu a100-40gb-sxm" */
    vs_verdict verdict;
    vs_bytes peak_used_bytes;
    vs_ns load_ns;
} vs_fix;

#define VS_FIXES_MAX 8

typedef struct {
    vs_fix fixes[VS_FIXES_MAX];
    uint32_t count;
} vs_fix_list;

/* Simulates neighbours of a scenario whose run `failed`; those that fit first, settings before other cards,
 * then the fastest. Names live
 * in out_arena; scratch is reset between the runs. */
VS_MUST_CHECK bool vs_run_fixes(vs_arena *scratch, vs_arena *out_arena,
                                const vs_run_input *input, const vs_run_result *failed,
                                vs_fix_list *out, vs_err *err);

/* False for errors (bad combination of settings, arena exhausted); "does not fit" is a result. */
VS_MUST_CHECK bool vs_run(vs_arena *arena, const vs_run_input *input, vs_run_result *result,
                          vs_timeline *timeline, vs_err *err);

#endif /* VS_RUN_H */
