/* tests/unit/test_snapshot_write.c - traces/write/snapshot*.c: what a snapshot says of a tape, read back as a recording. */
#include "vramscope/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define BASE UINT64_C(0x7f0000000000)

typedef struct {
    scratch *s;
    vs_arena work;
    vs_tape *tape;
    uint8_t gpu;
    uint8_t host;
    vs_ns now;
    vs_recording rec;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    void *inner = NULL;
    if (f == NULL) {
        return 1;
    }
    *state = f;
    const int status = scratch_open(&inner);
    f->s = inner;
    if (status != 0 || !vs_arena_open(&f->work, 256 * VS_MIB, NULL)) {
        return 1;
    }
    f->tape = vs_tape_new(&f->s->arena, NULL);
    f->gpu = vs_tape_add_device(f->tape, VS_DEVICE_GPU, "card", 24 * VS_GIB);
    f->host = vs_tape_add_device(f->tape, VS_DEVICE_HOST, "desktop", 64 * VS_GIB);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    void *inner = f->s;
    (void)scratch_close(&inner);
    vs_arena_close(&f->work);
    free(f);
    return 0;
}

static void put(fixture *f, vs_event event)
{
    event.time_ns = f->now;
    f->now += 1500;
    vs_tape_event(f->tape, &event);
}

static void put_segment(fixture *f, vs_event_kind kind, uint64_t offset, vs_bytes size)
{
    put(f, (vs_event){.kind = (uint8_t)kind, .addr = BASE + offset, .size_bytes = size});
}

static uint32_t put_alloc(fixture *f, uint8_t device, uint64_t addr, vs_bytes asked,
                          vs_bytes size)
{
    const uint32_t block = vs_tape_new_block(f->tape);
    put(f, (vs_event){.kind = VS_EV_ALLOC,
                      .device = device,
                      .addr = addr,
                      .block = block,
                      .asked_bytes = asked,
                      .size_bytes = size,
                      .name = vs_tape_string(f->tape, vs_str_of("embed")),
                      .category = VS_CAT_W_16});
    return block;
}

static void put_of_block(fixture *f, vs_event_kind kind, uint32_t block)
{
    put(f, (vs_event){.kind = (uint8_t)kind, .device = f->gpu, .block = block});
}

/* Seals, writes, reads. */
static const vs_recording *recorded(fixture *f)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    const char *path = scratch_path(f->s, "x.pickle");
    const vs_read_desc desc = {.keep = &f->s->arena, .scratch = &f->work};
    if (!vs_tape_seal(f->tape, &tl, &err) ||
        !vs_trace_write_snapshot(&tl, path, &f->work, &err) ||
        !vs_recording_read(&f->rec, path, &desc, &err)) {
        scratch_fail(&err);
    }
    assert_int_equal(f->work.used_bytes, 0);
    return &f->rec;
}

static void assert_actions(const vs_recording *rec, uint32_t device, const char *const *wanted,
                           uint32_t count)
{
    assert_true(device < rec->device_count);
    const vs_rec_device *d = &rec->devices[device];
    assert_int_equal(d->event_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(vs_rec_action_key((vs_rec_action)d->events[i].action), wanted[i]);
    }
}

#define ASSERT_ACTIONS(rec, device, ...)                                                       \
    do {                                                                                       \
        static const char *const wanted[] = {__VA_ARGS__};                                     \
        assert_actions((rec), (device), wanted, sizeof wanted / sizeof wanted[0]);             \
    } while (0)

static void a_free_without_a_request_is_both_at_once(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    put_of_block(f, VS_EV_FREE, put_alloc(f, f->gpu, BASE, 700, 1024));
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "segment_alloc", "alloc", "free_requested", "free_completed");
    const vs_rec_event *e = rec->devices[0].events;
    assert_int_equal(e[1].size, 700);
    assert_int_equal(e[1].addr, BASE);
    assert_int_equal(e[3].size, 700);
    assert_int_equal(e[2].time_ns, 3000); /* microseconds: 1500 ns became 1 us */
    assert_string_equal(vs_recording_string(rec, e[1].label), "embed");
    assert_true(e[1].stack == e[3].stack && e[1].stack != VS_REC_NO_STACK);
}

static void a_pending_block_is_pending_in_its_segment(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    const uint32_t first = put_alloc(f, f->gpu, BASE + 1024, 700, 1024);
    (void)put_alloc(f, f->gpu, BASE + 4096, 512, 512);
    put_of_block(f, VS_EV_FREE_REQUESTED, first);
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "segment_alloc", "alloc", "alloc", "free_requested");
    assert_int_equal(rec->devices[0].segment_count, 1);
    const vs_rec_segment *segment = &rec->devices[0].segments[0];
    const vs_rec_block *blocks = rec->blocks + segment->block_first;
    static const vs_bytes sizes[] = {1024, 1024, 2048, 512, 2 * VS_MIB - 4608};
    static const uint8_t states[] = {VS_REC_BLOCK_INACTIVE, VS_REC_BLOCK_PENDING,
                                     VS_REC_BLOCK_INACTIVE, VS_REC_BLOCK_ACTIVE,
                                     VS_REC_BLOCK_INACTIVE};
    assert_int_equal(segment->block_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(blocks[i].size, sizes[i]);
        assert_int_equal(blocks[i].state, states[i]);
    }
    assert_int_equal(segment->allocated, 512);
    assert_int_equal(segment->active, 1536);
    assert_int_equal(segment->requested, 700 + 512);
    assert_true(segment->is_small);
}

