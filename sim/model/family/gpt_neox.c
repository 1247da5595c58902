/* gpt_neox.c - GPT-NeoX, Pythia (Transformers 5.12.1 models/gpt_neox/modeling_gpt_neox.py).
 * The head is called embed_out, in 5.12.1 as in the checkpoint (facts/models.md has it renamed). A quarter of a head is rotated unless rotary_pct says
 * otherwise. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    double share = -1;
    if (!vs_json_get_double(&c->root, "rotary_pct", false, &share, err)) {
        return false;
    }
    const vs_jnode node = vs_json_member(&c->root, "rotary_pct");
    if (node.node != NULL && share >= 0) {
        if (!(share > 0 && share <= 1)) {
            return vs_json_fail(&node, err, "expected a share of the head above 0 and up to 1");
        }
        const uint64_t rotated = (uint64_t)((double)c->dims.head_dim * share);
        c->rotary = rotated / 2 + rotated % 2;
    }
    c->dims.kv_heads = c->dims.heads;
    return true;
}

static bool emit_layer(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->has_attention_bias;
    return vs_emit_layer_norm(b, "input_layernorm", d->hidden) &&
           vs_emit_layer_norm(b, "post_attention_layernorm", d->hidden) &&
           vs_emit_linear(b, "attention.query_key_value", 3 * d->hidden, d->hidden, has_bias) &&
           vs_emit_linear(b, "attention.dense", d->hidden, d->hidden, has_bias) &&
           vs_emit_linear(b, "mlp.dense_h_to_4h", d->intermediate, d->hidden, true) &&
           vs_emit_linear(b, "mlp.dense_4h_to_h", d->hidden, d->intermediate, true);
}

static bool emit(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    vs_emit_root(b, "", "");
    if (!vs_emit_embedding(b, "gpt_neox.embed_in.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < d->layers; i++) {
        vs_emit_layer(b, "gpt_neox.layers.", "gpt_neox.layers.", i);
        if (!emit_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "", "");
    return vs_emit_layer_norm(b, "gpt_neox.final_layer_norm", d->hidden) &&
           vs_emit_rotary(b, "gpt_neox.rotary_emb") &&
           vs_emit_head(b, "embed_out", NULL, false);
}

const vs_family vs_family_gpt_neox = {
    .model_type = "gpt_neox",
    .architecture = "GPTNeoXForCausalLM",
    .no_split_class = "GPTNeoXLayer",
    .is_attention_bias_default = true,
    .reads_attention_bias = true,
    .rotary_quarters = 1,
    .read = read,
    .emit = emit,
};
