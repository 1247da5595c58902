/* pool/conf.c: PYTORCH_CUDA_ALLOC_CONF, specs/torch-caching-allocator.md [1.3] and [11]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vramscope/pool.h"

static vs_alloc_conf parsed(vs_torch_version torch, const char *text)
{
    vs_err err = {0};
    vs_alloc_conf conf = vs_alloc_conf_default(torch);
    if (!vs_alloc_conf_parse(&conf, vs_str_of(text), &err)) {
        fail_msg("'%s' on %u: %s", text, torch, err.text);
    }
    return conf;
}

/* The error names what is wrong, and the options stay as they were. */
static void refused(vs_torch_version torch, const char *text, const char *part)
{
    vs_err err = {0};
    vs_alloc_conf conf = vs_alloc_conf_default(torch);
    conf.max_non_split_bytes = 12345;
    const vs_alloc_conf before = conf;
    if (vs_alloc_conf_parse(&conf, vs_str_of(text), &err)) {
        fail_msg("'%s' on %u was taken", text, torch);
    }
    if (strstr(err.text, part) == NULL) {
        fail_msg("'%s': the error says '%s', not '%s'", text, err.text, part);
    }
    assert_int_equal(err.code, VS_ERR_VALUE);
    assert_memory_equal(&conf, &before, sizeof conf);
}

static void an_empty_string_gives_the_defaults(void **state)
{
    (void)state;
    for (vs_torch_version torch = 200; torch <= 214; torch++) {
        const vs_alloc_conf conf = parsed(torch, "");
        assert_int_equal(conf.torch, torch);
        assert_true(conf.max_split_bytes == VS_POOL_UNLIMITED);
        assert_int_equal(conf.max_non_split_bytes, 20 * VS_MIB);
        assert_int_equal(conf.large_segment_bytes, 20 * VS_MIB);
        assert_true(conf.memory_fraction < 0.0 && conf.gc_threshold == 0.0);
        assert_false(conf.expandable_segments);
        for (unsigned i = 0; i < 16; i++) {
            assert_int_equal(conf.divisions[i], 0);
        }
    }
    assert_int_equal(vs_alloc_conf_default(0).torch, VS_TORCH_NEWEST);
}

static void every_option_with_an_effect_is_read(void **state)
{
    (void)state;
    const vs_alloc_conf conf =
        parsed(214, "backend:native,max_split_size_mb:512,max_non_split_rounding_mb:65,"
                    "garbage_collection_threshold:0.8,expandable_segments:True,"
                    "large_segment_size_mb:64,per_process_memory_fraction:0.25,"
                    "roundup_power2_divisions:8,expandable_segments_reserve:0.5");
    assert_int_equal(conf.max_split_bytes, 512 * VS_MIB);
    assert_int_equal(conf.max_non_split_bytes, 65 * VS_MIB);
    assert_int_equal(conf.large_segment_bytes, 64 * VS_MIB);
    assert_true(conf.gc_threshold == 0.8 && conf.memory_fraction == 0.25);
    assert_int_equal(conf.gc_threshold_ppm, 800000);
    assert_true(conf.expandable_segments);
    assert_int_equal(conf.divisions[0], 8);
    assert_int_equal(conf.divisions[15], 8);
    assert_int_equal(conf.reserve_ppm, 500000);
    assert_int_equal(parsed(214, "expandable_segments_reserve:40G").reserve_bytes, 40 * VS_GIB);
}

static void options_without_effect_on_placement_are_accepted(void **state)
{
    (void)state;
    (void)parsed(213, "release_lock_on_cudamalloc:True,pinned_use_cuda_host_register:False,"
                      "pinned_num_register_threads:128,pinned_use_background_threads:True,"
                      "pinned_reserve_segment_size_mb:100,pinned_max_round_threshold_mb:8,"
                      "pinned_max_cached_size_mb:9,pinned_free_catch_all:True,"
                      "graph_capture_record_stream_reuse:True");
}

