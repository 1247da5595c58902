/* Tests of traces/read/input.c: the window over a file, gzip'ed or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "traces/read/read.h"

#define ARENA_BYTES ((size_t)256 << 20)

typedef struct {
    vs_arena arena;
    vs_err err;
    char path[64];
} fixture;

static int begin(void **state)
{
    fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_true(vs_arena_open(&f->arena, ARENA_BYTES, &f->err));
    (void)snprintf(f->path, sizeof f->path, "/tmp/test_input_XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *const f = *state;
    vs_arena_close(&f->arena);
    (void)unlink(f->path);
    free(f);
    return 0;
}

static void write_file(const fixture *f, const void *bytes, size_t size)
{
    FILE *const file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* The byte at a place of the stream used throughout. */
static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)((i * UINT64_C(2654435761)) >> 13);
}

static uint8_t *make_bytes(size_t count, uint64_t first)
{
    uint8_t *const bytes = malloc(count + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = byte_at(first + i);
    }
    return bytes;
}

/* One gzip member behind what is in out. */
static size_t add_member_at(int level, uint8_t *out, size_t room, const uint8_t *bytes,
                            size_t count)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uint8_t *const copy = malloc(count + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, count);
    z.next_in = copy;
    z.avail_in = (unsigned)count;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t used = room - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    free(copy);
    return used;
}

static size_t add_member(uint8_t *out, size_t room, const uint8_t *bytes, size_t count)
{
    return add_member_at(1, out, room, bytes, count);
}

static void check_bytes(const uint8_t *bytes, uint64_t count, uint64_t first)
{
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < count; i++) {
        wrong += bytes[i] != byte_at(first + i);
    }
    assert_int_equal(wrong, 0);
}

/* Reads to the end in pieces and compares; the number of bytes. */
static uint64_t walk(vs_input *in, vs_err *err)
{
    uint64_t at = 0;
    for (uint64_t want = 1; input_need(in, 1, err); want = want * 7 % 70001) {
        assert_int_equal(input_offset(in), at);
        if (!input_need(in, want, err)) {
            want = (uint64_t)(in->end - in->at);
        }
        check_bytes(in->at, want, at);
        in->at += want;
        at += want;
    }
    assert_int_equal(err->code, VS_OK);
    return at;
}

static void plain_file_is_read_whole(void **state)
{
    fixture *const f = *state;
    const size_t sizes[] = {0, 1, 2, 262143, 262144, 262145, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *const bytes = make_bytes(sizes[i], 0);
        vs_input in = {0};
        write_file(f, bytes, sizes[i]);
        assert_true(input_open(&in, f->path, &f->arena, &f->err));
        assert_false(in.is_gzip);
        assert_int_equal(in.packed_total, sizes[i]);
        assert_int_equal(walk(&in, &f->err), sizes[i]);
        assert_true(in.is_at_end);
        assert_false(in.was_cut);
        assert_int_equal(in.packed_read, sizes[i]);
        input_close(&in);
        free(bytes);
        vs_arena_reset(&f->arena);
    }
}

static void gzip_members_follow_each_other(void **state)
{
    fixture *const f = *state;
    const size_t room = (size_t)8 << 20;
    uint8_t *const packed = malloc(room);
    uint8_t *const bytes = make_bytes(3000000, 0);
    assert_non_null(packed);
    size_t used = add_member(packed, room, bytes, 1000000);
    used += add_member(packed + used, room - used, bytes + 1000000, 0);
    used += add_member(packed + used, room - used, bytes + 1000000, 2000000);
    memset(packed + used, 0x55, 8);
    write_file(f, packed, used + 8);
    for (int from_file = 0; from_file < 2; from_file++) {
        vs_input in = {0};
        assert_true(from_file ? input_open(&in, f->path, &f->arena, &f->err)
                              : input_of_bytes(&in, packed, used + 8, &f->arena, &f->err));
        assert_true(in.is_gzip);
        assert_int_equal(walk(&in, &f->err), 3000000);
        assert_false(in.was_cut);
        input_close(&in);
        vs_arena_reset(&f->arena);
    }
    free(bytes);
    free(packed);
}

