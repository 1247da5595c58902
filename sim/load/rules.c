/* rules.c - what the loader decides by itself: dtype, async or not, workers, warm-up, rates.
 *
 * specs/transformers-loading.md [1, 2.7, 2.8, 3]. */
#include "load.h"

/* [2.1, 1]: min(4, cpus) workers since 5.0 (#42324). */
#define DEFAULT_WORKERS 4u

/* Consumer rate over producer rate that reproduces the one published measurement of a racing quantiser
 * (transformers #44576: Qwen2.5-7B nf4, 5.46 GiB allocated, 13.47 GiB reserved) [9.1]. A ratio is what that point
 * fixes; the absolute rate is not known. It is taken against what the copying threads deliver from a fast NVMe disk
 * (7 GB/s, catalogue nvme-pcie4) over this machine's link: a slower disk does not slow the card down. */
#define QUANTISE_RATIO_DIVISOR UINT64_C(10)
#define REFERENCE_DISK_BPS     UINT64_C(7000000000)

/* Share of the peak memory bandwidth that a copy kernel reaches: 0.8 (facts/hardware.md, launch overhead:
 * "memory-bound kernel: constant latency and efficiency"). In tenths. */
#define KERNEL_EFFICIENCY_TENTHS UINT64_C(8)

/* Fallback when a card's bandwidth is not known. */
#define DEFAULT_BANDWIDTH_BPS UINT64_C(500000000000)

/* caching_allocator_warmup of 5.3 and later [3]. */
#define WARMUP_HEADROOM_BYTES (VS_GIB + VS_GIB / 5) /* 1.2 GiB kept free of total */
#define WARMUP_REST_BYTES     (VS_GIB + VS_GIB / 2) /* 1.5 GiB */

vs_category load_weight_category(vs_dtype dtype)
{
    switch (vs_dtype_bits(dtype)) {
    case 32: /* GPTQ and AWQ pack 4-bit weights and zeros into int32 [6.1] */
        return vs_dtype_is_float(dtype) ? VS_CAT_W_FP32 : VS_CAT_Q_4BIT;
    case 64: return VS_CAT_W_FP32;
    case 8: return vs_dtype_is_float(dtype) ? VS_CAT_W_FP8 : VS_CAT_Q_INT8;
    case 4: return VS_CAT_Q_4BIT;
    default: return VS_CAT_W_16;
    }
}

/* float8 and float4 are how a quantised checkpoint is stored, never what a model computes in: torch takes none of
 * them as its default dtype. */
static bool is_wide_float(vs_dtype dtype)
{
    return vs_dtype_is_float(dtype) && vs_dtype_bits(dtype) >= 16;
}

static vs_dtype auto_dtype(const vs_model *model)
{
    if (model->config_dtype != VS_DT_COUNT) {
        return model->config_dtype;
    }
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        if (is_wide_float(model->tensors[i].dtype)) {
            return model->tensors[i].dtype;
        }
    }
    return VS_DT_F32;
}

