/* tests/unit/test_perfetto.c - traces/write/perfetto.c: the JSON is parsed back and held against the tape. */
#include "vramscope/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define THREADS_MAX ((size_t)RANDOM_LANES * 64) /* ROWS_MAX of perfetto.c */

static vs_timeline sealed(vs_tape *tape)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

static void write_and_parse(scratch *s, const vs_timeline *tl, vs_json *doc)
{
    vs_err err = {0};
    const char *path = scratch_path(s, "out.json");
    if (!vs_trace_write_perfetto(tl, path, &err) || !vs_json_read(doc, path, &err)) {
        scratch_fail(&err);
    }
}

static vs_jnode events_of(const vs_json *doc)
{
    const vs_jnode root = vs_json_root(doc);
    const vs_jnode events = vs_json_member(&root, "traceEvents");
    assert_true(vs_json_is_array(&events));
    return events;
}

static vs_str text_of(const vs_jnode *event, const char *key)
{
    vs_str text = {0};
    assert_true(vs_json_get_str(event, key, true, &text, NULL));
    return text;
}

static uint64_t number_of(const vs_jnode *event, const char *key)
{
    uint64_t number = 0;
    assert_true(vs_json_get_u64(event, key, true, &number, NULL));
    return number;
}

/* Microseconds with decimals back to nanoseconds. */
static vs_ns ns_of(const vs_jnode *event, const char *key)
{
    double us = 0.0;
    assert_true(vs_json_get_double(event, key, true, &us, NULL));
    return (vs_ns)(us * 1000.0 + 0.5);
}

static bool is_phase(const vs_jnode *event, const char *phase)
{
    return vs_str_is(text_of(event, "ph"), phase);
}

/* ---- a tape of every kind -------------------------------------------------------------------- */

static vs_tape *small_tape(scratch *s)
{
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu \"0\"", VS_GIB);
    const uint16_t disk = vs_tape_add_lane(tape, "disk");
    vs_tape_set_meta(tape, "model", "small\nmodel");
    vs_tape_event(tape, &(vs_event){.time_ns = 1234567,
                                    .kind = VS_EV_LEVEL,
                                    .category = VS_CAT_CONTEXT,
                                    .size_bytes = 4096,
                                    .block = VS_NO_BLOCK});
    vs_tape_event(tape, &(vs_event){.time_ns = 1234568,
                                    .kind = VS_EV_SEGMENT_ALLOC,
                                    .size_bytes = 2097152,
                                    .block = VS_NO_BLOCK});
    vs_tape_event(tape, &(vs_event){.time_ns = 2000000,
                                    .kind = VS_EV_OOM,
                                    .size_bytes = 20971520,
                                    .asked_bytes = 15000000,
                                    .extra = 77,
                                    .name = vs_tape_string(tape, vs_str_of("lm_head")),
                                    .block = VS_NO_BLOCK});
    const uint32_t name = vs_tape_string(tape, vs_str_of("embed"));
    vs_tape_span(tape, disk, 1001, 3003, VS_CAT_STAGING, name, 500);
    vs_tape_span(tape, disk, 2000, 4000, VS_CAT_STAGING, name, 600); /* overlaps the first */
    vs_tape_span(tape, disk, 3003, 3500, VS_CAT_STAGING, VS_NO_NAME, 700);
    return tape;
}

static vs_jnode find_event(const vs_jnode *events, const char *phase, const char *name,
                           uint32_t nth)
{
    for (vs_jnode i = vs_json_first(events); i.node != NULL; i = vs_json_next(&i)) {
        if (is_phase(&i, phase) && vs_str_is(text_of(&i, "name"), name) && nth-- == 0) {
            return i;
        }
    }
    fail_msg("no %s event called %s", phase, name);
    return (vs_jnode){0};
}

