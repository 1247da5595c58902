/* pool/caching.c - the caching allocator itself: search, split, allocate, free, merge.
 *
 * Rules and section numbers: specs/torch-caching-allocator.md. Where the memory comes from and how it
 * goes back to the driver: segment.c and expandable.c; deferred frees: stream.c.
 *
 *   segment   | A | F | A | A | F         |      blocks tile their segment, linked by prev/next
 *                   \           \
 *   home             freeset: by (size, address)  one per (small or large pool, stream)
 *
 * Private pools (graphs, MemPool [10.4]) and "free memory" callbacks ([5] step 4, CUDA IPC) are not
 * modelled: loading a model uses neither.
 *
 * Invariants walked by vs_pool_check (check.c):
 *   - the blocks of a segment or range tile it, links agree both ways, all share home and range;
 *   - two neighbours are never both free, nor both unmapped;
 *   - a home's set holds exactly its free blocks, its unmapped list exactly its unmapped ones;
 *   - segments do not overlap; unmapped blocks lie in ranges and start on a page;
 *   - every current statistic equals the sum over the blocks; driver_total = reserved_bytes;
 *   - every slot is in use, or in the list of unused ones, or fresh. */
#include "sim/pool/bits.h"
#include "sim/pool/pool_internal.h"

#include <string.h>

/* ---- slots and handles -------------------------------------------------------------- */

static bool grow_slots(vs_pool *pool, uint32_t count)
{
    const uint64_t needed = (uint64_t)pool->slot_fresh + count;
    if (needed > SLOT_LIMIT) {
        return false;
    }
    uint32_t capacity = vsp_grown(pool->slot_capacity, (uint32_t)needed, 64);
    capacity = capacity > SLOT_LIMIT ? SLOT_LIMIT : capacity;
    pool_block *blocks =
        vs_arena_array(pool->arena, capacity, sizeof(pool_block), sizeof(pool_block));
    if (blocks == NULL) {
        return false;
    }
    if (pool->blocks != NULL) {
        memcpy(blocks, pool->blocks, sizeof(pool_block) * pool->slot_fresh);
    }
    pool->slots_left += capacity - pool->slot_capacity;
    pool->blocks = blocks;
    pool->slot_capacity = capacity;
    return true;
}

bool vsp_reserve_slots(vs_pool *pool, uint32_t count)
{
    return pool->slots_left >= count || grow_slots(pool, count);
}

uint32_t vsp_slot_take(vs_pool *pool)
{
    vs_check(pool->slots_left > 0);
    pool->slots_left--;
    uint32_t slot = pool->slot_unused;
    if (slot != 0) {
        pool->slot_unused = pool->blocks[slot].idle.right;
    } else {
        slot = pool->slot_fresh++;
    }
    pool_block *block = &pool->blocks[slot];
    const uint16_t generation = block->generation;
    memset(block, 0, sizeof *block);
    block->generation = generation;
    return slot;
}

void vsp_slot_give(vs_pool *pool, uint32_t slot)
{
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_UNUSED;
    block->generation++;
    block->idle.right = pool->slot_unused;
    pool->slot_unused = slot;
    pool->slots_left++;
}

static uint32_t handle_of(const pool_block *block, uint32_t slot)
{
    return ((uint32_t)block->generation << SLOT_BITS) | slot;
}

vs_block vsp_handle(const vs_pool *pool, uint32_t slot)
{
    return (vs_block){handle_of(&pool->blocks[slot], slot)};
}

/* A stale or foreign handle is a mistake in the calling code. */
uint32_t vsp_live_slot(const vs_pool *pool, vs_block handle)
{
    const uint32_t slot = handle.id & (SLOT_LIMIT - 1u);
    vs_assert(slot != 0 && slot < pool->slot_fresh);
    const pool_block *block = &pool->blocks[slot];
    vs_assert(handle_of(block, slot) == handle.id &&
              (block->state == SLOT_ALLOCATED || block->state == SLOT_PENDING));
    return slot;
}

