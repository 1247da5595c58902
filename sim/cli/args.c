/* args.c - the command line of sim, compare and inspect, from the one table of options.
 *
 * Two passes: a --scenario file is read first, then everything else, so that the command line wins wherever it
 * stands. Outputs are the command line's own business; settings go to vs_scenario_set. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

int cli_error(const vs_err *err)
{
    char line[2 * VS_ERR_TEXT_BYTES + VS_ERR_INPUT_BYTES];
    fprintf(stderr, "vramscope: %s\n", vs_err_line(err, line, sizeof line));
    return err->code == VS_ERR_USAGE || err->code == VS_ERR_PLANNED ? EXIT_USAGE : EXIT_ERROR;
}

/* One word of the command line, taken apart. */
typedef struct {
    const vs_option *option; /* NULL: one of ours (vary, tensors, help) or a positional */
    vs_str name;             /* without dashes */
    vs_str value;
    bool has_value;
    bool is_negated;
    bool is_positional;
} word;

static bool is_own(vs_str name)
{
    return vs_str_is(name, "vary") || vs_str_is(name, "tensors") || vs_str_is(name, "help");
}

static bool unknown_option(vs_str name, vs_err *err)
{
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    const char *keys[128];
    size_t n = 0;
    for (size_t i = 0; i < count && n + 3 < sizeof keys / sizeof keys[0]; i++) {
        keys[n++] = options[i].key;
    }
    keys[n++] = "vary";
    keys[n++] = "tensors";
    keys[n++] = "help";
    const char *near = vs_nearest(name, keys, n);
    if (near != NULL) {
        return vs_fail(err, VS_ERR_USAGE, "--%.*s: no such option; did you mean --%s?",
                       (int)name.len, name.ptr, near);
    }
    return vs_fail(err, VS_ERR_USAGE,
                   "--%.*s: no such option; `vramscope help COMMAND` lists them", (int)name.len,
                   name.ptr);
}

static bool find_option(word *w, vs_err *err)
{
    if (is_own(w->name)) {
        return true;
    }
    w->option = vs_option_find(w->name);
    if (w->option == NULL && vs_str_starts(w->name, "no-")) {
        const vs_option *option = vs_option_find((vs_str){w->name.ptr + 3, w->name.len - 3});
        if (option != NULL && option->has_negation) {
            w->option = option;
            w->is_negated = true;
        }
    }
    if (w->option == NULL) {
        return unknown_option(w->name, err);
    }
    if (w->option->is_planned) {
        return vs_fail(err, VS_ERR_PLANNED, "--%s: not in this version yet", w->option->key);
    }
    return true;
}

static bool needs_value(const word *w)
{
    if (w->option != NULL) {
        return w->option->kind == VS_OPT_VALUE;
    }
    return vs_str_is(w->name, "vary");
}

/* --async=on is fine; --no-async=on, --print-scenario=off and --help=5 are not. */
static bool takes_value(const word *w)
{
    if (w->option == NULL) {
        return vs_str_is(w->name, "vary");
    }
    return !w->is_negated && w->option->values[0] != '\0';
}

/* Takes the next word and, for `--key value`, its value. */
static bool next_word(int argc, char **argv, int *pos, word *out, vs_err *err)
{
    const char *text = argv[(*pos)++];
    word w = {0};
    if (text[0] != '-' || text[1] == '\0') {
        *out = (word){.value = vs_str_of(text), .is_positional = true};
        return true;
    }
    if (strcmp(text, "-h") == 0) {
        text = "--help";
    }
    if (text[1] != '-' || text[2] == '\0') {
        return vs_fail(
            err, VS_ERR_USAGE,
            "%s: options are written with two dashes; `vramscope help COMMAND` lists them",
            text);
    }
    w.name = vs_str_of(text + 2);
    const char *equals = strchr(text + 2, '=');
    if (equals != NULL) {
        w.name.len = (size_t)(equals - (text + 2));
        w.value = vs_str_of(equals + 1);
        w.has_value = true;
    }
    if (!find_option(&w, err)) {
        return false;
    }
    if (w.has_value && !takes_value(&w)) {
        return vs_fail(err, VS_ERR_USAGE, "%s: --%.*s takes no value", text, (int)w.name.len,
                       w.name.ptr);
    }
    if (needs_value(&w) && !w.has_value) {
        if (*pos >= argc) {
            return vs_fail(err, VS_ERR_USAGE, "%s: a value is missing: %s", text,
                           w.option != NULL ? w.option->values : "KEY=V1,V2");
        }
        w.value = vs_str_of(argv[(*pos)++]);
        w.has_value = true;
    }
    *out = w;
    return true;
}

