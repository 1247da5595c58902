/* step.c - one device, event by event, held against the recording [17.4].
 *
 * What stands between two requests in a recording is what the second one caused: completed frees, segments that go back,
 * a segment that comes. So a request is found first (find_terminal), then our allocator works it off while the driver
 * (driver.c) consumes the events before it, and whatever is left of them our allocator did not do: a difference. After one, the
 * recorded decision is forced (re-anchoring), so that the rest can be compared too.
 *
 * Frees that waited for other streams complete before the search of a later request, or, when that one misses, while the cache is
 * emptied. The recording shows both alike. They were not complete before a search that missed if completing them would
 * have made it hit. */
#include "traces/replay/internal.h"

#define MAX_ANCHORS 4096u /* each walks all blocks */
#define MAX_DOUBTS  4096u /* the same */

/* ---- differences ---------------------------------------------------------------------------- */

void replay_mismatch(replay_device *d, mismatch_kind kind, uint32_t event, const char *what,
                     uint64_t recorded, uint64_t ours)
{
    static const vs_replay_unit units[MISS_KINDS] = {
        [MISS_ADDRESS] = VS_REPLAY_ADDRESS, [MISS_ALLOCATED] = VS_REPLAY_BYTES,
        [MISS_BLOCKS] = VS_REPLAY_NUMBER,   [MISS_RESERVED] = VS_REPLAY_BYTES,
        [MISS_SEGMENT] = VS_REPLAY_ADDRESS, [MISS_SEGMENT_SIZE] = VS_REPLAY_BYTES};
    uint64_t *const counters[MISS_KINDS] = {
        [MISS_ADDRESS] = &d->result.address_mismatches,
        [MISS_ALLOCATED] = &d->result.allocated_mismatches,
        [MISS_BLOCKS] = &d->result.allocated_mismatches,
        [MISS_RESERVED] = &d->result.reserved_mismatches,
        [MISS_SEGMENT] = &d->result.segment_mismatches,
        [MISS_SEGMENT_SIZE] = &d->result.segment_mismatches,
    };
    (*counters[kind])++;
    if (kind == MISS_SEGMENT) {
        d->has_complained = true;
    }
    if (!d->result.has_mismatch) {
        d->result.has_mismatch = true;
        d->result.first_mismatch = (vs_replay_difference){.event = event,
                                                          .what = what,
                                                          .unit = units[kind],
                                                          .recorded = recorded,
                                                          .ours = ours};
    }
}

/* ---- requests ---------------------------------------------------------------------------------- */

uint64_t replay_stream(const replay_device *d, uint16_t stream, uint16_t pool)
{
    return d->stream_of[stream] | ((uint64_t)pool << VS_POOL_PRIVATE_SHIFT);
}

/* The private pool of an event. Events tell it since 2.12 only [15.5]; segments always did, so an address in one that was
 * there at the end tells it too. */
static uint16_t pool_of(const replay_device *d, const vs_rec_event *event)
{
    if (event->pool != 0 || d->rec->pool_count <= 1) {
        return event->pool;
    }
    const vs_rec_segment *segments = d->dev->segments;
    uint32_t low = 0; /* segments that begin at the address or before */
    for (uint32_t span = d->dev->segment_count; span > 0;) {
        const uint32_t half = span / 2;
        if (segments[low + half].addr <= event->addr) {
            low += half + 1u;
            span -= half + 1u;
        } else {
            span = half;
        }
    }
    const bool is_inside =
        low > 0 && event->addr - segments[low - 1u].addr < segments[low - 1u].total;
    return is_inside && event->action != VS_REC_OOM ? segments[low - 1u].pool : 0;
}

