/* olmoe.c - OLMoE (Transformers 5.12.1 models/olmoe/modeling_olmoe.py).
 * q and k are normed as a whole, not head by head; experts have intermediate_size rows; the router stands first. */
#include "sim/model/family/family.h"

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    (void)layer;
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->has_attention_bias;
    return vs_emit_attention(b, has_bias, has_bias, false) &&
           vs_emit_norm(b, "self_attn.q_norm.weight", d->hidden) &&
           vs_emit_norm(b, "self_attn.k_norm.weight", d->hidden / d->heads * d->kv_heads) &&
           vs_emit_router(b) && vs_emit_usual_experts(b) && vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_olmoe = {
    .model_type = "olmoe",
    .architecture = "OlmoeForCausalLM",
    .no_split_class = "OlmoeDecoderLayer",
    .defaults = {.experts_per_token = 8},
    .experts_key = "num_experts",
    .other_experts_key = "num_local_experts",
    .reads_attention_bias = true,
    .emit = emit,
};
