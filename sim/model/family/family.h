/* sim/model/family/family.h - how a model family is written down.
 *
 * A family says which parameters Transformers 5 builds for a config, in module-definition order, and from
 * which checkpoint tensors they come. One small file per family: a vs_family with defaults and an emit function that
 * calls the helpers below. emit runs twice, first to count, then to fill; it must do the same both times.
 * To add a family: write the file, name it in `families` of family.c.
 *
 * Names and order: facts/models.md, checked against Transformers 5.12.1 (facts/real-modules.json.gz, which is
 * right where they differ). */
#ifndef VS_MODEL_FAMILY_H
#define VS_MODEL_FAMILY_H

#include "vramscope/model.h"

/* More layers than this are refused: the largest published models have 126 (Llama-3.1-405B). */
#define VS_LAYERS_MAX  4096
/* No more tensors than this in one model: DeepSeek-V3 has 91,991. */
#define VS_TENSORS_MAX (UINT32_C(1) << 20)

/* The numbers of a config.json as the class of its model_type reads it: class defaults filled in. */
typedef struct {
    const struct vs_family *family;
    vs_jnode root; /* the config object, for what only one family reads */
    vs_model_dims dims;
    bool is_tied;
    bool has_attention_bias; /* attention_bias: q, k, v and o */
    bool has_mlp_bias;
} vs_config;

typedef struct vs_builder vs_builder;

typedef struct vs_family {
    const char *model_type;
    const char *architecture;   /* default of "architectures" */
    const char *no_split_class; /* _no_split_modules */
    /* Class defaults (configuration_*.py of Transformers 5.12.1) where they matter for sizes. */
    uint64_t default_kv_heads;   /* 0: as many as heads */
    uint64_t default_head_dim;   /* 0: hidden_size / num_attention_heads */
    uint64_t default_window;     /* sliding_window when the key is absent */
    bool has_window_switch;      /* sliding_window counts only with use_sliding_window */
    const char *experts_key;     /* number of experts; NULL: a dense family */
    const char *expert_size_key; /* rows of one expert; NULL: intermediate_size */
    bool reads_attention_bias, reads_mlp_bias;
    bool (*emit)(vs_builder *b);
} vs_family;

/* Reads the common numbers. Errors name key, value and what was expected. */
VS_MUST_CHECK bool vs_config_read(vs_config *config, const vs_family *family,
                                  const vs_jnode *root, vs_err *err);

/* What a checkpoint holds that its config does not tell (catalogue). */
typedef struct {
    bool is_head_stored;    /* lm_head is stored although tied */
    uint32_t extra_tensors; /* room to leave behind the tensors */
} vs_builder_hints;

/* Emits config twice into model: counts, carves, fills tensors, targets and sources. */
VS_MUST_CHECK bool vs_builder_run(vs_model *model, vs_arena *arena, const vs_config *config,
                                  const vs_builder_hints *hints, vs_err *err);

/* ---- what emit may use -------------------------------------------------------------------- */

const vs_config *vs_builder_config(const vs_builder *b);
/* Fails the build with the place of a key. Always false. */
vs_err *vs_builder_err(vs_builder *b);

/* Names that follow get this prefix ("model.layers.3."); layer is -1 outside of the layers. */
void vs_emit_root(vs_builder *b);
void vs_emit_layer(vs_builder *b, const char *stem, uint64_t layer);

/* One parameter or buffer of the module tree. */
typedef struct {
    const char *name;      /* behind the prefix */
    const char *stored_as; /* checkpoint name behind the prefix; NULL: the same */
    uint64_t shape[3];
    uint32_t dim_count;
    uint32_t flags;       /* VS_TF_*; NON_PERSISTENT and TIED ones have no checkpoint tensor */
    vs_dtype fixed_dtype; /* of a buffer; ignored without VS_TF_BUFFER */
} vs_emit_desc;

VS_MUST_CHECK bool vs_emit(vs_builder *b, const vs_emit_desc *desc);
/* weight [out, in], and a bias [out] when has_bias. name has no ".weight". */
VS_MUST_CHECK bool vs_emit_linear(vs_builder *b, const char *name, uint64_t out, uint64_t in,
                                  bool has_bias);
/* name is the whole name behind the prefix. */
VS_MUST_CHECK bool vs_emit_norm(vs_builder *b, const char *name, uint64_t width);

/* The routed experts of one layer: two fused parameters from 3 * experts tensors [2.6]. */
typedef struct {
    const char *target; /* "mlp.experts": gate_up_proj and down_proj below it */
    const char *stored; /* "mlp.experts.": a number, a dot and one of the names below follow */
    const char *names[3];    /* in checkpoint order */
    uint32_t gate, up, down; /* which of names is which */
    uint64_t experts, rows, hidden;
} vs_emit_experts_desc;

VS_MUST_CHECK bool vs_emit_experts(vs_builder *b, const vs_emit_experts_desc *desc);

/* Blocks that most families share. */
VS_MUST_CHECK bool vs_emit_embedding(vs_builder *b, const char *name);
/* self_attn.{q,k,v,o}_proj; qk_norm adds q_norm and k_norm of head_dim. */
VS_MUST_CHECK bool vs_emit_attention(vs_builder *b, bool has_qkv_bias, bool has_o_bias,
                                     bool has_qk_norm);
/* mlp.{gate,up,down}_proj. */
VS_MUST_CHECK bool vs_emit_gated_mlp(vs_builder *b, uint64_t rows, bool has_bias);
/* input_layernorm, post_attention_layernorm. */
VS_MUST_CHECK bool vs_emit_two_norms(vs_builder *b);
/* model.norm, the rotary buffers and lm_head (tied or not). */
VS_MUST_CHECK bool vs_emit_tail(vs_builder *b);
/* A whole dense decoder in the manner of Llama. */
VS_MUST_CHECK bool vs_emit_dense_decoder(vs_builder *b, bool has_qkv_bias, bool has_o_bias,
                                         bool has_qk_norm);

extern const vs_family vs_family_llama;
extern const vs_family vs_family_mistral;
extern const vs_family vs_family_qwen2;
extern const vs_family vs_family_qwen3;
extern const vs_family vs_family_mixtral;
extern const vs_family vs_family_qwen3_moe;

#endif /* VS_MODEL_FAMILY_H */
