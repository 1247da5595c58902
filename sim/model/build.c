/* build.c - from the numbers of a config to a model: family, extra tensors, shards, order, totals. */
#include <stdio.h>
#include <string.h>

#include "sim/model/family/family.h"
#include "sim/model/internal.h"

/* ---- names and types of a config --------------------------------------------------------------- */

/* "torch_dtype", or "dtype" in newer files; absent or "auto": none. */
static bool read_dtype(const vs_jnode *config, vs_dtype *out, vs_err *err)
{
    vs_jnode node = vs_json_member(config, "torch_dtype");
    if (node.node == NULL) {
        node = vs_json_member(config, "dtype");
    }
    vs_str text = {NULL, 0};
    *out = VS_DT_COUNT;
    if (node.node == NULL || !vs_json_as_str(&node, &text, NULL) || vs_str_is(text, "auto")) {
        return true;
    }
    *out = vs_dtype_find_torch(text);
    return *out != VS_DT_COUNT ||
           vs_json_fail(&node, err,
                        "expected a torch dtype such as \"bfloat16\", found \"%.*s\"",
                        (int)(text.len < 60 ? text.len : 60), text.ptr);
}

/* The config's own text, for checkpoints that are written and for numbers of unknown families. */
static bool keep_text(vs_model *model, vs_arena *arena, const vs_jnode *config, vs_err *err)
{
    model->config_text = vs_json_text(config, arena);
    return model->config_text != NULL || vs_fail_memory(err, arena, "the text of a config");
}

bool vs_build_names(vs_model *model, vs_arena *arena, const vs_jnode *config, vs_err *err)
{
    vs_str type = {NULL, 0};
    if (!vs_json_is_object(config)) {
        return vs_json_fail(config, err, "expected an object, the contents of a config.json");
    }
    if (!vs_json_get_str(config, "model_type", false, &type, err)) {
        return false;
    }
    vs_str architecture = {NULL, 0};
    const vs_jnode list = vs_json_member(config, "architectures");
    const vs_jnode first = vs_json_first(&list);
    if (first.node != NULL && !vs_json_as_str(&first, &architecture, err)) {
        return false;
    }
    model->model_type = vs_str_copy(arena, type);
    model->architecture = vs_str_copy(arena, architecture);
    if (model->model_type == NULL || model->architecture == NULL) {
        return vs_fail_memory(err, arena, "the names of a model");
    }
    return read_dtype(config, &model->config_dtype, err) &&
           keep_text(model, arena, config, err);
}

/* ---- tensors that only the catalogue knows of ------------------------------------------------------ */

/* One entry of checkpoint.extra: {"name": "model.layers.{layer}.x", "shape": [64], "dtype": "F16"}. */
static bool read_extra(const vs_jnode *entry, vs_arena *arena, vs_extra *extra, vs_err *err)
{
    vs_str name = {NULL, 0};
    vs_str dtype = {NULL, 0};
    if (!vs_json_get_str(entry, "name", true, &name, err) ||
        !vs_json_get_str(entry, "dtype", true, &dtype, err)) {
        return false;
    }
    *extra = (vs_extra){.name = vs_str_copy(arena, name), .dtype = vs_dtype_find(dtype)};
    const vs_jnode shape = vs_json_member(entry, "shape");
    for (vs_jnode i = vs_json_first(&shape); i.node != NULL; i = vs_json_next(&i)) {
        if (extra->shape.count == 4) {
            return vs_json_fail(&shape, err, "more than 4 dimensions");
        }
        if (!vs_json_as_u64(&i, &extra->shape.dim[extra->shape.count++], err)) {
            return false;
        }
    }
    if (extra->name == NULL) {
        return vs_fail_memory(err, arena, "the names of a model");
    }
    return extra->dtype != VS_DT_COUNT ||
           vs_json_fail(entry, err, "expected a known dtype, found \"%s\"", dtype.ptr);
}

/* save_pretrained closes a shard when the next tensor would exceed 5 GB, decimal (facts/models.md, "How the
 * order is used"); catalogue entries with another limit say so. */
#define SHARD_BYTES_MAX UINT64_C(5000000000)

