/* Stacks over random tapes: every column is a real moment and adds up, no peak is ever lost;
 * lanes against their own busy time. */
#include "tests/tape_random.h"
#include "tests/viz/small_tape.h"
#include "viz/view/lanes.h"
#include "viz/view/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEED UINT64_C(20261121)

static int open_arena(void **state)
{
    vs_arena *arena = calloc(1, sizeof *arena);
    *state = arena;
    return arena != NULL && vs_arena_open(arena, 512 * VS_MIB, NULL) ? 0 : 1;
}

static int close_arena(void **state)
{
    vs_arena_close(*state);
    free(*state);
    return 0;
}

static void random_source(vs_arena *arena, uint64_t seed, uint32_t steps, vs_timeline *tl,
                          vs_source *source)
{
    random_tape r;
    vs_err err = {0};
    vs_arena_reset(arena);
    assert_true(random_tape_make(&r, arena, seed, steps));
    assert_true(vs_tape_seal(r.tape, tl, &err));
    assert_true(vs_source_init(source, arena, tl));
}

/* A random part of the run in a random width. */
static vs_camera random_camera(vs_rng *rng, const vs_timeline *tl)
{
    vs_camera c;
    vs_camera_fit(&c, tl->end_ns, (int32_t)vs_rng_below(rng, 300) + 1);
    if (vs_rng_below(rng, 4) > 0) {
        const vs_ns t0 = vs_rng_below(rng, tl->end_ns + 1);
        vs_camera_range(&c, t0, t0 + vs_rng_below(rng, tl->end_ns + 2));
    }
    return c;
}

static void check_columns(const vs_stack *stack, const vs_source *source,
                          const vs_memory *memory, const vs_camera *camera)
{
    for (int32_t x = 0; x < stack->shown; x++) {
        const vs_stack_column *c = &stack->columns[x];
        const vs_ns t0 = vs_camera_time(camera, x);
        const vs_ns t1 = vs_camera_time(camera, x + 1);
        const vs_column range = vs_track_range(source->tl, memory->used, t0, t1);
        vs_bytes sum = 0;
        for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
            const vs_bytes bytes = stack->bytes[(size_t)x * VS_CAT_COUNT + i];
            sum += bytes;
            if (c->event != VS_NO_EVENT && memory->tracks[i] != VS_NO_TRACK) {
                assert_int_equal(bytes,
                                 vs_track_at_event(source->tl, memory->tracks[i], c->event));
            }
        }
        assert_int_equal(sum, c->used_bytes);
        assert_int_equal(c->used_bytes, range.max);
        assert_int_equal(c->min_bytes, range.min);
        /* The moment is in the column or the last one before it. */
        assert_true(c->event == VS_NO_EVENT || source->tl->event_time[c->event] < t1);
        assert_true(c->event == VS_NO_EVENT || source->tl->event_time[c->event] >= t0 ||
                    c->event == vs_event_before(source->tl, t0));
    }
}

static void bands_of_every_column_add_up_to_a_real_moment_at_its_greatest_use(void **state)
{
    vs_arena *arena = *state;
    for (uint32_t steps = 1; steps < 4000; steps = steps * 2 + 3) {
        vs_timeline tl = {0};
        vs_source source = {0};
        vs_rng rng;
        vs_rng_seed(&rng, SEED + steps);
        random_source(arena, SEED + steps, steps, &tl, &source);
        for (int round = 0; round < 12; round++) {
            const vs_camera camera = random_camera(&rng, &tl);
            const vs_memory *memory = round % 2 == 0 ? &source.gpu : &source.host;
            vs_stack stack = {0};
            assert_true(vs_stack_prepare(&stack, arena, &source, memory, &camera));
            if (memory->used != VS_NO_TRACK) {
                check_columns(&stack, &source, memory, &camera);
            }
        }
    }
}

