/* cmd_check.c - `vramscope check`: a prediction held against a recording.
 *
 * What stands behind --against is told by its content: a scenario is simulated, anything else is opened as a recording, so
 * two recordings can be compared too. The figures are those of vs_compare; the picture is drawn by vramscope-view from
 * two tapes, which are temporary where there was none. */
#include "check.h"
#include "vramscope/replay.h"
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES ((uint64_t)1 << 16)

typedef struct {
    const char *trace, *against;
    const char *json, *png, *svg;
    const char *axis, *align, *metric, *gpu_index, *tolerance;
    bool is_strict;
    bool wants_help;
} check_args;

typedef struct {
    vs_compare_axis axis;
    bool has_axis;
    vs_compare_metric metric;
    vs_compare_align align;
    uint64_t gpu_index;
    bool has_gpu_index;
    uint64_t tolerance_ppm;
} check_settings;

/* ---- the command line -------------------------------------------------------------------- */

static bool check_pictures(const check_args *args, vs_err *err)
{
    const char *const pictures[] = {args->png, args->svg};
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++) {
        if (pictures[i] != NULL && strcmp(pictures[i], "-") == 0) {
            return vs_fail(err, VS_ERR_USAGE,
                           "a picture goes to a file: name one instead of -");
        }
    }
    if (args->png != NULL && vs_str_ends(vs_str_of(args->png), ".svg")) {
        return vs_fail(err, VS_ERR_USAGE, "--png %s: the name says SVG; use --svg", args->png);
    }
    return args->svg == NULL || vs_str_ends(vs_str_of(args->svg), ".svg") ||
           vs_fail(err, VS_ERR_USAGE, "--svg %s: the name of an SVG file ends in .svg",
                   args->svg);
}

static bool parse(check_args *args, int argc, char **argv, vs_err *err)
{
    const cli_word words[] = {
        {.name = "--against", .values = "SCENARIO.json", .place = &args->against},
        {.name = "--json", .values = "FILE, - for standard output", .place = &args->json},
        {.name = "--png", .values = "FILE.png", .place = &args->png},
        {.name = "--svg", .values = "FILE.svg", .place = &args->svg},
        {.name = "--axis", .values = "time, stretched, event or share", .place = &args->axis},
        {.name = "--align", .values = "first, start or oom", .place = &args->align},
        {.name = "--metric", .values = "reserved, allocated or used", .place = &args->metric},
        {.name = "--gpu-index", .values = "N", .place = &args->gpu_index},
        {.name = "--tolerance", .values = "a share such as 2%", .place = &args->tolerance},
        {.name = "--strict", .flag = &args->is_strict}};
    cli_words spec = {.command = "check",
                      .words = words,
                      .word_count = sizeof words / sizeof words[0],
                      .file_max = 1,
                      .what = "TRACE"};
    if (!cli_read_words(&spec, argc, argv, err)) {
        return false;
    }
    args->trace = spec.files[0];
    args->wants_help = spec.wants_help;
    if (args->wants_help) {
        return true;
    }
    if (args->against == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "check: against what? --against SCENARIO.json, as `vramscope sim MODEL "
                       "... --print-scenario` writes it");
    }
    return check_pictures(args, err);
}

/* "2%", "0.25 %": millionths. */
static bool read_tolerance(const char *text, uint64_t *out, vs_err *err)
{
    vs_str rest = vs_str_of(text);
    uint64_t whole = 0;
    uint64_t ppm = 0;
    size_t dot = 0;
    while (rest.len > 0 && (rest.ptr[rest.len - 1] == '%' || rest.ptr[rest.len - 1] == ' ')) {
        rest.len--;
    }
    while (dot < rest.len && rest.ptr[dot] != '.') {
        dot++;
    }
    bool is_fine = vs_str_ends(vs_str_of(text), "%") &&
                   vs_parse_u64((vs_str){rest.ptr, dot}, &whole, NULL) &&
                   vs_mul_u64(whole, 10000, &ppm) && (dot == rest.len || dot + 1 < rest.len);
    uint64_t part = 1000;
    for (size_t i = dot + 1; is_fine && i < rest.len; i++) {
        const char c = rest.ptr[i];
        is_fine = c >= '0' && c <= '9' && (part > 0 || c == '0');
        ppm += is_fine ? part * (uint64_t)(c - '0') : 0;
        part /= 10;
    }
    if (!is_fine) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--tolerance %s: expected a share of the recorded peak such as 2%% or "
                       "0.25%%",
                       text);
    }
    *out = ppm;
    return true;
}

