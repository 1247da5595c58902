/* Links and flows: sim/engine/link.c. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S      UINT64_C(1000000000)
#define DONE_N 64

typedef struct {
    vs_arena arena;
    vs_engine *engine;
    vs_ns done_at[DONE_N]; /* by arg of the flow */
    uint32_t done_order[DONE_N];
    uint32_t done_count;
    vs_flow victim;
    vs_flow_desc next; /* started by start_next */
} fixture;

static void setup(fixture *f)
{
    memset(f, 0, sizeof *f);
    vs_err err = {0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    f->engine =
        vs_engine_new(&f->arena, &(vs_engine_desc){.expected_flows = 1, .expected_links = 1});
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
    if (!vs_engine_run(f->engine, until_ns, &err)) {
        fail_msg("%s", err.text);
    }
    check(f);
}

static void done(vs_engine *engine, void *ctx, uint64_t arg)
{
    fixture *f = ctx;
    assert_true(arg < DONE_N && f->done_count < DONE_N);
    f->done_at[arg] = vs_engine_now(engine);
    f->done_order[f->done_count++] = (uint32_t)arg;
}

static vs_link link_of(fixture *f, uint64_t rate_bps)
{
    const vs_link link =
        vs_link_new(f->engine, &(vs_link_desc){.name = "l", .rate_bps = rate_bps});
    assert_true(link.id != 0);
    return link;
}

static vs_flow_desc flow_on(fixture *f, vs_link link, vs_bytes size, uint64_t arg)
{
    return (vs_flow_desc){.links = {link},
                          .link_count = 1,
                          .size_bytes = size,
                          .on_done = done,
                          .ctx = f,
                          .arg = arg};
}

static vs_flow start(fixture *f, const vs_flow_desc *desc)
{
    const vs_flow flow = vs_flow_start(f->engine, desc);
    assert_true(flow.id != 0);
    check(f);
    return flow;
}

static vs_flow start_on(fixture *f, vs_link link, vs_bytes size, uint64_t arg)
{
    const vs_flow_desc desc = flow_on(f, link, size, arg);
    return start(f, &desc);
}

static void start_next(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    fixture *f = ctx;
    f->victim = vs_flow_start(engine, &f->next);
}

/* ---- one flow ------------------------------------------------------------------------------------- */

static void a_lone_flow_takes_size_over_rate(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    start_on(&f, link, 5000, 0);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 5 * S);
    assert_int_equal(vs_link_carried(f.engine, link), 5000);
    assert_int_equal(vs_link_busy(f.engine, link), 5 * S);
    vs_arena_close(&f.arena);
}

static void the_end_is_rounded_up_to_a_nanosecond(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    start_on(&f, link_of(&f, 3), 1, 0);                         /* 333,333,333.3 ns */
    start_on(&f, link_of(&f, 3), 3, 1);                         /* exactly a second */
    start_on(&f, link_of(&f, UINT64_C(3000000000)), 1, 2);      /* a third of a nanosecond */
    start_on(&f, link_of(&f, UINT64_C(63000000000)), 63001, 3); /* 1000.016 ns */
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 333333334);
    assert_int_equal(f.done_at[1], S);
    assert_int_equal(f.done_at[2], 1);
    assert_int_equal(f.done_at[3], 1001);
    vs_arena_close(&f.arena);
}

static void sizes_beyond_18_gigabytes_are_exact_too(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    start_on(&f, link_of(&f, 7), UINT64_C(70000000007), 0);
    start_on(&f, link_of(&f, UINT64_C(3350000000000)), 640 * VS_GIB, 1); /* 205.13 ms */
    run(&f, VS_NS_NEVER);
    assert_true(f.done_at[0] == UINT64_C(10000000001) * S);
    /* ceil(687,194,767,360 * 10^9 / 3,350,000,000,000) */
    assert_true(f.done_at[1] == UINT64_C(205132767));
    vs_arena_close(&f.arena);
}

static void a_cap_below_the_link_decides(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    vs_flow_desc desc = flow_on(&f, link_of(&f, 1000), 500, 0);
    desc.cap_bps = 100;
    const vs_flow flow = start(&f, &desc);
    run(&f, S);
    assert_int_equal(vs_flow_rate(f.engine, flow), 100);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 5 * S);
    vs_arena_close(&f.arena);
}

