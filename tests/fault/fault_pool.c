/* The pool when its arena runs out: the n-th allocation fails, n = 1, 2, 3 ... until everything passes.
 * Whatever fails says so, and the pool stays consistent and can still free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vramscope/pool.h"

#define OPS  400
#define LIVE 200

typedef struct {
    vs_arena arena;
    vs_arena scratch;
    vs_model_driver driver;
    vs_pool *pool;
    vs_rng rng;
    vs_block live[LIVE];
    uint32_t count;
} world;

static void check(world *w)
{
    vs_err err = {0};
    vs_arena_reset(&w->scratch);
    if (!vs_pool_check(w->pool, &w->scratch, &err)) {
        fail_msg("%s", err.text);
    }
}

static void free_one(world *w)
{
    const uint32_t which = (uint32_t)vs_rng_below(&w->rng, w->count);
    vs_pool_free(w->pool, 0, w->live[which]);
    w->live[which] = w->live[--w->count];
}

/* False when the pool says that the arena is exhausted. */
static bool alloc_one(world *w)
{
    const vs_pool_request request = {
        .size_bytes = 1 + vs_rng_below(&w->rng, vs_rng_below(&w->rng, 2) ? 4096 : 30 * VS_MIB),
        .stream = vs_rng_below(&w->rng, 20)};
    vs_block block = {0};
    const vs_alloc_result result = vs_pool_alloc(w->pool, 0, &request, &block);
    if (result == VS_ALLOC_OK) {
        w->live[w->count++] = block;
        return vs_pool_record_stream(w->pool, block, vs_rng_below(&w->rng, 40));
    }
    assert_int_equal(block.id, 0);
    return result != VS_ALLOC_EXHAUSTED;
}

/* A fixed sequence of requests; true when it came to its end. */
static bool run(world *w, bool is_expandable, uint64_t fail_at)
{
    vs_arena_reset(&w->arena);
    w->arena.fail_at = fail_at;
    w->count = 0;
    vs_rng_seed(&w->rng, 5);
    vs_model_driver_init(&w->driver, 2 * VS_GIB, 0);
    vs_alloc_conf conf = vs_alloc_conf_default(0);
    conf.expandable_segments = is_expandable;
    const vs_pool_desc desc = {.conf = &conf, .driver = vs_model_driver_calls(&w->driver)};
    w->pool = vs_pool_new(&w->arena, &desc);
    if (w->pool == NULL) {
        return false;
    }
    bool is_going = true;
    for (uint32_t op = 0; op < OPS && is_going; op++) {
        if (op % 50 == 20) {
            vs_pool_stream_busy(w->pool, op);
        } else if (op % 50 == 40) {
            vs_pool_empty_cache(w->pool, 0);
        } else if (w->count == LIVE || (w->count > 0 && vs_rng_below(&w->rng, 3) == 0)) {
            free_one(w);
        } else {
            is_going = alloc_one(w);
        }
    }
    check(w);
    while (w->count > 0) {
        free_one(w);
    }
    vs_pool_empty_cache(w->pool, 0);
    check(w);
    return is_going;
}

static void every_failing_allocation(bool is_expandable)
{
    vs_arena own = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&own, VS_MIB, &err));
    world *w = VS_NEW(&own, world);
    assert_non_null(w);
    assert_true(vs_arena_open(&w->arena, 8 * VS_MIB, &err));
    assert_true(vs_arena_open(&w->scratch, VS_MIB, &err));
    uint64_t n = 1;
    while (!run(w, is_expandable, n)) {
        n++;
        assert_true(n < 1000);
    }
    assert_true(n > 40); /* homes, streams, notes and blocks all had to grow */
    assert_int_equal(w->driver.in_use_bytes, 0);
    print_message("%" PRIu64 " allocations of our own, each failed once\n", n - 1);
    vs_arena_close(&w->scratch);
    vs_arena_close(&w->arena);
    vs_arena_close(&own);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    every_failing_allocation(false);
}

static void any_allocation_may_fail_with_expandable_segments(void **state)
{
    (void)state;
    every_failing_allocation(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_allocation_may_fail_with_expandable_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
