/* cmd_inspect.c - `vramscope inspect`: what a checkpoint holds and what Transformers makes of it, from headers or a
 * config alone. A superset of `accelerate estimate-memory`. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    vs_bytes by_dtype[VS_DT_COUNT];
    uint64_t elements_by_dtype[VS_DT_COUNT];
    vs_bytes largest_layer_bytes; /* in the stored dtype */
    int32_t largest_layer;
    const char *largest_leaf; /* when no layer is larger */
    uint64_t loaded_tensors;
    vs_bytes loaded_bytes;
    uint64_t expert_elements; /* of one expert group's share: all experts */
    vs_dtype dtype;
} summary;

static vs_dtype load_dtype(const vs_model *model)
{
    if (model->config_dtype != VS_DT_COUNT) {
        return model->config_dtype;
    }
    return model->tensor_count > 0 ? model->tensors[0].dtype : VS_DT_F32;
}

static vs_bytes target_bytes(const vs_target *target, vs_dtype dtype)
{
    vs_bytes bytes = 0;
    if (!vs_dtype_bytes(target->fixed_dtype == VS_DT_COUNT ? dtype : target->fixed_dtype,
                        target->elements, &bytes)) {
        return 0; /* the reader has bounded every tensor already */
    }
    return bytes;
}

static void add_layers(summary *s, const vs_model *model)
{
    vs_bytes layer_bytes = 0;
    int32_t layer = -1;
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *target = &model->targets[i];
        const vs_bytes bytes = target_bytes(target, s->dtype);
        if ((target->flags & (VS_TF_NON_PERSISTENT | VS_TF_TIED)) != 0) {
            continue;
        }
        s->loaded_tensors++;
        s->loaded_bytes += bytes;
        s->expert_elements += (target->flags & VS_TF_EXPERTS) != 0 ? target->elements : 0;
        layer_bytes =
            target->layer >= 0 && target->layer == layer ? layer_bytes + bytes : bytes;
        layer = target->layer;
        if (layer_bytes > s->largest_layer_bytes) {
            s->largest_layer_bytes = layer_bytes;
            s->largest_layer = layer;
            s->largest_leaf = target->name;
        }
    }
}

static summary summarise(const vs_model *model)
{
    summary s = {.dtype = load_dtype(model), .largest_layer = -1, .largest_leaf = ""};
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        s.by_dtype[model->tensors[i].dtype] += model->tensors[i].size_bytes;
        s.elements_by_dtype[model->tensors[i].dtype] += model->tensors[i].elements;
    }
    add_layers(&s, model);
    return s;
}

/* "model.layers.31" for the largest layer, the parameter's own name when it is no layer. */
static const char *largest_name(const summary *s, char *buf, size_t buf_bytes)
{
    if (s->largest_layer < 0) {
        return s->largest_leaf;
    }
    char number[VS_TEXT_BYTES];
    (void)snprintf(number, sizeof number, ".%" PRId32 ".", s->largest_layer);
    const char *at = strstr(s->largest_leaf, number);
    const size_t len = at == NULL ? strlen(s->largest_leaf)
                                  : (size_t)(at - s->largest_leaf) + strlen(number) - 1;
    (void)snprintf(buf, buf_bytes, "%.*s", (int)(len < buf_bytes ? len : buf_bytes - 1),
                   s->largest_leaf);
    return buf;
}

static void write_shape(vs_jwriter *w, const uint64_t *shape, uint32_t dim_count)
{
    vs_jw_array(w, NULL);
    for (uint32_t d = 0; d < dim_count; d++) {
        vs_jw_u64(w, NULL, shape[d]);
    }
    vs_jw_end(w);
}

