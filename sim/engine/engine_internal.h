/* engine/engine_internal.h - what the files of sim/engine share.
 *
 * The structs of queue, flows and links, and the short paths every event takes: insertion
 * and removal are inline here so that the run loop, processes and links compile to one piece of
 * code without a call between them. How the queue works is told in queue.c, how
 * bandwidth is shared in link.c. */
#ifndef VS_ENGINE_INTERNAL_H
#define VS_ENGINE_INTERNAL_H

#include "vramscope/engine.h"

/* ---- keys -------------------------------------------------------------------------- */

/* The low word of a key: rank, number of the schedule call, slot. Comparing (time, low) as
 * two words is comparing (time, rank, seq), since seq is unique within a run.
 * Limits: 2^24 - 2 events pending at once, 2^37 - 1 schedule calls in a run (137 thousand
 * million, an hour of nothing else). Reaching one is an error of vs_engine_run. */
#define SLOT_BITS  24
#define SEQ_BITS   37
#define SLOT_MASK  ((UINT32_C(1) << SLOT_BITS) - 1)
#define SLOT_LIMIT SLOT_MASK /* slots are 1 .. SLOT_LIMIT - 1, 0 means none */
#define SEQ_LIMIT  ((UINT64_C(1) << SEQ_BITS) - 1)
#define RANK_SHIFT (SLOT_BITS + SEQ_BITS)
#define RANK_UNIT  (UINT64_C(1) << RANK_SHIFT)
_Static_assert(RANK_SHIFT + 3 == 64 && VS_RANK_COUNT <= 8, "rank, seq and slot fill a word");

typedef struct {
    vs_ns time;
    uint64_t low; /* rank << 61 | seq << 24 | slot */
} queue_key;

/* After every key: what lies beyond the end of the heap, so that the last node can look at
 * four children like any other. */
#define KEY_BEYOND ((queue_key){.time = VS_NS_NEVER, .low = UINT64_MAX})

/* ---- the queue ------------------------------------------------------------------------ */

typedef struct {
    vs_handler handler;
    void *ctx;
    uint64_t arg;
    uint64_t id; /* the handle: first seq << 24 | slot; 0: the slot is free */
} event_slot;

/* Where a pending event is: its index in the heap, or this bit, its lane and the slot before it
 * there. */
#define IN_LANE UINT32_C(0x80000000)

/* Lanes have the order of ranks. Behind the one of SETTLE comes a lane that holds no events: its bit says that links
 * wait to be shared anew. That is asked for in every other instant, and so needs neither slot nor key. */
enum { LANE_SETTLING = VS_RANK_SETTLE + 1, LANE_COUNT = VS_RANK_COUNT + 1 };

static inline uint32_t lane_of(uint32_t rank)
{
    return rank + (rank > VS_RANK_SETTLE);
}

static inline uint32_t lane_rank(uint32_t lane)
{
    return lane - (lane > LANE_SETTLING);
}

typedef struct {
    queue_key
        *keys; /* heap; keys + 1 lies on a cache line, so do all groups of four children */
    event_slot *slots; /* by slot, as are the next two */
    uint32_t *where;
    uint32_t *next; /* in a lane: the slot after it; free: the next free one */
    uint32_t count; /* keys in the heap, the hole included */
    uint32_t free_head;
    uint32_t capacity;  /* slots, slot 0 included */
    uint32_t lane_mask; /* bit i: lane i holds something */
    uint32_t lane_head[LANE_COUNT];
    uint32_t lane_tail[LANE_COUNT]; /* 0 when the lane is empty */
    bool has_hole;                  /* the root has been taken out and not replaced yet */
    uint64_t last_seq;
} event_queue;

/* ---- links and flows --------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint64_t rate_bps;
    vs_bytes ended_bytes; /* carried for flows that are gone */
    vs_ns busy_ns;        /* up to busy_since */
    vs_ns busy_since;     /* valid while flow_count > 0 */
    uint32_t flow_count;
    bool is_marked; /* in link_table.marked: shares anew in this instant */
    /* valid within one settling: */
    uint32_t open_count; /* flows whose rate is still rising */
    uint64_t room_bps;   /* not given away yet */
} link_state;

typedef enum { FLOW_WAITS, FLOW_MOVES } flow_phase;

