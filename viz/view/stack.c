#include "viz/view/stack.h"

/* Places in the samples of each category. Columns ask for later and later events, so a place only moves
 * forward: doubling steps, then a binary search inside the last one, near what is in the cache. */
typedef struct {
    const vs_timeline *tl;
    const vs_memory *memory;
    uint64_t after[VS_CAT_COUNT]; /* samples of the track up to the event asked for last */
} walk;

/* How many of the track's samples belong to `event` or an earlier one; at least `from` do. */
static uint64_t samples_until(const vs_timeline *tl, const vs_track_info *info, uint64_t from,
                              uint32_t event)
{
    const uint32_t *events = tl->sample_event + info->first;
    uint64_t step = 1;
    uint64_t low = from;
    while (low + step <= info->count && events[low + step - 1] <= event) {
        low += step;
        step *= 2;
    }
    uint64_t high = low + step <= info->count ? low + step - 1 : info->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (events[middle] <= event) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The composition just after event into out, VS_CAT_COUNT values; their sum. */
static vs_bytes walk_to(walk *w, uint32_t event, vs_bytes *out)
{
    vs_bytes sum = 0;
    for (uint32_t i = 0; i < VS_CAT_COUNT && event != VS_NO_EVENT; i++) {
        if (w->memory->tracks[i] == VS_NO_TRACK) {
            continue;
        }
        const vs_track_info *info = &w->tl->tracks[w->memory->tracks[i]];
        w->after[i] = samples_until(w->tl, info, w->after[i], event);
        out[i] = w->after[i] > 0 ? w->tl->sample_value[info->first + w->after[i] - 1] : 0;
        sum += out[i];
    }
    return sum;
}

bool vs_stack_prepare(vs_stack *stack, vs_arena *arena, const vs_source *source,
                      const vs_memory *memory, const vs_camera *camera)
{
    const vs_timeline *tl = source->tl;
    const uint32_t width = (uint32_t)camera->width;
    *stack = (vs_stack){.memory = memory};
    stack->columns = VS_ARRAY(arena, vs_stack_column, width);
    stack->bytes = VS_ARRAY(arena, vs_bytes, (size_t)width * VS_CAT_COUNT);
    vs_column *asked = VS_ARRAY(arena, vs_column, width);
    if (stack->columns == NULL || stack->bytes == NULL || asked == NULL) {
        return false;
    }
    if (!memory->exists || memory->used == VS_NO_TRACK) {
        return true;
    }
    vs_track_columns(tl, memory->used, camera->t0, camera->t0 + camera->span, asked, width);
    /* A run that lasts no time at all would be one column: its state is held over the view
     * instead. */
    const int32_t last = tl->end_ns == 0 ? camera->width : vs_camera_column(camera, tl->end_ns);
    stack->shown = last < camera->width ? last + 1 : camera->width;
    walk w = {.tl = tl, .memory = memory};
    for (int32_t x = 0; x < stack->shown; x++) {
        const vs_ns t0 = vs_camera_time(camera, x);
        const vs_ns t1 = vs_camera_time(camera, x + 1);
        const uint32_t event = vs_memory_column_event(memory, tl, t0, t1, &asked[x]);
        const vs_bytes used = walk_to(&w, event, &stack->bytes[(size_t)x * VS_CAT_COUNT]);
        stack->columns[x] = (vs_stack_column){event, used, asked[x].min};
    }
    return true;
}

vs_bytes vs_stack_top(const vs_source *source, const vs_memory *memory)
{
    vs_bytes top = memory->capacity_bytes;
    top = memory->peak.used_bytes > top ? memory->peak.used_bytes : top;
    if (source->oom_event != VS_NO_EVENT && memory->exists &&
        source->oom_device == memory->device) {
        vs_composition at;
        vs_memory_at_event(memory, source->tl, source->oom_event, &at);
        /* A request many times the card would flatten everything else; its box then leaves the
         * plot. */
        const vs_bytes most = top > UINT64_MAX / 2 ? top : top * 2;
        const vs_bytes request = source->tl->event_size[source->oom_event];
        const vs_bytes wanted =
            request < UINT64_MAX - at.used_bytes ? at.used_bytes + request : most;
        top = wanted > top ? (wanted < most ? wanted : most) : top;
    }
    return top > 0 ? top : VS_GIB;
}

int32_t vs_stack_y(const vs_stack *stack, vs_rect plot, vs_bytes bytes)
{
    uint64_t up = 0;
    const vs_bytes shown = bytes < stack->top_bytes ? bytes : stack->top_bytes;
    /* Rounded to nearest: twice the height, plus one, halved. */
    if (!vs_muldiv_u64(shown, 2 * (uint64_t)plot.h, stack->top_bytes, &up)) {
        return plot.y;
    }
    return plot.y + plot.h - (int32_t)((up + 1) / 2);
}

/* ---- drawing ----------------------------------------------------------------------------- */

typedef struct {
    const vs_stack *stack;
    const vs_pen *pen;
    vs_rect plot;
    vs_bytes *below; /* per column: bytes of the bands already drawn */
} painter;

static void draw_piece(const painter *p, const vs_category_style *style, vs_rect piece)
{
    if (piece.h <= 0 || piece.w <= 0) {
        return;
    }
    vs_draw_fill(p->pen->list, piece, style->fill);
    if (piece.h >= 3) {
        vs_draw_rect(p->pen->list, vs_rect_of(piece.x, piece.y, piece.w, 1), style->seam);
    }
}

/* One band from left to right: columns with the same lower and upper pixel row become one
 * piece. */
static void draw_band(const painter *p, vs_category category)
{
    const vs_category_style *style = &p->pen->style->categories[category];
    vs_rect piece = {0, 0, 0, 0};
    for (int32_t x = 0; x < p->stack->shown; x++) {
        const vs_bytes bytes = p->stack->bytes[(size_t)x * VS_CAT_COUNT + category];
        const int32_t low = vs_stack_y(p->stack, p->plot, p->below[x]);
        p->below[x] += bytes;
        const int32_t high = vs_stack_y(p->stack, p->plot, p->below[x]);
        if (piece.w > 0 && piece.y == high && piece.h == low - high) {
            piece.w++;
            continue;
        }
        draw_piece(p, style, piece);
        piece = vs_rect_of(p->plot.x + x, high, 1, low - high);
    }
    draw_piece(p, style, piece);
}

/* A tick where a column also held less, so that a saw-tooth reads as a saw-tooth. */
static void draw_minima(const painter *p)
{
    const vs_color tick = vs_color_with_alpha(p->pen->style->window, 150);
    for (int32_t x = 0; x < p->stack->shown; x++) {
        const vs_stack_column *c = &p->stack->columns[x];
        const int32_t low = vs_stack_y(p->stack, p->plot, c->min_bytes);
        const int32_t high = vs_stack_y(p->stack, p->plot, c->used_bytes);
        if (low - high >= 3 && c->min_bytes > 0) {
            vs_draw_rect(p->pen->list, vs_rect_of(p->plot.x + x, low, 1, 1), tick);
        }
    }
}

void vs_stack_draw_ground(const vs_stack *stack, const vs_pen *pen, vs_rect plot)
{
    vs_draw_rect(pen->list, plot, pen->style->plot);
    if (stack->memory->capacity_bytes > 0) {
        const int32_t y = vs_stack_y(stack, plot, stack->memory->capacity_bytes);
        vs_draw_fill(pen->list, vs_rect_of(plot.x, plot.y, plot.w, y - plot.y),
                     (vs_fill){VS_CLEAR, pen->style->above, VS_HATCH_SPARSE});
    }
    const vs_text_style style =
        vs_aligned(vs_pen_style(pen, 12, pen->style->dim), VS_ALIGN_RIGHT);
    const int32_t half = vs_pen_px(pen, 8);
    for (uint32_t i = 0; i < stack->axis.count; i++) {
        const vs_tick *tick = &stack->axis.ticks[i];
        const int32_t y = vs_stack_y(stack, plot, tick->value);
        vs_draw_rect(pen->list, vs_rect_of(plot.x, y, plot.w, 1), pen->style->grid);
        if (y - half >= plot.y) { /* higher up stands the pane's title */
            vs_pen_label(pen, vs_rect_of(0, y - half, plot.x - half, 2 * half), &style,
                         vs_str_of(tick->label));
        }
    }
}

static void draw_capacity(const vs_stack *stack, const vs_pen *pen, vs_rect plot)
{
    const int32_t line = vs_pen_px(pen, 2);
    const int32_t y = vs_stack_y(stack, plot, stack->memory->capacity_bytes);
    vs_draw_rect(pen->list, vs_rect_of(plot.x, y - line / 2, plot.w, line),
                 pen->style->capacity);
}

void vs_stack_draw_bands(const vs_stack *stack, const vs_pen *pen, vs_rect plot)
{
    painter p = {stack, pen, plot, NULL};
    if (stack->shown > 0) {
        p.below = VS_ARRAY(pen->arena, vs_bytes, (size_t)stack->shown);
        if (p.below == NULL) {
            pen->list->has_failed = true;
            return;
        }
        for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
            if (stack->memory->tracks[vs_stack_order[i]] != VS_NO_TRACK) {
                draw_band(&p, vs_stack_order[i]);
            }
        }
        draw_minima(&p);
    }
    if (stack->memory->capacity_bytes > 0) {
        draw_capacity(stack, pen, plot);
    }
}
