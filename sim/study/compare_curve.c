/* sim/study/compare_curve.c - the curves of a comparison: one run's bytes along an axis.
 *
 * Time: the samples of the track as they are, moved to their zero. Of several at one instant the last counts.
 * Stretched: the same, divided by the length of the load, to a billionth of it (rounded down).
 * Event: the value just after each ALLOC of the device.
 * Share: while the bytes loaded stand still the curve may rise and fall; what counts is the greatest value, and of equal
 * ones the event with the most allocated, so that no peak is lost and what was alive then explains it. */
#include "sim/study/compare.h"

#define BILLION UINT64_C(1000000000)

track_walk track_walk_of(const vs_timeline *tl, uint32_t track)
{
    if (track == VS_NO_TRACK) {
        return (track_walk){0};
    }
    const vs_track_info *info = &tl->tracks[track];
    return (track_walk){.value = tl->sample_value + info->first,
                        .event = tl->sample_event + info->first,
                        .count = info->count};
}

vs_bytes track_walk_to(track_walk *walk, uint32_t event)
{
    while (walk->next < walk->count && walk->event[walk->next] <= event) {
        walk->now = walk->value[walk->next];
        walk->next++;
    }
    return walk->now;
}

/* ---- points ------------------------------------------------------------------------------ */

typedef struct {
    uint64_t *position;
    vs_bytes *value;
    uint32_t *event;
    uint32_t count;
    uint32_t capacity;
} builder;

static bool builder_open(builder *b, vs_arena *arena, uint64_t capacity)
{
    *b = (builder){0};
    if (capacity >= UINT32_MAX) {
        return false;
    }
    b->capacity = (uint32_t)capacity;
    b->position = VS_ARRAY(arena, uint64_t, capacity);
    b->value = VS_ARRAY(arena, vs_bytes, capacity);
    b->event = VS_ARRAY(arena, uint32_t, capacity);
    return b->position != NULL && b->value != NULL && b->event != NULL;
}

/* Takes the place of a point at the same position. */
static void put(builder *b, uint64_t position, vs_bytes value, uint32_t event)
{
    if (b->count == 0 || b->position[b->count - 1] != position) {
        vs_assert(b->count < b->capacity);
        b->position[b->count++] = position;
    }
    b->value[b->count - 1] = value;
    b->event[b->count - 1] = event;
}

static vs_compare_points points_of(const builder *b)
{
    return (vs_compare_points){b->position, b->value, b->event, b->count};
}

/* ---- time -------------------------------------------------------------------------------- */

/* Where an instant lies on the axis: (t - zero) forwards, or `ahead` further. */
typedef struct {
    vs_ns zero;
    vs_ns ahead;
    vs_ns span; /* 0: not stretched; else the length that is a billion */
} time_scale;

static uint64_t place(const time_scale *s, vs_ns t)
{
    const vs_ns since = t > s->zero ? t - s->zero : 0;
    uint64_t at = 0;
    if (s->span > 0) {
        return vs_muldiv_u64(since, BILLION, s->span, &at) ? at : UINT64_MAX;
    }
    return vs_add_u64(since, s->ahead, &at) ? at : UINT64_MAX;
}

static time_scale scale_of(const vs_comparison *cmp, const compare_run runs[VS_SIDES],
                           vs_compare_axis axis, uint32_t side)
{
    const vs_ns begin = cmp->load_begin_ns[side];
    if (axis == VS_BY_STRETCHED) {
        return (time_scale){.zero = begin, .span = cmp->load_end_ns[side] - begin};
    }
    if (cmp->desc.align != VS_FROM_OOM) {
        return (time_scale){.zero = cmp->desc.align == VS_FROM_FIRST ? begin : 0};
    }
    const vs_ns mine = runs[side].tl->event_time[runs[side].oom_event];
    const compare_run *other = &runs[VS_SIDES - 1 - side];
    const vs_ns theirs = other->tl->event_time[other->oom_event];
    return (time_scale){.ahead = theirs > mine ? theirs - mine : 0};
}

