/* sim/model/family/deepseek.h - what the families with latent attention or DeepSeek's experts share. */
#ifndef VS_MODEL_DEEPSEEK_H
#define VS_MODEL_DEEPSEEK_H

#include "sim/model/family/family.h"

/* Latent attention and shared experts. q_lora_rank null: queries are projected directly. */
VS_MUST_CHECK bool vs_read_mla(vs_config *c, vs_err *err);
/* shared, first_dense: class defaults of n_shared_experts and first_k_dense_replace. */
VS_MUST_CHECK bool vs_read_shared_experts(vs_config *c, uint64_t shared, uint64_t first_dense,
                                          vs_err *err);
/* Experts, router with its correction, shared expert; or a plain MLP in the first layers. */
VS_MUST_CHECK bool vs_emit_deepseek_mlp(vs_builder *b, uint64_t layer);
/* The multi-token-prediction layers: stored, not loaded. Behind the decoder layers. */
VS_MUST_CHECK bool vs_emit_mtp_layers(vs_builder *b, vs_layer_emitter emit_layer);

#endif /* VS_MODEL_DEEPSEEK_H */
