/* tests/unit/test_recording_tape.c - recordings put on a tape without a replay. */
#include "tests/support/trace_text.h"

#define RMM "Thread,Time,Action,Pointer,Size,Stream\n"

static void frees_of_addresses_never_seen_tell_what_was_there(void **state)
{
    trace_text *t = *state;
    (void)trace_text_read(t, read_rmm,
                          RMM "1,10:00:01,allocate,0x100,16,0\n1,10:00:02,free,0x200,32,0\n"
                              "1,10:00:03,free,0x100,16,0\n1,10:00:04,free,0x100,16,0\n");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(tl->block_count, 2);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 0), 48);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 1000000000), 16);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, UINT64_MAX), 0);
    assert_string_equal(vs_timeline_string(tl, tl->blocks[0].name), "before the recording");
    assert_true(trace_text_tape_notes(tl, "block is not there: 1"));
}

static void an_address_given_out_twice_ends_the_older_block(void **state)
{
    trace_text *t = *state;
    (void)trace_text_read(t, read_rmm,
                          RMM "1,10:00:01,allocate,0x100,16,0\n1,10:00:02,allocate,0x100,32,0\n"
                              "1,10:00:03,free,0x100,64,0\n");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(tl->block_count, 2);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), 32);
    assert_true(trace_text_tape_notes(tl, "the older block ends: 1"));
    assert_true(trace_text_tape_notes(tl, "the allocation did: 1"));
}

static void without_addresses_the_youngest_of_a_size_goes_first(void **state)
{
    trace_text *t = *state;
    (void)trace_text_read(t, read_timeline,
                          "[[1,2,16,0],[2,2,16,0],[3,2,16,1],[4,4,-16,0],[5,4,-16,0],"
                          "[6,4,-16,0]]");
    const vs_timeline *tl = trace_text_tape(t);
    /* the third free of that category is of a block from before; the other category's stays */
    assert_int_equal(tl->block_count, 4);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 0), 32);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, UINT64_MAX), 16);
    assert_int_equal(tl->blocks[2].dead_event, 4);
    assert_true(trace_text_tape_notes(tl, "the youngest is taken to go first"));
}

/* ---- recordings made by hand ------------------------------------------------------------------- */

static const uint64_t no_stream[1] = {0};
static const vs_rec_pool_id no_pool[1] = {{0, 0}};
static const uint32_t string_offsets[] = {0, 1, 7};

static vs_recording recording_of(vs_rec_device *device, vs_trace_format format)
{
    return (vs_recording){.format = format,
                          .path = "",
                          .made_by = "",
                          .has_time = true,
                          .device_count = 1,
                          .devices = device,
                          .stream_count = 1,
                          .streams = no_stream,
                          .pool_count = 1,
                          .pools = no_pool,
                          .string_count = 3,
                          .string_offset = string_offsets,
                          .string_bytes = "\0START\0step"};
}

#define AT(t, what, where, bytes)                                                              \
    {                                                                                          \
        .time_ns = (t), .action = (what), .addr = (where), .size = (bytes),                    \
        .stack = VS_REC_NO_STACK, .category = VS_CAT_TENSOR                                    \
    }

/* Two segments and three blocks at the end; the history knows one of each. */
static void final_segments_tell_what_was_there(void **state)
{
    trace_text *t = *state;
    static const vs_rec_event events[] = {
        AT(10, VS_REC_SEGMENT_ALLOC, 0x20000, 4096),
        AT(10, VS_REC_ALLOC, 0x20000, 1000),
        AT(20, VS_REC_FREE_REQUESTED, 0x10000, 512),
        AT(30, VS_REC_FREE_COMPLETED, 0x10000, 512),
        AT(40, VS_REC_SEGMENT_FREE, 0x30000, 2048),
    };
    static const vs_rec_block blocks[] = {
        {.addr = 0x10000, .size = 512, .state = VS_REC_BLOCK_INACTIVE},
        {.addr = 0x10200, .size = 1024, .requested = 600, .state = VS_REC_BLOCK_ACTIVE},
        {.addr = 0x20000, .size = 1024, .requested = 1000, .state = VS_REC_BLOCK_ACTIVE},
    };
    static const vs_rec_segment segments[] = {
        {.addr = 0x10000, .total = 2048, .block_first = 0, .block_count = 2},
        {.addr = 0x20000, .total = 4096, .block_first = 2, .block_count = 1},
    };
    vs_rec_device device = {.event_count = 5,
                            .events = events,
                            .segments = segments,
                            .segment_count = 2,
                            .has_segments = true,
                            .name = ""};
    t->rec = recording_of(&device, VS_TRACE_SNAPSHOT);
    t->rec.block_count = 3;
    t->rec.blocks = blocks;
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 0), 4096);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 10), 8192);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 40), 6144);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 0), 1536);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 10), 2560); /* 1000 is 1024 */
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 20), 2048);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_TENSORS, 40), 2048);
    assert_int_equal(trace_text_count(tl, VS_EV_FREE_REQUESTED), 1);
    assert_string_equal(vs_timeline_string(tl, tl->devices[0].name), "GPU 0");
    assert_false(trace_text_tape_notes(tl, ""));
}

