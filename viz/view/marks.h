/* viz/view/marks.h - what stands on the charts: the capacity's label, the failure, phases, hair
 * lines. */
#ifndef VS_VIZ_VIEW_MARKS_H
#define VS_VIZ_VIEW_MARKS_H

#include "viz/ui/layout.h"
#include "viz/view/stack.h"

/* Everything a mark needs to know of its row. */
typedef struct {
    const vs_pen *pen;
    const vs_source *source;
    const vs_camera *camera;
    const vs_row_layout *row;
} vs_mark_place;

/* "capacity 23.64 GiB (25,386,352,640 B)", on the side of the chart where no failure is. */
void vs_marks_capacity(const vs_mark_place *at, const vs_stack *stack, vs_rect plot);
/* Vertical line through the row's panes, cross on the capacity line, tag, the request as a
 * crossed box. */
void vs_marks_oom(const vs_mark_place *at, const vs_stack *stack, vs_rect plot);
/* "peak 12.90 GiB" over the moment of the peak, when the run did not fail. */
void vs_marks_peak(const vs_mark_place *at, const vs_stack *stack, vs_rect plot);
/* Where the program would notice an earlier failure. */
void vs_marks_surface(const vs_mark_place *at);
/* Names of the phases above the plot, where there is room. */
void vs_marks_phases(const vs_mark_place *at);
/* One vertical line through the row's panes. */
void vs_marks_hair(const vs_mark_place *at, vs_ns t, vs_color color);

#endif /* VS_VIZ_VIEW_MARKS_H */
