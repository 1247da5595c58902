/* The order of events, cancel and reschedule: sim/engine/queue.c. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LOG_MAX 4096

typedef struct {
    vs_arena arena;
    vs_engine *engine;
    char log[LOG_MAX]; /* one letter per event that ran */
    size_t log_len;
    vs_timer victim; /* cancelled or moved by some handlers */
    vs_ns move_to;
} fixture;

static void setup(fixture *f, uint32_t expected_events)
{
    memset(f, 0, sizeof *f);
    vs_err err = {0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    f->engine = vs_engine_new(&f->arena, &(vs_engine_desc){.expected_events = expected_events});
    assert_non_null(f->engine);
}

static void check(const fixture *f)
{
    vs_err err = {0};
    if (!vs_engine_check(f->engine, &err)) {
        fail_msg("%s", err.text);
    }
}

static void run(fixture *f, vs_ns until_ns)
{
    vs_err err = {0};
    check(f);
    assert_true(vs_engine_run(f->engine, until_ns, &err));
    check(f);
}

static void expect_log(fixture *f, const char *letters)
{
    run(f, VS_NS_NEVER);
    f->log[f->log_len] = '\0';
    assert_string_equal(f->log, letters);
    vs_arena_close(&f->arena);
}

static void note(vs_engine *engine, void *ctx, uint64_t letter)
{
    (void)engine;
    fixture *f = ctx;
    assert_true(f->log_len + 1 < LOG_MAX);
    f->log[f->log_len++] = (char)letter;
}

static vs_timer at(fixture *f, vs_ns time, vs_rank rank, char letter)
{
    const vs_timer timer = vs_engine_at(f->engine, time, rank, note, f, (uint64_t)letter);
    assert_true(timer.id != 0);
    return timer;
}

/* ---- order -------------------------------------------------------------------------------------- */

static void events_run_in_order_of_time(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    at(&f, 30, VS_RANK_STEP, 'c');
    at(&f, 10, VS_RANK_SAMPLE, 'a');
    at(&f, 40, VS_RANK_RELEASE, 'd');
    at(&f, 20, VS_RANK_STEP, 'b');
    expect_log(&f, "abcd");
}

static void events_of_one_instant_run_by_rank_whatever_the_order_of_calls(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    at(&f, 5, VS_RANK_SAMPLE, 'e');
    at(&f, 5, VS_RANK_SETTLE, 'd');
    at(&f, 5, VS_RANK_STEP, 'c');
    at(&f, 5, VS_RANK_ARRIVE, 'b');
    at(&f, 5, VS_RANK_RELEASE, 'a');
    expect_log(&f, "abcde");
}

static void events_scheduled_at_the_start_for_now_run_by_rank_too(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    at(&f, 0, VS_RANK_SAMPLE, 'd');
    at(&f, 0, VS_RANK_STEP, 'b');
    at(&f, 0, VS_RANK_STEP, 'c');
    at(&f, 0, VS_RANK_RELEASE, 'a');
    expect_log(&f, "abcd");
}

static void events_of_one_rank_run_in_the_order_they_were_scheduled(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    for (int i = 0; i < 26; i++) {
        at(&f, 7, VS_RANK_STEP, (char)('a' + i));
    }
    expect_log(&f, "abcdefghijklmnopqrstuvwxyz");
}

static void cascade(vs_engine *engine, void *ctx, uint64_t letter)
{
    note(engine, ctx, letter);
    at(ctx, vs_engine_now(engine), VS_RANK_STEP, 's');
    at(ctx, vs_engine_now(engine), VS_RANK_RELEASE, 'r');
    at(ctx, vs_engine_now(engine), VS_RANK_ARRIVE, 'v');
}

static void a_release_scheduled_by_a_step_runs_before_the_steps_still_waiting(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 9, VS_RANK_STEP, cascade, &f, 'A');
    at(&f, 9, VS_RANK_STEP, 'B');
    at(&f, 9, VS_RANK_SAMPLE, 'Z');
    expect_log(&f, "ArvBsZ");
}

static void a_step_scheduled_for_now_runs_after_the_steps_that_were_due(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 9, VS_RANK_RELEASE, cascade, &f, 'A');
    at(&f, 9, VS_RANK_STEP, 'B');
    at(&f, 10, VS_RANK_RELEASE, 'C');
    expect_log(&f, "ArvBsC");
}

static void many_more_events_than_expected_still_run_in_order(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1);
    for (unsigned i = 0; i < 2000; i++) {
        at(&f, 1 + (i * 7919U) % 26, VS_RANK_STEP, (char)('a' + (i * 7919U) % 26));
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.log_len, 2000);
    for (size_t i = 1; i < f.log_len; i++) {
        assert_true(f.log[i - 1] <= f.log[i]);
    }
    vs_arena_close(&f.arena);
}

