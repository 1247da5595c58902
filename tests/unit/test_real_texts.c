/* tests/unit/test_real_texts.c - traces of real GPUs in text formats, read as they were published.
 *
 * Expected figures are Python's: tests/tools/trace_figures.py prints them. The files are not part of the tree; where they
 * are absent the tests are skipped and say so. */
#include "tests/support/trace_text.h"

#include <unistd.h>

#define TRACES "../shared/traces/"

/* False: the file is not there. */
static bool read_real(trace_text *t, const char *name)
{
    char path[512] = {0};
    vs_err err = {0};
    const vs_read_desc desc = {.keep = &t->keep, .scratch = &t->scratch};
    (void)snprintf(path, sizeof path, TRACES "%s", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is absent\n", path);
        return false;
    }
    if (!vs_recording_read(&t->rec, path, &desc, &err)) {
        char line[1024] = {0};
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return true;
}

static uint32_t count_work(const vs_recording *rec, vs_rec_work kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rec->span_count; i++) {
        count += rec->spans[i].kind == kind;
    }
    return count;
}

static uint32_t count_allocations(const vs_rec_device *d)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->event_count; i++) {
        count += d->events[i].action == VS_REC_ALLOC;
    }
    return count;
}

static void a_training_step_with_totals(void **state)
{
    trace_text *t = *state;
    if (!read_real(t,
                   "facebookresearch__HolisticTraceAnalysis__tests_data_df_index_resolver_df_"
                   "index_resolver.json.gz")) {
        skip();
    }
    const vs_recording *rec = &t->rec;
    assert_int_equal(rec->format, VS_TRACE_CHROME);
    assert_int_equal(rec->device_count, 2);
    const vs_rec_device *gpu = &rec->devices[0];
    assert_int_equal(gpu->ordinal, 1);
    assert_string_equal(gpu->name, "Tesla V100-SXM2-32GB");
    assert_int_equal(gpu->capacity_bytes, UINT64_C(34089730048));
    assert_int_equal(gpu->event_count, 26770);
    assert_int_equal(count_allocations(gpu), 13385);
    assert_int_equal(rec->devices[1].event_count, 1240);
    assert_true(rec->devices[1].is_host);
    assert_int_equal(count_work(rec, VS_REC_KERNEL), 19370);
    assert_int_equal(count_work(rec, VS_REC_D2D), 2040);
    assert_int_equal(count_work(rec, VS_REC_MEMSET), 880);
    assert_int_equal(count_work(rec, VS_REC_CALL), 42373);
    assert_int_equal(rec->annotation_count, 2 * 2035);
    trace_text_notes(rec, "thread by thread (going back in time: 1)");
    assert_false(trace_text_has_note(rec, "disagree"));
    /* every total is the one before it and the event's own bytes */
    for (uint32_t i = 1; i < gpu->event_count; i++) {
        const vs_rec_event *e = &gpu->events[i];
        const uint64_t change = e->action == VS_REC_ALLOC ? e->size : 0 - e->size;
        assert_int_equal(gpu->totals[i - 1].allocated + change, gpu->totals[i].allocated);
    }
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), UINT64_C(6629508096));
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, UINT64_MAX),
                     UINT64_C(4096614400));
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_RESERVED), UINT64_C(12782141440));
    assert_false(trace_text_tape_notes(tl, "GPU 1,"));
}

static void a_trace_of_the_old_form(void **state)
{
    trace_text *t = *state;
    if (!read_real(t, "pytorch__kineto__tb_plugin_samples_resnet50_num_workers_0_worker0."
                      "1623143089861.pt.trace.json.gz")) {
        skip();
    }
    const vs_recording *rec = &t->rec;
    assert_int_equal(rec->device_count, 2);
    assert_int_equal(rec->devices[0].event_count, 8220);
    assert_int_equal(count_allocations(&rec->devices[0]), 4110);
    assert_int_equal(rec->devices[1].event_count, 4618);
    assert_null(rec->devices[0].totals);
    assert_int_equal(rec->epoch_ns, UINT64_C(1623142623460121000));
    assert_int_equal(count_work(rec, VS_REC_H2D_PAGEABLE), 12);
    assert_int_equal(count_work(rec, VS_REC_KERNEL), 8772);
    assert_int_equal(rec->note_count, 0);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), UINT64_C(2791636480));
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, UINT64_MAX), 0);
    assert_int_equal(trace_text_peak(tl, 1, VS_TRACK_USED), 57803264);
    assert_int_equal(trace_text_at(tl, 1, VS_TRACK_USED, UINT64_MAX), 19267840);
}

static void a_memory_timeline(void **state)
{
    trace_text *t = *state;
    if (!read_real(t,
                   "tonghuikang__optimizer-memory-profiles__profiling_modal_gpu_adam_profile."
                   "raw.json.gz")) {
        skip();
    }
    assert_int_equal(t->rec.format, VS_TRACE_TIMELINE);
    assert_int_equal(t->rec.devices[0].event_count, 41288);
    assert_int_equal(count_allocations(&t->rec.devices[0]), 20967);
    assert_int_equal(t->rec.note_count, 1);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), 529772520);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, UINT64_MAX), 320983016);
}

static void samples_of_nvidia_smi(void **state)
{
    trace_text *t = *state;
    if (!read_real(t, "pjordanandrsn__experts4bit-qlora__ab-telemetry_axolotl-ab_vram_single_"
                      "resident.csv.gz")) {
        skip();
    }
    assert_int_equal(t->rec.format, VS_TRACE_SMI);
    assert_int_equal(t->rec.device_count, 2);
    assert_int_equal(t->rec.devices[0].event_count, 439);
    assert_int_equal(t->rec.devices[1].event_count, 439);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_USED), 18311 * VS_MIB);
    assert_int_equal(trace_text_peak(tl, 1, VS_TRACK_USED), 4 * VS_MIB);
    assert_int_equal(tl->end_ns, UINT64_C(438000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(a_training_step_with_totals),
        WITH_TEXT(a_trace_of_the_old_form),
        WITH_TEXT(a_memory_timeline),
        WITH_TEXT(samples_of_nvidia_smi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
