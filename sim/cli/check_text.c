/* check_text.c - what `vramscope check` found, as a page: the answer, the figures side by side, the curves, and where they
 * are furthest apart. */
#include "check.h"

#include <stdio.h>
#include <string.h>

/* ---- numbers ------------------------------------------------------------------------------ */

vs_bytes check_distance(const vs_bytes bytes[VS_SIDES])
{
    return bytes[0] > bytes[1] ? bytes[0] - bytes[1] : bytes[1] - bytes[0];
}

bool check_share(const vs_bytes bytes[VS_SIDES], uint64_t *out_ppm)
{
    return vs_compare_ppm(check_distance(bytes), bytes[VS_RECORDED], out_ppm);
}

vs_bytes check_peak(const check_report *r)
{
    return r->cmp.figures[r->cmp.desc.metric].peak_bytes[VS_RECORDED];
}

const char *check_ends_key(vs_compare_ends ends)
{
    switch (ends) {
    case VS_LOAD_BY_PROGRESS: return "progress";
    case VS_LOAD_BY_ALLOCATION: return "allocation";
    case VS_LOAD_BY_CURVE: return "curve";
    }
    return "?";
}

static const char *duration(vs_ns ns, char buf[VS_TEXT_BYTES])
{
    return ns == 0 ? "0 s" : vs_format_duration(ns, buf);
}

/* ---- the answer -------------------------------------------------------------------------- */

static void answer(vs_outfile *out, const check_report *r)
{
    const vs_compare_figure *figure = &r->cmp.figures[r->cmp.desc.metric];
    const char *name = vs_compare_metric_key(r->cmp.desc.metric);
    const bool is_less = figure->peak_bytes[VS_PREDICTED] < figure->peak_bytes[VS_RECORDED];
    const vs_bytes distance = check_distance(figure->peak_bytes);
    char size[VS_TEXT_BYTES];
    char far[VS_TEXT_BYTES];
    char percent[VS_TEXT_BYTES];
    vs_format_size(figure->peak_bytes[VS_RECORDED], size);
    vs_outfile_printf(out, "%s: ", r->differs ? "DIFFERS" : "AGREES");
    if (distance == 0) {
        vs_outfile_printf(out, "the predicted peak is the recorded one, %s %s", size, name);
    } else {
        vs_outfile_printf(out, "the predicted peak is %s (%s) %s the recorded %s %s",
                          vs_format_size(distance, far),
                          vs_compare_share(distance, figure->peak_bytes[VS_RECORDED], percent),
                          is_less ? "below" : "above", size, name);
    }
    if (r->is_verdict_off) {
        vs_outfile_printf(out, "; predicted \"%s\", recorded \"%s\"",
                          r->cmp.verdict[VS_PREDICTED], r->cmp.verdict[VS_RECORDED]);
    } else {
        vs_outfile_printf(out, "; both \"%s\"", r->cmp.verdict[VS_RECORDED]);
    }
    if (!r->differs && distance > 0) {
        uint64_t ppm = r->tolerance_ppm;
        vs_outfile_printf(out, " (within the %s asked for)",
                          vs_compare_share(ppm, 1000000, percent));
    }
    vs_outfile_printf(out, "\n");
}

static void origin(vs_outfile *out, const check_report *r, uint32_t side)
{
    const check_run *run = &r->runs[side];
    const char *title = vs_timeline_meta(&run->timeline, "title");
    const char *gpu = vs_timeline_meta(&run->timeline, "gpu");
    vs_outfile_printf(out, "  %-9s  %s: %s", side == VS_PREDICTED ? "predicted" : "recorded",
                      run->path, run->kind);
    if (title != NULL && title[0] != '\0') {
        vs_outfile_printf(out, ", %s", title);
    }
    if (gpu != NULL && gpu[0] != '\0') {
        vs_outfile_printf(out, ", %s", gpu);
    }
    if (title == NULL || title[0] == '\0') {
        const char *made_by = vs_timeline_meta(&run->timeline, "made_by");
        if (made_by != NULL && made_by[0] != '\0' && strstr(run->kind, made_by) == NULL) {
            vs_outfile_printf(out, ", %s", made_by);
        }
    }
    if (run->gpu_count > 1) {
        vs_outfile_printf(out, ", GPU %" PRIu32 " of %" PRIu32, run->gpu, run->gpu_count);
    }
    vs_outfile_printf(out, "\n");
}