/* ---- homes ------------------------------------------------------------------------------ */

static bool grow_homes(vs_pool *pool)
{
    const uint32_t capacity = vsp_grown(pool->home_capacity, pool->home_count + 1u, 8);
    pool_home **homes = VS_ARRAY(pool->arena, pool_home *, capacity);
    uint32_t *small = VS_ARRAY(pool->arena, uint32_t, capacity);
    uint32_t *large = VS_ARRAY(pool->arena, uint32_t, capacity);
    if (homes == NULL || small == NULL || large == NULL) {
        return false;
    }
    if (pool->home_count != 0) {
        memcpy(homes, pool->homes, sizeof *homes * pool->home_count);
        memcpy(large, pool->home_order[0], sizeof *large * pool->home_order_count[0]);
        memcpy(small, pool->home_order[1], sizeof *small * pool->home_order_count[1]);
    }
    pool->homes = homes;
    pool->home_order[0] = large;
    pool->home_order[1] = small;
    pool->home_capacity = capacity;
    return true;
}

/* The home of (pool, stream), made at first use; UINT32_MAX when the arena is exhausted. */
static uint32_t find_home(vs_pool *pool, bool is_small, uint64_t stream)
{
    const uint32_t recent = pool->recent_home[is_small];
    if (recent != UINT32_MAX && pool->homes[recent]->stream == stream) {
        return recent;
    }
    const uint32_t count = pool->home_order_count[is_small];
    uint32_t at = 0;
    for (uint32_t span = count; span > 0;) {
        const uint32_t half = span / 2;
        if (pool->homes[pool->home_order[is_small][at + half]]->stream < stream) {
            at += half + 1;
            span -= half + 1;
        } else {
            span = half;
        }
    }
    if (at < count && pool->homes[pool->home_order[is_small][at]]->stream == stream) {
        pool->recent_home[is_small] = pool->home_order[is_small][at];
        return pool->recent_home[is_small];
    }
    if (pool->home_count == pool->home_capacity && !grow_homes(pool)) {
        return UINT32_MAX;
    }
    pool_home *home = VS_NEW(pool->arena, pool_home);
    if (home == NULL) {
        return UINT32_MAX;
    }
    home->stream = stream;
    home->is_small = is_small;
    uint32_t *order = pool->home_order[is_small];
    memmove(order + at + 1, order + at, sizeof *order * (count - at));
    order[at] = pool->home_count;
    pool->home_order_count[is_small]++;
    pool->recent_home[is_small] = pool->home_count;
    pool->homes[pool->home_count] = home;
    return pool->home_count++;
}

/* ---- opening -------------------------------------------------------------------------------- */

void vsp_adopt_conf(vs_pool *pool, const vs_alloc_conf *conf)
{
    pool->conf = *conf;
    if (pool->conf.torch == 0) {
        pool->conf.torch = VS_TORCH_NEWEST;
    }
    /* No request reaches 2^60 [1.1], so such an M never compares lower than anything: unlimited. */
    if (pool->conf.max_split_bytes >= REFUSED_REQUEST_BYTES) {
        pool->conf.max_split_bytes = VS_POOL_UNLIMITED;
    }
    pool->has_divisions = false;
    for (unsigned i = 0; i < 16; i++) {
        pool->has_divisions = pool->has_divisions || pool->conf.divisions[i] != 0;
    }
    vsp_apply_limit(pool);
}

