/* Axes: round steps, exact labels, room between them. */
#include "viz/ui/axis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static void assert_labels(const vs_axis *axis, const char *const *labels, uint32_t count)
{
    assert_int_equal(axis->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(axis->ticks[i].label, labels[i]);
    }
}

static void bytes_of_a_24_gib_card_are_labelled_every_4(void **state)
{
    (void)state;
    vs_axis axis;
    vs_axis_bytes(&axis, 25 * VS_GIB, 400, 34);
    static const char *const labels[] = {"0", "4", "8", "12", "16", "20", "24"};
    assert_labels(&axis, labels, 7);
    assert_string_equal(axis.unit, "GiB");
    assert_int_equal(axis.ticks[6].value, 24 * VS_GIB);
}

static void small_memories_have_smaller_units_and_quarters(void **state)
{
    (void)state;
    vs_axis axis;
    vs_axis_bytes(&axis, VS_GIB, 300, 34);
    static const char *const quarters[] = {"0", "0.25", "0.50", "0.75", "1.00"};
    assert_labels(&axis, quarters, 5);
    vs_axis_bytes(&axis, 10, 100, 20);
    assert_string_equal(axis.unit, "B");
    assert_string_equal(axis.ticks[1].label, "2");
    vs_axis_bytes(&axis, UINT64_MAX, 100, 20);
    assert_string_equal(axis.unit, "EiB");
    assert_true(axis.count >= 2);
}

static void times_are_labelled_in_one_unit_with_the_decimals_the_step_needs(void **state)
{
    (void)state;
    vs_axis axis;
    vs_axis_time(&axis, 0, 2 * SECOND, 1000, 120);
    static const char *const labels[] = {"0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s"};
    assert_labels(&axis, labels, 5);
    vs_axis_time(&axis, 250, 1000, 1000, 240);
    static const char *const nanos[] = {"0.5 us", "1.0 us"};
    assert_labels(&axis, nanos, 2);
    vs_axis_time(&axis, 0, 1800 * SECOND, 1000, 300);
    static const char *const minutes[] = {"0 min", "10 min", "20 min", "30 min"};
    assert_labels(&axis, minutes, 4);
    vs_axis_time(&axis, 0, 14400 * SECOND, 1000, 240);
    assert_string_equal(axis.ticks[1].label, "1 h 00 min");
}

static void deep_in_the_run_only_the_first_label_is_absolute(void **state)
{
    (void)state;
    vs_axis axis;
    vs_axis_time(&axis, 5 * SECOND, 1000, 1000, 240);
    assert_string_equal(axis.ticks[0].label, "5.0000000 s");
    assert_string_equal(axis.ticks[1].label, "+0.5 us");
    assert_string_equal(axis.ticks[2].label, "+1.0 us");
}

/* Every step is 1, 2 or 5 times a power of ten (below a minute), ticks are multiples of it,
 * inside the span and far enough apart. */
static void ticks_are_round_inside_and_apart_for_random_views(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, 99);
    for (int round = 0; round < 20000; round++) {
        const vs_ns t0 = vs_rng_below(&rng, UINT64_C(1) << vs_rng_below(&rng, 55));
        const vs_ns span = vs_rng_below(&rng, UINT64_C(1) << (1 + vs_rng_below(&rng, 55))) + 1;
        const int32_t width = (int32_t)vs_rng_below(&rng, 3000) + 100;
        vs_axis axis;
        vs_axis_time(&axis, t0, span, width, 90);
        uint64_t lead = axis.step;
        while (lead % 10 == 0) {
            lead /= 10;
        }
        assert_true(axis.step >= 60 * SECOND || lead == 1 || lead == 2 || lead == 5);
        for (uint32_t i = 0; i < axis.count; i++) {
            assert_true(axis.ticks[i].value % axis.step == 0);
            assert_true(axis.ticks[i].value >= t0 && axis.ticks[i].value - t0 <= span);
            /* Two neighbours are at least 90 px apart. */
            assert_true((double)axis.step * width / (double)span >= 89.9);
            assert_in_range(strlen(axis.ticks[i].label), 3, VS_TEXT_BYTES - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_a_24_gib_card_are_labelled_every_4),
        cmocka_unit_test(small_memories_have_smaller_units_and_quarters),
        cmocka_unit_test(times_are_labelled_in_one_unit_with_the_decimals_the_step_needs),
        cmocka_unit_test(deep_in_the_run_only_the_first_label_is_absolute),
        cmocka_unit_test(ticks_are_round_inside_and_apart_for_random_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
