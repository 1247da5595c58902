/* tests/unit/test_chart.c - sim/study/chart.c: small tapes drawn, and the whole text compared. */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static void put(vs_tape *tape, vs_ns now, vs_event_kind kind, vs_category category,
                vs_bytes size)
{
    const bool is_block = kind == VS_EV_ALLOC;
    vs_tape_event(tape, &(vs_event){.time_ns = now,
                                    .kind = (uint8_t)kind,
                                    .size_bytes = size,
                                    .asked_bytes = size,
                                    .block = is_block ? vs_tape_new_block(tape) : VS_NO_BLOCK,
                                    .category = (uint8_t)category});
}

static vs_tape *new_tape(scratch *s, vs_bytes capacity)
{
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    assert_non_null(tape);
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu", capacity);
    return tape;
}

static const char *drawn(scratch *s, vs_tape *tape, uint32_t columns, uint32_t rows,
                         bool is_utf8)
{
    vs_err err = {0};
    vs_timeline tl = {0};
    vs_file file = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    vs_outfile *out = vs_outfile_open(scratch_path(s, "chart.txt"), &err);
    assert_non_null(out);
    vs_study_chart(&tl, 0, out, columns, rows, is_utf8);
    assert_true(vs_outfile_commit(out, &err));
    assert_true(vs_file_open(&file, scratch_path(s, "chart.txt"), &err));
    const char *text =
        vs_str_copy(&s->arena, (vs_str){(const char *)file.bytes, file.size_bytes});
    vs_file_close(&file);
    assert_non_null(text);
    return text;
}

/* 1 GiB card: context, weights that grow for four seconds, staging on top, and memory runs out. */
static vs_tape *a_load_that_fails(scratch *s)
{
    vs_tape *tape = new_tape(s, VS_GIB);
    put(tape, 0, VS_EV_LEVEL, VS_CAT_CONTEXT, 128 * VS_MIB);
    for (vs_ns i = 0; i < 20; i++) {
        const vs_ns now = i * 200000000;
        put(tape, now, VS_EV_SEGMENT_ALLOC, VS_CAT_CONTEXT, 38 * VS_MIB);
        put(tape, now, VS_EV_ALLOC, i % 4 == 3 ? VS_CAT_STAGING : VS_CAT_W_16, 36 * VS_MIB);
    }
    put(tape, 4000000000, VS_EV_OOM, VS_CAT_CONTEXT, 200 * VS_MIB);
    put(tape, 4400000000, VS_EV_MARK, VS_CAT_CONTEXT, 0);
    return tape;
}

static void a_failed_load_has_a_cross_where_memory_ran_out(void **state)
{
    static const char expected[] =
        "   1.00 GiB ┌───────────────── out of memory at 4.00 s ✗────\n"
        "            │                                          ┊\n"
        " 832.00 MiB ┤                                      ░▒░▒▒▒▒▒▒\n"
        "            │                                ░▒▒▒▒▒▒▒▒▒▒▒▒▒▒\n"
        "            │                       ░▒░▒▒▒▒▒▒▒▒▒████████████\n"
        " 448.00 MiB ┤                 ░▒▒▒▒█████████████████████████\n"
        "            │          ░▆███████████████████████████████████\n"
        "            │ ▂░▄▇▇█████████████████████████████████████████\n"
        "            │▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚\n"
        "        0 B └┴──────────┴───────────┴──────────┴───────────┴\n"
        "             0 s     1.10 s      2.20 s     3.30 s    4.40 s\n"
        "             ▚ CUDA context  █ weights bf16/fp16\n"
        "             ▒ staging  ░ reserved, free\n";
    scratch *s = *state;
    assert_string_equal(drawn(s, a_load_that_fails(s), 60, 9, true), expected);
}

static void the_same_in_ascii(void **state)
{
    static const char expected[] =
        "   1.00 GiB +----------------- out of memory at 4.00 s X----\n"
        "            |                                          :\n"
        " 832.00 MiB +                                      .s.ssssss\n"
        "            |                                .ssssssssssssss\n"
        "            |                       .s.ssssssssswwwwwwwwwwww\n"
        " 448.00 MiB +                 .sssswwwwwwwwwwwwwwwwwwwwwwwww\n"
        "            |          .wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww\n"
        "            |  .wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww\n"
        "            |ccccccccccccccccccccccccccccccccccccccccccccccc\n"
        "        0 B ++----------+-----------+----------+-----------+\n"
        "             0 s     1.10 s      2.20 s     3.30 s    4.40 s\n"
        "             c CUDA context  w weights bf16/fp16\n"
        "             s staging  . reserved, free\n";
    scratch *s = *state;
    assert_string_equal(drawn(s, a_load_that_fails(s), 60, 9, false), expected);
}

/* Used for one nanosecond of ten seconds: the whole height of one column. */
static void the_shortest_peak_is_seen(void **state)
{
    scratch *s = *state;
    vs_tape *tape = new_tape(s, VS_GIB);
    put(tape, 0, VS_EV_LEVEL, VS_CAT_CONTEXT, 0);
    put(tape, 4000000000, VS_EV_SEGMENT_ALLOC, VS_CAT_CONTEXT, VS_GIB);
    put(tape, 4000000001, VS_EV_SEGMENT_FREE, VS_CAT_CONTEXT, VS_GIB);
    put(tape, 10000000000, VS_EV_MARK, VS_CAT_CONTEXT, 0);
    const char *text = drawn(s, tape, 60, 6, false);
    uint32_t cells = 0;
    for (const char *at = strchr(text, '\n'); at != NULL && strstr(at, "0 B") != NULL; at++) {
        cells +=
            *at == '.' && at[1] == '\n' ? 1 : 0; /* last of its line: nothing after the peak */
    }
    assert_int_equal(cells, 5);
}

static void a_tape_without_capacity_is_scaled_to_its_peak(void **state)
{
    scratch *s = *state;
    vs_tape *tape = new_tape(s, 0);
    put(tape, 0, VS_EV_LEVEL, VS_CAT_CONTEXT, 512 * VS_MIB);
    const char *text = drawn(s, tape, 60, 5, false);
    assert_non_null(strstr(text, "512.00 MiB +"));
    assert_non_null(strstr(text, "c CUDA context"));
}

static void more_than_the_capacity_moves_the_line_into_the_picture(void **state)
{
    scratch *s = *state;
    vs_tape *tape = new_tape(s, 512 * VS_MIB);
    put(tape, 0, VS_EV_LEVEL, VS_CAT_CONTEXT, 64 * VS_MIB);
    put(tape, 1000, VS_EV_LEVEL, VS_CAT_CONTEXT, VS_GIB);
    const char *text = drawn(s, tape, 60, 9, false);
    assert_non_null(strstr(text, "1.00 GiB +"));
    assert_non_null(strstr(text, "----------------------------------------------c\n"));
}

static void an_unknown_memory_draws_nothing(void **state)
{
    scratch *s = *state;
    vs_tape *tape = new_tape(s, VS_GIB);
    assert_string_equal(drawn(s, tape, 60, 9, true), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_failed_load_has_a_cross_where_memory_ran_out),
        TEST(the_same_in_ascii),
        TEST(the_shortest_peak_is_seen),
        TEST(a_tape_without_capacity_is_scaled_to_its_peak),
        TEST(more_than_the_capacity_moves_the_line_into_the_picture),
        TEST(an_unknown_memory_draws_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
