/* opt.c - OPT (Transformers 5.12.1 models/opt/modeling_opt.py).
 * The final norm stands before the layers; positions are learned, two rows more than max_position_embeddings; the 350M model has
 * narrower embeddings with projections around the layers, and no final norm. */
#include "sim/model/family/family.h"

enum { NORM_BEFORE, NO_FINAL_NORM, BIAS, NORM_AFFINE };

enum { EMBED_DIM };

static bool read(vs_config *c, vs_err *err)
{
    const vs_jnode *const root = &c->root;
    return vs_read_required(root, "ffn_dim", &c->dims.intermediate, err) &&
           vs_read_default(root, "word_embed_proj_dim", c->dims.hidden, &c->own[EMBED_DIM],
                           err) &&
           vs_read_switch(root, "do_layer_norm_before", true, &c->switches[NORM_BEFORE], err) &&
           vs_read_switch(root, "_remove_final_layer_norm", false, &c->switches[NO_FINAL_NORM],
                          err) &&
           vs_read_switch(root, "enable_bias", true, &c->switches[BIAS], err) &&
           vs_read_switch(root, "layer_norm_elementwise_affine", true,
                          &c->switches[NORM_AFFINE], err);
}

static bool emit_norm(vs_builder *b, const char *name)
{
    const vs_config *const c = vs_builder_config(b);
    return !c->switches[NORM_AFFINE] || vs_emit_layer_norm(b, name, c->dims.hidden);
}

static bool emit_layer(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const bool has_bias = c->switches[BIAS];
    static const char *const names[4] = {"self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.q_proj", "self_attn.out_proj"};
    for (uint32_t i = 0; i < 4; i++) {
        if (!vs_emit_linear(b, names[i], d->hidden, d->hidden, has_bias)) {
            return false;
        }
    }
    return emit_norm(b, "self_attn_layer_norm") &&
           vs_emit_linear(b, "fc1", d->intermediate, d->hidden, has_bias) &&
           vs_emit_linear(b, "fc2", d->hidden, d->intermediate, has_bias) &&
           emit_norm(b, "final_layer_norm");
}

/* What stands before the layers. */
static bool emit_front(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const uint64_t embed = c->own[EMBED_DIM];
    const vs_emit_desc tokens = {.name = "embed_tokens.weight",
                                 .shape = {{d->vocab, embed}, 2},
                                 .flags = VS_TF_EMBEDDING,
                                 .is_input_embedding = true};
    /* OPTLearnedPositionalEmbedding: an offset of 2 */
    const vs_emit_desc positions = {.name = "embed_positions.weight",
                                    .shape = {{d->max_positions + 2, d->hidden}, 2},
                                    .flags = VS_TF_EMBEDDING};
    if (!vs_emit(b, &tokens) || !vs_emit(b, &positions)) {
        return false;
    }
    if (embed != d->hidden && (!vs_emit_linear(b, "project_out", embed, d->hidden, false) ||
                               !vs_emit_linear(b, "project_in", d->hidden, embed, false))) {
        return false;
    }
    const bool has_final = c->switches[NORM_BEFORE] && !c->switches[NO_FINAL_NORM];
    return !has_final || emit_norm(b, "final_layer_norm");
}

static bool emit(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    vs_emit_root(b, "model.decoder.", "model.decoder.");
    if (!emit_front(b)) {
        return false;
    }
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        vs_emit_layer(b, "model.decoder.layers.", "model.decoder.layers.", i);
        if (!emit_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "", "");
    const vs_emit_linear_desc head = {
        .name = "lm_head",
        .out = c->dims.vocab,
        .in = c->own[EMBED_DIM],
        .flags = VS_TF_OUTPUT_HEAD | (c->is_tied ? VS_TF_TIED : 0u),
    };
    return vs_emit_linear_as(b, &head);
}

const vs_family vs_family_opt = {
    .model_type = "opt",
    .architecture = "OPTForCausalLM",
    .no_split_class = "OPTDecoderLayer",
    .defaults = {.max_positions = 2048},
    .is_tied_default = true,
    .has_no_intermediate = true,
    .has_no_rotary = true,
    .read = read,
    .emit = emit,
};