static void mapped_pages_that_follow_each_other_are_one_segment(void **state)
{
    fixture *f = *state;
    const vs_bytes page = 20 * VS_MIB;
    put_segment(f, VS_EV_SEGMENT_MAP, page, 2 * page);
    put_segment(f, VS_EV_SEGMENT_MAP, 0, page);
    put_segment(f, VS_EV_SEGMENT_MAP, 3 * page, page);
    put_segment(f, VS_EV_SEGMENT_UNMAP, 2 * page, page);
    put_segment(f, VS_EV_SEGMENT_ALLOC, 4 * page, page); /* next to it, but no part of it */
    const vs_recording *rec = recorded(f);
    const vs_rec_segment *s = rec->devices[0].segments;
    assert_int_equal(rec->devices[0].segment_count, 3);
    assert_int_equal(s[0].addr, BASE);
    assert_int_equal(s[0].total, 2 * page);
    assert_true(s[0].is_expandable);
    assert_int_equal(s[1].addr, BASE + 3 * page);
    assert_int_equal(s[1].total, page);
    assert_true(s[1].is_expandable);
    assert_int_equal(s[2].addr, BASE + 4 * page);
    assert_false(s[2].is_expandable);
    assert_true(rec->has_settings && rec->expandable_segments);
}

static void what_was_given_back_and_taken_again_is_there_once(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < 7; i++) {
        put_segment(f, VS_EV_SEGMENT_ALLOC, 0, (i + 1) * VS_MIB);
        put_segment(f, VS_EV_SEGMENT_FREE, 0, (i + 1) * VS_MIB);
    }
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 3 * VS_MIB);
    const vs_recording *rec = recorded(f);
    assert_int_equal(rec->devices[0].segment_count, 1);
    assert_int_equal(rec->devices[0].segments[0].total, 3 * VS_MIB);
}

static void a_card_without_segments_gets_one_around_each_block(void **state)
{
    fixture *f = *state;
    const uint32_t first = put_alloc(f, f->gpu, 0, 100, 512); /* the tape has no address */
    const uint32_t second = put_alloc(f, f->gpu, 0, 100, 512);
    (void)put_alloc(f, f->gpu, 0, 0, 0); /* no bytes: nothing to show */
    put_of_block(f, VS_EV_FREE, first);
    (void)second;
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "segment_alloc", "alloc", "segment_alloc", "alloc", "free_requested",
                   "free_completed", "segment_free");
    assert_int_equal(rec->devices[0].segment_count, 1);
    assert_int_equal(rec->devices[0].segments[0].addr, rec->devices[0].events[3].addr);
    assert_true(rec->devices[0].events[1].addr != rec->devices[0].events[3].addr);
    assert_int_equal(rec->blocks[rec->devices[0].segments[0].block_first].size, 512);
}

static void what_was_there_before_a_recording_has_no_entries(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    const uint32_t first = put_alloc(f, f->gpu, BASE, 512, 512);
    const uint32_t pending = put_alloc(f, f->gpu, BASE + 512, 512, 512);
    (void)put_alloc(f, f->gpu, BASE + 1024, 512, 512);
    put_of_block(f, VS_EV_FREE_REQUESTED, pending);
    vs_tape_recording_begins(f->tape);
    put_of_block(f, VS_EV_FREE, pending);
    put_of_block(f, VS_EV_FREE, first);
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "free_completed", "free_requested", "free_completed");
    assert_int_equal(rec->devices[0].segment_count, 1);
    assert_int_equal(rec->devices[0].segments[0].allocated, 512);
    assert_string_equal(vs_timeline_meta(rec->own, "events_before"), "5");
}

static void segments_that_lie_nowhere_are_left_out(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_SEGMENT_ALLOC, .size_bytes = 2 * VS_MIB}); /* from totals */
    (void)put_alloc(f, f->gpu, BASE, 100, 512);
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "segment_alloc", "alloc");
    assert_int_equal(rec->devices[0].events[0].addr, BASE);
    assert_int_equal(rec->devices[0].events[0].size, 512);
    assert_int_equal(rec->devices[0].segment_count, 1);
}

