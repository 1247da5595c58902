/* vramscope/study.h - what a tape says: peaks, causes, reports, comparison rows.
 *
 * Pure functions of timelines and results. Nothing here simulates; nothing prints: text goes to
 * a vs_outfile the caller owns. */
#ifndef VS_STUDY_H
#define VS_STUDY_H

#include "vramscope/base.h"
#include "vramscope/tape.h"

/* The moment of the greatest use of a device: the largest VS_TRACK_USED; among equals the one with the most
 * allocated; among equals the first. */
typedef struct {
    vs_ns time_ns;
    uint32_t event;
    vs_bytes used_bytes;
    vs_bytes categories[VS_CAT_COUNT];
} vs_moment;

VS_MUST_CHECK bool vs_study_peak(const vs_timeline *tl, uint8_t device, vs_moment *out);
/* Composition just after event. */
void vs_study_at_event(const vs_timeline *tl, uint8_t device, uint32_t event, vs_moment *out);

/* A block alive at a moment. */
typedef struct {
    uint32_t block;
    vs_bytes size_bytes;
    vs_category category;
} vs_live;

/* The n largest blocks alive just after event, largest first (ties: lower block id). Returns how many. */
uint32_t vs_study_largest(const vs_timeline *tl, uint8_t device, uint32_t event, vs_live *out,
                          uint32_t n);

/* A small chart of one device for a terminal: the memory's content stacked by category over time, the
 * capacity as the top line, a cross where memory ran out, a time axis and a legend of what is drawn. A column
 * is one real instant, the fullest of its share of the time, so no peak is lost. columns (40 .. 240) is the
 * width of every line, rows (4 .. 64) the height above the axis, capacity line included; other values
 * are taken as the nearest allowed. is_utf8 false: ASCII only. Nothing for a tape without that device. */
void vs_study_chart(const vs_timeline *tl, uint8_t device, vs_outfile *out, uint32_t columns,
                    uint32_t rows, bool is_utf8);

/* ---- two runs held against each other ------------------------------------------------------
 *
 * A prediction and a recording (or any two runs) as two step functions of bytes on one axis. Everything is whole
 * numbers; an error that is not zero is never rounded to zero (means and parts per million are rounded up). */

enum { VS_PREDICTED, VS_RECORDED, VS_SIDES };

#define VS_NO_MOMENT UINT32_MAX /* an event: none has happened yet */

/* clang-format off */
#define VS_COMPARE_AXES(X)                                                                  \
    X(VS_BY_TIME, "time")           /* nanoseconds, each run from its own zero; after its end a run keeps its last value */ \
    X(VS_BY_STRETCHED, "stretched") /* billionths of each run's own load: an error of rate falls away */ \
    X(VS_BY_EVENT, "event")         /* the value just after the n-th allocation on the device; 0 is the first */ \
    X(VS_BY_SHARE, "share")         /* bytes loaded; the greatest value while so many are */

/* clang-format on */

typedef enum {

#define VS_X(id, key) id,
    VS_COMPARE_AXES(VS_X)
#undef VS_X
        VS_COMPARE_AXIS_COUNT
} vs_compare_axis;

/* Bytes of the device; the first that both runs have is compared unless told. */
#define VS_COMPARE_METRICS(X)                                                                  \
    X(VS_COMPARE_RESERVED, "reserved")                                                         \
    X(VS_COMPARE_ALLOCATED, "allocated")                                                       \
    X(VS_COMPARE_USED, "used")

typedef enum {

#define VS_X(id, key) id,
    VS_COMPARE_METRICS(VS_X)
#undef VS_X
        VS_COMPARE_METRIC_COUNT
} vs_compare_metric;

/* Zero of the time axis: the first allocation on the device (the first bytes, where one of them has no allocations), the
 * start of the tape, or the moment of running out of memory (then the run that gets there sooner begins later). */
#define VS_COMPARE_ALIGNS(X)                                                                   \
    X(VS_FROM_FIRST, "first")                                                                  \
    X(VS_FROM_START, "start")                                                                  \
    X(VS_FROM_OOM, "oom")

typedef enum {

#define VS_X(id, key) id,
    VS_COMPARE_ALIGNS(VS_X)
#undef VS_X
        VS_COMPARE_ALIGN_COUNT
} vs_compare_align;

const char *vs_compare_axis_key(vs_compare_axis axis);       /* "stretched" */
const char *vs_compare_metric_key(vs_compare_metric metric); /* "reserved" */
const char *vs_compare_align_key(vs_compare_align align);    /* "first" */
/* False for other words. */
VS_MUST_CHECK bool vs_compare_axis_find(vs_str key, vs_compare_axis *out);
VS_MUST_CHECK bool vs_compare_metric_find(vs_str key, vs_compare_metric *out);
VS_MUST_CHECK bool vs_compare_align_find(vs_str key, vs_compare_align *out);

typedef struct {
    const vs_timeline *tl[VS_SIDES]; /* borrowed for as long as the result is used */
    uint8_t device[VS_SIDES];
    vs_compare_metric metric; /* VS_COMPARE_METRIC_COUNT: the first that both have */
    vs_compare_align align;
} vs_compare_desc;

/* Value i holds from position i to the next, the last to the end of the axis. Positions begin at 0 and rise. */
typedef struct {
    const uint64_t *position;
    const vs_bytes *value;
    const uint32_t *event; /* after which; VS_NO_MOMENT: none yet */
    uint32_t count;
} vs_compare_points;

