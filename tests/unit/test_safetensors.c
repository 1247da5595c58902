/* tests/unit/test_safetensors.c - headers of safetensors files, given as bytes. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    vs_arena arena;
    vs_st_header header;
    vs_err err;
    char line[1024];
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 64 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

/* Parses a header text as if data_bytes followed it; the bytes lie in a block of their exact size. */
static bool parse(bench *b, const char *json, uint64_t data_bytes)
{
    const size_t json_bytes = strlen(json);
    uint8_t *const head = malloc(8 + json_bytes);
    assert_non_null(head);
    for (unsigned i = 0; i < 8; i++) {
        head[i] = (uint8_t)(json_bytes >> (8 * i) & 0xff);
    }
    for (size_t i = 0; i < json_bytes; i++) {
        head[8 + i] = (uint8_t)json[i];
    }
    b->err = (vs_err){0};
    vs_arena_reset(&b->arena);
    const bool is_read =
        vs_safetensors_parse(&b->header, &b->arena, head, 8 + json_bytes,
                             8 + json_bytes + data_bytes, "x.safetensors", &b->err);
    free(head);
    return is_read;
}

static void accept(bench *b, const char *json, uint64_t data_bytes)
{
    if (!parse(b, json, data_bytes)) {
        fail_msg("%s", vs_err_line(&b->err, b->line, sizeof b->line));
    }
}

static void refuse(bench *b, const char *json, uint64_t data_bytes, const char *what)
{
    assert_false(parse(b, json, data_bytes));
    (void)vs_err_line(&b->err, b->line, sizeof b->line);
    if (strstr(b->line, what) == NULL || strncmp(b->line, "x.safetensors", 13) != 0) {
        fail_msg("\"%s\" does not name \"%s\"", b->line, what);
    }
}

#define ENTRY(name, dtype, shape, begin, end)                                                  \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin       \
    "," end "]}"
#define A8 ENTRY("a", "F32", "[2]", "0", "8")

static void tensors_come_in_file_order_with_absolute_offsets(void **state)
{
    bench *b = *state;
    accept(b,
           "{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("late", "BF16", "[2,3]", "8",
                                                          "20") "," A8 "}  ",
           20);
    assert_int_equal(b->header.tensor_count, 2);
    assert_string_equal(b->header.tensors[0].name, "a");
    assert_string_equal(b->header.tensors[1].name, "late");
    assert_int_equal(b->header.tensors[1].dtype, VS_DT_BF16);
    assert_int_equal(b->header.tensors[1].dim_count, 2);
    assert_int_equal(b->header.tensors[1].shape[1], 3);
    assert_int_equal(b->header.tensors[1].elements, 6);
    assert_int_equal(b->header.tensors[1].size_bytes, 12);
    assert_int_equal(b->header.tensors[1].target, VS_NO_TARGET);
    assert_int_equal(b->header.tensors[1].file_offset, b->header.data_start + 8);
    assert_int_equal(b->header.data_bytes, 20);
}

static void an_empty_header_and_a_scalar_are_fine(void **state)
{
    bench *b = *state;
    accept(b, "{}", 0);
    assert_int_equal(b->header.tensor_count, 0);
    accept(b, "{" ENTRY("s", "I64", "[]", "0", "8") "}", 8);
    assert_int_equal(b->header.tensors[0].elements, 1);
    accept(b, "{" ENTRY("none", "F32", "[0,5]", "0", "0") "," A8 "}", 8);
    assert_int_equal(b->header.tensors[0].elements, 0);
}

static void escapes_in_names_are_decoded(void **state)
{
    bench *b = *state;
    accept(b,
           "{\"\\u0061\\n\\ud83d\\ude00\\/"
           "\":{\"shape\":[2],\"data_offsets\":[0,8],\"dtype\":\"F32\"}}",
           8);
    assert_string_equal(b->header.tensors[0].name, "a\n\xf0\x9f\x98\x80/");
}

static void other_members_of_an_entry_are_skipped(void **state)
{
    bench *b = *state;
    accept(b,
           "{\"a\":{\"x\":{\"y\":[1,{},[],-2.5e3,\"\\\"\"]},\"dtype\":\"F32\",\"shape\":[2],"
           "\"data_offsets\":[0,8]}}",
           8);
}

