/* starcoder2.c - StarCoder 2 (Transformers 5.12.1 models/starcoder2/modeling_starcoder2.py).
 * LayerNorms, a plain MLP, biases everywhere with use_bias. */
#include "sim/model/family/family.h"

enum { USE_BIAS };

static bool read(vs_config *c, vs_err *err)
{
    if (c->dims.sliding_window > 0) {
        vs_set_layer_period(c, 0, VS_LAYER_WINDOW);
    }
    return vs_read_switch(&c->root, "use_bias", true, &c->switches[USE_BIAS], err);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    (void)layer;
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->switches[USE_BIAS];
    return vs_emit_attention(b, has_bias, has_bias, false) &&
           vs_emit_linear(b, "mlp.c_fc", d->intermediate, d->hidden, has_bias) &&
           vs_emit_linear(b, "mlp.c_proj", d->hidden, d->intermediate, has_bias) &&
           vs_emit_layer_norm(b, "input_layernorm", d->hidden) &&
           vs_emit_layer_norm(b, "post_attention_layernorm", d->hidden);
}

static bool emit(vs_builder *b)
{
    if (!vs_emit_layers(b, emit_layer)) {
        return false;
    }
    vs_emit_root(b, "", "");
    return vs_emit_layer_norm(b, "model.norm", vs_builder_config(b)->dims.hidden) &&
           vs_emit_rotary(b, "model.rotary_emb") && vs_emit_head(b, "lm_head", NULL, false);
}

const vs_family vs_family_starcoder2 = {
    .model_type = "starcoder2",
    .architecture = "Starcoder2ForCausalLM",
    .no_split_class = "Starcoder2DecoderLayer",
    .defaults = {.kv_heads = 2},
    .is_tied_default = true,
    .read = read,
    .emit = emit,
};
