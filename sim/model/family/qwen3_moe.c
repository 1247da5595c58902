/* qwen3_moe.c - Qwen3 mixture of experts (Transformers 5.12.1 models/qwen3_moe/modeling_qwen3_moe.py).
 *
 * A layer is sparse when it is not in mlp_only_layers and (index + 1) % decoder_sparse_step == 0; others have a
 * plain MLP of intermediate_size. In the module tree the experts stand before their router: Transformers 5.12.1
 * builds them so (facts/real-modules.json.gz), although facts/models.md lists the router first. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    if (c->dims.sliding_window > 0) {
        vs_set_layer_period(c, 0, VS_LAYER_WINDOW);
    }
    return vs_read_default(&c->root, "decoder_sparse_step", 1, &c->moe.sparse_step, err);
}

static bool emit_mlp(vs_builder *b, uint64_t layer)
{
    const vs_config *const c = vs_builder_config(b);
    if (!vs_is_sparse_layer(c, layer)) {
        return vs_emit_gated_mlp(b, c->dims.intermediate, false);
    }
    return vs_emit_usual_experts(b) && vs_emit_router(b);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    const bool has_bias = vs_builder_config(b)->has_attention_bias;
    return vs_emit_attention(b, has_bias, has_bias, true) && emit_mlp(b, layer) &&
           vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .architecture = "Qwen3MoeForCausalLM",
    .no_split_class = "Qwen3MoeDecoderLayer",
    .defaults = {.kv_heads = 4, .sliding_window = 4096, .experts_per_token = 8},
    .has_window_switch = true,
    .experts_key = "num_experts",
    .other_experts_key = "num_local_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};
