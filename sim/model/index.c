/* index.c - model.safetensors.index.json: which tensor is in which shard.
 *
 * {"metadata": {"total_size": N, ...}, "weight_map": {"tensor": "file", ...}}, as save_pretrained writes it. Tensor names
 * listed twice and shard names that leave the folder are refused. Files come out sorted by name, so that the
 * number of a shard does not depend on the order of the map. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/json_scan.h"

typedef struct {
    vs_scan scan;
    vs_strtab files;
    vs_st_index *index;
    uint32_t capacity;
} index_reader;

/* metadata.total_size; other members, and numbers that are not whole, are skipped. */
static bool read_metadata(index_reader *r)
{
    vs_scan *const s = &r->scan;
    if (vs_scan_peek(s) != '{') {
        return vs_scan_skip(s);
    }
    s->pos++;
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    while (!is_last) {
        vs_str key = {NULL, 0};
        if (!vs_scan_string(s, &key, "a member name") || !vs_scan_take(s, ':', "':'")) {
            return false;
        }
        (void)vs_scan_peek(s);
        const uint64_t start = s->pos;
        if (!vs_scan_skip(s)) {
            return false;
        }
        const vs_str value = {(const char *)s->text + start, (size_t)(s->pos - start)};
        if (vs_str_is(key, "total_size") && vs_parse_u64(value, &r->index->total_size, NULL)) {
            r->index->has_total_size = true;
        }
        if (!vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    return true;
}

static bool is_plain_file_name(vs_str name)
{
    return name.len > 0 && memchr(name.ptr, '/', name.len) == NULL && !vs_str_is(name, "..") &&
           !vs_str_is(name, ".");
}

static bool read_pair(index_reader *r)
{
    vs_scan *const s = &r->scan;
    vs_str tensor = {NULL, 0};
    vs_str file = {NULL, 0};
    if (!vs_scan_string(s, &tensor, "a tensor name") || !vs_scan_take(s, ':', "':'")) {
        return false;
    }
    (void)vs_scan_peek(s);
    const uint64_t pos = s->pos;
    const size_t mark = s->arena->used_bytes;
    if (!vs_scan_string(s, &file, "the name of a shard file")) {
        return false;
    }
    if (!is_plain_file_name(file)) {
        return vs_scan_fail(s, pos, VS_ERR_VALUE,
                            "tensor \"%s\": \"%s\" is not a plain file name beside the index",
                            tensor.ptr, file.ptr);
    }
    uint32_t id = vs_strtab_find(&r->files, file);
    if (id == UINT32_MAX) {
        id = vs_strtab_add(&r->files, file);
    } else {
        vs_arena_rewind(s->arena, mark);
    }
    if (id == UINT32_MAX) {
        s->has_failed = true;
        return vs_fail_memory(s->err, s->arena, "shard names");
    }
    if (r->index->entry_count == r->capacity) {
        return vs_scan_fail(s, pos, VS_ERR_INTERNAL, "more entries than quotes");
    }
    r->index->entries[r->index->entry_count++] = (vs_index_entry){tensor.ptr, id - 1};
    return true;
}

static bool read_weight_map(index_reader *r)
{
    vs_scan *const s = &r->scan;
    if (!vs_scan_take(s, '{', "'{' (weight_map)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    while (!is_last) {
        if (!read_pair(r) || !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    return true;
}

static bool read_top(index_reader *r)
{
    vs_scan *const s = &r->scan;
    bool has_map = false;
    if (!vs_scan_take(s, '{', "'{' (an index is a JSON object)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    while (!is_last) {
        vs_str key = {NULL, 0};
        (void)vs_scan_peek(s);
        const uint64_t pos = s->pos;
        if (!vs_scan_string(s, &key, "a member name") || !vs_scan_take(s, ':', "':'")) {
            return false;
        }
        const bool is_map = vs_str_is(key, "weight_map");
        if (is_map && has_map) {
            return vs_scan_fail(s, pos, VS_ERR_FORMAT, "\"weight_map\" stands twice");
        }
        has_map = has_map || is_map;
        const bool is_read = is_map                       ? read_weight_map(r)
                             : vs_str_is(key, "metadata") ? read_metadata(r)
                                                          : vs_scan_skip(s);
        if (!is_read || !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    if (!vs_scan_end(s)) {
        return false;
    }
    return has_map ||
           vs_scan_fail(s, s->pos, VS_ERR_FORMAT, "no \"weight_map\"; not an index?");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the file names and renumbers the entries. */
static bool sort_files(index_reader *r)
{
    vs_st_index *const index = r->index;
    vs_arena *const arena = r->scan.arena;
    index->file_count = r->files.count - 1; /* id 0 is "" */
    index->files = VS_ARRAY(arena, const char *, index->file_count);
    if (index->files == NULL) {
        return false;
    }
    if (index->file_count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < index->file_count; i++) {
        index->files[i] = vs_strtab_get(&r->files, i + 1);
    }
    qsort(index->files, index->file_count, sizeof *index->files, compare_names);
    const size_t mark = arena->used_bytes;
    uint32_t *const place = VS_ARRAY(arena, uint32_t, index->file_count);
    if (place == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index->file_count; i++) {
        place[vs_strtab_find(&r->files, vs_str_of(index->files[i])) - 1] = i;
    }
    for (uint32_t i = 0; i < index->entry_count; i++) {
        index->entries[i].shard = place[index->entries[i].shard];
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static bool check_twice(const vs_st_index *index, vs_arena *arena, vs_err *err)
{
    const size_t mark = arena->used_bytes;
    vs_name_index names = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&names, arena, index->entries, sizeof *index->entries,
                             index->entry_count, &twice)) {
        return vs_fail_memory(err, arena, "an index of tensor names");
    }
    if (twice != UINT32_MAX) {
        const vs_index_entry *const second = &index->entries[twice];
        const uint32_t first = vs_name_index_find(&names, vs_str_of(second->name));
        return vs_fail(err, VS_ERR_FORMAT, "tensor \"%s\" is listed twice: in %s and in %s",
                       second->name, index->files[index->entries[first].shard],
                       index->files[second->shard]);
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static bool parse(vs_st_index *out, vs_arena *arena, vs_str text, vs_err *err)
{
    vs_st_index index = {0};
    const uint64_t quotes = vs_scan_count(text.ptr, text.len, '"');
    index_reader r = {
        .scan = {(const uint8_t *)text.ptr, text.len, 0, 0, arena, err, false},
        .index = &index,
        .capacity = quotes / 4 + 1 < UINT32_MAX ? (uint32_t)(quotes / 4) + 1 : UINT32_MAX,
    };
    index.entries = VS_ARRAY(arena, vs_index_entry, r.capacity);
    if (index.entries == NULL || !vs_strtab_init(&r.files, arena, 16)) {
        return vs_fail_memory(err, arena, "a checkpoint index");
    }
    if (!read_top(&r)) {
        return false;
    }
    if (!sort_files(&r)) {
        return vs_fail_memory(err, arena, "the shards of an index");
    }
    if (!check_twice(&index, arena, err)) {
        return false;
    }
    *out = index;
    return true;
}

bool vs_st_index_parse(vs_st_index *index, vs_arena *arena, const void *text,
                       uint64_t text_bytes, const char *input_name, vs_err *err)
{
    vs_err local = {0};
    if (!parse(index, arena, (vs_str){text, (size_t)text_bytes}, &local)) {
        vs_err_at_input(&local, input_name);
        if (err != NULL && err->code == VS_OK) {
            *err = local;
        }
        return false;
    }
    return true;
}
