/* tests/unit/test_json_stream.c - tokens of JSON, whole and in pieces. */
#include "traces/read/json_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define TOKENS_MAX 4096

/* Each token as a letter, with its text behind it. */
static char letter_of(json_token token)
{
    static const char letters[] = "{}[]KSNtfnx.CB";
    return letters[token];
}

static size_t put_token(char *out, size_t at, const json_walk *w, json_token token)
{
    const bool has_text = token == JSON_KEY || token == JSON_STRING || token == JSON_NUMBER;
    const int n = snprintf(out + at, TOKENS_MAX - at, "%c%.*s ", letter_of(token),
                           has_text ? (int)w->text.len : 0, has_text ? w->text.ptr : "");
    assert_true(n > 0 && at + (size_t)n < TOKENS_MAX);
    return at + (size_t)n;
}

static bool is_over(json_token token)
{
    return token == JSON_DONE || token == JSON_CUT || token == JSON_BAD;
}

static void tokens_of(const char *text, char *out)
{
    json_walk w = json_walk_of(text, strlen(text), true);
    size_t at = 0;
    for (json_token token = JSON_NULL; !is_over(token);) {
        token = json_walk_next(&w);
        at = put_token(out, at, &w, token);
    }
}

static void expect(const char *text, const char *tokens)
{
    char got[TOKENS_MAX] = {0};
    tokens_of(text, got);
    assert_string_equal(got, tokens);
}

static const char *const sample =
    " {\"a\" : [1, -2.50e+3 ,\"x\\\"y\",{}, [ ] ], \"\\\\\":null,\"b\":true,\"c\" :false, "
    "\"d\":NaN,\"e\":-Infinity, \"f\":{\"g\":{\"h\":\"\"}}} ";

static void every_kind_of_token_is_told(void **state)
{
    (void)state;
    expect(sample,
           "{ Ka [ N1 N-2.50e+3 Sx\\\"y { } [ ] ] K\\\\ n Kb t Kc f Kd x Ke x Kf { Kg { "
           "Kh S } } } . ");
    expect("7", "N7 . ");
    expect("\"\"", "S . ");
    expect("[1,]", "[ N1 ] . "); /* as Chrome traces may end */
}

static void what_is_no_json_is_bad(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{1:2}", "{\"a\" 1}", "{\"a\":1,}", "[1 2]",    "[}",    "{]",  "tru ",  "[01]", "[1.]",
        "[.5]",  "[1e]",      "[+1]",       "[-]",      "[--1]", "{,}", "[,1]",  "1 2",  "[1]]",
        "nulll", "[1a]",      "{\"a\":}",   "{\"a\",}", "\x01",  "'a'", "[1;2]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char got[TOKENS_MAX] = {0};
        tokens_of(wrong[i], got);
        if (got[strlen(got) - 2] != 'B') {
            fail_msg("%s: %s", wrong[i], got);
        }
    }
}

static void what_ends_early_is_cut(void **state)
{
    (void)state;
    static const char *const cut[] = {
        "",      " ",       "{",        "[1", "[1,", "{\"a", "{\"a\"", "{\"a\":",
        "\"abc", "\"abc\\", "[\"a\\\"", "[-", "[1.", "[12",  "[tr",    "{\"a\":nul"};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        char got[TOKENS_MAX] = {0};
        tokens_of(cut[i], got);
        if (got[strlen(got) - 2] != 'C') {
            fail_msg("%s: %s", cut[i], got);
        }
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    char text[80] = {0};
    memset(text, '[', 65);
    json_walk w = json_walk_of(text, 65, true);
    for (uint32_t i = 0; i < JSON_DEPTH_MAX; i++) {
        assert_int_equal(json_walk_next(&w), JSON_ARRAY);
    }
    assert_int_equal(json_walk_next(&w), JSON_BAD);
    assert_string_equal(w.why, "nested deeper than 64 levels");
    w = json_walk_of(text, 65, true);
    assert_int_equal(json_walk_skip(&w), JSON_BAD);
}

