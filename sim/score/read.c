/* sim/score/read.c - facts files: what was measured, by whom, and the command line that stands for it.
 *
 *   {"format": "vramscope.facts/1",
 *    "entries": [{"id", "source", "args": ["sim", ...], "host": HOST.json or null, "hardware_notes", "confidence",
 *                 "kind": "memory" | "time", "gb_bytes", "measured": {"load_s", "s_per_token", "gpu_used_gb": [..],
 *                 "cpu_gb", "peak_allocated_bytes", "peak_reserved_bytes", "final_allocated_bytes"},
 *                 "fitted": {key of measured: which constant of this program was chosen to reproduce it}}],
 *    "configs": {name: config.json},
 *    "cases": [{"id", "source", "args", "why", "weight", "expect": {"verdict", "tried_to_allocate_mib",
 *               "tried_any_of_mib", "oom_allocated_mib", "used_mib": x | [..], "used_metric", "used_tolerance",
 *               "used_extra_mib", "cpu_used_mib", "cpu_tolerance"}}]}
 *
 * used_tolerance is that of the size at the failure too, and of RAM unless cpu_tolerance is there.
 *
 * A key of measured or expect that is not known is an error: a figure left out silently would be a figure hidden. Decimals
 * are read to a millionth and turned into bytes and nanoseconds once. */
#include "vramscope/score.h"

#include <string.h>

#define FORMAT          "vramscope.facts/1"
#define CONFIG_PREFIX   "CONFIG:"
#define FIGURES_MAX     48u
#define MILLION         UINT64_C(1000000)
#define NS_PER_S        UINT64_C(1000000000)
#define MIB_DIGIT       (VS_MIB / 100) /* sizes in MiB are printed with two decimals */
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* What one row is read with. */
typedef struct {
    vs_arena *arena;
    vs_score_row *row;
    const vs_jnode *node;
    vs_err *err;
} reading;

/* ---- values ---------------------------------------------------------------------------------- */

/* A number of at most a few decimals, times unit. */
static bool read_scaled(const vs_jnode *n, uint64_t unit, uint64_t *out, vs_err *err)
{
    double number = 0.0;
    uint64_t scaled = 0;
    if (!vs_json_as_double(n, &number, err)) {
        return false;
    }
    if (!(number >= 0.0 && number <= 1e12)) {
        return vs_json_fail(n, err, "expected a number from 0 to 10^12");
    }
    /* within half a millionth of what is written, so the same whole number everywhere */
    if (!vs_muldiv_u64((uint64_t)(number * 1e6 + 0.5), unit, MILLION, &scaled)) {
        return vs_json_fail(n, err, "too large");
    }
    *out = scaled;
    return true;
}

/* A member that is absent or null leaves *out alone. */
static bool get_scaled(const vs_jnode *object, const char *key, uint64_t unit, uint64_t *out,
                       bool *has, vs_err *err)
{
    const vs_jnode n = vs_json_member(object, key);
    *has = !vs_json_is_absent(&n);
    return !*has || read_scaled(&n, unit, out, err);
}

static bool get_text(const reading *r, const char *key, const char **out)
{
    vs_str text = {0};
    if (!vs_json_get_str(r->node, key, false, &text, r->err)) {
        return false;
    }
    *out = vs_str_copy(r->arena, text);
    return *out != NULL || vs_fail_memory(r->err, r->arena, "a published figure");
}

static bool get_needed_text(const reading *r, const char *key, const char **out)
{
    vs_str text = {0};
    return vs_json_get_str(r->node, key, true, &text, r->err) && get_text(r, key, out);
}

static bool check_keys(const vs_jnode *object, const char *const *known, size_t count,
                       vs_err *err)
{
    if (!vs_json_is_object(object)) {
        return vs_json_fail(object, err, "expected an object of figures");
    }
    for (vs_jnode i = vs_json_first(object); i.node != NULL; i = vs_json_next(&i)) {
        size_t at = 0;
        while (at < count && strcmp(known[at], vs_json_key(&i)) != 0) {
            at++;
        }
        if (at == count) {
            return vs_json_fail(&i, err, "a figure that this version does not know");
        }
    }
    return true;
}

