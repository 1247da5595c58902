/* traces/calibrate/recording.c - what a recording says about the machine it was made on.
 *
 * Copies, reads and calls are spans with a beginning and an end. The context is what a card has in use beyond the segments: in
 * samples of everybody's use (a recorder's counters), or where memory ran out and both the card's size and what was free
 * are known. */
#include "traces/calibrate/observe.h"

#include <string.h>

/* Segments of one device in use, as its events go by. Memory from before the recording is found from its end: what the file
 * lists as there at last, less what came in between. */
static bool live_at_start(const vs_rec_device *d, uint64_t *out)
{
    uint64_t at_last = 0;
    uint64_t came = 0;
    uint64_t went = 0;
    for (uint32_t i = 0; i < d->segment_count; i++) {
        if (!vs_add_u64(at_last, d->segments[i].total, &at_last)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *const e = &d->events[i];
        const bool is_in = e->action == VS_REC_SEGMENT_ALLOC || e->action == VS_REC_SEGMENT_MAP;
        const bool is_out =
            e->action == VS_REC_SEGMENT_FREE || e->action == VS_REC_SEGMENT_UNMAP;
        if ((is_in && !vs_add_u64(came, e->size, &came)) ||
            (is_out && !vs_add_u64(went, e->size, &went))) {
            return false;
        }
    }
    if (!d->has_segments) {
        *out = 0;
        return true;
    }
    return vs_add_u64(at_last, went, &at_last) && vs_sub_u64(at_last, came, out);
}

typedef struct {
    uint64_t live;    /* bytes of segments */
    uint64_t before;  /* in use by others before the program's context */
    bool has_context; /* the program has used the card */
} use;

/* In use beyond the segments when `used` bytes of the card are: the context, and everybody else. */
static void observe_context(calibrating *c, const use *u, uint64_t used)
{
    uint64_t others = u->live;
    uint64_t context = 0;
    if (u->has_context && vs_add_u64(others, u->before, &others) &&
        vs_sub_u64(used, others, &context)) {
        cal_add(c, VS_CAL_GPU_CONTEXT, (cal_observation){.value = (double)context});
    }
}

/* The size of the card may be in another file. */
static void observe_oom(calibrating *c, const use *u, const vs_rec_event *e)
{
    uint64_t own = 0;
    if (e->addr > 0 && vs_add_u64(e->addr, u->live, &own)) {
        cal_add_oom(c, (double)own);
    }
}

static void observe_device(calibrating *c, const vs_rec_device *d)
{
    use u = {0};
    if (!live_at_start(d, &u.live)) {
        return;
    }
    u.has_context = u.live > 0;
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *const e = &d->events[i];
        if (e->action == VS_REC_SEGMENT_ALLOC || e->action == VS_REC_SEGMENT_MAP) {
            u.has_context = true;
            u.live += e->size < UINT64_MAX - u.live ? e->size : 0;
        } else if (e->action == VS_REC_SEGMENT_FREE || e->action == VS_REC_SEGMENT_UNMAP) {
            u.live -= e->size < u.live ? e->size : u.live;
        } else if (e->action == VS_REC_MARK) {
            u.has_context = true;
        } else if (e->action == VS_REC_OOM) {
            u.has_context = true;
            observe_oom(c, &u, e);
        } else if (e->action == VS_REC_LEVEL && u.has_context) {
            observe_context(c, &u, e->size);
        } else if (e->action == VS_REC_LEVEL) {
            u.before = e->size;
        }
    }
    if (!u.has_context && d->event_count > 0) {
        c->lists[VS_CAL_GPU_CONTEXT].why =
            "samples of the card's use alone do not tell the context from the program's memory";
    }
}

/* ---- spans ---------------------------------------------------------------------------------------------- */

