/* sim/model/summary.h - what summary.c, summary_cost.c and by_name.c share. */
#ifndef VS_MODEL_SUMMARY_H
#define VS_MODEL_SUMMARY_H

#include "vramscope/model.h"

/* A layer, or a module outside of the layers, with everything below it. */
typedef struct {
    const char *name;
    size_t stem_bytes; /* how much of name stands before ".3"; 0: not a layer */
    uint32_t number;
    bool is_decoder;
    vs_amount one;                 /* parameters and kept buffers, tied ones left out */
    vs_bytes parts[VS_PART_COUNT]; /* of one.bytes */
    uint64_t expert_elements;
    vs_bytes estimate_bytes; /* in float32, all buffers, without the output head */
} vs_block;

/* Where the number of a layer stands in a name: "model.layers.3.mlp.up_proj.weight" -> 12 and 14. */
typedef struct {
    size_t stem_bytes, block_bytes;
    uint32_t number;
} vs_block_place;

/* block_bytes 0: no part of the name in front of the last one is a number. */
vs_block_place vs_block_find(const char *name);

/* A number of a config of any kind: at the top, or in text_config and its likes. false: absent, or no whole number. */
bool vs_config_find_u64(const vs_jnode *config, const char *key, uint64_t *out);

/* estimate and costs of modules; summary_cost.c. */
void vs_summary_costs(vs_model_summary *summary, const vs_model *model);
void vs_summary_kv(vs_model_summary *summary, const vs_model *model);

#endif /* VS_MODEL_SUMMARY_H */
