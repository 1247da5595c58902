/* traces/read/snapshot.h - a machine that reads PyTorch's memory snapshots and can do nothing else.
 *
 * A pickle is a program for a stack machine. This one knows the opcodes that plain data are made of
 * (specs/torch-caching-allocator.md [16]); whatever could name or call something is refused with its offset.
 *
 *   snapshot_machine.c  the loop over the opcodes, memory and bytes
 *   snapshot_ops.c   the opcodes, one row each
 *   snapshot_text.c  the text forms of protocols 0 and 1
 *   snapshot_data.c  lists, dicts and tuples, and what they become
 *   snapshot_rows.c  dicts of known shape: trace entries, segments, blocks, frames
 *   snapshot_own.c   the tape in a snapshot of ours
 *   snapshot.c       the whole: from the one value that is left to a vs_recording
 *
 * A value is a word: five bits of kind, the rest an integer, or an index into where such values lie. A dict whose keys
 * say what it is becomes a packed row as soon as it is filled; a list of such rows that were made one after the other is a
 * run (first, count); a list of frames is an interned stack. What is left are small lists of words. So a trace entry
 * costs 48 bytes, and a stack that is mentioned a thousand times is kept once.
 *
 *   stack    [ value | value | ... ]         marks: places in it
 *   objects  [ state of container 0 | 1 | ... ]      what a memo entry of a container leads to
 *   open     [ first | first | ... ]         containers with words in `pending`, innermost last
 *   pending  [ words of the first | of the second ... ]
 *
 * A container is on the stack exactly once until it is put into another one or read from the memo; then it is settled and never
 * changes again. (Filling it later could make a cycle, and is refused: Python and PyTorch fill a container before they refer to
 * it.) So `open` and `pending` grow and shrink like the stack, and nothing here recurses.
 *
 * Memory: scratch takes at most SNAP_FACTOR bytes for each byte read, and SNAP_BASE_BYTES; beyond that the file is
 * refused. (A real one takes about a fourth of its size.) keep takes no more than that again. */
#ifndef VS_TRACES_READ_SNAPSHOT_H
#define VS_TRACES_READ_SNAPSHOT_H

#include "traces/read/read.h"
#include "traces/read/rows.h"

#define SNAP_FACTOR     8u
#define SNAP_BASE_BYTES ((uint64_t)64 << 20)
#define SNAP_MAX_DEPTH  64u  /* of containers in containers; snapshots have 6 */
#define SNAP_MAX_PAIRS  256u /* keys of a dict whose keys are looked at */
#define SNAP_MEMO_SLACK 1024u
#define SNAP_WORD_SHIFT 12u /* rows of words: 32 KiB a chunk */

/* ---- words ------------------------------------------------------------------------------- */

typedef uint64_t snap_word;

typedef enum {
    W_NONE,
    W_FALSE,
    W_TRUE,
    W_INT,   /* the integer itself, 59 bits with sign */
    W_BIG,   /* into bigs */
    W_FLOAT, /* into floats */
    W_TEXT,  /* into texts */
    W_PAIR,  /* a tuple of two integers below 2^28 */
    W_OPAQUE, /* a list or tuple of plain values that nobody asks for (forward_frames): dropped */
    W_EMPTY_LIST,
    W_EMPTY_TUPLE,
    W_EMPTY_DICT,
    W_TUPLE, /* into items, see snap_items */
    W_LIST,
    W_DICT,
    W_FRAME, /* a frame of the builder */
    W_STACK, /* a stack of the builder */
    W_ENTRY, /* rows */
    W_BLOCK,
    W_SEGMENT,
    W_HISTORY,
    W_RUN,    /* into runs: a list of rows that follow each other */
    W_ABSENT, /* a memo entry that was never filled */
    W_OBJECT, /* into objects: a container that is not settled */
    /* states of such an object */
    W_NEW_LIST,
    W_NEW_DICT,
    W_OPEN_LIST, /* into open */
    W_OPEN_DICT,
    W_OPEN_ENTRY, /* a row that may still get keys */
    W_OPEN_BLOCK,
    W_OPEN_SEGMENT,
    W_OPEN_RUN
} snap_kind;

#define SNAP_KIND_BITS 5u

static inline snap_kind snap_kind_of(snap_word word)
{
    return (snap_kind)(word & 31u);
}

