/* Writing a tape: what appending accepts, remembers and refuses (sim/tape/tape.c, chunks.c). */
#include "sim/tape/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_tape *tape;
    uint8_t gpu;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    vs_err err = {0};
    if (f == NULL || !vs_arena_open(&f->arena, 64 * VS_MIB, &err)) {
        return -1;
    }
    f->tape = vs_tape_new(&f->arena, NULL);
    f->gpu = vs_tape_add_device(f->tape, VS_DEVICE_GPU, "gpu0", 24 * VS_GIB);
    *state = f;
    return f->tape != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void mark(fixture *f, vs_ns time_ns)
{
    vs_tape_event(f->tape, &(vs_event){.time_ns = time_ns, .kind = VS_EV_MARK});
}

static vs_timeline seal(fixture *f)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(f->tape, &tl, &err)) {
        fail_msg("%s", err.text);
    }
    return tl;
}

static void assert_refused(fixture *f, vs_errcode code, const char *needle)
{
    vs_timeline tl = {.event_count = 77};
    vs_err err = {0};
    assert_true(vs_tape_has_failed(f->tape));
    assert_false(vs_tape_seal(f->tape, &tl, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, needle));
    assert_int_equal(tl.event_count, 77); /* outputs only on success */
}

static void names_of_categories_and_kinds_are_those_of_the_header(void **state)
{
    (void)state;
    assert_string_equal(vs_category_key(VS_CAT_Q_4BIT), "q_4bit");
    assert_string_equal(vs_category_label(VS_CAT_W_16), "weights bf16/fp16");
    assert_string_equal(vs_event_kind_key(VS_EV_SEGMENT_UNMAP), "segment_unmap");
    assert_string_equal(vs_category_key(VS_CAT_COUNT), "");
    assert_string_equal(vs_category_label(VS_CAT_COUNT), "");
    assert_string_equal(vs_event_kind_key(VS_EV_COUNT), "");
}

static void an_empty_tape_seals(void **state)
{
    fixture *f = *state;
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.event_count, 0);
    assert_int_equal(tl.end_ns, 0);
    assert_int_equal(tl.device_count, 1);
}

static void a_tape_without_memories_may_have_spans(void **state)
{
    fixture *f = *state;
    f->tape = vs_tape_new(&f->arena, NULL);
    const uint16_t lane = vs_tape_add_lane(f->tape, "disk");
    vs_tape_span(f->tape, lane, 3, 9, VS_CAT_W_16, VS_NO_NAME, 1);
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.track_count, 0);
    assert_int_equal(tl.end_ns, 9);
}

static void an_event_reads_back_as_it_was_handed_in(void **state)
{
    fixture *f = *state;
    const vs_event event = {.time_ns = 5,
                            .size_bytes = 1024,
                            .asked_bytes = 700,
                            .addr = UINT64_C(0x7f0000000200),
                            .extra = 9,
                            .block = vs_tape_new_block(f->tape),
                            .name = vs_tape_string(f->tape, vs_str_of("lm_head.weight")),
                            .stream = 3,
                            .kind = VS_EV_ALLOC,
                            .device = f->gpu,
                            .category = VS_CAT_W_FP32};
    vs_tape_event(f->tape, &event);
    const vs_timeline tl = seal(f);
    const vs_event back = vs_timeline_event(&tl, 0);
    assert_memory_equal(&back, &event, sizeof event);
    assert_string_equal(vs_timeline_string(&tl, back.name), "lm_head.weight");
}

static void kinds_without_a_block_read_back_without_one(void **state)
{
    fixture *f = *state;
    (void)vs_tape_new_block(f->tape);
    mark(f, 0); /* block 0, because the caller left it out */
    const vs_timeline tl = seal(f);
    assert_int_equal(vs_timeline_event(&tl, 0).block, VS_NO_BLOCK);
    assert_int_equal(vs_timeline_event(&tl, 1).block, VS_NO_BLOCK); /* beyond the end */
}