static void after_saturates_before_never(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_after(f.engine, VS_NS_NEVER, VS_RANK_STEP, note, &f, 'b');
    (void)vs_engine_after(f.engine, 3, VS_RANK_STEP, note, &f, 'a');
    run(&f, VS_NS_NEVER - 2);
    assert_int_equal(f.log_len, 1);
    run(&f, VS_NS_NEVER - 1);
    assert_true(vs_engine_now(f.engine) == VS_NS_NEVER - 1);
    expect_log(&f, "ab");
}

/* ---- cancel ------------------------------------------------------------------------------------- */

static void a_cancelled_event_does_not_run(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    at(&f, 1, VS_RANK_STEP, 'a');
    const vs_timer b = at(&f, 2, VS_RANK_STEP, 'b');
    at(&f, 3, VS_RANK_STEP, 'c');
    assert_true(vs_engine_is_pending(f.engine, b));
    assert_true(vs_engine_cancel(f.engine, b));
    assert_false(vs_engine_is_pending(f.engine, b));
    assert_false(vs_engine_cancel(f.engine, b));
    expect_log(&f, "ac");
}

static void cancel_victim(vs_engine *engine, void *ctx, uint64_t letter)
{
    fixture *f = ctx;
    note(engine, ctx, letter);
    assert_true(vs_engine_cancel(engine, f->victim));
    check(f);
}

static void an_event_waiting_in_the_middle_of_its_lane_can_be_cancelled(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_ARRIVE, cancel_victim, &f, 'a');
    at(&f, 4, VS_RANK_STEP, 'b');
    f.victim = at(&f, 4, VS_RANK_STEP, 'x');
    at(&f, 4, VS_RANK_STEP, 'c');
    expect_log(&f, "abc");
}

static void the_only_event_of_a_lane_can_be_cancelled(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_ARRIVE, cancel_victim, &f, 'a');
    f.victim = at(&f, 4, VS_RANK_STEP, 'x');
    expect_log(&f, "a");
}

static void the_first_and_the_last_event_of_a_lane_can_be_cancelled(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    const vs_timer first = at(&f, 0, VS_RANK_STEP, 'x');
    at(&f, 0, VS_RANK_STEP, 'a');
    const vs_timer last = at(&f, 0, VS_RANK_STEP, 'y');
    assert_true(vs_engine_cancel(f.engine, first));
    check(&f);
    assert_true(vs_engine_cancel(f.engine, last));
    at(&f, 0, VS_RANK_STEP, 'b');
    expect_log(&f, "ab");
}

static void an_event_of_the_future_can_be_cancelled_while_the_root_is_a_hole(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_STEP, cancel_victim, &f, 'a');
    f.victim = at(&f, 9, VS_RANK_STEP, 'x');
    at(&f, 7, VS_RANK_STEP, 'b');
    at(&f, 8, VS_RANK_STEP, 'c');
    expect_log(&f, "abc");
}

static void cancel_oneself(vs_engine *engine, void *ctx, uint64_t letter)
{
    fixture *f = ctx;
    note(engine, ctx, letter);
    assert_false(vs_engine_is_pending(engine, f->victim));
    assert_false(vs_engine_cancel(engine, f->victim));
    assert_false(vs_engine_reschedule(engine, f->victim, vs_engine_now(engine) + 1));
}

static void an_event_that_is_running_is_no_longer_pending(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    f.victim = vs_engine_at(f.engine, 4, VS_RANK_STEP, cancel_oneself, &f, 'a');
    expect_log(&f, "a");
}

static void a_handle_stays_stale_however_often_its_slot_is_used_again(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1);
    const vs_timer old = at(&f, 1, VS_RANK_STEP, 'x');
    assert_true(vs_engine_cancel(f.engine, old));
    for (int i = 0; i < 100000; i++) {
        const vs_timer other = at(&f, 1, VS_RANK_STEP, 'y');
        assert_false(vs_engine_is_pending(f.engine, old));
        assert_false(vs_engine_cancel(f.engine, old));
        assert_true(vs_engine_cancel(f.engine, other));
    }
    expect_log(&f, "");
}

static void no_handle_is_pending_for_the_handle_of_nothing(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    assert_false(vs_engine_is_pending(f.engine, (vs_timer){0}));
    assert_false(vs_engine_cancel(f.engine, (vs_timer){0}));
    assert_false(vs_engine_cancel(f.engine, (vs_timer){UINT64_MAX}));
    expect_log(&f, "");
}

/* ---- reschedule ---------------------------------------------------------------------------------- */

static void a_rescheduled_event_runs_at_its_new_time_only(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    const vs_timer early = at(&f, 1, VS_RANK_STEP, 'd');
    at(&f, 2, VS_RANK_STEP, 'b');
    const vs_timer late = at(&f, 9, VS_RANK_STEP, 'a');
    at(&f, 3, VS_RANK_STEP, 'c');
    assert_true(vs_engine_reschedule(f.engine, early, 5));
    check(&f);
    assert_true(vs_engine_reschedule(f.engine, late, 1));
    assert_true(vs_engine_is_pending(f.engine, early));
    assert_true(vs_engine_is_pending(f.engine, late));
    expect_log(&f, "abcd");
}