static bool add_vary(cli_args *args, vs_str text, vs_err *err)
{
    size_t equals = 0;
    while (equals < text.len && text.ptr[equals] != '=') {
        equals++;
    }
    if (equals == 0 || equals + 1 >= text.len) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--vary %.*s: expected KEY=V1,V2, for example dtype=fp32,bf16",
                       (int)text.len, text.ptr);
    }
    if (args->vary_count == CLI_VARY_MAX) {
        return vs_fail(err, VS_ERR_LIMIT, "--vary: at most %d of them", CLI_VARY_MAX);
    }
    cli_vary *vary = &args->varies[args->vary_count];
    *vary = (cli_vary){.option = vs_option_find((vs_str){text.ptr, equals})};
    for (uint32_t i = 0; vary->option != NULL && i < args->vary_count; i++) {
        if (args->varies[i].option == vary->option) {
            return vs_fail(err, VS_ERR_USAGE,
                           "--vary %s: given twice; one --vary holds all its values, separated "
                           "by commas",
                           vary->option->key);
        }
    }
    if (vary->option == NULL) {
        return unknown_option((vs_str){text.ptr, equals}, err);
    }
    if (!vary->option->is_setting || vary->option->is_planned) {
        return vs_fail(err, VS_ERR_USAGE, "--vary %s: %s", vary->option->key,
                       vary->option->is_planned ? "not in this version yet"
                                                : "not a setting of the scenario");
    }
    for (size_t start = equals + 1; start <= text.len;) {
        size_t end = start;
        while (end < text.len && text.ptr[end] != ',') {
            end++;
        }
        if (vary->count == CLI_VALUES_MAX) {
            return vs_fail(err, VS_ERR_LIMIT, "--vary %s: at most %d values", vary->option->key,
                           CLI_VALUES_MAX);
        }
        vary->values[vary->count++] = (vs_str){text.ptr + start, end - start};
        start = end + 1;
    }
    args->vary_count++;
    return true;
}

static bool take_output(cli_args *args, const word *w)
{
    const char *key = w->option->key;
    const char *value = w->value.ptr; /* a whole argv word's tail: terminated */
    if (strcmp(key, "json") == 0) {
        args->json = value;
    } else if (strcmp(key, "tape") == 0) {
        args->tape = value;
    } else if (strcmp(key, "trace") == 0) {
        args->trace = value;
    } else if (strcmp(key, "csv") == 0) {
        args->csv = value;
    } else if (strcmp(key, "snapshot") == 0) {
        args->snapshot = value;
    } else if (strcmp(key, "png") == 0) {
        args->png = value;
    } else if (strcmp(key, "svg") == 0) {
        args->svg = value;
    } else if (strcmp(key, "print-scenario") == 0) {
        args->print_scenario = true;
    } else {
        return false;
    }
    return true;
}

static bool take_own(cli_args *args, const word *w, vs_err *err)
{
    if (vs_str_is(w->name, "vary")) {
        return add_vary(args, w->value, err);
    }
    if (vs_str_is(w->name, "tensors")) {
        args->tensors = true;
    } else {
        args->wants_help = true;
    }
    return true;
}

static bool take_setting(cli *c, cli_args *args, const word *w, bool *gpu_seen, vs_err *err)
{
    vs_str value = w->value;
    if (args->setting == NULL) {
        args->setting = w->option->key;
    }
    if (w->option->kind == VS_OPT_FLAG && !w->has_value) {
        value = vs_str_of(w->is_negated ? "off" : "on");
    }
    const bool is_gpu = strcmp(w->option->key, "gpu") == 0;
    const bool is_first = !is_gpu || !*gpu_seen;
    *gpu_seen = *gpu_seen || is_gpu;
    return vs_scenario_set(&args->scenario, &c->inputs, w->option, value, is_first, err);
}

