/* sim/study/compare.c - a prediction held against a recording.
 *
 * Each run is read once for what its device did; then every axis has two curves (compare_curve.c), and one walk over
 * both gives the errors. The mean is the integral of the difference divided by the length of the axis; the integral
 * would need 128 bits, so quotient and remainder of each stretch are added up by themselves, which is exact. */
#include "sim/study/compare.h"

#include <string.h>

/* ---- one run ----------------------------------------------------------------------------- */

static uint32_t find_metric(const vs_timeline *tl, uint8_t device, vs_compare_metric metric)
{
    static const vs_track_role roles[] = {[VS_COMPARE_RESERVED] = VS_TRACK_RESERVED,
                                          [VS_COMPARE_ALLOCATED] = VS_TRACK_ALLOCATED,
                                          [VS_COMPARE_USED] = VS_TRACK_USED};
    const uint32_t track = vs_timeline_find_track(tl, device, roles[metric], VS_CAT_CONTEXT);
    return track != VS_NO_TRACK && tl->tracks[track].count > 0 ? track : VS_NO_TRACK;
}

/* Progress belongs to the load as a whole, whichever device its events name. */
static uint32_t find_progress(const vs_timeline *tl)
{
    for (uint32_t i = 0; i < tl->track_count; i++) {
        if (tl->tracks[i].role == VS_TRACK_PROGRESS && tl->tracks[i].count > 0) {
            return i;
        }
    }
    return VS_NO_TRACK;
}

static void read_event(compare_run *run, uint32_t e)
{
    const vs_timeline *tl = run->tl;
    const uint8_t kind = tl->event_kind[e];
    const bool is_block = kind == VS_EV_ALLOC;
    if (tl->event_device[e] != run->device) {
        return;
    }
    if (kind == VS_EV_OOM && run->oom_event == NEVER) {
        run->oom_event = e;
    }
    if (!run->has_first &&
        (is_block || kind == VS_EV_SEGMENT_ALLOC || kind == VS_EV_SEGMENT_MAP)) {
        run->has_first = true;
        run->first_ns = tl->event_time[e];
    }
    if (is_block) {
        run->alloc_count++;
        run->last_ns = tl->event_time[e];
        if (!vs_add_u64(run->alloc_bytes, tl->event_size[e], &run->alloc_bytes)) {
            run->alloc_bytes = UINT64_MAX;
        }
    }
}

static compare_run read_run(const vs_compare_desc *desc, uint32_t side)
{
    const vs_timeline *tl = desc->tl[side];
    compare_run run = {.tl = tl, .device = desc->device[side], .oom_event = NEVER};
    run.track = find_metric(tl, run.device, desc->metric);
    run.allocated = vs_timeline_find_track(tl, run.device, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
    run.progress = find_progress(tl);
    for (uint32_t e = 0; e < tl->event_count; e++) {
        read_event(&run, e);
    }
    return run;
}

/* ---- both runs --------------------------------------------------------------------------- */

/* Does a run tell what the card holds beside the allocator's memory? */
static bool knows_others(const vs_timeline *tl, uint8_t device)
{
    return vs_timeline_find_track(tl, device, VS_TRACK_CATEGORY, VS_CAT_CONTEXT) !=
               VS_NO_TRACK ||
           vs_timeline_find_track(tl, device, VS_TRACK_CATEGORY, VS_CAT_OTHER) != VS_NO_TRACK;
}

static vs_compare_figure read_figure(const vs_compare_desc *desc, vs_compare_metric metric)
{
    vs_compare_figure figure = {.is_in_both = true};
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_timeline *tl = desc->tl[side];
        const uint32_t track = find_metric(tl, desc->device[side], metric);
        if (track == VS_NO_TRACK) {
            return (vs_compare_figure){0};
        }
        const vs_track_info *info = &tl->tracks[track];
        figure.peak_bytes[side] = info->max;
        figure.final_bytes[side] = tl->sample_value[info->first + info->count - 1];
    }
    return figure;
}

