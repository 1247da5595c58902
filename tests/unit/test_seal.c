/* What events make of tracks, blocks and lanes (sim/tape/derive.c, lanes.c, seal.c). */
#include "vramscope/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_tape *tape;
    uint8_t gpu;
    uint8_t host;
    uint16_t lane;
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
    f->host = vs_tape_add_device(f->tape, VS_DEVICE_HOST, "host", 64 * VS_GIB);
    f->lane = vs_tape_add_lane(f->tape, "pcie");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void put(fixture *f, vs_event event)
{
    vs_tape_event(f->tape, &event);
}

static uint32_t put_alloc(fixture *f, uint8_t device, vs_bytes asked, vs_bytes size)
{
    const uint32_t block = vs_tape_new_block(f->tape);
    put(f, (vs_event){.kind = VS_EV_ALLOC,
                      .device = device,
                      .category = VS_CAT_STAGING,
                      .asked_bytes = asked,
                      .size_bytes = size,
                      .block = block});
    return block;
}

static void put_segment(fixture *f, vs_event_kind kind, vs_bytes size)
{
    put(f, (vs_event){.kind = (uint8_t)kind, .device = f->gpu, .size_bytes = size});
}

static void put_level(fixture *f, uint8_t device, vs_category category, vs_bytes size)
{
    put(f, (vs_event){.kind = VS_EV_LEVEL,
                      .device = device,
                      .category = (uint8_t)category,
                      .size_bytes = size});
}

static vs_timeline seal(fixture *f)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(f->tape, &tl, &err) || !vs_timeline_check(&tl, &err)) {
        fail_msg("%s", err.text);
    }
    return tl;
}

static void assert_refused(fixture *f, vs_errcode code, const char *needle)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_tape_seal(f->tape, &tl, &err));
    if (strstr(err.text, needle) == NULL) {
        fail_msg("expected \"%s\" in: %s", needle, err.text);
    }
    assert_int_equal(err.code, code);
}

static vs_bytes final_total(const vs_timeline *tl, uint8_t device, vs_track_role role)
{
    const uint32_t track = vs_timeline_find_track(tl, device, role, VS_CAT_COUNT);
    assert_int_not_equal(track, VS_NO_TRACK);
    return vs_track_at_time(tl, track, UINT64_MAX);
}

static vs_bytes final_category(const vs_timeline *tl, uint8_t device, vs_category category)
{
    return vs_track_at_time(tl, vs_timeline_find_track(tl, device, VS_TRACK_CATEGORY, category),
                            UINT64_MAX);
}

/* ---- gpu ------------------------------------------------------------------------------- */

static void a_block_charges_its_rounded_request_and_the_rest_is_slack(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 2 * VS_MIB);
    (void)put_alloc(f, f->gpu, 513, 2048);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 1024);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 1024);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_RESFREE), 2 * VS_MIB - 2048);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_ALLOCATED), 2048);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_TENSORS), 1024);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_RESERVED), 2 * VS_MIB);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_USED), 2 * VS_MIB);
}

static void a_tiny_request_is_charged_512_bytes(void **state)
{
    fixture *f = *state;
    (void)put_alloc(f, f->gpu, 0, 1024);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 512);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 512);
}

static void a_request_is_never_charged_more_than_its_block(void **state)
{
    fixture *f = *state;
    (void)put_alloc(f, f->gpu, 700, 700); /* torch 2.0 to 2.3 with one division [1.3] */
    (void)put_alloc(f, f->gpu, 5000, 1000);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 1700);
    assert_int_equal(vs_timeline_find_track(&tl, f->gpu, VS_TRACK_CATEGORY, VS_CAT_SLACK),
                     VS_NO_TRACK);
}

static void freeing_gives_back_what_the_allocation_took(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 2 * VS_MIB);
    const uint32_t block = put_alloc(f, f->gpu, 513, 2048);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block, .size_bytes = 1});
    put_segment(f, VS_EV_SEGMENT_FREE, 2 * VS_MIB);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_USED), 0);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 0);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 0);
    assert_int_equal(tl.blocks[block].born_event, 1);
    assert_int_equal(tl.blocks[block].dead_event, 2);
}

static void recategorising_moves_the_request_and_leaves_the_slack(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 513, 2048);
    put(f, (vs_event){
               .kind = VS_EV_RECAT, .device = f->gpu, .block = block, .category = VS_CAT_W_16});
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 0);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_W_16), 1024);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 1024);
}