/* Every place where a member's two first bytes can lie on the border of what is read at once. */
static void second_member_is_found_across_a_buffer(void **state)
{
    fixture *const f = *state;
    const size_t room = (size_t)1 << 20;
    uint8_t *const packed = malloc(room);
    uint8_t *const bytes = make_bytes(600000, 0);
    assert_non_null(packed);
    bool was_on_border = false;
    for (size_t first = 262000; first < 262200; first++) {
        size_t used = add_member_at(0, packed, room, bytes, first);
        if (used < 262142 || used > 262146) {
            continue;
        }
        was_on_border = was_on_border || used == 262143;
        used += add_member(packed + used, room - used, bytes + first, 5000);
        vs_input in = {0};
        write_file(f, packed, used);
        assert_true(input_open(&in, f->path, &f->arena, &f->err));
        assert_int_equal(walk(&in, &f->err), first + 5000);
        input_close(&in);
        vs_arena_reset(&f->arena);
    }
    assert_true(was_on_border);
    free(bytes);
    free(packed);
}

static void cut_gzip_gives_what_came_before(void **state)
{
    fixture *const f = *state;
    const size_t room = (size_t)1 << 20;
    uint8_t *const packed = malloc(room);
    uint8_t *const bytes = make_bytes(5000, 0);
    assert_non_null(packed);
    const size_t used = add_member(packed, room, bytes, 5000);
    uint64_t before = 0;
    for (size_t cut = 18; cut < used; cut++) {
        vs_input in = {0};
        assert_true(input_of_bytes(&in, packed, cut, &f->arena, &f->err));
        const uint64_t got = walk(&in, &f->err);
        assert_true(in.was_cut);
        assert_true(got >= before && got <= 5000);
        before = got;
        input_close(&in);
        vs_arena_reset(&f->arena);
    }
    assert_int_equal(before, 5000);
    free(bytes);
    free(packed);
}

static void damaged_gzip_is_cut_where_it_breaks(void **state)
{
    fixture *const f = *state;
    uint8_t packed[4096];
    uint8_t *const bytes = make_bytes(1000, 0);
    const size_t used = add_member(packed, sizeof packed, bytes, 1000);
    packed[used - 6] ^= 1; /* the checksum */
    vs_input in = {0};
    assert_true(input_of_bytes(&in, packed, used, &f->arena, &f->err));
    assert_int_equal(walk(&in, &f->err), 1000);
    assert_true(in.was_cut);
    input_close(&in);
    free(bytes);
}

static void item_beyond_the_window_is_a_limit(void **state)
{
    fixture *const f = *state;
    const size_t count = (size_t)3 << 20;
    uint8_t *const bytes = make_bytes(count, 0);
    vs_input in = {0};
    write_file(f, bytes, count);
    assert_true(input_open(&in, f->path, &f->arena, &f->err));
    assert_true(input_need(&in, count, &f->err));
    assert_false(input_need(&in, count + 1, &f->err));
    assert_int_equal(f->err.code, VS_OK);
    input_close(&in);
    assert_true(input_open(&in, f->path, &f->arena, &f->err));
    assert_false(input_need(&in, INPUT_MAX_WINDOW_BYTES + 1, &f->err));
    assert_int_equal(f->err.code, VS_ERR_LIMIT);
    input_close(&in);
    free(bytes);
}

static void what_is_no_file_is_refused(void **state)
{
    fixture *const f = *state;
    vs_input in = {0};
    assert_false(input_open(&in, "/tmp", &f->arena, &f->err));
    assert_int_equal(f->err.code, VS_ERR_IO);
    f->err = (vs_err){0};
    assert_false(input_open(&in, "/tmp/no/such/file", &f->arena, &f->err));
    assert_int_equal(f->err.code, VS_ERR_IO);
}

static void exhausted_arena_is_an_error(void **state)
{
    fixture *const f = *state;
    uint8_t packed[65536];
    uint8_t *const bytes = make_bytes(40000, 0);
    const size_t used = add_member(packed, sizeof packed, bytes, 40000);
    write_file(f, packed, used);
    bool is_read = false;
    for (uint64_t n = 1; n < 40 && !is_read; n++) {
        vs_input in = {0};
        vs_err err = {0};
        vs_arena_reset(&f->arena);
        f->arena.fail_at = n;
        if (input_open(&in, f->path, &f->arena, &err)) {
            is_read = input_need(&in, 40000, &err);
            input_close(&in);
        }
        assert_true(is_read || err.code == VS_ERR_MEMORY);
    }
    assert_true(is_read);
    f->arena.fail_at = 0;
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_file_is_read_whole, begin, end),
        cmocka_unit_test_setup_teardown(gzip_members_follow_each_other, begin, end),
        cmocka_unit_test_setup_teardown(second_member_is_found_across_a_buffer, begin, end),
        cmocka_unit_test_setup_teardown(cut_gzip_gives_what_came_before, begin, end),
        cmocka_unit_test_setup_teardown(damaged_gzip_is_cut_where_it_breaks, begin, end),
        cmocka_unit_test_setup_teardown(item_beyond_the_window_is_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(exhausted_arena_is_an_error, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
