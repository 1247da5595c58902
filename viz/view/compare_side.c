/* The side column: figures of both runs, the errors of every axis, and the moment of the largest disagreement. Blocks of rows
 * from top to bottom; what has no room is left out as a whole row, never cut. */
#include "viz/view/compare.h"

#include "viz/ui/text.h"

#include <stdio.h>
#include <string.h>

enum { ROW = 18, HEAD = 20, GAP = 10, CELL = 78, SWATCH = 12, NAMES = 3 };

typedef struct {
    const vs_compare_view *view;
    const vs_pen *pen;
    vs_rect side;
    int32_t y;
} table;

static int32_t px(const table *t, int32_t logical)
{
    return vs_pen_px(t->pen, logical);
}

static bool has_room(const table *t, int32_t logical)
{
    return t->y + px(t, logical) <= t->side.y + t->side.h;
}

/* The box of cell i of three, counted from the left, at the current line. */
static vs_rect cell(const table *t, uint32_t i)
{
    const int32_t w = px(t, CELL);
    return vs_rect_of(t->side.x + t->side.w - (int32_t)(3 - i) * w, t->y, w, px(t, ROW));
}

static void row(table *t, const char *label, const char *const texts[3],
                const vs_text_style *style)
{
    const vs_text_style right = vs_aligned(*style, VS_ALIGN_RIGHT);
    const vs_rect first = cell(t, 0);
    if (!has_room(t, ROW)) {
        return;
    }
    vs_pen_label(t->pen, vs_rect_of(t->side.x, t->y, first.x - t->side.x, first.h), style,
                 vs_str_of(label));
    for (uint32_t i = 0; i < 3; i++) {
        vs_pen_label(t->pen, cell(t, i), &right, vs_str_of(texts[i]));
    }
    t->y += px(t, ROW);
}

static void head(table *t, const char *title, const char *const texts[3])
{
    const vs_text_style bold = vs_pen_bold(t->pen, 12, t->pen->style->text);
    const vs_text_style dim =
        vs_aligned(vs_pen_style(t->pen, 11, t->pen->style->dim), VS_ALIGN_RIGHT);
    if (!has_room(t, HEAD + ROW)) {
        t->y = t->side.y + t->side.h;
        return;
    }
    vs_pen_label(t->pen, vs_rect_of(t->side.x, t->y, t->side.w, px(t, HEAD)), &bold,
                 vs_str_of(title));
    for (uint32_t i = 0; i < 3; i++) {
        vs_rect box = cell(t, i);
        box.h = px(t, HEAD);
        vs_pen_label(t->pen, box, &dim, vs_str_of(texts[i]));
    }
    t->y += px(t, HEAD);
    vs_draw_rect(t->pen->list, vs_rect_of(t->side.x, t->y, t->side.w, 1), t->pen->style->grid);
    t->y += px(t, 2);
}

/* ---- figures ----------------------------------------------------------------------------- */

static const char *error_text(const uint64_t value[VS_SIDES], char buf[VS_TEXT_BYTES + 1])
{
    const bool is_less = value[VS_PREDICTED] < value[VS_RECORDED];
    const uint64_t far = is_less ? value[1] - value[0] : value[0] - value[1];
    char share[VS_TEXT_BYTES];
    if (far == 0) {
        return "exact";
    }
    vs_compare_share(far, value[VS_RECORDED], share);
    (void)snprintf(buf, VS_TEXT_BYTES + 1, "%s%s",
                   share[0] == '\0' ? ""
                   : is_less        ? "-"
                                    : "+",
                   share);
    return buf;
}

static void size_row(table *t, const char *label, const vs_bytes bytes[VS_SIDES])
{
    char size[VS_SIDES][VS_TEXT_BYTES];
    char error[VS_TEXT_BYTES + 1];
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    const char *const texts[3] = {vs_format_size(bytes[0], size[0]),
                                  vs_format_size(bytes[1], size[1]), error_text(bytes, error)};
    row(t, label, texts, &style);
}

