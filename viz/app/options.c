/* One row per option: the table is the parser and the help page. */
#include "viz/app/options.h"

#include <string.h>

#define SIDE_MIN 320
#define SIDE_MAX 16384

typedef bool (*option_setter)(vs_view_options *options, const char *value, vs_err *err);

typedef struct {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
    option_setter set;
} option_row;

/* ---- values ------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint64_t ns;
} duration_unit;

static const duration_unit units[] = {
    {"ns", 1},         {"us", 1000},     {"ms", 1000000}, {"min", UINT64_C(60000000000)},
    {"s", 1000000000}, {"", 1000000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool duration_fail(vs_str text, vs_err *err)
{
    return vs_fail(err, VS_ERR_VALUE, "\"%.*s\" is not a time; write it as 250ms, 1.5s or 2min",
                   (int)(text.len < 40 ? text.len : 40), text.ptr);
}

/* Decimals of a unit, floored to a nanosecond. */
static bool add_decimals(vs_str *rest, uint64_t unit_ns, uint64_t *total)
{
    uint64_t part = unit_ns;
    while (rest->len > 0 && is_digit(rest->ptr[0])) {
        part /= 10;
        if (!vs_add_u64(*total, part * (uint64_t)(rest->ptr[0] - '0'), total)) {
            return false;
        }
        rest->ptr++;
        rest->len--;
    }
    return true;
}

bool vs_parse_duration(vs_str text, vs_ns *out, vs_err *err)
{
    size_t unit_at = 0;
    while (unit_at < text.len && (is_digit(text.ptr[unit_at]) || text.ptr[unit_at] == '.')) {
        unit_at++;
    }
    size_t name_at = unit_at;
    while (name_at < text.len && text.ptr[name_at] == ' ') {
        name_at++;
    }
    const vs_str name = {text.ptr + name_at, text.len - name_at};
    size_t u = 0;
    const size_t unit_count = sizeof units / sizeof units[0];
    while (u < unit_count && !vs_str_is_nocase(name, units[u].name)) {
        u++;
    }
    vs_str rest = {text.ptr, unit_at};
    size_t whole_len = 0;
    while (whole_len < rest.len && rest.ptr[whole_len] != '.') {
        whole_len++;
    }
    uint64_t total = 0;
    uint64_t whole = 0;
    vs_err ignored = {0};
    if (u == unit_count || !vs_parse_u64((vs_str){rest.ptr, whole_len}, &whole, &ignored) ||
        !vs_mul_u64(whole, units[u].ns, &total)) {
        return duration_fail(text, err);
    }
    rest.ptr += whole_len;
    rest.len -= whole_len;
    if (rest.len > 0) {
        rest.ptr++;
        rest.len--;
        if (rest.len == 0 || !add_decimals(&rest, units[u].ns, &total) || rest.len > 0) {
            return duration_fail(text, err);
        }
    }
    *out = total;
    return true;
}

static bool set_size(vs_view_options *options, const char *value, vs_err *err)
{
    const char *x = strchr(value, 'x');
    uint64_t w = 0;
    uint64_t h = 0;
    vs_err ignored = {0};
    const bool is_read = x != NULL &&
                         vs_parse_u64((vs_str){value, (size_t)(x - value)}, &w, &ignored) &&
                         vs_parse_u64(vs_str_of(x + 1), &h, &ignored);
    if (!is_read || w < SIDE_MIN || h < 200 || w > SIDE_MAX || h > SIDE_MAX) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--size \"%s\": expected WIDTHxHEIGHT in pixels, %dx200 to %dx%d", value,
                       SIDE_MIN, SIDE_MAX, SIDE_MAX);
    }
    options->width = (int32_t)w;
    options->height = (int32_t)h;
    return true;
}

static bool set_scale(vs_view_options *options, const char *value, vs_err *err)
{
    /* A scale is written like a duration in seconds: "1.5". */
    vs_ns ns = 0;
    vs_err ignored = {0};
    if (!vs_parse_duration(vs_str_of(value), &ns, &ignored) || ns < 500000000 ||
        ns > 4000000000 || !is_digit(value[strlen(value) - 1])) {
        return vs_fail(err, VS_ERR_USAGE, "--scale \"%s\": expected a number from 0.5 to 4",
                       value);
    }
    options->scale_pct = (uint32_t)(ns / 10000000);
    return true;
}

static bool set_theme(vs_view_options *options, const char *value, vs_err *err)
{
    return vs_theme_find(vs_str_of(value), &options->theme) ||
           vs_fail(err, VS_ERR_USAGE, "--theme \"%s\": expected dark, light or contrast",
                   value);
}