static void compare_figures(vs_comparison *cmp)
{
    const vs_compare_desc *desc = &cmp->desc;
    for (uint32_t m = 0; m < VS_COMPARE_METRIC_COUNT; m++) {
        cmp->figures[m] = read_figure(desc, (vs_compare_metric)m);
    }
    /* With the context in one and not in the other, what is in use is no figure of both, unless there is no better. */
    const bool has_better = cmp->figures[VS_COMPARE_RESERVED].is_in_both ||
                            cmp->figures[VS_COMPARE_ALLOCATED].is_in_both;
    if (has_better && knows_others(desc->tl[0], desc->device[0]) !=
                          knows_others(desc->tl[1], desc->device[1])) {
        cmp->figures[VS_COMPARE_USED] = (vs_compare_figure){0};
    }
}

static bool choose_metric(vs_comparison *cmp)
{
    if (cmp->desc.metric < VS_COMPARE_METRIC_COUNT) {
        return cmp->figures[cmp->desc.metric].is_in_both;
    }
    uint32_t m = 0;
    while (m < VS_COMPARE_METRIC_COUNT && !cmp->figures[m].is_in_both) {
        m++;
    }
    cmp->desc.metric = (vs_compare_metric)m;
    return m < VS_COMPARE_METRIC_COUNT;
}

static const char *why_no_metric(const vs_compare_desc *asked)
{
    switch (asked->metric) {
    case VS_COMPARE_RESERVED:
        return "one of them says nothing of reserved bytes: it has no segments of the "
               "allocator";
    case VS_COMPARE_ALLOCATED:
        return "one of them says nothing of allocated bytes: it has no allocations";
    case VS_COMPARE_USED:
        return "one of them says nothing of what the card holds beside the allocator's memory";
    case VS_COMPARE_METRIC_COUNT: break;
    }
    return "they have no figure in common: one of them says nothing of this device";
}

static void find_ends(vs_comparison *cmp, const compare_run runs[VS_SIDES])
{
    const compare_run *a = &runs[VS_PREDICTED];
    const compare_run *b = &runs[VS_RECORDED];
    cmp->has_progress = a->progress != VS_NO_TRACK && b->progress != VS_NO_TRACK;
    cmp->ends = cmp->has_progress && a->has_first && b->has_first ? VS_LOAD_BY_PROGRESS
                : a->alloc_count > 0 && b->alloc_count > 0        ? VS_LOAD_BY_ALLOCATION
                                                                  : VS_LOAD_BY_CURVE;
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const compare_run *run = &runs[side];
        const vs_track_info *curve = &run->tl->tracks[run->track];
        const vs_track_info *progress =
            cmp->ends == VS_LOAD_BY_PROGRESS ? &run->tl->tracks[run->progress] : curve;
        const uint64_t last = progress->first + progress->count - 1;
        vs_ns begin = run->first_ns;
        vs_ns end = run->tl->sample_time[last];
        if (cmp->ends == VS_LOAD_BY_CURVE) {
            begin = run->tl->sample_time[curve->first];
        } else if (cmp->ends == VS_LOAD_BY_ALLOCATION) {
            end = run->last_ns;
        }
        cmp->load_begin_ns[side] = begin;
        cmp->load_end_ns[side] = end > begin ? end : begin;
    }
}

static vs_bytes loaded_until(const vs_comparison *cmp, const compare_run *run, uint32_t stop)
{
    vs_bytes sum = 0;
    if (cmp->has_progress) {
        return vs_track_at_event(run->tl, run->progress, stop);
    }
    for (uint32_t e = 0; e < stop; e++) {
        if (run->tl->event_kind[e] == VS_EV_ALLOC && run->tl->event_device[e] == run->device &&
            !vs_add_u64(sum, run->tl->event_size[e], &sum)) {
            return UINT64_MAX;
        }
    }
    return sum;
}

