/* tests/unit/test_gguf_write.c - models as GGUF files: what is written is read back as the same model. */
#include "sim/model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "tests/scratch.h"

typedef struct {
    scratch *s;
    vs_arena arena;
    vs_model model; /* what is written */
    vs_model back;  /* what is read */
    vs_gguf_image image;
    vs_err err;
} fixture;

static int open_fixture(void **state)
{
    void *s = NULL;
    if (scratch_open(&s) != 0) {
        return 1;
    }
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->s = s;
    *state = f;
    return vs_arena_open(&f->arena, 512 * VS_MIB, NULL) ? 0 : 1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    void *s = f->s;
    const int status = scratch_close(&s);
    vs_arena_close(&f->arena);
    free(f);
    return status;
}

static void open_model(fixture *f, const char *spec)
{
    vs_arena_reset(&f->arena);
    f->err = (vs_err){0};
    f->model = (vs_model){0};
    if (!vs_model_open(&f->model, &f->arena, spec, &f->err)) {
        scratch_fail(&f->err);
    }
}

/* Writes into memory and reads that. */
static void write_and_read(fixture *f, const vs_gguf_write_desc *desc)
{
    vs_gguf *const gguf = VS_NEW(&f->arena, vs_gguf);
    vs_shard *const shard = VS_NEW(&f->arena, vs_shard);
    vs_gguf_set set = {0};
    assert_non_null(gguf);
    assert_non_null(shard);
    f->back = (vs_model){.name = "back",
                         .model_type = "",
                         .architecture = "",
                         .no_split_class = "",
                         .config_dtype = VS_DT_COUNT};
    shard->file = "back.gguf";
    if (!vs_gguf_make_image(&f->image, &f->arena, &f->model, desc, &f->err) ||
        !vs_gguf_parse(gguf, &f->arena, f->image.head.ptr, f->image.head.len,
                       f->image.file_bytes, "back.gguf", &f->err) ||
        !vs_gguf_set_make(&set, &f->arena, gguf, shard, 1, &f->err) ||
        !vs_gguf_build(&f->back, &f->arena, &set, &f->err)) {
        scratch_fail(&f->err);
    }
}

static const char *text_name(const char *name, char buf[256])
{
    if (strncmp(name, "model.language_model.", 21) == 0) {
        (void)snprintf(buf, 256, "model.%s", name + 21);
        return buf;
    }
    return strncmp(name, "language_model.", 15) == 0 ? name + 15 : name;
}

static bool is_vision(const char *name)
{
    return strstr(name, "vision") != NULL || strstr(name, "multi_modal_projector") != NULL;
}

static void assert_equal(const fixture *f, const char *what, uint64_t written, uint64_t read)
{
    if (written != read) {
        fail_msg("%s: %s is %" PRIu64 " and comes back as %" PRIu64, f->model.name, what,
                 written, read);
    }
}

static void assert_same_module(const fixture *f, const vs_target *a, const vs_target *b)
{
    char buf[256];
    const uint32_t kinds = VS_TF_TIED | VS_TF_BUFFER;
    const bool is_stored = (a->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0;
    if (strcmp(text_name(a->name, buf), b->name) != 0) {
        fail_msg("%s: %s comes back as %s", f->model.name, a->name, b->name);
    }
    assert_equal(f, a->name, a->dim_count, b->dim_count);
    for (uint32_t i = 0; i < a->dim_count; i++) {
        assert_equal(f, a->name, a->shape[i], b->shape[i]);
    }
    assert_equal(f, a->name, a->flags & kinds, b->flags & kinds);
    assert_equal(f, a->name, is_stored, b->source_count != 0);
}

/* The module tree that was written, without the vision tower, is the one that is read. */
static void assert_same_modules(const fixture *f)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < f->model.module_count; i++) {
        const vs_target *const a = &f->model.modules[i];
        if (!is_vision(a->name)) {
            assert_true(k < f->back.module_count);
            assert_same_module(f, a, &f->back.modules[k++]);
        }
    }
    assert_equal(f, "the number of modules", k, f->back.module_count);
    for (uint32_t i = 0; i < f->back.tensor_count; i++) {
        if (f->back.tensors[i].target == VS_NO_TARGET) {
            fail_msg("%s: nothing takes %s", f->model.name, f->back.tensors[i].name);
        }
    }
}

static void assert_same_dims(const fixture *f)
{
    const vs_model_dims *const a = &f->model.dims;
    const vs_model_dims *const b = &f->back.dims;
    assert_equal(f, "hidden", a->hidden, b->hidden);
    assert_equal(f, "layers", a->layers, b->layers);
    assert_equal(f, "heads", a->heads, b->heads);
    assert_equal(f, "kv_heads", a->kv_heads, b->kv_heads);
    assert_equal(f, "head_dim", a->head_dim, b->head_dim);
    assert_equal(f, "vocab", a->vocab, b->vocab);
    assert_equal(f, "experts", a->experts, b->experts);
    assert_equal(f, "experts_per_token", a->experts_per_token, b->experts_per_token);
    assert_equal(f, "moe_intermediate", a->moe_intermediate, b->moe_intermediate);
}

