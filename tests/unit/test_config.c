/* tests/unit/test_config.c - from a config.json to tensors and targets, family by family. */
#include "tests/support/config.h"

#define LLAMA                                                                                  \
    "\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":2,"                      \
    "\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":32"

/* ---- what is made ------------------------------------------------------------------------------ */

static void a_llama_has_nine_tensors_a_layer_and_three_more(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA ",\"torch_dtype\":\"bfloat16\"}");
    assert_int_equal(b->model.tensor_count, 9 * 2 + 3);
    assert_int_equal(b->model.target_count, 9 * 2 + 3 + 2);
    assert_int_equal(b->model.parameters, 2 * 32 * 8 + 2 * (4 * 64 + 3 * 128 + 16) + 8);
    assert_int_equal(b->model.checkpoint_bytes, 2 * b->model.parameters);
    assert_int_equal(b->model.loaded_parameters, b->model.parameters);
    assert_string_equal(b->model.architecture, "LlamaForCausalLM");
    assert_string_equal(b->model.no_split_class, "LlamaDecoderLayer");
    assert_string_equal(b->model.source, "config");
    assert_int_equal(b->model.config_dtype, VS_DT_BF16);
}

static void targets_stand_in_module_order(void **state)
{
    bench *b = *state;
    static const char *const expected[] = {
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.post_attention_layernorm.weight",
        "model.layers.1.self_attn.q_proj.weight",
    };
    read_config(b, "{" LLAMA "}");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_string_equal(b->model.targets[i].name, expected[i]);
    }
    const vs_target *const tail = b->model.targets + b->model.target_count - 4;
    assert_string_equal(tail[0].name, "model.norm.weight");
    assert_string_equal(tail[1].name, "model.rotary_emb.inv_freq");
    assert_string_equal(tail[2].name, "model.rotary_emb.original_inv_freq");
    assert_string_equal(tail[3].name, "lm_head.weight");
}

static void tensors_stand_in_key_order(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA "}");
    assert_string_equal(b->model.tensors[0].name, "lm_head.weight");
    assert_string_equal(b->model.tensors[b->model.tensor_count - 1].name, "model.norm.weight");
    for (uint32_t i = 1; i < b->model.tensor_count; i++) {
        assert_true(vs_key_compare(b->model.tensors[i - 1].name, b->model.tensors[i].name) < 0);
    }
}

static void every_tensor_and_its_target_name_each_other(void **state)
{
    bench *b = *state;
    read_config(b, "{" MIXTRAL "}");
    for (uint32_t i = 0; i < b->model.target_count; i++) {
        const vs_target *const t = &b->model.targets[i];
        for (uint32_t k = 0; k < t->source_count; k++) {
            const uint32_t source = b->model.sources[t->first_source + k];
            assert_true(source < b->model.tensor_count);
            assert_int_equal(b->model.tensors[source].target, i);
        }
    }
}

static void flags_say_what_a_quantiser_needs(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA ",\"attention_bias\":true}");
    assert_int_equal(target(b, "model.embed_tokens.weight")->flags, VS_TF_EMBEDDING);
    assert_int_equal(target(b, "model.layers.1.mlp.up_proj.weight")->flags, VS_TF_LINEAR);
    assert_int_equal(target(b, "model.layers.1.self_attn.q_proj.bias")->flags, VS_TF_BIAS);
    assert_int_equal(target(b, "model.norm.weight")->flags, VS_TF_NORM);
    assert_int_equal(target(b, "lm_head.weight")->flags,
                     VS_TF_LINEAR | VS_TF_OUTPUT_HEAD | VS_TF_LAST_MODULE);
    const vs_target *const buffer = target(b, "model.rotary_emb.inv_freq");
    assert_int_equal(buffer->flags, VS_TF_BUFFER | VS_TF_NON_PERSISTENT);
    assert_int_equal(buffer->fixed_dtype, VS_DT_F32);
    assert_int_equal(buffer->shape[0], 2);
    assert_int_equal(buffer->source_count, 0);
    assert_int_equal(target(b, "model.layers.1.mlp.up_proj.weight")->layer, 1);
    assert_int_equal(buffer->layer, -1);
}

