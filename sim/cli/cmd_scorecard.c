/* cmd_scorecard.c - `vramscope scorecard`: what this program predicts beside what others measured and published.
 *
 * A row's args are read as the command line they are, by the same reader as that of `vramscope sim`, and simulated in this
 * process. What that reader refuses as not in this version puts the row out of reach, with the words it used; nothing is
 * decided by the name of a row. An error in a row is shown in its place and the next row runs.
 *
 * Arenas: the sheet and its texts live in scratch; inputs and run are reset before each row. */
#include "scorecard.h"
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 16u

typedef struct {
    cli_words words; /* facts of the user's own; none: the shipped ones */
    const char *json;
    const char *filter;
    bool has_sources;
} scorecard_args;

/* ---- one row ----------------------------------------------------------------------------------------- */

/* The words of a row from `first` on, as a command line that may be written to. */
static char **words_of(cli *c, const vs_score_row *row, uint32_t first, uint32_t count)
{
    char **argv = VS_ARRAY(&c->inputs, char *, (size_t)count + 1);
    for (uint32_t i = 0; argv != NULL && i < count; i++) {
        argv[i] = vs_str_copy(&c->inputs, vs_str_of(row->args[first + i]));
        if (argv[i] == NULL) {
            return NULL;
        }
    }
    return argv;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-';
}

/* "--context" where the option is not there at all, "--loader classic" where its value is not. */
static const char *name_missing(cli *c, const vs_score_row *row, uint32_t at, uint32_t count)
{
    const char *const word = row->args[at];
    const char *const equals = strchr(word, '=');
    const size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const vs_option *const option = vs_option_find((vs_str){word + 2, len - 2});
    if (option != NULL && option->is_planned) {
        return vs_arena_printf(&c->scratch, "--%s", option->key);
    }
    return count == 2 ? vs_arena_printf(&c->scratch, "%s %s", word, row->args[at + 1])
                      : vs_str_copy(&c->scratch, vs_str_of(word));
}

static bool note_missing(cli *c, vs_score_row *row, const char *name, const vs_err *said,
                         vs_err *err)
{
    if (row->missing[0] == '\0') {
        row->reason = vs_str_copy(&c->scratch, vs_str_of(said->text));
    }
    row->missing = name == NULL ? NULL
                                : vs_arena_printf(&c->scratch, "%s%s%s", row->missing,
                                                  row->missing[0] == '\0' ? "" : ", ", name);
    row->state = VS_ROW_OUT_OF_REACH;
    return (row->missing != NULL && row->reason != NULL) ||
           vs_fail_memory(err, &c->scratch, "the scorecard");
}

/* Asks about every option by itself, so that a row says all it needs and not the first of it. */
static bool find_missing(cli *c, vs_score_row *row, vs_err *err)
{
    for (uint32_t at = 1; at < row->arg_count; at++) {
        cli_args ignored = {0};
        vs_err said = {0};
        const bool has_value = at + 1 < row->arg_count && !is_option(row->args[at + 1]) &&
                               is_option(row->args[at]);
        const uint32_t count = has_value ? 2 : 1;
        char **const argv = words_of(c, row, at, count);
        if (argv == NULL) {
            return vs_fail_memory(err, &c->inputs, "the scorecard");
        }
        if (is_option(row->args[at]) && !cli_parse(c, &ignored, (int)count, argv, &said) &&
            said.code == VS_ERR_PLANNED &&
            !note_missing(c, row, name_missing(c, row, at, count), &said, err)) {
            return false;
        }
        at += count - 1;
    }
    return true;
}

static bool open_model(cli *c, const vs_score_row *row, const char *spec, vs_model *model,
                       vs_err *err)
{
    vs_assert(spec != NULL); /* read_words refuses a row without a model */
    if (row->config_text != NULL && strncmp(spec, "CONFIG:", 7) == 0) {
        return vs_model_from_config(model, &c->inputs, row->config_text,
                                    strlen(row->config_text), spec, err);
    }
    return cli_read_model(c, model, spec, err);
}

