/* Questions to a timeline: carried values, empty ranges, edges, lanes (sim/tape/index.c). Random tapes against
 * full scans are in tests/prop/prop_tape.c. */
#include "sim/tape/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_tape *tape;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    vs_err err = {0};
    if (f == NULL || !vs_arena_open(&f->arena, 64 * VS_MIB, &err)) {
        return -1;
    }
    f->tape = vs_tape_new(&f->arena, NULL);
    (void)vs_tape_add_device(f->tape, VS_DEVICE_HOST, "host", VS_GIB);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void level(fixture *f, vs_ns time_ns, vs_bytes size_bytes)
{
    vs_tape_event(f->tape, &(vs_event){.time_ns = time_ns,
                                       .kind = VS_EV_LEVEL,
                                       .category = VS_CAT_OTHER,
                                       .size_bytes = size_bytes});
}

static vs_timeline seal(fixture *f)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(f->tape, &tl, &err)) {
        fail_msg("%s", err.text);
    }
    return tl;
}

static uint32_t used_track(const vs_timeline *tl)
{
    return vs_timeline_find_track(tl, 0, VS_TRACK_USED, VS_CAT_COUNT);
}

static void assert_column(vs_column c, vs_bytes min, vs_bytes max, vs_bytes last,
                          uint32_t event)
{
    assert_int_equal(c.min, min);
    assert_int_equal(c.max, max);
    assert_int_equal(c.last, last);
    assert_int_equal(c.max_event, event);
}

/* 10 at 100 ns, peak of 90 for 1 ns at 200, then 20 */
static vs_timeline with_peak(fixture *f)
{
    level(f, 100, 10);
    level(f, 200, 90);
    level(f, 201, 20);
    return seal(f);
}

static void a_range_between_samples_shows_the_carried_value(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 120, 150), 10, 10, 10, UINT32_MAX);
}

static void a_range_before_the_first_sample_is_zero(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 0, 100), 0, 0, 0, UINT32_MAX);
}

static void a_range_over_a_sample_has_the_carried_value_as_minimum(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 150, 201), 10, 90, 90, 1);
}

static void a_peak_that_ends_where_the_range_begins_is_not_in_it(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 201, 300), 20, 20, 20, 2);
}

static void a_peak_of_one_nanosecond_is_seen_from_any_distance(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 0, UINT64_MAX), 0, 90, 20, 1);
}

static void an_empty_range_shows_what_was_carried_to_it(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_column(vs_track_range(&tl, used_track(&tl), 200, 200), 10, 10, 10, UINT32_MAX);
    assert_column(vs_track_range(&tl, used_track(&tl), 250, 30), 20, 20, 20, UINT32_MAX);
}

static void the_earliest_of_equal_maxima_is_named(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        level(f, i, i % 100 == 37 ? 5000 : 1 + i % 2);
    }
    const vs_timeline tl = seal(f);
    assert_column(vs_track_range(&tl, used_track(&tl), 100, 1000), 1, 5000, 2, 137);
    assert_column(vs_track_range(&tl, used_track(&tl), 38, 1000), 1, 5000, 2, 137);
    assert_column(vs_track_range(&tl, used_track(&tl), 37, 1000), 1, 5000, 2, 37);
}

static void a_carried_value_that_ties_with_the_maximum_is_the_earliest(void **state)
{
    fixture *f = *state;
    level(f, 10, 50);
    level(f, 20, 40);
    level(f, 30, 50);
    const vs_timeline tl = seal(f);
    assert_column(vs_track_range(&tl, used_track(&tl), 15, 40), 40, 50, 50, UINT32_MAX);
}

static void all_values_of_one_instant_count(void **state)
{
    fixture *f = *state;
    level(f, 10, 1);
    level(f, 10, 99);
    level(f, 10, 2);
    const vs_timeline tl = seal(f);
    assert_column(vs_track_range(&tl, used_track(&tl), 10, 11), 1, 99, 2, 1);
    assert_int_equal(vs_track_at_time(&tl, used_track(&tl), 10), 2);
    assert_int_equal(vs_track_at_time(&tl, used_track(&tl), 9), 0);
    assert_int_equal(vs_track_at_event(&tl, used_track(&tl), 1), 99);
}

static void more_columns_than_nanoseconds_repeat_the_carried_value(void **state)
{
    const vs_timeline tl = with_peak(*state);
    vs_column columns[8];
    vs_track_columns(&tl, used_track(&tl), 199, 203, columns, 8);
    static const vs_bytes last[8] = {10, 10, 10, 90, 90, 20, 20, 20};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(columns[i].last, last[i]);
    }
}

static void columns_over_all_of_time_do_not_overflow(void **state)
{
    const vs_timeline tl = with_peak(*state);
    vs_column columns[3];
    vs_track_columns(&tl, used_track(&tl), 0, UINT64_MAX, columns, 3);
    assert_column(columns[0], 0, 90, 20, 1);
    assert_column(columns[2], 20, 20, 20, UINT32_MAX);
}

