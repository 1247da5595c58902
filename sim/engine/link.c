/* engine/link.c - links and flows: starting, joining, leaving; who gets how much is share.c's.
 *
 * A flow waits for its latency, then moves: it crosses its links at one rate until its bytes are
 * gone. A flow that starts, ends or is cancelled marks its links; at rank SETTLE of the same
 * instant the flows connected with marked links (directly or over other flows) get their
 * rates anew, all others keep theirs. Only a flow whose rate changed is brought up to date
 * and gets a new end: SimGrid's lazy update (src/kernel/resource/Model.cpp:49-101).
 *
 * Invariants (vs_links_check walks them):
 *   1. moving holds the flows in phase FLOW_MOVES by ascending number, each once;
 *   2. a link's flow_count is the number of moving flows that cross it;
 *   3. outside of settling, rates over a link sum to its rate at most, but for flows at 1;
 *   4. rest < 1e9, no more is left than there was, and a flow with a rate has its end pending or is
 *      parked: the front, whose end is front_ns, or another one with the same links that ends later. */
#include "sim/engine/flow.h"

/* Bounds that keep the arithmetic below within 64 bits; 2^62 is four exbibytes. */
#define AMOUNT_LIMIT (UINT64_C(1) << 62)
#define NO_CAP       UINT64_MAX

/* ---- tables ------------------------------------------------------------------------------------ */

static bool links_resize(vs_engine *engine, uint32_t capacity)
{
    link_table *t = &engine->links;
    link_state *links = vs_engine_enlarge(engine, t->links, t->count, capacity, sizeof *links);
    uint32_t *marked =
        vs_engine_enlarge(engine, t->marked, t->marked_count, capacity, sizeof *marked);
    if (links == NULL || marked == NULL) {
        return vs_engine_fail(engine, FAILURE_MEMORY, "link table");
    }
    t->links = links;
    t->marked = marked;
    t->capacity = capacity;
    return true;
}

static bool flows_resize(vs_engine *engine, uint32_t capacity)
{
    flow_table *t = &engine->flows;
    flow_state *flows =
        vs_engine_enlarge(engine, t->flows, t->capacity, capacity, sizeof *flows);
    uint32_t *moving =
        vs_engine_enlarge(engine, t->moving, t->moving_count, capacity, sizeof *moving);
    uint32_t *picked = vs_engine_enlarge(engine, NULL, 0, capacity, sizeof *picked);
    if (flows == NULL || moving == NULL || picked == NULL) {
        return vs_engine_fail(engine, FAILURE_MEMORY, "flow table");
    }
    const uint32_t first = t->capacity == 0 ? 1 : t->capacity;
    for (uint32_t slot = first; slot < capacity; slot++) {
        flows[slot].next_free = slot + 1 < capacity ? slot + 1 : 0;
    }
    t->free_head = first;
    t->front_ns = t->capacity == 0 ? VS_NS_NEVER : t->front_ns;
    t->flows = flows;
    t->moving = moving;
    t->picked = picked;
    t->capacity = capacity;
    return true;
}

bool vs_links_init(vs_engine *engine, uint32_t expected_links, uint32_t expected_flows)
{
    const uint32_t flows = expected_flows < SLOT_LIMIT ? expected_flows : SLOT_LIMIT - 1;
    const uint32_t links = expected_links < SLOT_LIMIT ? expected_links : SLOT_LIMIT - 1;
    return links_resize(engine, links) && flows_resize(engine, flows + 1);
}

/* ---- joining and leaving ------------------------------------------------------------------------- */

/* Has the link share anew at the end of this instant. */
static inline void mark(vs_engine *engine, uint32_t link)
{
    link_table *t = &engine->links;
    if (!t->links[link].is_marked) {
        t->links[link].is_marked = true;
        t->marked[t->marked_count++] = link;
        settling_ask(&engine->queue);
    }
}

static void mark_links_of(vs_engine *engine, const flow_state *flow)
{
    for (uint32_t i = 0; i < flow->link_count; i++) {
        mark(engine, flow->links[i]);
    }
}