static bool draw_time(vs_comparison *cmp, vs_arena *arena, const compare_run runs[VS_SIDES],
                      vs_compare_axis axis, uint32_t side)
{
    const compare_run *run = &runs[side];
    const vs_track_info *info = &run->tl->tracks[run->track];
    const time_scale scale = scale_of(cmp, runs, axis, side);
    vs_compare_curve *curve = &cmp->curves[axis];
    builder b = {0};
    if (!builder_open(&b, arena, info->count + 1)) {
        return false;
    }
    put(&b, 0, 0, VS_NO_MOMENT);
    for (uint64_t i = info->first; i < info->first + info->count; i++) {
        const uint64_t at = place(&scale, run->tl->sample_time[i]);
        if (axis == VS_BY_STRETCHED && at > BILLION) {
            break; /* after the load */
        }
        put(&b, at, run->tl->sample_value[i], run->tl->sample_event[i]);
    }
    curve->until[side] = axis == VS_BY_STRETCHED ? BILLION : place(&scale, run->tl->end_ns);
    curve->end = curve->until[side] > curve->end ? curve->until[side] : curve->end;
    if (run->oom_event != NEVER) {
        const uint64_t at = place(&scale, run->tl->event_time[run->oom_event]);
        curve->oom_at[side] = at < curve->until[side] ? at : curve->until[side];
    }
    curve->points[side] = points_of(&b);
    return true;
}

/* The last instant that lies at this position or before it. */
static vs_ns instant_at(const time_scale *s, uint64_t position)
{
    vs_ns since = 0;
    vs_ns t = 0;
    if (s->span > 0) {
        if (!vs_muldiv_ceil_u64(position + 1, s->span, BILLION, &since)) {
            return VS_NS_NEVER;
        }
        since -= 1; /* span and position + 1 are at least 1: since was too */
    } else if (position >= s->ahead) {
        since = position - s->ahead;
    }
    return vs_add_u64(s->zero, since, &t) ? t : VS_NS_NEVER;
}

