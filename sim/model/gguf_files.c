/* gguf_files.c - the files of a GGUF model: one, or the parts of a split, mapped and parsed.
 *
 * gguf-split of llama.cpp names the parts NAME-00002-of-00005.gguf (llama.cpp src/llama-model-loader.cpp,
 * llama_split_path) and numbers them in their metadata: split.no, split.count, split.tensors.count (gguf-py 0.19.0
 * constants.py, class Split). The first one has the metadata of the model. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/gguf.h"

/* No more parts than this: five digits in the name; DeepSeek-V3 in F16 has about 30. */
#define PARTS_MAX 4096u

/* ---- names --------------------------------------------------------------------------------- */

typedef struct {
    size_t stem_bytes; /* up to "-00002-of-" */
    uint32_t number, count;
} part_name;

/* "NAME-00002-of-00005.gguf" */
static bool parse_part_name(const char *name, part_name *out)
{
    static const char tail[] = "-00000-of-00000.gguf";
    const size_t tail_bytes = sizeof tail - 1;
    const size_t name_bytes = strlen(name);
    uint64_t number = 0;
    uint64_t count = 0;
    if (name_bytes <= tail_bytes) {
        return false;
    }
    const char *const at = name + name_bytes - tail_bytes;
    for (size_t i = 0; i < tail_bytes; i++) {
        const bool is_right = tail[i] == '0' ? at[i] >= '0' && at[i] <= '9' : at[i] == tail[i];
        if (!is_right) {
            return false;
        }
    }
    if (!vs_parse_u64((vs_str){at + 1, 5}, &number, NULL) ||
        !vs_parse_u64((vs_str){at + 10, 5}, &count, NULL)) {
        return false;
    }
    *out = (part_name){(size_t)(at - name), (uint32_t)number, (uint32_t)count};
    return number >= 1 && number <= count;
}

static int is_gguf_entry(const struct dirent *entry)
{
    const vs_str name = vs_str_of(entry->d_name);
    return vs_str_ends(name, ".gguf") && !vs_str_starts(name, "mmproj") &&
           !vs_str_starts(name, "imatrix") && entry->d_name[0] != '.';
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* b is another part of the split a belongs to. */
static bool is_same_split(const char *a, const char *b)
{
    part_name one = {0};
    part_name two = {0};
    return parse_part_name(a, &one) && parse_part_name(b, &two) &&
           one.stem_bytes == two.stem_bytes && one.count == two.count &&
           memcmp(a, b, one.stem_bytes) == 0;
}

bool vs_gguf_find_in(const char *folder, vs_arena *arena, const char **name, vs_err *err)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_gguf_entry, compare_entries);
    const char *second = NULL;
    *name = NULL;
    bool is_ok = true;
    for (int i = 0; i < count; i++) {
        const char *const entry = entries[i]->d_name;
        if (*name == NULL) {
            *name = vs_str_copy(arena, vs_str_of(entry));
            is_ok = *name != NULL || vs_fail_memory(err, arena, "the name of a file");
        } else if (second == NULL && !is_same_split(*name, entry)) {
            second = entry;
        }
    }
    if (is_ok && second != NULL) {
        is_ok = vs_fail(err, VS_ERR_VALUE,
                        "several GGUF models are in this folder (%.100s, %.100s%s); give one "
                        "of the files",
                        *name, second, count > 2 ? ", ..." : "");
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    return is_ok;
}

/* ---- many files as one ------------------------------------------------------------------------- */

/* The value of a "split." key; absent: fallback. */
static bool read_split(const vs_gguf *file, const char *key, uint64_t fallback, uint64_t *out,
                       vs_err *err)
{
    const vs_gguf_entry *const entry = vs_gguf_find(file, key);
    *out = fallback;
    return entry == NULL || vs_gguf_u64(file, entry, 0, out) ||
           vs_gguf_fail(file, entry, err, "expected a whole number");
}

static bool fail_split(const vs_gguf *file, vs_err *err, const char *what, uint64_t found,
                       uint64_t expected)
{
    if (err != NULL && err->code == VS_OK) {
        (void)vs_fail(err, VS_ERR_VALUE,
                      "%s is %" PRIu64 ", expected %" PRIu64
                      "; are these files of one and the same split?",
                      what, found, expected);
        vs_err_at_input(err, file->input_name);
    }
    return false;
}

static bool check_split(const vs_gguf *files, uint32_t count, uint64_t tensors, vs_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;
        uint64_t parts = 0;
        uint64_t all = 0;
        if (!read_split(&files[i], "split.no", i, &number, err) ||
            !read_split(&files[i], "split.count", count, &parts, err) ||
            !read_split(&files[i], "split.tensors.count", tensors, &all, err)) {
            return false;
        }
        /* gguf-split writes 0 for a model that is not split */
        if (parts != count && !(parts == 0 && count == 1)) {
            return fail_split(&files[i], err, "split.count", parts, count);
        }
        if (number != i) {
            return fail_split(&files[i], err, "split.no", number, i);
        }
        if (all != tensors && parts != 0) {
            return fail_split(&files[i], err, "split.tensors.count", all, tensors);
        }
    }
    return true;
}

