/* vramscope/pool.h - device memory as PyTorch's caching allocator sees it.
 *
 * A pool hands out address ranges of one device. It never touches real memory: an address is
 * a number, and the interesting answers are "does it fit", "how high did we get" and
 * "who was there". The rules are those of the native CUDA caching allocator of
 * PyTorch 2.0 to 2.14 as written in specs/torch-caching-allocator.md (sections
 * cited as [n.n] in pool/caching*.c); allocator-vectors.json are its conformance vectors.
 *
 * A pool stands on a driver: the thing that answers cudaMalloc, cuMemCreate and
 * cudaMemGetInfo. vs_driver below is the modelled one (capacity minus what others hold);
 * a replay feeds recorded addresses through the same three calls.
 *
 * The pool takes the time as an argument and knows no engine. Ownership: everything lives in
 * the arena given to vs_pool_new; no destructor. One pool belongs to one run and one thread.
 * Using a block after its free is our bug and is caught by the generation in its handle. */
#ifndef VS_POOL_H
#define VS_POOL_H

#include "vramscope/base.h"
#include "vramscope/tape.h"

/* ---- options -------------------------------------------------------------------- */

#define VS_POOL_UNLIMITED UINT64_MAX

/* Releases whose behaviour differs are told apart by this number: 2.0 -> 200, 2.10 -> 210,
 * 2.14 -> 214. 0 means newest. */
typedef uint32_t vs_torch_version;
#define VS_TORCH_NEWEST 214u

typedef struct {
    vs_torch_version torch;
    vs_bytes max_split_bytes;     /* M; VS_POOL_UNLIMITED */
    vs_bytes max_non_split_bytes; /* Q, 20 MiB [1.1] */
    vs_bytes large_segment_bytes; /* 20 MiB [1.1] */
    uint32_t divisions[16];       /* roundup_power2_divisions per slot [1.3], 0: off */
    uint32_t gc_threshold_ppm;    /* garbage_collection_threshold in millionths, 0: off.
                                           The text is parsed decimally; floor(t * limit) is computed as torch
                                           does, from gc_threshold. */
    double gc_threshold;          /* the value as torch holds it */
    double memory_fraction;       /* < 0: never set; option per_process_memory_fraction or
                                           set_per_process_memory_fraction [6.1] */
    bool expandable_segments;
    bool is_bypassed;       /* backend other than native: refused by the parser */
    uint32_t reserve_ppm;   /* expandable_segments_reserve [9.2] as a part of the device in
                                           millionths, rounded down; 0: 9/8 */
    vs_bytes reserve_bytes; /* the same as an absolute size; 0: not given */
} vs_alloc_conf;

/* Defaults of that release. */
vs_alloc_conf vs_alloc_conf_default(vs_torch_version torch);
/* Parses what PYTORCH_CUDA_ALLOC_CONF would hold, [11]. Unknown key, wrong value or an option that the
 * release does not have yet: an error naming the key, the value and what is allowed. */
VS_MUST_CHECK bool vs_alloc_conf_parse(vs_alloc_conf *conf, vs_str text, vs_err *err);

/* ---- the driver below ------------------------------------------------------------------ */

/* What the allocator asks of the CUDA driver. Callbacks because a replay and the vectors bring
 * their own. ctx is passed back. They return false for out of memory. */
typedef struct {
    void *ctx;
    bool (*malloc_segment)(void *ctx, vs_bytes size_bytes, uint64_t *out_addr); /* cudaMalloc */
    void (*free_segment)(void *ctx, uint64_t addr, vs_bytes size_bytes);        /* cudaFree */
    /* address space */
    bool (*reserve_range)(void *ctx, vs_bytes size_bytes, uint64_t *out_addr);
    /* cuMemCreate + map */
    bool (*map_page)(void *ctx, uint64_t addr, vs_bytes page_bytes);
    void (*unmap_page)(void *ctx, uint64_t addr, vs_bytes page_bytes);
    void (*free_range)(void *ctx, uint64_t addr, vs_bytes size_bytes);
    void (*mem_get_info)(void *ctx, vs_bytes *out_free, vs_bytes *out_total);
    /* For a replay, both NULL otherwise. Whether a free segment, or mapped pages, may go back now: false leaves them where
     * they are, as if somebody held them. */
    bool (*may_release)(void *ctx, uint64_t stream, uint64_t addr, vs_bytes size_bytes);
    /* Step 1 of [6.4], waiting for every event: the replay ends the frees it began with vs_pool_free_begin. */
    void (*synchronize)(void *ctx);
} vs_driver;

