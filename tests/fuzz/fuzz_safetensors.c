/* tests/fuzz/fuzz_safetensors.c - any bytes as a safetensors file.
 *
 * Besides not crashing: what is accepted keeps what was checked: ranges in order, without holes, up to the end of the
 * file, sizes that follow from shape and type; what is refused has a message. The length field is set to what is
 * there when the first byte is odd, so that the JSON is reached. */
#include "tests/fuzz/fuzz_arena.h"
#include "vramscope/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_header(const vs_st_header *header, uint64_t file_bytes)
{
    uint64_t next = header->data_start;
    for (uint32_t i = 0; i < header->tensor_count; i++) {
        const vs_tensor *const t = &header->tensors[i];
        uint64_t elements = 1;
        for (uint32_t d = 0; d < t->dim_count; d++) {
            elements *= t->shape[d];
        }
        require(t->file_offset == next && t->elements == elements);
        require(t->size_bytes * 8 == elements * vs_dtype_bits(t->dtype));
        next += t->size_bytes;
    }
    require(next == file_bytes && next == header->data_start + header->data_bytes);
}

static void try_file(vs_arena *arena, const uint8_t *data, size_t size, uint64_t file_bytes)
{
    vs_st_header header = {0};
    vs_err err = {0};
    vs_arena_reset(arena);
    if (vs_safetensors_parse(&header, arena, data, size, file_bytes, "fuzz", &err)) {
        check_header(&header, file_bytes);
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0' && strcmp(err.input, "fuzz") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(64 * VS_MIB);
    uint8_t *const copy = malloc(size > 0 ? size : 1);
    require(copy != NULL);
    memcpy(copy, data, size);
    try_file(arena, copy, size, size);
    if (size > 9 && (data[0] & 1) != 0) {
        const uint64_t json_bytes = size - 8;
        for (unsigned i = 0; i < 8; i++) {
            copy[i] = (uint8_t)(json_bytes >> (8 * i) & 0xff);
        }
        try_file(arena, copy, size, size + data[1]);
    }
    free(copy);
    return 0;
}
