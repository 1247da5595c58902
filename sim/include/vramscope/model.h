/* vramscope/model.h - what a checkpoint contains and what Transformers makes of it.
 *
 * A vs_model is read from a config.json, from the headers of a checkpoint (safetensors, PyTorch .bin, GGUF; single
 * file, index, hub cache folder) or from the built-in catalogue. Weights are never read. It holds two lists and
 * the way from one to the other:
 *
 *   checkpoint tensors  ->  targets (parameters of the module tree that Transformers 5 builds)
 *   in file/key order       in module-definition order
 *
 * A target is a plain rename of one checkpoint tensor, or a merge of many (fused experts: stack, then
 * perhaps concatenate). Tensors no target wants are dropped (never read). Of a checkpoint that is quantised already there is
 * a third list, the architecture without a quantiser (modules), and how it is dequantised.
 *
 * Plain data, immutable once read, shared between runs and threads. Lives in the arena given
 * to the reader. Sources of every formula: facts/models.md, specs/transformers-loading.md [2.3, 2.6]. */
#ifndef VS_MODEL_H
#define VS_MODEL_H

#include "vramscope/base.h"

/* ---- element types ------------------------------------------------------------------ */

/* X(enum, safetensors name, torch name, bits per element, is floating) - safetensors 0.5 tensor.rs */
#define VS_DTYPES(X)                                                                           \
    X(VS_DT_F64, "F64", "float64", 64, 1)                                                      \
    X(VS_DT_F32, "F32", "float32", 32, 1)                                                      \
    X(VS_DT_F16, "F16", "float16", 16, 1)                                                      \
    X(VS_DT_BF16, "BF16", "bfloat16", 16, 1)                                                   \
    X(VS_DT_F8_E4M3, "F8_E4M3", "float8_e4m3fn", 8, 1)                                         \
    X(VS_DT_F8_E5M2, "F8_E5M2", "float8_e5m2", 8, 1)                                           \
    X(VS_DT_F8_E8M0, "F8_E8M0", "float8_e8m0fnu", 8, 1)                                        \
    X(VS_DT_F4, "F4", "float4_e2m1fn_x2", 4, 1)                                                \
    X(VS_DT_I64, "I64", "int64", 64, 0)                                                        \
    X(VS_DT_U64, "U64", "uint64", 64, 0)                                                       \
    X(VS_DT_I32, "I32", "int32", 32, 0)                                                        \
    X(VS_DT_U32, "U32", "uint32", 32, 0)                                                       \
    X(VS_DT_I16, "I16", "int16", 16, 0)                                                        \
    X(VS_DT_U16, "U16", "uint16", 16, 0)                                                       \
    X(VS_DT_I8, "I8", "int8", 8, 0)                                                            \
    X(VS_DT_U8, "U8", "uint8", 8, 0)                                                           \
    X(VS_DT_BOOL, "BOOL", "bool", 8, 0)

/* X(enum, ggml name, ggml type id, elements of a block, bytes of a block): the types of GGUF files that keep
 * elements in blocks with scales of their own. ggml.h (enum ggml_type) and ggml-common.h (struct block_*) of
 * ggml-org/llama.cpp; the same figures in gguf-py 0.19.0 constants.py GGML_QUANT_SIZES, except for Q8_1: it still
 * has the 40 bytes of before 2024, when the two scales were floats. Q8_1 and Q8_K are types of intermediate results. */
