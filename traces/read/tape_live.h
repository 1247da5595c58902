/* traces/read/tape_live.h - which blocks of a recording are there, while its events are gone through.
 *
 * With addresses, a place (addr) holds one block at a time. Without, blocks of one size and label are alike, and the youngest
 * goes first: which of them it was is not told, and for every sum it does not matter. Places are never forgotten: a
 * free of a place that nothing was ever recorded of tells of a block from before the recording, a free of one whose block is
 * gone already tells of nothing. */
#ifndef VS_TRACES_TAPE_LIVE_H
#define VS_TRACES_TAPE_LIVE_H

#include "traces/read/rows.h"
#include "vramscope/trace.h"

#define LIVE_NONE UINT32_MAX

/* What tells one place from another. */
typedef struct {
    uint64_t a; /* address, or size */
    uint64_t b; /* what kind of place, and the label of blocks without address */
} live_place;

typedef struct {
    uint64_t addr;
    vs_bytes size;
    vs_bytes asked;
    uint32_t block; /* of the tape */
    uint32_t below; /* the next older one of the same place, or LIVE_NONE */
    uint8_t category;
    bool is_counted; /* its free was not requested yet */
} live_block;

typedef struct {
    live_place place;
    uint32_t top; /* the youngest live block, or LIVE_NONE */
    bool is_used; /* the slot holds a place */
} live_slot;

typedef struct {
    vs_arena *arena;
    live_slot *slots; /* a power of two of them, at most half of them used */
    uint32_t slot_count;
    uint32_t place_count;
    vs_rows blocks;      /* live_block */
    uint32_t first_free; /* a list of rows of blocks through below */
} live_set;

/* The place of an event's block, or of a segment. */
live_place live_place_of(const vs_rec_event *event);
live_place live_place_at(uint64_t addr);
live_place live_segment_at(uint64_t addr);

void live_init(live_set *set, vs_arena *arena);
/* As after live_init, in the memory it has. */
void live_clear(live_set *set);
/* NULL: nothing was ever there. */
live_slot *live_find(const live_set *set, live_place place);
/* The new block is the top of its place. NULL: the arena is exhausted. */
VS_MUST_CHECK live_block *live_add(live_set *set, live_place place);

static inline live_block *live_top(const live_set *set, const live_slot *slot)
{
    return slot == NULL || slot->top == LIVE_NONE ? NULL : rows_at(&set->blocks, slot->top);
}

/* The top goes. */
void live_drop(live_set *set, live_slot *slot);

#endif /* VS_TRACES_TAPE_LIVE_H */
