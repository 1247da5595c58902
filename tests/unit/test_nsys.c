/* tests/unit/test_nsys.c - exports of Nsight Systems, whole, odd and hostile. */
#include "traces/read/nsys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/support/nsysfile.h"

typedef struct {
    scratch *s;
    vs_arena keep;
    vs_recording rec;
    vs_err err;
} reading;

static reading open_reading(void **state)
{
    reading r = {.s = *state};
    assert_true(vs_arena_open(&r.keep, 64 * VS_MIB, NULL));
    return r;
}

static void close_reading(reading *r)
{
    vs_arena_close(&r->keep);
}

static bool read_script(reading *r, const char *script)
{
    size_t size = 0;
    uint8_t *const bytes = nsys_bytes(script, &size);
    const vs_read_desc desc = {.keep = &r->keep, .scratch = &r->s->arena};
    assert_non_null(bytes);
    const bool is_read = read_nsys_bytes(&r->rec, bytes, size, &desc, &r->err);
    free(bytes);
    assert_int_equal(is_read, r->err.code == VS_OK);
    assert_int_equal(r->s->arena.used_bytes, 0);
    return is_read;
}

static void read_well(reading *r, const char *script)
{
    if (!read_script(r, script)) {
        scratch_fail(&r->err);
    }
}

static bool has_note(const vs_recording *rec, const char *says)
{
    for (uint32_t i = 0; i < rec->note_count; i++) {
        if (strstr(rec->notes[i], says) != NULL) {
            return true;
        }
    }
    return false;
}

static uint32_t spans_of(const vs_recording *rec, vs_rec_work kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rec->span_count; i++) {
        count += rec->spans[i].kind == kind ? 1 : 0;
    }
    return count;
}

/* ---- what is in a file ---------------------------------------------------------------------------------- */

static void memory_events_are_segments_of_the_card_and_pinned_memory_of_the_host(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_WHOLE);
    assert_int_equal(r.rec.format, VS_TRACE_NSYS);
    assert_string_equal(r.rec.made_by, "Nsight Systems 2024.6.2.225");
    assert_int_equal(r.rec.device_count, 2);
    const vs_rec_device *const gpu = &r.rec.devices[0];
    assert_string_equal(gpu->name, "NVIDIA T4");
    assert_int_equal(gpu->capacity_bytes, UINT64_C(15634661376));
    assert_int_equal(gpu->event_count, 2);
    assert_int_equal(gpu->events[0].action, VS_REC_SEGMENT_ALLOC);
    assert_int_equal(gpu->events[0].addr, UINT64_C(139637976727552));
    assert_int_equal(gpu->events[0].size, 2 * VS_MIB);
    assert_int_equal(gpu->events[1].action, VS_REC_SEGMENT_FREE);
    assert_int_equal(gpu->events[1].origin, 2);
    const vs_rec_device *const host = &r.rec.devices[1];
    assert_true(host->is_host);
    assert_int_equal(host->event_count, 1);
    assert_int_equal(host->events[0].category, VS_CAT_PINNED);
    assert_int_equal(host->events[0].size, 4096);
    close_reading(&r);
}

static void times_count_from_the_first_and_the_epoch_is_when_that_was(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_WHOLE);
    assert_true(r.rec.has_time);
    /* the range at 10 is the first */
    assert_int_equal(r.rec.epoch_ns, UINT64_C(1700000000000000010));
    assert_int_equal(r.rec.devices[0].events[0].time_ns, 90);
    assert_int_equal(r.rec.devices[0].events[1].time_ns, 2995);
    close_reading(&r);
}

static void copies_tell_pinned_from_pageable(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_WHOLE);
    assert_int_equal(spans_of(&r.rec, VS_REC_H2D_PINNED), 1);
    assert_int_equal(spans_of(&r.rec, VS_REC_H2D_PAGEABLE), 1);
    assert_int_equal(spans_of(&r.rec, VS_REC_D2H_PINNED), 1);
    assert_int_equal(spans_of(&r.rec, VS_REC_D2D), 1);
    assert_int_equal(spans_of(&r.rec, VS_REC_MEMSET), 1);
    assert_int_equal(r.rec.spans[0].bytes, VS_MIB);
    assert_int_equal(r.rec.spans[0].end_ns - r.rec.spans[0].start_ns, 200);
    close_reading(&r);
}

