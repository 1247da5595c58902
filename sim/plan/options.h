/* plan/options.h - the numbers of the options. Internal to plan/. */
#ifndef VS_PLAN_OPTIONS_H
#define VS_PLAN_OPTIONS_H

#include "vramscope/plan.h"

typedef enum {
    VS_OPTION_GPU,
    VS_OPTION_GPU_USED,
    VS_OPTION_HOST,
    VS_OPTION_DISK,
    VS_OPTION_RAM,
    VS_OPTION_CACHE,
    VS_OPTION_DTYPE,
    VS_OPTION_LOADER,
    VS_OPTION_ASYNC,
    VS_OPTION_WORKERS,
    VS_OPTION_QUANT,
    VS_OPTION_QUANT_EXPERTS,
    VS_OPTION_WARMUP,
    VS_OPTION_DEVICE_MAP,
    VS_OPTION_MAX_MEMORY,
    VS_OPTION_ALLOC_CONF,
    VS_OPTION_CONTEXT,
    VS_OPTION_NEW_TOKENS,
    VS_OPTION_BATCH,
    VS_OPTION_ATTENTION,
    VS_OPTION_RUNS,
    VS_OPTION_SEED,
    VS_OPTION_FAIL_ON_OOM,
    VS_OPTION_SCENARIO,
    VS_OPTION_PRINT_SCENARIO,
    VS_OPTION_JSON,
    VS_OPTION_TAPE,
    VS_OPTION_TRACE,
    VS_OPTION_CSV,
    VS_OPTION_SNAPSHOT,
    VS_OPTION_PNG,
    VS_OPTION_SVG,
    VS_OPTION_HTML,
    VS_OPTION_COUNT
} vs_option_id;

/* "quant_experts" for "quant-experts": the key of an option in JSON. buf holds VS_TEXT_BYTES. */
const char *vs_option_json_key(const vs_option *option, char buf[VS_TEXT_BYTES]);

/* --gpu rtx-4090,24GiB: the n-th piece between commas, blanks around it removed; false when there is none.
 * *pos starts at 0. */
bool vs_option_next_piece(vs_str list, size_t *pos, vs_str *piece);

/* The card, host and disk that a scenario names, defaults filled in; empty when a HOST.json decides. */
vs_str vs_scenario_disk(const vs_scenario *scenario);
vs_str vs_scenario_host(const vs_scenario *scenario);
bool vs_scenario_has_host_file(const vs_scenario *scenario);

/* A scenario file from bytes, for vs_scenario_read, tests and the fuzzer; input_name is for messages. */
VS_MUST_CHECK bool vs_scenario_parse(vs_scenario *scenario, vs_arena *arena, const void *text,
                                     size_t text_bytes, const char *input_name, vs_err *err);

#endif /* VS_PLAN_OPTIONS_H */