static void a_block_whose_free_was_requested_is_held_and_no_longer_allocated(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 2 * VS_MIB);
    const uint32_t block = put_alloc(f, f->gpu, 513, 2048);
    (void)put_alloc(f, f->gpu, 512, 512);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_ALLOCATED), 512);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_TENSORS), 512);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_STAGING), 1024 + 512);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 1024);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_RESFREE), 2 * VS_MIB - 2048 - 512);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_USED), 2 * VS_MIB);
    assert_int_equal(tl.event_block[3], block);
    assert_int_equal(tl.blocks[block].dead_event, UINT32_MAX);
}

static void a_free_after_its_request_gives_back_the_bytes_only(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 2 * VS_MIB);
    const uint32_t block = put_alloc(f, f->gpu, 513, 2048);
    const uint32_t other = put_alloc(f, f->gpu, 512, 512);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = other});
    const vs_timeline tl = seal(f);
    const uint32_t allocated =
        vs_timeline_find_track(&tl, f->gpu, VS_TRACK_ALLOCATED, VS_CAT_COUNT);
    assert_int_equal(vs_track_at_event(&tl, allocated, 3), 512);
    assert_int_equal(vs_track_at_event(&tl, allocated, 4), 512);
    assert_int_equal(tl.tracks[allocated].count,
                     4); /* none at the free that was requested before */
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_SLACK), 0);
    assert_int_equal(final_category(&tl, f->gpu, VS_CAT_RESFREE), 2 * VS_MIB);
    assert_int_equal(tl.blocks[block].dead_event, 4);
}

static void a_requested_free_changes_no_track_of_a_host(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->host, 1000, 1000);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->host, .block = block});
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, f->host, VS_TRACK_USED), 1000);
    assert_int_equal(final_category(&tl, f->host, VS_CAT_STAGING), 1000);
}

static void segments_hold_blocks_until_they_are_free(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 2048);
    const uint32_t block = put_alloc(f, f->gpu, 513, 2048);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    put_segment(f, VS_EV_SEGMENT_FREE, 2048);
    assert_refused(f, VS_ERR_VALUE, "larger than the segments");
}

static void used_is_context_others_and_reserved(void **state)
{
    fixture *f = *state;
    put_level(f, f->gpu, VS_CAT_CONTEXT, 500);
    put_level(f, f->gpu, VS_CAT_OTHER, 300);
    put_segment(f, VS_EV_SEGMENT_MAP, 20 * VS_MIB);
    put_level(f, f->gpu, VS_CAT_OTHER, 200);
    put_segment(f, VS_EV_SEGMENT_UNMAP, 18 * VS_MIB);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_USED), 700 + 2 * VS_MIB);
}

static void a_gpu_without_segments_uses_what_its_blocks_cover(void **state)
{
    fixture *f = *state;
    put_level(f, f->gpu, VS_CAT_CONTEXT, 500);
    (void)put_alloc(f, f->gpu, 600, 1024);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_USED), 1524);
    assert_int_equal(final_total(&tl, f->gpu, VS_TRACK_RESERVED), 0);
    assert_int_equal(vs_timeline_find_track(&tl, f->gpu, VS_TRACK_CATEGORY, VS_CAT_RESFREE),
                     VS_NO_TRACK);
}

static void a_track_has_a_sample_only_where_its_value_changes(void **state)
{
    fixture *f = *state;
    put_level(f, f->gpu, VS_CAT_CONTEXT, 500);
    put_level(f, f->gpu, VS_CAT_CONTEXT, 500);
    put(f, (vs_event){.kind = VS_EV_MARK});
    put_level(f, f->gpu, VS_CAT_CONTEXT, 600);
    const vs_timeline tl = seal(f);
    const uint32_t used = vs_timeline_find_track(&tl, f->gpu, VS_TRACK_USED, VS_CAT_COUNT);
    assert_int_equal(tl.tracks[used].count, 2);
    assert_int_equal(tl.sample_event[tl.tracks[used].first + 1], 3);
}

static void events_of_one_instant_give_one_sample_each(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 512, 512);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    const vs_timeline tl = seal(f);
    const uint32_t used = vs_timeline_find_track(&tl, f->gpu, VS_TRACK_USED, VS_CAT_COUNT);
    assert_int_equal(tl.tracks[used].count, 2);
    assert_int_equal(tl.tracks[used].max, 512);
    assert_int_equal(vs_track_at_time(&tl, used, 0), 0);
    assert_int_equal(vs_track_at_event(&tl, used, 0), 512);
}

