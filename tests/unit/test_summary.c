/* The figures of `inspect`: estimates against those of accelerate, rows, parts, caches, formats. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    vs_arena arena;
    vs_model model;
    vs_model_summary summary;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    return f != NULL && vs_arena_open(&f->arena, 512 * VS_MIB, NULL) ? 0 : 1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void summarise(fixture *f)
{
    vs_err err = {0};
    char line[1024];
    if (!vs_model_summarise(&f->summary, &f->model, &f->arena, &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
}

static void summarise_catalogue(fixture *f, const char *name)
{
    vs_err err = {0};
    char line[1024];
    vs_arena_reset(&f->arena);
    if (!vs_model_open(&f->model, &f->arena, name, &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    summarise(f);
}

static void summarise_config(fixture *f, const char *text)
{
    vs_err err = {0};
    char line[1024];
    vs_arena_reset(&f->arena);
    if (!vs_model_from_config(&f->model, &f->arena, text, strlen(text), "config.json", &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    summarise(f);
}

/* ---- accelerate ---------------------------------------------------------------------------------- */

/* Obtained by running accelerate 1.14.0 with Transformers 5.12.1: for each config of facts/models.json, without its
 * quantization_config, AutoModel.from_config(config, torch_dtype=float32) under init_empty_weights (DeepSeek-V3: under
 * torch.device("meta"), which gives the same for GLM-4.5-Air), then calculate_maximum_sizes. */
static const struct {
    const char *name;
    vs_bytes total, largest;
} accelerate[] = {
    {"llama-2-7b", UINT64_C(26429374976), UINT64_C(809533440)},
    {"llama-2-13b", UINT64_C(51408097792), UINT64_C(1268817920)},
    {"llama-2-70b", UINT64_C(274858017280), UINT64_C(3422617600)},
    {"llama-3.1-8b", UINT64_C(30019699200), UINT64_C(2101346304)},
    {"llama-3.1-405b", UINT64_C(1615008170496), UINT64_C(12750815232)},
    {"llama-3.2-1b", UINT64_C(4943257856), UINT64_C(1050673152)},
    {"llama-3.2-3b", UINT64_C(12850999808), UINT64_C(1576009728)},
    {"mistral-7b-v0.1", UINT64_C(28442640896), UINT64_C(872448000)},
    {"mixtral-8x7b", UINT64_C(186286883328), UINT64_C(5805080576)},
    {"mistral-small-24b", UINT64_C(91605258752), UINT64_C(2684354560)},
    {"qwen2.5-0.5b", UINT64_C(1976131328), UINT64_C(544538624)},
    {"qwen2.5-7b", UINT64_C(28282477056), UINT64_C(2179989504)},
    {"qwen2.5-32b", UINT64_C(127941235200), UINT64_C(3114270720)},
    {"qwen2.5-72b", UINT64_C(285841981952), UINT64_C(4982833152)},
    {"qwen3-0.6b", UINT64_C(2384200192), UINT64_C(622329856)},
    {"qwen3-8b", UINT64_C(30273622528), UINT64_C(2489319424)},
    {"qwen3-32b", UINT64_C(127936844288), UINT64_C(3111649280)},
    {"qwen3-235b-a22b", UINT64_C(937885219328), UINT64_C(9951020032)},
    {"qwen3-next-80b-a3b", UINT64_C(317452905728), UINT64_C(6594126592)},
    {"gpt-oss-120b", UINT64_C(465000093184), UINT64_C(12852320768)},
    {"deepseek-v3", UINT64_C(2680398960896), UINT64_C(46029145088)},
    {"glm-4.5-air", UINT64_C(424925977344), UINT64_C(9365971456)},
    {"gemma-2-27b", UINT64_C(108908513796), UINT64_C(4718592004)},
    {"gemma-3-27b", UINT64_C(109729660356), UINT64_C(5638520836)},
    {"phi-4", UINT64_C(56582820352), UINT64_C(2055208960)},
    {"falcon-40b", UINT64_C(165213176064), UINT64_C(2718040064)},
    {"bloom-176b", UINT64_C(704989085696), UINT64_C(14386462720)},
    {"opt-6.7b", UINT64_C(26633895936), UINT64_C(823656448)},
    {"opt-30b", UINT64_C(119898161152), UINT64_C(2466623488)},
    {"opt-66b", UINT64_C(262878806016), UINT64_C(4077342720)},
    {"gpt-j-6b", UINT64_C(23392256000), UINT64_C(825753600)},
    {"starcoder2-15b", UINT64_C(62623597056), UINT64_C(1535389696)},
    {"granite-3.3-8b", UINT64_C(32683459072), UINT64_C(805421056)},
    /* Less the rotary table of the vision tower, 203,104 B, which is in no checkpoint (summary_cost.c). */
    {"llama-4-scout-17b-16e", UINT64_C(434567377760) - 203104, UINT64_C(8808407040)},
};

