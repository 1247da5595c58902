/* tests/unit/test_host_json.c - sim/hardware/host_json.c */
#include "sim/hardware/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static vs_hw_host_file parse(scratch *s, const char *text)
{
    vs_err err = {0};
    vs_hw_host_file file = {0};
    if (!vs_hw_parse_host_file(&file, &s->arena, text, strlen(text), "host.json", &err)) {
        scratch_fail(&err);
    }
    return file;
}

static void expect_error(scratch *s, const char *text, const char *says)
{
    vs_err err = {0};
    vs_hw_host_file untouched = {.has_gpu = true};
    assert_false(
        vs_hw_parse_host_file(&untouched, &s->arena, text, strlen(text), "host.json", &err));
    assert_error_says(&err, says);
    assert_error_says(&err, "host.json");
    assert_true(untouched.has_gpu);
}

static void every_key_of_the_contract_is_read(void **state)
{
    const vs_hw_host_file file = parse(
        *state,
        "{\"format\":\"vramscope.host/1\",\"name\":\"lab\",\"ram_bytes\":34359738368,"
        "\"disk_read_bytes_per_s\":101000000,\"disk_mmap_read_bytes_per_s\":102000000,"
        "\"disk_capacity_bytes\":103000000,\"h2d_pinned_bytes_per_s\":104000000,"
        "\"h2d_pageable_bytes_per_s\":105000000,\"d2h_bytes_per_s\":106000000,"
        "\"memcpy_bytes_per_s\":107000000,\"cast_bytes_per_s\":108000000,\"cores\":16,"
        "\"gpu\":{\"name\":\"card\",\"capacity_bytes\":2000000000,\"context_bytes\":201,"
        "\"mem_bandwidth_bytes_per_s\":202,\"fp16_flops\":203,\"bf16_flops\":204,\"fp32_"
        "flops\":205,"
        "\"quantise_bytes_per_s\":206,\"malloc_ns\":207,\"free_ns\":208,\"launch_ns\":209},"
        "\"sources\":{\"ram_bytes\":\"free -b\",\"gpu.malloc_ns\":\"probe\"},"
        "\"uncertainty\":{\"disk_read_bytes_per_s\":0.05}}");
    assert_string_equal(file.host.name, "lab");
    assert_int_equal(file.host.figures[VS_HW_HOST_RAM].value, 34359738368);
    assert_string_equal(file.host.figures[VS_HW_HOST_RAM].source, "free -b");
    assert_int_equal(file.disk.figures[VS_HW_DISK_READ].value, 101000000);
    assert_int_equal(file.disk.figures[VS_HW_DISK_MMAP_READ].value, 102000000);
    assert_int_equal(file.disk.figures[VS_HW_DISK_CAPACITY].value, 103000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_PINNED].value, 104000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_PAGEABLE].value, 105000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_D2H].value, 106000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_MEMCPY].value, 107000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_CAST].value, 108000000);
    assert_int_equal(file.host.figures[VS_HW_HOST_CORES].value, 16);
    assert_true(file.has_gpu && file.has_disk);
    const vs_hw_figure *gpu = file.gpu.figures;
    assert_string_equal(file.gpu.name, "card");
    assert_int_equal(gpu[VS_HW_GPU_CAPACITY].value, 2000000000);
    assert_int_equal(gpu[VS_HW_GPU_CONTEXT].value, 201);
    assert_int_equal(gpu[VS_HW_GPU_BANDWIDTH].value, 202);
    assert_int_equal(gpu[VS_HW_GPU_FP16].value, 203);
    assert_int_equal(gpu[VS_HW_GPU_BF16].value, 204);
    assert_int_equal(gpu[VS_HW_GPU_FP32].value, 205);
    assert_int_equal(gpu[VS_HW_GPU_QUANTISE].value, 206);
    assert_int_equal(gpu[VS_HW_GPU_MALLOC].value, 207);
    assert_int_equal(gpu[VS_HW_GPU_FREE].value, 208);
    assert_int_equal(gpu[VS_HW_GPU_LAUNCH].value, 209);
    assert_int_equal(gpu[VS_HW_GPU_LAUNCH].origin, VS_HW_STATED);
    assert_int_equal(gpu[VS_HW_GPU_SMI_TOTAL].origin, VS_HW_UNKNOWN);
}

