/* tests/fuzz/fuzz_index.c - any bytes as a model.safetensors.index.json.
 *
 * Besides not crashing: files of an accepted index are sorted, distinct and plain names, and every entry points to one. */
#include "sim/model/internal.h"
#include "tests/fuzz/fuzz_arena.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_st_index index = {0};
    vs_err err = {0};
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(64 * VS_MIB);
    if (vs_st_index_parse(&index, arena, data, size, "fuzz", &err)) {
        for (uint32_t i = 0; i < index.file_count; i++) {
            require(strchr(index.files[i], '/') == NULL && index.files[i][0] != '\0');
            require(i == 0 || strcmp(index.files[i - 1], index.files[i]) < 0);
        }
        for (uint32_t i = 0; i < index.entry_count; i++) {
            require(index.entries[i].shard < index.file_count && index.entries[i].name != NULL);
        }
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0' && strcmp(err.input, "fuzz") == 0);
    }
    return 0;
}
