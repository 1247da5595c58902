/* tests/unit/test_gguf.c - the head of a GGUF file. */
#include "sim/model/gguf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/gguf_bytes.h"
#include "tests/scratch.h"

typedef struct {
    scratch *s;
    gguf_bytes g;
    vs_gguf gguf;
    vs_err err;
} fixture;

static int open_fixture(void **state)
{
    void *s = NULL;
    if (scratch_open(&s) != 0) {
        return 1;
    }
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->s = s;
    *state = f;
    gguf_start(&f->g, 3);
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    void *s = f->s;
    const int status = scratch_close(&s);
    free(f);
    return status;
}

/* The head only; the file would be that long. */
static bool parse(fixture *f, uint64_t file_bytes)
{
    f->err = (vs_err){0};
    return vs_gguf_parse(&f->gguf, &f->s->arena, f->g.bytes, f->g.count, file_bytes,
                         "model.gguf", &f->err);
}

static void assert_parses(fixture *f)
{
    const uint64_t file_bytes = gguf_end(&f->g);
    if (!parse(f, file_bytes)) {
        scratch_fail(&f->err);
    }
}

/* The head is the whole file. */
static void assert_refused(fixture *f, const char *says)
{
    assert_false(parse(f, f->g.count));
    assert_string_equal(f->err.input, "model.gguf");
    assert_true(f->err.has_offset);
    assert_error_says(&f->err, says);
}

/* ---- what is read ----------------------------------------------------------------------------- */

static void an_empty_file_of_version_2_or_3_is_read(void **state)
{
    fixture *f = *state;
    for (uint32_t version = 2; version <= 3; version++) {
        gguf_start(&f->g, version);
        assert_parses(f);
        assert_int_equal(f->gguf.version, version);
        assert_int_equal(f->gguf.tensor_count, 0);
        assert_int_equal(f->gguf.entry_count, 0);
        assert_int_equal(f->gguf.alignment, 32);
    }
}

static void numbers_of_every_type_are_read(void **state)
{
    fixture *f = *state;

    static const struct {
        const char *key;
        vs_gguf_type type;
        uint64_t bits;
        unsigned bytes;
        uint64_t value;
    } numbers[] = {
        {"u8", VS_GGUF_U8, 255, 1, 255},
        {"i8", VS_GGUF_I8, 127, 1, 127},
        {"u16", VS_GGUF_U16, 65535, 2, 65535},
        {"i16", VS_GGUF_I16, 32767, 2, 32767},
        {"u32", VS_GGUF_U32, UINT32_MAX, 4, UINT32_MAX},
        {"i32", VS_GGUF_I32, INT32_MAX, 4, INT32_MAX},
        {"bool", VS_GGUF_BOOL, 1, 1, 1},
        {"u64", VS_GGUF_U64, UINT64_C(1) << 53, 8, UINT64_C(1) << 53},
        {"i64", VS_GGUF_I64, 12, 8, 12},
    };

    const size_t count = sizeof numbers / sizeof numbers[0];
    for (size_t i = 0; i < count; i++) {
        gguf_key(&f->g, numbers[i].key, numbers[i].type);
        gguf_put_le(&f->g, numbers[i].bits, numbers[i].bytes);
    }
    assert_parses(f);
    assert_int_equal(f->gguf.entry_count, count);
    for (size_t i = 0; i < count; i++) {
        const vs_gguf_entry *const entry = vs_gguf_find(&f->gguf, numbers[i].key);
        uint64_t value = 0;
        assert_non_null(entry);
        assert_true(vs_gguf_u64(&f->gguf, entry, 0, &value));
        assert_int_equal(value, numbers[i].value);
        assert_false(vs_gguf_u64(&f->gguf, entry, 1, &value));
    }
}

