/* sim/tape/derive.c - what every event does to the counters of its memory.
 *
 * One rule per kind of event:
 *
 *   ALLOC of a block of S bytes, asked A, into category c
 *       r = min(S, max(512, A rounded up to 512))         [1.3]
 *       GPU:  c += r, slack += S - r, allocated += S, tensors += r, reserved-free -= S
 *       host: c += S, used += S
 *   FREE    the same with the signs turned, from the block's own ALLOC
 *   RECAT   r moves from the block's category to the event's
 *   SEGMENT_ALLOC, _MAP / _FREE, _UNMAP   reserved and reserved-free += / -= S
 *   LEVEL   c = S, used follows
 *   PROGRESS  the progress track = S
 *
 * A GPU whose tape has no segment event at all (a trace without them) has no notion of reserved
 * memory: its used bytes are those of blocks and levels. Invariant after every event, walked by
 * check.c: the categories of a memory add up to its used bytes.
 *
 * [n.n]: specs/torch-caching-allocator.md. */
#include "sim/tape/internal.h"

#include <string.h>

#define REQUEST_GRANULE UINT64_C(512) /* kMinBlockSize [1.1] */
#define NEVER           UINT32_MAX

_Static_assert(VS_CAT_COUNT <= 32, "memory_state.levelled has a bit for every category");

bool derive_init(derivation *d, const vs_tape *tape, vs_arena *arena, vs_err *err)
{
    if (tape->block_count > 0 && tape->device_count == 0) {
        return vs_fail(err, VS_ERR_VALUE, "the tape has blocks but no memory to hold them");
    }
    *d = (derivation){.tape = tape, .event_count = tape_event_count(tape)};
    d->slot_count = tape->device_count > 0 ? tape->device_count * SLOTS_PER_DEVICE + 1 : 0;
    d->memories = VS_ARRAY(arena, memory_state, tape->device_count);
    d->lives = VS_ARRAY(arena, block_life, tape->block_count);
    d->cursor = VS_ARRAY(arena, uint64_t, d->slot_count);
    if (d->memories == NULL || d->lives == NULL || d->cursor == NULL) {
        return vs_fail_memory(err, arena, "the counters of a tape");
    }
    derive_rewind(d);
    return true;
}

void derive_rewind(derivation *d)
{
    const uint32_t segment_kinds = 1u << VS_EV_SEGMENT_ALLOC | 1u << VS_EV_SEGMENT_FREE |
                                   1u << VS_EV_SEGMENT_MAP | 1u << VS_EV_SEGMENT_UNMAP;
    for (uint32_t i = 0; i < d->tape->device_count; i++) {
        d->memories[i] = (memory_state){
            .first_slot = i * SLOTS_PER_DEVICE,
            .is_gpu = d->tape->devices[i].kind == VS_DEVICE_GPU,
            .has_segments = (d->tape->kinds_seen[i] & segment_kinds) != 0,
        };
    }
    for (uint32_t i = 0; i < d->tape->block_count; i++) {
        d->lives[i] = (block_life){.born_event = NEVER, .dead_event = NEVER};
    }
    d->progress = 0;
}

bool tape_kind_has_block(uint8_t kind)
{
    return kind == VS_EV_ALLOC || kind == VS_EV_FREE || kind == VS_EV_RECAT;
}

vs_bytes tape_rounded_request(vs_bytes asked_bytes, vs_bytes size_bytes, bool is_gpu)
{
    if (!is_gpu || asked_bytes >= size_bytes) {
        return size_bytes;
    }
    /* asked < size <= 2^60 here, so the sum does not overflow */
    vs_bytes rounded = (asked_bytes + REQUEST_GRANULE - 1) / REQUEST_GRANULE * REQUEST_GRANULE;
    rounded = rounded > 0 ? rounded : REQUEST_GRANULE;
    return rounded < size_bytes ? rounded : size_bytes;
}

static bool fail_event(vs_err *err, const vs_event *event, uint32_t index, vs_errcode code,
                       const char *why)
{
    const char *kind = vs_event_kind_key((vs_event_kind)event->kind);
    if (tape_kind_has_block(event->kind)) {
        return vs_fail(err, code,
                       "event %" PRIu32 " (%s of block %" PRIu32 " on memory %u at %" PRIu64
                       " ns, %" PRIu64 " bytes): %s",
                       index, kind, event->block, (unsigned)event->device, event->time_ns,
                       event->size_bytes, why);
    }
    return vs_fail(err, code,
                   "event %" PRIu32 " (%s on memory %u at %" PRIu64 " ns, %" PRIu64
                   " bytes): %s",
                   index, kind[0] != '\0' ? kind : "of unknown kind", (unsigned)event->device,
                   event->time_ns, event->size_bytes, why);
}

