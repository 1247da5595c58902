/* llama4.c - Llama 4 Scout, Maverick (Transformers 5.12.1 models/llama4/modeling_llama4.py).
 *
 * AutoModelForCausalLM builds the text model alone (facts/real-modules.json.gz), so the vision tower and its projector are
 * stored and not loaded. The experts are stored fused and transposed, [experts, in, out]. Checkpoint names begin with
 * language_model; facts/models.md. */
#include "sim/model/family/family.h"

static bool read_vision(vs_config *c, vs_err *err)
{
    const vs_jnode v = vs_json_member(&c->top, "vision_config");
    vs_vision_dims *const d = &c->vision;
    if (vs_json_is_absent(&v)) {
        return true; /* the text model alone */
    }
    if (!vs_json_is_object(&v)) {
        return vs_json_fail(&v, err, "expected an object with the numbers of the vision tower");
    }
    /* Llama4VisionConfig */
    if (!vs_read_default(&v, "hidden_size", 768, &d->hidden, err) ||
        !vs_read_default(&v, "intermediate_size", 5632, &d->intermediate, err) ||
        !vs_read_default(&v, "num_hidden_layers", 34, &d->layers, err) ||
        !vs_read_default(&v, "num_channels", 3, &d->channels, err) ||
        !vs_read_default(&v, "image_size", 448, &d->image, err) ||
        !vs_read_default(&v, "patch_size", 14, &d->patch, err) ||
        !vs_read_default(&v, "projector_input_dim", 4096, &d->projector_in, err) ||
        !vs_read_default(&v, "projector_output_dim", 4096, &d->projector_out, err) ||
        !vs_read_default(&v, "vision_output_dim", 7680, &d->out, err)) {
        return false;
    }
    return vs_check_vision(d, &v, err);
}

/* Layers without rotary embedding see everything, the others chunks: the default is every fourth. */
static bool read_chunks(vs_config *c, vs_err *err)
{
    const vs_jnode list = vs_json_member(&c->root, "no_rope_layers");
    uint64_t interval = 4;
    if (!vs_read_default(&c->root, "no_rope_layer_interval", 4, &interval, err) ||
        !vs_read_count(&c->root, "attention_chunk_size", 8192, &c->dims.sliding_window, err)) {
        return false;
    }
    vs_set_layer_period(c, interval, VS_LAYER_WINDOW);
    if (!vs_json_is_array(&list) || vs_json_count(&list) == 0 || c->has_layer_types) {
        return true;
    }
    const size_t count = vs_json_count(&list);
    if (count != c->dims.layers) {
        return vs_json_fail(&list, err,
                            "%zu entries, but there are %" PRIu64
                            " layers: expected one entry a layer",
                            count, c->dims.layers);
    }
    size_t layer = 0;
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t has_rope = 0;
        if (!vs_json_as_u64(&i, &has_rope, err)) {
            return false;
        }
        c->layer_types[layer++] = has_rope != 0 ? VS_LAYER_WINDOW : VS_LAYER_FULL;
    }
    return true;
}

/* moe_layers lists the sparse layers; without it every interleave_moe_layer_step-th is one. */
static bool read_moe_layers(vs_config *c, vs_err *err)
{
    const vs_jnode list = vs_json_member(&c->root, "moe_layers");
    if (!vs_read_default(&c->root, "interleave_moe_layer_step", 1, &c->moe.sparse_step, err) ||
        !vs_read_default(&c->root, "intermediate_size_mlp", 16384, &c->moe.dense_rows, err)) {
        return false;
    }
    if (!vs_json_is_array(&list)) {
        return true;
    }
    c->moe.sparse_step = 1;
    for (size_t w = 0; w < VS_LAYERS_MAX / 64; w++) {
        c->dense_set[w] = UINT64_MAX;
    }
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t layer = 0;
        if (!vs_json_as_u64(&i, &layer, err)) {
            return false;
        }
        if (layer < VS_LAYERS_MAX) {
            c->dense_set[layer / 64] &= ~(UINT64_C(1) << (layer % 64));
        }
    }
    return true;
}

static bool read(vs_config *c, vs_err *err)
{
    c->moe.shared_rows = c->dims.intermediate;
    return read_vision(c, err) && read_chunks(c, err) && read_moe_layers(c, err);
}

/* ---- vision: stored, not loaded ------------------------------------------------------------------- */

static bool emit_vision_layer(vs_builder *b)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    static const char *const names[4] = {"self_attn.q_proj", "self_attn.k_proj",
                                         "self_attn.v_proj", "self_attn.o_proj"};
    for (uint32_t i = 0; i < 4; i++) {
        if (!vs_emit_linear(b, names[i], v->hidden, v->hidden, true)) {
            return false;
        }
    }
    return vs_emit_linear(b, "mlp.fc1", v->intermediate, v->hidden, true) &&
           vs_emit_linear(b, "mlp.fc2", v->hidden, v->intermediate, true) &&
           vs_emit_layer_norm(b, "input_layernorm", v->hidden) &&
           vs_emit_layer_norm(b, "post_attention_layernorm", v->hidden);
}

