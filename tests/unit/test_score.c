/* tests/unit/test_score.c - sim/score/: facts read, figures judged, medians and verdicts counted. */
#include "vramscope/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define FACTS "../shared/facts/"

static vs_score_sheet facts(scratch *s, const char *text)
{
    vs_score_sheet sheet = {0};
    vs_err err = {0};
    if (!vs_score_read(&sheet, &s->arena, text, strlen(text), "facts.json", &err)) {
        scratch_fail(&err);
    }
    return sheet;
}

static void expect_error(scratch *s, const char *text, const char *says)
{
    vs_score_sheet sheet = {0};
    vs_err err = {0};
    assert_false(vs_score_read(&sheet, &s->arena, text, strlen(text), "facts.json", &err));
    assert_error_says(&err, "facts.json");
    assert_error_says(&err, says);
    assert_int_equal(sheet.count, 0);
}

static const char *entry(scratch *s, const char *rest)
{
    return vs_arena_printf(
        &s->arena, "{\"entries\":[{\"id\":\"a\",\"source\":\"u\",\"args\":[\"sim\"],%s}]}",
        rest);
}

static const char *one_case(scratch *s, const char *expect)
{
    return vs_arena_printf(&s->arena,
                           "{\"cases\":[{\"id\":\"a\",\"source\":\"u\",\"args\":[\"sim\"],"
                           "\"expect\":{%s}}]}",
                           expect);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static void printed_decimals_become_bytes_and_nanoseconds(void **state)
{
    const vs_score_sheet sheet = facts(
        *state, entry(*state, "\"kind\":\"time\",\"gb_bytes\":1073741824,\"measured\":"
                              "{\"load_s\":12.466,\"s_per_token\":0.05,\"cpu_gb\":14.1}"));
    const vs_score_row *row = &sheet.rows[0];
    assert_int_equal(sheet.count, 1);
    assert_int_equal(row->kind, VS_SCORE_TIME);
    assert_int_equal(row->figure_count, 3);
    assert_int_equal(row->figures[0].what, VS_SF_LOAD);
    assert_int_equal(row->figures[0].measured, UINT64_C(12466000000));
    assert_int_equal(row->figures[1].measured, 50000000);
    assert_int_equal(row->figures[2].what, VS_SF_HOST_WEIGHTS);
    assert_int_equal(row->figures[2].measured, UINT64_C(15139759718)); /* 14.1 GiB, floored */
    assert_false(row->figures[0].has_tolerance);
}

static void a_figure_says_what_was_fitted_to_it(void **state)
{
    const vs_score_sheet sheet =
        facts(*state, entry(*state, "\"kind\":\"time\",\"fitted\":{\"load_s\":\"a rate\"},"
                                    "\"measured\":{\"load_s\":1,\"s_per_token\":1}"));
    assert_string_equal(sheet.rows[0].figures[0].fitted, "a rate");
    assert_null(sheet.rows[0].figures[1].fitted);
    expect_error(*state,
                 entry(*state, "\"kind\":\"time\",\"fitted\":{\"speed\":\"a rate\"},"
                               "\"measured\":{\"load_s\":1}"),
                 "fitted.speed");
}

static void a_list_is_a_figure_for_every_card(void **state)
{
    const vs_score_sheet sheet =
        facts(*state, entry(*state, "\"kind\":\"memory\",\"gb_bytes\":1000,\"measured\":"
                                    "{\"gpu_used_gb\":[11.7,0]}"));
    const vs_score_row *row = &sheet.rows[0];
    assert_int_equal(row->figure_count, 2);
    assert_int_equal(row->figures[0].measured, 11700);
    assert_int_equal(row->figures[1].measured, 0);
    assert_int_equal(row->figures[1].gpu, 1);
    assert_true(row->figures[1].is_one_of_many);
    assert_int_equal(row->figures[1].what, VS_SF_PEAK_ALLOCATED);
}

static void a_case_has_its_verdict_first_and_what_is_null_not_at_all(void **state)
{
    const vs_score_sheet sheet = facts(
        *state, one_case(*state, "\"verdict\":\"oom\",\"tried_to_allocate_mib\":86,"
                                 "\"tried_any_of_mib\":[86,32],\"oom_allocated_mib\":11233.28,"
                                 "\"used_mib\":null,\"used_tolerance\":0.05"));
    const vs_score_row *row = &sheet.rows[0];
    assert_int_equal(row->kind, VS_SCORE_CASE);
    assert_int_equal(row->weight_milli, 1000);
    assert_int_equal(row->figure_count, 3);
    assert_int_equal(row->figures[0].what, VS_SF_VERDICT);
    assert_int_equal(row->figures[0].measured, VS_VERDICT_OOM);
    assert_int_equal(row->figures[1].what, VS_SF_TRIED);
    assert_int_equal(row->figures[1].measured, 86 * VS_MIB);
    assert_int_equal(row->figures[1].other_count, 2);
    assert_int_equal(row->figures[1].tolerance_ppm, 0);
    assert_int_equal(row->figures[2].what, VS_SF_OOM_ALLOCATED);
    assert_int_equal(row->figures[2].measured, UINT64_C(11778947809)); /* 11233.28 MiB */
    assert_int_equal(row->figures[2].tolerance_ppm, 50000);
}

static void the_metric_says_which_counter(void **state)
{
    static const struct {
        const char *name;
        vs_score_what what;
    } metrics[] = {{"allocated", VS_SF_PEAK_ALLOCATED},
                   {"reserved", VS_SF_PEAK_RESERVED},
                   {"end", VS_SF_FINAL_ALLOCATED},
                   {"resident", VS_SF_RESIDENT},
                   {"unknown", VS_SF_PEAK_ANY}};

    scratch *s = *state;
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const char *expect = vs_arena_printf(&s->arena,
                                             "\"verdict\":\"fits\",\"used_mib\":1,"
                                             "\"used_metric\":\"%s\"",
                                             metrics[i].name);
        const vs_score_sheet sheet = facts(s, one_case(s, expect));
        assert_int_equal(sheet.rows[0].figures[1].what, metrics[i].what);
    }
}

