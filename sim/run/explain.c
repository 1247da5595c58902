/* explain.c - the verdict in words: PyTorch's message, one line on top, one sentence that says why. */
#include "run_internal.h"

static vs_bytes rounded(vs_bytes bytes)
{
    return bytes == 0 ? 0 : (bytes / 512 + (bytes % 512 != 0)) * 512;
}

/* Each of the stored tensors stays a block of its own. */
static vs_bytes adopted_bytes(const loader *ld, const load_param *param)
{
    vs_bytes total = param->has_offset ? rounded(4) : 0;
    for (uint32_t i = 0; i < param->target->source_count; i++) {
        const vs_tensor *tensor = &ld->model->tensors[param->sources[i]];
        if (!load_is_host_only(param, tensor) &&
            !vs_add_u64(total, rounded(tensor->size_bytes), &total)) {
            return UINT64_MAX / 2;
        }
    }
    return total;
}

/* What one parameter ends as: quantised, or in the load dtype; one that the checkpoint lacks always so. */
static vs_bytes planned_bytes(const loader *ld, const load_param *param)
{
    const vs_target *target = param->target;
    const vs_dtype dtype = param->dtype;
    const vs_quant experts = load_expert_quant(ld->scenario, target);
    quant_plan plan = {0};
    vs_bytes bytes = 0;
    bool is_planned = false;
    if (load_is_absent(target)) {
        return rounded(load_missing_bytes(param));
    }
    if (param->decode == DECODE_ADOPT || param->decode == DECODE_SWIZZLE) {
        return adopted_bytes(ld, param);
    }
    if (load_is_quantised(ld->scenario->quant, target)) {
        is_planned = load_quant_plan(&plan, ld->scenario->quant, target, dtype);
    } else if (experts != VS_QUANT_NONE) {
        is_planned = load_expert_plan(&plan, experts, target, dtype);
    }
    if (is_planned) {
        return plan.kept_bytes;
    }
    return vs_dtype_bytes(dtype, target->elements, &bytes) ? rounded(bytes) : UINT64_MAX / 2;
}

vs_bytes run_planned_bytes(const loader *ld)
{
    vs_bytes total = 0;
    for (uint32_t i = 0; i < ld->param_count; i++) {
        const load_param *param = &ld->params[i];
        if ((param->target->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0 &&
            !vs_add_u64(total, planned_bytes(ld, param), &total)) {
            return UINT64_MAX;
        }
    }
    return total;
}

static vs_bytes room(const loader *ld)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    const vs_bytes others =
        ld->scenario->gpu_used_count > 0 ? ld->scenario->gpu_used_bytes[0] : 0;
    const vs_bytes taken = gpu->context_bytes + others;
    return gpu->total_bytes > taken ? gpu->total_bytes - taken : 0;
}

static const char *form(const loader *ld)
{
    if (ld->stored.is_quantised && !ld->stored.is_dequantised) {
        return ld->model->quant.label;
    }
    return ld->scenario->quant == VS_QUANT_NONE ? vs_dtype_torch_name(ld->load_dtype)
                                                : vs_quant_name(ld->scenario->quant);
}

static uint32_t consumed_tenths_percent(const loader *ld)
{
    uint64_t tenths = 0;
    if (ld->total_src_bytes == 0 ||
        !vs_muldiv_u64(ld->failure.consumed_bytes, 1000, ld->total_src_bytes, &tenths)) {
        return 0;
    }
    return (uint32_t)tenths;
}

static const char *reason_weights(const loader *ld, vs_bytes planned)
{
    char need[VS_TEXT_BYTES];
    char have[VS_TEXT_BYTES];
    char over[VS_TEXT_BYTES];
    const char *experts = ld->scenario->quant != VS_QUANT_NONE && ld->model->dims.experts > 0 &&
                                  ld->scenario->quant_experts == VS_QEXPERTS_NONE
                              ? " (the fused experts are not Linear modules, so this quantiser "
                                "leaves them as they are)"
                              : "";
    return vs_arena_printf(ld->arena,
                           "The finished model alone takes %s as %s%s and the card has %s "
                           "beside the CUDA context and "
                           "other processes: %s too little, however it is loaded.",
                           vs_format_size(planned, need), form(ld), experts,
                           vs_format_size(room(ld), have),
                           vs_format_size(planned - room(ld), over));
}

