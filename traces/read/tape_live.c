/* traces/read/tape_live.c - see tape_live.h. Open addressing, linear probing, nothing is ever taken out. */
#include "traces/read/tape_live.h"

#define FIRST_SLOTS 256u
#define GOLDEN      UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

/* Kinds of places: in the top bits of b, so that they never meet. */
#define BY_SIZE    (UINT64_C(1) << 63)
#define BY_SEGMENT (UINT64_C(1) << 62)

live_place live_place_at(uint64_t addr)
{
    return (live_place){.a = addr};
}

live_place live_segment_at(uint64_t addr)
{
    return (live_place){.a = addr, .b = BY_SEGMENT};
}

live_place live_place_of(const vs_rec_event *event)
{
    if ((event->flags & VS_REC_NO_ADDR) == 0) {
        return live_place_at(event->addr);
    }
    return (live_place){.a = event->size,
                        .b = BY_SIZE | (uint64_t)event->label << 8 | event->category};
}

void live_init(live_set *set, vs_arena *arena)
{
    *set = (live_set){.arena = arena, .first_free = LIVE_NONE};
    set->blocks = rows_of(arena, sizeof(live_block), 10);
}

void live_clear(live_set *set)
{
    for (uint32_t i = 0; i < set->slot_count; i++) {
        set->slots[i].is_used = false;
    }
    set->place_count = 0;
    set->blocks.count = 0;
    set->first_free = LIVE_NONE;
}

static uint32_t hash_of(live_place place)
{
    uint64_t h = (place.a ^ (place.b * GOLDEN)) * GOLDEN;
    h = (h ^ (h >> 32)) * GOLDEN;
    return (uint32_t)(h >> 32);
}

static live_slot *probe(live_slot *slots, uint32_t slot_count, live_place place)
{
    uint32_t at = hash_of(place) & (slot_count - 1);
    while (slots[at].is_used &&
           (slots[at].place.a != place.a || slots[at].place.b != place.b)) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

live_slot *live_find(const live_set *set, live_place place)
{
    if (set->slot_count == 0) {
        return NULL;
    }
    live_slot *const slot = probe(set->slots, set->slot_count, place);
    return slot->is_used ? slot : NULL;
}

static bool grow(live_set *set)
{
    if (2 * ((uint64_t)set->place_count + 1) <= set->slot_count) {
        return true;
    }
    const uint64_t wanted = set->slot_count > 0 ? UINT64_C(2) * set->slot_count : FIRST_SLOTS;
    live_slot *const slots =
        wanted <= UINT32_MAX ? VS_ARRAY(set->arena, live_slot, (size_t)wanted) : NULL;
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < set->slot_count; i++) {
        if (set->slots[i].is_used) {
            *probe(slots, (uint32_t)wanted, set->slots[i].place) = set->slots[i];
        }
    }
    set->slots = slots;
    set->slot_count = (uint32_t)wanted;
    return true;
}

live_block *live_add(live_set *set, live_place place)
{
    uint32_t row = set->first_free;
    if (!grow(set)) {
        return NULL;
    }
    live_block *block = NULL;
    if (row != LIVE_NONE) {
        block = rows_at(&set->blocks, row);
        set->first_free = block->below;
    } else {
        row = set->blocks.count < LIVE_NONE ? (uint32_t)set->blocks.count : LIVE_NONE;
        block = row != LIVE_NONE ? rows_add(&set->blocks) : NULL;
        if (block == NULL) {
            return NULL;
        }
    }
    live_slot *const slot = probe(set->slots, set->slot_count, place);
    if (!slot->is_used) {
        *slot = (live_slot){.place = place, .top = LIVE_NONE, .is_used = true};
        set->place_count++;
    }
    *block = (live_block){.below = slot->top};
    slot->top = row;
    return block;
}

void live_drop(live_set *set, live_slot *slot)
{
    const uint32_t row = slot->top;
    live_block *const block = rows_at(&set->blocks, row);
    slot->top = block->below;
    block->below = set->first_free;
    set->first_free = row;
}
