/* engine/check.c - walks the invariants listed at the top of queue.c and link.c. */
#include "sim/engine/flow.h"

static bool broken(vs_err *err, const char *what, uint64_t at)
{
    return vs_fail(err, VS_ERR_INTERNAL, "engine invariant broken: %s (at %" PRIu64 ")", what,
                   at);
}

static bool check_key(const vs_engine *engine, uint32_t i, vs_err *err)
{
    const event_queue *q = &engine->queue;
    const queue_key key = q->keys[i];
    const uint32_t slot = (uint32_t)(key.low & SLOT_MASK);
    if (slot == 0 || slot >= q->capacity || q->where[slot] != i) {
        return broken(err, "a key whose slot points elsewhere", i);
    }
    if (q->slots[slot].id == 0 || (q->slots[slot].id & SLOT_MASK) != slot) {
        return broken(err, "a key of a free slot", i);
    }
    if (key.time <= engine->now) {
        return broken(err, "a key that was due", i);
    }
    return true;
}

static bool check_heap(const vs_engine *engine, vs_err *err)
{
    const event_queue *q = &engine->queue;
    const uint32_t first = q->has_hole ? 1 : 0;
    if (q->has_hole && q->count == 0) {
        return broken(err, "a hole in an empty heap", 0);
    }
    for (uint32_t i = first; i < q->count; i++) {
        const uint32_t parent = i == 0 ? 0 : (i - 1) / 4;
        if (i > 0 && parent >= first && !key_less(&q->keys[parent], &q->keys[i])) {
            return broken(err, "a key before its parent", i);
        }
        if (!check_key(engine, i, err)) {
            return false;
        }
    }
    for (uint32_t i = q->count; i < q->count + 4; i++) {
        if (q->keys[i].time != VS_NS_NEVER || q->keys[i].low != UINT64_MAX) {
            return broken(err, "a key beyond the end", i);
        }
    }
    return true;
}

/* On success *out_count holds the events in lanes. */
static bool check_lanes(const event_queue *q, uint32_t *out_count, vs_err *err)
{
    uint32_t count = 0;
    for (uint32_t lane = 0; lane < LANE_COUNT; lane++) {
        uint32_t before = 0;
        for (uint32_t slot = q->lane_head[lane]; slot != 0; slot = q->next[slot]) {
            if (q->slots[slot].id == 0 ||
                q->where[slot] != (IN_LANE | lane << SLOT_BITS | before)) {
                return broken(err, "a lane that is not linked both ways", slot);
            }
            before = slot;
            if (++count >= q->capacity) {
                return broken(err, "a lane in a circle", lane);
            }
        }
        const bool is_marked = (q->lane_mask >> lane & 1) != 0;
        if (q->lane_tail[lane] != before ||
            (lane != LANE_SETTLING && is_marked != (before != 0))) {
            return broken(err, "a lane's end or its bit in lane_mask", lane);
        }
    }
    *out_count = count;
    return true;
}

static bool check_queue(const vs_engine *engine, vs_err *err)
{
    const event_queue *q = &engine->queue;
    uint32_t in_lanes = 0;
    if (!check_heap(engine, err) || !check_lanes(q, &in_lanes, err)) {
        return false;
    }
    uint32_t free_count = 0;
    for (uint32_t slot = q->free_head; slot != 0; slot = q->next[slot]) {
        if (q->slots[slot].id != 0 || ++free_count >= q->capacity) {
            return broken(err, "the list of free slots", slot);
        }
    }
    const uint32_t in_heap = q->count - (q->has_hole ? 1 : 0);
    if (1 + free_count + in_heap + in_lanes != q->capacity) {
        return broken(err, "slots that are neither free nor pending", q->capacity);
    }
    return true;
}

/* ---- links and flows --------------------------------------------------------------------------- */

/* Whether this flow, which moves without a timer, is the front or ends after it. While links are about to share
 * anew there need not be a front. */
