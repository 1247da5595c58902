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
    return ld->params[ld->mappings[mapping].param].target->name;
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

/* Two tensors that were put together in host memory are one job, that of the first. */
static bool is_joined(const load_param *param)
{
    return param->target->merge == VS_MERGE_CAT && param->merge == VS_MERGE_NONE;
}

/* A job of one tensor. */
static bool size_job(const loader *ld, const load_param *param, const vs_tensor *tensor,
                     vs_dtype dtype, load_job *job)
{
    const vs_bytes host_bytes = unpack_host_bytes(ld, param, tensor);
    job->is_in_ram = host_bytes > 0;
    job->src_bytes = job->is_in_ram ? host_bytes : tensor->size_bytes;
    return vs_dtype_bytes(dtype, tensor->elements, &job->dst_bytes);
}

static bool size_joined_job(const loader *ld, const load_param *param, load_job *job)
{
    for (uint32_t i = 0; i < param->target->source_count; i++) {
        const uint32_t index = param->sources[i];
        load_job part = {0};
        if (!size_job(ld, param, &ld->model->tensors[index], load_job_dtype(ld, param, index),
                      &part) ||
            !vs_add_u64(job->dst_bytes, part.dst_bytes, &job->dst_bytes) ||
            !vs_add_u64(job->src_bytes, part.src_bytes, &job->src_bytes)) {
            return false;
        }
        job->is_in_ram = part.is_in_ram;
    }
    return true;
}

static bool fill_job(loader *ld, uint32_t tensor_index, const load_param *param, load_job *job,
                     vs_err *err)
{
    const vs_tensor *tensor = &ld->model->tensors[tensor_index];
    const vs_dtype dtype = load_job_dtype(ld, param, tensor_index);
    *job = (load_job){.tensor = tensor_index,
                      .mapping = UINT32_MAX,
                      .name = vs_tape_new_name(ld->tape, tensor->name),
                      .is_dropped = load_is_host_only(param, tensor)};
    const bool is_fine = is_joined(param) ? size_joined_job(ld, param, job)
                                          : size_job(ld, param, tensor, dtype, job);
    job->needs_cast =
        dtype != (job->is_in_ram ? unpack_host_dtype(ld, param, tensor) : tensor->dtype);
    ld->has_casts |= job->needs_cast;
    if (!is_fine || !vs_add_u64(ld->total_src_bytes, job->src_bytes, &ld->total_src_bytes)) {
        return vs_fail(err, VS_ERR_VALUE, "tensor %s: its size overflows 64 bits",
                       tensor->name);
    }
    return true;
}

/* Which parameter each tensor is for, UINT32_MAX: none, so it is never read. */
static bool place_tensors(loader *ld, uint32_t *param_of_tensor, uint32_t *source_count,
                          vs_err *err)
{
    *source_count = 0;
    memset(param_of_tensor, 0xff, ld->model->tensor_count * sizeof *param_of_tensor);
    for (uint32_t i = 0; i < ld->param_count; i++) {
        const load_param *param = &ld->params[i];
        const uint32_t count = is_joined(param) ? 1 : param->target->source_count;
        for (uint32_t s = 0; s < count; s++) {
            param_of_tensor[param->sources[s]] = i;
        }
        if (count > UINT32_MAX - *source_count) {
            return vs_fail(err, VS_ERR_LIMIT, "more than 2^32 sources");
        }
        *source_count += count;
    }
    return true;
}

/* In key order. The array comes back with each tensor's job instead of its parameter. */
static bool build_jobs(loader *ld, uint32_t *job_of_tensor, uint32_t *param_of_job, vs_err *err)
{
    const vs_model *model = ld->model;
    ld->jobs = VS_RAW_ARRAY(ld->arena, load_job, model->tensor_count);
    if (ld->jobs == NULL) {
        return vs_fail_memory(err, ld->arena, "copy jobs");
    }
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const uint32_t param = job_of_tensor[i];
        job_of_tensor[i] = NO_JOB;
        if (param == UINT32_MAX) {
            continue; /* unexpected: skipped, never read */
        }
        if (!fill_job(ld, i, &ld->params[param], &ld->jobs[ld->job_count], err)) {
            return false;
        }
        param_of_job[ld->job_count] = param;
        job_of_tensor[i] = ld->job_count++;
    }
    return true;
}

/* Whether the sources stand for a weight of another size than theirs. */
static bool is_dequantised(const load_param *param)
{
    return param->decode == DECODE_FP8 || param->decode == DECODE_MXFP4;
}

/* Most parameters are called what their tensor is called. */
static uint32_t mapping_name(const loader *ld, const vs_target *target, const load_job *first)
{
    const char *tensor_name = ld->model->tensors[first->tensor].name;
    const bool is_same = strcmp(target->name, tensor_name) == 0;
    return is_same ? first->name : vs_tape_name(ld->tape, target->name);
}