static void figures(table *t)
{
    static const char *const heads[3] = {"predicted", "recorded", "error"};
    static const char *const peaks[] = {"peak res.", "peak alloc.", "peak used"};
    static const char *const finals[] = {"final res.", "final alloc.", "final used"};
    const vs_comparison *cmp = t->view->cmp;
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    head(t, "Figures", heads);
    for (uint32_t m = 0; m < VS_COMPARE_METRIC_COUNT; m++) {
        if (cmp->figures[m].is_in_both) {
            size_row(t, peaks[m], cmp->figures[m].peak_bytes);
            size_row(t, finals[m], cmp->figures[m].final_bytes);
        }
    }
    const bool is_same = strcmp(cmp->verdict[0], cmp->verdict[1]) == 0;
    if (cmp->curves[VS_BY_STRETCHED].reason == NULL) {
        char text[VS_SIDES][VS_TEXT_BYTES];
        char error[VS_TEXT_BYTES + 1];
        const vs_ns load[VS_SIDES] = {cmp->load_end_ns[0] - cmp->load_begin_ns[0],
                                      cmp->load_end_ns[1] - cmp->load_begin_ns[1]};
        const char *const texts[3] = {vs_format_duration(load[0], text[0]),
                                      vs_format_duration(load[1], text[1]),
                                      is_same ? error_text(load, error) : "one died"};
        row(t, "load time", texts, &style);
    }
    const char *const verdicts[3] = {cmp->verdict[0], cmp->verdict[1],
                                     is_same ? "the same" : "differs"};
    row(t, "verdict", verdicts, &style);
    t->y += px(t, GAP);
}

static void errors(table *t)
{
    static const char *const heads[3] = {"", "max", "mean"};
    static const char *const labels[VS_COMPARE_AXIS_COUNT] = {
        [VS_BY_TIME] = "by time",
        [VS_BY_STRETCHED] = "by stretched time",
        [VS_BY_EVENT] = "by allocation",
        [VS_BY_SHARE] = "by share loaded"};
    const vs_comparison *cmp = t->view->cmp;
    const vs_bytes peak = cmp->figures[cmp->desc.metric].peak_bytes[VS_RECORDED];
    head(t, "Curve error, of the peak", heads);
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        const vs_compare_curve *curve = &cmp->curves[i];
        char share[2][VS_TEXT_BYTES];
        const bool is_here = curve->reason == NULL;
        const char *const texts[3] = {
            "", is_here ? vs_compare_share(curve->max_error_bytes, peak, share[0]) : "-",
            is_here ? vs_compare_share(curve->mean_error_bytes, peak, share[1]) : "-"};
        const bool is_drawn = i == (uint32_t)t->view->axis;
        const vs_text_style style = is_drawn ? vs_pen_bold(t->pen, 12, t->pen->style->text)
                                             : vs_pen_style(t->pen, 12, t->pen->style->text);
        row(t, "", texts, &style);
        if (texts[0] != NULL && t->y <= t->side.y + t->side.h) {
            const vs_rect box =
                vs_rect_of(t->side.x, t->y - px(t, ROW), t->side.w / 2, px(t, ROW));
            vs_pen_label(t->pen, box, &style, vs_str_of(labels[i]));
        }
    }
    t->y += px(t, GAP);
}

/* ---- the largest disagreement -------------------------------------------------------------- */

