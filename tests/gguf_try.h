/* tests/gguf_try.h - any bytes as a GGUF model, all the way to a vs_model; for fault tests and fuzzing.
 *
 * What must hold however hostile the bytes: accepted heads keep what was checked, models only point into themselves,
 * refusals say what and where. */
#ifndef TESTS_GGUF_TRY_H
#define TESTS_GGUF_TRY_H

#include "sim/model/gguf.h"

#include <stdlib.h>
#include <string.h>

static inline void gguf_require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static inline void gguf_check_error(const vs_err *err)
{
    char line[1024];
    gguf_require(err->code != VS_OK && err->code != VS_ERR_INTERNAL && err->text[0] != '\0');
    gguf_require(strchr(vs_err_line(err, line, sizeof line), '\n') == NULL);
}

static inline void gguf_check_head(const vs_gguf *gguf, uint64_t file_bytes)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        const vs_tensor *const t = &gguf->tensors[i];
        vs_bytes size = 0;
        uint64_t elements = 1;
        for (uint32_t d = 0; d < t->dim_count; d++) {
            elements *= t->shape[d];
        }
        gguf_require(elements == t->elements && vs_dtype_bytes(t->dtype, elements, &size));
        gguf_require(size == t->size_bytes && t->file_offset >= gguf->data_start);
        gguf_require(t->file_offset <= file_bytes && size <= file_bytes - t->file_offset);
        bytes += size;
    }
    gguf_require(bytes == gguf->data_bytes && bytes <= file_bytes);
    for (uint32_t i = 0; i < gguf->entry_count; i++) {
        gguf_require(gguf->entries[i].offset <= gguf->byte_count);
        gguf_require(vs_gguf_find(gguf, gguf->entries[i].name) == &gguf->entries[i]);
    }
}

static inline void gguf_check_model(const vs_model *m)
{
    for (uint32_t i = 0; i < m->target_count; i++) {
        const vs_target *const t = &m->targets[i];
        gguf_require(t->source_count <= m->source_count);
        gguf_require(t->first_source <= m->source_count - t->source_count);
        for (uint32_t k = 0; k < t->source_count; k++) {
            const uint32_t tensor = m->sources[t->first_source + k];
            gguf_require(tensor < m->tensor_count && m->tensors[tensor].target == i);
        }
    }
    uint64_t elements = 0;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        gguf_require(m->tensors[i].name != NULL);
        elements += m->tensors[i].elements;
    }
    gguf_require(elements == m->parameters);
}

/* bytes: the head; the file has file_bytes. true: it became a model. */
static inline bool gguf_try(vs_arena *arena, const void *bytes, uint64_t count,
                            uint64_t file_bytes, vs_err *err)
{
    vs_gguf gguf = {.tensor_count = 99};
    vs_gguf_set set = {0};
    vs_shard shard = {.file = "hostile", .file_bytes = file_bytes};
    vs_model model = {.name = "hostile",
                      .model_type = "",
                      .architecture = "",
                      .no_split_class = "",
                      .config_dtype = VS_DT_COUNT};
    *err = (vs_err){0};
    if (!vs_gguf_parse(&gguf, arena, bytes, count, file_bytes, "hostile", err)) {
        gguf_require(gguf.tensor_count == 99 && strcmp(err->input, "hostile") == 0);
        gguf_check_error(err);
        return false;
    }
    gguf_check_head(&gguf, file_bytes);
    if (!vs_gguf_set_make(&set, arena, &gguf, &shard, 1, err) ||
        !vs_gguf_build(&model, arena, &set, err)) {
        gguf_check_error(err);
        return false;
    }
    gguf_check_model(&model);
    return true;
}

#endif /* TESTS_GGUF_TRY_H */
