/* traces/replay/internal.h - what the files of the replay share and nobody else sees.
 *
 *   initial.c   what existed before the recording began
 *   seed.c      and how it becomes a state of our allocator
 *   blockmap.c  address -> block
 *   driver.c    the driver that answers from the recording
 *   step.c      one device, event by event, against the recording
 *   final.c     the lists of segments and blocks at the end, compared
 *   what_if.c   the same requests on another card or under other options
 *   labels.c    names of blocks, from metadata and stacks
 *   replay.c    devices side by side, verdicts, the limit that a recording does not tell
 *   open.c      any file as a timeline
 *
 * Sections in brackets: specs/torch-caching-allocator.md. */
#ifndef VS_REPLAY_INTERNAL_H
#define VS_REPLAY_INTERNAL_H

#include "vramscope/replay.h"

/* No size of a real recording reaches it; sums of 2^22 of them do not overflow. */
#define REPLAY_MAX_SIZE (UINT64_C(1) << 41)
#define REPLAY_NO_EVENT UINT32_MAX
#define REPLAY_SLACK    (1 * VS_MIB) /* [4.1]: more is split off in the large pool */

/* ---- address -> block: blockmap.c -------------------------------------------------------- */

typedef struct {
    uint64_t addr;
    uint32_t
        block; /* vs_block.id, or whatever the user of the map keeps; 0: the place is empty */
    uint32_t birth; /* event or BIRTH_INITIAL, and BIRTH_PENDING */
} blockmap_entry;

#define BIRTH_PENDING UINT32_C(0x80000000) /* its free was requested */
#define BIRTH_INITIAL UINT32_C(0x7fffffff) /* before the recording */

/* Open addressing, linear probing, no tombstones. */
typedef struct {
    vs_arena *arena;
    blockmap_entry *entries;
    uint32_t mask;
    uint32_t count;
    unsigned shift;
} blockmap;

VS_MUST_CHECK bool blockmap_init(blockmap *map, vs_arena *arena, uint32_t expected);
/* NULL: not there. Valid until the next insertion or removal. */
blockmap_entry *blockmap_find(const blockmap *map, uint64_t addr);
/* Replaces what was there. False when the arena is exhausted. */
VS_MUST_CHECK bool blockmap_put(blockmap *map, uint64_t addr, uint32_t block, uint32_t birth);
void blockmap_remove(blockmap *map, blockmap_entry *entry);

/* ---- before the recording: initial.c --------------------------------------------------------- */

typedef struct {
    uint64_t addr;
    vs_bytes asked;
    vs_bytes size; /* 0: only its request is known */
    uint32_t stack;
    vs_bytes most; /* size 0: it is anything from the rounded request to this; 0: it is that */
    uint32_t freed_at; /* event that completes its free; UINT32_MAX: none does */
    bool is_pending;
} initial_block;

typedef struct {
    uint64_t addr;
    vs_bytes size;
    uint32_t block_first; /* into blocks */
    uint32_t block_count;
    uint32_t run_first; /* expandable: mapped runs of the range, into runs */
    uint32_t run_count;
    uint16_t stream;
    uint16_t pool;
    bool is_small;
    bool is_expandable;
} initial_segment;

typedef struct {
    uint64_t addr;
    vs_bytes size;
    uint32_t event; /* that unmapped it; UINT32_MAX: it is there at the end */
    uint16_t stream;
    uint16_t pool;
    bool is_small;
} initial_run;

/* Read off a recorded address: the true size of a block from before the recording. */
typedef struct {
    uint64_t addr;
    vs_bytes size;
} size_correction;

#define MAX_CORRECTIONS 64u

typedef struct {
    initial_segment *segments; /* by address */
    uint32_t segment_count;
    initial_block *blocks; /* by address */
    uint32_t block_count;
    initial_run *runs;
    uint32_t run_count;
    vs_bytes large_page_bytes; /* [9.2], told to initial_find */
} initial_state;

/* False: *reason says why the recording cannot be compared, or err is set (memory). */
VS_MUST_CHECK bool initial_find(initial_state *out, const vs_recording *rec,
                                const vs_rec_device *dev, vs_arena *arena, const char **reason,
                                vs_err *err);

/* ---- names: labels.c ---- */

/* String ids of the tape, by label and by stack. */
typedef struct {
    uint32_t *of_label;
    uint32_t *of_stack;
} replay_labels;

