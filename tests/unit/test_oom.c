/* pool/oom.c: the figures and the wording of an out of memory, specs/torch-caching-allocator.md [8]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vramscope/pool.h"

/* Figures of a real message (2.2 to 2.8 wording). */
static const vs_oom_info real_info = {
    .requested_bytes = 20 * VS_MIB,
    .rounded_bytes = 20 * VS_MIB,
    .attempted_bytes = 20 * VS_MIB,
    .total_bytes = UINT64_C(25383256719), /* 23.64 GiB */
    .free_bytes = UINT64_C(1247805),      /* 1.19 MiB */
    .limit_bytes = VS_POOL_UNLIMITED,
    .allocated_bytes = UINT64_C(24588687770),                      /* 22.90 GiB */
    .reserved_bytes = UINT64_C(24588687770) + UINT64_C(347162541), /* + 331.08 MiB */
};
#define PROCESS_BYTES UINT64_C(25372519301) /* 23.63 GiB */

static void check_text(const vs_oom_info *info, vs_torch_version torch, uint32_t gpu,
                       vs_bytes process, const char *expected)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    const char *text = vs_oom_message(&arena, info, torch, gpu, process);
    assert_non_null(text);
    assert_string_equal(text, expected);
    vs_arena_close(&arena);
}

static void message_of_2_6_reads_as_a_real_one(void **state)
{
    (void)state;
    check_text(
        &real_info, 206, 0, PROCESS_BYTES,
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of "
        "23.64 GiB of which 1.19 MiB is free. Including non-PyTorch memory, this process "
        "has 23.63 GiB memory in use. Of the allocated memory 22.90 GiB is allocated by "
        "PyTorch, and 331.08 MiB is reserved by PyTorch but unallocated. If reserved but "
        "unallocated memory is large try setting "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
        "documentation for Memory Management  "
        "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)");
}

static void message_of_2_10_names_the_other_variable(void **state)
{
    (void)state;
    check_text(
        &real_info, 210, 3, 0,
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 3 has a total capacity of "
        "23.64 GiB of which 1.19 MiB is free. Of the allocated memory 22.90 GiB is "
        "allocated by PyTorch, and 331.08 MiB is reserved by PyTorch but unallocated. If "
        "reserved but unallocated memory is large try setting "
        "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
        "documentation for Memory Management  "
        "(https://pytorch.org/docs/stable/notes/"
        "cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)");
}

static void message_of_2_0_has_its_own_form(void **state)
{
    (void)state;
    vs_oom_info info = real_info;
    check_text(&info, 200, 1, PROCESS_BYTES,
               "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 1; 23.64 GiB total "
               "capacity; 22.90 GiB already allocated; 1.19 MiB free; 23.22 GiB reserved in "
               "total by PyTorch) If reserved memory is >> allocated memory try setting "
               "max_split_size_mb to avoid fragmentation.  See documentation for Memory "
               "Management and PYTORCH_CUDA_ALLOC_CONF");
    info.limit_bytes = 12 * VS_GIB;
    check_text(
        &info, 200, 1, PROCESS_BYTES,
        "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 1; 23.64 GiB total "
        "capacity; 22.90 GiB already allocated; 1.19 MiB free; 12.00 GiB allowed; 23.22 "
        "GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try "
        "setting max_split_size_mb to avoid fragmentation.  See documentation for Memory "
        "Management and PYTORCH_CUDA_ALLOC_CONF");
}

static bool message_has(const vs_oom_info *info, vs_torch_version torch, const char *part)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    const char *text = vs_oom_message(&arena, info, torch, 0, PROCESS_BYTES);
    assert_non_null(text);
    const bool found = strstr(text, part) != NULL;
    vs_arena_close(&arena);
    return found;
}

static void a_limit_in_force_is_named_from_2_5_on(void **state)
{
    (void)state;
    vs_oom_info info = real_info;
    info.limit_bytes = 12 * VS_GIB;
    static const char *const part =
        "memory in use. 12.00 GiB allowed; Of the allocated memory 22.90 GiB";
    assert_true(message_has(&info, 214, part));
    assert_true(message_has(&info, 205, part));
    assert_false(message_has(&info, 204, "allowed"));
    assert_false(message_has(&real_info, 214, "allowed"));
}

static void message_of_2_1_keeps_its_spelling(void **state)
{
    (void)state;
    assert_true(message_has(&real_info, 201, "a total capacty of 23.64 GiB"));
    assert_true(message_has(&real_info, 201, "try setting max_split_size_mb"));
    assert_true(message_has(&real_info, 202, "a total capacity of 23.64 GiB"));
}

