#include "viz/view/marks.h"

#include <stdio.h>

enum { WIDE_PLOT = 520 /* logical width from which long labels have room */ };

static int32_t px(const vs_mark_place *at, int32_t logical)
{
    return vs_pen_px(at->pen, logical);
}

/* Pixel column of a moment in the picture; false when it is not in view. */
static bool column_of(const vs_mark_place *at, vs_ns t, int32_t *out_x)
{
    const int32_t column = vs_camera_column(at->camera, t);
    if (column < 0 || column >= at->camera->width) {
        return false;
    }
    *out_x = at->row->stack.x + column;
    return true;
}

static bool is_right_half(const vs_mark_place *at, int32_t x)
{
    return x > at->row->stack.x + at->row->stack.w / 2;
}

static void vertical(const vs_mark_place *at, int32_t x, int32_t width, vs_color color)
{
    const vs_rect panes[3] = {at->row->stack, at->row->host, at->row->lanes};
    for (size_t i = 0; i < 3; i++) {
        if (panes[i].h > 0) {
            vs_draw_rect(at->pen->list,
                         vs_rect_of(x - width / 2, panes[i].y, width, panes[i].h), color);
        }
    }
}

void vs_marks_hair(const vs_mark_place *at, vs_ns t, vs_color color)
{
    int32_t x = 0;
    if (column_of(at, t, &x)) {
        vertical(at, x, px(at, 1), color);
    }
}

/* Pixel column of the failure; false when there is none or it is not in view. */
static bool oom_column(const vs_mark_place *at, int32_t *out_x)
{
    return at->source->oom_event != VS_NO_EVENT &&
           column_of(at, at->source->tl->event_time[at->source->oom_event], out_x);
}

/* What is written beside the moment at which the program notices an earlier failure. */
typedef struct {
    char text[64];
    int32_t line; /* pixel column of the moment */
    vs_rect box;  /* of the text; empty when the failure itself is that moment */
} notice;

static vs_text_style notice_style(const vs_mark_place *at)
{
    return vs_pen_style(at->pen, 11, at->pen->style->text);
}

/* To the right of its line where there is room, else to its left, else beyond the failure. */
static int32_t notice_x(const vs_mark_place *at, int32_t line, int32_t w)
{
    const vs_rect plot = at->row->stack;
    int32_t oom_x = 0;
    if (line + px(at, 2) + w <= plot.x + plot.w) {
        return line + px(at, 2);
    }
    const int32_t left = line - px(at, 3) - w;
    const bool is_blocked =
        oom_column(at, &oom_x) && oom_x <= line && left < oom_x + px(at, 12);
    const int32_t x = is_blocked ? oom_x - px(at, 6) - w : left;
    return x > plot.x ? x : plot.x;
}

static bool place_notice(const vs_mark_place *at, notice *out)
{
    *out = (notice){.line = 0};
    if (at->source->surface_event == VS_NO_EVENT) {
        return false;
    }
    const vs_ns t = at->source->tl->event_time[at->source->surface_event];
    if (!column_of(at, t, &out->line)) {
        return false;
    }
    if (at->source->oom_event != VS_NO_EVENT &&
        at->source->tl->event_time[at->source->oom_event] == t) {
        return true;
    }
    char when[VS_TEXT_BYTES];
    (void)snprintf(out->text, sizeof out->text, "the program notices at %s",
                   vs_format_duration(t, when));
    const vs_text_style style = notice_style(at);
    const int32_t w = vs_text_width(&at->pen->metrics, &style, vs_str_of(out->text)) +
                      2 * px(at, 5); /* a plate's padding */
    out->box = vs_rect_of(notice_x(at, out->line, w), at->row->stack.y + px(at, 20), w,
                          style.size_px + px(at, 5));
    return true;
}

/* Would a label in [x, x + w) of this plot cover the failure or what is written beside it? */
static bool is_taken(const vs_mark_place *at, vs_rect plot, int32_t x, int32_t w)
{
    int32_t oom_x = 0;
    notice n;
    if (oom_column(at, &oom_x) && oom_x > x - px(at, 12) && oom_x < x + w + px(at, 12)) {
        return true;
    }
    return plot.y == at->row->stack.y && place_notice(at, &n) && n.box.w > 0 &&
           n.box.x < x + w && x < n.box.x + n.box.w;
}

