/* pool/freeset.c - see freeset.h.
 *
 * Invariants (checked by vs_pool_check and by tests/prop/prop_freeset.c):
 *   - a class's bit is set exactly when its root is not 0; a word's summary bit exactly when
 *     the word is not 0;
 *   - every block of a class's treap has that class; in-order is (size, address) ascending;
 *   - a parent's priority is not below its children's; priorities of different slots differ. */
#include "sim/pool/freeset.h"

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

/* First class above class_index that holds anything, FREESET_CLASSES when there is none. */
static inline uint32_t class_above(const freeset *set, uint32_t class_index)
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

/* Hangs the two treaps, everything of the first before everything of the second, on link. */
static void treap_join(pool_block *blocks, uint32_t *link, uint32_t before, uint32_t after)
{
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
}

static inline uint32_t treap_first(const pool_block *blocks, uint32_t node)
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

void vsp_freeset_insert_into(freeset *set, pool_block *blocks, uint32_t slot,
                             uint32_t class_index)
{
    uint32_t *link = &set->root[class_index];
    const uint32_t priority = priority_of(slot);
    while (*link != 0 && priority_of(*link) > priority) {
        pool_block *node = &blocks[*link];
        link = is_before(&blocks[slot], node) ? &node->idle.left : &node->idle.right;
    }
    treap_split(blocks, *link, slot);
    *link = slot;
}

void vsp_freeset_erase_from(freeset *set, pool_block *blocks, uint32_t slot,
                            uint32_t class_index)
{
    uint32_t *link = &set->root[class_index];
    while (*link != slot) {
        vs_check(*link != 0);
        pool_block *node = &blocks[*link];
        link = is_before(&blocks[slot], node) ? &node->idle.left : &node->idle.right;
    }
    treap_join(blocks, link, blocks[slot].idle.left, blocks[slot].idle.right);
    if (set->root[class_index] == 0) {
        vsp_freeset_clear_bit(set, class_index);
    }
}

uint32_t vsp_freeset_at_least(const freeset *set, const pool_block *blocks, uint64_t size_bytes)
{
    const uint32_t class_index = vsp_freeset_class(size_bytes);
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
    const uint32_t class_index = vsp_freeset_class(size_bytes);
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
    const uint32_t class_index = vsp_freeset_class(blocks[slot].size_bytes);
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
    const uint32_t class_index = vsp_freeset_class(blocks[slot].size_bytes);
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
