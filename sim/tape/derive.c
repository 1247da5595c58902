/* sim/tape/derive.c - what every event does to the counters of its memory.
 *
 * One rule per kind of event:
 *
 *   ALLOC of a block of S bytes, asked A, into category c
 *       r = min(S, max(512, A rounded up to 512))         [1.3]
 *       GPU:  c += r, slack += S - r, allocated += S, tensors += r, reserved-free -= S
 *       host: c += S, used += S
 *   FREE_REQUESTED  allocated -= S, tensors -= r: torch counts the block no longer; its bytes, and with them
 *           its category and its slack, are held until
 *   FREE    the same as ALLOC with the signs turned, from the block's own ALLOC, but for what FREE_REQUESTED
 *           has taken away already
 *   RECAT   r moves from the block's category to the event's
 *   SEGMENT_ALLOC, _MAP / _FREE, _UNMAP   reserved and reserved-free += / -= S
 *   LEVEL   c = S, used follows
 *   PROGRESS  the progress track = S
 *
 * Fields and blocks were judged by lives.c, which has counted the samples too: here are the sums.
 *
 * A GPU whose tape has no segment event at all (a trace without them) has no notion of reserved
 * memory: its used bytes are those of blocks and levels. Invariant after every event, walked by
 * check.c: the categories of a memory add up to its used bytes.
 *
 * [n.n]: specs/torch-caching-allocator.md. */
#include "sim/tape/internal.h"

/* One event, and where its samples go. */
typedef struct {
    const event_chunk *chunk;
    uint32_t row;
    uint32_t index;
    vs_ns time_ns;
    uint64_t *out_time;
    uint64_t *out_value;
    uint32_t *out_event;
} sampling;

static inline void emit(const sampling *s, uint64_t *cursor, vs_bytes value)
{
    const uint64_t at = (*cursor)++;
    s->out_time[at] = s->time_ns;
    s->out_value[at] = value;
    s->out_event[at] = s->index;
}

/* ---- counters ---------------------------------------------------------------------- */

static inline vs_bytes used_bytes(const memory_state *m)
{
    return m->levels + (m->has_segments ? m->reserved : m->held);
}

/* Each counter of a memory is a part of what it uses, so one limit bounds them all and no sum
 * in this file can overflow. Blocks alone cannot make it unsound while they have room. */
static bool is_sound(const memory_state *m)
{
    return (!m->has_segments || m->held <= m->reserved) && used_bytes(m) <= TAPE_MAX_BYTES;
}

/* After segments or levels have changed, in a memory that is sound. */
static void set_room(memory_state *m)
{
    m->room = m->has_segments ? m->reserved : TAPE_MAX_BYTES - m->levels;
}

static const char too_large[] = "more than 2^60 bytes in one memory";

static const char *why_not_sound(const memory_state *m)
{
    return m->has_segments && m->held > m->reserved
               ? "live blocks are now larger than the segments that hold them"
               : too_large;
}

/* A block with bytes came or went, and its memory counts it already. */
static inline void emit_block(const sampling *s, const memory_state *m, const block_life *life)
{
    uint64_t *cursor = m->cursor;
    emit(s, cursor + life->category, m->category[life->category]);
    if (life->size_bytes > life->rounded_bytes) {
        emit(s, cursor + VS_CAT_SLACK, m->category[VS_CAT_SLACK]);
    }
    if (m->is_gpu && !life->is_pending) {
        emit(s, cursor + SLOT_ALLOCATED, m->allocated);
        emit(s, cursor + SLOT_TENSORS, m->tensors);
    }
    if (m->has_segments) {
        emit(s, cursor + VS_CAT_RESFREE, m->reserved - m->held);
    } else {
        emit(s, cursor + SLOT_USED, used_bytes(m));
    }
}

static inline bool is_closed(const memory_state *m, uint8_t category)
{
    return (m->closed >> category & 1u) != 0;
}

/* Slack and reserved-free follow from the others; and what LEVEL has set, blocks may not add to,
 * or "exactly" would no longer be true. */
static const char *why_closed(uint8_t category)
{
    return category == VS_CAT_SLACK || category == VS_CAT_RESFREE
               ? "this category is derived and cannot be given to a block"
               : "this category was set by a level event and cannot hold blocks too";
}

/* ---- one event ------------------------------------------------------------------------- */

/* Each returns why the event cannot be, or NULL. */

/* ALLOC and FREE in one, so that there is one emit_block, in place. */
static inline const char *step_block(const sampling *s, memory_state *m, block_life *life)
{
    const vs_bytes slack = life->size_bytes - life->rounded_bytes;
    if (s->chunk->kind[s->row] == VS_EV_FREE) {
        m->category[life->category] -= life->rounded_bytes;
        m->category[VS_CAT_SLACK] -= slack;
        m->held -= life->size_bytes;
        m->allocated -= life->is_pending ? 0 : life->size_bytes;
        m->tensors -= life->is_pending ? 0 : life->rounded_bytes;
    } else {
        const uint8_t category = s->chunk->category[s->row];
        if (is_closed(m, category)) {
            return why_closed(category);
        }
        life->category = category; /* lives.c has left the last one there */
        life->is_pending = false;
        m->category[category] += life->rounded_bytes;
        m->category[VS_CAT_SLACK] += slack;
        m->held += life->size_bytes;
        m->allocated += life->size_bytes;
        m->tensors += life->rounded_bytes;
        if (m->held > m->room) {
            return why_not_sound(m);
        }
    }
    if (life->size_bytes > 0) {
        emit_block(s, m, life);
    }
    return NULL;
}

