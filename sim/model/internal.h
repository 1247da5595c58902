/* sim/model/internal.h - what the files of sim/model share with one another.
 *
 * The way of a model: spec -> folder listing -> config numbers -> family emits the expected tensors and
 * targets (build.c) -> headers, if any, are bound to them (bind.c) or stand alone (by_name.c) -> order by
 * key, totals. Everything lives in the caller's arena; scratch is taken at its end and given back with
 * vs_arena_rewind. */
#ifndef VS_MODEL_INTERNAL_H
#define VS_MODEL_INTERNAL_H

#include "vramscope/model.h"

/* ---- sorting (sort.c) ------------------------------------------------------------------ */

typedef struct {
    uint64_t word[3]; /* compared in this order */
    uint32_t index;   /* of the item; ties keep their order unless names decide */
} vs_sort_key;

/* Stable merge sort. names: NULL, or one name per item, consulted by vs_key_compare when all words are
 * equal. Scratch is taken from the arena and given back. false: arena exhausted. */
VS_MUST_CHECK bool vs_sort_keys(vs_sort_key *keys, uint32_t count, const char *const *names,
                                vs_arena *arena);

/* ---- names (name_index.c, key_order.c) -------------------------------------------------- */

typedef struct {
    uint32_t hash;
    uint32_t item; /* its number + 1; 0: the slot is empty */
} vs_name_slot;

typedef struct {
    const char *name;
    uint32_t item;
} vs_name_rank;

/* Hash index over an array whose elements begin with a `const char *name`. Borrowed, read-only after
 * building; at most three quarters full. */
typedef struct {
    const void *items;
    size_t stride;
    vs_name_slot *slots;
    uint32_t mask;
    uint32_t rank_count;
    vs_name_rank *ranks; /* by name, instead of the slots; NULL: the names do not collide */
} vs_name_index;

/* *duplicate is set to the second item of the first duplicate pair, or UINT32_MAX. */
VS_MUST_CHECK bool vs_name_index_build(vs_name_index *index, vs_arena *arena, const void *items,
                                       size_t stride, uint32_t count, uint32_t *duplicate);
uint32_t vs_name_index_find(const vs_name_index *index, vs_str name); /* UINT32_MAX: absent */

/* Key order [2.3] of names: order[i] (count entries) is the name that comes to place i. False: the arena is exhausted. */
VS_MUST_CHECK bool vs_key_order(const char *const *names, uint32_t count, uint32_t *order,
                                vs_arena *arena);
/* Reorders tensors into key order. old_to_new (NULL or count entries) receives where each went. */
VS_MUST_CHECK bool vs_key_sort(vs_tensor *tensors, uint32_t count, uint32_t *old_to_new,
                               vs_arena *arena, vs_err *err);
/* The same when the order is known: order[i] is the tensor that comes to place i, each once. */
VS_MUST_CHECK bool vs_key_place(vs_tensor *tensors, uint32_t count, const uint32_t *order,
                                uint32_t *old_to_new, vs_arena *arena, vs_err *err);

/* ---- notes (notes.c) --------------------------------------------------------------------- */

#define VS_NOTES_MAX 32

/* Adds a line to model->notes; after VS_NOTES_MAX - 1 the last one says that more were left out. */
VS_MUST_CHECK bool vs_note(vs_model *model, vs_arena *arena, vs_err *err, const char *format,
                           ...) VS_PRINTF(4, 5);

/* What no target wants: one note per known part (model->unloaded), then one per pattern ("model.layers.*.self_attn.rotary_emb.inv_freq"). */
VS_MUST_CHECK bool vs_note_dropped(vs_model *model, vs_arena *arena, vs_err *err);
/* Fused experts that the checkpoint's format has no way to fill. */
VS_MUST_CHECK bool vs_note_empty_experts(vs_model *model, vs_arena *arena, vs_err *err);

/* ---- headers (safetensors.c, index.c) ------------------------------------------------------ */

/* Largest JSON header that the safetensors library accepts (safetensors 0.5 tensor.rs, MAX_HEADER_SIZE). */
#define VS_ST_HEADER_MAX UINT64_C(100000000)

/* Reads the header of the file at path: maps the length, then the header only. */
VS_MUST_CHECK bool vs_safetensors_read(vs_st_header *header, vs_arena *arena, const char *path,
                                       vs_bytes *file_bytes, vs_err *err);

typedef struct {
    const char *name; /* tensor */
    uint32_t shard;   /* into files */
} vs_index_entry;

/* A parsed model.safetensors.index.json. */
typedef struct {
    vs_index_entry *entries; /* order of the file */
    uint32_t entry_count;
    const char **files; /* distinct shard names, sorted */
    uint32_t file_count;
    vs_bytes total_size; /* metadata.total_size; valid when has_total_size */
    bool has_total_size;
} vs_st_index;

VS_MUST_CHECK bool vs_st_index_parse(vs_st_index *index, vs_arena *arena, const void *text,
                                     uint64_t text_bytes, const char *input_name, vs_err *err);

