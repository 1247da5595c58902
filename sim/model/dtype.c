/* dtype.c - element types: names, sizes, and the bytes of a number of elements.
 * The lists and their sources stand in model.h (VS_DTYPES, VS_GGML_BLOCK_DTYPES). */
#include "vramscope/model.h"

/* A run of block_elements elements takes block_bytes bytes. */
typedef struct {
    const char *name;
    const char *torch_name;
    uint32_t block_elements;
    uint32_t block_bytes;
    bool is_float;
} dtype_info;

static const dtype_info infos[] = {
#define VS_X(id, name, torch, bits, fp)                                                        \
    [id] = {name, torch, (bits) < 8 ? 8 / (bits) : 1, (bits) < 8 ? 1 : (bits) / 8, (fp) != 0},
    VS_DTYPES(VS_X)
#undef VS_X
#define VS_X(id, name, ggml, elements, bytes) [id] = {name, name, elements, bytes, true},
        VS_GGML_BLOCK_DTYPES(VS_X)
#undef VS_X
};

static const struct {
    uint32_t type_id;
    vs_dtype dtype;
} ggml_types[] = {
    /* the plain ones: ggml.h, enum ggml_type */
    {0, VS_DT_F32},
    {1, VS_DT_F16},
    {24, VS_DT_I8},
    {25, VS_DT_I16},
    {26, VS_DT_I32},
    {27, VS_DT_I64},
    {28, VS_DT_F64},
    {30, VS_DT_BF16},

#define VS_X(id, name, ggml, elements, bytes) {ggml, id},
    VS_GGML_BLOCK_DTYPES(VS_X)
#undef VS_X
};

#define GGML_TYPES_COUNT (sizeof ggml_types / sizeof ggml_types[0])

static bool is_known(vs_dtype dtype)
{
    return (unsigned)dtype < (unsigned)VS_DT_COUNT;
}

const char *vs_dtype_name(vs_dtype dtype)
{
    return is_known(dtype) ? infos[dtype].name : "?";
}

const char *vs_dtype_torch_name(vs_dtype dtype)
{
    return is_known(dtype) ? infos[dtype].torch_name : "?";
}

uint32_t vs_dtype_bits(vs_dtype dtype)
{
    vs_assert(is_known(dtype));
    const dtype_info *const info = &infos[dtype];
    return (info->block_bytes * 8 + info->block_elements - 1) / info->block_elements;
}

uint32_t vs_dtype_block_elements(vs_dtype dtype)
{
    return is_known(dtype) ? infos[dtype].block_elements : 1;
}

bool vs_dtype_is_block(vs_dtype dtype)
{
    return is_known(dtype) && (uint32_t)dtype >= VS_DT_SAFETENSORS_COUNT;
}

bool vs_dtype_is_float(vs_dtype dtype)
{
    return is_known(dtype) && infos[dtype].is_float;
}

vs_dtype vs_dtype_find(vs_str name)
{
    for (uint32_t i = 0; i < VS_DT_SAFETENSORS_COUNT; i++) {
        if (vs_str_is(name, infos[i].name)) {
            return (vs_dtype)i;
        }
    }
    return VS_DT_COUNT;
}

vs_dtype vs_dtype_find_torch(vs_str name)
{
    static const struct {
        const char *alias;
        vs_dtype dtype;
    } aliases[] = {
        {"fp32", VS_DT_F32},  {"fp16", VS_DT_F16}, {"bf16", VS_DT_BF16},
        {"float", VS_DT_F32}, {"half", VS_DT_F16}, {"double", VS_DT_F64},
    };

    if (vs_str_starts(name, "torch.")) {
        name.ptr += 6;
        name.len -= 6;
    }
    for (uint32_t i = 0; i < VS_DT_SAFETENSORS_COUNT; i++) {
        if (vs_str_is(name, infos[i].torch_name)) {
            return (vs_dtype)i;
        }
    }
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (vs_str_is(name, aliases[i].alias)) {
            return aliases[i].dtype;
        }
    }
    return VS_DT_COUNT;
}

bool vs_dtype_bytes(vs_dtype dtype, uint64_t elements, vs_bytes *out)
{
    if (!is_known(dtype)) {
        return false;
    }
    const dtype_info *const info = &infos[dtype];
    if (info->block_elements == 1) { /* most of them: no division */
        return vs_mul_u64(elements, info->block_bytes, out);
    }
    const uint64_t blocks =
        elements / info->block_elements + (elements % info->block_elements != 0);
    return vs_mul_u64(blocks, info->block_bytes, out);
}

vs_dtype vs_dtype_find_ggml(uint32_t type_id)
{
    for (size_t i = 0; i < GGML_TYPES_COUNT; i++) {
        if (ggml_types[i].type_id == type_id) {
            return ggml_types[i].dtype;
        }
    }
    return VS_DT_COUNT;
}

bool vs_dtype_ggml_type(vs_dtype dtype, uint32_t *type_id)
{
    for (size_t i = 0; i < GGML_TYPES_COUNT; i++) {
        if (ggml_types[i].dtype == dtype) {
            *type_id = ggml_types[i].type_id;
            return true;
        }
    }
    return false;
}
