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

/* A counter of [7]; `base` is its value at the last reset of the sums. */
typedef struct {
    uint64_t current;
    uint64_t peak;
    uint64_t added;
    uint64_t base;
} pool_gauge;

/* The counters of one class (all, small, large). */
typedef struct {
    pool_gauge allocation;
    pool_gauge allocated_bytes;
    pool_gauge requested_bytes;
    pool_gauge inactive_split;
    pool_gauge inactive_split_bytes;
    pool_gauge segment;
    pool_gauge reserved_bytes;
    uint64_t pending;       /* freed, events outstanding: the part of active that is */
    uint64_t pending_bytes; /* not allocated */
    uint64_t active_peak;   /* at allocations while anything was pending; never below what */
    uint64_t active_bytes_peak; /* the peaks of allocation and allocated_bytes say */
    uint64_t active_base;       /* as pool_gauge.base */
    uint64_t active_bytes_base;
} pool_counts;

/* [4.1] The remainder is split off when it is at least so large and R is below the bound. */
typedef struct {
    uint64_t rest_from;
    uint64_t rounded_below;
} pool_split_rule;

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
    bool has_grown; /* allocations since the last free: their peaks are in `current` only */
    pool_split_rule split_rule[2]; /* [is_small] */
    vs_ns now;

    pool_block *blocks;
    uint32_t slot_capacity; /* of blocks, slot 0 included */
    uint32_t slot_fresh;    /* slots from here on were never used */
    uint32_t slot_unused;   /* list of slots given back */
    uint32_t slots_left;    /* unused ones, both kinds */
    uint32_t loose_head;    /* list of the loose blocks, see caching.c */

    pool_home **homes;       /* in order of creation */
    uint32_t *home_order[2]; /* [is_small]: homes by stream, ascending */
    uint32_t home_order_count[2];
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
    uint32_t held_frees;  /* begun by vs_pool_free_begin and not ended */

    uint64_t search_count[2]; /* [is_small] [6.3] */
    uint64_t driver_total;    /* bytes of segments and mapped pages */
    uint64_t limit_bytes;
    uint64_t device_total_bytes;
    pool_counts counts[VS_STAT_CLASSES];
    pool_gauge tensor_bytes;
    pool_gauge oversize_allocations;
    pool_gauge oversize_segments;
    uint64_t num_alloc_retries;
    uint64_t num_ooms;
    uint64_t num_sync_all_streams;
    uint64_t num_device_alloc;
    uint64_t num_device_free;
    vs_pool_stats *report; /* filled by vs_pool_get_stats */
    vs_oom_info oom;
};

/* ---- statistics [7] ---------------------------------------------------------------------- */

/* The fast path keeps what cannot be worked out later, stats.c the rest: decreases are increases minus
 * what is still there; sums of all are sums of small and large; what is active is what is
 * allocated plus what is pending. */

static inline void vsp_gauge_up(pool_gauge *gauge, uint64_t by)
{
    const uint64_t current = gauge->current + by;
    gauge->current = current;
    gauge->added += by;
    gauge->peak = current > gauge->peak ? current : gauge->peak;
}

static inline void vsp_gauge_down(pool_gauge *gauge, uint64_t by)
{
    vs_check(gauge->current >= by);
    gauge->current -= by;
}

/* A counter of one class and the same of all; for all, `added` is not kept. */
static inline void vsp_count_up(pool_gauge *of_class, pool_gauge *of_all, uint64_t by)
{
    vsp_gauge_up(of_class, by);
    const uint64_t current = of_all->current + by;
    of_all->current = current;
    of_all->peak = current > of_all->peak ? current : of_all->peak;
}

/* The same for what grows by allocations and shrinks by frees. A load has hundreds of the one before it has the
 * other, so its peaks are noted when it shrinks (vsp_note_peaks), and until then are what is current. */
static inline void vsp_count_growth(pool_gauge *of_class, pool_gauge *of_all, uint64_t by)
{
    of_class->current += by;
    of_class->added += by;
    of_all->current += by;
}

