/* torch_bin_legacy.c - the format of torch.save before PyTorch 1.6.
 *
 * Five pickles in a row: the magic number, the protocol version, facts about the machine, the object, the list of storage
 * keys. Behind them, in the order of that list, each storage as its number of elements (8 bytes) and its bytes
 * (torch/serialization.py, _legacy_save and _legacy_load; PyTorch 2.15). How long the pickles are is not written down: they are
 * read in windows of growing size. */
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/torch_bin.h"

#define WINDOW_BYTES     (UINT64_C(64) << 10) /* the first one */
/* MAGIC_NUMBER 0x1950a86a20f9469cfc6c and PROTOCOL_VERSION of torch/serialization.py */
#define PROTOCOL_VERSION 1001

static const uint8_t magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

typedef struct {
    const vs_torch_reading *r;
    const vs_byte_source *source;
    uint64_t pos; /* behind the last pickle */
} legacy_reader;

/* ---- pickles ----------------------------------------------------------------------------------------------- */

/* The next pickle. A window that proves too short is read again at twice the size, so that at most twice the
 * pickle's length is read. */
static bool next_pickle(legacy_reader *l, vs_pickle_result *pickle)
{
    const uint64_t left = l->source->size_bytes - l->pos;
    uint64_t window = WINDOW_BYTES;
    for (;;) {
        const uint64_t count = window < left ? window : left;
        const size_t mark = l->r->scratch->used_bytes;
        uint8_t *const bytes = vs_arena_alloc(l->r->scratch, (size_t)count, 1);
        vs_err attempt = {0};
        if (bytes == NULL) {
            return vs_torch_out_of_memory(l->r, l->r->scratch);
        }
        if (!vs_byte_source_read(l->source, l->pos, (size_t)count, bytes, l->r->err)) {
            return false;
        }
        if (vs_pickle_run(pickle, l->r->scratch, (vs_str){(const char *)bytes, (size_t)count},
                          l->pos, &attempt)) {
            l->pos += pickle->used_bytes;
            return true;
        }
        if (!pickle->is_cut_short || count == left) {
            *l->r->err = attempt;
            return false;
        }
        if (window >= VS_PICKLE_BYTES_MAX) {
            return vs_fail(l->r->err, VS_ERR_LIMIT, "a pickle of more than %" PRIu64 " bytes",
                           VS_PICKLE_BYTES_MAX);
        }
        vs_arena_rewind(l->r->scratch, mark);
        window *= 2;
    }
}

static bool fail_at(const legacy_reader *l, uint64_t offset, const char *what)
{
    (void)vs_fail(l->r->err, VS_ERR_FORMAT, "%s", what);
    vs_err_at_offset(l->r->err, offset);
    return false;
}

/* The three pickles before the object. */
static bool read_preamble(legacy_reader *l, vs_torch_header *header)
{
    vs_pickle_result pickle = {0};
    if (!next_pickle(l, &pickle)) {
        return false;
    }
    const vs_pickle_value *v = &pickle.value;
    if (v->kind != VS_PK_LONG || v->count != sizeof magic ||
        memcmp(v->as.bytes, magic, sizeof magic) != 0) {
        return fail_at(l, 0,
                       "a pickle, but not one of torch.save: it does not begin with torch's "
                       "magic number");
    }
    const uint64_t version_at = l->pos;
    if (!next_pickle(l, &pickle)) {
        return false;
    }
    if (v->kind != VS_PK_INT || v->as.integer != PROTOCOL_VERSION) {
        return fail_at(l, version_at, "expected torch's protocol version 1001");
    }
    const uint64_t info_at = l->pos;
    if (!next_pickle(l, &pickle)) {
        return false;
    }
    if (v->kind != VS_PK_DICT) {
        return fail_at(l, info_at, "expected torch's dict of facts about the machine");
    }
    vs_pickle_walk walk = vs_pickle_walk_of(v->as.container);
    for (const vs_pickle_value *key = vs_pickle_walk_next(&walk); key != NULL;
         key = vs_pickle_walk_next(&walk)) {
        const vs_pickle_value *const fact = vs_pickle_walk_next(&walk);
        if (vs_pickle_is_text(key, "little_endian") && fact != NULL &&
            fact->kind == VS_PK_BOOL) {
            header->is_big_endian = fact->as.integer == 0;
        }
    }
    return true;
}

/* ---- storages ------------------------------------------------------------------------------------------------- */

static vs_torch_group *find_group(const vs_torch_groups *groups, vs_str key)
{
    uint64_t words[3] = {0};
    uint32_t low = 0;
    uint32_t high = groups->group_count;
    if (!vs_torch_key_words(key, words)) {
        return NULL;
    }
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const uint64_t *const w = groups->groups[mid].words;
        const bool is_less = w[0] != words[0]
                                 ? w[0] < words[0]
                                 : (w[1] != words[1] ? w[1] < words[1] : w[2] < words[2]);
        low = is_less ? mid + 1 : low;
        high = is_less ? high : mid;
    }
    return low < groups->group_count &&
                   memcmp(groups->groups[low].words, words, sizeof words) == 0
               ? &groups->groups[low]
               : NULL;
}

