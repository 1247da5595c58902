/* initial.c - what existed before the recording began [17.2, 17.3].
 *
 * Exact, from what first happens to each address: a block whose free is recorded and whose allocation is not was there; so was one
 * that is in the final list and was not allocated in the recording; segments and mapped pages alike. Not told by anybody:
 * the size of a block that was freed during the recording, only its request. It is worked out where the segments are
 * filled (replay_seed in seed.c), and put right by recorded addresses.
 *
 * Pages are looked at in steps of 2 MiB, of which the pages of both pools are multiples [9.2]. */
#include "traces/replay/internal.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES     (2 * VS_MIB)
#define MAX_RANGES     256u /* two a stream are usual; each looks at all events */
#define MAX_PAGE_STEPS (UINT64_C(1) << 26) /* 128 TiB mapped and unmapped in one recording */

typedef struct {
    const vs_recording *rec;
    const vs_rec_device *dev;
    vs_arena *arena;
    const char **reason;
    vs_err *err;
    blockmap live;     /* addr -> ALLOCATED_HERE, REQUESTED_HERE or FROM_BEFORE + index */
    blockmap segments; /* addr -> 1 + number among those that are there */
    blockmap pages;    /* page -> PAGE_BEFORE or PAGE_NEW */
    uint64_t page_steps;
    uint32_t block_capacity;
    uint32_t segment_capacity;
    uint32_t run_capacity;
    initial_state state;
} finder;

enum { ALLOCATED_HERE = 1, FROM_BEFORE = 2 };

enum { PAGE_NEW = 1, PAGE_BEFORE = 2 };

static bool out_of_memory(const finder *f)
{
    return vs_fail_memory(f->err, f->arena, "the state before the recording");
}

static bool not_comparable(const finder *f, const char *reason)
{
    *f->reason = reason;
    return false;
}

