/* sim/model/gguf.h - GGUF files: reading them, what their metadata means, writing them.
 *
 * A GGUF file is a head (magic, version, counts, metadata entries, one info per tensor) and, behind padding, the
 * data of the tensors. Only the head is ever read, and it is walked where it stands: values are remembered by their
 * place, since the vocabulary in them is tens of megabytes.
 *
 *   gguf.c        bytes -> vs_gguf: entries, tensors under their GGUF names
 *   gguf_files.c  a path -> all files of a split, opened and parsed
 *   gguf_arch.c   what each architecture calls its numbers and its tensors, in GGUF and in Transformers
 *   gguf_config.c entries -> the text of a config.json
 *   gguf_model.c  all of it -> vs_model
 *   gguf_write.c  vs_model -> a file; gguf_write_keys.c its metadata
 *
 * Sources: docs/gguf.md of ggml-org/ggml; ggml/src/gguf.cpp of ggml-org/llama.cpp; gguf-py 0.19.0 (constants.py,
 * tensor_mapping.py, gguf_reader.py); Transformers 5.12.1 (modeling_gguf_pytorch_utils.py, integrations/ggml.py). */
#ifndef VS_MODEL_GGUF_H
#define VS_MODEL_GGUF_H

#include "sim/model/internal.h"

/* ---- reading (gguf.c) ---------------------------------------------------------------------- */

/* Type ids of metadata values: gguf.md, "File Structure", gguf_metadata_value_type. */
typedef enum {
    VS_GGUF_U8,
    VS_GGUF_I8,
    VS_GGUF_U16,
    VS_GGUF_I16,
    VS_GGUF_U32,
    VS_GGUF_I32,
    VS_GGUF_F32,
    VS_GGUF_BOOL,
    VS_GGUF_STRING,
    VS_GGUF_ARRAY,
    VS_GGUF_U64,
    VS_GGUF_I64,
    VS_GGUF_F64,
    VS_GGUF_TYPE_COUNT
} vs_gguf_type;

/* Limits, each an error that names it. Models have about 50 entries, DeepSeek-V3 has 1,086 tensors, the largest
 * heads (vocabularies of 262,144 tokens) have about 16 MiB. */
#define VS_GGUF_HEAD_MAX    VS_GIB
#define VS_GGUF_ENTRIES_MAX UINT32_C(65536)
#define VS_GGUF_TENSORS_MAX (UINT32_C(1) << 20)
#define VS_GGUF_KEY_MAX     UINT64_C(65535) /* gguf.md, "File Structure" */
#define VS_GGUF_NAME_MAX    UINT64_C(255)   /* llama.cpp takes 63 (GGML_MAX_NAME) */
#define VS_GGUF_DIMS_MAX    4u              /* ggml.h, GGML_MAX_DIMS */
#define VS_GGUF_DEPTH_MAX   8u              /* arrays in arrays; llama.cpp takes none */

/* One metadata entry. The value stays in the file. */
typedef struct {
    const char *name; /* key, arena string */
    vs_gguf_type type;
    vs_gguf_type item_type; /* of an array */
    uint64_t count;         /* items of an array, bytes of a string, otherwise 1 */
    uint64_t offset; /* in the file: the number, the first byte of a string, the first item */
} vs_gguf_entry;

typedef struct {
    const uint8_t *bytes; /* head, borrowed: values are read from it */
    uint64_t byte_count;
    const char *input_name; /* borrowed, for errors */
    uint32_t version;
    vs_bytes alignment;
    vs_gguf_entry *entries; /* order of the file */
    uint32_t entry_count;
    vs_name_index keys; /* of entries */
    /* Order of the file; names as they are there; shapes outermost dimension first, as torch has them, so the
     * other way round than in the file; file_offset absolute. */
    vs_tensor *tensors;
    uint32_t tensor_count;
    vs_bytes data_start;
    vs_bytes data_bytes; /* of the tensors, without padding */
} vs_gguf;

/* head: the first head_bytes bytes of a file of file_bytes bytes, at least all of its head. Checks everything that
 * a later reader could trip over: see the top of gguf.c. head must outlive the vs_gguf. */
VS_MUST_CHECK bool vs_gguf_parse(vs_gguf *gguf, vs_arena *arena, const void *head,
                                 uint64_t head_bytes, uint64_t file_bytes,
                                 const char *input_name, vs_err *err);

/* NULL: no such key. */
const vs_gguf_entry *vs_gguf_find(const vs_gguf *gguf, const char *key);
/* Values, and of arrays the item at index (0 otherwise). false, without an error: another type, negative, more
 * than 2^53, not finite; only arrays of numbers have items to be had. */
