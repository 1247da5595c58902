/* tests/support/written.h - a folder to write checkpoints into, and models made by hand to write.
 *
 * As fixture: WITH_WRITTEN(test) and `written *w = *state;` in the test. Whatever is in the folder at the end is
 * removed with it. */
#ifndef TESTS_SUPPORT_WRITTEN_H
#define TESTS_SUPPORT_WRITTEN_H

#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    vs_arena arena;
    vs_err err;
    char root[64];
    char path_buffer[4][320]; /* of the last calls of written_path */
    unsigned path_count;
    char line[1024]; /* of the error */
} written;

static inline int written_open(void **state)
{
    written *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return 1;
    }
    (void)snprintf(w->root, sizeof w->root, "/tmp/vramscope-test-XXXXXX");
    *state = w;
    return mkdtemp(w->root) != NULL && vs_arena_open(&w->arena, 2 * VS_GIB, NULL) ? 0 : 1;
}

/* The file or folder with everything in it; at most eight folders deep. */
static inline void written_remove(const char *path, unsigned depth)
{
    DIR *const folder = depth < 8 ? opendir(path) : NULL;
    char inner[512];
    if (folder != NULL) {
        for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
                snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) < (int)sizeof inner) {
                written_remove(inner, depth + 1);
            }
        }
        (void)closedir(folder);
    }
    (void)remove(path);
}

static inline int written_close(void **state)
{
    written *w = *state;
    written_remove(w->root, 0);
    vs_arena_close(&w->arena);
    free(w);
    return 0;
}

#define WITH_WRITTEN(test) cmocka_unit_test_setup_teardown(test, written_open, written_close)

/* root/name; good for four calls. */
static inline const char *written_path(written *w, const char *name)
{
    char *const path = w->path_buffer[w->path_count++ % 4];
    const int n = snprintf(path, sizeof w->path_buffer[0], "%s/%s", w->root, name);
    assert_true(n > 0 && (size_t)n < sizeof w->path_buffer[0]);
    return path;
}

static inline bool written_exists(written *w, const char *name)
{
    return access(written_path(w, name), F_OK) == 0;
}

/* Entries of a folder below the root, without "." and "..". */
static inline unsigned written_count(written *w, const char *name)
{
    DIR *const folder = opendir(written_path(w, name));
    unsigned count = 0;
    assert_non_null(folder);
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    (void)closedir(folder);
    return count;
}

/* The first bytes of a file, terminated; *size_bytes the whole file's. In the arena. */
static inline char *written_text(written *w, const char *name, uint64_t *size_bytes)
{
    vs_file file = {0};
    assert_true(vs_file_open_head(&file, written_path(w, name), VS_MIB, size_bytes, &w->err));
    char *const text =
        vs_str_copy(&w->arena, (vs_str){(const char *)file.bytes, (size_t)file.size_bytes});
    assert_non_null(text);
    vs_file_close(&file);
    return text;
}

static inline void written_put(written *w, const char *name, const char *bytes, size_t count)
{
    FILE *const out = fopen(written_path(w, name), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

static inline const char *written_error(written *w)
{
    return vs_err_line(&w->err, w->line, sizeof w->line);
}

static inline void written_says(written *w, const char *what)
{
    if (strstr(written_error(w), what) == NULL) {
        print_error("\"%s\" does not say \"%s\"\n", written_error(w), what);
        fail();
    }
}

static inline void written_fail(written *w)
{
    print_error("%s\n", written_error(w));
    fail();
}

/* "NAME DTYPE DIM,DIM SHARD" ("-" is a scalar) as tensors that no target wants, in the arena. */
static inline vs_model written_model(written *w, const char *const *lines, uint32_t count)
{
    vs_model m = {.name = "made", .config_text = "", .model_type = "", .source = "safetensors"};
    m.tensors = VS_ARRAY(&w->arena, vs_tensor, count);
    assert_non_null(m.tensors);
    for (uint32_t i = 0; i < count; i++) {
        char name[128];
        char dtype[16];
        char shape[64];
        char shard[12];
        vs_tensor *const t = &m.tensors[i];
        *t = (vs_tensor){.target = VS_NO_TARGET, .elements = 1};
        assert_int_equal(sscanf(lines[i], "%127s %15s %63s %11s", name, dtype, shape, shard),
                         4);
        t->shard = (uint32_t)strtoul(shard, NULL, 10);
        t->name = vs_str_copy(&w->arena, vs_str_of(name));
        t->dtype = vs_dtype_find(vs_str_of(dtype));
        for (char *at = shape; *at != '-' && *at != '\0'; at += *at == ',') {
            t->shape[t->dim_count] = strtoull(at, &at, 10);
            t->elements *= t->shape[t->dim_count++];
        }
        assert_non_null(t->name);
        assert_true(vs_dtype_bytes(t->dtype, t->elements, &t->size_bytes));
        m.checkpoint_bytes += t->size_bytes;
        m.shard_count = t->shard >= m.shard_count ? t->shard + 1 : m.shard_count;
    }
    m.tensor_count = count;
    return m;
}

#define WRITTEN_MODEL(w, lines)                                                                \
    written_model((w), (lines), (uint32_t)(sizeof(lines) / sizeof((lines)[0])))

#endif /* TESTS_SUPPORT_WRITTEN_H */