static void estimates_are_those_of_accelerate(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof accelerate / sizeof accelerate[0]; i++) {
        summarise_catalogue(f, accelerate[i].name);
        if (f->summary.estimate_bytes != accelerate[i].total ||
            f->summary.estimate_largest_bytes != accelerate[i].largest) {
            fail_msg("%s: %" PRIu64 " and %" PRIu64 ", accelerate has %" PRIu64 " and %" PRIu64,
                     accelerate[i].name, f->summary.estimate_bytes,
                     f->summary.estimate_largest_bytes, accelerate[i].total,
                     accelerate[i].largest);
        }
    }
}

/* The rows as `accelerate estimate-memory` would print them for Llama-2-7B: the same run, convert_bytes and
 * estimate_training_usage of its commands/estimate.py. */
static void a_row_reads_as_accelerate_prints_it(void **state)
{
    static const struct {
        const char *dtype, *largest, *total, *training;
    } rows[] = {
        {"float32", "772.03 MB", "24.61 GB", "98.46 GB"},
        {"float16", "386.02 MB", "12.31 GB", "49.23 GB"},
        {"int8", "193.01 MB", "6.15 GB", ""},
        {"int4", "96.5 MB", "3.08 GB", ""},
    };

    fixture *f = *state;
    char text[VS_TEXT_BYTES];
    summarise_catalogue(f, "llama-2-7b");
    for (uint32_t i = 0; i < VS_DTYPE_COSTS; i++) {
        const vs_dtype_cost *const c = &f->summary.costs[i];
        assert_string_equal(c->dtype, rows[i].dtype);
        assert_string_equal(
            vs_format_accelerate_size(f->summary.estimate_largest_bytes, c->divisor, text),
            rows[i].largest);
        assert_string_equal(
            vs_format_accelerate_size(f->summary.estimate_bytes, c->divisor, text),
            rows[i].total);
        if (c->estimate_training_bytes > 0) {
            assert_string_equal(vs_format_accelerate_size(c->estimate_training_bytes, 1, text),
                                rows[i].training);
        }
        assert_int_equal(c->estimate_training_bytes > 0, rows[i].training[0] != '\0');
    }
}

/* From convert_bytes of accelerate 1.14.0; with a divisor it gets a float, without one an int. */
static void sizes_are_formatted_as_python_does(void **state)
{
    (void)state;

    static const struct {
        vs_bytes bytes;
        uint32_t divisor;
        const char *text;
    } cases[] = {
        {0, 1, "0 bytes"},
        {0, 2, "0.0 bytes"},
        {1, 2, "0.5 bytes"},
        {1, 8, "0.12 bytes"}, /* 0.125: ties to even */
        {1023, 1, "1023 bytes"},
        {1023, 8, "127.88 bytes"},
        {1024, 1, "1.0 KB"},
        {1536, 1, "1.5 KB"},
        {123456789, 8, "14.72 MB"},
        {5 * VS_MIB, 8, "640.0 KB"},
        {UINT64_C(1000000000000000), 1, "909.49 TB"},
        {UINT64_C(9007199254740991), 8, "1024.0 TB"},
        {UINT64_C(9007199254740991), 1, "8.0 PB"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[VS_TEXT_BYTES];
        assert_string_equal(vs_format_accelerate_size(cases[i].bytes, cases[i].divisor, text),
                            cases[i].text);
    }
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static const vs_layer_row *row_named(const fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->summary.row_count; i++) {
        if (strcmp(f->summary.rows[i].name, name) == 0) {
            return &f->summary.rows[i];
        }
    }
    fail_msg("no row %s", name);
    return NULL;
}

static void layers_that_are_alike_are_one_row(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "mixtral-8x7b");
    assert_int_equal(f->summary.row_count, 4);
    const vs_layer_row *const layers = row_named(f, "model.layers.0");
    assert_string_equal(layers->stem, "model.layers");
    assert_int_equal(layers->layer_count, 32);
    for (uint32_t i = 0; i < 32; i++) {
        assert_int_equal(layers->layers[i], i);
    }
    assert_true(layers->is_decoder);
    assert_int_equal(row_named(f, "lm_head")->layer_count, 0);
}

