/* mixtral.c - Mixtral 8x7B, 8x22B (Transformers 5.12.1 models/mixtral/modeling_mixtral.py).
 * The checkpoint keeps the names of 2023, block_sparse_moe with w1 (gate), w2 (down), w3 (up); version 5 renames the
 * router to mlp.gate and fuses the experts [2.6]. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    if (c->dims.sliding_window > 0) {
        vs_set_layer_period(c, 0, VS_LAYER_WINDOW);
    }
    return true;
}

static bool emit_moe(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_desc router = {
        .name = "mlp.gate.weight",
        .stored_as = "block_sparse_moe.gate.weight",
        .shape = {{d->experts, d->hidden}, 2},
        .flags = VS_TF_ROUTER,
    };
    const vs_emit_experts_desc experts = {
        .target = "mlp.experts",
        .stored = "block_sparse_moe.experts.",
        .names = {"w1", "w2", "w3"},
        .gate = 0,
        .down = 1,
        .up = 2,
        .experts = d->experts,
        .rows = d->intermediate,
        .hidden = d->hidden,
    };
    return vs_emit(b, &router) && vs_emit_experts(b, &experts);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    (void)layer;
    return vs_emit_attention(b, false, false, false) && emit_moe(b) && vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_mixtral = {
    .model_type = "mixtral",
    .architecture = "MixtralForCausalLM",
    .no_split_class = "MixtralDecoderLayer",
    .defaults = {.kv_heads = 8, .experts_per_token = 2},
    .experts_key = "num_local_experts",
    .other_experts_key = "num_experts",
    .read = read,
    .emit = emit,
};
