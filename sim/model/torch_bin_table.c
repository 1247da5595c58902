/* torch_bin_table.c - which of the values in a pickle are the tensors of a model, and what they are called.
 *
 * A state dict is a flat dict of names. Training scripts wrap it: {"state_dict": {...}, "epoch": 3, "optimizer": {...}}. While a
 * dict holds no tensor itself but a well-known wrapper, the wrapper is entered. From there dicts are flattened, keys
 * joined by dots; what an optimizer keeps is left out. Every dict is entered once, so a pickle that hangs the same dict
 * in many places, or in itself, costs nothing. */
#include <stdio.h>
#include <string.h>

#include "sim/model/torch_bin.h"

typedef vs_pickle_value value;

#define NAMES_SHOWN 5u

typedef struct {
    vs_pickle_walk walk;
    uint32_t prefix_bytes;
} frame;

/* Members that were left out, for a note. */
typedef struct {
    char names[200];
    size_t used;
    uint32_t count;
} left_out;

typedef struct {
    const vs_torch_reading *r;
    vs_torch_table *table;
    char prefix[VS_TORCH_NAME_MAX + 1];
    frame frames[VS_TORCH_DEPTH_MAX];
    uint32_t depth;
    left_out others;   /* no tensors */
    left_out training; /* optimizer states and the like */
} flattening;

/* What training scripts put a state dict under: PyTorch's own tutorial, Lightning, DeepSpeed, Megatron, timm. */
static const char *const wrappers[] = {"state_dict", "model_state_dict", "model_state",
                                       "model",      "module",           "net",
                                       "network",    "params",           "weights"};
static const char *const training[] = {"optimizer",
                                       "optimizer_state_dict",
                                       "optimizer_states",
                                       "optimizer_state",
                                       "optim",
                                       "lr_scheduler",
                                       "lr_schedulers",
                                       "scheduler",
                                       "scaler",
                                       "rng_state",
                                       "cuda_rng_state",
                                       "random_rng_state",
                                       "callbacks",
                                       "loops"};

static bool is_one_of(const value *key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (vs_pickle_is_text(key, names[i])) {
            return true;
        }
    }
    return false;
}

static void leave_out(left_out *l, const value *key)
{
    if (l->count++ >= NAMES_SHOWN || l->used + 44 > sizeof l->names) {
        return;
    }
    const vs_str text = key->kind == VS_PK_TEXT || key->kind == VS_PK_BYTES
                            ? vs_pickle_text(key)
                            : vs_str_of(vs_pickle_kind_name(key->kind));
    const int n =
        snprintf(l->names + l->used, sizeof l->names - l->used, "%s%.*s",
                 l->used == 0 ? "" : ", ", text.len > 40 ? 40 : (int)text.len, text.ptr);
    l->used += n > 0 ? (size_t)n : 0;
}

/* ---- where the state dict is ------------------------------------------------------------------------------ */

static bool has_tensor(const vs_pickle_container *dict)
{
    vs_pickle_walk walk = vs_pickle_walk_of(dict);
    while (vs_pickle_walk_next(&walk) != NULL) {
        const value *const v = vs_pickle_walk_next(&walk);
        if (v != NULL && v->kind == VS_PK_TENSOR) {
            return true;
        }
    }
    return false;
}

/* The member that a well-known name stands for, NULL when there is none. */
static const value *find_wrapper(const vs_pickle_container *dict, const char **name)
{
    const value *best = NULL;
    size_t best_at = sizeof wrappers / sizeof wrappers[0];
    vs_pickle_walk walk = vs_pickle_walk_of(dict);
    for (const value *key = vs_pickle_walk_next(&walk); key != NULL;
         key = vs_pickle_walk_next(&walk)) {
        const value *const v = vs_pickle_walk_next(&walk);
        for (size_t i = 0; v != NULL && v->kind == VS_PK_DICT && i < best_at; i++) {
            if (vs_pickle_is_text(key, wrappers[i])) {
                best = v;
                best_at = i;
            }
        }
    }
    *name = best == NULL ? NULL : wrappers[best_at];
    return best;
}

