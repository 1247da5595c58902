/* What keys and the mouse do to the view, without a window. */
#include "tests/viz/small_tape.h"
#include "viz/view/input.h"

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
    vs_frame frame;
    vs_input input;
} desk;

static desk *desk_of(scratch *s)
{
    vs_err err = {0};
    desk *d = VS_NEW(&s->arena, desk);
    assert_non_null(d);
    assert_true(small_tape(&s->arena, &d->tl, &err));
    assert_true(vs_source_init(&d->source, &s->arena, &d->tl));
    d->input.frame = &d->frame;
    d->input.user_scale_pct = 100;
    d->input.view = (vs_view){.sources = &d->source,
                              .source_count = 1,
                              .scale_pct = 100,
                              .width = 1280,
                              .height = 800,
                              .metrics = vs_metrics_fixed(),
                              .has_overview = true};
    assert_true(vs_view_prepare(&d->frame, &d->input.view, &s->arena));
    return d;
}

static void the_wheel_zooms_at_the_pointer(void **state)
{
    desk *d = desk_of(*state);
    const int32_t x = d->frame.layout.plot_x + 300;
    vs_input_move(&d->input, x, 400);
    const vs_ns before = d->input.view.hover_ns;
    const vs_ns span = d->input.view.camera.span;
    vs_input_wheel(&d->input, 2, false);
    assert_true(d->input.is_dirty);
    assert_in_range(d->input.view.camera.span, span * 63 / 100,
                    span * 65 / 100); /* 1 / 1.25^2 */
    assert_in_range(vs_camera_column(&d->input.view.camera, before), 299, 301);
}

static void moving_the_pointer_redraws_the_overlay_only(void **state)
{
    desk *d = desk_of(*state);
    vs_input_move(&d->input, d->frame.layout.plot_x + 10, 400);
    assert_true(d->input.view.has_hover);
    assert_true(d->input.is_overlay_dirty && !d->input.is_dirty);
    vs_input_leave(&d->input);
    assert_false(d->input.view.has_hover);
    d->input.is_overlay_dirty = false;
    vs_input_move(&d->input, 5, 5);
    assert_false(d->input.is_overlay_dirty);
}

static void clicking_pins_the_moment_of_the_column(void **state)
{
    desk *d = desk_of(*state);
    const int32_t column = vs_camera_column(&d->input.view.camera, 5 * MS);
    vs_input_move(&d->input, d->frame.layout.plot_x + column, 400);
    vs_input_press(&d->input, true);
    vs_input_release(&d->input, true);
    assert_true(d->input.view.has_cursor);
    assert_int_equal(d->tl.event_time[d->input.view.cursor_event], 5 * MS);
}

static void dragging_with_the_right_button_pans_by_as_much(void **state)
{
    desk *d = desk_of(*state);
    vs_camera_range(&d->input.view.camera, 2 * MS, 6 * MS);
    const vs_ns t0 = d->input.view.camera.t0;
    vs_input_move(&d->input, 500, 400);
    vs_input_press(&d->input, false);
    vs_input_move(&d->input, 400, 400);
    const vs_ns by = d->input.view.camera.span * 100 / (vs_ns)d->input.view.camera.width;
    assert_in_range(d->input.view.camera.t0, t0 + by - 1, t0 + by + 1);
    vs_input_release(&d->input, false);
    vs_input_move(&d->input, 300, 400);
    assert_in_range(d->input.view.camera.t0, t0 + by - 1, t0 + by + 1);
}

static void keys_go_to_the_peak_the_failure_and_from_event_to_event(void **state)
{
    desk *d = desk_of(*state);
    vs_camera_range(&d->input.view.camera, 0, 1 * MS);
    vs_input_act(&d->input, VS_ACT_PEAK);
    assert_int_equal(d->input.view.cursor_event, d->source.gpu.peak.event);
    assert_in_range(vs_camera_column(&d->input.view.camera, d->source.gpu.peak.time_ns), 0,
                    d->input.view.camera.width - 1);
    vs_input_act(&d->input, VS_ACT_NEXT_EVENT);
    assert_int_equal(d->input.view.cursor_event, d->source.gpu.peak.event + 1);
    vs_input_act(&d->input, VS_ACT_PREVIOUS_EVENT);
    assert_int_equal(d->input.view.cursor_event, d->source.gpu.peak.event);
    vs_input_act(&d->input, VS_ACT_OOM);
    assert_int_equal(d->tl.event_kind[d->input.view.cursor_event], VS_EV_OOM);
    vs_input_act(&d->input, VS_ACT_END);
    assert_int_equal(d->input.view.cursor_event, d->tl.event_count - 1);
    vs_input_act(&d->input, VS_ACT_NEXT_EVENT);
    assert_int_equal(d->input.view.cursor_event, d->tl.event_count - 1);
    vs_input_act(&d->input, VS_ACT_HOME);
    assert_int_equal(d->input.view.cursor_event, 0);
    vs_input_act(&d->input, VS_ACT_FIT);
    assert_true(d->input.view.camera.is_fitted);
}

