/* The main thread of a load: what it sets, what it leaves out, what it makes at the end, and where a failed
 * allocation shows (specs/transformers-loading.md [2.1 step 9, 2.5, 2.6]). */
#include "tests/support/stored.h"

#define LLAMA                                                                                  \
    "\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":1,"                     \
    "\"num_attention_heads\":2,\"intermediate_size\":128,\"vocab_size\":256,"                  \
    "\"torch_dtype\":\"bfloat16\""
#define LAYER "model.layers.0."

static const char *const all_lines[] = {"lm_head.weight BF16 256,64",
                                        "model.embed_tokens.weight BF16 256,64",
                                        "model.norm.weight BF16 64",
                                        LAYER "input_layernorm.weight BF16 64",
                                        LAYER "post_attention_layernorm.weight BF16 64",
                                        LAYER "mlp.down_proj.weight BF16 64,128",
                                        LAYER "mlp.gate_proj.weight BF16 128,64",
                                        LAYER "mlp.up_proj.weight BF16 128,64",
                                        LAYER "self_attn.k_proj.weight BF16 64,64",
                                        LAYER "self_attn.o_proj.weight BF16 64,64",
                                        LAYER "self_attn.q_proj.weight BF16 64,64",
                                        LAYER "self_attn.v_proj.weight BF16 64,64"};
#define ALL_COUNT (sizeof all_lines / sizeof all_lines[0])
/* every size is a multiple of 512 but the three norms of 128 B */
#define ALL_BYTES (2 * 256 * 64 * 2 + 3 * 128 + 3 * 64 * 128 * 2 + 4 * 64 * 64 * 2)

static void a_parameter_the_checkpoint_lacks_is_made_at_the_end(void **state)
{
    stored *s = *state;
    stored_tensors(s, all_lines + 1, ALL_COUNT - 1); /* no lm_head */
    stored_config(s, "{" LLAMA ",\"tie_word_embeddings\":false}");
    const vs_run_result *r = stored_go(s, "gpu=8GiB");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->loaded_bytes, ALL_BYTES);
    assert_int_equal(r->gpus[0].final_allocated_bytes, ALL_BYTES + 3 * (512 - 128));
    assert_int_equal(r->disk_read_bytes, ALL_BYTES - 256 * 64 * 2);
}

/* [2.5]: "allocates it (uninitialised, full size)": the quantiser does not see it. */
static void a_missing_parameter_is_not_quantised(void **state)
{
    stored *s = *state;
    vs_bytes quantised = 0;
    stored_tensors(s, all_lines, ALL_COUNT);
    stored_config(s, "{" LLAMA ",\"tie_word_embeddings\":false}");
    quantised = stored_go(s, "gpu=8GiB quant=bnb-nf4")->gpus[0].final_allocated_bytes;
    assert_int_equal(unlink(s->tree->paths[0]), 0);
    stored_tensors(s, all_lines, ALL_COUNT - 1); /* no v_proj */
    const vs_bytes missing =
        stored_go(s, "gpu=8GiB quant=bnb-nf4")->gpus[0].final_allocated_bytes;
    /* 64 x 64: 8,192 B in place of 2,048 + 512 (256 B of absmax) + 512 (code) */
    assert_int_equal(missing - quantised, 8192 - (2048 + 512 + 512));
}

static void a_missing_parameter_that_does_not_fit_ends_the_load(void **state)
{
    static const char *const lines[] = {"model.norm.weight BF16 65536"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    stored_config(s, "{\"model_type\":\"llama\",\"hidden_size\":65536,\"num_hidden_layers\":1,"
                     "\"num_attention_heads\":64,\"intermediate_size\":64,\"vocab_size\":64,"
                     "\"torch_dtype\":\"bfloat16\",\"tie_word_embeddings\":false}");
    const vs_run_result *r = stored_go(s, "gpu=8GiB warmup=off");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "finalise");
    assert_true(r->oom.has_surfaced);
    assert_string_equal(r->oom.surface_tensor, r->oom.tensor);
    assert_false(r->oom.is_swallowed);
    assert_int_equal(r->oom.consumed_ppm, 1000000);
    assert_non_null(strstr(r->reason, "finished model alone"));
}

static void a_tensor_without_elements_takes_no_memory(void **state)
{
    static const char *const lines[] = {"a.weight BF16 4,0", "b.bias BF16 0",
                                        "c.weight BF16 64,64", "lm_head.weight BF16 16,64"};
    static const char *const words[] = {"gpu=1GiB", "gpu=1GiB async=off",
                                        "gpu=1GiB quant=bnb-int8 async=on"};
    static const vs_bytes bytes[] = {64 * 64 * 2 + 16 * 64 * 2, 64 * 64 * 2 + 16 * 64 * 2,
                                     64 * 64 + 64 * 4 + 256 + 16 * 64 * 2};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    for (size_t i = 0; i < 3; i++) {
        const vs_run_result *r = stored_go(s, words[i]);
        assert_int_equal(r->verdict, VS_VERDICT_FITS);
        assert_int_equal(r->gpus[0].final_allocated_bytes, bytes[i]);
    }
}

