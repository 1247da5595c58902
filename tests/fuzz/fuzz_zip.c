/* tests/fuzz/fuzz_zip.c - any bytes as a zip archive.
 *
 * Besides not crashing: entries of an accepted archive lie before its directory without overlapping, and the data of stored
 * ones are inside the file. */
#include "sim/model/zip.h"
#include "tests/fuzz/fuzz_arena.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_entry(const vs_zip *zip, const vs_byte_source *source, uint32_t i)
{
    const vs_zip_entry *const e = &zip->entries[i];
    uint64_t offset = 0;
    vs_err err = {0};
    require(e->name.len > 0 && e->name.len <= VS_ZIP_NAME_MAX);
    require(e->limit_offset <= zip->directory_offset && e->header_offset < e->limit_offset);
    require(e->packed_bytes <= e->limit_offset - e->header_offset);
    if (vs_zip_check_stored(e, &err) && vs_zip_data_offset(source, e, &offset, &err)) {
        require(offset <= source->size_bytes && e->size_bytes <= source->size_bytes - offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_zip zip = {0};
    const vs_byte_source source = vs_byte_source_of(data, size);
    bool is_zip = false;
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(32 * VS_MIB);
    require(vs_zip_detect(&source, arena, &is_zip, &err));
    vs_arena_reset(arena);
    if (vs_zip_read(&zip, &source, arena, &err)) {
        require(is_zip && zip.directory_offset <= size);
        for (uint32_t i = 0; i < zip.entry_count && i < 64; i++) {
            check_entry(&zip, &source, i);
        }
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0');
    }
    return 0;
}
