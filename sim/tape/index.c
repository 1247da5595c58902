/* sim/tape/index.c - pyramids, and every question asked of a timeline.
 *
 * Pyramid of one track, fan-out 16, levels back to back, the lowest first:
 *
 *   samples  |0..15|16..31|32..47|...|          count n
 *   level 1  |  0  |  1   |  2   |...|          ceil(n / 16) nodes of {min, max, where}
 *   level 2  |  0                |...|          ceil(that / 16)
 *   ...                                         until a level has at most 16 nodes
 *
 * `where` is the number, within the track, of the first sample that has the node's maximum. A
 * range is summarised by climbing: the samples up to the next group of 16 on either side, then the
 * nodes up to the next group of nodes, and so on: at most 30 values a level, exact at every zoom.
 * (The idea is the implicit aggregation forest of trishume/gigatrace src/iforest.rs:14-38.)
 *
 * What a track is worth between samples is its last sample; before the first it is 0. */
#include "sim/tape/internal.h"

#include <string.h>

#define NO_SAMPLE UINT64_MAX

/* ---- folding ---------------------------------------------------------------------------- */

typedef struct {
    const uint64_t *min;
    const uint64_t *max;
    const uint32_t *where; /* NULL: these are the samples */
    uint64_t count;
} level;

typedef struct {
    uint64_t min;
    uint64_t max;
    uint64_t where; /* first sample with that max */
} extent;

static const extent nothing = {.min = UINT64_MAX, .max = 0, .where = NO_SAMPLE};

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return b < a ? b : a;
}

static inline uint64_t greater(uint64_t a, uint64_t b)
{
    return b > a ? b : a;
}

/* Adds entries [from, to) of a level. The values first, without a branch that depends on them; the
 * place only when they matter, which a range sees a few times. */
static inline void fold(const level *l, uint64_t from, uint64_t to, extent *x)
{
    if (from >= to) {
        return;
    }
    uint64_t min = l->min[from];
    uint64_t max = l->max[from];
    for (uint64_t i = from + 1; i < to; i++) {
        min = smaller(min, l->min[i]);
        max = greater(max, l->max[i]);
    }
    x->min = min < x->min ? min : x->min;
    if (max < x->max) {
        return;
    }
    uint64_t i = from;
    while (l->max[i] != max) {
        i++;
    }
    const uint64_t where = l->where != NULL ? l->where[i] : i;
    if (max > x->max || where < x->where) {
        x->max = max;
        x->where = where;
    }
}

static uint64_t level_above(uint64_t count)
{
    return count / PYRAMID_FANOUT + (count % PYRAMID_FANOUT != 0);
}

uint64_t pyramid_node_count(uint64_t sample_count)
{
    uint64_t total = 0;
    for (uint64_t n = sample_count; n > PYRAMID_FANOUT;) {
        n = level_above(n);
        total += n;
    }
    return total;
}

/* ---- building and checking ------------------------------------------------------------------ */

_Static_assert(PYRAMID_FANOUT % 4 == 0, "whole groups are folded four at a time");

/* A whole group, which nearly all are; where: the place of the first greatest in it. Of samples, low and high are one
 * column. */
static inline extent fold_group(const uint64_t *low, const uint64_t *high)
{
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < PYRAMID_FANOUT; i += 4) {
        min = smaller(min, low[i]);
        uint64_t four = high[i];
        min = smaller(min, low[i + 1]);
        four = greater(four, high[i + 1]);
        min = smaller(min, low[i + 2]);
        four = greater(four, high[i + 2]);
        min = smaller(min, low[i + 3]);
        four = greater(four, high[i + 3]);
        at = four > max ? i : at;
        max = greater(max, four);
    }
    while (high[at] != max) {
        at++;
    }
    return (extent){.min = min, .max = max, .where = at};
}

static inline extent whole_group_of(const level *below, uint64_t from)
{
    const uint64_t *max = below->max + from;
    if (below->where == NULL) {
        extent x = fold_group(max, max);
        x.where += from;
        return x;
    }
    extent x = fold_group(below->min + from, max);
    x.where = below->where[from + x.where];
    return x;
}

static inline extent group_of(const level *below, uint64_t node)
{
    const uint64_t from = node * PYRAMID_FANOUT;
    if (below->count - from >= PYRAMID_FANOUT) {
        return whole_group_of(below, from);
    }
    extent x = nothing;
    fold(below, from, below->count, &x);
    return x;
}

void pyramid_build(const uint64_t *value, uint64_t count, uint64_t *min, uint64_t *max,
                   uint32_t *where)
{
    level below = {.min = value, .max = value, .count = count};
    while (below.count > PYRAMID_FANOUT) {
        const uint64_t n = level_above(below.count);
        for (uint64_t i = 0; i < n; i++) {
            const extent x = group_of(&below, i);
            min[i] = x.min;
            max[i] = x.max;
            where[i] = (uint32_t)x.where;
        }
        below = (level){.min = min, .max = max, .where = where, .count = n};
        min += n;
        max += n;
        where += n;
    }
}