static uint32_t event_until(const vs_timeline *tl, vs_ns t)
{
    uint32_t low = 0;
    uint32_t high = tl->event_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (tl->event_time[middle] <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? VS_NO_MOMENT : low - 1;
}

/* ---- events ------------------------------------------------------------------------------ */

static bool is_alloc(const compare_run *run, uint32_t event)
{
    return run->tl->event_kind[event] == VS_EV_ALLOC &&
           run->tl->event_device[event] == run->device;
}

static bool draw_events(vs_comparison *cmp, vs_arena *arena, const compare_run *run,
                        uint32_t side)
{
    vs_compare_curve *curve = &cmp->curves[VS_BY_EVENT];
    builder b = {0};
    if (!builder_open(&b, arena, (uint64_t)run->alloc_count + 1)) {
        return false;
    }
    track_walk walk = track_walk_of(run->tl, run->track);
    for (uint32_t e = 0; e < run->tl->event_count; e++) {
        if (is_alloc(run, e)) {
            put(&b, b.count, track_walk_to(&walk, e), e);
        }
    }
    curve->end = b.count > curve->end ? b.count : curve->end;
    curve->until[side] = b.count;
    curve->oom_at[side] = cmp->oom[side].allocation;
    curve->points[side] = points_of(&b);
    return true;
}

/* ---- share ------------------------------------------------------------------------------- */

/* Bytes loaded after each event: of the checkpoint, or allocated so far. */
typedef struct {
    const compare_run *run;
    bool has_progress;
    track_walk progress;
    vs_bytes loaded;
} loading;

static vs_bytes load_to(loading *l, uint32_t event)
{
    vs_bytes now = l->loaded;
    if (l->has_progress) {
        now = track_walk_to(&l->progress, event);
    } else if (is_alloc(l->run, event) &&
               !vs_add_u64(now, l->run->tl->event_size[event], &now)) {
        now = UINT64_MAX;
    }
    l->loaded =
        now > l->loaded ? now : l->loaded; /* a tape may count backwards; a share does not */
    return l->loaded;
}

static bool draw_share(vs_comparison *cmp, vs_arena *arena, const compare_run *run,
                       uint32_t side)
{
    vs_compare_curve *curve = &cmp->curves[VS_BY_SHARE];
    const uint64_t steps =
        cmp->has_progress ? run->tl->tracks[run->progress].count : run->alloc_count;
    builder b = {0};
    if (!builder_open(&b, arena, steps + 1)) {
        return false;
    }
    track_walk walk = track_walk_of(run->tl, run->track);
    track_walk filled = track_walk_of(run->tl, run->allocated);
    loading l = {.run = run,
                 .has_progress = cmp->has_progress,
                 .progress = track_walk_of(run->tl, run->progress)};
    vs_bytes best_filled = 0;
    put(&b, 0, 0, VS_NO_MOMENT);
    for (uint32_t e = 0; e < run->tl->event_count; e++) {
        const uint64_t at = load_to(&l, e);
        const vs_bytes value = track_walk_to(&walk, e);
        const vs_bytes allocated = track_walk_to(&filled, e);
        const bool is_new =
            b.position[b.count - 1] != at || b.event[b.count - 1] == VS_NO_MOMENT;
        const vs_bytes best = b.value[b.count - 1];
        if (is_new || value > best || (value == best && allocated > best_filled)) {
            put(&b, at, value, e);
            best_filled = allocated;
        }
    }
    curve->end = cmp->loaded_total_bytes;
    curve->until[side] = l.loaded;
    curve->oom_at[side] = cmp->oom[side].loaded_bytes;
    curve->points[side] = points_of(&b);
    return true;
}

/* ---- an axis ----------------------------------------------------------------------------- */

static const char *why_not(const vs_comparison *cmp, const compare_run runs[VS_SIDES],
                           vs_compare_axis axis)
{
    switch (axis) {
    case VS_BY_TIME:
        if (cmp->desc.align == VS_FROM_OOM &&
            (runs[VS_PREDICTED].oom_event == NEVER || runs[VS_RECORDED].oom_event == NEVER)) {
            return "not both ran out of memory, so there is no such moment to align them at";
        }
        return runs[VS_PREDICTED].tl->end_ns == 0 || runs[VS_RECORDED].tl->end_ns == 0
                   ? "one of them has no times"
                   : NULL;
    case VS_BY_STRETCHED:
        return cmp->load_end_ns[VS_PREDICTED] == cmp->load_begin_ns[VS_PREDICTED] ||
                       cmp->load_end_ns[VS_RECORDED] == cmp->load_begin_ns[VS_RECORDED]
                   ? "one of the loads takes no time"
                   : NULL;
    case VS_BY_EVENT:
        return runs[VS_PREDICTED].alloc_count == 0 || runs[VS_RECORDED].alloc_count == 0
                   ? "one of them has no allocations"
                   : NULL;
    case VS_BY_SHARE:
        return !cmp->has_progress && (runs[VS_PREDICTED].alloc_bytes == 0 ||
                                      runs[VS_RECORDED].alloc_bytes == 0)
                   ? "one of them says neither what was loaded nor what was allocated"
                   : NULL;
    case VS_COMPARE_AXIS_COUNT: break;
    }
    return "no such axis";
}

static bool draw_side(vs_comparison *cmp, vs_arena *arena, const compare_run runs[VS_SIDES],
                      vs_compare_axis axis, uint32_t side)
{
    switch (axis) {
    case VS_BY_TIME:
    case VS_BY_STRETCHED: return draw_time(cmp, arena, runs, axis, side);
    case VS_BY_EVENT: return draw_events(cmp, arena, &runs[side], side);
    case VS_BY_SHARE: return draw_share(cmp, arena, &runs[side], side);
    case VS_COMPARE_AXIS_COUNT: break;
    }
    return false;
}

bool compare_draw(vs_comparison *cmp, vs_arena *arena, const compare_run runs[VS_SIDES],
                  vs_compare_axis axis)
{
    vs_assert(axis < VS_COMPARE_AXIS_COUNT);
    cmp->curves[axis] = (vs_compare_curve){.reason = why_not(cmp, runs, axis)};
    return cmp->curves[axis].reason != NULL ||
           (draw_side(cmp, arena, runs, axis, VS_PREDICTED) &&
            draw_side(cmp, arena, runs, axis, VS_RECORDED));
}

uint32_t compare_event_at(const vs_comparison *cmp, const compare_run runs[VS_SIDES],
                          vs_compare_axis axis, uint32_t side, uint64_t position)
{
    if (axis == VS_BY_TIME || axis == VS_BY_STRETCHED) {
        const time_scale scale = scale_of(cmp, runs, axis, side);
        return position < scale.ahead
                   ? VS_NO_MOMENT
                   : event_until(runs[side].tl, instant_at(&scale, position));
    }
    const vs_compare_points *points = &cmp->curves[axis].points[side];
    uint32_t low = 0;
    uint32_t high = points->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (points->position[middle] <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? VS_NO_MOMENT : points->event[low - 1];
}

/* ---- both together ----------------------------------------------------------------------- */

curve_walk curve_walk_of(const vs_compare_curve *curve)
{
    return (curve_walk){.curve = curve};
}

bool curve_walk_next(curve_walk *walk)
{
    const vs_compare_curve *curve = walk->curve;
    if (walk->has_begun && walk->from == curve->end) {
        return false;
    }
    walk->from = walk->has_begun ? walk->to : 0;
    walk->has_begun = true;
    walk->to = curve->end;
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_compare_points *points = &curve->points[side];
        uint32_t *next = &walk->next[side];
        while (*next < points->count && points->position[*next] <= walk->from) {
            walk->value[side] = points->value[*next];
            (*next)++;
        }
        if (*next < points->count && points->position[*next] < walk->to) {
            walk->to = points->position[*next];
        }
    }
    return true;
}

/* ---- columns ----------------------------------------------------------------------------- */

static uint64_t column_low(uint64_t end, uint32_t i, uint32_t n)
{
    uint64_t low = 0;
    return vs_muldiv_u64(end, i, n, &low) ? low : end; /* i <= n: no overflow */
}

/* A column narrower than one step of the axis still covers where it begins. */
static uint64_t column_high(uint64_t end, uint32_t i, uint32_t n)
{
    const uint64_t low = column_low(end, i, n);
    const uint64_t high = column_low(end, i + 1, n);
    return high > low ? high : low + 1;
}

static void put_column(vs_compare_column *column, bool *has, const vs_bytes value[VS_SIDES])
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        column->min[side] =
            !*has || value[side] < column->min[side] ? value[side] : column->min[side];
        column->max[side] = value[side] > column->max[side] ? value[side] : column->max[side];
    }
    *has = true;
    const vs_bytes predicted = value[VS_PREDICTED];
    const vs_bytes recorded = value[VS_RECORDED];
    const vs_bytes above = recorded > predicted ? recorded - predicted : 0;
    const vs_bytes below = predicted > recorded ? predicted - recorded : 0;
    column->above = above > column->above ? above : column->above;
    column->below = below > column->below ? below : column->below;
}

void vs_compare_columns(const vs_compare_curve *curve, vs_compare_column *out, uint32_t n)
{
    curve_walk walk = curve_walk_of(curve);
    uint32_t first = 0; /* the first column that the stretch at hand may touch */
    uint32_t begun = 0; /* columns before it have a value */
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (vs_compare_column){0};
    }
    while (n > 0 && curve_walk_next(&walk)) {
        const bool is_end = walk.from == curve->end;
        while (first + 1 < n && column_high(curve->end, first, n) <= walk.from) {
            first++;
        }
        for (uint32_t i = first; i < n && (is_end || column_low(curve->end, i, n) < walk.to);
             i++) {
            bool has = i < begun;
            put_column(&out[i], &has, walk.value);
            begun = i + 1 > begun ? i + 1 : begun;
        }
    }
}
