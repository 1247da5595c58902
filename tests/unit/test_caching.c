/* pool/caching.c, segment.c, stream.c: borders that the vectors do not touch, statistics, and what the
 * tape records (specs/torch-caching-allocator.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vramscope/pool.h"

typedef struct {
    vs_arena arena;
    vs_model_driver driver;
    vs_pool *pool;
    vs_tape *tape;
} fixture;

static void make(fixture *f, const vs_alloc_conf *conf, vs_bytes total, bool has_tape)
{
    vs_err err = {0};
    *f = (fixture){0};
    assert_true(vs_arena_open(&f->arena, 16 * VS_MIB, &err));
    vs_model_driver_init(&f->driver, total, 0);
    vs_pool_desc desc = {.conf = conf, .driver = vs_model_driver_calls(&f->driver)};
    if (has_tape) {
        const vs_tape_desc tape_desc = {.expected_events = 64};
        f->tape = vs_tape_new(&f->arena, &tape_desc);
        assert_non_null(f->tape);
        desc.device = vs_tape_add_device(f->tape, VS_DEVICE_GPU, "gpu0", total);
        desc.tape = f->tape;
    }
    f->pool = vs_pool_new(&f->arena, &desc);
    assert_non_null(f->pool);
}

static void drop(fixture *f)
{
    vs_err err = {0};
    if (!vs_pool_check(f->pool, &f->arena, &err)) {
        fail_msg("%s", err.text);
    }
    vs_arena_close(&f->arena);
}

static vs_block take(fixture *f, vs_bytes bytes)
{
    const vs_pool_request request = {.size_bytes = bytes};
    vs_block block = {0};
    assert_int_equal(vs_pool_alloc(f->pool, 0, &request, &block), VS_ALLOC_OK);
    return block;
}

static void give(fixture *f, vs_block block)
{
    vs_pool_free(f->pool, 0, block);
}

/* ---- exact borders ------------------------------------------------------------------------ */

static void oversize_release_stops_when_the_sum_is_exactly_enough(void **state)
{
    (void)state;
    fixture f;
    vs_alloc_conf conf = vs_alloc_conf_default(0);
    conf.max_split_bytes = 64 * VS_MIB;
    make(&f, &conf, 200 * VS_MIB, false);
    vs_block blocks[3];
    for (int i = 0; i < 3; i++) {
        blocks[i] = take(&f, 64 * VS_MIB);
    }
    for (int i = 0; i < 3; i++) {
        give(&f, blocks[i]);
    }
    (void)take(&f, 128 * VS_MIB);
    const vs_pool_stats *stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->num_device_free, 2);
    assert_int_equal(stats->num_alloc_retries, 0);
    assert_int_equal(stats->reserved_bytes[VS_STAT_ALL].current, 192 * VS_MIB);
    drop(&f);
}

static void
an_oversize_block_of_request_plus_slack_is_refused_one_page_less_is_taken(void **state)
{
    (void)state;
    fixture f;
    vs_alloc_conf conf = vs_alloc_conf_default(0);
    conf.max_split_bytes = 64 * VS_MIB;
    make(&f, &conf, VS_GIB, false);
    give(&f, take(&f, 100 * VS_MIB));
    const vs_block other = take(&f, 80 * VS_MIB);
    assert_int_equal(vs_pool_block_size(f.pool, other), 80 * VS_MIB);
    const vs_block same = take(&f, 82 * VS_MIB);
    assert_int_equal(vs_pool_block_size(f.pool, same), 100 * VS_MIB);
    drop(&f);
}

