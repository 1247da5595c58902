/* vramscope/tape.h - the record of one run: what happened to memory and to links.
 *
 * A tape is append-only. The simulator (or a trace reader) appends events and
 * spans; vs_tape_seal turns them into a vs_timeline: one contiguous, read-only image that is
 * also the file, byte for byte, but for the checksums in its head: vs_timeline_write computes them. Everything a person looks at (peaks, the cause of
 * an out-of-memory, a picture) is a pure function of a timeline.
 *
 * Events are the only truth. Tracks (bytes by category over time), block lives and
 * totals are derived from them once, when sealing. Time in nanoseconds from the start of
 * the run, sizes in bytes, references are indices, never pointers.
 *
 * Ownership: a tape lives in the arena given to vs_tape_new; so does the sealed
 * image. A timeline read from a file owns a mapping: vs_timeline_close. A sealed
 * timeline is const and may be read from any number of threads.
 *
 * First error wins: when the arena is exhausted or a call is out of order in time, the tape
 * remembers it, later calls do nothing, and vs_tape_seal reports it. */
#ifndef VS_TAPE_H
#define VS_TAPE_H

#include "vramscope/base.h"

/* ---- what memory holds ---------------------------------------------------------- */

/* Categories, bottom of the stack first. Names and colours: VIEWER-design section 6. */
#define VS_CATEGORIES(X)                                                                       \
    X(VS_CAT_CONTEXT, "context", "CUDA context")                                               \
    X(VS_CAT_OTHER, "other", "other processes")                                                \
    X(VS_CAT_W_FP32, "w_fp32", "weights fp32")                                                 \
    X(VS_CAT_W_16, "w_bf16", "weights bf16/fp16")                                              \
    X(VS_CAT_W_FP8, "w_fp8", "weights fp8")                                                    \
    X(VS_CAT_Q_INT8, "q_int8", "quantised int8")                                               \
    X(VS_CAT_Q_4BIT, "q_4bit", "quantised 4-bit")                                              \
    X(VS_CAT_KV, "kv", "KV cache")                                                             \
    X(VS_CAT_ACT, "act", "activations")                                                        \
    X(VS_CAT_TENSOR, "tensor", "tensors")                                                      \
    X(VS_CAT_STAGING, "staging", "staging")                                                    \
    X(VS_CAT_SLACK, "frag", "rounding waste")                                                  \
    X(VS_CAT_RESFREE, "resfree", "reserved, free")                                             \
    X(VS_CAT_PINNED, "pinned", "pinned host memory")                                           \
    X(VS_CAT_PAGECACHE, "pagecache", "page cache")                                             \
    X(VS_CAT_HOSTHEAP, "hostheap", "process heap")

typedef enum {

#define VS_X(id, key, label) id,
    VS_CATEGORIES(VS_X)
#undef VS_X
        VS_CAT_COUNT
} vs_category;

const char *vs_category_key(vs_category category);   /* "q_4bit" */
const char *vs_category_label(vs_category category); /* "quantised 4-bit" */

/* ---- events ------------------------------------------------------------------------ */

/* clang-format off */
#define VS_EVENT_KINDS(X)                                                                  \
    X(VS_EV_ALLOC, "alloc")             /* block born: size_bytes covered, asked_bytes requested */ \
    X(VS_EV_FREE, "free")               /* block gone (free completed) */                  \
    X(VS_EV_RECAT, "recat")             /* block changes category (staging -> weights) */   \
    X(VS_EV_SEGMENT_ALLOC, "segment_alloc") /* driver gave size_bytes at addr */           \
    X(VS_EV_SEGMENT_FREE, "segment_free")                                                  \
    X(VS_EV_SEGMENT_MAP, "segment_map")                                                    \
    X(VS_EV_SEGMENT_UNMAP, "segment_unmap")                                                \
    X(VS_EV_LEVEL, "level")             /* category of device now holds exactly size_bytes */ \
    X(VS_EV_OOM, "oom")                 /* asked_bytes requested, size_bytes asked of the driver; extra = device free */ \
    X(VS_EV_PHASE, "phase")             /* a phase begins: name */                         \
    X(VS_EV_PROGRESS, "progress")       /* size_bytes of the checkpoint's bytes are in their final place */ \
    X(VS_EV_SURFACE, "surface")         /* where the program notices an earlier failure */ \
    X(VS_EV_MARK, "mark")                                                                      \
    X(VS_EV_FREE_REQUESTED, "free_requested") /* free asked for, block still held until its FREE: streams use it */

/* clang-format on */

typedef enum {

#define VS_X(id, key) id,
    VS_EVENT_KINDS(VS_X)
#undef VS_X
        VS_EV_COUNT
} vs_event_kind;

const char *vs_event_kind_key(vs_event_kind kind);

#define VS_NO_BLOCK UINT32_MAX
#define VS_NO_NAME  0u /* string id of "" */

