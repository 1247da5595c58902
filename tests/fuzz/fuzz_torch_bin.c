/* tests/fuzz/fuzz_torch_bin.c - any bytes as a file of torch.save, zip or older.
 *
 * Besides not crashing: tensors of an accepted file have names, lie in storages of theirs, and storages lie in the file. */
#include "sim/model/torch_bin.h"
#include "tests/fuzz/fuzz_arena.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)2 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_header(const vs_torch_header *h, size_t size)
{
    vs_bytes total = 0;
    for (uint32_t i = 0; i < h->storage_count; i++) {
        const vs_torch_storage *const s = &h->storages[i];
        require(s->size_bytes == 0 ||
                (s->file_offset <= size && s->size_bytes <= size - s->file_offset));
        total += s->size_bytes;
    }
    require(h->data_bytes == total && h->tensor_count > 0);
    for (uint32_t i = 0; i < h->tensor_count; i++) {
        const vs_tensor *const t = &h->tensors[i];
        const vs_torch_view *const v = &h->views[i];
        require(t->name[0] != '\0' && strlen(t->name) <= VS_TORCH_NAME_MAX);
        require(t->dtype < VS_DT_COUNT && t->target == VS_NO_TARGET);
        require(v->storage < h->storage_count);
        require(t->elements == 0 || v->first_byte < h->storages[v->storage].size_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_model model = {0};
    vs_torch_header header = {0};
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(ARENA_BYTES);
    const vs_byte_source source = vs_byte_source_of(data, size);
    const vs_torch_reading r = {arena, arena, &model, "fuzz", &err};
    if (vs_torch_bin_parse(&header, &source, &r)) {
        check_header(&header, size);
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0' && strcmp(err.input, "fuzz") == 0);
    }
    return 0;
}
