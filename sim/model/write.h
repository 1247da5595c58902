/* sim/model/write.h - the pieces of vs_model_write.
 *
 * A checkpoint is written in two steps: every file goes into the folder under a temporary name (vs_staging_add), then
 * all of them are renamed (vs_staging_commit). vs_staging_abandon undoes whatever was done, so the folder holds either
 * all of it or nothing of it. Data is never written: it is a hole. Everything lives in the arena of the staging. */
#ifndef VS_MODEL_WRITE_H
#define VS_MODEL_WRITE_H

#include "sim/model/internal.h"

/* ---- files (write_files.c) ---------------------------------------------------------------- */

typedef struct {
    const char *path;      /* where it belongs */
    const char *temporary; /* where it is until vs_staging_commit */
    bool is_written;       /* the temporary exists */
    bool is_in_place;      /* renamed */
} vs_staged_file;

typedef struct {
    vs_arena *arena;
    char *folder; /* without a slash at its end */
    vs_staged_file *files;
    uint32_t count;
    uint32_t capacity;
    size_t
        made_from; /* folders that were made: every prefix of folder longer than this; SIZE_MAX: none */
    vs_bytes written_bytes;
} vs_staging;

/* Makes the folder, parents included, where it is missing. On failure nothing is left behind. */
VS_MUST_CHECK bool vs_staging_open(vs_staging *staging, vs_arena *arena, const char *folder,
                                   uint32_t capacity, vs_err *err);
/* Fails when the folder holds a checkpoint already (names, one per file that is going to be written). With is_forced
 * files of these names may be replaced as long as their data is a hole or zeros, and nothing else may
 * stand in the way of what is written. */
VS_MUST_CHECK bool vs_staging_check(const vs_staging *staging, const char *const *names,
                                    uint32_t name_count, bool is_forced, vs_err *err);
/* One file: text, then a hole up to file_bytes. */
VS_MUST_CHECK bool vs_staging_add(vs_staging *staging, const char *name, vs_str text,
                                  uint64_t file_bytes, vs_err *err);
/* Renames everything; on failure the folder is as it was before vs_staging_open, but for files that were replaced. */
VS_MUST_CHECK bool vs_staging_commit(vs_staging *staging, vs_err *err);
void vs_staging_abandon(vs_staging *staging);

/* ---- what is written (write_layers.c) -------------------------------------------------------- */

typedef struct {
    const vs_tensor *tensor;
    const char *name; /* the tensor's, or with another layer number */
    uint32_t shard;   /* 0 .. shard_count - 1, without gaps */
} vs_write_item;

typedef struct {
    const vs_model *model;
    vs_write_item *items;
    uint32_t count;
    uint32_t shard_count; /* at least 1 */
    vs_str config;        /* len 0: none */
    uint64_t parameters;  /* of the module tree, tied ones once */
} vs_write_plan;

/* Fails when the model does not have so many layers, or none that can be told apart. 0: all, always fine. */
VS_MUST_CHECK bool vs_write_check_layers(const vs_model *model, uint64_t layers, vs_err *err);
/* Everything but the config. layers 0: all; otherwise the first so many decoder layers, the others are left out. Layers
 * behind the decoder's last (multi-token prediction) keep their place behind it. */
VS_MUST_CHECK bool vs_write_plan_make(vs_write_plan *plan, vs_arena *arena,
                                      const vs_model *model, uint64_t layers, vs_err *err);
/* Sets the config, cut to the same layers. config.len 0: the model has none. */
VS_MUST_CHECK bool vs_write_plan_config(vs_write_plan *plan, vs_arena *arena, vs_str config,
                                        uint64_t layers, vs_err *err);
/* The text of a config.json with its number of layers changed from `from` to `to` (> 0) and the lists that go by layer
 * cut; all other bytes stay. */
VS_MUST_CHECK bool vs_config_cut(vs_str *out, vs_arena *arena, vs_str config, uint64_t from,
                                 uint64_t to, vs_err *err);

/* ---- safetensors (write_safetensors.c) ----------------------------------------------------------- */

/* "model.safetensors", or "model-00002-of-00019.safetensors" for shard 1 of 19. NULL: arena exhausted. */
VS_MUST_CHECK const char *vs_safetensors_file_name(vs_arena *arena, uint32_t shard,
                                                   uint32_t shard_count);

#define VS_SAFETENSORS_INDEX_NAME "model.safetensors.index.json"

typedef void (*vs_write_progress)(void *context, uint32_t done, uint32_t total);

/* All shards and, for more than one, the index. data_bytes receives the size of the holes. */
VS_MUST_CHECK bool vs_safetensors_stage(vs_staging *staging, const vs_write_plan *plan,
                                        const vs_write_desc *desc, vs_bytes *data_bytes,
                                        vs_err *err);

#endif /* VS_MODEL_WRITE_H */
