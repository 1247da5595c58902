/* pickle_torch.c - the names a torch checkpoint may mention, and what they describe.
 *
 * Sources: PyTorch 2.15 torch/_tensor.py (_reduce_ex_internal) for what torch.save writes, torch/_utils.py for the arguments of
 * the _rebuild functions, torch/serialization.py (persistent_load of _load and _legacy_load) for persistent ids,
 * torch/storage.py (_dtype_to_storage_type_map, _new_dtypes) for storages. */
#include <string.h>

#include "sim/model/pickle.h"

typedef vs_pickle_machine machine;
typedef vs_pickle_value value;

/* ---- names --------------------------------------------------------------------------------------------- */

#define STORAGE(name, dtype)                                                                   \
    {"torch", name, VS_PG_STORAGE, dtype},                                                     \
    {                                                                                          \
        "torch.cuda", name, VS_PG_STORAGE, dtype                                               \
    }
#define DTYPE(name, dtype)                                                                     \
    {                                                                                          \
        "torch", name, VS_PG_DTYPE, dtype                                                      \
    }
#define OTHER(module, name, role)                                                              \
    {                                                                                          \
        module, name, role, VS_DT_COUNT                                                        \
    }

static const vs_pickle_global globals[] = {
    OTHER("collections", "OrderedDict", VS_PG_ORDERED_DICT),
    OTHER("torch._utils", "_rebuild_tensor", VS_PG_REBUILD),
    OTHER("torch._utils", "_rebuild_tensor_v2", VS_PG_REBUILD_V2),
    OTHER("torch._utils", "_rebuild_tensor_v3", VS_PG_REBUILD_V3),
    OTHER("torch._utils", "_rebuild_parameter", VS_PG_PARAMETER),
    OTHER("torch._utils", "_rebuild_parameter_with_state", VS_PG_PARAMETER_STATE),
    OTHER("torch._tensor", "_rebuild_from_type_v2", VS_PG_FROM_TYPE),
    OTHER("torch", "Tensor", VS_PG_TENSOR_TYPE),
    OTHER("torch.nn.parameter", "Parameter", VS_PG_TENSOR_TYPE),
    OTHER("torch.nn.parameter", "Buffer", VS_PG_TENSOR_TYPE),
    STORAGE("DoubleStorage", VS_DT_F64),
    STORAGE("FloatStorage", VS_DT_F32),
    STORAGE("HalfStorage", VS_DT_F16),
    STORAGE("BFloat16Storage", VS_DT_BF16),
    STORAGE("LongStorage", VS_DT_I64),
    STORAGE("IntStorage", VS_DT_I32),
    STORAGE("ShortStorage", VS_DT_I16),
    STORAGE("CharStorage", VS_DT_I8),
    STORAGE("ByteStorage", VS_DT_U8),
    STORAGE("BoolStorage", VS_DT_BOOL),
    STORAGE("ComplexFloatStorage", VS_DT_COUNT),
    STORAGE("ComplexDoubleStorage", VS_DT_COUNT),
    STORAGE("QInt8Storage", VS_DT_COUNT),
    STORAGE("QInt32Storage", VS_DT_COUNT),
    STORAGE("QUInt8Storage", VS_DT_COUNT),
    STORAGE("QUInt4x2Storage", VS_DT_COUNT),
    STORAGE("QUInt2x4Storage", VS_DT_COUNT),
    OTHER("torch", "UntypedStorage", VS_PG_UNTYPED_STORAGE),
    OTHER("torch.storage", "UntypedStorage", VS_PG_UNTYPED_STORAGE),
    OTHER("torch.storage", "_UntypedStorage", VS_PG_UNTYPED_STORAGE), /* 1.11, 1.12 */
    DTYPE("float64", VS_DT_F64),
    DTYPE("float32", VS_DT_F32),
    DTYPE("float16", VS_DT_F16),
    DTYPE("bfloat16", VS_DT_BF16),
    DTYPE("float8_e4m3fn", VS_DT_F8_E4M3),
    DTYPE("float8_e5m2", VS_DT_F8_E5M2),
    DTYPE("float8_e8m0fnu", VS_DT_F8_E8M0),
    DTYPE("float4_e2m1fn_x2", VS_DT_F4),
    DTYPE("int64", VS_DT_I64),
    DTYPE("uint64", VS_DT_U64),
    DTYPE("int32", VS_DT_I32),
    DTYPE("uint32", VS_DT_U32),
    DTYPE("int16", VS_DT_I16),
    DTYPE("uint16", VS_DT_U16),
    DTYPE("int8", VS_DT_I8),
    DTYPE("uint8", VS_DT_U8),
    DTYPE("bool", VS_DT_BOOL),
    DTYPE("float8_e4m3fnuz", VS_DT_COUNT),
    DTYPE("float8_e5m2fnuz", VS_DT_COUNT),
    DTYPE("complex32", VS_DT_COUNT),
    DTYPE("complex64", VS_DT_COUNT),
    DTYPE("complex128", VS_DT_COUNT),
    /* Data without behaviour that stands beside tensors; torch's own weights_only reader takes them too. */
    OTHER("torch", "Size", VS_PG_PLAIN),
    OTHER("torch", "device", VS_PG_PLAIN),
    OTHER("torch.serialization", "_get_layout", VS_PG_PLAIN),
    OTHER("collections", "Counter", VS_PG_PLAIN),
    OTHER("_codecs", "encode", VS_PG_PLAIN),
    OTHER("builtins", "bytearray", VS_PG_PLAIN),
    OTHER("builtins", "complex", VS_PG_PLAIN),
    OTHER("builtins", "set", VS_PG_PLAIN),
    OTHER("__builtin__", "bytearray", VS_PG_PLAIN), /* as protocol 2 calls the module */
    OTHER("__builtin__", "complex", VS_PG_PLAIN),
    OTHER("__builtin__", "set", VS_PG_PLAIN),
};

