/* viz/draw/list.h - the flat list of things to draw: the seam between views and pixels.
 *
 * A view appends rectangles, lines and runs of text; a back-end (raster.h, svg.h) replays them
 * in order. Coordinates are physical pixels, y grows downwards, the origin is the top left
 * corner. Nothing in the list depends on a font: text carries its anchor point and alignment,
 * so a list is the same with every font and can be compared as text.
 *
 * Ownership: items, strings and points live in the arena given to vs_draw_init; reset the arena
 * to forget the list. When the arena is exhausted the list remembers it (has_failed) and
 * further calls do nothing. One list belongs to one thread. */
#ifndef VS_VIZ_DRAW_LIST_H
#define VS_VIZ_DRAW_LIST_H

#include "vramscope/base.h"

/* 0xAARRGGBB, not premultiplied. */
typedef uint32_t vs_color;
#define VS_RGB(hex) (UINT32_C(0xFF000000) | UINT32_C(hex))
#define VS_CLEAR    UINT32_C(0)

vs_color vs_color_with_alpha(vs_color color, uint32_t alpha_255);
/* weight 0: a, 256: b; alpha of a. */
vs_color vs_color_mix(vs_color a, vs_color b, uint32_t weight_256);

typedef struct {
    int32_t x, y, w, h;
} vs_rect;

vs_rect vs_rect_of(int32_t x, int32_t y, int32_t w, int32_t h);
vs_rect vs_rect_intersect(vs_rect a, vs_rect b); /* empty: w or h is 0 */
vs_rect vs_rect_inset(vs_rect r, int32_t by);
bool vs_rect_has(vs_rect r, int32_t x, int32_t y);

/* X(enum, key). Patterns are anchored at the picture's origin, so that neighbouring rectangles
 * continue each other's pattern. Shapes: VIEWER-design section 6. */
#define VS_HATCHES(X)                                                                          \
    X(VS_HATCH_NONE, "none")                                                                   \
    X(VS_HATCH_DIAGONAL, "diagonal") /* '/', 2 px every 8 */                                   \
    X(VS_HATCH_SPARSE, "sparse")     /* '/', 1 px every 12: the zone above capacity */         \
    X(VS_HATCH_DOTS4, "dots4")       /* 1 px every 4 */                                        \
    X(VS_HATCH_DOTS6, "dots6")                                                                 \
    X(VS_HATCH_CROSS, "cross")       /* both diagonals, 1 px every 8 */                        \
    X(VS_HATCH_VERTICAL, "vertical") /* 1 px every 6 */

typedef enum {

#define VS_X(id, key) id,
    VS_HATCHES(VS_X)
#undef VS_X
        VS_HATCH_COUNT
} vs_hatch;

const char *vs_hatch_key(vs_hatch hatch);
/* Is the pattern's ink at pixel (x, y)? scale >= 1 enlarges the pattern. */
bool vs_hatch_covers(vs_hatch hatch, int32_t x, int32_t y, int32_t scale);

typedef struct {
    vs_color color;
    vs_color ink; /* of the hatch */
    vs_hatch hatch;
} vs_fill;

typedef enum { VS_ALIGN_LEFT, VS_ALIGN_CENTER, VS_ALIGN_RIGHT } vs_align;

/* How a run of text looks. */
typedef struct {
    int32_t size_px; /* of the em */
    bool is_bold;
    vs_align align;
    vs_color color;
} vs_text_style;

typedef struct {
    int32_t x, y;
} vs_point;

typedef enum {
    VS_DRAW_RECT, /* fill, with or without a hatch */
    VS_DRAW_LINE, /* anti-aliased polyline through points */
    VS_DRAW_TEXT, /* y is the baseline, x the point named by align */
    VS_DRAW_CLIP  /* from here on only pixels inside rect */
} vs_draw_kind;

typedef struct {
    vs_draw_kind kind;
    vs_rect rect; /* text: x and y only */
    vs_fill fill; /* lines and text: color only */

    union {
        struct {
            const char *bytes; /* UTF-8, terminated */
            int32_t size_px;
            bool is_bold;
            vs_align align;
        } text;

        struct {
            const vs_point *points;
            uint32_t count;
            int32_t width_px;
        } line;
    } u;
} vs_draw_item;

#define VS_CLIP_DEPTH 8

typedef struct {
    vs_arena *arena;
    vs_draw_item *items;
    uint32_t count;
    uint32_t capacity;
    int32_t width, height;
    int32_t hatch_scale; /* 1 at scale 1, 2 at scale 2 */
    vs_rect clips[VS_CLIP_DEPTH];
    uint32_t clip_depth;
    bool has_failed;
} vs_draw_list;

/* An empty picture of width x height pixels. */
void vs_draw_init(vs_draw_list *list, vs_arena *arena, int32_t width, int32_t height);

/* Empty rectangles and those outside the clip are dropped. */
void vs_draw_rect(vs_draw_list *list, vs_rect rect, vs_color color);
void vs_draw_fill(vs_draw_list *list, vs_rect rect, vs_fill fill);
void vs_draw_frame(vs_draw_list *list, vs_rect rect, int32_t width_px,
                   vs_color color); /* inside rect */
/* One pixel row of dashes, on_px drawn and as much left out. */
void vs_draw_dashes(vs_draw_list *list, vs_rect rect, int32_t on_px, vs_color color);
/* points are copied. */
void vs_draw_lines(vs_draw_list *list, const vs_point *points, uint32_t count, int32_t width_px,
                   vs_color color);
/* text is copied. Empty text is dropped. */
void vs_draw_text(vs_draw_list *list, int32_t x, int32_t baseline_y, const vs_text_style *style,
                  vs_str text);
/* Clips nest up to VS_CLIP_DEPTH (asserted); each is intersected with the one around it. */
void vs_draw_push_clip(vs_draw_list *list, vs_rect rect);
void vs_draw_pop_clip(vs_draw_list *list);

/* One line an item, for golden tests. */
void vs_draw_dump(const vs_draw_list *list, vs_outfile *out);

/* ---- measuring text -------------------------------------------------------------------- */

/* What views know about fonts: how wide a text is. font.h makes one from a real font;
 * vs_metrics_fixed is a made-up one for tests. */
typedef struct {
    void *ctx;
    int32_t (*width)(void *ctx, int32_t size_px, bool is_bold, vs_str text);
} vs_metrics;

/* Every code point is 3/5 em wide. */
vs_metrics vs_metrics_fixed(void);
int32_t vs_text_width(const vs_metrics *metrics, const vs_text_style *style, vs_str text);

/* Next code point of *text, which is advanced; U+FFFD for each byte that is not UTF-8.
 * text->len > 0. */
uint32_t vs_utf8_next(vs_str *text);

#endif /* VS_VIZ_DRAW_LIST_H */
