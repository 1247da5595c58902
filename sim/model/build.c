/* build.c - from the numbers of a config to a model: family, extra tensors, shards, order, totals. */
#include <stdio.h>
#include <string.h>

#include "sim/model/family/family.h"
#include "sim/model/internal.h"

/* save_pretrained closes a shard when the next tensor would exceed 5 GB, decimal (facts/models.md, "How the
 * order is used"); catalogue entries with another limit say so. */
#define SHARD_BYTES_MAX UINT64_C(5000000000)

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
    return read_dtype(config, &model->config_dtype, err);
}

/* ---- tensors that only the catalogue knows of ------------------------------------------------------ */

/* One entry of checkpoint.extra: {"name": "model.layers.{layer}.x", "shape": [64], "dtype": "F16"}. */
typedef struct {
    vs_str name;
    vs_tensor tensor;
    bool is_per_layer;
} extra_rule;

static bool read_extra(const vs_jnode *entry, extra_rule *rule, vs_err *err)
{
    vs_str dtype = {NULL, 0};
    if (!vs_json_get_str(entry, "name", true, &rule->name, err) ||
        !vs_json_get_str(entry, "dtype", true, &dtype, err)) {
        return false;
    }
    vs_tensor *const t = &rule->tensor;
    *t = (vs_tensor){.elements = 1, .target = VS_NO_TARGET, .dtype = vs_dtype_find(dtype)};
    const vs_jnode shape = vs_json_member(entry, "shape");
    for (vs_jnode i = vs_json_first(&shape); i.node != NULL; i = vs_json_next(&i)) {
        if (t->dim_count == VS_DIMS_MAX) {
            return vs_json_fail(&shape, err, "more than %d dimensions", VS_DIMS_MAX);
        }
        if (!vs_json_as_u64(&i, &t->shape[t->dim_count++], err)) {
            return false;
        }
        if (!vs_mul_u64(t->elements, t->shape[t->dim_count - 1], &t->elements)) {
            return vs_json_fail(&shape, err, "the shape overflows");
        }
    }
    rule->is_per_layer = strstr(rule->name.ptr, "{layer}") != NULL;
    return vs_dtype_bytes(t->dtype, t->elements, &t->size_bytes) ||
           vs_json_fail(entry, err, "expected a known dtype, found \"%s\"", dtype.ptr);
}

static vs_jnode member_of(const vs_jnode *checkpoint, const char *key)
{
    return checkpoint == NULL ? (vs_jnode){0} : vs_json_member(checkpoint, key);
}

static bool count_extras(const vs_jnode *extras, uint64_t layers, uint32_t *out, vs_err *err)
{
    uint64_t count = 0;
    for (vs_jnode i = vs_json_first(extras); i.node != NULL; i = vs_json_next(&i)) {
        extra_rule rule = {0};
        if (!read_extra(&i, &rule, err)) {
            return false;
        }
        count += rule.is_per_layer ? layers : 1;
    }
    *out = (uint32_t)count;
    return true;
}

/* head + layer + tail; by hand, since printing would cost a tenth of a small model. */
static const char *layer_name(vs_arena *arena, vs_str head, uint64_t layer, const char *tail)
{
    char digits[24];
    const int digit_count = snprintf(digits, sizeof digits, "%" PRIu64, layer);
    const size_t tail_bytes = strlen(tail) + 1;
    vs_assert(digit_count > 0 && (size_t)digit_count < sizeof digits);
    char *const name = vs_arena_alloc(arena, head.len + (size_t)digit_count + tail_bytes, 1);
    if (name != NULL) {
        memcpy(name, head.ptr, head.len);
        memcpy(name + head.len, digits, (size_t)digit_count);
        memcpy(name + head.len + digit_count, tail, tail_bytes);
    }
    return name;
}