vs_pool_request replay_request(const replay_device *d, const vs_rec_event *event)
{
    uint32_t name = VS_NO_NAME;
    if (d->labels != NULL && event->label != 0) {
        name = d->labels->of_label[event->label];
    } else if (d->labels != NULL && event->stack != VS_REC_NO_STACK) {
        name = d->labels->of_stack[event->stack];
    }
    return (vs_pool_request){.size_bytes = event->size,
                             .stream = replay_stream(d, event->stream, pool_of(d, event)),
                             .category = (vs_category)event->category,
                             .name = name};
}

static bool is_request(const replay_device *d, uint32_t at)
{
    return replay_is(d, at, VS_REC_ALLOC) || replay_is(d, at, VS_REC_OOM);
}

/* The request that caused the events from d->at on; REPLAY_NO_EVENT: nobody did. */
static uint32_t find_terminal(const replay_device *d)
{
    uint32_t at = d->at;
    while (replay_is_driver_event(d, at) || replay_is(d, at, VS_REC_FREE_COMPLETED)) {
        at++;
    }
    return is_request(d, at) ? at : REPLAY_NO_EVENT;
}

static bool has_driver_event(const replay_device *d, uint32_t from, uint32_t to)
{
    while (from < to && !replay_is_driver_event(d, from)) {
        from++;
    }
    return from < to;
}

/* ---- frees ---------------------------------------------------------------------------------------- */

static vs_block block_of(const blockmap_entry *entry)
{
    return (vs_block){entry->block};
}

/* A free names the bytes that were asked for. */
static void compare_size(replay_device *d, uint32_t event, const blockmap_entry *entry)
{
    const uint32_t birth = entry->birth & ~BIRTH_PENDING;
    const vs_bytes size = replay_event(d, event)->size;
    if (birth < d->event_count && replay_event(d, birth)->size != size) {
        replay_mismatch(d, MISS_ALLOCATED, event, "bytes of a free", size,
                        replay_event(d, birth)->size);
    }
}

void replay_complete(replay_device *d, uint32_t event)
{
    const uint64_t addr = replay_event(d, event)->addr;
    blockmap_entry *entry = blockmap_find(&d->map, addr);
    if (entry == NULL) {
        replay_mismatch(d, MISS_ADDRESS, event, "a free of an address where nothing is", addr,
                        0);
        return;
    }
    compare_size(d, event, entry);
    if ((entry->birth & BIRTH_PENDING) != 0) {
        vs_pool_free_end(d->pool, d->now, block_of(entry));
    } else {
        if (d->tells_request) {
            replay_mismatch(d, MISS_ALLOCATED, event, "a free that nobody asked for",
                            replay_event(d, event)->size, 0);
        }
        vs_pool_free(d->pool, d->now, block_of(entry)); /* its request was not recorded */
    }
    blockmap_remove(&d->map, entry);
}

/* The request missed and may have emptied the cache. With max_split_size a miss is no sign of that: what fits may be too
 * large to be given; so something must have gone back. */
static bool has_retried(const replay_device *d, uint32_t from, uint32_t to)
{
    const bool is_strict = d->max_split_bytes != VS_POOL_UNLIMITED;
    while (from < to && !(is_strict ? replay_loss(replay_event(d, from)) != 0
                                    : replay_is_driver_event(d, from))) {
        from++;
    }
    return from < to || replay_is(d, to, VS_REC_OOM);
}

/* The free that completes with the event at d->at, right behind its request, may have waited for its events all the same: when
 * the next request missed although it would fit there. */
static bool completes_in_retry(const replay_device *d, vs_block block)
{
    const uint32_t terminal = find_terminal(d);
    if (terminal == REPLAY_NO_EVENT || !has_retried(d, d->at, terminal)) {
        return false;
    }
    const vs_pool_request request = replay_request(d, replay_event(d, terminal));
    return vs_pool_would_fit(d->pool, &request, block);
}

