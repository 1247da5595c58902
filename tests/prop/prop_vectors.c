/* tests/prop/prop_vectors.c - what must hold for every model that is built from a config, and after it was written and read.
 *
 * Over all configs of tests/data/modules (vectors and quantised): tensors in key order, shards that partition them, sources
 * and targets that name one another; then each is written to a folder and opened by its headers: nothing may have
 * changed. The configs are fixed, so there is no seed. */
#include "tests/support/written.h"

#include <zlib.h>

#define TEXT_MAX ((size_t)8 << 20)

typedef void check_model(written *w, const vs_model *m);

static vs_str as_text(const vs_jnode *node)
{
    vs_str value = {0};
    assert_true(vs_json_as_str(node, &value, NULL));
    return value;
}

/* Builds every config of a file and hands the model on; the arena is emptied in between. */
static uint32_t for_each_config(written *w, const char *path, check_model *check)
{
    vs_json doc = {0};
    uint32_t count = 0;
    char *const text = malloc(TEXT_MAX);
    gzFile in = gzopen(path, "rb");
    assert_non_null(text);
    assert_non_null(in);
    const int got = gzread(in, text, (unsigned)TEXT_MAX);
    assert_int_equal(gzclose(in), Z_OK);
    assert_true(got > 0 && (size_t)got < TEXT_MAX);
    assert_true(vs_json_parse(&doc, text, (size_t)got, path, NULL));
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode cases = vs_json_member(&root, "cases");
    for (vs_jnode c = vs_json_first(&cases); c.node != NULL; c = vs_json_next(&c)) {
        const vs_jnode name = vs_json_member(&c, "name");
        const vs_jnode config = vs_json_member(&c, "config");
        const vs_str bytes = as_text(&config);
        vs_model model = {0};
        vs_arena_reset(&w->arena);
        if (!vs_model_from_config(&model, &w->arena, bytes.ptr, bytes.len, as_text(&name).ptr,
                                  &w->err)) {
            written_fail(w);
        }
        check(w, &model);
        count++;
    }
    vs_json_close(&doc);
    free(text);
    return count;
}

/* ---- a model by itself ------------------------------------------------------------------------------- */

static void check_order(const vs_model *m)
{
    for (uint32_t i = 1; i < m->tensor_count; i++) {
        if (vs_key_compare(m->tensors[i - 1].name, m->tensors[i].name) >= 0) {
            fail_msg("%s: %s before %s", m->name, m->tensors[i - 1].name, m->tensors[i].name);
        }
    }
}

/* Every tensor in one shard that is there, and none of them empty. */
static void check_shards(written *w, const vs_model *m)
{
    vs_bytes *const sums = VS_ARRAY(&w->arena, vs_bytes, m->shard_count);
    vs_bytes total = 0;
    assert_non_null(sums);
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        vs_bytes bytes = 0;
        uint64_t elements = 1;
        const vs_tensor *const t = &m->tensors[i];
        assert_true(t->shard < m->shard_count);
        for (uint32_t d = 0; d < t->dim_count; d++) {
            elements *= t->shape[d];
        }
        assert_int_equal(t->elements, elements);
        assert_true(vs_dtype_bytes(t->dtype, elements, &bytes));
        assert_int_equal(t->size_bytes, bytes);
        sums[t->shard] += bytes;
    }
    for (uint32_t i = 0; i < m->shard_count; i++) {
        assert_true(sums[i] > 0);
        assert_int_equal(m->shards[i].size_bytes, sums[i]);
        total += sums[i];
    }
    assert_int_equal(m->checkpoint_bytes, total);
}

/* A merge takes as many elements as it makes; the sources of all targets lie end to end. */
static void check_list(const vs_model *m, const vs_target *targets, uint32_t target_count,
                       const uint32_t *sources, uint32_t source_count)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < target_count; i++) {
        const vs_target *const t = &targets[i];
        uint64_t elements = 0;
        assert_int_equal(t->first_source, next);
        next += t->source_count;
        assert_true(next <= source_count);
        for (uint32_t k = 0; k < t->source_count; k++) {
            assert_true(sources[t->first_source + k] < m->tensor_count);
            elements += m->tensors[sources[t->first_source + k]].elements;
        }
        if (t->source_count > 0 && t->companion_count == 0 && elements != t->elements) {
            fail_msg("%s: %s has %" PRIu64 " elements, its sources %" PRIu64, m->name, t->name,
                     t->elements, elements);
        }
        if ((t->flags & VS_TF_TIED) != 0) {
            assert_true(t->tied_to < i);
            assert_int_equal(targets[t->tied_to].elements, t->elements);
        }
    }
    assert_int_equal(next, source_count);
}

/* Each tensor that has a target is among that target's sources, and no other's. */
static void check_targets(const vs_model *m)
{
    uint32_t wanted = 0;
    check_list(m, m->targets, m->target_count, m->sources, m->source_count);
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        wanted += m->tensors[i].target != VS_NO_TARGET;
    }
    assert_int_equal(wanted, m->source_count);
    for (uint32_t i = 0; i < m->target_count; i++) {
        const vs_target *const t = &m->targets[i];
        for (uint32_t k = 0; k < t->source_count; k++) {
            assert_int_equal(m->tensors[m->sources[t->first_source + k]].target, i);
        }
    }
}

