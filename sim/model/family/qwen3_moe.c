/* qwen3_moe.c - Qwen3 mixture of experts (Transformers 5.12.1 models/qwen3_moe/modeling_qwen3_moe.py).
 *
 * A layer is sparse when it is not in mlp_only_layers and (index + 1) % decoder_sparse_step == 0; others have a
 * plain MLP of intermediate_size. In the module tree the experts stand before their router: Transformers 5.12.1
 * builds them so (facts/real-modules.json.gz), although facts/models.md lists the router first. */
#include "sim/model/family/family.h"

/* One bit per layer. */
typedef struct {
    uint64_t words[VS_LAYERS_MAX / 64];
} layer_set;

static bool read_dense_layers(const vs_config *c, layer_set *set, vs_err *err)
{
    const vs_jnode list = vs_json_member(&c->root, "mlp_only_layers");
    for (vs_jnode item = vs_json_first(&list); item.node != NULL; item = vs_json_next(&item)) {
        uint64_t layer = 0;
        if (!vs_json_as_u64(&item, &layer, err)) {
            return false;
        }
        if (layer < VS_LAYERS_MAX) {
            set->words[layer / 64] |= UINT64_C(1) << (layer % 64);
        }
    }
    return true;
}

static bool emit_moe(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_experts_desc experts = {
        .target = "mlp.experts",
        .stored = "mlp.experts.",
        .names = {"gate_proj.weight", "up_proj.weight", "down_proj.weight"},
        .gate = 0,
        .up = 1,
        .down = 2,
        .experts = d->experts,
        .rows = d->moe_intermediate,
        .hidden = d->hidden,
    };
    const vs_emit_desc router = {
        .name = "mlp.gate.weight",
        .shape = {d->experts, d->hidden},
        .dim_count = 2,
        .flags = VS_TF_ROUTER,
    };
    return vs_emit_experts(b, &experts) && vs_emit(b, &router);
}

static bool emit_layers(vs_builder *b, uint64_t sparse_step, const layer_set *dense)
{
    const vs_config *const c = vs_builder_config(b);
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        const bool is_listed = (dense->words[i / 64] >> (i % 64) & 1) != 0;
        const bool is_dense = is_listed || (i + 1) % sparse_step != 0;
        vs_emit_layer(b, "model.layers.", i);
        const bool has_bias = c->has_attention_bias;
        if (!vs_emit_attention(b, has_bias, has_bias, true) ||
            !(is_dense ? vs_emit_gated_mlp(b, c->dims.intermediate, false) : emit_moe(b)) ||
            !vs_emit_two_norms(b)) {
            return false;
        }
    }
    return true;
}

static bool emit(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    vs_err *const err = vs_builder_err(b);
    uint64_t sparse_step = 1;
    if (!vs_json_get_u64(&c->root, "decoder_sparse_step", false, &sparse_step, err)) {
        return false;
    }
    if (sparse_step == 0) {
        const vs_jnode node = vs_json_member(&c->root, "decoder_sparse_step");
        return vs_json_fail(&node, err, "expected 1 or more, found 0");
    }
    layer_set dense = {{0}};
    return read_dense_layers(c, &dense, err) &&
           vs_emit_embedding(b, "model.embed_tokens.weight") &&
           emit_layers(b, sparse_step, &dense) && vs_emit_tail(b);
}

const vs_family vs_family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .architecture = "Qwen3MoeForCausalLM",
    .no_split_class = "Qwen3MoeDecoderLayer",
    .default_kv_heads = 4,
    .default_window = 4096,
    .has_window_switch = true,
    .experts_key = "num_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .emit = emit,
};
