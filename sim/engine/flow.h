/* engine/flow.h - how far a flow has come and when it ends: what link.c, share.c and alike.c have in common.
 *
 * Progress is exact. A flow of up to FLOW_SMALL_BYTES counts what is left in units of 1e-9 bytes: at r bytes per
 * second r of them go every nanosecond, one product and one difference. A larger one keeps whole bytes left and a
 * rest in 1e-9 bytes. The end is rounded up to a nanosecond; what the link could have carried in that last
 * fraction is lost. */
#ifndef VS_ENGINE_FLOW_H
#define VS_ENGINE_FLOW_H

#include "sim/engine/engine_internal.h"

#include <string.h>

/* In units of 1e-9 bytes below 2^63, so that adding what moves in one nanosecond, below 2^62 + 1, stays in 64 bits. */
#define FLOW_SMALL_BYTES ((UINT64_C(1) << 63) / NS_PER_S)

/* Bytes and rest after dt_ns more at a large flow's rate, not bounded by what is left. With
 * rate = a * 1e9 + b and dt = s * 1e9 + n, rate * dt / 1e9 = rate * s + a * n + b * n / 1e9: no
 * product leaves 64 bits as long as the flow would end before it had moved 2^63 bytes. */
static inline vs_bytes large_flow_advance(const flow_state *flow, vs_ns now, uint32_t *out_rest)
{
    const uint64_t dt_ns = now - flow->updated_ns;
    const uint64_t whole_s = dt_ns / NS_PER_S;
    const uint64_t part_ns = dt_ns % NS_PER_S;
    const uint64_t small = flow->rate_bps % NS_PER_S * part_ns + flow->rest; /* < 1e18 + 1e9 */
    *out_rest = (uint32_t)(small % NS_PER_S);
    return flow->rate_bps * whole_s + flow->rate_bps / NS_PER_S * part_ns + small / NS_PER_S;
}

/* What is left of a small flow. It would end before it had moved 2^63 units, so the product fits. */
static inline uint64_t small_flow_left(const flow_state *flow, vs_ns now)
{
    const uint64_t moved = flow->rate_bps * (now - flow->updated_ns);
    return moved < flow->left ? flow->left - moved : 0;
}

static inline void flow_update(flow_state *flow, vs_ns now)
{
    if (flow->is_large) {
        uint32_t rest = 0;
        const vs_bytes more = large_flow_advance(flow, now, &rest);
        const bool is_over = more >= flow->left;
        flow->left = is_over ? 0 : flow->left - more;
        flow->rest = is_over ? 0 : rest;
    } else {
        flow->left = small_flow_left(flow, now);
    }
    flow->updated_ns = now;
}

/* Whole bytes delivered by now. */
static inline vs_bytes flow_moved(const flow_state *flow, vs_ns now)
{
    if (!flow->is_large) {
        const uint64_t left = small_flow_left(flow, now);
        return flow->size_bytes - left / NS_PER_S - (left % NS_PER_S != 0);
    }
    uint32_t rest = 0;
    const vs_bytes more = large_flow_advance(flow, now, &rest);
    return flow->size_bytes - (more < flow->left ? flow->left - more : 0);
}

/* ceil(left / rate) */
static inline uint64_t time_for(uint64_t left, uint64_t rate_bps)
{
    vs_assert(rate_bps > 0);
    return left / rate_bps + (left % rate_bps != 0);
}

/* Nanoseconds until nothing is left: ceil((left * 1e9 - rest) / rate), VS_NS_NEVER when that is
 * beyond the clock. */
static inline uint64_t flow_time_left(const flow_state *flow)
{
    const uint64_t left = flow->left;
    const uint64_t rate = flow->rate_bps;
    if (!flow->is_large) {
        return time_for(left, rate);
    }
    vs_assert(rate > 0);
    if (left == 0) {
        return 0;
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

/* Two flows that share evenly: the same links and cap, and neither of them large. */
static inline bool flow_is_like(const flow_state *a, const flow_state *b)
{
    return a->cap_bps == b->cap_bps && a->link_count == b->link_count && !a->is_large &&
           !b->is_large && memcmp(a->links, b->links, sizeof a->links) == 0;
}

/* link.c: the end of a flow, at its time. */
void vs_flow_finish(vs_engine *engine, void *ctx, uint64_t slot);
/* Brings the flow up to date; from now on it moves at this rate and ends accordingly. */
void vs_flow_set_rate(vs_engine *engine, uint32_t slot, uint64_t rate_bps);
/* share.c: links that were touched share anew. */
void vs_links_settle(vs_engine *engine);
/* alike.c: the same for moving flows that are all alike. */
void vs_links_settle_alike(vs_engine *engine);
/* alike.c: all ends go into the queue. */
void vs_links_unpark(vs_engine *engine);
/* alike.c: the front's end goes into the queue. */
void vs_links_queue_front(vs_engine *engine);

#endif /* VS_ENGINE_FLOW_H */
