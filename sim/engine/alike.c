/* engine/alike.c - flows that are all alike share evenly: the short way of share.c.
 *
 * The copying threads of one load cross the same links under the same cap, and share anew twice for each tensor.
 * Their rate is one division, and of their ends only the first, the front's, counts; all are parked outside of the
 * queue, since before the others' time comes the first one ends, or somebody joins or leaves, and all share anew. The
 * run loop compares the front's end with the queue. An end takes its seq when the flow gets its rate, parked or not;
 * when the next instant has more than one end, all go into the queue, and when it has another event, the front's end
 * does (vs_links_queue_front): what happens at one instant keeps its order. */
#include "sim/engine/flow.h"

/* ---- parking --------------------------------------------------------------------------------------- */

/* The seq of the end of a flow that waits in the heap. */
static uint64_t queued_seq(const event_queue *q, uint32_t event)
{
    return q->keys[q->where[event]].low & (RANK_UNIT - 1) & ~(uint64_t)SLOT_MASK;
}

/* Takes the flow's end out of the queue, if it is there. */
static void unqueue(vs_engine *engine, flow_state *flow)
{
    const uint32_t event = slot_of(&engine->queue, flow->timer);
    if (event != 0) {
        vs_queue_detach(&engine->queue, event);
        slot_release(&engine->queue, event);
    }
    flow->timer = (vs_timer){0};
}

/* Puts the flow's end into the queue with the seq that parked_seq has. It is not there. */
static void enqueue(vs_engine *engine, uint32_t slot, vs_ns end)
{
    flow_state *flow = &engine->flows.flows[slot];
    const event_slot at_end = {.handler = vs_flow_finish, .arg = slot};
    flow->timer = event_schedule_as(engine, flow->parked_seq, end, VS_RANK_ARRIVE, at_end);
}

void vs_links_queue_front(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    enqueue(engine, t->front, t->front_ns);
    t->front_ns = VS_NS_NEVER;
    t->is_front_queued = true;
}

/* Every end goes out of the queue; from now on only the front's is known. */
static void park_all(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        flow_state *flow = &t->flows[t->moving[i]];
        const uint32_t event = slot_of(&engine->queue, flow->timer);
        flow->parked_seq = event != 0 ? queued_seq(&engine->queue, event) : 0;
        unqueue(engine, flow);
    }
    t->is_parking = true;
    t->front = 0;
    t->front_ns = VS_NS_NEVER;
    t->is_front_queued = false;
}

/* The ends that are not in the queue go there, but those of flows that joined just now and have no rate yet. */
void vs_links_unpark(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        flow_state *flow = &t->flows[t->moving[i]];
        if (flow->rate_bps > 0 && slot_of(&engine->queue, flow->timer) == 0) {
            flow_update(flow, engine->now);
            enqueue(engine, t->moving[i], time_after(engine, flow_time_left(flow)));
        }
        flow->new_rate_bps = 0;
    }
    t->is_parking = false;
    t->front = 0;
    t->front_ns = VS_NS_NEVER;
    t->is_front_queued = false;
}

/* ---- settling ------------------------------------------------------------------------------------ */

/* The narrowest of the links that all moving flows cross. */
static uint64_t alike_room(vs_engine *engine, const flow_state *one_of_them)
{
    uint64_t room = UINT64_MAX;
    for (uint32_t i = 0; i < one_of_them->link_count; i++) {
        const uint64_t here = engine->links.links[one_of_them->links[i]].rate_bps;
        room = here < room ? here : room;
    }
    return room;
}

/* What share finds step by step: the narrowest link divided by the number of flows; what is left over goes to
 * those started first. */
static const even_share *share_evenly(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    const flow_state *first = &t->flows[t->moving[0]];
    const uint32_t count = t->moving_count;
    if (t->room_bps == 0) {
        t->room_bps = alike_room(engine, first);
    }
    const uint64_t room = t->room_bps;
    even_share *known = &t->shares[count % EVEN_SHARES];
    if (known->room_bps != room || known->flow_count != count ||
        known->cap_bps != first->cap_bps) {
        const uint64_t level = room / count;
        *known = (even_share){.room_bps = room,
                              .cap_bps = first->cap_bps,
                              .flow_count = count,
                              .rate_bps = level == 0 ? 1 : level, /* every flow has to end */
                              .more_until = level == 0 ? 0 : (uint32_t)(room % count)};
        if (first->cap_bps <= level) {
            known->rate_bps = first->cap_bps;
            known->more_until = 0;
        }
    }
    return known;
}

