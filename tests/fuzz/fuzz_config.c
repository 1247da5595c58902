/* tests/fuzz/fuzz_config.c - any bytes as a config.json.
 *
 * Besides not crashing: an accepted model is whole: tensors in key order, sources and targets that name each other,
 * sums that add up. Configs that describe very large models are cut off by the arena, a clean error. */
#include "tests/fuzz/fuzz_arena.h"
#include "vramscope/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The plain architecture: every source exists, companions are the last of them. */
static void check_modules(const vs_model *m)
{
    uint32_t sources = 0;
    require(m->module_count > 0);
    for (uint32_t i = 0; i < m->module_count; i++) {
        const vs_target *const t = &m->modules[i];
        require(t->first_source == sources && t->companion_count <= t->source_count);
        for (uint32_t k = 0; k < t->source_count; k++) {
            require(m->module_sources[sources + k] < m->tensor_count);
        }
        sources += t->source_count;
    }
    require(sources == m->module_source_count);
}

static void check_model(const vs_model *m)
{
    uint64_t bytes = 0;
    uint32_t sources = 0;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const vs_tensor *const t = &m->tensors[i];
        require(t->target == VS_NO_TARGET || t->target < m->target_count);
        require(t->shard < m->shard_count);
        require(i == 0 || vs_key_compare(m->tensors[i - 1].name, t->name) < 0);
        bytes += t->size_bytes;
    }
    require(bytes == m->checkpoint_bytes);
    for (uint32_t i = 0; i < m->target_count; i++) {
        const vs_target *const t = &m->targets[i];
        require(t->first_source == sources && t->part_count >= 1);
        for (uint32_t k = 0; k < t->source_count; k++) {
            require(m->tensors[m->sources[sources + k]].target == i);
        }
        sources += t->source_count;
    }
    require(sources == m->source_count);
    check_modules(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_model model = {0};
    vs_err err = {0};
    if (size > 1u << 16) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(16 * VS_MIB);
    if (vs_model_from_config(&model, arena, data, size, "fuzz", &err)) {
        check_model(&model);
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0' && strcmp(err.input, "fuzz") == 0);
    }
    return 0;
}
