/* inspect_text.c - the figures of `inspect` for people: at most 100 columns, no colours, so that it pipes. */
#include "inspect.h"

#include <stdio.h>
#include <string.h>

/* Lengths of context that a cache is shown for: what most chats stay below, and what the model takes at most. */
#define USUAL_CONTEXT UINT64_C(8192)

#define LINE_BYTES 512
#define SIZE_BYTES 128 /* of exact_size */

/* ---- numbers ---------------------------------------------------------------------------------- */

/* value / unit with two decimals, rounded half up. */
static const char *hundredths(vs_bytes value, uint64_t unit, char buf[VS_TEXT_BYTES])
{
    const uint64_t whole = value / unit;
    uint64_t part = 0;
    char grouped[VS_TEXT_BYTES];
    if (!vs_muldiv_u64(value % unit, 1000, unit, &part)) {
        part = 0;
    }
    part = (part + 5) / 10;
    (void)snprintf(buf, VS_TEXT_BYTES, "%.20s.%02" PRIu64,
                   vs_format_grouped(whole + part / 100, grouped), part % 100);
    return buf;
}

/* Powers of 1000: "13.48 GB". */
static const char *decimal_size(vs_bytes size, char buf[VS_TEXT_BYTES])
{
    static const struct {
        uint64_t unit;
        const char *name;
    } units[] = {{1000000000000, "TB"}, {1000000000, "GB"}, {1000000, "MB"}, {1000, "KB"}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (size >= units[i].unit) {
            char number[VS_TEXT_BYTES];
            (void)snprintf(buf, VS_TEXT_BYTES, "%.20s %s",
                           hundredths(size, units[i].unit, number), units[i].name);
            return buf;
        }
    }
    (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " B", size);
    return buf;
}

/* "671.03 B" of parameters: thousand millions, as model names count them. */
static const char *billions(uint64_t count, char buf[VS_TEXT_BYTES])
{
    char number[VS_TEXT_BYTES];
    const bool is_large = count >= UINT64_C(1000000000);
    (void)snprintf(buf, VS_TEXT_BYTES, "%.20s %s",
                   hundredths(count, is_large ? UINT64_C(1000000000) : 1000000, number),
                   is_large ? "B" : "M");
    return buf;
}

/* "13,476,831,232 B = 12.55 GiB = 13.48 GB" */
static const char *exact_size(vs_bytes size, char *buf, size_t buf_bytes)
{
    char grouped[VS_TEXT_BYTES];
    char binary[VS_TEXT_BYTES];
    char decimal[VS_TEXT_BYTES];
    (void)snprintf(buf, buf_bytes, "%s B = %s = %s", vs_format_grouped(size, grouped),
                   vs_format_size(size, binary), decimal_size(size, decimal));
    return buf;
}

/* ---- tables -------------------------------------------------------------------------------------- */

#define LABEL_COLUMNS 36

/* A label that is too long keeps its end: "..vision_model.embeddings.patch_embedding". */
static void label(vs_outfile *out, const char *text)
{
    const size_t len = strlen(text);
    const size_t room = LABEL_COLUMNS - 3;
    if (len <= room) {
        vs_outfile_printf(out, "  %-*s", (int)LABEL_COLUMNS - 2, text);
    } else {
        vs_outfile_printf(out, "  ..%-*s", (int)LABEL_COLUMNS - 4, text + (len - (room - 2)));
    }
}

static void table_head(vs_outfile *out, const char *title)
{
    vs_outfile_printf(out, "\n%-*s %7s %17s %19s %8s %8s\n", LABEL_COLUMNS, title, "tensors",
                      "parameters", "bytes", "GiB", "GB");
}

static void table_row(vs_outfile *out, const char *text, const vs_amount *amount)
{
    char tensors[VS_TEXT_BYTES];
    char elements[VS_TEXT_BYTES];
    char bytes[VS_TEXT_BYTES];
    char gib[VS_TEXT_BYTES];
    char gb[VS_TEXT_BYTES];
    label(out, text);
    vs_outfile_printf(
        out, " %7s %17s %19s %8s %8s\n", vs_format_grouped(amount->tensors, tensors),
        vs_format_grouped(amount->elements, elements), vs_format_grouped(amount->bytes, bytes),
        hundredths(amount->bytes, VS_GIB, gib), hundredths(amount->bytes, 1000000000, gb));
}

