/* tests/unit/test_chrome.c - Chrome traces: both forms of [memory] events, slices, clocks, and files that are cut. */
#include "tests/support/trace_text.h"

#define HEAD                                                                                   \
    "{\"schemaVersion\":1,\"deviceProperties\":[{\"id\":1,\"name\":\"L4\",\"totalGlobalMem\":" \
    "24152899584,\"other\":[1,{}]}],"
#define EVENT(tid, ts, args)                                                                   \
    "{\"ph\":\"i\",\"cat\":\"cpu_instant_event\",\"s\":\"t\",\"name\":\"[memory]\",\"pid\":1," \
    "\"tid\":" #tid ",\"ts\":" #ts ",\"args\":{" args "}}"
#define NEW(addr, bytes, allocated, reserved)                                                  \
    "\"Device Type\":1,\"Device Id\":1,\"Addr\":" #addr ",\"Bytes\":" #bytes                   \
    ",\"Total Allocated\":" #allocated ",\"Total Reserved\":" #reserved
#define OLD(type, id, bytes) "\"Device Type\":" #type ",\"Device Id\":" #id ",\"Bytes\":" #bytes

static void both_forms_of_memory_events_are_read(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        HEAD "\"traceEvents\":[" EVENT(
            7, 1669783687464181.537,
            NEW(4096, 1024, 5120,
                2097152)) "," EVENT(7, 1669783687464182,
                                    NEW(4096, -1024, 4096,
                                        2097152)) "," EVENT(7, 1669783687464183,
                                                            OLD(0, -1,
                                                                16)) "," EVENT(7,
                                                                               1669783687464184,
                                                                               OLD(0, -1,
                                                                                   -16)) "]}");
    assert_int_equal(rec->device_count, 2);
    assert_int_equal(rec->epoch_ns, UINT64_C(1669783687464181537));
    const vs_rec_device *gpu = &rec->devices[0];
    assert_int_equal(gpu->ordinal, 1);
    assert_string_equal(gpu->name, "L4");
    assert_int_equal(gpu->capacity_bytes, UINT64_C(24152899584));
    assert_int_equal(gpu->event_count, 2);
    assert_int_equal(gpu->events[0].action, VS_REC_ALLOC);
    assert_int_equal(gpu->events[0].addr, 4096);
    assert_int_equal(gpu->events[0].size, 1024);
    assert_int_equal(gpu->events[0].flags, VS_REC_BLOCK_SIZE);
    assert_int_equal(gpu->events[1].action, VS_REC_FREE_COMPLETED);
    assert_int_equal(gpu->events[1].time_ns, 463);
    assert_int_equal(gpu->totals[1].allocated, 4096);
    assert_int_equal(gpu->totals[1].reserved, 2097152);
    const vs_rec_device *host = &rec->devices[1];
    assert_true(host->is_host);
    assert_null(host->totals);
    assert_int_equal(host->events[0].flags, VS_REC_NO_ADDR);
    assert_int_equal(host->events[0].category, VS_CAT_HOSTHEAP);
    assert_int_equal(rec->note_count, 0);
}

static void keys_stand_in_any_order(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "[{\"args\":{\"Total Reserved\":8192,\"x\":[{\"Bytes\":1}],\"Bytes\":512,\"Addr\":512,"
        "\"Device Id\":0,\"finished\":true,\"Device Type\":1,\"Total Allocated\":512},"
        "\"unknown\":{\"name\":\"[memory]\"},\"ts\":5.5,\"name\":\"[memory]\",\"ph\":\"i\"}]");
    assert_int_equal(rec->devices[0].event_count, 1);
    assert_int_equal(rec->devices[0].events[0].size, 512);
    assert_int_equal(rec->epoch_ns, 0); /* counted from something else than 1970 */
}

static void base_time_counts_wherever_it_stands(void **state)
{
    trace_text *t = *state;
    static const char *const forms[] = {
        HEAD "\"baseTimeNanoseconds\":1727000000000000000,\"traceEvents\":[" EVENT(
            1, 12.345, OLD(1, 0, 512)) "]}",
        HEAD "\"traceEvents\":[" EVENT(
            1, 12.345, OLD(1, 0, 512)) "],"
                                       "\"baseTimeNanoseconds\":1727000000000000000}",
    };
    for (size_t i = 0; i < 2; i++) {
        const vs_recording *rec = trace_text_read(t, read_chrome, forms[i]);
        assert_int_equal(rec->epoch_ns, UINT64_C(1727000000000012345));
        assert_int_equal(rec->devices[0].events[0].time_ns, 0);
    }
}

