/* tests/support/recorded.h - recordings whose truth is known: a random program on our allocator, written down as PyTorch would. */
#ifndef TESTS_SUPPORT_RECORDED_H
#define TESTS_SUPPORT_RECORDED_H

#include "vramscope/replay.h"

typedef struct {
    uint64_t seed;
    uint32_t operations;
    const char *alloc_conf;
    vs_bytes capacity_bytes;
    vs_bytes limit_bytes;  /* 0: none */
    vs_bytes target_bytes; /* live bytes that the program grows to; about */
    uint32_t stream_count;
    bool has_foreign_uses; /* record_stream */
    bool empties_cache;
    bool
        has_private_pool; /* every fifth request goes there; its events do not say so, as before 2.12 */
    bool
        reuses_addresses; /* the driver gives the lowest addresses that are free, as the real one does more or less */
    uint32_t marker_every; /* a snapshot marker after so many events; 0: none */
    uint32_t skip;         /* events at the beginning that the recording lacks */
    uint32_t cut; /* events at the end that it lacks, while the final list has what they did */
} recorded_desc;

/* What really was at the beginning of the recording. */
typedef struct {
    vs_recording recording;
    uint32_t events_in_all;
    vs_bytes reserved_at_start;
    uint32_t ooms;
    uint32_t retries;
} recorded;

/* Everything in the arena; fails the test when anything goes wrong. */
void recorded_make(recorded *out, const recorded_desc *desc, vs_arena *arena);

#endif /* TESTS_SUPPORT_RECORDED_H */