VS_MUST_CHECK bool vs_gguf_u64(const vs_gguf *gguf, const vs_gguf_entry *entry, uint64_t index,
                               uint64_t *out);
VS_MUST_CHECK bool vs_gguf_double(const vs_gguf *gguf, const vs_gguf_entry *entry, double *out);
VS_MUST_CHECK bool vs_gguf_str(const vs_gguf *gguf, const vs_gguf_entry *entry, vs_str *out);
/* Fails at the place of the entry: "general.alignment: " and the message. Always false. */
bool vs_gguf_fail(const vs_gguf *gguf, const vs_gguf_entry *entry, vs_err *err,
                  const char *format, ...) VS_PRINTF(4, 5);

/* ---- files (gguf_files.c) --------------------------------------------------------------------------- */

/* All files of one model. */
typedef struct {
    const vs_gguf *files; /* the metadata is that of the first */
    vs_stored stored;     /* the tensors of all of them, under their GGUF names */
    vs_name_index names;  /* of these */
} vs_gguf_set;

/* files are the parsed heads in their order, shards what is known of the files themselves. Refuses names that are in
 * two files, and splits whose files do not belong together. */
VS_MUST_CHECK bool vs_gguf_set_make(vs_gguf_set *set, vs_arena *arena, const vs_gguf *files,
                                    vs_shard *shards, uint32_t count, vs_err *err);
/* Is there a tensor of that name? */
bool vs_gguf_has(const vs_gguf_set *set, const char *name);

/* The .gguf files of a folder: *name is the one model there, the first file of a split; NULL: none. More than one is
 * an error that names two. Projectors (mmproj*) and importance matrices (imatrix*) are no models. */
VS_MUST_CHECK bool vs_gguf_find_in(const char *folder, vs_arena *arena, const char **name,
                                   vs_err *err);

/* ---- architectures (gguf_arch.c) ----------------------------------------------------------------- */

typedef enum { VS_GK_WHOLE, VS_GK_REAL, VS_GK_SWITCH } vs_gguf_kind;

/* The numbers of a model that the writer takes from vs_model_dims; the others come from its config. */
typedef enum {
    VS_GD_NONE,
    VS_GD_HIDDEN,
    VS_GD_LAYERS,
    VS_GD_HEADS,
    VS_GD_KV_HEADS,
    VS_GD_HEAD_DIM,
    VS_GD_INTERMEDIATE,
    VS_GD_VOCAB,
    VS_GD_EXPERTS,
    VS_GD_EXPERTS_USED,
    VS_GD_EXPERT_ROWS,
    VS_GD_POSITIONS
} vs_gguf_dim;

/* One number: "llama.block_count" is "num_hidden_layers". A reader takes the first entry that is there for a config
 * key, a writer writes all. */
typedef struct {
    const char *gguf;   /* behind "ARCH." */
    const char *config; /* "" when it is only written */
    vs_gguf_kind kind;
    vs_gguf_dim dim;
    double fallback; /* written when the config does not have it; 0: nothing */
} vs_gguf_key;

/* One tensor, below "blk.N." or at the top. Names without a dot at their end stand for their .weight and their .bias;
 * others are whole. */
typedef struct {
    const char *gguf;
    const char *module; /* parameter of the Transformers module tree, behind the layer's stem */
    /* Half of a parameter that GGUF keeps in two tensors (gate and up of the experts): its own name as far as our
     * lists go; NULL: the whole parameter */
    const char *piece;
    bool is_second; /* of the two */
    bool is_whole_name;
} vs_gguf_part;

typedef struct {
    const char *name;         /* general.architecture */
    const char *model_type;   /* of Transformers */
    const char *architecture; /* class */
    /* The entry counts when "ARCH.when_key" is there and has this value, or is not 0 for when_value 0. NULL: always */
    const char *when_key;
    uint64_t when_value;
    bool is_loadable; /* by Transformers 5.12.1: GGUF_CONFIG_MAPPING of integrations/ggml.py */
    bool is_tied;     /* whatever is stored: "exceptions" of load_gguf_checkpoint */
    const char *stem; /* "model.layers." */
    const vs_gguf_key *const
        *keys; /* lists, NULL at the end; each ends with an entry without a name */
    const vs_gguf_part *const *roots; /* the same, of tensors outside of the layers */
    const vs_gguf_part *const *parts; /* and of those in them; earlier ones win */
} vs_gguf_arch;

/* NULL: unknown. */
const vs_gguf_arch *vs_gguf_arch_of_file(const vs_gguf *gguf, vs_str name);
/* The one to write a model_type as. NULL: llama.cpp has none. */
const vs_gguf_arch *vs_gguf_arch_of_type(const char *model_type);
/* "ARCH.key"; NULL: not there. */
const vs_gguf_entry *vs_gguf_find_arch(const vs_gguf *gguf, const vs_gguf_arch *arch,
                                       const char *key);