static void progress_is_one_track_whatever_memory_reports_it(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_PROGRESS, .device = f->gpu, .size_bytes = 10});
    put(f, (vs_event){.kind = VS_EV_PROGRESS, .device = f->host, .size_bytes = 30});
    const vs_timeline tl = seal(f);
    assert_int_equal(final_total(&tl, 0, VS_TRACK_PROGRESS), 30);
    assert_int_equal(vs_timeline_find_track(&tl, f->host, VS_TRACK_PROGRESS, VS_CAT_COUNT),
                     VS_NO_TRACK);
}

/* ---- host ---------------------------------------------------------------------------------- */

static void host_blocks_have_no_slack_and_no_reserve(void **state)
{
    fixture *f = *state;
    (void)put_alloc(f, f->host, 100, 1000);
    put_level(f, f->host, VS_CAT_PAGECACHE, 7);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->host, VS_CAT_STAGING), 1000);
    assert_int_equal(final_total(&tl, f->host, VS_TRACK_USED), 1007);
    assert_int_equal(vs_timeline_find_track(&tl, f->host, VS_TRACK_RESERVED, VS_CAT_COUNT),
                     VS_NO_TRACK);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void freeing_twice_is_refused(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "event 2 (free of block 0");
}

static void freeing_what_was_never_allocated_is_refused(void **state)
{
    fixture *f = *state;
    const uint32_t block = vs_tape_new_block(f->tape);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "never allocated");
}

static void a_block_nobody_made_is_refused(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = 0});
    assert_refused(f, VS_ERR_VALUE, "no such block");
}

static void recategorising_the_dead_is_refused(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_RECAT, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "freed already");
}

static void a_free_is_requested_once(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "event 2 (free_requested of block 0");
}

static void the_free_of_the_dead_is_not_requested(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "freed already");
}

static void the_free_of_a_block_is_not_requested_on_another_memory(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->host, .block = block});
    assert_refused(f, VS_ERR_VALUE, "lives on another memory");
}

static void recategorising_what_was_requested_back_is_refused(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE_REQUESTED, .device = f->gpu, .block = block});
    put(f, (vs_event){.kind = VS_EV_RECAT, .device = f->gpu, .block = block});
    assert_refused(f, VS_ERR_VALUE, "its category is final");
}

static void a_block_is_born_once(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f,
        (vs_event){.kind = VS_EV_ALLOC, .device = f->gpu, .block = block, .size_bytes = 512});
    assert_refused(f, VS_ERR_VALUE, "alive already");
}

static void a_block_is_not_freed_on_another_memory(void **state)
{
    fixture *f = *state;
    const uint32_t block = put_alloc(f, f->gpu, 1, 512);
    put(f, (vs_event){.kind = VS_EV_FREE, .device = f->host, .block = block});
    assert_refused(f, VS_ERR_VALUE, "lives on another memory");
}

static void blocks_cannot_outgrow_their_segments(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 512);
    (void)put_alloc(f, f->gpu, 513, 1024);
    assert_refused(f, VS_ERR_VALUE, "larger than the segments");
}

static void segments_cannot_be_freed_under_their_blocks(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 1024);
    (void)put_alloc(f, f->gpu, 513, 1024);
    put_segment(f, VS_EV_SEGMENT_FREE, 1);
    assert_refused(f, VS_ERR_VALUE, "event 2 (segment_free");
}

static void more_segments_than_were_reserved_cannot_be_freed(void **state)
{
    fixture *f = *state;
    put_segment(f, VS_EV_SEGMENT_ALLOC, 1024);
    put_segment(f, VS_EV_SEGMENT_UNMAP, 1025);
    assert_refused(f, VS_ERR_VALUE, "more is given back");
}

static void a_host_has_no_segments(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_SEGMENT_ALLOC, .device = f->host, .size_bytes = 1});
    assert_refused(f, VS_ERR_VALUE, "only a GPU");
}

static void derived_categories_cannot_be_set(void **state)
{
    fixture *f = *state;
    put_level(f, f->gpu, VS_CAT_RESFREE, 1);
    assert_refused(f, VS_ERR_VALUE, "derived");
}

