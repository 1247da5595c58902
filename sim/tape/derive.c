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
 * So how many samples an event makes follows from its kind, its category and whether the block has bytes and slack,
 * without any sum: that is what derive_count counts before derive_step works the values out.
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
    const uint32_t segment_kinds = 1u << VS_EV_SEGMENT_ALLOC | 1u << VS_EV_SEGMENT_FREE |
                                   1u << VS_EV_SEGMENT_MAP | 1u << VS_EV_SEGMENT_UNMAP;
    *d = (derivation){.tape = tape, .event_count = tape_event_count(tape)};
    d->slot_count = tape->device_count > 0 ? tape->device_count * SLOTS_PER_DEVICE + 1 : 0;
    d->memories = VS_ARRAY(arena, memory_state, tape->device_count);
    d->lives = VS_ARRAY(arena, block_life, tape->block_count);
    d->cursor = VS_ARRAY(arena, uint64_t, d->slot_count);
    if (d->memories == NULL || d->lives == NULL || d->cursor == NULL) {
        return vs_fail_memory(err, arena, "the counters of a tape");
    }
    for (uint32_t i = 0; i < tape->device_count; i++) {
        d->memories[i] = (memory_state){
            .first_slot = i * SLOTS_PER_DEVICE,
            .is_gpu = tape->devices[i].kind == VS_DEVICE_GPU,
            .has_segments = (tape->kinds_seen[i] & segment_kinds) != 0,
        };
    }
    return true;
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

/* ---- counting samples --------------------------------------------------------------- */

/* What is kept of a block here: its category and these bits. */
enum { CATEGORY_BITS = 0x1f, HAS_SLACK = 0x20, HAS_BYTES = 0x40, IS_BORN = 0x80 };

/* Of one memory. */
typedef struct {
    uint64_t blocks; /* blocks with bytes that come or go */
    uint64_t slack;  /* of those, the ones with slack */
    uint64_t segments;
    uint64_t levels;
    uint64_t category[VS_CAT_COUNT]; /* samples */
    vs_bytes level[VS_CAT_COUNT];    /* at this moment */
} memory_count;

typedef struct {
    const derivation *d;
    memory_count *memories;
    uint8_t *blocks;
    vs_bytes progress;
    uint64_t progress_samples;
} sample_counter;

static inline void count_block(memory_count *m, uint8_t block)
{
    const uint64_t has_bytes = (block & HAS_BYTES) != 0;
    m->blocks += has_bytes;
    m->category[block & CATEGORY_BITS] += has_bytes;
    m->slack += (block & HAS_SLACK) != 0;
}

static inline void count_recat(memory_count *m, uint8_t *block, uint8_t category)
{
    const uint8_t old = *block & CATEGORY_BITS;
    const uint64_t is_moved = (*block & HAS_BYTES) != 0 && old != category;
    m->category[old] += is_moved;
    m->category[category] += is_moved;
    *block = (uint8_t)((*block & ~CATEGORY_BITS) | category);
}

static inline void count_alloc(const sample_counter *c, memory_count *m, const vs_event *event)
{
    const bool is_gpu = c->d->memories[event->device].is_gpu;
    const vs_bytes rounded =
        tape_rounded_request(event->asked_bytes, event->size_bytes, is_gpu);
    const unsigned slack = event->size_bytes > rounded ? HAS_SLACK : 0;
    const unsigned bytes = event->size_bytes > 0 ? HAS_BYTES : 0;
    c->blocks[event->block] = (uint8_t)(event->category | slack | bytes | IS_BORN);
    count_block(m, c->blocks[event->block]);
}

static inline void count_level(memory_count *m, const vs_event *event)
{
    const uint64_t is_changed = m->level[event->category] != event->size_bytes;
    m->category[event->category] += is_changed;
    m->levels += is_changed;
    m->level[event->category] = event->size_bytes;
}

/* False: derive_step will refuse this event, if not an earlier one. */
static inline bool count_event(sample_counter *c, const vs_event *event)
{
    const vs_tape *tape = c->d->tape;
    if (event->device >= tape->device_count || event->category >= VS_CAT_COUNT ||
        (tape_kind_has_block(event->kind) && event->block >= tape->block_count)) {
        return false;
    }
    memory_count *m = &c->memories[event->device];
    switch ((vs_event_kind)event->kind) {
    case VS_EV_ALLOC: count_alloc(c, m, event); break;
    case VS_EV_FREE: count_block(m, c->blocks[event->block]); break;
    case VS_EV_RECAT: count_recat(m, &c->blocks[event->block], event->category); break;
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP: m->segments += event->size_bytes > 0; break;
    case VS_EV_LEVEL: count_level(m, event); break;
    case VS_EV_PROGRESS:
        c->progress_samples += event->size_bytes != c->progress;
        c->progress = event->size_bytes;
        break;
    case VS_EV_OOM:
    case VS_EV_PHASE:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: break;
    }
    return true;
}