static void kernels_and_calls_carry_their_names(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_WHOLE);
    assert_int_equal(spans_of(&r.rec, VS_REC_KERNEL), 1);
    assert_int_equal(spans_of(&r.rec, VS_REC_CALL), 3); /* no memcpy, not the failed one */
    for (uint32_t i = 0; i < r.rec.span_count; i++) {
        const vs_rec_span *const span = &r.rec.spans[i];
        const char *const label = vs_recording_string(&r.rec, span->label);
        if (span->kind == VS_REC_KERNEL) {
            assert_string_equal(label, "gemm");
        } else if (span->kind == VS_REC_CALL) {
            assert_true(strcmp(label, "cudaMalloc") == 0 || strcmp(label, "cudaFree") == 0 ||
                        strcmp(label, "cudaLaunchKernel") == 0);
        }
    }
    close_reading(&r);
}

static void ranges_and_failed_calls_become_annotations(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_WHOLE);
    assert_int_equal(r.rec.annotation_count, 4); /* failed call, range twice, mark */
    assert_string_equal(vs_recording_string(&r.rec, r.rec.annotations[0].name), "cudaMalloc");
    assert_string_equal(vs_recording_string(&r.rec, r.rec.annotations[0].stage),
                        "OUT OF MEMORY");
    assert_string_equal(vs_recording_string(&r.rec, r.rec.annotations[1].name), "load");
    assert_string_equal(vs_recording_string(&r.rec, r.rec.annotations[2].stage), "END");
    assert_string_equal(vs_recording_string(&r.rec, r.rec.annotations[3].name), "here");
    assert_true(has_note(&r.rec, "1 calls failed"));
    close_reading(&r);
}

/* ---- versions and oddities -------------------------------------------------------------------------------- */

static void rows_out_of_order_are_put_in_order(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_MEMORY NSYS_MEMORY_ROW(300, 0, 0, 4096, 512, 2, 1) NSYS_MEMORY_ROW(
                      200, 0, 0, 4096, 512, 2, 0) NSYS_MEMORY_ROW(200, 0, 0, 8192, 512, 2, 0));
    const vs_rec_event *const events = r.rec.devices[0].events;
    assert_int_equal(r.rec.devices[0].event_count, 3);
    assert_int_equal(events[0].addr, 4096);
    assert_int_equal(events[1].addr, 8192); /* the same time: as in the file */
    assert_int_equal(events[2].action, VS_REC_SEGMENT_FREE);
    assert_int_equal(r.rec.epoch_ns, 0);
    close_reading(&r);
}

static void columns_of_newer_and_older_versions_may_be_missing(void **state)
{
    reading r = open_reading(state);
    read_well(&r,
              "CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS(bytes INT, memoryOperationType INT, "
              "memKind INT, start INT, address INT);"
              "INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS VALUES(512,0,2,7,4096);");
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_int_equal(r.rec.devices[0].ordinal, 0);
    close_reading(&r);
}

static void the_files_own_numbers_win(void **state)
{
    reading r = open_reading(state);
    read_well(
        &r, "CREATE TABLE ENUM_CUDA_DEV_MEM_EVENT_OPER(id INTEGER, name TEXT, label TEXT);"
            "INSERT INTO ENUM_CUDA_DEV_MEM_EVENT_OPER VALUES"
            "(5,'CUDA_DEV_MEM_EVENT_OPR_ALLOCATION','Allocation');" NSYS_MEMORY NSYS_MEMORY_ROW(
                1, 0, 0, 4096, 512, 2, 5));
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_int_equal(r.rec.devices[0].events[0].action, VS_REC_SEGMENT_ALLOC);
    close_reading(&r);
}

static void a_process_that_sees_one_card_as_device_0_is_put_on_that_card(void **state)
{
    reading r = open_reading(state);
    /* pids 1 and 2 (globalPid = pid << 24): the second sees card 1 only */
    read_well(&r,
              NSYS_HEAD "INSERT INTO TARGET_INFO_GPU VALUES(0,1,'NVIDIA L4',24000000000,1);"
                        "CREATE TABLE TARGET_INFO_CUDA_DEVICE(gpuId INT, cudaId INT, pid INT);"
                        "INSERT INTO TARGET_INFO_CUDA_DEVICE VALUES(0,0,1),(1,0,2);" NSYS_MEMORY
                            NSYS_MEMORY_ROW(1, 16777216, 0, 4096, 512, 2, 0)
                                NSYS_MEMORY_ROW(2, 33554432, 0, 4096, 1024, 2, 0));
    assert_int_equal(r.rec.device_count, 2);
    assert_string_equal(r.rec.devices[1].name, "NVIDIA L4");
    assert_int_equal(r.rec.devices[0].events[0].size, 512);
    assert_int_equal(r.rec.devices[1].events[0].size, 1024);
    assert_true(has_note(&r.rec, "2 processes"));
    close_reading(&r);
}

static void two_processes_on_one_card_do_not_share_addresses(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_MEMORY NSYS_MEMORY_ROW(1, 16777216, 0, 4096, 512, 2, 0)
                      NSYS_MEMORY_ROW(2, 33554432, 0, 4096, 512, 2, 0));
    const vs_rec_event *const events = r.rec.devices[0].events;
    assert_int_equal(events[0].addr, 4096);
    assert_int_equal(events[1].addr, (UINT64_C(1) << 58) + 4096);
    close_reading(&r);
}