VS_MUST_CHECK bool labels_make(replay_labels *out, const vs_recording *rec, vs_tape *tape,
                               vs_arena *arena, vs_err *err);

/* ---- one device ---------------------------------------------------------------------------------- */

typedef struct replay_device replay_device;

struct replay_device {
    const vs_recording *rec;
    const vs_rec_device *dev;
    const vs_rec_event *events;
    uint32_t event_count;
    uint32_t at; /* the next event nobody has dealt with */
    vs_arena *arena;
    vs_pool *pool;
    blockmap map;
    const uint64_t *stream_of;   /* by (stream index): rank among the handles */
    const replay_labels *labels; /* NULL: no tape */
    initial_state *initial;
    size_correction corrections[MAX_CORRECTIONS];
    uint32_t correction_count;
    uint32_t learned_count; /* sizes other than the rule's, read off the recording beforehand */
    bool has_learned;
    uint32_t doubts;     /* snapshot markers that unknown sizes explain */
    uint64_t last_doubt; /* recorded minus ours at the last of them, modulo 2^64 */
    bool wants_restart;
    bool stop_at_mismatch;
    bool is_lost; /* it cannot be followed any more */
    bool
        has_complained; /* about the request that is being replayed: one mismatch of a kind each */
    bool is_what_if;
    bool tells_request;        /* the recording has free_requested events */
    bool tells_completion;     /* the recording has free_completed events */
    vs_bytes large_page_bytes; /* [9.2] */
    vs_bytes max_split_bytes;  /* M [3] */
    vs_bytes page_done;        /* of the segment_map or segment_unmap at `at` */
    vs_ns now;
    vs_bytes
        limit_total; /* what the driver says the card has, when a limit is in force; else 0 */
    vs_bytes seen_reserved;
    uint32_t next_sample;
    uint8_t tape_device;
    vs_model_driver driver;     /* what-if */
    vs_bytes recorded_reserved; /* what-if: of the recording, now */
    vs_replay_device result;
    vs_err err;
};

static inline const vs_rec_event *replay_event(const replay_device *d, uint32_t at)
{
    return &d->events[at];
}

static inline bool replay_is(const replay_device *d, uint32_t at, vs_rec_action action)
{
    return at < d->event_count && d->events[at].action == (uint8_t)action;
}

/* Bytes that a driver event added, or took. */
static inline vs_bytes replay_gain(const vs_rec_event *event)
{
    return event->action == VS_REC_SEGMENT_ALLOC || event->action == VS_REC_SEGMENT_MAP
               ? event->size
               : 0;
}

static inline vs_bytes replay_loss(const vs_rec_event *event)
{
    return event->action == VS_REC_SEGMENT_FREE || event->action == VS_REC_SEGMENT_UNMAP
               ? event->size
               : 0;
}

/* step.c */
typedef enum {
    MISS_ADDRESS,
    MISS_ALLOCATED, /* bytes, and so on */
    MISS_BLOCKS,    /* counts as the one before */
    MISS_RESERVED,
    MISS_SEGMENT,      /* its address */
    MISS_SEGMENT_SIZE, /* counts as the one before */
    MISS_KINDS
} mismatch_kind;

void replay_mismatch(replay_device *d, mismatch_kind kind, uint32_t event, const char *what,
                     uint64_t recorded, uint64_t ours);
/* The pool's stream number of a recorded stream in a recorded pool. */
uint64_t replay_stream(const replay_device *d, uint16_t stream, uint16_t pool);
vs_pool_request replay_request(const replay_device *d, const vs_rec_event *event);
/* Puts what existed before the recording into the pool and the map. */
VS_MUST_CHECK bool replay_seed(replay_device *d);
/* Deals with the event at d->at and what belongs to it. */
void replay_step(replay_device *d);
/* The free that ends with this event. */
void replay_complete(replay_device *d, uint32_t event);

/* driver.c */
vs_driver replay_driver(replay_device *d);
bool replay_is_driver_event(const replay_device *d, uint32_t at);

/* final.c */
VS_MUST_CHECK bool replay_compare_end(replay_device *d, vs_arena *scratch);

/* what_if.c */
/* conf: gets the limit, if there is one. */
void what_if_start(replay_device *d, const vs_replay_desc *desc, vs_alloc_conf *conf);
VS_MUST_CHECK bool what_if_seed(replay_device *d);
void what_if_step(replay_device *d);

#endif /* VS_REPLAY_INTERNAL_H */