/* All moving flows cross the same links, which share anew: no need to mark each of them. */
static void touch_alike(vs_engine *engine)
{
    engine->flows.is_touched = true;
    settling_ask(&engine->queue);
}

/* Before others move than those which were alike. */
static void mark_touched(vs_engine *engine, const flow_state *one_of_them)
{
    if (engine->flows.is_touched) {
        engine->flows.is_touched = false;
        mark_links_of(engine, one_of_them);
    }
}

void vs_flow_set_rate(vs_engine *engine, uint32_t slot, uint64_t rate_bps)
{
    flow_state *flow = &engine->flows.flows[slot];
    flow_update(flow, engine->now);
    flow->rate_bps = rate_bps;
    const vs_ns end = time_after(engine, flow_time_left(flow));
    if (!vs_engine_reschedule(engine, flow->timer, end)) {
        flow->timer = event_schedule(engine, end, VS_RANK_ARRIVE, vs_flow_finish, NULL, slot);
    }
}

/* Latency is over: the flow takes part in its links' bandwidth from now on. */
static void join(vs_engine *engine, void *ctx, uint64_t slot)
{
    (void)ctx;
    flow_table *t = &engine->flows;
    flow_state *flow = &t->flows[slot];
    flow->phase = FLOW_MOVES;
    flow->updated_ns = engine->now;
    flow->timer = (vs_timer){0};
    uint32_t at = t->moving_count++;
    while (at > 0 && t->flows[t->moving[at - 1]].id > flow->id) {
        t->moving[at] = t->moving[at - 1];
        at--;
    }
    t->moving[at] = (uint32_t)slot;
    if (t->moving_count == 1) {
        t->are_alike = !flow->is_large;
        t->room_bps = 0;
        t->is_touched = false; /* what was left of those before has gone */
    } else if (t->are_alike) {
        const flow_state *other = &t->flows[t->moving[at == 0 ? 1 : 0]];
        t->are_alike = flow_is_like(flow, other);
        if (!t->are_alike) {
            mark_touched(engine, other);
        }
    }
    for (uint32_t i = 0; i < flow->link_count; i++) {
        link_state *link = &engine->links.links[flow->links[i]];
        if (link->flow_count++ == 0) {
            link->busy_since = engine->now;
        }
    }
    if (flow->link_count == 0) {
        vs_flow_set_rate(engine, (uint32_t)slot, flow->cap_bps);
    } else if (t->are_alike) {
        touch_alike(engine);
    } else {
        mark_links_of(engine, flow);
    }
}

/* Takes a moving flow out of the list. */
static void unlist(flow_table *t, uint32_t slot)
{
    uint32_t at = 0;
    while (t->moving[at] != slot) {
        at++;
    }
    t->moving_count--;
    for (; at < t->moving_count; at++) {
        t->moving[at] = t->moving[at + 1];
    }
    if (t->front == slot) {
        t->front = 0;
        t->front_ns = VS_NS_NEVER;
    }
}

/* Takes a moving flow that has delivered so much out of its links; the others share anew. */
static void unlink_moving(vs_engine *engine, uint32_t slot, vs_bytes moved)
{
    flow_table *t = &engine->flows;
    const flow_state *flow = &t->flows[slot];
    unlist(t, slot);
    const bool has_alike = t->are_alike && t->moving_count > 0 && flow->link_count > 0;
    for (uint32_t i = 0; i < flow->link_count; i++) {
        link_state *link = &engine->links.links[flow->links[i]];
        link->ended_bytes += moved;
        link->flow_count--;
        if (link->flow_count == 0) {
            link->busy_ns += engine->now - link->busy_since;
        } else if (!has_alike) {
            mark(engine, flow->links[i]);
        }
    }
    if (has_alike) {
        touch_alike(engine);
    }
}

