/* tests/unit/test_version4.c - what Transformers 4 keeps apart. Orders obtained by running 4.57.1 on the meta device. */
#include "tests/support/config.h"

static void modules_of(bench *b, const char *config, vs_module_4 **out, uint32_t *count)
{
    vs_err err = {0};
    read_config(b, config);
    assert_true(vs_model_modules_4(&b->model, &b->arena, out, count, &err));
}

static uint32_t place_of(const vs_module_4 *modules, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(modules[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no %s", name);
    return 0;
}

/* Two layers of 4 attention matrices, a router, 4 experts of 3 matrices and 2 norms; embedding, norm, head. */
static void mixtral_has_its_router_then_w1_w2_w3_of_each_expert(void **state)
{
    bench *b = *state;
    vs_module_4 *m = NULL;
    uint32_t count = 0;
    modules_of(b, "{" MIXTRAL "}", &m, &count);
    assert_int_equal(count, 2 * (4 + 1 + 12 + 2) + 3);
    const uint32_t at = place_of(m, count, "model.layers.0.block_sparse_moe.gate.weight");
    assert_string_equal(m[at + 1].name, "model.layers.0.block_sparse_moe.experts.0.w1.weight");
    assert_string_equal(m[at + 2].name, "model.layers.0.block_sparse_moe.experts.0.w2.weight");
    assert_string_equal(m[at + 3].name, "model.layers.0.block_sparse_moe.experts.0.w3.weight");
    assert_string_equal(m[at + 12].name, "model.layers.0.block_sparse_moe.experts.3.w3.weight");
    assert_string_equal(m[at + 13].name, "model.layers.0.input_layernorm.weight");
    assert_int_equal(m[at + 2].shape[0], 8);
    assert_int_equal(m[at + 2].shape[1], 16);
    assert_true(vs_model_has_fused_experts(&b->model));
}

static void qwen3_moe_has_its_router_first_there(void **state)
{
    bench *b = *state;
    vs_module_4 *m = NULL;
    uint32_t count = 0;
    modules_of(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1}", &m, &count);
    const uint32_t at = place_of(m, count, "model.layers.0.mlp.gate.weight");
    assert_string_equal(m[at + 1].name, "model.layers.0.mlp.experts.0.gate_proj.weight");
    assert_string_equal(m[at + 2].name, "model.layers.0.mlp.experts.0.up_proj.weight");
    assert_string_equal(m[at + 3].name, "model.layers.0.mlp.experts.0.down_proj.weight");
    assert_string_equal(m[at + 13].name, "model.layers.0.input_layernorm.weight");
}

static void the_scales_of_a_quantised_checkpoint_are_no_modules(void **state)
{
    bench *b = *state;
    vs_module_4 *m = NULL;
    uint32_t count = 0;
    modules_of(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1}", &m, &count);
    const uint32_t plain = count;
    modules_of(b,
               "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"quantization_config\":{"
               "\"quant_method\":\"fp8\"}}",
               &m, &count);
    assert_int_equal(count, plain);
}

static void a_dense_model_has_the_same_list_in_both(void **state)
{
    bench *b = *state;
    vs_module_4 *m = NULL;
    uint32_t count = 0;
    modules_of(b, "{\"model_type\":\"llama\"," NUMBERS "}", &m, &count);
    assert_false(vs_model_has_fused_experts(&b->model));
    assert_int_equal(count, 2 * 9 + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(mixtral_has_its_router_then_w1_w2_w3_of_each_expert),
        WITH_BENCH(qwen3_moe_has_its_router_first_there),
        WITH_BENCH(the_scales_of_a_quantised_checkpoint_are_no_modules),
        WITH_BENCH(a_dense_model_has_the_same_list_in_both),
    };
    return cmocka_run_group_tests_name("version 4", tests, NULL, NULL);
}
