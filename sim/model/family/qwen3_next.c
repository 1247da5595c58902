/* qwen3_next.c - Qwen3-Next (Transformers 5.12.1 models/qwen3_next/modeling_qwen3_next.py).
 *
 * Three layers of gated delta net, then one of full attention whose queries carry a gate; experts with a shared one. A
 * prediction block "mtp." is stored behind the model and not loaded (_keys_to_ignore_on_load_unexpected). */
#include "sim/model/family/family.h"

/* Of all keys or values together; 4 times as much still fits. */
#define WIDTH_MAX (UINT64_C(1) << 32)

static bool read(vs_config *c, vs_err *err)
{
    const vs_jnode *const root = &c->root;
    vs_linear_dims *const l = &c->linear;
    uint64_t interval = 4;
    if (!vs_read_default(root, "linear_num_key_heads", 16, &l->key_heads, err) ||
        !vs_read_default(root, "linear_num_value_heads", 32, &l->value_heads, err) ||
        !vs_read_default(root, "linear_key_head_dim", 128, &l->key_dim, err) ||
        !vs_read_default(root, "linear_value_head_dim", 128, &l->value_dim, err) ||
        !vs_read_default(root, "linear_conv_kernel_dim", 4, &l->kernel, err) ||
        !vs_read_default(root, "shared_expert_intermediate_size", 512, &c->moe.shared_rows,
                         err) ||
        !vs_read_default(root, "decoder_sparse_step", 1, &c->moe.sparse_step, err) ||
        !vs_read_default(root, "full_attention_interval", 4, &interval, err)) {
        return false;
    }
    if (l->key_heads * l->key_dim > WIDTH_MAX || l->value_heads * l->value_dim > WIDTH_MAX) {
        return vs_json_fail(root, err,
                            "linear attention with %" PRIu64 " keys of %" PRIu64 " and %" PRIu64
                            " values of %" PRIu64 "; products above 2^32 are not supported",
                            l->key_heads, l->key_dim, l->value_heads, l->value_dim);
    }
    if (l->value_heads % l->key_heads != 0) {
        const vs_jnode node = vs_json_member(root, "linear_num_value_heads");
        return vs_json_fail(&node, err,
                            "linear_num_value_heads %" PRIu64
                            " is not a multiple of linear_num_key_heads %" PRIu64,
                            l->value_heads, l->key_heads);
    }
    vs_set_layer_period(c, interval, VS_LAYER_LINEAR);
    return true;
}

/* dt_bias and A_log are the module's own, so they come first. */
static bool emit_linear_attention(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_linear_dims *const l = &c->linear;
    const uint64_t keys = l->key_heads * l->key_dim;
    const uint64_t values = l->value_heads * l->value_dim;
    const vs_emit_desc dt_bias = {.name = "linear_attn.dt_bias",
                                  .shape = {{l->value_heads}, 1}};
    const vs_emit_desc a_log = {.name = "linear_attn.A_log", .shape = {{l->value_heads}, 1}};
    const vs_emit_desc conv = {.name = "linear_attn.conv1d.weight",
                               .shape = {{2 * keys + values, 1, l->kernel}, 3}};
    return vs_emit(b, &dt_bias) && vs_emit(b, &a_log) && vs_emit(b, &conv) &&
           vs_emit_linear(b, "linear_attn.in_proj_qkvz", 2 * keys + 2 * values, c->dims.hidden,
                          false) &&
           vs_emit_linear(b, "linear_attn.in_proj_ba", 2 * l->value_heads, c->dims.hidden,
                          false) &&
           vs_emit_norm(b, "linear_attn.norm.weight", l->value_dim) &&
           vs_emit_linear(b, "linear_attn.out_proj", c->dims.hidden, values, false);
}

static bool emit_full_attention(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->has_attention_bias;
    const uint64_t q = d->heads * d->head_dim;
    const uint64_t kv = d->kv_heads * d->head_dim;
    return vs_emit_linear(b, "self_attn.q_proj", 2 * q, d->hidden, has_bias) &&
           vs_emit_linear(b, "self_attn.k_proj", kv, d->hidden, has_bias) &&
           vs_emit_linear(b, "self_attn.v_proj", kv, d->hidden, has_bias) &&
           vs_emit_linear(b, "self_attn.o_proj", d->hidden, q, has_bias) &&
           vs_emit_norm(b, "self_attn.q_norm.weight", d->head_dim) &&
           vs_emit_norm(b, "self_attn.k_norm.weight", d->head_dim);
}

static bool emit_moe(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    return vs_emit_router(b) && vs_emit_usual_experts(b) &&
           vs_emit_gated(b, "mlp.shared_expert", c->moe.shared_rows, false) &&
           vs_emit_linear(b, "mlp.shared_expert_gate", 1, c->dims.hidden, false);
}

static bool emit_layer(vs_builder *b, uint64_t i)
{
    const vs_config *const c = vs_builder_config(b);
    const bool is_linear = c->layer_types[i] == VS_LAYER_LINEAR;
    const bool is_sparse = vs_is_sparse_layer(c, i);
    return (is_linear ? emit_linear_attention(b) : emit_full_attention(b)) &&
           (is_sparse ? emit_moe(b) : vs_emit_gated_mlp(b, c->dims.intermediate, false)) &&
           vs_emit_two_norms(b);
}

static bool emit_mtp(vs_builder *b)
{
    const uint64_t hidden = vs_builder_config(b)->dims.hidden;
    const vs_emit_desc join = {.name = "fc.weight", .shape = {{hidden, 2 * hidden}, 2}};
    vs_emit_root(b, "mtp.", "mtp.");
    if (!vs_emit_unloaded(b, "mtp.", "the multi-token-prediction block") ||
        !vs_emit(b, &join)) {
        return false;
    }
    vs_emit_root(b, "mtp.layers.0.", "mtp.layers.0.");
    if (!emit_full_attention(b) || !emit_moe(b) || !vs_emit_two_norms(b)) {
        return false;
    }
    vs_emit_root(b, "mtp.", "mtp.");
    const bool is_done = vs_emit_norm(b, "norm.weight", hidden) &&
                         vs_emit_norm(b, "pre_fc_norm_embedding.weight", hidden) &&
                         vs_emit_norm(b, "pre_fc_norm_hidden.weight", hidden);
    vs_emit_loaded(b);
    return is_done;
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b) && emit_mtp(b);
}

const vs_family vs_family_qwen3_next = {
    .model_type = "qwen3_next",
    .architecture = "Qwen3NextForCausalLM",
    .no_split_class = "Qwen3NextDecoderLayer",
    .defaults = {.kv_heads = 2, .head_dim = 256, .experts_per_token = 10},
    .experts_key = "num_experts",
    .expert_size_key = "moe_intermediate_size",
    .reads_attention_bias = true,
    .rotary_quarters = 1,
    .read = read,
    .emit = emit,
};
