/* qwen3.c - dense Qwen3 (Transformers 5.12.1 models/qwen3/modeling_qwen3.py).
 * head_dim is 128 whatever the hidden size; q and k are normed per head. */
#include "sim/model/family/family.h"

/* Layers from max_window_layers on slide, when sliding is on (configuration_qwen3.py). */
static bool read(vs_config *c, vs_err *err)
{
    uint64_t first = 0;
    if (!vs_read_count(&c->root, "max_window_layers", 28, &first, err)) {
        return false;
    }
    for (uint64_t i = first;
         c->dims.sliding_window > 0 && !c->has_layer_types && i < c->dims.layers; i++) {
        c->layer_types[i] = VS_LAYER_WINDOW;
    }
    return true;
}

static bool emit(vs_builder *b)
{
    const bool has_bias = vs_builder_config(b)->has_attention_bias;
    return vs_emit_dense_decoder(b, has_bias, has_bias, true);
}

const vs_family vs_family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .no_split_class = "Qwen3DecoderLayer",
    .defaults = {.kv_heads = 32, .head_dim = 128, .sliding_window = 4096},
    .has_window_switch = true,
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};
