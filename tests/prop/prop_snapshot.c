/* tests/prop/prop_snapshot.c - random tapes written as snapshots and read back: the same image, byte for byte. */
#include "vramscope/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define SEEDS 120u

typedef struct {
    scratch *s;
    vs_arena keep;
    vs_arena work;
    vs_arena again;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    void *inner = NULL;
    if (f == NULL) {
        return 1;
    }
    *state = f;
    const int status = scratch_open(&inner);
    f->s = inner;
    return status == 0 && vs_arena_open(&f->keep, 64 * VS_MIB, NULL) &&
                   vs_arena_open(&f->work, 256 * VS_MIB, NULL) &&
                   vs_arena_open(&f->again, 64 * VS_MIB, NULL)
               ? 0
               : 1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    void *inner = f->s;
    (void)scratch_close(&inner);
    vs_arena_close(&f->keep);
    vs_arena_close(&f->work);
    vs_arena_close(&f->again);
    free(f);
    return 0;
}

static vs_timeline sealed(vs_tape *tape)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

/* Written and opened again. */
static vs_opened_trace through_a_file(fixture *f, const vs_timeline *tl)
{
    vs_err err = {0};
    vs_opened_trace opened = {0};
    const char *path = scratch_path(f->s, "x.pickle");
    vs_arena_reset(&f->work);
    vs_arena_reset(&f->again);
    const vs_read_desc desc = {.keep = &f->again, .scratch = &f->work};
    if (!vs_trace_write_snapshot(tl, path, &f->work, &err) ||
        !vs_trace_open(&opened, path, &desc, &err)) {
        scratch_fail(&err);
    }
    return opened;
}

static void assert_comes_back(fixture *f, const vs_timeline *tl, uint64_t seed)
{
    const vs_opened_trace opened = through_a_file(f, tl);
    if (opened.note_count > 0) {
        fail_msg("seed %" PRIu64 ": %s", seed, opened.notes[0]);
    }
    const uint8_t *image = opened.timeline.image;
    if (image == NULL || opened.timeline.image_bytes != tl->image_bytes ||
        memcmp(image, tl->image, tl->image_bytes) != 0) {
        fail_msg("seed %" PRIu64 ": another image", seed);
    }
}

static void random_tapes_come_back_byte_for_byte(void **state)
{
    fixture *f = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        random_tape r = {0};
        vs_arena_reset(&f->keep);
        assert_true(random_tape_make(&r, &f->keep, seed, (uint32_t)(seed * seed / 4)));
        const vs_timeline tl = sealed(r.tape);
        assert_comes_back(f, &tl, seed);
    }
}

/* Bytes of any kind; the same text twice; long ones; names that seal adds anyway. */
static void any_texts_come_back(void **state)
{
    fixture *f = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        vs_rng rng = {0};
        vs_rng_seed(&rng, seed);
        vs_arena_reset(&f->keep);
        vs_tape *tape = vs_tape_new(&f->keep, NULL);
        assert_non_null(tape);
        (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu \xff\xfe", seed);
        (void)vs_tape_add_lane(tape, "\xed\xb2\x80 lane");
        vs_tape_set_meta(tape, "\xc3", "\xe2\x82\xac");
        for (uint32_t i = 0; i < 60; i++) {
            char text[24] = {0};
            const uint64_t len = vs_rng_below(&rng, sizeof text);
            for (uint64_t c = 0; c < len; c++) {
                static const char some[] = "\xed\xb2\xb3\x80\xbf\xc3\xf0"
                                           "a";
                const size_t at = (size_t)vs_rng_below(&rng, sizeof some - 1);
                const uint8_t any = (uint8_t)(1 + vs_rng_below(&rng, 255));
                memcpy(text + c, vs_rng_below(&rng, 3) == 0 ? (const void *)(some + at) : &any,
                       1);
            }
            char *kept = vs_str_copy(&f->keep, vs_str_of(text));
            const uint32_t name = vs_rng_below(&rng, 4) == 0
                                      ? vs_tape_new_name(tape, i % 2 == 0 ? "used" : kept)
                                      : vs_tape_string(tape, vs_str_of(text));
            vs_tape_event(tape, &(vs_event){.time_ns = i, .kind = VS_EV_MARK, .name = name});
        }
        const vs_timeline tl = sealed(tape);
        assert_comes_back(f, &tl, seed);
    }
}

static void a_tape_that_came_back_is_written_as_the_same_snapshot(void **state)
{
    fixture *f = *state;
    random_tape r = {0};
    vs_err err = {0};
    assert_true(random_tape_make(&r, &f->keep, 11, 900));
    const vs_timeline tl = sealed(r.tape);
    const vs_opened_trace opened = through_a_file(f, &tl);
    const char *first = scratch_path(f->s, "x.pickle");
    const char *second = scratch_path(f->s, "y.pickle");
    if (!vs_trace_write_snapshot(&opened.timeline, second, &f->work, &err)) {
        scratch_fail(&err);
    }
    FILE *a = fopen(first, "rb");
    FILE *b = fopen(second, "rb");
    assert_true(a != NULL && b != NULL);
    int byte = 0;
    while (byte != EOF) {
        byte = fgetc(a);
        assert_int_equal(byte, fgetc(b));
    }
    (void)fclose(a);
    (void)fclose(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_tapes_come_back_byte_for_byte),
        TEST(any_texts_come_back),
        TEST(a_tape_that_came_back_is_written_as_the_same_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
