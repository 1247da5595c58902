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
    assert_int_equal(vs_catalogue_model_count(), 34);
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        vs_json doc = parse_entry(entry);
        const vs_jnode root = vs_json_root(&doc);
        const vs_jnode truth = vs_json_member(&root, "truth");
        const vs_model model = open_model(b, entry->name);
        assert_int_equal(model.parameters, number(&truth, "parameters"));
        assert_int_equal(model.checkpoint_bytes, number(&truth, "checkpoint_bytes"));
        assert_int_equal(model.tensor_count, number(&truth, "tensors"));
        uint64_t shards =
            model.shard_count; /* left out where no rule gives the published count */
        assert_true(vs_json_get_u64(&truth, "shards", false, &shards, NULL));
        assert_int_equal(model.shard_count, shards);
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
    model = open_model(b, "mixtral-8x7b");
    assert_int_equal(model.checkpoint_bytes, 93405585408);
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

/* One model of the facts against ours. A reason is set where something differs. */
typedef struct {
    uint64_t parameters, tensors, bytes; /* truth */
    uint64_t modules;                    /* parameters and buffers of ours, tied ones once */
    uint64_t real_modules;               /* of the real module tree */
    char reason[256];
} verdict;

static void differs(verdict *v, const char *format, ...) VS_PRINTF(2, 3);

static void differs(verdict *v, const char *format, ...)
{
    if (v->reason[0] != '\0') {
        return; /* the first one is told */
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(v->reason, sizeof v->reason, format, args);
    va_end(args);
}

static void same_number(verdict *v, const char *what, uint64_t ours, uint64_t truth)
{
    if (ours != truth) {
        differs(v, "%s: %" PRIu64 ", truth %" PRIu64, what, ours, truth);
    }
}

/* Bytes of every dtype, and the largest tensor. */
static void compare_tensors(verdict *v, const vs_model *model, const vs_jnode *truth)
{
    const vs_jnode by_dtype = vs_json_member(truth, "bytes_by_dtype");
    vs_bytes bytes[VS_DT_COUNT] = {0};
    vs_bytes largest = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_tensor *const t = &model->tensors[i];
        bytes[t->dtype] += t->size_bytes;
        largest = t->size_bytes > largest ? t->size_bytes : largest;
    }
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        uint64_t wanted = 0;
        assert_true(
            vs_json_get_u64(&by_dtype, vs_dtype_name((vs_dtype)d), false, &wanted, NULL));
        same_number(v, vs_dtype_name((vs_dtype)d), bytes[d], wanted);
    }
    same_number(v, "largest tensor", largest, number(truth, "largest_tensor_bytes"));
}

/* The published shard count, unless the entry leaves it out (its notes say why). */
static void compare_shards(verdict *v, const vs_model *model, const vs_catalogue_model *entry,
                           const vs_jnode *truth)
{
    vs_json doc = parse_entry(entry);
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode own = vs_json_member(&root, "truth");
    if (vs_json_member(&own, "shards").node != NULL) {
        same_number(v, "shards", model->shard_count, number(truth, "shards"));
    } else {
        assert_true(text_of(&root, "notes").len > 0);
    }
    vs_json_close(&doc);
}

/* ["name", [shape], ...] against one target. */
static bool is_same_target(const vs_jnode *item, const vs_target *t)
{
    vs_jnode part = vs_json_first(item);
    vs_str name = {0};
    if (item->node == NULL || !vs_json_as_str(&part, &name, NULL) ||
        !vs_str_is(name, t->name)) {
        return false;
    }
    part = vs_json_next(&part);
    uint32_t dims = 0;
    for (vs_jnode d = vs_json_first(&part); d.node != NULL; d = vs_json_next(&d)) {
        uint64_t value = 0;
        if (!vs_json_as_u64(&d, &value, NULL) || dims == t->dim_count ||
            t->shape[dims] != value) {
            return false;
        }
        dims++;
    }
    return dims == t->dim_count;
}

/* Modules that are buffers (or are not), tied ones left out, against a list in the same order. */
static void compare_list(verdict *v, const vs_model *model, const vs_jnode *list,
                         bool is_buffer)
{
    vs_jnode item = vs_json_first(list);
    for (uint32_t i = 0; i < model->module_count; i++) {
        const vs_target *const t = &model->modules[i];
        if (((t->flags & VS_TF_BUFFER) != 0) != is_buffer || (t->flags & VS_TF_TIED) != 0) {
            continue;
        }
        if (!is_same_target(&item, t)) {
            differs(v, "module %s", t->name);
            return;
        }
        item = vs_json_next(&item);
    }
    if (item.node != NULL) {
        differs(v, "modules: some are missing at the end");
    }
}

static bool is_listed(const char *list, vs_str name)
{
    const char *const at = strstr(list, name.ptr);
    return at != NULL && (at == list || at[-1] == ',') &&
           (at[name.len] == ',' || at[name.len] == '\0');
}

