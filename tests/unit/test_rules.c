/* What the loader decides by itself: the dtype of each parameter [2.4, 2.7], prefetch [2.8], workers [1], the size of the
 * warm-up [3] (specs/transformers-loading.md). */
#include "tests/support/stored.h"

static const char small_llama[] =
    "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":1,"
    "\"num_attention_heads\":2,\"intermediate_size\":128,\"vocab_size\":256,"
    "\"torch_dtype\":\"bfloat16\",\"tie_word_embeddings\":false}";

/* ---- dtypes --------------------------------------------------------------------------------- */

static void integers_of_an_unknown_model_keep_their_dtype(void **state)
{
    static const char *const lines[] = {"mask BOOL 4096", "ids I64 1024", "x.weight BF16 64,64",
                                        "lm_head.weight BF16 16,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    const vs_run_result *r = stored_go(s, "gpu=1GiB dtype=fp32");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->loaded_bytes, 4096 + 1024 * 8 + 64 * 64 * 4 + 16 * 64 * 4);
}

/* [2.4]: "replaced by None ... for pre-quantised loads" only; a family's parameters are floats on the meta device. */
static void integers_under_a_known_family_are_cast(void **state)
{
    static const char *const lines[] = {"model.norm.weight I8 64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    stored_config(s, small_llama);
    const vs_run_result *with_int8 = stored_go(s, "gpu=1GiB");
    assert_int_equal(with_int8->verdict, VS_VERDICT_FITS);
    assert_int_equal(with_int8->loaded_bytes, s->run.model.loaded_parameters * 2);
}

static void a_float8_checkpoint_of_unknown_architecture_stays_float8(void **state)
{
    static const char *const lines[] = {"lm_head.weight BF16 100,512",
                                        "model.layers.0.mlp.up_proj.weight F8_E4M3 512,512",
                                        "model.layers.0.mlp.up_proj.weight_scale_inv F32 4,4"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    stored_config(s, "{\"model_type\":\"nobody's\",\"torch_dtype\":\"bfloat16\","
                     "\"quantization_config\":{\"quant_method\":\"fp8\"}}");
    const vs_run_result *r = stored_go(s, "gpu=1GiB");
    assert_int_equal(r->loaded_bytes, 100 * 512 * 2 + 512 * 512 + 4 * 4 * 4);
    assert_true(r->is_async); /* [2.8] "pre-quantised checkpoint: never" switches it off */
}

/* Without a config the first floating dtype decides [2.7]; torch computes in none below 16 bits. */
static void float8_is_no_load_dtype(void **state)
{
    static const char *const lines[] = {"a.weight F8_E4M3 512,512", "b.bias F16 512",
                                        "lm_head.weight F16 16,512"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    assert_int_equal(stored_go(s, "gpu=1GiB")->load_dtype, VS_DT_F16);
}

static void packed_gptq_weights_are_counted_as_stored(void **state)
{
    static const char *const lines[] = {
        "l.0.up_proj.qweight I32 512,4096", "l.0.up_proj.qzeros I32 32,512",
        "l.0.up_proj.scales F16 32,4096", "l.0.up_proj.g_idx I32 4096",
        "lm_head.weight F16 10,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    const vs_run_result *r = stored_go(s, "gpu=8GiB");
    const vs_bytes stored_bytes =
        512 * 4096 * 4 + 32 * 512 * 4 + 32 * 4096 * 2 + 4096 * 4 + 10 * 64 * 2;
    assert_int_equal(r->loaded_bytes, stored_bytes);
    assert_true(r->peak.categories[VS_CAT_W_FP32] == 0); /* int32 is how 4 bits are packed */
}

static void the_warmup_counts_integers_in_full(void **state)
{
    static const char *const lines[] = {"l.0.up_proj.qweight I32 2048,4096",
                                        "lm_head.weight F16 10,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    /* 33,555,712 B, up to the next 2 MiB */
    assert_int_equal(stored_go(s, "gpu=8GiB")->gpus[0].warmup_bytes, 34 * VS_MIB);
}

static void quantising_what_is_quantised_already_is_refused(void **state)
{
    static const char *const lines[] = {"l.0.up_proj.weight U8 1024,1",
                                        "lm_head.weight F16 10,64"};
    stored *s = *state;
    vs_err err = {0};
    STORED_TENSORS(s, lines);
    assert_false(stored_try(s, "gpu=1GiB quant=bnb-nf4", &err));
    assert_int_equal(err.code, VS_ERR_VALUE);
    assert_non_null(strstr(err.text, "the checkpoint is quantised already"));
    assert_non_null(strstr(err.text, "leave --quant out"));
}

/* GPT-2's causal masks and BERT's position ids are no sign of a quantiser. */
static void masks_and_positions_are_not_taken_for_packed_weights(void **state)
{
    static const char *const lines[] = {
        "h.0.attn.bias U8 1,1,64,64", "embeddings.position_ids I64 1,512",
        "h.0.mask BOOL 64,64", "h.0.mlp.c_fc.weight F32 64,64", "lm_head.weight F32 10,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    assert_int_equal(stored_go(s, "gpu=1GiB quant=bnb-nf4")->verdict, VS_VERDICT_FITS);
    assert_true(s->run.result.peak.categories[VS_CAT_Q_4BIT] > 0);
}

/* ---- threads ------------------------------------------------------------------------------------ */

static void workers_are_four_or_as_many_as_asked_for(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB");
    assert_int_equal(s->run.result.workers, 4);
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB workers=7");
    assert_int_equal(s->run.result.workers, 7);
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB async=off");
    assert_int_equal(s->run.result.workers, 0);
    vs_err err = {0};
    assert_false(scenario_try(&s->run, "qwen2.5-0.5b", "gpu=8GiB workers=257", &err));
    assert_non_null(strstr(err.text, "from 1 to 256"));
}

static void more_workers_than_tensors_are_fine(void **state)
{
    static const char *const lines[] = {"x.weight BF16 64,64", "lm_head.weight BF16 16,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    assert_int_equal(stored_go(s, "gpu=1GiB workers=256")->verdict, VS_VERDICT_FITS);
    assert_int_equal(s->run.result.loaded_bytes, 64 * 64 * 2 + 16 * 64 * 2);
}

/* ---- warm-up [3] ---------------------------------------------------------------------------------- */

/* V53 and later: min(bytes, total - 1.2 GiB), int(1.2 * 2^30) = 1,288,490,188. */
static void the_warmup_leaves_one_and_a_fifth_gib_of_the_total(void **state)
{
    stored *s = *state;
    vs_bytes segment = 0;
    scenario_go(&s->run, "llama-2-7b", "gpu=8GiB dtype=bf16");
    assert_true(vs_round_up_u64(8 * VS_GIB - 1288490188, 2 * VS_MIB, &segment));
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, segment);
}

static void the_warmup_is_capped_by_the_total_and_not_by_what_is_free(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "llama-2-7b", "gpu=8GiB dtype=bf16 gpu-used=2GiB");
    assert_int_equal(s->run.result.verdict, VS_VERDICT_OOM);
    assert_string_equal(s->run.result.oom.stage, "warmup");
    assert_int_equal(s->run.result.oom.consumed_ppm, 0);
    assert_int_equal(s->run.result.oom.requested_bytes, 8 * VS_GIB - 1288490188);
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB dtype=bf16 gpu-used=2GiB");
    assert_int_equal(s->run.result.verdict, VS_VERDICT_FITS);
}

/* bnb 4-bit 0.5 and 8-bit 1 byte an element where the quantiser takes the parameter [3]; 3,762,823,168 B for nf4
 * [9.1], up to the next 2 MiB. */
static void the_warmup_counts_quantised_weights_small(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "llama-2-7b", "gpu=rtx-4090 dtype=bf16 quant=bnb-nf4");
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, 3764387840);
    scenario_go(&s->run, "llama-2-7b", "gpu=rtx-4090 dtype=bf16 quant=bnb-int8");
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, 7002390528);
}

static void a_tiny_card_gets_no_warmup(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=1GiB");
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, 0);
    assert_true(s->run.result.has_warmup); /* asked for nothing: 1 GiB - 1.2 GiB */
}

/* ---- transformers-5.0 [1, 2.8, 3] ------------------------------------------------------------------ */

static void loader_5_0_prefetches_while_it_quantises_and_the_newest_does_not(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "qwen2.5-7b", "gpu=40GiB quant=bnb-nf4");
    assert_false(s->run.result.is_async);
    scenario_go(&s->run, "qwen2.5-7b", "gpu=40GiB quant=bnb-nf4 loader=transformers-5.0");
    assert_true(s->run.result.is_async);
    scenario_go(&s->run, "qwen2.5-7b",
                "gpu=40GiB quant=bnb-nf4 loader=transformers-5.0 async=off");
    assert_false(s->run.result.is_async);
}

/* min(bytes, free - 1.2 GiB) - (reserved - allocated): nothing is reserved yet. */
static void the_warmup_of_5_0_is_capped_by_what_is_free(void **state)
{
    stored *s = *state;
    vs_bytes segment = 0;
    scenario_go(&s->run, "llama-2-7b",
                "gpu=8GiB dtype=bf16 gpu-used=2GiB loader=transformers-5.0");
    const vs_bytes free_bytes = 8 * VS_GIB - 2 * VS_GIB - s->run.result.gpus[0].context_bytes;
    assert_true(vs_round_up_u64(free_bytes - 1288490188, 2 * VS_MIB, &segment));
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, segment);
    assert_string_not_equal(s->run.result.oom.stage, "warmup");
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB gpu-used=7GiB loader=transformers-5.0");
    assert_int_equal(s->run.result.gpus[0].warmup_bytes, 0);
}