/* ---- the catalogue ------------------------------------------------------------------------------- */

static void every_model_of_the_catalogue_comes_back(void **state)
{
    fixture *f = *state;
    uint32_t written = 0;
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const char *const name = vs_catalogue_model_at(i)->name;
        open_model(f, name);
        if (vs_gguf_arch_of_type(f->model.model_type) == NULL) {
            assert_string_equal(f->model.model_type, "opt"); /* llama.cpp has none */
            continue;
        }
        write_and_read(f, NULL);
        if (vs_family_find(vs_str_of(vs_gguf_arch_of_type(f->model.model_type)->model_type)) ==
            NULL) {
            print_message("%s: its text model alone is no family\n", name);
            continue;
        }
        assert_same_dims(f);
        assert_same_modules(f);
        if (f->image.left_out == 0) {
            assert_int_equal(f->back.loaded_parameters, f->model.loaded_parameters);
        }
        written++;
    }
    assert_true(written > 0);
}

static void stored_dtypes_are_kept(void **state)
{
    fixture *f = *state;
    open_model(f, "llama-2-7b");
    write_and_read(f, NULL);
    for (uint32_t i = 0; i < f->back.tensor_count; i++) {
        assert_int_equal(f->back.tensors[i].dtype, VS_DT_F16);
    }
    assert_int_equal(f->image.data_bytes, UINT64_C(2) * 6738415616);
    assert_int_equal(f->image.tensor_count, 291);
    assert_int_equal(f->image.left_out, 0);
}

static void experts_are_stacked(void **state)
{
    fixture *f = *state;
    open_model(f, "mixtral-8x7b");
    write_and_read(f, NULL);
    assert_int_equal(f->image.tensor_count, 3 + 32 * (6 + 1 + 3));
    assert_int_equal(f->image.data_bytes, f->model.checkpoint_bytes);
    assert_int_equal(f->back.tensor_count, f->image.tensor_count);
}

static void layers_can_be_left_away(void **state)
{
    fixture *f = *state;
    open_model(f, "llama-2-7b");
    const vs_gguf_write_desc two = {.layers = 2};
    write_and_read(f, &two);
    assert_int_equal(f->back.dims.layers, 2);
    assert_int_equal(f->image.tensor_count, 3 + 2 * 9);
}

/* ---- files ------------------------------------------------------------------------------------------ */

static void a_file_is_a_head_and_a_hole(void **state)
{
    fixture *f = *state;
    const char *const path = scratch_path(f->s, "m.gguf");
    struct stat info = {0};
    open_model(f, "llama-2-7b");
    const vs_gguf_write_desc two = {.layers = 2};
    if (!vs_gguf_write(&f->model, path, &two, &f->arena, &f->err) ||
        !vs_model_open(&f->back, &f->arena, path, &f->err)) {
        scratch_fail(&f->err);
    }
    assert_int_equal(f->back.dims.layers, 2);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > INT64_C(1300000000));
    assert_true(info.st_blocks * 512 < INT64_C(262144));
}

static void a_file_that_cannot_be_written_leaves_nothing(void **state)
{
    fixture *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/absent/m.gguf", f->s->dir);
    open_model(f, "llama-2-7b");
    assert_false(vs_gguf_write(&f->model, path, NULL, &f->arena, &f->err));
    assert_error_says(&f->err, "cannot create the file");
    /* a folder stands in the way: the temporary is taken away again */
    (void)snprintf(path, sizeof path, "%s", scratch_path(f->s, "taken"));
    assert_int_equal(mkdir(path, 0700), 0);
    f->err = (vs_err){0};
    assert_false(vs_gguf_write(&f->model, path, NULL, &f->arena, &f->err));
    assert_error_says(&f->err, "cannot put the file in its place");
    assert_int_equal(rmdir(path), 0); /* scratch_close's rmdir fails if a temporary were left */
}

static void types_that_llama_cpp_does_not_have_are_refused(void **state)
{
    fixture *f = *state;
    open_model(f, "llama-2-7b");
    f->model.model_type = "opt";
    assert_false(vs_gguf_make_image(&f->image, &f->arena, &f->model, NULL, &f->err));
    assert_error_says(&f->err, "llama.cpp has no architecture for models of the type \"opt\"");
    f->model.model_type = "";
    f->err = (vs_err){0};
    assert_false(vs_gguf_make_image(&f->image, &f->arena, &f->model, NULL, &f->err));
    assert_error_says(&f->err, "\"unknown\"; write safetensors");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_model_of_the_catalogue_comes_back),
        T(stored_dtypes_are_kept),
        T(experts_are_stacked),
        T(layers_can_be_left_away),
        T(a_file_is_a_head_and_a_hole),
        T(a_file_that_cannot_be_written_leaves_nothing),
        T(types_that_llama_cpp_does_not_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
