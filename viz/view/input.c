#include "viz/view/input.h"

#include <math.h>

/* VIEWER-design section 4: 1.25 per notch, which is 2^0.32. */
#define ZOOM_EXPONENT  0.32
#define SCALE_STEP_PCT 25u

static bool has_plot_x(const vs_input *input, int32_t *out_column)
{
    const vs_layout *layout = &input->frame->layout;
    const int32_t column = input->pointer_x - layout->plot_x;
    *out_column = column;
    return input->has_pointer && column >= 0 && column < layout->plot_w;
}

/* The column zooming holds still: the pointer's, else the cursor's, else the middle. */
static int32_t anchor_column(const vs_input *input)
{
    int32_t column = 0;
    if (has_plot_x(input, &column)) {
        return column;
    }
    const vs_camera *camera = &input->view.camera;
    if (input->view.has_cursor) {
        column = vs_camera_column(
            camera, input->view.sources[0].tl->event_time[input->view.cursor_event]);
        if (column >= 0 && column < camera->width) {
            return column;
        }
    }
    return camera->width / 2;
}

/* What the pointer is over decides the readout. */
static void update_hover(vs_input *input)
{
    int32_t column = 0;
    vs_view *view = &input->view;
    const bool had = view->has_hover;
    const vs_rect overview = input->frame->layout.overview;
    view->has_hover = !input->is_panning && has_plot_x(input, &column) &&
                      !vs_rect_has(overview, input->pointer_x, input->pointer_y);
    if (view->has_hover) {
        view->hover_ns = vs_camera_time(&view->camera, column);
    }
    input->is_overlay_dirty = input->is_overlay_dirty || had || view->has_hover;
}

static void go_to_event(vs_input *input, uint32_t event)
{
    if (event == VS_NO_EVENT) {
        return;
    }
    input->view.has_cursor = true;
    input->view.cursor_event = event;
    vs_camera_reveal(&input->view.camera, input->view.sources[0].tl->event_time[event]);
}

static void step_event(vs_input *input, bool is_forward)
{
    vs_view *view = &input->view;
    const vs_timeline *tl = view->sources[0].tl;
    if (tl->event_count == 0) {
        return;
    }
    if (!view->has_cursor) {
        const uint32_t before = vs_event_before(tl, view->camera.t0 + view->camera.span / 2);
        go_to_event(input, before != VS_NO_EVENT ? before : 0);
    } else if (is_forward && view->cursor_event + 1 < tl->event_count) {
        go_to_event(input, view->cursor_event + 1);
    } else if (!is_forward && view->cursor_event > 0) {
        go_to_event(input, view->cursor_event - 1);
    }
}

static void zoom(vs_input *input, double notches)
{
    vs_camera_zoom(&input->view.camera, anchor_column(input), exp2(notches * ZOOM_EXPONENT));
}

static void pan_tenths(vs_input *input, int32_t tenths)
{
    vs_camera_pan(&input->view.camera, (int64_t)input->view.camera.width * tenths / 10);
}

static void close_topmost(vs_input *input)
{
    if (input->view.has_help) {
        input->view.has_help = false;
    } else if (input->view.has_cursor) {
        input->view.has_cursor = false;
    } else {
        input->wants_quit = true;
    }
}

static void change_scale(vs_input *input, bool is_larger)
{
    uint32_t pct = input->user_scale_pct;
    pct = is_larger ? pct + SCALE_STEP_PCT : pct - SCALE_STEP_PCT;
    input->user_scale_pct = pct < 50 ? 50 : pct > 300 ? 300 : pct; /* VIEWER-design section 4 */
}

/* Movements of the view. False for every other action. */
static bool act_on_camera(vs_input *input, vs_action action)
{
    static const int32_t tenths[VS_ACT_QUIT + 1] = {
        [VS_ACT_LEFT] = -1, [VS_ACT_RIGHT] = 1, [VS_ACT_FAR_LEFT] = -4, [VS_ACT_FAR_RIGHT] = 4};
    if (tenths[action] != 0) {
        pan_tenths(input, tenths[action]);
    } else if (action == VS_ACT_ZOOM_IN || action == VS_ACT_ZOOM_OUT) {
        zoom(input, action == VS_ACT_ZOOM_IN ? 1 : -1);
    } else if (action == VS_ACT_FIT) {
        vs_view_fit(&input->view);
    } else {
        return false;
    }
    return true;
}

