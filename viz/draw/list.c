/* The list is one array that doubles inside its arena; strings and points are copied beside it.
 * Clips are resolved while appending: an item of kind VS_DRAW_CLIP carries the absolute
 * rectangle, so a back-end needs no stack. */
#include "viz/draw/list.h"

#include <string.h>

vs_color vs_color_with_alpha(vs_color color, uint32_t alpha_255)
{
    return (color & UINT32_C(0x00FFFFFF)) | (alpha_255 << 24);
}

vs_color vs_color_mix(vs_color a, vs_color b, uint32_t weight_256)
{
    vs_color out = a & UINT32_C(0xFF000000);
    for (uint32_t shift = 0; shift < 24; shift += 8) {
        uint32_t ca = (a >> shift) & 255u;
        uint32_t cb = (b >> shift) & 255u;
        out |= ((ca * (256u - weight_256) + cb * weight_256 + 128u) >> 8) << shift;
    }
    return out;
}

vs_rect vs_rect_of(int32_t x, int32_t y, int32_t w, int32_t h)
{
    return (vs_rect){x, y, w, h};
}

static int32_t min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

vs_rect vs_rect_intersect(vs_rect a, vs_rect b)
{
    int32_t x0 = max_i32(a.x, b.x);
    int32_t y0 = max_i32(a.y, b.y);
    int32_t x1 = min_i32(a.x + a.w, b.x + b.w);
    int32_t y1 = min_i32(a.y + a.h, b.y + b.h);
    return (vs_rect){x0, y0, max_i32(x1 - x0, 0), max_i32(y1 - y0, 0)};
}

vs_rect vs_rect_inset(vs_rect r, int32_t by)
{
    return (vs_rect){r.x + by, r.y + by, max_i32(r.w - 2 * by, 0), max_i32(r.h - 2 * by, 0)};
}

bool vs_rect_has(vs_rect r, int32_t x, int32_t y)
{
    return x >= r.x && y >= r.y && x < r.x + r.w && y < r.y + r.h;
}

const char *vs_hatch_key(vs_hatch hatch)
{
    static const char *const keys[VS_HATCH_COUNT] = {
#define VS_X(id, key) key,
        VS_HATCHES(VS_X)
#undef VS_X
    };
    return keys[hatch];
}

static bool is_multiple(int32_t value, int32_t of)
{
    return value % of == 0;
}

bool vs_hatch_covers(vs_hatch hatch, int32_t x, int32_t y, int32_t scale)
{
    int32_t u = x / scale;
    int32_t v = y / scale;
    switch (hatch) {
    case VS_HATCH_NONE:
    case VS_HATCH_COUNT: return false;
    case VS_HATCH_DIAGONAL: return (u + v) % 8 < 2;
    case VS_HATCH_SPARSE: return is_multiple(u + v, 12);
    case VS_HATCH_DOTS4: return is_multiple(u, 4) && is_multiple(v, 4);
    case VS_HATCH_DOTS6: return is_multiple(u, 6) && is_multiple(v, 6);
    case VS_HATCH_CROSS: return is_multiple(u + v, 8) || is_multiple(u - v, 8);
    case VS_HATCH_VERTICAL: return is_multiple(u, 6);
    }
    return false;
}

/* ---- appending ------------------------------------------------------------------------ */

void vs_draw_init(vs_draw_list *list, vs_arena *arena, int32_t width, int32_t height)
{
    *list = (vs_draw_list){
        .arena = arena, .width = width, .height = height, .hatch_scale = 1, .clip_depth = 1};
    list->clips[0] = vs_rect_of(0, 0, width, height);
}

static vs_draw_item *append(vs_draw_list *list)
{
    if (list->has_failed) {
        return NULL;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 1024 : list->capacity * 2;
        vs_draw_item *items = VS_ARRAY(list->arena, vs_draw_item, capacity);
        if (items == NULL) {
            list->has_failed = true;
            return NULL;
        }
        if (list->count > 0) {
            memcpy(items, list->items, list->count * sizeof *items);
        }
        list->items = items;
        list->capacity = capacity;
    }
    return &list->items[list->count++];
}

