/* pool/stream.c - blocks used by foreign streams: their frees wait for events.
 *
 * Rules: specs/torch-caching-allocator.md [10.1, 10.2]. A note says that a stream uses a block. When the
 * free is requested, each note of the block turns into an event at the end of its stream's
 * FIFO: the same record, so a free needs no memory.
 *
 * Order between streams, which PyTorch leaves to a hash map: ascending stream handle. It can only
 * change the order of tape events, not the layout. */
#include "sim/pool/pool_internal.h"

#include <string.h>

/* ---- tables -------------------------------------------------------------------------- */

static bool grow_streams(vs_pool *pool)
{
    const uint32_t capacity = vsp_grown(pool->stream_capacity, pool->stream_count + 1u, 8);
    pool_stream *streams = VS_ARRAY(pool->arena, pool_stream, capacity);
    uint32_t *order = VS_ARRAY(pool->arena, uint32_t, capacity);
    if (streams == NULL || order == NULL) {
        return false;
    }
    if (pool->stream_count != 0) {
        memcpy(streams, pool->streams, sizeof *streams * pool->stream_count);
        memcpy(order, pool->stream_order, sizeof *order * pool->stream_count);
    }
    pool->streams = streams;
    pool->stream_order = order;
    pool->stream_capacity = capacity;
    return true;
}

/* Position in stream_order of the first handle that is not below `stream`. */
static uint32_t stream_position(const vs_pool *pool, uint64_t stream)
{
    uint32_t at = 0;
    for (uint32_t span = pool->stream_count; span > 0;) {
        const uint32_t half = span / 2;
        if (pool->streams[pool->stream_order[at + half]].stream < stream) {
            at += half + 1;
            span -= half + 1;
        } else {
            span = half;
        }
    }
    return at;
}

/* UINT32_MAX when nobody has spoken of it yet. */
static uint32_t find_stream(const vs_pool *pool, uint64_t stream)
{
    const uint32_t at = stream_position(pool, stream);
    if (at < pool->stream_count && pool->streams[pool->stream_order[at]].stream == stream) {
        return pool->stream_order[at];
    }
    return UINT32_MAX;
}

/* UINT32_MAX when the arena is exhausted. */
static uint32_t need_stream(vs_pool *pool, uint64_t stream)
{
    const uint32_t found = find_stream(pool, stream);
    if (found != UINT32_MAX) {
        return found;
    }
    if (pool->stream_count == pool->stream_capacity && !grow_streams(pool)) {
        return UINT32_MAX;
    }
    const uint32_t at = stream_position(pool, stream);
    memmove(pool->stream_order + at + 1, pool->stream_order + at,
            sizeof *pool->stream_order * (pool->stream_count - at));
    pool->stream_order[at] = pool->stream_count;
    pool->streams[pool->stream_count] = (pool_stream){.stream = stream};
    return pool->stream_count++;
}

/* 0 when the arena is exhausted. */
static uint32_t take_note(vs_pool *pool)
{
    uint32_t note = pool->note_unused;
    if (note != 0) {
        pool->note_unused = pool->notes[note].next;
        return note;
    }
    if (pool->note_count >= pool->note_capacity) {
        const uint32_t capacity = vsp_grown(pool->note_capacity, pool->note_count + 1u, 32);
        pool_note *notes = VS_ARRAY(pool->arena, pool_note, capacity);
        if (notes == NULL) {
            return 0;
        }
        if (pool->notes != NULL) {
            memcpy(notes, pool->notes, sizeof *notes * pool->note_count);
        }
        pool->notes = notes;
        pool->note_capacity = capacity;
    }
    return pool->note_count++;
}

static void give_note(vs_pool *pool, uint32_t note)
{
    pool->notes[note].next = pool->note_unused;
    pool->note_unused = note;
}

/* ---- noting and recording -------------------------------------------------------------- */

bool vs_pool_record_stream(vs_pool *pool, vs_block handle, uint64_t stream)
{
    const uint32_t slot = vsp_live_slot(pool, handle);
    vs_assert(pool->blocks[slot].state == SLOT_ALLOCATED);
    if (vsp_home_of(pool, slot)->stream == stream) {
        return true; /* its own stream [10.1] */
    }
    const uint32_t index = need_stream(pool, stream);
    if (index == UINT32_MAX) {
        return false;
    }
    uint32_t note = pool->blocks[slot].used.notes;
    for (; note != 0; note = pool->notes[note].next) {
        if (pool->notes[note].stream == index) {
            return true;
        }
    }
    note = take_note(pool);
    if (note == 0) {
        return false;
    }
    pool->notes[note] =
        (pool_note){.next = pool->blocks[slot].used.notes, .block = slot, .stream = index};
    pool->blocks[slot].used.notes = note;
    return true;
}

void vs_pool_stream_busy(vs_pool *pool, uint64_t stream)
{
    const uint32_t index = need_stream(pool, stream);
    if (index == UINT32_MAX) {
        pool->is_exhausted = true; /* the next allocation reports it */
        return;
    }
    pool->streams[index].is_busy = true;
}

void vs_pool_stream_done(vs_pool *pool, uint64_t stream)
{
    const uint32_t index = find_stream(pool, stream);
    if (index != UINT32_MAX) {
        pool->streams[index].is_busy = false;
        pool->streams[index].unfinished = 0;
    }
}

void vsp_record_events(vs_pool *pool, uint32_t slot)
{
    uint32_t note = pool->blocks[slot].used.notes;
    pool->blocks[slot].used.notes = 0;
    while (note != 0) {
        const uint32_t next = pool->notes[note].next;
        pool_stream *stream = &pool->streams[pool->notes[note].stream];
        pool->notes[note].next = 0;
        if (stream->count == 0) {
            stream->head = note;
        } else {
            pool->notes[stream->tail].next = note;
        }
        stream->tail = note;
        stream->count++;
        stream->unfinished += stream->is_busy ? 1u : 0u;
        pool->event_total++;
        pool->blocks[slot].event_count++;
        note = next;
    }
}

/* ---- finishing ------------------------------------------------------------------------------ */

/* Takes events off the front of a FIFO until `keep` are left; frees complete with their last event. */
static void finish_events(vs_pool *pool, pool_stream *stream, uint32_t keep)
{
    while (stream->count > keep) {
        const uint32_t note = stream->head;
        const uint32_t slot = pool->notes[note].block;
        stream->head = pool->notes[note].next;
        stream->count--;
        pool->event_total--;
        give_note(pool, note);
        pool->blocks[slot].event_count--;
        if (pool->blocks[slot].event_count == 0) {
            vsp_complete_pending(pool, slot);
        }
    }
}

void vsp_process_events(vs_pool *pool)
{
    for (uint32_t i = 0; i < pool->stream_count; i++) {
        pool_stream *stream = &pool->streams[pool->stream_order[i]];
        finish_events(pool, stream, stream->unfinished);
    }
}

void vsp_synchronize_events(vs_pool *pool)
{
    for (uint32_t i = 0; i < pool->stream_count; i++) {
        pool_stream *stream = &pool->streams[pool->stream_order[i]];
        stream->unfinished = 0;
        finish_events(pool, stream, 0);
    }
    if (pool->driver.synchronize != NULL) {
        pool->driver.synchronize(pool->driver.ctx);
    }
}