static void the_slowest_of_several_links_decides(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link disk = link_of(&f, 300);
    const vs_link bus = link_of(&f, 100);
    const vs_link memory = link_of(&f, 900);
    vs_flow_desc desc = flow_on(&f, disk, 1000, 0);
    desc.links[1] = bus;
    desc.links[2] = memory;
    desc.link_count = 3;
    start(&f, &desc);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 10 * S);
    assert_int_equal(vs_link_carried(f.engine, disk), 1000);
    assert_int_equal(vs_link_carried(f.engine, bus), 1000);
    assert_int_equal(vs_link_carried(f.engine, memory), 1000);
    vs_arena_close(&f.arena);
}

static void a_flow_without_links_runs_at_its_cap(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_flow_desc desc = {
        .cap_bps = 10, .size_bytes = 25, .latency_ns = 7, .on_done = done, .ctx = &f};
    start(&f, &desc);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 2 * S + S / 2 + 7);
    vs_arena_close(&f.arena);
}

static void a_flow_without_bytes_ends_after_its_latency(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    vs_flow_desc desc = flow_on(&f, link, 0, 0);
    start(&f, &desc);
    desc.latency_ns = 40;
    desc.arg = 1;
    start(&f, &desc);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 0);
    assert_int_equal(f.done_at[1], 40);
    assert_int_equal(f.done_count, 2);
    assert_int_equal(vs_link_busy(f.engine, link), 0);
    vs_arena_close(&f.arena);
}

/* ---- sharing -------------------------------------------------------------------------------------- */

static void two_flows_share_a_link_and_the_rest_speeds_up_when_one_ends(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    start_on(&f, link, 1000, 0);
    const vs_flow longer = start_on(&f, link, 3000, 1);
    run(&f, S);
    assert_int_equal(vs_flow_rate(f.engine, longer), 500);
    assert_int_equal(vs_flow_delivered(f.engine, longer), 500);
    assert_int_equal(vs_link_carried(f.engine, link), 1000);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 2 * S);
    assert_int_equal(f.done_at[1], 4 * S);
    assert_int_equal(vs_link_carried(f.engine, link), 4000);
    assert_int_equal(vs_link_busy(f.engine, link), 4 * S);
    vs_arena_close(&f.arena);
}

static void leftover_bytes_per_second_go_to_the_lowest_flow_numbers(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 11);
    vs_flow flows[4] = {{0}};
    for (uint32_t i = 0; i < 4; i++) {
        flows[i] = start_on(&f, link, 1000, i);
    }
    run(&f, S);
    const uint64_t expected[4] = {3, 3, 3, 2};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(vs_flow_rate(f.engine, flows[i]), expected[i]);
    }
    vs_arena_close(&f.arena);
}

static void what_a_capped_flow_leaves_goes_to_the_others(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    vs_flow_desc slow = flow_on(&f, link, 1000, 0);
    slow.cap_bps = 100;
    const vs_flow capped = start(&f, &slow);
    const vs_flow a = start_on(&f, link, 10000, 1);
    const vs_flow b = start_on(&f, link, 10000, 2);
    run(&f, S);
    assert_int_equal(vs_flow_rate(f.engine, capped), 100);
    assert_int_equal(vs_flow_rate(f.engine, a), 450);
    assert_int_equal(vs_flow_rate(f.engine, b), 450);
    vs_arena_close(&f.arena);
}

static void a_flow_held_up_elsewhere_leaves_its_share_to_the_others(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link disk = link_of(&f, 100);
    const vs_link bus = link_of(&f, 1000);
    vs_flow_desc through = flow_on(&f, disk, 10000, 0);
    through.links[1] = bus;
    through.link_count = 2;
    const vs_flow both = start(&f, &through);
    const vs_flow disk_only = start_on(&f, disk, 10000, 1);
    const vs_flow bus_only = start_on(&f, bus, 10000, 2);
    run(&f, S);
    assert_int_equal(vs_flow_rate(f.engine, both), 50);
    assert_int_equal(vs_flow_rate(f.engine, disk_only), 50);
    assert_int_equal(vs_flow_rate(f.engine, bus_only), 950);
    vs_arena_close(&f.arena);
}