static const char *reason_context(const loader *ld)
{
    char need[VS_TEXT_BYTES];
    char left[VS_TEXT_BYTES];
    return vs_arena_printf(ld->arena,
                           "Other processes leave %s on the card; the CUDA context alone takes "
                           "%s, so the load ends "
                           "before it begins.",
                           vs_format_size(ld->failure.info.free_bytes, left),
                           vs_format_size(ld->failure.info.attempted_bytes, need));
}

static const char *reason_prefetch(const loader *ld)
{
    const load_failure *f = &ld->failure;
    char waiting[VS_TEXT_BYTES];
    char rate[VS_TEXT_BYTES];
    char quantised[VS_TEXT_BYTES];
    return vs_arena_printf(
        ld->arena,
        "Prefetch ran ahead of the quantiser: %" PRIu32
        " tensors (%s of %s) were waiting on the card, copied at "
        "%s and quantised at %s, when only %" PRIu32 " of %" PRIu32
        " parameters were done; loading one after the "
        "other (--no-async) holds the sources of one parameter at a time.",
        f->staging_count, vs_format_size(f->staging_bytes, waiting),
        vs_dtype_torch_name(ld->load_dtype), vs_format_rate(ld->producer_bps, rate),
        vs_format_rate(ld->quantise_bps, quantised), f->mappings_done, ld->mapping_count);
}

/* PyTorch's exception is caught inside the operation, so nothing is raised. */
static const char *reason_on_host(const loader *ld)
{
    char asked[VS_TEXT_BYTES];
    char left[VS_TEXT_BYTES];
    return vs_arena_printf(
        ld->arena,
        "%s more were needed to dequantise one parameter; Transformers catches that, does it "
        "on "
        "the CPU and leaves it there: the load ends without an error, but %" PRIu32
        " parameter%s (%s) %s in host memory and the model does not run.",
        vs_format_size(ld->failure.info.attempted_bytes, asked), ld->on_host,
        ld->on_host == 1 ? "" : "s", vs_format_size(ld->on_host_bytes, left),
        ld->on_host == 1 ? "is" : "are");
}

static const char *shape_text(const loader *ld, const vs_tensor *tensor)
{
    return tensor->dim_count < 2 ? vs_arena_printf(ld->arena, "[%" PRIu64 "]", tensor->elements)
                                 : vs_arena_printf(ld->arena, "[%" PRIu64 ", %" PRIu64 "]",
                                                   tensor->shape[tensor->dim_count - 2],
                                                   tensor->shape[tensor->dim_count - 1]);
}

/* Fp8Dequantize raises; the loader catches, goes on, and raises at the end [2.5]. */
static const char *reason_misfit(const loader *ld)
{
    const load_mapping *mapping = &ld->mappings[ld->misfits.mapping];
    const load_param *param = &ld->params[mapping->param];
    const uint32_t weights = param->target->source_count - param->target->companion_count;
    const uint32_t *sources = param->sources;
    const vs_tensor *weight = &ld->model->tensors[sources[ld->misfits.weight]];
    const vs_tensor *scales = &ld->model->tensors[sources[weights + ld->misfits.weight]];
    const char *shape = shape_text(ld, weight);
    const char *grid = shape_text(ld, scales);
    return shape == NULL || grid == NULL
               ? NULL
               : vs_arena_printf(
                     ld->arena,
                     "Transformers 5.12.1 dequantises only weights that are a whole "
                     "multiple of their scales: %s is %s, its scales are %s. It "
                     "leaves %" PRIu32 " such parameters without values and raises "
                     "\"We encountered some issues during automatic conversion of "
                     "the weights\" after the load.",
                     weight->name, shape, grid, ld->misfits.count);
}

static const char *reason_other(const loader *ld)
{
    const load_failure *f = &ld->failure;
    char asked[VS_TEXT_BYTES];
    char left[VS_TEXT_BYTES];
    char live[VS_TEXT_BYTES];
    char stuck[VS_TEXT_BYTES];
    const char *what = "to copy a tensor in";
    if (vs_str_is(vs_str_of(f->stage), "merge")) {
        what = "to stack and concatenate the experts of one layer, which for a moment needs "
               "them twice";
    } else if (vs_str_is(vs_str_of(f->stage), "dequantise")) {
        what = "to dequantise one parameter, whose packed and wide forms are alive together";
    } else if (vs_str_is(vs_str_of(f->stage), "swizzle")) {
        what = "to bring one parameter into the layout of its kernels, beside its source";
    } else if (vs_str_is(vs_str_of(f->stage), "quantise")) {
        what = "to quantise one parameter, whose source stays until the result is there";
    } else if (vs_str_is(vs_str_of(f->stage), "warmup")) {
        what = "for the warm-up allocation, which counts on the card's total and not on what "
               "is free "
               "(--no-warmup leaves it out)";
    } else if (vs_str_is(vs_str_of(f->stage), "finalise")) {
        what = "at the end, for parameters and buffers that the checkpoint does not hold";
    }
    return vs_arena_printf(
        ld->arena,
        "%s more were needed %s; %s was free, %s held by tensors and %s stuck in "
        "partly used segments.",
        vs_format_size(f->info.attempted_bytes, asked), what,
        vs_format_size(f->info.free_bytes, left), vs_format_size(f->info.allocated_bytes, live),
        vs_format_size(f->info.reserved_bytes - f->info.allocated_bytes, stuck));
}