static void an_empty_object_states_nothing(void **state)
{
    const vs_hw_host_file file = parse(*state, "{}");
    assert_false(file.has_gpu || file.has_disk);
    for (uint32_t i = 0; i < VS_HW_HOST_COUNT; i++) {
        assert_int_equal(file.host.figures[i].origin, VS_HW_UNKNOWN);
    }
}

static void null_is_the_same_as_leaving_out(void **state)
{
    const vs_hw_host_file file =
        parse(*state,
              "{\"format\":null,\"name\":null,\"ram_bytes\":null,\"gpu\":null,\"sources\":null,"
              "\"uncertainty\":null,\"disk_read_bytes_per_s\":null}");
    assert_false(file.has_gpu || file.has_disk);
    assert_int_equal(file.host.figures[VS_HW_HOST_RAM].origin, VS_HW_UNKNOWN);
}

static void unknown_keys_name_the_nearest_and_their_place(void **state)
{
    expect_error(*state, "{\"ram_byts\":1}", "\"ram_bytes\"");
    expect_error(*state, "{\"ram_byts\":1}", "$.ram_byts");
    expect_error(*state, "{\"disk_read_byte_per_s\":1}", "\"disk_read_bytes_per_s\"");
    expect_error(*state, "{\"gpus\":{}}", "\"gpu\"");
    expect_error(*state, "{\"gpu\":{\"launch_us\":1}}", "\"launch_ns\"");
    expect_error(*state, "{\"gpu\":{\"launch_us\":1}}", "$.gpu.launch_us");
    expect_error(*state, "{\"something quite different\":1}", "unknown key");
}

static void values_that_cannot_be_are_errors(void **state)
{
    expect_error(*state, "{\"ram_bytes\":1.5}", "$.ram_bytes");
    expect_error(*state, "{\"ram_bytes\":-1}", "$.ram_bytes");
    expect_error(*state, "{\"ram_bytes\":1e400}", "host.json");
    expect_error(*state, "{\"ram_bytes\":1152921504606846976}", "$.ram_bytes");
    expect_error(*state, "{\"ram_bytes\":\"64GiB\"}", "$.ram_bytes");
    expect_error(*state, "{\"memcpy_bytes_per_s\":0}", "0 cannot be");
    expect_error(*state, "{\"cores\":0}", "from 1 to 4096");
    expect_error(*state, "{\"pcie_gen\":2}", "from 3 to 5");
    expect_error(*state, "{\"name\":7}", "$.name");
    expect_error(*state, "{\"gpu\":7}", "$.gpu");
    expect_error(*state, "{\"gpu\":{\"is_sxm\":\"yes\"}}", "$.gpu.is_sxm");
    expect_error(*state, "{\"sources\":[]}", "$.sources");
    expect_error(*state, "{\"sources\":{\"ram_bytes\":7}}", "$.sources.ram_bytes");
    expect_error(*state, "{\"uncertainty\":7}", "$.uncertainty");
    expect_error(*state, "{\"uncertainty\":{\"ram_bytes\":-0.5}}", "negative");
    expect_error(*state, "{\"format\":\"vramscope.host/2\"}", "vramscope.host/1");
    expect_error(*state, "{\"cores\":4,\"cores\":5}", "host.json");
    expect_error(*state, "[1]", "expected an object");
    expect_error(*state, "", "host.json");
}

static void a_file_that_is_not_there_or_is_a_directory_is_an_error(void **state)
{
    scratch *s = *state;
    vs_hw_host_file file = {0};
    vs_err err = {0};
    assert_false(vs_hw_read_host_file(&file, &s->arena, scratch_path(s, "absent.json"), &err));
    assert_int_equal(err.code, VS_ERR_IO);
    vs_err dir = {0};
    assert_false(vs_hw_read_host_file(&file, &s->arena, s->dir, &dir));
    assert_int_equal(dir.code, VS_ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key_of_the_contract_is_read),
        TEST(an_empty_object_states_nothing),
        TEST(null_is_the_same_as_leaving_out),
        TEST(unknown_keys_name_the_nearest_and_their_place),
        TEST(values_that_cannot_be_are_errors),
        TEST(a_file_that_is_not_there_or_is_a_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