/* ---- building (build.c, bind.c, by_name.c) --------------------------------------------------- */

/* What was read from the files of a checkpoint, before it is bound to an architecture. */
typedef struct {
    vs_tensor *tensors; /* shard by shard, in file order; .shard is set */
    uint32_t tensor_count;
    vs_shard *shards;
    uint32_t shard_count;
} vs_stored;

struct vs_family;

/* model_type, architecture and dtype of a config. */
VS_MUST_CHECK bool vs_build_names(vs_model *model, vs_arena *arena, const vs_jnode *config,
                                  vs_err *err);
/* Expected tensors (state_dict order) and targets of a config. checkpoint: what the config cannot tell
 * (catalogue "checkpoint" object), NULL or node NULL when there is none. Fills the model except totals and notes. */
VS_MUST_CHECK bool vs_build_expected(vs_model *model, vs_arena *arena, const vs_jnode *config,
                                     const vs_jnode *checkpoint, vs_err *err);
/* The whole model from its config. */
VS_MUST_CHECK bool vs_build_from_config(vs_model *model, vs_arena *arena,
                                        const vs_jnode *config, const vs_jnode *checkpoint,
                                        vs_err *err);
/* Puts the stored tensors in place of the expected ones. */
VS_MUST_CHECK bool vs_bind_stored(vs_model *model, vs_arena *arena, vs_stored *stored,
                                  vs_err *err);
/* A model of unknown architecture: one target per stored tensor. why: the reason, for the note. */
VS_MUST_CHECK bool vs_model_by_name(vs_model *model, vs_arena *arena, vs_stored *stored,
                                    const char *why, vs_err *err);
/* Sums over tensors and targets; tied partners and VS_TF_LAST_MODULE. */
VS_MUST_CHECK bool vs_model_total(vs_model *model, vs_err *err);
void vs_model_mark_last_module(vs_model *model);

/* The family of a model_type, NULL when unknown; names of all, for messages. */
const struct vs_family *vs_family_find(vs_str model_type);
/* False when the config is quantised by a method whose layout is not known. */
bool vs_layout_is_known(const vs_jnode *config);
/* A config that holds every key and value of a catalogue entry is that model's: what its published checkpoint holds
 * beyond the config (the entry's "checkpoint" object) is known too. NULL: none. doc has to stay open as long as
 * *checkpoint is used, and be closed. */
const char *vs_catalogue_recognise(const vs_jnode *config, vs_json *doc, vs_jnode *checkpoint);

/* "known are ..., nearest is ...", ready to append to a message. */
const char *vs_family_advice(vs_str model_type, char *buf, size_t buf_bytes);

/* ---- files (checkpoint.c, open.c) ------------------------------------------------------------------- */

typedef enum { VS_PATH_ABSENT, VS_PATH_FILE, VS_PATH_FOLDER } vs_path_kind;

/* What stands at path, links followed. Loops, links to nothing and forbidden places are errors. */
VS_MUST_CHECK bool vs_path_probe(const char *path, vs_path_kind *kind, vs_err *err);

/* Where the headers of a checkpoint are. */
typedef struct {
    const char *folder;     /* without a slash at the end; "." for none */
    const char **files;     /* weights, in shard order; those of the index if there is one */
    uint32_t file_count;    /* 0: no weights */
    const char *index_path; /* NULL: none */
    vs_st_index *index;     /* parsed; NULL: none */
    vs_container container; /* safetensors or torch bin */
    bool is_index_only;     /* none of the files that the index names is here */
    bool is_partial;        /* one shard of several, by its name */
    const char *note;       /* NULL: nothing to say */
} vs_checkpoint;

/* Finds the weights of a folder in the order of Transformers: model.safetensors, its index, pytorch_model.bin, its index,
 * then other files when it is plain what is meant. With a file_name, only that file. */
VS_MUST_CHECK bool vs_checkpoint_find(vs_checkpoint *checkpoint, vs_arena *arena,
                                      const char *folder, const char *file_name, vs_err *err);
/* Reads all headers and holds them against the index. Notes go to model. *shared_elements: of tensors whose bytes
 * another tensor shows too (torch bin). */
VS_MUST_CHECK bool vs_checkpoint_read(const vs_checkpoint *checkpoint, vs_stored *stored,
                                      uint64_t *shared_elements, vs_model *model,
                                      vs_arena *arena, vs_err *err);
/* These count once in the model's parameters, and their bytes once in checkpoint_bytes. After binding. */
VS_MUST_CHECK bool vs_checkpoint_count_shared(const vs_stored *stored, uint64_t shared_elements,
                                              vs_model *model, vs_err *err);
/* For is_index_only: holds a model built from its config against the index, notes every difference, and puts the
 * tensors into the shards that the index names if they are the same. */
VS_MUST_CHECK bool vs_checkpoint_compare_config(const vs_checkpoint *checkpoint,
                                                vs_model *model, vs_arena *arena, vs_err *err);

#endif /* VS_MODEL_INTERNAL_H */