static bool read_settings(const check_args *args, check_settings *out, vs_err *err)
{
    check_settings s = {.metric = VS_COMPARE_METRIC_COUNT, .align = VS_FROM_FIRST};
    s.has_axis = args->axis != NULL;
    if (s.has_axis && !vs_compare_axis_find(vs_str_of(args->axis), &s.axis)) {
        return vs_fail(err, VS_ERR_USAGE, "--axis %s: expected time, stretched, event or share",
                       args->axis);
    }
    if (args->metric != NULL && !vs_compare_metric_find(vs_str_of(args->metric), &s.metric)) {
        return vs_fail(err, VS_ERR_USAGE, "--metric %s: expected reserved, allocated or used",
                       args->metric);
    }
    if (args->align != NULL && !vs_compare_align_find(vs_str_of(args->align), &s.align)) {
        return vs_fail(err, VS_ERR_USAGE, "--align %s: expected first, start or oom",
                       args->align);
    }
    s.has_gpu_index = args->gpu_index != NULL;
    if (s.has_gpu_index && !vs_parse_u64(vs_str_of(args->gpu_index), &s.gpu_index, NULL)) {
        return vs_fail(err, VS_ERR_USAGE, "--gpu-index %s: expected a number: 0 is the first",
                       args->gpu_index);
    }
    if (args->tolerance != NULL && !read_tolerance(args->tolerance, &s.tolerance_ppm, err)) {
        return false;
    }
    *out = s;
    return true;
}

/* ---- the two runs ------------------------------------------------------------------------ */

/* A JSON object that is no profiler trace. */
static bool is_scenario(const char *path, bool *out, vs_err *err)
{
    static const char mark[] = "\"traceEvents\"";
    vs_file file = {0};
    uint64_t size = 0;
    if (!vs_file_open_head(&file, path, HEAD_BYTES, &size, err)) {
        return false;
    }
    uint64_t at = 0;
    while (at < file.size_bytes && strchr(" \t\r\n", file.bytes[at]) != NULL &&
           file.bytes[at] != '\0') {
        at++;
    }
    *out = at < file.size_bytes && file.bytes[at] == '{';
    for (uint64_t i = at; *out && i + sizeof mark - 1 <= file.size_bytes; i++) {
        *out = memcmp(file.bytes + i, mark, sizeof mark - 1) != 0;
    }
    vs_file_close(&file);
    return true;
}

static bool simulate(cli *c, check_run *run, vs_err *err)
{
    vs_scenario scenario = {0};
    cli_inputs inputs = {0};
    vs_run_result *result = VS_NEW(&c->inputs, vs_run_result);
    if (result == NULL) {
        return vs_fail_memory(err, &c->inputs, "the scenario");
    }
    if (!vs_scenario_read(&scenario, &c->inputs, run->path, err)) {
        return false;
    }
    if (scenario.model == NULL || scenario.model[0] == '\0') {
        (void)vs_fail(err, VS_ERR_VALUE,
                      "the scenario names no model; add \"model\": NAME or PATH");
        vs_err_at_input(err, run->path);
        return false;
    }
    run->kind = "scenario";
    if (!cli_resolve_machine(c, &inputs.machine, &scenario, err) ||
        !cli_read_model(c, &inputs.model, scenario.model, err)) {
        return false;
    }
    const vs_run_input input = {
        .model = &inputs.model, .machine = &inputs.machine, .scenario = &scenario};
    return vs_run(&c->run, &input, result, &run->timeline, err);
}

static bool open_trace(cli *c, check_run *run, vs_err *err)
{
    vs_opened_trace opened = {0};
    const vs_read_desc desc = {.keep = &c->inputs, .scratch = &c->scratch};
    if (!vs_trace_open(&opened, run->path, &desc, err)) {
        return false;
    }
    run->timeline = opened.timeline;
    run->kind = vs_trace_format_label(opened.format);
    run->is_tape = opened.format == VS_TRACE_TAPE;
    run->note_count = opened.note_count;
    run->notes = opened.notes;
    return true;
}