static void json_tensors(vs_jwriter *w, const vs_model *model, vs_dtype dtype)
{
    vs_jw_array(w, "checkpoint");
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        vs_jw_array(w, NULL);
        vs_jw_str(w, NULL, model->tensors[i].name);
        write_shape(w, model->tensors[i].shape, model->tensors[i].dim_count);
        vs_jw_str(w, NULL, vs_dtype_name(model->tensors[i].dtype));
        vs_jw_end(w);
    }
    vs_jw_end(w);
    vs_jw_array(w, "modules");
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *target = &model->targets[i];
        vs_jw_array(w, NULL);
        vs_jw_str(w, NULL, target->name);
        write_shape(w, target->shape, target->dim_count);
        vs_jw_str(
            w, NULL,
            vs_dtype_name(target->fixed_dtype == VS_DT_COUNT ? dtype : target->fixed_dtype));
        vs_jw_str(w, NULL, (target->flags & VS_TF_BUFFER) != 0 ? "buffer" : "parameter");
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void json_experts(vs_jwriter *w, const vs_model *model, const summary *s)
{
    if (model->dims.experts == 0) {
        vs_jw_null(w, "experts");
        return;
    }
    vs_jw_object(w, "experts");
    vs_jw_u64(w, "total", model->dims.experts);
    vs_jw_u64(w, "active", model->dims.experts_per_token);
    vs_jw_u64(w, "parameters", s->expert_elements);
    vs_jw_u64(w, "active_parameters",
              model->loaded_parameters - s->expert_elements +
                  s->expert_elements / model->dims.experts * model->dims.experts_per_token);
    vs_jw_end(w);
}

static void json_summary(vs_jwriter *w, const vs_model *model, const summary *s,
                         bool with_tensors)
{
    char name[256];
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.model/1");
    vs_jw_str(w, "name", model->name);
    vs_jw_str(w, "model_type", model->model_type);
    vs_jw_str(w, "source", model->source);
    vs_jw_u64(w, "parameters", model->parameters);
    vs_jw_u64(w, "tensors", model->tensor_count);
    vs_jw_u64(w, "checkpoint_bytes", model->checkpoint_bytes);
    vs_jw_u64(w, "loaded_parameters", model->loaded_parameters);
    vs_jw_u64(w, "loaded_tensors", s->loaded_tensors);
    vs_jw_u64(w, "loaded_bytes", s->loaded_bytes);
    vs_jw_object(w, "bytes_by_dtype");
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        if (s->elements_by_dtype[d] > 0) {
            vs_jw_u64(w, vs_dtype_name((vs_dtype)d), s->by_dtype[d]);
        }
    }
    vs_jw_end(w);
    vs_jw_object(w, "largest_layer");
    vs_jw_str(w, "name", largest_name(s, name, sizeof name));
    vs_jw_u64(w, "bytes", s->largest_layer_bytes);
    vs_jw_end(w);
    vs_jw_array(w, "tied");
    for (uint32_t i = 0; i < model->target_count; i++) {
        if ((model->targets[i].flags & VS_TF_TIED) != 0) {
            vs_jw_str(w, NULL, model->targets[i].name);
        }
    }
    vs_jw_end(w);
    json_experts(w, model, s);
    if (with_tensors) {
        json_tensors(w, model, s->dtype);
    }
    vs_jw_end(w);
}

static void size_row(vs_outfile *out, const char *label, uint64_t parameters, uint64_t bits,
                     uint64_t layer_parameters)
{
    char total[VS_TEXT_BYTES];
    char layer[VS_TEXT_BYTES];
    char adam[VS_TEXT_BYTES];
    vs_bytes bytes = 0;
    vs_bytes layer_bytes = 0;
    if (!vs_muldiv_u64(parameters, bits, 8, &bytes) ||
        !vs_muldiv_u64(layer_parameters, bits, 8, &layer_bytes) || bytes > UINT64_MAX / 4) {
        return;
    }
    /* accelerate estimate-memory: weights, gradients and two Adam moments, all in this dtype
     * (accelerate commands/estimate.py: 4 x total) */
    vs_outfile_printf(out, "    %-6s %12s %14s %20s\n", label, vs_format_size(bytes, total),
                      vs_format_size(layer_bytes, layer),
                      bits >= 16 ? vs_format_size(bytes * 4, adam) : "-");
}

