/* traces/read/tape.h - what the files that put a recording on a tape share.
 *
 *   tape.c         all devices in the order of time; annotations, lanes, facts
 *   tape_before.c  what was there before a device's first event
 *   tape_device.c  what one event does
 *   tape_live.c    which blocks are there */
#ifndef VS_TRACES_TAPE_H
#define VS_TRACES_TAPE_H

#include "traces/read/tape_live.h"

#define MAKER_DEVICES_MAX 64u
#define MAKER_LEVELS_MAX  64u
#define MAKER_BYTES_MAX   ((uint64_t)1 << 60) /* of one memory, as a tape */

/* A block or segment from before the recording. */
typedef struct {
    vs_rec_event event; /* the free that tells of it, or made up from the list at the end */
    vs_bytes asked;
    bool is_segment;
} maker_initial;

typedef struct {
    uint32_t label;
    uint8_t category; /* as recorded */
    vs_bytes size;
} maker_level;

/* What did not fit together; each becomes a note. */
typedef struct {
    uint64_t unknown_frees;
    uint64_t missed_frees;  /* an address given out again while it was live */
    uint64_t other_sizes;   /* freed with another size than it had */
    uint64_t adjusted;      /* totals that blocks do not explain */
    uint64_t unexplained;   /* totals below what the blocks alone hold */
    uint64_t reserved_odd;  /* segments smaller than the blocks in them */
    uint64_t hidden_levels; /* levels of a category that has blocks */
    uint64_t folded_levels; /* rounding waste and reserved-free, shown as other */
} maker_counts;

typedef struct {
    const vs_rec_device *rec;
    uint8_t index;     /* of the tape's devices */
    bool has_segments; /* its tape has reserved memory */
    bool is_covered;   /* segments without any block: what is in them is not told */
    bool has_totals;
    live_set live;
    vs_rows initial;           /* maker_initial */
    uint32_t block_categories; /* bit c: blocks of category c */
    vs_bytes held;             /* live blocks */
    vs_bytes allocated;        /* of those, the ones whose free was not requested */
    vs_bytes reserved;
    vs_bytes
        first_reserved;  /* before the first event, what initial does not explain included */
    vs_bytes first_rest; /* the same for blocks */
    vs_bytes rest;       /* a block for what totals hold and no event explains */
    uint32_t rest_block;
    uint32_t level_count;
    maker_level levels[MAKER_LEVELS_MAX];
    maker_counts counts;
    uint32_t next; /* event */
    vs_ns last_ns;
} maker_device;

typedef struct {
    const vs_recording *rec;
    vs_tape *tape;
    vs_arena *scratch;
    maker_device *devices;
    uint32_t *names; /* of the tape, by string id of the recording; 0: not there yet */
    uint32_t before_name;
    vs_ns now;
    uint32_t note_count;
} maker;

/* Goes through the events once and finds what must have been there. */
VS_MUST_CHECK bool maker_look_before(maker *m, maker_device *d, vs_err *err);
/* Puts that on the tape. */
VS_MUST_CHECK bool maker_put_before(maker *m, maker_device *d, vs_err *err);
VS_MUST_CHECK bool maker_put_event(maker *m, maker_device *d, const vs_rec_event *event,
                                   const vs_rec_totals *totals, vs_err *err);
uint32_t maker_name(maker *m, uint32_t label);

/* ---- tape_device.c, for tape_before.c ---- */

/* Reserved grows or shrinks to target, but never below what is held. */
void maker_set_reserved(maker *m, maker_device *d, vs_bytes target);
void maker_put_segment(maker *m, maker_device *d, uint64_t addr, vs_bytes size);
VS_MUST_CHECK bool maker_put_block(maker *m, maker_device *d, const vs_rec_event *event,
                                   vs_bytes asked, uint32_t name, vs_err *err);
/* The block for the rest is size bytes from now on. */
VS_MUST_CHECK bool maker_set_rest(maker *m, maker_device *d, vs_bytes size, vs_err *err);
/* Bytes that a block takes, of which an event tells the size. */
vs_bytes maker_block_bytes(const maker *m, const maker_device *d, const vs_rec_event *event);
/* What a block is on the tape: categories that the tape works out itself are not taken. */
uint8_t maker_category(const maker_device *d, const vs_rec_event *event);
/* What an event means for the blocks of this device: segments may stand for them. */
vs_rec_action maker_action(const maker_device *d, const vs_rec_event *event);

#endif /* VS_TRACES_TAPE_H */
