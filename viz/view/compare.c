/* Both curves come as one column a pixel, each with the smallest and greatest value of either run and the most that
 * one is above the other. Everything is rectangles, equal neighbours fused, so that PNG and SVG are sharp. */
#include "viz/view/compare_paint.h"

#include "viz/ui/text.h"
#include "viz/view/headline.h"

#include <stdio.h>
#include <string.h>

enum {
    MARGIN = 14,
    GUTTER = 86,
    HEADER = 84,
    FOOTER = 24,
    TITLE = 22,
    AXIS = 40, /* labels and what they count */
    SIDE = 330,
    SIDE_FROM = 900, /* logical width from which there is a side column */
    STRIP_MIN = 60,
    HEADROOM = 42, /* above the highest line: labels */
    TICK_GAP = 90,
    BYTES_GAP = 34
};

static int32_t px(const vs_compare_view *view, int32_t logical)
{
    return vs_scaled(view->scale_pct, logical);
}

/* ---- words ------------------------------------------------------------------------------- */

/* What both did. */
static const char *both(const char *verdict)
{
    return strcmp(verdict, "fits") == 0        ? "both fit"
           : strcmp(verdict, "oom") == 0       ? "both run out of memory"
           : strcmp(verdict, "host_oom") == 0  ? "both are killed, out of host RAM"
           : strcmp(verdict, "disk_full") == 0 ? "both fill the disk"
                                               : "both fail";
}

static const char *outcome(const char *verdict)
{
    return strcmp(verdict, "oom") == 0         ? "out of memory"
           : strcmp(verdict, "host_oom") == 0  ? "killed, out of host RAM"
           : strcmp(verdict, "disk_full") == 0 ? "disk full"
                                               : verdict;
}

static bool has_same_verdict(const vs_compare_view *view)
{
    return strcmp(view->cmp->verdict[VS_PREDICTED], view->cmp->verdict[VS_RECORDED]) == 0;
}

const char *vs_compare_sentence(const vs_compare_view *view, char buf[VS_COMPARE_LINE_BYTES])
{
    const vs_comparison *cmp = view->cmp;
    const vs_bytes *peak = cmp->figures[cmp->desc.metric].peak_bytes;
    const bool is_less = peak[VS_PREDICTED] < peak[VS_RECORDED];
    char size[VS_SIDES][VS_TEXT_BYTES];
    char share[VS_TEXT_BYTES];
    char verdict[128];
    if (has_same_verdict(view)) {
        (void)snprintf(verdict, sizeof verdict, "%s", both(cmp->verdict[VS_RECORDED]));
    } else {
        (void)snprintf(verdict, sizeof verdict, "predicted: %s, recorded: %s",
                       outcome(cmp->verdict[VS_PREDICTED]), outcome(cmp->verdict[VS_RECORDED]));
    }
    vs_format_size(peak[VS_PREDICTED], size[VS_PREDICTED]);
    vs_format_size(peak[VS_RECORDED], size[VS_RECORDED]);
    if (peak[VS_PREDICTED] == peak[VS_RECORDED]) {
        (void)snprintf(buf, VS_COMPARE_LINE_BYTES, "%s; peak %s %s in both, to the byte",
                       verdict, vs_compare_metric_key(cmp->desc.metric), size[VS_RECORDED]);
        return buf;
    }
    const vs_bytes far = is_less ? peak[VS_RECORDED] - peak[VS_PREDICTED]
                                 : peak[VS_PREDICTED] - peak[VS_RECORDED];
    vs_compare_share(far, peak[VS_RECORDED], share);
    (void)snprintf(buf, VS_COMPARE_LINE_BYTES, "%s; peak %s %s predicted, %s recorded (%s%s)",
                   verdict, vs_compare_metric_key(cmp->desc.metric), size[VS_PREDICTED],
                   size[VS_RECORDED], is_less ? "-" : "+", share);
    return buf;
}

