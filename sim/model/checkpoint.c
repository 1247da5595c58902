/* checkpoint.c - the safetensors files of a folder: which ones, their headers, and whether the index agrees.
 *
 * Order of preference as in Transformers 5.12.1 modeling_utils.py (_get_resolved_checkpoint_files): model.safetensors,
 * then model.safetensors.index.json. Folders without either are read too when it is plain what is meant. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/model/internal.h"

bool vs_path_probe(const char *path, vs_path_kind *kind, vs_err *err)
{
    struct stat info;
    if (lstat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *kind = VS_PATH_ABSENT;
        return true;
    }
    if (stat(path, &info) == 0) {
        *kind = S_ISDIR(info.st_mode) ? VS_PATH_FOLDER : VS_PATH_FILE;
        return true;
    }
    if (errno == ENOENT) {
        (void)vs_fail(err, VS_ERR_IO,
                      "a link to a file that is not there; is the download complete?");
    } else if (errno == ELOOP) {
        (void)vs_fail(err, VS_ERR_IO, "a loop of links");
    } else if (errno == ENAMETOOLONG) {
        (void)vs_fail(err, VS_ERR_IO, "the path is too long");
    } else {
        (void)vs_fail(err, VS_ERR_IO, "cannot be looked at; check the permissions");
    }
    if (err != NULL) {
        vs_err_at_input(err, path);
    }
    return false;
}

/* ---- which files ----------------------------------------------------------------------------------- */

/* "model-00002-of-00005.safetensors": number and count. */
static bool parse_shard_name(const char *name, uint64_t *number, uint64_t *count)
{
    const char *const of = strstr(name, "-of-");
    if (of == NULL) {
        return false;
    }
    const char *digits = of;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9') {
        digits--;
    }
    const size_t count_bytes = strspn(of + 4, "0123456789");
    return strcmp(of + 4 + count_bytes, ".safetensors") == 0 &&
           vs_parse_u64((vs_str){digits, (size_t)(of - digits)}, number, NULL) &&
           vs_parse_u64((vs_str){of + 4, count_bytes}, count, NULL);
}

static int is_safetensors_entry(const struct dirent *entry)
{
    return vs_str_ends(vs_str_of(entry->d_name), ".safetensors");
}

static int is_shard_entry(const struct dirent *entry)
{
    uint64_t number = 0;
    uint64_t count = 0;
    return parse_shard_name(entry->d_name, &number, &count);
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Names in the folder that filter lets through, sorted. */
static bool list_folder(const char *folder, int (*filter)(const struct dirent *),
                        vs_arena *arena, vs_checkpoint *out, vs_err *err)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, filter, compare_entries);
    if (count < 0) {
        (void)vs_fail(err, VS_ERR_IO, "the folder cannot be read");
        vs_err_at_input(err, folder);
        return false;
    }
    out->file_count = (uint32_t)count;
    out->files = VS_ARRAY(arena, const char *, (size_t)count);
    bool is_ok = out->files != NULL;
    for (int i = 0; i < count; i++) {
        if (is_ok) {
            out->files[i] = vs_str_copy(arena, vs_str_of(entries[i]->d_name));
            is_ok = out->files[i] != NULL;
        }
        free(entries[i]);
    }
    free(entries);
    return is_ok || vs_fail_memory(err, arena, "a list of files");
}

/* Shards by name, without an index: all of 1 .. count must be there (or 0 .. count - 1). */
static bool check_shard_names(const vs_checkpoint *c, vs_err *err)
{
    uint64_t first = 0;
    uint64_t total = 0;
    (void)parse_shard_name(c->files[0], &first, &total);
    for (uint32_t i = 0; i < c->file_count; i++) {
        uint64_t number = 0;
        uint64_t count = 0;
        (void)parse_shard_name(c->files[i], &number, &count);
        if (number != (first == 0 ? i : i + 1u) || count != total) {
            vs_err_at_input(err, c->folder);
            return vs_fail(err, VS_ERR_VALUE,
                           "shard %" PRIu64 " of %" PRIu64 " is missing: found %s and no index",
                           (uint64_t)(first == 0 ? i : i + 1u), total, c->files[i]);
        }
    }
    return c->file_count == total ||
           vs_fail(err, VS_ERR_VALUE,
                   "%" PRIu64 " shards belong to this checkpoint, %" PRIu32 " are here", total,
                   c->file_count);
}

