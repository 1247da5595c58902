/* phi3.c - Phi-3, Phi-4 (Transformers 5.12.1 models/phi3/modeling_phi3.py).
 * q, k and v are one matrix, gate and up another; o_proj stands before qkv_proj. */
#include "sim/model/family/family.h"

static bool emit_layer(vs_builder *b, uint64_t layer)
{
    (void)layer;
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    const uint64_t q = d->heads * d->head_dim;
    const uint64_t kv = d->kv_heads * d->head_dim;
    return vs_emit_linear(b, "self_attn.o_proj", d->hidden, q, false) &&
           vs_emit_linear(b, "self_attn.qkv_proj", q + 2 * kv, d->hidden, false) &&
           vs_emit_linear(b, "mlp.gate_up_proj", 2 * d->intermediate, d->hidden, false) &&
           vs_emit_linear(b, "mlp.down_proj", d->hidden, d->intermediate, false) &&
           vs_emit_two_norms(b);
}

static bool read(vs_config *c, vs_err *err)
{
    (void)err;
    if (c->dims.sliding_window > 0) {
        vs_set_layer_period(c, 0, VS_LAYER_WINDOW);
    }
    return true;
}

static bool emit(vs_builder *b)
{
    return vs_emit_layers(b, emit_layer) && vs_emit_tail(b);
}

const vs_family vs_family_phi3 = {
    .model_type = "phi3",
    .architecture = "Phi3ForCausalLM",
    .no_split_class = "Phi3DecoderLayer",
    .read = read,
    .emit = emit,
};
