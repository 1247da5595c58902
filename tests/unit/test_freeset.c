/* pool/freeset.c in small: what each call answers. The order under load: tests/prop/prop_freeset.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/pool/freeset.h"

typedef struct {
    freeset set;
    pool_block blocks[8];
} fixture;

static fixture *make(vs_arena *arena)
{
    vs_err err = {0};
    assert_true(vs_arena_open(arena, VS_MIB, &err));
    fixture *f = VS_NEW(arena, fixture);
    assert_non_null(f);
    return f;
}

static void put(fixture *f, uint32_t slot, uint64_t size, uint64_t addr)
{
    f->blocks[slot].size_bytes = size;
    f->blocks[slot].addr = addr;
    vsp_freeset_insert(&f->set, f->blocks, slot);
}

static void an_empty_set_has_nothing(void **state)
{
    (void)state;
    vs_arena arena = {0};
    fixture *f = make(&arena);
    assert_int_equal(vsp_freeset_first(&f->set, f->blocks), 0);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, 512), 0);
    assert_int_equal(vsp_freeset_below(&f->set, f->blocks, VS_GIB), 0);
    vs_arena_close(&arena);
}

static void the_smallest_sufficient_block_wins_then_the_lowest_address(void **state)
{
    (void)state;
    vs_arena arena = {0};
    fixture *f = make(&arena);
    put(f, 1, 4096, 9000);
    put(f, 2, 4096, 100);
    put(f, 3, 4096, 5000);
    put(f, 4, 3584, 70000);
    put(f, 5, UINT64_C(1) << 59, 1);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, 3585), 2);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, 3584), 4);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, 4097), 5);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, (UINT64_C(1) << 59) + 1), 0);
    assert_int_equal(vsp_freeset_below(&f->set, f->blocks, 4096), 4);
    assert_int_equal(vsp_freeset_below(&f->set, f->blocks, 4097), 1);
    assert_int_equal(vsp_freeset_next(&f->set, f->blocks, 2), 3);
    assert_int_equal(vsp_freeset_prev(&f->set, f->blocks, 2), 4);
    vs_arena_close(&arena);
}

static void sizes_within_one_class_are_told_apart(void **state)
{
    (void)state;
    vs_arena arena = {0};
    fixture *f = make(&arena);
    const uint64_t large = UINT64_C(100) * VS_GIB;
    put(f, 1, large + 1024, 10);
    put(f, 2, large + 512, 20);
    put(f, 3, large, 30);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, large + 1), 2);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, large + 513), 1);
    assert_int_equal(vsp_freeset_first(&f->set, f->blocks), 3);
    vs_arena_close(&arena);
}

static void shrinking_moves_a_block_to_its_new_place(void **state)
{
    (void)state;
    vs_arena arena = {0};
    fixture *f = make(&arena);
    put(f, 1, 20 * VS_MIB, 1 << 20);
    put(f, 2, 8 * VS_MIB, 2);
    vsp_freeset_shrink(&f->set, f->blocks, 1, 15 * VS_MIB);
    assert_int_equal(f->blocks[1].size_bytes, 5 * VS_MIB);
    assert_int_equal(f->blocks[1].addr, (1 << 20) + 15 * VS_MIB);
    assert_int_equal(vsp_freeset_first(&f->set, f->blocks), 1);
    assert_int_equal(vsp_freeset_at_least(&f->set, f->blocks, 6 * VS_MIB), 2);
    assert_int_equal(f->set.count, 2);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_set_has_nothing),
        cmocka_unit_test(the_smallest_sufficient_block_wins_then_the_lowest_address),
        cmocka_unit_test(sizes_within_one_class_are_told_apart),
        cmocka_unit_test(shrinking_moves_a_block_to_its_new_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
