/* What a quantiser allocates for one weight: the layouts of specs/transformers-loading.md [6.1], the transients of
 * [6.2], which modules are left alone [6.3], axolotl's patch [7]. */
#include "sim/load/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SIDE UINT64_C(4096)
#define N    (SIDE * SIDE)

static const vs_target square = {.name = "model.layers.0.mlp.up_proj.weight",
                                 .shape = {SIDE, SIDE},
                                 .dim_count = 2,
                                 .flags = VS_TF_LINEAR,
                                 .elements = N,
                                 .fixed_dtype = VS_DT_COUNT};

static quant_plan plan_of(vs_quant quant, vs_dtype dtype)
{
    quant_plan plan = {0};
    assert_true(load_quant_plan(&plan, quant, &square, dtype));
    return plan;
}

static vs_bytes sum(const quant_plan *plan, bool is_kept)
{
    vs_bytes total = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        total += plan->allocs[i].is_kept == is_kept ? plan->allocs[i].bytes : 0;
    }
    return total;
}

/* The column "4096 x 4096" of [6.1]. */
static void a_square_weight_keeps_what_the_table_says(void **state)
{
    (void)state;
    quant_plan plan = plan_of(VS_QUANT_BNB_NF4, VS_DT_BF16);
    assert_int_equal(sum(&plan, true), 9437248);
    plan = plan_of(VS_QUANT_BNB_FP4, VS_DT_BF16);
    assert_int_equal(sum(&plan, true), 9437248);
    plan = plan_of(VS_QUANT_BNB_NF4_DQ, VS_DT_BF16);
    assert_int_equal(sum(&plan, true), 8655940);
    plan = plan_of(VS_QUANT_BNB_INT8, VS_DT_BF16);
    assert_int_equal(sum(&plan, true), 16793600);
}

static void kept_sizes_are_rounded_one_by_one(void **state)
{
    (void)state;
    const quant_plan plan = plan_of(VS_QUANT_BNB_NF4_DQ, VS_DT_BF16);
    vs_bytes total = 0;
    for (uint32_t i = 0; i < plan.count; i++) {
        total += plan.allocs[i].is_kept ? (plan.allocs[i].bytes + 511) / 512 * 512 : 0;
    }
    assert_int_equal(plan.kept_bytes, total);
    assert_int_equal(plan.category, VS_CAT_Q_4BIT);
}

/* [6.2] "with double quant also 4 nb (absmax minus mean)", and the fp32 absmax itself goes. */
static void double_quantisation_needs_its_scales_twice_for_a_moment(void **state)
{
    (void)state;
    const quant_plan dq = plan_of(VS_QUANT_BNB_NF4_DQ, VS_DT_BF16);
    const quant_plan plain = plan_of(VS_QUANT_BNB_NF4, VS_DT_BF16);
    assert_int_equal(sum(&dq, false), 8 * (N / 64));
    assert_int_equal(sum(&plain, false), 0);
}

/* [6.2] v5 bnb 8-bit: "GPU source -> CPU -> fp16 -> GPU: 2n (source) + 2n (fp16) + n + 4 out; RAM 2n (+2n if cast)" */
static void int8_goes_through_the_host_and_casts_there(void **state)
{
    (void)state;
    quant_plan plan = plan_of(VS_QUANT_BNB_INT8, VS_DT_F16);
    assert_int_equal(sum(&plan, false), 2 * N);
    assert_int_equal(plan.d2h_bytes, 2 * N);
    assert_int_equal(plan.h2d_bytes, 2 * N);
    assert_int_equal(plan.host_bytes, 2 * N);
    plan = plan_of(VS_QUANT_BNB_INT8, VS_DT_BF16);
    assert_int_equal(plan.d2h_bytes, 2 * N);
    assert_int_equal(plan.host_bytes, 2 * N + 2 * N);
    plan = plan_of(VS_QUANT_BNB_INT8, VS_DT_F32);
    assert_int_equal(plan.d2h_bytes, 4 * N);
    assert_int_equal(plan.h2d_bytes, 2 * N);
    assert_int_equal(plan.host_bytes, 4 * N + 2 * N);
}

static void four_bit_stays_on_the_card(void **state)
{
    (void)state;
    const quant_plan plan = plan_of(VS_QUANT_BNB_NF4_DQ, VS_DT_F32);
    assert_int_equal(plan.host_bytes, 0);
    assert_int_equal(plan.d2h_bytes, 0);
}

static void a_weight_without_elements_has_a_plan(void **state)
{
    (void)state;
    vs_target empty = square;
    quant_plan plan = {0};
    empty.shape[1] = 0;
    empty.elements = 0;
    assert_true(load_quant_plan(&plan, VS_QUANT_BNB_INT8, &empty, VS_DT_BF16));
    assert_int_equal(plan.kept_bytes, 0);
    assert_true(load_quant_plan(&plan, VS_QUANT_BNB_NF4, &empty, VS_DT_BF16));
    assert_int_equal(plan.kept_bytes, 512); /* the code table */
}

