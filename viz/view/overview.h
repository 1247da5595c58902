/* viz/view/overview.h - the whole run in one strip, with the visible part bright. */
#ifndef VS_VIZ_VIEW_OVERVIEW_H
#define VS_VIZ_VIEW_OVERVIEW_H

#include "viz/ui/pen.h"
#include "viz/view/camera.h"
#include "viz/view/source.h"

typedef struct {
    vs_camera camera;   /* of the whole run */
    vs_column *columns; /* total use */
    vs_bytes top_bytes;
} vs_overview;

VS_MUST_CHECK bool vs_overview_prepare(vs_overview *overview, vs_arena *arena,
                                       const vs_source *source, const vs_camera *view);
void vs_overview_draw(const vs_overview *overview, const vs_source *source, const vs_pen *pen,
                      vs_rect box, const vs_camera *view);

#endif /* VS_VIZ_VIEW_OVERVIEW_H */
