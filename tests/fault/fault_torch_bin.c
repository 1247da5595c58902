/* tests/fault/fault_torch_bin.c - hostile files of torch.save, both formats.
 *
 * Every truncation, every byte changed, every failing allocation: a table or one clean error. */
#include "sim/model/torch_bin.h"
#include "tests/support/torchfile.h"

#include <setjmp.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_arena scratch;
    bytes files[2]; /* zip, legacy */
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    zipped z = {0};
    *state = b;
    if (b == NULL) {
        return 1;
    }
    torch_zip(&z);
    torch_legacy(&b->files[1]);
    b->files[0] = z.file;
    free_bytes(&z.directory);
    return vs_arena_open(&b->arena, 8 * VS_MIB, NULL) &&
                   vs_arena_open(&b->scratch, 64 * VS_MIB, NULL)
               ? 0
               : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    free_bytes(&b->files[0]);
    free_bytes(&b->files[1]);
    vs_arena_close(&b->arena);
    vs_arena_close(&b->scratch);
    free(b);
    return 0;
}

static void check_header(const vs_torch_header *h, size_t file_bytes)
{
    for (uint32_t i = 0; i < h->tensor_count; i++) {
        const vs_tensor *const t = &h->tensors[i];
        assert_true(h->views[i].storage < h->storage_count);
        assert_true(t->name[0] != '\0' && t->dtype < VS_DT_COUNT);
        /* strides are small here, so what is not shared lies in the file */
        assert_true(t->elements == 0 || t->file_offset < file_bytes);
    }
    for (uint32_t i = 0; i < h->storage_count; i++) {
        const vs_torch_storage *const s = &h->storages[i];
        assert_true(s->size_bytes == 0 || (s->file_offset <= file_bytes &&
                                           s->size_bytes <= file_bytes - s->file_offset));
    }
}

/* Bytes in a block of their exact size: the address sanitizer sees a read past the end. */
static bool try_file(bench *b, const uint8_t *at, size_t count)
{
    vs_torch_header header = {.tensor_count = 99};
    vs_model model = {0};
    vs_err err = {0};
    uint8_t *const exact = malloc(count + 1);
    assert_non_null(exact);
    memcpy(exact, at, count);
    vs_arena_reset(&b->arena);
    vs_arena_reset(&b->scratch);
    const vs_byte_source source = vs_byte_source_of(exact, count);
    const vs_torch_reading r = {&b->arena, &b->scratch, &model, "hostile", &err};
    const bool is_read = vs_torch_bin_parse(&header, &source, &r);
    free(exact);
    if (is_read) {
        check_header(&header, count);
        return true;
    }
    char line[1024];
    assert_int_equal(header.tensor_count, 99);
    assert_int_not_equal(err.code, VS_OK);
    assert_int_not_equal(err.code, VS_ERR_INTERNAL);
    assert_int_not_equal(err.code, VS_ERR_MEMORY);
    assert_string_not_equal(err.text, "");
    assert_string_equal(err.input, "hostile");
    assert_null(strchr(vs_err_line(&err, line, sizeof line), '\n'));
    return false;
}

static void every_truncation_is_an_error(void **state)
{
    bench *b = *state;
    for (size_t f = 0; f < 2; f++) {
        const bytes *const file = &b->files[f];
        assert_true(try_file(b, file->at, file->count));
        for (size_t count = 0; count < file->count; count++) {
            assert_false(try_file(b, file->at, count));
        }
    }
}

static void every_byte_changed_is_survived(void **state)
{
    bench *b = *state;
    for (size_t f = 0; f < 2; f++) {
        const bytes *const file = &b->files[f];
        size_t outcomes[2] = {0};
        for (size_t at = 0; at < file->count; at++) {
            const uint8_t kept = file->at[at];
            const uint8_t values[] = {0,
                                      0xff,
                                      (uint8_t)(kept ^ 1u),
                                      (uint8_t)(kept ^ 0x80u),
                                      (uint8_t)(kept + 1u),
                                      (uint8_t)(kept - 1u)};
            for (size_t v = 0; v < sizeof values; v++) {
                file->at[at] = values[v];
                outcomes[try_file(b, file->at, file->count)]++;
            }
            file->at[at] = kept;
        }
        assert_true(outcomes[true] > 0 && outcomes[false] > file->count / 2);
    }
}

static void every_failing_allocation_is_reported(void **state)
{
    bench *b = *state;
    for (size_t f = 0; f < 4; f++) {
        const bytes *const file = &b->files[f / 2];
        vs_arena *const failing = f % 2 == 0 ? &b->arena : &b->scratch;
        const vs_byte_source source = vs_byte_source_of(file->at, file->count);
        for (uint64_t n = 1;; n++) {
            vs_torch_header header = {0};
            vs_model model = {0};
            vs_err err = {0};
            assert_true(n < 200);
            vs_arena_reset(&b->arena);
            vs_arena_reset(&b->scratch);
            const vs_torch_reading r = {&b->arena, &b->scratch, &model, "hostile", &err};
            failing->fail_at = n;
            const bool is_read = vs_torch_bin_parse(&header, &source, &r);
            failing->fail_at = 0;
            if (is_read) {
                assert_true(n > 4);
                break;
            }
            assert_int_equal(err.code, VS_ERR_MEMORY);
        }
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_truncation_is_an_error),
        T(every_byte_changed_is_survived),
        T(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("torch bin faults", tests, NULL, NULL);
}
