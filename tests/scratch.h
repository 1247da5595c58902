/* tests/scratch.h - what most tests of readers need: an arena, and a directory for a few small files.
 *
 * Include it after cmocka.h. As fixture: cmocka_unit_test_setup_teardown(test, scratch_open,
 * scratch_close), and `scratch *s = *state;` in the test. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include "vramscope/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRATCH_FILES_MAX 8

typedef struct {
    vs_arena arena;
    char dir[64];
    char paths[SCRATCH_FILES_MAX][128];
    size_t file_count;
} scratch;

static inline int scratch_open(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return 1;
    }
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/vramscope-test-XXXXXX");
    *state = s;
    return mkdtemp(s->dir) != NULL && vs_arena_open(&s->arena, 32 * VS_MIB, NULL) ? 0 : 1;
}

static inline int scratch_close(void **state)
{
    scratch *s = *state;
    for (size_t i = 0; i < s->file_count; i++) {
        (void)unlink(s->paths[i]);
    }
    (void)rmdir(s->dir);
    vs_arena_close(&s->arena);
    free(s);
    return 0;
}

/* The path of a file of that name; removed at the end whether written or not. */
static inline const char *scratch_path(scratch *s, const char *name)
{
    char path[128] = {0};
    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    for (size_t i = 0; i < s->file_count; i++) {
        if (strcmp(s->paths[i], path) == 0) {
            return s->paths[i];
        }
    }
    assert_true(s->file_count < SCRATCH_FILES_MAX);
    memcpy(s->paths[s->file_count], path, sizeof path);
    return s->paths[s->file_count++];
}

/* Writes (over) the file and returns its path. */
static inline const char *scratch_write(scratch *s, const char *name, const char *text)
{
    const char *path = scratch_path(s, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
    return path;
}

/* The error in one line, and a failed test. */
static inline void scratch_fail(const vs_err *err)
{
    char line[1024] = {0};
    fail_msg("%s", vs_err_line(err, line, sizeof line));
}

/* The error is one line that says so. */
static inline void assert_error_says(const vs_err *err, const char *says)
{
    char line[1024] = {0};
    (void)vs_err_line(err, line, sizeof line);
    if (strstr(line, says) == NULL || strchr(line, '\n') != NULL) {
        fail_msg("\"%s\" is not in: %s", says, line);
    }
}

#endif /* TESTS_SCRATCH_H */
