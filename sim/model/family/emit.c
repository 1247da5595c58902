/* emit.c - the builder behind family.h: turns the calls of a family into tensors and targets.
 *
 * The family is run twice. The first run only counts, so that the arrays can be carved in one piece; the
 * second fills them. Names are written once and shared: a target that is a plain rename of an equally named tensor
 * points to the same string.
 *
 * Tensors come out in the order of the state dict, targets in module order, the sources of a target part by
 * part with the experts in order: what the loader stacks and concatenates [2.6]. */
#include <stdio.h>
#include <string.h>

#include "sim/model/family/family.h"
#include "sim/model/internal.h"

#define PREFIX_BYTES 96

struct vs_builder {
    const vs_config *config;
    vs_model *model;
    vs_arena *arena;
    vs_err *err;
    bool is_counting;
    bool is_head_stored;
    uint64_t tensor_count; /* while counting may go beyond the limit by one call */
    uint64_t target_count;
    uint64_t source_count;
    char prefix[PREFIX_BYTES];
    size_t prefix_bytes;
    int32_t layer;
    uint32_t embedding; /* target of the input embedding */
    vs_dtype dtype;     /* of stored tensors */
};

const vs_config *vs_builder_config(const vs_builder *b)
{
    return b->config;
}

vs_err *vs_builder_err(vs_builder *b)
{
    return b->err;
}

void vs_emit_root(vs_builder *b)
{
    b->prefix_bytes = 0;
    b->prefix[0] = '\0';
    b->layer = -1;
}

/* Appends digits and a dot: snprintf would cost a third of the build of a small model. */
static size_t put_number(char *out, uint64_t value)
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

void vs_emit_layer(vs_builder *b, const char *stem, uint64_t layer)
{
    const size_t stem_bytes = strlen(stem);
    vs_assert(stem_bytes + 24 <= sizeof b->prefix);
    memcpy(b->prefix, stem, stem_bytes + 1);
    b->prefix_bytes = stem_bytes + put_number(b->prefix + stem_bytes, layer);
    b->layer = (int32_t)layer;
}

/* prefix + name in the arena. */
static const char *make_name(vs_builder *b, const char *name)
{
    const size_t name_bytes = strlen(name) + 1;
    char *const out = vs_arena_alloc(b->arena, b->prefix_bytes + name_bytes, 1);
    if (out == NULL) {
        (void)vs_fail_memory(b->err, b->arena, "the names of a model");
        return NULL;
    }
    memcpy(out, b->prefix, b->prefix_bytes);
    memcpy(out + b->prefix_bytes, name, name_bytes);
    return out;
}

static bool multiply_shape(vs_builder *b, const char *name, const uint64_t *shape,
                           uint32_t dim_count, uint64_t *elements)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < dim_count; i++) {
        if (!vs_mul_u64(product, shape[i], &product)) {
            return vs_fail(b->err, VS_ERR_VALUE,
                           "%s would have more than 2^64 elements; the sizes in the config "
                           "cannot be right",
                           name);
        }
    }
    *elements = product;
    return true;
}

/* Appends a stored tensor for the target that is being made. */
static bool add_tensor(vs_builder *b, const char *name, const vs_emit_desc *desc)
{
    const uint32_t index = (uint32_t)b->tensor_count++;
    vs_tensor *const t = &b->model->tensors[index];
    t->name = name;
    memcpy(t->shape, desc->shape, sizeof desc->shape);
    t->dim_count = desc->dim_count;
    t->dtype = b->dtype;
    t->target = (uint32_t)b->target_count;
    if (!multiply_shape(b, name, t->shape, t->dim_count, &t->elements)) {
        return false;
    }
    return vs_dtype_bytes(t->dtype, t->elements, &t->size_bytes) ||
           vs_fail(b->err, VS_ERR_VALUE, "%s would have more than 2^64 bytes", name);
}

