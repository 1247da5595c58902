/* check_json.c - what `vramscope check` found, as JSON: whole bytes, nanoseconds and millionths of the recorded figure. */
#include "check.h"

/* predicted - recorded, below 2^60 on either side. */
static int64_t error_of(const vs_bytes value[VS_SIDES])
{
    const uint64_t distance = check_distance(value);
    const int64_t size = distance > INT64_MAX ? INT64_MAX : (int64_t)distance;
    return value[VS_PREDICTED] < value[VS_RECORDED] ? -size : size;
}

static void put_ppm(vs_jwriter *w, const char *key, vs_bytes part, vs_bytes whole)
{
    uint64_t ppm = 0;
    if (vs_compare_ppm(part, whole, &ppm)) {
        vs_jw_u64(w, key, ppm);
    } else {
        vs_jw_null(w, key);
    }
}

/* The members of a figure; units is "bytes" or "ns". */
static void put_pair(vs_jwriter *w, const char *const names[3], const uint64_t value[VS_SIDES])
{
    uint64_t ppm = 0;
    const int64_t error = error_of(value);
    vs_jw_u64(w, names[0], value[VS_PREDICTED]);
    vs_jw_u64(w, names[1], value[VS_RECORDED]);
    vs_jw_i64(w, names[2], error);
    if (check_share(value, &ppm) && ppm <= INT64_MAX) {
        vs_jw_i64(w, "error_ppm", error < 0 ? -(int64_t)ppm : (int64_t)ppm);
    } else {
        vs_jw_null(w, "error_ppm");
    }
}

static void put_bytes(vs_jwriter *w, const char *key, const vs_bytes value[VS_SIDES])
{
    static const char *const names[3] = {"predicted_bytes", "recorded_bytes", "error_bytes"};
    vs_jw_object(w, key);
    put_pair(w, names, value);
    vs_jw_end(w);
}

static void put_figures(vs_jwriter *w, const check_report *r)
{
    const vs_compare_figure *chosen = &r->cmp.figures[r->cmp.desc.metric];
    put_bytes(w, "peak", chosen->peak_bytes);
    put_bytes(w, "final", chosen->final_bytes);
    vs_jw_object(w, "figures");
    for (uint32_t m = 0; m < VS_COMPARE_METRIC_COUNT; m++) {
        const vs_compare_figure *figure = &r->cmp.figures[m];
        if (figure->is_in_both) {
            vs_jw_object(w, vs_compare_metric_key((vs_compare_metric)m));
            put_bytes(w, "peak", figure->peak_bytes);
            put_bytes(w, "final", figure->final_bytes);
            vs_jw_end(w);
        }
    }
    vs_jw_end(w);
}

static void put_errors(vs_jwriter *w, const check_report *r, const vs_compare_curve *curve)
{
    vs_jw_u64(w, "max_error_bytes", curve->max_error_bytes);
    put_ppm(w, "max_error_ppm", curve->max_error_bytes, check_peak(r));
    vs_jw_u64(w, "mean_error_bytes", curve->mean_error_bytes);
    put_ppm(w, "mean_error_ppm", curve->mean_error_bytes, check_peak(r));
    vs_jw_u64(w, "at", curve->at);
    vs_jw_u64(w, "end", curve->end);
}