static bool is_parked(const vs_engine *engine, const flow_state *flow)
{
    const flow_table *t = &engine->flows;
    const flow_state *front = &t->flows[t->front];
    if (!t->is_parking || flow->phase != FLOW_MOVES || settling_is_due(&engine->queue)) {
        return t->is_parking && flow->phase == FLOW_MOVES;
    }
    const vs_ns front_ns = front->updated_ns + flow_time_left(front);
    const bool is_queued = slot_of(&engine->queue, front->timer) != 0;
    if (t->front == 0 || (is_queued ? VS_NS_NEVER : front_ns) != t->front_ns) {
        return false;
    }
    return flow == front || front_ns < flow->updated_ns + flow_time_left(flow);
}

static bool check_flow(const vs_engine *engine, const flow_state *flow, vs_err *err)
{
    const uint64_t had = flow->is_large ? flow->size_bytes : flow->size_bytes * NS_PER_S;
    if (flow->rest >= NS_PER_S || flow->left > had) {
        return broken(err, "a flow with more left than it had", flow->id);
    }
    if (flow->rate_bps > flow->cap_bps) {
        return broken(err, "a flow above its cap", flow->id);
    }
    if (flow->phase == FLOW_WAITS && flow->rate_bps != 0) {
        return broken(err, "a flow with a rate before its latency passed", flow->id);
    }
    const bool needs_timer = flow->phase == FLOW_WAITS || flow->rate_bps > 0;
    const bool has_timer = slot_of(&engine->queue, flow->timer) != 0;
    if (needs_timer && !has_timer && !is_parked(engine, flow)) {
        return broken(err, "a flow without an end", flow->id);
    }
    if (!needs_timer && !settling_is_due(&engine->queue)) {
        return broken(err, "a flow without a rate", flow->id);
    }
    return true;
}

/* Rates and flow count of one link, from the flows. */
static bool check_link(const vs_engine *engine, uint32_t index, vs_err *err)
{
    const link_state *link = &engine->links.links[index];
    uint64_t sum = 0;
    uint32_t flow_count = 0;
    uint32_t crawling = 0; /* at 1 byte per second, which an overcrowded link cannot refuse */
    for (uint32_t i = 0; i < engine->flows.moving_count; i++) {
        const flow_state *flow = &engine->flows.flows[engine->flows.moving[i]];
        for (uint32_t k = 0; k < flow->link_count; k++) {
            if (flow->links[k] == index) {
                flow_count++;
                sum += flow->rate_bps;
                crawling += flow->rate_bps == 1 ? 1 : 0;
            }
        }
    }
    if (flow_count != link->flow_count) {
        return broken(err, "a link's flow count", index);
    }
    if (sum > link->rate_bps && sum - link->rate_bps > crawling) {
        return broken(err, "a link that carries more than its rate", index);
    }
    return true;
}

bool vs_links_check(const vs_engine *engine, vs_err *err)
{
    const flow_table *t = &engine->flows;
    uint64_t before = 0;
    for (uint32_t i = 0; i < t->moving_count; i++) {
        const flow_state *flow = &t->flows[t->moving[i]];
        if (flow->id <= before || flow->phase != FLOW_MOVES) {
            return broken(err, "the order of moving flows", i);
        }
        before = flow->id;
    }
    uint32_t moving = 0;
    for (uint32_t slot = 1; slot < t->capacity; slot++) {
        const flow_state *flow = &t->flows[slot];
        if (flow->id == 0) {
            continue;
        }
        moving += flow->phase == FLOW_MOVES ? 1 : 0;
        if (!check_flow(engine, flow, err)) {
            return false;
        }
    }
    if (moving != t->moving_count) {
        return broken(err, "a moving flow that is not listed", moving);
    }
    for (uint32_t i = 0; i < engine->links.count; i++) {
        if (!check_link(engine, i, err)) {
            return false;
        }
    }
    return true;
}

bool vs_engine_check(const vs_engine *engine, vs_err *err)
{
    return check_queue(engine, err) && vs_links_check(engine, err);
}