static bool note_wrapper(const vs_pickle_container *dict, const char *name,
                         const vs_torch_reading *r)
{
    left_out beside = {.count = 0};
    vs_pickle_walk walk = vs_pickle_walk_of(dict);
    for (const value *key = vs_pickle_walk_next(&walk); key != NULL;
         key = vs_pickle_walk_next(&walk)) {
        if (!vs_pickle_is_text(key, name)) {
            leave_out(&beside, key);
        }
        (void)vs_pickle_walk_next(&walk);
    }
    return vs_torch_note(
        r,
        "the tensors are in \"%s\"%s%s%s; Transformers reads a flat dict only: "
        "save it alone",
        name, beside.count == 0 ? "" : ", left out beside it: ", beside.names,
        beside.count > NAMES_SHOWN ? ", ..." : "");
}

static bool find_state_dict(const value *top, vs_pickle_container **out,
                            const vs_torch_reading *r)
{
    if (top->kind != VS_PK_DICT) {
        return vs_fail(r->err, VS_ERR_VALUE,
                       "the file holds %s; expected a dict of named tensors (a state_dict)",
                       vs_pickle_kind_name(top->kind));
    }
    const value *v = top;
    for (uint32_t depth = 0; depth < VS_TORCH_DEPTH_MAX; depth++) {
        const char *name = NULL;
        const value *const inner =
            has_tensor(v->as.container) ? NULL : find_wrapper(v->as.container, &name);
        if (inner == NULL) {
            *out = v->as.container;
            return true;
        }
        if (!note_wrapper(v->as.container, name, r)) {
            return false;
        }
        v = inner;
    }
    return vs_fail(r->err, VS_ERR_LIMIT, "dicts nested deeper than %u", VS_TORCH_DEPTH_MAX);
}

/* ---- names --------------------------------------------------------------------------------------------------- */

/* Puts the key behind the first prefix_bytes of the prefix. *bytes: the new length, 0 when the key cannot be a name. */
static bool set_name(flattening *f, uint32_t prefix_bytes, const value *key, uint32_t *bytes)
{
    char digits[32];
    vs_str text = {digits, 0};
    *bytes = 0;
    if (key->kind == VS_PK_TEXT || key->kind == VS_PK_BYTES) {
        text = vs_pickle_text(key);
    } else if (key->kind == VS_PK_INT) {
        const int n = snprintf(digits, sizeof digits, "%" PRId64, key->as.integer);
        text.len = n > 0 ? (size_t)n : 0;
    } else {
        return true;
    }
    const uint32_t dot = prefix_bytes > 0 ? 1 : 0;
    if (text.len > VS_TORCH_NAME_MAX - prefix_bytes - dot) {
        return vs_fail(f->r->err, VS_ERR_LIMIT,
                       "a tensor name of more than %u bytes, beginning with \"%.40s\"",
                       VS_TORCH_NAME_MAX, text.ptr);
    }
    if (text.len == 0 || memchr(text.ptr, '\0', text.len) != NULL) {
        return vs_fail(f->r->err, VS_ERR_VALUE, "a tensor name is empty or holds a NUL");
    }
    if (dot > 0) {
        f->prefix[prefix_bytes] = '.';
    }
    memcpy(f->prefix + prefix_bytes + dot, text.ptr, text.len);
    *bytes = prefix_bytes + dot + (uint32_t)text.len;
    f->prefix[*bytes] = '\0';
    return true;
}

