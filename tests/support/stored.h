/* tests/support/stored.h - a checkpoint folder made for one test, and runs of it.
 *
 * stored_tensors takes lines of "NAME DTYPE DIM,DIM" and writes model.safetensors with a hole for data;
 * stored_config writes config.json beside it. stored_go runs the folder with settings as words. */
#ifndef TESTS_SUPPORT_STORED_H
#define TESTS_SUPPORT_STORED_H

#include "tests/support/scenario.h"
#include "tests/support/tree.h"

typedef struct {
    tree *tree;
    scenario_run run;
} stored;

static inline int stored_open(void **state)
{
    stored *s = calloc(1, sizeof *s);
    void *made = NULL;
    if (s == NULL || tree_open(&made) != 0) {
        free(s);
        return 1;
    }
    s->tree = made;
    scenario_open(&s->run);
    *state = s;
    return 0;
}

static inline int stored_close(void **state)
{
    stored *s = *state;
    void *made = s->tree;
    scenario_close(&s->run);
    (void)tree_close(&made);
    free(s);
    return 0;
}

#define WITH_STORED(test) cmocka_unit_test_setup_teardown(test, stored_open, stored_close)

/* Elements of "4,8"; "-" is a scalar. */
static inline uint64_t stored_elements(const char *shape)
{
    uint64_t elements = 1;
    while (shape[0] != '-' && shape[0] != '\0') {
        char *end = NULL;
        elements *= strtoull(shape, &end, 10);
        shape = *end == ',' ? end + 1 : end;
    }
    return elements;
}

static inline void stored_tensors(stored *s, const char *const *lines, size_t count)
{
    const size_t room = 64 + count * 320;
    char *const text = vs_arena_alloc(&s->tree->arena, room, 1);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, room, "{\"__metadata__\":{\"format\":\"pt\"}");
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        char name[160];
        char dtype[16];
        char shape[64];
        vs_bytes bytes = 0;
        assert_int_equal(sscanf(lines[i], "%159s %15s %63s", name, dtype, shape), 3);
        assert_true(
            vs_dtype_bytes(vs_dtype_find(vs_str_of(dtype)), stored_elements(shape), &bytes));
        used += (size_t)snprintf(text + used, room - used,
                                 ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],"
                                 "\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                                 name, dtype, shape[0] == '-' ? "" : shape, at, at + bytes);
        at += bytes;
    }
    (void)snprintf(text + used, room - used, "}");
    tree_safetensors(s->tree, "model.safetensors", text, at);
}

#define STORED_TENSORS(s, lines)                                                               \
    stored_tensors((s), (lines), sizeof(lines) / sizeof((lines)[0]))

static inline void stored_config(stored *s, const char *text)
{
    tree_text(s->tree, "config.json", text);
}

static inline bool stored_try(stored *s, const char *words, vs_err *err)
{
    return scenario_try(&s->run, s->tree->root, words, err);
}

static inline const vs_run_result *stored_go(stored *s, const char *words)
{
    scenario_go(&s->run, s->tree->root, words);
    return &s->run.result;
}

/* A request as the allocator rounds it [1.2]. */
static inline vs_bytes stored_rounded(vs_bytes bytes)
{
    return (bytes + 511) / 512 * 512;
}

#endif /* TESTS_SUPPORT_STORED_H */