/* A heading and what belongs to it, wrapped below itself. */
static void item(vs_outfile *out, const char *name, const char *text)
{
    vs_outfile_printf(out, "  %-17s ", name);
    cli_wrapped(out, text, 20, 20);
}

/* ---- checkpoint, loaded ----------------------------------------------------------------------------- */

static const char *container_name(vs_container container)
{
    switch (container) {
    case VS_CONTAINER_SAFETENSORS: return "safetensors";
    case VS_CONTAINER_TORCH_BIN: return "PyTorch .bin";
    case VS_CONTAINER_GGUF: return "GGUF";
    }
    return "";
}

static void checkpoint_part(vs_outfile *out, const inspection *in)
{
    const vs_model *const m = in->model;
    const vs_model_summary *const s = in->summary;
    const vs_amount all = {m->tensor_count, m->parameters, m->checkpoint_bytes};
    const char *only = "";
    uint32_t dtypes = 0;
    char text[LINE_BYTES];
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        if (s->stored[d].tensors > 0) {
            only = vs_dtype_name((vs_dtype)d);
            dtypes++;
        }
    }
    table_head(out, "CHECKPOINT");
    for (uint32_t d = 0; d < VS_DT_COUNT && dtypes > 1; d++) {
        if (s->stored[d].tensors > 0) {
            table_row(out, vs_dtype_name((vs_dtype)d), &s->stored[d]);
        }
    }
    (void)snprintf(text, sizeof text, "%s%s in %" PRIu32 " %s file%s",
                   dtypes == 1 ? only : "all", dtypes == 1 ? "," : "", m->shard_count,
                   container_name(m->container), m->shard_count == 1 ? "" : "s");
    table_row(out, text, &all);
    if (s->not_loaded.tensors > 0) {
        table_row(out, "of these not loaded (see notes)", &s->not_loaded);
    }
}

/* What version 5 fuses, version 4 keeps apart: the same bytes in more tensors. */
static void version_4_part(vs_outfile *out, const inspection *in)
{
    char text[LINE_BYTES];
    char count[VS_TEXT_BYTES];
    if (in->modules_4 == NULL) {
        return;
    }
    (void)snprintf(
        text, sizeof text,
        "experts of a layer are fused into two parameters; Transformers 4 keeps every "
        "matrix of every expert apart: %s tensors with the checkpoint's names",
        vs_format_grouped(in->module_4_count, count));
    vs_outfile_printf(out, "\n");
    item(out, "fused", text);
}

static void loaded_part(vs_outfile *out, const inspection *in)
{
    const vs_model_summary *const s = in->summary;
    char text[LINE_BYTES];
    const bool is_quantised = in->model->quant.format != VS_QF_NONE;
    table_head(out, "LOADED BY TRANSFORMERS 5");
    if (!is_quantised) {
        (void)snprintf(text, sizeof text, "as %s", vs_dtype_torch_name(s->load_dtype));
        table_row(out, text, &s->loaded);
        version_4_part(out, in);
        return;
    }
    const quant_needs needs = inspect_quant_needs(in->model->quant.format);
    table_row(out, "as stored", &s->loaded);
    if (in->model->modules != in->model->targets) {
        (void)snprintf(text, sizeof text, "dequantised to %s",
                       vs_dtype_torch_name(s->load_dtype));
        table_row(out, text, &s->dense);
    }
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", in->model->quant.label,
                   needs.capability[0] == '\0' ? "" : "; as stored from compute capability ",
                   needs.capability, needs.below[0] == '\0' ? "" : "; ", needs.below);
    vs_outfile_printf(out, "\n");
    item(out, "quantised", text);
    version_4_part(out, in);
}

/* ---- layers --------------------------------------------------------------------------------------------- */

