/* tests/unit/test_json.c - sim/base/json.c and json_scan.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static vs_json parse(const char *text)
{
    vs_json doc = {0};
    vs_err err = {0};
    if (!vs_json_parse(&doc, text, strlen(text), "in.json", &err)) {
        char line[1024];
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return doc;
}

static void expect_refused(const char *text, vs_errcode code, const char *expected_line)
{
    vs_json doc = {0};
    vs_err err = {0};
    char line[1024];
    if (vs_json_parse(&doc, text, strlen(text), "in.json", &err)) {
        vs_json_close(&doc);
        fail_msg("accepted: %s", text);
    }
    assert_string_equal(vs_err_line(&err, line, sizeof line), expected_line);
    assert_int_equal(err.code, code);
    assert_null(doc.root);
}

static void expect_all_refused(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vs_json doc = {0};
        vs_err err = {0};
        if (vs_json_parse(&doc, texts[i], strlen(texts[i]), NULL, &err)) {
            fail_msg("accepted: %s", texts[i]);
        }
        assert_int_equal(err.code, VS_ERR_FORMAT);
    }
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- parsing ------------------------------------------------------------------------------ */

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    vs_json doc =
        parse("\xef\xbb\xbf {\"n\": -1.5e2, \"s\": \"a\\u00e9\\ud83d\\ude00\\n\", \"t\": true, "
              "\"f\": false, \"z\": null, \"a\": [], \"o\": {}}\r\n");
    const vs_jnode root = vs_json_root(&doc);
    double number = 0;
    vs_str string = {0};
    bool yes = false;
    bool no = true;
    assert_true(vs_json_get_double(&root, "n", true, &number, NULL) && number == -150.0);
    assert_true(vs_json_get_str(&root, "s", true, &string, NULL));
    assert_true(vs_str_is(string, "a\xc3\xa9\xf0\x9f\x98\x80\n"));
    assert_true(vs_json_get_bool(&root, "t", true, &yes, NULL) && yes);
    assert_true(vs_json_get_bool(&root, "f", true, &no, NULL) && !no);
    const vs_jnode array = vs_json_member(&root, "a");
    const vs_jnode object = vs_json_member(&root, "o");
    assert_true(vs_json_is_array(&array) && !vs_json_is_object(&array));
    assert_true(vs_json_is_object(&object) && !vs_json_is_string(&object));
    assert_int_equal(vs_json_count(&root), 7);
    vs_json_close(&doc);
    vs_json_close(&doc);
}

/* Found by fuzzing: cJSON 1.7.15 does not skip the mark of a text of four bytes. */
static void a_byte_order_mark_is_skipped_before_the_shortest_text(void **state)
{
    (void)state;
    vs_json doc = parse("\xef\xbb\xbf"
                        "2");
    const vs_jnode root = vs_json_root(&doc);
    uint64_t value = 0;
    assert_true(vs_json_as_u64(&root, &value, NULL) && value == 2);
    vs_json_close(&doc);
}

static void bytes_that_are_no_utf8_are_kept(void **state)
{
    (void)state;
    vs_json doc = parse("\"\xff\xfe\"");
    const vs_jnode root = vs_json_root(&doc);
    vs_str string = {0};
    assert_true(vs_json_as_str(&root, &string, NULL) && vs_str_is(string, "\xff\xfe"));
    vs_json_close(&doc);
}