/* One event, as handed in and as read back. Unused fields are zero. */
typedef struct {
    vs_ns time_ns;
    vs_bytes size_bytes;
    vs_bytes asked_bytes;
    uint64_t addr; /* simulated or recorded device address */
    uint64_t extra;
    /* from vs_tape_new_block; ALLOC, FREE, RECAT and FREE_REQUESTED only: a sealed tape has VS_NO_BLOCK in every
     * other kind */
    uint32_t block;
    uint32_t name; /* string id: tensor, phase */
    uint32_t stream;
    uint8_t kind;     /* vs_event_kind */
    uint8_t device;   /* index from vs_tape_add_device */
    uint8_t category; /* vs_category */
    uint8_t flags;    /* reserved, 0 */
} vs_event;

/* ---- writing ------------------------------------------------------------------------- */

typedef struct vs_tape vs_tape;

typedef struct {
    uint32_t expected_events; /* a hint for sizing; 0: small */
    uint32_t expected_spans;
    uint32_t expected_strings;
} vs_tape_desc;

typedef enum { VS_DEVICE_GPU, VS_DEVICE_HOST, VS_DEVICE_DISK } vs_device_kind;

/* NULL only when the arena is exhausted. */
VS_MUST_CHECK vs_tape *vs_tape_new(vs_arena *arena, const vs_tape_desc *desc);
/* Interned string id; VS_NO_NAME after a failure. */
uint32_t vs_tape_string(vs_tape *tape, vs_str text);
/* The same for a terminated text that stays where it is until the tape is sealed: it is not copied before. */
uint32_t vs_tape_name(vs_tape *tape, const char *text);
/* The same for a text that the tape does not have yet: one of many names that are all different. It is not looked
 * up, which costs more than everything else about it; if the tape has it, it has it twice from then on. */
uint32_t vs_tape_new_name(vs_tape *tape, const char *text);
/* Facts about the run as a whole ("model", "verdict", "gpu"); last value of a key wins. */
void vs_tape_set_meta(vs_tape *tape, const char *key, const char *value);
/* A memory. Devices are numbered from 0 in call order, at most 64. */
uint8_t vs_tape_add_device(vs_tape *tape, vs_device_kind kind, const char *name,
                           vs_bytes capacity_bytes);
/* A lane: something that does one thing at a time (disk, cpu 1, pcie h2d, gpu). */
uint16_t vs_tape_add_lane(vs_tape *tape, const char *name);
uint32_t vs_tape_new_block(vs_tape *tape);
/* What was appended so far was there before a recording began: the fact "events_before" tells how many events that are, if
 * any. A format that lists what was recorded leaves them out. */
void vs_tape_recording_begins(vs_tape *tape);
/* Times must not decrease from call to call. O(1). */
void vs_tape_event(vs_tape *tape, const vs_event *event);
/* Work on a lane in [start_ns, end_ns), end >= start; may be appended in any order and may
 * overlap others of its lane. name: string id; bytes moved or produced. */
void vs_tape_span(vs_tape *tape, uint16_t lane, vs_ns start_ns, vs_ns end_ns,
                  vs_category category, uint32_t name, vs_bytes size_bytes);
bool vs_tape_has_failed(const vs_tape *tape);

/* ---- the sealed tape ---------------------------------------------------------------------- */

/* A counter over time: a step function whose value holds until the next sample. Three
 * columns and a pyramid; sample i is the value after event sample_event[i]. */
typedef struct {
    uint64_t first; /* index of its first sample in the sample columns */
    uint64_t count;
    uint64_t pyramid_first; /* index of its first node in the pyramid columns */
    vs_bytes max;
    uint32_t name; /* string id */
    uint8_t device;
    uint8_t category; /* vs_category, or VS_CAT_COUNT for the totals below */
    uint8_t role;     /* vs_track_role */
    uint8_t pad;
} vs_track_info;

typedef enum {
    VS_TRACK_CATEGORY,  /* bytes of one category on one device */
    VS_TRACK_USED,      /* GPU: context + other + reserved; host: sum of its categories */
    VS_TRACK_ALLOCATED, /* torch allocated_bytes: block sizes, until their FREE_REQUESTED */
    VS_TRACK_TENSORS,   /* the same with requests rounded to 512 B, no slack */
    VS_TRACK_RESERVED,  /* torch reserved_bytes */
    VS_TRACK_PROGRESS   /* checkpoint bytes in final place */
} vs_track_role;

typedef struct {
    uint32_t name; /* string id */
    uint32_t kind; /* vs_device_kind */
    vs_bytes capacity_bytes;
} vs_device_info;

typedef struct {
    uint32_t name;
    uint32_t pad;
    uint64_t first; /* its spans, sorted by start */
    uint64_t count;
} vs_lane_info;

typedef struct {
    uint32_t born_event; /* UINT32_MAX: before the tape began */
    uint32_t dead_event; /* UINT32_MAX: still alive at the end */
    uint32_t name;
    uint32_t device;
} vs_block_info;

typedef struct {
    uint32_t key;
    uint32_t value;
} vs_meta_info;

