/* tests/unit/test_catalogue.c - the built-in models against what is published and what Transformers builds.
 *
 * Every entry carries its truth and is always held against it. When ../shared is there, also against facts/models.json
 * (parameters, bytes, tensors) and facts/real-modules.json.gz (names, shapes and order of Transformers 5.12.1). */
#include "vramscope/hardware.h"
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define FACTS "../shared/facts/"

typedef struct {
    vs_arena arena;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 256 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static vs_model open_model(bench *b, const char *name)
{
    vs_model model = {0};
    vs_err err = {0};
    char line[1024];
    vs_arena_reset(&b->arena);
    if (!vs_model_open(&model, &b->arena, name, &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return model;
}

static vs_json parse_entry(const vs_catalogue_model *entry)
{
    vs_json doc = {0};
    vs_err err = {0};
    char line[1024];
    const vs_str text = vs_catalogue_model_text(entry);
    if (!vs_json_parse(&doc, text.ptr, text.len, entry->name, &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return doc;
}

static uint64_t number(const vs_jnode *object, const char *key)
{
    uint64_t value = 0;
    vs_err err = {0};
    if (!vs_json_get_u64(object, key, true, &value, &err)) {
        fail_msg("%s: %s", key, err.text);
    }
    return value;
}

static vs_str text_of(const vs_jnode *object, const char *key)
{
    vs_str value = {0};
    vs_err err = {0};
    if (!vs_json_get_str(object, key, true, &value, &err)) {
        fail_msg("%s: %s", key, err.text);
    }
    return value;
}

static void every_entry_equals_its_own_truth(void **state)
{
    bench *b = *state;
    assert_true(vs_catalogue_model_count() >= 18);
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        vs_json doc = parse_entry(entry);
        const vs_jnode root = vs_json_root(&doc);
        const vs_jnode truth = vs_json_member(&root, "truth");
        const vs_model model = open_model(b, entry->name);
        assert_int_equal(model.parameters, number(&truth, "parameters"));
        assert_int_equal(model.checkpoint_bytes, number(&truth, "checkpoint_bytes"));
        assert_int_equal(model.tensor_count, number(&truth, "tensors"));
        assert_int_equal(model.shard_count, number(&truth, "shards"));
        uint64_t loaded = model.parameters;
        assert_true(vs_json_get_u64(&truth, "loaded_parameters", false, &loaded, NULL));
        assert_int_equal(model.loaded_parameters, loaded);
        assert_string_equal(model.source, "catalogue");
        vs_json_close(&doc);
    }
}

static void list_and_files_say_the_same(void **state)
{
    (void)state;
    size_t file_count = 0;
    for (size_t i = 0; i < vs_embedded_count; i++) {
        file_count += strncmp(vs_embedded_files[i].name, "models/", 7) == 0;
    }
    assert_int_equal(file_count, vs_catalogue_model_count());
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        vs_json doc = parse_entry(entry);
        const vs_jnode root = vs_json_root(&doc);
        assert_true(vs_str_is(text_of(&root, "name"), entry->name));
        assert_true(vs_str_is(text_of(&root, "hub"), entry->hub));
        assert_true(text_of(&root, "source").len > 0);
        vs_json_close(&doc);
    }
}

static void names_and_hub_names_are_found_in_any_case(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        char upper[128] = "";
        for (size_t k = 0; entry->hub[k] != '\0'; k++) {
            upper[k] = (char)toupper((unsigned char)entry->hub[k]);
        }
        assert_ptr_equal(vs_catalogue_model_find(vs_str_of(entry->name)), entry);
        assert_ptr_equal(vs_catalogue_model_find(vs_str_of(upper)), entry);
    }
    assert_null(vs_catalogue_model_find(vs_str_of("llama-2-7")));
    assert_null(vs_catalogue_model_find(vs_str_of("")));
}

static void an_unknown_name_suggests_the_nearest(void **state)
{
    bench *b = *state;
    vs_model model = {0};
    vs_err err = {0};
    assert_false(vs_model_open(&model, &b->arena, "lama-2-7b", &err));
    assert_int_equal(err.code, VS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "llama-2-7b"));
    assert_string_equal(err.input, "lama-2-7b");
}

/* specs/transformers-loading.md [9.1], [9.2]. */
static void the_worked_examples_have_their_sizes(void **state)
{
    bench *b = *state;
    vs_model model = open_model(b, "llama-2-7b");
    assert_int_equal(model.loaded_parameters, 6738415616);
    assert_int_equal(model.target_count - 2, 291);
    vs_bytes bytes = 0;
    assert_true(vs_model_kv_bytes_per_token(&model, VS_DT_BF16, &bytes));
    assert_int_equal(bytes, 524288);
    model = open_model(b, "mixtral-8x7b");
    assert_int_equal(model.checkpoint_bytes, 93405585408);
    assert_true(vs_model_kv_bytes_per_token(&model, VS_DT_BF16, &bytes));
    assert_int_equal(bytes, 131072);
    for (uint32_t i = 0; i < model.target_count; i++) {
        if (model.targets[i].merge == VS_MERGE_STACK_CAT) {
            assert_int_equal(model.targets[i].elements, 939524096);
        }
    }
}

static void a_stored_tied_head_is_read_and_shared(void **state)
{
    bench *b = *state;
    const vs_model model = open_model(b, "qwen3-0.6b");
    const vs_target *const head = &model.targets[model.target_count - 1];
    assert_string_equal(head->name, "lm_head.weight");
    assert_true((head->flags & VS_TF_TIED) != 0);
    assert_int_equal(head->source_count, 1);
    assert_int_equal(model.tensors[0].target, model.target_count - 1);
    assert_int_equal(model.note_count, 1);
}

static void rotary_tensors_of_llama_2_are_dropped_with_a_note(void **state)
{
    bench *b = *state;
    const vs_model model = open_model(b, "llama-2-70b");
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < model.tensor_count; i++) {
        dropped += model.tensors[i].target == VS_NO_TARGET;
    }
    assert_int_equal(dropped, 80);
    assert_string_equal(
        model.notes[0],
        "80 tensors are ignored on load: model.layers.*.self_attn.rotary_emb.inv_freq");
}

