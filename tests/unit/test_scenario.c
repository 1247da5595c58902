/* tests/unit/test_scenario.c - sim/plan/scenario.c, scenario_json.c and command.c */
#include "sim/plan/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static bool try_set(scratch *s, vs_scenario *scenario, const char *key, const char *value,
                    vs_err *err)
{
    const vs_option *option = vs_option_find(vs_str_of(key));
    assert_non_null(option);
    return vs_scenario_set(scenario, &s->arena, option, vs_str_of(value), true, err);
}

static void set(scratch *s, vs_scenario *scenario, const char *key, const char *value)
{
    vs_err err = {0};
    if (!try_set(s, scenario, key, value, &err)) {
        scratch_fail(&err);
    }
}

static void expect_error(scratch *s, const char *key, const char *value, const char *says)
{
    vs_err err = {0};
    vs_scenario scenario = {0};
    const vs_scenario zero = {0};
    assert_false(try_set(s, &scenario, key, value, &err));
    assert_error_says(&err, says);
    assert_memory_equal(&scenario, &zero, sizeof zero);
}

static const char *written(scratch *s, const vs_scenario *scenario)
{
    vs_err err = {0};
    const char *path = scratch_path(s, "written.json");
    vs_outfile *out = vs_outfile_open(path, &err);
    assert_non_null(out);
    vs_jwriter w = vs_jwriter_of(out, false);
    vs_scenario_write(scenario, &w, NULL);
    if (!vs_outfile_commit(out, &err)) {
        scratch_fail(&err);
    }
    vs_file file = {0};
    assert_true(vs_file_open(&file, path, &err));
    const char *text =
        vs_str_copy(&s->arena, (vs_str){(const char *)file.bytes, file.size_bytes});
    vs_file_close(&file);
    assert_non_null(text);
    return text;
}

/* ---- one setting ----------------------------------------------------------------------------- */

static void each_option_sets_its_field(void **state)
{
    scratch *s = *state;
    vs_scenario c = {0};
    set(s, &c, "gpu", "rtx-3090, t4:14909MiB");
    set(s, &c, "gpu-used", "1.5GiB,0");
    set(s, &c, "host", "server-pcie5");
    set(s, &c, "disk", "gp3");
    set(s, &c, "ram", "64GiB");
    set(s, &c, "cache", "warm");
    set(s, &c, "dtype", "BF16");
    set(s, &c, "loader", "transformers-5");
    set(s, &c, "async", "off");
    set(s, &c, "workers", "4");
    set(s, &c, "quant", "bnb-nf4-dq");
    set(s, &c, "quant-experts", "axolotl");
    set(s, &c, "warmup", "on");
    set(s, &c, "device-map", "cuda");
    set(s, &c, "alloc-conf", "expandable_segments:True");
    set(s, &c, "fail-on-oom", "on");
    assert_int_equal(c.machine.gpu_count, 2);
    assert_true(vs_str_is(c.machine.gpus[0], "rtx-3090"));
    assert_true(vs_str_is(c.machine.gpus[1], "t4:14909MiB"));
    assert_int_equal(c.gpu_used_count, 2);
    assert_int_equal(c.gpu_used_bytes[0], 3 * VS_GIB / 2);
    assert_true(vs_str_is(c.machine.host, "server-pcie5"));
    assert_true(vs_str_is(c.machine.disk, "gp3"));
    assert_int_equal(c.machine.ram_bytes, 64 * VS_GIB);
    assert_int_equal(c.cache, VS_CACHE_WARM);
    assert_int_equal(c.dtype, VS_LOAD_BF16);
    assert_int_equal(c.loader, VS_LOADER_V5);
    assert_int_equal(c.async, VS_OFF);
    assert_int_equal(c.workers, 4);
    assert_int_equal(c.quant, VS_QUANT_BNB_NF4_DQ);
    assert_int_equal(c.quant_experts, VS_QEXPERTS_AXOLOTL);
    assert_int_equal(c.warmup, VS_ON);
    assert_string_equal(c.alloc_conf, "expandable_segments:True");
    assert_true(c.fail_on_oom);
}

