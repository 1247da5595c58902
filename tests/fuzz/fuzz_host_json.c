/* tests/fuzz/fuzz_host_json.c - any bytes as a HOST.json. */
#include "sim/hardware/figures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_arena arena = {0};
    vs_err err = {0};
    vs_hw_host_file file = {0};
    if (!vs_arena_open(&arena, 4 * VS_MIB, &err)) {
        return 0;
    }
    if (vs_hw_parse_host_file(&file, &arena, data, size, "host.json", &err)) {
        vs_assert(err.code == VS_OK);
        for (uint32_t i = 0; i < vs_hw_gpus.count; i++) {
            const vs_hw_figure *figure = &file.gpu.figures[i];
            vs_assert(figure->origin == VS_HW_UNKNOWN ||
                      (figure->value >= vs_hw_gpus.keys[i].min &&
                       figure->value <= vs_hw_gpus.keys[i].max));
        }
    } else {
        vs_assert(err.code != VS_OK);
    }
    vs_arena_close(&arena);
    return 0;
}