static bool set_range(vs_view_options *options, const char *value, vs_err *err)
{
    const char *dots = strstr(value, "..");
    if (dots == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--range \"%s\": expected FROM..TO, for example 4s..12.6s", value);
    }
    if (!vs_parse_duration((vs_str){value, (size_t)(dots - value)}, &options->range_t0, err) ||
        !vs_parse_duration(vs_str_of(dots + 2), &options->range_t1, err)) {
        vs_err_at_input(err, "--range");
        return false;
    }
    if (options->range_t1 <= options->range_t0) {
        return vs_fail(err, VS_ERR_USAGE, "--range \"%s\": the end must be after the beginning",
                       value);
    }
    options->has_range = true;
    return true;
}

static bool set_scenario(vs_view_options *options, const char *value, vs_err *err)
{
    (void)err;
    options->scenario = value;
    return true;
}

static bool set_shot(vs_view_options *options, const char *value, vs_err *err)
{
    (void)err;
    options->shot = value;
    return true;
}

static bool set_font(vs_view_options *options, const char *value, vs_err *err)
{
    (void)err;
    options->font = value;
    return true;
}

static bool set_title(vs_view_options *options, const char *value, vs_err *err)
{
    (void)err;
    options->title = value;
    return true;
}

static bool set_compare(vs_view_options *options, const char *value, vs_err *err)
{
    (void)value;
    (void)err;
    options->is_compare = true;
    return true;
}

static bool set_axis(vs_view_options *options, const char *value, vs_err *err)
{
    options->has_axis = true;
    return vs_compare_axis_find(vs_str_of(value), &options->axis) ||
           vs_fail(err, VS_ERR_USAGE, "--axis \"%s\": expected time, stretched, event or share",
                   value);
}

static bool set_align(vs_view_options *options, const char *value, vs_err *err)
{
    return vs_compare_align_find(vs_str_of(value), &options->align) ||
           vs_fail(err, VS_ERR_USAGE, "--align \"%s\": expected first, start or oom", value);
}

static bool set_metric(vs_view_options *options, const char *value, vs_err *err)
{
    return vs_compare_metric_find(vs_str_of(value), &options->metric) ||
           vs_fail(err, VS_ERR_USAGE, "--metric \"%s\": expected reserved, allocated or used",
                   value);
}

static bool set_gpu_index(vs_view_options *options, const char *value, vs_err *err)
{
    uint64_t index = 0;
    if (!vs_parse_u64(vs_str_of(value), &index, NULL) || index > UINT8_MAX) {
        return vs_fail(err, VS_ERR_USAGE, "--gpu-index \"%s\": expected a number from 0",
                       value);
    }
    options->gpu_index = (uint32_t)index;
    return true;
}

static bool set_help(vs_view_options *options, const char *value, vs_err *err)
{
    (void)value;
    (void)err;
    options->wants_help = true;
    return true;
}

static bool set_version(vs_view_options *options, const char *value, vs_err *err)
{
    (void)value;
    (void)err;
    options->wants_version = true;
    return true;
}

