/* Processes and gates: sim/engine/process.c. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LOG_MAX 256

typedef struct fixture fixture;

typedef struct {
    vs_process process; /* first: the engine hands it back */
    fixture *f;
    vs_gate *gate;
    vs_ns delay;
    uint32_t steps_left;
    char letter;
} actor;

struct fixture {
    vs_arena arena;
    vs_engine *engine;
    vs_gate gate;
    char log[LOG_MAX]; /* letter of the process that stepped */
    vs_ns time[LOG_MAX];
    size_t log_len;
};

static void setup(fixture *f)
{
    memset(f, 0, sizeof *f);
    vs_err err = {0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    f->engine = vs_engine_new(&f->arena, &(vs_engine_desc){0});
    assert_non_null(f->engine);
}

static void run(fixture *f, vs_ns until_ns)
{
    vs_err err = {0};
    assert_true(vs_engine_run(f->engine, until_ns, &err));
    assert_true(vs_engine_check(f->engine, &err));
}

static void expect_log(fixture *f, const char *letters)
{
    run(f, VS_NS_NEVER);
    assert_string_equal(f->log, letters);
    vs_arena_close(&f->arena);
}

static void note(vs_engine *engine, actor *a)
{
    assert_true(a->f->log_len + 1 < LOG_MAX);
    a->f->time[a->f->log_len] = vs_engine_now(engine);
    a->f->log[a->f->log_len++] = a->letter;
}

static void step_and_rest(vs_engine *engine, vs_process *process)
{
    note(engine, (actor *)process);
}

static void step_and_sleep(vs_engine *engine, vs_process *process)
{
    actor *a = (actor *)process;
    note(engine, a);
    if (--a->steps_left > 0) {
        vs_process_sleep(engine, process, a->delay);
    }
}

static void step_and_wait(vs_engine *engine, vs_process *process)
{
    actor *a = (actor *)process;
    note(engine, a);
    if (--a->steps_left > 0) {
        vs_gate_wait(engine, a->gate, process);
    }
}

static actor actor_of(fixture *f, char letter, vs_step step, vs_ns delay, uint32_t steps)
{
    return (actor){.process = {.step = step, .name = "actor"},
                   .f = f,
                   .letter = letter,
                   .gate = &f->gate,
                   .delay = delay,
                   .steps_left = steps};
}

static void start(fixture *f, actor *a)
{
    assert_true(vs_process_start(f->engine, &a->process));
}

static void signal_gate(vs_engine *engine, void *ctx, uint64_t expected)
{
    fixture *f = ctx;
    assert_int_equal(vs_gate_signal(engine, &f->gate), expected);
}

static void wake_actor(vs_engine *engine, void *ctx, uint64_t times)
{
    actor *a = ctx;
    for (uint64_t i = 0; i < times; i++) {
        vs_process_wake(engine, &a->process);
    }
}

static void wake_actor_last(vs_engine *engine, void *ctx, uint64_t must_stop)
{
    actor *a = ctx;
    if (must_stop != 0) {
        vs_engine_stop(engine);
    }
    vs_process_wake_last(engine, &a->process);
}

/* ---- processes ---------------------------------------------------------------------------------- */

static void a_started_process_steps_now_and_then_rests(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
    actor b = actor_of(&f, 'b', step_and_rest, 0, 0);
    start(&f, &a);
    start(&f, &b);
    assert_int_equal(f.log_len, 0);
    expect_log(&f, "ab");
}

static void a_sleeping_process_steps_again_after_its_delay(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_sleep, 10, 3);
    actor b = actor_of(&f, 'b', step_and_sleep, 15, 2);
    start(&f, &a);
    start(&f, &b);
    run(&f, VS_NS_NEVER);
    const vs_ns times[] = {0, 0, 10, 15, 20};
    assert_memory_equal(f.time, times, sizeof times);
    expect_log(&f, "ababa");
}

static void waking_twice_in_one_instant_gives_one_step(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
    start(&f, &a);
    (void)vs_engine_at(f.engine, 5, VS_RANK_ARRIVE, wake_actor, &a, 3);
    expect_log(&f, "aa");
}

static void waking_a_sleeping_process_does_not_hurry_it(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_sleep, 100, 2);
    start(&f, &a);
    (void)vs_engine_at(f.engine, 5, VS_RANK_ARRIVE, wake_actor, &a, 1);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.log_len, 2);
    assert_int_equal(f.time[1], 100);
    vs_arena_close(&f.arena);
}

static void waking_last_keeps_the_order_of_waking(void **state)
{
    (void)state;
    for (uint32_t is_last = 0; is_last < 2; is_last++) {
        fixture f;
        setup(&f);
        const vs_handler wake = is_last != 0 ? wake_actor_last : wake_actor;
        actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
        actor b = actor_of(&f, 'b', step_and_sleep, 5, 2);
        actor c = actor_of(&f, 'c', step_and_rest, 0, 0);
        start(&f, &a);
        start(&f, &b);
        start(&f, &c);
        /* at 5 b is due before either, and c is woken before a has stepped; at 7 a is alone */
        (void)vs_engine_at(f.engine, 5, VS_RANK_RELEASE, wake, &a, is_last ^ 1);
        (void)vs_engine_at(f.engine, 5, VS_RANK_ARRIVE, wake, &c, is_last ^ 1);
        (void)vs_engine_at(f.engine, 7, VS_RANK_ARRIVE, wake, &a, is_last ^ 1);
        run(&f, VS_NS_NEVER);
        assert_int_equal(vs_engine_event_count(f.engine), 10);
        expect_log(&f, "abcbaca");
    }
}

