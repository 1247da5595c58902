/* tests/unit/test_name_index.c - looking names up: found, absent, twice, and names made to collide. */
#include "sim/model/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 20000u

typedef struct {
    const char *name;
    uint32_t pad;
} item;

typedef struct {
    vs_arena arena;
    item items[COUNT];
    vs_name_index index;
    uint32_t duplicate;
} bench;

static int open_bench(void **state)
{
    bench *const b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 256 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *const b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static void build(bench *b)
{
    assert_true(vs_name_index_build(&b->index, &b->arena, b->items, sizeof b->items[0], COUNT,
                                    &b->duplicate));
}

static void must_find_all(const bench *b)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(vs_name_index_find(&b->index, vs_str_of(b->items[i].name)), i);
    }
    assert_int_equal(vs_name_index_find(&b->index, (vs_str){"", 0}), UINT32_MAX);
    assert_int_equal(vs_name_index_find(&b->index, vs_str_of("none of them")), UINT32_MAX);
    assert_int_equal(vs_name_index_find(&b->index, (vs_str){b->items[7].name, 5}), UINT32_MAX);
}

static void usual_names(bench *b)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "model.layers.%u.mlp.experts.%u.w1", i / 200,
                       i % 200);
        b->items[i].name = vs_str_copy(&b->arena, vs_str_of(text));
        assert_non_null(b->items[i].name);
    }
}

/* ---- names made to collide --------------------------------------------------------------------- */

/* One step of name_index.c's hash, and the word that leads from a state to another. */
static uint64_t mixed(uint64_t hash, uint64_t word)
{
    return ((hash << 23 | hash >> 41) ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t word_between(uint64_t from, uint64_t product)
{
    return product ^ (from << 23 | from >> 41);
}

static bool has_zero_byte(const uint64_t words[4])
{
    return memchr(words, 0, 4 * sizeof words[0]) != NULL;
}

/* 32 bytes: the words 0 and 2 go through one chain, 1 and 3 through the other; the last of each makes up for the
 * first, so that all names end in the same state. */
static void colliding_names(bench *b)
{
    vs_rng rng;
    vs_rng_seed(&rng, 20261122);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t words[4];
        do {
            words[0] = vs_rng_next(&rng);
            words[1] = vs_rng_next(&rng);
            words[2] = word_between(mixed(32, words[0]), 1);
            words[3] = word_between(mixed(~UINT64_C(32), words[1]), 2);
        } while (has_zero_byte(words));
        b->items[i].name = vs_str_copy(&b->arena, (vs_str){(const char *)words, sizeof words});
        assert_non_null(b->items[i].name);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void names_are_found(void **state)
{
    bench *b = *state;
    usual_names(b);
    build(b);
    assert_int_equal(b->duplicate, UINT32_MAX);
    assert_null(b->index.ranks);
    must_find_all(b);
}

static void colliding_names_are_sorted_instead(void **state)
{
    bench *b = *state;
    colliding_names(b);
    build(b);
    assert_int_equal(b->duplicate, UINT32_MAX);
    assert_non_null(b->index.ranks);
    must_find_all(b);
}

static void must_say_which_is_twice(bench *b)
{
    b->items[15000].name = b->items[3].name;
    b->items[9000].name = b->items[8999].name;
    b->items[19999].name = b->items[0].name;
    build(b);
    assert_int_equal(b->duplicate, 9000);
    assert_int_equal(vs_name_index_find(&b->index, vs_str_of(b->items[15000].name)), 3);
}

static void the_first_name_that_is_there_twice_is_told(void **state)
{
    bench *b = *state;
    usual_names(b);
    must_say_which_is_twice(b);
    assert_null(b->index.ranks);
}

static void also_when_they_collide(void **state)
{
    bench *b = *state;
    colliding_names(b);
    must_say_which_is_twice(b);
    assert_non_null(b->index.ranks);
}

static void memory_can_run_out(void **state)
{
    bench *b = *state;
    colliding_names(b);
    uint32_t failures = 0;
    for (uint64_t n = 1; n <= 2; n++) {
        b->arena.alloc_count = 0;
        b->arena.fail_at = n;
        failures += !vs_name_index_build(&b->index, &b->arena, b->items, sizeof b->items[0],
                                         COUNT, &b->duplicate);
    }
    assert_int_equal(failures, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_found, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(colliding_names_are_sorted_instead, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(the_first_name_that_is_there_twice_is_told, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(also_when_they_collide, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(memory_can_run_out, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
