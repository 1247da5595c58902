/* vramscope/replay.h - a recording run through our allocator, and what would have happened otherwise.
 *
 * The recorded requests of each device go through vs_pool (vramscope/pool.h); the driver below it answers from the recording:
 * it gives the segments and pages that were given then, at their addresses, and is out of memory where the real one was.
 * What our allocator then does is compared event by event with what was recorded
 * (specs/torch-caching-allocator.md [17]). "identical" is said only when everything comparable was equal and
 * no recorded decision had to be forced on our allocator.
 *
 * Everything lives in the arenas of the desc; no destructor. One thread. */
#ifndef VS_REPLAY_H
#define VS_REPLAY_H

#include "vramscope/pool.h"
#include "vramscope/trace.h"

typedef enum {
    VS_REPLAY_IDENTICAL,
    VS_REPLAY_DIFFERS,
    VS_REPLAY_NOT_COMPARABLE, /* `reason` says why */
    VS_REPLAY_WHAT_IF
} vs_replay_verdict;

const char *vs_replay_verdict_key(vs_replay_verdict verdict); /* "identical" */

typedef struct {
    vs_arena *keep;
    vs_arena *scratch;
    const vs_alloc_conf *conf; /* a what-if under these options; NULL: those of the recording */
    vs_bytes
        capacity_bytes; /* a what-if on a card of this total (cudaMemGetInfo); 0: as recorded */
    vs_bytes context_bytes; /* of the capacity, what is not the allocator's */
    vs_bytes limit_bytes;   /* what set_per_process_memory_fraction allowed; 0: not told */
    vs_tape *tape;          /* NULL: none is made */
    /* leave the tape alone unless every device can be followed to its end */
    bool is_tape_conditional;
} vs_replay_desc;

typedef enum {
    VS_REPLAY_ADDRESS, /* 0: none */
    VS_REPLAY_BYTES,
    VS_REPLAY_NUMBER
} vs_replay_unit;

typedef struct {
    uint32_t event;   /* in the device's list, its length: the lists at the end */
    const char *what; /* "address of an allocation" */
    vs_replay_unit unit;
    uint64_t recorded;
    uint64_t ours;
} vs_replay_difference;

/* The allocator now and then: fragmentation over time. */
typedef struct {
    uint32_t event;
    vs_ns time_ns;
    vs_bytes allocated;
    vs_bytes reserved;
} vs_replay_sample;

#define VS_REPLAY_SAMPLES 64u

typedef struct {
    uint32_t ordinal;
    uint64_t events;
    uint64_t allocations;
    uint64_t address_mismatches;
    uint64_t allocated_mismatches;
    uint64_t reserved_mismatches;
    uint64_t segment_mismatches;
    /* What the recording put right about the state before it: sizes of blocks other than the rule of [17.3] says, the place
     * of a request that was under way when it began, sums at snapshots that only such sizes explain; and re-anchored blocks. */
    uint64_t corrections;
    bool has_mismatch;
    vs_replay_difference first_mismatch;
    vs_bytes peak_allocated_bytes;
    vs_bytes peak_reserved_bytes;
    vs_bytes final_allocated_bytes;
    vs_bytes final_reserved_bytes;
    vs_bytes recorded_final_reserved_bytes;
    vs_bytes recorded_peak_reserved_bytes;
    uint64_t ooms;
    uint64_t recorded_ooms;
    uint64_t retries; /* num_alloc_retries, ours */
    /* before recording began */
    vs_bytes initial_reserved_bytes;
    vs_bytes initial_allocated_bytes;
    uint64_t initial_blocks;
    bool is_comparable;
    const char *reason; /* when not comparable, or "" */
    /* what-if */
    vs_bytes room_bytes;                 /* what the allocator could have had; 0: no limit */
    vs_bytes recorded_peak_so_far_bytes; /* reserved, of the events up to where it ran out */
    bool fits;
    uint32_t oom_event; /* where it would have run out; UINT32_MAX: nowhere */
    bool is_oom_before; /* already what was there before the recording does not fit */
    vs_oom_info oom;
    vs_bytes peak_unused_bytes; /* the most that was reserved and not allocated */
    uint32_t peak_event;        /* of reserved */
    uint32_t sample_count; /* after every (events / VS_REPLAY_SAMPLES)-th event, and the last */
    vs_replay_sample samples[VS_REPLAY_SAMPLES + 1u];
} vs_replay_device;

typedef struct {
    vs_replay_verdict verdict;
    const char *reason; /* NULL, or a sentence */
    bool has_tape;      /* it was written */
    uint32_t device_count;
    const vs_replay_device *devices;
    vs_bytes inferred_limit_bytes; /* worked out from the recording; 0: none was needed */
    uint32_t note_count;
    const char *const *notes;
} vs_replay_result;

VS_MUST_CHECK bool vs_replay_run(vs_replay_result *out, const vs_recording *rec,
                                 const vs_replay_desc *desc, vs_err *err);

/* Any file that vs_trace_detect knows as a timeline: a tape is opened, a recording is read and replayed. */
typedef struct {
    vs_timeline timeline; /* vs_timeline_close when done */
    vs_trace_format format;
    uint32_t note_count; /* as of the recording, and of the replay that made the tape */
    const char *const *notes;
} vs_opened_trace;

VS_MUST_CHECK bool vs_trace_open(vs_opened_trace *out, const char *path,
                                 const vs_read_desc *desc, vs_err *err);

#endif /* VS_REPLAY_H */
