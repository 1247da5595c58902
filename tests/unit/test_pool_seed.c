/* States from outside and forced placement (sim/pool/seed.c): what a replay asks of the pool beside requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vramscope/pool.h"

#define BASE UINT64_C(0x7f1200000000)

typedef struct {
    vs_arena arena;
    vs_arena scratch;
    vs_model_driver driver;
    vs_pool *pool;
} fixture;

static int setup(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    vs_err err = {0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    assert_true(vs_arena_open(&f->scratch, 16 * VS_MIB, &err));
    vs_model_driver_init(&f->driver, 1 * VS_GIB, 0);
    const vs_pool_desc desc = {.driver = vs_model_driver_calls(&f->driver)};
    f->pool = vs_pool_new(&f->arena, &desc);
    assert_non_null(f->pool);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    vs_arena_close(&f->scratch);
    test_free(f);
    return 0;
}

static void is_sound(fixture *f)
{
    vs_err err = {0};
    vs_arena_reset(&f->scratch);
    if (!vs_pool_check(f->pool, &f->scratch, &err)) {
        fail_msg("%s", err.text);
    }
}

static vs_block take(fixture *f, vs_bytes size)
{
    const vs_pool_request request = {.size_bytes = size, .category = VS_CAT_TENSOR};
    vs_block block = {0};
    assert_int_equal(vs_pool_alloc(f->pool, 0, &request, &block), VS_ALLOC_OK);
    return block;
}

static bool would_fit(fixture *f, vs_bytes size, vs_block pending)
{
    const vs_pool_request request = {.size_bytes = size, .category = VS_CAT_TENSOR};
    return vs_pool_would_fit(f->pool, &request, pending);
}

/* 20 MiB: 4 free, 4 pending, 6 in use, 6 free. */
static void a_pending_block_fits_with_its_free_neighbours(void **state)
{
    fixture *f = *state;
    const vs_block first = take(f, 4 * VS_MIB);
    const vs_block second = take(f, 4 * VS_MIB);
    const vs_block third = take(f, 6 * VS_MIB);
    vs_pool_free(f->pool, 0, first);
    vs_pool_free_begin(f->pool, 0, second);
    is_sound(f);
    assert_true(would_fit(f, 8 * VS_MIB, second)); /* with the one before it */
    assert_false(would_fit(f, 8 * VS_MIB + 1, second));
    assert_false(would_fit(f, 512, second)); /* of the other pool */
    vs_pool_free_begin(f->pool, 0, third);
    assert_true(would_fit(f, 9 * VS_MIB, third)); /* with the one behind it */
    vs_pool_free_end(f->pool, 0, third);
    assert_true(would_fit(f, 19 * VS_MIB, second)); /* with both */
    vs_pool_free_end(f->pool, 0, second);
    is_sound(f);
    assert_int_equal(vs_pool_allocated(f->pool), 0);
    assert_int_equal(vs_pool_reserved(f->pool), 20 * VS_MIB);
}

/* The bytes are held until the end is told: active, not allocated. */
static void a_begun_free_keeps_its_bytes(void **state)
{
    fixture *f = *state;
    const vs_block block = take(f, 12 * VS_MIB);
    vs_pool_free_begin(f->pool, 0, block);
    const vs_pool_stats *stats = vs_pool_get_stats(f->pool);
    assert_int_equal(stats->allocated_bytes[VS_STAT_ALL].current, 0);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].current, 12 * VS_MIB);
    const vs_block other = take(f, 12 * VS_MIB); /* a segment of its own */
    assert_int_equal(vs_pool_reserved(f->pool), 24 * VS_MIB);
    vs_pool_free_end(f->pool, 0, block);
    vs_pool_free(f->pool, 0, other);
    is_sound(f);
}

static void a_seed_is_a_segment_with_its_blocks(void **state)
{
    fixture *f = *state;
    const vs_pool_piece pieces[] = {
        {.size_bytes = 4 * VS_MIB, .asked_bytes = 4 * VS_MIB, .state = VS_BLOCK_ALLOCATED},
        {.size_bytes = 6 * VS_MIB, .state = VS_BLOCK_FREE},
        {.size_bytes = 2 * VS_MIB, .asked_bytes = 2 * VS_MIB - 5, .state = VS_BLOCK_PENDING},
        {.size_bytes = 8 * VS_MIB, .state = VS_BLOCK_FREE}};
    const vs_pool_seed seed = {.addr = BASE, .pieces = pieces, .piece_count = 4};
    vs_block handles[4] = {{0}};
    assert_true(vs_pool_add_seed(f->pool, 0, &seed, handles));
    is_sound(f);
    assert_int_equal(vs_pool_block_addr(f->pool, handles[0]), BASE);
    assert_int_equal(vs_pool_block_addr(f->pool, handles[2]), BASE + 10 * VS_MIB);
    assert_int_equal(handles[1].id | handles[3].id, 0);
    assert_int_equal(vs_pool_reserved(f->pool), 20 * VS_MIB);
    assert_int_equal(vs_pool_allocated(f->pool), 4 * VS_MIB);
    /* Best fit: the smaller hole. */
    const vs_block block = take(f, 5 * VS_MIB);
    assert_int_equal(vs_pool_block_addr(f->pool, block), BASE + 4 * VS_MIB);
    is_sound(f);
}

static void a_block_goes_where_it_is_put(void **state)
{
    fixture *f = *state;
    const vs_pool_piece piece = {.size_bytes = 20 * VS_MIB, .state = VS_BLOCK_FREE};
    const vs_pool_seed seed = {.addr = BASE, .pieces = &piece, .piece_count = 1};
    const vs_pool_request request = {.size_bytes = 3 * VS_MIB, .category = VS_CAT_TENSOR};
    vs_block none = {0};
    vs_block placed = {0};
    assert_true(vs_pool_add_seed(f->pool, 0, &seed, &none));
    assert_true(vs_pool_place(f->pool, 0, BASE + 7 * VS_MIB, &request, &placed));
    assert_int_equal(vs_pool_block_addr(f->pool, placed), BASE + 7 * VS_MIB);
    assert_int_equal(vs_pool_block_size(f->pool, placed), 3 * VS_MIB);
    is_sound(f);
    assert_false(vs_pool_place(f->pool, 0, BASE + 8 * VS_MIB, &request, &none));  /* taken */
    assert_false(vs_pool_place(f->pool, 0, BASE + 18 * VS_MIB, &request, &none)); /* no room */
    /* Less than 1 MiB behind it goes with it [4.1]. */
    assert_true(vs_pool_place(f->pool, 0, BASE + 16 * VS_MIB + 512 * VS_KIB, &request, &none));
    assert_int_equal(vs_pool_block_size(f->pool, none), 3 * VS_MIB + 512 * VS_KIB);
    is_sound(f);
}

static void only_a_free_segment_is_dropped(void **state)
{
    fixture *f = *state;
    const vs_block block = take(f, 12 * VS_MIB);
    const uint64_t addr = vs_pool_block_addr(f->pool, block);
    assert_false(vs_pool_drop_segment(f->pool, 0, addr));
    vs_pool_free(f->pool, 0, block);
    assert_false(vs_pool_drop_segment(f->pool, 0, addr + 512));
    assert_true(vs_pool_drop_segment(f->pool, 0, addr));
    assert_int_equal(vs_pool_reserved(f->pool), 0);
    is_sound(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pending_block_fits_with_its_free_neighbours, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_begun_free_keeps_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_seed_is_a_segment_with_its_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_goes_where_it_is_put, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_free_segment_is_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
