/* tests/fault/fault_json.c - hostile bytes for the JSON bridge.
 *
 * Every outcome must be a document or one clean error with a message; nothing may crash,
 * leak or take longer than its input is long. */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sample[] =
    "{\n \"model\": {\"layers\": [1, 2.5e-3, -7], \"name\": \"a\\u00e9\\n\"},\n"
    " \"flags\": [true, false, null, {}], \"\\ud83d\\ude00\": []\n}\n";

/* True when it parsed. Bytes are copied to a block of their exact size, so that the
 * address sanitizer sees any read beyond the end. */
static bool try_bytes(const void *bytes, size_t count, vs_err *err)
{
    uint8_t *exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    if (count > 0) {
        memcpy(exact, bytes, count);
    }
    vs_json doc = {0};
    *err = (vs_err){0};
    const bool ok = vs_json_parse(&doc, exact, count, "hostile.json", err);
    free(exact);
    if (ok) {
        assert_int_equal(err->code, VS_OK);
        vs_json_close(&doc);
        return true;
    }
    assert_int_not_equal(err->code, VS_OK);
    assert_int_not_equal(err->code, VS_ERR_MEMORY);
    assert_string_not_equal(err->text, "");
    assert_string_equal(err->input, "hostile.json");
    assert_int_not_equal(err->line, 0);
    assert_null(doc.root);
    return false;
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    vs_err err = {0};
    const size_t whole = sizeof sample - 1;
    for (size_t count = 0; count < whole - 1; count++) { /* the last byte is a line end */
        assert_false(try_bytes(sample, count, &err));
        assert_int_equal(err.code, VS_ERR_FORMAT);
        assert_true(err.offset <= count);
    }
    assert_true(try_bytes(sample, whole, &err));
}

/* Each bit turned, and each byte replaced by one that means something to the grammar. */
static void every_flipped_bit_and_replaced_byte_is_survived(void **state)
{
    (void)state;
    static const char meaningful[] = "\"\\{}[],:0-e. \n\xff";
    vs_err err = {0};
    size_t outcomes[2] = {0};
    for (size_t at = 0; at < sizeof sample - 1; at++) {
        for (size_t k = 0; k < 8 + sizeof meaningful; k++) {
            char broken[sizeof sample];
            memcpy(broken, sample, sizeof sample);
            if (k < 8) {
                broken[at] = (char)((unsigned)broken[at] ^ (1U << k));
            } else {
                broken[at] = meaningful[k - 8];
            }
            outcomes[try_bytes(broken, sizeof sample - 1, &err)]++;
        }
    }
    assert_true(outcomes[true] > 0 && outcomes[false] > outcomes[true]);
}

static void bottomless_nesting_is_an_error_of_the_limit(void **state)
{
    (void)state;

    enum { DEPTH = 10000 };

    static const char *const openers[] = {"[", "{\"a\":", "[[],{\"b\":"};
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++) {
        const size_t length = strlen(openers[i]);
        char *text = malloc(DEPTH * length);
        assert_non_null(text);
        for (size_t k = 0; k < DEPTH; k++) {
            memcpy(text + k * length, openers[i], length);
        }
        vs_err err = {0};
        assert_false(try_bytes(text, DEPTH * length, &err));
        assert_int_equal(err.code, VS_ERR_LIMIT);
        assert_non_null(strstr(err.text, "64"));
        free(text);
    }
}

static void more_than_128_mib_is_an_error_of_the_limit(void **state)
{
    (void)state;
    /* An arena is address space only: the parser must refuse before touching it. */
    vs_arena arena = {0};
    const size_t size_bytes = (size_t)(128 * VS_MIB) + 1;
    assert_true(vs_arena_open(&arena, size_bytes, NULL));
    const void *text = vs_arena_alloc(&arena, size_bytes, 1);
    vs_json doc = {0};
    vs_err err = {0};
    assert_false(vs_json_parse(&doc, text, size_bytes, "huge.json", &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    assert_non_null(strstr(err.text, "128 MiB"));
    vs_arena_close(&arena);
}

static void numbers_beyond_a_double_are_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {"1e400", "[1e400]", "{\"a\":-1e309}",
                                        "1e99999999999999999999", "[0.1e+310]"};
    vs_err err = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(try_bytes(texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.code, VS_ERR_VALUE);
    }
}

static void long_numbers_and_texts_are_bounded(void **state)
{
    (void)state;

    enum { LONG = 1000000 };

    char *text = malloc(LONG);
    assert_non_null(text);
    vs_err err = {0};
    memset(text, '9', LONG);
    assert_false(try_bytes(text, LONG, &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    memset(text, 'x', LONG);
    text[0] = '"';
    assert_false(try_bytes(text, LONG, &err));
    text[LONG - 1] = '"';
    assert_true(try_bytes(text, LONG, &err));
    memset(text, '\\', LONG);
    text[0] = '"';
    text[LONG - 1] = '"';
    assert_true(try_bytes(text, LONG, &err));
    assert_false(try_bytes(text, LONG - 1, &err));
    free(text);
}

/* Many equal keys: found by one sort, not by comparing each with each. */
static void many_equal_keys_are_one_quick_error(void **state)
{
    (void)state;

    enum { KEYS = 200000 };

    static const char member[] = "\"k\":0,";
    const size_t length = sizeof member - 1;
    char *text = malloc(KEYS * length + 1);
    assert_non_null(text);
    text[0] = '{';
    for (size_t i = 0; i < KEYS; i++) {
        memcpy(text + 1 + i * length, member, length);
    }
    text[KEYS * length] = '}';
    vs_err err = {0};
    assert_false(try_bytes(text, KEYS * length + 1, &err));
    assert_int_equal(err.code, VS_ERR_FORMAT);
    assert_string_equal(err.path, "$.k");
    free(text);
}

static void duplicates_below_any_depth_are_found(void **state)
{
    (void)state;
    for (size_t depth = 0; depth + 2 <= 64; depth++) { /* the object and the [] in it */
        char text[256];
        memset(text, '[', depth);
        const int used = snprintf(text + depth, 64, "{\"a\":[],\"b\":{},\"a\":1}");
        assert_true(used > 0);
        memset(text + depth + (size_t)used, ']', depth);
        vs_err err = {0};
        assert_false(try_bytes(text, 2 * depth + (size_t)used, &err));
        assert_non_null(strstr(err.text, "appears twice"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(every_flipped_bit_and_replaced_byte_is_survived),
        cmocka_unit_test(bottomless_nesting_is_an_error_of_the_limit),
        cmocka_unit_test(more_than_128_mib_is_an_error_of_the_limit),
        cmocka_unit_test(numbers_beyond_a_double_are_errors),
        cmocka_unit_test(long_numbers_and_texts_are_bounded),
        cmocka_unit_test(many_equal_keys_are_one_quick_error),
        cmocka_unit_test(duplicates_below_any_depth_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
