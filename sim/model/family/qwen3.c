/* qwen3.c - dense Qwen3 (Transformers 5.12.1 models/qwen3/modeling_qwen3.py).
 * head_dim is 128 whatever the hidden size; q and k are normed per head. */
#include "sim/model/family/family.h"

static bool emit(vs_builder *b)
{
    const bool has_bias = vs_builder_config(b)->has_attention_bias;
    return vs_emit_dense_decoder(b, has_bias, has_bias, true);
}

const vs_family vs_family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .no_split_class = "Qwen3DecoderLayer",
    .default_kv_heads = 32,
    .default_head_dim = 128,
    .default_window = 4096,
    .has_window_switch = true,
    .reads_attention_bias = true,
    .emit = emit,
};