static void a_level_over_blocks_is_refused(void **state)
{
    fixture *f = *state;
    (void)put_alloc(f, f->host, 1, 512);
    put_level(f, f->host, VS_CAT_STAGING, 1);
    assert_refused(f, VS_ERR_VALUE, "holds blocks");
}

static void a_block_under_a_level_is_refused(void **state)
{
    fixture *f = *state;
    put_level(f, f->host, VS_CAT_STAGING, 1);
    (void)put_alloc(f, f->host, 1, 512);
    assert_refused(f, VS_ERR_VALUE, "set by a level event");
}

static void a_level_that_was_lowered_to_zero_makes_room_for_blocks(void **state)
{
    fixture *f = *state;
    put_level(f, f->host, VS_CAT_STAGING, 1);
    put_level(f, f->host, VS_CAT_STAGING, 0);
    (void)put_alloc(f, f->host, 1, 512);
    const vs_timeline tl = seal(f);
    assert_int_equal(final_category(&tl, f->host, VS_CAT_STAGING), 512);
}

static void sums_beyond_the_limit_name_it(void **state)
{
    fixture *f = *state;
    const vs_bytes most = UINT64_C(1) << 60;
    put_level(f, f->gpu, VS_CAT_CONTEXT, most);
    put_level(f, f->gpu, VS_CAT_OTHER, 1);
    assert_refused(f, VS_ERR_LIMIT, "2^60");
}

static void a_size_beyond_the_limit_names_it(void **state)
{
    fixture *f = *state;
    put(f, (vs_event){.kind = VS_EV_MARK, .size_bytes = UINT64_MAX});
    assert_refused(f, VS_ERR_LIMIT, "2^60");
}

static void unknown_indices_are_refused(void **state)
{
    fixture *f = *state;

    static const struct {
        vs_event event;
        const char *needle;
    } cases[] = {
        {{.kind = VS_EV_COUNT}, "kind is unknown"},
        {{.kind = VS_EV_MARK, .device = 2}, "no such memory"},
        {{.kind = VS_EV_MARK, .category = VS_CAT_COUNT}, "no such category"},
        {{.kind = VS_EV_MARK, .name = 999}, "no string"},
        {{.kind = VS_EV_MARK, .flags = 1}, "flags"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->tape = vs_tape_new(&f->arena, NULL);
        (void)vs_tape_add_device(f->tape, VS_DEVICE_GPU, "gpu0", 1);
        put(f, cases[i].event);
        assert_refused(f, VS_ERR_VALUE, cases[i].needle);
    }
}

static void blocks_without_any_memory_are_refused(void **state)
{
    fixture *f = *state;
    f->tape = vs_tape_new(&f->arena, NULL);
    (void)vs_tape_new_block(f->tape);
    assert_refused(f, VS_ERR_VALUE, "no memory to hold them");
}

/* ---- lanes ------------------------------------------------------------------------------------- */

static void spans_are_sorted_by_start_and_their_overlaps_merged(void **state)
{
    fixture *f = *state;
    vs_tape_span(f->tape, f->lane, 20, 30, VS_CAT_W_16, 0, 3);
    vs_tape_span(f->tape, f->lane, 0, 10, VS_CAT_W_16, 0, 1);
    vs_tape_span(f->tape, f->lane, 5, 12, VS_CAT_W_16, 0, 2);
    vs_tape_span(f->tape, f->lane, 21, 22, VS_CAT_W_16, 0, 4);
    const vs_timeline tl = seal(f);
    static const uint64_t bytes[] = {1, 2, 3, 4};
    static const uint64_t busy[] = {10, 12, 22, 22};
    static const uint64_t reach[] = {10, 12, 30, 30};
    assert_memory_equal(tl.span_bytes, bytes, sizeof bytes);
    assert_memory_equal(tl.span_busy, busy, sizeof busy);
    assert_memory_equal(tl.span_reach, reach, sizeof reach);
    assert_int_equal(tl.end_ns, 30);
}

static void spans_that_come_far_too_late_are_sorted_too(void **state)
{
    fixture *f = *state;

    enum { COUNT = 500 };

    const uint16_t other = vs_tape_add_lane(f->tape, "other");
    for (uint32_t i = 0; i < COUNT; i++) {
        vs_tape_span(f->tape, f->lane, (i * 37 + 11) % COUNT, COUNT, VS_CAT_W_16, 0, i);
        vs_tape_span(f->tape, other, COUNT - i, COUNT, VS_CAT_W_16, 0, i);
    }
    const vs_timeline tl = seal(f);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(tl.span_start[tl.lanes[f->lane].first + i], i);
        assert_int_equal(tl.span_start[tl.lanes[other].first + i], i + 1);
        assert_int_equal(tl.span_bytes[tl.lanes[other].first + i], COUNT - 1 - i);
    }
}

