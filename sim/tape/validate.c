/* sim/tape/validate.c - what every reader of a timeline relies on.
 *
 * Runs once, when a file is opened or bytes are bound, over sections that are in bounds already.
 * Linear. After it, no index in the timeline leads out of its column, every binary search has
 * an ordered column under it, every string ends, and pyramids and lane prefixes say what their
 * columns say. That samples follow from events is not looked at here: a wrong number harms nobody's
 * memory, the checksums cover accidents, and vs_timeline_check compares it in tests. */
#include "sim/tape/internal.h"

#define NEVER UINT32_MAX

static bool bad(vs_err *err, const char *what, uint64_t index, const char *why)
{
    return vs_fail(err, VS_ERR_FORMAT, "%s %" PRIu64 ": %s", what, index, why);
}

/* ---- strings and small tables --------------------------------------------------------- */

static bool check_strings(const vs_timeline *tl, vs_err *err)
{
    if (tl->string_count == 0 || tl->string_offset[0] != 0 || tl->string_bytes_count == 0 ||
        tl->string_bytes_count > UINT32_MAX || tl->string_bytes[0] != '\0') {
        return bad(err, "string", 0, "the string table does not begin with the empty string");
    }
    for (uint32_t i = 1; i < tl->string_count; i++) {
        const uint32_t offset = tl->string_offset[i];
        if (offset <= tl->string_offset[i - 1] || offset >= tl->string_bytes_count) {
            return bad(err, "string", i, "it begins outside the table");
        }
        if (tl->string_bytes[offset - 1] != '\0') {
            return bad(err, "string", i - 1, "it is not terminated");
        }
    }
    if (tl->string_bytes[tl->string_bytes_count - 1] != '\0') {
        return bad(err, "string", tl->string_count - 1, "it is not terminated");
    }
    return true;
}

static bool check_tables(const vs_timeline *tl, vs_err *err)
{
    if (tl->device_count > TAPE_MAX_DEVICES || tl->lane_count > TAPE_MAX_LANES) {
        return vs_fail(err, VS_ERR_LIMIT,
                       "%" PRIu32 " memories and %" PRIu32 " lanes; at most %u and %u",
                       tl->device_count, tl->lane_count, TAPE_MAX_DEVICES, TAPE_MAX_LANES);
    }
    for (uint32_t i = 0; i < tl->device_count; i++) {
        if (tl->devices[i].name >= tl->string_count || tl->devices[i].kind > VS_DEVICE_DISK) {
            return bad(err, "memory", i, "its name or kind is unknown");
        }
    }
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        if (tl->metas[i].key >= tl->string_count || tl->metas[i].value >= tl->string_count) {
            return bad(err, "fact", i, "its key or value is no string of the tape");
        }
    }
    return true;
}

/* ---- events and blocks -------------------------------------------------------------------- */

static bool check_blocks(const vs_timeline *tl, vs_err *err)
{
    for (uint32_t i = 0; i < tl->block_count; i++) {
        const vs_block_info *b = &tl->blocks[i];
        if (b->name >= tl->string_count || b->device >= tl->device_count) {
            return bad(err, "block", i, "its name or memory is unknown");
        }
        const bool was_born = b->born_event != NEVER;
        if (was_born &&
            (b->born_event >= tl->event_count || tl->event_kind[b->born_event] != VS_EV_ALLOC ||
             tl->event_block[b->born_event] != i)) {
            return bad(err, "block", i, "it is not born where it says");
        }
        if (b->dead_event == NEVER) {
            continue;
        }
        if (!was_born || b->dead_event <= b->born_event || b->dead_event >= tl->event_count ||
            tl->event_kind[b->dead_event] != VS_EV_FREE ||
            tl->event_block[b->dead_event] != i) {
            return bad(err, "block", i, "it does not die where it says");
        }
    }
    return true;
}

static const char *why_bad_block(const vs_timeline *tl, uint32_t event)
{
    const uint32_t block = tl->event_block[event];
    if (!tape_kind_has_block(tl->event_kind[event])) {
        return block == VS_NO_BLOCK ? NULL : "it names a block, which its kind does not have";
    }
    if (block >= tl->block_count) {
        return "there is no such block";
    }
    const vs_block_info *b = &tl->blocks[block];
    if (tl->event_kind[event] == VS_EV_ALLOC) {
        return b->born_event == event ? NULL : "its block is born elsewhere";
    }
    if (tl->event_kind[event] == VS_EV_FREE) {
        return b->dead_event == event ? NULL : "its block dies elsewhere";
    }
    return b->born_event < event && event < b->dead_event ? NULL : "its block is not alive";
}

static bool check_events(const vs_timeline *tl, vs_err *err)
{
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < tl->event_count; i++) {
        if (tl->event_time[i] < last_ns) {
            return bad(err, "event", i, "it is earlier than the one before");
        }
        last_ns = tl->event_time[i];
        if (tl->event_kind[i] >= VS_EV_COUNT || tl->event_device[i] >= tl->device_count ||
            tl->event_category[i] >= VS_CAT_COUNT || tl->event_name[i] >= tl->string_count ||
            tl->event_flags[i] != 0) {
            return bad(err, "event", i,
                       "its kind, memory, category, name or flags are unknown");
        }
        const char *why = why_bad_block(tl, i);
        if (why != NULL) {
            return bad(err, "event", i, why);
        }
    }
    return true;
}

