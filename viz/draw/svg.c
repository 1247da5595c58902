/* Each hatch in each ink is one <pattern>, made when it is first met; the ids say which. Clips
 * become groups: a clip item closes the group before it and opens the next. */
#include "viz/draw/svg.h"

#include <stdlib.h>

#define PATTERNS_MAX 64u

typedef struct {
    vs_outfile *out;
    int32_t scale;
    uint32_t clip_count;
    bool has_group;
    uint32_t pattern_count;

    struct {
        vs_hatch hatch;
        vs_color ink;
    } patterns[PATTERNS_MAX];
} writer;

/* color="#RRGGBB" and, where it is not opaque, the matching opacity. */
static void put_color(const writer *w, const char *attribute, vs_color color)
{
    vs_outfile_printf(w->out, " %s=\"#%06" PRIX32 "\"", attribute, color & UINT32_C(0xFFFFFF));
    const uint32_t alpha = color >> 24;
    if (alpha < 255) {
        vs_outfile_printf(w->out, " %s-opacity=\"%" PRIu32 ".%03" PRIu32 "\"", attribute,
                          alpha / 255, alpha * 1000 / 255 % 1000);
    }
}

static void put_escaped(const writer *w, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&': vs_outfile_printf(w->out, "&amp;"); break;
        case '<': vs_outfile_printf(w->out, "&lt;"); break;
        case '>': vs_outfile_printf(w->out, "&gt;"); break;
        default:
            /* XML 1.0 allows no control characters. */
            vs_outfile_write(w->out, (uint8_t)*p < 0x20 ? " " : p, 1);
            break;
        }
    }
}

/* Side of the square that repeats. */
static int32_t period(vs_hatch hatch)
{
    switch (hatch) {
    case VS_HATCH_DIAGONAL:
    case VS_HATCH_CROSS: return 8;
    case VS_HATCH_SPARSE: return 12;
    case VS_HATCH_DOTS4: return 4;
    case VS_HATCH_DOTS6:
    case VS_HATCH_VERTICAL: return 6;
    case VS_HATCH_NONE:
    case VS_HATCH_COUNT: break;
    }
    return 1;
}

/* The pattern's own pixels, so that the picture matches the raster's. */
static void put_pattern(const writer *w, uint32_t id, vs_hatch hatch, vs_color ink)
{
    const int32_t side = period(hatch);
    vs_outfile_printf(
        w->out,
        "<pattern id=\"p%" PRIu32
        "\" width=\"%d\" height=\"%d\" patternUnits=\"userSpaceOnUse\"><path d=\"",
        id, side * w->scale, side * w->scale);
    for (int32_t y = 0; y < side; y++) {
        for (int32_t x = 0; x < side; x++) {
            if (vs_hatch_covers(hatch, x, y, 1)) {
                vs_outfile_printf(w->out, "M%d %dh%dv%dh-%dz", x * w->scale, y * w->scale,
                                  w->scale, w->scale, w->scale);
            }
        }
    }
    vs_outfile_printf(w->out, "\"");
    put_color(w, "fill", ink);
    vs_outfile_printf(w->out, "/></pattern>\n");
}

/* PATTERNS_MAX when the table is full: the hatch is then left out, its fill stays. */
static uint32_t pattern_id(writer *w, vs_hatch hatch, vs_color ink)
{
    for (uint32_t i = 0; i < w->pattern_count; i++) {
        if (w->patterns[i].hatch == hatch && w->patterns[i].ink == ink) {
            return i;
        }
    }
    if (w->pattern_count == PATTERNS_MAX) {
        return PATTERNS_MAX;
    }
    w->patterns[w->pattern_count].hatch = hatch;
    w->patterns[w->pattern_count].ink = ink;
    put_pattern(w, w->pattern_count, hatch, ink);
    return w->pattern_count++;
}

static void put_box(const writer *w, vs_rect r)
{
    vs_outfile_printf(w->out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"", r.x, r.y,
                      r.w, r.h);
}

static void put_rect(writer *w, const vs_draw_item *item)
{
    if (item->fill.color >> 24 != 0) {
        put_box(w, item->rect);
        put_color(w, "fill", item->fill.color);
        vs_outfile_printf(w->out, "/>\n");
    }
    if (item->fill.hatch != VS_HATCH_NONE) {
        const uint32_t id = pattern_id(w, item->fill.hatch, item->fill.ink);
        if (id < PATTERNS_MAX) {
            put_box(w, item->rect);
            vs_outfile_printf(w->out, " fill=\"url(#p%" PRIu32 ")\"/>\n", id);
        }
    }
}

/* Half a pixel in: a raster's line runs through pixel centres. */
static void put_line(const writer *w, const vs_draw_item *item)
{
    vs_outfile_printf(w->out, "<polyline fill=\"none\" stroke-width=\"%d\"",
                      item->u.line.width_px);
    put_color(w, "stroke", item->fill.color);
    vs_outfile_printf(w->out, " points=\"");
    for (uint32_t i = 0; i < item->u.line.count; i++) {
        vs_outfile_printf(w->out, "%d.5,%d.5 ", item->u.line.points[i].x,
                          item->u.line.points[i].y);
    }
    vs_outfile_printf(w->out, "\"/>\n");
}

static void put_text(const writer *w, const vs_draw_item *item)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    vs_outfile_printf(w->out, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" text-anchor=\"%s\"%s",
                      item->rect.x, item->rect.y, item->u.text.size_px,
                      anchors[item->u.text.align],
                      item->u.text.is_bold ? " font-weight=\"bold\"" : "");
    put_color(w, "fill", item->fill.color);
    vs_outfile_printf(w->out, ">");
    put_escaped(w, item->u.text.bytes);
    vs_outfile_printf(w->out, "</text>\n");
}

static void put_clip(writer *w, vs_rect r)
{
    if (w->has_group) {
        vs_outfile_printf(w->out, "</g>\n");
    }
    vs_outfile_printf(w->out, "<clipPath id=\"c%" PRIu32 "\">", w->clip_count);
    put_box(w, r);
    vs_outfile_printf(w->out, "/></clipPath><g clip-path=\"url(#c%" PRIu32 ")\">\n",
                      w->clip_count);
    w->clip_count++;
    w->has_group = true;
}

static void put_item(writer *w, const vs_draw_item *item)
{
    switch (item->kind) {
    case VS_DRAW_RECT: put_rect(w, item); break;
    case VS_DRAW_LINE: put_line(w, item); break;
    case VS_DRAW_TEXT: put_text(w, item); break;
    case VS_DRAW_CLIP: put_clip(w, item->rect); break;
    }
}

bool vs_svg_write(const char *path, const vs_draw_list *list, vs_err *err)
{
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    writer w = {.out = out, .scale = list->hatch_scale};
    vs_outfile_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\" "
        "font-family=\"DejaVu Sans, Verdana, sans-serif\" xml:space=\"preserve\">\n",
        list->width, list->height, list->width, list->height);
    for (uint32_t i = 0; i < list->count; i++) {
        put_item(&w, &list->items[i]);
    }
    vs_outfile_printf(out, "%s</svg>\n", w.has_group ? "</g>\n" : "");
    return vs_outfile_commit(out, err);
}
