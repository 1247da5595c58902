/* llama.c - Llama 1 to 3 (Transformers 5.12.1 models/llama/modeling_llama.py). */
#include "sim/model/family/family.h"

static bool emit(vs_builder *b)
{
    const bool has_bias = vs_builder_config(b)->has_attention_bias;
    return vs_emit_dense_decoder(b, has_bias, has_bias, false);
}

const vs_family vs_family_llama = {
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    .no_split_class = "LlamaDecoderLayer",
    .reads_attention_bias = true,
    .reads_mlp_bias = true,
    .emit = emit,
};
