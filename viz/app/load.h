/* viz/app/load.h - the runs named on the command line, ready to be looked at. */
#ifndef VS_VIZ_APP_LOAD_H
#define VS_VIZ_APP_LOAD_H

#include "viz/app/options.h"
#include "viz/view/source.h"

/* Owns the timelines; close with vs_runs_close. */
typedef struct {
    vs_timeline timelines[VS_ROWS_MAX];
    vs_source sources[VS_ROWS_MAX];
    uint32_t count;
    vs_arena
        arena; /* of the sources, of what was read, and of the simulated run when there is one */
    vs_arena scratch; /* of the readers */
    const char *notes
        [VS_ROWS_MAX]; /* what a reader had to say of a recording, in one line; NULL: nothing */
    void *stdin_image;
} vs_runs;

VS_MUST_CHECK bool vs_runs_open(vs_runs *runs, const vs_view_options *options, vs_err *err);
void vs_runs_close(vs_runs *runs);

/* Simulates a scenario file (app/scenario.c). timeline lives in arena. */
VS_MUST_CHECK bool vs_scenario_simulate(const char *path, vs_arena *arena,
                                        vs_timeline *timeline, vs_err *err);

#endif /* VS_VIZ_APP_LOAD_H */
