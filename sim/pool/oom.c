/* pool/oom.c - what is known when nothing helps, and PyTorch's way of saying it.
 *
 * Figures and their order: specs/torch-caching-allocator.md [8]. The figures are taken after the cache
 * was emptied, so "reserved but unallocated" is what is stuck in partly used segments. */
#include "sim/pool/pool_internal.h"

/* ---- figures [8.1] -------------------------------------------------------------------- */

/* Block events: ALLOC, FREE, RECAT. A FREE or RECAT carries no name, its block has one. */
void vsp_tape_block(vs_pool *pool, vs_event_kind kind, const pool_block *block, uint32_t name)
{
    const vs_event event = {.time_ns = pool->now,
                            .size_bytes = block->size_bytes,
                            .asked_bytes = block->used.asked_bytes,
                            .addr = block->addr,
                            .block = block->used.tape_block,
                            .name = name,
                            .stream = (uint32_t)pool->homes[block->home]->stream,
                            .kind = (uint8_t)kind,
                            .device = pool->device,
                            .category = block->category};
    vs_tape_event(pool->tape, &event);
}

static void tape_oom(const vs_pool *pool, const vs_pool_request *request)
{
    if (pool->tape == NULL) {
        return;
    }
    const vs_event event = {.time_ns = pool->now,
                            .size_bytes = pool->oom.attempted_bytes,
                            .asked_bytes = request->size_bytes,
                            .extra = pool->oom.free_bytes,
                            .block = VS_NO_BLOCK,
                            .name = request->name,
                            .stream = (uint32_t)request->stream,
                            .kind = VS_EV_OOM,
                            .device = pool->device,
                            .category = (uint8_t)request->category};
    vs_tape_event(pool->tape, &event);
}

vs_alloc_result vsp_report_failure(vs_pool *pool, const vs_pool_request *request)
{
    if (pool->is_exhausted) {
        return VS_ALLOC_EXHAUSTED;
    }
    vs_oom_info *oom = &pool->oom;
    const uint64_t rounded_bytes = vsp_round(pool, request->size_bytes);
    *oom = (vs_oom_info){.requested_bytes = request->size_bytes,
                         .rounded_bytes = rounded_bytes,
                         .attempted_bytes = vsp_segment_bytes(pool, rounded_bytes),
                         .limit_bytes = pool->limit_bytes,
                         .allocated_bytes = pool->counts[VS_STAT_ALL].allocated_bytes.current,
                         .reserved_bytes = pool->counts[VS_STAT_ALL].reserved_bytes.current};
    pool->driver.mem_get_info(pool->driver.ctx, &oom->free_bytes, &oom->total_bytes);
    tape_oom(pool, request);
    pool->num_ooms++;
    return VS_ALLOC_OOM;
}

/* [1.1] 2^60 bytes or more: refused before anything is looked at, no statistic changes and the message
 * has no figures. The tape still gets its event: it is the record of the run. */
void vsp_report_refusal(vs_pool *pool, const vs_pool_request *request)
{
    pool->oom =
        (vs_oom_info){.requested_bytes = request->size_bytes, .limit_bytes = pool->limit_bytes};
    tape_oom(pool, request);
}

vs_oom_info vs_pool_oom_info(const vs_pool *pool)
{
    return pool->oom;
}

/* ---- message [8.2] ------------------------------------------------------------------------ */

/* 2.0: one bracket, then a hint. */
static const char *old_message(vs_arena *arena, const vs_oom_info *info, uint32_t gpu_index)
{
    char tried[VS_TEXT_BYTES];
    char total[VS_TEXT_BYTES];
    char allocated[VS_TEXT_BYTES];
    char free_now[VS_TEXT_BYTES];
    char limit[VS_TEXT_BYTES];
    char reserved[VS_TEXT_BYTES];
    const bool has_limit = info->limit_bytes != VS_POOL_UNLIMITED;
    return vs_arena_printf(
        arena,
        "CUDA out of memory. Tried to allocate %s (GPU %" PRIu32
        "; %s total capacity; %s already allocated; %s free; %s%s%s reserved in total by "
        "PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to "
        "avoid fragmentation.  See documentation for Memory Management and "
        "PYTORCH_CUDA_ALLOC_CONF",
        vs_format_torch_size(info->attempted_bytes, tried), gpu_index,
        vs_format_torch_size(info->total_bytes, total),
        vs_format_torch_size(info->allocated_bytes, allocated),
        vs_format_torch_size(info->free_bytes, free_now),
        has_limit ? vs_format_torch_size(info->limit_bytes, limit) : "",
        has_limit ? " allowed; " : "", vs_format_torch_size(info->reserved_bytes, reserved));
}