/* Where neither rule differs, the two loads are the same: all of a plain checkpoint that has the card to itself. */
static void loader_5_0_loads_a_plain_checkpoint_as_the_newest_does(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "llama-2-7b", "gpu=rtx-4090 dtype=bf16");
    const vs_run_result newest = s->run.result;
    scenario_go(&s->run, "llama-2-7b", "gpu=rtx-4090 dtype=bf16 loader=transformers-5.0");
    assert_int_equal(s->run.result.load_ns, newest.load_ns);
    assert_int_equal(s->run.result.gpus[0].peak_used_bytes, newest.gpus[0].peak_used_bytes);
    assert_int_equal(s->run.result.event_count, newest.event_count);
}

static void loader_5_0_refuses_what_is_quantised_already(void **state)
{
    stored *s = *state;
    vs_err err = {0};
    assert_false(
        scenario_try(&s->run, "deepseek-v3", "gpu=80GiB loader=transformers-5.0", &err));
    assert_int_equal(err.code, VS_ERR_PLANNED);
    assert_non_null(strstr(err.text, "quantised already"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(integers_of_an_unknown_model_keep_their_dtype),
        WITH_STORED(integers_under_a_known_family_are_cast),
        WITH_STORED(a_float8_checkpoint_of_unknown_architecture_stays_float8),
        WITH_STORED(float8_is_no_load_dtype),
        WITH_STORED(packed_gptq_weights_are_counted_as_stored),
        WITH_STORED(the_warmup_counts_integers_in_full),
        WITH_STORED(quantising_what_is_quantised_already_is_refused),
        WITH_STORED(masks_and_positions_are_not_taken_for_packed_weights),
        WITH_STORED(workers_are_four_or_as_many_as_asked_for),
        WITH_STORED(more_workers_than_tensors_are_fine),
        WITH_STORED(the_warmup_leaves_one_and_a_fifth_gib_of_the_total),
        WITH_STORED(the_warmup_is_capped_by_the_total_and_not_by_what_is_free),
        WITH_STORED(the_warmup_counts_quantised_weights_small),
        WITH_STORED(a_tiny_card_gets_no_warmup),
        WITH_STORED(loader_5_0_prefetches_while_it_quantises_and_the_newest_does_not),
        WITH_STORED(the_warmup_of_5_0_is_capped_by_what_is_free),
        WITH_STORED(loader_5_0_loads_a_plain_checkpoint_as_the_newest_does),
        WITH_STORED(loader_5_0_refuses_what_is_quantised_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
