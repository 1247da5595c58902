/* tests/unit/test_layout.c - what stands in a checkpoint in place of a quantised weight, from the config alone.
 *
 * Names, shapes and dtypes as Transformers 5.12.1 and the packages of each format write and build them (read and run;
 * sources in sim/model/family/layout.c). */
#include "tests/support/config.h"

#define LLAMA                    "\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\"," NUMBERS
#define LLAMA_WITH(quantisation) "{" LLAMA ",\"quantization_config\":{" quantisation "}}"
#define BIG_LLAMA_WITH(quantisation)                                                           \
    "{\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\",\"hidden_size\":256,"              \
    "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"intermediate_size\":512,"             \
    "\"vocab_size\":32,\"quantization_config\":{" quantisation "}}"

static const vs_tensor *stored_tensor(const vs_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        if (strcmp(m->tensors[i].name, name) == 0) {
            return &m->tensors[i];
        }
    }
    return NULL;
}

static const vs_target *find_in(const vs_target *targets, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(targets[i].name, name) == 0) {
            return &targets[i];
        }
    }
    return NULL;
}

/* The target has to be there. */
static const vs_target *must_find(const vs_target *targets, uint32_t count, const char *name)
{
    const vs_target *const found = find_in(targets, count, name);
    if (found == NULL) {
        print_error("no target %s\n", name);
        abort();
    }
    return found;
}

static const vs_tensor *must_store(const vs_model *m, const char *name)
{
    const vs_tensor *const found = stored_tensor(m, name);
    if (found == NULL) {
        print_error("%s is not stored\n", name);
        abort();
    }
    return found;
}

/* "model.layers.0.mlp.down_proj." + suffix is stored with this shape and dtype. */
static void stores(const vs_model *m, const char *suffix, vs_dtype dtype, uint32_t dim_count,
                   const uint64_t *shape)
{
    char name[160];
    (void)snprintf(name, sizeof name, "model.layers.0.mlp.down_proj.%s", suffix);
    const vs_tensor *const t = must_store(m, name);
    if (t == NULL) {
        fail_msg("%s is not stored", name);
    }
    assert_string_equal(vs_dtype_name(t->dtype), vs_dtype_name(dtype));
    assert_int_equal(t->dim_count, dim_count);
    for (uint32_t i = 0; i < dim_count; i++) {
        assert_int_equal(t->shape[i], shape[i]);
    }
}

static uint32_t stored_below(const vs_model *m, const char *prefix)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        count += strncmp(m->tensors[i].name, prefix, strlen(prefix)) == 0;
    }
    return count;
}

#define S(...)                                                                                 \
    sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (const uint64_t[])                   \
    {                                                                                          \
        __VA_ARGS__                                                                            \
    }
#define DOWN "model.layers.0.mlp.down_proj."

static void fp8_has_a_scale_for_every_block_of_128(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":[128,128]"));
    stores(&b->model, "weight", VS_DT_F8_E4M3, S(256, 512));
    stores(&b->model, "weight_scale_inv", VS_DT_F32, S(2, 4));
    assert_int_equal(stored_below(&b->model, DOWN), 2);
    assert_int_equal(b->model.quant.format, VS_QF_FP8);
    assert_int_equal(b->model.quant.bits, 8);
    assert_string_equal(b->model.quant.label, "fp8, blocks of 128 x 128");
}

static void fp8_without_blocks_has_one_scale_and_static_inputs_another(void **state)
{
    bench *b = *state;
    read_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":null,"
                              "\"activation_scheme\":\"static\""));
    assert_int_equal(stored_below(&b->model, DOWN), 3);
    stores(&b->model, "weight_scale_inv", VS_DT_F32, 0, NULL);
    stores(&b->model, "activation_scale", VS_DT_F32, 0, NULL);
}

static void gptq_packs_along_the_input(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128"));
    stores(&b->model, "qweight", VS_DT_I32, S(64, 256));
    stores(&b->model, "qzeros", VS_DT_I32, S(4, 32));
    stores(&b->model, "scales", VS_DT_F16, S(4, 256));
    stores(&b->model, "g_idx", VS_DT_I32, S(512));
    assert_int_equal(stored_below(&b->model, DOWN), 4);
    assert_non_null(stored_tensor(&b->model, "lm_head.weight"));
}

static void a_group_size_of_minus_one_is_a_whole_row(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"gptq\",\"bits\":8,\"group_size\":-1"));
    stores(&b->model, "qweight", VS_DT_I32, S(128, 256));
    stores(&b->model, "scales", VS_DT_F16, S(1, 256));
}