static void ram_has_the_tolerance_of_the_card_unless_it_has_its_own(void **state)
{
    const vs_score_sheet own =
        facts(*state, one_case(*state, "\"verdict\":\"fits\",\"cpu_used_mib\":1,"
                                       "\"used_tolerance\":0.06,\"cpu_tolerance\":0.1"));
    const vs_score_sheet other = facts(
        *state,
        one_case(*state, "\"verdict\":\"fits\",\"cpu_used_mib\":1,\"used_tolerance\":0.06"));
    assert_int_equal(own.rows[0].figures[1].tolerance_ppm, 100000);
    assert_int_equal(other.rows[0].figures[1].tolerance_ppm, 60000);
}

static void a_config_and_a_host_come_with_the_row(void **state)
{
    const vs_score_sheet sheet = facts(
        *state, "{\"configs\":{\"x\":{\"model_type\":\"llama\"}},\"cases\":[{\"id\":\"a\","
                "\"source\":\"u\",\"args\":[\"sim\",\"CONFIG:x\"],\"host\":{\"cores\":3},"
                "\"weight\":0.25,\"expect\":{\"verdict\":\"oom\"}}]}");
    assert_non_null(strstr(sheet.rows[0].config_text, "llama"));
    assert_non_null(strstr(sheet.rows[0].host_text, "cores"));
    assert_int_equal(sheet.rows[0].weight_milli, 250);
}

static void a_second_file_adds_its_rows(void **state)
{
    scratch *s = *state;
    const char *text = one_case(s, "\"verdict\":\"oom\"");
    vs_score_sheet sheet = facts(s, text);
    assert_true(vs_score_read(&sheet, &s->arena, text, strlen(text), "b.json", NULL));
    assert_int_equal(sheet.count, 2);
    assert_string_equal(sheet.rows[1].id, "a");
}

static void what_is_no_fact_is_an_error_with_its_place(void **state)
{
    scratch *s = *state;
    expect_error(s, "[]", "expected an object");
    expect_error(s, "{}", "neither entries nor cases");
    expect_error(s, "{\"format\":\"vramscope.run/1\"}", "no facts file");
    expect_error(s, "{\"cases\":[{\"id\":\"a\"}]}", "source");
    expect_error(s, "{\"cases\":[{\"id\":\"a\",\"source\":\"u\"}]}", "needs args");
    expect_error(s, one_case(s, "\"verdict\":\"maybe\""), "no verdict");
    expect_error(s, one_case(s, "\"verdict\":\"oom\",\"peak\":3"), "$.cases[0].expect.peak");
    expect_error(s, one_case(s, "\"verdict\":\"oom\",\"used_metric\":\"rss\""), "used_metric");
    expect_error(s, one_case(s, "\"verdict\":\"oom\",\"used_mib\":-1"), "used_mib");
    expect_error(s, entry(s, "\"kind\":\"speed\""), "\"memory\" or \"time\"");
    expect_error(s, entry(s, "\"kind\":\"time\",\"measured\":{\"load\":1}"), "measured.load");
    expect_error(s, entry(s, "\"kind\":\"time\",\"measured\":{\"cpu_gb\":1}"), "gb_bytes");
    expect_error(s,
                 "{\"cases\":[{\"id\":\"a\",\"source\":\"u\",\"args\":[\"sim\",\"CONFIG:x\"],"
                 "\"expect\":{\"verdict\":\"oom\"}}]}",
                 "CONFIG:x");
}