static bool set_one_file(vs_checkpoint *c, vs_arena *arena, const char *name, vs_err *err)
{
    c->files = VS_ARRAY(arena, const char *, 1);
    char *const copy = vs_str_copy(arena, vs_str_of(name));
    if (c->files == NULL || copy == NULL) {
        return vs_fail_memory(err, arena, "a list of files");
    }
    c->files[0] = copy;
    c->file_count = 1;
    return true;
}

/* Neither model.safetensors nor an index. */
static bool find_other_files(vs_checkpoint *c, vs_arena *arena, vs_err *err)
{
    if (!list_folder(c->folder, is_shard_entry, arena, c, err)) {
        return false;
    }
    if (c->file_count > 0) {
        return check_shard_names(c, err);
    }
    if (!list_folder(c->folder, is_safetensors_entry, arena, c, err)) {
        return false;
    }
    return c->file_count <= 1 ||
           vs_fail(err, VS_ERR_VALUE,
                   "%" PRIu32
                   " .safetensors files and no index (%s, %s, ...); give one of them",
                   c->file_count, c->files[0], c->files[1]);
}

bool vs_checkpoint_find(vs_checkpoint *checkpoint, vs_arena *arena, const char *folder,
                        const char *file_name, vs_err *err)
{
    vs_checkpoint c = {.folder = folder};
    vs_path_kind kind = VS_PATH_ABSENT;
    if (file_name != NULL) {
        uint64_t number = 0;
        uint64_t count = 0;
        c.is_partial = parse_shard_name(file_name, &number, &count) && count > 1;
        if (vs_str_ends(vs_str_of(file_name), ".index.json")) {
            c.index_path = vs_arena_printf(arena, "%s/%s", folder, file_name);
            c.is_partial = false;
        } else if (!set_one_file(&c, arena, file_name, err)) {
            return false;
        }
        *checkpoint = c;
        return true;
    }
    const char *const single = vs_arena_printf(arena, "%s/model.safetensors", folder);
    const char *const index = vs_arena_printf(arena, "%s/model.safetensors.index.json", folder);
    if (single == NULL || index == NULL) {
        return vs_fail_memory(err, arena, "a path");
    }
    if (!vs_path_probe(single, &kind, err)) {
        return false;
    }
    if (kind != VS_PATH_ABSENT) {
        if (!set_one_file(&c, arena, "model.safetensors", err)) {
            return false;
        }
    } else if (!vs_path_probe(index, &kind, err)) {
        return false;
    } else if (kind != VS_PATH_ABSENT) {
        c.index_path = index;
    } else if (!find_other_files(&c, arena, err)) {
        if (err != NULL) {
            vs_err_at_input(err, folder);
        }
        return false;
    }
    *checkpoint = c;
    return true;
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static bool read_index(const char *path, vs_st_index *index, vs_arena *arena, vs_err *err)
{
    vs_file file = {0};
    if (!vs_file_open(&file, path, err)) {
        return false;
    }
    const bool is_read =
        vs_st_index_parse(index, arena, file.bytes, file.size_bytes, path, err);
    vs_file_close(&file);
    return is_read;
}

static bool fail_missing_shard(const vs_checkpoint *c, const char *file, const char *path,
                               vs_err *err)
{
    (void)vs_fail(err, VS_ERR_NOT_FOUND, "shard %s is missing%s%s", file,
                  c->index_path == NULL ? "" : "; it is named by ",
                  c->index_path == NULL ? "" : c->index_path);
    if (err != NULL) {
        vs_err_at_input(err, path);
    }
    return false;
}

/* Header of file number i, and what is known of the shard from it. */
static bool read_shard(const vs_checkpoint *c, uint32_t i, vs_st_header *header,
                       vs_shard *shard, vs_arena *arena, vs_err *err)
{
    const char *const path = vs_arena_printf(arena, "%s/%s", c->folder, c->files[i]);
    vs_path_kind kind = VS_PATH_ABSENT;
    if (path == NULL) {
        return vs_fail_memory(err, arena, "a path");
    }
    if (!vs_path_probe(path, &kind, err)) {
        return false;
    }
    if (kind == VS_PATH_ABSENT) {
        return fail_missing_shard(c, c->files[i], path, err);
    }
    if (!vs_safetensors_read(header, arena, path, &shard->file_bytes, err)) {
        return false;
    }
    shard->file = c->files[i];
    shard->size_bytes = header->data_bytes;
    return true;
}

static bool read_headers(const vs_checkpoint *c, vs_stored *stored, vs_arena *arena,
                         vs_err *err)
{
    vs_st_header *const headers = VS_ARRAY(arena, vs_st_header, c->file_count);
    stored->shards = VS_ARRAY(arena, vs_shard, c->file_count);
    if (headers == NULL || stored->shards == NULL) {
        return vs_fail_memory(err, arena, "the shards of a checkpoint");
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (!read_shard(c, i, &headers[i], &stored->shards[i], arena, err)) {
            return false;
        }
        total += headers[i].tensor_count;
    }
    stored->shard_count = c->file_count;
    if (total > UINT32_MAX / 2) {
        return vs_fail(err, VS_ERR_LIMIT, "more than 2^31 tensors");
    }
    stored->tensor_count = (uint32_t)total;
    stored->tensors =
        c->file_count == 1 ? headers[0].tensors : VS_ARRAY(arena, vs_tensor, (size_t)total);
    if (stored->tensors == NULL) {
        return vs_fail_memory(err, arena, "the tensors of a checkpoint");
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < c->file_count; i++) {
        for (uint32_t k = 0; k < headers[i].tensor_count; k++) {
            stored->tensors[at] = headers[i].tensors[k];
            stored->tensors[at++].shard = i;
        }
    }
    return true;
}

/* ---- the index against the headers ---------------------------------------------------------------------- */

static bool check_entry(const vs_st_index *index, const vs_index_entry *entry,
                        const vs_stored *stored, const vs_name_index *names, vs_err *err)
{
    const char *const claimed = index->files[entry->shard];
    const uint32_t found = vs_name_index_find(names, vs_str_of(entry->name));
    if (found == UINT32_MAX) {
        return vs_fail(
            err, VS_ERR_VALUE,
            "tensor \"%s\" should be in %s, but neither it nor another shard holds it",
            entry->name, claimed);
    }
    return stored->tensors[found].shard == entry->shard ||
           vs_fail(err, VS_ERR_VALUE, "tensor \"%s\" should be in %s, but is in %s",
                   entry->name, claimed, index->files[stored->tensors[found].shard]);
}

static bool check_index(const vs_st_index *index, const vs_stored *stored, vs_arena *arena,
                        vs_err *err)
{
    const size_t mark = arena->used_bytes;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&names, arena, stored->tensors, sizeof *stored->tensors,
                             stored->tensor_count, &twice)) {
        return vs_fail_memory(err, arena, "an index of tensor names");
    }
    if (twice != UINT32_MAX) {
        const vs_tensor *const t = &stored->tensors[twice];
        const uint32_t first = vs_name_index_find(&names, vs_str_of(t->name));
        return vs_fail(err, VS_ERR_VALUE, "tensor \"%s\" is in two shards: %s and %s", t->name,
                       index->files[stored->tensors[first].shard], index->files[t->shard]);
    }
    for (uint32_t i = 0; i < index->entry_count; i++) {
        if (!check_entry(index, &index->entries[i], stored, &names, err)) {
            return false;
        }
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static bool note_index(const vs_st_index *index, const vs_stored *stored, vs_model *model,
                       vs_arena *arena, vs_err *err)
{
    vs_bytes bytes = 0;
    for (uint32_t i = 0; i < stored->shard_count; i++) {
        if (!vs_add_u64(bytes, stored->shards[i].size_bytes, &bytes)) {
            return vs_fail(err, VS_ERR_VALUE, "the shards add up to more than 2^64 bytes");
        }
    }
    if (index->has_total_size && index->total_size != bytes &&
        !vs_note(model, arena, err,
                 "the index gives total_size %" PRIu64 ", the headers hold %" PRIu64 " bytes",
                 index->total_size, bytes)) {
        return false;
    }
    return index->entry_count == stored->tensor_count ||
           vs_note(model, arena, err,
                   "the index lists %" PRIu32 " tensors, the headers hold %" PRIu32,
                   index->entry_count, stored->tensor_count);
}

bool vs_checkpoint_read(const vs_checkpoint *checkpoint, vs_stored *stored, vs_model *model,
                        vs_arena *arena, vs_err *err)
{
    vs_checkpoint c = *checkpoint;
    if (c.index_path == NULL) {
        return read_headers(&c, stored, arena, err);
    }
    vs_st_index index = {0};
    if (!read_index(c.index_path, &index, arena, err)) {
        return false;
    }
    c.files = index.files;
    c.file_count = index.file_count;
    if (!read_headers(&c, stored, arena, err)) {
        return false;
    }
    if (!check_index(&index, stored, arena, err)) {
        if (err != NULL) {
            vs_err_at_input(err, c.index_path);
        }
        return false;
    }
    return note_index(&index, stored, model, arena, err);
}
