/* consumer.c - the main thread: takes mappings in first-seen order, merges, quantises, sets [2.5].
 *
 *   NEXT -> (wait for the sources | COPY them oneself) -> [STACK.. -> CAT] -> [QUANTISE] -> set
 *        -> [EXPERTS] -> SETTLED -> NEXT ... -> FINISH -> DONE
 *
 * An allocation that fails inside a merge or the quantise step is caught by the loader, logged, and loading goes
 * on; the parameter stays missing and is allocated at the end all the same. One that fails in a copy or while
 * setting the parameter (axolotl's quantiser runs there) ends the load. */
#include "load.h"

static load_mapping *current(loader *ld)
{
    return &ld->mappings[ld->mapping];
}

static const vs_target *current_target(loader *ld)
{
    return &ld->model->targets[current(ld)->target];
}

static load_job *source_job(loader *ld, uint32_t index)
{
    return &ld->jobs[ld->sources[current(ld)->first_source + index]];
}

static void sleep_for(loader *ld, vs_ns delay, consume_state next)
{
    ld->consumer.state = (uint32_t)next;
    ld->op_start_ns = vs_engine_now(ld->engine);
    vs_process_sleep(ld->engine, &ld->consumer, delay);
}

static void gpu_span(loader *ld, vs_category category, vs_bytes bytes)
{
    vs_tape_span(ld->tape, ld->lane_gpu, ld->op_start_ns, vs_engine_now(ld->engine), category,
                 current(ld)->name, bytes);
}

static void free_sources(loader *ld)
{
    for (uint32_t i = 0; i < current(ld)->source_count; i++) {
        load_free(ld, &source_job(ld, i)->block);
    }
}

/* The time the driver took for this mapping's frees and allocations, then the next one. */
static void settle(loader *ld)
{
    sleep_for(ld, load_driver_time(ld), CONSUME_SETTLED);
}

/* ---- setting the parameter ----------------------------------------------------------- */

