/* gptj.c - GPT-J (Transformers 5.12.1 models/gptj/modeling_gptj.py).
 * Every layer has its own table of sinusoids, a buffer of max_positions x rotary_dim made at load. The head has a bias. */
#include "sim/model/family/family.h"

enum { ROTARY_DIM };

static bool read(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    uint64_t rotary = 0;
    if (!vs_read_default(&c->root, "n_inner", 4 * d->hidden, &d->intermediate, err) ||
        !vs_read_count(&c->root, "rotary_dim", 64, &rotary, err)) {
        return false;
    }
    c->own[ROTARY_DIM] = rotary == 0 ? d->hidden : rotary;
    d->kv_heads = d->heads;
    return true;
}

static bool emit_attention(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    static const char *const names[4] = {"attn.k_proj", "attn.v_proj", "attn.q_proj",
                                         "attn.out_proj"};
    for (uint32_t i = 0; i < 4; i++) {
        if (!vs_emit_linear(b, names[i], c->dims.hidden, c->dims.hidden, false)) {
            return false;
        }
    }
    const vs_emit_desc table = {
        .name = "attn.embed_positions",
        .shape = {{c->dims.max_positions, c->own[ROTARY_DIM] / 2 + c->own[ROTARY_DIM] % 2 +
                                              c->own[ROTARY_DIM] / 2 + c->own[ROTARY_DIM] % 2},
                  2},
        .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT,
        .dtype = VS_DT_F32};
    return vs_emit(b, &table);
}

static bool emit_layer(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    return vs_emit_layer_norm(b, "ln_1", d->hidden) && emit_attention(b) &&
           vs_emit_linear(b, "mlp.fc_in", d->intermediate, d->hidden, true) &&
           vs_emit_linear(b, "mlp.fc_out", d->hidden, d->intermediate, true);
}

static bool emit(vs_builder *b)
{
    const vs_model_dims *const d = &vs_builder_config(b)->dims;
    vs_emit_root(b, "", "");
    if (!vs_emit_embedding(b, "transformer.wte.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < d->layers; i++) {
        vs_emit_layer(b, "transformer.h.", "transformer.h.", i);
        if (!emit_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "", "");
    return vs_emit_layer_norm(b, "transformer.ln_f", d->hidden) &&
           vs_emit_head(b, "lm_head", NULL, true);
}

const vs_family vs_family_gptj = {
    .model_type = "gptj",
    .architecture = "GPTJForCausalLM",
    .no_split_class = "GPTJBlock",
    .aliases = {.hidden = "n_embd",
                .layers = "n_layer",
                .heads = "n_head",
                .positions = "n_positions"},
    .defaults = {.max_positions = 2048},
    .has_no_intermediate = true,
    .has_no_rotary = true,
    .read = read,
    .emit = emit,
};