static void a_block_is_named_by_what_it_is_for_in_the_end(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    const uint32_t block = put_alloc(f, f->gpu, BASE, 700, 1024);
    put(f, (vs_event){.kind = VS_EV_RECAT, .block = block, .category = VS_CAT_Q_4BIT});
    put_of_block(f, VS_EV_FREE, block);
    const vs_recording *rec = recorded(f);
    for (uint32_t i = 1; i < 4; i++) {
        const uint32_t stack = rec->devices[0].events[i].stack;
        const vs_rec_frame *frame = &rec->frames[rec->stack_frames[rec->stack_first[stack]]];
        assert_string_equal(vs_recording_string(rec, frame->file), "q_4bit");
        assert_string_equal(vs_recording_string(rec, frame->function), "embed");
        assert_int_equal(frame->line, 0);
    }
}

static void running_out_of_memory_tells_what_was_free_and_asked(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_OOM,
                      .size_bytes = 20 * VS_MIB,
                      .asked_bytes = 15000001,
                      .extra = 77,
                      .name = vs_tape_string(f->tape, vs_str_of("lm_head"))});
    const vs_recording *rec = recorded(f);
    ASSERT_ACTIONS(rec, 0, "oom");
    assert_int_equal(rec->devices[0].events[0].addr, 77);
    assert_int_equal(rec->devices[0].events[0].size, 15000064); /* 512 bytes [1.2] */
}

static void phases_last_until_the_next_one(void **state)
{
    fixture *f = *state;
    const uint32_t warm_up = vs_tape_string(f->tape, vs_str_of("warm-up"));
    const uint32_t load = vs_tape_string(f->tape, vs_str_of("load"));
    put(f, (vs_event){.kind = VS_EV_PHASE, .name = warm_up});
    f->now = 5000000;
    put(f, (vs_event){.kind = VS_EV_PHASE, .name = load});
    f->now = 9000000;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    vs_tape_set_meta(f->tape, "epoch_ns", "1750000000123456000");
    const vs_recording *rec = recorded(f);

    static const struct {
        vs_ns time_ns;
        const char *name;
        const char *stage;
    } wanted[] = {{0, "warm-up", "START"},
                  {5000000, "warm-up", "END"},
                  {5000000, "load", "START"},
                  {9000000, "load", "END"}};

    assert_int_equal(rec->annotation_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const vs_rec_annotation *a = &rec->annotations[i];
        assert_int_equal(a->time_ns, wanted[i].time_ns);
        assert_string_equal(vs_recording_string(rec, a->name), wanted[i].name);
        assert_string_equal(vs_recording_string(rec, a->stage), wanted[i].stage);
    }
    assert_int_equal(rec->epoch_ns, UINT64_C(1750000000123456000));
}

static void cards_are_counted_without_the_memories_between(void **state)
{
    fixture *f = *state;
    const uint8_t second = vs_tape_add_device(f->tape, VS_DEVICE_GPU, "second", VS_GIB);
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    (void)put_alloc(f, f->host, 0, 100, 100);
    put(f, (vs_event){.kind = VS_EV_SEGMENT_ALLOC,
                      .device = second,
                      .addr = BASE,
                      .size_bytes = 2 * VS_MIB});
    const vs_recording *rec = recorded(f);
    assert_int_equal(rec->device_count, 2);
    assert_int_equal(rec->devices[1].ordinal, 1);
    ASSERT_ACTIONS(rec, 0, "segment_alloc");
    ASSERT_ACTIONS(rec, 1, "segment_alloc");
    assert_int_equal(rec->devices[1].segments[0].addr, BASE);
}

static void options_are_those_of_the_run(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 0, 2 * VS_MIB);
    vs_tape_set_meta(f->tape, "alloc_conf",
                     "max_split_size_mb:64, garbage_collection_threshold:0.5,"
                     "roundup_power2_divisions:4");
    const vs_recording *rec = recorded(f);
    assert_int_equal(rec->max_split_bytes, 64 * VS_MIB);
    assert_true(rec->gc_threshold == 0.5);
    assert_int_equal(rec->divisions[0], 4);
    assert_int_equal(rec->divisions[15], 4);
    assert_false(rec->expandable_segments);
}

static void an_empty_tape_is_a_snapshot_too(void **state)
{
    fixture *f = *state;
    const vs_recording *rec = recorded(f);
    assert_int_equal(rec->device_count, 0);
    assert_int_equal(rec->max_split_bytes, UINT64_MAX);
    assert_non_null(rec->own);
    assert_int_equal(rec->own->device_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_without_a_request_is_both_at_once),
        TEST(a_pending_block_is_pending_in_its_segment),
        TEST(mapped_pages_that_follow_each_other_are_one_segment),
        TEST(what_was_given_back_and_taken_again_is_there_once),
        TEST(a_card_without_segments_gets_one_around_each_block),
        TEST(what_was_there_before_a_recording_has_no_entries),
        TEST(segments_that_lie_nowhere_are_left_out),
        TEST(a_block_is_named_by_what_it_is_for_in_the_end),
        TEST(running_out_of_memory_tells_what_was_free_and_asked),
        TEST(phases_last_until_the_next_one),
        TEST(cards_are_counted_without_the_memories_between),
        TEST(options_are_those_of_the_run),
        TEST(an_empty_tape_is_a_snapshot_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