static void mistakes_carry_line_and_path(void **state)
{
    (void)state;
    expect_refused("", VS_ERR_FORMAT,
                   "in.json:1: $: expected a value, found the end of the text (byte 0)");
    expect_refused("{\"a\": {\n\"b\": [1,\n 2,, 3]}}", VS_ERR_FORMAT,
                   "in.json:3: $.a.b[2]: expected a value, found ',' (byte 20)");
    expect_refused("{\"a.b\": x}", VS_ERR_FORMAT,
                   "in.json:1: $[\"a.b\"]: expected a value, found 'x' (byte 8)");
    expect_refused("{\"a\": 1} {", VS_ERR_FORMAT,
                   "in.json:1: $: expected nothing after the value, found '{' (byte 9)");
    expect_refused("{\"a\": 1,}", VS_ERR_FORMAT,
                   "in.json:1: $: expected a name in double quotes, found '}' (byte 8)");
    expect_refused("{a: 1}", VS_ERR_FORMAT,
                   "in.json:1: $: expected a name in double quotes or }, found 'a' (byte 1)");
    expect_refused("{\"a\" 1}", VS_ERR_FORMAT,
                   "in.json:1: $.a: expected a colon after the name, found '1' (byte 5)");
    expect_refused("[1 2]", VS_ERR_FORMAT,
                   "in.json:1: $[0]: expected a comma or ], found '2' (byte 3)");
    expect_refused("[\n\"abc]", VS_ERR_FORMAT,
                   "in.json:2: $[0]: a text starts here and has no closing quote (byte 2)");
    expect_refused("[1] \x01", VS_ERR_FORMAT,
                   "in.json:1: $: expected nothing after the value, found byte 0x01 (byte 4)");
}

static void sloppy_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "01",  "-01", "+1",  ".5",  "1.",       "1.e5",      "1e",    "1e+",   "-",
        "--1", "0x1", "NaN", "nan", "Infinity", "-Infinity", "1.2.3", "1e5.2", "00"};
    expect_all_refused(texts, COUNT_OF(texts));
    expect_refused("1e400", VS_ERR_VALUE,
                   "in.json:1: $: the number 1e400 is too large for a double (byte 0)");
    expect_refused("[-1E+999]", VS_ERR_VALUE,
                   "in.json:1: $[0]: the number -1E+999 is too large for a double (byte 1)");
    expect_refused("1000000000000000000000000000000000000000000000000000000000000000",
                   VS_ERR_LIMIT,
                   "in.json:1: $: a number of 64 characters, the limit is 63 (byte 0)");
}

static void careful_numbers_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",     "-0",
        "0.0",   "-0.5e-10",
        "1E5",   "1e-400",
        "1e308", "100000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        vs_json doc = parse(texts[i]);
        const vs_jnode root = vs_json_root(&doc);
        double value = 0;
        assert_true(vs_json_as_double(&root, &value, NULL));
        assert_true(value == strtod(texts[i], NULL));
        vs_json_close(&doc);
    }
}

static void broken_texts_and_words_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"a\nb\"",
                                        "\"\x1f\"",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\\u12g4\"",
                                        "\"\\u0000\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\"",
                                        "\"\\ud800\\u0041\"",
                                        "\"\\ud800\\n\"",
                                        "\"\\\"",
                                        "tru",
                                        "truee",
                                        "nul",
                                        "False",
                                        "'a'",
                                        "[1,]",
                                        "[,1]",
                                        "[",
                                        "{",
                                        "]",
                                        "{\"a\":}",
                                        "{\"a\":1 \"b\":2}",
                                        "/* c */ 1",
                                        "1 // c",
                                        "\xef\xbb",
                                        "[1}",
                                        "{\"a\":1]"};
    expect_all_refused(texts, COUNT_OF(texts));
}

static void zero_bytes_are_refused_everywhere(void **state)
{
    (void)state;
    static const char text[] = "[1, \"a\"] ";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char broken[sizeof text];
        memcpy(broken, text, sizeof text);
        broken[i] = '\0';
        vs_json doc = {0};
        vs_err err = {0};
        assert_false(vs_json_parse(&doc, broken, sizeof text - 1, NULL, &err));
        assert_int_equal(err.code, VS_ERR_FORMAT);
    }
}

