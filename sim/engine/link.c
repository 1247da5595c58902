/* engine/link.c - links whose bandwidth is shared max-min fair, in integers.
 *
 * A flow waits for its latency, then moves: it crosses its links at one rate until its bytes are
 * gone. A flow that starts, ends or is cancelled marks its links; at rank SETTLE of the same
 * instant the flows connected with marked links (directly or over other flows) get their
 * rates anew, all others keep theirs. Only a flow whose rate changed is brought up to date
 * and gets a new end: SimGrid's lazy update (src/kernel/resource/Model.cpp:49-101).
 *
 * Sharing fills all rates alike from zero. The level rises in whole bytes per second as far as
 * every link and cap allows for everybody; flows at their cap and on full links stay behind.
 * When a link has less left than one byte per second for each, its flows get one more in order
 * of flow number until it is full. So each flow is at its cap or crosses a full link
 * on which nobody has more than one byte per second above it, and no capacity is lost. On one link
 * a rate differs from the exact share by less than 1; over several links the last byte of
 * each flow in the way adds up. A link with more flows than bytes per second would leave some
 * with nothing: they get 1 byte per second all the same, beyond the link's rate, so that
 * every flow ends.
 *
 * Progress is exact: a flow keeps whole bytes left and a rest in 1e-9 bytes, so after dt at
 * rate r exactly r * dt / 1e9 bytes have moved. The end is rounded up to a nanosecond; what
 * the link could have carried in that last fraction is lost.
 *
 * Cost of settling: the moving flows are walked once per step of distance from the marked links
 * (two or three in practice), then (flows * links per flow) for each level at which somebody stops.
 *
 * Invariants (vs_links_check walks them):
 *   1. moving holds the flows in phase FLOW_MOVES by ascending number, each once;
 *   2. a link's flow_count is the number of moving flows that cross it;
 *   3. outside of settling, rates over a link sum to its rate at most, but for flows at 1;
 *   4. rest < 1e9, left_bytes <= size_bytes, and a flow with a rate has its end pending. */
#include "sim/engine/engine_internal.h"

#include <string.h>

/* Bounds that keep the arithmetic below within 64 bits; 2^62 is four exbibytes. */
#define AMOUNT_LIMIT (UINT64_C(1) << 62)
#define NO_CAP       UINT64_MAX

static void settle(vs_engine *engine, void *ctx, uint64_t arg);
static void finish(vs_engine *engine, void *ctx, uint64_t slot);

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

/* ---- progress of one flow ----------------------------------------------------------------------- */

/* Bytes and rest after dt_ns more at the flow's rate, not bounded by what is left. With
 * rate = a * 1e9 + b and dt = s * 1e9 + n, rate * dt / 1e9 = rate * s + a * n + b * n / 1e9: no
 * product leaves 64 bits as long as the flow would end before it had moved 2^63 bytes. */
static inline vs_bytes advance(const flow_state *flow, vs_ns now, uint32_t *out_rest)
{
    const uint64_t dt_ns = now - flow->updated_ns;
    if ((flow->rate_bps | dt_ns) >> 32 == 0) { /* (2^32 - 1)^2 + 1e9 < 2^64 */
        const uint64_t moved = flow->rate_bps * dt_ns + flow->rest;
        *out_rest = (uint32_t)(moved % NS_PER_S);
        return moved / NS_PER_S;
    }
    const uint64_t whole_s = dt_ns / NS_PER_S;
    const uint64_t part_ns = dt_ns % NS_PER_S;
    const uint64_t small = flow->rate_bps % NS_PER_S * part_ns + flow->rest; /* < 1e18 + 1e9 */
    *out_rest = (uint32_t)(small % NS_PER_S);
    return flow->rate_bps * whole_s + flow->rate_bps / NS_PER_S * part_ns + small / NS_PER_S;
}

vs_bytes vs_flow_moved(const flow_state *flow, vs_ns now)
{
    const vs_bytes before = flow->size_bytes - flow->left_bytes;
    if (flow->phase == FLOW_WAITS) {
        return before;
    }
    uint32_t rest = 0;
    const vs_bytes more = advance(flow, now, &rest);
    return more < flow->left_bytes ? before + more : flow->size_bytes;
}

