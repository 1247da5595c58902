/* pool/seed.c - states that come from outside: what existed before a recording began, and blocks that a replay puts
 * where the recording has them.
 *
 * Nothing here is a rule of the allocator: specs/torch-caching-allocator.md [17.3] says how a caller finds the state,
 * this file only builds it, with statistics and tape as if it had come about in the usual way. Blocks are found by
 * address through all slots: these calls are rare. */
#include "sim/pool/pool_internal.h"

/* ---- a segment with its blocks ------------------------------------------------------------ */

static bool is_mapped(const vs_pool_piece *piece)
{
    return piece->state != VS_BLOCK_UNMAPPED;
}

/* Reserved bytes and the segment's own event; runs of mapped pages for a range. */
static void count_segment(vs_pool *pool, const vs_pool_seed *seed, uint32_t home)
{
    pool_counts *counts = vsp_counts_of(pool, home);
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    uint64_t addr = seed->addr;
    uint64_t run = 0;
    for (uint32_t i = 0; i <= seed->piece_count; i++) {
        const bool goes_on = i < seed->piece_count && is_mapped(&seed->pieces[i]);
        if (!goes_on && run != 0) {
            pool->driver_total += run;
            vsp_count_up(&counts->reserved_bytes, &all->reserved_bytes, run);
            pool->num_device_alloc++;
            vsp_tape_segment(pool,
                             seed->is_expandable ? VS_EV_SEGMENT_MAP : VS_EV_SEGMENT_ALLOC,
                             addr - run, run, seed->stream);
            run = 0;
        }
        if (i < seed->piece_count) {
            addr += seed->pieces[i].size_bytes;
            run += goes_on ? seed->pieces[i].size_bytes : 0;
        }
    }
    if (!seed->is_expandable) {
        vsp_count_up(&counts->segment, &all->segment, 1);
        if (addr - seed->addr >= pool->conf.max_split_bytes) {
            vsp_gauge_up(&pool->oversize_segments, 1);
        }
    }
}

static void count_free_piece(vs_pool *pool, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    if (block->range == 0 && vsp_is_split(pool, slot)) {
        pool_counts *counts = vsp_counts_of(pool, block->home);
        pool_counts *all = &pool->counts[VS_STAT_ALL];
        vsp_count_up(&counts->inactive_split_bytes, &all->inactive_split_bytes,
                     block->size_bytes);
        vsp_count_up(&counts->inactive_split, &all->inactive_split, 1);
    }
}

static void uncount_free_piece(vs_pool *pool, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    if (block->range == 0 && vsp_is_split(pool, slot)) {
        pool_counts *counts = vsp_counts_of(pool, block->home);
        pool_counts *all = &pool->counts[VS_STAT_ALL];
        vsp_count_down(&counts->inactive_split_bytes, &all->inactive_split_bytes,
                       block->size_bytes);
        vsp_count_down(&counts->inactive_split, &all->inactive_split, 1);
    }
}

/* Makes it the block of that request. */
static void hand_out(vs_pool *pool, uint32_t slot, uint64_t asked_bytes, vs_category category,
                     uint32_t name)
{
    pool_block *block = &pool->blocks[slot];
    block->state = SLOT_ALLOCATED;
    block->category = (uint8_t)category;
    block->used.asked_bytes = asked_bytes;
    block->used.counted_bytes = vsp_round(pool, asked_bytes);
    block->used.notes = 0;
    vsp_count_new(pool, slot, name);
}

static vs_block fill_piece(vs_pool *pool, uint32_t slot, const vs_pool_piece *piece)
{
    switch (piece->state) {
    case VS_BLOCK_FREE:
        count_free_piece(pool, slot);
        vsp_put_free(pool, slot);
        return (vs_block){0};
    case VS_BLOCK_UNMAPPED: vsp_unmapped_insert(pool, slot); return (vs_block){0};
    case VS_BLOCK_ALLOCATED:
    case VS_BLOCK_PENDING: break;
    }
    hand_out(pool, slot, piece->asked_bytes, piece->category, piece->name);
    if (piece->state == VS_BLOCK_PENDING) {
        vsp_begin_pending(pool, slot);
    }
    return vsp_handle(pool, slot);
}