static void a_tied_head_is_not_stored_and_counts_once(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA ",\"tie_word_embeddings\":true}");
    const vs_target *const head = target(b, "lm_head.weight");
    assert_true(b->model.is_tied);
    assert_int_equal(head->flags, VS_TF_LINEAR | VS_TF_OUTPUT_HEAD | VS_TF_TIED);
    assert_string_equal(b->model.targets[head->tied_to].name, "model.embed_tokens.weight");
    assert_int_equal(head->source_count, 0);
    assert_int_equal(b->model.tensor_count, 9 * 2 + 2);
    assert_int_equal(b->model.loaded_parameters, b->model.parameters);
    assert_true((target(b, "model.norm.weight")->flags & VS_TF_LAST_MODULE) != 0);
}

static void biases_of_llama_follow_its_two_switches(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA ",\"attention_bias\":true,\"mlp_bias\":true}");
    assert_int_equal(b->model.tensor_count, 16 * 2 + 3);
    assert_int_equal(target(b, "model.layers.0.self_attn.o_proj.bias")->shape[0], 8);
    assert_int_equal(target(b, "model.layers.0.mlp.gate_proj.bias")->shape[0], 16);
    read_config(b, "{" LLAMA ",\"attention_bias\":true}");
    assert_null(find_target(b, "model.layers.0.mlp.gate_proj.bias"));
}

static void qwen2_has_biases_on_q_k_v_only(void **state)
{
    bench *b = *state;
    read_config(b, "{\"model_type\":\"qwen2\",\"num_key_value_heads\":1," NUMBERS "}");
    assert_int_equal(b->model.tensor_count, 12 * 2 + 3);
    assert_int_equal(target(b, "model.layers.0.self_attn.k_proj.bias")->shape[0], 4);
    assert_null(find_target(b, "model.layers.0.self_attn.o_proj.bias"));
}

static void qwen3_norms_q_and_k_and_brings_its_own_head_size(void **state)
{
    bench *b = *state;
    read_config(b, "{\"model_type\":\"qwen3\",\"num_key_value_heads\":1," NUMBERS "}");
    assert_int_equal(b->model.tensor_count, 11 * 2 + 3);
    assert_int_equal(b->model.dims.head_dim, 128);
    assert_int_equal(target(b, "model.layers.0.self_attn.q_proj.weight")->shape[0], 256);
    assert_int_equal(target(b, "model.layers.0.self_attn.q_norm.weight")->shape[0], 128);
    assert_string_equal(b->model.targets[5].name, "model.layers.0.self_attn.q_norm.weight");
}

static void mixtral_fuses_the_experts_of_a_layer_into_two(void **state)
{
    bench *b = *state;
    read_config(b, "{" MIXTRAL "}");
    const vs_target *const up = target(b, "model.layers.1.mlp.experts.gate_up_proj");
    const vs_target *const down = target(b, "model.layers.1.mlp.experts.down_proj");
    assert_int_equal(up->merge, VS_MERGE_STACK_CAT);
    assert_int_equal(up->part_count, 2);
    assert_int_equal(up->source_count, 8);
    assert_int_equal(up->flags, VS_TF_EXPERTS);
    assert_memory_equal(up->shape, ((uint64_t[]){4, 32, 8}), 24);
    assert_memory_equal(down->shape, ((uint64_t[]){4, 8, 16}), 24);
    assert_int_equal(down->merge, VS_MERGE_STACK);
    assert_int_equal(down->source_count, 4);
    static const char *const order[] = {"0.w1", "1.w1", "2.w1", "3.w1",
                                        "0.w3", "1.w3", "2.w3", "3.w3"};
    for (uint32_t i = 0; i < 8; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "model.layers.1.block_sparse_moe.experts.%s.weight",
                       order[i]);
        assert_string_equal(b->model.tensors[b->model.sources[up->first_source + i]].name,
                            name);
    }
}

