/* deepseek_v3.c - DeepSeek-V3, R1, Kimi-like models of that type (Transformers 5.12.1 models/deepseek_v3/modeling_deepseek_v3.py).
 *
 * Latent attention, 256 experts with a shared one, a router whose correction is a buffer stored and kept in F32. The
 * multi-token-prediction layer (number num_hidden_layers) is a whole layer with an embedding and a head of its own; it is
 * in the checkpoint and not loaded. */
#include "sim/model/family/deepseek.h"

bool vs_emit_deepseek_mlp(vs_builder *b, uint64_t layer)
{
    const vs_config *const c = vs_builder_config(b);
    if (!vs_is_sparse_layer(c, layer)) {
        return vs_emit_gated_mlp(b, c->dims.intermediate, false);
    }
    /* _keep_in_fp32_modules_strict */
    const vs_emit_desc correction = {.name = "mlp.gate.e_score_correction_bias",
                                     .shape = {{c->dims.experts}, 1},
                                     .flags = VS_TF_BUFFER | VS_TF_KEEP_FP32,
                                     .dtype = VS_DT_F32,
                                     .stored_dtype = VS_DT_F32,
                                     .has_stored_dtype = true};
    return vs_emit_usual_experts(b) && vs_emit_router(b) && vs_emit(b, &correction) &&
           (c->moe.shared_rows == 0 ||
            vs_emit_gated(b, "mlp.shared_experts", c->moe.shared_rows, false));
}

/* Its names, and that nothing of it is loaded. */
static bool begin_mtp(vs_builder *b, uint64_t layer)
{
    char prefix[48] = "model.layers.";
    char digits[24];
    size_t count = 0;
    size_t at = sizeof "model.layers." - 1;
    for (uint64_t rest = layer; rest > 0 || count == 0; rest /= 10) {
        digits[count++] = (char)('0' + rest % 10);
    }
    while (count > 0) {
        prefix[at++] = digits[--count];
    }
    prefix[at++] = '.';
    prefix[at] = '\0';
    vs_emit_root(b, prefix, prefix);
    return vs_emit_unloaded(b, prefix, "the multi-token-prediction layer");
}

/* What it has besides a decoder layer, in front ... */
static bool emit_mtp_front(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_desc tokens = {.name = "embed_tokens.weight",
                                 .shape = {{d->vocab, d->hidden}, 2},
                                 .flags = VS_TF_EMBEDDING};
    const vs_emit_desc join = {.name = "eh_proj.weight",
                               .shape = {{d->hidden, 2 * d->hidden}, 2}};
    return vs_emit(b, &tokens) && vs_emit_norm(b, "enorm.weight", d->hidden) &&
           vs_emit_norm(b, "hnorm.weight", d->hidden) && vs_emit(b, &join);
}

/* ... and behind. */
static bool emit_mtp_back(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const vs_emit_desc head = {.name = "shared_head.head.weight",
                               .shape = {{d->vocab, d->hidden}, 2}};
    const bool is_done =
        vs_emit_norm(b, "shared_head.norm.weight", d->hidden) && vs_emit(b, &head);
    vs_emit_loaded(b);
    return is_done;
}

bool vs_emit_mtp_layers(vs_builder *b, vs_layer_emitter emit_layer)
{
    const vs_config *const c = vs_builder_config(b);
    for (uint64_t i = 0; i < c->moe.mtp_layers; i++) {
        const uint64_t layer = c->dims.layers + i;
        if (!begin_mtp(b, layer) || !emit_mtp_front(b) || !emit_layer(b, layer) ||
            !emit_mtp_back(b)) {
            return false;
        }
    }
    return true;
}

static bool read(vs_config *c, vs_err *err)
{
    return vs_read_mla(c, err) && vs_read_shared_experts(c, 1, 3, err);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    return vs_emit_mla(b) && vs_emit_deepseek_mlp(b, layer) && vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_mtp_layers(b, emit_layer) &&
           vs_emit_tail(b);
}

const vs_family vs_family_deepseek_v3 = {
    .model_type = "deepseek_v3",
    .architecture = "DeepseekV3ForCausalLM",
    .no_split_class = "DeepseekV3DecoderLayer",
    .defaults = {.experts_per_token = 8},
    .experts_key = "n_routed_experts",
    .other_experts_key = "num_local_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .has_no_rotary = true,
    .read = read,
    .emit = emit,
};