static const char *axis_title(const vs_compare_view *view, char buf[VS_COMPARE_LINE_BYTES])
{
    static const char *const zeros[VS_COMPARE_ALIGN_COUNT] = {
        [VS_FROM_FIRST] = "time from each run's first allocation on the card",
        [VS_FROM_START] = "time from the start of each file",
        [VS_FROM_OOM] = "time, both runs aligned where they run out of memory"};
    char size[VS_TEXT_BYTES];
    const char *text = "";
    switch (view->axis) {
    case VS_BY_TIME:
        text = view->cmp->desc.align == VS_FROM_FIRST && view->cmp->ends == VS_LOAD_BY_CURVE
                   ? "time from each run's first bytes on the card"
                   : zeros[view->cmp->desc.align];
        break;
    case VS_BY_STRETCHED: text = "share of each run's own load time"; break;
    case VS_BY_EVENT: text = "allocations on the card"; break;
    case VS_BY_SHARE:
        (void)snprintf(buf, VS_COMPARE_LINE_BYTES, "share of the bytes %s (100 %% is %s)",
                       view->cmp->has_progress ? "loaded" : "allocated so far",
                       vs_format_size(view->cmp->loaded_total_bytes, size));
        return buf;
    case VS_COMPARE_AXIS_COUNT: break;
    }
    (void)snprintf(buf, VS_COMPARE_LINE_BYTES, "%s", text);
    return buf;
}

/* ---- prepare ----------------------------------------------------------------------------- */

static void place_panes(vs_compare_frame *frame, const vs_compare_view *view)
{
    const int32_t w = view->width;
    const int32_t margin = px(view, MARGIN);
    const int32_t side = w >= px(view, SIDE_FROM) ? px(view, SIDE) : 0;
    const int32_t x = px(view, GUTTER);
    const int32_t right = side > 0 ? side + 2 * margin : 2 * margin;
    const int32_t plot_w = w - x - right > 1 ? w - x - right : 1;
    const int32_t top = px(view, HEADER);
    const int32_t bottom = view->height - px(view, FOOTER);
    int32_t room = bottom - top - 2 * px(view, TITLE) - px(view, AXIS) - px(view, 6);
    room = room > 6 ? room : 6; /* too small to read, but whole */
    int32_t strip = room * 27 / 100;
    strip = strip < px(view, STRIP_MIN)
                ? (room < 3 * px(view, STRIP_MIN) ? room / 3 : px(view, STRIP_MIN))
                : strip;
    frame->header = vs_rect_of(0, 0, w, top);
    frame->title = vs_rect_of(x, top, plot_w, px(view, TITLE));
    int32_t y = top + px(view, TITLE);
    frame->plot = vs_rect_of(x, y, plot_w, room - strip);
    y += frame->plot.h + px(view, 6);
    frame->strip_title = vs_rect_of(x, y, plot_w, px(view, TITLE));
    y += px(view, TITLE);
    frame->strip = vs_rect_of(x, y, plot_w, strip);
    frame->axis = vs_rect_of(x, y + strip, plot_w, px(view, AXIS));
    frame->side = vs_rect_of(w - side - margin, top, side, bottom - top);
    frame->footer = vs_rect_of(0, bottom, w, px(view, FOOTER));
}

/* The card's capacity, less what is not the allocator's when only the allocator's bytes are shown. */
static void find_limits(vs_compare_frame *frame, const vs_compare_view *view)
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_timeline *tl = view->cmp->desc.tl[side];
        const uint8_t device = view->cmp->desc.device[side];
        const vs_bytes capacity = tl->devices[device].capacity_bytes;
        const vs_bytes others =
            compare_level(tl, device, VS_CAT_CONTEXT) + compare_level(tl, device, VS_CAT_OTHER);
        const bool is_part = view->cmp->desc.metric != VS_COMPARE_USED && others < capacity;
        frame->limit_less[side] = is_part ? others : 0;
        frame->limit_bytes[side] = capacity - frame->limit_less[side];
    }
    frame->limit_side = frame->limit_bytes[VS_RECORDED] > 0 ? VS_RECORDED : VS_PREDICTED;
}

/* top at HEADROOM below the upper edge of a plot of height h. */
static vs_bytes with_headroom(const vs_compare_view *view, vs_bytes top, int32_t h)
{
    const int32_t room = px(view, HEADROOM);
    const int32_t used = h > 3 * room ? h - room : h - h / 3;
    vs_bytes raised = 0;
    return used > 0 && vs_muldiv_ceil_u64(top, (uint64_t)h, (uint64_t)used, &raised) ? raised
                                                                                     : top;
}

