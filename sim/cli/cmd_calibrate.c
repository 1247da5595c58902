/* cmd_calibrate.c - `vramscope calibrate`: what recordings tell about a machine, as a table and as a HOST.json. */
#include "words.h"

#include <stdio.h>
#include <string.h>

#define SOURCE_COLUMN 62u

typedef struct {
    const char *host;
    const char *json;
    const char *gpu;
} calibrate_args;

static bool check_outputs(const cli_words *spec, const calibrate_args *args, vs_err *err)
{
    const char *const outputs[] = {args->host, args->json};
    if (args->host != NULL && args->json != NULL && strcmp(args->host, args->json) == 0) {
        return vs_fail(err, VS_ERR_USAGE, "-o and --json: %s cannot be both",
                       strcmp(args->host, "-") == 0 ? "standard output" : args->host);
    }
    for (size_t o = 0; o < 2; o++) {
        for (uint32_t i = 0; outputs[o] != NULL && i < spec->file_count; i++) {
            if (strcmp(outputs[o], spec->files[i]) == 0) {
                return vs_fail(err, VS_ERR_USAGE,
                               "%s: is one of the recordings and would be overwritten",
                               outputs[o]);
            }
        }
    }
    return true;
}

static bool parse(cli_words *spec, calibrate_args *args, int argc, char **argv, vs_err *err)
{
    const cli_word words[] = {
        {.name = "-o", .values = "HOST.json, - for standard output", .place = &args->host},
        {.name = "--json", .values = "FILE, - for standard output", .place = &args->json},
        {.name = "--gpu", .values = "the card's name in the catalogue", .place = &args->gpu},
    };
    *spec = (cli_words){.command = "calibrate",
                        .words = words,
                        .word_count = sizeof words / sizeof words[0],
                        .file_max = CLI_FILES_MAX,
                        .what = "TRACEs"};
    const bool is_well =
        cli_read_words(spec, argc, argv, err) && check_outputs(spec, args, err);
    spec->words = NULL;
    return is_well;
}

/* A name that --gpu of other commands would not know is a mistake here, not there. The name becomes the catalogue's id, and the
 * card's size is known with it. */
static bool find_gpu(cli *c, calibrate_args *args, vs_bytes *out_total_bytes, vs_err *err)
{
    if (args->gpu == NULL) {
        return true;
    }
    vs_machine machine = {0};
    vs_scenario scenario = {0};
    scenario.machine.gpus[0] = vs_str_of(args->gpu);
    scenario.machine.gpu_count = 1;
    if (!cli_resolve_machine(c, &machine, &scenario, err)) {
        return false;
    }
    if (strcmp(machine.gpus[0].id, "generic") == 0) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--gpu %s: expected a name of the catalogue (`vramscope list gpus`)",
                       args->gpu);
    }
    args->gpu = vs_str_copy(&c->inputs, vs_str_of(machine.gpus[0].id));
    *out_total_bytes = machine.gpus[0].total_bytes;
    return args->gpu != NULL || vs_fail_memory(err, &c->inputs, "the name of a card");
}

/* A HOST.json without a figure would look like one that has some. */
static bool check_is_known(const vs_calibration *calibration, const calibrate_args *args,
                           vs_err *err)
{
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (calibration->figures[p].is_known && vs_cal_is_in_host((vs_cal_parameter)p)) {
            return true;
        }
    }
    return args->host == NULL ||
           vs_fail(err, VS_ERR_VALUE,
                   "%s was not written: these recordings determine nothing that belongs in it "
                   "(without -o, calibrate lists what would)",
                   args->host);
}

/* ---- the table ------------------------------------------------------------------------------------------ */

static const char *value_text(vs_cal_parameter parameter, uint64_t value,
                              char buf[VS_TEXT_BYTES])
{
    switch (vs_cal_unit_of(parameter)) {
    case VS_CAL_BYTES: return vs_format_size(value, buf);
    case VS_CAL_RATE: return vs_format_rate(value, buf);
    case VS_CAL_TIME: return vs_format_duration(value, buf);
    case VS_CAL_NUMBER: break;
    }
    return vs_format_grouped(value, buf);
}

static const char *method_word(const vs_cal_figure *f)
{
    switch (f->method) {
    case VS_CAL_STATED: return "stated";
    case VS_CAL_MEDIAN: return "median";
    case VS_CAL_FIT: return "fit";
    case VS_CAL_RANGE: return f->has_uncertainty ? "range" : "single";
    }
    return "";
}

