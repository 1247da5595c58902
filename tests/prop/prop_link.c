/* Shared bandwidth against naive twins.
 *
 * One twin hands out bandwidth one byte per second at a time, in order of flow number, and steps
 * from instant to instant with all bytes in units of 1e-9: ends, rates and bytes of the engine
 * must equal it exactly. A second twin shares in exact fractions and bounds the first. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS       4000
#define FLOWS_MAX    12
#define LINKS_MAX    5
#define INSTANTS_MAX 256
#define NS_PER_S     UINT64_C(1000000000)

__extension__ typedef unsigned __int128 wide;

typedef enum { FLOW_UNBORN, FLOW_MOVING, FLOW_DONE, FLOW_CANCELLED } flow_state;

typedef struct {
    uint32_t links[VS_FLOW_LINKS_MAX];
    uint32_t link_count;
    uint64_t cap_bps; /* 0: none */
    vs_bytes size_bytes;
    vs_ns start_ns;
    vs_ns latency_ns;
    vs_ns cancel_ns; /* VS_NS_NEVER: not cancelled */
    /* as the twin runs: */
    flow_state state;
    uint64_t left; /* 1e-9 bytes */
    uint64_t rate_bps;
    vs_ns end_ns;
    /* as the engine ran: */
    vs_flow handle;
    vs_ns engine_end_ns;
} flow;

typedef struct {
    vs_ns time;
    uint64_t rate_bps[FLOWS_MAX];
    vs_bytes delivered[FLOWS_MAX]; /* UINT64_MAX: not there */
} instant;

typedef struct {
    vs_arena arena;
    vs_engine *engine;
    vs_rng rng;
    uint64_t link_rate[LINKS_MAX];
    vs_link links[LINKS_MAX];
    vs_ns busy_ns[LINKS_MAX];
    uint32_t link_count;
    flow flows[FLOWS_MAX];
    uint32_t flow_count;
    vs_ns probes[16];
    instant instants[INSTANTS_MAX];
    uint32_t instant_count;
} scenario;

static uint64_t below(scenario *s, uint64_t bound)
{
    return vs_rng_below(&s->rng, bound);
}

static uint64_t scaled(scenario *s, uint64_t bound)
{
    return 1 + below(s, 1 + below(s, bound)); /* small ones as likely as large ones */
}

/* ---- exact fractions ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t num;
    uint64_t den;
} fraction;

static fraction reduced(uint64_t num, uint64_t den)
{
    uint64_t a = num;
    uint64_t b = den;
    while (b != 0) {
        const uint64_t r = a % b;
        a = b;
        b = r;
    }
    return (fraction){num / a, den / a};
}

static bool is_less(fraction a, fraction b)
{
    return (wide)a.num * b.den < (wide)b.num * a.den;
}

static fraction minus(fraction a, fraction b)
{
    return reduced(a.num * b.den - b.num * a.den, a.den * b.den);
}

static bool crosses(const flow *f, uint32_t link)
{
    for (uint32_t k = 0; k < f->link_count; k++) {
        if (f->links[k] == link) {
            return true;
        }
    }
    return false;
}

/* What the open flows on a link could all have. False when nobody is open there. */
static bool link_level(const scenario *s, uint32_t link, const fraction *share,
                       const bool *is_open, fraction *out)
{
    fraction room = {s->link_rate[link], 1};
    uint64_t open = 0;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const flow *f = &s->flows[i];
        if (f->state != FLOW_MOVING || !crosses(f, link)) {
            continue;
        }
        if (is_open[i]) {
            open++;
        } else {
            room = minus(room, share[i]);
        }
    }
    if (open > 0) {
        *out = reduced(room.num, room.den * open);
    }
    return open > 0;
}

/* Whether flow i can have no more than level. */
static bool is_held_at(const scenario *s, uint32_t i, const fraction *share,
                       const bool *is_open, fraction level)
{
    const flow *f = &s->flows[i];
    if (f->cap_bps != 0 && !is_less(level, (fraction){f->cap_bps, 1})) {
        return true;
    }
    for (uint32_t k = 0; k < f->link_count; k++) {
        fraction here = {0, 1};
        if (link_level(s, f->links[k], share, is_open, &here) && !is_less(level, here)) {
            return true;
        }
    }
    return false;
}

