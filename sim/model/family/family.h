/* sim/model/family/family.h - how a model family is written down.
 *
 * A family says which parameters Transformers 5 builds for a config, in module-definition order, and from
 * which checkpoint tensors they come. One small file per family: a vs_family with defaults, perhaps a read function
 * for numbers of its own, and an emit function that calls the helpers below. emit runs three times (builder.c); it
 * must do the same each time. To add a family: write the file, name it in `families` of family.c.
 *
 * Names and order: facts/models.md, checked against Transformers 5.12.1 (facts/real-modules.json.gz and
 * tests/data/modules, which are right where they differ). */
#ifndef VS_MODEL_FAMILY_H
#define VS_MODEL_FAMILY_H

#include "sim/model/family/layout.h"
#include "vramscope/model.h"

/* More layers than this are refused: the largest published models have 126 (Llama-3.1-405B). */
#define VS_LAYERS_MAX  4096
/* No more tensors than this in one model: DeepSeek-V3 has 91,991. */
#define VS_TENSORS_MAX (UINT32_C(1) << 20)

/* What a layer attends to. */
typedef enum {
    VS_LAYER_FULL,
    VS_LAYER_WINDOW, /* sliding or chunked: keeps a window of keys and values */
    VS_LAYER_LINEAR  /* keeps a state of fixed size */
} vs_layer_type;

/* Latent attention (DeepSeek). q_lora 0: queries are projected directly. */
typedef struct {
    uint64_t q_lora, kv_lora, nope, rope, value;
} vs_mla_dims;

/* Mixture of experts beyond vs_model_dims. */
typedef struct {
    uint64_t first_dense; /* layers below are dense */
    uint64_t sparse_step; /* layer i is sparse when (i + 1) % sparse_step == 0 */
    uint64_t shared_rows; /* of the shared expert, 0: none */
    uint64_t mtp_layers;  /* multi-token-prediction blocks: stored, not loaded */
    uint64_t dense_rows;  /* of the MLP of dense layers */
} vs_moe_dims;

/* Gated delta net (Qwen3-Next). */
typedef struct {
    uint64_t key_heads, value_heads, key_dim, value_dim, kernel;
} vs_linear_dims;

typedef struct {
    uint64_t hidden, intermediate, layers, channels, image, patch;
    uint64_t projector_in, projector_out, out; /* llama4 */
} vs_vision_dims;

/* The numbers of a config.json as the class of its model_type reads it: class defaults filled in. */
typedef struct {
    const struct vs_family *family;
    vs_jnode top;  /* the config object */
    vs_jnode root; /* the object with the text model's numbers: top, or its text_config */
    vs_model_dims dims;
    uint64_t rotary; /* elements of a rotary inv_freq buffer */
    bool is_tied;
    bool has_attention_bias; /* attention_bias: q, k, v and o */
    bool has_mlp_bias;
    vs_mla_dims mla;
    vs_moe_dims moe;
    vs_linear_dims linear;
    vs_vision_dims vision;
    uint64_t own[4];                        /* numbers that only one family has */
    bool switches[6];                       /* switches that only one family has */
    bool has_layer_types;                   /* the config lists them */
    uint8_t layer_types[VS_LAYERS_MAX];     /* vs_layer_type */
    uint64_t dense_set[VS_LAYERS_MAX / 64]; /* mlp_only_layers, one bit a layer */
    vs_dtype stored_dtype;                  /* of what is not quantised */
    vs_layout layout;
} vs_config;

typedef struct vs_builder vs_builder;

/* Other names of the usual keys; NULL: the usual one only. The usual one wins. */
typedef struct {
    const char *hidden, *layers, *heads, *kv_heads, *intermediate, *positions;
} vs_key_aliases;