static void escape_closes_help_then_the_cursor_then_the_window(void **state)
{
    desk *d = desk_of(*state);
    vs_input_act(&d->input, VS_ACT_HELP);
    vs_input_act(&d->input, VS_ACT_PEAK);
    vs_input_act(&d->input, VS_ACT_CLOSE);
    assert_false(d->input.view.has_help);
    assert_true(d->input.view.has_cursor);
    vs_input_act(&d->input, VS_ACT_CLOSE);
    assert_false(d->input.view.has_cursor);
    assert_false(d->input.wants_quit);
    vs_input_act(&d->input, VS_ACT_CLOSE);
    assert_true(d->input.wants_quit);
}

static void the_overview_moves_the_view_to_where_it_is_clicked(void **state)
{
    desk *d = desk_of(*state);
    vs_camera_range(&d->input.view.camera, 0, 2 * MS);
    const vs_rect box = d->frame.layout.overview;
    vs_input_move(&d->input, box.x + box.w / 2, box.y + 5);
    assert_false(d->input.view.has_hover);
    vs_input_press(&d->input, true);
    const vs_ns middle = vs_camera_time(&d->frame.overview.camera, box.w / 2);
    const vs_ns now = d->input.view.camera.t0 + d->input.view.camera.span / 2;
    assert_in_range(now, middle - MS / 10, middle + MS / 10);
    assert_false(d->input.view.has_cursor);
}

static void text_size_stops_at_its_limits_and_themes_go_round(void **state)
{
    desk *d = desk_of(*state);
    for (int i = 0; i < 30; i++) {
        vs_input_act(&d->input, VS_ACT_LARGER);
    }
    assert_int_equal(d->input.user_scale_pct, 300);
    for (int i = 0; i < 30; i++) {
        vs_input_act(&d->input, VS_ACT_SMALLER);
    }
    assert_int_equal(d->input.user_scale_pct, 50);
    for (int i = 0; i < VS_THEME_COUNT; i++) {
        assert_int_equal(d->input.view.theme, i);
        vs_input_act(&d->input, VS_ACT_THEME);
    }
    assert_int_equal(d->input.view.theme, VS_THEME_DARK);
}

/* Ten thousand random actions, each drawn: nothing breaks, the view stays on the run. */
static void random_actions_never_lose_the_run(void **state)
{
    desk *d = desk_of(*state);
    vs_rng rng;
    vs_rng_seed(&rng, 11);
    vs_arena arena;
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, NULL));
    for (int i = 0; i < 10000; i++) {
        const uint64_t what = vs_rng_below(&rng, 8);
        if (what < 3) {
            vs_input_act(&d->input, (vs_action)vs_rng_below(&rng, VS_ACT_QUIT + 1));
        } else if (what < 5) {
            vs_input_wheel(&d->input, (double)vs_rng_below(&rng, 9) - 4,
                           vs_rng_below(&rng, 4) == 0);
        } else if (what < 7) {
            vs_input_move(&d->input, (int32_t)vs_rng_below(&rng, 1400) - 50,
                          (int32_t)vs_rng_below(&rng, 900) - 50);
        } else if (vs_rng_below(&rng, 2) == 0) {
            vs_input_press(&d->input, vs_rng_below(&rng, 2) == 0);
        } else {
            vs_input_release(&d->input, vs_rng_below(&rng, 2) == 0);
        }
        const vs_camera *c = &d->input.view.camera;
        assert_true(c->t0 <= d->tl.end_ns && c->span >= (vs_ns)c->width);
        if (i % 16 == 0) {
            vs_arena_reset(&arena);
            assert_true(vs_view_prepare(&d->frame, &d->input.view, &arena));
            vs_draw_list list;
            vs_draw_init(&list, &arena, 1280, 800);
            vs_view_draw(&d->frame, &d->input.view, &list);
            vs_view_draw_overlay(&d->frame, &d->input.view, &list);
            assert_false(list.has_failed);
        }
    }
    vs_arena_close(&arena);
}

int main(void)
{
#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(the_wheel_zooms_at_the_pointer),
        WITH_SCRATCH(moving_the_pointer_redraws_the_overlay_only),
        WITH_SCRATCH(clicking_pins_the_moment_of_the_column),
        WITH_SCRATCH(dragging_with_the_right_button_pans_by_as_much),
        WITH_SCRATCH(keys_go_to_the_peak_the_failure_and_from_event_to_event),
        WITH_SCRATCH(escape_closes_help_then_the_cursor_then_the_window),
        WITH_SCRATCH(the_overview_moves_the_view_to_where_it_is_clicked),
        WITH_SCRATCH(text_size_stops_at_its_limits_and_themes_go_round),
        WITH_SCRATCH(random_actions_never_lose_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
