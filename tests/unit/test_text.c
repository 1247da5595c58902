/* tests/unit/test_text.c - sim/base/text.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void expect_size(const char *text, uint64_t bytes)
{
    vs_err err = {0};
    vs_bytes size = 0;
    if (!vs_parse_size(vs_str_of(text), &size, &err)) {
        fail_msg("\"%s\": %s", text, err.text);
    }
    assert_true(size == bytes);
}

static void expect_no_size(const char *text)
{
    vs_err err = {0};
    vs_bytes size = 77;
    if (vs_parse_size(vs_str_of(text), &size, &err)) {
        fail_msg("\"%s\" was read as %" PRIu64, text, size);
    }
    assert_int_equal(err.code, VS_ERR_VALUE);
    assert_non_null(strstr(err.text, "expected a size"));
    assert_int_equal(size, 77);
}

static void sizes_have_binary_and_decimal_units(void **state)
{
    (void)state;
    expect_size("0", 0);
    expect_size("4096", 4096);
    expect_size("17B", 17);
    expect_size("1KiB", 1024);
    expect_size("1kb", 1000);
    expect_size("24GiB", 24 * VS_GIB);
    expect_size("24 gib", 24 * VS_GIB);
    expect_size("1.5 gb", 1500000000);
    expect_size("2MB", 2000000);
    expect_size("2mIb", 2 * VS_MIB);
    expect_size("3TB", UINT64_C(3000000000000));
    expect_size("3TiB", 3 * VS_TIB);
    expect_size("\t12.55 GiB ", 13475459891);
}

static void decimals_are_exact_and_floored_to_a_byte(void **state)
{
    (void)state;
    expect_size("0.1GiB", 107374182); /* 107374182.4 */
    expect_size("1.9999", 1);
    expect_size("0.0000000001TB", 100);
    expect_size("0.00000000000009TB", 0);
    expect_size("0.000000000001TB", 1);
    expect_size("0.9999999999999999999999999999999999999999TiB", VS_TIB - 1);
    /* 2^-40, exactly one byte of a TiB */
    expect_size("0.0000000000009094947017729282379150390625TiB", 1);
    expect_size("0.0000000000009094947017729282379150390624TiB", 0);
    expect_size("00012.50KiB", 12800);
}

static void the_largest_size_is_2_to_the_60(void **state)
{
    (void)state;
    expect_size("1152921504606846976", UINT64_C(1) << 60);
    expect_size("1048576TiB", UINT64_C(1) << 60);
    expect_no_size("1152921504606846977");
    expect_no_size("1048576.000000000001TiB");
    expect_no_size("18446744073709551616");
    expect_no_size("99999999999999999999999999TB");
    expect_no_size("18446744073709551615.9TiB");
}

static void what_is_no_size_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      " ",     "-1",    "+1",      "GiB",  "1e400",
                                        "1e3",   "1.",    ".5GiB", "1.GB",    "1..2", "1,5GB",
                                        "1_000", "0x10",  "24G",   "24 GiBs", "inf",  "nan",
                                        "1 2",   "1GiB2", "1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_no_size(texts[i]);
    }
    vs_bytes size = 0;
    const vs_str cut = {.ptr = "24GiB", .len = 2}; /* only what belongs to it is read */
    assert_true(vs_parse_size(cut, &size, NULL) && size == 24);
    assert_false(vs_parse_size((vs_str){0}, &size, NULL));
}

static void a_refusal_quotes_a_bounded_part(void **state)
{
    (void)state;
    char text[1000];
    memset(text, '9', sizeof text);
    vs_err err = {0};
    vs_bytes size = 0;
    assert_false(vs_parse_size((vs_str){.ptr = text, .len = sizeof text}, &size, &err));
    assert_true(strlen(err.text) < 150);
}