void vs_marks_capacity(const vs_mark_place *at, const vs_stack *stack, vs_rect plot)
{
    if (stack->memory->capacity_bytes == 0) {
        return;
    }
    char size[VS_TEXT_BYTES];
    char exact[VS_TEXT_BYTES];
    char text[128];
    vs_format_size(stack->memory->capacity_bytes, size);
    vs_format_grouped(stack->memory->capacity_bytes, exact);
    if (plot.w >= px(at, WIDE_PLOT)) {
        (void)snprintf(text, sizeof text, "capacity %s (%s B)", size, exact);
    } else {
        (void)snprintf(text, sizeof text, "capacity %s", size);
    }
    const vs_text_style base = vs_pen_style(at->pen, 12, at->pen->style->text);
    const int32_t w = vs_text_width(&at->pen->metrics, &base, vs_str_of(text)) + 2 * px(at, 5);
    const int32_t left = plot.x + px(at, 6);
    const int32_t right = plot.x + plot.w - px(at, 6);
    const bool is_left = !is_taken(at, plot, left, w) || is_taken(at, plot, right - w, w);
    const vs_text_style style = vs_aligned(base, is_left ? VS_ALIGN_LEFT : VS_ALIGN_RIGHT);
    const int32_t y = vs_stack_y(stack, plot, stack->memory->capacity_bytes);
    const int32_t height = style.size_px + px(at, 5);
    /* Above the line where there is room, else below it. */
    const int32_t above = y - height - px(at, 3);
    const int32_t top = above >= plot.y ? above : y + px(at, 3);
    vs_pen_plate(at->pen, (vs_point){is_left ? left : right, top}, &style,
                 vs_color_with_alpha(at->pen->style->plot, 225), vs_str_of(text));
}

void vs_marks_peak(const vs_mark_place *at, const vs_stack *stack, vs_rect plot)
{
    const vs_composition *peak = &stack->memory->peak;
    int32_t x = 0;
    if (at->source->oom_event != VS_NO_EVENT || peak->event == VS_NO_EVENT ||
        !column_of(at, peak->time_ns, &x)) {
        return;
    }
    char size[VS_TEXT_BYTES];
    char text[64];
    (void)snprintf(text, sizeof text, "peak %s", vs_format_size(peak->used_bytes, size));
    const bool is_right = is_right_half(at, x);
    const vs_text_style style = vs_aligned(vs_pen_bold(at->pen, 12, at->pen->style->text),
                                           is_right ? VS_ALIGN_RIGHT : VS_ALIGN_LEFT);
    const int32_t y = vs_stack_y(stack, plot, peak->used_bytes);
    const int32_t height = style.size_px + px(at, 5);
    const int32_t above = y - height - px(at, 8);
    /* A peak just below the capacity has no room above it: the label would cover the line. */
    const int32_t line = vs_stack_y(stack, plot, stack->memory->capacity_bytes);
    const bool is_free =
        above >= plot.y && (above > line + px(at, 2) || above + height < line - px(at, 2));
    const vs_point point = {x, is_free ? above : y + px(at, 8)};
    vs_draw_rect(at->pen->list,
                 vs_rect_of(x - px(at, 1), is_free ? y - px(at, 8) : y, px(at, 2), px(at, 8)),
                 at->pen->style->text);
    vs_pen_plate(at->pen, point, &style, vs_color_with_alpha(at->pen->style->plot, 225),
                 vs_str_of(text));
}

/* ---- the failure ------------------------------------------------------------------------- */

static void draw_cross(const vs_mark_place *at, vs_point center, int32_t arm, int32_t width,
                       vs_color color)
{
    const vs_point down[2] = {{center.x - arm, center.y - arm},
                              {center.x + arm, center.y + arm}};
    const vs_point up[2] = {{center.x - arm, center.y + arm}, {center.x + arm, center.y - arm}};
    vs_draw_lines(at->pen->list, down, 2, width, color);
    vs_draw_lines(at->pen->list, up, 2, width, color);
}

/* The request standing on the stack, reaching into the zone above the capacity. */
static void draw_request(const vs_mark_place *at, const vs_stack *stack, vs_rect plot,
                         int32_t x)
{
    vs_composition used;
    const vs_event event = vs_timeline_event(at->source->tl, at->source->oom_event);
    vs_memory_at_event(stack->memory, at->source->tl, at->source->oom_event, &used);
    const vs_bytes size = event.size_bytes > 0 ? event.size_bytes : event.asked_bytes;
    const vs_bytes above =
        size < UINT64_MAX - used.used_bytes ? used.used_bytes + size : UINT64_MAX;
    const int32_t bottom = vs_stack_y(stack, plot, used.used_bytes);
    const int32_t top = vs_stack_y(stack, plot, above);
    const int32_t w = px(at, 26);
    const bool fits_right = x + px(at, 4) + w <= plot.x + plot.w;
    const int32_t left = fits_right ? x + px(at, 4) : x - px(at, 4) - w;
    const int32_t h = bottom - top > px(at, 4) ? bottom - top : px(at, 4);
    const vs_rect box = vs_rect_of(left, bottom - h, w, h);
    const vs_color color = at->pen->style->oom;
    vs_draw_rect(at->pen->list, box, vs_color_with_alpha(color, 50));
    const vs_point down[2] = {{box.x, box.y}, {box.x + w - 1, box.y + h - 1}};
    const vs_point up[2] = {{box.x, box.y + h - 1}, {box.x + w - 1, box.y}};
    vs_draw_lines(at->pen->list, down, 2, px(at, 1), color);
    vs_draw_lines(at->pen->list, up, 2, px(at, 1), color);
    vs_draw_frame(at->pen->list, box, px(at, 2), color);
}

