/* Camera: columns and moments agree with vs_track_columns' rule; zoom, pan and limits. */
#include "viz/view/camera.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEED UINT64_C(20261121)
#define END  UINT64_C(12481000000)

static void a_moment_lies_in_the_column_it_is_said_to(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED);
    for (int round = 0; round < 20000; round++) {
        vs_camera c;
        vs_camera_fit(&c, vs_rng_below(&rng, UINT64_C(1) << vs_rng_below(&rng, 50)),
                      (int32_t)vs_rng_below(&rng, 2000) + 1);
        const vs_ns t = vs_rng_below(&rng, c.span);
        const int32_t x = vs_camera_column(&c, t);
        assert_in_range(x, 0, c.width - 1);
        assert_true(vs_camera_time(&c, x) <= t && t < vs_camera_time(&c, x + 1));
    }
}

static void the_first_moment_of_a_column_is_in_that_column(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 1160);
    vs_camera_range(&c, 777, 777 + 100003);
    for (int32_t x = 0; x < c.width; x++) {
        assert_int_equal(vs_camera_column(&c, vs_camera_time(&c, x)), x);
    }
    assert_int_equal(vs_camera_column(&c, 776), -1);
    assert_int_equal(vs_camera_column(&c, 777 + 100003), c.width);
}

static void fit_shows_the_whole_run_at_every_length(void **state)
{
    (void)state;
    static const vs_ns ends[] = {0, 1, 9, 1159, 1160, 1000000, END, UINT64_MAX / 2, UINT64_MAX};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        vs_camera c;
        vs_camera_fit(&c, ends[i], 1160);
        assert_int_equal(c.t0, 0);
        assert_true(c.span >= 1160);
        assert_true(vs_camera_column(&c, c.end_ns) < 1160);
    }
}

static void zooming_keeps_the_moment_under_the_pointer(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED);
    for (int round = 0; round < 2000; round++) {
        vs_camera c;
        vs_camera_fit(&c, END, 1000);
        const int32_t x = (int32_t)vs_rng_below(&rng, 1000);
        const vs_ns before = vs_camera_time(&c, x);
        const uint64_t notches = vs_rng_below(&rng, 40);
        for (uint64_t i = 0; i < notches; i++) {
            vs_camera_zoom(&c, x, 1.25);
        }
        /* A camera that looks at the last tenth of the run is stopped there. */
        if (before < c.end_ns - c.span / 10) {
            const int32_t now = vs_camera_column(&c, before);
            assert_in_range(now, x > 0 ? x - 1 : 0, x + 1);
        }
    }
}

static void zooming_in_and_out_returns_the_same_view(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 1160);
    vs_camera_zoom(&c, 500, 3.0);
    const vs_camera before = c;
    for (int i = 0; i < 30; i++) {
        vs_camera_zoom(&c, 300, 1.25);
    }
    for (int i = 0; i < 30; i++) {
        vs_camera_zoom(&c, 300, 1 / 1.25);
    }
    const vs_ns column = before.span / 1160;
    assert_in_range(c.t0, before.t0 - column, before.t0 + column);
    assert_in_range(c.span, before.span - column, before.span + column);
}

static void zoom_stops_at_a_nanosecond_a_column_and_at_three_runs(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 1000);
    const vs_ns fitted = c.span;
    for (int i = 0; i < 500; i++) {
        vs_camera_zoom(&c, 999, 1.25);
    }
    assert_int_equal(c.span, 1000);
    for (int i = 0; i < 500; i++) {
        vs_camera_zoom(&c, 999, 0.8);
    }
    assert_int_equal(c.span, fitted * 3);
    assert_int_equal(c.t0, 0);
}

static void panning_never_loses_the_run_and_comes_back(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 1000);
    vs_camera_range(&c, 1000000000, 2000000000);
    vs_camera_pan(&c, 37);
    assert_int_equal(c.t0, 1037000000);
    vs_camera_pan(&c, -37);
    assert_int_equal(c.t0, 1000000000);
    vs_camera_pan(&c, INT64_MAX);
    assert_true(c.t0 < END && vs_camera_column(&c, END) < 1000);
    vs_camera_pan(&c, INT64_MIN);
    assert_int_equal(c.t0, 0);
}

static void a_fitted_view_stays_fitted_when_the_window_grows(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 600);
    vs_camera_resize(&c, 1600);
    assert_true(c.is_fitted && c.width == 1600 && c.span > END);
    vs_camera_range(&c, 5, 3000005);
    vs_camera_resize(&c, 900);
    assert_true(c.width == 900 && c.t0 == 5 && c.span == 3000000);
}

static void revealing_moves_only_when_it_must(void **state)
{
    (void)state;
    vs_camera c;
    vs_camera_fit(&c, END, 1000);
    vs_camera_range(&c, 1000000000, 2000000000);
    vs_camera_reveal(&c, 1999999999);
    assert_int_equal(c.t0, 1000000000);
    vs_camera_reveal(&c, 8000000000);
    assert_int_equal(vs_camera_column(&c, 8000000000), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moment_lies_in_the_column_it_is_said_to),
        cmocka_unit_test(the_first_moment_of_a_column_is_in_that_column),
        cmocka_unit_test(fit_shows_the_whole_run_at_every_length),
        cmocka_unit_test(zooming_keeps_the_moment_under_the_pointer),
        cmocka_unit_test(zooming_in_and_out_returns_the_same_view),
        cmocka_unit_test(zoom_stops_at_a_nanosecond_a_column_and_at_three_runs),
        cmocka_unit_test(panning_never_loses_the_run_and_comes_back),
        cmocka_unit_test(a_fitted_view_stays_fitted_when_the_window_grows),
        cmocka_unit_test(revealing_moves_only_when_it_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
