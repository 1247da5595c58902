/* vramscope/plan.h - what is asked for: the scenario, from options and files.
 *
 * One table of options (plan/options.c) is the source of the command line, of scenario files,
 * of --vary and of --help, so they cannot disagree. A vs_scenario holds every setting
 * as resolved; zero-initialised fields are defaults.
 *
 * Plain data, arena-owned strings. */
#ifndef VS_PLAN_H
#define VS_PLAN_H

#include "vramscope/base.h"
#include "vramscope/hardware.h"
#include "vramscope/model.h"

typedef enum { VS_AUTO, VS_ON, VS_OFF } vs_tristate;

/* X(enum, name) */
#define VS_LOADERS(X)                                                                          \
    X(VS_LOADER_V5, "transformers-5")     /* newest rules: V516 of the spec */                 \
    X(VS_LOADER_V5_0, "transformers-5.0") /* of plain checkpoints */                           \
    X(VS_LOADER_V4_57, "transformers-4.57")                                                    \
    X(VS_LOADER_V4_47, "transformers-4.47")                                                    \
    X(VS_LOADER_CLASSIC, "classic")

#define VS_QUANTS(X)                                                                           \
    X(VS_QUANT_NONE, "none")                                                                   \
    X(VS_QUANT_BNB_NF4, "bnb-nf4")                                                             \
    X(VS_QUANT_BNB_NF4_DQ, "bnb-nf4-dq")                                                       \
    X(VS_QUANT_BNB_FP4, "bnb-fp4")                                                             \
    X(VS_QUANT_BNB_INT8, "bnb-int8")

#define VS_QUANT_EXPERTS(X)                                                                    \
    X(VS_QEXPERTS_NONE, "none")                                                                \
    X(VS_QEXPERTS_AXOLOTL, "axolotl")

#define VS_DTYPE_OPTIONS(X)                                                                    \
    X(VS_LOAD_AUTO, "auto")                                                                    \
    X(VS_LOAD_FP32, "fp32")                                                                    \
    X(VS_LOAD_FP16, "fp16")                                                                    \
    X(VS_LOAD_BF16, "bf16")

#define VS_CACHES(X)                                                                           \
    X(VS_CACHE_COLD, "cold")                                                                   \
    X(VS_CACHE_WARM, "warm")

#define VS_X(id, name) id,

typedef enum { VS_LOADERS(VS_X) VS_LOADER_COUNT } vs_loader;

typedef enum { VS_QUANTS(VS_X) VS_QUANT_COUNT } vs_quant;

typedef enum { VS_QUANT_EXPERTS(VS_X) VS_QEXPERTS_COUNT } vs_quant_experts;

typedef enum { VS_DTYPE_OPTIONS(VS_X) VS_LOAD_COUNT } vs_load_dtype;

typedef enum { VS_CACHES(VS_X) VS_CACHE_COUNT } vs_cache;

#undef VS_X

const char *vs_loader_name(vs_loader loader);
const char *vs_quant_name(vs_quant quant);
const char *vs_quant_experts_name(vs_quant_experts experts);
const char *vs_load_dtype_name(vs_load_dtype dtype);
const char *vs_cache_name(vs_cache cache);

typedef struct {
    const char *model; /* MODEL as given */
    vs_machine_spec machine;
    vs_bytes gpu_used_bytes[VS_GPUS_MAX]; /* by others, per GPU */
    uint32_t gpu_used_count;
    vs_load_dtype dtype;
    vs_loader loader;
    vs_tristate async; /* VS_AUTO: the loader's own rule */
    vs_tristate warmup;
    uint32_t workers; /* 0: the loader's own number */
    vs_quant quant;
    vs_quant_experts quant_experts;
    vs_cache cache;
    const char *device_map; /* NULL: "cuda" */
    const char *alloc_conf; /* NULL: "" */
    uint64_t seed;
    uint32_t runs; /* 0 or 1: one deterministic run */
    bool fail_on_oom;
} vs_scenario;

/* ---- the option table --------------------------------------------------------------- */

typedef enum {
    VS_OPT_FLAG, /* --warmup / --no-warmup pair or a plain switch */
    VS_OPT_VALUE
} vs_option_kind;

typedef struct {
    /* "quant-experts": --quant-experts, "quant_experts" in JSON, quant-experts=.. in --vary */
    const char *key;
    vs_option_kind kind;
    const char *values; /* shown in help: "none, axolotl", "SIZE[,SIZE...]" */
    const char *help;   /* one sentence */
    bool has_negation;  /* --no-KEY exists */
    /* in the contract, not in this version: using it is an error that says so */
    bool is_planned;
    /* part of a scenario: allowed in files and --vary; false: outputs and the like, which the
     * command line handles itself (vs_scenario_set refuses them) */
    bool is_setting;
    uint32_t id; /* internal */
} vs_option;

const vs_option *vs_options(size_t *out_count);
const vs_option *vs_option_find(vs_str key); /* '-' and '_' are the same; NULL when unknown */

/* Applies one setting. value for flags: "on" / "off" (--vary async=on,off). Repeated --gpu appends;
 * is_first tells the first --gpu of a source, which replaces what an earlier source said. Errors name the
 * option, the value and what is allowed, and suggest the nearest. */
VS_MUST_CHECK bool vs_scenario_set(vs_scenario *scenario, vs_arena *arena,
                                   const vs_option *option, vs_str value, bool is_first,
                                   vs_err *err);
/* Scenario file: {"format":"vramscope.scenario/1", "model": ..., any option key in snake_case}. */
VS_MUST_CHECK bool vs_scenario_read(vs_scenario *scenario, vs_arena *arena, const char *path,
                                    vs_err *err);
/* The resolved scenario as an object named key (NULL: top level), every setting. */
void vs_scenario_write(const vs_scenario *scenario, vs_jwriter *w, const char *key);
/* The equivalent command line, shell-quoted: "vramscope sim llama-2-7b --dtype bf16 --gpu rtx-4090". */
VS_MUST_CHECK const char *vs_scenario_command(const vs_scenario *scenario, vs_arena *arena);

#endif /* VS_PLAN_H */
