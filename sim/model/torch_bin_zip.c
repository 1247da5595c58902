/* torch_bin_zip.c - the zip archive that torch.save writes since PyTorch 1.6.
 *
 * ARCHIVE/data.pkl is the pickle, ARCHIVE/data/KEY the bytes of storage KEY, stored as they are and aligned; ARCHIVE is the first
 * part of the first name (pytorch/pytorch caffe2/serialize/inline_container.cc, PyTorchStreamReader::init). Further records:
 * byteorder, .format_version, .storage_alignment, version, .data/serialization_id (torch/serialization.py, _save). */
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/torch_bin.h"

#define RECORD_BYTES_MAX  16u
#define ALIGNMENT_DEFAULT 64u
#define ALIGNMENT_MAX     (UINT64_C(1) << 20)

typedef struct {
    const vs_torch_reading *r;
    const vs_byte_source *source;
    vs_zip zip;
    vs_str archive; /* with the slash at its end */
    uint64_t alignment;
    uint64_t pickle_offset;
} zip_reader;

/* ---- records ---------------------------------------------------------------------------------------------- */

static bool has_name(const zip_reader *z, const vs_zip_entry *entry, const char *record)
{
    const size_t prefix = z->archive.len;
    return entry->name.len > prefix && memcmp(entry->name.ptr, z->archive.ptr, prefix) == 0 &&
           vs_str_is((vs_str){entry->name.ptr + prefix, entry->name.len - prefix}, record);
}

/* *out is NULL when there is no such record. Two of a name are refused. */
static bool find_record(const zip_reader *z, const char *record, const vs_zip_entry **out)
{
    *out = NULL;
    for (uint32_t i = 0; i < z->zip.entry_count; i++) {
        const vs_zip_entry *const entry = &z->zip.entries[i];
        if (!has_name(z, entry, record)) {
            continue;
        }
        if (*out != NULL) {
            return vs_fail(z->r->err, VS_ERR_VALUE, "two zip entries are called \"%.*s\"",
                           (int)entry->name.len, entry->name.ptr);
        }
        *out = entry;
    }
    return true;
}

/* A short text record; empty when it is not there. */
static bool read_record(const zip_reader *z, const char *record, char text[RECORD_BYTES_MAX],
                        vs_str *out)
{
    const vs_zip_entry *entry = NULL;
    uint64_t offset = 0;
    *out = (vs_str){text, 0};
    if (!find_record(z, record, &entry)) {
        return false;
    }
    if (entry == NULL) {
        return true;
    }
    if (!vs_zip_check_stored(entry, z->r->err) ||
        !vs_zip_data_offset(z->source, entry, &offset, z->r->err)) {
        return false;
    }
    if (entry->size_bytes > RECORD_BYTES_MAX) {
        return vs_fail(z->r->err, VS_ERR_FORMAT, "record %s has %" PRIu64 " bytes", record,
                       entry->size_bytes);
    }
    out->len = (size_t)entry->size_bytes;
    return vs_byte_source_read(z->source, offset, out->len, text, z->r->err);
}

static bool read_settings(zip_reader *z, vs_torch_header *header)
{
    char text[RECORD_BYTES_MAX];
    vs_str value = {NULL, 0};
    if (!read_record(z, "byteorder", text, &value)) {
        return false;
    }
    if (value.len > 0 && !vs_str_is(value, "little") && !vs_str_is(value, "big")) {
        return vs_fail(z->r->err, VS_ERR_VALUE,
                       "record byteorder is \"%.*s\"; expected little or big", (int)value.len,
                       value.ptr);
    }
    header->is_big_endian = vs_str_is(value, "big");
    if (header->is_big_endian &&
        !vs_torch_note(z->r, "big-endian: torch swaps every storage in memory as it loads")) {
        return false;
    }
    if (!read_record(z, ".storage_alignment", text, &value)) {
        return false;
    }
    z->alignment = ALIGNMENT_DEFAULT;
    uint64_t alignment = 0;
    if (vs_parse_u64(value, &alignment, NULL) && alignment > 0 && alignment <= ALIGNMENT_MAX) {
        z->alignment = alignment;
    }
    return z->zip.prefix_bytes == 0 ||
           vs_torch_note(z->r,
                         "%" PRIu64 " bytes stand before the zip archive: torch.load "
                         "refuses such a file",
                         z->zip.prefix_bytes);
}

/* ---- storages ------------------------------------------------------------------------------------------------ */

static const char data_part[] = "data/";

/* The key of ARCHIVE/data/KEY. */
static bool storage_key(const zip_reader *z, const vs_zip_entry *entry, vs_str *key)
{
    const size_t prefix = z->archive.len + sizeof data_part - 1;
    if (entry->name.len < prefix ||
        memcmp(entry->name.ptr, z->archive.ptr, z->archive.len) != 0 ||
        memcmp(entry->name.ptr + z->archive.len, data_part, sizeof data_part - 1) != 0) {
        return false;
    }
    *key = (vs_str){entry->name.ptr + prefix, entry->name.len - prefix};
    return true;
}

