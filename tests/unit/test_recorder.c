/* tests/unit/test_recorder.c - files of our recorder: what their records become, and what is left of broken ones. */
#include "traces/read/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/support/mtrfile.h"

typedef struct {
    vs_arena keep, scratch;
    vs_recording rec;
    vs_err err;
    mtr_file file;
} reading;

static reading begin(mtr_file file)
{
    reading r = {.file = file};
    assert_true(vs_arena_open(&r.keep, 64 * VS_MIB, NULL));
    assert_true(vs_arena_open(&r.scratch, 64 * VS_MIB, NULL));
    return r;
}

static bool try_read(reading *r)
{
    const vs_read_desc desc = {.keep = &r->keep, .scratch = &r->scratch};
    vs_input in = {0};
    assert_true(input_of_bytes(&in, r->file.bytes, r->file.size_bytes, &r->scratch, &r->err));
    const bool is_read = read_recorder(&r->rec, &in, &desc, &r->err);
    input_close(&in);
    assert_int_equal(is_read, r->err.code == VS_OK);
    return is_read;
}

static void read_well(reading *r)
{
    if (!try_read(r)) {
        scratch_fail(&r->err);
    }
}

static void end(reading *r)
{
    free(r->file.bytes);
    vs_arena_close(&r->keep);
    vs_arena_close(&r->scratch);
}

static reading read_rows(const mtr_row *rows, size_t count)
{
    mtr_file f = mtr_begin("");
    for (size_t i = 0; i < count; i++) {
        (void)mtr_add(&f, &rows[i]);
    }
    mtr_index(&f);
    reading r = begin(f);
    read_well(&r);
    return r;
}

#define READ_ROWS(...)                                                                         \
    read_rows((const mtr_row[]){__VA_ARGS__},                                                  \
              sizeof((const mtr_row[]){__VA_ARGS__}) / sizeof(mtr_row))

static bool has_note(const vs_recording *rec, const char *says)
{
    for (uint32_t i = 0; i < rec->note_count; i++) {
        if (strstr(rec->notes[i], says) != NULL) {
            return true;
        }
    }
    return false;
}

static const char *label_of(const reading *r, uint32_t id)
{
    return vs_recording_string(&r->rec, id);
}

/* ---- whole files ----------------------------------------------------------------------------------------- */

static void a_whole_file_gives_devices_events_spans_and_notes(void **state)
{
    (void)state;
    reading r = begin(mtr_sample());
    read_well(&r);
    assert_int_equal(r.rec.device_count, 2);
    const vs_rec_device *const gpu = &r.rec.devices[0];
    assert_string_equal(gpu->name, "NVIDIA T4");
    assert_int_equal(gpu->event_count, 8);
    assert_int_equal(gpu->events[0].action, VS_REC_LEVEL);
    assert_int_equal(gpu->events[0].size, 900);
    assert_int_equal(gpu->events[1].action, VS_REC_SEGMENT_ALLOC);
    assert_int_equal(gpu->events[4].action, VS_REC_OOM);
    assert_int_equal(gpu->events[4].addr, 4096);
    assert_int_equal(gpu->events[4].size, VS_GIB);
    assert_string_equal(label_of(&r, gpu->events[4].label), "cuMemAlloc");
    assert_true(r.rec.devices[1].is_host);
    assert_int_equal(r.rec.devices[1].events[0].category, VS_CAT_PINNED);
    assert_int_equal(r.rec.span_count, 5);
    assert_int_equal(r.rec.spans[0].kind, VS_REC_H2D_PINNED);
    assert_int_equal(r.rec.spans[0].bytes, VS_MIB);
    assert_string_equal(label_of(&r, r.rec.spans[1].label), "gemm");
    assert_string_equal(label_of(&r, r.rec.spans[3].label), "cold");
    assert_int_equal(r.rec.annotation_count, 1);
    assert_true(has_note(&r.rec, "somebody else was first"));
    assert_true(has_note(&r.rec, "3 records were lost"));
    assert_true(has_note(&r.rec, "unknown type 900"));
    assert_false(has_note(&r.rec, "did not end cleanly"));
    assert_string_equal(r.rec.made_by, "vramscope record of python3 load.py");
    end(&r);
}

static void times_are_those_of_the_wall_clock(void **state)
{
    (void)state;
    reading r = READ_ROWS({.t = 5000, .a = 1, .b = 512, .type = MTR_SEG_ADD});
    assert_int_equal(r.rec.epoch_ns, UINT64_C(1700000000000005000)); /* t0_real is 1000's */
    assert_int_equal(r.rec.devices[0].events[0].time_ns, 0);
    end(&r);
}

