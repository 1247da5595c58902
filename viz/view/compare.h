/* viz/view/compare.h - two runs in one picture: a prediction and a recording (VIEWER-design section 3.9).
 *
 *   +-- header: same verdict or not, the peaks; which run is which ---------+
 *   | gutter | both curves: predicted filled, recorded a line  | figures    |
 *   |        | recorded - predicted, two-coloured around zero  | largest    |
 *   |        | the axis                                        | difference |
 *   +-- footer -------------------------------------------------------------+
 *
 * The figures are those of vs_compare (vramscope/study.h): prepare asks it for one column a pixel, draw makes the list. */
#ifndef VS_VIZ_VIEW_COMPARE_H
#define VS_VIZ_VIEW_COMPARE_H

#include "viz/ui/axis.h"
#include "viz/ui/pen.h"
#include "viz/view/source.h"
#include "vramscope/study.h"

/* What is to be seen. Borrows everything. */
typedef struct {
    const vs_source *sources[VS_SIDES]; /* for titles */
    const vs_comparison *cmp;
    const vs_live_difference *live; /* at the largest disagreement of the axis */
    vs_compare_axis axis;           /* one that the comparison has */
    vs_theme theme;
    uint32_t scale_pct;
    int32_t width, height; /* pixels */
    vs_metrics metrics;
} vs_compare_view;

/* Positions, values and their labels along the axis. */
typedef struct {
    vs_rect header, title, plot, strip_title, strip, axis, side, footer; /* side.w 0: no room */
    vs_compare_column *columns;                                          /* plot.w of them */
    vs_bytes limit_bytes[VS_SIDES]; /* what the compared bytes may reach; 0: not known */
    vs_bytes limit_less[VS_SIDES];  /* what was taken off the card's capacity for it */
    uint32_t limit_side; /* whose limit is the picture's: the recording's, if known */
    vs_bytes top_bytes;
    vs_bytes above_bytes, below_bytes; /* of the strip: the ends of its scale */
    vs_axis bytes_axis;
    vs_axis position_axis; /* labels are made for the axis at hand */
} vs_compare_frame;

/* False when the arena is exhausted. The frame lives until the arena is reset. */
VS_MUST_CHECK bool vs_compare_view_prepare(vs_compare_frame *frame, const vs_compare_view *view,
                                           vs_arena *arena);
/* list is empty and as large as the view. */
void vs_compare_view_draw(const vs_compare_frame *frame, const vs_compare_view *view,
                          vs_draw_list *list);

#define VS_COMPARE_LINE_BYTES 384 /* at least VS_HEADLINE_BYTES */
/* The picture in a sentence: "both run out of memory; peak reserved 22.31 GiB predicted, 23.56 GiB recorded (-5.31 %)". */
const char *vs_compare_sentence(const vs_compare_view *view, char buf[VS_COMPARE_LINE_BYTES]);
/* compare_side.c: figures, errors, and what was alive at the largest disagreement. */
void vs_compare_side_draw(const vs_compare_view *view, const vs_pen *pen, vs_rect side);

#endif /* VS_VIZ_VIEW_COMPARE_H */
