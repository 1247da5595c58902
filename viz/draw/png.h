/* viz/draw/png.h - a surface as a PNG file, through libpng. */
#ifndef VS_VIZ_DRAW_PNG_H
#define VS_VIZ_DRAW_PNG_H

#include "viz/draw/raster.h"

/* One line of text about the picture, kept in a tEXt chunk (PNG specification, 11.3.4.3), or in
 * an iTXt chunk (11.3.4.5) when it is not ASCII. */
typedef struct {
    const char *keyword; /* "Title", "Software": 1 to 79 bytes of Latin-1 */
    const char *text;    /* UTF-8; NULL or "": left out */
} vs_png_text;

/* Writes to a temporary file and renames it; "-" is standard output. 24-bit RGB, no alpha. */
VS_MUST_CHECK bool vs_png_write(const char *path, const vs_surface *surface,
                                const vs_png_text *texts, uint32_t text_count, vs_err *err);

#endif /* VS_VIZ_DRAW_PNG_H */