static void a_process_woken_last_waits_while_the_engine_is_stopped(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
    start(&f, &a);
    (void)vs_engine_at(f.engine, 5, VS_RANK_ARRIVE, wake_actor_last, &a, 1);
    run(&f, VS_NS_NEVER);
    assert_string_equal(f.log, "a");
    expect_log(&f, "aa");
}

static void the_last_sleep_decides(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
    start(&f, &a);
    vs_process_sleep(f.engine, &a.process, 50);
    vs_process_sleep(f.engine, &a.process, 20);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.log_len, 1);
    assert_int_equal(f.time[0], 20);
    vs_arena_close(&f.arena);
}

static void starting_a_process_again_wakes_it(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_rest, 0, 0);
    start(&f, &a);
    run(&f, VS_NS_NEVER);
    start(&f, &a);
    start(&f, &a);
    assert_int_equal(a.process.slot, 1);
    expect_log(&f, "aa");
}

static void a_hundred_processes_each_take_their_turn(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor actors[100];
    for (uint32_t i = 0; i < 100; i++) {
        actors[i] = actor_of(&f, (char)('!' + i % 90), step_and_sleep, 1 + i, 2);
        start(&f, &actors[i]);
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.log_len, 200);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(f.log[i], '!' + i % 90);
        assert_int_equal(f.log[100 + i], '!' + i % 90);
        assert_int_equal(f.time[100 + i], 1 + i);
    }
    vs_arena_close(&f.arena);
}

/* ---- gates --------------------------------------------------------------------------------------- */

static void a_gate_lets_waiting_processes_through_in_the_order_they_came(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_wait, 0, 2);
    actor b = actor_of(&f, 'b', step_and_wait, 0, 2);
    actor c = actor_of(&f, 'c', step_and_wait, 0, 2);
    start(&f, &b);
    start(&f, &c);
    start(&f, &a);
    (void)vs_engine_at(f.engine, 1, VS_RANK_RELEASE, signal_gate, &f, 1);
    (void)vs_engine_at(f.engine, 2, VS_RANK_RELEASE, signal_gate, &f, 1);
    (void)vs_engine_at(f.engine, 3, VS_RANK_RELEASE, signal_gate, &f, 1);
    (void)vs_engine_at(f.engine, 4, VS_RANK_RELEASE, signal_gate, &f, 0);
    expect_log(&f, "bcabca");
}

static void broadcast_wakes_everybody_who_waits_and_says_how_many(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_wait, 0, 3);
    actor b = actor_of(&f, 'b', step_and_wait, 0, 3);
    start(&f, &a);
    start(&f, &b);
    run(&f, VS_NS_NEVER);
    assert_int_equal(vs_gate_broadcast(f.engine, &f.gate), 2);
    assert_int_equal(vs_gate_broadcast(f.engine, &f.gate), 0);
    run(&f, VS_NS_NEVER);
    assert_int_equal(vs_gate_broadcast(f.engine, &f.gate), 2);
    expect_log(&f, "ababab");
}

static void a_process_that_waits_again_goes_to_the_end_of_the_line(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_wait, 0, 9);
    actor b = actor_of(&f, 'b', step_and_wait, 0, 9);
    start(&f, &a);
    start(&f, &b);
    for (vs_ns t = 1; t <= 4; t++) {
        (void)vs_engine_at(f.engine, t, VS_RANK_RELEASE, signal_gate, &f, 1);
    }
    expect_log(&f, "ababab");
}

static void signalling_a_gate_where_nobody_waits_is_not_remembered(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    actor a = actor_of(&f, 'a', step_and_wait, 0, 2);
    assert_int_equal(vs_gate_signal(f.engine, &f.gate), 0);
    start(&f, &a);
    expect_log(&f, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_started_process_steps_now_and_then_rests),
        cmocka_unit_test(a_sleeping_process_steps_again_after_its_delay),
        cmocka_unit_test(waking_twice_in_one_instant_gives_one_step),
        cmocka_unit_test(waking_a_sleeping_process_does_not_hurry_it),
        cmocka_unit_test(waking_last_keeps_the_order_of_waking),
        cmocka_unit_test(a_process_woken_last_waits_while_the_engine_is_stopped),
        cmocka_unit_test(the_last_sleep_decides),
        cmocka_unit_test(starting_a_process_again_wakes_it),
        cmocka_unit_test(a_hundred_processes_each_take_their_turn),
        cmocka_unit_test(a_gate_lets_waiting_processes_through_in_the_order_they_came),
        cmocka_unit_test(broadcast_wakes_everybody_who_waits_and_says_how_many),
        cmocka_unit_test(a_process_that_waits_again_goes_to_the_end_of_the_line),
        cmocka_unit_test(signalling_a_gate_where_nobody_waits_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