bool load_is_absent(const vs_target *target)
{
    return target->source_count == 0 &&
           (target->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0;
}

static vs_dtype resolve_dtype(const loader *ld)
{
    switch (ld->scenario->dtype) {
    case VS_LOAD_FP32: return VS_DT_F32;
    case VS_LOAD_FP16: return VS_DT_F16;
    case VS_LOAD_BF16: return VS_DT_BF16;
    case VS_LOAD_AUTO:
    case VS_LOAD_COUNT: break;
    }
    return auto_dtype(ld->model);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What all copying threads together deliver at the start, source bytes per second: the slowest of disk, threads
 * and link. */
static uint64_t producer_rate(const loader *ld)
{
    const vs_host *host = &ld->machine->host;
    const vs_disk *disk = &ld->machine->disk;
    const uint64_t threads = ld->worker_count;
    uint64_t per_thread = host->memcpy_bps;
    uint64_t total = host->h2d_pageable_bps;
    if (ld->has_casts) {
        per_thread = min_u64(per_thread, host->cast_bps);
    }
    const bool is_unpacked = ld->unpack.count > 0; /* no copy job waits for the disk */
    if (!is_unpacked && ld->warm_bytes < ld->total_src_bytes) {
        per_thread = min_u64(per_thread, disk->mmap_read_bps);
        total = min_u64(total, disk->read_bps);
    }
    uint64_t together = 0;
    return vs_mul_u64(per_thread, threads, &together) ? min_u64(total, together) : total;
}

void load_resolve_rates(loader *ld)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    const uint64_t bandwidth =
        gpu->mem_bandwidth_bps > 0 ? gpu->mem_bandwidth_bps : DEFAULT_BANDWIDTH_BPS;
    ld->producer_bps = producer_rate(ld);
    ld->copy_bw_bps = bandwidth / 10 * KERNEL_EFFICIENCY_TENTHS;
    const uint64_t reference_bps =
        min_u64(ld->machine->host.h2d_pageable_bps, REFERENCE_DISK_BPS);
    ld->quantise_bps =
        gpu->quantise_bps > 0 ? gpu->quantise_bps : reference_bps / QUANTISE_RATIO_DIVISOR;
    if (ld->quantise_bps == 0) {
        ld->quantise_bps = 1;
    }
}

/* [2.8] off for on-the-fly quantisation since #44576; 5.0 prefetches then too. */
static bool resolve_async(const loader *ld)
{
    switch (ld->scenario->async) {
    case VS_ON: return true;
    case VS_OFF: return false;
    case VS_AUTO: break;
    }
    return ld->scenario->quant == VS_QUANT_NONE || ld->scenario->loader == VS_LOADER_V5_0;
}

static bool resolve_warmup(const loader *ld)
{
    switch (ld->scenario->warmup) {
    case VS_ON: return true;
    case VS_OFF: return false;
    case VS_AUTO: break;
    }
    return ld->scenario->quant_experts !=
           VS_QEXPERTS_AXOLOTL; /* the patch turns it into a no-op [7] */
}

/* 5.0 differs from the newest rules in when it prefetches and in its warm-up [1]. What it did with checkpoints that are
 * quantised already is not in the specification, which has that of 5.10 and 5.12. */
static bool check_loader(const loader *ld, vs_err *err)
{
    const vs_scenario *scenario = ld->scenario;
    const bool is_plain =
        ld->model->quant.format == VS_QF_NONE && ld->model->container != VS_CONTAINER_GGUF;
    if (scenario->loader == VS_LOADER_V5 || (scenario->loader == VS_LOADER_V5_0 && is_plain)) {
        return true;
    }
    if (scenario->loader == VS_LOADER_V5_0) {
        return vs_fail(err, VS_ERR_PLANNED,
                       "loader transformers-5.0 with a checkpoint that is quantised already is "
                       "not in this version yet; transformers-5 (the newest rules) has it");
    }
    return vs_fail(
        err, VS_ERR_PLANNED,
        "loader %s is not in this version yet; transformers-5 (the newest rules) and "
        "transformers-5.0 are",
        vs_loader_name(scenario->loader));
}

bool load_resolve_rules(loader *ld, vs_err *err)
{
    const vs_scenario *scenario = ld->scenario;
    if (!check_loader(ld, err)) {
        return false;
    }
    if (scenario->quant_experts != VS_QEXPERTS_NONE && scenario->quant == VS_QUANT_NONE) {
        return vs_fail(
            err, VS_ERR_VALUE,
            "--quant-experts %s needs a quantiser: add --quant bnb-nf4-dq or --quant bnb-int8",
            vs_quant_experts_name(scenario->quant_experts));
    }
    if (scenario->workers > LOAD_WORKERS_MAX) {
        return vs_fail(err, VS_ERR_LIMIT, "--workers %" PRIu32 " is above the limit of %u",
                       scenario->workers, LOAD_WORKERS_MAX);
    }
    if (!load_resolve_stored(ld, err)) {
        return false;
    }
    const uint32_t cores =
        ld->machine->host.cores > 0 ? ld->machine->host.cores : DEFAULT_WORKERS;
    ld->load_dtype = load_stored_dtype(ld, resolve_dtype(ld));
    ld->is_async = resolve_async(ld);
    ld->has_warmup = resolve_warmup(ld);
    ld->worker_count = scenario->workers > 0
                           ? scenario->workers
                           : (cores < DEFAULT_WORKERS ? cores : DEFAULT_WORKERS);
    return true;
}

/* ---- warm-up [3] ------------------------------------------------------------------------- */

/* What the model will take on the device, as the warm-up counts it: state-dict entries, tied names once. */
static vs_bytes warmup_wish(const loader *ld)
{
    vs_bytes total = 0;
    for (uint32_t i = 0; i < ld->param_count; i++) {
        const bool is_counted =
            (ld->params[i].meta->flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0;
        if (is_counted && !vs_add_u64(total, ld->params[i].meta_bytes, &total)) {
            return UINT64_MAX;
        }
    }
    return total;
}

/* 5.0: at most what is free but 1.2 GiB (#37436), less what the allocator holds unused (#37920); true element sizes
 * (#42996). */
static vs_bytes warmup_of_5_0(vs_bytes wish, vs_bytes unused, vs_bytes free_bytes)
{
    const vs_bytes cap =
        free_bytes > WARMUP_HEADROOM_BYTES ? free_bytes - WARMUP_HEADROOM_BYTES : 0;
    const vs_bytes bytes = wish < cap ? wish : cap;
    return bytes > unused ? (bytes - unused) / 2 * 2 : 0; /* empty(bytes / 2, fp16) */
}

vs_bytes load_warmup_bytes(const loader *ld, vs_bytes free_bytes, vs_bytes total_bytes)
{
    const vs_pool_stats *stats = vs_pool_get_stats(ld->pool);
    const vs_bytes unused = stats->reserved_bytes[VS_STAT_ALL].current -
                            stats->allocated_bytes[VS_STAT_ALL].current;
    const vs_bytes wish = warmup_wish(ld);
    if (ld->scenario->loader == VS_LOADER_V5_0) {
        return warmup_of_5_0(wish, unused, free_bytes);
    }
    const vs_bytes missing = wish > unused ? wish - unused : 0;
    vs_bytes bytes = 0;
    if (missing > unused) {
        bytes = missing;
    } else if (missing > WARMUP_REST_BYTES) {
        bytes = unused + VS_GIB > free_bytes ? 0 : unused + VS_GIB;
    }
    const vs_bytes cap =
        total_bytes > WARMUP_HEADROOM_BYTES ? total_bytes - WARMUP_HEADROOM_BYTES : 0;
    bytes = bytes < cap ? bytes : cap;
    return bytes / 2 * 2; /* empty(bytes / 2, fp16) */
}
