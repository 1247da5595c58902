/* Two runs in one frame, as a draw list: compared as text with tests/viz/golden/compare.txt (UPDATE_GOLDEN=1 writes it anew),
 * and what must be on it at any size, on every axis. */
#include "tests/viz/small_tape.h"
#include "viz/view/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scratch.h"

typedef struct {
    vs_timeline tl[VS_SIDES];
    vs_source sources[VS_SIDES];
    vs_comparison cmp;
    vs_live_difference live;
    vs_compare_view view;
    vs_compare_frame frame;
    vs_draw_list list;
} picture;

/* The small tape's load on a larger card, and slower: it fits, with a third layer. */
static bool roomy_tape(vs_arena *arena, vs_timeline *out, vs_err *err)
{
    vs_tape *tape = vs_tape_new(arena, &(vs_tape_desc){0});
    if (tape == NULL) {
        return false;
    }
    vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu0", 16 * VS_GIB);
    small_level(tape, 0, 0, VS_CAT_CONTEXT, VS_GIB / 2);
    small_event(tape, 2 * MS, VS_EV_SEGMENT_ALLOC, 6 * VS_GIB, "");
    small_alloc(tape, 3 * MS, VS_CAT_STAGING, 2 * VS_GIB);
    small_alloc(tape, 7 * MS, VS_CAT_Q_4BIT, 3 * VS_GIB);
    small_event(tape, 11 * MS, VS_EV_SEGMENT_ALLOC, 4 * VS_GIB, "");
    small_alloc(tape, 12 * MS, VS_CAT_STAGING, 4 * VS_GIB);
    vs_tape_set_meta(tape, "made_by", "a recorder");
    vs_tape_set_meta(tape, "source", "folder/run.pickle");
    return vs_tape_seal(tape, out, err);
}

typedef bool (*tape_maker)(vs_arena *, vs_timeline *, vs_err *);

static void compare(scratch *s, picture *p, vs_compare_axis axis)
{
    vs_err err = {0};
    const vs_compare_desc desc = {.tl = {&p->tl[0], &p->tl[1]},
                                  .metric = VS_COMPARE_METRIC_COUNT};
    p->view.axis = axis;
    if (!vs_compare(&p->cmp, &s->arena, &desc, &err) ||
        !vs_compare_live(&p->live, &s->arena, &p->cmp.desc, p->cmp.curves[axis].at_event,
                         &err)) {
        scratch_fail(&err);
    }
    assert_null(p->cmp.reason);
    assert_null(p->cmp.curves[axis].reason);
}

static picture *picture_of(scratch *s, tape_maker predicted, tape_maker recorded)
{
    const tape_maker makers[VS_SIDES] = {predicted, recorded};
    vs_err err = {0};
    picture *p = VS_NEW(&s->arena, picture);
    assert_non_null(p);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        if (!makers[side](&s->arena, &p->tl[side], &err)) {
            scratch_fail(&err);
        }
        assert_true(vs_source_init(&p->sources[side], &s->arena, &p->tl[side]));
    }
    p->view = (vs_compare_view){.sources = {&p->sources[0], &p->sources[1]},
                                .cmp = &p->cmp,
                                .live = &p->live,
                                .scale_pct = 100,
                                .width = 1000,
                                .height = 600,
                                .metrics = vs_metrics_fixed()};
    compare(s, p, VS_BY_TIME);
    return p;
}

static void draw(scratch *s, picture *p)
{
    assert_true(vs_compare_view_prepare(&p->frame, &p->view, &s->arena));
    vs_draw_init(&p->list, &s->arena, p->view.width, p->view.height);
    vs_compare_view_draw(&p->frame, &p->view, &p->list);
    assert_false(p->list.has_failed);
}

static bool has_text(const picture *p, const char *part)
{
    for (uint32_t i = 0; i < p->list.count; i++) {
        const vs_draw_item *item = &p->list.items[i];
        if (item->kind == VS_DRAW_TEXT && strstr(item->u.text.bytes, part) != NULL) {
            return true;
        }
    }
    return false;
}

static void write_list(const vs_draw_list *list, const char *path)
{
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open(path, &err);
    assert_non_null(out);
    vs_draw_dump(list, out);
    assert_true(vs_outfile_commit(out, &err));
}

static void two_small_tapes_are_drawn_as_they_were(void **state)
{
    static const char golden[] = "tests/viz/golden/compare.txt";
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    vs_err err = {0};
    vs_file want = {0};
    vs_file got = {0};
    draw(s, p);
    if (getenv("UPDATE_GOLDEN") != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        write_list(&p->list, golden);
    }
    const char *actual = scratch_path(s, "actual.txt");
    write_list(&p->list, actual);
    if (!vs_file_open(&want, golden, &err) || !vs_file_open(&got, actual, &err)) {
        scratch_fail(&err);
    }
    assert_int_equal(got.size_bytes, want.size_bytes);
    assert_memory_equal(got.bytes, want.bytes, want.size_bytes);
    vs_file_close(&want);
    vs_file_close(&got);
}