static vs_rect clip_now(const vs_draw_list *list)
{
    return list->clips[list->clip_depth - 1];
}

void vs_draw_fill(vs_draw_list *list, vs_rect rect, vs_fill fill)
{
    vs_rect seen = vs_rect_intersect(rect, clip_now(list));
    if (seen.w == 0 || seen.h == 0) {
        return;
    }
    vs_draw_item *item = append(list);
    if (item != NULL) {
        item->kind = VS_DRAW_RECT;
        item->rect = seen;
        item->fill = fill;
    }
}

void vs_draw_rect(vs_draw_list *list, vs_rect rect, vs_color color)
{
    vs_draw_fill(list, rect, (vs_fill){color, VS_CLEAR, VS_HATCH_NONE});
}

void vs_draw_frame(vs_draw_list *list, vs_rect r, int32_t width_px, vs_color color)
{
    int32_t inner_h = max_i32(r.h - 2 * width_px, 0);
    vs_draw_rect(list, vs_rect_of(r.x, r.y, r.w, min_i32(width_px, r.h)), color);
    vs_draw_rect(list, vs_rect_of(r.x, r.y + width_px, width_px, inner_h), color);
    vs_draw_rect(list, vs_rect_of(r.x + r.w - width_px, r.y + width_px, width_px, inner_h),
                 color);
    if (r.h > width_px) {
        vs_draw_rect(list, vs_rect_of(r.x, r.y + r.h - width_px, r.w, width_px), color);
    }
}

void vs_draw_dashes(vs_draw_list *list, vs_rect rect, int32_t on_px, vs_color color)
{
    for (int32_t x = rect.x; x < rect.x + rect.w; x += 2 * on_px) {
        int32_t w = min_i32(on_px, rect.x + rect.w - x);
        vs_draw_rect(list, vs_rect_of(x, rect.y, w, rect.h), color);
    }
}

void vs_draw_lines(vs_draw_list *list, const vs_point *points, uint32_t count, int32_t width_px,
                   vs_color color)
{
    if (count < 2 || list->has_failed) {
        return;
    }
    vs_point *copy = VS_ARRAY(list->arena, vs_point, count);
    vs_draw_item *item = copy == NULL ? NULL : append(list);
    if (item == NULL) {
        list->has_failed = true;
        return;
    }
    memcpy(copy, points, count * sizeof *copy);
    item->kind = VS_DRAW_LINE;
    item->fill.color = color;
    item->u.line.points = copy;
    item->u.line.count = count;
    item->u.line.width_px = width_px;
}

void vs_draw_text(vs_draw_list *list, int32_t x, int32_t baseline_y, const vs_text_style *style,
                  vs_str text)
{
    if (text.len == 0 || list->has_failed) {
        return;
    }
    const char *copy = vs_str_copy(list->arena, text);
    vs_draw_item *item = copy == NULL ? NULL : append(list);
    if (item == NULL) {
        list->has_failed = true;
        return;
    }
    item->kind = VS_DRAW_TEXT;
    item->rect = vs_rect_of(x, baseline_y, 0, 0);
    item->fill.color = style->color;
    item->u.text.bytes = copy;
    item->u.text.size_px = style->size_px;
    item->u.text.is_bold = style->is_bold;
    item->u.text.align = style->align;
}

static void append_clip(vs_draw_list *list)
{
    vs_draw_item *item = append(list);
    if (item != NULL) {
        item->kind = VS_DRAW_CLIP;
        item->rect = clip_now(list);
    }
}

void vs_draw_push_clip(vs_draw_list *list, vs_rect rect)
{
    vs_assert(list->clip_depth < VS_CLIP_DEPTH);
    list->clips[list->clip_depth] = vs_rect_intersect(rect, clip_now(list));
    list->clip_depth++;
    append_clip(list);
}

