/* mistral.c - Mistral 7B, Mistral Small (Transformers 5.12.1 models/mistral/modeling_mistral.py).
 * No biases. Classes read num_key_value_heads 8 and sliding_window 4096 when the keys are absent. */
#include "sim/model/family/family.h"

static bool emit(vs_builder *b)
{
    return vs_emit_dense_decoder(b, false, false, false);
}

const vs_family vs_family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    .no_split_class = "MistralDecoderLayer",
    .default_kv_heads = 8,
    .default_window = 4096,
    .emit = emit,
};
