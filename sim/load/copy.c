/* copy.c - one thread copying checkpoint tensors to the device, one at a time [2.7].
 *
 *   begin   destination allocated in the load dtype (may be out of memory), then
 *   READ    same dtype: the copy itself faults the file's pages in, so disk and link work at once;
 *           other dtype: the cast on the CPU faults them in, into a host temporary
 *   SEND    the temporary goes over the link and is freed
 *
 * A job whose pages are in the page cache needs no disk. Driver calls made by the allocator for this job are
 * paid for before the bytes move. */
#include "load.h"

static void wake_owner(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    copy_worker *w = ctx;
    /* A sequential load has one copying thread and it is the consumer. */
    vs_process_wake_last(engine, w->owner->is_async ? &w->process : &w->owner->consumer);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The disk (if cold) and the link, or only what the phase needs. */
static copy_result start_flow(copy_worker *w, vs_bytes bytes, bool over_disk, bool over_link,
                              uint64_t cap_bps, vs_ns latency_ns)
{
    loader *ld = w->owner;
    vs_flow_desc flow = {.cap_bps = cap_bps,
                         .size_bytes = bytes,
                         .latency_ns = latency_ns,
                         .on_done = wake_owner,
                         .ctx = w};
    if (over_disk) {
        flow.links[flow.link_count++] = ld->disk_link;
    }
    if (over_link) {
        flow.links[flow.link_count++] = ld->h2d_link;
    }
    w->phase_start_ns = vs_engine_now(ld->engine);
    if (vs_flow_start(ld->engine, &flow).id == 0) {
        ld->is_exhausted = true;
        load_finish(ld, END_LOADED);
    }
    return COPY_BUSY;
}

copy_result copy_begin(copy_worker *w, uint32_t job_index)
{
    loader *ld = w->owner;
    load_job *job = &ld->jobs[job_index];
    const vs_host *host = &ld->machine->host;
    const vs_disk *disk = &ld->machine->disk;
    const vs_alloc_result got =
        load_alloc(ld, job->dst_bytes, VS_CAT_STAGING, job->name, &job->block);
    if (got != VS_ALLOC_OK) {
        return COPY_OOM;
    }
    w->job = job_index;
    w->phase = COPY_READ;
    w->is_cold = !job->is_in_ram && host_take_pages(ld, job->src_bytes);
    const vs_ns driver_ns = load_driver_time(ld);
    const uint64_t fault_bps = w->is_cold ? disk->mmap_read_bps : UINT64_MAX;
    if (!job->needs_cast) {
        return start_flow(w, job->src_bytes, w->is_cold, true,
                          min_u64(fault_bps, host->memcpy_bps),
                          driver_ns + host->copy_latency_ns);
    }
    w->temp_bytes = job->dst_bytes;
    if (!host_take_anon(ld, w->temp_bytes)) {
        w->temp_bytes = 0;
        load_free(ld, &job->block);
        return COPY_HOST_OOM;
    }
    return start_flow(w, job->src_bytes, w->is_cold, false, min_u64(fault_bps, host->cast_bps),
                      driver_ns);
}

static void note_read(copy_worker *w, const load_job *job)
{
    loader *ld = w->owner;
    const vs_ns now = vs_engine_now(ld->engine);
    if (!w->is_cold) {
        return;
    }
    ld->disk_read_bytes += job->src_bytes;
    vs_tape_span(ld->tape, ld->lane_disk, w->phase_start_ns, now, VS_CAT_PAGECACHE, job->name,
                 job->src_bytes);
    host_file_read(ld, job->src_bytes);
}

copy_result copy_step(copy_worker *w)
{
    loader *ld = w->owner;
    load_job *job = &ld->jobs[w->job];
    const vs_ns now = vs_engine_now(ld->engine);
    const bool has_sent = w->phase == COPY_SEND || !job->needs_cast;
    if (w->phase == COPY_READ) {
        note_read(w, job);
    }
    if (!has_sent) {
        vs_tape_span(ld->tape, w->lane, w->phase_start_ns, now, VS_CAT_HOSTHEAP, job->name,
                     job->src_bytes);
        w->phase = COPY_SEND;
        return start_flow(w, job->dst_bytes, false, true, ld->machine->host.memcpy_bps,
                          ld->machine->host.copy_latency_ns);
    }
    vs_tape_span(ld->tape, ld->lane_h2d, w->phase_start_ns, now, VS_CAT_STAGING, job->name,
                 job->dst_bytes);
    if (w->phase == COPY_SEND) {
        host_give_anon(ld, w->temp_bytes);
        w->temp_bytes = 0;
    }
    w->phase = COPY_IDLE;
    w->job = NO_JOB;
    return COPY_OK;
}
