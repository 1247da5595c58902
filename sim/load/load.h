/* load/load.h - the loaders: schedules over engine, pool and tape.
 *
 * A loader is given everything a run needs, registers its processes with the engine and returns; the engine
 * runs them. All state lives in one struct in the run arena. Behaviour: specs/transformers-loading.md, cited
 * as [n.n] in this folder. */
#ifndef VS_LOAD_LOAD_H
#define VS_LOAD_LOAD_H

#include "vramscope/engine.h"
#include "vramscope/hardware.h"
#include "vramscope/model.h"
#include "vramscope/plan.h"
#include "vramscope/pool.h"
#include "vramscope/tape.h"

/* ---- the work -------------------------------------------------------------------- */

typedef enum { JOB_QUEUED, JOB_RUNNING, JOB_READY, JOB_FAILED, JOB_TAKEN } job_state;

/* One checkpoint tensor on its way to the device: a copy job of [2.4]. */
typedef struct {
    vs_bytes src_bytes; /* in the file */
    vs_bytes dst_bytes; /* on the device, in the load dtype */
    uint32_t tensor;    /* model tensor */
    uint32_t mapping;
    uint32_t name; /* tape string */
    vs_block block;
    uint8_t state; /* job_state */
    bool needs_cast;
} load_job;

/* One target parameter with its sources: a mapping of [2.4], in first-seen order. */
typedef struct {
    uint32_t target;
    uint32_t first_source; /* into loader.sources: job indices, part by part */
    uint32_t source_count;
    uint32_t pending;    /* sources neither ready nor failed (async) */
    uint32_t failed_job; /* a failed source, or NO_JOB */
    uint32_t name;       /* tape string of the target */
    vs_bytes src_bytes;  /* sum over sources, in the file */
    vs_bytes bytes;      /* size of the finished parameter in the load dtype: S of the spec */
    bool is_missing;     /* a swallowed failure left it without a value [2.5] */
    vs_block tied;       /* stored although tied: it lives until the tie replaces it */
} load_mapping;

#define NO_JOB UINT32_MAX

/* What a quantiser allocates for one weight, in order [6.1, 6.2]. */
typedef enum {
    QUANT_BEFORE, /* when the kernel starts */
    QUANT_AFTER,  /* when it has run, the source still alive */
    QUANT_LATE    /* after the source is gone */
} quant_when;

typedef struct {
    vs_bytes bytes;
    uint8_t when; /* quant_when */
    bool is_kept; /* false: a transient */
} quant_alloc;

#define QUANT_ALLOCS_MAX 8

typedef struct {
    quant_alloc allocs[QUANT_ALLOCS_MAX];
    uint32_t count;
    vs_category category; /* of what is kept */
    vs_bytes kept_bytes;  /* sum of the kept sizes, each rounded to 512 */
    vs_bytes host_bytes;  /* host transient */
    vs_bytes d2h_bytes;   /* the source goes to the host first (int8) */
    vs_bytes h2d_bytes;
} quant_plan;

/* The allocations for a weight that stands on the card as `dtype`. False when a product overflows. */
VS_MUST_CHECK bool load_quant_plan(quant_plan *plan, vs_quant quant, const vs_target *target,
                                   vs_dtype dtype);
/* The same for a fused expert parameter under axolotl's patch, which quantises it on the card [7]. */
VS_MUST_CHECK bool load_expert_plan(quant_plan *plan, vs_quant quant, const vs_target *target,
                                    vs_dtype dtype);
/* Whether the quantiser replaces this parameter's module [6.3]. */
bool load_is_quantised(vs_quant quant, const vs_target *target);
/* The scheme axolotl's patch uses for fused experts under this quantiser [7]; VS_QUANT_NONE: untouched. */
vs_quant load_expert_quant(const vs_scenario *scenario, const vs_target *target);

/* ---- running ------------------------------------------------------------------------ */

typedef struct loader loader;

typedef enum { COPY_IDLE, COPY_READ, COPY_SEND } copy_phase;

/* One thread that copies tensors to the device, one at a time [2.7]. */
typedef struct {
    vs_process process; /* first member: the engine hands it back */
    loader *owner;
    uint32_t job;  /* NO_JOB: idle */
    uint8_t phase; /* copy_phase */
    uint16_t lane; /* cpu lane */
    vs_ns phase_start_ns;
    vs_bytes temp_bytes; /* host cast temporary */
    bool is_cold;        /* the job in hand comes from the disk */
    bool is_idle;
} copy_worker;

#define LOAD_WORKERS_MAX 256 /* as many as --workers takes */

typedef enum {
    CONSUME_NEXT,     /* take the next mapping, wait for its sources */
    CONSUME_WAIT,     /* prefetched: waiting for a source */
    CONSUME_COPY,     /* sequential: copying the sources oneself */
    CONSUME_STACK,    /* a stack has been written */
    CONSUME_CAT,      /* the concatenation has been written */
    CONSUME_QUANTISE, /* the quantiser's kernel has run */
    CONSUME_EXPERTS,  /* axolotl's quantiser has run on a parameter that was set */
    CONSUME_SETTLED,  /* the mapping is done; time for the driver calls has passed */
    CONSUME_FINISH,
    CONSUME_DONE
} consume_state;

typedef enum { END_RUNNING, END_LOADED, END_OOM, END_HOST_OOM } load_end;

/* The first failed allocation and where it surfaces [2.5]. */
typedef struct {
    bool has_failed;
    bool has_surfaced;
    bool is_swallowed; /* an operation failed, loading went on */
    bool is_reported;  /* ... to its end, where the caught errors are reported and raised */
    vs_ns time_ns;
    vs_ns surface_time_ns;
    const char *name; /* tensor or parameter, the model's string */
    const char *surface_name;
    const char *stage;
    vs_oom_info info;
    vs_bytes consumed_bytes;
    vs_bytes surface_consumed_bytes;
    vs_bytes staging_bytes; /* copied, not yet consumed */
    uint32_t staging_count;
    uint32_t mappings_done;
} load_failure;

