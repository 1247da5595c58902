/* by_name.c - a checkpoint of unknown architecture: every stored tensor is a parameter of the same name.
 *
 * What kind of parameter it is can only be guessed from its name and shape, and the notes say so. Layers: the part of a
 * name in front of its first number is a stem; the stem that holds most is the decoder ("model.layers" beside
 * "vision_tower.blocks"). Numbers that no shape tells come from the config beside the headers, whatever its
 * model_type (by_name_dims.c). */
#include <string.h>

#include "sim/model/by_name.h"
#include "sim/model/internal.h"

static bool has(const char *name, const char *word)
{
    return strstr(name, word) != NULL;
}

/* ---- what one parameter is ----------------------------------------------------------------------- */

/* "lm_head.weight", also behind a prefix; GGUF and Meta write output.weight, GPT-NeoX embed_out.weight. */
static bool is_head(const char *name)
{
    const vs_str text = vs_str_of(name);
    return strcmp(name, "output.weight") == 0 || strcmp(name, "lm_head.weight") == 0 ||
           strcmp(name, "embed_out.weight") == 0 || vs_str_ends(text, ".lm_head.weight");
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

/* ---- dtypes ------------------------------------------------------------------------------------------ */

static bool is_wide_float(vs_dtype dtype)
{
    return vs_dtype_is_float(dtype) && vs_dtype_bits(dtype) >= 16;
}

/* A matrix of packed integers or of narrow floats. Not: int64 position ids, masks with four dimensions. */
static bool is_quantised_matrix(const vs_tensor *t)
{
    const bool is_matrix = t->dim_count == 2 || t->dim_count == 3;
    const bool is_wide = is_wide_float(t->dtype) || vs_dtype_bits(t->dtype) > 32;
    return is_matrix && !is_wide && t->dtype != VS_DT_BOOL;
}

static const vs_tensor *find_quantised(const vs_stored *stored)
{
    for (uint32_t i = 0; i < stored->tensor_count; i++) {
        if (is_quantised_matrix(&stored->tensors[i])) {
            return &stored->tensors[i];
        }
    }
    return NULL;
}

/* Floats get the load dtype. Integers stay what they are, and of a checkpoint that is quantised already also the packed
 * weights and everything that is no .weight or .bias (scales, absmax, code tables). */
static vs_dtype fixed_dtype_of(const vs_tensor *t, bool is_quantised)
{
    const vs_str name = vs_str_of(t->name);
    const bool is_plain = vs_str_ends(name, ".weight") || vs_str_ends(name, ".bias");
    const bool is_kept = !vs_dtype_is_float(t->dtype) ||
                         (is_quantised && (!is_wide_float(t->dtype) || !is_plain));
    return is_kept ? t->dtype : VS_DT_COUNT;
}

/* ---- names ------------------------------------------------------------------------------------------- */

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

/* The stem with most elements; empty when no name has a number in front of its last part. */
static bool find_stem(const vs_stored *stored, vs_arena *arena, vs_str *out, vs_err *err)
{
    const size_t mark = arena->used_bytes;
    vs_strtab stems = {0};
    uint64_t *const sums = VS_ARRAY(arena, uint64_t, (size_t)stored->tensor_count + 1);
    uint64_t most = 0;
    if (sums == NULL || !vs_strtab_init(&stems, arena, 16)) {
        return vs_fail_memory(err, arena, "the layers of a model");
    }
    *out = (vs_str){"", 0};
    for (uint32_t i = 0; i < stored->tensor_count; i++) {
        const vs_tensor *const t = &stored->tensors[i];
        const vs_str stem = {t->name, vs_block_find(t->name).stem_bytes};
        if (stem.len == 0) {
            continue;
        }
        const uint32_t id = vs_strtab_add(&stems, stem);
        if (id == UINT32_MAX) {
            return vs_fail_memory(err, arena, "the layers of a model");
        }
        if (!vs_add_u64(sums[id], t->elements, &sums[id])) {
            sums[id] = UINT64_MAX; /* refused as soon as totals are made */
        }
        if (sums[id] > most) {
            most = sums[id];
            *out = stem;
        }
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static int32_t layer_of(const char *name, vs_str stem)
{
    const vs_block_place place = vs_block_find(name);
    const bool is_in =
        stem.len > 0 && place.stem_bytes == stem.len && memcmp(name, stem.ptr, stem.len) == 0;
    return is_in ? (int32_t)place.number : -1; /* at most nine digits */
}

static void make_target(vs_model *model, uint32_t i, vs_str stem, bool is_quantised)
{
    vs_tensor *const s = &model->tensors[i];
    vs_target *const t = &model->targets[i];
    t->name = s->name;
    memcpy(t->shape, s->shape, sizeof t->shape);
    t->dim_count = s->dim_count;
    t->elements = s->elements;
    t->flags = guess_flags(s);
    t->layer = layer_of(s->name, stem);
    t->tied_to = VS_NO_TARGET;
    t->part_count = 1;
    t->first_source = i;
    t->source_count = 1;
    t->fixed_dtype = fixed_dtype_of(s, is_quantised);
    s->target = i;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static bool add_notes(vs_model *model, vs_arena *arena, const char *why, vs_err *err)
{
    bool has_head = false;
    for (uint32_t i = 0; i < model->target_count; i++) {
        has_head = has_head || (model->targets[i].flags & VS_TF_OUTPUT_HEAD) != 0;
    }
    return vs_note(model, arena, err, "read from headers; architecture unknown%s%s",
                   why[0] == '\0' ? "" : ": ", why) &&
           vs_note(
               model, arena, err,
               "headers do not tell which buffers are rebuilt, which weights are tied, which "
               "experts are fused and which blocks may not be split; layers are told from "
               "names, and modules are placed in the order of the file") &&
           (has_head ||
            vs_note(model, arena, err,
                    "no output head is stored: it is tied to the embedding, or this "
                    "is no language model"));
}

static void note_quantised(vs_model *model, const vs_tensor *quantised)
{
    if (quantised != NULL && model->quant.format == VS_QF_NONE) {
        model->quant.format = VS_QF_OTHER;
        model->quant.label = "quantised; how, the headers do not tell";
    }
}

bool vs_model_by_name(vs_model *model, vs_arena *arena, vs_stored *stored, const char *why,
                      vs_err *err)
{
    const uint32_t count = stored->tensor_count;
    const vs_tensor *const quantised = find_quantised(stored);
    vs_str stem = {"", 0};
    if (!check_twice(stored, arena, err) || !find_stem(stored, arena, &stem, err)) {
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
        make_target(model, i, stem, quantised != NULL);
    }
    note_quantised(model, quantised);
    vs_by_name_dims(model);
    vs_model_mark_last_module(model);
    /* Target i is fed by tensor i: the permutation is the list of sources. */
    return vs_key_sort(model->tensors, count, model->sources, arena, err) &&
           add_notes(model, arena, why, err) && vs_model_total(model, err);
}
