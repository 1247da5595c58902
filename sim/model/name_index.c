/* name_index.c - open addressing over the names of an array; linear probing, at most three quarters full.
 * Never grows: the number of items is known when it is built. Results do not depend on the hash.
 *
 * With 92,000 names waiting for memory is most of the work: a look-up should miss the cache once, so a slot has its
 * hash beside it and the table is no larger than need be; names are hashed some at a time before they are put in,
 * so that the misses of several overlap. */
#include <string.h>

#include "sim/model/internal.h"

_Static_assert(offsetof(vs_tensor, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_target, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_index_entry, name) == 0, "the index reads the name at offset 0");

#define AT_A_TIME 32u /* names hashed before they are put in */

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

/* Puts items [first, past) into the index. Returns the first that has the name of one before it, or UINT32_MAX. */
static uint32_t add_items(vs_name_index *index, uint32_t first, uint32_t past)
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
    for (uint32_t first = 0; first < count; first += AT_A_TIME) {
        const uint32_t past = count - first < AT_A_TIME ? count : first + AT_A_TIME;
        const uint32_t twice = add_items(index, first, past);
        *duplicate = *duplicate == UINT32_MAX ? twice : *duplicate;
    }
    return true;
}

uint32_t vs_name_index_find(const vs_name_index *index, vs_str name)
{
    return index->slots[find_slot(index, name, hash_name(name.ptr, name.len))].item - 1;
}