/* ---- counters ---------------------------------------------------------------------- */

static inline vs_bytes used_bytes(const memory_state *m)
{
    return m->levels + (m->has_segments ? m->reserved : m->allocated);
}

static inline void emit(derivation *d, uint32_t slot, vs_bytes value, const vs_event *event,
                        uint32_t index)
{
    const uint64_t at = d->cursor[slot];
    d->cursor[slot] = at + 1;
    if (d->out_value != NULL) {
        d->out_time[at] = event->time_ns;
        d->out_value[at] = value;
        d->out_event[at] = index;
    }
}

/* Each counter of a memory is a part of what it uses, so one limit bounds them all and no sum
 * in this file can overflow. */
static bool check_memory(const memory_state *m, const vs_event *event, uint32_t index,
                         vs_err *err)
{
    if (m->has_segments && m->allocated > m->reserved) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          "live blocks are now larger than the segments that hold them");
    }
    if (used_bytes(m) > TAPE_MAX_BYTES) {
        return fail_event(err, event, index, VS_ERR_LIMIT,
                          "more than 2^60 bytes in one memory");
    }
    return true;
}

/* Gives a block's bytes to its memory or takes them back; the arithmetic is modulo 2^64, so
 * taking is giving the negative. */
static bool charge(derivation *d, const block_life *life, bool is_gain, const vs_event *event,
                   uint32_t index, vs_err *err)
{
    memory_state *m = &d->memories[life->device];
    const vs_bytes slack = life->size_bytes - life->rounded_bytes;
    m->category[life->category] += is_gain ? life->rounded_bytes : 0 - life->rounded_bytes;
    m->allocated += is_gain ? life->size_bytes : 0 - life->size_bytes;
    m->tensors += is_gain ? life->rounded_bytes : 0 - life->rounded_bytes;
    if (is_gain && !check_memory(m, event, index, err)) {
        return false;
    }
    if (life->size_bytes == 0) {
        return true;
    }
    const uint32_t slot = m->first_slot;
    emit(d, slot + life->category, m->category[life->category], event, index);
    if (slack > 0) {
        m->category[VS_CAT_SLACK] += is_gain ? slack : 0 - slack;
        emit(d, slot + VS_CAT_SLACK, m->category[VS_CAT_SLACK], event, index);
    }
    if (m->is_gpu) {
        emit(d, slot + SLOT_ALLOCATED, m->allocated, event, index);
        emit(d, slot + SLOT_TENSORS, m->tensors, event, index);
    }
    if (m->has_segments) {
        m->category[VS_CAT_RESFREE] = m->reserved - m->allocated;
        emit(d, slot + VS_CAT_RESFREE, m->category[VS_CAT_RESFREE], event, index);
    } else {
        emit(d, slot + SLOT_USED, used_bytes(m), event, index);
    }
    return true;
}

/* Slack and reserved-free follow from the others; and what LEVEL has set, blocks may not add to,
 * or "exactly" would no longer be true. */
static const char *why_not_for_blocks(const memory_state *m, uint8_t category)
{
    if (category == VS_CAT_SLACK || category == VS_CAT_RESFREE) {
        return "this category is derived and cannot be given to a block";
    }
    if ((m->levelled >> category & 1u) != 0) {
        return "this category was set by a level event and cannot hold blocks too";
    }
    return NULL;
}

/* ---- one event ------------------------------------------------------------------------- */

static bool step_alloc(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    memory_state *m = &d->memories[event->device];
    block_life *life = &d->lives[event->block];
    if (life->born_event != NEVER) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          life->dead_event == NEVER ? "the block is alive already"
                                                    : "the block has lived and died already");
    }
    const char *why_not = why_not_for_blocks(m, event->category);
    if (why_not != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why_not);
    }
    *life = (block_life){
        .size_bytes = event->size_bytes,
        .rounded_bytes = tape_rounded_request(event->asked_bytes, event->size_bytes, m->is_gpu),
        .born_event = index,
        .dead_event = NEVER,
        .name = event->name,
        .device = event->device,
        .category = event->category,
    };
    return charge(d, life, true, event, index, err);
}

static const char *why_not_alive(const block_life *life, const vs_event *event)
{
    if (life->born_event == NEVER) {
        return "the block was never allocated";
    }
    if (life->dead_event != NEVER) {
        return "the block was freed already";
    }
    return life->device != event->device ? "the block lives on another memory" : NULL;
}