/* The command line of a row means one run and nothing beside it. */
static bool read_words(cli *c, const vs_score_row *row, cli_args *args, vs_err *err)
{
    if (strcmp(row->args[0], "sim") != 0) {
        return vs_fail(err, VS_ERR_VALUE, "args: %s: only sim is simulated", row->args[0]);
    }
    char **const argv = words_of(c, row, 1, row->arg_count - 1);
    if (argv == NULL) {
        return vs_fail_memory(err, &c->inputs, "the scorecard");
    }
    if (!cli_parse(c, args, (int)row->arg_count - 1, argv, err)) {
        return false;
    }
    if (args->scenario.model == NULL) { /* --help asks for none */
        return vs_fail(err, VS_ERR_VALUE, "args: which MODEL?");
    }
    const bool has_outputs = args->json != NULL || args->tape != NULL || args->trace != NULL ||
                             args->csv != NULL || args->snapshot != NULL || args->png != NULL ||
                             args->svg != NULL;
    if (has_outputs || args->vary_count > 0 || args->print_scenario) {
        return vs_fail(err, VS_ERR_VALUE, "args: a row names one run and no outputs");
    }
    return true;
}

/* overlay_dir: cards of the user's own, for facts of the user's own. The shipped rows depend on the shipped catalogue only. */
static bool run_row(cli *c, vs_score_row *row, const char *overlay_dir, vs_err *err)
{
    cli_args args = {0};
    vs_model model = {0};
    vs_machine machine = {0};
    vs_run_result result = {0};
    vs_timeline timeline = {0};
    if (!read_words(c, row, &args, err)) {
        return false;
    }
    args.scenario.machine.stated = vs_str_of(row->host_text);
    if (!vs_machine_resolve(&machine, &c->inputs, &args.scenario.machine, overlay_dir, err) ||
        !open_model(c, row, args.scenario.model, &model, err)) {
        return false;
    }
    const vs_run_input input = {
        .model = &model, .machine = &machine, .scenario = &args.scenario};
    if (!vs_run(&c->run, &input, &result, &timeline, err)) {
        return false;
    }
    vs_score_judge(row, &result);
    return true;
}

/* False only when our own memory ran out. */
static bool do_row(cli *c, vs_score_row *row, bool is_shipped, vs_err *err)
{
    char line[2 * VS_ERR_TEXT_BYTES + VS_ERR_INPUT_BYTES];
    vs_err said = {0};
    vs_arena_reset(&c->inputs);
    vs_arena_reset(&c->run);
    if (!find_missing(c, row, err)) {
        return false;
    }
    if (row->state == VS_ROW_OUT_OF_REACH ||
        run_row(c, row, is_shipped ? NULL : cli_overlay_dir(c), &said)) {
        return true;
    }
    if (said.code == VS_ERR_PLANNED) { /* of the options together, as several cards */
        return note_missing(c, row, said.text, &said, err);
    }
    row->state = VS_ROW_FAILED;
    row->reason = vs_str_copy(&c->scratch, vs_str_of(vs_err_line(&said, line, sizeof line)));
    return row->reason != NULL || vs_fail_memory(err, &c->scratch, "the scorecard");
}

/* ---- all rows ------------------------------------------------------------------------------------------ */

static bool read_file(vs_score_sheet *sheet, vs_arena *arena, const char *path, vs_err *err)
{
    vs_file file = {0};
    if (!vs_file_open(&file, path, err)) {
        return false;
    }
    const bool is_read =
        vs_score_read(sheet, arena, file.bytes, (size_t)file.size_bytes, path, err);
    vs_file_close(&file);
    return is_read;
}

