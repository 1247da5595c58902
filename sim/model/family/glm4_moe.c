/* glm4_moe.c - GLM-4.5, GLM-4.5-Air, GLM-4.6 (Transformers 5.12.1 models/glm4_moe/modeling_glm4_moe.py).
 * Usual attention with biases on q, k and v; experts and prediction layer as in DeepSeek-V3. Half of a head is rotated. */
#include "sim/model/family/deepseek.h"

enum { QK_NORM };

static bool read(vs_config *c, vs_err *err)
{
    return vs_read_shared_experts(c, 1, 1, err) &&
           vs_read_switch(&c->root, "use_qk_norm", false, &c->switches[QK_NORM], err);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    const vs_config *const c = vs_builder_config(b);
    return vs_emit_attention(b, c->has_attention_bias, false, c->switches[QK_NORM]) &&
           vs_emit_deepseek_mlp(b, layer) && vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_mtp_layers(b, emit_layer) &&
           vs_emit_tail(b);
}

const vs_family vs_family_glm4_moe = {
    .model_type = "glm4_moe",
    .architecture = "Glm4MoeForCausalLM",
    .no_split_class = "Glm4MoeDecoderLayer",
    .defaults = {.kv_heads = 8, .experts_per_token = 8},
    .experts_key = "n_routed_experts",
    .other_experts_key = "num_local_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .rotary_quarters = 2,
    .read = read,
    .emit = emit,
};
