/* tests/unit/test_compare.c - two runs held against each other, on tapes small enough to check by hand. */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

/* A tape of one GPU, written line by line. */
typedef struct {
    vs_tape *tape;
    vs_ns slowness; /* every time is multiplied by it */
} writer;

static writer begin(scratch *s)
{
    const writer w = {.tape = vs_tape_new(&s->arena, &(vs_tape_desc){0}), .slowness = 1};
    assert_non_null(w.tape);
    assert_int_equal(vs_tape_add_device(w.tape, VS_DEVICE_GPU, "gpu0", 8 * VS_GIB), 0);
    return w;
}

static void put(const writer *w, vs_ns t, vs_event_kind kind, vs_bytes size)
{
    vs_tape_event(w->tape, &(vs_event){.time_ns = t * w->slowness,
                                       .kind = (uint8_t)kind,
                                       .size_bytes = size,
                                       .asked_bytes = size,
                                       .block = VS_NO_BLOCK});
}

static uint32_t alloc(const writer *w, vs_ns t, vs_bytes size, const char *name)
{
    const uint32_t block = vs_tape_new_block(w->tape);
    vs_tape_event(w->tape, &(vs_event){.time_ns = t * w->slowness,
                                       .kind = VS_EV_ALLOC,
                                       .category = VS_CAT_STAGING,
                                       .size_bytes = size,
                                       .asked_bytes = size,
                                       .name = vs_tape_string(w->tape, vs_str_of(name)),
                                       .block = block});
    return block;
}

static void release(const writer *w, vs_ns t, uint32_t block)
{
    vs_tape_event(w->tape,
                  &(vs_event){.time_ns = t * w->slowness, .kind = VS_EV_FREE, .block = block});
}

static vs_timeline seal(const writer *w)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(w->tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

/* Two layers: each is staged, then counts as loaded. Begins at 10, ends at 50. */
static vs_timeline two_layers(scratch *s, vs_ns slowness, vs_bytes layer)
{
    writer w = begin(s);
    w.slowness = slowness;
    put(&w, 10, VS_EV_SEGMENT_ALLOC, layer);
    (void)alloc(&w, 10, layer, "layer.0");
    put(&w, 20, VS_EV_PROGRESS, 4 * VS_KIB);
    put(&w, 30, VS_EV_SEGMENT_ALLOC, layer);
    (void)alloc(&w, 30, layer, "layer.1");
    put(&w, 50, VS_EV_PROGRESS, 8 * VS_KIB);
    return seal(&w);
}

static vs_comparison compare(scratch *s, const vs_timeline *predicted,
                             const vs_timeline *recorded, vs_compare_align align)
{
    const vs_compare_desc desc = {
        .tl = {predicted, recorded}, .metric = VS_COMPARE_METRIC_COUNT, .align = align};
    vs_comparison cmp = {0};
    vs_err err = {0};
    if (!vs_compare(&cmp, &s->arena, &desc, &err)) {
        scratch_fail(&err);
    }
    return cmp;
}

static void a_run_against_itself_has_no_error(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = two_layers(s, 1, VS_MIB);
    const vs_comparison cmp = compare(s, &tl, &tl, VS_FROM_FIRST);
    assert_null(cmp.reason);
    assert_int_equal(cmp.desc.metric, VS_COMPARE_RESERVED);
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        assert_null(cmp.curves[i].reason);
        assert_int_equal(cmp.curves[i].max_error_bytes, 0);
        assert_int_equal(cmp.curves[i].mean_error_bytes, 0);
    }
    assert_string_equal(cmp.verdict[VS_PREDICTED], "fits");
    assert_int_equal(cmp.figures[VS_COMPARE_RESERVED].peak_bytes[VS_RECORDED], 2 * VS_MIB);
}