static void count_events(sample_counter *c)
{
    const vs_tape *tape = c->d->tape;
    for (const event_chunk *chunk = tape->first_events; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = tape_rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            if (!count_event(c, &chunk->rows[i])) {
                return;
            }
        }
    }
}

/* The tracks that a memory's events write to, see emit_block, step_segment and step_level. */
static void put_counts(const memory_count *m, const memory_state *memory, uint64_t *slots)
{
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        slots[i] = m->category[i];
    }
    slots[VS_CAT_SLACK] += m->slack;
    slots[SLOT_ALLOCATED] = memory->is_gpu ? m->blocks : 0;
    slots[SLOT_TENSORS] = memory->is_gpu ? m->blocks : 0;
    slots[SLOT_RESERVED] = m->segments;
    slots[VS_CAT_RESFREE] += m->segments + (memory->has_segments ? m->blocks : 0);
    slots[SLOT_USED] = m->segments + m->levels + (memory->has_segments ? 0 : m->blocks);
}

bool derive_count(derivation *d, vs_arena *arena, vs_err *err)
{
    const vs_tape *tape = d->tape;
    sample_counter c = {.d = d};
    c.memories = VS_ARRAY(arena, memory_count, tape->device_count);
    c.blocks = VS_ARRAY(arena, uint8_t, tape->block_count);
    if (c.memories == NULL || c.blocks == NULL) {
        return vs_fail_memory(err, arena, "the counters of a tape");
    }
    count_events(&c);
    for (uint32_t i = 0; i < tape->device_count; i++) {
        put_counts(&c.memories[i], &d->memories[i], d->cursor + d->memories[i].first_slot);
    }
    if (d->slot_count > 0) {
        d->cursor[d->slot_count - 1] = c.progress_samples;
    }
    return true;
}

/* ---- counters ---------------------------------------------------------------------- */

static inline vs_bytes used_bytes(const memory_state *m)
{
    return m->levels + (m->has_segments ? m->reserved : m->allocated);
}

static inline void emit(derivation *d, uint32_t slot, vs_bytes value, vs_ns time_ns,
                        uint32_t index)
{
    const uint64_t at = d->cursor[slot]++;
    d->out_time[at] = time_ns;
    d->out_value[at] = value;
    d->out_event[at] = index;
}

/* Each counter of a memory is a part of what it uses, so one limit bounds them all and no sum
 * in this file can overflow. */
static inline bool is_sound(const memory_state *m)
{
    return (!m->has_segments || m->allocated <= m->reserved) && used_bytes(m) <= TAPE_MAX_BYTES;
}

static bool fail_memory(const memory_state *m, const vs_event *event, uint32_t index,
                        vs_err *err)
{
    if (m->has_segments && m->allocated > m->reserved) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          "live blocks are now larger than the segments that hold them");
    }
    return fail_event(err, event, index, VS_ERR_LIMIT, "more than 2^60 bytes in one memory");
}