static void whole_numbers_have_digits_only(void **state)
{
    (void)state;
    uint64_t value = 77;
    assert_true(vs_parse_u64(vs_str_of("18446744073709551615"), &value, NULL));
    assert_true(value == UINT64_MAX);
    assert_true(vs_parse_u64(vs_str_of("007"), &value, NULL) && value == 7);
    static const char *const texts[] = {"",   "-1",  "+1",  " 1",
                                        "1 ", "1.0", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        vs_err err = {0};
        assert_false(vs_parse_u64(vs_str_of(texts[i]), &value, &err));
        assert_int_equal(err.code, VS_ERR_VALUE);
        assert_int_equal(value, 7);
    }
}

static void expect_format(uint64_t bytes, const char *ours, const char *torch)
{
    char buf[VS_TEXT_BYTES];
    assert_string_equal(vs_format_size(bytes, buf), ours);
    assert_string_equal(vs_format_torch_size(bytes, buf), torch);
}

static void sizes_are_printed_with_their_unit(void **state)
{
    (void)state;
    expect_format(0, "0 B", "0 bytes");
    expect_format(17, "17 B", "17 bytes");
    expect_format(1023, "1023 B", "1023 bytes");
    expect_format(1024, "1.00 KiB", "1024 bytes");
    expect_format(1025, "1.00 KiB", "1.00 KiB");
    expect_format(532480, "520.00 KiB", "520.00 KiB");
    expect_format(VS_MIB, "1.00 MiB", "1024.00 KiB");
    expect_format(VS_MIB + 1, "1.00 MiB", "1.00 MiB");
    expect_format(20 * VS_MIB, "20.00 MiB", "20.00 MiB");
    expect_format(VS_GIB, "1.00 GiB", "1024.00 MiB");
    expect_format(VS_GIB + 1, "1.00 GiB", "1.00 GiB");
    expect_format(13476831232, "12.55 GiB", "12.55 GiB");
    expect_format(3 * VS_TIB, "3.00 TiB", "3072.00 GiB");
    /* specs/torch-caching-allocator.md [8.2]: 2^64 - 1 is seen in messages on WSL */
    expect_format(UINT64_MAX, "16777216.00 TiB", "17179869184.00 GiB");
}

static void a_size_that_rounds_to_1024_moves_to_the_next_unit(void **state)
{
    (void)state;
    char buf[VS_TEXT_BYTES];
    assert_string_equal(vs_format_size(VS_MIB - 6, buf), "1023.99 KiB");
    assert_string_equal(vs_format_size(VS_MIB - 5, buf), "1.00 MiB"); /* 1023.9951 */
    assert_string_equal(vs_format_size(VS_GIB - 1, buf), "1.00 GiB");
    assert_string_equal(vs_format_size(VS_TIB - 1, buf), "1.00 TiB");
}

static void halves_round_up_for_us_and_to_even_for_torch(void **state)
{
    (void)state;
    /* 1.125 KiB and 1.375 KiB are exact halves of a hundredth */
    expect_format(1152, "1.13 KiB", "1.12 KiB");
    expect_format(1408, "1.38 KiB", "1.38 KiB");
}

static void thousands_are_grouped(void **state)
{
    (void)state;
    char buf[VS_TEXT_BYTES];
    assert_string_equal(vs_format_grouped(0, buf), "0");
    assert_string_equal(vs_format_grouped(999, buf), "999");
    assert_string_equal(vs_format_grouped(1000, buf), "1,000");
    assert_string_equal(vs_format_grouped(13476831232, buf), "13,476,831,232");
    assert_string_equal(vs_format_grouped(UINT64_MAX, buf), "18,446,744,073,709,551,615");
}

