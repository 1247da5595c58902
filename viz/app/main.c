/* vramscope-view: draws tapes, in a window or into a file. The only viz code that prints. */
#include "viz/app/load.h"
#include "viz/app/options.h"
#include "viz/app/shot.h"
#include "viz/app/window.h"

#include <stdio.h>

enum { EXIT_DONE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

static int complain(const vs_err *err)
{
    char line[1024];
    (void)fprintf(stderr, "vramscope-view: %s\n", vs_err_line(err, line, sizeof line));
    return err->code == VS_ERR_USAGE ? EXIT_USAGE : EXIT_ERROR;
}

static int print_page(bool is_help, vs_err *err)
{
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return complain(err);
    }
    if (is_help) {
        vs_view_options_help(out);
    } else {
        vs_outfile_printf(out, "vramscope-view " VS_VERSION "\n");
    }
    return vs_outfile_commit(out, err) ? EXIT_DONE : complain(err);
}

/* A range that begins after every run has ended shows nothing. */
static bool check_range(const vs_view_options *options, const vs_runs *runs, vs_err *err)
{
    vs_ns end = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        end = runs->sources[i].tl->end_ns > end ? runs->sources[i].tl->end_ns : end;
    }
    if (!options->has_range || options->range_t0 <= end) {
        return true;
    }
    char first[VS_TEXT_BYTES];
    char last[VS_TEXT_BYTES];
    return vs_fail(err, VS_ERR_VALUE, "--range begins at %s, after the end of the run at %s",
                   vs_format_duration(options->range_t0, first), vs_format_duration(end, last));
}

int main(int argc, char **argv)
{
    static const vs_err no_error = {0};
    vs_err err = no_error;
    vs_view_options options;
    if (!vs_view_options_parse(&options, argc, argv, &err)) {
        complain(&err);
        return EXIT_USAGE;
    }
    if (options.wants_help || options.wants_version) {
        return print_page(options.wants_help, &err);
    }
    vs_runs runs;
    if (!vs_runs_open(&runs, &options, &err)) {
        return complain(&err);
    }
    if (!check_range(&options, &runs, &err)) {
        vs_runs_close(&runs);
        return complain(&err);
    }
    vs_font *font = vs_font_open(options.font, &err);
    bool is_ok = font != NULL;
    if (is_ok) {
        is_ok = options.shot != NULL ? vs_shot_write(&runs, &options, font, &err)
                                     : vs_window_run(&runs, &options, font, &err);
    }
    vs_font_close(font);
    vs_runs_close(&runs);
    return is_ok ? EXIT_DONE : complain(&err);
}
