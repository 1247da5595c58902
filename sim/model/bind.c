/* bind.c - puts the tensors that are really stored in place of those the config leads one to expect.
 *
 * Headers win: shapes and dtypes are theirs, differences become notes. A target looks for its checkpoint name, then
 * for its own name (experts saved already fused), both also without the base-model prefix "model.", which the loader adds
 * when it is missing (specs/transformers-loading.md [2.4]). What no target asked for is dropped. */
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"

/* Notes of one kind that are spelled out; the rest is counted. */
#define SPELLED_OUT 3u

typedef struct {
    vs_model *model;
    vs_arena *arena;
    vs_err *err;
    vs_stored *stored;
    vs_name_index names; /* of stored->tensors */
    const vs_tensor *expected;
    uint32_t expected_count;
    uint32_t *stored_of; /* expected tensor -> stored tensor, or UINT32_MAX */
    vs_target *targets;  /* of the list at hand */
    uint32_t *sources;   /* new ones of that list */
    uint32_t source_count;
    bool
        is_native; /* the list that is loaded: its tensors learn their target, differences are noted */
    uint32_t misshaped;
    uint32_t missing;
    const char *first_missing;
} binder;

static uint32_t find_stored(const binder *b, const char *name)
{
    const uint32_t found = vs_name_index_find(&b->names, vs_str_of(name));
    if (found != UINT32_MAX || strncmp(name, "model.", 6) != 0) {
        return found;
    }
    return vs_name_index_find(&b->names, vs_str_of(name + 6));
}

/* Once for every expected tensor: two lists ask. */
static bool map_expected(binder *b)
{
    b->expected = b->model->tensors;
    b->expected_count = b->model->tensor_count;
    b->stored_of = VS_ARRAY(b->arena, uint32_t, b->expected_count);
    if (b->stored_of == NULL) {
        return vs_fail_memory(b->err, b->arena, "the sources of a model");
    }
    for (uint32_t i = 0; i < b->model->tensor_count; i++) {
        b->stored_of[i] = find_stored(b, b->model->tensors[i].name);
    }
    return true;
}

static const char *shard_file(const binder *b, uint32_t tensor)
{
    return b->stored->shards[b->stored->tensors[tensor].shard].file;
}

static bool index_stored(binder *b)
{
    uint32_t twice = UINT32_MAX;
    vs_tensor *const tensors = b->stored->tensors;
    if (!vs_name_index_build(&b->names, b->arena, tensors, sizeof *tensors,
                             b->stored->tensor_count, &twice)) {
        return vs_fail_memory(b->err, b->arena, "an index of tensor names");
    }
    if (twice == UINT32_MAX) {
        return true;
    }
    const uint32_t first = vs_name_index_find(&b->names, vs_str_of(tensors[twice].name));
    return vs_fail(b->err, VS_ERR_VALUE, "tensor \"%s\" is in two shards: %s and %s",
                   tensors[twice].name, shard_file(b, first), shard_file(b, twice));
}

static const char *format_shape(const uint64_t *shape, uint32_t dim_count, char buf[96])
{
    size_t used = (size_t)snprintf(buf, 96, "[");
    for (uint32_t i = 0; i < dim_count && used < 70; i++) {
        used +=
            (size_t)snprintf(buf + used, 96 - used, "%s%" PRIu64, i == 0 ? "" : ", ", shape[i]);
    }
    (void)snprintf(buf + used, 96 - used, "]");
    return buf;
}

/* Takes over the shape of what is stored; says so when the config had another. */
static bool set_shape(binder *b, vs_target *t, const uint64_t *shape, uint32_t dim_count)
{
    const bool is_same =
        t->dim_count == dim_count && memcmp(t->shape, shape, dim_count * sizeof *shape) == 0;
    if (is_same || (!b->is_native && t->companion_count > 0)) {
        return true; /* what is computed from packed values keeps the shape it is computed to */
    }
    char expected[96];
    char found[96];
    if (b->is_native && b->misshaped++ < SPELLED_OUT &&
        !vs_note(b->model, b->arena, b->err,
                 "%s: the config means %s, the headers say %s and win; Transformers refuses "
                 "to load such a pair",
                 t->name, format_shape(t->shape, t->dim_count, expected),
                 format_shape(shape, dim_count, found))) {
        return false;
    }
    uint64_t elements = 1;
    memset(t->shape, 0, sizeof t->shape);
    for (uint32_t i = 0; i < dim_count; i++) {
        t->shape[i] = shape[i];
        if (!vs_mul_u64(elements, shape[i], &elements)) {
            return vs_fail(b->err, VS_ERR_VALUE, "%s would have more than 2^64 elements",
                           t->name);
        }
    }
    t->dim_count = dim_count;
    t->elements = elements;
    return true;
}