/* The chain of slots, none of them in a set yet. Returns the first. */
static uint32_t chain_pieces(vs_pool *pool, const vs_pool_seed *seed, uint32_t home,
                             uint32_t range)
{
    uint64_t addr = seed->addr;
    uint32_t first = 0;
    uint32_t before = 0;
    for (uint32_t i = 0; i < seed->piece_count; i++) {
        const uint32_t slot = vsp_slot_take(pool);
        pool_block *block = &pool->blocks[slot];
        block->addr = addr;
        block->size_bytes = seed->pieces[i].size_bytes;
        block->home = home;
        block->range = range;
        block->prev = before;
        if (before != 0) {
            pool->blocks[before].next = slot;
        } else {
            first = slot;
        }
        before = slot;
        addr += block->size_bytes;
    }
    return first;
}

static uint32_t seed_range(vs_pool *pool, const vs_pool_seed *seed, uint32_t home)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < seed->piece_count; i++) {
        size += seed->pieces[i].size_bytes;
    }
    const uint64_t page = seed->is_small ? SMALL_SEGMENT_BYTES : pool->conf.large_segment_bytes;
    return vsp_take_range(
        pool, &(pool_range){
                  .addr = seed->addr, .size_bytes = size, .page_bytes = page, .home = home});
}

bool vs_pool_add_seed(vs_pool *pool, vs_ns now, const vs_pool_seed *seed, vs_block *out)
{
    vs_assert(seed->piece_count > 0);
    pool->now = now;
    const uint32_t home = vsp_find_home(pool, seed->is_small, seed->stream);
    if (home == UINT32_MAX || !vsp_reserve_slots(pool, seed->piece_count)) {
        return false;
    }
    const uint32_t range = seed->is_expandable ? seed_range(pool, seed, home) : 0;
    if (seed->is_expandable && range == 0) {
        return false;
    }
    uint32_t slot = chain_pieces(pool, seed, home, range);
    count_segment(pool, seed, home);
    for (uint32_t i = 0; i < seed->piece_count; i++) {
        const uint32_t next = pool->blocks[slot].next;
        out[i] = fill_piece(pool, slot, &seed->pieces[i]);
        slot = next;
    }
    return true;
}

/* ---- following a recording ------------------------------------------------------------------ */

/* The free block that contains [addr, addr + size), 0: there is none. */
static uint32_t find_free(const vs_pool *pool, uint64_t addr, uint64_t size_bytes)
{
    for (uint32_t slot = 1; slot < pool->slot_fresh; slot++) {
        const pool_block *block = &pool->blocks[slot];
        if (block->state == SLOT_FREE && block->addr <= addr &&
            addr - block->addr <= block->size_bytes &&
            block->size_bytes - (addr - block->addr) >= size_bytes) {
            return slot;
        }
    }
    return 0;
}

/* Cuts size bytes off the front of a block that is in no set; the front is the new slot. */
static uint32_t cut_front(vs_pool *pool, uint32_t slot, uint64_t size_bytes)
{
    const uint32_t front_slot = vsp_slot_take(pool);
    pool_block *rest = &pool->blocks[slot];
    pool_block *front = &pool->blocks[front_slot];
    front->addr = rest->addr;
    front->size_bytes = size_bytes;
    front->home = rest->home;
    front->range = rest->range;
    front->prev = rest->prev;
    front->next = slot;
    if (rest->prev != 0) {
        pool->blocks[rest->prev].next = front_slot;
    }
    rest->prev = front_slot;
    rest->addr += size_bytes;
    rest->size_bytes -= size_bytes;
    return front_slot;
}

/* What of a free block behind the wanted bytes stays with them, [4.1]. */
static bool keeps_rest(const vs_pool *pool, uint32_t slot, uint64_t rounded_bytes,
                       uint64_t rest_bytes)
{
    const pool_split_rule *rule = &pool->split_rule[vsp_is_small_home(pool->blocks[slot].home)];
    return rest_bytes < rule->rest_from || rounded_bytes >= rule->rounded_below;
}

