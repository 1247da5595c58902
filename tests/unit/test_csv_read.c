/* tests/unit/test_csv_read.c - RMM logs and samples of nvidia-smi. */
#include "traces/read/csv_rows.h"

#include "tests/support/trace_text.h"

#include "tests/scratch.h"

#define RMM "Thread,Time,Action,Pointer,Size,Stream\n"

static void rmm_rows_become_blocks_by_address(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec =
        trace_text_read(t, read_rmm,
                        RMM "1979932,14:21:19.998533,allocate,0x30a000000,256,0x2\n"
                            "1979932,14:21:20.000001,allocate failure,(nil),4096,0\n"
                            "1980043,14:21:32:661875,free,0x30a000000,256,(nil)\n");
    const vs_rec_device *d = &rec->devices[0];
    assert_int_equal(d->event_count, 3);
    assert_int_equal(d->events[0].addr, UINT64_C(0x30a000000));
    assert_int_equal(d->events[0].flags, VS_REC_BLOCK_SIZE);
    assert_int_equal(rec->streams[d->events[0].stream], 2);
    assert_int_equal(d->events[1].action, VS_REC_OOM);
    assert_int_equal(d->events[1].size, 4096);
    assert_int_equal(d->events[2].action, VS_REC_FREE_COMPLETED);
    assert_int_equal(d->events[2].time_ns, UINT64_C(12663342000));
    assert_int_equal(d->events[2].origin, 4); /* its line */
    assert_int_equal(rec->epoch_ns, 0);       /* a time of day has no date */
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(tl->block_count, 1);
    assert_int_equal(trace_text_at(tl, 0, VS_TRACK_ALLOCATED, tl->end_ns), 0);
}

static void rmm_logs_may_pass_midnight_lack_a_header_or_tell_seconds(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_rmm, RMM "1,23:59:59.5,allocate,0x10,1,0\n1,00:00:00.5,free,0x10,1,0\n");
    assert_int_equal(rec->devices[0].events[1].time_ns, 1000000000);
    rec = trace_text_read(t, read_rmm, "1,10:00:00.000001,allocate,0x10,1,0x0\n");
    assert_int_equal(rec->devices[0].event_count, 1);
    rec = trace_text_read(t, read_rmm,
                          RMM "1,1634567890.123456,allocate,0x10,1,0\n"
                              "1,1634567890.223456,deallocate,0x10,1,0\n");
    assert_int_equal(rec->epoch_ns, UINT64_C(1634567890123456000));
    assert_int_equal(rec->devices[0].events[1].time_ns, 100000000);
}

static void rmm_rows_that_cannot_be_used_are_counted(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_rmm,
        RMM "1,10:00:01,allocate,0x10,16,0\n1,10:00:00,allocate,0x30,16,0\n\n"
            "1,10:00:02,allocate,zzz,16,0\n1,10:00:02,allocate,0x20,-1,0\nshort\n"
            "1,10:00:02,resize,0x10,16,0\n1,10:00:02,allocate,(nil),0,0\n"
            "1,noon,free,0x10,16,0\n1,10:00:02,free,0x1");
    assert_int_equal(rec->devices[0].event_count, 3);
    trace_text_notes(rec, "last line has no end and its 19 bytes are left out");
    trace_text_notes(rec, "no rows of an RMM log: 3, the first is line 5");
    trace_text_notes(rec, "allocate failure: 1");
    trace_text_notes(rec, "size 0: 1");
    trace_text_notes(rec, "got that of the row before: 1");
    trace_text_notes(rec, "goes backwards: 1");
}

static void what_is_no_rmm_log_is_refused(void **state)
{
    trace_text *t = *state;
    trace_text_refuse(t, read_rmm, "a,b,c\n", "expected the header of an RMM log");
    trace_text_refuse(t, read_rmm, RMM, "without any row");
    trace_text_refuse(t, read_rmm, "Thread,Time", "without a whole line");
    trace_text_refuse(t, read_rmm, "", "without a whole line");
}

/* ---- nvidia-smi ------------------------------------------------------------------------------ */

