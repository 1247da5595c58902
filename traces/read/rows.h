/* traces/read/rows.h - rows of one size, many of them: chunks, so that nothing moves and nothing is copied to grow.
 *
 *   chunks   [ 0 ] [ 1 ] [ 2 ] ...      a directory, doubled when full
 *              |     |     |
 *            1 << shift rows each
 *
 * Memory comes from an arena and may hold anything until it is written. */
#ifndef VS_TRACES_READ_ROWS_H
#define VS_TRACES_READ_ROWS_H

#include "vramscope/base.h"

typedef struct {
    vs_arena *arena;
    uint8_t **chunks;
    uint64_t count;
    uint32_t chunk_count;
    uint32_t chunk_capacity; /* of the directory */
    uint32_t row_bytes;
    uint32_t shift;
} vs_rows;

static inline vs_rows rows_of(vs_arena *arena, size_t row_bytes, uint32_t shift)
{
    return (vs_rows){.arena = arena, .row_bytes = (uint32_t)row_bytes, .shift = shift};
}

static inline void *rows_at(const vs_rows *rows, uint64_t index)
{
    const uint64_t in_chunk = index & ((UINT64_C(1) << rows->shift) - 1);
    return rows->chunks[index >> rows->shift] + in_chunk * rows->row_bytes;
}

/* One more chunk. False: the arena is exhausted. */
VS_MUST_CHECK bool rows_grow(vs_rows *rows);

/* Room for one more row, contents undefined. NULL: the arena is exhausted. */
VS_MUST_CHECK static inline void *rows_add(vs_rows *rows)
{
    if (rows->count >> rows->shift == rows->chunk_count && !rows_grow(rows)) {
        return NULL;
    }
    rows->count++;
    return rows_at(rows, rows->count - 1);
}

/* All rows, one behind the other, in another arena. NULL: it is exhausted. */
VS_MUST_CHECK void *rows_copy(const vs_rows *rows, vs_arena *keep);

#endif /* VS_TRACES_READ_ROWS_H */
