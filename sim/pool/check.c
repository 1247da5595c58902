/* pool/check.c - walking a pool: vs_pool_visit for pictures and reports, vs_pool_check for tests.
 * The invariants are listed at the top of caching.c. */
#include "sim/pool/pool_internal.h"

#include <stdlib.h>

/* ---- segments in address order ----------------------------------------------------------- */

typedef struct {
    uint64_t addr;
    uint32_t slot;
} segment_head;

typedef struct {
    segment_head *items;
    uint32_t count;
} segment_list;

static int compare_heads(const void *left, const void *right)
{
    const segment_head *a = left;
    const segment_head *b = right;
    return (a->addr > b->addr) - (a->addr < b->addr);
}

static bool list_segments(const vs_pool *pool, vs_arena *scratch, segment_list *out)
{
    uint32_t count = 0;
    for (uint32_t slot = 1; slot < pool->slot_fresh; slot++) {
        const pool_block *block = &pool->blocks[slot];
        count += block->state != SLOT_UNUSED && block->prev == 0;
    }
    segment_head *items = VS_ARRAY(scratch, segment_head, count);
    if (items == NULL) {
        return false;
    }
    uint32_t filled = 0;
    for (uint32_t slot = 1; slot < pool->slot_fresh; slot++) {
        const pool_block *block = &pool->blocks[slot];
        if (block->state != SLOT_UNUSED && block->prev == 0) {
            items[filled++] = (segment_head){block->addr, slot};
        }
    }
    if (count > 1) {
        qsort(items, count, sizeof *items, compare_heads);
    }
    *out = (segment_list){items, count};
    return true;
}

static vs_block_view view_of(const vs_pool *pool, uint32_t slot, uint64_t segment_addr)
{
    const pool_block *block = &pool->blocks[slot];
    const pool_home *home = pool->homes[block->home];
    vs_block_view view = {.segment_addr = segment_addr,
                          .addr = block->addr,
                          .size_bytes = block->size_bytes,
                          .stream = home->stream,
                          .is_small_pool = home->is_small,
                          .is_expandable = block->range != 0};
    switch ((slot_state)block->state) {
    case SLOT_ALLOCATED:
        view.state = VS_BLOCK_ALLOCATED;
        view.block = vsp_handle(pool, slot);
        break;
    case SLOT_PENDING:
        view.state = VS_BLOCK_PENDING;
        view.block = vsp_handle(pool, slot);
        break;
    case SLOT_UNMAPPED: view.state = VS_BLOCK_UNMAPPED; break;
    case SLOT_FREE:
    case SLOT_LOOSE:
    case SLOT_UNUSED: view.state = VS_BLOCK_FREE; break;
    }
    return view;
}

