/* tests/unit/test_quantised_vectors.c - small checkpoints that are quantised already, against the real packages.
 *
 * tests/data/modules/quantised.json.gz holds checkpoints made with bitsandbytes, compressed-tensors and gptqmodel (fp8 by
 * its layout), and what Transformers 5.12.1 keeps in memory after loading them in bfloat16. It is written by
 * tests/tools/make_quantised_vectors.py, which needs the packages. From the config alone we must know every stored tensor
 * and every resident one. */
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

#define VECTORS     "tests/data/modules/quantised.json.gz"
#define TEXT_MAX    ((size_t)4 << 20)
#define CASES_FLOOR 55u /* fewer: the file was cut */

typedef struct {
    vs_arena arena;
    vs_json doc;
    char *text;
    vs_model model;
    char reason[512]; /* of the first difference */
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

static bool differs(bench *b, const char *format, ...) VS_PRINTF(2, 3);

/* Notes why a case differs; always false. */
static bool differs(bench *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(b->reason, sizeof b->reason, format, args);
    va_end(args);
    return false;
}

static vs_str as_text(const vs_jnode *node)
{
    vs_str value = {0};
    assert_true(vs_json_as_str(node, &value, NULL));
    return value;
}

/* One tensor of a list in the file: [name, dtype, shape]. */
typedef struct {
    const char *name, *dtype;
    uint64_t shape[VS_DIMS_MAX];
    uint32_t dim_count;
} wanted;

static wanted read_wanted(const vs_jnode *item)
{
    vs_jnode part = vs_json_first(item);
    wanted w = {.name = as_text(&part).ptr};
    part = vs_json_next(&part);
    w.dtype = as_text(&part).ptr;
    part = vs_json_next(&part);
    for (vs_jnode d = vs_json_first(&part); d.node != NULL; d = vs_json_next(&d)) {
        assert_true(w.dim_count < VS_DIMS_MAX);
        assert_true(vs_json_as_u64(&d, &w.shape[w.dim_count++], NULL));
    }
    return w;
}

static bool same_shape(bench *b, const wanted *w, const uint64_t *shape, uint32_t dims)
{
    if (dims == w->dim_count && memcmp(shape, w->shape, dims * sizeof shape[0]) == 0) {
        return true;
    }
    return differs(b,
                   "%s has %" PRIu32 " dimensions, the first %" PRIu64 "; expected %" PRIu32
                   ", the first %" PRIu64,
                   w->name, dims, dims > 0 ? shape[0] : 0, w->dim_count,
                   w->dim_count > 0 ? w->shape[0] : 0);
}

/* The JSON text in which bitsandbytes keeps a number of the data itself: its length cannot be known from a config. */
static bool is_text_of_unknown_length(const wanted *w, const vs_model *model)
{
    return strstr(w->name, ".quant_state.") != NULL &&
           strstr(model->quant.label, "double") != NULL;
}

static bool is_stored(bench *b, const wanted *w)
{
    for (uint32_t i = 0; i < b->model.tensor_count; i++) {
        const vs_tensor *const t = &b->model.tensors[i];
        if (strcmp(t->name, w->name) != 0) {
            continue;
        }
        if (strcmp(vs_dtype_name(t->dtype), w->dtype) != 0) {
            return differs(b, "%s is stored as %s, expected %s", w->name,
                           vs_dtype_name(t->dtype), w->dtype);
        }
        return is_text_of_unknown_length(w, &b->model) ||
               same_shape(b, w, t->shape, t->dim_count);
    }
    return differs(b, "%s is not among the stored tensors", w->name);
}

static bool is_counted(const vs_target *t)
{
    return (t->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0;
}

static bool is_resident(bench *b, const wanted *w)
{
    for (uint32_t i = 0; i < b->model.target_count; i++) {
        const vs_target *const t = &b->model.targets[i];
        const vs_dtype dtype = t->fixed_dtype == VS_DT_COUNT ? VS_DT_BF16 : t->fixed_dtype;
        if (!is_counted(t) || strcmp(t->name, w->name) != 0) {
            continue;
        }
        if (strcmp(vs_dtype_torch_name(dtype), w->dtype) != 0) {
            return differs(b, "%s is kept as %s, expected %s", w->name,
                           vs_dtype_torch_name(dtype), w->dtype);
        }
        return same_shape(b, w, t->shape, t->dim_count);
    }
    return differs(b, "%s is not among what is kept", w->name);
}

static bool same_list(bench *b, const vs_jnode *list, size_t count,
                      bool (*is_there)(bench *b, const wanted *w))
{
    for (vs_jnode item = vs_json_first(list); item.node != NULL; item = vs_json_next(&item)) {
        const wanted w = read_wanted(&item);
        if (!is_there(b, &w)) {
            return false;
        }
    }
    return count == vs_json_count(list) ||
           differs(b, "%zu tensors, expected %zu", count, vs_json_count(list));
}

static bool same_case(bench *b, const vs_jnode *c)
{
    const vs_jnode stored = vs_json_member(c, "stored");
    const vs_jnode resident = vs_json_member(c, "resident");
    const vs_jnode config = vs_json_member(c, "config");
    const vs_str text = as_text(&config);
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    if (!vs_model_from_config(&b->model, &b->arena, text.ptr, text.len, "config", &err)) {
        char line[1024];
        return differs(b, "%s", vs_err_line(&err, line, sizeof line));
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < b->model.target_count; i++) {
        kept += is_counted(&b->model.targets[i]);
    }
    return same_list(b, &stored, b->model.tensor_count, is_stored) &&
           same_list(b, &resident, kept, is_resident);
}

static void every_checkpoint_is_known_from_its_config(void **state)
{
    bench *b = *state;
    const vs_jnode root = vs_json_root(&b->doc);
    const vs_jnode cases = vs_json_member(&root, "cases");
    const vs_jnode about = vs_json_member(&root, "about");
    uint32_t seen = 0;
    uint32_t wrong = 0;
    for (vs_jnode c = vs_json_first(&cases); c.node != NULL; c = vs_json_next(&c)) {
        const vs_jnode name = vs_json_member(&c, "name");
        const bool is_equal = same_case(b, &c);
        seen++;
        if (!is_equal) {
            wrong++;
            printf("# %s: %s\n", as_text(&name).ptr, b->reason);
        }
    }
    printf("# %s\n# %" PRIu32 " wrong\n", as_text(&about).ptr, wrong);
    assert_true(seen >= CASES_FLOOR);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_checkpoint_is_known_from_its_config, open_bench,
                                        close_bench),
    };
    return cmocka_run_group_tests_name("quantised vectors", tests, NULL, NULL);
}
