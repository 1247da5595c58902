/* transformers.c - the Transformers 5 loader on one GPU: jobs and mappings in key order, then the processes.
 *
 * specs/transformers-loading.md [2.1] is the order of stages, [2.4] the submission, [2.9] the event model. */
#include "load.h"

#include <string.h>

/* ---- shared helpers -------------------------------------------------------------------- */

static vs_alloc_result alloc_request(loader *ld, const vs_pool_request *request, vs_block *out)
{
    *out = (vs_block){0};
    if (request->size_bytes == 0) {
        return VS_ALLOC_OK; /* a null tensor */
    }
    const vs_alloc_result got =
        vs_pool_alloc(ld->pool, vs_engine_now(ld->engine), request, out);
    if (got == VS_ALLOC_EXHAUSTED) {
        ld->is_exhausted = true;
        load_finish(ld, END_LOADED);
    }
    return got;
}

vs_alloc_result load_alloc(loader *ld, vs_bytes bytes, vs_category category, uint32_t name,
                           vs_block *out)
{
    const vs_pool_request request = {.size_bytes = bytes, .category = category, .name = name};
    return alloc_request(ld, &request, out);
}

vs_alloc_result load_alloc_uncounted(loader *ld, vs_bytes bytes, vs_category category,
                                     uint32_t name, vs_block *out)
{
    const vs_pool_request request = {
        .size_bytes = bytes, .category = category, .name = name, .flags = VS_REQUEST_UNCOUNTED};
    return alloc_request(ld, &request, out);
}

void load_free(loader *ld, vs_block *block)
{
    if (block->id != 0) {
        vs_pool_free(ld->pool, vs_engine_now(ld->engine), *block);
        *block = (vs_block){0};
    }
}

vs_ns load_driver_time(loader *ld)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    const uint64_t mallocs = ld->driver->malloc_calls - ld->charged_mallocs;
    const uint64_t frees = ld->driver->free_calls - ld->charged_frees;
    ld->charged_mallocs = ld->driver->malloc_calls;
    ld->charged_frees = ld->driver->free_calls;
    return mallocs * gpu->malloc_ns + frees * gpu->free_ns;
}

vs_ns load_time(vs_bytes bytes, uint64_t rate_bps)
{
    uint64_t ns = 0;
    if (bytes == 0) {
        return 0;
    }
    return vs_muldiv_ceil_u64(bytes, UINT64_C(1000000000), rate_bps, &ns) ? ns
                                                                          : VS_NS_NEVER / 4;
}

static void count_staging(loader *ld)
{
    for (uint32_t i = 0; i < ld->job_count; i++) {
        if (ld->jobs[i].block.id != 0 && ld->jobs[i].state == JOB_READY) {
            ld->failure.staging_bytes += ld->jobs[i].dst_bytes;
            ld->failure.staging_count++;
        }
    }
}

void load_note_failure(loader *ld, const char *name, const char *stage, bool is_swallowed)
{
    load_failure *f = &ld->failure;
    if (f->has_failed || ld->is_exhausted) {
        return;
    }
    f->has_failed = true;
    f->is_swallowed = is_swallowed;
    f->time_ns = vs_engine_now(ld->engine);
    f->name = name;
    f->stage = stage;
    f->info = vs_pool_oom_info(ld->pool);
    f->consumed_bytes = ld->consumed_bytes;
    f->mappings_done = ld->mappings_done;
    count_staging(ld);
}

const char *load_job_name(const loader *ld, uint32_t job)
{
    return ld->model->tensors[ld->jobs[job].tensor].name;
}

const char *load_mapping_name(const loader *ld, uint32_t mapping)
{
    return ld->model->targets[ld->mappings[mapping].target].name;
}

