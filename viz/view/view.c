#include "viz/view/view.h"

#include "viz/ui/text.h"
#include "viz/view/headline.h"
#include "viz/view/help.h"
#include "viz/view/marks.h"
#include "viz/view/oomcard.h"
#include "viz/view/readout.h"

#include <stdio.h>

enum { TIME_GAP = 90, BYTES_GAP = 34, HOST_BYTES_GAP = 26 /* logical px between two labels */ };

enum { HOST_LEGEND = 150 /* logical height of a small legend */ };

enum { HEADROOM = 42 /* logical px above the capacity: two lines of labels */ };

/* ---- prepare ----------------------------------------------------------------------------- */

static vs_ns longest(const vs_view *view)
{
    vs_ns end = 0;
    for (uint32_t i = 0; i < view->source_count; i++) {
        end = view->sources[i].tl->end_ns > end ? view->sources[i].tl->end_ns : end;
    }
    return end;
}

void vs_view_fit(vs_view *view)
{
    vs_camera_fit(&view->camera, longest(view), view->camera.width);
}

static void prepare_layout(vs_frame *frame, const vs_view *view)
{
    vs_layout_desc desc = {.width = view->width,
                           .height = view->height,
                           .scale_pct = view->scale_pct,
                           .row_count = view->source_count,
                           .has_overview = view->has_overview};
    for (uint32_t i = 0; i < view->source_count; i++) {
        desc.lane_count[i] = view->sources[i].busy_lanes;
        desc.has_host[i] = view->sources[i].host.used != VS_NO_TRACK;
    }
    vs_layout_of(&frame->layout, &desc);
}

/* top at HEADROOM below the upper edge of a plot of height h. */
static vs_bytes with_headroom(const vs_view *view, vs_bytes top, int32_t h)
{
    const int32_t room = vs_scaled(view->scale_pct, HEADROOM);
    const int32_t used = h > 3 * room ? h - room : h - h / 3;
    vs_bytes raised = 0;
    return used > 0 && vs_muldiv_ceil_u64(top, (uint64_t)h, (uint64_t)used, &raised) ? raised
                                                                                     : top;
}

/* One byte scale for all rows: heights can be compared by eye. */
static void share_scales(vs_frame *frame, const vs_view *view)
{
    vs_bytes top = 0;
    vs_bytes host_top = 0;
    for (uint32_t i = 0; i < view->source_count; i++) {
        const vs_source *source = &view->sources[i];
        const vs_bytes t = vs_stack_top(source, &source->gpu);
        const vs_bytes h = vs_stack_top(source, &source->host);
        top = t > top ? t : top;
        host_top = h > host_top ? h : host_top;
    }
    for (uint32_t i = 0; i < view->source_count; i++) {
        const vs_row_layout *row = &frame->layout.rows[i];
        vs_view_row *r = &frame->rows[i];
        r->stack.top_bytes = with_headroom(view, top, row->stack.h);
        r->host.top_bytes = with_headroom(view, host_top, row->host.h);
        vs_axis_bytes(&r->stack.axis, r->stack.top_bytes, row->stack.h,
                      vs_scaled(view->scale_pct, BYTES_GAP));
        vs_axis_bytes(&r->host.axis, r->host.top_bytes, row->host.h,
                      vs_scaled(view->scale_pct, HOST_BYTES_GAP));
    }
}

static bool prepare_row(vs_frame *frame, const vs_view *view, uint32_t i, vs_arena *arena)
{
    const vs_source *source = &view->sources[i];
    vs_view_row *row = &frame->rows[i];
    if (!vs_stack_prepare(&row->stack, arena, source, &source->gpu, &view->camera)) {
        return false;
    }
    row->host = (vs_stack){.memory = &source->host};
    if (frame->layout.rows[i].host.h > 0 &&
        !vs_stack_prepare(&row->host, arena, source, &source->host, &view->camera)) {
        return false;
    }
    return vs_lanes_prepare(&row->lanes, arena, source, &view->camera);
}

bool vs_view_prepare(vs_frame *frame, vs_view *view, vs_arena *arena)
{
    vs_assert(view->source_count >= 1 && view->source_count <= VS_ROWS_MAX);
    *frame = (vs_frame){0};
    prepare_layout(frame, view);
    if (view->camera.span == 0) {
        view->camera.width = frame->layout.plot_w;
        vs_view_fit(view);
    }
    vs_camera_resize(&view->camera, frame->layout.plot_w);
    for (uint32_t i = 0; i < view->source_count; i++) {
        if (!prepare_row(frame, view, i, arena)) {
            return false;
        }
    }
    share_scales(frame, view);
    vs_axis_time(&frame->time_axis, view->camera.t0, view->camera.span, frame->layout.plot_w,
                 vs_scaled(view->scale_pct, TIME_GAP));
    return !view->has_overview ||
           vs_overview_prepare(&frame->overview, arena, &view->sources[0], &view->camera);
}

