/* tests/fault/fault_calibrate.c - results of the capture kit cut off at every byte, with every byte changed, and without memory. */
#include "vramscope/calibrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static const char results[] =
    "{\"format\": \"vramscope.capture/1\", \"scenarios\": {\"rates\": {\"takes\": {\"h2d\": {"
    "\"status\": \"ok\", \"h2d_pageable\": [{\"bytes\": 1048576, \"median_s\": 0.0001}, "
    "{\"bytes\": "
    "8388608, \"median_s\": 0.0008}, {\"bytes\": 67108864, \"median_s\": 0.0064}]}, "
    "\"malloc\": {"
    "\"status\": \"ok\", \"cuda_malloc_free\": [{\"malloc_median_us\": 90}]}}}}}";
static const char loader[] = "kind,index,name,bytes,t0_us,t1_us,thread,ok\n"
                             "quantise,1,a,104857600,1000,11000,MainThread,1\n"
                             "copy,2,b,104857600,1000,11000,MainThread,1\n";

typedef struct {
    scratch *s;
    vs_arena arena;
} fixture;

static bool calibrate(fixture *f, const char *path, vs_err *err)
{
    vs_calibration calibration = {.file_count = 77};
    const vs_cal_desc desc = {.keep = &f->s->arena, .scratch = &f->arena};
    const bool is_done = vs_calibrate(&calibration, &path, 1, &desc, err);
    assert_true(is_done ? calibration.file_count == 1 : calibration.file_count == 77);
    return is_done;
}

static bool try_bytes(fixture *f, const char *bytes, size_t size_bytes)
{
    vs_err err = {0};
    const char *const path = scratch_path(f->s, "file");
    FILE *const out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size_bytes, out), size_bytes);
    assert_int_equal(fclose(out), 0);
    vs_arena_reset(&f->s->arena);
    vs_arena_reset(&f->arena);
    if (calibrate(f, path, &err)) {
        return true;
    }
    assert_int_not_equal(err.code, VS_OK);
    assert_int_not_equal(err.code, VS_ERR_INTERNAL);
    assert_error_says(&err, "file");
    return false;
}

static void every_truncation_is_read_or_refused(void **state)
{
    fixture f = {.s = *state};
    assert_true(vs_arena_open(&f.arena, 128 * VS_MIB, NULL));
    for (size_t n = 0; n < sizeof results - 1; n++) {
        assert_false(try_bytes(&f, results, n));
    }
    assert_true(try_bytes(&f, results, sizeof results - 1));
    for (size_t n = sizeof "kind,index,name,bytes,t0_us,t1_us,thread,ok" - 1; n < sizeof loader;
         n++) {
        assert_true(try_bytes(&f, loader, n)); /* a row that is cut off is left out */
    }
    vs_arena_close(&f.arena);
}

static void every_changed_byte_is_read_or_refused(void **state)
{
    fixture f = {.s = *state};
    char text[sizeof results];
    size_t refused = 0;
    assert_true(vs_arena_open(&f.arena, 128 * VS_MIB, NULL));
    for (size_t n = 0; n < sizeof results - 1; n++) {
        memcpy(text, results, sizeof results);
        text[n] = (char)((unsigned char)text[n] ^ (1u << (n % 8)));
        refused += try_bytes(&f, text, sizeof results - 1) ? 0 : 1;
    }
    assert_true(refused > 50);
    vs_arena_close(&f.arena);
}

static void every_failed_allocation_is_an_error(void **state)
{
    fixture f = {.s = *state};
    assert_true(vs_arena_open(&f.arena, 128 * VS_MIB, NULL));
    const char *const path = scratch_write(f.s, "results.json", results);
    for (int which = 0; which < 2; which++) {
        vs_arena *const arena = which == 0 ? &f.s->arena : &f.arena;
        uint64_t n = 0;
        for (bool is_done = false; !is_done && n < 1000;) {
            vs_err err = {0};
            vs_arena_reset(&f.s->arena);
            vs_arena_reset(&f.arena);
            arena->fail_at = ++n;
            is_done = calibrate(&f, path, &err);
            assert_true(is_done || err.code == VS_ERR_MEMORY);
        }
        assert_true(n > 3 && n < 1000);
        arena->fail_at = 0;
    }
    vs_arena_close(&f.arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_read_or_refused),
        TEST(every_changed_byte_is_read_or_refused),
        TEST(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
