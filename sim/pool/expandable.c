/* pool/expandable.c - expandable segments: address ranges that are mapped page by page.
 *
 * Rules: specs/torch-caching-allocator.md [9]. A range is reserved once, 9/8 of the device large, as
 * one unmapped block; mapping cuts a mapped piece off the front of an unmapped block, unmapping
 * turns the whole pages inside a free block back:
 *
 *   | allocated | free ~~~~|~~~~~~~ free | allocated | unmapped ............. |
 *                     page  page                       tail, huge
 *
 * The unmapped blocks of a home hang in a list by address (few: one tail per range plus the holes that
 * emptying the cache left); the search for a place [9.3] walks it anyway. */
#include "sim/pool/pool_internal.h"

#include <string.h>

/* ---- the list of unmapped blocks ------------------------------------------------------ */

void vsp_unmapped_insert(vs_pool *pool, uint32_t slot)
{
    pool_home *home = vsp_home_of(pool, slot);
    pool_block *block = &pool->blocks[slot];
    uint32_t before = 0;
    uint32_t after = home->unmapped_head;
    while (after != 0 && pool->blocks[after].addr < block->addr) {
        before = after;
        after = pool->blocks[after].idle.right;
    }
    block->state = SLOT_UNMAPPED;
    block->idle.left = before;
    block->idle.right = after;
    if (before != 0) {
        pool->blocks[before].idle.right = slot;
    } else {
        home->unmapped_head = slot;
    }
    if (after != 0) {
        pool->blocks[after].idle.left = slot;
    }
}

void vsp_unmapped_remove(vs_pool *pool, uint32_t slot)
{
    const pool_block *block = &pool->blocks[slot];
    const uint32_t before = block->idle.left;
    const uint32_t after = block->idle.right;
    if (before != 0) {
        pool->blocks[before].idle.right = after;
    } else {
        vsp_home_of(pool, slot)->unmapped_head = after;
    }
    if (after != 0) {
        pool->blocks[after].idle.left = before;
    }
}

/* ---- ranges [9.2] ------------------------------------------------------------------------- */

static bool grow_ranges(vs_pool *pool)
{
    if (pool->range_unused != 0 || pool->range_count < pool->range_capacity) {
        return true;
    }
    const uint32_t capacity = vsp_grown(pool->range_capacity, pool->range_count + 1u, 8);
    pool_range *ranges = VS_ARRAY(pool->arena, pool_range, capacity);
    if (ranges == NULL) {
        return false;
    }
    if (pool->ranges != NULL) {
        memcpy(ranges, pool->ranges, sizeof *ranges * pool->range_count);
    }
    pool->ranges = ranges;
    pool->range_capacity = capacity;
    return true;
}

static uint64_t range_bytes(const vs_pool *pool, uint64_t page_bytes)
{
    const uint64_t total = pool->device_total_bytes;
    uint64_t reserve = total + total / 8;
    if (pool->conf.reserve_bytes != 0 && pool->conf.reserve_bytes < reserve) {
        reserve = pool->conf.reserve_bytes;
    } else if (pool->conf.reserve_ppm != 0) {
        uint64_t part = 0;
        const bool fits = vs_muldiv_u64(total, pool->conf.reserve_ppm, 1000000u, &part);
        reserve = fits && part < reserve ? part : reserve;
    }
    const uint64_t pages = reserve / page_bytes + (reserve % page_bytes != 0);
    return pages * page_bytes;
}

uint32_t vsp_take_range(vs_pool *pool, const pool_range *range)
{
    if (!grow_ranges(pool)) {
        return 0;
    }
    uint32_t index = pool->range_unused;
    if (index != 0) {
        pool->range_unused = pool->ranges[index].next_unused;
    } else {
        index = pool->range_count++;
    }
    pool->ranges[index] = *range;
    return index;
}