/* ---- draw -------------------------------------------------------------------------------- */

static vs_pen pen_of(const vs_view *view, vs_draw_list *list)
{
    return (vs_pen){.list = list,
                    .arena = list->arena,
                    .style = vs_style_of(view->theme),
                    .metrics = view->metrics,
                    .scale_pct = view->scale_pct};
}

static void draw_time_axis(const vs_frame *frame, const vs_pen *pen, const vs_camera *camera,
                           vs_rect axis)
{
    const vs_text_style style =
        vs_aligned(vs_pen_style(pen, 12, pen->style->dim), VS_ALIGN_CENTER);
    const int32_t room = frame->layout.share_w;
    for (uint32_t i = 0; i < frame->time_axis.count; i++) {
        const vs_tick *tick = &frame->time_axis.ticks[i];
        const int32_t x = axis.x + vs_camera_column(camera, tick->value);
        const int32_t half =
            vs_text_width(&pen->metrics, &style, vs_str_of(tick->label)) / 2 + 1;
        vs_draw_rect(pen->list, vs_rect_of(x, axis.y, 1, vs_pen_px(pen, 4)), pen->style->dim);
        if (x + half <= axis.x + axis.w + room) {
            vs_pen_label(pen,
                         vs_rect_of(x - half, axis.y + vs_pen_px(pen, 3), 2 * half,
                                    axis.h - vs_pen_px(pen, 3)),
                         &style, vs_str_of(tick->label));
        }
    }
}

static void draw_time_grid(const vs_frame *frame, const vs_pen *pen, const vs_camera *camera,
                           vs_rect plot)
{
    for (uint32_t i = 0; i < frame->time_axis.count; i++) {
        const int32_t column = vs_camera_column(camera, frame->time_axis.ticks[i].value);
        if (column < camera->width) {
            vs_draw_rect(pen->list, vs_rect_of(plot.x + column, plot.y, 1, plot.h),
                         pen->style->grid);
        }
    }
}

/* "VRAM  GiB" in the gutter, right aligned like the labels below it. */
static void draw_pane_title(const vs_pen *pen, vs_rect title, int32_t gutter, const char *name,
                            const char *unit)
{
    const vs_text_style bold =
        vs_aligned(vs_pen_bold(pen, 12, pen->style->text), VS_ALIGN_RIGHT);
    const vs_rect box =
        vs_rect_of(vs_pen_px(pen, 2), title.y, gutter - vs_pen_px(pen, 10), title.h);
    vs_pen_printf(pen, box, &bold, "%s %s", name, unit);
}

static void draw_memory(const vs_frame *frame, const vs_mark_place *at, const vs_stack *stack,
                        vs_rect plot)
{
    vs_stack_draw_ground(stack, at->pen, plot);
    draw_time_grid(frame, at->pen, at->camera, plot);
    vs_stack_draw_bands(stack, at->pen, plot);
    vs_marks_capacity(at, stack, plot);
}

static void draw_panes(const vs_frame *frame, const vs_view *view, const vs_pen *pen,
                       uint32_t i)
{
    const vs_row_layout *row = &frame->layout.rows[i];
    const vs_view_row *r = &frame->rows[i];
    const vs_mark_place at = {pen, &view->sources[i], &view->camera, row};
    draw_pane_title(pen, row->stack_title, frame->layout.gutter, "VRAM", r->stack.axis.unit);
    draw_memory(frame, &at, &r->stack, row->stack);
    draw_time_axis(frame, pen, &view->camera, row->axis);
    vs_marks_phases(&at);
    if (row->host.h > 0) {
        draw_pane_title(pen, row->host_title, frame->layout.gutter, "RAM", r->host.axis.unit);
        draw_memory(frame, &at, &r->host, row->host);
    }
    if (row->lanes.h > 0) {
        vs_lanes_draw(&r->lanes, pen, view->sources[i].tl, row->lanes, frame->layout.gutter,
                      frame->layout.share_w);
    }
    vs_marks_peak(&at, &r->stack, row->stack);
    vs_marks_surface(&at);
    vs_marks_oom(&at, &r->stack, row->stack);
    if (row->host.h > 0) {
        vs_marks_oom(&at, &r->host, row->host);
    }
}