/* How many of numbers, from start, follow each other without a gap. */
static uint32_t run_length(const uint32_t *numbers, uint32_t count, uint32_t start)
{
    uint32_t len = 1;
    while (start + len < count && numbers[start + len] == numbers[start] + len) {
        len++;
    }
    return len;
}

static size_t put_run(char *buf, size_t buf_bytes, const uint32_t *numbers, uint32_t len)
{
    const int n = len == 1 ? snprintf(buf, buf_bytes, "%" PRIu32, numbers[0])
                           : snprintf(buf, buf_bytes, "%" PRIu32 "-%" PRIu32, numbers[0],
                                      numbers[len - 1]);
    return n > 0 && (size_t)n < buf_bytes ? (size_t)n : 0;
}

/* "0-60"; "3, 7 .. 47" when there are more than three runs. The count stands behind it in any case. */
static void layer_numbers(const vs_layer_row *row, char *buf, size_t buf_bytes)
{
    uint32_t runs = 0;
    uint32_t last = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < row->layer_count;
         i += run_length(row->layers, row->layer_count, i)) {
        runs++;
        last = i;
    }
    uint32_t run = 0;
    for (uint32_t i = 0; i < row->layer_count; run++) {
        const uint32_t len = run_length(row->layers, row->layer_count, i);
        if (runs <= 3 || run < 2 || i == last) {
            const char *const before = run == 0 ? "" : runs > 3 && i == last ? " .. " : ", ";
            const int n = snprintf(buf + used, buf_bytes - used, "%s", before);
            used += n > 0 ? (size_t)n : 0;
            used += put_run(buf + used, buf_bytes - used, row->layers + i, len);
        }
        i += len;
    }
}

static void row_label(const vs_layer_row *row, char *buf, size_t buf_bytes)
{
    char numbers[96];
    if (row->layer_count == 0) {
        (void)snprintf(buf, buf_bytes, "%s", row->name);
        return;
    }
    layer_numbers(row, numbers, sizeof numbers);
    const size_t stem_bytes = strlen(row->stem);
    const char *stem = row->stem;
    if (row->is_decoder) {
        stem = row->layer_count == 1 ? "layer" : "layers";
    } else if (stem_bytes > 16) {
        stem += stem_bytes - 14; /* the end tells them apart */
    }
    const int n = snprintf(buf, buf_bytes, "%s%s %s",
                           stem == row->stem || row->is_decoder ? "" : "..", stem, numbers);
    if (row->layer_count > 1 && n > 0 && (size_t)n < buf_bytes) {
        (void)snprintf(buf + n, buf_bytes - (size_t)n, " (%" PRIu32 ")", row->layer_count);
    }
}

static void row_parts(vs_outfile *out, const vs_layer_row *row)
{
    char text[LINE_BYTES];
    size_t used = 0;
    uint32_t parts = 0;
    text[0] = '\0';
    for (uint32_t p = 0; p < VS_PART_COUNT; p++) {
        char size[VS_TEXT_BYTES];
        if (row->parts[p] == 0) {
            continue;
        }
        const int n = snprintf(text + used, sizeof text - used, "%s%s %s",
                               parts == 0 ? "" : ", ", vs_model_part_words((vs_model_part)p),
                               vs_format_size(row->parts[p], size));
        used += n > 0 && (size_t)n < sizeof text - used ? (size_t)n : 0;
        parts++;
    }
    if (row->layer_count > 1) {
        char size[VS_TEXT_BYTES];
        const int n = snprintf(text + used, sizeof text - used, "; %s in all",
                               vs_format_size(row->one.bytes * row->layer_count, size));
        vs_assert(n > 0 && (size_t)n < sizeof text - used);
    }
    if (parts > 1 || row->layer_count > 1) {
        vs_outfile_printf(out, "      ");
        cli_wrapped(out, text, 6, 6);
    }
}

/* A model without a pattern in its names could have a row for every tensor. */
#define ROWS_SHOWN 40u