bool vs_pool_visit(const vs_pool *pool, vs_arena *scratch,
                   void (*visit)(void *ctx, const vs_block_view *view), void *ctx)
{
    segment_list segments = {NULL, 0};
    if (!list_segments(pool, scratch, &segments)) {
        return false;
    }
    for (uint32_t i = 0; i < segments.count; i++) {
        uint32_t slot = segments.items[i].slot;
        for (; slot != 0; slot = pool->blocks[slot].next) {
            const vs_block_view view = view_of(pool, slot, segments.items[i].addr);
            visit(ctx, &view);
        }
    }
    return true;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* False, with the statement that does not hold. */
static bool holds(bool statement, const char *text, vs_err *err)
{
    return statement || vs_fail(err, VS_ERR_INTERNAL, "pool check: not true that %s", text);
}

/* What the statistics should be, from the blocks alone. */
typedef struct {
    uint64_t allocation[VS_STAT_CLASSES];
    uint64_t allocated_bytes[VS_STAT_CLASSES];
    uint64_t active[VS_STAT_CLASSES];
    uint64_t active_bytes[VS_STAT_CLASSES];
    uint64_t requested_bytes[VS_STAT_CLASSES];
    uint64_t segment[VS_STAT_CLASSES];
    uint64_t reserved_bytes[VS_STAT_CLASSES];
    uint64_t inactive_split[VS_STAT_CLASSES];
    uint64_t inactive_split_bytes[VS_STAT_CLASSES];
    uint64_t tensor_bytes;
    uint64_t oversize_allocations;
    uint64_t oversize_segments;
    uint64_t events;
    uint32_t free_blocks;
    uint32_t unmapped_blocks;
    uint32_t slots;
} recount;

static void tally(uint64_t sums[VS_STAT_CLASSES], uint32_t home, uint64_t by)
{
    sums[VS_STAT_ALL] += by;
    sums[vsp_stat_class(home)] += by;
}

static bool is_any_free(const pool_block *block)
{
    return block->state == SLOT_FREE || block->state == SLOT_LOOSE;
}

static void recount_block(const vs_pool *pool, uint32_t slot, recount *sum)
{
    const pool_block *block = &pool->blocks[slot];
    const uint32_t home = block->home;
    sum->slots++;
    sum->events += block->event_count;
    if (block->state != SLOT_UNMAPPED) {
        tally(sum->reserved_bytes, home, block->size_bytes);
    }
    if (block->state == SLOT_ALLOCATED) {
        tally(sum->allocation, home, 1);
        tally(sum->allocated_bytes, home, block->size_bytes);
        sum->tensor_bytes += block->used.counted_bytes;
        sum->oversize_allocations += block->size_bytes >= pool->conf.max_split_bytes;
    }
    if (block->state == SLOT_ALLOCATED || block->state == SLOT_PENDING) {
        tally(sum->active, home, 1);
        tally(sum->active_bytes, home, block->size_bytes);
        tally(sum->requested_bytes, home, block->used.asked_bytes);
    }
    if (is_any_free(block)) {
        sum->free_blocks++;
        if (vsp_is_split(pool, slot) && block->range == 0) {
            tally(sum->inactive_split, home, 1);
            tally(sum->inactive_split_bytes, home, block->size_bytes);
        }
    }
    sum->unmapped_blocks += block->state == SLOT_UNMAPPED;
}

static bool check_unmapped(const vs_pool *pool, const pool_block *block, vs_err *err)
{
    const pool_range *range = &pool->ranges[block->range];
    return holds(block->range != 0, "unmapped blocks lie in ranges", err) &&
           holds((block->addr - range->addr) % range->page_bytes == 0 &&
                     block->size_bytes % range->page_bytes == 0,
                 "unmapped blocks are whole pages", err);
}

static bool check_next(const vs_pool *pool, uint32_t slot, vs_err *err)
{
    const pool_block *block = &pool->blocks[slot];
    const pool_block *next = &pool->blocks[block->next];
    const bool can_be_twice = block->state == SLOT_ALLOCATED || block->state == SLOT_PENDING;
    return holds(next->prev == slot, "links agree both ways", err) &&
           holds(next->addr == block->addr + block->size_bytes, "blocks tile their segment",
                 err) &&
           holds((next->state != block->state || can_be_twice) &&
                     !(is_any_free(block) && is_any_free(next)),
                 "free or unmapped neighbours are merged", err);
}

static bool check_block(const vs_pool *pool, uint32_t slot, uint32_t head, vs_err *err)
{
    const pool_block *block = &pool->blocks[slot];
    return holds(block->state != SLOT_UNUSED && block->size_bytes > 0,
                 "segments consist of used blocks", err) &&
           holds(block->home == pool->blocks[head].home &&
                     block->range == pool->blocks[head].range,
                 "a segment has one home and one range", err) &&
           holds((block->event_count > 0) == (block->state == SLOT_PENDING),
                 "exactly pending blocks have events", err) &&
           (block->state != SLOT_UNMAPPED || check_unmapped(pool, block, err)) &&
           (block->next == 0 || check_next(pool, slot, err));
}

/* One segment or range; *out_end is the address behind it. */
static bool check_segment(const vs_pool *pool, uint32_t head, recount *sum, uint64_t *out_end,
                          vs_err *err)
{
    const pool_block *first = &pool->blocks[head];
    uint64_t bytes = 0;
    for (uint32_t slot = head; slot != 0; slot = pool->blocks[slot].next) {
        if (!check_block(pool, slot, head, err)) {
            return false;
        }
        bytes += pool->blocks[slot].size_bytes;
        recount_block(pool, slot, sum);
    }
    *out_end = first->addr + bytes;
    if (first->range == 0) {
        tally(sum->segment, first->home, 1);
        sum->oversize_segments += bytes >= pool->conf.max_split_bytes;
        return true;
    }
    const pool_range *range = &pool->ranges[first->range];
    return holds(range->addr == first->addr && range->size_bytes == bytes &&
                     range->home == first->home,
                 "the blocks of a range cover it", err);
}

static bool check_set_entry(const vs_pool *pool, uint32_t id, uint32_t last, uint32_t slot,
                            vs_err *err)
{
    const pool_block *block = &pool->blocks[slot];
    const pool_block *before = &pool->blocks[last];
    const freeset *set = &pool->homes[id]->free;
    if (!holds(block->state == SLOT_FREE && block->home == id,
               "a set holds free blocks of its home", err) ||
        !holds(block->idle.mark <= pool->search_count[vsp_is_small_home(id)],
               "marks are not in the future", err)) {
        return false;
    }
    return last == 0 ||
           (holds(before->size_bytes < block->size_bytes ||
                      (before->size_bytes == block->size_bytes && before->addr < block->addr),
                  "a set is ordered by size and address", err) &&
            holds(vsp_freeset_prev(set, pool->blocks, slot) == last,
                  "walking a set backwards is the reverse", err));
}

static bool check_home(const vs_pool *pool, uint32_t id, recount *seen, vs_err *err)
{
    const pool_home *home = pool->homes[id];
    const freeset *set = &home->free;
    uint32_t count = 0;
    uint32_t last = 0;
    uint32_t slot = vsp_freeset_first(set, pool->blocks);
    for (; slot != 0; slot = vsp_freeset_next(set, pool->blocks, slot)) {
        if (count == set->count || !check_set_entry(pool, id, last, slot, err)) {
            return holds(false, "a set is not longer than its count", err);
        }
        last = slot;
        count++;
    }
    seen->free_blocks += count;
    uint64_t last_addr = 0;
    for (slot = home->unmapped_head; slot != 0; slot = pool->blocks[slot].idle.right) {
        const pool_block *block = &pool->blocks[slot];
        if (!holds(block->state == SLOT_UNMAPPED && block->home == id &&
                       block->addr > last_addr,
                   "the unmapped list is ordered and its own", err)) {
            return false;
        }
        last_addr = block->addr;
        seen->unmapped_blocks++;
    }
    return holds(count == set->count, "a set is as long as its count", err);
}

static bool check_loose(const vs_pool *pool, recount *seen, vs_err *err)
{
    uint32_t left = 0;
    for (uint32_t slot = pool->loose_head; slot != 0; slot = pool->blocks[slot].idle.right) {
        const pool_block *block = &pool->blocks[slot];
        if (!holds(block->state == SLOT_LOOSE && block->idle.left == left,
                   "the list of loose blocks is linked both ways and holds nothing else",
                   err)) {
            return false;
        }
        left = slot;
        seen->free_blocks++;
    }
    return true;
}

static bool check_stat(const vs_stat stats[VS_STAT_CLASSES],
                       const uint64_t sums[VS_STAT_CLASSES], const char *name, vs_err *err)
{
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        if (stats[c].current != sums[c] || stats[c].peak < stats[c].current) {
            return vs_fail(err, VS_ERR_INTERNAL,
                           "pool check: %s class %u is %" PRIu64 " (peak %" PRIu64
                           "), blocks say %" PRIu64,
                           name, c, stats[c].current, stats[c].peak, sums[c]);
        }
    }
    return true;
}

