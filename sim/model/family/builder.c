/* builder.c - the machine behind family.h: turns the calls of a family into tensors and targets.
 *
 * The family is run three times. The first run counts, so that the arrays can be carved in one piece; the second
 * names the groups of tensors; the third fills. In between the groups are put into key order, so that every tensor
 * is written where it will stay and 92,000 names need no sorting:
 *
 *   group: tensors that stand together in key order [2.3]: one tensor, or all experts of a layer, whose
 *          names share a stem that nothing else has and whose order within is known
 *
 * Two lists of targets are made when the checkpoint is quantised: `native`, what is loaded as it is stored, and
 * `plain`, the architecture without a quantiser. Otherwise only native.
 *
 * Shards are filled greedily in the order of the calls, which is the order of the state dict.
 * Document cited: specs/transformers-loading.md. */
#include "sim/model/family/builder.h"

#include <string.h>

#include "sim/model/internal.h"

/* ---- prefixes and names ----------------------------------------------------------------------- */

static void set_prefix(vs_prefix *p, const char *stem)
{
    p->len = strlen(stem);
    vs_assert(p->len < sizeof p->text);
    memcpy(p->text, stem, p->len + 1);
}

size_t vs_put_number(char *out, uint64_t value)
{
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    out[count] = '.';
    return count + 1;
}

static void set_numbered(vs_prefix *p, const char *stem, uint64_t number)
{
    const size_t len = strlen(stem);
    vs_assert(len + 24 <= sizeof p->text);
    memcpy(p->text, stem, len);
    p->len = len + vs_put_number(p->text + len, number);
    p->text[p->len] = '\0';
}

void vs_emit_root(vs_builder *b, const char *stem, const char *stored_stem)
{
    set_prefix(&b->module, stem);
    set_prefix(&b->stored, stored_stem);
    b->layer = -1;
}

void vs_emit_layer(vs_builder *b, const char *stem, const char *stored_stem, uint64_t layer)
{
    set_numbered(&b->module, stem, layer);
    set_numbered(&b->stored, stored_stem, layer);
    b->layer = (int32_t)layer;
}

void vs_emit_block(vs_builder *b, const char *stem, const char *stored_stem, uint64_t number)
{
    vs_emit_layer(b, stem, stored_stem, number);
    b->layer = -1;
}

const vs_config *vs_builder_config(const vs_builder *b)
{
    return b->config;
}

vs_err *vs_builder_err(vs_builder *b)
{
    return b->err;
}

const char *vs_builder_name(vs_builder *b, const vs_prefix *prefix, const char *name)
{
    const size_t name_bytes = strlen(name) + 1;
    char *const out = vs_arena_alloc(b->arena, prefix->len + name_bytes, 1);
    if (out == NULL) {
        (void)vs_fail_memory(b->err, b->arena, "the names of a model");
        return NULL;
    }
    memcpy(out, prefix->text, prefix->len);
    memcpy(out + prefix->len, name, name_bytes);
    return out;
}

/* ---- groups and tensors --------------------------------------------------------------------------- */

bool vs_builder_group(vs_builder *b, const char *stored_name, uint64_t count, uint32_t *first)
{
    const uint64_t index = b->group_count++;
    *first = 0;
    switch (b->pass) {
    case VS_PASS_COUNT:
        b->tensor_count += count;
        return b->tensor_count <= VS_TENSORS_MAX ||
               vs_fail(b->err, VS_ERR_LIMIT,
                       "the config describes more than %" PRIu32 " tensors", VS_TENSORS_MAX);
    case VS_PASS_NAME:
        b->groups[index].name = vs_builder_name(b, &b->stored, stored_name);
        b->groups[index].count = (uint32_t)count;
        return b->groups[index].name != NULL;
    case VS_PASS_FILL: *first = b->groups[index].first; return true;
    }
    return true;
}

static bool multiply_shape(vs_builder *b, const char *name, const vs_shape *shape,
                           uint64_t *elements)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < shape->count; i++) {
        if (!vs_mul_u64(product, shape->dim[i], &product)) {
            return vs_fail(b->err, VS_ERR_VALUE,
                           "%s would have more than 2^64 elements; the sizes in the config "
                           "cannot be right",
                           name);
        }
    }
    *elements = product;
    return true;
}

/* Greedy: a shard is closed when the next tensor would exceed the limit; one above it gets a shard of its own. */
static void put_in_shard(vs_builder *b, vs_tensor *t)
{
    if (b->shard_count == 0 || t->size_bytes > b->shard_room) {
        b->shard_count++;
        b->shard_room = b->hints->max_shard_bytes;
    }
    b->shard_room = t->size_bytes < b->shard_room ? b->shard_room - t->size_bytes : 0;
    t->shard = b->shard_count - 1;
}