/* ---- judging ------------------------------------------------------------------------------------- */

static vs_run_result fitting_run(void)
{
    vs_run_result r = {.verdict = VS_VERDICT_FITS, .gpu_count = 1, .load_ns = 11 * VS_MIB};
    r.gpus[0].peak_memory_allocated_bytes = 1000;
    r.gpus[0].peak_reserved_bytes = 2000;
    r.gpus[0].peak_used_bytes = 3000;
    r.gpus[0].final_memory_allocated_bytes = 900;
    return r;
}

static vs_score_figure judge(const vs_score_figure *figure, const vs_run_result *result)
{
    vs_score_figure figures[1] = {*figure};
    vs_score_row row = {.figures = figures, .figure_count = 1};
    vs_score_judge(&row, result);
    assert_int_equal(row.state, VS_ROW_JUDGED);
    assert_int_equal(row.verdict, result->verdict);
    return figures[0];
}

static void without_a_tolerance_the_error_is_the_statement(void **state)
{
    (void)state;
    const vs_run_result run = fitting_run();
    const vs_score_figure less =
        judge(&(vs_score_figure){.what = VS_SF_PEAK_RESERVED, .measured = 2500}, &run);
    const vs_score_figure more =
        judge(&(vs_score_figure){.what = VS_SF_FINAL_ALLOCATED, .measured = 600}, &run);
    const vs_score_figure nothing =
        judge(&(vs_score_figure){.what = VS_SF_FINAL_ALLOCATED, .measured = 0}, &run);
    assert_int_equal(less.result, VS_SCORE_COMPARED);
    assert_int_equal(less.predicted, 2000);
    assert_int_equal(less.error_ppm, -200000);
    assert_int_equal(more.error_ppm, 500000);
    assert_false(nothing.has_error);
    assert_true(nothing.has_predicted);
}

static void a_tolerance_is_relative_to_what_was_measured(void **state)
{
    (void)state;
    const vs_run_result run = fitting_run();
    vs_score_figure f = {.what = VS_SF_PEAK_ALLOCATED, .has_tolerance = true};
    f.tolerance_ppm = 50000;
    f.measured = 952; /* 952 + 47 < 1000 */
    assert_int_equal(judge(&f, &run).result, VS_SCORE_MISS);
    f.measured = 953; /* 953 + 47 = 1000 */
    assert_int_equal(judge(&f, &run).result, VS_SCORE_HIT);
    f.measured = 1053; /* 1053 - 52 > 1000 */
    assert_int_equal(judge(&f, &run).result, VS_SCORE_MISS);
    f.extra_bytes = 53; /* is not in the scenario */
    assert_int_equal(judge(&f, &run).predicted, 1053);
    assert_int_equal(judge(&f, &run).result, VS_SCORE_HIT);
}

static void an_unknown_counter_is_right_from_allocated_to_used(void **state)
{
    (void)state;
    const vs_run_result run = fitting_run();
    vs_score_figure f = {.what = VS_SF_PEAK_ANY, .has_tolerance = true, .measured = 2222};
    assert_int_equal(judge(&f, &run).predicted, 2222);
    assert_int_equal(judge(&f, &run).error_ppm, 0);
    f.measured = 4000;
    assert_int_equal(judge(&f, &run).predicted, 3000);
    assert_int_equal(judge(&f, &run).error_ppm, -250000);
    f.measured = 800;
    assert_int_equal(judge(&f, &run).predicted, 1000);
    assert_int_equal(judge(&f, &run).result, VS_SCORE_MISS);
}

static void a_failed_request_may_be_any_of_several(void **state)
{
    (void)state;
    vs_run_result run = {.verdict = VS_VERDICT_OOM, .has_oom = true};
    vs_score_figure f = {
        .what = VS_SF_TRIED, .has_tolerance = true, .measured = 100, .digit = 4};
    run.oom.attempted_bytes = 102; /* half of the last digit printed */
    assert_int_equal(judge(&f, &run).result, VS_SCORE_HIT);
    run.oom.attempted_bytes = 103;
    assert_int_equal(judge(&f, &run).result, VS_SCORE_MISS);
    f.others[0] = 104;
    f.other_count = 1;
    assert_int_equal(judge(&f, &run).result, VS_SCORE_HIT);
    run.oom.attempted_bytes = 208;
    assert_int_equal(judge(&f, &run).error_ppm, 1000000); /* from the nearer of the two */
}

