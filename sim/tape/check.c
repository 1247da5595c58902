/* sim/tape/check.c - the naive twin of the whole module, for tests.
 *
 * Replays the events with its own, slower bookkeeping, written from the rules in tape.h and not from
 * derive.c, and compares after every event every track of the timeline:
 *
 *   - a track has a sample at an event exactly when the event changed its value, and it is that value
 *   - the categories of a memory add up to its used bytes
 *   - blocks are born and die at the events that say so
 *   - each pyramid node is the minimum, the maximum and the first place of the maximum of the
 *     samples under it, found by a full scan
 *   - spans are in order, and busy and reach follow from merging them
 *   - a file made of the image binds again (validate.c agrees)
 *
 * O(events * tracks + samples * levels). */
#include "sim/tape/internal.h"

#include <string.h>

#define NEVER UINT32_MAX

typedef struct {
    uint32_t born_event; /* NEVER: not yet */
    uint32_t dead_event;
    uint32_t category;
    bool is_pending; /* its free was requested */
} twin_block;

typedef struct {
    vs_bytes level[VS_CAT_COUNT];
    vs_bytes blocks[VS_CAT_COUNT]; /* requests rounded, by category */
    vs_bytes slack;
    vs_bytes pending_blocks; /* of blocks, those whose free was requested */
    vs_bytes pending_slack;  /* of slack, theirs */
    vs_bytes reserved;
    bool has_segments;
} twin_memory;

typedef struct {
    const vs_timeline *tl;
    twin_memory *memories;
    twin_block *blocks;
    uint64_t *next;   /* per track: its next sample */
    vs_bytes *values; /* per track: value after the last event compared */
    vs_bytes progress;
} twin;

static bool differs(vs_err *err, const char *what, uint64_t index, const char *how)
{
    return vs_fail(err, VS_ERR_INTERNAL, "%s %" PRIu64 ": %s", what, index, how);
}

/* ---- the rules of tape.h ----------------------------------------------------------------- */

static bool is_gpu(const twin *w, uint32_t device)
{
    return w->tl->devices[device].kind == VS_DEVICE_GPU;
}

static vs_bytes request_of(const twin *w, uint32_t alloc_event)
{
    const vs_bytes size = w->tl->event_size[alloc_event];
    vs_bytes rounded = w->tl->event_asked[alloc_event];
    if (!is_gpu(w, w->tl->event_device[alloc_event])) {
        return size;
    }
    if (rounded > size) {
        return size;
    }
    while (rounded % 512 != 0 || rounded == 0) {
        rounded++;
    }
    return rounded < size ? rounded : size;
}

static vs_bytes sum_of(const vs_bytes *values)
{
    vs_bytes sum = 0;
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        sum += values[i];
    }
    return sum;
}

static vs_bytes expected_category(const twin_memory *m, uint32_t category)
{
    if (category == VS_CAT_SLACK) {
        return m->slack;
    }
    if (category == VS_CAT_RESFREE) {
        return m->has_segments ? m->reserved - sum_of(m->blocks) - m->slack : 0;
    }
    return m->level[category] + m->blocks[category];
}

static vs_bytes expected_value(const twin *w, const vs_track_info *t)
{
    const twin_memory *m = &w->memories[t->device];
    switch ((vs_track_role)t->role) {
    case VS_TRACK_CATEGORY: return expected_category(m, t->category);
    case VS_TRACK_USED:
        return sum_of(m->level) +
               (m->has_segments ? m->reserved : sum_of(m->blocks) + m->slack);
    case VS_TRACK_ALLOCATED:
        return sum_of(m->blocks) - m->pending_blocks + m->slack - m->pending_slack;
    case VS_TRACK_TENSORS: return sum_of(m->blocks) - m->pending_blocks;
    case VS_TRACK_RESERVED: return m->reserved;
    case VS_TRACK_PROGRESS: return w->progress;
    }
    return 0;
}

/* RECAT and FREE_REQUESTED of a block that is alive on this memory. */
static bool apply_to_live_block(twin *w, uint32_t i, vs_err *err)
{
    const vs_timeline *tl = w->tl;
    twin_block *b = &w->blocks[tl->event_block[i]];
    twin_memory *m = &w->memories[tl->event_device[i]];
    const vs_bytes request = request_of(w, b->born_event);
    if (b->is_pending) {
        return differs(err, "event", i, "the free of its block was requested before");
    }
    if (tl->event_kind[i] == VS_EV_FREE_REQUESTED) {
        b->is_pending = true;
        m->pending_blocks += request;
        m->pending_slack += tl->event_size[b->born_event] - request;
        return true;
    }
    m->blocks[b->category] -= request;
    b->category = tl->event_category[i];
    m->blocks[b->category] += request;
    return true;
}