static void garbage_collection_stops_when_exactly_enough_is_freed(void **state)
{
    (void)state;
    fixture f;
    vs_alloc_conf conf = vs_alloc_conf_default(209);
    conf.gc_threshold = 0.5;
    conf.memory_fraction = 1.0; /* in force up to 2.9 */
    make(&f, &conf, 256 * VS_MIB, false);
    const vs_block keep =
        take(&f, 5 * VS_MIB); /* its 20 MiB segment serves the searches below */
    const vs_block old = take(&f, 40 * VS_MIB);
    const vs_block young = take(&f, 40 * VS_MIB);
    (void)take(&f, 68 * VS_MIB);
    give(&f, old);
    for (int i = 0; i < 4; i++) {
        give(&f, take(&f, 2 * VS_MIB));
    }
    give(&f, young);
    (void)take(&f, 50 * VS_MIB); /* 168 MiB held, 128 allowed: 40 are wanted */
    const vs_pool_stats *stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->num_device_free, 1);
    assert_int_equal(stats->reserved_bytes[VS_STAT_ALL].current, 178 * VS_MIB);
    give(&f, keep);
    drop(&f);
}

static void a_fraction_of_one_is_a_limit_up_to_2_9_only(void **state)
{
    (void)state;
    const vs_torch_version releases[] = {209, 210};
    for (int i = 0; i < 2; i++) {
        fixture f;
        vs_alloc_conf conf = vs_alloc_conf_default(releases[i]);
        conf.memory_fraction = 1.0;
        make(&f, &conf, 100 * VS_MIB, false);
        vs_block block = {0};
        const vs_pool_request request = {.size_bytes = 101 * VS_MIB};
        assert_int_equal(vs_pool_alloc(f.pool, 0, &request, &block), VS_ALLOC_OOM);
        /* With the limit in force the driver is not even asked. */
        assert_int_equal(f.driver.malloc_calls, i == 0 ? 0 : 2);
        assert_true((vs_pool_oom_info(f.pool).limit_bytes == VS_POOL_UNLIMITED) == (i == 1));
        drop(&f);
    }
}

/* ---- statistics ------------------------------------------------------------------------------- */

static void peaks_of_active_count_pending_blocks(void **state)
{
    (void)state;
    fixture f;
    make(&f, NULL, VS_GIB, false);
    const vs_block a = take(&f, 30 * VS_MIB);
    assert_true(vs_pool_record_stream(f.pool, a, 7));
    vs_pool_stream_busy(f.pool, 7);
    give(&f, a);
    (void)take(&f, 40 * VS_MIB);
    const vs_pool_stats *stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->allocated_bytes[VS_STAT_ALL].peak, 40 * VS_MIB);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].peak, 70 * VS_MIB);
    assert_int_equal(stats->active[VS_STAT_LARGE].peak, 2);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].freed, 0);
    assert_int_equal(stats->allocated_bytes[VS_STAT_ALL].freed, 30 * VS_MIB);
    vs_pool_stream_done(f.pool, 7);
    vs_pool_empty_cache(f.pool, 0);
    stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].freed, 30 * VS_MIB);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].current, 40 * VS_MIB);
    vs_pool_reset_peak(f.pool);
    stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->active_bytes[VS_STAT_ALL].peak, 40 * VS_MIB);
    drop(&f);
}

static void tensor_bytes_leave_out_slack_and_uncounted_requests(void **state)
{
    (void)state;
    fixture f;
    make(&f, NULL, VS_GIB, false);
    const vs_block a = take(&f, 21 * VS_MIB + 1); /* 22 MiB segment, slack stays */
    const vs_pool_request warmup = {.size_bytes = 50 * VS_MIB, .flags = VS_REQUEST_UNCOUNTED};
    vs_block b = {0};
    assert_int_equal(vs_pool_alloc(f.pool, 0, &warmup, &b), VS_ALLOC_OK);
    const vs_pool_stats *stats = vs_pool_get_stats(f.pool);
    assert_int_equal(stats->tensor_bytes.current, 21 * VS_MIB + 512);
    assert_int_equal(stats->allocated_bytes[VS_STAT_ALL].current, 72 * VS_MIB);
    give(&f, b);
    assert_int_equal(vs_pool_get_stats(f.pool)->tensor_bytes.current, 21 * VS_MIB + 512);
    give(&f, a);
    assert_int_equal(vs_pool_get_stats(f.pool)->tensor_bytes.current, 0);
    assert_int_equal(vs_pool_get_stats(f.pool)->tensor_bytes.peak, 21 * VS_MIB + 512);
    drop(&f);
}

