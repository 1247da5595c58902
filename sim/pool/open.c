/* pool/open.c - opening a pool, and what grows: block slots and homes; sizes.
 *
 * Kept apart from caching.c so that the path of a hit stays small. Section numbers:
 * specs/torch-caching-allocator.md. Tables double by copying inside the arena; nothing is changed
 * before the copy exists, so running out of arena leaves a usable pool. */
#include "sim/pool/bits.h"
#include "sim/pool/pool_internal.h"

#include <string.h>

/* ---- slots ------------------------------------------------------------------------------- */

static bool grow_slots(vs_pool *pool, uint32_t count)
{
    const uint64_t needed = (uint64_t)pool->slot_fresh + count;
    if (needed > SLOT_LIMIT) {
        return false;
    }
    uint32_t capacity = vsp_grown(pool->slot_capacity, (uint32_t)needed, 64);
    capacity = capacity > SLOT_LIMIT ? SLOT_LIMIT : capacity;
    pool_block *blocks =
        vs_arena_raw(pool->arena, capacity, sizeof(pool_block), sizeof(pool_block));
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
    const uint32_t slot = vsp_take_slot(pool);
    pool->blocks[slot] = (pool_block){.generation = pool->blocks[slot].generation};
    return slot;
}

void vsp_slot_give(vs_pool *pool, uint32_t slot)
{
    vsp_give_slot(pool, slot);
}

/* ---- homes ------------------------------------------------------------------------------ */

static bool grow_homes(vs_pool *pool, uint32_t needed)
{
    const uint32_t capacity = vsp_grown(pool->home_capacity, needed, 8);
    pool_home **homes =
        vs_arena_array(pool->arena, capacity, sizeof(pool_home *), _Alignof(pool_home *));
    uint32_t *order[2] = {VS_ARRAY(pool->arena, uint32_t, capacity),
                          VS_ARRAY(pool->arena, uint32_t, capacity)};
    if (homes == NULL || order[0] == NULL || order[1] == NULL) {
        return false;
    }
    for (uint32_t id = 0; id < pool->home_capacity; id++) {
        homes[id] = pool->homes[id];
    }
    for (unsigned k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < pool->home_order_count[k]; i++) {
            order[k][i] = pool->home_order[k][i];
        }
        pool->home_order[k] = order[k];
    }
    pool->homes = homes;
    pool->home_capacity = capacity;
    return true;
}

/* Position in the order of the first home whose stream is not below `stream`. */
static uint32_t home_position(const vs_pool *pool, bool is_small, uint64_t stream)
{
    uint32_t at = 0;
    for (uint32_t span = pool->home_order_count[is_small]; span > 0;) {
        const uint32_t half = span / 2;
        if (pool->homes[pool->home_order[is_small][at + half]]->stream < stream) {
            at += half + 1;
            span -= half + 1;
        } else {
            span = half;
        }
    }
    return at;
}

/* The home of (pool, stream), made at first use; UINT32_MAX when the arena is exhausted. */
uint32_t vsp_find_home(vs_pool *pool, bool is_small, uint64_t stream)
{
    const uint32_t count = pool->home_order_count[is_small];
    const uint32_t at = home_position(pool, is_small, stream);
    if (at < count && pool->homes[pool->home_order[is_small][at]]->stream == stream) {
        pool->recent_home[is_small] = pool->home_order[is_small][at];
        return pool->recent_home[is_small];
    }
    const uint32_t id = count * 2u + (is_small ? 1u : 0u);
    if (id >= pool->home_capacity && !grow_homes(pool, id + 1u)) {
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
    order[at] = id;
    pool->home_order_count[is_small]++;
    pool->recent_home[is_small] = id;
    pool->homes[id] = home;
    return id;
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
    const bool is_expandable = pool->conf.expandable_segments;
    const pool_split_rule always = {GRANULE_BYTES, UINT64_MAX};
    const pool_split_rule large = {LARGE_REMAINDER_BYTES + 1u, pool->conf.max_split_bytes};
    pool->split_rule[true] = always;
    pool->split_rule[false] = is_expandable ? always : large;
    vsp_apply_limit(pool);
}

vs_pool *vs_pool_new(vs_arena *arena, const vs_pool_desc *desc)
{
    vs_pool *pool = VS_NEW(arena, vs_pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->report = VS_NEW(arena, vs_pool_stats);
    if (pool->report == NULL) {
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
    pool->blocks[0] = (pool_block){0};
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
uint64_t vsp_segment_bytes(const vs_pool *pool, uint64_t rounded_bytes)
{
    if (rounded_bytes <= SMALL_LIMIT_BYTES) {
        return SMALL_SEGMENT_BYTES;
    }
    if (rounded_bytes < OWN_SEGMENT_FROM_BYTES) {
        return pool->conf.large_segment_bytes;
    }
    return (rounded_bytes + SEGMENT_STEP_BYTES - 1u) & ~(SEGMENT_STEP_BYTES - 1u);
}