static inline void vsp_note_peak(pool_gauge *gauge)
{
    gauge->peak = gauge->current > gauge->peak ? gauge->current : gauge->peak;
}

/* Before the first free, or completed free, after allocations. */
static inline void vsp_note_peaks(vs_pool *pool)
{
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        vsp_note_peak(&pool->counts[c].allocation);
        vsp_note_peak(&pool->counts[c].allocated_bytes);
        vsp_note_peak(&pool->counts[c].requested_bytes);
    }
    vsp_note_peak(&pool->tensor_bytes);
    pool->has_grown = false;
}

static inline void vsp_count_down(pool_gauge *of_class, pool_gauge *of_all, uint64_t by)
{
    vsp_gauge_down(of_class, by);
    vsp_gauge_down(of_all, by);
}

static inline bool vsp_is_small_home(uint32_t home)
{
    return (home & 1u) != 0;
}

static inline unsigned vsp_stat_class(uint32_t home)
{
    return VS_STAT_LARGE - (home & 1u);
}

static inline pool_counts *vsp_counts_of(vs_pool *pool, uint32_t home)
{
    return &pool->counts[vsp_stat_class(home)];
}

/* Peaks of active, while anything is pending. */
void vsp_count_active_peaks(pool_counts *counts);

/* ---- blocks: open.c, caching.c ------------------------------------------------------------------------ */

/* False when the arena is exhausted or the limit of SLOT_LIMIT - 1 blocks is reached. Moves blocks. */
VS_MUST_CHECK bool vsp_reserve_slots(vs_pool *pool, uint32_t count);
/* From reserved slots only. The block is all zero but for its generation. */
uint32_t vsp_slot_take(vs_pool *pool);
void vsp_slot_give(vs_pool *pool, uint32_t slot);

/* The same inline; the taken block holds what was in it. */
static inline uint32_t vsp_take_slot(vs_pool *pool)
{
    vs_check(pool->slots_left > 0);
    pool->slots_left--;
    const uint32_t slot = pool->slot_unused;
    if (slot == 0) {
        pool->blocks[pool->slot_fresh].generation = 0; /* fresh slots hold anything */
        return pool->slot_fresh++;
    }
    pool->slot_unused = pool->blocks[slot].idle.right;
    return slot;
}

static inline void vsp_give_slot(vs_pool *pool, uint32_t slot)
{
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_UNUSED;
    block->generation++;
    block->idle.right = pool->slot_unused;
    pool->slot_unused = slot;
    pool->slots_left++;
}

/* The home of (pool, stream), made at first use; UINT32_MAX when the arena is exhausted. */
uint32_t vsp_find_home(vs_pool *pool, bool is_small, uint64_t stream);
/* Merges the neighbour (slot or 0) into slot when it is free in the same way, [4.3]: `state` is
 * SLOT_FREE or SLOT_UNMAPPED. */
void vsp_merge(vs_pool *pool, uint32_t slot, uint32_t neighbour, slot_state state);
/* Puts the loose blocks into their sets. Before anything searches or walks a set. */
void vsp_settle_loose(vs_pool *pool);
/* Marks the block free and puts it into its home's set. */
void vsp_put_free(vs_pool *pool, uint32_t slot);
void vsp_take_free(vs_pool *pool, uint32_t slot);
/* The last event of a pending block is done [10.2]. */
void vsp_complete_pending(vs_pool *pool, uint32_t slot);
vs_block vsp_handle(const vs_pool *pool, uint32_t slot);
/* A search that does not count. 0: a miss. */
uint32_t vsp_candidate(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes);
/* A block that was just handed out or seeded, into the statistics and onto the tape. */
void vsp_count_new(vs_pool *pool, uint32_t slot, uint32_t name);
/* Its free is requested: no longer allocated, pending until its events are done. */
void vsp_begin_pending(vs_pool *pool, uint32_t slot);

