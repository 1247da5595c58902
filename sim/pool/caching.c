/* pool/caching.c - the caching allocator itself: search, split, allocate, free, merge.
 *
 * Rules and section numbers: specs/torch-caching-allocator.md. Where the memory comes from and how it
 * goes back to the driver: segment.c and expandable.c; deferred frees: stream.c.
 *
 *   segment   | A | F | A | A | F         |      blocks tile their segment, linked by prev/next
 *                   \           \
 *   home             freeset: by (size, address)  one per (small or large pool, stream)
 *
 * A loader frees hundreds of blocks in a row, side by side. A freed block is merged with its neighbours at once, but
 * stays loose, outside of its set, until the next allocation: what it is merged with before then never had to be
 * put into the set and taken out again.
 *
 * Private pools (graphs, MemPool [10.4]) and "free memory" callbacks ([5] step 4, CUDA IPC) are not
 * modelled: loading a model uses neither.
 *
 * Invariants walked by vs_pool_check (check.c):
 *   - the blocks of a segment or range tile it, links agree both ways, all share home and range;
 *   - two neighbours are never both free or loose, nor both unmapped;
 *   - a home's set holds exactly its free blocks, its unmapped list exactly its unmapped ones, the pool's
 *     list of loose blocks exactly those;
 *   - segments do not overlap; unmapped blocks lie in ranges and start on a page;
 *   - every current statistic equals the sum over the blocks; driver_total = reserved_bytes;
 *   - every slot is in use, or in the list of unused ones, or fresh. */
#include "sim/pool/pool_internal.h"

/* ---- handles and homes -------------------------------------------------------------- */

static uint32_t handle_of(const pool_block *block, uint32_t slot)
{
    return ((uint32_t)block->generation << SLOT_BITS) | slot;
}

vs_block vsp_handle(const vs_pool *pool, uint32_t slot)
{
    return (vs_block){handle_of(&pool->blocks[slot], slot)};
}

static inline uint32_t find_home(vs_pool *pool, bool is_small, uint64_t stream)
{
    const uint32_t recent = pool->recent_home[is_small];
    if (recent != UINT32_MAX && pool->homes[recent]->stream == stream) {
        return recent;
    }
    return vsp_find_home(pool, is_small, stream);
}

/* ---- searching [3] ------------------------------------------------------------------------------- */

/* Its size and what could be mapped right behind it. */
static uint64_t reach_of(const vs_pool *pool, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    const bool can_grow = block->next != 0 && pool->blocks[block->next].state == SLOT_UNMAPPED;
    return block->size_bytes + (can_grow ? pool->blocks[block->next].size_bytes : 0);
}

/* [3] step 3: among expandable candidates a closed hole is better than the growing end. With the mode
 * switched off, blocks of ranges are passed over. */
static uint32_t search_expandable(const vs_pool *pool, const freeset *set, uint32_t slot)
{
    const pool_block *blocks = pool->blocks;
    if (!pool->conf.expandable_segments) {
        while (slot != 0 && blocks[slot].range != 0) {
            slot = vsp_freeset_next(set, blocks, slot);
        }
        return slot;
    }
    uint32_t next = vsp_freeset_next(set, blocks, slot);
    while (blocks[slot].range != 0 && next != 0 &&
           reach_of(pool, next) < reach_of(pool, slot)) {
        slot = next;
        next = vsp_freeset_next(set, blocks, slot);
    }
    return slot;
}

/* The free block to use, still in its set; 0: a miss. */
static inline uint32_t candidate(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    const freeset *set = &pool->homes[home]->free;
    uint32_t slot = vsp_freeset_at_least(set, pool->blocks, rounded_bytes);
    if (slot != 0 && pool->blocks[slot].range != 0) {
        slot = search_expandable(pool, set, slot);
    }
    if (slot == 0) {
        return 0;
    }
    /* Oversize rules: only this one candidate is looked at, a rejected one is a miss. */
    const uint64_t max_split = pool->conf.max_split_bytes;
    const uint64_t size = pool->blocks[slot].size_bytes;
    if (rounded_bytes < max_split) {
        return size >= max_split ? 0 : slot;
    }
    return size - rounded_bytes >= pool->conf.max_non_split_bytes ? 0 : slot;
}