static void the_first_gpu_of_a_source_replaces_and_later_ones_add(void **state)
{
    scratch *s = *state;
    vs_scenario c = {0};
    const vs_option *gpu = vs_option_find(vs_str_of("gpu"));
    assert_true(vs_scenario_set(&c, &s->arena, gpu, vs_str_of("t4,l4"), true, NULL));
    assert_true(vs_scenario_set(&c, &s->arena, gpu, vs_str_of("a10"), false, NULL));
    assert_int_equal(c.machine.gpu_count, 3);
    assert_true(vs_scenario_set(&c, &s->arena, gpu, vs_str_of("h200"), true, NULL));
    assert_int_equal(c.machine.gpu_count, 1);
    assert_true(vs_str_is(c.machine.gpus[0], "h200"));
}

static void dtypes_may_be_spelt_as_pytorch_does(void **state)
{
    scratch *s = *state;
    vs_scenario c = {0};
    set(s, &c, "dtype", "bfloat16");
    assert_int_equal(c.dtype, VS_LOAD_BF16);
    set(s, &c, "dtype", "float32");
    assert_int_equal(c.dtype, VS_LOAD_FP32);
    set(s, &c, "dtype", "auto");
    assert_int_equal(c.dtype, VS_LOAD_AUTO);
}

static void wrong_values_name_the_option_what_is_allowed_and_the_nearest(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        const char *says;
    } cases[] = {{"dtype", "bf61", "did you mean bf16?"},
                 {"dtype", "bf61", "auto, fp32, fp16, bf16"},
                 {"dtype", "complex", "--dtype complex: expected one of"},
                 {"quant", "bnb-nf5", "did you mean bnb-nf4?"},
                 {"quant-experts", "axolotls", "did you mean axolotl?"},
                 {"cache", "hot", "cold, warm"},
                 {"async", "maybe", "on, off, auto"},
                 {"workers", "0", "from 1 to 256"},
                 {"workers", "257", "from 1 to 256"},
                 {"workers", "-1", "whole number"},
                 {"workers", "99999999999999999999", "whole number"},
                 {"ram", "64 apples", "--ram 64 apples: expected a size"},
                 {"ram", "64", "64GiB"},
                 {"gpu-used", "-1GiB", "expected a size"},
                 {"gpu-used", "1GiB,1e400", "expected a size"},
                 {"gpu", "", "found nothing"},
                 {"gpu", "t4,,l4", "found nothing"},
                 {"host", "", "found nothing"},
                 {"gpu", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "more than 16 cards"},
                 {"device-map", "auto", "not in this version yet"},
                 {"device-map", "map.json", "not in this version yet"},
                 {"device-map", "cude", "did you mean cuda?"},
                 {"loader", "classic", "not in this version yet"},
                 {"loader", "transformers-4.57", "not in this version yet"},
                 {"loader", "transformer-5", "did you mean transformers-5?"},
                 {"max-memory", "0=20GiB", "--max-memory is not in this version yet"},
                 {"context", "512", "not in this version yet"},
                 {"attention", "sdpa", "not in this version yet"},
                 {"runs", "4", "not in this version yet"},
                 {"html", "x.html", "not in this version yet"},
                 {"json", "x.json", "not a setting"},
                 {"scenario", "x.json", "not a setting"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_error(*state, cases[i].key, cases[i].value, cases[i].says);
    }
}

static void planned_options_and_outputs_are_all_refused(void **state)
{
    scratch *s = *state;
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    for (size_t i = 0; i < count; i++) {
        vs_scenario c = {0};
        vs_err err = {0};
        if (options[i].is_planned || !options[i].is_setting) {
            assert_false(
                vs_scenario_set(&c, &s->arena, &options[i], vs_str_of("1"), true, &err));
            assert_int_equal(err.code, options[i].is_planned ? VS_ERR_PLANNED : VS_ERR_USAGE);
        }
    }
}

/* ---- files -------------------------------------------------------------------------------------- */

static void read_text(scratch *s, vs_scenario *scenario, const char *text)
{
    vs_err err = {0};
    if (!vs_scenario_parse(scenario, &s->arena, text, strlen(text), "s.json", &err)) {
        scratch_fail(&err);
    }
}