static inline void bring_up_to_date(flow_state *flow, vs_ns now)
{
    uint32_t rest = 0;
    const vs_bytes more = advance(flow, now, &rest);
    const bool is_over = more >= flow->left_bytes;
    flow->left_bytes = is_over ? 0 : flow->left_bytes - more;
    flow->rest = is_over ? 0 : rest;
    flow->updated_ns = now;
}

/* Nanoseconds until nothing is left: ceil((left * 1e9 - rest) / rate), VS_NS_NEVER when that is
 * beyond the clock. */
static inline uint64_t time_left(const flow_state *flow)
{
    const uint64_t left = flow->left_bytes;
    const uint64_t rate = flow->rate_bps;
    if (left == 0) {
        return 0;
    }
    if (left <= UINT64_MAX / NS_PER_S) {
        const uint64_t need = left * NS_PER_S - flow->rest;
        return need / rate + (need % rate != 0);
    }
    uint64_t whole = 0;
    if (!vs_muldiv_u64(left, NS_PER_S, rate, &whole) || whole == UINT64_MAX) {
        return VS_NS_NEVER;
    }
    const uint64_t over = left * NS_PER_S - whole * rate; /* modulo 2^64, but below rate */
    if (over > flow->rest) {
        return whole + 1;
    }
    return whole - (flow->rest - over) / rate;
}

/* ---- joining and leaving ------------------------------------------------------------------------- */

/* Has the link share anew at the end of this instant. */
static void mark(vs_engine *engine, uint32_t link)
{
    link_table *t = &engine->links;
    if (t->links[link].is_marked) {
        return;
    }
    t->links[link].is_marked = true;
    t->marked[t->marked_count++] = link;
    if (!t->is_settling_due) {
        t->is_settling_due = true;
        (void)event_schedule(engine, engine->now, VS_RANK_SETTLE, settle, NULL, 0);
    }
}

/* From now on the flow moves at this rate. Returns when it ends. */
static inline vs_ns take_rate(const vs_engine *engine, flow_state *flow, uint64_t rate_bps)
{
    bring_up_to_date(flow, engine->now);
    flow->rate_bps = rate_bps;
    return time_after(engine, time_left(flow));
}

static void set_end(vs_engine *engine, uint32_t slot, vs_ns end)
{
    flow_state *flow = &engine->flows.flows[slot];
    if (!vs_engine_reschedule(engine, flow->timer, end)) {
        flow->timer = event_schedule(engine, end, VS_RANK_ARRIVE, finish, NULL, slot);
    }
}

static void set_rate(vs_engine *engine, uint32_t slot, uint64_t rate_bps)
{
    set_end(engine, slot, take_rate(engine, &engine->flows.flows[slot], rate_bps));
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
    for (uint32_t i = 0; i < flow->link_count; i++) {
        link_state *link = &engine->links.links[flow->links[i]];
        if (link->flow_count++ == 0) {
            link->busy_since = engine->now;
        }
        mark(engine, flow->links[i]);
    }
    if (flow->link_count == 0) {
        set_rate(engine, (uint32_t)slot, flow->cap_bps);
    }
}

/* Takes a flow out of links and table; its handle is stale from here. */
static void leave(vs_engine *engine, uint32_t slot)
{
    flow_table *t = &engine->flows;
    flow_state *flow = &t->flows[slot];
    if (flow->phase == FLOW_MOVES) {
        for (uint32_t i = 0; i < flow->link_count; i++) {
            link_state *link = &engine->links.links[flow->links[i]];
            link->ended_bytes += flow->size_bytes - flow->left_bytes;
            link->flow_count--;
            if (link->flow_count == 0) {
                link->busy_ns += engine->now - link->busy_since;
            } else {
                mark(engine, flow->links[i]);
            }
        }
        uint32_t at = 0;
        while (t->moving[at] != slot) {
            at++;
        }
        t->moving_count--;
        for (; at < t->moving_count; at++) {
            t->moving[at] = t->moving[at + 1];
        }
    }
    flow->id = 0;
    flow->next_free = t->free_head;
    t->free_head = slot;
}

