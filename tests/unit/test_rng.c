/* tests/unit/test_rng.c - sim/base/rng.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_generator_gives_the_published_numbers(void **state)
{
    (void)state;
    /* xoshiro256** from the state 1, 2, 3, 4: the vectors used by the Rust crate
     * rand_xoshiro (src/xoshiro256starstar.rs, test "reference"), made with the
     * authors' reference code. */
    static const uint64_t expected[] = {UINT64_C(11520),
                                        UINT64_C(0),
                                        UINT64_C(1509978240),
                                        UINT64_C(1215971899390074240),
                                        UINT64_C(1216172134540287360),
                                        UINT64_C(607988272756665600),
                                        UINT64_C(16172922978634559625),
                                        UINT64_C(8476171486693032832),
                                        UINT64_C(10595114339597558777),
                                        UINT64_C(2904607092377533576)};
    vs_rng rng = {.s = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(vs_rng_next(&rng) == expected[i]);
    }
}

static void seeding_follows_splitmix64(void **state)
{
    (void)state;
    /* first outputs of splitmix64.c for the seed 1234567 (rosettacode.org, task
     * "Pseudo-random numbers/Splitmix64") */
    vs_rng rng;
    vs_rng_seed(&rng, 1234567);
    assert_true(rng.s[0] == UINT64_C(6457827717110365317));
    assert_true(rng.s[1] == UINT64_C(3203168211198807973));
    assert_true(rng.s[2] == UINT64_C(9817491932198370423));
    assert_true(rng.s[3] == UINT64_C(4593380528125082431));
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    vs_rng a;
    vs_rng b;
    vs_rng other;
    vs_rng_seed(&a, 0);
    vs_rng_seed(&b, 0);
    vs_rng_seed(&other, 1);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        const uint64_t drawn = vs_rng_next(&a);
        assert_true(drawn == vs_rng_next(&b));
        differs = differs || drawn != vs_rng_next(&other);
    }
    assert_true(differs);
}

static void numbers_stay_below_the_bound_and_reach_all_values(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, 42);
    uint32_t seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        const uint64_t drawn = vs_rng_below(&rng, 7);
        assert_true(drawn < 7);
        seen[drawn]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_true(seen[i] > 850 && seen[i] < 1150); /* mean 1000, deviation 29 */
    }
    assert_true(vs_rng_below(&rng, 1) == 0);
}

static void a_bound_above_half_the_range_is_not_biased(void **state)
{
    (void)state;
    /* With bound = 3 * 2^62 a plain remainder would draw the lowest third half of the time. */
    const uint64_t third = UINT64_C(1) << 62;
    vs_rng rng;
    vs_rng_seed(&rng, 7);
    uint32_t low = 0;
    for (int i = 0; i < 6000; i++) {
        low += vs_rng_below(&rng, 3 * third) < third;
    }
    assert_true(low > 1850 && low < 2150); /* mean 2000, deviation 37 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generator_gives_the_published_numbers),
        cmocka_unit_test(seeding_follows_splitmix64),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(numbers_stay_below_the_bound_and_reach_all_values),
        cmocka_unit_test(a_bound_above_half_the_range_is_not_biased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