/* ---- figures ------------------------------------------------------------------------------------- */

static bool add_figure(const reading *r, const vs_score_figure *figure)
{
    if (r->row->figure_count == FIGURES_MAX) {
        return vs_json_fail(r->node, r->err, "more than %u figures", FIGURES_MAX);
    }
    r->row->figures[r->row->figure_count++] = *figure;
    return true;
}

/* One figure a card, or one figure. like: its tolerance. */
static bool add_cards(const reading *r, const vs_jnode *n, uint64_t unit,
                      const vs_score_figure *like)
{
    vs_score_figure figure = *like;
    if (vs_json_is_absent(n)) {
        return true;
    }
    if (!vs_json_is_array(n)) {
        return read_scaled(n, unit, &figure.measured, r->err) && add_figure(r, &figure);
    }
    figure.is_one_of_many = vs_json_count(n) > 1;
    for (vs_jnode i = vs_json_first(n); i.node != NULL; i = vs_json_next(&i)) {
        figure.gpu = i.index;
        if (figure.gpu == VS_GPUS_MAX) {
            return vs_json_fail(n, r->err, "more than %d cards", VS_GPUS_MAX);
        }
        if (!read_scaled(&i, unit, &figure.measured, r->err) || !add_figure(r, &figure)) {
            return false;
        }
    }
    return true;
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static const char *const measured_keys[] = {
    "load_s",
    "s_per_token",
    "gpu_used_gb",
    "cpu_gb",
    "final_allocated_bytes",
    "peak_allocated_bytes",
    "peak_reserved_bytes",
};
static const vs_score_what measured_whats[] = {
    VS_SF_LOAD,         VS_SF_PER_TOKEN,       VS_SF_PEAK_ALLOCATED, /* "torch peaks" */
    VS_SF_HOST_WEIGHTS, VS_SF_FINAL_ALLOCATED, VS_SF_PEAK_ALLOCATED, VS_SF_PEAK_RESERVED,
};
_Static_assert(COUNT_OF(measured_keys) == COUNT_OF(measured_whats),
               "every key says what it measures");

/* What one unit of a key is worth. */
static uint64_t unit_of(const char *key, uint64_t gb)
{
    if (strcmp(key, "load_s") == 0 || strcmp(key, "s_per_token") == 0) {
        return NS_PER_S;
    }
    return strcmp(key, "gpu_used_gb") == 0 || strcmp(key, "cpu_gb") == 0 ? gb : 1;
}

static bool read_fitted(const reading *r, const char *key, const char **out)
{
    const vs_jnode fitted = vs_json_member(r->node, "fitted");
    vs_str why = {0};
    if (vs_json_is_absent(&fitted)) {
        return true;
    }
    if (!check_keys(&fitted, measured_keys, COUNT_OF(measured_keys), r->err) ||
        !vs_json_get_str(&fitted, key, false, &why, r->err)) {
        return false;
    }
    *out = why.ptr == NULL ? NULL : vs_str_copy(r->arena, why);
    return why.ptr == NULL || *out != NULL ||
           vs_fail_memory(r->err, r->arena, "a published figure");
}

static bool read_measured(const reading *r)
{
    const vs_jnode measured = vs_json_member(r->node, "measured");
    const vs_jnode cards = vs_json_member(&measured, "gpu_used_gb");
    const vs_jnode cpu = vs_json_member(&measured, "cpu_gb");
    uint64_t gb = 0;
    if (!check_keys(&measured, measured_keys, COUNT_OF(measured_keys), r->err) ||
        !vs_json_get_u64(r->node, "gb_bytes",
                         !vs_json_is_absent(&cards) || !vs_json_is_absent(&cpu), &gb, r->err)) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(measured_keys); i++) {
        const vs_jnode n = vs_json_member(&measured, measured_keys[i]);
        vs_score_figure figure = {.what = measured_whats[i]};
        if (!read_fitted(r, measured_keys[i], &figure.fitted) ||
            !add_cards(r, &n, unit_of(measured_keys[i], gb), &figure)) {
            return false;
        }
    }
    return true;
}