void load_surface(loader *ld, const char *name)
{
    load_failure *f = &ld->failure;
    if (f->has_surfaced) {
        return;
    }
    f->has_surfaced = true;
    f->surface_time_ns = vs_engine_now(ld->engine);
    f->surface_name = name;
    f->surface_consumed_bytes = ld->consumed_bytes;
    const vs_event event = {.time_ns = f->surface_time_ns,
                            .kind = VS_EV_SURFACE,
                            .device = ld->gpu_device,
                            .block = VS_NO_BLOCK,
                            .name = vs_tape_name(ld->tape, name)};
    vs_tape_event(ld->tape, &event);
}

void load_finish(loader *ld, load_end end)
{
    if (ld->end == END_RUNNING) {
        ld->end = end;
        ld->end_ns = vs_engine_now(ld->engine);
    }
    ld->consumer.state = CONSUME_DONE;
    vs_engine_stop(ld->engine);
}

/* ---- the work ------------------------------------------------------------------------------ */

static bool fill_job(loader *ld, uint32_t tensor_index, load_job *job, vs_err *err)
{
    const vs_tensor *tensor = &ld->model->tensors[tensor_index];
    const vs_target *target = &ld->model->targets[tensor->target];
    const vs_dtype dtype = load_target_dtype(ld, target);
    *job = (load_job){.src_bytes = tensor->size_bytes,
                      .tensor = tensor_index,
                      .mapping = UINT32_MAX,
                      .name = vs_tape_name(ld->tape, tensor->name),
                      .needs_cast = dtype != tensor->dtype};
    if (!vs_dtype_bytes(dtype, tensor->elements, &job->dst_bytes) ||
        !vs_add_u64(ld->total_src_bytes, job->src_bytes, &ld->total_src_bytes)) {
        return vs_fail(err, VS_ERR_VALUE, "tensor %s: its size overflows 64 bits",
                       tensor->name);
    }
    return true;
}

static bool build_jobs(loader *ld, uint32_t *job_of_tensor, vs_err *err)
{
    const vs_model *model = ld->model;
    ld->jobs = VS_ARRAY(ld->arena, load_job, model->tensor_count);
    if (ld->jobs == NULL) {
        return vs_fail_memory(err, ld->arena, "copy jobs");
    }
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        job_of_tensor[i] = NO_JOB;
        if (model->tensors[i].target == VS_NO_TARGET) {
            continue; /* unexpected: skipped, never read */
        }
        if (!fill_job(ld, i, &ld->jobs[ld->job_count], err)) {
            return false;
        }
        job_of_tensor[i] = ld->job_count++;
    }
    return true;
}

static bool fill_mapping(loader *ld, uint32_t target_index, const uint32_t *job_of_tensor,
                         uint32_t *source_count, vs_err *err)
{
    const vs_target *target = &ld->model->targets[target_index];
    load_mapping *mapping = &ld->mappings[ld->mapping_count];
    *mapping = (load_mapping){.target = target_index,
                              .first_source = *source_count,
                              .source_count = target->source_count,
                              .pending = target->source_count,
                              .failed_job = NO_JOB,
                              .name = vs_tape_name(ld->tape, target->name)};
    for (uint32_t s = 0; s < target->source_count; s++) {
        const uint32_t job = job_of_tensor[ld->model->sources[target->first_source + s]];
        vs_assert(job != NO_JOB);
        ld->sources[(*source_count)++] = job;
        ld->jobs[job].mapping = ld->mapping_count;
        mapping->src_bytes += ld->jobs[job].src_bytes; /* bounded by total_src_bytes */
    }
    if (!vs_dtype_bytes(load_target_dtype(ld, target), target->elements, &mapping->bytes)) {
        return vs_fail(err, VS_ERR_VALUE, "parameter %s: its size overflows 64 bits",
                       target->name);
    }
    ld->mapping_count++;
    return true;
}