static level samples_of(const vs_timeline *tl, const vs_track_info *track)
{
    const uint64_t *value = tl->sample_value + track->first;
    return (level){.min = value, .max = value, .count = track->count};
}

/* The level over `below`, which has more than 16 entries. */
static level climb(const vs_timeline *tl, const vs_track_info *track, const level *below)
{
    const uint64_t n = level_above(below->count);
    if (below->where == NULL) {
        return (level){.min = tl->pyramid_min + track->pyramid_first,
                       .max = tl->pyramid_max + track->pyramid_first,
                       .where = tl->pyramid_where + track->pyramid_first,
                       .count = n};
    }
    return (level){.min = below->min + below->count,
                   .max = below->max + below->count,
                   .where = below->where + below->count,
                   .count = n};
}

bool pyramid_matches(const vs_timeline *tl, const vs_track_info *track)
{
    level below = samples_of(tl, track);
    while (below.count > PYRAMID_FANOUT) {
        const level above = climb(tl, track, &below);
        for (uint64_t i = 0; i < above.count; i++) {
            const extent x = group_of(&below, i);
            if (above.min[i] != x.min || above.max[i] != x.max || above.where[i] != x.where) {
                return false;
            }
        }
        below = above;
    }
    return true;
}

/* Extent of the samples [from, to) of a track, numbered within it. */
static extent summarise(const vs_timeline *tl, const vs_track_info *track, uint64_t from,
                        uint64_t to)
{
    extent x = nothing;
    level l = samples_of(tl, track);
    while (l.count > PYRAMID_FANOUT) {
        const uint64_t first_whole = level_above(from);
        /* the last group may be short, and is whole when the range reaches the end */
        const uint64_t past_whole = to == l.count ? level_above(to) : to / PYRAMID_FANOUT;
        if (first_whole >= past_whole) {
            break;
        }
        fold(&l, from, first_whole * PYRAMID_FANOUT, &x);
        if (to > past_whole * PYRAMID_FANOUT) {
            fold(&l, past_whole * PYRAMID_FANOUT, to, &x);
        }
        from = first_whole;
        to = past_whole;
        l = climb(tl, track, &l);
    }
    fold(&l, from, to, &x);
    return x;
}

vs_bytes pyramid_top(const vs_timeline *tl, const vs_track_info *track)
{
    return summarise(tl, track, 0, track->count).max;
}

/* ---- finding ------------------------------------------------------------------------------------ */