static void take(binder *b, vs_target *t, uint32_t tensor)
{
    vs_tensor *const s = &b->stored->tensors[tensor];
    b->sources[b->source_count++] = tensor;
    t->source_count++;
    if (b->is_native) {
        s->target = (uint32_t)(t - b->targets);
        if ((t->flags & (VS_TF_QUANT_DATA | VS_TF_QUANT_META)) != 0) {
            t->fixed_dtype = s->dtype;
        }
    }
}

/* One stored tensor becomes the target as it is. */
static bool bind_rename(binder *b, vs_target *t, uint32_t tensor)
{
    const vs_tensor *const s = &b->stored->tensors[tensor];
    t->merge = VS_MERGE_NONE;
    t->part_count = 1;
    take(b, t, tensor);
    return set_shape(b, t, s->shape, s->dim_count);
}

/* What the sources of one merge have in common so far. */
typedef struct {
    const vs_tensor *first; /* of all parts */
    const vs_tensor *part;  /* first of the part at hand */
    const char *absent;     /* first one that is not stored */
    uint64_t rows;          /* of the parts together */
} merge_state;

/* One more source of t: same width throughout, same height within a part. */
static bool add_source(binder *b, vs_target *t, merge_state *m, uint32_t tensor)
{
    const vs_tensor *const s = &b->stored->tensors[tensor];
    m->first = m->first == NULL ? s : m->first;
    if ((t->flags & VS_TF_QUANT_META) != 0 && s->dim_count < 2) {
        take(b, t, tensor); /* one scale a matrix: its shape in the merge is known beforehand */
        return true;
    }
    if (m->part == NULL) {
        m->part = s;
        if (s->dim_count != 2 || !vs_add_u64(m->rows, s->shape[0], &m->rows)) {
            return vs_fail(b->err, VS_ERR_VALUE,
                           "\"%s\" has a shape that cannot be merged into %s", s->name,
                           t->name);
        }
    }
    if (s->dim_count != 2 || s->shape[1] != m->first->shape[1] ||
        s->shape[0] != m->part->shape[0]) {
        return vs_fail(b->err, VS_ERR_VALUE,
                       "\"%s\" cannot be merged with \"%s\": their shapes differ", s->name,
                       m->part == s ? m->first->name : m->part->name);
    }
    take(b, t, tensor);
    return true;
}

/* Packed values and their scales, part by part: only whether they are there matters, the shape is the parameter's. */
static bool bind_dequantised_merge(binder *b, vs_target *t, const uint32_t *expected,
                                   uint32_t expected_count)
{
    const uint32_t first = b->source_count;
    for (uint32_t i = 0; i < expected_count; i++) {
        const uint32_t found = b->stored_of[expected[i]];
        if (found == UINT32_MAX) {
            b->source_count = first; /* incomplete: not dequantisable */
            t->source_count = 0;
            t->companion_count = 0;
            return true;
        }
        take(b, t, found);
    }
    return true;
}

