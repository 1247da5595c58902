/* sim/plan/names.c - the words for the settings that are one of a few. */
#include "vramscope/plan.h"

#define VS_X(id, name) name,
static const char *const loader_names[] = {VS_LOADERS(VS_X)};
static const char *const quant_names[] = {VS_QUANTS(VS_X)};
static const char *const quant_experts_names[] = {VS_QUANT_EXPERTS(VS_X)};
static const char *const load_dtype_names[] = {VS_DTYPE_OPTIONS(VS_X)};
static const char *const cache_names[] = {VS_CACHES(VS_X)};
#undef VS_X

const char *vs_loader_name(vs_loader loader)
{
    vs_assert((unsigned)loader < VS_LOADER_COUNT);
    return loader_names[loader];
}

const char *vs_quant_name(vs_quant quant)
{
    vs_assert((unsigned)quant < VS_QUANT_COUNT);
    return quant_names[quant];
}

const char *vs_quant_experts_name(vs_quant_experts experts)
{
    vs_assert((unsigned)experts < VS_QEXPERTS_COUNT);
    return quant_experts_names[experts];
}

const char *vs_load_dtype_name(vs_load_dtype dtype)
{
    vs_assert((unsigned)dtype < VS_LOAD_COUNT);
    return load_dtype_names[dtype];
}

const char *vs_cache_name(vs_cache cache)
{
    vs_assert((unsigned)cache < VS_CACHE_COUNT);
    return cache_names[cache];
}
