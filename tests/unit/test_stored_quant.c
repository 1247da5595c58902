/* Checkpoints that are quantised already, on cards that take them as they are: what is resident, what it is cast to, what the
 * warm-up counts, what is refused (stored.c, params.c). What older cards do is in test_decode.c.
 *
 * tests/data/modules/quantised.json.gz holds what Transformers 5.12.1 keeps in memory after loading small checkpoints made with
 * the real packages (tests/tools/make_quantised_vectors.py); the figures of the other tests are counted by hand. */
#include "tests/support/stored.h"

#include <zlib.h>

#define VECTORS  "tests/data/modules/quantised.json.gz"
#define TEXT_MAX ((size_t)4 << 20)

/* One layer: q, k, v, o are 256 x 256, gate and up 512 x 256, down 256 x 512: 655,360 weights in seven linears. */
#define LLAMA                                                                                  \
    "\"model_type\":\"llama\",\"hidden_size\":256,\"num_hidden_layers\":1,"                    \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":512,"           \
    "\"vocab_size\":128,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\""
#define WEIGHTS UINT64_C(655360)
/* The same with four experts of that size in the place of the MLP. */
#define MIXTRAL                                                                                \
    "\"model_type\":\"mixtral\",\"hidden_size\":256,\"num_hidden_layers\":1,"                  \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":512,"           \
    "\"vocab_size\":128,\"num_local_experts\":4,\"num_experts_per_tok\":2,"                    \
    "\"tie_word_embeddings\":false"
/* scales of blocks of 128 x 128: 2 x 2 of them for four linears, 4 x 2 for three, four bytes each */
#define GRIDS (UINT64_C(4) * 4 * 4 + UINT64_C(3) * 8 * 4)
/* embedding and head 128 x 256, three norms of 256, two bytes an element */
#define REST  UINT64_C(132608)

static const vs_run_result *go(stored *s, const char *config, const char *words)
{
    stored_config(s, config);
    return stored_go(s, words);
}

/* ---- the real packages --------------------------------------------------------------------------- */

static vs_str as_text(const vs_jnode *node)
{
    vs_str value = {0};
    assert_true(vs_json_as_str(node, &value, NULL));
    return value;
}

/* Bytes of one line of the file: [name, dtype, shape]. */
static vs_bytes resident_bytes(const vs_jnode *item)
{
    vs_jnode part = vs_json_first(item);
    uint64_t elements = 1;
    vs_bytes bytes = 0;
    part = vs_json_next(&part);
    const vs_dtype dtype = vs_dtype_find_torch(as_text(&part));
    assert_true(dtype != VS_DT_COUNT);
    part = vs_json_next(&part);
    for (vs_jnode d = vs_json_first(&part); d.node != NULL; d = vs_json_next(&d)) {
        uint64_t dim = 0;
        assert_true(vs_json_as_u64(&d, &dim, NULL));
        elements *= dim;
    }
    assert_true(vs_dtype_bytes(dtype, elements, &bytes));
    return bytes;
}

typedef struct {
    vs_bytes exact, rounded;
} amount;

/* What is resident, and the four bytes that double quantisation computes when it is loaded. */
static amount wanted(const vs_jnode *c)
{
    const vs_jnode resident = vs_json_member(c, "resident");
    amount sum = {0};
    for (vs_jnode i = vs_json_first(&resident); i.node != NULL; i = vs_json_next(&i)) {
        const vs_jnode name = vs_json_first(&i);
        const vs_bytes bytes = resident_bytes(&i);
        sum.exact += bytes;
        sum.rounded += stored_rounded(bytes);
        if (vs_str_ends(as_text(&name), ".nested_absmax")) {
            sum.exact += 4;
            sum.rounded += 512;
        }
    }
    return sum;
}