#define NAME_SHOWN 80

static int shown(vs_str text)
{
    return text.len > NAME_SHOWN ? NAME_SHOWN : (int)text.len;
}

const vs_pickle_global *vs_pickle_find_global(machine *m, vs_str module, vs_str name)
{
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        if (vs_str_is(name, globals[i].name) && vs_str_is(module, globals[i].module)) {
            return &globals[i];
        }
    }
    (void)vs_pickle_fail(
        m, VS_ERR_VALUE,
        "the pickle names %.*s.%.*s, which is refused: only what a table of "
        "tensors needs is read, and nothing was run. A whole pickled model has "
        "to be saved as its state_dict(), best as safetensors",
        shown(module), module.ptr, shown(name), name.ptr);
    return NULL;
}

/* ---- arguments -------------------------------------------------------------------------------------------- */

static bool as_count(machine *m, const value *v, const char *what, uint64_t *out)
{
    if (v->kind != VS_PK_INT || v->as.integer < 0) {
        return vs_pickle_fail(
            m, VS_ERR_VALUE, "%s has to be an int of 0 to 2^63 - 1, found %s", what,
            v->kind == VS_PK_INT ? "a negative one" : vs_pickle_kind_name(v->kind));
    }
    *out = (uint64_t)v->as.integer;
    return true;
}

static bool as_counts(machine *m, const value *v, const char *what, uint64_t out[VS_DIMS_MAX],
                      uint32_t *count)
{
    if (v->kind != VS_PK_TUPLE) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s has to be a tuple, found %s", what,
                              vs_pickle_kind_name(v->kind));
    }
    if (v->count > VS_DIMS_MAX) {
        return vs_pickle_fail(m, VS_ERR_LIMIT,
                              "a tensor of %" PRIu32 " dimensions; the limit is %d", v->count,
                              VS_DIMS_MAX);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        if (!as_count(m, &v->as.items[i], what, &out[i])) {
            return false;
        }
    }
    *count = v->count;
    return true;
}

static bool fail_large(machine *m, const char *what)
{
    return vs_pickle_fail(m, VS_ERR_VALUE, "%s overflows 64 bits", what);
}

/* ---- storages ---------------------------------------------------------------------------------------------- */

static const char storage_id[] =
    "a persistent id has to be (\"storage\", type, key, location, elements)";

/* (view_key, offset, elements) of old files: a part of the storage. */
static bool read_view(machine *m, const value *view, vs_pickle_storage *s, uint64_t width)
{
    uint64_t offset = 0;
    uint64_t elements = 0;
    uint64_t end = 0;
    if (view->kind == VS_PK_NONE) {
        return true;
    }
    if (view->kind != VS_PK_TUPLE || view->count != 3) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "the view of a storage has to be None or three values");
    }
    if (!as_count(m, &view->as.items[1], "the offset of a view", &offset) ||
        !as_count(m, &view->as.items[2], "the length of a view", &elements)) {
        return false;
    }
    if (!vs_add_u64(offset, elements, &end) || end > s->elements) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "the view [%" PRIu64 ", +%" PRIu64
                              "] reaches beyond its storage of %" PRIu64 " elements",
                              offset, elements, s->elements);
    }
    s->first_byte = offset * width; /* not more than size_bytes */
    return true;
}

