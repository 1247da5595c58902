/* vramscope/trace.h - what other tools recorded, and tapes in their formats.
 *
 * Reading: vs_recording_read takes any file it knows, told by its content, never by its name, gzip'ed or not, and gives a
 * vs_recording: every event as recorded, device by device, with what else the file says (final segments, settings,
 * stacks). Nothing in a file is ever executed. A recording makes no claim about what the allocator did in between;
 * vramscope/replay.h works that out and makes the tape.
 *
 * Writing: writers stream; they need no memory beyond a buffer. Each goes to a temporary file that is renamed
 * when whole. Path "-" is standard output. */
#ifndef VS_TRACE_H
#define VS_TRACE_H

#include "vramscope/tape.h"

/* ---- formats ----------------------------------------------------------------------- */

/* clang-format off */
#define VS_TRACE_FORMATS(X)                                                                 \
    X(VS_TRACE_TAPE, "tape", "vramscope tape")                                              \
    X(VS_TRACE_SNAPSHOT, "snapshot", "PyTorch memory snapshot")                             \
    X(VS_TRACE_CHROME, "chrome", "Chrome trace (PyTorch profiler, Perfetto JSON)")          \
    X(VS_TRACE_TIMELINE, "timeline", "PyTorch memory timeline")                             \
    X(VS_TRACE_NSYS, "nsys", "Nsight Systems SQLite export")                                \
    X(VS_TRACE_RMM, "rmm", "RMM log")                                                       \
    X(VS_TRACE_SMI, "smi", "nvidia-smi samples")                                            \
    X(VS_TRACE_RECORDER, "recorder", "vramscope recorder file")

/* clang-format on */

typedef enum {

#define VS_X(id, key, label) id,
    VS_TRACE_FORMATS(VS_X)
#undef VS_X
        VS_TRACE_FORMAT_COUNT
} vs_trace_format;

const char *vs_trace_format_key(vs_trace_format format);   /* "snapshot" */
const char *vs_trace_format_label(vs_trace_format format); /* "PyTorch memory snapshot" */

/* ---- a recording --------------------------------------------------------------------- */

/* clang-format off */
#define VS_REC_ACTIONS(X)                                                                   \
    X(VS_REC_ALLOC, "alloc")                   /* a block was handed out */                 \
    X(VS_REC_FREE_REQUESTED, "free_requested")                                              \
    X(VS_REC_FREE_COMPLETED, "free_completed")                                              \
    X(VS_REC_SEGMENT_ALLOC, "segment_alloc")   /* the driver gave size bytes at addr */     \
    X(VS_REC_SEGMENT_FREE, "segment_free")                                                  \
    X(VS_REC_SEGMENT_MAP, "segment_map")                                                    \
    X(VS_REC_SEGMENT_UNMAP, "segment_unmap")                                                \
    X(VS_REC_SNAPSHOT, "snapshot")             /* size: active bytes of the device then */  \
    X(VS_REC_OOM, "oom")                       /* addr: device free; size: rounded request */ \
    X(VS_REC_LEVEL, "level")                   /* a sample: size bytes of the device in use by everybody */ \
    X(VS_REC_MARK, "mark")                     /* label only */

/* clang-format on */

typedef enum {

#define VS_X(id, key) id,
    VS_REC_ACTIONS(VS_X)
#undef VS_X
        VS_REC_ACTION_COUNT
} vs_rec_action;

const char *vs_rec_action_key(vs_rec_action action);

#define VS_REC_NO_STACK   UINT32_MAX
/* size is that of the block (rounded, slack included), not what was asked: Chrome traces, RMM */
#define VS_REC_BLOCK_SIZE 1u
/* there is no address: addr is 0 */
#define VS_REC_NO_ADDR    2u

