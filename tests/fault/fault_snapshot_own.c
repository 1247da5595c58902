/* The tape in a snapshot of ours, damaged: any byte of its record changed, an arena that ends anywhere while it is written or
 * read. Always an error, or the snapshot without the tape and a note, or a tape that a full check finds sound. */
#include "traces/read/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define STEPS 24u

typedef struct {
    scratch *s;
    vs_arena keep;
    vs_arena work;
    vs_timeline tl;
    const char *path;
    uint8_t *bytes;
    size_t count;
    size_t own; /* where the record begins */
} fixture;

static bool read_file(fixture *f)
{
    FILE *in = fopen(f->path, "rb");
    f->bytes = malloc(VS_MIB);
    if (in == NULL || f->bytes == NULL) {
        return false;
    }
    f->count = fread(f->bytes, 1, VS_MIB, in);
    (void)fclose(in);
    static const char key[] = "vramscope";
    while (f->own + sizeof key < f->count &&
           memcmp(f->bytes + f->own, key, sizeof key - 1) != 0) {
        f->own++;
    }
    f->own += sizeof key - 1; /* the key itself may be any other, which is skipped */
    return f->own < f->count;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    void *inner = NULL;
    random_tape r = {0};
    vs_err err = {0};
    if (f == NULL) {
        return 1;
    }
    *state = f;
    const int status = scratch_open(&inner);
    f->s = inner;
    if (status != 0 || !vs_arena_open(&f->keep, 32 * VS_MIB, &err) ||
        !vs_arena_open(&f->work, 128 * VS_MIB, &err) ||
        !random_tape_make(&r, &f->s->arena, 21, STEPS) || !vs_tape_seal(r.tape, &f->tl, &err)) {
        return 1;
    }
    f->path = scratch_path(f->s, "x.pickle");
    return vs_trace_write_snapshot(&f->tl, f->path, &f->work, &err) && read_file(f) ? 0 : 1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    void *inner = f->s;
    (void)scratch_close(&inner);
    vs_arena_close(&f->keep);
    vs_arena_close(&f->work);
    free(f->bytes);
    free(f);
    return 0;
}

/* True: it was read, with or without its tape. */
static bool try_reading(fixture *f, vs_recording *rec, vs_err *err)
{
    vs_input in = {0};
    const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->work};
    *rec = (vs_recording){0};
    *err = (vs_err){0};
    const bool is_read = input_of_bytes(&in, f->bytes, f->count, &f->work, err) &&
                         read_snapshot(rec, &in, &desc, err);
    input_close(&in);
    assert_true(is_read == (err->code == VS_OK));
    return is_read;
}

static void assert_sound(const vs_recording *rec, size_t at)
{
    vs_err err = {0};
    if (rec->own == NULL && rec->note_count == 0) {
        fail_msg("byte %zu: the tape is gone and nothing says why", at);
    }
    if (rec->own != NULL && !vs_timeline_check(rec->own, &err)) {
        fail_msg("byte %zu: %s", at, err.text);
    }
}

static void any_changed_byte_is_refused_noted_or_sound(void **state)
{
    fixture *f = *state;
    static const uint8_t changes[] = {0xff, 0x01, 0x10, 0x80, 'N' ^ 'K', ']' ^ '}'};
    uint32_t read = 0;
    uint32_t used = 0;
    for (size_t i = f->own; i < f->count; i++) {
        for (size_t c = 0; c < sizeof changes; c++) {
            vs_recording rec = {0};
            vs_err err = {0};
            vs_arena_reset(&f->keep);
            vs_arena_reset(&f->work);
            f->bytes[i] ^= changes[c];
            if (try_reading(f, &rec, &err)) {
                assert_sound(&rec, i);
                read++;
                used += rec.own != NULL;
            }
            f->bytes[i] ^= changes[c];
        }
    }
    print_message("%zu bytes of %zu: %u of %zu variants read, %u with a tape\n",
                  f->count - f->own, f->count, read, sizeof changes * (f->count - f->own),
                  used);
    assert_true(used > 0 && used < read);
}

static void an_arena_that_ends_anywhere_is_told(void **state)
{
    fixture *f = *state;
    vs_recording rec = {0};
    vs_err err = {0};
    vs_arena_reset(&f->keep);
    vs_arena_reset(&f->work);
    assert_true(try_reading(f, &rec, &err) && rec.own != NULL);
    const uint64_t keeps = f->keep.alloc_count;
    const uint64_t works = f->work.alloc_count;
    for (uint64_t n = 1; n <= keeps + works; n++) {
        vs_arena_reset(&f->keep);
        vs_arena_reset(&f->work);
        f->keep.fail_at = n <= keeps ? n : 0;
        f->work.fail_at = n > keeps ? n - keeps : 0;
        if (try_reading(f, &rec, &err)) {
            fail_msg("allocation %" PRIu64 " failed and nobody noticed", n);
        }
        assert_int_equal(err.code, VS_ERR_MEMORY);
    }
    f->keep.fail_at = 0;
    f->work.fail_at = 0;
}

static void writing_without_memory_leaves_no_file(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    const char *path = scratch_path(f->s, "y.pickle");
    vs_arena_reset(&f->work);
    assert_true(vs_trace_write_snapshot(&f->tl, path, &f->work, &err));
    assert_int_equal(unlink(path), 0);
    const uint64_t count = f->work.alloc_count;
    for (uint64_t n = 1; n <= count; n++) {
        err = (vs_err){0};
        vs_arena_reset(&f->work);
        f->work.fail_at = n;
        assert_false(vs_trace_write_snapshot(&f->tl, path, &f->work, &err));
        assert_int_equal(err.code, VS_ERR_MEMORY);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    f->work.fail_at = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_changed_byte_is_refused_noted_or_sound),
        TEST(an_arena_that_ends_anywhere_is_told),
        TEST(writing_without_memory_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
