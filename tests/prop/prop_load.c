/* Loads of random small models under random settings. What has to hold of every run, whatever the settings:
 *
 *   the categories of the peak add up to the peak, which is context + others + reserved and at most the card
 *   a peak is at least the final value; an oom is reported exactly when that is the verdict
 *   what fits has every parameter in place; async and sequential loads end with the same bytes
 *   a second run gives the same tape; the tape agrees with a naive recomputation
 *   a larger card never turns a sequential load that fits into one that does not
 *
 * A third of the models are quantised already, and half of the cards are too old for fp8. */
#include "tests/support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ROUNDS 400
#define SEED   UINT64_C(20251121)

typedef struct {
    scenario_run run;
    vs_rng rng;
    char config[1024];
    bool is_stored_quantised;
    bool is_old_card;
    char words[256];
} prop;

static uint64_t one_of(prop *p, const uint64_t *values, size_t count)
{
    return values[vs_rng_below(&p->rng, count)];
}

static const char *word_of(prop *p, const char *const *values, size_t count)
{
    return values[vs_rng_below(&p->rng, count)];
}

#define ONE_OF(p, ...)                                                                         \
    one_of((p), (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)
#define WORD_OF(p, ...)                                                                        \
    word_of((p), (const char *const[]){__VA_ARGS__},                                           \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const char nested_nf4[] =
    ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,"
    "\"bnb_4bit_quant_type\":\"nf4\",\"bnb_4bit_use_double_quant\":true}";

static const char *const quantised[] = {
    ",\"quantization_config\":{\"quant_method\":\"fp8\"}",
    ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}",
    ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32}",
    nested_nf4,
    ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_8bit\":true}"};

static void make_model(prop *p)
{
    p->is_stored_quantised = vs_rng_below(&p->rng, 3) == 0;
    p->is_old_card = vs_rng_below(&p->rng, 2) == 0;
    const char *stored = p->is_stored_quantised
                             ? word_of(p, quantised, sizeof quantised / sizeof *quantised)
                             : "";
    const char *type = WORD_OF(p, "llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe");
    (void)snprintf(p->config, sizeof p->config,
                   "{\"model_type\":\"%s\",\"hidden_size\":%d,\"num_hidden_layers\":%d,"
                   "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":32,"
                   "\"intermediate_size\":%d,\"moe_intermediate_size\":%d,\"vocab_size\":%d,"
                   "\"num_experts\":%d,\"num_local_experts\":%d,\"num_experts_per_tok\":2,"
                   "\"torch_dtype\":\"%s\",\"tie_word_embeddings\":%s%s}",
                   type, (int)ONE_OF(p, 64, 192, 1024), (int)ONE_OF(p, 1, 2, 5),
                   (int)ONE_OF(p, 96, 1000, 4096), (int)ONE_OF(p, 64, 1024),
                   (int)ONE_OF(p, 32, 4001, 60000), 8, 8,
                   WORD_OF(p, "bfloat16", "float16", "float32"), WORD_OF(p, "true", "false"),
                   stored);
}

/* Everything but the card's size and --async. */
static void make_words(prop *p)
{
    const char *wanted =
        WORD_OF(p, "none", "none", "bnb-nf4", "bnb-nf4-dq", "bnb-fp4", "bnb-int8");
    const char *quant = p->is_stored_quantised ? "none" : wanted;
    const bool is_quantised = strcmp(quant, "none") != 0;
    (void)snprintf(
        p->words, sizeof p->words,
        "quant=%s quant-experts=%s dtype=%s warmup=%s cache=%s workers=%s ram=%s alloc-conf=%s",
        quant, is_quantised ? WORD_OF(p, "none", "axolotl") : "none",
        WORD_OF(p, "auto", "fp32", "fp16", "bf16"), WORD_OF(p, "auto", "on", "off"),
        WORD_OF(p, "cold", "warm"), WORD_OF(p, "1", "2", "4", "9"),
        WORD_OF(p, "64GiB", "450MiB", "500MiB"),
        WORD_OF(p, "expandable_segments:False", "expandable_segments:True",
                "max_split_size_mb:32", "expandable_segments:True,max_split_size_mb:64"));
}

static void go(prop *p, uint64_t card_mib, uint64_t others_mib, bool is_async)
{
    char words[400];
    vs_err err = {0};
    (void)snprintf(words, sizeof words, "gpu=%s%dMiB gpu-used=%dMiB async=%s %s",
                   p->is_old_card ? "rtx-3090:" : "", (int)card_mib, (int)others_mib,
                   is_async ? "on" : "off", p->words);
    scenario_run *s = &p->run;
    s->scenario = (vs_scenario){.model = "random"};
    vs_arena_reset(&s->run);
    vs_arena_reset(&s->inputs);
    scenario_must(scenario_set_words(s, words, &err), &err);
    scenario_must(vs_model_from_config(&s->model, &s->inputs, p->config, strlen(p->config),
                                       "random", &err),
                  &err);
    scenario_must(vs_machine_resolve(&s->machine, &s->inputs, &s->scenario.machine, NULL, &err),
                  &err);
    const vs_run_input input = {
        .model = &s->model, .machine = &s->machine, .scenario = &s->scenario};
    scenario_must(vs_run(&s->run, &input, &s->result, &s->timeline, &err), &err);
}