static void the_drawn_peak_is_the_runs_peak_at_every_zoom(void **state)
{
    vs_arena *arena = *state;
    vs_timeline tl = {0};
    vs_source source = {0};
    random_source(arena, SEED, 3000, &tl, &source);
    const vs_ns peak_ns = source.gpu.peak.time_ns;
    vs_camera camera;
    vs_camera_fit(&camera, tl.end_ns, 200);
    for (int notch = 0; notch < 60; notch++) {
        vs_stack stack = {0};
        assert_true(vs_stack_prepare(&stack, arena, &source, &source.gpu, &camera));
        vs_bytes drawn = 0;
        for (int32_t x = 0; x < stack.shown; x++) {
            drawn = stack.columns[x].used_bytes > drawn ? stack.columns[x].used_bytes : drawn;
        }
        assert_int_equal(drawn, source.gpu.peak.used_bytes);
        assert_int_equal(drawn, tl.tracks[source.gpu.used].max);
        vs_camera_zoom(&camera, vs_camera_column(&camera, peak_ns), 1.25);
    }
}

/* The rule of study.h, by looking at every event: greatest use, then most allocated, then
 * first. */
static void the_peak_equals_a_scan_of_all_events(void **state)
{
    vs_arena *arena = *state;
    for (uint64_t seed = SEED; seed < SEED + 40; seed++) {
        vs_timeline tl = {0};
        vs_source source = {0};
        random_source(arena, seed, 200, &tl, &source);
        if (source.gpu.used == VS_NO_TRACK) {
            continue;
        }
        vs_bytes best = 0;
        vs_bytes best_allocated = 0;
        for (uint32_t e = 0; e < tl.event_count; e++) {
            const vs_bytes used = vs_track_at_event(&tl, source.gpu.used, e);
            const vs_bytes allocated = source.gpu.allocated == VS_NO_TRACK
                                           ? 0
                                           : vs_track_at_event(&tl, source.gpu.allocated, e);
            if (used > best || (used == best && allocated > best_allocated)) {
                best = used;
                best_allocated = allocated;
            }
        }
        const uint32_t event = source.gpu.peak.event;
        assert_int_equal(source.gpu.peak.used_bytes, best);
        assert_int_equal(source.gpu.allocated == VS_NO_TRACK
                             ? 0
                             : vs_track_at_event(&tl, source.gpu.allocated, event),
                         best_allocated);
    }
}

static void a_spike_of_one_nanosecond_inside_reserved_memory_is_shown(void **state)
{
    vs_arena *arena = *state;
    vs_timeline tl = {0};
    vs_source source = {0};
    vs_err err = {0};
    assert_true(small_tape(arena, &tl, &err));
    assert_true(vs_source_init(&source, arena, &tl));
    vs_camera camera;
    vs_camera_fit(&camera, tl.end_ns, 90);
    vs_stack stack = {0};
    assert_true(vs_stack_prepare(&stack, arena, &source, &source.gpu, &camera));
    const int32_t x = vs_camera_column(&camera, 5 * MS);
    const vs_bytes *bytes = &stack.bytes[(size_t)x * VS_CAT_COUNT];
    assert_int_equal(bytes[VS_CAT_STAGING], 4 * VS_GIB);
    assert_int_equal(bytes[VS_CAT_W_16], 2 * VS_GIB);
    assert_int_equal(bytes[VS_CAT_RESFREE], VS_GIB);
    assert_int_equal(source.gpu.peak.bytes[VS_CAT_STAGING], 4 * VS_GIB);
    assert_int_equal(source.gpu.peak.time_ns, 5 * MS);
}

static void rows_of_pixels_grow_from_zero_to_the_top(void **state)
{
    (void)state;
    const vs_stack stack = {.top_bytes = 24 * VS_GIB};
    const vs_rect plot = vs_rect_of(10, 100, 50, 240);
    assert_int_equal(vs_stack_y(&stack, plot, 0), 340);
    assert_int_equal(vs_stack_y(&stack, plot, 12 * VS_GIB), 220);
    assert_int_equal(vs_stack_y(&stack, plot, 24 * VS_GIB), 100);
    assert_int_equal(vs_stack_y(&stack, plot, UINT64_MAX), 100);
}