static fraction lowest_level(const scenario *s, const fraction *share, const bool *is_open)
{
    fraction level = {UINT32_MAX, 1};
    for (uint32_t link = 0; link < s->link_count; link++) {
        fraction here = {0, 1};
        if (link_level(s, link, share, is_open, &here) && is_less(here, level)) {
            level = here;
        }
    }
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const fraction cap = {s->flows[i].cap_bps, 1};
        if (is_open[i] && cap.num != 0 && is_less(cap, level)) {
            level = cap;
        }
    }
    return level;
}

/* Max-min fair shares as fractions. */
static void share_exactly(const scenario *s, fraction *share)
{
    bool is_open[FLOWS_MAX] = {false};
    uint32_t open = 0;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        is_open[i] = s->flows[i].state == FLOW_MOVING;
        open += is_open[i] ? 1 : 0;
        share[i] = (fraction){0, 1};
    }
    while (open > 0) {
        const fraction level = lowest_level(s, share, is_open);
        bool is_held[FLOWS_MAX] = {false};
        for (uint32_t i = 0; i < s->flow_count; i++) {
            is_held[i] = is_open[i] && is_held_at(s, i, share, is_open, level);
        }
        for (uint32_t i = 0; i < s->flow_count; i++) {
            if (is_held[i]) {
                share[i] = level;
                is_open[i] = false;
                open--;
            }
        }
    }
}

/* ---- the twin in whole bytes per second ------------------------------------------------------------ */

static uint64_t link_sum(const scenario *s, uint32_t link)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const flow *f = &s->flows[i];
        sum += f->state == FLOW_MOVING && crosses(f, link) ? f->rate_bps : 0;
    }
    return sum;
}

static bool can_rise(const scenario *s, const flow *f)
{
    if (f->cap_bps != 0 && f->rate_bps >= f->cap_bps) {
        return false;
    }
    for (uint32_t k = 0; k < f->link_count; k++) {
        if (link_sum(s, f->links[k]) >= s->link_rate[f->links[k]]) {
            return false;
        }
    }
    return true;
}

static void share_byte_by_byte(scenario *s)
{
    bool is_open[FLOWS_MAX] = {false};
    for (uint32_t i = 0; i < s->flow_count; i++) {
        s->flows[i].rate_bps = 0;
        is_open[i] = s->flows[i].state == FLOW_MOVING;
    }
    for (bool has_risen = true; has_risen;) {
        has_risen = false;
        for (uint32_t i = 0; i < s->flow_count; i++) {
            is_open[i] = is_open[i] && can_rise(s, &s->flows[i]);
            s->flows[i].rate_bps += is_open[i] ? 1 : 0;
            has_risen = has_risen || is_open[i];
        }
    }
}

/* The promises of link.c about rates, before the rule that every flow gets 1 at least. */
static void check_shares(const scenario *s)
{
    fraction exact[FLOWS_MAX];
    share_exactly(s, exact);
    bool is_star = true; /* nobody crosses two links: rates are within 1 of the exact share */
    for (uint32_t i = 0; i < s->flow_count; i++) {
        is_star = is_star && (s->flows[i].state != FLOW_MOVING || s->flows[i].link_count <= 1);
    }
    const uint64_t slack = is_star ? 1 : s->flow_count;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        if (s->flows[i].state == FLOW_MOVING) {
            const fraction rate = {s->flows[i].rate_bps, 1};
            assert_true(
                is_less(rate, (fraction){exact[i].num + slack * exact[i].den, exact[i].den}));
            assert_true(is_less(exact[i], (fraction){rate.num + slack, 1}));
            assert_false(can_rise(s, &s->flows[i])); /* nothing is left lying about */
        }
    }
    for (uint32_t link = 0; link < s->link_count; link++) {
        assert_true(link_sum(s, link) <= s->link_rate[link]);
    }
}

static void settle(scenario *s)
{
    share_byte_by_byte(s);
    check_shares(s);
    for (uint32_t i = 0; i < s->flow_count; i++) {
        flow *f = &s->flows[i];
        f->rate_bps += f->state == FLOW_MOVING && f->rate_bps == 0 ? 1 : 0;
    }
}

/* ---- the twin in time --------------------------------------------------------------------------------- */