static const option_row rows[] = {
    {"--scenario", "FILE",
     "simulate this scenario (vramscope sim --print-scenario) and show it", set_scenario},
    {"--shot", "FILE",
     "write a picture instead of opening a window (.svg: SVG, else PNG; -: standard output)",
     set_shot},
    {"--size", "WxH", "size in pixels (1600x900)", set_size},
    {"--scale", "S", "size of text and lines, 0.5 to 4 (1)", set_scale},
    {"--theme", "NAME", "dark, light or contrast (dark)", set_theme},
    {"--range", "T0..T1", "show this part of the run, e.g. 1.2s..1.9s", set_range},
    {"--font", "FILE", "a .ttf or .otf instead of the font found on this machine", set_font},
    {"--title", "TEXT", "text under the verdict instead of the tape's own", set_title},
    {"--compare", NULL,
     "with --shot: the first run, predicted, against the second, recorded, in one frame",
     set_compare},
    {"--axis", "NAME", "of --compare: time, stretched, event or share (time)", set_axis},
    {"--align", "NAME", "of --compare: zero is the first allocation, the start, or oom (first)",
     set_align},
    {"--metric", "NAME", "of --compare: reserved, allocated or used (what both have)",
     set_metric},
    {"--gpu-index", "N", "of --compare: which GPU of the second run (0)", set_gpu_index},
    {"--help", NULL, "this page", set_help},
    {"--version", NULL, "version", set_version},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* ---- parsing ----------------------------------------------------------------------------- */

static const option_row *find_row(vs_str name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (vs_str_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool unknown_option(vs_str name, vs_err *err)
{
    const char *names[ROW_COUNT];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        names[i] = rows[i].name;
    }
    const char *near = vs_nearest(name, names, ROW_COUNT);
    return vs_fail(err, VS_ERR_USAGE, "unknown option %.*s%s%s; see --help",
                   (int)(name.len < 60 ? name.len : 60), name.ptr,
                   near != NULL ? ", did you mean " : "", near != NULL ? near : "");
}

static bool parse_option(vs_view_options *options, int *at, int argc, char **argv, vs_err *err)
{
    const char *arg = argv[*at];
    const char *equals = strchr(arg, '=');
    const vs_str name = {arg, equals != NULL ? (size_t)(equals - arg) : strlen(arg)};
    const option_row *row = find_row(name);
    if (row == NULL) {
        return unknown_option(name, err);
    }
    if (row->value == NULL) {
        return equals == NULL ? row->set(options, "", err)
                              : vs_fail(err, VS_ERR_USAGE, "%s takes no value", row->name);
    }
    const char *value = equals != NULL ? equals + 1 : *at + 1 < argc ? argv[++*at] : "";
    if (value[0] == '\0') {
        return vs_fail(err, VS_ERR_USAGE, "%s needs a value: %s %s", row->name, row->name,
                       row->value);
    }
    return row->set(options, value, err);
}

static bool add_tape(vs_view_options *options, const char *path, vs_err *err)
{
    if (options->tape_count == VS_ROWS_MAX) {
        return vs_fail(err, VS_ERR_LIMIT, "more than %d tapes in one picture; leave some out",
                       VS_ROWS_MAX);
    }
    options->tapes[options->tape_count++] = path;
    return true;
}

/* What would be ignored is refused. */
static bool check_compare(const vs_view_options *options, vs_err *err)
{
    const uint32_t runs = options->tape_count + (options->scenario != NULL ? 1u : 0u);
    if (runs != 2) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--compare takes two runs, the predicted one first (or --scenario and "
                       "the recorded one); there are %u",
                       runs);
    }
    if (options->shot == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--compare makes a picture: name it with --shot FILE.png or FILE.svg");
    }
    return (!options->has_range && options->title == NULL) ||
           vs_fail(err, VS_ERR_USAGE, "--range and --title do not go with --compare");
}

bool vs_view_options_parse(vs_view_options *options, int argc, char **argv, vs_err *err)
{
    *options = (vs_view_options){
        .width = 1600, .height = 900, .scale_pct = 100, .metric = VS_COMPARE_METRIC_COUNT};
    bool is_paths_only = false;
    for (int i = 1; i < argc; i++) {
        const bool is_path = is_paths_only || argv[i][0] != '-' || argv[i][1] == '\0';
        if (!is_paths_only && strcmp(argv[i], "--") == 0) {
            is_paths_only = true;
        } else if (is_path ? !add_tape(options, argv[i], err)
                           : !parse_option(options, &i, argc, argv, err)) {
            return false;
        }
    }
    if (options->wants_help || options->wants_version) {
        return true;
    }
    if (options->tape_count == 0 && options->scenario == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "nothing to show: name a tape (vramscope sim MODEL --tape FILE) or "
                       "--scenario FILE");
    }
    if (options->tape_count == VS_ROWS_MAX && options->scenario != NULL) {
        return vs_fail(err, VS_ERR_LIMIT, "more than %d runs in one picture; leave some out",
                       VS_ROWS_MAX);
    }
    if (options->is_compare) {
        return check_compare(options, err);
    }
    const bool has_more = options->has_axis || options->align != VS_FROM_FIRST ||
                          options->metric != VS_COMPARE_METRIC_COUNT || options->gpu_index != 0;
    return !has_more || vs_fail(err, VS_ERR_USAGE,
                                "--axis, --align, --metric and --gpu-index go with --compare");
}

void vs_view_options_help(vs_outfile *out)
{
    vs_outfile_printf(
        out,
        "usage: vramscope view [OPTIONS] [FILE ...]\n\n"
        "Draws what filled a GPU's memory while a model was loaded. FILE is a tape or a\n"
        "recording (PyTorch memory snapshot, profiler trace, Nsight Systems export, RMM log,\n"
        "nvidia-smi samples), told by its content. Several share one byte scale and one time\n"
        "axis, one row each.\n\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[40];
        size_t used = 0;
        const char *parts[3] = {rows[i].name, rows[i].value != NULL ? " " : "",
                                rows[i].value != NULL ? rows[i].value : ""};
        for (size_t k = 0; k < 3; k++) {
            memcpy(left + used, parts[k], strlen(parts[k]));
            used += strlen(parts[k]);
        }
        left[used] = '\0';
        vs_outfile_printf(out, "  %-17s %s\n", left, rows[i].help);
    }
    vs_outfile_printf(out,
                      "\nIn the window press ? for keys. Exit: 0 done, 1 error, 2 usage.\n\n"
                      "  vramscope sim llama-2-7b --tape run.tape && vramscope view run.tape\n"
                      "  vramscope view --shot both.png async.tape sequential.tape\n"
                      "  vramscope view --compare --scenario plan.json --shot check.png "
                      "snapshot.pickle\n");
}
