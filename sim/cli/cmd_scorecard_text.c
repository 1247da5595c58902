/* cmd_scorecard_text.c - the scorecard as a table of at most 120 columns, one line a figure, medians last.
 *
 * What rows out of reach need is the same for many of them: it is numbered and told once, below the table. */
#include "scorecard.h"

#include <stdio.h>
#include <string.h>

#define ID_COLUMNS 24
#define PPM_TENTH  1000u /* a tenth of a percent */

typedef struct {
    vs_outfile *out;
    const scorecard_report *report;
    const char **notes; /* what is missing, each once, in the order of the table */
    uint32_t note_count;
} table;

/* The number of what a row needs, from 1. */
static uint32_t note_of(table *t, const char *missing)
{
    for (uint32_t i = 0; i < t->note_count; i++) {
        if (strcmp(t->notes[i], missing) == 0) {
            return i + 1;
        }
    }
    t->notes[t->note_count++] = missing;
    return t->note_count;
}

static const char *value(vs_score_unit unit, uint64_t number, char buf[VS_TEXT_BYTES])
{
    switch (unit) {
    case VS_SCORE_VERDICT: return vs_verdict_name((vs_verdict)number);
    case VS_SCORE_NS: return vs_format_duration(number, buf);
    case VS_SCORE_BYTES: break;
    }
    return vs_format_size(number, buf);
}

/* Millionths as "12.3 %". */
static const char *percent(uint64_t ppm, char buf[VS_TEXT_BYTES])
{
    const uint64_t tenths = ppm / PPM_TENTH + (ppm % PPM_TENTH >= PPM_TENTH / 2);
    (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " %%", tenths / 10, tenths % 10);
    return buf;
}

static const char *error(const vs_score_figure *f, char buf[VS_TEXT_BYTES])
{
    char amount[VS_TEXT_BYTES];
    if (!f->has_error) {
        return "-";
    }
    const uint64_t ppm = f->error_ppm < 0 ? (uint64_t)-f->error_ppm : (uint64_t)f->error_ppm;
    (void)percent(ppm, amount);
    const bool is_none = strcmp(amount, "0.0 %") == 0;
    (void)snprintf(buf, VS_TEXT_BYTES, "%s%.24s",
                   is_none            ? ""
                   : f->error_ppm < 0 ? "-"
                                      : "+",
                   amount);
    return buf;
}

/* The last column: what came of a figure, or why nothing did. */
static void outcome(table *t, const vs_score_row *row, const vs_score_figure *f, bool is_first)
{
    if (row->state == VS_ROW_OUT_OF_REACH) {
        if (is_first) {
            vs_outfile_printf(t->out, "  not in reach yet [%" PRIu32 "]",
                              note_of(t, row->missing));
        }
        return;
    }
    switch (f->result) {
    case VS_SCORE_OPEN:
    case VS_SCORE_COMPARED:
        vs_outfile_printf(t->out, "%s", f->fitted == NULL ? "" : "  fitted, see below");
        return;
    case VS_SCORE_HIT:
        vs_outfile_printf(t->out, "  hit%s",
                          f->other_count > 0 && f->predicted != f->measured
                              ? ", another request of the load"
                              : "");
        return;
    case VS_SCORE_NO_FIGURE: vs_outfile_printf(t->out, "  no such figure yet"); return;
    case VS_SCORE_MISS:
    case VS_SCORE_RESULT_COUNT: break;
    }
    vs_outfile_printf(t->out, "  MISS");
    if (!f->has_predicted) {
        vs_outfile_printf(t->out, ": the run ends \"%s\"", vs_verdict_name(row->verdict));
    }
}

static void write_figure(table *t, const vs_score_row *row, uint32_t index)
{
    const vs_score_figure *f = &row->figures[index];
    const vs_score_unit unit = vs_score_what_unit(f->what);
    char words[2 * VS_TEXT_BYTES];
    char predicted[VS_TEXT_BYTES];
    char measured[VS_TEXT_BYTES];
    char off[VS_TEXT_BYTES];
    const bool is_long = strlen(row->id) > ID_COLUMNS;
    if (index == 0 && is_long) {
        vs_outfile_printf(t->out, "%s\n", row->id);
    }
    (void)snprintf(words, sizeof words, "%s", vs_score_what_words(f->what));
    if (f->is_one_of_many) {
        (void)snprintf(words, sizeof words, "%s, GPU %" PRIu32, vs_score_what_words(f->what),
                       f->gpu);
    }
    vs_outfile_printf(t->out, "%-*s %-24s %11s %11s %10s", ID_COLUMNS,
                      index == 0 && !is_long ? row->id : "", words,
                      f->has_predicted ? value(unit, f->predicted, predicted) : "-",
                      value(unit, f->measured, measured), error(f, off));
    outcome(t, row, f, index == 0);
    vs_outfile_printf(t->out, "\n");
}

static void write_row(table *t, const vs_score_row *row)
{
    for (uint32_t i = 0; i < row->figure_count; i++) {
        write_figure(t, row, i);
    }
    if (row->figure_count == 0) {
        vs_outfile_printf(t->out, "%s\n", row->id);
    }
    if (row->state == VS_ROW_FAILED) {
        vs_outfile_printf(t->out, "%*sERROR: ", ID_COLUMNS + 1, "");
        cli_wrapped(t->out, row->reason, ID_COLUMNS + 1, ID_COLUMNS + 8);
    }
    if (t->report->has_sources) {
        vs_outfile_printf(t->out, "    %s\n", row->source);
    }
}

