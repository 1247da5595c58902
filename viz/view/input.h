/* viz/view/input.h - what keys and the mouse do, as changes of plain state. Knows no SDL, so
 * that it can be driven by tests and, later, by scripts. */
#ifndef VS_VIZ_VIEW_INPUT_H
#define VS_VIZ_VIEW_INPUT_H

#include "viz/view/view.h"

typedef enum {
    VS_ACT_NONE,
    VS_ACT_ZOOM_IN,
    VS_ACT_ZOOM_OUT,
    VS_ACT_LEFT,
    VS_ACT_RIGHT,
    VS_ACT_FAR_LEFT,
    VS_ACT_FAR_RIGHT,
    VS_ACT_NEXT_EVENT,
    VS_ACT_PREVIOUS_EVENT,
    VS_ACT_HOME,
    VS_ACT_END,
    VS_ACT_FIT,
    VS_ACT_PEAK,
    VS_ACT_OOM,
    VS_ACT_THEME,
    VS_ACT_LARGER,
    VS_ACT_SMALLER,
    VS_ACT_HELP,
    VS_ACT_CLOSE, /* the topmost thing: help, cursor, window */
    VS_ACT_QUIT
} vs_action;

typedef struct {
    vs_view view;
    const vs_frame *frame; /* the last one prepared: where the panes are */
    int32_t pointer_x, pointer_y;
    bool has_pointer;
    bool is_panning;     /* middle or right button held */
    bool is_on_overview; /* left button went down there */
    uint32_t user_scale_pct;
    bool is_dirty;         /* charts must be drawn again */
    bool is_overlay_dirty; /* only what follows the mouse */
    bool wants_quit;
} vs_input;

void vs_input_act(vs_input *input, vs_action action);
/* notches > 0: away from the user. */
void vs_input_wheel(vs_input *input, double notches, bool is_panning);
void vs_input_move(vs_input *input, int32_t x, int32_t y);
void vs_input_leave(vs_input *input);
void vs_input_press(vs_input *input, bool is_left);
void vs_input_release(vs_input *input, bool is_left);

#endif /* VS_VIZ_VIEW_INPUT_H */
