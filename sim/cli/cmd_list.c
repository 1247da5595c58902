/* cmd_list.c - `vramscope list`: the catalogues. Models and families here, the rest in list_hardware.c. */
#include "list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- models ----------------------------------------------------------------------------------- */

typedef struct {
    const char *name, *hub, *family, *architecture;
    uint64_t parameters;
    vs_bytes size_bytes;
    uint32_t tensors;
    const char *dtype; /* of most of its bytes */
} model_row;

/* What most of the bytes are; of a checkpoint that packs its weights into integers, the format. */
static const char *main_dtype(const vs_model *model)
{
    vs_bytes bytes[VS_DT_COUNT] = {0};
    uint32_t most = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_dtype dtype = model->tensors[i].dtype;
        bytes[dtype] += model->tensors[i].size_bytes;
        most = bytes[dtype] > bytes[most] ? dtype : most;
    }
    switch (model->quant.format) {
    case VS_QF_FP8: return "FP8";
    case VS_QF_MXFP4: return "MXFP4";
    case VS_QF_GPTQ: return "GPTQ";
    case VS_QF_AWQ: return "AWQ";
    case VS_QF_NONE:
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_COMPRESSED_TENSORS:
    case VS_QF_OTHER: break;
    }
    return vs_dtype_name((vs_dtype)most);
}

static bool read_row(cli *c, const vs_catalogue_model *entry, model_row *row, vs_err *err)
{
    vs_model model = {0};
    vs_arena_reset(&c->scratch);
    if (!vs_model_open(&model, &c->scratch, entry->name, err)) {
        return false;
    }
    *row = (model_row){
        .name = entry->name,
        .hub = entry->hub,
        .family = vs_str_copy(&c->inputs, vs_str_of(model.model_type)),
        .architecture = vs_str_copy(&c->inputs, vs_str_of(model.architecture)),
        .parameters = model.parameters,
        .size_bytes = model.checkpoint_bytes,
        .tensors = model.tensor_count,
        .dtype = main_dtype(&model),
    };
    return (row->family != NULL && row->architecture != NULL) ||
           vs_fail_memory(err, &c->inputs, "the list of models");
}

/* By family, the smallest first. */
static int compare_rows(const void *a, const void *b)
{
    const model_row *const x = a;
    const model_row *const y = b;
    const int order = strcmp(x->family, y->family);
    if (order != 0) {
        return order;
    }
    return x->size_bytes < y->size_bytes   ? -1
           : x->size_bytes > y->size_bytes ? 1
                                           : strcmp(x->name, y->name);
}

static model_row *read_rows(cli *c, vs_err *err)
{
    const uint32_t count = vs_catalogue_model_count();
    model_row *const rows = VS_ARRAY(&c->inputs, model_row, count);
    if (rows == NULL) {
        (void)vs_fail_memory(err, &c->inputs, "the list of models");
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_row(c, vs_catalogue_model_at(i), &rows[i], err)) {
            return NULL;
        }
    }
    qsort(rows, count, sizeof *rows, compare_rows);
    return rows;
}

/* value / 10^9 with two decimals, rounded half up. */
static const char *billions(uint64_t value, char buf[VS_TEXT_BYTES])
{
    const uint64_t hundredths = value / 10000000 + (value % 10000000 >= 5000000);
    (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64, hundredths / 100,
                   hundredths % 100);
    return buf;
}

static void models_text(vs_outfile *out, const model_row *rows, uint32_t count)
{
    vs_outfile_printf(out, "%-11s %-21s %8s %8s %-5s %s\n", "FAMILY", "MODEL", "PARAMS B",
                      "SIZE GB", "DTYPE", "HUB");
    for (uint32_t i = 0; i < count; i++) {
        char parameters[VS_TEXT_BYTES];
        char size[VS_TEXT_BYTES];
        vs_outfile_printf(out, "%-11s %-21s %8s %8s %-5s %s\n", rows[i].family, rows[i].name,
                          billions(rows[i].parameters, parameters),
                          billions(rows[i].size_bytes, size), rows[i].dtype, rows[i].hub);
    }
}

static void models_json(vs_jwriter *w, const model_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "name", rows[i].name);
        vs_jw_str(w, "hub", rows[i].hub);
        vs_jw_str(w, "model_type", rows[i].family);
        vs_jw_str(w, "architecture", rows[i].architecture);
        vs_jw_u64(w, "parameters", rows[i].parameters);
        vs_jw_u64(w, "checkpoint_bytes", rows[i].size_bytes);
        vs_jw_u64(w, "tensors", rows[i].tensors);
        vs_jw_str(w, "dtype", rows[i].dtype);
        vs_jw_end(w);
    }
}

static bool list_models(cli *c, vs_outfile *out, vs_jwriter *w, vs_err *err)
{
    const model_row *const rows = read_rows(c, err);
    if (rows == NULL) {
        return false;
    }
    if (w != NULL) {
        models_json(w, rows, vs_catalogue_model_count());
    } else {
        models_text(out, rows, vs_catalogue_model_count());
    }
    return true;
}

/* ---- families ----------------------------------------------------------------------------------- */

static int compare_families(const void *a, const void *b)
{
    const vs_family_name *const x = a;
    const vs_family_name *const y = b;
    return strcmp(x->model_type, y->model_type);
}

