/* emit.c - blocks that most families share, in the order of their modules. */
#include <string.h>

#include "sim/model/family/family.h"

bool vs_emit_norm(vs_builder *b, const char *name, uint64_t width)
{
    const vs_emit_desc desc = {.name = name, .shape = {{width}, 1}, .flags = VS_TF_NORM};
    return vs_emit(b, &desc);
}

bool vs_emit_layer_norm(vs_builder *b, const char *name, uint64_t width)
{
    char full[96];
    const size_t len = strlen(name);
    vs_assert(len + sizeof ".weight" <= sizeof full);
    memcpy(full, name, len + 1);
    memcpy(full + len, ".weight", sizeof ".weight");
    if (!vs_emit_norm(b, full, width)) {
        return false;
    }
    memcpy(full + len, ".bias", sizeof ".bias");
    const vs_emit_desc bias = {
        .name = full, .shape = {{width}, 1}, .flags = VS_TF_NORM | VS_TF_BIAS};
    return vs_emit(b, &bias);
}

bool vs_emit_embedding(vs_builder *b, const char *name)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_desc desc = {.name = name,
                               .shape = {{d->vocab, d->hidden}, 2},
                               .flags = VS_TF_EMBEDDING,
                               .is_input_embedding = true};
    return vs_emit(b, &desc);
}

bool vs_emit_attention(vs_builder *b, bool has_qkv_bias, bool has_o_bias, bool has_qk_norm)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
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

/* Queries through a low rank, or directly when q_lora is 0. */
static bool emit_mla_queries(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const uint64_t wide = d->heads * (c->mla.nope + c->mla.rope);
    if (c->mla.q_lora == 0) {
        return vs_emit_linear(b, "self_attn.q_proj", wide, d->hidden, false);
    }
    return vs_emit_linear(b, "self_attn.q_a_proj", c->mla.q_lora, d->hidden,
                          c->has_attention_bias) &&
           vs_emit_norm(b, "self_attn.q_a_layernorm.weight", c->mla.q_lora) &&
           vs_emit_linear(b, "self_attn.q_b_proj", wide, c->mla.q_lora, false);
}

bool vs_emit_mla(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const vs_mla_dims *const m = &c->mla;
    return emit_mla_queries(b) &&
           vs_emit_linear(b, "self_attn.kv_a_proj_with_mqa", m->kv_lora + m->rope, d->hidden,
                          c->has_attention_bias) &&
           vs_emit_norm(b, "self_attn.kv_a_layernorm.weight", m->kv_lora) &&
           vs_emit_linear(b, "self_attn.kv_b_proj", d->heads * (m->nope + m->value), m->kv_lora,
                          false) &&
           vs_emit_linear(b, "self_attn.o_proj", d->hidden, d->heads * m->value,
                          c->has_attention_bias);
}

bool vs_emit_gated(vs_builder *b, const char *module, uint64_t rows, bool has_bias)
{
    static const char *const names[3] = {".gate_proj", ".up_proj", ".down_proj"};
    const uint64_t hidden = vs_builder_config(b)->dims.hidden;
    char full[96];
    const size_t len = strlen(module);
    vs_assert(len + sizeof ".gate_proj" <= sizeof full);
    memcpy(full, module, len + 1);
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(full + len, names[i], strlen(names[i]) + 1);
        if (!vs_emit_linear(b, full, i == 2 ? hidden : rows, i == 2 ? rows : hidden,
                            has_bias)) {
            return false;
        }
    }
    return true;
}

bool vs_emit_gated_mlp(vs_builder *b, uint64_t rows, bool has_bias)
{
    return vs_emit_gated(b, "mlp", rows, has_bias);
}

bool vs_emit_two_norms(vs_builder *b)
{
    const uint64_t hidden = vs_builder_config(b)->dims.hidden;
    return vs_emit_norm(b, "input_layernorm.weight", hidden) &&
           vs_emit_norm(b, "post_attention_layernorm.weight", hidden);
}

