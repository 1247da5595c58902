/* gguf_arch.c - what the architectures of llama.cpp call their numbers and tensors, and what Transformers calls them.
 *
 * Keys: gguf-py 0.19.0 constants.py (class Keys); which config key they are: integrations/ggml.py
 * (GGUF_CONFIG_MAPPING) of Transformers 5.12.1 for the architectures it loads, the converters of llama.cpp
 * (convert_hf_to_gguf.py, set_gguf_parameters of each class) for the others and for what is written only. Tensors:
 * gguf-py 0.19.0 tensor_mapping.py and constants.py (TENSOR_NAMES), and modify_tensors of the converters where a
 * tensor is split. */
#include <stdio.h>
#include <string.h>

#include "sim/model/gguf.h"

/* ---- numbers --------------------------------------------------------------------------------- */

/* clang-format off */
static const vs_gguf_key base_keys[] = {
    {"context_length", "max_position_embeddings", VS_GK_WHOLE, VS_GD_POSITIONS, 0},
    {"embedding_length", "hidden_size", VS_GK_WHOLE, VS_GD_HIDDEN, 0},
    {"attention.head_count", "num_attention_heads", VS_GK_WHOLE, VS_GD_HEADS, 0},
    {"vocab_size", "vocab_size", VS_GK_WHOLE, VS_GD_VOCAB, 0},
    {0}};

static const vs_gguf_key block_keys[] = {
    {"block_count", "num_hidden_layers", VS_GK_WHOLE, VS_GD_LAYERS, 0}, {0}};

static const vs_gguf_key feed_forward_keys[] = {
    {"feed_forward_length", "intermediate_size", VS_GK_WHOLE, VS_GD_INTERMEDIATE, 0}, {0}};

static const vs_gguf_key kv_keys[] = {
    {"attention.head_count_kv", "num_key_value_heads", VS_GK_WHOLE, VS_GD_KV_HEADS, 0}, {0}};

/* llama.cpp insists on an epsilon: 1e-6 is the default of most classes. */
static const vs_gguf_key rms_keys[] = {
    {"rope.freq_base", "rope_theta", VS_GK_REAL, VS_GD_NONE, 10000.0},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", VS_GK_REAL, VS_GD_NONE, 1e-6},
    {0}};

static const vs_gguf_key head_keys[] = {
    {"attention.key_length", "head_dim", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0},
    {"attention.value_length", "", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0},
    {0}};

/* integrations/ggml.py: "rope.dimension_count==head_dim only suitable for llama/mistral" */
static const vs_gguf_key llama_keys[] = {
    {"rope.dimension_count", "head_dim", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0},
    {"attention.key_length", "", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0},
    {"attention.value_length", "", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0},
    {0}};