/* Two cache lines; sharing anew needs the first only. */
typedef struct {
    _Alignas(64) uint64_t id; /* number of the flow << 24 | slot; 0: free */
    vs_bytes size_bytes;
    uint64_t left; /* at updated_ns: of a large flow in bytes, of any other in 1e-9 bytes */
    uint64_t rate_bps;
    uint64_t cap_bps; /* UINT64_MAX: none */

    union {
        uint64_t new_rate_bps; /* valid within one settling */
        uint64_t parked_seq;   /* while parking: the seq of its end, in its place */
    };

    vs_ns updated_ns;
    vs_timer timer; /* end of the latency, then end of the flow; none while it is parked */
    vs_handler on_done;
    void *ctx;
    uint64_t arg;
    uint32_t rest; /* large flows: moved beyond the last whole byte, in 1e-9 bytes, < 1e9 */
    uint32_t next_free;
    uint32_t links[VS_FLOW_LINKS_MAX]; /* indices, not handles; 0 beyond link_count */
    uint32_t link_count;
    uint8_t phase;  /* flow_phase */
    bool is_large;  /* more than FLOW_SMALL_BYTES in all */
    bool is_picked; /* valid within one settling: belongs to the touched component */
} flow_state;

_Static_assert(sizeof(flow_state) == 128, "a flow is two cache lines");

typedef struct {
    link_state *links;
    uint32_t *marked; /* indices of links to settle */
    uint32_t count;
    uint32_t capacity;
    uint32_t marked_count;
} link_table;

/* What each of flow_count flows gets that share a room under a cap. */
typedef struct {
    uint64_t room_bps;
    uint64_t cap_bps;
    uint64_t rate_bps;
    uint32_t flow_count; /* 0: nothing is known yet */
    uint32_t more_until; /* flows before this one get 1 more */
} even_share;

#define EVEN_SHARES 8 /* kept, by flow_count modulo this: a division less in each settling */

typedef struct {
    flow_state *flows;
    uint32_t *moving;  /* slots of flows that take bandwidth, by flow number */
    uint32_t *picked;  /* scratch of one settling */
    uint32_t capacity; /* slots, slot 0 included */
    uint32_t free_head;
    uint32_t moving_count;
    uint32_t front;       /* while parking: the flow that ends first, 0: none */
    vs_ns front_ns;       /* when, unless its end is in the queue after all; VS_NS_NEVER */
    bool is_parking;      /* all moving flows are alike, and their ends are not in the queue */
    bool is_front_queued; /* but the front's is: it has to take its place among others */
    bool are_alike;       /* the moving flows, as far as is known, see share.c */
    bool is_touched; /* they are alike, and their links are to be shared anew, marked or not */
    uint64_t last_number;
    uint64_t room_bps; /* of those that are alike: their narrowest link; 0: not known yet */
    even_share shares[EVEN_SHARES];
} flow_table;

/* ---- the engine -------------------------------------------------------------------------- */

typedef enum {
    FAILURE_NONE,
    FAILURE_MEMORY,
    FAILURE_LIMIT,
    FAILURE_STUCK /* an instant did not end */
} failure_kind;

struct vs_engine {
    event_queue queue;
    vs_ns now;
    uint64_t event_count;
    uint64_t check_at;      /* event_count at which the loop looks up; 0: at once */
    uint64_t instant_first; /* event_count when the clock last moved */
    uint64_t instant_limit;
    uint64_t poll_at;
    bool (*should_stop)(void *ctx);
    void *poll_ctx;
    bool is_stopped;
    failure_kind failure;
    const char *failure_text; /* what ran out, or which limit */
    vs_arena *arena;
    const vs_process *last_process;
    vs_process **processes; /* by slot, slot 0 unused */
    uint32_t process_count;
    uint32_t process_capacity;
    link_table links;
    flow_table flows;
};

#define NS_PER_S UINT64_C(1000000000)

/* First failure wins; the loop ends after the present event. Always false. */
bool vs_engine_fail(vs_engine *engine, failure_kind kind, const char *text);
/* A larger copy of an arena table, the rest zeroed, on a cache line; NULL: failed. Counts are elements. */
void *vs_engine_enlarge(vs_engine *engine, const void *old, size_t old_count, size_t new_count,
                        size_t elem_bytes);
