/* tests/support/mtrfile.h - recorder files made by hand (traces/read/mtr.h). */
#ifndef TESTS_MTRFILE_H
#define TESTS_MTRFILE_H

#include "traces/read/mtr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MTR_TEST_SLAB 1024u /* smaller than the recorder's: 15 records */

typedef struct {
    uint8_t *bytes; /* from malloc */
    size_t size_bytes;
    size_t slab;      /* offset of the one that is being written, 0: none */
    size_t used;      /* behind its header */
    uint32_t kind;    /* of it */
    uint64_t seq;     /* of it */
    uint32_t strings; /* written so far */
} mtr_file;

typedef struct {
    uint64_t t, a, b, c, d;
    uint32_t stream, str, aux;
    uint16_t type;
    uint8_t dev, flags;
} mtr_row;

static inline void mtr_u32(uint8_t *p, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void mtr_u64(uint8_t *p, uint64_t value)
{
    mtr_u32(p, (uint32_t)value);
    mtr_u32(p + 4, (uint32_t)(value >> 32));
}

static inline void mtr_put(uint8_t *p, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)text[i];
    }
}

/* Room at the end, zeroed; the test ends when the system has none. */
static inline uint8_t *mtr_room(mtr_file *f, size_t count)
{
    uint8_t *const bytes = realloc(f->bytes, f->size_bytes + count);
    if (bytes == NULL) {
        abort();
    }
    f->bytes = bytes;
    memset(bytes + f->size_bytes, 0, count);
    f->size_bytes += count;
    return bytes + f->size_bytes - count;
}

/* lines: key=value, each with its newline. */
static inline mtr_file mtr_begin(const char *lines)
{
    mtr_file f = {0};
    uint8_t *const p = mtr_room(&f, MTR_HEADER_BYTES);
    mtr_put(p, MTR_MAGIC, 8);
    mtr_u32(p + 8, MTR_VERSION);
    mtr_u32(p + 12, MTR_HEADER_BYTES);
    mtr_u32(p + 16, MTR_RECORD_BYTES);
    mtr_u32(p + 20, MTR_TEST_SLAB);
    mtr_u32(p + 24, 1); /* CLOCK_MONOTONIC */
    mtr_u64(p + 28, 1000);
    mtr_u64(p + 36, UINT64_C(1700000000000001000));
    mtr_put(p + MTR_FIELD_BYTES, lines, strlen(lines));
    return f;
}

static inline void mtr_slab(mtr_file *f, uint32_t kind, uint64_t seq)
{
    f->slab = f->size_bytes;
    f->used = 0;
    f->kind = kind;
    f->seq = seq;
    uint8_t *const p = mtr_room(f, MTR_TEST_SLAB);
    mtr_put(p, MTR_SLAB_MAGIC, 4);
    mtr_u32(p + 4, kind);
    mtr_u64(p + 16, seq);
}

/* Where count bytes more of a slab of that kind go; a new slab when they do not fit. */
static inline uint8_t *mtr_place(mtr_file *f, uint32_t kind, size_t count)
{
    if (f->slab == 0 || f->kind != kind || f->used + count > MTR_TEST_SLAB - MTR_SLAB_HEADER) {
        mtr_slab(f, kind, f->slab == 0 ? 1 : f->seq + 1);
    }
    uint8_t *const p = f->bytes + f->slab + MTR_SLAB_HEADER + f->used;
    f->used += count;
    return p;
}

/* Its id. */
static inline uint32_t mtr_string(mtr_file *f, const char *text)
{
    const size_t len = strlen(text);
    uint8_t *const p = mtr_place(f, MTR_SLAB_STRINGS, 8 + ((len + 3) & ~(size_t)3));
    mtr_u32(p, (uint32_t)len);
    mtr_u32(p + 4, ++f->strings);
    mtr_put(p + 8, text, len);
    return f->strings;
}

