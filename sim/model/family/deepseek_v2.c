/* deepseek_v2.c - DeepSeek-V2, V2-Lite (Transformers 5.12.1 models/deepseek_v2/modeling_deepseek_v2.py).
 * Latent attention; the router is a linear module here, unlike in V3, and has no correction. */
#include "sim/model/family/deepseek.h"

bool vs_read_mla(vs_config *c, vs_err *err)
{
    const vs_jnode *const root = &c->root;
    vs_mla_dims *const m = &c->mla;
    if (!vs_read_default(root, "kv_lora_rank", 512, &m->kv_lora, err) ||
        !vs_read_default(root, "qk_nope_head_dim", 128, &m->nope, err) ||
        !vs_read_default(root, "qk_rope_head_dim", 64, &m->rope, err) ||
        !vs_read_default(root, "v_head_dim", 128, &m->value, err)) {
        return false;
    }
    if (m->rope % 2 != 0) {
        const vs_jnode node = vs_json_member(root, "qk_rope_head_dim");
        return vs_json_fail(
            &node, err,
            "qk_rope_head_dim is %" PRIu64 "; rotary embeddings need an even number", m->rope);
    }
    const vs_jnode q = vs_json_member(root, "q_lora_rank");
    uint64_t rank = 0;
    if (!vs_json_is_null(&q) && !vs_read_default(root, "q_lora_rank", 1536, &rank, err)) {
        return false;
    }
    m->q_lora = rank;
    c->rotary = m->rope / 2 + m->rope % 2;
    c->dims.head_dim = m->nope + m->rope;
    c->dims.kv_elements =
        m->kv_lora + m->rope; /* Transformers caches them expanded, others like this */
    return true;
}

bool vs_read_shared_experts(vs_config *c, uint64_t shared, uint64_t first_dense, vs_err *err)
{
    if (!vs_read_count(&c->root, "n_shared_experts", shared, &shared, err) ||
        !vs_read_count(&c->root, "first_k_dense_replace", first_dense, &c->moe.first_dense,
                       err) ||
        !vs_read_count(&c->root, "num_nextn_predict_layers", 0, &c->moe.mtp_layers, err)) {
        return false;
    }
    c->moe.shared_rows = shared * c->dims.moe_intermediate;
    const vs_jnode node = vs_json_member(&c->root, "num_nextn_predict_layers");
    return c->moe.mtp_layers <= 16 ||
           vs_json_fail(&node, err,
                        "%" PRIu64 " prediction layers; more than 16 are not supported",
                        c->moe.mtp_layers);
}

static bool read(vs_config *c, vs_err *err)
{
    return vs_read_mla(c, err) && vs_read_shared_experts(c, 2, 0, err);
}

static bool emit_mlp(vs_builder *b, uint64_t layer)
{
    const vs_config *const c = vs_builder_config(b);
    if (!vs_is_sparse_layer(c, layer)) {
        return vs_emit_gated_mlp(b, c->dims.intermediate, c->has_mlp_bias);
    }
    const vs_emit_linear_desc router = {.name = "mlp.gate",
                                        .out = c->dims.experts,
                                        .in = c->dims.hidden,
                                        .flags = VS_TF_ROUTER};
    return vs_emit_usual_experts(b) && vs_emit_linear_as(b, &router) &&
           (c->moe.shared_rows == 0 ||
            vs_emit_gated(b, "mlp.shared_experts", c->moe.shared_rows, c->has_mlp_bias));
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    return vs_emit_mla(b) && emit_mlp(b, layer) && vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_deepseek_v2 = {
    .model_type = "deepseek_v2",
    .architecture = "DeepseekV2ForCausalLM",
    .no_split_class = "DeepseekV2DecoderLayer",
    .experts_key = "n_routed_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .reads_mlp_bias = true,
    .has_no_rotary = true,
    .read = read,
    .emit = emit,
};
