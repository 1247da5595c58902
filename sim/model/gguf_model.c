/* gguf_model.c - from the files of a GGUF model to a vs_model.
 *
 * The metadata becomes a config.json, the config the expected model (build.c), and the stored tensors get the names of
 * the parameters they are (gguf_arch.c), so that bind.c can put them in their places. Three things are unlike
 * safetensors:
 *
 * Some parameters are stored in two tensors (gate and up of all experts). For binding the two are one tensor with the
 * parameter's name and shape; afterwards they are two again, side by side, as sources of a VS_MERGE_CAT.
 *
 * llama.cpp's converter drops and adds dimensions of one and transposes some matrices. A tensor that holds as many
 * elements in the same dimensions takes the parameter's shape: Transformers turns them round when it loads them.
 *
 * An architecture that is not known is read by tensor names (by_name.c). */
#include <stdio.h>
#include <string.h>

#include "sim/model/gguf.h"

#define NONE UINT32_MAX

typedef struct {
    vs_model *model;
    vs_arena *arena;
    vs_err *err;
    vs_gguf_set *set;
    const vs_gguf_arch *arch;
    vs_name_index targets;
    uint32_t *whole;    /* per target: the stored tensor that is all of it, or NONE */
    uint32_t *half[2];  /* the two that are halves of it */
    const char **piece; /* per stored tensor: what a half is called afterwards */
    uint32_t pair_count;
} builder;

static bool out_of_memory(builder *b)
{
    return vs_fail_memory(b->err, b->arena, "the tensors of a GGUF model");
}

/* ---- names ------------------------------------------------------------------------------------ */

/* Tensor i is what place says, if a parameter of that name is there and still without one. */
static bool try_place(builder *b, uint32_t i, const vs_gguf_place *place, bool *is_taken)
{
    vs_tensor *const t = &b->set->stored.tensors[i];
    *is_taken = false;
    if (place->expert >= 0) { /* a checkpoint name: bind.c merges the experts */
        *is_taken = true;
        t->name = vs_str_copy(b->arena, vs_str_of(place->module));
        return t->name != NULL || out_of_memory(b);
    }
    const uint32_t target = vs_name_index_find(&b->targets, vs_str_of(place->module));
    if (target == NONE) {
        return true;
    }
    uint32_t *const slot =
        place->piece[0] == '\0' ? &b->whole[target] : &b->half[place->is_second][target];
    if (*slot != NONE) {
        return true;
    }
    *slot = i;
    *is_taken = true;
    if (place->piece[0] != '\0') {
        b->piece[i] = vs_str_copy(b->arena, vs_str_of(place->piece));
        return b->piece[i] != NULL || out_of_memory(b);
    }
    return true;
}

static bool place_tensor(builder *b, uint32_t i)
{
    vs_gguf_place place;
    const char *const name = b->set->stored.tensors[i].name;
    bool is_taken = false;
    for (uint32_t candidate = 0;
         !is_taken && vs_gguf_place_of(b->arch, name, candidate, &place); candidate++) {
        if (!try_place(b, i, &place, &is_taken)) {
            return false;
        }
    }
    return true;
}

static bool place_tensors(builder *b)
{
    const uint32_t target_count = b->model->target_count;
    const uint32_t stored_count = b->set->stored.tensor_count;
    uint32_t twice = NONE;
    uint32_t *const slots = VS_ARRAY(b->arena, uint32_t, 3 * (size_t)target_count);
    b->piece = VS_ARRAY(b->arena, const char *, stored_count);
    if (slots == NULL || b->piece == NULL ||
        !vs_name_index_build(&b->targets, b->arena, b->model->targets,
                             sizeof *b->model->targets, target_count, &twice)) {
        return out_of_memory(b);
    }
    for (size_t i = 0; i < 3 * (size_t)target_count; i++) {
        slots[i] = NONE;
    }
    b->whole = slots;
    b->half[0] = slots + target_count;
    b->half[1] = slots + 2 * (size_t)target_count;
    for (uint32_t i = 0; i < stored_count; i++) {
        if (!place_tensor(b, i)) {
            return false;
        }
    }
    return true;
}

/* ---- shapes ------------------------------------------------------------------------------------- */

static uint32_t sorted_dims(const uint64_t *shape, uint32_t dim_count,
                            uint64_t out[VS_DIMS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < dim_count; i++) {
        if (shape[i] == 1) {
            continue;
        }
        uint32_t at = count++;
        for (; at > 0 && out[at - 1] > shape[i]; at--) {
            out[at] = out[at - 1];
        }
        out[at] = shape[i];
    }
    return count;
}