/* facts/models.md: 3 * E * ff * H * bytes = 2.82 GB of experts a layer. */
static void the_parts_of_a_layer_add_up(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "mixtral-8x7b");
    const vs_layer_row *const layers = row_named(f, "model.layers.0");
    vs_bytes sum = 0;
    for (uint32_t p = 0; p < VS_PART_COUNT; p++) {
        sum += layers->parts[p];
    }
    assert_int_equal(sum, layers->one.bytes);
    assert_int_equal(layers->parts[VS_PART_EXPERTS], UINT64_C(3) * 8 * 14336 * 4096 * 2);
    assert_int_equal(layers->parts[VS_PART_ROUTER], UINT64_C(8) * 4096 * 2);
    assert_int_equal(layers->parts[VS_PART_NORM], 2 * 4096 * 2);
    assert_int_equal(layers->parts[VS_PART_ATTENTION], (2 * 4096 + 2 * 1024) * 4096 * 2);
    assert_int_equal(layers->parts[VS_PART_OTHER], 0);
}

static void rows_add_up_to_what_is_loaded(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        vs_bytes sum = 0;
        uint64_t tensors = 0;
        summarise_catalogue(f, vs_catalogue_model_at(i)->name);
        for (uint32_t r = 0; r < f->summary.row_count; r++) {
            const vs_layer_row *const row = &f->summary.rows[r];
            const uint64_t count = row->layer_count > 0 ? row->layer_count : 1;
            sum += row->one.bytes * count;
            tensors += row->one.tensors * count;
        }
        assert_int_equal(sum, f->summary.loaded.bytes);
        assert_int_equal(tensors, f->summary.loaded.tensors);
        assert_int_equal(f->summary.dense.elements, f->model.loaded_parameters);
    }
}

static void dense_and_sparse_layers_are_two_rows(void **state)
{
    fixture *f = *state;
    summarise_config(
        f, "{\"model_type\":\"qwen3_moe\",\"hidden_size\":8,\"num_attention_heads\":2,"
           "\"num_key_value_heads\":1,\"intermediate_size\":16,\"vocab_size\":32,"
           "\"num_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":6,"
           "\"num_hidden_layers\":6,\"decoder_sparse_step\":2}");
    const vs_layer_row *const dense = row_named(f, "model.layers.0");
    const vs_layer_row *const sparse = row_named(f, "model.layers.1");
    assert_int_equal(dense->layer_count, 3);
    assert_int_equal(sparse->layer_count, 3);
    assert_int_equal(dense->layers[2], 4);
    assert_int_equal(sparse->layers[2], 5);
    assert_true(dense->parts[VS_PART_MLP] > 0 && dense->parts[VS_PART_EXPERTS] == 0);
    assert_true(sparse->parts[VS_PART_MLP] == 0 && sparse->parts[VS_PART_EXPERTS] > 0);
    assert_int_equal(f->summary.expert_layers, 3);
    const uint64_t experts = UINT64_C(3) * 4 * 3 * 6 * 8; /* layers, experts, matrices */
    assert_int_equal(f->summary.expert_parameters, experts);
    assert_int_equal(f->summary.active_parameters, f->model.loaded_parameters - experts / 2);
}

static void the_largest_layer_may_be_the_embedding(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "qwen2.5-0.5b");
    assert_string_equal(f->summary.largest_name, "model.embed_tokens");
    assert_int_equal(f->summary.largest_bytes, UINT64_C(151936) * 896 * 2);
    summarise_catalogue(f, "llama-2-7b");
    assert_string_equal(f->summary.largest_name, "model.layers.0");
    assert_int_equal(f->summary.largest_bytes,
                     404766720); /* 809,533,440 / 2, as accelerate has it */
}

