/* viz/view/lanes.h - what worked when: disk, CPU workers, PCIe, GPU.
 *
 * A span of at least 3 px is a box of its own. Narrower ones are fused into a bar whose height
 * is the share of the column the lane was busy, so a half-busy lane looks half as tall, not
 * solid. */
#ifndef VS_VIZ_VIEW_LANES_H
#define VS_VIZ_VIEW_LANES_H

#include "viz/ui/pen.h"
#include "viz/view/camera.h"
#include "viz/view/source.h"

#define VS_BUSY_FULL 1000u /* busy_permille of a box */

typedef struct {
    int32_t x, w;
    uint32_t busy_permille; /* VS_BUSY_FULL for boxes */
    uint32_t name;          /* string id; bars: of the first span */
    uint8_t category;
    bool is_box;
} vs_lane_piece;

typedef struct {
    const char *name;
    vs_lane_piece *pieces;
    uint32_t piece_count;
    uint32_t busy_permille; /* of the visible part of the run */
} vs_lane_row;

typedef struct {
    vs_lane_row *rows;
    uint32_t row_count;
} vs_lanes;

/* Lanes without work are left out. False when the arena is exhausted. O(width log spans). */
VS_MUST_CHECK bool vs_lanes_prepare(vs_lanes *lanes, vs_arena *arena, const vs_source *source,
                                    const vs_camera *camera);
/* names go to the left of area, shares to the right of it, in share_w pixels. */
void vs_lanes_draw(const vs_lanes *lanes, const vs_pen *pen, const vs_timeline *tl,
                   vs_rect area, int32_t gutter, int32_t share_w);

#endif /* VS_VIZ_VIEW_LANES_H */
