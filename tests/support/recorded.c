/* tests/support/recorded.c - see recorded.h. The tape of the run is the witness: its events become those of a recording. */
#include "tests/support/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define MAX_LIVE 4096u
#define MAX_HELD 1024u

typedef struct {
    vs_block block;
    uint32_t stream;
} live_block;

/* Addresses in use, by address. */
typedef struct {
    uint64_t addr;
    vs_bytes size;
} held_addresses;

typedef struct {
    const recorded_desc *desc;
    vs_arena *arena;
    vs_rng rng;
    held_addresses held[MAX_HELD];
    uint32_t held_count;
    vs_alloc_conf conf;
    vs_model_driver driver;
    vs_pool *pool;
    vs_tape *tape;
    live_block live[MAX_LIVE];
    uint32_t live_count;
    vs_ns now;
    uint32_t ooms;
} program;

/* ---- a driver that uses addresses again -------------------------------------------------------- */

static bool hold(program *p, vs_bytes size_bytes, uint64_t *out_addr)
{
    uint64_t addr = UINT64_C(0x7f0000000000);
    uint32_t at = 0;
    assert_true(p->held_count < MAX_HELD);
    while (at < p->held_count && p->held[at].addr - addr < size_bytes) {
        addr = p->held[at].addr + p->held[at].size;
        at++;
    }
    memmove(p->held + at + 1, p->held + at, sizeof p->held[0] * (p->held_count - at));
    p->held[at] = (held_addresses){addr, size_bytes};
    p->held_count++;
    *out_addr = addr;
    return true;
}

static void let_go(program *p, uint64_t addr)
{
    uint32_t at = 0;
    while (at < p->held_count && p->held[at].addr != addr) {
        at++;
    }
    assert_true(at < p->held_count);
    p->held_count--;
    memmove(p->held + at, p->held + at + 1, sizeof p->held[0] * (p->held_count - at));
}

static bool reusing_malloc(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    program *p = ctx;
    const vs_bytes pages = (size_bytes + 2 * VS_MIB - 1) / (2 * VS_MIB) * (2 * VS_MIB);
    if (p->driver.in_use_bytes + pages > p->driver.total_bytes) {
        return false;
    }
    p->driver.in_use_bytes += pages;
    return hold(p, pages, out_addr);
}

static void reusing_free(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    program *p = ctx;
    p->driver.in_use_bytes -= (size_bytes + 2 * VS_MIB - 1) / (2 * VS_MIB) * (2 * VS_MIB);
    let_go(p, addr);
}

static bool reusing_reserve(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    return hold(ctx, size_bytes, out_addr);
}

static bool reusing_map(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    program *p = ctx;
    (void)addr;
    if (p->driver.in_use_bytes + page_bytes > p->driver.total_bytes) {
        return false;
    }
    p->driver.in_use_bytes += page_bytes;
    return true;
}

static void reusing_unmap(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    program *p = ctx;
    (void)addr;
    p->driver.in_use_bytes -= page_bytes;
}

static void reusing_free_range(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    (void)size_bytes;
    let_go(ctx, addr);
}

static void reusing_info(void *ctx, vs_bytes *out_free, vs_bytes *out_total)
{
    const program *p = ctx;
    *out_free = p->driver.total_bytes - p->driver.in_use_bytes;
    *out_total = p->driver.total_bytes;
}

static vs_driver driver_of(program *p)
{
    if (!p->desc->reuses_addresses) {
        return vs_model_driver_calls(&p->driver);
    }
    return (vs_driver){.ctx = p,
                       .malloc_segment = reusing_malloc,
                       .free_segment = reusing_free,
                       .reserve_range = reusing_reserve,
                       .map_page = reusing_map,
                       .unmap_page = reusing_unmap,
                       .free_range = reusing_free_range,
                       .mem_get_info = reusing_info};
}

/* ---- the program --------------------------------------------------------------------------- */

/* Small ones mostly, some between the pools, some with a segment of their own; a few of the same size often. */
static vs_bytes draw_size(program *p)
{
    static const vs_bytes favourites[] = {512,
                                          4096,
                                          1 << 20,
                                          (1 << 20) + 1,
                                          9 * VS_MIB,
                                          10 * VS_MIB,
                                          10 * VS_MIB - 1,
                                          24 * VS_MIB,
                                          64 * VS_MIB + 512};
    const uint64_t pick = vs_rng_below(&p->rng, 100);
    if (pick < 25) {
        return favourites[vs_rng_below(&p->rng, sizeof favourites / sizeof favourites[0])];
    }
    const unsigned bits = pick < 60 ? 20u : pick < 90 ? 24u : 27u;
    return 1 + vs_rng_below(&p->rng, UINT64_C(1) << (vs_rng_below(&p->rng, bits - 8u) + 9u));
}