uint32_t vsp_candidate(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    return candidate(pool, home, rounded_bytes);
}

static inline uint32_t search(vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    if (pool->counts_searches) {
        pool->search_count[vsp_is_small_home(home)]++;
    }
    return candidate(pool, home, rounded_bytes);
}

/* ---- splitting [4.1, 4.2] --------------------------------------------------------------------------- */

static inline void mark_free(const vs_pool *pool, pool_block *block)
{
    block->state = SLOT_FREE;
    block->idle.mark = pool->search_count[vsp_is_small_home(block->home)];
}

void vsp_put_free(vs_pool *pool, uint32_t slot)
{
    mark_free(pool, &pool->blocks[slot]);
    vsp_freeset_insert(&vsp_home_of(pool, slot)->free, pool->blocks, slot);
}

void vsp_take_free(vs_pool *pool, uint32_t slot)
{
    vsp_freeset_erase(&vsp_home_of(pool, slot)->free, pool->blocks, slot);
}

/* A new block in front of slot takes its first R bytes; what is left of slot is free. */
static inline uint32_t split_front(vs_pool *pool, uint32_t slot, uint64_t rounded_bytes)
{
    const uint32_t front_slot = vsp_take_slot(pool);
    pool_block *rest = &pool->blocks[slot];
    pool_block *front = &pool->blocks[front_slot];
    front->addr = rest->addr;
    front->size_bytes = rounded_bytes;
    front->home = rest->home;
    front->range = rest->range;
    front->prev = rest->prev;
    front->next = slot;
    front->event_count = 0;
    if (rest->prev != 0) {
        pool->blocks[rest->prev].next = front_slot;
    }
    rest->prev = front_slot;
    mark_free(pool, rest);
    vsp_freeset_shrink(&pool->homes[rest->home]->free, pool->blocks, slot, rounded_bytes);
    return front_slot;
}

/* The block to hand out, made from a free one; inactive_split as the table of [7] says. */
static inline uint32_t carve(vs_pool *pool, pool_counts *counts, uint32_t slot,
                             uint64_t rounded_bytes)
{
    const pool_block *block = &pool->blocks[slot];
    const bool was_split = vsp_is_split(pool, slot);
    const bool is_counted = block->range == 0;
    const uint64_t rest = block->size_bytes - rounded_bytes;
    pool_counts *all = &pool->counts[VS_STAT_ALL];

    const pool_split_rule *rule = &pool->split_rule[vsp_is_small_home(block->home)];
    if (rest < rule->rest_from || rounded_bytes >= rule->rounded_below) {
        vsp_freeset_erase(&pool->homes[block->home]->free, pool->blocks, slot);
        if (was_split && is_counted) {
            vsp_count_down(&counts->inactive_split_bytes, &all->inactive_split_bytes,
                           block->size_bytes);
            vsp_count_down(&counts->inactive_split, &all->inactive_split, 1);
        }
        return slot;
    }
    if (is_counted && was_split) {
        vsp_count_down(&counts->inactive_split_bytes, &all->inactive_split_bytes,
                       rounded_bytes);
    } else if (is_counted) {
        vsp_count_up(&counts->inactive_split_bytes, &all->inactive_split_bytes, rest);
        vsp_count_up(&counts->inactive_split, &all->inactive_split, 1);
    }
    return split_front(pool, slot, rounded_bytes);
}

/* ---- allocating [5] ----------------------------------------------------------------------------------- */

static inline void count_allocation(vs_pool *pool, pool_counts *counts, const pool_block *block)
{
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    pool->has_grown = true;
    vsp_count_growth(&counts->allocation, &all->allocation, 1);
    vsp_count_growth(&counts->allocated_bytes, &all->allocated_bytes, block->size_bytes);
    vsp_count_growth(&counts->requested_bytes, &all->requested_bytes, block->used.asked_bytes);
    pool->tensor_bytes.current += block->used.counted_bytes;
    pool->tensor_bytes.added += block->used.counted_bytes;
    if (block->size_bytes >= pool->conf.max_split_bytes) {
        vsp_gauge_up(&pool->oversize_allocations, 1);
    }
    if (all->pending != 0) {
        vsp_count_active_peaks(counts);
        vsp_count_active_peaks(all);
    }
}

