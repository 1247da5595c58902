/* tests/unit/test_write.c - a model written as a checkpoint is that model when it is read again. */
#include "tests/support/config.h"
#include "tests/support/written.h"

#define TINY_MIXTRAL "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}"

static vs_model model_of(written *w, const char *config)
{
    vs_model model = {0};
    if (!vs_model_from_config(&model, &w->arena, config, strlen(config), "tiny", &w->err)) {
        written_fail(w);
    }
    model.config_text = config;
    return model;
}

static vs_write_result writes(written *w, const vs_model *model, const char *folder,
                              uint64_t layers)
{
    const vs_write_desc desc = {.folder = written_path(w, folder), .layers = layers};
    vs_write_result result = {0};
    if (!vs_model_write(&result, &w->arena, model, &desc, &w->err)) {
        written_fail(w);
    }
    return result;
}

static vs_model read_again(written *w, const char *folder)
{
    vs_model model = {0};
    if (!vs_model_open(&model, &w->arena, written_path(w, folder), &w->err)) {
        written_fail(w);
    }
    return model;
}

static void assert_same_model(const vs_model *a, const vs_model *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    assert_int_equal(a->target_count, b->target_count);
    assert_int_equal(a->checkpoint_bytes, b->checkpoint_bytes);
    assert_int_equal(a->parameters, b->parameters);
    assert_int_equal(a->loaded_parameters, b->loaded_parameters);
    for (uint32_t i = 0; i < a->tensor_count; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_int_equal(a->tensors[i].dtype, b->tensors[i].dtype);
        assert_int_equal(a->tensors[i].dim_count, b->tensors[i].dim_count);
        assert_memory_equal(a->tensors[i].shape, b->tensors[i].shape,
                            sizeof a->tensors[i].shape);
        assert_int_equal(a->tensors[i].target, b->tensors[i].target);
    }
    for (uint32_t i = 0; i < a->target_count; i++) {
        assert_string_equal(a->targets[i].name, b->targets[i].name);
        assert_int_equal(a->targets[i].elements, b->targets[i].elements);
        assert_int_equal(a->targets[i].merge, b->targets[i].merge);
    }
}

static void a_model_is_the_same_after_it_was_written_and_read(void **state)
{
    written *w = *state;
    const vs_model model = model_of(w, TINY_MIXTRAL);
    const vs_write_result result = writes(w, &model, "d", 0);
    const vs_model again = read_again(w, "d");
    assert_same_model(&model, &again);
    assert_string_equal(again.source, "safetensors");
    assert_int_equal(again.note_count, 0);
    assert_int_equal(result.tensor_count, model.tensor_count);
    assert_int_equal(result.data_bytes, model.checkpoint_bytes);
    assert_true(result.has_config);
}

static void one_layer_of_it_is_what_its_config_with_one_layer_says(void **state)
{
    written *w = *state;
    const vs_model model = model_of(w, TINY_MIXTRAL);
    (void)writes(w, &model, "d", 1);
    const vs_model cut = read_again(w, "d");
    const vs_model from_config = read_again(w, "d/config.json");
    assert_int_equal(cut.dims.layers, 1);
    assert_int_equal(cut.note_count, 0);
    assert_same_model(&from_config, &cut);
    assert_true(cut.tensor_count < model.tensor_count);
}

static void what_was_read_from_headers_is_written_with_the_same_headers(void **state)
{
    written *w = *state;
    const vs_model model = model_of(w, TINY_MIXTRAL);
    uint64_t first_bytes = 0;
    uint64_t second_bytes = 0;
    (void)writes(w, &model, "d", 0);
    const vs_model again = read_again(w, "d");
    (void)writes(w, &again, "e", 0);
    vs_file first = {0};
    vs_file second = {0};
    assert_true(vs_file_open_head(&first, written_path(w, "d/model.safetensors"), VS_MIB,
                                  &first_bytes, &w->err));
    assert_true(vs_file_open_head(&second, written_path(w, "e/model.safetensors"), VS_MIB,
                                  &second_bytes, &w->err));
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first.bytes, second.bytes, first.size_bytes);
    vs_file_close(&first);
    vs_file_close(&second);
}