static bool read_kind(const reading *r)
{
    vs_str kind = {0};
    if (!vs_json_get_str(r->node, "kind", true, &kind, r->err)) {
        return false;
    }
    if (!vs_str_is(kind, "memory") && !vs_str_is(kind, "time")) {
        const vs_jnode n = vs_json_member(r->node, "kind");
        return vs_json_fail(&n, r->err, "expected \"memory\" or \"time\"");
    }
    r->row->kind = vs_str_is(kind, "time") ? VS_SCORE_TIME : VS_SCORE_MEMORY;
    return true;
}

static bool read_host(const reading *r)
{
    const vs_jnode host = vs_json_member(r->node, "host");
    if (vs_json_is_absent(&host)) {
        return true;
    }
    r->row->host_text = vs_json_text(&host, r->arena);
    return r->row->host_text != NULL || vs_fail_memory(r->err, r->arena, "a stated host");
}

static bool read_entry(const reading *r)
{
    r->row->weight_milli = 1000;
    return read_kind(r) && get_text(r, "hardware_notes", &r->row->notes) &&
           get_text(r, "confidence", &r->row->confidence) && read_measured(r);
}

/* ---- cases ------------------------------------------------------------------------------------------- */

static bool read_verdict(const reading *r, const vs_jnode *expect)
{
    vs_str name = {0};
    vs_score_figure figure = {.what = VS_SF_VERDICT, .has_tolerance = true};
    if (!vs_json_get_str(expect, "verdict", true, &name, r->err)) {
        return false;
    }
    while (figure.measured < VS_VERDICT_COUNT &&
           !vs_str_is(name, vs_verdict_name((vs_verdict)figure.measured))) {
        figure.measured++;
    }
    if (figure.measured == VS_VERDICT_COUNT) {
        const vs_jnode n = vs_json_member(expect, "verdict");
        return vs_json_fail(&n, r->err, "no verdict of ours");
    }
    return add_figure(r, &figure);
}

static bool read_tried(const reading *r, const vs_jnode *expect)
{
    vs_score_figure figure = {.what = VS_SF_TRIED, .has_tolerance = true, .digit = MIB_DIGIT};
    vs_jnode others = {0};
    bool has = false;
    bool has_others = false;
    if (!get_scaled(expect, "tried_to_allocate_mib", VS_MIB, &figure.measured, &has, r->err) ||
        !vs_json_get_list(expect, "tried_any_of_mib", &others, &has_others, r->err)) {
        return false;
    }
    for (vs_jnode i = vs_json_first(&others); has_others && i.node != NULL;
         i = vs_json_next(&i)) {
        if (figure.other_count == VS_SCORE_OTHERS_MAX) {
            return vs_json_fail(&others, r->err, "more than %d sizes", VS_SCORE_OTHERS_MAX);
        }
        if (!read_scaled(&i, VS_MIB, &figure.others[figure.other_count++], r->err)) {
            return false;
        }
    }
    return !has || add_figure(r, &figure);
}

/* used_metric: which counter a figure is of. */
static bool read_metric(const reading *r, const vs_jnode *expect, vs_score_what *out)
{
    static const struct {
        const char *name;
        vs_score_what what;
    } metrics[] = {{"allocated", VS_SF_PEAK_ALLOCATED},
                   {"reserved", VS_SF_PEAK_RESERVED},
                   {"end", VS_SF_FINAL_ALLOCATED},
                   {"resident", VS_SF_RESIDENT},
                   {"unknown", VS_SF_PEAK_ANY}};

    vs_str name = vs_str_of("unknown");
    if (!vs_json_get_str(expect, "used_metric", false, &name, r->err)) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        if (vs_str_is(name, metrics[i].name)) {
            *out = metrics[i].what;
            return true;
        }
    }
    const vs_jnode n = vs_json_member(expect, "used_metric");
    return vs_json_fail(
        &n, r->err,
        "expected \"allocated\", \"reserved\", \"end\", \"resident\" or \"unknown\"");
}

