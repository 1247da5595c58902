/* tests/unit/test_gguf_config.c - the metadata of a GGUF file as a config.json. */
#include "sim/model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/gguf_bytes.h"
#include "tests/scratch.h"

typedef struct {
    scratch *s;
    gguf_bytes g;
    vs_gguf gguf;
    vs_shard shard;
    vs_gguf_set set;
    const char *text, *why;
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
    gguf_start(&f->g, 3);
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    void *s = f->s;
    const int status = scratch_close(&s);
    free(f);
    return status;
}

static bool read_config(fixture *f)
{
    const uint64_t file_bytes = gguf_end(&f->g);
    vs_str name = {NULL, 0};
    if (!vs_gguf_parse(&f->gguf, &f->s->arena, f->g.bytes, f->g.count, file_bytes, "m.gguf",
                       &f->err) ||
        !vs_gguf_set_make(&f->set, &f->s->arena, &f->gguf, &f->shard, 1, &f->err)) {
        return false;
    }
    assert_true(vs_gguf_str(&f->gguf, vs_gguf_find(&f->gguf, "general.architecture"), &name));
    const vs_gguf_arch *const arch = vs_gguf_arch_of_file(&f->gguf, name);
    assert_non_null(arch);
    return vs_gguf_config(&f->text, &f->why, &f->set, arch, &f->s->arena, &f->err);
}

/* The config holds these members, and is JSON. */
static void assert_config(fixture *f, const char *const *members, size_t count)
{
    vs_json doc = {0};
    if (!read_config(f)) {
        scratch_fail(&f->err);
    }
    assert_non_null(f->text);
    for (size_t i = 0; i < count; i++) {
        if (strstr(f->text, members[i]) == NULL) {
            fail_msg("%s is not in %s", members[i], f->text);
        }
    }
    assert_true(vs_json_parse(&doc, f->text, strlen(f->text), "config", &f->err));
    vs_json_close(&doc);
}

#define ASSERT_CONFIG(f, ...)                                                                  \
    assert_config((f), (const char *const[]){__VA_ARGS__},                                     \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* "ARCH.key" */
static void number(fixture *f, const char *arch, const char *key, uint32_t value)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%s.%s", arch, key);
    gguf_u32(&f->g, full, value);
}

static void start(fixture *f, const char *arch)
{
    gguf_start(&f->g, 3);
    gguf_text(&f->g, "general.architecture", arch);
    number(f, arch, "context_length", 4096);
    number(f, arch, "embedding_length", 256);
    number(f, arch, "block_count", 4);
    number(f, arch, "feed_forward_length", 512);
    number(f, arch, "attention.head_count", 8);
}

static void a_llama_has_the_keys_of_transformers(void **state)
{
    fixture *f = *state;
    start(f, "llama");
    number(f, "llama", "attention.head_count_kv", 2);
    number(f, "llama", "rope.dimension_count", 32);
    number(f, "llama", "vocab_size", 1000);
    gguf_f32(&f->g, "llama.rope.freq_base", 500000.0F);
    gguf_f32(&f->g, "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    gguf_tokens(&f->g, 7);
    ASSERT_CONFIG(f, "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"],",
                  "\"max_position_embeddings\": 4096", "\"hidden_size\": 256",
                  "\"num_hidden_layers\": 4", "\"intermediate_size\": 512",
                  "\"num_attention_heads\": 8", "\"num_key_value_heads\": 2",
                  "\"head_dim\": 32", "\"vocab_size\": 1000", "\"rope_theta\": 500000",
                  "\"tie_word_embeddings\": true}");
    assert_null(f->why);
}

static void the_vocabulary_is_counted_where_no_number_says_it(void **state)
{
    fixture *f = *state;
    start(f, "llama");
    gguf_tokens(&f->g, 300);
    ASSERT_CONFIG(f, "\"vocab_size\": 300");
    start(f, "llama");
    GGUF_TENSOR(&f->g, "token_embd.weight", 0, 256, 320);
    ASSERT_CONFIG(f, "\"vocab_size\": 320");
}

static void an_output_that_is_stored_is_not_tied(void **state)
{
    fixture *f = *state;
    start(f, "qwen2");
    GGUF_TENSOR(&f->g, "output.weight", 0, 256, 320);
    ASSERT_CONFIG(f, "\"model_type\": \"qwen2\"", "\"tie_word_embeddings\": false");
    start(f, "falcon"); /* tied whatever is stored: load_gguf_checkpoint, "exceptions" */
    GGUF_TENSOR(&f->g, "output.weight", 0, 256, 320);
    ASSERT_CONFIG(f, "\"tie_word_embeddings\": true");
}