/* The slot of an allocated or pending block; a stale or foreign handle is a mistake in the calling code. */
static inline uint32_t vsp_live_slot(const vs_pool *pool, vs_block handle)
{
    const uint32_t slot = handle.id & (SLOT_LIMIT - 1u);
    vs_assert(slot < pool->slot_fresh);
    const pool_block *block = &pool->blocks[slot];
    vs_assert((((uint32_t)block->generation << SLOT_BITS) | slot) == handle.id &&
              (uint8_t)(block->state - SLOT_ALLOCATED) <= SLOT_PENDING - SLOT_ALLOCATED);
    return slot;
}

/* The block's home. */
static inline pool_home *vsp_home_of(const vs_pool *pool, uint32_t slot)
{
    return pool->homes[pool->blocks[slot].home];
}

static inline bool vsp_is_split(const vs_pool *pool, uint32_t slot)
{
    return (pool->blocks[slot].prev | pool->blocks[slot].next) != 0;
}

uint64_t vsp_round(const vs_pool *pool, uint64_t asked_bytes);           /* [1.2] */
uint64_t vsp_segment_bytes(const vs_pool *pool, uint64_t rounded_bytes); /* [1.4] */
void vsp_adopt_conf(vs_pool *pool, const vs_alloc_conf *conf);

/* ---- segments: segment.c ------------------------------------------------------------------------- */

/* Everything after a missed search, [5] steps 4 to 9. A free block of at least R bytes in its set, or
 * 0: out of memory, or pool->is_exhausted. */
uint32_t vsp_obtain(vs_pool *pool, uint32_t home, uint64_t rounded_bytes);
void vsp_release_all(vs_pool *pool); /* [6.4] */
/* A free block that covers its whole segment goes back to the driver. */
void vsp_release_segment(vs_pool *pool, uint32_t slot);
/* What the driver says to that; true when it has nothing to say. */
bool vsp_may_release(const vs_pool *pool, uint32_t slot, uint64_t addr, uint64_t size_bytes);
/* Works out limit_bytes, has_limit and counts_searches from conf. */
void vsp_apply_limit(vs_pool *pool);

/* ---- expandable ranges: expandable.c ---------------------------------------------------------------- */

/* [9.3, 9.4] A free block of at least R bytes; 0: the driver refused a page, or
 * pool->is_exhausted. */
uint32_t vsp_expand(vs_pool *pool, uint32_t home, uint64_t rounded_bytes);
/* [9.3] Where R bytes could lie: the lowest unmapped block, with the free one before it, whose run of
 * free and unmapped neighbours is long enough; 0: a new range is needed. */
uint32_t vsp_find_place(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes);
/* [9.5] Also drops the range when nothing of it is left. */
void vsp_unmap(vs_pool *pool, uint32_t slot);
void vsp_unmapped_remove(vs_pool *pool, uint32_t slot);
/* Makes the block unmapped and puts it into its home's list. */
void vsp_unmapped_insert(vs_pool *pool, uint32_t slot);
/* Index of a new range; 0 when the arena is exhausted. */
uint32_t vsp_take_range(vs_pool *pool, const pool_range *range);

/* ---- streams: stream.c -------------------------------------------------------------------------------- */

/* The notes of a block whose free is requested become events. */
void vsp_record_events(vs_pool *pool, uint32_t slot);
void vsp_process_events(vs_pool *pool);     /* the finished ones [10.2] */
void vsp_synchronize_events(vs_pool *pool); /* all of them [6.4] step 1 */

/* ---- out of memory: oom.c ------------------------------------------------------------------------------- */

/* EXHAUSTED when the arena ran out on the way, else OOM with everything [8.1] wants. */
vs_alloc_result vsp_report_failure(vs_pool *pool, const vs_pool_request *request);
void vsp_report_refusal(vs_pool *pool, const vs_pool_request *request);

/* ---- tape ------------------------------------------------------------------------------------------------- */

/* ALLOC, FREE or RECAT; the pool has a tape. */
void vsp_tape_block(vs_pool *pool, vs_event_kind kind, const pool_block *block, uint32_t name);

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
