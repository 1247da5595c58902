/* tests/fuzz/fuzz_size.c - any bytes as a size, a number, a name. */
#include "vramscope/base.h"

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
    static const char *const names[] = {"rtx-4090", "rtx-3090", "a100-80gb-sxm", "h100-sxm",
                                        "t4"};
    const vs_str text = {.ptr = (const char *)data, .len = size};
    char buf[VS_TEXT_BYTES];
    vs_err err = {0};
    vs_bytes bytes = 0;
    if (vs_parse_size(text, &bytes, &err)) {
        require(bytes <= UINT64_C(1) << 60 && err.code == VS_OK);
        require(strlen(vs_format_size(bytes, buf)) < VS_TEXT_BYTES);
        require(strlen(vs_format_torch_size(bytes, buf)) < VS_TEXT_BYTES);
        require(strlen(vs_format_duration(bytes, buf)) < VS_TEXT_BYTES);
    } else {
        require(err.code == VS_ERR_VALUE);
    }
    uint64_t number = 0;
    err = (vs_err){0};
    if (vs_parse_u64(text, &number, &err)) {
        /* a size without a unit is the same number, up to its own limit */
        require((number <= UINT64_C(1) << 60) == vs_parse_size(text, &bytes, NULL));
        require(strlen(vs_format_grouped(number, buf)) < VS_TEXT_BYTES);
    }
    const char *found = vs_nearest(text, names, sizeof names / sizeof names[0]);
    require(found == NULL || (size > 0 && size <= 64));
    return 0;
}
