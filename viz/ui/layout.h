/* viz/ui/layout.h - where everything stands.
 *
 * A picture is a stack of rows, one per run, sharing one time axis: every pane of every row has
 * the same left and right edge, so a moment is one vertical line. Beside the panes of a row
 * stands its legend.
 *
 *   +-- header: verdict, title --------------------------------------------+
 *   |        | overview (when asked for)         |        |                |
 *   | gutter | VRAM plot                         | share  | legend         |
 *   |        | time labels                       |        |                |
 *   |        | RAM plot                          |        | card           |
 *   |        | lanes                             | 91 %   |                |
 *   +-- footer ------------------------------------------------------------+ */
#ifndef VS_VIZ_UI_LAYOUT_H
#define VS_VIZ_UI_LAYOUT_H

#include "viz/draw/list.h"

#define VS_ROWS_MAX 8

typedef struct {
    int32_t width, height; /* pixels */
    uint32_t scale_pct;
    uint32_t row_count;               /* 1 .. VS_ROWS_MAX */
    uint32_t lane_count[VS_ROWS_MAX]; /* lanes with work on them */
    bool has_host[VS_ROWS_MAX];
    bool has_overview;
} vs_layout_desc;

typedef struct {
    vs_rect header;
    vs_rect stack_title, stack; /* title line and plot of the VRAM pane */
    vs_rect axis;               /* time labels */
    vs_rect host_title, host;   /* h 0: no room or no host */
    vs_rect lanes;              /* h 0: none */
    int32_t lane_height;
    vs_rect side; /* legend and card */
} vs_row_layout;

typedef struct {
    int32_t plot_x, plot_w; /* shared by all time panes */
    int32_t gutter;         /* left of the plots */
    int32_t share_w;        /* right of the plots */
    vs_rect overview;       /* h 0: none */
    vs_rect footer;
    vs_row_layout rows[VS_ROWS_MAX];
    uint32_t row_count;
} vs_layout;

void vs_layout_of(vs_layout *layout, const vs_layout_desc *desc);

#endif /* VS_VIZ_UI_LAYOUT_H */
