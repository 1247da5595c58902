/* open.c - MODEL of the command line: a catalogue name, a folder, a hub cache folder or a file.
 *
 * A catalogue name without a slash wins over a file of that name (write ./name for the file); then whatever exists;
 * then hub names of the catalogue. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/gguf.h"
#include "sim/model/internal.h"

typedef struct {
    vs_model model;
    vs_arena *arena;
    vs_err *err;
} opening;

static bool out_of_memory(opening *o)
{
    return vs_fail_memory(o->err, o->arena, "opening a model");
}

/* ---- names ------------------------------------------------------------------------------------------ */

/* Length of path without slashes at its end. */
static size_t trimmed_length(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

static vs_str last_part(const char *path)
{
    const size_t len = trimmed_length(path);
    size_t start = len;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    return (vs_str){path + start, len - start};
}

/* "models--org--name" -> "org/name". */
static const char *hub_name(vs_arena *arena, vs_str folder)
{
    char *const name = vs_str_copy(arena, (vs_str){folder.ptr + 8, folder.len - 8});
    if (name == NULL) {
        return NULL;
    }
    char *const dashes = strstr(name, "--");
    if (dashes != NULL) {
        dashes[0] = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    return name;
}

/* A folder's name; snapshots of a hub cache are called after the repository. */
static const char *folder_name(vs_arena *arena, const char *folder)
{
    const char *const snapshots = strstr(folder, "/snapshots/");
    if (snapshots != NULL) {
        size_t start = (size_t)(snapshots - folder);
        while (start > 0 && folder[start - 1] != '/') {
            start--;
        }
        const vs_str repo = {folder + start, (size_t)(snapshots - folder) - start};
        if (vs_str_starts(repo, "models--")) {
            return hub_name(arena, repo);
        }
    }
    return vs_str_copy(arena, last_part(folder));
}

/* The folder's name, or the file's without its ending where the folder is only "." or "..". */
static const char *display_name(vs_arena *arena, const char *folder, const char *file_name)
{
    const vs_str last = last_part(folder);
    if (file_name == NULL ||
        !(vs_str_is(last, ".") || vs_str_is(last, "..") || last.len == 0)) {
        return folder_name(arena, folder);
    }
    return vs_str_copy(arena, (vs_str){file_name, strcspn(file_name, ".")});
}

/* ---- a folder with or without config, with or without weights ------------------------------------------- */

/* A config without weights. One that is a published model's brings what is known of that checkpoint. */
static bool build_config_only(opening *o, const vs_jnode *config)
{
    vs_json doc = {0};
    vs_jnode checkpoint = {0};
    const char *const known = vs_catalogue_recognise(config, &doc, &checkpoint);
    o->model.source = "config";
    const bool is_built =
        vs_build_from_config(&o->model, o->arena, config, &checkpoint, o->err) &&
        (known == NULL || vs_note(&o->model, o->arena, o->err,
                                  "the config is %s's: the tensors are those of its published "
                                  "checkpoint",
                                  known));
    vs_json_close(&doc);
    return is_built;
}

/* Headers with a config beside them. */
static bool bind_config(opening *o, const vs_jnode *config, const vs_checkpoint *c,
                        vs_stored *stored)
{
    if (!vs_build_names(&o->model, o->arena, config, o->err)) {
        return false;
    }
    const char *const type = o->model.model_type;
    const char *why = NULL;
    if (c->is_partial) {
        why = "one shard of several";
    } else if (!vs_layout_is_known(config)) {
        why = "its quant_method is not known";
    } else if (vs_family_find(vs_str_of(type)) == NULL) {
        why = vs_arena_printf(o->arena, "model_type \"%.60s\" is not known", type);
    } else {
        return vs_build_expected(&o->model, o->arena, config, NULL, o->err) &&
               vs_bind_stored(&o->model, o->arena, stored, o->err);
    }
    return why == NULL ? out_of_memory(o)
                       : vs_model_by_name(&o->model, o->arena, stored, why, o->err);
}

static bool build_from_files(opening *o, const vs_jnode *config, const vs_checkpoint *c)
{
    vs_stored stored = {0};
    uint64_t shared = 0;
    if (c->file_count == 0 && c->index_path == NULL) {
        return build_config_only(o, config);
    }
    if (c->is_index_only && config != NULL) {
        return build_config_only(o, config) &&
               vs_checkpoint_compare_config(c, &o->model, o->arena, o->err);
    }
    o->model.source = c->container == VS_CONTAINER_TORCH_BIN ? "pytorch bin" : "safetensors";
    if (!vs_checkpoint_read(c, &stored, &shared, &o->model, o->arena, o->err)) {
        return false;
    }
    const bool is_built = config != NULL ? bind_config(o, config, c, &stored)
                                         : vs_model_by_name(&o->model, o->arena, &stored,
                                                            "no config.json", o->err);
    return is_built && (c->container != VS_CONTAINER_TORCH_BIN ||
                        vs_checkpoint_count_shared(&stored, shared, &o->model, o->err));
}

static bool open_gguf(opening *o, const char *folder, const char *file_name)
{
    o->model.name =
        vs_str_copy(o->arena, (vs_str){file_name, strlen(file_name) - strlen(".gguf")});
    return o->model.name == NULL ? out_of_memory(o)
                                 : vs_gguf_open(&o->model, o->arena, folder, file_name, o->err);
}

/* A folder without weights of the usual kinds: *is_open tells whether there is a GGUF model in it. */
static bool open_gguf_in(opening *o, const char *folder, bool *is_open)
{
    const char *file_name = NULL;
    if (!vs_gguf_find_in(folder, o->arena, &file_name, o->err)) {
        return false;
    }
    *is_open = file_name != NULL;
    return file_name == NULL || vs_gguf_open(&o->model, o->arena, folder, file_name, o->err);
}

static int is_hub_folder(const struct dirent *entry)
{
    return strncmp(entry->d_name, "models--", strlen("models--")) == 0;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A folder that is no model: people give the cache of the Hub itself. */
static bool fail_no_model(opening *o, const char *folder)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_hub_folder, compare_entries);
    if (count > 0) {
        (void)vs_fail(o->err, VS_ERR_NOT_FOUND,
                      "the cache of the Hub with %d model%s; give one of them: %s/%.120s",
                      count, count == 1 ? "" : "s", folder, entries[0]->d_name);
    } else {
        (void)vs_fail(
            o->err, VS_ERR_NOT_FOUND,
            "the folder holds neither config.json nor .safetensors, .bin or .gguf files");
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    return false;
}

/* file_name: a safetensors file or an index in the folder, NULL: whatever is there. */
static bool open_folder(opening *o, const char *folder, const char *file_name)
{
    vs_checkpoint c = {0};
    vs_path_kind kind = VS_PATH_ABSENT;
    const char *const config_path = vs_arena_printf(o->arena, "%s/config.json", folder);
    o->model.name = display_name(o->arena, folder, file_name);
    if (config_path == NULL || o->model.name == NULL) {
        return out_of_memory(o);
    }
    if (!vs_checkpoint_find(&c, o->arena, folder, file_name, o->err) ||
        !vs_path_probe(config_path, &kind, o->err)) {
        return false;
    }
    if (c.file_count == 0 && c.index_path == NULL) {
        bool is_gguf = false;
        if (!open_gguf_in(o, folder, &is_gguf)) {
            return false; /* also where a file was found and is no good */
        }
        if (is_gguf) {
            return true;
        }
    }
    if (kind != VS_PATH_ABSENT) {
        vs_json doc = {0};
        if (!vs_json_read(&doc, config_path, o->err)) {
            return false;
        }
        const vs_jnode root = vs_json_root(&doc);
        const bool is_built = build_from_files(o, &root, &c);
        vs_json_close(&doc);
        return is_built;
    }
    if (c.file_count == 0 && c.index_path == NULL) {
        return fail_no_model(o, folder);
    }
    return build_from_files(o, NULL, &c);
}

/* ---- hub cache ------------------------------------------------------------------------------------------- */

static int is_visible_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Without refs/main: the only snapshot. */
static bool find_only_snapshot(opening *o, const char *folder, const char **out)
{
    struct dirent **entries = NULL;
    const char *const snapshots = vs_arena_printf(o->arena, "%s/snapshots", folder);
    if (snapshots == NULL) {
        return out_of_memory(o);
    }
    const int count = scandir(snapshots, &entries, is_visible_entry, compare_entries);
    const char *path = NULL;
    if (count == 1) {
        path = vs_arena_printf(o->arena, "%s/%s", snapshots, entries[0]->d_name);
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    if (count != 1) {
        (void)vs_fail(
            o->err, VS_ERR_NOT_FOUND,
            count > 1 ? "no refs/main and %d snapshots; give one of the folders in snapshots/"
                      : "no refs/main and no snapshot (%d); is the download complete?",
            count > 0 ? count : 0);
        return false;
    }
    *out = path;
    return path != NULL || out_of_memory(o);
}

static bool read_ref(opening *o, const char *path, const char *folder, const char **out)
{
    vs_file file = {0};
    if (!vs_file_open(&file, path, o->err)) {
        return false;
    }
    vs_str ref = {(const char *)file.bytes, (size_t)file.size_bytes};
    while (ref.len > 0 && (ref.ptr[ref.len - 1] == '\n' || ref.ptr[ref.len - 1] == '\r' ||
                           ref.ptr[ref.len - 1] == ' ')) {
        ref.len--;
    }
    bool is_plain = ref.len > 0 && ref.len <= 128;
    for (size_t i = 0; i < ref.len && is_plain; i++) {
        const char c = ref.ptr[i];
        is_plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    }
    *out = is_plain
               ? vs_arena_printf(o->arena, "%s/snapshots/%.*s", folder, (int)ref.len, ref.ptr)
               : NULL;
    vs_file_close(&file);
    if (!is_plain) {
        (void)vs_fail(o->err, VS_ERR_FORMAT, "expected the hash of a snapshot");
        if (o->err != NULL) {
            vs_err_at_input(o->err, path);
        }
        return false;
    }
    return *out != NULL || out_of_memory(o);
}

static bool open_hub_folder(opening *o, const char *folder)
{
    vs_path_kind kind = VS_PATH_ABSENT;
    const char *snapshot = NULL;
    const char *const ref = vs_arena_printf(o->arena, "%s/refs/main", folder);
    if (ref == NULL) {
        return out_of_memory(o);
    }
    if (!vs_path_probe(ref, &kind, o->err) ||
        !(kind == VS_PATH_FILE ? read_ref(o, ref, folder, &snapshot)
                               : find_only_snapshot(o, folder, &snapshot)) ||
        !vs_path_probe(snapshot, &kind, o->err)) {
        return false;
    }
    if (kind != VS_PATH_FOLDER) {
        (void)vs_fail(o->err, VS_ERR_NOT_FOUND,
                      "refs/main names this snapshot, but there is no such folder");
        if (o->err != NULL) {
            vs_err_at_input(o->err, snapshot);
        }
        return false;
    }
    return open_folder(o, snapshot, NULL);
}

static bool open_any_folder(opening *o, const char *spec)
{
    const char *const folder = vs_str_copy(o->arena, (vs_str){spec, trimmed_length(spec)});
    if (folder == NULL) {
        return out_of_memory(o);
    }
    vs_path_kind kind = VS_PATH_ABSENT;
    if (vs_str_starts(last_part(folder), "models--")) {
        const char *const snapshots = vs_arena_printf(o->arena, "%s/snapshots", folder);
        if (snapshots == NULL) {
            return out_of_memory(o);
        }
        if (!vs_path_probe(snapshots, &kind, o->err)) {
            return false;
        }
        if (kind == VS_PATH_FOLDER) {
            return open_hub_folder(o, folder);
        }
    }
    return open_folder(o, folder, NULL);
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static bool open_config_file(opening *o, const char *path, const char *folder)
{
    vs_json doc = {0};
    o->model.source = "config";
    o->model.name = display_name(o->arena, folder, last_part(path).ptr);
    if (o->model.name == NULL) {
        return out_of_memory(o);
    }
    if (!vs_json_read(&doc, path, o->err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    const bool is_built = build_config_only(o, &root);
    vs_json_close(&doc);
    return is_built;
}

static bool open_file(opening *o, const char *spec)
{
    const vs_str name = last_part(spec);
    const size_t folder_bytes = (size_t)(name.ptr - spec);
    const char *const folder =
        folder_bytes == 0
            ? "."
            : vs_str_copy(o->arena, (vs_str){spec, folder_bytes > 1 ? folder_bytes - 1 : 1});
    if (folder == NULL) {
        return out_of_memory(o);
    }
    if (vs_str_ends(name, ".safetensors") || vs_str_ends(name, ".safetensors.index.json") ||
        vs_str_ends(name, ".bin") || vs_str_ends(name, ".pt") || vs_str_ends(name, ".pth") ||
        vs_str_ends(name, ".bin.index.json")) {
        return open_folder(o, folder, name.ptr);
    }
    if (vs_str_ends(name, ".json")) {
        return open_config_file(o, spec, folder);
    }
    if (vs_str_ends(name, ".gguf")) {
        return open_gguf(o, folder, name.ptr);
    }
    return vs_fail(o->err, VS_ERR_VALUE,
                   "expected a folder, a config.json, a .safetensors, .bin, .pt, .pth or .gguf "
                   "file, or a .safetensors.index.json or .bin.index.json");
}

/* ---- catalogue ------------------------------------------------------------------------------------------------ */

static bool open_catalogue(opening *o, const vs_catalogue_model *entry)
{
    vs_json doc = {0};
    const vs_str text = vs_catalogue_model_text(entry);
    if (!vs_json_parse(&doc, text.ptr, text.len, entry->name, o->err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode config = vs_json_member(&root, "config");
    const vs_jnode checkpoint = vs_json_member(&root, "checkpoint");
    o->model.name = entry->name;
    o->model.source = "catalogue";
    const bool is_built =
        vs_build_from_config(&o->model, o->arena, &config, &checkpoint, o->err);
    vs_json_close(&doc);
    return is_built;
}

/* Names and hub names that a suggestion is chosen from. */
#define NAMES_MAX ((size_t)128)

static bool fail_unknown(opening *o, const char *spec)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < vs_catalogue_model_count() && count + 1 < NAMES_MAX; i++) {
        names[count++] = vs_catalogue_model_at(i)->name;
        names[count++] = vs_catalogue_model_at(i)->hub;
    }
    const char *const near = vs_nearest(vs_str_of(spec), names, count);
    return vs_fail(
        o->err, VS_ERR_NOT_FOUND,
        "no model of this name, and no such file or folder; %s%s%s`vramscope list models` "
        "shows the catalogue",
        near == NULL ? "" : "the nearest name is ", near == NULL ? "" : near,
        near == NULL ? "" : "; ");
}

static bool open_spec(opening *o, const char *spec)
{
    const vs_catalogue_model *const entry = vs_catalogue_model_find(vs_str_of(spec));
    vs_path_kind kind = VS_PATH_ABSENT;
    if (spec[0] == '\0') {
        return vs_fail(o->err, VS_ERR_VALUE, "the name of a model is empty");
    }
    if (entry != NULL && strchr(spec, '/') == NULL) {
        return open_catalogue(o, entry);
    }
    if (!vs_path_probe(spec, &kind, o->err)) {
        return false;
    }
    switch (kind) {
    case VS_PATH_FOLDER: return open_any_folder(o, spec);
    case VS_PATH_FILE: return open_file(o, spec);
    case VS_PATH_ABSENT: break;
    }
    return entry != NULL ? open_catalogue(o, entry) : fail_unknown(o, spec);
}

bool vs_model_open(vs_model *model, vs_arena *arena, const char *spec, vs_err *err)
{
    vs_err local = {0};
    opening o = {
        .model = {.name = "",
                  .model_type = "",
                  .architecture = "",
                  .no_split_class = "",
                  .source = "",
                  .config_dtype = VS_DT_COUNT},
        .arena = arena,
        .err = &local,
    };
    if (!open_spec(&o, spec)) {
        vs_err_at_input(&local, spec);
        if (err != NULL && err->code == VS_OK) {
            *err = local;
        }
        return false;
    }
    *model = o.model;
    return true;
}