/* At every byte the walk can stop and go on, as when a window ends there. */
static void pieces_give_the_same_tokens(void **state)
{
    (void)state;
    char whole[TOKENS_MAX] = {0};
    tokens_of(sample, whole);
    const size_t len = strlen(sample);
    char got[TOKENS_MAX] = {0};
    json_walk w = json_walk_of(sample, 0, false);
    size_t at = 0;
    json_token token = JSON_NULL;
    while (token != JSON_DONE) {
        token = json_walk_next(&w);
        assert_int_not_equal(token, JSON_BAD);
        if (token != JSON_CUT) {
            at = put_token(got, at, &w, token);
        } else if (w.end < (const uint8_t *)sample + len) {
            w.end++;
        } else {
            assert_false(w.is_last);
            w.is_last = true;
        }
    }
    assert_string_equal(got, whole);
}

static void a_skipped_value_is_passed_whole(void **state)
{
    (void)state;
    static const char *const values[] = {
        "1",  "\"a\\\\\"", "\"]}\\\"\"", "[[],{\"a\":[1,2,{\"b\":\"}\"}]}]",
        "{}", "null",      "NaN",        "{\"k\":\"\\\\\\\"\"}",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[256] = {0};
        (void)snprintf(text, sizeof text, "[%s,7]", values[i]);
        json_walk w = json_walk_of(text, strlen(text), true);
        assert_int_equal(json_walk_next(&w), JSON_ARRAY);
        const json_token first = json_walk_skip(&w);
        assert_true(first != JSON_BAD && first != JSON_CUT);
        assert_int_equal(json_walk_next(&w), JSON_NUMBER);
        assert_true(vs_str_is(w.text, "7"));
        assert_int_equal(json_walk_skip(&w), JSON_ARRAY_END);
        assert_int_equal(json_walk_next(&w), JSON_DONE);
    }
    json_walk w = json_walk_of("[{\"a\":[}]", 9, true);
    assert_int_equal(json_walk_next(&w), JSON_ARRAY);
    assert_int_equal(json_walk_skip(&w), JSON_BAD);
}

/* ---- the stream ---------------------------------------------------------------------------- */

static void values_longer_than_the_window_are_skipped(void **state)
{
    scratch *s = *state;
    const size_t long_bytes = 3 * INPUT_WINDOW_BYTES;
    char *const text = malloc(2 * long_bytes + 256);
    assert_non_null(text);
    size_t at = (size_t)snprintf(text, 64, "{\"long\":\"");
    memset(text + at, '\\', long_bytes); /* an even number: no quote is escaped */
    at += long_bytes;
    at += (size_t)snprintf(text + at, 64, "\",\"list\":[");
    for (size_t i = 0; i < long_bytes / 4; i++) {
        memcpy(text + at, "[1],", 4);
        at += 4;
    }
    at += (size_t)snprintf(text + at, 64, "2],\"last\":3}");
    text[at] = '\0';
    vs_input in = {0};
    vs_err err = {0};
    assert_true(input_open(&in, scratch_write(s, "long.json", text), &s->arena, &err));
    json_stream stream = {0};
    json_open(&stream, &in, NULL);
    assert_int_equal(json_next(&stream), JSON_OBJECT);
    assert_int_equal(json_next(&stream), JSON_KEY);
    assert_int_equal(json_skip(&stream), JSON_STRING);
    assert_int_equal(json_next(&stream), JSON_KEY);
    assert_int_equal(json_skip(&stream), JSON_ARRAY);
    assert_int_equal(json_next(&stream), JSON_KEY);
    assert_true(vs_str_is(stream.walk.text, "last"));
    assert_int_equal(json_next(&stream), JSON_NUMBER);
    assert_int_equal(json_next(&stream), JSON_OBJECT_END);
    assert_int_equal(json_offset(&stream), at);
    assert_int_equal(json_next(&stream), JSON_DONE);
    assert_true(s->arena.used_bytes < 4 * INPUT_WINDOW_BYTES); /* the window did not grow */
    input_close(&in);
    free(text);
}