static void figure_row(vs_outfile *out, vs_cal_parameter parameter, const vs_cal_figure *f)
{
    char value[VS_TEXT_BYTES];
    char error[VS_TEXT_BYTES] = "-";
    if (f->has_uncertainty && f->method != VS_CAL_STATED) {
        (void)snprintf(error, sizeof error, "%.1f %%", f->uncertainty * 100.0);
    }
    vs_outfile_printf(out, "%-29s %11s %8s %5" PRIu32 " %-6s", vs_cal_key(parameter),
                      value_text(parameter, f->value, value), error, f->observations,
                      method_word(f));
    vs_outfile_printf(out, "%s", " ");
    cli_wrapped(out, f->source, SOURCE_COLUMN, SOURCE_COLUMN + 3);
}

static void known_table(vs_outfile *out, const vs_calibration *calibration)
{
    vs_outfile_printf(out, "%-29s %11s %8s %5s %-6s %s\n", "PARAMETER", "VALUE", "+-", "N",
                      "HOW", "FROM");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_figure *const f = &calibration->figures[p];
        if (f->is_known && vs_cal_is_in_host((vs_cal_parameter)p)) {
            figure_row(out, (vs_cal_parameter)p, f);
        }
    }
    bool has_more = false;
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_figure *const f = &calibration->figures[p];
        if (f->is_known && !vs_cal_is_in_host((vs_cal_parameter)p)) {
            vs_outfile_printf(out, "%s",
                              has_more ? "" : "Told as well, and not part of a HOST.json:\n");
            has_more = true;
            figure_row(out, (vs_cal_parameter)p, f);
        }
    }
    vs_outfile_printf(
        out, "%s",
        "\n+- is relative. fit: slope of time = latency + bytes / rate, its 95 % interval. "
        "median: the 95 %\ninterval of the median. range: half the distance of the "
        "extremes, too few for an interval.\nsingle: one observation tells no error.\n");
}

static void unknown_table(vs_outfile *out, const vs_calibration *calibration)
{
    vs_outfile_printf(out, "\nNot determined by these recordings, and what would:\n");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_figure *const f = &calibration->figures[p];
        const vs_cal_parameter parameter = (vs_cal_parameter)p;
        if (f->is_known || !vs_cal_is_in_host(parameter)) {
            continue;
        }
        vs_outfile_printf(out, "  %-29s ", vs_cal_key(parameter));
        if (f->reason != NULL) {
            cli_wrapped(out, f->reason, 32, 32);
            vs_outfile_printf(out, "%32s", "");
        }
        cli_wrapped(out, vs_cal_needs(parameter), 32, 32);
    }
}

/* HOST.json names the card as recorded; other commands use its figures for that name only. */
static void hint_name(cli *c, vs_outfile *out, const vs_calibration *calibration)
{
    vs_machine machine = {0};
    vs_scenario scenario = {0};
    vs_err unknown = {0};
    scenario.machine.gpus[0] = vs_str_of(calibration->gpu_name);
    scenario.machine.gpu_count = 1;
    if (calibration->gpu_name[0] != '\0' &&
        !cli_resolve_machine(c, &machine, &scenario, &unknown)) {
        vs_outfile_printf(out, "%s", "\nnote: ");
        cli_wrapped(
            out,
            "the catalogue has no card of that name, so its figures are not used where --gpu "
            "names one of the catalogue; calibrate --gpu NAME writes them under that name",
            6, 6);
    }
}

static void report_text(cli *c, vs_outfile *out, const vs_calibration *calibration,
                        const calibrate_args *args)
{
    for (uint32_t i = 0; i < calibration->file_count; i++) {
        const vs_cal_file *const file = &calibration->files[i];
        vs_outfile_printf(out, "%s: %s, %" PRIu32 " observation%s\n", file->path, file->kind,
                          file->observations, file->observations == 1 ? "" : "s");
    }
    if (calibration->gpu_name[0] != '\0') {
        vs_outfile_printf(out, "card: %s\n", calibration->gpu_name);
    }
    vs_outfile_printf(out, "\n");
    known_table(out, calibration);
    unknown_table(out, calibration);
    for (uint32_t i = 0; i < calibration->note_count; i++) {
        vs_outfile_printf(out, "%snote: ", i == 0 ? "\n" : "");
        cli_wrapped(out, calibration->notes[i], 6, 6);
    }
    if (args->gpu == NULL) {
        hint_name(c, out, calibration);
    }
    if (args->host != NULL) {
        vs_outfile_printf(out, "\n%s: written; every command takes it as --host\n", args->host);
    }
}

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