static void happen(scenario *s, vs_ns now)
{
    for (uint32_t i = 0; i < s->flow_count; i++) {
        flow *f = &s->flows[i];
        const vs_ns begin = f->start_ns + f->latency_ns;
        const bool is_empty_over =
            f->state == FLOW_UNBORN && f->size_bytes == 0 && begin == now;
        if (is_empty_over || (f->state == FLOW_MOVING && f->left == 0)) {
            f->state = FLOW_DONE;
            f->end_ns = now;
        }
        if (f->cancel_ns == now && f->state != FLOW_DONE) {
            f->state = FLOW_CANCELLED;
        }
        if (f->state == FLOW_UNBORN && begin == now) {
            f->state = FLOW_MOVING;
            f->left = f->size_bytes * NS_PER_S;
        }
    }
    settle(s);
}

static void record(scenario *s, vs_ns now)
{
    assert_true(s->instant_count < INSTANTS_MAX);
    instant *at = &s->instants[s->instant_count++];
    at->time = now;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const flow *f = &s->flows[i];
        const bool is_waiting = f->state == FLOW_UNBORN && f->start_ns <= now;
        at->rate_bps[i] = f->state == FLOW_MOVING ? f->rate_bps : 0;
        at->delivered[i] = is_waiting ? 0 : UINT64_MAX;
        if (f->state == FLOW_MOVING) {
            at->delivered[i] = (f->size_bytes * NS_PER_S - f->left) / NS_PER_S;
        }
    }
}

static void consider(vs_ns time, vs_ns now, vs_ns *next)
{
    if (time > now && time < *next) {
        *next = time;
    }
}

static vs_ns next_time(const scenario *s, vs_ns now)
{
    vs_ns next = VS_NS_NEVER;
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const flow *f = &s->flows[i];
        consider(f->start_ns, now, &next);
        consider(f->start_ns + f->latency_ns, now, &next);
        consider(f->cancel_ns, now, &next);
        if (f->state == FLOW_MOVING) {
            consider(now + (f->left + f->rate_bps - 1) / f->rate_bps, now, &next);
        }
    }
    for (uint32_t i = 0; i < 16; i++) {
        consider(s->probes[i], now, &next);
    }
    return next;
}

static void move_on(scenario *s, vs_ns dt_ns)
{
    for (uint32_t link = 0; link < s->link_count; link++) {
        s->busy_ns[link] += link_sum(s, link) > 0 ? dt_ns : 0;
    }
    for (uint32_t i = 0; i < s->flow_count; i++) {
        flow *f = &s->flows[i];
        if (f->state == FLOW_MOVING) {
            const uint64_t moved = f->rate_bps * dt_ns;
            f->left = moved < f->left ? f->left - moved : 0;
        }
    }
}

static void run_twin(scenario *s)
{
    vs_ns now = 0;
    for (;;) {
        happen(s, now);
        record(s, now);
        const vs_ns next = next_time(s, now);
        if (next == VS_NS_NEVER) {
            return;
        }
        move_on(s, next - now);
        now = next;
    }
}

/* ---- the engine ------------------------------------------------------------------------------------------ */

static void on_done(vs_engine *engine, void *ctx, uint64_t i)
{
    scenario *s = ctx;
    assert_true(s->flows[i].engine_end_ns == VS_NS_NEVER);
    s->flows[i].engine_end_ns = vs_engine_now(engine);
}

static void on_start(vs_engine *engine, void *ctx, uint64_t i)
{
    scenario *s = ctx;
    flow *f = &s->flows[i];
    vs_flow_desc desc = {.link_count = f->link_count,
                         .cap_bps = f->cap_bps,
                         .size_bytes = f->size_bytes,
                         .latency_ns = f->latency_ns,
                         .on_done = on_done,
                         .ctx = s,
                         .arg = i};
    for (uint32_t k = 0; k < f->link_count; k++) {
        desc.links[k] = s->links[f->links[k]];
    }
    f->handle = vs_flow_start(engine, &desc);
    assert_true(f->handle.id != 0);
}

static void on_cancel(vs_engine *engine, void *ctx, uint64_t i)
{
    scenario *s = ctx;
    assert_int_equal(vs_flow_cancel(engine, s->flows[i].handle),
                     s->flows[i].state == FLOW_CANCELLED);
}

