/* A tape file cut short anywhere, with any byte flipped, and an arena that ends anywhere: always a clean error or
 * a timeline that answers every question; never a crash, never a leak (sanitizers). */
#include "sim/tape/internal.h"
#include "tests/tape_random.h"
#include "tests/tape_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 40 /* a small tape: about 8 KB */

typedef struct {
    vs_arena arena;
    vs_timeline tl;
    tape_layout layout;
    uint8_t *copy;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    vs_err err = {0};
    random_tape r;
    if (f == NULL || !vs_arena_open(&f->arena, 16 * VS_MIB, &err) ||
        !random_tape_make(&r, &f->arena, 11, STEPS) || !vs_tape_seal(r.tape, &f->tl, &err)) {
        return -1;
    }
    uint8_t *file = vs_arena_alloc(&f->arena, f->tl.image_bytes, TAPE_ALIGN);
    f->copy = vs_arena_alloc(&f->arena, f->tl.image_bytes, TAPE_ALIGN);
    if (file == NULL || f->copy == NULL) {
        return -1;
    }
    memcpy(file, f->tl.image, f->tl.image_bytes);
    image_file_head(f->tl.image, file);
    f->tl.image = file;
    vs_ns end_ns = 0;
    *state = f;
    return image_read(file, f->tl.image_bytes, &f->layout, &end_ns, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static void every_truncation_is_refused(void **state)
{
    fixture *f = *state;
    for (uint64_t size = 0; size < f->tl.image_bytes; size++) {
        /* a block of its own, so that a sanitizer sees the first byte read beyond the end */
        uint8_t *cut = malloc(size > 0 ? size : 1);
        assert_non_null(cut);
        memcpy(cut, f->tl.image, size);
        vs_timeline tl = {0};
        vs_err err = {0};
        assert_false(vs_timeline_bind(&tl, cut, size, &err));
        assert_int_equal(err.code, VS_ERR_FORMAT);
        free(cut);
    }
}

static void every_flipped_byte_is_refused(void **state)
{
    fixture *f = *state;
    memcpy(f->copy, f->tl.image, f->tl.image_bytes);
    for (uint64_t i = 0; i < f->tl.image_bytes; i++) {
        f->copy[i] ^= 0xff;
        vs_timeline tl = {0};
        vs_err err = {0};
        assert_false(vs_timeline_bind(&tl, f->copy, f->tl.image_bytes, &err));
        assert_int_not_equal(err.code, VS_OK);
        f->copy[i] ^= 0xff;
    }
}

/* The checksums are made right again after each change, so that only the validator stands between the change
 * and the reader. Harmless changes (a size, a capacity) open; the answers must then be safe to ask for. */
static void every_changed_byte_behind_right_checksums_is_harmless(void **state)
{
    fixture *f = *state;
    uint32_t refused = 0;
    uint64_t seen = 0;
    memcpy(f->copy, f->tl.image, f->tl.image_bytes);
    for (uint64_t i = f->layout.offset[0]; i < f->tl.image_bytes; i++) {
        const uint8_t mask = i % 3 == 0 ? 0x01 : (i % 3 == 1 ? 0x80 : 0xff);
        f->copy[i] ^= mask;
        image_resum(f->copy, &f->layout);
        vs_timeline tl = {0};
        vs_err err = {0};
        if (vs_timeline_bind(&tl, f->copy, f->tl.image_bytes, &err)) {
            seen += walk_timeline(&tl);
        } else {
            assert_int_not_equal(err.code, VS_OK);
            refused++;
        }
        f->copy[i] ^= mask;
    }
    assert_true(seen > 0);
    assert_true(refused > 1000);
}

/* Makes, seals and reads a tape with the fail_at-th allocation failing. True when it went through. */
static bool run_with_failure(vs_arena *arena, uint64_t fail_at)
{
    vs_arena_reset(arena);
    arena->fail_at = fail_at;
    random_tape r;
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!random_tape_make(&r, arena, 13, 3000)) {
        return false;
    }
    const bool had_failed = vs_tape_has_failed(r.tape);
    if (!vs_tape_seal(r.tape, &tl, &err)) {
        assert_int_equal(err.code, VS_ERR_MEMORY);
        assert_int_equal(tl.event_count, 0);
        return false;
    }
    assert_false(had_failed);
    return true;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, 16 * VS_MIB, &err));
    uint64_t fail_at = 1;
    while (!run_with_failure(&arena, fail_at)) {
        fail_at++;
        assert_true(fail_at < 1000);
    }
    assert_true(fail_at > 15); /* otherwise the injection does not work */
    vs_arena_close(&arena);
}

static void an_arena_of_any_size_is_enough_or_says_so(void **state)
{
    (void)state;
    bool was_enough = false;
    for (size_t bytes = 4096; bytes < VS_MIB; bytes += 8192) {
        vs_arena arena = {0};
        vs_err err = {0};
        assert_true(vs_arena_open(&arena, bytes, &err));
        was_enough = run_with_failure(&arena, 0);
        vs_arena_close(&arena);
    }
    assert_true(was_enough);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_refused),
        TEST(every_flipped_byte_is_refused),
        TEST(every_changed_byte_behind_right_checksums_is_harmless),
        TEST(every_allocation_may_fail),
        TEST(an_arena_of_any_size_is_enough_or_says_so),
    };
    return cmocka_run_group_tests_name("fault_tapefile", tests, NULL, NULL);
}
