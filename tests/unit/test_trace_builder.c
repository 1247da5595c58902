/* Tests of traces/read/builder.c: rows collected in any order and what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "traces/read/read.h"

#define ARENA_BYTES ((size_t)256 << 20)

typedef struct {
    vs_arena keep;
    vs_arena scratch;
    vs_read_desc desc;
    vs_builder *b;
    vs_recording rec;
    vs_err err;
} fixture;

static int begin(void **state)
{
    fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_true(vs_arena_open(&f->keep, ARENA_BYTES, &f->err));
    assert_true(vs_arena_open(&f->scratch, ARENA_BYTES, &f->err));
    f->desc = (vs_read_desc){.keep = &f->keep, .scratch = &f->scratch};
    f->b = builder_new(&f->desc, VS_TRACE_CHROME);
    assert_non_null(f->b);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *const f = *state;
    vs_arena_close(&f->keep);
    vs_arena_close(&f->scratch);
    free(f);
    return 0;
}

static void finish(fixture *f)
{
    assert_true(builder_finish(f->b, &f->rec, &f->err));
}

static void an_empty_one_has_a_stream_and_a_pool(void **state)
{
    fixture *const f = *state;
    finish(f);
    assert_int_equal(f->rec.format, VS_TRACE_CHROME);
    assert_int_equal(f->rec.device_count, 0);
    assert_int_equal(f->rec.stream_count, 1);
    assert_int_equal(f->rec.streams[0], 0);
    assert_int_equal(f->rec.pool_count, 1);
    assert_int_equal(f->rec.string_count, 1);
    assert_string_equal(vs_recording_string(&f->rec, 0), "");
    assert_int_equal(f->rec.stack_first[0], 0);
    assert_true(f->rec.max_split_bytes == UINT64_MAX);
}

static void equal_things_have_one_number(void **state)
{
    fixture *const f = *state;
    for (uint32_t i = 0; i < 3000; i++) {
        const uint32_t frames[2] = {builder_frame(f->b, (vs_rec_frame){1, 2, i % 700}), i % 3};
        assert_int_equal(frames[0], i % 700);
        assert_int_equal(builder_stack(f->b, frames, 2), i % 2100);
        assert_int_equal(builder_stream(f->b, (i % 900) * UINT64_C(0x1000)), i % 900);
        assert_int_equal(builder_pool(f->b, (vs_rec_pool_id){0, i % 9}), i % 9);
    }
    assert_int_equal(builder_stack(f->b, NULL, 0), builder_stack(f->b, NULL, 0));
    finish(f);
    assert_int_equal(f->rec.frame_count, 700);
    assert_int_equal(f->rec.stream_count, 900);
    assert_int_equal(f->rec.pool_count, 9);
    assert_int_equal(f->rec.stack_count, 2101);
    assert_int_equal(f->rec.stack_first[2101], 4200);
}

static void a_stack_longer_than_a_block_of_them_is_kept_whole(void **state)
{
    fixture *const f = *state;
    uint32_t *const frames = calloc(100000, sizeof *frames);
    assert_non_null(frames);
    for (uint32_t i = 0; i < 100000; i++) {
        frames[i] = i;
    }
    assert_int_equal(builder_stack(f->b, frames, 3), 0);
    assert_int_equal(builder_stack(f->b, frames, 100000), 1);
    assert_int_equal(builder_stack(f->b, frames + 1, 3), 2);
    finish(f);
    assert_int_equal(f->rec.stack_first[2], 100003);
    assert_int_equal(f->rec.stack_frames[3 + 99999], 99999);
    assert_int_equal(f->rec.stack_frames[100003], 1);
    free(frames);
}

static void devices_are_sorted_and_spans_follow(void **state)
{
    fixture *const f = *state;
    const uint8_t host = builder_device(f->b, 0, true);
    const uint8_t second = builder_device(f->b, 5, false);
    const uint8_t unused = builder_device(f->b, 3, false);
    const uint8_t first = builder_device(f->b, 1, false);
    assert_int_equal(builder_device(f->b, 5, false), second);
    assert_int_not_equal(unused, first);
    builder_name_device(f->b, first, vs_str_of("card"), 77);
    builder_event(f->b, second, &(vs_rec_event){.addr = 2}, NULL);
    builder_event(f->b, host, &(vs_rec_event){.addr = 3}, NULL);
    builder_span(f->b, &(vs_rec_span){.device = first, .end_ns = 9});
    builder_span(f->b, &(vs_rec_span){.device = host, .end_ns = 9});
    finish(f);
    assert_int_equal(f->rec.device_count, 3);
    assert_int_equal(f->rec.devices[0].ordinal, 1);
    assert_string_equal(f->rec.devices[0].name, "card");
    assert_int_equal(f->rec.devices[0].capacity_bytes, 77);
    assert_int_equal(f->rec.devices[1].ordinal, 5);
    assert_int_equal(f->rec.devices[1].events[0].addr, 2);
    assert_true(f->rec.devices[2].is_host);
    assert_int_equal(f->rec.spans[0].device, 0);
    assert_int_equal(f->rec.spans[1].device, 2);
}

static void totals_that_come_late_leave_the_first_untold(void **state)
{
    fixture *const f = *state;
    const uint8_t device = builder_device(f->b, 0, false);
    const vs_rec_event event = {0};
    const vs_rec_totals totals = {.allocated = 4, .reserved = 8};
    builder_event(f->b, device, &event, NULL);
    builder_event(f->b, device, &event, NULL);
    builder_event(f->b, device, &event, &totals);
    builder_event(f->b, device, &event, NULL);
    finish(f);
    const vs_rec_totals *const told = f->rec.devices[0].totals;
    assert_non_null(told);
    assert_true(told[0].allocated == UINT64_MAX && told[1].reserved == UINT64_MAX);
    assert_true(told[2].allocated == 4 && told[2].reserved == 8);
    assert_true(told[3].allocated == UINT64_MAX);
}

static void segments_are_sorted_with_their_blocks(void **state)
{
    fixture *const f = *state;
    const uint8_t device = builder_device(f->b, 0, false);
    for (uint32_t i = 0; i < 500; i++) {
        const uint64_t addr = (i * 7919u % 500) * VS_MIB;
        for (uint32_t k = 0; k < i % 3; k++) {
            builder_block(f->b, &(vs_rec_block){.addr = addr + k});
        }
        builder_segment(f->b, device, &(vs_rec_segment){.addr = addr});
    }
    builder_has_segments(f->b);
    finish(f);
    assert_true(f->rec.devices[0].has_segments);
    assert_int_equal(f->rec.devices[0].segment_count, 500);
    for (uint32_t i = 0; i < 500; i++) {
        const vs_rec_segment *const s = &f->rec.devices[0].segments[i];
        assert_int_equal(s->addr, i * VS_MIB);
        for (uint32_t k = 0; k < s->block_count; k++) {
            assert_int_equal(f->rec.blocks[s->block_first + k].addr, s->addr + k);
        }
    }
}

static void times_start_at_zero(void **state)
{
    fixture *const f = *state;
    const uint8_t device = builder_device(f->b, 0, false);
    builder_event(f->b, device, &(vs_rec_event){.time_ns = 150}, NULL);
    builder_span(f->b, &(vs_rec_span){.device = device, .start_ns = 120, .end_ns = 130});
    builder_annotation(f->b, &(vs_rec_annotation){.time_ns = 121});
    builder_head(f->b)->has_time = true;
    builder_head(f->b)->epoch_ns = 1000;
    finish(f);
    assert_int_equal(f->rec.epoch_ns, 1120);
    assert_int_equal(f->rec.devices[0].events[0].time_ns, 30);
    assert_int_equal(f->rec.spans[0].start_ns, 0);
    assert_int_equal(f->rec.spans[0].end_ns, 10);
    assert_int_equal(f->rec.annotations[0].time_ns, 1);
}

static void an_unknown_epoch_stays_unknown(void **state)
{
    fixture *const f = *state;
    const uint8_t device = builder_device(f->b, 0, false);
    builder_event(f->b, device, &(vs_rec_event){.time_ns = 150}, NULL);
    builder_head(f->b)->has_time = true;
    builder_head(f->b)->epoch_ns = BUILDER_EPOCH_UNKNOWN;
    finish(f);
    assert_int_equal(f->rec.epoch_ns, 0);
    assert_int_equal(f->rec.devices[0].events[0].time_ns, 0);
}

static void events_made_in_place_are_not_copied(void **state)
{
    fixture *const f = *state;
    vs_rec_event *const events = VS_ARRAY(&f->keep, vs_rec_event, 2);
    assert_non_null(events);
    events[0].time_ns = 7;
    events[1].time_ns = 5;
    builder_take_events(f->b, builder_device(f->b, 2, false), events, 2);
    builder_head(f->b)->has_time = true;
    finish(f);
    assert_ptr_equal(f->rec.devices[0].events, events);
    assert_int_equal(f->rec.devices[0].event_count, 2);
    assert_int_equal(events[0].time_ns, 2);
}

static void too_many_devices_or_streams_are_a_limit(void **state)
{
    fixture *const f = *state;
    for (uint32_t i = 0; i < 65; i++) {
        (void)builder_device(f->b, i, false);
    }
    assert_true(builder_has_failed(f->b));
    builder_note(f->b, "not kept");
    assert_false(builder_finish(f->b, &f->rec, &f->err));
    assert_int_equal(f->err.code, VS_ERR_LIMIT);
    f->err = (vs_err){0};
    f->b = builder_new(&f->desc, VS_TRACE_CHROME);
    assert_non_null(f->b);
    for (uint32_t i = 0; i <= 65535; i++) {
        (void)builder_stream(f->b, i);
    }
    assert_false(builder_finish(f->b, &f->rec, &f->err));
    assert_non_null(strstr(f->err.text, "streams"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_has_a_stream_and_a_pool),
        TEST(equal_things_have_one_number),
        TEST(a_stack_longer_than_a_block_of_them_is_kept_whole),
        TEST(devices_are_sorted_and_spans_follow),
        TEST(totals_that_come_late_leave_the_first_untold),
        TEST(segments_are_sorted_with_their_blocks),
        TEST(times_start_at_zero),
        TEST(an_unknown_epoch_stays_unknown),
        TEST(events_made_in_place_are_not_copied),
        TEST(too_many_devices_or_streams_are_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
