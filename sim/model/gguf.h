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
 *   gguf_write.c  vs_model -> a file
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

#endif /* VS_MODEL_GGUF_H */
