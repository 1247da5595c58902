/* cmd_scorecard_json.c - the scorecard as an object: vramscope.scorecard/1. */
#include "scorecard.h"

static void number(vs_jwriter *w, const char *key, bool is_there, uint64_t value)
{
    if (is_there) {
        vs_jw_u64(w, key, value);
    } else {
        vs_jw_null(w, key);
    }
}

static void values(vs_jwriter *w, const vs_score_figure *f)
{
    switch (vs_score_what_unit(f->what)) {
    case VS_SCORE_VERDICT:
        vs_jw_str(w, "measured_verdict", vs_verdict_name((vs_verdict)f->measured));
        vs_jw_str(w, "predicted_verdict",
                  f->has_predicted ? vs_verdict_name((vs_verdict)f->predicted) : NULL);
        break;
    case VS_SCORE_NS:
        vs_jw_u64(w, "measured_ns", f->measured);
        number(w, "predicted_ns", f->has_predicted, f->predicted);
        break;
    case VS_SCORE_BYTES:
        vs_jw_u64(w, "measured_bytes", f->measured);
        number(w, "predicted_bytes", f->has_predicted, f->predicted);
        break;
    }
}

static void write_figure(vs_jwriter *w, const vs_score_figure *f)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "figure", vs_score_what_name(f->what));
    number(w, "gpu", f->is_one_of_many, f->gpu);
    values(w, f);
    if (f->has_error) {
        vs_jw_i64(w, "error_ppm", f->error_ppm);
    } else {
        vs_jw_null(w, "error_ppm");
    }
    number(w, "tolerance_ppm", f->has_tolerance, f->tolerance_ppm);
    vs_jw_array(w, "as_right");
    for (uint32_t i = 0; i < f->other_count; i++) {
        vs_jw_u64(w, NULL, f->others[i]);
    }
    vs_jw_end(w);
    vs_jw_str(w, "fitted", f->fitted);
    vs_jw_str(w, "result", vs_score_result_name(f->result));
    vs_jw_end(w);
}

static void write_row(vs_jwriter *w, const vs_score_row *row)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "id", row->id);
    vs_jw_str(w, "kind", vs_score_kind_name(row->kind));
    vs_jw_str(w, "source", row->source);
    vs_jw_str(w, "notes", row->notes);
    vs_jw_str(w, "confidence", row->confidence[0] == '\0' ? NULL : row->confidence);
    vs_jw_u64(w, "weight_milli", row->weight_milli);
    vs_jw_array(w, "args");
    for (uint32_t i = 0; i < row->arg_count; i++) {
        vs_jw_str(w, NULL, row->args[i]);
    }
    vs_jw_end(w);
    vs_jw_str(w, "state", vs_score_state_name(row->state));
    vs_jw_str(w, "missing", row->missing[0] == '\0' ? NULL : row->missing);
    vs_jw_str(w, "reason", row->reason[0] == '\0' ? NULL : row->reason);
    vs_jw_str(w, "verdict", row->state == VS_ROW_JUDGED ? vs_verdict_name(row->verdict) : NULL);
    vs_jw_array(w, "figures");
    for (uint32_t i = 0; i < row->figure_count; i++) {
        write_figure(w, &row->figures[i]);
    }
    vs_jw_end(w);
    vs_jw_end(w);
}

static void write_median(vs_jwriter *w, const char *key, const vs_score_median *median)
{
    vs_jw_object(w, key);
    vs_jw_u64(w, "figures", median->figure_count);
    vs_jw_u64(w, "without_prediction", median->none_count);
    vs_jw_u64(w, "fitted", median->fitted_count);
    number(w, "median_error_ppm", median->figure_count > 0, median->median_ppm);
    vs_jw_end(w);
}

static void write_count(vs_jwriter *w, const char *key, uint32_t count, uint64_t weight_milli)
{
    vs_jw_object(w, key);
    vs_jw_u64(w, "cases", count);
    vs_jw_u64(w, "weight_milli", weight_milli);
    vs_jw_end(w);
}

static void write_summary(vs_jwriter *w, const vs_score_summary *s)
{
    const vs_score_verdicts *v = &s->verdicts;
    vs_jw_object(w, "summary");
    vs_jw_u64(w, "rows", s->row_count);
    vs_jw_u64(w, "sources", s->source_count);
    vs_jw_u64(w, "judged", s->judged);
    vs_jw_u64(w, "out_of_reach", s->out_of_reach);
    vs_jw_u64(w, "failed", s->failed);
    write_median(w, "memory", &s->memory);
    write_median(w, "time", &s->time);
    vs_jw_object(w, "verdicts");
    write_count(w, "right", v->right, v->right_milli);
    write_count(w, "wrong", v->wrong, v->wrong_milli);
    write_count(w, "out_of_reach", v->out_of_reach, v->out_of_reach_milli);
    write_count(w, "failed", v->failed, v->failed_milli);
    write_count(w, "every_figure_hits", v->whole, v->whole_milli);
    vs_jw_end(w);
    vs_jw_end(w);
}

void scorecard_json(vs_jwriter *w, const scorecard_report *report)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.scorecard/1");
    vs_jw_str(w, "version", VS_VERSION);
    vs_jw_array(w, "rows");
    for (uint32_t i = 0; i < report->sheet->count; i++) {
        write_row(w, &report->sheet->rows[i]);
    }
    vs_jw_end(w);
    write_summary(w, report->summary);
    vs_jw_end(w);
}
