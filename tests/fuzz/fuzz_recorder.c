/* tests/fuzz/fuzz_recorder.c - any bytes as a file of our recorder.
 *
 * Besides not crashing: what is read is consistent, and a refusal says why. */
#include "tests/fuzz/fuzz_arena.h"
#include "tests/fuzz/fuzz_recording.h"
#include "traces/read/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_recording rec = {0};
    vs_input in = {0};
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena((size_t)1 << 30);
    const vs_read_desc desc = {.keep = arena, .scratch = arena};
    if (input_of_bytes(&in, data, size, arena, &err) && read_recorder(&rec, &in, &desc, &err)) {
        fuzz_check_recording(&rec);
    } else {
        fuzz_check_refusal(&err);
    }
    input_close(&in);
    return 0;
}
