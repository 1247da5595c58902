/* engine/share.c - bandwidth shared max-min fair, in integers.
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
 * Cost of settling: the moving flows are walked once per step of distance from the marked links
 * (two or three in practice), then (flows * links per flow) for each level at which somebody stops.
 *
 * Flows that are all alike take a short way: alike.c. */
#include "sim/engine/flow.h"

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
    if (t->is_parking) {
        vs_links_unpark(engine);
    }
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
            vs_flow_set_rate(engine, slot, flow->new_rate_bps);
        }
        flow->new_rate_bps = 0;
    }
}

/* Every moving flow crosses the same links under the same cap. What was so stays so when one leaves, and joining
 * looks (link.c): only flows that differed are compared anew. */
static bool are_all_alike(flow_table *t)
{
    if (!t->are_alike) {
        uint32_t i = 0;
        while (i < t->moving_count &&
               flow_is_like(&t->flows[t->moving[0]], &t->flows[t->moving[i]])) {
            i++;
        }
        t->are_alike = i == t->moving_count;
        t->room_bps = 0;
    }
    return t->are_alike;
}

void vs_links_settle(vs_engine *engine)
{
    flow_table *t = &engine->flows;
    if (t->moving_count == 0 || !are_all_alike(t)) {
        settle_component(engine);
    } else if (t->is_touched || crosses_marked(engine, &t->flows[t->moving[0]])) {
        vs_links_settle_alike(engine);
    }
    t->is_touched = false; /* if those that were have all gone */
    for (uint32_t i = 0; i < engine->links.marked_count; i++) {
        engine->links.links[engine->links.marked[i]].is_marked = false;
    }
    engine->links.marked_count = 0;
}