static void step_free_requested(const sampling *s, memory_state *m, block_life *life)
{
    life->is_pending = true;
    m->allocated -= life->size_bytes;
    m->tensors -= life->rounded_bytes;
    if (m->is_gpu && life->size_bytes > 0) {
        emit(s, m->cursor + SLOT_ALLOCATED, m->allocated);
        emit(s, m->cursor + SLOT_TENSORS, m->tensors);
    }
}

static const char *step_recat(const sampling *s, memory_state *m, block_life *life)
{
    const uint8_t category = s->chunk->category[s->row];
    if (is_closed(m, category)) {
        return why_closed(category);
    }
    const uint8_t old = life->category;
    life->category = category;
    if (old == category || life->size_bytes == 0) {
        return NULL;
    }
    m->category[old] -= life->rounded_bytes;
    m->category[category] += life->rounded_bytes;
    emit(s, m->cursor + old, m->category[old]);
    emit(s, m->cursor + category, m->category[category]);
    return NULL;
}

static const char *step_segment(const sampling *s, memory_state *m)
{
    const uint8_t kind = s->chunk->kind[s->row];
    const vs_bytes size = s->chunk->size[s->row];
    const bool is_gain = kind == VS_EV_SEGMENT_ALLOC || kind == VS_EV_SEGMENT_MAP;
    if (!m->is_gpu) {
        return "only a GPU has segments";
    }
    if (!is_gain && size > m->reserved) {
        return "more is given back than was reserved";
    }
    m->reserved += is_gain ? size : 0 - size;
    if (!is_sound(m)) {
        return why_not_sound(m);
    }
    set_room(m);
    if (size > 0) {
        emit(s, m->cursor + VS_CAT_RESFREE, m->reserved - m->held);
        emit(s, m->cursor + SLOT_RESERVED, m->reserved);
        emit(s, m->cursor + SLOT_USED, used_bytes(m));
    }
    return NULL;
}

static const char *step_level(const sampling *s, memory_state *m)
{
    const uint8_t category = s->chunk->category[s->row];
    const vs_bytes size = s->chunk->size[s->row];
    const vs_bytes old = m->category[category];
    const uint32_t bit = 1u << category;
    if (category == VS_CAT_SLACK || category == VS_CAT_RESFREE) {
        return "this category is derived and cannot be set";
    }
    if (old > 0 && (m->closed & bit) == 0) {
        return "this category holds blocks and cannot be set to a level";
    }
    if (old == size) {
        return NULL;
    }
    m->category[category] = size;
    m->levels += size - old;
    m->closed = size > 0 ? m->closed | bit : m->closed & ~bit;
    if (!is_sound(m)) {
        return why_not_sound(m);
    }
    set_room(m);
    emit(s, m->cursor + category, size);
    emit(s, m->cursor + SLOT_USED, used_bytes(m));
    return NULL;
}

static void step_progress(derivation *d, const sampling *s)
{
    const vs_bytes size = s->chunk->size[s->row];
    if (size != d->progress) {
        d->progress = size;
        emit(s, &d->cursor[d->slot_count - 1], size);
    }
}

static inline const char *step(derivation *d, const sampling *s)
{
    const event_chunk *c = s->chunk;
    memory_state *m = &d->memories[c->device[s->row]];
    switch ((vs_event_kind)c->kind[s->row]) {
    case VS_EV_ALLOC:
    case VS_EV_FREE: return step_block(s, m, &d->lives[c->block[s->row]]);
    case VS_EV_RECAT: return step_recat(s, m, &d->lives[c->block[s->row]]);
    case VS_EV_FREE_REQUESTED:
        step_free_requested(s, m, &d->lives[c->block[s->row]]);
        return NULL;
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP: return step_segment(s, m);
    case VS_EV_LEVEL: return step_level(s, m);
    case VS_EV_PROGRESS: step_progress(d, s); return NULL;
    case VS_EV_OOM:
    case VS_EV_PHASE:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: return NULL;
    }
    return NULL;
}

bool derive_samples(derivation *d, const event_chunk *chunk, uint32_t first, vs_err *err)
{
    const uint32_t row_count = tape_rows_in_chunk(d->tape, chunk);
    const bool is_refused = d->refused - first < row_count; /* refused is not before first */
    const uint32_t past = is_refused ? (uint32_t)(d->refused - first) : row_count;
    sampling s = {.chunk = chunk,
                  .out_time = d->out_time,
                  .out_value = d->out_value,
                  .out_event = d->out_event};
    for (uint32_t i = 0; i < past; i++) {
        s.row = i;
        s.index = first + i;
        s.time_ns = chunk->time[i];
        const char *why = step(d, &s);
        if (why != NULL) {
            const vs_errcode code = why == too_large ? VS_ERR_LIMIT : VS_ERR_VALUE;
            return derive_fail(chunk, i, s.index, code, why, err);
        }
    }
    return !is_refused || derive_refuse(d, chunk, past, err);
}