/* First-seen order: a mapping is created by the first of its keys. */
static bool build_mappings(loader *ld, const uint32_t *job_of_tensor, vs_err *err)
{
    const vs_model *model = ld->model;
    ld->mappings = VS_ARRAY(ld->arena, load_mapping, model->target_count);
    ld->sources = VS_ARRAY(ld->arena, uint32_t, model->source_count);
    if (ld->mappings == NULL || ld->sources == NULL) {
        return vs_fail_memory(err, ld->arena, "mappings");
    }
    uint32_t source_count = 0;
    for (uint32_t j = 0; j < ld->job_count; j++) {
        if (ld->jobs[j].mapping != UINT32_MAX) {
            continue;
        }
        const uint32_t target = model->tensors[ld->jobs[j].tensor].target;
        if (!fill_mapping(ld, target, job_of_tensor, &source_count, err)) {
            return false;
        }
    }
    return true;
}

/* ---- links, lanes, threads ---------------------------------------------------------------------- */

static bool make_links(loader *ld, vs_err *err)
{
    const vs_link_desc disk = {.name = "disk", .rate_bps = ld->machine->disk.read_bps};
    const vs_link_desc h2d = {.name = "pcie h2d",
                              .rate_bps = ld->machine->host.h2d_pageable_bps};
    if (ld->shuffle_seed % 2 == 0) {
        ld->disk_link = vs_link_new(ld->engine, &disk);
    }
    ld->h2d_link = vs_link_new(ld->engine, &h2d);
    if (ld->shuffle_seed % 2 != 0) { /* a test's order: it must not matter */
        ld->disk_link = vs_link_new(ld->engine, &disk);
    }
    if (ld->disk_link.id == 0 || ld->h2d_link.id == 0) {
        return vs_fail_memory(err, ld->arena, "links");
    }
    return true;
}

static bool make_workers(loader *ld, vs_err *err)
{
    const uint32_t count = ld->is_async ? ld->worker_count : 1;
    ld->workers = VS_ARRAY(ld->arena, copy_worker, count);
    if (ld->workers == NULL) {
        return vs_fail_memory(err, ld->arena, "workers");
    }
    ld->lane_disk = vs_tape_add_lane(ld->tape, "disk");
    for (uint32_t i = 0; i < count; i++) {
        const char *lane =
            count == 1 ? "cpu" : vs_arena_printf(ld->arena, "cpu %" PRIu32, i + 1);
        if (lane == NULL) {
            return vs_fail_memory(err, ld->arena, "workers");
        }
        ld->workers[i] = (copy_worker){.process = {.step = worker_step, .name = "copy worker"},
                                       .owner = ld,
                                       .job = NO_JOB,
                                       .is_idle = true,
                                       .lane = vs_tape_add_lane(ld->tape, lane)};
    }
    ld->lane_h2d = vs_tape_add_lane(ld->tape, "pcie h2d");
    ld->lane_gpu = vs_tape_add_lane(ld->tape, "gpu");
    return true;
}

bool load_setup(loader *ld, vs_err *err)
{
    if (!load_resolve_rules(ld, err)) {
        return false;
    }
    uint32_t *job_of_tensor = VS_ARRAY(ld->arena, uint32_t, ld->model->tensor_count);
    if (job_of_tensor == NULL) {
        return vs_fail_memory(err, ld->arena, "copy jobs");
    }
    if (!build_jobs(ld, job_of_tensor, err) || !build_mappings(ld, job_of_tensor, err) ||
        !make_links(ld, err) || !make_workers(ld, err)) {
        return false;
    }
    if (ld->scenario->cache == VS_CACHE_WARM) {
        const vs_host *host = &ld->machine->host;
        const vs_bytes room =
            host->ram_bytes > host->base_rss_bytes ? host->ram_bytes - host->base_rss_bytes : 0;
        ld->warm_bytes = ld->total_src_bytes < room ? ld->total_src_bytes : room;
    }
    /* After the jobs: the producers' rate depends on whether they cast. */
    load_resolve_rates(ld);
    ld->consumer = (vs_process){.step = consumer_step, .name = "loader"};
    ld->dispatcher = (vs_process){.step = dispatcher_step, .name = "dispatcher"};
    ld->end = END_RUNNING;
    return true;
}

