/* consumer.c - the main thread: takes mappings in first-seen order, merges, quantises, sets [2.5].
 *
 *   [UNPACK] -> NEXT -> (wait for the sources | COPY them oneself) -> [DECODE..] -> [STACK.. -> CAT] -> [QUANTISE]
 *        -> set -> [EXPERTS] -> SETTLED -> NEXT ... -> FINISH -> DONE
 *
 * An allocation that fails inside a merge or the quantise step is caught by the loader, logged, and loading goes
 * on; the parameter stays missing and is allocated at the end all the same. One that fails in a copy or while
 * setting the parameter (axolotl's quantiser runs there) ends the load. */
#include "load.h"

load_mapping *consumer_mapping(loader *ld)
{
    return &ld->mappings[ld->mapping];
}

const load_param *consumer_param(loader *ld)
{
    return &ld->params[consumer_mapping(ld)->param];
}

load_job *consumer_job(loader *ld, uint32_t source)
{
    return &ld->jobs[ld->sources[consumer_mapping(ld)->first_source + source]];
}

void consumer_sleep(loader *ld, vs_ns delay, consume_state next)
{
    ld->consumer.state = (uint32_t)next;
    ld->op_start_ns = vs_engine_now(ld->engine);
    vs_process_sleep(ld->engine, &ld->consumer, delay);
}

void consumer_span(loader *ld, vs_category category, vs_bytes bytes)
{
    vs_tape_span(ld->tape, ld->lane_gpu, ld->op_start_ns, vs_engine_now(ld->engine), category,
                 consumer_mapping(ld)->name, bytes);
}

void consumer_free_sources(loader *ld)
{
    for (uint32_t i = 0; i < consumer_mapping(ld)->source_count; i++) {
        load_free(ld, &consumer_job(ld, i)->block);
    }
}

/* The parts of a merge: dequantised ones, or the sources as they were copied. */
static void free_parts(loader *ld)
{
    if (ld->decoding.output_count > 0) {
        decode_drop(ld);
        return;
    }
    consumer_free_sources(ld);
}

/* The time the driver took for this mapping's frees and allocations, then the next one. */
static void settle(loader *ld)
{
    consumer_sleep(ld, load_driver_time(ld), CONSUME_SETTLED);
}

/* ---- setting the parameter ----------------------------------------------------------- */

static void put_progress(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    ld->consumed_bytes += mapping->src_bytes;
    ld->mappings_done++;
    const vs_event event = {.time_ns = vs_engine_now(ld->engine),
                            .kind = VS_EV_PROGRESS,
                            .device = ld->gpu_device,
                            .block = VS_NO_BLOCK,
                            .name = mapping->name,
                            .size_bytes = ld->consumed_bytes};
    vs_tape_event(ld->tape, &event);
}

void consumer_done(loader *ld, vs_bytes loaded_bytes)
{
    ld->loaded_bytes += loaded_bytes;
    put_progress(ld);
    settle(ld);
}

static void set_unquantised(loader *ld)
{
    const load_param *param = consumer_param(ld);
    const bool is_tied = (param->target->flags & VS_TF_TIED) != 0;
    if (ld->result.id != 0) { /* a tensor without elements holds no memory */
        vs_pool_recategorise(ld->pool, vs_engine_now(ld->engine), ld->result,
                             load_param_category(ld, param));
    }
    if (is_tied) {
        consumer_mapping(ld)->tied = ld->result;
    }
    ld->result = (vs_block){0};
    consumer_done(ld, is_tied ? 0 : consumer_mapping(ld)->bytes);
}

/* ---- quantising ------------------------------------------------------------------------ */

/* Allocates what the plan wants at this point. False at the first that does not fit; what was taken stays. */
static bool quant_take(loader *ld, quant_when when)
{
    const load_mapping *mapping = consumer_mapping(ld);
    for (uint32_t i = 0; i < ld->quant.count; i++) {
        const quant_alloc *a = &ld->quant.allocs[i];
        if (a->when != when || a->bytes == 0) {
            continue;
        }
        const vs_category category = a->is_kept ? ld->quant.category : VS_CAT_ACT;
        if (load_alloc(ld, a->bytes, category, mapping->name, &ld->quant_blocks[i]) ==
            VS_ALLOC_OK) {
            continue;
        }
        return false;
    }
    return true;
}

static void quant_drop(loader *ld, bool only_transients)
{
    for (uint32_t i = 0; i < ld->quant.count; i++) {
        if (!only_transients || !ld->quant.allocs[i].is_kept) {
            load_free(ld, &ld->quant_blocks[i]);
        }
    }
}