/* Twice the slots. False: failed. */
bool vs_queue_grow(vs_engine *engine);
bool vs_queue_init(vs_engine *engine, uint32_t expected_events);
/* Takes a pending event out of heap or lane; its slot stays taken. */
void vs_queue_detach(event_queue *q, uint32_t slot);
/* Puts key in the place of the one at i of the heap, which goes up or down as need be. */
void vs_queue_replace(event_queue *q, uint32_t i, queue_key key);
bool vs_links_init(vs_engine *engine, uint32_t expected_links, uint32_t expected_flows);
bool vs_links_check(const vs_engine *engine, vs_err *err);

/* ---- heap ---------------------------------------------------------------------------------- */

static inline bool key_less(const queue_key *a, const queue_key *b)
{
    return a->time < b->time || (a->time == b->time && a->low < b->low);
}

/* Which of four neighbours is first, by the whole key. */
static inline uint32_t key_first_by_low(const queue_key *four)
{
    const uint32_t left = key_less(&four[1], &four[0]);
    const uint32_t right = 2 + (uint32_t)key_less(&four[3], &four[2]);
    return key_less(&four[right], &four[left]) ? right : left;
}

/* Which of four neighbours is first. Which of two future events that is cannot be
 * predicted, so this is arithmetic on times without a branch; equal times take the long way. */
static inline uint32_t key_first_of_four(const queue_key *four)
{
    const uint32_t left = four[1].time < four[0].time;
    const uint32_t right = four[3].time < four[2].time;
    const vs_ns left_time = left ? four[1].time : four[0].time;
    const vs_ns right_time = right ? four[3].time : four[2].time;
    const bool has_tie = (left_time == right_time) |
                         ((four[0].time == four[1].time) & (left_time < right_time)) |
                         ((four[2].time == four[3].time) & (right_time < left_time));
    if (has_tie) {
        return key_first_by_low(four);
    }
    const uint32_t is_right = right_time < left_time;
    return left ^ ((left ^ (right + 2)) & (0U - is_right));
}

static inline void key_put(event_queue *q, uint32_t i, queue_key key)
{
    q->keys[i].time = key.time;
    q->keys[i].low = key.low;
    q->where[key.low & SLOT_MASK] = i;
}

/* Puts key at i or below. What is at i is overwritten. Here branches pay: the processor goes on with
 * a guess instead of waiting for the comparison (measured: exchanging without a branch at the
 * last level costs M/M/1 a tenth). */
static inline void key_sink(event_queue *q, uint32_t i, queue_key key)
{
    uint32_t child = 4 * i + 1;
    while (child < q->count) {
        const bool is_only = child + 1 == q->count;
        const uint32_t first = is_only ? child : child + key_first_of_four(&q->keys[child]);
        if (!key_less(&q->keys[first], &key)) {
            break;
        }
        key_put(q, i, q->keys[first]);
        i = first;
        child = 4 * i + 1;
    }
    key_put(q, i, key);
}

/* Puts key at i or above. */
static inline void key_rise(event_queue *q, uint32_t i, queue_key key)
{
    while (i > 0) {
        const uint32_t parent = (i - 1) / 4;
        if (!key_less(&key, &q->keys[parent])) {
            break;
        }
        key_put(q, i, q->keys[parent]);
        i = parent;
    }
    key_put(q, i, key);
}

/* Fills the hole at the root with the last key. */
static inline void heap_close_hole(event_queue *q)
{
    q->has_hole = false;
    q->count--;
    const queue_key last = q->keys[q->count];
    q->keys[q->count] = KEY_BEYOND;
    if (q->count > 0) {
        key_sink(q, 0, last);
    }
}

/* An event that ran usually schedules the next: the new key then takes the root's place and sinks,
 * which saves filling the hole with the last key and letting the new one rise. */
