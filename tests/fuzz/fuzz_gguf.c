/* tests/fuzz/fuzz_gguf.c - any bytes as a GGUF file, from its head to the model.
 *
 * The data of the tensors is never there: the file is as long as the first two bytes of the input say, beyond the head.
 * So that the head is reached, magic and version are set right unless the third byte is odd. */
#include "tests/fuzz/fuzz_arena.h"
#include "tests/gguf_try.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    if (size < 3 || size > 1u << 18) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(256 * VS_MIB);
    const uint64_t beyond = ((uint64_t)data[0] << 8 | data[1]) << (data[2] >> 3);
    const size_t count = size - 3;
    uint8_t *const head = malloc(count > 0 ? count : 1);
    gguf_require(head != NULL);
    memcpy(head, data + 3, count);
    if (count >= 8 && (data[2] & 1) == 0) {
        memcpy(head, "GGUF\3\0\0", 8);
    }
    (void)gguf_try(arena, head, count, count + beyond, &err);
    gguf_require(err.code != VS_ERR_MEMORY);
    free(head);
    return 0;
}