static void finish(vs_engine *engine, void *ctx, uint64_t slot)
{
    (void)ctx;
    flow_state *flow = &engine->flows.flows[slot];
    if (flow->phase == FLOW_MOVES) {
        bring_up_to_date(flow, engine->now);
    }
    if (flow->left_bytes != 0) {
        (void)vs_engine_fail(engine, FAILURE_LIMIT,
                             "a flow is too slow to end within 2^64 nanoseconds");
        return;
    }
    const vs_handler on_done = flow->on_done;
    void *const done_ctx = flow->ctx;
    const uint64_t done_arg = flow->arg;
    leave(engine, (uint32_t)slot);
    if (on_done != NULL) {
        on_done(engine, done_ctx, done_arg);
    }
}

/* ---- settling ------------------------------------------------------------------------------------ */

static bool crosses_marked(const vs_engine *engine, const flow_state *flow)
{
    for (uint32_t i = 0; i < flow->link_count; i++) {
        if (engine->links.links[flow->links[i]].is_marked) {
            return true;
        }
    }
    return false;
}

static void pick(vs_engine *engine, flow_state *flow)
{
    link_table *t = &engine->links;
    flow->is_picked = true;
    for (uint32_t i = 0; i < flow->link_count; i++) {
        link_state *link = &t->links[flow->links[i]];
        if (!link->is_marked) {
            link->is_marked = true;
            t->marked[t->marked_count++] = flow->links[i];
        }
    }
}

/* Marks all links connected with marked ones and lists the flows on them by number. */
static uint32_t pick_component(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    uint32_t found = 0;
    for (bool has_grown = true; has_grown && found < t->moving_count;) {
        const uint32_t marked_before = engine->links.marked_count;
        for (uint32_t i = 0; i < t->moving_count; i++) {
            flow_state *flow = &t->flows[t->moving[i]];
            if (!flow->is_picked && crosses_marked(engine, flow)) {
                pick(engine, flow);
                found++;
            }
        }
        has_grown = engine->links.marked_count > marked_before;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        flow_state *flow = &t->flows[t->moving[i]];
        if (flow->is_picked) {
            flow->is_picked = false;
            t->picked[count++] = t->moving[i];
        }
    }
    return count;
}

/* The least room of the flow's links. */
static uint64_t room_for(const vs_engine *engine, const flow_state *flow)
{
    uint64_t room = UINT64_MAX;
    for (uint32_t i = 0; i < flow->link_count; i++) {
        const uint64_t here = engine->links.links[flow->links[i]].room_bps;
        room = here < room ? here : room;
    }
    return room;
}

/* Fixes the flow's new rate; the others share what is left. */
static void close_flow(vs_engine *engine, flow_state *flow, uint64_t level)
{
    flow->new_rate_bps = level == 0 ? 1 : level; /* every flow has to end */
    for (uint32_t i = 0; i < flow->link_count; i++) {
        engine->links.links[flow->links[i]].open_count--;
    }
}

/* Closes the flows of open[0 .. count) that cannot rise above level; returns how many stay. */
static uint32_t close_full(vs_engine *engine, uint32_t *open, uint32_t count, uint64_t level)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        flow_state *flow = &engine->flows.flows[open[i]];
        if (flow->cap_bps <= level || room_for(engine, flow) == 0) {
            close_flow(engine, flow, level);
        } else {
            open[kept++] = open[i];
        }
    }
    return kept;
}