static void empty_runs_and_exhausted_arenas_are_survived(void **state)
{
    vs_arena *arena = *state;
    vs_timeline tl = {0};
    vs_source source = {0};
    vs_err err = {0};
    assert_true(empty_tape(arena, &tl, &err));
    assert_true(vs_source_init(&source, arena, &tl));
    assert_string_equal(vs_source_verdict(&source), "empty");
    vs_camera camera;
    vs_camera_fit(&camera, tl.end_ns, 100);
    vs_stack stack = {0};
    assert_true(vs_stack_prepare(&stack, arena, &source, &source.gpu, &camera));
    assert_int_equal(stack.shown, 0);
    for (uint64_t n = 1; n <= 3; n++) {
        vs_arena small;
        assert_true(vs_arena_open(&small, VS_MIB, &err));
        small.fail_at = n;
        assert_false(vs_stack_prepare(&stack, &small, &source, &source.gpu, &camera));
        vs_arena_close(&small);
    }
}

/* ---- lanes ------------------------------------------------------------------------------- */

static void lane_pieces_do_not_overlap_and_bars_show_the_busy_share(void **state)
{
    vs_arena *arena = *state;
    for (uint64_t seed = SEED; seed < SEED + 30; seed++) {
        vs_timeline tl = {0};
        vs_source source = {0};
        vs_rng rng;
        vs_rng_seed(&rng, seed);
        random_source(arena, seed, 400, &tl, &source);
        const vs_camera camera = random_camera(&rng, &tl);
        vs_lanes lanes = {0};
        assert_true(vs_lanes_prepare(&lanes, arena, &source, &camera));
        assert_int_equal(lanes.row_count, source.busy_lanes);
        for (uint32_t i = 0; i < lanes.row_count; i++) {
            int32_t right = 0;
            for (uint32_t k = 0; k < lanes.rows[i].piece_count; k++) {
                const vs_lane_piece *piece = &lanes.rows[i].pieces[k];
                assert_true(piece->x >= right && piece->w >= 1);
                assert_true(!piece->is_box || piece->w >= 3);
                assert_true(piece->busy_permille <= VS_BUSY_FULL);
                right = piece->x + piece->w;
            }
            assert_true(right <= camera.width);
            assert_true(lanes.rows[i].busy_permille <= VS_BUSY_FULL);
        }
    }
}

static void a_half_busy_lane_is_half_as_tall_and_idle_lanes_are_left_out(void **state)
{
    vs_arena *arena = *state;
    vs_timeline tl = {0};
    vs_source source = {0};
    vs_err err = {0};
    assert_true(small_tape(arena, &tl, &err));
    assert_true(vs_source_init(&source, arena, &tl));
    vs_camera camera;
    vs_camera_fit(&camera, tl.end_ns, 100);
    vs_camera_range(&camera, 0, 10 * MS); /* 10 spans of 5 us to a column of 100 us */
    vs_lanes lanes = {0};
    assert_true(vs_lanes_prepare(&lanes, arena, &source, &camera));
    assert_int_equal(lanes.row_count, 2);
    assert_string_equal(lanes.rows[1].name, "gpu");
    assert_int_equal(lanes.rows[1].piece_count, 2);
    assert_true(lanes.rows[1].pieces[0].is_box);
    assert_int_equal(lanes.rows[1].pieces[0].x, 40);
    assert_int_equal(lanes.rows[1].pieces[0].w, 20);
    assert_false(lanes.rows[1].pieces[1].is_box);
    assert_int_equal(lanes.rows[1].pieces[1].w, 10);
    assert_int_equal(lanes.rows[1].pieces[1].busy_permille, 500);
    assert_int_equal(lanes.rows[0].busy_permille, 444); /* 4 of 9 ms */
}

int main(void)
{
#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        WITH_ARENA(bands_of_every_column_add_up_to_a_real_moment_at_its_greatest_use),
        WITH_ARENA(the_drawn_peak_is_the_runs_peak_at_every_zoom),
        WITH_ARENA(the_peak_equals_a_scan_of_all_events),
        WITH_ARENA(a_spike_of_one_nanosecond_inside_reserved_memory_is_shown),
        WITH_ARENA(rows_of_pixels_grow_from_zero_to_the_top),
        WITH_ARENA(empty_runs_and_exhausted_arenas_are_survived),
        WITH_ARENA(lane_pieces_do_not_overlap_and_bars_show_the_busy_share),
        WITH_ARENA(a_half_busy_lane_is_half_as_tall_and_idle_lanes_are_left_out),
    };
    print_message("seed %llu\n", (unsigned long long)SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
