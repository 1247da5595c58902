/* What stands on the plot of a comparison: its title, the limits of the cards, where a run died, where the curves are furthest
 * apart. Labels keep clear of each other, and are left out where they would hide what they label. */
#include "viz/view/compare_paint.h"

#include <stdio.h>

/* The column that covers a position. */
int32_t paint_column(const compare_painter *p, uint64_t position)
{
    const uint64_t end = compare_curve_of(p->view)->end;
    uint64_t column = 0;
    if (end == 0 || !vs_muldiv_u64(position, (uint64_t)p->frame->plot.w, end, &column)) {
        return 0;
    }
    return column < (uint64_t)p->frame->plot.w ? (int32_t)column : p->frame->plot.w - 1;
}

vs_bytes compare_level(const vs_timeline *tl, uint8_t device, vs_category category)
{
    const uint32_t track = vs_timeline_find_track(tl, device, VS_TRACK_CATEGORY, category);
    return track == VS_NO_TRACK ? 0 : tl->tracks[track].max;
}

/* A label on the plot must leave something of it to be seen. */
static bool has_room(const compare_painter *p, const vs_text_style *style, const char *text)
{
    const vs_rect plot = p->frame->plot;
    return vs_text_width(&p->pen->metrics, style, vs_str_of(text)) + paint_px(p, 24) <=
               plot.w &&
           plot.h >= 3 * style->size_px;
}

/* Labels stand on the side where no run died. */
static bool has_late_oom(const compare_painter *p)
{
    bool is_late = false;
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const uint64_t at = compare_curve_of(p->view)->oom_at[side];
        is_late = is_late || (p->view->cmp->oom[side].exists &&
                              paint_column(p, at) > p->frame->plot.w / 2);
    }
    return is_late;
}

static void limit_label(const compare_painter *p, uint32_t side, int32_t y, const char *whose)
{
    const vs_rect plot = p->frame->plot;
    const vs_style *style = p->pen->style;
    char size[VS_TEXT_BYTES];
    char less[VS_TEXT_BYTES];
    char text[160];
    vs_format_size(p->frame->limit_bytes[side], size);
    if (p->frame->limit_less[side] > 0) {
        (void)snprintf(text, sizeof text,
                       "%sroom on the card %s (capacity less %s of context%s)", whose, size,
                       vs_format_size(p->frame->limit_less[side], less),
                       compare_level(p->view->cmp->desc.tl[side],
                                     p->view->cmp->desc.device[side], VS_CAT_OTHER) > 0
                           ? " and others"
                           : "");
    } else {
        (void)snprintf(text, sizeof text, "%scapacity %s", whose, size);
    }
    const bool is_left = has_late_oom(p);
    const vs_text_style label = vs_aligned(vs_pen_style(p->pen, 12, style->text),
                                           is_left ? VS_ALIGN_LEFT : VS_ALIGN_RIGHT);
    if (!has_room(p, &label, text)) {
        (void)snprintf(text, sizeof text, "%s", size);
    }
    if (!has_room(p, &label, text)) {
        return;
    }
    const int32_t x = is_left ? plot.x + paint_px(p, 6) : plot.x + plot.w - paint_px(p, 6);
    const int32_t above = y - label.size_px - paint_px(p, 5) - paint_px(p, 3);
    vs_pen_plate(p->pen, (vs_point){x, above}, &label, vs_color_with_alpha(style->plot, 225),
                 vs_str_of(text));
}

/* Is there another limit to show beside the picture's? */
static bool has_other_limit(const compare_painter *p)
{
    const vs_bytes *limits = p->frame->limit_bytes;
    const vs_bytes other = limits[VS_SIDES - 1 - p->frame->limit_side];
    return other > 0 && other != limits[p->frame->limit_side] && other < p->frame->top_bytes;
}