static void take_shape(vs_tensor *t, const vs_target *target)
{
    memcpy(t->shape, target->shape, sizeof t->shape);
    t->dim_count = target->dim_count;
}

/* The same dimensions but for ones and for their order. */
static void adapt_shape(vs_tensor *t, const vs_target *target)
{
    uint64_t a[VS_DIMS_MAX];
    uint64_t b[VS_DIMS_MAX];
    const uint32_t count = sorted_dims(t->shape, t->dim_count, a);
    if (count == sorted_dims(target->shape, target->dim_count, b) &&
        memcmp(a, b, count * sizeof *a) == 0) {
        take_shape(t, target);
    }
}

/* ---- halves ------------------------------------------------------------------------------------- */

static bool fail_half(builder *b, uint32_t target, uint32_t present)
{
    const vs_tensor *const t = &b->set->stored.tensors[present];
    (void)vs_fail(b->err, VS_ERR_VALUE,
                  "tensor \"%s\" is half of %s, and the other half is not in the file", t->name,
                  b->model->targets[target].name);
    if (b->err != NULL) {
        vs_err_at_input(b->err, b->set->files[t->shard].input_name);
    }
    return false;
}

/* Two halves as one tensor. Where their elements do not add up to the parameter's, the header wins: rows of three
 * dimensions are put side by side. */
static bool join(builder *b, vs_tensor *out, const vs_target *target, const vs_tensor *first,
                 const vs_tensor *second)
{
    *out = *first;
    out->name = target->name;
    if (!vs_add_u64(first->elements, second->elements, &out->elements) ||
        !vs_add_u64(first->size_bytes, second->size_bytes, &out->size_bytes)) {
        return vs_fail(b->err, VS_ERR_VALUE, "%s would have more than 2^64 elements",
                       target->name);
    }
    if (out->elements == target->elements) {
        take_shape(out, target);
        return true;
    }
    const uint32_t d = first->dim_count;
    if (d < 2 || d != second->dim_count || first->shape[d - 1] != second->shape[d - 1] ||
        (d == 3 && first->shape[0] != second->shape[0]) || d > 3) {
        return vs_fail(b->err, VS_ERR_VALUE,
                       "\"%s\" cannot be merged with \"%s\": their shapes differ", second->name,
                       first->name);
    }
    out->shape[d - 2] += second->shape[d - 2];
    return true;
}

/* What bind.c gets: tensors under the names of parameters, pairs of halves as one. */
static bool make_stored(builder *b, vs_stored *out)
{
    const vs_stored *const in = &b->set->stored;
    const uint32_t none = NONE;
    bool *const is_used = VS_ARRAY(b->arena, bool, in->tensor_count);
    *out = *in;
    out->tensors = VS_ARRAY(b->arena, vs_tensor, in->tensor_count);
    if (out->tensors == NULL || is_used == NULL) {
        return out_of_memory(b);
    }
    out->tensor_count = 0;
    vs_assert(b->whole != NULL && b->half[0] != NULL && b->half[1] != NULL);
    for (uint32_t i = 0; i < b->model->target_count; i++) {
        const vs_target *const target = &b->model->targets[i];
        const uint32_t first = b->half[0][i];
        const uint32_t second = b->half[1][i];
        if (b->whole[i] != none) {
            b->half[0][i] = none; /* both forms are stored: the halves are dropped */
            vs_tensor *const t = &out->tensors[out->tensor_count++];
            *t = in->tensors[b->whole[i]];
            t->name = target->name;
            adapt_shape(t, target);
            is_used[b->whole[i]] = true;
        } else if (first != none && second != none) {
            if (!join(b, &out->tensors[out->tensor_count++], target, &in->tensors[first],
                      &in->tensors[second])) {
                return false;
            }
            is_used[first] = is_used[second] = true;
            b->pair_count++;
        } else if (first != none || second != none) {
            return fail_half(b, i, first != none ? first : second);
        }
    }
    for (uint32_t i = 0; i < in->tensor_count; i++) {
        if (!is_used[i]) {
            out->tensors[out->tensor_count++] = in->tensors[i];
        }
    }
    return true;
}

/* ---- after binding --------------------------------------------------------------------------------- */