static void a_checkpoint_without_tensors_loads_nothing(void **state)
{
    stored *s = *state;
    stored_tensors(s, NULL, 0);
    const vs_run_result *r = stored_go(s, "gpu=1GiB");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->loaded_bytes, 0);
    assert_int_equal(r->gpus[0].peak_reserved_bytes, 0);
}

/* ---- tied weights --------------------------------------------------------------------------------- */

/* It is read like any other key and goes when it is tied: the peak has it, the end has not. */
static void a_head_that_is_stored_although_tied_lives_until_the_tie(void **state)
{
    stored *s = *state;
    stored_tensors(s, all_lines, ALL_COUNT);
    stored_config(s, "{" LLAMA ",\"tie_word_embeddings\":true}");
    const vs_run_result *r = stored_go(s, "gpu=1GiB");
    const vs_bytes head = UINT64_C(256) * 64 * 2;
    assert_int_equal(r->loaded_bytes, ALL_BYTES - head);
    assert_int_equal(r->gpus[0].final_allocated_bytes,
                     ALL_BYTES - head + UINT64_C(3) * (512 - 128));
    assert_int_equal(r->gpus[0].peak_allocated_bytes, ALL_BYTES + 3 * (512 - 128));
    assert_int_equal(r->disk_read_bytes, ALL_BYTES);
}

static void a_tied_head_is_never_quantised(void **state)
{
    stored *s = *state;
    stored_tensors(s, all_lines, ALL_COUNT);
    stored_config(s, "{" LLAMA ",\"tie_word_embeddings\":true}");
    const vs_run_result *r = stored_go(s, "gpu=1GiB quant=bnb-nf4");
    /* seven linear weights: 4,096 / 2,048 B of data, 512 B of absmax each, 512 B of code */
    const vs_bytes quantised = 3 * (4096 + 512 + 512) + 4 * (2048 + 512 + 512);
    assert_int_equal(r->gpus[0].final_allocated_bytes, 256 * 64 * 2 + 3 * 512 + quantised);
}

/* ---- merges [2.6] -------------------------------------------------------------------------------- */

#define MOE                                                                                    \
    "{\"model_type\":\"mixtral\",\"hidden_size\":256,\"num_hidden_layers\":1,"                 \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"intermediate_size\":32768,"         \
    "\"vocab_size\":64,\"num_local_experts\":2,\"num_experts_per_tok\":1,"                     \
    "\"torch_dtype\":\"bfloat16\",\"tie_word_embeddings\":false}"
#define EXPERT_BYTES (UINT64_C(32768) * 256 * 2)

/* One after the other: sources S and stacks S (S = gate_up of all experts), then two stacks and the result; the
 * embeddings and the head, 64 KiB, are there already. */
static void a_merge_needs_its_parameter_twice(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    const vs_run_result *r = stored_go(s, "gpu=1GiB async=off");
    const vs_bytes gate_up = 4 * EXPERT_BYTES;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(r->gpus[0].peak_allocated_bytes, 2 * gate_up + UINT64_C(2) * 64 * 256 * 2);
}

/* Prefetched, down's sources may wait beside it (w1, w2, w3 are interleaved in key order), never more. */
static void a_prefetched_merge_has_the_other_projection_beside_it(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    const vs_run_result *r = stored_go(s, "gpu=1GiB async=on");
    const vs_bytes gate_up = 4 * EXPERT_BYTES;
    assert_true(r->gpus[0].peak_allocated_bytes >= 2 * gate_up + 2 * EXPERT_BYTES);
    assert_true(r->gpus[0].peak_allocated_bytes < 2 * gate_up + 2 * EXPERT_BYTES + VS_MIB);
}

/* [2.5] a merge that does not fit is caught and logged; loading goes on, the parameter is made at the end all the
 * same, and then the conversion error is raised. */
static void a_failed_merge_is_caught_and_raised_at_the_end(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    /* 64 MiB of sources and 64 MiB of stacks do not fit beside each other, 96 MiB of finished model do */
    const vs_run_result *r = stored_go(s, "gpu=465MiB async=off warmup=off");
    assert_int_equal(r->gpus[0].context_bytes, 350 * VS_MIB);
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "merge");
    assert_non_null(strstr(r->oom.tensor, "gate_up_proj"));
    assert_true(r->oom.is_swallowed);
    assert_true(r->oom.is_reported);
    assert_true(r->oom.surface_time_ns > r->oom.time_ns);
    assert_true(r->oom.surface_consumed_ppm > r->oom.consumed_ppm);
    assert_true(r->gpus[0].final_allocated_bytes > 6 * EXPERT_BYTES); /* made all the same */
}

/* After a caught failure something may fail for good, here the parameter that is made at the end: what the program
 * sees is that one. */
static void a_caught_failure_may_be_followed_by_a_fatal_one(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    const vs_run_result *r = stored_go(s, "gpu=430MiB async=off warmup=off");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "merge");
    assert_true(r->oom.is_swallowed);
    assert_false(r->oom.is_reported);
    assert_true(r->oom.has_surfaced);
}

