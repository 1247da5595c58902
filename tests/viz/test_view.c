/* The whole picture as a draw list, compared as text with tests/viz/golden; layout; text that
 * fits. UPDATE_GOLDEN=1 writes the golden files anew: look at the difference before committing
 * it. */
#include "tests/viz/small_tape.h"
#include "viz/ui/text.h"
#include "viz/view/headline.h"
#include "viz/view/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scratch.h"

typedef struct {
    vs_timeline tl;
    vs_source source;
    vs_view view;
    vs_frame frame;
    vs_draw_list list;
} picture;

/* A picture of the small tape at 800 x 500 with the made-up font: nothing depends on the
 * machine. */
static picture *picture_of(scratch *s, bool (*make)(vs_arena *, vs_timeline *, vs_err *))
{
    vs_err err = {0};
    picture *p = VS_NEW(&s->arena, picture);
    assert_non_null(p);
    if (!make(&s->arena, &p->tl, &err)) {
        scratch_fail(&err);
    }
    assert_true(vs_source_init(&p->source, &s->arena, &p->tl));
    p->view = (vs_view){.sources = &p->source,
                        .source_count = 1,
                        .scale_pct = 100,
                        .width = 800,
                        .height = 500,
                        .metrics = vs_metrics_fixed()};
    return p;
}

static void draw(scratch *s, picture *p, bool is_overlay)
{
    assert_true(vs_view_prepare(&p->frame, &p->view, &s->arena));
    vs_draw_init(&p->list, &s->arena, p->view.width, p->view.height);
    if (is_overlay) {
        vs_view_draw_overlay(&p->frame, &p->view, &p->list);
    } else {
        vs_view_draw(&p->frame, &p->view, &p->list);
    }
    assert_false(p->list.has_failed);
}

static void write_list(const vs_draw_list *list, const char *path)
{
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open(path, &err);
    assert_non_null(out);
    vs_draw_dump(list, out);
    assert_true(vs_outfile_commit(out, &err));
}

static void assert_golden(scratch *s, const vs_draw_list *list, const char *golden)
{
    const char *actual = scratch_path(s, "actual.txt");
    vs_err err = {0};
    vs_file want = {0};
    vs_file got = {0};
    if (getenv("UPDATE_GOLDEN") != NULL) {
        write_list(list, golden);
    }
    write_list(list, actual);
    if (!vs_file_open(&want, golden, &err) || !vs_file_open(&got, actual, &err)) {
        scratch_fail(&err);
    }
    size_t line = 1;
    size_t i = 0;
    while (i < want.size_bytes && i < got.size_bytes && want.bytes[i] == got.bytes[i]) {
        line += want.bytes[i++] == '\n';
    }
    if (i < want.size_bytes || i < got.size_bytes) {
        fail_msg("%s differs from line %zu on", golden, line);
    }
    vs_file_close(&want);
    vs_file_close(&got);
}

/* The first run of text that begins with this, or NULL. */
static const vs_draw_item *find_text(const vs_draw_list *list, const char *start)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].kind == VS_DRAW_TEXT &&
            strncmp(list->items[i].u.text.bytes, start, strlen(start)) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static bool has_text(const vs_draw_list *list, const char *start)
{
    return find_text(list, start) != NULL;
}

static void the_small_tape_is_drawn_as_it_was(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    draw(s, p, false);
    assert_golden(s, &p->list, "tests/viz/golden/small.txt");
}

static void the_overlay_is_drawn_as_it_was(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    p->view.theme = VS_THEME_LIGHT;
    p->view.has_overview = true;
    assert_true(vs_view_prepare(&p->frame, &p->view, &s->arena));
    p->view.has_hover = true;
    p->view.hover_ns = 5 * MS;
    draw(s, p, true);
    assert_golden(s, &p->list, "tests/viz/golden/overlay.txt");
}

static void an_empty_tape_has_a_picture_that_says_so(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, empty_tape);
    draw(s, p, false);
    assert_true(has_text(&p->list, "EMPTY RUN"));
    assert_true(has_text(&p->list, "nothing was recorded"));
}