/* ---- side by side ------------------------------------------------------------------------ */

#define ROW "    %-21s %14s %14s"

/* "+20.16 GiB   73.36 %": how far the prediction is off, of the recorded. */
static void error_cells(vs_outfile *out, const uint64_t value[VS_SIDES], const char *distance)
{
    char percent[VS_TEXT_BYTES];
    if (value[0] == value[1]) {
        vs_outfile_printf(out, "   exact\n");
        return;
    }
    const char *sign = value[VS_PREDICTED] < value[VS_RECORDED] ? "-" : "+";
    vs_compare_share(check_distance(value), value[VS_RECORDED], percent);
    vs_outfile_printf(out, "  %s%-11s %s%s\n", sign, distance, percent[0] == '\0' ? "" : sign,
                      percent);
}

static void size_row(vs_outfile *out, const char *label, const vs_bytes bytes[VS_SIDES])
{
    char text[VS_SIDES][VS_TEXT_BYTES];
    char distance[VS_TEXT_BYTES];
    vs_format_size(bytes[0], text[0]);
    vs_format_size(bytes[1], text[1]);
    vs_outfile_printf(out, ROW, label, text[0], text[1]);
    error_cells(out, bytes, vs_format_size(check_distance(bytes), distance));
}

static void time_row(vs_outfile *out, const char *label, const vs_ns ns[VS_SIDES])
{
    char text[VS_SIDES][VS_TEXT_BYTES];
    char distance[VS_TEXT_BYTES];
    const char *const first = duration(ns[0], text[0]);
    vs_outfile_printf(out, ROW, label, first, duration(ns[1], text[1]));
    error_cells(out, ns, duration(check_distance(ns), distance));
}

static void count_row(vs_outfile *out, const char *label, const uint64_t count[VS_SIDES])
{
    char text[VS_SIDES][VS_TEXT_BYTES];
    vs_outfile_printf(out, ROW "\n", label, vs_format_grouped(count[0], text[0]),
                      vs_format_grouped(count[1], text[1]));
}

static bool has_times(const check_report *r)
{
    return r->cmp.curves[VS_BY_STRETCHED].reason == NULL;
}

/* Running out of memory, when it happened in both. */
static void oom_rows(vs_outfile *out, const check_report *r)
{
    const vs_compare_oom *a = &r->cmp.oom[VS_PREDICTED];
    const vs_compare_oom *b = &r->cmp.oom[VS_RECORDED];
    if (!a->exists || !b->exists) {
        return;
    }
    const uint64_t after[VS_SIDES] = {a->allocation, b->allocation};
    const vs_bytes asked[VS_SIDES] = {a->requested_bytes, b->requested_bytes};
    const vs_bytes loaded[VS_SIDES] = {a->loaded_bytes, b->loaded_bytes};
    const vs_ns time[VS_SIDES] = {a->time_ns, b->time_ns};
    count_row(out, "OOM after allocation", after);
    size_row(out, "OOM asked for", asked);
    size_row(out, r->cmp.has_progress ? "OOM with loaded" : "OOM with allocated", loaded);
    if (has_times(r)) {
        time_row(out, "OOM after", time);
    }
}

