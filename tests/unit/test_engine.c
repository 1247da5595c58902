/* The clock and the run loop: sim/engine/engine.c. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_engine *engine;
    uint64_t ran;
    uint64_t stop_at;
    uint64_t polls;
    uint64_t polls_allowed;
} fixture;

static void setup_with(fixture *f, const vs_engine_desc *desc)
{
    memset(f, 0, sizeof *f);
    vs_err err = {0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    f->engine = vs_engine_new(&f->arena, desc);
    assert_non_null(f->engine);
}

static void setup(fixture *f)
{
    setup_with(f, &(vs_engine_desc){0});
}

static void run(fixture *f, vs_ns until_ns)
{
    vs_err err = {0};
    if (!vs_engine_run(f->engine, until_ns, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(vs_engine_check(f->engine, &err));
}

static void count(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    fixture *f = ctx;
    if (++f->ran == f->stop_at) {
        vs_engine_stop(engine);
    }
}

static void at(fixture *f, vs_ns time)
{
    assert_true(vs_engine_at(f->engine, time, VS_RANK_STEP, count, f, 0).id != 0);
}

/* Counts and schedules itself again, delay ns later. */
static void again(vs_engine *engine, void *ctx, uint64_t delay)
{
    count(engine, ctx, delay);
    (void)vs_engine_after(engine, delay, VS_RANK_STEP, again, ctx, delay);
}

/* ---- where a run ends ---------------------------------------------------------------------------- */

static void an_empty_run_ends_at_once_and_leaves_the_clock(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    run(&f, 1000);
    assert_int_equal(vs_engine_now(f.engine), 0);
    assert_int_equal(vs_engine_event_count(f.engine), 0);
    vs_arena_close(&f.arena);
}

static void the_clock_stays_at_the_last_event_when_nothing_is_left(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    at(&f, 7);
    run(&f, 1000);
    assert_int_equal(vs_engine_now(f.engine), 7);
    vs_arena_close(&f.arena);
}

static void until_is_included_and_the_clock_waits_there(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    at(&f, 10);
    at(&f, 11);
    run(&f, 9);
    assert_int_equal(f.ran, 0);
    assert_int_equal(vs_engine_now(f.engine), 9);
    run(&f, 10);
    assert_int_equal(f.ran, 1);
    run(&f, 5); /* earlier than now: nothing happens */
    assert_int_equal(vs_engine_now(f.engine), 10);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.ran, 2);
    assert_int_equal(vs_engine_now(f.engine), 11);
    vs_arena_close(&f.arena);
}

static void what_is_scheduled_for_now_between_two_runs_is_executed(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    at(&f, 20);
    run(&f, 10);
    at(&f, 10);
    run(&f, 10);
    assert_int_equal(f.ran, 1);
    vs_arena_close(&f.arena);
}

static void stop_ends_the_run_after_the_event_and_the_next_run_goes_on(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    for (int i = 0; i < 5; i++) {
        at(&f, 3);
    }
    f.stop_at = 2;
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.ran, 2);
    assert_int_equal(vs_engine_now(f.engine), 3);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.ran, 5);
    assert_int_equal(vs_engine_event_count(f.engine), 5);
    vs_arena_close(&f.arena);
}

/* ---- polling ------------------------------------------------------------------------------------- */

static bool poll(void *ctx)
{
    fixture *f = ctx;
    return ++f->polls > f->polls_allowed;
}

static void the_poll_is_asked_every_4096_events_and_can_end_the_run(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    f.polls_allowed = 2;
    vs_engine_set_poll(f.engine, poll, &f);
    (void)vs_engine_at(f.engine, 0, VS_RANK_STEP, again, &f, 1);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.polls, 3);
    assert_int_equal(f.ran, 3 * 4096);
    f.polls_allowed = UINT64_MAX;
    run(&f, 40000);
    assert_int_equal(f.ran, 40001);
    assert_int_equal(f.polls, 40001 / 4096);
    vs_arena_close(&f.arena);
}

