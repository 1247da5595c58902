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

/* How a parameter comes to be of its sources, before they are merged (decode.c). */
typedef enum {
    DECODE_NONE,    /* as they are copied */
    DECODE_ADOPT,   /* bitsandbytes: the sources themselves are what the parameter is made of */
    DECODE_SWIZZLE, /* mxfp4 on a card that knows it: the kernels' layout, beside the sources */
    DECODE_FP8,     /* dequantised, one weight after the other */
    DECODE_MXFP4    /* dequantised in one go */
} load_decode;

/* One parameter or buffer to be made, and of what. */
typedef struct {
    const vs_target *target;
    const vs_target *
        meta; /* the same in the module tree before the load: what the warm-up counts and what a
                                parameter without a value is made as; most often the target itself */
    const uint32_t
        *sources; /* model tensors, part by part, what is only needed to dequantise last */
    vs_bytes meta_bytes; /* of it, as the warm-up counts; tied and non-persistent ones too */
    vs_dtype meta_dtype;
    vs_dtype
        source_dtype; /* that the copy jobs cast to, but those that keep what is stored [2.4] */
    vs_dtype dtype;   /* of the finished parameter, or of its packed values */
    uint8_t decode;   /* load_decode */
    uint8_t merge;    /* vs_merge */
    bool keeps_name;  /* its first source is stored under its own name */
    bool has_offset;  /* adopted, with double quantisation: four bytes are computed */
} load_param;

typedef enum { JOB_QUEUED, JOB_RUNNING, JOB_READY, JOB_FAILED, JOB_TAKEN } job_state;

/* One checkpoint tensor on its way to the device: a copy job of [2.4]. */
typedef struct {
    vs_bytes src_bytes; /* in the file, or in host memory when it was unpacked there */
    vs_bytes dst_bytes; /* on the device, in the load dtype */
    uint32_t tensor;    /* model tensor */
    uint32_t mapping;
    uint32_t name; /* tape string */
    vs_block block;
    uint8_t state; /* job_state */
    bool needs_cast;
    bool is_in_ram;  /* unpacked before: no file is read */
    bool is_dropped; /* adopted sources: this one is read and thrown away */
} load_job;

/* One target parameter with its sources: a mapping of [2.4], in first-seen order. */
typedef struct {
    uint32_t param;
    uint32_t first_source; /* into loader.sources: job indices, part by part */
    uint32_t source_count;
    uint32_t pending;    /* sources neither ready nor failed (async) */
    uint32_t failed_job; /* a failed source, or NO_JOB */
    uint32_t name;       /* tape string of the target */
    vs_bytes src_bytes;  /* sum over sources, in the file */
    vs_bytes bytes;      /* size of the finished parameter: S of the spec */
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
    CONSUME_UNPACK, /* before anything else: files that are read into host memory (unpack.c) */
    CONSUME_START,  /* take the first mapping, wait for its sources */
    CONSUME_WAIT,   /* prefetched: waiting for a source */
    CONSUME_COPY,   /* sequential: copying the sources oneself */
    CONSUME_STACK,  /* a stack has been written */
    CONSUME_CAT,    /* the concatenation has been written */
    CONSUME_DECODE, /* stored quantised: one step of what decode.c does has run */
    CONSUME_QUANTISE, /* the quantiser's kernel has run */
    CONSUME_EXPERTS,  /* axolotl's quantiser has run on a parameter that was set */
    CONSUME_SETTLED,  /* the mapping is done; time for the driver calls has passed */
    CONSUME_FINISH,
    CONSUME_DONE
} consume_state;

typedef enum {
    END_RUNNING,
    END_LOADED,
    END_OOM,
    END_HOST_OOM,
    END_FAILED /* a conversion error that has nothing to do with memory, raised after the load */
} load_end;

/* What the loader makes of a checkpoint that is quantised already (stored.c). */
typedef struct {
    bool
        is_quantised; /* its tensors are loaded by the rules for pre-quantised checkpoints [2.4] */
    bool is_dequantised; /* the card is too old for the format, or no CUDA device */
    bool is_assumed;     /* ... nobody knows: taken for one that is new enough */
    bool has_no_cuda;
    uint32_t needed,
        found; /* compute capability in tenths; 0: the format needs none, nobody knows */
} load_stored;

/* Conversions that fail by their shapes. */
typedef struct {
    uint32_t count;
    uint32_t mapping; /* the first */
    uint32_t weight;  /* its source */
} load_misfits;

#define DECODE_BLOCKS 8u

/* The decoding in hand. */
typedef struct {
    vs_block blocks[DECODE_BLOCKS]; /* transients */
    vs_block *outputs;              /* dequantised weights that wait to be merged */
    uint32_t output_count;
    uint32_t output_room;
    uint32_t step;
    uint64_t rows_left; /* mxfp4: blocks of 32 not yet dequantised */
    uint64_t rows;      /* ... of the chunk in hand */
    bool is_on_host;    /* the card was full: it is done on the CPU */
    vs_bytes host_bytes;
} load_decoding;

/* What stays of one tensor of a GGUF file. */
typedef struct {
    vs_bytes bytes;
    bool is_loaded, is_copied_again;
} unpack_kept;