static bool emit_vision_ends(vs_builder *b, bool is_front)
{
    const vs_vision_dims *const v = &vs_builder_config(b)->vision;
    const uint64_t side = v->image / v->patch;
    const vs_emit_desc class_token = {.name = "class_embedding", .shape = {{v->hidden}, 1}};
    const vs_emit_desc positions = {.name = "positional_embedding_vlm",
                                    .shape = {{side * side + 1, v->hidden}, 2}};
    if (is_front) {
        return vs_emit(b, &class_token) && vs_emit(b, &positions) &&
               vs_emit_linear(b, "patch_embedding.linear", v->hidden,
                              v->channels * v->patch * v->patch, false) &&
               vs_emit_layer_norm(b, "layernorm_pre", v->hidden);
    }
    return vs_emit_layer_norm(b, "layernorm_post", v->hidden) &&
           vs_emit_linear(b, "vision_adapter.mlp.fc1", v->projector_in, v->intermediate,
                          false) &&
           vs_emit_linear(b, "vision_adapter.mlp.fc2", v->projector_out, v->projector_in,
                          false);
}

static bool emit_vision(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    vs_emit_root(b, "vision_model.", "vision_model.");
    if (!vs_emit_unloaded(b, "vision_model.", "the vision tower") ||
        !emit_vision_ends(b, true)) {
        return false;
    }
    for (uint64_t i = 0; i < c->vision.layers; i++) {
        vs_emit_block(b, "vision_model.model.layers.", "vision_model.model.layers.", i);
        if (!emit_vision_layer(b)) {
            return false;
        }
    }
    vs_emit_root(b, "vision_model.", "vision_model.");
    if (!emit_vision_ends(b, false)) {
        return false;
    }
    vs_emit_root(b, "multi_modal_projector.", "multi_modal_projector.");
    const bool is_done =
        vs_emit_unloaded(b, "multi_modal_projector.", "the projector of the vision tower") &&
        vs_emit_linear(b, "linear_1", c->dims.hidden, c->vision.out, false);
    vs_emit_loaded(b);
    return is_done;
}

/* ---- text ------------------------------------------------------------------------------------------- */

static bool emit_moe(vs_builder *b)
{
    const vs_config *const c = vs_builder_config(b);
    const vs_model_dims *const d = &c->dims;
    const vs_emit_desc up = {.name = "feed_forward.experts.gate_up_proj",
                             .shape = {{d->experts, d->hidden, 2 * d->intermediate}, 3},
                             .flags = VS_TF_EXPERTS};
    const vs_emit_desc down = {.name = "feed_forward.experts.down_proj",
                               .shape = {{d->experts, d->intermediate, d->hidden}, 3},
                               .flags = VS_TF_EXPERTS};
    /* Llama4Router is a subclass of nn.Linear: no exact one, so no quantiser replaces it */
    const vs_emit_desc router = {.name = "feed_forward.router.weight",
                                 .shape = {{d->experts, d->hidden}, 2},
                                 .flags = VS_TF_ROUTER};
    return vs_emit(b, &up) && vs_emit(b, &down) && vs_emit(b, &router) &&
           vs_emit_gated(b, "feed_forward.shared_expert", c->moe.shared_rows, false);
}

static bool emit_text(vs_builder *b, const char *stored, const char *stored_layers)
{
    const vs_config *const c = vs_builder_config(b);
    const bool has_bias = c->has_attention_bias;
    vs_emit_root(b, "model.", stored);
    if (!vs_emit_embedding(b, "embed_tokens.weight")) {
        return false;
    }
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        vs_emit_layer(b, "model.layers.", stored_layers, i);
        if (!vs_emit_attention(b, has_bias, has_bias, false) ||
            !(vs_is_sparse_layer(c, i)
                  ? emit_moe(b)
                  : vs_emit_gated(b, "feed_forward", c->moe.dense_rows, false)) ||
            !vs_emit_two_norms(b)) {
            return false;
        }
    }
    vs_emit_root(b, "model.", stored);
    return vs_emit_norm(b, "norm.weight", c->dims.hidden) && vs_emit_rotary(b, "rotary_emb");
}

static bool emit(vs_builder *b)
{
    if (vs_builder_config(b)->vision.layers > 0 && !emit_vision(b)) {
        return false;
    }
    if (!emit_text(b, "language_model.model.", "language_model.model.layers.")) {
        return false;
    }
    vs_emit_root(b, "", "language_model.");
    return vs_emit_head(b, "lm_head", NULL, false);
}

static bool emit_text_only(vs_builder *b)
{
    if (!emit_text(b, "model.", "model.layers.")) {
        return false;
    }
    vs_emit_root(b, "", "");
    return vs_emit_head(b, "lm_head", NULL, false);
}

/* Llama4TextConfig */
#define TEXT_DEFAULTS                                                                          \
    {                                                                                          \
        .hidden = 5120, .layers = 48, .heads = 40, .kv_heads = 8, .head_dim = 128,             \
        .intermediate = 8192, .vocab = 202048, .max_positions = 131072, .experts = 16,         \
        .experts_per_token = 1                                                                 \
    }

const vs_family vs_family_llama4 = {
    .model_type = "llama4",
    .architecture = "Llama4ForCausalLM",
    .no_split_class = "Llama4TextDecoderLayer",
    .text_key = "text_config",
    .defaults = TEXT_DEFAULTS,
    .reads_tie_in_text = true,
    .experts_key = "num_local_experts",
    .reads_attention_bias = true,
    .read = read,
    .emit = emit,
};

const vs_family vs_family_llama4_text = {
    .model_type = "llama4_text",
    .architecture = "Llama4ForCausalLM",
    .no_split_class = "Llama4TextDecoderLayer",
    .defaults = TEXT_DEFAULTS,
    .experts_key = "num_local_experts",
    .reads_attention_bias = true,
    .read = read,
    .emit = emit_text_only,
};
