/* pool/pool_internal.h - what the files of pool/ share. Not installed.
 *
 * Names across files start with vsp_ (vramscope pool). Blocks are named by slot number, 0 is none;
 * `pool->blocks` may move whenever slots are reserved, so no function keeps a pool_block
 * pointer across vsp_reserve_slots. Sections in brackets: specs/torch-caching-allocator.md. */
#ifndef VS_POOL_INTERNAL_H
#define VS_POOL_INTERNAL_H

#include "sim/pool/block.h"
#include "sim/pool/freeset.h"
#include "vramscope/pool.h"

/* ---- constants [1.1] -------------------------------------------------------------- */

#define GRANULE_BYTES               UINT64_C(512) /* smallest block, granule of rounding */
#define SMALL_LIMIT_BYTES           (1 * VS_MIB)  /* largest R of the small pool, inclusive */
#define SMALL_SEGMENT_BYTES         (2 * VS_MIB)  /* segment and page size of the small pool */
#define DEFAULT_LARGE_SEGMENT_BYTES (20 * VS_MIB)
#define OWN_SEGMENT_FROM_BYTES      (10 * VS_MIB) /* smallest R with a segment of its own */
#define SEGMENT_STEP_BYTES          (2 * VS_MIB)  /* rounding of own segments */
#define LARGE_REMAINDER_BYTES       (1 * VS_MIB)  /* [4.1] strictly more is split off */
#define REFUSED_REQUEST_BYTES       (UINT64_C(1) << 60)

/* Releases at which behaviour changes [19]. */
#define TORCH_2_1  201u
#define TORCH_2_4  204u
#define TORCH_2_5  205u
#define TORCH_2_10 210u

#define SLOT_BITS  22u /* of a handle; the rest is its generation */
#define SLOT_LIMIT (1u << SLOT_BITS)

/* One allocation uses at most one slot for a segment or range, one for the rest of a mapping,
 * one for the front of a split. */
#define ALLOC_SLOTS 4u
/* Unmapping leaves at most a piece before and a piece after. */
#define UNMAP_SLOTS 2u

/* ---- structures ---------------------------------------------------------------------- */

/* Free memory of one (pool, stream): a search never looks elsewhere [3]. */
typedef struct {
    uint64_t stream;
    bool is_small;
    uint32_t unmapped_head; /* unmapped blocks by address, linked through idle.left/right */
    freeset free;
} pool_home;

/* An expandable address range [9.2]. */
typedef struct {
    uint64_t addr;
    uint64_t size_bytes;
    uint64_t page_bytes;
    uint32_t home;
    uint32_t next_unused; /* when size_bytes is 0 */
} pool_range;

/* A foreign stream [10.2]. The FIFO holds notes; unfinished ones are always at its end,
 * because stream_done finishes everything recorded before. */
typedef struct {
    uint64_t stream;
    bool is_busy;
    uint32_t head;
    uint32_t tail;
    uint32_t count;
    uint32_t unfinished;
} pool_stream;

/* First "this stream uses this block", then, after the free, the event on that stream. */
typedef struct {
    uint32_t next;
    uint32_t block;
    uint32_t stream; /* index into pool->streams */
} pool_note;

struct vs_pool {
    vs_arena *arena;
    vs_alloc_conf conf;
    vs_driver driver;
    vs_tape *tape;
    uint8_t device;
    bool is_exhausted;     /* our arena ran out in a place that could not say so */
    bool has_divisions;    /* any slot of conf.divisions is set */
    bool has_limit;        /* a memory fraction is in force [6.1] */
    bool counts_searches;  /* limit in force and gc threshold > 0 [3] step 1 */
    bool has_changed_conf; /* vs_pool_set_conf: M may have been another one before */
    vs_ns now;

    pool_block *blocks;
    uint32_t slot_capacity; /* of blocks, slot 0 included */
    uint32_t slot_fresh;    /* slots from here on were never used */
    uint32_t slot_unused;   /* list of slots given back */
    uint32_t slots_left;    /* unused ones, both kinds */

    pool_home **homes;       /* in order of creation */
    uint32_t *home_order[2]; /* [is_small]: homes by stream, ascending */
    uint32_t home_order_count[2];
    uint32_t home_count;
    uint32_t home_capacity;
    uint32_t recent_home[2]; /* [is_small]: used last; UINT32_MAX none */

    pool_range *ranges; /* 0 unused, so that 0 can mean none */
    uint32_t range_count;
    uint32_t range_capacity;
    uint32_t range_unused;

    pool_stream *streams;   /* in order of appearance */
    uint32_t *stream_order; /* ascending by handle */
    uint32_t stream_count;
    uint32_t stream_capacity;
    pool_note *notes; /* 0 none */
    uint32_t note_count;
    uint32_t note_capacity;
    uint32_t note_unused;
    uint32_t event_total; /* outstanding over all streams */

    uint64_t search_count[2]; /* [is_small] [6.3] */
    uint64_t driver_total;    /* bytes of segments and mapped pages */
    uint64_t limit_bytes;
    uint64_t device_total_bytes;
    vs_pool_stats stats;
    vs_oom_info oom;
};

/* What one allocation is about. */
typedef struct {
    uint64_t asked_bytes;   /* n */
    uint64_t rounded_bytes; /* R */
    uint64_t counted_bytes; /* R, or 0 for VS_REQUEST_UNCOUNTED */
    uint64_t segment_bytes; /* A */
    uint32_t home;
    bool is_small;
} pool_order;

/* ---- statistics [7], on the fast path ---------------------------------------------------- */

