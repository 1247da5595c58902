/* name_index.c - open addressing over the names of an array; linear probing, at most half full.
 * Never grows: the number of items is known when it is built. Results do not depend on the hash. */
#include <string.h>

#include "sim/model/internal.h"

_Static_assert(offsetof(vs_tensor, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_target, name) == 0, "the index reads the name at offset 0");
_Static_assert(offsetof(vs_index_entry, name) == 0, "the index reads the name at offset 0");

/* FNV-1a over eight bytes at a time: names are 20 to 60 bytes and often differ in one digit. */
static uint32_t hash_name(const char *name, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ len;
    while (len >= 8) {
        uint64_t chunk = 0;
        memcpy(&chunk, name, 8);
        h = (h ^ chunk) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
        name += 8;
        len -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, name, len);
    h = (h ^ tail) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
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
    while (index->slots[slot] != 0) {
        if (index->hashes[slot] == hash) {
            const char *const other = item_name(index, index->slots[slot] - 1);
            if (strncmp(other, name.ptr, name.len) == 0 && other[name.len] == '\0') {
                break;
            }
        }
        slot = (slot + 1) & index->mask;
    }
    return slot;
}

bool vs_name_index_build(vs_name_index *index, vs_arena *arena, const void *items,
                         size_t stride, uint32_t count, uint32_t *duplicate)
{
    uint32_t slot_count = 16;
    while (slot_count / 2 < count && slot_count < UINT32_C(1) << 31) {
        slot_count *= 2;
    }
    *index = (vs_name_index){.items = items, .stride = stride, .mask = slot_count - 1};
    index->slots = VS_ARRAY(arena, uint32_t, slot_count);
    index->hashes = VS_ARRAY(arena, uint32_t, slot_count);
    if (index->slots == NULL || index->hashes == NULL) {
        return false;
    }
    *duplicate = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const vs_str name = vs_str_of(item_name(index, i));
        const uint32_t hash = hash_name(name.ptr, name.len);
        const uint32_t slot = find_slot(index, name, hash);
        if (index->slots[slot] == 0) {
            index->slots[slot] = i + 1;
            index->hashes[slot] = hash;
        } else if (*duplicate == UINT32_MAX) {
            *duplicate = i;
        }
    }
    return true;
}

uint32_t vs_name_index_find(const vs_name_index *index, vs_str name)
{
    return index->slots[find_slot(index, name, hash_name(name.ptr, name.len))] - 1;
}
