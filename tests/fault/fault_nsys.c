/* tests/fault/fault_nsys.c - an export of Nsight Systems cut off, with every byte changed, and without memory. */
#include "traces/read/nsys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/support/nsysfile.h"

typedef struct {
    vs_arena keep, scratch;
    uint8_t *bytes;
    size_t size_bytes;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return 1;
    }
    *state = f;
    f->bytes = nsys_bytes(NSYS_WHOLE, &f->size_bytes);
    return f->bytes != NULL && vs_arena_open(&f->keep, 32 * VS_MIB, NULL) &&
                   vs_arena_open(&f->scratch, 32 * VS_MIB, NULL)
               ? 0
               : 1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->keep);
    vs_arena_close(&f->scratch);
    free(f->bytes);
    free(f);
    return 0;
}

/* Read, or one clear error. */
static bool try_read(fixture *f, const uint8_t *bytes, size_t size_bytes)
{
    vs_err err = {0};
    vs_recording rec = {.format = VS_TRACE_FORMAT_COUNT};
    const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->scratch};
    vs_arena_reset(&f->keep);
    if (read_nsys_bytes(&rec, bytes, size_bytes, &desc, &err)) {
        assert_int_equal(err.code, VS_OK);
        return true;
    }
    assert_int_not_equal(err.code, VS_OK);
    assert_int_not_equal(err.code, VS_ERR_INTERNAL);
    assert_true(err.text[0] != '\0');
    assert_int_equal(rec.format, VS_TRACE_FORMAT_COUNT); /* untouched */
    return false;
}

static void every_truncation_is_an_error(void **state)
{
    fixture *f = *state;
    assert_true(try_read(f, f->bytes, f->size_bytes));
    for (size_t n = 0; n < f->size_bytes; n += n < 200 ? 1 : 113) {
        uint8_t *const cut = malloc(n + 1); /* reading on would be seen by the sanitizer */
        assert_non_null(cut);
        memcpy(cut, f->bytes, n);
        assert_false(try_read(f, cut, n));
        free(cut);
    }
}

/* Every byte of the header and of the first page, and every 23rd of the others: a whole pass takes a minute. */
static void every_changed_byte_is_read_or_refused(void **state)
{
    fixture *f = *state;
    size_t refused = 0;
    for (size_t n = 0; n < f->size_bytes; n += n < 400 ? 1 : 23) {
        const uint8_t before = f->bytes[n];
        f->bytes[n] = (uint8_t)(before ^ (1u << (n % 8)));
        refused += try_read(f, f->bytes, f->size_bytes) ? 0 : 1;
        f->bytes[n] = before;
    }
    assert_true(refused > 20);
}

static void every_failed_allocation_is_an_error(void **state)
{
    fixture *f = *state;
    for (int which = 0; which < 2; which++) {
        uint64_t n = 0;
        for (bool is_done = false; !is_done && n < 1000;) {
            vs_err err = {0};
            vs_recording rec = {0};
            const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->scratch};
            vs_arena_reset(&f->keep);
            vs_arena_reset(&f->scratch);
            (which == 0 ? &f->keep : &f->scratch)->fail_at = ++n;
            is_done = read_nsys_bytes(&rec, f->bytes, f->size_bytes, &desc, &err);
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
        TEST(every_truncation_is_an_error),
        TEST(every_changed_byte_is_read_or_refused),
        TEST(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