static void a_file_says_what_the_command_line_can(void **state)
{
    vs_scenario c = {0};
    read_text(
        *state, &c,
        "{\"format\":\"vramscope.scenario/"
        "1\",\"model\":\"llama-2-7b\",\"gpu\":[\"t4\",\"l4,a10\"],"
        "\"gpu_used\":[\"1.5GiB\",1048576],\"ram\":68719476736,\"async\":false,\"warmup\":"
        "\"auto\","
        "\"workers\":8,\"quant_experts\":\"axolotl\",\"disk\":null,\"fail_on_oom\":true}");
    assert_string_equal(c.model, "llama-2-7b");
    assert_int_equal(c.machine.gpu_count, 3);
    assert_true(vs_str_is(c.machine.gpus[2], "a10"));
    assert_int_equal(c.gpu_used_count, 2);
    assert_int_equal(c.gpu_used_bytes[1], VS_MIB);
    assert_int_equal(c.machine.ram_bytes, 64 * VS_GIB);
    assert_int_equal(c.async, VS_OFF);
    assert_int_equal(c.warmup, VS_AUTO);
    assert_int_equal(c.workers, 8);
    assert_int_equal(c.quant_experts, VS_QEXPERTS_AXOLOTL);
    assert_int_equal(c.machine.disk.len, 0);
    assert_true(c.fail_on_oom);
}

static void one_gpu_needs_no_array_and_a_number_is_its_size(void **state)
{
    vs_scenario c = {0};
    read_text(*state, &c, "{\"gpu\":\"rtx-4090\",\"async\":true}");
    assert_int_equal(c.machine.gpu_count, 1);
    assert_int_equal(c.async, VS_ON);
    read_text(*state, &c, "{\"gpu\":25769803776}");
    assert_true(vs_str_is(c.machine.gpus[0], "25769803776"));
    assert_int_equal(c.async, VS_ON); /* what a file leaves out stays */
}

static void bad_files_are_errors_with_a_place_and_change_nothing(void **state)
{
    scratch *s = *state;

    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"{\"dtpye\":\"bf16\"}",
         "s.json: $.dtpye: unknown key; the nearest setting is \"dtype\""},
        {"{\"quant-experts\":\"none\"}", "the nearest setting is \"quant_experts\""},
        {"{\"json\":\"x\"}", "$.json"},
        {"{\"dtype\":\"bf17\"}", "s.json: $.dtype: --dtype bf17: expected one of"},
        {"{\"gpu\":[\"t4\",\"\"]}", "$.gpu[1]"},
        {"{\"gpu\":[[]]}", "$.gpu[0]"},
        {"{\"gpu\":{}}", "$.gpu"},
        {"{\"dtype\":[\"bf16\"]}", "$.dtype"},
        {"{\"workers\":-3}", "$.workers"},
        {"{\"workers\":1.5}", "$.workers"},
        {"{\"model\":7}", "$.model"},
        {"{\"context\":512}", "$.context: --context is not in this version yet"},
        {"{\"format\":\"vramscope.run/1\"}", "expected \"vramscope.scenario/1\""},
        {"{\"dtype\":\"bf16\",\"dtype\":\"fp16\"}", "s.json"},
        {"{\"gpu\":\"t4\",", "s.json"},
        {"7", "expected an object"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vs_scenario c = {0};
        const vs_scenario zero = {0};
        vs_err err = {0};
        assert_false(vs_scenario_parse(&c, &s->arena, cases[i].text, strlen(cases[i].text),
                                       "s.json", &err));
        assert_error_says(&err, cases[i].says);
        assert_memory_equal(&c, &zero, sizeof zero);
    }
    vs_scenario c = {0};
    vs_err err = {0};
    assert_false(vs_scenario_read(&c, &s->arena, scratch_path(s, "absent.json"), &err));
    assert_int_equal(err.code, VS_ERR_IO);
}

/* ---- there and back ------------------------------------------------------------------------------ */

static void assert_reads_back(scratch *s, const vs_scenario *scenario)
{
    const char *first = written(s, scenario);
    vs_scenario again = {0};
    vs_err err = {0};
    if (!vs_scenario_read(&again, &s->arena, scratch_path(s, "written.json"), &err)) {
        scratch_fail(&err);
    }
    assert_string_equal(first, written(s, &again));
    assert_int_equal(again.machine.ram_bytes, scenario->machine.ram_bytes);
    assert_int_equal(again.async, scenario->async);
    assert_int_equal(again.warmup, scenario->warmup);
    assert_int_equal(again.workers, scenario->workers);
    assert_int_equal(again.gpu_used_count, scenario->gpu_used_count);
}