static void the_poll_is_asked_within_a_long_instant_too(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    vs_engine_set_poll(f.engine, poll, &f);
    (void)vs_engine_at(f.engine, 5, VS_RANK_STEP, again, &f, 0);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.ran, 4096);
    vs_arena_close(&f.arena);
}

/* ---- failures ------------------------------------------------------------------------------------ */

static void spin(vs_engine *engine, vs_process *process)
{
    process->state++;
    vs_process_sleep(engine, process, 0);
}

static void an_instant_that_does_not_end_is_an_error_that_names_the_process(void **state)
{
    (void)state;
    fixture f;
    setup_with(&f, &(vs_engine_desc){.instant_limit = 100});
    vs_process process = {.step = spin, .name = "whirling dervish"};
    vs_process_sleep(f.engine, &process, 17);
    vs_err err = {0};
    assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    assert_non_null(strstr(err.text, "17 ns"));
    assert_non_null(strstr(err.text, "whirling dervish"));
    assert_int_equal(process.state, 100);
    vs_err again_err = {0};
    assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &again_err)); /* final */
    assert_int_equal(process.state, 100);
    vs_arena_close(&f.arena);
}

static void an_instant_of_exactly_the_limit_is_fine(void **state)
{
    (void)state;
    fixture f;
    setup_with(&f, &(vs_engine_desc){.instant_limit = 10});
    for (vs_ns time = 1; time <= 50; time++) {
        for (int i = 0; i < 10; i++) {
            at(&f, time);
        }
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.ran, 500);
    at(&f, 60);
    for (int i = 0; i < 10; i++) {
        at(&f, 60);
    }
    vs_err err = {0};
    assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &err));
    assert_int_equal(f.ran, 510);
    vs_arena_close(&f.arena);
}

static void multiply(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)vs_engine_after(engine, 1, VS_RANK_STEP, multiply, ctx, arg);
    (void)vs_engine_after(engine, 2, VS_RANK_STEP, multiply, ctx, arg);
}

static void an_exhausted_arena_is_reported_by_the_run(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    (void)vs_engine_at(f.engine, 1, VS_RANK_STEP, multiply, &f, 0);
    vs_err err = {0};
    assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &err));
    assert_int_equal(err.code, VS_ERR_MEMORY);
    assert_true(strlen(err.text) > 0);
    assert_int_equal(vs_engine_at(f.engine, VS_NS_NEVER - 1, VS_RANK_STEP, count, &f, 0).id, 0);
    vs_arena_close(&f.arena);
}

/* ---- determinism ----------------------------------------------------------------------------------- */

/* Everything of a run in its arena, so that the arena's bytes are the run. */
typedef struct {
    vs_process process;
    vs_engine *engine;
    vs_link link;
    vs_gate gate;
    vs_rng rng;
    uint64_t digest;
} world;

static void mix(world *w, uint64_t value)
{
    w->digest = (w->digest ^ value) * UINT64_C(0x100000001b3); /* FNV-1a's prime, per word */
}

static void arrived(vs_engine *engine, void *ctx, uint64_t arg)
{
    world *w = ctx;
    mix(w, vs_engine_now(engine));
    mix(w, arg);
    (void)vs_gate_signal(engine, &w->gate);
}

static void world_step(vs_engine *engine, vs_process *process)
{
    world *w = (world *)process;
    mix(w, vs_engine_now(engine));
    const vs_flow_desc desc = {.links = {w->link},
                               .link_count = 1,
                               .cap_bps = 1 + vs_rng_below(&w->rng, 3000),
                               .size_bytes = vs_rng_below(&w->rng, 5000),
                               .latency_ns = vs_rng_below(&w->rng, 50),
                               .on_done = arrived,
                               .ctx = w,
                               .arg = ++process->state};
    mix(w, vs_flow_start(engine, &desc).id);
    if (process->state % 3 == 0) {
        vs_gate_wait(engine, &w->gate, process);
    } else {
        vs_process_sleep(engine, process, vs_rng_below(&w->rng, UINT64_C(2000000000)));
    }
}

