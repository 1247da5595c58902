/* viz/view/stack.h - a memory over time, stacked by category.
 *
 * Prepare asks the timeline once per pixel column and keeps the composition of one real moment
 * each: the one of greatest use. So the bands of a column add up to a total that existed, and
 * the run's peak is on the screen at every zoom. Draw turns the columns into rectangles, equal
 * neighbours fused. */
#ifndef VS_VIZ_VIEW_STACK_H
#define VS_VIZ_VIEW_STACK_H

#include "viz/ui/axis.h"
#include "viz/ui/pen.h"
#include "viz/view/camera.h"
#include "viz/view/source.h"

typedef struct {
    uint32_t event; /* whose composition this is; VS_NO_EVENT: nothing yet */
    vs_bytes used_bytes;
    vs_bytes min_bytes; /* smallest use in the column */
} vs_stack_column;

typedef struct {
    const vs_memory *memory;
    vs_stack_column *columns; /* camera->width of them */
    vs_bytes *bytes;          /* column by column, VS_CAT_COUNT each */
    int32_t shown;            /* columns up to the run's end; the rest is blank */
    vs_bytes top_bytes;       /* value of the plot's upper edge */
    vs_axis axis;             /* of bytes, for the plot's height */
} vs_stack;

/* False when the arena is exhausted. top_bytes and axis are left to the caller (the rows of a
 * picture share one scale). */
VS_MUST_CHECK bool vs_stack_prepare(vs_stack *stack, vs_arena *arena, const vs_source *source,
                                    const vs_memory *memory, const vs_camera *camera);
/* What the plot must reach: capacity, peak and the failed request (at most twice the former
 * two). */
vs_bytes vs_stack_top(const vs_source *source, const vs_memory *memory);
/* Pixel row of a value; the zero line is the plot's lower edge. */
int32_t vs_stack_y(const vs_stack *stack, vs_rect plot, vs_bytes bytes);

/* Under the bands: the plot's ground, the zone above the capacity, lines of the byte axis and
 * its labels, which end gap px left of the plot. */
void vs_stack_draw_ground(const vs_stack *stack, const vs_pen *pen, vs_rect plot);
/* Bands, ticks of smaller values, capacity line (no label). */
void vs_stack_draw_bands(const vs_stack *stack, const vs_pen *pen, vs_rect plot);

#endif /* VS_VIZ_VIEW_STACK_H */