static void managed_memory_is_left_out_and_counted(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_MEMORY NSYS_MEMORY_ROW(1, 0, 0, 4096, 512, 4, 0)
                      NSYS_MEMORY_ROW(2, 0, 0, 8192, 512, 2, 0));
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_true(has_note(&r.rec, "1 allocations of managed memory left out"));
    close_reading(&r);
}

static void a_copy_that_does_not_say_whether_it_was_pinned_is_left_out(void **state)
{
    reading r = open_reading(state);
    read_well(&r, NSYS_MEMCPY NSYS_MEMCPY_ROW(200, 400, 1048576, 1, NULL, 2)
                      NSYS_MEMCPY_ROW(200, 400, 1048576, 1, 7, 2)
                          NSYS_MEMCPY_ROW(200, 400, 4096, 11, NULL, NULL));
    assert_int_equal(r.rec.span_count, 0);
    assert_true(has_note(&r.rec, "2 copies left out"));
    assert_true(has_note(&r.rec, "1 migrations"));
    assert_true(has_note(&r.rec, "no memory events"));
    close_reading(&r);
}

static void values_of_the_wrong_type_are_left_out_and_counted(void **state)
{
    reading r = open_reading(state);
    read_well(&r,
              "CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS(start, bytes, address, memKind, "
              "memoryOperationType);"
              "INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS VALUES(1,512,4096,2,0),('x',512,1,2,0),"
              "(1,5.5,1,2,0),(1,NULL,1,2,0),(1,x'00',1,2,0),(-1,512,1,2,0),(1,-512,1,2,0),"
              "(1,512,4096,99,0);");
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_true(has_note(&r.rec, "6 rows left out"));
    assert_true(has_note(&r.rec, "1 rows of an unknown kind"));
    close_reading(&r);
}

/* ---- what is no export, or means harm ------------------------------------------------------------------------ */

static void refused(void **state, const char *script, const char *says)
{
    reading r = open_reading(state);
    assert_false(read_script(&r, script));
    assert_error_says(&r.err, says);
    close_reading(&r);
}

static void somebody_elses_database_is_named_with_its_tables(void **state)
{
    refused(state,
            "CREATE TABLE moz_places(id INTEGER); CREATE TABLE moz_bookmarks(id INTEGER);",
            "its tables: moz_places, moz_bookmarks");
    refused(state, "CREATE TABLE a(id INTEGER); DROP TABLE a;", "no export of Nsight Systems");
    refused(state, NSYS_STRINGS, "without anything of CUDA");
}

static void a_missing_column_is_named(void **state)
{
    refused(state, "CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS(start INT);",
            "CUDA_GPU_MEMORY_USAGE_EVENTS has no column bytes");
}

static void a_view_in_place_of_a_table_is_not_run(void **state)
{
    refused(
        state,
        "CREATE TABLE t(start); CREATE VIEW CUDA_GPU_MEMORY_USAGE_EVENTS AS SELECT * FROM t;",
        "no export of Nsight Systems");
    reading r = open_reading(state);
    read_well(&r, "CREATE TABLE t(id, value);"
                  "CREATE VIEW StringIds AS WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT "
                  "x+1 FROM c) SELECT x AS id, x AS value FROM c;" NSYS_KERNEL);
    assert_int_equal(r.rec.span_count, 1);
    assert_true(has_note(&r.rec, "StringIds is a view or a virtual table"));
    close_reading(&r);
}

static void a_generated_column_is_not_computed(void **state)
{
    refused(state,
            "CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS(start INT, address INT, memKind INT, "
            "memoryOperationType INT, bytes AS (length(hex(zeroblob(100000000)))));"
            "INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS VALUES(1,1,2,0);",
            "has no column bytes");
}

static void names_looked_up_without_an_index_run_into_the_limit(void **state)
{
    /* 40,000 kernels, each with another name, in a StringIds that has to be scanned for each */
    refused(state,
            "CREATE TABLE StringIds(id INTEGER, value TEXT);"
            "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x < 40000) "
            "INSERT INTO StringIds SELECT x, 'k' FROM c;"
            "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL(start INT, end INT, shortName INT);"
            "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL SELECT 1, 2, id FROM StringIds;",
            "takes more steps than");
}

static void a_value_beyond_the_limit_is_named(void **state)
{
    refused(state,
            "CREATE TABLE StringIds(id INTEGER PRIMARY KEY, value TEXT);"
            "INSERT INTO StringIds VALUES(3, hex(zeroblob(9000000)));" NSYS_KERNEL,
            "StringIds: a value or row of more than 16 MiB");
}