static void json_parameters(vs_jwriter *w, const vs_calibration *calibration)
{
    vs_jw_array(w, "parameters");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_figure *const f = &calibration->figures[p];
        if (!f->is_known) {
            continue;
        }
        vs_jw_object(w, NULL);
        vs_jw_str(w, "key", vs_cal_key((vs_cal_parameter)p));
        vs_jw_u64(w, "value", f->value);
        if (f->has_uncertainty) {
            vs_jw_double(w, "uncertainty", f->uncertainty);
        } else {
            vs_jw_null(w, "uncertainty");
        }
        vs_jw_str(w, "uncertainty_is",
                  f->has_uncertainty ? vs_cal_method_words(f->method) : "not known");
        vs_jw_u64(w, "observations", f->observations);
        vs_jw_bool(w, "in_host_json", vs_cal_is_in_host((vs_cal_parameter)p));
        vs_jw_str(w, "source", f->source);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void report_json(vs_outfile *out, const vs_calibration *calibration)
{
    vs_jwriter w = vs_jwriter_of(out, false);
    vs_jw_object(&w, NULL);
    vs_jw_str(&w, "format", "vramscope.calibration/1");
    vs_jw_str(&w, "gpu", calibration->gpu_name);
    vs_jw_array(&w, "files");
    for (uint32_t i = 0; i < calibration->file_count; i++) {
        vs_jw_object(&w, NULL);
        vs_jw_str(&w, "path", calibration->files[i].path);
        vs_jw_str(&w, "kind", calibration->files[i].kind);
        vs_jw_u64(&w, "observations", calibration->files[i].observations);
        vs_jw_end(&w);
    }
    vs_jw_end(&w);
    json_parameters(&w, calibration);
    vs_jw_array(&w, "undetermined");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_figure *const f = &calibration->figures[p];
        if (!f->is_known && vs_cal_is_in_host((vs_cal_parameter)p)) {
            vs_jw_object(&w, NULL);
            vs_jw_str(&w, "key", vs_cal_key((vs_cal_parameter)p));
            vs_jw_str(&w, "reason", f->reason);
            vs_jw_str(&w, "needs", vs_cal_needs((vs_cal_parameter)p));
            vs_jw_end(&w);
        }
    }
    vs_jw_end(&w);
    vs_jw_array(&w, "notes");
    for (uint32_t i = 0; i < calibration->note_count; i++) {
        vs_jw_str(&w, NULL, calibration->notes[i]);
    }
    vs_jw_end(&w);
    vs_jw_end(&w);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* Both files or none: the JSON is complete, but for its name, before HOST.json is written. */
static bool write_files(const calibrate_args *args, const vs_calibration *calibration,
                        vs_err *err)
{
    vs_outfile *json = NULL;
    if (args->json != NULL) {
        json = vs_outfile_open(args->json, err);
        if (json == NULL) {
            return false;
        }
        report_json(json, calibration);
    }
    if (args->host != NULL &&
        !vs_calibration_write_host(calibration, args->host, args->gpu, err)) {
        if (json != NULL) {
            vs_outfile_abandon(json);
        }
        return false;
    }
    return json == NULL || vs_outfile_commit(json, err);
}

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

static bool calibrate(cli *c, const cli_words *spec, calibrate_args *args, vs_err *err)
{
    vs_calibration calibration = {0};
    vs_cal_desc desc = {.keep = &c->inputs, .scratch = &c->scratch};
    if (!find_gpu(c, args, &desc.gpu_total_bytes, err) ||
        !vs_calibrate(&calibration, spec->files, spec->file_count, &desc, err) ||
        !check_is_known(&calibration, args, err) || !write_files(args, &calibration, err)) {
        return false;
    }
    if (is_stdout(args->host) || is_stdout(args->json)) {
        return true;
    }
    vs_outfile *const out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    report_text(c, out, &calibration, args);
    return vs_outfile_commit(out, err);
}

int cmd_calibrate(cli *c, int argc, char **argv)
{
    vs_err err = {0};
    cli_words spec = {0};
    calibrate_args args = {0};
    if (!parse(&spec, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (spec.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"calibrate"}});
    }
    return calibrate(c, &spec, &args, &err) ? EXIT_OK : cli_error(&err);
}
