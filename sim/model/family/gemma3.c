/* gemma3.c - Gemma 3 with its vision tower, and its text model alone (Transformers 5.12.1 models/gemma3/modeling_gemma3.py,
 * models/siglip/modeling_siglip.py).
 *
 * In the checkpoint the tower is vision_tower.vision_model and the text model language_model.model; version 5 builds
 * model.vision_tower, model.multi_modal_projector and model.language_model, the tower first. The published configs leave
 * out what is the class default, so the text model's sizes have defaults here. */
#include "sim/model/family/gemma.h"

enum { USE_HEAD };

/* Gemma3TextConfig */
#define TEXT_DEFAULTS                                                                          \
    {                                                                                          \
        .hidden = 2304, .layers = 26, .heads = 8, .kv_heads = 4, .head_dim = 256,              \
        .intermediate = 9216, .vocab = 262208, .max_positions = 131072, .sliding_window = 4096 \
    }

/* Every sixth layer is full; older files call the period sliding_window_pattern, and it may be _sliding_window_pattern. */
static bool read_text(vs_config *c, vs_err *err)
{
    uint64_t period = 6;
    if (!vs_read_default(&c->root, "_sliding_window_pattern", 6, &period, err) ||
        !vs_read_default(&c->root, "sliding_window_pattern", period, &period, err)) {
        return false;
    }
    vs_set_layer_period(c, period, VS_LAYER_WINDOW);
    return true;
}

static bool read_vision(vs_config *c, vs_err *err)
{
    const vs_jnode v = vs_json_member(&c->top, "vision_config");
    vs_vision_dims *const d = &c->vision;
    /* SiglipVisionConfig */
    if (!vs_read_default(&v, "hidden_size", 768, &d->hidden, err) ||
        !vs_read_default(&v, "intermediate_size", 3072, &d->intermediate, err) ||
        !vs_read_default(&v, "num_hidden_layers", 12, &d->layers, err) ||
        !vs_read_default(&v, "num_channels", 3, &d->channels, err) ||
        !vs_read_default(&v, "image_size", 224, &d->image, err) ||
        !vs_read_default(&v, "patch_size", 16, &d->patch, err) ||
        !vs_read_switch(&v, "vision_use_head", true, &c->switches[USE_HEAD], err)) {
        return false;
    }
    return vs_check_vision(d, &v, err);
}

static bool read(vs_config *c, vs_err *err)
{
    return read_text(c, err) && read_vision(c, err);
}

/* ---- vision ------------------------------------------------------------------------------------- */

static bool emit_vision_embeddings(vs_builder *b)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    const uint64_t side = v->image / v->patch;
    const vs_emit_desc patch = {.name = "embeddings.patch_embedding.weight",
                                .shape = {{v->hidden, v->channels, v->patch, v->patch}, 4}};
    const vs_emit_desc bias = {.name = "embeddings.patch_embedding.bias",
                               .shape = {{v->hidden}, 1},
                               .flags = VS_TF_BIAS};
    const vs_emit_desc positions = {.name = "embeddings.position_embedding.weight",
                                    .shape = {{side * side, v->hidden}, 2},
                                    .flags = VS_TF_EMBEDDING};
    const vs_emit_desc ids = {.name = "embeddings.position_ids",
                              .shape = {{1, side * side}, 2},
                              .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT,
                              .dtype = VS_DT_I64};
    return vs_emit(b, &patch) && vs_emit(b, &bias) && vs_emit(b, &positions) &&
           vs_emit(b, &ids);
}

static bool emit_vision_layer(vs_builder *b)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    static const char *const names[4] = {"self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.q_proj", "self_attn.out_proj"};
    if (!vs_emit_layer_norm(b, "layer_norm1", v->hidden)) {
        return false;
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (!vs_emit_linear(b, names[i], v->hidden, v->hidden, true)) {
            return false;
        }
    }
    return vs_emit_layer_norm(b, "layer_norm2", v->hidden) &&
           vs_emit_linear(b, "mlp.fc1", v->intermediate, v->hidden, true) &&
           vs_emit_linear(b, "mlp.fc2", v->hidden, v->intermediate, true);
}

/* SiglipMultiheadAttentionPoolingHead: built unless vision_use_head is false, which the published configs say. Its attention
 * is torch.nn.MultiheadAttention, whose output projection is no exact nn.Linear. */
static bool emit_vision_head(vs_builder *b)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    const vs_emit_desc parts[5] = {
        {.name = "head.probe", .shape = {{1, 1, v->hidden}, 3}},
        {.name = "head.attention.in_proj_weight", .shape = {{3 * v->hidden, v->hidden}, 2}},
        {.name = "head.attention.in_proj_bias",
         .shape = {{3 * v->hidden}, 1},
         .flags = VS_TF_BIAS},
        {.name = "head.attention.out_proj.weight", .shape = {{v->hidden, v->hidden}, 2}},
        {.name = "head.attention.out_proj.bias",
         .shape = {{v->hidden}, 1},
         .flags = VS_TF_BIAS},
    };
    for (uint32_t i = 0; i < 5; i++) {
        if (!vs_emit(b, &parts[i])) {
            return false;
        }
    }
    return vs_emit_layer_norm(b, "head.layernorm", v->hidden) &&
           vs_emit_linear(b, "head.mlp.fc1", v->intermediate, v->hidden, true) &&
           vs_emit_linear(b, "head.mlp.fc2", v->hidden, v->intermediate, true);
}