static void a_weight_beyond_64_bits_has_none(void **state)
{
    (void)state;
    vs_target huge = square;
    quant_plan plan = {0};
    huge.elements = UINT64_MAX / 8;
    assert_false(load_quant_plan(&plan, VS_QUANT_BNB_NF4, &huge, VS_DT_BF16));
    huge.dim_count = 3;
    assert_false(load_expert_plan(&plan, VS_QUANT_BNB_INT8, &huge, VS_DT_BF16));
}

/* [6.3] "output embedding, tied weights, and the module of the last parameter ... plus keep-in-fp32 modules. Only exact
 * Linear types": the router and fused experts are bare parameters. */
static void only_linear_weights_that_nothing_protects_are_quantised(void **state)
{
    (void)state;
    static const uint32_t left_alone[] = {VS_TF_OUTPUT_HEAD, VS_TF_TIED, VS_TF_LAST_MODULE,
                                          VS_TF_KEEP_FP32,   VS_TF_BIAS, VS_TF_BUFFER};
    static const uint32_t no_linear[] = {VS_TF_NORM, VS_TF_EMBEDDING, VS_TF_ROUTER,
                                         VS_TF_EXPERTS, VS_TF_BIAS};
    vs_target target = square;
    assert_true(load_is_quantised(VS_QUANT_BNB_NF4, &target));
    assert_false(load_is_quantised(VS_QUANT_NONE, &target));
    for (size_t i = 0; i < sizeof left_alone / sizeof left_alone[0]; i++) {
        target.flags = VS_TF_LINEAR | left_alone[i];
        assert_false(load_is_quantised(VS_QUANT_BNB_NF4, &target));
    }
    for (size_t i = 0; i < sizeof no_linear / sizeof no_linear[0]; i++) {
        target.flags = no_linear[i];
        assert_false(load_is_quantised(VS_QUANT_BNB_INT8, &target));
    }
}

/* ---- axolotl [7] ------------------------------------------------------------------------------- */

static const vs_target experts = {.name = "model.layers.0.mlp.experts.gate_up_proj",
                                  .shape = {8, 28672, 4096},
                                  .dim_count = 3,
                                  .flags = VS_TF_EXPERTS,
                                  .elements = UINT64_C(939524096),
                                  .fixed_dtype = VS_DT_COUNT};

static void the_patch_fixes_nf4_with_double_quantisation(void **state)
{
    (void)state;
    vs_scenario scenario = {.quant_experts = VS_QEXPERTS_AXOLOTL};
    static const vs_quant four_bit[] = {VS_QUANT_BNB_NF4, VS_QUANT_BNB_NF4_DQ,
                                        VS_QUANT_BNB_FP4};
    for (size_t i = 0; i < sizeof four_bit / sizeof four_bit[0]; i++) {
        scenario.quant = four_bit[i];
        assert_int_equal(load_expert_quant(&scenario, &experts), VS_QUANT_BNB_NF4_DQ);
        assert_int_equal(load_expert_quant(&scenario, &square), VS_QUANT_NONE);
    }
    scenario.quant = VS_QUANT_BNB_INT8;
    assert_int_equal(load_expert_quant(&scenario, &experts), VS_QUANT_BNB_INT8);
    scenario.quant_experts = VS_QEXPERTS_NONE;
    assert_int_equal(load_expert_quant(&scenario, &experts), VS_QUANT_NONE);
}

/* [9.2] "gate_up ... -> 484,672,580 B" */
static void mixtral_gate_up_takes_what_the_worked_example_says(void **state)
{
    (void)state;
    quant_plan plan = {0};
    assert_true(load_expert_plan(&plan, VS_QUANT_BNB_NF4_DQ, &experts, VS_DT_BF16));
    assert_int_equal(sum(&plan, true), 484672580);
}

/* [7] "8-bit: data to fp16 then row-wise int8 (4 B per row)", on the card: nothing goes through the host. */
static void eight_bit_experts_are_cast_on_the_card(void **state)
{
    (void)state;
    quant_plan plan = {0};
    assert_true(load_expert_plan(&plan, VS_QUANT_BNB_INT8, &experts, VS_DT_BF16));
    assert_int_equal(sum(&plan, true), experts.elements + UINT64_C(4) * 8 * 28672);
    assert_int_equal(sum(&plan, false), 2 * experts.elements);
    assert_int_equal(plan.host_bytes, 0);
    assert_true(load_expert_plan(&plan, VS_QUANT_BNB_INT8, &experts, VS_DT_F16));
    assert_int_equal(sum(&plan, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_square_weight_keeps_what_the_table_says),
        cmocka_unit_test(kept_sizes_are_rounded_one_by_one),
        cmocka_unit_test(double_quantisation_needs_its_scales_twice_for_a_moment),
        cmocka_unit_test(int8_goes_through_the_host_and_casts_there),
        cmocka_unit_test(four_bit_stays_on_the_card),
        cmocka_unit_test(a_weight_without_elements_has_a_plan),
        cmocka_unit_test(a_weight_beyond_64_bits_has_none),
        cmocka_unit_test(only_linear_weights_that_nothing_protects_are_quantised),
        cmocka_unit_test(the_patch_fixes_nf4_with_double_quantisation),
        cmocka_unit_test(mixtral_gate_up_takes_what_the_worked_example_says),
        cmocka_unit_test(eight_bit_experts_are_cast_on_the_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