static void on_probe(vs_engine *engine, void *ctx, uint64_t index)
{
    scenario *s = ctx;
    const instant *at = &s->instants[index];
    vs_err err = {0};
    if (!vs_engine_check(engine, &err)) {
        fail_msg("%s", err.text);
    }
    for (uint32_t i = 0; i < s->flow_count; i++) {
        assert_int_equal(vs_flow_rate(engine, s->flows[i].handle), at->rate_bps[i]);
        assert_int_equal(vs_flow_delivered(engine, s->flows[i].handle), at->delivered[i]);
    }
}

static void run_engine(scenario *s)
{
    vs_err err = {0};
    for (uint32_t i = 0; i < s->link_count; i++) {
        s->links[i] = vs_link_new(s->engine, &(vs_link_desc){.rate_bps = s->link_rate[i]});
    }
    for (uint32_t i = 0; i < s->flow_count; i++) {
        (void)vs_engine_at(s->engine, s->flows[i].start_ns, VS_RANK_STEP, on_start, s, i);
    }
    for (uint32_t i = 0; i < s->flow_count; i++) {
        if (s->flows[i].cancel_ns != VS_NS_NEVER) {
            (void)vs_engine_at(s->engine, s->flows[i].cancel_ns, VS_RANK_STEP, on_cancel, s, i);
        }
    }
    for (uint32_t i = 0; i < s->instant_count; i++) {
        (void)vs_engine_at(s->engine, s->instants[i].time, VS_RANK_SAMPLE, on_probe, s, i);
    }
    assert_true(vs_engine_run(s->engine, VS_NS_NEVER, &err));
}

/* Bytes that flow i had moved when it went away. */
static vs_bytes carried_by(const scenario *s, uint32_t i)
{
    const flow *f = &s->flows[i];
    if (f->state == FLOW_DONE) {
        return f->size_bytes;
    }
    return f->left == 0 ? 0 : (f->size_bytes * NS_PER_S - f->left) / NS_PER_S;
}

static void compare(const scenario *s)
{
    for (uint32_t i = 0; i < s->flow_count; i++) {
        const flow *f = &s->flows[i];
        assert_int_equal(f->state == FLOW_DONE ? f->end_ns : VS_NS_NEVER, f->engine_end_ns);
        assert_true(f->state == FLOW_DONE || f->state == FLOW_CANCELLED);
    }
    for (uint32_t link = 0; link < s->link_count; link++) {
        vs_bytes carried = 0;
        for (uint32_t i = 0; i < s->flow_count; i++) {
            carried += crosses(&s->flows[i], link) ? carried_by(s, i) : 0;
        }
        assert_int_equal(vs_link_carried(s->engine, s->links[link]), carried);
        assert_int_equal(vs_link_busy(s->engine, s->links[link]), s->busy_ns[link]);
    }
}

static void invent_flow(scenario *s, uint32_t i, uint32_t links_per_flow)
{
    flow *f = &s->flows[i];
    *f = (flow){.engine_end_ns = VS_NS_NEVER, .cancel_ns = VS_NS_NEVER};
    const uint32_t wanted = 1 + (uint32_t)below(s, links_per_flow);
    while (f->link_count < wanted && f->link_count < s->link_count) {
        const uint32_t link = (uint32_t)below(s, s->link_count);
        if (!crosses(f, link)) {
            f->links[f->link_count++] = link;
        }
    }
    f->cap_bps = below(s, 3) == 0 ? scaled(s, 200) : 0;
    f->size_bytes = below(s, 8) == 0 ? 0 : scaled(s, 1000);
    f->latency_ns = below(s, 2) * below(s, 3 * NS_PER_S);
    f->start_ns =
        (i == 0 ? 0 : s->flows[i - 1].start_ns) + below(s, 2) * below(s, 4 * NS_PER_S);
    if (below(s, 4) == 0) {
        f->cancel_ns = f->start_ns + below(s, 2) * below(s, 9 * NS_PER_S);
    }
}