bool vs_pool_place(vs_pool *pool, vs_ns now, uint64_t addr, const vs_pool_request *request,
                   vs_block *out)
{
    pool->now = now;
    vsp_settle_loose(pool);
    if (request->size_bytes == 0 || request->size_bytes >= REFUSED_REQUEST_BYTES ||
        !vsp_reserve_slots(pool, ALLOC_SLOTS)) {
        return false;
    }
    const uint64_t rounded_bytes = vsp_round(pool, request->size_bytes);
    uint32_t slot = find_free(pool, addr, rounded_bytes);
    if (slot == 0) {
        return false;
    }
    vsp_take_free(pool, slot);
    uncount_free_piece(pool, slot);
    uint32_t before = 0;
    uint32_t behind = 0;
    if (addr > pool->blocks[slot].addr) {
        before = cut_front(pool, slot, addr - pool->blocks[slot].addr);
    }
    const uint64_t rest = pool->blocks[slot].size_bytes - rounded_bytes;
    if (rest > 0 && !keeps_rest(pool, slot, rounded_bytes, rest)) {
        behind = slot;
        slot = cut_front(pool, slot, rounded_bytes);
    }
    const uint32_t pieces[2] = {before, behind};
    for (unsigned i = 0; i < 2; i++) {
        if (pieces[i] != 0) {
            count_free_piece(pool, pieces[i]);
            vsp_put_free(pool, pieces[i]);
        }
    }
    hand_out(pool, slot, request->size_bytes, request->category, request->name);
    *out = vsp_handle(pool, slot);
    return true;
}

bool vs_pool_drop_segment(vs_pool *pool, vs_ns now, uint64_t addr)
{
    pool->now = now;
    vsp_settle_loose(pool);
    for (uint32_t slot = 1; slot < pool->slot_fresh; slot++) {
        const pool_block *block = &pool->blocks[slot];
        if (block->state == SLOT_FREE && block->addr == addr && block->range == 0 &&
            !vsp_is_split(pool, slot)) {
            vsp_release_segment(pool, slot);
            return true;
        }
    }
    return false;
}

void vs_pool_set_now(vs_pool *pool, vs_ns now)
{
    pool->now = now;
}

vs_bytes vs_pool_allocated(const vs_pool *pool)
{
    return pool->counts[VS_STAT_ALL].allocated_bytes.current;
}

vs_bytes vs_pool_reserved(const vs_pool *pool)
{
    return pool->counts[VS_STAT_ALL].reserved_bytes.current;
}

vs_bytes vs_pool_round(const vs_pool *pool, vs_bytes asked_bytes)
{
    return vsp_round(pool, asked_bytes);
}

/* ---- asking --------------------------------------------------------------------------------------- */

/* A miss that needs no page: the search leaves blocks of max_split_size alone, the search for a place [9.3] does not. */
static uint32_t mapped_place(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    const uint32_t place =
        pool->conf.expandable_segments ? vsp_find_place(pool, home, rounded_bytes) : 0;
    const bool is_mapped = place != 0 && pool->blocks[place].state == SLOT_FREE &&
                           pool->blocks[place].size_bytes >= rounded_bytes;
    return is_mapped ? place : 0;
}

bool vs_pool_would_hit(vs_pool *pool, const vs_pool_request *request, uint64_t *out_addr)
{
    *out_addr = 0;
    if (request->size_bytes == 0 || request->size_bytes >= REFUSED_REQUEST_BYTES) {
        return false;
    }
    vsp_settle_loose(pool);
    const uint64_t rounded_bytes = vsp_round(pool, request->size_bytes);
    const uint32_t home =
        vsp_find_home(pool, rounded_bytes <= SMALL_LIMIT_BYTES, request->stream);
    if (home == UINT32_MAX) {
        return false;
    }
    uint32_t slot = vsp_candidate(pool, home, rounded_bytes);
    if (slot == 0) {
        slot = mapped_place(pool, home, rounded_bytes);
    }
    *out_addr = pool->blocks[slot].addr;
    return slot != 0;
}

static uint64_t free_bytes_of(const vs_pool *pool, uint32_t slot)
{
    const uint8_t state = pool->blocks[slot].state;
    return state == SLOT_FREE || state == SLOT_LOOSE ? pool->blocks[slot].size_bytes : 0;
}

bool vs_pool_would_fit(vs_pool *pool, const vs_pool_request *request, vs_block pending)
{
    const uint32_t slot = vsp_live_slot(pool, pending);
    const pool_block *block = &pool->blocks[slot];
    const pool_home *home = vsp_home_of(pool, slot);
    const uint64_t rounded_bytes = vsp_round(pool, request->size_bytes);
    if (home->stream != request->stream ||
        home->is_small != (rounded_bytes <= SMALL_LIMIT_BYTES)) {
        return false;
    }
    const uint64_t size =
        block->size_bytes + free_bytes_of(pool, block->prev) + free_bytes_of(pool, block->next);
    if (size < rounded_bytes) {
        return false;
    }
    /* The oversize rules [3] step 4. */
    return rounded_bytes < pool->conf.max_split_bytes
               ? size < pool->conf.max_split_bytes
               : size - rounded_bytes < pool->conf.max_non_split_bytes;
}