static void awq_packs_along_the_output(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128"));
    stores(&b->model, "qweight", VS_DT_I32, S(512, 32));
    stores(&b->model, "qzeros", VS_DT_I32, S(4, 32));
    stores(&b->model, "scales", VS_DT_F16, S(4, 256));
    assert_int_equal(stored_below(&b->model, DOWN), 3);
}

static void bitsandbytes_in_four_bits_keeps_its_statistics_beside_the_weight(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,"
                                  "\"bnb_4bit_quant_type\":\"nf4\","
                                  "\"bnb_4bit_use_double_quant\":true"));
    stores(&b->model, "weight", VS_DT_U8, S(65536, 1));
    stores(&b->model, "weight.absmax", VS_DT_U8, S(2048));
    stores(&b->model, "weight.nested_absmax", VS_DT_F32, S(8));
    stores(&b->model, "weight.nested_quant_map", VS_DT_F32, S(256));
    stores(&b->model, "weight.quant_map", VS_DT_F32, S(16));
    assert_non_null(stored_tensor(&b->model, DOWN "weight.quant_state.bitsandbytes__nf4"));
    assert_int_equal(stored_below(&b->model, DOWN), 6);
    /* the text is for the host */
    assert_null(find_in(b->model.targets, b->model.target_count,
                        DOWN "weight.quant_state.bitsandbytes__nf4"));
}

static void bitsandbytes_in_eight_bits_has_a_scale_a_row(void **state)
{
    bench *b = *state;
    read_config(b, BIG_LLAMA_WITH("\"quant_method\":\"bitsandbytes\",\"load_in_8bit\":true"));
    stores(&b->model, "weight", VS_DT_I8, S(256, 512));
    stores(&b->model, "SCB", VS_DT_F32, S(256));
    assert_int_equal(stored_below(&b->model, DOWN), 3);
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"bitsandbytes\""), "load_in_4bit");
}

#define CT(format, weights, inputs)                                                            \
    BIG_LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"format\":\"" format              \
                   "\",\"ignore\":[\"lm_head\"],\"config_groups\":{\"group_0\":{"              \
                   "\"targets\":[\"Linear\"],\"weights\":{" weights "}" inputs "}}")

static void compressed_tensors_packs_int4_with_its_shape_beside_it(void **state)
{
    bench *b = *state;
    read_config(b, CT("pack-quantized",
                      "\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\","
                      "\"group_size\":128,\"symmetric\":true",
                      ",\"input_activations\":null"));
    stores(&b->model, "weight_packed", VS_DT_I32, S(256, 64));
    stores(&b->model, "weight_scale", VS_DT_BF16, S(256, 4));
    stores(&b->model, "weight_shape", VS_DT_I64, S(2));
    assert_int_equal(stored_below(&b->model, DOWN), 3);
    read_config(b, CT("pack-quantized",
                      "\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\","
                      "\"group_size\":128,\"symmetric\":false",
                      ""));
    stores(&b->model, "weight_zero_point", VS_DT_I32, S(32, 4));
}

static void compressed_tensors_in_eight_bits_is_an_int8_or_fp8_matrix(void **state)
{
    bench *b = *state;
    read_config(b,
                CT("int-quantized", "\"num_bits\":8,\"type\":\"int\",\"strategy\":\"channel\"",
                   ",\"input_activations\":{\"num_bits\":8,\"dynamic\":true}"));
    stores(&b->model, "weight", VS_DT_I8, S(256, 512));
    stores(&b->model, "weight_scale", VS_DT_BF16, S(256, 1));
    assert_int_equal(stored_below(&b->model, DOWN), 2);
    read_config(b, CT("float-quantized",
                      "\"num_bits\":8,\"type\":\"float\",\"strategy\":\"tensor\"",
                      ",\"input_activations\":{\"num_bits\":8,\"dynamic\":false}"));
    stores(&b->model, "weight", VS_DT_F8_E4M3, S(256, 512));
    stores(&b->model, "weight_scale", VS_DT_BF16, S(1));
    stores(&b->model, "input_scale", VS_DT_BF16, S(1));
    assert_int_equal(stored_below(&b->model, DOWN), 3);
    read_config(b, CT("float-quantized",
                      "\"num_bits\":8,\"type\":\"float\",\"strategy\":\"block\","
                      "\"block_structure\":[128,128]",
                      ""));
    stores(&b->model, "weight_scale", VS_DT_BF16, S(2, 4));
}