static void put_curves(vs_jwriter *w, const check_report *r)
{
    if (r->has_curve) {
        vs_jw_object(w, "curve");
        vs_jw_str(w, "axis", vs_compare_axis_key(r->axis));
        put_errors(w, r, &r->cmp.curves[r->axis]);
        vs_jw_end(w);
    } else {
        vs_jw_null(w, "curve");
    }
    vs_jw_object(w, "curves");
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        const vs_compare_curve *curve = &r->cmp.curves[i];
        vs_jw_object(w, vs_compare_axis_key((vs_compare_axis)i));
        vs_jw_str(w, "reason", curve->reason);
        if (curve->reason == NULL) {
            put_errors(w, r, curve);
        }
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void put_time(vs_jwriter *w, const check_report *r)
{
    static const char *const names[3] = {"predicted_ns", "recorded_ns", "error_ns"};
    if (r->cmp.curves[VS_BY_STRETCHED].reason != NULL) {
        vs_jw_null(w, "time");
        return;
    }
    const vs_ns load[VS_SIDES] = {r->cmp.load_end_ns[0] - r->cmp.load_begin_ns[0],
                                  r->cmp.load_end_ns[1] - r->cmp.load_begin_ns[1]};
    vs_jw_object(w, "time");
    vs_jw_str(w, "ends_by", check_ends_key(r->cmp.ends));
    if (r->is_verdict_off) { /* one of them did not get to the end */
        vs_jw_u64(w, names[0], load[VS_PREDICTED]);
        vs_jw_u64(w, names[1], load[VS_RECORDED]);
        vs_jw_null(w, names[2]);
        vs_jw_null(w, "error_ppm");
    } else {
        put_pair(w, names, load);
    }
    vs_jw_end(w);
}

static void put_oom(vs_jwriter *w, const check_report *r, uint32_t side)
{
    const vs_compare_oom *oom = &r->cmp.oom[side];
    const char *key = side == VS_PREDICTED ? "predicted" : "recorded";
    if (!oom->exists) {
        vs_jw_null(w, key);
        return;
    }
    vs_jw_object(w, key);
    vs_jw_u64(w, "event", oom->event);
    vs_jw_u64(w, "allocations_before", oom->allocation);
    vs_jw_u64(w, "time_ns", oom->time_ns);
    vs_jw_u64(w, "requested_bytes", oom->requested_bytes);
    vs_jw_u64(w, "loaded_bytes", oom->loaded_bytes);
    put_ppm(w, "loaded_share_ppm", oom->loaded_bytes, r->cmp.loaded_total_bytes);
    vs_jw_end(w);
}

static void put_verdict(vs_jwriter *w, const check_report *r)
{
    vs_jw_object(w, "verdict");
    vs_jw_str(w, "predicted", r->cmp.verdict[VS_PREDICTED]);
    vs_jw_str(w, "recorded", r->cmp.verdict[VS_RECORDED]);
    vs_jw_bool(w, "agrees", !r->is_verdict_off);
    vs_jw_end(w);
    vs_jw_object(w, "oom");
    put_oom(w, r, VS_PREDICTED);
    put_oom(w, r, VS_RECORDED);
    vs_jw_end(w);
}

/* ---- the largest disagreement ------------------------------------------------------------ */

static void put_moment(vs_jwriter *w, const check_report *r, uint32_t side)
{
    const vs_live_difference *live = &r->live;
    vs_jw_object(w, side == VS_PREDICTED ? "predicted" : "recorded");
    if (live->moment[side].event == VS_NO_MOMENT) {
        vs_jw_null(w, "event");
    } else {
        vs_jw_u64(w, "event", live->moment[side].event);
        vs_jw_u64(w, "time_ns", live->moment[side].time_ns);
    }
    vs_jw_object(w, "categories");
    for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
        if (live->moment[side].categories[c] > 0) {
            vs_jw_u64(w, vs_category_key((vs_category)c), live->moment[side].categories[c]);
        }
    }
    vs_jw_end(w);
    vs_jw_object(w, "only_here");
    vs_jw_u64(w, "blocks", live->only_count[side]);
    vs_jw_u64(w, "bytes", live->only_bytes[side]);
    vs_jw_array(w, "largest");
    for (uint32_t i = 0; i < live->group_count[side]; i++) {
        const vs_live_group *group = &live->groups[side][i];
        vs_jw_object(w, NULL);
        vs_jw_u64(w, "count", group->count);
        vs_jw_u64(w, "size_bytes", group->size_bytes);
        vs_jw_str(w, "category", vs_category_key(group->category));
        vs_jw_str(w, "name", group->name[0] != '\0' ? group->name : NULL);
        vs_jw_end(w);
    }
    vs_jw_end(w);
    vs_jw_end(w);
    vs_jw_end(w);
}

static void put_disagreement(vs_jwriter *w, const check_report *r)
{
    const vs_compare_curve *curve = &r->cmp.curves[r->axis];
    if (!r->has_curve || curve->max_error_bytes == 0) {
        vs_jw_null(w, "largest_disagreement");
        return;
    }
    vs_jw_object(w, "largest_disagreement");
    vs_jw_str(w, "axis", vs_compare_axis_key(r->axis));
    vs_jw_u64(w, "at", curve->at);
    vs_jw_u64(w, "predicted_bytes", curve->at_bytes[VS_PREDICTED]);
    vs_jw_u64(w, "recorded_bytes", curve->at_bytes[VS_RECORDED]);
    vs_jw_i64(w, "error_bytes", error_of(curve->at_bytes));
    vs_jw_str(w, "blocks_told_apart_by", r->live.is_by_name ? "name_and_size" : "size");
    put_moment(w, r, VS_PREDICTED);
    put_moment(w, r, VS_RECORDED);
    vs_jw_end(w);
}

static void put_runs(vs_jwriter *w, const check_report *r)
{
    const check_run *trace = &r->runs[VS_RECORDED];
    const check_run *against = &r->runs[VS_PREDICTED];
    vs_jw_str(w, "trace", trace->path);
    vs_jw_str(w, "trace_kind", trace->kind);
    vs_jw_u64(w, "gpu_index", trace->gpu);
    vs_jw_str(w, "against", against->path);
    vs_jw_str(w, "against_kind", against->kind);
    vs_jw_array(w, "notes");
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        for (uint32_t i = 0; i < r->runs[side].note_count; i++) {
            vs_jw_str(w, NULL, r->runs[side].notes[i]);
        }
    }
    vs_jw_end(w);
}

void check_json(vs_jwriter *w, const check_report *r)
{
    const bool is_comparable = r->cmp.reason == NULL;
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.check/1");
    vs_jw_str(w, "version", VS_VERSION);
    put_runs(w, r);
    vs_jw_bool(w, "comparable", is_comparable);
    vs_jw_str(w, "reason", r->cmp.reason);
    vs_jw_bool(w, "differs", r->differs);
    vs_jw_u64(w, "tolerance_ppm", r->tolerance_ppm);
    if (is_comparable) {
        vs_jw_str(w, "metric", vs_compare_metric_key(r->cmp.desc.metric));
        vs_jw_str(w, "align", vs_compare_align_key(r->cmp.desc.align));
        put_figures(w, r);
        put_verdict(w, r);
        put_time(w, r);
        vs_jw_str(w, "share_of", r->cmp.has_progress ? "loaded" : "allocated");
        vs_jw_u64(w, "loaded_total_bytes", r->cmp.loaded_total_bytes);
        put_curves(w, r);
        put_disagreement(w, r);
    }
    vs_jw_end(w);
}