static void blanks_are_ignored_even_inside_words(void **state)
{
    (void)state;
    const vs_alloc_conf conf = parsed(214, "  max_ split_size_mb : 5 12 , backend:native ,");
    assert_int_equal(conf.max_split_bytes, 512 * VS_MIB);
}

static void a_new_string_resets_some_options_and_keeps_others(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_alloc_conf conf =
        parsed(214, "max_split_size_mb:100,garbage_collection_threshold:0.5,"
                    "large_segment_size_mb:64,roundup_power2_divisions:4,"
                    "expandable_segments:True,per_process_memory_fraction:0.5");
    assert_true(vs_alloc_conf_parse(&conf, vs_str_of("backend:native"), &err));
    assert_true(conf.max_split_bytes == VS_POOL_UNLIMITED);
    assert_true(conf.gc_threshold == 0.0);
    assert_int_equal(conf.large_segment_bytes, 20 * VS_MIB);
    assert_int_equal(conf.divisions[3], 0);
    assert_true(conf.expandable_segments && conf.memory_fraction == 0.5);
}

static void the_non_split_slack_follows_the_large_segment(void **state)
{
    (void)state;
    assert_int_equal(parsed(211, "large_segment_size_mb:64").max_non_split_bytes, 64 * VS_MIB);
}

static void division_lists_fill_below_the_first_key_and_leave_gaps(void **state)
{
    (void)state;
    const vs_alloc_conf conf = parsed(210, "roundup_power2_divisions:[4:8,16:2,65536:4]");
    static const uint32_t expected[16] = {8, 8, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4};
    assert_memory_equal(conf.divisions, expected, sizeof expected);
}

static void the_rest_key_overwrites_the_last_slot_up_to_2_9_only(void **state)
{
    (void)state;
    static const char *const text = "roundup_power2_divisions:[4:8,8:2,16:4,>:1]";
    assert_int_equal(parsed(209, text).divisions[4], 1);
    assert_int_equal(parsed(210, text).divisions[4], 4);
    assert_int_equal(parsed(210, text).divisions[5], 1);
    assert_int_equal(parsed(210, text).divisions[3], 2);
}

static void zero_divisions_are_allowed_in_lists_from_2_4(void **state)
{
    (void)state;
    assert_int_equal(parsed(204, "roundup_power2_divisions:[1:0]").divisions[0], 0);
    refused(203, "roundup_power2_divisions:[1:0]", "a power of two");
    refused(214, "roundup_power2_divisions:0", "a power of two");
    refused(214, "roundup_power2_divisions:3", "a power of two");
    refused(214, "roundup_power2_divisions:[3:2]", "keys");
}

static void bounds_of_the_split_size_depend_on_the_release(void **state)
{
    (void)state;
    refused(209, "max_split_size_mb:20", "more than 20");
    assert_int_equal(parsed(209, "max_split_size_mb:21").max_split_bytes, 21 * VS_MIB);
    assert_int_equal(parsed(210, "max_split_size_mb:20").max_split_bytes, 20 * VS_MIB);
    refused(210, "max_split_size_mb:19", "at least 20");
    refused(211, "max_split_size_mb:63,large_segment_size_mb:64", "at least 64");
    refused(211, "max_non_split_rounding_mb:19", "at least 20");
    refused(211, "large_segment_size_mb:10", "more than 10");
}

static void an_option_from_a_later_release_is_named_as_such(void **state)
{
    (void)state;
    refused(200, "expandable_segments:True", "from PyTorch 2.1 on, not in 2.0");
    refused(209, "per_process_memory_fraction:0.5", "from PyTorch 2.10 on");
    refused(210, "large_segment_size_mb:64", "from PyTorch 2.11 on, not in 2.10");
}

static void unknown_options_suggest_the_nearest(void **state)
{
    (void)state;
    refused(214, "max_split_size_mp:64", "did you mean 'max_split_size_mb'");
    refused(214, "roundup_bypass_threshold_mb:64", "unknown option");
    refused(214, "a:1,,b:2", "unknown option 'a'");
    refused(214, "backend:native,,", "unknown option ','");
}

