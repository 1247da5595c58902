/* mistral.c - Mistral 7B, Mistral Small (Transformers 5.12.1 models/mistral/modeling_mistral.py).
 * No biases. Classes read num_key_value_heads 8 and sliding_window 4096 when the keys are absent. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    if (c->dims.sliding_window > 0) {
        vs_set_layer_period(c, 0, VS_LAYER_WINDOW);
    }
    return true;
}

static bool emit(vs_builder *b)
{
    return vs_emit_dense_decoder(b, false, false, false);
}

const vs_family vs_family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    .no_split_class = "MistralDecoderLayer",
    .defaults = {.kv_heads = 8, .sliding_window = 4096},
    .read = read,
    .emit = emit,
};
