/* cmd_compare.c - `vramscope compare`: every combination of the varied settings, one row each.
 *
 * The last --vary turns fastest, like the digits of a number. A row that cannot be simulated (settings that exclude
 * each other) stops the command with that combination named: a silent gap in a table would be worse. */
#include "cli.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* What is kept of a run when its arena is reset for the next. */
typedef struct {
    const char *label;  /* "dtype=fp32 async=on" */
    const char *reason; /* "" when it fits */
    const char *tape;   /* written for the picture or asked for, NULL: none */
    vs_verdict verdict;
    vs_bytes peak_used_bytes, final_reserved_bytes, host_peak_bytes, disk_read_bytes;
    vs_ns load_ns;
    uint32_t consumed_ppm;
} row;

typedef struct {
    cli *c;
    const cli_args *args;
    vs_model model;
    row *rows;
    uint32_t count, total;
    vs_outfile *json;
    vs_jwriter writer;
    bool is_oom;
    time_t started;
} comparison;

static bool count_rows(comparison *cmp, vs_err *err)
{
    uint64_t total = 1;
    for (uint32_t i = 0; i < cmp->args->vary_count; i++) {
        total *= cmp->args->varies[i].count;
        if (total > 4096) {
            return vs_fail(err, VS_ERR_LIMIT,
                           "compare: more than 4096 combinations; vary fewer settings at once");
        }
    }
    cmp->total = (uint32_t)total;
    cmp->rows = VS_ARRAY(&cmp->c->inputs, row, total);
    return cmp->rows != NULL || vs_fail_memory(err, &cmp->c->inputs, "the comparison");
}

/* The settings of combination `index`, and its label. */
static bool combine(comparison *cmp, uint32_t index, vs_scenario *scenario, const char **label,
                    vs_err *err)
{
    vs_arena *arena = &cmp->c->inputs;
    const char *text = "";
    uint32_t below = cmp->total;
    for (uint32_t i = 0; i < cmp->args->vary_count; i++) {
        const cli_vary *vary = &cmp->args->varies[i];
        below /= vary->count;
        const vs_str value = vary->values[index / below % vary->count];
        if (!vs_scenario_set(scenario, arena, vary->option, value, true, err)) {
            return false;
        }
        text = vs_arena_printf(arena, "%s%s%s=%.*s", text, i == 0 ? "" : "  ",
                               vary->option->key, (int)value.len, value.ptr);
        if (text == NULL) {
            return vs_fail_memory(err, arena, "the comparison");
        }
    }
    *label = text[0] == '\0' ? "as given" : text;
    return true;
}

static bool keep_tape(comparison *cmp, const vs_timeline *timeline, row *r, vs_err *err)
{
    vs_arena *arena = &cmp->c->inputs;
    const cli_args *args = cmp->args;
    if (args->tape == NULL && args->png == NULL) {
        return true;
    }
    r->tape = args->tape != NULL
                  ? vs_arena_printf(arena, "%s.%" PRIu32, args->tape, cmp->count + 1)
                  : cli_temporary_tape(cmp->c, cmp->count + 1);
    return r->tape != NULL ? vs_timeline_write(timeline, r->tape, err)
                           : vs_fail_memory(err, arena, "the comparison");
}

static bool keep_row(comparison *cmp, const char *label, const vs_run_result *result,
                     const vs_timeline *timeline, vs_err *err)
{
    row *r = &cmp->rows[cmp->count];
    *r = (row){.label = label,
               .reason = vs_str_copy(&cmp->c->inputs, vs_str_of(result->reason)),
               .verdict = result->verdict,
               .peak_used_bytes = result->gpus[0].peak_used_bytes,
               .final_reserved_bytes = result->gpus[0].final_reserved_bytes,
               .host_peak_bytes = result->host_peak_anon_bytes,
               .disk_read_bytes = result->disk_read_bytes,
               .load_ns = result->load_ns,
               .consumed_ppm = result->has_oom ? result->oom.consumed_ppm : 1000000};
    if (r->reason == NULL) {
        return vs_fail_memory(err, &cmp->c->inputs, "the comparison");
    }
    cmp->is_oom = cmp->is_oom || result->verdict != VS_VERDICT_FITS;
    return keep_tape(cmp, timeline, r, err);
}