static void negative_and_too_large_numbers_are_no_counts(void **state)
{
    fixture *f = *state;
    uint64_t value = 7;
    gguf_key(&f->g, "i8", VS_GGUF_I8);
    gguf_put_le(&f->g, 0xff, 1);
    gguf_key(&f->g, "i64", VS_GGUF_I64);
    gguf_put_le(&f->g, UINT64_MAX, 8);
    gguf_key(&f->g, "u64", VS_GGUF_U64);
    gguf_put_le(&f->g, (UINT64_C(1) << 53) + 1, 8);
    gguf_f32(&f->g, "f32", 3.0F);
    gguf_text(&f->g, "text", "3");
    assert_parses(f);
    for (uint32_t i = 0; i < f->gguf.entry_count; i++) {
        assert_false(vs_gguf_u64(&f->gguf, &f->gguf.entries[i], 0, &value));
    }
    assert_int_equal(value, 7);
}

static void floats_are_read_when_they_are_finite(void **state)
{
    fixture *f = *state;
    double value = 0.0;
    gguf_f32(&f->g, "base", 10000.0F);
    gguf_f32(&f->g, "nan", NAN);
    gguf_key(&f->g, "wide", VS_GGUF_F64);
    gguf_put_le(&f->g, UINT64_C(0x3FE0000000000000), 8); /* 0.5 */
    gguf_u32(&f->g, "whole", 1);
    assert_parses(f);
    assert_true(vs_gguf_double(&f->gguf, vs_gguf_find(&f->gguf, "base"), &value));
    assert_true(value == 10000.0);
    assert_true(vs_gguf_double(&f->gguf, vs_gguf_find(&f->gguf, "wide"), &value));
    assert_true(value == 0.5);
    assert_false(vs_gguf_double(&f->gguf, vs_gguf_find(&f->gguf, "nan"), &value));
    assert_false(vs_gguf_double(&f->gguf, vs_gguf_find(&f->gguf, "whole"), &value));
}

static void strings_and_arrays_are_remembered_by_their_place(void **state)
{
    fixture *f = *state;
    vs_str text = {NULL, 0};
    uint64_t value = 0;
    gguf_text(&f->g, "general.architecture", "llama");
    gguf_tokens(&f->g, 300);
    gguf_key(&f->g, "heads", VS_GGUF_ARRAY);
    gguf_put_le(&f->g, VS_GGUF_U16, 4);
    gguf_put_le(&f->g, 2, 8);
    gguf_put_le(&f->g, 8, 2);
    gguf_put_le(&f->g, 9, 2);
    assert_parses(f);
    const vs_gguf_entry *const tokens = vs_gguf_find(&f->gguf, "tokenizer.ggml.tokens");
    assert_int_equal(tokens->item_type, VS_GGUF_STRING);
    assert_int_equal(tokens->count, 300);
    assert_false(vs_gguf_u64(&f->gguf, tokens, 0, &value));
    assert_false(vs_gguf_str(&f->gguf, tokens, &text));
    assert_true(vs_gguf_str(&f->gguf, vs_gguf_find(&f->gguf, "general.architecture"), &text));
    assert_true(vs_str_is(text, "llama"));
    assert_true(vs_gguf_u64(&f->gguf, vs_gguf_find(&f->gguf, "heads"), 1, &value));
    assert_int_equal(value, 9);
    assert_null(vs_gguf_find(&f->gguf, "general"));
}

/* count arrays of arrays, each one item, the innermost with two bytes. */
static void put_nested(gguf_bytes *g, unsigned depth)
{
    gguf_key(g, "nested", VS_GGUF_ARRAY);
    for (unsigned i = 1; i < depth; i++) {
        gguf_put_le(g, VS_GGUF_ARRAY, 4);
        gguf_put_le(g, 1, 8);
    }
    gguf_put_le(g, VS_GGUF_U8, 4);
    gguf_put_le(g, 2, 8);
    gguf_put_le(g, 0, 2);
}

static void arrays_may_be_nested_but_not_without_end(void **state)
{
    fixture *f = *state;
    put_nested(&f->g, VS_GGUF_DEPTH_MAX);
    gguf_u32(&f->g, "after", 5);
    assert_parses(f);
    assert_non_null(vs_gguf_find(&f->gguf, "after"));
    gguf_start(&f->g, 3);
    put_nested(&f->g, VS_GGUF_DEPTH_MAX + 1);
    assert_refused(f, "arrays are nested deeper than 8");
}

