/* traces/write/snapshot.h - what the files that write a PyTorch memory snapshot share.
 *
 *   snapshot.c        the whole, and the trace of each card
 *   snapshot_state.c  "segments": what was there at the end
 *   snapshot_own.c    "vramscope": the tape itself
 *   pickle.c          opcodes
 *
 * Internal to traces/write/. */
#ifndef VS_TRACES_WRITE_SNAPSHOT_H
#define VS_TRACES_WRITE_SNAPSHOT_H

#include "traces/write/pickle.h"
#include "vramscope/tape.h"

#define SNAPSHOT_CARDS_MAX 64u /* memories of a tape: vs_tape_add_device */

/* clang-format off */
/* Keys and words of the format [15], written once and then read from the memo. */
#define SNAPSHOT_WORDS(X)                                                                   \
    X(WORD_SEGMENTS, "segments") X(WORD_DEVICE_TRACES, "device_traces")                     \
    X(WORD_ALLOCATOR_SETTINGS, "allocator_settings")                                        \
    X(WORD_EXTERNAL_ANNOTATIONS, "external_annotations") X(WORD_VRAMSCOPE, "vramscope")     \
    X(WORD_DEVICE, "device") X(WORD_ADDRESS, "address") X(WORD_TOTAL_SIZE, "total_size")    \
    X(WORD_ALLOCATED_SIZE, "allocated_size") X(WORD_ACTIVE_SIZE, "active_size")             \
    X(WORD_REQUESTED_SIZE, "requested_size") X(WORD_STREAM, "stream")                       \
    X(WORD_SEGMENT_TYPE, "segment_type") X(WORD_SEGMENT_POOL_ID, "segment_pool_id")         \
    X(WORD_IS_EXPANDABLE, "is_expandable") X(WORD_FRAMES, "frames")                         \
    X(WORD_BLOCKS, "blocks") X(WORD_SIZE, "size") X(WORD_STATE, "state")                    \
    X(WORD_SMALL, "small") X(WORD_LARGE, "large") X(WORD_INACTIVE, "inactive")              \
    X(WORD_ACTIVE, "active_allocated") X(WORD_PENDING, "active_pending_free")               \
    X(WORD_ACTION, "action") X(WORD_ADDR, "addr") X(WORD_DEVICE_FREE, "device_free")        \
    X(WORD_TIME_US, "time_us") X(WORD_COMPILE_CONTEXT, "compile_context")                   \
    X(WORD_NOT_AVAILABLE, "N/A") X(WORD_USER_METADATA, "user_metadata")                     \
    X(WORD_CATEGORY, "category") X(WORD_UNKNOWN, "unknown") X(WORD_NAME, "name")            \
    X(WORD_STAGE, "stage") X(WORD_START, "START") X(WORD_END, "END")                        \
    X(WORD_FILENAME, "filename") X(WORD_LINE, "line")                                       \
    X(WORD_ALLOC, "alloc") X(WORD_FREE_REQUESTED, "free_requested")                         \
    X(WORD_FREE_COMPLETED, "free_completed") X(WORD_SEGMENT_ALLOC, "segment_alloc")         \
    X(WORD_SEGMENT_FREE, "segment_free") X(WORD_SEGMENT_MAP, "segment_map")                 \
    X(WORD_SEGMENT_UNMAP, "segment_unmap") X(WORD_OOM, "oom")

/* clang-format on */

typedef enum {

#define VS_X(id, text) id,
    SNAPSHOT_WORDS(VS_X)
#undef VS_X
        WORD_COUNT
} snapshot_word;

/* What of a string of the tape was written already. */
typedef struct {
    pickle_memo text;
    pickle_memo frames; /* the one frame that names it */
    uint32_t category;  /* ... as something of this category */
} snapshot_name;

/* A block while the events are walked: its last category, which is what it is for, and this. */
#define BLOCK_IS_PENDING 0x80u /* its free was requested */

typedef struct {
    const vs_timeline *tl;
    vs_arena *scratch;
    vs_pickle p;
    pickle_memo words[WORD_COUNT];
    pickle_memo categories[VS_CAT_COUNT];
    snapshot_name *names;  /* per string */
    uint8_t *block_states; /* per block */
    uint64_t epoch_ns;
    uint64_t
        events_before;    /* the first events, from before a recording: they have no entries */
    uint64_t entry_count; /* of all traces */
    uint64_t entry_bytes; /* their sizes, added up modulo 2^32 */
    uint64_t segment_count;
    uint32_t card_count;
    uint8_t cards[SNAPSHOT_CARDS_MAX];     /* ordinal -> memory of the tape */
    bool has_segments[SNAPSHOT_CARDS_MAX]; /* per ordinal */
} snapshot_writer;

/* About a segment that lies somewhere: totals of a trace make segments without an address. */
static inline bool snapshot_is_segment_event(const vs_timeline *tl, uint32_t event)
{
    return tl->event_kind[event] >= VS_EV_SEGMENT_ALLOC &&
           tl->event_kind[event] <= VS_EV_SEGMENT_UNMAP && tl->event_addr[event] != 0;
}

static inline uint8_t snapshot_category(const snapshot_writer *w, uint32_t block)
{
    return w->block_states[block] & (uint8_t)~BLOCK_IS_PENDING;
}

/* snapshot.c */
void snapshot_put_key(snapshot_writer *w, snapshot_word key);
void snapshot_put_word(snapshot_writer *w, snapshot_word word);
void snapshot_put_u64(snapshot_writer *w, snapshot_word key, uint64_t value);
/* "frames": one, which names the tensor of a block. */
void snapshot_put_frames(snapshot_writer *w, uint32_t name, uint8_t category);
/* What a block asked for: not more than it has. */
vs_bytes snapshot_request(const vs_timeline *tl, uint32_t block);
/* Where a block lies. Where the tape does not tell, a place that no other block has. */
uint64_t snapshot_address(const vs_timeline *tl, uint32_t block);

/* snapshot_state.c. Blocks have the state that the last event left them in. */
VS_MUST_CHECK bool snapshot_put_segments(snapshot_writer *w, vs_err *err);

/* snapshot_own.c */
void snapshot_put_own(snapshot_writer *w);

#endif /* VS_TRACES_WRITE_SNAPSHOT_H */