bool vs_builder_tensor_like(vs_builder *b, vs_tensor *like, const char *name,
                            const vs_shape *shape, vs_dtype dtype)
{
    *like = (vs_tensor){
        .name = name,
        .dim_count = shape->count,
        .dtype = dtype,
        .target = VS_NO_TARGET, /* until a native target takes it */
    };
    memcpy(like->shape, shape->dim, sizeof shape->dim);
    if (!multiply_shape(b, name, shape, &like->elements)) {
        return false;
    }
    return vs_dtype_bytes(dtype, like->elements, &like->size_bytes) ||
           vs_fail(b->err, VS_ERR_VALUE, "%s would have more than 2^64 bytes", name);
}

void vs_builder_put_tensor(vs_builder *b, uint32_t index, const char *name,
                           const vs_tensor *like)
{
    vs_tensor *const t = &b->model->tensors[index];
    *t = *like;
    t->name = name;
    put_in_shard(b, t);
}

bool vs_builder_tensor(vs_builder *b, uint32_t index, const char *name, const vs_shape *shape,
                       vs_dtype dtype)
{
    vs_tensor like;
    if (!vs_builder_tensor_like(b, &like, name, shape, dtype)) {
        return false;
    }
    vs_builder_put_tensor(b, index, name, &like);
    return true;
}

/* ---- targets -------------------------------------------------------------------------------------------- */

vs_target *vs_builder_target(vs_builder *b, vs_target_list *list, const char *name,
                             const vs_emit_desc *desc)
{
    vs_target *const t = &list->items[list->count];
    t->name = name;
    memcpy(t->shape, desc->shape.dim, sizeof desc->shape.dim);
    t->dim_count = desc->shape.count;
    t->flags = desc->flags;
    t->layer = b->layer;
    t->tied_to = VS_NO_TARGET;
    t->part_count = 1;
    t->first_source = list->source_count;
    t->fixed_dtype = VS_DT_COUNT;
    const bool is_quantised = (desc->flags & (VS_TF_QUANT_DATA | VS_TF_QUANT_META)) != 0;
    const bool is_buffer = (desc->flags & VS_TF_BUFFER) != 0 && !desc->has_load_dtype;
    /* only the quantised module keeps its experts' biases wide */
    const bool is_narrow = list == &b->plain && (desc->flags & VS_TF_EXPERTS) != 0;
    if (is_quantised || is_buffer) {
        t->fixed_dtype = desc->dtype;
    } else if ((desc->flags & VS_TF_KEEP_FP32) != 0 && !is_narrow) {
        t->fixed_dtype = VS_DT_F32;
    }
    if (!multiply_shape(b, name, &desc->shape, &t->elements)) {
        return NULL;
    }
    list->count++;
    return t;
}

void vs_builder_source(vs_builder *b, vs_target_list *list, uint32_t tensor)
{
    vs_builder_sources(b, list, tensor, 1, 0);
}

void vs_builder_sources(vs_builder *b, vs_target_list *list, uint32_t first, uint64_t count,
                        uint32_t step)
{
    uint32_t *const sources = &list->sources[list->source_count];
    for (uint64_t i = 0; i < count; i++) {
        sources[i] = first + (uint32_t)i * step;
    }
    list->source_count += (uint32_t)count;
    list->items[list->count - 1].source_count += (uint32_t)count;
    for (uint64_t i = 0; i < count && list == &b->native; i++) {
        b->model->tensors[sources[i]].target = list->count - 1;
    }
}

/* A target of one stored tensor, or of none, in one list. */
static bool add_simple(vs_builder *b, vs_target_list *list, const vs_emit_desc *desc,
                       const char *name, const uint32_t *tensor)
{
    vs_target *const t = vs_builder_target(b, list, name, desc);
    if (t == NULL) {
        return false;
    }
    if (desc->is_input_embedding) {
        list->embedding = list->count - 1;
    }
    if ((desc->flags & VS_TF_TIED) != 0) {
        t->tied_to = list->embedding;
    }
    if (tensor != NULL) {
        vs_builder_source(b, list, *tensor);
    }
    return true;
}

static bool is_same_place(const vs_builder *b, const vs_emit_desc *desc)
{
    return desc->stored_as == NULL && strcmp(b->module.text, b->stored.text) == 0;
}

