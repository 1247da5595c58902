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

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            return vs_fail(err, VS_ERR_INTERNAL, "pool check, line %d: %s", __LINE__,          \
                           #condition);                                                        \
        }                                                                                      \
    } while (false)

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

static void tally(uint64_t sums[VS_STAT_CLASSES], bool is_small, uint64_t by)
{
    sums[VS_STAT_ALL] += by;
    sums[vsp_stat_class(is_small)] += by;
}

static void recount_block(const vs_pool *pool, uint32_t slot, recount *sum)
{
    const pool_block *block = &pool->blocks[slot];
    const bool is_small = pool->homes[block->home]->is_small;
    sum->slots++;
    sum->events += block->event_count;
    if (block->state != SLOT_UNMAPPED) {
        tally(sum->reserved_bytes, is_small, block->size_bytes);
    }
    if (block->state == SLOT_ALLOCATED) {
        tally(sum->allocation, is_small, 1);
        tally(sum->allocated_bytes, is_small, block->size_bytes);
        sum->tensor_bytes += block->used.counted_bytes;
        sum->oversize_allocations += block->size_bytes >= pool->conf.max_split_bytes;
    }
    if (block->state == SLOT_ALLOCATED || block->state == SLOT_PENDING) {
        tally(sum->active, is_small, 1);
        tally(sum->active_bytes, is_small, block->size_bytes);
        tally(sum->requested_bytes, is_small, block->used.asked_bytes);
    }
    if (block->state == SLOT_FREE) {
        sum->free_blocks++;
        if (vsp_is_split(pool, slot) && block->range == 0) {
            tally(sum->inactive_split, is_small, 1);
            tally(sum->inactive_split_bytes, is_small, block->size_bytes);
        }
    }
    sum->unmapped_blocks += block->state == SLOT_UNMAPPED;
}

static bool check_block(const vs_pool *pool, uint32_t slot, uint32_t head, vs_err *err)
{
    const pool_block *block = &pool->blocks[slot];
    CHECK(block->state != SLOT_UNUSED);
    CHECK(block->size_bytes > 0);
    CHECK(block->home == pool->blocks[head].home);
    CHECK(block->range == pool->blocks[head].range);
    CHECK(block->event_count == 0 || block->state == SLOT_PENDING);
    CHECK(block->state != SLOT_PENDING || block->event_count > 0);
    if (block->state == SLOT_UNMAPPED) {
        CHECK(block->range != 0);
        const pool_range *range = &pool->ranges[block->range];
        CHECK((block->addr - range->addr) % range->page_bytes == 0);
        CHECK(block->size_bytes % range->page_bytes == 0);
    }
    if (block->next != 0) {
        const pool_block *next = &pool->blocks[block->next];
        CHECK(next->prev == slot);
        CHECK(next->addr == block->addr + block->size_bytes);
        CHECK(next->state != block->state ||
              (block->state != SLOT_FREE && block->state != SLOT_UNMAPPED));
    }
    return true;
}

/* One segment or range; *out_end is the address behind it. */
static bool check_segment(const vs_pool *pool, uint32_t head, recount *sum, uint64_t *out_end,
                          vs_err *err)
{
    uint64_t bytes = 0;
    for (uint32_t slot = head; slot != 0; slot = pool->blocks[slot].next) {
        if (!check_block(pool, slot, head, err)) {
            return false;
        }
        bytes += pool->blocks[slot].size_bytes;
        recount_block(pool, slot, sum);
    }
    const uint32_t range = pool->blocks[head].range;
    const bool is_small = vsp_home_of(pool, head)->is_small;
    if (range != 0) {
        CHECK(pool->ranges[range].addr == pool->blocks[head].addr);
        CHECK(pool->ranges[range].size_bytes == bytes);
        CHECK(pool->ranges[range].home == pool->blocks[head].home);
    } else {
        tally(sum->segment, is_small, 1);
        sum->oversize_segments += bytes >= pool->conf.max_split_bytes;
    }
    *out_end = pool->blocks[head].addr + bytes;
    return true;
}

