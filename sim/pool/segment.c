/* pool/segment.c - memory from the driver and back to it ([5] steps 4 to 9, [6]).
 *
 * Section numbers: specs/torch-caching-allocator.md. The one place in sim/ where doubles decide
 * something: the memory limit, the collection threshold and the average age are products and
 * quotients of doubles in PyTorch too, truncated the same way, so computing them otherwise
 * would be wrong in the last byte. */
#include "sim/pool/pool_internal.h"

/* ---- the limit [6.1] --------------------------------------------------------------- */

void vsp_apply_limit(vs_pool *pool)
{
    vs_bytes free_bytes = 0;
    pool->driver.mem_get_info(pool->driver.ctx, &free_bytes, &pool->device_total_bytes);
    const double fraction = pool->conf.memory_fraction;
    /* Up to 2.9 any call puts the limit in force, even with 1.0; later only a true fraction. */
    pool->has_limit = fraction >= 0.0 && (pool->conf.torch < TORCH_2_10 || fraction < 1.0);
    pool->limit_bytes = VS_POOL_UNLIMITED;
    if (pool->has_limit) {
        pool->limit_bytes = (uint64_t)(fraction * (double)pool->device_total_bytes);
    }
    pool->counts_searches = pool->has_limit && pool->conf.gc_threshold > 0.0;
}

void vs_pool_set_fraction(vs_pool *pool, double fraction)
{
    vs_assert(fraction >= 0.0 && fraction <= 1.0);
    pool->conf.memory_fraction = fraction;
    vsp_apply_limit(pool);
}

/* ---- one segment ------------------------------------------------------------------------ */

static uint32_t new_segment(vs_pool *pool, uint32_t home, uint64_t rounded_bytes, bool is_retry)
{
    const uint64_t segment_bytes = vsp_segment_bytes(pool, rounded_bytes);
    if (is_retry) {
        pool->num_alloc_retries++;
    }
    if (pool->has_limit && pool->driver_total + segment_bytes > pool->limit_bytes) {
        return 0; /* without asking the driver */
    }
    if (pool->conf.expandable_segments) {
        return vsp_expand(pool, home, rounded_bytes);
    }
    uint64_t addr = 0;
    if (!pool->driver.malloc_segment(pool->driver.ctx, segment_bytes, &addr)) {
        return 0;
    }
    const uint32_t slot = vsp_slot_take(pool);
    pool_block *block = &pool->blocks[slot];
    block->addr = addr;
    block->size_bytes = segment_bytes;
    block->home = home;

    pool_counts *counts = vsp_counts_of(pool, home);
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    pool->driver_total += segment_bytes;
    vsp_count_up(&counts->segment, &all->segment, 1);
    vsp_count_up(&counts->reserved_bytes, &all->reserved_bytes, segment_bytes);
    if (segment_bytes >= pool->conf.max_split_bytes) {
        vsp_gauge_up(&pool->oversize_segments, 1);
    }
    pool->num_device_alloc++;
    vsp_tape_segment(pool, VS_EV_SEGMENT_ALLOC, addr, segment_bytes, pool->homes[home]->stream);
    vsp_put_free(pool, slot);
    return slot;
}

bool vsp_may_release(const vs_pool *pool, uint32_t slot, uint64_t addr, uint64_t size_bytes)
{
    return pool->driver.may_release == NULL ||
           pool->driver.may_release(pool->driver.ctx, vsp_home_of(pool, slot)->stream, addr,
                                    size_bytes);
}

static bool may_go(const vs_pool *pool, uint32_t slot)
{
    return vsp_may_release(pool, slot, pool->blocks[slot].addr, pool->blocks[slot].size_bytes);
}

void vsp_release_segment(vs_pool *pool, uint32_t slot)
{
    const pool_home *home = vsp_home_of(pool, slot);
    const uint64_t addr = pool->blocks[slot].addr;
    const uint64_t size = pool->blocks[slot].size_bytes;
    pool_counts *counts = vsp_counts_of(pool, pool->blocks[slot].home);
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    vs_check(pool->blocks[slot].range == 0 && !vsp_is_split(pool, slot));
    pool->num_device_free++;
    vsp_tape_segment(pool, VS_EV_SEGMENT_FREE, addr, size, home->stream);
    pool->driver.free_segment(pool->driver.ctx, addr, size);
    pool->driver_total -= size;
    vsp_count_down(&counts->segment, &all->segment, 1);
    vsp_count_down(&counts->reserved_bytes, &all->reserved_bytes, size);
    /* A changed M could have made a segment oversize that was not counted so: the counter
     * stays at 0 instead of wrapping. */
    if (size >= pool->conf.max_split_bytes && pool->oversize_segments.current > 0) {
        vsp_gauge_down(&pool->oversize_segments, 1);
    }
    vsp_take_free(pool, slot);
    vsp_slot_give(pool, slot);
}