static void a_config_that_was_indented_by_what_it_stood_in_is_not(void **state)
{
    written *w = *state;
    uint64_t bytes = 0;
    vs_model model = {
        .name = "m",
        .config_text =
            "{\n      \"a\": 1,\n      \"b\": {\n        \"c\": \"  \"\n      }\n    } \n"};
    (void)writes(w, &model, "d", 0);
    assert_string_equal(written_text(w, "d/config.json", &bytes),
                        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": \"  \"\n  }\n}\n");
    model.config_text = "{ \"a\":  1 }";
    (void)writes(w, &model, "e", 0);
    assert_string_equal(written_text(w, "e/config.json", &bytes), "{ \"a\":  1 }\n");
}

/* Transformers 5.12.1 refuses "rms_norm_eps": 1, so a number has to stay as it was written. */
static void a_config_that_was_read_from_a_file_keeps_its_bytes(void **state)
{
    static const char config[] =
        "{" MIXTRAL ",\n\t\"rope_theta\": 1000000.0, \"rms_norm_eps\": 1.0}\n";
    static const char *const specs[] = {"m", "m/", "m/config.json", "m/model.safetensors"};
    written *w = *state;
    uint64_t bytes = 0;
    const vs_model model = model_of(w, config);
    (void)writes(w, &model, "m", 0);
    written_put(w, "m/config.json", config, strlen(config));
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        char folder[8];
        (void)snprintf(folder, sizeof folder, "d%zu", i);
        const char *const spec = vs_str_copy(&w->arena, vs_str_of(written_path(w, specs[i])));
        const char *const to = vs_str_copy(&w->arena, vs_str_of(written_path(w, folder)));
        const vs_write_desc desc = {.folder = to, .spec = spec};
        vs_model opened = {0};
        vs_write_result result = {0};
        assert_true(vs_model_open(&opened, &w->arena, spec, &w->err));
        assert_true(vs_model_write(&result, &w->arena, &opened, &desc, &w->err));
        char path[32];
        (void)snprintf(path, sizeof path, "%s/config.json", folder);
        assert_string_equal(written_text(w, path, &bytes), config);
    }
}

static void a_file_that_says_something_else_is_not_taken_for_the_config(void **state)
{
    written *w = *state;
    uint64_t bytes = 0;
    const vs_model model = {.name = "m", .config_text = "{\"a\": 1}"};
    written_put(w, "config.json", "{\"a\": 2}", 8);
    const char *const spec = vs_str_copy(&w->arena, vs_str_of(written_path(w, "config.json")));
    const vs_write_desc desc = {.folder = written_path(w, "d"), .spec = spec};
    vs_write_result result = {0};
    assert_true(vs_model_write(&result, &w->arena, &model, &desc, &w->err));
    assert_string_equal(written_text(w, "d/config.json", &bytes), "{\"a\": 1}\n");
}

static void a_model_that_came_without_a_config_is_written_without(void **state)
{
    written *w = *state;
    const vs_model model = {.name = "m", .config_text = ""};
    assert_false(writes(w, &model, "d", 0).has_config);
    assert_int_equal(written_count(w, "d"), 1);
}

static vs_write_result writes_gguf(written *w, const vs_model *model, const char *folder,
                                   uint64_t layers)
{
    const vs_write_desc desc = {
        .folder = written_path(w, folder), .format = VS_WRITE_GGUF, .layers = layers};
    vs_write_result result = {0};
    w->err = (vs_err){0};
    const bool is_written = vs_model_write(&result, &w->arena, model, &desc, &w->err);
    assert_int_equal(is_written, w->err.code == VS_OK);
    return result;
}