/* The modelled driver: fails when in_use + size rounded up to 2 MiB would exceed total;
 * addresses only increase and are never reused (vectors file, driver_model). */
typedef struct {
    vs_bytes total_bytes;  /* as cudaMemGetInfo reports it */
    vs_bytes in_use_bytes; /* preset with context + other processes */
    uint64_t next_addr;    /* set by init */
    uint64_t malloc_calls; /* all calls, failed ones too: the loader charges time for them */
    uint64_t free_calls;
    /* NULL, or what is called when the allocator waits for every event (vs_driver.synchronize) */
    void (*on_synchronize)(void *ctx);
    void *on_synchronize_ctx;
} vs_model_driver;

void vs_model_driver_init(vs_model_driver *driver, vs_bytes total_bytes, vs_bytes in_use_bytes);
vs_driver vs_model_driver_calls(vs_model_driver *driver); /* borrows driver */

/* ---- the pool ------------------------------------------------------------------------------ */

typedef struct vs_pool vs_pool;

typedef struct {
    const vs_alloc_conf *conf; /* NULL: defaults of the newest release. Copied. */
    vs_driver driver;          /* borrowed ctx outlives the pool */
    vs_tape *tape;             /* NULL: keep statistics, record nothing */
    uint8_t device;            /* of the tape */
    uint32_t expected_blocks;  /* a hint, 0: small */
} vs_pool_desc;

typedef struct {
    uint32_t id; /* 0: no block */
} vs_block;

/* NULL only when the arena is exhausted. */
VS_MUST_CHECK vs_pool *vs_pool_new(vs_arena *arena, const vs_pool_desc *desc);

/* A private pool (CUDA graphs, MemPool [10.4]) is told by the high bits of a stream: 0 is the default pool. Its blocks
 * serve its own requests only. Whether its segments may go back is the driver's word (may_release). */
#define VS_POOL_PRIVATE_SHIFT 32u

typedef struct {
    vs_bytes size_bytes;  /* as asked, > 0 (0 is the caller's null tensor [1.1]) */
    uint64_t stream;      /* 0: default stream; see VS_POOL_PRIVATE_SHIFT */
    vs_category category; /* for the tape */
    uint32_t name;        /* for the tape: string id */
    uint8_t flags;        /* VS_REQUEST_* */
} vs_pool_request;

/* Left out of the statistic tensor_bytes: what is on the card but not of the checkpoint (the warm-up block, rotary
 * buffers). Every other statistic and the tape count it. */
#define VS_REQUEST_UNCOUNTED 1u

typedef enum {
    VS_ALLOC_OK,
    /* an answer: the chain of [5] ended in out of memory; see vs_pool_oom_info */
    VS_ALLOC_OOM,
    VS_ALLOC_EXHAUSTED /* our own arena is full: an error the run reports */
} vs_alloc_result;

/* [5] O(log free blocks). *out is {0} unless VS_ALLOC_OK. Events appended at time now:
 * segment events, then alloc; or oom. */
VS_MUST_CHECK vs_alloc_result vs_pool_alloc(vs_pool *pool, vs_ns now,
                                            const vs_pool_request *request, vs_block *out);
/* [10.2] */
void vs_pool_free(vs_pool *pool, vs_ns now, vs_block block);
/* The bytes did not move, their meaning did (staging becomes weights). Tape only. */
void vs_pool_recategorise(vs_pool *pool, vs_ns now, vs_block block, vs_category category);
/* torch.cuda.empty_cache [10.3] */
void vs_pool_empty_cache(vs_pool *pool, vs_ns now);

