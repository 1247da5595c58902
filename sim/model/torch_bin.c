/* torch_bin.c - which format a file has, and from pickled tensors to vs_tensors. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/torch_bin.h"

/* Notes of one kind that are spelled out; the rest is counted. */
#define SPELLED_OUT 3u

bool vs_torch_out_of_memory(const vs_torch_reading *r, const vs_arena *arena)
{
    return vs_fail_memory(r->err, arena, "reading a torch checkpoint");
}

bool vs_torch_note(const vs_torch_reading *r, const char *format, ...)
{
    char text[400];
    if (r->model == NULL) {
        return true;
    }
    const char *const slash = strrchr(r->input_name, '/');
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return vs_note(r->model, r->arena, r->err, "%.80s: %s",
                   slash == NULL ? r->input_name : slash + 1, text);
}

/* ---- storages ------------------------------------------------------------------------------------------- */

bool vs_torch_key_words(vs_str key, uint64_t words[3])
{
    uint8_t bytes[24] = {0};
    if (key.len > VS_STORAGE_KEY_MAX) {
        return false;
    }
    if (key.len > 0) {
        memcpy(bytes, key.ptr, key.len);
    }
    bytes[23] = (uint8_t)key.len; /* keeps "a" and "a\0" apart */
    for (size_t w = 0; w < 3; w++) {
        words[w] = 0;
        for (size_t i = 0; i < 8; i++) {
            words[w] = words[w] << 8 | bytes[8 * w + i];
        }
    }
    return true;
}

/* One more mention of a storage: torch lets them differ in type, not in bytes, unless there are none. */
static bool join_group(vs_torch_group *group, const vs_pickle_storage *mention,
                       const vs_torch_reading *r)
{
    if (group->size_bytes == mention->size_bytes || mention->size_bytes == 0) {
        return true;
    }
    if (group->size_bytes == 0) {
        group->size_bytes = mention->size_bytes;
        return true;
    }
    return vs_fail(r->err, VS_ERR_VALUE,
                   "storage \"%.*s\" has %" PRIu64
                   " bytes in one place of the pickle and %" PRIu64 " in another",
                   (int)mention->key.len, mention->key.ptr, group->size_bytes,
                   mention->size_bytes);
}

bool vs_torch_group_storages(vs_torch_groups *groups, const vs_pickle_result *pickle,
                             const vs_torch_reading *r)
{
    const uint32_t count = pickle->storage_count;
    vs_sort_key *const keys = VS_ARRAY(r->scratch, vs_sort_key, count);
    groups->groups = VS_ARRAY(r->scratch, vs_torch_group, count);
    groups->group_of = VS_ARRAY(r->scratch, uint32_t, count);
    if (keys == NULL || groups->groups == NULL || groups->group_of == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i].index = i;
        (void)vs_torch_key_words(pickle->storages[i]->key, keys[i].word);
    }
    if (!vs_sort_keys(keys, count, NULL, r->scratch)) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    for (uint32_t i = 0; i < count; i++) {
        const vs_pickle_storage *const s = pickle->storages[keys[i].index];
        vs_torch_group *group =
            groups->group_count == 0 ? NULL : &groups->groups[groups->group_count - 1];
        if (group == NULL || memcmp(group->words, keys[i].word, sizeof group->words) != 0) {
            group = &groups->groups[groups->group_count++];
            *group = (vs_torch_group){.first = s, .size_bytes = s->size_bytes};
            memcpy(group->words, keys[i].word, sizeof group->words);
        } else if (!join_group(group, s, r)) {
            return false;
        }
        groups->group_of[keys[i].index] = groups->group_count - 1;
    }
    return true;
}

/* ---- tensors ----------------------------------------------------------------------------------------------- */

static bool check_reach(const vs_torch_named *named, const vs_torch_group *group,
                        const vs_torch_reading *r)
{
    const vs_pickle_tensor *const t = named->tensor;
    if (t->elements == 0 || t->end_byte <= group->size_bytes) {
        return true;
    }
    return vs_fail(r->err, VS_ERR_VALUE,
                   "tensor \"%s\" needs %" PRIu64
                   " bytes of storage \"%.*s\", which has %" PRIu64,
                   named->name, t->end_byte, (int)group->first->key.len, group->first->key.ptr,
                   group->size_bytes);
}