/* One entry as recorded; 48 bytes. */
typedef struct {
    uint64_t addr; /* VS_REC_OOM: bytes the device had free */
    vs_bytes size;
    vs_ns
        time_ns; /* since recording.epoch_ns; 0 throughout when the format has none (has_time) */
    uint32_t stack;   /* index into stacks, VS_REC_NO_STACK: none */
    uint32_t label;   /* string id: user metadata, tensor, API; 0: none */
    uint16_t stream;  /* index into streams */
    uint16_t pool;    /* index into pools; 0: the default pool, or not told */
    uint8_t action;   /* vs_rec_action */
    uint8_t flags;    /* VS_REC_* */
    uint8_t category; /* vs_category for the tape; VS_CAT_TENSOR when the file does not say */
    uint8_t pad;
    uint32_t
        origin; /* number of the entry in its own list in the file (what a message names) */
} vs_rec_event;

/* Totals that some formats give with every event: bytes after it. UINT64_MAX: not told. */
typedef struct {
    vs_bytes allocated;
    vs_bytes reserved;
} vs_rec_totals;

typedef enum {
    VS_REC_BLOCK_ACTIVE,
    VS_REC_BLOCK_PENDING,
    VS_REC_BLOCK_INACTIVE
} vs_rec_block_state;

/* A block of a segment as it was when the recording was written. */
typedef struct {
    uint64_t addr;
    vs_bytes size;
    vs_bytes requested; /* of no meaning when inactive */
    uint32_t stack;
    uint8_t state; /* vs_rec_block_state */
    uint8_t pad[3];
} vs_rec_block;

typedef struct {
    uint64_t addr;
    vs_bytes total;
    vs_bytes allocated; /* as the file says; UINT64_MAX: it does not */
    vs_bytes active;
    vs_bytes requested;
    uint32_t block_first; /* index into the recording's blocks */
    uint32_t block_count;
    uint16_t stream;
    uint16_t pool;
    bool is_small;
    bool is_expandable;
    uint8_t pad[2];
} vs_rec_segment;

/* One device. Devices without any event or segment are left out; ordinal is the file's number. */
typedef struct {
    uint32_t ordinal;
    uint32_t event_count;
    const vs_rec_event *events;     /* in file order */
    const vs_rec_totals *totals;    /* event_count of them, or NULL */
    const vs_rec_segment *segments; /* by address */
    uint32_t segment_count;
    bool has_segments; /* the file lists what existed at the end (the list may be empty) */
    bool is_host;      /* not a GPU: RAM */
    const char *name;  /* "" when the file does not tell */
    vs_bytes capacity_bytes; /* 0: not told */
} vs_rec_device;

typedef struct {
    uint32_t file; /* string ids */
    uint32_t function;
    uint32_t line;
} vs_rec_frame;

typedef struct {
    uint64_t hi, lo;
} vs_rec_pool_id;

/* A copy between memories, or a kernel, or I/O: what calibrate fits and lanes show. */
typedef struct {
    vs_ns start_ns; /* since epoch */
    vs_ns end_ns;
    vs_bytes bytes;
    uint32_t label;
    uint16_t stream;
    uint8_t kind;   /* vs_rec_work */
    uint8_t device; /* index into devices */
} vs_rec_span;

typedef enum {
    VS_REC_H2D_PINNED,
    VS_REC_H2D_PAGEABLE,
    VS_REC_D2H_PINNED,
    VS_REC_D2H_PAGEABLE,
    VS_REC_D2D,
    VS_REC_PEER,
    VS_REC_MEMSET,
    VS_REC_KERNEL,
    VS_REC_READ, /* from disk */
    VS_REC_CALL, /* an API call, label says which */
    VS_REC_WORK_COUNT
} vs_rec_work;

/* "external annotations" [15.7] and ranges of a program. */
typedef struct {
    vs_ns time_ns;
    uint32_t name;
    uint32_t stage; /* string id: "START", "END" */
    uint32_t device;
} vs_rec_annotation;

