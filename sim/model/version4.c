/* version4.c - what Transformers 4 keeps apart: one linear module a matrix of every expert, under the checkpoint's names.
 *
 * Derived from the plain architecture: a fused parameter is replaced by the tensors it is stacked from, expert by expert.
 * The order within a layer is that of 4.57.1 (run: mixtral, qwen3_moe, olmoe, deepseek_v2, deepseek_v3, glm4_moe, qwen3_next on
 * the meta device): as in version 5, except that qwen3_moe has its router before the experts there. */
#include <string.h>

#include "sim/model/internal.h"

typedef struct {
    const vs_model *model;
    vs_module_4 *out; /* NULL: only count */
    uint32_t count;
} module_list;

static bool is_fused(const vs_target *t)
{
    return t->merge != VS_MERGE_NONE && t->source_count > 0;
}

static void add_module(module_list *list, const char *name, const uint64_t *shape,
                       uint32_t dim_count)
{
    if (list->out != NULL) {
        vs_module_4 *const m = &list->out[list->count];
        m->name = name;
        m->dim_count = dim_count;
        memcpy(m->shape, shape, sizeof m->shape);
    }
    list->count++;
}

static void add_tensor(module_list *list, uint32_t source)
{
    const vs_tensor *const t = &list->model->tensors[list->model->module_sources[source]];
    add_module(list, t->name, t->shape, t->dim_count);
}

static uint32_t weight_count(const vs_target *t)
{
    return t->source_count - t->companion_count;
}

/* gate_up and down of one layer. w1, w2, w3 are gate, down, up; the other names stand as gate, up, down. */
static void add_experts(module_list *list, const vs_target *up, const vs_target *down)
{
    const uint32_t experts = weight_count(down);
    const vs_tensor *const first =
        &list->model->tensors[list->model->module_sources[up->first_source]];
    const bool is_numbered = strstr(first->name, ".w1.") != NULL;
    for (uint32_t e = 0; e < experts; e++) {
        add_tensor(list, up->first_source + e);
        if (is_numbered) {
            add_tensor(list, down->first_source + e);
        }
        add_tensor(list, up->first_source + experts + e);
        if (!is_numbered) {
            add_tensor(list, down->first_source + e);
        }
    }
}

/* A router that was renamed keeps the checkpoint's name (mixtral). */
static void add_plain(module_list *list, const vs_target *t)
{
    const bool is_renamed = (t->flags & VS_TF_ROUTER) != 0 && t->source_count == 1;
    const char *const name =
        is_renamed ? list->model->tensors[list->model->module_sources[t->first_source]].name
                   : t->name;
    add_module(list, name, t->shape, t->dim_count);
}

/* Both fused parameters of a layer stand next to one another, merged from as many experts. */
static bool is_pair(const vs_target *up, const vs_target *down)
{
    return is_fused(up) && is_fused(down) && up->part_count == 2 && down->part_count == 1 &&
           weight_count(up) == 2 * weight_count(down);
}

static void walk(module_list *list)
{
    const vs_model *const m = list->model;
    const bool has_router_first = strcmp(m->model_type, "qwen3_moe") == 0;
    for (uint32_t i = 0; i < m->module_count; i++) {
        const vs_target *const t = &m->modules[i];
        if ((t->flags & VS_TF_BUFFER) != 0) {
            continue;
        }
        if (i + 1 == m->module_count || !is_pair(t, t + 1)) {
            add_plain(list, t);
            continue;
        }
        const bool swaps = has_router_first && i + 2 < m->module_count &&
                           (m->modules[i + 2].flags & VS_TF_ROUTER) != 0;
        if (swaps) {
            add_plain(list, &m->modules[i + 2]);
        }
        add_experts(list, t, t + 1);
        i += swaps ? 2 : 1;
    }
}

bool vs_model_has_fused_experts(const vs_model *model)
{
    for (uint32_t i = 0; i < model->module_count; i++) {
        if (is_fused(&model->modules[i])) {
            return true;
        }
    }
    return false;
}

bool vs_model_modules_4(const vs_model *model, vs_arena *arena, vs_module_4 **out,
                        uint32_t *count, vs_err *err)
{
    module_list list = {.model = model};
    walk(&list);
    vs_module_4 *const modules = VS_ARRAY(arena, vs_module_4, list.count);
    if (modules == NULL) {
        return vs_fail_memory(err, arena, "the modules of Transformers 4");
    }
    *count = list.count;
    list.out = modules;
    list.count = 0;
    walk(&list);
    *out = modules;
    return true;
}
