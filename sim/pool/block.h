/* pool/block.h - one block of the simulated device memory, 64 bytes.
 *
 * Internal to pool/. Blocks live in one array and refer to each other by slot number; slot 0 is
 * never a block, so 0 means none. Fields that only matter while a block is free share their
 * place with fields that only matter while it is in use. */
#ifndef VS_POOL_BLOCK_H
#define VS_POOL_BLOCK_H

#include "vramscope/base.h"

typedef enum {
    SLOT_UNUSED = 0,
    SLOT_ALLOCATED,
    SLOT_PENDING,  /* free requested, events outstanding */
    SLOT_FREE,     /* mapped, in its home's free set */
    SLOT_UNMAPPED, /* address space of an expandable range, in its home's unmapped list */
    SLOT_LOOSE,    /* free, in the pool's list of those that are in no set yet */
} slot_state;

typedef struct {
    uint64_t asked_bytes;   /* n */
    uint64_t counted_bytes; /* R, or 0 for an uncounted request: its part of tensor_bytes */
    uint32_t notes;         /* foreign streams recorded on it: list of note numbers */
    uint32_t tape_block;
} pool_block_used;

typedef struct {
    uint64_t mark;  /* the pool's search counter when it was put into the set [6.3] */
    uint32_t left;  /* free: treap children. Unmapped, loose: neighbours in the list. */
    uint32_t right; /* unused: right is the next unused slot */
    uint32_t chain; /* gathered for unmapping [6.4] */
} pool_block_idle;

typedef struct {
    uint64_t addr;
    uint64_t size_bytes;
    uint32_t prev; /* neighbours in the same segment or range */
    uint32_t next;
    uint32_t home;  /* (pool, stream) it belongs to */
    uint32_t range; /* expandable range, 0: a cudaMalloc segment */

    union {
        pool_block_used used; /* allocated, pending */
        pool_block_idle idle; /* free, unmapped, unused */
    };

    uint32_t event_count; /* outstanding events */
    uint16_t generation;  /* of the handle */
    uint8_t state;        /* slot_state */
    uint8_t category;     /* vs_category, for the tape */
} pool_block;

_Static_assert(sizeof(pool_block) == 64, "a block is one cache line");

#endif /* VS_POOL_BLOCK_H */
