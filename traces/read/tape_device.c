/* traces/read/tape_device.c - what one event of a recording does on the tape.
 *
 * Blocks come and go by address (tape_live.h). Where a recording tells totals, they are the truth:
 *
 *   allocated   what the live blocks do not explain of it is one more block, "before the recording", that grows and shrinks
 *   reserved    its changes are segments without an address, for nothing else is known of them
 *
 * A device with segments cannot hold more in blocks than is reserved, so where a recording says so, segments grow and
 * it is counted. Everything that does not fit together is counted and said, nothing is refused: a recording that
 * lost events is still worth looking at. */
#include "traces/read/tape.h"

#define REQUEST_GRANULE                                                                        \
    UINT64_C(512) /* kMinBlockSize [1.1] of specs/torch-caching-allocator.md */

static void put(maker *m, const maker_device *d, vs_event event)
{
    event.time_ns = m->now;
    event.device = d->index;
    vs_tape_event(m->tape, &event);
}

/* ---- segments -------------------------------------------------------------------------------- */

void maker_put_segment(maker *m, maker_device *d, uint64_t addr, vs_bytes size)
{
    d->reserved += size;
    put(m, d,
        (vs_event){.kind = VS_EV_SEGMENT_ALLOC,
                   .addr = addr,
                   .size_bytes = size,
                   .block = VS_NO_BLOCK});
}

static void drop_segment(maker *m, maker_device *d, uint64_t addr, vs_bytes size, uint8_t kind)
{
    const vs_bytes spare = d->reserved - d->held;
    if (size > spare) {
        d->counts.reserved_odd++;
        size = spare;
    }
    if (size > 0) {
        d->reserved -= size;
        put(m, d,
            (vs_event){.kind = kind, .addr = addr, .size_bytes = size, .block = VS_NO_BLOCK});
    }
}

void maker_set_reserved(maker *m, maker_device *d, vs_bytes target)
{
    if (target > d->reserved) {
        maker_put_segment(m, d, 0, target - d->reserved);
    } else if (target < d->reserved) {
        drop_segment(m, d, 0, d->reserved - target, VS_EV_SEGMENT_FREE);
    }
}

