/* falcon.c - Falcon 7B, 40B, 180B (Transformers 5.12.1 models/falcon/modeling_falcon.py).
 *
 * One matrix for q, k and v, whose rows depend on the switches; one or two LayerNorms a layer. The published checkpoints
 * store lm_head although it is tied. With alibi there is no rotary embedding. */
#include "sim/model/family/family.h"

enum { NEW_DECODER, MULTI_QUERY, PARALLEL, BIAS, ALIBI };

enum { NORM_COUNT };

/* Query heads share one key and value head unless num_kv_heads counts (new_decoder_architecture, or no multi_query). */
static bool read(vs_config *c, vs_err *err)
{
    const vs_jnode *const root = &c->root;
    vs_model_dims *const d = &c->dims;
    uint64_t kv_heads = d->heads;
    if (!vs_read_switch(root, "new_decoder_architecture", false, &c->switches[NEW_DECODER],
                        err) ||
        !vs_read_switch(root, "multi_query", true, &c->switches[MULTI_QUERY], err) ||
        !vs_read_switch(root, "parallel_attn", true, &c->switches[PARALLEL], err) ||
        !vs_read_switch(root, "bias", false, &c->switches[BIAS], err) ||
        !vs_read_switch(root, "alibi", false, &c->switches[ALIBI], err) ||
        !vs_read_count(root, "num_ln_in_parallel_attn", c->switches[NEW_DECODER] ? 2 : 1,
                       &c->own[NORM_COUNT], err) ||
        !vs_read_default(root, "num_kv_heads", d->heads, &kv_heads, err) ||
        !vs_read_default(root, "ffn_hidden_size", 4 * d->hidden, &d->intermediate, err)) {
        return false;
    }
    const bool counts = c->switches[NEW_DECODER] || !c->switches[MULTI_QUERY];
    d->kv_heads = counts ? kv_heads : 1;
    const vs_jnode node = vs_json_member(root, "num_kv_heads");
    return d->heads % d->kv_heads == 0 ||
           vs_json_fail(&node, err,
                        "num_attention_heads %" PRIu64
                        " is not a multiple of num_kv_heads %" PRIu64,
                        d->heads, d->kv_heads);
}

static uint64_t qkv_rows(const vs_config *c)
{
    const vs_model_dims *const d = &c->dims;
    if (c->switches[NEW_DECODER]) {
        return (d->heads + 2 * d->kv_heads) * d->head_dim;
    }
    return c->switches[MULTI_QUERY] ? d->hidden + 2 * d->head_dim : 3 * d->hidden;
}

static bool emit_norms(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const uint64_t hidden = c->dims.hidden;
    if (!c->switches[PARALLEL]) {
        return vs_emit_layer_norm(b, "post_attention_layernorm", hidden) &&
               vs_emit_layer_norm(b, "input_layernorm", hidden);
    }
    if (c->own[NORM_COUNT] == 2) {
        return vs_emit_layer_norm(b, "ln_attn", hidden) &&
               vs_emit_layer_norm(b, "ln_mlp", hidden);
    }
    return vs_emit_layer_norm(b, "input_layernorm", hidden);
}

static bool emit_layer(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->switches[BIAS];
    return vs_emit_linear(b, "self_attention.query_key_value", qkv_rows(c), d->hidden,
                          has_bias) &&
           vs_emit_linear(b, "self_attention.dense", d->hidden, d->hidden, has_bias) &&
           vs_emit_linear(b, "mlp.dense_h_to_4h", d->intermediate, d->hidden, has_bias) &&
           vs_emit_linear(b, "mlp.dense_4h_to_h", d->hidden, d->intermediate, has_bias) &&
           emit_norms(b);
}

static bool emit(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    vs_emit_root(b, "", "");
    if (!vs_emit_embedding(b, "transformer.word_embeddings.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        vs_emit_layer(b, "transformer.h.", "transformer.h.", i);
        if (!emit_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "", "");
    return vs_emit_layer_norm(b, "transformer.ln_f", c->dims.hidden) &&
           vs_emit_rotary(b, "transformer.rotary_emb") &&
           vs_emit_head(b, "lm_head", NULL, false);
}

const vs_family vs_family_falcon = {
    .model_type = "falcon",
    .architecture = "FalconForCausalLM",
    .no_split_class = "FalconDecoderLayer",
    .is_tied_default = true,
    .stores_tied_head = true,
    .has_no_intermediate = true,
    .read = read,
    .emit = emit,
};
