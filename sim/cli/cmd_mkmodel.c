/* cmd_mkmodel.c - `vramscope mkmodel`: a model as a checkpoint with true headers and holes for data. It takes none of
 * the settings of a run, so it reads its few options itself. */
#include "words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *model;
    const char *folder;
    const char *json;
    const char *format; /* NULL: safetensors */
    const char *layers; /* NULL: all */
    bool is_forced;
    bool wants_help;
} mkmodel_args;

/* ---- the command line ----------------------------------------------------------------------------- */

static bool parse(mkmodel_args *args, int argc, char **argv, vs_err *err)
{
    const cli_word words[] = {
        {.name = "-o", .values = "DIR", .place = &args->folder},
        {.name = "--format", .values = "safetensors or gguf", .place = &args->format},
        {.name = "--layers", .values = "N", .place = &args->layers},
        {.name = "--json", .values = "FILE", .place = &args->json},
        {.name = "--force", .flag = &args->is_forced}};
    cli_words spec = {.command = "mkmodel",
                      .words = words,
                      .word_count = sizeof words / sizeof words[0],
                      .file_max = 1,
                      .may_be_none = true,
                      .what = "MODEL"};
    if (!cli_read_words(&spec, argc, argv, err)) {
        return false;
    }
    args->wants_help = spec.wants_help;
    args->model = spec.files[0];
    if (args->wants_help) {
        return true;
    }
    if (args->model == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "mkmodel: which MODEL? A name (`vramscope list models`), a folder, a "
                       "config.json, or a .safetensors, .bin or .gguf file");
    }
    return args->folder != NULL ||
           vs_fail(err, VS_ERR_USAGE, "mkmodel: where to? -o DIR names the folder to write");
}

static bool read_format(const char *text, vs_write_format *out, vs_err *err)
{
    if (text == NULL || strcmp(text, "safetensors") == 0) {
        *out = VS_WRITE_SAFETENSORS;
        return true;
    }
    if (strcmp(text, "gguf") == 0) {
        *out = VS_WRITE_GGUF;
        return true;
    }
    return vs_fail(err, VS_ERR_USAGE, "--format %s: expected safetensors or gguf", text);
}

/* 0: all of them. */
static bool read_layers(const char *text, uint64_t *out, vs_err *err)
{
    uint64_t layers = 0;
    if (text == NULL) {
        *out = 0;
        return true;
    }
    if (!vs_parse_u64(vs_str_of(text), &layers, NULL) || layers == 0) {
        return vs_fail(err, VS_ERR_USAGE, "--layers %s: expected a number of at least 1", text);
    }
    *out = layers;
    return true;
}

/* ---- what it says ------------------------------------------------------------------------------------- */

static void show_progress(void *context, uint32_t done, uint32_t total)
{
    const char *const folder = context;
    /* \033[K clears the line that the report takes */
    fprintf(stderr, done == total ? "\r\033[K" : "\r%s: %" PRIu32 " of %" PRIu32 " files",
            folder, done, total);
    (void)fflush(stderr);
}

static void report_text(vs_outfile *out, const mkmodel_args *args, const vs_model *model,
                        const vs_write_result *result)
{
    char data[VS_TEXT_BYTES];
    char written[VS_TEXT_BYTES];
    const bool is_gguf = args->format != NULL && strcmp(args->format, "gguf") == 0;
    vs_outfile_printf(out, "%s: %s in %" PRIu32 " %sfile%s, %" PRIu32 " tensors\n",
                      args->folder, model->name, result->file_count, is_gguf ? "GGUF " : "",
                      result->file_count == 1 ? "" : "s", result->tensor_count);
    vs_outfile_printf(out, "  data      %s, holes\n", vs_format_size(result->data_bytes, data));
    vs_outfile_printf(
        out, "  written   %s: headers%s%s\n", vs_format_size(result->written_bytes, written),
        result->file_count > 1 ? ", index" : "", result->has_config ? ", config.json" : "");
    if (is_gguf && model->quant.format != VS_QF_NONE && model->quant.format != VS_QF_MXFP4) {
        vs_outfile_printf(out, "  %s: dequantised, as GGUF has no such format\n",
                          model->quant.label);
    }
    if (result->left_out_count > 0) {
        vs_outfile_printf(out, "  left out  %" PRIu32 " tensors that GGUF has no name for\n",
                          result->left_out_count);
    }
    if (!result->has_config && !is_gguf) {
        vs_outfile_printf(out, "  no config.json: %s came without one\n", model->name);
    }
}

static void report_json(vs_jwriter *w, const mkmodel_args *args, const vs_model *model,
                        const vs_write_result *result)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.mkmodel/1");
    vs_jw_str(w, "name", model->name);
    vs_jw_str(w, "folder", args->folder);
    vs_jw_u64(w, "files", result->file_count);
    vs_jw_u64(w, "tensors", result->tensor_count);
    vs_jw_u64(w, "left_out_tensors", result->left_out_count);
    vs_jw_u64(w, "data_bytes", result->data_bytes);
    vs_jw_u64(w, "written_bytes", result->written_bytes);
    vs_jw_bool(w, "config", result->has_config);
    vs_jw_end(w);
}

static bool report(const mkmodel_args *args, const vs_model *model,
                   const vs_write_result *result, vs_err *err)
{
    const bool is_json_only = args->json != NULL && strcmp(args->json, "-") == 0;
    if (args->json != NULL) {
        vs_outfile *const json = vs_outfile_open(args->json, err);
        if (json == NULL) {
            return false;
        }
        vs_jwriter w = vs_jwriter_of(json, false);
        report_json(&w, args, model, result);
        if (!vs_outfile_commit(json, err)) {
            return false;
        }
    }
    if (is_json_only) {
        return true;
    }
    vs_outfile *const out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    report_text(out, args, model, result);
    return vs_outfile_commit(out, err);
}

int cmd_mkmodel(cli *c, int argc, char **argv)
{
    mkmodel_args args = {0};
    vs_model model = {0};
    vs_write_desc desc = {0};
    vs_write_result result = {0};
    vs_err err = {0};
    if (!parse(&args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"mkmodel"}});
    }
    /* A file beyond `ulimit -f` shall be an error to clean up after, not the end of the program. */
    (void)signal(SIGXFSZ, SIG_IGN);
    char *const folder = vs_str_copy(&c->inputs, vs_str_of(args.folder));
    if (folder == NULL) {
        (void)vs_fail_memory(&err, &c->inputs, "the command line");
        return cli_error(&err);
    }
    desc.folder = folder;
    desc.spec = args.model;
    desc.is_forced = args.is_forced;
    if (isatty(STDERR_FILENO) != 0) {
        desc.progress = show_progress;
        desc.progress_context = folder;
    }
    if (!read_format(args.format, &desc.format, &err) ||
        !read_layers(args.layers, &desc.layers, &err) ||
        !cli_read_model(c, &model, args.model, &err) ||
        !vs_model_write(&result, &c->scratch, &model, &desc, &err) ||
        !report(&args, &model, &result, &err)) {
        return cli_error(&err);
    }
    return EXIT_OK;
}
