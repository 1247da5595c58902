/* fixes.c - what would fit: neighbours of a scenario that ran out of memory, each of them simulated.
 *
 * The neighbours: load one after the other, leave the warm-up out, the allocator's expandable segments, a narrower
 * dtype, a quantiser, experts quantised as they are set, and the smallest catalogue card that holds the same load. */
#include "run_internal.h"

#include <string.h>

typedef struct {
    vs_arena *scratch;
    vs_arena *out_arena;
    const vs_run_input *input;
    vs_fix_list *list;
    size_t mark; /* scratch below this stays */
} fixer;

/* Runs one variant. A setting that cannot be combined is no fix: skipped. False only for out of memory of our own. */
static bool try_variant(fixer *f, const vs_scenario *scenario, const vs_machine *machine,
                        const char *change, bool *out_fits, vs_err *err)
{
    vs_run_input input = *f->input;
    vs_run_result result = {0};
    vs_timeline timeline = {0};
    vs_err own = {0};
    input.scenario = scenario;
    input.machine = machine;
    vs_arena_rewind(f->scratch, f->mark);
    *out_fits = false;
    if (!vs_run(f->scratch, &input, &result, &timeline, &own)) {
        return own.code != VS_ERR_MEMORY || vs_fail(err, own.code, "%s", own.text);
    }
    *out_fits = result.verdict == VS_VERDICT_FITS;
    if (f->list->count == VS_FIXES_MAX) {
        return true;
    }
    char *text = vs_str_copy(f->out_arena, vs_str_of(change));
    if (text == NULL) {
        return vs_fail_memory(err, f->out_arena, "the fixes");
    }
    f->list->fixes[f->list->count++] =
        (vs_fix){.change = text,
                 .verdict = result.verdict,
                 .peak_used_bytes = result.gpus[0].peak_used_bytes,
                 .load_ns = result.load_ns};
    return true;
}

static bool try_settings(fixer *f, const vs_run_result *failed, vs_err *err)
{
    const vs_scenario *base = f->input->scenario;
    const vs_machine *machine = f->input->machine;
    bool fits = false;
    bool is_fine = true;
    if (failed->is_async) {
        vs_scenario s = *base;
        s.async = VS_OFF;
        is_fine = is_fine && try_variant(f, &s, machine, "--no-async", &fits, err);
    }
    if (failed->has_warmup) {
        vs_scenario s = *base;
        s.warmup = VS_OFF;
        is_fine = is_fine && try_variant(f, &s, machine, "--no-warmup", &fits, err);
    }
    if (base->alloc_conf == NULL || base->alloc_conf[0] == '\0') {
        vs_scenario s = *base;
        s.alloc_conf = "expandable_segments:True";
        is_fine = is_fine && try_variant(f, &s, machine,
                                         "--alloc-conf expandable_segments:True", &fits, err);
    }
    if (failed->load_dtype == VS_DT_F32) {
        vs_scenario s = *base;
        s.dtype = VS_LOAD_BF16;
        is_fine = is_fine && try_variant(f, &s, machine, "--dtype bf16", &fits, err);
    }
    if (base->quant == VS_QUANT_NONE) {
        vs_scenario s = *base;
        s.quant = VS_QUANT_BNB_NF4;
        is_fine = is_fine && try_variant(f, &s, machine, "--quant bnb-nf4", &fits, err);
    }
    if (base->quant_experts == VS_QEXPERTS_NONE && f->input->model->dims.experts > 0) {
        vs_scenario s = *base;
        s.quant_experts = VS_QEXPERTS_AXOLOTL;
        s.async = VS_OFF;
        s.quant = base->quant == VS_QUANT_NONE ? VS_QUANT_BNB_NF4 : base->quant;
        const char *change = base->quant == VS_QUANT_NONE
                                 ? "--quant bnb-nf4 --quant-experts axolotl --no-async"
                                 : "--quant-experts axolotl --no-async";
        is_fine = is_fine && try_variant(f, &s, machine, change, &fits, err);
    }
    return is_fine;
}

