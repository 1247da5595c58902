/* viz/app/options.h - the command line of vramscope-view, from one table. */
#ifndef VS_VIZ_APP_OPTIONS_H
#define VS_VIZ_APP_OPTIONS_H

#include "viz/ui/layout.h"
#include "viz/ui/style.h"
#include "vramscope/study.h"

/* Strings are borrowed from argv. */
typedef struct {
    const char *tapes[VS_ROWS_MAX]; /* "-": standard input */
    uint32_t tape_count;
    const char *scenario;
    const char *shot; /* NULL: a window; "-": standard output */
    const char *font;
    const char *title;
    int32_t width, height;
    uint32_t scale_pct;
    vs_theme theme;
    bool has_range;
    vs_ns range_t0, range_t1;
    bool is_compare; /* two runs in one frame */
    bool has_axis;
    vs_compare_axis axis;
    vs_compare_align align;
    vs_compare_metric metric; /* VS_COMPARE_METRIC_COUNT: what both have */
    uint32_t gpu_index;
    bool wants_help, wants_version;
} vs_view_options;

/* False with VS_ERR_USAGE (or the error of a value). */
VS_MUST_CHECK bool vs_view_options_parse(vs_view_options *options, int argc, char **argv,
                                         vs_err *err);
void vs_view_options_help(vs_outfile *out);

/* "250ms", "1.5 s", "2min", "3" (seconds), whole or decimal, to the nanosecond. */
VS_MUST_CHECK bool vs_parse_duration(vs_str text, vs_ns *out, vs_err *err);

#endif /* VS_VIZ_APP_OPTIONS_H */