static void layers_part(vs_outfile *out, const inspection *in)
{
    const vs_model_summary *const s = in->summary;
    table_head(out, "LAYERS AS LOADED, one of each");
    for (uint32_t i = 0; i < s->row_count && i < ROWS_SHOWN; i++) {
        char text[LINE_BYTES];
        row_label(&s->rows[i], text, sizeof text);
        table_row(out, text, &s->rows[i].one);
        row_parts(out, &s->rows[i]);
    }
    if (s->row_count > ROWS_SHOWN) {
        vs_outfile_printf(out, "  and %" PRIu32 " more rows; --json FILE has all of them\n",
                          s->row_count - ROWS_SHOWN);
    }
}

/* ---- facts ------------------------------------------------------------------------------------------------- */

static void ties_part(vs_outfile *out, const inspection *in)
{
    const vs_model_summary *const s = in->summary;
    for (uint32_t i = 0; i < s->tie_count && i < ROWS_SHOWN; i++) {
        char text[LINE_BYTES];
        (void)snprintf(text, sizeof text, "%.200s shares the memory of %.200s; %s",
                       s->ties[i].name, s->ties[i].with,
                       s->ties[i].is_stored ? "the checkpoint stores it all the same"
                                            : "it is not stored");
        item(out, "tied", text);
    }
    if (s->tie_count == 0) {
        item(out, "tied", "nothing");
    }
}

static void experts_part(vs_outfile *out, const inspection *in)
{
    const vs_model_dims *const d = &in->model->dims;
    const vs_model_summary *const s = in->summary;
    char text[LINE_BYTES];
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    if (d->experts == 0) {
        return;
    }
    if (d->experts_per_token == 0) {
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " in each of %" PRIu64 " layers, %s parameters; how many a "
                       "token visits only a config.json tells",
                       d->experts, s->expert_layers,
                       vs_format_grouped(s->expert_parameters, a));
    } else {
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " in each of %" PRIu64 " layers, %" PRIu64
                       " of them active a token; they hold %s parameters. A token passes "
                       "%s parameters in all",
                       d->experts, s->expert_layers, d->experts_per_token,
                       vs_format_grouped(s->expert_parameters, a),
                       vs_format_grouped(s->active_parameters, b));
    }
    item(out, "experts", text);
}

static void kv_layers(char *buf, size_t buf_bytes, const vs_kv_cost *kv)
{
    if (kv->window_layers == 0 && kv->linear_layers == 0) {
        (void)snprintf(buf, buf_bytes, "%" PRIu64 " layers", kv->full_layers);
        return;
    }
    size_t used = (size_t)snprintf(buf, buf_bytes, "%" PRIu64 " layers", kv->full_layers);
    if (kv->window_layers > 0 && used < buf_bytes) {
        char window[VS_TEXT_BYTES];
        used += (size_t)snprintf(buf + used, buf_bytes - used,
                                 " of full attention, %" PRIu64 " keep %s positions",
                                 kv->window_layers, vs_format_grouped(kv->window, window));
    }
    if (kv->linear_layers > 0 && used < buf_bytes) {
        char state[VS_TEXT_BYTES];
        (void)snprintf(buf + used, buf_bytes - used,
                       "%s, %" PRIu64 " of linear attention with a fixed state%s%s",
                       kv->window_layers > 0 ? "" : " of full attention", kv->linear_layers,
                       kv->is_state_known ? " of " : " (its size only a config.json tells)",
                       kv->is_state_known ? vs_format_size(kv->state_bytes, state) : "");
    }
}

static void kv_at(vs_outfile *out, const vs_kv_cost *kv, uint64_t tokens)
{
    char text[LINE_BYTES];
    char name[LINE_BYTES];
    char count[VS_TEXT_BYTES];
    (void)snprintf(name, sizeof name, "%s tokens", vs_format_grouped(tokens, count));
    item(out, name, exact_size(vs_kv_bytes(kv, tokens), text, sizeof text));
}