/* The same machine with another card, on the link that --gpu would give it there. */
static vs_machine with_card(fixer *f, const vs_gpu *gpu)
{
    vs_machine_spec spec = f->input->scenario->machine;
    vs_machine resolved = {0};
    vs_machine machine = *f->input->machine;
    vs_err own = {0};
    vs_arena_rewind(f->scratch, f->mark);
    spec.gpus[0] = vs_str_of(gpu->id);
    spec.gpu_count = 1;
    machine.gpus[0] = *gpu;
    /* A host of the user's own catalogue is not known here: then the link stays as it is. */
    if (vs_machine_resolve(&resolved, f->scratch, &spec, NULL, &own)) {
        machine.gpus[0] = resolved.gpus[0];
        machine.host.h2d_pinned_bps = resolved.host.h2d_pinned_bps;
        machine.host.h2d_pageable_bps = resolved.host.h2d_pageable_bps;
        machine.host.d2h_bps = resolved.host.d2h_bps;
    }
    return machine;
}

/* Cards larger than the present one that hold at least the finished model, smallest first; the first that fits is the
 * answer. At most four tries. */
static bool try_cards(fixer *f, const vs_run_result *failed,
                      const vs_hardware_catalogue *catalogue, vs_err *err)
{
    const vs_bytes present = f->input->machine->gpus[0].total_bytes;
    vs_bytes above = present + present / 8;
    above = failed->needed_bytes > above ? failed->needed_bytes : above;
    for (uint32_t tries = 0; tries < 4; tries++) {
        const vs_gpu *next = NULL;
        for (uint32_t i = 0; i < catalogue->gpu_count; i++) {
            const vs_gpu *gpu = &catalogue->gpus[i];
            if (gpu->total_bytes > above && !gpu->is_unified &&
                (next == NULL || gpu->total_bytes < next->total_bytes)) {
                next = gpu;
            }
        }
        if (next == NULL) {
            return true;
        }
        above = next->total_bytes;
        const vs_machine machine = with_card(f, next);
        char change[96] = "--gpu ";
        const size_t used = strlen(change);
        const size_t len = strlen(next->id);
        if (len >= sizeof change - used) {
            continue;
        }
        memcpy(change + used, next->id, len + 1);
        bool fits = false;
        const uint32_t before = f->list->count;
        if (!try_variant(f, f->input->scenario, &machine, change, &fits, err)) {
            return false;
        }
        if (fits) {
            return true;
        }
        above += above / 16;     /* the next class */
        f->list->count = before; /* a larger card that does not fit either is no news */
    }
    return true;
}

/* What fits first; among that, settings before other hardware; then the fastest. */
static bool comes_before(const vs_fix *a, const vs_fix *b)
{
    const bool a_fits = a->verdict == VS_VERDICT_FITS;
    const bool b_fits = b->verdict == VS_VERDICT_FITS;
    if (a_fits != b_fits) {
        return a_fits;
    }
    const bool a_buys = strncmp(a->change, "--gpu", 5) == 0;
    const bool b_buys = strncmp(b->change, "--gpu", 5) == 0;
    if (a_fits && a_buys != b_buys) {
        return b_buys;
    }
    return a_fits && a->load_ns < b->load_ns;
}

static void sort_fixes(vs_fix *fixes, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const vs_fix fix = fixes[i];
        uint32_t j = i;
        while (j > 0 && comes_before(&fix, &fixes[j - 1])) {
            fixes[j] = fixes[j - 1];
            j--;
        }
        fixes[j] = fix;
    }
}

bool vs_run_fixes(vs_arena *scratch, vs_arena *out_arena, const vs_run_input *input,
                  const vs_run_result *failed, vs_fix_list *out, vs_err *err)
{
    vs_hardware_catalogue catalogue = {0};
    vs_fix_list list = {0};
    vs_arena_reset(scratch);
    if (!vs_hardware_load(&catalogue, scratch, NULL, err)) {
        return false;
    }
    fixer f = {.scratch = scratch,
               .out_arena = out_arena,
               .input = input,
               .list = &list,
               .mark = scratch->used_bytes};
    const bool has_context =
        !vs_str_is(vs_str_of(failed->oom.stage), "context"); /* else no setting helps */
    if ((has_context && !try_settings(&f, failed, err)) ||
        !try_cards(&f, failed, &catalogue, err)) {
        return false;
    }
    sort_fixes(list.fixes, list.count);
    *out = list;
    return true;
}
