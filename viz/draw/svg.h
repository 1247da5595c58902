/* viz/draw/svg.h - the draw list as SVG: opens in a browser, prints sharply. */
#ifndef VS_VIZ_DRAW_SVG_H
#define VS_VIZ_DRAW_SVG_H

#include "viz/draw/list.h"

/* Writes to a temporary file and renames it. Text stays text; hatches become patterns. */
VS_MUST_CHECK bool vs_svg_write(const char *path, const vs_draw_list *list, vs_err *err);

#endif /* VS_VIZ_DRAW_SVG_H */
