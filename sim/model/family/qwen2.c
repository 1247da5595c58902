/* qwen2.c - Qwen2 and Qwen2.5 (Transformers 5.12.1 models/qwen2/modeling_qwen2.py).
 * q, k and v always have biases, o never. */
#include "sim/model/family/family.h"

/* Layers from max_window_layers on slide, when sliding is on (configuration_qwen2.py). */
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
    return vs_emit_dense_decoder(b, true, false, false);
}

const vs_family vs_family_qwen2 = {
    .model_type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .no_split_class = "Qwen2DecoderLayer",
    .defaults = {.kv_heads = 32, .sliding_window = 4096},
    .has_window_switch = true,
    .read = read,
    .emit = emit,
};
