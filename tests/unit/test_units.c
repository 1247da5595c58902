/* tests/unit/test_units.c - sim/base/units.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SENTINEL UINT64_C(0x5ea1)

static void sums_and_products_that_fit_are_exact(void **state)
{
    (void)state;
    uint64_t out = 0;
    assert_true(vs_add_u64(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
    assert_true(vs_sub_u64(5, 5, &out) && out == 0);
    assert_true(vs_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &out));
    assert_true(out == UINT64_MAX - UINT32_MAX);
    assert_true(vs_mul_u64(0, UINT64_MAX, &out) && out == 0);
}

static void overflow_is_reported_and_leaves_the_output_alone(void **state)
{
    (void)state;
    uint64_t out = SENTINEL;
    assert_false(vs_add_u64(UINT64_MAX, 1, &out));
    assert_false(vs_sub_u64(4, 5, &out));
    assert_false(vs_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_false(vs_muldiv_u64(UINT64_MAX, 2, 1, &out));
    assert_false(vs_muldiv_ceil_u64(UINT64_MAX, 2, 1, &out));
    assert_false(vs_round_up_u64(UINT64_MAX, 2, &out));
    assert_int_equal(out, SENTINEL);
}

static void the_output_may_be_an_input(void **state)
{
    (void)state;
    uint64_t value = 6;
    assert_true(vs_mul_u64(value, 7, &value) && value == 42);
    assert_false(vs_mul_u64(value, UINT64_MAX, &value));
    assert_int_equal(value, 42);
}

static void muldiv_has_128_bits_inside(void **state)
{
    (void)state;
    uint64_t out = 0;
    assert_true(vs_muldiv_u64(UINT64_MAX, UINT64_MAX, UINT64_MAX, &out) && out == UINT64_MAX);
    assert_true(vs_muldiv_u64(UINT64_MAX, 10, 11, &out) &&
                out == UINT64_C(16769767339735956013));
    assert_true(vs_muldiv_ceil_u64(UINT64_MAX, 10, 11, &out) &&
                out == UINT64_C(16769767339735956013) + 1);
}

static void dividing_by_zero_fails(void **state)
{
    (void)state;
    uint64_t out = SENTINEL;
    assert_false(vs_muldiv_u64(0, 0, 0, &out));
    assert_false(vs_muldiv_ceil_u64(1, 1, 0, &out));
    assert_int_equal(out, SENTINEL);
}

static void floor_and_ceiling_agree_only_on_whole_quotients(void **state)
{
    (void)state;
    uint64_t down = 0;
    uint64_t up = 0;
    assert_true(vs_muldiv_u64(6, 2, 4, &down) && vs_muldiv_ceil_u64(6, 2, 4, &up));
    assert_true(down == 3 && up == 3);
    assert_true(vs_muldiv_u64(7, 2, 4, &down) && vs_muldiv_ceil_u64(7, 2, 4, &up));
    assert_true(down == 3 && up == 4);
}

static void a_ceiling_just_above_the_largest_number_fails(void **state)
{
    (void)state;
    /* (max - 1) * (c + 1) = max * c + (max - c - 1), and 0 < max - c - 1 < c for this c */
    const uint64_t c = UINT64_C(0x8000000000000001);
    uint64_t out = SENTINEL;
    assert_false(vs_muldiv_ceil_u64(UINT64_MAX - 1, c + 1, c, &out));
    assert_int_equal(out, SENTINEL);
    assert_true(vs_muldiv_u64(UINT64_MAX - 1, c + 1, c, &out) && out == UINT64_MAX);
}

static void rounding_up_reaches_the_next_multiple(void **state)
{
    (void)state;
    uint64_t out = 0;
    assert_true(vs_round_up_u64(0, 512, &out) && out == 0);
    assert_true(vs_round_up_u64(1, 512, &out) && out == 512);
    assert_true(vs_round_up_u64(512, 512, &out) && out == 512);
    assert_true(vs_round_up_u64(10, 7, &out) && out == 14);
    assert_true(vs_round_up_u64(UINT64_MAX - 511, 512, &out) && out == UINT64_MAX - 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_that_fit_are_exact),
        cmocka_unit_test(overflow_is_reported_and_leaves_the_output_alone),
        cmocka_unit_test(the_output_may_be_an_input),
        cmocka_unit_test(muldiv_has_128_bits_inside),
        cmocka_unit_test(dividing_by_zero_fails),
        cmocka_unit_test(floor_and_ceiling_agree_only_on_whole_quotients),
        cmocka_unit_test(a_ceiling_just_above_the_largest_number_fails),
        cmocka_unit_test(rounding_up_reaches_the_next_multiple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