static void the_modelled_driver_counts_every_call(void **state)
{
    (void)state;
    fixture f;
    make(&f, NULL, 50 * VS_MIB, false);
    give(&f, take(&f, 30 * VS_MIB));
    (void)take(&f, 40 * VS_MIB); /* refused, 30 MiB go back, then given */
    assert_int_equal(f.driver.malloc_calls, 3);
    assert_int_equal(f.driver.free_calls, 1);
    assert_int_equal(f.driver.in_use_bytes, 40 * VS_MIB);
    drop(&f);
}

static void handles_of_reused_slots_differ(void **state)
{
    (void)state;
    fixture f;
    make(&f, NULL, VS_GIB, false);
    const vs_block a = take(&f, 30 * VS_MIB);
    give(&f, a);
    const vs_block b = take(&f, 30 * VS_MIB);
    assert_int_equal(vs_pool_block_addr(f.pool, b), f.driver.next_addr - 30 * VS_MIB);
    assert_int_not_equal(a.id, b.id);
    drop(&f);
}

/* ---- expandable segments ------------------------------------------------------------------------ */

static void a_reserve_smaller_than_the_device_makes_more_ranges(void **state)
{
    (void)state;
    fixture f;
    vs_alloc_conf conf = vs_alloc_conf_default(0);
    vs_err err = {0};
    assert_true(vs_alloc_conf_parse(
        &conf, vs_str_of("expandable_segments:True,expandable_segments_reserve:0.1"), &err));
    make(&f, &conf, VS_GIB, false);
    const uint64_t first = vs_pool_block_addr(f.pool, take(&f, 70 * VS_MIB));
    const uint64_t second = vs_pool_block_addr(f.pool, take(&f, 70 * VS_MIB));
    /* 102.4 MiB in pages of 20 MiB: 120 MiB a range. */
    assert_int_equal(second - first, 120 * VS_MIB);
    /* More than a range can hold, although the device could. */
    vs_block block = {0};
    const vs_pool_request request = {.size_bytes = 130 * VS_MIB};
    assert_int_equal(vs_pool_alloc(f.pool, 0, &request, &block), VS_ALLOC_OOM);
    drop(&f);
}

static void with_the_mode_switched_off_ranges_are_passed_over(void **state)
{
    (void)state;
    fixture f;
    vs_alloc_conf conf = vs_alloc_conf_default(0);
    conf.expandable_segments = true;
    make(&f, &conf, VS_GIB, false);
    const vs_block a = take(&f, 30 * VS_MIB);
    give(&f, a);
    conf.expandable_segments = false;
    vs_pool_set_conf(f.pool, &conf);
    (void)take(&f, 30 * VS_MIB);
    assert_int_equal(vs_pool_get_stats(f.pool)->segment[VS_STAT_ALL].current, 1);
    assert_int_equal(vs_pool_get_stats(f.pool)->reserved_bytes[VS_STAT_ALL].current,
                     70 * VS_MIB);
    drop(&f);
}

/* ---- tape ----------------------------------------------------------------------------------------- */

static void check_event(const vs_timeline *tl, uint32_t index, vs_event_kind kind,
                        vs_bytes size, vs_bytes asked)
{
    const vs_event event = vs_timeline_event(tl, index);
    assert_string_equal(vs_event_kind_key((vs_event_kind)event.kind), vs_event_kind_key(kind));
    assert_int_equal(event.size_bytes, size);
    assert_int_equal(event.asked_bytes, asked);
}