static bool read_sheet(cli *c, const scorecard_args *args, vs_score_sheet *sheet, vs_err *err)
{
    if (args->words.file_count == 0) {
        return vs_score_read_shipped(sheet, &c->scratch, err);
    }
    for (uint32_t i = 0; i < args->words.file_count; i++) {
        if (!read_file(sheet, &c->scratch, args->words.files[i], err)) {
            return false;
        }
    }
    return true;
}

static bool has_text(const vs_score_row *row, const char *text)
{
    bool has = strstr(row->id, text) != NULL || strstr(row->source, text) != NULL;
    for (uint32_t i = 0; i < row->arg_count; i++) {
        has = has || strstr(row->args[i], text) != NULL;
    }
    return has;
}

static bool filter_rows(vs_score_sheet *sheet, const char *text, vs_err *err)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sheet->count; i++) {
        if (text == NULL || has_text(&sheet->rows[i], text)) {
            sheet->rows[kept++] = sheet->rows[i];
        }
    }
    sheet->count = kept;
    return kept > 0 || vs_fail(err, VS_ERR_NOT_FOUND,
                               "--filter %s: no row has that in its name, source or arguments",
                               text == NULL ? "" : text);
}

static void progress(uint32_t done, uint32_t total)
{
    if (isatty(STDERR_FILENO) != 0) {
        /* \033[K clears the line that the table takes */
        fprintf(stderr, done == total ? "\r\033[K" : "\r%" PRIu32 " of %" PRIu32 " rows", done,
                total);
        (void)fflush(stderr);
    }
}

static bool write_json(const char *path, const scorecard_report *report, vs_err *err)
{
    vs_outfile *const out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    vs_jwriter w = vs_jwriter_of(out, false);
    scorecard_json(&w, report);
    return vs_outfile_commit(out, err);
}

static bool write_text(const scorecard_report *report, vs_err *err)
{
    vs_outfile *const out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    if (!scorecard_text(out, report, err)) {
        vs_outfile_abandon(out);
        return false;
    }
    return vs_outfile_commit(out, err);
}

static bool scorecard(cli *c, const scorecard_args *args, bool *out_has_failed, vs_err *err)
{
    vs_score_sheet sheet = {0};
    vs_score_summary summary = {0};
    const bool is_shipped = args->words.file_count == 0;
    if (!read_sheet(c, args, &sheet, err) || !filter_rows(&sheet, args->filter, err)) {
        return false;
    }
    for (uint32_t i = 0; i < sheet.count; i++) {
        progress(i, sheet.count);
        if (!do_row(c, &sheet.rows[i], is_shipped, err)) {
            return false;
        }
    }
    progress(sheet.count, sheet.count);
    if (!vs_score_summarise(&sheet, &c->scratch, &summary, err)) {
        return false;
    }
    const scorecard_report report = {.sheet = &sheet,
                                     .summary = &summary,
                                     .is_shipped = is_shipped,
                                     .has_sources = args->has_sources,
                                     .arena = &c->scratch};
    *out_has_failed = summary.failed > 0;
    if (args->json != NULL && !write_json(args->json, &report, err)) {
        return false;
    }
    return (args->json != NULL && strcmp(args->json, "-") == 0) || write_text(&report, err);
}

int cmd_scorecard(cli *c, int argc, char **argv)
{
    scorecard_args args = {0};
    vs_err err = {0};
    bool has_failed = false;
    const cli_word words[] = {{.name = "--filter", .values = "TEXT", .place = &args.filter},
                              {.name = "--sources", .flag = &args.has_sources},
                              {.name = "--json", .values = "FILE", .place = &args.json}};
    args.words = (cli_words){.command = "scorecard",
                             .words = words,
                             .word_count = sizeof words / sizeof words[0],
                             .file_max = FILES_MAX,
                             .what = "files of facts",
                             .may_be_none = true};
    if (!cli_read_words(&args.words, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.words.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"scorecard"}});
    }
    if (!scorecard(c, &args, &has_failed, &err)) {
        return cli_error(&err);
    }
    return has_failed ? EXIT_ERROR : EXIT_OK;
}