bool vs_gguf_set_make(vs_gguf_set *set, vs_arena *arena, const vs_gguf *files, vs_shard *shards,
                      uint32_t count, vs_err *err)
{
    uint64_t total = 0;
    uint32_t twice = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        total += files[i].tensor_count;
    }
    if (!check_split(files, count, total, err)) {
        return false;
    }
    if (total > VS_GGUF_TENSORS_MAX) {
        return vs_fail(err, VS_ERR_LIMIT,
                       "%" PRIu64 " tensors in all files, more than the %" PRIu32
                       " that are accepted",
                       total, VS_GGUF_TENSORS_MAX);
    }
    vs_tensor *const tensors = VS_ARRAY(arena, vs_tensor, (size_t)total);
    if (tensors == NULL) {
        return vs_fail_memory(err, arena, "the tensors of a checkpoint");
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < files[i].tensor_count; k++) {
            tensors[at] = files[i].tensors[k];
            tensors[at++].shard = i;
        }
    }
    set->files = files;
    set->stored = (vs_stored){tensors, at, shards, count};
    if (!vs_name_index_build(&set->names, arena, tensors, sizeof *tensors, at, &twice)) {
        return vs_fail_memory(err, arena, "an index of tensor names");
    }
    if (twice != UINT32_MAX) {
        const uint32_t first = vs_name_index_find(&set->names, vs_str_of(tensors[twice].name));
        return vs_fail(err, VS_ERR_VALUE, "tensor \"%s\" is in two files: %s and %s",
                       tensors[twice].name, shards[tensors[first].shard].file,
                       shards[tensors[twice].shard].file);
    }
    return true;
}

bool vs_gguf_has(const vs_gguf_set *set, const char *name)
{
    return vs_name_index_find(&set->names, vs_str_of(name)) != UINT32_MAX;
}

/* ---- opening --------------------------------------------------------------------------------------- */

typedef struct {
    const char *folder;
    const char *file_name; /* the one that was named */
    part_name part;        /* count 0: not split */
    uint32_t count;
    vs_shard *shards;
    vs_file *maps;
    vs_gguf *files;
    vs_arena *arena;
    vs_err *err;
} opening;

static bool fail_missing(opening *o, const char *path)
{
    (void)vs_fail(o->err, VS_ERR_NOT_FOUND,
                  "this file is missing; %s is one of the %" PRIu32
                  " files of a split, and all of them are needed",
                  o->file_name, o->part.count);
    if (o->err != NULL) {
        vs_err_at_input(o->err, path);
    }
    return false;
}

static bool open_one(opening *o, uint32_t i)
{
    const char *const name =
        o->part.count == 0
            ? vs_str_copy(o->arena, vs_str_of(o->file_name))
            : vs_arena_printf(o->arena, "%.*s-%05" PRIu32 "-of-%05" PRIu32 ".gguf",
                              (int)o->part.stem_bytes, o->file_name, i + 1, o->part.count);
    const char *const path = name == NULL || strcmp(o->folder, ".") == 0
                                 ? name
                                 : vs_arena_printf(o->arena, "%s/%s", o->folder, name);
    vs_path_kind kind = VS_PATH_ABSENT;
    vs_shard *const shard = &o->shards[i];
    if (path == NULL) {
        return vs_fail_memory(o->err, o->arena, "a path");
    }
    if (!vs_path_probe(path, &kind, o->err)) {
        return false;
    }
    if (kind == VS_PATH_ABSENT && o->part.count != 0) {
        return fail_missing(o, path);
    }
    if (!vs_file_open_head(&o->maps[i], path, VS_GGUF_HEAD_MAX, &shard->file_bytes, o->err) ||
        !vs_gguf_parse(&o->files[i], o->arena, o->maps[i].bytes, o->maps[i].size_bytes,
                       shard->file_bytes, path, o->err)) {
        return false;
    }
    shard->file = name;
    shard->size_bytes = o->files[i].data_bytes;
    return true;
}

static bool open_all(opening *o, vs_model *model)
{
    vs_gguf_set set = {0};
    for (uint32_t i = 0; i < o->count; i++) {
        if (!open_one(o, i)) {
            return false;
        }
    }
    return vs_gguf_set_make(&set, o->arena, o->files, o->shards, o->count, o->err) &&
           vs_gguf_build(model, o->arena, &set, o->err);
}

bool vs_gguf_open(vs_model *model, vs_arena *arena, const char *folder, const char *file_name,
                  vs_err *err)
{
    opening o = {.folder = folder, .file_name = file_name, .arena = arena, .err = err};
    o.count = parse_part_name(file_name, &o.part) ? o.part.count : 1;
    if (o.count > PARTS_MAX) {
        return vs_fail(err, VS_ERR_LIMIT, "a split of more than %u files", PARTS_MAX);
    }
    o.shards = VS_ARRAY(arena, vs_shard, o.count);
    o.maps = VS_ARRAY(arena, vs_file, o.count);
    o.files = VS_ARRAY(arena, vs_gguf, o.count);
    if (o.shards == NULL || o.maps == NULL || o.files == NULL) {
        return vs_fail_memory(err, arena, "the files of a model");
    }
    const bool is_open = open_all(&o, model);
    for (uint32_t i = 0; i < o.count; i++) {
        if (o.maps[i].bytes != NULL) {
            vs_file_close(&o.maps[i]);
        }
    }
    return is_open;
}