static void events_of_many_chunks_keep_their_order(void **state)
{
    fixture *f = *state;
    const uint32_t count = 3 * EVENT_CHUNK_ROWS + 7;
    for (uint32_t i = 0; i < count; i++) {
        vs_tape_event(f->tape, &(vs_event){.time_ns = i / 3, .kind = VS_EV_MARK, .extra = i});
    }
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.event_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(tl.event_extra[i], i);
        assert_int_equal(tl.event_time[i], i / 3);
    }
}

static void exactly_full_chunks_are_counted_right(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < 2 * EVENT_CHUNK_ROWS; i++) {
        mark(f, i);
    }
    (void)vs_tape_add_lane(f->tape, "one");
    for (uint32_t i = 0; i < 2 * SPAN_CHUNK_ROWS; i++) {
        vs_tape_span(f->tape, 0, i, i + 1, VS_CAT_ACT, VS_NO_NAME, i);
    }
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.event_count, 2 * EVENT_CHUNK_ROWS);
    assert_int_equal(tl.span_count, 2 * SPAN_CHUNK_ROWS);
    assert_int_equal(tl.span_bytes[tl.span_count - 1], tl.span_count - 1);
}

/* ---- which of two errors is told when sealing ---------------------------------------------- */

static void put_block(fixture *f, vs_event_kind kind, uint32_t block)
{
    vs_tape_event(f->tape, &(vs_event){.kind = (uint8_t)kind,
                                       .device = f->gpu,
                                       .category = VS_CAT_W_16,
                                       .block = block,
                                       .size_bytes = 512,
                                       .asked_bytes = 512});
}

static void assert_sealing_fails(fixture *f, const char *needle)
{
    vs_timeline tl = {.event_count = 77};
    vs_err err = {0};
    assert_false(vs_tape_has_failed(f->tape));
    assert_false(vs_tape_seal(f->tape, &tl, &err));
    if (strstr(err.text, needle) == NULL) {
        fail_msg("expected \"%s\" in: %s", needle, err.text);
    }
    assert_int_equal(tl.event_count, 77);
}

static void a_wrong_sum_before_a_wrong_block_is_told(void **state)
{
    fixture *f = *state;
    const uint32_t block = vs_tape_new_block(f->tape);
    put_block(f, VS_EV_ALLOC, block); /* no segment holds it yet */
    put_block(f, VS_EV_ALLOC, block);
    vs_tape_event(f->tape, &(vs_event){.kind = VS_EV_SEGMENT_ALLOC, .size_bytes = 512});
    assert_sealing_fails(f, "event 0 (alloc of block 0");
}

static void a_wrong_block_before_a_wrong_sum_is_told(void **state)
{
    fixture *f = *state;
    const uint32_t block = vs_tape_new_block(f->tape);
    put_block(f, VS_EV_FREE, block);
    put_block(f, VS_EV_ALLOC, block);
    vs_tape_event(f->tape, &(vs_event){.kind = VS_EV_SEGMENT_FREE, .size_bytes = 512});
    assert_sealing_fails(f, "event 0 (free of block 0");
}

static void an_error_in_a_later_chunk_names_its_event(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < EVENT_CHUNK_ROWS + 5; i++) {
        mark(f, 0);
    }
    put_block(f, VS_EV_ALLOC, vs_tape_new_block(f->tape));
    put_block(f, VS_EV_RECAT, 1);
    assert_sealing_fails(f, "event 4094 (recat of block 1");
}

static void an_unknown_kind_is_about_no_segment(void **state)
{
    fixture *f = *state;
    put_block(f, VS_EV_ALLOC, vs_tape_new_block(f->tape));
    vs_tape_event(f->tape, &(vs_event){.kind = VS_EV_SEGMENT_ALLOC + 16});
    assert_sealing_fails(f, "event 1 (of unknown kind");
}

static void time_that_goes_back_is_refused_with_both_times(void **state)
{
    fixture *f = *state;
    mark(f, 100);
    mark(f, 99);
    mark(f, 200);
    assert_refused(f, VS_ERR_VALUE, "is at 99 ns, before 100 ns");
}