static void the_order_of_appending_spans_does_not_show(void **state)
{
    fixture *f = *state;

    static const struct {
        uint32_t name;
        vs_category category;
        vs_bytes size_bytes;
    } spans[6] = {/* each differs from the first in one thing */
                  {0, VS_CAT_W_16, 1}, {1, VS_CAT_W_16, 1}, {0, VS_CAT_KV, 1},
                  {0, VS_CAT_W_16, 2}, {0, VS_CAT_ACT, 1},  {2, VS_CAT_W_16, 1}};

    static const uint8_t order[2][6] = {{0, 1, 2, 3, 4, 5}, {5, 2, 3, 4, 1, 0}};
    vs_timeline tl[2];
    for (int round = 0; round < 2; round++) {
        f->tape = vs_tape_new(&f->arena, NULL);
        (void)vs_tape_add_lane(f->tape, "one");
        (void)vs_tape_string(f->tape, vs_str_of("two"));
        for (int i = 0; i < 6; i++) {
            const uint8_t k = order[round][i];
            vs_tape_span(f->tape, 0, 5, 10, spans[k].category, spans[k].name,
                         spans[k].size_bytes);
        }
        tl[round] = seal(f);
    }
    assert_int_equal(tl[0].image_bytes, tl[1].image_bytes);
    assert_memory_equal(tl[0].image, tl[1].image, tl[0].image_bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_block_charges_its_rounded_request_and_the_rest_is_slack),
        TEST(a_tiny_request_is_charged_512_bytes),
        TEST(a_request_is_never_charged_more_than_its_block),
        TEST(freeing_gives_back_what_the_allocation_took),
        TEST(recategorising_moves_the_request_and_leaves_the_slack),
        TEST(a_block_whose_free_was_requested_is_held_and_no_longer_allocated),
        TEST(a_free_after_its_request_gives_back_the_bytes_only),
        TEST(a_requested_free_changes_no_track_of_a_host),
        TEST(segments_hold_blocks_until_they_are_free),
        TEST(used_is_context_others_and_reserved),
        TEST(a_gpu_without_segments_uses_what_its_blocks_cover),
        TEST(a_track_has_a_sample_only_where_its_value_changes),
        TEST(events_of_one_instant_give_one_sample_each),
        TEST(progress_is_one_track_whatever_memory_reports_it),
        TEST(host_blocks_have_no_slack_and_no_reserve),
        TEST(freeing_twice_is_refused),
        TEST(freeing_what_was_never_allocated_is_refused),
        TEST(a_block_nobody_made_is_refused),
        TEST(recategorising_the_dead_is_refused),
        TEST(a_free_is_requested_once),
        TEST(the_free_of_the_dead_is_not_requested),
        TEST(the_free_of_a_block_is_not_requested_on_another_memory),
        TEST(recategorising_what_was_requested_back_is_refused),
        TEST(a_block_is_born_once),
        TEST(a_block_is_not_freed_on_another_memory),
        TEST(blocks_cannot_outgrow_their_segments),
        TEST(segments_cannot_be_freed_under_their_blocks),
        TEST(more_segments_than_were_reserved_cannot_be_freed),
        TEST(a_host_has_no_segments),
        TEST(derived_categories_cannot_be_set),
        TEST(a_level_over_blocks_is_refused),
        TEST(a_block_under_a_level_is_refused),
        TEST(a_level_that_was_lowered_to_zero_makes_room_for_blocks),
        TEST(sums_beyond_the_limit_name_it),
        TEST(a_size_beyond_the_limit_names_it),
        TEST(unknown_indices_are_refused),
        TEST(blocks_without_any_memory_are_refused),
        TEST(spans_are_sorted_by_start_and_their_overlaps_merged),
        TEST(spans_that_come_far_too_late_are_sorted_too),
        TEST(the_order_of_appending_spans_does_not_show),
    };
    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