static void table(vs_outfile *out, const check_report *r)
{
    vs_outfile_printf(out, "\n" ROW "   ERROR\n", "", "PREDICTED", "RECORDED");
    for (uint32_t m = 0; m < VS_COMPARE_METRIC_COUNT; m++) {
        const vs_compare_figure *figure = &r->cmp.figures[m];
        const char *key = vs_compare_metric_key((vs_compare_metric)m);
        char label[VS_TEXT_BYTES];
        if (figure->is_in_both) {
            (void)snprintf(label, sizeof label, "peak %s", key);
            size_row(out, label, figure->peak_bytes);
            (void)snprintf(label, sizeof label, "final %s", key);
            size_row(out, label, figure->final_bytes);
        }
    }
    if (has_times(r)) {
        const vs_ns load[VS_SIDES] = {r->cmp.load_end_ns[0] - r->cmp.load_begin_ns[0],
                                      r->cmp.load_end_ns[1] - r->cmp.load_begin_ns[1]};
        if (r->is_verdict_off) { /* one of them did not get to the end */
            char text[VS_SIDES][VS_TEXT_BYTES];
            const char *const first = duration(load[0], text[0]);
            vs_outfile_printf(out, ROW "   not comparable: one did not finish\n", "load time",
                              first, duration(load[1], text[1]));
        } else {
            time_row(out, "load time", load);
        }
    }
    vs_outfile_printf(out, ROW "   %s\n", "verdict", r->cmp.verdict[VS_PREDICTED],
                      r->cmp.verdict[VS_RECORDED], r->is_verdict_off ? "differs" : "the same");
    oom_rows(out, r);
}

/* ---- curves ------------------------------------------------------------------------------ */

static void curves(vs_outfile *out, const check_report *r)
{
    static const char *const labels[VS_COMPARE_AXIS_COUNT] = {
        [VS_BY_TIME] = "by time",
        [VS_BY_STRETCHED] = "by stretched time",
        [VS_BY_EVENT] = "by allocation",
        [VS_BY_SHARE] = "by share loaded"};
    char name[64];
    (void)snprintf(name, sizeof name, "curve of %s bytes",
                   vs_compare_metric_key(r->cmp.desc.metric));
    vs_outfile_printf(out, "\n    %-30s %11s %9s %12s\n", name, "MAX ERROR", "", "MEAN ERROR");
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        const vs_compare_curve *curve = &r->cmp.curves[i];
        char size[2][VS_TEXT_BYTES];
        char share[2][VS_TEXT_BYTES];
        if (curve->reason != NULL) {
            vs_outfile_printf(out, "      %-28s %11s  ", labels[i], "-");
            cli_wrapped(out, curve->reason, 49, 49);
            continue;
        }
        vs_outfile_printf(out, "      %-28s %11s %9s %12s %8s\n", labels[i],
                          vs_format_size(curve->max_error_bytes, size[0]),
                          vs_compare_share(curve->max_error_bytes, check_peak(r), share[0]),
                          vs_format_size(curve->mean_error_bytes, size[1]),
                          vs_compare_share(curve->mean_error_bytes, check_peak(r), share[1]));
    }
    vs_outfile_printf(
        out, "      (shares are of the recorded peak; after its end a run keeps its last "
             "value)\n");
}

/* ---- the largest disagreement -------------------------------------------------------------- */

static void group_words(vs_outfile *out, const vs_live_group *group)
{
    char size[VS_TEXT_BYTES];
    char count[VS_TEXT_BYTES];
    vs_format_size(group->size_bytes, size);
    if (group->count == 1) {
        vs_outfile_printf(out, "a block of %s", size);
    } else {
        vs_outfile_printf(out, "%s blocks of %s", vs_format_grouped(group->count, count), size);
    }
    vs_outfile_printf(out, " (%s%s%s)", vs_category_label(group->category),
                      group->name[0] != '\0' ? ", " : "", group->name);
}

/* Samples of a whole card tell of no blocks: none can be missing from them. */
static bool has_blocks(const check_report *r)
{
    return r->cmp.desc.tl[VS_PREDICTED]->block_count > 0 &&
           r->cmp.desc.tl[VS_RECORDED]->block_count > 0;
}

