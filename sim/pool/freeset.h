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
 * The links live in the blocks themselves: inserting needs no memory and cannot fail. */
#ifndef VS_POOL_FREESET_H
#define VS_POOL_FREESET_H

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

/* Blocks are given by slot; the set reads their size_bytes and addr and owns their left and
 * right. Neither may change while the block is in the set, except through vsp_freeset_shrink. */
void vsp_freeset_insert(freeset *set, pool_block *blocks, uint32_t slot);
void vsp_freeset_erase(freeset *set, pool_block *blocks, uint32_t slot);
/* Cuts by_bytes off the front of a block in the set: size goes down, address up. */
void vsp_freeset_shrink(freeset *set, pool_block *blocks, uint32_t slot, uint64_t by_bytes);
/* First block of at least size_bytes in set order, 0 none. */
uint32_t vsp_freeset_at_least(const freeset *set, const pool_block *blocks,
                              uint64_t size_bytes);
/* Last block below size_bytes, 0 none. */
uint32_t vsp_freeset_below(const freeset *set, const pool_block *blocks, uint64_t size_bytes);
/* Neighbours in set order, 0 none. The slot must be in the set. */
uint32_t vsp_freeset_next(const freeset *set, const pool_block *blocks, uint32_t slot);
uint32_t vsp_freeset_prev(const freeset *set, const pool_block *blocks, uint32_t slot);
uint32_t vsp_freeset_first(const freeset *set, const pool_block *blocks);

#endif /* VS_POOL_FREESET_H */