static void what_is_written_reads_back_identically(void **state)
{
    scratch *s = *state;
    vs_scenario c = {.model = "llama-2-7b"};
    assert_reads_back(s, &c);
    c.machine.host = vs_str_of("lab/host.json");
    assert_reads_back(s, &c);
    set(s, &c, "gpu", "rtx-3090,48GiB");
    set(s, &c, "gpu-used", "1,2,3");
    set(s, &c, "host", "laptop");
    set(s, &c, "disk", "hdd");
    set(s, &c, "ram", "12.7GiB");
    set(s, &c, "cache", "warm");
    set(s, &c, "dtype", "fp16");
    set(s, &c, "async", "off");
    set(s, &c, "warmup", "on");
    set(s, &c, "workers", "3");
    set(s, &c, "quant", "bnb-int8");
    set(s, &c, "quant-experts", "axolotl");
    set(s, &c, "alloc-conf", "max_split_size_mb:128,\"odd\\\n");
    set(s, &c, "fail-on-oom", "on");
    assert_reads_back(s, &c);
}

static void the_defaults_are_written_out(void **state)
{
    scratch *s = *state;
    const vs_scenario c = {.model = "m"};
    const char *text = written(s, &c);
    static const char *const parts[] = {"\"rtx-4090\"",
                                        "\"desktop\"",
                                        "\"nvme-pcie4\"",
                                        "\"async\": \"auto\"",
                                        "\"device_map\": \"cuda\"",
                                        "\"loader\": \"transformers-5\"",
                                        "\"dtype\": \"auto\"",
                                        "\"ram\": null"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in %s", parts[i], text);
        }
    }
}

/* ---- the command line ------------------------------------------------------------------------------ */

static void the_command_says_only_what_differs_from_the_defaults(void **state)
{
    scratch *s = *state;
    vs_scenario c = {.model = "llama-2-7b"};
    assert_string_equal(vs_scenario_command(&c, &s->arena), "vramscope sim llama-2-7b");
    set(s, &c, "dtype", "bf16");
    set(s, &c, "gpu", "rtx-4090");
    assert_string_equal(vs_scenario_command(&c, &s->arena),
                        "vramscope sim llama-2-7b --dtype bf16 --gpu rtx-4090");
    set(s, &c, "async", "off");
    set(s, &c, "warmup", "on");
    set(s, &c, "workers", "2");
    set(s, &c, "ram", "1.5GiB");
    set(s, &c, "gpu-used", "1GiB,17,0");
    set(s, &c, "cache", "warm");
    set(s, &c, "fail-on-oom", "on");
    assert_string_equal(
        vs_scenario_command(&c, &s->arena),
        "vramscope sim llama-2-7b --dtype bf16 --no-async --warmup --workers 2 --cache "
        "warm --gpu rtx-4090 --gpu-used 1GiB,17,0 --ram 1536MiB --fail-on-oom");
}

static void the_command_is_quoted_for_the_shell(void **state)
{
    scratch *s = *state;
    vs_scenario c = {.model = "my models/it's here; rm"};
    set(s, &c, "alloc-conf", "a b$c");
    assert_string_equal(vs_scenario_command(&c, &s->arena),
                        "vramscope sim 'my models/it'\\''s here; rm' --alloc-conf 'a b$c'");
    c = (vs_scenario){.model = ""};
    assert_string_equal(vs_scenario_command(&c, &s->arena), "vramscope sim ''");
}

static void every_failed_allocation_is_reported(void **state)
{
    scratch *s = *state;
    static const char text[] =
        "{\"model\":\"m\",\"gpu\":[\"t4\",\"l4\"],\"workers\":3,\"host\":\"laptop\","
        "\"alloc_conf\":\"x y\"}";
    uint64_t n = 0;
    for (bool is_done = false; !is_done;) {
        vs_scenario c = {0};
        vs_err err = {0};
        vs_arena_reset(&s->arena);
        s->arena.fail_at = ++n;
        is_done = vs_scenario_parse(&c, &s->arena, text, sizeof text - 1, "s.json", &err);
        assert_true(is_done || err.code == VS_ERR_MEMORY);
        is_done = is_done && vs_scenario_command(&c, &s->arena) != NULL;
    }
    assert_true(n > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_option_sets_its_field),
        TEST(the_first_gpu_of_a_source_replaces_and_later_ones_add),
        TEST(dtypes_may_be_spelt_as_pytorch_does),
        TEST(wrong_values_name_the_option_what_is_allowed_and_the_nearest),
        TEST(planned_options_and_outputs_are_all_refused),
        TEST(a_file_says_what_the_command_line_can),
        TEST(one_gpu_needs_no_array_and_a_number_is_its_size),
        TEST(bad_files_are_errors_with_a_place_and_change_nothing),
        TEST(what_is_written_reads_back_identically),
        TEST(the_defaults_are_written_out),
        TEST(the_command_says_only_what_differs_from_the_defaults),
        TEST(the_command_is_quoted_for_the_shell),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