/* checkpoint: the catalogue's object, node NULL when there is none. */
static bool read_hints(const vs_jnode *checkpoint, vs_arena *arena, vs_builder_hints *hints,
                       vs_err *err)
{
    *hints = (vs_builder_hints){.max_shard_bytes = SHARD_BYTES_MAX};
    if (checkpoint == NULL || checkpoint->node == NULL) {
        return true;
    }
    const vs_jnode extras = vs_json_member(checkpoint, "extra");
    for (vs_jnode i = vs_json_first(&extras); i.node != NULL; i = vs_json_next(&i)) {
        if (hints->extra_count == VS_EXTRAS_MAX) {
            return vs_json_fail(&extras, err, "more than %u entries", VS_EXTRAS_MAX);
        }
        if (!read_extra(&i, arena, &hints->extras[hints->extra_count++], err)) {
            return false;
        }
    }
    return vs_json_get_bool(checkpoint, "lm_head_stored", false, &hints->is_head_stored, err) &&
           vs_json_get_u64(checkpoint, "max_shard_bytes", false, &hints->max_shard_bytes, err);
}

/* ---- expected ------------------------------------------------------------------------------------------ */

static const vs_family *find_family(const vs_model *model, const vs_jnode *config, vs_err *err)
{
    vs_assert(model->model_type != NULL);
    const vs_family *const family = vs_family_find(vs_str_of(model->model_type));
    if (family == NULL) {
        char known[320];
        const vs_jnode node = vs_json_member(config, "model_type");
        if (model->model_type[0] == '\0') {
            (void)vs_json_fail(config, err,
                               "expected \"model_type\", the name of the architecture; %s",
                               vs_family_advice((vs_str){"", 0}, known, sizeof known));
            return NULL;
        }
        (void)vs_json_fail(&node, err, "unknown model_type \"%.60s\"; %s", model->model_type,
                           vs_family_advice(vs_str_of(model->model_type), known, sizeof known));
    }
    return family;
}

/* An assumed dtype of the stored floats when the config names none: what quantised checkpoints keep the rest in, or what
 * torch.save leaves by default. */
static vs_dtype stored_dtype(const vs_model *model, const vs_jnode *config)
{
    const vs_jnode q = vs_json_member(config, "quantization_config");
    if (model->config_dtype != VS_DT_COUNT) {
        return model->config_dtype;
    }
    return vs_json_is_object(&q) ? VS_DT_BF16 : VS_DT_F32;
}

bool vs_build_expected(vs_model *model, vs_arena *arena, const vs_jnode *config,
                       const vs_jnode *checkpoint, vs_err *err)
{
    if (!vs_build_names(model, arena, config, err)) {
        return false;
    }
    const vs_family *const family = find_family(model, config, err);
    vs_builder_hints hints = {0};
    vs_config *const numbers = VS_NEW(arena, vs_config);
    if (family == NULL || numbers == NULL) {
        return family == NULL ? false : vs_fail_memory(err, arena, "the numbers of a config");
    }
    if (!read_hints(checkpoint, arena, &hints, err) ||
        !vs_config_read(numbers, family, arena, config, stored_dtype(model, config), err)) {
        return false;
    }
    hints.is_head_stored = hints.is_head_stored || family->stores_tied_head;
    model->dims = numbers->dims;
    model->is_tied = numbers->is_tied;
    model->no_split_class = family->no_split_class;
    model->quant = numbers->layout.quant;
    const vs_str named = vs_str_of(model->architecture);
    model->architecture = named.len == 0 ? family->architecture : model->architecture;
    const bool is_built = vs_builder_run(model, arena, numbers, &hints, err);
    vs_layout_close(&numbers->layout);
    return is_built;
}

/* ---- totals ----------------------------------------------------------------------------------------------- */

static void mark_last_module(vs_target *targets, uint32_t count)
{
    const vs_target *last = NULL;
    for (uint32_t i = count; i > 0 && last == NULL; i--) {
        const vs_target *const t = &targets[i - 1];
        last = (t->flags & (VS_TF_BUFFER | VS_TF_TIED)) == 0 ? t : NULL;
    }
    if (last == NULL) {
        return;
    }
    const char *const dot = strrchr(last->name, '.');
    const size_t module_bytes = dot == NULL ? 0 : (size_t)(dot - last->name) + 1;
    for (uint32_t i = 0; i < count; i++) {
        vs_target *const t = &targets[i];
        const bool is_own = module_bytes == 0
                                ? t == last
                                : strncmp(t->name, last->name, module_bytes) == 0 &&
                                      strchr(t->name + module_bytes, '.') == NULL;
        t->flags |= is_own ? (uint32_t)VS_TF_LAST_MODULE : 0u;
    }
}

