/* viz/view/readout.h - the legend, with what each category holds at one or two moments. */
#ifndef VS_VIZ_VIEW_READOUT_H
#define VS_VIZ_VIEW_READOUT_H

#include "viz/ui/pen.h"
#include "viz/view/source.h"

/* A column of figures: "at peak" over "1.93 s". */
typedef struct {
    const char *name;
    const vs_composition *at; /* NULL: no such column */
} vs_readout_column;

/* Categories that ever hold something, in the order of the stack, then the total and the room
 * left; below y of side, as far as it has room. Returns the y behind the last line. */
int32_t vs_readout_draw(const vs_pen *pen, vs_rect side, const char *title,
                        const vs_memory *memory, const vs_timeline *tl,
                        const vs_readout_column columns[2]);

#endif /* VS_VIZ_VIEW_READOUT_H */