/* ---- garbage collection [6.3] -------------------------------------------------------------- */

static uint64_t age_of(const vs_pool *pool, uint32_t slot)
{
    return pool->search_count[false] - pool->blocks[slot].idle.mark;
}

/* Sum of the ages and number of the unsplit free blocks of the large pool. */
typedef struct {
    uint64_t age_sum;
    uint64_t count;
} gc_candidates;

static gc_candidates gc_count(const vs_pool *pool)
{
    gc_candidates found = {0, 0};
    for (uint32_t i = 0; i < pool->home_order_count[false]; i++) {
        const freeset *set = &pool->homes[pool->home_order[false][i]]->free;
        uint32_t slot = vsp_freeset_first(set, pool->blocks);
        for (; slot != 0; slot = vsp_freeset_next(set, pool->blocks, slot)) {
            if (!vsp_is_split(pool, slot)) {
                found.age_sum += age_of(pool, slot);
                found.count++;
            }
        }
    }
    return found;
}

/* One round: everything of at least the average age goes. Returns the bytes released. */
static uint64_t gc_round(vs_pool *pool, gc_candidates *left)
{
    const double threshold = (double)left->age_sum / (double)left->count;
    uint64_t released = 0;
    for (uint32_t i = 0; i < pool->home_order_count[false]; i++) {
        const freeset *set = &pool->homes[pool->home_order[false][i]]->free;
        uint32_t next = 0;
        for (uint32_t slot = vsp_freeset_first(set, pool->blocks); slot != 0; slot = next) {
            next = vsp_freeset_next(set, pool->blocks, slot);
            const uint64_t age = age_of(pool, slot);
            /* Expandable blocks are left alone from 2.5 on; before, PyTorch stopped with an
             * internal error there (PR 134338), so there is nothing else to model. */
            if (vsp_is_split(pool, slot) || pool->blocks[slot].range != 0 ||
                (double)age < threshold || !may_go(pool, slot)) {
                continue;
            }
            released += pool->blocks[slot].size_bytes;
            left->age_sum -= age;
            left->count--;
            vsp_release_segment(pool, slot);
        }
    }
    return released;
}

static void collect_garbage(vs_pool *pool)
{
    const uint64_t threshold = (uint64_t)(pool->conf.gc_threshold * (double)pool->limit_bytes);
    if (pool->driver_total <= threshold) {
        return;
    }
    const uint64_t wanted = pool->driver_total - threshold;
    gc_candidates left = gc_count(pool);
    uint64_t total = 0;
    uint64_t released = 1; /* anything: the first round always runs */
    while (total < wanted && released != 0 && left.count > 0) {
        released = gc_round(pool, &left);
        total += released;
    }
}

/* ---- oversize blocks [6.2] -------------------------------------------------------------------- */

/* Expandable blocks count as absent, see gc_round. A split block of M bytes or more can only exist
 * when M or the expandable mode was switched during the run; it is no whole segment and stays. */
static bool is_whole_segment(const vs_pool *pool, uint32_t slot)
{
    return pool->blocks[slot].range == 0 && !vsp_is_split(pool, slot);
}

static bool release_oversize(vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    const uint64_t max_split = pool->conf.max_split_bytes;
    if (max_split == VS_POOL_UNLIMITED) {
        return false;
    }
    const uint64_t key = rounded_bytes > max_split ? rounded_bytes : max_split;
    const freeset *set = &pool->homes[home]->free;
    const uint32_t enough = vsp_freeset_at_least(set, pool->blocks, key);
    if (enough != 0 && is_whole_segment(pool, enough) && may_go(pool, enough)) {
        vsp_release_segment(pool, enough);
        return true;
    }
    uint64_t released = 0;
    uint32_t slot = vsp_freeset_below(set, pool->blocks, key);
    while (slot != 0 && released < key && pool->blocks[slot].size_bytes >= max_split) {
        const uint32_t lower = vsp_freeset_prev(set, pool->blocks, slot);
        if (is_whole_segment(pool, slot) && may_go(pool, slot)) {
            released += pool->blocks[slot].size_bytes;
            vsp_release_segment(pool, slot);
        }
        slot = lower;
    }
    return released >= key;
}