/* All sources of a merge, or none; some of them is an error that names one. */
static bool bind_merge(binder *b, vs_target *t, const uint32_t *expected,
                       uint32_t expected_count)
{
    merge_state m = {0};
    if (t->companion_count > 0) {
        return bind_dequantised_merge(b, t, expected, expected_count);
    }
    if (expected_count == 0) {
        return true; /* a merge that this format has no sources for */
    }
    const uint32_t per_part = expected_count / t->part_count;
    for (uint32_t i = 0; i < expected_count; i++) {
        const char *const name = b->model->tensors[expected[i]].name;
        const uint32_t found = b->stored_of[expected[i]];
        m.part = i % per_part == 0 ? NULL : m.part;
        if (found == UINT32_MAX) {
            m.absent = m.absent == NULL ? name : m.absent;
        } else if (!add_source(b, t, &m, found)) {
            return false;
        }
    }
    if (m.first == NULL) {
        return true;
    }
    if (m.absent != NULL) {
        return vs_fail(b->err, VS_ERR_VALUE,
                       "\"%s\" is in no shard, but \"%s\" is: %s needs all %" PRIu32 " of them",
                       m.absent, m.first->name, t->name, expected_count);
    }
    const uint64_t shape[3] = {per_part, m.rows, m.first->shape[1]};
    return m.first->dim_count < 2 || set_shape(b, t, shape, 3);
}

/* A parameter that is computed from several tensors without being a merge: all that are stored, in order. */
static bool bind_computed(binder *b, vs_target *t, const uint32_t *expected,
                          uint32_t expected_count)
{
    for (uint32_t i = 0; i < expected_count; i++) {
        const uint32_t found = b->stored_of[expected[i]];
        if (found != UINT32_MAX) {
            take(b, t, found);
        }
    }
    t->companion_count = t->source_count > 0 ? t->source_count - 1 : 0;
    return true;
}

/* The stored tensor that is the whole target: under its checkpoint name, or under its own. */
static uint32_t find_whole(const binder *b, const vs_target *t, const uint32_t *expected,
                           uint32_t expected_count)
{
    const bool is_single = t->merge == VS_MERGE_NONE && expected_count == 1;
    const uint32_t found = is_single ? b->stored_of[expected[0]] : UINT32_MAX;
    return found != UINT32_MAX ? found : find_stored(b, t->name);
}

static bool bind_target(binder *b, vs_target *t, const uint32_t *sources)
{
    const uint32_t *const expected = sources + t->first_source;
    const uint32_t expected_count = t->source_count;
    t->first_source = b->source_count;
    t->source_count = 0;
    if ((t->flags & VS_TF_NON_PERSISTENT) != 0) {
        return true;
    }
    const bool is_merge = t->merge != VS_MERGE_NONE;
    const bool is_computed = t->companion_count > 0 && !is_merge;
    const uint32_t found =
        is_computed ? UINT32_MAX : find_whole(b, t, expected, expected_count);
    const bool is_bound = found != UINT32_MAX ? bind_rename(b, t, found)
                          : is_merge          ? bind_merge(b, t, expected, expected_count)
                          : is_computed       ? bind_computed(b, t, expected, expected_count)
                                              : true;
    if (!is_bound) {
        return false;
    }
    if (b->is_native && t->source_count == 0 && (t->flags & VS_TF_TIED) == 0) {
        b->missing++;
        b->first_missing = b->first_missing == NULL ? t->name : b->first_missing;
    }
    return true;
}

/* Stored dtypes that are not those the config leads one to expect. */
static bool note_dtypes(binder *b)
{
    const vs_dtype wanted = b->model->config_dtype;
    uint32_t count = 0;
    vs_dtype other = VS_DT_COUNT;
    for (uint32_t i = 0; i < b->expected_count; i++) {
        const uint32_t found = b->stored_of[i];
        if (found != UINT32_MAX && b->stored->tensors[found].target != VS_NO_TARGET &&
            b->stored->tensors[found].dtype != b->expected[i].dtype) {
            count++;
            other = b->stored->tensors[found].dtype;
        }
    }
    return wanted == VS_DT_COUNT || count == 0 ||
           vs_note(b->model, b->arena, b->err,
                   "the config says %s, %" PRIu32 " of %" PRIu32 " tensors are stored as %s%s",
                   vs_dtype_torch_name(wanted), count, b->stored->tensor_count,
                   vs_dtype_name(other), count == b->stored->tensor_count ? "" : " or others");
}

