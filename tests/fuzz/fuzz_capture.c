/* tests/fuzz/fuzz_capture.c - any bytes as results.json or loader.csv of the capture kit.
 *
 * Besides not crashing: every observation is a positive finite number, and a refusal says why. */
#include "tests/fuzz/fuzz_arena.h"
#include "traces/calibrate/observe.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_cal_file file = {.path = "fuzz"};
    const vs_str bytes = {(const char *)data, size};
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena((size_t)256 << 20);
    calibrating *const c = VS_NEW(arena, calibrating);
    require(c != NULL);
    *c = (calibrating){
        .keep = arena, .scratch = arena, .err = &err, .path = "fuzz", .files = &file};
    const cal_kit kit = cal_is_kit(bytes);
    const bool is_read =
        kit == CAL_KIT_LOADER ? cal_observe_loader(c, bytes) : cal_observe_results(c, bytes);
    require(is_read == (err.code == VS_OK) && err.code != VS_ERR_INTERNAL);
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        for (uint32_t i = 0; i < c->lists[p].count; i++) {
            const cal_observation *const o = &c->lists[p].list[i];
            require(isfinite(o->value) && o->value > 0.0);
            require(isfinite(o->bytes) && o->bytes >= 0.0);
        }
    }
    return 0;
}