#define VS_GGML_BLOCK_DTYPES(X)                                                                \
    X(VS_DT_Q4_0, "Q4_0", 2, 32, 18)                                                           \
    X(VS_DT_Q4_1, "Q4_1", 3, 32, 20)                                                           \
    X(VS_DT_Q5_0, "Q5_0", 6, 32, 22)                                                           \
    X(VS_DT_Q5_1, "Q5_1", 7, 32, 24)                                                           \
    X(VS_DT_Q8_0, "Q8_0", 8, 32, 34)                                                           \
    X(VS_DT_Q8_1, "Q8_1", 9, 32, 36)                                                           \
    X(VS_DT_Q2_K, "Q2_K", 10, 256, 84)                                                         \
    X(VS_DT_Q3_K, "Q3_K", 11, 256, 110)                                                        \
    X(VS_DT_Q4_K, "Q4_K", 12, 256, 144)                                                        \
    X(VS_DT_Q5_K, "Q5_K", 13, 256, 176)                                                        \
    X(VS_DT_Q6_K, "Q6_K", 14, 256, 210)                                                        \
    X(VS_DT_Q8_K, "Q8_K", 15, 256, 292)                                                        \
    X(VS_DT_IQ2_XXS, "IQ2_XXS", 16, 256, 66)                                                   \
    X(VS_DT_IQ2_XS, "IQ2_XS", 17, 256, 74)                                                     \
    X(VS_DT_IQ3_XXS, "IQ3_XXS", 18, 256, 98)                                                   \
    X(VS_DT_IQ1_S, "IQ1_S", 19, 256, 50)                                                       \
    X(VS_DT_IQ4_NL, "IQ4_NL", 20, 32, 18)                                                      \
    X(VS_DT_IQ3_S, "IQ3_S", 21, 256, 110)                                                      \
    X(VS_DT_IQ2_S, "IQ2_S", 22, 256, 82)                                                       \
    X(VS_DT_IQ4_XS, "IQ4_XS", 23, 256, 136)                                                    \
    X(VS_DT_IQ1_M, "IQ1_M", 29, 256, 56)                                                       \
    X(VS_DT_TQ1_0, "TQ1_0", 34, 256, 54)                                                       \
    X(VS_DT_TQ2_0, "TQ2_0", 35, 256, 66)                                                       \
    X(VS_DT_MXFP4, "MXFP4", 39, 32, 17)                                                        \
    X(VS_DT_NVFP4, "NVFP4", 40, 64, 36)                                                        \
    X(VS_DT_Q1_0, "Q1_0", 41, 128, 18)

typedef enum {

#define VS_X(id, name, torch, bits, fp) id,
    VS_DTYPES(VS_X)
#undef VS_X
#define VS_X(id, name, ggml, elements, bytes) id,
        VS_GGML_BLOCK_DTYPES(VS_X)
#undef VS_X
            VS_DT_COUNT
} vs_dtype;

/* The dtypes below this one are those of safetensors, the others are ggml's block types. */
#define VS_DT_SAFETENSORS_COUNT ((uint32_t)VS_DT_Q4_0)

const char *vs_dtype_name(vs_dtype dtype); /* "BF16"; "Q4_K" */
/* "bfloat16"; torch has no block types: their ggml name */
const char *vs_dtype_torch_name(vs_dtype dtype);
/* Of one element. Block types: rounded up, Q4_K has 5 (4.5); sizes are vs_dtype_bytes' business. */
uint32_t vs_dtype_bits(vs_dtype dtype);
bool vs_dtype_is_float(vs_dtype dtype); /* block types stand for floats */
/* Elements that are kept together: 1, 2 for F4, or those of a block. */
uint32_t vs_dtype_block_elements(vs_dtype dtype);
bool vs_dtype_is_block(vs_dtype dtype); /* one of ggml's block types */
/* Type id of a GGUF tensor. VS_DT_COUNT when ggml has no such type (any more). */
vs_dtype vs_dtype_find_ggml(uint32_t type_id);
/* The other way; false when ggml has none. */
VS_MUST_CHECK bool vs_dtype_ggml_type(vs_dtype dtype, uint32_t *type_id);
/* Safetensors name, exact. VS_DT_COUNT when unknown. */
vs_dtype vs_dtype_find(vs_str name);
/* Torch name with or without "torch.", and fp32 fp16 bf16. VS_DT_COUNT when unknown. */
vs_dtype vs_dtype_find_torch(vs_str name);
/* ceil(elements * bits / 8); of block types, whole blocks: a started one counts. false on overflow. */
VS_MUST_CHECK bool vs_dtype_bytes(vs_dtype dtype, uint64_t elements, vs_bytes *out);

