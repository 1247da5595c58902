/* Checkpoints that are quantised already, made into parameters: what is alive when they are dequantised, what a card that is
 * too small for it ends in (decode.c). Every figure is counted by hand from the sequences at the top of decode.c, for sequential
 * loads; shapes are chosen so that all sizes are multiples of 512 but the small ones named. */
#include "tests/support/stored.h"

/* One layer: q, k, v, o are 256 x 256, gate and up 512 x 256, down 256 x 512. */
#define LLAMA                                                                                  \
    "{\"model_type\":\"llama\",\"hidden_size\":256,\"num_hidden_layers\":1,"                   \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":512,"           \
    "\"vocab_size\":128,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","           \
    "\"quantization_config\":{\"quant_method\":\"fp8\"}}"
#define HEADS (UINT64_C(2) * 128 * 256 * 2) /* embedding and head */
#define NORM  UINT64_C(512)
#define PLAIN (HEADS + 3 * NORM + UINT64_C(655360) * 2)

static const vs_run_result *go(stored *s, const char *config, const char *words)
{
    stored_config(s, config);
    return stored_go(s, words);
}

/* ---- fp8 ------------------------------------------------------------------------------------------ */

static void an_older_card_gets_the_plain_model(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, LLAMA, "gpu=rtx-3090");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_true(r->is_dequantised && r->is_async);
    assert_int_equal(r->loaded_bytes, PLAIN);
    assert_int_equal(r->gpus[0].final_allocated_bytes, PLAIN);
    assert_string_equal(r->format,
                        "fp8, blocks of 128 x 128; dequantised to bfloat16 (rtx-3090 has "
                        "compute capability 8.6, fp8 needs 8.9)");
}

/* A plain linear keeps its name, so the host casts it: 2n arrive, then 4n, 4n and 2n are made, and its scales are there. The
 * largest are the last of three of n = 131,072: down, gate, up. */
static void a_linear_takes_twelve_bytes_a_weight_for_a_moment(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, LLAMA, "gpu=rtx-3090 async=off");
    const uint64_t n = 131072;
    assert_int_equal(r->gpus[0].peak_allocated_bytes, HEADS + NORM + 2 * n * 2 + 12 * n + 512);
}

#define MIXTRAL                                                                                \
    "{\"model_type\":\"mixtral\",\"hidden_size\":256,\"num_hidden_layers\":1,"                 \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":1024,"          \
    "\"vocab_size\":128,\"num_local_experts\":2,\"num_experts_per_tok\":1,"                    \
    "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","                              \
    "\"quantization_config\":{\"quant_method\":\"fp8\"}}"

/* Experts change their names and arrive as they are stored, n = 262,144 bytes each. gate_up is done (8n); of the two of down
 * the second is in hand: both sources with their scales, the first result, and the ten bytes a weight of the second. */
static void experts_are_dequantised_one_by_one_beside_all_sources(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, MIXTRAL, "gpu=rtx-3090 async=off");
    const uint64_t n = 262144;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->gpus[0].peak_allocated_bytes,
                     HEADS + 8 * n + 2 * (n + 512) + 2 * n + 10 * n);
    const vs_bytes attention = UINT64_C(4) * 65536 * 2;
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     HEADS + 3 * NORM + UINT64_C(2) * 256 * 2 + attention + 6 * n * 2);
}

static void async_and_sequential_loads_end_alike(void **state)
{
    stored *s = *state;
    const vs_bytes async = go(s, MIXTRAL, "gpu=rtx-3090")->gpus[0].final_allocated_bytes;
    assert_int_equal(stored_go(s, "gpu=rtx-3090 async=off")->gpus[0].final_allocated_bytes,
                     async);
}

static void the_other_dtypes_are_dequantised_to_as_well(void **state)
{
    stored *s = *state;
    assert_int_equal(go(s, LLAMA, "gpu=rtx-3090 dtype=fp32")->loaded_bytes, PLAIN * 2);
    assert_int_equal(stored_go(s, "gpu=rtx-3090 dtype=fp16")->loaded_bytes, PLAIN);
}

/* 320 rows have scales for three blocks of 128: not a multiple. The converter refuses, the parameter is made without a value,
 * and the load raises at its end. */
static void weights_that_are_no_multiple_of_their_scales_fail_the_load(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s,
           "{\"model_type\":\"llama\",\"hidden_size\":256,\"num_hidden_layers\":1,"
           "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"intermediate_size\":320,"
           "\"vocab_size\":128,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
           "\"quantization_config\":{\"quant_method\":\"fp8\"}}",
           "gpu=rtx-3090");
    assert_int_equal(r->verdict, VS_VERDICT_FAILED);
    assert_false(r->has_oom);
    assert_non_null(strstr(r->headline, "3 of 12 parameters cannot be dequantised"));
    assert_non_null(
        strstr(r->reason, "mlp.down_proj.weight is [256, 320], its scales are [2, 3]"));
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     HEADS + 3 * NORM + UINT64_C(4) * 65536 * 2 + UINT64_C(3) * 320 * 256 * 2);
    assert_int_equal(stored_go(s, "gpu=rtx-4090")->verdict, VS_VERDICT_FITS);
}