static void find_scale(vs_compare_frame *frame, const vs_compare_view *view)
{
    vs_bytes top = frame->limit_bytes[frame->limit_side];
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_bytes peak = view->cmp->figures[view->cmp->desc.metric].peak_bytes[side];
        top = peak > top ? peak : top;
    }
    top = top > 0 ? top : VS_GIB;
    frame->top_bytes = with_headroom(view, top, frame->plot.h);
    vs_axis_bytes(&frame->bytes_axis, frame->top_bytes, frame->plot.h, px(view, BYTES_GAP));
    for (int32_t x = 0; x < frame->plot.w; x++) {
        const vs_compare_column *c = &frame->columns[x];
        frame->above_bytes = c->above > frame->above_bytes ? c->above : frame->above_bytes;
        frame->below_bytes = c->below > frame->below_bytes ? c->below : frame->below_bytes;
    }
    /* Neither side of zero vanishes, and there is some air. */
    const vs_bytes sum = frame->above_bytes + frame->below_bytes;
    const vs_bytes air = sum / 8 > 0 ? sum / 8 : 1;
    frame->above_bytes += air;
    frame->below_bytes += air;
}

/* The smallest of 1, 2, 5 times a power of ten that is at least this. */
static uint64_t round_step(uint64_t least)
{
    uint64_t decade = 1;
    while (decade < UINT64_MAX / 100 && decade * 10 < least) {
        decade *= 10;
    }
    static const uint64_t steps[] = {1, 2, 5, 10};
    size_t i = 0;
    while (i < 3 && decade * steps[i] < least) {
        i++;
    }
    return decade * steps[i];
}

static void count_ticks(vs_axis *axis, uint64_t end, int32_t width, int32_t gap)
{
    uint64_t least = 1;
    if (!vs_muldiv_ceil_u64(end, (uint64_t)gap, (uint64_t)width, &least)) {
        return;
    }
    axis->step = round_step(least > 0 ? least : 1);
    for (uint64_t v = 0; v <= end && axis->count < VS_TICKS_MAX; v += axis->step) {
        vs_tick *tick = &axis->ticks[axis->count++];
        tick->value = v;
        vs_format_grouped(v, tick->label);
        if (v > UINT64_MAX - axis->step) {
            break;
        }
    }
}

static void share_ticks(vs_axis *axis, uint64_t end, int32_t width, int32_t gap)
{
    const uint64_t least = (uint64_t)(100 * gap / width) + 1;
    axis->step = least <= 10   ? 10
                 : least <= 20 ? 20
                 : least <= 25 ? 25
                 : least <= 50 ? 50
                               : 100;
    for (uint64_t percent = 0; percent <= 100; percent += axis->step) {
        vs_tick *tick = &axis->ticks[axis->count++];
        if (!vs_muldiv_u64(end, percent, 100, &tick->value)) {
            tick->value = end;
        }
        (void)snprintf(tick->label, sizeof tick->label, "%" PRIu64 " %%", percent);
    }
}

static void find_ticks(vs_compare_frame *frame, const vs_compare_view *view)
{
    const uint64_t end = compare_curve_of(view)->end;
    const int32_t gap = px(view, TICK_GAP);
    vs_axis *axis = &frame->position_axis;
    switch (view->axis) {
    case VS_BY_TIME: vs_axis_time(axis, 0, end, frame->plot.w, gap); break;
    case VS_BY_EVENT: count_ticks(axis, end, frame->plot.w, gap); break;
    case VS_BY_STRETCHED:
    case VS_BY_SHARE: share_ticks(axis, end, frame->plot.w, gap); break;
    case VS_COMPARE_AXIS_COUNT: break;
    }
}

bool vs_compare_view_prepare(vs_compare_frame *frame, const vs_compare_view *view,
                             vs_arena *arena)
{
    *frame = (vs_compare_frame){0};
    place_panes(frame, view);
    frame->columns = VS_ARRAY(arena, vs_compare_column, (size_t)frame->plot.w);
    if (frame->columns == NULL) {
        return false;
    }
    vs_compare_columns(compare_curve_of(view), frame->columns, (uint32_t)frame->plot.w);
    find_limits(frame, view);
    find_scale(frame, view);
    find_ticks(frame, view);
    return true;
}