/* How far all open flows can rise together. */
static uint64_t common_step(const vs_engine *engine, const uint32_t *open, uint32_t count,
                            uint64_t level)
{
    uint64_t step = UINT64_MAX;
    for (uint32_t i = 0; i < engine->links.marked_count; i++) {
        const link_state *link = &engine->links.links[engine->links.marked[i]];
        if (link->open_count > 0) {
            const uint64_t share = link->room_bps / link->open_count;
            step = share < step ? share : step;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t below_cap = engine->flows.flows[open[i]].cap_bps - level;
        step = below_cap < step ? below_cap : step;
    }
    return step;
}

static void take_from_links(vs_engine *engine, uint64_t step)
{
    for (uint32_t i = 0; i < engine->links.marked_count; i++) {
        link_state *link = &engine->links.links[engine->links.marked[i]];
        link->room_bps -= step * link->open_count;
    }
}

/* One byte per second more for each open flow whose links have it, lowest number first; the
 * others are closed at level. Returns how many stay open, at level + 1. */
static uint32_t give_last_bytes(vs_engine *engine, uint32_t *open, uint32_t count,
                                uint64_t level)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        flow_state *flow = &engine->flows.flows[open[i]];
        if (room_for(engine, flow) == 0) {
            close_flow(engine, flow, level);
            continue;
        }
        for (uint32_t k = 0; k < flow->link_count; k++) {
            engine->links.links[flow->links[k]].room_bps--;
        }
        open[kept++] = open[i];
    }
    return kept;
}

/* Fills new_rate_bps of the flows in open, which is consumed. Ends: a level at which nobody is
 * closed is followed by one at which the tightest link has less than one byte for each. */
static void share(vs_engine *engine, uint32_t *open, uint32_t count)
{
    for (uint32_t i = 0; i < engine->links.marked_count; i++) {
        link_state *link = &engine->links.links[engine->links.marked[i]];
        link->room_bps = link->rate_bps;
        link->open_count = link->flow_count;
    }
    uint64_t level = 0;
    while (count > 0) {
        const uint64_t step = common_step(engine, open, count, level);
        if (step > 0) {
            take_from_links(engine, step);
            level += step;
        } else {
            count = give_last_bytes(engine, open, count, level);
            level++;
        }
        count = close_full(engine, open, count, level);
    }
}

/* Most settlings are about one flow on its own. */
static void share_alone(vs_engine *engine, flow_state *flow)
{
    uint64_t rate = flow->cap_bps;
    for (uint32_t i = 0; i < flow->link_count; i++) {
        const uint64_t here = engine->links.links[flow->links[i]].rate_bps;
        rate = here < rate ? here : rate;
    }
    flow->new_rate_bps = rate;
}

static void settle_component(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    const uint32_t count = pick_component(engine);
    if (count == 1) {
        share_alone(engine, &t->flows[t->picked[0]]);
    } else {
        share(engine, t->picked, count);
    }
    for (uint32_t i = 0; i < t->moving_count; i++) {
        const uint32_t slot = t->moving[i];
        flow_state *flow = &t->flows[slot];
        if (flow->new_rate_bps != 0 && flow->new_rate_bps != flow->rate_bps) {
            set_rate(engine, slot, flow->new_rate_bps);
        }
        flow->new_rate_bps = 0;
    }
}

/* ---- settling flows that are all alike -------------------------------------------------------- */

/* The copying threads of one load: every moving flow crosses the same links under the same cap, and some of those
 * links are marked, so all of them share anew. */
static bool are_all_alike(const vs_engine *engine)
{
    const flow_table *t = &engine->flows;
    if (t->moving_count == 0 || !crosses_marked(engine, &t->flows[t->moving[0]])) {
        return false;
    }
    const flow_state *first = &t->flows[t->moving[0]];
    for (uint32_t i = 1; i < t->moving_count; i++) {
        const flow_state *flow = &t->flows[t->moving[i]];
        if (flow->cap_bps != first->cap_bps || flow->link_count != first->link_count ||
            memcmp(flow->links, first->links, sizeof first->links) != 0) {
            return false;
        }
    }
    return true;
}

/* What share finds step by step, at once: the narrowest link divided by the number of flows, what is left over to
 * those started first. Ends that move are put in order together: with few other events pending that is one look at
 * the top of the heap instead of one for each. */