static world *world_new(vs_arena *arena)
{
    world *w = VS_NEW(arena, world);
    assert_non_null(w);
    w->engine = vs_engine_new(arena, &(vs_engine_desc){0});
    assert_non_null(w->engine);
    w->link = vs_link_new(w->engine, &(vs_link_desc){.name = "bus", .rate_bps = 1777});
    w->process = (vs_process){.step = world_step, .name = "world"};
    vs_rng_seed(&w->rng, 42);
    assert_true(vs_process_start(w->engine, &w->process));
    return w;
}

static uint64_t world_run(world *w, vs_ns until_ns)
{
    vs_err err = {0};
    assert_true(vs_engine_run(w->engine, until_ns, &err));
    assert_true(vs_engine_check(w->engine, &err));
    return w->digest;
}

#define HALF_NS UINT64_C(400000000000)

static void the_same_inputs_give_the_same_run(void **state)
{
    (void)state;
    uint64_t digests[2] = {0};
    for (int i = 0; i < 2; i++) {
        vs_err err = {0};
        vs_arena arena = {0};
        assert_true(vs_arena_open(&arena, 16 * VS_MIB, &err));
        world *w = world_new(&arena);
        digests[i] = world_run(w, HALF_NS);
        assert_true(w->process.state > 100);
        vs_arena_close(&arena);
    }
    assert_true(digests[0] == digests[1]);
}

static void a_run_that_is_interrupted_often_ends_like_one_that_is_not(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_arena arena = {0};
    assert_true(vs_arena_open(&arena, 16 * VS_MIB, &err));
    const uint64_t expected = world_run(world_new(&arena), HALF_NS);
    vs_arena_reset(&arena);
    world *w = world_new(&arena);
    for (vs_ns until = 0; until < HALF_NS; until += HALF_NS / 997) {
        (void)world_run(w, until);
    }
    assert_true(world_run(w, HALF_NS) == expected);
    vs_arena_close(&arena);
}

static void copying_the_arena_back_resumes_the_run_from_there(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_arena arena = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    vs_arena aside = {0};
    assert_true(vs_arena_open(&aside, VS_MIB, &err));
    world *w = world_new(&arena);
    (void)world_run(w, HALF_NS);
    const size_t mark = arena.used_bytes;
    memcpy(aside.base, arena.base, mark);
    const uint64_t expected = world_run(w, 2 * HALF_NS);
    vs_arena_rewind(&arena, mark);
    memcpy(arena.base, aside.base, mark);
    assert_int_equal(vs_engine_now(w->engine), HALF_NS);
    assert_true(world_run(w, 2 * HALF_NS) == expected);
    vs_arena_close(&aside);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_run_ends_at_once_and_leaves_the_clock),
        cmocka_unit_test(the_clock_stays_at_the_last_event_when_nothing_is_left),
        cmocka_unit_test(until_is_included_and_the_clock_waits_there),
        cmocka_unit_test(what_is_scheduled_for_now_between_two_runs_is_executed),
        cmocka_unit_test(stop_ends_the_run_after_the_event_and_the_next_run_goes_on),
        cmocka_unit_test(the_poll_is_asked_every_4096_events_and_can_end_the_run),
        cmocka_unit_test(the_poll_is_asked_within_a_long_instant_too),
        cmocka_unit_test(an_instant_that_does_not_end_is_an_error_that_names_the_process),
        cmocka_unit_test(an_instant_of_exactly_the_limit_is_fine),
        cmocka_unit_test(an_exhausted_arena_is_reported_by_the_run),
        cmocka_unit_test(the_same_inputs_give_the_same_run),
        cmocka_unit_test(a_run_that_is_interrupted_often_ends_like_one_that_is_not),
        cmocka_unit_test(copying_the_arena_back_resumes_the_run_from_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