bool vs_pool_oversize_victim(vs_pool *pool, const vs_pool_request *request, uint64_t *out_addr)
{
    const uint64_t max_split = pool->conf.max_split_bytes;
    const uint64_t rounded_bytes = vsp_round(pool, request->size_bytes);
    const uint32_t home =
        vsp_find_home(pool, rounded_bytes <= SMALL_LIMIT_BYTES, request->stream);
    if (max_split == VS_POOL_UNLIMITED || home == UINT32_MAX) {
        return false;
    }
    vsp_settle_loose(pool);
    const uint64_t key = rounded_bytes > max_split ? rounded_bytes : max_split;
    const freeset *set = &pool->homes[home]->free;
    uint32_t slot = vsp_freeset_at_least(set, pool->blocks, key);
    if (slot == 0 || !is_whole_segment(pool, slot)) {
        slot = vsp_freeset_below(set, pool->blocks, key);
    }
    if (slot == 0 || pool->blocks[slot].size_bytes < max_split ||
        !is_whole_segment(pool, slot)) {
        return false;
    }
    *out_addr = pool->blocks[slot].addr;
    return true;
}

/* ---- everything [6.4] ----------------------------------------------------------------------------- */

/* Blocks noted for unmapping, chained through the blocks. */
typedef struct {
    uint32_t first;
    uint32_t last;
} block_chain;

static void chain_append(vs_pool *pool, block_chain *chain, uint32_t slot)
{
    pool->blocks[slot].idle.chain = 0;
    if (chain->last != 0) {
        pool->blocks[chain->last].idle.chain = slot;
    } else {
        chain->first = slot;
    }
    chain->last = slot;
}

static void release_home(vs_pool *pool, const pool_home *home, block_chain *chain)
{
    uint32_t next = 0;
    for (uint32_t slot = vsp_freeset_first(&home->free, pool->blocks); slot != 0; slot = next) {
        next = vsp_freeset_next(&home->free, pool->blocks, slot);
        if (pool->blocks[slot].range != 0) {
            chain_append(pool, chain, slot);
        } else if (!vsp_is_split(pool, slot) && may_go(pool, slot)) {
            vsp_release_segment(pool, slot);
        }
    }
}

/* One pool of a group: the default one (0) or a private one. Unmapping changes the set, so expandable blocks are noted
 * first, in set order. */
static void release_pool(vs_pool *pool, bool is_small, uint64_t group)
{
    block_chain chain = {0, 0};
    for (uint32_t i = 0; i < pool->home_order_count[is_small]; i++) {
        const pool_home *home = pool->homes[pool->home_order[is_small][i]];
        if (home->stream >> VS_POOL_PRIVATE_SHIFT == group) {
            release_home(pool, home, &chain);
        }
    }
    uint32_t slot = chain.first;
    while (slot != 0) {
        const uint32_t next = pool->blocks[slot].idle.chain;
        vsp_unmap(pool, slot);
        slot = next;
    }
}

/* The smallest private pool above `group`, 0: none. */
static uint64_t next_group(const vs_pool *pool, uint64_t group)
{
    uint64_t found = 0;
    for (unsigned is_small = 0; is_small < 2; is_small++) {
        for (uint32_t i = 0; i < pool->home_order_count[is_small]; i++) {
            const uint64_t of_home =
                pool->homes[pool->home_order[is_small][i]]->stream >> VS_POOL_PRIVATE_SHIFT;
            if (of_home > group && (found == 0 || of_home < found)) {
                found = of_home;
            }
        }
    }
    return found;
}

void vsp_release_all(vs_pool *pool)
{
    vsp_synchronize_events(pool);
    vsp_settle_loose(pool);
    pool->num_sync_all_streams++;
    release_pool(pool, false, 0);
    release_pool(pool, true, 0);
    for (uint64_t group = next_group(pool, 0); group != 0; group = next_group(pool, group)) {
        release_pool(pool, true, group); /* the private ones: small first */
        release_pool(pool, false, group);
    }
}

void vs_pool_empty_cache(vs_pool *pool, vs_ns now)
{
    pool->now = now;
    vsp_release_all(pool);
}

/* ---- the chain after a miss [5] ----------------------------------------------------------------------- */

uint32_t vsp_obtain(vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    if (pool->counts_searches) {
        collect_garbage(pool);
    }
    uint32_t slot = new_segment(pool, home, rounded_bytes, false);
    if (slot != 0 || pool->is_exhausted) {
        return slot;
    }
    if (release_oversize(pool, home, rounded_bytes)) {
        slot = new_segment(pool, home, rounded_bytes, false);
        if (slot != 0 || pool->is_exhausted) {
            return slot;
        }
    }
    vsp_release_all(pool);
    if (!vsp_reserve_slots(pool, ALLOC_SLOTS)) {
        pool->is_exhausted = true;
    }
    return pool->is_exhausted ? 0 : new_segment(pool, home, rounded_bytes, true);
}