/* A whole line for the picture's limit, dashes for that of the other run where it is another. */
void paint_limits(const compare_painter *p)
{
    const vs_compare_frame *frame = p->frame;
    const vs_rect plot = frame->plot;
    const vs_color color = p->pen->style->capacity;
    const int32_t line = paint_px(p, 2);
    if (has_other_limit(p)) {
        const int32_t y = paint_y(p, frame->limit_bytes[VS_SIDES - 1 - frame->limit_side]);
        vs_draw_dashes(p->pen->list, vs_rect_of(plot.x, y, plot.w, 1), paint_px(p, 6), color);
    }
    if (frame->limit_bytes[frame->limit_side] > 0) {
        const int32_t y = paint_y(p, frame->limit_bytes[frame->limit_side]);
        vs_draw_rect(p->pen->list, vs_rect_of(plot.x, y - line / 2, plot.w, line), color);
    }
}

void paint_limit_labels(const compare_painter *p)
{
    const uint32_t first = p->frame->limit_side;
    const bool has_other = has_other_limit(p);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const bool is_shown = side == first ? p->frame->limit_bytes[side] > 0 : has_other;
        if (is_shown) {
            limit_label(p, side, paint_y(p, p->frame->limit_bytes[side]),
                        side == VS_PREDICTED ? "predicted: "
                        : has_other          ? "recorded: "
                                             : "");
        }
    }
}

static void draw_cross(const compare_painter *p, vs_point center)
{
    const int32_t arm = paint_px(p, 8);
    const vs_point down[2] = {{center.x - arm, center.y - arm},
                              {center.x + arm, center.y + arm}};
    const vs_point up[2] = {{center.x - arm, center.y + arm}, {center.x + arm, center.y - arm}};
    const vs_style *style = p->pen->style;
    const int32_t widths[2] = {paint_px(p, 5), paint_px(p, 3)};
    const vs_color colors[2] = {style->text, style->oom};
    for (size_t i = 0; i < 2; i++) {
        vs_draw_lines(p->pen->list, down, 2, widths[i], colors[i]);
        vs_draw_lines(p->pen->list, up, 2, widths[i], colors[i]);
    }
}

/* The tag of a failure: one below the other, in the title line, on the side of the line where there is room. */
typedef struct {
    char text[128];
    vs_text_style style;
    vs_point at;
    vs_rect box;
} oom_tag;

static oom_tag tag_of(const compare_painter *p, uint32_t side)
{
    const vs_rect plot = p->frame->plot;
    const int32_t column = paint_column(p, compare_curve_of(p->view)->oom_at[side]);
    const bool is_right = column > plot.w / 2;
    char size[VS_TEXT_BYTES];
    oom_tag tag = {.style = vs_aligned(vs_pen_bold(p->pen, 12, p->pen->style->oom_text),
                                       is_right ? VS_ALIGN_RIGHT : VS_ALIGN_LEFT)};
    (void)snprintf(tag.text, sizeof tag.text, "%s: OOM  +%s",
                   side == VS_PREDICTED ? "predicted" : "recorded",
                   vs_format_size(p->view->cmp->oom[side].requested_bytes, size));
    const int32_t w =
        vs_text_width(&p->pen->metrics, &tag.style, vs_str_of(tag.text)) + 2 * paint_px(p, 5);
    const bool is_second = side == VS_RECORDED && p->view->cmp->oom[VS_PREDICTED].exists;
    const int32_t row = tag.style.size_px + paint_px(p, 6);
    tag.at =
        (vs_point){plot.x + column, p->frame->title.y + paint_px(p, 2) + (is_second ? row : 0)};
    tag.box = vs_rect_of(is_right ? tag.at.x - w : tag.at.x, tag.at.y, w, row);
    return tag;
}

/* A line through both panes, a cross on the limit, and who it was. */
static void draw_oom(const compare_painter *p, uint32_t side)
{
    const vs_compare_view *view = p->view;
    const vs_style *style = p->pen->style;
    const vs_rect plot = p->frame->plot;
    const oom_tag tag = tag_of(p, side);
    const int32_t bottom = p->frame->strip.y + p->frame->strip.h;
    const vs_bytes peak = view->cmp->figures[view->cmp->desc.metric].peak_bytes[side];
    const vs_bytes limit = p->frame->limit_bytes[side] > 0 ? p->frame->limit_bytes[side] : peak;
    vs_draw_rect(p->pen->list, vs_rect_of(tag.at.x, plot.y, paint_px(p, 1), bottom - plot.y),
                 style->oom);
    draw_cross(p, (vs_point){tag.at.x, paint_y(p, limit)});
    vs_pen_plate(p->pen, tag.at, &tag.style, style->oom, vs_str_of(tag.text));
}

