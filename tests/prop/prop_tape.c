/* Random tapes against naive twins: columns and ranges against a full scan, lanes against counting
 * nanoseconds, everything derived against vs_timeline_check, files against the image. */
#include "sim/tape/internal.h"
#include "tests/tape_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST_SEED UINT64_C(20260501)

typedef struct {
    vs_arena arena;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    vs_err err = {0};
    if (f == NULL || !vs_arena_open(&f->arena, 256 * VS_MIB, &err)) {
        return -1;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void assert_ok(bool ok, const vs_err *err, uint64_t seed)
{
    if (!ok) {
        char line[1024];
        fail_msg("seed %" PRIu64 ": %s", seed, vs_err_line(err, line, sizeof line));
    }
}

static vs_timeline sealed(fixture *f, random_tape *r, uint64_t seed, uint32_t step_count)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_true(random_tape_make(r, &f->arena, seed, step_count));
    assert_ok(vs_tape_seal(r->tape, &tl, &err), &err, seed);
    return tl;
}

/* ---- the naive twin of a column --------------------------------------------------------- */

/* Every moment of [t0, t1) at which the track has a value: the carried one if it lasts into the range,
 * then every sample inside. An empty range shows what was carried to it. */
static vs_column scan(const vs_timeline *tl, uint32_t track, vs_ns t0, vs_ns t1)
{
    const vs_track_info *t = &tl->tracks[track];
    vs_bytes carried = 0;
    vs_ns first_ns = UINT64_MAX; /* of the samples not carried */
    for (uint64_t i = t->first + t->count; i-- > t->first;) {
        if (tl->sample_time[i] < t0) {
            carried = tl->sample_value[i];
            break;
        }
        first_ns = tl->sample_time[i];
    }
    vs_column c = {.min = carried, .max = carried, .last = carried, .max_event = UINT32_MAX};
    bool has_value = first_ns > t0 || t1 <= t0;
    for (uint64_t i = t->first; i < t->first + t->count; i++) {
        const vs_bytes value = tl->sample_value[i];
        if (tl->sample_time[i] < t0 || tl->sample_time[i] >= t1) {
            continue;
        }
        c.min = !has_value || value < c.min ? value : c.min;
        if (!has_value || value > c.max) {
            c.max = value;
            c.max_event = tl->sample_event[i];
        }
        c.last = value;
        has_value = true;
    }
    return c;
}

static void assert_same_column(vs_column a, vs_column b)
{
    assert_int_equal(a.min, b.min);
    assert_int_equal(a.max, b.max);
    assert_int_equal(a.last, b.last);
    assert_int_equal(a.max_event, b.max_event);
}

static void compare_ranges(const vs_timeline *tl, random_tape *r, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t track = (uint32_t)random_below(r, tl->track_count);
        const vs_ns t0 = random_below(r, tl->end_ns + 10);
        const vs_ns t1 = random_below(r, 4) == 0 ? t0 + random_below(r, 3)
                                                 : random_below(r, tl->end_ns + 10);
        assert_same_column(vs_track_range(tl, track, t0, t1), scan(tl, track, t0, t1));
    }
}

static void compare_columns(const vs_timeline *tl, random_tape *r, uint32_t n)
{
    vs_column columns[512];
    assert_in_range(n, 1, 512);
    const uint32_t track = (uint32_t)random_below(r, tl->track_count);
    const vs_ns t0 = random_below(r, tl->end_ns + 1);
    const vs_ns t1 = t0 + random_below(r, tl->end_ns + 1 - t0 + 5);
    vs_track_columns(tl, track, t0, t1, columns, n);
    for (uint32_t i = 0; i < n; i++) {
        const vs_ns left = t0 + (t1 - t0) * i / n;
        const vs_ns right = t0 + (t1 - t0) * (i + 1) / n;
        assert_same_column(columns[i], scan(tl, track, left, right));
    }
}

static void ranges_and_columns_equal_a_full_scan(void **state)
{
    fixture *f = *state;
    for (uint32_t steps = 1; steps < 6000; steps = steps * 2 + 1) {
        const uint64_t seed = FIRST_SEED + steps;
        random_tape r;
        const vs_timeline tl = sealed(f, &r, seed, steps);
        compare_ranges(&tl, &r, 100);
        for (uint32_t n = 1; n <= 512; n = n * 3 + 2) {
            compare_columns(&tl, &r, n);
        }
        vs_arena_reset(&f->arena);
    }
}

static void values_at_events_and_times_equal_a_full_scan(void **state)
{
    fixture *f = *state;
    random_tape r;
    const vs_timeline tl = sealed(f, &r, FIRST_SEED, 700);
    for (uint32_t track = 0; track < tl.track_count; track++) {
        const vs_track_info *t = &tl.tracks[track];
        vs_bytes value = 0;
        uint64_t next = t->first;
        for (uint32_t event = 0; event < tl.event_count; event++) {
            if (next < t->first + t->count && tl.sample_event[next] == event) {
                value = tl.sample_value[next++];
            }
            assert_int_equal(vs_track_at_event(&tl, track, event), value);
            const bool is_last_of_instant =
                event + 1 == tl.event_count || tl.event_time[event + 1] > tl.event_time[event];
            if (is_last_of_instant) {
                assert_int_equal(vs_track_at_time(&tl, track, tl.event_time[event]), value);
            }
        }
        assert_int_equal(vs_track_at_time(&tl, track, UINT64_MAX), value);
    }
}