/* ---- tensors ----------------------------------------------------------------------------- */

#define VS_DIMS_MAX 8

typedef struct {
    const char *name; /* arena string */
    uint64_t shape[VS_DIMS_MAX];
    uint32_t dim_count;
    vs_dtype dtype;
    uint64_t elements;
    vs_bytes size_bytes;  /* stored */
    uint32_t shard;       /* index into shards */
    uint32_t target;      /* index into targets, or VS_NO_TARGET: dropped on load */
    vs_bytes file_offset; /* absolute, in its shard; 0 when known from a config only */
} vs_tensor;

#define VS_NO_TARGET UINT32_MAX

typedef enum {
    VS_MERGE_NONE,      /* rename of one tensor */
    VS_MERGE_STACK,     /* stack sources on a new dim 0 */
    VS_MERGE_STACK_CAT, /* part_count stacks, then concatenate on dim 1 */
    VS_MERGE_CAT        /* part_count tensors of three dimensions, concatenated on dim 1 */
} vs_merge;

/* What a quantiser needs to know about a parameter. */
enum {
    VS_TF_LINEAR = 1u << 0, /* weight of an exact nn.Linear */
    VS_TF_BIAS = 1u << 1,
    VS_TF_OUTPUT_HEAD = 1u << 2, /* the output embedding */
    VS_TF_EMBEDDING = 1u << 3,
    VS_TF_TIED = 1u << 4,    /* shares storage with tied_to */
    VS_TF_EXPERTS = 1u << 5, /* fused 3-D expert parameter */
    VS_TF_ROUTER = 1u << 6,
    VS_TF_NORM = 1u << 7,
    VS_TF_BUFFER = 1u << 8,         /* buffer, not a parameter */
    VS_TF_NON_PERSISTENT = 1u << 9, /* not in any checkpoint (rotary inv_freq) */
    VS_TF_LAST_MODULE = 1u << 10,   /* belongs to the module that owns the last parameter */
    VS_TF_KEEP_FP32 = 1u << 11,
    /* Of a checkpoint that is quantised already: what is stored in place of a weight. */
    VS_TF_QUANT_DATA = 1u << 12, /* the packed or narrow values */
    VS_TF_QUANT_META = 1u << 13  /* scales, zero points, group indices, code tables */
};

typedef struct {
    const char *name; /* module path, "model.layers.0.mlp.experts.gate_up_proj" */
    uint64_t shape[VS_DIMS_MAX];
    uint32_t dim_count;
    uint32_t flags; /* VS_TF_* */
    uint64_t elements;
    int32_t layer;    /* decoder layer, -1: none */
    uint32_t tied_to; /* target index, or VS_NO_TARGET */
    vs_merge merge;
    uint32_t part_count;   /* patterns: 2 for gate_up, else 1 */
    uint32_t first_source; /* into sources */
    uint32_t source_count; /* 0: nothing in the checkpoint (tied, missing, non-persistent) */
    /* How many of the sources, the last ones, are scales and the like: needed only to dequantise. A target with
     * some is computed from all of its sources, not copied. */
    uint32_t companion_count;
    /* VS_DT_F32 for buffers that keep their own, the stored type of quantised data; VS_DT_COUNT: the load dtype */
    vs_dtype fixed_dtype;
} vs_target;

typedef struct {
    const char *file;    /* name as the index has it, "" for config-only models */
    vs_bytes size_bytes; /* data bytes of its tensors */
    vs_bytes file_bytes; /* header included; 0: unknown */
    bool is_legacy;      /* .bin from before PyTorch 1.6: read into memory, never mapped */
} vs_shard;

/* A part of the checkpoint that the architecture does not load, though it is well known. */
typedef struct {
    const char *prefix; /* what its names begin with: "model.layers.61." */
    const char *what;   /* "the multi-token-prediction layer" */
} vs_unloaded;