void vs_draw_pop_clip(vs_draw_list *list)
{
    vs_assert(list->clip_depth > 1);
    list->clip_depth--;
    append_clip(list);
}

/* ---- as text ------------------------------------------------------------------------- */

static void dump_rect(const vs_draw_item *item, vs_outfile *out)
{
    vs_rect r = item->rect;
    vs_outfile_printf(out, "rect %d %d %d %d #%08" PRIX32, r.x, r.y, r.w, r.h,
                      item->fill.color);
    if (item->fill.hatch != VS_HATCH_NONE) {
        vs_outfile_printf(out, " %s #%08" PRIX32, vs_hatch_key(item->fill.hatch),
                          item->fill.ink);
    }
    vs_outfile_printf(out, "\n");
}

static void dump_line(const vs_draw_item *item, vs_outfile *out)
{
    vs_outfile_printf(out, "line %d #%08" PRIX32, item->u.line.width_px, item->fill.color);
    for (uint32_t i = 0; i < item->u.line.count; i++) {
        vs_outfile_printf(out, " %d,%d", item->u.line.points[i].x, item->u.line.points[i].y);
    }
    vs_outfile_printf(out, "\n");
}

static void dump_text(const vs_draw_item *item, vs_outfile *out)
{
    static const char *const aligns[] = {"left", "center", "right"};
    vs_outfile_printf(out, "text %d %d %s %d%s #%08" PRIX32 " \"%s\"\n", item->rect.x,
                      item->rect.y, aligns[item->u.text.align], item->u.text.size_px,
                      item->u.text.is_bold ? " bold" : "", item->fill.color,
                      item->u.text.bytes);
}

void vs_draw_dump(const vs_draw_list *list, vs_outfile *out)
{
    vs_outfile_printf(out, "picture %d %d\n", list->width, list->height);
    for (uint32_t i = 0; i < list->count; i++) {
        const vs_draw_item *item = &list->items[i];
        switch (item->kind) {
        case VS_DRAW_RECT: dump_rect(item, out); break;
        case VS_DRAW_LINE: dump_line(item, out); break;
        case VS_DRAW_TEXT: dump_text(item, out); break;
        case VS_DRAW_CLIP:
            vs_outfile_printf(out, "clip %d %d %d %d\n", item->rect.x, item->rect.y,
                              item->rect.w, item->rect.h);
            break;
        }
    }
}

/* ---- measuring -------------------------------------------------------------------------- */

uint32_t vs_utf8_next(vs_str *text)
{
    const uint8_t *p = (const uint8_t *)text->ptr;
    uint32_t first = p[0];
    size_t more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    uint32_t code = more == 0 ? first : first & (0x3Fu >> more);
    /* Smallest code point that needs this many bytes: shorter encodings are forged. */
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    bool is_valid = more == 0 || (first >= 0xC2 && first <= 0xF4 && text->len > more);
    for (size_t i = 1; is_valid && i <= more; i++) {
        is_valid = (p[i] & 0xC0u) == 0x80u;
        code = (code << 6) | (p[i] & 0x3Fu);
    }
    is_valid =
        is_valid && code >= least[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    size_t used = is_valid ? more + 1 : 1;
    text->ptr += used;
    text->len -= used;
    return is_valid ? code : UINT32_C(0xFFFD);
}

static int32_t fixed_width(void *ctx, int32_t size_px, bool is_bold, vs_str text)
{
    (void)ctx;
    (void)is_bold;
    int32_t count = 0;
    while (text.len > 0) {
        (void)vs_utf8_next(&text);
        count++;
    }
    return count * size_px * 3 / 5;
}

vs_metrics vs_metrics_fixed(void)
{
    return (vs_metrics){NULL, fixed_width};
}

int32_t vs_text_width(const vs_metrics *metrics, const vs_text_style *style, vs_str text)
{
    return metrics->width(metrics->ctx, style->size_px, style->is_bold, text);
}