/* Both runs on one axis. */
typedef struct {
    const char *reason; /* why there is none (then nothing else is set), or NULL */
    uint64_t end;       /* of the axis, which is closed: [0, end] */
    vs_compare_points points[VS_SIDES];
    uint64_t until[VS_SIDES];  /* where each run ends; from there on its last value is held */
    uint64_t oom_at[VS_SIDES]; /* where it runs out of memory, if it does */
    vs_bytes max_error_bytes;
    vs_bytes mean_error_bytes; /* over the axis */
    uint64_t at;               /* where the error is first greatest */
    vs_bytes at_bytes[VS_SIDES];
    uint32_t at_event[VS_SIDES]; /* the last event then; VS_NO_MOMENT: none yet */
} vs_compare_curve;

typedef struct {
    bool is_in_both;
    vs_bytes peak_bytes[VS_SIDES];
    vs_bytes final_bytes[VS_SIDES];
} vs_compare_figure;

/* The first out-of-memory of the device. */
typedef struct {
    bool exists;
    uint32_t event;
    uint64_t allocation; /* allocations on the device before it */
    vs_ns time_ns;       /* from the first allocation */
    vs_bytes requested_bytes;
    vs_bytes loaded_bytes; /* as on the axis of the share */
} vs_compare_oom;

/* How the ends of a load were found: the same way in both runs. */
typedef enum {
    VS_LOAD_BY_PROGRESS,   /* first allocation to last progress */
    VS_LOAD_BY_ALLOCATION, /* first to last allocation */
    VS_LOAD_BY_CURVE       /* first to last change of the curve */
} vs_compare_ends;

typedef struct {
    vs_compare_desc desc; /* its metric as chosen */
    const char *reason;   /* why nothing can be compared (then nothing else is set), or NULL */
    vs_compare_figure figures[VS_COMPARE_METRIC_COUNT];
    vs_compare_curve curves[VS_COMPARE_AXIS_COUNT];
    bool
        has_progress; /* the share is of the checkpoint's bytes in place; else of bytes allocated so far, in both runs */
    vs_bytes loaded_total_bytes; /* 100 % of the share: of the run that loaded more */
    vs_compare_ends ends;
    vs_ns load_begin_ns[VS_SIDES];
    vs_ns load_end_ns[VS_SIDES];
    /* "fits", "oom", ... (CONTRACT): the tape's own word, else whether its device ran out of memory */
    const char *verdict[VS_SIDES];
    vs_compare_oom oom[VS_SIDES];
} vs_comparison;

/* False when the arena is exhausted. O(events). */
VS_MUST_CHECK bool vs_compare(vs_comparison *out, vs_arena *arena, const vs_compare_desc *desc,
                              vs_err *err);

/* Millionths that part is of whole, rounded up; false when whole is 0 or they are beyond 64 bits. */
VS_MUST_CHECK bool vs_compare_ppm(vs_bytes part, vs_bytes whole, uint64_t *out);

/* The same as text: "5.31 %", "<0.01 %", "12345 %", "" when whole is 0. */
const char *vs_compare_share(vs_bytes part, vs_bytes whole, char buf[VS_TEXT_BYTES]);

#define VS_PLACE_BYTES 96
/* A position of an axis in words: "4.31 s after the first allocation", "at allocation 812",
 * "with 4.94 GiB (5.68 %) loaded". */
const char *vs_compare_place(const vs_comparison *cmp, vs_compare_axis axis, uint64_t position,
                             char buf[VS_PLACE_BYTES]);

/* One pixel column of an axis. */
typedef struct {
    vs_bytes min[VS_SIDES];
    vs_bytes max[VS_SIDES];
    vs_bytes above; /* the most by which the recorded curve is above the predicted one */
    vs_bytes below; /* ... below it */
} vs_compare_column;

/* n equal columns; column i covers [end*i/n, end*(i+1)/n), the last one end too. O(points + n). */
void vs_compare_columns(const vs_compare_curve *curve, vs_compare_column *out, uint32_t n);

#define VS_COMPARE_GROUPS 6

/* Blocks of one size that are alive in one run and not in the other. */
typedef struct {
    const char *name;    /* of one of them, the first by name; "" when it has none */
    vs_bytes size_bytes; /* of each */
    uint32_t count;
    vs_category category; /* of that one */
    uint32_t block;       /* that one */
} vs_live_group;

typedef struct {
    vs_moment moment[VS_SIDES];
    /* Blocks are the same when name and size are, where the runs share names; else when their sizes are. */
    bool is_by_name;
    uint64_t only_count[VS_SIDES]; /* blocks */
    vs_bytes only_bytes[VS_SIDES];
    vs_live_group groups[VS_SIDES][VS_COMPARE_GROUPS]; /* most bytes first */
    uint32_t group_count[VS_SIDES];
} vs_live_difference;

/* What was alive just after one event of each run (VS_NO_MOMENT: nothing was). The arena is used and rewound. False when
 * it is exhausted. O(blocks log blocks + events). */
VS_MUST_CHECK bool vs_compare_live(vs_live_difference *out, vs_arena *arena,
                                   const vs_compare_desc *desc, const uint32_t event[VS_SIDES],
                                   vs_err *err);

#endif /* VS_STUDY_H */
