/* tests/unit/test_json_write.c - sim/base/json_write.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char path[64];
    vs_outfile *out;
    vs_jwriter w;
} sheet;

static sheet open_sheet(bool is_compact)
{
    sheet s = {.path = "/tmp/vs-test-jw-XXXXXX"};
    const int fd = mkstemp(s.path);
    assert_true(fd >= 0);
    (void)close(fd);
    s.out = vs_outfile_open(s.path, NULL);
    assert_non_null(s.out);
    s.w = vs_jwriter_of(s.out, is_compact);
    return s;
}

/* Commits and compares; what we write we must also be able to read. */
static void expect_sheet(sheet *s, const char *expected)
{
    assert_true(vs_outfile_commit(s->out, NULL));
    vs_file file = {0};
    assert_true(vs_file_open(&file, s->path, NULL));
    assert_int_equal(file.size_bytes, strlen(expected));
    assert_memory_equal(file.bytes, expected, strlen(expected));
    vs_file_close(&file);
    vs_json doc = {0};
    vs_err err = {0};
    assert_true(vs_json_read(&doc, s->path, &err));
    vs_json_close(&doc);
    (void)unlink(s->path);
}

static void write_sample(vs_jwriter *w)
{
    vs_jw_object(w, NULL);
    vs_jw_u64(w, "whole", UINT64_MAX);
    vs_jw_i64(w, "less", INT64_MIN);
    vs_jw_array(w, "list");
    vs_jw_bool(w, NULL, true);
    vs_jw_null(w, NULL);
    vs_jw_object(w, NULL);
    vs_jw_end(w);
    vs_jw_end(w);
    vs_jw_array(w, "empty");
    vs_jw_end(w);
    vs_jw_str(w, "text", "x");
    vs_jw_str(w, "nothing", NULL);
    vs_jw_end(w);
}

static void two_spaces_a_level(void **state)
{
    (void)state;
    sheet s = open_sheet(false);
    write_sample(&s.w);
    expect_sheet(&s, "{\n"
                     "  \"whole\": 18446744073709551615,\n"
                     "  \"less\": -9223372036854775808,\n"
                     "  \"list\": [\n"
                     "    true,\n"
                     "    null,\n"
                     "    {}\n"
                     "  ],\n"
                     "  \"empty\": [],\n"
                     "  \"text\": \"x\",\n"
                     "  \"nothing\": null\n"
                     "}\n");
}

static void compact_is_one_line(void **state)
{
    (void)state;
    sheet s = open_sheet(true);
    write_sample(&s.w);
    expect_sheet(&s, "{\"whole\": 18446744073709551615, \"less\": -9223372036854775808, "
                     "\"list\": [true, null, {}], \"empty\": [], "
                     "\"text\": \"x\", \"nothing\": null}\n");
}

static void a_bare_value_is_a_document(void **state)
{
    (void)state;
    sheet s = open_sheet(false);
    vs_jw_str(&s.w, NULL, "alone");
    expect_sheet(&s, "\"alone\"\n");
}

static void text_is_escaped_and_made_valid(void **state)
{
    (void)state;
    sheet s = open_sheet(true);
    vs_jw_object(&s.w, NULL);
    vs_jw_str(&s.w, "a\"b", "q\" b\\ n\n r\r t\t \x01\x1f\x7f / \xc3\xa9 \xff \xc3");
    vs_jw_end(&s.w);
    expect_sheet(&s,
                 "{\"a\\\"b\": \"q\\\" b\\\\ n\\n r\\r t\\t \\u0001\\u001f\\u007f / \xc3\xa9 "
                 "\xef\xbf\xbd \xef\xbf\xbd\"}\n");
}

static void the_deepest_level_is_32(void **state)
{
    (void)state;
    sheet s = open_sheet(true);
    for (int i = 0; i < 32; i++) {
        vs_jw_array(&s.w, NULL);
    }
    for (int i = 0; i < 32; i++) {
        vs_jw_end(&s.w);
    }
    expect_sheet(&s, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n");
}

static void doubles_are_the_shortest_that_read_back(void **state)
{
    (void)state;

    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0\n"},
                 {-0.0, "-0\n"},
                 {0.1, "0.1\n"},
                 {3.0, "3\n"},
                 {-2.5, "-2.5\n"},
                 {1.0 / 3.0, "0.3333333333333333\n"},
                 {0.1 + 0.2, "0.30000000000000004\n"},
                 {1e22, "1e+22\n"},
                 {DBL_MAX, "1.7976931348623157e+308\n"},
                 {DBL_MIN, "2.2250738585072014e-308\n"},
                 {5e-324, "5e-324\n"},
                 {9007199254740993.0, "9007199254740992\n"},
                 {(double)INFINITY, "null\n"},
                 {(double)-INFINITY, "null\n"},
                 {(double)NAN, "null\n"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sheet s = open_sheet(false);
        vs_jw_double(&s.w, NULL, cases[i].value);
        expect_sheet(&s, cases[i].text);
    }
}

static void any_double_survives_the_way_out_and_in(void **state)
{
    (void)state;

    enum { COUNT = 5000 };

    vs_rng rng;
    vs_rng_seed(&rng, 5);
    double values[COUNT];
    sheet s = open_sheet(true);
    vs_jw_array(&s.w, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        do {
            const uint64_t bits = vs_rng_next(&rng);
            memcpy(&values[i], &bits, sizeof bits);
        } while (!isfinite(values[i]));
        vs_jw_double(&s.w, NULL, values[i]);
    }
    vs_jw_end(&s.w);
    assert_true(vs_outfile_commit(s.out, NULL));
    vs_json doc = {0};
    assert_true(vs_json_read(&doc, s.path, NULL));
    const vs_jnode root = vs_json_root(&doc);
    for (vs_jnode i = vs_json_first(&root); i.node != NULL; i = vs_json_next(&i)) {
        double back = 0;
        assert_true(vs_json_as_double(&i, &back, NULL) && back == values[i.index]);
    }
    assert_int_equal(vs_json_count(&root), COUNT);
    vs_json_close(&doc);
    (void)unlink(s.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_spaces_a_level),
        cmocka_unit_test(compact_is_one_line),
        cmocka_unit_test(a_bare_value_is_a_document),
        cmocka_unit_test(text_is_escaped_and_made_valid),
        cmocka_unit_test(the_deepest_level_is_32),
        cmocka_unit_test(doubles_are_the_shortest_that_read_back),
        cmocka_unit_test(any_double_survives_the_way_out_and_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