static bool run_row(comparison *cmp, uint32_t index, vs_err *err)
{
    cli *c = cmp->c;
    vs_scenario scenario = cmp->args->scenario;
    vs_machine machine = {0};
    vs_run_result result = {0};
    vs_timeline timeline = {0};
    vs_fix_list fixes = {0};
    const char *label = NULL;
    vs_arena_reset(&c->run);
    if (!combine(cmp, index, &scenario, &label, err) ||
        !cli_resolve_machine(c, &machine, &scenario, err)) {
        return false;
    }
    const vs_run_input input = {
        .model = &cmp->model, .machine = &machine, .scenario = &scenario};
    if (!vs_run(&c->run, &input, &result, &timeline, err) ||
        !keep_row(cmp, label, &result, &timeline, err)) {
        vs_err_at_input(err, label);
        return false;
    }
    cmp->count++;
    if (cmp->json == NULL) {
        return true;
    }
    if (result.verdict == VS_VERDICT_OOM &&
        !vs_run_fixes(&c->scratch, &c->inputs, &input, &result, &fixes, err)) {
        return false;
    }
    const vs_scenario resolved = cli_resolved(&scenario, &result);
    const cli_run run = {.model = &cmp->model,
                         .scenario = &resolved,
                         .result = &result,
                         .timeline = &timeline,
                         .fixes = fixes.fixes,
                         .fix_count = fixes.count};
    cli_report_json(&cmp->writer, NULL, &run);
    return true;
}

/* On a terminal, once it has taken more than a second. */
static void progress(const comparison *cmp, uint32_t done)
{
    if (isatty(STDERR_FILENO) && time(NULL) - cmp->started > 1) {
        fprintf(stderr, "\r%" PRIu32 " of %" PRIu32 "%s", done, cmp->total,
                done == cmp->total ? "\n" : "");
    }
}

static int label_width(const comparison *cmp)
{
    vs_assert(cmp->rows != NULL);
    size_t width = 8;
    for (uint32_t i = 0; i < cmp->count; i++) {
        const size_t len = vs_str_of(cmp->rows[i].label).len;
        width = len > width ? len : width;
    }
    return (int)(width > 60 ? 60 : width);
}

static void write_verdict(vs_outfile *out, const row *r)
{
    if (r->verdict == VS_VERDICT_OOM) {
        vs_outfile_printf(
            out, "out of memory with %" PRIu32 ".%" PRIu32 " %% of the weights in place.\n  ",
            r->consumed_ppm / 10000, r->consumed_ppm / 1000 % 10);
    } else {
        vs_outfile_printf(out, "%s.\n  ",
                          r->verdict == VS_VERDICT_HOST_OOM ? "killed, out of host RAM"
                                                            : vs_verdict_name(r->verdict));
    }
}

static void write_table(vs_outfile *out, const comparison *cmp)
{
    vs_assert(cmp->rows != NULL);
    const int width = label_width(cmp);
    vs_outfile_printf(out, "%s: %" PRIu32 " way%s to load it\n\n", cmp->model.name, cmp->total,
                      cmp->total == 1 ? "" : "s");
    vs_outfile_printf(out, "%-*s  %-8s %11s %11s %11s %10s %10s\n", width, "SETTINGS",
                      "VERDICT", "PEAK VRAM", "PEAK RAM", "DISK READ", "LOAD TIME",
                      "TIME/TOKEN");
    for (uint32_t i = 0; i < cmp->count; i++) {
        const row *r = &cmp->rows[i];
        char vram[VS_TEXT_BYTES];
        char ram[VS_TEXT_BYTES];
        char disk[VS_TEXT_BYTES];
        char load[VS_TEXT_BYTES];
        vs_outfile_printf(
            out, "%-*s  %-8s %11s %11s %11s %10s %10s\n", width, r->label,
            vs_verdict_name(r->verdict), vs_format_size(r->peak_used_bytes, vram),
            vs_format_size(r->host_peak_bytes, ram), vs_format_size(r->disk_read_bytes, disk),
            r->verdict == VS_VERDICT_FITS ? vs_format_duration(r->load_ns, load) : "-", "-");
    }
    for (uint32_t i = 0; i < cmp->count; i++) {
        const row *r = &cmp->rows[i];
        if (r->reason[0] != '\0') {
            vs_outfile_printf(out, "\n%s: ", r->label);
            write_verdict(out, r);
            cli_wrapped(out, r->reason, 2, 2);
        }
    }
}