static void nvfp4_has_a_scale_of_16_values_and_one_for_all(void **state)
{
    bench *b = *state;
    read_config(b, CT("nvfp4-pack-quantized",
                      "\"num_bits\":4,\"type\":\"float\",\"strategy\":\"tensor_group\","
                      "\"group_size\":16",
                      ",\"input_activations\":{\"num_bits\":4,\"dynamic\":\"local\"}"));
    stores(&b->model, "weight_packed", VS_DT_U8, S(256, 256));
    stores(&b->model, "weight_scale", VS_DT_F8_E4M3, S(256, 32));
    stores(&b->model, "weight_global_scale", VS_DT_F32, S(1));
    stores(&b->model, "input_global_scale", VS_DT_F32, S(1));
    assert_int_equal(stored_below(&b->model, DOWN), 4);
}

/* ---- which modules ------------------------------------------------------------------------------ */

static void skipped_modules_are_matched_as_transformers_does(void **state)
{
    bench *b = *state;
    read_config(
        b, LLAMA_WITH("\"quant_method\":\"fp8\",\"modules_to_not_convert\":"
                      "[\"model.layers.0.mlp\",\"o_proj\",\"model.layers.*.self_attn.q\"]"));
    assert_int_equal(stored_below(&b->model, DOWN), 1);
    assert_int_equal(stored_below(&b->model, "model.layers.1.mlp.down_proj."), 2);
    assert_int_equal(stored_below(&b->model, "model.layers.1.self_attn.o_proj."), 1);
    assert_int_equal(stored_below(&b->model, "model.layers.1.self_attn.q_proj."), 1);
    assert_int_equal(stored_below(&b->model, "model.layers.1.self_attn.k_proj."), 2);
    /* the list stands instead of the default, so the head is quantised */
    assert_int_equal(stored_below(&b->model, "lm_head."), 2);
    read_config(b, LLAMA_WITH("\"quant_method\":\"fp8\""));
    assert_int_equal(stored_below(&b->model, "lm_head."), 1);
}

static void targets_of_compressed_tensors_are_names_classes_and_patterns(void **state)
{
    bench *b = *state;
    read_config(b,
                LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"ignore\":"
                           "[\"re:.*self_attn.*\",\"lm_head\"],\"config_groups\":{"
                           "\"a\":{\"targets\":[\"re:.*down_proj$\"],\"weights\":{\"num_bits\":"
                           "8,\"type\":\"float\",\"strategy\":\"channel\"}},"
                           "\"b\":{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":8,"
                           "\"type\":\"int\",\"strategy\":\"channel\"}}}"));
    stores(&b->model, "weight", VS_DT_F8_E4M3, S(8, 16));
    const vs_tensor *const up = must_store(&b->model, "model.layers.0.mlp.up_proj.weight");
    assert_int_equal(up->dtype, VS_DT_I8);
    assert_int_equal(stored_below(&b->model, "model.layers.0.self_attn.q_proj."), 1);
}

/* Python's re.match anchors every alternative at the start. */
static void alternatives_of_a_pattern_all_begin_at_the_start(void **state)
{
    bench *b = *state;
    read_config(b, LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"ignore\":"
                              "[\"re:lm_head|mlp\"],\"config_groups\":{\"a\":{"
                              "\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":8}}}"));
    assert_int_equal(stored_below(&b->model, "lm_head."), 1);
    assert_int_equal(stored_below(&b->model, DOWN), 2);
}

static void the_plain_architecture_is_listed_beside_what_is_loaded(void **state)
{
    bench *b = *state;
    read_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":[4,4]"));
    const vs_model *const m = &b->model;
    const vs_target *const weight =
        must_find(m->modules, m->module_count, "model.layers.1.mlp.down_proj.weight");
    assert_int_equal(weight->shape[0], 8);
    assert_int_equal(weight->source_count, 2);
    assert_int_equal(weight->companion_count, 1);
    assert_string_equal(m->tensors[m->module_sources[weight->first_source + 1]].name,
                        "model.layers.1.mlp.down_proj.weight_scale_inv");
    assert_null(
        find_in(m->modules, m->module_count, "model.layers.1.mlp.down_proj.weight_scale_inv"));
    const vs_target *const scale =
        must_find(m->targets, m->target_count, "model.layers.1.mlp.down_proj.weight_scale_inv");
    assert_int_equal(scale->fixed_dtype, VS_DT_F32);
    assert_true((scale->flags & VS_TF_QUANT_META) != 0);
}

/* ---- experts ---------------------------------------------------------------------------------------- */