/* Device memory of a program, nothing known of what is in it: reserved, and held. */
static void segments_alone_are_shown_as_held(void **state)
{
    trace_text *t = *state;
    static const vs_rec_event events[] = {
        AT(0, VS_REC_SEGMENT_ALLOC, 0x1000, 4096),
        AT(5, VS_REC_SEGMENT_FREE, 0x9000, 512),
        AT(6, VS_REC_SEGMENT_FREE, 0x1000, 4096),
    };
    vs_rec_device device = {.event_count = 3, .events = events, .name = ""};
    t->rec = recording_of(&device, VS_TRACE_NSYS);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 0), 4608);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 0), 4608);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 6), 0);
    assert_true(trace_text_tape_notes(tl, "shown as held"));
    device.is_host = true;
    const vs_timeline *host = trace_text_tape(t);
    assert_int_equal(trace_text_at(host, 0, VS_TRACK_USED, 0), 4608);
    assert_int_equal(trace_text_at(host, 0, VS_TRACK_USED, 6), 0);
}

static void more_held_than_reserved_is_put_right(void **state)
{
    trace_text *t = *state;
    static const vs_rec_event events[] = {
        AT(0, VS_REC_SEGMENT_ALLOC, 0x1000, 1024),
        AT(1, VS_REC_ALLOC, 0x1000, 4096),
        AT(2, VS_REC_SEGMENT_FREE, 0x1000, 1024),
    };
    vs_rec_device device = {.event_count = 3, .events = events, .name = ""};
    t->rec = recording_of(&device, VS_TRACE_RECORDER);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 2), 4096);
    assert_true(trace_text_tape_notes(tl, "as large as they are: 2"));
}

/* A sample of what everybody uses, beside blocks of this program: the rest is other. */
static void samples_beside_blocks_are_what_others_use(void **state)
{
    trace_text *t = *state;
    static const vs_rec_event events[] = {
        AT(0, VS_REC_ALLOC, 0x1000, 1000),
        {.time_ns = 1, .action = VS_REC_LEVEL, .size = 1700, .category = VS_CAT_OTHER},
        {.time_ns = 2, .action = VS_REC_LEVEL, .size = 900, .category = VS_CAT_OTHER},
        {.time_ns = 3, .action = VS_REC_LEVEL, .size = 900, .category = VS_CAT_TENSOR},
        {.time_ns = 4, .action = VS_REC_MARK, .label = 2},
    };
    vs_rec_device device = {.event_count = 5, .events = events, .name = "card"};
    static const vs_rec_annotation step = {.time_ns = 2, .name = 2, .stage = 1};
    t->rec = recording_of(&device, VS_TRACE_RECORDER);
    t->rec.annotation_count = 1;
    t->rec.annotations = &step;
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 1), 1700);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 2), 1000);
    assert_true(trace_text_tape_notes(tl, "known by blocks: 1"));
    assert_int_equal(trace_text_count(tl, VS_EV_PHASE), 1);
    assert_int_equal(trace_text_count(tl, VS_EV_MARK), 1);
    assert_string_equal(vs_timeline_string(tl, tl->event_name[tl->event_count - 1]), "step");
}

static void sums_beyond_any_memory_are_refused(void **state)
{
    trace_text *t = *state;
    static const vs_rec_event events[] = {
        AT(0, VS_REC_ALLOC, 0x1000, (uint64_t)1 << 60),
        AT(1, VS_REC_ALLOC, 0x2000, (uint64_t)1 << 60),
    };
    vs_rec_device device = {.event_count = 2, .events = events, .name = ""};
    vs_err err = {0};
    t->rec = recording_of(&device, VS_TRACE_RECORDER);
    vs_tape *tape = vs_tape_new(&t->keep, NULL);
    assert_non_null(tape);
    assert_false(vs_recording_to_tape(&t->rec, tape, &t->scratch, &err));
    assert_int_equal(err.code, VS_ERR_LIMIT);
    t->rec.device_count = 0;
    err = (vs_err){0};
    assert_false(vs_recording_to_tape(&t->rec, tape, &t->scratch, &err));
    assert_int_equal(err.code, VS_ERR_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(frees_of_addresses_never_seen_tell_what_was_there),
        WITH_TEXT(an_address_given_out_twice_ends_the_older_block),
        WITH_TEXT(without_addresses_the_youngest_of_a_size_goes_first),
        WITH_TEXT(final_segments_tell_what_was_there),
        WITH_TEXT(segments_alone_are_shown_as_held),
        WITH_TEXT(more_held_than_reserved_is_put_right),
        WITH_TEXT(samples_beside_blocks_are_what_others_use),
        WITH_TEXT(sums_beyond_any_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
