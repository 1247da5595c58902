/* pool/freeset.c - see freeset.h.
 *
 * Invariants (checked by vs_pool_check and by tests/prop/prop_freeset.c):
 *   - a class's bit is set exactly when its root is not 0; a word's summary bit exactly when
 *     the word is not 0;
 *   - every block of a class's treap has that class; in-order is (size, address) ascending;
 *   - a parent's priority is not below its children's; priorities of different slots differ. */
#include "sim/pool/freeset.h"

#include "sim/pool/bits.h"

_Static_assert(FREESET_WORDS < 64, "one summary word, and shifts by word + 1 stay defined");

#define GRANULE_SHIFT 9u /* 512 bytes [1.1] */

static uint32_t class_of(uint64_t size_bytes)
{
    const uint64_t granules = size_bytes >> GRANULE_SHIFT;
    if (granules < FREESET_STEPS) {
        return (uint32_t)granules;
    }
    const uint32_t log2 = vsp_high_bit(granules);
    const uint32_t shift = log2 - FREESET_STEP_BITS;
    return ((shift + 1u) << FREESET_STEP_BITS) +
           ((uint32_t)(granules >> shift) - FREESET_STEPS);
}

/* Multiplying by an odd constant permutes 32-bit numbers: no two slots tie. The constant is
 * 2^32 / golden ratio (Knuth, TAOCP 3, 6.4: multiplicative hashing). */
static uint32_t priority_of(uint32_t slot)
{
    return slot * UINT32_C(2654435769);
}

static bool is_before(const pool_block *a, const pool_block *b)
{
    return a->size_bytes < b->size_bytes ||
           (a->size_bytes == b->size_bytes && a->addr < b->addr);
}

static void class_set_bit(freeset *set, uint32_t class_index)
{
    set->words[class_index >> 6] |= UINT64_C(1) << (class_index & 63u);
    set->summary |= UINT64_C(1) << (class_index >> 6);
}

static void class_clear_bit(freeset *set, uint32_t class_index)
{
    uint64_t *word = &set->words[class_index >> 6];
    *word &= ~(UINT64_C(1) << (class_index & 63u));
    if (*word == 0) {
        set->summary &= ~(UINT64_C(1) << (class_index >> 6));
    }
}

/* First class above class_index that holds anything, FREESET_CLASSES when there is none. */
static uint32_t class_above(const freeset *set, uint32_t class_index)
{
    const uint32_t start = class_index + 1u;
    uint32_t word = start >> 6;
    if (word >= FREESET_WORDS) {
        return FREESET_CLASSES;
    }
    const uint64_t rest = set->words[word] & (UINT64_MAX << (start & 63u));
    if (rest != 0) {
        return (word << 6) + vsp_low_bit(rest);
    }
    const uint64_t later = set->summary & (UINT64_MAX << (word + 1u));
    if (later == 0) {
        return FREESET_CLASSES;
    }
    word = vsp_low_bit(later);
    return (word << 6) + vsp_low_bit(set->words[word]);
}

/* Last class below class_index that holds anything, FREESET_CLASSES when there is none. */
static uint32_t class_below(const freeset *set, uint32_t class_index)
{
    uint32_t word = class_index >> 6;
    const uint64_t rest = set->words[word] & ((UINT64_C(1) << (class_index & 63u)) - 1u);
    if (rest != 0) {
        return (word << 6) + vsp_high_bit(rest);
    }
    const uint64_t earlier = set->summary & ((UINT64_C(1) << word) - 1u);
    if (earlier == 0) {
        return FREESET_CLASSES;
    }
    word = vsp_high_bit(earlier);
    return (word << 6) + vsp_high_bit(set->words[word]);
}

/* Splits the treap below node into what is before slot and what is after it. */
static void treap_split(pool_block *blocks, uint32_t node, uint32_t slot)
{
    uint32_t *before = &blocks[slot].idle.left;
    uint32_t *after = &blocks[slot].idle.right;
    while (node != 0) {
        if (is_before(&blocks[node], &blocks[slot])) {
            *before = node;
            before = &blocks[node].idle.right;
            node = *before;
        } else {
            *after = node;
            after = &blocks[node].idle.left;
            node = *after;
        }
    }
    *before = 0;
    *after = 0;
}

static uint32_t treap_join(pool_block *blocks, uint32_t before, uint32_t after)
{
    uint32_t root = 0;
    uint32_t *link = &root;
    while (before != 0 && after != 0) {
        if (priority_of(before) > priority_of(after)) {
            *link = before;
            link = &blocks[before].idle.right;
            before = *link;
        } else {
            *link = after;
            link = &blocks[after].idle.left;
            after = *link;
        }
    }
    *link = before != 0 ? before : after;
    return root;
}

static uint32_t treap_first(const pool_block *blocks, uint32_t node)
{
    while (blocks[node].idle.left != 0) {
        node = blocks[node].idle.left;
    }
    return node;
}

static uint32_t treap_last(const pool_block *blocks, uint32_t node)
{
    while (blocks[node].idle.right != 0) {
        node = blocks[node].idle.right;
    }
    return node;
}

