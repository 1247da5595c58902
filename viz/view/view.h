/* viz/view/view.h - the whole picture, in two phases.
 *
 * Prepare asks the timelines for exactly what fits on the screen and keeps it in the caller's
 * arena; draw turns that into a draw list. What follows the mouse (hair line, readout under the
 * pointer, help) is an overlay with a list of its own, so that moving the mouse does not draw
 * the charts again.
 *
 * Nothing here knows SDL, files or the simulator. */
#ifndef VS_VIZ_VIEW_VIEW_H
#define VS_VIZ_VIEW_VIEW_H

#include "viz/ui/layout.h"
#include "viz/view/lanes.h"
#include "viz/view/overview.h"
#include "viz/view/stack.h"

/* What is to be seen: plain state, changed by whoever handles input. */
typedef struct {
    const vs_source *sources; /* borrowed, source_count of them, one row each */
    uint32_t source_count;    /* 1 .. VS_ROWS_MAX */
    vs_camera camera;         /* its width is set by vs_view_prepare */
    vs_theme theme;
    uint32_t scale_pct;
    int32_t width, height; /* pixels */
    vs_metrics metrics;
    const char *title; /* NULL: the tape's */
    const char *note;  /* what was said when the first source was read; NULL: nothing */
    bool has_overview;
    bool has_hover;
    vs_ns hover_ns;
    bool has_cursor;
    uint32_t cursor_event; /* of the first source */
    bool has_help;
} vs_view;

typedef struct {
    vs_stack stack, host;
    vs_lanes lanes;
} vs_view_row;

typedef struct {
    vs_layout layout;
    vs_axis time_axis;
    vs_overview overview;
    vs_view_row rows[VS_ROWS_MAX];
} vs_frame;

/* The whole of the longest run. */
void vs_view_fit(vs_view *view);
/* False when the arena is exhausted. The frame lives until the arena is reset. */
VS_MUST_CHECK bool vs_view_prepare(vs_frame *frame, vs_view *view, vs_arena *arena);
/* list is empty and as large as the view. */
void vs_view_draw(const vs_frame *frame, const vs_view *view, vs_draw_list *list);
/* Empty when nothing follows the mouse. */
void vs_view_draw_overlay(const vs_frame *frame, const vs_view *view, vs_draw_list *list);

#endif /* VS_VIZ_VIEW_VIEW_H */