/* The hint's wording over the releases. 2.1 still proposed max_split_size_mb (pytorch/pytorch issue
 * 111363). Later: the name of the variable as [8.2] has it; the link to the environment
 * variables gave way to the section on the allocator, in 2.9 as far as can be told. */
static const char *hint_for(vs_torch_version torch)
{
    if (torch == TORCH_2_1) {
        return "If reserved but unallocated memory is large try setting max_split_size_mb to "
               "avoid fragmentation.  See documentation for Memory Management and "
               "PYTORCH_CUDA_ALLOC_CONF";
    }
    if (torch < 209) {
        return "If reserved but unallocated memory is large try setting "
               "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
               "documentation for Memory Management  "
               "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)";
    }
    if (torch <= TORCH_2_10) {
        return "If reserved but unallocated memory is large try setting "
               "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
               "documentation for Memory Management  "
               "(https://pytorch.org/docs/stable/notes/"
               "cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)";
    }
    return "If reserved but unallocated memory is large try setting "
           "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
           "documentation for Memory Management  "
           "(https://pytorch.org/docs/stable/notes/"
           "cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)";
}

static const char *new_message(vs_arena *arena, const vs_oom_info *info, vs_torch_version torch,
                               uint32_t gpu_index, vs_bytes process_bytes)
{
    char tried[VS_TEXT_BYTES];
    char total[VS_TEXT_BYTES];
    char free_now[VS_TEXT_BYTES];
    char process[VS_TEXT_BYTES];
    char limit[VS_TEXT_BYTES];
    char allocated[VS_TEXT_BYTES];
    char stuck[VS_TEXT_BYTES];
    /* "allowed" was computed but not printed in the 2.4 text and is back in later ones [8.2]; the
     * release in between is not established, 2.5 is our choice. */
    const bool has_limit = info->limit_bytes != VS_POOL_UNLIMITED && torch >= TORCH_2_5;
    const bool has_process = process_bytes != 0;
    return vs_arena_printf(
        arena,
        "CUDA out of memory. Tried to allocate %s. GPU %" PRIu32 " has a total %s of %s of "
        "which %s is free. %s%s%s%s%sOf the allocated memory %s is allocated by PyTorch, and "
        "%s is reserved by PyTorch but unallocated. %s",
        vs_format_torch_size(info->attempted_bytes, tried), gpu_index,
        torch == TORCH_2_1 ? "capacty" : "capacity", /* sic, issue 111363 */
        vs_format_torch_size(info->total_bytes, total),
        vs_format_torch_size(info->free_bytes, free_now),
        has_process ? "Including non-PyTorch memory, this process has " : "",
        has_process ? vs_format_torch_size(process_bytes, process) : "",
        has_process ? " memory in use. " : "",
        has_limit ? vs_format_torch_size(info->limit_bytes, limit) : "",
        has_limit ? " allowed; " : "", vs_format_torch_size(info->allocated_bytes, allocated),
        vs_format_torch_size(info->reserved_bytes - info->allocated_bytes, stuck),
        hint_for(torch));
}

const char *vs_oom_message(vs_arena *arena, const vs_oom_info *info, vs_torch_version torch,
                           uint32_t gpu_index, vs_bytes process_bytes)
{
    if (info->requested_bytes >= REFUSED_REQUEST_BYTES) {
        return vs_arena_printf(arena, "CUDA out of memory. Tried to allocate more than 1EB "
                                      "memory.");
    }
    const vs_torch_version release = torch == 0 ? VS_TORCH_NEWEST : torch;
    return release < TORCH_2_1 ? old_message(arena, info, gpu_index)
                               : new_message(arena, info, release, gpu_index, process_bytes);
}