/* ---- curves ------------------------------------------------------------------------------ */

/* From here on a run's last value is held. */
static int32_t held_from(const compare_painter *p, uint32_t side)
{
    const vs_compare_curve *curve = compare_curve_of(p->view);
    return curve->until[side] < curve->end ? paint_column(p, curve->until[side]) + 1
                                           : p->frame->plot.w;
}

static void draw_filled(const compare_painter *p)
{
    const vs_rect plot = p->frame->plot;
    const vs_style *style = p->pen->style;
    const int32_t held = held_from(p, VS_PREDICTED);
    const vs_color fill = vs_color_mix(style->plot, style->run_a, 130);
    const vs_fill held_fill = {vs_color_mix(style->plot, style->run_a, 40),
                               vs_color_mix(style->plot, style->run_a, 110), VS_HATCH_SPARSE};
    vs_rect piece = {0, 0, 0, 0};
    for (int32_t x = 0; x <= plot.w; x++) {
        const bool is_held = x > held;
        const int32_t y =
            x < plot.w ? paint_y(p, p->frame->columns[x].max[VS_PREDICTED]) : plot.y + plot.h;
        if (piece.w > 0 && x < plot.w && piece.y == y && x != held) {
            piece.w++;
            continue;
        }
        const vs_fill plain = {.color = fill, .hatch = VS_HATCH_NONE};
        vs_draw_fill(p->pen->list, piece, is_held ? held_fill : plain);
        if (piece.h > 0) {
            vs_draw_rect(p->pen->list, vs_rect_of(piece.x, piece.y, piece.w, paint_px(p, 1)),
                         style->run_a);
        }
        piece = vs_rect_of(plot.x + x, y, 1, plot.y + plot.h - y);
    }
}

typedef struct {
    int32_t width; /* of the line */
    vs_color color;
    vs_color held;
} outline;

/* Columns [from, to) at one height. */
static void draw_run(const compare_painter *p, const outline *line, int32_t from, int32_t to,
                     int32_t y)
{
    const vs_rect plot = p->frame->plot;
    const int32_t held = held_from(p, VS_RECORDED);
    const int32_t middle = held < from ? from : held < to ? held : to;
    const int32_t top = y - line->width / 2;
    vs_draw_rect(p->pen->list, vs_rect_of(plot.x + from, top, middle - from, line->width),
                 line->color);
    vs_draw_rect(p->pen->list, vs_rect_of(plot.x + middle, top, to - middle, line->width),
                 line->held);
}

/* A step line: runs of equal height, joined by uprights, which also reach down to the smallest value of their column. */
static void draw_outline(const compare_painter *p, const outline *line)
{
    const vs_rect plot = p->frame->plot;
    const int32_t half = line->width / 2;
    int32_t from = 0;
    int32_t last = plot.y + plot.h;
    for (int32_t x = 0; x < plot.w; x++) {
        const vs_compare_column *c = &p->frame->columns[x];
        const int32_t y = paint_y(p, c->max[VS_RECORDED]);
        const int32_t low = paint_y(p, c->min[VS_RECORDED]);
        if (y == last && low == y) {
            continue;
        }
        const int32_t top = y < last ? y : last;
        const int32_t foot = low > last ? low : last;
        draw_run(p, line, from, x, last);
        vs_draw_rect(
            p->pen->list,
            vs_rect_of(plot.x + x - half, top - half, line->width, foot - top + line->width),
            line->color);
        from = x;
        last = y;
    }
    draw_run(p, line, from, plot.w, last);
}

static void draw_curves(const compare_painter *p)
{
    const vs_style *style = p->pen->style;
    const int32_t width = paint_px(p, 2);
    const outline halo = {.width = width + 2 * paint_px(p, 1),
                          .color = vs_color_with_alpha(style->plot, 150),
                          .held = vs_color_with_alpha(style->plot, 60)};
    const outline line = {
        .width = width, .color = style->run_b, .held = vs_color_with_alpha(style->run_b, 130)};
    vs_draw_push_clip(p->pen->list, p->frame->plot);
    draw_filled(p);
    paint_limits(p);
    draw_outline(p, &halo);
    draw_outline(p, &line);
    vs_draw_pop_clip(p->pen->list);
}