/* Legend of one memory: at the moment asked for, else at the peak; beside it the end or the
 * peak. */
static int32_t draw_legend(const vs_pen *pen, vs_rect side, const vs_source *source,
                           const vs_memory *memory, const vs_composition *now)
{
    vs_composition end;
    vs_memory_at_time(memory, source->tl, source->tl->end_ns, &end);
    const bool is_oom = source->oom_event != VS_NO_EVENT;
    const vs_readout_column peak = {"peak", &memory->peak};
    const vs_readout_column last = {is_oom ? "last" : "end", &end};
    const vs_readout_column here = {"here", now};
    vs_readout_column columns[2] = {peak, last};
    if (now != NULL) {
        columns[0] = here;
        columns[1] = peak;
    }
    const char *title = memory == &source->host ? "RAM" : "VRAM";
    return vs_readout_draw(pen, side, title, memory, source->tl, columns);
}

/* A moment asked about: just after event, shown as time_ns. */
typedef struct {
    uint32_t event;
    vs_ns time_ns;
} moment;

static void draw_side(const vs_pen *pen, vs_rect side, const vs_source *source,
                      const moment *now)
{
    vs_composition gpu_now;
    vs_composition host_now;
    if (now != NULL) {
        /* One event for both memories: the figures are of one real moment. */
        vs_memory_at_event(&source->gpu, source->tl, now->event, &gpu_now);
        vs_memory_at_event(&source->host, source->tl, now->event, &host_now);
        gpu_now.time_ns = now->time_ns;
        host_now.time_ns = now->time_ns;
    }
    vs_draw_push_clip(pen->list, side);
    vs_rect rest = side;
    const int32_t gap = vs_pen_px(pen, 16);
    if (source->gpu.used != VS_NO_TRACK) {
        rest.y =
            draw_legend(pen, rest, source, &source->gpu, now != NULL ? &gpu_now : NULL) + gap;
        rest.h = side.y + side.h - rest.y;
    }
    /* The reason of a failure comes before the legend of another memory. */
    const int32_t wanted = vs_pen_px(pen, HOST_LEGEND) + vs_oomcard_height(source, pen, rest);
    if (source->host.used != VS_NO_TRACK && rest.h > wanted) {
        rest.y =
            draw_legend(pen, rest, source, &source->host, now != NULL ? &host_now : NULL) + gap;
        rest.h = side.y + side.h - rest.y;
    }
    vs_oomcard_draw(source, pen, rest);
    vs_draw_pop_clip(pen->list);
}

static void draw_footer(const vs_frame *frame, const vs_view *view, const vs_pen *pen)
{
    const vs_rect footer = frame->layout.footer;
    const int32_t margin = vs_pen_px(pen, 14);
    const vs_text_style left = vs_pen_style(pen, 11, pen->style->dim);
    const vs_text_style right = vs_aligned(left, VS_ALIGN_RIGHT);
    uint64_t events = 0;
    for (uint32_t i = 0; i < view->source_count; i++) {
        events += view->sources[i].tl->event_count;
    }
    char count[VS_TEXT_BYTES];
    vs_draw_rect(pen->list, vs_rect_of(footer.x, footer.y, footer.w, 1), pen->style->grid);
    vs_rect box = vs_rect_of(margin, footer.y, footer.w - 2 * margin, footer.h);
    const int32_t used = vs_pen_printf(pen, box, &right,
                                       "%s events   \xC2\xB7   each column is one real moment  "
                                       " \xC2\xB7   vramscope " VS_VERSION,
                                       vs_format_grouped(events, count));
    box.w -= used + 2 * margin;
    if (view->source_count == 1) {
        const char *command = vs_source_meta(&view->sources[0], "command");
        vs_pen_label(
            pen, box, &left,
            vs_str_of(command[0] == '\0' && view->note != NULL ? view->note : command));
    } else {
        vs_pen_printf(pen, box, &left, "%u runs on one byte scale and one time axis",
                      view->source_count);
    }
}

static moment moment_at(const vs_source *source, vs_ns t)
{
    return (moment){vs_event_before(source->tl, t < UINT64_MAX ? t + 1 : t), t};
}

/* The cursor is an event of the first run; the other rows show the same time. */
static moment cursor_moment(const vs_view *view, uint32_t row)
{
    const vs_ns t = view->sources[0].tl->event_time[view->cursor_event];
    return row == 0 ? (moment){view->cursor_event, t} : moment_at(&view->sources[row], t);
}