/* The pair a tensor of the bound model stands for, as a target; NONE: none. */
static uint32_t pair_of(const builder *b, const vs_tensor *t)
{
    return t->target != VS_NO_TARGET && b->half[0][t->target] != NONE &&
                   b->whole[t->target] == NONE
               ? t->target
               : NONE;
}

static void put_half(const builder *b, vs_tensor *out, uint32_t target, unsigned which)
{
    const uint32_t stored = b->half[which][target];
    *out = b->set->stored.tensors[stored];
    out->name = b->piece[stored];
    out->target = target;
}

/* Sources of the targets with every pair counted as two. moved: where each tensor went. */
static bool split_sources(builder *b, vs_target *targets, uint32_t count, uint32_t **sources,
                          uint32_t *source_count, const uint32_t *moved)
{
    const uint32_t *const old = *sources;
    const size_t room = (size_t)*source_count + b->pair_count;
    uint32_t *const out = VS_ARRAY(b->arena, uint32_t, room);
    uint32_t used = 0;
    if (out == NULL) {
        return out_of_memory(b);
    }
    for (uint32_t i = 0; i < count; i++) {
        vs_target *const t = &targets[i];
        const uint32_t first = t->first_source;
        t->first_source = used;
        for (uint32_t k = 0; k < t->source_count; k++) {
            out[used++] = moved[old[first + k]];
        }
        if (t->source_count == 1 && pair_of(b, &b->model->tensors[old[first]]) != NONE) {
            out[used] = out[used - 1] + 1;
            used++;
            t->source_count = 2;
            t->part_count = 2;
            t->merge = VS_MERGE_CAT;
        }
    }
    vs_assert(used <= room);
    *sources = out;
    *source_count = used;
    return true;
}

static bool split_pairs(builder *b)
{
    vs_model *const m = b->model;
    const bool has_own_modules = m->modules != m->targets;
    const size_t count = (size_t)m->tensor_count + b->pair_count;
    vs_tensor *const tensors = VS_ARRAY(b->arena, vs_tensor, count);
    uint32_t *const moved = VS_ARRAY(b->arena, uint32_t, m->tensor_count);
    uint32_t used = 0;
    if (tensors == NULL || moved == NULL) {
        return out_of_memory(b);
    }
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const uint32_t pair = pair_of(b, &m->tensors[i]);
        moved[i] = used;
        if (pair == NONE) {
            tensors[used++] = m->tensors[i];
            continue;
        }
        put_half(b, &tensors[used++], pair, 0);
        put_half(b, &tensors[used++], pair, 1);
    }
    vs_assert(used <= count && !has_own_modules); /* without a quantiser there is one list */
    if (!split_sources(b, m->targets, m->target_count, &m->sources, &m->source_count, moved)) {
        return false;
    }
    m->module_sources = m->sources;
    m->module_source_count = m->source_count;
    m->tensors = tensors;
    m->tensor_count = used;
    return true;
}

/* ---- notes ------------------------------------------------------------------------------------------- */

