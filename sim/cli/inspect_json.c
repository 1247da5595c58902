/* inspect_json.c - the figures of `inspect` for programs: vramscope.model/1. Names never change; see CONTRACT.md for
 * those that others rely on. */
#include "inspect.h"

/* What is opened from here on stands on one line, until close_line. */
static void open_line(vs_jwriter *w, const char *key)
{
    vs_jw_array(w, key);
    w->is_compact = true;
}

static void close_line(vs_jwriter *w)
{
    vs_jw_end(w);
    w->is_compact = false;
}

/* [name, [shape], dtype and, for modules, what it is]: one a line. */
static void tensor_json(vs_jwriter *w, const char *name, const uint64_t *shape,
                        uint32_t dim_count, vs_dtype dtype, const char *kind)
{
    open_line(w, NULL);
    vs_jw_str(w, NULL, name);
    vs_jw_array(w, NULL);
    for (uint32_t d = 0; d < dim_count; d++) {
        vs_jw_u64(w, NULL, shape[d]);
    }
    vs_jw_end(w);
    vs_jw_str(w, NULL, vs_dtype_name(dtype));
    if (kind != NULL) {
        vs_jw_str(w, NULL, kind);
    }
    close_line(w);
}

static void targets_json(vs_jwriter *w, const char *key, const inspection *in,
                         const vs_target *targets, uint32_t count)
{
    vs_jw_array(w, key);
    for (uint32_t i = 0; i < count; i++) {
        const vs_target *const t = &targets[i];
        tensor_json(w, t->name, t->shape, t->dim_count,
                    t->fixed_dtype == VS_DT_COUNT ? in->summary->load_dtype : t->fixed_dtype,
                    (t->flags & VS_TF_BUFFER) != 0 ? "buffer" : "parameter");
    }
    vs_jw_end(w);
}

static void tensors_json(vs_jwriter *w, const inspection *in)
{
    const vs_model *const m = in->model;
    vs_jw_array(w, "checkpoint");
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const vs_tensor *const t = &m->tensors[i];
        tensor_json(w, t->name, t->shape, t->dim_count, t->dtype, NULL);
    }
    vs_jw_end(w);
    targets_json(w, "modules", in, m->modules, m->module_count);
    if (m->targets != m->modules) {
        targets_json(w, "loaded", in, m->targets, m->target_count);
    }
    if (in->modules_4 == NULL) {
        return;
    }
    vs_jw_array(w, "modules_4");
    for (uint32_t i = 0; i < in->module_4_count; i++) {
        const vs_module_4 *const t = &in->modules_4[i];
        tensor_json(w, t->name, t->shape, t->dim_count, in->summary->load_dtype, "parameter");
    }
    vs_jw_end(w);
}

static void amount_json(vs_jwriter *w, const char *key, const vs_amount *amount)
{
    vs_jw_object(w, key);
    vs_jw_u64(w, "tensors", amount->tensors);
    vs_jw_u64(w, "parameters", amount->elements);
    vs_jw_u64(w, "bytes", amount->bytes);
    vs_jw_end(w);
}

static void dtypes_json(vs_jwriter *w, const vs_model_summary *s)
{
    vs_jw_object(w, "bytes_by_dtype");
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        if (s->stored[d].tensors > 0) {
            vs_jw_u64(w, vs_dtype_name((vs_dtype)d), s->stored[d].bytes);
        }
    }
    vs_jw_end(w);
    vs_jw_object(w, "by_dtype");
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        if (s->stored[d].tensors > 0) {
            amount_json(w, vs_dtype_name((vs_dtype)d), &s->stored[d]);
        }
    }
    vs_jw_end(w);
    amount_json(w, "not_loaded", &s->not_loaded);
}