static void samples_with_a_header_are_read_by_name(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec = trace_text_read(
        t, read_smi,
        "timestamp, index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB]\r\n"
        "2024/01/31 12:34:56.789, 0, NVIDIA L4, 3 %, 1234 MiB, 23034 MiB\r\n"
        "2024/01/31 12:34:56.790, 1, NVIDIA L4, 3 %, 1 MiB, 23034 MiB\r\n"
        "2024/01/31 12:34:57.789, 0, NVIDIA L4, 3 %, 1235 MiB, 23034 MiB\r\n");
    assert_int_equal(rec->device_count, 2);
    assert_int_equal(rec->epoch_ns, UINT64_C(1706704496789000000)); /* date -u -d says so too */
    assert_string_equal(rec->devices[0].name, "NVIDIA L4");
    assert_int_equal(rec->devices[0].capacity_bytes, 23034 * VS_MIB);
    assert_int_equal(rec->devices[0].event_count, 2);
    assert_int_equal(rec->devices[0].events[1].size, 1235 * VS_MIB);
    assert_int_equal(rec->devices[0].events[1].time_ns, 1000000000);
    assert_int_equal(rec->devices[1].events[0].time_ns, 1000000);
    assert_int_equal(rec->note_count, 0);
    const vs_timeline *tl = trace_text_tape(t);
    assert_int_equal(trace_text_peak(tl, 0, VS_TRACK_USED), 1235 * VS_MIB);
}

static void forms_without_a_header_are_recognised(void **state)
{
    trace_text *t = *state;

    static const struct {
        const char *row;
        uint64_t used_mib;
        uint64_t total_mib;
        uint32_t ordinal;
    } forms[] = {
        {"1646\n", 1646, 0, 0},
        {"1646 MiB\n", 1646, 0, 0},
        {"1, 1646\n", 1646, 0, 1},
        {"1, 1646 MiB\n", 1646, 0, 1},
        {"1, 1646, 24564\n", 1646, 24564, 1},
        {"1646, 24564\n", 1646, 24564, 0},
        {"2024/01/31 12:34:56.789, 3, NVIDIA L4, 24564 MiB, 1646 MiB\n", 1646, 24564, 3},
        {"2024-01-31T12:34:56Z, 1646, 24564\n", 1646, 24564, 0},
        {"GPU-12345678-aaaa, 97 %, 1646 MiB\n", 1646, 0, 0},
        {"00000000:65:00.0, 1646 MiB, 24564 MiB\n", 1646, 24564, 0},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const vs_recording *rec = trace_text_read(t, read_smi, forms[i].row);
        assert_int_equal(rec->device_count, 1);
        assert_int_equal(rec->devices[0].ordinal, forms[i].ordinal);
        assert_int_equal(rec->devices[0].events[0].size, forms[i].used_mib * VS_MIB);
        assert_int_equal(rec->devices[0].capacity_bytes, forms[i].total_mib * VS_MIB);
        trace_text_notes(rec, "there is no header: column");
    }
}

static void unclear_columns_are_refused(void **state)
{
    trace_text *t = *state;
    static const char *const forms[] = {
        "1, 1646, 45\n", /* used and percent, or total and used */
        "1, 24564, 1646\n",      "100, 200\n",  "1, 2, 3, 4, 5\n",
        "1 MiB, 2 MiB, 3 MiB\n", "NVIDIA L4\n", "a, b\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        trace_text_refuse(t, read_smi, forms[i], "query with the header");
    }
    trace_text_refuse(t, read_smi, "index, memory.used [MiB]\n", "no sample");
    trace_text_refuse(t, read_smi, "0, 12", "without a whole line");
}

static void samples_without_a_time_are_a_second_apart(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec =
        trace_text_read(t, read_smi, "0, 1\n1, 2\n0, 3\n1, 4\n0, 5\n0, 6");
    assert_int_equal(rec->devices[0].event_count, 3);
    assert_int_equal(rec->devices[0].events[2].time_ns, UINT64_C(2000000000));
    assert_int_equal(rec->devices[1].events[1].time_ns, UINT64_C(1000000000));
    assert_int_equal(rec->epoch_ns, 0);
    trace_text_notes(rec, "one second apart, which is assumed");
    trace_text_notes(rec, "last line has no end and its 4 bytes are left out");
}

