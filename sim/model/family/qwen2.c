/* qwen2.c - Qwen2 and Qwen2.5 (Transformers 5.12.1 models/qwen2/modeling_qwen2.py).
 * q, k and v always have biases, o never. */
#include "sim/model/family/family.h"

static bool emit(vs_builder *b)
{
    return vs_emit_dense_decoder(b, true, false, false);
}

const vs_family vs_family_qwen2 = {
    .model_type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .no_split_class = "Qwen2DecoderLayer",
    .default_kv_heads = 32,
    .default_window = 4096,
    .has_window_switch = true,
    .emit = emit,
};
