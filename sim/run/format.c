/* format.c - what the report says about a checkpoint that is not plain 16- or 32-bit safetensors: how it is stored, whether it
 * is loaded so or dequantised and why, and what Transformers leaves out of it. */
#include "run_internal.h"

static const char *format_name(vs_quant_format format)
{
    return format == VS_QF_MXFP4 ? "mxfp4" : "fp8"; /* the two that not every card takes */
}

/* " (rtx-3090 has compute capability 8.6, fp8 needs 8.9)" */
static const char *why(const loader *ld)
{
    const load_stored *s = &ld->stored;
    const vs_gpu *gpu = &ld->machine->gpus[0];
    const char *format = format_name(ld->model->quant.format);
    if (s->needed == 0) {
        return "";
    }
    if (s->is_assumed) {
        return vs_arena_printf(ld->arena,
                               " (the card's compute capability is not known; %s needs %" PRIu32
                               ".%" PRIu32 ")",
                               format, s->needed / 10, s->needed % 10);
    }
    if (s->has_no_cuda) {
        return vs_arena_printf(
            ld->arena, " (%s is no CUDA device, which Transformers needs to load %s as it is)",
            gpu->id, format);
    }
    return vs_arena_printf(
        ld->arena, " (%s has compute capability %s, %s needs %" PRIu32 ".%" PRIu32 ")", gpu->id,
        gpu->compute_capability, format, s->needed / 10, s->needed % 10);
}

static const char *quantised_format(const loader *ld)
{
    const char *reason = why(ld);
    if (reason == NULL) {
        return NULL;
    }
    if (!ld->stored.is_dequantised) {
        return vs_arena_printf(ld->arena, "%s; loaded as stored%s", ld->model->quant.label,
                               reason);
    }
    const vs_dtype dtype = ld->model->quant.format == VS_QF_MXFP4 ? VS_DT_BF16 : ld->load_dtype;
    return vs_arena_printf(ld->arena, "%s; dequantised to %s%s", ld->model->quant.label,
                           vs_dtype_torch_name(dtype), reason);
}

static const char *format_of(const loader *ld)
{
    if (ld->stored.is_quantised) {
        return quantised_format(ld);
    }
    if (ld->unpack.count == 0) {
        return "";
    }
    if (ld->model->container == VS_CONTAINER_GGUF) {
        return vs_arena_printf(
            ld->arena,
            "GGUF; every tensor is dequantised to float32 in host memory and "
            "kept there as %s before the first goes to the card",
            vs_dtype_torch_name(ld->load_dtype));
    }
    return vs_arena_printf(ld->arena,
                           ".bin; %" PRIu32 " of %" PRIu32
                           " files are from before PyTorch 1.6, "
                           "which are read into host memory before the first copy",
                           ld->unpack.count, ld->model->shard_count);
}

/* ---- notes ------------------------------------------------------------------------------------------ */

/* Fused experts of a format that Transformers 5 cannot merge, whose narrow weights are merged all the same. Those that are
 * left without values are in the model's own notes. */
static uint32_t count_scaleless(const loader *ld)
{
    uint32_t count = 0;
    for (uint32_t i = 0; ld->stored.is_quantised && i < ld->param_count; i++) {
        const load_param *param = &ld->params[i];
        const uint32_t both = VS_TF_EXPERTS | VS_TF_QUANT_DATA;
        count += (param->target->flags & both) == both && param->decode == DECODE_NONE &&
                 ld->model->quant.format != VS_QF_FP8;
    }
    return count;
}

static bool note_experts(vs_run_result *result, const loader *ld)
{
    const uint32_t count = count_scaleless(ld);
    if (count == 0) {
        return true;
    }
    const char *text = vs_arena_printf(
        ld->arena,
        "Transformers 5.12.1 merges the weights of experts stored as %s without their scales: "
        "%" PRIu32 " fused parameters load, and are of no use",
        ld->model->quant.label, count);
    result->notes[result->note_count++] = text; /* the only one so far */
    return text != NULL;
}

bool run_describe_format(vs_run_result *result, const loader *ld, vs_err *err)
{
    result->format = format_of(ld);
    result->is_stored_quantised = ld->stored.is_quantised;
    result->is_dequantised = ld->stored.is_dequantised;
    return (result->format != NULL && note_experts(result, ld)) ||
           vs_fail_memory(err, ld->arena, "the explanation");
}