static bool fill(vs_builder *b, const vs_emit_desc *desc, bool is_stored, uint32_t tensor)
{
    const char *const stored = is_stored ? b->groups[b->group_count - 1].name : NULL;
    if (is_stored &&
        !vs_builder_tensor(b, tensor, stored, &desc->shape,
                           desc->has_stored_dtype ? desc->stored_dtype : b->dtype)) {
        return false;
    }
    if (b->is_unloaded) {
        return true;
    }
    const char *const name = is_stored && is_same_place(b, desc)
                                 ? stored
                                 : vs_builder_name(b, &b->module, desc->name);
    const uint32_t *const source = is_stored ? &tensor : NULL;
    return name != NULL && add_simple(b, &b->native, desc, name, source) &&
           (!b->has_plain || add_simple(b, &b->plain, desc, name, source));
}

void vs_builder_count_target(vs_builder *b, uint64_t native, uint64_t plain, uint64_t sources)
{
    if (b->is_unloaded || b->pass != VS_PASS_COUNT) {
        return;
    }
    b->native.count += (uint32_t)native;
    b->native.source_count += (uint32_t)sources;
    if (b->has_plain) {
        b->plain.count += (uint32_t)plain;
        b->plain.source_count += (uint32_t)sources;
    }
}

bool vs_emit(vs_builder *b, const vs_emit_desc *desc)
{
    const bool is_tied = (desc->flags & VS_TF_TIED) != 0;
    const bool is_stored =
        (desc->flags & VS_TF_NON_PERSISTENT) == 0 && (!is_tied || b->hints->is_head_stored);
    uint32_t tensor = 0;
    if (is_stored &&
        !vs_builder_group(b, desc->stored_as == NULL ? desc->name : desc->stored_as, 1,
                          &tensor)) {
        return false;
    }
    vs_builder_count_target(b, 1, 1, is_stored);
    return b->pass != VS_PASS_FILL || fill(b, desc, is_stored, tensor);
}

/* ---- what is stored and not loaded ---------------------------------------------------------------- */

bool vs_emit_unloaded(vs_builder *b, const char *prefix, const char *what)
{
    b->is_unloaded = true;
    if (b->pass != VS_PASS_FILL) {
        return true;
    }
    for (uint32_t i = 0; i < b->model->unloaded_count; i++) {
        if (strcmp(b->unloaded[i].prefix, prefix) == 0) {
            return true;
        }
    }
    if (b->model->unloaded_count == VS_UNLOADED_MAX) {
        return true; /* notes.c then groups the rest by pattern */
    }
    vs_unloaded *const u = &b->unloaded[b->model->unloaded_count];
    u->prefix = vs_str_copy(b->arena, vs_str_of(prefix));
    u->what = vs_str_copy(b->arena, vs_str_of(what));
    if (u->prefix == NULL || u->what == NULL) {
        return vs_fail_memory(b->err, b->arena, "the names of a model");
    }
    b->model->unloaded_count++;
    return true;
}

void vs_emit_loaded(vs_builder *b)
{
    b->is_unloaded = false;
}

#define LAYER_PLACE "{layer}."

/* "model.layers.{layer}.self_attn.rotary_emb.inv_freq" */
static bool emit_extra(vs_builder *b, const vs_extra *extra, uint64_t layer)
{
    const char *const place = strstr(extra->name, LAYER_PLACE);
    char stem[sizeof b->stored.text];
    const size_t len = place == NULL ? 0 : (size_t)(place - extra->name);
    if (len + 32 > sizeof stem) {
        return vs_fail(b->err, VS_ERR_LIMIT, "the name %.40s... is too long", extra->name);
    }
    memcpy(stem, extra->name, len);
    stem[len] = '\0';
    if (place == NULL) {
        vs_emit_root(b, "", "");
    } else {
        vs_emit_layer(b, stem, stem, layer);
    }
    const char *const name = place == NULL ? extra->name : place + strlen(LAYER_PLACE);
    uint32_t tensor = 0;
    return vs_builder_group(b, name, 1, &tensor) &&
           (b->pass != VS_PASS_FILL ||
            vs_builder_tensor(b, tensor, b->groups[b->group_count - 1].name, &extra->shape,
                              extra->dtype));
}