static inline void heap_insert(event_queue *q, queue_key key)
{
    if (q->has_hole) {
        q->has_hole = false;
        key_sink(q, 0, key);
    } else {
        key_rise(q, q->count++, key);
    }
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static inline void lane_append(event_queue *q, uint32_t rank, uint32_t slot)
{
    const uint32_t lane = lane_of(rank);
    const uint32_t tail = q->lane_tail[lane];
    q->where[slot] = IN_LANE | lane << SLOT_BITS | tail;
    q->next[slot] = 0;
    if (tail == 0) {
        q->lane_head[lane] = slot;
        q->lane_mask |= UINT32_C(1) << lane;
    } else {
        q->next[tail] = slot;
    }
    q->lane_tail[lane] = slot;
}

/* The lowest lane that holds something. There is one. */
static inline uint32_t lane_first(const event_queue *q)
{
    uint32_t lane = 0;
    while ((q->lane_mask >> lane & 1) == 0) {
        lane++;
    }
    return lane;
}

/* The first event of a lane that holds one. */
static inline uint32_t lane_take(event_queue *q, uint32_t lane)
{
    const uint32_t slot = q->lane_head[lane];
    const uint32_t after = q->next[slot];
    q->lane_head[lane] = after;
    if (after == 0) {
        q->lane_tail[lane] = 0;
        q->lane_mask &= ~(UINT32_C(1) << lane);
    } else {
        q->where[after] &= ~SLOT_MASK;
    }
    return slot;
}

/* Links share anew at the end of this instant. */
static inline void settling_ask(event_queue *q)
{
    q->lane_mask |= UINT32_C(1) << LANE_SETTLING;
}

static inline bool settling_is_due(const event_queue *q)
{
    return (q->lane_mask >> LANE_SETTLING & 1) != 0;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static inline void slot_release(event_queue *q, uint32_t slot)
{
    q->slots[slot].id = 0;
    q->next[slot] = q->free_head;
    q->free_head = slot;
}

/* The slot of a pending event, 0 when the handle is stale. */
static inline uint32_t slot_of(const event_queue *q, vs_timer timer)
{
    const uint32_t slot = (uint32_t)(timer.id & SLOT_MASK);
    return timer.id != 0 && slot < q->capacity && q->slots[slot].id == timer.id ? slot : 0;
}

/* Present: to its lane; future: to the heap. */
static inline void event_place(vs_engine *engine, vs_ns time, uint32_t rank, uint64_t number)
{
    event_queue *q = &engine->queue;
    if (time == engine->now) {
        lane_append(q, rank, (uint32_t)(number & SLOT_MASK));
    } else {
        heap_insert(q, (queue_key){.time = time, .low = (uint64_t)rank << RANK_SHIFT | number});
    }
}

/* Whether so many more seqs can be taken; false: the run fails. */
static inline bool seq_has_room(vs_engine *engine, uint64_t count)
{
    return count <= SEQ_LIMIT - engine->queue.last_seq ||
           vs_engine_fail(engine, FAILURE_LIMIT, "a run schedules at most 2^37 - 1 events");
}

/* The next seq shifted to its place; 0: the limit is reached and the run fails. */
static inline uint64_t seq_take(vs_engine *engine)
{
    return seq_has_room(engine, 1) ? ++engine->queue.last_seq << SLOT_BITS : 0;
}

/* Schedules with a seq that was taken before. */
static inline vs_timer event_schedule_as(vs_engine *engine, uint64_t seq, vs_ns time,
                                         vs_rank rank, event_slot event)
{
    event_queue *q = &engine->queue;
    if (q->free_head == 0 && !vs_queue_grow(engine)) {
        return (vs_timer){0};
    }
    const uint32_t slot = q->free_head;
    q->free_head = q->next[slot];
    const uint64_t id = seq | slot;
    /* member by member, so that no copy of event is built in memory first */
    event_slot *out = &q->slots[slot];
    out->handler = event.handler;
    out->ctx = event.ctx;
    out->arg = event.arg;
    out->id = id;
    event_place(engine, time, (uint32_t)rank, id);
    return (vs_timer){id};
}

/* vs_engine_at without its assertions. */
static inline vs_timer event_schedule(vs_engine *engine, vs_ns time, vs_rank rank,
                                      vs_handler handler, void *ctx, uint64_t arg)
{
    const uint64_t seq = seq_take(engine);
    if (seq == 0) {
        return (vs_timer){0};
    }
    const event_slot event = {.handler = handler, .ctx = ctx, .arg = arg};
    return event_schedule_as(engine, seq, time, rank, event);
}

static inline vs_ns time_after(const vs_engine *engine, vs_ns delay)
{
    const vs_ns last = VS_NS_NEVER - 1;
    return delay < last - engine->now ? engine->now + delay : last;
}

#endif /* VS_ENGINE_INTERNAL_H */
