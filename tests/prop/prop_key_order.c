/* tests/prop/prop_key_order.c - sorting by packed ranks against sorting by comparing names.
 *
 * Names are made of few parts, so that shared prefixes, equal parts and long names are common. */
#include "sim/model/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED  UINT64_C(20261121)
#define COUNT 600u

static int compare_names(const void *a, const void *b)
{
    return vs_key_compare(*(const char *const *)a, *(const char *const *)b);
}

static const char *random_name(vs_rng *rng, vs_arena *arena)
{
    static const char *const parts[] = {
        "model", "layers", "w1", "w2", "w10", "weight", "a", "ab", "",
        "0",     "1",      "01", "10", "9",   "x_0",    "x", "h9", "18446744073709551617"};
    char text[512] = "";
    const uint64_t part_count = 1 + vs_rng_below(rng, vs_rng_below(rng, 8) == 0 ? 20 : 6);
    for (uint64_t p = 0; p < part_count; p++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", p == 0 ? "" : ".",
                       parts[vs_rng_below(rng, sizeof parts / sizeof parts[0])]);
    }
    return vs_str_copy(arena, vs_str_of(text));
}

static void check_order(const char **names, uint32_t count, vs_arena *arena)
{
    vs_tensor *const tensors = VS_ARRAY(arena, vs_tensor, count);
    uint32_t *const moved = VS_ARRAY(arena, uint32_t, count);
    assert_true(tensors != NULL && moved != NULL);
    for (uint32_t i = 0; i < count; i++) {
        tensors[i].name = names[i];
        tensors[i].elements = i;
    }
    vs_err err = {0};
    assert_true(vs_key_sort(tensors, count, moved, arena, &err));
    for (uint32_t i = 0; i < count; i++) {
        assert_ptr_equal(tensors[moved[i]].name, names[i]);
        assert_int_equal(tensors[moved[i]].elements, i);
    }
    qsort(names, count, sizeof *names, compare_names);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(tensors[i].name, names[i]);
    }
}

static void ranks_sort_like_names(void **state)
{
    (void)state;
    vs_rng rng;
    vs_arena arena = {0};
    vs_rng_seed(&rng, SEED);
    printf("# seed %" PRIu64 "\n", SEED);
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, NULL));
    for (uint32_t count = 0; count < COUNT; count = count * 3 / 2 + 1) {
        vs_arena_reset(&arena);
        const char **const names = VS_ARRAY(&arena, const char *, count);
        for (uint32_t i = 0; i < count; i++) {
            names[i] = random_name(&rng, &arena);
        }
        check_order(names, count, &arena);
    }
    vs_arena_close(&arena);
}

static void more_distinct_parts_than_the_table_holds_sort_too(void **state)
{
    (void)state;
    vs_rng rng;
    vs_arena arena = {0};
    vs_rng_seed(&rng, SEED + 1);
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, NULL));
    const uint32_t count = 3000;
    const char **const names = VS_ARRAY(&arena, const char *, count);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = vs_arena_printf(&arena, "%" PRIu64 ".p%" PRIu64 ".%" PRIu64,
                                   vs_rng_next(&rng), vs_rng_next(&rng), vs_rng_next(&rng));
    }
    check_order(names, count, &arena);
    vs_arena_close(&arena);
}

/* Parts whose first slot is one of the first two, as key_order.c hashes them. */
static bool begins_in_few_slots(const char *part)
{
    uint32_t hash = UINT32_C(2166136261);
    for (; *part != '\0'; part++) {
        hash = (hash ^ (uint8_t)*part) * UINT32_C(16777619);
    }
    return ((hash ^ hash >> 15) & 0xfff) < 2;
}

static void parts_made_to_collide_sort_too(void **state)
{
    (void)state;
    vs_arena arena = {0};
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, NULL));
    const uint32_t count = 1530; /* 4,096 slots */
    const char **const names = VS_ARRAY(&arena, const char *, count);
    uint32_t found = 0;
    for (uint32_t i = 0; found < count; i++) {
        char part[16];
        (void)snprintf(part, sizeof part, "%" PRIx32 "x", i);
        if (begins_in_few_slots(part)) {
            names[found++] = vs_str_copy(&arena, vs_str_of(part));
        }
    }
    check_order(names, count, &arena);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_sort_like_names),
        cmocka_unit_test(more_distinct_parts_than_the_table_holds_sort_too),
        cmocka_unit_test(parts_made_to_collide_sort_too),
    };
    return cmocka_run_group_tests_name("key order properties", tests, NULL, NULL);
}