static void counters_carry_every_category_at_the_exact_nanosecond(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = sealed(small_tape(s));
    vs_json doc = {0};
    write_and_parse(s, &tl, &doc);
    const vs_jnode events = events_of(&doc);
    const vs_jnode first = find_event(&events, "C", "memory", 0);
    const vs_jnode second = find_event(&events, "C", "memory", 1);
    const vs_jnode args = vs_json_member(&second, "args");
    assert_int_equal(ns_of(&first, "ts"), 1234567);
    assert_int_equal(ns_of(&second, "ts"), 1234568);
    assert_int_equal(number_of(&args, "context"), 4096);
    assert_int_equal(number_of(&args, "resfree"), 2097152);
    const vs_jnode torch = find_event(&events, "C", "torch", 0);
    const vs_jnode torch_args = vs_json_member(&torch, "args");
    assert_int_equal(number_of(&torch_args, "reserved"), 2097152);
    assert_int_equal(number_of(&torch_args, "allocated"), 0);
    vs_json_close(&doc);
}

static void spans_that_overlap_go_to_another_thread_of_their_lane(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = sealed(small_tape(s));
    vs_json doc = {0};
    write_and_parse(s, &tl, &doc);
    const vs_jnode events = events_of(&doc);
    const vs_jnode first = find_event(&events, "X", "embed", 0);
    const vs_jnode second = find_event(&events, "X", "embed", 1);
    const vs_jnode third = find_event(&events, "X", "staging", 0); /* no name: its category's */
    assert_int_equal(ns_of(&first, "ts"), 1001);
    assert_int_equal(ns_of(&first, "dur"), 2002);
    assert_int_not_equal(number_of(&first, "tid"), number_of(&second, "tid"));
    assert_int_equal(number_of(&first, "tid"), number_of(&third, "tid"));
    const vs_jnode args = vs_json_member(&third, "args");
    assert_int_equal(number_of(&args, "bytes"), 700);
    const vs_jnode named = find_event(&events, "M", "thread_name", 1);
    const vs_jnode name = vs_json_member(&named, "args");
    assert_true(vs_str_is(text_of(&name, "name"), "disk (2)"));
    vs_json_close(&doc);
}

static void out_of_memory_is_an_instant_with_its_figures(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = sealed(small_tape(s));
    vs_json doc = {0};
    write_and_parse(s, &tl, &doc);
    const vs_jnode events = events_of(&doc);
    const vs_jnode oom = find_event(&events, "i", "out of memory", 0);
    const vs_jnode args = vs_json_member(&oom, "args");
    assert_int_equal(ns_of(&oom, "ts"), 2000000);
    assert_true(vs_str_is(text_of(&oom, "s"), "g"));
    assert_true(vs_str_is(text_of(&args, "tensor"), "lm_head"));
    assert_int_equal(number_of(&args, "requested_bytes"), 15000000);
    assert_int_equal(number_of(&args, "attempted_bytes"), 20971520);
    assert_int_equal(number_of(&args, "free_bytes"), 77);
    vs_json_close(&doc);
}

static void facts_about_the_run_go_along(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = sealed(small_tape(s));
    vs_json doc = {0};
    write_and_parse(s, &tl, &doc);
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode other = vs_json_member(&root, "otherData");
    assert_true(vs_str_is(text_of(&other, "model"), "small\nmodel"));
    vs_json_close(&doc);
}

static void an_empty_tape_is_a_trace_without_events(void **state)
{
    scratch *s = *state;
    const vs_timeline tl = sealed(vs_tape_new(&s->arena, &(vs_tape_desc){0}));
    vs_json doc = {0};
    write_and_parse(s, &tl, &doc);
    const vs_jnode events = events_of(&doc);
    assert_int_equal(vs_json_count(&events), 0);
    vs_json_close(&doc);
}

/* ---- random tapes -------------------------------------------------------------------------------- */

/* What has been seen so far of one device. */
typedef struct {
    vs_ns last_ns;
    uint32_t next_event; /* the tape's event that the next counter can belong to */
    uint32_t count;
} device_seen;