static void what_the_run_does_not_have_is_a_miss_and_what_we_lack_is_said(void **state)
{
    (void)state;
    const vs_run_result run = fitting_run();
    const vs_run_result oom = {.verdict = VS_VERDICT_OOM, .has_oom = true, .gpu_count = 1};
    const vs_score_figure tried = {.what = VS_SF_TRIED, .measured = 5};
    const vs_score_figure load = {.what = VS_SF_LOAD, .measured = 5};
    const vs_score_figure second = {.what = VS_SF_PEAK_RESERVED, .gpu = 1, .measured = 5};
    const vs_score_figure token = {.what = VS_SF_PER_TOKEN, .measured = 5};
    assert_int_equal(judge(&tried, &run).result, VS_SCORE_MISS);
    assert_int_equal(judge(&load, &oom).result, VS_SCORE_MISS);
    assert_false(judge(&load, &oom).has_predicted);
    assert_false(judge(&load, &oom).has_error);
    assert_int_equal(judge(&second, &run).result, VS_SCORE_NO_FIGURE);
    assert_int_equal(judge(&token, &run).result, VS_SCORE_NO_FIGURE);
}

static void errors_of_any_size_have_a_number(void **state)
{
    (void)state;
    vs_run_result run = fitting_run();
    run.load_ns = UINT64_MAX;
    const vs_score_figure f = {.what = VS_SF_LOAD, .measured = 1};
    assert_true(judge(&f, &run).error_ppm == INT64_MAX);
}

/* ---- summary ------------------------------------------------------------------------------------- */

static vs_score_summary summarise(scratch *s, vs_score_row *rows, uint32_t count)
{
    vs_score_summary sum = {0};
    const vs_score_sheet sheet = {.rows = rows, .count = count};
    assert_true(vs_score_summarise(&sheet, &s->arena, &sum, NULL));
    return sum;
}

static void a_median_is_of_absolute_errors_in_reach(void **state)
{
    vs_score_figure figures[] = {
        {.has_error = true, .has_predicted = true, .error_ppm = -400},
        {.has_error = true, .has_predicted = true, .error_ppm = 100},
        {.has_error = true, .has_predicted = true, .error_ppm = 9},
        {.has_error = true, .has_predicted = true, .error_ppm = 201},
        {.result = VS_SCORE_MISS},
        {.has_error = true, .has_predicted = true, .error_ppm = 7, .fitted = "a rate"}};
    vs_score_row rows[] = {{.source = "u",
                            .kind = VS_SCORE_MEMORY,
                            .state = VS_ROW_JUDGED,
                            .figures = figures,
                            .figure_count = 3},
                           {.source = "u",
                            .kind = VS_SCORE_MEMORY,
                            .state = VS_ROW_OUT_OF_REACH,
                            .figures = figures,
                            .figure_count = 3},
                           {.source = "v",
                            .kind = VS_SCORE_TIME,
                            .state = VS_ROW_JUDGED,
                            .figures = figures,
                            .figure_count = 6}};
    const vs_score_summary sum = summarise(*state, rows, 3);
    assert_int_equal(sum.memory.figure_count, 3);
    assert_int_equal(sum.memory.median_ppm, 100);
    assert_int_equal(sum.time.figure_count, 4);
    assert_int_equal(sum.time.median_ppm, 151); /* (100 + 201) / 2, rounded up */
    assert_int_equal(sum.time.none_count, 1);
    assert_int_equal(sum.time.fitted_count, 1);
    assert_int_equal(sum.source_count, 2);
    assert_int_equal(sum.judged, 2);
    assert_int_equal(sum.out_of_reach, 1);
}

static void cases_of_one_source_share_at_most_five(void **state)
{
    vs_score_figure hit = {.result = VS_SCORE_HIT};
    vs_score_figure miss[2] = {{.result = VS_SCORE_HIT}, {.result = VS_SCORE_MISS}};
    vs_score_row rows[12] = {0};
    for (uint32_t i = 0; i < 12; i++) {
        rows[i] = (vs_score_row){.source = i < 10 ? "much" : "little",
                                 .kind = VS_SCORE_CASE,
                                 .state = VS_ROW_JUDGED,
                                 .weight_milli = 1000,
                                 .figures = i == 11 ? miss : &hit,
                                 .figure_count = i == 11 ? 2 : 1};
    }
    rows[0].state = VS_ROW_FAILED;
    const vs_score_summary sum = summarise(*state, rows, 12);
    assert_int_equal(sum.verdicts.right, 11);
    assert_int_equal(sum.verdicts.right_milli, 9 * 500 + 2000);
    assert_int_equal(sum.verdicts.whole, 10);
    assert_int_equal(sum.verdicts.failed, 1);
    assert_int_equal(sum.verdicts.failed_milli, 500);
    assert_int_equal(sum.failed, 1);
}