static void what_is_not_modelled_is_refused(void **state)
{
    (void)state;
    refused(214, "backend:cudaMallocAsync", "not modelled");
    refused(214, "throw_on_cudamalloc_oom:True", "not modelled");
    refused(214, "expandable_segments_reserve_by_class:x", "not modelled");
}

static void wrong_values_say_what_is_allowed(void **state)
{
    (void)state;
    refused(214, "expandable_segments:true", "True, False");
    refused(214, "garbage_collection_threshold:0", "more than 0 and less than 1");
    refused(214, "garbage_collection_threshold:1.0", "more than 0 and less than 1");
    refused(214, "garbage_collection_threshold:1e400", "more than 0 and less than 1");
    refused(214, "garbage_collection_threshold:nan", "more than 0 and less than 1");
    refused(214, "garbage_collection_threshold:0x0.8", "more than 0 and less than 1");
    refused(214, "garbage_collection_threshold:-0.5", "more than 0 and less than 1");
    refused(214, "per_process_memory_fraction:1.01", "0 to 1");
    refused(214, "max_split_size_mb:-1", "whole MiB");
    refused(214, "max_split_size_mb:2147483648", "whole MiB");
    refused(214, "max_split_size_mb:99999999999999999999", "whole MiB");
    refused(214, "pinned_num_register_threads:3", "a power of two up to 128");
    refused(214, "expandable_segments_reserve:0", "such as 0.5");
}

static void broken_syntax_is_an_error_with_its_place(void **state)
{
    (void)state;
    refused(214, "max_split_size_mb", "':'");
    refused(214, "max_split_size_mb:64 backend", "whole MiB");
    refused(214, "max_split_size_mb:64:65", "','");
    refused(214, "roundup_power2_divisions:[1:2", "',' or ']'");
    refused(214, "roundup_power2_divisions:[1:2]3", "','");
    refused(
        214,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1",
        "63 characters");
    vs_err err = {0};
    vs_alloc_conf conf = vs_alloc_conf_default(214);
    assert_false(vs_alloc_conf_parse(&conf, vs_str_of("backend:native,bogus:1"), &err));
    assert_true(err.has_offset);
    assert_int_equal(err.offset, 15);
}

static void an_earlier_error_is_kept(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_fail(&err, VS_ERR_IO, "first");
    vs_alloc_conf conf = vs_alloc_conf_default(214);
    assert_false(vs_alloc_conf_parse(&conf, vs_str_of("bogus:1"), &err));
    assert_string_equal(err.text, "first");
    assert_false(err.has_offset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_string_gives_the_defaults),
        cmocka_unit_test(every_option_with_an_effect_is_read),
        cmocka_unit_test(options_without_effect_on_placement_are_accepted),
        cmocka_unit_test(blanks_are_ignored_even_inside_words),
        cmocka_unit_test(a_new_string_resets_some_options_and_keeps_others),
        cmocka_unit_test(the_non_split_slack_follows_the_large_segment),
        cmocka_unit_test(division_lists_fill_below_the_first_key_and_leave_gaps),
        cmocka_unit_test(the_rest_key_overwrites_the_last_slot_up_to_2_9_only),
        cmocka_unit_test(zero_divisions_are_allowed_in_lists_from_2_4),
        cmocka_unit_test(bounds_of_the_split_size_depend_on_the_release),
        cmocka_unit_test(an_option_from_a_later_release_is_named_as_such),
        cmocka_unit_test(unknown_options_suggest_the_nearest),
        cmocka_unit_test(what_is_not_modelled_is_refused),
        cmocka_unit_test(wrong_values_say_what_is_allowed),
        cmocka_unit_test(broken_syntax_is_an_error_with_its_place),
        cmocka_unit_test(an_earlier_error_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