static void forget(program *p, uint32_t at)
{
    p->live[at] = p->live[--p->live_count];
}

static void release_one(program *p)
{
    if (p->live_count == 0) {
        return;
    }
    const uint32_t at = (uint32_t)vs_rng_below(&p->rng, p->live_count);
    const live_block *chosen = &p->live[at];
    if (p->desc->has_foreign_uses && vs_rng_below(&p->rng, 4) == 0) {
        const uint32_t other =
            (chosen->stream + 1u + (uint32_t)vs_rng_below(&p->rng, 2)) % p->desc->stream_count;
        assert_true(vs_pool_record_stream(p->pool, chosen->block, (uint64_t)other * 1000));
    }
    vs_pool_free(p->pool, p->now, chosen->block);
    forget(p, at);
}

static void allocate(program *p)
{
    const uint32_t stream = (uint32_t)vs_rng_below(&p->rng, p->desc->stream_count);
    const uint64_t pool = p->desc->has_private_pool && vs_rng_below(&p->rng, 5) == 0
                              ? UINT64_C(1) << VS_POOL_PRIVATE_SHIFT
                              : 0;
    const vs_pool_request request = {.size_bytes = draw_size(p),
                                     .stream = (uint64_t)stream * 1000 + pool,
                                     .category = VS_CAT_TENSOR};
    vs_block block = {0};
    const vs_alloc_result result = vs_pool_alloc(p->pool, p->now, &request, &block);
    assert_int_not_equal(result, VS_ALLOC_EXHAUSTED);
    if (result == VS_ALLOC_OOM) {
        p->ooms++;
        for (uint32_t i = p->live_count / 3; i > 0; i--) {
            release_one(p);
        }
        return;
    }
    p->live[p->live_count++] = (live_block){block, stream};
}

static void one_operation(program *p)
{
    const uint64_t pick = vs_rng_below(&p->rng, 1000);
    const vs_bytes held = vs_pool_allocated(p->pool);
    p->now += 1000 * vs_rng_below(&p->rng, 3);
    const uint64_t stream = vs_rng_below(&p->rng, p->desc->stream_count) * 1000;
    if (pick < 4 && p->desc->empties_cache) {
        vs_pool_empty_cache(p->pool, p->now);
    } else if (pick < 60) {
        vs_pool_stream_busy(p->pool, stream);
    } else if (pick < 120) {
        vs_pool_stream_done(p->pool, stream);
    } else if (p->live_count < MAX_LIVE && pick < (held < p->desc->target_bytes ? 700 : 480)) {
        allocate(p);
    } else {
        release_one(p);
    }
}

static void run_program(program *p)
{
    vs_err err = {0};
    p->conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    if (!vs_alloc_conf_parse(&p->conf, vs_str_of(p->desc->alloc_conf), &err)) {
        fail_msg("%s", err.text);
    }
    if (p->desc->limit_bytes != 0) {
        p->conf.memory_fraction =
            (double)p->desc->limit_bytes / (double)p->desc->capacity_bytes;
    }
    vs_rng_seed(&p->rng, p->desc->seed);
    vs_model_driver_init(&p->driver, p->desc->capacity_bytes, 0);
    p->tape = vs_tape_new(p->arena, &(vs_tape_desc){0});
    assert_non_null(p->tape);
    const vs_pool_desc desc = {
        .conf = &p->conf,
        .driver = driver_of(p),
        .tape = p->tape,
        .device = vs_tape_add_device(p->tape, VS_DEVICE_GPU, "gpu", p->desc->capacity_bytes)};
    p->pool = vs_pool_new(p->arena, &desc);
    assert_non_null(p->pool);
    for (uint32_t i = 0; i < p->desc->operations; i++) {
        one_operation(p);
    }
}

/* ---- its recording ----------------------------------------------------------------------------- */

typedef struct {
    const program *p;
    const vs_timeline *tl;
    vs_rec_event *events;
    uint32_t count;
    uint32_t since_marker;
    vs_bytes active;
    bool *is_requested; /* by block: its free was asked for before */
} writer;