static vs_ns quant_time(const loader *ld, vs_bytes source_bytes)
{
    const vs_host *host = &ld->machine->host;
    vs_ns time = load_time(source_bytes, ld->quantise_bps) + ld->machine->gpus[0].launch_ns;
    if (ld->quant.d2h_bytes > 0) {
        time += load_time(ld->quant.d2h_bytes, host->d2h_bps) + host->copy_latency_ns;
        time += load_time(ld->quant.h2d_bytes, host->h2d_pageable_bps) + host->copy_latency_ns;
    }
    return time;
}

/* Starts the quantiser on ld->result. False when the first allocations do not fit. */
static bool quant_start(loader *ld, vs_quant quant, consume_state then)
{
    const vs_target *target = consumer_param(ld)->target;
    const vs_dtype dtype = consumer_param(ld)->dtype;
    if (!(then == CONSUME_EXPERTS ? load_expert_plan(&ld->quant, quant, target, dtype)
                                  : load_quant_plan(&ld->quant, quant, target, dtype))) {
        return false;
    }
    for (uint32_t i = 0; i < QUANT_ALLOCS_MAX; i++) {
        ld->quant_blocks[i] = (vs_block){0};
    }
    if (!quant_take(ld, QUANT_BEFORE)) {
        return false;
    }
    if (!host_take_anon(ld, ld->quant.host_bytes)) {
        load_finish(ld, END_HOST_OOM);
        return true;
    }
    consumer_sleep(ld, load_driver_time(ld) + quant_time(ld, consumer_mapping(ld)->bytes),
                   then);
    return true;
}

/* The kernel has run: the rest of the outputs, then everything that was needed only for it goes. */
static bool quant_end(loader *ld)
{
    consumer_span(ld, ld->quant.category, consumer_mapping(ld)->bytes);
    host_give_anon(ld, ld->quant.host_bytes);
    if (!quant_take(ld, QUANT_AFTER)) {
        return false;
    }
    quant_drop(ld, true);
    load_free(ld, &ld->result);
    if (!quant_take(ld, QUANT_LATE)) {
        return false;
    }
    ld->loaded_bytes += ld->quant.kept_bytes;
    return true;
}

/* ---- failures ------------------------------------------------------------------------------ */

/* Inside an operation: caught; the parameter stays missing [2.5]. */
static void skip(loader *ld)
{
    quant_drop(ld, false);
    decode_drop(ld);
    load_free(ld, &ld->stacks[0]);
    load_free(ld, &ld->stacks[1]);
    load_free(ld, &ld->result);
    consumer_free_sources(ld);
    consumer_mapping(ld)->is_missing = true;
    settle(ld);
}

void consumer_swallow(loader *ld, const char *stage)
{
    load_note_failure(ld, load_mapping_name(ld, ld->mapping), stage, true);
    ld->swallowed++;
    skip(ld);
}

void consumer_misfit(loader *ld, uint32_t weight)
{
    if (ld->misfits.count == 0) {
        ld->misfits.mapping = ld->mapping;
        ld->misfits.weight = weight;
    }
    ld->misfits.count++;
    skip(ld);
}

/* While copying or setting: the exception goes through to the caller. */
static void fatal(loader *ld, const char *stage, const char *name)
{
    load_note_failure(ld, name, stage, false);
    load_surface(ld, load_mapping_name(ld, ld->mapping));
    load_finish(ld, END_OOM);
}

/* ---- merging [2.6] -------------------------------------------------------------------------- */

static vs_ns kernel_time(const loader *ld, vs_bytes bytes)
{
    /* Memory-bound: every byte is read once and written once. */
    return load_time(bytes, ld->copy_bw_bps) + load_time(bytes, ld->copy_bw_bps) +
           ld->machine->gpus[0].launch_ns;
}

static void start_cat(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    if (load_alloc(ld, mapping->bytes, VS_CAT_STAGING, mapping->name, &ld->result) !=
        VS_ALLOC_OK) {
        consumer_swallow(ld, "merge");
        return;
    }
    consumer_sleep(ld, load_driver_time(ld) + kernel_time(ld, mapping->bytes), CONSUME_CAT);
}

static void start_stack(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    const uint32_t parts = consumer_param(ld)->target->part_count;
    const vs_bytes part_bytes = mapping->bytes / parts;
    if (load_alloc(ld, part_bytes, VS_CAT_STAGING, mapping->name, &ld->stacks[ld->part]) !=
        VS_ALLOC_OK) {
        consumer_swallow(ld, "merge");
        return;
    }
    consumer_sleep(ld, load_driver_time(ld) + kernel_time(ld, part_bytes), CONSUME_STACK);
}