static void check_alone(written *w, const vs_model *m)
{
    check_order(m);
    check_shards(w, m);
    check_targets(m);
    if (m->quant.format == VS_QF_NONE) {
        assert_ptr_equal(m->modules, m->targets);
        assert_int_equal(m->module_count, m->target_count);
        assert_ptr_equal(m->module_sources, m->sources);
    } else {
        assert_ptr_not_equal(m->modules, m->targets);
        check_list(m, m->modules, m->module_count, m->module_sources, m->module_source_count);
    }
}

static void every_model_names_its_tensors_in_order_and_both_ways(void **state)
{
    written *w = *state;
    assert_true(for_each_config(w, "tests/data/modules/vectors.json.gz", check_alone) >= 250);
    assert_true(for_each_config(w, "tests/data/modules/quantised.json.gz", check_alone) >= 55);
}

/* ---- written and read ---------------------------------------------------------------------------------- */

static bool same_sources(const vs_model *a, const vs_model *b, const uint32_t *of_a,
                         const uint32_t *of_b, uint32_t count)
{
    vs_assert(count == 0 || (of_a != NULL && of_b != NULL));
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(a->tensors[of_a[i]].name, b->tensors[of_b[i]].name) != 0) {
            return false;
        }
    }
    return true;
}

static void same_target(const vs_model *m, const vs_target *a, const vs_target *b)
{
    if (strcmp(a->name, b->name) != 0 || a->dim_count != b->dim_count ||
        memcmp(a->shape, b->shape, sizeof a->shape) != 0 || a->flags != b->flags ||
        a->elements != b->elements || a->layer != b->layer || a->tied_to != b->tied_to ||
        a->merge != b->merge || a->part_count != b->part_count ||
        a->source_count != b->source_count || a->companion_count != b->companion_count ||
        a->fixed_dtype != b->fixed_dtype) {
        fail_msg("%s: %s became %s, flags %" PRIx32 " %" PRIx32 ", sources %" PRIu32 " %" PRIu32
                 ", companions %" PRIu32 " %" PRIu32 ", dtype %d %d",
                 m->name, a->name, b->name, a->flags, b->flags, a->source_count,
                 b->source_count, a->companion_count, b->companion_count, a->fixed_dtype,
                 b->fixed_dtype);
    }
}

static void same_tensors(const vs_model *a, const vs_model *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    vs_assert(a->tensor_count == 0 || (a->tensors != NULL && b->tensors != NULL));
    for (uint32_t i = 0; i < a->tensor_count; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_int_equal(a->tensors[i].dtype, b->tensors[i].dtype);
        assert_int_equal(a->tensors[i].dim_count, b->tensors[i].dim_count);
        assert_memory_equal(a->tensors[i].shape, b->tensors[i].shape,
                            sizeof a->tensors[i].shape);
        assert_int_equal(a->tensors[i].target, b->tensors[i].target);
    }
}

static void check_written(written *w, const vs_model *m)
{
    const vs_write_desc desc = {.folder = written_path(w, "d"), .is_forced = true};
    vs_write_result result = {0};
    vs_model again = {0};
    if (!vs_model_write(&result, &w->arena, m, &desc, &w->err) ||
        !vs_model_open(&again, &w->arena, written_path(w, "d"), &w->err)) {
        written_fail(w);
    }
    same_tensors(m, &again);
    assert_int_equal(m->target_count, again.target_count);
    assert_int_equal(m->module_count, again.module_count);
    for (uint32_t i = 0; i < m->target_count; i++) {
        same_target(m, &m->targets[i], &again.targets[i]);
    }
    for (uint32_t i = 0; i < m->module_count; i++) {
        same_target(m, &m->modules[i], &again.modules[i]);
    }
    assert_true(same_sources(m, &again, m->sources, again.sources, m->source_count));
    assert_true(same_sources(m, &again, m->module_sources, again.module_sources,
                             m->module_source_count));
    assert_int_equal(m->parameters, again.parameters);
    assert_int_equal(m->checkpoint_bytes, again.checkpoint_bytes);
    assert_int_equal(m->loaded_parameters, again.loaded_parameters);
    assert_int_equal(m->quant.format, again.quant.format);
}

static void every_model_is_the_same_after_it_was_written_and_read(void **state)
{
    written *w = *state;
    assert_true(for_each_config(w, "tests/data/modules/vectors.json.gz", check_written) >= 250);
    assert_true(for_each_config(w, "tests/data/modules/quantised.json.gz", check_written) >=
                55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(every_model_names_its_tensors_in_order_and_both_ways),
        WITH_WRITTEN(every_model_is_the_same_after_it_was_written_and_read),
    };
    return cmocka_run_group_tests_name("every model of the vectors", tests, NULL, NULL);
}
