/* checkpoint.c - the files of a folder that hold the weights.
 *
 * Order of preference as in Transformers 5.12.1 modeling_utils.py (_get_resolved_checkpoint_files): model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json. Folders without any of them are read too
 * when it is plain what is meant. */
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

/* ---- names ---------------------------------------------------------------------------------------- */

static bool ends(const char *name, const char *suffix)
{
    return vs_str_ends(vs_str_of(name), suffix);
}

static bool is_torch_name(const char *name)
{
    return ends(name, ".bin") || ends(name, ".pt") || ends(name, ".pth");
}

/* What the Trainer, Accelerate and other libraries leave beside the weights under the same endings: Transformers 5.12.1
 * trainer.py (TRAINING_ARGS_NAME and the names below it), Accelerate 1.14.0 utils/constants.py, OpenVINO. */
static bool is_no_weights(const char *name)
{
    static const char *const starts[] = {"training_args.", "optimizer",     "scheduler",
                                         "scaler",         "rng_state",     "random_states",
                                         "sampler",        "dl_state_dict", "openvino_",
                                         "adapter_model.", "ggml-"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (vs_str_starts(vs_str_of(name), starts[i])) {
            return true;
        }
    }
    return false;
}

/* Meta's own format: consolidated.00.pth, one file for each GPU of the original setup. */
static bool is_consolidated(const char *name)
{
    return vs_str_starts(vs_str_of(name), "consolidated.") && ends(name, ".pth");
}

/* "model-00002-of-00005.safetensors": number and count. */
static bool parse_shard_name(const char *name, const char *ending, uint64_t *number,
                             uint64_t *count)
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
    return strcmp(of + 4 + count_bytes, ending) == 0 &&
           vs_parse_u64((vs_str){digits, (size_t)(of - digits)}, number, NULL) &&
           vs_parse_u64((vs_str){of + 4, count_bytes}, count, NULL);
}

static bool is_shard(const char *name, const char *ending)
{
    uint64_t number = 0;
    uint64_t count = 0;
    return parse_shard_name(name, ending, &number, &count);
}

/* ---- folders ---------------------------------------------------------------------------------------- */

static int is_safetensors_entry(const struct dirent *entry)
{
    return ends(entry->d_name, ".safetensors") && !is_no_weights(entry->d_name);
}

static int is_safetensors_shard(const struct dirent *entry)
{
    return is_shard(entry->d_name, ".safetensors");
}

static int is_bin_shard(const struct dirent *entry)
{
    return is_shard(entry->d_name, ".bin");
}