static const vs_gguf_key mixtral_keys[] = {
    {"expert_count", "num_local_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {0}};

static const vs_gguf_key rope_keys[] = {
    {"rope.dimension_count", "", VS_GK_WHOLE, VS_GD_HEAD_DIM, 0}, {0}};

static const vs_gguf_key qwen_moe_keys[] = {
    {"expert_count", "num_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {"expert_feed_forward_length", "moe_intermediate_size", VS_GK_WHOLE, VS_GD_EXPERT_ROWS, 0},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size", VS_GK_WHOLE, VS_GD_NONE, 0},
    {0}};

static const vs_gguf_key olmoe_keys[] = {
    {"expert_count", "num_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {0}};

static const vs_gguf_key qwen3next_keys[] = {
    {"full_attention_interval", "full_attention_interval", VS_GK_WHOLE, VS_GD_NONE, 4},
    {"ssm.conv_kernel", "linear_conv_kernel_dim", VS_GK_WHOLE, VS_GD_NONE, 4},
    {"ssm.state_size", "linear_key_head_dim", VS_GK_WHOLE, VS_GD_NONE, 128},
    {"ssm.group_count", "linear_num_key_heads", VS_GK_WHOLE, VS_GD_NONE, 16},
    {"ssm.time_step_rank", "linear_num_value_heads", VS_GK_WHOLE, VS_GD_NONE, 32},
    {0}};

static const vs_gguf_key gemma_keys[] = {
    {"attention.sliding_window", "sliding_window", VS_GK_WHOLE, VS_GD_NONE, 0}, {0}};

static const vs_gguf_key phi3_keys[] = {
    {"attention.sliding_window", "", VS_GK_WHOLE, VS_GD_NONE, 0}, {0}};

static const vs_gguf_key gpt_oss_keys[] = {
    {"expert_count", "num_local_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {"expert_feed_forward_length", "intermediate_size", VS_GK_WHOLE, VS_GD_INTERMEDIATE, 0},
    {"attention.sliding_window", "sliding_window", VS_GK_WHOLE, VS_GD_NONE, 0},
    {0}};

static const vs_gguf_key falcon_keys[] = {
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", VS_GK_REAL, VS_GD_NONE, 1e-5},
    {"attention.head_count_kv", "num_kv_heads", VS_GK_WHOLE, VS_GD_KV_HEADS, 0},
    {"feed_forward_length", "ffn_hidden_size", VS_GK_WHOLE, VS_GD_INTERMEDIATE, 0},
    {0}};

static const vs_gguf_key bloom_keys[] = {
    {"block_count", "n_layer", VS_GK_WHOLE, VS_GD_LAYERS, 0},
    {"embedding_length", "hidden_size", VS_GK_WHOLE, VS_GD_HIDDEN, 0},
    {"attention.head_count", "n_head", VS_GK_WHOLE, VS_GD_HEADS, 0},
    {"vocab_size", "vocab_size", VS_GK_WHOLE, VS_GD_VOCAB, 0},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", VS_GK_REAL, VS_GD_NONE, 1e-5},
    {"context_length", "seq_length", VS_GK_WHOLE, VS_GD_NONE, 2048},
    {"feed_forward_length", "", VS_GK_WHOLE, VS_GD_INTERMEDIATE, 0},
    {0}};

static const vs_gguf_key starcoder2_keys[] = {
    {"attention.layer_norm_epsilon", "norm_epsilon", VS_GK_REAL, VS_GD_NONE, 1e-5},
    {"rope.freq_base", "rope_theta", VS_GK_REAL, VS_GD_NONE, 10000.0},
    {0}};

static const vs_gguf_key gptneox_keys[] = {
    {"attention.layer_norm_epsilon", "layer_norm_eps", VS_GK_REAL, VS_GD_NONE, 1e-5},
    {"use_parallel_residual", "use_parallel_residual", VS_GK_SWITCH, VS_GD_NONE, 1},
    {0}};

static const vs_gguf_key gptj_keys[] = {
    {"context_length", "n_positions", VS_GK_WHOLE, VS_GD_POSITIONS, 0},
    {"embedding_length", "n_embd", VS_GK_WHOLE, VS_GD_HIDDEN, 0},
    {"block_count", "n_layer", VS_GK_WHOLE, VS_GD_LAYERS, 0},
    {"attention.head_count", "n_head", VS_GK_WHOLE, VS_GD_HEADS, 0},
    {"vocab_size", "vocab_size", VS_GK_WHOLE, VS_GD_VOCAB, 0},
    {"feed_forward_length", "n_inner", VS_GK_WHOLE, VS_GD_INTERMEDIATE, 0},
    {"rope.dimension_count", "rotary_dim", VS_GK_WHOLE, VS_GD_NONE, 64},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", VS_GK_REAL, VS_GD_NONE, 1e-5},
    {0}};

static const vs_gguf_key granite_keys[] = {
    {"attention.scale", "attention_multiplier", VS_GK_REAL, VS_GD_NONE, 0},
    {"embedding_scale", "embedding_multiplier", VS_GK_REAL, VS_GD_NONE, 0},
    {"residual_scale", "residual_multiplier", VS_GK_REAL, VS_GD_NONE, 0},
    {"logit_scale", "logits_scaling", VS_GK_REAL, VS_GD_NONE, 0},
    {0}};

static const vs_gguf_key deepseek_moe_keys[] = {
    {"leading_dense_block_count", "first_k_dense_replace", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"expert_feed_forward_length", "moe_intermediate_size", VS_GK_WHOLE, VS_GD_EXPERT_ROWS, 0},
    {"expert_count", "n_routed_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_shared_count", "n_shared_experts", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {"expert_group_count", "n_group", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"expert_group_used_count", "topk_group", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"expert_weights_scale", "routed_scaling_factor", VS_GK_REAL, VS_GD_NONE, 0},
    {"expert_weights_norm", "norm_topk_prob", VS_GK_SWITCH, VS_GD_NONE, 0},
    {0}};

/* Files of before April 2025 have no *_mla keys: their key_length and value_length are those of a head. */
static const vs_gguf_key mla_keys[] = {
    {"attention.kv_lora_rank", "kv_lora_rank", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"rope.dimension_count", "qk_rope_head_dim", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"attention.value_length_mla", "v_head_dim", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"attention.value_length", "v_head_dim", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"attention.head_count", "num_key_value_heads", VS_GK_WHOLE, VS_GD_HEADS, 0},
    {0}};

/* conversion of Llama 4: feed_forward_length is intermediate_size_mlp, the experts' is intermediate_size. */
static const vs_gguf_key llama4_keys[] = {
    {"feed_forward_length", "intermediate_size_mlp", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"expert_feed_forward_length", "intermediate_size", VS_GK_WHOLE, VS_GD_NONE, 0},
    {"interleave_moe_layer_step", "interleave_moe_layer_step", VS_GK_WHOLE, VS_GD_NONE, 1},
    {"expert_count", "num_local_experts", VS_GK_WHOLE, VS_GD_EXPERTS, 0},
    {"expert_used_count", "num_experts_per_tok", VS_GK_WHOLE, VS_GD_EXPERTS_USED, 0},
    {0}};

/* ---- tensors --------------------------------------------------------------------------------------- */

#define PLAIN(gguf, module) {gguf, module, NULL, false, false}
#define WHOLE(gguf, module) {gguf, module, NULL, false, true}
#define FIRST(gguf, module, piece) {gguf, module, piece, false, true}
#define SECOND(gguf, module, piece) {gguf, module, piece, true, true}
#define END {0}

static const vs_gguf_part usual_roots[] = {
    PLAIN("token_embd", "model.embed_tokens"), PLAIN("output_norm", "model.norm"),
    PLAIN("output", "lm_head"), END};

static const vs_gguf_part usual_parts[] = {
    PLAIN("attn_norm", "input_layernorm"),
    PLAIN("attn_q", "self_attn.q_proj"), PLAIN("attn_k", "self_attn.k_proj"),
    PLAIN("attn_v", "self_attn.v_proj"), PLAIN("attn_output", "self_attn.o_proj"),
    PLAIN("attn_q_norm", "self_attn.q_norm"), PLAIN("attn_k_norm", "self_attn.k_norm"),
    PLAIN("ffn_norm", "post_attention_layernorm"),
    PLAIN("ffn_gate", "mlp.gate_proj"), PLAIN("ffn_up", "mlp.up_proj"),
    PLAIN("ffn_down", "mlp.down_proj"), END};

static const vs_gguf_part experts_parts[] = {
    PLAIN("ffn_gate_inp", "mlp.gate"),
    FIRST("ffn_gate_exps.weight", "mlp.experts.gate_up_proj", "mlp.experts.gate_proj"),
    SECOND("ffn_up_exps.weight", "mlp.experts.gate_up_proj", "mlp.experts.up_proj"),
    WHOLE("ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj"),
    WHOLE("ffn_down_exps.weight", "mlp.experts.down_proj"),
    WHOLE("exp_probs_b.bias", "mlp.gate.e_score_correction_bias"), END};

static const vs_gguf_part shared_experts_parts[] = {
    PLAIN("ffn_gate_shexp", "mlp.shared_experts.gate_proj"),
    PLAIN("ffn_up_shexp", "mlp.shared_experts.up_proj"),
    PLAIN("ffn_down_shexp", "mlp.shared_experts.down_proj"), END};

static const vs_gguf_part shared_expert_parts[] = {
    PLAIN("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    PLAIN("ffn_up_shexp", "mlp.shared_expert.up_proj"),
    PLAIN("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    PLAIN("ffn_gate_inp_shexp", "mlp.shared_expert_gate"), END};

static const vs_gguf_part after_attention_parts[] = {
    PLAIN("post_attention_norm", "post_attention_layernorm"), END};

static const vs_gguf_part gemma_parts[] = {
    PLAIN("post_attention_norm", "post_attention_layernorm"),
    PLAIN("ffn_norm", "pre_feedforward_layernorm"),
    PLAIN("post_ffw_norm", "post_feedforward_layernorm"), END};

static const vs_gguf_part phi3_parts[] = {
    PLAIN("attn_qkv", "self_attn.qkv_proj"), PLAIN("ffn_up", "mlp.gate_up_proj"), END};

static const vs_gguf_part gpt_oss_parts[] = {
    PLAIN("post_attention_norm", "post_attention_layernorm"),
    WHOLE("attn_sinks.weight", "self_attn.sinks"), PLAIN("ffn_gate_inp", "mlp.router"),
    FIRST("ffn_gate_exps.bias", "mlp.experts.gate_up_proj_bias", "mlp.experts.gate_proj_bias"),
    SECOND("ffn_up_exps.bias", "mlp.experts.gate_up_proj_bias", "mlp.experts.up_proj_bias"),
    WHOLE("ffn_down_exps.bias", "mlp.experts.down_proj_bias"), END};

static const vs_gguf_part falcon_roots[] = {
    PLAIN("token_embd", "transformer.word_embeddings"), PLAIN("output_norm", "transformer.ln_f"),
    PLAIN("output", "lm_head"), END};

/* Falcon-40B has two norms: tensor_mapping.py, ATTN_NORM and ATTN_NORM_2. */
static const vs_gguf_part falcon_parts[] = {
    PLAIN("attn_norm", "input_layernorm"), PLAIN("attn_norm", "ln_mlp"),
    PLAIN("attn_norm_2", "ln_attn"), PLAIN("attn_qkv", "self_attention.query_key_value"),
    PLAIN("attn_output", "self_attention.dense"), PLAIN("ffn_norm", "post_attention_layernorm"),
    PLAIN("ffn_up", "mlp.dense_h_to_4h"), PLAIN("ffn_down", "mlp.dense_4h_to_h"), END};

static const vs_gguf_part bloom_roots[] = {
    PLAIN("token_embd", "transformer.word_embeddings"),
    PLAIN("token_embd_norm", "transformer.word_embeddings_layernorm"),
    PLAIN("output_norm", "transformer.ln_f"), PLAIN("output", "lm_head"), END};

static const vs_gguf_part starcoder2_parts[] = {
    PLAIN("ffn_up", "mlp.c_fc"), PLAIN("ffn_down", "mlp.c_proj"), END};

static const vs_gguf_part gptneox_roots[] = {
    PLAIN("token_embd", "gpt_neox.embed_in"), PLAIN("output_norm", "gpt_neox.final_layer_norm"),
    PLAIN("output", "lm_head"), PLAIN("output", "embed_out"), END};

static const vs_gguf_part gptneox_parts[] = {
    PLAIN("attn_norm", "input_layernorm"), PLAIN("ffn_norm", "post_attention_layernorm"),
    PLAIN("attn_qkv", "attention.query_key_value"), PLAIN("attn_output", "attention.dense"),
    PLAIN("ffn_up", "mlp.dense_h_to_4h"), PLAIN("ffn_down", "mlp.dense_4h_to_h"), END};

static const vs_gguf_part gptj_roots[] = {
    PLAIN("token_embd", "transformer.wte"), PLAIN("output_norm", "transformer.ln_f"),
    PLAIN("output", "lm_head"), END};

static const vs_gguf_part gptj_parts[] = {
    PLAIN("attn_norm", "ln_1"), PLAIN("attn_q", "attn.q_proj"), PLAIN("attn_k", "attn.k_proj"),
    PLAIN("attn_v", "attn.v_proj"), PLAIN("attn_output", "attn.out_proj"),
    PLAIN("ffn_up", "mlp.fc_in"), PLAIN("ffn_down", "mlp.fc_out"), END};

/* Since April 2025 kv_b is stored as two tensors of three dimensions, the first one transposed. */
static const vs_gguf_part deepseek_parts[] = {
    PLAIN("attn_q_a", "self_attn.q_a_proj"), PLAIN("attn_q_a_norm", "self_attn.q_a_layernorm"),
    PLAIN("attn_q_b", "self_attn.q_b_proj"),
    PLAIN("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"),
    PLAIN("attn_kv_a_norm", "self_attn.kv_a_layernorm"),
    FIRST("attn_k_b.weight", "self_attn.kv_b_proj.weight", "self_attn.k_b_proj.weight"),
    SECOND("attn_v_b.weight", "self_attn.kv_b_proj.weight", "self_attn.v_b_proj.weight"),
    PLAIN("attn_kv_b", "self_attn.kv_b_proj"), END};

static const vs_gguf_part llama4_parts[] = {
    PLAIN("ffn_gate_inp", "feed_forward.router"),
    FIRST("ffn_gate_exps.weight", "feed_forward.experts.gate_up_proj",
          "feed_forward.experts.gate_proj"),
    SECOND("ffn_up_exps.weight", "feed_forward.experts.gate_up_proj",
           "feed_forward.experts.up_proj"),
    WHOLE("ffn_down_exps.weight", "feed_forward.experts.down_proj"),
    PLAIN("ffn_gate_shexp", "feed_forward.shared_expert.gate_proj"),
    PLAIN("ffn_up_shexp", "feed_forward.shared_expert.up_proj"),
    PLAIN("ffn_down_shexp", "feed_forward.shared_expert.down_proj"),
    PLAIN("ffn_gate", "feed_forward.gate_proj"), PLAIN("ffn_up", "feed_forward.up_proj"),
    PLAIN("ffn_down", "feed_forward.down_proj"), END};

static const vs_gguf_part qwen3next_parts[] = {
    PLAIN("post_attention_norm", "post_attention_layernorm"),
    FIRST("attn_qkv.weight", "linear_attn.in_proj_qkvz.weight", "linear_attn.in_proj_qkv.weight"),
    SECOND("attn_gate.weight", "linear_attn.in_proj_qkvz.weight", "linear_attn.in_proj_z.weight"),
    PLAIN("ssm_in", "linear_attn.in_proj_qkvz"), PLAIN("ssm_ba", "linear_attn.in_proj_ba"),
    PLAIN("ssm_conv1d", "linear_attn.conv1d"), WHOLE("ssm_a", "linear_attn.A_log"),
    WHOLE("ssm_dt.bias", "linear_attn.dt_bias"), PLAIN("ssm_norm", "linear_attn.norm"),
    PLAIN("ssm_out", "linear_attn.out_proj"), END};

/* ---- architectures ------------------------------------------------------------------------------------- */

#define KEYS(...)  (const vs_gguf_key *const[]){__VA_ARGS__, NULL}
#define PARTS(...) (const vs_gguf_part *const[]){__VA_ARGS__, NULL}

/* Of entries with one name the first that applies counts. */
static const vs_gguf_arch archs[] = {
    {"llama", "mixtral", "MixtralForCausalLM", "expert_count", 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, llama_keys, mixtral_keys),
     PARTS(usual_roots), PARTS(usual_parts, experts_parts)},
    {"llama", "llama", "LlamaForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, llama_keys),
     PARTS(usual_roots), PARTS(usual_parts)},
    {"mistral3", "mistral", "MistralForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, llama_keys),
     PARTS(usual_roots), PARTS(usual_parts)},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys),
     PARTS(usual_roots), PARTS(usual_parts)},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, head_keys),
     PARTS(usual_roots), PARTS(usual_parts)},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, qwen_moe_keys),
     PARTS(usual_roots), PARTS(shared_expert_parts, usual_parts, experts_parts)},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, head_keys,
          qwen_moe_keys),
     PARTS(usual_roots), PARTS(usual_parts, experts_parts)},
    {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, head_keys, qwen_moe_keys,
          qwen3next_keys),
     PARTS(usual_roots),
     PARTS(qwen3next_parts, shared_expert_parts, usual_parts, experts_parts)},
    {"olmoe", "olmoe", "OlmoeForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, olmoe_keys),
     PARTS(usual_roots), PARTS(usual_parts, experts_parts)},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, head_keys, gemma_keys),
     PARTS(usual_roots), PARTS(gemma_parts, usual_parts)},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, head_keys, gemma_keys),
     PARTS(usual_roots), PARTS(gemma_parts, usual_parts)},
    {"phi3", "phi3", "Phi3ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, phi3_keys),
     PARTS(usual_roots), PARTS(phi3_parts, usual_parts)},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, head_keys, gpt_oss_keys),
     PARTS(usual_roots), PARTS(gpt_oss_parts, usual_parts, experts_parts)},
    {"falcon", "falcon", "FalconForCausalLM", NULL, 0, true, true, "transformer.h.",
     KEYS(base_keys, block_keys, falcon_keys), PARTS(falcon_roots), PARTS(falcon_parts)},
    {"bloom", "bloom", "BloomForCausalLM", NULL, 0, true, true, "transformer.h.",
     KEYS(bloom_keys), PARTS(bloom_roots), PARTS(falcon_parts)},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM", NULL, 0, true, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, starcoder2_keys),
     PARTS(usual_roots), PARTS(starcoder2_parts, usual_parts)},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", NULL, 0, false, false, "gpt_neox.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, gptneox_keys), PARTS(gptneox_roots),
     PARTS(gptneox_parts)},
    {"gptj", "gptj", "GPTJForCausalLM", NULL, 0, false, false, "transformer.h.",
     KEYS(gptj_keys), PARTS(gptj_roots), PARTS(gptj_parts)},
    {"granite", "granite", "GraniteForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, kv_keys, rms_keys, rope_keys, granite_keys),
     PARTS(usual_roots), PARTS(usual_parts)},
    /* ExpertGatingFuncType.SIGMOID: what tells version 3 from version 2 */
    {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM", "expert_gating_func", 2, false, false,
     "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, rms_keys, deepseek_moe_keys, mla_keys),
     PARTS(usual_roots),
     PARTS(deepseek_parts, shared_experts_parts, usual_parts, experts_parts)},
    {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, feed_forward_keys, rms_keys, deepseek_moe_keys, mla_keys),
     PARTS(usual_roots),
     PARTS(deepseek_parts, shared_experts_parts, usual_parts, experts_parts)},
    {"glm4moe", "glm4_moe", "Glm4MoeForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, feed_forward_keys, kv_keys, rms_keys, head_keys, deepseek_moe_keys),
     PARTS(usual_roots),
     PARTS(after_attention_parts, shared_experts_parts, usual_parts, experts_parts)},
    {"llama4", "llama4_text", "Llama4ForCausalLM", NULL, 0, false, false, "model.layers.",
     KEYS(base_keys, block_keys, kv_keys, rms_keys, head_keys, llama4_keys), PARTS(usual_roots),
     PARTS(llama4_parts, usual_parts)},
};
/* clang-format on */

