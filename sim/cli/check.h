/* cli/check.h - what `vramscope check` found out, for its two reports. */
#ifndef VS_CLI_CHECK_H
#define VS_CLI_CHECK_H

#include "cli.h"

/* One of the two runs: where it is from and what it is. */
typedef struct {
    const char *path;
    const char *kind; /* "scenario", "PyTorch memory snapshot" */
    vs_timeline timeline;
    bool is_tape; /* path is a tape already */
    uint32_t gpu; /* among the GPUs of its tape */
    uint32_t gpu_count;
    uint32_t note_count;
    const char *const *notes;
} check_run;

typedef struct {
    check_run runs[VS_SIDES];
    vs_comparison cmp;
    vs_compare_axis axis; /* of the greatest disagreement and of the picture */
    bool has_curve;
    vs_live_difference live;
    uint64_t tolerance_ppm;
    /* What --strict goes by: the peaks of the compared figure are further apart than the tolerance, the verdicts differ, or
     * nothing could be compared. */
    bool is_peak_off;
    bool is_verdict_off;
    bool differs;
} check_report;

/* The peak's error as a share of the recorded peak. False when that is 0. */
VS_MUST_CHECK bool check_share(const vs_bytes bytes[VS_SIDES], uint64_t *out_ppm);
vs_bytes check_distance(const vs_bytes bytes[VS_SIDES]);
/* What is 100 % of a curve error: the recorded peak. */
vs_bytes check_peak(const check_report *r);
const char *check_ends_key(vs_compare_ends ends); /* "progress" */

void check_text(vs_outfile *out, const check_report *r);
void check_json(vs_jwriter *w, const check_report *r);

#endif /* VS_CLI_CHECK_H */