static void step_free(replay_device *d)
{
    const vs_rec_event *event = replay_event(d, d->at);
    blockmap_entry *entry = blockmap_find(&d->map, event->addr);
    if (entry == NULL || (entry->birth & BIRTH_PENDING) != 0) {
        replay_mismatch(d, MISS_ADDRESS, d->at, "a free of an address where nothing is",
                        event->addr, 0);
        d->at++;
        return;
    }
    compare_size(d, d->at, entry);
    d->at++;
    if (replay_is(d, d->at, VS_REC_FREE_COMPLETED) &&
        replay_event(d, d->at)->addr == event->addr &&
        !completes_in_retry(d, block_of(entry))) {
        compare_size(d, d->at, entry);
        vs_pool_free(d->pool, d->now, block_of(entry));
        blockmap_remove(&d->map, entry);
        d->at++;
        return;
    }
    vs_pool_free_begin(d->pool, d->now, block_of(entry));
    entry->birth |= BIRTH_PENDING;
}

/* ---- what our allocator did not do ------------------------------------------------------------------- */

/* The pool of a segment is not recorded, its size tells: 2 MiB are small [1.4]. */
static bool is_small_segment(const vs_rec_event *event)
{
    return event->size == 2 * VS_MIB;
}

static void adopt_segment(replay_device *d, const vs_rec_event *event)
{
    const vs_pool_piece piece = {.size_bytes = event->size, .state = VS_BLOCK_FREE};
    const vs_pool_seed seed = {.addr = event->addr,
                               .stream = replay_stream(d, event->stream, pool_of(d, event)),
                               .is_small = is_small_segment(event),
                               .pieces = &piece,
                               .piece_count = 1};
    vs_block none = {0};
    d->is_lost = !vs_pool_add_seed(d->pool, d->now, &seed, &none);
}

static const char *not_done(vs_rec_action action)
{
    return action == VS_REC_SEGMENT_ALLOC  ? "a new segment"
           : action == VS_REC_SEGMENT_FREE ? "a segment given back"
           : action == VS_REC_SEGMENT_MAP  ? "pages mapped"
                                           : "pages unmapped";
}

static void force_driver_event(replay_device *d, uint32_t at)
{
    const vs_rec_event *event = replay_event(d, at);
    if (!d->has_complained) {
        replay_mismatch(d, MISS_SEGMENT, at, not_done((vs_rec_action)event->action),
                        event->addr, 0);
    }
    if (event->action == VS_REC_SEGMENT_ALLOC) {
        adopt_segment(d, event);
    } else if (event->action != VS_REC_SEGMENT_FREE ||
               !vs_pool_drop_segment(d->pool, d->now, event->addr)) {
        d->is_lost = true; /* pages, or a segment that is in use here */
    }
}

static void force_until(replay_device *d, uint32_t end)
{
    d->page_done = 0;
    while (d->at < end && !d->is_lost) {
        if (replay_is(d, d->at, VS_REC_FREE_COMPLETED)) {
            replay_complete(d, d->at);
            d->at++;
        } else {
            const uint32_t before = d->at;
            force_driver_event(d, d->at);
            d->at = before + 1u;
        }
    }
}

/* ---- placing --------------------------------------------------------------------------------------------- */

/* 0: it is gone. */
static vs_bytes size_now(const replay_device *d, const initial_block *block)
{
    const blockmap_entry *entry = blockmap_find(&d->map, block->addr);
    const bool is_there = entry != NULL && (entry->birth & ~BIRTH_PENDING) == BIRTH_INITIAL;
    return is_there ? vs_pool_block_size(d->pool, block_of(entry)) : 0;
}

/* The block from before the recording that ends where ours was put, and may end later than it seems: then our block has no
 * room there [17.3]. Where anything ever came to lie behind it, its size is known (learn_sizes in seed.c). */
static const initial_block *explains(const replay_device *d, uint64_t ours)
{
    const initial_state *initial = d->initial;
    uint32_t low = 0;
    for (uint32_t span = initial->block_count; span > 0;) {
        const uint32_t half = span / 2;
        if (initial->blocks[low + half].addr < ours) {
            low += half + 1u;
            span -= half + 1u;
        } else {
            span = half;
        }
    }
    const initial_block *block = low == 0 ? NULL : &initial->blocks[low - 1u];
    return block != NULL && ours - block->addr < block->most &&
                   size_now(d, block) == ours - block->addr
               ? block
               : NULL;
}

