/* traces/read/map64.h - a map from 64 bits to 64 bits: open addressing over arena memory, grown by doubling. Entries are never
 * taken out. Its contents depend on what was put in, never on its order or on addresses. */
#ifndef VS_TRACES_MAP64_H
#define VS_TRACES_MAP64_H

#include "vramscope/base.h"

#define MAP_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

typedef struct {
    uint64_t key, value;
    bool is_used;
} map_slot;

typedef struct {
    vs_arena *arena;
    map_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
} map64;

static inline map_slot *map_find(const map64 *map, uint64_t key)
{
    const size_t mask = map->slot_count - 1;
    size_t i = (size_t)((key * MAP_FACTOR) >> 20) & mask;
    while (map->slots[i].is_used && map->slots[i].key != key) {
        i = (i + 1) & mask;
    }
    return &map->slots[i];
}

/* NULL when the key is not there. Values stay until they are overwritten: a value of 0 means "no more". */
static inline uint64_t *map_get(const map64 *map, uint64_t key)
{
    if (map->slot_count == 0) {
        return NULL;
    }
    map_slot *const slot = map_find(map, key);
    return slot->is_used ? &slot->value : NULL;
}

static inline bool map_grow(map64 *map)
{
    const map64 old = *map;
    map->slot_count = old.slot_count == 0 ? 64 : old.slot_count * 2;
    map->slots = VS_ARRAY(map->arena, map_slot, map->slot_count);
    if (map->slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].is_used) {
            *map_find(map, old.slots[i].key) = old.slots[i];
        }
    }
    return true;
}

/* False: the arena is exhausted. */
VS_MUST_CHECK static inline bool map_set(map64 *map, uint64_t key, uint64_t value)
{
    if (2 * (map->count + 1) > map->slot_count && !map_grow(map)) {
        return false;
    }
    map_slot *const slot = map_find(map, key);
    map->count += slot->is_used ? 0 : 1;
    *slot = (map_slot){key, value, true};
    return true;
}

#endif /* VS_TRACES_MAP64_H */