/* A recording that came to no end of its own. */
static bool recorded_tape(vs_arena *arena, vs_timeline *out, vs_err *err)
{
    vs_tape *tape = vs_tape_new(arena, &(vs_tape_desc){0});
    if (tape == NULL) {
        return false;
    }
    vs_tape_add_device(tape, VS_DEVICE_GPU, "cuda:0", 0);
    small_alloc(tape, 1 * MS, VS_CAT_TENSOR, VS_GIB);
    vs_tape_set_meta(tape, "format", "snapshot");
    vs_tape_set_meta(tape, "source", "folder/run.pickle");
    vs_tape_set_meta(tape, "made_by", "PyTorch 2.6 to 2.7");
    return vs_tape_seal(tape, out, err);
}

static void a_recording_says_where_it_is_from_and_claims_nothing(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, recorded_tape);
    p->view.note = "replayed: identical";
    draw(s, p, false);
    assert_true(has_text(&p->list, "RECORDED"));
    assert_false(has_text(&p->list, "FITS"));
    assert_true(has_text(&p->list, "run.pickle   \xC2\xB7   PyTorch 2.6"));
    assert_true(has_text(&p->list, "replayed: identical"));
}

static void verdict_capacity_and_reason_are_in_the_picture(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    p->view.width = 1600;
    p->view.height = 900;
    draw(s, p, false);
    assert_true(has_text(&p->list, "OUT OF MEMORY"));
    assert_true(
        has_text(&p->list, "at 8.0 ms - model.layers.1.w: 2.00 GiB asked, 512.00 MiB free"));
    assert_true(has_text(&p->list, "capacity 8.00 GiB (8,589,934,592 B)"));
    assert_true(has_text(&p->list, "capacity 16.00 GiB"));
    assert_true(has_text(&p->list, "OOM 8.0 ms  +2.00 GiB"));
    assert_true(has_text(&p->list, "the program notices at 9.0 ms"));
    assert_true(has_text(&p->list, "Two more GiB"));
    assert_true(has_text(&p->list, "toy  bf16"));
    assert_true(has_text(&p->list, "vramscope sim toy"));
}

/* Do these two runs of text, drawn from their left ends, stand in each other's way? */
static bool is_overlap(const vs_draw_item *a, const vs_draw_item *b)
{
    const vs_metrics metrics = vs_metrics_fixed();
    int32_t w[2];
    const vs_draw_item *items[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        const vs_text_style style = {.size_px = items[i]->u.text.size_px};
        assert_int_equal(items[i]->u.text.align, VS_ALIGN_LEFT);
        w[i] = vs_text_width(&metrics, &style, vs_str_of(items[i]->u.text.bytes));
    }
    return abs(a->rect.y - b->rect.y) < 12 && a->rect.x < b->rect.x + w[1] &&
           b->rect.x < a->rect.x + w[0];
}

static void the_capacity_keeps_clear_of_the_failure_at_any_zoom(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    p->view.width = 1200;
    draw(s, p, false);
    uint32_t seen = 0;
    for (vs_ns t0 = 0; t0 < 8 * MS; t0 += MS / 8) {
        vs_camera_range(&p->view.camera, t0, 10 * MS);
        draw(s, p, false);
        const vs_draw_item *capacity = find_text(&p->list, "capacity 8.00 GiB");
        const vs_draw_item *notice = find_text(&p->list, "the program notices at 9.0 ms");
        assert_non_null(capacity);
        if (notice != NULL) {
            seen++;
            assert_false(is_overlap(capacity, notice));
        }
    }
    assert_true(seen > 40);
}

/* A process killed for host memory: nothing on the card failed. */
static bool killed_tape(vs_arena *arena, vs_timeline *out, vs_err *err)
{
    vs_tape *tape = vs_tape_new(arena, &(vs_tape_desc){0});
    if (tape == NULL) {
        return false;
    }
    vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu0", 8 * VS_GIB);
    vs_tape_add_device(tape, VS_DEVICE_HOST, "host", VS_GIB);
    small_level(tape, 0, 0, VS_CAT_CONTEXT, VS_GIB / 2);
    small_level(tape, 1 * MS, 1, VS_CAT_HOSTHEAP, VS_GIB);
    vs_tape_set_meta(tape, "verdict", "host_oom");
    vs_tape_set_meta(tape, "reason", "More than the host has.");
    return vs_tape_seal(tape, out, err);
}

static void a_kill_for_host_memory_is_explained_too(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, killed_tape);
    draw(s, p, false);
    assert_true(has_text(&p->list, "KILLED"));
    assert_true(has_text(&p->list, "Killed: out of host RAM"));
    assert_true(has_text(&p->list, "More than the host has."));
}