static void tensors_of_every_type_have_their_size(void **state)
{
    fixture *f = *state;
    uint32_t count = 0;
    for (uint32_t type = 0; type <= 41; type++) {
        if (vs_dtype_find_ggml(type) != VS_DT_COUNT) {
            char name[16];
            (void)snprintf(name, sizeof name, "t%u", type);
            GGUF_TENSOR(&f->g, name, type, 512, 3);
            count++;
        }
    }
    assert_int_equal(count, 34);
    assert_parses(f);
    assert_int_equal(f->gguf.tensor_count, count);
    uint64_t next = f->gguf.data_start;
    for (uint32_t i = 0; i < count; i++) {
        const vs_tensor *const t = &f->gguf.tensors[i];
        vs_bytes bytes = 0;
        assert_true(vs_dtype_bytes(t->dtype, 1536, &bytes));
        assert_int_equal(t->size_bytes, bytes);
        assert_int_equal(t->elements, 1536);
        assert_int_equal(t->file_offset, next);
        next += (bytes + 31) / 32 * 32;
    }
}

static void shapes_are_turned_round(void **state)
{
    fixture *f = *state;
    GGUF_TENSOR(&f->g, "blk.0.ffn_down_exps.weight", 1, 14336, 4096, 8);
    assert_int_equal(f->g.data_bytes, UINT64_C(2) * 14336 * 4096 * 8);
    gguf_put_str(&f->g, "scalar");
    gguf_put_le(&f->g, 0, 4);
    gguf_put_le(&f->g, 0, 4);
    gguf_put_le(&f->g, f->g.data_bytes, 8);
    gguf_set_le(&f->g, 8, 2, 8);
    const uint64_t file_bytes = gguf_end(&f->g) + 4;
    assert_true(parse(f, file_bytes));
    const vs_tensor *const t = f->gguf.tensors;
    assert_int_equal(t[0].dim_count, 3);
    assert_int_equal(t[0].shape[0], 8);
    assert_int_equal(t[0].shape[1], 4096);
    assert_int_equal(t[0].shape[2], 14336);
    assert_int_equal(t[1].dim_count, 0);
    assert_int_equal(t[1].size_bytes, 4);
    assert_int_equal(f->gguf.data_bytes, t[0].size_bytes + 4);
}

static void the_alignment_is_that_of_the_file(void **state)
{
    fixture *f = *state;
    f->g.alignment = 4096;
    gguf_u32(&f->g, "general.alignment", 4096);
    GGUF_TENSOR(&f->g, "a", 0, 3);
    GGUF_TENSOR(&f->g, "b", 0, 3);
    assert_parses(f);
    assert_int_equal(f->gguf.data_start, 4096);
    assert_int_equal(f->gguf.tensors[1].file_offset, 8192);
}

static void gaps_and_any_order_are_accepted(void **state)
{
    fixture *f = *state;
    f->g.data_bytes = 6400;
    GGUF_TENSOR(&f->g, "second", 0, 8);
    f->g.data_bytes = 64;
    GGUF_TENSOR(&f->g, "first", 0, 8);
    f->g.data_bytes = 6432;
    assert_parses(f);
    assert_string_equal(f->gguf.tensors[0].name, "second");
}