static vs_bytes sum_of_args(const vs_jnode *event)
{
    const vs_jnode args = vs_json_member(event, "args");
    vs_bytes sum = 0;
    for (vs_jnode i = vs_json_first(&args); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t value = 0;
        assert_true(vs_json_as_u64(&i, &value, NULL));
        sum += value;
    }
    return sum;
}

/* The next event of the device that moves one of its categories. */
static uint32_t next_move(const vs_timeline *tl, uint8_t device, uint32_t from)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t t = 0; t < tl->track_count; t++) {
        const vs_track_info *track = &tl->tracks[t];
        if (track->device != device || track->role != VS_TRACK_CATEGORY) {
            continue;
        }
        for (uint64_t i = 0; i < track->count; i++) {
            const uint32_t event = tl->sample_event[track->first + i];
            if (event >= from && tl->event_device[event] == device) {
                next = event < next ? event : next;
                break;
            }
        }
    }
    return next;
}

static void check_counter(const vs_timeline *tl, const vs_jnode *event, device_seen *seen)
{
    const uint8_t device = (uint8_t)(number_of(event, "pid") - 1);
    const vs_ns now = ns_of(event, "ts");
    const uint32_t at = next_move(tl, device, seen->next_event);
    assert_int_not_equal(at, UINT32_MAX);
    assert_true(now >= seen->last_ns);
    assert_int_equal(now, tl->event_time[at]);
    const uint32_t used = vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    assert_int_equal(sum_of_args(event), vs_track_at_event(tl, used, at));
    seen->last_ns = now;
    seen->next_event = at + 1;
    seen->count++;
}

static void counters_add_up_to_used_bytes_at_every_event(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        random_tape r = {0};
        vs_json doc = {0};
        device_seen seen[RANDOM_DEVICES] = {{0}};
        vs_arena_reset(&s->arena);
        assert_true(random_tape_make(&r, &s->arena, seed, 200));
        const vs_timeline tl = sealed(r.tape);
        write_and_parse(s, &tl, &doc);
        const vs_jnode events = events_of(&doc);
        for (vs_jnode i = vs_json_first(&events); i.node != NULL; i = vs_json_next(&i)) {
            if (is_phase(&i, "C") && vs_str_is(text_of(&i, "name"), "memory")) {
                check_counter(&tl, &i, &seen[number_of(&i, "pid") - 1]);
            }
        }
        for (uint8_t d = 0; d < RANDOM_DEVICES; d++) {
            assert_int_equal(next_move(&tl, d, seen[d].next_event),
                             UINT32_MAX); /* none left out */
        }
        vs_json_close(&doc);
    }
}

static void every_span_is_a_slice_and_none_overlap_on_a_thread(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        random_tape r = {0};
        vs_json doc = {0};
        vs_ns free_ns[THREADS_MAX + 1] = {0};
        uint64_t count = 0;
        vs_arena_reset(&s->arena);
        assert_true(random_tape_make(&r, &s->arena, seed, 60));
        const vs_timeline tl = sealed(r.tape);
        write_and_parse(s, &tl, &doc);
        const vs_jnode events = events_of(&doc);
        for (vs_jnode i = vs_json_first(&events); i.node != NULL; i = vs_json_next(&i)) {
            if (!is_phase(&i, "X")) {
                continue;
            }
            const uint64_t tid = number_of(&i, "tid");
            assert_true(tid <= THREADS_MAX);
            assert_true(ns_of(&i, "ts") >= free_ns[tid]);
            free_ns[tid] = ns_of(&i, "ts") + ns_of(&i, "dur");
            count++;
        }
        assert_int_equal(count, tl.span_count);
        vs_json_close(&doc);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_carry_every_category_at_the_exact_nanosecond),
        TEST(spans_that_overlap_go_to_another_thread_of_their_lane),
        TEST(out_of_memory_is_an_instant_with_its_figures),
        TEST(facts_about_the_run_go_along),
        TEST(an_empty_tape_is_a_trace_without_events),
        TEST(counters_add_up_to_used_bytes_at_every_event),
        TEST(every_span_is_a_slice_and_none_overlap_on_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
