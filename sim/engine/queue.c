/* engine/queue.c - events in order: an implicit 4-ary heap for the future, five lanes for now.
 *
 *      heap of keys (time, rank | seq | slot)          lanes of the present instant
 *                    [0]                               RELEASE  s4 - s9
 *         [1]    [2]     [3]     [4]                   ARRIVE   (empty)
 *      [5 .. 8] [9 .. 12] ...                          STEP     s1 - s7 - s2
 *                                                      SETTLE   (empty), then links share anew
 *      slots: handler, ctx, arg, handle                SAMPLE   s3
 *      where: slot -> heap index, or lane and neighbour
 *
 * A key carries its slot, a slot knows where its key is: cancel and reschedule need no
 * search. The four children of a node share one cache line. Keys beyond the end compare
 * greater than any event, so every node has four children to look at.
 *
 * When the clock moves to t, everything due at t leaves the heap in key order for the lanes;
 * after that nothing in the heap is due at t, since what is scheduled for t goes straight to
 * its lane. Appending keeps each lane in order of seq, and the lowest lane that holds
 * something is served first: execution is by (time, rank, seq) among what is known.
 *
 * A lone event due at t skips the lanes. The root it leaves is a hole, which the next
 * insertion fills (heap_insert) or the next look at the heap closes (heap_close_hole). The
 * key left in the hole is due now, hence less than all others: keys that rise stop below it.
 *
 * Invariants (vs_engine_check walks them):
 *   1. no key is less than its parent; keys[0] counts only when there is no hole;
 *   2. four keys from the end on are KEY_BEYOND;
 *   3. where[slot] is the index of the key with that slot, or names its lane neighbour;
 *   4. lanes are linked both ways, lane_mask says which are not empty, and that links wait to share anew;
 *   5. every slot but 0 is exactly one of free, in the heap, in a lane;
 *   6. no key is due now or earlier. */
#include "sim/engine/engine_internal.h"

#include <string.h>

#define LINE_BYTES  64
/* Keys in front of keys[0] so that keys[1] starts a cache line. */
#define KEYS_AHEAD  ((LINE_BYTES / sizeof(queue_key)) - 1)
#define KEYS_BEYOND 4

void *vs_engine_enlarge(vs_engine *engine, const void *old, size_t old_count, size_t new_count,
                        size_t elem_bytes)
{
    void *wider = vs_arena_array(engine->arena, new_count, elem_bytes, LINE_BYTES);
    if (wider != NULL && old_count > 0) {
        memcpy(wider, old, old_count * elem_bytes);
    }
    return wider;
}

/* Room for capacity slots, the present content copied over. */
static bool queue_resize(vs_engine *engine, uint32_t capacity)
{
    event_queue *q = &engine->queue;
    const size_t key_count = KEYS_AHEAD + capacity + KEYS_BEYOND;
    queue_key *keys = vs_arena_array(engine->arena, key_count, sizeof *keys, LINE_BYTES);
    event_slot *slots =
        vs_engine_enlarge(engine, q->slots, q->capacity, capacity, sizeof *slots);
    uint32_t *where = vs_engine_enlarge(engine, q->where, q->capacity, capacity, sizeof *where);
    uint32_t *next = vs_engine_enlarge(engine, q->next, q->capacity, capacity, sizeof *next);
    if (keys == NULL || slots == NULL || where == NULL || next == NULL) {
        return vs_engine_fail(engine, FAILURE_MEMORY, "event queue");
    }
    keys += KEYS_AHEAD;
    for (uint32_t i = 0; i < q->count; i++) {
        keys[i] = q->keys[i];
    }
    for (uint32_t i = q->count; i < capacity + KEYS_BEYOND; i++) {
        keys[i] = KEY_BEYOND;
    }
    /* New slots are handed out in ascending order, before those freed earlier: none is free. */
    const uint32_t first = q->capacity == 0 ? 1 : q->capacity;
    for (uint32_t slot = first; slot < capacity; slot++) {
        next[slot] = slot + 1 < capacity ? slot + 1 : q->free_head;
    }
    q->free_head = first;
    q->keys = keys;
    q->slots = slots;
    q->where = where;
    q->next = next;
    q->capacity = capacity;
    return true;
}

bool vs_queue_init(vs_engine *engine, uint32_t expected_events)
{
    const uint32_t wanted = expected_events < SLOT_LIMIT ? expected_events : SLOT_LIMIT - 1;
    return queue_resize(engine, wanted + 1);
}