static bool add_tensor(flattening *f, uint32_t name_bytes, const vs_pickle_tensor *tensor)
{
    vs_torch_table *const t = f->table;
    if (t->count == t->room) {
        const uint32_t room = t->room == 0 ? 256 : 2 * t->room;
        vs_torch_named *const items = VS_ARRAY(f->r->scratch, vs_torch_named, room);
        if (items == NULL) {
            return vs_torch_out_of_memory(f->r, f->r->scratch);
        }
        if (t->count > 0) {
            memcpy(items, t->items, t->count * sizeof *items);
        }
        t->items = items;
        t->room = room;
    }
    const char *const name = vs_str_copy(f->r->arena, (vs_str){f->prefix, name_bytes});
    if (name == NULL) {
        return vs_torch_out_of_memory(f->r, f->r->arena);
    }
    t->items[t->count++] = (vs_torch_named){name, tensor};
    return true;
}

static bool enter(flattening *f, vs_pickle_container *dict, uint32_t prefix_bytes)
{
    if (f->depth == VS_TORCH_DEPTH_MAX) {
        return vs_fail(f->r->err, VS_ERR_LIMIT, "dicts nested deeper than %u",
                       VS_TORCH_DEPTH_MAX);
    }
    vs_assert(dict != NULL); /* a value of kind dict has one */
    dict->is_visited = true;
    f->frames[f->depth++] = (frame){vs_pickle_walk_of(dict), prefix_bytes};
    return true;
}

/* One key and value of the innermost dict. */
static bool visit(flattening *f, uint32_t prefix_bytes, const value *key, const value *v)
{
    uint32_t name_bytes = 0;
    if (is_one_of(key, training, sizeof training / sizeof training[0]) &&
        v->kind != VS_PK_TENSOR) {
        leave_out(&f->training, key);
        return true;
    }
    if (v->kind != VS_PK_TENSOR && (v->kind != VS_PK_DICT || v->as.container->is_visited)) {
        leave_out(&f->others, key);
        return true;
    }
    if (!set_name(f, prefix_bytes, key, &name_bytes)) {
        return false;
    }
    if (name_bytes == 0) {
        leave_out(&f->others, key);
        return true;
    }
    return v->kind == VS_PK_TENSOR ? add_tensor(f, name_bytes, v->as.tensor)
                                   : enter(f, v->as.container, name_bytes);
}

static bool flatten(flattening *f, vs_pickle_container *root)
{
    if (!enter(f, root, 0)) {
        return false;
    }
    while (f->depth > 0) {
        frame *const top = &f->frames[f->depth - 1];
        const value *const key = vs_pickle_walk_next(&top->walk);
        const value *const v = key == NULL ? NULL : vs_pickle_walk_next(&top->walk);
        if (v == NULL) {
            f->depth--;
        } else if (!visit(f, top->prefix_bytes, key, v)) {
            return false;
        }
    }
    return true;
}

static bool note_left_out(const flattening *f)
{
    const left_out *const t = &f->training;
    const left_out *const o = &f->others;
    if (t->count > 0 && !vs_torch_note(f->r, "left out, since it belongs to training: %s%s",
                                       t->names, t->count > NAMES_SHOWN ? ", ..." : "")) {
        return false;
    }
    return o->count == 0 ||
           vs_torch_note(f->r, "%" PRIu32 " value%s no tensor%s left out: %s%s", o->count,
                         o->count == 1 ? " that is" : "s that are",
                         o->count == 1 ? " is" : "s are", o->names,
                         o->count > NAMES_SHOWN ? ", ..." : "");
}

bool vs_torch_find_tensors(vs_torch_table *table, const value *top, const vs_torch_reading *r)
{
    vs_pickle_container *root = NULL;
    flattening *const f = VS_NEW(r->scratch, flattening);
    if (f == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    f->r = r;
    f->table = table;
    if (!find_state_dict(top, &root, r) || !flatten(f, root) || !note_left_out(f)) {
        return false;
    }
    return table->count > 0 ||
           vs_fail(r->err, VS_ERR_VALUE,
                   "no tensors in it%s%s; expected a dict of named tensors (a state_dict)",
                   f->training.count + f->others.count == 0 ? "" : ", only ",
                   f->training.count > 0 ? f->training.names : f->others.names);
}
