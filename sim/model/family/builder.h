/* sim/model/family/builder.h - the inside of a builder, for builder.c, linear.c and experts.c.
 *
 * What families may call is in family.h. */
#ifndef VS_MODEL_BUILDER_H
#define VS_MODEL_BUILDER_H

#include "sim/model/family/family.h"

typedef enum { VS_PASS_COUNT, VS_PASS_NAME, VS_PASS_FILL } vs_pass;

/* Comparisons in one run; published checkpoints need below 1 million (500 modules, some hundred names). More is a
 * hostile config: at 10 ns each this is a fifth of a second. */
#define VS_RULE_WORK_MAX UINT64_C(20000000)

typedef struct {
    char text[128];
    size_t len;
} vs_prefix;

/* Tensors that stand together in key order. */
typedef struct {
    const char *name; /* of its first tensor in key order, or the stem all of them share */
    uint32_t count;
    uint32_t first; /* where its first tensor goes */
} vs_group;

typedef struct {
    vs_target *items;
    uint32_t *sources;
    uint32_t count;
    uint32_t source_count;
    uint32_t embedding; /* the input embedding, what a tied head shares */
} vs_target_list;

struct vs_builder {
    const vs_config *config;
    const vs_builder_hints *hints;
    vs_model *model;
    vs_arena *arena;
    vs_err *err;
    vs_pass pass;
    bool has_plain;   /* the checkpoint is quantised: the architecture is listed apart */
    bool is_unloaded; /* what is emitted now is stored, but has no target */
    vs_prefix module; /* of target names: "model.layers.3." */
    vs_prefix stored; /* of checkpoint names */
    int32_t layer;
    vs_dtype dtype; /* of stored tensors */
    vs_target_list native, plain;
    vs_group *groups;
    uint64_t group_count;
    uint64_t tensor_count;
    vs_unloaded *unloaded;
    uint64_t rule_work; /* names and patterns compared with module names in this run */
    uint32_t shard_count;
    vs_bytes shard_room;
};

/* prefix + name in the arena; NULL: exhausted, the error is set. */
const char *vs_builder_name(vs_builder *b, const vs_prefix *prefix, const char *name);
/* The next group. In the last run *first is the index of its first tensor. */
VS_MUST_CHECK bool vs_builder_group(vs_builder *b, const char *stored_name, uint64_t count,
                                    uint32_t *first);
/* Last run only: writes tensor number index. Tensors come in the order of the state dict: it fills the shards. */
VS_MUST_CHECK bool vs_builder_tensor(vs_builder *b, uint32_t index, const char *name,
                                     const vs_shape *shape, vs_dtype dtype);
/* Its two halves, for many tensors that differ in their names only: what all of them share (name is for errors), and
 * one of them. */
VS_MUST_CHECK bool vs_builder_tensor_like(vs_builder *b, vs_tensor *like, const char *name,
                                          const vs_shape *shape, vs_dtype dtype);
void vs_builder_put_tensor(vs_builder *b, uint32_t index, const char *name,
                           const vs_tensor *like);
/* First run only, else nothing: targets of the two lists and the sources each of them takes. */
void vs_builder_count_target(vs_builder *b, uint64_t native, uint64_t plain, uint64_t sources);
/* Last run only: appends a target without sources; NULL: failed. */
vs_target *vs_builder_target(vs_builder *b, vs_target_list *list, const char *name,
                             const vs_emit_desc *desc);
/* Gives the newest target of the list one more source; vs_builder_sources: count of them, step apart. */
void vs_builder_source(vs_builder *b, vs_target_list *list, uint32_t tensor);
void vs_builder_sources(vs_builder *b, vs_target_list *list, uint32_t first, uint64_t count,
                        uint32_t step);
/* Digits and a dot, not terminated; returns the bytes written. snprintf would cost a third of the build. */
size_t vs_put_number(char *out, uint64_t value);

#endif /* VS_MODEL_BUILDER_H */