static void records_are_ordered_by_time_then_slab_then_place(void **state)
{
    (void)state;
    mtr_file f = mtr_begin("");
    mtr_slab(&f, MTR_SLAB_RECORDS, 9);
    (void)mtr_add(&f, &(mtr_row){.t = 20, .a = 1, .b = 1, .type = MTR_SEG_ADD});
    (void)mtr_add(&f, &(mtr_row){.t = 10, .a = 2, .b = 1, .type = MTR_SEG_ADD});
    mtr_slab(&f, MTR_SLAB_RECORDS, 3);
    (void)mtr_add(&f, &(mtr_row){.t = 20, .a = 3, .b = 1, .type = MTR_SEG_ADD});
    (void)mtr_add(&f, &(mtr_row){.t = 20, .a = 4, .b = 1, .type = MTR_SEG_ADD});
    reading r = begin(f);
    read_well(&r);
    const vs_rec_event *const events = r.rec.devices[0].events;
    assert_int_equal(events[0].addr, 2);
    assert_int_equal(events[1].addr, 3);
    assert_int_equal(events[2].addr, 4);
    assert_int_equal(events[3].addr, 1);
    assert_int_equal(events[3].origin, 0);
    end(&r);
}

static void a_string_may_stand_behind_the_record_that_names_it(void **state)
{
    (void)state;
    mtr_file f = mtr_begin("");
    (void)mtr_add(&f, &(mtr_row){.t = 1, .d = 2, .str = 1, .type = MTR_KERNEL});
    (void)mtr_string(&f, "late");
    reading r = begin(f);
    read_well(&r);
    assert_string_equal(label_of(&r, r.rec.spans[0].label), "late");
    end(&r);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

static void physical_memory_counts_once_however_often_it_is_mapped(void **state)
{
    (void)state;
    reading r = READ_ROWS({.t = 1, .a = 7, .b = 2 << 20, .type = MTR_PHYS_ADD},
                          {.t = 2, .a = 0x1000, .b = 2 << 20, .c = 7, .type = MTR_MAP},
                          {.t = 3, .a = 0x9000, .b = 2 << 20, .c = 7, .type = MTR_MAP},
                          {.t = 4, .a = 7, .type = MTR_PHYS_DEL},
                          {.t = 5, .a = 0x1000, .b = 2 << 20, .type = MTR_UNMAP},
                          {.t = 6, .a = 0x9000, .b = 2 << 20, .type = MTR_UNMAP});
    uint32_t allocs = 0;
    uint32_t frees = 0;
    for (uint32_t i = 0; i < r.rec.devices[0].event_count; i++) {
        const vs_rec_event *const e = &r.rec.devices[0].events[i];
        allocs += e->action == VS_REC_SEGMENT_ALLOC ? 1 : 0;
        if (e->action == VS_REC_SEGMENT_FREE) {
            frees++;
            assert_int_equal(e->time_ns, 5); /* the last mapping */
            assert_int_equal(e->size, 2 * VS_MIB);
        }
    }
    assert_int_equal(allocs, 1);
    assert_int_equal(frees, 1);
    end(&r);
}

static void a_retained_handle_is_held_until_its_last_release(void **state)
{
    (void)state;
    reading r = READ_ROWS(
        {.t = 1, .a = 7, .b = 2 << 20, .type = MTR_PHYS_ADD},
        {.t = 2, .a = 7, .type = MTR_RETAIN}, {.t = 3, .a = 7, .type = MTR_PHYS_DEL},
        {.t = 9, .a = 7, .type = MTR_PHYS_DEL}, {.t = 10, .a = 7, .type = MTR_PHYS_DEL});
    assert_int_equal(r.rec.devices[0].event_count, 2);
    assert_int_equal(r.rec.devices[0].events[1].time_ns, 8);
    assert_true(has_note(&r.rec, "1 releases and mappings"));
    end(&r);
}

static void a_handle_that_is_given_again_is_new_memory(void **state)
{
    (void)state;
    reading r = READ_ROWS({.t = 1, .a = 7, .b = 2 << 20, .type = MTR_PHYS_ADD},
                          {.t = 2, .a = 7, .type = MTR_PHYS_DEL},
                          {.t = 3, .a = 7, .b = 4 << 20, .type = MTR_PHYS_ADD},
                          {.t = 4, .a = 7, .type = MTR_PHYS_DEL});
    assert_int_equal(r.rec.devices[0].event_count, 4);
    assert_int_equal(r.rec.devices[0].events[3].size, 4 * VS_MIB);
    end(&r);
}

static void managed_and_imported_memory_is_left_out_and_counted(void **state)
{
    (void)state;
    reading r =
        READ_ROWS({.t = 1, .a = 1, .b = 512, .flags = MTR_MANAGED, .type = MTR_SEG_ADD},
                  {.t = 2, .a = 2, .b = 512, .flags = MTR_IMPORTED, .type = MTR_SEG_ADD},
                  {.t = 3, .a = 3, .b = 512, .type = MTR_SEG_ADD});
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_true(has_note(&r.rec, "1 allocations of managed memory"));
    assert_true(has_note(&r.rec, "1 pieces of memory of other processes"));
    end(&r);
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static void work_without_an_end_or_a_time_is_counted_and_not_drawn(void **state)
{
    (void)state;
    const uint32_t kind = MTR_COPY_KIND(MTR_DTOH, MTR_DEVICE, MTR_PAGEABLE);
    reading r = READ_ROWS(
        {.t = 1, .b = 4096, .aux = kind, .type = MTR_COPY},
        {.t = 1, .b = 4096, .d = 9, .aux = kind, .flags = MTR_UNTIMED, .type = MTR_COPY},
        {.t = 5, .b = 4096, .d = 4, .aux = kind, .type = MTR_COPY},
        {.t = 5, .b = 4096, .d = 9, .aux = MTR_HTOD, .type = MTR_COPY},
        {.t = 5, .b = 4096, .d = 9, .aux = kind, .type = MTR_COPY});
    assert_int_equal(r.rec.span_count, 1);
    assert_int_equal(r.rec.spans[0].kind, VS_REC_D2H_PAGEABLE);
    assert_true(has_note(&r.rec, "1 copies and kernels without times"));
    assert_true(has_note(&r.rec, "1 copies and kernels were under way"));
    assert_true(has_note(&r.rec, "1 records left out: their values cannot be"));
    assert_true(has_note(&r.rec, "1 copies left out: they do not say"));
    end(&r);
}

static void counters_of_the_process_become_reads_between_them(void **state)
{
    (void)state;
    reading r = READ_ROWS({.t = 100, .a = 1000, .type = MTR_IO, .dev = MTR_HOST},
                          {.t = 200, .a = 1000, .type = MTR_IO, .dev = MTR_HOST},
                          {.t = 300, .a = 5000, .type = MTR_IO, .dev = MTR_HOST});
    assert_int_equal(r.rec.span_count, 1);
    assert_int_equal(r.rec.spans[0].kind, VS_REC_READ);
    assert_int_equal(r.rec.spans[0].bytes, 4000);
    assert_int_equal(r.rec.spans[0].end_ns - r.rec.spans[0].start_ns, 100);
    assert_string_equal(label_of(&r, r.rec.spans[0].label), "sampled");
    end(&r);
}

static void a_device_number_that_cannot_be_is_counted(void **state)
{
    (void)state;
    reading r = READ_ROWS({.t = 1, .a = 1, .b = 512, .dev = 200, .type = MTR_SEG_ADD},
                          {.t = 1, .a = 1, .b = 512, .dev = 2, .type = MTR_SEG_ADD});
    assert_int_equal(r.rec.device_count, 1);
    assert_int_equal(r.rec.devices[0].ordinal, 2);
    assert_true(has_note(&r.rec, "1 records left out"));
    end(&r);
}

/* ---- broken files ------------------------------------------------------------------------------------------------- */

static void records_that_were_never_finished_are_skipped(void **state)
{
    (void)state;
    mtr_file f = mtr_begin("");
    (void)mtr_add(&f, &(mtr_row){.t = 1, .a = 1, .b = 512, .type = MTR_SEG_ADD});
    mtr_add(&f, &(mtr_row){.t = 2, .a = 2, .b = 512, .type = MTR_SEG_ADD})[63] = 0;
    (void)mtr_add(&f, &(mtr_row){.t = 3, .a = 3, .b = 512, .type = MTR_SEG_ADD});
    reading r = begin(f);
    read_well(&r);
    assert_int_equal(r.rec.devices[0].event_count, 2);
    assert_true(has_note(&r.rec, "1 records that were never finished left out: 64 bytes, at "
                                 "offset 0x1080"));
    assert_true(has_note(&r.rec, "did not end cleanly"));
    end(&r);
}

static void a_broken_slab_is_told_with_its_offset_and_the_rest_counts(void **state)
{
    (void)state;
    mtr_file f = mtr_begin("");
    (void)mtr_add(&f, &(mtr_row){.t = 1, .a = 1, .b = 512, .type = MTR_SEG_ADD});
    mtr_slab(&f, MTR_SLAB_RECORDS, 2);
    (void)mtr_add(&f, &(mtr_row){.t = 2, .a = 2, .b = 512, .type = MTR_SEG_ADD});
    mtr_close_slab(&f);
    f.bytes[f.slab + MTR_SLAB_HEADER + 8] ^= 1; /* behind the checksum's back */
    mtr_slab(&f, MTR_SLAB_RECORDS, 3);
    f.bytes[f.slab] = 'X';
    mtr_slab(&f, MTR_SLAB_RECORDS, 4);
    (void)mtr_add(&f, &(mtr_row){.t = 4, .a = 4, .b = 512, .type = MTR_SEG_ADD});
    (void)mtr_room(&f, MTR_TEST_SLAB); /* allocated in advance */
    reading r = begin(f);
    read_well(&r);
    assert_int_equal(r.rec.devices[0].event_count, 2);
    assert_true(has_note(&r.rec,
                         "1 slabs with a wrong checksum left out: 1024 bytes, at offset "
                         "0x1400"));
    assert_true(has_note(&r.rec, "1 unreadable parts left out: 1024 bytes, at offset 0x1800"));
    end(&r);
}

static void a_file_that_ends_inside_a_slab_gives_what_is_there(void **state)
{
    (void)state;
    reading r = begin(mtr_begin(""));
    (void)mtr_add(&r.file, &(mtr_row){.t = 1, .a = 1, .b = 512, .type = MTR_SEG_ADD});
    (void)mtr_add(&r.file, &(mtr_row){.t = 2, .a = 2, .b = 512, .type = MTR_SEG_ADD});
    r.file.size_bytes = MTR_HEADER_BYTES + 64 + 64 + 30;
    read_well(&r);
    assert_int_equal(r.rec.devices[0].event_count, 1);
    assert_true(has_note(&r.rec, "ends inside a slab: 158 of its 1024 bytes"));
    end(&r);
}

static void refused_header(uint32_t at, uint32_t value, const char *says)
{
    reading r = begin(mtr_sample());
    mtr_u32(r.file.bytes + at, value);
    assert_false(try_read(&r));
    assert_error_says(&r.err, says);
    end(&r);
}

static void a_header_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    refused_header(8, 2, "version 2; this program reads version 1");
    refused_header(12, 51, "header bytes 51");
    refused_header(12, UINT32_MAX, "header bytes 4294967295");
    refused_header(16, 32, "record bytes 32");
    refused_header(20, 64, "slab bytes 64");
    refused_header(20, 0x80000000, "slab bytes 2147483648");
    refused_header(0, 0, "expected a recorder file");
    reading r = begin(mtr_sample());
    r.file.size_bytes = 4095;
    assert_false(try_read(&r));
    assert_error_says(&r.err, "ends inside its header");
    end(&r);
}

static void a_string_longer_than_its_slab_is_told_and_left_out(void **state)
{
    (void)state;
    mtr_file f = mtr_begin("");
    (void)mtr_string(&f, "name");
    mtr_u32(f.bytes + f.slab + MTR_SLAB_HEADER, 100000);
    (void)mtr_add(&f, &(mtr_row){.t = 1, .d = 2, .str = 1, .type = MTR_KERNEL});
    reading r = begin(f);
    read_well(&r);
    assert_string_equal(label_of(&r, r.rec.spans[0].label), "");
    assert_true(has_note(&r.rec, "1 unreadable parts"));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_gives_devices_events_spans_and_notes),
        cmocka_unit_test(times_are_those_of_the_wall_clock),
        cmocka_unit_test(records_are_ordered_by_time_then_slab_then_place),
        cmocka_unit_test(a_string_may_stand_behind_the_record_that_names_it),
        cmocka_unit_test(physical_memory_counts_once_however_often_it_is_mapped),
        cmocka_unit_test(a_retained_handle_is_held_until_its_last_release),
        cmocka_unit_test(a_handle_that_is_given_again_is_new_memory),
        cmocka_unit_test(managed_and_imported_memory_is_left_out_and_counted),
        cmocka_unit_test(work_without_an_end_or_a_time_is_counted_and_not_drawn),
        cmocka_unit_test(counters_of_the_process_become_reads_between_them),
        cmocka_unit_test(a_device_number_that_cannot_be_is_counted),
        cmocka_unit_test(records_that_were_never_finished_are_skipped),
        cmocka_unit_test(a_broken_slab_is_told_with_its_offset_and_the_rest_counts),
        cmocka_unit_test(a_file_that_ends_inside_a_slab_gives_what_is_there),
        cmocka_unit_test(a_header_that_cannot_be_is_an_error),
        cmocka_unit_test(a_string_longer_than_its_slab_is_told_and_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