static void the_newest_message_is_the_default(void **state)
{
    (void)state;
    assert_true(message_has(&real_info, 0, "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"));
    assert_true(message_has(&real_info, 0, "#optimizing-memory-usage-with"));
}

static void without_arena_there_is_no_message(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    arena.fail_at = 1;
    assert_null(vs_oom_message(&arena, &real_info, 214, 0, 0));
    vs_arena_close(&arena);
}

/* ---- figures ------------------------------------------------------------------------------ */

static vs_alloc_result ask(vs_pool *pool, vs_bytes bytes, vs_block *out)
{
    const vs_pool_request request = {.size_bytes = bytes};
    return vs_pool_alloc(pool, 0, &request, out);
}

static void figures_are_taken_after_the_cache_was_emptied(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    vs_model_driver driver;
    vs_model_driver_init(&driver, 100 * VS_MIB, 10 * VS_MIB);
    const vs_pool_desc desc = {.driver = vs_model_driver_calls(&driver)};
    vs_pool *pool = vs_pool_new(&arena, &desc);
    assert_non_null(pool);
    assert_int_equal(vs_pool_oom_info(pool).total_bytes, 0);
    vs_block whole = {0};
    vs_block part = {0};
    assert_int_equal(ask(pool, 30 * VS_MIB, &whole), VS_ALLOC_OK);
    assert_int_equal(ask(pool, 5 * VS_MIB, &part), VS_ALLOC_OK); /* 20 MiB segment */
    vs_pool_free(pool, 0, whole);
    vs_block none = {1};
    assert_int_equal(ask(pool, 79 * VS_MIB - 1, &none), VS_ALLOC_OOM);
    assert_int_equal(none.id, 0);
    const vs_oom_info info = vs_pool_oom_info(pool);
    assert_int_equal(info.requested_bytes, 79 * VS_MIB - 1);
    assert_int_equal(info.rounded_bytes, 79 * VS_MIB);
    assert_int_equal(info.attempted_bytes, 80 * VS_MIB);
    assert_int_equal(info.total_bytes, 100 * VS_MIB);
    assert_int_equal(info.free_bytes, 70 * VS_MIB); /* the 30 MiB segment went back */
    assert_int_equal(info.allocated_bytes, 5 * VS_MIB);
    assert_int_equal(info.reserved_bytes, 20 * VS_MIB);
    assert_true(info.limit_bytes == VS_POOL_UNLIMITED);
    vs_arena_close(&arena);
}

static void a_request_of_2_to_the_60_is_refused_without_figures(void **state)
{
    (void)state;
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, VS_MIB, &err));
    vs_model_driver driver;
    vs_model_driver_init(&driver, 100 * VS_MIB, 0);
    const vs_pool_desc desc = {.driver = vs_model_driver_calls(&driver)};
    vs_pool *pool = vs_pool_new(&arena, &desc);
    assert_non_null(pool);
    vs_block block = {0};
    const vs_bytes sizes[] = {UINT64_C(1) << 60, UINT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ask(pool, sizes[i], &block), VS_ALLOC_OOM);
        const vs_oom_info info = vs_pool_oom_info(pool);
        assert_true(info.requested_bytes == sizes[i] && info.attempted_bytes == 0);
        assert_string_equal(vs_oom_message(&arena, &info, 0, 0, 0),
                            "CUDA out of memory. Tried to allocate more than 1EB memory.");
    }
    assert_int_equal(vs_pool_get_stats(pool)->num_ooms, 0);
    assert_int_equal(driver.malloc_calls, 0);
    assert_int_equal(ask(pool, (UINT64_C(1) << 60) - 1, &block), VS_ALLOC_OOM);
    assert_int_equal(vs_pool_get_stats(pool)->num_ooms, 1);
    assert_int_equal(vs_pool_get_stats(pool)->num_alloc_retries, 1);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_of_2_6_reads_as_a_real_one),
        cmocka_unit_test(message_of_2_10_names_the_other_variable),
        cmocka_unit_test(message_of_2_0_has_its_own_form),
        cmocka_unit_test(a_limit_in_force_is_named_from_2_5_on),
        cmocka_unit_test(message_of_2_1_keeps_its_spelling),
        cmocka_unit_test(the_newest_message_is_the_default),
        cmocka_unit_test(without_arena_there_is_no_message),
        cmocka_unit_test(figures_are_taken_after_the_cache_was_emptied),
        cmocka_unit_test(a_request_of_2_to_the_60_is_refused_without_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