/* The parts of a persistent id, known to be a tuple of 5 or 6. */
static bool read_storage(machine *m, const value *parts, uint32_t count, vs_pickle_storage *s)
{
    const value *const type = &parts[1];
    if (type->kind != VS_PK_GLOBAL || (type->as.global->role != VS_PG_STORAGE &&
                                       type->as.global->role != VS_PG_UNTYPED_STORAGE)) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s; the type is %s", storage_id,
                              type->kind == VS_PK_GLOBAL ? type->as.global->name
                                                         : vs_pickle_kind_name(type->kind));
    }
    const bool is_untyped = type->as.global->role == VS_PG_UNTYPED_STORAGE;
    s->dtype = type->as.global->dtype;
    if (s->dtype == VS_DT_COUNT && !is_untyped) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "a %s: complex and torch-quantised elements cannot be read",
                              type->as.global->name);
    }
    if ((parts[2].kind != VS_PK_TEXT && parts[2].kind != VS_PK_BYTES) ||
        parts[2].count > VS_STORAGE_KEY_MAX) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s; the key has to be a string of at most %u",
                              storage_id, VS_STORAGE_KEY_MAX);
    }
    s->key = vs_pickle_text(&parts[2]);
    const uint64_t width = is_untyped ? 1 : vs_dtype_bits(s->dtype) / 8;
    if (!as_count(m, &parts[4], "the length of a storage", &s->elements)) {
        return false;
    }
    if (!vs_mul_u64(s->elements, width, &s->size_bytes)) {
        return fail_large(m, "the size of a storage");
    }
    return count == 5 || read_view(m, &parts[5], s, width);
}

static bool keep_storage(machine *m, vs_pickle_storage *s)
{
    if (m->storage_count == m->storage_room) {
        const uint32_t room = m->storage_room == 0 ? 64 : 2 * m->storage_room;
        vs_pickle_storage **const bigger = VS_ARRAY(m->arena, vs_pickle_storage *, room);
        if (bigger == NULL) {
            return vs_pickle_out_of_memory(m);
        }
        if (m->storage_count > 0) {
            const size_t each = sizeof(void *); /* pointers are what is moved */
            memcpy(bigger, m->storages, m->storage_count * each);
        }
        m->storages = bigger;
        m->storage_room = room;
    }
    s->mention = m->storage_count;
    m->storages[m->storage_count++] = s;
    return true;
}