static void bytes_that_are_no_database_are_an_error(void **state)
{
    reading r = open_reading(state);
    const vs_read_desc desc = {.keep = &r.keep, .scratch = &r.s->arena};
    uint8_t bytes[200] = "SQLite format 3";
    assert_false(read_nsys_bytes(&r.rec, bytes, 12, &desc, &r.err));
    assert_error_says(&r.err, "expected an SQLite database");
    r.err = (vs_err){0};
    assert_false(read_nsys_bytes(&r.rec, bytes, sizeof bytes, &desc, &r.err));
    assert_true(r.err.text[0] != '\0');
    close_reading(&r);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static const char *write_database(scratch *s, const char *name, const char *script,
                                  size_t drop_bytes)
{
    const char *const path = scratch_path(s, name);
    size_t size = 0;
    uint8_t *const bytes = nsys_bytes(script, &size);
    FILE *const out = fopen(path, "wb");
    assert_non_null(bytes);
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size - drop_bytes, out), size - drop_bytes);
    assert_int_equal(fclose(out), 0);
    free(bytes);
    return path;
}

static void a_file_with_any_name_is_read_and_nothing_is_left_beside_it(void **state)
{
    reading r = open_reading(state);
    const vs_read_desc desc = {.keep = &r.keep, .scratch = &r.s->arena};
    const char *const path = write_database(r.s, "run 1?mode=rw#%41.sqlite", NSYS_WHOLE, 0);
    if (!read_nsys(&r.rec, path, &desc, &r.err)) {
        scratch_fail(&r.err);
    }
    assert_int_equal(r.rec.devices[0].event_count, 2);
    close_reading(&r); /* scratch_close fails when the folder is not empty: rmdir */
}

static void a_file_that_is_cut_off_says_how_much_is_missing(void **state)
{
    reading r = open_reading(state);
    const vs_read_desc desc = {.keep = &r.keep, .scratch = &r.s->arena};
    const char *const path = write_database(r.s, "cut.sqlite", NSYS_WHOLE, 1500);
    assert_false(read_nsys(&r.rec, path, &desc, &r.err));
    assert_error_says(&r.err, "the database is cut off: its header says");
    assert_error_says(&r.err, "cut.sqlite");
    close_reading(&r);
}

static void rows_that_are_still_in_a_log_are_not_passed_over(void **state)
{
    reading r = open_reading(state);
    const vs_read_desc desc = {.keep = &r.keep, .scratch = &r.s->arena};
    const char *const path = write_database(r.s, "wal.sqlite", NSYS_WHOLE, 0);
    (void)scratch_write(r.s, "wal.sqlite-wal", "rows");
    assert_false(read_nsys(&r.rec, path, &desc, &r.err));
    assert_error_says(&r.err, "-wal beside it holds rows");
    close_reading(&r);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    reading r = open_reading(state);
    const vs_read_desc desc = {.keep = &r.keep, .scratch = &r.s->arena};
    assert_false(read_nsys(&r.rec, scratch_path(r.s, "none.sqlite"), &desc, &r.err));
    assert_int_equal(r.err.code, VS_ERR_IO);
    close_reading(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_events_are_segments_of_the_card_and_pinned_memory_of_the_host),
        TEST(times_count_from_the_first_and_the_epoch_is_when_that_was),
        TEST(copies_tell_pinned_from_pageable),
        TEST(kernels_and_calls_carry_their_names),
        TEST(ranges_and_failed_calls_become_annotations),
        TEST(rows_out_of_order_are_put_in_order),
        TEST(columns_of_newer_and_older_versions_may_be_missing),
        TEST(the_files_own_numbers_win),
        TEST(a_process_that_sees_one_card_as_device_0_is_put_on_that_card),
        TEST(two_processes_on_one_card_do_not_share_addresses),
        TEST(managed_memory_is_left_out_and_counted),
        TEST(a_copy_that_does_not_say_whether_it_was_pinned_is_left_out),
        TEST(values_of_the_wrong_type_are_left_out_and_counted),
        TEST(somebody_elses_database_is_named_with_its_tables),
        TEST(a_missing_column_is_named),
        TEST(a_view_in_place_of_a_table_is_not_run),
        TEST(a_generated_column_is_not_computed),
        TEST(names_looked_up_without_an_index_run_into_the_limit),
        TEST(a_value_beyond_the_limit_is_named),
        TEST(bytes_that_are_no_database_are_an_error),
        TEST(a_file_with_any_name_is_read_and_nothing_is_left_beside_it),
        TEST(a_file_that_is_cut_off_says_how_much_is_missing),
        TEST(rows_that_are_still_in_a_log_are_not_passed_over),
        TEST(a_file_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