/* ---- the strip --------------------------------------------------------------------------- */

/* Pixel row of a difference: up is recorded above predicted. */
static int32_t strip_y(const compare_painter *p, vs_bytes bytes, bool is_above)
{
    const vs_rect strip = p->frame->strip;
    const vs_bytes whole = p->frame->above_bytes + p->frame->below_bytes;
    uint64_t up = 0;
    uint64_t zero = 0;
    if (!vs_muldiv_u64(bytes, (uint64_t)strip.h, whole, &up) ||
        !vs_muldiv_u64(p->frame->above_bytes, (uint64_t)strip.h, whole, &zero)) {
        return strip.y; /* cannot be: both are parts of a whole that is not 0 */
    }
    return strip.y + (int32_t)zero + (is_above ? -(int32_t)up : (int32_t)up);
}

static void draw_residual(const compare_painter *p, bool is_above)
{
    const vs_rect strip = p->frame->strip;
    const vs_style *style = p->pen->style;
    const int32_t zero = strip_y(p, 0, true);
    const vs_color color =
        vs_color_mix(style->plot, is_above ? style->run_b : style->run_a, 210);
    vs_rect piece = {0, 0, 0, 0};
    for (int32_t x = 0; x <= strip.w; x++) {
        const vs_compare_column *c = x < strip.w ? &p->frame->columns[x] : NULL;
        const vs_bytes bytes = c == NULL ? 0 : is_above ? c->above : c->below;
        const int32_t y = strip_y(p, bytes, is_above);
        int32_t h = is_above ? zero - y : y - zero;
        h = h == 0 && bytes > 0 ? 1 : h; /* there, but thinner than a pixel */
        const int32_t top = is_above ? zero - h : zero;
        if (piece.w > 0 && c != NULL && piece.h == h) {
            piece.w++;
            continue;
        }
        vs_draw_rect(p->pen->list, piece, color);
        piece = vs_rect_of(strip.x + x, top, 1, h);
    }
}

/* A label in the gutter beside a line of the strip. */
static void strip_label(const compare_painter *p, int32_t y, const char *sign, vs_bytes bytes)
{
    const vs_style *style = p->pen->style;
    const vs_rect strip = p->frame->strip;
    const vs_text_style text = vs_aligned(vs_pen_style(p->pen, 11, style->dim), VS_ALIGN_RIGHT);
    const int32_t half = paint_px(p, 8);
    char size[VS_TEXT_BYTES];
    vs_draw_rect(p->pen->list, vs_rect_of(strip.x, y, strip.w, 1), style->grid);
    vs_pen_printf(p->pen, vs_rect_of(0, y - half, strip.x - half, 2 * half), &text, "%s%s",
                  sign, bytes == 0 ? "0" : vs_format_size(bytes, size));
}

/* The greatest error on either side, where there is room for its label. */
static void strip_ends(const compare_painter *p)
{
    vs_bytes most[VS_SIDES] = {0, 0};
    for (int32_t x = 0; x < p->frame->plot.w; x++) {
        const vs_compare_column *c = &p->frame->columns[x];
        most[0] = c->below > most[0] ? c->below : most[0];
        most[1] = c->above > most[1] ? c->above : most[1];
    }
    const int32_t zero = strip_y(p, 0, true);
    for (uint32_t i = 0; i < 2; i++) {
        const int32_t y = strip_y(p, most[i], i == 1);
        if (most[i] > 0 && (y > zero + paint_px(p, 14) || y < zero - paint_px(p, 14))) {
            strip_label(p, y, i == 1 ? "+" : "-", most[i]);
        }
    }
    strip_label(p, zero, "", 0);
}

