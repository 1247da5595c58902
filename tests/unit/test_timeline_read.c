/* tests/unit/test_timeline_read.c - export_memory_timeline's raw form and its rows of levels. */
#include "tests/support/trace_text.h"

static void raw_rows_become_blocks_without_addresses(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_timeline,
        "[[-1, 1, 1000, 0], [-1, 1, 24, 7],\n [1756681317989292688, 2, 512, 3], "
        "[1756681317989292690, 3, -1000, 0], [1756681317989292690, 3, 1000, 5], "
        "[1756681317989292700, 4, -512, 3]]\n");
    assert_int_equal(rec->epoch_ns, UINT64_C(1756681317989292688));
    assert_true(rec->has_time);
    const vs_rec_device *d = &rec->devices[0];
    assert_int_equal(d->event_count, 6);
    assert_int_equal(d->events[0].time_ns, 0);
    assert_string_equal(vs_recording_string(rec, d->events[0].label), "PARAMETER");
    assert_int_equal(d->events[0].category, VS_CAT_TENSOR);
    assert_int_equal(d->events[1].category, VS_CAT_TENSOR);
    assert_int_equal(d->events[2].category, VS_CAT_ACT);
    assert_int_equal(d->events[2].flags, VS_REC_NO_ADDR);
    assert_int_equal(d->events[3].action, VS_REC_FREE_COMPLETED);
    assert_int_equal(d->events[5].time_ns, 12);
    trace_text_notes(rec, "which device it is about");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(tl->block_count, 4);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_ALLOCATED), 1536);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, 12), 1024);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_RESERVED), 0);
}

static void one_row_is_enough(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(t, read_timeline, "[[-1,1,8,7]]");
    assert_int_equal(rec->devices[0].event_count, 1);
    assert_false(rec->has_time);
    assert_int_equal(rec->epoch_ns, 0);
}

static void rows_of_levels_become_levels(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_timeline,
        "[[1756681317989292, 1756681317989300, 1756681317989400],"
        "[[0,100,0,0,0,7,0,0,0],[0,100,50,0,0,7,0,0,0],[0,100,50,0,0,0,0,0,1]]]");
    const vs_rec_device *d = &rec->devices[0];
    assert_int_equal(rec->epoch_ns, UINT64_C(1756681317989292000));
    assert_int_equal(d->event_count, 5); /* only what changes */
    assert_int_equal(d->events[0].action, VS_REC_LEVEL);
    assert_string_equal(vs_recording_string(rec, d->events[1].label), "ACTIVATION");
    assert_int_equal(d->events[2].time_ns, 8000);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 0), 107);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 8000), 157);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_USED, 108000), 151);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_USED), 157);
}

/* Bytes that move from one category to another are never counted twice. */
static void levels_that_shrink_come_first(void **state)
{
    trace_text *t = *state;
    (void)trace_text_read(
        t, read_timeline,
        "[[1,2,3],[[0,9,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0,9],[0,9,0,0,0,0,0,0,0]]]");
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_USED), 9);
    (void)trace_text_read(t, read_chrome,
                          "[{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"ts\":1,\"args\":{"
                          "\"act\":7,\"resfree\":2}},"
                          "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"ts\":2,\"args\":{"
                          "\"act\":1,\"resfree\":8}},"
                          "{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"ts\":3,\"args\":{"
                          "\"act\":9,\"resfree\":0}}]");
    tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_USED), 9);
}

static void what_cannot_be_used_is_counted(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_timeline,
        "[[5,2,10,0],[4,2,10,0],[6,2,-10,0],[6,4,10,0],[6,9,10,0],[6,2,10,8],[6,2,0,0],"
        "[6,2,1e19,0],[7,4,-10,0]]");
    assert_int_equal(rec->devices[0].event_count, 3);
    trace_text_notes(rec, "size cannot be: 5");
    trace_text_notes(rec, "0 bytes: 1");
    trace_text_notes(rec, "rows earlier than the row before, so the clock goes backwards: 1");
    assert_int_equal(trace_text_tape(t)->block_count, 2);
}

static void a_file_that_is_cut_is_used_as_far_as_it_goes(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(t, read_timeline, "[[1,2,10,0],[2,2,20,0],[3,2");
    assert_int_equal(rec->devices[0].event_count, 2);
    trace_text_notes(rec, "ends at byte 27; the 2 rows before it are used");
    rec = trace_text_read(t, read_timeline, "[[1,2,10,0],[2,4,-");
    assert_int_equal(rec->devices[0].event_count, 1);
    rec = trace_text_read(t, read_timeline, "[[1,2],[[0,1,1,1,1,1,1,1,1],[0,1");
    assert_int_equal(rec->devices[0].event_count, 8);
    trace_text_refuse(t, read_timeline, "[[1,2,10", "cut before its first row");
    trace_text_refuse(t, read_timeline, "[[1,2],[", "cut before its first row");
}

static void what_is_no_timeline_is_refused(void **state)
{
    trace_text *t = *state;
    trace_text_refuse(t, read_timeline, "{}", "expected a list of lists");
    trace_text_refuse(t, read_timeline, "[1]", "expected a list of lists");
    trace_text_refuse(t, read_timeline, "[[1,2,3]]", "rows of 4 numbers, found 3");
    trace_text_refuse(t, read_timeline, "[[1,2,3,4],[1,2,3]]", "too few numbers");
    trace_text_refuse(t, read_timeline, "[[1,2,3,4],[1,2,3,4,5]]", "too many numbers");
    trace_text_refuse(t, read_timeline, "[[1,2,3,4],\"x\"]", "expected a second list");
    trace_text_refuse(t, read_timeline, "[[1,2,3,4],[1,\"x\",3,4]]", "expected a number");
    trace_text_refuse(t, read_timeline, "[[1],[[0,1,1,1,1,1,1,1,1],[0,1,1,1,1,1,1,1,1]]]",
                      "more rows than times");
    trace_text_refuse(t, read_timeline, "[[1],[[0,1,1,1,1,1,1,1,1]],3]", "end of the list");
    trace_text_refuse(t, read_timeline, "[[1,99999999999999999999,3,4]]", "beyond 2^64");
    trace_text_refuse(t, read_timeline, "[[0,0,0,0]]", "without any row");
    trace_text_refuse(t, read_timeline, "[[1,2,3,4]]]", "more behind the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(raw_rows_become_blocks_without_addresses),
        WITH_TEXT(one_row_is_enough),
        WITH_TEXT(rows_of_levels_become_levels),
        WITH_TEXT(levels_that_shrink_come_first),
        WITH_TEXT(what_cannot_be_used_is_counted),
        WITH_TEXT(a_file_that_is_cut_is_used_as_far_as_it_goes),
        WITH_TEXT(what_is_no_timeline_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