static bool fill_mapping(loader *ld, uint32_t param_index, const uint32_t *job_of_tensor,
                         uint32_t *source_count, vs_err *err)
{
    const load_param *param = &ld->params[param_index];
    const uint32_t count = is_joined(param) ? 1 : param->target->source_count;
    load_mapping *mapping = &ld->mappings[ld->mapping_count];
    *mapping = (load_mapping){.param = param_index,
                              .first_source = *source_count,
                              .source_count = count,
                              .pending = count,
                              .failed_job = NO_JOB};
    /* What the sources become: themselves, one tensor as large as they are, or the weight they stand for. */
    vs_bytes bytes = param->has_offset ? 4 : 0;
    const bool sums_up = !is_dequantised(param);
    bool is_fine = sums_up || vs_dtype_bytes(param->dtype, param->target->elements, &bytes);
    for (uint32_t s = 0; s < count; s++) {
        const uint32_t index = job_of_tensor[param->sources[s]];
        vs_assert(index != NO_JOB);
        load_job *job = &ld->jobs[index];
        ld->sources[(*source_count)++] = index;
        job->mapping = ld->mapping_count;
        mapping->src_bytes += job->src_bytes; /* bounded by total_src_bytes */
        if (sums_up && !job->is_dropped) {
            is_fine = vs_add_u64(bytes, job->dst_bytes, &bytes) && is_fine;
        }
    }
    mapping->bytes = bytes;
    mapping->name =
        mapping_name(ld, param->target, &ld->jobs[ld->sources[mapping->first_source]]);
    if (!is_fine) {
        return vs_fail(err, VS_ERR_VALUE, "parameter %s: its size overflows 64 bits",
                       param->target->name);
    }
    if (param->decode == DECODE_FP8 && count > ld->decoding.output_room) {
        ld->decoding.output_room = count;
    }
    ld->mapping_count++;
    return true;
}

/* First-seen order: a mapping is created by the first of its keys. */
static bool build_mappings(loader *ld, const uint32_t *job_of_tensor,
                           const uint32_t *param_of_job, uint32_t source_room, vs_err *err)
{
    ld->mappings = VS_RAW_ARRAY(ld->arena, load_mapping, ld->param_count);
    ld->sources = VS_RAW_ARRAY(ld->arena, uint32_t, source_room);
    if (ld->mappings == NULL || ld->sources == NULL) {
        return vs_fail_memory(err, ld->arena, "mappings");
    }
    uint32_t source_count = 0;
    for (uint32_t j = 0; j < ld->job_count; j++) {
        if (ld->jobs[j].mapping == UINT32_MAX &&
            !fill_mapping(ld, param_of_job[j], job_of_tensor, &source_count, err)) {
            return false;
        }
    }
    ld->decoding.outputs = VS_ARRAY(ld->arena, vs_block, ld->decoding.output_room);
    return ld->decoding.outputs != NULL || vs_fail_memory(err, ld->arena, "mappings");
}

static bool build_work(loader *ld, vs_err *err)
{
    uint32_t source_count = 0;
    uint32_t *of_tensor = VS_RAW_ARRAY(ld->arena, uint32_t, ld->model->tensor_count);
    uint32_t *param_of_job = VS_RAW_ARRAY(ld->arena, uint32_t, ld->model->tensor_count);
    if (of_tensor == NULL || param_of_job == NULL) {
        return vs_fail_memory(err, ld->arena, "copy jobs");
    }
    return load_build_params(ld, err) && unpack_setup(ld, err) &&
           place_tensors(ld, of_tensor, &source_count, err) &&
           build_jobs(ld, of_tensor, param_of_job, err) &&
           build_mappings(ld, of_tensor, param_of_job, source_count, err);
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
    if (!build_work(ld, err) || !make_links(ld, err) || !make_workers(ld, err)) {
        return false;
    }
    if (ld->scenario->cache == VS_CACHE_WARM) {
        const vs_host *host = &ld->machine->host;
        const vs_bytes files = unpack_file_bytes(ld);
        const vs_bytes room =
            host->ram_bytes > host->base_rss_bytes ? host->ram_bytes - host->base_rss_bytes : 0;
        ld->warm_bytes = files < room ? files : room;
    }
    /* After the jobs: the producers' rate depends on whether they cast. */
    load_resolve_rates(ld);
    ld->consumer = (vs_process){.step = consumer_step, .name = "loader"};
    ld->dispatcher = (vs_process){.step = dispatcher_step, .name = "dispatcher"};
    ld->end = END_RUNNING;
    return true;
}

/* ---- starting ---------------------------------------------------------------------------------------- */

void load_phase(loader *ld, const char *name)
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

static bool start_consumer(loader *ld, consume_state state, vs_err *err)
{
    ld->consumer.state = (uint32_t)state;
    return vs_process_start(ld->engine, &ld->consumer) ||
           vs_fail_memory(err, ld->arena, "processes");
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
    if (unpack_comes_first(ld)) {
        load_phase(ld, "unpack");
        return start_consumer(ld, CONSUME_UNPACK, err);
    }
    load_phase(ld, "warm-up");
    if (ld->has_warmup && !warm_up(ld)) {
        return true;
    }
    if (ld->unpack.count > 0) {
        load_phase(ld, "unpack");
        return start_consumer(ld, CONSUME_UNPACK, err);
    }
    load_phase(ld, "load");
    return start_workers(ld) ? start_consumer(ld, CONSUME_START, err)
                             : vs_fail_memory(err, ld->arena, "processes");
}

/* The files are in host memory. */
bool load_go_on(loader *ld)
{
    if (unpack_comes_first(ld)) {
        load_phase(ld, "warm-up");
        if (ld->has_warmup && !warm_up(ld)) {
            return false;
        }
    }
    load_phase(ld, "load");
    if (!start_workers(ld)) {
        ld->is_exhausted = true;
        load_finish(ld, END_LOADED);
        return false;
    }
    return true;
}