static void draw_strip(const compare_painter *p)
{
    const vs_compare_curve *curve = compare_curve_of(p->view);
    const vs_style *style = p->pen->style;
    const vs_rect title = p->frame->strip_title;
    const vs_bytes peak =
        p->view->cmp->figures[p->view->cmp->desc.metric].peak_bytes[VS_RECORDED];
    char max[VS_TEXT_BYTES];
    char max_share[VS_TEXT_BYTES];
    char mean[VS_TEXT_BYTES];
    char mean_share[VS_TEXT_BYTES];
    vs_draw_rect(p->pen->list, p->frame->strip, style->plot);
    strip_ends(p);
    draw_residual(p, true);
    draw_residual(p, false);
    vs_draw_rect(p->pen->list, vs_rect_of(title.x, strip_y(p, 0, true), title.w, 1),
                 style->dim);
    const vs_text_style bold = vs_pen_bold(p->pen, 12, style->text);
    const vs_text_style right =
        vs_aligned(vs_pen_style(p->pen, 12, style->text), VS_ALIGN_RIGHT);
    const int32_t used = vs_pen_printf(
        p->pen, vs_rect_of(title.x + title.w / 3, title.y, title.w - title.w / 3, title.h),
        &right, "error: max %s = %s, mean %s = %s of the recorded peak",
        vs_format_size(curve->max_error_bytes, max),
        vs_compare_share(curve->max_error_bytes, peak, max_share),
        vs_format_size(curve->mean_error_bytes, mean),
        vs_compare_share(curve->mean_error_bytes, peak, mean_share));
    vs_pen_label(p->pen,
                 vs_rect_of(title.x, title.y, title.w - used - paint_px(p, 12), title.h), &bold,
                 vs_str_of("recorded minus predicted"));
}

/* ---- furniture --------------------------------------------------------------------------- */

static void draw_swatch(const compare_painter *p, vs_rect box, uint32_t side)
{
    const vs_style *style = p->pen->style;
    if (side == VS_PREDICTED) {
        vs_draw_rect(p->pen->list, box, vs_color_mix(style->plot, style->run_a, 130));
        vs_draw_rect(p->pen->list, vs_rect_of(box.x, box.y, box.w, paint_px(p, 2)),
                     style->run_a);
    } else {
        vs_draw_rect(p->pen->list, box, style->plot);
        vs_draw_rect(
            p->pen->list,
            vs_rect_of(box.x, box.y + box.h / 2 - paint_px(p, 1), box.w, paint_px(p, 2)),
            style->run_b);
    }
}

static void draw_header(const compare_painter *p)
{
    const vs_style *style = p->pen->style;
    const bool is_same = has_same_verdict(p->view);
    const char *badge = is_same ? "SAME VERDICT" : "VERDICTS DIFFER";
    char line[VS_HEADLINE_BYTES];
    const int32_t margin = paint_px(p, MARGIN);
    const int32_t top = paint_px(p, 9);
    const int32_t h = paint_px(p, 24);
    const vs_text_style bold =
        vs_pen_bold(p->pen, 15, is_same ? style->ok_text : style->oom_text);
    const vs_text_style center = vs_aligned(bold, VS_ALIGN_CENTER);
    const int32_t w =
        vs_text_width(&p->pen->metrics, &bold, vs_str_of(badge)) + 2 * paint_px(p, 9);
    vs_draw_rect(p->pen->list, vs_rect_of(margin, top, w, h), is_same ? style->ok : style->oom);
    vs_pen_label(p->pen, vs_rect_of(margin, top, w, h), &center, vs_str_of(badge));
    const int32_t x = margin + w + paint_px(p, 12);
    const vs_text_style sentence = vs_pen_bold(p->pen, 15, style->text);
    vs_pen_label(p->pen, vs_rect_of(x, top, p->view->width - x - margin, h), &sentence,
                 vs_str_of(vs_compare_sentence(p->view, line)));
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const int32_t row = paint_px(p, 19);
        const int32_t y = top + h + paint_px(p, 5) + (int32_t)side * row;
        const vs_text_style name = vs_pen_bold(p->pen, 13, style->text);
        const vs_text_style dim = vs_pen_style(p->pen, 13, style->dim);
        draw_swatch(p, vs_rect_of(margin, y + paint_px(p, 3), paint_px(p, 22), paint_px(p, 13)),
                    side);
        const int32_t name_x = margin + paint_px(p, 30);
        const int32_t text_x = name_x + paint_px(p, 84);
        vs_pen_label(p->pen, vs_rect_of(name_x, y, text_x - name_x, row), &name,
                     vs_str_of(side == VS_PREDICTED ? "predicted" : "recorded"));
        vs_pen_label(p->pen, vs_rect_of(text_x, y, p->view->width - text_x - margin, row), &dim,
                     vs_str_of(vs_headline_title(p->view->sources[side], NULL, line)));
    }
}

