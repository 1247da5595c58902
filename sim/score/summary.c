/* sim/score/summary.c - medians of the errors and the count of verdicts. */
#include "vramscope/score.h"

#include <stdlib.h>
#include <string.h>

/* Cases of one source share at most 5: forty reports of one benchmark are not forty witnesses. */
#define SOURCE_WEIGHT_MAX_MILLI UINT64_C(5000)

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? (uint64_t)-value : (uint64_t)value;
}

static uint64_t middle(uint64_t *errors, uint32_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(errors, count, sizeof *errors, by_size);
    const uint64_t upper = errors[count / 2];
    const uint64_t lower = errors[(count - 1) / 2];
    return lower + (upper - lower + 1) / 2;
}

static vs_score_median median_of(const vs_score_sheet *sheet, vs_score_kind kind,
                                 uint64_t *errors)
{
    vs_score_median out = {0};
    for (uint32_t i = 0; i < sheet->count; i++) {
        const vs_score_row *row = &sheet->rows[i];
        for (uint32_t k = 0;
             row->kind == kind && row->state == VS_ROW_JUDGED && k < row->figure_count; k++) {
            const vs_score_figure *f = &row->figures[k];
            if (f->fitted != NULL) {
                out.fitted_count++;
            } else if (f->has_error) {
                errors[out.figure_count++] = magnitude(f->error_ppm);
            } else if (!f->has_predicted) {
                out.none_count++;
            }
        }
    }
    out.median_ppm = middle(errors, out.figure_count);
    return out;
}

/* ---- verdicts ------------------------------------------------------------------------------------ */

static uint64_t weight_of_source(const vs_score_sheet *sheet, const char *source)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < sheet->count; i++) {
        const vs_score_row *row = &sheet->rows[i];
        if (row->kind == VS_SCORE_CASE && strcmp(row->source, source) == 0) {
            sum += row->weight_milli;
        }
    }
    return sum;
}

static uint64_t fair_weight(const vs_score_sheet *sheet, const vs_score_row *row)
{
    const uint64_t sum = weight_of_source(sheet, row->source);
    uint64_t weight = row->weight_milli;
    if (sum > SOURCE_WEIGHT_MAX_MILLI &&
        !vs_muldiv_u64(weight, SOURCE_WEIGHT_MAX_MILLI, sum, &weight)) {
        weight = 0; /* cannot be: both are small */
    }
    return weight;
}

/* The first figure of a case is its verdict. */
static bool is_right(const vs_score_row *row)
{
    return row->figure_count > 0 && row->figures[0].result == VS_SCORE_HIT;
}

static bool is_whole(const vs_score_row *row)
{
    for (uint32_t i = 0; i < row->figure_count; i++) {
        if (row->figures[i].result != VS_SCORE_HIT) {
            return false;
        }
    }
    return true;
}

static void count_case(vs_score_verdicts *out, const vs_score_row *row, uint64_t weight)
{
    switch (row->state) {
    case VS_ROW_OPEN: return;
    case VS_ROW_OUT_OF_REACH:
        out->out_of_reach++;
        out->out_of_reach_milli += weight;
        return;
    case VS_ROW_FAILED:
        out->failed++;
        out->failed_milli += weight;
        return;
    case VS_ROW_JUDGED: break;
    }
    if (is_right(row)) {
        out->right++;
        out->right_milli += weight;
    } else {
        out->wrong++;
        out->wrong_milli += weight;
    }
    if (is_whole(row)) {
        out->whole++;
        out->whole_milli += weight;
    }
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static bool is_new_source(const vs_score_sheet *sheet, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(sheet->rows[i].source, sheet->rows[index].source) == 0) {
            return false;
        }
    }
    return true;
}

bool vs_score_summarise(const vs_score_sheet *sheet, vs_arena *scratch, vs_score_summary *out,
                        vs_err *err)
{
    vs_score_summary sum = {.row_count = sheet->count};
    size_t figure_count = 0;
    for (uint32_t i = 0; i < sheet->count; i++) {
        const vs_score_row *row = &sheet->rows[i];
        figure_count += row->figure_count;
        sum.source_count += is_new_source(sheet, i);
        sum.judged += row->state == VS_ROW_JUDGED;
        sum.out_of_reach += row->state == VS_ROW_OUT_OF_REACH;
        sum.failed += row->state == VS_ROW_FAILED;
        if (row->kind == VS_SCORE_CASE) {
            count_case(&sum.verdicts, row, fair_weight(sheet, row));
        }
    }
    uint64_t *errors = VS_ARRAY(scratch, uint64_t, figure_count);
    if (errors == NULL) {
        return vs_fail_memory(err, scratch, "the medians");
    }
    sum.memory = median_of(sheet, VS_SCORE_MEMORY, errors);
    sum.time = median_of(sheet, VS_SCORE_TIME, errors);
    *out = sum;
    return true;
}