static void a_tied_head_is_named_with_its_partner_and_counted_once(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "qwen3-0.6b");
    assert_int_equal(f->summary.tie_count, 1);
    assert_string_equal(f->summary.ties[0].name, "lm_head.weight");
    assert_string_equal(f->summary.ties[0].with, "model.embed_tokens.weight");
    assert_true(f->summary.ties[0].is_stored);
    assert_int_equal(f->summary.loaded.elements, 596049920); /* facts/models.json */
    assert_false(f->summary.has_head_left_out);
    summarise_catalogue(f, "qwen2.5-0.5b");
    assert_int_equal(f->summary.tie_count, 1);
    assert_false(f->summary.ties[0].is_stored);
}

static void tensors_that_are_not_loaded_are_summed_apart(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "llama-2-70b");
    assert_int_equal(f->summary.not_loaded.tensors, 80);
    assert_int_equal(f->summary.not_loaded.bytes, 20480); /* facts/models.json, notes */
    assert_int_equal(f->summary.stored[VS_DT_F32].bytes, 20480);
    assert_int_equal(f->summary.stored[VS_DT_F16].bytes, UINT64_C(137953296384));
}

/* ---- costs ------------------------------------------------------------------------------------------------ */

/* specs/transformers-loading.md [9.1] has 4,167,688,192 after rounding each allocation to 512 B; 224 quantised weights
 * with a table of 64 B each, and the 65 norms of 8,192 B, make the difference. */
static void four_bits_keep_scales_tables_and_the_head(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "llama-2-7b");
    const vs_dtype_cost *const int4 = &f->summary.costs[3];
    const uint64_t linear = UINT64_C(32) * (4 * 4096 * 4096 + 3 * 11008 * 4096);
    const uint64_t rest = f->model.loaded_parameters - linear;
    assert_int_equal(int4->exact_bytes,
                     rest * 2 + linear / 2 + linear / 64 * 4 + UINT64_C(224) * 64);
    assert_int_equal(int4->exact_bytes + UINT64_C(224) * (512 - 64), UINT64_C(4167688192));
    assert_int_equal(int4->wide_bytes, rest * 2);
    assert_int_equal(int4->exact_training_bytes, 0);
}

static void eight_bits_keep_a_float_for_every_row(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "llama-2-7b");
    const uint64_t linear = UINT64_C(32) * (4 * 4096 * 4096 + 3 * 11008 * 4096);
    const uint64_t rows = UINT64_C(32) * (5 * 4096 + 2 * 11008);
    const uint64_t rest = f->model.loaded_parameters - linear;
    assert_int_equal(f->summary.costs[2].exact_bytes, rest * 2 + linear + rows * 4);
}

static void fused_experts_stay_as_they_are(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "mixtral-8x7b");
    const uint64_t attention = UINT64_C(32) * (2 * 4096 + 2 * 1024) * 4096;
    assert_int_equal(f->summary.costs[3].wide_bytes,
                     (f->model.loaded_parameters - attention) * 2);
    assert_true(f->summary.costs[3].exact_bytes > f->summary.costs[1].exact_bytes / 100 * 97);
}

static void training_keeps_four_copies(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "qwen3-8b");
    assert_int_equal(f->summary.costs[0].exact_training_bytes, f->model.loaded_parameters * 16);
    assert_int_equal(f->summary.costs[1].exact_training_bytes, f->model.loaded_parameters * 8);
}

/* ---- caches ---------------------------------------------------------------------------------------------------- */

/* specs/transformers-loading.md [8], "Bytes per token". */
static void a_token_costs_what_the_table_says(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "llama-2-7b");
    assert_int_equal(f->summary.kv.token_bytes, 524288);
    summarise_catalogue(f, "mixtral-8x7b");
    assert_int_equal(f->summary.kv.token_bytes, 131072);
    summarise_catalogue(f, "llama-2-70b");
    assert_int_equal(f->summary.kv.token_bytes, 327680);
    assert_int_equal(vs_kv_bytes(&f->summary.kv, 4096), UINT64_C(327680) * 4096);
}