/* Streams [10.1, 10.2]: note a foreign stream on a block; tell that events recorded on a stream from
 * now on stay unfinished / that all of them have finished. Streams start idle. */
VS_MUST_CHECK bool vs_pool_record_stream(vs_pool *pool, vs_block block, uint64_t stream);
void vs_pool_stream_busy(vs_pool *pool, uint64_t stream);
void vs_pool_stream_done(vs_pool *pool, uint64_t stream);

/* A free whose end somebody else tells, as a recording does: the block is pending until vs_pool_free_end. */
void vs_pool_free_begin(vs_pool *pool, vs_ns now, vs_block block);
void vs_pool_free_end(vs_pool *pool, vs_ns now, vs_block block);

/* set_per_process_memory_fraction, 0 to 1 */
void vs_pool_set_fraction(vs_pool *pool, double fraction);
/* torch.cuda.memory._set_allocator_settings during a run: from now on these options hold. */
void vs_pool_set_conf(vs_pool *pool, const vs_alloc_conf *conf);

vs_bytes vs_pool_block_addr(const vs_pool *pool, vs_block block);
vs_bytes vs_pool_block_size(const vs_pool *pool, vs_block block);

/* ---- statistics [7] ----------------------------------------------------------------------------- */

typedef struct {
    uint64_t current, peak, allocated, freed;
} vs_stat;

enum { VS_STAT_ALL, VS_STAT_SMALL, VS_STAT_LARGE, VS_STAT_CLASSES };

typedef struct {
    vs_stat allocation[VS_STAT_CLASSES];
    vs_stat segment[VS_STAT_CLASSES];
    vs_stat active[VS_STAT_CLASSES];
    vs_stat inactive_split[VS_STAT_CLASSES];
    vs_stat allocated_bytes[VS_STAT_CLASSES];
    vs_stat reserved_bytes[VS_STAT_CLASSES];
    vs_stat active_bytes[VS_STAT_CLASSES];
    vs_stat inactive_split_bytes[VS_STAT_CLASSES];
    vs_stat requested_bytes[VS_STAT_CLASSES];
    vs_stat tensor_bytes; /* ours: requests rounded by [1.2], without unsplit slack */
    vs_stat oversize_allocations;
    vs_stat oversize_segments;
    uint64_t num_alloc_retries;
    uint64_t num_ooms;
    uint64_t num_sync_all_streams;
    uint64_t num_device_alloc;
    uint64_t num_device_free;
} vs_pool_stats;

/* The figures as of this call, worked out from what the fast path counts (about 150 numbers): call again
 * after further operations. The memory belongs to the pool and is reused by the next call. */
const vs_pool_stats *vs_pool_get_stats(const vs_pool *pool);
/* allocated_bytes and reserved_bytes of all, current. O(1). */
vs_bytes vs_pool_allocated(const vs_pool *pool);
vs_bytes vs_pool_reserved(const vs_pool *pool);
void vs_pool_reset_peak(vs_pool *pool);
void vs_pool_reset_accumulated(vs_pool *pool);

/* ---- out of memory [8] ------------------------------------------------------------------------------ */

typedef struct {
    vs_bytes requested_bytes; /* n */
    vs_bytes rounded_bytes;   /* R */
    vs_bytes attempted_bytes; /* A: "Tried to allocate" */
    vs_bytes total_bytes;     /* cudaMemGetInfo */
    vs_bytes free_bytes;
    vs_bytes limit_bytes;     /* VS_POOL_UNLIMITED when none is in force */
    vs_bytes allocated_bytes; /* block sizes, taken after the cache was emptied */
    vs_bytes reserved_bytes;
} vs_oom_info;