static vs_target *add_target(vs_builder *b, const char *name, const vs_emit_desc *desc)
{
    vs_target *const t = &b->model->targets[b->target_count];
    t->name = name;
    memcpy(t->shape, desc->shape, sizeof desc->shape);
    t->dim_count = desc->dim_count;
    t->flags = desc->flags;
    t->layer = b->layer;
    t->tied_to = VS_NO_TARGET;
    t->part_count = 1;
    t->first_source = (uint32_t)b->source_count;
    t->fixed_dtype = (desc->flags & VS_TF_BUFFER) != 0 ? desc->fixed_dtype : VS_DT_COUNT;
    return multiply_shape(b, name, t->shape, t->dim_count, &t->elements) ? t : NULL;
}

static bool count(vs_builder *b, uint64_t targets, uint64_t tensors)
{
    b->target_count += targets;
    b->source_count += tensors;
    b->tensor_count += tensors;
    return b->tensor_count <= VS_TENSORS_MAX ||
           vs_fail(b->err, VS_ERR_LIMIT, "the config describes more than %" PRIu32 " tensors",
                   VS_TENSORS_MAX);
}

bool vs_emit(vs_builder *b, const vs_emit_desc *desc)
{
    const bool is_tied = (desc->flags & VS_TF_TIED) != 0;
    const bool is_stored =
        (desc->flags & VS_TF_NON_PERSISTENT) == 0 && (!is_tied || b->is_head_stored);
    if (b->is_counting) {
        return count(b, 1, is_stored);
    }
    const char *const name = make_name(b, desc->name);
    vs_target *const target = name == NULL ? NULL : add_target(b, name, desc);
    if (target == NULL) {
        return false;
    }
    if ((desc->flags & VS_TF_EMBEDDING) != 0) {
        b->embedding = (uint32_t)b->target_count;
    }
    if (is_tied) {
        target->tied_to = b->embedding;
    }
    if (is_stored) {
        const char *const stored =
            desc->stored_as == NULL ? name : make_name(b, desc->stored_as);
        b->model->sources[b->source_count++] = (uint32_t)b->tensor_count;
        target->source_count = 1;
        if (stored == NULL || !add_tensor(b, stored, desc)) {
            return false;
        }
    }
    b->target_count++;
    return true;
}

bool vs_emit_linear(vs_builder *b, const char *name, uint64_t out, uint64_t in, bool has_bias)
{
    char full[PREFIX_BYTES];
    const size_t len = strlen(name);
    vs_assert(len + sizeof ".weight" <= sizeof full);
    memcpy(full, name, len + 1);
    memcpy(full + len, ".weight", sizeof ".weight");
    const vs_emit_desc weight = {
        .name = full, .shape = {out, in}, .dim_count = 2, .flags = VS_TF_LINEAR};
    if (!vs_emit(b, &weight)) {
        return false;
    }
    if (!has_bias) {
        return true;
    }
    memcpy(full + len, ".bias", sizeof ".bias");
    const vs_emit_desc bias = {
        .name = full, .shape = {out}, .dim_count = 1, .flags = VS_TF_BIAS};
    return vs_emit(b, &bias);
}

bool vs_emit_norm(vs_builder *b, const char *name, uint64_t width)
{
    const vs_emit_desc desc = {
        .name = name, .shape = {width}, .dim_count = 1, .flags = VS_TF_NORM};
    return vs_emit(b, &desc);
}

/* ---- experts -------------------------------------------------------------------------------------- */

/* Tensor number of expert e's matrix `which`, counted from the first tensor of the layer's experts. */
static uint32_t expert_tensor(uint32_t first, uint64_t e, uint32_t which)
{
    return first + (uint32_t)(3 * e) + which;
}

