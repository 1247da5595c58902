/* dtype.c - element types: names, sizes, and the bytes of a number of elements.
 * The list and its sources stand in model.h (VS_DTYPES). */
#include "vramscope/model.h"

typedef struct {
    const char *name;
    const char *torch_name;
    uint32_t bits;
    bool is_float;
} dtype_info;

static const dtype_info infos[] = {
#define VS_X(id, name, torch, bits, fp) [id] = {name, torch, bits, (fp) != 0},
    VS_DTYPES(VS_X)
#undef VS_X
};

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
    return infos[dtype].bits;
}

bool vs_dtype_is_float(vs_dtype dtype)
{
    return is_known(dtype) && infos[dtype].is_float;
}

vs_dtype vs_dtype_find(vs_str name)
{
    for (uint32_t i = 0; i < VS_DT_COUNT; i++) {
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
    for (uint32_t i = 0; i < VS_DT_COUNT; i++) {
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
    return is_known(dtype) && vs_muldiv_ceil_u64(elements, infos[dtype].bits, 8, out);
}
