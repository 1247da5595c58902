/* tests/unit/test_options.c - sim/plan/options.c and names.c */
#include "sim/plan/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void every_option_of_the_contract_is_in_the_table(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "gpu",    "gpu-used",   "host",       "disk",       "ram",      "cache",
        "dtype",  "loader",     "async",      "workers",    "quant",    "quant-experts",
        "warmup", "device-map", "max-memory", "alloc-conf", "context",  "new-tokens",
        "batch",  "attention",  "runs",       "seed",       "scenario", "print-scenario",
        "json",   "tape",       "trace",      "csv",        "snapshot", "png",
        "svg",    "html",       "fail-on-oom"};
    size_t count = 0;
    (void)vs_options(&count);
    assert_int_equal(count, sizeof keys / sizeof keys[0]);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const vs_option *option = vs_option_find(vs_str_of(keys[i]));
        assert_non_null(option);
        assert_string_equal(option->key, keys[i]);
    }
}

static void the_table_stands_in_the_order_of_its_ids(void **state)
{
    (void)state;
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(options[i].id, i);
    }
}

static void every_option_says_what_it_takes_and_does(void **state)
{
    (void)state;
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    for (size_t i = 0; i < count; i++) {
        const size_t len = strlen(options[i].help);
        assert_true(len > 10 && options[i].help[len - 1] == '.');
        assert_true(options[i].kind == VS_OPT_FLAG || options[i].values[0] != '\0');
        assert_true(strlen(options[i].key) + 1 < VS_TEXT_BYTES);
        assert_null(strchr(options[i].key, '_'));
    }
}

static void dash_and_underscore_are_the_same_when_finding(void **state)
{
    (void)state;
    const vs_option *option = vs_option_find(vs_str_of("quant_experts"));
    assert_non_null(option);
    assert_ptr_equal(option, vs_option_find(vs_str_of("quant-experts")));
    assert_ptr_not_equal(option, vs_option_find(vs_str_of("quant")));
    assert_null(vs_option_find(vs_str_of("quant-expert")));
    assert_null(vs_option_find(vs_str_of("")));
    assert_null(vs_option_find(vs_str_of("--gpu")));
}

static void json_keys_are_snake_case(void **state)
{
    (void)state;
    char buf[VS_TEXT_BYTES] = {0};
    const vs_option *option = vs_option_find(vs_str_of("fail-on-oom"));
    assert_non_null(option);
    assert_string_equal(vs_option_json_key(option, buf), "fail_on_oom");
}

static void only_async_and_warmup_can_be_negated(void **state)
{
    (void)state;
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    for (size_t i = 0; i < count; i++) {
        const bool expected =
            strcmp(options[i].key, "async") == 0 || strcmp(options[i].key, "warmup") == 0;
        assert_int_equal(options[i].has_negation, expected);
    }
}

static void a_list_falls_into_its_pieces(void **state)
{
    (void)state;
    const vs_str list = vs_str_of(" rtx-4090 ,,24GiB");
    static const char *const expected[] = {"rtx-4090", "", "24GiB"};
    size_t pos = 0;
    size_t n = 0;
    vs_str piece = {0};
    while (n < 3 && vs_option_next_piece(list, &pos, &piece)) {
        assert_true(vs_str_is(piece, expected[n]));
        n++;
    }
    assert_false(vs_option_next_piece(list, &pos, &piece));
    assert_int_equal(n, 3);
}

static void every_setting_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(vs_loader_name(VS_LOADER_V5), "transformers-5");
    assert_string_equal(vs_loader_name(VS_LOADER_CLASSIC), "classic");
    assert_string_equal(vs_quant_name(VS_QUANT_BNB_NF4_DQ), "bnb-nf4-dq");
    assert_string_equal(vs_quant_experts_name(VS_QEXPERTS_AXOLOTL), "axolotl");
    assert_string_equal(vs_load_dtype_name(VS_LOAD_AUTO), "auto");
    assert_string_equal(vs_cache_name(VS_CACHE_WARM), "warm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_of_the_contract_is_in_the_table),
        cmocka_unit_test(the_table_stands_in_the_order_of_its_ids),
        cmocka_unit_test(every_option_says_what_it_takes_and_does),
        cmocka_unit_test(dash_and_underscore_are_the_same_when_finding),
        cmocka_unit_test(json_keys_are_snake_case),
        cmocka_unit_test(only_async_and_warmup_can_be_negated),
        cmocka_unit_test(a_list_falls_into_its_pieces),
        cmocka_unit_test(every_setting_has_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