static void windows_stop_growing(void **state)
{
    (void)state;
    const vs_kv_cost kv = {.is_known = true,
                           .token_bytes = 100,
                           .late_token_bytes = 40,
                           .window = 10,
                           .window_layers = 3,
                           .full_layers = 2,
                           .state_bytes = 7};
    assert_int_equal(vs_kv_bytes(&kv, 0), 7);
    assert_int_equal(vs_kv_bytes(&kv, 10), 1007);
    assert_int_equal(vs_kv_bytes(&kv, 11), 1047);
    assert_int_equal(vs_kv_bytes(&kv, UINT64_MAX), UINT64_MAX);
}

/* A latent and an expanded cache: one layer of DeepSeek-V2-Lite's shapes, kv_lora 512 + rope 64; 16 heads of 192 for
 * keys and 128 for values. */
static void latent_attention_caches_expanded_keys_and_values(void **state)
{
    fixture *f = *state;
    vs_target targets[] = {
        {.name = "model.layers.0.self_attn.q_proj.weight", .shape = {3072, 2048}},
        {.name = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", .shape = {576, 2048}},
        {.name = "model.layers.0.self_attn.kv_b_proj.weight", .shape = {4096, 512}},
        {.name = "model.layers.0.self_attn.o_proj.weight", .shape = {2048, 2048}},
    };
    const uint32_t count = sizeof targets / sizeof targets[0];
    for (uint32_t i = 0; i < count; i++) {
        targets[i].dim_count = 2;
        targets[i].elements = targets[i].shape[0] * targets[i].shape[1];
        targets[i].fixed_dtype = VS_DT_COUNT;
        targets[i].tied_to = VS_NO_TARGET;
    }
    f->model = (vs_model){.model_type = "deepseek_v2",
                          .config_dtype = VS_DT_BF16,
                          .dims = {.layers = 27, .kv_elements = 576},
                          .targets = targets,
                          .target_count = count,
                          .modules = targets,
                          .module_count = count};
    summarise(f);
    assert_true(f->summary.kv.is_known);
    assert_int_equal(f->summary.kv.token_bytes, 27 * 16 * (192 + 128) * 2);
    assert_int_equal(f->summary.kv.latent_token_bytes, 27 * 576 * 2);
}

/* ---- limits ---------------------------------------------------------------------------------------------------- */

static void too_many_elements_are_a_named_limit(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    vs_target target = {.name = "x", .elements = UINT64_MAX / 2, .fixed_dtype = VS_DT_COUNT};
    f->model = (vs_model){.model_type = "",
                          .config_dtype = VS_DT_BF16,
                          .targets = &target,
                          .target_count = 1,
                          .modules = &target,
                          .module_count = 1};
    assert_false(vs_model_summarise(&f->summary, &f->model, &f->arena, &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    assert_non_null(strstr(err.text, "2^59"));
}

static void every_failed_allocation_is_a_clean_error(void **state)
{
    fixture *f = *state;
    summarise_catalogue(f, "qwen3-0.6b");
    const size_t mark = f->arena.used_bytes;
    bool has_passed = false;
    for (uint64_t n = 1; !has_passed; n++) {
        vs_err err = {0};
        vs_model_summary summary = {0};
        vs_arena_rewind(&f->arena, mark);
        f->arena.is_exhausted = false;
        f->arena.fail_at = f->arena.alloc_count + n;
        has_passed = vs_model_summarise(&summary, &f->model, &f->arena, &err);
        assert_int_equal(err.code, has_passed ? VS_OK : VS_ERR_MEMORY);
        assert_true(n < 1000);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(estimates_are_those_of_accelerate),
        T(a_row_reads_as_accelerate_prints_it),
        T(sizes_are_formatted_as_python_does),
        T(layers_that_are_alike_are_one_row),
        T(the_parts_of_a_layer_add_up),
        T(rows_add_up_to_what_is_loaded),
        T(dense_and_sparse_layers_are_two_rows),
        T(the_largest_layer_may_be_the_embedding),
        T(a_tied_head_is_named_with_its_partner_and_counted_once),
        T(tensors_that_are_not_loaded_are_summed_apart),
        T(four_bits_keep_scales_tables_and_the_head),
        T(eight_bits_keep_a_float_for_every_row),
        T(fused_experts_stay_as_they_are),
        T(training_keeps_four_copies),
        T(a_token_costs_what_the_table_says),
        T(windows_stop_growing),
        T(latent_attention_caches_expanded_keys_and_values),
        T(too_many_elements_are_a_named_limit),
        T(every_failed_allocation_is_a_clean_error),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
