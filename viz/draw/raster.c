/* Straight loops over rows. Opaque plain rectangles, most of any picture, take the fast path;
 * everything else is one blend per pixel: out = (src * a + dst * (255 - a)) / 255, rounded to
 * nearest, exact for a = 0 and 255. */
#include "viz/draw/raster.h"

#include <math.h>
#include <string.h>

typedef struct {
    vs_surface *surface;
    vs_rect clip;
    int32_t hatch_scale;
} target;

static uint32_t div255(uint32_t v)
{
    return (v + 128 + ((v + 128) >> 8)) >> 8;
}

static void blend(uint32_t *pixel, vs_color color, uint32_t alpha)
{
    uint32_t dst = *pixel;
    uint32_t rest = 255 - alpha;
    uint32_t r = div255(((color >> 16) & 255u) * alpha + ((dst >> 16) & 255u) * rest);
    uint32_t g = div255(((color >> 8) & 255u) * alpha + ((dst >> 8) & 255u) * rest);
    uint32_t b = div255((color & 255u) * alpha + (dst & 255u) * rest);
    *pixel = UINT32_C(0xFF000000) | (r << 16) | (g << 8) | b;
}

static uint32_t *pixel_at(const target *t, int32_t x, int32_t y)
{
    return t->surface->pixels + (size_t)y * (size_t)t->surface->width + (size_t)x;
}

static void fill_row(uint32_t *row, int32_t count, vs_color color)
{
    uint32_t alpha = color >> 24;
    if (alpha == 255) {
        for (int32_t i = 0; i < count; i++) {
            row[i] = color;
        }
        return;
    }
    if (alpha == 0) {
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        blend(&row[i], color, alpha);
    }
}

static void hatch_row(const target *t, vs_rect row, const vs_fill *fill)
{
    uint32_t *pixels = pixel_at(t, row.x, row.y);
    uint32_t alpha = fill->ink >> 24;
    for (int32_t i = 0; i < row.w; i++) {
        if (vs_hatch_covers(fill->hatch, row.x + i, row.y, t->hatch_scale)) {
            blend(&pixels[i], fill->ink, alpha);
        }
    }
}

static void draw_rect(const target *t, const vs_draw_item *item)
{
    vs_rect r = vs_rect_intersect(item->rect, t->clip);
    for (int32_t y = r.y; r.w > 0 && y < r.y + r.h; y++) {
        fill_row(pixel_at(t, r.x, y), r.w, item->fill.color);
        if (item->fill.hatch != VS_HATCH_NONE) {
            hatch_row(t, vs_rect_of(r.x, y, r.w, 1), &item->fill);
        }
    }
}

/* ---- lines ----------------------------------------------------------------------------- */

/* Distance from (px, py) to the segment, all relative to its first point. */
static double distance_to(double px, double py, double dx, double dy)
{
    double length2 = dx * dx + dy * dy;
    double along = length2 > 0 ? (px * dx + py * dy) / length2 : 0;
    along = along < 0 ? 0 : along > 1 ? 1 : along;
    double ex = px - along * dx;
    double ey = py - along * dy;
    return sqrt(ex * ex + ey * ey);
}

/* Coverage falls linearly over the last pixel of the half width. O(bounding box): segments are
 * short (crosses, markers); long horizontal and vertical lines are rectangles. */
static void draw_segment(const target *t, vs_point a, vs_point b, const vs_draw_item *item)
{
    int32_t pad = item->u.line.width_px / 2 + 1;
    int32_t x0 = a.x < b.x ? a.x : b.x;
    int32_t y0 = a.y < b.y ? a.y : b.y;
    int32_t x1 = a.x < b.x ? b.x : a.x;
    int32_t y1 = a.y < b.y ? b.y : a.y;
    vs_rect box = vs_rect_of(x0 - pad, y0 - pad, x1 - x0 + 2 * pad + 1, y1 - y0 + 2 * pad + 1);
    box = vs_rect_intersect(box, t->clip);
    double half = (double)item->u.line.width_px / 2 + 0.5;
    double alpha = (double)(item->fill.color >> 24);
    for (int32_t y = box.y; y < box.y + box.h; y++) {
        uint32_t *row = pixel_at(t, 0, y);
        for (int32_t x = box.x; x < box.x + box.w; x++) {
            double cover = half - distance_to(x - a.x, y - a.y, b.x - a.x, b.y - a.y);
            if (cover > 0) {
                cover = cover > 1 ? 1 : cover;
                blend(&row[x], item->fill.color, (uint32_t)(alpha * cover + 0.5));
            }
        }
    }
}

static void draw_lines(const target *t, const vs_draw_item *item)
{
    for (uint32_t i = 1; i < item->u.line.count; i++) {
        draw_segment(t, item->u.line.points[i - 1], item->u.line.points[i], item);
    }
}

/* ---- text -------------------------------------------------------------------------------- */

static void draw_glyph(const target *t, vs_point pen, const vs_glyph *glyph, vs_color color)
{
    vs_rect whole =
        vs_rect_of(pen.x + glyph->left, pen.y - glyph->top, glyph->width, glyph->rows);
    vs_rect r = vs_rect_intersect(whole, t->clip);
    uint32_t alpha = color >> 24;
    for (int32_t y = r.y; y < r.y + r.h; y++) {
        const uint8_t *cover = glyph->coverage + (size_t)(y - whole.y) * (size_t)whole.w;
        uint32_t *row = pixel_at(t, 0, y);
        for (int32_t x = r.x; x < r.x + r.w; x++) {
            uint32_t a = div255(cover[x - whole.x] * alpha);
            if (a > 0) {
                blend(&row[x], color, a);
            }
        }
    }
}

static void draw_text(const target *t, const vs_draw_item *item, vs_font *font)
{
    vs_str text = vs_str_of(item->u.text.bytes);
    const int32_t size = item->u.text.size_px;
    const bool is_bold = item->u.text.is_bold;
    vs_point pen = {item->rect.x, item->rect.y};
    if (item->u.text.align != VS_ALIGN_LEFT) {
        int32_t width = vs_font_width(font, size, is_bold, text);
        pen.x -= item->u.text.align == VS_ALIGN_RIGHT ? width : width / 2;
    }
    while (text.len > 0) {
        const vs_glyph *glyph = vs_font_glyph(font, size, is_bold, vs_utf8_next(&text));
        draw_glyph(t, pen, glyph, item->fill.color);
        pen.x += glyph->advance_px;
    }
}

void vs_raster_list(vs_surface *surface, const vs_draw_list *list, vs_font *font)
{
    const vs_rect whole = vs_rect_of(0, 0, surface->width, surface->height);
    target t = {surface, whole, list->hatch_scale};
    for (uint32_t i = 0; i < list->count; i++) {
        const vs_draw_item *item = &list->items[i];
        switch (item->kind) {
        case VS_DRAW_RECT: draw_rect(&t, item); break;
        case VS_DRAW_LINE: draw_lines(&t, item); break;
        case VS_DRAW_TEXT:
            if (font != NULL) {
                draw_text(&t, item, font);
            }
            break;
        case VS_DRAW_CLIP: t.clip = vs_rect_intersect(item->rect, whole); break;
        }
    }
}
