/* result.c - the figures of a finished run, read off the loader, the pool and the sealed timeline. */
#include "run_internal.h"

#include <string.h>

static uint32_t share_ppm(uint64_t part, uint64_t whole)
{
    uint64_t ppm = 0;
    if (whole == 0 || !vs_muldiv_u64(part, 1000000, whole, &ppm)) {
        return 0;
    }
    return (uint32_t)(ppm > 1000000 ? 1000000 : ppm);
}

static void fill_gpu(vs_gpu_result *out, const loader *ld)
{
    const vs_pool_stats *stats = vs_pool_get_stats(ld->pool);
    const vs_gpu *gpu = &ld->machine->gpus[0];
    *out = (vs_gpu_result){
        .capacity_bytes = gpu->total_bytes,
        .used_by_others_bytes =
            ld->scenario->gpu_used_count > 0 ? ld->scenario->gpu_used_bytes[0] : 0,
        .context_bytes =
            vs_str_is(vs_str_of(ld->failure.stage), "context") ? 0 : gpu->context_bytes,
        .warmup_bytes = ld->warmup_bytes,
        .final_allocated_bytes = stats->tensor_bytes.current,
        .peak_allocated_bytes = stats->tensor_bytes.peak,
        .final_memory_allocated_bytes = stats->allocated_bytes[VS_STAT_ALL].current,
        .peak_memory_allocated_bytes = stats->allocated_bytes[VS_STAT_ALL].peak,
        .final_reserved_bytes = stats->reserved_bytes[VS_STAT_ALL].current,
        .peak_reserved_bytes = stats->reserved_bytes[VS_STAT_ALL].peak};
}

static void fill_oom(vs_oom_result *out, const loader *ld)
{
    const load_failure *f = &ld->failure;
    out->gpu = 0;
    out->time_ns = f->time_ns;
    out->requested_bytes = f->info.requested_bytes;
    out->attempted_bytes = f->info.attempted_bytes;
    out->free_bytes = f->info.free_bytes;
    out->allocated_bytes = f->info.allocated_bytes;
    out->reserved_bytes = f->info.reserved_bytes;
    out->tensor = f->name;
    out->stage = f->stage;
    out->consumed_ppm = share_ppm(f->consumed_bytes, ld->total_src_bytes);
    out->has_surfaced = f->has_surfaced;
    out->surface_time_ns = f->surface_time_ns;
    out->surface_tensor = f->surface_name == NULL ? "" : f->surface_name;
    out->surface_consumed_ppm = share_ppm(f->surface_consumed_bytes, ld->total_src_bytes);
    out->staging_bytes = f->staging_bytes;
    out->staging_count = f->staging_count;
    out->is_swallowed = f->is_swallowed;
    out->is_reported = f->is_reported;
    out->mappings_done = f->mappings_done;
    out->mappings = ld->mapping_count;
}

static void fill_bottleneck(vs_run_result *result, const vs_timeline *tl)
{
    result->bottleneck_lane = "";
    for (uint32_t lane = 0; lane < tl->lane_count; lane++) {
        const vs_ns busy = vs_lane_busy(tl, lane, 0, tl->end_ns);
        const uint32_t ppm = share_ppm(busy, tl->end_ns);
        if (ppm > result->bottleneck_ppm) {
            result->bottleneck_ppm = ppm;
            result->bottleneck_lane = vs_timeline_string(tl, tl->lanes[lane].name);
        }
    }
}

/* Figures of the card that a load does not touch: not among what it assumed. */
static bool is_used(const char *key)
{
    static const char *const never[] = {"gpu.smi_total_bytes", "gpu.fp32_flops",
                                        "gpu.fp16_flops", "gpu.bf16_flops"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (strcmp(key, never[i]) == 0) {
            return false;
        }
    }
    return true;
}

static void drop_unused(vs_run_result *result)
{
    vs_machine *m = &result->machine;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->assumed_count; i++) {
        if (is_used(m->assumed[i].key)) {
            m->assumed[kept++] = m->assumed[i];
        }
    }
    m->assumed_count = kept;
}

void run_fill_result(vs_run_result *result, const loader *ld, const vs_timeline *tl)
{
    vs_moment peak = {0};
    result->gpu_count = 1;
    fill_gpu(&result->gpus[0], ld);
    if (vs_study_peak(tl, ld->gpu_device, &peak)) {
        result->peak.time_ns = peak.time_ns;
        result->gpus[0].peak_used_bytes = peak.used_bytes;
        for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
            result->peak.categories[c] = peak.categories[c];
        }
    }
    /* The kernel may kill the process before a copy that failed on the card is noticed: then that is the verdict. */
    result->has_oom = result->verdict == VS_VERDICT_OOM;
    if (result->has_oom) {
        fill_oom(&result->oom, ld);
    }
    result->host_capacity_bytes = ld->machine->host.ram_bytes;
    result->host_peak_anon_bytes = ld->anon_peak_bytes;
    result->host_peak_file_bytes = ld->file_peak_bytes;
    result->disk_read_bytes = ld->disk_read_bytes;
    result->has_warmup = ld->has_warmup;
    result->workers = ld->is_async ? ld->worker_count : 0;
    result->loaded_bytes = ld->loaded_bytes;
    result->needed_bytes = run_planned_bytes(ld) + result->gpus[0].context_bytes +
                           result->gpus[0].used_by_others_bytes;
    result->event_count = vs_engine_event_count(ld->engine);
    if (ld->machine->gpus[0].quantise_bps == 0 && ld->scenario->quant != VS_QUANT_NONE) {
        vs_machine_assume(
            &result->machine, "gpu.quantise_bytes_per_s", ld->quantise_bps,
            "a tenth of what copying threads deliver from a fast NVMe disk (7 GB/s) over this "
            "link: the ratio that reproduces the one published measurement of a racing "
            "quantiser (huggingface/transformers #44576)");
    }
    load_stored_assume(ld, &result->machine);
    unpack_assume(ld, &result->machine);
    drop_unused(result);
    fill_bottleneck(result, tl);
}