bool vs_pickle_load_storage(machine *m, value *id)
{
    if (id->kind != VS_PK_TUPLE || id->count == 0) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s, found %s; nothing was run", storage_id,
                              vs_pickle_kind_name(id->kind));
    }
    const value *const parts = id->as.items;
    if (!vs_pickle_is_text(&parts[0], "storage")) {
        const bool is_text = parts[0].kind == VS_PK_TEXT || parts[0].kind == VS_PK_BYTES;
        const vs_str text =
            is_text ? vs_pickle_text(&parts[0]) : vs_str_of(vs_pickle_kind_name(parts[0].kind));
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s, found one of \"%.*s\"; nothing was run",
                              storage_id, shown(text), text.ptr);
    }
    if (id->count != 5 && id->count != 6) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s, found %" PRIu32 " values", storage_id,
                              id->count);
    }
    vs_pickle_storage *const s = VS_NEW(m->arena, vs_pickle_storage);
    if (s == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    if (!read_storage(m, parts, id->count, s) || !keep_storage(m, s)) {
        return false;
    }
    *id = (value){.kind = VS_PK_STORAGE, .as.storage = s};
    return true;
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* Elements, reach and contiguity from shape and stride. */
static bool measure(machine *m, vs_pickle_tensor *t)
{
    uint64_t reach = 1; /* elements of the storage from the first to the last one */
    uint64_t packed = 1;
    bool is_empty = false;
    t->elements = 1;
    t->is_contiguous = true;
    for (uint32_t i = t->dim_count; i-- > 0;) {
        const uint64_t size = t->shape[i];
        uint64_t span = 0;
        is_empty = is_empty || size == 0;
        if (!vs_mul_u64(t->elements, size == 0 ? 1 : size, &t->elements) ||
            !vs_mul_u64(size == 0 ? 0 : size - 1, t->stride[i], &span) ||
            !vs_add_u64(reach, span, &reach)) {
            return fail_large(m, "the shape of a tensor");
        }
        t->is_contiguous = t->is_contiguous && (size <= 1 || t->stride[i] == packed);
        packed = t->elements;
    }
    if (is_empty) {
        t->elements = 0;
        t->is_contiguous = true;
    }
    t->end_byte = is_empty ? 0 : reach; /* elements, so far */
    return true;
}

/* storage, storage_offset, size, stride are the first arguments of all three _rebuild_tensor functions. */
static bool read_tensor(machine *m, const value *args, vs_dtype dtype, vs_pickle_tensor *t)
{
    uint64_t offset = 0;
    uint32_t stride_count = 0;
    if (args[0].kind != VS_PK_STORAGE) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "a tensor is made from a storage, found %s",
                              vs_pickle_kind_name(args[0].kind));
    }
    t->storage = args[0].as.storage;
    t->dtype = dtype != VS_DT_COUNT ? dtype : t->storage->dtype;
    if (t->dtype == VS_DT_COUNT) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "a tensor of an untyped storage without a dtype");
    }
    if (!as_count(m, &args[1], "the offset of a tensor", &offset) ||
        !as_counts(m, &args[2], "the shape of a tensor", t->shape, &t->dim_count) ||
        !as_counts(m, &args[3], "the stride of a tensor", t->stride, &stride_count)) {
        return false;
    }
    if (stride_count != t->dim_count) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "a tensor of %" PRIu32 " dimensions with %" PRIu32 " strides",
                              t->dim_count, stride_count);
    }
    /* torch.float4_e2m1fn_x2 counts pairs, one byte each */
    const uint64_t width = t->dtype == VS_DT_F4 ? 1 : vs_dtype_bits(t->dtype) / 8;
    uint64_t reach = 0;
    if (!measure(m, t)) {
        return false;
    }
    if (!vs_mul_u64(t->elements, width, &t->size_bytes) ||
        !vs_mul_u64(offset, width, &t->first_byte) ||
        !vs_add_u64(t->first_byte, t->storage->first_byte, &t->first_byte) ||
        !vs_mul_u64(t->end_byte, width, &reach) ||
        !vs_add_u64(t->first_byte, reach, &t->end_byte)) {
        return fail_large(m, "the size of a tensor");
    }
    return true;
}

static bool rebuild_tensor(machine *m, const vs_pickle_global *function, const value *args,
                           value *out)
{
    vs_dtype dtype = VS_DT_COUNT;
    const uint32_t wanted = function->role == VS_PG_REBUILD      ? 4
                            : function->role == VS_PG_REBUILD_V2 ? 6
                                                                 : 7;
    if (args->count < wanted || args->count > wanted + 1) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s takes %" PRIu32 " arguments, found %" PRIu32,
                              function->name, wanted, args->count);
    }
    if (function->role == VS_PG_REBUILD_V3) {
        const value *const type = &args->as.items[6];
        if (type->kind != VS_PK_GLOBAL || type->as.global->role != VS_PG_DTYPE) {
            return vs_pickle_fail(m, VS_ERR_VALUE, "%s wants a dtype, found %s", function->name,
                                  vs_pickle_kind_name(type->kind));
        }
        dtype = type->as.global->dtype;
        if (dtype == VS_DT_COUNT) {
            return vs_pickle_fail(m, VS_ERR_VALUE, "tensors of torch.%s cannot be read",
                                  type->as.global->name);
        }
    }
    vs_pickle_tensor *const t = VS_NEW(m->arena, vs_pickle_tensor);
    if (t == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    if (!read_tensor(m, args->as.items, dtype, t)) {
        return false;
    }
    *out = (value){.kind = VS_PK_TENSOR, .as.tensor = t};
    return true;
}

/* (tensor, requires_grad, hooks[, state]): the tensor itself. */
static bool rebuild_parameter(machine *m, const vs_pickle_global *function, const value *args,
                              value *out)
{
    if (args->count < 3 || args->count > 4 || args->as.items[0].kind != VS_PK_TENSOR) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "%s wants a tensor and two or three values more",
                              function->name);
    }
    *out = args->as.items[0];
    return true;
}