static bool is_corrected(const replay_device *d, uint64_t addr)
{
    for (uint32_t i = 0; i < d->correction_count; i++) {
        if (d->corrections[i].addr == addr) {
            return true;
        }
    }
    return false;
}

/* All that may be its own is: more than what lies there was never asked for. */
static bool try_correction(replay_device *d, uint64_t ours)
{
    if (d->correction_count == MAX_CORRECTIONS) {
        return false;
    }
    const initial_block *block = explains(d, ours);
    if (block == NULL || is_corrected(d, block->addr)) {
        return false;
    }
    d->corrections[d->correction_count++] =
        (size_correction){.addr = block->addr, .size = block->most};
    d->wants_restart = true;
    return true;
}

static void keep_block(replay_device *d, uint32_t event, uint64_t addr, vs_block block)
{
    if (blockmap_find(&d->map, addr) != NULL) {
        replay_mismatch(d, MISS_ADDRESS, event, "an allocation where something is already",
                        addr, 0);
    }
    if (!blockmap_put(&d->map, addr, block.id, event)) {
        d->is_lost = true;
        (void)vs_fail(&d->err, VS_ERR_MEMORY, "the table of blocks does not fit into memory");
    }
}

/* Our allocator has no block there. */
static void anchor(replay_device *d, const vs_pool_request *request, uint32_t event,
                   vs_block ours)
{
    const uint64_t addr = replay_event(d, event)->addr;
    vs_block placed = {0};
    if (d->result.corrections < MAX_ANCHORS) {
        if (ours.id != 0) {
            vs_pool_free(d->pool, d->now, ours);
            ours.id = 0;
        }
        if (vs_pool_place(d->pool, d->now, addr, request, &placed)) {
            d->result.corrections++;
            keep_block(d, event, addr, placed);
            return;
        }
    }
    if (ours.id != 0) {
        keep_block(d, event, addr, ours); /* from here on it is elsewhere */
        return;
    }
    d->is_lost = true;
}

static void exhausted(replay_device *d)
{
    d->is_lost = true;
    (void)vs_fail_memory(&d->err, d->arena, "the replayed allocator");
}

static void finish_alloc(replay_device *d, const vs_pool_request *request, uint32_t event,
                         vs_alloc_result result, vs_block block)
{
    const uint64_t addr = replay_event(d, event)->addr;
    const uint64_t ours = block.id != 0 ? vs_pool_block_addr(d->pool, block) : 0;
    d->result.allocations++;
    if (result == VS_ALLOC_OK && ours == addr) {
        keep_block(d, event, addr, block);
        return;
    }
    if (try_correction(d, ours)) {
        return;
    }
    replay_mismatch(d, MISS_ADDRESS, event,
                    result == VS_ALLOC_OK ? "address of an allocation"
                                          : "an allocation that has no room here",
                    addr, ours);
    anchor(d, request, event, block);
}

static void finish_oom(replay_device *d, uint32_t event, vs_alloc_result result, vs_block block)
{
    const vs_rec_event *oom = replay_event(d, event);
    if (result == VS_ALLOC_OK) {
        d->has_complained = true;
        replay_mismatch(d, MISS_SEGMENT_SIZE, event, "a request that failed and is served here",
                        oom->size, 0);
        vs_pool_free(d->pool, d->now, block);
        return;
    }
    d->result.ooms++;
    if (d->result.oom_event == REPLAY_NO_EVENT) {
        d->result.oom_event = event;
        d->result.oom = vs_pool_oom_info(d->pool);
    }
}

/* ---- one request ------------------------------------------------------------------------------------------ */