static bool apply_block_event(twin *w, uint32_t i, vs_err *err)
{
    const vs_timeline *tl = w->tl;
    twin_block *b = &w->blocks[tl->event_block[i]];
    twin_memory *m = &w->memories[tl->event_device[i]];
    if (tl->event_kind[i] == VS_EV_ALLOC) {
        if (b->born_event != NEVER) {
            return differs(err, "event", i, "its block was born before");
        }
        b->born_event = i;
        b->category = tl->event_category[i];
        m->blocks[b->category] += request_of(w, i);
        m->slack += tl->event_size[i] - request_of(w, i);
        return true;
    }
    if (b->born_event == NEVER || b->dead_event != NEVER) {
        return differs(err, "event", i, "its block is not alive");
    }
    if (tl->event_device[b->born_event] != tl->event_device[i]) {
        return differs(err, "event", i, "its block lives on another memory");
    }
    if (tl->event_kind[i] != VS_EV_FREE) {
        return apply_to_live_block(w, i, err);
    }
    const vs_bytes request = request_of(w, b->born_event);
    const vs_bytes slack = tl->event_size[b->born_event] - request;
    m->blocks[b->category] -= request;
    m->slack -= slack;
    m->pending_blocks -= b->is_pending ? request : 0;
    m->pending_slack -= b->is_pending ? slack : 0;
    b->dead_event = i;
    return true;
}

static bool apply_event(twin *w, uint32_t i, vs_err *err)
{
    const vs_timeline *tl = w->tl;
    twin_memory *m = &w->memories[tl->event_device[i]];
    const vs_event_kind kind = (vs_event_kind)tl->event_kind[i];
    if (kind == VS_EV_ALLOC || kind == VS_EV_FREE || kind == VS_EV_RECAT ||
        kind == VS_EV_FREE_REQUESTED) {
        return apply_block_event(w, i, err);
    }
    if (kind == VS_EV_SEGMENT_ALLOC || kind == VS_EV_SEGMENT_MAP) {
        m->reserved += tl->event_size[i];
    } else if (kind == VS_EV_SEGMENT_FREE || kind == VS_EV_SEGMENT_UNMAP) {
        m->reserved -= tl->event_size[i];
    } else if (kind == VS_EV_LEVEL) {
        m->level[tl->event_category[i]] = tl->event_size[i];
    } else if (kind == VS_EV_PROGRESS) {
        w->progress = tl->event_size[i];
    }
    return true;
}

/* ---- tracks ------------------------------------------------------------------------------------ */

static bool compare_track(twin *w, uint32_t track, uint32_t event, vs_err *err)
{
    const vs_timeline *tl = w->tl;
    const vs_track_info *t = &tl->tracks[track];
    const uint64_t next = w->next[track];
    const vs_bytes wanted = expected_value(w, t);
    const bool has_sample = next < t->count && tl->sample_event[t->first + next] == event;
    if (has_sample != (wanted != w->values[track])) {
        return vs_fail(err, VS_ERR_INTERNAL,
                       "track %" PRIu32 " (%s): %s at event %" PRIu32
                       ", where the value goes from %" PRIu64 " to %" PRIu64,
                       track, vs_timeline_string(tl, t->name),
                       has_sample ? "a sample" : "no sample", event, w->values[track], wanted);
    }
    if (has_sample && (tl->sample_value[t->first + next] != wanted ||
                       tl->sample_time[t->first + next] != tl->event_time[event])) {
        return vs_fail(err, VS_ERR_INTERNAL,
                       "track %" PRIu32 " (%s): %" PRIu64 " after event %" PRIu32
                       ", expected %" PRIu64,
                       track, vs_timeline_string(tl, t->name),
                       tl->sample_value[t->first + next], event, wanted);
    }
    w->values[track] = wanted;
    w->next[track] += has_sample ? 1 : 0;
    return true;
}