/* A block with bytes came or went, and its memory counts it already. */
static inline void emit_block(derivation *d, memory_state *m, const block_life *life,
                              vs_ns time_ns, uint32_t index)
{
    const uint32_t slot = m->first_slot;
    emit(d, slot + life->category, m->category[life->category], time_ns, index);
    if (life->size_bytes > life->rounded_bytes) {
        emit(d, slot + VS_CAT_SLACK, m->category[VS_CAT_SLACK], time_ns, index);
    }
    if (m->is_gpu) {
        emit(d, slot + SLOT_ALLOCATED, m->allocated, time_ns, index);
        emit(d, slot + SLOT_TENSORS, m->tensors, time_ns, index);
    }
    if (m->has_segments) {
        m->category[VS_CAT_RESFREE] = m->reserved - m->allocated;
        emit(d, slot + VS_CAT_RESFREE, m->category[VS_CAT_RESFREE], time_ns, index);
    } else {
        emit(d, slot + SLOT_USED, used_bytes(m), time_ns, index);
    }
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
    if (life->state != LIFE_UNBORN) {
        return fail_event(err, event, index, VS_ERR_VALUE,
                          life->state == LIFE_ALIVE ? "the block is alive already"
                                                    : "the block has lived and died already");
    }
    const char *why_not = why_not_for_blocks(m, event->category);
    if (why_not != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why_not);
    }
    const vs_bytes size = event->size_bytes;
    const vs_bytes rounded = tape_rounded_request(event->asked_bytes, size, m->is_gpu);
    *life = (block_life){.size_bytes = size,
                         .rounded_bytes = rounded,
                         .device = event->device,
                         .category = event->category,
                         .state = LIFE_ALIVE};
    d->blocks[event->block] = (vs_block_info){
        .born_event = index, .dead_event = NEVER, .name = event->name, .device = event->device};
    m->category[event->category] += rounded;
    m->category[VS_CAT_SLACK] += size - rounded;
    m->allocated += size;
    m->tensors += rounded;
    if (!is_sound(m)) {
        return fail_memory(m, event, index, err);
    }
    if (size > 0) {
        emit_block(d, m, life, event->time_ns, index);
    }
    return true;
}

static inline const char *why_not_alive(const block_life *life, const vs_event *event)
{
    if (life->state == LIFE_ALIVE && life->device == event->device) {
        return NULL;
    }
    if (life->state == LIFE_UNBORN) {
        return "the block was never allocated";
    }
    return life->state == LIFE_DEAD ? "the block was freed already"
                                    : "the block lives on another memory";
}

static bool step_free(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    block_life *life = &d->lives[event->block];
    const char *why_not = why_not_alive(life, event);
    if (why_not != NULL) {
        return fail_event(err, event, index, VS_ERR_VALUE, why_not);
    }
    memory_state *m = &d->memories[event->device];
    life->state = LIFE_DEAD;
    d->blocks[event->block].dead_event = index;
    m->category[life->category] -= life->rounded_bytes;
    m->category[VS_CAT_SLACK] -= life->size_bytes - life->rounded_bytes;
    m->allocated -= life->size_bytes;
    m->tensors -= life->rounded_bytes;
    if (life->size_bytes > 0) {
        emit_block(d, m, life, event->time_ns, index);
    }
    return true;
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
    life->category = event->category;
    if (old == event->category || life->size_bytes == 0) {
        return true;
    }
    m->category[old] -= life->rounded_bytes;
    m->category[event->category] += life->rounded_bytes;
    emit(d, m->first_slot + old, m->category[old], event->time_ns, index);
    emit(d, m->first_slot + event->category, m->category[event->category], event->time_ns,
         index);
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
    if (!is_sound(m)) {
        return fail_memory(m, event, index, err);
    }
    if (event->size_bytes > 0) {
        m->category[VS_CAT_RESFREE] = m->reserved - m->allocated;
        emit(d, m->first_slot + VS_CAT_RESFREE, m->category[VS_CAT_RESFREE], event->time_ns,
             index);
        emit(d, m->first_slot + SLOT_RESERVED, m->reserved, event->time_ns, index);
        emit(d, m->first_slot + SLOT_USED, used_bytes(m), event->time_ns, index);
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
    if (!is_sound(m)) {
        return fail_memory(m, event, index, err);
    }
    emit(d, m->first_slot + category, event->size_bytes, event->time_ns, index);
    emit(d, m->first_slot + SLOT_USED, used_bytes(m), event->time_ns, index);
    return true;
}

/* The usual answer first: the fields name things that exist. */
static inline bool is_plain(const derivation *d, const vs_event *event)
{
    const vs_tape *tape = d->tape;
    return (event->kind < VS_EV_COUNT) & (event->device < tape->device_count) &
           (event->category < VS_CAT_COUNT) & (event->name < tape->strings.count) &
           (event->flags == 0) & (event->size_bytes <= TAPE_MAX_BYTES) &
           (!tape_kind_has_block(event->kind) | (event->block < tape->block_count));
}

static bool fail_fields(const derivation *d, const vs_event *event, uint32_t index, vs_err *err)
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
    return fail_event(err, event, index, VS_ERR_LIMIT, "a size above 2^60 bytes");
}

bool derive_step(derivation *d, const vs_event *event, uint32_t index, vs_err *err)
{
    if (!is_plain(d, event)) {
        return fail_fields(d, event, index, err);
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
            emit(d, d->slot_count - 1, d->progress, event->time_ns, index);
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
