/* tests/unit/test_live.c - sim/study/live.c */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static void put(vs_tape *tape, vs_ns now, vs_event_kind kind, uint32_t block, vs_bytes size)
{
    vs_tape_event(tape,
                  &(vs_event){.time_ns = now,
                              .kind = (uint8_t)kind,
                              .size_bytes = size,
                              .asked_bytes = size,
                              .block = block,
                              .category = kind == VS_EV_RECAT ? VS_CAT_W_16 : VS_CAT_STAGING});
}

/* Events: 0..3 allocate 4, 8, 8 and 2 MiB; 4 makes weights of block 1; 5 frees block 2. */
static vs_timeline four_blocks(scratch *s)
{
    static const vs_bytes sizes[4] = {4 * VS_MIB, 8 * VS_MIB, 8 * VS_MIB, 2 * VS_MIB};
    vs_timeline tl = {0};
    vs_err err = {0};
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    assert_non_null(tape);
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu", VS_GIB);
    for (uint32_t i = 0; i < 4; i++) {
        put(tape, i, VS_EV_ALLOC, vs_tape_new_block(tape), sizes[i]);
    }
    put(tape, 4, VS_EV_RECAT, 1, 0);
    put(tape, 5, VS_EV_FREE, 2, 0);
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

static void the_largest_come_first_and_equals_by_their_number(void **state)
{
    const vs_timeline tl = four_blocks(*state);
    vs_live live[8];
    assert_int_equal(vs_study_largest(&tl, 0, 3, live, 8), 4);
    assert_int_equal(live[0].block, 1);
    assert_int_equal(live[1].block, 2);
    assert_int_equal(live[2].block, 0);
    assert_int_equal(live[3].block, 3);
    assert_int_equal(live[0].size_bytes, 8 * VS_MIB);
}

static void no_more_than_asked_for_are_returned(void **state)
{
    const vs_timeline tl = four_blocks(*state);
    vs_live live[2];
    assert_int_equal(vs_study_largest(&tl, 0, 3, live, 2), 2);
    assert_int_equal(live[1].block, 2);
    assert_int_equal(vs_study_largest(&tl, 0, 3, live, 0), 0);
}

static void a_block_has_the_category_of_that_moment(void **state)
{
    const vs_timeline tl = four_blocks(*state);
    vs_live live[1];
    assert_int_equal(vs_study_largest(&tl, 0, 3, live, 1), 1);
    assert_int_equal(live[0].category, VS_CAT_STAGING);
    assert_int_equal(vs_study_largest(&tl, 0, 4, live, 1), 1);
    assert_int_equal(live[0].category, VS_CAT_W_16);
}

static void the_unborn_the_dead_and_other_memories_do_not_count(void **state)
{
    const vs_timeline tl = four_blocks(*state);
    vs_live live[8];
    assert_int_equal(vs_study_largest(&tl, 0, 0, live, 8), 1);
    assert_int_equal(vs_study_largest(&tl, 0, 5, live, 8), 3);
    assert_int_equal(live[1].block, 0);
    assert_int_equal(vs_study_largest(&tl, 1, 5, live, 8), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_largest_come_first_and_equals_by_their_number),
        TEST(no_more_than_asked_for_are_returned),
        TEST(a_block_has_the_category_of_that_moment),
        TEST(the_unborn_the_dead_and_other_memories_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
