/* Raster: exact pixels of fills, blends, hatches, lines, clips and glyphs. */
#include "viz/draw/raster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define SIDE 32

typedef struct {
    uint32_t pixels[SIDE * SIDE];
    vs_draw_list list;
    vs_surface surface;
} canvas;

static canvas *canvas_of(scratch *s)
{
    canvas *c = VS_NEW(&s->arena, canvas);
    assert_non_null(c);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        c->pixels[i] = VS_RGB(0);
    }
    c->surface = (vs_surface){c->pixels, SIDE, SIDE};
    vs_draw_init(&c->list, &s->arena, SIDE, SIDE);
    return c;
}

static uint32_t at(const canvas *c, int x, int y)
{
    return c->pixels[y * SIDE + x];
}

static size_t count(const canvas *c, uint32_t color)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        n += c->pixels[i] == color;
    }
    return n;
}

static void a_fill_covers_exactly_its_rectangle(void **state)
{
    canvas *c = canvas_of(*state);
    vs_draw_rect(&c->list, vs_rect_of(3, 4, 5, 6), VS_RGB(0x123456));
    vs_raster_list(&c->surface, &c->list, NULL);
    assert_int_equal(count(c, VS_RGB(0x123456)), 30);
    assert_int_equal(at(c, 3, 4), VS_RGB(0x123456));
    assert_int_equal(at(c, 7, 9), VS_RGB(0x123456));
    assert_int_equal(at(c, 8, 9), VS_RGB(0));
    assert_int_equal(at(c, 7, 10), VS_RGB(0));
}

static void half_of_white_over_black_is_grey_and_stays_opaque(void **state)
{
    canvas *c = canvas_of(*state);
    vs_draw_rect(&c->list, vs_rect_of(0, 0, 1, 1), vs_color_with_alpha(VS_RGB(0xFFFFFF), 128));
    vs_draw_rect(&c->list, vs_rect_of(1, 0, 1, 1), vs_color_with_alpha(VS_RGB(0xFFFFFF), 0));
    vs_raster_list(&c->surface, &c->list, NULL);
    assert_int_equal(at(c, 0, 0), VS_RGB(0x808080));
    assert_int_equal(at(c, 1, 0), VS_RGB(0));
}

static void a_hatch_puts_its_ink_where_the_pattern_says(void **state)
{
    for (int h = VS_HATCH_DIAGONAL; h < VS_HATCH_COUNT; h++) {
        canvas *c = canvas_of(*state);
        vs_draw_fill(&c->list, vs_rect_of(0, 0, SIDE, SIDE),
                     (vs_fill){VS_RGB(0xFF), VS_RGB(0xFF00), (vs_hatch)h});
        vs_raster_list(&c->surface, &c->list, NULL);
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                assert_int_equal(at(c, x, y), vs_hatch_covers((vs_hatch)h, x, y, 1)
                                                  ? VS_RGB(0xFF00)
                                                  : VS_RGB(0xFF));
            }
        }
    }
}

static void a_line_is_solid_along_its_middle_and_soft_at_its_edge(void **state)
{
    canvas *c = canvas_of(*state);
    const vs_point points[2] = {{4, 4}, {20, 20}};
    vs_draw_lines(&c->list, points, 2, 1, VS_RGB(0xFFFFFF));
    vs_raster_list(&c->surface, &c->list, NULL);
    for (int i = 4; i <= 20; i++) {
        assert_int_equal(at(c, i, i), VS_RGB(0xFFFFFF));
    }
    const uint32_t beside = at(c, 11, 10) & 255u; /* 0.707 px away: 0.29 covered */
    assert_in_range(beside, 70, 80);
    assert_int_equal(at(c, 12, 10), VS_RGB(0));
    assert_int_equal(at(c, 2, 2), VS_RGB(0));
}

