/* viz/view/source.h - one run as the views see it: which tracks to ask, where its peak and its
 * failure are.
 *
 * Found once when a tape is opened; every view reads it. Borrows the timeline. */
#ifndef VS_VIZ_VIEW_SOURCE_H
#define VS_VIZ_VIEW_SOURCE_H

#include "vramscope/tape.h"

#define VS_NO_EVENT UINT32_MAX

/* What a memory held just after one event; a real moment, so the bytes add up to used_bytes. */
typedef struct {
    uint32_t event; /* VS_NO_EVENT: before the first event, everything is 0 */
    vs_ns time_ns;
    vs_bytes used_bytes;
    vs_bytes bytes[VS_CAT_COUNT];
} vs_composition;

typedef struct {
    bool exists;
    uint8_t device;
    vs_bytes capacity_bytes;
    uint32_t used, allocated; /* tracks, or VS_NO_TRACK */
    uint32_t tracks[VS_CAT_COUNT];
    vs_composition
        peak; /* greatest use; among equals the most allocated; among those the first */
} vs_memory;

typedef struct {
    const vs_timeline *tl;
    vs_memory gpu, host;
    uint32_t oom_event;  /* the first VS_EV_OOM, or VS_NO_EVENT */
    uint32_t oom_device; /* of that event */
    uint32_t surface_event;
    uint32_t busy_lanes;    /* lanes with at least one span */
    const uint32_t *phases; /* events of kind VS_EV_PHASE, in order */
    uint32_t phase_count;
} vs_source;

/* False when the arena (which keeps the list of phases) is exhausted. O(events). */
VS_MUST_CHECK bool vs_source_init(vs_source *source, vs_arena *arena, const vs_timeline *tl);

void vs_memory_at_event(const vs_memory *memory, const vs_timeline *tl, uint32_t event,
                        vs_composition *out);
/* At the end of instant t. */
void vs_memory_at_time(const vs_memory *memory, const vs_timeline *tl, vs_ns t,
                       vs_composition *out);
/* The moment a column [t0, t1) stands for: the first stretch at the column's greatest use, and
 * in it the moment with the most allocated. max: of vs_track_range or vs_track_columns for that
 * span. VS_NO_EVENT when nothing has happened yet. O(log n). */
uint32_t vs_memory_column_event(const vs_memory *memory, const vs_timeline *tl, vs_ns t0,
                                vs_ns t1, const vs_column *max);
/* Last event before t (before its instant), or VS_NO_EVENT. O(log n). */
uint32_t vs_event_before(const vs_timeline *tl, vs_ns t);

/* The run's own words (VIEWER-design section 3.2): "fits", "oom", ...; from the tape's meta,
 * else from its events. */
const char *vs_source_verdict(const vs_source *source);
const char *vs_source_meta(const vs_source *source, const char *key); /* "" when absent */

#endif /* VS_VIZ_VIEW_SOURCE_H */