#define VS_UNLOADED_MAX 32

/* How a checkpoint is quantised: the quantization_config of its config.json, or what its headers show. */
typedef enum {
    VS_QF_NONE,
    VS_QF_FP8,      /* blocks of 128 x 128, F8_E4M3 with F32 scales (DeepSeek-V3) */
    VS_QF_MXFP4,    /* experts in blocks of 32 four-bit floats, one scale byte each (gpt-oss) */
    VS_QF_GPTQ,     /* qweight, qzeros, scales, g_idx */
    VS_QF_AWQ,      /* qweight, qzeros, scales */
    VS_QF_BNB_4BIT, /* bitsandbytes nf4, fp4 */
    VS_QF_BNB_8BIT, /* bitsandbytes LLM.int8() */
    VS_QF_COMPRESSED_TENSORS, /* int4, int8, fp8, nvfp4 */
    VS_QF_OTHER               /* known only by what the headers hold */
} vs_quant_format;

typedef struct {
    vs_quant_format format;
    const char *method; /* quant_method as the config has it, "" when none */
    const char *label; /* for people: "fp8, blocks of 128 x 128", "gptq 4 bit, groups of 128" */
    uint32_t bits;     /* of one weight */
    uint32_t group_size; /* weights that share a scale along the input; 0: a whole row */
} vs_stored_quant;

/* In what the tensors are kept. */
typedef enum {
    VS_CONTAINER_SAFETENSORS,
    VS_CONTAINER_TORCH_BIN,
    VS_CONTAINER_GGUF
} vs_container;

/* The numbers of config.json that formulas need; 0 where the family has none. */
typedef struct {
    uint64_t hidden, layers, heads, kv_heads, head_dim, intermediate, vocab;
    uint64_t experts, experts_per_token, moe_intermediate;
    uint64_t max_positions, sliding_window;
    /* Layers that keep keys and values of every position, and those that keep only a window of them; the rest
     * (linear attention) keep a state whose size does not depend on the length. 0 and 0: all are full. */
    uint64_t full_layers, window_layers;
    /* Bytes are elements: what one token adds to the cache in one layer, when it is not 2 * kv_heads * head_dim
     * (latent attention: kv_lora_rank + qk_rope_head_dim). 0: the usual. */
    uint64_t kv_elements;
} vs_model_dims;

typedef struct {
    const char *name;         /* "llama-2-7b", or the folder's name */
    const char *model_type;   /* "llama", "" when unknown */
    const char *architecture; /* "LlamaForCausalLM" or "" */
    /* "catalogue", "config", "safetensors", "pytorch bin", "gguf", ...: where the tensor list is from */
    const char *source;
    const char *no_split_class; /* "LlamaDecoderLayer"; several are separated by commas */
    vs_dtype config_dtype;      /* torch_dtype of the config, VS_DT_COUNT: none */
    vs_model_dims dims;
    bool is_tied;       /* tie_word_embeddings */
    vs_tensor *tensors; /* in key order: the order Transformers 5 loads them [2.3] */
    uint32_t tensor_count;
    vs_target *targets; /* module-definition order */
    uint32_t target_count;
    uint32_t *sources; /* tensor indices: per target, part by part, experts in order */
    uint32_t source_count;
    /* The architecture as Transformers builds it without a quantiser, module-definition order. The same arrays as
     * targets unless the checkpoint is quantised already; then its sources say how each parameter is
     * dequantised, for cards that are too old for the format. */
    vs_target *modules;
    uint32_t module_count;
    uint32_t *module_sources;
    uint32_t module_source_count;
    const vs_unloaded *unloaded;
    uint32_t unloaded_count;
    vs_stored_quant quant;   /* format VS_QF_NONE: not quantised */
    vs_container container;  /* of the files; safetensors for config-only models */
    const char *config_text; /* the config.json it was built from, "" when there was none */
    vs_shard *shards;
    uint32_t shard_count;
    /* Of the checkpoint as published: all its elements; MXFP4 counts two a byte of *_blocks and no *_scales, as the Hub does. */
    uint64_t parameters;
    vs_bytes checkpoint_bytes;
    /* Elements of modules: every parameter and every buffer that a checkpoint keeps (DeepSeek-V3's score corrections:
     * facts/models.json counts them in), tied ones once. Of a quantised checkpoint: those of the weights it stands
     * for, so neither scales nor packed words. Equals params_loaded_by_transformers of all 34 models there. */
    uint64_t loaded_parameters;
    /* things the user should know: "32 rotary_emb.inv_freq tensors are ignored on load" */
    const char **notes;
    uint32_t note_count;
} vs_model;