/* Everything of one load. Set up by load_setup; read by run/ afterwards. */
struct loader {
    vs_arena *arena;
    vs_engine *engine;
    vs_pool *pool;
    vs_model_driver *driver;
    vs_tape *tape;
    const vs_model *model;
    const vs_machine *machine;
    const vs_scenario *scenario;
    uint8_t gpu_device, host_device;
    uint32_t shuffle_seed; /* tests, see vs_run_input */

    /* rules, resolved */
    vs_dtype load_dtype;
    bool is_async;
    bool has_warmup;
    uint32_t worker_count;
    uint64_t producer_bps; /* all copying threads together, source bytes per second */
    uint64_t quantise_bps;
    uint64_t copy_bw_bps; /* device bytes per second for memory-bound kernels */
    const vs_tensor
        *stored_quantised; /* one that shows the checkpoint is quantised already, or NULL */

    /* the work */
    load_job *jobs;
    uint32_t job_count;
    load_mapping *mappings;
    uint32_t mapping_count;
    uint32_t *sources; /* job indices */
    vs_bytes total_src_bytes;

    /* links and lanes */
    vs_link disk_link, h2d_link;
    uint16_t lane_disk, lane_h2d, lane_gpu;

    /* producers */
    copy_worker *workers;  /* worker_count when async, else one used by the consumer */
    vs_process dispatcher; /* hands the queue's head to the lowest idle worker */
    uint32_t next_job;

    /* consumer */
    vs_process consumer;
    vs_gate ready;
    uint32_t mapping; /* current */
    uint32_t source;  /* index of the source in hand or waited for */
    uint32_t part;    /* merge: which stack */
    vs_block stacks[2];
    vs_block result; /* the parameter being made */
    quant_plan quant;
    vs_block quant_blocks[QUANT_ALLOCS_MAX];
    vs_ns op_start_ns;
    uint64_t charged_mallocs, charged_frees; /* driver calls already paid for in time */

    /* host memory */
    vs_bytes anon_bytes, anon_peak_bytes;
    vs_bytes file_bytes, file_peak_bytes; /* of the checkpoint, in the page cache */
    vs_bytes warm_bytes; /* of the checkpoint, still in the page cache and not used yet */
    vs_bytes disk_read_bytes;

    /* what came of it */
    vs_bytes consumed_bytes;
    uint32_t mappings_done;
    vs_bytes warmup_bytes;
    vs_ns end_ns;
    vs_bytes loaded_bytes;
    load_end end;
    bool is_exhausted; /* our own arena ran out */
    load_failure failure;
};

/* Resolves the rules, builds jobs and mappings, links and lanes. Errors: a combination of settings that cannot be. */
VS_MUST_CHECK bool load_setup(loader *ld, vs_err *err);
/* Runs warm-up and registers the processes; the engine does the rest. */
VS_MUST_CHECK bool load_start(loader *ld, vs_err *err);
/* Instead of load_start, when the card has no room for the CUDA context. */
void load_fail_context(loader *ld, vs_bytes others_bytes);

/* rules.c */
VS_MUST_CHECK bool load_resolve_rules(loader *ld, vs_err *err);
void load_resolve_rates(loader *ld); /* after the jobs are built: whether they cast matters */
vs_bytes load_warmup_bytes(const loader *ld, vs_bytes free_bytes, vs_bytes total_bytes);
vs_category load_weight_category(vs_dtype dtype);
/* What a parameter is loaded as [2.4]. Needs the rules. */
vs_dtype load_target_dtype(const loader *ld, const vs_target *target);
/* A parameter the checkpoint lacks: made at the end, in full [2.5]. */
bool load_is_absent(const vs_target *target);

/* copy.c: the copying thread's state machine */
typedef enum { COPY_BUSY, COPY_OK, COPY_OOM, COPY_HOST_OOM } copy_result;

copy_result copy_begin(copy_worker *w, uint32_t job);
copy_result copy_step(copy_worker *w);

/* host.c: host memory ledger */
VS_MUST_CHECK bool host_take_anon(loader *ld,
                                  vs_bytes bytes); /* false: more than the machine has */
void host_give_anon(loader *ld, vs_bytes bytes);
void host_file_read(loader *ld, vs_bytes bytes);

/* worker.c, consumer.c */
void worker_step(vs_engine *engine, vs_process *process);
void dispatcher_step(vs_engine *engine, vs_process *process);
void consumer_step(vs_engine *engine, vs_process *process);

/* shared */
vs_alloc_result load_alloc(loader *ld, vs_bytes bytes, vs_category category, uint32_t name,
                           vs_block *out);
/* The same, left out of the sum of tensors: the warm-up block and the rotary buffers are not the checkpoint's. */
vs_alloc_result load_alloc_uncounted(loader *ld, vs_bytes bytes, vs_category category,
                                     uint32_t name, vs_block *out);
void load_free(loader *ld, vs_block *block);
/* Nanoseconds for the driver calls made since the last call. */
vs_ns load_driver_time(loader *ld);
/* Nanoseconds for bytes at a rate, rounded up, at least 1. */
vs_ns load_time(vs_bytes bytes, uint64_t rate_bps);
void load_note_failure(loader *ld, const char *name, const char *stage, bool is_swallowed);
void load_surface(loader *ld, const char *name);
const char *load_job_name(const loader *ld, uint32_t job);
const char *load_mapping_name(const loader *ld, uint32_t mapping);
void load_finish(loader *ld, load_end end);

#endif /* VS_LOAD_LOAD_H */