static void mixtral_renames_its_router(void **state)
{
    bench *b = *state;
    read_config(b, "{" MIXTRAL "}");
    const vs_target *const router = target(b, "model.layers.0.mlp.gate.weight");
    assert_int_equal(router->flags, VS_TF_ROUTER);
    assert_string_equal(b->model.tensors[b->model.sources[router->first_source]].name,
                        "model.layers.0.block_sparse_moe.gate.weight");
}

static void qwen3_moe_mixes_sparse_and_dense_layers(void **state)
{
    bench *b = *state;
    read_config(b,
                "{" QWEN3_MOE
                ",\"num_hidden_layers\":6,\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]}");
    static const bool is_sparse[] = {false, true, false, false, false, true};
    for (unsigned i = 0; i < 6; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "model.layers.%u.mlp.experts.down_proj", i);
        assert_int_equal(find_target(b, name) != NULL, is_sparse[i]);
        (void)snprintf(name, sizeof name, "model.layers.%u.mlp.down_proj.weight", i);
        assert_int_equal(find_target(b, name) != NULL, !is_sparse[i]);
    }
}

static void qwen3_moe_has_its_experts_before_the_router(void **state)
{
    bench *b = *state;
    read_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1}");
    assert_string_equal(b->model.targets[7].name, "model.layers.0.mlp.experts.gate_up_proj");
    assert_string_equal(b->model.targets[8].name, "model.layers.0.mlp.experts.down_proj");
    assert_string_equal(b->model.targets[9].name, "model.layers.0.mlp.gate.weight");
}

static void numbers_reach_the_dims(void **state)
{
    bench *b = *state;
    read_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"max_position_embeddings\":4096}");
    const vs_model_dims *const d = &b->model.dims;
    assert_int_equal(d->hidden, 8);
    assert_int_equal(d->layers, 1);
    assert_int_equal(d->experts, 4);
    assert_int_equal(d->experts_per_token, 2);
    assert_int_equal(d->moe_intermediate, 6);
    assert_int_equal(d->max_positions, 4096);
    assert_int_equal(d->sliding_window, 0);
    vs_model_summary summary = {0};
    assert_true(vs_model_summarise(&summary, &b->model, &b->arena, NULL));
    /* keys and values of one head of 4 in one layer; no dtype is float32 */
    assert_int_equal(summary.kv.token_bytes, 2 * 1 * 1 * 4 * 4);
}

static void absent_keys_take_the_defaults_of_the_class(void **state)
{
    bench *b = *state;
    read_config(b, "{\"model_type\":\"mistral\",\"hidden_size\":64,\"num_hidden_layers\":1,"
                   "\"num_attention_heads\":16,\"intermediate_size\":16,\"vocab_size\":32}");
    assert_int_equal(b->model.dims.kv_heads, 8);
    assert_int_equal(b->model.dims.sliding_window, 4096);
    read_config(b, "{\"model_type\":\"mistral\",\"num_key_value_heads\":null,\"sliding_"
                   "window\":null," NUMBERS "}");
    assert_int_equal(b->model.dims.kv_heads, 2);
    assert_int_equal(b->model.dims.sliding_window, 0);
    read_config(b, "{" LLAMA "}");
    assert_int_equal(b->model.dims.kv_heads, 2);
}

static void a_config_without_dtype_is_taken_as_float32_and_said_so(void **state)
{
    bench *b = *state;
    read_config(b, "{" LLAMA "}");
    assert_int_equal(b->model.config_dtype, VS_DT_COUNT);
    assert_int_equal(b->model.checkpoint_bytes, 4 * b->model.parameters);
    assert_int_equal(b->model.note_count, 1);
    read_config(b, "{" LLAMA ",\"dtype\":\"float16\"}");
    assert_int_equal(b->model.checkpoint_bytes, 2 * b->model.parameters);
    assert_int_equal(b->model.note_count, 0);
}

