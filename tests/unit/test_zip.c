/* tests/unit/test_zip.c - the directory of a zip archive, byte by byte. */
#include "sim/model/zip.h"
#include "tests/support/torchfile.h"

#include <setjmp.h>

#include <cmocka.h>

#include <unistd.h>

typedef struct {
    vs_arena arena;
    vs_err err;
    char line[1024];
    zipped z;
    vs_zip zip;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 8 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    zip_free(&b->z);
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static bool try_zip(bench *b)
{
    const vs_byte_source source = vs_byte_source_of(b->z.file.at, b->z.file.count);
    vs_arena_reset(&b->arena);
    b->err = (vs_err){0};
    b->zip = (vs_zip){0};
    return vs_zip_read(&b->zip, &source, &b->arena, &b->err);
}

static void reads(bench *b)
{
    if (!try_zip(b)) {
        print_error("%s\n", vs_err_line(&b->err, b->line, sizeof b->line));
        fail();
    }
}

static void names(bench *b, const char *what)
{
    if (strstr(vs_err_line(&b->err, b->line, sizeof b->line), what) == NULL) {
        print_error("\"%s\" does not name \"%s\"\n", b->line, what);
        fail();
    }
}

static void refused(bench *b, const char *what)
{
    assert_false(try_zip(b));
    names(b, what);
}

/* Two entries of 10 and 20 bytes. */
static void two_entries(bench *b)
{
    static const uint8_t data[20] = {1, 2, 3};
    zip_add(&b->z, "m/one", data, 10, 64);
    zip_add(&b->z, "m/two", data, 20, 0);
}

static void set(bench *b, size_t at, uint64_t value, unsigned width)
{
    assert_true(at + width <= b->z.file.count);
    for (unsigned i = 0; i < width; i++) {
        b->z.file.at[at + i] = (uint8_t)(value >> (8 * i));
    }
}

/* Where field `offset` of directory entry i stands in the file. */
static size_t field(const bench *b, size_t i, size_t offset)
{
    return b->z.directory_at + b->z.entry[i] + offset;
}

static bool data_offset(bench *b, uint32_t i, uint64_t *out)
{
    const vs_byte_source source = vs_byte_source_of(b->z.file.at, b->z.file.count);
    return vs_zip_data_offset(&source, &b->zip.entries[i], out, &b->err);
}

static void is_two_entries(bench *b)
{
    uint64_t offset = 0;
    assert_int_equal(b->zip.entry_count, 2);
    assert_true(vs_str_is(b->zip.entries[0].name, "m/one"));
    assert_true(vs_str_is(b->zip.entries[1].name, "m/two"));
    assert_int_equal(b->zip.entries[0].size_bytes, 10);
    assert_int_equal(b->zip.entries[1].size_bytes, 20);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(vs_zip_check_stored(&b->zip.entries[i], &b->err));
        assert_true(data_offset(b, i, &offset));
        assert_int_equal(offset, b->z.data[i] + b->zip.prefix_bytes);
    }
}

/* ---- what is accepted -------------------------------------------------------------------------------- */

static void entries_and_their_data_are_found(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    reads(b);
    is_two_entries(b);
    assert_int_equal(b->zip.prefix_bytes, 0);
    assert_int_equal(b->zip.directory_offset, b->z.directory_at);
    assert_int_equal(b->zip.entries[0].limit_offset, b->z.header[1]);
    assert_int_equal(b->zip.entries[1].limit_offset, b->z.directory_at);
}

static void the_64_bit_end_records_win(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, true);
    set(b, b->z.file.count - 10, UINT32_MAX,
        4); /* size and place of the short record: see the other */
    set(b, b->z.file.count - 6, UINT32_MAX, 4);
    reads(b);
    is_two_entries(b);
}

static void an_empty_archive_has_no_entries(void **state)
{
    bench *b = *state;
    zip_finish(&b->z, false);
    reads(b);
    assert_int_equal(b->zip.entry_count, 0);
}

static void a_comment_and_bytes_behind_it_are_passed_over(void **state)
{
    bench *b = *state;
    two_entries(b);
    b->z.directory_at = b->z.file.count;
    put(&b->z.file, b->z.directory.at, b->z.directory.count);
    zip_end(&b->z, 7);
    put_text(&b->z.file, "comment and more");
    reads(b);
    is_two_entries(b);
}