static void threads_are_put_in_the_order_of_time(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "{\"traceEvents\":[" EVENT(1, 10, NEW(512, 512, 512, 1024)) "," EVENT(
            1, 30, NEW(512, -512, 512, 1024)) "," EVENT(2, 20,
                                                        NEW(1024, 512, 1024, 1024)) "]}");
    assert_int_equal(rec->devices[0].events[1].addr, 1024);
    assert_int_equal(rec->devices[0].events[2].action, VS_REC_FREE_COMPLETED);
    assert_int_equal(rec->devices[0].events[1].origin, 3); /* its number in the file */
    trace_text_notes(rec, "thread by thread (going back in time: 1)");
    assert_false(trace_text_has_note(rec, "disagree"));
}

/* One thread whose clock was set back: the totals say that the file's order is the right one. */
static void a_clock_that_steps_back_keeps_the_files_order(void **state)
{
    trace_text *t = *state;
    static const char *const forms[] = {
        "{\"traceEvents\":[" EVENT(1, 10, NEW(512, 512, 512, 1024)) "," EVENT(
            1, 9, NEW(1024, 1024, 1536, 2048)) "," EVENT(1, 8, NEW(512, -512, 1024, 2048)) "]}",
        "{\"traceEvents\":[" EVENT(1, 10, OLD(1, 0, 512)) "," EVENT(
            1, 9, OLD(1, 0, -512)) "," EVENT(1, 8, OLD(1, 0, 512)) "]}",
    };
    for (size_t i = 0; i < 2; i++) {
        const vs_recording *rec = trace_text_read(t, read_chrome, forms[i]);
        assert_int_equal(rec->devices[0].events[0].time_ns, 2000);
        assert_int_equal(rec->devices[0].events[2].time_ns, 0);
        trace_text_notes(rec, "where the clock goes backwards: 2;");
        const vs_timeline *tl = trace_text_tape(t);
        assert_int_equal(tl->block_count, 2);
        assert_int_equal(tl->end_ns, 2000);
    }
}

static void totals_that_jump_are_counted(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "{\"traceEvents\":[" EVENT(1, 1, NEW(512, 512, 1512, 4096)) "," EVENT(
            1, 2, NEW(1024, 512, 2536, 4096)) "," EVENT(1, 3, NEW(512, -512, 2024, 4096)) "]}");
    trace_text_notes(rec, "missing: 1 of 2");
    const vs_timeline *tl = trace_text_tape(t);
    /* 1000 bytes from before the recording, and 512 more that no event told of */
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 0), 1512);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 1000), 2536);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 2000), 2024);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_RESERVED, 0), 4096);
    assert_true(trace_text_tape_notes(tl, "recording\": 1"));
}

static void out_of_memory_is_an_event_of_its_device(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "[" EVENT(1, 1,
                  NEW(512, 512, 512, 2097152)) ","
                                               "{\"ph\":\"i\",\"name\":\"[OutOfMemory]\","
                                               "\"ts\":2,\"args\":{\"Device Type\":1,"
                                               "\"Device Id\":1,\"Bytes\":4096,\"Total "
                                               "Allocated\":512,\"Total Reserved\":2097152}}]");
    assert_int_equal(rec->devices[0].events[1].action, VS_REC_OOM);
    assert_int_equal(rec->devices[0].events[1].size, 4096);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_count(tl, VS_EV_OOM), 1);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), 512);
}

#define SLICE(cat, name, ts, dur, args)                                                        \
    "{\"ph\":\"X\",\"cat\":\"" cat "\",\"name\":\"" name "\",\"pid\":1,\"tid\":7,\"ts\":" #ts  \
    ",\"dur\":" #dur ",\"args\":{" args "}}"