static bool emit_vision(vs_builder *b)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    static const char root[] = "model.vision_tower.";
    static const char stored[] = "vision_tower.vision_model.";
    vs_emit_root(b, root, stored);
    if (!emit_vision_embeddings(b)) {
        return false;
    }
    for (uint64_t i = 0; i < v->layers; i++) {
        vs_emit_block(b, "model.vision_tower.encoder.layers.",
                      "vision_tower.vision_model.encoder.layers.", i);
        if (!emit_vision_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, root, stored);
    return vs_emit_layer_norm(b, "post_layernorm", v->hidden) &&
           (!vs_builder_config(b)->switches[USE_HEAD] || emit_vision_head(b));
}

static bool emit_projector(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_emit_desc weight = {.name = "mm_input_projection_weight",
                                 .shape = {{c->vision.hidden, c->dims.hidden}, 2}};
    vs_emit_root(b, "model.multi_modal_projector.", "multi_modal_projector.");
    return vs_emit(b, &weight) && vs_emit_norm(b, "mm_soft_emb_norm.weight", c->vision.hidden);
}

/* ---- text ------------------------------------------------------------------------------------------ */

/* Two sets of rotary buffers, one a layer type that occurs. Transformers makes them in the order of a set, which is not
 * fixed; full comes first here, as it does in facts/real-modules.json.gz. */
static bool emit_rotary(vs_builder *b)
{
    static const char *const names[2][2] = {
        {"rotary_emb.full_attention_inv_freq", "rotary_emb.full_attention_original_inv_freq"},
        {"rotary_emb.sliding_attention_inv_freq",
         "rotary_emb.sliding_attention_original_inv_freq"}};
    const vs_config *const c = vs_builder_config(b);
    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t type = i < 2 ? VS_LAYER_FULL : VS_LAYER_WINDOW;
        bool occurs = false;
        for (uint64_t l = 0; l < c->dims.layers; l++) {
            occurs = occurs || c->layer_types[l] == type;
        }
        const vs_emit_desc desc = {.name = names[i / 2][i % 2],
                                   .shape = {{c->rotary}, 1},
                                   .flags = VS_TF_BUFFER | VS_TF_NON_PERSISTENT,
                                   .dtype = VS_DT_F32};
        if (occurs && !vs_emit(b, &desc)) {
            return false;
        }
    }
    return true;
}

/* root: of the module tree, "model.language_model."; stored: "language_model.model." */
static bool emit_text(vs_builder *b, const char *root, const char *stored, const char *layers,
                      const char *stored_layers)
{
    vs_emit_root(b, root, stored);
    if (!vs_emit_gemma_embedding(b, "embed_tokens.weight", "embed_tokens.embed_scale")) {
        return false;
    }
    for (uint64_t i = 0; i < vs_builder_config(b)->dims.layers; i++) {
        vs_emit_layer(b, layers, stored_layers, i);
        if (!vs_emit_gemma_layer(b, true)) {
            return false;
        }
    }
    vs_emit_root(b, root, stored);
    return vs_emit_norm(b, "norm.weight", vs_builder_config(b)->dims.hidden) && emit_rotary(b);
}

static bool emit(vs_builder *b)
{
    if (!emit_vision(b) || !emit_projector(b) ||
        !emit_text(b, "model.language_model.", "language_model.model.",
                   "model.language_model.layers.", "language_model.model.layers.")) {
        return false;
    }
    vs_emit_root(b, "", "language_model.");
    return vs_emit_head(b, "lm_head", NULL, false);
}

static bool emit_text_only(vs_builder *b)
{
    if (!emit_text(b, "model.", "model.", "model.layers.", "model.layers.")) {
        return false;
    }
    vs_emit_root(b, "", "");
    return vs_emit_head(b, "lm_head", NULL, false);
}

const vs_family vs_family_gemma3 = {
    .model_type = "gemma3",
    .architecture = "Gemma3ForConditionalGeneration",
    .no_split_class =
        "Gemma3DecoderLayer,SiglipEncoderLayer,SiglipMultiheadAttentionPoolingHead,"
        "SiglipTextEmbeddings,SiglipVisionEmbeddings",
    .text_key = "text_config",
    .defaults = TEXT_DEFAULTS,
    .is_tied_default = true,
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};

const vs_family vs_family_gemma3_text = {
    .model_type = "gemma3_text",
    .architecture = "Gemma3ForCausalLM",
    .no_split_class = "Gemma3DecoderLayer",
    .defaults = TEXT_DEFAULTS,
    .is_tied_default = true,
    .reads_attention_bias = true,
    .read = read_text,
    .emit = emit_text_only,
};