static void nesting_stops_at_64(void **state)
{
    (void)state;
    char text[200] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    vs_json doc = parse(text);
    vs_json_close(&doc);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    vs_err err = {0};
    assert_false(vs_json_parse(&doc, text, 130, "in.json", &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    assert_string_equal(err.text, "nested deeper than 64 levels, the limit (byte 64)");
    assert_true(strlen(err.path) >= VS_ERR_PATH_BYTES - 4);
    assert_memory_equal(err.path, "...", 3);
}

static void a_key_that_appears_twice_is_refused_with_its_place(void **state)
{
    (void)state;
    expect_refused(
        "{\"a\": 1,\n\"b\": 2,\n\"a\": 3}", VS_ERR_FORMAT,
        "in.json:3: $.a: the key \"a\" appears twice in one object: remove one of the two");
    expect_refused(
        "[{\"x\": {\"k\": 1}},\n{\"x\": [0, {\"k\": 1,\n\n\"\\u006b\": 1}]}]", VS_ERR_FORMAT,
        "in.json:4: $[1].x[1].k: the key \"k\" appears twice in one object: remove one "
        "of the two");
    expect_refused(
        "{\"\":1,\"\":2}", VS_ERR_FORMAT,
        "in.json:1: $[\"\"]: the key \"\" appears twice in one object: remove one of the "
        "two");
    vs_json doc = parse("[{\"a\": {\"a\": 1}}, {\"a\": 1, \"A\": 2}]"); /* all different keys */
    vs_json_close(&doc);
}

static void a_hundred_thousand_keys_are_checked_quickly(void **state)
{
    (void)state;

    enum { KEYS = 100000, ROOM = 40 };

    char *text = malloc((size_t)KEYS * ROOM);
    assert_non_null(text);
    size_t used = 0;
    text[used++] = '{';
    for (int i = 0; i < KEYS; i++) {
        used += (size_t)snprintf(text + used, ROOM, "\"layers.%d.weight\":%d,", i, i);
    }
    text[used - 1] = '}';
    vs_json doc = {0};
    assert_true(vs_json_parse(&doc, text, used, NULL, NULL));
    const vs_jnode root = vs_json_root(&doc);
    uint64_t expected = 0;
    for (vs_jnode i = vs_json_first(&root); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t value = 0;
        assert_true(vs_json_as_u64(&i, &value, NULL) && value == expected);
        expected++;
    }
    assert_int_equal(expected, KEYS);
    vs_json_close(&doc);
    used -= 1;
    used += (size_t)snprintf(text + used, ROOM, ",\"layers.70000.weight\":0}");
    vs_err err = {0};
    assert_false(vs_json_parse(&doc, text, used, NULL, &err));
    assert_string_equal(err.path, "$[\"layers.70000.weight\"]");
    free(text);
}

static void a_file_is_read_whole_and_named_in_errors(void **state)
{
    (void)state;
    char path[] = "/tmp/vs-test-json-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\": 7}", 8), 8);
    vs_json doc = {0};
    assert_true(vs_json_read(&doc, path, NULL));
    const vs_jnode root = vs_json_root(&doc);
    vs_err err = {0};
    bool flag = false;
    assert_false(vs_json_get_bool(&root, "a", true, &flag, &err));
    assert_string_equal(err.input, path);
    vs_json_close(&doc);
    assert_int_equal(ftruncate(fd, 4), 0);
    err = (vs_err){0};
    assert_false(vs_json_read(&doc, path, &err));
    assert_string_equal(err.input, path);
    assert_int_equal(err.line, 1);
    (void)close(fd);
    (void)unlink(path);
    err = (vs_err){0};
    assert_false(vs_json_read(&doc, path, &err));
    assert_int_equal(err.code, VS_ERR_IO);
}

static void an_older_error_keeps_its_place(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_IO, "older");
    vs_json doc = {0};
    assert_false(vs_json_parse(&doc, "[", 1, "in.json", &err));
    vs_json good = parse("{\"a\": 1}");
    const vs_jnode root = vs_json_root(&good);
    assert_false(vs_json_fail(&root, &err, "newer"));
    vs_json_close(&good);
    char line[64];
    assert_string_equal(vs_err_line(&err, line, sizeof line), "older");
}

/* ---- walking ---------------------------------------------------------------------------------- */