static void find_outcome(vs_comparison *cmp, const compare_run *run, uint32_t side)
{
    static const char *const words[] = {"fits", "oom", "host_oom", "disk_full", "failed"};
    const char *own = vs_timeline_meta(run->tl, "verdict");
    cmp->verdict[side] = run->oom_event != NEVER ? "oom" : "fits";
    for (size_t i = 0; own != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(own, words[i]) == 0) {
            cmp->verdict[side] = words[i];
        }
    }
    if (run->oom_event == NEVER) {
        return;
    }
    const vs_event event = vs_timeline_event(run->tl, run->oom_event);
    const vs_ns zero = run->has_first ? run->first_ns : 0;
    vs_compare_oom oom = {.exists = true,
                          .event = run->oom_event,
                          .time_ns = event.time_ns > zero ? event.time_ns - zero : 0,
                          .requested_bytes = event.asked_bytes,
                          .loaded_bytes = loaded_until(cmp, run, run->oom_event)};
    for (uint32_t e = 0; e < run->oom_event; e++) {
        oom.allocation +=
            run->tl->event_kind[e] == VS_EV_ALLOC && run->tl->event_device[e] == run->device;
    }
    cmp->oom[side] = oom;
}

static vs_bytes greatest_load(const vs_comparison *cmp, const compare_run runs[VS_SIDES])
{
    vs_bytes most = 0;
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const compare_run *run = &runs[side];
        const vs_bytes bytes =
            cmp->has_progress ? run->tl->tracks[run->progress].max : run->alloc_bytes;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* ---- errors ------------------------------------------------------------------------------ */

/* A sum of products divided by one number, without a rest lost: whole * divisor + rest is the sum. */
typedef struct {
    uint64_t divisor;
    uint64_t whole;
    uint64_t rest;
} quotient;

static void add_product(quotient *q, uint64_t a, uint64_t b)
{
    uint64_t part = 0;
    /* b <= divisor, so the quotient is at most a; the rest is below the divisor, so its low 64 bits are all of it. */
    if (!vs_muldiv_u64(a, b, q->divisor, &part)) {
        return;
    }
    const uint64_t rest = a * b - part * q->divisor;
    q->whole += part;
    if (q->rest >= q->divisor - rest) {
        q->rest -= q->divisor - rest;
        q->whole++;
    } else {
        q->rest += rest;
    }
}

static void measure(vs_compare_curve *curve)
{
    curve_walk walk = curve_walk_of(curve);
    quotient mean = {.divisor = curve->end};
    bool is_first = true;
    while (curve_walk_next(&walk)) {
        const vs_bytes a = walk.value[VS_PREDICTED];
        const vs_bytes b = walk.value[VS_RECORDED];
        const vs_bytes error = a > b ? a - b : b - a;
        if (is_first || error > curve->max_error_bytes) {
            curve->max_error_bytes = error;
            curve->at = walk.from;
            curve->at_bytes[VS_PREDICTED] = a;
            curve->at_bytes[VS_RECORDED] = b;
        }
        is_first = false;
        if (curve->end > 0) {
            add_product(&mean, error, walk.to - walk.from);
        }
    }
    curve->mean_error_bytes =
        curve->end > 0 ? mean.whole + (mean.rest > 0) : curve->max_error_bytes;
}

bool vs_compare(vs_comparison *out, vs_arena *arena, const vs_compare_desc *desc, vs_err *err)
{
    vs_comparison cmp = {.desc = *desc};
    compare_figures(&cmp);
    if (!choose_metric(&cmp)) {
        *out = (vs_comparison){.desc = *desc, .reason = why_no_metric(desc)};
        return true;
    }
    const compare_run runs[VS_SIDES] = {read_run(&cmp.desc, VS_PREDICTED),
                                        read_run(&cmp.desc, VS_RECORDED)};
    find_ends(&cmp, runs);
    cmp.loaded_total_bytes = greatest_load(&cmp, runs);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        find_outcome(&cmp, &runs[side], side);
    }
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        vs_compare_curve *curve = &cmp.curves[i];
        if (!compare_draw(&cmp, arena, runs, (vs_compare_axis)i)) {
            return vs_fail_memory(err, arena, "the comparison");
        }
        if (curve->reason != NULL) {
            continue;
        }
        measure(curve);
        for (uint32_t side = 0; side < VS_SIDES; side++) {
            curve->at_event[side] =
                compare_event_at(&cmp, runs, (vs_compare_axis)i, side, curve->at);
        }
    }
    *out = cmp;
    return true;
}