static bool same_case(stored *s, const vs_jnode *c)
{
    const vs_jnode config = vs_json_member(c, "config");
    const vs_jnode name = vs_json_member(c, "name");
    const amount want = wanted(c);
    const vs_run_result *r = go(s, as_text(&config).ptr, "gpu=8GiB dtype=bf16");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    const bool is_same =
        r->loaded_bytes == want.exact && r->gpus[0].final_allocated_bytes == want.rounded;
    if (!is_same) {
        print_message("%s: loaded %" PRIu64 ", wanted %" PRIu64 "; allocated %" PRIu64
                      ", wanted %" PRIu64 "\n",
                      as_text(&name).ptr, r->loaded_bytes, want.exact,
                      r->gpus[0].final_allocated_bytes, want.rounded);
    }
    return is_same;
}

static void what_stays_is_what_the_real_packages_keep(void **state)
{
    stored *s = *state;
    char *text = malloc(TEXT_MAX);
    vs_json doc = {0};
    gzFile in = gzopen(VECTORS, "rb");
    assert_true(text != NULL && in != NULL);
    const int got = gzread(in, text, (unsigned)TEXT_MAX);
    assert_true(gzclose(in) == Z_OK && got > 0);
    assert_true(vs_json_parse(&doc, text, (size_t)got, VECTORS, NULL));
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode cases = vs_json_member(&root, "cases");
    uint32_t wrong = 0;
    uint32_t seen = 0;
    for (vs_jnode c = vs_json_first(&cases); c.node != NULL; c = vs_json_next(&c)) {
        seen++;
        wrong += !same_case(s, &c);
    }
    vs_json_close(&doc);
    free(text);
    assert_true(seen >= 55);
    assert_int_equal(wrong, 0);
}

/* ---- by hand ---------------------------------------------------------------------------------------- */

static void fp8_stays_fp8_beside_its_scales(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s, "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}", "gpu=rtx-4090");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->loaded_bytes, REST + WEIGHTS + GRIDS);
    assert_int_equal(r->gpus[0].final_allocated_bytes, REST + WEIGHTS + UINT64_C(7) * 512);
    assert_true(r->is_async);
    assert_true(r->is_stored_quantised && !r->is_dequantised);
    assert_string_equal(r->format,
                        "fp8, blocks of 128 x 128; loaded as stored (rtx-4090 has compute "
                        "capability 8.9, fp8 needs 8.9)");
}

static void gptq_scales_and_biases_are_half_whatever_is_asked_for(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s,
           "{" LLAMA ",\"attention_bias\":true,\"quantization_config\":{\"quant_method\":"
           "\"gptq\",\"bits\":4,\"group_size\":128,\"sym\":true,\"desc_act\":false}}",
           "gpu=8GiB dtype=fp32");
    /* qweight half a byte a weight; a row of qzeros and scales a group of 128 inputs: 2 groups of 256 columns (4 linears)
     * and of 512 (2), 4 of 256; g_idx four bytes an input */
    const uint64_t cells = UINT64_C(4) * 2 * 256 + UINT64_C(2) * 2 * 512 + UINT64_C(4) * 256;
    const vs_bytes scales_and_zeros = cells * 2 + cells / 2;
    const vs_bytes index = UINT64_C(2048) * 4; /* 6 x 256 and 512 */
    const vs_bytes biases = UINT64_C(4) * 256 * 2;
    assert_int_equal(r->load_dtype, VS_DT_F32);
    assert_int_equal(r->loaded_bytes,
                     REST * 2 + WEIGHTS / 2 + scales_and_zeros + index + biases);
}

static void awq_turns_bfloat16_into_float16(void **state)
{
    stored *s = *state;
    const char *config =
        "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,"
        "\"group_size\":128,\"zero_point\":true,\"version\":\"gemm\"}}";
    assert_int_equal(go(s, config, "gpu=8GiB")->load_dtype, VS_DT_F16);
    assert_int_equal(stored_go(s, "gpu=8GiB dtype=bf16")->load_dtype, VS_DT_F16);
    assert_int_equal(stored_go(s, "gpu=8GiB dtype=fp32")->load_dtype, VS_DT_F32);
}

