/* tests/support/config.h - small configs, and reading them with a cmocka fixture. */
#ifndef TESTS_SUPPORT_CONFIG_H
#define TESTS_SUPPORT_CONFIG_H

#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS                                                                                \
    "\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,"                     \
    "\"intermediate_size\":16,\"vocab_size\":32"
#define MIXTRAL_BUT(more)                                                                      \
    "\"model_type\":\"mixtral\",\"num_key_value_heads\":1,\"num_local_experts\":4," NUMBERS    \
    "," more
#define MIXTRAL MIXTRAL_BUT("\"num_experts_per_tok\":2")
#define QWEN3_MOE                                                                              \
    "\"model_type\":\"qwen3_moe\",\"hidden_size\":8,\"num_attention_heads\":2,"                \
    "\"num_key_value_heads\":1,\"intermediate_size\":16,\"vocab_size\":32,\"num_experts\":4,"  \
    "\"num_experts_per_tok\":2,\"moe_intermediate_size\":6"

typedef struct {
    vs_arena arena;
    vs_model model;
} bench;

static inline int bench_open(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 256 * VS_MIB, NULL) ? 0 : 1;
}

static inline int bench_close(void **state)
{
    bench *b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)

static inline void read_config(bench *b, const char *text)
{
    vs_err err = {0};
    char line[1024];
    vs_arena_reset(&b->arena);
    if (!vs_model_from_config(&b->model, &b->arena, text, strlen(text), "config.json", &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
}

/* The config is refused with one line that holds `what` and the name of the file. */
static inline void refuse_config(bench *b, const char *text, const char *what)
{
    vs_err err = {0};
    char line[1024];
    vs_arena_reset(&b->arena);
    assert_false(
        vs_model_from_config(&b->model, &b->arena, text, strlen(text), "config.json", &err));
    (void)vs_err_line(&err, line, sizeof line);
    if (strstr(line, what) == NULL || strncmp(line, "config.json:", 12) != 0 ||
        strchr(line, '\n') != NULL) {
        fail_msg("\"%s\" does not name \"%s\"", line, what);
    }
}

static inline const vs_target *find_target(const bench *b, const char *name)
{
    for (uint32_t i = 0; i < b->model.target_count; i++) {
        if (strcmp(b->model.targets[i].name, name) == 0) {
            return &b->model.targets[i];
        }
    }
    return NULL;
}

static inline const vs_target *target(const bench *b, const char *name)
{
    const vs_target *const found = find_target(b, name);
    if (found == NULL) {
        print_error("no target %s\n", name);
        abort();
    }
    return found;
}

#endif /* TESTS_SUPPORT_CONFIG_H */
