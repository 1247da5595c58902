/* tests/fuzz/fuzz_by_name.c - any tensor names and any config, of an architecture that nobody knows.
 *
 * The first line is the config; every other line is one tensor: two bytes for type and shape, the rest is its name.
 * Besides not crashing: every tensor becomes the target of its name, and the rows of the summary add up. */
#include "sim/model/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TENSORS_MAX 256u

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static vs_str take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *const end = memchr(*data, '\n', *size);
    const size_t len = end == NULL ? *size : (size_t)(end - *data);
    const vs_str line = {(const char *)*data, len};
    *data += len + (end != NULL);
    *size -= len + (end != NULL);
    return line;
}

/* false: no name. */
static bool make_tensor(vs_tensor *t, vs_arena *arena, vs_str line)
{
    if (line.len < 3 || memchr(line.ptr, '\0', line.len) != NULL) {
        return false;
    }
    const uint8_t kind = (uint8_t)line.ptr[0];
    const uint8_t shape = (uint8_t)line.ptr[1];
    *t = (vs_tensor){.name = vs_str_copy(arena, (vs_str){line.ptr + 2, line.len - 2}),
                     .dtype = (vs_dtype)(kind % VS_DT_SAFETENSORS_COUNT),
                     .dim_count = shape % 5u,
                     .elements = 1,
                     .target = VS_NO_TARGET};
    for (uint32_t d = 0; d < t->dim_count; d++) {
        t->shape[d] = (uint64_t)(shape / 5u) << (d % 3 * 4); /* 0 .. 51 << 8 */
        t->elements *= t->shape[d];
    }
    require(t->name != NULL && vs_dtype_bytes(t->dtype, t->elements, &t->size_bytes));
    return true;
}

static void check_rows(const vs_model *m, vs_arena *arena)
{
    vs_model_summary s = {0};
    require(vs_model_summarise(&s, m, arena, NULL));
    vs_amount sum = {0};
    for (uint32_t r = 0; r < s.row_count; r++) {
        const vs_layer_row *const row = &s.rows[r];
        const uint64_t count = row->layer_count > 0 ? row->layer_count : 1;
        vs_bytes parts = 0;
        sum.tensors += row->one.tensors * count;
        sum.elements += row->one.elements * count;
        sum.bytes += row->one.bytes * count;
        for (uint32_t p = 0; p < VS_PART_COUNT; p++) {
            parts += row->parts[p];
        }
        require(parts == row->one.bytes);
        for (uint32_t i = 1; i < row->layer_count; i++) {
            require(row->layers[i - 1] < row->layers[i]);
        }
    }
    require(sum.tensors == s.loaded.tensors && sum.tensors == m->tensor_count);
    require(sum.elements == s.loaded.elements && sum.elements == m->loaded_parameters);
    require(sum.bytes == s.loaded.bytes && s.active_parameters <= m->loaded_parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const vs_shard one = {.file = "fuzz"};
    vs_arena arena = {0};
    if (size > 1u << 16 || !vs_arena_open(&arena, 4 * VS_MIB, NULL)) {
        return 0;
    }
    vs_shard shard = one;
    vs_model model = {.name = "fuzz",
                      .model_type = "",
                      .architecture = "",
                      .no_split_class = "",
                      .source = "safetensors",
                      .config_dtype = VS_DT_COUNT};
    vs_stored stored = {.tensors = VS_ARRAY(&arena, vs_tensor, TENSORS_MAX),
                        .shards = &shard,
                        .shard_count = 1};
    require(stored.tensors != NULL);
    model.config_text = vs_str_copy(&arena, take_line(&data, &size));
    while (size > 0 && stored.tensor_count < TENSORS_MAX) {
        stored.tensor_count +=
            make_tensor(&stored.tensors[stored.tensor_count], &arena, take_line(&data, &size));
    }
    vs_err err = {0};
    if (vs_model_by_name(&model, &arena, &stored, "fuzz", &err)) {
        for (uint32_t i = 0; i < model.tensor_count; i++) {
            require(strcmp(model.tensors[i].name,
                           model.targets[model.tensors[i].target].name) == 0);
        }
        check_rows(&model, &arena);
    } else {
        require(err.code == VS_ERR_VALUE); /* a name twice */
    }
    vs_arena_close(&arena);
    return 0;
}