bool vs_queue_grow(vs_engine *engine)
{
    const uint32_t capacity = engine->queue.capacity;
    if (capacity >= SLOT_LIMIT) {
        return vs_engine_fail(engine, FAILURE_LIMIT,
                              "at most 2^24 - 2 events are pending at once");
    }
    return queue_resize(engine, capacity < SLOT_LIMIT / 2 ? capacity * 2 : SLOT_LIMIT);
}

/* Puts key in the place of the one at i, which moves up or down as need be. */
void vs_queue_replace(event_queue *q, uint32_t i, queue_key key)
{
    if (i > 0 && key_less(&key, &q->keys[(i - 1) / 4])) {
        key_rise(q, i, key);
    } else {
        key_sink(q, i, key);
    }
}

static void heap_remove(event_queue *q, uint32_t slot)
{
    const uint32_t i = q->where[slot];
    q->count--;
    const queue_key last = q->keys[q->count];
    q->keys[q->count] = KEY_BEYOND;
    if (i != q->count) {
        vs_queue_replace(q, i, last);
    }
}

static void lane_remove(event_queue *q, uint32_t slot)
{
    const uint32_t lane = (q->where[slot] & ~IN_LANE) >> SLOT_BITS;
    const uint32_t before = q->where[slot] & SLOT_MASK;
    const uint32_t after = q->next[slot];
    if (before == 0) {
        q->lane_head[lane] = after;
    } else {
        q->next[before] = after;
    }
    if (after == 0) {
        q->lane_tail[lane] = before;
    } else {
        q->where[after] = (q->where[after] & ~SLOT_MASK) | before;
    }
    if (q->lane_head[lane] == 0) {
        q->lane_mask &= ~(UINT32_C(1) << lane);
    }
}

void vs_queue_detach(event_queue *q, uint32_t slot)
{
    if ((q->where[slot] & IN_LANE) != 0) {
        lane_remove(q, slot);
    } else {
        heap_remove(q, slot);
    }
}

/* ---- the public side ------------------------------------------------------------------------ */

vs_timer vs_engine_at(vs_engine *engine, vs_ns time, vs_rank rank, vs_handler handler,
                      void *ctx, uint64_t arg)
{
    vs_assert(time >= engine->now && time != VS_NS_NEVER);
    vs_assert((unsigned)rank < VS_RANK_COUNT && handler != NULL);
    return event_schedule(engine, time, rank, handler, ctx, arg);
}

vs_timer vs_engine_after(vs_engine *engine, vs_ns delay, vs_rank rank, vs_handler handler,
                         void *ctx, uint64_t arg)
{
    return vs_engine_at(engine, time_after(engine, delay), rank, handler, ctx, arg);
}

bool vs_engine_is_pending(const vs_engine *engine, vs_timer timer)
{
    return slot_of(&engine->queue, timer) != 0;
}

bool vs_engine_cancel(vs_engine *engine, vs_timer timer)
{
    event_queue *q = &engine->queue;
    const uint32_t slot = slot_of(q, timer);
    if (slot == 0) {
        return false;
    }
    vs_queue_detach(q, slot);
    slot_release(q, slot);
    return true;
}

/* The rank of a pending event: its lane says, or its key. */
static uint32_t rank_of(const event_queue *q, uint32_t slot)
{
    const uint32_t where = q->where[slot];
    if ((where & IN_LANE) != 0) {
        return lane_rank((where & ~IN_LANE) >> SLOT_BITS);
    }
    return (uint32_t)(q->keys[where].low >> RANK_SHIFT);
}

bool vs_engine_reschedule(vs_engine *engine, vs_timer timer, vs_ns time)
{
    vs_assert(time >= engine->now && time != VS_NS_NEVER);
    event_queue *q = &engine->queue;
    const uint32_t slot = slot_of(q, timer);
    if (slot == 0) {
        return false;
    }
    const uint64_t seq = seq_take(engine);
    if (seq == 0) {
        return true; /* it stays where it was; the run ends with the limit's name */
    }
    const uint32_t rank = rank_of(q, slot);
    const uint32_t i = q->where[slot];
    if ((i & IN_LANE) != 0 || time == engine->now) {
        vs_queue_detach(q, slot);
        event_place(engine, time, rank, seq | slot);
    } else {
        const uint64_t low = (uint64_t)rank << RANK_SHIFT | seq | slot;
        vs_queue_replace(q, i, (queue_key){.time = time, .low = low});
    }
    return true;
}
