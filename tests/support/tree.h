/* tests/support/tree.h - a folder of small files for tests that open checkpoints.
 *
 * As fixture: cmocka_unit_test_setup_teardown(test, tree_open, tree_close) and
 * `tree *t = *state;` in the test. Everything made through it is removed at the end. */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_PATHS_MAX  64
#define TREE_PATH_BYTES 256

typedef struct {
    vs_arena arena;
    vs_err err;
    char line[1024]; /* of the error */
    vs_model model;
    char root[TREE_PATH_BYTES];
    char paths[TREE_PATHS_MAX][TREE_PATH_BYTES];
    bool is_folder[TREE_PATHS_MAX];
    size_t count;
} tree;

static inline int tree_open(void **state)
{
    tree *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return 1;
    }
    (void)snprintf(t->root, sizeof t->root, "/tmp/vramscope-test-XXXXXX");
    *state = t;
    return mkdtemp(t->root) != NULL && vs_arena_open(&t->arena, 64 * VS_MIB, NULL) ? 0 : 1;
}

static inline int tree_close(void **state)
{
    tree *t = *state;
    for (size_t i = t->count; i > 0; i--) {
        (void)(t->is_folder[i - 1] ? rmdir(t->paths[i - 1]) : unlink(t->paths[i - 1]));
    }
    (void)rmdir(t->root);
    vs_arena_close(&t->arena);
    free(t);
    return 0;
}

/* The path of a name below the root; remembered when it is going to be made. */
static inline const char *tree_add(tree *t, const char *name, bool is_folder)
{
    assert_true(t->count < TREE_PATHS_MAX);
    char *const path = t->paths[t->count];
    const int n = snprintf(path, TREE_PATH_BYTES, "%s/%s", t->root, name);
    assert_true(n > 0 && n < TREE_PATH_BYTES);
    t->is_folder[t->count++] = is_folder;
    return path;
}

static inline void tree_folder(tree *t, const char *name)
{
    assert_int_equal(mkdir(tree_add(t, name, true), 0700), 0);
}

static inline void tree_link(tree *t, const char *name, const char *to)
{
    assert_int_equal(symlink(to, tree_add(t, name, false)), 0);
}

static inline void tree_text(tree *t, const char *name, const char *text)
{
    FILE *const out = fopen(tree_add(t, name, false), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
}

/* A safetensors file: length, header, and data_bytes that are a hole on disk. */
static inline void tree_safetensors(tree *t, const char *name, const char *json,
                                    uint64_t data_bytes)
{
    const char *const path = tree_add(t, name, false);
    const uint64_t json_bytes = strlen(json);
    FILE *const out = fopen(path, "wb");
    assert_non_null(out);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(fputc((int)(json_bytes >> (8 * i) & 0xff), out) != EOF);
    }
    assert_int_equal(fwrite(json, 1, json_bytes, out), json_bytes);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(truncate(path, (off_t)(8 + json_bytes + data_bytes)), 0);
}

/* The header of tensors [from, to) of a model; *data_bytes their bytes. In t->arena. */
static inline const char *tree_header(tree *t, const vs_model *m, uint32_t from, uint32_t to,
                                      uint64_t *data_bytes)
{
    const size_t room = 64 + (size_t)(to - from) * 400;
    char *const text = vs_arena_alloc(&t->arena, room, 1);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, room, "{\"__metadata__\":{\"format\":\"pt\"}");
    *data_bytes = 0;
    for (uint32_t i = from; i < to; i++) {
        const vs_tensor *const s = &m->tensors[i];
        used +=
            (size_t)snprintf(text + used, room - used, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                             s->name, vs_dtype_name(s->dtype));
        for (uint32_t d = 0; d < s->dim_count; d++) {
            used += (size_t)snprintf(text + used, room - used, "%s%" PRIu64, d == 0 ? "" : ",",
                                     s->shape[d]);
        }
        used += (size_t)snprintf(text + used, room - used,
                                 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *data_bytes,
                                 *data_bytes + s->size_bytes);
        *data_bytes += s->size_bytes;
    }
    (void)snprintf(text + used, room - used, "}");
    return text;
}

/* Opens root/name ("" for the root itself). */
static inline bool tree_try(tree *t, const char *name)
{
    char path[2 * TREE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s%s%s", t->root, name[0] == '\0' ? "" : "/", name);
    t->err = (vs_err){0};
    t->model = (vs_model){0};
    return vs_model_open(&t->model, &t->arena, path, &t->err);
}

static inline const char *tree_error(tree *t)
{
    return vs_err_line(&t->err, t->line, sizeof t->line);
}

static inline void opens(tree *t, const char *name)
{
    if (!tree_try(t, name)) {
        print_error("%s\n", tree_error(t));
        fail();
    }
}

/* Fails to open, and the one line names `what`. */
static inline void refused(tree *t, const char *name, const char *what)
{
    assert_false(tree_try(t, name));
    if (strstr(tree_error(t), what) == NULL) {
        print_error("\"%s\" does not name \"%s\"\n", tree_error(t), what);
        fail();
    }
}

#endif /* TESTS_SUPPORT_TREE_H */