static void fill_tensor(vs_tensor *to, vs_torch_view *view, const vs_torch_named *named,
                        const vs_torch_group *group)
{
    const vs_pickle_tensor *const t = named->tensor;
    *to = (vs_tensor){
        .name = named->name,
        .dim_count = t->dim_count,
        .dtype = t->dtype,
        .elements = t->elements,
        .size_bytes = t->size_bytes,
        .target = VS_NO_TARGET,
        .file_offset = group->file_offset + t->first_byte,
    };
    memcpy(to->shape, t->shape, sizeof to->shape);
    if (t->dtype == VS_DT_F4 && t->dim_count > 0) {
        /* torch counts pairs, safetensors elements; size_bytes is below 2^63 */
        to->shape[t->dim_count - 1] *= 2;
        to->elements *= 2;
    }
    *view = (vs_torch_view){.first_byte = t->first_byte, .is_contiguous = t->is_contiguous};
    memcpy(view->stride, t->stride, sizeof view->stride);
}

/* Numbers the storages that are used and fills the tensors in. */
static bool fill_tensors(vs_torch_header *header, const vs_torch_table *table,
                         const vs_torch_groups *groups, const vs_torch_reading *r)
{
    uint32_t *const number = VS_ARRAY(r->scratch, uint32_t, groups->group_count);
    if (number == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    for (uint32_t g = 0; g < groups->group_count; g++) {
        const vs_torch_group *const group = &groups->groups[g];
        if (!group->is_used) {
            continue;
        }
        number[g] = header->storage_count;
        const char *const key = vs_str_copy(r->arena, group->first->key);
        if (key == NULL) {
            return vs_torch_out_of_memory(r, r->arena);
        }
        header->storages[header->storage_count++] =
            (vs_torch_storage){key, group->size_bytes, group->file_offset};
        if (!vs_add_u64(header->data_bytes, group->size_bytes, &header->data_bytes)) {
            return vs_fail(r->err, VS_ERR_VALUE, "the storages have more than 2^64 bytes");
        }
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const uint32_t g = groups->group_of[table->items[i].tensor->storage->mention];
        fill_tensor(&header->tensors[i], &header->views[i], &table->items[i],
                    &groups->groups[g]);
        header->views[i].storage = number[g];
    }
    return true;
}

/* ---- bytes that several tensors share ------------------------------------------------------------------------- */

typedef struct {
    vs_torch_header *header;
    const vs_torch_table *table;
    const vs_torch_reading *r;
    uint32_t cover; /* the tensor that reaches furthest in this storage so far */
    uint64_t cover_end;
    uint64_t reached_bytes; /* of all storages, once */
    uint32_t shared_count;
    uint32_t strided_count;
    const char *first_strided;
} share_walk;

static bool visit_tensor(share_walk *w, uint32_t i, bool is_new_storage)
{
    const vs_pickle_tensor *const t = w->table->items[i].tensor;
    w->cover_end = is_new_storage ? 0 : w->cover_end;
    if (t->elements == 0) {
        return true;
    }
    if (!t->is_contiguous && w->strided_count++ == 0) {
        w->first_strided = w->table->items[i].name;
    }
    const uint64_t start = t->first_byte > w->cover_end ? t->first_byte : w->cover_end;
    const uint64_t fresh = t->end_byte > start ? t->end_byte - start : 0;
    const uint64_t shared = t->end_byte - t->first_byte - fresh;
    w->reached_bytes += fresh; /* inside storages, whose sum was checked */
    if (shared > 0) {
        const uint64_t width = t->size_bytes / t->elements;
        const uint64_t elements = shared / width < t->elements ? shared / width : t->elements;
        w->header->views[i].is_shared = true;
        w->header->shared_elements += elements * (t->dtype == VS_DT_F4 ? 2 : 1);
        if (w->shared_count++ < SPELLED_OUT &&
            !vs_torch_note(w->r, "%.100s shares %" PRIu64 " bytes with %.100s; counted once",
                           w->table->items[i].name, shared, w->table->items[w->cover].name)) {
            return false;
        }
    }
    if (t->end_byte > w->cover_end) {
        w->cover_end = t->end_byte;
        w->cover = i;
    }
    return true;
}

static bool note_shares(const share_walk *w)
{
    const uint64_t idle = w->header->data_bytes - w->reached_bytes;
    if (w->shared_count > SPELLED_OUT &&
        !vs_torch_note(w->r, "%" PRIu32 " more tensors share bytes with others",
                       w->shared_count - SPELLED_OUT)) {
        return false;
    }
    if (w->strided_count > 0 &&
        !vs_torch_note(w->r, "%" PRIu32 " tensor%s not contiguous: %.200s%s", w->strided_count,
                       w->strided_count == 1 ? " is" : "s are", w->first_strided,
                       w->strided_count == 1 ? "" : ", ...")) {
        return false;
    }
    return idle == 0 ||
           vs_torch_note(w->r, "%" PRIu64 " bytes of the storages belong to no tensor", idle);
}

static bool find_shares(vs_torch_header *header, const vs_torch_table *table,
                        const vs_torch_reading *r)
{
    vs_sort_key *const keys = VS_ARRAY(r->scratch, vs_sort_key, table->count);
    share_walk w = {.header = header, .table = table, .r = r};
    if (keys == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const vs_pickle_tensor *const t = table->items[i].tensor;
        keys[i] = (vs_sort_key){{header->views[i].storage, t->first_byte, ~t->end_byte}, i};
    }
    if (!vs_sort_keys(keys, table->count, NULL, r->scratch)) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const bool is_new = i == 0 || keys[i].word[0] != keys[i - 1].word[0];
        if (!visit_tensor(&w, keys[i].index, is_new)) {
            return false;
        }
    }
    return note_shares(&w);
}