static bool read_used(const reading *r, const vs_jnode *expect)
{
    const vs_jnode used = vs_json_member(expect, "used_mib");
    vs_score_figure figure = {.has_tolerance = true, .digit = MIB_DIGIT};
    vs_score_figure in_ram = {
        .what = VS_SF_HOST_WEIGHTS, .has_tolerance = true, .digit = MIB_DIGIT};
    vs_score_figure when_full = {
        .what = VS_SF_OOM_ALLOCATED, .has_tolerance = true, .digit = MIB_DIGIT};
    uint64_t tolerance = 0;
    bool has = false;
    bool has_ram = false;
    bool has_full = false;
    if (!read_metric(r, expect, &figure.what) ||
        !get_scaled(expect, "used_tolerance", MILLION, &tolerance, &has, r->err) ||
        !get_scaled(expect, "used_extra_mib", VS_MIB, &figure.extra_bytes, &has, r->err) ||
        !get_scaled(expect, "oom_allocated_mib", VS_MIB, &when_full.measured, &has_full,
                    r->err) ||
        !get_scaled(expect, "cpu_used_mib", VS_MIB, &in_ram.measured, &has_ram, r->err)) {
        return false;
    }
    figure.tolerance_ppm = tolerance < MILLION ? (uint32_t)tolerance : (uint32_t)MILLION;
    when_full.tolerance_ppm = figure.tolerance_ppm;
    tolerance = figure.tolerance_ppm;
    if (!get_scaled(expect, "cpu_tolerance", MILLION, &tolerance, &has, r->err)) {
        return false;
    }
    in_ram.tolerance_ppm = tolerance < MILLION ? (uint32_t)tolerance : (uint32_t)MILLION;
    return (!has_full || add_figure(r, &when_full)) && add_cards(r, &used, VS_MIB, &figure) &&
           (!has_ram || add_figure(r, &in_ram));
}

static bool read_case(const reading *r)
{
    static const char *const known[] = {
        "verdict",      "tried_to_allocate_mib", "used_mib",       "tried_any_of_mib",
        "used_metric",  "oom_allocated_mib",     "used_tolerance", "used_extra_mib",
        "cpu_used_mib", "cpu_tolerance"};
    const vs_jnode expect = vs_json_member(r->node, "expect");
    uint64_t weight = 1000;
    bool has = false;
    r->row->kind = VS_SCORE_CASE;
    r->row->confidence = "";
    if (!check_keys(&expect, known, COUNT_OF(known), r->err) ||
        !get_scaled(r->node, "weight", 1000, &weight, &has, r->err)) {
        return false;
    }
    r->row->weight_milli = weight < MILLION ? (uint32_t)weight : (uint32_t)MILLION;
    return get_text(r, "why", &r->row->notes) && read_verdict(r, &expect) &&
           read_tried(r, &expect) && read_used(r, &expect);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* The config that CONFIG:name among the words means. */
static bool find_config(const reading *r, const vs_jnode *configs)
{
    for (uint32_t i = 0; i < r->row->arg_count; i++) {
        const char *const word = r->row->args[i];
        if (!vs_str_starts(vs_str_of(word), CONFIG_PREFIX)) {
            continue;
        }
        const vs_jnode config = vs_json_member(configs, word + strlen(CONFIG_PREFIX));
        if (vs_json_is_absent(&config)) {
            return vs_json_fail(r->node, r->err, "%s: no such member of configs", word);
        }
        r->row->config_text = vs_json_text(&config, r->arena);
        if (r->row->config_text == NULL) {
            return vs_fail_memory(r->err, r->arena, "a config");
        }
    }
    return true;
}

static bool read_args(const reading *r)
{
    vs_jnode list = {0};
    bool has = false;
    if (!vs_json_get_list(r->node, "args", &list, &has, r->err)) {
        return false;
    }
    if (!has || vs_json_count(&list) == 0) {
        return vs_json_fail(r->node, r->err, "a row needs args, a command line of sim");
    }
    const char **args = VS_ARRAY(r->arena, const char *, vs_json_count(&list));
    if (args == NULL) {
        return vs_fail_memory(r->err, r->arena, "a published figure");
    }
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        vs_str word = {0};
        if (!vs_json_as_str(&i, &word, r->err)) {
            return false;
        }
        args[i.index] = vs_str_copy(r->arena, word);
        if (args[i.index] == NULL) {
            return vs_fail_memory(r->err, r->arena, "a published figure");
        }
        r->row->arg_count++;
    }
    r->row->args = args;
    return true;
}