/* Names of foreign files are shown, but not their control characters. */
static void plain_text(vs_str text, char out[64])
{
    size_t used = 0;
    for (size_t i = 0; i < text.len && used < 60; i++) {
        const char c = text.ptr[i];
        out[used++] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    out[used] = '\0';
}

static bool is_type(const builder *b, const char *model_type)
{
    return strcmp(b->arch->model_type, model_type) == 0;
}

/* general.name is "mistral", and nothing more. */
static bool is_named_mistral(const builder *b)
{
    const vs_gguf_entry *const entry = vs_gguf_find(&b->set->files[0], "general.name");
    vs_str name = {NULL, 0};
    return entry != NULL && vs_gguf_str(&b->set->files[0], entry, &name) &&
           vs_str_is(name, "mistral");
}

/* What Transformers 5.12.1 makes of the file instead of the model that is in it: tried with small files of each
 * architecture and gguf 0.19.0, and read in load_gguf_checkpoint and GGUF_CONFIG_MAPPING. NULL: nothing else. */
static const char *other_outcome(const builder *b)
{
    const vs_model_dims *const d = &b->model->dims;
    if (is_type(b, "mixtral")) {
        return "takes a GGUF file of Mixtral for a dense Llama and leaves its experts out";
    }
    if (is_type(b, "llama") && is_named_mistral(b)) {
        return "refuses a GGUF file of the architecture llama with the general.name mistral";
    }
    if (is_type(b, "gpt_oss")) {
        return "leaves the experts and sinks in a GGUF file of gpt-oss out and initialises "
               "them";
    }
    if (is_type(b, "qwen3") && d->head_dim != 128) {
        return "gives every Qwen3 in a GGUF file heads of 128 and refuses others";
    }
    if (is_type(b, "qwen3_moe") && d->moe_intermediate != 768) {
        return "gives the experts of every Qwen3 in a GGUF file 768 rows and refuses others";
    }
    if (is_type(b, "falcon") && vs_gguf_has(b->set, "blk.0.attn_norm_2.weight")) {
        return "takes a GGUF file of Falcon-40B for Falcon-7B and refuses it";
    }
    return NULL;
}

static bool note_loader(builder *b)
{
    const char *const other = other_outcome(b);
    if (other != NULL &&
        !vs_note(b->model, b->arena, b->err,
                 "Transformers 5.12.1 %s; this is the model that is in it", other)) {
        return false;
    }
    if (other == NULL && !b->arch->is_loadable &&
        !vs_note(b->model, b->arena, b->err,
                 "Transformers 5.12.1 does not load GGUF files of the architecture %s; this is "
                 "what it would be",
                 b->arch->name)) {
        return false;
    }
    return b->set->stored.shard_count == 1 ||
           vs_note(b->model, b->arena, b->err,
                   "Transformers 5.12.1 loads one GGUF file, not the %" PRIu32
                   " of a split; this is all of them as if they were one",
                   b->set->stored.shard_count);
}

static bool note_blocks(builder *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->set->stored.tensor_count; i++) {
        count += vs_dtype_is_block(b->set->stored.tensors[i].dtype);
    }
    return count == 0 ||
           vs_note(b->model, b->arena, b->err,
                   "%" PRIu32 " of %" PRIu32 " tensors are quantised in ggml's blocks; "
                   "Transformers dequantises them all when it loads them",
                   count, b->set->stored.tensor_count);
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

/* A dtype of "auto" is float32 for GGUF files: _get_dtype of modeling_utils.py, Transformers 5.12.1. */
static void finish(vs_model *model)
{
    model->config_dtype = VS_DT_F32;
    model->container = VS_CONTAINER_GGUF;
    model->source = "gguf";
}

static bool build_known(builder *b, const char *config)
{
    vs_stored stored = {0};
    vs_json doc = {0};
    vs_assert(config != NULL);
    if (!vs_json_parse(&doc, config, strlen(config), b->set->files[0].input_name, b->err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    const bool is_built = vs_build_expected(b->model, b->arena, &root, NULL, b->err);
    vs_json_close(&doc);
    if (!is_built) {
        return false;
    }
    b->model->config_text = config;
    return place_tensors(b) && make_stored(b, &stored) &&
           vs_bind_stored(b->model, b->arena, &stored, b->err) &&
           (b->pair_count == 0 || split_pairs(b)) && note_loader(b);
}

/* Why no family can say what this is, NULL: one can. */
static bool find_family(builder *b, const char **config, const char **why)
{
    const vs_gguf_entry *const entry = vs_gguf_find(&b->set->files[0], "general.architecture");
    vs_str name = {NULL, 0};
    char plain[64];
    if (entry == NULL || !vs_gguf_str(&b->set->files[0], entry, &name)) {
        *why = "the metadata names no architecture";
        return true;
    }
    plain_text(name, plain);
    b->arch = vs_gguf_arch_of_file(&b->set->files[0], name);
    if (b->arch == NULL || vs_family_find(vs_str_of(b->arch->model_type)) == NULL) {
        *why = vs_arena_printf(b->arena, "the architecture \"%s\" is not known", plain);
        return *why != NULL || out_of_memory(b);
    }
    return vs_gguf_config(config, why, b->set, b->arch, b->arena, b->err);
}

bool vs_gguf_build(vs_model *model, vs_arena *arena, vs_gguf_set *set, vs_err *err)
{
    builder b = {.model = model, .arena = arena, .err = err, .set = set};
    const char *config = NULL;
    const char *why = NULL;
    if (set->stored.tensor_count == 0) {
        return vs_fail(err, VS_ERR_VALUE,
                       "there are no tensors in this file, only metadata (a vocabulary?)");
    }
    if (!find_family(&b, &config, &why)) {
        return false;
    }
    if (!(why == NULL ? build_known(&b, config)
                      : vs_model_by_name(model, arena, &set->stored, why, err))) {
        if (err != NULL) {
            vs_err_at_input(err, set->files[0].input_name);
        }
        return false;
    }
    finish(model);
    return note_blocks(&b);
}