static void kv_part(vs_outfile *out, const inspection *in)
{
    const vs_kv_cost *const kv = &in->summary->kv;
    const uint64_t longest = in->model->dims.max_positions;
    char text[LINE_BYTES];
    char size[SIZE_BYTES];
    char layers[2 * SIZE_BYTES];
    if (!kv->is_known) {
        return;
    }
    vs_outfile_printf(out, "\nKV CACHE, one sequence, %s\n",
                      vs_dtype_torch_name(in->summary->load_dtype));
    kv_layers(layers, sizeof layers, kv);
    (void)snprintf(text, sizeof text, "%s; %s%s",
                   exact_size(kv->token_bytes, size, sizeof size), layers,
                   kv->latent_token_bytes > 0 ? "; keys and values expanded, as Transformers "
                                                "caches them"
                                              : "");
    item(out, "one token", text);
    if (kv->latent_token_bytes > 0) {
        (void)snprintf(text, sizeof text,
                       "%s; what an engine keeps that caches the latent instead",
                       exact_size(kv->latent_token_bytes, size, sizeof size));
        item(out, "  latent", text);
    }
    if (longest == 0 || longest >= USUAL_CONTEXT) {
        kv_at(out, kv, USUAL_CONTEXT);
    }
    if (longest > 0 && longest != USUAL_CONTEXT) {
        kv_at(out, kv, longest);
    }
}

/* ---- dtypes --------------------------------------------------------------------------------------------------- */

static void cost_row(vs_outfile *out, const inspection *in, const vs_dtype_cost *cost)
{
    const vs_model_summary *const s = in->summary;
    char layer[VS_TEXT_BYTES];
    char total[VS_TEXT_BYTES];
    char adam[VS_TEXT_BYTES];
    char bytes[VS_TEXT_BYTES];
    char gib[VS_TEXT_BYTES];
    char training[VS_TEXT_BYTES];
    vs_outfile_printf(
        out, "  %-8s %13s %11s %11s  | %19s %9s %14s\n", cost->dtype,
        vs_format_accelerate_size(s->estimate_largest_bytes, cost->divisor, layer),
        vs_format_accelerate_size(s->estimate_bytes, cost->divisor, total),
        cost->estimate_training_bytes == 0
            ? "N/A"
            : vs_format_accelerate_size(cost->estimate_training_bytes, 1, adam),
        cost->is_exact_known ? vs_format_grouped(cost->exact_bytes, bytes) : "-",
        cost->is_exact_known ? hundredths(cost->exact_bytes, VS_GIB, gib) : "-",
        cost->exact_training_bytes == 0 ? "-"
                                        : vs_format_size(cost->exact_training_bytes, training));
}