static bool open_runs(cli *c, check_report *r, vs_err *err)
{
    bool is_simulated = false;
    check_run *predicted = &r->runs[VS_PREDICTED];
    if (!open_trace(c, &r->runs[VS_RECORDED], err) ||
        !is_scenario(predicted->path, &is_simulated, err)) {
        return false;
    }
    return is_simulated ? simulate(c, predicted, err) : open_trace(c, predicted, err);
}

/* The n-th GPU of a tape as a device of it. */
static bool find_gpu(const vs_timeline *tl, uint64_t n, uint8_t *out)
{
    for (uint32_t i = 0; i < tl->device_count; i++) {
        if (tl->devices[i].kind == VS_DEVICE_GPU && n-- == 0) {
            *out = (uint8_t)i;
            return true;
        }
    }
    return false;
}

static uint32_t count_gpus(const vs_timeline *tl)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tl->device_count; i++) {
        count += tl->devices[i].kind == VS_DEVICE_GPU;
    }
    return count;
}

/* A prediction of one GPU stands for any. */
static bool choose_gpus(check_report *r, const check_settings *settings,
                        uint8_t device[VS_SIDES], vs_err *err)
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        check_run *run = &r->runs[side];
        run->gpu_count = count_gpus(&run->timeline);
        const bool is_any = side == VS_PREDICTED && run->gpu_count == 1;
        const uint64_t n = is_any ? 0 : settings->gpu_index;
        if (run->gpu_count == 0) {
            (void)vs_fail(err, VS_ERR_VALUE, "no GPU is in it, so there is nothing to compare");
            vs_err_at_input(err, run->path);
            return false;
        }
        if (!find_gpu(&run->timeline, n, &device[side])) {
            (void)vs_fail(err, VS_ERR_USAGE,
                          "--gpu-index %" PRIu64 ": there are %" PRIu32 " GPUs; 0 is the first",
                          n, run->gpu_count);
            vs_err_at_input(err, run->path);
            return false;
        }
        run->gpu = (uint32_t)n;
    }
    return true;
}

/* ---- the answer -------------------------------------------------------------------------- */

/* Time where both have times, else the bytes loaded, else the allocations. */
static bool choose_axis(check_report *r, const check_settings *settings, vs_err *err)
{
    static const vs_compare_axis order[] = {VS_BY_TIME, VS_BY_SHARE, VS_BY_EVENT};
    if (settings->has_axis) {
        r->axis = settings->axis;
        r->has_curve = r->cmp.reason == NULL && r->cmp.curves[r->axis].reason == NULL;
        return r->has_curve || r->cmp.reason != NULL ||
               vs_fail(err, VS_ERR_VALUE, "--axis %s: %s", vs_compare_axis_key(r->axis),
                       r->cmp.curves[r->axis].reason);
    }
    for (size_t i = 0; r->cmp.reason == NULL && !r->has_curve && i < 3; i++) {
        r->axis = order[i];
        r->has_curve = r->cmp.curves[order[i]].reason == NULL;
    }
    return true;
}

static void judge(check_report *r)
{
    uint64_t ppm = 0;
    if (r->cmp.reason != NULL) {
        r->differs = true;
        return;
    }
    const vs_bytes *peak = r->cmp.figures[r->cmp.desc.metric].peak_bytes;
    r->is_peak_off =
        check_distance(peak) > 0 && (!check_share(peak, &ppm) || ppm > r->tolerance_ppm);
    r->is_verdict_off = strcmp(r->cmp.verdict[VS_PREDICTED], r->cmp.verdict[VS_RECORDED]) != 0;
    r->differs = r->is_peak_off || r->is_verdict_off;
}

static bool hold_against(cli *c, check_report *r, const check_settings *settings, vs_err *err)
{
    vs_compare_desc desc = {
        .tl = {&r->runs[VS_PREDICTED].timeline, &r->runs[VS_RECORDED].timeline},
        .metric = settings->metric,
        .align = settings->align};
    if (!choose_gpus(r, settings, desc.device, err) ||
        !vs_compare(&r->cmp, &c->inputs, &desc, err) || !choose_axis(r, settings, err)) {
        return false;
    }
    r->tolerance_ppm = settings->tolerance_ppm;
    judge(r);
    return !r->has_curve || vs_compare_live(&r->live, &c->inputs, &r->cmp.desc,
                                            r->cmp.curves[r->axis].at_event, err);
}