static void deepseek_v3_does_not_load_dequantised(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "deepseek-v3", "gpu=a100-80gb-sxm:2TiB ram=1TiB warmup=off");
    const vs_run_result *r = &s->run.result;
    assert_int_equal(r->verdict, VS_VERDICT_FAILED);
    assert_non_null(strstr(r->headline, "61 of 967"));
    assert_non_null(
        strstr(r->reason, "kv_a_proj_with_mqa.weight is [576, 7168], its scales are [5, 56]"));
}

/* 64 experts of 3 x 1 MiB: the second allocation for an expert, 2 x 4 MiB, is what the card has not got. */
static void a_dequantisation_that_runs_out_is_caught_and_raised_at_the_end(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s,
           "{\"model_type\":\"mixtral\",\"hidden_size\":1024,\"num_hidden_layers\":1,"
           "\"num_attention_heads\":8,\"num_key_value_heads\":8,\"intermediate_size\":1024,"
           "\"vocab_size\":128,\"num_local_experts\":64,\"num_experts_per_tok\":1,"
           "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
           "\"quantization_config\":{\"quant_method\":\"fp8\"}}",
           "gpu=rtx-3090:660MiB async=off warmup=off");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "dequantise");
    assert_true(r->oom.is_swallowed);
    assert_string_equal(r->oom.tensor, "model.layers.0.mlp.experts.gate_up_proj");
}

/* ---- mxfp4 -------------------------------------------------------------------------------------------- */

/* One layer, sixteen experts: gate_up of 16 x 256 x 128 values, down of 16 x 128 x 128. */
#define OSS                                                                                    \
    "{\"model_type\":\"gpt_oss\",\"hidden_size\":128,\"num_hidden_layers\":1,"                 \
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"head_dim\":64,"                     \
    "\"intermediate_size\":128,\"vocab_size\":256,\"num_local_experts\":16,"                   \
    "\"num_experts_per_tok\":2,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","    \
    "\"quantization_config\":{\"quant_method\":\"mxfp4\",\"modules_to_not_convert\":["         \
    "\"model.layers.*.self_attn\",\"model.layers.*.mlp.router\",\"model.embed_tokens\","       \
    "\"lm_head\"]}}"
#define OSS_HEADS (UINT64_C(2) * 256 * 128 * 2)
#define GATE_UP   (UINT64_C(16) * 256 * 128)
#define DOWN      (UINT64_C(16) * 128 * 128)
/* four projections with biases, sinks, router with bias, three norms, one block each */
#define OSS_REST                                                                               \
    (UINT64_C(4) * (UINT64_C(128) * 128 * 2 + 512) + 512 + (UINT64_C(16) * 128 * 2) + 512 +    \
     UINT64_C(3) * 512)

static void native_mxfp4_has_source_and_copy_side_by_side(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, OSS, "gpu=rtx-4090 async=off");
    const vs_bytes gate_up = GATE_UP / 2 + GATE_UP / 32;
    const vs_bytes down = DOWN / 2 + DOWN / 32;
    const vs_bytes biases = UINT64_C(16) * (256 + 128) * 4; /* float32 */
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     OSS_HEADS + OSS_REST + gate_up + down + biases);
    /* in key order: head, embedding, input norm, down bias, down, gate_up bias, gate_up */
    assert_int_equal(r->gpus[0].peak_allocated_bytes,
                     OSS_HEADS + 512 + biases + down + 2 * gate_up);
}

/* One chunk: scales as int32 (n / 8), table (512), result (2n), then int32 (2n), int64 (4n) and looked-up values (n) of half of
 * them, beside the source; the transposed copy (2n) comes when these are gone. */
static void dequantised_mxfp4_takes_nine_bytes_a_value(void **state)
{
    stored *s = *state;
    const vs_run_result *r = go(s, OSS, "gpu=v100-16gb async=off");
    const vs_bytes source = GATE_UP / 2 + GATE_UP / 32;
    const vs_bytes biases = UINT64_C(16) * (256 + 128) * 2; /* bfloat16 like all others */
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     OSS_HEADS + OSS_REST + (GATE_UP + DOWN) * 2 + biases);
    assert_int_equal(r->gpus[0].peak_allocated_bytes, OSS_HEADS + 512 + biases + DOWN * 2 +
                                                          source + GATE_UP / 8 + 512 +
                                                          2 * GATE_UP + 7 * GATE_UP);
}

/* dequantize_convertops takes bfloat16 whatever was asked for; everything else is what was asked for. */
static void dequantised_mxfp4_is_bfloat16_whatever_is_asked_for(void **state)
{
    stored *s = *state;
    const vs_bytes as_bf16 = go(s, OSS, "gpu=v100-16gb")->loaded_bytes;
    const vs_bytes as_fp32 = stored_go(s, "gpu=v100-16gb dtype=fp32")->loaded_bytes;
    assert_int_equal(as_fp32, 2 * (as_bf16 - (GATE_UP + DOWN) * 2) + (GATE_UP + DOWN) * 2);
}

