/* tests/fuzz/fuzz_pickle.c - any bytes as the pickle of a torch checkpoint.
 *
 * Besides not crashing: memory stays within what is reserved for a pickle of this length, values of an accepted one are of
 * known kinds, and tensors are as large as their shapes say. */
#include "sim/model/pickle.h"
#include "tests/fuzz/fuzz_arena.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_tensor(const vs_pickle_tensor *t)
{
    uint64_t elements = 1;
    require(t->dtype < VS_DT_COUNT && t->dim_count <= VS_DIMS_MAX && t->storage != NULL);
    for (uint32_t i = 0; i < t->dim_count; i++) {
        require(vs_mul_u64(elements, t->shape[i], &elements) || t->elements == 0);
    }
    require(t->elements == 0 || t->elements == elements);
    require(t->end_byte >= t->first_byte || t->elements == 0);
}

/* Two levels deep: what hangs below may hang there many times. */
static void check_value(const vs_pickle_value *v)
{
    require(v->kind != VS_PK_ABSENT && v->kind <= VS_PK_OPAQUE);
    if (v->kind == VS_PK_TENSOR) {
        check_tensor(v->as.tensor);
    }
    if (v->kind == VS_PK_DICT || v->kind == VS_PK_LIST) {
        uint32_t count = 0;
        vs_pickle_walk walk = vs_pickle_walk_of(v->as.container);
        for (const vs_pickle_value *i = vs_pickle_walk_next(&walk); i != NULL;
             i = vs_pickle_walk_next(&walk)) {
            require(i->kind != VS_PK_ABSENT && i->kind <= VS_PK_OPAQUE);
            if (i->kind == VS_PK_TENSOR) {
                check_tensor(i->as.tensor);
            }
            count++;
        }
        require(count == v->as.container->count && (v->kind == VS_PK_LIST || count % 2 == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_pickle_result result = {0};
    if (size > 1u << 20) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(ARENA_BYTES);
    const bool is_read =
        vs_pickle_run(&result, arena, (vs_str){(const char *)data, size}, 0, &err);
    require(arena->used_bytes <= VS_MIB + VS_PICKLE_SCRATCH_FACTOR * size);
    if (is_read) {
        require(result.used_bytes <= size);
        check_value(&result.value);
        for (uint32_t i = 0; i < result.storage_count; i++) {
            require(result.storages[i]->mention == i);
            require(result.storages[i]->key.len <= VS_STORAGE_KEY_MAX);
        }
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0');
    }
    return 0;
}
