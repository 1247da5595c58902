/* tests/fuzz/fuzz_scenario.c - any bytes as a scenario file. */
#include "sim/plan/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_arena arena = {0};
    vs_err err = {0};
    vs_scenario scenario = {0};
    if (!vs_arena_open(&arena, 4 * VS_MIB, &err)) {
        return 0;
    }
    if (vs_scenario_parse(&scenario, &arena, data, size, "s.json", &err)) {
        vs_assert(err.code == VS_OK);
        vs_assert(scenario.machine.gpu_count <= VS_GPUS_MAX &&
                  scenario.gpu_used_count <= VS_GPUS_MAX);
        vs_assert(vs_scenario_command(&scenario, &arena) != NULL || arena.is_exhausted);
    } else {
        vs_assert(err.code != VS_OK);
    }
    vs_arena_close(&arena);
    return 0;
}
