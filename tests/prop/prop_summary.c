/* prop_summary.c - random models against a naive twin: what belongs to a layer, which layers are alike, what they hold. The
 * twin compares every parameter with every other one, by text. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED        UINT64_C(20260723)
#define ROUNDS      300u
#define TARGETS_MAX 60u
#define NAME_BYTES  96u

typedef struct {
    char names[TARGETS_MAX][NAME_BYTES];
    vs_target targets[TARGETS_MAX];
    uint32_t count;
} random_model;

static void fill(random_model *m, vs_rng *rng)
{
    static const char *const stems[] = {"model.layers", "vision.blocks", "h", "a.b.c"};
    static const char *const leaves[] = {"self_attn.q_proj.weight", "mlp.up.weight",
                                         "norm.weight", "mlp.experts.3.w", "x"};
    m->count = 1 + (uint32_t)vs_rng_below(rng, TARGETS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        const char *const stem = stems[vs_rng_below(rng, 4)];
        const char *const leaf = leaves[vs_rng_below(rng, 5)];
        if (vs_rng_below(rng, 5) == 0) {
            (void)snprintf(m->names[i], NAME_BYTES, "%s.%s%u", stem, leaf, (unsigned)i);
        } else {
            (void)snprintf(m->names[i], NAME_BYTES, "%s.%u.%s", stem,
                           (unsigned)vs_rng_below(rng, 12), leaf);
        }
        const uint64_t side = 1 + vs_rng_below(rng, 2);
        m->targets[i] = (vs_target){.name = m->names[i],
                                    .shape = {side, 4},
                                    .dim_count = 2,
                                    .elements = side * 4,
                                    .layer = -1,
                                    .tied_to = VS_NO_TARGET,
                                    .fixed_dtype = VS_DT_COUNT};
    }
}

/* "model.layers.3" of a layer, "model.norm" of a module outside; *stem_bytes 0: outside. */
static void key_of(const char *name, char *out, size_t *stem_bytes)
{
    char text[NAME_BYTES];
    (void)snprintf(text, sizeof text, "%s", name);
    *stem_bytes = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char *end = NULL;
        if (text[i] != '.' || text[i + 1] < '0' || text[i + 1] > '9') {
            continue;
        }
        (void)strtoul(text + i + 1, &end, 10);
        if (*end == '.') {
            *end = '\0';
            *stem_bytes = i;
            break;
        }
    }
    if (*stem_bytes == 0) {
        *strrchr(text, '.') = '\0';
    }
    (void)snprintf(out, NAME_BYTES, "%s", text);
}

typedef struct {
    uint64_t tensors, elements;
} twin_sum;

static twin_sum sum_of(const random_model *m, const char *key)
{
    twin_sum sum = {0};
    for (uint32_t i = 0; i < m->count; i++) {
        char other[NAME_BYTES];
        size_t stem_bytes = 0;
        key_of(m->names[i], other, &stem_bytes);
        if (strcmp(key, other) == 0) {
            sum.tensors++;
            sum.elements += m->targets[i].elements;
        }
    }
    return sum;
}

/* The row that a block stands in: by name for a module outside, by stem and number for a layer. */
static const vs_layer_row *row_of(const vs_model_summary *s, const char *key, size_t stem_bytes)
{
    const vs_layer_row *found = NULL;
    for (uint32_t r = 0; r < s->row_count; r++) {
        const vs_layer_row *const row = &s->rows[r];
        bool is_it = stem_bytes == 0 && row->layer_count == 0 && strcmp(row->name, key) == 0;
        for (uint32_t i = 0; i < row->layer_count && stem_bytes > 0; i++) {
            is_it = is_it || (strlen(row->stem) == stem_bytes &&
                              strncmp(row->stem, key, stem_bytes) == 0 &&
                              row->layers[i] == strtoul(key + stem_bytes + 1, NULL, 10));
        }
        assert_true(!is_it || found == NULL); /* in one row only */
        found = is_it ? row : found;
    }
    return found;
}

static void check_round(const random_model *m, const vs_model_summary *s)
{
    uint64_t elements = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        char key[NAME_BYTES];
        size_t stem_bytes = 0;
        key_of(m->names[i], key, &stem_bytes);
        const twin_sum sum = sum_of(m, key);
        const vs_layer_row *const row = row_of(s, key, stem_bytes);
        if (row == NULL) {
            fail_msg("no row for %s", key);
            return;
        }
        assert_int_equal(row->one.tensors, sum.tensors);
        assert_int_equal(row->one.elements, sum.elements);
        assert_int_equal(row->one.bytes, sum.elements * 2);
        elements += m->targets[i].elements;
    }
    assert_int_equal(s->loaded.tensors, m->count);
    assert_int_equal(s->loaded.elements, elements);
}

static void rows_equal_the_twin(void **state)
{
    (void)state;
    random_model *const m = calloc(1, sizeof *m);
    vs_arena arena = {0};
    vs_rng rng = {0};
    print_message("seed %" PRIu64 "\n", SEED);
    vs_rng_seed(&rng, SEED);
    assert_non_null(m);
    assert_true(vs_arena_open(&arena, 4 * VS_MIB, NULL));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vs_model_summary s = {0};
        vs_arena_reset(&arena);
        fill(m, &rng);
        const vs_model model = {.model_type = "",
                                .config_dtype = VS_DT_BF16,
                                .targets = m->targets,
                                .target_count = m->count,
                                .modules = m->targets,
                                .module_count = m->count};
        assert_true(vs_model_summarise(&s, &model, &arena, NULL));
        check_round(m, &s);
    }
    vs_arena_close(&arena);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_equal_the_twin)};
    return cmocka_run_group_tests_name("prop_summary", tests, NULL, NULL);
}