static void a_track_that_is_not_there_is_zero(void **state)
{
    const vs_timeline tl = with_peak(*state);
    vs_column column = {.max = 1};
    vs_track_columns(&tl, VS_NO_TRACK, 0, 10, &column, 1);
    assert_column(column, 0, 0, 0, UINT32_MAX);
    assert_column(vs_track_range(&tl, VS_NO_TRACK, 0, 10), 0, 0, 0, UINT32_MAX);
    assert_int_equal(vs_track_at_event(&tl, VS_NO_TRACK, 0), 0);
    assert_int_equal(vs_track_at_time(&tl, VS_NO_TRACK, 0), 0);
}

static void names_that_are_not_there_are_empty(void **state)
{
    const vs_timeline tl = with_peak(*state);
    assert_string_equal(vs_timeline_string(&tl, UINT32_MAX), "");
    assert_null(vs_timeline_meta(&tl, "model"));
    assert_int_equal(vs_timeline_find_track(&tl, 9, VS_TRACK_USED, VS_CAT_COUNT), VS_NO_TRACK);
}

static void a_pyramid_has_one_node_for_every_sixteen_entries_below(void **state)
{
    (void)state;
    assert_int_equal(pyramid_node_count(0), 0);
    assert_int_equal(pyramid_node_count(16), 0);
    assert_int_equal(pyramid_node_count(17), 2);
    assert_int_equal(pyramid_node_count(256), 16);
    assert_int_equal(pyramid_node_count(257), 17 + 2);
    assert_int_equal(pyramid_node_count(1000000), 62500 + 3907 + 245 + 16);
}

/* [0, 10) and [5, 12) overlap, then [20, 30) */
static vs_timeline with_spans(fixture *f)
{
    const uint16_t lane = vs_tape_add_lane(f->tape, "pcie");
    vs_tape_span(f->tape, lane, 0, 10, VS_CAT_W_16, VS_NO_NAME, 0);
    vs_tape_span(f->tape, lane, 5, 12, VS_CAT_W_16, VS_NO_NAME, 0);
    vs_tape_span(f->tape, lane, 20, 30, VS_CAT_W_16, VS_NO_NAME, 0);
    return seal(f);
}

static void busy_time_counts_overlaps_once(void **state)
{
    const vs_timeline tl = with_spans(*state);
    assert_int_equal(vs_lane_busy(&tl, 0, 0, 100), 22);
    assert_int_equal(vs_lane_busy(&tl, 0, 7, 25), 10);
    assert_int_equal(vs_lane_busy(&tl, 0, 12, 20), 0);
    assert_int_equal(vs_lane_busy(&tl, 0, 21, 22), 1);
    assert_int_equal(vs_lane_busy(&tl, 0, 22, 21), 0);
    assert_int_equal(vs_lane_busy(&tl, 1, 0, 100), 0);
}

static void the_first_span_that_ends_after_a_moment_is_found(void **state)
{
    const vs_timeline tl = with_spans(*state);
    assert_int_equal(vs_lane_lower(&tl, 0, 0), 0);
    assert_int_equal(vs_lane_lower(&tl, 0, 9), 0);
    assert_int_equal(vs_lane_lower(&tl, 0, 10), 1);
    assert_int_equal(vs_lane_lower(&tl, 0, 12), 2);
    assert_int_equal(vs_lane_lower(&tl, 0, 30), 3);
    assert_int_equal(vs_lane_lower(&tl, 0, UINT64_MAX), 3);
    assert_int_equal(vs_lane_lower(&tl, 5, 0), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_range_between_samples_shows_the_carried_value),
        TEST(a_range_before_the_first_sample_is_zero),
        TEST(a_range_over_a_sample_has_the_carried_value_as_minimum),
        TEST(a_peak_that_ends_where_the_range_begins_is_not_in_it),
        TEST(a_peak_of_one_nanosecond_is_seen_from_any_distance),
        TEST(an_empty_range_shows_what_was_carried_to_it),
        TEST(the_earliest_of_equal_maxima_is_named),
        TEST(a_carried_value_that_ties_with_the_maximum_is_the_earliest),
        TEST(all_values_of_one_instant_count),
        TEST(more_columns_than_nanoseconds_repeat_the_carried_value),
        TEST(columns_over_all_of_time_do_not_overflow),
        TEST(a_track_that_is_not_there_is_zero),
        TEST(names_that_are_not_there_are_empty),
        TEST(a_pyramid_has_one_node_for_every_sixteen_entries_below),
        TEST(busy_time_counts_overlaps_once),
        TEST(the_first_span_that_ends_after_a_moment_is_found),
    };
    return cmocka_run_group_tests_name("tape_index", tests, NULL, NULL);
}