static bool finish_json(comparison *cmp, bool is_fine, vs_err *err)
{
    if (cmp->json == NULL) {
        return is_fine;
    }
    if (!is_fine) {
        vs_outfile_abandon(cmp->json);
        return false;
    }
    vs_jw_end(&cmp->writer);
    vs_jw_end(&cmp->writer);
    return vs_outfile_commit(cmp->json, err);
}

static bool start_json(comparison *cmp, vs_err *err)
{
    if (cmp->args->json == NULL) {
        return true;
    }
    cmp->json = vs_outfile_open(cmp->args->json, err);
    if (cmp->json == NULL) {
        return false;
    }
    cmp->writer = vs_jwriter_of(cmp->json, false);
    vs_jw_object(&cmp->writer, NULL);
    vs_jw_str(&cmp->writer, "format", "vramscope.compare/1");
    vs_jw_str(&cmp->writer, "version", VS_VERSION);
    vs_jw_array(&cmp->writer, "runs");
    return true;
}

static bool draw_rows(comparison *cmp, vs_err *err)
{
    if (cmp->args->png == NULL) {
        return true;
    }
    const char **tapes = VS_ARRAY(&cmp->c->inputs, const char *, cmp->count);
    if (tapes == NULL) {
        return vs_fail_memory(err, &cmp->c->inputs, "the picture");
    }
    for (uint32_t i = 0; i < cmp->count; i++) {
        tapes[i] = cmp->rows[i].tape;
    }
    const cli_picture picture = {
        .path = cmp->args->png, .tapes = tapes, .tape_count = cmp->count};
    return cli_draw(cmp->c, &picture, err);
}

static void drop_tapes(const comparison *cmp)
{
    for (uint32_t i = 0; cmp->args->tape == NULL && i < cmp->total; i++) {
        if (cmp->rows[i].tape != NULL) {
            (void)unlink(cmp->rows[i].tape);
        }
    }
}

static bool compare(comparison *cmp, vs_err *err)
{
    bool is_fine = cli_read_model(cmp->c, &cmp->model, cmp->args->scenario.model, err) &&
                   count_rows(cmp, err) && start_json(cmp, err);
    for (uint32_t i = 0; is_fine && i < cmp->total; i++) {
        is_fine = run_row(cmp, i, err);
        progress(cmp, i + 1);
    }
    is_fine = finish_json(cmp, is_fine, err);
    is_fine = is_fine && draw_rows(cmp, err);
    if (cmp->rows != NULL) {
        drop_tapes(cmp);
    }
    if (!is_fine || cmp->args->is_quiet) {
        return is_fine;
    }
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    write_table(out, cmp);
    return vs_outfile_commit(out, err);
}

static bool check_args(const cli_args *args, vs_err *err)
{
    if (args->tape != NULL && vs_str_is(vs_str_of(args->tape), "-")) {
        return vs_fail(
            err, VS_ERR_USAGE,
            "--tape -: compare writes one file a row; give the name they begin with");
    }
    if (args->tensors) {
        return vs_fail(err, VS_ERR_USAGE, "--tensors belongs to `vramscope inspect`");
    }
    if (args->trace != NULL || args->csv != NULL || args->snapshot != NULL ||
        args->svg != NULL || args->print_scenario) {
        return vs_fail(
            err, VS_ERR_USAGE,
            "compare writes --json, --tape (one file a row: NAME.1, NAME.2, ...) and --png; "
            "the other outputs belong to `vramscope sim`");
    }
    return true;
}

int cmd_compare(cli *c, int argc, char **argv)
{
    cli_args args = {0};
    vs_err err = {0};
    if (!cli_parse(c, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"compare"}});
    }
    comparison cmp = {.c = c, .args = &args, .started = time(NULL)};
    if (!check_args(&args, &err) || !compare(&cmp, &err)) {
        return cli_error(&err);
    }
    return cmp.is_oom && args.fail_on_oom ? EXIT_OOM : EXIT_OK;
}
