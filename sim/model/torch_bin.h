/* sim/model/torch_bin.h - the table of tensors of a file made by torch.save: .bin, .pt, .pth.
 *
 * Two formats: a zip archive (since PyTorch 1.6) with data.pkl and one entry per storage, and before that a row
 * of five pickles with the storages behind them. Both are read by the machine of pickle.h: nothing in the file is run.
 * Only the directory, the pickles and a few headers are read, whatever the size of the file. */
#ifndef VS_MODEL_TORCH_BIN_H
#define VS_MODEL_TORCH_BIN_H

#include "sim/model/pickle.h"
#include "sim/model/zip.h"

/* Named limits of names, made of the keys of nested dicts. */
#define VS_TORCH_NAME_MAX  1024u
#define VS_TORCH_DEPTH_MAX 16u

/* One block of bytes that tensors are views of. */
typedef struct {
    const char *key;
    vs_bytes size_bytes;
    vs_bytes file_offset; /* absolute */
} vs_torch_storage;

typedef struct {
    uint32_t storage;             /* into storages */
    vs_bytes first_byte;          /* in it */
    uint64_t stride[VS_DIMS_MAX]; /* in elements */
    bool is_contiguous;
    bool
        is_shared; /* some of its bytes belong to another tensor of the table too, which is counted */
} vs_torch_view;

typedef struct {
    vs_tensor *tensors;   /* in the order of the state dict */
    vs_torch_view *views; /* one per tensor */
    uint32_t tensor_count;
    vs_torch_storage *storages; /* those that tensors use, sorted by key */
    uint32_t storage_count;
    vs_bytes data_bytes; /* of these storages: shared bytes once */
    uint64_t
        shared_elements; /* elements of tensors that are counted twice, once for each view */
    bool
        is_legacy; /* before PyTorch 1.6: torch.load reads such a file into memory, never maps it */
    bool is_big_endian;
} vs_torch_header;

typedef struct {
    vs_arena *arena;   /* for the header */
    vs_arena *scratch; /* for everything else; the caller throws it away */
    vs_model *model;   /* notes go here (into arena); NULL: nowhere */
    const char *input_name;
    vs_err *err;
} vs_torch_reading;

VS_MUST_CHECK bool vs_torch_bin_parse(vs_torch_header *header, const vs_byte_source *source,
                                      const vs_torch_reading *reading);
/* The file at path. Scratch memory is reserved and released here. model: for notes, NULL for none. */
VS_MUST_CHECK bool vs_torch_bin_read(vs_torch_header *header, vs_arena *arena, const char *path,
                                     vs_model *model, vs_bytes *file_bytes, vs_err *err);
/* Enough scratch for a source of this size; a reservation of addresses, not of memory. */
size_t vs_torch_bin_scratch_bytes(uint64_t size_bytes);

/* ---- between the files torch_*.c ---------------------------------------------------------------------- */

/* All mentions of one key. */
typedef struct {
    const vs_pickle_storage *first; /* mention */
    vs_bytes size_bytes;
    vs_bytes file_offset;
    uint64_t words[3]; /* the key as a number that sorts */
    bool is_used;
} vs_torch_group;

typedef struct {
    vs_torch_group *groups; /* sorted by key */
    uint32_t group_count;
    uint32_t *group_of; /* per mention */
} vs_torch_groups;

/* A tensor with the name it got; name in reading->arena. */
typedef struct {
    const char *name;
    const vs_pickle_tensor *tensor;
} vs_torch_named;

typedef struct {
    vs_torch_named *items; /* in scratch */
    uint32_t count;
    uint32_t room;
} vs_torch_table;

bool vs_torch_out_of_memory(const vs_torch_reading *r, const vs_arena *arena);
/* A note about this file; true without a model. */
VS_MUST_CHECK bool vs_torch_note(const vs_torch_reading *r, const char *format, ...)
    VS_PRINTF(2, 3);
/* Key as a number; false when it is longer than VS_STORAGE_KEY_MAX. */
bool vs_torch_key_words(vs_str key, uint64_t words[3]);
/* Finds the named tensors among what a pickle left. */
VS_MUST_CHECK bool vs_torch_find_tensors(vs_torch_table *table, const vs_pickle_value *top,
                                         const vs_torch_reading *r);
VS_MUST_CHECK bool vs_torch_group_storages(vs_torch_groups *groups,
                                           const vs_pickle_result *pickle,
                                           const vs_torch_reading *r);
/* The groups' file offsets are known: fills in the header. */
VS_MUST_CHECK bool vs_torch_finish(vs_torch_header *header, const vs_torch_table *table,
                                   const vs_torch_groups *groups, const vs_torch_reading *r);
/* The two formats; table and groups receive what was found, in scratch. */
VS_MUST_CHECK bool vs_torch_read_zip(vs_torch_header *header, const vs_byte_source *source,
                                     const vs_torch_reading *r);
VS_MUST_CHECK bool vs_torch_read_legacy(vs_torch_header *header, const vs_byte_source *source,
                                        const vs_torch_reading *r);

#endif /* VS_MODEL_TORCH_BIN_H */