/* The most recent failure; all zero when there was none. */
vs_oom_info vs_pool_oom_info(const vs_pool *pool);
/* The message with the fields of [8.2] in PyTorch's wording. process_bytes: what NVML would say this
 * process uses (context + reserved), 0 leaves that sentence out. Returns an arena string, NULL
 * when exhausted. */
VS_MUST_CHECK const char *vs_oom_message(vs_arena *arena, const vs_oom_info *info,
                                         vs_torch_version torch, uint32_t gpu_index,
                                         vs_bytes process_bytes);

/* ---- a state from outside -------------------------------------------------------------------------------- */

typedef enum {
    VS_BLOCK_ALLOCATED,
    VS_BLOCK_PENDING,
    VS_BLOCK_FREE,
    VS_BLOCK_UNMAPPED
} vs_block_state;

/* What a recording tells of the time before it began, and where a replay follows it against our own decision. */

/* A piece of a segment, in address order; they tile it. */
typedef struct {
    vs_bytes size_bytes;
    vs_bytes asked_bytes; /* allocated and pending */
    uint32_t name;        /* for the tape */
    vs_block_state state; /* neighbours are never both free, nor both unmapped */
    vs_category category;
} vs_pool_piece;

typedef struct {
    uint64_t addr;
    uint64_t stream;
    bool is_small;
    bool is_expandable; /* a range: the pieces may be unmapped, in whole pages */
    const vs_pool_piece *pieces;
    uint32_t piece_count;
} vs_pool_seed;

/* Adds a segment or range that exists already. out: piece_count handles, {0} for what is free. False when the
 * arena is exhausted. */
VS_MUST_CHECK bool vs_pool_add_seed(vs_pool *pool, vs_ns now, const vs_pool_seed *seed,
                                    vs_block *out);
/* Puts the request's block at addr, whatever a search would say; how much of what is behind it goes with it is as
 * always [4.1]. False when addr is not in a free block with room. O(blocks). */
VS_MUST_CHECK bool vs_pool_place(vs_pool *pool, vs_ns now, uint64_t addr,
                                 const vs_pool_request *request, vs_block *out);
/* [1.2] */
vs_bytes vs_pool_round(const vs_pool *pool, vs_bytes asked_bytes);
/* Returns the segment at addr to the driver. False when it is not there or not wholly free. O(blocks). */
VS_MUST_CHECK bool vs_pool_drop_segment(vs_pool *pool, vs_ns now, uint64_t addr);
/* From inside a driver's call: when the event that comes of it happened. Not before the time of the call in progress. */
void vs_pool_set_now(vs_pool *pool, vs_ns now);
/* Would this request be served from what is free now, and where? Changes nothing that counts. */
bool vs_pool_would_hit(vs_pool *pool, const vs_pool_request *request, uint64_t *out_addr);
/* The segment that would go back first if this request missed and the driver had nothing, [6.2]. False: none of that kind. */
bool vs_pool_oversize_victim(vs_pool *pool, const vs_pool_request *request, uint64_t *out_addr);
/* Would it fit where this pending block lies, once that is free? */
bool vs_pool_would_fit(vs_pool *pool, const vs_pool_request *request, vs_block pending);

/* ---- looking inside -------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t segment_addr; /* start of its segment or expandable range */
    uint64_t addr;
    vs_bytes size_bytes;
    uint64_t stream;
    vs_block block; /* {0} unless allocated or pending */
    vs_block_state state;
    bool is_small_pool;
    bool is_expandable;
} vs_block_view;

/* Calls visit for every block in address order per segment, segments in address order. Sorting needs
 * scratch from the arena; false when that is exhausted. */
VS_MUST_CHECK bool vs_pool_visit(const vs_pool *pool, vs_arena *scratch,
                                 void (*visit)(void *ctx, const vs_block_view *view),
                                 void *ctx);

/* Checks every invariant listed at the top of pool/caching.c. O(blocks): tests. */
VS_MUST_CHECK bool vs_pool_check(const vs_pool *pool, vs_arena *scratch, vs_err *err);

#endif /* VS_POOL_H */