static void a_new_flow_leaves_flows_on_other_links_alone(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_flow apart = start_on(&f, link_of(&f, 1000), 5000, 0);
    const vs_link link = link_of(&f, 1000);
    start_on(&f, link, 1000, 1);
    f.next = flow_on(&f, link, 1000, 2);
    (void)vs_engine_at(f.engine, S / 2, VS_RANK_STEP, start_next, &f, 0);
    run(&f, S / 2);
    assert_int_equal(vs_flow_rate(f.engine, apart), 1000);
    assert_int_equal(vs_flow_rate(f.engine, f.victim), 500);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 5 * S);
    assert_int_equal(f.done_at[1], S + S / 2);
    assert_int_equal(f.done_at[2], 2 * S);
    vs_arena_close(&f.arena);
}

static void flows_on_an_overcrowded_link_still_end(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 2);
    vs_flow flows[5] = {{0}};
    for (uint32_t i = 0; i < 5; i++) {
        flows[i] = start_on(&f, link, 3, i);
    }
    run(&f, S);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(vs_flow_rate(f.engine, flows[i]), 1);
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_count, 5);
    assert_int_equal(vs_link_carried(f.engine, link), 15);
    vs_arena_close(&f.arena);
}

static void equal_flows_end_together_in_order_of_number(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 4000);
    for (uint32_t i = 0; i < 4; i++) {
        start_on(&f, link, 1000, i);
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(f.done_order[i], i);
        assert_int_equal(f.done_at[i], S);
    }
    vs_arena_close(&f.arena);
}

static void a_flow_that_follows_in_the_same_instant_takes_over_the_whole_link(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    start_on(&f, link, 1000, 0);
    f.next = flow_on(&f, link, 2000, 1);
    (void)vs_engine_at(f.engine, S, VS_RANK_STEP, start_next, &f, 0);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], S);
    assert_int_equal(f.done_at[1], 3 * S);
    assert_int_equal(vs_link_busy(f.engine, link), 3 * S);
    vs_arena_close(&f.arena);
}

/* ---- latency, cancel, limits ------------------------------------------------------------------------ */

static void no_bandwidth_is_taken_before_the_latency_has_passed(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    const vs_flow first = start_on(&f, link, 2000, 0);
    vs_flow_desc desc = flow_on(&f, link, 1000, 1);
    desc.latency_ns = S;
    const vs_flow second = start(&f, &desc);
    run(&f, S - 1);
    assert_int_equal(vs_flow_rate(f.engine, first), 1000);
    assert_int_equal(vs_flow_rate(f.engine, second), 0);
    assert_int_equal(vs_flow_delivered(f.engine, second), 0);
    run(&f, S);
    assert_int_equal(vs_flow_rate(f.engine, first), 500);
    assert_int_equal(vs_flow_rate(f.engine, second), 500);
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_at[0], 3 * S);
    assert_int_equal(f.done_at[1], 3 * S);
    vs_arena_close(&f.arena);
}

static void a_flow_that_joins_late_keeps_its_place_by_number(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 3);
    vs_flow_desc desc = flow_on(&f, link, 100, 0);
    desc.latency_ns = 10;
    const vs_flow early_number = start(&f, &desc);
    const vs_flow late_number = start_on(&f, link, 100, 1);
    run(&f, 10);
    assert_int_equal(vs_flow_rate(f.engine, early_number), 2);
    assert_int_equal(vs_flow_rate(f.engine, late_number), 1);
    vs_arena_close(&f.arena);
}

static void a_cancelled_flow_frees_its_share_and_never_reports(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    const vs_flow gone = start_on(&f, link, 5000, 0);
    start_on(&f, link, 1500, 1);
    run(&f, S);
    assert_true(vs_flow_cancel(f.engine, gone));
    assert_false(vs_flow_cancel(f.engine, gone));
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_count, 1);
    assert_int_equal(f.done_at[1], 2 * S);
    assert_int_equal(vs_link_carried(f.engine, link), 2000); /* 500 of the cancelled one */
    vs_arena_close(&f.arena);
}

static void a_flow_can_be_cancelled_during_its_latency_and_before_its_first_rate(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    vs_flow_desc desc = flow_on(&f, link, 1000, 0);
    const vs_flow unsettled = start(&f, &desc);
    desc.latency_ns = 100;
    const vs_flow waiting = start(&f, &desc);
    assert_true(vs_flow_cancel(f.engine, unsettled));
    check(&f);
    assert_true(vs_flow_cancel(f.engine, waiting));
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_count, 0);
    assert_int_equal(vs_link_carried(f.engine, link), 0);
    vs_arena_close(&f.arena);
}