static void shards_hold_five_billion_bytes_and_add_up(void **state)
{
    bench *b = *state;
    read_config(
        b, "{\"model_type\":\"llama\",\"hidden_size\":8192,\"num_hidden_layers\":16,\"num_"
           "attention_heads\":64,"
           "\"intermediate_size\":28672,\"vocab_size\":32000,\"torch_dtype\":\"bfloat16\"}");
    vs_bytes sum = 0;
    assert_true(b->model.shard_count > 2);
    for (uint32_t i = 0; i < b->model.shard_count; i++) {
        assert_true(b->model.shards[i].size_bytes <= 5000000000);
        sum += b->model.shards[i].size_bytes;
    }
    assert_int_equal(sum, b->model.checkpoint_bytes);
    for (uint32_t i = 0; i < b->model.tensor_count; i++) {
        assert_true(b->model.tensors[i].shard < b->model.shard_count);
    }
}

/* ---- what is refused ------------------------------------------------------------------------------ */

static void missing_numbers_are_named(void **state)
{
    bench *b = *state;
    static const char *const keys[] = {"hidden_size", "num_hidden_layers",
                                       "num_attention_heads", "intermediate_size",
                                       "vocab_size"};
    for (size_t i = 0; i < 5; i++) {
        char text[512] = "{\"model_type\":\"llama\"";
        size_t used = strlen(text);
        for (size_t k = 0; k < 5; k++) {
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     k == i ? "%.0s" : ",\"%s\":8", keys[k]);
        }
        (void)snprintf(text + used, sizeof text - used, "}");
        refuse_config(b, text, keys[i]);
    }
    refuse_config(b, "{\"model_type\":\"mixtral\"," NUMBERS ",\"num_key_value_heads\":1}",
                  "num_local_experts");
    refuse_config(b,
                  "{\"model_type\":\"qwen3_moe\"," NUMBERS
                  ",\"num_key_value_heads\":1,\"num_experts\":4}",
                  "moe_intermediate_size");
}

static void impossible_numbers_are_named_with_what_was_expected(void **state)
{
    bench *b = *state;
    refuse_config(b, "{" LLAMA ",\"head_dim\":-4}", "head_dim");
    refuse_config(b, "{" LLAMA ",\"head_dim\":3}", "even");
    refuse_config(b, "{" LLAMA ",\"head_dim\":1.5}", "head_dim");
    refuse_config(b, "{" LLAMA ",\"head_dim\":\"x\"}", "head_dim");
    refuse_config(b, "{" LLAMA ",\"num_key_value_heads\":0}", "num_key_value_heads");
    refuse_config(b, "{" LLAMA ",\"head_dim\":1152921504606846976}", "head_dim");
    refuse_config(b, "{" LLAMA ",\"head_dim\":1e400}", "head_dim");
    refuse_config(b, "{" LLAMA ",\"head_dim\":NaN}", "config.json");
    refuse_config(b, "{" LLAMA ",\"tie_word_embeddings\":1}", "tie_word_embeddings");
    refuse_config(b, "{" LLAMA ",\"torch_dtype\":\"float7\"}", "float7");
    refuse_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":2,\"decoder_sparse_step\":0}",
                  "decoder_sparse_step");
}

static void numbers_that_contradict_each_other_are_both_named(void **state)
{
    bench *b = *state;
    refuse_config(b, "{" LLAMA ",\"num_key_value_heads\":3}",
                  "multiple of num_key_value_heads 3");
    refuse_config(b,
                  "{\"model_type\":\"llama\",\"hidden_size\":9,\"num_hidden_layers\":2,\"num_"
                  "attention_heads\":2,"
                  "\"intermediate_size\":16,\"vocab_size\":32}",
                  "hidden_size 9 is not a multiple");
    refuse_config(b, "{" MIXTRAL_BUT("\"num_experts_per_tok\":9") "}", "9 experts per token");
}

