/* checkpoint_read.c - the headers of a checkpoint's files, and whether the index agrees with them.
 *
 * Headers win. Transformers 5.12.1 takes from an index the names of the files only (utils/hub.py, get_checkpoint_shard_files);
 * which tensor is where, it learns from the files. An index that promises a tensor which is not there, or is
 * elsewhere, was made for other files: an error that names both places. What the index leaves out, and sizes that
 * do not add up, are notes. */
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/torch_bin.h"

typedef struct {
    const vs_checkpoint *c;
    vs_stored *stored;
    uint64_t *shared_elements;
    vs_model *model; /* for notes */
    vs_arena *arena;
    vs_err *err;
} reading;

/* What was read of one file, whichever its format. */
typedef struct {
    vs_tensor *tensors;
    uint32_t tensor_count;
    vs_bytes data_bytes;
    bool is_legacy;
} file_header;

static bool out_of_memory(const reading *r, const char *what)
{
    return vs_fail_memory(r->err, r->arena, what);
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static bool fail_missing_shard(const reading *r, const char *file, const char *path)
{
    (void)vs_fail(r->err, VS_ERR_NOT_FOUND, "shard %s is missing%s%s%s", file,
                  r->c->index_path == NULL ? "" : "; it is named by ",
                  r->c->index_path == NULL ? "" : r->c->index_path,
                  r->c->index_path == NULL ? "" : ": the download is incomplete");
    vs_err_at_input(r->err, path);
    return false;
}

static bool read_torch(const reading *r, const char *path, file_header *header,
                       vs_bytes *file_bytes)
{
    vs_torch_header torch = {0};
    if (!vs_torch_bin_read(&torch, r->arena, path, r->model, file_bytes, r->err)) {
        return false;
    }
    *header =
        (file_header){torch.tensors, torch.tensor_count, torch.data_bytes, torch.is_legacy};
    return vs_add_u64(*r->shared_elements, torch.shared_elements, r->shared_elements) ||
           vs_fail(r->err, VS_ERR_VALUE, "the tensors have more than 2^64 elements");
}

static bool read_safetensors(const reading *r, const char *path, file_header *header,
                             vs_bytes *file_bytes)
{
    vs_st_header st = {0};
    if (!vs_safetensors_read(&st, r->arena, path, file_bytes, r->err)) {
        return false;
    }
    *header = (file_header){st.tensors, st.tensor_count, st.data_bytes, false};
    return true;
}

/* Header of file number i, and what is known of the shard from it. */
static bool read_shard(const reading *r, uint32_t i, file_header *header, vs_shard *shard)
{
    const char *const path = vs_arena_printf(r->arena, "%s/%s", r->c->folder, r->c->files[i]);
    vs_path_kind kind = VS_PATH_ABSENT;
    if (path == NULL) {
        return out_of_memory(r, "a path");
    }
    if (!vs_path_probe(path, &kind, r->err)) {
        return false;
    }
    if (kind == VS_PATH_ABSENT) {
        return fail_missing_shard(r, r->c->files[i], path);
    }
    const bool is_read = r->c->container == VS_CONTAINER_TORCH_BIN
                             ? read_torch(r, path, header, &shard->file_bytes)
                             : read_safetensors(r, path, header, &shard->file_bytes);
    if (!is_read) {
        return false;
    }
    shard->file = r->c->files[i];
    shard->size_bytes = header->data_bytes;
    shard->is_legacy = header->is_legacy;
    return true;
}

static bool read_headers(const reading *r)
{
    const vs_checkpoint *const c = r->c;
    vs_stored *const stored = r->stored;
    file_header *const headers = VS_ARRAY(r->arena, file_header, c->file_count);
    stored->shards = VS_ARRAY(r->arena, vs_shard, c->file_count);
    if (headers == NULL || stored->shards == NULL) {
        return out_of_memory(r, "the shards of a checkpoint");
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (!read_shard(r, i, &headers[i], &stored->shards[i])) {
            return false;
        }
        total += headers[i].tensor_count;
    }
    stored->shard_count = c->file_count;
    if (total > UINT32_MAX / 2) {
        return vs_fail(r->err, VS_ERR_LIMIT, "more than 2^31 tensors");
    }
    stored->tensor_count = (uint32_t)total;
    stored->tensors =
        c->file_count == 1 ? headers[0].tensors : VS_ARRAY(r->arena, vs_tensor, (size_t)total);
    if (stored->tensors == NULL) {
        return out_of_memory(r, "the tensors of a checkpoint");
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

static bool check_entry(const reading *r, const vs_index_entry *entry,
                        const vs_name_index *names)
{
    const vs_st_index *const index = r->c->index;
    const char *const claimed = index->files[entry->shard];
    const uint32_t found = vs_name_index_find(names, vs_str_of(entry->name));
    if (found == UINT32_MAX) {
        return vs_fail(
            r->err, VS_ERR_VALUE,
            "tensor \"%s\" should be in %s, but neither it nor another shard holds it",
            entry->name, claimed);
    }
    const uint32_t shard = r->stored->tensors[found].shard;
    return shard == entry->shard ||
           vs_fail(r->err, VS_ERR_VALUE, "tensor \"%s\" should be in %s, but is in %s",
                   entry->name, claimed, index->files[shard]);
}

static bool check_index(const reading *r)
{
    const size_t mark = r->arena->used_bytes;
    const vs_st_index *const index = r->c->index;
    const vs_stored *const stored = r->stored;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&names, r->arena, stored->tensors, sizeof *stored->tensors,
                             stored->tensor_count, &twice)) {
        return out_of_memory(r, "an index of tensor names");
    }
    if (twice != UINT32_MAX) {
        const vs_tensor *const t = &stored->tensors[twice];
        const uint32_t first = vs_name_index_find(&names, vs_str_of(t->name));
        return vs_fail(r->err, VS_ERR_VALUE, "tensor \"%s\" is in two shards: %s and %s",
                       t->name, index->files[stored->tensors[first].shard],
                       index->files[t->shard]);
    }
    for (uint32_t i = 0; i < index->entry_count; i++) {
        if (!check_entry(r, &index->entries[i], &names)) {
            return false;
        }
    }
    vs_arena_rewind(r->arena, mark);
    return true;
}

/* Tensors of the headers that the index leaves out, the first one with its shard. */
static bool note_extra(const reading *r)
{
    const size_t mark = r->arena->used_bytes;
    const vs_st_index *const index = r->c->index;
    const vs_stored *const stored = r->stored;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    const vs_tensor *first = NULL;
    if (!vs_name_index_build(&names, r->arena, index->entries, sizeof *index->entries,
                             index->entry_count, &twice)) {
        return out_of_memory(r, "an index of tensor names");
    }
    for (uint32_t i = 0; i < stored->tensor_count && first == NULL; i++) {
        const uint32_t found = vs_name_index_find(&names, vs_str_of(stored->tensors[i].name));
        first = found == UINT32_MAX ? &stored->tensors[i] : NULL;
    }
    vs_arena_rewind(r->arena, mark);
    return first == NULL ||
           vs_note(r->model, r->arena, r->err,
                   "the index lists %" PRIu32 " tensors, the headers hold %" PRIu32
                   ": %.160s in %.80s is not in the index",
                   index->entry_count, stored->tensor_count, first->name,
                   index->files[first->shard]);
}

static bool note_index(const reading *r)
{
    const vs_st_index *const index = r->c->index;
    vs_bytes bytes = 0;
    for (uint32_t i = 0; i < r->stored->shard_count; i++) {
        if (!vs_add_u64(bytes, r->stored->shards[i].size_bytes, &bytes)) {
            return vs_fail(r->err, VS_ERR_VALUE, "the shards add up to more than 2^64 bytes");
        }
    }
    if (index->has_total_size && index->total_size != bytes &&
        !vs_note(r->model, r->arena, r->err,
                 "the index gives total_size %" PRIu64 ", the headers hold %" PRIu64 " bytes",
                 index->total_size, bytes)) {
        return false;
    }
    return index->entry_count == r->stored->tensor_count || note_extra(r);
}

bool vs_checkpoint_read(const vs_checkpoint *checkpoint, vs_stored *stored,
                        uint64_t *shared_elements, /* NOLINT(readability-non-const-parameter) */
                        vs_model *model, vs_arena *arena, vs_err *err)
{
    const reading r = {checkpoint, stored, shared_elements, model, arena, err};
    model->container = checkpoint->container;
    if (checkpoint->is_index_only) {
        (void)vs_fail(err, VS_ERR_NOT_FOUND,
                      "none of the %" PRIu32
                      " shards that the index names is here (%s, ...), and "
                      "there is no config.json to tell shapes from: the download is incomplete",
                      checkpoint->file_count, checkpoint->files[0]);
        vs_err_at_input(err, checkpoint->index_path);
        return false;
    }
    if (checkpoint->note != NULL && !vs_note(model, arena, err, "%s", checkpoint->note)) {
        return false;
    }
    if (checkpoint->index == NULL) {
        return read_headers(&r);
    }
    if (!read_headers(&r)) {
        return false;
    }
    if (!check_index(&r)) {
        vs_err_at_input(err, checkpoint->index_path);
        return false;
    }
    return note_index(&r);
}

bool vs_checkpoint_count_shared(const vs_stored *stored, uint64_t shared_elements,
                                vs_model *model, vs_err *err)
{
    vs_bytes bytes = 0;
    for (uint32_t i = 0; i < stored->shard_count; i++) {
        if (!vs_add_u64(bytes, stored->shards[i].size_bytes, &bytes)) {
            return vs_fail(err, VS_ERR_VALUE, "the shards add up to more than 2^64 bytes");
        }
    }
    model->checkpoint_bytes = bytes;
    model->parameters -=
        shared_elements <= model->parameters ? shared_elements : model->parameters;
    return true;
}

/* ---- an index without its files: the config against the index ------------------------------------------------ */

/* Names of a that are not in b: how many, and the first. Both arrays begin with a name. */
typedef struct {
    const void *items;
    size_t stride;
    uint32_t count;
} name_list;

static const char *name_at(const name_list *list, uint32_t i)
{
    const char *name = NULL;
    memcpy(&name, (const unsigned char *)list->items + list->stride * i, sizeof name);
    return name;
}

static bool find_absent(const name_list *a, const name_list *b, const reading *r,
                        uint32_t *count, const char **first)
{
    const size_t mark = r->arena->used_bytes;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&names, r->arena, b->items, b->stride, b->count, &twice)) {
        return out_of_memory(r, "an index of tensor names");
    }
    *count = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const char *const name = name_at(a, i);
        if (vs_name_index_find(&names, vs_str_of(name)) == UINT32_MAX && (*count)++ == 0) {
            *first = name;
        }
    }
    vs_arena_rewind(r->arena, mark);
    return true;
}

