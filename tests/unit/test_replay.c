/* Recordings made up by hand: what stands in them is what PyTorch would have done, and so must come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "vramscope/replay.h"

#define BASE UINT64_C(0x7f0000000000)
#define A    (BASE)
#define B    (BASE + 9 * VS_MIB)
#define NEXT (BASE + 64 * VS_MIB)

#define EVENT(what, where, bytes)                                                              \
    {                                                                                          \
        .addr = (where), .size = (bytes), .stack = VS_REC_NO_STACK, .action = (uint8_t)(what)  \
    }
#define BLOCK(where, bytes, is)                                                                \
    {                                                                                          \
        .addr = (where), .size = (bytes), .requested = (bytes), .stack = VS_REC_NO_STACK,      \
        .state = (uint8_t)(is)                                                                 \
    }

typedef struct {
    const vs_rec_event *events;
    uint32_t event_count;
    const vs_rec_segment *segments;
    uint32_t segment_count;
    const vs_rec_block *blocks;
    uint32_t block_count;
    const char *alloc_conf;
} given;

static vs_replay_result replay(scratch *s, const given *g, vs_replay_desc desc)
{
    static const uint64_t handles[] = {0, 1000};
    static const vs_rec_pool_id pools[] = {{0, 0}};
    static const uint32_t offset = 0;
    const vs_rec_device dev = {.event_count = g->event_count,
                               .events = g->events,
                               .segments = g->segments,
                               .segment_count = g->segment_count,
                               .has_segments = true,
                               .name = ""};
    const vs_recording rec = {.format = VS_TRACE_SNAPSHOT,
                              .path = "",
                              .made_by = "",
                              .device_count = 1,
                              .devices = &dev,
                              .block_count = g->block_count,
                              .blocks = g->blocks,
                              .stream_count = 2,
                              .streams = handles,
                              .pool_count = 1,
                              .pools = pools,
                              .alloc_conf = g->alloc_conf,
                              .string_count = 1,
                              .string_offset = &offset,
                              .string_bytes = ""};
    vs_replay_result result = {0};
    vs_err err = {0};
    vs_arena second = {0};
    assert_true(vs_arena_open(&second, 64 * VS_MIB, &err));
    desc.keep = &s->arena;
    desc.scratch = &second;
    if (!vs_replay_run(&result, &rec, &desc, &err)) {
        fail_msg("%s", err.text);
    }
    vs_arena_close(&second);
    return result;
}

static void expect_identical(scratch *s, const given *g)
{
    const vs_replay_result result = replay(s, g, (vs_replay_desc){0});
    const vs_replay_device *d = &result.devices[0];
    if (result.verdict != VS_REPLAY_IDENTICAL) {
        fail_msg("%s; first difference at event %u, %s: %" PRIx64 ", ours %" PRIx64,
                 result.reason != NULL ? result.reason : d->reason, d->first_mismatch.event,
                 d->first_mismatch.what, d->first_mismatch.recorded, d->first_mismatch.ours);
    }
}

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))
#define GIVEN(e, s, b)                                                                         \
    {                                                                                          \
        .events = (e), .event_count = COUNT(e), .segments = (s), .segment_count = COUNT(s),    \
        .blocks = (b), .block_count = COUNT(b)                                                 \
    }

/* The free was asked for, its events were not over: the request missed, the driver had nothing, and waiting came too late,
 * since nobody searches again [5]. In the recording the free stands there as if it had been done at once. */
static void a_free_that_completes_in_the_retry_serves_nobody(void **state)
{
    static const vs_rec_event events[] = {
        EVENT(VS_REC_SEGMENT_ALLOC, A, 20 * VS_MIB),
        EVENT(VS_REC_ALLOC, A, 9 * VS_MIB),
        EVENT(VS_REC_ALLOC, B, 9 * VS_MIB),
        EVENT(VS_REC_FREE_REQUESTED, A, 9 * VS_MIB),
        EVENT(VS_REC_FREE_COMPLETED, A, 9 * VS_MIB),
        EVENT(VS_REC_OOM, 10 * VS_MIB, 9 * VS_MIB),
        EVENT(VS_REC_ALLOC, A, 9 * VS_MIB),
    };
    static const vs_rec_block blocks[] = {
        BLOCK(A, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B + 9 * VS_MIB, 2 * VS_MIB, VS_REC_BLOCK_INACTIVE),
    };
    static const vs_rec_segment segments[] = {{.addr = A,
                                               .total = 20 * VS_MIB,
                                               .allocated = 18 * VS_MIB,
                                               .active = 18 * VS_MIB,
                                               .block_count = 3}};
    const given g = GIVEN(events, segments, blocks);
    expect_identical(*state, &g);
}