void vs_model_mark_last_module(vs_model *model)
{
    mark_last_module(model->targets, model->target_count);
    if (model->modules != NULL && model->modules != model->targets) {
        mark_last_module(model->modules, model->module_count);
    }
}

static bool fail_total(vs_err *err)
{
    return vs_fail(err, VS_ERR_VALUE, "the tensors of this model add up to more than 2^64");
}

/* As the Hub counts parameters: MXFP4 packs two values in a byte of *_blocks, and its *_scales are none
 * (facts/models.json, gpt-oss-120b). */
static bool counted_elements(const vs_tensor *t, uint64_t *out)
{
    *out = t->elements;
    if (t->dtype == VS_DT_U8) {
        const vs_str name = vs_str_of(t->name);
        if (vs_str_ends(name, "_blocks")) {
            return vs_mul_u64(t->elements, 2, out);
        }
        *out = vs_str_ends(name, "_scales") ? 0 : t->elements;
    }
    return true;
}

bool vs_model_total(vs_model *model, vs_err *err)
{
    uint64_t parameters = 0;
    uint64_t loaded = 0;
    vs_bytes bytes = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        uint64_t count = 0;
        if (!counted_elements(&model->tensors[i], &count) ||
            !vs_add_u64(parameters, count, &parameters) ||
            !vs_add_u64(bytes, model->tensors[i].size_bytes, &bytes)) {
            return fail_total(err);
        }
    }
    /* Not quantised: what is loaded is what the architecture says. */
    if (model->modules == NULL) {
        model->modules = model->targets;
        model->module_count = model->target_count;
        model->module_sources = model->sources;
        model->module_source_count = model->source_count;
    }
    for (uint32_t i = 0; i < model->module_count; i++) {
        const vs_target *const t = &model->modules[i];
        if ((t->flags & (VS_TF_NON_PERSISTENT | VS_TF_TIED)) == 0 &&
            !vs_add_u64(loaded, t->elements, &loaded)) {
            return fail_total(err);
        }
    }
    model->parameters = parameters;
    model->checkpoint_bytes = bytes;
    model->loaded_parameters = loaded;
    model->config_text = model->config_text == NULL ? "" : model->config_text;
    model->quant.method = model->quant.method == NULL ? "" : model->quant.method;
    model->quant.label = model->quant.label == NULL ? "" : model->quant.label;
    return true;
}

/* ---- a model known from its config only ------------------------------------------------------------- */

static bool note_stored_head(vs_model *model, vs_arena *arena, vs_err *err)
{
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *const t = &model->targets[i];
        if ((t->flags & VS_TF_TIED) != 0 && t->source_count > 0 &&
            !vs_note(model, arena, err,
                     "%s is stored although it is tied: read, then shared with %s", t->name,
                     model->targets[t->tied_to].name)) {
            return false;
        }
    }
    return true;
}

bool vs_build_from_config(vs_model *model, vs_arena *arena, const vs_jnode *config,
                          const vs_jnode *checkpoint, vs_err *err)
{
    if (!vs_build_expected(model, arena, config, checkpoint, err)) {
        return false;
    }
    vs_model_mark_last_module(model);
    if (!vs_model_total(model, err) || !vs_note_dropped(model, arena, err) ||
        !vs_note_empty_experts(model, arena, err) || !note_stored_head(model, arena, err)) {
        return false;
    }
    return model->config_dtype != VS_DT_COUNT ||
           vs_note(model, arena, err,
                   "the config names no dtype; %s is assumed for the checkpoint",
                   vs_dtype_torch_name(stored_dtype(model, config)));
}

bool vs_model_from_config(vs_model *model, vs_arena *arena, const void *text, size_t text_bytes,
                          const char *input_name, vs_err *err)
{
    vs_json doc = {0};
    vs_model built = {.source = "config", .config_dtype = VS_DT_COUNT};
    if (!vs_json_parse(&doc, text, text_bytes, input_name, err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    bool is_built = vs_build_from_config(&built, arena, &root, NULL, err);
    vs_json_close(&doc);
    built.name = is_built ? vs_str_copy(arena, vs_str_of(input_name)) : NULL;
    if (is_built && built.name == NULL) {
        is_built = vs_fail_memory(err, arena, "the name of a model");
    }
    if (!is_built) {
        if (err != NULL) {
            vs_err_at_input(err, input_name);
        }
        return false;
    }
    *model = built;
    return true;
}
