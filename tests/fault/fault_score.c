/* tests/fault/fault_score.c - a facts file cut off at every byte, with every byte changed, and without memory. */
#include "vramscope/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static const char whole[] =
    "{\"format\": \"vramscope.facts/1\", \"entries\": [{\"id\": \"a\", \"source\": \"u\",\n"
    " \"args\": [\"sim\", \"m\"], \"host\": {\"cores\": 3}, \"kind\": \"memory\", "
    "\"gb_bytes\": 1000,\n"
    " \"measured\": {\"gpu_used_gb\": [1.5, 0], \"load_s\": 2}, \"fitted\": {\"load_s\": \"a "
    "rate\"}}], \"configs\": {\"x\": {}},\n"
    " \"cases\": [{\"id\": \"b\", \"source\": \"v\", \"args\": [\"sim\", \"CONFIG:x\"], "
    "\"weight\": 0.5,\n"
    " \"expect\": {\"verdict\": \"oom\", \"tried_to_allocate_mib\": 8, \"tried_any_of_mib\": "
    "[8, 2],\n"
    " \"used_mib\": 1.5, \"used_tolerance\": 0.1}}]}";

/* Accepted or one clear error; never a crash, and nothing written on failure. */
static bool parse(scratch *s, const char *text, size_t text_bytes)
{
    vs_score_sheet sheet = {0};
    vs_err err = {0};
    vs_arena_reset(&s->arena);
    if (vs_score_read(&sheet, &s->arena, text, text_bytes, "facts.json", &err)) {
        assert_int_equal(err.code, VS_OK);
        assert_true(sheet.count > 0);
        return true;
    }
    assert_int_not_equal(err.code, VS_OK);
    assert_error_says(&err, "facts.json");
    assert_int_equal(sheet.count, 0);
    return false;
}

static void every_truncation_is_an_error(void **state)
{
    assert_true(parse(*state, whole, sizeof whole - 1));
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *cut = malloc(n + 1); /* exact size: reading on would be seen by the sanitizer */
        assert_non_null(cut);
        memcpy(cut, whole, n);
        assert_false(parse(*state, cut, n));
        free(cut);
    }
}

static void every_flipped_bit_is_read_or_refused(void **state)
{
    size_t refused = 0;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            char text[sizeof whole] = {0};
            memcpy(text, whole, sizeof whole);
            text[n] = (char)((unsigned char)text[n] ^ (1U << bit));
            refused += parse(*state, text, sizeof whole - 1) ? 0 : 1;
        }
    }
    assert_true(refused > sizeof whole * 3);
}

static void every_failed_allocation_is_an_error(void **state)
{
    scratch *s = *state;
    uint64_t n = 0;
    for (bool is_done = false; !is_done;) {
        vs_score_sheet sheet = {0};
        vs_err err = {0};
        vs_arena_reset(&s->arena);
        s->arena.fail_at = ++n;
        is_done = vs_score_read(&sheet, &s->arena, whole, sizeof whole - 1, "f.json", &err);
        assert_true(is_done || err.code == VS_ERR_MEMORY);
    }
    assert_true(n > 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_an_error),
        TEST(every_flipped_bit_is_read_or_refused),
        TEST(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
