/* The event queue against a naive twin: a list in which the next event is the least of
 * (time, rank, seq) by a walk over all of it. Random schedule, cancel and reschedule, from outside and
 * from within handlers, over few distinct times so that instants are crowded. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS      120
#define PENDING_MAX 400
#define EVENTS_MAX  3000

typedef struct {
    vs_ns time;
    uint32_t rank;
    uint64_t seq;
    vs_timer timer;
} twin_event;

typedef struct {
    vs_arena arena;
    vs_engine *engine;
    vs_rng rng;
    twin_event pending[PENDING_MAX];
    uint32_t count;
    uint64_t last_seq;
    vs_timer gone[16]; /* some handles that are stale */
    uint32_t gone_count;
    uint64_t ran;
    uint64_t budget; /* events that may still be scheduled */
    vs_ns spread_ns; /* delays are below */
} twin;

static void handle(vs_engine *engine, void *ctx, uint64_t seq);

static uint64_t below(twin *t, uint64_t bound)
{
    return vs_rng_below(&t->rng, bound);
}

static void forget(twin *t, uint32_t i)
{
    t->gone[t->gone_count++ % 16] = t->pending[i].timer;
    t->pending[i] = t->pending[--t->count];
}

static void do_schedule(twin *t)
{
    if (t->count == PENDING_MAX || t->budget == 0) {
        return;
    }
    t->budget--;
    twin_event *e = &t->pending[t->count++];
    e->time = vs_engine_now(t->engine) + below(t, t->spread_ns);
    e->rank = (uint32_t)below(t, VS_RANK_COUNT);
    e->seq = ++t->last_seq;
    e->timer = vs_engine_at(t->engine, e->time, (vs_rank)e->rank, handle, t, e->seq);
    assert_true(e->timer.id != 0);
}

static void do_cancel(twin *t)
{
    if (t->count > 0) {
        const uint32_t i = (uint32_t)below(t, t->count);
        assert_true(vs_engine_cancel(t->engine, t->pending[i].timer));
        forget(t, i);
    }
}

/* The handle given as seq to the handler stays the event's name; only its place changes. */
static void do_reschedule(twin *t)
{
    if (t->count > 0) {
        twin_event *e = &t->pending[below(t, t->count)];
        e->time = vs_engine_now(t->engine) + below(t, t->spread_ns);
        e->seq = ++t->last_seq;
        assert_true(vs_engine_reschedule(t->engine, e->timer, e->time));
    }
}

static void do_stale(twin *t)
{
    const vs_timer timer = t->gone[below(t, 16)];
    assert_false(vs_engine_is_pending(t->engine, timer));
    assert_false(vs_engine_cancel(t->engine, timer));
    assert_false(vs_engine_reschedule(t->engine, timer, vs_engine_now(t->engine)));
}

static void act(twin *t)
{
    for (uint64_t n = below(t, 6); n > 0; n--) {
        switch (below(t, 10)) {
        case 0: do_cancel(t); break;
        case 1:
        case 2: do_reschedule(t); break;
        case 3: do_stale(t); break;
        default: do_schedule(t); break;
        }
        vs_err err = {0};
        if (!vs_engine_check(t->engine, &err)) {
            fail_msg("%s", err.text);
        }
    }
}

static bool is_before(const twin_event *a, const twin_event *b)
{
    if (a->time != b->time) {
        return a->time < b->time;
    }
    return a->rank != b->rank ? a->rank < b->rank : a->seq < b->seq;
}

static uint32_t first_of(const twin *t)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < t->count; i++) {
        if (is_before(&t->pending[i], &t->pending[first])) {
            first = i;
        }
    }
    return first;
}

static void handle(vs_engine *engine, void *ctx, uint64_t seq)
{
    twin *t = ctx;
    assert_true(t->count > 0);
    const uint32_t i = first_of(t);
    const twin_event expected = t->pending[i];
    assert_int_equal(vs_engine_now(engine), expected.time);
    /* The timer's slot may be rescheduled any number of times: compare handles by seq of the first
     * call, which the handle carries above 24 bits of slot. */
    assert_int_equal(expected.timer.id >> 24, seq);
    assert_false(vs_engine_is_pending(engine, expected.timer));
    forget(t, i);
    t->ran++;
    act(t);
}

/* Returns how many events ran. */
static uint64_t one_round(uint64_t seed)
{
    twin t;
    memset(&t, 0, sizeof t);
    vs_err err = {0};
    assert_true(vs_arena_open(&t.arena, 4 * VS_MIB, &err));
    t.engine = vs_engine_new(&t.arena, &(vs_engine_desc){.expected_events = 1});
    assert_non_null(t.engine);
    vs_rng_seed(&t.rng, seed);
    t.budget = 1 + seed * EVENTS_MAX / ROUNDS;
    t.spread_ns = (vs_ns)1 << below(&t, 12);
    for (int i = 0; i < 20; i++) {
        act(&t);
    }
    while (t.count > 0 && t.ran < EVENTS_MAX) {
        const vs_ns until = vs_engine_now(t.engine) + below(&t, t.spread_ns);
        assert_true(vs_engine_run(t.engine, until, &err));
        for (uint32_t i = 0; i < t.count; i++) {
            assert_true(t.pending[i].time > until);
            assert_true(vs_engine_is_pending(t.engine, t.pending[i].timer));
        }
        act(&t);
        if (t.spread_ns < 2) {
            assert_true(vs_engine_run(t.engine, until + 1, &err));
        }
    }
    assert_int_equal(vs_engine_event_count(t.engine), t.ran);
    vs_arena_close(&t.arena);
    return t.ran;
}

static void the_queue_runs_what_a_sorted_list_would_run(void **state)
{
    (void)state;
    uint64_t ran = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        if (seed % 50 == 1) {
            (void)printf("seed %" PRIu64 "\n", seed);
        }
        ran += one_round(seed);
    }
    assert_true(ran > UINT64_C(10) * ROUNDS); /* the rounds were not over before they began */
    (void)printf("%" PRIu64 " events\n", ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_queue_runs_what_a_sorted_list_would_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