static void a_card_without_room_keeps_the_reason(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    draw(s, p, false);
    assert_true(has_text(&p->list, "asked for 2.00 GiB"));
    const vs_source sources[3] = {p->source, p->source, p->source};
    p->view.sources = sources;
    p->view.source_count = 3;
    uint32_t brief = 0;
    for (p->view.height = 700; p->view.height < 1300; p->view.height += 10) {
        draw(s, p, false);
        if (has_text(&p->list, "Out of memory at")) {
            assert_true(has_text(&p->list, "Two more GiB"));
            brief += !has_text(&p->list, "asked for 2.00 GiB");
        }
    }
    assert_true(brief > 0);
}

static void the_readout_says_what_the_column_under_the_pointer_shows(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    assert_true(vs_view_prepare(&p->frame, &p->view, &s->arena));
    p->view.has_hover = true;
    /* The spike lasts one nanosecond; its column shows it, so the readout must. */
    const int32_t column = vs_camera_column(&p->view.camera, 5 * MS);
    p->view.hover_ns = vs_camera_time(&p->view.camera, column);
    draw(s, p, true);
    assert_true(has_text(&p->list, "4.00 GiB"));
    p->view.hover_ns = vs_camera_time(&p->view.camera, column + 1);
    draw(s, p, true);
    assert_false(has_text(&p->list, "4.00 GiB"));
}

static void rows_share_their_scales_and_their_left_and_right_edge(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    vs_timeline other_tl;
    vs_err err = {0};
    assert_true(empty_tape(&s->arena, &other_tl, &err));
    vs_source sources[2] = {p->source};
    assert_true(vs_source_init(&sources[1], &s->arena, &other_tl));
    p->view.sources = sources;
    p->view.source_count = 2;
    draw(s, p, false);
    assert_int_equal(p->frame.rows[0].stack.top_bytes, p->frame.rows[1].stack.top_bytes);
    assert_true(p->frame.layout.rows[0].stack.h > 0);
    assert_int_equal(p->frame.layout.rows[0].stack.h, p->frame.layout.rows[1].stack.h);
    assert_int_equal(p->frame.layout.rows[0].stack.x, p->frame.layout.rows[1].stack.x);
    assert_int_equal(p->frame.layout.rows[0].stack.w, p->frame.layout.rows[1].stack.w);
}

static vs_layout_desc random_desc(vs_rng *rng)
{
    vs_layout_desc desc = {.width = (int32_t)vs_rng_below(rng, 2400) + 800,
                           .height = (int32_t)vs_rng_below(rng, 1500) + 500,
                           .scale_pct = 100,
                           .row_count = (uint32_t)vs_rng_below(rng, 3) + 1,
                           .has_overview = vs_rng_below(rng, 2) == 0};
    for (uint32_t i = 0; i < desc.row_count; i++) {
        desc.lane_count[i] = (uint32_t)vs_rng_below(rng, 20);
        desc.has_host[i] = vs_rng_below(rng, 2) == 0;
    }
    return desc;
}

/* The panes of one row from top to bottom, none above y; returns the lower edge of the last. */
static int32_t check_row(const vs_layout *layout, uint32_t i, int32_t width, int32_t y)
{
    const vs_row_layout *row = &layout->rows[i];
    const vs_rect none = {0, 0, 0, 0};
    const vs_rect panes[] = {row->header,      i == 0 ? layout->overview : none,
                             row->stack_title, row->stack,
                             row->axis,        row->host_title,
                             row->host,        row->lanes};
    for (size_t k = 0; k < sizeof panes / sizeof panes[0]; k++) {
        if (panes[k].h > 0) {
            assert_true(panes[k].y >= y);
            assert_true(panes[k].x >= 0 && panes[k].x + panes[k].w <= width);
            y = panes[k].y + panes[k].h;
        }
    }
    assert_true(row->stack.x == layout->plot_x && row->stack.w == layout->plot_w);
    assert_int_equal(row->stack.h, layout->rows[0].stack.h);
    assert_true(row->side.x >= row->stack.x + row->stack.w);
    assert_true(row->side.x + row->side.w <= width && row->side.w >= 190);
    return y;
}

