/* blockmap.c - from an address to the block that is there.
 *
 * Open addressing with linear probing; a removal moves back what probed past it, so there are no tombstones and a
 * recording of any length keeps the table as large as its live blocks need. Addresses are multiples of 512, so they are
 * multiplied before their high bits are taken (Knuth, The Art of Computer Programming, vol. 3, 6.4: multiplication by
 * the golden ratio). */
#include "traces/replay/internal.h"

#define SMALLEST 64u
#define GOLDEN   UINT64_C(0x9e3779b97f4a7c15)

static uint32_t home_of(const blockmap *map, uint64_t addr)
{
    return (uint32_t)((addr * GOLDEN) >> map->shift);
}

static bool set_size(blockmap *map, uint32_t capacity)
{
    blockmap_entry *entries = VS_ARRAY(map->arena, blockmap_entry, capacity);
    if (entries == NULL) {
        return false;
    }
    map->entries = entries;
    map->mask = capacity - 1u;
    map->shift = 64;
    while (capacity > 1) {
        capacity /= 2;
        map->shift--;
    }
    return true;
}

bool blockmap_init(blockmap *map, vs_arena *arena, uint32_t expected)
{
    *map = (blockmap){.arena = arena};
    uint32_t capacity = SMALLEST;
    while (capacity < UINT32_MAX / 4 && capacity / 2 < expected) {
        capacity *= 2;
    }
    return set_size(map, capacity);
}

blockmap_entry *blockmap_find(const blockmap *map, uint64_t addr)
{
    for (uint32_t at = home_of(map, addr);; at = (at + 1u) & map->mask) {
        blockmap_entry *entry = &map->entries[at];
        if (entry->block == 0) {
            return NULL;
        }
        if (entry->addr == addr) {
            return entry;
        }
    }
}

static void put_new(blockmap *map, blockmap_entry entry)
{
    uint32_t at = home_of(map, entry.addr);
    while (map->entries[at].block != 0) {
        at = (at + 1u) & map->mask;
    }
    map->entries[at] = entry;
}

static bool grow(blockmap *map)
{
    const blockmap_entry *old = map->entries;
    const uint32_t old_capacity = map->mask + 1u;
    if (old_capacity > UINT32_MAX / 4 || !set_size(map, old_capacity * 2)) {
        return false;
    }
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].block != 0) {
            put_new(map, old[i]);
        }
    }
    return true;
}

bool blockmap_put(blockmap *map, uint64_t addr, uint32_t block, uint32_t birth)
{
    vs_assert(block != 0);
    blockmap_entry *found = blockmap_find(map, addr);
    if (found != NULL) {
        found->block = block;
        found->birth = birth;
        return true;
    }
    if (map->count >= (map->mask + 1u) / 2 && !grow(map)) {
        return false;
    }
    put_new(map, (blockmap_entry){.addr = addr, .block = block, .birth = birth});
    map->count++;
    return true;
}

void blockmap_remove(blockmap *map, blockmap_entry *entry)
{
    uint32_t hole = (uint32_t)(entry - map->entries);
    map->count--;
    for (uint32_t at = (hole + 1u) & map->mask; map->entries[at].block != 0;
         at = (at + 1u) & map->mask) {
        const uint32_t home = home_of(map, map->entries[at].addr);
        /* It may move back when its home is not between the hole (exclusive) and where it is. */
        if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole] = (blockmap_entry){0};
}
