/* cmd_sim.c - `vramscope sim`: one load, simulated and reported. */
#include "cli.h"

#include <stdio.h>
#include <unistd.h>

static bool print_scenario(const vs_scenario *scenario, vs_err *err)
{
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    vs_jwriter w = vs_jwriter_of(out, false);
    vs_scenario_write(scenario, &w, NULL);
    return vs_outfile_commit(out, err);
}

static bool write_json(const char *path, const cli_run *run, vs_err *err)
{
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    vs_jwriter w = vs_jwriter_of(out, false);
    cli_report_json(&w, NULL, run);
    return vs_outfile_commit(out, err);
}

static bool write_text(const cli_run *run, vs_err *err)
{
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    cli_report_text(out, run, cli_is_utf8());
    return vs_outfile_commit(out, err);
}

/* The viewer reads a tape: the one asked for, or one that lives as long as the drawing takes. */
static bool draw(cli *c, const char *path, const vs_timeline *timeline, const char *tape,
                 vs_err *err)
{
    const char *temporary = NULL;
    if (tape == NULL) {
        temporary = cli_temporary_tape(c, 1);
        if (temporary == NULL) {
            return vs_fail_memory(err, &c->inputs, "the picture");
        }
        if (!vs_timeline_write(timeline, temporary, err)) {
            return false;
        }
        tape = temporary;
    }
    const cli_picture picture = {.path = path, .tapes = &tape, .tape_count = 1};
    const bool is_drawn = cli_draw(c, &picture, err);
    if (temporary != NULL) {
        (void)unlink(temporary);
    }
    return is_drawn;
}

static bool write_outputs(cli *c, const cli_args *args, const cli_run *run, vs_err *err)
{
    if (!cli_write_files(c, args, run->timeline, err)) {
        return false;
    }
    if (args->png != NULL && !draw(c, args->png, run->timeline, args->tape, err)) {
        return false;
    }
    if (args->svg != NULL && !draw(c, args->svg, run->timeline, args->tape, err)) {
        return false;
    }
    if (args->json != NULL && !write_json(args->json, run, err)) {
        return false;
    }
    return args->is_quiet || write_text(run, err);
}

static bool simulate(cli *c, const cli_args *args, bool *out_is_oom, vs_err *err)
{
    cli_inputs inputs = {0};
    vs_run_result result = {0};
    vs_timeline timeline = {0};
    vs_fix_list fixes = {0};
    if (!cli_resolve_machine(c, &inputs.machine, &args->scenario, err) ||
        !cli_read_model(c, &inputs.model, args->scenario.model, err)) {
        return false;
    }
    const vs_run_input input = {
        .model = &inputs.model, .machine = &inputs.machine, .scenario = &args->scenario};
    if (!vs_run(&c->run, &input, &result, &timeline, err)) {
        return false;
    }
    if (result.verdict == VS_VERDICT_OOM &&
        !vs_run_fixes(&c->scratch, &c->inputs, &input, &result, &fixes, err)) {
        return false;
    }
    const vs_scenario resolved = cli_resolved(&args->scenario, &result);
    *out_is_oom = result.verdict != VS_VERDICT_FITS;
    if (args->print_scenario) {
        return print_scenario(&resolved, err);
    }
    const cli_run run = {.model = &inputs.model,
                         .scenario = &resolved,
                         .result = &result,
                         .timeline = &timeline,
                         .fixes = fixes.fixes,
                         .fix_count = fixes.count};
    return write_outputs(c, args, &run, err);
}

/* What would be ignored is refused. */
static bool check_args(const cli_args *args, vs_err *err)
{
    if (args->vary_count > 0) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--vary: sim runs one scenario; use `vramscope compare` for several");
    }
    if (args->tensors) {
        return vs_fail(err, VS_ERR_USAGE, "--tensors belongs to `vramscope inspect`");
    }
    if (args->print_scenario &&
        (args->json != NULL || args->tape != NULL || args->trace != NULL || args->csv != NULL ||
         args->snapshot != NULL || args->png != NULL || args->svg != NULL)) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--print-scenario writes the scenario and stops: leave --json and the "
                       "other outputs out, or leave it out");
    }
    return true;
}

int cmd_sim(cli *c, int argc, char **argv)
{
    cli_args args = {0};
    vs_err err = {0};
    bool is_oom = false;
    if (!cli_parse(c, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"sim"}});
    }
    if (!check_args(&args, &err) || !simulate(c, &args, &is_oom, &err)) {
        return cli_error(&err);
    }
    return is_oom && args.fail_on_oom ? EXIT_OOM : EXIT_OK;
}