/* Where the record stands, until the next call. */
static inline uint8_t *mtr_add(mtr_file *f, const mtr_row *row)
{
    uint8_t *const p = mtr_place(f, MTR_SLAB_RECORDS, MTR_RECORD_BYTES);
    mtr_u64(p, row->t);
    mtr_u64(p + 8, row->a);
    mtr_u64(p + 16, row->b);
    mtr_u64(p + 24, row->c);
    mtr_u64(p + 32, row->d);
    mtr_u32(p + 40, row->stream);
    mtr_u32(p + 48, row->str);
    mtr_u32(p + 52, row->aux);
    p[56] = (uint8_t)row->type;
    p[57] = (uint8_t)(row->type >> 8);
    p[58] = row->dev;
    p[59] = row->flags;
    p[63] = MTR_COMMIT;
    return p;
}

/* Writes used and crc of the slab under way, as a clean exit does. */
static inline void mtr_close_slab(mtr_file *f)
{
    uint8_t *const p = f->bytes + f->slab;
    mtr_u32(p + 36, (uint32_t)f->used);
    mtr_u32(p + 32, (uint32_t)crc32(0, p + MTR_SLAB_HEADER, (uInt)f->used));
}

static inline void mtr_index(mtr_file *f)
{
    mtr_slab(f, MTR_SLAB_INDEX, f->seq + 1);
}

/* A little of everything: what fault tests and fuzzers start from. */
static inline mtr_file mtr_sample(void)
{
    mtr_file f = mtr_begin("program=python3 load.py\ndevice.0.name=NVIDIA T4\n"
                           "device.0.total_bytes=15634661376\n");
    const uint32_t name = mtr_string(&f, "gemm");
    const uint32_t call = mtr_string(&f, "cuMemAlloc");
    const uint32_t said = mtr_string(&f, "CUPTI: somebody else was first");
    const mtr_row rows[] = {
        {.t = 2000, .a = 100, .b = 1000, .type = MTR_COUNTER},
        {.t = 2100, .a = 0x7f0000000000, .b = 2 << 20, .type = MTR_SEG_ADD},
        {.t = 2200, .a = 77, .b = 2 << 20, .type = MTR_PHYS_ADD},
        {.t = 2210, .a = 0x7f0010000000, .b = 2 << 20, .c = 77, .type = MTR_MAP},
        {.t = 2220, .a = 0x550000, .b = 4096, .type = MTR_PIN_ADD, .dev = MTR_HOST},
        {.t = 2300,
         .b = 1 << 20,
         .d = 2400,
         .aux = MTR_COPY_KIND(MTR_HTOD, MTR_PINNED, MTR_DEVICE),
         .type = MTR_COPY,
         .stream = 1},
        {.t = 2400, .str = name, .d = 2500, .type = MTR_KERNEL},
        {.t = 2500, .b = 4096, .d = 2510, .type = MTR_MEMSET},
        {.t = 2600, .a = 1 << 20, .d = 2700, .type = MTR_IO, .dev = MTR_HOST},
        {.t = 2700, .str = call, .d = 2750, .type = MTR_CALL, .dev = MTR_HOST},
        {.t = 2800, .str = call, .b = 1 << 30, .c = 4096, .aux = 2, .type = MTR_FAIL},
        {.t = 2900, .str = said, .type = MTR_NOTE},
        {.t = 2950, .str = name, .aux = MTR_PHASE_START, .type = MTR_PHASE, .dev = MTR_HOST},
        {.t = 3000, .a = 0x7f0010000000, .b = 2 << 20, .type = MTR_UNMAP},
        {.t = 3010, .a = 77, .type = MTR_PHYS_DEL},
        {.t = 3100, .a = 0x7f0000000000, .b = 2 << 20, .type = MTR_SEG_DEL},
        {.t = 3200, .a = 3, .type = MTR_DROPPED},
        {.t = 3300, .type = 900}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)mtr_add(&f, &rows[i]);
    }
    mtr_close_slab(&f);
    mtr_index(&f);
    return f;
}

#endif /* TESTS_MTRFILE_H */
