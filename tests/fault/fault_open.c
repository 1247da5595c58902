/* tests/fault/fault_open.c - folders with config and headers, opened without the memory for it. */
#include "tests/support/config.h"
#include "tests/support/written.h"

#define FP8_MOE                                                                                \
    "{" QWEN3_MOE ",\"num_hidden_layers\":2,\"quantization_config\":{\"quant_method\":"        \
    "\"fp8\",\"weight_block_size\":[4,4],\"modules_to_not_convert\":[\"lm_head|gate$\"]}}"
#define UNKNOWN "{\"model_type\":\"none\",\"num_hidden_layers\":2}"

static void write_model(written *w, const char *config, const char *folder)
{
    const vs_write_desc desc = {.folder = written_path(w, folder)};
    vs_model model = {0};
    vs_write_result result = {0};
    if (!vs_model_from_config(&model, &w->arena, config, strlen(config), "tiny", &w->err) ||
        !vs_model_write(&result, &w->arena, &model, &desc, &w->err)) {
        written_fail(w);
    }
}

static void check_every_allocation(written *w, const char *folder, uint64_t least)
{
    for (uint64_t n = 1; n < 20000; n++) {
        vs_model model = {.tensor_count = 99};
        vs_err err = {0};
        vs_arena_reset(&w->arena);
        w->arena.fail_at = n;
        if (vs_model_open(&model, &w->arena, written_path(w, folder), &err)) {
            assert_true(n > least);
            return;
        }
        if (err.code != VS_ERR_MEMORY) {
            fail_msg("allocation %" PRIu64 ": %s", n,
                     vs_err_line(&err, w->line, sizeof w->line));
        }
        assert_int_equal(model.tensor_count, 99);
    }
    fail();
}

static void headers_bound_to_a_config_fail_cleanly_at_every_allocation(void **state)
{
    written *w = *state;
    write_model(w, "{" MIXTRAL "}", "plain");
    check_every_allocation(w, "plain", 50);
    vs_arena_reset(&w->arena);
    w->arena.fail_at = 0;
    write_model(w, FP8_MOE, "fp8");
    check_every_allocation(w, "fp8", 50);
}

static void headers_without_a_known_config_fail_cleanly_at_every_allocation(void **state)
{
    written *w = *state;
    write_model(w, FP8_MOE, "d");
    written_put(w, "d/config.json", UNKNOWN, strlen(UNKNOWN));
    check_every_allocation(w, "d", 20);
}

static void a_config_alone_fails_cleanly_at_every_allocation(void **state)
{
    written *w = *state;
    write_model(w, FP8_MOE, "d");
    assert_int_equal(remove(written_path(w, "d/model.safetensors")), 0);
    check_every_allocation(w, "d", 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(headers_bound_to_a_config_fail_cleanly_at_every_allocation),
        WITH_WRITTEN(headers_without_a_known_config_fail_cleanly_at_every_allocation),
        WITH_WRITTEN(a_config_alone_fails_cleanly_at_every_allocation),
    };
    return cmocka_run_group_tests_name("opening faults", tests, NULL, NULL);
}