/* ---- reading ------------------------------------------------------------------------------------- */

/* MODEL of the command line: catalogue name (case-insensitive), directory, hub cache folder, config.json,
 * .safetensors, .bin, .pt, .pth, .gguf, .safetensors.index.json, .bin.index.json. Errors name the file and place;
 * an unknown name suggests the nearest. Transient memory is bounded by the input's size. */
VS_MUST_CHECK bool vs_model_open(vs_model *model, vs_arena *arena, const char *spec,
                                 vs_err *err);
/* Pieces of the above, for tests and fuzzing. input_name appears in errors. */
VS_MUST_CHECK bool vs_model_from_config(vs_model *model, vs_arena *arena, const void *text,
                                        size_t text_bytes, const char *input_name, vs_err *err);

/* One parsed safetensors header. */
typedef struct {
    vs_tensor *tensors; /* file order (by offset) */
    uint32_t tensor_count;
    vs_bytes data_start; /* 8 + header length */
    vs_bytes data_bytes;
} vs_st_header;

/* head: the first head_bytes bytes of a file of file_bytes bytes (head may be the whole file). Checks what
 * the safetensors library checks: header length <= 100 MB and inside the file, JSON object, dtype known,
 * product(shape) * size == end - begin, ranges contiguous without holes or overlaps, end == file size. */
VS_MUST_CHECK bool vs_safetensors_parse(vs_st_header *header, vs_arena *arena, const void *head,
                                        uint64_t head_bytes, uint64_t file_bytes,
                                        const char *input_name, vs_err *err);

/* Key order of Transformers 5 [2.3]: total order on names; <0, 0, >0. */
int vs_key_compare(const char *a, const char *b);

/* The families whose tensors a config alone tells. */
typedef struct {
    const char *model_type;   /* "deepseek_v3" */
    const char *architecture; /* "DeepseekV3ForCausalLM" */
} vs_family_name;

uint32_t vs_family_count(void);
vs_family_name vs_family_name_at(uint32_t index);

/* One parameter of the module tree that Transformers 4 builds. */
typedef struct {
    const char *name;
    uint64_t shape[VS_DIMS_MAX];
    uint32_t dim_count;
} vs_module_4;

/* Whether version 5 fuses experts of this model. */
bool vs_model_has_fused_experts(const vs_model *model);
/* The parameters with every expert a module of its own, as Transformers 4 (4.57.1) keeps them: checkpoint names and
 * shapes, module order, buffers left out. For models whose experts version 5 fuses; of others the list is
 * that of version 5. Errors: memory. */
VS_MUST_CHECK bool vs_model_modules_4(const vs_model *model, vs_arena *arena, vs_module_4 **out,
                                      uint32_t *count, vs_err *err);

/* Catalogue: built-in configs. */
uint32_t vs_catalogue_model_count(void);

typedef struct {
    const char *name; /* "llama-2-7b" */
    const char *hub;  /* "meta-llama/Llama-2-7b-hf" */
} vs_catalogue_model;

const vs_catalogue_model *vs_catalogue_model_at(uint32_t index);
const vs_catalogue_model *
vs_catalogue_model_find(vs_str name); /* case-insensitive; name or hub */

/* The catalogue JSON of an entry, among vs_embedded_files; empty when the build left it out. */
vs_str vs_catalogue_model_text(const vs_catalogue_model *entry);