static void copies_kernels_and_calls_become_spans(void **state)
{
    trace_text *t = *state;

    static const struct {
        const char *cat;
        const char *name;
        uint8_t kind;
    } slices[] = {
        {"gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", VS_REC_H2D_PAGEABLE},
        {"gpu_memcpy", "Memcpy HtoD (Pinned -> Device)", VS_REC_H2D_PINNED},
        {"Memcpy", "Memcpy DtoH (Device -> Pageable)", VS_REC_D2H_PAGEABLE},
        {"Memcpy", "Memcpy DtoH (Device -> Pinned)", VS_REC_D2H_PINNED},
        {"gpu_memcpy", "Memcpy DtoD (Device -> Device)", VS_REC_D2D},
        {"gpu_memcpy", "Memcpy PtoP (Device -> Device)", VS_REC_PEER},
        {"gpu_memset", "Memset (Device)", VS_REC_MEMSET},
        {"kernel", "gemm<\\\"x\\\">", VS_REC_KERNEL},
        {"cuda_runtime", "cudaMalloc", VS_REC_CALL},
    };

    char text[4096] = "{\"traceEvents\":[";
    const size_t count = sizeof slices / sizeof slices[0];
    for (size_t i = 0; i < count; i++) {
        const size_t at = strlen(text);
        (void)snprintf(text + at, sizeof text - at,
                       "{\"ph\":\"X\",\"cat\":\"%s\",\"name\":\"%s\",\"ts\":%zu.25,\"dur\":0.5,"
                       "\"args\":{\"device\":2,\"bytes\":%zu,\"stream\":7}},",
                       slices[i].cat, slices[i].name, i, 100 * i);
    }
    (void)snprintf(text + strlen(text), 64,
                   "]}"); /* the comma stays, as some writers leave it */
    const vs_recording *rec = trace_text_read(t, read_chrome, text);
    assert_int_equal(rec->span_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(rec->spans[i].kind, slices[i].kind);
        assert_int_equal(rec->spans[i].start_ns, 1000 * i);
        assert_int_equal(rec->spans[i].end_ns, 1000 * i + 500);
        assert_int_equal(rec->spans[i].bytes, 100 * i);
        assert_int_equal(rec->streams[rec->spans[i].stream], 7);
    }
    assert_int_equal(rec->device_count, 1);
    assert_int_equal(rec->devices[0].ordinal, 2);
    assert_string_equal(vs_recording_string(rec, rec->spans[7].label), "gemm<\"x\">");
    trace_text_notes(rec, "no [memory] events");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(tl->span_count, count);
    assert_int_equal(tl->lane_count, 5);
}

static void ranges_become_phases_and_marks(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec =
        trace_text_read(t, read_chrome,
                        "[" EVENT(1, 1, NEW(512, 512, 512, 1024)) "," SLICE(
                            "user_annotation", "ProfilerStep#3", 2, 10,
                            "") "," SLICE("user_annotation", "nccl:all_reduce", 3, 1,
                                          "") "," SLICE("cpu_op", "aten::mm", 3, 1, "") "]");
    assert_int_equal(rec->annotation_count, 4);
    assert_string_equal(vs_recording_string(rec, rec->annotations[0].name), "ProfilerStep#3");
    assert_string_equal(vs_recording_string(rec, rec->annotations[1].stage), "END");
    assert_int_equal(rec->annotations[1].time_ns, 11000);
    assert_int_equal(rec->span_count, 0);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_count(tl, VS_EV_PHASE), 1);
    assert_int_equal(trace_text_count(tl, VS_EV_MARK), 1);
}

static void what_cannot_be_used_is_counted(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "[" EVENT(1, 1, NEW(512, 512, 512, 1024)) "," EVENT(1, 2, "\"Device Type\":1,\"Device Id\":0") "," EVENT(1, 3, OLD(1, 0, 1.5)) "," EVENT(
            1, 4,
            OLD(1, 0,
                18446744073709551616)) "," EVENT(1, 5,
                                                 OLD(12, 0,
                                                     512)) "," EVENT(1, -6,
                                                                     OLD(1, 1,
                                                                         512)) "," EVENT(1, 6,
                                                                                         OLD(1,
                                                                                             99999999999,
                                                                                             512)) "," SLICE("gpu_memcpy",
                                                                                                             "Memcpy HtoD (Managed -> Device)",
                                                                                                             1,
                                                                                                             1,
                                                                                                             "") ",{},"
                                                                                                                 "{\"ph\":\"i\",\"name\":\"[memory]\",\"ts\":{},\"args\":{" OLD(
                                                                                                                     1,
                                                                                                                     1,
                                                                                                                     5) "}}]");
    assert_int_equal(rec->devices[0].event_count, 1);
    trace_text_notes(rec, "missing or cannot be: 4");
    trace_text_notes(rec, "neither CPU nor CUDA: 1");
    trace_text_notes(rec, "beyond 2^64 ns: 2");
    trace_text_notes(rec, "which memories they are: 1");
}