static void compressed_scales_are_cast_to_the_load_dtype(void **state)
{
    stored *s = *state;
    const char *config =
        "{" LLAMA
        ",\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":"
        "\"float-quantized\",\"quantization_status\":\"compressed\",\"ignore\":[\"lm_head\"],"
        "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":8,"
        "\"type\":\"float\",\"strategy\":\"channel\",\"symmetric\":true},\"input_activations\":"
        "{\"num_bits\":8,\"type\":\"float\",\"strategy\":\"token\",\"dynamic\":true}}}}}";
    const uint64_t rows = 5 * 256 + 2 * 512;
    assert_int_equal(go(s, config, "gpu=8GiB")->loaded_bytes, REST + WEIGHTS + rows * 2);
    assert_int_equal(stored_go(s, "gpu=8GiB dtype=fp32")->loaded_bytes,
                     REST * 2 + WEIGHTS + rows * 4);
    /* no card is too old for it */
    assert_false(stored_go(s, "gpu=p40")->is_dequantised);
}

#define NF4                                                                                    \
    ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,"       \
    "\"bnb_4bit_quant_type\":\"nf4\",\"bnb_4bit_use_double_quant\":true,"                      \
    "\"bnb_4bit_quant_storage\":\"uint8\"}}"

static void nf4_adopts_what_is_stored_and_adds_the_mean(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, "{" LLAMA NF4, "gpu=8GiB async=off");
    /* per linear: packed weights, a byte of absmax a block of 64, a nested one of 4 bytes for 256 of them, two tables, and the
     * mean; blocks are 1,024 (four linears) and 2,048 */
    const vs_bytes nested = UINT64_C(40) * 4; /* 4 x 4 and 3 x 8 */
    assert_int_equal(r->loaded_bytes, REST + WEIGHTS / 2 + WEIGHTS / 64 + nested +
                                          UINT64_C(7) * (1024 + 64 + 4));
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     REST + WEIGHTS / 2 + WEIGHTS / 64 +
                         UINT64_C(7) * (512 + 1024 + 512 + 512));
    assert_true(r->peak.categories[VS_CAT_Q_4BIT] > 0);
}

/* bitsandbytes' JSON text goes to the card like everything else; only the host reads it, and it goes. */
static void what_only_the_host_reads_does_not_stay(void **state)
{
    stored *s = *state;
    (void)go(s, "{" LLAMA NF4, "gpu=8GiB");
    const vs_timeline *tl = &s->run.timeline;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < tl->block_count; i++) {
        const bool is_text =
            strstr(vs_timeline_string(tl, tl->blocks[i].name), ".quant_state.") != NULL;
        assert_true(!is_text || tl->blocks[i].dead_event != UINT32_MAX);
        gone += is_text;
    }
    assert_int_equal(gone, 7);
}

static void experts_that_a_format_cannot_merge_are_made_without_values(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s,
           "{" MIXTRAL ",\"torch_dtype\":\"float16\",\"quantization_config\":"
           "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128}}",
           "gpu=8GiB");
    const vs_bytes experts = UINT64_C(4) * 3 * 512 * 256 * 2;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->note_count, 0); /* the model has one of its own */
    assert_int_equal(experts, 3 * VS_MIB);
    assert_true(r->loaded_bytes > experts);
    assert_true(r->disk_read_bytes < experts / 2); /* what is stored of them is not read */
}

/* bitsandbytes stores weights under the name the model's own converters look for: they are merged, the scales are not. */
static void narrow_experts_lose_their_scales(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"" NF4, "gpu=8GiB");
    assert_int_equal(r->note_count, 1);
    assert_non_null(strstr(r->notes[0], "without their scales: 2 fused parameters"));
}

