/* tests/fault/fault_safetensors.c - hostile safetensors headers and indexes.
 *
 * Every truncation, every byte turned to every value of interest, every failing allocation: a header or one clean error. */
#include "sim/model/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const char json[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"a.\\u00e9\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[3,2],\"data_offsets\":[8,20]}}   ";
static const char index_json[] =
    "{\"metadata\":{\"total_size\":20},\"weight_map\":{\"a\":\"x-1.safetensors\","
    "\"b.\\n\":\"x-2.safetensors\",\"c\":\"x-1.safetensors\"}}";

#define JSON_BYTES (sizeof json - 1)
#define HEAD_BYTES (8 + JSON_BYTES)
#define FILE_BYTES (HEAD_BYTES + 20)

typedef struct {
    vs_arena arena;
    uint8_t file[FILE_BYTES];
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    if (b == NULL) {
        return 1;
    }
    b->file[0] = JSON_BYTES;
    memcpy(b->file + 8, json, JSON_BYTES);
    return vs_arena_open(&b->arena, 8 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static void check_error(const vs_err *err)
{
    char line[1024];
    assert_int_not_equal(err->code, VS_OK);
    assert_int_not_equal(err->code, VS_ERR_INTERNAL);
    assert_string_not_equal(err->text, "");
    assert_string_equal(err->input, "hostile");
    assert_null(strchr(vs_err_line(err, line, sizeof line), '\n'));
}

/* Bytes in a block of their exact size: the address sanitizer sees a read past the end. */
static bool try_header(bench *b, const uint8_t *bytes, size_t count, uint64_t file_bytes)
{
    uint8_t *const exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, count);
    vs_st_header header = {.tensor_count = 99};
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    const bool is_read =
        vs_safetensors_parse(&header, &b->arena, exact, count, file_bytes, "hostile", &err);
    free(exact);
    if (!is_read) {
        assert_int_equal(header.tensor_count, 99);
        check_error(&err);
    }
    return is_read;
}

static bool try_index(bench *b, const char *bytes, size_t count)
{
    char *const exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, count);
    vs_st_index index = {0};
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    const bool is_read = vs_st_index_parse(&index, &b->arena, exact, count, "hostile", &err);
    free(exact);
    if (!is_read) {
        check_error(&err);
    }
    return is_read;
}

static void every_truncation_is_an_error(void **state)
{
    bench *b = *state;
    for (size_t count = 0; count < FILE_BYTES; count++) {
        assert_false(try_header(b, b->file, count, count));
    }
    for (size_t count = 0; count < HEAD_BYTES; count++) {
        assert_false(
            try_header(b, b->file, count, FILE_BYTES)); /* a mapping that is too short */
    }
    assert_true(try_header(b, b->file, FILE_BYTES, FILE_BYTES));
    assert_true(try_header(b, b->file, HEAD_BYTES, FILE_BYTES));
}

static void every_byte_changed_is_survived(void **state)
{
    bench *b = *state;
    size_t outcomes[2] = {0};
    for (size_t at = 0; at < HEAD_BYTES; at++) {
        const uint8_t kept = b->file[at];
        for (unsigned value = 0; value < 256; value++) {
            b->file[at] = (uint8_t)value;
            outcomes[try_header(b, b->file, FILE_BYTES, FILE_BYTES)]++;
        }
        b->file[at] = kept;
    }
    assert_true(outcomes[true] > 0 && outcomes[false] > outcomes[true]);
}

static void every_failing_allocation_is_reported(void **state)
{
    bench *b = *state;
    vs_st_header header = {0};
    for (uint64_t n = 1; n < 100; n++) {
        vs_err err = {0};
        vs_arena_reset(&b->arena);
        b->arena.fail_at = n;
        if (vs_safetensors_parse(&header, &b->arena, b->file, HEAD_BYTES, FILE_BYTES, "hostile",
                                 &err)) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(err.code, VS_ERR_MEMORY);
    }
    fail();
}

static void every_truncated_index_is_an_error(void **state)
{
    bench *b = *state;
    for (size_t count = 0; count < sizeof index_json - 1; count++) {
        assert_false(try_index(b, index_json, count));
    }
    assert_true(try_index(b, index_json, sizeof index_json - 1));
}

static void every_byte_of_an_index_changed_is_survived(void **state)
{
    bench *b = *state;
    char broken[sizeof index_json];
    size_t outcomes[2] = {0};
    memcpy(broken, index_json, sizeof broken);
    for (size_t at = 0; at < sizeof index_json - 1; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(broken + at, &(uint8_t){(uint8_t)value}, 1);
            outcomes[try_index(b, broken, sizeof broken - 1)]++;
        }
        broken[at] = index_json[at];
    }
    assert_true(outcomes[true] > 0 && outcomes[false] > outcomes[true]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_truncation_is_an_error),
        T(every_byte_changed_is_survived),
        T(every_failing_allocation_is_reported),
        T(every_truncated_index_is_an_error),
        T(every_byte_of_an_index_changed_is_survived),
    };
    return cmocka_run_group_tests_name("safetensors faults", tests, NULL, NULL);
}
