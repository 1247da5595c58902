/* tests/unit/test_dtype.c - element types. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_type_is_found_by_both_its_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VS_DT_SAFETENSORS_COUNT; i++) {
        const vs_dtype dtype = (vs_dtype)i;
        assert_int_equal(vs_dtype_find(vs_str_of(vs_dtype_name(dtype))), dtype);
        assert_int_equal(vs_dtype_find_torch(vs_str_of(vs_dtype_torch_name(dtype))), dtype);
    }
}

static void torch_names_may_carry_their_module_or_be_short(void **state)
{
    (void)state;
    assert_int_equal(vs_dtype_find_torch(vs_str_of("torch.bfloat16")), VS_DT_BF16);
    assert_int_equal(vs_dtype_find_torch(vs_str_of("fp32")), VS_DT_F32);
    assert_int_equal(vs_dtype_find_torch(vs_str_of("fp16")), VS_DT_F16);
    assert_int_equal(vs_dtype_find_torch(vs_str_of("bf16")), VS_DT_BF16);
}

static void unknown_names_are_not_found(void **state)
{
    (void)state;
    assert_int_equal(vs_dtype_find(vs_str_of("bf16")), VS_DT_COUNT);
    assert_int_equal(vs_dtype_find(vs_str_of("")), VS_DT_COUNT);
    assert_int_equal(vs_dtype_find_torch(vs_str_of("torch.")), VS_DT_COUNT);
    assert_int_equal(vs_dtype_find_torch(vs_str_of("BF16")), VS_DT_COUNT);
    assert_string_equal(vs_dtype_name(VS_DT_COUNT), "?");
}

static void bytes_are_rounded_up_to_whole_ones(void **state)
{
    (void)state;
    vs_bytes bytes = 0;
    assert_true(vs_dtype_bytes(VS_DT_BF16, 6738415616, &bytes));
    assert_int_equal(bytes, 13476831232); /* Llama-2-7B, specs/transformers-loading.md [9.1] */
    assert_true(vs_dtype_bytes(VS_DT_F4, 3, &bytes));
    assert_int_equal(bytes, 2);
    assert_true(vs_dtype_bytes(VS_DT_F64, 0, &bytes));
    assert_int_equal(bytes, 0);
}

static void sizes_beyond_64_bits_are_refused(void **state)
{
    (void)state;
    vs_bytes bytes = 7;
    assert_false(vs_dtype_bytes(VS_DT_F64, UINT64_MAX / 4, &bytes));
    assert_false(vs_dtype_bytes(VS_DT_COUNT, 1, &bytes));
    assert_int_equal(bytes, 7);
}

static void only_floating_types_are_floating(void **state)
{
    (void)state;
    assert_true(vs_dtype_is_float(VS_DT_F8_E4M3));
    assert_true(vs_dtype_is_float(VS_DT_F4));
    assert_false(vs_dtype_is_float(VS_DT_U8));
    assert_false(vs_dtype_is_float(VS_DT_BOOL));
    assert_false(vs_dtype_is_float(VS_DT_COUNT));
}

static void ggml_names_are_no_safetensors_names(void **state)
{
    (void)state;
    for (uint32_t i = VS_DT_SAFETENSORS_COUNT; i < VS_DT_COUNT; i++) {
        const char *const name = vs_dtype_name((vs_dtype)i);
        assert_int_equal(vs_dtype_find(vs_str_of(name)), VS_DT_COUNT);
        assert_int_equal(vs_dtype_find_torch(vs_str_of(name)), VS_DT_COUNT);
        assert_true(vs_dtype_is_block((vs_dtype)i));
        assert_true(vs_dtype_is_float((vs_dtype)i));
    }
    assert_false(vs_dtype_is_block(VS_DT_F4));
    assert_false(vs_dtype_is_block(VS_DT_COUNT));
}

/* One row of 256 elements, by ggml's id: gguf-py 0.19.0, constants.py GGML_QUANT_SIZES; Q8_1 as in
 * ggml-common.h. */