/* ---- against ../shared ------------------------------------------------------------------------- */

/* A gzip file, whole; also reads plain files. NULL when it is not there. */
static char *read_facts(const char *path, size_t *bytes)
{
    if (access(path, R_OK) != 0) {
        printf("# skipped: %s is not here\n", path);
        return NULL;
    }
    gzFile in = gzopen(path, "rb");
    assert_non_null(in);
    const size_t room = (size_t)32 << 20;
    char *const text = malloc(room);
    assert_non_null(text);
    const int got = gzread(in, text, (unsigned)room);
    assert_true(got > 0 && (size_t)got < room);
    assert_int_equal(gzclose(in), Z_OK);
    *bytes = (size_t)got;
    return text;
}

static void every_entry_equals_the_published_figures(void **state)
{
    bench *b = *state;
    size_t bytes = 0;
    char *const text = read_facts(FACTS "models.json", &bytes);
    if (text == NULL) {
        skip();
    }
    vs_json doc = {0};
    uint32_t matched = 0;
    assert_true(vs_json_parse(&doc, text, bytes, "models.json", NULL));
    const vs_jnode list = vs_json_root(&doc);
    for (vs_jnode m = vs_json_first(&list); m.node != NULL; m = vs_json_next(&m)) {
        const vs_catalogue_model *const entry = vs_catalogue_model_find(text_of(&m, "hf_repo"));
        if (entry == NULL) {
            continue;
        }
        matched++;
        const vs_jnode truth = vs_json_member(&m, "truth");
        const vs_model model = open_model(b, entry->name);
        assert_int_equal(model.parameters, number(&truth, "params"));
        assert_int_equal(model.checkpoint_bytes, number(&truth, "total_size_bytes"));
        assert_int_equal(model.tensor_count, number(&truth, "tensors"));
        assert_int_equal(model.shard_count, number(&truth, "shards"));
        vs_bytes largest = 0;
        for (uint32_t i = 0; i < model.tensor_count; i++) {
            largest =
                model.tensors[i].size_bytes > largest ? model.tensors[i].size_bytes : largest;
        }
        assert_int_equal(largest, number(&truth, "largest_tensor_bytes"));
    }
    assert_int_equal(matched, vs_catalogue_model_count());
    vs_json_close(&doc);
    free(text);
}

