/* tests/support/pickled.h - small pickles, opcode by opcode, for tests of the snapshot reader.
 *
 * Nothing here knows what a valid pickle is: tests write invalid ones, too. Texts are not remembered. */
#ifndef VS_TESTS_PICKLED_H
#define VS_TESTS_PICKLED_H

#include "vramscope/base.h"

#include <string.h>

#define PICKLED_BYTES ((size_t)1 << 20)

typedef struct {
    uint8_t bytes[PICKLED_BYTES];
    size_t used;
} pickled;

static inline void pk_raw(pickled *p, const void *bytes, size_t count)
{
    vs_assert(count <= sizeof p->bytes - p->used);
    memcpy(p->bytes + p->used, bytes, count);
    p->used += count;
}

/* Opcodes without arguments, one character each: "}(" */
static inline void pk_ops(pickled *p, const char *ops)
{
    pk_raw(p, ops, strlen(ops));
}

static inline void pk_op(pickled *p, uint8_t op)
{
    pk_raw(p, &op, 1);
}

/* An opcode and an argument of so many bytes. */
static inline void pk_arg(pickled *p, uint8_t op, uint64_t value, unsigned bytes)
{
    pk_op(p, op);
    for (unsigned i = 0; i < bytes; i++) {
        pk_op(p, (uint8_t)(value >> (8 * i)));
    }
}

static inline void pk_proto(pickled *p, uint8_t protocol)
{
    p->used = 0;
    pk_arg(p, 0x80, protocol, 1);
}

static inline void pk_text(pickled *p, const char *text)
{
    pk_arg(p, 'X', strlen(text), 4);
    pk_ops(p, text);
}

static inline void pk_int(pickled *p, uint64_t value)
{
    pk_arg(p, 0x8a, 9, 1);
    for (unsigned i = 0; i < 8; i++) {
        pk_op(p, (uint8_t)(value >> (8 * i)));
    }
    pk_op(p, 0);
}

static inline void pk_key_int(pickled *p, const char *key, uint64_t value)
{
    pk_text(p, key);
    pk_int(p, value);
}

static inline void pk_key_text(pickled *p, const char *key, const char *value)
{
    pk_text(p, key);
    pk_text(p, value);
}

/* {action, addr, size}, left open for more keys: close with pk_ops(p, "u") */
static inline void pk_begin_entry(pickled *p, const char *action, uint64_t addr, uint64_t size)
{
    pk_ops(p, "}(");
    pk_key_text(p, "action", action);
    pk_key_int(p, "addr", addr);
    pk_key_int(p, "size", size);
}

static inline void pk_entry(pickled *p, const char *action, uint64_t addr, uint64_t size)
{
    pk_begin_entry(p, action, addr, size);
    pk_ops(p, "u");
}

static inline void pk_frame(pickled *p, const char *file, const char *name, uint64_t line)
{
    pk_ops(p, "}(");
    pk_key_text(p, "filename", file);
    pk_key_text(p, "name", name);
    pk_key_int(p, "line", line);
    pk_ops(p, "u");
}

/* {size, state}, left open */
static inline void pk_begin_block(pickled *p, uint64_t size, const char *state)
{
    pk_ops(p, "}(");
    pk_key_int(p, "size", size);
    pk_key_text(p, "state", state);
}

/* {device, address, total_size, blocks: [, left open: blocks, then pk_ops(p, "eu") */
static inline void pk_begin_segment(pickled *p, uint64_t device, uint64_t addr, uint64_t size)
{
    pk_ops(p, "}(");
    pk_key_int(p, "device", device);
    pk_key_int(p, "address", addr);
    pk_key_int(p, "total_size", size);
    pk_text(p, "blocks");
    pk_ops(p, "](");
}

/* {device_traces: [[ of one device, left open: entries, then pk_end_trace */
static inline void pk_begin_trace(pickled *p)
{
    pk_proto(p, 2);
    pk_ops(p, "}(");
    pk_text(p, "device_traces");
    pk_ops(p, "](](");
}

static inline void pk_end_trace(pickled *p)
{
    pk_ops(p, "eeu.");
}

#endif /* VS_TESTS_PICKLED_H */