static bool add_expert_tensors(vs_builder *b, const vs_emit_experts_desc *x)
{
    const size_t names_bytes[3] = {strlen(x->names[0]), strlen(x->names[1]),
                                   strlen(x->names[2])};
    const uint32_t up_target = (uint32_t)b->target_count;
    const vs_emit_desc wide = {.shape = {x->rows, x->hidden}, .dim_count = 2};
    const vs_emit_desc tall = {.shape = {x->hidden, x->rows}, .dim_count = 2};
    const size_t stored_bytes = strlen(x->stored);
    char stem[2 * PREFIX_BYTES];
    vs_assert(b->prefix_bytes + stored_bytes + 24 <= sizeof stem);
    memcpy(stem, b->prefix, b->prefix_bytes);
    memcpy(stem + b->prefix_bytes, x->stored, stored_bytes + 1);
    for (uint64_t e = 0; e < x->experts; e++) {
        const size_t number_at = b->prefix_bytes + stored_bytes;
        const size_t stem_bytes = number_at + put_number(stem + number_at, e);
        for (uint32_t k = 0; k < 3; k++) {
            char *const name = vs_arena_alloc(b->arena, stem_bytes + names_bytes[k] + 1, 1);
            if (name == NULL) {
                return vs_fail_memory(b->err, b->arena, "the names of a model");
            }
            memcpy(name, stem, stem_bytes);
            memcpy(name + stem_bytes, x->names[k], names_bytes[k] + 1);
            if (!add_tensor(b, name, k == x->down ? &tall : &wide)) {
                return false;
            }
            b->model->tensors[b->tensor_count - 1].target = up_target + (k == x->down);
        }
    }
    return true;
}

static void add_sources(vs_builder *b, const vs_emit_experts_desc *x, uint32_t first,
                        uint32_t which)
{
    for (uint64_t e = 0; e < x->experts; e++) {
        b->model->sources[b->source_count++] = expert_tensor(first, e, which);
    }
}

static vs_target *add_expert_target(vs_builder *b, const vs_emit_experts_desc *x,
                                    const char *name, const uint64_t shape[2])
{
    char full[PREFIX_BYTES];
    const int n = snprintf(full, sizeof full, "%s.%s", x->target, name);
    vs_assert(n > 0 && (size_t)n < sizeof full);
    const vs_emit_desc desc = {.name = full,
                               .shape = {x->experts, shape[0], shape[1]},
                               .dim_count = 3,
                               .flags = VS_TF_EXPERTS};
    const char *const copy = make_name(b, full);
    return copy == NULL ? NULL : add_target(b, copy, &desc);
}