/* ---- outputs ----------------------------------------------------------------------------- */

static bool write_json(const char *path, const check_report *r, vs_err *err)
{
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    vs_jwriter w = vs_jwriter_of(out, false);
    check_json(&w, r);
    return vs_outfile_commit(out, err);
}

static bool write_text(const check_report *r, vs_err *err)
{
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    check_text(out, r);
    return vs_outfile_commit(out, err);
}

static bool draw_one(cli *c, const check_report *r, const char *path,
                     const char *const tapes[VS_SIDES], vs_err *err)
{
    const char *options[12];
    uint32_t n = 0;
    options[n++] = "--compare";
    options[n++] = "--axis";
    options[n++] = vs_compare_axis_key(r->axis);
    options[n++] = "--align";
    options[n++] = vs_compare_align_key(r->cmp.desc.align);
    options[n++] = "--metric";
    options[n++] = vs_compare_metric_key(r->cmp.desc.metric);
    options[n++] = "--gpu-index";
    options[n++] = vs_arena_printf(&c->inputs, "%" PRIu32, r->runs[VS_RECORDED].gpu);
    if (options[n - 1] == NULL) {
        return vs_fail_memory(err, &c->inputs, "the picture");
    }
    const cli_picture picture = {.path = path,
                                 .options = options,
                                 .option_count = n,
                                 .tapes = tapes,
                                 .tape_count = VS_SIDES};
    return cli_draw(c, &picture, err);
}

static bool draw(cli *c, const check_args *args, const check_report *r, vs_err *err)
{
    const char *tapes[VS_SIDES] = {NULL, NULL};
    if (args->png == NULL && args->svg == NULL) {
        return true;
    }
    if (!r->has_curve) {
        return vs_fail(err, VS_ERR_VALUE, "there are no curves to draw: %s",
                       r->cmp.reason != NULL ? r->cmp.reason : "no axis has both runs");
    }
    bool is_fine = true;
    for (uint32_t side = 0; is_fine && side < VS_SIDES; side++) {
        const check_run *run = &r->runs[side];
        tapes[side] = run->is_tape ? run->path : cli_temporary_tape(c, side + 1);
        is_fine = tapes[side] != NULL
                      ? run->is_tape || vs_timeline_write(&run->timeline, tapes[side], err)
                      : vs_fail_memory(err, &c->inputs, "the picture");
    }
    is_fine = is_fine && (args->png == NULL || draw_one(c, r, args->png, tapes, err));
    is_fine = is_fine && (args->svg == NULL || draw_one(c, r, args->svg, tapes, err));
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        if (tapes[side] != NULL && !r->runs[side].is_tape) {
            (void)unlink(tapes[side]);
        }
    }
    return is_fine;
}

static bool check(cli *c, const check_args *args, check_report *r, vs_err *err)
{
    check_settings settings = {0};
    r->runs[VS_RECORDED].path = args->trace;
    r->runs[VS_PREDICTED].path = args->against;
    if (!read_settings(args, &settings, err) || !open_runs(c, r, err) ||
        !hold_against(c, r, &settings, err) || !draw(c, args, r, err)) {
        return false;
    }
    if (args->json != NULL && !write_json(args->json, r, err)) {
        return false;
    }
    return (args->json != NULL && strcmp(args->json, "-") == 0) || write_text(r, err);
}

int cmd_check(cli *c, int argc, char **argv)
{
    check_args args = {0};
    vs_err err = {0};
    if (!parse(&args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"check"}});
    }
    check_report *r = VS_NEW(&c->inputs, check_report);
    if (r == NULL) {
        (void)vs_fail_memory(&err, &c->inputs, "the report");
        return cli_error(&err);
    }
    const bool is_fine = check(c, &args, r, &err);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        vs_timeline_close(&r->runs[side].timeline);
    }
    if (!is_fine) {
        return cli_error(&err);
    }
    return r->differs && args.is_strict ? EXIT_DIFFERS : EXIT_OK;
}
