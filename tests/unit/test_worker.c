/* The prefetching threads: no back-pressure, failures that wait for the consumer (specs/transformers-loading.md [2.4,
 * 2.5, 2.9]). */
#include "tests/support/stored.h"

/* Marks of the tape that say when the block of a tensor was born, and when the program noticed the failure. */
static uint32_t count_events(const vs_timeline *tl, vs_event_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tl->event_count; i++) {
        count += tl->event_kind[i] == kind;
    }
    return count;
}

static void the_whole_checkpoint_is_queued_before_the_first_is_consumed(void **state)
{
    stored *s = *state;
    /* the quantiser takes a tenth of what the disk delivers: 716 MB of linear weights wait to become 201 MB */
    scenario_go(&s->run, "qwen2.5-0.5b", "gpu=8GiB quant=bnb-nf4 async=on");
    const vs_run_result *r = &s->run.result;
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_true(r->gpus[0].peak_allocated_bytes >
                r->gpus[0].final_allocated_bytes + (vs_bytes)400 * VS_MIB);
}

/* [2.5] "until then the other workers keep going (each further allocation may fail the same way)" */
static void after_the_first_failed_copy_the_others_go_on(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "llama-2-7b", "gpu=6GiB quant=bnb-nf4 async=on warmup=off");
    assert_int_equal(s->run.result.verdict, VS_VERDICT_OOM);
    assert_string_equal(s->run.result.oom.stage, "copy");
    assert_true(count_events(&s->run.timeline, VS_EV_OOM) > 10);
    assert_true(s->run.result.oom.surface_time_ns > s->run.result.oom.time_ns);
    assert_true(s->run.result.oom.surface_consumed_ppm > s->run.result.oom.consumed_ppm);
    assert_int_equal(count_events(&s->run.timeline, VS_EV_SURFACE), 1);
}

#define GATE "model.layers.0.block_sparse_moe.experts."

/* The futures of a mapping are waited for in order: a failed first one is met at once, whatever the others do. */
static void a_failed_source_shows_when_its_turn_comes(void **state)
{
    stored *s = *state;
    stored_config(s, "{\"model_type\":\"mixtral\",\"hidden_size\":1024,\"num_hidden_layers\":1,"
                     "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                     "\"intermediate_size\":16384,\"vocab_size\":16,\"num_local_experts\":8,"
                     "\"num_experts_per_tok\":1,\"torch_dtype\":\"bfloat16\","
                     "\"tie_word_embeddings\":false}");
    /* a tensor of an expert is 32 MiB: the first fits, the second does not */
    const vs_run_result *r = stored_go(s, "gpu=400MiB async=on warmup=off workers=2");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.tensor, GATE "0.w2.weight");
    /* gate_up needs 0.w1, 1.w1, ...: 1.w1 has failed while 0.w1 was on its way, and shows when 0.w1 has arrived */
    assert_string_equal(r->oom.surface_tensor, "model.layers.0.mlp.experts.gate_up_proj");
    uint64_t first_copy_end = 0;
    for (uint64_t i = 0; i < s->run.timeline.span_count && first_copy_end == 0; i++) {
        const char *name = vs_timeline_string(&s->run.timeline, s->run.timeline.span_name[i]);
        const bool is_disk = s->run.timeline.span_category[i] == VS_CAT_PAGECACHE;
        if (is_disk && strcmp(name, GATE "0.w1.weight") == 0) {
            first_copy_end = s->run.timeline.span_end[i];
        }
    }
    assert_int_equal(r->oom.surface_time_ns, first_copy_end);
}

/* c fails on the card while b is on its way; quantising b then takes more host memory than there is. The process is
 * killed before it could meet the failed copy: there is no oom to report. */
static void a_kill_comes_before_a_failure_nobody_has_seen(void **state)
{
    static const char *const lines[] = {"b.weight BF16 8192,8192", "c.weight BF16 65536,8192",
                                        "lm_head.weight BF16 16,64"};
    stored *s = *state;
    STORED_TENSORS(s, lines);
    const vs_run_result *r =
        stored_go(s, "gpu=900MiB quant=bnb-int8 async=on warmup=off workers=2 ram=600MiB");
    assert_true(count_events(&s->run.timeline, VS_EV_OOM) > 0);
    assert_int_equal(r->verdict, VS_VERDICT_HOST_OOM);
    assert_false(r->has_oom);
}

/* Thousands of jobs that fail one after another end, and quickly. */
static void every_copy_may_fail(void **state)
{
    stored *s = *state;
    scenario_go(&s->run, "qwen3-235b-a22b", "gpu=400MiB warmup=off");
    assert_int_equal(s->run.result.verdict, VS_VERDICT_OOM);
    assert_true(s->run.result.oom.has_surfaced);
    assert_true(s->run.result.event_count < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(the_whole_checkpoint_is_queued_before_the_first_is_consumed),
        WITH_STORED(after_the_first_failed_copy_the_others_go_on),
        WITH_STORED(a_failed_source_shows_when_its_turn_comes),
        WITH_STORED(a_kill_comes_before_a_failure_nobody_has_seen),
        WITH_STORED(every_copy_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