/* The stack a person sees has the height of the line over it. */
static bool compare_sum(const twin *w, uint32_t device, uint32_t event, vs_err *err)
{
    vs_bytes sum = 0;
    vs_bytes used = 0;
    for (uint32_t i = 0; i < w->tl->track_count; i++) {
        const vs_track_info *t = &w->tl->tracks[i];
        if (t->device != device) {
            continue;
        }
        sum += t->role == VS_TRACK_CATEGORY ? w->values[i] : 0;
        used += t->role == VS_TRACK_USED ? w->values[i] : 0;
    }
    if (sum != used) {
        return vs_fail(err, VS_ERR_INTERNAL,
                       "after event %" PRIu32 " the categories of memory %" PRIu32
                       " add up to %" PRIu64 ", used is %" PRIu64,
                       event, device, sum, used);
    }
    return true;
}

static bool check_events(twin *w, vs_err *err)
{
    for (uint32_t event = 0; event < w->tl->event_count; event++) {
        if (!apply_event(w, event, err)) {
            return false;
        }
        for (uint32_t track = 0; track < w->tl->track_count; track++) {
            if (!compare_track(w, track, event, err)) {
                return false;
            }
        }
        if (!compare_sum(w, w->tl->event_device[event], event, err)) {
            return false;
        }
    }
    for (uint32_t track = 0; track < w->tl->track_count; track++) {
        if (w->next[track] != w->tl->tracks[track].count) {
            return differs(err, "track", track, "it has samples after the last event");
        }
    }
    return true;
}

/* No category may be missing: every memory's stack is complete at every event, so it is enough
 * that each category that held something has a track. compare_sum sees the others. */
static bool check_totals_exist(const vs_timeline *tl, vs_err *err)
{
    for (uint32_t d = 0; d < tl->device_count; d++) {
        const uint8_t device = (uint8_t)d;
        bool has_all =
            vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_COUNT) != VS_NO_TRACK;
        for (int role = VS_TRACK_ALLOCATED; role <= VS_TRACK_RESERVED; role++) {
            const uint32_t track =
                vs_timeline_find_track(tl, device, (vs_track_role)role, VS_CAT_COUNT);
            has_all =
                has_all && (tl->devices[d].kind == VS_DEVICE_GPU) == (track != VS_NO_TRACK);
        }
        if (!has_all) {
            return differs(err, "memory", d, "a total has no track, or one too many");
        }
    }
    return true;
}

static bool check_blocks(const twin *w, vs_err *err)
{
    for (uint32_t i = 0; i < w->tl->block_count; i++) {
        const vs_block_info *b = &w->tl->blocks[i];
        const twin_block *t = &w->blocks[i];
        if (b->born_event != t->born_event || b->dead_event != t->dead_event) {
            return differs(err, "block", i, "its life is not that of its events");
        }
        if (b->born_event != NEVER && (b->name != w->tl->event_name[b->born_event] ||
                                       b->device != w->tl->event_device[b->born_event])) {
            return differs(err, "block", i, "its name or memory is not that of its birth");
        }
    }
    return true;
}

/* ---- pyramids -------------------------------------------------------------------------------------- */

static bool check_node(const vs_timeline *tl, const vs_track_info *t, uint64_t node,
                       uint64_t from, uint64_t to)
{
    const uint64_t *value = tl->sample_value + t->first;
    uint64_t min = value[from];
    uint64_t where = from;
    for (uint64_t i = from; i < to; i++) {
        min = value[i] < min ? value[i] : min;
        where = value[i] > value[where] ? i : where;
    }
    return tl->pyramid_min[node] == min && tl->pyramid_max[node] == value[where] &&
           tl->pyramid_where[node] == where;
}

static vs_bytes greatest_sample(const vs_timeline *tl, const vs_track_info *t)
{
    vs_bytes max = 0;
    for (uint64_t i = t->first; i < t->first + t->count; i++) {
        max = tl->sample_value[i] > max ? tl->sample_value[i] : max;
    }
    return max;
}

/* Walks the levels of one track; *node ends behind its last node. */
static bool check_levels(const vs_timeline *tl, const vs_track_info *t, uint64_t *node)
{
    uint64_t width = 1;
    while ((t->count + width - 1) / width > PYRAMID_FANOUT) {
        width *= PYRAMID_FANOUT;
        for (uint64_t from = 0; from < t->count; from += width) {
            const uint64_t to = t->count - from < width ? t->count : from + width;
            if (*node >= tl->pyramid_count || !check_node(tl, t, *node, from, to)) {
                return false;
            }
            (*node)++;
        }
    }
    return true;
}