static void a_token_across_the_window_is_whole(void **state)
{
    scratch *s = *state;
    const size_t size_bytes = INPUT_WINDOW_BYTES + 4096;
    char *const text = malloc(size_bytes + 64);
    assert_non_null(text);
    for (size_t shift = 0; shift < 24; shift++) {
        memset(text, ' ', size_bytes);
        text[0] = '[';
        (void)snprintf(text + INPUT_WINDOW_BYTES - shift, 64, "1234567.25,\"ab\\\"c\",true]");
        vs_input in = {0};
        vs_err err = {0};
        json_stream stream = {0};
        vs_arena_reset(&s->arena);
        assert_true(input_open(&in, scratch_write(s, "edge.json", text), &s->arena, &err));
        json_open(&stream, &in, NULL);
        assert_int_equal(json_next(&stream), JSON_ARRAY);
        assert_int_equal(json_next(&stream), JSON_NUMBER);
        assert_true(vs_str_is(stream.walk.text, "1234567.25"));
        assert_int_equal(json_next(&stream), JSON_STRING);
        assert_true(vs_str_is(stream.walk.text, "ab\\\"c"));
        assert_int_equal(json_next(&stream), JSON_TRUE);
        assert_int_equal(json_next(&stream), JSON_ARRAY_END);
        assert_int_equal(json_next(&stream), JSON_DONE);
        input_close(&in);
    }
    free(text);
}

/* ---- values ----------------------------------------------------------------------------------- */

static void expect_scaled(const char *text, uint32_t decimals, uint64_t value, bool is_rounded)
{
    json_number n = {0};
    if (!json_scaled(vs_str_of(text), decimals, &n) || n.value != value ||
        n.is_negative != (text[0] == '-') || n.is_rounded != is_rounded) {
        fail_msg("%s with %u decimals is %" PRIu64, text, decimals, n.value);
    }
}

static void numbers_are_exact(void **state)
{
    (void)state;
    expect_scaled("1727.123", 3, 1727123, false);
    expect_scaled("1669783687464181", 3, UINT64_C(1669783687464181000), false);
    expect_scaled("1669783687464181.537", 3, UINT64_C(1669783687464181537), false);
    expect_scaled("1.669783687464181e15", 3, UINT64_C(1669783687464181000), false);
    expect_scaled("18446744073709551615", 0, UINT64_MAX, false);
    expect_scaled("139926520725504", 0, UINT64_C(139926520725504), false);
    expect_scaled("-5242880", 0, 5242880, false);
    expect_scaled("5242880.0", 0, 5242880, false);
    expect_scaled("0.0005", 3, 1, true);
    expect_scaled("0.00049", 3, 0, true);
    expect_scaled("1.99999999999999999999999999999", 3, 2000, true);
    expect_scaled("0e999999", 3, 0, false);
    expect_scaled("1e-999999", 3, 0, true);
    expect_scaled("123456e-3", 0, 123, true);
    static const char *const wrong[] = {
        "18446744073709551616", "1e20", "", "-", "abc", "1.5.5", "0x10", " 1",
        "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_number n = {0};
        assert_false(json_scaled(vs_str_of(wrong[i]), 0, &n));
    }
    json_number nothing = {0};
    assert_false(json_scaled((vs_str){0}, 3, &nothing)); /* a member that is not there */
    uint64_t whole = 0;
    assert_true(json_whole(vs_str_of("42"), &whole));
    assert_int_equal(whole, 42);
    assert_false(json_whole(vs_str_of("42.5"), &whole));
    assert_false(json_whole(vs_str_of("-1"), &whole));
}

static void expect_decoded(const char *text, const char *want)
{
    char got[64] = {0};
    assert_true(strlen(text) < sizeof got);
    const size_t n = json_decode(vs_str_of(text), got);
    got[n] = '\0';
    assert_string_equal(got, want);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    expect_decoded("a\\\"b\\\\c\\/d\\n\\t", "a\"b\\c/d\n\t");
    expect_decoded("\\u0041\\u00e9\\u20ac", "A\xc3\xa9\xe2\x82\xac");
    expect_decoded("\\ud83d\\ude00", "\xf0\x9f\x98\x80");
    expect_decoded("\\ud83d", "\xef\xbf\xbd");
    expect_decoded("\\u0000", "\xef\xbf\xbd");
    expect_decoded("C:\\Users\\x", "C:\\Users\\x"); /* no escapes of JSON: as written */
    expect_decoded("\\u12", "\\u12");
    expect_decoded("\\", "\\");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_token_is_told),
        cmocka_unit_test(what_is_no_json_is_bad),
        cmocka_unit_test(what_ends_early_is_cut),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(pieces_give_the_same_tokens),
        cmocka_unit_test(a_skipped_value_is_passed_whole),
        cmocka_unit_test_setup_teardown(values_longer_than_the_window_are_skipped, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_token_across_the_window_is_whole, scratch_open,
                                        scratch_close),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(escapes_are_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