static void panes_never_overlap_nor_leave_the_picture(void **state)
{
    (void)state;
    vs_rng rng;
    vs_rng_seed(&rng, 4);
    for (int round = 0; round < 3000; round++) {
        const vs_layout_desc desc = random_desc(&rng);
        vs_layout layout;
        vs_layout_of(&layout, &desc);
        int32_t y = 0;
        for (uint32_t i = 0; i < desc.row_count; i++) {
            y = check_row(&layout, i, desc.width, y);
        }
        assert_true(y <= layout.footer.y);
    }
}

static void an_exhausted_arena_is_an_answer_not_a_crash(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape);
    p->view.has_overview = true;
    for (uint64_t n = 1; n < 400; n++) {
        vs_arena arena;
        assert_true(vs_arena_open(&arena, 16 * VS_MIB, NULL));
        arena.fail_at = n;
        const bool is_prepared = vs_view_prepare(&p->frame, &p->view, &arena);
        if (is_prepared) {
            vs_draw_init(&p->list, &arena, 800, 500);
            vs_view_draw(&p->frame, &p->view, &p->list);
        }
        vs_arena_close(&arena);
        assert_true(is_prepared || n < 40);
    }
}

/* ---- text that fits ---------------------------------------------------------------------- */

static void long_names_keep_both_ends(void **state)
{
    scratch *s = *state;
    const vs_metrics metrics = vs_metrics_fixed();
    const vs_text_style style = {.size_px = 10}; /* 6 px a letter */
    const vs_str name = vs_str_of("model.layers.31.mlp.experts.w1");
    assert_ptr_equal(vs_text_fit(&s->arena, &metrics, &style, name, 180).ptr, name.ptr);
    assert_true(vs_str_is(vs_text_fit(&s->arena, &metrics, &style, name, 66), "mode...s.w1"));
    assert_true(vs_str_is(vs_text_fit(&s->arena, &metrics, &style, name, 30), "m...1"));
    assert_int_equal(vs_text_fit(&s->arena, &metrics, &style, name, 12).len, 0);
    /* Whole code points only. */
    const vs_str hangul =
        vs_str_of("\xED\x95\x9C\xEA\xB8\x80\xED\x95\x9C\xEA\xB8\x80\xED\x95\x9C\xEA\xB8\x80");
    vs_str fitted = vs_text_fit(&s->arena, &metrics, &style, hangul, 32);
    assert_true(fitted.len > 3);
    while (fitted.len > 0) {
        assert_int_not_equal(vs_utf8_next(&fitted), 0xFFFD);
    }
}

static void text_wraps_at_spaces_and_cuts_only_words_that_are_too_long(void **state)
{
    (void)state;
    const vs_metrics metrics = vs_metrics_fixed();
    const vs_text_style style = {.size_px = 10};
    vs_str rest = vs_str_of("one two  abcdefghijklm x");
    static const char *const lines[] = {"one two", "abcdefgh", "ijklm x"};
    vs_str line;
    for (size_t i = 0; i < 3; i++) {
        assert_true(vs_text_wrap(&metrics, &style, 48, &rest, &line));
        assert_true(vs_str_is(line, lines[i]));
    }
    assert_false(vs_text_wrap(&metrics, &style, 48, &rest, &line));
    rest = vs_str_of("abc");
    assert_true(vs_text_wrap(&metrics, &style, 1, &rest, &line)); /* always gets on */
    assert_int_equal(line.len, 1);
}

int main(void)
{
#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(the_small_tape_is_drawn_as_it_was),
        WITH_SCRATCH(the_overlay_is_drawn_as_it_was),
        WITH_SCRATCH(an_empty_tape_has_a_picture_that_says_so),
        WITH_SCRATCH(a_recording_says_where_it_is_from_and_claims_nothing),
        WITH_SCRATCH(verdict_capacity_and_reason_are_in_the_picture),
        WITH_SCRATCH(the_capacity_keeps_clear_of_the_failure_at_any_zoom),
        WITH_SCRATCH(a_kill_for_host_memory_is_explained_too),
        WITH_SCRATCH(a_card_without_room_keeps_the_reason),
        WITH_SCRATCH(the_readout_says_what_the_column_under_the_pointer_shows),
        WITH_SCRATCH(rows_share_their_scales_and_their_left_and_right_edge),
        cmocka_unit_test(panes_never_overlap_nor_leave_the_picture),
        WITH_SCRATCH(an_exhausted_arena_is_an_answer_not_a_crash),
        WITH_SCRATCH(long_names_keep_both_ends),
        cmocka_unit_test(text_wraps_at_spaces_and_cuts_only_words_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
