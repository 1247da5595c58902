/* tests/prop/prop_units.c - checked arithmetic and sizes against slow twins.
 *
 * The twins know no 128-bit type: a product is made of 32-bit limbs, a quotient bit by
 * bit, a decimal expansion digit by digit. */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define SEED   UINT64_C(20260721)
#define ROUNDS 10000

typedef struct {
    uint64_t high;
    uint64_t low;
} wide;

static wide naive_product(uint64_t a, uint64_t b)
{
    const uint64_t a0 = a & UINT32_MAX;
    const uint64_t a1 = a >> 32;
    const uint64_t b0 = b & UINT32_MAX;
    const uint64_t b1 = b >> 32;
    const uint64_t low = a0 * b0;
    const uint64_t middle = a1 * b0 + (low >> 32); /* below 2^64: (2^32-1)^2 + 2^32 - 1 */
    const uint64_t cross = a0 * b1 + (middle & UINT32_MAX);
    return (wide){.high = a1 * b1 + (middle >> 32) + (cross >> 32),
                  .low = (cross << 32) | (low & UINT32_MAX)};
}

/* Long division, one bit at a time. False when the quotient needs more than 64 bits. */
static bool naive_divide(wide n, uint64_t c, uint64_t *quotient, uint64_t *rest)
{
    if (c == 0 || n.high >= c) {
        return false;
    }
    uint64_t r = n.high;
    uint64_t q = 0;
    for (int bit = 63; bit >= 0; bit--) {
        const bool carry = r >> 63 != 0;
        r = (r << 1) | ((n.low >> bit) & 1);
        q <<= 1;
        if (carry || r >= c) {
            r -= c;
            q |= 1;
        }
    }
    *quotient = q;
    *rest = r;
    return true;
}

/* Small, large and around powers of two, where the mistakes are. */
static uint64_t interesting(vs_rng *rng)
{
    const uint64_t shift = vs_rng_below(rng, 64);
    const uint64_t near = (UINT64_C(1) << shift) + vs_rng_below(rng, 5) - 2;
    switch (vs_rng_below(rng, 4)) {
    case 0: return near;
    case 1: return UINT64_MAX - vs_rng_below(rng, 4);
    case 2: return vs_rng_next(rng) >> shift;
    default: return vs_rng_below(rng, 10);
    }
}

static void muldiv_agrees_with_long_division(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED);
    size_t fitting = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t a = interesting(&rng);
        const uint64_t b = interesting(&rng);
        const uint64_t c = interesting(&rng);
        uint64_t quotient = 0;
        uint64_t rest = 0;
        const bool fits = naive_divide(naive_product(a, b), c, &quotient, &rest);
        uint64_t down = 0;
        assert_true(vs_muldiv_u64(a, b, c, &down) == fits);
        assert_true(!fits || down == quotient);
        const bool ceil_fits = fits && (rest == 0 || quotient < UINT64_MAX);
        uint64_t up = 0;
        assert_true(vs_muldiv_ceil_u64(a, b, c, &up) == ceil_fits);
        assert_true(!ceil_fits || up == quotient + (rest != 0));
        fitting += fits;
    }
    assert_true(fitting > ROUNDS / 5 && fitting < ROUNDS);
}

static void sums_and_products_agree_with_limbs(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED + 1);
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t a = interesting(&rng);
        const uint64_t b = interesting(&rng);
        const wide product = naive_product(a, b);
        uint64_t out = 0;
        assert_true(vs_mul_u64(a, b, &out) == (product.high == 0));
        assert_true(product.high != 0 || out == product.low);
        assert_true(vs_add_u64(a, b, &out) == (a <= UINT64_MAX - b));
        assert_true(a > UINT64_MAX - b || out == a + b);
        assert_true(vs_sub_u64(a, b, &out) == (a >= b));
        assert_true(a < b || out == a - b);
    }
}

static void rounding_up_gives_the_smallest_multiple_not_below(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED + 2);
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t a = interesting(&rng);
        const uint64_t step = interesting(&rng) | 1;
        uint64_t out = 0;
        if (vs_round_up_u64(a, step, &out)) {
            assert_true(out >= a && out - a < step && out % step == 0);
        } else {
            assert_true(a % step != 0 && a - a % step > UINT64_MAX - step);
        }
    }
}

/* The exact decimal expansion of size / unit; unit is a power of two, so it ends. */
static void expand(uint64_t size, uint64_t unit, const char *name, char *text, size_t room)
{
    int used = snprintf(text, room, "%" PRIu64 ".0", size / unit);
    uint64_t rest = size % unit;
    while (rest != 0) {
        rest *= 10;
        used += snprintf(text + used, room - (size_t)used, "%" PRIu64, rest / unit);
        rest %= unit;
    }
    (void)snprintf(text + used, room - (size_t)used, "%s", name);
    /* the 0 behind the point was only there so that a fraction always follows it */
    char *point = strchr(text, '.');
    if (point[2] >= '0' && point[2] <= '9') {
        memmove(point + 1, point + 2, strlen(point + 2) + 1);
    }
}

static void an_exact_decimal_size_reads_back_to_the_byte(void **state)
{
    (void)state;

    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"KiB", VS_KIB}, {"MiB", VS_MIB}, {"GiB", VS_GIB}, {"TiB", VS_TIB}};

    vs_rng rng;
    vs_rng_seed(&rng, SEED + 3);
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t size = vs_rng_next(&rng) >> (4 + vs_rng_below(&rng, 50));
        const size_t unit = vs_rng_below(&rng, 4);
        char text[128];
        expand(size, units[unit].bytes, units[unit].name, text, sizeof text);
        vs_bytes back = 0;
        assert_true(vs_parse_size(vs_str_of(text), &back, NULL));
        assert_true(back == size);
    }
}

static void a_printed_size_is_within_half_a_hundredth(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, SEED + 4);
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t size = vs_rng_next(&rng) >> (4 + vs_rng_below(&rng, 60));
        char text[VS_TEXT_BYTES];
        (void)vs_format_size(size, text);
        vs_bytes back = 0;
        assert_true(vs_parse_size(vs_str_of(text), &back, NULL));
        uint64_t unit = 1;
        while (unit < VS_TIB && back / unit >= 1024) {
            unit *= 1024;
        }
        const uint64_t distance = back > size ? back - size : size - back;
        assert_true(unit == 1 ? distance == 0 : distance <= unit / 200 + 1);
    }
}

int main(void)
{
    print_message("seed %" PRIu64 "\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(muldiv_agrees_with_long_division),
        cmocka_unit_test(sums_and_products_agree_with_limbs),
        cmocka_unit_test(rounding_up_gives_the_smallest_multiple_not_below),
        cmocka_unit_test(an_exact_decimal_size_reads_back_to_the_byte),
        cmocka_unit_test(a_printed_size_is_within_half_a_hundredth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
