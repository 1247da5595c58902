/* Heights are given out from both ends: fixed ones first (header, axis, lanes), then what is
 * left is shared by VRAM and RAM, two to one. Panes that would be too small to read are left
 * out. */
#include "viz/ui/layout.h"

#include "viz/ui/pen.h"

enum {
    MARGIN = 12,
    GUTTER = 86,
    SHARE = 54,
    SIDE_WIDE = 300,
    SIDE_NARROW = 214,
    WIDE_FROM = 1100, /* logical width from which the side column is wide */
    HEADER = 62,
    HEADER_ROW = 52, /* with more than one row */
    OVERVIEW = 46,
    FOOTER = 24,
    TITLE = 20,
    AXIS = 22,
    LANE = 20,
    LANE_MIN = 11,
    GAP = 8,
    STACK_MIN = 90,
    HOST_MIN = 64,
    HOST_ROW_MIN = 480 /* a row lower than this shows VRAM only */
};

typedef struct {
    const vs_layout_desc *desc;
    vs_layout *out;
    uint32_t most_lanes; /* of any row: */
    bool has_host;       /* plots are equally high in all rows */
} maker;

static int32_t px(const maker *m, int32_t logical)
{
    return vs_scaled(m->desc->scale_pct, logical);
}

static int32_t lane_height(const maker *m, int32_t room, uint32_t lanes)
{
    if (lanes == 0) {
        return 0;
    }
    int32_t h = room / (int32_t)lanes;
    h = h > px(m, LANE) ? px(m, LANE) : h;
    return h < px(m, LANE_MIN) ? 0 : h;
}

static void columns(const maker *m)
{
    vs_layout *out = m->out;
    const int32_t width = m->desc->width;
    const bool is_wide = width >= px(m, WIDE_FROM);
    const int32_t side = px(m, is_wide ? SIDE_WIDE : SIDE_NARROW);
    out->gutter = px(m, GUTTER);
    out->share_w = px(m, SHARE);
    out->plot_x = out->gutter;
    out->plot_w = width - out->gutter - out->share_w - side - px(m, MARGIN);
    if (out->plot_w < 1) {
        out->plot_w = 1;
    }
}

/* Shares the height between y and bottom out among the panes of one row. */
static void panes(const maker *m, vs_row_layout *row, uint32_t index, int32_t y, int32_t bottom)
{
    const int32_t x = m->out->plot_x;
    const int32_t w = m->out->plot_w;
    const bool is_low = bottom - y < px(m, HOST_ROW_MIN);
    int32_t room = bottom - y - px(m, TITLE) - px(m, AXIS);
    row->lane_height = lane_height(m, room * 3 / 10, m->most_lanes);
    const int32_t lanes_h = row->lane_height * (int32_t)m->desc->lane_count[index];
    room -= row->lane_height > 0 ? row->lane_height * (int32_t)m->most_lanes + px(m, GAP) : 0;
    int32_t host_h = (room - px(m, TITLE) - px(m, GAP)) / 3;
    if (!m->has_host || is_low || host_h < px(m, HOST_MIN)) {
        host_h = 0;
    }
    room -= host_h > 0 ? host_h + px(m, TITLE) + px(m, GAP) : 0;
    const int32_t stack_h = room > 1 ? room : 1;

    row->stack_title = vs_rect_of(0, y, x + w, px(m, TITLE));
    y += px(m, TITLE);
    row->stack = vs_rect_of(x, y, w, stack_h);
    y += stack_h;
    row->axis = vs_rect_of(x, y, w, px(m, AXIS));
    y += px(m, AXIS);
    if (host_h > 0 && m->desc->has_host[index]) {
        row->host_title = vs_rect_of(0, y, x + w, px(m, TITLE));
        y += px(m, TITLE);
        row->host = vs_rect_of(x, y, w, host_h);
    }
    const int32_t lanes_y = bottom - row->lane_height * (int32_t)m->most_lanes;
    row->lanes = vs_rect_of(x, lanes_y, w, lanes_h);
}

void vs_layout_of(vs_layout *layout, const vs_layout_desc *desc)
{
    vs_assert(desc->row_count >= 1 && desc->row_count <= VS_ROWS_MAX);
    *layout = (vs_layout){.row_count = desc->row_count};
    maker m = {.desc = desc, .out = layout};
    for (uint32_t i = 0; i < desc->row_count; i++) {
        m.most_lanes = desc->lane_count[i] > m.most_lanes ? desc->lane_count[i] : m.most_lanes;
        m.has_host = m.has_host || desc->has_host[i];
    }
    columns(&m);
    const int32_t footer = px(&m, FOOTER);
    layout->footer = vs_rect_of(0, desc->height - footer, desc->width, footer);
    const int32_t rows = (int32_t)desc->row_count;
    const int32_t header = px(&m, rows > 1 ? HEADER_ROW : HEADER);
    int32_t strip = 0; /* the overview's, under the first header */
    if (desc->has_overview) {
        layout->overview = vs_rect_of(layout->plot_x, header, layout->plot_w, px(&m, OVERVIEW));
        strip = px(&m, OVERVIEW) + px(&m, GAP);
    }
    const int32_t row_h = (desc->height - footer - strip) / rows;
    for (int32_t i = 0; i < rows; i++) {
        vs_row_layout *row = &layout->rows[i];
        const int32_t y = row_h * i + (i > 0 ? strip : 0);
        const int32_t bottom = strip + row_h * (i + 1) - px(&m, 4);
        row->header = vs_rect_of(0, y, desc->width, header);
        panes(&m, row, (uint32_t)i, y + header + (i == 0 ? strip : 0), bottom);
        const int32_t side_x = layout->plot_x + layout->plot_w + layout->share_w;
        row->side = vs_rect_of(side_x, y + header, desc->width - side_x - px(&m, MARGIN),
                               bottom - y - header);
    }
}
