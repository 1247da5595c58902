/* tests/fuzz/fuzz_timeline.c - any bytes as a memory timeline.
 *
 * Besides not crashing: what is read is consistent, and goes onto a tape whose derived figures are right. */
#include "tests/fuzz/fuzz_text_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text_trace(read_timeline, data, size);
    return 0;
}
