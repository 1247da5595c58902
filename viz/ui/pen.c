#include "viz/ui/pen.h"

#include "viz/ui/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t vs_scaled(uint32_t scale_pct, int32_t logical)
{
    int32_t px = (int32_t)(((int64_t)logical * scale_pct + 50) / 100);
    return px < 1 && logical > 0 ? 1 : px;
}

int32_t vs_pen_px(const vs_pen *pen, int32_t logical)
{
    return vs_scaled(pen->scale_pct, logical);
}

vs_text_style vs_pen_style(const vs_pen *pen, int32_t logical_size, vs_color color)
{
    return (vs_text_style){vs_pen_px(pen, logical_size), false, VS_ALIGN_LEFT, color};
}

vs_text_style vs_pen_bold(const vs_pen *pen, int32_t logical_size, vs_color color)
{
    return (vs_text_style){vs_pen_px(pen, logical_size), true, VS_ALIGN_LEFT, color};
}

vs_text_style vs_aligned(vs_text_style style, vs_align align)
{
    style.align = align;
    return style;
}

int32_t vs_pen_label(const vs_pen *pen, vs_rect box, const vs_text_style *style, vs_str text)
{
    vs_str fitted = vs_text_fit(pen->arena, &pen->metrics, style, text, box.w);
    int32_t x = box.x;
    if (style->align == VS_ALIGN_RIGHT) {
        x += box.w;
    } else if (style->align == VS_ALIGN_CENTER) {
        x += box.w / 2;
    }
    vs_draw_text(pen->list, x, vs_text_baseline(box.y, box.h, style->size_px), style, fitted);
    return vs_text_width(&pen->metrics, style, fitted);
}

int32_t vs_pen_printf(const vs_pen *pen, vs_rect box, const vs_text_style *style,
                      const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return vs_pen_label(pen, box, style, vs_str_of(text));
}

vs_rect vs_pen_plate(const vs_pen *pen, vs_point at, const vs_text_style *style, vs_color plate,
                     vs_str text)
{
    const int32_t pad = vs_pen_px(pen, 5);
    const int32_t w = vs_text_width(&pen->metrics, style, text) + 2 * pad;
    const int32_t h = style->size_px + vs_pen_px(pen, 5);
    int32_t x = at.x;
    if (style->align == VS_ALIGN_RIGHT) {
        x -= w;
    } else if (style->align == VS_ALIGN_CENTER) {
        x -= w / 2;
    }
    const vs_rect box = vs_rect_of(x, at.y, w, h);
    const vs_text_style left = vs_aligned(*style, VS_ALIGN_LEFT);
    vs_draw_rect(pen->list, box, plate);
    vs_draw_text(pen->list, x + pad, vs_text_baseline(box.y, h, style->size_px), &left, text);
    return box;
}

void vs_pen_swatch(const vs_pen *pen, vs_rect box, vs_category category)
{
    const vs_category_style *style = &pen->style->categories[category];
    vs_draw_fill(pen->list, box, style->fill);
    if (style->outline != VS_CLEAR) {
        vs_draw_frame(pen->list, box, 1, style->outline);
    }
}
