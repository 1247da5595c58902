/* tests/unit/test_err.c - sim/base/err.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_line(const vs_err *err, const char *expected)
{
    char line[1024];
    assert_string_equal(vs_err_line(err, line, sizeof line), expected);
}

static void failing_always_returns_false(void **state)
{
    (void)state;
    vs_err err = {0};
    assert_false(vs_fail(&err, VS_ERR_VALUE, "value %d", 7));
    assert_false(vs_fail(NULL, VS_ERR_VALUE, "nobody listens"));
    assert_int_equal(err.code, VS_ERR_VALUE);
    assert_string_equal(err.text, "value 7");
}

static void the_first_error_wins(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_FORMAT, "first");
    (void)vs_fail(&err, VS_ERR_IO, "second");
    assert_int_equal(err.code, VS_ERR_FORMAT);
    assert_string_equal(err.text, "first");
}

static void the_first_place_wins(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_FORMAT, "broken");
    vs_err_at_input(&err, "a.json");
    vs_err_at_input(&err, "b.json");
    vs_err_at_line(&err, 3);
    vs_err_at_line(&err, 4);
    vs_err_at_path(&err, "$.a");
    vs_err_at_path(&err, "$.b");
    vs_err_at_offset(&err, 0);
    vs_err_at_offset(&err, 9);
    assert_int_equal(err.offset, 0);
    expect_line(&err, "a.json:3: $.a: broken");
}

static void a_place_without_an_error_is_ignored(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_err_at_input(&err, "a.json");
    vs_err_at_line(&err, 3);
    vs_err_at_path(&err, "$.a");
    vs_err_at_offset(&err, 5);
    vs_err_at_input(NULL, "a.json");
    const vs_err untouched = {0};
    assert_memory_equal(&err, &untouched, sizeof err);
    expect_line(&err, "no error");
}

static void a_line_shows_every_kind_of_place(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_FORMAT, "broken");
    expect_line(&err, "broken");
    vs_err at_offset = err;
    vs_err_at_offset(&at_offset, 0x1f40);
    expect_line(&at_offset, "offset 0x1f40: broken");
    vs_err_at_input(&at_offset, "m.safetensors");
    expect_line(&at_offset, "m.safetensors+0x1f40: broken");
    vs_err at_line = err;
    vs_err_at_line(&at_line, 12);
    expect_line(&at_line, "line 12: broken");
    vs_err_at_input(&at_line, "x.json");
    expect_line(&at_line, "x.json:12: broken");
    vs_err at_path = err;
    vs_err_at_path(&at_path, "$.a.b");
    expect_line(&at_path, "$.a.b: broken");
    vs_err_at_input(&at_path, "x.json");
    expect_line(&at_path, "x.json: $.a.b: broken");
}

static void hostile_bytes_are_escaped_and_text_is_not(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_VALUE, "%s",
                  "a\nb\t\x1b[31m\x7f \xff \xc3\xa9 \xc2\x9b \xe2\x80\xae \xed\xa0\x80");
    vs_err_at_input(&err, "f\r.json");
    expect_line(&err, "f\\r.json: a\\nb\\t\\x1b[31m\\x7f \\xff \xc3\xa9 \\xc2\\x9b "
                      "\\xe2\\x80\\xae \\xed\\xa0\\x80");
}

static void overlong_and_cut_utf8_is_escaped(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_VALUE, "%s",
                  "\xc0\x80 \xf4\x90\x80\x80 \xe0\x80\x80 \xf0\x9f\x98\x80 \xf0\x9f");
    expect_line(&err,
                "\\xc0\\x80 \\xf4\\x90\\x80\\x80 \\xe0\\x80\\x80 \xf0\x9f\x98\x80 \\xf0\\x9f");
}

static void a_message_that_is_cut_says_so(void **state)
{
    (void)state;
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_VALUE, "%s", large);
    vs_err_at_input(&err, large);
    vs_err_at_path(&err, large);
    assert_int_equal(strlen(err.text), VS_ERR_TEXT_BYTES - 1);
    assert_string_equal(err.text + VS_ERR_TEXT_BYTES - 4, "...");
    assert_string_equal(err.input + VS_ERR_INPUT_BYTES - 4, "...");
    assert_string_equal(err.path + VS_ERR_PATH_BYTES - 4, "...");
}

static void a_line_fits_every_buffer(void **state)
{
    (void)state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_VALUE, "a\n\n\n\nbcdefghij");
    vs_err_at_input(&err, "input");
    char full[128];
    (void)vs_err_line(&err, full, sizeof full);
    for (size_t room = 0; room <= sizeof full; room++) {
        char guarded[160];
        memset(guarded, '#', sizeof guarded);
        const char *line = vs_err_line(&err, guarded, room);
        assert_true(room == 0 || strlen(line) < room);
        assert_int_equal(guarded[room], '#');
        const bool is_whole = room > strlen(full);
        assert_true(is_whole ? strcmp(line, full) == 0
                             : room < 4 || strcmp(line + strlen(line) - 3, "...") == 0);
    }
}

static void a_failed_assertion_aborts_and_names_the_expression(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        vs_assert_failed("x > 0", "file.c", 7);
    }
    assert_true(child > 0);
    (void)close(ends[1]);
    char said[200] = "";
    (void)!read(ends[0], said, sizeof said - 1);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_string_equal(said, "file.c:7: assertion failed: x > 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_always_returns_false),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(the_first_place_wins),
        cmocka_unit_test(a_place_without_an_error_is_ignored),
        cmocka_unit_test(a_line_shows_every_kind_of_place),
        cmocka_unit_test(hostile_bytes_are_escaped_and_text_is_not),
        cmocka_unit_test(overlong_and_cut_utf8_is_escaped),
        cmocka_unit_test(a_message_that_is_cut_says_so),
        cmocka_unit_test(a_line_fits_every_buffer),
        cmocka_unit_test(a_failed_assertion_aborts_and_names_the_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