/* ---- summary (summary.c, summary_cost.c) ----------------------------------------------------------- */

/* What a parameter is for, by its flags and its name. X(enum, key in JSON, words) */
#define VS_MODEL_PARTS(X)                                                                      \
    X(VS_PART_EMBEDDING, "embedding", "embedding")                                             \
    X(VS_PART_ATTENTION, "attention", "attention")                                             \
    X(VS_PART_MLP, "mlp", "mlp")                                                               \
    X(VS_PART_EXPERTS, "experts", "experts")                                                   \
    X(VS_PART_SHARED, "shared_experts", "shared experts")                                      \
    X(VS_PART_ROUTER, "router", "router")                                                      \
    X(VS_PART_NORM, "norms", "norms")                                                          \
    X(VS_PART_HEAD, "head", "head")                                                            \
    X(VS_PART_OTHER, "other", "other")

typedef enum {

#define VS_X(id, key, words) id,
    VS_MODEL_PARTS(VS_X)
#undef VS_X
        VS_PART_COUNT
} vs_model_part;

const char *vs_model_part_key(vs_model_part part);
const char *vs_model_part_words(vs_model_part part);

typedef struct {
    uint64_t tensors, elements;
    vs_bytes bytes;
} vs_amount;

/* Layers that are alike, or one module outside of the layers. What counts as a layer is told from the names: the
 * first part that is a number names a block ("model.layers.3", "vision_tower.encoder.layers.0"), everything else
 * belongs to the module that owns it ("lm_head"). */
typedef struct {
    const char *name;       /* of the first one */
    const char *stem;       /* "model.layers"; "" for a module outside of the layers */
    const uint32_t *layers; /* their numbers, increasing; NULL and 0 for a module outside */
    uint32_t layer_count;
    bool is_decoder; /* vs_target.layer was set: not a layer of a vision tower */
    vs_amount one;   /* of one of them, as loaded */
    vs_bytes parts[VS_PART_COUNT];
} vs_layer_row;

typedef struct {
    const char *name, *with;
    bool is_stored; /* the checkpoint holds a copy all the same */
} vs_tie;

/* Keys and values of one sequence, in the load dtype. Windows keep min(tokens, window) positions. */
typedef struct {
    bool is_known; /* false: the config with the numbers is missing */
    /* What one token adds while no window is full, as Transformers 5 caches it; and once every window is full: layers of
     * full attention only. */
    vs_bytes token_bytes, late_token_bytes;
    /* Latent attention: what an engine that caches the latent keeps; 0: none. Transformers caches the expanded keys and
     * values (modeling_deepseek_v3.py, 5.12.1: past_key_values.update(key_states, ...)). */
    vs_bytes latent_token_bytes;
    /* Linear attention: a state whose size does not depend on the length. */
    vs_bytes state_bytes;
    bool is_state_known; /* false: there is such a state, and no config tells its size */
    uint64_t full_layers, window_layers, linear_layers, window;
} vs_kv_cost;

/* One row of the table of dtypes: what Accelerate's estimate says, and what a load of Transformers 5 keeps. */
typedef struct {
    const char *dtype; /* "float32", "float16", "int8", "int4", as accelerate names them */
    uint32_t divisor;  /* of the estimate's float32 bytes: 1, 2, 4, 8 */
    vs_bytes estimate_training_bytes; /* 0: N/A */
    bool is_exact_known; /* false: what is quantised already is not quantised again */
    /* Head, buffers and scales included; int8 and int4 as bitsandbytes keeps them [6.1]. */
    vs_bytes exact_bytes;
    /* Weights, gradients and both moments in this dtype; 0: N/A. */
    vs_bytes exact_training_bytes;
    vs_bytes wide_bytes; /* of exact_bytes: weights that no quantiser touches */
} vs_dtype_cost;

#define VS_DTYPE_COSTS 4