static void put(writer *w, vs_rec_action action, const vs_event *event, vs_bytes size)
{
    w->events[w->count] = (vs_rec_event){.addr = event->addr,
                                         .size = size,
                                         .time_ns = event->time_ns,
                                         .stack = VS_REC_NO_STACK,
                                         .stream = (uint16_t)(event->stream / 1000),
                                         .action = (uint8_t)action,
                                         .category = VS_CAT_TENSOR,
                                         .origin = w->count};
    w->count++;
}

/* Between two operations of the program: never within a request. */
static void put_marker(writer *w, const vs_event *event)
{
    w->since_marker++;
    if (w->p->desc->marker_every != 0 && w->since_marker >= w->p->desc->marker_every) {
        const vs_event marker = {.time_ns = event->time_ns};
        put(w, VS_REC_SNAPSHOT, &marker, w->active);
        w->since_marker = 0;
    }
}

static void put_event(writer *w, const vs_event *event)
{
    switch ((vs_event_kind)event->kind) {
    case VS_EV_ALLOC:
        put(w, VS_REC_ALLOC, event, event->asked_bytes);
        w->active += event->size_bytes;
        put_marker(w, event);
        return;
    case VS_EV_FREE_REQUESTED:
        put(w, VS_REC_FREE_REQUESTED, event, event->asked_bytes);
        w->is_requested[event->block] = true;
        return;
    case VS_EV_FREE:
        if (!w->is_requested[event->block]) {
            put(w, VS_REC_FREE_REQUESTED, event, event->asked_bytes);
        }
        put(w, VS_REC_FREE_COMPLETED, event, event->asked_bytes);
        w->active -= event->size_bytes;
        return;
    case VS_EV_SEGMENT_ALLOC: put(w, VS_REC_SEGMENT_ALLOC, event, event->size_bytes); return;
    case VS_EV_SEGMENT_FREE: put(w, VS_REC_SEGMENT_FREE, event, event->size_bytes); return;
    case VS_EV_SEGMENT_MAP: put(w, VS_REC_SEGMENT_MAP, event, event->size_bytes); return;
    case VS_EV_SEGMENT_UNMAP: put(w, VS_REC_SEGMENT_UNMAP, event, event->size_bytes); return;
    case VS_EV_OOM: {
        vs_event oom = *event;
        oom.addr = event->extra;
        put(w, VS_REC_OOM, &oom, vs_pool_round(w->p->pool, event->asked_bytes));
        return;
    }
    case VS_EV_RECAT:
    case VS_EV_LEVEL:
    case VS_EV_PHASE:
    case VS_EV_PROGRESS:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: return;
    }
}

static void put_events(writer *w, vs_arena *arena)
{
    const vs_timeline *tl = w->tl;
    w->events = VS_ARRAY(arena, vs_rec_event, (size_t)tl->event_count * 3 + 1);
    w->is_requested = VS_ARRAY(arena, bool, (size_t)tl->block_count + 1);
    assert_true(w->events != NULL && w->is_requested != NULL);
    for (uint32_t i = 0; i < tl->event_count; i++) {
        const vs_event event = vs_timeline_event(tl, i);
        put_event(w, &event);
    }
}

typedef struct {
    vs_rec_segment *segments;
    uint32_t segment_count;
    vs_rec_block *blocks;
    uint32_t block_count;
    uint64_t range;
} lister;

static void list_block(void *ctx, const vs_block_view *view)
{
    lister *l = ctx;
    if (view->state == VS_BLOCK_UNMAPPED || l->segments == NULL || l->blocks == NULL) {
        return;
    }
    const vs_rec_segment *before =
        l->segment_count == 0 ? NULL : &l->segments[l->segment_count - 1u];
    if (before == NULL || before->addr + before->total != view->addr ||
        l->range != view->segment_addr) {
        l->segments[l->segment_count++] =
            (vs_rec_segment){.addr = view->addr,
                             .block_first = l->block_count,
                             .stream = (uint16_t)((view->stream & UINT32_MAX) / 1000),
                             .pool = (uint16_t)(view->stream >> VS_POOL_PRIVATE_SHIFT),
                             .is_small = view->is_small_pool,
                             .is_expandable = view->is_expandable};
        l->range = view->segment_addr;
    }
    vs_rec_segment *last = &l->segments[l->segment_count - 1u];
    static const uint8_t states[] = {[VS_BLOCK_ALLOCATED] = VS_REC_BLOCK_ACTIVE,
                                     [VS_BLOCK_PENDING] = VS_REC_BLOCK_PENDING,
                                     [VS_BLOCK_FREE] = VS_REC_BLOCK_INACTIVE,
                                     [VS_BLOCK_UNMAPPED] = VS_REC_BLOCK_INACTIVE};
    last->total += view->size_bytes;
    last->allocated += view->state == VS_BLOCK_ALLOCATED ? view->size_bytes : 0;
    last->active += view->state != VS_BLOCK_FREE ? view->size_bytes : 0;
    last->block_count++;
    /* What was asked is not in the view; the size is a request that gives this block as well. */
    l->blocks[l->block_count++] = (vs_rec_block){.addr = view->addr,
                                                 .size = view->size_bytes,
                                                 .requested = view->size_bytes,
                                                 .stack = VS_REC_NO_STACK,
                                                 .state = states[view->state]};
}