/* Plain view of a sealed image. Columns have *_count elements. Do not write. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): fields stand by subject */
typedef struct {
    const uint8_t *image; /* the file, byte for byte; its checksums are zero until it is one */
    uint64_t image_bytes;
    void *map; /* mapping to release, or NULL */

    uint32_t event_count;
    const uint64_t *event_time;
    const uint64_t *event_size;
    const uint64_t *event_asked;
    const uint64_t *event_addr;
    const uint64_t *event_extra;
    const uint32_t *event_block;
    const uint32_t *event_name;
    const uint32_t *event_stream;
    const uint8_t *event_kind;
    const uint8_t *event_device;
    const uint8_t *event_category;
    const uint8_t *event_flags;

    uint32_t track_count;
    const vs_track_info *tracks;
    uint64_t sample_count;
    const uint64_t *sample_time;
    const uint64_t *sample_value;
    const uint32_t *sample_event;
    uint64_t pyramid_count; /* see tape/index.c: nodes of {min, max, where max first is} */
    const uint64_t *pyramid_min;
    const uint64_t *pyramid_max;
    const uint32_t *pyramid_where;

    uint32_t device_count;
    const vs_device_info *devices;
    uint32_t lane_count;
    const vs_lane_info *lanes;
    uint64_t span_count;
    const uint64_t *span_start;
    const uint64_t *span_end;
    const uint64_t *span_bytes;
    /* busy ns of the lane up to the end of span i (prefix, overlaps merged) */
    const uint64_t *span_busy;
    const uint32_t *span_name;
    const uint8_t *span_category;

    uint32_t block_count;
    const vs_block_info *blocks;
    uint32_t meta_count;
    const vs_meta_info *metas;
    uint32_t string_count;
    const uint32_t *string_offset;
    const char *string_bytes;
    uint64_t string_bytes_count;

    vs_ns end_ns; /* time of the last event or span end */

    const uint64_t *span_reach; /* greatest span_end of the lane up to span i */
} vs_timeline;

/* Derives tracks, lives and pyramids and lays out the image. The tape must not be used
 * afterwards. O(events * small + samples). */
VS_MUST_CHECK bool vs_tape_seal(vs_tape *tape, vs_timeline *out, vs_err *err);

/* File: the image with its checksums, written to a temporary file and renamed. */
VS_MUST_CHECK bool vs_timeline_write(const vs_timeline *tl, const char *path, vs_err *err);
/* Maps and validates everything that later code relies on (magic, version, checksums, section
 * bounds, every index, order of times): a timeline that opens cannot crash its readers. */
VS_MUST_CHECK bool vs_timeline_open(vs_timeline *tl, const char *path, vs_err *err);
/* The same for the bytes of a file in memory, which stay there. The image of a timeline that was just sealed does not
 * bind: it has no checksums. */
VS_MUST_CHECK bool vs_timeline_bind(vs_timeline *tl, const void *image, uint64_t image_bytes,
                                    vs_err *err);
void vs_timeline_close(vs_timeline *tl);

/* ---- asking --------------------------------------------------------------------------------- */

const char *vs_timeline_string(const vs_timeline *tl, uint32_t id);   /* "" for bad ids */
const char *vs_timeline_meta(const vs_timeline *tl, const char *key); /* NULL when absent */
vs_event vs_timeline_event(const vs_timeline *tl, uint32_t index);
#define VS_NO_TRACK UINT32_MAX
uint32_t vs_timeline_find_track(const vs_timeline *tl, uint8_t device, vs_track_role role,
                                vs_category category); /* category ignored for totals */

/* Value of a track just after event `event` (carried in from the left; 0 before its first sample),
 * or at the end of instant time_ns. O(log n). */
vs_bytes vs_track_at_event(const vs_timeline *tl, uint32_t track, uint32_t event);
vs_bytes vs_track_at_time(const vs_timeline *tl, uint32_t track, vs_ns time_ns);

typedef struct {
    vs_bytes min;
    vs_bytes max;
    vs_bytes last;      /* value at the end of the column */
    uint32_t max_event; /* first event after which the value was max; UINT32_MAX: carried in */
} vs_column;

/* Exact summary of [t0, t1): includes the value carried in from the left. O(log n). */
vs_column vs_track_range(const vs_timeline *tl, uint32_t track, vs_ns t0, vs_ns t1);
/* n equal columns of [t0, t1) into the caller's buffer; column i covers
 * [t0 + (t1-t0)*i/n, t0 + (t1-t0)*(i+1)/n). */
void vs_track_columns(const vs_timeline *tl, uint32_t track, vs_ns t0, vs_ns t1, vs_column *out,
                      uint32_t n);
/* First span of the lane that ends after t0, as an index into the span columns (may be past it). */
uint64_t vs_lane_lower(const vs_timeline *tl, uint32_t lane, vs_ns t0);
/* Busy nanoseconds of the lane in [t0, t1). */
vs_ns vs_lane_busy(const vs_timeline *tl, uint32_t lane, vs_ns t0, vs_ns t1);

/* Walks the whole timeline and compares every derived thing with a naive recomputation.
 * Tests. */
VS_MUST_CHECK bool vs_timeline_check(const vs_timeline *tl, vs_err *err);

#endif /* VS_TAPE_H */
