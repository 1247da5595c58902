/* bloom.c - BLOOM (Transformers 5.12.1 models/bloom/modeling_bloom.py).
 * The checkpoint's names lack "transformer."; the head is tied; positions are ALiBi, so there is no rotary buffer. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    c->dims.intermediate = 4 * c->dims.hidden;
    return true;
}

static bool emit_layer(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    return vs_emit_layer_norm(b, "input_layernorm", d->hidden) &&
           vs_emit_linear(b, "self_attention.query_key_value", 3 * d->hidden, d->hidden,
                          true) &&
           vs_emit_linear(b, "self_attention.dense", d->hidden, d->hidden, true) &&
           vs_emit_layer_norm(b, "post_attention_layernorm", d->hidden) &&
           vs_emit_linear(b, "mlp.dense_h_to_4h", d->intermediate, d->hidden, true) &&
           vs_emit_linear(b, "mlp.dense_4h_to_h", d->hidden, d->intermediate, true);
}

static bool emit(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    vs_emit_root(b, "transformer.", "");
    if (!vs_emit_embedding(b, "word_embeddings.weight") ||
        !vs_emit_layer_norm(b, "word_embeddings_layernorm", d->hidden)) {
        return false;
    }
    for (uint64_t i = 0; i < d->layers; i++) {
        vs_emit_layer(b, "transformer.h.", "h.", i);
        if (!emit_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "transformer.", "");
    if (!vs_emit_layer_norm(b, "ln_f", d->hidden)) {
        return false;
    }
    vs_emit_root(b, "", "");
    return vs_emit_head(b, "lm_head", NULL, false);
}

const vs_family vs_family_bloom = {
    .model_type = "bloom",
    .architecture = "BloomForCausalLM",
    .no_split_class = "BloomBlock",
    .aliases = {.hidden = "n_embed", .layers = "n_layer", .heads = "n_head"},
    .is_tied_default = true,
    .has_no_intermediate = true,
    .has_no_rotary = true,
    .read = read,
    .emit = emit,
};