static void bytes_before_the_archive_shift_every_offset(void **state)
{
    bench *b = *state;
    bytes whole = {0};
    two_entries(b);
    zip_finish(&b->z, true);
    put_text(&whole, "#!/bin/sh\n");
    put(&whole, b->z.file.at, b->z.file.count);
    free_bytes(&b->z.file);
    b->z.file = whole;
    reads(b);
    assert_int_equal(b->zip.prefix_bytes, 10);
    is_two_entries(b);
}

static void sizes_beyond_4_gib_come_from_the_extra_field(void **state)
{
    bench *b = *state;
    const uint64_t huge = UINT64_C(6) << 30;
    two_entries(b);
    /* a third entry by hand: 64-bit sizes and offset, in a file that is not so long */
    put_text(&b->z.directory, "PK\001\002");
    put_zeros(&b->z.directory, 16);
    put_number(&b->z.directory, UINT32_MAX, 4);
    put_number(&b->z.directory, UINT32_MAX, 4);
    put_number(&b->z.directory, 1, 2);
    put_number(&b->z.directory, 4 + 3 + 4 + 24, 2);
    put_zeros(&b->z.directory, 10);
    put_number(&b->z.directory, UINT32_MAX, 4);
    put_text(&b->z.directory, "h");
    put_number(&b->z.directory, 0x4246, 2); /* another field first */
    put_number(&b->z.directory, 3, 2);
    put_zeros(&b->z.directory, 3);
    put_number(&b->z.directory, 1, 2);
    put_number(&b->z.directory, 24, 2);
    put_number(&b->z.directory, huge, 8);
    put_number(&b->z.directory, huge + 1, 8);
    put_number(&b->z.directory, huge + 2, 8);
    zip_finish(&b->z, false);
    /* the offset is behind the directory, and the message shows what was read */
    refused(b, "zip entry \"h\" of 6442450945 bytes reaches into the directory");
}

static void an_archive_is_detected_by_its_end(void **state)
{
    bench *b = *state;
    bool is_zip = true;
    two_entries(b);
    vs_byte_source source = vs_byte_source_of(b->z.file.at, b->z.file.count);
    assert_true(vs_zip_detect(&source, &b->arena, &is_zip, &b->err));
    assert_false(is_zip);
    zip_finish(&b->z, false);
    source = vs_byte_source_of(b->z.file.at, b->z.file.count);
    assert_true(vs_zip_detect(&source, &b->arena, &is_zip, &b->err));
    assert_true(is_zip);
    put_zeros(&b->z.file, 65536); /* further away than Python looks */
    source = vs_byte_source_of(b->z.file.at, b->z.file.count);
    assert_true(vs_zip_detect(&source, &b->arena, &is_zip, &b->err));
    assert_false(is_zip);
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

static void compressed_and_encrypted_entries_are_refused_by_name(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 0, 10), 8, 2);
    set(b, field(b, 1, 8), 1, 2);
    reads(b);
    assert_false(vs_zip_check_stored(&b->zip.entries[0], &b->err));
    names(b, "zip entry \"m/one\" is compressed (deflate, 8)");
    b->err = (vs_err){0};
    assert_false(vs_zip_check_stored(&b->zip.entries[1], &b->err));
    names(b, "zip entry \"m/two\" is encrypted");
}

static void a_stored_entry_with_two_sizes_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 0, 24), 11, 4);
    reads(b);
    assert_false(vs_zip_check_stored(&b->zip.entries[0], &b->err));
    names(b, "has two sizes, 10 and 11");
}

static void entries_that_overlap_are_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 0, 20), 100000, 4);
    refused(b, "zip entry \"m/one\" of 100000 bytes reaches into \"m/two\"");
    set(b, field(b, 0, 20), 10, 4);
    set(b, field(b, 1, 42), 0, 4); /* the same header twice */
    refused(b, "reaches into \"m/two\" at 0");
    set(b, field(b, 1, 42), (uint64_t)b->z.directory_at - 40, 4);
    refused(b, "reaches into the directory");
}

static void data_that_begin_too_late_are_refused(void **state)
{
    bench *b = *state;
    uint64_t offset = 7;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, b->z.header[0] + 28, 60000, 2);
    reads(b);
    assert_false(data_offset(b, 0, &offset));
    names(b, "reaches into what begins at");
    assert_int_equal(offset, 7);
}

