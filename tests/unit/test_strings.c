/* The strings of a tape: each once, in order of adding (sim/tape/strings.c). */
#include "sim/tape/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 5000u

static vs_arena open_arena(void)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, 16 * VS_MIB, &err));
    return arena;
}

/* Lengths from 1 to 70: names, tails of names and everything between. */
static vs_str name_of(uint32_t i, char buf[96])
{
    const int len =
        snprintf(buf, 96, "%.*s%u", (int)(i % 66),
                 "model.layers.12.mlp.experts.127.down_proj.weight_scale_inv.........", i);
    return (vs_str){buf, (size_t)len};
}

static void ids_count_up_and_survive_growing(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    char buf[96];
    assert_true(strings_init(&s, &arena, 0));
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(strings_add(&s, &arena, name_of(i, buf), true), i + 1);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(strings_add(&s, &arena, name_of(i, buf), true), i + 1);
    }
    assert_int_equal(s.count, MANY + 1);
    vs_arena_close(&arena);
}

static void the_empty_string_is_id_0_even_without_memory(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    assert_true(strings_init(&s, &arena, 3));
    assert_int_equal(strings_add(&s, &arena, (vs_str){NULL, 0}, false), 0);
    assert_int_equal(strings_add(&s, &arena, vs_str_of(""), true), 0);
    assert_int_equal(s.bytes, 1);
    vs_arena_close(&arena);
}

static void strings_that_differ_in_one_byte_are_two(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    char text[64];
    memset(text, 'x', sizeof text);
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_add(&s, &arena, (vs_str){text, sizeof text}, true), 1);
    for (uint32_t i = 0; i < sizeof text; i++) {
        text[i] = 'y';
        assert_int_equal(strings_add(&s, &arena, (vs_str){text, sizeof text}, true), i + 2);
        text[i] = 'x';
    }
    for (uint32_t len = 1; len < sizeof text; len++) {
        assert_int_equal(strings_add(&s, &arena, (vs_str){text, len}, true), 65 + len);
    }
    vs_arena_close(&arena);
}

static void loose_strings_are_found_when_asked_for(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    char bufs[64][96];
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_add(&s, &arena, vs_str_of("before"), false), 1);
    for (uint32_t i = 0; i < 64; i++) { /* growing on the way */
        assert_int_equal(strings_append(&s, &arena, name_of(i, bufs[i])), i + 2);
    }
    assert_true(s.loose_count > 0);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("between"), false), 66);
    assert_int_equal(strings_append(&s, &arena, vs_str_of("apart")), 67);
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(strings_add(&s, &arena, name_of(i, bufs[i]), false), i + 2);
    }
    assert_int_equal(strings_add(&s, &arena, vs_str_of("apart"), false), 67);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("before"), false), 1);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("after"), false), 68);
    vs_arena_close(&arena);
}

static void what_ends_otherwise_leaves_loose_strings_loose(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_append(&s, &arena, vs_str_of("a.0.down_proj.weight")), 1);
    assert_int_equal(strings_append(&s, &arena, vs_str_of("a.1.down_proj.weight")), 2);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("a.gate_up_proj"), false), 3);
    assert_int_equal(s.loose_count, 2);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("a.2.down_proj.weight"), false), 4);
    assert_int_equal(s.loose_count, 0);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("a.1.down_proj.weight"), false), 2);
    vs_arena_close(&arena);
}

static void a_string_appended_twice_is_there_twice(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_append(&s, &arena, vs_str_of("disk")), 1);
    assert_int_equal(strings_append(&s, &arena, vs_str_of("disk")), 2);
    assert_int_equal(strings_add(&s, &arena, vs_str_of("disk"), true), 1);
    vs_arena_close(&arena);
}

static void the_first_of_equal_strings_is_found_after_growing_too(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    char buf[96];
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_append(&s, &arena, vs_str_of("twice")), 1);
    assert_int_equal(strings_append(&s, &arena, vs_str_of("twice")), 2);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)strings_add(&s, &arena, name_of(i, buf), true);
    }
    assert_int_equal(strings_add(&s, &arena, vs_str_of("twice"), true), 1);
    vs_arena_close(&arena);
}

static void they_are_put_back_to_back(void **state)
{
    (void)state;
    vs_arena arena = open_arena();
    tape_strings s = {0};
    static const char kept[] = "kept in place";
    char gone[] = "gone soon";
    assert_true(strings_init(&s, &arena, 0));
    assert_int_equal(strings_add(&s, &arena, vs_str_of(kept), false), 1);
    assert_int_equal(strings_add(&s, &arena, vs_str_of(gone), true), 2);
    assert_ptr_equal(s.refs[1].text, kept);
    memset(gone, '#', sizeof gone - 1);
    uint32_t offset[3] = {9, 9, 9};
    char bytes[64];
    assert_int_equal(s.bytes, 1 + sizeof kept + sizeof gone);
    strings_put(&s, offset, bytes);
    assert_int_equal(offset[0], 0);
    assert_string_equal(bytes + offset[0], "");
    assert_string_equal(bytes + offset[1], kept);
    assert_string_equal(bytes + offset[2], "gone soon");
    vs_arena_close(&arena);
}

static void running_out_of_memory_is_told(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        vs_arena arena = open_arena();
        tape_strings s = {0};
        arena.fail_at = n;
        assert_false(strings_init(&s, &arena, 0));
        vs_arena_close(&arena);
    }
    vs_arena arena = open_arena();
    tape_strings s = {0};
    assert_true(strings_init(&s, &arena, 0));
    arena.fail_at = arena.alloc_count + 1;
    assert_int_equal(strings_add(&s, &arena, vs_str_of("copied"), true), UINT32_MAX);
    assert_int_equal(s.count, 1);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_count_up_and_survive_growing),
        cmocka_unit_test(the_empty_string_is_id_0_even_without_memory),
        cmocka_unit_test(strings_that_differ_in_one_byte_are_two),
        cmocka_unit_test(loose_strings_are_found_when_asked_for),
        cmocka_unit_test(what_ends_otherwise_leaves_loose_strings_loose),
        cmocka_unit_test(a_string_appended_twice_is_there_twice),
        cmocka_unit_test(the_first_of_equal_strings_is_found_after_growing_too),
        cmocka_unit_test(they_are_put_back_to_back),
        cmocka_unit_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