/* Names are the same: every tensor is where the index says. */
static bool take_shards(const reading *r)
{
    vs_model *const model = r->model;
    const vs_st_index *const index = r->c->index;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    vs_shard *const shards = VS_ARRAY(r->arena, vs_shard, index->file_count);
    const size_t mark = r->arena->used_bytes;
    if (shards == NULL ||
        !vs_name_index_build(&names, r->arena, index->entries, sizeof *index->entries,
                             index->entry_count, &twice)) {
        return out_of_memory(r, "the shards of a model");
    }
    for (uint32_t i = 0; i < index->file_count; i++) {
        shards[i] = (vs_shard){.file = index->files[i]};
    }
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        vs_tensor *const t = &model->tensors[i];
        t->shard = index->entries[vs_name_index_find(&names, vs_str_of(t->name))].shard;
        shards[t->shard].size_bytes += t->size_bytes; /* their sum is checkpoint_bytes */
    }
    vs_arena_rewind(r->arena, mark);
    model->shards = shards;
    model->shard_count = index->file_count;
    return true;
}

bool vs_checkpoint_compare_config(const vs_checkpoint *checkpoint, vs_model *model,
                                  vs_arena *arena, vs_err *err)
{
    const reading r = {.c = checkpoint, .model = model, .arena = arena, .err = err};
    const vs_st_index *const index = checkpoint->index;
    const name_list listed = {index->entries, sizeof *index->entries, index->entry_count};
    const name_list expected = {model->tensors, sizeof *model->tensors, model->tensor_count};
    uint32_t only_listed = 0;
    uint32_t only_expected = 0;
    const char *first_listed = "";
    const char *first_expected = "";
    model->container = checkpoint->container;
    if (!find_absent(&listed, &expected, &r, &only_listed, &first_listed) ||
        !find_absent(&expected, &listed, &r, &only_expected, &first_expected) ||
        !vs_note(model, arena, err,
                 "none of the %" PRIu32 " shards that the index names is here: shapes are the "
                 "config's",
                 checkpoint->file_count)) {
        return false;
    }
    if (only_listed > 0 && !vs_note(model, arena, err,
                                    "the index lists %" PRIu32
                                    " tensor%s that the config does not lead to: %.160s%s",
                                    only_listed, only_listed == 1 ? "" : "s", first_listed,
                                    only_listed == 1 ? "" : ", ...")) {
        return false;
    }
    if (only_expected > 0 && !vs_note(model, arena, err,
                                      "the config leads to %" PRIu32
                                      " tensor%s that the index does not list: %.160s%s",
                                      only_expected, only_expected == 1 ? "" : "s",
                                      first_expected, only_expected == 1 ? "" : ", ...")) {
        return false;
    }
    if (index->has_total_size && index->total_size != model->checkpoint_bytes &&
        !vs_note(model, arena, err,
                 "the index gives total_size %" PRIu64 ", the config leads to %" PRIu64
                 " bytes",
                 index->total_size, model->checkpoint_bytes)) {
        return false;
    }
    return only_listed > 0 || only_expected > 0 || take_shards(&r);
}