static bool read_row(const reading *r, const vs_jnode *configs, bool is_case)
{
    r->row->missing = "";
    r->row->reason = "";
    r->row->figures = VS_ARRAY(r->arena, vs_score_figure, FIGURES_MAX);
    if (r->row->figures == NULL) {
        return vs_fail_memory(r->err, r->arena, "a published figure");
    }
    if (!vs_json_is_object(r->node)) {
        return vs_json_fail(r->node, r->err, "expected an object, a published load");
    }
    return get_needed_text(r, "id", &r->row->id) &&
           get_needed_text(r, "source", &r->row->source) && read_args(r) &&
           find_config(r, configs) && read_host(r) && (is_case ? read_case(r) : read_entry(r));
}

static bool read_rows(vs_score_sheet *sheet, vs_arena *arena, const vs_jnode *root,
                      const char *key, vs_err *err)
{
    const vs_jnode configs = vs_json_member(root, "configs");
    vs_jnode list = {0};
    bool has = false;
    if (!vs_json_get_list(root, key, &list, &has, err)) {
        return false;
    }
    if (!has) {
        return true;
    }
    vs_score_row *rows = VS_ARRAY(arena, vs_score_row, sheet->count + vs_json_count(&list));
    if (rows == NULL) {
        return vs_fail_memory(err, arena, "the published figures");
    }
    if (sheet->count > 0) {
        memcpy(rows, sheet->rows, sheet->count * sizeof *rows);
    }
    sheet->rows = rows;
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        const reading r = {.arena = arena, .row = &rows[sheet->count], .node = &i, .err = err};
        if (!read_row(&r, &configs, strcmp(key, "cases") == 0)) {
            return false;
        }
        sheet->count++;
    }
    return true;
}

static bool read_document(vs_score_sheet *sheet, vs_arena *arena, const vs_json *doc,
                          vs_err *err)
{
    const vs_jnode root = vs_json_root(doc);
    vs_str format = {0};
    vs_score_sheet next = *sheet;
    if (!vs_json_is_object(&root)) {
        return vs_json_fail(&root, err, "expected an object with entries or cases");
    }
    if (!vs_json_get_str(&root, "format", false, &format, err)) {
        return false;
    }
    if (format.ptr != NULL && !vs_str_is(format, FORMAT)) {
        const vs_jnode n = vs_json_member(&root, "format");
        return vs_json_fail(&n, err,
                            "\"%.*s\" is no facts file of this version, expected "
                            "\"%s\"",
                            format.len > 80 ? 80 : (int)format.len, format.ptr, FORMAT);
    }
    if (!read_rows(&next, arena, &root, "entries", err) ||
        !read_rows(&next, arena, &root, "cases", err)) {
        return false;
    }
    if (next.count == sheet->count) {
        return vs_json_fail(&root, err, "neither entries nor cases: no published figures here");
    }
    *sheet = next;
    return true;
}

bool vs_score_read(vs_score_sheet *sheet, vs_arena *arena, const void *text, size_t text_bytes,
                   const char *input_name, vs_err *err)
{
    vs_json doc = {0};
    if (!vs_json_parse(&doc, text, text_bytes, input_name, err)) {
        return false;
    }
    const bool is_read = read_document(sheet, arena, &doc, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, input_name);
    }
    return is_read;
}

bool vs_score_read_shipped(vs_score_sheet *sheet, vs_arena *arena, vs_err *err)
{
    static const char *const names[] = {"scorecard.json", "verdict-cases.json"};
    vs_score_sheet next = *sheet;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t at = 0;
        while (at < vs_embedded_count && strcmp(vs_embedded_files[at].name, names[i]) != 0) {
            at++;
        }
        if (at == vs_embedded_count) {
            return vs_fail(err, VS_ERR_NOT_FOUND, "%s is not built into this program",
                           names[i]);
        }
        if (!vs_score_read(&next, arena, vs_embedded_files[at].text,
                           vs_embedded_files[at].text_bytes, names[i], err)) {
            return false;
        }
    }
    *sheet = next;
    return true;
}