static const char *reason_of(const loader *ld, vs_verdict verdict)
{
    char ram[VS_TEXT_BYTES];
    const load_failure *f = &ld->failure;
    const vs_bytes planned = run_planned_bytes(ld);
    if (verdict == VS_VERDICT_HOST_OOM) {
        return vs_arena_printf(ld->arena, "The process needs more than the host's %s of RAM.",
                               vs_format_size(ld->machine->host.ram_bytes, ram));
    }
    if (verdict == VS_VERDICT_FAILED) {
        return reason_misfit(ld);
    }
    if (verdict != VS_VERDICT_OOM) {
        return "";
    }
    if (ld->on_host > 0 && !f->has_surfaced) {
        return reason_on_host(ld);
    }
    if (vs_str_is(vs_str_of(ld->failure.stage), "context")) {
        return reason_context(ld);
    }
    if (planned > room(ld)) {
        return reason_weights(ld, planned);
    }
    const bool is_quantising = ld->scenario->quant != VS_QUANT_NONE;
    if (ld->is_async && is_quantising && ld->failure.staging_count > 1) {
        return reason_prefetch(ld);
    }
    return reason_other(ld);
}

static const char *headline_of(const vs_run_result *result, const loader *ld)
{
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    char when[VS_TEXT_BYTES];
    const load_failure *f = &ld->failure;
    const vs_pool_stats *stats = vs_pool_get_stats(ld->pool);
    const vs_gpu *gpu = &ld->machine->gpus[0];
    const uint32_t share = consumed_tenths_percent(ld);
    switch (result->verdict) {
    case VS_VERDICT_OOM:
        return vs_arena_printf(ld->arena,
                               "OUT OF MEMORY at %s with %" PRIu32 ".%" PRIu32
                               " %% of the weights in place: "
                               "%s did not get %s",
                               vs_format_duration(f->time_ns, when), share / 10, share % 10,
                               f->name, vs_format_size(f->info.attempted_bytes, a));
    case VS_VERDICT_HOST_OOM:
        return vs_arena_printf(ld->arena, "KILLED: out of host RAM at %s",
                               vs_format_duration(result->load_ns, when));
    case VS_VERDICT_FITS:
        return vs_arena_printf(
            ld->arena, "FITS: peak %s of %s",
            vs_format_size(
                gpu->context_bytes +
                    (ld->scenario->gpu_used_count > 0 ? ld->scenario->gpu_used_bytes[0] : 0) +
                    stats->reserved_bytes[VS_STAT_ALL].peak,
                a),
            vs_format_size(gpu->total_bytes, b));
    case VS_VERDICT_FAILED:
        return vs_arena_printf(
            ld->arena, "FAILED: %" PRIu32 " of %" PRIu32 " parameters cannot be dequantised",
            ld->misfits.count, ld->mapping_count);
    case VS_VERDICT_DISK_FULL:
    case VS_VERDICT_COUNT: break;
    }
    return "FAILED";
}

bool run_explain(vs_run_result *result, const loader *ld, vs_err *err)
{
    const load_failure *f = &ld->failure;
    result->headline = headline_of(result, ld);
    result->reason = reason_of(ld, result->verdict);
    if (f->has_failed && vs_str_is(vs_str_of(f->stage), "context")) {
        result->oom.message =
            "CUDA error: out of memory"; /* no allocator yet that could say more */
    } else if (f->has_failed) {
        result->oom.message =
            vs_oom_message(ld->arena, &f->info, VS_TORCH_NEWEST, 0,
                           f->info.reserved_bytes + ld->machine->gpus[0].context_bytes);
    }
    if (result->headline == NULL || result->reason == NULL ||
        (f->has_failed && result->oom.message == NULL)) {
        return vs_fail_memory(err, ld->arena, "the explanation");
    }
    return true;
}