static void nothing_is_drawn_outside_the_clip_or_the_surface(void **state)
{
    canvas *c = canvas_of(*state);
    vs_draw_push_clip(&c->list, vs_rect_of(8, 8, 8, 8));
    const vs_point points[2] = {{-100, 12}, {100, 12}};
    vs_draw_lines(&c->list, points, 2, 3, VS_RGB(0xFFFFFF));
    vs_draw_pop_clip(&c->list);
    /* A surface smaller than the picture: what is outside is left out. */
    c->surface.height = 20;
    vs_draw_rect(&c->list, vs_rect_of(0, 18, 2, 10), VS_RGB(0xFF0000));
    vs_raster_list(&c->surface, &c->list, NULL);
    assert_int_equal(count(c, VS_RGB(0xFFFFFF)), 8 * 3);
    assert_int_equal(at(c, 7, 12), VS_RGB(0));
    assert_int_equal(at(c, 16, 12), VS_RGB(0));
    assert_int_equal(count(c, VS_RGB(0xFF0000)), 4);
}

static vs_font *font_or_skip(void)
{
    vs_err err = {0};
    vs_font *font = vs_font_open(NULL, &err);
    if (font == NULL) {
        print_message("skip: no font on this machine\n");
        skip();
    }
    return font;
}

static void text_is_aligned_by_its_measured_width(void **state)
{
    vs_font *font = font_or_skip();
    const vs_align aligns[3] = {VS_ALIGN_LEFT, VS_ALIGN_CENTER, VS_ALIGN_RIGHT};
    const int32_t width = vs_font_width(font, 12, false, vs_str_of("HH"));
    assert_true(width > 8 && width < SIDE);
    for (int a = 0; a < 3; a++) {
        canvas *c = canvas_of(*state);
        const vs_text_style style = {12, false, aligns[a], VS_RGB(0xFFFFFF)};
        const int32_t x[3] = {2, 2 + width / 2, 2 + width};
        vs_draw_text(&c->list, x[a], 20, &style, vs_str_of("HH"));
        vs_raster_list(&c->surface, &c->list, font);
        size_t inside = 0;
        for (int y = 0; y < SIDE; y++) {
            for (int col = 0; col < SIDE; col++) {
                const bool has_ink = at(c, col, y) != VS_RGB(0);
                inside += has_ink;
                assert_true(!has_ink ||
                            (col >= 2 && col < 2 + width && y >= 20 - 12 && y <= 20));
            }
        }
        assert_in_range(inside, 20, 200);
    }
    vs_font_close(font);
}

static void glyphs_are_rendered_once_and_stay_the_same(void **state)
{
    (void)state;
    vs_font *font = font_or_skip();
    const vs_glyph first = *vs_font_glyph(font, 13, false, 'g');
    assert_in_range(first.width, 4, 13);
    for (uint32_t code = 0x20; code < 0x900; code++) { /* far beyond the table's first size */
        const vs_glyph *glyph = vs_font_glyph(font, 13, code % 2 == 0, code);
        assert_true(glyph->advance_px >= 0 && glyph->advance_px < 40);
    }
    const vs_glyph again = *vs_font_glyph(font, 13, false, 'g');
    assert_ptr_equal(again.coverage, first.coverage);
    const vs_glyph *bold = vs_font_glyph(font, 13, true, 'm');
    assert_true(bold->advance_px >= vs_font_glyph(font, 13, false, 'm')->advance_px);
    vs_font_close(font);
}

static void a_missing_or_foreign_font_file_is_a_clear_error(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    assert_null(vs_font_open(scratch_path(s, "none.ttf"), &err));
    assert_error_says(&err, "none.ttf");
    err = (vs_err){0};
    assert_null(vs_font_open(scratch_write(s, "text.ttf", "this is no font"), &err));
    assert_error_says(&err, "--font");
}

int main(void)
{
#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(a_fill_covers_exactly_its_rectangle),
        WITH_SCRATCH(half_of_white_over_black_is_grey_and_stays_opaque),
        WITH_SCRATCH(a_hatch_puts_its_ink_where_the_pattern_says),
        WITH_SCRATCH(a_line_is_solid_along_its_middle_and_soft_at_its_edge),
        WITH_SCRATCH(nothing_is_drawn_outside_the_clip_or_the_surface),
        WITH_SCRATCH(text_is_aligned_by_its_measured_width),
        WITH_SCRATCH(glyphs_are_rendered_once_and_stay_the_same),
        WITH_SCRATCH(a_missing_or_foreign_font_file_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