static void fp8_experts_and_their_scales_are_fused_alike(void **state)
{
    bench *b = *state;
    read_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"quantization_config\":{"
                   "\"quant_method\":\"fp8\",\"weight_block_size\":[2,4]}}");
    const vs_model *const m = &b->model;
    const vs_target *const up =
        must_find(m->targets, m->target_count, "model.layers.0.mlp.experts.gate_up_proj");
    const vs_target *const scale = must_find(
        m->targets, m->target_count, "model.layers.0.mlp.experts.gate_up_proj_scale_inv");
    assert_int_equal(up->fixed_dtype, VS_DT_F8_E4M3);
    assert_int_equal(up->shape[1], 12);
    assert_int_equal(scale->shape[0], 4);
    assert_int_equal(scale->shape[1], 6);
    assert_int_equal(scale->shape[2], 2);
    assert_int_equal(scale->source_count, 8);
    assert_string_equal(m->tensors[m->sources[scale->first_source]].name,
                        "model.layers.0.mlp.experts.0.gate_proj.weight_scale_inv");
    const vs_target *const plain =
        must_find(m->modules, m->module_count, "model.layers.0.mlp.experts.gate_up_proj");
    assert_int_equal(plain->source_count, 16);
    assert_int_equal(plain->companion_count, 8);
}

static void packed_experts_do_not_reach_the_fused_parameter(void **state)
{
    bench *b = *state;
    read_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"quantization_config\":{"
                   "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":2}}");
    const vs_model *const m = &b->model;
    const vs_target *const up =
        must_find(m->targets, m->target_count, "model.layers.0.mlp.experts.gate_up_proj");
    assert_int_equal(up->source_count, 0);
    const vs_tensor *const t = must_store(m, "model.layers.0.mlp.experts.3.down_proj.qweight");
    assert_int_equal(t->target, VS_NO_TARGET);
}

/* ---- refusals ------------------------------------------------------------------------------------------ */

static void what_cannot_be_is_named(void **state)
{
    bench *b = *state;
    refuse_config(b, LLAMA_WITH("\"bits\":4"), "quant_method");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"aqlm\""), "aqlm");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"gptq\",\"bits\":0"), "bits");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"gptq\",\"group_size\":0"), "group_size");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":[128]"),
                  "two numbers");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":[0,128]"),
                  "weight_block_size");
    refuse_config(
        b, LLAMA_WITH("\"quant_method\":\"fp8\",\"modules_to_not_convert\":[\"(a{9}){9}\"]"),
        "not supported");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"modules_to_not_convert\":[7]"),
                  "modules_to_not_convert");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"compressed-tensors\""), "config_groups");
    refuse_config(b, "{" LLAMA ",\"quantization_config\":\"gptq\"}", "expected an object");
    refuse_config(b, "{" LLAMA ",\"quantization_config\":0}", "expected an object");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"weight_block_size\":\"128\""),
                  "two numbers");
    refuse_config(b,
                  LLAMA_WITH("\"quant_method\":\"fp8\",\"modules_to_not_convert\":\"lm_head\""),
                  "expected a list");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"fp8\",\"activation_scheme\":\"x\""),
                  "static");
    refuse_config(b, LLAMA_WITH("\"quant_method\":\"gptq\",\"bits\":7"), "2, 3, 4 or 8");
    refuse_config(b,
                  LLAMA_WITH("\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,"
                             "\"bnb_4bit_quant_type\":\"nf5\""),
                  "nf4 or fp4");
    refuse_config(b, CT("int-quantized", "\"num_bits\":8,\"type\":\"12\"", ""), "int or float");
}

/* 4096 layers of 7 modules and 16,000 names: half a billion comparisons. */
static void more_names_than_can_be_compared_are_refused(void **state)
{
    bench *b = *state;
    const size_t room = (size_t)512 * 1024;
    char *const text = malloc(room);
    assert_non_null(text);
    size_t used = (size_t)snprintf(
        text, room,
        "{\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":4096,"
        "\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":32,"
        "\"quantization_config\":{\"quant_method\":\"fp8\",\"modules_to_not_convert\":[\"x\"");
    for (uint32_t i = 0; i < 16000; i++) {
        used += (size_t)snprintf(text + used, room - used, ",\"n%" PRIu32 "\"", i);
    }
    (void)snprintf(text + used, room - used, "]}}");
    refuse_config(b, text, "comparisons are not supported");
    free(text);
}

static void lists_of_layers_have_to_be_lists(void **state)
{
    bench *b = *state;
    refuse_config(b, "{" LLAMA ",\"layer_types\":5}", "layer_types");
    refuse_config(b, "{" QWEN3_MOE ",\"num_hidden_layers\":1,\"mlp_only_layers\":5}",
                  "mlp_only_layers");
    read_config(b, "{" LLAMA ",\"layer_types\":null,\"quantization_config\":null}");
}

