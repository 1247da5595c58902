#include "viz/view/readout.h"

#include <string.h>

enum {
    ROW = 19,
    HEAD = 17,
    SWATCH = 13,
    VALUE = 82,
    TWO_FROM = 270 /* logical width for two columns */
};

typedef struct {
    const vs_pen *pen;
    vs_rect side;
    const vs_readout_column *columns;
    uint32_t column_count;
    int32_t y;
} table;

static int32_t px(const table *t, int32_t logical)
{
    return vs_pen_px(t->pen, logical);
}

static bool has_row(const table *t)
{
    return t->y + px(t, ROW) <= t->side.y + t->side.h;
}

/* The box of column i's figures, counted from the left, at the current line. */
static vs_rect cell(const table *t, uint32_t i, int32_t h)
{
    const int32_t from_right = (int32_t)(t->column_count - i) * px(t, VALUE);
    return vs_rect_of(t->side.x + t->side.w - from_right, t->y, px(t, VALUE), h);
}

static void figure_row(table *t, const char *label, const uint64_t *values,
                       const char *const *signs, const vs_text_style *style)
{
    const int32_t h = px(t, ROW);
    const int32_t x = t->side.x + px(t, SWATCH + 8);
    const vs_rect first = cell(t, 0, h);
    vs_pen_label(t->pen, vs_rect_of(x, t->y, first.x - x, h), style, vs_str_of(label));
    const vs_text_style right = vs_aligned(*style, VS_ALIGN_RIGHT);
    vs_assert(t->column_count <= 2);
    for (uint32_t i = 0; i < t->column_count; i++) {
        char text[VS_TEXT_BYTES];
        vs_format_size(values[i], text);
        vs_pen_printf(t->pen, cell(t, i, h), &right, "%s%s", signs[i], text);
    }
    t->y += h;
}

static void head(table *t, const char *title)
{
    const vs_text_style bold = vs_pen_bold(t->pen, 12, t->pen->style->text);
    const vs_text_style right = vs_aligned(bold, VS_ALIGN_RIGHT);
    const vs_text_style dim =
        vs_aligned(vs_pen_style(t->pen, 11, t->pen->style->dim), VS_ALIGN_RIGHT);
    const int32_t h = px(t, HEAD);
    vs_pen_label(t->pen, vs_rect_of(t->side.x, t->y, cell(t, 0, h).x - t->side.x, h), &bold,
                 vs_str_of(title));
    for (uint32_t i = 0; i < t->column_count; i++) {
        vs_pen_label(t->pen, cell(t, i, h), &right, vs_str_of(t->columns[i].name));
    }
    t->y += h;
    for (uint32_t i = 0; i < t->column_count; i++) {
        char when[VS_TEXT_BYTES];
        vs_format_duration(t->columns[i].at->time_ns, when);
        vs_pen_label(t->pen, cell(t, i, h), &dim, vs_str_of(when));
    }
    t->y += h + px(t, 2);
}

static void category_row(table *t, vs_category category)
{
    static const char *const no_signs[2] = {"", ""};
    const int32_t s = px(t, SWATCH);
    vs_pen_swatch(t->pen, vs_rect_of(t->side.x, t->y + (px(t, ROW) - s) / 2, s, s), category);
    uint64_t values[2] = {0, 0};
    for (uint32_t i = 0; i < t->column_count; i++) {
        values[i] = t->columns[i].at->bytes[category];
    }
    const vs_text_style style = vs_pen_style(t->pen, 12, t->pen->style->text);
    figure_row(t, vs_category_label(category), values, no_signs, &style);
}

static void totals(table *t, const vs_memory *memory)
{
    static const char *const no_signs[2] = {"", ""};
    const char *signs[2] = {"", ""};
    uint64_t used[2] = {0, 0};
    uint64_t room[2] = {0, 0};
    const vs_bytes capacity = memory->capacity_bytes;
    for (uint32_t i = 0; i < t->column_count; i++) {
        used[i] = t->columns[i].at->used_bytes;
        signs[i] = used[i] > capacity ? "-" : "";
        room[i] = used[i] > capacity ? used[i] - capacity : capacity - used[i];
    }
    const vs_text_style bold = vs_pen_bold(t->pen, 12, t->pen->style->text);
    const vs_text_style dim = vs_pen_style(t->pen, 12, t->pen->style->dim);
    t->y += px(t, 3);
    vs_draw_rect(t->pen->list, vs_rect_of(t->side.x, t->y, t->side.w, 1), t->pen->style->grid);
    t->y += px(t, 3);
    if (has_row(t)) {
        figure_row(t, "total", used, no_signs, &bold);
    }
    if (has_row(t) && capacity > 0) {
        figure_row(t, "room", room, signs, &dim);
    }
}

int32_t vs_readout_draw(const vs_pen *pen, vs_rect side, const char *title,
                        const vs_memory *memory, const vs_timeline *tl,
                        const vs_readout_column columns[2])
{
    const bool is_wide = side.w >= vs_pen_px(pen, TWO_FROM);
    table t = {.pen = pen, .side = side, .columns = columns, .column_count = 1, .y = side.y};
    t.column_count = is_wide && columns[1].at != NULL ? 2 : 1;
    if (columns[0].at == NULL || side.h < vs_pen_px(pen, 2 * HEAD + ROW)) {
        return side.y;
    }
    head(&t, title);
    for (uint32_t i = VS_CAT_COUNT; i-- > 0;) {
        const vs_category category = vs_stack_order[i];
        const uint32_t track = memory->tracks[category];
        if (track != VS_NO_TRACK && tl->tracks[track].max > 0 && has_row(&t)) {
            category_row(&t, category);
        }
    }
    totals(&t, memory);
    return t.y;
}