/* First index in [from, to) with column[i] >= wanted, or to. */
static uint64_t lower_u64(const uint64_t *column, uint64_t from, uint64_t to, uint64_t wanted)
{
    while (from < to) {
        const uint64_t middle = from + (to - from) / 2;
        if (column[middle] < wanted) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* The same, looking near `from` first: in steps that begin with `stride` and double. (Looking around
 * from + stride in small steps instead was no faster on a million uneven samples.) */
static uint64_t lower_u64_near(const uint64_t *column, uint64_t from, uint64_t to,
                               uint64_t wanted, uint64_t stride)
{
    if (from == to || column[from] >= wanted) {
        return from;
    }
    uint64_t step = stride > 0 ? stride : 1;
    while (step < to - from && column[from + step] < wanted) {
        from += step + 1;
        step *= 2;
    }
    return lower_u64(column, from, step < to - from ? from + step : to, wanted);
}

uint32_t vs_timeline_find_track(const vs_timeline *tl, uint8_t device, vs_track_role role,
                                vs_category category)
{
    for (uint32_t i = 0; i < tl->track_count; i++) {
        const vs_track_info *t = &tl->tracks[i];
        if (t->device == device && t->role == role &&
            (role != VS_TRACK_CATEGORY || t->category == category)) {
            return i;
        }
    }
    return VS_NO_TRACK;
}

const char *vs_timeline_string(const vs_timeline *tl, uint32_t id)
{
    return id < tl->string_count ? tl->string_bytes + tl->string_offset[id] : "";
}

const char *vs_timeline_meta(const vs_timeline *tl, const char *key)
{
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        if (strcmp(vs_timeline_string(tl, tl->metas[i].key), key) == 0) {
            return vs_timeline_string(tl, tl->metas[i].value);
        }
    }
    return NULL;
}

vs_event vs_timeline_event(const vs_timeline *tl, uint32_t index)
{
    if (index >= tl->event_count) {
        return (vs_event){.block = VS_NO_BLOCK};
    }
    return (vs_event){.time_ns = tl->event_time[index],
                      .size_bytes = tl->event_size[index],
                      .asked_bytes = tl->event_asked[index],
                      .addr = tl->event_addr[index],
                      .extra = tl->event_extra[index],
                      .block = tl->event_block[index],
                      .name = tl->event_name[index],
                      .stream = tl->event_stream[index],
                      .kind = tl->event_kind[index],
                      .device = tl->event_device[index],
                      .category = tl->event_category[index],
                      .flags = tl->event_flags[index]};
}

/* Value before sample i of the track. */
static vs_bytes value_before(const vs_timeline *tl, const vs_track_info *track, uint64_t i)
{
    return i > 0 ? tl->sample_value[track->first + i - 1] : 0;
}

vs_bytes vs_track_at_event(const vs_timeline *tl, uint32_t track, uint32_t event)
{
    if (track >= tl->track_count) {
        return 0;
    }
    const vs_track_info *t = &tl->tracks[track];
    const uint32_t *column = tl->sample_event + t->first;
    uint64_t from = 0;
    uint64_t to = t->count;
    while (from < to) { /* first sample after the event */
        const uint64_t middle = from + (to - from) / 2;
        if (column[middle] <= event) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return value_before(tl, t, from);
}

vs_bytes vs_track_at_time(const vs_timeline *tl, uint32_t track, vs_ns time_ns)
{
    if (track >= tl->track_count) {
        return 0;
    }
    const vs_track_info *t = &tl->tracks[track];
    const uint64_t *time = tl->sample_time + t->first;
    const uint64_t past =
        time_ns == UINT64_MAX ? t->count : lower_u64(time, 0, t->count, time_ns + 1);
    return value_before(tl, t, past);
}

/* ---- columns ---------------------------------------------------------------------------------------- */

/* The column that begins at t0 and holds samples [from, to). The carried value counts unless a
 * sample replaces it at the very beginning. */
static vs_column column_of(const vs_timeline *tl, const vs_track_info *track, vs_ns t0,
                           uint64_t from, uint64_t to)
{
    const vs_bytes carried = value_before(tl, track, from);
    vs_column column = {
        .min = carried, .max = carried, .last = carried, .max_event = UINT32_MAX};
    if (from == to) {
        return column;
    }
    const extent x = summarise(tl, track, from, to);
    const bool is_replaced = tl->sample_time[track->first + from] == t0;
    column.last = tl->sample_value[track->first + to - 1];
    if (is_replaced || x.min < carried) {
        column.min = x.min;
    }
    if (is_replaced || x.max > carried) {
        column.max = x.max;
        column.max_event = tl->sample_event[track->first + x.where];
    }
    return column;
}

vs_column vs_track_range(const vs_timeline *tl, uint32_t track, vs_ns t0, vs_ns t1)
{
    if (track >= tl->track_count) {
        return (vs_column){.max_event = UINT32_MAX};
    }
    const vs_track_info *t = &tl->tracks[track];
    const uint64_t *time = tl->sample_time + t->first;
    const uint64_t from = lower_u64(time, 0, t->count, t0);
    const uint64_t to = t1 > t0 ? lower_u64(time, from, t->count, t1) : from;
    return column_of(tl, t, t0, from, to);
}

void vs_track_columns(const vs_timeline *tl, uint32_t track, vs_ns t0, vs_ns t1, vs_column *out,
                      uint32_t n)
{
    static const vs_track_info no_track = {0};
    const vs_track_info *t = track < tl->track_count ? &tl->tracks[track] : &no_track;
    const uint64_t *time = tl->sample_time + t->first;
    const vs_ns width = t1 > t0 ? t1 - t0 : 0;
    vs_ns left = t0;
    uint64_t rest = 0; /* of width * i / n, kept so that no product is needed */
    uint64_t from = lower_u64(time, 0, t->count, t0);
    uint64_t stride = 0;
    for (uint32_t i = 0; i < n; i++) {
        vs_ns right = left + width / n;
        rest += width % n;
        if (rest >= n) {
            rest -= n;
            right++;
        }
        const uint64_t to = lower_u64_near(time, from, t->count, right, stride);
        out[i] = column_of(tl, t, left, from, to);
        stride = to - from;
        from = to;
        left = right;
    }
}

/* ---- lanes -------------------------------------------------------------------------------------------- */

uint64_t vs_lane_lower(const vs_timeline *tl, uint32_t lane, vs_ns t0)
{
    if (lane >= tl->lane_count) {
        return tl->span_count;
    }
    const vs_lane_info *l = &tl->lanes[lane];
    const uint64_t past = l->first + l->count;
    return t0 == UINT64_MAX ? past : lower_u64(tl->span_reach, l->first, past, t0 + 1);
}

/* Busy time of the lane in [0, t): what the spans that start before t have covered, less what
 * lies beyond t. Beyond t that is one piece, because all of them have begun. */
static vs_ns busy_before(const vs_timeline *tl, const vs_lane_info *lane, vs_ns t)
{
    const uint64_t past = lower_u64(tl->span_start, lane->first, lane->first + lane->count, t);
    if (past == lane->first) {
        return 0;
    }
    const vs_ns reach = tl->span_reach[past - 1];
    return tl->span_busy[past - 1] - (reach > t ? reach - t : 0);
}

vs_ns vs_lane_busy(const vs_timeline *tl, uint32_t lane, vs_ns t0, vs_ns t1)
{
    if (lane >= tl->lane_count || t1 <= t0) {
        return 0;
    }
    const vs_lane_info *l = &tl->lanes[lane];
    return busy_before(tl, l, t1) - busy_before(tl, l, t0);
}
