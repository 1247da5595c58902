/* viz/view/help.h - the page behind `?`: every key and what it does. */
#ifndef VS_VIZ_VIEW_HELP_H
#define VS_VIZ_VIEW_HELP_H

#include "viz/ui/pen.h"

/* Centred over a veil on a picture of width x height. */
void vs_help_draw(const vs_pen *pen, int32_t width, int32_t height);

#endif /* VS_VIZ_VIEW_HELP_H */