/* A fresh range as one unmapped block; 0 when address space or arena run out. */
static uint32_t new_range(vs_pool *pool, uint32_t home)
{
    if (!grow_ranges(pool)) {
        pool->is_exhausted = true;
        return 0;
    }
    const uint64_t page =
        vsp_is_small_home(home) ? SMALL_SEGMENT_BYTES : pool->conf.large_segment_bytes;
    const uint64_t size = range_bytes(pool, page);
    uint64_t addr = 0;
    if (!pool->driver.reserve_range(pool->driver.ctx, size, &addr)) {
        return 0;
    }
    const uint32_t index = vsp_take_range(
        pool,
        &(pool_range){.addr = addr, .size_bytes = size, .page_bytes = page, .home = home});
    const uint32_t slot = vsp_slot_take(pool);
    pool_block *block = &pool->blocks[slot];
    block->addr = addr;
    block->size_bytes = size;
    block->home = home;
    block->range = index;
    vsp_unmapped_insert(pool, slot);
    return slot;
}

/* The range whose only block is slot. */
static void drop_range(vs_pool *pool, uint32_t slot)
{
    const uint32_t index = pool->blocks[slot].range;
    pool_range *range = &pool->ranges[index];
    vsp_unmapped_remove(pool, slot);
    pool->driver.free_range(pool->driver.ctx, range->addr, range->size_bytes);
    range->size_bytes = 0;
    range->next_unused = pool->range_unused;
    pool->range_unused = index;
    vsp_slot_give(pool, slot);
}

/* ---- mapping [9.4] ---------------------------------------------------------------------------- */

/* All pages of [addr, addr + size) or none. */
static bool map_pages(vs_pool *pool, uint64_t addr, uint64_t size, uint64_t page)
{
    for (uint64_t done = 0; done < size; done += page) {
        if (pool->driver.map_page(pool->driver.ctx, addr + done, page)) {
            continue;
        }
        while (done > 0) {
            done -= page;
            pool->driver.unmap_page(pool->driver.ctx, addr + done, page);
        }
        return false;
    }
    return true;
}

/* Maps at least want_bytes from the start of an unmapped block, which becomes a free one merged with
 * its free neighbours. The block keeps its slot. */
static bool map_front(vs_pool *pool, uint32_t slot, uint64_t want_bytes)
{
    pool_block *block = &pool->blocks[slot];
    const uint64_t page = pool->ranges[block->range].page_bytes;
    const uint64_t mapped = (want_bytes + page - 1u) / page * page;
    const uint64_t addr = block->addr;
    vs_check(mapped <= block->size_bytes);
    if (!map_pages(pool, addr, mapped, page)) {
        return false;
    }
    vsp_unmapped_remove(pool, slot);
    if (mapped < block->size_bytes) {
        const uint32_t rest_slot = vsp_slot_take(pool);
        pool_block *rest = &pool->blocks[rest_slot];
        rest->addr = addr + mapped;
        rest->size_bytes = block->size_bytes - mapped;
        rest->home = block->home;
        rest->range = block->range;
        rest->prev = slot;
        rest->next = block->next;
        if (block->next != 0) {
            pool->blocks[block->next].prev = rest_slot;
        }
        block->next = rest_slot;
        block->size_bytes = mapped;
        vsp_unmapped_insert(pool, rest_slot);
    }
    vsp_merge(pool, slot, block->prev, SLOT_FREE);
    vsp_merge(pool, slot, block->next, SLOT_FREE);
    vsp_put_free(pool, slot);

    const pool_home *home = vsp_home_of(pool, slot);
    pool_counts *counts = vsp_counts_of(pool, pool->blocks[slot].home);
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    pool->driver_total += mapped;
    vsp_count_up(&counts->reserved_bytes, &all->reserved_bytes, mapped);
    pool->num_device_alloc++;
    vsp_tape_segment(pool, VS_EV_SEGMENT_MAP, addr, mapped, home->stream);
    return true;
}

static bool is_free_or_unmapped(const vs_pool *pool, uint32_t slot)
{
    return slot != 0 &&
           (pool->blocks[slot].state == SLOT_FREE || pool->blocks[slot].state == SLOT_UNMAPPED);
}