static void a_head_that_is_mapped_in_part_is_enough(void **state)
{
    fixture *f = *state;
    GGUF_TENSOR(&f->g, "huge", 0, UINT64_C(1) << 40);
    const uint64_t file_bytes = gguf_end(&f->g);
    assert_true(parse(f, file_bytes));
    f->g.count = 40;
    assert_false(parse(f, file_bytes));
    assert_error_says(&f->err, "reaches beyond the first 40 bytes");
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void other_files_are_told_apart(void **state)
{
    fixture *f = *state;
    memcpy(f->g.bytes, "tjgg", 4);
    assert_refused(f, "model.gguf+0x0: a GGML file from before August 2023; convert");
    memcpy(f->g.bytes, "PK\003\004", 4);
    assert_refused(f,
                   "not a GGUF file: it has to begin with \"GGUF\", found bytes 50 4b 03 04");
    f->g.count = 0;
    assert_refused(f, "the magic of a GGUF file takes 4 bytes, the file has 0 more");
}

static void other_versions_say_what_to_do(void **state)
{
    fixture *f = *state;
    gguf_set_le(&f->g, 4, 1, 4);
    assert_refused(f, "model.gguf+0x4: GGUF version 1 (August 2023) is read no longer");
    gguf_set_le(&f->g, 4, 4, 4);
    assert_refused(f, "GGUF version 4 is not known; known are 2 and 3");
    gguf_set_le(&f->g, 4, 0, 4);
    assert_refused(f, "GGUF version 0 is not known");
    gguf_set_le(&f->g, 4, 3u << 24, 4);
    assert_refused(f, "a big-endian GGUF file (version 3); turn it round");
}

static void counts_beyond_the_file_are_refused(void **state)
{
    fixture *f = *state;
    gguf_set_le(&f->g, 8, UINT64_MAX, 8);
    assert_refused(f, "18446744073709551615 tensors, more than the 1048576 that are accepted");
    gguf_set_le(&f->g, 8, 1000, 8);
    assert_refused(f, "model.gguf+0x8: 1000 tensors do not fit into the 0 bytes");
    gguf_set_le(&f->g, 8, 0, 8);
    gguf_set_le(&f->g, 16, 65537, 8);
    assert_refused(f, "65537 metadata entries, more than the 65536");
    gguf_set_le(&f->g, 16, 2, 8);
    assert_refused(f, "2 metadata entries do not fit");
}

static void lengths_beyond_the_file_are_refused(void **state)
{
    fixture *f = *state;
    gguf_key(&f->g, "text", VS_GGUF_STRING);
    gguf_put_le(&f->g, UINT64_MAX, 8);
    assert_refused(f, "a string takes 18446744073709551615 bytes");
    gguf_start(&f->g, 3);
    gguf_key(&f->g, "numbers", VS_GGUF_ARRAY);
    gguf_put_le(&f->g, VS_GGUF_U64, 4);
    gguf_put_le(&f->g, UINT64_C(1) << 61, 8);
    assert_refused(f, "numbers: an array of 2305843009213693952 items, but the file");
    gguf_start(&f->g, 3);
    gguf_key(&f->g, "texts", VS_GGUF_ARRAY);
    gguf_put_le(&f->g, VS_GGUF_STRING, 4);
    gguf_put_le(&f->g, 1, 8);
    gguf_put_le(&f->g, 9, 8);
    assert_refused(f, "a string takes 9 bytes, the file has 0 more");
}

static void keys_and_names_are_plain_and_unique(void **state)
{
    fixture *f = *state;
    gguf_u32(&f->g, "twice", 1);
    gguf_u32(&f->g, "twice", 1);
    assert_refused(f, "the key \"twice\" stands twice");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "a", 0, 8);
    GGUF_TENSOR(&f->g, "a", 0, 8);
    assert_refused(f, "tensor \"a\" is listed twice");
    gguf_start(&f->g, 3);
    gguf_u32(&f->g, "", 1);
    gguf_put_le(&f->g, 0, 8);
    assert_refused(f, "a metadata key has 0 bytes, expected 1 to 65535");
    gguf_start(&f->g, 3);
    gguf_u32(&f->g, "ab", 1);
    f->g.bytes[33] = 0;
    assert_refused(f, "model.gguf+0x18: a metadata key holds a NUL byte");
}

static void unknown_types_are_refused_by_number(void **state)
{
    fixture *f = *state;
    gguf_key(&f->g, "strange", 13);
    gguf_put_le(&f->g, 0, 8);
    assert_refused(f, "strange: unknown value type 13, known are 0 to 12");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "new", 42, 256);
    assert_refused(f, "tensor \"new\" has ggml type 42, which is not known");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "old", 31, 256);
    assert_refused(f, "tensor \"old\" has ggml type 31, which ggml has dropped; quantise");
}