static void one_round(uint64_t seed)
{
    scenario s;
    memset(&s, 0, sizeof s);
    vs_err err = {0};
    assert_true(vs_arena_open(&s.arena, 4 * VS_MIB, &err));
    s.engine = vs_engine_new(&s.arena, &(vs_engine_desc){.expected_flows = 2});
    assert_non_null(s.engine);
    vs_rng_seed(&s.rng, seed);
    s.link_count = 1 + (uint32_t)below(&s, LINKS_MAX);
    s.flow_count = 1 + (uint32_t)below(&s, 1 + (FLOWS_MAX - 1) * seed / ROUNDS);
    const uint32_t links_per_flow = 1 + (uint32_t)below(&s, 3);
    const bool are_alike = below(&s, 2) == 0; /* most of them, as the threads of one load are */
    for (uint32_t i = 0; i < s.link_count; i++) {
        s.link_rate[i] = scaled(&s, 300);
    }
    for (uint32_t i = 0; i < s.flow_count; i++) {
        invent_flow(&s, i, links_per_flow);
        if (are_alike && below(&s, 8) != 0) {
            s.flows[i].link_count = s.flows[0].link_count;
            s.flows[i].cap_bps = s.flows[0].cap_bps;
            memcpy(s.flows[i].links, s.flows[0].links, sizeof s.flows[0].links);
        }
    }
    for (uint32_t i = 0; i < 16; i++) {
        s.probes[i] = below(&s, 60 * NS_PER_S);
    }
    run_twin(&s);
    run_engine(&s);
    compare(&s);
    vs_arena_close(&s.arena);
}

static void flows_move_exactly_as_byte_by_byte_sharing_says(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        if (seed % 1000 == 1) {
            (void)printf("seed %" PRIu64 "\n", seed);
        }
        one_round(seed);
    }
}

/* ---- large numbers ----------------------------------------------------------------------------------------- */

static void note_end(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    *(vs_ns *)ctx = vs_engine_now(engine);
}

static void start_other(vs_engine *engine, void *ctx, uint64_t link)
{
    (void)ctx;
    const vs_flow_desc desc = {
        .links = {{(uint32_t)link}}, .link_count = 1, .size_bytes = UINT64_C(1) << 62};
    assert_true(vs_flow_start(engine, &desc).id != 0);
}

static void stop(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    note_end(engine, ctx, 0);
    vs_engine_stop(engine);
}

/* A flow of any size at any rate, halved at any moment: its end from 128-bit arithmetic. */
static void one_large_flow(vs_arena *arena, vs_rng *rng)
{
    vs_arena_reset(arena);
    vs_engine *engine = vs_engine_new(arena, &(vs_engine_desc){0});
    assert_non_null(engine);
    const uint64_t rate = 2 + (vs_rng_next(rng) >> (2 + vs_rng_below(rng, 60)));
    const vs_bytes size = 1 + (vs_rng_next(rng) >> (3 + vs_rng_below(rng, 59)));
    const wide alone_ns = ((wide)size * NS_PER_S + rate - 1) / rate;
    if (alone_ns >= UINT64_MAX / 4 || alone_ns < 2) {
        return;
    }
    const vs_ns join_ns = 1 + vs_rng_below(rng, (uint64_t)alone_ns - 1);
    const uint64_t half = rate - rate / 2; /* the first flow gets the odd byte */
    const wide left = (wide)size * NS_PER_S - (wide)rate * join_ns;
    const wide expected = join_ns + (left + half - 1) / half;
    const vs_link link = vs_link_new(engine, &(vs_link_desc){.rate_bps = rate});
    vs_ns end_ns = 0;
    const vs_flow_desc desc = {
        .links = {link}, .link_count = 1, .size_bytes = size, .on_done = stop, .ctx = &end_ns};
    const vs_flow large = vs_flow_start(engine, &desc);
    (void)vs_engine_at(engine, join_ns, VS_RANK_STEP, start_other, NULL, link.id);
    vs_err err = {0};
    assert_true(vs_engine_run(engine, join_ns, &err));
    assert_true(vs_flow_delivered(engine, large) ==
                (vs_bytes)((wide)rate * join_ns / NS_PER_S));
    assert_true(vs_engine_run(engine, VS_NS_NEVER, &err));
    assert_true(end_ns == expected);
}

static void flows_of_any_magnitude_end_to_the_nanosecond(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, 4 * VS_MIB, &err));
    vs_rng rng;
    (void)printf("seed 7\n");
    vs_rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        one_large_flow(&arena, &rng);
    }
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_move_exactly_as_byte_by_byte_sharing_says),
        cmocka_unit_test(flows_of_any_magnitude_end_to_the_nanosecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
