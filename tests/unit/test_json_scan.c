/* Reading JSON forward: what the fast ways of json_scan.c must not change (sim/model/json_scan.c). */
#include "sim/model/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LENGTHS 40u

typedef struct {
    vs_arena arena;
    vs_err err;
    vs_scan scan;
} fixture;

static void begin(fixture *f, const char *text, size_t len)
{
    memset(f, 0, sizeof *f);
    assert_true(vs_arena_open(&f->arena, VS_MIB, &f->err));
    f->scan = (vs_scan){
        .text = (const uint8_t *)text, .text_bytes = len, .arena = &f->arena, .err = &f->err};
}

static void end(fixture *f)
{
    vs_arena_close(&f->arena);
}

/* A quoted string of `len` letters, the one at `at` replaced. Returns its bytes. */
static size_t quoted(char *out, size_t len, size_t at, char byte)
{
    out[0] = '"';
    memset(out + 1, 'x', len);
    if (at < len) {
        out[1 + at] = byte;
    }
    out[1 + len] = '"';
    return len + 2;
}

static void a_string_of_any_length_ends_at_its_quote(void **state)
{
    (void)state;
    char text[64];
    for (size_t len = 0; len < LENGTHS; len++) {
        fixture f;
        vs_str got = {NULL, 0};
        const size_t bytes = quoted(text, len, len, 0);
        memset(text + bytes, 'y', sizeof text - bytes);
        begin(&f, text, sizeof text);
        assert_true(vs_scan_string(&f.scan, &got, "a string"));
        assert_int_equal(got.len, len);
        assert_int_equal(f.scan.pos, len + 2);
        assert_memory_equal(got.ptr, text + 1, len);
        end(&f);
    }
}

static void a_control_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char text[64];
    for (size_t len = 1; len < LENGTHS; len++) {
        for (size_t at = 0; at < len; at++) {
            fixture f;
            vs_str got = {NULL, 0};
            begin(&f, text, quoted(text, len, at, 0x1f));
            assert_false(vs_scan_string(&f.scan, &got, "a string"));
            assert_int_equal(f.err.offset, 1 + at);
            assert_non_null(strstr(f.err.text, "control byte 0x1f"));
            end(&f);
        }
    }
}

static void a_byte_that_is_no_utf8_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char text[64];
    for (size_t len = 1; len < LENGTHS; len++) {
        for (size_t at = 0; at < len; at++) {
            fixture f;
            vs_str got = {NULL, 0};
            begin(&f, text, quoted(text, len, at, (char)0xff));
            assert_false(vs_scan_string(&f.scan, &got, "a string"));
            assert_int_equal(f.err.offset, 1 + at);
            end(&f);
        }
    }
}

static void an_escape_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char text[64];
    for (size_t len = 2; len < LENGTHS; len++) {
        for (size_t at = 0; at + 1 < len; at++) {
            fixture f;
            vs_str got = {NULL, 0};
            const size_t bytes = quoted(text, len, at, '\\');
            text[at + 2] = '"';
            begin(&f, text, bytes);
            assert_true(vs_scan_string(&f.scan, &got, "a string"));
            assert_int_equal(got.len, len - 1);
            assert_int_equal(got.ptr[at], '"');
            end(&f);
        }
    }
}

static void every_other_byte_of_ascii_is_plain(void **state)
{
    (void)state;
    char text[64];
    for (int byte = 0x20; byte < 0x80; byte++) {
        if (byte == '"' || byte == '\\') {
            continue;
        }
        for (size_t at = 0; at < 24; at++) {
            fixture f;
            vs_str got = {NULL, 0};
            begin(&f, text, quoted(text, 24, at, (char)byte));
            assert_true(vs_scan_string(&f.scan, &got, "a string"));
            assert_int_equal(got.ptr[at], byte);
            end(&f);
        }
    }
}

static void numbers_up_to_64_bits_are_read(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"7,", 7},
                {" 12]", 12},
                {"9999999999999999999", UINT64_C(9999999999999999999)},
                {"10000000000000000000", UINT64_C(10000000000000000000)},
                {"18446744073709551615", UINT64_MAX}};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        fixture f;
        uint64_t value = 1;
        begin(&f, good[i].text, strlen(good[i].text));
        assert_true(vs_scan_u64(&f.scan, &value, "a number"));
        assert_int_equal(value, good[i].value);
        end(&f);
    }
}

static void other_numbers_are_refused_where_they_begin(void **state)
{
    (void)state;
    static const char *const bad[] = {"18446744073709551616",
                                      "99999999999999999999",
                                      "00",
                                      "01",
                                      "1.0",
                                      "1e3",
                                      "-1",
                                      "+1",
                                      ".5",
                                      "12-"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture f;
        uint64_t value = 77;
        begin(&f, bad[i], strlen(bad[i]));
        assert_false(vs_scan_u64(&f.scan, &value, "a number"));
        assert_int_equal(value, 77);
        assert_int_equal(f.err.offset, 0);
        assert_non_null(strstr(f.err.text, "expected a number"));
        end(&f);
    }
}

static void bytes_are_counted_at_any_length(void **state)
{
    (void)state;
    char text[LENGTHS];
    for (size_t len = 0; len < sizeof text; len++) {
        uint64_t expected = 0;
        for (size_t i = 0; i < len; i++) {
            text[i] = "{z|\x7b\xfb{\x01"[i * 5 % 7];
            expected += text[i] == '{';
        }
        assert_int_equal(vs_scan_count(text, len, '{'), expected);
    }
}

static void only_the_usual_spelling_is_taken_as_usual(void **state)
{
    (void)state;
    fixture f;
    begin(&f, "\"dtype\":\"F32\"", 13);
    assert_false(vs_scan_take_usual(&f.scan, "\"shape\":", 8));
    assert_int_equal(f.scan.pos, 0);
    assert_true(vs_scan_take_usual(&f.scan, "\"dtype\":", 8));
    assert_int_equal(f.scan.pos, 8);
    assert_false(vs_scan_take_usual(&f.scan, "\"F32\",", 6));
    assert_true(vs_scan_take_usual(&f.scan, "\"F32\"", 5));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_of_any_length_ends_at_its_quote),
        cmocka_unit_test(a_control_byte_is_found_wherever_it_stands),
        cmocka_unit_test(a_byte_that_is_no_utf8_is_found_wherever_it_stands),
        cmocka_unit_test(an_escape_is_found_wherever_it_stands),
        cmocka_unit_test(every_other_byte_of_ascii_is_plain),
        cmocka_unit_test(numbers_up_to_64_bits_are_read),
        cmocka_unit_test(other_numbers_are_refused_where_they_begin),
        cmocka_unit_test(bytes_are_counted_at_any_length),
        cmocka_unit_test(only_the_usual_spelling_is_taken_as_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
