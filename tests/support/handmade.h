/* tests/support/handmade.h - a model of a few tensors made by hand, and runs of it: for containers and merges that no small
 * config describes. handmade_add appends a stored tensor that becomes a parameter of the same name; change what is special
 * about it in model.tensors and model.targets, then call handmade_go. */
#ifndef TESTS_SUPPORT_HANDMADE_H
#define TESTS_SUPPORT_HANDMADE_H

#include "tests/support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HANDMADE_MAX 16u

typedef struct {
    scenario_run run;
    vs_tensor tensors[HANDMADE_MAX];
    vs_target targets[HANDMADE_MAX];
    uint32_t sources[HANDMADE_MAX];
    vs_shard shard;
} handmade;

static inline int handmade_open(void **state)
{
    handmade *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return 1;
    }
    scenario_open(&h->run);
    h->shard.file = "handmade";
    h->run.model = (vs_model){.name = "handmade",
                              .model_type = "",
                              .architecture = "",
                              .source = "test",
                              .no_split_class = "",
                              .config_dtype = VS_DT_BF16,
                              .tensors = h->tensors,
                              .targets = h->targets,
                              .sources = h->sources,
                              .modules = h->targets,
                              .module_sources = h->sources,
                              .config_text = "",
                              .shards = &h->shard,
                              .shard_count = 1};
    *state = h;
    return 0;
}

static inline int handmade_close(void **state)
{
    handmade *h = *state;
    scenario_close(&h->run);
    free(h);
    return 0;
}

#define WITH_HANDMADE(test) cmocka_unit_test_setup_teardown(test, handmade_open, handmade_close)

/* Names are in key order when they are added so. */
static inline vs_tensor *handmade_add(handmade *h, const char *name, vs_dtype dtype,
                                      uint64_t elements)
{
    vs_model *m = &h->run.model;
    const uint32_t i = m->tensor_count++;
    assert_true(i < HANDMADE_MAX);
    vs_tensor *t = &h->tensors[i];
    *t = (vs_tensor){.name = name,
                     .shape = {elements},
                     .dim_count = 1,
                     .dtype = dtype,
                     .elements = elements,
                     .target = i,
                     .file_offset = m->checkpoint_bytes};
    assert_true(vs_dtype_bytes(dtype, elements, &t->size_bytes));
    h->targets[i] = (vs_target){.name = name,
                                .shape = {elements},
                                .dim_count = 1,
                                .elements = elements,
                                .layer = -1,
                                .tied_to = VS_NO_TARGET,
                                .part_count = 1,
                                .first_source = i,
                                .source_count = 1,
                                .fixed_dtype = VS_DT_COUNT};
    h->sources[i] = i;
    m->target_count = m->module_count = i + 1;
    m->source_count = m->module_source_count = i + 1;
    m->checkpoint_bytes += t->size_bytes;
    h->shard.size_bytes += t->size_bytes;
    return t;
}

/* The last target takes the last two tensors, concatenated; the one before goes. */
static inline vs_target *handmade_join(handmade *h, const char *name)
{
    vs_model *m = &h->run.model;
    vs_target *t = &h->targets[m->target_count - 2];
    t->name = name;
    t->elements += h->targets[m->target_count - 1].elements;
    t->flags = VS_TF_EXPERTS;
    t->merge = VS_MERGE_CAT;
    t->part_count = 2;
    t->source_count = 2;
    h->tensors[m->tensor_count - 1].target = m->target_count - 2;
    m->target_count--;
    m->module_count--;
    return t;
}

static inline bool handmade_try(handmade *h, const char *words, vs_err *err)
{
    scenario_run *s = &h->run;
    s->scenario = (vs_scenario){.model = "handmade"};
    if (!scenario_set_words(s, words, err) ||
        !vs_machine_resolve(&s->machine, &s->inputs, &s->scenario.machine, NULL, err)) {
        return false;
    }
    vs_arena_reset(&s->run);
    s->run.fail_at = s->fail_run_at;
    const vs_run_input input = {
        .model = &s->model, .machine = &s->machine, .scenario = &s->scenario};
    return vs_run(&s->run, &input, &s->result, &s->timeline, err);
}

static inline const vs_run_result *handmade_go(handmade *h, const char *words)
{
    vs_err err = {0};
    scenario_must(handmade_try(h, words, &err), &err);
    return &h->run.result;
}

/* Host memory beyond that of the process before it loads. */
static inline vs_bytes handmade_host_peak(const handmade *h)
{
    return h->run.result.host_peak_anon_bytes - h->run.machine.host.base_rss_bytes;
}

#endif /* TESTS_SUPPORT_HANDMADE_H */
