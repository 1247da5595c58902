/* tests/unit/test_arena.c - sim/base/arena.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static vs_arena open_arena(size_t capacity_bytes)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, capacity_bytes, &err));
    return arena;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void a_reserve_of_64_gib_costs_nothing_until_touched(void **state)
{
    (void)state;
    vs_arena arena = open_arena((size_t)64 * VS_GIB);
    assert_int_equal(arena.capacity_bytes, 64 * VS_GIB);
    uint8_t *low = vs_arena_alloc(&arena, 16, 16);
    uint8_t *far = vs_arena_alloc(&arena, (size_t)50 * VS_GIB, 4096);
    assert_non_null(low);
    assert_non_null(far);
    low[0] = 1;
    far[(size_t)49 * VS_GIB] = 2;
    vs_arena_close(&arena);
    assert_null(arena.base);
}

static void an_impossible_reserve_fails_with_advice(void **state)
{
    (void)state;
    vs_arena arena = {.used_bytes = 77};
    vs_err err = {0};
    assert_false(vs_arena_open(&arena, (size_t)1 << 62, &err));
    assert_int_equal(err.code, VS_ERR_MEMORY);
    assert_non_null(strstr(err.text, "ulimit -v"));
    err = (vs_err){0};
    assert_false(vs_arena_open(&arena, SIZE_MAX, &err));
    assert_int_equal(err.code, VS_ERR_MEMORY);
    assert_int_equal(arena.used_bytes, 77);
}

static void capacity_is_rounded_up_to_pages(void **state)
{
    (void)state;
    vs_arena arena = open_arena(1);
    assert_true(arena.capacity_bytes >= 4096 && arena.capacity_bytes % 4096 == 0);
    vs_arena_close(&arena);
    arena = open_arena(0);
    assert_non_null(vs_arena_alloc(&arena, 1, 1));
    vs_arena_close(&arena);
}

static void every_alignment_is_kept(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    for (size_t align = 1; align <= 4096; align *= 2) {
        assert_non_null(vs_arena_alloc(&arena, 1, 1));
        const void *memory = vs_arena_alloc(&arena, 3, align);
        assert_int_equal((uintptr_t)memory % align, 0);
    }
    vs_arena_close(&arena);
}

static void allocations_do_not_overlap(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    uint8_t *a = vs_arena_alloc(&arena, 100, 8);
    uint8_t *b = vs_arena_alloc(&arena, 100, 8);
    assert_non_null(a);
    assert_non_null(b);
    memset(a, 0xaa, 100);
    assert_true(is_zero(b, 100));
    vs_arena_close(&arena);
}

static void memory_is_zero_again_after_a_reset(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    uint8_t *first = vs_arena_alloc(&arena, 5000, 1);
    assert_non_null(first);
    memset(first, 0xff, 5000);
    vs_arena_reset(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_int_equal(arena.dirty_bytes, 5000);
    uint8_t *gap = vs_arena_alloc(&arena, 3, 1);
    uint8_t *straddling = vs_arena_alloc(&arena, 8000, 64);
    assert_ptr_equal(gap, first);
    assert_true(is_zero(gap, 3));
    assert_true(is_zero(straddling, 8000));
    vs_arena_close(&arena);
}

static void rewinding_forgets_only_what_came_after_the_mark(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    uint8_t *kept = vs_arena_alloc(&arena, 10, 1);
    assert_non_null(kept);
    memset(kept, 7, 10);
    const size_t mark = arena.used_bytes;
    uint8_t *lost = vs_arena_alloc(&arena, 10, 1);
    assert_non_null(lost);
    memset(lost, 8, 10);
    vs_arena_rewind(&arena, mark);
    const uint8_t *again = vs_arena_alloc(&arena, 10, 1);
    assert_ptr_equal(again, lost);
    assert_true(is_zero(again, 10));
    assert_int_equal(kept[9], 7);
    vs_arena_close(&arena);
}

static void exhaustion_sticks_until_the_next_reset(void **state)
{
    (void)state;
    vs_arena arena = open_arena(4096);
    assert_null(vs_arena_alloc(&arena, arena.capacity_bytes + 1, 1));
    assert_true(arena.is_exhausted);
    assert_null(vs_arena_alloc(&arena, 1, 1));
    vs_arena_rewind(&arena, 0);
    assert_null(vs_arena_alloc(&arena, 1, 1));
    vs_arena_reset(&arena);
    assert_non_null(vs_arena_alloc(&arena, arena.capacity_bytes, 1));
    assert_non_null(vs_arena_alloc(&arena, 0, 1));
    assert_null(vs_arena_alloc(&arena, 1, 1));
    vs_arena_close(&arena);
}

static void sizes_that_overflow_exhaust(void **state)
{
    (void)state;
    vs_arena arena = open_arena(4096);
    assert_null(vs_arena_alloc(&arena, SIZE_MAX, 1));
    vs_arena_reset(&arena);
    assert_non_null(vs_arena_alloc(&arena, 1, 1));
    assert_null(vs_arena_alloc(&arena, SIZE_MAX, 4096));
    vs_arena_reset(&arena);
    assert_null(vs_arena_array(&arena, SIZE_MAX / 2, 4, 4));
    assert_true(arena.is_exhausted);
    vs_arena_reset(&arena);
    assert_non_null(VS_ARRAY(&arena, uint64_t, 512));
    vs_arena_close(&arena);
}

static void the_chosen_allocation_fails(void **state)
{
    (void)state;
    vs_arena arena = open_arena(4096);
    arena.fail_at = 3;
    assert_non_null(vs_arena_alloc(&arena, 1, 1));
    assert_non_null(vs_arena_array(&arena, 1, 1, 1));
    assert_null(vs_arena_alloc(&arena, 1, 1));
    assert_null(vs_arena_alloc(&arena, 1, 1));
    assert_int_equal(arena.alloc_count, 4);
    vs_arena_reset(&arena);
    assert_int_equal(arena.alloc_count, 0);
    vs_arena_close(&arena);
}

static void memory_is_zero_where_raw_memory_was(void **state)
{
    (void)state;
    vs_arena arena = open_arena(VS_MIB);
    uint8_t *raw = VS_RAW_ARRAY(&arena, uint8_t, 5000);
    assert_non_null(raw);
    memset(raw, 0xff, 5000);
    vs_arena_reset(&arena);
    const uint8_t *zeroed = vs_arena_alloc(&arena, 6000, 1);
    assert_ptr_equal(zeroed, raw);
    assert_true(is_zero(zeroed, 6000));
    vs_arena_close(&arena);
}

static void raw_memory_counts_and_ends_like_any_other(void **state)
{
    (void)state;
    vs_arena arena = open_arena(4096);
    arena.fail_at = 2;
    assert_non_null(VS_RAW_ARRAY(&arena, uint64_t, 2));
    assert_int_equal(arena.used_bytes, 16);
    assert_null(VS_RAW_ARRAY(&arena, uint64_t, 2));
    assert_int_equal(arena.alloc_count, 2);
    vs_arena_reset(&arena);
    arena.fail_at = 0;
    assert_null(vs_arena_raw(&arena, SIZE_MAX / 2, 4, 4));
    assert_true(arena.is_exhausted);
    vs_arena_reset(&arena);
    assert_null(vs_arena_raw(&arena, arena.capacity_bytes + 1, 1, 1));
    vs_arena_close(&arena);
}

static void a_closed_arena_gives_nothing(void **state)
{
    (void)state;
    vs_arena arena = {0};
    assert_null(vs_arena_alloc(&arena, 0, 1));
    vs_arena_reset(&arena);
    vs_arena_close(&arena);
    vs_arena_close(&arena);
}

static void the_memory_error_names_what_was_wanted(void **state)
{
    (void)state;
    vs_arena arena = open_arena(8192);
    vs_err err = {0};
    assert_false(vs_fail_memory(&err, &arena, "the tape"));
    assert_int_equal(err.code, VS_ERR_MEMORY);
    assert_non_null(strstr(err.text, "the tape"));
    assert_non_null(strstr(err.text, "8.00 KiB"));
    vs_arena_close(&arena);
    err = (vs_err){0};
    assert_false(vs_fail_memory(&err, NULL, "a buffer"));
    assert_string_equal(err.text, "out of memory for a buffer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserve_of_64_gib_costs_nothing_until_touched),
        cmocka_unit_test(an_impossible_reserve_fails_with_advice),
        cmocka_unit_test(capacity_is_rounded_up_to_pages),
        cmocka_unit_test(every_alignment_is_kept),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(memory_is_zero_again_after_a_reset),
        cmocka_unit_test(rewinding_forgets_only_what_came_after_the_mark),
        cmocka_unit_test(exhaustion_sticks_until_the_next_reset),
        cmocka_unit_test(sizes_that_overflow_exhaust),
        cmocka_unit_test(the_chosen_allocation_fails),
        cmocka_unit_test(memory_is_zero_where_raw_memory_was),
        cmocka_unit_test(raw_memory_counts_and_ends_like_any_other),
        cmocka_unit_test(a_closed_arena_gives_nothing),
        cmocka_unit_test(the_memory_error_names_what_was_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