static void category_row(table *t, vs_category category)
{
    const vs_live_difference *live = t->view->live;
    const vs_bytes bytes[VS_SIDES] = {live->moment[0].categories[category],
                                      live->moment[1].categories[category]};
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    const vs_text_style right = vs_aligned(style, VS_ALIGN_RIGHT);
    const int32_t s = px(t, SWATCH);
    const int32_t x = t->side.x + s + px(t, 6);
    if (!has_room(t, ROW)) {
        return;
    }
    vs_pen_swatch(t->pen, vs_rect_of(t->side.x, t->y + (px(t, ROW) - s) / 2, s, s), category);
    vs_pen_label(t->pen, vs_rect_of(x, t->y, cell(t, 1).x - x, px(t, ROW)), &style,
                 vs_str_of(vs_category_label(category)));
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        char size[VS_TEXT_BYTES];
        vs_pen_label(t->pen, cell(t, side + 1), &right,
                     vs_str_of(bytes[side] > 0 ? vs_format_size(bytes[side], size) : "-"));
    }
    t->y += px(t, ROW);
}

static void group_rows(table *t, uint32_t side)
{
    const vs_live_difference *live = t->view->live;
    char size[VS_TEXT_BYTES];
    char count[VS_TEXT_BYTES];
    const vs_text_style dim = vs_pen_style(t->pen, 12, t->pen->style->dim);
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    /* Samples of a whole card tell of no blocks: none can be missing from them. */
    const bool has_blocks = t->view->cmp->desc.tl[VS_PREDICTED]->block_count > 0 &&
                            t->view->cmp->desc.tl[VS_RECORDED]->block_count > 0;
    if (live->only_count[side] == 0 || !has_blocks || !has_room(t, 2 * ROW)) {
        return;
    }
    vs_pen_printf(t->pen, vs_rect_of(t->side.x, t->y, t->side.w, px(t, ROW)), &dim,
                  "only %s: %s block%s, %s",
                  side == VS_PREDICTED ? "in the prediction" : "in the recording",
                  vs_format_grouped(live->only_count[side], count),
                  live->only_count[side] == 1 ? "" : "s",
                  vs_format_size(live->only_bytes[side], size));
    t->y += px(t, ROW);
    for (uint32_t i = 0; i < live->group_count[side] && i < NAMES && has_room(t, ROW); i++) {
        const vs_live_group *group = &live->groups[side][i];
        vs_pen_printf(
            t->pen, vs_rect_of(t->side.x + px(t, 8), t->y, t->side.w - px(t, 8), px(t, ROW)),
            &style, "%" PRIu32 " x %s  %s", group->count,
            vs_format_size(group->size_bytes, size),
            group->name[0] != '\0' ? group->name : vs_category_label(group->category));
        t->y += px(t, ROW);
    }
}

static void disagreement(table *t)
{
    static const char *const heads[3] = {"", "predicted", "recorded"};
    static const char *const no_heads[3] = {"", "", ""};
    const vs_compare_curve *curve = &t->view->cmp->curves[t->view->axis];
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    char place[VS_PLACE_BYTES];
    if (curve->max_error_bytes == 0) {
        head(t, "The curves are the same everywhere", no_heads);
        return;
    }
    head(t, "Largest disagreement", heads);
    if (has_room(t, ROW)) {
        vs_pen_label(
            t->pen, vs_rect_of(t->side.x, t->y, t->side.w, px(t, ROW)), &style,
            vs_str_of(vs_compare_place(t->view->cmp, t->view->axis, curve->at, place)));
        t->y += px(t, ROW);
    }
    for (uint32_t i = VS_CAT_COUNT; i-- > 0;) {
        const vs_category category = vs_stack_order[i];
        if (t->view->live->moment[0].categories[category] > 0 ||
            t->view->live->moment[1].categories[category] > 0) {
            category_row(t, category);
        }
    }
    t->y += px(t, 4);
    group_rows(t, VS_PREDICTED);
    group_rows(t, VS_RECORDED);
}

void vs_compare_side_draw(const vs_compare_view *view, const vs_pen *pen, vs_rect side)
{
    table t = {.view = view, .pen = pen, .side = side, .y = side.y};
    if (side.w <= 0) {
        return;
    }
    vs_draw_push_clip(pen->list, side);
    figures(&t);
    errors(&t);
    disagreement(&t);
    vs_draw_pop_clip(pen->list);
}