static void a_stale_flow_is_recognised_although_its_slot_is_used_again(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    const vs_link link = link_of(&f, 1000);
    const vs_flow old = start_on(&f, link, 1000, 0);
    run(&f, VS_NS_NEVER);
    const vs_flow young = start_on(&f, link, 1000, 1);
    assert_true(vs_flow_delivered(f.engine, old) == UINT64_MAX);
    assert_true(vs_flow_delivered(f.engine, (vs_flow){0}) == UINT64_MAX);
    assert_int_equal(vs_flow_rate(f.engine, old), 0);
    assert_false(vs_flow_cancel(f.engine, old));
    assert_int_equal(vs_flow_delivered(f.engine, young), 0);
    vs_arena_close(&f.arena);
}

static void a_flow_that_outlasts_the_clock_is_an_error(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    start_on(&f, link_of(&f, 1), UINT64_C(1) << 40, 0);
    vs_err err = {0};
    assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    assert_non_null(strstr(err.text, "too slow"));
    vs_arena_close(&f.arena);
}

static void amounts_beyond_the_limits_are_errors(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        fixture f;
        setup(&f);
        const vs_link link = link_of(&f, UINT64_C(1) << 62);
        vs_flow_desc desc = flow_on(&f, link, 1, 0);
        if (i == 0) {
            desc.size_bytes = (UINT64_C(1) << 62) + 1;
        } else if (i == 1) {
            desc.cap_bps = UINT64_MAX;
        }
        const uint32_t id =
            i < 2 ? (uint32_t)vs_flow_start(f.engine, &desc).id
                  : vs_link_new(f.engine, &(vs_link_desc){.rate_bps = UINT64_MAX}).id;
        assert_int_equal(id, 0);
        vs_err err = {0};
        assert_false(vs_engine_run(f.engine, VS_NS_NEVER, &err));
        assert_int_equal(err.code, VS_ERR_LIMIT);
        assert_non_null(strstr(err.text, "2^62"));
        vs_arena_close(&f.arena);
    }
}

static void many_more_links_and_flows_than_expected_are_fine(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    for (uint32_t i = 0; i < DONE_N; i++) {
        start_on(&f, link_of(&f, 1000 + i), 1000 + i, i);
    }
    run(&f, VS_NS_NEVER);
    assert_int_equal(f.done_count, DONE_N);
    assert_int_equal(vs_engine_now(f.engine), S);
    vs_arena_close(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_flow_takes_size_over_rate),
        cmocka_unit_test(the_end_is_rounded_up_to_a_nanosecond),
        cmocka_unit_test(sizes_beyond_18_gigabytes_are_exact_too),
        cmocka_unit_test(a_cap_below_the_link_decides),
        cmocka_unit_test(the_slowest_of_several_links_decides),
        cmocka_unit_test(a_flow_without_links_runs_at_its_cap),
        cmocka_unit_test(a_flow_without_bytes_ends_after_its_latency),
        cmocka_unit_test(two_flows_share_a_link_and_the_rest_speeds_up_when_one_ends),
        cmocka_unit_test(leftover_bytes_per_second_go_to_the_lowest_flow_numbers),
        cmocka_unit_test(what_a_capped_flow_leaves_goes_to_the_others),
        cmocka_unit_test(a_flow_held_up_elsewhere_leaves_its_share_to_the_others),
        cmocka_unit_test(a_new_flow_leaves_flows_on_other_links_alone),
        cmocka_unit_test(flows_on_an_overcrowded_link_still_end),
        cmocka_unit_test(equal_flows_end_together_in_order_of_number),
        cmocka_unit_test(a_flow_that_follows_in_the_same_instant_takes_over_the_whole_link),
        cmocka_unit_test(no_bandwidth_is_taken_before_the_latency_has_passed),
        cmocka_unit_test(a_flow_that_joins_late_keeps_its_place_by_number),
        cmocka_unit_test(a_cancelled_flow_frees_its_share_and_never_reports),
        cmocka_unit_test(a_flow_can_be_cancelled_during_its_latency_and_before_its_first_rate),
        cmocka_unit_test(a_stale_flow_is_recognised_although_its_slot_is_used_again),
        cmocka_unit_test(a_flow_that_outlasts_the_clock_is_an_error),
        cmocka_unit_test(amounts_beyond_the_limits_are_errors),
        cmocka_unit_test(many_more_links_and_flows_than_expected_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
