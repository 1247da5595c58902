/* support/scenario.h - runs one scenario given as words, for tests. Header-only, so that each test stays one file. */
#ifndef VS_TESTS_SUPPORT_SCENARIO_H
#define VS_TESTS_SUPPORT_SCENARIO_H

#include "vramscope/vramscope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    vs_arena inputs;
    vs_arena run;
    vs_model model;
    vs_machine machine;
    vs_scenario scenario;
    vs_run_result result;
    vs_timeline timeline;
    uint32_t shuffle_seed;
    uint64_t fail_run_at; /* the n-th allocation of the run's arena fails */
} scenario_run;

/* Ends the program with the error: a test that cannot even start has found something. */
static inline void scenario_must(bool is_fine, const vs_err *err)
{
    if (!is_fine) {
        char line[1024];
        fprintf(stderr, "%s\n", vs_err_line(err, line, sizeof line));
        abort();
    }
}

static inline void scenario_open(scenario_run *s)
{
    vs_err err = {0};
    *s = (scenario_run){0};
    scenario_must(vs_arena_open(&s->inputs, (size_t)4 << 30, &err), &err);
    scenario_must(vs_arena_open(&s->run, (size_t)4 << 30, &err), &err);
}

static inline void scenario_close(scenario_run *s)
{
    vs_arena_close(&s->inputs);
    vs_arena_close(&s->run);
}

/* "gpu=rtx-4090 dtype=bf16 async=off": applied in order. */
static inline bool scenario_set_words(scenario_run *s, const char *words, vs_err *err)
{
    while (*words != '\0') {
        const size_t len = strcspn(words, " ");
        const size_t key = strcspn(words, "=");
        const vs_option *option = vs_option_find((vs_str){words, key});
        if (option == NULL || key >= len) {
            return vs_fail(err, VS_ERR_USAGE, "test: no option in %s", words);
        }
        if (!vs_scenario_set(&s->scenario, &s->inputs, option,
                             (vs_str){words + key + 1, len - key - 1}, true, err)) {
            return false;
        }
        words += len + strspn(words + len, " ");
    }
    return true;
}

/* Reads the inputs and runs. False with err when the run refuses. */
static inline bool scenario_try(scenario_run *s, const char *model, const char *words,
                                vs_err *err)
{
    s->scenario = (vs_scenario){.model = model};
    if (!scenario_set_words(s, words, err) ||
        !vs_model_open(&s->model, &s->inputs, model, err) ||
        !vs_machine_resolve(&s->machine, &s->inputs, &s->scenario.machine, NULL, err)) {
        return false;
    }
    vs_arena_reset(&s->run);
    s->run.fail_at = s->fail_run_at;
    const vs_run_input input = {.model = &s->model,
                                .machine = &s->machine,
                                .scenario = &s->scenario,
                                .shuffle_seed = s->shuffle_seed};
    return vs_run(&s->run, &input, &s->result, &s->timeline, err);
}

static inline void scenario_go(scenario_run *s, const char *model, const char *words)
{
    vs_err err = {0};
    scenario_must(scenario_try(s, model, words, &err), &err);
}

#endif /* VS_TESTS_SUPPORT_SCENARIO_H */
