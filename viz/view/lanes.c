#include "viz/view/lanes.h"

#define BOX_MIN_PX   3
#define LABEL_MIN_PX 96 /* logical */

/* A lane being cut into pieces, column by column. */
typedef struct {
    const vs_timeline *tl;
    const vs_camera *camera;
    uint32_t lane;
    vs_lane_row *row;
} cutter;

static vs_lane_piece *add_piece(const cutter *c, vs_lane_piece piece)
{
    vs_lane_row *row = c->row;
    vs_lane_piece *last = row->piece_count > 0 ? &row->pieces[row->piece_count - 1] : NULL;
    const bool is_same = last != NULL && !piece.is_box && !last->is_box &&
                         last->x + last->w == piece.x && last->category == piece.category &&
                         last->busy_permille == piece.busy_permille;
    if (is_same) {
        last->w += piece.w;
        return last;
    }
    row->pieces[row->piece_count] = piece;
    return &row->pieces[row->piece_count++];
}

static uint32_t busy_permille(const cutter *c, vs_ns t0, vs_ns t1)
{
    uint64_t share = 0;
    if (t1 <= t0 ||
        !vs_muldiv_u64(vs_lane_busy(c->tl, c->lane, t0, t1), VS_BUSY_FULL, t1 - t0, &share)) {
        return 0;
    }
    return share > VS_BUSY_FULL ? VS_BUSY_FULL : (uint32_t)share;
}

/* The piece that begins with span i at column x or later; returns the column behind it. */
static int32_t cut_one(const cutter *c, uint64_t i, int32_t x)
{
    const vs_ns start = c->tl->span_start[i];
    const int32_t begins = start <= c->camera->t0 ? 0 : vs_camera_column(c->camera, start);
    const int32_t ends = vs_camera_column(c->camera, c->tl->span_end[i]);
    x = begins > x ? begins : x;
    if (x >= c->camera->width) {
        return x;
    }
    vs_lane_piece piece = {.x = x,
                           .w = ends - x,
                           .busy_permille = VS_BUSY_FULL,
                           .name = c->tl->span_name[i],
                           .category = c->tl->span_category[i],
                           .is_box = true};
    if (piece.w < BOX_MIN_PX) {
        piece.w = 1;
        piece.is_box = false;
        piece.busy_permille =
            busy_permille(c, vs_camera_time(c->camera, x), vs_camera_time(c->camera, x + 1));
    }
    add_piece(c, piece);
    return x + piece.w;
}

static void cut_lane(const cutter *c)
{
    const vs_lane_info *info = &c->tl->lanes[c->lane];
    const uint64_t stop = info->first + info->count;
    const vs_ns t1 = c->camera->t0 + c->camera->span;
    int32_t x = 0;
    while (x < c->camera->width) {
        const uint64_t i = vs_lane_lower(c->tl, c->lane, vs_camera_time(c->camera, x));
        if (i >= stop || c->tl->span_start[i] >= t1) {
            break;
        }
        x = cut_one(c, i, x);
    }
    const vs_ns end = t1 < c->tl->end_ns ? t1 : c->tl->end_ns;
    c->row->busy_permille = busy_permille(c, c->camera->t0, end);
}

bool vs_lanes_prepare(vs_lanes *lanes, vs_arena *arena, const vs_source *source,
                      const vs_camera *camera)
{
    *lanes = (vs_lanes){.rows = VS_ARRAY(arena, vs_lane_row, source->busy_lanes)};
    if (lanes->rows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < source->tl->lane_count; i++) {
        if (source->tl->lanes[i].count == 0) {
            continue;
        }
        vs_lane_row *row = &lanes->rows[lanes->row_count++];
        row->name = vs_timeline_string(source->tl, source->tl->lanes[i].name);
        row->pieces = VS_ARRAY(arena, vs_lane_piece, (size_t)camera->width);
        if (row->pieces == NULL) {
            return false;
        }
        const cutter c = {source->tl, camera, i, row};
        cut_lane(&c);
    }
    return true;
}

/* ---- drawing ----------------------------------------------------------------------------- */

static void draw_piece(const vs_pen *pen, const vs_timeline *tl, const vs_lane_piece *piece,
                       vs_rect row)
{
    const vs_category_style *style = &pen->style->categories[piece->category];
    const int32_t pad = vs_pen_px(pen, 2);
    const int32_t full = row.h - 2 * pad;
    int32_t h =
        (int32_t)(((int64_t)full * piece->busy_permille + VS_BUSY_FULL / 2) / VS_BUSY_FULL);
    h = h < 1 ? 1 : h;
    /* Boxes that touch are told apart by one column of ground between them. */
    const int32_t w = piece->is_box ? piece->w - 1 : piece->w;
    const vs_rect box = vs_rect_of(row.x + piece->x, row.y + pad + full - h, w, h);
    vs_draw_fill(pen->list, box, style->fill);
    if (piece->is_box && box.w >= vs_pen_px(pen, LABEL_MIN_PX) && full >= vs_pen_px(pen, 12)) {
        const vs_text_style text = vs_pen_style(pen, 10, style->text);
        const int32_t inset = vs_pen_px(pen, 4);
        vs_pen_label(pen, vs_rect_of(box.x + inset, box.y, box.w - 2 * inset, box.h), &text,
                     vs_str_of(vs_timeline_string(tl, piece->name)));
    }
}

void vs_lanes_draw(const vs_lanes *lanes, const vs_pen *pen, const vs_timeline *tl,
                   vs_rect area, int32_t gutter, int32_t share_w)
{
    const int32_t row_h = lanes->row_count > 0 ? area.h / (int32_t)lanes->row_count : 0;
    const int32_t gap = vs_pen_px(pen, 8);
    const int32_t size = row_h >= vs_pen_px(pen, 15) ? 12 : 10;
    const vs_text_style name =
        vs_aligned(vs_pen_style(pen, size, pen->style->dim), VS_ALIGN_RIGHT);
    const vs_text_style share = vs_pen_style(pen, size, pen->style->text);
    const bool has_text = row_h >= vs_pen_px(pen, 10);
    for (uint32_t i = 0; i < lanes->row_count; i++) {
        const vs_lane_row *lane = &lanes->rows[i];
        const vs_rect row = vs_rect_of(area.x, area.y + (int32_t)i * row_h, area.w, row_h);
        vs_draw_rect(pen->list, vs_rect_of(row.x, row.y, row.w, row.h - 1), pen->style->plot);
        for (uint32_t k = 0; k < lane->piece_count; k++) {
            draw_piece(pen, tl, &lane->pieces[k], row);
        }
        if (has_text) {
            vs_pen_label(
                pen,
                vs_rect_of(area.x - gutter + gap / 2, row.y, gutter - gap - gap / 2, row.h),
                &name, vs_str_of(lane->name));
            vs_pen_printf(pen, vs_rect_of(area.x + area.w + gap, row.y, share_w - gap, row.h),
                          &share, "%u %%", (lane->busy_permille + 5) / 10);
        }
    }
}