static bool check_names(const vs_torch_header *header, const vs_torch_reading *r)
{
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&names, r->scratch, header->tensors, sizeof *header->tensors,
                             header->tensor_count, &twice)) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    return twice == UINT32_MAX || vs_fail(r->err, VS_ERR_VALUE, "tensor \"%s\" stands twice",
                                          header->tensors[twice].name);
}

bool vs_torch_finish(vs_torch_header *header, const vs_torch_table *table,
                     const vs_torch_groups *groups, const vs_torch_reading *r)
{
    vs_torch_header made = *header;
    made.tensor_count = table->count;
    made.tensors = VS_ARRAY(r->arena, vs_tensor, table->count);
    made.views = VS_ARRAY(r->arena, vs_torch_view, table->count);
    made.storages = VS_ARRAY(r->arena, vs_torch_storage, groups->group_count);
    if (made.tensors == NULL || made.views == NULL || made.storages == NULL) {
        return vs_torch_out_of_memory(r, r->arena);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const uint32_t g = groups->group_of[table->items[i].tensor->storage->mention];
        if (!check_reach(&table->items[i], &groups->groups[g], r)) {
            return false;
        }
    }
    if (!fill_tensors(&made, table, groups, r) || !check_names(&made, r) ||
        !find_shares(&made, table, r)) {
        return false;
    }
    *header = made;
    return true;
}

/* ---- formats --------------------------------------------------------------------------------------------------- */

#define HEAD_BYTES 512u

/* POSIX tar: the magic of the first header. */
static bool is_tar(const uint8_t *head, size_t head_bytes)
{
    return head_bytes > 262 && memcmp(head + 257, "ustar", 5) == 0;
}

