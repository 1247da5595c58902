/* tests/unit/test_peak.c - sim/study/peak.c */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static vs_tape *new_tape(scratch *s)
{
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    assert_non_null(tape);
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu", VS_GIB);
    (void)vs_tape_add_device(tape, VS_DEVICE_HOST, "host", VS_GIB);
    return tape;
}

static void segment(vs_tape *tape, vs_ns now, vs_bytes size, bool is_free)
{
    vs_tape_event(tape, &(vs_event){.time_ns = now,
                                    .kind = is_free ? VS_EV_SEGMENT_FREE : VS_EV_SEGMENT_ALLOC,
                                    .size_bytes = size,
                                    .block = VS_NO_BLOCK});
}

static uint32_t alloc(vs_tape *tape, vs_ns now, vs_bytes size, vs_category category)
{
    const uint32_t block = vs_tape_new_block(tape);
    vs_tape_event(tape, &(vs_event){.time_ns = now,
                                    .kind = VS_EV_ALLOC,
                                    .size_bytes = size,
                                    .asked_bytes = size,
                                    .block = block,
                                    .category = (uint8_t)category});
    return block;
}

static void release(vs_tape *tape, vs_ns now, uint32_t block)
{
    vs_tape_event(tape, &(vs_event){.time_ns = now, .kind = VS_EV_FREE, .block = block});
}

static vs_timeline seal(vs_tape *tape)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

static void the_peak_is_where_most_is_used(void **state)
{
    vs_tape *tape = new_tape(*state);
    segment(tape, 10, 20 * VS_MIB, false);
    (void)alloc(tape, 20, 4 * VS_MIB, VS_CAT_W_16);
    segment(tape, 30, 40 * VS_MIB, false);
    segment(tape, 40, 40 * VS_MIB, true);
    const vs_timeline tl = seal(tape);
    vs_moment peak = {0};
    assert_true(vs_study_peak(&tl, 0, &peak));
    assert_int_equal(peak.time_ns, 30);
    assert_int_equal(peak.event, 2);
    assert_int_equal(peak.used_bytes, 60 * VS_MIB);
    assert_int_equal(peak.categories[VS_CAT_W_16], 4 * VS_MIB);
    assert_int_equal(peak.categories[VS_CAT_RESFREE], 56 * VS_MIB);
}

static void among_equal_uses_the_one_with_most_allocated_counts(void **state)
{
    vs_tape *tape = new_tape(*state);
    segment(tape, 10, 20 * VS_MIB, false); /* used stays at its peak from here */
    const uint32_t small = alloc(tape, 20, 4 * VS_MIB, VS_CAT_STAGING);
    (void)alloc(tape, 30, 8 * VS_MIB, VS_CAT_W_16);
    release(tape, 40, small);
    const vs_timeline tl = seal(tape);
    vs_moment peak = {0};
    assert_true(vs_study_peak(&tl, 0, &peak));
    assert_int_equal(peak.time_ns, 30);
    assert_int_equal(peak.categories[VS_CAT_STAGING], 4 * VS_MIB);
    assert_int_equal(peak.categories[VS_CAT_W_16], 8 * VS_MIB);
}

static void among_equal_moments_the_first_counts(void **state)
{
    vs_tape *tape = new_tape(*state);
    segment(tape, 10, 20 * VS_MIB, false);
    const uint32_t first = alloc(tape, 20, 4 * VS_MIB, VS_CAT_STAGING);
    release(tape, 30, first);
    (void)alloc(tape, 40, 4 * VS_MIB, VS_CAT_STAGING);
    const vs_timeline tl = seal(tape);
    vs_moment peak = {0};
    assert_true(vs_study_peak(&tl, 0, &peak));
    assert_int_equal(peak.time_ns, 20);
}

static void a_plateau_begins_with_what_was_allocated_before_it(void **state)
{
    vs_tape *tape = new_tape(*state);
    segment(tape, 10, 20 * VS_MIB, false);
    const uint32_t block = alloc(tape, 20, 16 * VS_MIB, VS_CAT_W_16);
    segment(tape, 30, 20 * VS_MIB, false); /* the peak begins with 16 MiB allocated */
    release(tape, 40, block);
    const vs_timeline tl = seal(tape);
    vs_moment peak = {0};
    assert_true(vs_study_peak(&tl, 0, &peak));
    assert_int_equal(peak.time_ns, 30);
    assert_int_equal(peak.categories[VS_CAT_W_16], 16 * VS_MIB);
}

static void a_host_has_a_peak_too_and_an_unused_memory_none(void **state)
{
    vs_tape *tape = new_tape(*state);
    vs_tape_event(tape, &(vs_event){.time_ns = 5,
                                    .kind = VS_EV_LEVEL,
                                    .device = 1,
                                    .category = VS_CAT_PAGECACHE,
                                    .size_bytes = 3 * VS_MIB,
                                    .block = VS_NO_BLOCK});
    const vs_timeline tl = seal(tape);
    vs_moment peak = {0};
    assert_true(vs_study_peak(&tl, 1, &peak));
    assert_int_equal(peak.used_bytes, 3 * VS_MIB);
    assert_int_equal(peak.categories[VS_CAT_PAGECACHE], 3 * VS_MIB);
    vs_moment untouched = {.event = 77};
    assert_false(vs_study_peak(&tl, 9, &untouched));
    assert_int_equal(untouched.event, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_peak_is_where_most_is_used),
        TEST(among_equal_uses_the_one_with_most_allocated_counts),
        TEST(among_equal_moments_the_first_counts),
        TEST(a_plateau_begins_with_what_was_allocated_before_it),
        TEST(a_host_has_a_peak_too_and_an_unused_memory_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