/* gemma3 renames everything, so a pre-quantised load keeps what is stored [2.4]; others cast their norms. */
static void renamed_tensors_keep_their_dtype(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s, "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}",
           "gpu=rtx-4090 dtype=fp32");
    assert_int_equal(r->loaded_bytes, REST * 2 + WEIGHTS + GRIDS);
    /* mixtral's experts, left in 16 bits, change their names */
    r = go(s,
           "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\",\"quantization_config\":"
           "{\"quant_method\":\"fp8\",\"modules_to_not_convert\":[\"lm_head\",\"gate\","
           "\"model.layers.0.mlp.experts\",\"model.layers.0.block_sparse_moe.experts\"]}}",
           "gpu=rtx-4090 dtype=fp32");
    const vs_bytes experts = UINT64_C(4) * 3 * 512 * 256 * 2;
    const vs_bytes router = UINT64_C(4) * 256 * 2; /* mlp.gate: block_sparse_moe in the file */
    assert_int_equal(r->loaded_bytes, REST * 2 + experts + router + 4 * (UINT64_C(65536) + 16));
}

/* ---- large ones -------------------------------------------------------------------------------------------- */

static void deepseek_v3_takes_what_its_tensors_take(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "deepseek-v3", "gpu=h100-sxm:1TiB ram=1TiB");
    const vs_run_result *r = &s->run.result;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_false(r->is_dequantised);
    assert_int_equal(r->loaded_bytes, 673150611808);
    /* the score corrections are bfloat16 in the module tree: 58 x 256 x 2 less; up to the next 2 MiB */
    vs_bytes segment = 0;
    assert_true(vs_round_up_u64(673150611808 - UINT64_C(58) * 256 * 2, 2 * VS_MIB, &segment));
    assert_int_equal(r->gpus[0].warmup_bytes, segment);
}

/* 36 layers, 128 experts, hidden and intermediate 2,880, 64 heads of 64, 8 of them for keys, vocabulary 201,088. */
#define OSS_BLOCKS (UINT64_C(128) * (5760 + 2880) * 90 * 16)
#define OSS_SCALES (UINT64_C(128) * (5760 + 2880) * 90)
#define OSS_BIASES (UINT64_C(128) * (5760 + 2880))
#define OSS_ATTENTION                                                                          \
    (UINT64_C(2) * 4096 * 2880 + UINT64_C(2) * 512 * 2880 + 4096 + UINT64_C(2) * 512 + 2880 +  \
     64)
#define OSS_PLAIN                                                                              \
    (UINT64_C(2) * 201088 * 2880 + 2880 +                                                      \
     36 * (OSS_ATTENTION + UINT64_C(128) * 2880 + 128 + UINT64_C(2) * 2880))

static void gpt_oss_120b_keeps_blocks_and_scales_and_wide_biases(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "gpt-oss-120b", "gpu=h100-sxm async=off");
    const vs_run_result *r = &s->run.result;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_false(r->is_dequantised);
    const vs_bytes wide = 36 * OSS_BIASES * 4;
    assert_int_equal(r->loaded_bytes, OSS_PLAIN * 2 + 36 * (OSS_BLOCKS + OSS_SCALES) + wide);
    assert_int_equal(r->loaded_bytes, 65328441984);
    /* the checkpoint has the biases in two bytes */
    assert_int_equal(s->run.model.checkpoint_bytes, r->loaded_bytes - wide / 2);
    /* the module tree has no parameter for the scales */
    vs_bytes segment = 0;
    assert_true(vs_round_up_u64(r->loaded_bytes - 36 * OSS_SCALES, 2 * VS_MIB, &segment));
    assert_int_equal(r->gpus[0].warmup_bytes, segment);
    /* gate_up of the last layer but the norms: source and copy side by side */
    assert_int_equal(r->peak.categories[VS_CAT_ACT], UINT64_C(128) * 5760 * 90 * 17);
}

/* ---- warm-up [3] ------------------------------------------------------------------------------------------------- */