static void an_error_of_size_is_the_same_on_every_axis(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    const vs_timeline b = two_layers(s, 1, 2 * VS_MIB);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    for (uint32_t i = 0; i < VS_COMPARE_AXIS_COUNT; i++) {
        assert_int_equal(cmp.curves[i].max_error_bytes, 2 * VS_MIB);
        assert_int_equal(cmp.curves[i].at_bytes[VS_PREDICTED], 2 * VS_MIB);
        assert_int_equal(cmp.curves[i].at_bytes[VS_RECORDED], 4 * VS_MIB);
    }
    /* from 10 to 30 one layer is there, from 30 to 50 two */
    assert_int_equal(cmp.curves[VS_BY_TIME].end, 40);
    assert_int_equal(cmp.curves[VS_BY_TIME].at, 20);
    assert_int_equal(cmp.curves[VS_BY_TIME].mean_error_bytes, VS_MIB + VS_MIB / 2);
    assert_int_equal(cmp.curves[VS_BY_STRETCHED].mean_error_bytes, VS_MIB + VS_MIB / 2);
    assert_int_equal(cmp.curves[VS_BY_EVENT].mean_error_bytes, VS_MIB + VS_MIB / 2);
    /* one layer until 4 KiB are loaded; both are there from then on */
    assert_int_equal(cmp.curves[VS_BY_SHARE].mean_error_bytes, VS_MIB + VS_MIB / 2);
    assert_true(cmp.has_progress);
    assert_int_equal(cmp.loaded_total_bytes, 8 * VS_KIB);
}

static void an_error_of_rate_is_one_of_time_alone(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    const vs_timeline b = two_layers(s, 3, VS_MIB);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    assert_int_equal(cmp.curves[VS_BY_TIME].max_error_bytes, VS_MIB);
    assert_int_equal(cmp.curves[VS_BY_TIME].at, 20); /* a's second layer, which b has at 60 */
    assert_int_equal(cmp.curves[VS_BY_TIME].end, 120);
    assert_int_equal(cmp.curves[VS_BY_TIME].mean_error_bytes, (VS_MIB + 2) / 3);
    assert_int_equal(cmp.curves[VS_BY_STRETCHED].max_error_bytes, 0);
    assert_int_equal(cmp.curves[VS_BY_EVENT].max_error_bytes, 0);
    assert_int_equal(cmp.curves[VS_BY_SHARE].max_error_bytes, 0);
    assert_int_equal(cmp.ends, VS_LOAD_BY_PROGRESS);
    assert_int_equal(cmp.load_end_ns[VS_PREDICTED] - cmp.load_begin_ns[VS_PREDICTED], 40);
    assert_int_equal(cmp.load_end_ns[VS_RECORDED] - cmp.load_begin_ns[VS_RECORDED], 120);
}

static void zero_is_where_it_was_asked_for(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    writer w = begin(s);
    put(&w, 110, VS_EV_SEGMENT_ALLOC, VS_MIB);
    (void)alloc(&w, 110, VS_MIB, "layer.0");
    put(&w, 130, VS_EV_SEGMENT_ALLOC, VS_MIB);
    (void)alloc(&w, 130, VS_MIB, "layer.1");
    put(&w, 150, VS_EV_MARK, 0);
    const vs_timeline late = seal(&w);
    assert_int_equal(compare(s, &a, &late, VS_FROM_FIRST).curves[VS_BY_TIME].max_error_bytes,
                     0);
    const vs_comparison cmp = compare(s, &a, &late, VS_FROM_START);
    assert_int_equal(cmp.curves[VS_BY_TIME].max_error_bytes, 2 * VS_MIB);
    assert_int_equal(cmp.curves[VS_BY_TIME].end, 150);
    assert_int_equal(cmp.curves[VS_BY_TIME].at, 30);
    assert_int_equal(cmp.ends, VS_LOAD_BY_ALLOCATION); /* one has no progress */
    assert_false(cmp.has_progress);
    assert_int_equal(cmp.loaded_total_bytes, 2 * VS_MIB);
}

static vs_timeline dying(scratch *s, vs_ns at, const char *verdict)
{
    writer w = begin(s);
    put(&w, at - 5, VS_EV_SEGMENT_ALLOC, VS_MIB);
    (void)alloc(&w, at - 5, VS_MIB / 2, "layer.0");
    (void)alloc(&w, at - 4, VS_MIB / 2, "layer.1");
    put(&w, at, VS_EV_OOM, 3 * VS_MIB);
    if (verdict != NULL) {
        vs_tape_set_meta(w.tape, "verdict", verdict);
    }
    return seal(&w);
}