static inline uint64_t snap_index(snap_word word)
{
    return word >> SNAP_KIND_BITS;
}

static inline snap_word snap_make(snap_kind kind, uint64_t index)
{
    return index << SNAP_KIND_BITS | (uint64_t)kind;
}

/* ---- keys and values that mean something --------------------------------------------------- */

/* clang-format off */
/* The first of all texts, so that their ids are known. Keys that tell what a dict is come in the first 32. */
#define SNAP_TEXTS(X)                                                                       \
    X(K_ACTION, "action") X(K_ADDR, "addr") X(K_SIZE, "size") X(K_STREAM, "stream")         \
    X(K_TIME_US, "time_us") X(K_FRAMES, "frames") X(K_DEVICE_FREE, "device_free")           \
    X(K_COMPILE_CONTEXT, "compile_context") X(K_USER_METADATA, "user_metadata")             \
    X(K_POOL_ID, "pool_id") X(K_TOTAL_SIZE, "total_size") X(K_BLOCKS, "blocks")             \
    X(K_ADDRESS, "address") X(K_DEVICE, "device") X(K_ALLOCATED_SIZE, "allocated_size")     \
    X(K_ACTIVE_SIZE, "active_size") X(K_REQUESTED_SIZE, "requested_size")                   \
    X(K_SEGMENT_TYPE, "segment_type") X(K_SEGMENT_POOL_ID, "segment_pool_id")               \
    X(K_IS_EXPANDABLE, "is_expandable") X(K_STATE, "state") X(K_HISTORY, "history")         \
    X(K_REAL_SIZE, "real_size") X(K_NAME, "name") X(K_FILENAME, "filename")                 \
    X(K_LINE, "line") X(K_STAGE, "stage") X(K_SEGMENTS, "segments")                         \
    X(K_DEVICE_TRACES, "device_traces") X(K_ALLOCATOR_SETTINGS, "allocator_settings")       \
    X(K_EXTERNAL_ANNOTATIONS, "external_annotations")                                       \
    X(K_ALLOC_CONF, "PYTORCH_CUDA_ALLOC_CONF") X(K_MAX_SPLIT_SIZE, "max_split_size")        \
    X(K_GC_THRESHOLD, "garbage_collection_threshold")                                       \
    X(K_EXPANDABLE_SEGMENTS, "expandable_segments")                                         \
    X(K_DIVISIONS, "roundup_power2_divisions") X(K_OWN, "vramscope")                        \
    X(T_ALLOC, "alloc") X(T_FREE_REQUESTED, "free_requested")                               \
    X(T_FREE_COMPLETED, "free_completed") X(T_SEGMENT_ALLOC, "segment_alloc")               \
    X(T_SEGMENT_FREE, "segment_free") X(T_SEGMENT_MAP, "segment_map")                       \
    X(T_SEGMENT_UNMAP, "segment_unmap") X(T_SNAPSHOT, "snapshot") X(T_OOM, "oom")           \
    X(T_SMALL, "small") X(T_LARGE, "large") X(T_ACTIVE, "active_allocated")                 \
    X(T_PENDING, "active_pending_free") X(T_AWAITING, "active_awaiting_free")               \
    X(T_INACTIVE, "inactive")

/* clang-format on */

typedef enum {
    K_NOTHING, /* "" */

#define VS_X(id, text) id,
    SNAP_TEXTS(VS_X)
#undef VS_X
        SNAP_TEXT_COUNT
} snap_text;

/* ---- rows -------------------------------------------------------------------------------------- */

/* What an entry had, in vs_rec_event.pad until it is handed out. */
#define HAS_ACTION      1u
#define HAS_ADDR        2u
#define HAS_DEVICE_FREE 4u
#define HAS_SIZE        8u
#define HAS_TIME        16u
#define IS_OTHER        32u /* an action that is not known, or user_defined: skipped */
#define IS_TAKEN        64u /* is in a list that was used */

/* What a block or segment had. */
#define HAS_ADDRESS   1u
#define HAS_TOTAL     2u /* blocks: size */
#define HAS_BLOCKS    4u /* blocks: state */
#define HAS_DEVICE    8u
#define HAS_REQUESTED 16u

typedef struct {
    vs_rec_segment row;
    snap_word blocks;
    uint32_t device;
    uint32_t has;
} snap_segment;