void paint_ooms(const compare_painter *p)
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        if (p->view->cmp->oom[side].exists) {
            draw_oom(p, side);
        }
    }
}

/* A bar between the two curves where they are furthest apart. */
void paint_disagreement(const compare_painter *p)
{
    const vs_compare_curve *curve = compare_curve_of(p->view);
    const vs_rect plot = p->frame->plot;
    const vs_style *style = p->pen->style;
    char size[VS_TEXT_BYTES];
    char text[64];
    if (curve->max_error_bytes == 0) {
        return;
    }
    const int32_t x = plot.x + paint_column(p, curve->at);
    const int32_t y[VS_SIDES] = {paint_y(p, curve->at_bytes[0]),
                                 paint_y(p, curve->at_bytes[1])};
    const int32_t top = y[0] < y[1] ? y[0] : y[1];
    const int32_t bottom = y[0] < y[1] ? y[1] : y[0];
    const int32_t cap = paint_px(p, 5);
    const int32_t w = paint_px(p, 2);
    vs_draw_rect(p->pen->list, vs_rect_of(x, top, w, bottom - top), style->text);
    vs_draw_rect(p->pen->list, vs_rect_of(x - cap, top, 2 * cap + w, w), style->text);
    vs_draw_rect(p->pen->list, vs_rect_of(x - cap, bottom - w, 2 * cap + w, w), style->text);
    (void)snprintf(text, sizeof text, "largest disagreement %s",
                   vs_format_size(curve->max_error_bytes, size));
    const bool is_right = x > plot.x + plot.w / 2;
    const vs_text_style base = vs_pen_bold(p->pen, 12, style->text);
    const vs_text_style style_of_text =
        vs_aligned(base, is_right ? VS_ALIGN_RIGHT : VS_ALIGN_LEFT);
    if (!has_room(p, &base, text)) {
        return;
    }
    const int32_t middle = (top + bottom) / 2 - base.size_px / 2 - paint_px(p, 2);
    const int32_t gap = is_right ? -paint_px(p, 8) : paint_px(p, 10);
    vs_pen_plate(p->pen, (vs_point){x + gap, middle}, &style_of_text,
                 vs_color_with_alpha(style->plot, 225), vs_str_of(text));
}

/* ---- the title --------------------------------------------------------------------------- */

static const char *const metric_titles[VS_COMPARE_METRIC_COUNT] = {
    [VS_COMPARE_RESERVED] = "reserved by the allocator",
    [VS_COMPARE_ALLOCATED] = "allocated",
    [VS_COMPARE_USED] = "in use on the card"};

/* Does the tag of a failure stand in this part of the title line? */
static bool is_taken(const compare_painter *p, int32_t x, int32_t w)
{
    const int32_t air = paint_px(p, 6);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        if (p->view->cmp->oom[side].exists) {
            const vs_rect box = tag_of(p, side).box;
            if (box.x < x + w + air && box.x + box.w + air > x) {
                return true;
            }
        }
    }
    return false;
}

void paint_title(const compare_painter *p)
{
    const vs_style *style = p->pen->style;
    const vs_rect title = p->frame->title;
    const vs_text_style unit = vs_aligned(vs_pen_bold(p->pen, 12, style->text), VS_ALIGN_RIGHT);
    const vs_text_style bold = vs_pen_bold(p->pen, 12, style->text);
    const vs_str text = vs_str_of(metric_titles[p->view->cmp->desc.metric]);
    const int32_t w = vs_text_width(&p->pen->metrics, &bold, text);
    const int32_t places[3] = {title.x, title.x + title.w - w, title.x + (title.w - w) / 2};
    vs_pen_label(p->pen,
                 vs_rect_of(paint_px(p, 2), title.y, title.x - paint_px(p, 10), title.h), &unit,
                 vs_str_of(p->frame->bytes_axis.unit));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] >= title.x && !is_taken(p, places[i], w)) {
            vs_pen_label(p->pen, vs_rect_of(places[i], title.y, w, title.h), &bold, text);
            return;
        }
    }
}