static bool act_on_cursor(vs_input *input, vs_action action)
{
    const vs_source *source = &input->view.sources[0];
    if (action == VS_ACT_NEXT_EVENT || action == VS_ACT_PREVIOUS_EVENT) {
        step_event(input, action == VS_ACT_NEXT_EVENT);
    } else if (action == VS_ACT_HOME) {
        go_to_event(input, source->tl->event_count > 0 ? 0 : VS_NO_EVENT);
    } else if (action == VS_ACT_END) {
        go_to_event(input,
                    source->tl->event_count > 0 ? source->tl->event_count - 1 : VS_NO_EVENT);
    } else if (action == VS_ACT_PEAK) {
        go_to_event(input, source->gpu.peak.event);
    } else if (action == VS_ACT_OOM) {
        go_to_event(input, source->oom_event);
    } else {
        return false;
    }
    return true;
}

void vs_input_act(vs_input *input, vs_action action)
{
    if (action == VS_ACT_NONE) {
        return;
    }
    input->is_dirty = true;
    if (act_on_camera(input, action)) {
        update_hover(input);
    } else if (act_on_cursor(input, action)) {
        /* The readout follows the cursor until the pointer moves again. */
        input->view.has_hover = false;
    } else if (action == VS_ACT_THEME) {
        input->view.theme = (vs_theme)((input->view.theme + 1) % VS_THEME_COUNT);
    } else if (action == VS_ACT_LARGER || action == VS_ACT_SMALLER) {
        change_scale(input, action == VS_ACT_LARGER);
    } else if (action == VS_ACT_HELP) {
        input->view.has_help = !input->view.has_help;
    } else if (action == VS_ACT_CLOSE) {
        close_topmost(input);
    } else if (action == VS_ACT_QUIT) {
        input->wants_quit = true;
    }
}

void vs_input_wheel(vs_input *input, double notches, bool is_panning)
{
    if (is_panning) {
        vs_camera_pan(&input->view.camera, (int64_t)(-notches * input->view.camera.width / 10));
    } else {
        zoom(input, notches);
    }
    input->is_dirty = true;
    update_hover(input);
}

/* The moment under the pointer in the overview becomes the middle of the view. */
static void center_on_overview(vs_input *input)
{
    vs_camera *camera = &input->view.camera;
    const vs_layout *layout = &input->frame->layout;
    const vs_ns at =
        vs_camera_time(&input->frame->overview.camera, input->pointer_x - layout->plot_x);
    const int32_t column = vs_camera_column(camera, camera->t0 + camera->span / 2);
    const vs_ns middle = vs_camera_time(camera, column);
    const vs_ns per_column = camera->span / (vs_ns)camera->width + 1;
    const int64_t by = at > middle ? (int64_t)((at - middle) / per_column)
                                   : -(int64_t)((middle - at) / per_column);
    vs_camera_pan(camera, by);
    input->is_dirty = true;
}

void vs_input_move(vs_input *input, int32_t x, int32_t y)
{
    const int32_t dx = x - input->pointer_x;
    input->pointer_x = x;
    input->pointer_y = y;
    input->has_pointer = true;
    if (input->is_panning && dx != 0) {
        vs_camera_pan(&input->view.camera, -(int64_t)dx);
        input->is_dirty = true;
    } else if (input->is_on_overview) {
        center_on_overview(input);
    }
    update_hover(input);
}

void vs_input_leave(vs_input *input)
{
    input->has_pointer = false;
    update_hover(input);
}

static void pin_cursor(vs_input *input)
{
    int32_t column = 0;
    const vs_stack *stack = &input->frame->rows[0].stack;
    if (has_plot_x(input, &column) && column < stack->shown &&
        stack->columns[column].event != VS_NO_EVENT) {
        input->view.has_cursor = true;
        input->view.cursor_event = stack->columns[column].event;
        input->is_dirty = true;
    }
}

void vs_input_press(vs_input *input, bool is_left)
{
    if (!is_left) {
        input->is_panning = true;
    } else if (vs_rect_has(input->frame->layout.overview, input->pointer_x, input->pointer_y)) {
        input->is_on_overview = true;
        center_on_overview(input);
    } else {
        pin_cursor(input);
    }
    update_hover(input);
}

void vs_input_release(vs_input *input, bool is_left)
{
    if (is_left) {
        input->is_on_overview = false;
    } else {
        input->is_panning = false;
    }
    update_hover(input);
}