static void draw_tag(const vs_mark_place *at, vs_rect plot, int32_t x, const vs_event *event)
{
    char when[VS_TEXT_BYTES];
    char size[VS_TEXT_BYTES];
    char text[96];
    (void)snprintf(text, sizeof text, "OOM %s  +%s", vs_format_duration(event->time_ns, when),
                   vs_format_size(event->asked_bytes, size));
    const bool is_right = is_right_half(at, x);
    const vs_text_style bold = vs_pen_bold(at->pen, 12, at->pen->style->oom_text);
    const vs_text_style style = vs_aligned(bold, is_right ? VS_ALIGN_RIGHT : VS_ALIGN_LEFT);
    vs_pen_plate(at->pen, (vs_point){x, plot.y}, &style, at->pen->style->oom, vs_str_of(text));
}

void vs_marks_oom(const vs_mark_place *at, const vs_stack *stack, vs_rect plot)
{
    int32_t x = 0;
    if (at->source->oom_event == VS_NO_EVENT ||
        at->source->oom_device != stack->memory->device) {
        return;
    }
    const vs_event event = vs_timeline_event(at->source->tl, at->source->oom_event);
    if (!column_of(at, event.time_ns, &x)) {
        return;
    }
    const vs_style *style = at->pen->style;
    vertical(at, x, px(at, 2), style->oom);
    /* A failure at the very edge keeps both arms of its cross. */
    vs_draw_push_clip(at->pen->list,
                      vs_rect_of(plot.x - px(at, 12), plot.y, plot.w + px(at, 24), plot.h));
    draw_request(at, stack, plot, x);
    const vs_bytes limit = stack->memory->capacity_bytes > 0 ? stack->memory->capacity_bytes
                                                             : stack->memory->peak.used_bytes;
    const vs_point center = {x, vs_stack_y(stack, plot, limit)};
    draw_cross(at, center, px(at, 8), px(at, 5), style->text);
    draw_cross(at, center, px(at, 8), px(at, 3), style->oom);
    draw_tag(at, plot, x, &event);
    vs_draw_pop_clip(at->pen->list);
}

void vs_marks_surface(const vs_mark_place *at)
{
    notice n;
    if (!place_notice(at, &n)) {
        return;
    }
    const vs_rect plot = at->row->stack;
    const int32_t dash = px(at, 4);
    for (int32_t y = plot.y; y < plot.y + plot.h; y += 2 * dash) {
        vs_draw_rect(at->pen->list, vs_rect_of(n.line, y, px(at, 1), dash),
                     at->pen->style->oom);
    }
    if (n.box.w > 0) {
        const vs_text_style style = notice_style(at);
        vs_pen_plate(at->pen, (vs_point){n.box.x, n.box.y}, &style,
                     vs_color_with_alpha(at->pen->style->plot, 225), vs_str_of(n.text));
    }
}

/* ---- phases ------------------------------------------------------------------------------ */

/* Names are drawn from the right, each with the room up to the next phase, so none overlaps
 * another. */
void vs_marks_phases(const vs_mark_place *at)
{
    const vs_timeline *tl = at->source->tl;
    const vs_rect title = at->row->stack_title;
    const vs_text_style style = vs_pen_style(at->pen, 11, at->pen->style->dim);
    int32_t right = at->row->stack.x + at->row->stack.w;
    for (uint32_t k = at->source->phase_count; k-- > 0;) {
        const uint32_t i = at->source->phases[k];
        int32_t x = 0;
        if (!column_of(at, tl->event_time[i], &x)) {
            continue;
        }
        const int32_t room = right - x - px(at, 10);
        vs_draw_rect(at->pen->list, vs_rect_of(x, title.y + title.h - px(at, 5), 1, px(at, 5)),
                     at->pen->style->dim);
        if (room > px(at, 20)) {
            vs_pen_label(at->pen, vs_rect_of(x + px(at, 4), title.y, room, title.h), &style,
                         vs_str_of(vs_timeline_string(tl, tl->event_name[i])));
        }
        right = x;
    }
}