static bool check_stats(const vs_pool *pool, const recount *sum, vs_err *err)
{
    const vs_pool_stats *s = vs_pool_get_stats(pool);
    return holds(pool->has_changed_conf ||
                     (s->oversize_allocations.current == sum->oversize_allocations &&
                      s->oversize_segments.current == sum->oversize_segments),
                 "the oversize counters fit the blocks", err) &&
           holds(s->tensor_bytes.current == sum->tensor_bytes, "tensor_bytes fits the blocks",
                 err) &&
           holds(pool->driver_total == sum->reserved_bytes[VS_STAT_ALL],
                 "the driver's total fits the blocks", err) &&
           check_stat(s->allocation, sum->allocation, "allocation", err) &&
           check_stat(s->allocated_bytes, sum->allocated_bytes, "allocated_bytes", err) &&
           check_stat(s->active, sum->active, "active", err) &&
           check_stat(s->active_bytes, sum->active_bytes, "active_bytes", err) &&
           check_stat(s->requested_bytes, sum->requested_bytes, "requested_bytes", err) &&
           check_stat(s->segment, sum->segment, "segment", err) &&
           check_stat(s->reserved_bytes, sum->reserved_bytes, "reserved_bytes", err) &&
           check_stat(s->inactive_split, sum->inactive_split, "inactive_split", err) &&
           check_stat(s->inactive_split_bytes, sum->inactive_split_bytes,
                      "inactive_split_bytes", err);
}