/* One more element of an array that doubles. */
static bool grow(const finder *f, void *array, uint32_t count, uint32_t *capacity,
                 size_t element_bytes)
{
    if (count < *capacity) {
        return true;
    }
    const uint32_t larger = *capacity < 64 ? 64 : *capacity * 2;
    void *moved = vs_arena_array(f->arena, larger, element_bytes, 8);
    if (moved == NULL || larger <= *capacity) {
        return out_of_memory(f);
    }
    void **slot = array;
    if (count != 0) {
        memcpy(moved, *slot, element_bytes * count);
    }
    *slot = moved;
    *capacity = larger;
    return true;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static bool add_block(finder *f, const initial_block *block)
{
    initial_state *s = &f->state;
    if (!grow(f, &s->blocks, s->block_count, &f->block_capacity, sizeof *block)) {
        return false;
    }
    s->blocks[s->block_count++] = *block;
    return true;
}

static bool see_alloc(finder *f, const vs_rec_event *event)
{
    return blockmap_put(&f->live, event->addr, ALLOCATED_HERE, 0) || out_of_memory(f);
}

static bool see_free_requested(finder *f, const vs_rec_event *event)
{
    if (blockmap_find(&f->live, event->addr) != NULL) {
        return true;
    }
    const initial_block block = {.addr = event->addr,
                                 .asked = event->size,
                                 .stack = event->stack,
                                 .freed_at = UINT32_MAX};
    return add_block(f, &block) &&
           (blockmap_put(&f->live, event->addr, FROM_BEFORE, f->state.block_count - 1u) ||
            out_of_memory(f));
}

static bool see_free_completed(finder *f, const vs_rec_event *event)
{
    const uint32_t number = (uint32_t)(event - f->dev->events);
    blockmap_entry *entry = blockmap_find(&f->live, event->addr);
    if (entry != NULL) {
        if (entry->block == FROM_BEFORE) {
            f->state.blocks[entry->birth].freed_at = number;
        }
        blockmap_remove(&f->live, entry);
        return true;
    }
    const initial_block block = {.addr = event->addr,
                                 .asked = event->size,
                                 .stack = event->stack,
                                 .freed_at = number,
                                 .is_pending = true};
    return add_block(f, &block);
}

static bool see_final_block(finder *f, const vs_rec_block *block)
{
    if (block->state == VS_REC_BLOCK_INACTIVE) {
        return true;
    }
    const blockmap_entry *entry = blockmap_find(&f->live, block->addr);
    if (entry != NULL) {
        if (entry->block == FROM_BEFORE) {
            f->state.blocks[entry->birth].size = block->size; /* its free is still pending */
        }
        return true;
    }
    const initial_block before = {.addr = block->addr,
                                  .asked =
                                      block->requested != 0 ? block->requested : block->size,
                                  .size = block->size,
                                  .stack = block->stack,
                                  .freed_at = UINT32_MAX,
                                  .is_pending = block->state == VS_REC_BLOCK_PENDING};
    return add_block(f, &before);
}

/* ---- segments ------------------------------------------------------------------------------------ */

static bool add_segment(finder *f, const initial_segment *segment)
{
    initial_state *s = &f->state;
    if (!grow(f, &s->segments, s->segment_count, &f->segment_capacity, sizeof *segment) ||
        s->segments == NULL) {
        return false;
    }
    s->segments[s->segment_count++] = *segment;
    return true;
}

static bool see_segment_free(finder *f, const vs_rec_event *event)
{
    blockmap_entry *entry = blockmap_find(&f->segments, event->addr);
    if (entry != NULL) {
        blockmap_remove(&f->segments, entry);
        return true;
    }
    const initial_segment segment = {.addr = event->addr,
                                     .size = event->size,
                                     .stream = event->stream,
                                     .pool = event->pool,
                                     .is_small = event->size == 2 * VS_MIB};
    return add_segment(f, &segment);
}

static bool see_final_segment(finder *f, const vs_rec_segment *segment)
{
    if (segment->is_expandable || blockmap_find(&f->segments, segment->addr) != NULL) {
        return true;
    }
    const initial_segment before = {.addr = segment->addr,
                                    .size = segment->total,
                                    .stream = segment->stream,
                                    .pool = segment->pool,
                                    .is_small = segment->is_small};
    return add_segment(f, &before);
}

/* ---- pages ------------------------------------------------------------------------------------------ */

static bool add_run(finder *f, const initial_run *run)
{
    initial_state *s = &f->state;
    if (!grow(f, &s->runs, s->run_count, &f->run_capacity, sizeof *run)) {
        return false;
    }
    s->runs[s->run_count++] = *run;
    return true;
}

/* Every page of the run that nothing happened to so far: it was there before, or not, as `state` says. */
static bool see_pages(finder *f, const initial_run *run, uint32_t state)
{
    if (run->addr % PAGE_BYTES != 0 || run->size % PAGE_BYTES != 0) {
        return not_comparable(f, "pages were mapped at an address, or in a size, that is no "
                                 "multiple of 2 MiB");
    }
    for (uint64_t done = 0; done < run->size; done += PAGE_BYTES) {
        if (++f->page_steps > MAX_PAGE_STEPS) {
            return not_comparable(f, "more than 128 TiB of pages were mapped");
        }
        const uint64_t addr = run->addr + done;
        if (blockmap_find(&f->pages, addr) != NULL) {
            continue;
        }
        if (!blockmap_put(&f->pages, addr, state, 0)) {
            return out_of_memory(f);
        }
        initial_run page = *run;
        page.addr = addr;
        page.size = PAGE_BYTES;
        if (state == PAGE_BEFORE && !add_run(f, &page)) {
            return false;
        }
    }
    return true;
}

static bool see_map_event(finder *f, const vs_rec_event *event, uint32_t state)
{
    const initial_run run = {.addr = event->addr,
                             .size = event->size,
                             .event = (uint32_t)(event - f->dev->events),
                             .stream = event->stream,
                             .pool = event->pool};
    return see_pages(f, &run, state);
}

static bool see_final_pages(finder *f, const vs_rec_segment *segment)
{
    if (!segment->is_expandable) {
        return true;
    }
    const initial_run run = {.addr = segment->addr,
                             .size = segment->total,
                             .event = UINT32_MAX,
                             .stream = segment->stream,
                             .pool = segment->pool,
                             .is_small = segment->is_small};
    return see_pages(f, &run, PAGE_BEFORE);
}

/* ---- everything once ----------------------------------------------------------------------------------- */

static bool see_event(finder *f, const vs_rec_event *event)
{
    if (event->size > REPLAY_MAX_SIZE && event->action != VS_REC_OOM) {
        return not_comparable(f, "an event says more than 2 TiB");
    }
    const bool is_segment =
        event->action >= VS_REC_SEGMENT_ALLOC && event->action <= VS_REC_SEGMENT_UNMAP;
    if (is_segment && event->size == 0) {
        return not_comparable(f, "a segment of 0 bytes");
    }
    switch ((vs_rec_action)event->action) {
    case VS_REC_ALLOC: return see_alloc(f, event);
    case VS_REC_FREE_REQUESTED: return see_free_requested(f, event);
    case VS_REC_FREE_COMPLETED: return see_free_completed(f, event);
    case VS_REC_SEGMENT_ALLOC:
        return blockmap_put(&f->segments, event->addr, 1, 0) || out_of_memory(f);
    case VS_REC_SEGMENT_FREE: return see_segment_free(f, event);
    case VS_REC_SEGMENT_MAP: return see_map_event(f, event, PAGE_NEW);
    case VS_REC_SEGMENT_UNMAP: return see_map_event(f, event, PAGE_BEFORE);
    case VS_REC_SNAPSHOT:
    case VS_REC_OOM:
    case VS_REC_LEVEL:
    case VS_REC_MARK:
    case VS_REC_ACTION_COUNT: return true;
    }
    return true;
}

static bool see_final(finder *f, const vs_rec_segment *segment)
{
    bool is_well = (segment->total <= REPLAY_MAX_SIZE && segment->total != 0) ||
                   not_comparable(f, "a segment of 0 bytes, or of more than 2 TiB, is listed");
    is_well = is_well && see_final_segment(f, segment) && see_final_pages(f, segment);
    for (uint32_t i = 0; is_well && i < segment->block_count; i++) {
        is_well = see_final_block(f, &f->rec->blocks[segment->block_first + i]);
    }
    return is_well;
}

static bool see_everything(finder *f)
{
    const vs_rec_device *dev = f->dev;
    for (uint32_t i = 0; i < dev->event_count; i++) {
        if (!see_event(f, &dev->events[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < dev->segment_count; i++) {
        if (!see_final(f, &dev->segments[i])) {
            return false;
        }
    }
    return true;
}

/* ---- ranges of mapped pages ------------------------------------------------------------------------------- */

static int compare_runs(const void *left, const void *right)
{
    const initial_run *a = left;
    const initial_run *b = right;
    return (a->addr > b->addr) - (a->addr < b->addr);
}

static int compare_blocks(const void *left, const void *right)
{
    const initial_block *a = left;
    const initial_block *b = right;
    return (a->addr > b->addr) - (a->addr < b->addr);
}

static int compare_segments(const void *left, const void *right)
{
    const initial_segment *a = left;
    const initial_segment *b = right;
    return (a->addr > b->addr) - (a->addr < b->addr);
}

static bool same_home(const initial_run *a, const initial_run *b)
{
    return a->stream == b->stream && a->pool == b->pool && a->is_small == b->is_small;
}

/* Pages that were unmapped together are in one pool; no final segment tells which. It is the small one when the
 * recording allocated or freed a block of the small pool in one of them, or when they are no whole large pages. */
static bool guess_small_runs(const finder *f)
{
    const initial_state *s = &f->state;
    bool *is_small = VS_ARRAY(f->arena, bool, (size_t)f->dev->event_count + 1u);
    if (is_small == NULL) {
        return out_of_memory(f);
    }
    for (uint32_t i = 0; i < f->dev->event_count; i++) {
        const vs_rec_event *event = &f->dev->events[i];
        is_small[i] = is_small[i] || (event->action == VS_REC_SEGMENT_UNMAP &&
                                      event->size % s->large_page_bytes != 0);
        if (event->action > VS_REC_FREE_COMPLETED || event->size > VS_MIB) {
            continue;
        }
        const initial_run key = {.addr = event->addr / PAGE_BYTES * PAGE_BYTES};
        const initial_run *run = bsearch(&key, s->runs, s->run_count, sizeof key, compare_runs);
        if (run != NULL && run->event != UINT32_MAX) {
            is_small[run->event] = true;
        }
    }
    for (uint32_t i = 0; i < s->run_count; i++) {
        if (s->runs[i].event != UINT32_MAX && is_small[s->runs[i].event]) {
            s->runs[i].is_small = true;
        }
    }
    return true;
}

/* The addresses around a range that nothing else of the beginning has. */
static void room_around(const finder *f, const initial_segment *range, uint64_t *low,
                        uint64_t *high)
{
    const initial_state *s = &f->state;
    *low = 0;
    *high = UINT64_MAX;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const initial_segment *other = &s->segments[i];
        const uint64_t end = other->addr + other->size;
        if (other->addr < range->addr && end > *low) {
            *low = end;
        }
        if (other->addr > range->addr && other->addr < *high) {
            *high = other->addr;
        }
    }
}

/* Where the range of that home begins and ends as far as the recording shows: its first page is the first that was ever
 * mapped. */
static void stretch_range(const finder *f, initial_segment *range)
{
    uint64_t low = 0;
    uint64_t high = 0;
    room_around(f, range, &low, &high);
    uint64_t end = range->addr + range->size;
    for (uint32_t i = 0; i < f->dev->event_count; i++) {
        const vs_rec_event *event = &f->dev->events[i];
        /* The small pool maps one page of 2 MiB at a time. */
        if (event->action != VS_REC_SEGMENT_MAP || event->stream != range->stream ||
            event->pool != range->pool || (event->size == PAGE_BYTES) != range->is_small ||
            event->addr < low || event->addr >= high || high - event->addr < event->size) {
            continue;
        }
        range->addr = event->addr < range->addr ? event->addr : range->addr;
        end = event->addr + event->size > end ? event->addr + event->size : end;
    }
    range->size = end - range->addr;
}

static bool stretch_ranges(const finder *f)
{
    uint32_t ranges = 0;
    for (uint32_t i = 0; i < f->state.segment_count; i++) {
        if (f->state.segments[i].is_expandable) {
            if (++ranges > MAX_RANGES) {
                return not_comparable(f, "more than 256 expandable segments were there before");
            }
            stretch_range(f, &f->state.segments[i]);
        }
    }
    return true;
}

/* Pages become runs, runs of one home become a range. */
static bool make_ranges(finder *f)
{
    initial_state *s = &f->state;
    if (s->run_count == 0) {
        return true;
    }
    qsort(s->runs, s->run_count, sizeof *s->runs, compare_runs);
    if (!guess_small_runs(f)) {
        return false;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->run_count; i++) {
        initial_run *last = count == 0 ? NULL : &s->runs[count - 1u];
        if (last != NULL && last->addr + last->size == s->runs[i].addr &&
            same_home(last, &s->runs[i])) {
            last->size += s->runs[i].size;
        } else {
            s->runs[count++] = s->runs[i];
        }
    }
    s->run_count = count;
    for (uint32_t i = 0; i < count; i++) {
        initial_segment *range =
            s->segment_count == 0 ? NULL : &s->segments[s->segment_count - 1u];
        const initial_run *run = &s->runs[i];
        if (range != NULL && range->is_expandable && range->stream == run->stream &&
            range->pool == run->pool && range->is_small == run->is_small) {
            range->size = run->addr + run->size - range->addr;
            range->run_count++;
            continue;
        }
        const initial_segment fresh = {.addr = run->addr,
                                       .size = run->size,
                                       .run_first = i,
                                       .run_count = 1,
                                       .stream = run->stream,
                                       .pool = run->pool,
                                       .is_small = run->is_small,
                                       .is_expandable = true};
        if (!add_segment(f, &fresh)) {
            return false;
        }
    }
    return stretch_ranges(f);
}

/* ---- blocks into segments ------------------------------------------------------------------------------------ */

/* A free of an address in memory that came later belongs to no block of the beginning: the replay meets it where it
 * stands. */
static bool assign_blocks(finder *f)
{
    initial_state *s = &f->state;
    uint32_t at = 0;
    uint32_t kept = 0;
    uint64_t end = 0; /* of the segment before */
    for (uint32_t i = 0; i < s->segment_count; i++) {
        initial_segment *segment = &s->segments[i];
        if (segment->addr < end || segment->addr > UINT64_MAX - segment->size) {
            return not_comparable(f, "segments from before the recording overlap");
        }
        end = segment->addr + segment->size;
        while (at < s->block_count && s->blocks[at].addr < segment->addr) {
            at++;
        }
        segment->block_first = kept;
        while (at < s->block_count && s->blocks[at].addr < end) {
            s->blocks[kept++] = s->blocks[at++];
        }
        segment->block_count = kept - segment->block_first;
    }
    s->block_count = kept;
    return true;
}

bool initial_find(initial_state *out, const vs_recording *rec, const vs_rec_device *dev,
                  vs_arena *arena, const char **reason, vs_err *err)
{
    finder f = {.rec = rec, .dev = dev, .arena = arena, .reason = reason, .err = err};
    f.state.large_page_bytes = out->large_page_bytes;
    /* Never NULL, so that an empty array can be pointed into. */
    f.state.blocks = VS_NEW(arena, initial_block);
    f.state.runs = VS_NEW(arena, initial_run);
    if (f.state.blocks == NULL || f.state.runs == NULL ||
        !blockmap_init(&f.live, arena, 1024) || !blockmap_init(&f.segments, arena, 256) ||
        !blockmap_init(&f.pages, arena, 256)) {
        return out_of_memory(&f);
    }
    if (!see_everything(&f) || !make_ranges(&f)) {
        return false;
    }
    initial_state *s = &f.state;
    if (s->segment_count > 1) {
        qsort(s->segments, s->segment_count, sizeof *s->segments, compare_segments);
    }
    if (s->block_count > 1) {
        qsort(s->blocks, s->block_count, sizeof *s->blocks, compare_blocks);
    }
    if (!assign_blocks(&f)) {
        return false;
    }
    *out = *s;
    return true;
}