static inline void count_new(vs_pool *pool, pool_counts *counts, pool_block *block,
                             uint32_t name)
{
    count_allocation(pool, counts, block);
    if (pool->tape != NULL) {
        block->used.tape_block = vs_tape_new_block(pool->tape);
        vsp_tape_block(pool, VS_EV_ALLOC, block, name);
    }
}

void vsp_count_new(vs_pool *pool, uint32_t slot, uint32_t name)
{
    pool_block *block = &pool->blocks[slot];
    count_new(pool, vsp_counts_of(pool, block->home), block, name);
}

vs_alloc_result vs_pool_alloc(vs_pool *pool, vs_ns now, const vs_pool_request *request,
                              vs_block *out)
{
    const uint64_t asked_bytes = request->size_bytes;
    vs_assert(asked_bytes > 0);
    out->id = 0;
    pool->now = now;
    if (asked_bytes >= REFUSED_REQUEST_BYTES) {
        vsp_report_refusal(pool, request);
        return VS_ALLOC_OOM;
    }
    if (pool->is_exhausted ||
        (pool->slots_left < ALLOC_SLOTS && !vsp_reserve_slots(pool, ALLOC_SLOTS))) {
        return VS_ALLOC_EXHAUSTED;
    }
    if (pool->event_total != 0) {
        vsp_process_events(pool);
    }
    if (pool->loose_head != 0) {
        vsp_settle_loose(pool);
    }
    const uint64_t rounded_bytes =
        pool->has_divisions ? vsp_round(pool, asked_bytes)
                            : (asked_bytes + GRANULE_BYTES - 1u) & ~(GRANULE_BYTES - 1u);
    const uint32_t home = find_home(pool, rounded_bytes <= SMALL_LIMIT_BYTES, request->stream);
    if (home == UINT32_MAX) {
        return VS_ALLOC_EXHAUSTED;
    }

    uint32_t slot = search(pool, home, rounded_bytes);
    if (slot == 0) {
        slot = vsp_obtain(pool, home, rounded_bytes);
        pool->now = now; /* a replayed driver sets the times of its own events */
        if (slot == 0) {
            return vsp_report_failure(pool, request);
        }
    }
    pool_counts *counts = vsp_counts_of(pool, home);
    slot = carve(pool, counts, slot, rounded_bytes);
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_ALLOCATED;
    block->category = (uint8_t)request->category;
    block->used.asked_bytes = asked_bytes;
    block->used.counted_bytes =
        (request->flags & VS_REQUEST_UNCOUNTED) != 0 ? 0 : rounded_bytes;
    block->used.notes = 0;
    count_new(pool, counts, block, request->name);
    out->id = handle_of(block, slot);
    return VS_ALLOC_OK;
}

/* ---- freeing [4.3, 10.2] --------------------------------------------------------------------------------- */

/* Joins a neighbour that is in no set any more; the block keeps its slot. */
static inline void swallow(vs_pool *pool, uint32_t slot, uint32_t neighbour)
{
    pool_block *block = &pool->blocks[slot];
    const pool_block *eaten = &pool->blocks[neighbour];
    block->size_bytes += eaten->size_bytes;
    if (block->prev == neighbour) {
        block->addr = eaten->addr;
        block->prev = eaten->prev;
        if (eaten->prev != 0) {
            pool->blocks[eaten->prev].next = slot;
        }
    } else {
        block->next = eaten->next;
        if (eaten->next != 0) {
            pool->blocks[eaten->next].prev = slot;
        }
    }
    vsp_give_slot(pool, neighbour);
}

void vsp_merge(vs_pool *pool, uint32_t slot, uint32_t neighbour, slot_state state)
{
    if (neighbour == 0 || pool->blocks[neighbour].state != (uint8_t)state) {
        return;
    }
    if (state == SLOT_FREE) {
        vsp_take_free(pool, neighbour);
    } else {
        vsp_unmapped_remove(pool, neighbour);
    }
    swallow(pool, slot, neighbour);
}