static bool add_extras(vs_model *model, vs_arena *arena, const vs_jnode *extras, vs_err *err)
{
    for (vs_jnode i = vs_json_first(extras); i.node != NULL; i = vs_json_next(&i)) {
        extra_rule rule = {0};
        if (!read_extra(&i, &rule, err)) {
            return false;
        }
        const char *const place = strstr(rule.name.ptr, "{layer}");
        const vs_str head_text = {rule.name.ptr,
                                  place == NULL ? 0 : (size_t)(place - rule.name.ptr)};
        const char *const tail = place == NULL ? "" : place + strlen("{layer}");
        for (uint64_t layer = 0; layer < (place == NULL ? 1 : model->dims.layers); layer++) {
            vs_tensor *const t = &model->tensors[model->tensor_count++];
            *t = rule.tensor;
            t->name = place == NULL ? vs_str_copy(arena, rule.name)
                                    : layer_name(arena, head_text, layer, tail);
            if (t->name == NULL) {
                return vs_fail_memory(err, arena, "the names of a model");
            }
        }
    }
    return true;
}

/* ---- expected ------------------------------------------------------------------------------------------ */

bool vs_build_expected(vs_model *model, vs_arena *arena, const vs_jnode *config,
                       const vs_jnode *checkpoint, vs_err *err)
{
    if (!vs_build_names(model, arena, config, err)) {
        return false;
    }
    const vs_family *const family = vs_family_find(vs_str_of(model->model_type));
    if (family == NULL) {
        char known[256];
        const vs_jnode node = vs_json_member(config, "model_type");
        return vs_json_fail(
            &node, err, "unknown model_type \"%.60s\"; known are %s", model->model_type,
            vs_family_advice(vs_str_of(model->model_type), known, sizeof known));
    }
    vs_config numbers = {0};
    vs_builder_hints hints = {0};
    const vs_jnode extras = member_of(checkpoint, "extra");
    if (!vs_config_read(&numbers, family, config, err) ||
        !count_extras(&extras, numbers.dims.layers, &hints.extra_tensors, err)) {
        return false;
    }
    if (checkpoint != NULL &&
        !vs_json_get_bool(checkpoint, "lm_head_stored", false, &hints.is_head_stored, err)) {
        return false;
    }
    model->dims = numbers.dims;
    model->is_tied = numbers.is_tied;
    model->no_split_class = family->no_split_class;
    const vs_str named = vs_str_of(model->architecture);
    model->architecture = named.len == 0 ? family->architecture : model->architecture;
    if (!vs_builder_run(model, arena, &numbers, &hints, err)) {
        return false;
    }
    vs_model_mark_last_module(model);
    return add_extras(model, arena, &extras, err);
}

/* ---- totals ----------------------------------------------------------------------------------------------- */

void vs_model_mark_last_module(vs_model *model)
{
    const vs_target *last = NULL;
    for (uint32_t i = model->target_count; i > 0 && last == NULL; i--) {
        const vs_target *const t = &model->targets[i - 1];
        last = (t->flags & (VS_TF_BUFFER | VS_TF_TIED)) == 0 ? t : NULL;
    }
    if (last == NULL) {
        return;
    }
    const char *const dot = strrchr(last->name, '.');
    const size_t module_bytes = dot == NULL ? 0 : (size_t)(dot - last->name) + 1;
    for (uint32_t i = 0; i < model->target_count; i++) {
        vs_target *const t = &model->targets[i];
        const bool is_own = module_bytes == 0
                                ? t == last
                                : strncmp(t->name, last->name, module_bytes) == 0 &&
                                      strchr(t->name + module_bytes, '.') == NULL;
        t->flags |= is_own ? (uint32_t)VS_TF_LAST_MODULE : 0u;
    }
}

static bool fail_total(vs_err *err)
{
    return vs_fail(err, VS_ERR_VALUE, "the tensors of this model add up to more than 2^64");
}