static void quantise_or_set(loader *ld);

static void stack_done(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    const uint32_t parts = consumer_param(ld)->target->part_count;
    consumer_span(ld, VS_CAT_STAGING, mapping->bytes / parts);
    ld->part++;
    if (ld->part < parts) {
        start_stack(ld);
        return;
    }
    free_parts(ld);
    if (consumer_param(ld)->merge != VS_MERGE_STACK_CAT) {
        ld->result = ld->stacks[0];
        ld->stacks[0] = (vs_block){0};
        quantise_or_set(ld);
        return;
    }
    start_cat(ld);
}

static void cat_done(loader *ld)
{
    consumer_span(ld, VS_CAT_STAGING, consumer_mapping(ld)->bytes);
    load_free(ld, &ld->stacks[0]);
    load_free(ld, &ld->stacks[1]);
    if (consumer_param(ld)->merge == VS_MERGE_CAT) {
        free_parts(ld);
    }
    quantise_or_set(ld);
}

/* ---- one mapping ------------------------------------------------------------------------------- */

/* ld->result holds the parameter in the load dtype. */
static void quantise_or_set(loader *ld)
{
    const vs_target *target = consumer_param(ld)->target;
    if (load_is_quantised(ld->scenario->quant, target)) {
        if (!quant_start(ld, ld->scenario->quant, CONSUME_QUANTISE)) {
            consumer_swallow(ld, "quantise");
        }
        return;
    }
    const vs_quant experts = load_expert_quant(ld->scenario, target);
    if (experts == VS_QUANT_NONE) {
        set_unquantised(ld);
        return;
    }
    if (!quant_start(ld, experts, CONSUME_EXPERTS)) {
        fatal(ld, "quantise", load_mapping_name(ld, ld->mapping));
    }
}

static void quantise_done(loader *ld)
{
    if (!quant_end(ld)) {
        consumer_swallow(ld, "quantise");
        return;
    }
    put_progress(ld);
    settle(ld);
}

static void experts_done(loader *ld)
{
    if (!quant_end(ld)) {
        fatal(ld, "quantise", load_mapping_name(ld, ld->mapping));
        return;
    }
    vs_pool_empty_cache(
        ld->pool, vs_engine_now(ld->engine)); /* the patch does so once per parameter [7] */
    put_progress(ld);
    settle(ld);
}

void consumer_merge(loader *ld)
{
    switch ((vs_merge)consumer_param(ld)->merge) {
    case VS_MERGE_NONE: quantise_or_set(ld); return;
    case VS_MERGE_CAT: start_cat(ld); return;
    case VS_MERGE_STACK:
    case VS_MERGE_STACK_CAT: break;
    }
    ld->part = 0;
    start_stack(ld);
}

static void sources_ready(loader *ld)
{
    for (uint32_t i = 0; i < consumer_mapping(ld)->source_count; i++) {
        consumer_job(ld, i)->state = JOB_TAKEN;
    }
    const load_param *param = consumer_param(ld);
    if (param->decode == DECODE_NONE && param->merge == VS_MERGE_NONE) {
        ld->result = consumer_job(ld, 0)->block;
        consumer_job(ld, 0)->block = (vs_block){0};
    }
    decode_begin(ld);
}

static void copy_next_source(loader *ld)
{
    copy_worker *w = &ld->workers[0];
    if (ld->source == consumer_mapping(ld)->source_count) {
        sources_ready(ld);
        return;
    }
    const uint32_t job = ld->sources[consumer_mapping(ld)->first_source + ld->source];
    ld->jobs[job].state = JOB_RUNNING;
    ld->consumer.state = CONSUME_COPY;
    switch (copy_begin(w, job)) {
    case COPY_BUSY:
    case COPY_OK: return;
    case COPY_HOST_OOM: load_finish(ld, END_HOST_OOM); return;
    case COPY_OOM: fatal(ld, "copy", load_job_name(ld, job)); return;
    }
}

static void copy_done(loader *ld)
{
    if (copy_step(&ld->workers[0]) == COPY_BUSY) {
        return;
    }
    ld->jobs[ld->sources[consumer_mapping(ld)->first_source + ld->source]].state = JOB_READY;
    ld->source++;
    copy_next_source(ld);
}

/* Prefetched: the futures are waited for in order, so a failed one surfaces after those before it. */
static void wait_for_sources(loader *ld)
{
    while (ld->source < consumer_mapping(ld)->source_count) {
        const uint8_t state = consumer_job(ld, ld->source)->state;
        if (state == JOB_FAILED) {
            load_surface(ld, load_mapping_name(ld, ld->mapping));
            load_finish(ld, END_OOM);
            return;
        }
        if (state != JOB_READY) {
            ld->consumer.state = CONSUME_WAIT;
            vs_gate_wait(ld->engine, &ld->ready, &ld->consumer);
            return;
        }
        ld->source++;
    }
    sources_ready(ld);
}