/* The net change of a completed free, as [7] wants it. */
static inline void count_inactive(pool_counts *counts, pool_counts *all, uint64_t net_bytes,
                                  uint32_t eaten, bool is_split)
{
    if (!is_split) {
        vsp_count_down(&counts->inactive_split_bytes, &all->inactive_split_bytes, net_bytes);
        vsp_count_down(&counts->inactive_split, &all->inactive_split, eaten);
        return;
    }
    vsp_count_up(&counts->inactive_split_bytes, &all->inactive_split_bytes, net_bytes);
    if (eaten == 0) {
        vsp_count_up(&counts->inactive_split, &all->inactive_split, 1);
    } else if (eaten == 2) {
        vsp_count_down(&counts->inactive_split, &all->inactive_split, 1);
    }
}

static inline void loose_add(vs_pool *pool, uint32_t slot)
{
    pool_block *blocks = pool->blocks;
    blocks[slot].state = SLOT_LOOSE;
    blocks[slot].idle.left = 0;
    blocks[slot].idle.right = pool->loose_head;
    if (pool->loose_head != 0) {
        blocks[pool->loose_head].idle.left = slot;
    }
    pool->loose_head = slot;
}

static inline void loose_remove(vs_pool *pool, uint32_t slot)
{
    pool_block *blocks = pool->blocks;
    const uint32_t left = blocks[slot].idle.left;
    const uint32_t right = blocks[slot].idle.right;
    if (left == 0) {
        pool->loose_head = right;
    } else {
        blocks[left].idle.right = right;
    }
    if (right != 0) {
        blocks[right].idle.left = left;
    }
}

void vsp_settle_loose(vs_pool *pool)
{
    uint32_t slot = pool->loose_head;
    while (slot != 0) {
        const uint32_t next = pool->blocks[slot].idle.right;
        pool->blocks[slot].state = SLOT_FREE;
        vsp_freeset_insert(&vsp_home_of(pool, slot)->free, pool->blocks, slot);
        slot = next;
    }
    pool->loose_head = 0;
}

/* Joins a neighbour when it is free. Returns how many were joined. */
static inline uint32_t swallow_free(vs_pool *pool, uint32_t slot, uint32_t neighbour)
{
    const uint8_t state = pool->blocks[neighbour].state; /* slot 0, none, is never free */
    if (state != SLOT_FREE && state != SLOT_LOOSE) {
        return 0;
    }
    if (state == SLOT_FREE) {
        vsp_take_free(pool, neighbour);
    } else {
        loose_remove(pool, neighbour);
    }
    swallow(pool, slot, neighbour);
    return 1;
}

/* Merging [4.3]; the block goes into its set later. */
static inline void join_free(vs_pool *pool, pool_counts *counts, uint32_t slot)
{
    pool_block *block = &pool->blocks[slot];
    const uint64_t own_bytes = block->size_bytes;
    /* Whoever still holds the handle of this block is wrong from here on. */
    block->generation++;
    uint32_t eaten = swallow_free(pool, slot, block->prev);
    eaten += swallow_free(pool, slot, block->next);
    mark_free(pool, block);
    loose_add(pool, slot);
    if (block->range == 0) { /* inactive_split leaves expandable blocks out */
        const bool is_split = vsp_is_split(pool, slot);
        /* What was eaten was counted; what survives as a split block is counted as a whole. */
        const uint64_t net_bytes = is_split ? own_bytes : block->size_bytes - own_bytes;
        count_inactive(counts, &pool->counts[VS_STAT_ALL], net_bytes, eaten, is_split);
    }
}

static inline void complete_free(vs_pool *pool, pool_counts *counts, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    if (pool->tape != NULL) {
        vsp_tape_block(pool, VS_EV_FREE, block, VS_NO_NAME);
    }
    vsp_count_down(&counts->requested_bytes, &pool->counts[VS_STAT_ALL].requested_bytes,
                   block->used.asked_bytes);
    join_free(pool, counts, slot);
}

static void count_pending(pool_counts *counts, uint64_t bytes)
{
    counts->pending++;
    counts->pending_bytes += bytes;
}