typedef struct vs_family {
    const char *model_type;
    const char *other_type;     /* a second model_type of the same class, or NULL */
    const char *architecture;   /* default of "architectures" */
    const char *no_split_class; /* _no_split_modules; several are separated by commas */
    const char *text_key;       /* the text model's numbers are under this key, or NULL */
    vs_key_aliases aliases;
    /* Class defaults (configuration_*.py of Transformers 5.12.1). hidden, layers, heads, intermediate, vocab: 0: the config
     * must have them. kv_heads 0: as many as heads; head_dim 0: hidden / heads; sliding_window: when the key is absent. */
    vs_model_dims defaults;
    bool has_window_switch; /* sliding_window counts only with use_sliding_window */
    bool is_tied_default;
    bool
        reads_tie_in_text; /* tie_word_embeddings of the text_config counts, not the outer one */
    bool is_attention_bias_default;
    const char *experts_key;       /* number of experts; NULL: a dense family */
    const char *other_experts_key; /* a second name of it */
    const char *expert_size_key;   /* rows of one expert; NULL: intermediate_size */
    bool reads_attention_bias, reads_mlp_bias;
    bool has_no_intermediate; /* derives it in read */
    bool has_no_rotary;
    bool stores_tied_head; /* published checkpoints hold the head although it is tied */
    uint8_t
        rotary_quarters; /* share of a head that is rotated when the config does not say, in quarters; 0: all */
    bool (*read)(
        vs_config *c,
        vs_err *err); /* own numbers and layer types, after the common ones; NULL: none */
    bool (*emit)(vs_builder *b);
} vs_family;

/* Reads the common numbers, the family's own and the quantisation. Errors name key, value and what was expected. Close
 * the layout afterwards. */
VS_MUST_CHECK bool vs_config_read(vs_config *config, const vs_family *family, vs_arena *arena,
                                  const vs_jnode *top, vs_dtype dtype, vs_err *err);

/* For read functions: one number. */
typedef struct {
    const char *key;
    const char *alias; /* or NULL */
    uint64_t fallback; /* when absent and not required */
    bool is_required;
    bool may_be_zero;
} vs_number_rule;

VS_MUST_CHECK bool vs_read_number(const vs_jnode *object, const vs_number_rule *rule,
                                  uint64_t *out, vs_err *err);
/* required, above 0 */
VS_MUST_CHECK bool vs_read_required(const vs_jnode *object, const char *key, uint64_t *out,
                                    vs_err *err);
/* above 0, or fallback when absent */
VS_MUST_CHECK bool vs_read_default(const vs_jnode *object, const char *key, uint64_t fallback,
                                   uint64_t *out, vs_err *err);
/* 0 or above, or fallback when absent */
VS_MUST_CHECK bool vs_read_count(const vs_jnode *object, const char *key, uint64_t fallback,
                                 uint64_t *out, vs_err *err);
VS_MUST_CHECK bool vs_read_switch(const vs_jnode *object, const char *key, bool fallback,
                                  bool *out, vs_err *err);
/* vision_config: numbers whose products would not fit, more layers than VS_LAYERS_MAX, patches larger than the image. */
VS_MUST_CHECK bool vs_check_vision(const vs_vision_dims *d, const vs_jnode *object,
                                   vs_err *err);
/* Marks layers as windowed unless the config lists layer_types: layer i is full when (i + 1) % period == 0. */
void vs_set_layer_period(vs_config *c, uint64_t period, vs_layer_type others);

/* One entry of the catalogue's checkpoint.extra. */
typedef struct {
    const char *name; /* "model.layers.{layer}.self_attn.rotary_emb.inv_freq" */
    vs_shape shape;
    vs_dtype dtype;
} vs_extra;

#define VS_EXTRAS_MAX 16u

/* What a checkpoint holds that its config does not tell (catalogue). */
typedef struct {
    bool is_head_stored; /* lm_head is stored although tied */
    vs_bytes max_shard_bytes;
    vs_extra extras[VS_EXTRAS_MAX];
    uint32_t extra_count;
} vs_builder_hints;

