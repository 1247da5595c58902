/* gpt_oss.c - gpt-oss 20B and 120B (Transformers 5.12.1 models/gpt_oss/modeling_gpt_oss.py, integrations/mxfp4.py).
 *
 * The published experts are MXFP4: blocks of 32 four-bit floats in 16 bytes and one scale byte each. A card that knows the
 * format keeps both (swizzled, the biases in F32); else they are dequantised into [experts, in, out] parameters.
 * Checkpoints in 16 bit store those parameters themselves. */
#include "sim/model/family/family.h"

static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    vs_set_layer_period(c, 2, VS_LAYER_WINDOW);
    return true;
}

/* One of the two projections: its matrix and its bias. rows: outputs; columns: inputs. */
static bool emit_projection(vs_builder *b, const char *const names[2], uint64_t rows,
                            uint64_t columns, bool is_mxfp4)
{
    const uint64_t experts = vs_builder_config(b)->dims.experts;
    const vs_emit_desc matrix = {
        .name = names[0], .shape = {{experts, columns, rows}, 3}, .flags = VS_TF_EXPERTS};
    /* Mxfp4GptOssExperts keeps its biases in F32 */
    const vs_emit_desc bias = {.name = names[1],
                               .shape = {{experts, rows}, 2},
                               .flags = VS_TF_EXPERTS | VS_TF_BIAS |
                                        (is_mxfp4 ? (uint32_t)VS_TF_KEEP_FP32 : 0u)};
    const bool is_done = is_mxfp4
                             ? vs_emit_mxfp4(b, names[0], (uint64_t[]){experts, columns, rows},
                                             (uint64_t[]){experts, rows, columns / 32, 16})
                             : vs_emit(b, &matrix);
    return is_done && vs_emit(b, &bias);
}

static bool emit_experts(vs_builder *b)
{
    static const char *const up[2] = {"mlp.experts.gate_up_proj",
                                      "mlp.experts.gate_up_proj_bias"};
    static const char *const down[2] = {"mlp.experts.down_proj", "mlp.experts.down_proj_bias"};
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const vs_scheme *const scheme = vs_builder_scheme(b, "mlp.experts", 0);
    const bool is_mxfp4 = scheme != NULL && scheme->format == VS_QF_MXFP4;
    if (is_mxfp4 && (d->hidden % 32 != 0 || d->intermediate % 32 != 0)) {
        const vs_jnode node = vs_json_member(&c->root, "intermediate_size");
        return vs_json_fail(&node, vs_builder_err(b),
                            "mxfp4 needs hidden_size %" PRIu64 " and intermediate_size %" PRIu64
                            " to be multiples of 32",
                            d->hidden, d->intermediate);
    }
    return emit_projection(b, up, 2 * d->intermediate, d->hidden, is_mxfp4) &&
           emit_projection(b, down, d->hidden, d->intermediate, is_mxfp4);
}

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    (void)layer;
    const vs_config *const c = vs_builder_config(b);
    const bool has_bias = c->has_attention_bias;
    const vs_emit_desc sinks = {.name = "self_attn.sinks", .shape = {{c->dims.heads}, 1}};
    const vs_emit_desc router = {.name = "mlp.router.weight",
                                 .shape = {{c->dims.experts, c->dims.hidden}, 2},
                                 .flags = VS_TF_ROUTER};
    const vs_emit_desc router_bias = {.name = "mlp.router.bias",
                                      .shape = {{c->dims.experts}, 1},
                                      .flags = VS_TF_ROUTER | VS_TF_BIAS};
    return vs_emit(b, &sinks) && vs_emit_attention(b, has_bias, has_bias, false) &&
           vs_emit(b, &router) && vs_emit(b, &router_bias) && emit_experts(b) &&
           vs_emit_two_norms(b);
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_gpt_oss = {
    .model_type = "gpt_oss",
    .architecture = "GptOssForCausalLM",
    .no_split_class = "GptOssDecoderLayer",
    .defaults = {.kv_heads = 8, .head_dim = 64, .sliding_window = 128, .experts_per_token = 4},
    .is_attention_bias_default = true,
    .experts_key = "num_local_experts",
    .other_experts_key = "num_experts",
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};
