/* traces/read/rows.c - see rows.h. */
#include "traces/read/rows.h"

#include <string.h>

#define FIRST_CHUNKS 8u
#define ROW_ALIGN    16u

bool rows_grow(vs_rows *rows)
{
    if (rows->chunk_count == rows->chunk_capacity) {
        const uint32_t capacity =
            rows->chunk_capacity > 0 ? 2 * rows->chunk_capacity : FIRST_CHUNKS;
        uint8_t **const chunks = VS_RAW_ARRAY(rows->arena, uint8_t *, capacity);
        if (chunks == NULL) {
            return false;
        }
        if (rows->chunk_count > 0) {
            memcpy(chunks, rows->chunks, rows->chunk_count * sizeof *chunks);
        }
        rows->chunks = chunks;
        rows->chunk_capacity = capacity;
    }
    uint8_t *const chunk =
        vs_arena_raw(rows->arena, (size_t)1 << rows->shift, rows->row_bytes, ROW_ALIGN);
    if (chunk == NULL) {
        return false;
    }
    rows->chunks[rows->chunk_count++] = chunk;
    return true;
}

void *rows_copy(const vs_rows *rows, vs_arena *keep)
{
    uint8_t *const out = vs_arena_raw(keep, (size_t)rows->count, rows->row_bytes, ROW_ALIGN);
    if (out == NULL) {
        return NULL;
    }
    const uint64_t chunk_rows = UINT64_C(1) << rows->shift;
    for (uint64_t first = 0; first < rows->count; first += chunk_rows) {
        const uint64_t left = rows->count - first;
        const uint64_t count = left < chunk_rows ? left : chunk_rows;
        memcpy(out + first * rows->row_bytes, rows->chunks[first >> rows->shift],
               (size_t)count * rows->row_bytes);
    }
    return out;
}