/* Emits config three times into model: tensors in key order, targets, modules, sources, shards. */
VS_MUST_CHECK bool vs_builder_run(vs_model *model, vs_arena *arena, const vs_config *config,
                                  const vs_builder_hints *hints, vs_err *err);

/* ---- what emit may use -------------------------------------------------------------------- */

const vs_config *vs_builder_config(const vs_builder *b);
vs_err *vs_builder_err(vs_builder *b);

/* Names that follow get these prefixes ("model.layers." and a number and a dot): that of the module tree and that of the
 * checkpoint. layer is -1 outside of the layers. */
void vs_emit_root(vs_builder *b, const char *stem, const char *stored_stem);
void vs_emit_layer(vs_builder *b, const char *stem, const char *stored_stem, uint64_t layer);
/* The same, for blocks that are no decoder layers (vision towers): layer stays -1. */
void vs_emit_block(vs_builder *b, const char *stem, const char *stored_stem, uint64_t number);

/* What follows, until vs_emit_loaded, is stored in the checkpoint but not loaded. prefix: what its names begin with; what:
 * for the note, "the multi-token-prediction layer". */
VS_MUST_CHECK bool vs_emit_unloaded(vs_builder *b, const char *prefix, const char *what);
void vs_emit_loaded(vs_builder *b);

/* One parameter or buffer of the module tree. */
typedef struct {
    const char *name;      /* behind the prefix */
    const char *stored_as; /* checkpoint name behind the prefix; NULL: the same */
    vs_shape shape;
    uint32_t flags;        /* VS_TF_*; NON_PERSISTENT and TIED ones have no checkpoint tensor */
    vs_dtype dtype;        /* of buffers and of VS_TF_QUANT_* */
    bool has_load_dtype;   /* a buffer that is cast like a parameter */
    vs_dtype stored_dtype; /* with has_stored_dtype: whatever the model's dtype */
    bool has_stored_dtype;
    bool is_input_embedding;
} vs_emit_desc;

VS_MUST_CHECK bool vs_emit(vs_builder *b, const vs_emit_desc *desc);

/* weight [out, in], and a bias [out] when has_bias; quantised when the layout says so. */
typedef struct {
    const char *name; /* without ".weight" */
    const char *stored_as;
    uint64_t out, in;
    bool has_bias;
    uint32_t flags; /* besides VS_TF_LINEAR */
} vs_emit_linear_desc;

VS_MUST_CHECK bool vs_emit_linear_as(vs_builder *b, const vs_emit_linear_desc *linear);
VS_MUST_CHECK bool vs_emit_linear(vs_builder *b, const char *name, uint64_t out, uint64_t in,
                                  bool has_bias);
/* name is the whole name behind the prefix. */
VS_MUST_CHECK bool vs_emit_norm(vs_builder *b, const char *name, uint64_t width);
/* name.weight and name.bias: a LayerNorm. */
VS_MUST_CHECK bool vs_emit_layer_norm(vs_builder *b, const char *name, uint64_t width);

/* The routed experts of one layer: two fused parameters from 3 * experts tensors [2.6]. */
typedef struct {
    const char *target; /* "mlp.experts": gate_up_proj and down_proj below it */
    const char *stored; /* "mlp.experts.": a number, a dot and one of the names below follow */
    const char *names[3];    /* in checkpoint order, without ".weight" */
    uint32_t gate, up, down; /* which of names is which */
    uint64_t experts, rows, hidden;
} vs_emit_experts_desc;

VS_MUST_CHECK bool vs_emit_experts(vs_builder *b, const vs_emit_experts_desc *desc);
/* mlp.experts.{e}.{gate,up,down}_proj of moe_intermediate rows: the qwen2_moe naming. */
VS_MUST_CHECK bool vs_emit_usual_experts(vs_builder *b);
/* mlp.gate.weight [experts, hidden], a bare parameter. */
VS_MUST_CHECK bool vs_emit_router(vs_builder *b);

