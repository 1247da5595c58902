/* quantise.c - what a quantiser allocates, in which order, for one weight.
 *
 * Layouts and transients: specs/transformers-loading.md [6.1] and [6.2]; which modules are skipped [6.3];
 * axolotl's patch [7]. Sizes are requests: the pool rounds them.
 *
 * The order is that of formula [6.2], whose figures no measurement has contradicted yet. bitsandbytes itself
 * (functional.py quantize_4bit @ 95f9af30) makes the code tables while the source still lives, which would raise
 * the peak of nf4 by 512 B and that of double quantisation by 2,048 B. */
#include "load.h"

/* bitsandbytes functional.py: block 64 on CUDA (not settable in Transformers), nested block 256 [6.1]. */
#define BNB_BLOCK             UINT64_C(64)
#define BNB_NESTED_BLOCK      UINT64_C(256)
#define BNB_CODE_BYTES        UINT64_C(64)   /* 16 fp32 values */
#define BNB_NESTED_CODE_BYTES UINT64_C(1024) /* 256 fp32 values */
#define BNB_OFFSET_BYTES      UINT64_C(4)    /* mean of the absmax values, fp32 */

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static void add(quant_plan *plan, vs_bytes bytes, quant_when when, bool is_kept)
{
    vs_assert(plan->count < QUANT_ALLOCS_MAX);
    plan->allocs[plan->count] = (quant_alloc){bytes, (uint8_t)when, is_kept};
    plan->count++;
    if (is_kept) {
        plan->kept_bytes += bytes == 0 ? 0 : (bytes + 511) / 512 * 512;
    }
}

/* 4-bit: packed data and one fp32 absmax a block; with double quantisation the absmax values are themselves
 * quantised to a byte each, which needs them, and a copy less their mean, beside the result for a moment. */
static void plan_4bit(quant_plan *plan, uint64_t elements, bool is_double)
{
    const uint64_t blocks = ceil_div(elements, BNB_BLOCK);
    plan->category = VS_CAT_Q_4BIT;
    add(plan, ceil_div(elements, 2), QUANT_BEFORE, true);
    add(plan, blocks * 4, QUANT_BEFORE, !is_double);
    if (is_double) {
        add(plan, blocks * 4, QUANT_AFTER, false);
        add(plan, blocks, QUANT_AFTER, true);
        add(plan, ceil_div(blocks, BNB_NESTED_BLOCK) * 4, QUANT_AFTER, true);
        add(plan, BNB_OFFSET_BYTES, QUANT_LATE, true);
        add(plan, BNB_NESTED_CODE_BYTES, QUANT_LATE, true);
    }
    add(plan, BNB_CODE_BYTES, QUANT_LATE, true);
}

/* 8-bit: the source goes to the host, becomes fp16 there, comes back and is quantised row by row. */
static void plan_int8(quant_plan *plan, uint64_t elements, uint64_t rows, vs_dtype dtype)
{
    const vs_bytes source_bytes = elements * (vs_dtype_bits(dtype) / 8);
    plan->category = VS_CAT_Q_INT8;
    add(plan, elements * 2, QUANT_BEFORE, false);
    add(plan, elements, QUANT_AFTER, true);
    add(plan, rows * 4, QUANT_AFTER, true);
    /* the cast makes a second copy there: "2n (+2n if cast)" */
    plan->host_bytes = source_bytes + (dtype == VS_DT_F16 ? 0 : elements * 2);
    plan->d2h_bytes = source_bytes;
    plan->h2d_bytes = elements * 2;
}

bool load_quant_plan(quant_plan *plan, vs_quant quant, const vs_target *target, vs_dtype dtype)
{
    const uint64_t elements = target->elements;
    const uint64_t rows = elements > 0 && target->dim_count > 0 ? target->shape[0] : 0;
    /* Every sum below is at most 10 bytes an element: this bound keeps all of them in 64 bits. */
    if (elements > UINT64_MAX / 16) {
        return false;
    }
    *plan = (quant_plan){0};
    switch (quant) {
    case VS_QUANT_BNB_NF4:
    case VS_QUANT_BNB_FP4: plan_4bit(plan, elements, false); break;
    case VS_QUANT_BNB_NF4_DQ: plan_4bit(plan, elements, true); break;
    case VS_QUANT_BNB_INT8: plan_int8(plan, elements, rows, dtype); break;
    case VS_QUANT_NONE:
    case VS_QUANT_COUNT: break;
    }
    return true;
}

/* The patch: `.data.to(float16)` and row-wise int8, or nf4 with double quantisation, of the whole tensor, all on
 * the card (axolotl moe_quant.py @ 067b021c). */
bool load_expert_plan(quant_plan *plan, vs_quant quant, const vs_target *target, vs_dtype dtype)
{
    const uint64_t columns = target->dim_count > 0 ? target->shape[target->dim_count - 1] : 1;
    const uint64_t rows = columns > 0 ? target->elements / columns : target->elements;
    if (quant != VS_QUANT_BNB_INT8) {
        return load_quant_plan(plan, quant, target, dtype);
    }
    if (target->elements > UINT64_MAX / 16) {
        return false;
    }
    *plan = (quant_plan){.category = VS_CAT_Q_INT8};
    if (dtype != VS_DT_F16) {
        add(plan, target->elements * 2, QUANT_BEFORE, false);
    }
    add(plan, target->elements, QUANT_AFTER, true);
    add(plan, rows * 4, QUANT_AFTER, true);
    return true;
}

bool load_is_quantised(vs_quant quant, const vs_target *target)
{
    const uint32_t skipped =
        VS_TF_OUTPUT_HEAD | VS_TF_TIED | VS_TF_LAST_MODULE | VS_TF_KEEP_FP32;
    return quant != VS_QUANT_NONE && (target->flags & VS_TF_LINEAR) != 0 &&
           (target->flags & (skipped | VS_TF_BIAS | VS_TF_BUFFER)) == 0;
}

vs_quant load_expert_quant(const vs_scenario *scenario, const vs_target *target)
{
    if (scenario->quant_experts != VS_QEXPERTS_AXOLOTL ||
        (target->flags & VS_TF_EXPERTS) == 0) {
        return VS_QUANT_NONE;
    }
    switch (scenario->quant) {
    case VS_QUANT_BNB_NF4:
    case VS_QUANT_BNB_NF4_DQ:
    case VS_QUANT_BNB_FP4:
        return VS_QUANT_BNB_NF4_DQ; /* the patch fixes nf4 with double quantisation [7] */
    case VS_QUANT_BNB_INT8: return VS_QUANT_BNB_INT8;
    case VS_QUANT_NONE:
    case VS_QUANT_COUNT: break;
    }
    return VS_QUANT_NONE;
}
