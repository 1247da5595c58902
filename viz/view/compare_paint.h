/* viz/view/compare_paint.h - shared by the files that draw a comparison. */
#ifndef VS_VIZ_VIEW_COMPARE_PAINT_H
#define VS_VIZ_VIEW_COMPARE_PAINT_H

#include "viz/view/compare.h"
#include "viz/view/stack.h"

typedef struct {
    const vs_compare_frame *frame;
    const vs_compare_view *view;
    const vs_pen *pen;
    vs_stack scale; /* of the main plot */
    vs_memory memory;
} compare_painter;

static inline int32_t paint_px(const compare_painter *p, int32_t logical)
{
    return vs_pen_px(p->pen, logical);
}

static inline const vs_compare_curve *compare_curve_of(const vs_compare_view *view)
{
    return &view->cmp->curves[view->axis];
}

static inline int32_t paint_y(const compare_painter *p, vs_bytes bytes)
{
    return vs_stack_y(&p->scale, p->frame->plot, bytes);
}

/* The column that covers a position. */
int32_t paint_column(const compare_painter *p, uint64_t position);
/* The most that a category of a device ever held. */
vs_bytes compare_level(const vs_timeline *tl, uint8_t device, vs_category category);

/* compare_marks.c: what stands on the plot. */
void paint_title(const compare_painter *p);
void paint_limits(const compare_painter *p);
void paint_limit_labels(const compare_painter *p);
void paint_disagreement(const compare_painter *p);
void paint_ooms(const compare_painter *p);

#endif /* VS_VIZ_VIEW_COMPARE_PAINT_H */