static void both_ends_are_held_against_each_other(void **state)
{
    scratch *s = *state;
    const vs_timeline a = dying(s, 10, "oom");
    const vs_timeline b = dying(s, 100, NULL);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_OOM);
    assert_string_equal(cmp.verdict[VS_PREDICTED], "oom");
    assert_string_equal(cmp.verdict[VS_RECORDED], "oom");
    assert_true(cmp.oom[VS_RECORDED].exists);
    assert_int_equal(cmp.oom[VS_RECORDED].time_ns, 5);
    assert_int_equal(cmp.oom[VS_RECORDED].allocation, 2);
    assert_int_equal(cmp.oom[VS_RECORDED].requested_bytes, 3 * VS_MIB);
    assert_int_equal(cmp.oom[VS_RECORDED].loaded_bytes, VS_MIB);
    assert_int_equal(cmp.curves[VS_BY_TIME].end, 100);
    assert_int_equal(cmp.curves[VS_BY_TIME].max_error_bytes, 0);

    const vs_timeline fits = two_layers(s, 1, VS_MIB);
    const vs_comparison other = compare(s, &a, &fits, VS_FROM_OOM);
    assert_non_null(other.curves[VS_BY_TIME].reason);
    assert_null(other.curves[VS_BY_SHARE].reason);
    assert_string_equal(other.verdict[VS_RECORDED], "fits");
    assert_false(other.oom[VS_RECORDED].exists);
}

static void a_tapes_own_verdict_stands_above_its_events(void **state)
{
    scratch *s = *state;
    const vs_timeline a = dying(s, 10, "host_oom");
    const vs_timeline b = dying(s, 10, "never heard of");
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    assert_string_equal(cmp.verdict[VS_PREDICTED], "host_oom");
    assert_string_equal(cmp.verdict[VS_RECORDED], "oom");
}

/* ---- what cannot be compared -------------------------------------------------------------- */

static void without_a_figure_in_common_it_says_so(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    writer w = begin(s);
    put(&w, 1, VS_EV_MARK, 0);
    const vs_timeline blank = seal(&w);
    const vs_comparison cmp = compare(s, &a, &blank, VS_FROM_FIRST);
    assert_non_null(cmp.reason);
    const vs_compare_desc asked = {.tl = {&a, &blank}, .metric = VS_COMPARE_RESERVED};
    vs_comparison out = {0};
    assert_true(vs_compare(&out, &s->arena, &asked, NULL));
    assert_non_null(strstr(out.reason, "reserved"));
}

static void samples_alone_are_compared_by_use_and_time(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    writer w = begin(s);
    vs_tape_event(w.tape, &(vs_event){.time_ns = 4,
                                      .kind = VS_EV_LEVEL,
                                      .category = VS_CAT_OTHER,
                                      .size_bytes = VS_MIB,
                                      .block = VS_NO_BLOCK});
    vs_tape_event(w.tape, &(vs_event){.time_ns = 24,
                                      .kind = VS_EV_LEVEL,
                                      .category = VS_CAT_OTHER,
                                      .size_bytes = 2 * VS_MIB,
                                      .block = VS_NO_BLOCK});
    const vs_timeline samples = seal(&w);
    const vs_comparison cmp = compare(s, &a, &samples, VS_FROM_FIRST);
    assert_int_equal(cmp.desc.metric, VS_COMPARE_USED);
    assert_int_equal(cmp.ends, VS_LOAD_BY_CURVE);
    assert_int_equal(cmp.curves[VS_BY_TIME].max_error_bytes, 0);
    assert_non_null(cmp.curves[VS_BY_EVENT].reason);
    assert_non_null(cmp.curves[VS_BY_SHARE].reason);
}

static void what_is_in_use_needs_the_context_in_both(void **state)
{
    scratch *s = *state;
    const vs_timeline bare = two_layers(s, 1, VS_MIB);
    writer w = begin(s);
    vs_tape_event(w.tape, &(vs_event){.kind = VS_EV_LEVEL,
                                      .category = VS_CAT_CONTEXT,
                                      .size_bytes = VS_GIB,
                                      .block = VS_NO_BLOCK});
    put(&w, 10, VS_EV_SEGMENT_ALLOC, VS_MIB);
    (void)alloc(&w, 10, VS_MIB, "layer.0");
    const vs_timeline whole = seal(&w);
    const vs_comparison cmp = compare(s, &whole, &bare, VS_FROM_FIRST);
    assert_true(cmp.figures[VS_COMPARE_RESERVED].is_in_both);
    assert_false(cmp.figures[VS_COMPARE_USED].is_in_both);
    assert_true(compare(s, &whole, &whole, VS_FROM_FIRST).figures[VS_COMPARE_USED].is_in_both);
    assert_true(compare(s, &bare, &bare, VS_FROM_FIRST).figures[VS_COMPARE_USED].is_in_both);
}