vs_pool *vs_pool_new(vs_arena *arena, const vs_pool_desc *desc)
{
    vs_pool *pool = VS_NEW(arena, vs_pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->arena = arena;
    pool->driver = desc->driver;
    pool->tape = desc->tape;
    pool->device = desc->device;
    pool->slot_fresh = 1;
    pool->note_count = 1;
    pool->range_count = 1;
    pool->recent_home[0] = UINT32_MAX;
    pool->recent_home[1] = UINT32_MAX;
    const uint32_t expected =
        desc->expected_blocks < SLOT_LIMIT / 2 ? desc->expected_blocks : 0;
    if (!vsp_reserve_slots(pool, expected + ALLOC_SLOTS)) {
        return NULL;
    }
    pool->slots_left--; /* slot 0 is none */
    const vs_alloc_conf newest = vs_alloc_conf_default(VS_TORCH_NEWEST);
    vsp_adopt_conf(pool, desc->conf != NULL ? desc->conf : &newest);
    return pool;
}

/* ---- sizes ------------------------------------------------------------------------------------- */

/* [1.3] One slot per power of two from 1 MiB up; the ends take the rest. */
static uint32_t divisions_for(const vs_pool *pool, uint64_t asked_bytes)
{
    const uint32_t log2 = vsp_high_bit(asked_bytes);
    const uint32_t slot = log2 < 20 ? 0 : log2 - 20;
    return pool->conf.divisions[slot > 15 ? 15 : slot];
}

/* [1.2] step 2 */
static uint64_t round_to_division(uint64_t asked_bytes, uint32_t divisions)
{
    if ((asked_bytes & (asked_bytes - 1u)) == 0) {
        return asked_bytes;
    }
    const uint64_t floor_power = UINT64_C(1) << vsp_high_bit(asked_bytes);
    const uint64_t step = floor_power / divisions;
    if (step == 0) {
        return floor_power * 2;
    }
    return (asked_bytes + step - 1u) / step * step;
}

/* [1.2] */
uint64_t vsp_round(const vs_pool *pool, uint64_t asked_bytes)
{
    if (asked_bytes < GRANULE_BYTES) {
        return GRANULE_BYTES;
    }
    if (pool->has_divisions) {
        const uint32_t divisions = divisions_for(pool, asked_bytes);
        const bool is_before_2_4 = pool->conf.torch < TORCH_2_4;
        if (divisions > (is_before_2_4 ? 0u : 1u) && asked_bytes > GRANULE_BYTES * divisions) {
            /* D = 1 before 2.4: not rounded at all, a known defect (PR 126830, vector V26). */
            return divisions == 1 ? asked_bytes : round_to_division(asked_bytes, divisions);
        }
    }
    return (asked_bytes + GRANULE_BYTES - 1u) & ~(GRANULE_BYTES - 1u);
}

/* [1.4] */
static uint64_t segment_bytes_for(const vs_pool *pool, uint64_t rounded_bytes)
{
    if (rounded_bytes <= SMALL_LIMIT_BYTES) {
        return SMALL_SEGMENT_BYTES;
    }
    if (rounded_bytes < OWN_SEGMENT_FROM_BYTES) {
        return pool->conf.large_segment_bytes;
    }
    return (rounded_bytes + SEGMENT_STEP_BYTES - 1u) & ~(SEGMENT_STEP_BYTES - 1u);
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
static uint32_t search(vs_pool *pool, const pool_order *order)
{
    if (pool->counts_searches) {
        pool->search_count[order->is_small]++;
    }
    const freeset *set = &pool->homes[order->home]->free;
    uint32_t slot = vsp_freeset_at_least(set, pool->blocks, order->rounded_bytes);
    if (slot != 0 && pool->blocks[slot].range != 0) {
        slot = search_expandable(pool, set, slot);
    }
    if (slot == 0) {
        return 0;
    }
    /* Oversize rules: only this one candidate is looked at, a rejected one is a miss. */
    const uint64_t max_split = pool->conf.max_split_bytes;
    const uint64_t size = pool->blocks[slot].size_bytes;
    if (order->rounded_bytes < max_split) {
        return size >= max_split ? 0 : slot;
    }
    return size - order->rounded_bytes >= pool->conf.max_non_split_bytes ? 0 : slot;
}

/* ---- splitting [4.1, 4.2] --------------------------------------------------------------------------- */

bool vsp_is_split(const vs_pool *pool, uint32_t slot)
{
    return (pool->blocks[slot].prev | pool->blocks[slot].next) != 0;
}

static bool is_remainder_split_off(const vs_pool *pool, const pool_order *order, uint64_t rest)
{
    if (order->is_small || pool->conf.expandable_segments) {
        return rest >= GRANULE_BYTES;
    }
    return order->rounded_bytes < pool->conf.max_split_bytes && rest > LARGE_REMAINDER_BYTES;
}

static void mark_free(vs_pool *pool, uint32_t slot, const pool_home *home)
{
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_FREE;
    block->idle.mark = pool->search_count[home->is_small];
}

void vsp_put_free(vs_pool *pool, uint32_t slot)
{
    pool_home *home = vsp_home_of(pool, slot);
    mark_free(pool, slot, home);
    vsp_freeset_insert(&home->free, pool->blocks, slot);
}

void vsp_take_free(vs_pool *pool, uint32_t slot)
{
    vsp_freeset_erase(&vsp_home_of(pool, slot)->free, pool->blocks, slot);
}

/* A new block in front of slot takes its first R bytes; what is left of slot is free. */
static uint32_t split_front(vs_pool *pool, const pool_order *order, uint32_t slot,
                            bool is_in_set)
{
    const uint32_t front_slot = vsp_slot_take(pool);
    pool_block *rest = &pool->blocks[slot];
    pool_block *front = &pool->blocks[front_slot];
    front->addr = rest->addr;
    front->size_bytes = order->rounded_bytes;
    front->home = rest->home;
    front->range = rest->range;
    front->prev = rest->prev;
    front->next = slot;
    if (rest->prev != 0) {
        pool->blocks[rest->prev].next = front_slot;
    }
    rest->prev = front_slot;
    if (is_in_set) {
        pool_home *home = pool->homes[order->home];
        vsp_freeset_shrink(&home->free, pool->blocks, slot, order->rounded_bytes);
        mark_free(pool, slot, home);
    } else {
        rest->addr += order->rounded_bytes;
        rest->size_bytes -= order->rounded_bytes;
        vsp_put_free(pool, slot);
    }
    return front_slot;
}

/* The block to hand out, made from a free one; inactive_split as the table of [7] says. */
static uint32_t carve(vs_pool *pool, const pool_order *order, uint32_t slot, bool is_in_set)
{
    const bool was_split = vsp_is_split(pool, slot);
    const bool is_counted = pool->blocks[slot].range == 0;
    const uint64_t size = pool->blocks[slot].size_bytes;
    const uint64_t rest = size - order->rounded_bytes;
    const unsigned stat_class = vsp_stat_class(order->is_small);
    vs_pool_stats *stats = &pool->stats;

    if (!is_remainder_split_off(pool, order, rest)) {
        if (is_in_set) {
            vsp_take_free(pool, slot);
        }
        if (was_split && is_counted) {
            vsp_stats_down(stats->inactive_split_bytes, stat_class, size);
            vsp_stats_down(stats->inactive_split, stat_class, 1);
        }
        return slot;
    }
    if (is_counted && was_split) {
        vsp_stats_down(stats->inactive_split_bytes, stat_class, order->rounded_bytes);
    } else if (is_counted) {
        vsp_stats_up(stats->inactive_split_bytes, stat_class, rest);
        vsp_stats_up(stats->inactive_split, stat_class, 1);
    }
    return split_front(pool, order, slot, is_in_set);
}

/* ---- allocating [5] ----------------------------------------------------------------------------------- */

static void tape_block_event(vs_pool *pool, vs_event_kind kind, const pool_block *block,
                             uint32_t name)
{
    const vs_event event = {.time_ns = pool->now,
                            .size_bytes = block->size_bytes,
                            .asked_bytes = block->used.asked_bytes,
                            .addr = block->addr,
                            .block = block->used.tape_block,
                            .name = name,
                            .stream = (uint32_t)pool->homes[block->home]->stream,
                            .kind = (uint8_t)kind,
                            .device = pool->device,
                            .category = block->category};
    vs_tape_event(pool->tape, &event);
}

static void count_allocation(vs_pool *pool, const pool_order *order, uint64_t size_bytes)
{
    vs_pool_stats *stats = &pool->stats;
    const unsigned stat_class = vsp_stat_class(order->is_small);
    vsp_stats_up(stats->allocation, stat_class, 1);
    vsp_stats_up(stats->allocated_bytes, stat_class, size_bytes);
    vsp_stats_up(stats->active, stat_class, 1);
    vsp_stats_up(stats->active_bytes, stat_class, size_bytes);
    vsp_stats_up(stats->requested_bytes, stat_class, order->asked_bytes);
    vsp_stat_up(&stats->tensor_bytes, order->counted_bytes);
    if (size_bytes >= pool->conf.max_split_bytes) {
        vsp_stat_up(&stats->oversize_allocations, 1);
    }
}

vs_alloc_result vs_pool_alloc(vs_pool *pool, vs_ns now, const vs_pool_request *request,
                              vs_block *out)
{
    vs_assert(request->size_bytes > 0);
    *out = (vs_block){0};
    pool->now = now;
    if (request->size_bytes >= REFUSED_REQUEST_BYTES) {
        vsp_report_refusal(pool, request);
        return VS_ALLOC_OOM;
    }
    if (pool->is_exhausted || !vsp_reserve_slots(pool, ALLOC_SLOTS)) {
        return VS_ALLOC_EXHAUSTED;
    }
    if (pool->event_total != 0) {
        vsp_process_events(pool);
    }
    pool_order order = {.asked_bytes = request->size_bytes};
    order.rounded_bytes = vsp_round(pool, order.asked_bytes);
    order.counted_bytes = (request->flags & VS_REQUEST_UNCOUNTED) != 0 ? 0 : order.rounded_bytes;
    order.is_small = order.rounded_bytes <= SMALL_LIMIT_BYTES;
    order.home = find_home(pool, order.is_small, request->stream);
    if (order.home == UINT32_MAX) {
        return VS_ALLOC_EXHAUSTED;
    }

    uint32_t slot = search(pool, &order);
    const bool is_hit = slot != 0;
    if (!is_hit) {
        order.segment_bytes = segment_bytes_for(pool, order.rounded_bytes);
        slot = vsp_obtain(pool, &order);
    }
    if (slot == 0 && pool->is_exhausted) {
        return VS_ALLOC_EXHAUSTED;
    }
    if (slot == 0) {
        vsp_report_oom(pool, &order, request);
        return VS_ALLOC_OOM;
    }

    slot = carve(pool, &order, slot, is_hit);
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_ALLOCATED;
    block->category = (uint8_t)request->category;
    block->used = (pool_block_used){.asked_bytes = order.asked_bytes,
                                    .counted_bytes = order.counted_bytes};
    count_allocation(pool, &order, block->size_bytes);
    if (pool->tape != NULL) {
        block->used.tape_block = vs_tape_new_block(pool->tape);
        tape_block_event(pool, VS_EV_ALLOC, block, request->name);
    }
    *out = (vs_block){handle_of(block, slot)};
    return VS_ALLOC_OK;
}

/* ---- freeing [4.3, 10.2] --------------------------------------------------------------------------------- */

uint64_t vsp_merge(vs_pool *pool, uint32_t slot, uint32_t neighbour, slot_state state)
{
    if (neighbour == 0 || pool->blocks[neighbour].state != (uint8_t)state) {
        return 0;
    }
    if (state == SLOT_FREE) {
        vsp_take_free(pool, neighbour);
    } else {
        vsp_unmapped_remove(pool, neighbour);
    }
    pool_block *block = &pool->blocks[slot];
    const pool_block *eaten = &pool->blocks[neighbour];
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
    const uint64_t eaten_bytes = eaten->size_bytes;
    block->size_bytes += eaten_bytes;
    vsp_slot_give(pool, neighbour);
    return eaten_bytes;
}

void vsp_complete_free(vs_pool *pool, uint32_t slot)
{
    pool_block *block = &pool->blocks[slot];
    pool_home *home = pool->homes[block->home];
    vs_pool_stats *stats = &pool->stats;
    const unsigned stat_class = vsp_stat_class(home->is_small);
    const uint64_t size = block->size_bytes;
    if (pool->tape != NULL) {
        tape_block_event(pool, VS_EV_FREE, block, VS_NO_NAME);
    }
    vsp_stats_down(stats->active, stat_class, 1);
    vsp_stats_down(stats->active_bytes, stat_class, size);
    vsp_stats_down(stats->requested_bytes, stat_class, block->used.asked_bytes);

    /* Whoever still holds the handle of this block is wrong from here on. */
    block->generation++;
    const uint64_t before = vsp_merge(pool, slot, block->prev, SLOT_FREE);
    const uint64_t after = vsp_merge(pool, slot, block->next, SLOT_FREE);
    mark_free(pool, slot, home);
    vsp_freeset_insert(&home->free, pool->blocks, slot);
    if (block->range != 0) {
        return; /* inactive_split leaves expandable blocks out */
    }
    /* The net change, as [7] wants it: a surviving split block adds what it did not eat. */
    const uint32_t eaten = (uint32_t)(before != 0) + (uint32_t)(after != 0);
    if (!vsp_is_split(pool, slot)) {
        vsp_stats_down(stats->inactive_split_bytes, stat_class, before + after);
        vsp_stats_down(stats->inactive_split, stat_class, eaten);
        return;
    }
    vsp_stats_up(stats->inactive_split_bytes, stat_class, size);
    if (eaten == 0) {
        vsp_stats_up(stats->inactive_split, stat_class, 1);
    } else if (eaten == 2) {
        vsp_stats_down(stats->inactive_split, stat_class, 1);
    }
}

void vs_pool_free(vs_pool *pool, vs_ns now, vs_block handle)
{
    const uint32_t slot = vsp_live_slot(pool, handle);
    pool_block *block = &pool->blocks[slot];
    vs_assert(block->state == SLOT_ALLOCATED);
    pool->now = now;
    vs_pool_stats *stats = &pool->stats;
    const unsigned stat_class = vsp_stat_class(pool->homes[block->home]->is_small);
    vsp_stats_down(stats->allocation, stat_class, 1);
    vsp_stats_down(stats->allocated_bytes, stat_class, block->size_bytes);
    vsp_stat_down(&stats->tensor_bytes, block->used.counted_bytes);
    /* The second test: a changed M (vs_pool_set_conf) must not make the counter wrap. */
    if (block->size_bytes >= pool->conf.max_split_bytes &&
        stats->oversize_allocations.current > 0) {
        vsp_stat_down(&stats->oversize_allocations, 1);
    }
    block->state = SLOT_PENDING;
    if (block->used.notes != 0) {
        vsp_record_events(pool, slot);
        return;
    }
    vsp_complete_free(pool, slot);
}

void vs_pool_recategorise(vs_pool *pool, vs_ns now, vs_block handle, vs_category category)
{
    pool_block *block = &pool->blocks[vsp_live_slot(pool, handle)];
    pool->now = now;
    block->category = (uint8_t)category;
    if (pool->tape != NULL) {
        tape_block_event(pool, VS_EV_RECAT, block, VS_NO_NAME);
    }
}

uint64_t vs_pool_block_addr(const vs_pool *pool, vs_block handle)
{
    return pool->blocks[vsp_live_slot(pool, handle)].addr;
}

vs_bytes vs_pool_block_size(const vs_pool *pool, vs_block handle)
{
    return pool->blocks[vsp_live_slot(pool, handle)].size_bytes;
}