/* Everything `inspect` says of a model. Lives in the arena given. */
typedef struct {
    vs_dtype load_dtype;           /* vs_model_load_dtype */
    vs_amount stored[VS_DT_COUNT]; /* the checkpoint, by dtype */
    vs_amount not_loaded;          /* of these: no target wants them */
    /* What stays, as stored where that is quantised; tied ones once. */
    vs_amount loaded;
    /* The architecture in the load dtype: equals loaded when nothing is quantised. */
    vs_amount dense;
    vs_layer_row *rows; /* of loaded, in module order */
    uint32_t row_count;
    const char *largest_name; /* layer or module, "model.layers.3" */
    vs_bytes largest_bytes;
    vs_tie *ties;
    uint32_t tie_count;
    uint64_t expert_layers, expert_parameters; /* routed */
    /* Those loaded, less the routed experts that a token does not visit. */
    uint64_t active_parameters;
    vs_kv_cost kv;
    /* `accelerate estimate-memory` (1.14.0): AutoModel in float32 on the meta device, so no output head, but all
     * buffers; utils/modeling.py calculate_maximum_sizes. */
    vs_bytes estimate_bytes, estimate_largest_bytes;
    bool has_head_left_out;
    /* With parts that Transformers leaves in the checkpoint: a vision tower. */
    bool has_all_counted;
    bool has_fused_experts;
    vs_dtype_cost costs[VS_DTYPE_COSTS];
} vs_model_summary;

/* dtype "auto" of Transformers: the config's, else that of the first wide float stored. */
vs_dtype vs_model_load_dtype(const vs_model *model);
/* O(tensors). Fails when the arena is exhausted, or above 2^59 elements. */
VS_MUST_CHECK bool vs_model_summarise(vs_model_summary *summary, const vs_model *model,
                                      vs_arena *arena, vs_err *err);
/* The cache of one sequence of that many tokens, batch 1; saturates at UINT64_MAX. */
vs_bytes vs_kv_bytes(const vs_kv_cost *kv, uint64_t tokens);
/* As accelerate's convert_bytes prints bytes / divisor: "24.61 GB" is 24.61 * 2^30 bytes. */
const char *vs_format_accelerate_size(vs_bytes bytes, uint32_t divisor,
                                      char buf[VS_TEXT_BYTES]);

/* ---- writing (write.c) ------------------------------------------------------------------------------- */

typedef enum {
    VS_WRITE_SAFETENSORS, /* model.safetensors, or shards and an index, as save_pretrained writes them */
    VS_WRITE_GGUF /* NAME.gguf as llama.cpp's converter writes it; no config.json */
} vs_write_format;

typedef struct {
    const char *folder; /* made when it is missing, parents included */
    vs_write_format format;
    uint64_t layers; /* only the first so many decoder layers; 0: all */
    /* What the model was opened with: config.json is then copied from there byte for byte, which config_text is not.
     * NULL: not known. */
    const char *spec;
    /* Replace files of a checkpoint that is in the folder already. Never those that hold data: only holes and
     * zeros give way. */
    bool is_forced;
    /* called after each file; NULL: nobody is */
    void (*progress)(void *context, uint32_t done, uint32_t total);
    void *progress_context;
} vs_write_desc;

typedef struct {
    uint32_t file_count; /* with tensors in them */
    uint32_t tensor_count;
    uint32_t left_out_count; /* tensors that the format has no name for: GGUF, vision towers */
    vs_bytes data_bytes;     /* of the tensors: holes */
    vs_bytes written_bytes;  /* of headers, index and config: what is really written */
    bool has_config;
} vs_write_result;

/* Writes the model as a checkpoint with true headers and holes for data, and config.json where config_text says what
 * was in it (cut to `layers`). All of it or nothing: files get their names when everything has been written; what
 * was made is removed on failure. Other files in the folder are left alone. arena: scratch. */
VS_MUST_CHECK bool vs_model_write(vs_write_result *result, vs_arena *arena,
                                  const vs_model *model, const vs_write_desc *desc,
                                  vs_err *err);

#endif /* VS_MODEL_H */
