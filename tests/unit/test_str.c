/* tests/unit/test_str.c - sim/base/str.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static vs_str text(const char *s)
{
    return vs_str_of(s);
}

static vs_arena open_arena(size_t capacity_bytes)
{
    vs_arena arena = {0};
    assert_true(vs_arena_open(&arena, capacity_bytes, NULL));
    return arena;
}

static void no_text_is_an_empty_string(void **state)
{
    (void)state;
    const vs_str none = {0};
    assert_int_equal(text(NULL).len, 0);
    assert_true(vs_str_equal(none, text("")));
    assert_true(vs_str_is(none, ""));
    assert_true(vs_str_starts(none, ""));
    assert_true(vs_str_ends(none, ""));
    assert_int_equal(vs_str_compare(none, text(NULL)), 0);
    assert_false(vs_str_starts(none, "a"));
}

static void comparing_looks_at_bytes_and_then_length(void **state)
{
    (void)state;
    assert_int_equal(vs_str_compare(text("abc"), text("abd")), -1);
    assert_int_equal(vs_str_compare(text("b"), text("abc")), 1);
    assert_int_equal(vs_str_compare(text("ab"), text("abc")), -1);
    assert_int_equal(vs_str_compare(text("\xff"), text("a")), 1);
    const vs_str with_nul = {.ptr = "a\0b", .len = 3};
    const vs_str other = {.ptr = "a\0c", .len = 3};
    assert_false(vs_str_equal(with_nul, other));
    assert_false(vs_str_is(with_nul, "a"));
}

static void ends_and_case(void **state)
{
    (void)state;
    assert_true(vs_str_starts(text("cuda:0"), "cuda:"));
    assert_false(vs_str_starts(text("cu"), "cuda:"));
    assert_true(vs_str_ends(text("a.gguf"), ".gguf"));
    assert_false(vs_str_ends(text("gguf"), ".gguf"));
    assert_true(vs_str_is_nocase(text("BF16"), "bf16"));
    assert_false(vs_str_is_nocase(text("BF16"), "bf1"));
    assert_false(vs_str_is_nocase(text("["), "{")); /* differ in bit 5 and are no letters */
}

static void copies_are_terminated(void **state)
{
    (void)state;
    vs_arena arena = open_arena(4096);
    const vs_str part = {.ptr = "weight.bias", .len = 6};
    assert_string_equal(vs_str_copy(&arena, part), "weight");
    assert_string_equal(vs_str_copy(&arena, (vs_str){0}), "");
    assert_string_equal(vs_arena_printf(&arena, "%s-%d", "layer", 12), "layer-12");
    assert_null(vs_str_copy(&arena, (vs_str){.ptr = "", .len = SIZE_MAX}));
    assert_true(arena.is_exhausted);
    assert_null(vs_arena_printf(&arena, "x"));
    vs_arena_close(&arena);
}

static void ids_count_up_in_order_of_insertion(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    vs_strtab table;
    assert_true(vs_strtab_init(&table, &arena, 0));
    assert_int_equal(vs_strtab_add(&table, text("")), 0);
    assert_int_equal(vs_strtab_add(&table, text("b")), 1);
    assert_int_equal(vs_strtab_add(&table, text("a")), 2);
    assert_int_equal(vs_strtab_add(&table, text("b")), 1);
    assert_int_equal(table.count, 3);
    assert_string_equal(vs_strtab_get(&table, 0), "");
    assert_string_equal(vs_strtab_get(&table, 2), "a");
    assert_int_equal(vs_strtab_find(&table, text("a")), 2);
    assert_int_equal(vs_strtab_find(&table, text("c")), UINT32_MAX);
    vs_arena_close(&arena);
}

static void a_growing_table_keeps_all_ids(void **state)
{
    (void)state;

    enum { NAMES = 20000 };

    vs_arena arena = open_arena(64 * VS_MIB);
    vs_strtab table;
    assert_true(vs_strtab_init(&table, &arena, 3));
    char name[64];
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "model.layers.%u.mlp.weight", (unsigned)i);
        assert_int_equal(vs_strtab_add(&table, text(name)), i + 1);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "model.layers.%u.mlp.weight", (unsigned)i);
        assert_int_equal(vs_strtab_find(&table, text(name)), i + 1);
        assert_string_equal(vs_strtab_get(&table, i + 1), name);
    }
    vs_arena_close(&arena);
}

static void a_string_of_the_table_may_be_added_to_it(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    vs_strtab table;
    assert_true(vs_strtab_init(&table, &arena, 0));
    const char *whole =
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    const uint32_t id = vs_strtab_add(&table, text(whole));
    for (size_t from = 1; from < strlen(whole); from++) {
        const uint32_t tail = vs_strtab_add(&table, text(vs_strtab_get(&table, id) + from));
        assert_string_equal(vs_strtab_get(&table, tail), whole + from);
    }
    vs_arena_close(&arena);
}

static void strings_with_zero_bytes_differ(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    vs_strtab table;
    assert_true(vs_strtab_init(&table, &arena, 0));
    const vs_str one = {.ptr = "a\0b", .len = 3};
    const vs_str two = {.ptr = "a\0c", .len = 3};
    assert_int_equal(vs_strtab_add(&table, one), 1);
    assert_int_equal(vs_strtab_add(&table, two), 2);
    assert_int_equal(vs_strtab_add(&table, text("a")), 3);
    assert_int_equal(vs_strtab_find(&table, one), 1);
    vs_arena_close(&arena);
}

/* Adds names until it is done or memory ends; the table must stay whole either way. */
static bool fill(vs_arena *arena, uint32_t *out_count)
{
    vs_strtab table;
    if (!vs_strtab_init(&table, arena, 0)) {
        return false;
    }
    char name[64];
    uint32_t added = 0;
    for (uint32_t i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "a name that is long enough to grow %u", (unsigned)i);
        if (vs_strtab_add(&table, text(name)) == UINT32_MAX) {
            break;
        }
        added++;
    }
    for (uint32_t i = 0; i < added; i++) {
        (void)snprintf(name, sizeof name, "a name that is long enough to grow %u", (unsigned)i);
        assert_int_equal(vs_strtab_find(&table, text(name)), i + 1);
    }
    *out_count = added;
    return added == 200;
}

static void the_table_survives_every_failed_allocation(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    uint32_t count = 0;
    uint64_t failures = 0;
    for (arena.fail_at = 1; !fill(&arena, &count); arena.fail_at++) {
        failures++;
        vs_arena_reset(&arena);
    }
    assert_int_equal(count, 200);
    assert_true(failures >= 3 + 4);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_text_is_an_empty_string),
        cmocka_unit_test(comparing_looks_at_bytes_and_then_length),
        cmocka_unit_test(ends_and_case),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(ids_count_up_in_order_of_insertion),
        cmocka_unit_test(a_growing_table_keeps_all_ids),
        cmocka_unit_test(a_string_of_the_table_may_be_added_to_it),
        cmocka_unit_test(strings_with_zero_bytes_differ),
        cmocka_unit_test(the_table_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