#define ARCH_COUNT (sizeof archs / sizeof archs[0])

const vs_gguf_entry *vs_gguf_find_arch(const vs_gguf *gguf, const vs_gguf_arch *arch,
                                       const char *key)
{
    char full[160];
    const int count = snprintf(full, sizeof full, "%s.%s", arch->name, key);
    return count > 0 && (size_t)count < sizeof full ? vs_gguf_find(gguf, full) : NULL;
}

static bool applies(const vs_gguf *gguf, const vs_gguf_arch *arch)
{
    if (arch->when_key == NULL) {
        return true;
    }
    const vs_gguf_entry *const entry = vs_gguf_find_arch(gguf, arch, arch->when_key);
    uint64_t value = 0;
    return entry != NULL && vs_gguf_u64(gguf, entry, 0, &value) &&
           (arch->when_value == 0 ? value != 0 : value == arch->when_value);
}

const vs_gguf_arch *vs_gguf_arch_of_file(const vs_gguf *gguf, vs_str name)
{
    for (size_t i = 0; i < ARCH_COUNT; i++) {
        if (vs_str_is(name, archs[i].name) && applies(gguf, &archs[i])) {
            return &archs[i];
        }
    }
    return NULL;
}

const vs_gguf_arch *vs_gguf_arch_of_type(const char *model_type)
{
    /* llama.cpp's converter has one architecture for all of these */
    static const char *const aliases[][2] = {
        {"mistral", "llama"}, {"gemma3", "gemma3_text"}, {"llama4", "llama4_text"}};
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        model_type = strcmp(model_type, aliases[i][0]) == 0 ? aliases[i][1] : model_type;
    }
    for (size_t i = 0; i < ARCH_COUNT; i++) {
        if (strcmp(model_type, archs[i].model_type) == 0) {
            return &archs[i];
        }
    }
    return NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------- */