/* ---- starting ---------------------------------------------------------------------------------------- */

static void phase(loader *ld, const char *name)
{
    const vs_event event = {.time_ns = vs_engine_now(ld->engine),
                            .kind = VS_EV_PHASE,
                            .device = ld->gpu_device,
                            .block = VS_NO_BLOCK,
                            .name = vs_tape_name(ld->tape, name)};
    vs_tape_event(ld->tape, &event);
}

/* One allocation of everything, dropped at once: its segment stays cached [3]. False when it does not fit. */
static bool warm_up(loader *ld)
{
    vs_bytes free_bytes = 0;
    vs_bytes total_bytes = 0;
    vs_driver driver = vs_model_driver_calls(ld->driver);
    driver.mem_get_info(driver.ctx, &free_bytes, &total_bytes);
    const vs_bytes bytes = load_warmup_bytes(ld, free_bytes, total_bytes);
    static const char warmup_name[] = "caching_allocator_warmup";
    const uint32_t name = vs_tape_name(ld->tape, warmup_name);
    vs_block block = {0};
    if (bytes == 0) {
        return true;
    }
    if (load_alloc_uncounted(ld, bytes, VS_CAT_STAGING, name, &block) != VS_ALLOC_OK) {
        load_note_failure(ld, warmup_name, "warmup", false);
        load_surface(ld, warmup_name);
        load_finish(ld, END_OOM);
        return false;
    }
    ld->warmup_bytes = vs_pool_get_stats(ld->pool)->reserved_bytes[VS_STAT_ALL].current;
    load_free(ld, &block);
    return true;
}

void load_fail_context(loader *ld, vs_bytes others_bytes)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    load_note_failure(ld, "the CUDA context", "context", false);
    ld->failure.info = (vs_oom_info){.requested_bytes = gpu->context_bytes,
                                     .rounded_bytes = gpu->context_bytes,
                                     .attempted_bytes = gpu->context_bytes,
                                     .total_bytes = gpu->total_bytes,
                                     .free_bytes = gpu->total_bytes - others_bytes,
                                     .limit_bytes = VS_POOL_UNLIMITED};
    const vs_event event = {.kind = VS_EV_OOM,
                            .device = ld->gpu_device,
                            .block = VS_NO_BLOCK,
                            .name = vs_tape_name(ld->tape, "the CUDA context"),
                            .asked_bytes = gpu->context_bytes,
                            .size_bytes = gpu->context_bytes,
                            .extra = gpu->total_bytes - others_bytes};
    vs_tape_event(ld->tape, &event);
    load_surface(ld, "the CUDA context");
    load_finish(ld, END_OOM);
}

/* Registers the copying threads (in a shuffled order when a test asks for it: it must not matter) and the
 * dispatcher that gives them work. */
static bool start_workers(loader *ld)
{
    if (!ld->is_async) {
        return true;
    }
    for (uint32_t i = 0; i < ld->worker_count; i++) {
        const uint32_t index =
            ld->shuffle_seed == 0 ? i : (i + ld->shuffle_seed) % ld->worker_count;
        if (!vs_process_start(ld->engine, &ld->workers[index].process)) {
            return false;
        }
    }
    return vs_process_start(ld->engine, &ld->dispatcher);
}

bool load_start(loader *ld, vs_err *err)
{
    if (!host_take_anon(ld, ld->machine->host.base_rss_bytes)) {
        load_finish(ld, END_HOST_OOM);
        return true;
    }
    if (ld->warm_bytes > 0) {
        host_file_read(ld, ld->warm_bytes);
    }
    phase(ld, "warm-up");
    if (ld->has_warmup && !warm_up(ld)) {
        return true;
    }
    phase(ld, "load");
    const bool is_started = start_workers(ld) && vs_process_start(ld->engine, &ld->consumer);
    return is_started ? true : vs_fail_memory(err, ld->arena, "processes");
}
