/* tests/fuzz/fuzz_arena.h - one arena for all inputs of a fuzz target: mapping a new one for each input costs more than most
 * readers do. A leak or a use behind a reset is still seen: reset poisons the memory in sanitizer builds. */
#ifndef TESTS_FUZZ_ARENA_H
#define TESTS_FUZZ_ARENA_H

#include "vramscope/base.h"

#include <stdlib.h>

/* Empty, with this capacity; the program ends when the system has no room for it. */
static inline vs_arena *fuzz_arena(size_t capacity_bytes)
{
    static vs_arena arena; /* a fuzz target has nobody to hand it in */
    if (arena.base == NULL && !vs_arena_open(&arena, capacity_bytes, NULL)) {
        abort();
    }
    vs_arena_reset(&arena);
    return &arena;
}

#endif /* TESTS_FUZZ_ARENA_H */