#define SKIPS(pattern)                                                                         \
    LLAMA_WITH("\"quant_method\":\"fp8\",\"modules_to_not_convert\":[\"" pattern "\"]")

/* regcomp copies what stands before a "+": 24 of them in a row took a second, 30 all memory. */
static void repeats_that_would_double_the_pattern_are_refused(void **state)
{
    bench *b = *state;
    refuse_config(b, SKIPS("a++++++++++++++++++++++++++++++++"), "not supported");
    refuse_config(
        b, SKIPS("(((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"),
        "not supported");
    refuse_config(b, SKIPS("a*+"), "not supported");
    read_config(b, SKIPS("(model.)+layers.[0-9]+.mlp.[a-z_]+"));
    assert_int_equal(stored_below(&b->model, DOWN), 1);
    assert_int_equal(stored_below(&b->model, "model.layers.0.self_attn.q_proj."), 2);
}

/* Room is made for the entries of lists. */
static void names_that_are_no_list_are_refused(void **state)
{
    bench *b = *state;
    refuse_config(b,
                  LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"config_groups\":"
                             "{\"a\":{\"targets\":{\"x\":\"Linear\",\"y\":\"z\"},"
                             "\"weights\":{\"num_bits\":8}}}"),
                  "config_groups.a.targets");
    refuse_config(b,
                  LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"ignore\":{\"x\":"
                             "\"lm_head\"},\"config_groups\":{\"a\":{\"targets\":"
                             "[\"Linear\"],\"weights\":{\"num_bits\":8}}}"),
                  "ignore");
    read_config(b, LLAMA_WITH("\"quant_method\":\"compressed-tensors\",\"ignore\":null,"
                              "\"config_groups\":{\"a\":{\"targets\":[\"Linear\"],"
                              "\"weights\":{\"num_bits\":8}}}"));
    assert_int_equal(stored_below(&b->model, "lm_head."), 2);
}

static void packings_that_are_not_known_are_refused(void **state)
{
    bench *b = *state;
#define PACKED(top, group)                                                                     \
    LLAMA_WITH("\"quant_method\":\"compressed-tensors\"" top ",\"config_groups\":{\"a\":{"     \
               "\"targets\":[\"Linear\"]" group ",\"weights\":{\"num_bits\":8}}}")
    refuse_config(b, PACKED(",\"format\":\"marlin-24\"", ""),
                  "$.quantization_config.format: \"marlin-24\" is not known");
    refuse_config(b, PACKED(",\"format\":\"mixed-precision\"", ",\"format\":\"blah\""),
                  "config_groups.a.format: \"blah\" is not known");
    read_config(b, PACKED(",\"format\":\"mixed-precision\"", ",\"format\":\"int-quantized\""));
#undef PACKED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(fp8_has_a_scale_for_every_block_of_128),
        WITH_BENCH(fp8_without_blocks_has_one_scale_and_static_inputs_another),
        WITH_BENCH(gptq_packs_along_the_input),
        WITH_BENCH(a_group_size_of_minus_one_is_a_whole_row),
        WITH_BENCH(awq_packs_along_the_output),
        WITH_BENCH(bitsandbytes_in_four_bits_keeps_its_statistics_beside_the_weight),
        WITH_BENCH(bitsandbytes_in_eight_bits_has_a_scale_a_row),
        WITH_BENCH(packings_that_are_not_known_are_refused),
        WITH_BENCH(compressed_tensors_packs_int4_with_its_shape_beside_it),
        WITH_BENCH(compressed_tensors_in_eight_bits_is_an_int8_or_fp8_matrix),
        WITH_BENCH(nvfp4_has_a_scale_of_16_values_and_one_for_all),
        WITH_BENCH(skipped_modules_are_matched_as_transformers_does),
        WITH_BENCH(targets_of_compressed_tensors_are_names_classes_and_patterns),
        WITH_BENCH(alternatives_of_a_pattern_all_begin_at_the_start),
        WITH_BENCH(the_plain_architecture_is_listed_beside_what_is_loaded),
        WITH_BENCH(fp8_experts_and_their_scales_are_fused_alike),
        WITH_BENCH(packed_experts_do_not_reach_the_fused_parameter),
        WITH_BENCH(repeats_that_would_double_the_pattern_are_refused),
        WITH_BENCH(names_that_are_no_list_are_refused),
        WITH_BENCH(what_cannot_be_is_named),
        WITH_BENCH(more_names_than_can_be_compared_are_refused),
        WITH_BENCH(lists_of_layers_have_to_be_lists),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