static void samples_that_cannot_be_used_are_counted(void **state)
{
    trace_text *t = *state;
    const vs_recording *rec =
        trace_text_read(t, read_smi,
                        "timestamp, uuid, memory.free [MiB], memory.total [MiB]\n"
                        "2024/02/29 00:00:01.000, GPU-b, 10 MiB, 100 MiB\n"
                        "2024/02/29 00:00:00.000, GPU-a, 20 MiB, 100 MiB\n"
                        "timestamp, uuid, memory.free [MiB], memory.total [MiB]\n"
                        "never, GPU-a, 30 MiB, 100 MiB\n"
                        "2024/02/29 00:00:02.000, GPU-a, [N/A], 100 MiB\nGPU\n"
                        "2023/02/29 00:00:02.000\n");
    assert_int_equal(rec->device_count, 2);
    assert_int_equal(rec->devices[0].events[0].size, 90 * VS_MIB);
    trace_text_notes(rec, "no samples: 3, the first is line 6");
    trace_text_notes(rec,
                     "samples earlier than the one before, so the clock goes backwards: 1");
    trace_text_notes(rec, "got that of the one before: 1");
    trace_text_notes(rec, "the total less what was free");
    rec = trace_text_read(t, read_smi, "memory.used [MiB]\n[N/A]\n5 MiB\n");
    trace_text_notes(rec, "no figure ([N/A]): 1");
    assert_int_equal(rec->devices[0].events[0].time_ns, 0);
}

static void addresses_and_times_are_strict(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(csv_address(vs_str_of("0xffffffffffffffff"), &value));
    assert_true(value == UINT64_MAX);
    assert_false(csv_address(vs_str_of("0x1ffffffffffffffff"), &value));
    assert_false(csv_address(vs_str_of("0x"), &value));
    assert_false(csv_address(vs_str_of("0xg"), &value));
    assert_false(csv_address(vs_str_of(""), &value));
    assert_true(csv_time_of_day(vs_str_of("23:59:60.1234567899"), &value));
    assert_int_equal(value, UINT64_C(86400123456789));
    static const char *const wrong[] = {"24:00:00", "1:60:00", "1:0:61",  "1:0",
                                        "",         "a:b:c",   "1:2:3.x", "1:2:3x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(csv_time_of_day(vs_str_of(wrong[i]), &value));
    }
}

static void tables_are_told_by_their_first_line(void **state)
{
    scratch *s = *state;

    static const struct {
        const char *text;
        vs_trace_format format;
    } tables[] = {
        {"Thread,Time,Action,Pointer,Size,Stream\n", VS_TRACE_RMM},
        {"1979932,14:21:19.998533,allocate,0x30a000000,256,0x2\n", VS_TRACE_RMM},
        {"timestamp, memory.used [MiB]\n", VS_TRACE_SMI},
        {"2024/01/31 12:34:56.789, NVIDIA L4, 1646, 24564\n", VS_TRACE_SMI},
        {"GPU-12345678-aaaa, 97 %, 1646 MiB\n", VS_TRACE_SMI},
        {"1646 MiB\n", VS_TRACE_SMI},
        {"0, 1646\n", VS_TRACE_SMI},
    };

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        vs_trace_format format = VS_TRACE_FORMAT_COUNT;
        vs_err err = {0};
        if (!vs_trace_detect(scratch_write(s, "table", tables[i].text), &format, &err)) {
            scratch_fail(&err);
        }
        assert_int_equal(format, tables[i].format);
    }
    static const char *const others[] = {"a, b\n", "1646\n", "2024/01/31\n", "\xff\xfet"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        vs_trace_format format = VS_TRACE_FORMAT_COUNT;
        vs_err err = {0};
        assert_false(vs_trace_detect(scratch_write(s, "table", others[i]), &format, &err));
        assert_error_says(&err, i < 3 ? "not a recording that is known" : "UTF-16");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(rmm_rows_become_blocks_by_address),
        WITH_TEXT(rmm_logs_may_pass_midnight_lack_a_header_or_tell_seconds),
        WITH_TEXT(rmm_rows_that_cannot_be_used_are_counted),
        WITH_TEXT(what_is_no_rmm_log_is_refused),
        WITH_TEXT(samples_with_a_header_are_read_by_name),
        WITH_TEXT(forms_without_a_header_are_recognised),
        WITH_TEXT(unclear_columns_are_refused),
        WITH_TEXT(samples_without_a_time_are_a_second_apart),
        WITH_TEXT(samples_that_cannot_be_used_are_counted),
        cmocka_unit_test(addresses_and_times_are_strict),
        cmocka_unit_test_setup_teardown(tables_are_told_by_their_first_line, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