static void a_file_that_is_cut_is_used_as_far_as_it_goes(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "{\"traceEvents\":[" EVENT(1, 1, NEW(512, 512, 512, 1024)) ",{\"ph\":\"i\",\"na");
    assert_int_equal(rec->devices[0].event_count, 1);
    trace_text_notes(rec, "ends at byte 221, 14 bytes behind the last whole event");
    rec = trace_text_read(t, read_chrome,
                          "{\"traceEvents\":[" EVENT(1, 1, NEW(512, 512, 512, 1024)));
    trace_text_notes(rec, "before its closing bracket; the 1 events in it");
    trace_text_refuse(t, read_chrome, "{\"traceEvents\":[{\"ph\":\"i\",\"na",
                      "cut before the first event");
}

static void what_is_no_trace_is_refused(void **state)
{
    trace_text *t = *state;
    trace_text_refuse(t, read_chrome, "{\"a\":1}", "without \"traceEvents\"");
    trace_text_refuse(t, read_chrome, "{\"traceEvents\":[]}", "neither [memory] events nor");
    trace_text_refuse(t, read_chrome, "{\"traceEvents\":{}}", "expected a list of events");
    trace_text_refuse(t, read_chrome, "[1]", "expected an event, which is an object");
    trace_text_refuse(t, read_chrome, "[{\"ph\":\"i\" \"name\":1}]",
                      "offset 0xb: JSON: expected a comma");
    trace_text_refuse(t, read_chrome, "{\"deviceProperties\":[1]}",
                      "the properties of a device");
    trace_text_refuse(t, read_chrome, "[{\"a\":[}]}]", "closes what was not opened");
    trace_text_refuse(t, read_chrome, "true", "JSON");
}

/* What `vramscope sim --trace` writes (traces/write/perfetto.c), shortened. */
static void our_own_trace_is_read_as_levels(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_chrome,
        "{\"traceEvents\": [\n"
        "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,\"args\":{\"name\":"
        "\"RTX\"}},\n"
        "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"tid\":0,\"ts\":0.000,\"args\":{"
        "\"context\":100,"
        "\"w_bf16\":0,\"frag\":0,\"resfree\":0}},\n"
        "{\"ph\":\"i\",\"name\":\"load\",\"pid\":1,\"tid\":0,\"ts\":0.500,\"s\":\"g\",\"args\":"
        "{"
        "\"kind\":\"phase\"}},\n"
        "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"tid\":0,\"ts\":1.000,\"args\":{"
        "\"context\":100,"
        "\"w_bf16\":700,\"frag\":30,\"resfree\":50}},\n"
        "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":2,\"tid\":0,\"ts\":1.000,\"args\":{"
        "\"pagecache\":9}},\n"
        "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"tid\":0,\"ts\":1.000,\"args\":{"
        "\"theirs\":9}},\n"
        "{\"ph\":\"i\",\"name\":\"out of "
        "memory\",\"pid\":1,\"tid\":0,\"ts\":2.000,\"s\":\"g\",\"args\":{"
        "\"kind\":\"oom\",\"tensor\":\"a\",\"requested_bytes\":5}}\n"
        "],\"displayTimeUnit\":\"ns\",\"vramscopeVersion\":\"0.1.0\",\"otherData\":{}}\n");
    assert_string_equal(rec->made_by, "vramscope");
    assert_int_equal(rec->device_count, 2);
    assert_string_equal(rec->devices[0].name, "RTX");
    assert_true(rec->devices[1].is_host);
    assert_int_equal(rec->devices[0].event_count, 5);
    trace_text_notes(rec, "written by vramscope --trace");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 0), 100);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 1000), 880);
    assert_int_equal(trace_text_at(tl, 1, VS_TRACK_USED, 1000), 9);
    assert_int_equal(trace_text_count(tl, VS_EV_PHASE), 1);
    assert_int_equal(trace_text_count(tl, VS_EV_OOM), 1);
    assert_true(trace_text_tape_notes(tl, "shown as other: 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(both_forms_of_memory_events_are_read),
        WITH_TEXT(keys_stand_in_any_order),
        WITH_TEXT(base_time_counts_wherever_it_stands),
        WITH_TEXT(threads_are_put_in_the_order_of_time),
        WITH_TEXT(a_clock_that_steps_back_keeps_the_files_order),
        WITH_TEXT(totals_that_jump_are_counted),
        WITH_TEXT(out_of_memory_is_an_event_of_its_device),
        WITH_TEXT(copies_kernels_and_calls_become_spans),
        WITH_TEXT(ranges_become_phases_and_marks),
        WITH_TEXT(what_cannot_be_used_is_counted),
        WITH_TEXT(a_file_that_is_cut_is_used_as_far_as_it_goes),
        WITH_TEXT(what_is_no_trace_is_refused),
        WITH_TEXT(our_own_trace_is_read_as_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