static void put_progress(loader *ld)
{
    const load_mapping *mapping = current(ld);
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

static void set_unquantised(loader *ld)
{
    const vs_target *target = current_target(ld);
    if (ld->result.id != 0) { /* a tensor without elements holds no memory */
        vs_pool_recategorise(ld->pool, vs_engine_now(ld->engine), ld->result,
                             load_weight_category(load_target_dtype(ld, target)));
    }
    if ((target->flags & VS_TF_TIED) != 0) {
        current(ld)->tied = ld->result;
    } else {
        ld->loaded_bytes += current(ld)->bytes;
    }
    ld->result = (vs_block){0};
    put_progress(ld);
    settle(ld);
}

/* ---- quantising ------------------------------------------------------------------------ */

/* Allocates what the plan wants at this point. False at the first that does not fit; what was taken stays. */
static bool quant_take(loader *ld, quant_when when)
{
    const load_mapping *mapping = current(ld);
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
    const vs_target *target = current_target(ld);
    const vs_dtype dtype = load_target_dtype(ld, target);
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
    sleep_for(ld, load_driver_time(ld) + quant_time(ld, current(ld)->bytes), then);
    return true;
}

/* The kernel has run: the rest of the outputs, then everything that was needed only for it goes. */
static bool quant_end(loader *ld)
{
    gpu_span(ld, ld->quant.category, current(ld)->bytes);
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
static void swallow(loader *ld, const char *stage)
{
    load_note_failure(ld, load_mapping_name(ld, ld->mapping), stage, true);
    quant_drop(ld, false);
    load_free(ld, &ld->stacks[0]);
    load_free(ld, &ld->stacks[1]);
    load_free(ld, &ld->result);
    free_sources(ld);
    current(ld)->is_missing = true;
    settle(ld);
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

static void start_stack(loader *ld)
{
    const load_mapping *mapping = current(ld);
    const uint32_t parts = current_target(ld)->part_count;
    const vs_bytes part_bytes = mapping->bytes / parts;
    if (load_alloc(ld, part_bytes, VS_CAT_STAGING, mapping->name, &ld->stacks[ld->part]) !=
        VS_ALLOC_OK) {
        swallow(ld, "merge");
        return;
    }
    sleep_for(ld, load_driver_time(ld) + kernel_time(ld, part_bytes), CONSUME_STACK);
}

static void quantise_or_set(loader *ld);

static void stack_done(loader *ld)
{
    const load_mapping *mapping = current(ld);
    const uint32_t parts = current_target(ld)->part_count;
    gpu_span(ld, VS_CAT_STAGING, mapping->bytes / parts);
    ld->part++;
    if (ld->part < parts) {
        start_stack(ld);
        return;
    }
    free_sources(ld);
    if (current_target(ld)->merge != VS_MERGE_STACK_CAT) {
        ld->result = ld->stacks[0];
        ld->stacks[0] = (vs_block){0};
        quantise_or_set(ld);
        return;
    }
    if (load_alloc(ld, mapping->bytes, VS_CAT_STAGING, mapping->name, &ld->result) !=
        VS_ALLOC_OK) {
        swallow(ld, "merge");
        return;
    }
    sleep_for(ld, load_driver_time(ld) + kernel_time(ld, mapping->bytes), CONSUME_CAT);
}

static void cat_done(loader *ld)
{
    gpu_span(ld, VS_CAT_STAGING, current(ld)->bytes);
    load_free(ld, &ld->stacks[0]);
    load_free(ld, &ld->stacks[1]);
    quantise_or_set(ld);
}

/* ---- one mapping ------------------------------------------------------------------------------- */

/* ld->result holds the parameter in the load dtype. */
static void quantise_or_set(loader *ld)
{
    const vs_target *target = current_target(ld);
    if (load_is_quantised(ld->scenario->quant, target)) {
        if (!quant_start(ld, ld->scenario->quant, CONSUME_QUANTISE)) {
            swallow(ld, "quantise");
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
        swallow(ld, "quantise");
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

static void sources_ready(loader *ld)
{
    for (uint32_t i = 0; i < current(ld)->source_count; i++) {
        source_job(ld, i)->state = JOB_TAKEN;
    }
    if (current_target(ld)->merge == VS_MERGE_NONE) {
        ld->result = source_job(ld, 0)->block;
        source_job(ld, 0)->block = (vs_block){0};
        quantise_or_set(ld);
        return;
    }
    ld->part = 0;
    start_stack(ld);
}

static void copy_next_source(loader *ld)
{
    copy_worker *w = &ld->workers[0];
    if (ld->source == current(ld)->source_count) {
        sources_ready(ld);
        return;
    }
    const uint32_t job = ld->sources[current(ld)->first_source + ld->source];
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
    ld->jobs[ld->sources[current(ld)->first_source + ld->source]].state = JOB_READY;
    ld->source++;
    copy_next_source(ld);
}

/* Prefetched: the futures are waited for in order, so a failed one surfaces after those before it. */
static void wait_for_sources(loader *ld)
{
    while (ld->source < current(ld)->source_count) {
        const uint8_t state = source_job(ld, ld->source)->state;
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
        sleep_for(ld, 0, CONSUME_FINISH);
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
static bool materialise(loader *ld, const vs_target *target)
{
    const vs_dtype dtype = load_target_dtype(ld, target);
    const bool is_buffer = (target->flags & VS_TF_NON_PERSISTENT) != 0;
    const uint32_t name = vs_tape_name(ld->tape, target->name);
    vs_block block = {0}; /* the model's from now on */
    vs_bytes bytes = 0;
    if (!vs_dtype_bytes(dtype, target->elements, &bytes)) {
        bytes = UINT64_MAX / 2; /* no card holds it */
    }
    const vs_category category = load_weight_category(dtype);
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
    const vs_target *targets = ld->model->targets;
    for (uint32_t i = 0; i < ld->mapping_count; i++) {
        if (ld->mappings[i].is_missing && !materialise(ld, &targets[ld->mappings[i].target])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ld->model->target_count; i++) {
        if (load_is_absent(&targets[i]) && !materialise(ld, &targets[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ld->model->target_count; i++) {
        const bool is_buffer = (targets[i].flags & VS_TF_NON_PERSISTENT) != 0;
        if (is_buffer && !materialise(ld, &targets[i])) {
            return false;
        }
    }
    return true;
}

static void finish(loader *ld)
{
    if (!materialise_all(ld)) {
        return;
    }
    for (uint32_t i = 0; i < ld->mapping_count; i++) {
        load_free(ld, &ld->mappings[i].tied);
    }
    if (ld->failure.has_failed) {
        /* The loader reports the conversion errors it caught and raises. */
        ld->failure.is_reported = true;
        load_surface(ld, ld->failure.name);
        load_finish(ld, END_OOM);
        return;
    }
    load_finish(ld, END_LOADED);
}

void consumer_step(vs_engine *engine, vs_process *process)
{
    (void)engine;
    loader *ld = (loader *)(void *)((char *)process - offsetof(loader, consumer));
    switch ((consume_state)process->state) {
    case CONSUME_NEXT: next_mapping(ld); break;
    case CONSUME_WAIT: wait_for_sources(ld); break;
    case CONSUME_COPY: copy_done(ld); break;
    case CONSUME_STACK: stack_done(ld); break;
    case CONSUME_CAT: cat_done(ld); break;
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