static void a_local_header_must_be_the_directorys(void **state)
{
    bench *b = *state;
    uint64_t offset = 0;
    two_entries(b);
    zip_finish(&b->z, false);
    reads(b);
    b->z.file.at[b->z.header[1] + 32] = 'x';
    assert_false(data_offset(b, 1, &offset));
    names(b, "calls this entry \"m/two\"");
    b->err = (vs_err){0};
    set(b, b->z.header[1], 0, 4);
    assert_false(data_offset(b, 1, &offset));
    names(b, "expected the local header");
}

static void names_are_bounded(void **state)
{
    bench *b = *state;
    char name[VS_ZIP_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[VS_ZIP_NAME_MAX + 1] = '\0';
    zip_add(&b->z, name, "", 0, 0);
    zip_finish(&b->z, false);
    refused(b, "a name of 1025 bytes in the zip directory; the limit is 1024");
}

static void a_name_without_bytes_or_with_a_nul_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 0, 46), 0, 1);
    refused(b, "is empty or holds a NUL");
}

static void a_corrupt_extra_field_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 0, 28), 1, 2); /* four bytes of the name become the extra field */
    set(b, field(b, 0, 30), 4, 2);
    refused(b, "the extra field of a zip entry is corrupt");
}

static void a_directory_of_other_bytes_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, field(b, 1, 0), 0, 4);
    refused(b, "expected an entry of the zip directory");
}

static void a_directory_behind_its_end_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, false);
    set(b, b->z.file.count - 6, 1000000, 4);
    refused(b, "which is not before it");
}

static void an_archive_in_parts_is_refused(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, true);
    set(b, b->z.file.count - 22 - 4, 2, 4);
    refused(b, "in several parts");
}

static void a_file_that_was_cut_off_has_no_end(void **state)
{
    bench *b = *state;
    two_entries(b);
    zip_finish(&b->z, true);
    b->z.file.count -= 30;
    refused(b, "is the download complete?");
}

/* ---- sources ---------------------------------------------------------------------------------------------- */

static void a_file_gives_the_same_bytes_as_memory(void **state)
{
    bench *b = *state;
    char path[] = "/tmp/vramscope-test-XXXXXX";
    const int fd = mkstemp(path);
    vs_byte_source source = {0};
    uint8_t got[4] = {0};
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_true(vs_byte_source_open(&source, path, &b->err));
    assert_int_equal(source.size_bytes, 10);
    assert_true(vs_byte_source_read(&source, 6, 4, got, &b->err));
    assert_memory_equal(got, "6789", 4);
    assert_false(vs_byte_source_read(&source, 7, 4, got, &b->err));
    names(b, "the file has 10 in all");
    b->err = (vs_err){0};
    assert_int_equal(ftruncate(fd, 3), 0); /* behind our back */
    assert_false(vs_byte_source_read(&source, 1, 4, got, &b->err));
    names(b, "became shorter");
    vs_byte_source_close(&source);
    (void)close(fd);
    (void)unlink(path);
}

static void a_folder_is_no_source(void **state)
{
    bench *b = *state;
    vs_byte_source source = {0};
    assert_false(vs_byte_source_open(&source, "/tmp", &b->err));
    names(b, "found a directory");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(entries_and_their_data_are_found),
        T(the_64_bit_end_records_win),
        T(an_empty_archive_has_no_entries),
        T(a_comment_and_bytes_behind_it_are_passed_over),
        T(bytes_before_the_archive_shift_every_offset),
        T(sizes_beyond_4_gib_come_from_the_extra_field),
        T(an_archive_is_detected_by_its_end),
        T(compressed_and_encrypted_entries_are_refused_by_name),
        T(a_stored_entry_with_two_sizes_is_refused),
        T(entries_that_overlap_are_refused),
        T(data_that_begin_too_late_are_refused),
        T(a_local_header_must_be_the_directorys),
        T(names_are_bounded),
        T(a_name_without_bytes_or_with_a_nul_is_refused),
        T(a_corrupt_extra_field_is_refused),
        T(a_directory_of_other_bytes_is_refused),
        T(a_directory_behind_its_end_is_refused),
        T(an_archive_in_parts_is_refused),
        T(a_file_that_was_cut_off_has_no_end),
        T(a_file_gives_the_same_bytes_as_memory),
        T(a_folder_is_no_source),
    };
    return cmocka_run_group_tests_name("zip", tests, NULL, NULL);
}