static void a_llama_with_experts_is_mixtral(void **state)
{
    fixture *f = *state;
    start(f, "llama");
    number(f, "llama", "expert_count", 8);
    number(f, "llama", "expert_used_count", 2);
    ASSERT_CONFIG(f, "\"model_type\": \"mixtral\"", "\"num_local_experts\": 8",
                  "\"num_experts_per_tok\": 2", "\"num_key_value_heads\": 8");
    start(f, "llama");
    number(f, "llama", "expert_count", 0);
    ASSERT_CONFIG(f, "\"model_type\": \"llama\"");
}

static void experts_of_qwen_have_a_size_of_their_own(void **state)
{
    fixture *f = *state;
    start(f, "qwen3moe");
    number(f, "qwen3moe", "attention.key_length", 128);
    number(f, "qwen3moe", "expert_count", 128);
    number(f, "qwen3moe", "expert_used_count", 8);
    number(f, "qwen3moe", "expert_feed_forward_length", 1536);
    ASSERT_CONFIG(f, "\"model_type\": \"qwen3_moe\"", "\"head_dim\": 128",
                  "\"num_experts\": 128", "\"num_experts_per_tok\": 8",
                  "\"moe_intermediate_size\": 1536");
}

static void deepseek_3_is_told_from_2_by_its_gate(void **state)
{
    fixture *f = *state;
    for (unsigned version = 2; version <= 3; version++) {
        start(f, "deepseek2");
        number(f, "deepseek2", "expert_gating_func", version - 1);
        number(f, "deepseek2", "attention.head_count_kv", 1);
        number(f, "deepseek2", "attention.q_lora_rank", 1536);
        number(f, "deepseek2", "attention.kv_lora_rank", 512);
        number(f, "deepseek2", "attention.key_length", 576);
        number(f, "deepseek2", "attention.value_length", 512);
        number(f, "deepseek2", "attention.key_length_mla", 192);
        number(f, "deepseek2", "attention.value_length_mla", 128);
        number(f, "deepseek2", "rope.dimension_count", 64);
        number(f, "deepseek2", "leading_dense_block_count", 3);
        number(f, "deepseek2", "expert_shared_count", 1);
        ASSERT_CONFIG(f,
                      version == 2 ? "\"model_type\": \"deepseek_v2\""
                                   : "\"model_type\": \"deepseek_v3\"",
                      "\"num_key_value_heads\": 8", "\"q_lora_rank\": 1536",
                      "\"kv_lora_rank\": 512", "\"qk_rope_head_dim\": 64",
                      "\"qk_nope_head_dim\": 128", "\"v_head_dim\": 128",
                      "\"first_k_dense_replace\": 3", "\"n_shared_experts\": 1");
    }
}

static void deepseek_files_of_before_april_2025_are_read(void **state)
{
    fixture *f = *state;
    start(f, "deepseek2");
    number(f, "deepseek2", "attention.key_length", 192);
    number(f, "deepseek2", "attention.value_length", 128);
    number(f, "deepseek2", "rope.dimension_count", 64);
    ASSERT_CONFIG(f, "\"model_type\": \"deepseek_v2\"", "\"q_lora_rank\": null",
                  "\"qk_nope_head_dim\": 128", "\"v_head_dim\": 128");
}

static void falcon_is_told_from_its_tensors(void **state)
{
    fixture *f = *state;
    start(f, "falcon");
    number(f, "falcon", "attention.head_count_kv", 1);
    ASSERT_CONFIG(f, "\"new_decoder_architecture\": false", "\"multi_query\": true",
                  "\"parallel_attn\": true", "\"bias\": false", "\"num_kv_heads\": 1");
    start(f, "falcon");
    number(f, "falcon", "attention.head_count_kv", 2);
    GGUF_TENSOR(&f->g, "blk.0.attn_norm_2.weight", 0, 256);
    ASSERT_CONFIG(f, "\"new_decoder_architecture\": true", "\"multi_query\": false");
}

static void older_families_have_their_own_words(void **state)
{
    fixture *f = *state;
    start(f, "bloom");
    ASSERT_CONFIG(f, "\"n_layer\": 4", "\"n_head\": 8", "\"hidden_size\": 256");
    start(f, "gptj");
    number(f, "gptj", "rope.dimension_count", 16);
    ASSERT_CONFIG(f, "\"n_embd\": 256", "\"n_layer\": 4", "\"n_inner\": 512",
                  "\"rotary_dim\": 16", "\"n_positions\": 4096");
    start(f, "gptneox");
    number(f, "gptneox", "rope.dimension_count", 8);
    GGUF_TENSOR(&f->g, "blk.0.attn_qkv.bias", 0, 768);
    ASSERT_CONFIG(f, "\"model_type\": \"gpt_neox\"", "\"rotary_pct\": 0.25",
                  "\"attention_bias\": true");
    start(f, "starcoder2");
    GGUF_TENSOR(&f->g, "blk.0.attn_q.bias", 0, 256);
    ASSERT_CONFIG(f, "\"use_bias\": true");
}

