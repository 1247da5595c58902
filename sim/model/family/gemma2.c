/* gemma2.c - Gemma 2 (Transformers 5.12.1 models/gemma2/modeling_gemma2.py).
 * Four norms a layer; the head is tied; every second layer slides. The embedding carries its scale as a buffer. */
#include "sim/model/family/gemma.h"

bool vs_emit_gemma_embedding(vs_builder *b, const char *name, const char *scale)
{
    /* a scalar, made anew at each load in the load dtype */
    const vs_emit_desc buffer = {
        .name = scale, .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT, .has_load_dtype = true};
    return vs_emit_embedding(b, name) && vs_emit(b, &buffer);
}

bool vs_emit_gemma_layer(vs_builder *b, bool has_qk_norm)
{
    const vs_config *const c = vs_builder_config(b);
    const bool has_bias = c->has_attention_bias;
    return vs_emit_attention(b, has_bias, has_bias, has_qk_norm) &&
           vs_emit_gated_mlp(b, c->dims.intermediate, false) && vs_emit_two_norms(b) &&
           vs_emit_norm(b, "pre_feedforward_layernorm.weight", c->dims.hidden) &&
           vs_emit_norm(b, "post_feedforward_layernorm.weight", c->dims.hidden);
}

/* Even layers slide (configuration_gemma2.py). */
static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    vs_set_layer_period(c, 2, VS_LAYER_WINDOW);
    return true;
}

static bool emit(vs_builder *b)
{
    vs_emit_root(b, "", "");
    if (!vs_emit_gemma_embedding(b, "model.embed_tokens.weight",
                                 "model.embed_tokens.embed_scale")) {
        return false;
    }
    for (uint64_t i = 0; i < vs_builder_config(b)->dims.layers; i++) {
        vs_emit_layer(b, "model.layers.", "model.layers.", i);
        if (!vs_emit_gemma_layer(b, false)) {
            return false;
        }
    }
    return vs_emit_tail(b);
}

const vs_family vs_family_gemma2 = {
    .model_type = "gemma2",
    .architecture = "Gemma2ForCausalLM",
    .no_split_class = "Gemma2DecoderLayer",
    .defaults = {.kv_heads = 4, .head_dim = 256, .sliding_window = 4096},
    .is_tied_default = true,
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};