/* Files that are read into host memory before the first copy [2.2]. */
typedef struct {
    unpack_kept *kept; /* gguf: per tensor */
    uint32_t *order;   /* gguf: tensors in file order; .bin: shards */
    uint32_t count, next;
    vs_bytes
        held_bytes; /* gguf: the array of the tensor before, which lives until the next one is there */
    vs_bytes read_bytes;  /* of the file, of what is in hand */
    vs_bytes taken_bytes; /* of host memory, of what is in hand: goes when it is done */
    vs_bytes kept_bytes;  /* ... stays */
    bool has_begun;
    bool is_cold;
    bool is_copying; /* gguf: dequantised already */
} load_unpack;

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
    load_stored stored;

    /* the work */
    load_param *params;
    uint32_t param_count;
    load_job *jobs;
    uint32_t job_count;
    load_mapping *mappings;
    uint32_t mapping_count;
    uint32_t *sources; /* job indices */
    vs_bytes total_src_bytes;
    bool has_casts; /* some job needs a cast */

    /* links and lanes */
    vs_link disk_link, h2d_link;
    uint16_t lane_disk, lane_h2d, lane_gpu;

    /* producers */
    copy_worker *workers;  /* worker_count when async, else one used by the consumer */
    vs_process dispatcher; /* hands the queue's head to the lowest idle worker */
    uint32_t idle_count;   /* workers */
    uint32_t idle_worker;  /* the last one that became idle */
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
    load_decoding decoding;
    load_unpack unpack;
    load_misfits misfits;
    uint32_t swallowed; /* operations that failed for want of memory */
    uint32_t on_host;   /* parameters that were dequantised on the CPU and stay there */
    vs_bytes on_host_bytes;
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
/* A parameter the checkpoint lacks: made at the end, in full [2.5]. */
bool load_is_absent(const vs_target *target);

/* stored.c: what becomes of a checkpoint that is quantised already */
VS_MUST_CHECK bool load_resolve_stored(loader *ld, vs_err *err); /* before the load dtype */
vs_dtype load_stored_dtype(const loader *ld,
                           vs_dtype asked); /* the load dtype instead of the one asked for */
/* Fills in decode, dtypes and meta of params whose target and sources are set. */
void load_param_resolve(const loader *ld, load_param *params, uint32_t index);
/* What a copy job casts to. */
vs_dtype load_job_dtype(const loader *ld, const load_param *param, uint32_t tensor);
/* What the finished parameter is held as on the card. */
vs_category load_param_category(const loader *ld, const load_param *param);
/* What a parameter without a value is made as. */
vs_bytes load_missing_bytes(const load_param *param);
/* Adds what was assumed about the format. */
void load_stored_assume(const loader *ld, vs_machine *machine);
/* Whether a source is read by the host only and thrown away. */
bool load_is_host_only(const load_param *param, const vs_tensor *tensor);

/* params.c: the list of what is made */
VS_MUST_CHECK bool load_build_params(loader *ld, vs_err *err);

/* transformers.c: what comes after the files are unpacked; false: the load has ended */
VS_MUST_CHECK bool load_go_on(loader *ld);
void load_phase(loader *ld, const char *name);

/* copy.c: the copying thread's state machine */
typedef enum { COPY_BUSY, COPY_OK, COPY_OOM, COPY_HOST_OOM } copy_result;

copy_result copy_begin(copy_worker *w, uint32_t job);
copy_result copy_step(copy_worker *w);

/* host.c: host memory ledger */
VS_MUST_CHECK bool host_take_anon(loader *ld,
                                  vs_bytes bytes); /* false: more than the machine has */
void host_give_anon(loader *ld, vs_bytes bytes);
void host_file_read(loader *ld, vs_bytes bytes);
/* Takes pages from the warm part of the page cache; true: they have to come from the disk. */
bool host_take_pages(loader *ld, vs_bytes bytes);

/* unpack.c: files that are read into host memory before the first copy */
VS_MUST_CHECK bool unpack_setup(loader *ld, vs_err *err); /* between parameters and jobs */
bool unpack_comes_first(const loader *ld);                /* even before the warm-up */
void unpack_step(loader *ld);
/* Adds what was assumed about it. */
void unpack_assume(const loader *ld, vs_machine *machine);
/* Bytes of a tensor that lies in host memory, 0: it stays in its file. */
vs_bytes unpack_host_bytes(const loader *ld, const load_param *param, const vs_tensor *tensor);
vs_dtype unpack_host_dtype(const loader *ld, const load_param *param, const vs_tensor *tensor);
/* What is read of the files, all together. */
vs_bytes unpack_file_bytes(const loader *ld);

/* decode.c: parameters of checkpoints that are quantised already */
void decode_begin(loader *ld); /* the sources of the current mapping are there */
void decode_step(loader *ld);
void decode_drop(loader *ld); /* gives up: frees what it holds */

/* consumer.c, for decode.c */
load_mapping *consumer_mapping(loader *ld);
const load_param *consumer_param(loader *ld);
load_job *consumer_job(loader *ld, uint32_t source);
void consumer_sleep(loader *ld, vs_ns delay, consume_state next);
void consumer_span(loader *ld, vs_category category,
                   vs_bytes bytes); /* since the sleep began */
void consumer_free_sources(loader *ld);
void consumer_swallow(loader *ld, const char *stage); /* an operation ran out of memory */
void consumer_misfit(loader *ld, uint32_t weight);    /* an operation refused its input */
void consumer_merge(loader *ld); /* the parts are there, or ld->result is */
void consumer_done(loader *ld, vs_bytes loaded_bytes); /* the parameter is set */
void consumer_unpacked(loader *ld);                    /* for unpack.c: the files are there */

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
