/* sim/model/family/layout.h - what stands in a checkpoint in place of a weight when it is quantised already.
 *
 * A layout is read from the quantization_config of a config.json. It knows which modules are quantised and, for each
 * of them, the stored tensors ("pieces") in the order of the state dict.
 *
 * Sources: specs/transformers-loading.md [6.1, 6.3]; Transformers 5.12.1 quantizers/ and integrations/; layouts of the
 * packages beside each scheme in layout.c. */
#ifndef VS_MODEL_LAYOUT_H
#define VS_MODEL_LAYOUT_H

#include "vramscope/model.h"

/* Dimensions of one tensor. */
typedef struct {
    uint64_t dim[4];
    uint32_t count;
} vs_shape;

/* One stored tensor of a quantised weight. */
typedef struct {
    const char *suffix; /* behind the module's path: "weight_scale_inv" */
    vs_shape shape;
    vs_dtype dtype;
    uint32_t flags;    /* VS_TF_QUANT_DATA or VS_TF_QUANT_META */
    bool is_host_only; /* read, but never put on the device */
} vs_piece;

#define VS_PIECES_MAX 8u

/* How the weights of some modules are stored. */
typedef struct {
    vs_quant_format format;
    uint32_t bits;
    uint64_t group_size;  /* along the input; 0: a scale for a whole row */
    uint64_t block[2];    /* fp8: rows, columns of a block; 0: one scale for the tensor */
    bool is_float;        /* compressed-tensors: fp8, nvfp4, mxfp4 */
    bool is_micro;        /* compressed-tensors: mxfp4, a byte of scale for 32 values */
    bool has_zero_points; /* compressed-tensors: not symmetric */
    bool has_group_index; /* compressed-tensors: actorder "group", old checkpoints */
    bool has_row_scales;  /* compressed-tensors: one scale a row */
    bool has_input_scale; /* static activations */
    bool is_packed; /* compressed-tensors: in 32 bit words, whatever the width of a value */
    bool is_double_quantised;     /* bitsandbytes: absmax is quantised too */
    const char *quant_state_name; /* bitsandbytes: "weight.quant_state.bitsandbytes__nf4" */
    uint32_t first_target, target_count; /* into vs_layout.patterns; none: every linear */
} vs_scheme;

#define VS_SCHEMES_MAX 8u

/* A module name or a pattern of them. */
typedef struct {
    const char *text;
    void *regex;   /* compiled, or NULL: text is compared letter by letter, "." matches any */
    bool is_class; /* compressed-tensors "Linear": the class, not the name */
    bool is_exact; /* compressed-tensors: a plain text is the whole name */
} vs_name_rule;

typedef struct {
    vs_stored_quant quant; /* format VS_QF_NONE: not quantised, nothing below counts */
    vs_scheme schemes[VS_SCHEMES_MAX];
    uint32_t scheme_count;
    vs_name_rule *rules; /* skipped modules first, then the targets of the schemes */
    uint32_t skip_count, rule_count;
    uint64_t question_cost; /* of one vs_layout_scheme: a plain name 1, a pattern more */
    bool skips_head;     /* output embedding, tied weights and the last module are left alone */
    bool only_in_layers; /* modules outside of the decoder layers are left alone */
    bool keeps_experts;  /* fused experts are left alone */
    vs_dtype scale_dtype; /* of scales in the model's dtype */
} vs_layout;

/* config: the whole config.json. Without a quantization_config: format VS_QF_NONE. Errors name key, value and what was
 * expected. Strings go to the arena; patterns are compiled by the system's regex library: close the layout. */
VS_MUST_CHECK bool vs_layout_read(vs_layout *layout, vs_arena *arena, const vs_jnode *config,
                                  vs_dtype dtype, vs_err *err);
void vs_layout_close(vs_layout *layout); /* also fine on a zeroed layout */

/* What a name stands for. */
typedef struct {
    const char *path; /* module, without ".weight" */
    bool is_head;     /* output embedding or tied */
    bool is_in_layer;
} vs_module_ref;

/* The scheme of a linear module, NULL when it is stored plainly. */
const vs_scheme *vs_layout_scheme(const vs_layout *layout, const vs_module_ref *module);
/* The pieces of a weight [out, in], data first; returns how many. */
uint32_t vs_scheme_pieces(const vs_layout *layout, const vs_scheme *scheme,
                          const uint64_t size[2], vs_piece pieces[VS_PIECES_MAX]);

#endif /* VS_MODEL_LAYOUT_H */