/* The real module tree: names, shapes, order, what must not be split, elements. */
static void compare_modules(verdict *v, const vs_model *model, const vs_jnode *real)
{
    const vs_jnode params = vs_json_member(real, "params");
    const vs_jnode buffers = vs_json_member(real, "buffers");
    const vs_jnode no_split = vs_json_member(real, "no_split");
    const vs_jnode first = vs_json_first(&no_split);
    vs_str class_name = {0};
    compare_list(v, model, &params, false);
    compare_list(v, model, &buffers, true);
    assert_true(vs_json_as_str(&first, &class_name, NULL));
    if (!is_listed(model->no_split_class, class_name)) {
        differs(v, "no-split classes \"%s\" without %s", model->no_split_class, class_name.ptr);
    }
    v->real_modules = vs_json_count(&params) + vs_json_count(&buffers);
    uint64_t elements = 0;
    for (uint32_t i = 0; i < model->module_count; i++) {
        const vs_target *const t = &model->modules[i];
        v->modules += (t->flags & VS_TF_TIED) == 0;
        elements += (t->flags & (VS_TF_BUFFER | VS_TF_TIED)) == 0 ? t->elements : 0;
    }
    same_number(v, "modules", v->modules, v->real_modules);
    same_number(v, "elements of the modules", elements, number(real, "n_params"));
}

static vs_jnode find_named(const vs_jnode *list, vs_str name)
{
    vs_jnode m = vs_json_first(list);
    while (m.node != NULL && !vs_str_is(text_of(&m, "name"), name.ptr)) {
        m = vs_json_next(&m);
    }
    return m;
}

static void print_row(const char *name, const vs_model *model, const verdict *v)
{
    printf("# %-22s %12" PRIu64 " %12" PRIu64 " %6" PRIu32 " %6" PRIu64 " %12" PRIu64
           " %12" PRIu64 " %5" PRIu64 " %5" PRIu64 "  %s%s\n",
           name, model->parameters, v->parameters, model->tensor_count, v->tensors,
           model->checkpoint_bytes, v->bytes, v->modules, v->real_modules,
           v->reason[0] == '\0' ? "equal" : "DIFFERS: ", v->reason);
}

static bool is_equal_to_facts(bench *b, const vs_catalogue_model *entry, const vs_jnode *fact,
                              const vs_jnode *real)
{
    const vs_jnode truth = vs_json_member(fact, "truth");
    const vs_model model = open_model(b, entry->name);
    verdict v = {.parameters = number(&truth, "params"),
                 .tensors = number(&truth, "tensors"),
                 .bytes = number(&truth, "total_size_bytes")};
    same_number(&v, "parameters", model.parameters, v.parameters);
    same_number(&v, "tensors", model.tensor_count, v.tensors);
    same_number(&v, "bytes", model.checkpoint_bytes, v.bytes);
    compare_tensors(&v, &model, &truth);
    compare_shards(&v, &model, entry, &truth);
    compare_modules(&v, &model, real);
    uint64_t loaded = model.loaded_parameters;
    assert_true(vs_json_get_u64(&truth, "params_loaded_by_transformers", false, &loaded, NULL));
    same_number(&v, "loaded parameters", model.loaded_parameters, loaded);
    print_row(entry->name, &model, &v);
    return v.reason[0] == '\0';
}

/* The table: every model of the facts, ours beside the truth. */
static void every_entry_equals_the_facts(void **state)
{
    bench *b = *state;
    size_t bytes[2] = {0, 0};
    char *const facts_text = read_facts(FACTS "models.json", &bytes[0]);
    char *const real_text = read_facts(FACTS "real-modules.json.gz", &bytes[1]);
    if (facts_text == NULL || real_text == NULL) {
        free(facts_text);
        free(real_text);
        skip();
        return;
    }
    vs_json facts = {0};
    vs_json real = {0};
    assert_true(vs_json_parse(&facts, facts_text, bytes[0], "models.json", NULL));
    assert_true(vs_json_parse(&real, real_text, bytes[1], "real-modules.json", NULL));
    const vs_jnode list = vs_json_root(&facts);
    const vs_jnode real_root = vs_json_root(&real);
    const vs_jnode real_list = vs_json_member(&real_root, "models");
    uint32_t seen = 0;
    uint32_t equal = 0;
    printf("# %-22s %12s %12s %6s %6s %12s %12s %5s %5s\n", "model", "parameters", "truth",
           "tensors", "truth", "bytes", "truth", "modules", "truth");
    for (vs_jnode m = vs_json_first(&list); m.node != NULL; m = vs_json_next(&m)) {
        const vs_catalogue_model *const entry = vs_catalogue_model_find(text_of(&m, "hf_repo"));
        const vs_jnode modules = find_named(&real_list, text_of(&m, "name"));
        assert_non_null(modules.node);
        seen++;
        if (entry == NULL) {
            printf("# %-22s is not in the catalogue\n", text_of(&m, "name").ptr);
        } else {
            equal += is_equal_to_facts(b, entry, &m, &modules);
        }
    }
    printf("# %" PRIu32 " of %" PRIu32 " equal\n", equal, seen);
    assert_int_equal(seen, 34);
    assert_int_equal(equal, seen);
    vs_json_close(&real);
    vs_json_close(&facts);
    free(real_text);
    free(facts_text);
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
        T(every_entry_equals_the_facts),
    };
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
