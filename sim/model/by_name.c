/* by_name.c - a checkpoint of unknown architecture: every stored tensor is a parameter of the same name.
 * What kind of parameter it is can only be guessed from its name and shape, and the notes say so. */
#include <string.h>

#include "sim/model/internal.h"

static bool has(const char *name, const char *word)
{
    return strstr(name, word) != NULL;
}

/* The number behind a part that usually holds decoder blocks, -1: none. */
static int32_t guess_layer(const char *name)
{
    static const char *const stems[] = {"layers.", "h.", "blocks.", "layer.", "block."};
    for (const char *part = name; part != NULL && *part != '\0';) {
        for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++) {
            const size_t stem_bytes = strlen(stems[i]);
            if (strncmp(part, stems[i], stem_bytes) != 0) {
                continue;
            }
            const char *const digits = part + stem_bytes;
            const size_t count = strspn(digits, "0123456789");
            uint64_t value = 0;
            if (count > 0 && digits[count] == '.' &&
                vs_parse_u64((vs_str){digits, count}, &value, NULL) && value <= INT32_MAX) {
                return (int32_t)value;
            }
        }
        part = strchr(part, '.');
        part = part == NULL ? NULL : part + 1;
    }
    return -1;
}

static bool is_head(const char *name)
{
    return strcmp(name, "lm_head.weight") == 0 || strcmp(name, "output.weight") == 0 ||
           strcmp(name, "embed_out.weight") == 0 ||
           strcmp(name, "language_model.lm_head.weight") == 0;
}

static uint32_t guess_flags(const vs_tensor *t)
{
    const char *const name = t->name;
    const vs_str text = vs_str_of(name);
    if (is_head(name)) {
        return VS_TF_OUTPUT_HEAD;
    }
    if (vs_str_ends(text, ".bias")) {
        return VS_TF_BIAS;
    }
    if (has(name, "norm") || has(name, "ln_")) {
        return VS_TF_NORM;
    }
    if (has(name, "embed") || has(name, "wte.") || has(name, "wpe.")) {
        return VS_TF_EMBEDDING;
    }
    if (has(name, "router") || vs_str_ends(text, ".gate.weight")) {
        return VS_TF_ROUTER;
    }
    if (t->dim_count == 3 && has(name, "expert")) {
        return VS_TF_EXPERTS;
    }
    return t->dim_count == 2 && vs_str_ends(text, ".weight") ? VS_TF_LINEAR : 0;
}

static bool check_twice(const vs_stored *stored, vs_arena *arena, vs_err *err)
{
    const size_t mark = arena->used_bytes;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    const vs_tensor *const tensors = stored->tensors;
    if (!vs_name_index_build(&names, arena, tensors, sizeof *tensors, stored->tensor_count,
                             &twice)) {
        return vs_fail_memory(err, arena, "an index of tensor names");
    }
    if (twice != UINT32_MAX) {
        const uint32_t first = vs_name_index_find(&names, vs_str_of(tensors[twice].name));
        return vs_fail(err, VS_ERR_VALUE, "tensor \"%s\" is in two shards: %s and %s",
                       tensors[twice].name, stored->shards[tensors[first].shard].file,
                       stored->shards[tensors[twice].shard].file);
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static void make_target(vs_model *model, uint32_t i)
{
    vs_tensor *const s = &model->tensors[i];
    vs_target *const t = &model->targets[i];
    t->name = s->name;
    memcpy(t->shape, s->shape, sizeof t->shape);
    t->dim_count = s->dim_count;
    t->elements = s->elements;
    t->flags = guess_flags(s);
    t->layer = guess_layer(s->name);
    t->tied_to = VS_NO_TARGET;
    t->part_count = 1;
    t->first_source = i;
    t->source_count = 1;
    t->fixed_dtype = VS_DT_COUNT;
    s->target = i;
    if (t->layer >= 0 && (uint64_t)t->layer >= model->dims.layers) {
        model->dims.layers = (uint64_t)t->layer + 1;
    }
}

bool vs_model_by_name(vs_model *model, vs_arena *arena, vs_stored *stored, const char *why,
                      vs_err *err)
{
    const uint32_t count = stored->tensor_count;
    if (!check_twice(stored, arena, err)) {
        return false;
    }
    model->tensors = stored->tensors;
    model->tensor_count = count;
    model->shards = stored->shards;
    model->shard_count = stored->shard_count;
    model->targets = VS_ARRAY(arena, vs_target, count);
    model->sources = VS_ARRAY(arena, uint32_t, count);
    if (model->targets == NULL || model->sources == NULL) {
        return vs_fail_memory(err, arena, "the targets of a model");
    }
    model->target_count = count;
    model->source_count = count;
    for (uint32_t i = 0; i < count; i++) {
        make_target(model, i);
    }
    vs_model_mark_last_module(model);
    /* Target i is fed by tensor i: the permutation is the list of sources. */
    return vs_key_sort(model->tensors, count, model->sources, arena, err) &&
           vs_note(model, arena, err, "read from headers; architecture unknown%s%s",
                   why[0] == '\0' ? "" : ": ", why) &&
           vs_model_total(model, err);
}
