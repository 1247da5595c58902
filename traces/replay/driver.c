/* driver.c - the driver under a replayed allocator: it gives what was given in the recording.
 *
 * Our allocator asks while it works off a request (whose event is still to come): the events between d->at and
 * that one are what the real allocator asked of the real driver and got. So a segment is given when the recording has a
 * segment_alloc of that size next, and there is none otherwise; a segment may go back when the recording has its
 * segment_free next. What our allocator wants otherwise is a difference, counted by whoever sees it first. */
#include "traces/replay/internal.h"

/* Pages come one by one, an event covers a run of them. */
static bool is_next_page(const replay_device *d, vs_rec_action action, uint64_t addr,
                         vs_bytes page)
{
    if (!replay_is(d, d->at, action)) {
        return false;
    }
    const vs_rec_event *event = replay_event(d, d->at);
    return event->addr + d->page_done == addr && event->size - d->page_done >= page;
}

/* Our allocator notes its event at the time of the recorded one. */
static void at_its_time(replay_device *d)
{
    const vs_ns time = replay_event(d, d->at)->time_ns;
    d->now = time > d->now ? time : d->now;
    vs_pool_set_now(d->pool, d->now);
}

static void page_is_done(replay_device *d, vs_bytes page)
{
    at_its_time(d);
    d->page_done += page;
    if (d->page_done == replay_event(d, d->at)->size) {
        d->page_done = 0;
        d->at++;
    }
}

static bool recorded_malloc(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    replay_device *d = ctx;
    if (!replay_is(d, d->at, VS_REC_SEGMENT_ALLOC) ||
        replay_event(d, d->at)->size != size_bytes) {
        return false;
    }
    *out_addr = replay_event(d, d->at)->addr;
    at_its_time(d);
    d->at++;
    return true;
}

static void recorded_free(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    replay_device *d = ctx;
    if (replay_is(d, d->at, VS_REC_SEGMENT_FREE) && replay_event(d, d->at)->addr == addr &&
        replay_event(d, d->at)->size == size_bytes) {
        d->at++;
    }
}

/* Where the next range begins is where its first page is. */
static bool recorded_reserve(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    const replay_device *d = ctx;
    (void)size_bytes;
    if (!replay_is(d, d->at, VS_REC_SEGMENT_MAP) || d->page_done != 0) {
        return false;
    }
    *out_addr = replay_event(d, d->at)->addr;
    return true;
}

static bool recorded_map(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    replay_device *d = ctx;
    if (!is_next_page(d, VS_REC_SEGMENT_MAP, addr, page_bytes)) {
        return false;
    }
    page_is_done(d, page_bytes);
    return true;
}

/* Also what takes back the pages of a mapping that failed half way: then it is a difference already, and the event
 * before is the map. */
static void recorded_unmap(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    replay_device *d = ctx;
    if (is_next_page(d, VS_REC_SEGMENT_UNMAP, addr, page_bytes)) {
        page_is_done(d, page_bytes);
    } else {
        d->is_lost = true;
    }
}

static void recorded_free_range(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    (void)ctx; /* address space: nothing is recorded of it */
    (void)addr;
    (void)size_bytes;
}

/* Free memory is recorded at an out of memory and nowhere else; the total is not. */
static void recorded_info(void *ctx, vs_bytes *out_free, vs_bytes *out_total)
{
    const replay_device *d = ctx;
    *out_free = replay_is(d, d->at, VS_REC_OOM) ? replay_event(d, d->at)->addr : 0;
    *out_total = d->limit_total != 0 ? d->limit_total : REPLAY_MAX_SIZE;
}

static bool recorded_may_release(void *ctx, uint64_t stream, uint64_t addr, vs_bytes size_bytes)
{
    replay_device *d = ctx;
    const bool goes_back =
        replay_is(d, d->at, VS_REC_SEGMENT_FREE) || replay_is(d, d->at, VS_REC_SEGMENT_UNMAP);
    const vs_rec_event *event = goes_back ? replay_event(d, d->at) : NULL;
    if (goes_back && event->addr == addr && event->size == size_bytes) {
        at_its_time(d);
        return true;
    }
    /* Private pools in use keep what they have [10.4]; nobody tells which are. */
    if (stream >> VS_POOL_PRIVATE_SHIFT == 0 && !d->has_complained) {
        replay_mismatch(d, MISS_SEGMENT, d->at, "a segment given back",
                        goes_back ? event->addr : 0, addr);
    }
    return false;
}

static void recorded_synchronize(void *ctx)
{
    replay_device *d = ctx;
    while (replay_is(d, d->at, VS_REC_FREE_COMPLETED)) {
        at_its_time(d);
        replay_complete(d, d->at);
        d->at++;
    }
}

vs_driver replay_driver(replay_device *d)
{
    return (vs_driver){.ctx = d,
                       .malloc_segment = recorded_malloc,
                       .free_segment = recorded_free,
                       .reserve_range = recorded_reserve,
                       .map_page = recorded_map,
                       .unmap_page = recorded_unmap,
                       .free_range = recorded_free_range,
                       .mem_get_info = recorded_info,
                       .may_release = recorded_may_release,
                       .synchronize = recorded_synchronize};
}

bool replay_is_driver_event(const replay_device *d, uint32_t at)
{
    if (at >= d->event_count) {
        return false;
    }
    const uint8_t action = d->events[at].action;
    return action >= VS_REC_SEGMENT_ALLOC && action <= VS_REC_SEGMENT_UNMAP;
}