/* float16 keeps the norms in float32 (_keep_in_fp32_modules): three of 128, native or not. */
static void float16_keeps_the_norms_of_gpt_oss_wide(void **state)
{
    stored *s = *state;
    const vs_bytes as_bf16 = go(s, OSS, "gpu=v100-16gb")->loaded_bytes;
    assert_int_equal(stored_go(s, "gpu=v100-16gb dtype=fp16")->loaded_bytes,
                     as_bf16 + UINT64_C(3) * 128 * 2);
}

/* More than 2^25 blocks are dequantised in two chunks: gate_up of gpt-oss-120b has 66,355,200. */
static void gpt_oss_120b_is_dequantised_in_chunks(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "gpt-oss-120b", "gpu=v100-32gb:300GiB async=off");
    const vs_run_result *r = &s->run.result;
    const uint64_t n = UINT64_C(128) * 5760 * 2880;
    const uint64_t chunk = (UINT64_C(1) << 25) * 32;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_true(r->is_dequantised);
    /* the values that are looked up, and what else is made of a chunk, at the last layer */
    assert_int_equal(r->peak.categories[VS_CAT_ACT], n / 8 + 512 + 2 * n + 7 * chunk);
    const uint64_t attention = UINT64_C(2) * 4096 * 2880 + UINT64_C(2) * 512 * 2880 + 4096 +
                               UINT64_C(2) * 512 + 2880 + 64;
    const uint64_t experts = UINT64_C(128) * (5760 * 2880 + 2880 * 2880 + 5760 + 2880);
    const uint64_t layer =
        attention + experts + UINT64_C(128) * 2880 + 128 + UINT64_C(2) * 2880;
    assert_int_equal(r->loaded_bytes, (UINT64_C(2) * 201088 * 2880 + 2880 + 36 * layer) * 2);
}

/* One expert layer of 2 x 2880 x 2880 x 8: 132,710,400 values; the card has room for the sources, not for nine times the
 * values. The exception is caught inside, so the load ends without one, but the parameter is in host memory. */
static void a_full_card_leaves_the_parameter_in_host_memory(void **state)
{
    stored *s = *state;
    const vs_run_result *r =
        go(s,
           "{\"model_type\":\"gpt_oss\",\"hidden_size\":2880,\"num_hidden_layers\":1,"
           "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"head_dim\":64,"
           "\"intermediate_size\":2880,\"vocab_size\":256,\"num_local_experts\":8,"
           "\"num_experts_per_tok\":2,\"tie_word_embeddings\":false,\"torch_dtype\":"
           "\"bfloat16\",\"quantization_config\":{\"quant_method\":\"mxfp4\"}}",
           "gpu=v100-16gb:1500MiB async=off warmup=off");
    const uint64_t n = UINT64_C(8) * 5760 * 2880;
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "dequantise");
    assert_true(r->oom.is_swallowed);
    assert_false(r->oom.has_surfaced);
    assert_non_null(strstr(r->reason, "1 parameter (253.13 MiB) is in host memory"));
    assert_int_equal(n * 2, UINT64_C(265420800)); /* 253.125 MiB */
    assert_true(r->host_peak_anon_bytes > r->machine.host.base_rss_bytes + 9 * n);
    /* and the host may be too small for it */
    r = stored_go(s, "gpu=v100-16gb:1500MiB async=off warmup=off ram=1GiB");
    assert_int_equal(r->verdict, VS_VERDICT_HOST_OOM);
}

static void every_allocation_of_a_dequantising_run_may_fail(void **state)
{
    stored *s = *state;
    bool has_passed = false;
    stored_config(s, MIXTRAL);
    for (uint64_t n = 1; !has_passed && n < 5000; n++) {
        vs_err err = {0};
        s->run.fail_run_at = n;
        has_passed = stored_try(s, "gpu=rtx-3090", &err);
        assert_true(has_passed || err.code == VS_ERR_MEMORY);
    }
    assert_true(has_passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(an_older_card_gets_the_plain_model),
        WITH_STORED(a_linear_takes_twelve_bytes_a_weight_for_a_moment),
        WITH_STORED(experts_are_dequantised_one_by_one_beside_all_sources),
        WITH_STORED(async_and_sequential_loads_end_alike),
        WITH_STORED(the_other_dtypes_are_dequantised_to_as_well),
        WITH_STORED(weights_that_are_no_multiple_of_their_scales_fail_the_load),
        WITH_STORED(deepseek_v3_does_not_load_dequantised),
        WITH_STORED(a_dequantisation_that_runs_out_is_caught_and_raised_at_the_end),
        WITH_STORED(native_mxfp4_has_source_and_copy_side_by_side),
        WITH_STORED(dequantised_mxfp4_takes_nine_bytes_a_value),
        WITH_STORED(dequantised_mxfp4_is_bfloat16_whatever_is_asked_for),
        WITH_STORED(float16_keeps_the_norms_of_gpt_oss_wide),
        WITH_STORED(gpt_oss_120b_is_dequantised_in_chunks),
        WITH_STORED(a_full_card_leaves_the_parameter_in_host_memory),
        WITH_STORED(every_allocation_of_a_dequantising_run_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