static void family_text(vs_outfile *out, const vs_family_name *family, const model_row *rows,
                        uint32_t count)
{
    char examples[256];
    size_t used = 0;
    examples[0] = '\0';
    for (uint32_t i = 0; i < count && used < sizeof examples; i++) {
        if (strcmp(rows[i].family, family->model_type) == 0) {
            const int n = snprintf(examples + used, sizeof examples - used, "%s%s",
                                   used == 0 ? "" : ", ", rows[i].name);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    vs_outfile_printf(out, "%-12s %-32s ", family->model_type, family->architecture);
    cli_wrapped(out, used == 0 ? "-" : examples, 46, 46);
}

static void family_json(vs_jwriter *w, const vs_family_name *family, const model_row *rows,
                        uint32_t count)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "model_type", family->model_type);
    vs_jw_str(w, "architecture", family->architecture);
    vs_jw_array(w, "models");
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rows[i].family, family->model_type) == 0) {
            vs_jw_str(w, NULL, rows[i].name);
        }
    }
    vs_jw_end(w);
    vs_jw_end(w);
}

static bool list_families(cli *c, vs_outfile *out, vs_jwriter *w, vs_err *err)
{
    const uint32_t count = vs_family_count();
    const model_row *const rows = read_rows(c, err);
    vs_family_name *const families = VS_ARRAY(&c->inputs, vs_family_name, count);
    if (rows == NULL || families == NULL) {
        return rows == NULL ? false : vs_fail_memory(err, &c->inputs, "the list of families");
    }
    for (uint32_t i = 0; i < count; i++) {
        families[i] = vs_family_name_at(i);
    }
    qsort(families, count, sizeof *families, compare_families);
    if (w == NULL) {
        vs_outfile_printf(out, "%-12s %-32s %s\n", "MODEL_TYPE", "ARCHITECTURE",
                          "IN THE CATALOGUE");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (w != NULL) {
            family_json(w, &families[i], rows, vs_catalogue_model_count());
        } else {
            family_text(out, &families[i], rows, vs_catalogue_model_count());
        }
    }
    return true;
}

/* ---- the command ------------------------------------------------------------------------------------ */

static const char *const topics[] = {"models", "families", "gpus",  "hosts",
                                     "disks",  "loaders",  "quants"};
#define TOPIC_COUNT (sizeof topics / sizeof topics[0])
#define TOPIC_WORDS "models, families, gpus, hosts, disks, loaders, quants"

static bool list(cli *c, vs_outfile *out, vs_jwriter *w, const char *what, vs_err *err)
{
    if (strcmp(what, "models") == 0) {
        return list_models(c, out, w, err);
    }
    if (strcmp(what, "families") == 0) {
        return list_families(c, out, w, err);
    }
    if (strcmp(what, "loaders") == 0) {
        list_loaders(out, w);
        return true;
    }
    if (strcmp(what, "quants") == 0) {
        list_quants(out, w);
        return true;
    }
    return list_hardware(c, out, w, what, err);
}

static bool check_topic(const char *what, vs_err *err)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        if (strcmp(what, topics[i]) == 0) {
            return true;
        }
    }
    const char *const near = vs_nearest(vs_str_of(what), topics, TOPIC_COUNT);
    return vs_fail(err, VS_ERR_USAGE,
                   "list %s: no such catalogue%s%s%s; there are " TOPIC_WORDS, what,
                   near == NULL ? "" : " (did you mean ", near == NULL ? "" : near,
                   near == NULL ? "" : "?)");
}

/* {"format": "vramscope.list/1", "gpus": [..]} to the file, and the text to stdout unless the file is stdout. */
static bool write_list(cli *c, const char *what, const char *json, vs_err *err)
{
    if (json != NULL) {
        vs_outfile *const out = vs_outfile_open(json, err);
        if (out == NULL) {
            return false;
        }
        vs_jwriter w = vs_jwriter_of(out, false);
        vs_jw_object(&w, NULL);
        vs_jw_str(&w, "format", "vramscope.list/1");
        vs_jw_array(&w, what);
        if (!list(c, out, &w, what, err)) {
            vs_outfile_abandon(out);
            return false;
        }
        vs_jw_end(&w);
        vs_jw_end(&w);
        if (!vs_outfile_commit(out, err) || strcmp(json, "-") == 0) {
            return err->code == VS_OK;
        }
    }
    vs_outfile *const out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    if (!list(c, out, NULL, what, err)) {
        vs_outfile_abandon(out);
        return false;
    }
    return vs_outfile_commit(out, err);
}

typedef struct {
    const char *what, *json;
    bool wants_help;
} list_args;

static bool parse(list_args *args, int argc, char **argv, vs_err *err)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            args->wants_help = true;
            return true;
        }
        const bool has_value = strncmp(argv[i], "--json=", 7) == 0;
        if (has_value || strcmp(argv[i], "--json") == 0) {
            if (!has_value && i + 1 == argc) {
                return vs_fail(err, VS_ERR_USAGE, "--json: expected FILE, or - for stdout");
            }
            args->json = has_value ? argv[i] + 7 : argv[++i];
        } else if (argv[i][0] == '-') {
            return vs_fail(err, VS_ERR_USAGE, "%s: list takes --json FILE only", argv[i]);
        } else if (args->what != NULL) {
            return vs_fail(err, VS_ERR_USAGE, "list: one catalogue at a time: %s or %s",
                           args->what, argv[i]);
        } else {
            args->what = argv[i];
        }
    }
    if (args->what == NULL) {
        return vs_fail(err, VS_ERR_USAGE, "list: which one? " TOPIC_WORDS);
    }
    return check_topic(args->what, err);
}

int cmd_list(cli *c, int argc, char **argv)
{
    vs_err err = {0};
    list_args args = {0};
    if (!parse(&args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help || args.what == NULL) {
        return cmd_help(c, 1, (char *[]){(char[]){"list"}});
    }
    return write_list(c, args.what, args.json, &err) ? EXIT_OK : cli_error(&err);
}