static void text_summary(vs_outfile *out, const vs_model *model, const summary *s)
{
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    char name[256];
    vs_outfile_printf(out, "%s  (%s, read from: %s)\n\n", model->name,
                      model->model_type[0] == '\0' ? "architecture unknown" : model->model_type,
                      model->source);
    vs_outfile_printf(
        out, "  checkpoint   %s parameters in %" PRIu32 " tensors, %s (%" PRIu64 " B)\n",
        vs_format_grouped(model->parameters, a), model->tensor_count,
        vs_format_size(model->checkpoint_bytes, b), model->checkpoint_bytes);
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        if (s->elements_by_dtype[d] > 0) {
            vs_outfile_printf(out, "               %-8s %s\n", vs_dtype_name((vs_dtype)d),
                              vs_format_size(s->by_dtype[d], a));
        }
    }
    vs_outfile_printf(out, "  loaded       %s parameters in %" PRIu64 " tensors, %s as %s\n",
                      vs_format_grouped(model->loaded_parameters, a), s->loaded_tensors,
                      vs_format_size(s->loaded_bytes, b), vs_dtype_torch_name(s->dtype));
    vs_outfile_printf(out, "  largest      %s: %s\n", largest_name(s, name, sizeof name),
                      vs_format_size(s->largest_layer_bytes, a));
    if (model->dims.experts > 0) {
        vs_outfile_printf(out, "  experts      %" PRIu64 ", %" PRIu64 " active a token\n",
                          model->dims.experts, model->dims.experts_per_token);
    }
    vs_bytes kv = 0;
    if (vs_model_kv_bytes_per_token(model, s->dtype, &kv) && kv > 0) {
        vs_outfile_printf(out, "  KV cache     %s a token\n", vs_format_size(kv, a));
    }
    const uint64_t layer_parameters = s->largest_layer_bytes * 8 / vs_dtype_bits(s->dtype);
    vs_outfile_printf(out, "\n    dtype         total  largest layer  training with Adam\n");
    size_row(out, "fp32", model->loaded_parameters, 32, layer_parameters);
    size_row(out, "16 bit", model->loaded_parameters, 16, layer_parameters);
    size_row(out, "int8", model->loaded_parameters, 8, layer_parameters);
    size_row(out, "int4", model->loaded_parameters, 4, layer_parameters);
    for (uint32_t i = 0; i < model->target_count; i++) {
        if ((model->targets[i].flags & VS_TF_TIED) != 0) {
            vs_outfile_printf(out, "\n  Tied: %s\n", model->targets[i].name);
        }
    }
    for (uint32_t i = 0; i < model->note_count; i++) {
        vs_outfile_printf(out, "\n  Note: %s\n", model->notes[i]);
    }
}

static void text_tensors(vs_outfile *out, const vs_model *model)
{
    vs_outfile_printf(out, "\n  Checkpoint, in the order of loading\n");
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_tensor *t = &model->tensors[i];
        vs_outfile_printf(out, "    %-8s %17" PRIu64 " B  %s [", vs_dtype_name(t->dtype),
                          t->size_bytes, t->name);
        for (uint32_t d = 0; d < t->dim_count; d++) {
            vs_outfile_printf(out, "%s%" PRIu64, d == 0 ? "" : ", ", t->shape[d]);
        }
        vs_outfile_printf(out, "]%s\n", t->target == VS_NO_TARGET ? "  (not loaded)" : "");
    }
}

static bool write_result(const cli_args *args, const vs_model *model, vs_err *err)
{
    const summary s = summarise(model);
    if (args->json != NULL) {
        vs_outfile *json = vs_outfile_open(args->json, err);
        if (json == NULL) {
            return false;
        }
        vs_jwriter w = vs_jwriter_of(json, false);
        json_summary(&w, model, &s, args->tensors);
        if (!vs_outfile_commit(json, err)) {
            return false;
        }
    }
    if (args->is_quiet) {
        return true;
    }
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    text_summary(out, model, &s);
    if (args->tensors) {
        text_tensors(out, model);
    }
    return vs_outfile_commit(out, err);
}

/* What would be ignored is refused: an answer that leaves out part of the question misleads. */
static bool check_args(const cli_args *args, vs_err *err)
{
    if (args->setting != NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--%s: inspect reads the model only; `vramscope sim` takes settings",
                       args->setting);
    }
    if (args->tape != NULL || args->trace != NULL || args->csv != NULL || args->png != NULL ||
        args->svg != NULL || args->print_scenario || args->vary_count > 0) {
        return vs_fail(err, VS_ERR_USAGE,
                       "inspect writes --json only and runs nothing; the other outputs and "
                       "--vary belong to `vramscope sim` and `compare`");
    }
    return true;
}

int cmd_inspect(cli *c, int argc, char **argv)
{
    cli_args args = {0};
    vs_model model = {0};
    vs_err err = {0};
    if (!cli_parse(c, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"inspect"}});
    }
    if (!check_args(&args, &err) || !cli_read_model(c, &model, args.scenario.model, &err) ||
        !write_result(&args, &model, &err)) {
        return cli_error(&err);
    }
    return EXIT_OK;
}
