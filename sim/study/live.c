/* sim/study/live.c - what lies in a memory at a moment.
 *
 * One walk over the block table keeps the n largest in the caller's array, sorted; one walk over the events
 * up to the moment then applies the changes of category to those few. Most blocks are refused by one
 * comparison with the smallest kept; O(blocks * n + events) at worst. */
#include "vramscope/study.h"

#define NEVER UINT32_MAX

static bool is_alive(const vs_block_info *block, uint8_t device, uint32_t event)
{
    return block->device == device && block->born_event <= event &&
           (block->dead_event == NEVER || block->dead_event > event);
}

/* Inserts before the first that is smaller; equal sizes stay in order of their ids. */
static uint32_t insert(vs_live *kept, uint32_t count, uint32_t n, vs_live item)
{
    uint32_t at = count;
    while (at > 0 && kept[at - 1].size_bytes < item.size_bytes) {
        at--;
    }
    if (at == n) {
        return count;
    }
    const uint32_t new_count = count < n ? count + 1 : n;
    for (uint32_t i = new_count - 1; i > at; i--) {
        kept[i] = kept[i - 1];
    }
    kept[at] = item;
    return new_count;
}

static void recategorise(const vs_timeline *tl, uint32_t event, vs_live *kept, uint32_t count)
{
    for (uint32_t e = 0; e <= event; e++) {
        if (tl->event_kind[e] != VS_EV_RECAT) {
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (kept[i].block == tl->event_block[e]) {
                kept[i].category = (vs_category)tl->event_category[e];
            }
        }
    }
}

uint32_t vs_study_largest(const vs_timeline *tl, uint8_t device, uint32_t event, vs_live *out,
                          uint32_t n)
{
    uint32_t count = 0;
    if (n == 0 || tl->event_count == 0) {
        return 0;
    }
    vs_assert(event < tl->event_count);
    for (uint32_t b = 0; b < tl->block_count; b++) {
        const vs_block_info *block = &tl->blocks[b];
        if (!is_alive(block, device, event)) {
            continue;
        }
        const vs_live item = {.block = b,
                              .size_bytes = tl->event_size[block->born_event],
                              .category = (vs_category)tl->event_category[block->born_event]};
        count = insert(out, count, n, item);
    }
    recategorise(tl, event, out, count);
    return count;
}