static bool check_home(const vs_pool *pool, uint32_t index, recount *seen, vs_err *err)
{
    const pool_home *home = pool->homes[index];
    const freeset *set = &home->free;
    uint32_t count = 0;
    uint32_t last = 0;
    for (uint32_t slot = vsp_freeset_first(set, pool->blocks); slot != 0;
         slot = vsp_freeset_next(set, pool->blocks, slot)) {
        const pool_block *block = &pool->blocks[slot];
        CHECK(block->state == SLOT_FREE && block->home == index);
        CHECK(block->idle.mark <= pool->search_count[home->is_small]);
        if (last != 0) {
            const pool_block *before = &pool->blocks[last];
            CHECK(before->size_bytes < block->size_bytes ||
                  (before->size_bytes == block->size_bytes && before->addr < block->addr));
            CHECK(vsp_freeset_prev(set, pool->blocks, slot) == last);
        }
        last = slot;
        count++;
        CHECK(count <= set->count);
    }
    CHECK(count == set->count);
    seen->free_blocks += count;
    uint64_t last_addr = 0;
    for (uint32_t slot = home->unmapped_head; slot != 0; slot = pool->blocks[slot].idle.right) {
        CHECK(pool->blocks[slot].state == SLOT_UNMAPPED && pool->blocks[slot].home == index);
        CHECK(pool->blocks[slot].addr > last_addr);
        last_addr = pool->blocks[slot].addr;
        seen->unmapped_blocks++;
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
    const vs_pool_stats *s = &pool->stats;
    if (!pool->has_changed_conf) {
        CHECK(s->oversize_allocations.current == sum->oversize_allocations);
        CHECK(s->oversize_segments.current == sum->oversize_segments);
    }
    CHECK(s->tensor_bytes.current == sum->tensor_bytes);
    CHECK(pool->driver_total == sum->reserved_bytes[VS_STAT_ALL]);
    return check_stat(s->allocation, sum->allocation, "allocation", err) &&
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

/* Events in the FIFOs, and slots that are not in use. */
static bool check_lists(const vs_pool *pool, const recount *sum, vs_err *err)
{
    uint64_t events = 0;
    for (uint32_t i = 0; i < pool->stream_count; i++) {
        const pool_stream *stream = &pool->streams[i];
        CHECK(stream->unfinished <= stream->count);
        uint32_t note = stream->head;
        for (uint32_t k = 0; k < stream->count; k++) {
            CHECK(pool->notes[note].stream == i);
            CHECK(pool->blocks[pool->notes[note].block].state == SLOT_PENDING);
            note = pool->notes[note].next;
        }
        events += stream->count;
    }
    CHECK(events == pool->event_total && events == sum->events);

    uint32_t unused = 0;
    for (uint32_t slot = pool->slot_unused; slot != 0; slot = pool->blocks[slot].idle.right) {
        CHECK(pool->blocks[slot].state == SLOT_UNUSED);
        unused++;
        CHECK(unused < pool->slot_fresh);
    }
    CHECK(unused + sum->slots + 1u == pool->slot_fresh);
    CHECK(pool->slots_left == unused + (pool->slot_capacity - pool->slot_fresh));
    return true;
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
        CHECK(i == 0 || segments.items[i].addr >= end);
        if (!check_segment(pool, segments.items[i].slot, &sum, &end, err)) {
            return false;
        }
    }
    recount seen = {0};
    for (uint32_t i = 0; i < pool->home_count; i++) {
        if (!check_home(pool, i, &seen, err)) {
            return false;
        }
    }
    CHECK(seen.free_blocks == sum.free_blocks);
    CHECK(seen.unmapped_blocks == sum.unmapped_blocks);
    return check_stats(pool, &sum, err) && check_lists(pool, &sum, err);
}