static void uncount_pending(pool_counts *counts, uint64_t bytes)
{
    counts->pending--;
    counts->pending_bytes -= bytes;
}

void vsp_complete_pending(vs_pool *pool, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    pool_counts *counts = vsp_counts_of(pool, block->home);
    if (pool->has_grown) {
        vsp_note_peaks(pool);
    }
    uncount_pending(counts, block->size_bytes);
    uncount_pending(&pool->counts[VS_STAT_ALL], block->size_bytes);
    complete_free(pool, counts, slot);
}

static inline void count_request_to_free(vs_pool *pool, pool_counts *counts,
                                         const pool_block *freed)
{
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    if (pool->has_grown) {
        vsp_note_peaks(pool);
    }
    vsp_count_down(&counts->allocation, &all->allocation, 1);
    vsp_count_down(&counts->allocated_bytes, &all->allocated_bytes, freed->size_bytes);
    vsp_gauge_down(&pool->tensor_bytes, freed->used.counted_bytes);
    /* The second test: a changed M (vs_pool_set_conf) must not make the counter wrap. */
    if (freed->size_bytes >= pool->conf.max_split_bytes &&
        pool->oversize_allocations.current > 0) {
        vsp_gauge_down(&pool->oversize_allocations, 1);
    }
}

static void begin_pending(vs_pool *pool, pool_counts *counts, uint32_t slot)
{
    pool_block *freed = &pool->blocks[slot];
    freed->state = SLOT_PENDING;
    count_pending(counts, freed->size_bytes);
    count_pending(&pool->counts[VS_STAT_ALL], freed->size_bytes);
    if (pool->tape != NULL) {
        vsp_tape_block(pool, VS_EV_FREE_REQUESTED, freed, VS_NO_NAME);
    }
}

void vsp_begin_pending(vs_pool *pool, uint32_t slot)
{
    pool_counts *counts = vsp_counts_of(pool, pool->blocks[slot].home);
    count_request_to_free(pool, counts, &pool->blocks[slot]);
    begin_pending(pool, counts, slot);
    pool->blocks[slot].event_count = 1;
    pool->held_frees++;
}

void vs_pool_free(vs_pool *pool, vs_ns now, vs_block block)
{
    const uint32_t slot = vsp_live_slot(pool, block);
    pool_block *freed = &pool->blocks[slot];
    vs_assert(freed->state == SLOT_ALLOCATED);
    pool->now = now;
    pool_counts *counts = vsp_counts_of(pool, freed->home);
    count_request_to_free(pool, counts, freed);
    if (freed->used.notes == 0) {
        complete_free(pool, counts, slot);
        return;
    }
    begin_pending(pool, counts, slot);
    vsp_record_events(pool, slot);
}

void vs_pool_free_begin(vs_pool *pool, vs_ns now, vs_block block)
{
    const uint32_t slot = vsp_live_slot(pool, block);
    vs_assert(pool->blocks[slot].state == SLOT_ALLOCATED && pool->blocks[slot].used.notes == 0);
    pool->now = now;
    vsp_begin_pending(pool, slot);
}

void vs_pool_free_end(vs_pool *pool, vs_ns now, vs_block block)
{
    const uint32_t slot = vsp_live_slot(pool, block);
    vs_assert(pool->blocks[slot].state == SLOT_PENDING && pool->blocks[slot].event_count == 1);
    pool->now = now;
    pool->blocks[slot].event_count = 0;
    pool->held_frees--;
    vsp_complete_pending(pool, slot);
}

void vs_pool_recategorise(vs_pool *pool, vs_ns now, vs_block block, vs_category category)
{
    pool_block *named = &pool->blocks[vsp_live_slot(pool, block)];
    pool->now = now;
    named->category = (uint8_t)category;
    if (pool->tape != NULL) {
        vsp_tape_block(pool, VS_EV_RECAT, named, VS_NO_NAME);
    }
}

uint64_t vs_pool_block_addr(const vs_pool *pool, vs_block block)
{
    return pool->blocks[vsp_live_slot(pool, block)].addr;
}

vs_bytes vs_pool_block_size(const vs_pool *pool, vs_block block)
{
    return pool->blocks[vsp_live_slot(pool, block)].size_bytes;
}