bool vs_emit_experts(vs_builder *b, const vs_emit_experts_desc *x)
{
    if (b->is_counting) {
        return count(b, 2, 3 * x->experts);
    }
    const uint32_t first = (uint32_t)b->tensor_count;
    if (!add_expert_tensors(b, x)) {
        return false;
    }
    vs_target *const up =
        add_expert_target(b, x, "gate_up_proj", (uint64_t[]){2 * x->rows, x->hidden});
    if (up == NULL) {
        return false;
    }
    up->merge = VS_MERGE_STACK_CAT;
    up->part_count = 2;
    up->source_count = (uint32_t)(2 * x->experts);
    add_sources(b, x, first, x->gate);
    add_sources(b, x, first, x->up);
    b->target_count++;
    vs_target *const down =
        add_expert_target(b, x, "down_proj", (uint64_t[]){x->hidden, x->rows});
    if (down == NULL) {
        return false;
    }
    down->merge = VS_MERGE_STACK;
    down->source_count = (uint32_t)x->experts;
    add_sources(b, x, first, x->down);
    b->target_count++;
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

bool vs_emit_embedding(vs_builder *b, const char *name)
{
    const vs_model_dims *const d = &b->config->dims;
    const vs_emit_desc desc = {
        .name = name, .shape = {d->vocab, d->hidden}, .dim_count = 2, .flags = VS_TF_EMBEDDING};
    vs_emit_root(b);
    return vs_emit(b, &desc);
}

bool vs_emit_attention(vs_builder *b, bool has_qkv_bias, bool has_o_bias, bool has_qk_norm)
{
    const vs_model_dims *const d = &b->config->dims;
    const uint64_t q = d->heads * d->head_dim; /* both below 2^31 */
    const uint64_t kv = d->kv_heads * d->head_dim;
    if (!vs_emit_linear(b, "self_attn.q_proj", q, d->hidden, has_qkv_bias) ||
        !vs_emit_linear(b, "self_attn.k_proj", kv, d->hidden, has_qkv_bias) ||
        !vs_emit_linear(b, "self_attn.v_proj", kv, d->hidden, has_qkv_bias) ||
        !vs_emit_linear(b, "self_attn.o_proj", d->hidden, q, has_o_bias)) {
        return false;
    }
    return !has_qk_norm || (vs_emit_norm(b, "self_attn.q_norm.weight", d->head_dim) &&
                            vs_emit_norm(b, "self_attn.k_norm.weight", d->head_dim));
}

bool vs_emit_gated_mlp(vs_builder *b, uint64_t rows, bool has_bias)
{
    const uint64_t hidden = b->config->dims.hidden;
    return vs_emit_linear(b, "mlp.gate_proj", rows, hidden, has_bias) &&
           vs_emit_linear(b, "mlp.up_proj", rows, hidden, has_bias) &&
           vs_emit_linear(b, "mlp.down_proj", hidden, rows, has_bias);
}

bool vs_emit_two_norms(vs_builder *b)
{
    const uint64_t hidden = b->config->dims.hidden;
    return vs_emit_norm(b, "input_layernorm.weight", hidden) &&
           vs_emit_norm(b, "post_attention_layernorm.weight", hidden);
}

/* model.rotary_emb: two F32 buffers of head_dim / 2, in no checkpoint (facts/real-modules.json.gz). */
static bool emit_rotary(vs_builder *b)
{
    vs_emit_desc desc = {.name = "model.rotary_emb.inv_freq",
                         .shape = {b->config->dims.head_dim / 2},
                         .dim_count = 1,
                         .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT,
                         .fixed_dtype = VS_DT_F32};
    if (!vs_emit(b, &desc)) {
        return false;
    }
    desc.name = "model.rotary_emb.original_inv_freq";
    return vs_emit(b, &desc);
}

bool vs_emit_tail(vs_builder *b)
{
    const vs_model_dims *const d = &b->config->dims;
    const vs_emit_desc head = {
        .name = "lm_head.weight",
        .shape = {d->vocab, d->hidden},
        .dim_count = 2,
        .flags = VS_TF_LINEAR | VS_TF_OUTPUT_HEAD | (b->config->is_tied ? VS_TF_TIED : 0u),
    };
    vs_emit_root(b);
    return vs_emit_norm(b, "model.norm.weight", d->hidden) && emit_rotary(b) &&
           vs_emit(b, &head);
}

bool vs_emit_dense_decoder(vs_builder *b, bool has_qkv_bias, bool has_o_bias, bool has_qk_norm)
{
    const vs_config *const c = b->config;
    if (!vs_emit_embedding(b, "model.embed_tokens.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        vs_emit_layer(b, "model.layers.", i);
        if (!vs_emit_attention(b, has_qkv_bias, has_o_bias, has_qk_norm) ||
            !vs_emit_gated_mlp(b, c->dims.intermediate, c->has_mlp_bias) ||
            !vs_emit_two_norms(b)) {
            return false;
        }
    }
    return vs_emit_tail(b);
}

/* ---- running a family ----------------------------------------------------------------------------------- */

bool vs_builder_run(vs_model *model, vs_arena *arena, const vs_config *config,
                    const vs_builder_hints *hints, vs_err *err)
{
    vs_err local = {0};
    vs_builder b = {
        .config = config,
        .model = model,
        .arena = arena,
        .err = err != NULL ? err : &local,
        .is_counting = true,
        .is_head_stored = hints->is_head_stored,
        .embedding = VS_NO_TARGET,
        .dtype = model->config_dtype != VS_DT_COUNT ? model->config_dtype : VS_DT_F32,
    };
    if (!config->family->emit(&b)) {
        return false;
    }
    model->tensors = VS_ARRAY(arena, vs_tensor, b.tensor_count + hints->extra_tensors);
    model->targets = VS_ARRAY(arena, vs_target, b.target_count);
    model->sources = VS_ARRAY(arena, uint32_t, b.source_count);
    if (model->tensors == NULL || model->targets == NULL || model->sources == NULL) {
        return vs_fail_memory(err, arena, "the tensors of a model");
    }
    model->tensor_count = (uint32_t)b.tensor_count;
    model->target_count = (uint32_t)b.target_count;
    model->source_count = (uint32_t)b.source_count;
    b.tensor_count = 0;
    b.target_count = 0;
    b.source_count = 0;
    b.is_counting = false;
    if (!config->family->emit(&b)) {
        return false;
    }
    vs_assert(b.tensor_count == model->tensor_count && b.target_count == model->target_count &&
              b.source_count == model->source_count);
    return true;
}