/* ---- tracks ---------------------------------------------------------------------------------- */

static bool check_samples(const vs_timeline *tl, const vs_track_info *t, uint32_t index,
                          vs_err *err)
{
    const uint64_t *time = tl->sample_time + t->first;
    const uint32_t *event = tl->sample_event + t->first;
    for (uint64_t i = 0; i < t->count; i++) {
        if (event[i] >= tl->event_count || (i > 0 && event[i] <= event[i - 1])) {
            return bad(err, "track", index, "its samples do not follow the events");
        }
        if (time[i] != tl->event_time[event[i]]) {
            return bad(err, "track", index, "a sample is not at the time of its event");
        }
    }
    if (!pyramid_matches(tl, t)) {
        return bad(err, "track", index, "its pyramid does not belong to its samples");
    }
    if (pyramid_top(tl, t) != t->max) {
        return bad(err, "track", index, "its maximum is not the greatest of its samples");
    }
    return true;
}

static const char *why_bad_track(const vs_timeline *tl, const vs_track_info *t)
{
    if (t->name >= tl->string_count || t->device >= tl->device_count ||
        t->role > VS_TRACK_PROGRESS || t->pad != 0) {
        return "its name, memory or role is unknown";
    }
    if (t->role == VS_TRACK_CATEGORY ? t->category >= VS_CAT_COUNT
                                     : t->category != VS_CAT_COUNT) {
        return "its category is unknown";
    }
    return NULL;
}

static bool check_tracks(const vs_timeline *tl, vs_err *err)
{
    uint64_t sample = 0;
    uint64_t node = 0;
    for (uint32_t i = 0; i < tl->track_count; i++) {
        const vs_track_info *t = &tl->tracks[i];
        const char *why = why_bad_track(tl, t);
        if (why != NULL) {
            return bad(err, "track", i, why);
        }
        if (t->first != sample || t->count > tl->sample_count - sample ||
            t->pyramid_first != node ||
            pyramid_node_count(t->count) > tl->pyramid_count - node) {
            return bad(err, "track", i, "its samples or pyramid lie outside their columns");
        }
        sample += t->count;
        node += pyramid_node_count(t->count);
        if (!check_samples(tl, t, i, err)) {
            return false;
        }
    }
    if (sample != tl->sample_count || node != tl->pyramid_count) {
        return bad(err, "track", tl->track_count, "there are samples that belong to no track");
    }
    return true;
}

/* ---- lanes ------------------------------------------------------------------------------------- */

static const char *why_bad_span(const vs_timeline *tl, uint64_t i, bool is_first)
{
    if (tl->span_end[i] < tl->span_start[i]) {
        return "it ends before it starts";
    }
    if (!is_first && tl->span_start[i] < tl->span_start[i - 1]) {
        return "it starts before the span before it";
    }
    if (tl->span_name[i] >= tl->string_count || tl->span_category[i] >= VS_CAT_COUNT) {
        return "its name or category is unknown";
    }
    const uint64_t reach = is_first ? 0 : tl->span_reach[i - 1];
    const uint64_t busy = is_first ? 0 : tl->span_busy[i - 1];
    const uint64_t end = tl->span_end[i];
    const uint64_t from = tl->span_start[i] > reach ? tl->span_start[i] : reach;
    if (tl->span_reach[i] != (end > reach ? end : reach) ||
        tl->span_busy[i] != busy + (end > from ? end - from : 0)) {
        return "its busy time does not follow from the spans before it";
    }
    return NULL;
}

static bool check_lanes(const vs_timeline *tl, vs_err *err)
{
    uint64_t span = 0;
    for (uint32_t lane = 0; lane < tl->lane_count; lane++) {
        const vs_lane_info *l = &tl->lanes[lane];
        if (l->name >= tl->string_count || l->pad != 0 || l->first != span ||
            l->count > tl->span_count - span) {
            return bad(err, "lane", lane, "its name is unknown or its spans lie elsewhere");
        }
        span += l->count;
        for (uint64_t i = l->first; i < span; i++) {
            const char *why = why_bad_span(tl, i, i == l->first);
            if (why != NULL) {
                return bad(err, "span", i, why);
            }
        }
    }
    if (span != tl->span_count) {
        return bad(err, "span", span, "it belongs to no lane");
    }
    return true;
}

static bool check_end(const vs_timeline *tl, vs_err *err)
{
    uint64_t end_ns = tl->event_count > 0 ? tl->event_time[tl->event_count - 1] : 0;
    for (uint32_t lane = 0; lane < tl->lane_count; lane++) {
        const vs_lane_info *l = &tl->lanes[lane];
        const uint64_t reach = l->count > 0 ? tl->span_reach[l->first + l->count - 1] : 0;
        end_ns = reach > end_ns ? reach : end_ns;
    }
    if (tl->end_ns != end_ns) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "the tape says it ends at %" PRIu64
                       " ns, its last event or span at %" PRIu64,
                       tl->end_ns, end_ns);
    }
    return true;
}

bool timeline_validate(const vs_timeline *tl, vs_err *err)
{
    return check_strings(tl, err) && check_tables(tl, err) && check_blocks(tl, err) &&
           check_events(tl, err) && check_tracks(tl, err) && check_lanes(tl, err) &&
           check_end(tl, err);
}