static void durations_pick_their_unit(void **state)
{
    (void)state;
    char buf[VS_TEXT_BYTES];
    assert_string_equal(vs_format_duration(0, buf), "0 ns");
    assert_string_equal(vs_format_duration(820, buf), "820 ns");
    assert_string_equal(vs_format_duration(1000, buf), "1.0 us");
    assert_string_equal(vs_format_duration(999949, buf), "999.9 us");
    assert_string_equal(vs_format_duration(999950, buf), "1.0 ms");
    assert_string_equal(vs_format_duration(3100000, buf), "3.1 ms");
    assert_string_equal(vs_format_duration(999950000, buf), "1.00 s");
    assert_string_equal(vs_format_duration(12480000000, buf), "12.48 s");
    assert_string_equal(vs_format_duration(12485000000, buf), "12.49 s");
    assert_string_equal(vs_format_duration(UINT64_C(7200000000000), buf), "7200.00 s");
    assert_string_equal(vs_format_duration(VS_NS_NEVER - 1, buf), "18446744073.71 s");
    assert_string_equal(vs_format_duration(VS_NS_NEVER, buf), "never");
}

static const char *nearest(const char *name)
{
    static const char *const names[] = {"rtx-4090", "rtx-3090", "a100-80gb-sxm", "h100-sxm",
                                        "t4"};
    return vs_nearest(vs_str_of(name), names, sizeof names / sizeof names[0]);
}

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("rtx4090"), "rtx-4090");
    assert_string_equal(nearest("RTX-3090"), "rtx-3090");
    assert_string_equal(nearest("h100-smx"), "h100-sxm"); /* neighbours swapped: one edit */
    assert_string_equal(nearest("rtx-5090"), "rtx-4090"); /* a tie: the first */
    assert_string_equal(nearest("a100-80gb"), "a100-80gb-sxm");
    assert_string_equal(nearest("t5"), "t4");
}

static void part_of_a_name_suggests_the_whole(void **state)
{
    (void)state;
    static const char *const cards[] = {"a10", "a100-80gb-sxm", "a100-80gb", "h200",
                                        "h100-sxm"};
    assert_string_equal(nearest("h100"), "h100-sxm");
    assert_string_equal(nearest("4090"), "rtx-4090");
    assert_string_equal(vs_nearest(vs_str_of("H100"), cards, 5), "h100-sxm"); /* not h200 */
    assert_string_equal(vs_nearest(vs_str_of("a100"), cards, 5),
                        "a100-80gb"); /* the shortest */
    assert_null(nearest("xm"));       /* too short to mean anything */
}

static void a_far_name_suggests_nothing(void **state)
{
    (void)state;
    assert_null(nearest("mi300x"));
    assert_null(nearest(""));
    assert_null(nearest("v1"));
    assert_null(vs_nearest(vs_str_of("a"), NULL, 0));
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    const char *const names[] = {longest, longest + 1};
    assert_null(vs_nearest(vs_str_of(longest), names, 2));
    assert_string_equal(vs_nearest(vs_str_of(longest + 1), names, 2), longest + 1);
}

static void rates_are_decimal(void **state)
{
    (void)state;
    char buf[VS_TEXT_BYTES];
    assert_string_equal(vs_format_rate(999, buf), "999 B/s");
    assert_string_equal(vs_format_rate(1000, buf), "1.00 kB/s");
    assert_string_equal(vs_format_rate(7000000000, buf), "7.00 GB/s");
    assert_string_equal(vs_format_rate(999996, buf), "1.00 MB/s");
    assert_string_equal(vs_format_rate(UINT64_MAX, buf), "18446744.07 TB/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_decimal),
        cmocka_unit_test(sizes_have_binary_and_decimal_units),
        cmocka_unit_test(decimals_are_exact_and_floored_to_a_byte),
        cmocka_unit_test(the_largest_size_is_2_to_the_60),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(a_refusal_quotes_a_bounded_part),
        cmocka_unit_test(whole_numbers_have_digits_only),
        cmocka_unit_test(sizes_are_printed_with_their_unit),
        cmocka_unit_test(a_size_that_rounds_to_1024_moves_to_the_next_unit),
        cmocka_unit_test(halves_round_up_for_us_and_to_even_for_torch),
        cmocka_unit_test(thousands_are_grouped),
        cmocka_unit_test(durations_pick_their_unit),
        cmocka_unit_test(the_nearest_name_is_found),
        cmocka_unit_test(part_of_a_name_suggests_the_whole),
        cmocka_unit_test(a_far_name_suggests_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