static bool rebuild(machine *m, const vs_pickle_global *function, const value *args, value *out)
{
    const bool is_parameter =
        function->role == VS_PG_PARAMETER || function->role == VS_PG_PARAMETER_STATE;
    return is_parameter ? rebuild_parameter(m, function, args, out)
                        : rebuild_tensor(m, function, args, out);
}

static bool is_rebuild(const vs_pickle_global *global)
{
    return global->role >= VS_PG_REBUILD && global->role <= VS_PG_PARAMETER_STATE;
}

/* (function, type, arguments, state): a tensor with attributes. */
static bool rebuild_from_type(machine *m, const value *args, value *out)
{
    const value *const parts = args->as.items;
    if (args->count != 4 || parts[0].kind != VS_PK_GLOBAL || !is_rebuild(parts[0].as.global) ||
        parts[1].kind != VS_PK_GLOBAL || parts[1].as.global->role != VS_PG_TENSOR_TYPE ||
        parts[2].kind != VS_PK_TUPLE) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "_rebuild_from_type_v2 wants a _rebuild function, a tensor type, "
                              "its arguments and a state");
    }
    return rebuild(m, parts[0].as.global, &parts[2], out);
}

/* OrderedDict(): empty, filled by SETITEMS. Python 2 gave OrderedDict([[key, value], ...]). */
/* The key and the value of one pair, a tuple or a list of two; NULL: it is none. */
static const value *pair_of(const value *v)
{
    const vs_pickle_chunk *const pair = v->kind == VS_PK_LIST ? v->as.container->first : NULL;
    if (v->kind == VS_PK_TUPLE && v->count == 2) {
        return v->as.items;
    }
    return pair != NULL && pair->count == 2 ? pair->items : NULL;
}

static bool add_pairs(machine *m, vs_pickle_container *list, vs_pickle_container *dict)
{
    if (list->is_visited) { /* or a few bytes could ask for the same work over and over */
        return vs_pickle_fail(m, VS_ERR_VALUE, "two dicts are made from one list");
    }
    list->is_visited = true;
    vs_pickle_walk walk = vs_pickle_walk_of(list);
    for (const value *v = vs_pickle_walk_next(&walk); v != NULL;
         v = vs_pickle_walk_next(&walk)) {
        const value *const items = pair_of(v);
        if (items == NULL) {
            return vs_pickle_fail(m, VS_ERR_VALUE,
                                  "OrderedDict wants pairs of a key and a value");
        }
        if (!vs_pickle_append(m, dict, items, 2)) {
            return false;
        }
    }
    return true;
}

static bool make_dict(machine *m, const value *args, value *out)
{
    value made = {0};
    if (!vs_pickle_new_container(m, VS_PK_DICT, &made)) {
        return false;
    }
    if (args->count == 1 && args->as.items[0].kind == VS_PK_LIST) {
        if (!add_pairs(m, args->as.items[0].as.container, made.as.container)) {
            return false;
        }
    } else if (args->count != 0) {
        return vs_pickle_fail(m, VS_ERR_VALUE, "OrderedDict wants nothing or a list of pairs");
    }
    *out = made;
    return true;
}

bool vs_pickle_reduce(machine *m, value *function, const value *args)
{
    if (function->kind != VS_PK_GLOBAL || args->kind != VS_PK_TUPLE) {
        return vs_pickle_fail(m, VS_ERR_VALUE,
                              "only the names of a tensor table can be called, with a tuple; "
                              "found %s and %s, and nothing was run",
                              vs_pickle_kind_name(function->kind),
                              vs_pickle_kind_name(args->kind));
    }
    const vs_pickle_global *const global = function->as.global;
    switch (global->role) {
    case VS_PG_ORDERED_DICT: return make_dict(m, args, function);
    case VS_PG_REBUILD:
    case VS_PG_REBUILD_V2:
    case VS_PG_REBUILD_V3:
    case VS_PG_PARAMETER:
    case VS_PG_PARAMETER_STATE: return rebuild(m, global, args, function);
    case VS_PG_FROM_TYPE: return rebuild_from_type(m, args, function);
    case VS_PG_PLAIN: *function = (value){.kind = VS_PK_OPAQUE}; return true;
    case VS_PG_TENSOR_TYPE:
    case VS_PG_DTYPE:
    case VS_PG_STORAGE:
    case VS_PG_UNTYPED_STORAGE: break;
    }
    return vs_pickle_fail(m, VS_ERR_VALUE, "%s.%s is called, which is refused; nothing was run",
                          global->module, global->name);
}