#define WIDE                                                                                   \
    "{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":4,"                  \
    "\"num_attention_heads\":32,\"num_key_value_heads\":32,\"intermediate_size\":11008,"       \
    "\"vocab_size\":32000,\"tie_word_embeddings\":false,\"torch_dtype\":\"float16\","          \
    "\"quantization_config\":{"
#define INT4                                                                                   \
    "\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\","                   \
    "\"quantization_status\":\"compressed\",\"ignore\":[\"lm_head\"],\"config_groups\":{"      \
    "\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":4,\"type\":\"int\","      \
    "\"strategy\":\"group\",\"group_size\":128,\"symmetric\":false}}}"

/* What the module tree has, not what becomes of it: half a byte a weight and nothing else for bitsandbytes, one byte for a zero
 * point that is stored in four bits. */
static void the_warm_up_counts_the_module_tree(void **state)
{
    const uint64_t n = UINT64_C(4) * (UINT64_C(4) * 4096 * 4096 + UINT64_C(3) * 4096 * 11008);
    const vs_bytes rest = (UINT64_C(2) * 32000 * 4096 + UINT64_C(9) * 4096) * 2;
    const uint64_t inputs = UINT64_C(4) * (6 * 4096 + 11008);

    const struct {
        const char *config;
        vs_bytes bytes;
    } cases[] = {
        {WIDE "\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true}}", n / 2},
        {WIDE "\"quant_method\":\"bitsandbytes\",\"load_in_8bit\":true}}", n},
        {WIDE "\"quant_method\":\"fp8\"}}", n + n / 128 / 128 * 4},
        {WIDE "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128}}",
         n / 2 + n / 128 / 2 + n / 128 * 2 + inputs * 4},
        {WIDE INT4 "}}", n / 2 + n / 128 * 2 + n / 128 + UINT64_C(4) * 7 * 16},
    };

    stored *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vs_bytes segment = 0;
        const vs_run_result *r = go(s, cases[i].config, "gpu=rtx-4090");
        assert_true(vs_round_up_u64(rest + cases[i].bytes, 2 * VS_MIB, &segment));
        assert_int_equal(r->gpus[0].warmup_bytes, segment);
    }
    /* dequantised: the plain model, although the quantiser is still there */
    vs_bytes segment = 0;
    assert_true(vs_round_up_u64(rest + n * 2, 2 * VS_MIB, &segment));
    assert_int_equal(go(s, cases[2].config, "gpu=rtx-3090")->gpus[0].warmup_bytes, segment);
}

/* ---- cards whose capability nobody knows; refusals ------------------------------------------------------------ */