/* ---- what is shipped -------------------------------------------------------------------------------- */

static void everything_shipped_is_read(void **state)
{
    scratch *s = *state;
    vs_score_sheet sheet = {0};
    vs_err err = {0};
    if (!vs_score_read_shipped(&sheet, &s->arena, &err)) {
        scratch_fail(&err);
    }
    assert_int_equal(sheet.count, 41);
    for (uint32_t i = 0; i < sheet.count; i++) {
        assert_true(sheet.rows[i].figure_count > 0);
        assert_true(vs_str_starts(vs_str_of(sheet.rows[i].source), "https://"));
    }
}

static vs_json shipped(const char *name)
{
    vs_json doc = {0};
    for (size_t i = 0; i < vs_embedded_count; i++) {
        if (strcmp(vs_embedded_files[i].name, name) == 0) {
            assert_true(vs_json_parse(&doc, vs_embedded_files[i].text,
                                      vs_embedded_files[i].text_bytes, name, NULL));
        }
    }
    assert_non_null(doc.root);
    return doc;
}

/* Every member but host, which is written here as HOST.json writes it. */
static void assert_same_row(const vs_jnode *theirs, const vs_jnode *ours)
{
    for (vs_jnode m = vs_json_first(theirs); m.node != NULL; m = vs_json_next(&m)) {
        const vs_jnode mine = vs_json_member(ours, vs_json_key(&m));
        if (strcmp(vs_json_key(&m), "host") != 0) {
            assert_true(vs_json_equal(&m, &mine));
        }
    }
}

static void assert_same_rows(const char *facts, const char *name, const char *key)
{
    vs_json theirs = {0};
    vs_json ours = shipped(name);
    assert_true(vs_json_read(&theirs, facts, NULL));
    const vs_jnode their_root = vs_json_root(&theirs);
    const vs_jnode our_root = vs_json_root(&ours);
    const vs_jnode their_rows = vs_json_member(&their_root, key);
    const vs_jnode our_rows = vs_json_member(&our_root, key);
    assert_int_equal(vs_json_count(&their_rows), vs_json_count(&our_rows));
    vs_jnode ours_at = vs_json_first(&our_rows);
    for (vs_jnode i = vs_json_first(&their_rows); i.node != NULL; i = vs_json_next(&i)) {
        assert_same_row(&i, &ours_at);
        ours_at = vs_json_next(&ours_at);
    }
    vs_json_close(&theirs);
    vs_json_close(&ours);
}

static void what_is_shipped_is_what_was_published(void **state)
{
    (void)state;
    if (access(FACTS "scorecard-dev.json", R_OK) != 0) {
        print_message("skipped: " FACTS " is not here\n");
        skip();
    }
    assert_same_rows(FACTS "scorecard-dev.json", "scorecard.json", "entries");
    assert_same_rows(FACTS "verdict-cases-dev.json", "verdict-cases.json", "cases");
    assert_same_rows(FACTS "verdict-cases-dev.json", "verdict-cases.json", "configs");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(printed_decimals_become_bytes_and_nanoseconds),
        TEST(a_figure_says_what_was_fitted_to_it),
        TEST(a_list_is_a_figure_for_every_card),
        TEST(a_case_has_its_verdict_first_and_what_is_null_not_at_all),
        TEST(the_metric_says_which_counter),
        TEST(ram_has_the_tolerance_of_the_card_unless_it_has_its_own),
        TEST(a_config_and_a_host_come_with_the_row),
        TEST(a_second_file_adds_its_rows),
        TEST(what_is_no_fact_is_an_error_with_its_place),
        TEST(without_a_tolerance_the_error_is_the_statement),
        TEST(a_tolerance_is_relative_to_what_was_measured),
        TEST(an_unknown_counter_is_right_from_allocated_to_used),
        TEST(a_failed_request_may_be_any_of_several),
        TEST(what_the_run_does_not_have_is_a_miss_and_what_we_lack_is_said),
        TEST(errors_of_any_size_have_a_number),
        TEST(a_median_is_of_absolute_errors_in_reach),
        TEST(cases_of_one_source_share_at_most_five),
        TEST(everything_shipped_is_read),
        TEST(what_is_shipped_is_what_was_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
