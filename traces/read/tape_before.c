/* traces/read/tape_before.c - what a device held before its first recorded event.
 *
 * (specs/torch-caching-allocator.md [17.1, 17.2], for recordings of every kind.) Told by:
 *
 *   a free of an address that nothing was ever recorded of   a block, or a segment, was there
 *   the list of segments and blocks at the end               what of it was never allocated was there before
 *   the first totals                                          less what was recorded until then: the sum
 *
 * What the sums hold beyond blocks and segments that are known becomes one block and one segment without an address. */
#include "traces/read/tape.h"

/* Sums over the events so far. Differences are taken modulo 2^64: what comes out beyond any memory cannot be. */
typedef struct {
    uint64_t allocated;
    uint64_t reserved;
    uint64_t lowest; /* the deepest that reserved went below its start, as a positive number */
    uint64_t known_blocks;
    bool has_allocated; /* totals were met */
    bool has_reserved;
} sums;

/* ---- what kind of device it is ---------------------------------------------------------------- */

static bool is_segment_action(uint8_t action)
{
    return action >= VS_REC_SEGMENT_ALLOC && action <= VS_REC_SEGMENT_UNMAP;
}

static void classify(const maker *m, maker_device *d)
{
    bool has_segment_event = false;
    bool has_block_event = false;
    bool has_reserved = false;
    for (uint32_t i = 0; i < d->rec->event_count; i++) {
        const uint8_t action = d->rec->events[i].action;
        has_segment_event = has_segment_event || is_segment_action(action);
        has_block_event = has_block_event || action == VS_REC_ALLOC ||
                          action == VS_REC_FREE_COMPLETED || action == VS_REC_FREE_REQUESTED;
        if (d->rec->totals != NULL) {
            const vs_bytes reserved = d->rec->totals[i].reserved;
            has_reserved = has_reserved || (reserved > 0 && reserved <= MAKER_BYTES_MAX);
            d->has_totals = d->has_totals || d->rec->totals[i].allocated != UINT64_MAX;
        }
    }
    if (d->rec->is_host) {
        return;
    }
    d->is_covered =
        has_segment_event && !has_block_event && m->rec->format != VS_TRACE_SNAPSHOT;
    d->has_segments = has_segment_event || has_reserved || d->rec->segment_count > 0;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static bool add_initial(const maker *m, maker_device *d, const maker_initial *initial,
                        vs_err *err)
{
    maker_initial *const row = rows_add(&d->initial);
    if (row == NULL) {
        return vs_fail_memory(err, m->scratch, "what was there before a recording");
    }
    *row = *initial;
    return true;
}

static bool see_place(const maker *m, maker_device *d, live_place place, vs_bytes size,
                      vs_err *err)
{
    live_block *const block = live_add(&d->live, place);
    if (block == NULL) {
        return vs_fail_memory(err, m->scratch, "the blocks of a recording");
    }
    block->size = size;
    return true;
}

static bool see_alloc(const maker *m, maker_device *d, const vs_rec_event *event, sums *s,
                      vs_err *err)
{
    const live_place place = live_place_of(event);
    live_slot *const slot = live_find(&d->live, place);
    const live_block *const old = live_top(&d->live, slot);
    const vs_bytes size = maker_block_bytes(m, d, event);
    if (old != NULL && (event->flags & VS_REC_NO_ADDR) == 0) {
        s->allocated -= old->size;
        live_drop(&d->live, slot);
    }
    s->allocated += size;
    d->block_categories |= 1u << maker_category(d, event);
    return see_place(m, d, place, size, err);
}

static bool see_free(const maker *m, maker_device *d, const vs_rec_event *event, sums *s,
                     vs_err *err)
{
    const live_place place = live_place_of(event);
    const bool is_completed = maker_action(d, event) == VS_REC_FREE_COMPLETED;
    live_slot *slot = live_find(&d->live, place);
    const bool has_addr = (event->flags & VS_REC_NO_ADDR) == 0;
    if (live_top(&d->live, slot) == NULL) {
        if (slot != NULL && has_addr) {
            return true; /* it is gone already */
        }
        const maker_initial initial = {.event = *event, .asked = event->size};
        s->known_blocks += maker_block_bytes(m, d, event);
        d->block_categories |= 1u << maker_category(d, event);
        if (!add_initial(m, d, &initial, err) ||
            !see_place(m, d, place, maker_block_bytes(m, d, event), err)) {
            return false;
        }
        slot = live_find(&d->live, place);
    }
    const live_block *const block = live_top(&d->live, slot);
    if (is_completed && block != NULL) {
        s->allocated -= block->size;
        live_drop(&d->live, slot);
    }
    return true;
}

/* ---- segments ------------------------------------------------------------------------------------- */

static bool see_segment(const maker *m, maker_device *d, const vs_rec_event *event, sums *s,
                        vs_err *err)
{
    const live_place place = live_segment_at(event->addr);
    live_slot *const slot = live_find(&d->live, place);
    const bool is_gain =
        event->action == VS_REC_SEGMENT_ALLOC || event->action == VS_REC_SEGMENT_MAP;
    if (is_gain) {
        s->reserved += event->size;
        if (live_top(&d->live, slot) != NULL) {
            live_drop(&d->live, slot);
        }
        return see_place(m, d, place, event->size, err);
    }
    s->reserved -= event->size;
    const uint64_t below = 0 - s->reserved;
    if (below <= MAKER_BYTES_MAX && below > s->lowest) {
        s->lowest = below;
    }
    if (live_top(&d->live, slot) != NULL) {
        live_drop(&d->live, slot);
        return true;
    }
    if (slot != NULL || event->action == VS_REC_SEGMENT_UNMAP) {
        return true;
    }
    const maker_initial initial = {.event = *event, .is_segment = true};
    return add_initial(m, d, &initial, err);
}

/* ---- the list at the end -------------------------------------------------------------------------------- */

static bool see_final_block(const maker *m, maker_device *d, const vs_rec_segment *segment,
                            const vs_rec_block *block, vs_err *err)
{
    if (block->state == VS_REC_BLOCK_INACTIVE || block->size > MAKER_BYTES_MAX ||
        live_find(&d->live, live_place_at(block->addr)) != NULL) {
        return true;
    }
    const maker_initial initial = {.event = {.addr = block->addr,
                                             .size = block->size,
                                             .stack = block->stack,
                                             .stream = segment->stream,
                                             .flags = VS_REC_BLOCK_SIZE,
                                             .category = VS_CAT_TENSOR},
                                   .asked = block->requested};
    d->block_categories |= 1u << VS_CAT_TENSOR;
    return add_initial(m, d, &initial, err);
}

static bool see_final(const maker *m, maker_device *d, uint64_t *total, vs_err *err)
{
    for (uint32_t i = 0; i < d->rec->segment_count; i++) {
        const vs_rec_segment *const segment = &d->rec->segments[i];
        if (segment->total > MAKER_BYTES_MAX || !vs_add_u64(*total, segment->total, total) ||
            *total > MAKER_BYTES_MAX) {
            return vs_fail(err, VS_ERR_LIMIT, "segments of more than 2^60 bytes in one memory");
        }
        if (live_find(&d->live, live_segment_at(segment->addr)) == NULL) {
            const maker_initial initial = {
                .event = {.addr = segment->addr, .size = segment->total}, .is_segment = true};
            if (!add_initial(m, d, &initial, err)) {
                return false;
            }
        }
        for (uint32_t b = 0; b < segment->block_count; b++) {
            if (!see_final_block(m, d, segment, &m->rec->blocks[segment->block_first + b],
                                 err)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- all events ---------------------------------------------------------------------------------------------- */

static bool see_event(const maker *m, maker_device *d, const vs_rec_event *event, sums *s,
                      vs_err *err)
{
    switch (maker_action(d, event)) {
    case VS_REC_ALLOC: return see_alloc(m, d, event, s, err);
    case VS_REC_FREE_REQUESTED:
    case VS_REC_FREE_COMPLETED: return see_free(m, d, event, s, err);
    case VS_REC_SEGMENT_ALLOC:
    case VS_REC_SEGMENT_FREE:
    case VS_REC_SEGMENT_MAP:
    case VS_REC_SEGMENT_UNMAP: return see_segment(m, d, event, s, err);
    case VS_REC_SNAPSHOT:
    case VS_REC_OOM:
    case VS_REC_LEVEL:
    case VS_REC_MARK:
    case VS_REC_ACTION_COUNT: return true;
    }
    return true;
}

/* The first totals that are told, less what was recorded until then. */
static void see_totals(maker_device *d, const vs_rec_totals *totals, sums *s)
{
    if (!s->has_allocated && totals->allocated != UINT64_MAX) {
        s->has_allocated = true;
        d->first_rest = totals->allocated - s->allocated;
    }
    if (!s->has_reserved && totals->reserved <= MAKER_BYTES_MAX) {
        s->has_reserved = true;
        d->first_reserved = totals->reserved;
    }
}

bool maker_look_before(maker *m, maker_device *d, vs_err *err)
{
    sums s = {0};
    uint64_t final_total = 0;
    live_init(&d->live, m->scratch);
    d->initial = rows_of(m->scratch, sizeof(maker_initial), 6);
    classify(m, d);
    if (d->has_totals) {
        d->block_categories |= 1u << (d->rec->is_host ? VS_CAT_HOSTHEAP : VS_CAT_TENSOR);
    }
    for (uint32_t i = 0; i < d->rec->event_count; i++) {
        if (d->rec->events[i].size > MAKER_BYTES_MAX) {
            return vs_fail(err, VS_ERR_LIMIT, "event %" PRIu32 " is about more than 2^60 bytes",
                           i);
        }
        if (!see_event(m, d, &d->rec->events[i], &s, err)) {
            return false;
        }
        if (d->rec->totals != NULL) {
            see_totals(d, &d->rec->totals[i], &s);
        }
    }
    if (!d->rec->is_host && !see_final(m, d, &final_total, err)) {
        return false;
    }
    d->first_rest = d->first_rest > s.known_blocks && d->first_rest <= MAKER_BYTES_MAX
                        ? d->first_rest - s.known_blocks
                        : 0;
    const uint64_t before = final_total - s.reserved;
    if (d->rec->has_segments && before <= MAKER_BYTES_MAX && before > d->first_reserved) {
        d->first_reserved = before;
    }
    d->first_reserved = s.lowest > d->first_reserved ? s.lowest : d->first_reserved;
    live_clear(&d->live);
    return true;
}

/* ---- onto the tape --------------------------------------------------------------------------------------------- */

static void put_segments(maker *m, maker_device *d)
{
    for (uint64_t i = 0; i < d->initial.count; i++) {
        const maker_initial *const initial = rows_at(&d->initial, i);
        const vs_bytes left = d->first_reserved - d->reserved;
        const vs_bytes size = initial->event.size < left ? initial->event.size : left;
        if (initial->is_segment && size > 0) {
            maker_put_segment(m, d, initial->event.addr, size);
        }
    }
    maker_set_reserved(m, d, d->first_reserved);
}

bool maker_put_before(maker *m, maker_device *d, vs_err *err)
{
    if (d->has_segments && !d->is_covered) {
        put_segments(m, d);
    }
    for (uint64_t i = 0; i < d->initial.count; i++) {
        const maker_initial *const initial = rows_at(&d->initial, i);
        const vs_rec_event *const event = &initial->event;
        const uint32_t name = event->label != 0 ? maker_name(m, event->label) : m->before_name;
        if (!initial->is_segment && !maker_put_block(m, d, event, initial->asked, name, err)) {
            return false;
        }
    }
    return maker_set_rest(m, d, d->first_rest, err);
}