static void iteration_knows_keys_and_paths(void **state)
{
    (void)state;
    vs_json doc = parse("{\"a\": [10, {\"b c\": 1, \"d\": 2}], \"e\": {}, \"f\": 3}");
    const vs_jnode root = vs_json_root(&doc);
    assert_string_equal(root.path, "$");
    assert_string_equal(vs_json_key(&root), "");
    vs_jnode i = vs_json_first(&root);
    assert_string_equal(i.path, "$.a");
    assert_string_equal(vs_json_key(&i), "a");
    vs_jnode item = vs_json_first(&i);
    assert_string_equal(item.path, "$.a[0]");
    item = vs_json_next(&item);
    assert_string_equal(item.path, "$.a[1]");
    assert_string_equal(vs_json_key(&item), "");
    vs_jnode inner = vs_json_first(&item);
    assert_string_equal(inner.path, "$.a[1][\"b c\"]");
    inner = vs_json_next(&inner);
    assert_string_equal(inner.path, "$.a[1].d");
    inner = vs_json_next(&inner);
    assert_null(inner.node);
    i = vs_json_next(&i);
    const vs_jnode nothing = vs_json_first(&i);
    assert_null(nothing.node);
    i = vs_json_next(&i);
    assert_string_equal(i.path, "$.f");
    const vs_jnode below_number = vs_json_first(&i);
    assert_null(below_number.node);
    assert_int_equal(vs_json_count(&i), 0);
    vs_json_close(&doc);
}

static void members_are_found_case_sensitively(void **state)
{
    (void)state;
    vs_json doc = parse("{\"Key\": 1}");
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode other = vs_json_member(&root, "key");
    assert_null(other.node);
    assert_string_equal(other.path, "$.key");
    const vs_jnode below_nothing = vs_json_member(&other, "x");
    assert_null(below_nothing.node);
    assert_string_equal(below_nothing.path, "$.key.x");
    vs_json_close(&doc);
}

static void long_paths_are_cut_visibly_and_siblings_keep_their_own(void **state)
{
    (void)state;
    char text[2000];
    char key[301];
    memset(key, 'k', 300);
    key[300] = '\0';
    (void)snprintf(text, sizeof text, "{\"%s\": {\"%s\": [1, 2]}}", key, key);
    vs_json doc = parse(text);
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode outer = vs_json_first(&root);
    assert_int_equal(strlen(outer.path), 1 + 80);
    assert_non_null(strstr(outer.path, "kkk...kkk"));
    const vs_jnode inner = vs_json_first(&outer);
    assert_int_equal(strlen(inner.path), VS_ERR_PATH_BYTES - 1);
    assert_memory_equal(inner.path, "...", 3);
    const vs_jnode first = vs_json_first(&inner);
    const vs_jnode second = vs_json_next(&first);
    assert_string_equal(first.path + VS_ERR_PATH_BYTES - 1 - 4, "k[0]");
    assert_string_equal(second.path + VS_ERR_PATH_BYTES - 1 - 4, "k[1]");
    assert_memory_equal(first.path, second.path, VS_ERR_PATH_BYTES - 4);
    vs_json_close(&doc);
}

/* ---- values ------------------------------------------------------------------------------------- */

static void whole_numbers_reach_2_to_the_53(void **state)
{
    (void)state;
    vs_json doc = parse("[0, 9007199254740992, 1e3, 5.0, -0]");
    static const uint64_t expected[] = {0, UINT64_C(1) << 53, 1000, 5, 0};
    const vs_jnode root = vs_json_root(&doc);
    for (vs_jnode i = vs_json_first(&root); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t value = 77;
        assert_true(vs_json_as_u64(&i, &value, NULL));
        assert_true(value == expected[i.index]);
    }
    vs_json_close(&doc);
}

static void what_is_no_whole_number_is_refused_with_what_was_found(void **state)
{
    (void)state;
    vs_json doc = parse(
        "[-1, 0.5, 1152921504606846976, 9007199254740994, \"7\", true, [], {}, null, -0.5]");
    static const char *const found[] = {"found -1",
                                        "found 0.5",
                                        "found 1.152921504606847e+18",
                                        "found 9007199254740994",
                                        "found the text \"7\"",
                                        "found true",
                                        "found an array",
                                        "found an object",
                                        "found null",
                                        "found -0.5"};
    const vs_jnode root = vs_json_root(&doc);
    for (vs_jnode i = vs_json_first(&root); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t value = 77;
        vs_err err = {0};
        assert_false(vs_json_as_u64(&i, &value, &err));
        assert_int_equal(value, 77);
        assert_non_null(strstr(err.text, "expected a whole number"));
        assert_non_null(strstr(err.text, found[i.index]));
        assert_string_equal(err.path, i.path);
        assert_string_equal(err.input, "in.json");
    }
    vs_json_close(&doc);
}