static bool check_pyramids(const vs_timeline *tl, vs_err *err)
{
    uint64_t node = 0;
    for (uint32_t i = 0; i < tl->track_count; i++) {
        const vs_track_info *t = &tl->tracks[i];
        if (t->pyramid_first != node || t->max != greatest_sample(tl, t)) {
            return differs(err, "track", i,
                           "its pyramid begins elsewhere or its maximum is wrong");
        }
        if (!check_levels(tl, t, &node)) {
            return differs(err, "pyramid node", node, "it is not what a full scan finds");
        }
    }
    return node == tl->pyramid_count || differs(err, "pyramid node", node, "there are more");
}

/* ---- lanes ------------------------------------------------------------------------------------------- */

static bool check_lanes(const vs_timeline *tl, vs_err *err)
{
    for (uint32_t lane = 0; lane < tl->lane_count; lane++) {
        const vs_lane_info *l = &tl->lanes[lane];
        vs_ns busy_done = 0; /* of pieces that are closed */
        vs_ns piece_start = 0;
        vs_ns piece_end = 0;
        for (uint64_t i = l->first; i < l->first + l->count; i++) {
            if (i > l->first && tl->span_start[i] < tl->span_start[i - 1]) {
                return differs(err, "span", i, "it is out of order");
            }
            if (tl->span_start[i] > piece_end) {
                busy_done += piece_end - piece_start;
                piece_start = tl->span_start[i];
                piece_end = tl->span_end[i];
            } else if (tl->span_end[i] > piece_end) {
                piece_end = tl->span_end[i];
            }
            if (tl->span_busy[i] != busy_done + piece_end - piece_start ||
                tl->span_reach[i] != piece_end) {
                return differs(err, "span", i, "busy or reach is not what merging finds");
            }
        }
    }
    return true;
}

/* ---- all --------------------------------------------------------------------------------------------- */

static bool twin_init(twin *w, const vs_timeline *tl, vs_arena *scratch, vs_err *err)
{
    *w = (twin){.tl = tl,
                .memories = VS_ARRAY(scratch, twin_memory, tl->device_count),
                .blocks = VS_ARRAY(scratch, twin_block, tl->block_count),
                .next = VS_ARRAY(scratch, uint64_t, tl->track_count),
                .values = VS_ARRAY(scratch, vs_bytes, tl->track_count)};
    if (w->memories == NULL || w->blocks == NULL || w->next == NULL || w->values == NULL) {
        return vs_fail_memory(err, scratch, "checking a timeline");
    }
    for (uint32_t i = 0; i < tl->block_count; i++) {
        w->blocks[i] = (twin_block){.born_event = NEVER, .dead_event = NEVER};
    }
    for (uint32_t i = 0; i < tl->event_count; i++) {
        const uint8_t kind = tl->event_kind[i];
        if (kind == VS_EV_SEGMENT_ALLOC || kind == VS_EV_SEGMENT_FREE ||
            kind == VS_EV_SEGMENT_MAP || kind == VS_EV_SEGMENT_UNMAP) {
            w->memories[tl->event_device[i]].has_segments = true;
        }
    }
    return true;
}

static bool check_file(const vs_timeline *tl, vs_err *err)
{
    vs_arena scratch = {0};
    if (!vs_arena_open(&scratch, (size_t)tl->image_bytes + TAPE_ALIGN, err)) {
        return false;
    }
    bool is_bound = false;
    uint8_t *file = vs_arena_raw(&scratch, (size_t)tl->image_bytes, 1, TAPE_ALIGN);
    if (file != NULL) {
        vs_timeline again = {0};
        memcpy(file, tl->image, (size_t)tl->image_bytes);
        image_file_head(tl->image, file);
        is_bound = vs_timeline_bind(&again, file, tl->image_bytes, err);
    } else {
        (void)vs_fail_memory(err, &scratch, "checking a timeline");
    }
    vs_arena_close(&scratch);
    return is_bound;
}

bool vs_timeline_check(const vs_timeline *tl, vs_err *err)
{
    if (!check_file(tl, err)) {
        return false;
    }
    const size_t scratch_bytes = VS_MIB + tl->device_count * sizeof(twin_memory) +
                                 tl->block_count * sizeof(twin_block) +
                                 tl->track_count * (sizeof(uint64_t) + sizeof(vs_bytes));
    vs_arena scratch = {0};
    if (!vs_arena_open(&scratch, scratch_bytes, err)) {
        return false;
    }
    twin w = {0};
    const bool is_sound = twin_init(&w, tl, &scratch, err) && check_totals_exist(tl, err) &&
                          check_events(&w, err) && check_blocks(&w, err) &&
                          check_pyramids(tl, err) && check_lanes(tl, err);
    vs_arena_close(&scratch);
    return is_sound;
}
