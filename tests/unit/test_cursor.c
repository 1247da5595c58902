/* tests/unit/test_cursor.c - sim/base/cursor.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const uint8_t sample[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0xff};

static void numbers_are_little_endian(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_cursor c = vs_cursor_of(sample, sizeof sample, &err);
    uint8_t a = 0;
    uint16_t b = 0;
    uint32_t d = 0;
    uint64_t e = 0;
    assert_true(vs_cursor_u64le(&c, &e) && e == UINT64_C(0x0807060504030201));
    assert_true(vs_cursor_u32le(&c, &d) && d == 0x0c0b0a09);
    assert_true(vs_cursor_u16le(&c, &b) && b == 0x0e0d);
    assert_true(vs_cursor_u8(&c, &a) && a == 0xff);
    assert_int_equal(vs_cursor_left(&c), 0);
    assert_false(c.has_failed);
}

static void high_bytes_do_not_extend_a_sign(void **state)
{
    (void)state;
    const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    vs_cursor c = vs_cursor_of(ones, 8, NULL);
    uint32_t d = 0;
    assert_true(vs_cursor_u32le(&c, &d) && d == UINT32_MAX);
    vs_cursor c2 = vs_cursor_of(ones, 8, NULL);
    uint64_t e = 0;
    assert_true(vs_cursor_u64le(&c2, &e) && e == UINT64_MAX);
}

static void reading_past_the_end_fails_at_the_right_byte(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_cursor c = vs_cursor_of(sample, 10, &err);
    uint32_t value = 77;
    assert_true(vs_cursor_skip(&c, 8));
    assert_false(vs_cursor_u32le(&c, &value));
    assert_int_equal(value, 77);
    assert_int_equal(err.code, VS_ERR_FORMAT);
    assert_true(err.has_offset);
    assert_int_equal(err.offset, 8);
    assert_non_null(strstr(err.text, "expected 4 more bytes, found 2"));
}

static void after_a_failure_nothing_moves(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_cursor c = vs_cursor_of(sample, 4, &err);
    assert_false(vs_cursor_skip(&c, UINT64_MAX));
    uint8_t byte = 9;
    const uint8_t *bytes = NULL;
    assert_false(vs_cursor_u8(&c, &byte));
    assert_false(vs_cursor_bytes(&c, 0, &bytes));
    assert_false(vs_cursor_fail(&c, "a second complaint"));
    assert_int_equal(byte, 9);
    assert_null(bytes);
    assert_int_equal(c.pos, 0);
    assert_null(strstr(err.text, "second"));
}

static void the_readers_own_complaint_carries_the_offset(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_cursor c = vs_cursor_of(sample, sizeof sample, &err);
    assert_true(vs_cursor_skip(&c, 3));
    assert_false(vs_cursor_fail(&c, "unknown tensor type %d", 99));
    char line[256];
    assert_string_equal(vs_err_line(&err, line, sizeof line),
                        "offset 0x3: unknown tensor type 99");
}

static void an_older_error_keeps_its_place(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_IO, "older");
    vs_cursor c = vs_cursor_of(sample, 2, &err);
    assert_false(vs_cursor_skip(&c, 3));
    assert_true(c.has_failed);
    assert_string_equal(err.text, "older");
    assert_false(err.has_offset);
}

static void no_bytes_at_all_is_fine(void **state)
{
    (void)state;
    vs_cursor c = vs_cursor_of(NULL, 0, NULL);
    const uint8_t *bytes = NULL;
    assert_true(vs_cursor_bytes(&c, 0, &bytes));
    assert_non_null(bytes);
    uint8_t byte = 0;
    assert_false(vs_cursor_u8(&c, &byte));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(high_bytes_do_not_extend_a_sign),
        cmocka_unit_test(reading_past_the_end_fails_at_the_right_byte),
        cmocka_unit_test(after_a_failure_nothing_moves),
        cmocka_unit_test(the_readers_own_complaint_carries_the_offset),
        cmocka_unit_test(an_older_error_keeps_its_place),
        cmocka_unit_test(no_bytes_at_all_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
