/* granite.c - Granite 3 (Transformers 5.12.1 models/granite/modeling_granite.py): Llama with multipliers. */
#include "sim/model/family/family.h"

static bool emit(vs_builder *b)
{
    const bool has_bias = vs_builder_config(b)->has_attention_bias;
    return vs_emit_dense_decoder(b, has_bias, has_bias, false);
}

const vs_family vs_family_granite = {
    .model_type = "granite",
    .architecture = "GraniteForCausalLM",
    .no_split_class = "GraniteDecoderLayer",
    .reads_attention_bias = true,
    .reads_mlp_bias = true,
    .emit = emit,
};
