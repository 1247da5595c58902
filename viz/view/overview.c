#include "viz/view/overview.h"

#include "viz/view/stack.h"

bool vs_overview_prepare(vs_overview *overview, vs_arena *arena, const vs_source *source,
                         const vs_camera *view)
{
    const uint32_t width = (uint32_t)view->width;
    vs_camera_fit(&overview->camera, view->end_ns, view->width);
    overview->columns = VS_ARRAY(arena, vs_column, width);
    const vs_bytes top = vs_stack_top(source, &source->gpu);
    overview->top_bytes = top < UINT64_MAX / 2 ? top + top / 8 : top;
    if (overview->columns == NULL) {
        return false;
    }
    if (source->gpu.used != VS_NO_TRACK) {
        vs_track_columns(source->tl, source->gpu.used, 0, overview->camera.span,
                         overview->columns, width);
    }
    return true;
}

static void draw_curve(const vs_stack *scale, const vs_overview *overview, const vs_pen *pen,
                       vs_rect box)
{
    const int32_t last = vs_camera_column(&overview->camera, overview->camera.end_ns);
    const int32_t shown = last < overview->camera.width ? last + 1 : overview->camera.width;
    vs_rect piece = {0, 0, 0, 0};
    for (int32_t x = 0; x < shown; x++) {
        const int32_t y = vs_stack_y(scale, box, overview->columns[x].max);
        if (piece.w > 0 && piece.y == y) {
            piece.w++;
            continue;
        }
        vs_draw_rect(pen->list, piece, pen->style->dim);
        piece = vs_rect_of(box.x + x, y, 1, box.y + box.h - y);
    }
    vs_draw_rect(pen->list, piece, pen->style->dim);
}

/* What is not visible is dimmed; the window's edges are handles. */
static void draw_window(const vs_overview *overview, const vs_pen *pen, vs_rect box,
                        const vs_camera *view)
{
    const vs_color veil = vs_color_with_alpha(pen->style->window, 170);
    const int32_t x0 = vs_camera_column(&overview->camera, view->t0);
    const int32_t x1 = vs_camera_column(&overview->camera, view->t0 + view->span);
    vs_draw_rect(pen->list, vs_rect_of(box.x, box.y, x0, box.h), veil);
    vs_draw_rect(pen->list, vs_rect_of(box.x + x1, box.y, box.w - x1, box.h), veil);
    const int32_t w = x1 - x0 > vs_pen_px(pen, 3) ? x1 - x0 : vs_pen_px(pen, 3);
    vs_draw_frame(pen->list, vs_rect_of(box.x + x0, box.y, w, box.h), vs_pen_px(pen, 1),
                  pen->style->text);
}

void vs_overview_draw(const vs_overview *overview, const vs_source *source, const vs_pen *pen,
                      vs_rect box, const vs_camera *view)
{
    const vs_stack scale = {.memory = &source->gpu, .top_bytes = overview->top_bytes};
    vs_draw_rect(pen->list, box, pen->style->plot);
    draw_curve(&scale, overview, pen, box);
    if (source->gpu.capacity_bytes > 0) {
        const int32_t y = vs_stack_y(&scale, box, source->gpu.capacity_bytes);
        vs_draw_rect(pen->list, vs_rect_of(box.x, y, box.w, 1), pen->style->capacity);
    }
    if (source->oom_event != VS_NO_EVENT) {
        const vs_ns when = source->tl->event_time[source->oom_event];
        const int32_t x = vs_camera_column(&overview->camera, when);
        vs_draw_rect(pen->list, vs_rect_of(box.x + x, box.y, vs_pen_px(pen, 2), box.h),
                     pen->style->oom);
    }
    draw_window(overview, pen, box, view);
}
