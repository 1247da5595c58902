/* tests/fuzz/fuzz_smi.c - any bytes as samples of nvidia-smi.
 *
 * Besides not crashing: what is read is consistent, and goes onto a tape whose derived figures are right. */
#include "tests/fuzz/fuzz_text_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text_trace(read_smi, data, size);
    return 0;
}