/* name is part->gguf, or with .weight or .bias behind it: rest is that. */
static bool matches(const vs_gguf_part *part, const char *name, const char **rest)
{
    const size_t count = strlen(part->gguf);
    if (strncmp(name, part->gguf, count) != 0) {
        return false;
    }
    *rest = name + count;
    return part->is_whole_name
               ? name[count] == '\0'
               : strcmp(name + count, ".weight") == 0 || strcmp(name + count, ".bias") == 0;
}

static const vs_gguf_part *find_part(const vs_gguf_part *const *lists, const char *name,
                                     uint32_t candidate, const char **rest)
{
    for (; *lists != NULL; lists++) {
        for (const vs_gguf_part *part = *lists; part->gguf != NULL; part++) {
            if (matches(part, name, rest) && candidate-- == 0) {
                return part;
            }
        }
    }
    return NULL;
}

/* "blk.12.attn_q.weight": the layer, and what is behind it; NULL: no such name. */
static const char *split_layer(const char *name, uint64_t *layer)
{
    if (strncmp(name, "blk.", 4) != 0) {
        return NULL;
    }
    const size_t digits = strspn(name + 4, "0123456789");
    if (digits == 0 || digits > 6 || name[4 + digits] != '.' ||
        !vs_parse_u64((vs_str){name + 4, digits}, layer, NULL)) {
        return NULL;
    }
    return name + 4 + digits + 1;
}