static void reschedule_to_the_same_time_goes_behind_the_others(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    const vs_timer b = at(&f, 2, VS_RANK_STEP, 'b');
    at(&f, 2, VS_RANK_STEP, 'a');
    assert_true(vs_engine_reschedule(f.engine, b, 2));
    expect_log(&f, "ab");
}

static void reschedule_keeps_the_rank(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    at(&f, 3, VS_RANK_STEP, 'b');
    at(&f, 3, VS_RANK_SAMPLE, 'c');
    const vs_timer release = at(&f, 8, VS_RANK_RELEASE, 'a');
    assert_true(vs_engine_reschedule(f.engine, release, 3));
    expect_log(&f, "abc");
}

static void move_victim(vs_engine *engine, void *ctx, uint64_t letter)
{
    fixture *f = ctx;
    note(engine, ctx, letter);
    assert_true(vs_engine_reschedule(engine, f->victim, f->move_to));
    check(f);
}

static void an_event_in_a_lane_can_be_moved_to_the_future(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_ARRIVE, move_victim, &f, 'a');
    f.victim = at(&f, 4, VS_RANK_STEP, 'd');
    f.move_to = 6;
    at(&f, 4, VS_RANK_STEP, 'b');
    at(&f, 5, VS_RANK_STEP, 'c');
    expect_log(&f, "abcd");
}

static void an_event_of_the_future_can_be_moved_into_the_present(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_ARRIVE, move_victim, &f, 'a');
    f.victim = at(&f, 6, VS_RANK_STEP, 'c');
    f.move_to = 4;
    at(&f, 4, VS_RANK_STEP, 'b');
    at(&f, 5, VS_RANK_STEP, 'd');
    expect_log(&f, "abcd");
}

static void an_event_moved_within_its_lane_goes_to_its_end(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_ARRIVE, move_victim, &f, 'a');
    f.victim = at(&f, 4, VS_RANK_STEP, 'c');
    f.move_to = 4;
    at(&f, 4, VS_RANK_STEP, 'b');
    expect_log(&f, "abc");
}

static void an_event_of_the_future_can_be_moved_while_the_root_is_a_hole(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0);
    (void)vs_engine_at(f.engine, 4, VS_RANK_STEP, move_victim, &f, 'a');
    f.victim = at(&f, 6, VS_RANK_STEP, 'd');
    f.move_to = 9;
    at(&f, 7, VS_RANK_STEP, 'b');
    at(&f, 8, VS_RANK_STEP, 'c');
    expect_log(&f, "abcd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_run_in_order_of_time),
        cmocka_unit_test(events_of_one_instant_run_by_rank_whatever_the_order_of_calls),
        cmocka_unit_test(events_scheduled_at_the_start_for_now_run_by_rank_too),
        cmocka_unit_test(events_of_one_rank_run_in_the_order_they_were_scheduled),
        cmocka_unit_test(a_release_scheduled_by_a_step_runs_before_the_steps_still_waiting),
        cmocka_unit_test(a_step_scheduled_for_now_runs_after_the_steps_that_were_due),
        cmocka_unit_test(many_more_events_than_expected_still_run_in_order),
        cmocka_unit_test(after_saturates_before_never),
        cmocka_unit_test(a_cancelled_event_does_not_run),
        cmocka_unit_test(an_event_waiting_in_the_middle_of_its_lane_can_be_cancelled),
        cmocka_unit_test(the_only_event_of_a_lane_can_be_cancelled),
        cmocka_unit_test(the_first_and_the_last_event_of_a_lane_can_be_cancelled),
        cmocka_unit_test(an_event_of_the_future_can_be_cancelled_while_the_root_is_a_hole),
        cmocka_unit_test(an_event_that_is_running_is_no_longer_pending),
        cmocka_unit_test(a_handle_stays_stale_however_often_its_slot_is_used_again),
        cmocka_unit_test(no_handle_is_pending_for_the_handle_of_nothing),
        cmocka_unit_test(a_rescheduled_event_runs_at_its_new_time_only),
        cmocka_unit_test(reschedule_to_the_same_time_goes_behind_the_others),
        cmocka_unit_test(reschedule_keeps_the_rank),
        cmocka_unit_test(an_event_in_a_lane_can_be_moved_to_the_future),
        cmocka_unit_test(an_event_of_the_future_can_be_moved_into_the_present),
        cmocka_unit_test(an_event_moved_within_its_lane_goes_to_its_end),
        cmocka_unit_test(an_event_of_the_future_can_be_moved_while_the_root_is_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
