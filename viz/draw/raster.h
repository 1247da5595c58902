/* viz/draw/raster.h - the draw list as pixels, on the CPU.
 *
 * The same list gives the same pixels everywhere: pictures in files, golden tests and the
 * window all come from here. Text is drawn with a real font (font.h); without one it is left
 * out. */
#ifndef VS_VIZ_DRAW_RASTER_H
#define VS_VIZ_DRAW_RASTER_H

#include "viz/draw/font.h"
#include "viz/draw/list.h"

/* 0xFFRRGGBB per pixel, rows top down. The caller owns pixels: width * height of them. */
typedef struct {
    uint32_t *pixels;
    int32_t width, height;
} vs_surface;

/* Replays list over what the surface holds. The surface may be smaller than the list's picture.
 * font may be NULL. */
void vs_raster_list(vs_surface *surface, const vs_draw_list *list, vs_font *font);

#endif /* VS_VIZ_DRAW_RASTER_H */
