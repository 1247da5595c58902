/* tests/gguf_bytes.h - GGUF files built by hand, byte by byte, for the tests of their reader.
 *
 * Include it after cmocka.h. Start with gguf_start(), add entries, then tensors, then gguf_data() for the padding
 * and as many zero bytes as the tensors need. Nothing is checked: tests want wrong files too. */
#ifndef TESTS_GGUF_BYTES_H
#define TESTS_GGUF_BYTES_H

#include "sim/model/gguf.h"

#include <string.h>

#define GGUF_BYTES_MAX ((size_t)1 << 20)

typedef struct {
    uint8_t bytes[GGUF_BYTES_MAX];
    size_t count;
    uint64_t tensor_count;
    uint64_t entry_count;
    uint64_t data_bytes; /* so far */
    uint64_t alignment;
} gguf_bytes;

static inline void gguf_put(gguf_bytes *g, const void *bytes, size_t count)
{
    assert_true(count <= GGUF_BYTES_MAX - g->count);
    memcpy(g->bytes + g->count, bytes, count);
    g->count += count;
}

/* value, its low bytes first */
static inline void gguf_put_le(gguf_bytes *g, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        const uint8_t byte = (uint8_t)(value >> (8 * i) & 0xff);
        gguf_put(g, &byte, 1);
    }
}

static inline void gguf_set_le(gguf_bytes *g, size_t at, uint64_t value, unsigned bytes)
{
    const size_t end = g->count;
    g->count = at;
    gguf_put_le(g, value, bytes);
    g->count = end;
}

static inline void gguf_put_str(gguf_bytes *g, const char *text)
{
    gguf_put_le(g, strlen(text), 8);
    gguf_put(g, text, strlen(text));
}

static inline void gguf_start(gguf_bytes *g, uint32_t version)
{
    memset(g, 0, sizeof *g);
    g->alignment = 32;
    gguf_put(g, "GGUF", 4);
    gguf_put_le(g, version, 4);
    gguf_put_le(g, 0, 8); /* tensors and entries: counted below */
    gguf_put_le(g, 0, 8);
}

/* Key and type; the caller puts the value. */
static inline void gguf_key(gguf_bytes *g, const char *key, uint32_t type)
{
    gguf_put_str(g, key);
    gguf_put_le(g, type, 4);
    g->entry_count++;
    gguf_set_le(g, 16, g->entry_count, 8);
}

static inline void gguf_u32(gguf_bytes *g, const char *key, uint32_t value)
{
    gguf_key(g, key, VS_GGUF_U32);
    gguf_put_le(g, value, 4);
}

static inline void gguf_f32(gguf_bytes *g, const char *key, float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    gguf_key(g, key, VS_GGUF_F32);
    gguf_put_le(g, bits, 4);
}

static inline void gguf_text(gguf_bytes *g, const char *key, const char *value)
{
    gguf_key(g, key, VS_GGUF_STRING);
    gguf_put_str(g, value);
}

/* An array of count strings "t0", "t1", ... */
static inline void gguf_tokens(gguf_bytes *g, uint64_t count)
{
    gguf_key(g, "tokenizer.ggml.tokens", VS_GGUF_ARRAY);
    gguf_put_le(g, VS_GGUF_STRING, 4);
    gguf_put_le(g, count, 8);
    for (uint64_t i = 0; i < count; i++) {
        gguf_put_str(g, "t");
    }
}

/* dims as in the file: innermost first, ended by 0. Data follows that of the tensor before, aligned. */
static inline void gguf_tensor(gguf_bytes *g, const char *name, const uint64_t *dims,
                               uint32_t type)
{
    uint32_t count = 0;
    uint64_t elements = 1;
    vs_bytes size = 0;
    for (; dims[count] != 0; count++) {
        elements *= dims[count];
    }
    gguf_put_str(g, name);
    gguf_put_le(g, count, 4);
    for (uint32_t i = 0; i < count; i++) {
        gguf_put_le(g, dims[i], 8);
    }
    gguf_put_le(g, type, 4);
    gguf_put_le(g, g->data_bytes, 8);
    if (vs_dtype_bytes(vs_dtype_find_ggml(type), elements, &size)) {
        g->data_bytes += (size + g->alignment - 1) / g->alignment * g->alignment;
    }
    g->tensor_count++;
    gguf_set_le(g, 8, g->tensor_count, 8);
}

#define GGUF_TENSOR(g, name, type, ...)                                                        \
    gguf_tensor((g), (name), (const uint64_t[]){__VA_ARGS__, 0}, (type))

/* Ends the infos; returns the size that the file would have with its data. */
static inline uint64_t gguf_end(gguf_bytes *g)
{
    while (g->count % g->alignment != 0) {
        gguf_put_le(g, 0, 1);
    }
    return g->count + g->data_bytes;
}

#endif /* TESTS_GGUF_BYTES_H */