static void check_memory(const vs_run_result *r)
{
    const vs_gpu_result *g = &r->gpus[0];
    vs_bytes sum = 0;
    for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
        sum += r->peak.categories[c];
    }
    assert_int_equal(sum, g->peak_used_bytes);
    assert_int_equal(g->context_bytes + g->used_by_others_bytes + g->peak_reserved_bytes,
                     g->peak_used_bytes);
    assert_true(g->peak_used_bytes <= g->capacity_bytes);
    assert_true(g->peak_reserved_bytes >= g->final_reserved_bytes);
    assert_true(g->peak_allocated_bytes >= g->final_allocated_bytes);
    assert_true(g->peak_memory_allocated_bytes >= g->final_memory_allocated_bytes);
    assert_true(g->final_reserved_bytes >= g->final_memory_allocated_bytes);
    assert_true(g->final_memory_allocated_bytes >= g->final_allocated_bytes);
    assert_true(r->host_peak_anon_bytes <= r->host_capacity_bytes);
    assert_true(r->host_peak_file_bytes <= r->host_capacity_bytes);
}

static void check_oom(const vs_run_result *r)
{
    const vs_oom_result *o = &r->oom;
    assert_int_equal(r->has_oom, r->verdict == VS_VERDICT_OOM);
    assert_int_equal(r->reason[0] == '\0', r->verdict == VS_VERDICT_FITS);
    if (!r->has_oom) {
        return;
    }
    assert_true(o->has_surfaced);
    assert_true(o->time_ns <= o->surface_time_ns && o->surface_time_ns <= r->load_ns);
    assert_true(o->consumed_ppm <= o->surface_consumed_ppm);
    assert_true(o->surface_consumed_ppm <= 1000000);
    assert_true(o->tensor[0] != '\0' && o->stage[0] != '\0' && o->surface_tensor[0] != '\0');
    assert_non_null(o->message);
    assert_true(o->allocated_bytes <= o->reserved_bytes);
    assert_true(!o->is_reported || o->is_swallowed);
}

/* The naive count of what is in place: each target once, as its own dtype or by the table of [6.1]. */
static vs_bytes unquantised_bytes(const scenario_run *s, bool is_rounded)
{
    vs_bytes total = 0;
    for (uint32_t i = 0; i < s->model.target_count; i++) {
        const vs_target *t = &s->model.targets[i];
        if ((t->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0) {
            const vs_bytes bytes = t->elements * vs_dtype_bits(s->result.load_dtype) / 8;
            total += is_rounded ? (bytes + 511) / 512 * 512 : bytes;
        }
    }
    return total;
}

static void check_run(prop *p)
{
    const scenario_run *s = &p->run;
    vs_err err = {0};
    check_memory(&s->result);
    check_oom(&s->result);
    scenario_must(vs_timeline_check(&s->timeline, &err), &err);
    if (s->result.verdict != VS_VERDICT_FITS) {
        return;
    }
    const vs_bytes plain = unquantised_bytes(s, true);
    if (p->is_stored_quantised) {
        assert_true(s->result.loaded_bytes <= s->result.gpus[0].final_allocated_bytes);
        return;
    }
    if (s->scenario.quant == VS_QUANT_NONE) {
        assert_int_equal(s->result.loaded_bytes, unquantised_bytes(s, false));
        assert_int_equal(s->result.gpus[0].final_allocated_bytes, plain);
    } else {
        assert_true(s->result.loaded_bytes <= s->result.gpus[0].final_allocated_bytes);
    }
}

static void check_same_tape(prop *p, uint64_t card_mib, uint64_t others_mib)
{
    go(p, card_mib, others_mib, true);
    const size_t bytes = p->run.timeline.image_bytes;
    uint8_t *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, p->run.timeline.image, bytes);
    go(p, card_mib, others_mib, true);
    assert_int_equal(bytes, p->run.timeline.image_bytes);
    assert_memory_equal(copy, p->run.timeline.image, bytes);
    free(copy);
}

static void check_scenario(prop *p, uint64_t card_mib, uint64_t others_mib)
{
    go(p, card_mib, others_mib, true);
    check_run(p);
    const vs_run_result async = p->run.result;
    go(p, card_mib, others_mib, false);
    check_run(p);
    const vs_run_result sequential = p->run.result;
    if (async.verdict == VS_VERDICT_FITS && sequential.verdict == VS_VERDICT_FITS) {
        assert_int_equal(async.gpus[0].final_allocated_bytes,
                         sequential.gpus[0].final_allocated_bytes);
        assert_int_equal(async.loaded_bytes, sequential.loaded_bytes);
        assert_true(async.gpus[0].peak_allocated_bytes >=
                    sequential.gpus[0].peak_allocated_bytes);
    }
    go(p, card_mib + 8192, others_mib, false);
    check_run(p);
    if (sequential.verdict == VS_VERDICT_FITS) {
        assert_int_equal(p->run.result.verdict, VS_VERDICT_FITS);
    }
}

static void every_load_keeps_its_books(void **state)
{
    (void)state;
    prop *p = calloc(1, sizeof *p);
    uint32_t verdicts[VS_VERDICT_COUNT] = {0};
    assert_non_null(p);
    scenario_open(&p->run);
    vs_rng_seed(&p->rng, SEED);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        make_model(p);
        make_words(p);
        const uint64_t card = ONE_OF(p, 352, 360, 380, 410, 450, 550, 700, 1200, 4096);
        const uint64_t others = ONE_OF(p, 0, 0, 0, 20, 300);
        if (round % 100 == 0) {
            print_message("seed %" PRIu64 ", round %" PRIu32 "\n", SEED, round);
        }
        check_scenario(p, card, others);
        verdicts[p->run.result.verdict]++;
        if (round % 8 == 0) {
            check_same_tape(p, card, others);
        }
    }
    scenario_close(&p->run);
    free(p);
    assert_true(verdicts[VS_VERDICT_FITS] > ROUNDS / 4); /* of the large cards */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_load_keeps_its_books)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