static inline void vsp_stat_up(vs_stat *stat, uint64_t by)
{
    stat->current += by;
    stat->allocated += by;
    stat->peak = stat->current > stat->peak ? stat->current : stat->peak;
}

static inline void vsp_stat_down(vs_stat *stat, uint64_t by)
{
    vs_check(stat->current >= by);
    stat->current -= by;
    stat->freed += by;
}

static inline unsigned vsp_stat_class(bool is_small)
{
    return is_small ? VS_STAT_SMALL : VS_STAT_LARGE;
}

static inline void vsp_stats_up(vs_stat stats[VS_STAT_CLASSES], unsigned stat_class,
                                uint64_t by)
{
    vsp_stat_up(&stats[VS_STAT_ALL], by);
    vsp_stat_up(&stats[stat_class], by);
}

static inline void vsp_stats_down(vs_stat stats[VS_STAT_CLASSES], unsigned stat_class,
                                  uint64_t by)
{
    vsp_stat_down(&stats[VS_STAT_ALL], by);
    vsp_stat_down(&stats[stat_class], by);
}

/* ---- blocks: caching.c ------------------------------------------------------------------------ */

/* False when the arena is exhausted or the limit of SLOT_LIMIT - 1 blocks is reached. Moves blocks. */
VS_MUST_CHECK bool vsp_reserve_slots(vs_pool *pool, uint32_t count);
/* From reserved slots only. The block is all zero but for its generation. */
uint32_t vsp_slot_take(vs_pool *pool);
void vsp_slot_give(vs_pool *pool, uint32_t slot);
/* Merges the neighbour (slot or 0) into slot when it is free in the same way, [4.3]: `state` is
 * SLOT_FREE or SLOT_UNMAPPED. Returns the bytes of the eaten neighbour, 0 none. */
uint64_t vsp_merge(vs_pool *pool, uint32_t slot, uint32_t neighbour, slot_state state);
/* Marks the block free and puts it into its home's set. */
void vsp_put_free(vs_pool *pool, uint32_t slot);
void vsp_take_free(vs_pool *pool, uint32_t slot);
/* The free has completed [10.2]. */
void vsp_complete_free(vs_pool *pool, uint32_t slot);
vs_block vsp_handle(const vs_pool *pool, uint32_t slot);
/* Asserts that the handle names an allocated or pending block. */
uint32_t vsp_live_slot(const vs_pool *pool, vs_block handle);

/* The block's home. */
static inline pool_home *vsp_home_of(const vs_pool *pool, uint32_t slot)
{
    return pool->homes[pool->blocks[slot].home];
}

bool vsp_is_split(const vs_pool *pool, uint32_t slot);
uint64_t vsp_round(const vs_pool *pool, uint64_t asked_bytes); /* [1.2] */
void vsp_adopt_conf(vs_pool *pool, const vs_alloc_conf *conf);

/* ---- segments: segment.c ------------------------------------------------------------------------- */

/* Everything after a missed search, [5] steps 4 to 9. A slot that is in no set, or 0: out of
 * memory, or pool->is_exhausted. */
uint32_t vsp_obtain(vs_pool *pool, const pool_order *order);
void vsp_release_all(vs_pool *pool); /* [6.4] */
/* Works out limit_bytes, has_limit and counts_searches from conf. */
void vsp_apply_limit(vs_pool *pool);

/* ---- expandable ranges: expandable.c ---------------------------------------------------------------- */

/* [9.3, 9.4] A mapped block of at least R bytes, in no set; 0: the driver refused a page, or
 * pool->is_exhausted. */
uint32_t vsp_expand(vs_pool *pool, const pool_order *order);
/* [9.5] Also drops the range when nothing of it is left. */
void vsp_unmap(vs_pool *pool, uint32_t slot);
void vsp_unmapped_remove(vs_pool *pool, uint32_t slot);

/* ---- streams: stream.c -------------------------------------------------------------------------------- */

/* The notes of a block whose free is requested become events. */
void vsp_record_events(vs_pool *pool, uint32_t slot);
void vsp_process_events(vs_pool *pool);     /* the finished ones [10.2] */
void vsp_synchronize_events(vs_pool *pool); /* all of them [6.4] step 1 */

/* ---- out of memory: oom.c ------------------------------------------------------------------------------- */

void vsp_report_oom(vs_pool *pool, const pool_order *order, const vs_pool_request *request);
void vsp_report_refusal(vs_pool *pool, const vs_pool_request *request);

/* ---- tape ------------------------------------------------------------------------------------------------- */

/* One of the SEGMENT events. */
static inline void vsp_tape_segment(const vs_pool *pool, vs_event_kind kind, uint64_t addr,
                                    uint64_t size_bytes, uint64_t stream)
{
    if (pool->tape != NULL) {
        const vs_event event = {.time_ns = pool->now,
                                .size_bytes = size_bytes,
                                .addr = addr,
                                .block = VS_NO_BLOCK,
                                .stream = (uint32_t)stream,
                                .kind = (uint8_t)kind,
                                .device = pool->device};
        vs_tape_event(pool->tape, &event);
    }
}

/* A new capacity of at least `needed`, by doubling from `capacity`; stays within uint32_t. */
static inline uint32_t vsp_grown(uint32_t capacity, uint32_t needed, uint32_t smallest)
{
    uint64_t grown = capacity < smallest ? smallest : capacity;
    while (grown < needed) {
        grown *= 2;
    }
    return grown > UINT32_MAX ? UINT32_MAX : (uint32_t)grown;
}

#endif /* VS_POOL_INTERNAL_H */