/* ---- int8 goes through the host [6.2] ---------------------------------------------------------------- */

#define MISTRAL_LARGEST UINT64_C(58720256)   /* 14336 x 4096 */
#define MISTRAL_LINEAR  UINT64_C(6979321856) /* without embeddings, head and norms */

static void int8_takes_host_memory_for_the_largest_weight(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "mistral-7b-v0.1", "gpu=rtx-4090 quant=bnb-int8 dtype=bf16");
    /* stored as bf16: loading casts nothing, so this is the quantiser: 2n, and 2n more for its cast to fp16 */
    assert_int_equal(s->run.result.host_peak_anon_bytes,
                     s->run.machine.host.base_rss_bytes + 4 * MISTRAL_LARGEST);
    scenario_go(&s->run, "mistral-7b-v0.1", "gpu=rtx-4090 quant=bnb-nf4 dtype=bf16");
    assert_int_equal(s->run.result.host_peak_anon_bytes, s->run.machine.host.base_rss_bytes);
}

static void int8_may_run_out_of_host_memory(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "mistral-7b-v0.1",
                "gpu=rtx-4090 quant=bnb-int8 dtype=bf16 ram=550MiB");
    assert_int_equal(s->run.result.verdict, VS_VERDICT_HOST_OOM);
    assert_false(s->run.result.has_oom);
    assert_non_null(strstr(s->run.result.headline, "host RAM"));
}

static void int8_pays_for_the_way_to_the_host_and_back(void **state)
{
    stored *s = *state;
    vs_ns down = 0;
    vs_ns up = 0;
    scenario_go(&s->run, "mistral-7b-v0.1", "gpu=rtx-4090 quant=bnb-nf4 dtype=bf16");
    const vs_ns on_the_card = s->run.result.load_ns;
    scenario_go(&s->run, "mistral-7b-v0.1", "gpu=rtx-4090 quant=bnb-int8 dtype=bf16");
    const vs_host *host = &s->run.machine.host;
    const uint64_t second = UINT64_C(1000000000);
    assert_true(vs_muldiv_u64(2 * MISTRAL_LINEAR, second, host->d2h_bps, &down));
    assert_true(vs_muldiv_u64(2 * MISTRAL_LINEAR, second, host->h2d_pageable_bps, &up));
    assert_true(s->run.result.load_ns > on_the_card + (down + up) / 100 * 99);
    assert_true(s->run.result.load_ns < on_the_card + (down + up) / 100 * 101);
}

/* ---- axolotl's patch [7] ---------------------------------------------------------------------------- */

/* "then empties the CUDA cache (once per parameter)": nothing of the merge stays reserved. */
static void the_patch_empties_the_cache_after_each_parameter(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    const vs_run_result *r =
        stored_go(s, "gpu=1GiB quant=bnb-nf4 quant-experts=axolotl async=off");
    const vs_gpu_result *g = &r->gpus[0];
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_true(g->peak_reserved_bytes >= 128 * VS_MIB);
    /* 50 M expert weights of 4.13 bits = 24.8 MiB, in segments of their own */
    assert_true(g->final_reserved_bytes < 48 * VS_MIB);
    assert_false(r->has_warmup);
}

/* It runs while the parameter is set, which nothing catches. */
static void the_patch_failing_ends_the_load(void **state)
{
    stored *s = *state;
    stored_config(s, MOE);
    const vs_run_result *r =
        stored_go(s, "gpu=490MiB quant=bnb-int8 quant-experts=axolotl async=off warmup=off");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "quantise");
    assert_false(r->oom.is_swallowed);
    assert_int_equal(r->oom.surface_time_ns, r->oom.time_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(a_parameter_the_checkpoint_lacks_is_made_at_the_end),
        WITH_STORED(a_missing_parameter_is_not_quantised),
        WITH_STORED(a_missing_parameter_that_does_not_fit_ends_the_load),
        WITH_STORED(a_tensor_without_elements_takes_no_memory),
        WITH_STORED(a_checkpoint_without_tensors_loads_nothing),
        WITH_STORED(a_head_that_is_stored_although_tied_lives_until_the_tie),
        WITH_STORED(a_tied_head_is_never_quantised),
        WITH_STORED(a_merge_needs_its_parameter_twice),
        WITH_STORED(a_prefetched_merge_has_the_other_projection_beside_it),
        WITH_STORED(a_failed_merge_is_caught_and_raised_at_the_end),
        WITH_STORED(a_caught_failure_may_be_followed_by_a_fatal_one),
        WITH_STORED(int8_takes_host_memory_for_the_largest_weight),
        WITH_STORED(int8_may_run_out_of_host_memory),
        WITH_STORED(int8_pays_for_the_way_to_the_host_and_back),
        WITH_STORED(the_patch_empties_the_cache_after_each_parameter),
        WITH_STORED(the_patch_failing_ends_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