static void a_recording_without_times_has_no_time_axis(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    const vs_timeline b = two_layers(s, 0, VS_MIB);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    assert_non_null(cmp.curves[VS_BY_TIME].reason);
    assert_non_null(cmp.curves[VS_BY_STRETCHED].reason);
    assert_int_equal(cmp.curves[VS_BY_EVENT].max_error_bytes, 0);
    assert_int_equal(cmp.curves[VS_BY_SHARE].max_error_bytes, 0);
}

/* ---- errors ------------------------------------------------------------------------------- */

static void an_error_is_never_rounded_to_none(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, VS_MIB);
    put(&w, 10, VS_EV_MARK, 0);
    put(&w, 1000000, VS_EV_MARK, 0);
    const vs_timeline a = seal(&w);
    w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, VS_MIB);
    put(&w, 20, VS_EV_SEGMENT_MAP, 1);
    put(&w, 21, VS_EV_SEGMENT_UNMAP, 1);
    put(&w, 1000000, VS_EV_MARK, 0);
    const vs_timeline b = seal(&w);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    assert_int_equal(cmp.curves[VS_BY_TIME].max_error_bytes, 1);
    assert_int_equal(cmp.curves[VS_BY_TIME].mean_error_bytes, 1);
    uint64_t ppm = 0;
    assert_true(vs_compare_ppm(1, 24 * VS_GIB, &ppm));
    assert_int_equal(ppm, 1);
    assert_true(vs_compare_ppm(0, 24 * VS_GIB, &ppm));
    assert_int_equal(ppm, 0);
    assert_true(vs_compare_ppm(VS_GIB, 2 * VS_GIB, &ppm));
    assert_int_equal(ppm, 500000);
    assert_false(vs_compare_ppm(1, 0, &ppm));
}

static void shares_and_places_read_well(void **state)
{
    scratch *s = *state;
    char text[VS_TEXT_BYTES];
    char place[VS_PLACE_BYTES];
    assert_string_equal(vs_compare_share(0, 100, text), "0.00 %");
    assert_string_equal(vs_compare_share(1, VS_GIB, text), "<0.01 %");
    assert_string_equal(vs_compare_share(1, 3, text), "33.33 %");
    assert_string_equal(vs_compare_share(VS_GIB, VS_MIB, text), "102400 %");
    assert_string_equal(vs_compare_share(1, 0, text), "");
    const vs_timeline a = two_layers(s, 1000000, VS_MIB);
    const vs_comparison cmp = compare(s, &a, &a, VS_FROM_FIRST);
    assert_string_equal(vs_compare_place(&cmp, VS_BY_TIME, 20000000, place),
                        "20.0 ms after the first allocation");
    assert_string_equal(vs_compare_place(&cmp, VS_BY_STRETCHED, 500000000, place),
                        "at 50.00 % of each load's time");
    assert_string_equal(vs_compare_place(&cmp, VS_BY_EVENT, 811, place), "at allocation 812");
    assert_string_equal(vs_compare_place(&cmp, VS_BY_SHARE, 2 * VS_KIB, place),
                        "with 2.00 KiB (25.00 %) loaded");
    const vs_timeline dead = dying(s, 100, NULL);
    const vs_comparison ends = compare(s, &dead, &dead, VS_FROM_OOM);
    assert_string_equal(vs_compare_place(&ends, VS_BY_TIME, 95, place),
                        "5 ns before running out of memory");
}

static void columns_keep_every_peak(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, VS_MIB);
    put(&w, 1000, VS_EV_SEGMENT_MAP, VS_GIB); /* for one nanosecond */
    put(&w, 1001, VS_EV_SEGMENT_UNMAP, VS_GIB);
    put(&w, 2010, VS_EV_MARK, 0);
    const vs_timeline a = seal(&w);
    w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, 2 * VS_MIB);
    put(&w, 2010, VS_EV_MARK, 0);
    const vs_timeline b = seal(&w);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    vs_compare_column columns[10];
    vs_compare_columns(&cmp.curves[VS_BY_TIME], columns, 10);
    assert_int_equal(columns[4].max[VS_PREDICTED], VS_GIB + VS_MIB); /* 990 of 2000 */
    assert_int_equal(columns[4].min[VS_PREDICTED], VS_MIB);
    assert_int_equal(columns[4].above, VS_MIB);
    assert_int_equal(columns[4].below, VS_GIB - VS_MIB);
    assert_int_equal(columns[5].max[VS_PREDICTED], VS_MIB);
    assert_int_equal(columns[5].below, 0);
    assert_int_equal(columns[9].max[VS_RECORDED], 2 * VS_MIB);
    vs_compare_columns(&cmp.curves[VS_BY_TIME], columns, 1);
    assert_int_equal(columns[0].max[VS_PREDICTED], VS_GIB + VS_MIB);
}