/* Completed frees that the search of the request saw. */
static void complete_before_search(replay_device *d, const vs_pool_request *request,
                                   uint32_t terminal)
{
    const bool missed = has_retried(d, d->at, terminal);
    while (d->at < terminal && replay_is(d, d->at, VS_REC_FREE_COMPLETED)) {
        const blockmap_entry *entry = blockmap_find(&d->map, replay_event(d, d->at)->addr);
        if (missed && entry != NULL && (entry->birth & BIRTH_PENDING) != 0 &&
            vs_pool_would_fit(d->pool, request, block_of(entry))) {
            return;
        }
        replay_complete(d, d->at);
        d->at++;
    }
}

/* What the driver did between d->at and the request. */
typedef struct {
    bool comes; /* a segment or pages */
    bool goes_back;
} driver_run;

static driver_run look_at_run(const replay_device *d, uint32_t terminal)
{
    driver_run run = {false, false};
    for (uint32_t at = d->at; at < terminal; at++) {
        run.comes = run.comes || replay_is(d, at, VS_REC_SEGMENT_ALLOC) ||
                    replay_is(d, at, VS_REC_SEGMENT_MAP);
        run.goes_back = run.goes_back || replay_is(d, at, VS_REC_SEGMENT_FREE) ||
                        replay_is(d, at, VS_REC_SEGMENT_UNMAP);
    }
    return run;
}

static void empty_cache(replay_device *d)
{
    d->has_complained = false;
    vs_pool_empty_cache(d->pool, d->now);
}

/* The first thing that goes back is not the oversize block that a miss would have given up first [6.2]. */
static bool is_other_victim(const replay_device *d, const vs_pool_request *request)
{
    uint64_t addr = 0;
    uint32_t at = d->at;
    while (replay_is(d, at, VS_REC_FREE_COMPLETED)) {
        at++;
    }
    return replay_is(d, at, VS_REC_SEGMENT_FREE) &&
           vs_pool_oversize_victim(d->pool, request, &addr) &&
           addr != replay_event(d, at)->addr;
}

/* Memory goes back because the program emptied the cache, or because the request missed and the driver had nothing. The
 * latter ends with new memory or a failure; and it is not so when our allocator can serve the request as it is. */
static void before_request(replay_device *d, const vs_pool_request *request, uint32_t terminal)
{
    const driver_run run = look_at_run(d, terminal);
    const bool was_served = replay_is(d, terminal, VS_REC_ALLOC) && !run.comes;
    if (run.goes_back && was_served) {
        empty_cache(d);
    }
    complete_before_search(d, request, terminal);
    uint64_t place = 0;
    if (run.goes_back && !was_served &&
        (vs_pool_would_hit(d->pool, request, &place) || is_other_victim(d, request))) {
        empty_cache(d);
    }
}

/* The recording may have begun while its first request was being worked off: the memory that a miss got is then part of
 * the beginning, and a search would not have found it. True: the block stands where the recording has it. */
static bool is_first_placed(replay_device *d, const vs_pool_request *request, uint32_t terminal)
{
    const uint64_t addr = replay_event(d, terminal)->addr;
    vs_block block = {0};
    if (d->at < terminal || d->initial->segment_count == 0 ||
        !replay_is(d, terminal, VS_REC_ALLOC) || request->size_bytes == 0) {
        return false;
    }
    uint64_t place = 0;
    if (vs_pool_would_hit(d->pool, request, &place) && place == addr) {
        return false;
    }
    if (!vs_pool_place(d->pool, d->now, addr, request, &block)) {
        return false;
    }
    d->result.corrections++;
    d->result.allocations++;
    d->at = terminal + 1u;
    keep_block(d, terminal, addr, block);
    return true;
}