/* "ffn_gate.7.weight": an expert by itself, in files of before April 2024, all of which are Mixtral's. */
static bool place_expert(const vs_gguf_arch *arch, uint64_t layer, const char *name,
                         vs_gguf_place *out)
{
    static const char *const kinds[][2] = {
        {"ffn_gate.", "w1"}, {"ffn_down.", "w2"}, {"ffn_up.", "w3"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t count = strlen(kinds[i][0]);
        const char *const digits = name + count;
        uint64_t expert = 0;
        if (strncmp(name, kinds[i][0], count) != 0) {
            continue;
        }
        const size_t digit_count = strspn(digits, "0123456789");
        if (digit_count == 0 || digit_count > 6 ||
            strcmp(digits + digit_count, ".weight") != 0 ||
            !vs_parse_u64((vs_str){digits, digit_count}, &expert, NULL)) {
            return false;
        }
        out->expert = (int64_t)expert;
        (void)snprintf(out->module, sizeof out->module,
                       "%s%" PRIu64 ".block_sparse_moe.experts.%" PRIu64 ".%s.weight",
                       arch->stem, layer, expert, kinds[i][1]);
        return true;
    }
    return false;
}

bool vs_gguf_place_of(const vs_gguf_arch *arch, const char *name, uint32_t candidate,
                      vs_gguf_place *out)
{
    uint64_t layer = 0;
    const char *rest = "";
    const char *const inner = split_layer(name, &layer);
    const vs_gguf_part *const part = inner == NULL
                                         ? find_part(arch->roots, name, candidate, &rest)
                                         : find_part(arch->parts, inner, candidate, &rest);
    *out = (vs_gguf_place){.expert = -1};
    if (part == NULL) {
        return inner != NULL && candidate == 0 && strcmp(arch->model_type, "mixtral") == 0 &&
               place_expert(arch, layer, inner, out);
    }
    char prefix[64] = "";
    if (inner != NULL) {
        (void)snprintf(prefix, sizeof prefix, "%s%" PRIu64 ".", arch->stem, layer);
    }
    (void)snprintf(out->module, sizeof out->module, "%s%s%s", prefix, part->module, rest);
    if (part->piece != NULL) {
        (void)snprintf(out->piece, sizeof out->piece, "%s%s", prefix, part->piece);
    }
    out->is_second = part->is_second;
    return true;
}

/* The part of one list that a parameter is, behind its layer's stem; rest: .weight or .bias, or "" */
static const vs_gguf_part *find_module(const vs_gguf_part *const *lists, const char *module,
                                       bool is_second, const char **rest)
{
    for (; *lists != NULL; lists++) {
        for (const vs_gguf_part *part = *lists; part->gguf != NULL; part++) {
            const size_t count = strlen(part->module);
            if (strncmp(module, part->module, count) != 0 || part->is_second != is_second) {
                continue;
            }
            *rest = module + count;
            if (part->is_whole_name
                    ? module[count] == '\0'
                    : strcmp(*rest, ".weight") == 0 || strcmp(*rest, ".bias") == 0) {
                return part;
            }
        }
    }
    return NULL;
}

uint32_t vs_gguf_names_of(const vs_gguf_arch *arch, const char *module, char out[2][96])
{
    const size_t stem_bytes = strlen(arch->stem);
    const vs_gguf_part *const *lists = arch->roots;
    char prefix[32] = "";
    if (strncmp(module, arch->stem, stem_bytes) == 0) {
        const size_t digits = strspn(module + stem_bytes, "0123456789");
        if (digits == 0 || digits > 6 || module[stem_bytes + digits] != '.') {
            return 0;
        }
        (void)snprintf(prefix, sizeof prefix, "blk.%.*s.", (int)digits, module + stem_bytes);
        module += stem_bytes + digits + 1;
        lists = arch->parts;
    }
    const char *rest = "";
    const vs_gguf_part *const first = find_module(lists, module, false, &rest);
    if (first == NULL) {
        return 0;
    }
    (void)snprintf(out[0], 96, "%s%s%s", prefix, first->gguf, rest);
    if (first->piece == NULL) {
        return 1;
    }
    const vs_gguf_part *const second = find_module(lists, module, true, &rest);
    vs_assert(second != NULL);
    (void)snprintf(out[1], 96, "%s%s%s", prefix, second->gguf, rest);
    return 2;
}