bool vs_emit_usual_experts(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_experts_desc experts = {
        .target = "mlp.experts",
        .stored = "mlp.experts.",
        .names = {"gate_proj", "up_proj", "down_proj"},
        .gate = 0,
        .up = 1,
        .down = 2,
        .experts = d->experts,
        .rows = d->moe_intermediate,
        .hidden = d->hidden,
    };
    return vs_emit_experts(b, &experts);
}

bool vs_emit_router(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_desc router = {.name = "mlp.gate.weight",
                                 .shape = {{d->experts, d->hidden}, 2},
                                 .flags = VS_TF_ROUTER};
    return vs_emit(b, &router);
}

/* Two F32 buffers of half the rotated part of a head, in no checkpoint (facts/models.md). */
bool vs_emit_rotary(vs_builder *b, const char *module)
{
    static const char *const names[2] = {".inv_freq", ".original_inv_freq"};
    char full[96];
    const size_t len = strlen(module);
    vs_assert(len + sizeof ".original_inv_freq" <= sizeof full);
    memcpy(full, module, len + 1);
    for (uint32_t i = 0; i < 2; i++) {
        memcpy(full + len, names[i], strlen(names[i]) + 1);
        const vs_emit_desc desc = {.name = full,
                                   .shape = {{vs_builder_config(b)->rotary}, 1},
                                   .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT,
                                   .dtype = VS_DT_F32};
        if (!vs_emit(b, &desc)) {
            return false;
        }
    }
    return true;
}

bool vs_emit_head(vs_builder *b, const char *name, const char *stored_as, bool has_bias)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_emit_linear_desc head = {
        .name = name,
        .stored_as = stored_as,
        .out = c->dims.vocab,
        .in = c->dims.hidden,
        .has_bias = has_bias,
        .flags = VS_TF_OUTPUT_HEAD | (c->is_tied ? VS_TF_TIED : 0u),
    };
    return vs_emit_linear_as(b, &head);
}

bool vs_emit_tail(vs_builder *b)
{
    vs_emit_root(b, "", "");
    return vs_emit_norm(b, "model.norm.weight", vs_builder_config(b)->dims.hidden) &&
           vs_emit_rotary(b, "model.rotary_emb") && vs_emit_head(b, "lm_head", NULL, false);
}

bool vs_emit_layers(vs_builder *b, vs_layer_emitter emit_layer)
{
    vs_emit_root(b, "", "");
    if (!vs_emit_embedding(b, "model.embed_tokens.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < vs_builder_config(b)->dims.layers; i++) {
        vs_emit_layer(b, "model.layers.", "model.layers.", i);
        if (!emit_layer(b, i)) {
            return false;
        }
    }
    return true;
}

bool vs_emit_dense_decoder(vs_builder *b, bool has_qkv_bias, bool has_o_bias, bool has_qk_norm)
{
    const vs_config *const c = vs_builder_config(b);
    vs_emit_root(b, "", "");
    if (!vs_emit_embedding(b, "model.embed_tokens.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        vs_emit_layer(b, "model.layers.", "model.layers.", i);
        if (!vs_emit_attention(b, has_qkv_bias, has_o_bias, has_qk_norm) ||
            !vs_emit_gated_mlp(b, c->dims.intermediate, c->has_mlp_bias) ||
            !vs_emit_two_norms(b)) {
            return false;
        }
    }
    return vs_emit_tail(b);
}

bool vs_is_sparse_layer(const vs_config *c, uint64_t layer)
{
    /* prediction layers come behind the others and may be past the set */
    const bool is_listed =
        layer < VS_LAYERS_MAX && (c->dense_set[layer / 64] >> (layer % 64) & 1) != 0;
    return layer >= c->moe.first_dense && !is_listed && (layer + 1) % c->moe.sparse_step == 0;
}
