/* tests/unit/test_module_vectors.c - small and odd configs of every family against what Transformers builds.
 *
 * tests/data/modules/vectors.json.gz holds some 270 configs with the module tree of Transformers 5.12.1 (written by
 * tests/tools/make_module_vectors.py, which needs the package). Compared name by name: parameters and buffers with shape,
 * order and dtype, ties, class, no-split classes, and the names in the checkpoint. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define VECTORS  "tests/data/modules/vectors.json.gz"
#define TEXT_MAX ((size_t)8 << 20)
#define MODEL_TYPES                                                                            \
    25u /* 23 families; the text models of gemma3 and llama4 have types of their own */
#define REASON_MAX  512u
#define CASES_FLOOR 250u /* fewer: the file was cut */

typedef struct {
    vs_arena arena;
    vs_json doc;
    char *text;
    vs_model model;
    char reason[REASON_MAX]; /* of the first difference */
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    if (b == NULL || !vs_arena_open(&b->arena, 64 * VS_MIB, NULL)) {
        return 1;
    }
    b->text = malloc(TEXT_MAX);
    gzFile in = gzopen(VECTORS, "rb");
    if (b->text == NULL || in == NULL) {
        return 1;
    }
    const int got = gzread(in, b->text, (unsigned)TEXT_MAX);
    return gzclose(in) == Z_OK && got > 0 && (size_t)got < TEXT_MAX &&
                   vs_json_parse(&b->doc, b->text, (size_t)got, VECTORS, NULL)
               ? 0
               : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    vs_json_close(&b->doc);
    free(b->text);
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static vs_str text_of(const vs_jnode *object, const char *key)
{
    vs_str value = {0};
    assert_true(vs_json_get_str(object, key, true, &value, NULL));
    return value;
}

static vs_str as_text(const vs_jnode *node)
{
    vs_str value = {0};
    assert_true(vs_json_as_str(node, &value, NULL));
    return value;
}

/* Notes why a case differs; always false. */
static bool differs(bench *b, const char *format, ...) VS_PRINTF(2, 3);

static bool differs(bench *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(b->reason, sizeof b->reason, format, args);
    va_end(args);
    return false;
}

static void print_shape(char *out, size_t room, const uint64_t *shape, uint32_t dims)
{
    size_t used = (size_t)snprintf(out, room, "[");
    for (uint32_t i = 0; i < dims && used < room; i++) {
        used += (size_t)snprintf(out + used, room - used, "%s%" PRIu64, i > 0 ? ", " : "",
                                 shape[i]);
    }
    (void)snprintf(out + (used < room ? used : room - 1), used < room ? room - used : 1, "]");
}

/* list: a JSON shape */
static bool same_shape(bench *b, const vs_jnode *list, const char *name, const uint64_t *shape,
                       uint32_t dims)
{
    uint64_t wanted[VS_DIMS_MAX] = {0};
    uint32_t count = 0;
    for (vs_jnode d = vs_json_first(list); d.node != NULL; d = vs_json_next(&d)) {
        assert_true(count < VS_DIMS_MAX);
        assert_true(vs_json_as_u64(&d, &wanted[count++], NULL));
    }
    if (count == dims && memcmp(wanted, shape, count * sizeof wanted[0]) == 0) {
        return true;
    }
    char ours[128];
    char theirs[128];
    print_shape(ours, sizeof ours, shape, dims);
    print_shape(theirs, sizeof theirs, wanted, count);
    return differs(b, "%s is %s, expected %s", name, ours, theirs);
}

/* item: [name, shape, ...] */
static bool same_target(bench *b, const vs_jnode *item, const vs_target *t)
{
    if (item->node == NULL) {
        return differs(b, "%s is too many", t->name);
    }
    const vs_jnode name = vs_json_first(item);
    const vs_jnode shape = vs_json_next(&name);
    if (!vs_str_is(as_text(&name), t->name)) {
        return differs(b, "%s stands where %s was expected", t->name, as_text(&name).ptr);
    }
    return same_shape(b, &shape, t->name, t->shape, t->dim_count);
}

static bool same_parameters(bench *b, const vs_jnode *list)
{
    vs_jnode item = vs_json_first(list);
    for (uint32_t i = 0; i < b->model.module_count; i++) {
        const vs_target *const t = &b->model.modules[i];
        if ((t->flags & (VS_TF_BUFFER | VS_TF_TIED)) != 0) {
            continue;
        }
        if (!same_target(b, &item, t)) {
            return false;
        }
        if (t->fixed_dtype != VS_DT_COUNT) {
            return differs(b, "%s should be of the load dtype", t->name);
        }
        item = vs_json_next(&item);
    }
    return item.node == NULL || differs(b, "a parameter is missing at the end");
}

/* item: [name, shape, dtype after a load in bfloat16, persistent] */
static bool same_buffer(bench *b, const vs_jnode *item, const vs_target *t)
{
    if (!same_target(b, item, t)) {
        return false;
    }
    vs_jnode part = vs_json_first(item);
    part = vs_json_next(&part);
    part = vs_json_next(&part);
    const vs_dtype ours = t->fixed_dtype == VS_DT_COUNT ? VS_DT_BF16 : t->fixed_dtype;
    if (vs_dtype_find_torch(as_text(&part)) != ours) {
        return differs(b, "%s is %s, expected %s", t->name, vs_dtype_torch_name(ours),
                       as_text(&part).ptr);
    }
    part = vs_json_next(&part);
    bool is_persistent = false;
    assert_true(vs_json_as_bool(&part, &is_persistent, NULL));
    return is_persistent == ((t->flags & VS_TF_NON_PERSISTENT) == 0) ||
           differs(b, "%s should %sbe persistent", t->name, is_persistent ? "" : "not ");
}

static bool same_buffers(bench *b, const vs_jnode *list)
{
    vs_jnode item = vs_json_first(list);
    for (uint32_t i = 0; i < b->model.module_count; i++) {
        const vs_target *const t = &b->model.modules[i];
        if ((t->flags & VS_TF_BUFFER) == 0) {
            continue;
        }
        if (!same_buffer(b, &item, t)) {
            return false;
        }
        item = vs_json_next(&item);
    }
    return item.node == NULL || differs(b, "a buffer is missing at the end");
}

/* ties: {"lm_head.weight": "model.embed_tokens.weight"} */
static bool same_ties(bench *b, const vs_jnode *ties)
{
    size_t count = 0;
    for (uint32_t i = 0; i < b->model.module_count; i++) {
        const vs_target *const t = &b->model.modules[i];
        if ((t->flags & VS_TF_TIED) == 0 || t->tied_to == VS_NO_TARGET || t->tied_to > i) {
            continue;
        }
        const vs_jnode with = vs_json_member(ties, t->name);
        const char *const ours = b->model.modules[t->tied_to].name;
        if (with.node == NULL || !vs_str_is(as_text(&with), ours)) {
            return differs(b, "%s should not be tied to %s", t->name, ours);
        }
        count++;
    }
    return count == vs_json_count(ties) ||
           differs(b, "%zu tied parameters, expected %zu", count, vs_json_count(ties));
}

static bool is_listed(const char *list, vs_str name)
{
    for (const char *at = list; *at != '\0';) {
        const size_t len = strcspn(at, ",");
        if (len == name.len && memcmp(at, name.ptr, len) == 0) {
            return true;
        }
        at += len;
        at += *at == ',';
    }
    return false;
}

static bool same_names(bench *b, const vs_jnode *c)
{
    const vs_str class_name = text_of(c, "class");
    if (!vs_str_is(class_name, b->model.architecture)) {
        return differs(b, "class %s, expected %s", b->model.architecture, class_name.ptr);
    }
    const vs_jnode list = vs_json_member(c, "no_split");
    for (vs_jnode n = vs_json_first(&list); n.node != NULL; n = vs_json_next(&n)) {
        if (!is_listed(b->model.no_split_class, as_text(&n))) {
            return differs(b, "no-split class %s is not among \"%s\"", as_text(&n).ptr,
                           b->model.no_split_class);
        }
    }
    return true;
}

static bool is_expected_tensor(bench *b, const vs_jnode *item)
{
    const vs_jnode name = vs_json_first(item);
    const vs_jnode shape = vs_json_next(&name);
    for (uint32_t i = 0; i < b->model.tensor_count; i++) {
        const vs_tensor *const t = &b->model.tensors[i];
        if (vs_str_is(as_text(&name), t->name)) {
            return t->target != VS_NO_TARGET
                       ? same_shape(b, &shape, t->name, t->shape, t->dim_count)
                       : differs(b, "%s should be loaded", t->name);
        }
    }
    return differs(b, "%s is not among the tensors of the checkpoint", as_text(&name).ptr);
}

/* What save_pretrained would store, in any order; tensors that are not loaded are beside it. */
static bool same_checkpoint(bench *b, const vs_jnode *list)
{
    size_t loaded = 0;
    for (uint32_t i = 0; i < b->model.tensor_count; i++) {
        loaded += b->model.tensors[i].target != VS_NO_TARGET;
    }
    if (loaded != vs_json_count(list)) {
        return differs(b, "%zu tensors are loaded, expected %zu", loaded, vs_json_count(list));
    }
    for (vs_jnode item = vs_json_first(list); item.node != NULL; item = vs_json_next(&item)) {
        if (!is_expected_tensor(b, &item)) {
            return false;
        }
    }
    return true;
}

static bool same_case(bench *b, const vs_jnode *c)
{
    const vs_str config = text_of(c, "config");
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    if (!vs_model_from_config(&b->model, &b->arena, config.ptr, config.len, "config", &err)) {
        char line[1024];
        return differs(b, "%s", vs_err_line(&err, line, sizeof line));
    }
    const vs_jnode params = vs_json_member(c, "params");
    const vs_jnode buffers = vs_json_member(c, "buffers");
    const vs_jnode ties = vs_json_member(c, "tied");
    const vs_jnode stored = vs_json_member(c, "stored");
    return same_names(b, c) && same_parameters(b, &params) && same_buffers(b, &buffers) &&
           same_ties(b, &ties) && (stored.node == NULL || same_checkpoint(b, &stored));
}

static void every_config_gives_the_modules_that_transformers_builds(void **state)
{
    bench *b = *state;
    const vs_jnode root = vs_json_root(&b->doc);
    const vs_jnode cases = vs_json_member(&root, "cases");
    const char *last_type = "";
    uint32_t types = 0;
    uint32_t seen = 0;
    uint32_t wrong = 0;
    for (vs_jnode c = vs_json_first(&cases); c.node != NULL; c = vs_json_next(&c)) {
        const char *const type = text_of(&c, "model_type").ptr;
        types += strcmp(type, last_type) != 0; /* cases of one type stand together */
        last_type = type;
        seen++;
        if (!same_case(b, &c)) {
            wrong++;
            printf("# %s: %s\n", text_of(&c, "name").ptr, b->reason);
        }
    }
    printf("# %s\n# %" PRIu32 " model types, %" PRIu32 " configs, %" PRIu32 " differ\n",
           text_of(&root, "about").ptr, types, seen, wrong);
    assert_int_equal(types, MODEL_TYPES);
    assert_true(seen >= CASES_FLOOR);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_config_gives_the_modules_that_transformers_builds,
                                        open_bench, close_bench),
    };
    return cmocka_run_group_tests_name("module vectors", tests, NULL, NULL);
}