static void the_tape_has_the_events_in_their_order(void **state)
{
    (void)state;
    fixture f;
    make(&f, NULL, 50 * VS_MIB, true);
    const uint32_t name = vs_tape_string(f.tape, vs_str_of("lm_head.weight"));
    vs_pool_request request = {
        .size_bytes = 30 * VS_MIB, .stream = 3, .category = VS_CAT_STAGING, .name = name};
    vs_block a = {0};
    assert_int_equal(vs_pool_alloc(f.pool, 10, &request, &a), VS_ALLOC_OK);
    vs_pool_recategorise(f.pool, 20, a, VS_CAT_W_16);
    assert_true(vs_pool_record_stream(f.pool, a, 9));
    vs_pool_free(f.pool, 30, a); /* completes only with the next allocation */
    request.size_bytes = 40 * VS_MIB;
    vs_block b = {0};
    assert_int_equal(vs_pool_alloc(f.pool, 40, &request, &b), VS_ALLOC_OK);
    request.size_bytes = 11 * VS_MIB;
    vs_block c = {0};
    assert_int_equal(vs_pool_alloc(f.pool, 50, &request, &c), VS_ALLOC_OOM);

    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(f.tape, &tl, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(tl.event_count, 9);
    check_event(&tl, 0, VS_EV_SEGMENT_ALLOC, 30 * VS_MIB, 0);
    check_event(&tl, 1, VS_EV_ALLOC, 30 * VS_MIB, 30 * VS_MIB);
    check_event(&tl, 2, VS_EV_RECAT, 30 * VS_MIB, 30 * VS_MIB);
    check_event(&tl, 3, VS_EV_FREE_REQUESTED, 30 * VS_MIB, 30 * VS_MIB);
    check_event(&tl, 4, VS_EV_FREE, 30 * VS_MIB, 30 * VS_MIB);
    check_event(&tl, 5, VS_EV_SEGMENT_FREE, 30 * VS_MIB, 0);
    check_event(&tl, 6, VS_EV_SEGMENT_ALLOC, 40 * VS_MIB, 0);
    check_event(&tl, 7, VS_EV_ALLOC, 40 * VS_MIB, 40 * VS_MIB);
    check_event(&tl, 8, VS_EV_OOM, 12 * VS_MIB, 11 * VS_MIB);
    const vs_event alloc = vs_timeline_event(&tl, 1);
    const vs_event asked = vs_timeline_event(&tl, 3);
    const vs_event freed = vs_timeline_event(&tl, 4);
    const vs_event oom = vs_timeline_event(&tl, 8);
    assert_int_equal(alloc.name, name);
    assert_int_equal(alloc.category, VS_CAT_STAGING);
    assert_int_equal(alloc.stream, 3);
    assert_int_equal(asked.block, alloc.block);
    assert_int_equal(asked.time_ns, 30);
    assert_int_equal(freed.block, alloc.block);
    assert_int_equal(freed.time_ns, 40);
    assert_int_equal(freed.category, VS_CAT_W_16);
    assert_int_equal(oom.extra, 10 * VS_MIB);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oversize_release_stops_when_the_sum_is_exactly_enough),
        cmocka_unit_test(
            an_oversize_block_of_request_plus_slack_is_refused_one_page_less_is_taken),
        cmocka_unit_test(garbage_collection_stops_when_exactly_enough_is_freed),
        cmocka_unit_test(a_fraction_of_one_is_a_limit_up_to_2_9_only),
        cmocka_unit_test(peaks_of_active_count_pending_blocks),
        cmocka_unit_test(tensor_bytes_leave_out_slack_and_uncounted_requests),
        cmocka_unit_test(the_modelled_driver_counts_every_call),
        cmocka_unit_test(handles_of_reused_slots_differ),
        cmocka_unit_test(a_reserve_smaller_than_the_device_makes_more_ranges),
        cmocka_unit_test(with_the_mode_switched_off_ranges_are_passed_over),
        cmocka_unit_test(the_tape_has_the_events_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