static bool has_assumed(const vs_run_result *r, const char *key)
{
    for (uint32_t i = 0; i < r->machine.assumed_count; i++) {
        if (strcmp(r->machine.assumed[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void a_card_given_by_its_size_is_taken_for_a_new_one(void **state)
{
    stored *s = *state;
    const char *fp8 = "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}";
    const vs_run_result *r = go(s, fp8, "gpu=24GiB");
    assert_false(r->is_dequantised);
    assert_true(has_assumed(r, "gpu.takes_fp8"));
    assert_non_null(strstr(r->format, "compute capability is not known"));
    r = stored_go(s, "gpu=rtx-4090");
    assert_false(has_assumed(r, "gpu.takes_fp8"));
    r = stored_go(s, "gpu=rtx-3090");
    assert_true(r->is_dequantised);
}

static void capabilities_are_compared_as_numbers(void **state)
{
    stored *s = *state;
    const char *fp8 = "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}";
    assert_false(go(s, fp8, "gpu=b200")->is_dequantised);                  /* 10.0 */
    assert_true(stored_go(s, "gpu=jetson-agx-orin-64gb")->is_dequantised); /* 8.7 */
    scenario_go(&s->run, "gpt-oss-120b", "gpu=t4:100GiB");                 /* 7.5 */
    assert_false(s->run.result.is_dequantised);
    assert_true(has_assumed(&s->run.result, "software.mxfp4_kernels"));
    scenario_go(&s->run, "gpt-oss-120b", "gpu=v100-16gb:1TiB"); /* 7.0 */
    assert_true(s->run.result.is_dequantised);
    assert_false(has_assumed(&s->run.result, "software.mxfp4_kernels"));
}

static void apple_dequantises_and_amd_has_capabilities_too(void **state)
{
    stored *s = *state;
    const char *fp8 = "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}";
    const vs_run_result *r = go(s, fp8, "gpu=m4-max-128gb");
    assert_true(r->is_dequantised);
    assert_false(has_assumed(r, "gpu.takes_fp8"));
    assert_non_null(strstr(r->format, "m4-max-128gb is no CUDA device"));
    r = stored_go(s, "gpu=mi300x"); /* gfx942: 9.4 */
    assert_false(r->is_dequantised);
    assert_false(has_assumed(r, "gpu.takes_fp8"));
    assert_non_null(strstr(r->format, "mi300x has compute capability gfx942, fp8 needs 8.9"));
    scenario_go(&s->run, "gpt-oss-120b", "gpu=m2-ultra-192gb:400GiB");
    assert_true(s->run.result.is_dequantised);
    assert_false(has_assumed(&s->run.result, "software.mxfp4_kernels"));
}

static void what_marlin_would_do_is_told_as_not_modelled(void **state)
{
    stored *s = *state;
    const char *gptq =
        "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}";
    const char *fp8 = "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}";
    assert_true(has_assumed(go(s, gptq, "gpu=rtx-4090"), "software.marlin_repacking"));
    assert_true(has_assumed(stored_go(s, "gpu=24GiB"), "software.marlin_repacking"));
    assert_false(has_assumed(stored_go(s, "gpu=t4"), "software.marlin_repacking"));
    assert_false(has_assumed(go(s, fp8, "gpu=rtx-4090"), "software.marlin_repacking"));
}

static void a_quantiser_on_top_is_refused_by_the_name_of_the_format(void **state)
{
    stored *s = *state;
    vs_err err = {0};
    stored_config(s, "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}");
    assert_false(stored_try(s, "gpu=rtx-4090 quant=bnb-nf4", &err));
    assert_string_equal(err.text,
                        "--quant bnb-nf4: the checkpoint is quantised already (fp8, blocks of "
                        "128 x 128); leave --quant out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(what_stays_is_what_the_real_packages_keep),
        WITH_STORED(fp8_stays_fp8_beside_its_scales),
        WITH_STORED(gptq_scales_and_biases_are_half_whatever_is_asked_for),
        WITH_STORED(awq_turns_bfloat16_into_float16),
        WITH_STORED(compressed_scales_are_cast_to_the_load_dtype),
        WITH_STORED(nf4_adopts_what_is_stored_and_adds_the_mean),
        WITH_STORED(what_only_the_host_reads_does_not_stay),
        WITH_STORED(experts_that_a_format_cannot_merge_are_made_without_values),
        WITH_STORED(narrow_experts_lose_their_scales),
        WITH_STORED(renamed_tensors_keep_their_dtype),
        WITH_STORED(deepseek_v3_takes_what_its_tensors_take),
        WITH_STORED(gpt_oss_120b_keeps_blocks_and_scales_and_wide_biases),
        WITH_STORED(the_warm_up_counts_the_module_tree),
        WITH_STORED(a_card_given_by_its_size_is_taken_for_a_new_one),
        WITH_STORED(capabilities_are_compared_as_numbers),
        WITH_STORED(what_marlin_would_do_is_told_as_not_modelled),
        WITH_STORED(apple_dequantises_and_amd_has_capabilities_too),
        WITH_STORED(a_quantiser_on_top_is_refused_by_the_name_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