static void absent_and_null_members_leave_the_output_alone(void **state)
{
    (void)state;
    vs_json doc = parse("{\"z\": null}");
    const vs_jnode root = vs_json_root(&doc);
    static const char *const keys[] = {"z", "absent"};
    for (size_t i = 0; i < 2; i++) {
        uint64_t whole = 77;
        vs_str string = vs_str_of("default");
        bool flag = true;
        double number = 0.5;
        assert_true(vs_json_get_u64(&root, keys[i], false, &whole, NULL));
        assert_true(vs_json_get_str(&root, keys[i], false, &string, NULL));
        assert_true(vs_json_get_bool(&root, keys[i], false, &flag, NULL));
        assert_true(vs_json_get_double(&root, keys[i], false, &number, NULL));
        assert_true(whole == 77 && flag && number == 0.5 && vs_str_is(string, "default"));
        assert_false(vs_json_get_u64(&root, keys[i], true, &whole, NULL));
        assert_false(vs_json_get_str(&root, keys[i], true, &string, NULL));
        assert_false(vs_json_get_bool(&root, keys[i], true, &flag, NULL));
        assert_false(vs_json_get_double(&root, keys[i], true, &number, NULL));
    }
    vs_json_close(&doc);
}

static void errors_of_getters_read_well(void **state)
{
    (void)state;
    vs_json doc = parse("{\"rope\": {\"factor\": \"four\"}, \"n\": 3}");
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode rope = vs_json_member(&root, "rope");
    const vs_jnode n = vs_json_member(&root, "n");
    double number = 0;
    vs_str string = {0};
    char line[512];
    vs_err err = {0};
    assert_false(vs_json_get_double(&rope, "factor", false, &number, &err));
    assert_string_equal(vs_err_line(&err, line, sizeof line),
                        "in.json: $.rope.factor: expected a number, found the text \"four\"");
    err = (vs_err){0};
    assert_false(vs_json_get_str(&rope, "type", true, &string, &err));
    assert_string_equal(vs_err_line(&err, line, sizeof line),
                        "in.json: $.rope.type: the key is missing; expected a text");
    err = (vs_err){0};
    assert_false(vs_json_get_str(&n, "type", false, &string, &err));
    assert_string_equal(vs_err_line(&err, line, sizeof line),
                        "in.json: $.n: expected an object, found 3");
    vs_json_close(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(a_byte_order_mark_is_skipped_before_the_shortest_text),
        cmocka_unit_test(bytes_that_are_no_utf8_are_kept),
        cmocka_unit_test(mistakes_carry_line_and_path),
        cmocka_unit_test(sloppy_numbers_are_refused),
        cmocka_unit_test(careful_numbers_are_read),
        cmocka_unit_test(broken_texts_and_words_are_refused),
        cmocka_unit_test(zero_bytes_are_refused_everywhere),
        cmocka_unit_test(nesting_stops_at_64),
        cmocka_unit_test(a_key_that_appears_twice_is_refused_with_its_place),
        cmocka_unit_test(a_hundred_thousand_keys_are_checked_quickly),
        cmocka_unit_test(a_file_is_read_whole_and_named_in_errors),
        cmocka_unit_test(an_older_error_keeps_its_place),
        cmocka_unit_test(iteration_knows_keys_and_paths),
        cmocka_unit_test(members_are_found_case_sensitively),
        cmocka_unit_test(long_paths_are_cut_visibly_and_siblings_keep_their_own),
        cmocka_unit_test(whole_numbers_reach_2_to_the_53),
        cmocka_unit_test(what_is_no_whole_number_is_refused_with_what_was_found),
        cmocka_unit_test(absent_and_null_members_leave_the_output_alone),
        cmocka_unit_test(errors_of_getters_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