/* The rows that are cases, or those that are not. */
static void write_rows(table *t, const char *title, bool are_cases)
{
    bool is_first = true;
    for (uint32_t i = 0; i < t->report->sheet->count; i++) {
        const vs_score_row *row = &t->report->sheet->rows[i];
        if ((row->kind == VS_SCORE_CASE) != are_cases) {
            continue;
        }
        if (is_first) {
            vs_outfile_printf(t->out, "\n%-*s %-24s %11s %11s %10s\n", ID_COLUMNS, title,
                              "FIGURE", "PREDICTED", "MEASURED", "ERROR");
        }
        is_first = false;
        write_row(t, row);
    }
}

static void write_notes(const table *t)
{
    if (t->note_count > 0) {
        vs_outfile_printf(t->out, "\nNot in reach yet, for want of\n");
    }
    for (uint32_t i = 0; i < t->note_count; i++) {
        vs_outfile_printf(t->out, "  [%" PRIu32 "] ", i + 1);
        cli_wrapped(t->out, t->notes[i], 6, 6);
    }
}

/* Figures that constants of this program were fitted to are no test of it. */
static void write_fitted(const table *t)
{
    bool is_first = true;
    for (uint32_t i = 0; i < t->report->sheet->count; i++) {
        const vs_score_row *row = &t->report->sheet->rows[i];
        for (uint32_t k = 0; row->state == VS_ROW_JUDGED && k < row->figure_count; k++) {
            const vs_score_figure *f = &row->figures[k];
            if (f->fitted == NULL) {
                continue;
            }
            vs_outfile_printf(t->out, "%s  ",
                              is_first ? "\nFitted, so no test of this program and not in the "
                                         "medians\n"
                                       : "");
            vs_outfile_printf(t->out, "%s, %s: ", row->id, vs_score_what_words(f->what));
            cli_wrapped(t->out, f->fitted, 6,
                        6 + strlen(row->id) + strlen(vs_score_what_words(f->what)));
            is_first = false;
        }
    }
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

static void write_median(table *t, const char *words, const vs_score_median *m)
{
    char text[VS_TEXT_BYTES];
    if (m->figure_count == 0) {
        vs_outfile_printf(t->out, "  %-9s none in reach", words);
    } else {
        vs_outfile_printf(t->out, "  %-9s %s, of %" PRIu32 " figure%s", words,
                          percent(m->median_ppm, text), m->figure_count,
                          plural(m->figure_count));
    }
    if (m->none_count > 0) {
        vs_outfile_printf(t->out, "; %" PRIu32 " without a prediction", m->none_count);
    }
    vs_outfile_printf(t->out, "\n");
}

static void write_count(table *t, const char *words, uint32_t count, uint64_t weight_milli)
{
    vs_outfile_printf(t->out, "  %-17s %3" PRIu32 "   weight %2" PRIu64 ".%02" PRIu64 "\n",
                      words, count, weight_milli / 1000, weight_milli % 1000 / 10);
}

static void write_summary(table *t)
{
    const vs_score_summary *s = t->report->summary;
    const vs_score_verdicts *v = &s->verdicts;
    vs_outfile_printf(t->out,
                      "\n%" PRIu32 " row%s: %" PRIu32 " in reach, %" PRIu32 " not yet, %" PRIu32
                      " with an error\n",
                      s->row_count, plural(s->row_count), s->judged, s->out_of_reach,
                      s->failed);
    if (v->right + v->wrong + v->out_of_reach + v->failed > 0) {
        vs_outfile_printf(t->out, "Verdicts\n");
        write_count(t, "right", v->right, v->right_milli);
        write_count(t, "wrong", v->wrong, v->wrong_milli);
        write_count(t, "not in reach yet", v->out_of_reach, v->out_of_reach_milli);
        if (v->failed > 0) {
            write_count(t, "with an error", v->failed, v->failed_milli);
        }
        write_count(t, "every figure hits", v->whole, v->whole_milli);
    }
    vs_outfile_printf(t->out, "Median of the absolute errors\n");
    write_median(t, "memory", &s->memory);
    write_median(t, "time", &s->time);
}

bool scorecard_text(vs_outfile *out, const scorecard_report *report, vs_err *err)
{
    const vs_score_summary *s = report->summary;
    table t = {.out = out, .report = report};
    t.notes = VS_ARRAY(report->arena, const char *, report->sheet->count);
    if (t.notes == NULL) {
        return vs_fail_memory(err, report->arena, "the table");
    }
    vs_outfile_printf(out, "%" PRIu32 " published load%s from %" PRIu32 " source%s.%s\n",
                      s->row_count, plural(s->row_count), s->source_count,
                      plural(s->source_count),
                      report->is_shipped ? " Nothing here was measured by this project." : "");
    write_rows(&t, "LOAD", false);
    write_rows(&t, "REPORT", true);
    write_notes(&t);
    write_fitted(&t);
    write_summary(&t);
    return true;
}