static void a_failed_tape_ignores_everything_and_keeps_the_first_error(void **state)
{
    fixture *f = *state;
    mark(f, 100);
    mark(f, 99);
    vs_tape_span(f->tape, 12, 5, 4, VS_CAT_COUNT, 77, 0);
    assert_int_equal(vs_tape_new_block(f->tape), VS_NO_BLOCK);
    assert_int_equal(vs_tape_string(f->tape, vs_str_of("x")), VS_NO_NAME);
    assert_int_equal(vs_tape_add_lane(f->tape, "x"), UINT16_MAX);
    assert_int_equal(vs_tape_add_device(f->tape, VS_DEVICE_GPU, "x", 1), UINT8_MAX);
    vs_tape_set_meta(f->tape, "a", "b");
    assert_refused(f, VS_ERR_VALUE, "event 1 (mark)");
}

static void a_span_must_end_after_it_starts(void **state)
{
    fixture *f = *state;
    const uint16_t lane = vs_tape_add_lane(f->tape, "pcie");
    vs_tape_span(f->tape, lane, 10, 9, VS_CAT_W_16, VS_NO_NAME, 0);
    assert_refused(f, VS_ERR_VALUE, "span 0 [10, 9) ns");
}

static void a_span_needs_a_known_lane(void **state)
{
    fixture *f = *state;
    vs_tape_span(f->tape, 0, 1, 2, VS_CAT_W_16, VS_NO_NAME, 0);
    assert_refused(f, VS_ERR_VALUE, "lane 0");
}

static void strings_are_interned(void **state)
{
    fixture *f = *state;
    const uint32_t a = vs_tape_string(f->tape, vs_str_of("a"));
    const uint32_t b = vs_tape_string(f->tape, vs_str_of("b"));
    assert_int_not_equal(a, b);
    assert_int_equal(vs_tape_string(f->tape, vs_str_of("a")), a);
    assert_int_equal(vs_tape_string(f->tape, vs_str_of("")), VS_NO_NAME);
}

static void the_last_value_of_a_fact_wins(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", i);
        vs_tape_set_meta(f->tape, key, "old");
    }
    vs_tape_set_meta(f->tape, "key57", "new");
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.meta_count, 100);
    assert_string_equal(vs_timeline_meta(&tl, "key57"), "new");
    assert_string_equal(vs_timeline_meta(&tl, "key99"), "old");
    assert_null(vs_timeline_meta(&tl, "key100"));
}

static void the_65th_memory_is_one_too_many(void **state)
{
    fixture *f = *state;
    for (int i = 1; i < 64; i++) {
        assert_int_equal(vs_tape_add_device(f->tape, VS_DEVICE_HOST, "host", 1), i);
    }
    assert_int_equal(vs_tape_add_device(f->tape, VS_DEVICE_HOST, "one more", 1), UINT8_MAX);
    assert_refused(f, VS_ERR_LIMIT, "at most 64 memories");
}

static void lanes_grow_beyond_their_first_room(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "lane %u", i);
        assert_int_equal(vs_tape_add_lane(f->tape, name), i);
    }
    const vs_timeline tl = seal(f);
    assert_int_equal(tl.lane_count, 100);
    assert_string_equal(vs_timeline_string(&tl, tl.lanes[73].name), "lane 73");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_of_categories_and_kinds_are_those_of_the_header),
        TEST(an_empty_tape_seals),
        TEST(a_tape_without_memories_may_have_spans),
        TEST(an_event_reads_back_as_it_was_handed_in),
        TEST(kinds_without_a_block_read_back_without_one),
        TEST(events_of_many_chunks_keep_their_order),
        TEST(exactly_full_chunks_are_counted_right),
        TEST(a_wrong_sum_before_a_wrong_block_is_told),
        TEST(a_wrong_block_before_a_wrong_sum_is_told),
        TEST(an_error_in_a_later_chunk_names_its_event),
        TEST(an_unknown_kind_is_about_no_segment),
        TEST(time_that_goes_back_is_refused_with_both_times),
        TEST(a_failed_tape_ignores_everything_and_keeps_the_first_error),
        TEST(a_span_must_end_after_it_starts),
        TEST(a_span_needs_a_known_lane),
        TEST(strings_are_interned),
        TEST(the_last_value_of_a_fact_wins),
        TEST(the_65th_memory_is_one_too_many),
        TEST(lanes_grow_beyond_their_first_room),
    };
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