static bool note_differences(binder *b)
{
    if (b->misshaped > SPELLED_OUT &&
        !vs_note(b->model, b->arena, b->err,
                 "%" PRIu32 " more shapes differ between config and headers",
                 b->misshaped - SPELLED_OUT)) {
        return false;
    }
    if (b->missing > 0 &&
        !vs_note(b->model, b->arena, b->err,
                 "%" PRIu32 " parameter%s in no shard and will be initialised on load: %s%s",
                 b->missing, b->missing == 1 ? " is" : "s are", b->first_missing,
                 b->missing == 1 ? "" : ", ...")) {
        return false;
    }
    for (uint32_t i = 0; i < b->model->target_count; i++) {
        const vs_target *const t = &b->model->targets[i];
        if ((t->flags & VS_TF_TIED) != 0 && t->source_count > 0 &&
            !vs_note(b->model, b->arena, b->err,
                     "%s is stored although it is tied: read, then shared with %s", t->name,
                     b->model->targets[t->tied_to].name)) {
            return false;
        }
    }
    return note_dtypes(b);
}

/* One list of targets. */
static bool bind_list(binder *b, vs_target *targets, uint32_t count, uint32_t **sources,
                      uint32_t *source_count)
{
    b->targets = targets;
    b->source_count = 0;
    b->sources = VS_ARRAY(b->arena, uint32_t, (size_t)*source_count + count);
    if (b->sources == NULL) {
        return vs_fail_memory(b->err, b->arena, "the sources of a model");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!bind_target(b, &targets[i], *sources)) {
            return false;
        }
    }
    *sources = b->sources;
    *source_count = b->source_count;
    return true;
}

static bool bind_lists(binder *b)
{
    vs_model *const m = b->model;
    b->is_native = true;
    if (!bind_list(b, m->targets, m->target_count, &m->sources, &m->source_count)) {
        return false;
    }
    b->is_native = false;
    return m->modules == NULL || bind_list(b, m->modules, m->module_count, &m->module_sources,
                                           &m->module_source_count);
}

/* Whether the files hold what the config leads one to expect, name for name. moved: scratch. */
static bool is_as_expected(const binder *b, uint32_t *moved)
{
    const uint32_t count = b->stored->tensor_count;
    for (uint32_t i = 0; i < count; i++) {
        moved[i] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < b->expected_count; i++) {
        const uint32_t at = b->stored_of[i];
        if (count != b->expected_count || at == UINT32_MAX || moved[at] != UINT32_MAX ||
            strcmp(b->expected[i].name, b->stored->tensors[at].name) != 0) {
            return false;
        }
        moved[at] = i;
    }
    return true;
}

/* Into key order. What was expected is in it already, so the same names need no sorting. */
static bool order_stored(binder *b, uint32_t *moved)
{
    vs_model *const m = b->model;
    return is_as_expected(b, moved)
               ? vs_key_place(m->tensors, m->tensor_count, b->stored_of, moved, b->arena,
                              b->err)
               : vs_key_sort(m->tensors, m->tensor_count, moved, b->arena, b->err);
}

bool vs_bind_stored(vs_model *model, vs_arena *arena, vs_stored *stored, vs_err *err)
{
    binder b = {.model = model, .arena = arena, .err = err, .stored = stored};
    uint32_t *const moved = VS_ARRAY(arena, uint32_t, stored->tensor_count);
    if (moved == NULL) {
        return vs_fail_memory(err, arena, "the sources of a model");
    }
    if (!index_stored(&b) || !map_expected(&b) || !bind_lists(&b)) {
        return false;
    }
    model->tensors = stored->tensors;
    model->tensor_count = stored->tensor_count;
    model->shards = stored->shards;
    model->shard_count = stored->shard_count;
    vs_model_mark_last_module(model);
    if (!note_differences(&b) || !order_stored(&b, moved)) {
        return false;
    }
    for (uint32_t i = 0; i < model->source_count; i++) {
        model->sources[i] = moved[model->sources[i]];
    }
    for (uint32_t i = 0; model->modules != NULL && i < model->module_source_count; i++) {
        model->module_sources[i] = moved[model->module_sources[i]];
    }
    return vs_note_dropped(model, arena, err) && vs_note_empty_experts(model, arena, err) &&
           vs_model_total(model, err);
}