static void draw_axis(const compare_painter *p)
{
    const vs_compare_frame *frame = p->frame;
    const vs_style *style = p->pen->style;
    const vs_rect axis = frame->axis;
    const vs_text_style center =
        vs_aligned(vs_pen_style(p->pen, 12, style->dim), VS_ALIGN_CENTER);
    char title[VS_COMPARE_LINE_BYTES];
    for (uint32_t i = 0; i < frame->position_axis.count; i++) {
        const vs_tick *tick = &frame->position_axis.ticks[i];
        const int32_t x = axis.x + paint_column(p, tick->value);
        const int32_t half =
            vs_text_width(&p->pen->metrics, &center, vs_str_of(tick->label)) / 2 + 1;
        vs_draw_rect(p->pen->list, vs_rect_of(x, axis.y, 1, paint_px(p, 4)), style->dim);
        if (x + half <= axis.x + axis.w + 2 * paint_px(p, MARGIN)) {
            vs_pen_label(
                p->pen,
                vs_rect_of(x - half, axis.y + paint_px(p, 3), 2 * half, paint_px(p, 19)),
                &center, vs_str_of(tick->label));
        }
    }
    vs_pen_label(p->pen,
                 vs_rect_of(axis.x, axis.y + paint_px(p, 21), axis.w, axis.h - paint_px(p, 22)),
                 &center, vs_str_of(axis_title(p->view, title)));
}

static void draw_grid(const compare_painter *p, vs_rect pane)
{
    for (uint32_t i = 0; i < p->frame->position_axis.count; i++) {
        const int32_t x = paint_column(p, p->frame->position_axis.ticks[i].value);
        vs_draw_rect(p->pen->list, vs_rect_of(pane.x + x, pane.y, 1, pane.h),
                     p->pen->style->grid);
    }
}

static void draw_footer(const compare_painter *p)
{
    const vs_rect footer = p->frame->footer;
    const int32_t margin = paint_px(p, MARGIN);
    const vs_text_style left = vs_pen_style(p->pen, 11, p->pen->style->dim);
    const vs_text_style right = vs_aligned(left, VS_ALIGN_RIGHT);
    vs_draw_rect(p->pen->list, vs_rect_of(footer.x, footer.y, footer.w, 1),
                 p->pen->style->grid);
    vs_rect box = vs_rect_of(margin, footer.y, footer.w - 2 * margin, footer.h);
    const int32_t used = vs_pen_label(
        p->pen, box, &right,
        vs_str_of("hatched or pale: after its end a run keeps its last value   \xC2\xB7   "
                  "vramscope " VS_VERSION));
    box.w -= used + 2 * margin;
    vs_pen_label(p->pen, box, &left,
                 vs_str_of(vs_source_meta(p->view->sources[VS_PREDICTED], "command")));
}

void vs_compare_view_draw(const vs_compare_frame *frame, const vs_compare_view *view,
                          vs_draw_list *list)
{
    const vs_pen pen = {.list = list,
                        .arena = list->arena,
                        .style = vs_style_of(view->theme),
                        .metrics = view->metrics,
                        .scale_pct = view->scale_pct};
    compare_painter p = {.frame = frame, .view = view, .pen = &pen};
    p.memory = (vs_memory){.capacity_bytes = frame->limit_bytes[frame->limit_side]};
    p.scale = (vs_stack){
        .memory = &p.memory, .top_bytes = frame->top_bytes, .axis = frame->bytes_axis};
    list->hatch_scale = vs_scaled(view->scale_pct, 1);
    vs_draw_rect(list, vs_rect_of(0, 0, view->width, view->height), pen.style->window);
    draw_header(&p);
    paint_title(&p);
    vs_stack_draw_ground(&p.scale, &pen, frame->plot);
    draw_grid(&p, frame->plot);
    draw_curves(&p);
    paint_limit_labels(&p);
    draw_strip(&p);
    draw_grid(&p,
              vs_rect_of(frame->strip.x, frame->strip.y + frame->strip.h, frame->strip.w, 0));
    draw_axis(&p);
    paint_disagreement(&p);
    paint_ooms(&p);
    vs_compare_side_draw(view, &pen, frame->side);
    draw_footer(&p);
}