/* VS_CAL_COUNT: of no use. */
static vs_cal_parameter parameter_of(const vs_recording *rec, const vs_rec_span *span)
{
    const char *const label = vs_recording_string(rec, span->label);
    switch ((vs_rec_work)span->kind) {
    case VS_REC_H2D_PINNED: return VS_CAL_H2D_PINNED;
    case VS_REC_H2D_PAGEABLE: return VS_CAL_H2D_PAGEABLE;
    case VS_REC_D2H_PINNED:
    case VS_REC_D2H_PAGEABLE: return VS_CAL_D2H;
    case VS_REC_D2D: return VS_CAL_D2D;
    case VS_REC_READ:
        return strcmp(label, "cold") == 0   ? VS_CAL_DISK
               : strcmp(label, "warm") == 0 ? VS_CAL_PAGE_CACHE
                                            : VS_CAL_COUNT;
    case VS_REC_CALL:
        if (strcmp(label, "cudaMalloc") == 0 || strcmp(label, "cuMemAlloc") == 0) {
            return VS_CAL_GPU_MALLOC;
        }
        if (strcmp(label, "cudaFree") == 0 || strcmp(label, "cuMemFree") == 0) {
            return VS_CAL_GPU_FREE;
        }
        return strcmp(label, "cudaLaunchKernel") == 0 || strcmp(label, "cuLaunchKernel") == 0
                   ? VS_CAL_GPU_LAUNCH
                   : VS_CAL_COUNT;
    case VS_REC_PEER:
    case VS_REC_MEMSET:
    case VS_REC_KERNEL:
    case VS_REC_WORK_COUNT: break;
    }
    return VS_CAL_COUNT;
}

static void count_spans(calibrating *c, const vs_recording *rec,
                        uint64_t counts[VS_CAL_COUNT + 1], bool *has_pinned_d2h)
{
    for (uint32_t i = 0; i < rec->span_count; i++) {
        const vs_rec_span *const span = &rec->spans[i];
        counts[parameter_of(rec, span)]++;
        *has_pinned_d2h = *has_pinned_d2h || span->kind == VS_REC_D2H_PINNED;
        if (span->kind == VS_REC_READ &&
            strcmp(vs_recording_string(rec, span->label), "sampled") == 0) {
            c->lists[VS_CAL_DISK].why =
                "counters of the process between two looks only say how much was read, not how "
                "long the disk was at it";
        }
    }
}

static void observe_span(calibrating *c, const vs_rec_span *span, vs_cal_parameter parameter)
{
    const bool is_rate = vs_cal_unit_of(parameter) == VS_CAL_RATE;
    const double ns = (double)(span->end_ns - span->start_ns);
    if (is_rate && span->bytes < CAL_LEAST_BYTES) {
        c->lists[parameter].small++;
        return;
    }
    cal_add(c, parameter,
            (cal_observation){.bytes = is_rate ? (double)span->bytes : 0.0, .value = ns});
}

static void observe_spans(calibrating *c, const vs_recording *rec)
{
    uint64_t counts[VS_CAL_COUNT + 1] = {0};
    uint64_t number[VS_CAL_COUNT + 1] = {0};
    bool has_pinned_d2h = false;
    count_spans(c, rec, counts, &has_pinned_d2h);
    for (uint32_t i = 0; i < rec->span_count && !c->has_failed; i++) {
        const vs_rec_span *const span = &rec->spans[i];
        const vs_cal_parameter parameter = parameter_of(rec, span);
        const uint64_t stride = counts[parameter] / CAL_LIST_MAX + 1;
        const bool is_other_d2h = has_pinned_d2h && span->kind == VS_REC_D2H_PAGEABLE;
        if (parameter != VS_CAL_COUNT && !is_other_d2h && number[parameter]++ % stride == 0) {
            observe_span(c, span, parameter);
            c->d2h_is_pageable = c->d2h_is_pageable || span->kind == VS_REC_D2H_PAGEABLE;
        }
    }
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (counts[p] / CAL_LIST_MAX > 0) {
            cal_note(c, "%" PRIu64 " times for %s, of which every %" PRIu64 "th was used",
                     counts[p], vs_cal_key((vs_cal_parameter)p), counts[p] / CAL_LIST_MAX + 1);
        }
    }
}

/* What a snapshot has to do with allocation: the moment a segment was there, in microseconds, and not when it was asked for. */
static void explain_snapshot(calibrating *c)
{
    static const char why[] = "a snapshot notes when a segment was there, in microseconds, not "
                              "when it was asked for";
    c->lists[VS_CAL_GPU_MALLOC].why = why;
    c->lists[VS_CAL_GPU_FREE].why = why;
}

void cal_observe_recording(calibrating *c, const vs_recording *rec)
{
    if (rec->format == VS_TRACE_SNAPSHOT) {
        explain_snapshot(c);
    }
    for (uint32_t i = 0; i < rec->device_count; i++) {
        const vs_rec_device *const d = &rec->devices[i];
        if (d->is_host) {
            continue;
        }
        if (d->capacity_bytes > 0) {
            cal_add_stated(c, VS_CAL_GPU_CAPACITY, (double)d->capacity_bytes);
        }
        cal_name_gpu(c, vs_str_of(d->name));
        observe_device(c, d);
    }
    observe_spans(c, rec);
}