/* Gives the slot back; the handle is stale from here. */
static void flow_release(flow_table *t, uint32_t slot)
{
    t->flows[slot].id = 0;
    t->flows[slot].next_free = t->free_head;
    t->free_head = slot;
}

void vs_flow_finish(vs_engine *engine, void *ctx, uint64_t slot)
{
    (void)ctx;
    flow_state *flow = &engine->flows.flows[slot];
    if (flow->phase == FLOW_MOVES) {
        flow_update(flow, engine->now);
    }
    if (flow->left != 0) {
        (void)vs_engine_fail(engine, FAILURE_LIMIT,
                             "a flow is too slow to end within 2^64 nanoseconds");
        return;
    }
    const vs_handler on_done = flow->on_done;
    void *const done_ctx = flow->ctx;
    const uint64_t done_arg = flow->arg;
    if (flow->phase == FLOW_MOVES) {
        unlink_moving(engine, (uint32_t)slot, flow->size_bytes);
    }
    flow_release(&engine->flows, (uint32_t)slot);
    if (on_done != NULL) {
        on_done(engine, done_ctx, done_arg);
    }
}

/* ---- the public side ------------------------------------------------------------------------------- */

vs_link vs_link_new(vs_engine *engine, const vs_link_desc *desc)
{
    vs_assert(desc->rate_bps > 0);
    link_table *t = &engine->links;
    if (desc->rate_bps > AMOUNT_LIMIT) {
        (void)vs_engine_fail(engine, FAILURE_LIMIT,
                             "a link carries at most 2^62 bytes per second");
        return (vs_link){0};
    }
    if (t->count >= SLOT_LIMIT) {
        (void)vs_engine_fail(engine, FAILURE_LIMIT, "at most 2^24 - 1 links");
        return (vs_link){0};
    }
    if (t->count == t->capacity && !links_resize(engine, t->capacity * 2)) {
        return (vs_link){0};
    }
    t->links[t->count] = (link_state){.name = desc->name, .rate_bps = desc->rate_bps};
    t->count++;
    return (vs_link){t->count};
}

static link_state *link_get(const vs_engine *engine, vs_link link)
{
    vs_assert(link.id != 0 && link.id <= engine->links.count);
    return &engine->links.links[link.id - 1];
}

/* The caller's mistakes are asserted. */
static inline void flow_take_links(const vs_engine *engine, flow_state *flow,
                                   const vs_flow_desc *desc)
{
    vs_assert(desc->link_count <= VS_FLOW_LINKS_MAX);
    vs_assert(desc->link_count > 0 || desc->cap_bps > 0);
    memset(flow->links, 0, sizeof flow->links);
    flow->link_count = desc->link_count;
    for (uint32_t i = 0; i < desc->link_count; i++) {
        const uint32_t link = desc->links[i].id - 1;
        vs_assert(link < engine->links.count); /* id 0: none */
        for (uint32_t k = 0; k < i; k++) {
            vs_assert(flow->links[k] != link);
        }
        flow->links[i] = link;
    }
}

/* A free slot, 0 when there is none to be had. */
static uint32_t flow_take_slot(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    if (t->free_head == 0) {
        if (t->capacity >= SLOT_LIMIT) {
            (void)vs_engine_fail(engine, FAILURE_LIMIT, "at most 2^24 - 2 flows at once");
            return 0;
        }
        const uint32_t wider = t->capacity < SLOT_LIMIT / 2 ? t->capacity * 2 : SLOT_LIMIT;
        if (!flows_resize(engine, wider)) {
            return 0;
        }
    }
    const uint32_t slot = t->free_head;
    t->free_head = t->flows[slot].next_free;
    return slot;
}