/* One projection of all experts in MXFP4 (mxfp4.c). plain: the parameter of the module; packed: the stored blocks. */
VS_MUST_CHECK bool vs_emit_mxfp4(vs_builder *b, const char *name, const uint64_t plain[3],
                                 const uint64_t packed[4]);

/* The layout's scheme for a linear at the prefix, NULL: stored plainly. For families with layouts of their own. */
const vs_scheme *vs_builder_scheme(vs_builder *b, const char *name, uint32_t flags);

/* Blocks that most families share. */
VS_MUST_CHECK bool vs_emit_embedding(vs_builder *b, const char *name);
/* self_attn.{q,k,v,o}_proj; qk_norm adds q_norm and k_norm of head_dim. */
VS_MUST_CHECK bool vs_emit_attention(vs_builder *b, bool has_qkv_bias, bool has_o_bias,
                                     bool has_qk_norm);
/* The latent attention of DeepSeek. */
VS_MUST_CHECK bool vs_emit_mla(vs_builder *b);
/* module.{gate,up,down}_proj. */
VS_MUST_CHECK bool vs_emit_gated(vs_builder *b, const char *module, uint64_t rows,
                                 bool has_bias);
/* mlp.{gate,up,down}_proj. */
VS_MUST_CHECK bool vs_emit_gated_mlp(vs_builder *b, uint64_t rows, bool has_bias);
/* input_layernorm, post_attention_layernorm. */
VS_MUST_CHECK bool vs_emit_two_norms(vs_builder *b);
/* name and its copy ("x.inv_freq", "x.original_inv_freq"): module is "model.rotary_emb". */
VS_MUST_CHECK bool vs_emit_rotary(vs_builder *b, const char *module);
/* lm_head (tied or not) at the root prefix. */
VS_MUST_CHECK bool vs_emit_head(vs_builder *b, const char *name, const char *stored_as,
                                bool has_bias);
/* One decoder layer; the prefix is set. */
typedef bool (*vs_layer_emitter)(vs_builder *b, uint64_t layer);

/* model.embed_tokens and all of model.layers. */
VS_MUST_CHECK bool vs_emit_layers(vs_builder *b, vs_layer_emitter emit_layer);
/* model.norm, the rotary buffers and lm_head. */
VS_MUST_CHECK bool vs_emit_tail(vs_builder *b);
/* A whole dense decoder in the manner of Llama. */
VS_MUST_CHECK bool vs_emit_dense_decoder(vs_builder *b, bool has_qkv_bias, bool has_o_bias,
                                         bool has_qk_norm);
/* Whether layer i has experts: moe.first_dense, moe.sparse_step, dense_set. */
bool vs_is_sparse_layer(const vs_config *c, uint64_t layer);

extern const vs_family vs_family_llama;
extern const vs_family vs_family_mistral;
extern const vs_family vs_family_qwen2;
extern const vs_family vs_family_qwen3;
extern const vs_family vs_family_granite;
extern const vs_family vs_family_phi3;
extern const vs_family vs_family_gemma2;
extern const vs_family vs_family_gemma3;
extern const vs_family vs_family_gemma3_text;
extern const vs_family vs_family_starcoder2;
extern const vs_family vs_family_falcon;
extern const vs_family vs_family_bloom;
extern const vs_family vs_family_opt;
extern const vs_family vs_family_gptj;
extern const vs_family vs_family_gpt_neox;
extern const vs_family vs_family_mixtral;
extern const vs_family vs_family_qwen3_moe;
extern const vs_family vs_family_olmoe;
extern const vs_family vs_family_deepseek_v2;
extern const vs_family vs_family_deepseek_v3;
extern const vs_family vs_family_glm4_moe;
extern const vs_family vs_family_qwen3_next;
extern const vs_family vs_family_llama4;
extern const vs_family vs_family_llama4_text;
extern const vs_family vs_family_gpt_oss;

#endif /* VS_MODEL_FAMILY_H */