static void quantised_json(vs_jwriter *w, const inspection *in)
{
    const vs_stored_quant *const q = &in->model->quant;
    if (q->format == VS_QF_NONE) {
        vs_jw_null(w, "quantised");
        return;
    }
    const quant_needs needs = inspect_quant_needs(q->format);
    vs_jw_object(w, "quantised");
    vs_jw_str(w, "method", q->method);
    vs_jw_str(w, "label", q->label);
    vs_jw_u64(w, "bits", q->bits);
    vs_jw_u64(w, "group_size", q->group_size);
    vs_jw_str(w, "compute_capability", needs.capability[0] == '\0' ? NULL : needs.capability);
    vs_jw_str(w, "below", needs.below[0] == '\0' ? NULL : needs.below);
    vs_jw_u64(w, "stored_bytes", in->summary->loaded.bytes);
    if (in->model->modules != in->model->targets) {
        vs_jw_u64(w, "dequantised_bytes", in->summary->dense.bytes);
    } else {
        vs_jw_null(w, "dequantised_bytes");
    }
    vs_jw_end(w);
}

static void layers_json(vs_jwriter *w, const vs_model_summary *s)
{
    vs_jw_array(w, "layers");
    for (uint32_t i = 0; i < s->row_count; i++) {
        const vs_layer_row *const row = &s->rows[i];
        vs_jw_object(w, NULL);
        vs_jw_str(w, "name", row->name);
        vs_jw_u64(w, "count", row->layer_count > 0 ? row->layer_count : 1);
        open_line(w, "numbers");
        for (uint32_t k = 0; k < row->layer_count; k++) {
            vs_jw_u64(w, NULL, row->layers[k]);
        }
        close_line(w);
        vs_jw_u64(w, "tensors", row->one.tensors);
        vs_jw_u64(w, "parameters", row->one.elements);
        vs_jw_u64(w, "bytes", row->one.bytes);
        vs_jw_object(w, "parts");
        for (uint32_t p = 0; p < VS_PART_COUNT; p++) {
            if (row->parts[p] > 0) {
                vs_jw_u64(w, vs_model_part_key((vs_model_part)p), row->parts[p]);
            }
        }
        vs_jw_end(w);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void ties_json(vs_jwriter *w, const vs_model_summary *s)
{
    vs_jw_array(w, "tied");
    for (uint32_t i = 0; i < s->tie_count; i++) {
        vs_jw_str(w, NULL, s->ties[i].name);
    }
    vs_jw_end(w);
    vs_jw_array(w, "tied_weights");
    for (uint32_t i = 0; i < s->tie_count; i++) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "name", s->ties[i].name);
        vs_jw_str(w, "with", s->ties[i].with);
        vs_jw_bool(w, "stored", s->ties[i].is_stored);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void experts_json(vs_jwriter *w, const inspection *in)
{
    const vs_model_dims *const d = &in->model->dims;
    if (d->experts == 0) {
        vs_jw_null(w, "experts");
        return;
    }
    vs_jw_object(w, "experts");
    vs_jw_u64(w, "total", d->experts);
    if (d->experts_per_token == 0) { /* a config that does not say */
        vs_jw_null(w, "active");
    } else {
        vs_jw_u64(w, "active", d->experts_per_token);
    }
    vs_jw_u64(w, "layers", in->summary->expert_layers);
    vs_jw_u64(w, "parameters", in->summary->expert_parameters);
    vs_jw_u64(w, "active_parameters", in->summary->active_parameters);
    vs_jw_end(w);
}

static void kv_json(vs_jwriter *w, const inspection *in)
{
    const vs_kv_cost *const kv = &in->summary->kv;
    if (!kv->is_known) {
        vs_jw_null(w, "kv_cache");
        return;
    }
    vs_jw_object(w, "kv_cache");
    vs_jw_str(w, "dtype", vs_dtype_name(in->summary->load_dtype));
    vs_jw_u64(w, "bytes_per_token", kv->token_bytes);
    vs_jw_u64(w, "bytes_per_token_beyond_window", kv->late_token_bytes);
    if (kv->latent_token_bytes > 0) {
        vs_jw_u64(w, "latent_bytes_per_token", kv->latent_token_bytes);
    } else {
        vs_jw_null(w, "latent_bytes_per_token");
    }
    if (kv->is_state_known) {
        vs_jw_u64(w, "state_bytes", kv->state_bytes);
    } else {
        vs_jw_null(w, "state_bytes");
    }
    vs_jw_u64(w, "full_layers", kv->full_layers);
    vs_jw_u64(w, "window_layers", kv->window_layers);
    vs_jw_u64(w, "linear_layers", kv->linear_layers);
    vs_jw_u64(w, "window", kv->window);
    vs_jw_u64(w, "bytes_8192_tokens", vs_kv_bytes(kv, 8192));
    vs_jw_u64(w, "max_tokens", in->model->dims.max_positions);
    vs_jw_u64(w, "bytes_max_tokens", vs_kv_bytes(kv, in->model->dims.max_positions));
    vs_jw_end(w);
}

static void u64_or_null(vs_jwriter *w, const char *key, bool is_known, uint64_t value)
{
    if (is_known) {
        vs_jw_u64(w, key, value);
    } else {
        vs_jw_null(w, key);
    }
}

static void estimate_json(vs_jwriter *w, const inspection *in, const vs_dtype_cost *cost)
{
    const vs_model_summary *const s = in->summary;
    const bool has_training = cost->estimate_training_bytes > 0;
    char text[VS_TEXT_BYTES];
    vs_jw_object(w, "accelerate");
    vs_jw_str(w, "largest_layer",
              vs_format_accelerate_size(s->estimate_largest_bytes, cost->divisor, text));
    vs_jw_str(w, "total_size",
              vs_format_accelerate_size(s->estimate_bytes, cost->divisor, text));
    vs_jw_str(w, "training_using_adam",
              has_training ? vs_format_accelerate_size(cost->estimate_training_bytes, 1, text)
                           : "N/A");
    vs_jw_u64(w, "largest_layer_bytes", s->estimate_largest_bytes / cost->divisor);
    vs_jw_u64(w, "total_bytes", s->estimate_bytes / cost->divisor);
    u64_or_null(w, "training_bytes", has_training, cost->estimate_training_bytes);
    vs_jw_end(w);
}

static void costs_json(vs_jwriter *w, const inspection *in)
{
    vs_jw_array(w, "dtypes");
    for (uint32_t i = 0; i < VS_DTYPE_COSTS; i++) {
        const vs_dtype_cost *const cost = &in->summary->costs[i];
        const char *const reason = inspect_cost_reason(in, cost);
        vs_jw_object(w, NULL);
        vs_jw_str(w, "dtype", cost->dtype);
        u64_or_null(w, "bytes", cost->is_exact_known, cost->exact_bytes);
        u64_or_null(w, "training_bytes", cost->exact_training_bytes > 0,
                    cost->exact_training_bytes);
        vs_jw_str(w, "why_not_as_estimated", reason[0] == '\0' ? NULL : reason);
        estimate_json(w, in, cost);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

void inspect_json(vs_jwriter *w, const inspection *in)
{
    const vs_model *const m = in->model;
    const vs_model_summary *const s = in->summary;
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.model/1");
    vs_jw_str(w, "name", m->name);
    vs_jw_str(w, "model_type", m->model_type);
    vs_jw_str(w, "architecture", m->architecture);
    vs_jw_str(w, "source", m->source);
    vs_jw_u64(w, "parameters", m->parameters);
    vs_jw_u64(w, "tensors", m->tensor_count);
    vs_jw_u64(w, "checkpoint_bytes", m->checkpoint_bytes);
    vs_jw_u64(w, "loaded_parameters", m->loaded_parameters);
    vs_jw_u64(w, "loaded_tensors", s->loaded.tensors);
    vs_jw_u64(w, "loaded_bytes", s->loaded.bytes);
    if (in->modules_4 != NULL) {
        vs_jw_u64(w, "transformers_4_tensors", in->module_4_count);
    }
    vs_jw_str(w, "load_dtype", vs_dtype_name(s->load_dtype));
    vs_jw_u64(w, "active_parameters", s->active_parameters);
    dtypes_json(w, s);
    quantised_json(w, in);
    vs_jw_object(w, "largest_layer");
    vs_jw_str(w, "name", s->largest_name);
    vs_jw_u64(w, "bytes", s->largest_bytes);
    vs_jw_end(w);
    layers_json(w, s);
    ties_json(w, s);
    experts_json(w, in);
    kv_json(w, in);
    costs_json(w, in);
    vs_jw_array(w, "notes");
    for (uint32_t i = 0; i < m->note_count; i++) {
        vs_jw_str(w, NULL, m->notes[i]);
    }
    vs_jw_end(w);
    if (in->with_tensors) {
        tensors_json(w, in);
    }
    vs_jw_end(w);
}
