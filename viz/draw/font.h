/* viz/draw/font.h - glyphs of a packaged font, through FreeType.
 *
 * A font is a regular and a bold face and, for code points they lack, a list of further faces
 * (model paths may be Korean or Chinese). Glyphs are rendered once per (face weight, size, code
 * point) and kept until the font is closed. Hinting is FreeType's own auto-hinter in its light
 * mode and advances are whole pixels, so one font file gives the same pixels on every machine
 * with one FreeType.
 *
 * One font belongs to one thread (looking a glyph up may render it). */
#ifndef VS_VIZ_DRAW_FONT_H
#define VS_VIZ_DRAW_FONT_H

#include "viz/draw/list.h"

typedef struct vs_font vs_font;

/* 8-bit coverage, rows top down, no padding. The bitmap's left edge is pen x + left; its
 * top row is baseline y - top. */
typedef struct {
    const uint8_t *coverage;
    int32_t left, top, width, rows;
    int32_t advance_px;
} vs_glyph;

/* path NULL: the first font found among the usual places of DejaVu Sans, Liberation Sans and
 * Noto Sans. NULL on failure; close with vs_font_close. */
VS_MUST_CHECK vs_font *vs_font_open(const char *path, vs_err *err);
void vs_font_close(vs_font *font);
const char *vs_font_path(const vs_font *font); /* of the regular face */

/* Never NULL: a glyph nobody has is drawn as the regular face's box. O(1) after the first
 * time. */
const vs_glyph *vs_font_glyph(vs_font *font, int32_t size_px, bool is_bold,
                              uint32_t code_point);
int32_t vs_font_width(vs_font *font, int32_t size_px, bool is_bold, vs_str text);
vs_metrics vs_font_metrics(vs_font *font); /* borrows font */

#endif /* VS_VIZ_DRAW_FONT_H */