static bool emit_extras(vs_builder *b)
{
    for (uint32_t i = 0; i < b->hints->extra_count; i++) {
        const vs_extra *const extra = &b->hints->extras[i];
        const bool is_per_layer = strstr(extra->name, LAYER_PLACE) != NULL;
        const uint64_t count = is_per_layer ? b->config->dims.layers : 1;
        for (uint64_t layer = 0; layer < count; layer++) {
            if (!emit_extra(b, extra, layer)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- the three runs ------------------------------------------------------------------------------------ */

static bool run_pass(vs_builder *b, vs_pass pass)
{
    b->pass = pass;
    b->group_count = 0;
    b->native.count = 0;
    b->native.source_count = 0;
    b->plain.count = 0;
    b->plain.source_count = 0;
    b->is_unloaded = false;
    b->rule_work = 0;
    if (!b->config->family->emit(b) || !emit_extras(b)) {
        return false;
    }
    const vs_jnode node = vs_json_member(&b->config->top, "quantization_config");
    return b->rule_work <= VS_RULE_WORK_MAX ||
           vs_json_fail(&node, b->err,
                        "%" PRIu32
                        " names and patterns for this many modules; more than %" PRIu64
                        " comparisons are not supported",
                        b->config->layout.rule_count, VS_RULE_WORK_MAX);
}

/* Groups in key order; each learns where its first tensor goes. */
static bool place_groups(vs_builder *b, uint32_t group_count)
{
    const size_t mark = b->arena->used_bytes;
    const char **const names = VS_RAW_ARRAY(b->arena, const char *, group_count);
    uint32_t *const order = VS_RAW_ARRAY(b->arena, uint32_t, group_count);
    if (names == NULL || order == NULL) {
        return vs_fail_memory(b->err, b->arena, "the order of a model");
    }
    for (uint32_t i = 0; i < group_count; i++) {
        names[i] = b->groups[i].name;
    }
    if (!vs_key_order(names, group_count, order, b->arena)) {
        return vs_fail_memory(b->err, b->arena, "the order of a model");
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < group_count; i++) {
        b->groups[order[i]].first = first;
        first += b->groups[order[i]].count;
    }
    vs_arena_rewind(b->arena, mark);
    return true;
}

static bool carve_list(vs_builder *b, vs_target_list *list)
{
    list->items = VS_ARRAY(b->arena, vs_target, list->count);
    list->sources = VS_ARRAY(b->arena, uint32_t, list->source_count);
    return (list->items != NULL && list->sources != NULL) ||
           vs_fail_memory(b->err, b->arena, "the targets of a model");
}

static bool carve(vs_builder *b)
{
    b->model->tensor_count = (uint32_t)b->tensor_count;
    b->model->tensors = VS_ARRAY(b->arena, vs_tensor, b->tensor_count);
    b->unloaded = VS_ARRAY(b->arena, vs_unloaded, VS_UNLOADED_MAX);
    b->groups = VS_ARRAY(b->arena, vs_group, b->group_count);
    if (b->model->tensors == NULL || b->groups == NULL || b->unloaded == NULL) {
        return vs_fail_memory(b->err, b->arena, "the tensors of a model");
    }
    b->model->unloaded = b->unloaded;
    b->model->unloaded_count = 0;
    return carve_list(b, &b->native) && (!b->has_plain || carve_list(b, &b->plain));
}

static bool make_shards(vs_builder *b)
{
    vs_model *const m = b->model;
    m->shard_count = b->shard_count;
    m->shards = VS_ARRAY(b->arena, vs_shard, b->shard_count);
    if (m->shards == NULL) {
        return vs_fail_memory(b->err, b->arena, "the shards of a model");
    }
    for (uint32_t i = 0; i < m->shard_count; i++) {
        m->shards[i].file = "";
    }
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        m->shards[m->tensors[i].shard].size_bytes += m->tensors[i].size_bytes;
    }
    return true;
}

static void hand_over(vs_builder *b)
{
    vs_model *const m = b->model;
    m->targets = b->native.items;
    m->target_count = b->native.count;
    m->sources = b->native.sources;
    m->source_count = b->native.source_count;
    if (b->has_plain) {
        m->modules = b->plain.items;
        m->module_count = b->plain.count;
        m->module_sources = b->plain.sources;
        m->module_source_count = b->plain.source_count;
    }
}

bool vs_builder_run(vs_model *model, vs_arena *arena, const vs_config *config,
                    const vs_builder_hints *hints, vs_err *err)
{
    vs_err local = {0};
    vs_builder b = {
        .config = config,
        .hints = hints,
        .model = model,
        .arena = arena,
        .err = err != NULL ? err : &local,
        .has_plain = config->layout.quant.format != VS_QF_NONE,
        .native = {.embedding = VS_NO_TARGET},
        .plain = {.embedding = VS_NO_TARGET},
        .dtype = config->stored_dtype,
    };
    if (!run_pass(&b, VS_PASS_COUNT)) {
        return false;
    }
    const uint32_t group_count = (uint32_t)b.group_count;
    const uint32_t native_count = b.native.count;
    const uint32_t source_count = b.native.source_count;
    if (!carve(&b) || !run_pass(&b, VS_PASS_NAME) || !place_groups(&b, group_count) ||
        !run_pass(&b, VS_PASS_FILL)) {
        return false;
    }
    vs_assert(b.group_count == group_count && b.native.count == native_count &&
              b.native.source_count == source_count);
    hand_over(&b);
    return make_shards(&b);
}