static bool take_positional(cli *c, cli_args *args, bool *has_model, vs_str value, vs_err *err)
{
    if (*has_model) {
        return vs_fail(err, VS_ERR_USAGE, "%.*s: one MODEL at a time (%s was given already)",
                       (int)value.len, value.ptr, args->scenario.model);
    }
    *has_model = true;
    args->scenario.model = vs_str_copy(&c->inputs, value);
    return args->scenario.model != NULL || vs_fail_memory(err, &c->inputs, "the command line");
}

static bool read_scenario_file(cli *c, cli_args *args, int argc, char **argv, vs_err *err)
{
    for (int pos = 0; pos < argc;) {
        word w = {0};
        if (!next_word(argc, argv, &pos, &w, err)) {
            return false;
        }
        if (w.option != NULL && strcmp(w.option->key, "scenario") == 0 &&
            !vs_scenario_read(&args->scenario, &c->inputs, w.value.ptr, err)) {
            return false;
        }
    }
    return true;
}

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

static const char *plain_path(const char *path)
{
    while (path != NULL && path[0] == '.' && path[1] == '/') {
        path += 2;
    }
    return path;
}

/* Two outputs into one file: the second would silently replace the first. */
static bool check_distinct(const cli_args *args, vs_err *err)
{
    const char *const paths[] = {args->json,     args->tape, args->trace, args->csv,
                                 args->snapshot, args->png,  args->svg};
    const size_t count = sizeof paths / sizeof paths[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (paths[i] != NULL && paths[j] != NULL && strncmp(paths[i], "/dev/", 5) != 0 &&
                strcmp(plain_path(paths[i]), plain_path(paths[j])) == 0) {
                return vs_fail(err, VS_ERR_USAGE,
                               "%s: two outputs cannot go to one file; give each its own name",
                               paths[i]);
            }
        }
    }
    return true;
}

/* Standard output holds one thing: the report, or the one output that was sent there. Pictures need a name. */
static bool check_outputs(cli_args *args, vs_err *err)
{
    const int count = is_stdout(args->json) + is_stdout(args->tape) + is_stdout(args->trace) +
                      is_stdout(args->csv) + is_stdout(args->snapshot);
    if (is_stdout(args->png) || is_stdout(args->svg)) {
        return vs_fail(
            err, VS_ERR_USAGE, "--%s -: a picture goes to a file; name one, as in load.%s",
            is_stdout(args->png) ? "png" : "svg", is_stdout(args->png) ? "png" : "svg");
    }
    if (count > 1) {
        return vs_fail(err, VS_ERR_USAGE,
                       "two outputs cannot both go to standard output (-); name a file for "
                       "one of them");
    }
    if (args->svg != NULL && !vs_str_ends(vs_str_of(args->svg), ".svg")) {
        return vs_fail(err, VS_ERR_USAGE, "--svg %s: the name of an SVG file ends in .svg",
                       args->svg);
    }
    args->is_quiet = count == 1;
    return check_distinct(args, err);
}

bool cli_parse(cli *c, cli_args *args, int argc, char **argv, vs_err *err)
{
    bool has_model = false;
    bool gpu_seen = false;
    if (!read_scenario_file(c, args, argc, argv, err)) {
        return false;
    }
    for (int pos = 0; pos < argc;) {
        word w = {0};
        bool is_fine = next_word(argc, argv, &pos, &w, err);
        if (is_fine && w.is_positional) {
            is_fine = take_positional(c, args, &has_model, w.value, err);
        } else if (is_fine && w.option == NULL) {
            is_fine = take_own(args, &w, err);
        } else if (is_fine && strcmp(w.option->key, "scenario") != 0 &&
                   !take_output(args, &w)) {
            is_fine = take_setting(c, args, &w, &gpu_seen, err);
        }
        if (!is_fine) {
            return false;
        }
    }
    if (!check_outputs(args, err)) {
        return false;
    }
    args->fail_on_oom = args->scenario.fail_on_oom;
    if (args->scenario.model == NULL && !args->wants_help) {
        return vs_fail(
            err, VS_ERR_USAGE,
            "%s: which MODEL? A name (`vramscope list models`), a folder, a config.json, "
            "or a .safetensors, .bin or .gguf file",
            c->command);
    }
    return true;
}
