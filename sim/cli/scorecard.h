/* cli/scorecard.h - pieces of `vramscope scorecard`. */
#ifndef VS_CLI_SCORECARD_H
#define VS_CLI_SCORECARD_H

#include "cli.h"

typedef struct {
    const vs_score_sheet *sheet;
    const vs_score_summary *summary;
    bool is_shipped; /* the facts built in, not a user's own */
    bool has_sources;
    vs_arena *arena; /* for the list of what is missing */
} scorecard_report;

/* cmd_scorecard_text.c; false when the arena is exhausted */
VS_MUST_CHECK bool scorecard_text(vs_outfile *out, const scorecard_report *report, vs_err *err);
/* cmd_scorecard_json.c */
void scorecard_json(vs_jwriter *w, const scorecard_report *report);

#endif /* VS_CLI_SCORECARD_H */