static void every_ggml_type_has_the_size_of_its_blocks(void **state)
{
    (void)state;

    static const struct {
        uint32_t type_id;
        const char *name;
        vs_bytes bytes;
    } rows[] = {
        {0, "F32", 1024},    {1, "F16", 512},     {2, "Q4_0", 144},    {3, "Q4_1", 160},
        {6, "Q5_0", 176},    {7, "Q5_1", 192},    {8, "Q8_0", 272},    {9, "Q8_1", 288},
        {10, "Q2_K", 84},    {11, "Q3_K", 110},   {12, "Q4_K", 144},   {13, "Q5_K", 176},
        {14, "Q6_K", 210},   {15, "Q8_K", 292},   {16, "IQ2_XXS", 66}, {17, "IQ2_XS", 74},
        {18, "IQ3_XXS", 98}, {19, "IQ1_S", 50},   {20, "IQ4_NL", 144}, {21, "IQ3_S", 110},
        {22, "IQ2_S", 82},   {23, "IQ4_XS", 136}, {24, "I8", 256},     {25, "I16", 512},
        {26, "I32", 1024},   {27, "I64", 2048},   {28, "F64", 2048},   {29, "IQ1_M", 56},
        {30, "BF16", 512},   {34, "TQ1_0", 54},   {35, "TQ2_0", 66},   {39, "MXFP4", 136},
        {40, "NVFP4", 144},  {41, "Q1_0", 36},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const vs_dtype dtype = vs_dtype_find_ggml(rows[i].type_id);
        vs_bytes bytes = 0;
        uint32_t type_id = UINT32_MAX;
        assert_string_equal(vs_dtype_name(dtype), rows[i].name);
        assert_true(vs_dtype_bytes(dtype, 256, &bytes));
        assert_int_equal(bytes, rows[i].bytes);
        assert_true(vs_dtype_ggml_type(dtype, &type_id));
        assert_int_equal(type_id, rows[i].type_id);
        assert_int_equal(vs_dtype_bits(dtype), (bytes * 8 + 255) / 256);
    }
}

static void types_that_ggml_dropped_are_not_found(void **state)
{
    (void)state;
    static const uint32_t gone[] = {4, 5, 31, 32, 33, 36, 37, 38, 42, UINT32_MAX};
    uint32_t type_id = 7;
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        assert_int_equal(vs_dtype_find_ggml(gone[i]), VS_DT_COUNT);
    }
    assert_false(vs_dtype_ggml_type(VS_DT_U8, &type_id));
    assert_false(vs_dtype_ggml_type(VS_DT_COUNT, &type_id));
    assert_int_equal(type_id, 7);
}

static void a_started_block_is_a_whole_one(void **state)
{
    (void)state;
    vs_bytes bytes = 0;
    assert_int_equal(vs_dtype_block_elements(VS_DT_Q4_K), 256);
    assert_int_equal(vs_dtype_block_elements(VS_DT_F4), 2);
    assert_int_equal(vs_dtype_block_elements(VS_DT_BF16), 1);
    assert_true(vs_dtype_bytes(VS_DT_Q4_K, 257, &bytes));
    assert_int_equal(bytes, 288);
    assert_true(vs_dtype_bytes(VS_DT_Q6_K, 0, &bytes));
    assert_int_equal(bytes, 0);
    /* 2^64 - 1 elements of half a byte and some fit into 64 bits, of more than a byte they do not */
    assert_true(vs_dtype_bytes(VS_DT_Q4_0, UINT64_MAX, &bytes));
    assert_false(vs_dtype_bytes(VS_DT_Q8_0, UINT64_MAX, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_both_its_names),
        cmocka_unit_test(torch_names_may_carry_their_module_or_be_short),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(bytes_are_rounded_up_to_whole_ones),
        cmocka_unit_test(sizes_beyond_64_bits_are_refused),
        cmocka_unit_test(only_floating_types_are_floating),
        cmocka_unit_test(ggml_names_are_no_safetensors_names),
        cmocka_unit_test(every_ggml_type_has_the_size_of_its_blocks),
        cmocka_unit_test(types_that_ggml_dropped_are_not_found),
        cmocka_unit_test(a_started_block_is_a_whole_one),
    };
    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