static void four_bit_types_count_half_bytes(void **state)
{
    bench *b = *state;
    accept(b, "{" ENTRY("a", "F4", "[3,2]", "0", "3") "}", 3);
    refuse(b, "{" ENTRY("a", "F4", "[3]", "0", "2") "}", 2, "whole bytes");
}

static void an_unknown_type_is_named_with_the_known_ones(void **state)
{
    bench *b = *state;
    refuse(b, "{" ENTRY("a", "F99", "[2]", "0", "8") "}", 8, "\"F99\"");
    refuse(b, "{" ENTRY("a", "F99", "[2]", "0", "8") "}", 8, "F64, F32, F16, BF16");
    refuse(b, "{" ENTRY("a", "F99", "[2]", "0", "8") "}", 8, "BOOL");
}

static void sizes_that_do_not_match_are_refused(void **state)
{
    bench *b = *state;
    refuse(b, "{" ENTRY("a", "F32", "[3]", "0", "8") "}", 8,
           "need 12 bytes, data_offsets hold 8");
    refuse(b, "{" ENTRY("a", "F32", "[2]", "8", "0") "}", 8, "end 0 is before start 8");
    refuse(b, "{" ENTRY("a", "F32", "[1152921504606846976,1152921504606846976]", "0", "8") "}",
           8, "overflows");
    refuse(b, "{" ENTRY("a", "F32", "[4611686018427387904]", "0", "8") "}", 8, "\"a\"");
    refuse(b, "{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, "8 dimensions");
}

static void numbers_are_whole_and_not_negative(void **state)
{
    bench *b = *state;
    static const char *const numbers[] = {
        "-2", "2.0", "2e0", "02", "+2", "NaN", "\"2\"", "null", "18446744073709551616"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char json[256];
        (void)snprintf(json, sizeof json,
                       "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,8]}}",
                       numbers[i]);
        refuse(b, json, 8, "a dimension");
    }
}

static void holes_and_overlaps_are_named_with_both_tensors(void **state)
{
    bench *b = *state;
    refuse(b, "{" A8 "," ENTRY("z", "F32", "[2]", "4", "12") "}", 12,
           "\"z\" starts at data byte 4, but \"a\" ends at 8");
    refuse(b, "{" A8 "," ENTRY("z", "F32", "[2]", "12", "20") "}", 20, "leaving a hole");
    refuse(b, "{" ENTRY("z", "F32", "[2]", "4", "12") "}", 12, "start of the data");
    refuse(b, "{" A8 "," ENTRY("z", "F32", "[2]", "0", "8") "}", 8, "\"z\"");
}

static void the_file_must_be_as_long_as_the_header_says(void **state)
{
    bench *b = *state;
    refuse(b, "{" A8 "}", 7, "is the download complete?");
    refuse(b, "{" A8 "}", 9, "the file has");
    refuse(b, "{}", 1, "the file has");
}

static void what_lies_there_instead_is_named(void **state)
{
    bench *b = *state;

    static const struct {
        const char *start;
        const char *says;
    } cases[] = {
        {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
        {"<!DOCTYPE html>", "a web page in place of the file"},
        {"<html><body>", "a web page in place of the file"},
        {"GGUF\003...", "rename it to .gguf"},
        {"PK\003\004\001\001\010\010", "rename it to .bin"},
        {"anything", "not a safetensors file?"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const text = cases[i].start;
        b->err = (vs_err){0};
        assert_false(vs_safetensors_parse(&b->header, &b->arena, text, 8, strlen(text),
                                          "x.safetensors", &b->err));
        assert_non_null(strstr(vs_err_line(&b->err, b->line, sizeof b->line), cases[i].says));
    }
}

static void names_listed_twice_are_refused_at_the_second(void **state)
{
    bench *b = *state;
    const char *const json = "{" A8 "," ENTRY("\\u0061", "F32", "[2]", "8", "16") "}";
    refuse(b, json, 16, "\"a\" is listed twice");
    assert_true(b->err.has_offset);
    assert_int_equal(b->err.offset, 8 + (uint64_t)(strstr(json, "\"\\u0061\"") - json));
    refuse(b,
           "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
           8, "\"dtype\" stands twice");
    refuse(b, "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "stands twice");
}

static void incomplete_entries_name_what_they_lack(void **state)
{
    bench *b = *state;
    refuse(b, "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\"");
    refuse(b, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "\"shape\"");
    refuse(b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "\"data_offsets\"");
    refuse(b, "{\"a\":{}}", 8, "lacks");
    refuse(b, "{\"a\":[]}", 8, "a tensor entry");
    refuse(b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8,
           "two numbers");
    refuse(b, "{\"__metadata__\":{\"n\":1}}", 0, "strings only");
}

static void text_that_is_not_json_is_refused_with_its_byte(void **state)
{
    bench *b = *state;
    refuse(b, "", 0, "expected '{'");
    refuse(b, "[]", 0, "expected '{'");
    refuse(b, "{} x", 0, "nothing after");
    refuse(b, "{\"a", 0, "does not end");
    refuse(b, "{\"a\xff\":1}", 0, "not UTF-8");
    refuse(b, "{\"a\x01\":1}", 0, "control byte");
    refuse(b, "{\"\\u0000\":1}", 0, "NUL");
    refuse(b, "{\"\\ud800\":1}", 0, "surrogate");
    refuse(b, "{\"\\q\":1}", 0, "escape");
    assert_int_equal(b->err.offset, 10);
}

static void bottomless_nesting_ends_at_a_named_depth(void **state)
{
    bench *b = *state;
    char *const json = malloc(20100);
    assert_non_null(json);
    memcpy(json, "{\"a\":{\"x\":", 10);
    memset(json + 10, '[', 10000);
    json[10010] = '\0';
    refuse(b, json, 0, "deeper than 64");
    free(json);
}

static void the_length_field_is_checked_before_anything_else(void **state)
{
    bench *b = *state;

    static const struct {
        uint64_t length;
        uint64_t file_bytes;
        const char *what;
    } cases[] = {
        {UINT64_C(1) << 30, UINT64_C(1) << 40, "100000000"},
        {UINT64_MAX, 16, "100000000"},
        {100, 50, "beyond the file"},
        {0, 8, "expected '{'"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t head[8];
        for (unsigned k = 0; k < 8; k++) {
            head[k] = (uint8_t)(cases[i].length >> (8 * k) & 0xff);
        }
        b->err = (vs_err){0};
        assert_false(vs_safetensors_parse(&b->header, &b->arena, head, 8, cases[i].file_bytes,
                                          "x", &b->err));
        assert_non_null(strstr(b->err.text, cases[i].what));
    }
    b->err = (vs_err){0};
    assert_false(vs_safetensors_parse(&b->header, &b->arena, "1234567", 7, 7, "x", &b->err));
    assert_non_null(strstr(b->err.text, "8-byte"));
}

static void output_is_untouched_and_the_first_error_stays(void **state)
{
    bench *b = *state;
    b->header.tensor_count = 77;
    refuse(b, "{", 0, "expected");
    assert_int_equal(b->header.tensor_count, 77);
    vs_err err = {.code = VS_ERR_USAGE, .text = "older"};
    assert_false(vs_safetensors_parse(&b->header, &b->arena, "", 0, 0, "x", &err));
    assert_string_equal(err.text, "older");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tensors_come_in_file_order_with_absolute_offsets),
        T(an_empty_header_and_a_scalar_are_fine),
        T(escapes_in_names_are_decoded),
        T(other_members_of_an_entry_are_skipped),
        T(four_bit_types_count_half_bytes),
        T(an_unknown_type_is_named_with_the_known_ones),
        T(sizes_that_do_not_match_are_refused),
        T(numbers_are_whole_and_not_negative),
        T(holes_and_overlaps_are_named_with_both_tensors),
        T(the_file_must_be_as_long_as_the_header_says),
        T(what_lies_there_instead_is_named),
        T(names_listed_twice_are_refused_at_the_second),
        T(incomplete_entries_name_what_they_lack),
        T(text_that_is_not_json_is_refused_with_its_byte),
        T(bottomless_nesting_ends_at_a_named_depth),
        T(the_length_field_is_checked_before_anything_else),
        T(output_is_untouched_and_the_first_error_stays),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