/* The same, and the retry gets a segment for what it gives back of another pool. */
static void a_retry_that_gets_a_segment_leaves_the_late_free_alone(void **state)
{
    static const vs_rec_event events[] = {
        EVENT(VS_REC_SEGMENT_ALLOC, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_ALLOC, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_SEGMENT_ALLOC, A, 20 * VS_MIB),
        EVENT(VS_REC_ALLOC, A, 9 * VS_MIB),
        EVENT(VS_REC_ALLOC, B, 9 * VS_MIB),
        EVENT(VS_REC_FREE_REQUESTED, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_FREE_REQUESTED, A, 9 * VS_MIB),
        EVENT(VS_REC_FREE_COMPLETED, A, 9 * VS_MIB),
        EVENT(VS_REC_FREE_COMPLETED, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_SEGMENT_FREE, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_SEGMENT_ALLOC, NEXT, 20 * VS_MIB),
        EVENT(VS_REC_ALLOC, NEXT, 9 * VS_MIB - 1),
    };
    static const vs_rec_block blocks[] = {
        BLOCK(A, 9 * VS_MIB, VS_REC_BLOCK_INACTIVE),
        BLOCK(B, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B + 9 * VS_MIB, 2 * VS_MIB, VS_REC_BLOCK_INACTIVE),
        BLOCK(NEXT, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(NEXT + 9 * VS_MIB, 11 * VS_MIB, VS_REC_BLOCK_INACTIVE),
    };
    static const vs_rec_segment segments[] = {
        {.addr = A,
         .total = 20 * VS_MIB,
         .allocated = 9 * VS_MIB,
         .active = 9 * VS_MIB,
         .block_count = 3},
        {.addr = NEXT,
         .total = 20 * VS_MIB,
         .allocated = 9 * VS_MIB,
         .active = 9 * VS_MIB,
         .block_first = 3,
         .block_count = 2},
    };
    const given g = GIVEN(events, segments, blocks);
    expect_identical(*state, &g);
}

/* A card too small for what was there, one that is just large enough, and a limit to the byte. */
static void a_what_if_counts_what_was_there_before(void **state)
{
    static const vs_rec_event events[] = {EVENT(VS_REC_ALLOC, B, 9 * VS_MIB)};
    static const vs_rec_block blocks[] = {
        BLOCK(A, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B + 9 * VS_MIB, 2 * VS_MIB, VS_REC_BLOCK_INACTIVE),
    };
    static const vs_rec_segment segments[] = {{.addr = A,
                                               .total = 20 * VS_MIB,
                                               .allocated = 18 * VS_MIB,
                                               .active = 18 * VS_MIB,
                                               .block_count = 3}};
    const given g = GIVEN(events, segments, blocks);
    expect_identical(*state, &g);
    vs_replay_result result =
        replay(*state, &g, (vs_replay_desc){.capacity_bytes = 20 * VS_MIB - 1});
    assert_false(result.devices[0].fits);
    assert_true(result.devices[0].is_oom_before);
    assert_int_equal(result.devices[0].recorded_peak_so_far_bytes, 20 * VS_MIB);
    result = replay(*state, &g, (vs_replay_desc){.capacity_bytes = 20 * VS_MIB});
    assert_true(result.devices[0].fits);
    result = replay(
        *state, &g,
        (vs_replay_desc){.capacity_bytes = 1000003 * VS_KIB, .limit_bytes = 20 * VS_MIB});
    assert_true(result.devices[0].fits);
    result = replay(
        *state, &g,
        (vs_replay_desc){.capacity_bytes = 1000003 * VS_KIB, .limit_bytes = 20 * VS_MIB - 1});
    assert_false(result.devices[0].fits);
}

/* Nothing of it was ever allocated, in memory that came during the recording. */
static void a_free_of_what_never_was_is_a_difference_where_it_stands(void **state)
{
    static const vs_rec_event events[] = {
        EVENT(VS_REC_SEGMENT_ALLOC, A, 20 * VS_MIB),
        EVENT(VS_REC_ALLOC, A, 9 * VS_MIB),
        EVENT(VS_REC_FREE_REQUESTED, B, 9 * VS_MIB),
        EVENT(VS_REC_FREE_COMPLETED, B, 9 * VS_MIB),
    };
    static const vs_rec_block blocks[] = {
        BLOCK(A, 9 * VS_MIB, VS_REC_BLOCK_ACTIVE),
        BLOCK(B, 11 * VS_MIB, VS_REC_BLOCK_INACTIVE),
    };
    static const vs_rec_segment segments[] = {{.addr = A,
                                               .total = 20 * VS_MIB,
                                               .allocated = 9 * VS_MIB,
                                               .active = 9 * VS_MIB,
                                               .block_count = 2}};
    const given g = GIVEN(events, segments, blocks);
    const vs_replay_result result = replay(*state, &g, (vs_replay_desc){0});
    assert_int_equal(result.verdict, VS_REPLAY_DIFFERS);
    assert_int_equal(result.devices[0].first_mismatch.event, 2);
    assert_int_equal(result.devices[0].first_mismatch.unit, VS_REPLAY_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_free_that_completes_in_the_retry_serves_nobody,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_retry_that_gets_a_segment_leaves_the_late_free_alone,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_what_if_counts_what_was_there_before, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(
            a_free_of_what_never_was_is_a_difference_where_it_stands, scratch_open,
            scratch_close),
    };
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
