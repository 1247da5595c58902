/* tests/fault/fault_recorder.c - a recorder file cut off at every byte, with every bit changed, and without memory. */
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
    mtr_file file;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return 1;
    }
    *state = f;
    f->file = mtr_sample();
    return vs_arena_open(&f->keep, 32 * VS_MIB, NULL) &&
                   vs_arena_open(&f->scratch, 32 * VS_MIB, NULL)
               ? 0
               : 1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->keep);
    vs_arena_close(&f->scratch);
    free(f->file.bytes);
    free(f);
    return 0;
}

static bool try_read(fixture *f, size_t size_bytes, vs_err *err)
{
    vs_recording rec = {0};
    vs_input in = {0};
    const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->scratch};
    if (!input_of_bytes(&in, f->file.bytes, size_bytes, &f->scratch, err)) {
        return false;
    }
    const bool is_read = read_recorder(&rec, &in, &desc, err);
    input_close(&in);
    return is_read;
}

static bool read_or_clear_error(fixture *f, size_t size_bytes)
{
    vs_err err = {0};
    vs_arena_reset(&f->keep);
    vs_arena_reset(&f->scratch);
    if (try_read(f, size_bytes, &err)) {
        assert_int_equal(err.code, VS_OK);
        return true;
    }
    assert_int_equal(err.code, VS_ERR_FORMAT);
    assert_true(err.text[0] != '\0');
    return false;
}

static void every_truncation_gives_what_is_there(void **state)
{
    fixture *f = *state;
    for (size_t n = 0; n <= f->file.size_bytes; n++) {
        /* the header has to be whole; from there on whatever is there counts */
        assert_int_equal(read_or_clear_error(f, n), n >= MTR_HEADER_BYTES);
    }
}

static void every_flipped_bit_is_read_or_refused(void **state)
{
    fixture *f = *state;
    for (size_t n = 0; n < f->file.size_bytes; n++) {
        if (n == 400) {
            n = MTR_HEADER_BYTES; /* zeros behind the lines */
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            f->file.bytes[n] = (uint8_t)(f->file.bytes[n] ^ (1u << bit));
            const bool is_read = read_or_clear_error(f, f->file.size_bytes);
            assert_true(is_read || n < MTR_FIELD_BYTES);
            f->file.bytes[n] = (uint8_t)(f->file.bytes[n] ^ (1u << bit));
        }
    }
}

static void every_failed_allocation_is_an_error(void **state)
{
    fixture *f = *state;
    for (int which = 0; which < 2; which++) {
        uint64_t n = 0;
        for (bool is_done = false; !is_done && n < 1000;) {
            vs_err err = {0};
            vs_arena_reset(&f->keep);
            vs_arena_reset(&f->scratch);
            (which == 0 ? &f->keep : &f->scratch)->fail_at = ++n;
            is_done = try_read(f, f->file.size_bytes, &err);
            assert_true(is_done || err.code == VS_ERR_MEMORY);
        }
        assert_true(n > 5 && n < 1000);
        f->keep.fail_at = 0;
        f->scratch.fail_at = 0;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_gives_what_is_there),
        TEST(every_flipped_bit_is_read_or_refused),
        TEST(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
