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
    for (uint32_t i = 0; i < VS_DT_COUNT; i++) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_both_its_names),
        cmocka_unit_test(torch_names_may_carry_their_module_or_be_short),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(bytes_are_rounded_up_to_whole_ones),
        cmocka_unit_test(sizes_beyond_64_bits_are_refused),
        cmocka_unit_test(only_floating_types_are_floating),
    };
    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