/* The moment that the column under the pointer shows, so that readout and picture agree. */
static moment hover_moment(const vs_frame *frame, const vs_view *view, uint32_t row)
{
    const vs_stack *stack = &frame->rows[row].stack;
    const vs_source *source = &view->sources[row];
    const int32_t column = vs_camera_column(&view->camera, view->hover_ns);
    if (column < 0 || column >= stack->shown || stack->columns[column].event == VS_NO_EVENT) {
        return moment_at(source, view->hover_ns);
    }
    const uint32_t event = stack->columns[column].event;
    const vs_ns t = source->tl->event_time[event];
    return (moment){event, t > view->hover_ns ? t : view->hover_ns};
}

void vs_view_draw(const vs_frame *frame, const vs_view *view, vs_draw_list *list)
{
    const vs_pen pen = pen_of(view, list);
    list->hatch_scale = vs_scaled(view->scale_pct, 1);
    vs_draw_rect(list, vs_rect_of(0, 0, view->width, view->height), pen.style->window);
    for (uint32_t i = 0; i < view->source_count; i++) {
        const vs_source *source = &view->sources[i];
        const vs_row_layout *row = &frame->layout.rows[i];
        if (i > 0) {
            vs_draw_rect(list, vs_rect_of(0, row->header.y, view->width, 1), pen.style->grid);
        }
        vs_headline_draw(source, &pen, row->header, i == 0 ? view->title : NULL);
        draw_panes(frame, view, &pen, i);
        const moment at = view->has_cursor ? cursor_moment(view, i) : (moment){VS_NO_EVENT, 0};
        draw_side(&pen, row->side, source, view->has_cursor ? &at : NULL);
        if (view->has_cursor) {
            const vs_mark_place place = {&pen, source, &view->camera, row};
            vs_marks_hair(&place, at.time_ns, pen.style->cursor);
        }
    }
    if (view->has_overview) {
        vs_overview_draw(&frame->overview, &view->sources[0], &pen, frame->layout.overview,
                         &view->camera);
    }
    draw_footer(frame, view, &pen);
}

/* The moment that the readout is of, written where the axis is; labels that it would cut are
 * covered as a whole. */
static void draw_hover_time(const vs_frame *frame, const vs_view *view, const vs_pen *pen,
                            vs_rect axis, vs_ns shown)
{
    char when[VS_TEXT_BYTES];
    const int32_t column = vs_camera_column(&view->camera, view->hover_ns);
    if (column < 0 || column >= view->camera.width) {
        return;
    }
    const vs_str text = vs_str_of(vs_format_duration(shown, when));
    const vs_text_style style =
        vs_aligned(vs_pen_style(pen, 12, pen->style->window), VS_ALIGN_CENTER);
    const int32_t x = frame->layout.plot_x + column;
    const int32_t y = axis.y + vs_pen_px(pen, 3);
    const int32_t reach =
        vs_text_width(&pen->metrics, &style, text) / 2 + vs_pen_px(pen, 8); /* plate and air */
    for (uint32_t i = 0; i < frame->time_axis.count; i++) {
        const vs_tick *tick = &frame->time_axis.ticks[i];
        const int32_t at = axis.x + vs_camera_column(&view->camera, tick->value);
        const int32_t half =
            vs_text_width(&pen->metrics, &style, vs_str_of(tick->label)) / 2 + 1;
        if (at - half < x + reach && at + half > x - reach) {
            vs_draw_rect(pen->list,
                         vs_rect_of(at - half, axis.y + vs_pen_px(pen, 4), 2 * half, axis.h),
                         pen->style->window);
        }
    }
    vs_pen_plate(pen, (vs_point){x, y}, &style, pen->style->hover, text);
}

void vs_view_draw_overlay(const vs_frame *frame, const vs_view *view, vs_draw_list *list)
{
    const vs_pen pen = pen_of(view, list);
    list->hatch_scale = vs_scaled(view->scale_pct, 1);
    for (uint32_t i = 0; view->has_hover && i < view->source_count; i++) {
        const vs_row_layout *row = &frame->layout.rows[i];
        const vs_mark_place place = {&pen, &view->sources[i], &view->camera, row};
        vs_marks_hair(&place, view->hover_ns, pen.style->hover);
        const moment at = hover_moment(frame, view, i);
        draw_hover_time(frame, view, &pen, row->axis, at.time_ns);
        vs_draw_rect(list, row->side, pen.style->window);
        draw_side(&pen, row->side, &view->sources[i], &at);
    }
    if (view->has_help) {
        vs_help_draw(&pen, view->width, view->height);
    }
}