uint32_t vsp_find_place(const vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    uint32_t unmapped = pool->homes[home]->unmapped_head;
    for (; unmapped != 0; unmapped = pool->blocks[unmapped].idle.right) {
        const uint32_t before = pool->blocks[unmapped].prev;
        const uint32_t start = is_free_or_unmapped(pool, before) ? before : unmapped;
        uint64_t bytes = 0;
        uint32_t at = start;
        while (bytes < rounded_bytes && is_free_or_unmapped(pool, at)) {
            bytes += pool->blocks[at].size_bytes;
            at = pool->blocks[at].next;
        }
        if (bytes >= rounded_bytes) {
            return start;
        }
    }
    return 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint32_t vsp_expand(vs_pool *pool, uint32_t home, uint64_t rounded_bytes)
{
    const uint64_t wanted = rounded_bytes;
    uint32_t slot = vsp_find_place(pool, home, rounded_bytes);
    if (slot == 0) {
        slot = new_range(pool, home);
    }
    if (slot == 0) {
        return 0;
    }
    if (pool->blocks[slot].state == SLOT_UNMAPPED &&
        !map_front(pool, slot, smaller(pool->blocks[slot].size_bytes, wanted))) {
        return 0;
    }
    while (pool->blocks[slot].size_bytes < wanted) {
        const uint64_t missing = wanted - pool->blocks[slot].size_bytes;
        const uint32_t next = pool->blocks[slot].next;
        /* No next: R is longer than a whole new range, and the driver mapped all of it. */
        if (next == 0 ||
            !map_front(pool, next, smaller(pool->blocks[next].size_bytes, missing))) {
            return 0;
        }
        slot = next; /* it has swallowed the free block before it */
    }
    return slot;
}

/* ---- unmapping [9.5] ------------------------------------------------------------------------------ */

/* A free piece [addr, addr + size) between two neighbours of the same range. */
static void put_piece(vs_pool *pool, uint32_t prev, uint32_t next, uint64_t addr, uint64_t size)
{
    const uint32_t slot = vsp_slot_take(pool);
    const pool_block *model = &pool->blocks[prev != 0 ? prev : next];
    pool_block *piece = &pool->blocks[slot];
    piece->addr = addr;
    piece->size_bytes = size;
    piece->home = model->home;
    piece->range = model->range;
    piece->prev = prev;
    piece->next = next;
    if (prev != 0) {
        pool->blocks[prev].next = slot;
    }
    if (next != 0) {
        pool->blocks[next].prev = slot;
    }
    vsp_put_free(pool, slot);
}

void vsp_unmap(vs_pool *pool, uint32_t slot)
{
    const pool_range range = pool->ranges[pool->blocks[slot].range];
    const uint64_t start = pool->blocks[slot].addr - range.addr;
    const uint64_t end = start + pool->blocks[slot].size_bytes;
    const uint64_t first =
        (start + range.page_bytes - 1u) / range.page_bytes * range.page_bytes;
    const uint64_t last = end / range.page_bytes * range.page_bytes;
    if (first >= last || !vsp_may_release(pool, slot, range.addr + first, last - first)) {
        return;
    }
    if (!vsp_reserve_slots(pool, UNMAP_SLOTS)) {
        pool->is_exhausted = true; /* stays mapped; the next allocation reports it */
        return;
    }
    for (uint64_t at = first; at < last; at += range.page_bytes) {
        pool->driver.unmap_page(pool->driver.ctx, range.addr + at, range.page_bytes);
    }
    vsp_take_free(pool, slot);
    pool_block *block = &pool->blocks[slot];
    if (start < first) {
        put_piece(pool, block->prev, slot, range.addr + start, first - start);
    }
    if (last < end) {
        put_piece(pool, slot, block->next, range.addr + last, end - last);
    }
    block->addr = range.addr + first;
    block->size_bytes = last - first;
    vsp_merge(pool, slot, block->prev, SLOT_UNMAPPED);
    vsp_merge(pool, slot, block->next, SLOT_UNMAPPED);
    vsp_unmapped_insert(pool, slot);

    const pool_home *home = vsp_home_of(pool, slot);
    pool_counts *counts = vsp_counts_of(pool, pool->blocks[slot].home);
    pool_counts *all = &pool->counts[VS_STAT_ALL];
    pool->driver_total -= last - first;
    vsp_count_down(&counts->reserved_bytes, &all->reserved_bytes, last - first);
    pool->num_device_free++;
    vsp_tape_segment(pool, VS_EV_SEGMENT_UNMAP, range.addr + first, last - first, home->stream);
    if (!vsp_is_split(pool, slot)) {
        drop_range(pool, slot);
    }
}
