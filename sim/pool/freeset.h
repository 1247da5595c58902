/* pool/freeset.h - the free blocks of one pool and one stream, ordered by (size, address).
 *
 * Internal to pool/. This is the order in which PyTorch searches (specs/torch-caching-allocator.md
 * [2]): smallest sufficient size first, lowest address among equals.
 *
 * How: sizes fall into classes, exact 512-byte steps at first and then 2^FREESET_STEP_BITS steps
 * per power of two. A two-level bitmap says which classes hold anything, so finding the class is two
 * bit scans. Inside a class the blocks form a treap (a binary search tree whose shape
 * depends on slot numbers only, so runs repeat exactly) ordered by (size, address). Classes are
 * narrow and mostly hold one to three blocks: the usual cost is a few instructions, the worst
 * O(log n).
 *
 * Measured on the recorded forward and backward pass (bench_pool, gcc 12, two busy cores, 2026-11-21): 25 million
 * operations of the pool per second; with one sorted array per (pool, stream) instead, binary search and
 * memmove, 13 million; with 8, 16 or 64 steps per power of two, 21, 24 and 25 million.
 *
 * The links live in the blocks themselves: inserting needs no memory and cannot fail. */
#ifndef VS_POOL_FREESET_H
#define VS_POOL_FREESET_H

#include "sim/pool/bits.h"
#include "sim/pool/block.h"

#define FREESET_STEP_BITS 5u
#define FREESET_STEPS     (1u << FREESET_STEP_BITS)
/* Sizes are below 2^61 (a request is below 2^60 [1.1] and rounding at most doubles it), so below
 * 2^52 granules of 512 bytes. */
#define FREESET_CLASSES   ((52u - FREESET_STEP_BITS + 1u) * FREESET_STEPS)
#define FREESET_WORDS     ((FREESET_CLASSES + 63u) / 64u)

typedef struct {
    uint64_t summary; /* bit w: words[w] is not 0 */
    uint64_t words[FREESET_WORDS];
    uint32_t root[FREESET_CLASSES]; /* slot of the treap's root, 0 none */
    uint32_t count;
} freeset;

_Static_assert(FREESET_WORDS < 64, "one summary word, and shifts by word + 1 stay defined");

/* Blocks are given by slot; the set reads their size_bytes and addr and owns their left and
 * right. Neither may change while the block is in the set, except through vsp_freeset_shrink. */
static inline void vsp_freeset_insert(freeset *set, pool_block *blocks, uint32_t slot);
static inline void vsp_freeset_erase(freeset *set, pool_block *blocks, uint32_t slot);
/* Cuts by_bytes off the front of a block in the set: size goes down, address up. */
static inline void vsp_freeset_shrink(freeset *set, pool_block *blocks, uint32_t slot,
                                      uint64_t by_bytes);
/* First block of at least size_bytes in set order, 0 none. */
uint32_t vsp_freeset_at_least(const freeset *set, const pool_block *blocks,
                              uint64_t size_bytes);
/* Last block below size_bytes, 0 none. */
uint32_t vsp_freeset_below(const freeset *set, const pool_block *blocks, uint64_t size_bytes);
/* Neighbours in set order, 0 none. The slot must be in the set. */
uint32_t vsp_freeset_next(const freeset *set, const pool_block *blocks, uint32_t slot);
uint32_t vsp_freeset_prev(const freeset *set, const pool_block *blocks, uint32_t slot);
uint32_t vsp_freeset_first(const freeset *set, const pool_block *blocks);

/* ---- the usual cases, inline: a class of one block ------------------------------------- */

/* The general cases; class_index is the block's. */
void vsp_freeset_insert_into(freeset *set, pool_block *blocks, uint32_t slot,
                             uint32_t class_index);
void vsp_freeset_erase_from(freeset *set, pool_block *blocks, uint32_t slot,
                            uint32_t class_index);

static inline uint32_t vsp_freeset_class(uint64_t size_bytes)
{
    const uint64_t granules = size_bytes >> 9; /* 512 bytes [1.1] */
    if (granules < FREESET_STEPS) {
        return (uint32_t)granules;
    }
    const uint32_t shift = vsp_high_bit(granules) - FREESET_STEP_BITS;
    return ((shift + 1u) << FREESET_STEP_BITS) +
           ((uint32_t)(granules >> shift) - FREESET_STEPS);
}

static inline void vsp_freeset_set_bit(freeset *set, uint32_t class_index)
{
    set->words[class_index >> 6] |= UINT64_C(1) << (class_index & 63u);
    set->summary |= UINT64_C(1) << (class_index >> 6);
}

static inline void vsp_freeset_clear_bit(freeset *set, uint32_t class_index)
{
    const uint32_t word = class_index >> 6;
    const uint64_t left = set->words[word] & ~(UINT64_C(1) << (class_index & 63u));
    set->words[word] = left;
    set->summary &= ~((uint64_t)(left == 0) << word);
}

static inline void vsp_freeset_insert(freeset *set, pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = vsp_freeset_class(blocks[slot].size_bytes);
    set->count++;
    if (set->root[class_index] != 0) {
        vsp_freeset_insert_into(set, blocks, slot, class_index);
        return;
    }
    blocks[slot].idle.left = 0;
    blocks[slot].idle.right = 0;
    set->root[class_index] = slot;
    vsp_freeset_set_bit(set, class_index);
}

static inline void vsp_freeset_erase(freeset *set, pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = vsp_freeset_class(blocks[slot].size_bytes);
    set->count--;
    if (set->root[class_index] != slot ||
        (blocks[slot].idle.left | blocks[slot].idle.right) != 0) {
        vsp_freeset_erase_from(set, blocks, slot, class_index);
        return;
    }
    set->root[class_index] = 0;
    vsp_freeset_clear_bit(set, class_index);
}

static inline void vsp_freeset_shrink(freeset *set, pool_block *blocks, uint32_t slot,
                                      uint64_t by_bytes)
{
    pool_block *block = &blocks[slot];
    const uint32_t old_class = vsp_freeset_class(block->size_bytes);
    const uint32_t new_class = vsp_freeset_class(block->size_bytes - by_bytes);
    const bool is_alone =
        set->root[old_class] == slot && (block->idle.left | block->idle.right) == 0;
    if (is_alone && old_class == new_class) {
        block->size_bytes -= by_bytes;
        block->addr += by_bytes;
        return;
    }
    vsp_freeset_erase(set, blocks, slot);
    block->size_bytes -= by_bytes;
    block->addr += by_bytes;
    vsp_freeset_insert(set, blocks, slot);
}

#endif /* VS_POOL_FREESET_H */