static void as_gguf_it_is_one_file_of_the_models_name_that_reads_back(void **state)
{
    written *w = *state;
    vs_model model = model_of(w, TINY_MIXTRAL);
    model.name = "org/tiny";
    const vs_write_result result = writes_gguf(w, &model, "d", 0);
    const vs_model again = read_again(w, "d/tiny.gguf");
    assert_int_equal(written_count(w, "d"), 1);
    assert_int_equal(result.file_count, 1);
    assert_int_equal(result.left_out_count, 0);
    assert_false(result.has_config);
    assert_int_equal(result.tensor_count, again.tensor_count);
    assert_int_equal(again.parameters, model.parameters);
    assert_int_equal(again.loaded_parameters, model.loaded_parameters);
    assert_string_equal(again.model_type, "mixtral");
}

static void as_gguf_it_may_have_fewer_layers_but_not_more(void **state)
{
    written *w = *state;
    const vs_model model = model_of(w, TINY_MIXTRAL);
    (void)writes_gguf(w, &model, "d", 1);
    assert_int_equal(read_again(w, "d/tiny.gguf").dims.layers, 1);
    (void)writes_gguf(w, &model, "e", 3);
    written_says(w, "--layers 3: tiny has 2 layers; expected 1 to 2");
    assert_false(written_exists(w, "e"));
}

static void as_gguf_it_replaces_nothing(void **state)
{
    written *w = *state;
    const vs_model model = model_of(w, TINY_MIXTRAL);
    (void)writes_gguf(w, &model, "d", 0);
    (void)writes_gguf(w, &model, "d", 0);
    written_says(w, "/d/tiny.gguf: is there already");
    assert_int_equal(written_count(w, "d"), 1);
}

static void what_gguf_has_no_architecture_for_leaves_no_folder(void **state)
{
    written *w = *state;
    const vs_model model = {.name = "m", .model_type = "unheard_of", .config_text = ""};
    (void)writes_gguf(w, &model, "d", 0);
    assert_true(w->err.code != VS_OK);
    assert_int_equal(written_count(w, ""), 0);
}

static void count_progress(void *context, uint32_t done, uint32_t total)
{
    uint32_t *const seen = context;
    assert_int_equal(done, ++*seen);
    assert_int_equal(total, 2);
}

static void progress_is_told_after_each_file(void **state)
{
    static const char *const lines[] = {"a I8 1 0", "b I8 1 1"};
    written *w = *state;
    uint32_t seen = 0;
    const vs_model model = WRITTEN_MODEL(w, lines);
    const vs_write_desc desc = {
        .folder = w->root, .progress = count_progress, .progress_context = &seen};
    vs_write_result result = {0};
    assert_true(vs_model_write(&result, &w->arena, &model, &desc, &w->err));
    assert_int_equal(seen, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(a_model_is_the_same_after_it_was_written_and_read),
        WITH_WRITTEN(one_layer_of_it_is_what_its_config_with_one_layer_says),
        WITH_WRITTEN(what_was_read_from_headers_is_written_with_the_same_headers),
        WITH_WRITTEN(a_config_that_was_indented_by_what_it_stood_in_is_not),
        WITH_WRITTEN(a_config_that_was_read_from_a_file_keeps_its_bytes),
        WITH_WRITTEN(a_file_that_says_something_else_is_not_taken_for_the_config),
        WITH_WRITTEN(a_model_that_came_without_a_config_is_written_without),
        WITH_WRITTEN(as_gguf_it_is_one_file_of_the_models_name_that_reads_back),
        WITH_WRITTEN(as_gguf_it_may_have_fewer_layers_but_not_more),
        WITH_WRITTEN(as_gguf_it_replaces_nothing),
        WITH_WRITTEN(what_gguf_has_no_architecture_for_leaves_no_folder),
        WITH_WRITTEN(progress_is_told_after_each_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
