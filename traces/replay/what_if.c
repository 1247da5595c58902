/* what_if.c - the recorded requests under other options, or on another card.
 *
 * The program does what it did: it asks for the same bytes on the same streams, frees when it freed, waits when it waited. Our
 * allocator decides everything else, above a modelled driver. What existed before the recording is asked for first, in
 * address order. A run of segments that went back is torch.cuda.empty_cache when the driver could have given what the
 * next request needed (the recording had more reserved at another time); else it was the allocator's own retry, and our
 * allocator makes its own. The first request that does not fit ends it: what the program would have done then, nobody
 * knows. */
#include "traces/replay/internal.h"

#include <float.h>

#define PLENTY          (UINT64_C(1) << 50) /* bytes of a card without limit */
#define LARGEST_SURPLUS (20 * VS_MIB)       /* of a segment over its request [1.4] */

/* The program's streams have caught up: every free that waited is complete. */
static void finish_pending(void *ctx)
{
    replay_device *d = ctx;
    for (uint32_t at = 0; at <= d->map.mask;) {
        blockmap_entry *entry = &d->map.entries[at];
        if (entry->block != 0 && (entry->birth & BIRTH_PENDING) != 0) {
            vs_pool_free_end(d->pool, d->now, (vs_block){entry->block});
            blockmap_remove(&d->map, entry); /* another may have moved here */
        } else {
            at++;
        }
    }
}

/* What the allocator could have on the recorded card: what it had and what was free when a request failed. A failure with
 * more free than the request could need came from a limit, which does not tell. */
static vs_bytes recorded_room(const replay_device *d)
{
    vs_bytes reserved = d->result.initial_reserved_bytes;
    vs_bytes room = 0;
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *event = &d->events[i];
        reserved += replay_gain(event) - replay_loss(event);
        if (event->action == VS_REC_OOM && event->addr < event->size + LARGEST_SURPLUS &&
            (room == 0 || reserved + event->addr < room)) {
            room = reserved + event->addr;
        }
    }
    return room;
}

/* The allocator truncates the product [6.1]: it must not come out a byte short. */
static double fraction_of(vs_bytes limit, vs_bytes total)
{
    double fraction = (double)limit / (double)total;
    for (int i = 0; i < 8 && (vs_bytes)(fraction * (double)total) < limit; i++) {
        fraction *= 1.0 + DBL_EPSILON;
    }
    return fraction;
}

void what_if_start(replay_device *d, const vs_replay_desc *desc, vs_alloc_conf *conf)
{
    vs_bytes total = PLENTY;
    vs_bytes used = 0;
    if (desc->capacity_bytes != 0) {
        total = desc->capacity_bytes;
        used = desc->context_bytes < total ? desc->context_bytes : total;
    } else if (desc->limit_bytes != 0) {
        total = 2 * desc->limit_bytes;
    } else if (recorded_room(d) != 0) {
        total = recorded_room(d);
    }
    if (desc->limit_bytes != 0 && desc->limit_bytes < total) {
        conf->memory_fraction = fraction_of(desc->limit_bytes, total);
    }
    vs_model_driver_init(&d->driver, total, used);
    d->driver.on_synchronize = finish_pending;
    d->driver.on_synchronize_ctx = d;
    d->result.fits = true;
    d->result.room_bytes = total == PLENTY ? 0 : total - used;
    if (desc->limit_bytes != 0 && desc->limit_bytes < d->result.room_bytes) {
        d->result.room_bytes = desc->limit_bytes;
    }
}

static void ran_out(replay_device *d, uint32_t event)
{
    d->result.fits = false;
    d->result.ooms++;
    d->result.oom_event = event;
    d->result.oom = vs_pool_oom_info(d->pool);
    d->at = d->event_count;
}

/* birth: the event, or BIRTH_INITIAL. */
static void ask(replay_device *d, const vs_pool_request *request, uint64_t addr, uint32_t birth)
{
    vs_block block = {0};
    if (request->size_bytes == 0) {
        return;
    }
    const vs_alloc_result result = vs_pool_alloc(d->pool, d->now, request, &block);
    if (result == VS_ALLOC_OOM) {
        d->result.is_oom_before = birth == BIRTH_INITIAL;
        ran_out(d, birth == BIRTH_INITIAL ? 0 : birth);
        return;
    }
    if (result == VS_ALLOC_EXHAUSTED || !blockmap_put(&d->map, addr, block.id, birth)) {
        d->is_lost = true;
        (void)vs_fail_memory(&d->err, d->arena, "the replayed allocator");
    }
}