bool vs_model_total(vs_model *model, vs_err *err)
{
    uint64_t parameters = 0;
    uint64_t loaded = 0;
    vs_bytes bytes = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        if (!vs_add_u64(parameters, model->tensors[i].elements, &parameters) ||
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

/* ---- shards and order ----------------------------------------------------------------------------------------- */

/* Fills shards greedily in state_dict order; a tensor above the limit gets a shard of its own. With
 * shards NULL only counts. */
static uint32_t split_shards(vs_model *model, vs_bytes limit, vs_shard *shards)
{
    uint32_t count = 0;
    vs_bytes room = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        vs_tensor *const t = &model->tensors[i];
        if (count == 0 || t->size_bytes > room) {
            count++;
            room = limit;
        }
        room = t->size_bytes < room ? room - t->size_bytes : 0;
        if (shards != NULL) {
            t->shard = count - 1;
            shards[count - 1].file = "";
            shards[count - 1].size_bytes += t->size_bytes;
        }
    }
    return count;
}

bool vs_build_finish(vs_model *model, vs_arena *arena, const vs_jnode *checkpoint, vs_err *err)
{
    uint64_t limit = SHARD_BYTES_MAX;
    if (checkpoint != NULL &&
        !vs_json_get_u64(checkpoint, "max_shard_bytes", false, &limit, err)) {
        return false;
    }
    if (!vs_model_total(model, err)) {
        return false;
    }
    model->shard_count = split_shards(model, limit, NULL);
    model->shards = VS_ARRAY(arena, vs_shard, model->shard_count);
    if (model->shards == NULL) {
        return vs_fail_memory(err, arena, "the shards of a model");
    }
    (void)split_shards(model, limit, model->shards);

    uint32_t *const moved = VS_ARRAY(arena, uint32_t, model->tensor_count);
    if (moved == NULL) {
        return vs_fail_memory(err, arena, "the order of a model");
    }
    if (!vs_key_sort(model->tensors, model->tensor_count, moved, arena, err)) {
        return false;
    }
    for (uint32_t i = 0; i < model->source_count; i++) {
        model->sources[i] = moved[model->sources[i]];
    }
    return vs_note_dropped(model, arena, err);
}

/* A pre-quantised checkpoint holds other tensors than its config suggests. */
static bool refuse_quantised(const vs_jnode *config, vs_err *err)
{
    const vs_jnode node = vs_json_member(config, "quantization_config");
    return !vs_json_is_object(&node) ||
           vs_json_fail(&node, err,
                        "a pre-quantised checkpoint cannot be told from its config; give the "
                        "folder with its "
                        ".safetensors files");
}

bool vs_build_from_config(vs_model *model, vs_arena *arena, const vs_jnode *config,
                          const vs_jnode *checkpoint, vs_err *err)
{
    if (!refuse_quantised(config, err) ||
        !vs_build_expected(model, arena, config, checkpoint, err) ||
        !vs_build_finish(model, arena, checkpoint, err)) {
        return false;
    }
    if (model->is_tied && model->source_count > 0) {
        const vs_target *const head = &model->targets[model->target_count - 1];
        if (head->source_count > 0 &&
            !vs_note(model, arena, err,
                     "%s is stored although it is tied: read, then shared with %s", head->name,
                     model->targets[head->tied_to].name)) {
            return false;
        }
    }
    return model->config_dtype != VS_DT_COUNT ||
           vs_note(model, arena, err,
                   "the config names no dtype; float32 is assumed for the checkpoint");
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

bool vs_model_kv_bytes_per_token(const vs_model *model, vs_dtype dtype, vs_bytes *out)
{
    const vs_model_dims *const d = &model->dims;
    uint64_t elements = 2;
    return vs_mul_u64(elements, d->layers, &elements) &&
           vs_mul_u64(elements, d->kv_heads, &elements) &&
           vs_mul_u64(elements, d->head_dim, &elements) && vs_dtype_bytes(dtype, elements, out);
}