static bool sort_storages(const zip_reader *z, vs_sort_key **out, uint32_t *count)
{
    vs_sort_key *const keys = VS_ARRAY(z->r->scratch, vs_sort_key, z->zip.entry_count);
    if (keys == NULL) {
        return vs_torch_out_of_memory(z->r, z->r->scratch);
    }
    *count = 0;
    for (uint32_t i = 0; i < z->zip.entry_count; i++) {
        vs_str key = {NULL, 0};
        if (storage_key(z, &z->zip.entries[i], &key) &&
            vs_torch_key_words(key, keys[*count].word)) {
            keys[(*count)++].index = i;
        }
    }
    *out = keys;
    return vs_sort_keys(keys, *count, NULL, z->r->scratch) ||
           vs_torch_out_of_memory(z->r, z->r->scratch);
}

static bool check_storage(const zip_reader *z, const vs_torch_group *group,
                          const vs_zip_entry *entry)
{
    const vs_str key = group->first->key;
    if (entry == NULL) {
        return vs_fail(z->r->err, VS_ERR_VALUE,
                       "storage \"%.*s\" of %" PRIu64 " bytes is not in the archive: no entry "
                       "%.*sdata/%.*s",
                       (int)key.len, key.ptr, group->size_bytes, (int)z->archive.len,
                       z->archive.ptr, (int)key.len, key.ptr);
    }
    if (!vs_zip_check_stored(entry, z->r->err)) {
        return false;
    }
    return entry->size_bytes >= group->size_bytes ||
           vs_fail(z->r->err, VS_ERR_VALUE,
                   "storage \"%.*s\" needs %" PRIu64
                   " bytes, its entry in the archive has %" PRIu64,
                   (int)key.len, key.ptr, group->size_bytes, entry->size_bytes);
}

/* <0, 0, >0 */
static int compare_words(const uint64_t a[3], const uint64_t b[3])
{
    for (int w = 0; w < 3; w++) {
        if (a[w] != b[w]) {
            return a[w] < b[w] ? -1 : 1;
        }
    }
    return 0;
}

/* The entries of the groups that tensors use; NULL for empty storages without one. */
static bool match_storages(const zip_reader *z, vs_torch_groups *groups,
                           const vs_zip_entry **entries)
{
    vs_sort_key *keys = NULL;
    uint32_t count = 0;
    uint32_t longer = 0;
    if (!sort_storages(z, &keys, &count)) {
        return false;
    }
    uint32_t k = 0;
    for (uint32_t g = 0; g < groups->group_count; g++) {
        const vs_torch_group *const group = &groups->groups[g];
        /* both are sorted: what is smaller has no mention in the pickle */
        while (k < count && compare_words(keys[k].word, group->words) < 0) {
            k++;
        }
        const bool is_found = k < count && compare_words(keys[k].word, group->words) == 0;
        if (is_found && k + 1 < count && compare_words(keys[k].word, keys[k + 1].word) == 0) {
            return vs_fail(z->r->err, VS_ERR_VALUE, "two zip entries hold storage \"%.*s\"",
                           (int)group->first->key.len, group->first->key.ptr);
        }
        entries[g] = is_found ? &z->zip.entries[keys[k].index] : NULL;
        if (!group->is_used || (group->size_bytes == 0 && !is_found)) {
            continue;
        }
        if (!check_storage(z, group, entries[g])) {
            return false;
        }
        vs_assert(entries[g] != NULL); /* check_storage refuses a missing one */
        longer += entries[g]->size_bytes > group->size_bytes;
    }
    return longer == 0 ||
           vs_torch_note(z->r,
                         "%" PRIu32 " storages are longer in the archive than the pickle "
                         "says",
                         longer);
}

/* Where torch's writer puts the data of an entry: behind the local header, its name, the 64-bit sizes if it needs them and a
 * padding field of at least 4 bytes, at the next multiple of the alignment (caffe2/serialize/inline_container.cc, getPadding,
 * with MZ_ZIP_LOCAL_DIR_HEADER_SIZE 30). Saves reading a page of the file for every storage. */
static uint64_t written_offset(const zip_reader *z, const vs_zip_entry *entry)
{
    const uint64_t header = entry->header_offset - z->zip.prefix_bytes;
    uint64_t start = header + 30 + entry->name.len + 4;
    if (entry->size_bytes >= UINT32_MAX || header >= UINT32_MAX) {
        start += 4;
        start += entry->size_bytes >= UINT32_MAX ? 16 : 0;
        start += header >= UINT32_MAX ? 8 : 0;
    }
    return (start + z->alignment - 1) / z->alignment * z->alignment + z->zip.prefix_bytes;
}

/* Does the local header say what written_offset does? */
static bool is_as_written(const zip_reader *z, const vs_zip_entry *entry, bool *out)
{
    uint64_t offset = 0;
    if (!vs_zip_data_offset(z->source, entry, &offset, z->r->err)) {
        return false;
    }
    *out = *out && offset == written_offset(z, entry);
    return true;
}