static void absurd_sizes_end_in_a_named_limit(void **state)
{
    bench *b = *state;
    refuse_config(
        b,
        "{\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":2000000000,"
        "\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":32}",
        "layers");
    refuse_config(b,
                  "{\"model_type\":\"mixtral\",\"num_key_value_heads\":1,\"num_local_experts\":"
                  "2000000000," NUMBERS "}",
                  "more than 1048576 tensors");
    refuse_config(
        b,
        "{\"model_type\":\"llama\",\"hidden_size\":2147483646,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":2,\"head_dim\":2147483646,\"intermediate_size\":16,"
        "\"vocab_size\":32}",
        "2^64");
}

static void an_unknown_family_is_told_the_nearest_known_ones(void **state)
{
    bench *b = *state;
    refuse_config(b, "{\"model_type\":\"mixtrel\"," NUMBERS "}", "nearest is mixtral");
    refuse_config(b, "{\"model_type\":\"qwen3_max\"," NUMBERS "}", "qwen3_moe");
    refuse_config(b, "{\"model_type\":\"zzz\"," NUMBERS "}", "list families");
    refuse_config(b, "{" NUMBERS "}", "expected \"model_type\"");
    refuse_config(b, "[]", "object");
    refuse_config(b, "{\"model_type\":7}", "model_type");
}

static void broken_json_names_line_and_place(void **state)
{
    bench *b = *state;
    refuse_config(b, "{\n\"model_type\":\"llama\",\n\"model_type\":\"llama\"}", "model_type");
    refuse_config(b, "{\n\"model_type\":", "config.json");
    refuse_config(b, "", "config.json");
}

#define SMALL                                                                                  \
    "\"hidden_size\":8,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"intermediate_"    \
    "size\":16,"                                                                               \
    "\"vocab_size\":32"

/* The set of dense layers has a bit for each of 4096; prediction layers are numbered behind them. */
static void prediction_layers_come_after_the_last_layer_there_can_be(void **state)
{
    bench *b = *state;
    read_config(b, "{\"model_type\":\"glm4_moe\"," SMALL
                   ",\"num_hidden_layers\":4096,\"first_k_dense_replace\":4096,"
                   "\"n_routed_experts\":2,\"num_experts_per_tok\":1,"
                   "\"moe_intermediate_size\":4,\"num_nextn_predict_layers\":1}");
    const vs_tensor *const last = &b->model.tensors[b->model.tensor_count - 1];
    assert_int_equal(b->model.unloaded_count, 1);
    assert_string_equal(b->model.unloaded[0].prefix, "model.layers.4096.");
    assert_int_equal(last->target == VS_NO_TARGET, strstr(last->name, ".4096.") != NULL);
    refuse_config(b, "{\"model_type\":\"glm4_moe\"," SMALL ",\"num_hidden_layers\":4097}",
                  "num_hidden_layers");
}

#define GEMMA3_WITH(vision)                                                                    \
    "{\"model_type\":\"gemma3\",\"text_config\":{},\"vision_config\":{" vision "}}"
#define LLAMA4_WITH(vision)                                                                    \
    "{\"model_type\":\"llama4\",\"text_config\":{},\"vision_config\":{" vision "}}"