/* Of the flows with the same rate: who has least left, and what the next one has. UINT64_MAX: nobody. */
typedef struct {
    uint64_t left;
    uint64_t next_left;
    uint32_t slot;
} first_flow;

/* Brings the moving flows from .. until - 1 up to date and gives them their rate, and their ends their seq: there is
 * room for that many. */
static inline first_flow take_rate(vs_engine *engine, uint32_t from, uint32_t until,
                                   uint64_t rate_bps)
{
    const flow_table *t = &engine->flows;
    const vs_ns now = engine->now;
    uint64_t last_seq = engine->queue.last_seq;
    uint64_t least = UINT64_MAX;
    uint64_t next = UINT64_MAX;
    uint32_t first = 0;
    for (uint32_t i = from; i < until; i++) {
        const uint32_t slot = t->moving[i];
        flow_state *flow = &t->flows[slot];
        const uint64_t left = small_flow_left(flow, now);
        flow->left = left;
        flow->updated_ns = now;
        if (flow->rate_bps != rate_bps) {
            flow->rate_bps = rate_bps;
            flow->parked_seq = ++last_seq << SLOT_BITS;
        }
        const bool is_first = left < least;
        const uint64_t behind = is_first ? least : left;
        next = behind < next ? behind : next;
        least = is_first ? left : least;
        first = is_first ? slot : first;
    }
    engine->queue.last_seq = last_seq;
    return (first_flow){.left = least, .next_left = next, .slot = first};
}

/* In how many nanoseconds the first of two ends that has least left, of those with one byte per second more and of
 * the others. */
static uint64_t first_end(uint64_t favoured_left, uint64_t other_left, uint64_t rate_bps)
{
    if (favoured_left <= other_left) {
        return time_for(favoured_left, rate_bps + 1);
    }
    const uint64_t others = time_for(other_left, rate_bps);
    const uint64_t by_then = others * rate_bps;
    /* favoured_left > others * (rate_bps + 1), which may not fit */
    const bool is_later = favoured_left > by_then && favoured_left - by_then > others;
    return is_later ? others : time_for(favoured_left, rate_bps + 1);
}

/* The flow ends first, dt_ns from now: remembered beside the queue, but for what is due in this very instant. */
static void set_front(vs_engine *engine, uint32_t slot, uint64_t dt_ns)
{
    flow_table *t = &engine->flows;
    if (t->is_front_queued) {
        unqueue(engine, &t->flows[t->front]); /* 0, when it has ended, has no timer */
        t->is_front_queued = false;
    }
    t->front = slot;
    t->front_ns = time_after(engine, dt_ns);
    if (t->front_ns == engine->now) {
        vs_links_queue_front(engine);
    }
}

void vs_links_settle_alike(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    t->is_touched = false;
    if (t->moving_count == 0) {
        return;
    }
    const even_share *share = share_evenly(engine);
    const uint64_t rate_bps = share->rate_bps;
    const uint32_t more_until = share->more_until;
    if (!seq_has_room(engine, t->moving_count)) {
        return;
    }
    if (!t->is_parking) {
        park_all(engine);
    }
    first_flow favoured = {.left = UINT64_MAX, .next_left = UINT64_MAX};
    if (more_until > 0) {
        favoured = take_rate(engine, 0, more_until, rate_bps + 1);
    }
    const first_flow other = take_rate(engine, more_until, t->moving_count, rate_bps);
    const uint64_t dt_ns = first_end(favoured.left, other.left, rate_bps);
    /* What moves until then is what is left of some flow and less than a nanosecond's more, so the products fit. */
    const uint64_t other_moves = rate_bps * dt_ns;
    const uint64_t favoured_moves = other_moves + dt_ns;
    const bool is_favoured = more_until > 0 && favoured.left <= favoured_moves;
    const bool is_other = other.left <= other_moves;
    set_front(engine, is_favoured ? favoured.slot : other.slot, dt_ns);
    const bool is_shared = (is_favoured && is_other) ||
                           (is_favoured && favoured.next_left <= favoured_moves) ||
                           (is_other && other.next_left <= other_moves);
    if (is_shared) {
        vs_links_unpark(engine); /* their order at that instant is the queue's business */
    }
}