/* Where the data of each storage begins; read from the local headers when the archive is not as torch writes it. */
static bool set_offsets(const zip_reader *z, vs_torch_groups *groups,
                        const vs_zip_entry *const *entries, bool is_regular)
{
    for (uint32_t g = 0; g < groups->group_count; g++) {
        vs_torch_group *const group = &groups->groups[g];
        if (!group->is_used || entries[g] == NULL) {
            continue;
        }
        group->file_offset = written_offset(z, entries[g]);
        if (!is_regular &&
            !vs_zip_data_offset(z->source, entries[g], &group->file_offset, z->r->err)) {
            return false;
        }
    }
    return true;
}

/* Local headers of the first and the last storage are read; if they are where torch's writer puts them, and every other
 * one would fit there too, so they are. Else all of them are read. */
static bool place_storages(const zip_reader *z, vs_torch_groups *groups,
                           const vs_zip_entry *const *entries)
{
    bool is_regular = true;
    const vs_zip_entry *first = NULL;
    const vs_zip_entry *last = NULL;
    for (uint32_t g = 0; g < groups->group_count; g++) {
        const vs_zip_entry *const e = groups->groups[g].is_used ? entries[g] : NULL;
        if (e == NULL) {
            continue;
        }
        const uint64_t start = written_offset(z, e);
        is_regular =
            is_regular && start <= e->limit_offset && e->size_bytes <= e->limit_offset - start;
        first = first == NULL || e->header_offset < first->header_offset ? e : first;
        last = last == NULL || e->header_offset > last->header_offset ? e : last;
    }
    if (first != NULL &&
        (!is_as_written(z, first, &is_regular) || !is_as_written(z, last, &is_regular))) {
        return false;
    }
    return set_offsets(z, groups, entries, is_regular);
}

/* ---- the archive ------------------------------------------------------------------------------------------------ */

static bool open_archive(zip_reader *z)
{
    const vs_zip_entry *code = NULL;
    if (!vs_zip_read(&z->zip, z->source, z->r->scratch, z->r->err)) {
        return false;
    }
    const vs_str first = z->zip.entry_count == 0 ? (vs_str){"", 0} : z->zip.entries[0].name;
    const char *const slash = first.len == 0 ? NULL : memchr(first.ptr, '/', first.len);
    if (slash == NULL) {
        return vs_fail(
            z->r->err, VS_ERR_FORMAT,
            "a zip archive, but not one of torch.save: its entries are in no folder");
    }
    z->archive = (vs_str){first.ptr, (size_t)(slash - first.ptr) + 1};
    if (!find_record(z, "constants.pkl", &code)) {
        return false;
    }
    return code == NULL ||
           vs_fail(
               z->r->err, VS_ERR_VALUE,
               "a TorchScript archive (it holds code): load it with torch.jit.load and save "
               "its state_dict(), best as safetensors");
}

static bool read_pickle(zip_reader *z, vs_pickle_result *pickle)
{
    const vs_zip_entry *entry = NULL;
    const vs_torch_reading *const r = z->r;
    if (!find_record(z, "data.pkl", &entry)) {
        return false;
    }
    if (entry == NULL) {
        return vs_fail(r->err, VS_ERR_FORMAT,
                       "a zip archive, but not one of torch.save: no entry %.*sdata.pkl",
                       (int)z->archive.len, z->archive.ptr);
    }
    if (!vs_zip_check_stored(entry, r->err) ||
        !vs_zip_data_offset(z->source, entry, &z->pickle_offset, r->err)) {
        return false;
    }
    if (entry->size_bytes > VS_PICKLE_BYTES_MAX) {
        return vs_fail(r->err, VS_ERR_LIMIT,
                       "data.pkl has %" PRIu64 " bytes; the limit is %" PRIu64,
                       entry->size_bytes, VS_PICKLE_BYTES_MAX);
    }
    uint8_t *const bytes = vs_arena_alloc(r->scratch, (size_t)entry->size_bytes, 1);
    if (bytes == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    const vs_str text = {(const char *)bytes, (size_t)entry->size_bytes};
    return vs_byte_source_read(z->source, z->pickle_offset, text.len, bytes, r->err) &&
           vs_pickle_run(pickle, r->scratch, text, z->pickle_offset, r->err);
}

bool vs_torch_read_zip(vs_torch_header *header, const vs_byte_source *source,
                       const vs_torch_reading *r)
{
    zip_reader z = {.r = r, .source = source};
    vs_pickle_result pickle = {0};
    vs_torch_table table = {0};
    vs_torch_groups groups = {0};
    if (!open_archive(&z) || !read_settings(&z, header) || !read_pickle(&z, &pickle) ||
        !vs_torch_find_tensors(&table, &pickle.value, r) ||
        !vs_torch_group_storages(&groups, &pickle, r)) {
        return false;
    }
    for (uint32_t i = 0; i < table.count; i++) {
        groups.groups[groups.group_of[table.items[i].tensor->storage->mention]].is_used = true;
    }
    const vs_zip_entry **const entries =
        VS_ARRAY(r->scratch, const vs_zip_entry *, groups.group_count);
    if (entries == NULL) {
        return vs_torch_out_of_memory(r, r->scratch);
    }
    return match_storages(&z, &groups, entries) && place_storages(&z, &groups, entries) &&
           vs_torch_finish(header, &table, &groups, r);
}
