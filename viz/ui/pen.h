/* viz/ui/pen.h - what a view draws with: the list, the colours, the measure of text and the
 * scale. */
#ifndef VS_VIZ_UI_PEN_H
#define VS_VIZ_UI_PEN_H

#include "viz/draw/list.h"
#include "viz/ui/style.h"

/* Borrows everything; arena is the frame's, for shortened text. */
typedef struct {
    vs_draw_list *list;
    vs_arena *arena;
    const vs_style *style;
    vs_metrics metrics;
    uint32_t scale_pct; /* 100: one logical unit is one pixel */
} vs_pen;

/* Logical units to pixels, rounded once; at least 1 for lengths above 0. */
int32_t vs_scaled(uint32_t scale_pct, int32_t logical);
int32_t vs_pen_px(const vs_pen *pen, int32_t logical);

vs_text_style vs_pen_style(const vs_pen *pen, int32_t logical_size, vs_color color);
vs_text_style vs_pen_bold(const vs_pen *pen, int32_t logical_size, vs_color color);
vs_text_style vs_aligned(vs_text_style style, vs_align align);

/* Text inside box: aligned as style says, centred vertically, shortened from the middle to the
 * box's width. Returns the drawn width in pixels. */
int32_t vs_pen_label(const vs_pen *pen, vs_rect box, const vs_text_style *style, vs_str text);
/* The same from a format; at most 255 bytes. */
int32_t vs_pen_printf(const vs_pen *pen, vs_rect box, const vs_text_style *style,
                      const char *format, ...) VS_PRINTF(4, 5);
/* Text on a plate of its own, for labels that lie on a chart. (x, y): the plate's corner named
 * by style.align (right: top right). Returns the plate. */
vs_rect vs_pen_plate(const vs_pen *pen, vs_point at, const vs_text_style *style, vs_color plate,
                     vs_str text);
/* A category's swatch: its fill, hatch and outline. */
void vs_pen_swatch(const vs_pen *pen, vs_rect box, vs_category category);

#endif /* VS_VIZ_UI_PEN_H */
