/* tests/fault/fault_config.c - hostile config files: truncated, changed, and without memory to read them. */
#include "tests/support/config.h"

static const char *const configs[] = {
    "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}",
    "{" QWEN3_MOE ",\"num_hidden_layers\":3,\"decoder_sparse_step\":2,\"mlp_only_layers\":[1],"
    "\"tie_word_embeddings\":true,\"architectures\":[\"X\"]}",
};

/* The text in a block of its exact size. */
static bool try_config(bench *b, const char *text, size_t count)
{
    char *const exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    memcpy(exact, text, count);
    vs_model model = {.tensor_count = 99};
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    const bool is_read = vs_model_from_config(&model, &b->arena, exact, count, "hostile", &err);
    free(exact);
    if (!is_read) {
        assert_int_equal(model.tensor_count, 99);
        assert_int_not_equal(err.code, VS_OK);
        assert_int_not_equal(err.code, VS_ERR_INTERNAL);
        assert_string_not_equal(err.text, "");
        assert_string_equal(err.input, "hostile");
    }
    return is_read;
}

static void every_truncation_is_an_error(void **state)
{
    bench *b = *state;
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        const size_t whole = strlen(configs[c]);
        for (size_t count = 0; count < whole; count++) {
            assert_false(try_config(b, configs[c], count));
        }
        assert_true(try_config(b, configs[c], whole));
    }
}

/* Each bit turned, and each byte replaced by one that means something. Digits may make a model of up to a
 * million tensors out of a small one, so the values stay few. */
static void every_byte_changed_is_survived(void **state)
{
    bench *b = *state;
    static const char meaningful[] = "\"\\{}[],:0-. \n\xff";
    size_t outcomes[2] = {0};
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        char broken[512];
        const size_t whole = strlen(configs[c]);
        assert_true(whole < sizeof broken);
        memcpy(broken, configs[c], whole + 1);
        for (size_t at = 0; at < whole; at++) {
            for (size_t k = 0; k < 8 + sizeof meaningful; k++) {
                const int value = k < 8 ? configs[c][at] ^ (1 << k) : meaningful[k - 8];
                broken[at] = (char)value;
                outcomes[try_config(b, broken, whole)]++;
            }
            broken[at] = configs[c][at];
        }
    }
    assert_true(outcomes[true] > 0 && outcomes[false] > outcomes[true]);
}

#define FP8 "\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[4,4],"
#define TINY                                                                                   \
    "\"hidden_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":2,"                    \
    "\"num_key_value_heads\":1,\"head_dim\":8,\"intermediate_size\":32,\"vocab_size\":16"

/* One of each way a config takes: plain, experts, quantised with patterns, several schemes, mxfp4, vision, prediction. */
static const char *const ways[] = {
    "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}",
    "{" QWEN3_MOE ",\"num_hidden_layers\":2," FP8
    "\"modules_to_not_convert\":[\"lm_head\",\".*gate$\"]}}",
    "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"quantization_config\":{\"quant_method\":\"gptq\","
    "\"bits\":4,\"group_size\":2,\"modules_in_block_to_quantize\":[[\"self_attn.q_proj\"],"
    "[\"self_attn.(k|v)_proj\"]]}}",
    "{\"model_type\":\"llama\"," TINY ",\"quantization_config\":{\"quant_method\":"
    "\"compressed-tensors\",\"ignore\":[\"re:lm_head\"],\"config_groups\":{\"a\":{\"targets\":"
    "[\"re:.*down_proj$\"],\"weights\":{\"num_bits\":8}},\"b\":{\"targets\":[\"Linear\"],"
    "\"weights\":{\"num_bits\":4}}}}}",
    "{\"model_type\":\"llama\"," TINY ",\"quantization_config\":{\"quant_method\":"
    "\"bitsandbytes\",\"load_in_4bit\":true}}",
    "{\"model_type\":\"gpt_oss\"," TINY ",\"num_local_experts\":4,\"quantization_config\":{"
    "\"quant_method\":\"mxfp4\"}}",
    "{\"model_type\":\"gemma3\",\"text_config\":{" TINY
    "},\"vision_config\":{\"hidden_size\":8,"
    "\"num_hidden_layers\":2,\"intermediate_size\":16}}",
    "{\"model_type\":\"glm4_moe\"," TINY ",\"n_routed_experts\":4,\"num_experts_per_tok\":2,"
    "\"moe_intermediate_size\":8,\"num_nextn_predict_layers\":1}",
};

/* Whether the config was read although its n-th allocation failed: there was none. */
static bool reads_without(bench *b, const char *config, uint64_t n)
{
    vs_model model = {.tensor_count = 99};
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    b->arena.fail_at = n;
    if (vs_model_from_config(&model, &b->arena, config, strlen(config), "hostile", &err)) {
        return true;
    }
    if (err.code != VS_ERR_MEMORY) {
        char line[1024];
        fail_msg("allocation %" PRIu64 ": %s", n, vs_err_line(&err, line, sizeof line));
    }
    assert_int_equal(model.tensor_count, 99);
    return false;
}

static void every_failing_allocation_is_reported(void **state)
{
    bench *b = *state;
    for (size_t c = 0; c < sizeof ways / sizeof ways[0]; c++) {
        uint64_t n = 1;
        while (n < 10000 && !reads_without(b, ways[c], n)) {
            n++;
        }
        assert_true(n > 20 && n < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(every_truncation_is_an_error),
        WITH_BENCH(every_byte_changed_is_survived),
        WITH_BENCH(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("config faults", tests, NULL, NULL);
}