static bool step_free(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    block_life *life = &d->lives[event->block];
    const char *why_not = why_not_alive(life, event);
    if (why_not != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why_not);
    }
    life->dead_event = index;
    return charge(d, life, false, event, index, err);
}

static bool step_recat(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    memory_state *m = &d->memories[event->device];
    block_life *life = &d->lives[event->block];
    const char *why_not = why_not_alive(life, event);
    if (why_not == NULL) {
        why_not = why_not_for_blocks(m, event->category);
    }
    if (why_not != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why_not);
    }
    const uint8_t old = life->category;
    if (old == event->category || life->rounded_bytes == 0) {
        life->category = event->category;
        return true;
    }
    m->category[old] -= life->rounded_bytes;
    m->category[event->category] += life->rounded_bytes;
    life->category = event->category;
    emit(d, m->first_slot + old, m->category[old], event, index);
    emit(d, m->first_slot + event->category, m->category[event->category], event, index);
    return true;
}

static bool step_segment(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    memory_state *m = &d->memories[event->device];
    const bool is_gain = event->kind == VS_EV_SEGMENT_ALLOC || event->kind == VS_EV_SEGMENT_MAP;
    if (!m->is_gpu) {
        return fail_event(err, event, index, VS_ERR_VALUE, "only a GPU has segments");
    }
    if (!is_gain && event->size_bytes > m->reserved) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          "more is given back than was reserved");
    }
    m->reserved += is_gain ? event->size_bytes : 0 - event->size_bytes;
    if (!check_memory(m, event, index, err)) {
        return false;
    }
    if (event->size_bytes > 0) {
        m->category[VS_CAT_RESFREE] = m->reserved - m->allocated;
        emit(d, m->first_slot + VS_CAT_RESFREE, m->category[VS_CAT_RESFREE], event, index);
        emit(d, m->first_slot + SLOT_RESERVED, m->reserved, event, index);
        emit(d, m->first_slot + SLOT_USED, used_bytes(m), event, index);
    }
    return true;
}

static bool step_level(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    memory_state *m = &d->memories[event->device];
    const uint8_t category = event->category;
    const vs_bytes old = m->category[category];
    if (category == VS_CAT_SLACK || category == VS_CAT_RESFREE) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          "this category is derived and cannot be set");
    }
    if (old > 0 && (m->levelled >> category & 1u) == 0) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          "this category holds blocks and cannot be set to a level");
    }
    if (old == event->size_bytes) {
        return true;
    }
    m->category[category] = event->size_bytes;
    m->levels += event->size_bytes - old;
    m->levelled &= ~(1u << category);
    m->levelled |= event->size_bytes > 0 ? 1u << category : 0u;
    if (!check_memory(m, event, index, err)) {
        return false;
    }
    emit(d, m->first_slot + category, event->size_bytes, event, index);
    emit(d, m->first_slot + SLOT_USED, used_bytes(m), event, index);
    return true;
}

static bool check_event(const derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    const char *why = NULL;
    if (event->kind >= VS_EV_COUNT) {
        why = "the kind is unknown";
    } else if (event->device >= d->tape->device_count) {
        why = "there is no such memory";
    } else if (event->category >= VS_CAT_COUNT) {
        why = "there is no such category";
    } else if (event->name >= d->tape->strings.count) {
        why = "the name is no string of this tape";
    } else if (event->flags != 0) {
        why = "flags are reserved and must be 0";
    } else if (tape_kind_has_block(event->kind) && event->block >= d->tape->block_count) {
        why = "there is no such block";
    }
    if (why != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why);
    }
    if (event->size_bytes > TAPE_MAX_BYTES) {
        return fail_event(err, event, index, VS_ERR_LIMIT, "a size above 2^60 bytes");
    }
    return true;
}

bool derive_step(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    if (!check_event(d, event, index, err)) {
        return false;
    }
    switch ((vs_event_kind)event->kind) {
    case VS_EV_ALLOC: return step_alloc(d, event, index, err);
    case VS_EV_FREE: return step_free(d, event, index, err);
    case VS_EV_RECAT: return step_recat(d, event, index, err);
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP: return step_segment(d, event, index, err);
    case VS_EV_LEVEL: return step_level(d, event, index, err);
    case VS_EV_PROGRESS:
        if (event->size_bytes != d->progress) {
            d->progress = event->size_bytes;
            emit(d, d->slot_count - 1, d->progress, event, index);
        }
        return true;
    case VS_EV_OOM:
    case VS_EV_PHASE:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: return true;
    }
    return true;
}