static void an_axis_of_no_length_is_one_value(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, VS_MIB);
    const vs_timeline a = seal(&w);
    w = begin(s);
    put(&w, 10, VS_EV_SEGMENT_ALLOC, 3 * VS_MIB);
    const vs_timeline b = seal(&w);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    const vs_compare_curve *curve = &cmp.curves[VS_BY_TIME];
    assert_null(curve->reason);
    assert_int_equal(curve->end, 0);
    assert_int_equal(curve->max_error_bytes, 2 * VS_MIB);
    assert_int_equal(curve->mean_error_bytes, 2 * VS_MIB);
    vs_compare_column columns[3];
    vs_compare_columns(curve, columns, 3);
    assert_int_equal(columns[0].max[VS_RECORDED], 3 * VS_MIB);
    assert_int_equal(columns[2].above, 2 * VS_MIB);
}

static void the_fullest_moment_of_a_share_is_shown(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    put(&w, 1, VS_EV_SEGMENT_ALLOC, 4 * VS_MIB);
    const uint32_t first = alloc(&w, 2, VS_MIB, "a");
    const uint32_t second = alloc(&w, 3, VS_MIB, "b"); /* event 2: the fullest */
    release(&w, 4, first);
    release(&w, 5, second);
    (void)alloc(&w, 6, 2 * VS_MIB, "c"); /* as full again */
    put(&w, 7, VS_EV_PROGRESS, VS_KIB);
    const vs_timeline a = seal(&w);
    const vs_timeline b = two_layers(s, 1, 512);
    const vs_comparison cmp = compare(s, &a, &b, VS_FROM_FIRST);
    assert_int_equal(cmp.curves[VS_BY_SHARE].points[VS_PREDICTED].count, 2);
    assert_int_equal(cmp.curves[VS_BY_SHARE].points[VS_PREDICTED].value[0], 4 * VS_MIB);
    assert_int_equal(cmp.curves[VS_BY_SHARE].at, 0);
    assert_int_equal(cmp.curves[VS_BY_SHARE].at_event[VS_PREDICTED], 2);
}

static void progress_that_goes_back_takes_nothing_back(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    put(&w, 1, VS_EV_SEGMENT_ALLOC, VS_MIB);
    put(&w, 2, VS_EV_PROGRESS, 8 * VS_KIB);
    put(&w, 3, VS_EV_PROGRESS, VS_KIB);
    put(&w, 4, VS_EV_SEGMENT_ALLOC, VS_MIB);
    put(&w, 5, VS_EV_PROGRESS, 9 * VS_KIB);
    const vs_timeline a = seal(&w);
    const vs_comparison cmp = compare(s, &a, &a, VS_FROM_FIRST);
    const vs_compare_points *points = &cmp.curves[VS_BY_SHARE].points[VS_PREDICTED];
    assert_int_equal(points->count, 3);
    assert_int_equal(points->position[1], 8 * VS_KIB);
    assert_int_equal(points->value[1], 2 * VS_MIB);
}

/* ---- what was alive ------------------------------------------------------------------------ */

static void blocks_that_only_one_run_holds_are_named(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    (void)alloc(&w, 1, 4 * VS_MIB, "embed");
    const uint32_t gone = alloc(&w, 2, 64 * VS_MIB, "gone");
    release(&w, 3, gone);
    (void)alloc(&w, 4, 2 * VS_MIB, "layer.0");
    (void)alloc(&w, 5, 2 * VS_MIB, "layer.1");
    const vs_timeline a = seal(&w);
    w = begin(s);
    (void)alloc(&w, 1, 8 * VS_MIB, "embed");
    (void)alloc(&w, 2, 2 * VS_MIB, "layer.1");
    const vs_timeline b = seal(&w);
    const vs_compare_desc desc = {.tl = {&a, &b}};
    const uint32_t last[VS_SIDES] = {a.event_count - 1, b.event_count - 1};
    vs_live_difference live = {0};
    const size_t used = s->arena.used_bytes;
    assert_true(vs_compare_live(&live, &s->arena, &desc, last, NULL));
    assert_int_equal(s->arena.used_bytes, used);
    assert_true(live.is_by_name);
    assert_int_equal(live.group_count[VS_PREDICTED], 2);
    assert_string_equal(live.groups[VS_PREDICTED][0].name, "embed");
    assert_string_equal(live.groups[VS_PREDICTED][1].name, "layer.0");
    assert_int_equal(live.only_bytes[VS_PREDICTED], 6 * VS_MIB);
    assert_int_equal(live.group_count[VS_RECORDED], 1);
    assert_int_equal(live.groups[VS_RECORDED][0].size_bytes, 8 * VS_MIB);
    assert_int_equal(live.moment[VS_RECORDED].used_bytes, 10 * VS_MIB);
}