static bool check_events(const vs_pool *pool, const recount *sum, vs_err *err)
{
    uint64_t events = 0;
    for (uint32_t i = 0; i < pool->stream_count; i++) {
        const pool_stream *stream = &pool->streams[i];
        uint32_t note = stream->head;
        for (uint32_t k = 0; k < stream->count; k++) {
            const pool_note *event = &pool->notes[note];
            if (!holds(event->stream == i && pool->blocks[event->block].state == SLOT_PENDING,
                       "a stream's events wait for pending blocks", err)) {
                return false;
            }
            note = event->next;
        }
        events += stream->count;
        if (!holds(stream->unfinished <= stream->count, "unfinished events exist", err)) {
            return false;
        }
    }
    return holds(events == pool->event_total && events + pool->held_frees == sum->events,
                 "every event is counted once", err);
}

static bool check_slots(const vs_pool *pool, const recount *sum, vs_err *err)
{
    uint32_t unused = 0;
    uint32_t slot = pool->slot_unused;
    for (; slot != 0 && unused < pool->slot_fresh; slot = pool->blocks[slot].idle.right) {
        if (!holds(pool->blocks[slot].state == SLOT_UNUSED, "unused slots are unused", err)) {
            return false;
        }
        unused++;
    }
    return holds(unused + sum->slots + 1u == pool->slot_fresh,
                 "every slot is in use or in the list", err) &&
           holds(pool->slots_left == unused + (pool->slot_capacity - pool->slot_fresh),
                 "slots left are counted", err);
}

bool vs_pool_check(const vs_pool *pool, vs_arena *scratch, vs_err *err)
{
    segment_list segments = {NULL, 0};
    if (!list_segments(pool, scratch, &segments)) {
        return vs_fail_memory(err, scratch, "the list of segments");
    }
    recount sum = {0};
    uint64_t end = 0;
    for (uint32_t i = 0; i < segments.count; i++) {
        if (!holds(segments.items[i].addr >= end, "segments do not overlap", err) ||
            !check_segment(pool, segments.items[i].slot, &sum, &end, err)) {
            return false;
        }
    }
    recount seen = {0};
    for (uint32_t id = 0; id < pool->home_capacity; id++) {
        if (pool->homes[id] != NULL && !check_home(pool, id, &seen, err)) {
            return false;
        }
    }
    return check_loose(pool, &seen, err) &&
           holds(seen.free_blocks == sum.free_blocks, "every free block is in a set or loose",
                 err) &&
           holds(seen.unmapped_blocks == sum.unmapped_blocks,
                 "every unmapped block is in a list", err) &&
           check_stats(pool, &sum, err) && check_events(pool, &sum, err) &&
           check_slots(pool, &sum, err);
}