/* What existed before. */
bool what_if_seed(replay_device *d)
{
    const initial_state *initial = d->initial;
    d->result.recorded_peak_so_far_bytes = d->result.initial_reserved_bytes;
    for (uint32_t i = 0; i < initial->segment_count && d->result.fits && !d->is_lost; i++) {
        const initial_segment *segment = &initial->segments[i];
        for (uint32_t k = 0; k < segment->block_count && d->result.fits && !d->is_lost; k++) {
            const initial_block *block = &initial->blocks[segment->block_first + k];
            const vs_rec_event like = {.size = block->asked,
                                       .stream = segment->stream,
                                       .pool = segment->pool,
                                       .stack = block->stack,
                                       .category = VS_CAT_TENSOR};
            const vs_pool_request request = replay_request(d, &like);
            ask(d, &request, block->addr, BIRTH_INITIAL);
        }
    }
    return !d->is_lost;
}

static void free_requested(replay_device *d, const vs_rec_event *event)
{
    blockmap_entry *entry = blockmap_find(&d->map, event->addr);
    if (entry == NULL || (entry->birth & BIRTH_PENDING) != 0) {
        return; /* of a block that never was */
    }
    const vs_block block = {entry->block};
    const bool is_done = replay_is(d, d->at + 1u, VS_REC_FREE_COMPLETED) &&
                         replay_event(d, d->at + 1u)->addr == event->addr;
    if (is_done || !d->tells_completion) {
        vs_pool_free(d->pool, d->now, block);
        blockmap_remove(&d->map, entry);
        return;
    }
    vs_pool_free_begin(d->pool, d->now, block);
    entry->birth |= BIRTH_PENDING;
}

static void free_completed(replay_device *d, const vs_rec_event *event)
{
    blockmap_entry *entry = blockmap_find(&d->map, event->addr);
    if (entry == NULL) {
        return;
    }
    const vs_block block = {entry->block};
    if ((entry->birth & BIRTH_PENDING) != 0) {
        vs_pool_free_end(d->pool, d->now, block);
    } else {
        vs_pool_free(d->pool, d->now, block);
    }
    blockmap_remove(&d->map, entry);
}

/* Whether the segments that go back from d->at on were the program's doing. With garbage collection they were not, or
 * nobody can tell. */
static bool is_empty_cache(const replay_device *d)
{
    uint32_t at = d->at;
    if (d->rec->has_settings && d->rec->gc_threshold > 0.0) {
        return false;
    }
    while (replay_is_driver_event(d, at) || replay_is(d, at, VS_REC_FREE_COMPLETED)) {
        if (replay_is(d, at, VS_REC_SEGMENT_ALLOC) || replay_is(d, at, VS_REC_SEGMENT_MAP)) {
            return d->recorded_reserved + replay_event(d, at)->size <=
                   d->result.recorded_peak_reserved_bytes;
        }
        at++;
    }
    return !replay_is(d, at, VS_REC_OOM);
}

static void goes_back(replay_device *d)
{
    if (is_empty_cache(d)) {
        vs_pool_empty_cache(d->pool, d->now);
    }
    while (replay_is(d, d->at, VS_REC_SEGMENT_FREE) ||
           replay_is(d, d->at, VS_REC_SEGMENT_UNMAP)) {
        d->recorded_reserved -= replay_event(d, d->at)->size;
        d->at++;
    }
}

/* What the recording had reserved by now. */
static void note_recorded(replay_device *d, uint32_t event)
{
    const vs_rec_totals *totals = d->dev->totals;
    const bool is_told = totals != NULL && totals[event].reserved != UINT64_MAX;
    const vs_bytes reserved = is_told ? totals[event].reserved : d->recorded_reserved;
    if (reserved > d->result.recorded_peak_so_far_bytes) {
        d->result.recorded_peak_so_far_bytes = reserved;
    }
}

void what_if_step(replay_device *d)
{
    const vs_rec_event *event = replay_event(d, d->at);
    const uint32_t number = d->at;
    note_recorded(d, number);
    switch ((vs_rec_action)event->action) {
    case VS_REC_ALLOC: {
        const vs_pool_request request = replay_request(d, event);
        d->at++;
        d->result.allocations++;
        ask(d, &request, event->addr, number);
        return;
    }
    case VS_REC_FREE_REQUESTED: free_requested(d, event); break;
    case VS_REC_FREE_COMPLETED: free_completed(d, event); break;
    case VS_REC_SEGMENT_FREE:
    case VS_REC_SEGMENT_UNMAP: goes_back(d); return;
    case VS_REC_SEGMENT_ALLOC:
    case VS_REC_SEGMENT_MAP:
        d->recorded_reserved += event->size;
        note_recorded(d, number);
        break;
    case VS_REC_OOM: {
        /* The request that failed then: does it fit now? If so nobody keeps it, since nobody freed it. */
        const vs_pool_request request = replay_request(d, event);
        vs_block block = {0};
        if (request.size_bytes != 0 &&
            vs_pool_alloc(d->pool, d->now, &request, &block) == VS_ALLOC_OOM) {
            ran_out(d, number);
            return;
        }
        if (block.id != 0) {
            vs_pool_free(d->pool, d->now, block);
        }
        break;
    }
    case VS_REC_SNAPSHOT:
    case VS_REC_LEVEL:
    case VS_REC_MARK:
    case VS_REC_ACTION_COUNT: break;
    }
    d->at++;
}
