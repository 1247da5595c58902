/* Draw list: what is appended, clipped, dropped and dumped; hatches; UTF-8. */
#include "viz/draw/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scratch.h"

static const vs_text_style style = {.size_px = 10, .color = VS_RGB(0x112233)};

static char *dump(scratch *s, const vs_draw_list *list)
{
    static const char name[] = "list.txt";
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open(scratch_path(s, name), &err);
    assert_non_null(out);
    vs_draw_dump(list, out);
    assert_true(vs_outfile_commit(out, &err));
    vs_file file;
    assert_true(vs_file_open(&file, scratch_path(s, name), &err));
    char *text = vs_str_copy(&s->arena, (vs_str){(const char *)file.bytes, file.size_bytes});
    vs_file_close(&file);
    assert_non_null(text);
    return text;
}

static void every_kind_of_item_is_one_line_of_the_dump(void **state)
{
    scratch *s = *state;
    vs_draw_list list;
    vs_draw_init(&list, &s->arena, 100, 50);
    vs_draw_rect(&list, vs_rect_of(1, 2, 3, 4), VS_RGB(0xABCDEF));
    vs_draw_fill(&list, vs_rect_of(1, 2, 3, 4),
                 (vs_fill){VS_RGB(0), VS_RGB(0xFF), VS_HATCH_CROSS});
    const vs_point points[2] = {{0, 0}, {5, 7}};
    vs_draw_lines(&list, points, 2, 3, VS_RGB(1));
    vs_draw_text(&list, 9, 8, &style, vs_str_of("a b"));
    vs_draw_push_clip(&list, vs_rect_of(10, 10, 200, 5));
    assert_string_equal(dump(s, &list), "picture 100 50\n"
                                        "rect 1 2 3 4 #FFABCDEF\n"
                                        "rect 1 2 3 4 #FF000000 cross #FF0000FF\n"
                                        "line 3 #FF000001 0,0 5,7\n"
                                        "text 9 8 left 10 #FF112233 \"a b\"\n"
                                        "clip 10 10 90 5\n");
}

static void what_is_outside_the_clip_is_dropped_and_the_rest_cut(void **state)
{
    scratch *s = *state;
    vs_draw_list list;
    vs_draw_init(&list, &s->arena, 100, 50);
    vs_draw_rect(&list, vs_rect_of(100, 0, 5, 5), VS_RGB(0));
    vs_draw_rect(&list, vs_rect_of(5, 5, 0, 5), VS_RGB(0));
    assert_int_equal(list.count, 0);
    vs_draw_push_clip(&list, vs_rect_of(10, 10, 10, 10));
    vs_draw_rect(&list, vs_rect_of(0, 0, 15, 15), VS_RGB(0));
    vs_draw_pop_clip(&list);
    vs_draw_rect(&list, vs_rect_of(-5, -5, 15, 15), VS_RGB(0));
    assert_string_equal(dump(s, &list), "picture 100 50\nclip 10 10 10 10\n"
                                        "rect 10 10 5 5 #FF000000\nclip 0 0 100 50\n"
                                        "rect 0 0 10 10 #FF000000\n");
}

static void thousands_of_items_keep_their_order(void **state)
{
    scratch *s = *state;
    vs_draw_list list;
    vs_draw_init(&list, &s->arena, 20000, 10);
    for (int32_t i = 0; i < 10000; i++) {
        vs_draw_rect(&list, vs_rect_of(i, 0, 1, 1), VS_RGB(0));
    }
    assert_int_equal(list.count, 10000);
    for (int32_t i = 0; i < 10000; i++) {
        assert_int_equal(list.items[i].rect.x, i);
    }
}

static void an_exhausted_arena_is_remembered(void **state)
{
    scratch *s = *state;
    for (uint64_t n = 1; n <= 4; n++) {
        vs_arena_reset(&s->arena);
        s->arena.fail_at = n;
        vs_draw_list list;
        vs_draw_init(&list, &s->arena, 100, 100);
        vs_draw_text(&list, 0, 0, &style, vs_str_of("one"));
        const vs_point points[2] = {{0, 0}, {1, 1}};
        vs_draw_lines(&list, points, 2, 1, VS_RGB(0));
        assert_int_equal(list.has_failed, n <= 3);
        vs_draw_rect(&list, vs_rect_of(0, 0, 5, 5), VS_RGB(0));
        assert_int_equal(list.count, n <= 3 ? list.count : 3);
    }
}

static void hatches_continue_across_neighbours_and_have_their_density(void **state)
{
    (void)state;
    int ink[VS_HATCH_COUNT] = {0};
    for (int32_t y = 0; y < 48; y++) {
        for (int32_t x = 0; x < 48; x++) {
            for (int h = 0; h < VS_HATCH_COUNT; h++) {
                ink[h] += vs_hatch_covers((vs_hatch)h, x, y, 1);
                assert_int_equal(vs_hatch_covers((vs_hatch)h, x, y, 1),
                                 vs_hatch_covers((vs_hatch)h, 2 * x + 1, 2 * y, 2));
            }
        }
    }
    assert_int_equal(ink[VS_HATCH_NONE], 0);
    assert_int_equal(ink[VS_HATCH_DIAGONAL], 48 * 48 / 4);
    assert_int_equal(ink[VS_HATCH_SPARSE], 48 * 48 / 12);
    assert_int_equal(ink[VS_HATCH_DOTS4], 48 * 48 / 16);
    assert_int_equal(ink[VS_HATCH_DOTS6], 48 * 48 / 36);
    assert_int_equal(ink[VS_HATCH_VERTICAL], 48 * 48 / 6);
}

static void utf8_is_decoded_and_bad_bytes_are_replaced(void **state)
{
    (void)state;
    /* a, e acute, Hangul, an emoji, then: stray continuation, forged slash, surrogate, cut
     * off. */
    vs_str text =
        vs_str_of("a\xC3\xA9\xED\x95\x9C\xF0\x9F\x98\x80\x80\xC0\xAF\xED\xA0\x80\xE2\x82");
    static const uint32_t want[] = {'a',    0xE9,   0xD55C, 0x1F600, 0xFFFD, 0xFFFD,
                                    0xFFFD, 0xFFFD, 0xFFFD, 0xFFFD,  0xFFFD, 0xFFFD};
    size_t i = 0;
    while (text.len > 0) {
        assert_in_range(i, 0, sizeof want / sizeof want[0] - 1);
        assert_int_equal(vs_utf8_next(&text), want[i]);
        i++;
    }
    assert_int_equal(i, sizeof want / sizeof want[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_item_is_one_line_of_the_dump,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(what_is_outside_the_clip_is_dropped_and_the_rest_cut,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(thousands_of_items_keep_their_order, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(an_exhausted_arena_is_remembered, scratch_open,
                                        scratch_close),
        cmocka_unit_test(hatches_continue_across_neighbours_and_have_their_density),
        cmocka_unit_test(utf8_is_decoded_and_bad_bytes_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