/* The storage at l->pos: as many elements as the pickle said, all of them in the file. */
static bool place_storage(legacy_reader *l, vs_torch_group *group)
{
    uint8_t head[8];
    uint64_t elements = 0;
    const vs_pickle_storage *const s = group->first;
    if (!vs_byte_source_read(l->source, l->pos, sizeof head, head, l->r->err)) {
        return false;
    }
    for (size_t i = 0; i < sizeof head; i++) {
        elements |= (uint64_t)head[i] << (8 * i);
    }
    const uint64_t width = s->dtype == VS_DT_COUNT ? 1 : vs_dtype_bits(s->dtype) / 8;
    if (elements != group->size_bytes / width) {
        (void)vs_fail(l->r->err, VS_ERR_VALUE,
                      "storage \"%.*s\" has %" PRIu64 " elements in the pickle, %" PRIu64
                      " here",
                      (int)s->key.len, s->key.ptr, group->size_bytes / width, elements);
        vs_err_at_offset(l->r->err, l->pos);
        return false;
    }
    const uint64_t start = l->pos + sizeof head;
    if (group->size_bytes > l->source->size_bytes - start) {
        (void)vs_fail(l->r->err, VS_ERR_VALUE,
                      "storage \"%.*s\" needs %" PRIu64 " bytes, the file has %" PRIu64
                      " left; is the download complete?",
                      (int)s->key.len, s->key.ptr, group->size_bytes,
                      l->source->size_bytes - start);
        vs_err_at_offset(l->r->err, start);
        return false;
    }
    group->file_offset = start;
    l->pos = start + group->size_bytes;
    return true;
}

/* Every storage the pickle uses has a place now. */
static bool check_placed(const legacy_reader *l, const vs_torch_groups *groups)
{
    for (uint32_t g = 0; g < groups->group_count; g++) {
        const vs_torch_group *const group = &groups->groups[g];
        if (group->is_used && group->file_offset == 0) {
            return vs_fail(l->r->err, VS_ERR_VALUE,
                           "storage \"%.*s\" of %" PRIu64 " bytes is not in the file's list",
                           (int)group->first->key.len, group->first->key.ptr,
                           group->size_bytes);
        }
    }
    return true;
}

static bool place_storages(legacy_reader *l, const vs_torch_groups *groups,
                           const vs_pickle_value *keys)
{
    if (keys->kind != VS_PK_LIST) {
        return fail_at(l, l->pos, "expected the list of storage keys before this byte");
    }
    vs_pickle_walk walk = vs_pickle_walk_of(keys->as.container);
    for (const vs_pickle_value *key = vs_pickle_walk_next(&walk); key != NULL;
         key = vs_pickle_walk_next(&walk)) {
        const bool is_text = key->kind == VS_PK_TEXT || key->kind == VS_PK_BYTES;
        const vs_str text = is_text ? vs_pickle_text(key) : (vs_str){"", 0};
        vs_torch_group *const group = find_group(groups, text);
        if (group == NULL || group->file_offset != 0) {
            return vs_fail(l->r->err, VS_ERR_VALUE,
                           "the list of storages names \"%.*s\", which %s",
                           text.len > 40 ? 40 : (int)text.len, text.ptr,
                           group == NULL ? "the pickle does not" : "it named before");
        }
        if (!place_storage(l, group)) {
            return false;
        }
    }
    if (!check_placed(l, groups)) {
        return false;
    }
    return l->pos == l->source->size_bytes ||
           vs_torch_note(l->r, "%" PRIu64 " bytes behind the last storage belong to nothing",
                         l->source->size_bytes - l->pos);
}

bool vs_torch_read_legacy(vs_torch_header *header, const vs_byte_source *source,
                          const vs_torch_reading *r)
{
    legacy_reader l = {.r = r, .source = source};
    vs_pickle_result object = {0};
    vs_pickle_result keys = {0};
    vs_torch_table table = {0};
    vs_torch_groups groups = {0};
    header->is_legacy = true;
    if (!read_preamble(&l, header) || !next_pickle(&l, &object) ||
        !vs_torch_find_tensors(&table, &object.value, r) ||
        !vs_torch_group_storages(&groups, &object, r) || !next_pickle(&l, &keys)) {
        return false;
    }
    for (uint32_t i = 0; i < table.count; i++) {
        groups.groups[groups.group_of[table.items[i].tensor->storage->mention]].is_used = true;
    }
    return place_storages(&l, &groups, &keys.value) &&
           vs_torch_note(r, "the format of before PyTorch 1.6: torch.load reads the whole file "
                            "into memory") &&
           vs_torch_finish(header, &table, &groups, r);
}