static void layers_that_predict_further_tokens_are_no_layers(void **state)
{
    fixture *f = *state;
    start(f, "glm4moe");
    number(f, "glm4moe", "nextn_predict_layers", 1);
    number(f, "glm4moe", "attention.key_length", 128);
    number(f, "glm4moe", "rope.dimension_count", 64);
    GGUF_TENSOR(&f->g, "blk.0.attn_q.bias", 0, 1024);
    ASSERT_CONFIG(f, "\"num_hidden_layers\": 3", "\"num_nextn_predict_layers\": 1",
                  "\"attention_bias\": true", "\"use_qk_norm\": false",
                  "\"partial_rotary_factor\": 0.5");
}

static void newer_families_are_read_too(void **state)
{
    fixture *f = *state;
    start(f, "gpt-oss");
    number(f, "gpt-oss", "expert_count", 32);
    number(f, "gpt-oss", "attention.sliding_window", 128);
    ASSERT_CONFIG(f, "\"model_type\": \"gpt_oss\"", "\"num_local_experts\": 32",
                  "\"sliding_window\": 128");
    start(f, "llama4");
    number(f, "llama4", "expert_feed_forward_length", 128);
    number(f, "llama4", "interleave_moe_layer_step", 2);
    ASSERT_CONFIG(f, "\"model_type\": \"llama4_text\"", "\"intermediate_size\": 128",
                  "\"intermediate_size_mlp\": 512", "\"interleave_moe_layer_step\": 2");
    start(f, "qwen3next");
    number(f, "qwen3next", "ssm.inner_size", 4096);
    number(f, "qwen3next", "ssm.time_step_rank", 32);
    number(f, "qwen3next", "ssm.group_count", 16);
    ASSERT_CONFIG(f, "\"linear_value_head_dim\": 128", "\"linear_num_value_heads\": 32",
                  "\"linear_num_key_heads\": 16");
}

static void put_heads(fixture *f, uint32_t first, uint32_t second)
{
    gguf_key(&f->g, "llama.attention.head_count_kv", VS_GGUF_ARRAY);
    gguf_put_le(&f->g, VS_GGUF_I32, 4);
    gguf_put_le(&f->g, 2, 8);
    gguf_put_le(&f->g, first, 4);
    gguf_put_le(&f->g, second, 4);
}

static void a_list_of_equal_numbers_is_one_number(void **state)
{
    fixture *f = *state;
    start(f, "llama");
    put_heads(f, 2, 2);
    ASSERT_CONFIG(f, "\"num_key_value_heads\": 2");
    start(f, "llama");
    put_heads(f, 2, 4);
    assert_true(read_config(f));
    assert_null(f->text);
    assert_string_equal(f->why, "llama.attention.head_count_kv differs from layer to layer");
}

static void numbers_of_the_wrong_kind_are_refused(void **state)
{
    fixture *f = *state;
    start(f, "llama");
    gguf_f32(&f->g, "llama.attention.head_count_kv", 2.0F);
    assert_false(read_config(f));
    assert_error_says(&f->err, "m.gguf+0x");
    assert_error_says(&f->err, "llama.attention.head_count_kv: expected a whole number");
    f->err = (vs_err){0};
    start(f, "llama");
    gguf_u32(&f->g, "llama.rope.freq_base", 10000);
    assert_false(read_config(f));
    assert_error_says(&f->err, "llama.rope.freq_base: expected a finite number");
    f->err = (vs_err){0};
    start(f, "deepseek2");
    gguf_u32(&f->g, "deepseek2.expert_weights_norm", 1);
    assert_false(read_config(f));
    assert_error_says(&f->err, "expert_weights_norm: expected true or false");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_llama_has_the_keys_of_transformers),
        T(the_vocabulary_is_counted_where_no_number_says_it),
        T(an_output_that_is_stored_is_not_tied),
        T(a_llama_with_experts_is_mixtral),
        T(experts_of_qwen_have_a_size_of_their_own),
        T(deepseek_3_is_told_from_2_by_its_gate),
        T(deepseek_files_of_before_april_2025_are_read),
        T(falcon_is_told_from_its_tensors),
        T(older_families_have_their_own_words),
        T(layers_that_predict_further_tokens_are_no_layers),
        T(newer_families_are_read_too),
        T(a_list_of_equal_numbers_is_one_number),
        T(numbers_of_the_wrong_kind_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
