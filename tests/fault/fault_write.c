/* tests/fault/fault_write.c - every allocation of vs_model_write fails once: a clean error, and nothing left behind. */
#include "tests/support/config.h"
#include "tests/support/written.h"

#define TINY_MIXTRAL "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}"

/* In two shards, with a config. */
static vs_model two_shards(written *w)
{
    vs_model model = {0};
    assert_true(vs_model_from_config(&model, &w->arena, TINY_MIXTRAL, strlen(TINY_MIXTRAL),
                                     "tiny", &w->err));
    model.config_text = TINY_MIXTRAL;
    model.tensors[0].shard = 1;
    model.shard_count = 2;
    return model;
}

/* file_count: those in the folder when it works. */
static void fails_cleanly_at_every_allocation(written *w, vs_write_format format,
                                              uint64_t layers, unsigned file_count)
{
    const vs_model model = two_shards(w);
    const char *const folder = vs_str_copy(&w->arena, vs_str_of(written_path(w, "d/e")));
    const vs_write_desc desc = {.folder = folder, .format = format, .layers = layers};
    bool is_written = false;
    uint64_t n = 0;
    while (!is_written) {
        vs_arena scratch = {0};
        vs_write_result result = {0};
        w->err = (vs_err){0};
        assert_true(vs_arena_open(&scratch, 16 * VS_MIB, &w->err));
        scratch.fail_at = ++n;
        is_written = vs_model_write(&result, &scratch, &model, &desc, &w->err);
        vs_arena_close(&scratch);
        if (!is_written) {
            assert_int_equal(w->err.code, VS_ERR_MEMORY);
            assert_int_equal(written_count(w, ""), 0);
        }
    }
    assert_true(n > 5);
    assert_int_equal(written_count(w, "d/e"), file_count);
}

static void writing_all_of_a_model(void **state)
{
    fails_cleanly_at_every_allocation(*state, VS_WRITE_SAFETENSORS, 0, 4);
}

static void writing_some_layers_of_a_model(void **state)
{
    fails_cleanly_at_every_allocation(*state, VS_WRITE_SAFETENSORS, 1, 2);
}

static void writing_a_gguf_file(void **state)
{
    fails_cleanly_at_every_allocation(*state, VS_WRITE_GGUF, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(writing_all_of_a_model),
        WITH_WRITTEN(writing_some_layers_of_a_model),
        WITH_WRITTEN(writing_a_gguf_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
