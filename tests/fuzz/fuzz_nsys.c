/* tests/fuzz/fuzz_nsys.c - any bytes as an SQLite database of Nsight Systems.
 *
 * Besides not crashing: what is read is consistent, and a refusal says why. */
#include "tests/fuzz/fuzz_arena.h"
#include "tests/fuzz/fuzz_recording.h"
#include "traces/read/nsys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_recording rec = {0};
    if (size > 1u << 18) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena((size_t)1 << 30);
    vs_arena keep = {0};
    if (!vs_arena_open(&keep, (size_t)256 << 20, NULL)) {
        abort();
    }
    const vs_read_desc desc = {.keep = &keep, .scratch = arena};
    if (read_nsys_bytes(&rec, data, size, &desc, &err)) {
        fuzz_check_recording(&rec);
    } else {
        fuzz_check_refusal(&err);
    }
    vs_arena_close(&keep);
    return 0;
}
