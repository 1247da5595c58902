/* pool/freeset.c against a sorted array: same order, same neighbours, same answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "sim/pool/freeset.h"

#define SEED  UINT64_C(77)
#define SLOTS 400
#define OPS   20000

typedef struct {
    uint64_t size;
    uint64_t addr;
    uint32_t slot;
} entry;

typedef struct {
    freeset set;
    pool_block blocks[SLOTS];
    entry sorted[SLOTS];
    uint32_t count;
    vs_rng rng;
} world;

static int before(const entry *a, const entry *b)
{
    return a->size < b->size || (a->size == b->size && a->addr < b->addr);
}

static void sorted_insert(world *w, entry e)
{
    uint32_t at = 0;
    while (at < w->count && before(&w->sorted[at], &e)) {
        at++;
    }
    memmove(&w->sorted[at + 1], &w->sorted[at], sizeof e * (w->count - at));
    w->sorted[at] = e;
    w->count++;
}

static void sorted_remove(world *w, uint32_t at)
{
    w->count--;
    memmove(&w->sorted[at], &w->sorted[at + 1], sizeof(entry) * (w->count - at));
}

/* Few values, so that ties and full classes happen; now and then any size at all. */
static uint64_t random_size(world *w)
{
    switch (vs_rng_below(&w->rng, 4)) {
    case 0: return 512 * (1 + vs_rng_below(&w->rng, 8));
    case 1: return VS_MIB * (1 + vs_rng_below(&w->rng, 40));
    case 2: return 513 + vs_rng_below(&w->rng, 4 * VS_MIB);
    default: return 512 + (vs_rng_next(&w->rng) >> (4 + vs_rng_below(&w->rng, 50)));
    }
}

static void compare(world *w)
{
    assert_int_equal(w->set.count, w->count);
    uint32_t slot = vsp_freeset_first(&w->set, w->blocks);
    uint32_t last = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        assert_int_equal(slot, w->sorted[i].slot);
        assert_int_equal(vsp_freeset_prev(&w->set, w->blocks, slot), last);
        last = slot;
        slot = vsp_freeset_next(&w->set, w->blocks, slot);
    }
    assert_int_equal(slot, 0);
}

static void compare_bounds(world *w, uint64_t size)
{
    uint32_t at = 0;
    while (at < w->count && w->sorted[at].size < size) {
        at++;
    }
    assert_int_equal(vsp_freeset_at_least(&w->set, w->blocks, size),
                     at < w->count ? w->sorted[at].slot : 0);
    assert_int_equal(vsp_freeset_below(&w->set, w->blocks, size),
                     at > 0 ? w->sorted[at - 1].slot : 0);
}

static uint32_t unused_slot(const world *w)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (w->blocks[slot].size_bytes == 0) {
            return slot;
        }
    }
    return 0;
}

static void insert_one(world *w, uint32_t slot)
{
    pool_block *block = &w->blocks[slot];
    block->size_bytes = random_size(w);
    block->addr = (vs_rng_next(&w->rng) >> 20) * 512 + slot; /* distinct */
    vsp_freeset_insert(&w->set, w->blocks, slot);
    sorted_insert(w, (entry){block->size_bytes, block->addr, slot});
}

static void change_one(world *w, uint32_t at)
{
    const entry e = w->sorted[at];
    sorted_remove(w, at);
    if (e.size > 1024 && vs_rng_below(&w->rng, 2) == 0) {
        const uint64_t by = 1 + vs_rng_below(&w->rng, e.size - 512);
        vsp_freeset_shrink(&w->set, w->blocks, e.slot, by);
        assert_true(w->blocks[e.slot].size_bytes == e.size - by);
        assert_true(w->blocks[e.slot].addr == e.addr + by);
        sorted_insert(w, (entry){e.size - by, e.addr + by, e.slot});
    } else {
        vsp_freeset_erase(&w->set, w->blocks, e.slot);
        w->blocks[e.slot].size_bytes = 0;
    }
}

static void random_operations_agree_with_a_sorted_array(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    world *w = VS_NEW(&arena, world);
    assert_non_null(w);
    vs_rng_seed(&w->rng, SEED);
    for (uint32_t op = 0; op < OPS; op++) {
        const uint32_t slot = unused_slot(w);
        const uint32_t wanted = (op / 2000) % 2 == 0 ? 300 : 5; /* grows and shrinks */
        if (w->count == 0 || (slot != 0 && vs_rng_below(&w->rng, wanted) > w->count / 2)) {
            insert_one(w, slot);
        } else {
            change_one(w, (uint32_t)vs_rng_below(&w->rng, w->count));
        }
        compare_bounds(w, random_size(w));
        if (op % 16 == 0) {
            compare(w);
        }
    }
    print_message("seed %" PRIu64 ": %d operations\n", SEED, OPS);
    vs_arena_close(&arena);
}

static void an_emptied_set_is_all_zero_again(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    world *w = VS_NEW(&arena, world);
    freeset *empty = VS_NEW(&arena, freeset);
    assert_true(w != NULL && empty != NULL);
    vs_rng_seed(&w->rng, SEED + 1);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        insert_one(w, slot);
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        vsp_freeset_erase(&w->set, w->blocks, slot);
    }
    assert_memory_equal(&w->set, empty, sizeof *empty);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_sorted_array),
        cmocka_unit_test(an_emptied_set_is_all_zero_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