/* A whole file. Everything lives in the arena given to the reader, nothing refers to the file any more. */
typedef struct {
    vs_trace_format format;
    const char *path;
    uint32_t torch_since; /* first release it can be from, 206 for 2.6; 0: not known */
    const char *made_by;  /* "PyTorch 2.6 to 2.7", "" when not known */
    uint64_t epoch_ns;    /* of time 0, since 1970; 0: not known */
    bool has_time;
    uint32_t device_count;
    const vs_rec_device *devices;
    uint32_t block_count;
    const vs_rec_block *blocks;  /* of all segments */
    uint32_t stream_count;       /* at least 1 */
    const uint64_t *streams;     /* handles; 0 is the default stream and always index 0 */
    uint32_t pool_count;         /* at least 1 */
    const vs_rec_pool_id *pools; /* index 0: {0, 0} */
    uint32_t frame_count;
    const vs_rec_frame *frames;
    uint32_t stack_count;
    const uint32_t
        *stack_first; /* stack_count + 1 of them: into stack_frames, innermost frame first */
    const uint32_t *stack_frames;
    uint32_t span_count;
    const vs_rec_span *spans; /* as in the file */
    uint32_t annotation_count;
    const vs_rec_annotation *annotations;
    /* allocator_settings [15.6] */
    const char *alloc_conf; /* NULL: not told */
    bool has_settings;
    bool expandable_segments;
    vs_bytes max_split_bytes; /* UINT64_MAX unlimited */
    double gc_threshold;
    uint32_t divisions[16];
    uint32_t note_count;
    const char *const
        *notes; /* sentences: what is missing, was cut, skipped or put right, with counts */
    /* The tape that vramscope put into a snapshot of its own (vs_trace_write_snapshot), sealed, in the same arena; it says more
     * than a replay could. NULL: none, or the snapshot was changed since. */
    const vs_timeline *own;
    uint32_t string_count; /* id 0 is "" */
    const uint32_t *string_offset;
    const char *string_bytes;
} vs_recording;

const char *vs_recording_string(const vs_recording *rec, uint32_t id); /* "" for bad ids */

typedef struct {
    vs_arena *keep;    /* the recording goes here */
    vs_arena *scratch; /* rewound before return */
    /* called now and then with what was read of the file and its size (of the packed file); NULL: nobody looks */
    void (*progress)(void *ctx, uint64_t read_bytes, uint64_t total_bytes);
    void *ctx;
} vs_read_desc;

/* What a file is, by its first bytes (unpacked when gzip'ed). An error names what was found and what would be taken. */
VS_MUST_CHECK bool vs_trace_detect(const char *path, vs_trace_format *out, vs_err *err);
/* Any format but VS_TRACE_TAPE (vs_timeline_open). Errors carry the byte offset in the unpacked file, line or JSON path.
 * Memory: bounded by the size of the file (see traces/read/read.h); beyond it an error, never a crash. */
VS_MUST_CHECK bool vs_recording_read(vs_recording *out, const char *path,
                                     const vs_read_desc *desc, vs_err *err);

/* A recording as a tape without replaying it: blocks have the sizes that the file gives. For every format; what a snapshot
 * does not tell (block sizes, the time before it began) comes right by vs_trace_open in replay.h. */
VS_MUST_CHECK bool vs_recording_to_tape(const vs_recording *rec, vs_tape *tape,
                                        vs_arena *scratch, vs_err *err);

/* ---- writing ------------------------------------------------------------------------------ */

/* Chrome trace event JSON, opens in Perfetto and chrome://tracing: counters per device with one argument per
 * category, slices per lane, instants for OOM and phases, flows from copy to consumption are left out.
 * ts and dur in microseconds with three decimals (exact). */
VS_MUST_CHECK bool vs_trace_write_perfetto(const vs_timeline *tl, const char *path,
                                           vs_err *err);
/* One row per event: time_ns,event,device,category,size_bytes,asked_bytes,addr,block,name,
 * allocated_bytes,reserved_bytes,used_bytes (RFC 4180). */
VS_MUST_CHECK bool vs_trace_write_csv(const vs_timeline *tl, const char *path, vs_err *err);
/* PyTorch memory snapshot, pickle protocol 4 (specs/torch-caching-allocator.md [15, 16]): opens in the official viewer and in
 * torch.cuda._memory_viz. What that format has no place for (host memory, lanes, categories, nanoseconds) stands under
 * one more key, "vramscope", which other readers skip and ours takes: reading it back gives the same tape. */
VS_MUST_CHECK bool vs_trace_write_snapshot(const vs_timeline *tl, const char *path,
                                           vs_arena *scratch, vs_err *err);

#endif /* VS_TRACE_H */