static void without_common_names_sizes_are_counted(void **state)
{
    scratch *s = *state;
    writer w = begin(s);
    for (uint32_t i = 0; i < 5; i++) {
        (void)alloc(&w, i, 2 * VS_MIB, "layer");
    }
    const vs_timeline a = seal(&w);
    w = begin(s);
    (void)alloc(&w, 1, 2 * VS_MIB, "");
    (void)alloc(&w, 1, 2 * VS_MIB, "");
    (void)alloc(&w, 1, 512, "");
    const vs_timeline b = seal(&w);
    const vs_compare_desc desc = {.tl = {&a, &b}};
    const uint32_t last[VS_SIDES] = {a.event_count - 1, b.event_count - 1};
    vs_live_difference live = {0};
    assert_true(vs_compare_live(&live, &s->arena, &desc, last, NULL));
    assert_false(live.is_by_name);
    assert_int_equal(live.group_count[VS_PREDICTED], 1);
    assert_int_equal(live.groups[VS_PREDICTED][0].count, 3);
    assert_string_equal(live.groups[VS_PREDICTED][0].name, "layer");
    assert_int_equal(live.groups[VS_PREDICTED][0].category, VS_CAT_STAGING);
    assert_int_equal(live.group_count[VS_RECORDED], 1);
    assert_int_equal(live.groups[VS_RECORDED][0].size_bytes, 512);
    const uint32_t before[VS_SIDES] = {VS_NO_MOMENT, VS_NO_MOMENT};
    assert_true(vs_compare_live(&live, &s->arena, &desc, before, NULL));
    assert_int_equal(live.group_count[VS_PREDICTED] + live.group_count[VS_RECORDED], 0);
}

static void an_exhausted_arena_is_an_error(void **state)
{
    scratch *s = *state;
    const vs_timeline a = two_layers(s, 1, VS_MIB);
    const vs_timeline b = two_layers(s, 2, 2 * VS_MIB);
    const vs_compare_desc desc = {.tl = {&a, &b}, .metric = VS_COMPARE_METRIC_COUNT};
    const uint32_t last[VS_SIDES] = {a.event_count - 1, b.event_count - 1};
    uint32_t failures = 0;
    for (uint64_t n = 1; n < 64; n++) {
        vs_arena arena = {0};
        vs_err err = {0};
        vs_comparison cmp = {0};
        vs_live_difference live = {0};
        assert_true(vs_arena_open(&arena, 16 * VS_MIB, NULL));
        arena.fail_at = n;
        if (!vs_compare(&cmp, &arena, &desc, &err) ||
            !vs_compare_live(&live, &arena, &desc, last, &err)) {
            assert_int_equal(err.code, VS_ERR_MEMORY);
            failures++;
        }
        vs_arena_close(&arena);
    }
    assert_in_range(failures, 24, 40); /* three arrays a curve, and what live blocks take */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_against_itself_has_no_error),
        TEST(an_error_of_size_is_the_same_on_every_axis),
        TEST(an_error_of_rate_is_one_of_time_alone),
        TEST(zero_is_where_it_was_asked_for),
        TEST(both_ends_are_held_against_each_other),
        TEST(a_tapes_own_verdict_stands_above_its_events),
        TEST(without_a_figure_in_common_it_says_so),
        TEST(samples_alone_are_compared_by_use_and_time),
        TEST(what_is_in_use_needs_the_context_in_both),
        TEST(a_recording_without_times_has_no_time_axis),
        TEST(an_error_is_never_rounded_to_none),
        TEST(shares_and_places_read_well),
        TEST(columns_keep_every_peak),
        TEST(an_axis_of_no_length_is_one_value),
        TEST(the_fullest_moment_of_a_share_is_shown),
        TEST(progress_that_goes_back_takes_nothing_back),
        TEST(blocks_that_only_one_run_holds_are_named),
        TEST(without_common_names_sizes_are_counted),
        TEST(an_exhausted_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