static void disagreement(vs_outfile *out, const check_report *r)
{
    const vs_compare_curve *curve = &r->cmp.curves[r->axis];
    const vs_bytes *bytes = curve->at_bytes;
    const uint32_t more = bytes[VS_PREDICTED] > bytes[VS_RECORDED] ? VS_PREDICTED : VS_RECORDED;
    char size[3][VS_TEXT_BYTES];
    char share[VS_TEXT_BYTES];
    char place[VS_PLACE_BYTES];
    if (curve->max_error_bytes == 0) {
        vs_outfile_printf(out, "\n  By %s the two curves are the same everywhere.\n",
                          vs_compare_axis_key(r->axis));
        return;
    }
    vs_outfile_printf(out, "\n  Largest disagreement: %s",
                      vs_compare_place(&r->cmp, r->axis, curve->at, place));
    vs_outfile_printf(out, "\n    %s predicted, %s recorded: %s apart, %s of the peak",
                      vs_format_size(bytes[VS_PREDICTED], size[0]),
                      vs_format_size(bytes[VS_RECORDED], size[1]),
                      vs_format_size(curve->max_error_bytes, size[2]),
                      vs_compare_share(curve->max_error_bytes, check_peak(r), share));
    if (has_blocks(r) && r->live.group_count[more] > 0) {
        vs_outfile_printf(out, ".\n    Most of what only the %s has: ",
                          more == VS_PREDICTED ? "prediction" : "recording");
        group_words(out, &r->live.groups[more][0]);
    }
    vs_outfile_printf(out, ".\n");
}

static void category_rows(vs_outfile *out, const check_report *r)
{
    const vs_moment *a = &r->live.moment[VS_PREDICTED];
    const vs_moment *b = &r->live.moment[VS_RECORDED];
    vs_outfile_printf(out, "\n" ROW "\n", "alive then", "PREDICTED", "RECORDED");
    for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
        char text[VS_SIDES][VS_TEXT_BYTES];
        if (a->categories[c] > 0 || b->categories[c] > 0) {
            vs_format_size(a->categories[c], text[0]);
            vs_format_size(b->categories[c], text[1]);
            vs_outfile_printf(out, "      %-19s %14s %14s\n", vs_category_label((vs_category)c),
                              a->categories[c] > 0 ? text[0] : "-",
                              b->categories[c] > 0 ? text[1] : "-");
        }
    }
}

static void only_rows(vs_outfile *out, const check_report *r, uint32_t side)
{
    const vs_live_difference *live = &r->live;
    char size[VS_TEXT_BYTES];
    char count[VS_TEXT_BYTES];
    if (live->only_count[side] == 0 || !has_blocks(r)) {
        return;
    }
    vs_outfile_printf(out, "\n    only in the %s: %s block%s, %s%s\n",
                      side == VS_PREDICTED ? "prediction" : "recording",
                      vs_format_grouped(live->only_count[side], count),
                      live->only_count[side] == 1 ? "" : "s",
                      vs_format_size(live->only_bytes[side], size),
                      live->is_by_name ? "" : " (told apart by size: they share no names)");
    for (uint32_t i = 0; i < live->group_count[side]; i++) {
        const vs_live_group *group = &live->groups[side][i];
        vs_outfile_printf(out, "      %5" PRIu32 " x %11s  %s%s%s\n", group->count,
                          vs_format_size(group->size_bytes, size),
                          vs_category_label(group->category),
                          group->name[0] != '\0' ? "  " : "", group->name);
    }
}

static void notes(vs_outfile *out, const check_report *r)
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        for (uint32_t i = 0; i < r->runs[side].note_count; i++) {
            vs_outfile_printf(out, "%s  note: ", i == 0 ? "\n" : "");
            cli_wrapped(out, r->runs[side].notes[i], 8, 8);
        }
    }
}

void check_text(vs_outfile *out, const check_report *r)
{
    if (r->cmp.reason != NULL) {
        vs_outfile_printf(out, "NOT COMPARABLE: %s\n", r->cmp.reason);
    } else {
        answer(out, r);
    }
    origin(out, r, VS_PREDICTED);
    origin(out, r, VS_RECORDED);
    if (r->cmp.reason == NULL) {
        table(out, r);
        curves(out, r);
    }
    if (r->has_curve) {
        disagreement(out, r);
        if (r->cmp.curves[r->axis].max_error_bytes > 0) {
            category_rows(out, r);
            only_rows(out, r, VS_PREDICTED);
            only_rows(out, r, VS_RECORDED);
        }
    }
    notes(out, r);
}