static void settle_alike(vs_engine *engine)
{
    const flow_table *t = &engine->flows;
    event_queue *q = &engine->queue;
    const flow_state *first = &t->flows[t->moving[0]];
    uint64_t room = UINT64_MAX;
    for (uint32_t i = 0; i < first->link_count; i++) {
        const uint64_t here = engine->links.links[first->links[i]].rate_bps;
        room = here < room ? here : room;
    }
    const uint64_t level = room / t->moving_count;
    const bool is_capped = first->cap_bps <= level;
    const uint64_t more_until = is_capped ? 0 : room % t->moving_count;
    const uint64_t rate = is_capped ? first->cap_bps : level == 0 ? 1 : level;
    const bool is_small_heap = q->count <= 4 * t->moving_count + 1;
    bool is_disordered = false;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        flow_state *flow = &t->flows[t->moving[i]];
        const uint64_t new_rate = i < more_until ? level + 1 : rate;
        if (new_rate == flow->rate_bps) {
            continue;
        }
        const vs_ns end = take_rate(engine, flow, new_rate);
        if (is_small_heap && key_replace(engine, flow->timer, end)) {
            is_disordered = true;
            continue;
        }
        if (is_disordered) {
            heap_restore(q);
            is_disordered = false;
        }
        set_end(engine, t->moving[i], end);
    }
    if (is_disordered) {
        heap_restore(q);
    }
}

static void settle(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)ctx;
    (void)arg;
    engine->links.is_settling_due = false;
    if (are_all_alike(engine)) {
        settle_alike(engine);
    } else {
        settle_component(engine);
    }
    for (uint32_t i = 0; i < engine->links.marked_count; i++) {
        engine->links.links[engine->links.marked[i]].is_marked = false;
    }
    engine->links.marked_count = 0;
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
static void assert_flow_desc(const vs_engine *engine, const vs_flow_desc *desc)
{
    vs_assert(desc->link_count <= VS_FLOW_LINKS_MAX);
    vs_assert(desc->link_count > 0 || desc->cap_bps > 0);
    for (uint32_t i = 0; i < desc->link_count; i++) {
        (void)link_get(engine, desc->links[i]);
        for (uint32_t k = 0; k < i; k++) {
            vs_assert(desc->links[k].id != desc->links[i].id);
        }
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
    assert_flow_desc(engine, desc);
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
    flow_state *flow = &engine->flows.flows[slot];
    const uint64_t id = ++engine->flows.last_number << SLOT_BITS | slot;
    *flow = (flow_state){.id = id,
                         .size_bytes = desc->size_bytes,
                         .left_bytes = desc->size_bytes,
                         .cap_bps = desc->cap_bps == 0 ? NO_CAP : desc->cap_bps,
                         .on_done = desc->on_done,
                         .ctx = desc->ctx,
                         .arg = desc->arg,
                         .link_count = desc->link_count};
    for (uint32_t i = 0; i < desc->link_count; i++) {
        flow->links[i] = desc->links[i].id - 1;
    }
    const vs_ns begin = time_after(engine, desc->latency_ns);
    if (desc->size_bytes == 0) {
        flow->timer = event_schedule(engine, begin, VS_RANK_ARRIVE, finish, NULL, slot);
    } else if (desc->latency_ns == 0) {
        join(engine, NULL, slot);
    } else {
        /* Rank SETTLE: a flow that joins has the same effect however late in the instant, and so
         * joins before this instant's settling, which is scheduled later. */
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
    return found == NULL ? UINT64_MAX : vs_flow_moved(found, engine->now);
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
    if (found->phase == FLOW_MOVES) {
        bring_up_to_date(found, engine->now);
    }
    (void)vs_engine_cancel(engine, found->timer); /* a flow that joined just now has none yet */
    leave(engine, (uint32_t)(flow.id & SLOT_MASK));
    return true;
}

vs_bytes vs_link_carried(const vs_engine *engine, vs_link link)
{
    vs_bytes carried = link_get(engine, link)->ended_bytes;
    const flow_table *t = &engine->flows;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        const flow_state *flow = &t->flows[t->moving[i]];
        for (uint32_t k = 0; k < flow->link_count; k++) {
            carried += flow->links[k] == link.id - 1 ? vs_flow_moved(flow, engine->now) : 0;
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