/* Room for size more bytes in blocks. */
static bool make_room(maker *m, maker_device *d, vs_bytes size, vs_err *err)
{
    if (size > MAKER_BYTES_MAX || d->held > MAKER_BYTES_MAX - size) {
        return vs_fail(err, VS_ERR_LIMIT, "more than 2^60 bytes are live in one memory");
    }
    if (d->has_segments && d->held + size > d->reserved) {
        d->counts.reserved_odd++;
        maker_set_reserved(m, d, d->held + size);
    }
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

vs_rec_action maker_action(const maker_device *d, const vs_rec_event *event)
{
    const vs_rec_action action = (vs_rec_action)event->action;
    if (!d->is_covered && !d->rec->is_host) {
        return action;
    }
    if (action == VS_REC_SEGMENT_ALLOC || action == VS_REC_SEGMENT_MAP) {
        return VS_REC_ALLOC;
    }
    if (action == VS_REC_SEGMENT_FREE || action == VS_REC_SEGMENT_UNMAP) {
        return VS_REC_FREE_COMPLETED;
    }
    return action;
}

vs_bytes maker_block_bytes(const maker *m, const maker_device *d, const vs_rec_event *event)
{
    if (m->rec->format != VS_TRACE_SNAPSHOT || d->rec->is_host ||
        (event->flags & (VS_REC_BLOCK_SIZE | VS_REC_NO_ADDR)) != 0 ||
        event->size > MAKER_BYTES_MAX) {
        return event->size;
    }
    const vs_bytes rounded =
        (event->size + REQUEST_GRANULE - 1) / REQUEST_GRANULE * REQUEST_GRANULE;
    return rounded > 0 ? rounded : REQUEST_GRANULE; /* [1.2] */
}

uint8_t maker_category(const maker_device *d, const vs_rec_event *event)
{
    if (event->category < VS_CAT_COUNT && event->category != VS_CAT_SLACK &&
        event->category != VS_CAT_RESFREE && event->category != VS_CAT_CONTEXT) {
        return event->category;
    }
    return d->rec->is_host ? VS_CAT_HOSTHEAP : VS_CAT_TENSOR;
}

bool maker_put_block(maker *m, maker_device *d, const vs_rec_event *event, vs_bytes asked,
                     uint32_t name, vs_err *err)
{
    const vs_bytes size = maker_block_bytes(m, d, event);
    if (d->is_covered && size <= MAKER_BYTES_MAX - d->reserved) {
        maker_put_segment(m, d, event->addr, size);
    }
    if (!make_room(m, d, size, err)) {
        return false;
    }
    live_block *const block = live_add(&d->live, live_place_of(event));
    if (block == NULL) {
        return vs_fail_memory(err, m->scratch, "the blocks of a recording");
    }
    block->addr = event->addr;
    block->size = size;
    block->asked = asked;
    block->category = maker_category(d, event);
    block->is_counted = true;
    block->block = vs_tape_new_block(m->tape);
    d->held += size;
    d->allocated += size;
    put(m, d,
        (vs_event){.kind = VS_EV_ALLOC,
                   .addr = event->addr,
                   .size_bytes = size,
                   .asked_bytes = asked,
                   .block = block->block,
                   .name = name,
                   .stream = event->stream,
                   .category = block->category});
    return true;
}

/* The block leaves; its slot's next older one becomes the top. */
static void drop_block(maker *m, maker_device *d, live_slot *slot, uint32_t stream)
{
    const live_block *const top = live_top(&d->live, slot);
    if (top == NULL) {
        return;
    }
    const live_block block = *top;
    live_drop(&d->live, slot);
    d->held -= block.size;
    d->allocated -= block.is_counted ? block.size : 0;
    put(m, d,
        (vs_event){.kind = VS_EV_FREE,
                   .addr = block.addr,
                   .size_bytes = block.size,
                   .asked_bytes = block.asked,
                   .block = block.block,
                   .stream = stream,
                   .category = block.category});
    if (d->is_covered) {
        drop_segment(m, d, block.addr, block.size, VS_EV_SEGMENT_FREE);
    }
}

static bool put_alloc(maker *m, maker_device *d, const vs_rec_event *event, vs_err *err)
{
    live_slot *const slot = live_find(&d->live, live_place_of(event));
    const bool has_addr = (event->flags & VS_REC_NO_ADDR) == 0;
    if (has_addr && live_top(&d->live, slot) != NULL) {
        d->counts.missed_frees++;
        drop_block(m, d, slot, event->stream);
    }
    return maker_put_block(m, d, event, event->size, maker_name(m, event->label), err);
}

static void put_free(maker *m, maker_device *d, const vs_rec_event *event, bool is_completed)
{
    live_slot *const slot = live_find(&d->live, live_place_of(event));
    live_block *const block = live_top(&d->live, slot);
    if (block == NULL || (!is_completed && !block->is_counted)) {
        d->counts.unknown_frees++;
        return;
    }
    d->counts.other_sizes += block->is_counted && block->size != event->size &&
                             block->size != maker_block_bytes(m, d, event);
    if (is_completed) {
        drop_block(m, d, slot, event->stream);
        return;
    }
    block->is_counted = false;
    d->allocated -= block->size;
    put(m, d,
        (vs_event){.kind = VS_EV_FREE_REQUESTED,
                   .addr = block->addr,
                   .size_bytes = block->size,
                   .asked_bytes = block->asked,
                   .block = block->block,
                   .stream = event->stream,
                   .category = block->category});
}

bool maker_set_rest(maker *m, maker_device *d, vs_bytes size, vs_err *err)
{
    if (size == d->rest) {
        return true;
    }
    const uint8_t category = d->rec->is_host ? VS_CAT_HOSTHEAP : VS_CAT_TENSOR;
    if (d->rest > 0) {
        d->held -= d->rest;
        d->allocated -= d->rest;
        put(m, d,
            (vs_event){.kind = VS_EV_FREE,
                       .size_bytes = d->rest,
                       .asked_bytes = d->rest,
                       .block = d->rest_block,
                       .category = category});
        d->rest = 0;
    }
    if (size == 0) {
        return true;
    }
    if (!make_room(m, d, size, err)) {
        return false;
    }
    d->rest = size;
    d->rest_block = vs_tape_new_block(m->tape);
    d->held += size;
    d->allocated += size;
    put(m, d,
        (vs_event){.kind = VS_EV_ALLOC,
                   .size_bytes = size,
                   .asked_bytes = size,
                   .block = d->rest_block,
                   .name = m->before_name,
                   .category = category});
    return true;
}

/* ---- totals ---------------------------------------------------------------------------------------- */

static bool follow_allocated(maker *m, maker_device *d, vs_bytes total, vs_err *err)
{
    if (total == UINT64_MAX || total == d->allocated) {
        return true;
    }
    if (total > d->allocated) {
        d->counts.adjusted++;
        return maker_set_rest(m, d, d->rest + (total - d->allocated), err);
    }
    const vs_bytes over = d->allocated - total;
    const vs_bytes taken = over < d->rest ? over : d->rest;
    d->counts.unexplained += taken < over;
    if (taken == 0) {
        return true;
    }
    d->counts.adjusted++;
    return maker_set_rest(m, d, d->rest - taken, err);
}

/* ---- levels ------------------------------------------------------------------------------------------- */

/* Rounding waste and reserved-free are worked out by the tape and cannot be set: they count as other. */
static uint8_t shown_category(uint8_t category)
{
    return category == VS_CAT_SLACK || category == VS_CAT_RESFREE || category >= VS_CAT_COUNT
               ? VS_CAT_OTHER
               : category;
}

/* NULL: the table is full. */
static maker_level *level_of(maker_device *d, const vs_rec_event *event)
{
    for (uint32_t i = 0; i < d->level_count; i++) {
        maker_level *const level = &d->levels[i];
        if (level->label == event->label && level->category == event->category) {
            return level;
        }
    }
    if (d->level_count == MAKER_LEVELS_MAX) {
        return NULL;
    }
    maker_level *const level = &d->levels[d->level_count++];
    *level = (maker_level){.label = event->label, .category = event->category};
    return level;
}

/* What everybody uses holds what this recording tells of too. */
static vs_bytes known_bytes(const maker_device *d)
{
    return d->has_segments ? d->reserved : d->held;
}

static bool put_level(maker *m, maker_device *d, const vs_rec_event *event, vs_err *err)
{
    const uint8_t category = shown_category(event->category);
    maker_level *const level = level_of(d, event);
    if (level == NULL) {
        return vs_fail(err, VS_ERR_LIMIT, "more than %u kinds of levels in one memory",
                       MAKER_LEVELS_MAX);
    }
    if ((d->block_categories >> category & 1u) != 0) {
        d->counts.hidden_levels++;
        return true;
    }
    d->counts.folded_levels += category != event->category;
    level->size = event->size;
    vs_bytes sum = 0;
    for (uint32_t i = 0; i < d->level_count; i++) {
        const maker_level *const one = &d->levels[i];
        if (shown_category(one->category) == category &&
            (!vs_add_u64(sum, one->size, &sum) || sum > MAKER_BYTES_MAX)) {
            return vs_fail(err, VS_ERR_LIMIT, "levels of more than 2^60 bytes in one memory");
        }
    }
    if (category == VS_CAT_OTHER) {
        const vs_bytes known = known_bytes(d);
        sum = sum > known ? sum - known : 0;
    }
    put(m, d,
        (vs_event){.kind = VS_EV_LEVEL,
                   .size_bytes = sum,
                   .block = VS_NO_BLOCK,
                   .category = category,
                   .name = maker_name(m, event->label)});
    return true;
}

/* ---- one event ------------------------------------------------------------------------------------------ */

static void put_oom(maker *m, maker_device *d, const vs_rec_event *event)
{
    const bool has_free = (event->flags & VS_REC_NO_ADDR) == 0;
    put(m, d,
        (vs_event){.kind = VS_EV_OOM,
                   .size_bytes = event->size <= MAKER_BYTES_MAX ? event->size : MAKER_BYTES_MAX,
                   .asked_bytes = event->size,
                   .extra = has_free ? event->addr : 0,
                   .block = VS_NO_BLOCK,
                   .name = maker_name(m, event->label),
                   .stream = event->stream});
}

static void put_real_segment(maker *m, maker_device *d, const vs_rec_event *event, bool is_gain)
{
    const bool is_part =
        event->action == VS_REC_SEGMENT_MAP || event->action == VS_REC_SEGMENT_UNMAP;
    if (!is_gain) {
        drop_segment(m, d, event->addr, event->size,
                     is_part ? VS_EV_SEGMENT_UNMAP : VS_EV_SEGMENT_FREE);
        return;
    }
    if (event->size > MAKER_BYTES_MAX || d->reserved > MAKER_BYTES_MAX - event->size) {
        d->counts.reserved_odd++;
        return;
    }
    d->reserved += event->size;
    put(m, d,
        (vs_event){.kind = is_part ? VS_EV_SEGMENT_MAP : VS_EV_SEGMENT_ALLOC,
                   .addr = event->addr,
                   .size_bytes = event->size,
                   .block = VS_NO_BLOCK,
                   .stream = event->stream});
}

static bool put_action(maker *m, maker_device *d, const vs_rec_event *event, vs_err *err)
{
    switch (maker_action(d, event)) {
    case VS_REC_ALLOC: return put_alloc(m, d, event, err);
    case VS_REC_FREE_REQUESTED: put_free(m, d, event, false); return true;
    case VS_REC_FREE_COMPLETED: put_free(m, d, event, true); return true;
    case VS_REC_SEGMENT_ALLOC:
    case VS_REC_SEGMENT_MAP: put_real_segment(m, d, event, true); return true;
    case VS_REC_SEGMENT_FREE:
    case VS_REC_SEGMENT_UNMAP: put_real_segment(m, d, event, false); return true;
    case VS_REC_OOM: put_oom(m, d, event); return true;
    case VS_REC_LEVEL: return put_level(m, d, event, err);
    case VS_REC_SNAPSHOT:
    case VS_REC_MARK:
        put(m, d,
            (vs_event){
                .kind = VS_EV_MARK, .block = VS_NO_BLOCK, .name = maker_name(m, event->label)});
        return true;
    case VS_REC_ACTION_COUNT: return true;
    }
    return true;
}

bool maker_put_event(maker *m, maker_device *d, const vs_rec_event *event,
                     const vs_rec_totals *totals, vs_err *err)
{
    const bool has_reserved =
        totals != NULL && totals->reserved <= MAKER_BYTES_MAX && d->has_segments;
    if (has_reserved && totals->reserved > d->reserved) {
        maker_set_reserved(m, d, totals->reserved);
    }
    if (!put_action(m, d, event, err) ||
        (totals != NULL && !follow_allocated(m, d, totals->allocated, err))) {
        return false;
    }
    if (has_reserved) {
        maker_set_reserved(m, d, totals->reserved);
    }
    return true;
}