static void next_mapping(loader *ld)
{
    if (ld->mapping == ld->mapping_count) {
        consumer_sleep(ld, 0, CONSUME_FINISH);
        return;
    }
    ld->source = 0;
    if (!ld->is_async) {
        copy_next_source(ld);
        return;
    }
    wait_for_sources(ld);
}

/* ---- the end [2.1 step 9, 2.5] -------------------------------------------------------------------- */

/* A parameter without a value, or a buffer that no checkpoint holds: `empty_like` on the card. False when it does
 * not fit: that exception goes through to the caller. */
static bool materialise(loader *ld, const load_param *param)
{
    const vs_target *target = param->target;
    const bool is_buffer = (target->flags & VS_TF_NON_PERSISTENT) != 0;
    const uint32_t name = vs_tape_name(ld->tape, target->name);
    const vs_bytes bytes = load_missing_bytes(param);
    const vs_category category = load_weight_category(param->meta_dtype);
    vs_block block = {0}; /* the model's from now on */
    const vs_alloc_result got = is_buffer
                                    ? load_alloc_uncounted(ld, bytes, category, name, &block)
                                    : load_alloc(ld, bytes, category, name, &block);
    if (got != VS_ALLOC_OK) {
        load_note_failure(ld, target->name, "finalise", false);
        load_surface(ld, target->name);
        load_finish(ld, END_OOM);
        return false;
    }
    ld->loaded_bytes += load_is_absent(target) ? bytes : 0;
    return true;
}

/* First the parameters: those whose operation failed, those the checkpoint lacks; then the buffers. */
static bool materialise_all(loader *ld)
{
    const load_param *params = ld->params;
    for (uint32_t i = 0; i < ld->mapping_count; i++) {
        if (ld->mappings[i].is_missing && !materialise(ld, &params[ld->mappings[i].param])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ld->param_count; i++) {
        if (load_is_absent(params[i].target) && !materialise(ld, &params[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ld->param_count; i++) {
        const bool is_buffer = (params[i].target->flags & VS_TF_NON_PERSISTENT) != 0;
        if (is_buffer && !materialise(ld, &params[i])) {
            return false;
        }
    }
    return true;
}

/* What a load that came to its end ends as. */
static load_end final_end(loader *ld)
{
    if (ld->swallowed > 0) {
        /* The loader reports the conversion errors it caught and raises. */
        ld->failure.is_reported = true;
        load_surface(ld, ld->failure.name);
        return END_OOM;
    }
    if (ld->misfits.count > 0) {
        return END_FAILED;
    }
    return ld->on_host > 0 ? END_OOM : END_LOADED;
}

static void finish(loader *ld)
{
    if (!materialise_all(ld)) {
        return;
    }
    for (uint32_t i = 0; i < ld->mapping_count; i++) {
        load_free(ld, &ld->mappings[i].tied);
    }
    const load_end end = final_end(ld);
    /* quantizer_mxfp4.py, _process_model_after_weight_loading: whether it was dequantised or not */
    if (ld->model->quant.format == VS_QF_MXFP4 && ld->swallowed == 0) {
        vs_pool_empty_cache(ld->pool, vs_engine_now(ld->engine));
    }
    load_finish(ld, end);
}

void consumer_unpacked(loader *ld)
{
    if (load_go_on(ld)) {
        next_mapping(ld);
    }
}

void consumer_step(vs_engine *engine, vs_process *process)
{
    (void)engine;
    loader *ld = (loader *)(void *)((char *)process - offsetof(loader, consumer));
    switch ((consume_state)process->state) {
    case CONSUME_UNPACK: unpack_step(ld); break;
    case CONSUME_START: next_mapping(ld); break;
    case CONSUME_WAIT: wait_for_sources(ld); break;
    case CONSUME_COPY: copy_done(ld); break;
    case CONSUME_STACK: stack_done(ld); break;
    case CONSUME_CAT: cat_done(ld); break;
    case CONSUME_DECODE: decode_step(ld); break;
    case CONSUME_QUANTISE: quantise_done(ld); break;
    case CONSUME_EXPERTS: experts_done(ld); break;
    case CONSUME_SETTLED:
        ld->mapping++;
        next_mapping(ld);
        break;
    case CONSUME_FINISH: finish(ld); break;
    case CONSUME_DONE: break;
    }
}