/* ---- lanes -------------------------------------------------------------------------------- */

static void busy_time_equals_counting_nanoseconds(void **state)
{
    fixture *f = *state;
    for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + 20; seed++) {
        random_tape r;
        const vs_timeline tl = sealed(f, &r, seed, 60);
        const vs_ns horizon = tl.end_ns + 3;
        for (uint32_t lane = 0; lane < tl.lane_count; lane++) {
            uint8_t *is_busy = VS_ARRAY(&f->arena, uint8_t, horizon);
            assert_non_null(is_busy);
            for (uint64_t i = tl.lanes[lane].first;
                 i < tl.lanes[lane].first + tl.lanes[lane].count; i++) {
                memset(is_busy + tl.span_start[i], 1, tl.span_end[i] - tl.span_start[i]);
            }
            const vs_ns t0 = random_below(&r, horizon);
            vs_ns busy = 0;
            for (vs_ns t1 = t0; t1 < horizon; t1++) {
                assert_int_equal(vs_lane_busy(&tl, lane, t0, t1), busy);
                busy += is_busy[t1];
            }
        }
        vs_arena_reset(&f->arena);
    }
}

static void lane_lower_equals_a_linear_search(void **state)
{
    fixture *f = *state;
    random_tape r;
    const vs_timeline tl = sealed(f, &r, FIRST_SEED, 200);
    for (uint32_t lane = 0; lane < tl.lane_count; lane++) {
        const uint64_t past = tl.lanes[lane].first + tl.lanes[lane].count;
        for (vs_ns t0 = 0; t0 < tl.end_ns + 3; t0++) {
            uint64_t i = tl.lanes[lane].first;
            while (i < past && tl.span_end[i] <= t0) {
                i++;
            }
            assert_int_equal(vs_lane_lower(&tl, lane, t0), i);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void every_derived_thing_equals_its_naive_twin(void **state)
{
    fixture *f = *state;
    for (uint32_t steps = 0; steps < 4000; steps = steps * 3 / 2 + 1) {
        const uint64_t seed = FIRST_SEED * 3 + steps;
        random_tape r;
        const vs_timeline tl = sealed(f, &r, seed, steps);
        vs_err err = {0};
        assert_ok(vs_timeline_check(&tl, &err), &err, seed);
        vs_arena_reset(&f->arena);
    }
}

static void a_written_tape_opens_as_the_same_bytes(void **state)
{
    fixture *f = *state;
    char path[] = "/tmp/vs-prop-tape-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    for (uint32_t steps = 0; steps < 3000; steps = steps * 4 + 1) {
        const uint64_t seed = FIRST_SEED * 5 + steps;
        random_tape r;
        const vs_timeline tl = sealed(f, &r, seed, steps);
        vs_err err = {0};
        vs_timeline opened = {0};
        assert_ok(vs_timeline_write(&tl, path, &err), &err, seed);
        assert_ok(vs_timeline_open(&opened, path, &err), &err, seed);
        assert_int_equal(opened.image_bytes, tl.image_bytes);
        uint8_t head[TAPE_HEAD_BYTES];
        image_file_head(tl.image, head);
        assert_memory_equal(opened.image, head, sizeof head);
        assert_memory_equal(opened.image + sizeof head, tl.image + sizeof head,
                            tl.image_bytes - sizeof head);
        assert_int_equal(opened.end_ns, tl.end_ns);
        assert_ok(vs_timeline_check(&opened, &err), &err, seed);
        vs_timeline_close(&opened);
        vs_arena_reset(&f->arena);
    }
    (void)unlink(path);
}

static void the_same_calls_give_the_same_bytes_in_dirty_memory(void **state)
{
    fixture *f = *state;
    random_tape r;
    const vs_timeline first = sealed(f, &r, FIRST_SEED, 2000);
    uint8_t *copy = malloc(first.image_bytes);
    assert_non_null(copy);
    const uint64_t copy_bytes = first.image_bytes;
    memcpy(copy, first.image, copy_bytes);
    vs_arena_reset(&f->arena);
    char *dirt = vs_arena_alloc(&f->arena, 4001, 1);
    assert_non_null(dirt);
    memset(dirt, 0xa5, 4001);
    const vs_timeline second = sealed(f, &r, FIRST_SEED, 2000);
    assert_int_equal(second.image_bytes, copy_bytes);
    assert_memory_equal(second.image, copy, copy_bytes);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranges_and_columns_equal_a_full_scan, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_at_events_and_times_equal_a_full_scan, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(busy_time_equals_counting_nanoseconds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lane_lower_equals_a_linear_search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_derived_thing_equals_its_naive_twin, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_written_tape_opens_as_the_same_bytes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_same_calls_give_the_same_bytes_in_dirty_memory,
                                        set_up, tear_down),
    };
    (void)printf("prop_tape: first seed %" PRIu64 "\n", FIRST_SEED);
    return cmocka_run_group_tests_name("prop_tape", tests, NULL, NULL);
}