/* Reserved bytes after the first `count` events. */
static vs_bytes reserved_after(const writer *w, uint32_t count)
{
    vs_bytes sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const vs_rec_event *event = &w->events[i];
        if (event->action == VS_REC_SEGMENT_ALLOC || event->action == VS_REC_SEGMENT_MAP) {
            sum += event->size;
        } else if (event->action == VS_REC_SEGMENT_FREE ||
                   event->action == VS_REC_SEGMENT_UNMAP) {
            sum -= event->size;
        }
    }
    return sum;
}

static void take_settings(vs_recording *rec, const program *p)
{
    rec->alloc_conf = p->desc->alloc_conf;
    rec->has_settings = true;
    rec->expandable_segments = p->conf.expandable_segments;
    rec->max_split_bytes = p->conf.max_split_bytes;
    rec->gc_threshold = p->conf.gc_threshold;
    memcpy(rec->divisions, p->conf.divisions, sizeof rec->divisions);
}

void recorded_make(recorded *out, const recorded_desc *desc, vs_arena *arena)
{
    static const uint64_t handles[] = {0, 1000, 2000, 3000};
    static const vs_rec_pool_id pools[] = {{0, 0}, {0, 1}};
    static const uint32_t offsets[] = {0};
    program *p = VS_NEW(arena, program);
    vs_timeline *tl = VS_NEW(arena, vs_timeline);
    vs_rec_device *dev = VS_NEW(arena, vs_rec_device);
    vs_err err = {0};
    assert_true(p != NULL && tl != NULL && dev != NULL);
    p->desc = desc;
    p->arena = arena;
    run_program(p);
    if (!vs_tape_seal(p->tape, tl, &err)) {
        fail_msg("%s", err.text);
    }
    writer w = {.p = p, .tl = tl};
    if (p->pool == NULL || tl->event_time == NULL) {
        fail_msg("the program did nothing");
        return;
    }
    put_events(&w, arena);
    lister l = {.segments = VS_ARRAY(arena, vs_rec_segment, (size_t)w.count + 1),
                .blocks = VS_ARRAY(arena, vs_rec_block, (size_t)w.count * 2 + 16)};
    assert_true(l.segments != NULL && l.blocks != NULL);
    assert_true(vs_pool_visit(p->pool, arena, list_block, &l));
    const uint32_t skip = desc->skip < w.count ? desc->skip : w.count;
    const uint32_t cut = desc->cut < w.count - skip ? desc->cut : w.count - skip;
    *dev = (vs_rec_device){.event_count = w.count - skip - cut,
                           .events = w.events + skip,
                           .segments = l.segments,
                           .segment_count = l.segment_count,
                           .has_segments = true,
                           .name = ""};
    *out = (recorded){.recording = {.format = VS_TRACE_SNAPSHOT,
                                    .path = "made up",
                                    .made_by = "",
                                    .torch_since = VS_TORCH_NEWEST,
                                    .has_time = true,
                                    .device_count = 1,
                                    .devices = dev,
                                    .block_count = l.block_count,
                                    .blocks = l.blocks,
                                    .stream_count = 4,
                                    .streams = handles,
                                    .pool_count = desc->has_private_pool ? 2 : 1,
                                    .pools = pools,
                                    .string_count = 1,
                                    .string_offset = offsets,
                                    .string_bytes = ""},
                      .events_in_all = w.count,
                      .reserved_at_start = reserved_after(&w, skip),
                      .ooms = p->ooms,
                      .retries = (uint32_t)vs_pool_get_stats(p->pool)->num_alloc_retries};
    take_settings(&out->recording, p);
}