vs_flow vs_flow_start(vs_engine *engine, const vs_flow_desc *desc)
{
    if (desc->size_bytes > AMOUNT_LIMIT || desc->cap_bps > AMOUNT_LIMIT) {
        (void)vs_engine_fail(
            engine, FAILURE_LIMIT,
            "a flow has at most 2^62 bytes and a cap of 2^62 bytes per second");
        return (vs_flow){0};
    }
    const uint32_t slot = flow_take_slot(engine);
    if (slot == 0) {
        return (vs_flow){0};
    }
    const bool is_large = desc->size_bytes > FLOW_SMALL_BYTES;
    flow_state *flow = &engine->flows.flows[slot];
    const uint64_t id = ++engine->flows.last_number << SLOT_BITS | slot;
    /* member by member: as one value the compiler clears all 128 bytes first, which takes longer than the rest */
    flow->id = id;
    flow->size_bytes = desc->size_bytes;
    flow->left = is_large ? desc->size_bytes : desc->size_bytes * NS_PER_S;
    flow->rate_bps = 0;
    flow->cap_bps = desc->cap_bps == 0 ? NO_CAP : desc->cap_bps;
    flow->new_rate_bps = 0;
    flow->updated_ns = engine->now;
    flow->timer = (vs_timer){0};
    flow->on_done = desc->on_done;
    flow->ctx = desc->ctx;
    flow->arg = desc->arg;
    flow->rest = 0;
    flow->phase = FLOW_WAITS;
    flow->is_large = is_large;
    flow->is_picked = false;
    flow_take_links(engine, flow, desc);
    const vs_ns begin = time_after(engine, desc->latency_ns);
    if (desc->size_bytes == 0) {
        flow->timer = event_schedule(engine, begin, VS_RANK_ARRIVE, vs_flow_finish, NULL, slot);
    } else if (desc->latency_ns == 0) {
        join(engine, NULL, slot);
    } else {
        /* Rank SETTLE: a flow that joins has the same effect however late in the instant, and so
         * joins right before this instant's settling. */
        flow->timer = event_schedule(engine, begin, VS_RANK_SETTLE, join, NULL, slot);
    }
    return engine->failure == FAILURE_NONE ? (vs_flow){id} : (vs_flow){0};
}

static flow_state *flow_find(const vs_engine *engine, vs_flow flow)
{
    const uint64_t slot = flow.id & SLOT_MASK;
    if (flow.id == 0 || slot >= engine->flows.capacity) {
        return NULL;
    }
    flow_state *found = &engine->flows.flows[slot];
    return found->id == flow.id ? found : NULL;
}

vs_bytes vs_flow_delivered(const vs_engine *engine, vs_flow flow)
{
    const flow_state *found = flow_find(engine, flow);
    return found == NULL ? UINT64_MAX : flow_moved(found, engine->now);
}

uint64_t vs_flow_rate(const vs_engine *engine, vs_flow flow)
{
    const flow_state *found = flow_find(engine, flow);
    return found == NULL ? 0 : found->rate_bps;
}

bool vs_flow_cancel(vs_engine *engine, vs_flow flow)
{
    flow_state *found = flow_find(engine, flow);
    if (found == NULL) {
        return false;
    }
    (void)vs_engine_cancel(engine,
                           found->timer); /* one that joined just now or is parked has none */
    const uint32_t slot = (uint32_t)(flow.id & SLOT_MASK);
    if (found->phase == FLOW_MOVES) {
        unlink_moving(engine, slot, flow_moved(found, engine->now));
    }
    flow_release(&engine->flows, slot);
    return true;
}

vs_bytes vs_link_carried(const vs_engine *engine, vs_link link)
{
    vs_bytes carried = link_get(engine, link)->ended_bytes;
    const flow_table *t = &engine->flows;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        const flow_state *flow = &t->flows[t->moving[i]];
        for (uint32_t k = 0; k < flow->link_count; k++) {
            carried += flow->links[k] == link.id - 1 ? flow_moved(flow, engine->now) : 0;
        }
    }
    return carried;
}

vs_ns vs_link_busy(const vs_engine *engine, vs_link link)
{
    const link_state *state = link_get(engine, link);
    const vs_ns open_ns = state->flow_count > 0 ? engine->now - state->busy_since : 0;
    return state->busy_ns + open_ns;
}