static void shapes_that_cannot_be_are_refused(void **state)
{
    fixture *f = *state;
    GGUF_TENSOR(&f->g, "row", 12, 255, 256);
    assert_refused(f, "tensor \"row\": rows of 255 elements, but Q4_K has blocks of 256");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "deep", 0, 1, 1, 1, 1, 1);
    assert_refused(f, "tensor \"deep\" has 5 dimensions, ggml has at most 4");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "wide", 0, UINT64_C(1) << 33, UINT64_C(1) << 33);
    assert_refused(f, "tensor \"wide\": its shape overflows 64 bits");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "long", 0, UINT64_MAX);
    assert_refused(f, "tensor \"long\" would take more than 2^64 bytes");
}

static void alignments_that_cannot_be_are_refused(void **state)
{
    fixture *f = *state;
    static const uint32_t wrong[] = {0, 3, 48, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        gguf_start(&f->g, 3);
        gguf_u32(&f->g, "general.alignment", wrong[i]);
        assert_refused(f, "general.alignment has to be a uint32 and a power of two");
    }
    gguf_start(&f->g, 3);
    gguf_key(&f->g, "general.alignment", VS_GGUF_U64);
    gguf_put_le(&f->g, 32, 8);
    assert_refused(f, "general.alignment has to be a uint32");
}

static void data_must_be_aligned_inside_and_apart(void **state)
{
    fixture *f = *state;
    f->g.data_bytes = 16;
    GGUF_TENSOR(&f->g, "a", 0, 8);
    assert_refused(f, "tensor \"a\" starts at data byte 16, which is no multiple of the");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "a", 0, 8);
    (void)gguf_end(&f->g);
    assert_refused(f, "tensor \"a\" (32 bytes at data byte 0) ends behind the file");
    gguf_start(&f->g, 3);
    f->g.data_bytes = UINT64_MAX - 31;
    GGUF_TENSOR(&f->g, "a", 0, 8);
    assert_refused(f, "ends behind the file");
    gguf_start(&f->g, 3);
    GGUF_TENSOR(&f->g, "a", 0, 9);
    f->g.data_bytes = 32;
    GGUF_TENSOR(&f->g, "b", 0, 8);
    const uint64_t file_bytes = gguf_end(&f->g);
    assert_false(parse(f, file_bytes));
    assert_error_says(&f->err, "the data of tensor \"b\" overlaps that of \"a\"");
}

static void a_former_error_is_kept(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    (void)vs_fail(&err, VS_ERR_IO, "earlier");
    assert_false(vs_gguf_parse(&f->gguf, &f->s->arena, f->g.bytes, 3, 3, "model.gguf", &err));
    assert_string_equal(err.text, "earlier");
    assert_false(vs_gguf_parse(&f->gguf, &f->s->arena, f->g.bytes, 3, 3, "x", NULL));
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_empty_file_of_version_2_or_3_is_read),
        T(numbers_of_every_type_are_read),
        T(negative_and_too_large_numbers_are_no_counts),
        T(floats_are_read_when_they_are_finite),
        T(strings_and_arrays_are_remembered_by_their_place),
        T(arrays_may_be_nested_but_not_without_end),
        T(tensors_of_every_type_have_their_size),
        T(shapes_are_turned_round),
        T(the_alignment_is_that_of_the_file),
        T(gaps_and_any_order_are_accepted),
        T(a_head_that_is_mapped_in_part_is_enough),
        T(other_files_are_told_apart),
        T(other_versions_say_what_to_do),
        T(counts_beyond_the_file_are_refused),
        T(lengths_beyond_the_file_are_refused),
        T(keys_and_names_are_plain_and_unique),
        T(unknown_types_are_refused_by_number),
        T(shapes_that_cannot_be_are_refused),
        T(alignments_that_cannot_be_are_refused),
        T(data_must_be_aligned_inside_and_apart),
        T(a_former_error_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