/* ["name", [shape], ...] against one target. */
static void check_shape(const vs_jnode *item, const vs_target *t)
{
    vs_jnode part = vs_json_first(item);
    vs_str name = {0};
    assert_true(vs_json_as_str(&part, &name, NULL));
    assert_string_equal(t->name, name.ptr);
    part = vs_json_next(&part);
    uint32_t dims = 0;
    for (vs_jnode d = vs_json_first(&part); d.node != NULL; d = vs_json_next(&d)) {
        uint64_t value = 0;
        assert_true(vs_json_as_u64(&d, &value, NULL));
        assert_int_equal(t->shape[dims++], value);
    }
    assert_int_equal(t->dim_count, dims);
}

/* Targets that are buffers (or are not), tied ones left out, against a list in the same order. */
static void check_list(const vs_model *model, const vs_jnode *list, bool is_buffer)
{
    vs_jnode item = vs_json_first(list);
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *const t = &model->targets[i];
        if (((t->flags & VS_TF_BUFFER) != 0) != is_buffer || (t->flags & VS_TF_TIED) != 0) {
            continue;
        }
        assert_non_null(item.node);
        check_shape(&item, t);
        item = vs_json_next(&item);
    }
    assert_null(item.node);
}

static bool is_catalogued(const vs_jnode *real, const vs_catalogue_model **entry)
{
    const vs_str name = text_of(real, "name");
    *entry = vs_catalogue_model_find(name);
    return *entry != NULL;
}

static void every_module_tree_equals_what_transformers_builds(void **state)
{
    bench *b = *state;
    size_t bytes = 0;
    char *const text = read_facts(FACTS "real-modules.json.gz", &bytes);
    if (text == NULL) {
        skip();
    }
    vs_json doc = {0};
    uint32_t matched = 0;
    assert_true(vs_json_parse(&doc, text, bytes, "real-modules.json", NULL));
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode list = vs_json_member(&root, "models");
    for (vs_jnode m = vs_json_first(&list); m.node != NULL; m = vs_json_next(&m)) {
        const vs_catalogue_model *entry = NULL;
        if (!is_catalogued(&m, &entry)) {
            continue;
        }
        matched++;
        const vs_model model = open_model(b, entry->name);
        const vs_jnode params = vs_json_member(&m, "params");
        const vs_jnode buffers = vs_json_member(&m, "buffers");
        const vs_jnode no_split = vs_json_member(&m, "no_split");
        const vs_jnode first = vs_json_first(&no_split);
        vs_str class_name = {0};
        check_list(&model, &params, false);
        check_list(&model, &buffers, true);
        assert_true(vs_json_as_str(&first, &class_name, NULL));
        assert_string_equal(model.no_split_class, class_name.ptr);
        assert_string_equal(model.architecture, text_of(&m, "class").ptr);
        assert_int_equal(model.loaded_parameters, number(&m, "n_params"));
    }
    assert_int_equal(matched, vs_catalogue_model_count());
    vs_json_close(&doc);
    free(text);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_entry_equals_its_own_truth),
        T(list_and_files_say_the_same),
        T(names_and_hub_names_are_found_in_any_case),
        T(an_unknown_name_suggests_the_nearest),
        T(the_worked_examples_have_their_sizes),
        T(a_stored_tied_head_is_read_and_shared),
        T(rotary_tensors_of_llama_2_are_dropped_with_a_note),
        T(every_entry_equals_the_published_figures),
        T(every_module_tree_equals_what_transformers_builds),
    };
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
