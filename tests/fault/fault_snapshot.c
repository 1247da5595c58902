/* Faults of memory snapshots: every cut, every flipped bit, every refused allocation, of a small file with all that a
 * snapshot can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/pickled.h"
#include "traces/read/read.h"

#define ARENA_BYTES ((size_t)64 << 20)

typedef struct {
    vs_arena keep;
    vs_arena scratch;
    pickled p;
} fixture;

static void put_entries(pickled *p)
{
    for (unsigned i = 0; i < 3; i++) {
        pk_begin_entry(p, i == 1 ? "free_requested" : "alloc", 0x7f0000000000 + i, 512);
        pk_key_int(p, "time_us", UINT64_C(1700000000000000) + i);
        pk_key_text(p, "user_metadata", "step");
        pk_text(p, "frames");
        if (i == 2) {
            pk_raw(p, "h\x01", 2);
        } else {
            pk_ops(p, "]");
            pk_arg(p, 'q', i, 1);
            pk_ops(p, "(");
            pk_frame(p, "a.py", "f", 3 + i);
            pk_frame(p, "b.py", "g", 5);
            pk_ops(p, "e");
        }
        pk_text(p, "pool_id");
        pk_raw(p, "K\0K\1\x86u", 6);
    }
    pk_ops(p, "}(");
    pk_key_text(p, "action", "oom");
    pk_key_int(p, "device_free", 77);
    pk_key_int(p, "size", 1024);
    pk_ops(p, "u");
}

static void put_segments(pickled *p)
{
    pk_begin_segment(p, 0, 4096, 1024);
    pk_begin_block(p, 512, "active_allocated");
    pk_key_int(p, "address", 4096);
    pk_ops(p, "u");
    pk_begin_block(p, 512, "inactive");
    pk_text(p, "history");
    pk_ops(p, "]}(");
    pk_key_int(p, "real_size", 100);
    pk_ops(p, "uaue");
    pk_key_text(p, "segment_type", "large");
    pk_ops(p, "u");
}

static void put_snapshot(pickled *p)
{
    pk_begin_trace(p);
    put_entries(p);
    pk_ops(p, "ee");
    pk_text(p, "segments");
    pk_ops(p, "](");
    put_segments(p);
    pk_ops(p, "e");
    pk_text(p, "allocator_settings");
    pk_ops(p, "}(");
    pk_key_text(p, "PYTORCH_CUDA_ALLOC_CONF", "");
    pk_text(p, "garbage_collection_threshold");
    pk_raw(p, "G\x3f\xe8\0\0\0\0\0\0", 9);
    pk_ops(p, "u");
    pk_text(p, "external_annotations");
    pk_ops(p, "]}(");
    pk_key_text(p, "name", "step");
    pk_key_int(p, "device", 0);
    pk_key_int(p, "time_us", UINT64_C(1700000000000000));
    pk_ops(p, "ua");
    pk_text(p, "other");
    pk_ops(p, "](N]}(NNue(NNtNu.");
}

static int begin(void **state)
{
    fixture *const f = calloc(1, sizeof *f);
    vs_err err = {0};
    assert_non_null(f);
    assert_true(vs_arena_open(&f->keep, ARENA_BYTES, &err));
    assert_true(vs_arena_open(&f->scratch, ARENA_BYTES, &err));
    put_snapshot(&f->p);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *const f = *state;
    vs_arena_close(&f->keep);
    vs_arena_close(&f->scratch);
    free(f);
    return 0;
}

static bool read_bytes(fixture *f, const uint8_t *bytes, size_t count, vs_recording *out,
                       vs_err *err)
{
    vs_input in = {0};
    const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->scratch};
    *err = (vs_err){0};
    if (!input_of_bytes(&in, bytes, count, &f->scratch, err)) {
        return false;
    }
    const bool is_read = read_snapshot(out, &in, &desc, err);
    input_close(&in);
    return is_read;
}

static void reset(fixture *f)
{
    vs_arena_reset(&f->keep);
    vs_arena_reset(&f->scratch);
}

/* Events and segments. */
static uint32_t count_rows(const vs_recording *rec)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rec->device_count; i++) {
        count += rec->devices[i].event_count + rec->devices[i].segment_count;
    }
    return count;
}

static void the_whole_file_is_read(void **state)
{
    fixture *const f = *state;
    vs_err err = {0};
    vs_recording rec = {0};
    assert_true(read_bytes(f, f->p.bytes, f->p.used, &rec, &err));
    assert_int_equal(count_rows(&rec), 4 + 1);
    assert_int_equal(rec.annotation_count, 1);
    assert_int_equal(rec.note_count, 1); /* the last entry has no time */
}

/* The bytes are copied to where they end, so that a sanitizer sees a read behind them. */
static void every_cut_is_an_error(void **state)
{
    fixture *const f = *state;
    for (size_t cut = 1; cut < f->p.used; cut++) {
        vs_err err = {0};
        vs_recording rec = {0};
        uint8_t *const bytes = malloc(cut);
        assert_non_null(bytes);
        memcpy(bytes, f->p.bytes, cut);
        reset(f);
        assert_false(read_bytes(f, bytes, cut, &rec, &err));
        assert_int_equal(err.code, VS_ERR_FORMAT);
        assert_non_null(strstr(err.text, "nothing of it can be used") != NULL
                            ? err.text
                            : strstr(err.text, "is the copy complete?"));
        free(bytes);
    }
}

static void every_flipped_bit_is_read_or_refused(void **state)
{
    fixture *const f = *state;
    size_t read_count = 0;
    for (size_t bit = 0; bit < 8 * f->p.used; bit++) {
        vs_err err = {0};
        vs_recording rec = {0};
        reset(f);
        f->p.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        const bool is_read = read_bytes(f, f->p.bytes, f->p.used, &rec, &err);
        f->p.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        read_count += is_read;
        assert_true(is_read == (err.code == VS_OK));
        assert_true(err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        assert_true(is_read || err.text[0] != '\0');
    }
    assert_true(read_count > 0 && read_count < 8 * f->p.used);
}

static void every_allocation_may_fail(void **state)
{
    fixture *const f = *state;
    vs_arena *const arenas[] = {&f->keep, &f->scratch};
    for (size_t a = 0; a < 2; a++) {
        bool is_read = false;
        uint64_t n = 0;
        while (!is_read) {
            vs_err err = {0};
            vs_recording rec = {0};
            reset(f);
            arenas[a]->fail_at = ++n;
            is_read = read_bytes(f, f->p.bytes, f->p.used, &rec, &err);
            assert_true(is_read || err.code == VS_ERR_MEMORY);
            assert_true(n < 1000);
        }
        arenas[a]->fail_at = 0;
        assert_true(n > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_whole_file_is_read, begin, end),
        cmocka_unit_test_setup_teardown(every_cut_is_an_error, begin, end),
        cmocka_unit_test_setup_teardown(every_flipped_bit_is_read_or_refused, begin, end),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
