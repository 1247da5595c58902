/* name_index.c - open addressing over the names of an array; linear probing, at most three quarters full.
 * Never grows: the number of items is known when it is built. Results do not depend on the hash.
 *
 * With 92,000 names waiting for memory is most of the work: a look-up should miss the cache once, so a slot has its
 * hash beside it and the table is no larger than need be; names are hashed some at a time before they are put in,
 * so that the misses of several overlap.
 *
 * The hash is no secret, and names come from files: names made to collide would cost the square of their number. When
 * building takes more steps than any honest set of names, the table is given up for a sorted list. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/internal.h"

_Static_assert(offsetof(vs_tensor, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_target, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_index_entry, name) == 0, "the index reads the name at offset 0");

#define AT_A_TIME      32u /* names hashed before they are put in */
/* Slots passed on the way to a free one, for each name. Three quarters full, linear probing passes 8.5 of them for the
 * last name (Knuth, 6.4, theorem K) and less before it. */
#define STEPS_PER_NAME 32u

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    /* 2^64 / golden ratio, odd */
    return ((hash << 23 | hash >> 41) ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Eight bytes at a time, in two chains that do not wait for one another: names are 20 to 60 bytes and often differ in
 * one digit. */
static uint32_t hash_name(const char *name, size_t len)
{
    uint64_t even = len;
    uint64_t odd = ~(uint64_t)len;
    uint64_t words[2] = {0, 0};
    for (; len >= sizeof words; len -= sizeof words, name += sizeof words) {
        memcpy(words, name, sizeof words);
        even = mix(even, words[0]);
        odd = mix(odd, words[1]);
    }
    words[0] = 0;
    words[1] = 0;
    memcpy(words, name, len);
    even = mix(even, words[0]);
    odd = mix(odd, words[1]);
    return (uint32_t)(mix(even ^ even >> 32, odd ^ odd >> 32) >> 32);
}

static const char *item_name(const vs_name_index *index, uint32_t item)
{
    const char *name = NULL;
    memcpy(&name, (const unsigned char *)index->items + index->stride * item, sizeof name);
    return name;
}

/* The slot that holds name, or the empty one where it belongs. */
static uint32_t find_slot(const vs_name_index *index, vs_str name, uint32_t hash)
{
    uint32_t slot = hash & index->mask;
    for (; index->slots[slot].item != 0; slot = (slot + 1) & index->mask) {
        if (index->slots[slot].hash == hash) {
            const char *const other = item_name(index, index->slots[slot].item - 1);
            if (strncmp(other, name.ptr, name.len) == 0 && other[name.len] == '\0') {
                break;
            }
        }
    }
    return slot;
}

/* ---- names that collide --------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const vs_name_rank *const x = a;
    const vs_name_rank *const y = b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->item > y->item) - (x->item < y->item);
}

static bool sort_names(vs_name_index *index, vs_arena *arena, uint32_t count,
                       uint32_t *duplicate)
{
    index->ranks = VS_ARRAY(arena, vs_name_rank, count);
    if (index->ranks == NULL) {
        return false;
    }
    index->rank_count = count;
    for (uint32_t i = 0; i < count; i++) {
        index->ranks[i] = (vs_name_rank){item_name(index, i), i};
    }
    qsort(index->ranks, count, sizeof *index->ranks, compare_names);
    *duplicate = UINT32_MAX;
    for (uint32_t i = 1; i < count; i++) {
        const vs_name_rank *const r = &index->ranks[i];
        if (r->item < *duplicate && strcmp(r[-1].name, r->name) == 0) {
            *duplicate = r->item;
        }
    }
    return true;
}

/* The first item of that name, as the table finds it. */
static uint32_t find_sorted(const vs_name_index *index, vs_str name)
{
    uint32_t low = 0;
    uint32_t high = index->rank_count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (vs_str_compare(vs_str_of(index->ranks[mid].name), name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    const bool is_found =
        low < index->rank_count && vs_str_compare(vs_str_of(index->ranks[low].name), name) == 0;
    return is_found ? index->ranks[low].item : UINT32_MAX;
}

/* ---- building and looking up ------------------------------------------------------------------ */

/* Puts items [first, past) into the index. Returns the first that has the name of one before it, or UINT32_MAX;
 * adds to *steps. */
static uint32_t add_items(vs_name_index *index, uint32_t first, uint32_t past, uint64_t *steps)
{
    vs_str names[AT_A_TIME];
    uint32_t hashes[AT_A_TIME];
    uint32_t duplicate = UINT32_MAX;
    for (uint32_t i = first; i < past; i++) {
        names[i - first] = vs_str_of(item_name(index, i));
        hashes[i - first] = hash_name(names[i - first].ptr, names[i - first].len);
    }
    for (uint32_t i = first; i < past; i++) {
        const uint32_t slot = find_slot(index, names[i - first], hashes[i - first]);
        *steps += (slot - hashes[i - first]) & index->mask;
        if (index->slots[slot].item == 0) {
            index->slots[slot] = (vs_name_slot){.hash = hashes[i - first], .item = i + 1};
        } else if (duplicate == UINT32_MAX) {
            duplicate = i;
        }
    }
    return duplicate;
}

bool vs_name_index_build(vs_name_index *index, vs_arena *arena, const void *items,
                         size_t stride, uint32_t count, uint32_t *duplicate)
{
    uint32_t slot_count = 16;
    while (slot_count / 4 * 3 < count && slot_count < UINT32_C(1) << 31) {
        slot_count *= 2;
    }
    *index = (vs_name_index){.items = items, .stride = stride, .mask = slot_count - 1};
    index->slots = VS_ARRAY(arena, vs_name_slot, slot_count);
    if (index->slots == NULL) {
        return false;
    }
    *duplicate = UINT32_MAX;
    uint64_t steps = 0;
    for (uint32_t first = 0; first < count; first += AT_A_TIME) {
        const uint32_t past = count - first < AT_A_TIME ? count : first + AT_A_TIME;
        const uint32_t twice = add_items(index, first, past, &steps);
        *duplicate = *duplicate == UINT32_MAX ? twice : *duplicate;
        if (steps > (uint64_t)STEPS_PER_NAME * slot_count) {
            return sort_names(index, arena, count, duplicate);
        }
    }
    return true;
}

uint32_t vs_name_index_find(const vs_name_index *index, vs_str name)
{
    if (index->ranks != NULL) {
        return find_sorted(index, name);
    }
    return index->slots[find_slot(index, name, hash_name(name.ptr, name.len))].item - 1;
}