static void verdict_peaks_errors_and_origins_are_in_the_picture(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    p->view.width = 1600;
    draw(s, p);
    assert_true(has_text(p, "VERDICTS DIFFER"));
    assert_true(has_text(p, "reserved by the allocator"));
    assert_true(has_text(p, "predicted: out of memory, recorded: fits"));
    assert_true(has_text(p, "peak reserved 7.00 GiB predicted, 10.00 GiB recorded (-30.00 %)"));
    assert_true(has_text(p, "toy  bf16"));
    assert_true(has_text(p, "run.pickle"));
    assert_true(has_text(p, "a recorder"));
    assert_true(has_text(p, "predicted: OOM  +2.00 GiB"));
    assert_true(has_text(p, "largest disagreement 3.00 GiB"));
    assert_true(
        has_text(p, "max 3.00 GiB = 30.00 %, mean 1.20 GiB = 12.00 % of the recorded peak"));
    assert_true(has_text(p, "recorded: room on the card 15.50 GiB"));
    assert_true(has_text(p, "predicted: room on the card 7.50 GiB"));
}

/* Ink of the strip: everything in the colours of the two runs inside it. */
static uint32_t strip_ink(const picture *p)
{
    const vs_style *style = vs_style_of(p->view.theme);
    const vs_color colors[2] = {vs_color_mix(style->plot, style->run_a, 210),
                                vs_color_mix(style->plot, style->run_b, 210)};
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->list.count; i++) {
        const vs_draw_item *item = &p->list.items[i];
        if (item->kind == VS_DRAW_RECT && item->rect.y >= p->frame.strip.y &&
            (item->fill.color == colors[0] || item->fill.color == colors[1])) {
            count++;
        }
    }
    return count;
}

static void a_run_against_itself_leaves_the_strip_empty(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, small_tape);
    draw(s, p);
    assert_int_equal(strip_ink(p), 0);
    assert_true(has_text(p, "SAME VERDICT"));
    assert_true(has_text(p, "both run out of memory"));
    assert_true(has_text(p, "to the byte"));
    assert_true(has_text(p, "The curves are the same everywhere"));
    picture *q = picture_of(s, small_tape, roomy_tape);
    draw(s, q);
    assert_in_range(strip_ink(q), 1, 100);
}

static void every_axis_says_what_it_counts(void **state)
{
    static const char *const titles[VS_COMPARE_AXIS_COUNT] = {
        [VS_BY_TIME] = "time from each run's first allocation",
        [VS_BY_STRETCHED] = "share of each run's own load time",
        [VS_BY_EVENT] = "allocations on the card",
        [VS_BY_SHARE] = "share of the bytes allocated so far"};
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    for (uint32_t axis = 0; axis < VS_COMPARE_AXIS_COUNT; axis++) {
        compare(s, p, (vs_compare_axis)axis);
        draw(s, p);
        assert_true(has_text(p, titles[axis]));
        assert_true(axis == VS_BY_TIME || axis == VS_BY_EVENT ? has_text(p, "2")
                                                              : has_text(p, "100 %"));
    }
}

/* The greatest and smallest error of the columns are those of the comparison: none is lost on the way to a pixel. */
static void the_largest_error_is_in_a_column_at_any_width(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    for (int32_t width = 320; width < 2000; width += 97) {
        p->view.width = width;
        draw(s, p);
        vs_bytes most = 0;
        for (int32_t x = 0; x < p->frame.plot.w; x++) {
            const vs_compare_column *c = &p->frame.columns[x];
            most = c->above > most ? c->above : most;
            most = c->below > most ? c->below : most;
        }
        assert_int_equal(most, p->cmp.curves[VS_BY_TIME].max_error_bytes);
    }
}

static void panes_never_overlap_nor_leave_the_picture(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    for (uint32_t i = 0; i < 400; i++) {
        p->view.width = 320 + (int32_t)(i * 37 % 3000);
        p->view.height = 200 + (int32_t)(i * 53 % 2000);
        p->view.scale_pct = 50 + i * 7 % 250;
        assert_true(vs_compare_view_prepare(&p->frame, &p->view, &s->arena));
        const vs_compare_frame *f = &p->frame;
        assert_true(f->plot.y + f->plot.h <= f->strip_title.y);
        assert_true(f->strip_title.y + f->strip_title.h <= f->strip.y);
        assert_true(f->strip.y + f->strip.h <= f->axis.y);
        assert_true(f->plot.w >= 1 && f->plot.h >= 1 && f->strip.h >= 1);
        assert_true(f->side.w == 0 || f->plot.x + f->plot.w <= f->side.x);
        assert_true(f->side.x + f->side.w <= p->view.width);
    }
}

static void an_exhausted_arena_is_an_answer_not_a_crash(void **state)
{
    scratch *s = *state;
    picture *p = picture_of(s, small_tape, roomy_tape);
    for (uint64_t n = 1; n < 200; n++) {
        vs_arena arena = {0};
        assert_true(vs_arena_open(&arena, 16 * VS_MIB, NULL));
        arena.fail_at = n;
        const bool is_prepared = vs_compare_view_prepare(&p->frame, &p->view, &arena);
        if (is_prepared) {
            vs_draw_init(&p->list, &arena, p->view.width, p->view.height);
            vs_compare_view_draw(&p->frame, &p->view, &p->list);
        }
        vs_arena_close(&arena);
        assert_true(is_prepared || n < 3);
    }
}

int main(void)
{
#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(two_small_tapes_are_drawn_as_they_were),
        WITH_SCRATCH(verdict_peaks_errors_and_origins_are_in_the_picture),
        WITH_SCRATCH(a_run_against_itself_leaves_the_strip_empty),
        WITH_SCRATCH(every_axis_says_what_it_counts),
        WITH_SCRATCH(the_largest_error_is_in_a_column_at_any_width),
        WITH_SCRATCH(panes_never_overlap_nor_leave_the_picture),
        WITH_SCRATCH(an_exhausted_arena_is_an_answer_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