/* Where a name of a file goes. */
typedef struct {
    char module[256]; /* parameter, "model.layers.3.mlp.experts.gate_up_proj" */
    char piece[256];  /* "" : the whole parameter */
    bool is_second;
    int64_t
        expert; /* the tensor of one expert, -1: not such a tensor (Mixtral files of before April 2024) */
} vs_gguf_place;

/* The candidates for a name are numbered from 0; false: no such candidate. */
bool vs_gguf_place_of(const vs_gguf_arch *arch, const char *name, uint32_t candidate,
                      vs_gguf_place *out);

/* What a parameter of the module tree is called in a file: in one tensor, or in two. 0: it has no name there. */
uint32_t vs_gguf_names_of(const vs_gguf_arch *arch, const char *module, char out[2][96]);

/* ---- config (gguf_config.c) ------------------------------------------------------------------------- */

/* The text of a config.json that says what the metadata says. *why is set, and text is not, when no config can: a
 * number that differs from layer to layer. */
VS_MUST_CHECK bool vs_gguf_config(const char **text, const char **why, const vs_gguf_set *set,
                                  const vs_gguf_arch *arch, vs_arena *arena, vs_err *err);

/* ---- model (gguf_model.c) -------------------------------------------------------------------------- */

/* Fills model, but for its name, from the files. Tensors get the names of Transformers where a parameter of its
 * module tree takes them; others keep theirs, and are dropped. */
VS_MUST_CHECK bool vs_gguf_build(vs_model *model, vs_arena *arena, vs_gguf_set *set,
                                 vs_err *err);
/* The same from a file; of a split, any of them. Fills everything but the name. */
VS_MUST_CHECK bool vs_gguf_open(vs_model *model, vs_arena *arena, const char *folder,
                                const char *file_name, vs_err *err);

/* ---- writing (gguf_write.c, gguf_write_keys.c) ------------------------------------------------------ */

typedef struct {
    /* Only the first so many decoder layers; 0: all. */
    uint64_t layers;
    /* config.json of the model, for the numbers that vs_model_dims does not have; len 0: model->config_text. */
    vs_str config;
} vs_gguf_write_desc;

/* A file: its head, and behind it a hole up to file_bytes. */
typedef struct {
    vs_str head; /* arena */
    uint64_t file_bytes;
    vs_bytes data_bytes; /* of the tensors, without padding */
    uint32_t tensor_count;
    uint32_t left_out; /* stored parameters that llama.cpp has no name for: vision towers */
} vs_gguf_image;

/* The model as llama.cpp's converter would write it, version 3: the plain architecture (a quantised checkpoint
 * dequantised, but for MXFP4, which ggml has), experts stacked, in the dtypes that are stored where ggml has them,
 * otherwise in the config's or BF16; not stored: tied heads, layers that predict further tokens, vision towers
 * (llama.cpp keeps those in a file of their own). The vocabulary is left out: tokenizer.ggml.model is "no_vocab".
 * Fails for model types that llama.cpp has no architecture for. */
VS_MUST_CHECK bool vs_gguf_make_image(vs_gguf_image *image, vs_arena *arena,
                                      const vs_model *model, const vs_gguf_write_desc *desc,
                                      vs_err *err);
/* The same into a file: it is there as a whole or, on failure, not at all. desc NULL: all layers. arena: scratch. */
VS_MUST_CHECK bool vs_gguf_write(const vs_model *model, const char *path,
                                 const vs_gguf_write_desc *desc, vs_arena *arena, vs_err *err);

/* A head that is being written. Room is taken beforehand. */
typedef struct {
    uint8_t *bytes;
    size_t used, capacity;
    uint64_t entry_count;
} vs_gguf_out;

void vs_gguf_put(vs_gguf_out *out, uint64_t value, unsigned byte_count);
void vs_gguf_put_str(vs_gguf_out *out, const char *text);

#define VS_GGUF_KEYS_BYTES ((size_t)16384) /* more than all entries take */

/* All metadata entries of a model. file_type: general.file_type. */
VS_MUST_CHECK bool vs_gguf_put_keys(vs_gguf_out *out, const vs_gguf_arch *arch,
                                    const vs_model *model, const vs_gguf_write_desc *desc,
                                    uint32_t file_type, vs_err *err);
/* The config's object with the numbers of the text model. */
vs_jnode vs_gguf_text_config(const vs_jnode *root);

#endif /* VS_MODEL_GGUF_H */
