/* sim/study/compare.h - shared by the files of the comparison. */
#ifndef VS_STUDY_COMPARE_H
#define VS_STUDY_COMPARE_H

#include "vramscope/study.h"

#define NEVER UINT32_MAX

/* What is known of one run before any curve is drawn. */
typedef struct {
    const vs_timeline *tl;
    uint8_t device;
    uint32_t track;     /* of the metric */
    uint32_t allocated; /* tracks, or VS_NO_TRACK */
    uint32_t progress;
    uint32_t alloc_count; /* ALLOC events of the device */
    vs_bytes alloc_bytes; /* of them together */
    bool has_first;
    vs_ns first_ns; /* the first allocation, of a block or a segment */
    vs_ns last_ns;  /* the last ALLOC */
    uint32_t oom_event;
} compare_run;

/* A track read forwards, event by event. */
typedef struct {
    const uint64_t *value;
    const uint32_t *event;
    uint64_t count;
    uint64_t next;
    vs_bytes now;
} track_walk;

track_walk track_walk_of(const vs_timeline *tl, uint32_t track);
/* The value just after event. Events must not decrease from call to call. */
vs_bytes track_walk_to(track_walk *walk, uint32_t event);

/* Draws the two curves of an axis, or says why there are none. The rest of the comparison is known already. */
VS_MUST_CHECK bool compare_draw(vs_comparison *cmp, vs_arena *arena,
                                const compare_run runs[VS_SIDES], vs_compare_axis axis);
/* The last event of a run at a position where its curve is at point i. */
uint32_t compare_event_at(const vs_comparison *cmp, const compare_run runs[VS_SIDES],
                          vs_compare_axis axis, uint32_t side, uint64_t position);

/* Both curves walked together: a stretch [from, to) on which neither changes. The last one is the end of the axis alone. */
typedef struct {
    const vs_compare_curve *curve;
    uint32_t next[VS_SIDES];
    vs_bytes value[VS_SIDES];
    uint64_t from;
    uint64_t to;
    bool has_begun;
} curve_walk;

curve_walk curve_walk_of(const vs_compare_curve *curve);
bool curve_walk_next(curve_walk *walk);

#endif /* VS_STUDY_COMPARE_H */