/* A use of a block in PyTorch 2.0 [15.4]. */
typedef struct {
    vs_bytes real_size;
    uint32_t stack;
} snap_history;

typedef struct {
    uint32_t kind; /* snap_kind of its rows */
    uint32_t count;
    uint64_t first;
} snap_run;

typedef struct {
    uint64_t first;    /* in pending */
    uint32_t stack_at; /* the container; grows from record to record */
} snap_open;

typedef struct {
    uint64_t bits;
    bool is_negative; /* then bits is its two's complement */
} snap_big;

/* Whole shifts, which compilers make one load of. */
static inline uint32_t snap_little4(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static inline uint64_t snap_little8(const uint8_t *bytes)
{
    return (uint64_t)snap_little4(bytes + 4) << 32 | snap_little4(bytes);
}

/* ---- the machine ----------------------------------------------------------------------------------- */

/* Features of the file that tell which PyTorch wrote it [15.8]. */
#define SEEN_TIME          1u
#define SEEN_COMPILE       2u
#define SEEN_USER_METADATA 4u
#define SEEN_POOL_ID       8u
#define SEEN_SEGMENT_POOL  16u
#define SEEN_HISTORY       32u

typedef struct {
    vs_input *in;
    const vs_read_desc *desc;
    vs_builder *builder;
    vs_err *err;
    size_t scratch_start; /* used_bytes of scratch before we took any */
    const uint8_t *op_at; /* the opcode that is running */
    snap_word *stack;
    uint32_t stack_count;
    uint32_t stack_room;
    uint32_t objects_below; /* no container that is not settled is on the stack from here on */
    uint32_t marks[SNAP_MAX_DEPTH];
    uint32_t mark_count;
    vs_rows memo; /* words */
    uint64_t put_count;
    vs_rows objects; /* words */
    snap_open *open;
    uint64_t open_count;
    uint64_t open_room;
    snap_word *pending;
    uint64_t pending_count;
    uint64_t pending_room;
    vs_rows items; /* words: count, then that many */
    vs_rows runs;
    vs_rows bigs;
    vs_rows floats;
    vs_strtab texts;
    vs_rows text_ids; /* per text: its id in the builder + 1, 0 not yet */
    uint32_t *ids;    /* frames of the list that is being closed */
    uint64_t ids_room;
    vs_rec_event *entries; /* one array at the end of keep */
    uint32_t entry_count;
    uint32_t entry_room;
    vs_rows blocks;
    vs_rows segments;
    vs_rows history;
    uint32_t seen;
    bool
        keeps_plain; /* lists of plain values are kept: K_OWN was met, whose columns they are */
    uint32_t protocol;
    uint64_t stopped_at; /* offset behind STOP */
    bool is_stopped;
} snap_machine;

static inline snap_word *snap_word_at(const vs_rows *rows, uint64_t index)
{
    return rows_at(rows, index);
}

/* snapshot_machine.c */
VS_MUST_CHECK bool snap_machine_init(snap_machine *m, vs_input *in, const vs_read_desc *desc,
                                     vs_err *err);
VS_MUST_CHECK bool snap_run_pickle(snap_machine *m);
/* Fails with the offset of the running opcode. Always false. */
bool snap_fail(snap_machine *m, vs_errcode code, const char *format, ...) VS_PRINTF(3, 4);
bool snap_fail_memory(snap_machine *m);
/* More memory is about to be taken: may it be? */
VS_MUST_CHECK bool snap_check_budget(snap_machine *m);
/* A row more, within the budget. NULL: failed. */
VS_MUST_CHECK void *snap_add_row(snap_machine *m, vs_rows *rows);
VS_MUST_CHECK bool snap_grow_stack(snap_machine *m);
/* count bytes of the file, which last until the next read. NULL: failed. */
VS_MUST_CHECK const uint8_t *snap_take_bytes(snap_machine *m, uint64_t count);
/* Up to the end of the line, which is left out. */
VS_MUST_CHECK bool snap_take_line(snap_machine *m, vs_str *out);

/* snapshot_ops.c */
typedef struct {
    const char *name;                                  /* NULL: no opcode */
    bool (*run)(snap_machine *m, const uint8_t *args); /* NULL: refused */
    uint8_t arg_bytes; /* of fixed length; `run` takes what follows them */
} snap_op;

extern const snap_op snap_ops[256];

/* Always false: an opcode without `run`. */
bool snap_fail_opcode(snap_machine *m, uint8_t op);
VS_MUST_CHECK bool snap_pop_mark(snap_machine *m, uint32_t *out);
VS_MUST_CHECK bool snap_push_text(snap_machine *m, vs_str text);
VS_MUST_CHECK bool snap_push_int(snap_machine *m, uint64_t bits, bool is_negative);
VS_MUST_CHECK bool snap_push_float(snap_machine *m, double value);
VS_MUST_CHECK bool snap_get(snap_machine *m, uint64_t index);
VS_MUST_CHECK bool snap_put(snap_machine *m, uint64_t index);

VS_MUST_CHECK static inline bool snap_push(snap_machine *m, snap_word word)
{
    if (m->stack_count == m->stack_room && !snap_grow_stack(m)) {
        return false;
    }
    m->stack[m->stack_count++] = word;
    return true;
}

/* snapshot_text.c: up to the end of the line */
VS_MUST_CHECK bool snap_op_int(snap_machine *m, const uint8_t *args);
VS_MUST_CHECK bool snap_op_float(snap_machine *m, const uint8_t *args);
VS_MUST_CHECK bool snap_op_unicode(snap_machine *m, const uint8_t *args);
VS_MUST_CHECK bool snap_op_get(snap_machine *m, const uint8_t *args);
VS_MUST_CHECK bool snap_op_put(snap_machine *m, const uint8_t *args);

/* snapshot_data.c */
VS_MUST_CHECK bool snap_push_new(snap_machine *m, snap_kind state);
/* Settles what lies at or above a place of the stack: from now on it does not change. */
VS_MUST_CHECK bool snap_settle(snap_machine *m, uint32_t from);
/* The same for one container; out: what it became. */
VS_MUST_CHECK bool snap_settle_object(snap_machine *m, snap_word word, snap_word *out);
/* What lies at or above `from` goes into the container below it / becomes one. */
VS_MUST_CHECK bool snap_append(snap_machine *m, uint32_t from);
VS_MUST_CHECK bool snap_set_items(snap_machine *m, uint32_t from);
VS_MUST_CHECK bool snap_make_tuple(snap_machine *m, uint32_t from);
/* Forgets what lies at or above `from`. */
void snap_drop(snap_machine *m, uint32_t from);
const char *snap_kind_name(snap_kind kind); /* "a list" */

/* The words of a list, tuple or dict (keys and values in turn) that was settled. */
typedef struct {
    uint64_t first;
    uint64_t count;
} snap_items;

snap_items snap_items_of(const snap_machine *m, snap_word container);
/* Containers only; 0 for what holds nothing. */
uint32_t snap_depth(snap_word word);

/* snapshot_rows.c */
/* What a dict with these keys (bit: the id of a text below 32) is: W_ENTRY, W_SEGMENT, W_BLOCK, W_FRAME, W_HISTORY, or W_DICT. */
snap_kind snap_shape_of(uint32_t keys);
/* A new row of a shape but W_FRAME and W_HISTORY. */
VS_MUST_CHECK bool snap_new_row(snap_machine *m, snap_kind shape, uint64_t *out);
VS_MUST_CHECK bool snap_apply(snap_machine *m, snap_kind shape, uint64_t row,
                              const snap_word *pairs, uint64_t pair_count);
VS_MUST_CHECK bool snap_make_frame(snap_machine *m, const snap_word *pairs, uint64_t pair_count,
                                   uint32_t *out);
VS_MUST_CHECK bool snap_make_history(snap_machine *m, const snap_word *pairs,
                                     uint64_t pair_count, uint64_t *out);
/* A whole number that is not negative. */
VS_MUST_CHECK bool snap_as_u64(const snap_machine *m, snap_word word, uint64_t *out);
/* Any whole number; negative ones as their two's complement. */
VS_MUST_CHECK bool snap_as_bits(const snap_machine *m, snap_word word, uint64_t *out);
vs_str snap_text_of(const snap_machine *m, snap_word word);
/* The builder's id of a text. */
uint32_t snap_kept_text(snap_machine *m, snap_word word);

/* snapshot_own.c */
/* The tape that a snapshot of ours holds, W_NONE: it holds none. One that cannot be used is noted; false is for memory. */
VS_MUST_CHECK bool snap_read_own(snap_machine *m, snap_word own);

#endif /* VS_TRACES_READ_SNAPSHOT_H */