void vsp_freeset_insert(freeset *set, pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = class_of(blocks[slot].size_bytes);
    uint32_t *link = &set->root[class_index];
    set->count++;
    if (*link == 0) {
        blocks[slot].idle.left = 0;
        blocks[slot].idle.right = 0;
        *link = slot;
        class_set_bit(set, class_index);
        return;
    }
    const uint32_t priority = priority_of(slot);
    while (*link != 0 && priority_of(*link) > priority) {
        pool_block *node = &blocks[*link];
        link = is_before(&blocks[slot], node) ? &node->idle.left : &node->idle.right;
    }
    treap_split(blocks, *link, slot);
    *link = slot;
}

void vsp_freeset_erase(freeset *set, pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = class_of(blocks[slot].size_bytes);
    uint32_t *link = &set->root[class_index];
    while (*link != slot) {
        vs_check(*link != 0);
        pool_block *node = &blocks[*link];
        link = is_before(&blocks[slot], node) ? &node->idle.left : &node->idle.right;
    }
    *link = treap_join(blocks, blocks[slot].idle.left, blocks[slot].idle.right);
    if (set->root[class_index] == 0) {
        class_clear_bit(set, class_index);
    }
    set->count--;
}

void vsp_freeset_shrink(freeset *set, pool_block *blocks, uint32_t slot, uint64_t by_bytes)
{
    pool_block *block = &blocks[slot];
    const uint32_t old_class = class_of(block->size_bytes);
    const uint32_t new_class = class_of(block->size_bytes - by_bytes);
    const bool is_alone =
        set->root[old_class] == slot && (block->idle.left | block->idle.right) == 0;
    if (is_alone && (old_class == new_class || set->root[new_class] == 0)) {
        if (old_class != new_class) {
            set->root[old_class] = 0;
            class_clear_bit(set, old_class);
            set->root[new_class] = slot;
            class_set_bit(set, new_class);
        }
        block->size_bytes -= by_bytes;
        block->addr += by_bytes;
        return;
    }
    vsp_freeset_erase(set, blocks, slot);
    block->size_bytes -= by_bytes;
    block->addr += by_bytes;
    vsp_freeset_insert(set, blocks, slot);
}

uint32_t vsp_freeset_at_least(const freeset *set, const pool_block *blocks, uint64_t size_bytes)
{
    const uint32_t class_index = class_of(size_bytes);
    uint32_t found = 0;
    uint32_t node = set->root[class_index];
    while (node != 0) {
        if (blocks[node].size_bytes >= size_bytes) {
            found = node;
            node = blocks[node].idle.left;
        } else {
            node = blocks[node].idle.right;
        }
    }
    if (found != 0) {
        return found;
    }
    const uint32_t above = class_above(set, class_index);
    return above == FREESET_CLASSES ? 0 : treap_first(blocks, set->root[above]);
}

uint32_t vsp_freeset_below(const freeset *set, const pool_block *blocks, uint64_t size_bytes)
{
    const uint32_t class_index = class_of(size_bytes);
    uint32_t found = 0;
    uint32_t node = set->root[class_index];
    while (node != 0) {
        if (blocks[node].size_bytes < size_bytes) {
            found = node;
            node = blocks[node].idle.right;
        } else {
            node = blocks[node].idle.left;
        }
    }
    if (found != 0) {
        return found;
    }
    const uint32_t below = class_below(set, class_index);
    return below == FREESET_CLASSES ? 0 : treap_last(blocks, set->root[below]);
}

uint32_t vsp_freeset_next(const freeset *set, const pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = class_of(blocks[slot].size_bytes);
    uint32_t found = 0;
    uint32_t node = set->root[class_index];
    while (node != 0) {
        if (is_before(&blocks[slot], &blocks[node])) {
            found = node;
            node = blocks[node].idle.left;
        } else {
            node = blocks[node].idle.right;
        }
    }
    if (found != 0) {
        return found;
    }
    const uint32_t above = class_above(set, class_index);
    return above == FREESET_CLASSES ? 0 : treap_first(blocks, set->root[above]);
}

uint32_t vsp_freeset_prev(const freeset *set, const pool_block *blocks, uint32_t slot)
{
    const uint32_t class_index = class_of(blocks[slot].size_bytes);
    uint32_t found = 0;
    uint32_t node = set->root[class_index];
    while (node != 0) {
        if (is_before(&blocks[node], &blocks[slot])) {
            found = node;
            node = blocks[node].idle.right;
        } else {
            node = blocks[node].idle.left;
        }
    }
    if (found != 0) {
        return found;
    }
    const uint32_t below = class_below(set, class_index);
    return below == FREESET_CLASSES ? 0 : treap_last(blocks, set->root[below]);
}

uint32_t vsp_freeset_first(const freeset *set, const pool_block *blocks)
{
    if (set->summary == 0) {
        return 0;
    }
    const uint32_t word = vsp_low_bit(set->summary);
    const uint32_t class_index = (word << 6) + vsp_low_bit(set->words[word]);
    return treap_first(blocks, set->root[class_index]);
}