static int is_torch_entry(const struct dirent *entry)
{
    return is_torch_name(entry->d_name) && !is_no_weights(entry->d_name);
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
static bool check_shard_names(const vs_checkpoint *c, const char *ending, vs_err *err)
{
    uint64_t first = 0;
    uint64_t total = 0;
    (void)parse_shard_name(c->files[0], ending, &first, &total);
    for (uint32_t i = 0; i < c->file_count; i++) {
        uint64_t number = 0;
        uint64_t count = 0;
        (void)parse_shard_name(c->files[i], ending, &number, &count);
        if (number != (first == 0 ? i : i + 1u) || count != total) {
            vs_err_at_input(err, c->folder);
            return vs_fail(err, VS_ERR_VALUE,
                           "shard %" PRIu64 " of %" PRIu64
                           " is missing: found %s and no index; "
                           "the download is incomplete",
                           (uint64_t)(first == 0 ? i : i + 1u), total, c->files[i]);
        }
    }
    return c->file_count == total ||
           vs_fail(err, VS_ERR_VALUE,
                   "%" PRIu64 " shards belong to this checkpoint, %" PRIu32
                   " are here; the download is incomplete",
                   total, c->file_count);
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

static bool probe_in(const char *folder, const char *name, vs_arena *arena, bool *is_there,
                     vs_err *err)
{
    vs_path_kind kind = VS_PATH_ABSENT;
    const char *const path = vs_arena_printf(arena, "%s/%s", folder, name);
    if (path == NULL) {
        return vs_fail_memory(err, arena, "a path");
    }
    if (!vs_path_probe(path, &kind, err)) {
        return false;
    }
    *is_there = kind != VS_PATH_ABSENT;
    return true;
}

/* ---- adapters ---------------------------------------------------------------------------------------- */

#define ADAPTER_CONFIG "adapter_config.json"

/* The folder's adapter_config.json, as text for a message: kind and base model, in arena. */
static bool read_adapter(const char *folder, vs_arena *arena, const char **base,
                         const char **kind, vs_err *err)
{
    vs_json doc = {0};
    vs_str base_text = vs_str_of("");
    vs_str kind_text = vs_str_of("PEFT");
    const char *const path = vs_arena_printf(arena, "%s/" ADAPTER_CONFIG, folder);
    if (path == NULL) {
        return vs_fail_memory(err, arena, "a path");
    }
    if (!vs_json_read(&doc, path, err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    const bool is_read =
        vs_json_get_str(&root, "base_model_name_or_path", false, &base_text, err) &&
        vs_json_get_str(&root, "peft_type", false, &kind_text, err);
    *base = is_read ? vs_str_copy(arena, base_text) : NULL;
    *kind = is_read ? vs_str_copy(arena, kind_text) : NULL;
    vs_json_close(&doc);
    if (is_read && (*base == NULL || *kind == NULL)) {
        (void)vs_fail_memory(err, arena, "an adapter");
        return false;
    }
    return is_read;
}

/* No weights but an adapter's: that is not a model. */
static bool fail_adapter(const char *folder, vs_arena *arena, vs_err *err)
{
    const char *base = NULL;
    const char *kind = NULL;
    if (!read_adapter(folder, arena, &base, &kind, err)) {
        return false;
    }
    vs_assert(base != NULL && kind != NULL);
    const vs_catalogue_model *const known = vs_catalogue_model_find(vs_str_of(base));
    (void)vs_fail(err, VS_ERR_VALUE,
                  "an adapter (%.20s), not a model: it changes the weights of its base model, "
                  "%.120s; give that one%s%s",
                  kind, base[0] == '\0' ? "which adapter_config.json does not name" : base,
                  known == NULL ? "" : ", in the catalogue as ",
                  known == NULL ? "" : known->name);
    vs_err_at_input(err, folder);
    return false;
}

/* ---- the search -------------------------------------------------------------------------------------- */

static bool read_index(vs_checkpoint *c, vs_arena *arena, const char *name, vs_err *err)
{
    vs_file file = {0};
    c->index_path = vs_arena_printf(arena, "%s/%s", c->folder, name);
    c->index = VS_NEW(arena, vs_st_index);
    if (c->index_path == NULL || c->index == NULL) {
        return vs_fail_memory(err, arena, "a checkpoint index");
    }
    if (!vs_file_open(&file, c->index_path, err)) {
        return false;
    }
    const bool is_read =
        vs_st_index_parse(c->index, arena, file.bytes, file.size_bytes, c->index_path, err);
    vs_file_close(&file);
    if (!is_read) {
        return false;
    }
    c->files = c->index->files;
    c->file_count = c->index->file_count;
    c->is_index_only = c->file_count > 0;
    const size_t mark = arena->used_bytes;
    for (uint32_t i = 0; i < c->file_count && c->is_index_only; i++) {
        bool is_there = false;
        if (!probe_in(c->folder, c->files[i], arena, &is_there, err)) {
            return false;
        }
        c->is_index_only = !is_there;
    }
    vs_arena_rewind(arena, mark);
    return true;
}

/* Files of torch.save under other names. */
static bool find_torch_files(vs_checkpoint *c, vs_arena *arena, vs_err *err)
{
    c->container = VS_CONTAINER_TORCH_BIN;
    if (!list_folder(c->folder, is_bin_shard, arena, c, err)) {
        return false;
    }
    if (c->file_count > 0) {
        return check_shard_names(c, ".bin", err);
    }
    if (!list_folder(c->folder, is_torch_entry, arena, c, err)) {
        return false;
    }
    if (c->file_count > 1 && is_consolidated(c->files[0])) {
        return vs_fail(err, VS_ERR_VALUE,
                       "%" PRIu32
                       " consolidated.*.pth files are slices of one model for as many "
                       "GPUs; convert them with Transformers' convert_llama_weights_to_hf.py",
                       c->file_count);
    }
    if (c->file_count > 1) {
        return vs_fail(err, VS_ERR_VALUE,
                       "%" PRIu32
                       " .bin, .pt or .pth files and no index (%s, %s, ...); give one "
                       "of them",
                       c->file_count, c->files[0], c->files[1]);
    }
    if (c->file_count == 1) {
        c->note =
            is_consolidated(c->files[0])
                ? "Meta's own format: Transformers reads it only after "
                  "convert_llama_weights_to_hf.py"
                : "Transformers would look for model.safetensors or pytorch_model.bin, not "
                  "for a file of this name";
    }
    return true;
}

/* None of the names that Transformers knows. */
static bool find_other_files(vs_checkpoint *c, vs_arena *arena, vs_err *err)
{
    if (!list_folder(c->folder, is_safetensors_shard, arena, c, err)) {
        return false;
    }
    if (c->file_count > 0) {
        return check_shard_names(c, ".safetensors", err);
    }
    if (!list_folder(c->folder, is_safetensors_entry, arena, c, err)) {
        return false;
    }
    if (c->file_count > 1) {
        return vs_fail(err, VS_ERR_VALUE,
                       "%" PRIu32
                       " .safetensors files and no index (%s, %s, ...); give one of them",
                       c->file_count, c->files[0], c->files[1]);
    }
    return c->file_count == 1 || find_torch_files(c, arena, err);
}

typedef struct {
    const char *name;
    bool is_index;
    vs_container container;
} known_file;

static const known_file known_files[] = {
    {"model.safetensors", false, VS_CONTAINER_SAFETENSORS},
    {"model.safetensors.index.json", true, VS_CONTAINER_SAFETENSORS},
    {"pytorch_model.bin", false, VS_CONTAINER_TORCH_BIN},
    {"pytorch_model.bin.index.json", true, VS_CONTAINER_TORCH_BIN},
};

static bool find_in_folder(vs_checkpoint *c, vs_arena *arena, vs_err *err)
{
    for (size_t i = 0; i < sizeof known_files / sizeof known_files[0]; i++) {
        const known_file *const known = &known_files[i];
        bool is_there = false;
        if (!probe_in(c->folder, known->name, arena, &is_there, err)) {
            return false;
        }
        if (is_there) {
            c->container = known->container;
            return known->is_index ? read_index(c, arena, known->name, err)
                                   : set_one_file(c, arena, known->name, err);
        }
    }
    return find_other_files(c, arena, err);
}

/* One file that was asked for by name. */
static bool find_file(vs_checkpoint *c, vs_arena *arena, const char *name, vs_err *err)
{
    uint64_t number = 0;
    uint64_t count = 0;
    if (ends(name, ".index.json")) {
        c->container =
            ends(name, ".bin.index.json") ? VS_CONTAINER_TORCH_BIN : VS_CONTAINER_SAFETENSORS;
        return read_index(c, arena, name, err);
    }
    c->container = is_torch_name(name) ? VS_CONTAINER_TORCH_BIN : VS_CONTAINER_SAFETENSORS;
    if (c->container == VS_CONTAINER_TORCH_BIN && is_no_weights(name) &&
        !vs_str_starts(vs_str_of(name), "adapter_model.")) {
        return vs_fail(err, VS_ERR_VALUE, "%s does not hold the weights of a model", name);
    }
    c->is_partial = (parse_shard_name(name, ".safetensors", &number, &count) ||
                     parse_shard_name(name, ".bin", &number, &count)) &&
                    count > 1;
    return set_one_file(c, arena, name, err);
}

bool vs_checkpoint_find(vs_checkpoint *checkpoint, vs_arena *arena, const char *folder,
                        const char *file_name, vs_err *err)
{
    vs_checkpoint c = {.folder = folder};
    bool has_adapter = false;
    const bool is_found = file_name != NULL ? find_file(&c, arena, file_name, err)
                                            : find_in_folder(&c, arena, err);
    if (!is_found) {
        vs_err_at_input(err, folder);
        return false;
    }
    if (!probe_in(folder, ADAPTER_CONFIG, arena, &has_adapter, err)) {
        return false;
    }
    const bool is_adapter_file =
        file_name != NULL && vs_str_starts(vs_str_of(file_name), "adapter_model.");
    if (has_adapter && (c.file_count == 0 || is_adapter_file)) {
        return fail_adapter(folder, arena, err);
    }
    if (has_adapter && file_name == NULL && c.note == NULL) {
        c.note = "an adapter lies beside the weights (" ADAPTER_CONFIG
                 "): with peft installed Transformers loads it too; it is not counted here";
    }
    *checkpoint = c;
    return true;
}