/* Products of such sizes would wrap and look small. */
static void sizes_whose_products_would_not_fit_are_refused(void **state)
{
    bench *b = *state;
    refuse_config(b, LLAMA4_WITH("\"patch_size\":2147483647,\"image_size\":2147483647"),
                  "patch_size");
    refuse_config(b, LLAMA4_WITH("\"num_channels\":2147483647"), "num_channels");
    refuse_config(b, LLAMA4_WITH("\"patch_size\":15,\"image_size\":14"), "image_size 14");
    refuse_config(b, GEMMA3_WITH("\"num_hidden_layers\":5000"),
                  "vision_config.num_hidden_layers");
    refuse_config(b, GEMMA3_WITH("\"patch_size\":300"), "image_size 224");
    refuse_config(b,
                  "{\"model_type\":\"qwen3_next\"," SMALL
                  ",\"num_hidden_layers\":1,\"num_experts\":2,\"num_experts_per_tok\":1,"
                  "\"moe_intermediate_size\":4,\"linear_num_key_heads\":2147483647,"
                  "\"linear_key_head_dim\":2147483647}",
                  "linear attention");
    refuse_config(b,
                  "{\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":1,"
                  "\"num_attention_heads\":2147483647,\"head_dim\":2147483646,"
                  "\"intermediate_size\":2147483647,\"vocab_size\":1,"
                  "\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":8}}",
                  "2^64");
}

static void a_rank_that_is_no_number_is_not_the_lack_of_one(void **state)
{
    bench *b = *state;
    static const char start[] = "{\"model_type\":\"deepseek_v2\"," SMALL
                                ",\"num_hidden_layers\":1,\"n_routed_experts\":2,"
                                "\"num_experts_per_tok\":1,\"moe_intermediate_size\":4,"
                                "\"q_lora_rank\":";
    char text[512];
    (void)snprintf(text, sizeof text, "%snull}", start);
    read_config(b, text);
    assert_non_null(find_target(b, "model.layers.0.self_attn.q_proj.weight"));
    (void)snprintf(text, sizeof text, "%s\"none\"}", start);
    refuse_config(b, text, "q_lora_rank");
    (void)snprintf(text, sizeof text, "%s-1}", start);
    refuse_config(b, text, "q_lora_rank");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(a_llama_has_nine_tensors_a_layer_and_three_more),
        WITH_BENCH(targets_stand_in_module_order),
        WITH_BENCH(tensors_stand_in_key_order),
        WITH_BENCH(every_tensor_and_its_target_name_each_other),
        WITH_BENCH(flags_say_what_a_quantiser_needs),
        WITH_BENCH(a_tied_head_is_not_stored_and_counts_once),
        WITH_BENCH(biases_of_llama_follow_its_two_switches),
        WITH_BENCH(qwen2_has_biases_on_q_k_v_only),
        WITH_BENCH(qwen3_norms_q_and_k_and_brings_its_own_head_size),
        WITH_BENCH(mixtral_fuses_the_experts_of_a_layer_into_two),
        WITH_BENCH(mixtral_renames_its_router),
        WITH_BENCH(qwen3_moe_mixes_sparse_and_dense_layers),
        WITH_BENCH(qwen3_moe_has_its_experts_before_the_router),
        WITH_BENCH(numbers_reach_the_dims),
        WITH_BENCH(absent_keys_take_the_defaults_of_the_class),
        WITH_BENCH(a_config_without_dtype_is_taken_as_float32_and_said_so),
        WITH_BENCH(shards_hold_five_billion_bytes_and_add_up),
        WITH_BENCH(missing_numbers_are_named),
        WITH_BENCH(impossible_numbers_are_named_with_what_was_expected),
        WITH_BENCH(numbers_that_contradict_each_other_are_both_named),
        WITH_BENCH(absurd_sizes_end_in_a_named_limit),
        WITH_BENCH(an_unknown_family_is_told_the_nearest_known_ones),
        WITH_BENCH(broken_json_names_line_and_place),
        WITH_BENCH(prediction_layers_come_after_the_last_layer_there_can_be),
        WITH_BENCH(sizes_whose_products_would_not_fit_are_refused),
        WITH_BENCH(a_rank_that_is_no_number_is_not_the_lack_of_one),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