static void costs_part(vs_outfile *out, const inspection *in)
{
    vs_outfile_printf(out, "\nIN OTHER DTYPES  as accelerate estimate-memory has it  |"
                           "         as Transformers 5 keeps it\n");
    vs_outfile_printf(out, "  %-8s %13s %11s %11s  | %19s %9s %14s\n", "", "Largest Layer",
                      "Total Size", "Adam", "bytes", "GiB", "with Adam");
    for (uint32_t i = 0; i < VS_DTYPE_COSTS; i++) {
        cost_row(out, in, &in->summary->costs[i]);
    }
    for (uint32_t i = 0; i < VS_DTYPE_COSTS; i += 2) { /* two dtypes share a reason */
        const char *const reason = inspect_cost_reason(in, &in->summary->costs[i]);
        char names[SIZE_BYTES];
        const int len = snprintf(names, sizeof names, "  %s, %s: ", in->summary->costs[i].dtype,
                                 in->summary->costs[i + 1].dtype);
        if (reason[0] != '\0' && len > 0) {
            vs_outfile_printf(out, "%s", names);
            cli_wrapped(out, reason, 4, (size_t)len);
        }
    }
    vs_outfile_printf(
        out, "  Its GB are 2^30 bytes. Adam here: weights, gradients and two moments in "
             "the dtype of the row.\n");
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

static void title_part(vs_outfile *out, const inspection *in)
{
    const vs_model *const m = in->model;
    const vs_model_summary *const s = in->summary;
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    char c[VS_TEXT_BYTES];
    char d[VS_TEXT_BYTES];
    const bool is_known = m->no_split_class[0] != '\0';
    vs_outfile_printf(out, "%s  (%s%s%s, read from: %s)\n", m->name,
                      is_known ? m->architecture : "architecture unknown",
                      is_known || m->model_type[0] == '\0' ? "" : ": ",
                      is_known ? "" : m->model_type, m->source);
    vs_outfile_printf(out, "%s parameters", billions(m->loaded_parameters, a));
    if (s->active_parameters < m->loaded_parameters) {
        vs_outfile_printf(out, ", %s active a token", billions(s->active_parameters, b));
    }
    vs_outfile_printf(out, "; %s stored; %s loaded%s%s\n", decimal_size(m->checkpoint_bytes, c),
                      decimal_size(s->loaded.bytes, d),
                      m->quant.format == VS_QF_NONE ? " as " : " as stored",
                      m->quant.format == VS_QF_NONE ? vs_dtype_torch_name(s->load_dtype) : "");
}

static void shape_text(vs_outfile *out, const uint64_t *shape, uint32_t dim_count)
{
    vs_outfile_printf(out, " [");
    for (uint32_t d = 0; d < dim_count; d++) {
        vs_outfile_printf(out, "%s%" PRIu64, d == 0 ? "" : ", ", shape[d]);
    }
    vs_outfile_printf(out, "]");
}

static void targets_text(vs_outfile *out, const inspection *in, const vs_target *targets,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const vs_target *const t = &targets[i];
        const vs_dtype dtype =
            t->fixed_dtype == VS_DT_COUNT ? in->summary->load_dtype : t->fixed_dtype;
        vs_bytes bytes = 0;
        char grouped[VS_TEXT_BYTES];
        if (!vs_dtype_bytes(dtype, t->elements, &bytes)) {
            bytes = 0; /* the summary has bounded every one of them */
        }
        vs_outfile_printf(out, "  %-8s %17s B  %s", vs_dtype_name(dtype),
                          vs_format_grouped(bytes, grouped), t->name);
        shape_text(out, t->shape, t->dim_count);
        vs_outfile_printf(out, "%s%s\n", (t->flags & VS_TF_BUFFER) != 0 ? "  buffer" : "",
                          (t->flags & VS_TF_TIED) != 0             ? "  (tied)"
                          : (t->flags & VS_TF_NON_PERSISTENT) != 0 ? "  (not in the checkpoint)"
                                                                   : "");
    }
}

static void tensors_part(vs_outfile *out, const inspection *in)
{
    const vs_model *const m = in->model;
    vs_outfile_printf(out, "\nCHECKPOINT, in the order of loading\n");
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const vs_tensor *const t = &m->tensors[i];
        char grouped[VS_TEXT_BYTES];
        vs_outfile_printf(out, "  %-8s %17s B  %s", vs_dtype_name(t->dtype),
                          vs_format_grouped(t->size_bytes, grouped), t->name);
        shape_text(out, t->shape, t->dim_count);
        vs_outfile_printf(out, "%s\n", t->target == VS_NO_TARGET ? "  (not loaded)" : "");
    }
    vs_outfile_printf(out, "\nMODULES, in the order Transformers builds them\n");
    targets_text(out, in, m->modules, m->module_count);
    if (m->targets != m->modules) {
        vs_outfile_printf(out, "\nLOADED, as the quantised checkpoint stores them\n");
        targets_text(out, in, m->targets, m->target_count);
    }
}

void inspect_text(vs_outfile *out, const inspection *in)
{
    const vs_model_summary *const s = in->summary;
    char size[SIZE_BYTES];
    char text[2 * LINE_BYTES];
    title_part(out, in);
    checkpoint_part(out, in);
    loaded_part(out, in);
    layers_part(out, in);
    vs_outfile_printf(out, "\n");
    (void)snprintf(text, sizeof text, "%.300s: %s", s->largest_name,
                   exact_size(s->largest_bytes, size, sizeof size));
    item(out, "largest layer", text);
    ties_part(out, in);
    experts_part(out, in);
    kv_part(out, in);
    costs_part(out, in);
    for (uint32_t i = 0; i < in->model->note_count; i++) {
        vs_outfile_printf(out, "%s", i == 0 ? "\nNOTES\n" : "");
        vs_outfile_printf(out, "  - ");
        cli_wrapped(out, in->model->notes[i], 4, 4);
    }
    if (in->with_tensors) {
        tensors_part(out, in);
    }
}