/* What a file that is neither format may be, by its first bytes. */
static bool fail_other(const uint8_t *head, size_t head_bytes, const vs_torch_reading *r)
{
    const vs_str text = {(const char *)head, head_bytes};
    const char *what = "not a file of torch.save: expected a zip archive or a pickle of "
                       "protocol 2 to 5";
    if (head_bytes == 0) {
        what = "an empty file; is the download complete?";
    } else if (vs_str_starts(text, "version https://git-lfs")) {
        what = "a Git LFS pointer in place of the file; fetch it with `git lfs pull`";
    } else if (vs_str_starts(text, "GGUF")) {
        what = "a GGUF file; rename it to .gguf";
    } else if (vs_str_starts(text, "lmgg") || vs_str_starts(text, "fmgg") ||
               vs_str_starts(text, "tjgg")) {
        what = "a GGML file of before GGUF; convert it with llama.cpp's "
               "convert_llama_ggml_to_gguf.py";
    } else if (vs_str_starts(text, "PK\003\004")) {
        what = "a zip archive without its end; is the download complete?";
    } else if (is_tar(head, head_bytes)) {
        what = "the tar format of PyTorch before 0.1.10; load it with a PyTorch you trust it "
               "with (weights_only=False) and save the state_dict again, best as safetensors";
    } else if (head_bytes > 9 && head[8] == '{') {
        what = "it looks like a safetensors file; rename it to .safetensors";
    } else if (vs_str_starts(text, "<!") || vs_str_starts(text, "<html")) {
        what = "a web page in place of the file; download it again";
    }
    return vs_fail(r->err, VS_ERR_FORMAT, "%s", what);
}

static bool parse(vs_torch_header *header, const vs_byte_source *source,
                  const vs_torch_reading *r)
{
    uint8_t head[HEAD_BYTES] = {0};
    const size_t head_bytes =
        source->size_bytes < HEAD_BYTES ? (size_t)source->size_bytes : HEAD_BYTES;
    bool is_zip = false;
    if (!vs_byte_source_read(source, 0, head_bytes, head, r->err)) {
        return false;
    }
    /* A pickle is recognised first: weights at the end of an old file could look like the end of a zip. */
    if (head_bytes >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5) {
        return vs_torch_read_legacy(header, source, r);
    }
    if (!is_tar(head, head_bytes) && !vs_zip_detect(source, r->scratch, &is_zip, r->err)) {
        return false;
    }
    return is_zip ? vs_torch_read_zip(header, source, r) : fail_other(head, head_bytes, r);
}

bool vs_torch_bin_parse(vs_torch_header *header, const vs_byte_source *source,
                        const vs_torch_reading *reading)
{
    vs_err local = {0};
    vs_torch_header made = {0};
    vs_torch_reading r = *reading;
    r.err = &local;
    if (!parse(&made, source, &r)) {
        vs_err_at_input(&local, r.input_name);
        if (reading->err != NULL && reading->err->code == VS_OK) {
            *reading->err = local;
        }
        return false;
    }
    *header = made;
    return true;
}

/* Addresses that are reserved at most; a hostile pickle beyond ends in an error about memory. */
#define SCRATCH_BYTES_MAX ((size_t)32 << 30)

size_t vs_torch_bin_scratch_bytes(uint64_t size_bytes)
{
    const size_t per_byte = VS_PICKLE_SCRATCH_FACTOR + 16; /* and the directory of a zip */
    const size_t most = SCRATCH_BYTES_MAX - (size_t)VS_MIB;
    return (size_t)VS_MIB +
           (size_bytes < most / per_byte ? per_byte * (size_t)size_bytes : most);
}

bool vs_torch_bin_read(vs_torch_header *header, vs_arena *arena, const char *path,
                       vs_model *model, vs_bytes *file_bytes, vs_err *err)
{
    vs_byte_source source = {0};
    vs_arena scratch = {0};
    if (!vs_byte_source_open(&source, path, err)) {
        return false;
    }
    bool is_read = vs_arena_open(&scratch, vs_torch_bin_scratch_bytes(source.size_bytes), err);
    if (is_read) {
        const vs_torch_reading reading = {arena, &scratch, model, path, err};
        *file_bytes = source.size_bytes;
        is_read = vs_torch_bin_parse(header, &source, &reading);
    }
    vs_arena_close(&scratch);
    vs_byte_source_close(&source);
    return is_read;
}