static void replay_one_request(replay_device *d, uint32_t terminal)
{
    const vs_pool_request request = replay_request(d, replay_event(d, terminal));
    const bool is_first = d->at == 0;
    d->has_complained = false;
    if (d->at < terminal) {
        before_request(d, &request, terminal);
    }
    if (is_first && is_first_placed(d, &request, terminal)) {
        return;
    }
    vs_block block = {0};
    vs_alloc_result result = VS_ALLOC_OOM;
    const vs_ns started = d->now;
    const vs_ns done = replay_event(d, terminal)->time_ns;
    if (request.size_bytes != 0) {
        result = vs_pool_alloc(d->pool, done > started ? done : started, &request, &block);
    }
    d->now = done > d->now ? done : d->now;
    if (result == VS_ALLOC_EXHAUSTED) {
        exhausted(d);
        return;
    }
    if (d->at < terminal) {
        if (block.id != 0 && try_correction(d, vs_pool_block_addr(d->pool, block))) {
            return; /* it should have missed */
        }
        force_until(d, terminal);
        if (d->is_lost) {
            return;
        }
    }
    d->at = terminal + 1u;
    if (replay_is(d, terminal, VS_REC_OOM)) {
        finish_oom(d, terminal, result, block);
    } else {
        finish_alloc(d, &request, terminal, result, block);
    }
}

/* Frees and segments that no request caused. */
static void replay_loose_run(replay_device *d)
{
    uint32_t end = d->at;
    while (replay_is_driver_event(d, end) || replay_is(d, end, VS_REC_FREE_COMPLETED)) {
        end++;
    }
    if (has_driver_event(d, d->at, end)) {
        empty_cache(d); /* completes frees first, as the real one */
    }
    force_until(d, end);
}

/* Whether sizes from before the recording that nothing tells explain another sum. */
static bool is_in_doubt(replay_device *d, uint64_t recorded, uint64_t ours)
{
    uint64_t least = ours;
    uint64_t most = ours;
    for (uint32_t i = 0; i < d->initial->block_count && d->doubts < MAX_DOUBTS; i++) {
        const initial_block *block = &d->initial->blocks[i];
        const vs_bytes size = block->most != 0 ? size_now(d, block) : 0;
        if (size != 0) {
            least -= size - vs_pool_round(d->pool, block->asked);
            most += block->most > size ? block->most - size : 0;
        }
    }
    if (recorded < least || recorded > most) {
        return false;
    }
    d->doubts++;
    if (recorded - ours != d->last_doubt) {
        d->result.corrections++;
        d->last_doubt = recorded - ours;
    }
    return true;
}

static void step_snapshot(replay_device *d)
{
    const uint64_t ours = vs_pool_get_stats(d->pool)->active_bytes[VS_STAT_ALL].current;
    const uint64_t recorded = replay_event(d, d->at)->size;
    if (recorded != ours && !is_in_doubt(d, recorded, ours)) {
        replay_mismatch(d, MISS_ALLOCATED, d->at, "active bytes at a snapshot",
                        replay_event(d, d->at)->size, ours);
    }
    d->at++;
}

void replay_step(replay_device *d)
{
    const vs_rec_event *event = replay_event(d, d->at);
    switch ((vs_rec_action)event->action) {
    case VS_REC_ALLOC:
    case VS_REC_OOM: replay_one_request(d, d->at); return;
    case VS_REC_FREE_REQUESTED: step_free(d); return;
    case VS_REC_FREE_COMPLETED:
    case VS_REC_SEGMENT_ALLOC:
    case VS_REC_SEGMENT_FREE:
    case VS_REC_SEGMENT_MAP:
    case VS_REC_SEGMENT_UNMAP: {
        const uint32_t terminal = find_terminal(d);
        if (terminal != REPLAY_NO_EVENT) {
            replay_one_request(d, terminal);
        } else {
            replay_loose_run(d);
        }
        return;
    }
    case VS_REC_SNAPSHOT: step_snapshot(d); return;
    case VS_REC_LEVEL:
    case VS_REC_MARK:
    case VS_REC_ACTION_COUNT: d->at++; return;
    }
}
